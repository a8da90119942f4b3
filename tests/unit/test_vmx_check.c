/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/vmx_check.c */
/*
 * The VM-entry rules: for each a VMCS that keeps it and one that breaks it alone, the
 * field that is named, and that every rule of the table can be broken.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/msr.h"
#include "arch/vmx_check.h"

#define NAME(name, encoding) {#name, encoding},
static const struct {
	const char *name;
	u32 field;
} names[] = {VMCS_FIELDS(NAME)};

static u64 vmcs[0x8000];
static struct vmx_caps caps;

static u64 read_field(void *arg, u32 field)
{
	assert_ptr_equal(arg, vmcs);
	assert_true(field < ARRAY_SIZE(vmcs));
	return vmcs[field];
}

struct setting {
	u32 field;
	u64 value;
};

#define SET(field) VMCS_##field
#define SEGMENT(s, selector, base, limit, access)                                                 \
	{SET(GUEST_##s##_SELECTOR), selector}, {SET(GUEST_##s##_BASE), base},                     \
		{SET(GUEST_##s##_LIMIT), limit}, {SET(GUEST_##s##_ACCESS), access}

#define PIN   (PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER)
#define PROC  (PROC_HLT | PROC_MSR_BITMAP | PROC_SECONDARY)
#define PROC2 (PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED | PROC2_ENCLS)
/* What is on while the CPU serves an xAPIC, and an x2APIC. */
#define XAPIC  (PROC2 | PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)
#define X2APIC (PROC2 | PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS)
#define SHADOW (PROC | PROC_TPR_SHADOW)
#define EXITS (EXIT_CTL_HOST_LONG | EXIT_CTL_LOAD_PAT | EXIT_CTL_LOAD_EFER)
#define ENTRY (ENTRY_CTL_LOAD_DEBUG | ENTRY_CTL_LOAD_PAT | ENTRY_CTL_LOAD_EFER)
#define HIGH  0xffff800000000000ull
#define UNEVEN 0x0000800000000000ull /* not canonical */

/* Controls and host state, and a guest in 32-bit protected mode without paging. */
static const struct setting flat[] = {
	{SET(PIN_BASED_CONTROLS), PIN}, {SET(PROC_BASED_CONTROLS), PROC},
	{SET(PROC_BASED_CONTROLS2), PROC2}, {SET(EXIT_CONTROLS), EXITS}, {SET(ENTRY_CONTROLS), ENTRY},
	{SET(VPID), 1}, {SET(MSR_BITMAP), 0x1000}, {SET(EPT_POINTER), 0x205e},
	{SET(CR3_TARGET_COUNT), 4}, {SET(VMCS_LINK_POINTER), ~0ull},
	{SET(HOST_CR0), CR0_PE | CR0_NE | CR0_WP | CR0_PG}, {SET(HOST_CR3), 0x3000},
	{SET(HOST_CR4), CR4_PAE | CR4_VMXE}, {SET(HOST_EFER), EFER_LME | EFER_LMA | EFER_NXE},
	{SET(HOST_PAT), MSR_PAT_RESET}, {SET(HOST_CS_SELECTOR), 8}, {SET(HOST_TR_SELECTOR), 24},
	{SET(HOST_GS_BASE), HIGH}, {SET(HOST_GDTR_BASE), HIGH}, {SET(HOST_RIP), HIGH},
	{SET(GUEST_CR0), CR0_PE | CR0_NE}, {SET(GUEST_CR4), CR4_VMXE}, {SET(GUEST_DR7), 0x400},
	{SET(GUEST_PAT), MSR_PAT_RESET}, {SET(GUEST_RFLAGS), RFLAGS_ONE | RFLAGS_IF},
	SEGMENT(CS, 8, 0, 0xffffffff, 0xc09b), SEGMENT(SS, 16, 0, 0xffffffff, 0xc093),
	SEGMENT(DS, 16, 0, 0xffffffff, 0xc093), SEGMENT(ES, 0, UNEVEN, 0, ACCESS_UNUSABLE),
	SEGMENT(FS, 16, 5, 0xffff, 0x93), SEGMENT(GS, 0, 0, 0, ACCESS_UNUSABLE),
	SEGMENT(TR, 24, 0x1000, 0x67, 0x8b), SEGMENT(LDTR, 32, 0x2000, 0xffff, 0x82),
};
static const struct setting pae[] = {
	{SET(GUEST_CR0), CR0_PE | CR0_NE | CR0_PG | CR0_NW}, {SET(GUEST_CR4), CR4_VMXE | CR4_PAE},
	{SET(GUEST_PDPTE0), 0x5001}, {SET(GUEST_PDPTE1), 0x1fe}, {SET(GUEST_PDPTE3), 0xe19},
};
static const struct setting long64[] = {
	{SET(ENTRY_CONTROLS), ENTRY | ENTRY_CTL_IA32E}, {SET(GUEST_EFER), EFER_LME | EFER_LMA},
	{SET(GUEST_CR0), CR0_PE | CR0_NE | CR0_PG}, {SET(GUEST_CR4), CR4_VMXE | CR4_PAE | CR4_PCIDE},
	{SET(GUEST_CS_ACCESS), 0xa09b}, {SET(GUEST_RIP), 0xffff000000000000}, {SET(GUEST_PDPTE0), ~0ull},
};
static const struct setting v86[] = {
	{SET(GUEST_RFLAGS), RFLAGS_ONE | RFLAGS_VM},
	SEGMENT(CS, 0xf001, 0xf0010, 0xffff, 0xf3), SEGMENT(SS, 0x1002, 0x10020, 0xffff, 0xf3),
	SEGMENT(DS, 7, 0x70, 0xffff, 0xf3), SEGMENT(ES, 0, 0, 0xffff, 0xf3),
	SEGMENT(FS, 0, 0, 0xffff, 0xf3), SEGMENT(GS, 0xffff, 0xffff0, 0xffff, 0xf3),
};
/* Without unrestricted guest: paging, and all privilege levels agree, at 3. */
static const struct setting user[] = {
	{SET(PROC_BASED_CONTROLS2), PROC2_EPT | PROC2_ENCLS}, {SET(VPID), 0}, {SET(GUEST_CR0), CR0_PE | CR0_NE | CR0_PG},
	{SET(GUEST_CS_SELECTOR), 11}, {SET(GUEST_CS_ACCESS), 0xc0fb}, {SET(GUEST_SS_SELECTOR), 19},
	{SET(GUEST_SS_ACCESS), 0xc0f3}, {SET(GUEST_DS_ACCESS), 0xc0f3}, {SET(GUEST_DS_SELECTOR), 19},
};
static const struct setting real[] = {
	{SET(GUEST_CR0), CR0_NE}, SEGMENT(CS, 0xf000, 0xffff0000, 0xffff, 0x93),
	SEGMENT(SS, 3, 0, 0xffff, 0x93),
};

