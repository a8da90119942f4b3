/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/run.c vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/serve.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/sched.c vmm/job.c tests/unit/fake_context.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c arch/virt.c arch/lib/format.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * KVM's calls on a vCPU and its VM, by the contracts of vmm/vcpu.h and vmm/vm.h:
 * get, set, get is the identity; each refusal names a rule and changes nothing;
 * NMIs; the debugger; CPUID and MSR policy; clock, devices, parking.
 */
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
#include "vmm/exit.h"
#include "vmm/gmem.h"
#include "vmm/inject.h"
#include "vmm/mem.h"
#include "vmm/msr.h"
#include "vmm/pcpu.h"
#include "vmm/vdev_life.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

static struct vm *vm;
static struct vcpu *vcpu;
static struct fake_vcpu *cpu;
static const char *why;

/* A device of which a save of 7 cannot be. */
static bool cell_valid(const struct vdev *dev, const void *saved)
{
	assert_int_not_equal(dev->vm->device_lock.next, dev->vm->device_lock.owner);
	return *(const u64 *)saved != 7;
}

DEFINE_VDEV(cell_type, .name = "cell", .state_size = 8, .save_size = 8, .valid = cell_valid);

/* 1 MiB of RAM; 64-bit mode. */
static int setup(void **state)
{
	(void)state;
	fake_host_init(MIB(16));
	fake_virt_init();
	assert_int_equal(vm_create("web", &vm), 0);
	assert_int_equal(mem_create(MIB(1), &vm->ram), 0);
	assert_int_equal(vm_set_memory_region(vm, 0, 0, GPA(0), MIB(1), vm->ram, 0), 0);
	assert_int_equal(vcpu_create(vm, 0, &vcpu), 0);
	vm->cpuid.cr4_valid = CR4_PAE | CR4_PSE | CR4_PCIDE | CR4_DE | CR4_OSXSAVE;
	vm->cpuid.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	vm->cpuid.xcr0_valid = 7;
	vm->cpuid.maxphyaddr = 40;
	vcpu_load(vcpu);
	vcpu_reset(vcpu);
	cpu = fake_vcpu_of(vcpu->virt);
	cpu->reg[VREG_CR0] = CR0_PE | CR0_PG | CR0_ET;
	cpu->reg[VREG_CR4] = CR4_PAE;
	cpu->reg[VREG_EFER] = EFER_LME | EFER_LMA;
	cpu->reg[VREG_CR3] = 0x1000;
	cpu->reg[VREG_RIP] = 0x8000;
	cpu->seg[SREG_CS].l = true;
	cpu->seg[SREG_SS].dpl = 0;
	why = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vcpu_put(vcpu);
	vm_destroy(vm);
	assert_int_equal(fake_virt_vcpus, 0);
	return 0;
}

static void refused(int result)
{
	assert_int_equal(result, -EINVAL);
	assert_non_null(why);
	assert_true(strlen(why) > 8);
	why = NULL;
}

/* ---- registers */

static void registers_identity(void **state)
{
	struct vcpu_regs regs, regs2;
	struct vcpu_sregs sregs, sregs2;

	(void)state;
	memset(&regs, 0, sizeof(regs));
	for (unsigned i = 0; i < GPR_COUNT; i++)
		regs.gpr[i] = 0x1111111111111111ull * i;
	regs.rip = 0xffff800000001234;
	regs.rflags = RFLAGS_ONE | RFLAGS_IF;
	assert_int_equal(vcpu_set_registers(vcpu, &regs, NULL, &why), 0);
	vcpu_get_regs(vcpu, &regs2);
	assert_memory_equal(&regs, &regs2, sizeof(regs));
	assert_int_equal(cpu->reg[VREG_RSP], 0x4444444444444444ull);
	regs.rflags = 0; /* bit 1 of RFLAGS is 1 */
	assert_int_equal(vcpu_set_registers(vcpu, &regs, NULL, &why), 0);
	assert_int_equal(cpu->reg[VREG_RFLAGS], 2);

	memset(&sregs, 0, sizeof(sregs));
	memset(&sregs2, 0, sizeof(sregs2));
	vcpu_get_sregs(vcpu, &sregs);
	for (unsigned i = 0; i < SREG_COUNT; i++)
		sregs.seg[i].base = 0x1000 * i;
	sregs.tr.selector = 0x40;
	sregs.ldtr.unusable = true;
	sregs.idt = (struct vcpu_dtable){0x8000, 0xfff};
	sregs.gdt = (struct vcpu_dtable){0x9000, 0x7f};
	sregs.cr2 = 0x1234;
	sregs.cr3 = 0x5000;
	sregs.cr8 = 5;
	sregs.cr4 |= CR4_PCIDE;
	for (unsigned i = 0; i < 4; i++)
		sregs.pdpte[i] = 0x1001 + i * 0x1000;
	cpu->flushes = 0;
	assert_int_equal(vcpu_set_registers(vcpu, NULL, &sregs, &why), 0);
	assert_true(cpu->flushes > 0);
	vcpu_get_sregs(vcpu, &sregs2);
	assert_memory_equal(&sregs, &sregs2, sizeof(sregs));
	assert_int_equal(cpu->seg[SREG_GS].base, 0x5000);
	assert_int_equal(cpu->reg[VREG_PDPTE3], 0x4001);
	assert_int_equal(vcpu_cpl(vcpu), 0);
}

