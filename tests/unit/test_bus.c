/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/bus.c */
/*
 * The bus table: claims, widths, splits at the end of ranges, the wrap of the
 * port space, exact ranges. Compared at the end with a plain array of owners.
 */
#include "vmm/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "vmm/vdev.h"

/* A device that logs its accesses; reads give ones above its tag and offset. */
struct probe {
	u8 tag;
	unsigned calls;
	u64 offset, value;
	unsigned size;
};

static u64 probe_read(struct vdev *dev, u64 offset, unsigned size)
{
	struct probe *p = dev->state;

	p->calls++;
	p->offset = offset;
	p->size = size;
	return 0xfedcba9876540000ull | p->tag << 8 | (offset & 0xff);
}

static void probe_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	struct probe *p = dev->state;

	p->calls++;
	p->offset = offset;
	p->size = size;
	p->value = value;
}

static u8 probe_in(struct vdev *dev, u16 port)
{
	struct probe *p = dev->state;

	p->calls++;
	p->offset = port;
	p->size = 1;
	return (u8)(port + 1);
}

static void probe_out(struct vdev *dev, u16 port, u8 value)
{
	probe_write(dev, port, 1, value);
}

static const struct bus_ops plain_ops = {.read = probe_read, .write = probe_write};
static const struct bus_ops byte_ops = {.in = probe_in, .out = probe_out};
static const struct bus_ops exact_ops = {.read = probe_read, .write = probe_write, .exact = true};

static struct probe pa, pb;
static struct vdev a = {.state = &pa}, b = {.state = &pb};
static struct bus bus;

static int setup(void **state)
{
	(void)state;
	pa = (struct probe){.tag = 0xa};
	pb = (struct probe){.tag = 0xb};
	bus_init(&bus, BUS_PORT_TOP);
	return 0;
}

static void unclaimed_reads_all_ones(void **state)
{
	bool claimed = true;

	(void)state;
	assert_int_equal(bus_read(&bus, 0x80, 1, &claimed), 0xff);
	assert_false(claimed);
	assert_int_equal(bus_read(&bus, 0x80, 2, NULL), 0xffff);
	assert_int_equal(bus_read(&bus, 0x80, 4, NULL), 0xffffffff);
	assert_int_equal(bus_read(&bus, 0x80, 8, NULL), ~0ull);
	assert_false(bus_write(&bus, 0x80, 4, 1));
}

static void value_is_cut_to_width(void **state)
{
	bool claimed = false;

	(void)state;
	assert_int_equal(bus_claim(&bus, 0x40, 8, &a, &plain_ops), 0);
	assert_int_equal(bus_read(&bus, 0x41, 1, &claimed), 0x01);
	assert_true(claimed);
	assert_int_equal(bus_read(&bus, 0x42, 2, NULL), 0x0a02);
	assert_int_equal(pa.size, 2);
	assert_int_equal(bus_read(&bus, 0x44, 4, NULL), 0x76540a04);
	assert_int_equal(bus_read(&bus, 0x40, 8, NULL), 0xfedcba9876540a00ull);

	assert_true(bus_write(&bus, 0x47, 1, 0x123));
	assert_int_equal(pa.value, 0x23);
	assert_int_equal(pa.offset, 7);
	assert_true(bus_write(&bus, 0x40, 8, ~0ull));
	assert_int_equal(pa.value, ~0ull);
}

static void straddling_access_is_split(void **state)
{
	bool claimed;

	(void)state;
	assert_int_equal(bus_claim(&bus, 0x60, 2, &a, &plain_ops), 0);
	assert_int_equal(bus_claim(&bus, 0x62, 1, &b, &plain_ops), 0);
	/* 61h is a's second byte, 62h is b's first, 63h and 64h nobody's. */
	assert_int_equal(bus_read(&bus, 0x61, 4, &claimed), 0xffff0001);
	assert_true(claimed);
	assert_int_equal(pa.calls, 1);
	assert_int_equal(pa.size, 1);
	assert_int_equal(pa.offset, 1);
	assert_int_equal(pb.calls, 1);
	/* One that begins below the range. */
	assert_int_equal(bus_read(&bus, 0x5f, 2, NULL), 0x00ff);

	assert_true(bus_write(&bus, 0x61, 2, 0x3412));
	assert_int_equal(pa.value, 0x12);
	assert_int_equal(pb.value, 0x34);
	assert_int_equal(pb.offset, 0);
	assert_true(bus_write(&bus, 0x5d, 4, 0x78000000));
	assert_int_equal(pa.value, 0x78);
	assert_int_equal(pa.offset, 0);
}

