/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUID allow-list. A bit that is not named here reads 0, whatever the
 * host has. Source: Intel SDM volume 2, "CPUID - CPU Identification"; the
 * hypervisor leaves as KVM defines them.
 */
#include "vmm/cpuid.h"

#include "arch/lib/string.h"
#include "arch/virt.h"
#include "vmm/abi.h"

#define ALL BITS(31, 0)

/* Leaf 1 ECX. */
enum { F1C_PCID = BIT(17), F1C_XSAVE = BIT(26), F1C_OSXSAVE = BIT(27) };
#define F1C_EMULATED   (BIT(21) /* x2APIC */ | BIT(24) /* TSC-deadline timer */)
#define F1C_HYPERVISOR BIT(31)
#define F1C_ALLOWED                                                                               \
	(BIT(0) /* SSE3 */ | BIT(1) /* PCLMULQDQ */ | BIT(9) /* SSSE3 */ | BIT(12) /* FMA */ |    \
	 BIT(13) /* CX16 */ | F1C_PCID | BITS(20, 19) /* SSE4 */ | BIT(22) /* MOVBE */ |          \
	 BIT(23) /* POPCNT */ | BIT(25) /* AES */ | F1C_XSAVE | BIT(28) /* AVX */ |               \
	 BIT(29) /* F16C */ | BIT(30) /* RDRAND */)
/* Leaf 1 EBX, and EDX: all but DS, ACPI, TM, PBE, PSN. */
#define F1B_CPUS    BITS(23, 16)
#define F1B_APIC_ID BITS(31, 24)
enum { F1D_APIC = BIT(9), F1D_HTT = BIT(28) };
#define F1D_ALLOWED (BITS(8, 0) | BITS(17, 11) | BIT(19) | BITS(27, 23))

/* Leaf 7. HLE, RTM, MPX, PKU, CET, LA57 and WAITPKG are hidden, and the flush of the L1D, which
 * serves those alone that have guests. */
enum { F7B_FSGSBASE = BIT(0), F7B_TSC_ADJUST = BIT(1), F7B_SMEP = BIT(7), F7B_INVPCID = BIT(10),
       F7B_SMAP = BIT(20) };
#define F7B_AVX512   (BITS(17, 16) | BIT(21) | BIT(28) | BITS(31, 30)) /* F, DQ, IFMA, CD, BW, VL */
#define F7B_ALLOWED                                                                               \
	(F7B_FSGSBASE | BIT(3) /* BMI1 */ | BIT(5) /* AVX2 */ | BIT(6) /* FDP_EXCPTN */ |         \
	 F7B_SMEP | BIT(8) /* BMI2 */ | BIT(9) /* ERMS */ | F7B_INVPCID | BIT(13) /* FCS */ |     \
	 F7B_AVX512 | BITS(19, 18) /* RDSEED, ADX */ | F7B_SMAP |                                 \
	 BITS(24, 23) /* CLFLUSHOPT, CLWB */ | BIT(29) /* SHA */)
enum { F7C_UMIP = BIT(2), F7C_RDPID = BIT(22) };
#define F7C_AVX512 (BIT(1) | BIT(6) | BITS(12, 11) | BIT(14)) /* VBMI to VPOPCNTDQ */
#define F7C_ALLOWED                                                                               \
	(F7C_UMIP | F7C_AVX512 | BITS(10, 8) /* GFNI, VAES, VPCLMULQDQ */ | F7C_RDPID)
#define F7D_AVX512  BIT(8) /* VP2INTERSECT */
enum { F7D_IBRS = BIT(26), F7D_STIBP = BIT(27), F7D_ARCH_CAPABILITIES = BIT(29) };
#define F7D_SSBD    BIT(31)
#define F7D_ALLOWED                                                                               \
	(BIT(4) /* FSRM */ | F7D_AVX512 | BIT(10) /* MD_CLEAR */ | F7D_IBRS | F7D_STIBP |         \
	 F7D_ARCH_CAPABILITIES | F7D_SSBD)
/* Subleaf 2: PSFD, IPRED, RRSBA, DDPD_U, BHI_CTRL, MCDT_NO. */
#define F7D2_ALLOWED BITS(5, 0)

