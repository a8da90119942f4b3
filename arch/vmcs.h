/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMCS: every field once, with the manual's encoding, and access to it by
 * width: a field read or written with the wrong width does not compile.
 * Source: Intel SDM volume 3, appendix "Field Encoding in VMCS", and "VM-Exit
 * Information Fields".
 */
#pragma once

#include "arch/lib/bits.h"

/* VMCS(name, encoding): in the order of the encodings; a new row with each width and type. */
#define VMCS_FIELDS(VMCS)                                                                         \
	VMCS(VPID, 0x0000)                                                                        \
	VMCS(GUEST_ES_SELECTOR, 0x0800) VMCS(GUEST_CS_SELECTOR, 0x0802)                           \
	VMCS(GUEST_SS_SELECTOR, 0x0804) VMCS(GUEST_DS_SELECTOR, 0x0806)                           \
	VMCS(GUEST_FS_SELECTOR, 0x0808) VMCS(GUEST_GS_SELECTOR, 0x080a)                           \
	VMCS(GUEST_LDTR_SELECTOR, 0x080c) VMCS(GUEST_TR_SELECTOR, 0x080e)                         \
	VMCS(GUEST_INTERRUPT_STATUS, 0x0810) VMCS(PML_INDEX, 0x0812)                              \
	VMCS(HOST_ES_SELECTOR, 0x0c00) VMCS(HOST_CS_SELECTOR, 0x0c02)                             \
	VMCS(HOST_SS_SELECTOR, 0x0c04) VMCS(HOST_DS_SELECTOR, 0x0c06)                             \
	VMCS(HOST_FS_SELECTOR, 0x0c08) VMCS(HOST_GS_SELECTOR, 0x0c0a)                             \
	VMCS(HOST_TR_SELECTOR, 0x0c0c)                                                            \
	VMCS(MSR_BITMAP, 0x2004) VMCS(EXIT_MSR_STORE_ADDRESS, 0x2006)                             \
	VMCS(EXIT_MSR_LOAD_ADDRESS, 0x2008) VMCS(ENTRY_MSR_LOAD_ADDRESS, 0x200a)                  \
	VMCS(PML_ADDRESS, 0x200e) VMCS(TSC_OFFSET, 0x2010) VMCS(VIRTUAL_APIC_ADDRESS, 0x2012)     \
	VMCS(APIC_ACCESS_ADDRESS, 0x2014) VMCS(EPT_POINTER, 0x201a) VMCS(EOI_EXIT0, 0x201c)       \
	VMCS(EOI_EXIT1, 0x201e) VMCS(EOI_EXIT2, 0x2020) VMCS(EOI_EXIT3, 0x2022)                   \
	VMCS(XSS_EXITING_BITMAP, 0x202c) VMCS(ENCLS_EXITING_BITMAP, 0x202e)                       \
	VMCS(GUEST_PHYSICAL_ADDRESS, 0x2400)                                                      \
	VMCS(VMCS_LINK_POINTER, 0x2800) VMCS(GUEST_DEBUGCTL, 0x2802) VMCS(GUEST_PAT, 0x2804)      \
	VMCS(GUEST_EFER, 0x2806) VMCS(GUEST_PDPTE0, 0x280a) VMCS(GUEST_PDPTE1, 0x280c)            \
	VMCS(GUEST_PDPTE2, 0x280e) VMCS(GUEST_PDPTE3, 0x2810)                                     \
	VMCS(HOST_PAT, 0x2c00) VMCS(HOST_EFER, 0x2c02)                                            \
	VMCS(PIN_BASED_CONTROLS, 0x4000) VMCS(PROC_BASED_CONTROLS, 0x4002)                        \
	VMCS(EXCEPTION_BITMAP, 0x4004) VMCS(PF_ERROR_CODE_MASK, 0x4006)                           \
	VMCS(PF_ERROR_CODE_MATCH, 0x4008) VMCS(CR3_TARGET_COUNT, 0x400a)                          \
	VMCS(EXIT_CONTROLS, 0x400c) VMCS(EXIT_MSR_STORE_COUNT, 0x400e)                            \
	VMCS(EXIT_MSR_LOAD_COUNT, 0x4010) VMCS(ENTRY_CONTROLS, 0x4012)                            \
	VMCS(ENTRY_MSR_LOAD_COUNT, 0x4014) VMCS(ENTRY_INTR_INFO, 0x4016)                          \
	VMCS(ENTRY_EXCEPTION_ERROR, 0x4018) VMCS(ENTRY_INSN_LENGTH, 0x401a)                       \
	VMCS(TPR_THRESHOLD, 0x401c) VMCS(PROC_BASED_CONTROLS2, 0x401e) VMCS(PLE_GAP, 0x4020)      \
	VMCS(PLE_WINDOW, 0x4022)                                                                  \
	VMCS(INSTRUCTION_ERROR, 0x4400) VMCS(EXIT_REASON, 0x4402) VMCS(EXIT_INTR_INFO, 0x4404)    \
	VMCS(EXIT_INTR_ERROR, 0x4406) VMCS(IDT_VECTORING_INFO, 0x4408)                            \
	VMCS(IDT_VECTORING_ERROR, 0x440a) VMCS(EXIT_INSN_LENGTH, 0x440c)                          \
	VMCS(EXIT_INSN_INFO, 0x440e)                                                              \
	VMCS(GUEST_ES_LIMIT, 0x4800) VMCS(GUEST_CS_LIMIT, 0x4802) VMCS(GUEST_SS_LIMIT, 0x4804)    \
	VMCS(GUEST_DS_LIMIT, 0x4806) VMCS(GUEST_FS_LIMIT, 0x4808) VMCS(GUEST_GS_LIMIT, 0x480a)    \
	VMCS(GUEST_LDTR_LIMIT, 0x480c) VMCS(GUEST_TR_LIMIT, 0x480e)                               \
	VMCS(GUEST_GDTR_LIMIT, 0x4810) VMCS(GUEST_IDTR_LIMIT, 0x4812)                             \
	VMCS(GUEST_ES_ACCESS, 0x4814) VMCS(GUEST_CS_ACCESS, 0x4816) VMCS(GUEST_SS_ACCESS, 0x4818) \
	VMCS(GUEST_DS_ACCESS, 0x481a) VMCS(GUEST_FS_ACCESS, 0x481c) VMCS(GUEST_GS_ACCESS, 0x481e) \
	VMCS(GUEST_LDTR_ACCESS, 0x4820) VMCS(GUEST_TR_ACCESS, 0x4822)                             \
	VMCS(GUEST_INTERRUPTIBILITY, 0x4824) VMCS(GUEST_ACTIVITY, 0x4826)                         \
	VMCS(GUEST_SYSENTER_CS, 0x482a) VMCS(PREEMPTION_TIMER, 0x482e)                            \
	VMCS(HOST_SYSENTER_CS, 0x4c00)                                                            \
	VMCS(CR0_MASK, 0x6000) VMCS(CR4_MASK, 0x6002) VMCS(CR0_SHADOW, 0x6004)                    \
	VMCS(CR4_SHADOW, 0x6006)                                                                  \
	VMCS(EXIT_QUALIFICATION, 0x6400) VMCS(GUEST_LINEAR_ADDRESS, 0x640a)                       \
	VMCS(GUEST_CR0, 0x6800) VMCS(GUEST_CR3, 0x6802) VMCS(GUEST_CR4, 0x6804)                   \
	VMCS(GUEST_ES_BASE, 0x6806) VMCS(GUEST_CS_BASE, 0x6808) VMCS(GUEST_SS_BASE, 0x680a)       \
	VMCS(GUEST_DS_BASE, 0x680c) VMCS(GUEST_FS_BASE, 0x680e) VMCS(GUEST_GS_BASE, 0x6810)       \
	VMCS(GUEST_LDTR_BASE, 0x6812) VMCS(GUEST_TR_BASE, 0x6814) VMCS(GUEST_GDTR_BASE, 0x6816)   \
	VMCS(GUEST_IDTR_BASE, 0x6818) VMCS(GUEST_DR7, 0x681a) VMCS(GUEST_RSP, 0x681c)             \
	VMCS(GUEST_RIP, 0x681e) VMCS(GUEST_RFLAGS, 0x6820) VMCS(GUEST_PENDING_DEBUG, 0x6822)      \
	VMCS(GUEST_SYSENTER_ESP, 0x6824) VMCS(GUEST_SYSENTER_EIP, 0x6826)                         \
	VMCS(HOST_CR0, 0x6c00) VMCS(HOST_CR3, 0x6c02) VMCS(HOST_CR4, 0x6c04)                      \
	VMCS(HOST_FS_BASE, 0x6c06) VMCS(HOST_GS_BASE, 0x6c08) VMCS(HOST_TR_BASE, 0x6c0a)          \
	VMCS(HOST_GDTR_BASE, 0x6c0c) VMCS(HOST_IDTR_BASE, 0x6c0e) VMCS(HOST_SYSENTER_ESP, 0x6c10) \
	VMCS(HOST_SYSENTER_EIP, 0x6c12) VMCS(HOST_RSP, 0x6c14) VMCS(HOST_RIP, 0x6c16)