/* An 8-bit chip sees OUT DX, AX as two writes to neighbouring ports. */
static void wide_access_to_narrow_device(void **state)
{
	(void)state;
	assert_int_equal(bus_claim(&bus, 0x20, 4, &a, &byte_ops), 0);
	assert_true(bus_write(&bus, 0x20, 2, 0x3412));
	assert_int_equal(pa.calls, 2);
	assert_int_equal(pa.offset, 0x21); /* the port's number */
	assert_int_equal(pa.size, 1);
	assert_int_equal(pa.value, 0x34);
	assert_int_equal(bus_read(&bus, 0x20, 4, NULL), 0x24232221);
	assert_int_equal(pa.calls, 6);
	assert_int_equal(bus_read(&bus, 0x23, 1, NULL), 0x24);
	assert_int_equal(pa.calls, 7);
}

/* "IN EAX, FFFEh": what lies beyond FFFFh does not come round to port 0. */
static void port_space_does_not_come_round(void **state)
{
	(void)state;
	assert_int_equal(bus_claim(&bus, 0xfffe, 2, &a, &plain_ops), 0);
	assert_int_equal(bus_claim(&bus, 0, 4, &b, &plain_ops), 0);
	assert_int_equal(bus_read(&bus, 0xfffe, 4, NULL), 0xffff0100);
	assert_int_equal(bus_read(&bus, 0xffff, 2, NULL), 0xff01);
	assert_true(bus_write(&bus, 0xffff, 4, 0x44332211));
	assert_int_equal(pa.value, 0x11);
	assert_int_equal(bus_read(&bus, 0x10000, 1, NULL), 0xff);
	assert_false(bus_write(&bus, 0x10000, 1, 0));
	assert_int_equal(pb.calls, 0);
}

static void mmio_reaches_the_last_byte(void **state)
{
	(void)state;
	bus_init(&bus, BUS_MMIO_TOP);
	assert_int_equal(bus_claim(&bus, ~0ull - 7, 8, &a, &plain_ops), 0);
	assert_int_equal(bus_read(&bus, ~0ull - 7, 8, NULL), 0xfedcba9876540a00ull);
	assert_int_equal(bus_read(&bus, ~0ull, 8, NULL), 0xffffffffffffff07ull);
	assert_true(bus_write(&bus, ~0ull, 8, 0x1199));
	assert_int_equal(pa.value, 0x99);
	assert_int_equal(bus_claim(&bus, 0, 1, &b, &plain_ops), 0);
	assert_int_equal(bus_read(&bus, ~0ull - 2, 4, NULL), 0xff070605);
	assert_true(bus_write(&bus, ~0ull - 2, 4, 0x44332211));
	assert_int_equal(pa.value, 0x33);
	assert_int_equal(pb.calls, 0);
}

static void odd_sizes_are_safe(void **state)
{
	(void)state;
	assert_int_equal(bus_claim(&bus, 0, 16, &a, &plain_ops), 0);
	assert_int_equal(bus_read(&bus, 4, 3, NULL), 0x060504);
	assert_int_equal(pa.size, 1);
	assert_int_equal(bus_read(&bus, 4, 0, NULL), 0);
	assert_false(bus_write(&bus, 4, 0, 1));
	bus_read(&bus, 0, 4096, NULL);
	assert_int_equal(pa.offset, 7);
}

