/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX capabilities: reads the capability MSRs of every CPU, keeps what all of
 * them have, checks the required set by name, and computes the control words
 * that every VMCS starts with. Source: Intel SDM volume 3, appendix "VMX
 * Capability Reporting Facility".
 */
#include "arch/vmx.h"

#define CPUID_1_ECX_VMX		 BIT(5)
#define VMX_BASIC_MEMORY_TYPE	 BITS(53, 50)
#define VMX_BASIC_TRUE_CONTROLS	 BIT(55)
#define VMX_MISC_PREEMPTION_RATE BITS(4, 0)

struct vmx_caps vmx_caps;

/* One control bit, or one bit of IA32_VMX_EPT_VPID_CAP, by name. */
struct capability {
	const char *name;
	enum vmx_control word;
	u32 bit;
	u64 ept_vpid_bit;
	bool required;
};

/* In the order in which a lack is reported: the most telling first. */
static const struct capability capabilities[] = {
	{"secondary-controls", VMX_PROC, PROC_SECONDARY, 0, true},
	{"ept", VMX_PROC2, PROC2_EPT, 0, true},
	{"unrestricted-guest", VMX_PROC2, PROC2_UNRESTRICTED, 0, true},
	{"ept-4-level", VMX_PROC2, 0, EPT_CAP_WALK_4, true},
	{"ept-write-back", VMX_PROC2, 0, EPT_CAP_WB, true},
	{"invept", VMX_PROC2, 0, EPT_CAP_INVEPT | EPT_CAP_INVEPT_ONE, true},
	{"external-interrupt-exit", VMX_PIN, PIN_EXTERNAL_INTERRUPT, 0, true},
	{"nmi-exit", VMX_PIN, PIN_NMI, 0, true},
	{"interrupt-window", VMX_PROC, PROC_INTERRUPT_WINDOW, 0, true},
	{"tsc-offset", VMX_PROC, PROC_TSC_OFFSET, 0, true},
	{"hlt-exit", VMX_PROC, PROC_HLT, 0, true},
	{"mwait-exit", VMX_PROC, PROC_MWAIT, 0, true},
	{"monitor-exit", VMX_PROC, PROC_MONITOR, 0, true},
	{"rdpmc-exit", VMX_PROC, PROC_RDPMC, 0, true},
	{"cr8-exit", VMX_PROC, PROC_CR8_LOAD | PROC_CR8_STORE, 0, true},
	{"io-exit", VMX_PROC, PROC_UNCONDITIONAL_IO, 0, true},
	{"host-long-mode", VMX_EXIT, EXIT_CTL_HOST_LONG, 0, true},
	{"acknowledge-on-exit", VMX_EXIT, EXIT_CTL_ACKNOWLEDGE, 0, true},
	{"exit-efer", VMX_EXIT, EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER, 0, true},
	{"entry-efer", VMX_ENTRY, ENTRY_CTL_LOAD_EFER, 0, true},
	{"exit-debug", VMX_EXIT, EXIT_CTL_SAVE_DEBUG, 0, true},
	{"entry-debug", VMX_ENTRY, ENTRY_CTL_LOAD_DEBUG, 0, true},
	{"mov-dr-exit", VMX_PROC, PROC_MOV_DR, 0, true},
	{"virtual-nmi", VMX_PIN, PIN_VIRTUAL_NMI, 0, false},
	{"monitor-trap", VMX_PROC, PROC_MONITOR_TRAP, 0, false},
	{"preemption-timer", VMX_PIN, PIN_PREEMPTION_TIMER, 0, false},
	{"timer-save", VMX_EXIT, EXIT_CTL_SAVE_TIMER, 0, false},
	{"msr-bitmap", VMX_PROC, PROC_MSR_BITMAP, 0, false},
	{"vpid", VMX_PROC2, PROC2_VPID, EPT_CAP_INVVPID | EPT_CAP_INVVPID_ONE, false},
	{"rdtscp", VMX_PROC2, PROC2_RDTSCP, 0, false},
	{"invpcid", VMX_PROC2, PROC2_INVPCID, 0, false},
	{"wbinvd-exit", VMX_PROC2, PROC2_WBINVD, 0, false},
	{"encls-exit", VMX_PROC2, PROC2_ENCLS, 0, false},
	{"xsaves", VMX_PROC2, PROC2_XSAVES, 0, false},
	{"exit-pat", VMX_EXIT, EXIT_CTL_SAVE_PAT | EXIT_CTL_LOAD_PAT, 0, false},
	{"entry-pat", VMX_ENTRY, ENTRY_CTL_LOAD_PAT, 0, false},
	{"2m-pages", VMX_PROC2, 0, EPT_CAP_2M, false},
	{"1g-pages", VMX_PROC2, 0, EPT_CAP_1G, false},
	{"ept-ad", VMX_PROC2, 0, EPT_CAP_AD, false},
	{"pml", VMX_PROC2, PROC2_PML, 0, false},
	{"pause-loop-exit", VMX_PROC2, PROC2_PAUSE_LOOP, 0, false},
	{"tpr-shadow", VMX_PROC, PROC_TPR_SHADOW, 0, false},
	{"apic-access", VMX_PROC2, PROC2_APIC_ACCESS, 0, false},
	{"x2apic-virtualization", VMX_PROC2, PROC2_X2APIC, 0, false},
	{"apic-registers", VMX_PROC2, PROC2_APIC_REGISTERS, 0, false},
	{"virtual-interrupts", VMX_PROC2, PROC2_VIRTUAL_INTERRUPTS, 0, false},
};

