/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC.
 */
#include "vmm/lapic.h"

bool lapic_accept(struct vcpu *vcpu, const struct apic_msg *msg)
{
	return false;
}

bool lapic_listens(const struct vcpu *vcpu)
{
	return false;
}

bool lapic_matches(const struct vcpu *vcpu, u32 dest, bool logical)
{
	return false;
}

bool lapic_enabled(const struct vcpu *vcpu)
{
	return false;
}

bool lapic_read_msr(struct vcpu *vcpu, u32 index, u64 *value)
{
	return false;
}

bool lapic_write_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	return false;
}
