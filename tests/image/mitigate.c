/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of the mitigations at 10,000 switches between VMs. "mitigate:WORDS": what
 * the CPU is to get, by the banner's names; WORDS come from the test's table, not from
 * Trivet. Each write of IA32_SPEC_CTRL, IA32_PRED_CMD and IA32_FLUSH_CMD and each entry is
 * written down, by way of the linker's --wrap, and compared with what that asks for:
 *
 *	IBPB at a switch; then for each entry: L1D flush, IA32_SPEC_CTRL with the guest's bits
 *	where these are more than Trivet's, the entry, Trivet's IA32_SPEC_CTRL
 *
 * VERW and the return stack are looked at in the code as it was patched; the guest's registers
 * behind an exit, where the first C function begins, as they are. Source: Intel's guidance;
 * Linux, Documentation/admin-guide/hw-vuln.
 */
#include "arch/cpu.h"
#include "arch/mitigate.h"
#include "arch/patch.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"
#include "vmm/pcpu.h"

#define SWITCHES 10000u
#define TICKS	 50000000ull
#define CODE	 0x1000ull

/* ---- the trace */

enum { PASSED_ENTRY = 1, PASSED_EXIT = 2, EVENTS_MAX = 32 };

struct event {
	u32 what; /* PASSED_*, or an MSR */
	u64 value;
};

/* Of each pCPU, written by it alone. */
static struct trace {
	bool on;
	unsigned count;
	struct event event[EVENTS_MAX];
} traces[PCPU_MAX];

static void note(u32 what, u64 value)
{
	struct trace *trace = &traces[this_pcpu()->id];

	if (trace->on && trace->count < EVENTS_MAX)
		trace->event[trace->count++] = (struct event){what, value};
}

int __real_msr_write_safe(u32 msr, u64 value);
int __wrap_msr_write_safe(u32 msr, u64 value);
int __wrap_msr_write_safe(u32 msr, u64 value)
{
	if (msr == MSR_SPEC_CTRL || msr == MSR_PRED_CMD || msr == MSR_FLUSH_CMD)
		note(msr, value);
	return __real_msr_write_safe(msr, value);
}

enum vmx_served __real_vmx_entry(struct vmx_vcpu *v, bool launched);
enum vmx_served __wrap_vmx_entry(struct vmx_vcpu *v, bool launched);
enum vmx_served __wrap_vmx_entry(struct vmx_vcpu *v, bool launched)
{
	enum vmx_served result;

	note(PASSED_ENTRY, 0);
	result = __real_vmx_entry(v, launched);
	note(PASSED_EXIT, 0);
	return result;
}

/* All bits that a register held when an exit came to C, but for RSP, and RDI, which holds the
 * vCPU there. */
u64 mitigate_held;

enum vmx_served __wrap_vmx_served(struct vmx_vcpu *v);
__asm__(".text; .globl __wrap_vmx_served; __wrap_vmx_served: endbr64;"
	"or %rcx, %rax; or %rdx, %rax; or %rbx, %rax; or %rbp, %rax; or %rsi, %rax;"
	"or %r8, %rax; or %r9, %rax; or %r10, %rax; or %r11, %rax; or %r12, %rax; or %r13, %rax;"
	"or %r14, %rax; or %r15, %rax; lock or %rax, mitigate_held(%rip); jmp __real_vmx_served");

/* ---- what is to be seen */

static bool off, ibpb, l1d, ibrs, verw, rsb, rsb_one, retpolines;

static const struct {
	const char *name;
	bool *wanted;
} words[] = {
	{"IBPB", &ibpb}, {"L1D-flush", &l1d}, {"IBRS", &ibrs}, {"VERW", &verw}, {"RSB", &rsb},
	{"RSB-entry", &rsb_one}, {"retpolines", &retpolines},
};

/* No word: mode off, for in each other one the CPU gets something. */
static bool take_words(const char *list)
{
	off = !*list;
	while (*list) {
		const char *comma = strchr(list, ',');
		size_t len = comma ? (size_t)(comma - list) : strlen(list);
		bool known = false;

		for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
			if (strlen(words[i].name) == len && !strncmp(words[i].name, list, len))
				known = *words[i].wanted = true;
		if (!known)
			return false;
		list += len + (comma ? 1 : 0);
	}
	return true;
}

static bool is(const struct event *event, u32 what, u64 value)
{
	return event->what == what && event->value == value;
}

/* Whether a trace is one of a turn of a vCPU with this value of IA32_SPEC_CTRL. */
static bool trace_good(const struct trace *trace, bool switched, u64 guest)
{
	const struct event *e = trace->event, *end = e + trace->count;
	u64 host = ibrs;
	bool more = guest & ~host;

	if (trace->count == EVENTS_MAX || trace->count < 2)
		return false;
	if (ibpb && switched && !is(e++, MSR_PRED_CMD, 1))
		return false;
	for (; e < end; e += 2) {
		if (l1d && !is(e++, MSR_FLUSH_CMD, 1))
			return false;
		if (more && !is(e++, MSR_SPEC_CTRL, guest | host))
			return false;
		if (end - e < 2 || !is(e, PASSED_ENTRY, 0) || !is(e + 1, PASSED_EXIT, 0))
			return false;
		if (more && !is(e++ + 2, MSR_SPEC_CTRL, host))
			return false;
	}
	return e == end;
}

