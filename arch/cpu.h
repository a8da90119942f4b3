/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single instructions as inline functions, and the architectural bits of the
 * control registers, EFLAGS and CPUID that Trivet names. MSR numbers are in
 * arch/msr.h. Source: Intel SDM, volume 2 and volume 3, "Control Registers".
 */
#pragma once

#include "arch/lib/bits.h"

enum {
	CR0_PE = BIT(0), CR0_MP = BIT(1), CR0_EM = BIT(2), CR0_TS = BIT(3), CR0_ET = BIT(4),
	CR0_NE = BIT(5), CR0_WP = BIT(16), CR0_AM = BIT(18), CR0_NW = BIT(29), CR0_CD = BIT(30),
};
#define CR0_PG BIT(31)

enum {
	CR4_VME = BIT(0), CR4_PVI = BIT(1), CR4_TSD = BIT(2), CR4_DE = BIT(3), CR4_PSE = BIT(4),
	CR4_PAE = BIT(5), CR4_MCE = BIT(6), CR4_PGE = BIT(7), CR4_PCE = BIT(8),
	CR4_OSFXSR = BIT(9), CR4_OSXMMEXCPT = BIT(10), CR4_UMIP = BIT(11), CR4_LA57 = BIT(12),
	CR4_VMXE = BIT(13), CR4_FSGSBASE = BIT(16), CR4_PCIDE = BIT(17), CR4_OSXSAVE = BIT(18),
	CR4_SMEP = BIT(20), CR4_SMAP = BIT(21), CR4_CET = BIT(23),
};

/* GUEST: what a guest can have of it. */
enum { XCR0_X87 = BIT(0), XCR0_SSE = BIT(1), XCR0_AVX = BIT(2), XCR0_AVX512 = BITS(7, 5),
       XCR0_GUEST = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 };
enum { S_CET_ENDBR_EN = BIT(2) };
enum { EFER_SCE = BIT(0), EFER_LME = BIT(8), EFER_LMA = BIT(10), EFER_NXE = BIT(11) };

enum {
	RFLAGS_CF = BIT(0), RFLAGS_ONE = BIT(1), RFLAGS_PF = BIT(2), RFLAGS_AF = BIT(4),
	RFLAGS_ZF = BIT(6), RFLAGS_SF = BIT(7), RFLAGS_TF = BIT(8), RFLAGS_IF = BIT(9),
	RFLAGS_DF = BIT(10), RFLAGS_OF = BIT(11), RFLAGS_RF = BIT(16), RFLAGS_VM = BIT(17),
	RFLAGS_AC = BIT(18),
};

/* Exception vectors: SDM volume 3, "Exception and Interrupt Vectors". */
enum {
	VECTOR_DE = 0, VECTOR_DB = 1, VECTOR_NMI = 2, VECTOR_BP = 3, VECTOR_OF = 4, VECTOR_UD = 6,
	VECTOR_NM = 7, VECTOR_DF = 8, VECTOR_TS = 10, VECTOR_NP = 11, VECTOR_SS = 12,
	VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_AC = 17, VECTOR_MC = 18, VECTOR_CP = 21,
};

/* Bits 63:47 alike: the linear addresses of 4-level paging. */
static inline bool address_canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

struct cpuid_regs {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

/* The first physical address beyond the CPU's width. */
static inline u64 cpu_physical_limit(void)
{
	u32 bits = cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : 36;

	return BIT(MIN(bits, 52u));
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* rdtsc behind all earlier instructions. */
static inline u64 rdtsc_ordered(void)
{
	__asm__ volatile("lfence" ::: "memory");
	return rdtsc();
}

/* A random number; false: there was none at this moment. CPUID leaf 1 ECX bit 30. */
static inline bool rdrand(u64 *value)
{
	bool there;

	__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(there));
	return there;
}

/* inb(port), outb(port, value) and so on. */
#define CPU_DEFINE_PORT(letter, type)                                                             \
	static inline type in##letter(u16 port)                                                   \
	{                                                                                         \
		type value;                                                                       \
		__asm__ volatile("in" #letter " %1, %0" : "=a"(value) : "Nd"(port));              \
		return value;                                                                     \
	}                                                                                         \
	static inline void out##letter(u16 port, type value)                                      \
	{                                                                                         \
		__asm__ volatile("out" #letter " %0, %1" ::"a"(value), "Nd"(port));               \
	}

CPU_DEFINE_PORT(b, u8)
CPU_DEFINE_PORT(w, u16)
CPU_DEFINE_PORT(l, u32)

#define CPU_DEFINE_CR(n)                                                                          \
	static inline u64 read_cr##n(void)                                                        \
	{                                                                                         \
		u64 value;                                                                        \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(value)::"memory");                   \
		return value;                                                                     \
	}                                                                                         \
	static inline void write_cr##n(u64 value)                                                 \
	{                                                                                         \
		__asm__ volatile("mov %0, %%cr" #n ::"r"(value) : "memory");                      \
	}

CPU_DEFINE_CR(0)
CPU_DEFINE_CR(2)
CPU_DEFINE_CR(3)
CPU_DEFINE_CR(4)

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* xcr is 0; the caller knows that CR4.OSXSAVE is set. */
static inline u64 xgetbv(u32 xcr)
{
	u32 lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(xcr));
	return (u64)hi << 32 | lo;
}

static inline void xsetbv(u32 xcr, u64 value)
{
	__asm__ volatile("xsetbv" ::"c"(xcr), "a"((u32)value), "d"((u32)(value >> 32)));
}

static inline void cpu_relax(void)
{
	__builtin_ia32_pause();
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" ::: "memory");
}

/* Opens interrupts and waits for one; returns with them off again. */
static inline void interrupts_wait(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}
