/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decision, as a table of what a CPU reports, and the MSRs behind it. Source:
 * Intel SDM volume 4, "IA32_ARCH_CAPABILITIES", "IA32_SPEC_CTRL"; volume 2, CPUID
 * leaf 7; Intel's guidance on each class, by the names in the table.
 */
#include "arch/mitigate.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/msr.h"
#include "arch/patch.h"
#include "arch/percpu.h"

/* Facts: the low bits are those of IA32_ARCH_CAPABILITIES. */
#define RDCL_NO	       BIT(0)
#define IBRS_ALL       BIT(1)
#define SKIP_L1DFL     BIT(3)
#define MDS_NO	       BIT(5)
#define PSCHANGE_MC_NO BIT(6)
#define TSX_CTRL       BIT(7)
#define TAA_NO	       BIT(8)
#define SBDR_SSDP_NO   BIT(13)
#define FBSDP_NO       BIT(14)
#define PSDP_NO	       BIT(15)
#define FB_CLEAR       BIT(17)
#define BHI_NO	       BIT(20)
#define PBRSB_NO       BIT(24)
#define RFDS_NO	       BIT(27)
#define RFDS_CLEAR     BIT(28)
#define CAPS_FACTS     BITS(31, 0)
/* The others are CPUID's. */
#define MD_CLEAR       BIT(32)
#define IBRS_IBPB      BIT(33)
#define L1D_FLUSH      BIT(34)
#define RTM	       BIT(35)
#define RRSBA_CTRL     BIT(36)
#define BHI_CTRL       BIT(37)

/* IA32_ARCH_CAPABILITIES bits that speak of a danger: one CPU's is all CPUs'. */
#define CAPS_DANGERS (BIT(2) /* RSBA */ | BIT(19) /* RRSBA */)

enum { SPEC_IBRS = BIT(0), SPEC_RRSBA_DIS_S = BIT(6), SPEC_BHI_DIS_S = BIT(10) };
enum { TSX_RTM_DISABLE = BIT(0), TSX_CPUID_CLEAR = BIT(1) };

/*
 * A CPU asks for what a row names if it reports all of `all` and none of `none`, and
 * can have it if `needs` is 0 or it reports one of these.
 */
static const struct row {
	enum mitigation what;
	u64 all, none, needs;
} rows[] = {
	/* Branch target injection; with enhanced IBRS branch history still leads astray. */
	{MITIGATE_RETPOLINE, .none = IBRS_ALL},
	{MITIGATE_RETPOLINE, .none = BHI_NO | BHI_CTRL},
	{MITIGATE_IBRS, .all = IBRS_ALL},
	{MITIGATE_BHI_DIS_S, .all = IBRS_ALL | BHI_CTRL, .none = BHI_NO},
	{MITIGATE_RRSBA_DIS_S, .all = RRSBA_CTRL, .none = IBRS_ALL},
	{MITIGATE_RRSBA_DIS_S, .all = RRSBA_CTRL, .none = BHI_NO | BHI_CTRL},
	/* Return stack underflow, and post-barrier predictions. */
	{MITIGATE_RSB, .none = IBRS_ALL},
	{MITIGATE_RSB_ONE, .all = IBRS_ALL, .none = PBRSB_NO},
	{MITIGATE_IBPB, .needs = IBRS_IBPB},
	/* L1 terminal fault. */
	{MITIGATE_L1D, .none = RDCL_NO | SKIP_L1DFL, .needs = L1D_FLUSH},
	/* Microarchitectural data sampling; by asynchronous aborts, which TSX off ends too. */
	{MITIGATE_VERW, .none = MDS_NO, .needs = MD_CLEAR},
	{MITIGATE_TSX, .all = RTM | MDS_NO, .none = TAA_NO, .needs = TSX_CTRL},
	{MITIGATE_TSX, .all = TSX_CTRL, .none = TAA_NO},
	/* Stale data of MMIO, and of the register file. */
	{MITIGATE_VERW, .all = FB_CLEAR, .none = SBDR_SSDP_NO},
	{MITIGATE_VERW, .all = FB_CLEAR, .none = FBSDP_NO},
	{MITIGATE_VERW, .all = FB_CLEAR, .none = PSDP_NO},
	{MITIGATE_VERW, .all = RFDS_CLEAR, .none = RFDS_NO},
	/* Machine check on a page's change of size. */
	{MITIGATE_MULTIHIT, .none = PSCHANGE_MC_NO},
};

/* Forced upon any CPU: bits of MSRs that CPUID does not offer would be refused, and filling the
 * whole return stack fills one entry too. */
#define OFFERED (BIT(MITIGATE_BHI_DIS_S) | BIT(MITIGATE_RRSBA_DIS_S))
#define FORCED	(BITS(MITIGATE_COUNT - 1, 0) & ~OFFERED & ~BIT(MITIGATE_RSB_ONE))

/* What can still begin when the code is as it stays and other CPUs run. */
#define LATE (BIT(MITIGATE_IBPB) | BIT(MITIGATE_L1D) | BIT(MITIGATE_TSX) | BIT(MITIGATE_MULTIHIT))

