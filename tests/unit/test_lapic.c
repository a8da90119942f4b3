/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/run.c vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/serve.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/sched.c vmm/job.c tests/unit/fake_context.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c arch/virt.c arch/lib/format.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * The local APIC's registers in both modes, its modes, its timer, and its state
 * as it is saved and set; what goes over the bus between them is
 * test_deliver.c's. Source: Intel SDM volume 3, "Advanced Programmable Interrupt
 * Controller (APIC)".
 */
#include "vmm/lapic_vector.h"
#include "vmm/vcpu.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "arch/msr.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define CPUS 4

enum { BSP = 0x100, EXTD = 0x400, EN = 0x800 };
enum { MASKED = 0x10000, PERIODIC = 0x20000, TSC_DEADLINE = 0x40000 };
enum { SENT = 0x20, RECEIVED = 0x40, ILLEGAL = 0x80 }; /* ESR */
#define PAGE 0xfee00000ull

static struct vm *vm;
static struct vcpu *cpu[CPUS];
static struct fake_vcpu *fake[CPUS];

static u32 rd(struct vcpu *vcpu, unsigned offset)
{
	return (u32)lapic_read(vcpu, offset, 4);
}

static void wr(struct vcpu *vcpu, unsigned offset, u32 value)
{
	lapic_write(vcpu, offset, 4, value);
}

static u32 esr(struct vcpu *vcpu)
{
	wr(vcpu, LAPIC_ESR, 0);
	return rd(vcpu, LAPIC_ESR);
}

/* By the CPU's own names, whatever the mode. */
static u64 get_msr(struct vcpu *vcpu, u32 index)
{
	u64 value = 0;

	assert_true(lapic_read_msr(vcpu, index, &value));
	return value;
}

static bool set_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	return lapic_write_msr(vcpu, index, value);
}

static void x2apic(struct vcpu *vcpu)
{
	assert_true(set_msr(vcpu, MSR_APIC_BASE, get_msr(vcpu, MSR_APIC_BASE) | EXTD));
}

static void enable(struct vcpu *vcpu)
{
	wr(vcpu, LAPIC_SVR, 0x1ff);
}

/* In IRR, as the vCPU itself sees it. */
static bool requested(struct vcpu *vcpu, u8 vector)
{
	lapic_pending(vcpu);
	return rd(vcpu, LAPIC_IRR + vector / 32 * 16) & BIT(vector % 32);
}

/* The vector of an error comes once for each write of ESR, so one that is taken is gone. */
static bool takes(struct vcpu *vcpu, u8 vector)
{
	if (lapic_pending(vcpu) != vector)
		return false;
	lapic_ack(vcpu, vector);
	lapic_eoi(vcpu);
	return true;
}

/* A VM has devices, if none here. */
DEFINE_VDEV(none_type, .name = "none");

static int setup(void **state)
{
	static const struct console_backend none;

	(void)state;
	assert_non_null(console_open("web"));
	fake_host_init(MIB(4));
	fake_virt_init();
	console_set_backend(&none);
	assert_int_equal(vm_create("web", &vm), 0);
	vm->cpuid.maxphyaddr = 40;
	vm->clock_at = 1000;
	assert_int_equal(virt->vm_apic_page(vm->virt, true), 0);
	vm->apic_page = true;
	for (unsigned i = 0; i < CPUS; i++) {
		assert_int_equal(vcpu_create(vm, i, &cpu[i]), 0);
		vcpu_load(cpu[i]);
		vcpu_reset(cpu[i]);
		fake[i] = fake_vcpu_of(cpu[i]->virt);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++)
		vcpu_put(cpu[i]);
	vm_destroy(vm);
	assert_int_equal(fake_host.pages_out, 0);
	return 0;
}

/* ---- registers: "Local APIC State After Power-Up or Reset" and "... After an INIT Reset" */

static u32 reset_value(unsigned offset, u32 id, bool x2)
{
	switch (offset) {
	case 0x20: return x2 ? id : id << 24;
	case 0x30: return 0x00050014; /* six LVT entries, no suppression of EOI broadcasts */
	case 0xd0: return x2 ? id >> 4 << 16 | 1u << (id & 15) : 0;
	case 0xe0: return ~0u;
	case 0xf0: return 0xff;
	case 0x320 ... 0x370: return MASKED;
	default: return 0;
	}
}

static void check_reset(struct vcpu *vcpu)
{
	bool x2 = get_msr(vcpu, MSR_APIC_BASE) & EXTD;

	for (unsigned offset = 0; offset < 0x400; offset += 16) {
		u64 value;

		if (!x2)
			assert_int_equal(rd(vcpu, offset), reset_value(offset, vcpu->id, false));
		else if (lapic_read_msr(vcpu, 0x800 + offset / 16, &value))
			assert_true(value == reset_value(offset, vcpu->id, true));
	}
	assert_int_equal(lapic_pending(vcpu), -1);
	assert_true(get_msr(vcpu, MSR_TSC_DEADLINE) == 0);
	assert_true(lapic_timer(vcpu, vm->clock_at) == VTIMER_NEVER);
}

static void dirty(struct vcpu *vcpu)
{
	static const u16 all[] = {0x80, 0xd0, 0xe0, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370,
				  0x3e0, 0x380};
	static const struct apic_msg msg = {.vector = 0x42, .level = true}, next = {.vector = 0x31};
	bool x2 = lapic_x2apic(vcpu);

	if (x2)
		assert_true(set_msr(vcpu, 0x80f, 0x1ff));
	enable(vcpu);
	lapic_accept(vcpu, &msg);
	assert_true(lapic_pending(vcpu) == 0x42);
	lapic_ack(vcpu, 0x42);
	lapic_accept(vcpu, &msg);
	assert_int_equal(lapic_pending(vcpu), -1);
	lapic_accept(vcpu, &next); /* not looked at yet */
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		wr(vcpu, all[i], 0x5a5a505a);
	rd(vcpu, 0x10);
	wr(vcpu, LAPIC_ESR, 0);
	rd(vcpu, 0x10);
}

