/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: tests/unit/fake_lapic.c */
/* SOURCES: vmm/inject.c arch/virt.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * Events: all pairs of an exception during the delivery of another one, error
 * codes, what blocks an interrupt, windows, and the order. Source: Intel SDM
 * volume 3, "Interrupt 8 - Double Fault Exception (#DF)", "Priority Among
 * Concurrent Events", "Masking Exceptions and Interrupts When Switching Stacks".
 */
#include "vmm/inject.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

static struct vm vm;
static struct vcpu vcpu;
static struct fake_vcpu *cpu;
static unsigned resets, acks;
static bool locked;

void vm_request_reset(struct vm *of, const char *how)
{
	assert_ptr_equal(of, &vm);
	assert_string_equal(how, "triple fault");
	resets++;
}

void vm_device_lock(struct vm *of)
{
	(void)of;
	assert_false(locked);
	locked = true;
}

void vm_device_unlock(struct vm *of)
{
	(void)of;
	assert_true(locked);
	locked = false;
}

static u8 ack(struct vdev *dev)
{
	assert_ptr_equal(dev, (void *)&vm);
	assert_true(locked);
	acks++;
	vm.extint_pending = false;
	return 0x31;
}

static int setup(void **state)
{
	(void)state;
	fake_host_init(0);
	fake_virt_init();
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	vm.extint = (struct extint_source){(void *)&vm, ack};
	vcpu.vm = &vm;
	virt->vcpu_create(NULL, &vcpu.virt);
	virt->vcpu_reset(vcpu.virt);
	cpu = fake_vcpu_of(vcpu.virt);
	resets = acks = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virt->vcpu_destroy(vcpu.virt);
	return 0;
}

/* The event of the next entry. */
static struct vcpu_event entry(void)
{
	struct vcpu_event event;

	cpu->next.type = EVENT_NONE;
	inject_prepare(&vcpu);
	event = cpu->next;
	cpu->next.type = EVENT_NONE;
	return event;
}

static void interrupts(bool on)
{
	cpu->reg[VREG_RFLAGS] = RFLAGS_ONE | (on ? RFLAGS_IF : 0);
}

/* Table "Interrupt and Exception Classes"; what is in neither list is benign. */
static bool is_contributory(unsigned vector)
{
	return vector == 0 || (vector >= 10 && vector <= 13) || vector == 21;
}

static bool has_error_code(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

static void error_codes_where_the_manual_has_them(void **state)
{
	(void)state;
	for (unsigned vector = 0; vector < 32; vector++) {
		struct vcpu_event event;

		if (vector == 2)
			continue;
		inject_exception(&vcpu, vector, 0x18);
		event = entry();
		assert_int_equal(event.type, EVENT_EXCEPTION);
		assert_int_equal(event.vector, vector);
		assert_int_equal(event.has_error, has_error_code(vector));
		if (event.has_error)
			assert_int_equal(event.error, 0x18);
		assert_int_equal(entry().type, EVENT_NONE);
	}
	inject_gp(&vcpu);
	assert_int_equal(entry().vector, 13);
	inject_ud(&vcpu);
	assert_int_equal(entry().vector, 6);
}

enum outcome { SERIAL, DOUBLE, SHUTDOWN };

static enum outcome manual(unsigned first, unsigned second)
{
	bool fault = is_contributory(second) || second == 14;

	if (first == 8)
		return fault ? SHUTDOWN : SERIAL;
	if (first == 14)
		return fault ? DOUBLE : SERIAL;
	return is_contributory(first) && is_contributory(second) ? DOUBLE : SERIAL;
}

static void try_pair(unsigned first, unsigned second, bool undelivered)
{
	enum outcome expected = manual(first, second);
	struct vcpu_event event;

	resets = 0;
	vcpu.exception.type = vcpu.repeat.type = EVENT_NONE;
	if (undelivered) {
		cpu->undelivered = (struct vcpu_event){.type = EVENT_EXCEPTION,
						       .vector = first,
						       .has_error = has_error_code(first)};
		inject_take_undelivered(&vcpu);
	} else {
		inject_exception(&vcpu, first, 0);
	}
	inject_exception(&vcpu, second, 0x24);
	assert_int_equal(resets, expected == SHUTDOWN);
	if (expected == SHUTDOWN)
		return;
	event = entry();
	assert_int_equal(event.type, EVENT_EXCEPTION);
	assert_int_equal(event.vector, expected == DOUBLE ? 8 : second);
	assert_int_equal(event.has_error, has_error_code(event.vector));
	if (event.has_error)
		assert_int_equal(event.error, expected == DOUBLE ? 0 : 0x24);
	/* the first one is not delivered again: its instruction is executed anew */
	assert_int_equal(entry().type, EVENT_NONE);
}

static void double_fault_table(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 32; first++)
		for (unsigned second = 0; second < 32; second++) {
			if (first == 2 || second == 2)
				continue;
			try_pair(first, second, true);
			try_pair(first, second, false);
		}
	/* rows of the table by name */
	assert_int_equal(manual(14, 13), DOUBLE);
	assert_int_equal(manual(13, 14), SERIAL);
	assert_int_equal(manual(8, 13), SHUTDOWN);
}