enum state { FLAT, PAE, LONG64, V86, USER, REAL, NESTED };
#define ROWS(name) name, ARRAY_SIZE(name)
static const struct {
	const struct setting *set;
	unsigned count;
} states[] = {{flat, 0}, {ROWS(pae)}, {ROWS(long64)}, {ROWS(v86)}, {ROWS(user)}, {ROWS(real)}, {flat, 0}};

static void apply(const struct setting *set, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		vmcs[set[i].field] = set[i].value;
}

/* A CPU that allows all controls, with some bits that have to be 1. */
static void prepare(enum state state)
{
	memset(vmcs, 0, sizeof(vmcs));
	apply(ROWS(flat));
	apply(states[state].set, states[state].count);
	caps = (struct vmx_caps){
		.must = {[VMX_PIN] = PIN_EXTERNAL_INTERRUPT, [VMX_PROC2] = PROC2_ENCLS},
		.may = {0xff, ~0u & ~1u, 0xfffff, ~0u & ~1u, ~0u & ~1u},
		.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG, .cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = CR4_VMXE | CR4_PAE | CR4_PCIDE | CR4_CET | CR4_PSE,
		.ept_vpid = EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_AD,
		.misc = FIELD_PREP(VMX_MISC_CR3_TARGETS, 4) | BIT(6) | BIT(7),
		.physical_limit = BIT(40), .linear_bits = 48,
	};
	if (state == NESTED)
		caps.must[VMX_PIN] = 0;
}

static bool check(struct vmx_check_result *broken)
{
	static const u32 apic[1024] = {[0x80 / 4] = 0x5f}; /* TPR, of class 5 */
	const struct vmx_check_source source = {read_field, vmcs, &caps, apic};

	return vmx_check(&source, broken);
}

#define EVENT(type, vector) (INTR_INFO_VALID | FIELD_PREP(INTR_INFO_TYPE, INTR_TYPE_##type) | (vector))
#define INFO(value) {SET(ENTRY_INTR_INFO), value}
#define BASE_OF(s) SET(GUEST_##s##_BASE)