static void power_up_and_init(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++) {
		u64 base = PAGE | EN | (i ? 0 : BSP);

		assert_true(get_msr(cpu[i], MSR_APIC_BASE) == base);
		assert_int_equal(lapic_boots(cpu[i]), i == 0);
		check_reset(cpu[i]);
		dirty(cpu[i]);
		lapic_reset(cpu[i], true);
		assert_true(get_msr(cpu[i], MSR_APIC_BASE) == base);
		check_reset(cpu[i]);
		/* "INIT in x2APIC mode [...] remains in x2APIC mode" */
		x2apic(cpu[i]);
		dirty(cpu[i]);
		lapic_reset(cpu[i], true);
		assert_true(get_msr(cpu[i], MSR_APIC_BASE) == (base | EXTD));
		check_reset(cpu[i]);
		dirty(cpu[i]);
		vcpu_reset(cpu[i]);
		assert_true(get_msr(cpu[i], MSR_APIC_BASE) == base);
		check_reset(cpu[i]);
	}
}

static void firmware_leaves_virtual_wire_mode(void **state)
{
	(void)state;
	assert_false(lapic_takes_extint(cpu[0]));
	lapic_virtual_wire(cpu[0]);
	assert_int_equal(rd(cpu[0], LAPIC_SVR), 0x1ff);
	assert_int_equal(rd(cpu[0], LAPIC_LVT_LINT0), 0x700);
	assert_int_equal(rd(cpu[0], LAPIC_LVT_LINT1), 0x400);
	assert_true(lapic_takes_extint(cpu[0]));
	assert_false(lapic_takes_extint(cpu[1]));
}

/* "Local APIC Register Address Map" (version 14h): R, W, or both; what is not here is reserved. */
static const struct map {
	u16 first, last;
	enum { R = 1, W = 2, NO_MSR = 4, MSR_R = 8 } rights;
	u32 bits; /* that keep what is written */
	u64 reserved; /* bits that are #GP by MSR */
} map[] = {
	{0x020, 0x030, R, 0, 0},
	{0x080, 0x080, R | W, 0xff, ~0xffull},
	{0x090, 0x090, R | NO_MSR, 0, 0},
	{0x0a0, 0x0a0, R, 0, 0},
	{0x0b0, 0x0b0, W, 0, ~0ull},
	{0x0c0, 0x0c0, R | NO_MSR, 0, 0},
	{0x0d0, 0x0d0, R | W | MSR_R, 0xff000000, 0},
	{0x0e0, 0x0e0, R | W | NO_MSR, 0xf0000000, 0},
	{0x0f0, 0x0f0, R | W, 0x1ff, ~0x1ffull},
	{0x100, 0x270, R, 0, 0},
	{0x280, 0x280, R | W, 0, ~0ull},
	{0x300, 0x300, R | W, 0xccfff, 0xfff32000},
	{0x310, 0x310, R | W | NO_MSR, 0xff000000, 0},
	{0x320, 0x320, R | W, 0x700ff, ~0x710ffull},
	{0x330, 0x340, R | W, 0x107ff, ~0x117ffull},
	{0x350, 0x360, R | W, 0x1a7ff, ~0x1f7ffull},
	{0x370, 0x370, R | W, 0x100ff, ~0x110ffull},
	{0x380, 0x380, R | W, ~0u, ~0xffffffffull},
	{0x390, 0x390, R, 0, 0},
	{0x3e0, 0x3e0, R | W, 0xb, ~0xbull},
};

static const struct map *mapped(unsigned offset)
{
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		if (offset >= map[i].first && offset <= map[i].last)
			return &map[i];
	return NULL;
}

static void page_has_the_manuals_registers(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	esr(vcpu);
	for (unsigned offset = 0; offset < 0x1000; offset += 16) {
		const struct map *m = mapped(offset);
		u32 before;

		before = rd(vcpu, offset);
		assert_int_equal(esr(vcpu), m ? 0 : ILLEGAL);
		if (!m || !(m->rights & R))
			assert_int_equal(before, 0);
		if (m && offset != 0x280 && offset != 0x300)
			wr(vcpu, offset, 0);
		else if (!m)
			wr(vcpu, offset, 0x1234);
		assert_int_equal(esr(vcpu), m ? 0 : ILLEGAL);
		if (!m)
			assert_int_equal(rd(vcpu, offset), 0);
		if (m && !(m->rights & W))
			assert_int_equal(rd(vcpu, offset), before);
		esr(vcpu);
	}
}