static void trace_log(const struct trace *trace)
{
	for (unsigned i = 0; i < trace->count; i++)
		log_error("selftest: %u: %s%xh %lx", i, trace->event[i].what <= PASSED_EXIT ? "passed " : "MSR ",
			  trace->event[i].what, trace->event[i].value);
}

/* ---- the VMs */

struct player {
	struct guest g;
	u64 spec_ctrl; /* what its guest writes first, and so has */
	bool good;     /* the last turn's trace */
};

/* VMCALL; again. */
static const u8 quiet[] = {0x0f, 0x01, 0xc1, 0xeb, 0xfb};
/* IA32_SPEC_CTRL = 1 (with 5, 4); VMCALL; IA32_PRED_CMD = 1; VMCALL; again. */
static const u8 careful[] = {
	0xb9, 0x48, 0x00, 0x00, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x31, 0xd2, 0x0f, 0x30,
	0x0f, 0x01, 0xc1,
	0xb9, 0x49, 0x00, 0x00, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x30,
	0x0f, 0x01, 0xc1, 0xeb, 0xfb,
};

static bool controls(void)
{
	return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).edx & BIT(26));
}

static unsigned barriers(const struct trace *trace)
{
	unsigned count = 0;

	for (unsigned i = 0; i < trace->count; i++)
		count += is(&trace->event[i], MSR_PRED_CMD, 1);
	return count;
}

/* The vCPU is loaded as it is made: that is a switch. */
static unsigned make(struct player *p, bool writes)
{
	struct trace *trace = &traces[this_pcpu()->id];
	unsigned failed = 0;

	*trace = (struct trace){.on = true};
	if (!guest_make(&p->g, MIB(1)))
		return 1;
	CHECK_EQUAL(barriers(trace), ibpb);
	CHECK_EQUAL(vm_set_memory_region(p->g.vm, 0, 0, GPA(0), MIB(1), p->g.mem, 0), 0);
	guest_write(p->g.vm, GPA(CODE), writes ? careful : quiet, writes ? sizeof(careful) : sizeof(quiet));
	guest_start(&p->g, CODE, 0);
	p->spec_ctrl = writes;
	if (writes) {
		CHECK_EQUAL(guest_run(&p->g, TICKS), EXIT_HYPERCALL);
		/* the guest's own barrier reaches the CPU */
		*trace = (struct trace){.on = true};
		CHECK_EQUAL(guest_run(&p->g, TICKS), EXIT_HYPERCALL);
		CHECK_EQUAL(barriers(trace), 1);
	}
	trace->on = false;
	vcpu_put(p->g.vcpu);
	return failed;
}

static void end(struct player *p)
{
	vcpu_load(p->g.vcpu);
	guest_end(&p->g);
}

/* One turn, to its VMCALL, on this pCPU. */
static void turn(struct player *p, bool switched)
{
	struct trace *trace = &traces[this_pcpu()->id];

	*trace = (struct trace){.on = true};
	vcpu_load(p->g.vcpu);
	p->good = guest_run(&p->g, TICKS) == EXIT_HYPERCALL;
	trace->on = false;
	vcpu_put(p->g.vcpu);
	p->good = p->good && trace_good(trace, switched, p->spec_ctrl);
}

/* Nothing that the guest had in its registers is there for the C code behind an exit. */
static unsigned registers(struct player *p)
{
	u64 *gpr = p->g.vcpu->virt->gpr;
	unsigned failed = 0;

	for (unsigned i = 0; i < GPR_COUNT; i++) {
		u64 kept = gpr[i];

		if (i == GPR_RSP || i == GPR_RDI)
			continue;
		gpr[i] = 0xa5a5000000000000 | kept;
		mitigate_held = 0;
		turn(p, false);
		if ((mitigate_held >> 48 == 0xa5a5) != off) {
			log_error("selftest: register %u: %lx", i, mitigate_held);
			failed++;
		}
		CHECK(p->good);
		gpr[i] = kept;
	}
	return failed;
}

static unsigned expect_turn(struct player *p, bool switched)
{
	unsigned failed = 0;

	turn(p, switched);
	CHECK(p->good);
	if (!p->good)
		trace_log(&traces[this_pcpu()->id]);
	return failed;
}

static unsigned switches(struct player players[2])
{
	unsigned failed = 0;

	for (unsigned i = 0; i < SWITCHES && !failed; i++) {
		failed += expect_turn(&players[i % 2], true);
		/* now and then the same one again, which is no switch */
		if (i % 16 == 0)
			failed += expect_turn(&players[i % 2], false);
	}
	return failed;
}

