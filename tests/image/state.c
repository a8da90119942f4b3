/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A computation through every kind of register is saved, cleared and restored
 * 10,000 times at random moments and ends as one that nobody disturbed; and
 * get, set, get is the identity.
 */
#include "tests/image/state.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/msr.h"
#include "vmm/msr.h"

#define RESTORES 10000u
#define WINDOW	 1024u /* ticks between two of them, at most */
#define ROUNDS	 125000u
#define FOREVER	 (1ull << 40)
#define CPUID_AVX BIT(28)

static struct state wanted, now, again;

unsigned state_save(struct vcpu *vcpu, struct state *state)
{
	unsigned failed = 0;
	u32 first, last;
	const char *name;

	memset(state, 0, sizeof(*state));
	vcpu_get_regs(vcpu, &state->regs);
	vcpu_get_sregs(vcpu, &state->sregs);
	state->xcr0 = vcpu_get_xcr0(vcpu);
	vcpu_get_debugregs(vcpu, &state->debugregs);
	vcpu_get_events(vcpu, &state->events);
	state->mp_state = vcpu_get_mp_state(vcpu);
	for (unsigned row = 0; msr_range(row, &first, &last, &name); row++)
		for (u32 index = first; index <= last; index++) {
			struct vcpu_msr *msr = &state->msr[state->msrs];

			msr->index = index;
			/* what this CPU lacks is in the list, but in no vCPU */
			if (state->msrs < STATE_MSRS_MAX && vcpu_get_msrs(vcpu, msr, 1))
				state->msrs++;
		}
	CHECK(virt->fpu()->size <= sizeof(state->fpu));
	CHECK_EQUAL(vcpu_get_fpu(vcpu, state->fpu, virt->fpu()->size), 0);
	return failed;
}

unsigned state_restore(struct vcpu *vcpu, const struct state *state)
{
	const char *why = NULL;
	unsigned failed = 0;

	CHECK_EQUAL(vcpu_set_registers(vcpu, &state->regs, &state->sregs, &why), 0);
	CHECK_EQUAL(vcpu_set_xcr0(vcpu, state->xcr0, &why), 0);
	CHECK_EQUAL(vcpu_set_fpu(vcpu, state->fpu, virt->fpu()->size, &why), 0);
	CHECK_EQUAL(vcpu_set_msrs(vcpu, state->msr, state->msrs), state->msrs);
	CHECK_EQUAL(vcpu_set_debugregs(vcpu, &state->debugregs, &why), 0);
	CHECK_EQUAL(vcpu_set_events(vcpu, &state->events, &why), 0);
	CHECK_EQUAL(vcpu_set_mp_state(vcpu, state->mp_state, &why), 0);
	if (failed)
		log_error("selftest: %s", why ? why : "?");
	return failed;
}

const char *state_differs(const struct state *a, const struct state *b)
{
	if (memcmp(&a->regs, &b->regs, sizeof(a->regs)))
		return "registers";
	if (memcmp(&a->sregs, &b->sregs, sizeof(a->sregs)))
		return "segments and control registers";
	if (a->xcr0 != b->xcr0 || memcmp(a->fpu, b->fpu, sizeof(a->fpu)))
		return "the FPU";
	if (memcmp(&a->debugregs, &b->debugregs, sizeof(a->debugregs)))
		return "debug registers";
	if (memcmp(&a->events, &b->events, sizeof(a->events)) || a->mp_state != b->mp_state)
		return "events";
	for (unsigned i = 0; i < a->msrs; i++)
		if (a->msr[i].index != MSR_TSC && a->msr[i].value != b->msr[i].value)
			return "MSRs";
	return a->msrs == b->msrs ? NULL : "MSRs";
}

bool state_guest(struct guest *g, const void *code, u64 size)
{
	if (!guest_make(g, MIB(4)))
		return false;
	vm_set_memory_region(g->vm, 0, 0, GPA(0), MIB(4), g->mem, 0);
	guest_put_tables(g, STATE_TABLES, STATE_TABLES, 7);
	guest_write(g->vm, GPA(STATE_CODE), code, size);
	return true;
}