static void bad_control_registers(void **state)
{
	static const struct {
		u64 cr0, cr3, cr4, cr8, efer, pdpte;
	} rows[] = {
		{.cr0 = BIT(32)}, {.cr0 = BIT(6)}, {.cr0 = CR0_PE}, {.cr0 = CR0_NW},
		{.cr0 = CR0_PG}, /* LMA without paging */
		{.cr4 = BIT(13)}, {.cr4 = CR4_PAE}, {.cr4 = CR4_SMEP}, {.efer = BIT(1)},
		{.efer = EFER_LMA}, {.efer = EFER_LME}, {.cr3 = BIT(40)}, {.cr3 = BIT(63)},
		{.cr8 = 16}, {.efer = EFER_LMA | EFER_LME, .cr4 = CR4_PCIDE},
		/* PAE paging */
		{.efer = EFER_LMA | EFER_LME, .pdpte = 0x1001 | BIT(1)},
		{.efer = EFER_LMA | EFER_LME, .pdpte = 0x1001 | BIT(40)},
	};
	struct vcpu_sregs good, bad, after;

	(void)state;
	memset(&good, 0, sizeof(good));
	memset(&after, 0, sizeof(after));
	vcpu_get_sregs(vcpu, &good);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bad = good;
		bad.cr0 ^= rows[i].cr0;
		bad.cr3 ^= rows[i].cr3;
		bad.cr4 ^= rows[i].cr4;
		bad.cr8 ^= rows[i].cr8;
		bad.efer ^= rows[i].efer;
		bad.pdpte[2] = rows[i].pdpte;
		refused(vcpu_set_registers(vcpu, NULL, &bad, &why));
		vcpu_get_sregs(vcpu, &after);
		assert_memory_equal(&good, &after, sizeof(good));
	}
	/* entries that are not present have no reserved bits */
	bad = good;
	bad.efer = 0;
	bad.pdpte[1] = 0xffe;
	assert_int_equal(vcpu_set_registers(vcpu, NULL, &bad, &why), 0);
}

static const char *no_rip_of_9000(struct fake_vcpu *v)
{
	return v->reg[VREG_RIP] == 0x9000 ? "a rule about RIP" : NULL;
}

static const char *sti_needs_if(struct fake_vcpu *v)
{
	return (v->shadow & SHADOW_STI) && !(v->reg[VREG_RFLAGS] & RFLAGS_IF)
		       ? "blocking by STI needs RFLAGS.IF" : NULL;
}

static void the_back_end_checks(void **state)
{
	struct vcpu_regs regs;
	struct vcpu_sregs sregs;
	struct vcpu_events events;

	(void)state;
	cpu->check = no_rip_of_9000;
	cpu->shadow = SHADOW_STI;
	cpu->reg[VREG_PENDING_DEBUG] = BIT(14);
	vcpu_get_regs(vcpu, &regs);
	vcpu_get_sregs(vcpu, &sregs);
	regs.rip = 0x9000;
	regs.gpr[1] = 77;
	sregs.cr2 = 0x666;
	refused(vcpu_set_registers(vcpu, &regs, NULL, &why));
	refused(vcpu_set_registers(vcpu, &regs, &sregs, &why));
	assert_int_equal(cpu->reg[VREG_RIP], 0x8000);
	assert_int_equal(cpu->base.gpr[1], 0);
	assert_int_equal(cpu->reg[VREG_CR2], 0);
	assert_int_equal(cpu->shadow, SHADOW_STI);
	assert_int_equal(cpu->reg[VREG_PENDING_DEBUG], BIT(14));
	/* the same RIP keeps the shadow, another one ends it; NMIs stay blocked */
	cpu->shadow |= SHADOW_NMI;
	regs.rip = 0x8000;
	assert_int_equal(vcpu_set_registers(vcpu, &regs, NULL, &why), 0);
	assert_int_equal(cpu->shadow, SHADOW_STI | SHADOW_NMI);
	regs.rip = 0x8001;
	assert_int_equal(vcpu_set_registers(vcpu, &regs, NULL, &why), 0);
	assert_int_equal(cpu->shadow, SHADOW_NMI);
	assert_int_equal(cpu->reg[VREG_PENDING_DEBUG], 0);
	cpu->check = sti_needs_if;
	vcpu_get_events(vcpu, &events);
	events.shadow = SHADOW_STI;
	events.nmi_pending = 1;
	refused(vcpu_set_events(vcpu, &events, &why));
	assert_int_equal(cpu->shadow, SHADOW_NMI);
	assert_int_equal(vcpu->nmi_pending, 0);
}

/* ---- FPU, XCR0, MSRs */

