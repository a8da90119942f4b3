/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vacpi.c arch/lib/format.c tests/unit/fake_vm.c vmm/bus.c vmm/vdev_life.c */
/*
 * ACPI's fixed hardware against the specification's chapter "ACPI Hardware
 * Specification": status bits that a 1 clears, enables, SCI, the power button,
 * sleeping by SLP_EN, and the PM timer with its carry at bit 31.
 */
#include "tests/unit/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

#define SECOND 1000000000ull
#define HALF   ((1ull << 31) * SECOND / 3579545) /* from carry to carry, rounded down */

enum { STS = 0x600, EN = 0x602, CNT = 0x604, TMR = 0x608, SCI = 9 };
enum { TMR_STS = 1, GBL = 0x20, PWRBTN = 0x100, RTC = 0x400 };
enum { SCI_EN = 1, BM_RLD = 2, SLP_EN = 0x2000 };

static struct vm *vm;
static struct vdev *dev;

static int setup(void **state)
{
	(void)state;
	vm = fake_vm_create();
	dev = fake_vm_create_device(vm, "acpi-pm", (struct vdev_args){.port = 0x600});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_destroy(vm);
	return 0;
}

static void press(void)
{
	assert_non_null(vm->power_button.press);
	vm->power_button.press(vm->power_button.dev);
}

static void reset_values(void **state)
{
	(void)state;
	assert_int_equal(fake_vm_inw(vm, STS), 0);
	assert_int_equal(fake_vm_inw(vm, EN), 0);
	assert_int_equal(fake_vm_inw(vm, CNT), SCI_EN);
	assert_int_equal(fake_vm_inw(vm, 0x606), 0);
	assert_int_equal(fake_vm_inl(vm, TMR), 0);
	assert_int_equal(fake_vm_inw(vm, 0x60c), 0xffff); /* not its any more */
	assert_false(vm->level[SCI]);
}

static void enables_hold_the_events_there_are(void **state)
{
	(void)state;
	fake_vm_outw(vm, EN, 0xffff);
	/* no sleep button, no PCI Express wake */
	assert_int_equal(fake_vm_inw(vm, EN), TMR_STS | GBL | PWRBTN | RTC);
	/* by bytes as well */
	fake_vm_outb(vm, EN, 0);
	assert_int_equal(fake_vm_inw(vm, EN), PWRBTN | RTC);
	fake_vm_outb(vm, EN + 1, 0);
	fake_vm_outb(vm, EN, 0xff);
	assert_int_equal(fake_vm_inb(vm, EN), TMR_STS | GBL);
	assert_int_equal(fake_vm_inb(vm, EN + 1), 0);
	/* and both registers as a dword */
	fake_vm_outl(vm, STS, (u32)PWRBTN << 16 | 0xffff);
	assert_int_equal(fake_vm_inl(vm, STS), (u32)PWRBTN << 16);
	assert_false(vm->level[SCI]);
}

static void control(void **state)
{
	(void)state;
	/* SCI_EN is the hardware's, SLP_EN and GBL_RLS read as 0 */
	fake_vm_outw(vm, CNT, 0xdffe);
	assert_int_equal(fake_vm_inw(vm, CNT), 0x1c00 | BM_RLD | SCI_EN);
	fake_vm_outb(vm, CNT, 0);
	assert_int_equal(fake_vm_inw(vm, CNT), 0x1c00 | SCI_EN);
	fake_vm_outw(vm, CNT, 0);
	assert_int_equal(fake_vm_inw(vm, CNT), SCI_EN);
	assert_int_equal(vm->poweroffs, 0);
}

