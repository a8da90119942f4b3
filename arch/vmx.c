/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMX back end as the rest of Trivet sees it: one table of calls.
 */
#include "arch/vmx.h"

static void flush(struct virt_vcpu *vcpu)
{
	to_vmx(vcpu)->flush_vpid = true;
}

/* With all that its vCPUs share. */
static int vm_create(struct virt_vm **vm)
{
	int error = ept_vm_create(vm);

	if (!error && (vmx_msr_filter(*vm, NULL, NULL) || vmx_apic_create(*vm))) {
		ept_vm_destroy(*vm);
		error = -ENOMEM;
	}
	return error;
}

const struct virt_ops vmx_ops = {
	.name = "VMX",
	.probe = vmx_caps_probe, .disable_feature = vmx_caps_disable, .features = vmx_caps_features,
	.cpu_enable = vmx_cpu_enable, .cpu_disable = vmx_cpu_disable,
	.vm_create = vm_create, .vm_destroy = ept_vm_destroy,
	.vm_map = ept_vm_map, .vm_unmap = ept_vm_unmap,
	.vm_dirty_log = vmx_dirty_log, .vm_dirty_take = vmx_dirty_take,
	.vm_filter_msrs = vmx_msr_filter,
	.vcpu_create = vmx_vcpu_create, .vcpu_destroy = vmx_vcpu_destroy,
	.vcpu_reset = vmx_vcpu_reset, .vcpu_load = vmx_vcpu_load, .vcpu_put = vmx_vcpu_put,
	.run = vmx_run,
	.get = vmx_state_get, .set = vmx_state_set, .get_code = vmx_state_get_code,
	.get_segment = vmx_state_get_segment, .set_segment = vmx_state_set_segment,
	.get_table = vmx_state_get_table, .set_table = vmx_state_set_table,
	.msr = vmx_msr_access,
	.fpu = vmx_vcpu_fpu, .get_fpu = vmx_vcpu_get_fpu, .set_fpu = vmx_vcpu_set_fpu,
	.skip = vmx_event_skip, .inject = vmx_event_inject, .undelivered = vmx_event_undelivered,
	.shadow = vmx_event_shadow, .window = vmx_event_window, .trap = vmx_event_trap,
	.vcpu_init = vmx_vcpu_init, .vm_apic_page = vmx_apic_page, .apic_mode = vmx_apic_mode,
	.irr_push = vmx_apic_irr_push, .isr_sync = vmx_apic_isr_sync,
	.eoi_exits = vmx_apic_eoi_exits, .tpr_threshold = vmx_apic_tpr_threshold,
	.idle_exits = vmx_event_idle_exits,
	.flush = flush, .check = vmx_error_check, .dump = vmx_error_dump,
};