static void page_keeps_the_bits_of_the_figures(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	enable(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		for (unsigned offset = map[i].first; offset <= map[i].last; offset += 16) {
			u32 ones = offset == 0xe0 ? 0x0fffffff : 0;

			if ((map[i].rights & (R | W)) != (R | W) || offset == 0x280 || offset == 0x300)
				continue;
			for (unsigned bit = 0; bit < 32; bit++) {
				wr(vcpu, offset, BIT(bit) | (offset == 0xf0 ? 0x100 : 0));
				assert_int_equal(rd(vcpu, offset) & ~(offset == 0xf0 ? 0x100u : 0),
						 (BIT(bit) & map[i].bits & (offset == 0xf0 ? 0xff : ~0u)) | ones);
			}
			wr(vcpu, offset, offset == 0xf0 ? 0x1ff : 0);
		}
	/* delivery status is always idle; to itself, masked as all others are */
	wr(vcpu, 0x300, 0x000c5fff & ~0x500u);
	assert_int_equal(rd(vcpu, 0x300), 0x000c4aff);
	wr(vcpu, 0x300, 0xfff37000 | 0x40040 | 0x600);
	assert_int_equal(rd(vcpu, 0x300), 0x44640);
}

static void widths_of_accesses(void **state)
{
	struct vcpu *vcpu = cpu[2];

	(void)state;
	/* "all 32-bit registers should be accessed using 128-bit aligned 32-bit loads or stores" */
	for (unsigned k = 0; k < 4; k++)
		assert_int_equal(lapic_read(vcpu, 0x30 + k, 1) & 0xff, 0x00050014 >> 8 * k & 0xff);
	assert_int_equal(lapic_read(vcpu, 0x30, 2) & 0xffff, 0x14);
	assert_int_equal(lapic_read(vcpu, 0x32, 2) & 0xffff, 0x5);
	assert_true(lapic_read(vcpu, 0x30, 8) == 0x50014);
	for (unsigned k = 4; k < 16; k++)
		assert_int_equal(lapic_read(vcpu, 0x30 + k, 1), 0);
	assert_int_equal(lapic_read(vcpu, 0x32, 4), 0);
	assert_int_equal(lapic_read(vcpu, 0x34, 8), 0);
	assert_int_equal(lapic_read(vcpu, 0x3f, 2), 0);
	assert_int_equal(lapic_read(vcpu, 0x23, 1) & 0xff, 2); /* the id, by its byte */
	lapic_write(vcpu, 0x80, 8, 0xffffffff00000055);
	assert_int_equal(rd(vcpu, 0x80), 0x55);
	lapic_write(vcpu, 0x80, 1, 0x11);
	lapic_write(vcpu, 0x80, 2, 0x11);
	lapic_write(vcpu, 0x81, 1, 0x11);
	lapic_write(vcpu, 0x84, 4, 0x11);
	lapic_write(vcpu, 0x88, 8, 0x11);
	lapic_write(vcpu, 0x7e, 4, 0x11);
	assert_int_equal(rd(vcpu, 0x80), 0x55);
	assert_int_equal(esr(vcpu), 0);
}

/* "x2APIC Register Address Space", "Reserved Bit Checking". */
static void msrs_have_the_manuals_registers(void **state)
{
	struct vcpu *vcpu = cpu[1];
	u64 value;

	(void)state;
	/* not there but in x2APIC mode */
	for (u32 index = 0x800; index <= 0x8ff; index++) {
		assert_false(lapic_read_msr(vcpu, index, &value));
		assert_false(lapic_write_msr(vcpu, index, 0));
	}
	x2apic(vcpu);
	assert_true(set_msr(vcpu, 0x80f, 0x1ff));
	for (u32 index = 0x800; index <= 0x8ff; index++) {
		unsigned offset = (index - 0x800) * 16;
		const struct map *m = index == 0x83f ? NULL : mapped(offset);
		bool msr = m && !(m->rights & NO_MSR), writes = msr && (m->rights & W) && !(m->rights & MSR_R);

		if (index == 0x83f) /* SELF IPI: write-only */
			continue;
		assert_int_equal(lapic_read_msr(vcpu, index, &value), msr && (m->rights & R));
		if (!writes)
			assert_false(lapic_write_msr(vcpu, index, 0));
		for (unsigned bit = 0; bit < 64 && writes; bit++) {
			u64 keep = offset == 0xf0 ? 0x100 : offset == 0x300 ? 0x40600 : 0;
			bool bad = m->reserved >> bit & 1;

			assert_int_equal(lapic_write_msr(vcpu, index, BIT(bit) | keep), !bad);
			if (!bad && (m->rights & R) && offset != 0x300)
				assert_true((get_msr(vcpu, index) & ~keep) == (BIT(bit) & m->bits & ~keep));
			if (!bad && offset == 0x300)
				assert_true(get_msr(vcpu, index) == ((BIT(bit) | keep) & 0xffffffff000ccfff));
		}
		if (writes && index != 0x830)
			assert_true(lapic_write_msr(vcpu, index, offset == 0xf0 ? 0x1ff : 0));
	}
	assert_false(lapic_read_msr(vcpu, 0x83f, &value));
	for (unsigned bit = 8; bit < 64; bit++)
		assert_false(lapic_write_msr(vcpu, 0x83f, BIT(bit) | 0x40));
	assert_true(lapic_write_msr(vcpu, 0x83f, 0x40));
	assert_int_equal(lapic_pending(vcpu), 0x40);
}

static void self_ipi_and_ids_in_x2apic_mode(void **state)
{
	struct vcpu *vcpu = cpu[3];
	struct vcpu_exit exit = {.apic.offset = 0x3f0};

	(void)state;
	wr(vcpu, LAPIC_LDR, 0x5a000000);
	wr(vcpu, LAPIC_ICR_HIGH, 0x77000000);
	wr(vcpu, LAPIC_TPR, 0x30);
	x2apic(vcpu);
	assert_true(get_msr(vcpu, 0x802) == 3);
	assert_true(get_msr(vcpu, 0x80d) == 8);
	assert_true(get_msr(vcpu, 0x830) == 0);
	assert_true(get_msr(vcpu, 0x808) == 0x30);
	/* "A SELF IPI is identical to [...] ICR with self-shorthand"; and its error */
	assert_true(set_msr(vcpu, 0x80f, 0x1ff));
	assert_true(set_msr(vcpu, 0x83f, 15));
	assert_true(set_msr(vcpu, 0x828, 0));
	assert_true(get_msr(vcpu, 0x828) == SENT);
	/* as the CPU leaves it to its hypervisor: "Self-IPI Virtualization" */
	vcpu->virt->apic[0x3f0 / 4] = 3;
	lapic_written(vcpu, &exit);
	assert_int_equal(vcpu->virt->apic[0x3f0 / 4], 0);
	assert_true(set_msr(vcpu, 0x828, 0));
	assert_true(get_msr(vcpu, 0x828) == SENT);
	assert_true(set_msr(vcpu, 0x83f, 0x51));
	assert_int_equal(lapic_pending(vcpu), 0x51);
}

/* ---- modes: "x2APIC State Transitions" */

static void base_state_diagram(void **state)
{
	/* from disabled, xAPIC, x2APIC, to disabled, (invalid,) xAPIC, x2APIC */
	static const u64 states[] = {0, EN, EN | EXTD};
	static const struct {
		unsigned from;
		u64 to;
		bool legal;
	} rows[] = {
		{0, 0, true}, {0, EXTD, false}, {0, EN, true}, {0, EN | EXTD, false},
		{1, 0, true}, {1, EXTD, false}, {1, EN, true}, {1, EN | EXTD, true},
		{2, 0, true}, {2, EXTD, false}, {2, EN, false}, {2, EN | EXTD, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vcpu *vcpu = cpu[i % 2];
		u64 keep = PAGE | (i % 2 ? 0 : BSP), from = states[rows[i].from] | keep;

		vcpu_reset(vcpu);
		assert_true(set_msr(vcpu, MSR_APIC_BASE, keep | EN));
		assert_true(set_msr(vcpu, MSR_APIC_BASE, from));
		assert_int_equal(set_msr(vcpu, MSR_APIC_BASE, rows[i].to | keep), rows[i].legal);
		assert_true(get_msr(vcpu, MSR_APIC_BASE) == (rows[i].legal ? rows[i].to | keep : from));
		assert_int_equal(lapic_enabled(vcpu), !!(get_msr(vcpu, MSR_APIC_BASE) & EN));
		assert_int_equal(lapic_x2apic(vcpu), !!(get_msr(vcpu, MSR_APIC_BASE) & EXTD));
	}
}

static void base_reserved_bits(void **state)
{
	u64 base = PAGE | EN | BSP;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		if (BIT(bit) != EXTD)
			assert_int_equal(set_msr(cpu[0], MSR_APIC_BASE, base | BIT(bit)),
					 bit >= 8 && bit != 9 && bit < 40);
	/* where CPUID tells of no x2APIC mode, EXTD is reserved as well */
	vcpu_reset(cpu[0]);
	for (unsigned i = 0; i < vm->cpuid.count; i++)
		if (vm->cpuid.entry[i].leaf == 1)
			vm->cpuid.entry[i].regs.ecx &= ~(u32)BIT(21);
	assert_false(set_msr(cpu[0], MSR_APIC_BASE, base | EXTD));
	assert_true(set_msr(cpu[0], MSR_APIC_BASE, base));
}

/* "When IA32_APIC_BASE[11] is set to 0, prior initialization to the APIC may be lost" */
static void disabled_it_is_gone(void **state)
{
	static const struct apic_msg msg = {.vector = 0x42};
	struct vcpu *vcpu = cpu[1];

	(void)state;
	dirty(vcpu);
	assert_true(set_msr(vcpu, MSR_APIC_BASE, PAGE));
	assert_false(lapic_claims(vcpu, PAGE));
	assert_int_equal(fake[1]->apic_mode, VIRT_APIC_OFF);
	for (unsigned mode = APIC_FIXED; mode <= APIC_EXTINT; mode++)
		assert_false(lapic_accept(vcpu, &(struct apic_msg){.vector = 0x50, .mode = mode}));
	assert_false(lapic_accept(vcpu, &msg));
	assert_false(lapic_listens(vcpu));
	assert_true(set_msr(vcpu, MSR_APIC_BASE, PAGE | EN));
	check_reset(vcpu);
	/* "LINT0 is INTR" then, which the PC wires to the boot CPU */
	assert_true(set_msr(cpu[0], MSR_APIC_BASE, PAGE | BSP));
	assert_true(lapic_takes_extint(cpu[0]));
	assert_true(set_msr(vcpu, MSR_APIC_BASE, PAGE));
	assert_false(lapic_takes_extint(vcpu));
}

static void page_can_be_moved(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	assert_true(lapic_claims(vcpu, PAGE) && lapic_claims(vcpu, PAGE + 0xfff));
	assert_false(lapic_claims(vcpu, PAGE - 1) || lapic_claims(vcpu, PAGE + 0x1000));
	assert_int_equal(fake[1]->apic_mode, VIRT_APIC_XAPIC);
	assert_true(set_msr(vcpu, MSR_APIC_BASE, 0xff12345000 | EN));
	assert_false(lapic_claims(vcpu, PAGE));
	assert_true(lapic_claims(vcpu, 0xff12345000) && lapic_claims(vcpu, 0xff12345fff));
	assert_false(lapic_claims(vcpu, 0x12345000));
	/* the CPU can serve it in the one place only */
	assert_int_equal(fake[1]->apic_mode, VIRT_APIC_OFF);
	assert_int_equal(fake[0]->apic_mode, VIRT_APIC_XAPIC);
	assert_true(set_msr(vcpu, MSR_APIC_BASE, PAGE | EN));
	assert_int_equal(fake[1]->apic_mode, VIRT_APIC_XAPIC);
	x2apic(vcpu);
	assert_int_equal(fake[1]->apic_mode, VIRT_APIC_X2APIC);
	assert_false(lapic_claims(vcpu, PAGE));
}

/* Once any vCPU has it not where it is shown, nobody is to find the frame: for good. */
static void frame_goes_with_the_first_that_leaves(void **state)
{
	static const u64 away[] = {PAGE, PAGE | EN | EXTD, 0xfed00000ull | EN};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(away); i++) {
		virt->vm_apic_page(vm->virt, true);
		vm->apic_page = true;
		for (unsigned k = 0; k < CPUS; k++) {
			vcpu_reset(cpu[k]);
			lapic_reset(cpu[k], true);
			assert_true(set_msr(cpu[k], MSR_APIC_BASE, PAGE | EN));
		}
		assert_true(vm->virt->apic_page);
		assert_true(set_msr(cpu[2], MSR_APIC_BASE, away[i]));
		assert_false(vm->virt->apic_page);
		assert_false(vm->apic_page);
		assert_int_equal(vm->apic_lock.next, vm->apic_lock.owner);
		vcpu_reset(cpu[2]);
		assert_int_equal(fake[2]->apic_mode, VIRT_APIC_XAPIC);
		assert_false(vm->virt->apic_page);
	}
}

static void disabled_by_software(void **state)
{
	static const struct apic_msg in = {.vector = 0x61};
	struct vcpu *vcpu = cpu[1];

	(void)state;
	assert_false(lapic_listens(vcpu));
	for (unsigned offset = 0x320; offset <= 0x370; offset += 16) {
		wr(vcpu, offset, 0x33);
		assert_int_equal(rd(vcpu, offset), MASKED | 0x33);
	}
	enable(vcpu);
	assert_true(lapic_listens(vcpu));
	for (unsigned offset = 0x320; offset <= 0x370; offset += 16) {
		assert_int_equal(rd(vcpu, offset), MASKED | 0x33);
		wr(vcpu, offset, 0x33);
		assert_int_equal(rd(vcpu, offset), 0x33);
	}
	assert_true(lapic_accept(vcpu, &in));
	wr(vcpu, LAPIC_SVR, 0xff);
	for (unsigned offset = 0x320; offset <= 0x370; offset += 16)
		assert_int_equal(rd(vcpu, offset), MASKED | 0x33);
	/* "pending interrupts in the IRR and ISR registers are held and require [...] handling" */
	assert_int_equal(lapic_pending(vcpu), 0x61);
	assert_false(lapic_accept(vcpu, &(struct apic_msg){.vector = 0x71}));
	assert_false(requested(vcpu, 0x71));
	/* "will respond normally to INIT, NMI, SMI, and SIPI messages" */
	assert_false(lapic_accept(vcpu, &(struct apic_msg){.mode = APIC_EXTINT}));
	assert_true(lapic_accept(vcpu, &(struct apic_msg){.mode = APIC_NMI}));
	assert_true(lapic_accept(vcpu, &(struct apic_msg){.mode = APIC_STARTUP}));
	assert_true(lapic_accept(vcpu, &(struct apic_msg){.mode = APIC_INIT}));
}

/* ---- errors: "Error Handling" */

static void errors_are_noted_and_told(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	enable(vcpu);
	wr(vcpu, LAPIC_LVT_ERROR, 0xee);
	assert_true(lapic_accept(vcpu, &(struct apic_msg){.vector = 15}));
	assert_int_equal(rd(vcpu, LAPIC_ESR), 0); /* until it is written */
	assert_true(takes(vcpu, 0xee));
	lapic_accept(vcpu, &(struct apic_msg){.vector = 14});
	assert_int_equal(lapic_pending(vcpu), -1); /* the write of ESR "rearms" it */
	assert_int_equal(esr(vcpu), RECEIVED);
	lapic_accept(vcpu, &(struct apic_msg){.vector = 0, .level = true});
	assert_true(takes(vcpu, 0xee));
	assert_int_equal(rd(vcpu, LAPIC_ESR), RECEIVED);
	assert_int_equal(esr(vcpu), RECEIVED);
	assert_int_equal(esr(vcpu), 0);
	wr(vcpu, LAPIC_ICR, 0x4000f);
	rd(vcpu, 0x40);
	assert_true(takes(vcpu, 0xee));
	assert_int_equal(esr(vcpu), SENT | ILLEGAL);
	wr(vcpu, LAPIC_ICR, 0x4010f); /* lowest priority as well */
	assert_int_equal(esr(vcpu), SENT);
	takes(vcpu, 0xee);
	wr(vcpu, LAPIC_LVT_ERROR, MASKED | 0xee);
	rd(vcpu, 0x40);
	assert_int_equal(lapic_pending(vcpu), -1);
	assert_int_equal(esr(vcpu), ILLEGAL);
}

/* XSA-462: the error of an error must not raise an error. */
static void illegal_vector_in_lvt_error(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	enable(vcpu);
	for (unsigned vector = 0; vector < 16; vector++) {
		wr(vcpu, LAPIC_LVT_ERROR, vector);
		rd(vcpu, 0x40);
		assert_int_equal(lapic_pending(vcpu), -1);
		assert_int_equal(esr(vcpu), ILLEGAL | RECEIVED);
		wr(vcpu, LAPIC_ICR, 0x40000 | vector);
		assert_int_equal(esr(vcpu), SENT | RECEIVED);
	}
	wr(vcpu, LAPIC_LVT_ERROR, MASKED | 3);
	rd(vcpu, 0x40);
	assert_int_equal(esr(vcpu), ILLEGAL);
}

/* ---- timer: "APIC Timer" */

/* So long later; what lapic_timer tells as the VM's clock, or 0 for never. */
static u64 advance(struct vcpu *vcpu, u64 ticks)
{
	u64 next;

	vm->clock_at += ticks;
	vm->clock_runs = true;
	next = lapic_timer(vcpu, vm->clock_start + vm->clock_at);
	vm->clock_runs = false;
	return next == VTIMER_NEVER ? 0 : next - vm->clock_start;
}

static struct vcpu *timer(u32 lvt)
{
	struct vcpu *vcpu = cpu[1];

	enable(vcpu);
	wr(vcpu, LAPIC_TIMER_DIVIDE, 0xb);
	wr(vcpu, LAPIC_LVT_TIMER, lvt);
	return vcpu;
}

static void one_shot_with_all_dividers(void **state)
{
	/* "Divide Configuration Register" */
	static const u8 config[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(config); i++) {
		struct vcpu *vcpu = timer(0x40);
		u64 start = vm->clock_at, period = 1000ull << i;

		wr(vcpu, LAPIC_TIMER_DIVIDE, config[i]);
		wr(vcpu, LAPIC_TIMER_INITIAL, 1000);
		assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 1000);
		assert_true(advance(vcpu, period / 4) == start + period);
		assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 750);
		assert_true(advance(vcpu, period - period / 4 - 1) == start + period);
		assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 1);
		assert_int_equal(lapic_pending(vcpu), -1);
		assert_true(advance(vcpu, 1) == 0);
		assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 0);
		assert_int_equal(rd(vcpu, LAPIC_TIMER_INITIAL), 1000);
		assert_true(takes(vcpu, 0x40));
		advance(vcpu, 10 * period);
		assert_int_equal(lapic_pending(vcpu), -1);
	}
}