/* A vCPU made anew where another one was is another one. */
static unsigned remade(struct player players[2])
{
	struct vcpu *before;
	unsigned failed = 0;

	for (unsigned i = 0; i < 4; i++) {
		failed += expect_turn(&players[0], true);
		failed += expect_turn(&players[1], true);
		before = players[1].g.vcpu;
		end(&players[1]);
		failed += make(&players[1], controls());
		if (before != players[1].g.vcpu)
			log_info("selftest: the new vCPU lies elsewhere");
		failed += expect_turn(&players[1], false);
	}
	return failed;
}

static void visit(void *arg)
{
	if (pcpu_vmm())
		turn(arg, true);
}

/* One that was elsewhere comes back to a CPU where nobody else ran meanwhile. */
static unsigned moves(struct player *p)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < 100 && !failed; i++) {
		failed += expect_turn(p, true);
		failed += expect_turn(p, false);
		p->good = false;
		smp_call(1, visit, p);
		CHECK(p->good);
	}
	failed += expect_turn(p, true);
	return failed;
}

/* ---- the code */

extern const struct patch {
	s32 site;
	u8 kind, size, code[6];
} __start_patches[], __stop_patches[];

/* Whether a place is as such an entry makes it. */
static bool over(const struct patch *patch)
{
	return !memcmp((const u8 *)&patch->site + patch->site, patch->code, patch->size);
}

/* VERW [rip + d]; where it is an entry of C's, JNC over; VMRESUME. */
static unsigned check_verw(const u8 *site)
{
	unsigned failed = 0;

	CHECK(!memcmp(site, "\x0f\x00\x2d", 3));
	CHECK(!memcmp(site + (site[7] == 0x73 ? 9 : 7), "\x0f\x01\xc3", 3));
	return failed;
}

static unsigned check_code(void)
{
	unsigned failed = 0, seen = 0;

	for (const struct patch *p = __start_patches; p < __stop_patches; p++) {
		seen |= BIT(p->kind);
		if (p->kind == PATCH_RETPOLINE)
			CHECK_EQUAL(over(p), !retpolines);
		if (p->kind == PATCH_RSB)
			CHECK_EQUAL(over(p), rsb_one);
		if (p->kind == PATCH_RSB_ONE)
			CHECK_EQUAL(over(p), !rsb && !rsb_one);
		if (p->kind == PATCH_VERW)
			CHECK_EQUAL(over(p), !verw);
		if (p->kind == PATCH_ZERO)
			CHECK_EQUAL(over(p), off);
		if (p->kind == PATCH_VERW && verw)
			failed += check_verw((const u8 *)&p->site + p->site);
	}
	CHECK_EQUAL(seen & ~BIT(PATCH_RETPOLINE),
		    BIT(PATCH_RSB) | BIT(PATCH_RSB_ONE) | BIT(PATCH_VERW) | BIT(PATCH_ZERO));
	return failed;
}

/* What the turns' check is worth: each thing left out once is seen. */
static unsigned left_out(struct player players[2])
{
	struct vmx_vcpu *v = to_vmx(players[0].g.vcpu->virt);
	struct mitigate_plan plan = mitigate;
	unsigned failed = 0;

	mitigate.on &= ~BIT(MITIGATE_IBPB);
	turn(&players[0], true);
	CHECK_EQUAL(players[0].good, !ibpb);
	mitigate = plan;
	mitigate.on &= ~BIT(MITIGATE_L1D);
	turn(&players[1], true);
	CHECK_EQUAL(players[1].good, !l1d);
	mitigate = plan;
	/* A guest that has more set than Trivet, STIBP. */
	players[0].spec_ctrl = 2;
	vmx_vcpu_set_spec_ctrl(v, 2);
	failed += expect_turn(&players[0], true);
	v->guarded = false;
	turn(&players[0], true);
	CHECK_EQUAL(players[0].good, false);
	players[0].spec_ctrl = 0;
	vmx_vcpu_set_spec_ctrl(v, 0);
	failed += expect_turn(&players[1], true);
	return failed;
}

static unsigned run_mitigate(const char *argument)
{
	static struct player players[2];
	unsigned failed = 0;
	u64 spec_ctrl = 0;

	if (!take_words(argument)) {
		log_error("selftest: the words of %s", argument);
		return 1;
	}
	failed += check_code();
	if (controls()) {
		msr_read_safe(MSR_SPEC_CTRL, &spec_ctrl);
		CHECK_EQUAL(spec_ctrl, ibrs);
	}
	failed += make(&players[0], false);
	failed += make(&players[1], controls());
	if (failed)
		return failed;
	failed += switches(players);
	failed += expect_turn(&players[0], true);
	failed += registers(&players[0]);
	failed += expect_turn(&players[1], true);
	failed += remade(players);
	if (pcpu_count > 1)
		failed += moves(&players[0]);
	failed += expect_turn(&players[0], pcpu_count == 1);
	failed += expect_turn(&players[1], true);
	failed += left_out(players);
	end(&players[0]);
	end(&players[1]);
	return failed;
}

DEFINE_SELFTEST(mitigate_test, .name = "mitigate", .run = run_mitigate);