/* Which bits of IA32_SPEC_CTRL leaf 7 EDX makes valid, and EDX of its subleaf 2. */
static const struct {
	u32 edx, edx2;
	u64 valid;
} spec_ctrl_bits[] = {
	{F7D_IBRS, 0, BIT(0)}, {F7D_STIBP, 0, BIT(1)}, {F7D_SSBD, 0, BIT(2)},
	{0, BIT(0), BIT(7)}, {0, BIT(1), BITS(4, 3)}, {0, BIT(2), BITS(6, 5)},
	{0, BIT(3), BIT(8)}, {0, BIT(4), BIT(10)},
};

#define ARAT BIT(2) /* leaf 6 EAX: the APIC's timer never stops */

#define XSAVE_LEGACY_SIZE (512 + 64)
#define XSAVE_COMPACTS    (BIT(1) | BIT(3)) /* leaf Dh, 1, EAX: XSAVEC, XSAVES */
#define XSAVE_ALIGNED     BIT(1) /* ECX of a component: at a multiple of 64 when compacted */

#define FE1D_ALLOWED                                                                              \
	(BIT(11) /* SYSCALL */ | BIT(20) /* NX */ | BIT(26) /* 1 GiB pages */ |                   \
	 BIT(27) /* RDTSCP */ | BIT(29) /* LM */)
#define FE1C_ALLOWED (BIT(0) /* LAHF */ | BIT(5) /* LZCNT */ | BIT(8) /* PREFETCHW */)

#define LEAF_KVM       ABI_CPUID_KVM
#define LEAF_EXTENDED  0x80000000
#define WIDTH_MAX      48u
#define LEAF_TOPOLOGY  0xb
#define LEAF_CLOCKS    0x15 /* of GenuineIntel alone */
#define BASIC_MAX      0xd
#define EXTENDED_MAX   0x80000008
/* Leaf 4 EAX: the cache's kind and level; the most ids, less 1, that share it, and of cores. */
enum { CACHE_KIND = BITS(4, 0), CACHE_LEVEL = BITS(7, 5), CACHE_SHARED = BITS(25, 14) };
#define CACHE_CORES    BITS(31, 26)
#define CACHE_TOPOLOGY (CACHE_SHARED | CACHE_CORES)
/* Leaf 0Bh ECX: what a subleaf is of. */
enum { TOPOLOGY_THREAD = 1 << 8, TOPOLOGY_CORE = 2 << 8 };

#define KVM_FEATURES                                                                              \
	(ABI_KVM_CLOCKSOURCE | ABI_KVM_CLOCKSOURCE2 | ABI_KVM_STEAL_TIME | ABI_KVM_PV_EOI |       \
	 ABI_KVM_PV_UNHALT | ABI_KVM_PV_SEND_IPI | ABI_KVM_PV_SCHED_YIELD |                       \
	 ABI_KVM_CLOCKSOURCE_STABLE)

/* A leaf that is the host's, cut by masks; without any it is Trivet's alone. */
struct allowed {
	u32 leaf, subleaf;
	u32 eax, ebx, ecx, edx;
};