static void fpu_area(void **state)
{
	u8 area[832], other[832];
	u64 one = 1;

	(void)state;
	memset(area, 0x41, 512);
	memset(area + 24, 0, 4);
	memset(area + 512, 0, 64);
	memset(area + 576, 0x42, 256);
	area[512] = 7;
	assert_int_equal(vcpu_set_fpu(vcpu, area, 832, &why), 0);
	assert_int_equal(vcpu_get_fpu(vcpu, other, 832), 0);
	assert_memory_equal(area, other, 832);
	assert_int_equal(vcpu_get_fpu(vcpu, other, 831), -EINVAL);
	refused(vcpu_set_fpu(vcpu, area, 512, &why));
	area[26] = 1; /* MXCSR bit 16 */
	refused(vcpu_set_fpu(vcpu, area, 832, &why));
	area[26] = 0;
	area[512] = 0xf; /* component 3 */
	refused(vcpu_set_fpu(vcpu, area, 832, &why));
	area[512] = 7;
	for (unsigned word = 1; word < 8; word++) {
		memcpy(area + 512 + 8 * word, &one, 8);
		refused(vcpu_set_fpu(vcpu, area, 832, &why));
		memset(area + 512 + 8 * word, 0, 8);
	}
	assert_memory_equal(cpu->fpu, other, 832);
	/* FXSAVE has no header */
	fake_virt_fpu = (struct virt_fpu){.size = 512, .mxcsr_mask = 0xffbf};
	assert_int_equal(vcpu_set_fpu(vcpu, area, 512, &why), 0);
	area[24] = 0x40; /* DAZ, which this CPU lacks */
	refused(vcpu_set_fpu(vcpu, area, 512, &why));
}

static void xcr0(void **state)
{
	(void)state;
	assert_int_equal(vcpu_get_xcr0(vcpu), 1);
	assert_int_equal(vcpu_set_xcr0(vcpu, 7, &why), 0);
	assert_int_equal(vcpu_get_xcr0(vcpu), 7);
	refused(vcpu_set_xcr0(vcpu, 6, &why));
	refused(vcpu_set_xcr0(vcpu, 5, &why));
	refused(vcpu_set_xcr0(vcpu, 15, &why));
	assert_int_equal(vcpu_get_xcr0(vcpu), 7);
	/* without XSAVE there is the one value of a reset */
	vm->cpuid.xcr0_valid = 0;
	cpu->reg[VREG_XCR0] = 1;
	assert_int_equal(vcpu_set_xcr0(vcpu, 1, &why), 0);
	refused(vcpu_set_xcr0(vcpu, 3, &why));
}

static void msrs(void **state)
{
	struct vcpu_msr all[128], some[] = {{MSR_LSTAR, 0x1234}, {MSR_STAR, 5}, {0x999, 1}, {MSR_PAT, 0}};
	unsigned count = 0;
	u32 first, last;
	const char *name;

	(void)state;
	assert_int_equal(vcpu_set_msrs(vcpu, some, 4), 2);
	assert_int_equal(vcpu_get_msrs(vcpu, some, 4), 2);
	assert_int_equal(some[0].value, 0x1234);
	/* a value that the CPU refuses */
	some[0].value = BIT(50);
	assert_int_equal(vcpu_set_msrs(vcpu, some, 1), 0);
	/* the whole list: get, set, get, read-only ones included; the clock stands still */
	for (unsigned row = 0; msr_range(row, &first, &last, &name); row++)
		for (u32 index = first; index <= last; index++) {
			bool apic = index == MSR_APIC_BASE || index == MSR_TSC_DEADLINE ||
				    (index >= MSR_X2APIC_BASE && index <= MSR_X2APIC_BASE + 0xff);

			/* a command */
			if (index == MSR_PRED_CMD)
				continue;
			/* those of the APIC depend on its mode */
			all[count].index = index;
			if (vcpu_get_msrs(vcpu, &all[count], 1))
				count++;
			else
				assert_true(apic);
		}
	assert_int_equal(vcpu_get_msrs(vcpu, all, count), count);
	assert_int_equal(vcpu_set_msrs(vcpu, all, count), count);
	for (unsigned i = 0; i < count; i++) {
		struct vcpu_msr again = {all[i].index, ~0ull};

		assert_int_equal(vcpu_get_msrs(vcpu, &again, 1), 1);
		assert_int_equal(again.value, all[i].value);
	}
	some[0] = (struct vcpu_msr){MSR_MTRRCAP, 0};
	assert_int_equal(vcpu_set_msrs(vcpu, some, 1), 0);
}

/* ---- events */

static void events_identity(void **state)
{
	struct vcpu_events events, again;

	(void)state;
	memset(&events, 0, sizeof(events));
	memset(&again, 0, sizeof(again));
	events.exception = (struct vcpu_event){.type = EVENT_EXCEPTION, .vector = 14,
					       .has_error = true, .error = 6};
	events.repeat = (struct vcpu_event){.type = EVENT_SOFT_INTERRUPT, .vector = 0x80,
					    .insn_len = 2};
	events.interrupt = (struct vcpu_event){.type = EVENT_INTERRUPT, .vector = 0x31};
	events.nmi_pending = 1;
	events.nmi_masked = true;
	events.shadow = SHADOW_MOV_SS;
	events.pending_debug = BIT(0) | BIT(12);
	assert_int_equal(vcpu_set_events(vcpu, &events, &why), 0);
	vcpu_get_events(vcpu, &again);
	assert_memory_equal(&events, &again, sizeof(events));
	assert_int_equal(cpu->shadow, SHADOW_MOV_SS | SHADOW_NMI);
	vcpu_reset(vcpu);
	vcpu_get_events(vcpu, &again);
	assert_true(!again.exception.type && !again.repeat.type && !again.interrupt.type);
	assert_true(!again.nmi_pending && !again.nmi_masked && !again.shadow);
	assert_int_equal(again.pending_debug, 0);
}

