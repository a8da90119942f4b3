/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vreset.c drivers/vdebug.c vmm/bus.c vmm/vdev_life.c tests/unit/fake_vm.c */
/*
 * The devices of one port: system control port A, the reset control register,
 * the debug console and the debug exit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "tests/unit/fake_vm.h"

static const char *const names[] = {"port92", "cf9", "debugcon", "debug-exit"};
enum { PORT92, CF9, DEBUGCON, DEBUG_EXIT };

static struct vm *vm;
static struct vdev *dev[ARRAY_SIZE(names)];

static int setup(void **state)
{
	(void)state;
	vm = fake_vm_create();
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		dev[i] = fake_vm_create_device(vm, names[i], (struct vdev_args){0});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		fake_vm_check_save(vm, dev[i]);
	fake_vm_destroy(vm);
	return 0;
}

static void port92_a20_is_always_on(void **state)
{
	(void)state;
	assert_int_equal(fake_vm_inb(vm, 0x92), 0x02);
	fake_vm_outb(vm, 0x92, 0x00);
	assert_int_equal(fake_vm_inb(vm, 0x92), 0x02);
	fake_vm_outb(vm, 0x92, 0xfe); /* reserved bits do not stick */
	assert_int_equal(fake_vm_inb(vm, 0x92), 0x02);
	assert_int_equal(vm->resets, 0);
}

static void port92_resets_on_the_rising_edge(void **state)
{
	(void)state;
	fake_vm_outb(vm, 0x92, 0x03);
	assert_int_equal(vm->resets, 1);
	assert_string_equal(vm->reset_how, "port 92h");
	assert_int_equal(fake_vm_inb(vm, 0x92), 0x03);
	fake_vm_check_save(vm, dev[PORT92]);
	fake_vm_outb(vm, 0x92, 0x03);
	assert_int_equal(vm->resets, 1);
	fake_vm_outb(vm, 0x92, 0x02);
	fake_vm_outb(vm, 0x92, 0x01);
	assert_int_equal(vm->resets, 2);
	/* After the reset the bit is 0 again, so that the next write works. */
	vdev_reset(dev[PORT92]);
	assert_int_equal(fake_vm_inb(vm, 0x92), 0x02);
	fake_vm_outb(vm, 0x92, 0x01);
	assert_int_equal(vm->resets, 3);
	assert_int_equal(vm->exits, 0);
}

static void cf9_resets_on_the_rising_edge(void **state)
{
	(void)state;
	assert_int_equal(fake_vm_inb(vm, 0xcf9), 0x00);
	/* The usual order: choose the kind, then pull the trigger. */
	fake_vm_outb(vm, 0xcf9, 0x02);
	assert_int_equal(vm->resets, 0);
	assert_int_equal(fake_vm_inb(vm, 0xcf9), 0x02);
	fake_vm_outb(vm, 0xcf9, 0x06);
	assert_int_equal(vm->resets, 1);
	assert_string_equal(vm->reset_how, "port CF9h");
	fake_vm_outb(vm, 0xcf9, 0x06);
	assert_int_equal(vm->resets, 1);
	fake_vm_outb(vm, 0xcf9, 0x00);
	fake_vm_outb(vm, 0xcf9, 0x04); /* soft */
	assert_int_equal(vm->resets, 2);
	fake_vm_outb(vm, 0xcf9, 0xf3);
	assert_int_equal(fake_vm_inb(vm, 0xcf9), 0x02);
	fake_vm_outb(vm, 0xcf9, 0xff);
	assert_int_equal(vm->resets, 3);
	assert_int_equal(fake_vm_inb(vm, 0xcf9), 0x0e);
	vdev_reset(dev[CF9]);
	assert_int_equal(fake_vm_inb(vm, 0xcf9), 0x00);
}

