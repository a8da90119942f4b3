/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vi8042.c vmm/bus.c vmm/vdev_life.c tests/unit/fake_vm.c */
/*
 * The keyboard controller against IBM's AT reference: commands and answers,
 * the ways to reset the machine, interrupt 1; and that a search for keyboard
 * and mouse gets an answer to everything at once.
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

#define OBF 0x01
#define IBF 0x02
#define SYS 0x04
#define CMD 0x08
#define UNL 0x10
#define AUX 0x20
#define TMO 0x40

static struct vm *vm;
static struct vdev *kbc;

static u8 status(void)
{
	return fake_vm_inb(vm, 0x64);
}

static u8 data(void)
{
	return fake_vm_inb(vm, 0x60);
}

static void command(u8 byte)
{
	fake_vm_outb(vm, 0x64, byte);
}

static void send(u8 byte)
{
	fake_vm_outb(vm, 0x60, byte);
}

/* Sends a command that must answer at once. */
static u8 ask(u8 byte)
{
	command(byte);
	assert_int_equal(status() & (OBF | AUX | TMO), OBF);
	return data();
}

static int setup(void **state)
{
	(void)state;
	vm = fake_vm_create();
	kbc = fake_vm_create_device(vm, "i8042", (struct vdev_args){.irq = 1});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_check_save(vm, kbc);
	fake_vm_destroy(vm);
	return 0;
}

static void idle_status_is_zero(void **state)
{
	(void)state;
	assert_int_equal(status(), 0x00);
	assert_int_equal(data(), 0x00);
	assert_int_equal(vm->edges[1], 0);
	/* After commands and a reset as well. */
	command(0x60);
	send(0x45);
	ask(0xaa);
	vdev_reset(kbc);
	assert_int_equal(status(), 0x00);
	assert_int_equal(ask(0x20), 0x00);
}

/* Ports 61h to 63h are others'. */
static void claims_only_its_two_ports(void **state)
{
	struct vdev *second;
	bool claimed;

	(void)state;
	for (u16 port = 0x5f; port <= 0x65; port++) {
		bus_read(&vm->ports, port, 1, &claimed);
		assert_int_equal(claimed, port == 0x60 || port == 0x64);
	}
	assert_int_equal(fake_vm_inl(vm, 0x60), 0xffffff00);
	assert_int_equal(fake_vm_try_device(vm, "i8042", (struct vdev_args){0}, &second), -EEXIST);
}

static void command_byte(void **state)
{
	(void)state;
	command(0x60);
	assert_int_equal(status(), CMD);
	fake_vm_check_save(vm, kbc);
	send(0x74);
	assert_int_equal(status(), SYS); /* bit 2 shows in the status */
	assert_int_equal(ask(0x20), 0x74);
	assert_int_equal(status(), SYS | CMD | UNL);
	command(0xae);
	assert_int_equal(ask(0x20), 0x64);
	command(0xad);
	assert_int_equal(ask(0x20), 0x74);
	command(0xa8);
	assert_int_equal(ask(0x20), 0x54);
	command(0xa7);
	assert_int_equal(ask(0x20), 0x74);
	/* The RAM behind it. */
	for (unsigned i = 1; i < 32; i++) {
		command((u8)(0x60 + i));
		send((u8)(0xa0 + i));
	}
	for (unsigned i = 1; i < 32; i++)
		assert_int_equal(ask((u8)(0x20 + i)), 0xa0 + i);
	assert_int_equal(ask(0x20), 0x74);
	/* A command in between ends the wait for a data byte. */
	command(0x60);
	command(0xae);
	send(0x00);
	assert_int_equal(data(), 0xfe);
	assert_int_equal(ask(0x20), 0x64);
}

static void tests_and_ports(void **state)
{
	(void)state;
	assert_int_equal(ask(0xaa), 0x55);
	assert_int_equal(status(), SYS | CMD | UNL); /* the self-test sets the system flag */
	assert_int_equal(ask(0xab), 0x00);
	assert_int_equal(ask(0xa9), 0x01);
	assert_int_equal(ask(0xc0) & 0x80, 0x80); /* not locked */
	assert_int_equal(ask(0xe0), 0x03);
	/* Output port: no reset, A20 on, buffer empty; then with a byte waiting. */
	assert_int_equal(ask(0xd0) & 0x13, 0x03);
	command(0xaa);
	assert_int_equal(ask(0xd0) & 0x13, 0x13);
	/* Unknown ones do nothing. */
	command(0x00);
	command(0xbf);
	command(0xef);
	assert_int_equal(status() & (OBF | IBF), 0);
	assert_int_equal(vm->resets, 0);
}

static void a20_stays_on(void **state)
{
	(void)state;
	command(0xd1);
	send(0xdd); /* A20 off, CPU running */
	assert_int_equal(ask(0xd0) & 0x03, 0x03);
	assert_int_equal(vm->resets, 0);
	assert_int_equal(status() & OBF, 0);
}

static void resets(void **state)
{
	unsigned expected = 0;

	(void)state;
	for (unsigned byte = 0xf0; byte <= 0xff; byte++) {
		command((u8)byte);
		expected += !(byte & 1);
		assert_int_equal(vm->resets, expected);
	}
	assert_string_equal(vm->reset_how, "keyboard controller");
	command(0xd1);
	send(0xfe);
	assert_int_equal(vm->resets, expected + 1);
	send(0xfe); /* the keyboard's, not the port's */
	assert_int_equal(vm->resets, expected + 1);
}

