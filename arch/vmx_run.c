/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One round trip: makes cached translations and the deadline good, enters the
 * guest, and hands the exit to the decoder. Source: Intel SDM volume 3, "VM
 * Entries" and "Information About Entering and Exiting".
 */
#include "arch/vmx.h"

#include "arch/apic.h"
#include "arch/mitigate.h"
#include "arch/lib/audit.h"

#define INVVPID_SINGLE	   1
#define EXIT_REASON_BASIC  BITS(15, 0)

/* Without VPID every entry and exit flushes linear mappings by itself. */
__attribute__((noinline)) static void flush_vpid(struct vmx_vcpu *v)
{
	struct {
		u64 vpid, address;
	} descriptor = {v->vpid, 0};

	AUDIT(AUDIT_INVVPID, v);
	if (vmx_uses(VMX_PROC2, PROC2_VPID))
		__asm__ volatile("invvpid %0, %1" ::"m"(descriptor), "r"((u64)INVVPID_SINGLE)
				 : "cc", "memory");
	v->flush_vpid = false;
}

/* One that has come already ends the entry at once, but behind the event that is
 * injected: without an entry the next event would take its place. */
static void arm_deadline(u64 deadline)
{
	u64 now = rdtsc(), ticks = deadline > now ? deadline - now : 0;

	ticks >>= vmx_caps.preemption_shift;
	if (vmx_uses(VMX_PIN, PIN_PREEMPTION_TIMER))
		vmwrite32(PREEMPTION_TIMER, MIN(ticks, 0xffffffffull));
	else
		apic_timer_arm(deadline);
}

/* The guest's IA32_SPEC_CTRL is the last MSR written before the entry, and Trivet's the first one
 * behind the exit: few of Trivet's own instructions run under the guest's. */
__attribute__((noinline)) static int entry_guarded(struct vmx_vcpu *v)
{
	bool differs = v->spec_ctrl != mitigate.spec_ctrl;
	int failed;

	if (mitigate_needs(MITIGATE_L1D))
		msr_write_safe(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	if (differs)
		msr_write_safe(MSR_SPEC_CTRL, v->spec_ctrl);
	failed = vmx_entry(v, v->launched);
	if (differs)
		msr_write_safe(MSR_SPEC_CTRL, mitigate.spec_ctrl);
	/* A wrong guess that it does not differ must not lead on either. */
	__asm__ volatile("lfence" ::: "memory");
	return failed;
}

void vmx_run(struct virt_vcpu *vcpu, u64 deadline, struct vcpu_exit *exit)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	const char *complaint;
	u32 reason;
	int failed;

	exit->insn_len = 0;
	exit->in_delivery = false;
	v->vectoring_info = 0;
	arm_deadline(deadline);
	AUDIT(AUDIT_RUN, vcpu);
	if (v->flush_vpid)
		flush_vpid(v);
	if (v->generation != __atomic_load_n(&v->vm->ept.generation, __ATOMIC_ACQUIRE))
		ept_flush(v);
	if (v->cache_dirty)
		vmx_state_write_back(v);
	complaint = AUDIT_HOT(AUDIT_ENTRY, vcpu);
	if (complaint) {
		*exit = (struct vcpu_exit){.reason = EXIT_ENTRY_FAILED,
					   .failed.reason = complaint};
		return;
	}
	failed = v->guarded ? entry_guarded(v) : vmx_entry(v, v->launched);
	AUDIT(AUDIT_EXIT, vcpu);
	v->cache_valid = 0;
	if (failed) {
		vmx_error_entry(v, failed == 2 ? vmread32(INSTRUCTION_ERROR) : 0, exit);
		return;
	}
	reason = vmread32(EXIT_REASON);
	if (reason & EXIT_REASON_FAILED) {
		vmx_error_entry(v, reason, exit);
		return;
	}
	v->launched = true;
	if (v->pml && v->vm->logs)
		vmx_dirty_drain(v);
	vmx_exit_decode(v, reason & EXIT_REASON_BASIC, exit);
}
