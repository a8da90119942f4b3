/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX operation on one CPU: the feature control MSR, the fixed bits of CR0 and
 * CR4, VMXON and VMXOFF. Source: Intel SDM volume 3, "Enabling and Entering VMX
 * Operation" and "Restrictions on VMX Operation".
 */
#include "arch/vmx.h"

#include "arch/percpu.h"

static bool vmxon(hpa_t region)
{
	bool failed;

	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region.v) : "memory");
	return !failed;
}

static int unlock_vmx(char *why, size_t size)
{
	u64 control;

	if (msr_read_safe(MSR_FEATURE_CONTROL, &control))
		return 0; /* not implemented: nothing locks VMX */
	if (!(control & FEATURE_CONTROL_LOCK)) {
		control |= FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
		if (msr_write_safe(MSR_FEATURE_CONTROL, control))
			control = 0;
	}
	if (control & FEATURE_CONTROL_VMX)
		return 0;
	str_format(why, size, "IA32_FEATURE_CONTROL is %lxh and does not allow VMXON", control);
	return -ENODEV;
}

int vmx_cpu_enable(char *why, size_t size)
{
	struct pcpu *pcpu = this_pcpu();
	u32 *region;

	if (unlock_vmx(why, size))
		return -ENODEV;
	region = pages_alloc(1);
	if (!region) {
		str_format(why, size, "no memory for its VMXON region");
		return -ENOMEM;
	}
	write_cr0((read_cr0() | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1);
	write_cr4((read_cr4() | vmx_caps.cr4_fixed0 | CR4_VMXE) & vmx_caps.cr4_fixed1);
	region[0] = FIELD_GET(VMX_BASIC_REVISION, vmx_caps.basic);
	if (!vmxon(virt_to_phys(region))) {
		write_cr4(read_cr4() & ~CR4_VMXE);
		pages_free(region, 1);
		str_format(why, size, "VMXON failed");
		return -ENODEV;
	}
	pcpu->virt = region;
	return 0;
}

void vmx_cpu_disable(void)
{
	struct pcpu *pcpu = this_pcpu();

	if (!pcpu->virt)
		return;
	__asm__ volatile("vmxoff" ::: "cc", "memory");
	write_cr4(read_cr4() & ~CR4_VMXE);
	pages_free(pcpu->virt, 1);
	pcpu->virt = NULL;
}