#define UNARMED_MOST 16

static bool refused[ARRAY_SIZE(capabilities)]; /* turned off by no= */
static struct virt_feature features[ARRAY_SIZE(capabilities)];

static bool one_of(const struct capability *cap, u32 proc2_bits)
{
	return cap->word == VMX_PROC2 && (cap->bit & proc2_bits);
}

static bool capability_present(const struct capability *cap)
{
	if (cap->bit && (vmx_caps.may[cap->word] & cap->bit) != cap->bit)
		return false;
	return (vmx_caps.ept_vpid & cap->ept_vpid_bit) == cap->ept_vpid_bit;
}

/* Recomputes the words in use from the common set and what was refused. */
static void compute_use(void)
{
	memcpy(vmx_caps.use, vmx_caps.must, sizeof(vmx_caps.use));
	vmx_caps.ept_vpid_use = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++) {
		const struct capability *cap = &capabilities[i];

		features[i].name = cap->name;
		features[i].present = capability_present(cap);
		features[i].used = features[i].present && !refused[i];
		/* Its row comes before theirs. */
		if ((one_of(cap, PROC2_APIC) && !vmx_uses(VMX_PROC, PROC_TPR_SHADOW)) ||
		    (cap->bit == EXIT_CTL_SAVE_TIMER && !vmx_uses(VMX_PIN, PIN_PREEMPTION_TIMER)))
			features[i].used = false;
		if (!features[i].used)
			continue;
		vmx_caps.use[cap->word] |= cap->bit;
		vmx_caps.ept_vpid_use |= cap->ept_vpid_bit;
	}
	vmx_caps.unarmed = vmx_uses(VMX_EXIT, EXIT_CTL_SAVE_TIMER) ? UNARMED_MOST : 1;
	/* Requested at run time only. */
	vmx_caps.use[VMX_PROC] &= ~(u32)(PROC_INTERRUPT_WINDOW | PROC_MOV_DR | PROC_MONITOR_TRAP);
	/* CR8 is the shadow's. */
	if (vmx_uses(VMX_PROC, PROC_TPR_SHADOW))
		vmx_caps.use[VMX_PROC] &= ~(u32)(PROC_CR8_LOAD | PROC_CR8_STORE);
}

