/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules as data. Facts about the VMCS are gathered into a bit mask first; a
 * rule applies when all facts of `need` and none of `unless` hold, and then its
 * test decides over its field, or over each of the fields that follow by twos and
 * stand in `which`. Source: Intel SDM volume 3, chapter "VM Entries".
 */
#include "arch/vmx_check.h"

/* Guest segments in the order of their fields, and what stands behind them there. */
enum { ES = BIT(0), CS = BIT(1), SS = BIT(2), DS = BIT(3), FS = BIT(4), GS = BIT(5),
       LDTR = BIT(6), TR = BIT(7), TABLES = BIT(8) | BIT(9),
       DATA = ES | DS | FS | GS, SIX = DATA | CS | SS, SYSTEM = LDTR | TR, ALL = SIX | SYSTEM };

/* ON(name, field, bits): holds when all the bits are 1. IS(name, field, mask, value): when the
 * masked field has the value. */
#define EVENT(type)                                                                               \
	INTR_INFO_VALID | INTR_INFO_TYPE, INTR_INFO_VALID | FIELD_PREP(INTR_INFO_TYPE, type)
#define FACTS(ON, IS)                                                                             \
	ON(INTERRUPT_EXIT, PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT)                            \
	ON(NMI_EXIT, PIN_BASED_CONTROLS, PIN_NMI)                                                 \
	ON(VIRTUAL_NMI, PIN_BASED_CONTROLS, PIN_VIRTUAL_NMI)                                      \
	ON(TIMER, PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER)                                       \
	ON(NMI_WINDOW, PROC_BASED_CONTROLS, PROC_NMI_WINDOW)                                      \
	ON(TPR_SHADOW, PROC_BASED_CONTROLS, PROC_TPR_SHADOW)                                      \
	ON(MSR_BITMAP, PROC_BASED_CONTROLS, PROC_MSR_BITMAP)                                      \
	ON(SECONDARY, PROC_BASED_CONTROLS, PROC_SECONDARY)                                        \
	ON(EPT, PROC_BASED_CONTROLS2, PROC2_EPT) ON(VPID, PROC_BASED_CONTROLS2, PROC2_VPID)       \
	ON(PML, PROC_BASED_CONTROLS2, PROC2_PML)                                                  \
	ON(APIC_ACCESS, PROC_BASED_CONTROLS2, PROC2_APIC_ACCESS)                                  \
	ON(X2APIC, PROC_BASED_CONTROLS2, PROC2_X2APIC)                                            \
	ON(DELIVERS, PROC_BASED_CONTROLS2, PROC2_VIRTUAL_INTERRUPTS)                              \
	ON(UNRESTRICTED, PROC_BASED_CONTROLS2, PROC2_UNRESTRICTED)                                \
	ON(SAVE_TIMER, EXIT_CONTROLS, EXIT_CTL_SAVE_TIMER)                                        \
	ON(HOST_PAT, EXIT_CONTROLS, EXIT_CTL_LOAD_PAT)                                            \
	ON(HOST_EFER, EXIT_CONTROLS, EXIT_CTL_LOAD_EFER)                                          \
	ON(LONG, ENTRY_CONTROLS, ENTRY_CTL_IA32E)                                                 \
	ON(DEBUG, ENTRY_CONTROLS, ENTRY_CTL_LOAD_DEBUG)                                           \
	ON(PAT, ENTRY_CONTROLS, ENTRY_CTL_LOAD_PAT)                                               \
	ON(EFER, ENTRY_CONTROLS, ENTRY_CTL_LOAD_EFER)                                             \
	ON(EVENT, ENTRY_INTR_INFO, INTR_INFO_VALID)                                               \
	IS(EXTERNAL, ENTRY_INTR_INFO, EVENT(INTR_TYPE_EXTERNAL))                                  \
	IS(NMI, ENTRY_INTR_INFO, EVENT(INTR_TYPE_NMI))                                            \
	IS(HARDWARE, ENTRY_INTR_INFO, EVENT(INTR_TYPE_HARDWARE))                                  \
	ON(SOFT, ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_INFO_TYPE_SOFT)                          \
	ON(ERROR_CODE, ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_INFO_ERROR)                        \
	ON(HOST_WP, HOST_CR0, CR0_WP) ON(HOST_CET, HOST_CR4, CR4_CET) ON(PE, GUEST_CR0, CR0_PE)   \
	ON(WP, GUEST_CR0, CR0_WP) ON(PG, GUEST_CR0, CR0_PG) ON(PAE, GUEST_CR4, CR4_PAE)           \
	ON(PCIDE, GUEST_CR4, CR4_PCIDE) ON(CET, GUEST_CR4, CR4_CET)                               \
	ON(BTF, GUEST_DEBUGCTL, DEBUGCTL_BTF) ON(VM, GUEST_RFLAGS, RFLAGS_VM)                     \
	ON(TF, GUEST_RFLAGS, RFLAGS_TF) ON(IF, GUEST_RFLAGS, RFLAGS_IF)                           \
	IS(CS_DATA, GUEST_CS_ACCESS, ACCESS_TYPE, 3) ON(CS_L, GUEST_CS_ACCESS, ACCESS_L)          \
	IS(SS_DPL_0, GUEST_SS_ACCESS, ACCESS_DPL, 0) IS(ACTIVE, GUEST_ACTIVITY, ~0ull, 0)         \
	IS(HLT, GUEST_ACTIVITY, ~0ull, 1) ON(STI, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI)   \
	ON(MOV_SS, GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS)

