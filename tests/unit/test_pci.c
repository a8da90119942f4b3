/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/pci.c tests/unit/fake_ports.c */
/* The scan for a serial controller, over a configuration space made here. */
#include "drivers/pci.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_ports.h"

#define FUNCTIONS 8

static struct function {
	u32 at; /* bus << 16 | device << 11 | function << 8 */
	u32 reg[16];
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
	find(address & 0xffff00)->reg[1] = value;
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

#define TEST(f) cmocka_unit_test_setup(f, empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(io_port),
		TEST(memory),
		TEST(which_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
