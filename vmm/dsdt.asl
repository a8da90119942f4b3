/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's DSDT: what its machine consists of beside processors and PCI
 * functions. One constant for all VMs: what differs, vmm/acpi.c puts into
 * memory at VARS. Addresses are those of vmm/guestmap.h and the devices'
 * files; tests/unit/test_acpi_tables.c holds them against each other.
 * Sources: ACPI Specification; PCI Firmware Specification, "_OSC".
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "TRIVET", "TRIVET", 1)
{
    /* Off is SLP_TYP 7. */
    Name (_S5, Package (4) { 7, 7, 0, 0 })

    OperationRegion (VARS, SystemMemory, 0x000E0040, 0x10)
    Field (VARS, QWordAcc, NoLock, Preserve)
    {
        P64B, 64, /* The 64-bit PCI window: base, */
        P64S, 64, /* size, 0 where there is none */
    }

    Scope (_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)

            Name (WIN, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0x00, 0xFF, 0, 0x100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0xC000, 0xFFFF, 0, 0x4000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xF0000000, 0xFEBFFFFF, 0, 0x0EC00000)
            })
            Name (WN64, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0, 0x0000000100000000, 0x00000001FFFFFFFF, 0, 0x0000000100000000)
            })
            Method (_CRS, 0, Serialized)
            {
                If (P64S == 0)
                {
                    Return (WIN)
                }

                /* By the layout of a QWord address space descriptor. */
                CreateQWordField (WN64, 14, LOW)
                CreateQWordField (WN64, 22, HIGH)
                CreateQWordField (WN64, 38, SIZE)
                LOW = P64B
                SIZE = P64S
                HIGH = P64B + P64S - 1
                Return (ConcatenateResTemplate (WIN, WN64))
            }

            /* Pin P of slot S is at the I/O APIC's input 16 + (S + P) mod 4. */
            Method (_PRT, 0, Serialized)
            {
                Local4 = Package (124) {}
                Local0 = 0
                While (Local0 < 124)
                {
                    Local1 = (Local0 >> 2) + 1
                    Local2 = Local0 & 3
                    Local3 = Package (4) { 0, 0, 0, 0 }
                    Local3[0] = (Local1 << 16) | 0xFFFF
                    Local3[1] = Local2
                    Local3[3] = 16 + ((Local1 + Local2) & 3)
                    Local4[Local0] = Local3
                    Local0++
                }

                Return (Local4)
            }

            /* The machine itself does nothing to PCI Express: the system may have all of it. */
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, 0, STAT)
                If (Arg0 != ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
                {
                    STAT |= 0x04 /* Unknown UUID */
                }
                ElseIf (Arg1 != 1)
                {
                    STAT |= 0x08 /* Unknown revision */
                }

                Return (Arg3)
            }
        }

        /* Decoded by the machine, and nobody's to give away. */
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xE0000000, 0x10000000) /* ECAM */
                Memory32Fixed (ReadWrite, 0xFEC00000, 0x00001000) /* I/O APIC */
                Memory32Fixed (ReadWrite, 0xFEE00000, 0x00001000) /* Local APICs */
                IO (Decode16, 0x0600, 0x0600, 1, 0x0C) /* vacpi.c */
                IO (Decode16, 0x0092, 0x0092, 1, 0x01)
                IO (Decode16, 0x04D0, 0x04D0, 1, 0x02) /* ELCR */
            })
        }

        Device (PIC)
        {
            Name (_HID, EisaId ("PNP0000"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0020, 0x0020, 1, 0x02)
                IO (Decode16, 0x00A0, 0x00A0, 1, 0x02)
                IRQNoFlags () { 2 }
            })
        }

        Device (TIMR)
        {
            Name (_HID, EisaId ("PNP0100"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0040, 0x0040, 1, 0x04)
                IRQNoFlags () { 0 }
            })
        }

        Device (SPKR)
        {
            Name (_HID, EisaId ("PNP0800"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0061, 0x0061, 1, 0x01)
            })
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 0x02)
                IRQNoFlags () { 8 }
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 0x08)
                IRQNoFlags () { 4 }
            })
        }

        Device (COM2)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 2)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x02F8, 0x02F8, 1, 0x08)
                IRQNoFlags () { 3 }
            })
        }
    }
}