/* Facts as bits; two more are of the segment at hand. */
#define FACT_NUMBER(name, ...) NR_##name,
#define FACT_BIT(name, ...)    F_##name = BIT(NR_##name),
enum { FACTS(FACT_NUMBER, FACT_NUMBER) NR_USABLE, NR_V86, NR_FACTS };
enum { FACTS(FACT_BIT, FACT_BIT) F_USABLE = BIT(NR_USABLE), F_V86 = BIT(NR_V86) };
_Static_assert(NR_FACTS <= 64, "facts are bits of one word");

/* A mask and its value with all ones. */
#define ONES(bits) (bits), (bits)

/* What a test does with the rule's mask and value stands in field_good. */
enum test { NEVER, EQUAL, NONZERO, AT_MOST, ONE_OF, CONTROLS, FIXED_CR0, FIXED_CR4, CANONICAL,
	    RIP, PHYSICAL, AREA, TPR_CLASS, EPTP, CR3_TARGETS, INSN_LENGTH, HAS_ERROR, PAT_TYPES,
	    PDPTE, LMA_AS_ENTRY, LME_AS_LMA, ACTIVITY, WAKES, PENDING_BS, RPL_OF_CS,
	    BASE_SELECTOR, CS_DPL, SS_DPL, DATA_DPL, GRANULARITY };