static void join_this_cpu(void)
{
	static const u32 plain[] = {MSR_VMX_PINBASED_CTLS, MSR_VMX_PROCBASED_CTLS,
				    MSR_VMX_PROCBASED_CTLS2, MSR_VMX_EXIT_CTLS,
				    MSR_VMX_ENTRY_CTLS};
	static const u32 exact[] = {MSR_VMX_TRUE_PINBASED_CTLS, MSR_VMX_TRUE_PROCBASED_CTLS,
				    MSR_VMX_PROCBASED_CTLS2, MSR_VMX_TRUE_EXIT_CTLS,
				    MSR_VMX_TRUE_ENTRY_CTLS};
	u64 basic = rdmsr(MSR_VMX_BASIC), ept_vpid = 0;
	const u32 *msrs = basic & VMX_BASIC_TRUE_CONTROLS ? exact : plain;

	if (vmx_caps.cpus++ == 0) {
		memset(vmx_caps.may, 0xff, sizeof(vmx_caps.may));
		vmx_caps.basic = basic;
		vmx_caps.ept_vpid = ~0ull;
		vmx_caps.cr0_fixed1 = vmx_caps.cr4_fixed1 = ~0ull;
	}
	for (unsigned word = 0; word < VMX_CONTROLS; word++) {
		u64 value = 0; /* bits 31:0 must be 1, bits 63:32 may be 1 */

		/* The secondary word exists only where the primary one can turn it on. */
		if (word != VMX_PROC2 || (vmx_caps.may[VMX_PROC] & PROC_SECONDARY))
			msr_read_safe(msrs[word], &value);
		vmx_caps.must[word] |= (u32)value;
		vmx_caps.may[word] &= (u32)(value >> 32);
	}
	if (vmx_caps.may[VMX_PROC2] & (PROC2_EPT | PROC2_VPID))
		msr_read_safe(MSR_VMX_EPT_VPID_CAP, &ept_vpid);
	vmx_caps.ept_vpid &= ept_vpid;
	vmx_caps.cr0_fixed0 |= rdmsr(MSR_VMX_CR0_FIXED0);
	vmx_caps.cr0_fixed1 &= rdmsr(MSR_VMX_CR0_FIXED1);
	vmx_caps.cr4_fixed0 |= rdmsr(MSR_VMX_CR4_FIXED0);
	vmx_caps.cr4_fixed1 &= rdmsr(MSR_VMX_CR4_FIXED1);
}

/* One line for each lack; without the nested tables their details say nothing. */
static int check_required(char *why, size_t size)
{
	bool nested = vmx_caps.may[VMX_PROC2] & PROC2_EPT;
	size_t used = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(capabilities) && used < size; i++) {
		const struct capability *cap = &capabilities[i];

		if (cap->required && !features[i].present && (nested || !cap->ept_vpid_bit))
			used += str_format(why + used, size - used,
					   "%sthe CPU's VMX lacks %s, which Trivet needs",
					   used ? "\n" : "", cap->name);
	}
	if (used == 0 && FIELD_GET(VMX_BASIC_MEMORY_TYPE, vmx_caps.basic) != MEMORY_TYPE_WB)
		used = str_format(why, size, "the CPU's VMX wants a VMCS in uncached memory");
	return used ? -ENODEV : 0;
}

int vmx_caps_probe(char *why, size_t size)
{
	struct vmx_caps before = vmx_caps;
	u64 control, basic, misc;
	unsigned shift;
	int error;

	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_VMX)) {
		str_format(why, size,
			   "the CPU has no VMX (CPUID leaf 1 ECX bit 5 is 0); Trivet needs a CPU "
			   "with Intel VT-x, or nested virtualization switched on");
		return -ENODEV;
	}
	msr_read_safe(MSR_FEATURE_CONTROL, &control);
	if ((control & FEATURE_CONTROL_LOCK) && !(control & FEATURE_CONTROL_VMX)) {
		str_format(why, size,
			   "the firmware locked VMX off (IA32_FEATURE_CONTROL is %lxh); switch on "
			   "VT-x or virtualization in the firmware's setup",
			   control);
		return -ENODEV;
	}
	basic = rdmsr(MSR_VMX_BASIC);
	misc = rdmsr(MSR_VMX_MISC);
	shift = FIELD_GET(VMX_MISC_PREEMPTION_RATE, misc);
	if (vmx_caps.cpus && (FIELD_GET(VMX_BASIC_REVISION, basic ^ vmx_caps.basic) ||
			      shift != vmx_caps.preemption_shift)) {
		str_format(why, size, "its VMCS revision or timer rate differs from the boot CPU's");
		return -ENODEV;
	}
	vmx_caps.preemption_shift = shift;
	vmx_caps.misc = misc;
	vmx_caps.physical_limit = cpu_physical_limit();
	vmx_caps.linear_bits = MAX(cpuid(0x80000008, 0).eax >> 8 & 0xff, 48u);
	join_this_cpu();
	compute_use();
	error = check_required(why, size);
	/* A core that cannot run guests takes nothing from what the others use. */
	if (error && before.cpus) {
		vmx_caps = before;
		compute_use();
	}
	return error;
}

int vmx_caps_disable(const char *name)
{
	u32 group = strcmp(name, "apicv") ? 0 : PROC2_APICV;
	int error = -ENOENT;

	for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++) {
		const struct capability *cap = &capabilities[i];

		if (cap->required || (strcmp(cap->name, name) && !one_of(cap, group)))
			continue;
		refused[i] = true;
		error = 0;
	}
	compute_use();
	return error;
}

const struct virt_feature *vmx_caps_features(unsigned *count)
{
	*count = ARRAY_SIZE(features);
	return features;
}