#define VMCS_ENUM(name, encoding) VMCS_##name = (encoding),
enum vmcs_field { VMCS_FIELDS(VMCS_ENUM) };
#undef VMCS_ENUM

/* Width of a field: bits 14:13 of its encoding. */
enum { VMCS_16 = 0, VMCS_64 = 1, VMCS_32 = 2, VMCS_NATURAL = 3 };
#define VMCS_WIDTH(field) ((unsigned)((field) >> 13 & 3))

/*
 * Any field of the current VMCS. The two instructions fail only for a field
 * that the CPU lacks or without a current VMCS; callers use neither, so a
 * failure leaves 0 and the entry's own checks report it.
 */
static inline u64 vmcs_get(u32 field)
{
	u64 value = 0;

	__asm__ volatile("vmread %1, %0" : "+r"(value) : "r"((u64)field) : "cc");
	return value;
}

static inline void vmcs_set(u32 field, u64 value)
{
	__asm__ volatile("vmwrite %1, %0" ::"r"((u64)field), "r"(value) : "cc", "memory");
}

#define VMCS_CHECKED(field, width)                                                                \
	({                                                                                        \
		_Static_assert(VMCS_WIDTH(VMCS_##field) == (width), "width of " #field);          \
		VMCS_##field;                                                                     \
	})

#define vmread16(field)		((u16)vmcs_get(VMCS_CHECKED(field, VMCS_16)))
#define vmread32(field)		((u32)vmcs_get(VMCS_CHECKED(field, VMCS_32)))
#define vmread64(field)		vmcs_get(VMCS_CHECKED(field, VMCS_64))
#define vmread(field)		vmcs_get(VMCS_CHECKED(field, VMCS_NATURAL))
#define vmwrite16(field, value) vmcs_set(VMCS_CHECKED(field, VMCS_16), (u16)(value))
#define vmwrite32(field, value) vmcs_set(VMCS_CHECKED(field, VMCS_32), (u32)(value))
#define vmwrite64(field, value) vmcs_set(VMCS_CHECKED(field, VMCS_64), (value))
#define vmwrite(field, value)	vmcs_set(VMCS_CHECKED(field, VMCS_NATURAL), (value))

/* Interruption information, for entries and exits alike. */
/* TYPE_SOFT is 1 in types 4 to 6: the event is of an instruction. */
enum { INTR_INFO_VECTOR = BITS(7, 0), INTR_INFO_TYPE = BITS(10, 8), INTR_INFO_TYPE_SOFT = BIT(10),
       INTR_INFO_ERROR = BIT(11), INTR_INFO_NMI_UNBLOCK = BIT(12) };
#define INTR_INFO_VALID BIT(31)

/* Its type field. */
enum { INTR_TYPE_EXTERNAL = 0, INTR_TYPE_NMI = 2, INTR_TYPE_HARDWARE = 3, INTR_TYPE_SOFT_INT = 4,
       INTR_TYPE_ICEBP = 5, INTR_TYPE_SOFT_EXCEPTION = 6 };

#define INTERRUPTIBILITY_STI	BIT(0)
#define INTERRUPTIBILITY_MOV_SS BIT(1)
#define INTERRUPTIBILITY_NMI	BIT(3)
#define INTERRUPTIBILITY_SHADOWS (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
/* Those that can be set outside system-management mode and enclaves. */
#define INTERRUPTIBILITY_USED (INTERRUPTIBILITY_SHADOWS | INTERRUPTIBILITY_NMI)

#define PENDING_DEBUG_BS BIT(14)
/* Breakpoints met and enabled, and BS; Trivet offers neither RTM nor bus-lock detection. */
#define PENDING_DEBUG_USED (BITS(3, 0) | BIT(12) | PENDING_DEBUG_BS)

/* Access rights of a segment: the descriptor's bits, and bit 16. */
enum { ACCESS_TYPE = BITS(3, 0), ACCESS_CONFORMING = BIT(2), ACCESS_CODE = BIT(3), ACCESS_S = BIT(4),
       ACCESS_DPL = BITS(6, 5), ACCESS_P = BIT(7), ACCESS_AVL = BIT(12), ACCESS_L = BIT(13),
       ACCESS_DB = BIT(14), ACCESS_G = BIT(15), ACCESS_UNUSABLE = BIT(16) };