#define RULE(class, field, which, need, unless, test, mask, value, text)                          \
	{VMX_CHECK_##class, test, which, VMCS_##field, mask, value, need, unless, text}
#define C(field, ...) RULE(CONTROLS, field, 0, __VA_ARGS__)
#define H(field, ...) RULE(HOST, field, 0, __VA_ARGS__)
#define G(field, ...) RULE(GUEST, field, 0, __VA_ARGS__)
#define S(segments, part, ...) RULE(GUEST, GUEST_ES_##part, segments, __VA_ARGS__)

#define NOT_ALLOWED    "has a bit that this CPU does not allow to be so"
#define NOT_CANONICAL  "is not canonical"
#define NOT_PHYSICAL   "is not aligned or is beyond the physical address width"
#define NOT_PAT	       "has a byte that is no memory type"
#define RESERVED       "has a reserved bit set"
#define BLOCKS	       "blocks the event of ENTRY_INTR_INFO"
#define SELECTOR_LOW   BITS(2, 0) /* the table and the RPL */
#define CODE_TYPES     (BIT(9) | BIT(11) | BIT(13) | BIT(15))
#define DATA_TYPES     (BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(11) | BIT(15))
#define CR0_CHECKED    (~(u64)(CR0_NW | CR0_CD))
#define CR0_CHECKED_UG (CR0_CHECKED & ~(u64)(CR0_PE | CR0_PG))
#define EFER_LONG      (EFER_LME | EFER_LMA)
#define EFER_RESERVED  (~(u64)(EFER_LONG | EFER_SCE | EFER_NXE))
#define PDPTE_ZERO     (BITS(8, 5) | BITS(2, 1))
#define EFER_HOST      (EFER_RESERVED | EFER_LONG)
#define RFLAGS_FIXED   (BITS(63, 22) | BIT(15) | BIT(5) | BIT(3) | RFLAGS_ONE)

const struct vmx_check_rule vmx_check_rules[] = {
	/* "VM-Execution Control Fields" */
	C(PIN_BASED_CONTROLS, 0, 0, CONTROLS, 0, VMX_PIN, NOT_ALLOWED),
	C(PROC_BASED_CONTROLS, 0, 0, CONTROLS, 0, VMX_PROC, NOT_ALLOWED),
	C(PROC_BASED_CONTROLS2, F_SECONDARY, 0, CONTROLS, 0, VMX_PROC2, NOT_ALLOWED),
	C(CR3_TARGET_COUNT, 0, 0, CR3_TARGETS, 0, 0, "is more than the CPU has"),
	C(MSR_BITMAP, F_MSR_BITMAP, 0, PHYSICAL, BITS(11, 0), 0, NOT_PHYSICAL),
	C(PIN_BASED_CONTROLS, F_VIRTUAL_NMI, F_NMI_EXIT, NEVER, 0, 0, "has virtual NMIs, no exits"),
	C(PROC_BASED_CONTROLS, F_NMI_WINDOW, F_VIRTUAL_NMI, NEVER, 0, 0, "has an NMI window alone"),
	C(VIRTUAL_APIC_ADDRESS, F_TPR_SHADOW, 0, PHYSICAL, BITS(11, 0), 0, NOT_PHYSICAL),
	C(TPR_THRESHOLD, F_TPR_SHADOW, F_DELIVERS, EQUAL, BITS(31, 4), 0, RESERVED),
	C(TPR_THRESHOLD, F_TPR_SHADOW, F_DELIVERS | F_APIC_ACCESS, TPR_CLASS, 0, 0, "is above TPR"),
	C(PROC_BASED_CONTROLS2, F_SECONDARY, F_TPR_SHADOW, EQUAL, PROC2_APICV, 0,
	  "serves the APIC without a TPR shadow"),
	C(PROC_BASED_CONTROLS2, F_X2APIC | F_APIC_ACCESS, 0, NEVER, 0, 0, "has two modes of the APIC"),
	C(PROC_BASED_CONTROLS2, F_DELIVERS, F_INTERRUPT_EXIT, NEVER, 0, 0,
	  "delivers, but interrupts do not exit"),
	C(APIC_ACCESS_ADDRESS, F_APIC_ACCESS, 0, PHYSICAL, BITS(11, 0), 0, NOT_PHYSICAL),
	C(VPID, F_VPID, 0, NONZERO, ~0ull, 0, "is 0, the host's own"),
	C(EPT_POINTER, F_EPT, 0, PHYSICAL, BITS(11, 7), 0, NOT_PHYSICAL),
	C(EPT_POINTER, F_EPT, 0, EPTP, 0, 0, "has a type, walk length or flag that this CPU lacks"),
	C(PROC_BASED_CONTROLS2, F_UNRESTRICTED, F_EPT, NEVER, 0, 0, "has unrestricted, no EPT"),
	C(PROC_BASED_CONTROLS2, F_PML, F_EPT, NEVER, 0, 0, "has page-modification logging, no EPT"),
	C(PML_ADDRESS, F_PML, 0, PHYSICAL, BITS(11, 0), 0, NOT_PHYSICAL),
	/* "VM-Exit Control Fields" */
	C(EXIT_CONTROLS, 0, 0, CONTROLS, 0, VMX_EXIT, NOT_ALLOWED),
	C(EXIT_CONTROLS, F_SAVE_TIMER, F_TIMER, NEVER, 0, 0, "saves a timer that is off"),
	C(EXIT_MSR_STORE_ADDRESS, 0, 0, AREA, 0, VMCS_EXIT_MSR_STORE_COUNT, NOT_PHYSICAL),
	C(EXIT_MSR_LOAD_ADDRESS, 0, 0, AREA, 0, VMCS_EXIT_MSR_LOAD_COUNT, NOT_PHYSICAL),
	/* "VM-Entry Control Fields" */
	C(ENTRY_CONTROLS, 0, 0, CONTROLS, 0, VMX_ENTRY, NOT_ALLOWED),
	C(ENTRY_CONTROLS, 0, 0, EQUAL, BITS(11, 10), 0, "is for system-management mode"),
	C(ENTRY_MSR_LOAD_ADDRESS, 0, 0, AREA, 0, VMCS_ENTRY_MSR_LOAD_COUNT, NOT_PHYSICAL),
	C(ENTRY_INTR_INFO, F_EVENT, 0, ONE_OF, INTR_INFO_TYPE, 0x7d, "is of an unused type"),
	C(ENTRY_INTR_INFO, F_NMI, 0, EQUAL, INTR_INFO_VECTOR, VECTOR_NMI, "is no vector 2"),
	C(ENTRY_INTR_INFO, F_HARDWARE, 0, AT_MOST, INTR_INFO_VECTOR, 31, "is a vector above 31"),
	C(ENTRY_INTR_INFO, F_EVENT, 0, HAS_ERROR, 0, 0, "has or lacks an error code wrongly"),
	C(ENTRY_INTR_INFO, F_EVENT, 0, EQUAL, BITS(30, 12), 0, RESERVED),
	C(ENTRY_EXCEPTION_ERROR, F_ERROR_CODE, 0, EQUAL, BITS(31, 16), 0, RESERVED),
	C(ENTRY_INSN_LENGTH, F_SOFT, 0, INSN_LENGTH, 0, 0, "is no length of an instruction"),
	/* "Checks on Host Control Registers, MSRs, and SSP" */
	H(HOST_CR0, 0, 0, FIXED_CR0, ~0ull, 0, NOT_ALLOWED),
	H(HOST_CR4, 0, 0, FIXED_CR4, ~0ull, 0, NOT_ALLOWED),
	H(HOST_CR4, F_HOST_CET, F_HOST_WP, NEVER, 0, 0, "has CET without HOST_CR0.WP"),
	H(HOST_CR3, 0, 0, PHYSICAL, 0, 0, NOT_PHYSICAL),
	H(HOST_PAT, F_HOST_PAT, 0, PAT_TYPES, 0, 0, NOT_PAT),
	H(HOST_EFER, F_HOST_EFER, 0, EQUAL, EFER_HOST, EFER_LONG, "is no long mode's"),
	/* "Checks on Host Segment and Descriptor-Table Registers": also both SYSENTER addresses */
	RULE(HOST, HOST_ES_SELECTOR, 0x7f, 0, 0, EQUAL, SELECTOR_LOW, 0, "has an RPL or TI"),
	RULE(HOST, HOST_ES_SELECTOR, BIT(1) | BIT(6), 0, 0, NONZERO, ~0ull, 0, "is null"),
	RULE(HOST, HOST_FS_BASE, 0x7f, 0, 0, CANONICAL, 0, 0, NOT_CANONICAL),
	/* "Checks Related to Address-Space Size": Trivet runs in 64-bit mode */
	H(EXIT_CONTROLS, 0, 0, EQUAL, ONES(EXIT_CTL_HOST_LONG), "lacks host address-space size"),
	H(HOST_CR4, 0, 0, EQUAL, ONES(CR4_PAE), "lacks PAE"),
	H(HOST_RIP, 0, 0, CANONICAL, 0, 0, NOT_CANONICAL),
	/* "Checks on Guest Control Registers, Debug Registers, and MSRs" */
	G(GUEST_CR0, 0, F_UNRESTRICTED, FIXED_CR0, CR0_CHECKED, 0, NOT_ALLOWED),
	G(GUEST_CR0, F_UNRESTRICTED, 0, FIXED_CR0, CR0_CHECKED_UG, 0, NOT_ALLOWED),
	G(GUEST_CR0, F_PG, F_PE, NEVER, 0, 0, "has PG without PE"),
	G(GUEST_CR4, 0, 0, FIXED_CR4, ~0ull, 0, NOT_ALLOWED),
	G(GUEST_CR4, F_CET, F_WP, NEVER, 0, 0, "has CET without GUEST_CR0.WP"),
	G(GUEST_DEBUGCTL, F_DEBUG, 0, EQUAL, BITS(63, 16) | BITS(5, 2), 0, RESERVED),
	G(GUEST_CR0, F_LONG, F_PG, NEVER, 0, 0, "lacks PG in IA-32e mode"),
	G(GUEST_CR4, F_LONG, F_PAE, NEVER, 0, 0, "lacks PAE in IA-32e mode"),
	G(GUEST_CR4, F_PCIDE, F_LONG, NEVER, 0, 0, "has PCIDE outside IA-32e mode"),
	G(GUEST_CR3, 0, 0, PHYSICAL, 0, 0, NOT_PHYSICAL),
	G(GUEST_DR7, F_DEBUG, 0, EQUAL, BITS(63, 32), 0, RESERVED),
	RULE(GUEST, GUEST_SYSENTER_ESP, 3, 0, 0, CANONICAL, 0, 0, NOT_CANONICAL),
	G(GUEST_PAT, F_PAT, 0, PAT_TYPES, 0, 0, NOT_PAT),
	G(GUEST_EFER, F_EFER, 0, EQUAL, EFER_RESERVED, 0, RESERVED),
	G(GUEST_EFER, F_EFER, 0, LMA_AS_ENTRY, 0, 0, "has an LMA unlike ENTRY_CONTROLS"),
	G(GUEST_EFER, F_EFER | F_PG, 0, LME_AS_LMA, 0, 0, "has an LME unlike LMA, with paging"),
	/* "Checks on Guest Segment Registers", and the bases of the descriptor tables */
	S(SYSTEM, SELECTOR, F_USABLE, 0, EQUAL, BIT(2), 0, "has TI set"),
	S(SS, SELECTOR, 0, F_VM | F_UNRESTRICTED, RPL_OF_CS, 0, 0, "has not the RPL of CS"),
	S(SIX, BASE, F_V86, 0, BASE_SELECTOR, 0, 0, "is not selector * 16 in virtual-8086 mode"),
	S(FS | GS | TR | TABLES, BASE, 0, 0, CANONICAL, 0, 0, NOT_CANONICAL),
	S(LDTR, BASE, F_USABLE, 0, CANONICAL, 0, 0, NOT_CANONICAL),
	S(CS | SS | DS | ES, BASE, F_USABLE, 0, EQUAL, BITS(63, 32), 0, "is above 4 GiB"),
	S(SIX, LIMIT, F_V86, 0, EQUAL, ~0ull, 0xffff, "is not FFFFh in virtual-8086 mode"),
	S(SIX, ACCESS, F_V86, 0, EQUAL, ~0ull, 0xf3, "is not F3h in virtual-8086 mode"),
	S(CS, ACCESS, 0, F_V86 | F_UNRESTRICTED, ONE_OF, ACCESS_TYPE, CODE_TYPES, "is not code's"),
	S(CS, ACCESS, 0, F_V86, ONE_OF, ACCESS_TYPE, CODE_TYPES | BIT(3), "is not code's, nor 3"),
	S(SS, ACCESS, F_USABLE, F_V86, ONE_OF, ACCESS_TYPE, BIT(3) | BIT(7), "is not a stack's"),
	S(DATA, ACCESS, F_USABLE, F_V86, ONE_OF, ACCESS_TYPE, DATA_TYPES, "is not readable"),
	S(TR, ACCESS, 0, F_LONG, ONE_OF, ACCESS_TYPE, BIT(3) | BIT(11), "is not a busy TSS's"),
	S(TR, ACCESS, F_LONG, 0, ONE_OF, ACCESS_TYPE, BIT(11), "is not a busy 64-bit TSS's"),
	S(LDTR, ACCESS, F_USABLE, 0, ONE_OF, ACCESS_TYPE, BIT(2), "is not an LDT's"),
	S(SIX, ACCESS, F_USABLE, F_V86, EQUAL, ONES(ACCESS_S), "is a system segment's"),
	S(SYSTEM, ACCESS, F_USABLE, 0, EQUAL, ACCESS_S, 0, "is not a system segment's"),
	S(CS, ACCESS, 0, F_V86, CS_DPL, 0, 0, "has a DPL that does not fit its type and SS"),
	S(SS, ACCESS, 0, F_V86 | F_UNRESTRICTED, SS_DPL, 0, 0, "has a DPL that is not its RPL"),
	S(SS, ACCESS, F_CS_DATA, F_V86, EQUAL, ACCESS_DPL, 0, "has a DPL while CS is of type 3"),
	S(SS, ACCESS, 0, F_V86 | F_PE, EQUAL, ACCESS_DPL, 0, "has a DPL in real mode"),
	S(DATA, ACCESS, F_USABLE, F_V86 | F_UNRESTRICTED, DATA_DPL, 0, 0, "has a DPL < RPL"),
	S(ALL, ACCESS, F_USABLE, F_V86, EQUAL, ONES(ACCESS_P), "is not present"),
	S(ALL, ACCESS, F_USABLE, F_V86, EQUAL, BITS(11, 8) | BITS(31, 17), 0, RESERVED),
	S(CS, ACCESS, F_LONG | F_CS_L, 0, EQUAL, ACCESS_DB, 0, "has both L and D/B"),
	S(ALL, ACCESS, F_USABLE, F_V86, GRANULARITY, 0, 0, "has a G that the limit denies"),
	S(TR, ACCESS, 0, 0, EQUAL, ACCESS_UNUSABLE, 0, "is unusable"),
	/* "Checks on Guest Descriptor-Table Registers", "Checks on Guest RIP, RFLAGS, and SSP" */
	S(TABLES, LIMIT, 0, 0, EQUAL, BITS(31, 16), 0, "is above FFFFh"),
	G(GUEST_RIP, 0, 0, RIP, 0, 0, "is beyond the address width of its mode"),
	G(GUEST_RFLAGS, 0, 0, EQUAL, RFLAGS_FIXED, RFLAGS_ONE, "has a reserved bit wrong"),
	G(GUEST_RFLAGS, F_VM | F_LONG, 0, NEVER, 0, 0, "has VM in IA-32e mode"),
	G(GUEST_RFLAGS, F_VM, F_PE, NEVER, 0, 0, "has VM without GUEST_CR0.PE"),
	G(GUEST_RFLAGS, F_EXTERNAL, F_IF, NEVER, 0, 0, "lacks IF for ENTRY_INTR_INFO's interrupt"),
	/* "Checks on Guest Non-Register State" */
	G(GUEST_ACTIVITY, 0, 0, ACTIVITY, 0, 0, "is no state that this CPU has"),
	G(GUEST_ACTIVITY, F_HLT, F_SS_DPL_0, NEVER, 0, 0, "is HLT while SS has a DPL"),
	G(GUEST_ACTIVITY, F_EVENT, F_ACTIVE, WAKES, 0, 0, BLOCKS),
	G(GUEST_INTERRUPTIBILITY, 0, 0, EQUAL, ~INTERRUPTIBILITY_USED, 0, RESERVED),
	G(GUEST_INTERRUPTIBILITY, 0, F_ACTIVE, EQUAL, INTERRUPTIBILITY_SHADOWS, 0,
	  "blocks, but is not active"),
	G(GUEST_INTERRUPTIBILITY, F_STI | F_MOV_SS, 0, NEVER, 0, 0, "has both STI and MOV SS"),
	G(GUEST_INTERRUPTIBILITY, F_STI, F_IF, NEVER, 0, 0, "has STI without GUEST_RFLAGS.IF"),
	G(GUEST_INTERRUPTIBILITY, F_EXTERNAL, 0, EQUAL, INTERRUPTIBILITY_SHADOWS, 0, BLOCKS),
	G(GUEST_INTERRUPTIBILITY, F_NMI, 0, EQUAL, INTERRUPTIBILITY_SHADOWS, 0, BLOCKS),
	G(GUEST_INTERRUPTIBILITY, F_NMI | F_VIRTUAL_NMI, 0, EQUAL, INTERRUPTIBILITY_NMI, 0, BLOCKS),
	G(GUEST_PENDING_DEBUG, 0, 0, EQUAL, ~PENDING_DEBUG_USED, 0, RESERVED),
	G(GUEST_PENDING_DEBUG, 0, 0, PENDING_BS, 0, 0, "has BS unlike TF in a shadow or HLT"),
	G(VMCS_LINK_POINTER, 0, 0, EQUAL, ONES(~0ull), "is not all ones: no VMCS is linked"),
	/* "Checks on Guest Page-Directory-Pointer-Table Entries" */
	RULE(GUEST, GUEST_PDPTE0, 15, F_EPT | F_PG | F_PAE, F_LONG, PDPTE, PDPTE_ZERO, 0, RESERVED),
};
const unsigned vmx_check_rule_count = ARRAY_SIZE(vmx_check_rules);

struct check {
	const struct vmx_check_source *source;
	u64 facts;
};

static u64 get(const struct check *c, u32 field)
{
	return c->source->read(c->source->arg, field);
}

static void gather_facts(struct check *c)
{
#define ON_ROW(name, field, bits) {VMCS_##field, bits, bits},
#define IS_ROW(name, field, ...)  {VMCS_##field, __VA_ARGS__},
	static const struct {
		u32 field;
		u64 mask, value;
	} rows[] = {FACTS(ON_ROW, IS_ROW)};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if ((get(c, rows[i].field) & rows[i].mask) == rows[i].value)
			c->facts |= BIT(i);
	if (!(c->facts & F_SECONDARY))
		c->facts &= ~(F_EPT | F_VPID | F_PML | F_UNRESTRICTED | F_APIC_ACCESS | F_X2APIC |
			      F_DELIVERS);
}

/* CS and TR are looked at even when they are unusable. */
static u64 segment_facts(const struct check *c, unsigned index)
{
	bool unusable = get(c, VMCS_GUEST_ES_ACCESS + 2 * index) & ACCESS_UNUSABLE;

	return (!unusable || ((CS | TR) & BIT(index)) ? F_USABLE : 0) |
	       ((c->facts & F_VM) && (SIX & BIT(index)) ? F_V86 : 0);
}

static bool eptp_good(u64 caps, u64 value)
{
	u64 type = FIELD_GET(EPTP_TYPE, value);

	return ((type == MEMORY_TYPE_WB && (caps & EPT_CAP_WB)) ||
		(type == MEMORY_TYPE_UC && (caps & EPT_CAP_UC))) &&
	       (value & EPTP_WALK) == EPTP_WALK_4 && (!(value & EPTP_AD) || (caps & EPT_CAP_AD));
}

static bool fixed_good(u64 value, u64 mask, u64 fixed0, u64 fixed1)
{
	return !(((~value & fixed0) | (value & ~fixed1)) & mask);
}

/* Exceptions in protected mode have one by their vector, or where the CPU says so, freely. */
static bool error_code_good(const struct check *c, u32 info)
{
	static const u32 vectors = BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) |
				   BIT(VECTOR_SS) | BIT(VECTOR_GP) | BIT(VECTOR_PF) |
				   BIT(VECTOR_AC);
	bool has = info & INTR_INFO_ERROR, fault = (c->facts & F_HARDWARE) && (c->facts & F_PE);

	if (fault && (c->source->caps->basic & VMX_BASIC_ANY_ERROR_CODE))
		return true;
	return has == (fault && (vectors & BIT(FIELD_GET(INTR_INFO_VECTOR, info) & 31)));
}