struct mitigate_plan mitigate;
u64 mitigate_caps;
static enum mitigate_mode mitigate_mode;

static u64 facts_of(const struct mitigate_cpu *cpu)
{
	return (cpu->caps & CAPS_FACTS) | (cpu->edx & BIT(10) ? MD_CLEAR : 0) |
	       (cpu->edx & BIT(26) ? IBRS_IBPB : 0) | (cpu->edx & BIT(28) ? L1D_FLUSH : 0) |
	       (cpu->ebx & BIT(11) ? RTM : 0) | (cpu->edx2 & BIT(2) ? RRSBA_CTRL : 0) |
	       (cpu->edx2 & BIT(4) ? BHI_CTRL : 0);
}

struct mitigate_plan mitigate_decide(enum mitigate_mode mode, const struct mitigate_cpu *cpu)
{
	struct mitigate_plan plan = {0};
	u64 facts = facts_of(cpu);

	for (unsigned i = 0; i < ARRAY_SIZE(rows) && mode != MITIGATE_OFF; i++) {
		const struct row *row = &rows[i];

		if ((facts & row->all) != row->all || (facts & row->none))
			continue;
		if (!row->needs || (facts & row->needs))
			plan.on |= BIT(row->what);
		else
			plan.lacks |= BIT(row->what);
	}
	plan.lacks &= ~plan.on;
	if (mode == MITIGATE_FORCE)
		plan.on = FORCED | (plan.on & OFFERED);
	plan.spec_ctrl = (plan.on & BIT(MITIGATE_IBRS) ? SPEC_IBRS : 0) |
			 (plan.on & BIT(MITIGATE_BHI_DIS_S) ? SPEC_BHI_DIS_S : 0) |
			 (plan.on & BIT(MITIGATE_RRSBA_DIS_S) ? SPEC_RRSBA_DIS_S : 0);
	plan.patches = (plan.on & BIT(MITIGATE_RETPOLINE) ? 0 : BIT(PATCH_RETPOLINE)) |
		       (plan.on & BIT(MITIGATE_RSB) ? 0 : BIT(PATCH_RSB)) |
		       (plan.on & (BIT(MITIGATE_RSB) | BIT(MITIGATE_RSB_ONE)) ? 0
									      : BIT(PATCH_RSB_ONE)) |
		       (plan.on & BIT(MITIGATE_VERW) ? 0 : BIT(PATCH_VERW)) |
		       (mode == MITIGATE_OFF ? BIT(PATCH_ZERO) : 0);
	return plan;
}

static struct mitigate_cpu read_cpu(void)
{
	struct mitigate_cpu cpu = {0};
	struct cpuid_regs seven;

	if (cpuid(0, 0).eax < 7)
		return cpu;
	seven = cpuid(7, 0);
	cpu.ebx = seven.ebx;
	cpu.edx = seven.edx;
	if (seven.eax >= 2)
		cpu.edx2 = cpuid(7, 2).edx;
	if (seven.edx & BIT(29))
		msr_read_safe(MSR_ARCH_CAPABILITIES, &cpu.caps);
	return cpu;
}

/* Forced ones may not exist. What the firmware left in IA32_SPEC_CTRL goes in any case. */
static void set_up(const struct mitigate_cpu *cpu)
{
	if (mitigate.spec_ctrl || (facts_of(cpu) & IBRS_IBPB))
		msr_write_safe(MSR_SPEC_CTRL, mitigate.spec_ctrl);
	if (mitigate_needs(MITIGATE_TSX))
		msr_write_safe(MSR_TSX_CTRL, TSX_RTM_DISABLE | TSX_CPUID_CLEAR);
}

void mitigate_init(enum mitigate_mode mode)
{
	struct mitigate_cpu cpu = read_cpu();

	mitigate_mode = mode;
	mitigate_caps = cpu.caps;
	mitigate = mitigate_decide(mode, &cpu);
	patch_apply(mitigate.patches);
	set_up(&cpu);
}

static void warn(u32 which, const char *how)
{
	for (unsigned i = 0; i < MITIGATE_COUNT; i++)
		if (which & BIT(i))
			log_warn("mitigations: the core with APIC id %u asks for %s, unlike the "
				 "boot CPU: %s", this_pcpu()->apic_id, mitigate_name(i), how);
}

void mitigate_cpu_init(void)
{
	struct mitigate_cpu cpu = read_cpu();
	struct mitigate_plan plan = mitigate_decide(mitigate_mode, &cpu);
	u32 more = plan.on & ~mitigate.on;

	mitigate_caps = (mitigate_caps & cpu.caps) | ((mitigate_caps | cpu.caps) & CAPS_DANGERS);
	mitigate.on |= more & LATE;
	warn(more & LATE, "it is on from now");
	warn(more & ~LATE, "it stays off");
	warn(plan.lacks & ~mitigate.lacks, "its microcode does not know that");
	mitigate.lacks |= plan.lacks;
	set_up(&cpu);
}

const char *mitigate_name(enum mitigation which)
{
	static const char *const names[MITIGATE_COUNT] = {
#define X(name, text) text,
		MITIGATIONS(X)
#undef X
	};

	return names[which];
}