static void longest_count(void **state)
{
	struct vcpu *vcpu = timer(0x40);
	u64 start = vm->clock_at;

	(void)state;
	wr(vcpu, LAPIC_TIMER_DIVIDE, 0xa);
	wr(vcpu, LAPIC_TIMER_INITIAL, ~0u);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), ~0u);
	assert_true(advance(vcpu, 0) == start + (0xffffffffull << 7));
}

/* The timer counts the clock that leaf 15h tells, which there is half of the TSC's. */
static void fast_tsc_has_a_slower_crystal(void **state)
{
	struct vcpu *vcpu;
	u64 start = vm->clock_at;

	(void)state;
	tsc_hz = 5000000000;
	vcpu = timer(0x40);
	wr(vcpu, LAPIC_TIMER_INITIAL, 1000);
	assert_true(advance(vcpu, 0) == start + 2000);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 1000);
}

static void periodic_and_late(void **state)
{
	struct vcpu *vcpu = timer(PERIODIC | 0x40);
	u64 start = vm->clock_at, period = 100000;

	(void)state;
	wr(vcpu, LAPIC_TIMER_INITIAL, period);
	for (unsigned i = 1; i < 5; i++) {
		assert_true(advance(vcpu, period) == start + (i + 1) * period);
		assert_true(takes(vcpu, 0x40));
		assert_int_equal(lapic_pending(vcpu), -1);
	}
	/* what comes late comes once, and keeps in step */
	assert_true(advance(vcpu, 7 * period + 5) == start + 12 * period);
	assert_true(takes(vcpu, 0x40));
	assert_int_equal(lapic_pending(vcpu), -1);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), period - 5);
	/* masked it goes on, without a vector */
	wr(vcpu, LAPIC_LVT_TIMER, PERIODIC | MASKED | 0x40);
	assert_true(advance(vcpu, period) == start + 13 * period);
	assert_int_equal(lapic_pending(vcpu), -1);
	wr(vcpu, LAPIC_LVT_TIMER, PERIODIC | 0x41);
	assert_true(advance(vcpu, period) == start + 14 * period);
	assert_true(takes(vcpu, 0x41));
	/* "A write of 0 to the initial-count register effectively stops the local APIC timer" */
	wr(vcpu, LAPIC_TIMER_INITIAL, 0);
	assert_true(advance(vcpu, period) == 0);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 0);
	assert_int_equal(lapic_pending(vcpu), -1);
	/* a storm is held down: 20,000 a second */
	wr(vcpu, LAPIC_TIMER_INITIAL, 1);
	start = vm->clock_at;
	assert_true(advance(vcpu, 1) == start + 1 + tsc_hz / 20000);
}