static const struct allowed allowed[] = {
	{0x0, CPUID_ANY_SUBLEAF, 0, ALL, ALL, ALL},
	/* EBX: brand index and CLFLUSH size. */
	{0x1, CPUID_ANY_SUBLEAF, ALL, BITS(15, 0), F1C_ALLOWED, F1D_ALLOWED},
	{0x2, CPUID_ANY_SUBLEAF, ALL, ALL, ALL, ALL},
	{0x4, 0, ALL & ~CACHE_TOPOLOGY, ALL, ALL, ALL},
	{0x4, 1, ALL & ~CACHE_TOPOLOGY, ALL, ALL, ALL},
	{0x4, 2, ALL & ~CACHE_TOPOLOGY, ALL, ALL, ALL},
	{0x4, 3, ALL & ~CACHE_TOPOLOGY, ALL, ALL, ALL},
	{0x6, CPUID_ANY_SUBLEAF, 0, 0, 0, 0},
	{0x7, 0, ALL, F7B_ALLOWED, F7C_ALLOWED, F7D_ALLOWED},
	{0x7, 2, 0, 0, 0, F7D2_ALLOWED},
	{LEAF_TOPOLOGY, 0, 0, 0, 0, 0},
	{LEAF_TOPOLOGY, 1, 0, 0, 0, 0},
	{0xd, 0, XCR0_GUEST, ALL, ALL, 0},
	{0xd, 1, BITS(3, 0), 0, 0, 0},
	{0xd, 2, ALL, ALL, ALL, 0},
	{0xd, 5, ALL, ALL, ALL, 0},
	{0xd, 6, ALL, ALL, ALL, 0},
	{0xd, 7, ALL, ALL, ALL, 0},
	{LEAF_CLOCKS, CPUID_ANY_SUBLEAF, 0, 0, 0, 0},
	{LEAF_KVM, CPUID_ANY_SUBLEAF, 0, 0, 0, 0},
	{LEAF_KVM + 0x01, CPUID_ANY_SUBLEAF, 0, 0, 0, 0},
	{LEAF_KVM + 0x10, CPUID_ANY_SUBLEAF, 0, 0, 0, 0},
	{ABI_CPUID_TRIVET, CPUID_ANY_SUBLEAF, 0, 0, 0, 0},
	{0x80000000, CPUID_ANY_SUBLEAF, 0, 0, 0, 0},
	{0x80000001, CPUID_ANY_SUBLEAF, 0, 0, FE1C_ALLOWED, FE1D_ALLOWED},
	{0x80000002, CPUID_ANY_SUBLEAF, ALL, ALL, ALL, ALL},
	{0x80000003, CPUID_ANY_SUBLEAF, ALL, ALL, ALL, ALL},
	{0x80000004, CPUID_ANY_SUBLEAF, ALL, ALL, ALL, ALL},
	{0x80000006, CPUID_ANY_SUBLEAF, 0, 0, ALL, 0},
	{0x80000007, CPUID_ANY_SUBLEAF, 0, 0, 0, BIT(8) /* invariant TSC */},
	{0x80000008, CPUID_ANY_SUBLEAF, BITS(15, 0), 0, 0, 0},
};

static struct cpuid_entry *find(struct cpuid_table *table, u32 leaf, u32 subleaf)
{
	struct cpuid_entry *end = table->entry + table->count;

	for (struct cpuid_entry *e = table->entry; e < end; e++)
		if (e->leaf == leaf && (e->subleaf == subleaf || e->subleaf == CPUID_ANY_SUBLEAF))
			return e;
	return NULL;
}

/* A register of a leaf that is in the table, or of an empty one. */
static struct cpuid_regs *regs_of(struct cpuid_table *table, u32 leaf, u32 subleaf)
{
	static struct cpuid_regs nowhere;
	struct cpuid_entry *e = find(table, leaf, subleaf);

	nowhere = (struct cpuid_regs){0};
	return e ? &e->regs : &nowhere;
}

static void take_host_leaves(struct cpuid_table *table)
{
	u32 max_basic = cpuid(0, 0).eax, max_extended = cpuid(LEAF_EXTENDED, 0).eax;

	table->max_basic = MAX(MIN(max_basic, (u32)BASIC_MAX), (u32)LEAF_TOPOLOGY);
	table->max_extended = MIN(max_extended, (u32)EXTENDED_MAX);
	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++) {
		const struct allowed *a = &allowed[i];
		u32 max = a->leaf >= LEAF_EXTENDED ? max_extended : max_basic;
		struct cpuid_entry *e = &table->entry[table->count];
		struct cpuid_regs host = {0};

		if (a->eax | a->ebx | a->ecx | a->edx) {
			if (a->leaf > max)
				continue;
			host = cpuid(a->leaf, a->subleaf == CPUID_ANY_SUBLEAF ? 0 : a->subleaf);
		}
		e->leaf = a->leaf;
		e->subleaf = a->subleaf;
		e->regs = (struct cpuid_regs){host.eax & a->eax, host.ebx & a->ebx,
					      host.ecx & a->ecx, host.edx & a->edx};
		table->count++;
	}
}

static void set_signature(struct cpuid_regs *regs, u32 eax, const char text[12])
{
	regs->eax = eax;
	memcpy(&regs->ebx, text, 4);
	memcpy(&regs->ecx, text + 4, 4);
	memcpy(&regs->edx, text + 8, 4);
}