/* What breaks a rule when it is set on top of a state, and the field that it names. */
static const struct broken {
	enum state state;
	u32 names;
	struct setting set[6];
} broken[] = {
	{FLAT, SET(PIN_BASED_CONTROLS), {{SET(PIN_BASED_CONTROLS), PIN_NMI | PIN_VIRTUAL_NMI}}},
	{FLAT, SET(PIN_BASED_CONTROLS), {{SET(PIN_BASED_CONTROLS), PIN | BIT(8)}}},
	{FLAT, SET(PROC_BASED_CONTROLS), {{SET(PROC_BASED_CONTROLS), PROC | 1}}},
	{FLAT, SET(PROC_BASED_CONTROLS2), {{SET(PROC_BASED_CONTROLS2), 0}}},
	{FLAT, SET(CR3_TARGET_COUNT), {{SET(CR3_TARGET_COUNT), 5}}},
	{FLAT, SET(MSR_BITMAP), {{SET(MSR_BITMAP), 0x1800}}},
	{FLAT, SET(MSR_BITMAP), {{SET(MSR_BITMAP), BIT(40)}}},
	{FLAT, SET(PIN_BASED_CONTROLS), {{SET(PIN_BASED_CONTROLS), PIN & ~PIN_NMI}}},
	{FLAT, SET(PROC_BASED_CONTROLS),
	 {{SET(PROC_BASED_CONTROLS), PROC | PROC_NMI_WINDOW}, {SET(PIN_BASED_CONTROLS), PIN_EXTERNAL_INTERRUPT | PIN_NMI}}},
	{FLAT, SET(VPID), {{SET(VPID), 0}}},
	{FLAT, SET(EPT_POINTER), {{SET(EPT_POINTER), 0x209e}}},
	{FLAT, SET(EPT_POINTER), {{SET(EPT_POINTER), 0x2018}}}, /* uncached */
	{FLAT, SET(EPT_POINTER), {{SET(EPT_POINTER), 0x2016}}}, /* a walk of 3 */
	{FLAT, SET(EPT_POINTER), {{SET(EPT_POINTER), 0x201d}}}, /* type 5 */
	{FLAT, SET(PROC_BASED_CONTROLS2), {{SET(PROC_BASED_CONTROLS2), PROC2 & ~PROC2_EPT}}},
	{FLAT, SET(PROC_BASED_CONTROLS2), {{SET(PROC_BASED_CONTROLS2), PROC2_ENCLS | PROC2_PML}}},
	{FLAT, SET(PML_ADDRESS), {{SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_PML}, {SET(PML_ADDRESS), 0x1800}}},
	{FLAT, SET(VIRTUAL_APIC_ADDRESS), {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(VIRTUAL_APIC_ADDRESS), 0x7800}}},
	{FLAT, SET(VIRTUAL_APIC_ADDRESS),
	 {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(VIRTUAL_APIC_ADDRESS), BIT(40)}}},
	{FLAT, SET(TPR_THRESHOLD), {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(TPR_THRESHOLD), 0x10}}},
	{FLAT, SET(TPR_THRESHOLD),
	 {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_APIC_ACCESS},
	  {SET(TPR_THRESHOLD), BIT(31)}}},
	{FLAT, SET(TPR_THRESHOLD), {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(TPR_THRESHOLD), 6}}},
	{FLAT, SET(TPR_THRESHOLD),
	 {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_X2APIC | PROC2_APIC_REGISTERS},
	  {SET(TPR_THRESHOLD), 15}}},
	{FLAT, SET(PROC_BASED_CONTROLS2), {{SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_X2APIC}}},
	{FLAT, SET(PROC_BASED_CONTROLS2), {{SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_APIC_REGISTERS}}},
	{FLAT, SET(PROC_BASED_CONTROLS2), {{SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_VIRTUAL_INTERRUPTS}}},
	{FLAT, SET(PROC_BASED_CONTROLS2),
	 {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(PROC_BASED_CONTROLS2), XAPIC | X2APIC}}},
	/* on a CPU whose interrupts need not exit */
	{NESTED, SET(PROC_BASED_CONTROLS2),
	 {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(PROC_BASED_CONTROLS2), XAPIC},
	  {SET(PIN_BASED_CONTROLS), PIN & ~PIN_EXTERNAL_INTERRUPT}}},
	{FLAT, SET(APIC_ACCESS_ADDRESS),
	 {{SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_APIC_ACCESS}, {SET(APIC_ACCESS_ADDRESS), 0xfee00001}}},
	{FLAT, SET(APIC_ACCESS_ADDRESS),
	 {{SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_APIC_ACCESS}, {SET(APIC_ACCESS_ADDRESS), BIT(63)}}},
	{FLAT, SET(EXIT_CONTROLS), {{SET(EXIT_CONTROLS), EXITS | 1}}},
	{FLAT, SET(EXIT_CONTROLS),
	 {{SET(EXIT_CONTROLS), EXITS | EXIT_CTL_SAVE_TIMER}, {SET(PIN_BASED_CONTROLS), PIN & ~PIN_PREEMPTION_TIMER}}},
	{FLAT, SET(EXIT_MSR_STORE_ADDRESS), {{SET(EXIT_MSR_STORE_ADDRESS), 8}, {SET(EXIT_MSR_STORE_COUNT), 1}}},
	{FLAT, SET(EXIT_MSR_LOAD_ADDRESS), {{SET(EXIT_MSR_LOAD_ADDRESS), BIT(40)}, {SET(EXIT_MSR_LOAD_COUNT), 1}}},
	{FLAT, SET(ENTRY_CONTROLS), {{SET(ENTRY_CONTROLS), ENTRY | 1}}},
	{FLAT, SET(ENTRY_CONTROLS), {{SET(ENTRY_CONTROLS), ENTRY | BIT(10)}}},
	{FLAT, SET(ENTRY_MSR_LOAD_ADDRESS),
	 {{SET(ENTRY_MSR_LOAD_ADDRESS), BIT(40) - 16}, {SET(ENTRY_MSR_LOAD_COUNT), 2}}},
	{FLAT, SET(ENTRY_INTR_INFO), {INFO(INTR_INFO_VALID | FIELD_PREP(INTR_INFO_TYPE, 1))}},
	{FLAT, SET(ENTRY_INTR_INFO), {INFO(EVENT(NMI, 3))}},
	{FLAT, SET(ENTRY_INTR_INFO), {INFO(EVENT(HARDWARE, 32))}},
	{FLAT, SET(ENTRY_INTR_INFO), {INFO(EVENT(HARDWARE, VECTOR_GP))}},
	{FLAT, SET(ENTRY_INTR_INFO), {INFO(EVENT(HARDWARE, VECTOR_UD) | INTR_INFO_ERROR)}},
	{FLAT, SET(ENTRY_INTR_INFO), {INFO(EVENT(EXTERNAL, 32) | INTR_INFO_ERROR)}},
	{REAL, SET(ENTRY_INTR_INFO), {INFO(EVENT(HARDWARE, VECTOR_GP) | INTR_INFO_ERROR)}},
	{FLAT, SET(ENTRY_INTR_INFO), {INFO(EVENT(EXTERNAL, 32) | BIT(12))}},
	{FLAT, SET(ENTRY_EXCEPTION_ERROR),
	 {INFO(EVENT(HARDWARE, VECTOR_PF) | INTR_INFO_ERROR), {SET(ENTRY_EXCEPTION_ERROR), BIT(16)}}},
	{FLAT, SET(ENTRY_INSN_LENGTH), {INFO(EVENT(SOFT_INT, 128)), {SET(ENTRY_INSN_LENGTH), 16}}},
	{FLAT, SET(ENTRY_INSN_LENGTH), {INFO(EVENT(ICEBP, 1))}},
	{FLAT, SET(ENTRY_INSN_LENGTH), {INFO(EVENT(SOFT_EXCEPTION, 3))}},

	{FLAT, SET(HOST_CR0), {{SET(HOST_CR0), CR0_PE | CR0_NE}}},
	{FLAT, SET(HOST_CR4), {{SET(HOST_CR4), CR4_PAE}}},
	{FLAT, SET(HOST_CR4),
	 {{SET(HOST_CR4), CR4_PAE | CR4_VMXE | CR4_CET}, {SET(HOST_CR0), CR0_PE | CR0_NE | CR0_PG}}},
	{FLAT, SET(HOST_CR3), {{SET(HOST_CR3), BIT(40)}}},
	{FLAT, SET(HOST_SYSENTER_ESP), {{SET(HOST_SYSENTER_ESP), UNEVEN}}},
	{FLAT, SET(HOST_SYSENTER_EIP), {{SET(HOST_SYSENTER_EIP), UNEVEN}}},
	{FLAT, SET(HOST_PAT), {{SET(HOST_PAT), 2}}},
	{FLAT, SET(HOST_EFER), {{SET(HOST_EFER), EFER_LME | EFER_LMA | BIT(1)}}},
	{FLAT, SET(HOST_EFER), {{SET(HOST_EFER), EFER_LME}}},
	{FLAT, SET(HOST_ES_SELECTOR), {{SET(HOST_ES_SELECTOR), 1}}},
	{FLAT, SET(HOST_FS_SELECTOR), {{SET(HOST_FS_SELECTOR), 4}}},
	{FLAT, SET(HOST_TR_SELECTOR), {{SET(HOST_TR_SELECTOR), 2}}},
	{FLAT, SET(HOST_CS_SELECTOR), {{SET(HOST_CS_SELECTOR), 0}}},
	{FLAT, SET(HOST_TR_SELECTOR), {{SET(HOST_TR_SELECTOR), 0}}},
	{FLAT, SET(HOST_FS_BASE), {{SET(HOST_FS_BASE), UNEVEN}}},
	{FLAT, SET(HOST_TR_BASE), {{SET(HOST_TR_BASE), UNEVEN}}},
	{FLAT, SET(HOST_IDTR_BASE), {{SET(HOST_IDTR_BASE), UNEVEN}}},
	{FLAT, SET(EXIT_CONTROLS), {{SET(EXIT_CONTROLS), 0}}},
	{FLAT, SET(HOST_CR4), {{SET(HOST_CR4), CR4_VMXE}}},
	{FLAT, SET(HOST_RIP), {{SET(HOST_RIP), UNEVEN}}},

	{USER, SET(GUEST_CR0), {{SET(GUEST_CR0), CR0_PE | CR0_NE}}},
	{FLAT, SET(GUEST_CR0), {{SET(GUEST_CR0), CR0_PE}}},
	{FLAT, SET(GUEST_CR0), {{SET(GUEST_CR0), CR0_NE | CR0_PG}}},
	{FLAT, SET(GUEST_CR4), {{SET(GUEST_CR4), 0}}},
	{FLAT, SET(GUEST_CR4), {{SET(GUEST_CR4), CR4_VMXE | CR4_VME}}},
	{FLAT, SET(GUEST_CR4), {{SET(GUEST_CR4), CR4_VMXE | CR4_CET}}},
	{FLAT, SET(GUEST_DEBUGCTL), {{SET(GUEST_DEBUGCTL), BIT(5)}}},
	{FLAT, SET(GUEST_CR0), {{SET(ENTRY_CONTROLS), ENTRY | ENTRY_CTL_IA32E}, {SET(GUEST_EFER), EFER_LMA}}},
	{LONG64, SET(GUEST_CR4), {{SET(GUEST_CR4), CR4_VMXE}}},
	{FLAT, SET(GUEST_CR4), {{SET(GUEST_CR4), CR4_VMXE | CR4_PCIDE}}},
	{FLAT, SET(GUEST_CR3), {{SET(GUEST_CR3), BIT(63)}}},
	{FLAT, SET(GUEST_DR7), {{SET(GUEST_DR7), BIT(32)}}},
	{FLAT, SET(GUEST_SYSENTER_ESP), {{SET(GUEST_SYSENTER_ESP), UNEVEN}}},
	{FLAT, SET(GUEST_SYSENTER_EIP), {{SET(GUEST_SYSENTER_EIP), UNEVEN}}},
	{FLAT, SET(GUEST_PAT), {{SET(GUEST_PAT), 3ull << 56}}},
	{FLAT, SET(GUEST_PAT), {{SET(GUEST_PAT), 8}}},
	{FLAT, SET(GUEST_EFER), {{SET(GUEST_EFER), BIT(9)}}},
	{FLAT, SET(GUEST_EFER), {{SET(GUEST_EFER), EFER_LMA}}},
	{LONG64, SET(GUEST_EFER), {{SET(GUEST_EFER), EFER_LME}}},
	{LONG64, SET(GUEST_EFER), {{SET(GUEST_EFER), EFER_LMA}}},
	{PAE, SET(GUEST_EFER), {{SET(GUEST_EFER), EFER_LME}}},

	{FLAT, SET(GUEST_TR_SELECTOR), {{SET(GUEST_TR_SELECTOR), 28}}},
	{FLAT, SET(GUEST_LDTR_SELECTOR), {{SET(GUEST_LDTR_SELECTOR), 36}}},
	{USER, SET(GUEST_SS_SELECTOR), {{SET(GUEST_SS_SELECTOR), 18}}},
	{V86, BASE_OF(CS), {{BASE_OF(CS), 0xf0000}}},
	{V86, BASE_OF(GS), {{BASE_OF(GS), 0}}},
	{FLAT, BASE_OF(TR), {{BASE_OF(TR), UNEVEN}}},
	{FLAT, BASE_OF(GS), {{BASE_OF(GS), UNEVEN}}},
	{FLAT, SET(GUEST_GDTR_BASE), {{SET(GUEST_GDTR_BASE), UNEVEN}}},
	{FLAT, SET(GUEST_IDTR_BASE), {{SET(GUEST_IDTR_BASE), UNEVEN}}},
	{FLAT, BASE_OF(LDTR), {{BASE_OF(LDTR), UNEVEN}}},
	{FLAT, BASE_OF(CS), {{BASE_OF(CS), BIT(32)}}},
	{FLAT, BASE_OF(DS), {{BASE_OF(DS), BIT(32)}}},
	{V86, SET(GUEST_SS_LIMIT), {{SET(GUEST_SS_LIMIT), 0xfffff}}},
	{V86, SET(GUEST_FS_ACCESS), {{SET(GUEST_FS_ACCESS), 0x93}}},
	{USER, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xc0f3}}},
	{FLAT, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xc09a}}},
	{FLAT, SET(GUEST_SS_ACCESS), {{SET(GUEST_SS_ACCESS), 0xc091}}},
	{FLAT, SET(GUEST_DS_ACCESS), {{SET(GUEST_DS_ACCESS), 0xc099}}},
	{FLAT, SET(GUEST_FS_ACCESS), {{SET(GUEST_FS_ACCESS), 0x92}}},
	{FLAT, SET(GUEST_TR_ACCESS), {{SET(GUEST_TR_ACCESS), 0x89}}},
	{LONG64, SET(GUEST_TR_ACCESS), {{SET(GUEST_TR_ACCESS), 0x83}}},
	{FLAT, SET(GUEST_LDTR_ACCESS), {{SET(GUEST_LDTR_ACCESS), 0x83}}},
	{FLAT, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xc08b}}},
	{FLAT, SET(GUEST_TR_ACCESS), {{SET(GUEST_TR_ACCESS), 0x9b}}},
	{FLAT, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xc0fb}}},	/* more than SS */
	{FLAT, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xc0bf}}},
	{USER, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xc09b}}},	/* less than SS */
	{FLAT, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xc0b3}}},	/* data */
	{USER, SET(GUEST_SS_ACCESS),
	 {{SET(GUEST_SS_SELECTOR), 16}, {SET(GUEST_CS_SELECTOR), 8}}},
	{FLAT, SET(GUEST_SS_ACCESS),
	 {{SET(GUEST_CS_ACCESS), 0xc093}, {SET(GUEST_SS_ACCESS), 0xc0f3}}},
	{REAL, SET(GUEST_SS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xfb}, {SET(GUEST_SS_ACCESS), 0xf3}}},
	{USER, SET(GUEST_DS_ACCESS), {{SET(GUEST_DS_ACCESS), 0xc0d3}}},
	{FLAT, SET(GUEST_FS_ACCESS), {{SET(GUEST_FS_ACCESS), 0x13}}},
	{FLAT, SET(GUEST_LDTR_ACCESS), {{SET(GUEST_LDTR_ACCESS), 0x02}}},
	{FLAT, SET(GUEST_SS_ACCESS), {{SET(GUEST_SS_ACCESS), 0xc893}}},
	{FLAT, SET(GUEST_TR_ACCESS), {{SET(GUEST_TR_ACCESS), BIT(31) | 0x8b}}},
	{LONG64, SET(GUEST_CS_ACCESS), {{SET(GUEST_CS_ACCESS), 0xe09b}}},
	{FLAT, SET(GUEST_DS_ACCESS), {{SET(GUEST_DS_LIMIT), 0xfffffffe}}},
	{FLAT, SET(GUEST_FS_ACCESS), {{SET(GUEST_FS_LIMIT), 0x100000}}},
	{FLAT, SET(GUEST_TR_ACCESS), {{SET(GUEST_TR_ACCESS), 0x1008b}}},
	{FLAT, SET(GUEST_GDTR_LIMIT), {{SET(GUEST_GDTR_LIMIT), 0x10000}}},
	{FLAT, SET(GUEST_IDTR_LIMIT), {{SET(GUEST_IDTR_LIMIT), 0x10000}}},
	{FLAT, SET(GUEST_RIP), {{SET(GUEST_RIP), BIT(32)}}},
	{LONG64, SET(GUEST_RIP), {{SET(GUEST_CS_ACCESS), 0xc09b}}},
	{LONG64, SET(GUEST_RIP), {{SET(GUEST_RIP), BIT(48)}}},
	{FLAT, SET(GUEST_RFLAGS), {{SET(GUEST_RFLAGS), RFLAGS_ONE | BIT(22)}}},
	{FLAT, SET(GUEST_RFLAGS), {{SET(GUEST_RFLAGS), RFLAGS_ONE | BIT(15)}}},
	{FLAT, SET(GUEST_RFLAGS), {{SET(GUEST_RFLAGS), 0}}},
	{V86, SET(GUEST_RFLAGS),
	 {{SET(ENTRY_CONTROLS), ENTRY | ENTRY_CTL_IA32E}, {SET(GUEST_EFER), EFER_LME | EFER_LMA},
	  {SET(GUEST_CR0), CR0_PE | CR0_NE | CR0_PG}, {SET(GUEST_CR4), CR4_VMXE | CR4_PAE}}},
	{V86, SET(GUEST_RFLAGS), {{SET(GUEST_CR0), CR0_NE}}},
	{FLAT, SET(GUEST_RFLAGS), {INFO(EVENT(EXTERNAL, 32)), {SET(GUEST_RFLAGS), RFLAGS_ONE}}},

	{FLAT, SET(GUEST_ACTIVITY), {{SET(GUEST_ACTIVITY), 3}}}, /* this CPU has no wait-for-SIPI */
	{FLAT, SET(GUEST_ACTIVITY), {{SET(GUEST_ACTIVITY), 4}}},
	{FLAT, SET(GUEST_ACTIVITY), {{SET(GUEST_ACTIVITY), BIT(60)}}},
	{USER, SET(GUEST_ACTIVITY), {{SET(GUEST_ACTIVITY), 1}}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_ACTIVITY), 1}, {SET(GUEST_INTERRUPTIBILITY), 1}}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_ACTIVITY), 2}, {SET(GUEST_INTERRUPTIBILITY), 2}}},
	{FLAT, SET(GUEST_ACTIVITY), {{SET(GUEST_ACTIVITY), 1}, INFO(EVENT(HARDWARE, VECTOR_UD))}},
	{FLAT, SET(GUEST_ACTIVITY), {{SET(GUEST_ACTIVITY), 2}, INFO(EVENT(HARDWARE, VECTOR_DB))}},
	{FLAT, SET(GUEST_ACTIVITY), {{SET(GUEST_ACTIVITY), 2}, INFO(EVENT(EXTERNAL, 32))}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_INTERRUPTIBILITY), BIT(5)}}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_INTERRUPTIBILITY), BIT(2)}}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_INTERRUPTIBILITY), 3}}},
	{V86, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_INTERRUPTIBILITY), 1}}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_INTERRUPTIBILITY), 2}, INFO(EVENT(EXTERNAL, 32))}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_INTERRUPTIBILITY), 1}, INFO(EVENT(NMI, 2))}},
	{FLAT, SET(GUEST_INTERRUPTIBILITY), {{SET(GUEST_INTERRUPTIBILITY), 8}, INFO(EVENT(NMI, 2))}},
	{FLAT, SET(GUEST_PENDING_DEBUG), {{SET(GUEST_PENDING_DEBUG), BIT(4)}}},
	{FLAT, SET(GUEST_PENDING_DEBUG), {{SET(GUEST_PENDING_DEBUG), BIT(63)}}},
	{FLAT, SET(GUEST_PENDING_DEBUG), {{SET(GUEST_INTERRUPTIBILITY), 1}, {SET(GUEST_PENDING_DEBUG), PENDING_DEBUG_BS}}},
	{FLAT, SET(GUEST_PENDING_DEBUG),
	 {{SET(GUEST_ACTIVITY), 1}, {SET(GUEST_RFLAGS), RFLAGS_ONE | RFLAGS_TF}}},
	{FLAT, SET(GUEST_PENDING_DEBUG),
	 {{SET(GUEST_INTERRUPTIBILITY), 2}, {SET(GUEST_RFLAGS), RFLAGS_ONE | RFLAGS_TF},
	  {SET(GUEST_DEBUGCTL), DEBUGCTL_BTF}, {SET(GUEST_PENDING_DEBUG), PENDING_DEBUG_BS}}},
	{FLAT, SET(VMCS_LINK_POINTER), {{SET(VMCS_LINK_POINTER), 0x1000}}},
	{PAE, SET(GUEST_PDPTE0), {{SET(GUEST_PDPTE0), 0x5021}}},
	{PAE, SET(GUEST_PDPTE1), {{SET(GUEST_PDPTE1), 3}}},
	{PAE, SET(GUEST_PDPTE3), {{SET(GUEST_PDPTE3), BIT(40) | 1}}},
	{USER, SET(GUEST_PDPTE2), {{SET(GUEST_CR4), CR4_VMXE | CR4_PAE}, {SET(GUEST_PDPTE2), 5}}},
};

