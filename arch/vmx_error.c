/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM entries that fail, in words, and the dump of a VMCS. Source: Intel SDM
 * volume 3, "VM Instruction Error Numbers" and "VM-Entry Failures During or
 * After Loading Guest State".
 */
#include "arch/vmx_check.h"

#include "arch/lib/log.h"
#include "arch/mce.h"

/* VM-instruction errors of VMLAUNCH and VMRESUME, and exit reasons. */
#define MSR_LOADING   0x80000022
#define MACHINE_CHECK 0x80000029
static const struct {
	u32 code;
	const char *words;
} failures[] = {
	{0, "no current VMCS"},
	{4, "VMLAUNCH with a VMCS that is not clear"},
	{5, "VMRESUME with a VMCS that was not launched"},
	{7, "invalid control fields"},
	{8, "invalid host-state fields"},
	{26, "events blocked by MOV SS"},
	{0x80000021, "invalid guest state"},
	{MSR_LOADING, "MSR loading failed"},
	{MACHINE_CHECK, "machine check during the entry"},
};

static const char *words(u32 code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(failures); i++)
		if (failures[i].code == code)
			return failures[i].words;
	return "a failure that the manual does not list";
}

#define VMCS_NAME(name, encoding) {#name, encoding},
static const struct {
	const char *name;
	u32 field;
} fields[] = {VMCS_FIELDS(VMCS_NAME)};

static u64 read_field(void *arg, u32 field)
{
	return vmcs_get(field);
}

/* Writes the first broken rule behind the words of v->why; false when there is none. */
static bool tell_rule(struct vmx_vcpu *v, size_t used)
{
	const struct vmx_check_source source = {read_field, NULL, &vmx_caps, v->base.apic};
	struct vmx_check_result broken;
	unsigned i = 0;

	if (!vmx_check(&source, &broken))
		return false;
	while (i + 1 < ARRAY_SIZE(fields) && fields[i].field != broken.field)
		i++;
	str_format(v->why + used, sizeof(v->why) - used, "%s (%lxh) %s", fields[i].name,
		   broken.value, broken.rule->text);
	return true;
}

/* "Loading MSRs": the exit qualification is the number of the entry, from 1. */
static void tell_msr(struct vmx_vcpu *v, size_t used, u64 entry)
{
	const struct vmx_check_msr *msr = phys_to_virt(HPA(vmread64(ENTRY_MSR_LOAD_ADDRESS)));
	const char *text;

	if (entry - 1 >= vmread32(ENTRY_MSR_LOAD_COUNT))
		return;
	msr += entry - 1;
	text = vmx_check_msr(msr);
	str_format(v->why + used, sizeof(v->why) - used,
		   "entry %lu of ENTRY_MSR_LOAD_ADDRESS, MSR %xh with %lxh, %s", entry, msr->index,
		   msr->value, text ? text : "has a value that WRMSR would not take");
}

void vmx_error_entry(struct vmx_vcpu *v, u32 code, struct vcpu_exit *exit)
{
	size_t used = str_format(v->why, sizeof(v->why), "%s: ", words(code));

	exit->reason = EXIT_ENTRY_FAILED;
	exit->failed.code = code;
	exit->failed.detail = code & EXIT_REASON_FAILED ? vmread(EXIT_QUALIFICATION) : 0;
	exit->failed.reason = v->why;
	if (code == MACHINE_CHECK)
		mce_take();
	else if (code == MSR_LOADING)
		tell_msr(v, used, exit->failed.detail);
	else if (!tell_rule(v, used))
		str_format(v->why + used, sizeof(v->why) - used, "no rule known to Trivet is broken");
}

const char *vmx_error_check(struct virt_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	vmx_state_write_back(v);
	return tell_rule(v, 0) ? v->why : NULL;
}

bool vmx_error_dump(struct virt_vcpu *vcpu, unsigned line)
{
	unsigned i = 2 * line, second = MIN(i + 1, ARRAY_SIZE(fields) - 1);
	unsigned r = 4 * (line - (ARRAY_SIZE(fields) + 1) / 2); /* behind the fields */

	if (i < ARRAY_SIZE(fields))
		log_info("  %-22s %016lx  %-22s %016lx", fields[i].name, vmcs_get(fields[i].field),
			 fields[second].name, vmcs_get(fields[second].field));
	else if (r < GPR_COUNT)
		log_info("  gpr %2u: %016lx %016lx %016lx %016lx", r, vcpu->gpr[r],
			 vcpu->gpr[r + 1], vcpu->gpr[r + 2], vcpu->gpr[r + 3]);
	else
		return false;
	return true;
}