static void sleeping(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 8; type++) {
		fake_vm_outw(vm, CNT, (u16)(type << 10));
		assert_int_equal(vm->poweroffs, 0);
		fake_vm_outw(vm, CNT, (u16)(type << 10 | SLP_EN));
		assert_int_equal(vm->poweroffs, type == 7);
		/* SLP_EN is written only */
		assert_int_equal(fake_vm_inw(vm, CNT), type << 10 | SCI_EN);
	}
	/* the high byte alone does it, too; the low byte has no part in it */
	fake_vm_outb(vm, CNT + 1, 0x3c);
	assert_int_equal(vm->poweroffs, 2);
	fake_vm_outb(vm, CNT, 0xff);
	assert_int_equal(vm->poweroffs, 2);
}

static void power_button(void **state)
{
	(void)state;
	press();
	assert_int_equal(fake_vm_inw(vm, STS), PWRBTN);
	assert_false(vm->level[SCI]);
	fake_vm_outw(vm, EN, PWRBTN);
	assert_true(vm->level[SCI]);
	/* a level until the status is cleared, by a 1 */
	fake_vm_outw(vm, STS, (u16)~PWRBTN);
	assert_true(vm->level[SCI]);
	assert_int_equal(fake_vm_inw(vm, STS), PWRBTN);
	fake_vm_outw(vm, STS, PWRBTN);
	assert_false(vm->level[SCI]);
	assert_int_equal(fake_vm_inw(vm, STS), 0);
	press();
	press();
	assert_true(vm->level[SCI]);
	assert_int_equal(vm->edges[SCI], 2);
	fake_vm_outb(vm, EN + 1, 0);
	assert_false(vm->level[SCI]);
	assert_int_equal(fake_vm_inw(vm, STS), PWRBTN);
	assert_int_equal(vm->poweroffs, 0);
}

static void timer_counts(void **state)
{
	(void)state;
	fake_vm_advance(vm, SECOND);
	assert_int_equal(fake_vm_inl(vm, TMR), 3579545);
	fake_vm_advance(vm, 100 * SECOND);
	assert_int_equal(fake_vm_inl(vm, TMR), 101 * 3579545u);
	assert_int_equal(fake_vm_inb(vm, TMR + 1), 101 * 3579545u >> 8 & 0xff);
	assert_int_equal(fake_vm_inw(vm, TMR + 2), 101 * 3579545u >> 16);
	/* it is read only, and a reset does not stop it */
	fake_vm_outl(vm, TMR, 0);
	vdev_reset(dev);
	assert_int_equal(fake_vm_inl(vm, TMR), 101 * 3579545u);
	/* 32 bits */
	fake_vm_advance(vm, 1199 * SECOND);
	assert_int_equal(fake_vm_inl(vm, TMR), (u32)(1300 * 3579545ull));
	assert_true(1300 * 3579545ull > 0xffffffff);
}

/* TMR_STS is set whenever bit 31 changes, up or down. */
static void timer_carry(void **state)
{
	(void)state;
	fake_vm_advance(vm, HALF - 1000);
	assert_int_equal(fake_vm_inl(vm, TMR) >> 31, 0);
	assert_int_equal(fake_vm_inw(vm, STS), 0);
	fake_vm_advance(vm, 2000);
	assert_int_equal(fake_vm_inl(vm, TMR) >> 31, 1);
	assert_int_equal(fake_vm_inw(vm, STS), TMR_STS);
	fake_vm_outw(vm, STS, TMR_STS);
	assert_int_equal(fake_vm_inw(vm, STS), 0);
	fake_vm_advance(vm, HALF);
	assert_int_equal(fake_vm_inl(vm, TMR) >> 31, 0);
	assert_int_equal(fake_vm_inw(vm, STS), TMR_STS);
	assert_int_equal(vm->edges[SCI], 0);
	/* cleared in the same access that comes after a carry: what was seen then is gone */
	fake_vm_advance(vm, HALF);
	fake_vm_outw(vm, STS, TMR_STS);
	assert_int_equal(fake_vm_inw(vm, STS), 0);
}