/* The events that may come in HLT, and in shutdown. */
static bool event_wakes(const struct check *c, u64 activity)
{
	u8 vector = get(c, VMCS_ENTRY_INTR_INFO);
	bool fault = c->facts & F_HARDWARE;

	if ((c->facts & F_NMI) || (fault && vector == VECTOR_MC))
		return activity <= 2;
	return ((c->facts & F_EXTERNAL) || (fault && vector == VECTOR_DB)) && activity == 1;
}

static bool pending_bs_good(const struct check *c, u64 value)
{
	bool waits = c->facts & (F_STI | F_MOV_SS | F_HLT);
	bool step = (c->facts & F_TF) && !(c->facts & F_BTF);

	return !waits || !!(value & PENDING_DEBUG_BS) == step;
}

/* A code segment's: 0 for data of unrestricted guests, SS's, or less when conforming. */
static bool cs_dpl_good(const struct check *c, u64 access, u64 dpl)
{
	u64 ss_dpl = FIELD_GET(ACCESS_DPL, get(c, VMCS_GUEST_SS_ACCESS));

	if (!(access & ACCESS_CODE))
		return dpl == 0;
	return access & ACCESS_CONFORMING ? dpl <= ss_dpl : dpl == ss_dpl;
}

static bool granularity_good(u64 access, u64 limit)
{
	return access & ACCESS_G ? (limit & 0xfff) == 0xfff : limit < MIB(1);
}