static void interrupt_1(void **state)
{
	(void)state;
	ask(0xaa);
	assert_int_equal(vm->edges[1], 0);
	command(0xaa);
	command(0x60);
	send(0x01); /* enabling it with a byte waiting raises it */
	assert_true(vm->level[1]);
	fake_vm_check_save(vm, kbc);
	assert_int_equal(data(), 0x55);
	assert_false(vm->level[1]);
	command(0xd2); /* a byte as if from the keyboard */
	send(0x1c);
	assert_int_equal(status() & (OBF | AUX | TMO), OBF);
	assert_true(vm->level[1]);
	assert_int_equal(vm->edges[1], 2);
	assert_int_equal(data(), 0x1c);
	/* What the auxiliary port answers is not interrupt 1's. */
	command(0xd4);
	send(0xf2);
	assert_false(vm->level[1]);
	assert_int_equal(data(), 0xfe);
	/* A reset lowers it. */
	command(0xaa);
	assert_true(vm->level[1]);
	vdev_reset(kbc);
	assert_false(vm->level[1]);
}

/* What is read twice stays the same; a byte that is not read is replaced. */
static void output_buffer(void **state)
{
	(void)state;
	command(0xaa);
	assert_int_equal(data(), 0x55);
	assert_int_equal(status() & OBF, 0);
	assert_int_equal(data(), 0x55);
	command(0xaa);
	command(0xab);
	assert_int_equal(data(), 0x00);
	assert_int_equal(status() & OBF, 0);
	/* The flags belong to the byte that is there now. */
	command(0xd4);
	send(0xf2);
	command(0xaa);
	assert_int_equal(status() & (OBF | AUX | TMO), OBF);
	assert_int_equal(data(), 0x55);
}

/* Nothing is plugged in: FEh and the time-out bit, at once. */
static void absent_keyboard_and_mouse(void **state)
{
	static const u8 bytes[] = {0xf2, 0xed, 0xff, 0xf4, 0xee, 0x00};

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		send(bytes[i]);
		assert_int_equal(status() & (OBF | AUX | TMO | CMD), OBF | TMO);
		assert_int_equal(data(), 0xfe);
		assert_int_equal(status() & (OBF | AUX | TMO), 0);
		command(0xd4);
		send(bytes[i]);
		assert_int_equal(status() & (OBF | AUX | TMO | CMD), OBF | AUX | TMO);
		assert_int_equal(data(), 0xfe);
	}
}

/* A driver's search for the auxiliary port: loop-back, then the line test. */
static void auxiliary_port_seems_absent(void **state)
{
	(void)state;
	command(0xd3);
	send(0x5a);
	assert_int_equal(status() & (OBF | AUX), OBF); /* not from the port */
	assert_int_equal(data(), 0x5a);
	assert_int_not_equal(ask(0xa9), 0x00);
}

static void restore_brings_back_the_line(void **state)
{
	u8 blob[64];
	size_t size;

	(void)state;
	assert_true(kbc->type->save_size <= sizeof(blob));
	command(0x60);
	send(0x01);
	command(0xaa);
	size = vdev_save(kbc, blob);
	vdev_reset(kbc);
	assert_false(vm->level[1]);
	assert_int_equal(vdev_restore(kbc, blob, size), 0);
	assert_true(vm->level[1]);
	assert_int_equal(data(), 0x55);
}

/* Behind the 32 bytes of RAM: status, output, the command that waits for data. */
static void impossible_blobs_are_refused(void **state)
{
	static const struct {
		u8 at, value;
		int result;
	} cases[] = {{32, 0x79, 0},	  {32, 0x02, -EINVAL}, {32, 0x80, -EINVAL}, {33, 0xff, 0},
		     {34, 0x60, 0},	  {34, 0x7f, 0},       {34, 0xd1, 0},	    {34, 0xd4, 0},
		     {34, 0x20, -EINVAL}, {34, 0xd5, -EINVAL}, {34, 0x80, -EINVAL}};

	(void)state;
	assert_int_equal(kbc->type->save_size, 35);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 blob[35] = {0};

		blob[cases[i].at] = cases[i].value;
		assert_int_equal(vdev_restore(kbc, blob, sizeof(blob)), cases[i].result);
		if (cases[i].result == 0)
			fake_vm_check_save(vm, kbc);
	}
}

static void survives_a_storm(void **state)
{
	(void)state;
	fake_vm_storm(vm, 0x8042, 1000000);
	assert_true(vm->resets > 1000);
	assert_true(vm->edges[1] > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(idle_status_is_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(claims_only_its_two_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(command_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(tests_and_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(a20_stays_on, setup, teardown),
		cmocka_unit_test_setup_teardown(resets, setup, teardown),
		cmocka_unit_test_setup_teardown(interrupt_1, setup, teardown),
		cmocka_unit_test_setup_teardown(output_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(absent_keyboard_and_mouse, setup, teardown),
		cmocka_unit_test_setup_teardown(auxiliary_port_seems_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(restore_brings_back_the_line, setup, teardown),
		cmocka_unit_test_setup_teardown(impossible_blobs_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_storm, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