/* A PCI configuration address with function 4 has bit 2 of its second byte set. */
static void cf9_takes_bytes_only(void **state)
{
	(void)state;
	fake_vm_outl(vm, 0xcf8, 0x80000400);
	fake_vm_outw(vm, 0xcf8, 0x0600);
	fake_vm_outw(vm, 0xcf9, 0x0006);
	fake_vm_outl(vm, 0xcf9, 0x00000006);
	assert_int_equal(vm->resets, 0);
	assert_int_equal(fake_vm_inl(vm, 0xcf8), 0xffffffff);
	assert_int_equal(fake_vm_inw(vm, 0xcf9), 0xffff);
	assert_int_equal(fake_vm_inb(vm, 0xcf9), 0x00);
}

static void debugcon_takes_bytes_at_both_ports(void **state)
{
	(void)state;
	assert_int_equal(fake_vm_inb(vm, 0xe9), 0xe9);
	assert_int_equal(fake_vm_inb(vm, 0x402), 0xe9);
	fake_vm_outb(vm, 0xe9, 'a');
	fake_vm_outb(vm, 0x402, 'b');
	fake_vm_outw(vm, 0x402, 'x' << 8 | 'c'); /* port 403h is nobody's */
	fake_vm_outw(vm, 0xe8, 'd' << 8 | 'x');
	assert_int_equal(vm->debug_count, 4);
	assert_memory_equal(vm->debug, "abcd", 4);
	assert_int_equal(fake_vm_inw(vm, 0xe9), 0xffe9);
}

static void debug_exit_takes_every_width(void **state)
{
	(void)state;
	fake_vm_outb(vm, 0xf4, 0xab);
	assert_int_equal(vm->exits, 1);
	assert_int_equal(vm->exit_code, 0xab);
	fake_vm_outw(vm, 0xf4, 0xabcd);
	assert_int_equal(vm->exits, 2);
	assert_int_equal(vm->exit_code, 0xabcd);
	fake_vm_outl(vm, 0xf4, 0x89abcdef);
	assert_int_equal(vm->exits, 3);
	assert_int_equal(vm->exit_code, 0x89abcdef);
	fake_vm_outb(vm, 0xf5, 1);
	fake_vm_outw(vm, 0xf6, 1);
	assert_int_equal(vm->exits, 3);
	assert_int_equal(fake_vm_inl(vm, 0xf4), 0xffffffff);
	assert_int_equal(fake_vm_inb(vm, 0xf4), 0xff);
	assert_int_equal(vm->resets, 0);
}

/* Where a VM does not have it, the port is nobody's. */
static void no_debug_exit_unless_asked_for(void **state)
{
	struct vm *other = fake_vm_create();

	(void)state;
	assert_false(bus_write(&other->ports, 0xf4, 4, 1));
	assert_int_equal(other->exits, 0);
	fake_vm_destroy(other);
}

static void ports_in_use_are_refused(void **state)
{
	struct vdev *second;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(fake_vm_try_device(vm, names[i], (struct vdev_args){0}, &second),
				 -EEXIST);
	}
}

static void impossible_blobs_are_refused(void **state)
{
	static const u8 port92_bad = 0x02, cf9_bad = 0x10;

	(void)state;
	assert_int_equal(vdev_restore(dev[PORT92], &port92_bad, 1), -EINVAL);
	assert_int_equal(vdev_restore(dev[CF9], &cf9_bad, 1), -EINVAL);
}

static void survives_a_storm(void **state)
{
	(void)state;
	fake_vm_storm(vm, 0xcf9, 1000000);
	assert_true(vm->resets > 1000);
	assert_true(vm->exits > 1000);
	assert_true(vm->debug_count > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(port92_a20_is_always_on, setup, teardown),
		cmocka_unit_test_setup_teardown(port92_resets_on_the_rising_edge, setup, teardown),
		cmocka_unit_test_setup_teardown(cf9_resets_on_the_rising_edge, setup, teardown),
		cmocka_unit_test_setup_teardown(cf9_takes_bytes_only, setup, teardown),
		cmocka_unit_test_setup_teardown(debugcon_takes_bytes_at_both_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(debug_exit_takes_every_width, setup, teardown),
		cmocka_unit_test_setup_teardown(no_debug_exit_unless_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_in_use_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(impossible_blobs_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_storm, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