static void divider_changes_while_it_counts(void **state)
{
	struct vcpu *vcpu = timer(0x40);

	(void)state;
	wr(vcpu, LAPIC_TIMER_INITIAL, 1000);
	advance(vcpu, 400);
	wr(vcpu, LAPIC_TIMER_DIVIDE, 1); /* by 4 */
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 600);
	assert_true(advance(vcpu, 400) == vm->clock_at + 2000);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 500);
	/* the count has ended, and nobody has looked: the interrupt is still to come */
	vm->clock_at += 2000;
	wr(vcpu, LAPIC_TIMER_DIVIDE, 0xb);
	assert_true(advance(vcpu, 0) == 0);
	assert_true(takes(vcpu, 0x40));
	/* it stands still: nothing begins */
	wr(vcpu, LAPIC_TIMER_DIVIDE, 3);
	assert_true(advance(vcpu, 100000) == 0);
	assert_int_equal(lapic_pending(vcpu), -1);
	/* the CPU has written the register by itself */
	wr(vcpu, LAPIC_TIMER_DIVIDE, 0xb);
	wr(vcpu, LAPIC_TIMER_INITIAL, 1000);
	advance(vcpu, 400);
	vcpu->virt->apic[LAPIC_TIMER_DIVIDE / 4] = 0xfff0 | 8; /* by 32 */
	lapic_written(vcpu, &(struct vcpu_exit){.apic.offset = LAPIC_TIMER_DIVIDE});
	assert_int_equal(rd(vcpu, LAPIC_TIMER_DIVIDE), 8);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 600);
	assert_true(advance(vcpu, 0) == vm->clock_at + 600 * 32);
}

