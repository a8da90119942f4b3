/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/pci.c tests/unit/fake_ports.c */
/*
 * The scan for a serial controller and the end of bus mastering, over a configuration space made
 * here, by ports and by memory.
 */
#include "drivers/pci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/log.h"
#include "arch/memory.h"
#include "tests/unit/fake_ports.h"

#define FUNCTIONS 16
#define ECAM	  0xa00000000ull

static struct function {
	u32 at; /* bus << 16 | device << 11 | function << 8 */
	u32 reg[16];
	u32 stuck; /* bits of the command register that stay set */
} functions[FUNCTIONS];
static unsigned count, reads, writes;
static u32 address;

static struct function *find(u32 at)
{
	for (unsigned i = 0; i < count; i++)
		if (functions[i].at == at)
			return &functions[i];
	return NULL;
}

static u32 in(u16 port, unsigned size)
{
	struct function *f = find(address & 0xffff00);

	assert_int_equal(port, 0xcfc);
	assert_int_equal(size, 4);
	assert_int_equal(address & 0xff000003, 0x80000000);
	reads++;
	return f && (address & 0xff) < 0x40 ? f->reg[(address & 0xff) / 4] : ~0u;
}

static void out(u16 port, unsigned size, u32 value)
{
	assert_int_equal(size, 4);
	if (port == 0xcf8) {
		address = value;
		return;
	}
	/* Only the command register is ever written, the status with zeroes. */
	assert_int_equal(port, 0xcfc);
	assert_int_equal(address & 0xff, 4);
	assert_int_equal(value >> 16, 0);
	find(address & 0xffff00)->reg[1] = value | find(address & 0xffff00)->stuck;
	writes++;
}

static struct function *add(u32 bus, u32 device, u32 function, u32 class_code, u32 bar)
{
	struct function *f = &functions[count++];

	memset(f, 0, sizeof(*f));
	f->at = bus << 16 | device << 11 | function << 8;
	f->reg[0] = 0x12345678;
	f->reg[1] = 0x02900000;
	f->reg[2] = class_code << 8 | 0x11;
	f->reg[4] = bar;
	return f;
}

static struct pci_bar scan(void)
{
	static const struct fake_ports ports = {in, out};
	struct pci_bar bar;

	memset(&bar, 0xee, sizeof(bar));
	fake_ports_serve(&ports);
	reads = writes = 0;
	pci_find(PCI_CLASS_16550, &bar);
	return bar;
}

static int empty(void **state)
{
	(void)state;
	count = 0;
	return 0;
}

static void io_port(void **state)
{
	struct function *f;
	struct pci_bar bar;

	(void)state;
	add(0, 0, 0, 0x060000, 0);
	f = add(0, 3, 0, 0x070002, 0xc051);
	bar = scan();
	assert_false(bar.memory);
	assert_int_equal(bar.base, 0xc050);
	assert_int_equal(f->reg[1], 0x0001);
	f->reg[1] = 0x02900506; /* what was set stays */
	scan();
	assert_int_equal(f->reg[1], 0x0507);
}

static void memory(void **state)
{
	struct function *f = add(0, 31, 0, 0x070002, 0xfebf1008);
	struct pci_bar bar = scan();

	(void)state;
	assert_true(bar.memory);
	assert_int_equal(bar.base, 0xfebf1000);
	assert_int_equal(f->reg[1], 0x0002);
	f->reg[5] = 0x12; /* belongs to it in a 64-bit one only */
	assert_int_equal(scan().base, 0xfebf1000);
	f->reg[4] = 0xfebf100c;
	assert_int_equal(scan().base, 0x12febf1000);
}

static void which_functions(void **state)
{
	(void)state;
	assert_int_equal(scan().base, 0);
	assert_int_equal(reads, 256 * 32);
	assert_int_equal(writes, 0);
	/* the third function of a device, if the device says that there are more */
	add(0, 5, 0, 0x010000, 0);
	add(0, 5, 2, 0x070002, 0xd001);
	assert_int_equal(scan().base, 0);
	functions[0].reg[3] = 0x800000;
	assert_int_equal(scan().base, 0xd000);
	/* no bus is left out, the first one wins */
	add(255, 31, 7, 0x070002, 0xe001);
	add(255, 31, 0, 0x020000, 0)->reg[3] = 0x800000;
	assert_int_equal(scan().base, 0xd000);
	functions[1].reg[2] = 0x07000011; /* another programming interface */
	assert_int_equal(scan().base, 0xe000);
	functions[2].reg[3] = 0x010000; /* a bridge has its base registers elsewhere */
	assert_int_equal(scan().base, 0);
	functions[2].reg[3] = 0;
	functions[2].reg[4] = 1; /* not assigned */
	assert_int_equal(scan().base, 0);
	functions[2].reg[4] = 0;
	assert_int_equal(scan().base, 0);
	assert_int_equal(writes, 0);
}