static void bad_events(void **state)
{
	static const struct vcpu_event bad[] = {
		{.type = EVENT_INTERRUPT, .vector = 0x31},
		{.type = EVENT_NMI, .vector = 2},
		{.type = EVENT_EXCEPTION, .vector = 32},
		{.type = EVENT_EXCEPTION, .vector = 2},
		{.type = EVENT_EXCEPTION, .vector = 6, .has_error = true},
		{.type = EVENT_EXCEPTION, .vector = 13}, /* protected mode has an error code */
		{.type = EVENT_EXCEPTION, .vector = 13, .has_error = true, .error = BIT(15)},
		{.type = EVENT_EXCEPTION, .vector = 21, .has_error = true}, /* not all CPUs */
		{.type = EVENT_SOFT_INTERRUPT, .vector = 3},
		{.type = EVENT_SOFT_INTERRUPT, .vector = 3, .insn_len = 16},
		{.type = EVENT_ICEBP, .vector = 1, .insn_len = 1, .has_error = true},
		{.type = 77},
	};
	struct vcpu_events events;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		events = (struct vcpu_events){.exception = bad[i]};
		refused(vcpu_set_events(vcpu, &events, &why));
		events = (struct vcpu_events){.repeat = bad[i]};
		refused(vcpu_set_events(vcpu, &events, &why));
	}
	events = (struct vcpu_events){.interrupt = {.type = EVENT_EXCEPTION, .vector = 6}};
	refused(vcpu_set_events(vcpu, &events, &why));
	events = (struct vcpu_events){.nmi_pending = 3};
	refused(vcpu_set_events(vcpu, &events, &why));
	events = (struct vcpu_events){.nmi_pending = 2, .nmi_masked = true};
	refused(vcpu_set_events(vcpu, &events, &why));
	events = (struct vcpu_events){.shadow = SHADOW_NMI};
	refused(vcpu_set_events(vcpu, &events, &why));
	events = (struct vcpu_events){.pending_debug = BIT(13)};
	refused(vcpu_set_events(vcpu, &events, &why));
	/* real mode has none, but one that was interrupted there may come with or without */
	cpu->reg[VREG_CR0] = CR0_ET;
	events = (struct vcpu_events){.repeat = {.type = EVENT_EXCEPTION, .vector = 13}};
	assert_int_equal(vcpu_set_events(vcpu, &events, &why), 0);
}

static void mp_state(void **state)
{
	(void)state;
	assert_int_equal(vcpu_get_mp_state(vcpu), VCPU_RUNNABLE);
	assert_int_equal(vcpu_set_mp_state(vcpu, VCPU_HALTED, &why), 0);
	assert_int_equal(vcpu_get_mp_state(vcpu), VCPU_HALTED);
	refused(vcpu_set_mp_state(vcpu, VCPU_MP_STATES, &why));
	assert_int_equal(vcpu_set_mp_state(vcpu, VCPU_RUNNABLE, &why), 0);
	assert_false(vcpu->halted);
}

static void translation(void **state)
{
	/* PML4 at 1000h, PDPT, PD with a read-only user page table; its entry 5 */
	static const u64 entries[][2] = {{0x1000, 0x2007}, {0x2000, 0x3007}, {0x3000, 0x4005},
					 {0x4028, 0x7007}, {0x4030, 0x8003}};
	struct vcpu_translation t;
	u64 entry;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
		guest_write(vm, GPA(entries[i][0]), &entries[i][1], 8);
	vcpu_translate(vcpu, GVA(0x5123), &t);
	assert_true(t.valid && t.user && !t.writable);
	assert_int_equal(t.gpa.v, 0x7123);
	guest_read(vm, GPA(0x4028), &entry, 8);
	assert_int_equal(entry, 0x7007); /* no accessed bit */
	vcpu_translate(vcpu, GVA(0x6000), &t);
	assert_true(t.valid && !t.user);
	vcpu_translate(vcpu, GVA(0x9000), &t);
	assert_false(t.valid || t.user || t.writable);
	vcpu_translate(vcpu, GVA(BIT(47)), &t); /* not canonical */
	assert_false(t.valid);
	assert_int_equal(vcpu->exception.type, EVENT_NONE);
	cpu->reg[VREG_CR0] = CR0_PE;
	vcpu_translate(vcpu, GVA(0x9000), &t);
	assert_true(t.valid && t.user && t.writable);
	assert_int_equal(t.gpa.v, 0x9000);
}

/* ---- NMIs */

static struct vcpu_event entry(void)
{
	struct vcpu_event event;

	cpu->next.type = EVENT_NONE;
	inject_prepare(vcpu);
	event = cpu->next;
	cpu->next.type = EVENT_NONE;
	return event;
}

static void one_nmi_in_service_one_pending(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(vcpu_nmi(vcpu), 0);
	assert_int_equal(vcpu->nmi_pending, 2);
	assert_true(inject_wakes(vcpu));
	assert_int_equal(entry().type, EVENT_NMI);
	assert_true(cpu->window[WINDOW_NMI]);
	cpu->shadow = SHADOW_NMI;
	assert_int_equal(entry().type, EVENT_NONE);
	assert_false(inject_wakes(vcpu));
	vcpu_nmi(vcpu);
	assert_int_equal(vcpu->nmi_pending, 1);
	cpu->shadow = 0;
	assert_int_equal(entry().type, EVENT_NMI);
	assert_false(cpu->window[WINDOW_NMI]);
	fake_virt_use("virtual-nmi", false);
	assert_int_equal(vcpu_nmi(vcpu), -ENODEV);
	/* nor by its state: an NMI window without virtual NMIs is no entry */
	refused(vcpu_set_events(vcpu, &(struct vcpu_events){.nmi_pending = 1}, &why));
	refused(vcpu_set_events(vcpu, &(struct vcpu_events){.nmi_masked = true}, &why));
	assert_int_equal(vcpu_set_events(vcpu, &(struct vcpu_events){0}, &why), 0);
}