/* Each byte is 0, 1 or 4 to 7. */
static bool pat_good(u64 value)
{
	return !(value & 0xf8f8f8f8f8f8f8f8) && !(value & ~(value >> 1) & 0x0202020202020202);
}

static u64 rpl(const struct check *c, unsigned index)
{
	return get(c, VMCS_GUEST_ES_SELECTOR + 2 * index) & 3;
}

static bool field_good(const struct check *c, const struct vmx_check_rule *rule, unsigned index,
		       u64 value)
{
	const struct vmx_caps *caps = c->source->caps;
	u64 limit = caps->physical_limit, dpl = FIELD_GET(ACCESS_DPL, value), count;
	unsigned bits = caps->linear_bits;

	switch (rule->test) {
	case NEVER: return false;
	case EQUAL: return (value & rule->mask) == rule->value;
	case NONZERO: return value & rule->mask;
	case AT_MOST: return FIELD_GET(rule->mask, value) <= rule->value;
	case ONE_OF: /* value: the set, as bits */
		return BIT(FIELD_GET(rule->mask, value)) & rule->value;
	case CONTROLS: /* value: enum vmx_control */
		return fixed_good(value, ~0ull, caps->must[rule->value], caps->may[rule->value]);
	case FIXED_CR0: return fixed_good(value, rule->mask, caps->cr0_fixed0, caps->cr0_fixed1);
	case FIXED_CR4: return fixed_good(value, rule->mask, caps->cr4_fixed0, caps->cr4_fixed1);
	case CANONICAL: return !((value + BIT(bits - 1)) >> bits);
	case RIP: /* in 64-bit mode the highest bit within the width is free */
		if (!(c->facts & F_LONG) || !(c->facts & F_CS_L))
			return !(value >> 32);
		return !(value >> bits) || !(~value >> bits);
	case PHYSICAL: return value < limit && !(value & rule->mask);
	case AREA: /* value: the field with the count */
		count = get(c, rule->value);
		return !count || (!(value & 15) && value < limit && 16 * count <= limit - value);
	case TPR_CLASS: /* its bits 7:4 */
		return (value & 15) <= FIELD_GET(APIC_TPR_CLASS, c->source->apic[APIC_TPR]);
	case EPTP: return eptp_good(caps->ept_vpid, value);
	case CR3_TARGETS: return value <= FIELD_GET(VMX_MISC_CR3_TARGETS, caps->misc);
	case INSN_LENGTH: return value <= 15 && (value || (caps->misc & VMX_MISC_LENGTH_0));
	case HAS_ERROR: return error_code_good(c, value);
	case PAT_TYPES: return pat_good(value);
	case PDPTE: return !(value & 1) || (value < limit && !(value & rule->mask));
	case LMA_AS_ENTRY: return !(value & EFER_LMA) == !(c->facts & F_LONG);
	case LME_AS_LMA: return !(value & EFER_LMA) == !(value & EFER_LME);
	case ACTIVITY: return value == 0 || (value <= 3 && (caps->misc & BIT(5 + value)));
	case WAKES: return event_wakes(c, value);
	case PENDING_BS: return pending_bs_good(c, value);
	case RPL_OF_CS: return rpl(c, index) == rpl(c, 1);
	case BASE_SELECTOR: return value == get(c, VMCS_GUEST_ES_SELECTOR + 2 * index) << 4;
	case CS_DPL: return cs_dpl_good(c, value, dpl);
	case SS_DPL: return dpl == rpl(c, index);
	case DATA_DPL: /* conforming code is free */
		return dpl >= rpl(c, index) || FIELD_GET(ACCESS_TYPE, value) > 11;
	default: /* GRANULARITY */
		return granularity_good(value, get(c, VMCS_GUEST_ES_LIMIT + 2 * index));
	}
}