static void bad_claims_are_refused(void **state)
{
	(void)state;
	assert_int_equal(bus_claim(&bus, 0x80, 0, &a, &plain_ops), -EINVAL);
	assert_int_equal(bus_claim(&bus, 0xffff, 2, &a, &plain_ops), -EINVAL);
	assert_int_equal(bus_claim(&bus, 0x10000, 1, &a, &plain_ops), -EINVAL);
	assert_int_equal(bus_claim(&bus, 1, ~0ull, &a, &plain_ops), -EINVAL);
	assert_int_equal(bus_claim(&bus, 2, ~0ull, &a, &plain_ops), -EINVAL);
	assert_int_equal(bus.count, 0);

	assert_int_equal(bus_claim(&bus, 0x80, 4, &a, &plain_ops), 0);
	assert_int_equal(bus_claim(&bus, 0x83, 1, &b, &plain_ops), -EEXIST);
	assert_int_equal(bus_claim(&bus, 0x7f, 2, &b, &plain_ops), -EEXIST);
	assert_int_equal(bus_claim(&bus, 0x7f, 10, &b, &plain_ops), -EEXIST);
	assert_int_equal(bus_claim(&bus, 0x80, 4, &a, &plain_ops), -EEXIST);
	assert_int_equal(bus_claim(&bus, 0x84, 1, &b, &plain_ops), 0);
	assert_int_equal(bus_claim(&bus, 0x7f, 1, &b, &plain_ops), 0);
}

static void full_table_is_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BUS_RANGES_MAX; i++)
		assert_int_equal(bus_claim(&bus, 0x4000 - 16 * i, 1, &a, &plain_ops), 0);
	assert_int_equal(bus_claim(&bus, 0x8000, 1, &b, &plain_ops), -ENOSPC);
	assert_int_equal(bus_claim(&bus, 0x4000, 1, &b, &plain_ops), -EEXIST);
	for (unsigned i = 1; i < bus.count; i++)
		assert_true(bus.range[i - 1].last < bus.range[i].first);
}

/* The reset register of a PC lies within the PCI address register's dword. */
static void exact_range_inside_another(void **state)
{
	static const struct {
		u16 first[2]; /* order of the claims: exact, plain */
		bool exact_first;
	} orders[] = {{{0xcf9, 0xcf8}, true}, {{0xcf9, 0xcf8}, false}, {{0xcf8, 0xcf8}, true},
		      {{0xcf8, 0xcf8}, false}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
		u16 at = orders[i].first[0];

		setup(NULL);
		if (orders[i].exact_first)
			assert_int_equal(bus_claim(&bus, at, 1, &b, &exact_ops), 0);
		assert_int_equal(bus_claim(&bus, 0xcf8, 8, &a, &plain_ops), 0);
		if (!orders[i].exact_first)
			assert_int_equal(bus_claim(&bus, at, 1, &b, &exact_ops), 0);

		assert_true(bus_write(&bus, at, 1, 6));
		assert_int_equal(pb.calls, 1);
		assert_int_equal(pb.value, 6);
		assert_int_equal(pb.offset, 0);
		assert_true(bus_write(&bus, 0xcf8, 4, 0x80000600));
		assert_int_equal(pa.value, 0x80000600);
		bus_read(&bus, at, 2, NULL);
		bus_read(&bus, 0xcfb, 1, NULL);
		assert_int_equal(pa.offset, 3);
		bus_read(&bus, 0xcfe, 4, NULL);
		assert_int_equal(pb.calls, 1);
		assert_int_equal(bus_claim(&bus, at, 1, &a, &exact_ops), -EEXIST);
	}
}

