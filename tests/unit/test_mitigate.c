/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/lib/format.c */
/*
 * What each processor is to get: real ones as rows, by what they report, against
 * Intel's guidance on each class. Source: Intel SDM volume 4, "IA32_ARCH_CAPABILITIES";
 * "Branch History Injection", "Post-Barrier Return Stack Buffer Predictions", "L1
 * Terminal Fault", "Microarchitectural Data Sampling", "TSX Asynchronous Abort",
 * "Processor MMIO Stale Data", "Register File Data Sampling", "Machine Check Error
 * Avoidance on Page Size Change".
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/percpu.h"

static struct cpuid_regs host_cpuid(u32 leaf, u32 subleaf);
static struct pcpu host_pcpu = {.apic_id = 6};
#define cpuid(leaf, subleaf) host_cpuid(leaf, subleaf)
#define this_pcpu()	     (&host_pcpu)
/* The file itself, since these are inline; its names of facts are not the test's. */
#include "arch/mitigate.c"
#undef RDCL_NO
#undef IBRS_ALL
#undef SKIP_L1DFL
#undef MDS_NO
#undef PSCHANGE_MC_NO
#undef TSX_CTRL
#undef TAA_NO
#undef SBDR_SSDP_NO
#undef FBSDP_NO
#undef PSDP_NO
#undef FB_CLEAR
#undef BHI_NO
#undef PBRSB_NO
#undef RFDS_NO
#undef RFDS_CLEAR
#undef MD_CLEAR
#undef L1D_FLUSH
#undef RTM
#undef RRSBA_CTRL
#undef BHI_CTRL

#include "arch/lib/errno.h"

/* The CPU that the code runs on. */
static const struct mitigate_cpu *host;
static bool leaf7 = true;
static u32 patched;
static struct {
	u32 msr;
	u64 value;
} written[8];
static unsigned writes;
static char messages[2048];

static struct cpuid_regs host_cpuid(u32 leaf, u32 subleaf)
{
	if (leaf == 0)
		return (struct cpuid_regs){leaf7 ? 7 : 4, 0, 0, 0};
	assert_int_equal(leaf, 7);
	assert_true(leaf7);
	if (subleaf == 0)
		return (struct cpuid_regs){host->edx2 ? 2 : 0, host->ebx, 0, host->edx};
	assert_int_equal(subleaf, 2);
	assert_true(host->edx2);
	return (struct cpuid_regs){0, 0, 0, host->edx2};
}

void patch_apply(u32 kinds)
{
	patched = kinds;
}

int msr_read_safe(u32 msr, u64 *value)
{
	assert_int_equal(msr, 0x10a);
	*value = host->caps;
	return 0;
}

int msr_write_safe(u32 msr, u64 value)
{
	written[writes].msr = msr;
	written[writes++].value = value;
	return 0;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	size_t len = strlen(messages);
	va_list ap;

	assert_int_equal(level, LOG_WARN);
	va_start(ap, fmt);
	vsnprintf(messages + len, sizeof(messages) - len, fmt, ap);
	va_end(ap);
	strcat(messages, "\n");
}

#define DO(name) BIT(MITIGATE_##name)

/* CPUID leaf 7 EDX. */
enum { MD_CLEAR = 1 << 10, SPEC_CTRL = 1 << 26 | 1 << 27, L1D_FLUSH = 1 << 28, CAPS = 1 << 29 };
#define SSBD (1u << 31)
enum { RTM = 1 << 11 }; /* EBX */
enum { RRSBA_CTRL = 1 << 2, BHI_CTRL = 1 << 4 }; /* subleaf 2 EDX */

#define NEWEST (MD_CLEAR | SPEC_CTRL | L1D_FLUSH | CAPS | SSBD)

/* Bits of IA32_ARCH_CAPABILITIES by number. */
enum { RDCL_NO = 1 << 0, IBRS_ALL = 1 << 1, SKIP_L1DFL = 1 << 3, MDS_NO = 1 << 5,
       PSCHANGE_MC_NO = 1 << 6, TSX_CTRL = 1 << 7, TAA_NO = 1 << 8, SBDR_SSDP_NO = 1 << 13,
       FBSDP_NO = 1 << 14, PSDP_NO = 1 << 15, FB_CLEAR = 1 << 17, RRSBA = 1 << 19, BHI_NO = 1 << 20,
       PBRSB_NO = 1 << 24, GDS_NO = 1 << 26, RFDS_NO = 1 << 27, RFDS_CLEAR = 1 << 28 };