static void nmi_waits_for_shadows_and_exceptions(void **state)
{
	static const unsigned shadows[] = {SHADOW_STI, SHADOW_MOV_SS, SHADOW_DEBUG, SHADOW_NMI};

	(void)state;
	vcpu_nmi(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(shadows); i++) {
		cpu->shadow = shadows[i];
		assert_int_equal(entry().type, EVENT_NONE);
		assert_true(cpu->window[WINDOW_NMI]);
		assert_false(cpu->window[WINDOW_INTERRUPT]);
	}
	cpu->shadow = 0;
	inject_ud(vcpu);
	assert_int_equal(entry().vector, 6);
	assert_true(cpu->window[WINDOW_NMI]);
	assert_int_equal(entry().type, EVENT_NMI);
}

/* Interrupt, then a fault in its delivery, then an exit in the fault's. */
static void no_interrupted_delivery_is_lost(void **state)
{
	(void)state;
	cpu->reg[VREG_RFLAGS] |= RFLAGS_IF;
	cpu->undelivered = (struct vcpu_event){.type = EVENT_INTERRUPT, .vector = 0x31};
	inject_take_undelivered(vcpu);
	inject_page_fault(vcpu, 0x1000, 2);
	assert_int_equal(entry().vector, 14);
	cpu->undelivered = (struct vcpu_event){.type = EVENT_EXCEPTION, .vector = 14,
					       .has_error = true, .error = 2};
	inject_take_undelivered(vcpu);
	/* and an NMI whose delivery was interrupted: not blocked by itself */
	cpu->shadow = SHADOW_NMI;
	cpu->undelivered = (struct vcpu_event){.type = EVENT_NMI, .vector = 2};
	inject_take_undelivered(vcpu);
	assert_int_equal(cpu->shadow, 0);
	assert_int_equal(entry().vector, 14);
	assert_true(cpu->window[WINDOW_NMI] && cpu->window[WINDOW_INTERRUPT]);
	assert_int_equal(entry().type, EVENT_NMI);
	assert_int_equal(entry().vector, 0x31);
	assert_int_equal(entry().type, EVENT_NONE);
}

/* ---- the debugger */

static void handle(struct vcpu_exit exit)
{
	vcpu->exception.type = EVENT_NONE;
	vcpu->leave = false;
	exit_handle(vcpu, &exit);
}

static void mov_dr(unsigned dr, bool write, u64 value)
{
	cpu->base.gpr[GPR_RBX] = value;
	handle((struct vcpu_exit){.reason = EXIT_DR, .insn_len = 3,
				  .cr = {write ? CR_WRITE : CR_READ, dr, GPR_RBX, 0}});
}

static void debug_registers_of_two(void **state)
{
	struct vcpu_debugregs guest = {{1, 2, 3, 4}, 0xffff0ff1, 0x455}, now;
	struct vcpu_debug debug = {.flags = VCPU_DEBUG_HARDWARE, .dr = {0x8010, 0, 0, 9}, .dr7 = 2};

	(void)state;
	assert_int_equal(vcpu_set_debugregs(vcpu, &guest, &why), 0);
	assert_int_equal(vcpu_set_debug(vcpu, &debug), 0);
	assert_int_equal(cpu->traps, TRAP_DR);
	assert_int_equal(cpu->reg[VREG_DR0], 0x8010);
	assert_int_equal(cpu->reg[VREG_DR7], 0x402);
	vcpu_get_debugregs(vcpu, &now);
	assert_memory_equal(&guest, &now, sizeof(now));
	mov_dr(2, false, 0);
	assert_int_equal(cpu->base.gpr[GPR_RBX], 3);
	mov_dr(2, true, 0x1234567890);
	mov_dr(7, true, 0xffffffff);
	assert_int_equal(vcpu->guest_dr.dr7, 0xffff27ff);
	assert_int_equal(cpu->reg[VREG_DR7], 0x402);
	/* general detect, once */
	mov_dr(7, false, 0);
	assert_int_equal(vcpu->exception.vector, 1);
	mov_dr(7, false, 0);
	assert_int_equal(vcpu->exception.type, EVENT_NONE);
	assert_int_equal(cpu->base.gpr[GPR_RBX], 0xffff07ff);
	mov_dr(6, false, 0);
	assert_int_equal(cpu->base.gpr[GPR_RBX], 0xffff0ff1 | BIT(13));
	mov_dr(5, true, 0); /* DR7 */
	mov_dr(7, false, 0);
	assert_int_equal(cpu->base.gpr[GPR_RBX], 0x400);
	mov_dr(6, true, BIT(32));
	assert_int_equal(vcpu->exception.vector, 13);
	cpu->reg[VREG_CR4] |= CR4_DE;
	mov_dr(4, false, 0);
	assert_int_equal(vcpu->exception.vector, 6);
	cpu->seg[SREG_SS].dpl = 3;
	mov_dr(0, false, 0);
	assert_int_equal(vcpu->exception.vector, 13);
	/* a reset resets the guest's, not the debugger's */
	vcpu_reset(vcpu);
	assert_int_equal(cpu->reg[VREG_DR0], 0x8010);
	assert_int_equal(cpu->traps, TRAP_DR);
	debug.flags = 0;
	assert_int_equal(vcpu_set_debug(vcpu, &debug), 0);
	assert_int_equal(cpu->traps, 0);
	assert_int_equal(cpu->reg[VREG_DR0], 0);
	assert_int_equal(cpu->reg[VREG_DR7], 0x400);
	assert_int_equal(cpu->reg[VREG_DR6], 0xffff0ff0);
}