static void software_and_external_events_are_benign(void **state)
{
	static const struct vcpu_event first[] = {
		{.type = EVENT_INTERRUPT, .vector = 13},
		{.type = EVENT_INTERRUPT, .vector = 8},
		{.type = EVENT_NMI, .vector = 2},
		{.type = EVENT_SOFT_INTERRUPT, .vector = 14, .insn_len = 2},
		{.type = EVENT_SOFT_INTERRUPT, .vector = 8, .insn_len = 2},
		{.type = EVENT_SOFT_EXCEPTION, .vector = 3, .insn_len = 1},
		{.type = EVENT_ICEBP, .vector = 1, .insn_len = 1},
	};

	(void)state;
	interrupts(true);
	for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
		bool comes_back = i < 3;
		struct vcpu_event event;

		cpu->undelivered = first[i];
		inject_take_undelivered(&vcpu);
		inject_page_fault(&vcpu, 0x1234000, 2);
		assert_int_equal(resets, 0);
		event = entry();
		assert_int_equal(event.vector, 14);
		assert_int_equal(event.error, 2);
		assert_int_equal(cpu->reg[VREG_CR2], 0x1234000);
		/* no instruction brings an interrupt or NMI back: it is kept */
		event = entry();
		assert_int_equal(event.type, comes_back ? first[i].type : EVENT_NONE);
		if (comes_back)
			assert_int_equal(event.vector, first[i].vector);
	}
}

static void undelivered_event_goes_in_again_as_it_was(void **state)
{
	static const struct vcpu_event events[] = {
		{.type = EVENT_EXCEPTION, .vector = 14, .has_error = true, .error = 7},
		{.type = EVENT_SOFT_INTERRUPT, .vector = 0x80, .insn_len = 2},
		{.type = EVENT_SOFT_EXCEPTION, .vector = 4, .insn_len = 1},
		{.type = EVENT_NMI, .vector = 2},
		{.type = EVENT_ICEBP, .vector = 1, .insn_len = 1},
	};

	(void)state;
	interrupts(false);
	vm.extint_pending = true;
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		struct vcpu_event event;

		cpu->undelivered = events[i];
		inject_take_undelivered(&vcpu);
		assert_true(inject_wakes(&vcpu));
		event = entry();
		assert_int_equal(event.type, events[i].type);
		assert_int_equal(event.vector, events[i].vector);
		assert_int_equal(event.has_error, events[i].has_error);
		assert_int_equal(event.error, events[i].error);
		assert_int_equal(event.insn_len, events[i].insn_len);
		assert_int_equal(entry().type, EVENT_NONE);
	}
	inject_take_undelivered(&vcpu); /* nothing */
	assert_int_equal(vcpu.repeat.type, EVENT_NONE);
	assert_int_equal(acks, 0);
}