unsigned cpuid_crystal_shift(u64 tsc_hz)
{
	unsigned shift = 0;

	while (tsc_hz >> shift > ALL)
		shift++;
	return shift;
}

/* "Time Stamp Counter and Nominal Core Crystal Clock Information Leaf". */
static void settle_clocks(struct cpuid_table *table, u64 tsc_hz)
{
	static const char vendor[] = "GenuineIntel"; /* in EBX, EDX, ECX */
	const struct cpuid_regs *zero = regs_of(table, 0, 0);
	unsigned shift = cpuid_crystal_shift(tsc_hz);
	u64 apic_hz = tsc_hz >> shift;

	regs_of(table, LEAF_KVM + 0x10, 0)->eax = tsc_hz / 1000;
	regs_of(table, LEAF_KVM + 0x10, 0)->ebx = apic_hz / 1000;
	if (memcmp(&zero->ebx, vendor, 4) || memcmp(&zero->edx, vendor + 4, 4) ||
	    memcmp(&zero->ecx, vendor + 8, 4))
		return;
	table->max_basic = LEAF_CLOCKS;
	*regs_of(table, LEAF_CLOCKS, 0) = (struct cpuid_regs){1, BIT(shift), apic_hz, 0};
}

/* What does not come from the host, and what hangs together. */
static void settle(struct cpuid_table *table, u64 tsc_hz)
{
	struct cpuid_regs *basic = regs_of(table, 1, 0), *seven = regs_of(table, 7, 0);
	struct cpuid_regs *xsave = regs_of(table, 0xd, 0), *extended = regs_of(table, 0x80000001, 0);
	struct cpuid_regs *address = regs_of(table, 0x80000008, 0);

	/* Four levels of tables, nested ones and the guest's, translate no more than this. */
	address->eax = MIN(address->eax & 0xff, WIDTH_MAX) | MIN(address->eax >> 8, WIDTH_MAX) << 8;
	settle_clocks(table, tsc_hz);
	regs_of(table, 0, 0)->eax = table->max_basic;
	regs_of(table, LEAF_EXTENDED, 0)->eax = table->max_extended;
	basic->ecx |= F1C_HYPERVISOR | F1C_EMULATED;
	basic->edx |= F1D_APIC;
	seven->ebx |= F7B_TSC_ADJUST;
	seven->eax = MIN(seven->eax, 2u);
	regs_of(table, 6, 0)->eax = ARAT;
	/* AVX-512 needs all three components, and AVX needs SSE. */
	if ((xsave->eax & XCR0_AVX512) != XCR0_AVX512) {
		xsave->eax &= ~(u32)XCR0_AVX512;
		seven->ebx &= ~(u32)F7B_AVX512;
		seven->ecx &= ~(u32)F7C_AVX512;
		seven->edx &= ~(u32)F7D_AVX512;
	}
	/* These depend on a control that the back end may not have. */
	if (!virt_supports("invpcid")) {
		seven->ebx &= ~(u32)F7B_INVPCID;
		basic->ecx &= ~(u32)F1C_PCID;
	}
	if (!virt_supports("rdtscp")) {
		extended->edx &= ~(u32)BIT(27);
		seven->ecx &= ~(u32)F7C_RDPID;
	}
	if (!virt_supports("xsaves"))
		regs_of(table, 0xd, 1)->eax &= ~(u32)BIT(3);
	set_signature(regs_of(table, LEAF_KVM, 0), LEAF_KVM + 0x10, ABI_CPUID_KVM_NAME);
	regs_of(table, LEAF_KVM + 1, 0)->eax = KVM_FEATURES;
	set_signature(regs_of(table, ABI_CPUID_TRIVET, 0), ABI_CPUID_TRIVET, ABI_CPUID_TRIVET_NAME);
}

static void derive_speculation(struct cpuid_table *table, u32 edx, u32 edx2)
{
	table->spec_ctrl_valid = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(spec_ctrl_bits); i++)
		if ((edx & spec_ctrl_bits[i].edx) | (edx2 & spec_ctrl_bits[i].edx2))
			table->spec_ctrl_valid |= spec_ctrl_bits[i].valid;
	table->pred_cmd_valid = edx & F7D_IBRS ? 1 : 0; /* IBPB comes with it */
	table->arch_capabilities = edx & F7D_ARCH_CAPABILITIES;
}