unsigned state_start(struct guest *g, u64 rounds)
{
	const struct cpuid_state none = {0};
	bool avx = cpuid_query(&g->vm->cpuid, 1, 0, &none).ecx & CPUID_AVX;
	static struct state start;
	static const u64 code64 = 0x00af9b000000ffff, data = 0x00cf93000000ffff;
	const char *why = "";
	unsigned failed = 0;

	guest_start(g, STATE_CODE, STATE_TABLES);
	failed += state_save(g->vcpu, &start);
	start.regs.gpr[GPR_RSP] = STATE_STACK;
	start.regs.gpr[GPR_RBP] = rounds;
	start.regs.gpr[GPR_R15] = avx;
	start.sregs.cr4 |= CR4_OSFXSR | (avx ? CR4_OSXSAVE : 0);
	start.sregs.seg[SREG_GS].base = 0x1000;
	/* so that an IDT's gates find the code segment */
	start.sregs.gdt = (struct vcpu_dtable){STATE_GDT, 0xff};
	guest_write(g->vm, GPA(STATE_GDT + start.sregs.seg[SREG_CS].selector), &code64,
		    sizeof(code64));
	guest_write(g->vm, GPA(STATE_GDT + start.sregs.seg[SREG_SS].selector), &data,
		    sizeof(data));
	CHECK_EQUAL(vcpu_set_registers(g->vcpu, &start.regs, &start.sregs, &why), 0);
	if (avx)
		CHECK_EQUAL(vcpu_set_xcr0(g->vcpu, XCR0_X87 | XCR0_SSE | XCR0_AVX, &why), 0);
	/* what a get could give and a set would refuse */
	CHECK_EQUAL(virt->fpu()->components & ~g->vm->cpuid.xcr0_valid, 0);
	log_info("selftest: FPU area of %u bytes, AVX %s %s", virt->fpu()->size,
		 avx ? "used" : "not there", why ? why : "");
	return failed;
}

static unsigned run_disturbed(struct guest *g)
{
	unsigned failed = 0, restores = 0;
	u32 random = 1;

	while (!failed) {
		enum vcpu_exit_reason how;

		random = random * 1664525 + 1013904223;
		how = guest_run(g, random % WINDOW);
		if (how == EXIT_HYPERCALL)
			break;
		CHECK_EQUAL(how, EXIT_DEADLINE);
		failed += state_save(g->vcpu, &now);
		vcpu_reset(g->vcpu);
		/* now and then out of the CPU as well */
		if (random >> 28 == 0) {
			vcpu_put(g->vcpu);
			vcpu_load(g->vcpu);
		}
		failed += state_restore(g->vcpu, &now);
		if (restores++ % 16)
			continue;
		failed += state_save(g->vcpu, &again);
		if (state_differs(&now, &again)) {
			failed++;
			log_error("not so: get, set, get: %s", state_differs(&now, &again));
		}
	}
	log_info("selftest: restored %u times", restores);
	CHECK(restores >= RESTORES);
	return failed;
}

static unsigned run(const char *argument)
{
	struct guest g;
	u64 size = state_compute_end - state_compute;
	unsigned failed = 0;

	if (!state_guest(&g, state_compute, size))
		return 1;
	failed += state_start(&g, ROUNDS);
	CHECK_EQUAL(guest_run(&g, FOREVER), EXIT_HYPERCALL);
	failed += state_save(g.vcpu, &wanted);
	failed += state_start(&g, ROUNDS);
	failed += run_disturbed(&g);
	failed += state_save(g.vcpu, &now);
	if (state_differs(&wanted, &now)) {
		failed++;
		log_error("not so: the disturbed computation: %s", state_differs(&wanted, &now));
	}
	CHECK_EQUAL(now.regs.gpr[GPR_RBP], 0);
	guest_end(&g);
	return failed;
}

DEFINE_SELFTEST(state_test, .name = "state", .run = run);