#define NONE ~0u

/* The same changes where the rule does not ask, or the value just keeps it. */
static const struct broken kept[] = {
	{FLAT, NONE, {}}, {PAE, NONE, {}}, {LONG64, NONE, {}}, {V86, NONE, {}}, {USER, NONE, {}}, {REAL, NONE, {}},
	/* What a control that is off names is not looked at. */
	{FLAT, NONE, {{SET(PROC_BASED_CONTROLS), 0}, {SET(PROC_BASED_CONTROLS2), ~0ull},
		   {SET(EPT_POINTER), 1}, {SET(MSR_BITMAP), 1}, {SET(GUEST_CR0), CR0_PE | CR0_NE | CR0_PG}}},
	{FLAT, NONE, {{SET(VIRTUAL_APIC_ADDRESS), 1}, {SET(APIC_ACCESS_ADDRESS), 1}, {SET(TPR_THRESHOLD), ~0u}}},
	{USER, NONE, {{SET(PROC_BASED_CONTROLS), PROC & ~PROC_SECONDARY}, {SET(PROC_BASED_CONTROLS2), XAPIC | X2APIC},
		   {SET(APIC_ACCESS_ADDRESS), 1}}},
	{FLAT, NONE, {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(TPR_THRESHOLD), 5}}},
	{FLAT, NONE, {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(PROC_BASED_CONTROLS2), X2APIC}, {SET(TPR_THRESHOLD), 0xff}}},
	{FLAT, NONE, {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(TPR_THRESHOLD), 15},
		   {SET(PROC_BASED_CONTROLS2), PROC2 | PROC2_APIC_ACCESS}, {SET(APIC_ACCESS_ADDRESS), BIT(40) - 0x1000}}},
	{FLAT, NONE, {{SET(PROC_BASED_CONTROLS), SHADOW}, {SET(PROC_BASED_CONTROLS2), XAPIC}, {SET(GUEST_INTERRUPT_STATUS), 0xffff}}},
	{FLAT, NONE, {{SET(EXIT_CONTROLS), EXIT_CTL_HOST_LONG}, {SET(HOST_PAT), 2}, {SET(HOST_EFER), 0}}},
	{FLAT, NONE, {{SET(ENTRY_CONTROLS), 0}, {SET(GUEST_PAT), 2}, {SET(GUEST_EFER), 2},
		   {SET(GUEST_DEBUGCTL), 4}, {SET(GUEST_DR7), BIT(63)}}},
	{FLAT, NONE, {{SET(ENTRY_MSR_LOAD_ADDRESS), 1}, {SET(EXIT_MSR_LOAD_ADDRESS), ~0ull}}},
	{FLAT, NONE, {{SET(ENTRY_MSR_LOAD_ADDRESS), BIT(40) - 32}, {SET(ENTRY_MSR_LOAD_COUNT), 2}}},
	{FLAT, NONE, {{SET(EPT_POINTER), 0x201e}}},
	{FLAT, NONE, {INFO(EVENT(HARDWARE, VECTOR_GP) | INTR_INFO_ERROR), {SET(ENTRY_EXCEPTION_ERROR), 0xffff}}},
	{REAL, NONE, {INFO(EVENT(HARDWARE, VECTOR_GP))}},
	{FLAT, NONE, {INFO(EVENT(SOFT_INT, 128)), {SET(ENTRY_INSN_LENGTH), 15}}},
	{FLAT, NONE, {{SET(ENTRY_INTR_INFO), 0x7fffffff}, {SET(ENTRY_INSN_LENGTH), 99}}},
	{FLAT, NONE, {{SET(GUEST_ACTIVITY), 1}, INFO(EVENT(EXTERNAL, 32))}},
	{FLAT, NONE, {{SET(GUEST_ACTIVITY), 1}, INFO(EVENT(HARDWARE, VECTOR_DB))}},
	{FLAT, NONE, {{SET(GUEST_ACTIVITY), 2}, INFO(EVENT(NMI, 2))}},
	{FLAT, NONE, {{SET(GUEST_ACTIVITY), 2}, INFO(EVENT(HARDWARE, VECTOR_MC))}},
	{FLAT, NONE, {{SET(GUEST_INTERRUPTIBILITY), 8}, {SET(PIN_BASED_CONTROLS), PIN_EXTERNAL_INTERRUPT | PIN_NMI},
		   INFO(EVENT(NMI, 2))}},
	{FLAT, NONE, {{SET(GUEST_INTERRUPTIBILITY), 1}, {SET(GUEST_RFLAGS), RFLAGS_ONE | RFLAGS_IF | RFLAGS_TF},
		   {SET(GUEST_PENDING_DEBUG), PENDING_DEBUG_BS | 15}}},
	{FLAT, NONE, {{SET(GUEST_PENDING_DEBUG), PENDING_DEBUG_BS | BIT(12)}}},
	{FLAT, NONE, {{SET(GUEST_CS_ACCESS), 0xc093}}},		    /* data in CS */
	{USER, NONE, {{SET(GUEST_CS_ACCESS), 0xc09f}}},		    /* conforming */
	{USER, NONE, {{SET(GUEST_DS_ACCESS), 0xc09f}}},
	{FLAT, NONE, {{SET(GUEST_LDTR_ACCESS), ACCESS_UNUSABLE}, {SET(GUEST_LDTR_BASE), UNEVEN},
		   {SET(GUEST_LDTR_SELECTOR), 4}}},
	{FLAT, NONE, {{SET(GUEST_SS_ACCESS), ACCESS_UNUSABLE}, {SET(GUEST_SS_LIMIT), 1}}},
	{LONG64, NONE, {{SET(GUEST_RIP), BIT(47)}}},		    /* not canonical, but allowed */
	{FLAT, NONE, {{SET(GUEST_PDPTE0), ~0ull}}},
	{FLAT, NONE, {{SET(GUEST_EFER), EFER_LME}}},		    /* without paging */
};