/* ---- the end of bus mastering */

static unsigned told[LOG_LEVELS], maps;
static char last_line[200];
static u8 *mapped;
static u32 mapped_bus, mapped_buses;
static bool refuse_map;

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, ap);
	va_end(ap);
	told[level]++;
}

static bool is_mapped(const struct function *f)
{
	return (f->at >> 16) - mapped_bus < mapped_buses;
}

static u8 *bytes_of(const struct function *f)
{
	return mapped + (f->at - (mapped_bus << 16)) * 16ull;
}

/* Buses, as bytes; what was written to them is taken when they are given back. */
void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	assert_int_equal(hpa.v % MIB(1), 0);
	assert_int_equal(size % MIB(1), 0);
	assert_int_equal(cache, PHYS_UNCACHED);
	assert_null(mapped);
	mapped_bus = (hpa.v - ECAM) / MIB(1);
	mapped_buses = size / MIB(1);
	maps++;
	if (refuse_map)
		return NULL;
	mapped = malloc(size);
	memset(mapped, 0xff, size);
	for (unsigned i = 0; i < count; i++)
		if (is_mapped(&functions[i]))
			memcpy(bytes_of(&functions[i]), functions[i].reg, 64);
	return mapped;
}

void phys_unmap(void *virt, u64 size)
{
	assert_ptr_equal(virt, mapped);
	assert_int_equal(size, mapped_buses * MIB(1));
	for (unsigned i = 0; i < count; i++)
		if (is_mapped(&functions[i]))
			memcpy(functions[i].reg, bytes_of(&functions[i]), 64);
	free(mapped);
	mapped = NULL;
}

static struct function *master(u32 bus, u32 device, u32 function, u32 class_code)
{
	struct function *f = add(bus, device, function, class_code, 0);

	f->reg[1] |= 0x107;
	return f;
}

static unsigned silence_all(const struct pci_segment *segment, u64 screen)
{
	static const struct fake_ports ports = {in, out};

	fake_ports_serve(&ports);
	reads = writes = 0;
	memset(told, 0, sizeof(told));
	return pci_silence(segment, HPA(screen));
}

#define MASTERS(f) ((f)->reg[1] & 4)

static void masters_end(void **state)
{
	struct function *disk, *net, *idle, *host, *bridge, *deep, *cardbus, *port, *far;

	(void)state;
	host = master(0, 0, 0, 0x060000);
	bridge = master(0, 1, 0, 0x060400);
	bridge->reg[3] = 0x010000;
	disk = master(0, 2, 0, 0x010601);
	disk->reg[3] = 0x800000;
	net = master(0, 2, 7, 0x020000);
	idle = add(0, 3, 0, 0x020000, 0);
	idle->reg[1] |= 3;
	cardbus = master(1, 0, 0, 0x0a0000);
	cardbus->reg[3] = 0x820000;
	port = master(1, 0, 1, 0xff0000); /* a bridge by its header alone */
	port->reg[3] = 0x010000;
	deep = master(2, 31, 0, 0x0c0330);
	far = master(255, 31, 7, 0x0c0330);
	master(255, 31, 0, 0x060100)->reg[3] = 0x800000;
	assert_int_equal(silence_all(&pci_first_segment, 0), 4);
	assert_int_equal(writes, 4);
	assert_true(MASTERS(host) && MASTERS(bridge) && MASTERS(cardbus) && MASTERS(port));
	assert_false(MASTERS(disk) || MASTERS(net) || MASTERS(deep) || MASTERS(far));
	/* all else in the command register is as it was, and who masters nothing is not written to */
	assert_int_equal(disk->reg[1], 0x103);
	assert_int_equal(idle->reg[1], 0x02900003);
	assert_int_equal(told[LOG_DEBUG], 4);
	assert_string_equal(last_line, "pci: 0000:ff:1f.7, class 0c0330: bus master stopped");
	/* nothing is left to do */
	assert_int_equal(silence_all(&pci_first_segment, 0), 0);
	assert_int_equal(writes, 0);
}

