/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: all registers of a CPU are its guest's alone, however often the host gives the CPU to
 * others in between. Fills general, x87, vector and debug registers, CR2 and MSRs by the word
 * `seed=`, computes with none of them for a while, compares, and that again for half a
 * second (`ms=`). Two such VMs on one core, with different seeds, must not notice each other.
 */
#include "guest/lib/boot.h"
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define TICKS_MS  100000 /* in Bochs; less on faster machines */
#define SPIN	  300000
#define AREA	  4096
#define XCR0_USED 0xe7 /* x87, SSE, AVX, AVX-512 */
#define MSR_TSC_AUX 0xc0000103
#define GPRS	  14

static u8 filled[AREA] __attribute__((aligned(64))), before[AREA] __attribute__((aligned(64))),
	after[AREA] __attribute__((aligned(64)));
static u64 gprs[GPRS], gprs_after[GPRS];
static bool xsave;
static u32 components;
static u64 seed;

static u64 value(unsigned n)
{
	u64 x = seed + n * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 32;
}

/* Addresses stay canonical, and those of breakpoints are never reached. */
static u64 address(unsigned n)
{
	return (value(n) & 0x00007ffffffffff0ull) | 0x0000600000000000ull;
}

static const u32 msrs[] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_KERNEL_GS, MSR_FS_BASE,
			   MSR_GS_BASE, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
			   MSR_TSC_AUX};

static u64 msr_value(unsigned i)
{
	bool narrow = msrs[i] == MSR_SYSENTER_CS || msrs[i] == MSR_FMASK || msrs[i] == MSR_TSC_AUX;

	return narrow ? (u32)value(20 + i) : address(20 + i);
}

static bool has_msr(unsigned i)
{
	return msrs[i] != MSR_TSC_AUX || (cpuid(0x80000001, 0).edx & BIT(27));
}

static void save(u8 *area)
{
	if (xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(components), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void fill_vectors(void)
{
	xsave = cpuid(1, 0).ecx & BIT(26);
	if (xsave) {
		cr4_write(cr4_read() | CR4_OSXSAVE);
		components = cpuid(0xd, 0).eax & XCR0_USED;
		__asm__ volatile("xsetbv" : : "c"(0), "a"(components), "d"(0));
	}
	for (unsigned i = 0; i < AREA / 8; i++)
		((u64 *)filled)[i] = value(100 + i);
	*(u64 *)filled = 0x0000000000000000ull | 0x37f;
	*(u64 *)(filled + 24) = 0x1fa0;
	memset(filled + 512, 0, 64);
	*(u64 *)(filled + 512) = components;
	if (xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(filled), "a"(components), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(filled) : "memory");
	save(before);
	CHECK("xmm-filled", !memcmp(before + 160, filled + 160, 256));
}

static void fill_others(void)
{
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1" : : "r"(address(1)), "r"(address(2)));
	__asm__ volatile("mov %0, %%dr2; mov %1, %%dr3" : : "r"(address(3)), "r"(address(4)));
	__asm__ volatile("mov %0, %%dr6; mov %1, %%dr7"
			 : : "r"(0xffff0ff0 | (value(5) & 15)), "r"(0x400 | (value(6) & 0xff)));
	cr2_write(address(7));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		if (has_msr(i))
			wrmsr(msrs[i], msr_value(i));
	for (unsigned i = 0; i < GPRS; i++)
		gprs[i] = value(50 + i);
}

#define EACH_GPR(op)                                                                              \
	op(rbx, 0) op(rdx, 1) op(rsi, 2) op(rdi, 3) op(r8, 4) op(r9, 5) op(r10, 6) op(r11, 7)     \
	op(r12, 8) op(r13, 9) op(r14, 10) op(r15, 11) op(rax, 12)
#define GPR_LOAD(r, n)  "mov gprs+8*" #n ", %%" #r "\n\t"
#define GPR_STORE(r, n) "mov %%" #r ", gprs_after+8*" #n "\n\t"

/* Nothing in it but RCX changes. */
static void spin(void)
{
	gprs_after[13] = gprs[13];
	__asm__ volatile("mov %0, %%ecx\n\t" EACH_GPR(GPR_LOAD)
			 "1: sub $1, %%ecx\n\tjnz 1b\n\t" EACH_GPR(GPR_STORE)
			 : : "i"(SPIN)
			 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
			   "r13", "r14", "r15", "memory");
}

static unsigned wrong(void)
{
	u64 dr[6];
	unsigned bad = 0;

	save(after);
	bad |= memcmp(before, after, AREA) ? 1 : 0;
	bad |= memcmp(gprs, gprs_after, sizeof(gprs)) ? 2 : 0;
	__asm__ volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
			 : "=r"(dr[0]), "=r"(dr[1]), "=r"(dr[2]), "=r"(dr[3]));
	__asm__ volatile("mov %%dr6, %0; mov %%dr7, %1" : "=r"(dr[4]), "=r"(dr[5]));
	for (unsigned i = 0; i < 4; i++)
		bad |= dr[i] != address(1 + i) ? 4 : 0;
	bad |= dr[4] != (0xffff0ff0 | (value(5) & 15)) ? 8 : 0;
	bad |= dr[5] != (0x400 | (value(6) & 0xff)) ? 16 : 0;
	bad |= cr2_read() != address(7) ? 32 : 0;
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		if (has_msr(i) && rdmsr(msrs[i]) != msr_value(i))
			bad |= 0x100u << i;
	return bad;
}

void test_main(void)
{
	u64 end = rdtsc() + boot_number("ms", 500) * TICKS_MS;
	unsigned bad = 0, rounds = 0;

	seed = boot_number("seed", 1);
	cr0_write(cr0_read() & ~CR0_EM);
	cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	fill_vectors();
	fill_others();
	for (; rdtsc() < end && !bad; rounds++) {
		spin();
		bad = wrong();
	}
	CHECK("rounds", rounds > 2);
	test_equal("registers-kept", bad, 0);
}