/* "TSC-Deadline Mode" */
static void tsc_deadline(void **state)
{
	struct vcpu *vcpu = timer(0x40);
	u64 start = vm->clock_at, now;

	(void)state;
	/* in other modes "reads zero and writes are ignored" */
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, start + 5));
	assert_true(get_msr(vcpu, MSR_TSC_DEADLINE) == 0);
	wr(vcpu, LAPIC_LVT_TIMER, TSC_DEADLINE | 0x40);
	wr(vcpu, LAPIC_TIMER_INITIAL, 77); /* ignored */
	assert_int_equal(rd(vcpu, LAPIC_TIMER_INITIAL), 0);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 0);
	assert_true(advance(vcpu, 0) == 0);
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, start + 500));
	assert_true(get_msr(vcpu, MSR_TSC_DEADLINE) == start + 500);
	assert_true(advance(vcpu, 499) == start + 500);
	assert_int_equal(rd(vcpu, LAPIC_TIMER_CURRENT), 0);
	assert_int_equal(lapic_pending(vcpu), -1);
	assert_true(advance(vcpu, 1) == 0);
	assert_true(takes(vcpu, 0x40));
	assert_true(get_msr(vcpu, MSR_TSC_DEADLINE) == 0);
	/* one in the past; and 0 disarms */
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, 1));
	assert_true(advance(vcpu, 0) == 0);
	assert_true(takes(vcpu, 0x40));
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, vm->clock_at + 5));
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, 0));
	assert_true(advance(vcpu, 50) == 0);
	assert_int_equal(lapic_pending(vcpu), -1);
	/* of the guest's TSC */
	vcpu_set_tsc_delta(vcpu, 10000);
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, vm->clock_at + 10000 + 30));
	assert_true(advance(vcpu, 0) == vm->clock_at + 30);
	assert_int_equal(lapic_pending(vcpu), -1);
	advance(vcpu, 30);
	assert_true(takes(vcpu, 0x40));
	/* one that never comes, with a TSC ahead of the VM's clock and behind it */
	now = vm->clock_start + vm->clock_at;
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, ~0ull));
	assert_true(lapic_timer(vcpu, now) > now + BIT(62));
	vcpu_set_tsc_delta(vcpu, 0 - vm->clock_at);
	assert_true(lapic_timer(vcpu, now) > now + BIT(62));
	assert_int_equal(lapic_pending(vcpu), -1);
	vcpu_set_tsc_delta(vcpu, 10000);
	/* masked it ends, without a vector */
	wr(vcpu, LAPIC_LVT_TIMER, TSC_DEADLINE | MASKED | 0x40);
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, vm->clock_at + 10000 + 30));
	assert_true(advance(vcpu, 40) == 0);
	assert_true(get_msr(vcpu, MSR_TSC_DEADLINE) == 0);
	assert_int_equal(lapic_pending(vcpu), -1);
}