/* Without anything around it, a wider access still passes it by. */
static void strings_of_one_address(void **state)
{
	u8 buffer[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	assert_int_equal(bus_claim(&bus, 0x100, 8, &a, &plain_ops), 0);
	assert_int_equal(bus_claim(&bus, 0x108, 8, &b, &byte_ops), 0);
	assert_true(bus_string(&bus, 0x104, 2, false, buffer, 3));
	assert_int_equal(pa.calls, 3);
	assert_int_equal(pa.value, 0x0605);
	assert_int_equal(pa.offset, 4);
	/* to 8-bit devices by bytes, here half of it to nobody */
	assert_true(bus_string(&bus, 0x10f, 2, false, buffer, 4));
	assert_int_equal(pb.calls, 4);
	assert_int_equal(pb.value, 7);
	assert_true(bus_string(&bus, 0x10f, 2, true, buffer, 4));
	assert_memory_equal(buffer, "\x10\xff\x10\xff\x10\xff\x10\xff", 8);
	assert_true(bus_string(&bus, 0x101, 1, true, buffer, 2));
	assert_memory_equal(buffer, "\x01\x01\x10", 3);
	/* nobody */
	assert_false(bus_string(&bus, 0x200, 4, false, buffer, 2));
	assert_false(bus_string(&bus, 0x200, 1, false, buffer, 8));
	assert_false(bus_string(&bus, 0x200, 2, true, buffer, 1));
	assert_false(bus_string(&bus, 0x200, 1, true, buffer + 2, 1));
	assert_memory_equal(buffer, "\xff\xff\xff\xff\x10", 5);
	assert_int_equal(pa.calls + pb.calls, 3 + 2 + 8);
}

static void exact_range_alone(void **state)
{
	bool claimed = true;

	(void)state;
	assert_int_equal(bus_claim(&bus, 0xcf9, 1, &b, &exact_ops), 0);
	assert_false(bus_write(&bus, 0xcf8, 4, 0x600));
	assert_false(bus_write(&bus, 0xcf9, 2, 6));
	assert_int_equal(bus_read(&bus, 0xcf8, 4, &claimed), 0xffffffff);
	assert_false(claimed);
	assert_int_equal(pb.calls, 0);
	assert_int_equal(bus_read(&bus, 0xcf9, 1, NULL), 0x00);
	assert_int_equal(pb.calls, 1);
}

/* Random tables against an array with the owner of each port. */
static void agrees_with_plain_array(void **state)
{
	static struct probe probes[BUS_RANGES_MAX];
	static struct vdev devs[BUS_RANGES_MAX];
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		int owner[256];
		unsigned start[20];
		unsigned n = 0;

		bus_init(&bus, 255);
		for (unsigned i = 0; i < 256; i++)
			owner[i] = -1;
		while (n < 20) {
			unsigned first = rand_r(&seed) % 256, count = rand_r(&seed) % 12 + 1;
			bool fits = first + count <= 256, free = true;

			for (unsigned i = first; fits && i < first + count; i++)
				free = free && owner[i] < 0;
			probes[n] = (struct probe){.tag = (u8)n};
			devs[n].state = &probes[n];
			start[n] = first;
			assert_int_equal(bus_claim(&bus, first, count, &devs[n], &plain_ops),
					 !fits ? -EINVAL : !free ? -EEXIST : 0);
			for (unsigned i = first; fits && free && i < first + count; i++)
				owner[i] = (int)n;
			n++;
		}
		for (unsigned i = 0; i < 256; i++) {
			struct probe *p = owner[i] < 0 ? NULL : &probes[owner[i]];
			unsigned calls = p ? p->calls : 0;
			bool claimed;

			assert_int_equal(bus_read(&bus, i, 1, &claimed), p ? i - start[owner[i]] : 0xff);
			assert_int_equal(claimed, p != NULL);
			assert_int_equal(p ? p->calls : 1, calls + 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(unclaimed_reads_all_ones, setup),
		cmocka_unit_test_setup(value_is_cut_to_width, setup),
		cmocka_unit_test_setup(straddling_access_is_split, setup),
		cmocka_unit_test_setup(wide_access_to_narrow_device, setup),
		cmocka_unit_test_setup(port_space_does_not_come_round, setup),
		cmocka_unit_test_setup(mmio_reaches_the_last_byte, setup),
		cmocka_unit_test_setup(odd_sizes_are_safe, setup),
		cmocka_unit_test_setup(bad_claims_are_refused, setup),
		cmocka_unit_test_setup(full_table_is_refused, setup),
		cmocka_unit_test_setup(exact_range_inside_another, setup),
		cmocka_unit_test_setup(exact_range_alone, setup),
		cmocka_unit_test_setup(strings_of_one_address, setup),
		cmocka_unit_test_setup(agrees_with_plain_array, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