/* Not counted, and told louder. */
static void cannot_be_stopped(void **state)
{
	struct function *f = master(0, 4, 0, 0x010185);

	(void)state;
	f->stuck = 4;
	assert_int_equal(silence_all(&pci_first_segment, 0), 0);
	assert_int_equal(told[LOG_WARN], 1);
	assert_string_equal(last_line, "pci: 0000:00:04.0, class 010185: bus master that cannot be stopped");
}

static void what_trivet_drives(void **state)
{
	struct function *vga = master(0, 2, 0, 0x030000), *other = master(0, 3, 0, 0x038000);
	struct function *ioapic = master(0, 4, 0, 0x080010), *ioxapic = master(0, 5, 0, 0x080020);
	struct function *timer = master(0, 6, 0, 0x080200);

	(void)state;
	vga->reg[4] = 0xe0000008; /* 512 MiB at most, by its alignment */
	vga->reg[5] = 0xd001;
	other->reg[4] = 0xfe000000;
	other->reg[6] = 0x0000000c; /* 64 bits wide */
	other->reg[7] = 0x20;
	/* the framebuffer in the first one's memory, then in the other's */
	assert_int_equal(silence_all(&pci_first_segment, 0xe0300000), 2);
	assert_true(MASTERS(vga) && MASTERS(ioapic) && MASTERS(ioxapic));
	assert_false(MASTERS(other) || MASTERS(timer));
	other->reg[1] |= 4;
	assert_int_equal(silence_all(&pci_first_segment, 0x2000100000), 1);
	assert_true(MASTERS(other));
	assert_false(MASTERS(vga));
	/* below a display's memory, behind it, and what is a port there */
	vga->reg[1] |= 4;
	assert_int_equal(silence_all(&pci_first_segment, 0xdfffffff), 2);
	vga->reg[1] |= 4;
	other->reg[1] |= 4;
	assert_int_equal(silence_all(&pci_first_segment, 0x2fffffffff), 1);
	assert_true(MASTERS(other));
	vga->reg[1] |= 4;
	assert_int_equal(silence_all(&pci_first_segment, 0xd000), 1);
	assert_true(MASTERS(vga)); /* it shows VGA's text memory, below 1 MiB */
	assert_false(MASTERS(other));
	assert_int_equal(silence_all(&pci_first_segment, 0), 1);
	assert_false(MASTERS(vga));
}

static void another_segment(void **state)
{
	const struct pci_segment segment = {HPA(ECAM), 3, 0x10, 0x12};
	struct function *below = master(0xf, 0, 0, 0x010802), *above = master(0x13, 0, 0, 0x010802);
	struct function *first = master(0x10, 0, 0, 0x010802), *last = master(0x12, 31, 3, 0x020000);

	(void)state;
	master(0x12, 31, 0, 0x060000)->reg[3] = 0x800000;
	maps = 0;
	assert_int_equal(silence_all(&segment, 0), 2);
	/* the device area's tables are never given back: large pages take few of them */
	assert_int_equal(maps, 1);
	assert_int_equal(mapped_bus, 0x10);
	assert_int_equal(mapped_buses, 3);
	assert_null(mapped);
	assert_int_equal(reads + writes, 0); /* by ports */
	assert_true(MASTERS(below) && MASTERS(above));
	assert_false(MASTERS(first) || MASTERS(last));
	assert_int_equal(last->reg[1], 0x103);
	assert_string_equal(last_line, "pci: 0003:12:1f.3, class 020000: bus master stopped");
	/* out of reach: told, and the ports still go to segment 0 afterwards */
	refuse_map = true;
	assert_int_equal(silence_all(&segment, 0), 0);
	refuse_map = false;
	assert_int_equal(told[LOG_WARN], 1);
	assert_int_equal(silence_all(&pci_first_segment, 0), 2);
}

#define TEST(f) cmocka_unit_test_setup(f, empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(io_port),
		TEST(memory),
		TEST(which_functions),
		TEST(masters_end),
		TEST(cannot_be_stopped),
		TEST(what_trivet_drives),
		TEST(another_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
