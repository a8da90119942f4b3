/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks through the physical PCI. Functions are named by bits 31:8 of what the
 * address port takes, so that the next function is an addition. Nothing is
 * assigned or sized: that was the firmware's work.
 */
#include "drivers/pci.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/memory.h"

enum { PORT_ADDRESS = 0xcf8, PORT_DATA = 0xcfc };
enum { REG_COMMAND = 0x04, REG_CLASS = 0x08, REG_HEADER = 0x0c, REG_BAR0 = 0x10, REG_BAR_END = 0x28 };

#define ADDRESS_ENABLE BIT(31)
#define FUNCTION_STEP  0x100u
#define DEVICE_STEP    0x800u
#define BUS_STEP       0x10000u
#define BUSES	       256u

#define CLASS_CODE	  BITS(31, 8)
#define HEADER_TYPE	  BITS(22, 16)
#define HEADER_MANY	  BIT(23) /* more functions than the first */
#define COMMAND_IO	  BIT(0)
#define COMMAND_MEMORY	  BIT(1)
#define COMMAND_MASTER	  BIT(2)
#define BAR_IO		  BIT(0)
#define BAR_IO_ADDRESS	  BITS(15, 2)
#define BAR_TYPE	  BITS(2, 1)
#define BAR_64BIT	  2
#define BAR_MEM_ADDRESS	  BITS(31, 4)

enum { HEADER_BRIDGE = 1, HEADER_CARDBUS = 2 };
enum { CLASS_DISPLAY = 0x03, CLASS_BRIDGE = 0x06 }; /* base classes */
#define CLASS_VGA	  0x0300   /* with the subclass */
#define CLASS_IOAPIC	  0x080010 /* and 20h, an IOxAPIC */
#define VGA_END		  MIB(1)

const struct pci_segment pci_first_segment = {.last = BUSES - 1};

/* Where the segment's bus 0 would be, if it is reached by memory. */
static u64 ecam;

static volatile u32 *in_ecam(u32 function, u8 reg)
{
	return (volatile u32 *)(ecam + (u64)function * (MIB(1) / BUS_STEP) + reg);
}

static u32 read(u32 function, u8 reg)
{
	if (ecam)
		return *in_ecam(function, reg);
	outl(PORT_ADDRESS, (u32)ADDRESS_ENABLE | function | reg);
	return inl(PORT_DATA);
}

/* The status above it, of which written ones clear bits, gets zeroes. */
static void write_command(u32 function, u16 command)
{
	if (ecam) {
		*in_ecam(function, REG_COMMAND) = command;
		return;
	}
	outl(PORT_ADDRESS, (u32)ADDRESS_ENABLE | function | REG_COMMAND);
	outl(PORT_DATA, command);
}

/* Returns where the next one stands. */
static u8 read_bar(u32 function, u8 reg, struct pci_bar *bar)
{
	u32 low = read(function, reg);

	bar->memory = !(low & BAR_IO);
	bar->base = low & (bar->memory ? BAR_MEM_ADDRESS : BAR_IO_ADDRESS);
	if (!bar->memory || FIELD_GET(BAR_TYPE, low) != BAR_64BIT)
		return reg + 4;
	bar->base |= (u64)read(function, reg + 4) << 32;
	return reg + 8;
}

/* Calls visit for each function that there is, until one is what was looked for. */
static void walk(unsigned bus, unsigned buses, bool (*visit)(u32 function, u32 header, void *arg),
		 void *arg)
{
	u32 step, end = (bus + buses) * BUS_STEP;

	for (u32 function = bus * BUS_STEP; function < end; function += step) {
		u32 header = read(function, REG_HEADER);

		step = function % DEVICE_STEP ? FUNCTION_STEP : DEVICE_STEP;
		/* All ones: nobody there, and without a first function no other. */
		if (header == ~0u)
			continue;
		if (header & HEADER_MANY)
			step = FUNCTION_STEP;
		if (visit(function, header, arg))
			return;
	}
}

struct wanted {
	u32 class_code;
	struct pci_bar *bar;
};

static bool find(u32 function, u32 header, void *arg)
{
	const struct wanted *w = arg;

	if (FIELD_GET(CLASS_CODE, read(function, REG_CLASS)) != w->class_code ||
	    FIELD_GET(HEADER_TYPE, header))
		return false;
	read_bar(function, REG_BAR0, w->bar);
	if (w->bar->base)
		write_command(function, (u16)(read(function, REG_COMMAND) |
					      (w->bar->memory ? COMMAND_MEMORY : COMMAND_IO)));
	return w->bar->base;
}

void pci_find(u32 class_code, struct pci_bar *bar)
{
	struct wanted wanted = {class_code, bar};

	*bar = (struct pci_bar){0};
	walk(0, BUSES, find, &wanted);
}

/* A base address register's alignment is at least what it decodes. */
static bool shows(u32 function, u32 class_code, u64 screen)
{
	struct pci_bar bar;

	if (class_code >> 8 == CLASS_VGA && screen && screen < VGA_END)
		return true;
	for (u8 reg = REG_BAR0; reg < REG_BAR_END;) {
		reg = read_bar(function, reg, &bar);
		if (bar.memory && screen >= bar.base && screen - bar.base < (bar.base & -bar.base))
			return true;
	}
	return false;
}

struct silence {
	unsigned segment, count;
	hpa_t screen;
};

static bool silence(u32 function, u32 header, void *arg)
{
	struct silence *s = arg;
	u32 class_code = (u32)FIELD_GET(CLASS_CODE, read(function, REG_CLASS));
	u32 type = (u32)FIELD_GET(HEADER_TYPE, header), base = class_code >> 16;
	u16 command = (u16)read(function, REG_COMMAND);
	bool stays;

	if (!(command & COMMAND_MASTER) || type == HEADER_BRIDGE || type == HEADER_CARDBUS ||
	    base == CLASS_BRIDGE || class_code == CLASS_IOAPIC || class_code == CLASS_IOAPIC + 0x10 ||
	    (base == CLASS_DISPLAY && shows(function, class_code, s->screen.v)))
		return false;
	write_command(function, command & (u16)~COMMAND_MASTER);
	stays = read(function, REG_COMMAND) & COMMAND_MASTER;
	s->count += !stays;
	log_line(stays ? LOG_WARN : LOG_DEBUG, "pci: %04x:%02x:%02x.%u, class %06x: bus master%s",
		 s->segment, function / BUS_STEP, function % BUS_STEP / DEVICE_STEP,
		 function % DEVICE_STEP / FUNCTION_STEP, class_code,
		 stays ? " that cannot be stopped" : " stopped");
	return false;
}

unsigned pci_silence(const struct pci_segment *segment, hpa_t screen)
{
	struct silence s = {segment->number, 0, screen};
	u64 first = segment->first, buses = segment->last + 1 - first;
	u8 *mapped = NULL;

	/* All at once, by large pages: tables of the device area are never given back. */
	if (segment->ecam.v) {
		mapped = phys_map(HPA(segment->ecam.v + MIB(first)), MIB(buses), PHYS_UNCACHED);
		if (!mapped) {
			log_warn("pci: segment %u is out of reach", s.segment);
			return 0;
		}
		ecam = (u64)mapped - MIB(first);
	}
	walk((unsigned)first, (unsigned)buses, silence, &s);
	if (mapped)
		phys_unmap(mapped, MIB(buses));
	ecam = 0;
	return s.count;
}