static void timer_interrupts(void **state)
{
	u64 fired;

	(void)state;
	assert_null(vm->timers);
	fake_vm_outw(vm, EN, TMR_STS);
	assert_true(vm->timers && vm->timers->armed);
	fake_vm_advance(vm, HALF - 1);
	assert_false(vm->level[SCI]);
	fake_vm_advance(vm, 2);
	assert_true(vm->level[SCI]);
	assert_int_equal(fake_vm_inl(vm, TMR), 0x80000000);
	/* nothing more is armed before the status is cleared */
	fired = vm->timers_fired;
	assert_int_equal(fired, 1);
	fake_vm_advance(vm, 3 * HALF);
	assert_int_equal(vm->timers_fired, fired);
	fake_vm_outw(vm, STS, TMR_STS);
	assert_false(vm->level[SCI]);
	fake_vm_advance(vm, HALF);
	assert_true(vm->level[SCI]);
	fake_vm_outw(vm, STS, TMR_STS);
	fake_vm_outw(vm, EN, 0);
	fake_vm_advance(vm, 2 * HALF);
	assert_false(vm->level[SCI]);
	assert_int_equal(vm->timers_fired, 2);
}

static void reset_clears(void **state)
{
	(void)state;
	fake_vm_outw(vm, EN, 0xffff);
	fake_vm_outw(vm, CNT, 0x1c02);
	fake_vm_advance(vm, HALF + 1000);
	press();
	assert_true(vm->level[SCI]);
	vdev_reset(dev);
	assert_false(vm->level[SCI]);
	assert_int_equal(fake_vm_inw(vm, STS), 0);
	assert_int_equal(fake_vm_inw(vm, EN), 0);
	assert_int_equal(fake_vm_inw(vm, CNT), SCI_EN);
	/* and the timer raises nothing */
	fake_vm_advance(vm, 3 * HALF);
	assert_int_equal(vm->timers_fired, 1);
}

static void saved_and_restored(void **state)
{
	u8 blob[VDEV_SAVE_MAX];
	size_t size;

	(void)state;
	fake_vm_outw(vm, EN, TMR_STS | PWRBTN);
	fake_vm_outw(vm, CNT, 0x1400);
	press();
	fake_vm_check_save(vm, dev);
	size = vdev_save(dev, blob);
	fake_vm_outw(vm, STS, PWRBTN);
	assert_false(vm->level[SCI]);
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	assert_true(vm->level[SCI]);
	assert_int_equal(fake_vm_inw(vm, STS), PWRBTN);
	/* none of these can have been saved: the timer's future, bits that are not there */
	blob[0] = 1;
	assert_int_equal(vdev_restore(dev, blob, size), -EINVAL);
	blob[0] = 0;
	for (unsigned at = 8; at < size; at++) {
		static const u8 possible[] = {TMR_STS, 1, GBL | TMR_STS, 5, BM_RLD, 0x1c};

		for (unsigned bit = 0; bit < 8; bit++) {
			u8 was = blob[at];
			bool good = at < 14 && (possible[at - 8] & BIT(bit));

			blob[at] |= (u8)BIT(bit);
			if (blob[at] != was)
				assert_int_equal(vdev_restore(dev, blob, size), good ? 0 : -EINVAL);
			blob[at] = was;
		}
	}
}

static void describes_itself(void **state)
{
	char text[200];

	(void)state;
	press();
	fake_vm_outw(vm, EN, GBL);
	dev->type->describe(dev, text, sizeof(text));
	assert_string_equal(text, "  PM1 status 0100 enable 0020 control 0001\n");
}

static void storm(void **state)
{
	(void)state;
	fake_vm_storm(vm, 4711, 300000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_values),
		TEST(enables_hold_the_events_there_are),
		TEST(control),
		TEST(sleeping),
		TEST(power_button),
		TEST(timer_counts),
		TEST(timer_carry),
		TEST(timer_interrupts),
		TEST(reset_clears),
		TEST(saved_and_restored),
		TEST(describes_itself),
		TEST(storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