/* "A write to the LVT Timer Register that changes the timer mode disarms the local APIC timer" */
static void modes_of_the_timer(void **state)
{
	static const u32 modes[] = {0, PERIODIC, TSC_DEADLINE};

	(void)state;
	for (unsigned from = 0; from < 3; from++)
		for (unsigned to = 0; to < 3; to++)
			for (unsigned by_cpu = 0; by_cpu < 2; by_cpu++) {
				struct vcpu *vcpu = timer(modes[from] | 0x40);

				wr(vcpu, LAPIC_TIMER_INITIAL, 100000);
				set_msr(vcpu, MSR_TSC_DEADLINE, vm->clock_at + 100000);
				if (by_cpu) {
					vcpu->virt->apic[LAPIC_LVT_TIMER / 4] = modes[to] | 0x41;
					lapic_written(vcpu, &(struct vcpu_exit){.apic.offset = 0x320});
				} else {
					wr(vcpu, LAPIC_LVT_TIMER, modes[to] | 0x41);
				}
				assert_int_equal(!!advance(vcpu, 0), from == to);
				advance(vcpu, 100000);
				assert_int_equal(takes(vcpu, 0x41), from == to);
				wr(vcpu, LAPIC_TIMER_INITIAL, 0);
			}
}

static void cpu_wrote_what_cannot_be_written(void **state)
{
	struct vcpu *vcpu = timer(TSC_DEADLINE | 0x40);
	static const u16 offsets[] = {LAPIC_ID, LAPIC_TIMER_INITIAL, LAPIC_EOI, LAPIC_TPR, LAPIC_LVT_ERROR,
				      LAPIC_DFR, LAPIC_SVR, LAPIC_ESR, LAPIC_ICR_HIGH, LAPIC_LDR};
	static const u32 after[] = {1 << 24, 0, 0, 0x78, 0x10078, 0x1fffffff, 0x178, 0, 0x12000000,
				    0x12000000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		vcpu->virt->apic[offsets[i] / 4] = 0x12350178;
		lapic_written(vcpu, &(struct vcpu_exit){.apic.offset = offsets[i] + 3});
		assert_int_equal(vcpu->virt->apic[offsets[i] / 4], after[i]);
	}
	assert_int_equal(esr(vcpu), 0);
}

/* ---- KVM_GET_LAPIC and KVM_SET_LAPIC */

static void check_get_set(struct vcpu *vcpu)
{
	struct lapic_state a, b;
	const char *why = "";

	vcpu_get_lapic(vcpu, &a);
	lapic_reset(vcpu, false);
	assert_int_equal(vcpu_set_lapic(vcpu, &a, &why), 0);
	assert_null(why);
	vcpu_get_lapic(vcpu, &b);
	assert_memory_equal(&a, &b, sizeof(a));
}

static void get_set_get(void **state)
{
	struct vcpu *vcpu = cpu[2];

	(void)state;
	check_get_set(vcpu);
	wr(vcpu, LAPIC_TIMER_CURRENT, 3);
	enable(vcpu);
	wr(vcpu, LAPIC_LVT_TIMER, PERIODIC | 0x55);
	wr(vcpu, LAPIC_TIMER_DIVIDE, 9);
	wr(vcpu, LAPIC_TIMER_INITIAL, 5000);
	lapic_accept(vcpu, &(struct apic_msg){.vector = 0x80, .level = true});
	lapic_pending(vcpu);
	lapic_ack(vcpu, 0x80);
	lapic_accept(vcpu, &(struct apic_msg){.vector = 0x91});
	rd(vcpu, 0x10);
	check_get_set(vcpu);
	/* and it is what it was */
	assert_int_equal(lapic_pending(vcpu), 0x91);
	assert_int_equal(rd(vcpu, LAPIC_PPR), 0x80);
	assert_true(advance(vcpu, 5000 << 6) == vm->clock_at + (5000 << 6));
	assert_int_equal(esr(vcpu), ILLEGAL);
	assert_int_equal(fake[2]->apic_mode, VIRT_APIC_XAPIC);
	x2apic(vcpu);
	assert_true(set_msr(vcpu, 0x830, 0x1234567800000000 | 0x40600));
	assert_true(set_msr(vcpu, 0x832, TSC_DEADLINE | 0x44));
	assert_true(set_msr(vcpu, MSR_TSC_DEADLINE, 987654321));
	check_get_set(vcpu);
	assert_true(get_msr(vcpu, 0x830) == (0x1234567800000000 | 0x40600));
	assert_true(get_msr(vcpu, MSR_TSC_DEADLINE) == 987654321);
	assert_int_equal(fake[2]->apic_mode, VIRT_APIC_X2APIC);
	assert_true(set_msr(vcpu, MSR_APIC_BASE, PAGE));
	check_get_set(vcpu);
	assert_false(lapic_enabled(vcpu));
	/* a vector that came before is not of the state that is set */
	lapic_reset(vcpu, false);
	vcpu_get_lapic(vcpu, &(struct lapic_state){0});
	enable(vcpu);
	check_get_set(vcpu);
	assert_int_equal(lapic_pending(vcpu), -1);
}

