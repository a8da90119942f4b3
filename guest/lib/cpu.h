/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single instructions as functions, in 32-bit and 64-bit programs alike, and
 * the bits of control registers and MSRs that the tests name.
 */
#ifndef GUEST_LIB_CPU_H
#define GUEST_LIB_CPU_H

#include "guest/lib/types.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME	      BIT(0)
#define CR4_TSD	      BIT(2)
#define CR4_PSE	      BIT(4)
#define CR4_PAE	      BIT(5)
#define CR4_OSFXSR    BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_VMXE      BIT(13)
#define CR4_OSXSAVE   BIT(18)

#define MSR_TSC		 0x10
#define MSR_APIC_BASE	 0x1b
#define MSR_SPEC_CTRL	 0x48
#define MSR_PRED_CMD	 0x49
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_MISC_ENABLE	 0x1a0
#define MSR_SYSENTER_CS	 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_PAT		 0x277
#define MSR_EFER	 0xc0000080
#define MSR_STAR	 0xc0000081
#define MSR_LSTAR	 0xc0000082
#define MSR_CSTAR	 0xc0000083
#define MSR_FMASK	 0xc0000084
#define MSR_FS_BASE	 0xc0000100
#define MSR_GS_BASE	 0xc0000101
#define MSR_KERNEL_GS	 0xc0000102

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define FLAGS_TF BIT(8)
#define FLAGS_IF BIT(9)
#define FLAGS_VM BIT(17)

#define CPU_PORT(suffix, type)                                                                    \
	static inline void out##suffix(u16 port, type value)                                      \
	{                                                                                         \
		__asm__ volatile("out %0, %1" : : "a"(value), "Nd"(port) : "memory");             \
	}                                                                                         \
	static inline type in##suffix(u16 port)                                                   \
	{                                                                                         \
		type value;                                                                       \
                                                                                                  \
		__asm__ volatile("in %1, %0" : "=a"(value) : "Nd"(port) : "memory");              \
		return value;                                                                     \
	}
CPU_PORT(b, u8)
CPU_PORT(w, u16)
CPU_PORT(l, u32)

#define CPU_CR(n)                                                                                 \
	static inline unsigned long cr##n##_read(void)                                            \
	{                                                                                         \
		unsigned long value;                                                              \
                                                                                                  \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(value) : : "memory");                \
		return value;                                                                     \
	}                                                                                         \
	static inline void cr##n##_write(unsigned long value)                                     \
	{                                                                                         \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(value) : "memory");                    \
	}
CPU_CR(0)
CPU_CR(2)
CPU_CR(3)
CPU_CR(4)

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "0"(leaf), "2"(subleaf));
	return r;
}

static inline u64 rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Lets interrupts in and waits for the next one, without a gap between. */
static inline void sti_hlt_cli(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

_Noreturn static inline void halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

/* Whether CPUID.1:ECX bit 31 says that a hypervisor runs under this program. */
static inline bool cpu_has_hypervisor(void)
{
	return cpuid(1, 0).ecx >> 31;
}

/* Whether that hypervisor is Trivet. */
bool cpu_on_trivet(void);

#endif
