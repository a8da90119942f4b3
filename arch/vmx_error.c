/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM entries that fail, in words, and the dump of a VMCS. Source: Intel SDM
 * volume 3, "VM Instruction Error Numbers" and "VM-Entry Failures During or
 * After Loading Guest State".
 */
#include "arch/vmx.h"

#include "arch/lib/log.h"

static const char *const instruction_errors[] = {
	[0] = "no current VMCS",
	[1] = "VMCALL in VMX root operation",
	[2] = "VMCLEAR with an invalid physical address",
	[3] = "VMCLEAR with the VMXON pointer",
	[4] = "VMLAUNCH with a VMCS that is not clear",
	[5] = "VMRESUME with a VMCS that was not launched",
	[6] = "VMRESUME after VMXOFF",
	[7] = "invalid control fields",
	[8] = "invalid host-state fields",
	[9] = "VMPTRLD with an invalid physical address",
	[10] = "VMPTRLD with the VMXON pointer",
	[11] = "VMPTRLD with a wrong VMCS revision",
	[12] = "VMREAD or VMWRITE of a field that does not exist",
	[13] = "VMWRITE to a read-only field",
	[15] = "VMXON in VMX root operation",
	[16] = "invalid executive-VMCS pointer",
	[17] = "executive VMCS not launched",
	[18] = "executive-VMCS pointer is not the VMXON pointer",
	[19] = "VMCALL with a VMCS that is not clear",
	[20] = "VMCALL with invalid exit-control fields",
	[22] = "VMCALL with a wrong MSEG revision",
	[23] = "VMXOFF under dual-monitor treatment",
	[24] = "VMCALL with invalid SMM-monitor features",
	[25] = "invalid execution controls in the executive VMCS",
	[26] = "events blocked by MOV SS",
	[28] = "invalid operand of INVEPT or INVVPID",
};

const char *vmx_error_instruction(u32 number)
{
	const char *text = NULL;

	if (number < ARRAY_SIZE(instruction_errors))
		text = instruction_errors[number];
	return text ? text : "an instruction error that the manual does not list";
}

const char *vmx_error_entry(u32 basic_reason)
{
	switch (basic_reason) {
	case 33:
		return "invalid guest state";
	case 34:
		return "MSR loading failed (the detail is the entry's number)";
	case 41:
		return "machine check during the entry";
	default:
		return "an entry failure that the manual does not list";
	}
}

#define VMCS_NAME(name, encoding) {#name, encoding},
static const struct {
	const char *name;
	u32 field;
} fields[] = {VMCS_FIELDS(VMCS_NAME)};

void vmx_error_dump(struct virt_vcpu *vcpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i += 2) {
		unsigned second = MIN(i + 1, ARRAY_SIZE(fields) - 1);

		log_info("  %-22s %016lx  %-22s %016lx", fields[i].name,
			 vmcs_get(fields[i].field), fields[second].name,
			 vmcs_get(fields[second].field));
	}
	for (unsigned i = 0; i < GPR_COUNT; i += 4)
		log_info("  gpr %2u: %016lx %016lx %016lx %016lx", i,
			 vcpu->gpr[i], vcpu->gpr[i + 1],
			 vcpu->gpr[i + 2], vcpu->gpr[i + 3]);
}
