/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks through the physical PCI. Functions are named by bits 31:8 of what the
 * address port takes, so that the next function is an addition. Nothing is
 * assigned or sized: that was the firmware's work.
 */
#include "drivers/pci.h"

#include "arch/cpu.h"

enum { PORT_ADDRESS = 0xcf8, PORT_DATA = 0xcfc };
enum { REG_COMMAND = 0x04, REG_CLASS = 0x08, REG_HEADER = 0x0c, REG_BAR0 = 0x10 };

#define ADDRESS_ENABLE BIT(31)
#define FUNCTION_STEP  0x100u
#define DEVICE_STEP    0x800u
#define ADDRESS_END    0x1000000u /* 256 buses */

#define CLASS_CODE	  BITS(31, 8)
#define HEADER_TYPE	  BITS(22, 16)
#define HEADER_MANY	  BIT(23) /* more functions than the first */
#define COMMAND_IO	  BIT(0)
#define COMMAND_MEMORY	  BIT(1)
#define BAR_IO		  BIT(0)
#define BAR_IO_ADDRESS	  BITS(15, 2)
#define BAR_TYPE	  BITS(2, 1)
#define BAR_64BIT	  2
#define BAR_MEM_ADDRESS	  BITS(31, 4)

static u32 read(u32 function, u8 reg)
{
	outl(PORT_ADDRESS, (u32)ADDRESS_ENABLE | function | reg);
	return inl(PORT_DATA);
}

/* The address port stays at the command register for the write; the status above
 * it, of which written ones clear bits, gets zeroes. */
static bool open_bar(u32 function, struct pci_bar *bar)
{
	u32 low = read(function, REG_BAR0);

	bar->memory = !(low & BAR_IO);
	bar->base = low & (bar->memory ? BAR_MEM_ADDRESS : BAR_IO_ADDRESS);
	if (bar->memory && FIELD_GET(BAR_TYPE, low) == BAR_64BIT)
		bar->base |= (u64)read(function, REG_BAR0 + 4) << 32;
	if (bar->base)
		outl(PORT_DATA, (u16)read(function, REG_COMMAND) |
				(u32)(bar->memory ? COMMAND_MEMORY : COMMAND_IO));
	return bar->base;
}

void pci_find(u32 class_code, struct pci_bar *bar)
{
	u32 step;

	for (u32 function = 0; function < ADDRESS_END; function += step) {
		u32 header;

		step = function % DEVICE_STEP ? FUNCTION_STEP : DEVICE_STEP;
		header = read(function, REG_HEADER);
		/* All ones: nobody there, and without a first function no other. */
		if (header == ~0u)
			continue;
		if (header & HEADER_MANY)
			step = FUNCTION_STEP;
		if (FIELD_GET(CLASS_CODE, read(function, REG_CLASS)) == class_code &&
		    FIELD_GET(HEADER_TYPE, header) == 0 && open_bar(function, bar))
			return;
	}
	*bar = (struct pci_bar){0};
}