static void debug_refusals(void **state)
{
	struct vcpu_debug debug = {.flags = 8};
	struct vcpu_debugregs regs = {.dr6 = BIT(32)};

	(void)state;
	assert_int_equal(vcpu_set_debug(vcpu, &debug), -EINVAL);
	debug = (struct vcpu_debug){.flags = VCPU_DEBUG_HARDWARE, .dr7 = BIT(13)};
	assert_int_equal(vcpu_set_debug(vcpu, &debug), -EINVAL);
	refused(vcpu_set_debugregs(vcpu, &regs, &why));
	assert_int_equal(vcpu->debug.flags, 0);
}

static void stops_for_the_debugger(void **state)
{
	struct vcpu_debug debug = {.flags = VCPU_DEBUG_STEP | VCPU_DEBUG_SOFTWARE};
	struct vcpu_exit step = {.reason = EXIT_STEP}, hlt = {.reason = EXIT_HLT, .insn_len = 1};
	struct vcpu_exit db = {.reason = EXIT_EXCEPTION, .event = {EVENT_EXCEPTION, 1, 0, 0, 0}};
	struct vcpu_exit bp = {.reason = EXIT_EXCEPTION, .event = {EVENT_SOFT_EXCEPTION, 3, 0, 1, 0}};

	(void)state;
	handle(step); /* nobody asked */
	assert_false(vcpu->leave);
	vcpu_set_debug(vcpu, &debug);
	assert_int_equal(cpu->traps, TRAP_STEP | TRAP_BREAKPOINT);
	handle(step);
	assert_true(vcpu->leave);
	assert_int_equal(vcpu->stop.vector, 1);
	assert_int_equal(vcpu->stop.dr6, BIT(14));
	handle(hlt); /* one that Trivet executed */
	assert_true(vcpu->leave);
	assert_int_equal(vcpu->stop.rip, 0x8001);
	handle(bp);
	assert_true(vcpu->leave);
	assert_int_equal(vcpu->stop.vector, 3);
	assert_int_equal(vcpu->exception.type, EVENT_NONE);
	assert_int_equal(vcpu->repeat.type, EVENT_NONE);
	handle(db); /* the guest's own */
	assert_false(vcpu->leave);
	assert_int_equal(vcpu->exception.vector, 1);
	debug = (struct vcpu_debug){.flags = VCPU_DEBUG_HARDWARE, .dr7 = 2};
	vcpu_set_debug(vcpu, &debug);
	cpu->reg[VREG_DR6] = 0xffff0ff0 | BIT(0);
	handle(db);
	assert_true(vcpu->leave);
	assert_int_equal(vcpu->stop.dr6, BIT(0));
	assert_int_equal(cpu->reg[VREG_DR6], 0xffff0ff0);
	cpu->reg[VREG_DR6] = 0xffff0ff0 | BIT(14); /* its own single step */
	handle(db);
	assert_false(vcpu->leave);
	assert_int_equal(vcpu->exception.vector, 1);
	assert_int_equal(vcpu->guest_dr.dr6 & BIT(14), BIT(14));
	handle(bp); /* no longer asked for */
	assert_false(vcpu->leave);
	assert_int_equal(vcpu->repeat.type, EVENT_SOFT_EXCEPTION);
}

static void steps_by_the_flag(void **state)
{
	struct vcpu_debug debug = {.flags = VCPU_DEBUG_STEP};
	struct vcpu_exit db = {.reason = EXIT_EXCEPTION, .event = {EVENT_EXCEPTION, 1, 0, 0, 0}};

	(void)state;
	fake_virt_use("monitor-trap", false);
	vcpu_set_debug(vcpu, &debug);
	assert_int_equal(cpu->traps, TRAP_DR);
	assert_int_equal(cpu->reg[VREG_DR7], 0x400);
	cpu->shadow = SHADOW_STI;
	vcpu_debug_enter(vcpu);
	assert_true(cpu->reg[VREG_RFLAGS] & RFLAGS_TF);
	assert_int_equal(cpu->reg[VREG_PENDING_DEBUG], BIT(14));
	cpu->shadow = 0;
	cpu->reg[VREG_DR6] = 0xffff0ff0 | BIT(14);
	handle(db);
	assert_true(vcpu->leave);
	assert_int_equal(vcpu->stop.dr6, BIT(14));
	assert_false(cpu->reg[VREG_RFLAGS] & RFLAGS_TF);
	assert_int_equal(cpu->reg[VREG_PENDING_DEBUG], 0);
	assert_int_equal(vcpu->guest_dr.dr6, 0xffff0ff0);
	debug.flags = 0;
	vcpu_set_debug(vcpu, &debug);
	vcpu_debug_enter(vcpu);
	assert_false(cpu->reg[VREG_RFLAGS] & RFLAGS_TF);
}

/* ---- the VM */