#define MMIO_NO (SBDR_SSDP_NO | FBSDP_NO | PSDP_NO)

static const struct machine {
	const char *name;
	struct mitigate_cpu cpu;
	u32 on, lacks;
	u64 spec_ctrl;
} machines[] = {
	{"without leaf 7", {0, 0, 0, 0}, DO(RETPOLINE) | DO(RSB) | DO(MULTIHIT),
	 DO(IBPB) | DO(L1D) | DO(VERW), 0},
	{"Haswell, microcode of 2017", {RTM, 0, 0, 0}, DO(RETPOLINE) | DO(RSB) | DO(MULTIHIT),
	 DO(IBPB) | DO(L1D) | DO(VERW), 0},
	{"Haswell, last microcode", {RTM, MD_CLEAR | SPEC_CTRL | L1D_FLUSH | SSBD, 0, 0},
	 DO(RETPOLINE) | DO(RSB) | DO(IBPB) | DO(L1D) | DO(VERW) | DO(MULTIHIT), 0, 0},
	/* SKIP_L1DFL: what KVM tells a guest whose entries it flushes for itself. */
	{"Haswell as KVM's guest", {0, NEWEST & ~L1D_FLUSH, 0, SKIP_L1DFL | PSCHANGE_MC_NO},
	 DO(RETPOLINE) | DO(RSB) | DO(IBPB) | DO(VERW), 0, 0},
	{"Skylake-SP", {RTM, NEWEST, 0, 1 << 2 /* RSBA */ | FB_CLEAR},
	 DO(RETPOLINE) | DO(RSB) | DO(IBPB) | DO(L1D) | DO(VERW) | DO(MULTIHIT), 0, 0},
	{"Cascade Lake, microcode of 2019", {RTM, NEWEST, 0, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO},
	 DO(RETPOLINE) | DO(IBRS) | DO(RSB_ONE) | DO(IBPB) | DO(MULTIHIT), DO(TSX), 1},
	/* Buffers are cleared for MMIO's sake: FB_CLEAR, MMIO_NO missing. */
	{"Cascade Lake", {RTM, NEWEST, 0, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO | TSX_CTRL |
			  FB_CLEAR | RRSBA},
	 DO(RETPOLINE) | DO(IBRS) | DO(RSB_ONE) | DO(IBPB) | DO(VERW) | DO(TSX) | DO(MULTIHIT), 0, 1},
	{"Ice Lake-SP", {0, NEWEST, 0, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO | PSCHANGE_MC_NO |
			 TAA_NO | FB_CLEAR},
	 DO(RETPOLINE) | DO(IBRS) | DO(RSB_ONE) | DO(IBPB) | DO(VERW), 0, 1},
	{"Tiger Lake", {0, NEWEST, 0, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO | PSCHANGE_MC_NO |
			TAA_NO | TSX_CTRL | SBDR_SSDP_NO | FB_CLEAR},
	 DO(RETPOLINE) | DO(IBRS) | DO(RSB_ONE) | DO(IBPB) | DO(VERW), 0, 1},
	/* BHI_DIS_S takes the retpolines' place; the efficient cores' register file. */
	{"Alder Lake", {0, NEWEST, RRSBA_CTRL | BHI_CTRL, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO |
			PSCHANGE_MC_NO | TAA_NO | MMIO_NO | FB_CLEAR | RRSBA | GDS_NO | RFDS_CLEAR},
	 DO(IBRS) | DO(BHI_DIS_S) | DO(RSB_ONE) | DO(IBPB) | DO(VERW), 0, 1 | 1 << 10},
	{"Alder Lake before BHI_CTRL", {0, NEWEST, RRSBA_CTRL, RDCL_NO | IBRS_ALL | SKIP_L1DFL |
			MDS_NO | PSCHANGE_MC_NO | TAA_NO | MMIO_NO | RRSBA | PBRSB_NO},
	 DO(RETPOLINE) | DO(IBRS) | DO(RRSBA_DIS_S) | DO(IBPB), 0, 1 | 1 << 6},
	{"Sapphire Rapids", {RTM, NEWEST, RRSBA_CTRL | BHI_CTRL, RDCL_NO | IBRS_ALL | SKIP_L1DFL |
			     MDS_NO | PSCHANGE_MC_NO | TAA_NO | TSX_CTRL | MMIO_NO | FB_CLEAR | RRSBA |
			     PBRSB_NO | GDS_NO | RFDS_NO},
	 DO(IBRS) | DO(BHI_DIS_S) | DO(IBPB), 0, 1 | 1 << 10},
	{"one with nothing left", {0, NEWEST, 0, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO |
				   PSCHANGE_MC_NO | TAA_NO | MMIO_NO | BHI_NO | PBRSB_NO | RFDS_NO},
	 DO(IBRS) | DO(IBPB), 0, 1},
};

