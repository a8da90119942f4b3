/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The manual's rules for VM entries, checked in software: which rule a VMCS
 * breaks, in words. Pure logic; fields come through an accessor. Covers what
 * Trivet's VMCS uses: fields of controls that it never turns on are not looked at.
 */
#pragma once

#include "arch/vmx.h"

/* How the CPU reports the breach, in the order in which it looks: VM-instruction
 * errors 7 and 8, exit reason 80000021h. */
enum vmx_check_class { VMX_CHECK_CONTROLS, VMX_CHECK_HOST, VMX_CHECK_GUEST };

/* One rule of the table; vmx_check.c explains its columns. */
struct vmx_check_rule {
	u8 class, test;
	u16 which, field;
	u64 mask, value, need, unless;
	const char *text; /* what is wrong with the field */
};
extern const struct vmx_check_rule vmx_check_rules[];
extern const unsigned vmx_check_rule_count;

/* An entry of an MSR-load area. */
struct vmx_check_msr {
	u32 index;
	u32 reserved;
	u64 value;
};

/* What is checked. */
struct vmx_check_source {
	u64 (*read)(void *arg, u32 field);
	void *arg;
	const struct vmx_caps *caps;
	const u32 *apic; /* the page of VIRTUAL_APIC_ADDRESS */
};

struct vmx_check_result {
	const struct vmx_check_rule *rule;
	u32 field; /* that breaks it, one of the rule's */
	u64 value;
};

/*
 * Finds the first rule that the VMCS breaks. True with *broken filled, false when
 * none is. Source: Intel SDM volume 3, "Checks on VMX Controls and Host-State Area",
 * "Checking and Loading Guest State", "Loading MSRs".
 */
bool vmx_check(const struct vmx_check_source *source, struct vmx_check_result *broken);

/* Why the CPU does not load an MSR at an entry, or NULL where that hangs on its value. */
const char *vmx_check_msr(const struct vmx_check_msr *msr);
