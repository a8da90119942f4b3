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

bool vmx_run_arm_host(struct vmx_vcpu *v)
{
	apic_timer_arm(v->base.served.deadline);
	v->unarmed = 0; /* 2^32: that timer counts on */
	return v->base.served.deadline > rdtsc();
}

/*
 * What Trivet has set in IA32_SPEC_CTRL stays set while the guest runs, which only restricts
 * more than the guest asks for; so that is written only for a guest that has more. Then it is
 * the last MSR before the entry and the first one behind the exit.
 */
__attribute__((noinline)) static enum vmx_served entry_guarded(struct vmx_vcpu *v)
{
	bool differs = v->spec_ctrl & ~mitigate.spec_ctrl;
	enum vmx_served how;

	if (mitigate_needs(MITIGATE_L1D))
		msr_write_safe(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	if (differs)
		msr_write_safe(MSR_SPEC_CTRL, v->spec_ctrl | mitigate.spec_ctrl);
	how = vmx_entry(v, v->launched);
	if (differs)
		msr_write_safe(MSR_SPEC_CTRL, mitigate.spec_ctrl);
	/* A wrong guess that it does not differ must not lead on either. */
	__asm__ volatile("lfence" ::: "memory");
	return how;
}

void vmx_run(struct virt_vcpu *vcpu, u64 deadline, struct vcpu_exit *exit)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	const char *complaint;
	enum vmx_served how;
	u32 reason;

	exit->insn_len = 0;
	exit->in_delivery = false;
	v->vectoring_info = 0;
	v->base.served.deadline = deadline;
	v->unserved = v->base.served.off | (v->guarded ? VIRT_SERVED_OFF : 0);
	vmx_arm(v);
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
	how = v->guarded ? entry_guarded(v) : vmx_entry(v, v->launched);
	v->cache_valid = 0;
	if (v->unserved || how >= VMX_FAIL_INVALID)
		AUDIT(AUDIT_EXIT, vcpu);
	if (how >= VMX_FAIL_INVALID) {
		vmx_error_entry(v, how == VMX_FAIL_VALID ? vmread32(INSTRUCTION_ERROR) : 0, exit);
		return;
	}
	reason = v->reason & ~VIRT_SERVED_OFF;
	if (reason & EXIT_REASON_FAILED) {
		vmx_error_entry(v, reason, exit);
		return;
	}
	v->launched = true;
	if (v->pml && v->vm->logs)
		vmx_dirty_drain(v);
	if (how == VMX_SERVED_LAST)
		exit->reason = EXIT_SERVED;
	else
		vmx_exit_decode(v, reason & EXIT_REASON_BASIC, exit);
}