static u32 patches_of(u32 on)
{
	return (on & DO(RETPOLINE) ? 0 : BIT(PATCH_RETPOLINE)) | (on & DO(RSB) ? 0 : BIT(PATCH_RSB)) |
	       (on & (DO(RSB) | DO(RSB_ONE)) ? 0 : BIT(PATCH_RSB_ONE)) |
	       (on & DO(VERW) ? 0 : BIT(PATCH_VERW)); /* PATCH_ZERO: in mode off alone */
}

static void each_machine(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct machine *m = &machines[i];
		struct mitigate_plan plan = mitigate_decide(MITIGATE_AUTO, &m->cpu);

		if (plan.on != m->on || plan.lacks != m->lacks || plan.spec_ctrl != m->spec_ctrl ||
		    plan.patches != patches_of(m->on))
			fail_msg("%s: on %x for %x, lacks %x for %x, SPEC_CTRL %lx for %lx, "
				 "patches %x", m->name, plan.on, m->on, plan.lacks, m->lacks,
				 (unsigned long)plan.spec_ctrl, (unsigned long)m->spec_ctrl,
				 plan.patches);
	}
}

/* Off: nothing, all code written over. Force: all, but for bits that CPUID must offer. */
static void off_and_force(void **state)
{
	u32 all = BITS(MITIGATE_COUNT - 1, 0) & ~DO(RSB_ONE) & ~DO(BHI_DIS_S) & ~DO(RRSBA_DIS_S);

	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct machine *m = &machines[i];
		struct mitigate_plan off = mitigate_decide(MITIGATE_OFF, &m->cpu);
		struct mitigate_plan force = mitigate_decide(MITIGATE_FORCE, &m->cpu);

		assert_int_equal(off.on | off.lacks | off.spec_ctrl, 0);
		assert_int_equal(off.patches, BITS(PATCH_KINDS - 1, 0));
		assert_int_equal(force.on & all, all);
		assert_int_equal(force.on & ~all, m->on & (DO(BHI_DIS_S) | DO(RRSBA_DIS_S)));
		assert_int_equal(force.lacks, m->lacks);
		assert_int_equal(force.patches, 0);
		assert_true(force.spec_ctrl & 1);
	}
}

/* More "not vulnerable" bits never ask for more; each name is a word of its own. */
static void monotone(void **state)
{
	static const u32 no[] = {RDCL_NO, SKIP_L1DFL, MDS_NO, PSCHANGE_MC_NO, SBDR_SSDP_NO, FBSDP_NO,
				 PSDP_NO, BHI_NO, PBRSB_NO, RFDS_NO};

	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(no); k++) {
			struct mitigate_cpu cpu = machines[i].cpu;
			u32 before = machines[i].on | machines[i].lacks, after;
			struct mitigate_plan plan;

			/* MDS_NO says too that transactions were not covered by VERW. */
			before |= no[k] == MDS_NO && (cpu.ebx & RTM) ? DO(TSX) : 0;
			cpu.caps |= no[k];
			plan = mitigate_decide(MITIGATE_AUTO, &cpu);
			after = plan.on | plan.lacks;
			assert_int_equal(after & ~before, 0);
		}
	for (unsigned i = 0; i < MITIGATE_COUNT; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(mitigate_name(i), mitigate_name(k));
}

