/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stays in the CPU while a vCPU is loaded, all of it the guest's to write: when the vCPU is
 * loaded again it is what it was as the vCPU was put, whoever ran in between; and who enters
 * the guest has its own VMCS current. Of the FPU and vector registers a sum is kept.
 * Source: Intel SDM volume 1, "Operation of XSAVE"; volume 3, "Software Use of Virtual-Machine
 * Control Structures".
 */
#include "tests/paranoid/paranoid.h"

#include "arch/lib/string.h"
#include "arch/vmx.h"

enum { SWITCHED_CR2 = SWITCHED_COUNT, SWITCHED_DR0, SWITCHED_DR6 = SWITCHED_DR0 + 4, SWITCHED_XCR0,
       SWITCHED_FPU, SWITCHED_ALL };

static const char *const names[SWITCHED_ALL] = {
	[SWITCHED_CR2] = "CR2", [SWITCHED_DR0] = "DR0", "DR1", "DR2", "DR3", "DR6", "XCR0",
	"the sum of FPU and vector registers",
};

static struct kept {
	const struct virt_vcpu *vcpu;
	u64 value[SWITCHED_ALL];
} kept[512];

#define FPU_AREA   4096
#define XSTATE_BV  (512 / 8) /* the header's first word: which components are not as at first */

/* All that a guest can have; a component that is as at first may be told so or not. */
static u64 sum_fpu(void)
{
	static u64 area[PCPU_MAX][FPU_AREA / 8] __attribute__((aligned(64)));
	static u64 all; /* of XCR0 */
	u64 *at = area[this_pcpu()->id], sum = 0, xcr0;

	if (read_cr4() & CR4_OSXSAVE) {
		all = all ?: cpuid(0xd, 0).eax & XCR0_GUEST;
		xcr0 = xgetbv(0);
		xsetbv(0, all);
		__asm__ volatile("xsave64 (%0)" ::"r"(at), "a"((u32)all), "d"((u32)(all >> 32))
				 : "memory");
		xsetbv(0, xcr0);
		at[XSTATE_BV] = 0;
	} else {
		__asm__ volatile("fxsave64 (%0)" ::"r"(at) : "memory");
	}
	for (unsigned i = 0; i < FPU_AREA / 8; i++)
		sum = (sum ^ at[i]) * 0x100000001b3ull;
	return sum;
}

static void read_all(u64 value[SWITCHED_ALL])
{
	struct vmx_vcpu debug;

	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		msr_read_safe(vmx_msr_switched[i], &value[i]);
	value[SWITCHED_CR2] = read_cr2();
	vmx_vcpu_save_debug(&debug);
	memcpy(&value[SWITCHED_DR0], debug.dr, sizeof(debug.dr));
	value[SWITCHED_DR6] = debug.dr6;
	value[SWITCHED_XCR0] = read_cr4() & CR4_OSXSAVE ? xgetbv(0) : 0;
	value[SWITCHED_FPU] = sum_fpu();
}

static struct kept *find(const struct virt_vcpu *vcpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i].vcpu == vcpu)
			return &kept[i];
	return NULL;
}

const char *switched_put(const struct virt_vcpu *vcpu)
{
	struct kept *entry = find(vcpu);
	const struct virt_vcpu *none;

	if (paranoid_own()->loaded != vcpu)
		return paranoid_say("vCPU %p is put, not %p, which is loaded", vcpu,
				    paranoid_own()->loaded);
	paranoid_own()->loaded = NULL;
	while (!entry) {
		none = NULL;
		entry = find(NULL);
		if (!entry)
			return "more vCPUs than switched.c can remember";
		if (!__atomic_compare_exchange_n(&entry->vcpu, &none, vcpu, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			entry = NULL;
	}
	read_all(entry->value);
	return NULL;
}

const char *switched_loaded(const struct virt_vcpu *vcpu)
{
	const struct kept *entry = find(vcpu);
	u64 now[SWITCHED_ALL];

	if (paranoid_own()->loaded)
		return paranoid_say("vCPU %p is loaded over %p", vcpu, paranoid_own()->loaded);
	paranoid_own()->loaded = vcpu;
	if (!entry)
		return NULL;
	read_all(now);
	for (unsigned i = 0; i < SWITCHED_ALL; i++)
		if (now[i] != entry->value[i])
			return i < SWITCHED_COUNT ?
				paranoid_say("MSR %xh of vCPU %p is %lx, was put as %lx",
					     vmx_msr_switched[i], vcpu, now[i], entry->value[i]) :
				paranoid_say("%s of vCPU %p is %lx, was put as %lx", names[i], vcpu,
					     now[i], entry->value[i]);
	return NULL;
}

const char *switched_entry(const struct virt_vcpu *vcpu)
{
	hpa_t vmcs;

	__asm__ volatile("vmptrst %0" : "=m"(vmcs.v)::"cc");
	if (paranoid_own()->loaded != vcpu)
		return paranoid_say("vCPU %p is entered, %p loaded", vcpu, paranoid_own()->loaded);
	if (vmcs.v != virt_to_phys(((const struct vmx_vcpu *)vcpu)->vmcs).v)
		return paranoid_say("vCPU %p is entered with the VMCS at %lx", vcpu, vmcs.v);
	return NULL;
}

void switched_forget(const void *pages)
{
	struct kept *entry = pages ? find(pages) : NULL;

	if (entry)
		__atomic_store_n(&entry->vcpu, NULL, __ATOMIC_RELEASE);
}
