/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls on a vCPU's state on the real processor: what a set refuses and
 * that nothing changes then, NMIs, translation, the debugger, MSR and CPUID
 * policy, the clock, parking.
 */
#include "tests/image/state.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/msr.h"
#include "arch/tsc.h"

#define SOON (1ull << 24) /* ticks */
#define IDT  0x3000ull

extern const u8 state_steps[], state_steps_end[], state_nmi[], state_nmi_end[], state_msr[],
	state_msr_end[];

static struct state before, after, bad;

static unsigned unchanged(struct guest *g, const char *what, int result)
{
	unsigned failed = state_save(g->vcpu, &after);

	CHECK_EQUAL(result, -EINVAL);
	if (result != -EINVAL || state_differs(&before, &after)) {
		log_error("not so: %s is refused, nothing changes", what);
		failed++;
	}
	return failed;
}

#define REFUSED(change, call)                                                                     \
	do {                                                                                      \
		const char *why = NULL;                                                           \
		bad = before;                                                                     \
		change;                                                                           \
		failed += unchanged(&g, #change, call);                                           \
		CHECK(why && *why);                                                               \
	} while (0)
#define SREGS vcpu_set_registers(g.vcpu, NULL, &bad.sregs, &why)
#define FPU   vcpu_set_fpu(g.vcpu, bad.fpu, virt->fpu()->size, &why)

static unsigned refusals(const char *argument)
{
	struct guest g;
	unsigned failed = 0;

	(void)argument;
	if (!state_guest(&g, state_steps, state_steps_end - state_steps))
		return 1;
	failed += state_start(&g, 1);
	failed += state_save(g.vcpu, &before);
	REFUSED(bad.sregs.cr0 &= ~CR0_PE, SREGS);
	REFUSED(bad.sregs.cr0 |= BIT(32), SREGS);
	REFUSED(bad.sregs.cr0 |= CR0_NW, SREGS);
	REFUSED(bad.sregs.cr4 |= CR4_VMXE, SREGS);
	REFUSED(bad.sregs.cr4 |= BIT(63), SREGS);
	REFUSED(bad.sregs.cr4 &= ~CR4_PAE, SREGS);
	REFUSED(bad.sregs.efer |= BIT(1), SREGS);
	REFUSED(bad.sregs.efer &= ~EFER_LMA, SREGS);
	REFUSED(bad.sregs.cr3 |= BIT(60), SREGS);
	REFUSED(bad.sregs.cr8 = 16, SREGS);
	REFUSED(bad.fpu[27] = 0x80, FPU); /* MXCSR bit 31 */
	REFUSED(bad.xcr0 = 0, vcpu_set_xcr0(g.vcpu, bad.xcr0, &why));
	REFUSED(bad.xcr0 = 5, vcpu_set_xcr0(g.vcpu, bad.xcr0, &why));
	REFUSED(bad.debugregs.dr7 |= BIT(32), vcpu_set_debugregs(g.vcpu, &bad.debugregs, &why));
	REFUSED(bad.events.exception.type = EVENT_NMI, vcpu_set_events(g.vcpu, &bad.events, &why));
	REFUSED(bad.events.pending_debug = BIT(4), vcpu_set_events(g.vcpu, &bad.events, &why));
	if (virt->fpu()->components) {
		REFUSED(bad.fpu[512 + 7] = 0x40, FPU); /* XSTATE_BV bit 62 */
		REFUSED(bad.fpu[520 + 7] = 0x80, FPU); /* compacted */
	}
	if (virt->check) {
		REFUSED(bad.sregs.seg[SREG_CS].db = true, SREGS);
		REFUSED(bad.sregs.seg[SREG_FS].base = BIT(50), SREGS);
		REFUSED(bad.sregs.tr.type = 3, SREGS);
		REFUSED(bad.sregs.gdt.base = BIT(50), SREGS);
		REFUSED(bad.regs.rflags |= BIT(15), vcpu_set_registers(g.vcpu, &bad.regs, NULL, &why));
		REFUSED(bad.regs.rip = BIT(50), vcpu_set_registers(g.vcpu, &bad.regs, NULL, &why));
		REFUSED(bad.events.shadow = SHADOW_STI, /* with IF = 0 */
			vcpu_set_events(g.vcpu, &bad.events, &why));
	}
	guest_end(&g);
	return failed;
}

static unsigned nmis(struct guest *g)
{
	const u64 *gpr = g->vcpu->virt->gpr;
	unsigned failed = 0;

	g->vcpu->virt->gpr[GPR_RDI] = IDT;
	g->vcpu->virt->gpr[GPR_R12] = 3;
	CHECK_EQUAL(guest_run(g, SOON), EXIT_HYPERCALL); /* ready */
	/* two at once; while one is served a third waits and a fourth is lost */
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQUAL(vcpu_nmi(g->vcpu), 0);
	CHECK_EQUAL(g->vcpu->nmi_pending, 2);
	CHECK_EQUAL(guest_run(g, SOON), EXIT_HYPERCALL); /* the first handler */
	CHECK_EQUAL(gpr[GPR_RBX], 1);
	CHECK(virt->shadow(g->vcpu->virt) & SHADOW_NMI);
	CHECK_EQUAL(guest_run(g, SOON), EXIT_HYPERCALL); /* its IRET, and the second */
	CHECK_EQUAL(gpr[GPR_RBX], 2);
	vcpu_nmi(g->vcpu);
	vcpu_nmi(g->vcpu);
	CHECK_EQUAL(g->vcpu->nmi_pending, 1);
	CHECK_EQUAL(guest_run(g, SOON), EXIT_HYPERCALL); /* the third */
	CHECK_EQUAL(guest_run(g, SOON), EXIT_HYPERCALL); /* the end */
	CHECK_EQUAL(gpr[GPR_RBX], 3);
	CHECK_EQUAL(gpr[GPR_R14], 1); /* never nested */
	/* one wakes a halted vCPU, interrupts off */
	guest_run(g, SOON / 64);
	CHECK_EQUAL(vcpu_get_mp_state(g->vcpu), VCPU_HALTED);
	vcpu_nmi(g->vcpu);
	return failed;
}

static unsigned run_nmi(const char *argument)
{
	struct guest g;
	unsigned failed = 0;

	(void)argument;
	if (!state_guest(&g, state_nmi, state_nmi_end - state_nmi))
		return 1;
	failed += state_start(&g, 1);
	failed += nmis(&g);
	guest_end(&g);
	return failed;
}

/* Where the next stop is, and why. */
static unsigned stops(struct guest *g, u64 offset, u8 vector, u64 dr6)
{
	unsigned failed = 0;

	CHECK_EQUAL(guest_run(g, SOON), EXIT_STEP);
	CHECK_EQUAL(g->vcpu->stop.rip, STATE_CODE + offset);
	CHECK_EQUAL(g->vcpu->stop.vector, vector);
	CHECK_EQUAL(g->vcpu->stop.dr6, dr6);
	CHECK(!(virt->get(g->vcpu->virt, VREG_RFLAGS) & RFLAGS_TF));
	return failed;
}

static unsigned debugger(struct guest *g)
{
	/* behind each instruction of state_steps up to INT3 */
	static const u8 ends[] = {5, 7, 8, 9, 10, 11, 12, 15, 21, 25, 29};
	struct vcpu_debug debug = {.flags = VCPU_DEBUG_STEP | VCPU_DEBUG_SOFTWARE};
	struct vcpu_debugregs regs, again;
	struct vcpu_regs r;
	const char *why = NULL;
	unsigned failed = 0;

	vcpu_get_debugregs(g->vcpu, &regs);
	regs.dr[3] = 0x777;
	CHECK_EQUAL(vcpu_set_debugregs(g->vcpu, &regs, &why), 0);
	CHECK_EQUAL(vcpu_set_debug(g->vcpu, &debug), 0);
	for (unsigned i = 0; i < sizeof(ends); i++)
		failed += stops(g, ends[i], VECTOR_DB, BIT(14));
	failed += stops(g, 29, VECTOR_BP, 0);
	CHECK_EQUAL(g->vcpu->virt->gpr[GPR_RDX], 0x400);
	CHECK_EQUAL(g->vcpu->virt->gpr[GPR_R9], 0x1234);
	/* again, with a breakpoint at CLI; DR0 is the guest's to write */
	vcpu_get_regs(g->vcpu, &r);
	r.rip = STATE_CODE;
	r.gpr[GPR_R9] = 0;
	CHECK_EQUAL(vcpu_set_registers(g->vcpu, &r, NULL, &why), 0);
	debug = (struct vcpu_debug){.flags = VCPU_DEBUG_HARDWARE | VCPU_DEBUG_SOFTWARE,
				    .dr = {STATE_CODE + 9}, .dr7 = BIT(1)};
	CHECK_EQUAL(vcpu_set_debug(g->vcpu, &debug), 0);
	failed += stops(g, 9, VECTOR_DB, BIT(0));
	debug.dr7 = 0;
	CHECK_EQUAL(vcpu_set_debug(g->vcpu, &debug), 0);
	failed += stops(g, 29, VECTOR_BP, 0);
	CHECK_EQUAL(g->vcpu->virt->gpr[GPR_R9], 0x1234);
	debug.flags = 0;
	CHECK_EQUAL(vcpu_set_debug(g->vcpu, &debug), 0);
	/* the guest's are back, and nobody stops */
	vcpu_get_debugregs(g->vcpu, &again);
	regs.dr[0] = 0x1234;
	CHECK(!memcmp(&regs, &again, sizeof(regs)));
	CHECK_EQUAL(virt->get(g->vcpu->virt, VREG_DR3), 0x777);
	vcpu_get_regs(g->vcpu, &r);
	r.rip += 1;
	CHECK_EQUAL(vcpu_set_registers(g->vcpu, &r, NULL, &why), 0);
	CHECK_EQUAL(guest_run(g, SOON), EXIT_HYPERCALL);
	return failed;
}

static unsigned translations(struct guest *g)
{
	struct vcpu_translation t;
	u64 entry = 0x87, seen; /* 2 MiB, no accessed bit */
	unsigned failed = 0;

	guest_write(g->vm, GPA(STATE_TABLES + 0x2000 + 8 * 8), &entry, sizeof(entry));
	vcpu_translate(g->vcpu, GVA(MIB(16) + 5), &t);
	CHECK(t.valid && t.writable && t.user);
	CHECK_EQUAL(t.gpa.v, 5);
	guest_read(g->vm, GPA(STATE_TABLES + 0x2000 + 8 * 8), &seen, sizeof(seen));
	CHECK_EQUAL(seen, entry);
	vcpu_translate(g->vcpu, GVA(GIB(3)), &t);
	CHECK(!t.valid && !t.writable && !t.user);
	vcpu_translate(g->vcpu, GVA(BIT(50)), &t);
	CHECK(!t.valid);
	return failed;
}

static unsigned run_debug(const char *argument)
{
	struct guest g;
	unsigned failed = 0;

	(void)argument;
	if (!state_guest(&g, state_steps, state_steps_end - state_steps))
		return 1;
	failed += state_start(&g, 1);
	failed += debugger(&g);
	failed += translations(&g);
	guest_end(&g);
	return failed;
}

/* A denied MSR is #GP, which ends the guest without an IDT in a triple fault. */
static unsigned policy(bool read, bool write)
{
	const struct vm_msr_range range = {MSR_LSTAR, MSR_LSTAR, read, write};
	struct vcpu_msr msr = {MSR_LSTAR, 0x4321};
	unsigned failed = 0;
	struct guest g;

	if (!state_guest(&g, state_msr, state_msr_end - state_msr))
		return 1;
	vcpu_put(g.vcpu);
	CHECK_EQUAL(vm_set_msr_policy(g.vm, true, &range, 1), 0);
	vcpu_load(g.vcpu);
	failed += state_start(&g, 1);
	CHECK_EQUAL(vcpu_set_msrs(g.vcpu, &msr, 1), 1);
	CHECK_EQUAL(guest_run(&g, SOON), read ? EXIT_HYPERCALL : EXIT_UNKNOWN);
	if (read) {
		CHECK_EQUAL(g.vcpu->virt->gpr[GPR_RAX], 0x4321);
		CHECK_EQUAL(guest_run(&g, SOON), write ? EXIT_HYPERCALL : EXIT_UNKNOWN);
	}
	CHECK_EQUAL(vcpu_get_msrs(g.vcpu, &msr, 1), 1);
	CHECK_EQUAL(msr.value, read && write ? 0x5000 : 0x4321);
	guest_end(&g);
	return failed;
}

static unsigned clock_and_parking(void)
{
	struct vcpu_msr tsc = {MSR_TSC, 0};
	struct vcpu *another, *same;
	unsigned failed = 0;
	struct guest g;

	if (!state_guest(&g, state_msr, 16))
		return 1;
	vcpu_put(g.vcpu);
	vm_set_clock(g.vm, BIT(40));
	vcpu_load(g.vcpu);
	CHECK_EQUAL(vcpu_get_msrs(g.vcpu, &tsc, 1), 1);
	CHECK(tsc.value - BIT(40) < tsc_hz && vm_now(g.vm) - tsc.value < tsc_hz);
	CHECK_EQUAL(vcpu_create(g.vm, 0, &another), -EEXIST);
	CHECK_EQUAL(vcpu_create(g.vm, VM_VCPUS_MAX, &another), -EINVAL);
	CHECK_EQUAL(vcpu_create(g.vm, 1, &another), 0);
	vcpu_park(another);
	CHECK_EQUAL(vcpu_create(g.vm, 1, &same), 0);
	CHECK(same == another);
	guest_end(&g);
	return failed;
}

static unsigned run_policy(const char *argument)
{
	(void)argument;
	return policy(true, true) + policy(true, false) + policy(false, true) +
	       clock_and_parking();
}

DEFINE_SELFTEST(refusals_test, .name = "state-refusals", .run = refusals);
DEFINE_SELFTEST(nmi_test, .name = "state-nmi", .run = run_nmi);
DEFINE_SELFTEST(debug_test, .name = "state-debug", .run = run_debug);
DEFINE_SELFTEST(policy_test, .name = "state-policy", .run = run_policy);
