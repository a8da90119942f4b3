/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: CPUID tells the guest what works. Under Trivet: the hypervisor bit, the
 * KVM signature at 40000000h, Trivet's leaf at 40000100h, the TSC's frequency, the same one in
 * each place, no VMX, no MONITOR, no local APIC while there is none (then MSR 1Bh is #GP). On any
 * machine OSXSAVE follows CR4 and the leaves agree on the APIC id.
 * SDM volume 2, CPUID; KVM's "CPUID leaves" document.
 */
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

#define CPUID1_ECX_MONITOR BIT(3)
#define CPUID1_ECX_VMX	   BIT(5)
#define CPUID1_ECX_PDCM	   BIT(15)
#define CPUID1_ECX_XSAVE   BIT(26)
#define CPUID1_ECX_OSXSAVE BIT(27)
#define CPUID1_EDX_APIC	   BIT(9)
#define KVM_FEATURES                                                                              \
	(ABI_KVM_CLOCKSOURCE | ABI_KVM_CLOCKSOURCE2 | ABI_KVM_STEAL_TIME | ABI_KVM_PV_EOI |       \
	 ABI_KVM_PV_UNHALT | ABI_KVM_PV_SEND_IPI | ABI_KVM_PV_SCHED_YIELD |                       \
	 ABI_KVM_CLOCKSOURCE_STABLE)
#define CPUID7_EBX_HLE_RTM (BIT(4) | BIT(11))

static void osxsave_follows_cr4(void)
{
	unsigned long cr4 = cr4_read();

	if (!(cpuid(1, 0).ecx & CPUID1_ECX_XSAVE)) {
		test_equal("osxsave-fault", TRY_CR_WRITE(4, cr4 | CR4_OSXSAVE), TRAP_GP);
		return;
	}
	cr4_write(cr4 | CR4_OSXSAVE);
	CHECK("osxsave-set", cpuid(1, 0).ecx & CPUID1_ECX_OSXSAVE);
	cr4_write(cr4);
	CHECK("osxsave-clear", !(cpuid(1, 0).ecx & CPUID1_ECX_OSXSAVE));
}

static void hypervisor_leaves(void)
{
	struct cpuid kvm = cpuid(ABI_CPUID_KVM, 0), own = cpuid(ABI_CPUID_TRIVET, 0);

	CHECK("hypervisor-bit", cpu_has_hypervisor());
	CHECK("kvm-signature", !memcmp(&kvm.ebx, ABI_CPUID_KVM_NAME, 12));
	CHECK("kvm-highest-leaf", kvm.eax >= ABI_CPUID_KVM + 1 && kvm.eax < ABI_CPUID_TRIVET);
	test_equal("kvm-features", cpuid(ABI_CPUID_KVM + 1, 0).eax, KVM_FEATURES);
	CHECK("trivet-signature", !memcmp(&own.ebx, ABI_CPUID_TRIVET_NAME, 12));
	CHECK("trivet-highest-leaf",
	      own.eax >= ABI_CPUID_TRIVET && own.eax < ABI_CPUID_TRIVET + 0x100);
}

static void hidden_features(void)
{
	struct cpuid one = cpuid(1, 0);
	u64 value;

	CHECK("vmx-hidden", !(one.ecx & CPUID1_ECX_VMX));
	CHECK("monitor-hidden", !(one.ecx & CPUID1_ECX_MONITOR));
	CHECK("pdcm-hidden", !(one.ecx & CPUID1_ECX_PDCM));
	if (cpuid(0, 0).eax >= 7)
		CHECK("hle-rtm-hidden", !(cpuid(7, 0).ebx & CPUID7_EBX_HLE_RTM));
	if (cpuid(0, 0).eax >= 10)
		test_equal("pmu-version", cpuid(10, 0).eax & 0xff, 0);
	if (one.edx & CPUID1_EDX_APIC)
		test_equal("apic-base", try_rdmsr(MSR_APIC_BASE, &value), TRAP_NONE);
	else
		test_equal("apic-base", try_rdmsr(MSR_APIC_BASE, &value), TRAP_GP);
}

/* "Extended Topology Enumeration Leaf". */
static void topology(void)
{
	struct cpuid one = cpuid(1, 0);
	bool same = true;

	if (cpuid(0, 0).eax < 0xb || !cpuid(0xb, 0).ebx) {
		test_skip("topology", "no leaf 0Bh");
		return;
	}
	for (u32 subleaf = 0; subleaf < 2; subleaf++)
		same &= cpuid(0xb, subleaf).edx == one.ebx >> 24 &&
			(cpuid(0xb, subleaf).ecx & 0xff) == subleaf;
	CHECK("apic-id-in-both-leaves", same);
	CHECK("id-fits-its-bits", one.ebx >> 24 < 1u << cpuid(0xb, 1).eax || !cpuid(0xb, 1).ebx);
	if (!cpu_on_trivet())
		return;
	test_equal("first-level-is-threads", cpuid(0xb, 0).ecx >> 8, 1);
	test_equal("htt-with-more-than-one", one.edx >> 28 & 1, (one.ebx >> 16 & 0xff) > 1);
}

static void clocks(void)
{
	struct cpuid kvm = cpuid(ABI_CPUID_KVM + 0x10, 0), clock = cpuid(0x15, 0);
	u64 tsc = pit_wait_us(50000), khz = div64(tsc, 50, NULL);

	CHECK("tsc-khz", kvm.eax > khz - khz / 64 && kvm.eax < khz + khz / 64);
	CHECK("apic-timer-khz", kvm.ebx && kvm.ebx <= kvm.eax);
	if (cpuid(0, 0).ecx != 0x6c65746e) {
		test_skip("leaf-15h", "not GenuineIntel");
		return;
	}
	CHECK("leaf-15h", cpuid(0, 0).eax >= 0x15 && clock.eax && clock.ebx && clock.ecx);
	test_equal("leaf-15h-tsc", div64(div64((u64)clock.ecx * clock.ebx, clock.eax, NULL), 1000, NULL),
		   kvm.eax);
	test_equal("leaf-15h-crystal", clock.ecx / 1000, kvm.ebx);
}

void test_main(void)
{
	struct cpuid beyond;

	CHECK("leaf-0", cpuid(0, 0).eax >= 1);
	CHECK("leaf-80000000", cpuid(0x80000000, 0).eax >= 0x80000008);
	CHECK("long-mode", cpuid(0x80000001, 0).edx & BIT(29));
	osxsave_follows_cr4();
	topology();
	if (!cpu_on_trivet()) {
		test_skip("trivet", "runs bare");
		return;
	}
	hypervisor_leaves();
	hidden_features();
	clocks();
	beyond = cpuid(0x50000000, 0);
	print("cpuid 50000000h: %x %x %x %x\n", beyond.eax, beyond.ebx, beyond.ecx, beyond.edx);
}