/* Whether a rule applies to a field at its index, and the field breaks it. */
static bool breaks(const struct check *c, const struct vmx_check_rule *rule, unsigned index,
		   struct vmx_check_result *broken)
{
	u64 facts = c->facts, value;

	if ((rule->need | rule->unless) & (F_USABLE | F_V86))
		facts |= segment_facts(c, index);
	if ((facts & rule->need) != rule->need || (facts & rule->unless))
		return false;
	value = get(c, rule->field + 2 * index);
	if (field_good(c, rule, index, value))
		return false;
	*broken = (struct vmx_check_result){rule, rule->field + 2 * index, value};
	return true;
}

const char *vmx_check_msr(const struct vmx_check_msr *msr)
{
	if (msr->index == MSR_FS_BASE || msr->index == MSR_GS_BASE)
		return "belongs to the guest-state area";
	if (msr->index >> 8 == MSR_X2APIC_BASE >> 8)
		return "is one of the x2APIC's";
	if (msr->index == MSR_SMM_MONITOR_CTL)
		return "can be written in system-management mode only";
	return msr->reserved ? RESERVED : NULL;
}

bool vmx_check(const struct vmx_check_source *source, struct vmx_check_result *broken)
{
	struct check c = {.source = source};

	gather_facts(&c);
	for (unsigned i = 0; i < vmx_check_rule_count; i++)
		for (u32 left = MAX(vmx_check_rules[i].which, 1); left; left &= left - 1)
			if (breaks(&c, &vmx_check_rules[i], __builtin_ctz(left), broken))
				return true;
	return false;
}
