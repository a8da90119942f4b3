/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC that has one vector.
 */
#include "tests/unit/fake_lapic.h"

int fake_lapic_vector = -1, fake_lapic_taken = -1;
bool fake_lapic_extint = true;

int lapic_pending(struct vcpu *vcpu)
{
	return fake_lapic_vector;
}

void lapic_ack(struct vcpu *vcpu, u8 vector)
{
	fake_lapic_taken = vector;
	fake_lapic_vector = -1;
}

bool lapic_takes_extint(const struct vcpu *vcpu)
{
	return fake_lapic_extint;
}

bool lapic_boots(const struct vcpu *vcpu)
{
	return true;
}

void lapic_reset(struct vcpu *vcpu, bool init)
{
}

bool lapic_read_msr(struct vcpu *vcpu, u32 index, u64 *value)
{
	return false;
}

bool lapic_write_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	return false;
}