static void interrupt_waits_for_if_and_shadows(void **state)
{
	static const struct {
		bool flag;
		unsigned shadow;
		bool taken;
	} rows[] = {
		{false, 0, false},
		{true, SHADOW_STI, false},
		{true, SHADOW_MOV_SS, false},
		{true, SHADOW_STI | SHADOW_NMI, false},
		{false, SHADOW_STI, false},
		{true, SHADOW_NMI, true}, /* NMIs alone are blocked */
		{true, 0, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vcpu_event event;

		acks = 0;
		vm.extint_pending = true;
		interrupts(rows[i].flag);
		cpu->shadow = rows[i].shadow;
		cpu->window[WINDOW_INTERRUPT] = false;
		vcpu.windows = 0;
		event = entry();
		assert_int_equal(event.type, rows[i].taken ? EVENT_INTERRUPT : EVENT_NONE);
		assert_int_equal(acks, rows[i].taken);
		/* what cannot go now asks for an exit as soon as it can */
		assert_int_equal(cpu->window[WINDOW_INTERRUPT], !rows[i].taken);
		if (rows[i].taken) {
			assert_int_equal(event.vector, 0x31);
			assert_false(event.has_error);
		}
	}
}

static void no_interrupt_no_window(void **state)
{
	(void)state;
	interrupts(true);
	cpu->window[WINDOW_INTERRUPT] = true;
	vcpu.windows = BIT(WINDOW_INTERRUPT);
	assert_int_equal(entry().type, EVENT_NONE);
	assert_false(cpu->window[WINDOW_INTERRUPT]);
	assert_false(inject_wakes(&vcpu));
}

static void halted_vcpu_wakes(void **state)
{
	(void)state;
	vm.extint_pending = true;
	interrupts(false);
	assert_false(inject_wakes(&vcpu));
	interrupts(true);
	assert_true(inject_wakes(&vcpu));
	vm.extint_pending = false;
	assert_false(inject_wakes(&vcpu));
	inject_ud(&vcpu);
	assert_true(inject_wakes(&vcpu));
}

static void one_event_an_entry_in_order(void **state)
{
	struct vcpu_event event;

	(void)state;
	interrupts(true);
	vm.extint_pending = true;
	cpu->undelivered = (struct vcpu_event){.type = EVENT_INTERRUPT, .vector = 0x40};
	inject_take_undelivered(&vcpu);
	inject_page_fault(&vcpu, 0, 0);
	event = entry();
	assert_int_equal(event.vector, 14);
	assert_true(cpu->window[WINDOW_INTERRUPT]);
	/* the handler runs with IF = 0: what was acknowledged waits, no new one is taken */
	interrupts(false);
	assert_int_equal(entry().type, EVENT_NONE);
	assert_true(cpu->window[WINDOW_INTERRUPT]);
	interrupts(true);
	event = entry();
	assert_int_equal(event.vector, 0x40);
	assert_true(cpu->window[WINDOW_INTERRUPT]);
	assert_int_equal(acks, 0);
	event = entry();
	assert_int_equal(event.vector, 0x31);
	assert_int_equal(acks, 1);
	assert_false(cpu->window[WINDOW_INTERRUPT]);
}

/* IF does not hold an NMI: it is in the entry behind the fault's. */
static void nmi_behind_a_fault_is_not_held_by_if(void **state)
{
	(void)state;
	interrupts(false);
	cpu->undelivered = (struct vcpu_event){.type = EVENT_NMI, .vector = 2};
	inject_take_undelivered(&vcpu);
	inject_page_fault(&vcpu, 0, 0);
	assert_int_equal(entry().vector, 14);
	assert_int_equal(entry().type, EVENT_NMI);
	assert_int_equal(entry().type, EVENT_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(error_codes_where_the_manual_has_them),
		TEST(double_fault_table),
		TEST(software_and_external_events_are_benign),
		TEST(undelivered_event_goes_in_again_as_it_was),
		TEST(interrupt_waits_for_if_and_shadows),
		TEST(no_interrupt_no_window),
		TEST(halted_vcpu_wakes),
		TEST(one_event_an_entry_in_order),
		TEST(nmi_behind_a_fault_is_not_held_by_if),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