static void set_all(const struct broken *row)
{
	prepare(row->state);
	for (unsigned i = 0; i < ARRAY_SIZE(row->set) && (i == 0 || row->set[i].field); i++)
		if (row->set[i].field || row->names == SET(VPID)) /* whose encoding is 0 */
			vmcs[row->set[i].field] = row->set[i].value;
}

static const char *name_of(u32 field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].field == field)
			return names[i].name;
	fail_msg("%x is no field", field);
	return NULL;
}

static void test_kept(void **state)
{
	struct vmx_check_result result;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
		set_all(&kept[i]);
		if (check(&result))
			fail_msg("row %u: %s %lx %s", i, name_of(result.field), result.value,
				 result.rule->text);
	}
}

/* Every rule is broken by some row, which names the field, and what it holds. */
static void test_broken(void **state)
{
	struct vmx_check_result result;
	bool hit[256] = {false};

	(void)state;
	assert_true(vmx_check_rule_count < ARRAY_SIZE(hit));
	for (unsigned i = 0; i < ARRAY_SIZE(broken); i++) {
		set_all(&broken[i]);
		if (!check(&result))
			fail_msg("row %u (%s): accepted", i, name_of(broken[i].names));
		if (result.field != broken[i].names)
			fail_msg("row %u (%s): %s %s", i, name_of(broken[i].names),
				 name_of(result.field), result.rule->text);
		assert_int_equal(result.value, vmcs[result.field]);
		hit[result.rule - vmx_check_rules] = true;
	}
	for (unsigned i = 0; i < vmx_check_rule_count; i++)
		if (!hit[i])
			fail_msg("rule %u is not tested: %s %s", i, name_of(vmx_check_rules[i].field),
				 vmx_check_rules[i].text);
}