static void start(enum mitigate_mode mode, const struct mitigate_cpu *cpu)
{
	host = cpu;
	writes = 0;
	messages[0] = 0;
	mitigate_init(mode);
}

static void start_other(const struct mitigate_cpu *cpu)
{
	host = cpu;
	writes = 0;
	mitigate_cpu_init();
}

/* What the decision says is done: code, IA32_SPEC_CTRL, IA32_TSX_CTRL on each core. */
static void each_core_is_set_up(void **state)
{
	const struct mitigate_cpu cascade = {RTM, NEWEST, 0, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO |
					     TSX_CTRL | FB_CLEAR | PBRSB_NO | PSCHANGE_MC_NO};
	const struct mitigate_cpu old = {0};

	for (unsigned core = 0; core < 3; core++) {
		if (core == 0)
			start(MITIGATE_AUTO, &cascade);
		else
			start_other(&cascade);
		assert_int_equal(writes, 2);
		assert_true(written[0].msr == 0x48 && written[0].value == 1);
		assert_true(written[1].msr == 0x122 && written[1].value == 3);
		assert_int_equal(mitigate.on, DO(RETPOLINE) | DO(IBRS) | DO(IBPB) | DO(VERW) | DO(TSX));
		assert_int_equal(mitigate_caps, cascade.caps);
	}
	assert_int_equal(patched, BIT(PATCH_RSB) | BIT(PATCH_RSB_ONE));
	/* Off is no excuse for what the firmware has left there. */
	start(MITIGATE_OFF, &cascade);
	assert_int_equal(writes, 1);
	assert_true(written[0].msr == 0x48 && written[0].value == 0);
	assert_int_equal(patched, BITS(PATCH_KINDS - 1, 0));
	leaf7 = false;
	start(MITIGATE_AUTO, &old);
	leaf7 = true;
	assert_int_equal(writes, 0);
	assert_int_equal(mitigate_caps, 0);
	assert_string_equal(messages, "");
}

/* A core that asks for more than the boot CPU: what can still begin does, and all is said. */
static void cores_that_differ(void **state)
{
	const struct mitigate_cpu good = {0, NEWEST, 0, RDCL_NO | IBRS_ALL | SKIP_L1DFL | MDS_NO |
					  PSCHANGE_MC_NO | TAA_NO | MMIO_NO | BHI_NO | PBRSB_NO | RFDS_NO};
	struct mitigate_cpu other = good;

	start(MITIGATE_AUTO, &good);
	start_other(&good);
	assert_string_equal(messages, "");
	other.caps &= ~(u64)(PSCHANGE_MC_NO | MDS_NO | SKIP_L1DFL | RDCL_NO);
	other.caps |= RRSBA;
	start_other(&other);
	assert_int_equal(mitigate.on, DO(IBRS) | DO(IBPB) | DO(L1D) | DO(MULTIHIT));
	assert_non_null(strstr(messages, "APIC id 6 asks for L1D-flush, unlike the boot CPU: it is on"));
	assert_non_null(strstr(messages, "multihit, unlike the boot CPU: it is on"));
	assert_non_null(strstr(messages, "VERW, unlike the boot CPU: it stays off"));
	/* a guest is told what is true on all; RRSBA on one is RRSBA on all */
	assert_int_equal(mitigate_caps, other.caps);
	start_other(&good);
	assert_int_equal(mitigate_caps, other.caps);
	start(MITIGATE_AUTO, &good);
	other = good;
	other.edx &= ~(u32)SPEC_CTRL;
	start_other(&other);
	assert_non_null(strstr(messages, "IBPB, unlike the boot CPU: its microcode does not know"));
	assert_true(mitigate.on & DO(IBPB));
	assert_true(mitigate.lacks & DO(IBPB));
	start(MITIGATE_OFF, &good);
	other.caps = 0;
	start_other(&other);
	assert_string_equal(messages, "");
	assert_int_equal(mitigate.on, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_machine),
		cmocka_unit_test(off_and_force),
		cmocka_unit_test(monotone),
		cmocka_unit_test(each_core_is_set_up),
		cmocka_unit_test(cores_that_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