/* Which bits of control registers and MSRs the guest's CPUID makes valid. */
static void derive(struct cpuid_table *table)
{
	struct cpuid_regs *basic = regs_of(table, 1, 0), *seven = regs_of(table, 7, 0);
	struct cpuid_regs *extended = regs_of(table, 0x80000001, 0);

	table->cr4_valid = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
			   CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	table->cr4_valid |= (basic->ecx & F1C_XSAVE ? CR4_OSXSAVE : 0) |
			    (basic->ecx & F1C_PCID ? CR4_PCIDE : 0) |
			    (seven->ebx & F7B_FSGSBASE ? CR4_FSGSBASE : 0) |
			    (seven->ebx & F7B_SMEP ? CR4_SMEP : 0) |
			    (seven->ebx & F7B_SMAP ? CR4_SMAP : 0) |
			    (seven->ecx & F7C_UMIP ? CR4_UMIP : 0);
	table->efer_valid = (extended->edx & BIT(11) ? EFER_SCE : 0) |
			    (extended->edx & BIT(29) ? EFER_LME | EFER_LMA : 0) |
			    (extended->edx & BIT(20) ? EFER_NXE : 0);
	table->xcr0_valid = basic->ecx & F1C_XSAVE ? regs_of(table, 0xd, 0)->eax : 0;
	table->maxphyaddr = regs_of(table, 0x80000008, 0)->eax & 0xff;
	if (table->maxphyaddr == 0)
		table->maxphyaddr = 36;
	derive_speculation(table, seven->edx, regs_of(table, 7, 2)->edx);
}

void cpuid_table_init(struct cpuid_table *table, u64 tsc_hz)
{
	memset(table, 0, sizeof(*table));
	take_host_leaves(table);
	settle(table, tsc_hz);
	cpuid_set_cpus(table, 1);
	derive(table);
}

/* Bits of an id that tell so many apart. */
static unsigned id_bits(unsigned count)
{
	return count > 1 ? 32 - __builtin_clz(count - 1) : 0;
}

void cpuid_set_cpus(struct cpuid_table *table, unsigned count)
{
	u32 most = (1u << id_bits(count)) - 1;
	struct cpuid_regs *basic = regs_of(table, 1, 0);

	basic->ebx = FIELD_SET(basic->ebx, F1B_CPUS, count);
	basic->edx = count > 1 ? basic->edx | F1D_HTT : basic->edx & ~(u32)F1D_HTT;
	for (struct cpuid_entry *e = table->entry; e < table->entry + table->count; e++) {
		u32 shared = FIELD_GET(CACHE_LEVEL, e->regs.eax) >= 3 ? most : 0;

		if (e->leaf == 4 && (e->regs.eax & CACHE_KIND))
			e->regs.eax = (e->regs.eax & ~CACHE_TOPOLOGY) |
				      FIELD_PREP(CACHE_SHARED, shared) |
				      FIELD_PREP(CACHE_CORES, most);
	}
	/* One thread a core, all cores of one package: "Extended Topology Enumeration Leaf". */
	*regs_of(table, LEAF_TOPOLOGY, 0) = (struct cpuid_regs){0, 1, TOPOLOGY_THREAD, 0};
	*regs_of(table, LEAF_TOPOLOGY, 1) =
		(struct cpuid_regs){id_bits(count), count, TOPOLOGY_CORE | 1, 0};
}

/* Whether all registers of a leaf may be so; else *reg tells which one may not. A number
 * may differ in its low byte: above the physical address width stands another one. */