#define BASE    0x1000
#define ERRORS  0x1001
#define TSC_ARM 0x1002
#define ARM     0x1003

static void what_no_apic_can_be_in_is_refused(void **state)
{
	static const struct {
		u16 offset;
		u64 value;
		bool x2;
		const char *word;
	} rows[] = {
		{BASE, PAGE | EXTD, false, "IA32_APIC_BASE"},
		{BASE, PAGE | EN | 1, false, "IA32_APIC_BASE"},
		{BASE, PAGE | EN | 0x200, false, "IA32_APIC_BASE"},
		{BASE, PAGE | EN | BIT(40), false, "IA32_APIC_BASE"},
		{0x30, 0x50015, false, "version"},
		{0x20, 0, false, "id"},
		{0x20, 1, false, "id"},
		{0x20, 1 << 24, true, "id"},
		{0xd0, 1, true, "LDR"},
		{0xd0, 0x10002, true, "LDR"},
		{0xd0, 1, false, "reserved"},
		{0x80, 0x100, false, "reserved"},
		{0xe0, 0, false, "reserved"},
		{0xf0, 0x2ff, false, "reserved"},
		{0x100, BIT(15), false, "below 16"},
		{0x180, 1, false, "below 16"},
		{0x200, BIT(8), false, "below 16"},
		{0x280, 1, false, "reserved"},
		{0x280, 0x100, false, "reserved"},
		{ERRORS, 0x10, false, "ESR"},
		{0x300, BIT(12), false, "reserved"},
		{0x310, 1, false, "reserved"},
		{0x320, 0x100 | MASKED, false, "reserved"},
		{0x330, 0x800 | MASKED, false, "reserved"},
		{0x360, 0x4000 | MASKED, false, "reserved"},
		{0x370, 0x100 | MASKED, true, "reserved"},
		{0x3e0, 4, false, "reserved"},
		{0x390, 1, false, "reserved"},
		{0x000, 1, false, "reserved"},
		{0x084, 1, false, "reserved"},
		{0x108, BIT(20), false, "reserved"},
		{0x090, 1, false, "reserved"},
		{0x0a0, 1, false, "reserved"},
		{0x0b0, 1, false, "reserved"},
		{0x3f0, 0x40, true, "reserved"},
		{0x350, 0x40, false, "masked"},
		{TSC_ARM, 1, false, "another mode"},
		{ARM, 1, false, "another mode"},
	};
	struct vcpu *vcpu = cpu[1];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lapic_state s, before, after;
		const char *why = NULL;

		vcpu_reset(vcpu);
		if (rows[i].x2)
			x2apic(vcpu);
		vcpu_get_lapic(vcpu, &before);
		s = before;
		switch (rows[i].offset) {
		case BASE: s.base = rows[i].value; break;
		case ERRORS: s.errors = rows[i].value; break;
		case TSC_ARM: s.tsc_deadline = rows[i].value; break;
		case ARM: s.deadline = rows[i].value; break;
		default: s.regs[rows[i].offset / 4] = rows[i].value;
		}
		assert_int_equal(vcpu_set_lapic(vcpu, &s, &why), -EINVAL);
		assert_non_null(strstr(why, rows[i].word));
		vcpu_get_lapic(vcpu, &after);
		assert_memory_equal(&before, &after, sizeof(before));
	}
}

/* Where one of them stands alone it may be: what the rows above break is one rule each. */
static void what_an_apic_can_be_in_is_taken(void **state)
{
	static const struct {
		u16 offset;
		u32 value;
	} rows[] = {{0x80, 0xff}, {0xe0, 0x0fffffff}, {0x100, BIT(16)}, {0x1f0, BIT(31)}, {0x280, 0xe0},
		    {0x310, 0xff000000}, {0x360, 0x1a7ff}, {0x3e0, 0xb}, {0xd0, 0xff000000}};
	struct lapic_state s;
	const char *why;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vcpu_reset(cpu[1]);
		vcpu_get_lapic(cpu[1], &s);
		s.regs[rows[i].offset / 4] = rows[i].value;
		assert_int_equal(vcpu_set_lapic(cpu[1], &s, &why), 0);
		assert_int_equal(rd(cpu[1], rows[i].offset), rows[i].value);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(power_up_and_init),
		TEST(firmware_leaves_virtual_wire_mode),
		TEST(page_has_the_manuals_registers),
		TEST(page_keeps_the_bits_of_the_figures),
		TEST(widths_of_accesses),
		TEST(msrs_have_the_manuals_registers),
		TEST(self_ipi_and_ids_in_x2apic_mode),
		TEST(base_state_diagram),
		TEST(base_reserved_bits),
		TEST(disabled_it_is_gone),
		TEST(page_can_be_moved),
		TEST(frame_goes_with_the_first_that_leaves),
		TEST(disabled_by_software),
		TEST(errors_are_noted_and_told),
		TEST(illegal_vector_in_lvt_error),
		TEST(one_shot_with_all_dividers),
		TEST(longest_count),
		TEST(fast_tsc_has_a_slower_crystal),
		TEST(periodic_and_late),
		TEST(divider_changes_while_it_counts),
		TEST(tsc_deadline),
		TEST(modes_of_the_timer),
		TEST(cpu_wrote_what_cannot_be_written),
		TEST(get_set_get),
		TEST(what_no_apic_can_be_in_is_refused),
		TEST(what_an_apic_can_be_in_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