/* Controls come before host state, and that before guest state. */
static void test_order(void **state)
{
	struct vmx_check_result result;

	(void)state;
	prepare(FLAT);
	vmcs[SET(GUEST_RFLAGS)] = 0;
	assert_true(check(&result));
	assert_int_equal(result.rule->class, VMX_CHECK_GUEST);
	vmcs[SET(HOST_CR3)] = BIT(63);
	assert_true(check(&result));
	assert_int_equal(result.rule->class, VMX_CHECK_HOST);
	vmcs[SET(CR3_TARGET_COUNT)] = 9;
	assert_true(check(&result));
	assert_int_equal(result.rule->class, VMX_CHECK_CONTROLS);
	for (unsigned i = 1; i < vmx_check_rule_count; i++)
		assert_true(vmx_check_rules[i].class >= vmx_check_rules[i - 1].class);
}

static void test_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < vmx_check_rule_count; i++) {
		const struct vmx_check_rule *rule = &vmx_check_rules[i];

		assert_non_null(rule->text);
		assert_true(strlen(rule->text) > 5);
		assert_int_equal(rule->need & rule->unless, 0);
		name_of(rule->field);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(rule, &vmx_check_rules[k], sizeof(*rule));
	}
}

/* Capabilities that a CPU may have more of. */
static void test_capabilities(void **state)
{
	struct vmx_check_result result;

	(void)state;
	prepare(FLAT);
	caps.misc |= BIT(8) | VMX_MISC_LENGTH_0;
	vmcs[SET(GUEST_ACTIVITY)] = 3;
	assert_false(check(&result));
	vmcs[SET(ENTRY_INTR_INFO)] = EVENT(NMI, 2);
	assert_true(check(&result));
	assert_int_equal(result.field, SET(GUEST_ACTIVITY));
	prepare(FLAT);
	caps.misc |= VMX_MISC_LENGTH_0;
	vmcs[SET(ENTRY_INTR_INFO)] = EVENT(SOFT_INT, 3);
	assert_false(check(&result));
	prepare(FLAT);
	caps.basic = VMX_BASIC_ANY_ERROR_CODE;
	vmcs[SET(ENTRY_INTR_INFO)] = EVENT(HARDWARE, VECTOR_UD) | INTR_INFO_ERROR;
	assert_false(check(&result));
	vmcs[SET(ENTRY_INTR_INFO)] = EVENT(HARDWARE, VECTOR_GP);
	assert_false(check(&result));
	vmcs[SET(ENTRY_INTR_INFO)] = EVENT(EXTERNAL, 32) | INTR_INFO_ERROR;
	assert_true(check(&result));
	prepare(FLAT);
	caps.ept_vpid = EPT_CAP_UC;
	vmcs[SET(EPT_POINTER)] = 0x2018;
	assert_false(check(&result));
	vmcs[SET(EPT_POINTER)] = 0x2058; /* no accessed and dirty flags */
	assert_true(check(&result));
	prepare(LONG64);
	caps.linear_bits = 57;
	vmcs[SET(GUEST_FS_BASE)] = UNEVEN;
	vmcs[SET(GUEST_RIP)] = BIT(56);
	assert_false(check(&result));
	vmcs[SET(GUEST_RIP)] = BIT(57);
	assert_true(check(&result));
}

static void test_msr(void **state)
{
	const struct vmx_check_msr good = {MSR_KERNEL_GS_BASE, 0, 1}, fs = {MSR_FS_BASE, 0, 1},
				   gs = {MSR_GS_BASE, 0, 1}, x2apic = {0x8ff, 0, 0},
				   smm = {MSR_SMM_MONITOR_CTL, 0, 0}, high = {MSR_STAR, 1, 0},
				   below = {0x7ff, 0, 0}, above = {0x900, 0, 0};

	(void)state;
	assert_int_equal(sizeof(good), 16); /* "VM-Entry Controls for MSRs" */
	assert_null(vmx_check_msr(&good));
	assert_null(vmx_check_msr(&below));
	assert_null(vmx_check_msr(&above));
	assert_non_null(strstr(vmx_check_msr(&fs), "guest-state area"));
	assert_non_null(strstr(vmx_check_msr(&gs), "guest-state area"));
	assert_non_null(strstr(vmx_check_msr(&x2apic), "x2APIC"));
	assert_non_null(strstr(vmx_check_msr(&smm), "system-management"));
	assert_non_null(strstr(vmx_check_msr(&high), "reserved"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_msr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