static bool may_cut(const struct cpuid_entry *from, const struct cpuid_entry *to, unsigned *reg)
{
	static const struct cpuid_regs none;
	const u32 *want = &to->regs.eax, *have = from ? &from->regs.eax : &none.eax;
	u32 leaf = to->leaf, subleaf = to->subleaf;

	for (*reg = 0; *reg < 4; ++*reg) {
		bool number = *reg == 0 &&
			      (leaf == 0 || leaf == LEAF_EXTENDED || leaf == 0x80000008);
		bool fixed = (leaf == 0xd && (subleaf >= 2 || (subleaf == 0 && *reg != 0))) ||
			     leaf == LEAF_TOPOLOGY || leaf == LEAF_CLOCKS || leaf == LEAF_KVM + 0x10;
		u32 w = want[*reg], h = have[*reg];

		if (fixed ? w != h : number ? w > h || (w ^ h) >> 8 : (w & ~h) != 0)
			return false;
	}
	return true;
}

int cpuid_table_cut(struct cpuid_table *table, const struct cpuid_entry *entries, unsigned count,
		    char *why, size_t size)
{
	static const char *const names[4] = {"EAX", "EBX", "ECX", "EDX"};
	struct cpuid_entry *kept = table->entry;
	unsigned reg;

	for (unsigned i = 0; i < count; i++) {
		if (may_cut(find(table, entries[i].leaf, entries[i].subleaf), &entries[i], &reg))
			continue;
		str_format(why, size, "CPUID leaf %xh subleaf %xh %s has more than Trivet offers",
			   entries[i].leaf, entries[i].subleaf, names[reg]);
		return -EINVAL;
	}
	for (unsigned i = 0; i < table->count; i++)
		for (unsigned k = 0; k < count; k++)
			if (entries[k].leaf == table->entry[i].leaf &&
			    entries[k].subleaf == table->entry[i].subleaf) {
				*kept++ = entries[k];
				break;
			}
	table->count = kept - table->entry;
	table->max_basic = regs_of(table, 0, 0)->eax;
	table->max_extended = regs_of(table, LEAF_EXTENDED, 0)->eax;
	derive(table);
	return 0;
}

/* Size of an XSAVE area that holds these components, standard or compacted. */
static u32 xsave_size(const struct cpuid_table *table, u64 xcr0, bool compacted)
{
	u32 size = XSAVE_LEGACY_SIZE;

	for (unsigned i = 0; i < table->count; i++) {
		const struct cpuid_entry *e = &table->entry[i];

		if (e->leaf != 0xd || e->subleaf < 2 || e->subleaf > 62 || !(xcr0 & BIT(e->subleaf)))
			continue;
		if (!compacted)
			size = MAX(size, e->regs.ebx + e->regs.eax);
		else
			size = (e->regs.ecx & XSAVE_ALIGNED ? ALIGN_UP(size, 64) : size) + e->regs.eax;
	}
	return size;
}

struct cpuid_regs cpuid_query(const struct cpuid_table *table, u32 leaf, u32 subleaf,
			      const struct cpuid_state *state)
{
	const struct cpuid_entry *e;
	struct cpuid_regs regs;

	/* Beyond the highest leaf of a range the CPU answers with the highest basic one. */
	if (leaf > table->max_extended || (leaf > table->max_basic && leaf < LEAF_KVM))
		leaf = table->max_basic;
	/* Beyond the levels of the topology their number and the id go on. */
	e = find((struct cpuid_table *)table, leaf, leaf == LEAF_TOPOLOGY ? MIN(subleaf, 1u) : subleaf);
	if (!e)
		return (struct cpuid_regs){0};
	regs = e->regs;
	if (leaf == 1) {
		regs.ebx |= FIELD_PREP(F1B_APIC_ID, state->apic_id);
		regs.ecx |= state->cr4 & CR4_OSXSAVE ? F1C_OSXSAVE : 0;
		regs.edx &= ~(state->apic_on ? 0 : (u32)F1D_APIC);
	} else if (leaf == LEAF_TOPOLOGY) {
		if (subleaf > 1)
			regs = (struct cpuid_regs){.ecx = subleaf & 0xff};
		regs.edx = state->apic_id;
	} else if (leaf == 0xd && subleaf == 0) {
		regs.ebx = xsave_size(table, state->xcr0, false);
		regs.ecx = xsave_size(table, table->xcr0_valid, false);
	} else if (leaf == 0xd && subleaf == 1 && (regs.eax & XSAVE_COMPACTS))
		regs.ebx = xsave_size(table, state->xcr0, true);
	return regs;
}