static void cpuid_is_only_cut(void **state)
{
	struct cpuid_entry entries[CPUID_ENTRIES_MAX];
	const struct cpuid_state none = {0};
	unsigned count = vm->cpuid.count, at = 0;
	char text[100] = "";

	(void)state;
	memcpy(entries, vm->cpuid.entry, sizeof(entries));
	while (entries[at].leaf != 1)
		at++;
	/* SSE3 away; and all leaves above 6 */
	entries[at].regs.ecx &= ~1u;
	assert_int_equal(vm_set_cpuid(vm, entries, count, text, sizeof(text)), 0);
	assert_false(cpuid_query(&vm->cpuid, 1, 0, &none).ecx & 1);
	/* never back */
	entries[at].regs.ecx |= 1;
	assert_int_equal(vm_set_cpuid(vm, entries, count, text, sizeof(text)), -EINVAL);
	assert_string_equal(text, "CPUID leaf 1h subleaf ffffffffh ECX has more than Trivet offers");
	assert_false(cpuid_query(&vm->cpuid, 1, 0, &none).ecx & 1);
	entries[at].regs.ecx &= ~1u;
	entries[0].regs.eax++; /* the highest leaf */
	assert_int_equal(vm_set_cpuid(vm, entries, count, text, sizeof(text)), -EINVAL);
	entries[0].regs.eax = 1;
	assert_int_equal(vm_set_cpuid(vm, entries, 2, text, sizeof(text)), 0);
	assert_int_equal(vm->cpuid.max_basic, 1);
	assert_int_equal(vm->cpuid.count, 2);
	assert_int_equal(vm->cpuid.xcr0_valid, 0);
	assert_int_equal(vm->cpuid.efer_valid, 0);
	entries[1] = (struct cpuid_entry){0x1234, 0, {.edx = 1}};
	assert_int_equal(vm_set_cpuid(vm, entries, 2, text, sizeof(text)), -EINVAL);
	assert_string_equal(text, "CPUID leaf 1234h subleaf 0h EDX has more than Trivet offers");
	vm->ran = true;
	assert_int_equal(vm_set_cpuid(vm, entries, 1, text, sizeof(text)), -EBUSY);
}

static void msr_policy(void **state)
{
	static const struct vm_msr_range ranges[] = {
		{MSR_PAT, MSR_PAT, true, false}, {MSR_LSTAR, MSR_LSTAR, true, false},
		{0x200, 0x2ff, false, true}};
	struct vm_msr_range many[VM_MSR_RANGES + 1] = {{5, 4, true, true}};
	struct vcpu_exit read = {.reason = EXIT_RDMSR, .insn_len = 2};
	struct vcpu_msr pat = {MSR_PAT, 0x0606060606060606};

	(void)state;
	assert_int_equal(vm_set_msr_policy(vm, false, ranges, 3), 0);
	assert_int_equal(vm->virt->filters, 1);
	assert_true(vm->virt->passes_lstar_reads && !vm->virt->passes_lstar_writes);
	assert_true(msr_allowed(vm, MSR_PAT, false) && !msr_allowed(vm, MSR_PAT, true));
	assert_true(!msr_allowed(vm, 0x200, false) && msr_allowed(vm, 0x200, true));
	assert_false(msr_allowed(vm, MSR_EFER, false));
	cpu->base.gpr[GPR_RCX] = MSR_EFER;
	handle(read);
	assert_int_equal(vcpu->exception.vector, 13);
	cpu->base.gpr[GPR_RCX] = MSR_PAT;
	handle((struct vcpu_exit){.reason = EXIT_WRMSR, .insn_len = 2});
	assert_int_equal(vcpu->exception.vector, 13);
	assert_int_equal(vcpu_set_msrs(vcpu, &pat, 1), 1); /* not for those who restore */
	handle(read);
	assert_int_equal(vcpu->exception.type, EVENT_NONE);
	assert_int_equal(cpu->base.gpr[GPR_RAX], 0x06060606);
	/* refusals change nothing */
	assert_int_equal(vm_set_msr_policy(vm, true, many, 1), -EINVAL);
	assert_int_equal(vm_set_msr_policy(vm, true, many, VM_MSR_RANGES + 1), -E2BIG);
	fake_host.fail_at = 1;
	assert_int_equal(vm_set_msr_policy(vm, true, NULL, 0), -ENOMEM);
	assert_false(msr_allowed(vm, MSR_EFER, false));
	assert_true(msr_allowed(vm, MSR_PAT, false));
	vm->ran = true;
	assert_int_equal(vm_set_msr_policy(vm, true, NULL, 0), -EBUSY);
}

static void clock_and_tsc(void **state)
{
	struct vcpu_msr tsc = {MSR_TSC, 0};
	u64 ahead;

	(void)state;
	vcpu_put(vcpu);
	vm_set_clock(vm, 123456789);
	assert_int_equal(vm_now(vm), 123456789); /* it stands still */
	vcpu_load(vcpu);
	assert_int_equal(vcpu_get_msrs(vcpu, &tsc, 1), 1);
	assert_int_equal(tsc.value, 123456789);
	tsc.value = 500;
	assert_int_equal(vcpu_set_msrs(vcpu, &tsc, 1), 1);
	vcpu_put(vcpu);
	vm_set_clock(vm, 123456799);
	vcpu_load(vcpu);
	assert_int_equal(vcpu_get_msrs(vcpu, &tsc, 1), 1);
	assert_int_equal(tsc.value, 510);
	/* ahead of the host's TSC, as after a restore on a machine that has just started */
	vcpu_put(vcpu);
	ahead = rdtsc() + 1000 * tsc_hz;
	vm_set_clock(vm, ahead);
	vm_run_clock(vm);
	assert_in_range(vm_clock_to_tsc(vm, vm_now(vm) + 2 * tsc_hz), rdtsc() + tsc_hz,
			rdtsc() + 10 * tsc_hz);
	assert_int_equal(vm_clock_to_tsc(vm, 1), 0);
	vcpu_load(vcpu);
}

static void devices_by_type_and_number(void **state)
{
	u64 blob = 0, first = 11, second = 22;

	(void)state;
	assert_int_equal(vdev_create(vm, "cell", (struct vdev_args){0}), 0);
	assert_int_equal(vdev_create(vm, "cell", (struct vdev_args){0}), 0);
	assert_int_equal(vm_restore_device(vm, "cell", 0, &first, 8), 0);
	assert_int_equal(vm_restore_device(vm, "cell", 1, &second, 8), 0);
	assert_int_equal(vm_save_device(vm, "cell", 1, &blob, 8), 8);
	assert_int_equal(blob, 22);
	assert_int_equal(vm_save_device(vm, "cell", 0, &blob, 8), 8);
	assert_int_equal(blob, 11);
	assert_int_equal(vm_save_device(vm, "cell", 2, &blob, 8), -ENOENT);
	assert_int_equal(vm_save_device(vm, "none", 0, &blob, 8), -ENOENT);
	assert_int_equal(vm_save_device(vm, "cell", 0, &blob, 7), -ENOSPC);
	blob = 7;
	assert_int_equal(vm_restore_device(vm, "cell", 0, &blob, 8), -EINVAL);
	assert_int_equal(vm_restore_device(vm, "cell", 0, &blob, 4), -EINVAL);
	assert_int_equal(vm_restore_device(vm, "cell", 2, &blob, 8), -ENOENT);
	assert_int_equal(vm_save_device(vm, "cell", 0, &blob, 8), 8);
	assert_int_equal(blob, 11);
	assert_int_equal(vm->device_lock.next, vm->device_lock.owner);
}

/* Where pCPUs have as much to do, siblings go to different ones. */
static void siblings_stay_apart(void **state)
{
	struct vcpu *sibling[8], *other;
	struct vm *single[4];

	(void)state;
	vcpu_put(vcpu);
	vm_destroy(vm);
	fake_host_cpus(4);
	for (unsigned i = 4; i--;) {
		fake_host_play(i);
		assert_non_null(pcpu_vmm());
	}
	assert_int_equal(vm_create("web", &vm), 0);
	assert_int_equal(vcpu_create(vm, 0, &vcpu), 0);
	vcpu_load(vcpu);
	assert_int_equal(vcpu->task.cpu, 0);
	/* vCPUs 0 of others fill the rest */
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(vm_create("single", &single[i]), 0);
		assert_int_equal(vcpu_create(single[i], 0, &other), 0);
		assert_int_equal(other->task.cpu, i);
	}
	for (unsigned i = 1; i < 8; i++) {
		assert_int_equal(vcpu_create(vm, i, &sibling[i]), 0);
		assert_int_equal(sibling[i]->task.cpu, i % 4);
		assert_ptr_equal(sibling[i]->task.group, vcpu->task.group);
		assert_ptr_equal(vm_vcpu(vm, i), sibling[i]);
	}
	assert_int_equal(vm->vcpu_count, 8);
	vcpu_park(sibling[3]);
	assert_null(vm_vcpu(vm, 3));
	assert_null(vm_vcpu(vm, 8));
	assert_null(vm_vcpu(vm, ~0ull));
	assert_ptr_not_equal(other->task.group, vcpu->task.group);
	for (unsigned i = 1; i < 4; i++)
		vm_destroy(single[i]);
}

static void ids_and_parking(void **state)
{
	struct vcpu *a, *b;

	(void)state;
	assert_ptr_equal(vm->vcpus[0], vcpu);
	assert_ptr_equal(vm->vcpu, vcpu);
	assert_int_equal(vcpu_create(vm, 0, &a), -EEXIST);
	assert_int_equal(vcpu_create(vm, VM_VCPUS_MAX, &a), -EINVAL);
	assert_int_equal(vcpu_create(vm, ~0u, &a), -EINVAL);
	assert_int_equal(vcpu_create(vm, 7, &a), 0);
	assert_int_equal(vcpu_create(vm, 7, &b), -EEXIST);
	vcpu_park(a);
	assert_int_equal(vcpu_create(vm, 7, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(b->id, 7);
	assert_int_equal(fake_virt_vcpus, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_identity),
		TEST(bad_control_registers),
		TEST(the_back_end_checks),
		TEST(fpu_area),
		TEST(xcr0),
		TEST(msrs),
		TEST(events_identity),
		TEST(bad_events),
		TEST(mp_state),
		TEST(translation),
		TEST(one_nmi_in_service_one_pending),
		TEST(nmi_waits_for_shadows_and_exceptions),
		TEST(no_interrupted_delivery_is_lost),
		TEST(debug_registers_of_two),
		TEST(debug_refusals),
		TEST(stops_for_the_debugger),
		TEST(steps_by_the_flag),
		TEST(cpuid_is_only_cut),
		TEST(msr_policy),
		TEST(clock_and_tsc),
		TEST(devices_by_type_and_number),
		TEST(siblings_stay_apart),
		TEST(ids_and_parking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
