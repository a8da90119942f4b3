/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A debugger's hold on a vCPU: single steps, breakpoints, and the debug
 * registers, which are the guest's or the debugger's. Source: Intel SDM volume
 * 3, "Debug Registers" and "Debug Exceptions".
 */
#include "vmm/vcpu.h"

#include "arch/cpu.h"
#include "vmm/cr.h"
#include "vmm/inject.h"

#define DR6_FIXED    0xffff0ff0u
#define DR6_WRITABLE (BITS(3, 0) | BITS(15, 13))
#define DR6_BREAK    BITS(3, 0)
#define DR6_BD	     BIT(13)
#define DR6_BS	     BIT(14)
#define DR7_FIXED    BIT(10)
#define DR7_WRITABLE (BITS(9, 0) | DR7_GD | BITS(31, 16))
#define DR7_GD	     BIT(13)

/* Without a monitor trap a step is made by RFLAGS.TF, which is set only while the guest runs. */
static bool steps_by_flag(const struct vcpu *vcpu)
{
	return (vcpu->debug.flags & VCPU_DEBUG_STEP) && !virt_supports("monitor-trap");
}

static bool owns_registers(const struct vcpu *vcpu)
{
	return (vcpu->debug.flags & VCPU_DEBUG_HARDWARE) || steps_by_flag(vcpu);
}

static void read_cpu(struct vcpu *vcpu, struct vcpu_debugregs *regs)
{
	for (unsigned i = 0; i < 4; i++)
		regs->dr[i] = virt->get(vcpu->virt, VREG_DR0 + i);
	regs->dr6 = virt->get(vcpu->virt, VREG_DR6);
	regs->dr7 = virt->get(vcpu->virt, VREG_DR7);
}

/* Gives the guest its registers, and the CPU those of whoever has it. */
static void put(struct vcpu *vcpu, const struct vcpu_debugregs *guest)
{
	const struct vcpu_debug *debug = &vcpu->debug;
	bool owned = owns_registers(vcpu);
	unsigned traps = owned ? TRAP_DR : 0;

	vcpu->guest_dr = *guest;
	for (unsigned i = 0; i < 4; i++)
		virt->set(vcpu->virt, VREG_DR0 + i, owned ? debug->dr[i] : guest->dr[i]);
	virt->set(vcpu->virt, VREG_DR6, owned ? DR6_FIXED : guest->dr6);
	virt->set(vcpu->virt, VREG_DR7, owned ? debug->dr7 | DR7_FIXED : guest->dr7);
	if ((debug->flags & VCPU_DEBUG_STEP) && !steps_by_flag(vcpu))
		traps |= TRAP_STEP;
	if (debug->flags & VCPU_DEBUG_SOFTWARE)
		traps |= TRAP_BREAKPOINT;
	virt->trap(vcpu->virt, traps);
}

void vcpu_get_debugregs(struct vcpu *vcpu, struct vcpu_debugregs *regs)
{
	if (owns_registers(vcpu))
		*regs = vcpu->guest_dr;
	else
		read_cpu(vcpu, regs);
}

int vcpu_set_debugregs(struct vcpu *vcpu, const struct vcpu_debugregs *regs, const char **why)
{
	if ((regs->dr6 | regs->dr7) >> 32) {
		*why = "DR6 or DR7 has bits 63:32 set";
		return -EINVAL;
	}
	put(vcpu, regs);
	return 0;
}

int vcpu_set_debug(struct vcpu *vcpu, const struct vcpu_debug *debug)
{
	struct vcpu_debugregs guest;

	if ((debug->flags & ~(VCPU_DEBUG_STEP | VCPU_DEBUG_SOFTWARE | VCPU_DEBUG_HARDWARE)) ||
	    ((debug->flags & VCPU_DEBUG_HARDWARE) && (debug->dr7 & ~(DR7_WRITABLE & ~DR7_GD))))
		return -EINVAL;
	vcpu_get_debugregs(vcpu, &guest);
	vcpu->debug = *debug;
	if (!(debug->flags & VCPU_DEBUG_HARDWARE))
		vcpu->debug.dr7 = 0;
	vcpu->leave = VCPU_SLICE;
	put(vcpu, &guest);
	return 0;
}

void vcpu_debug_reset(struct vcpu *vcpu)
{
	struct vcpu_debugregs guest;

	read_cpu(vcpu, &guest);
	put(vcpu, &guest);
}

static void stop(struct vcpu *vcpu, u8 vector, u64 dr6)
{
	vcpu->leave = VCPU_DEBUG;
	vcpu->stop = (struct vcpu_debug_stop){virt->get(vcpu->virt, VREG_RIP), vector, dr6};
}

void vcpu_debug_enter(struct vcpu *vcpu)
{
	if (!steps_by_flag(vcpu))
		return;
	virt->set(vcpu->virt, VREG_RFLAGS, virt->get(vcpu->virt, VREG_RFLAGS) | RFLAGS_TF);
	/* Behind STI or MOV SS the trap is pending already: "Pending Debug Exceptions". */
	if (virt->get(vcpu->virt, VREG_SHADOW) & (SHADOW_STI | SHADOW_MOV_SS))
		virt->set(vcpu->virt, VREG_PENDING_DEBUG, DR6_BS);
}

void vcpu_debug_leave(struct vcpu *vcpu)
{
	if (!steps_by_flag(vcpu))
		return;
	virt->set(vcpu->virt, VREG_RFLAGS, virt->get(vcpu->virt, VREG_RFLAGS) & ~RFLAGS_TF);
	virt->set(vcpu->virt, VREG_PENDING_DEBUG, 0);
}

void vcpu_debug_stepped(struct vcpu *vcpu)
{
	if (vcpu->debug.flags & VCPU_DEBUG_STEP)
		stop(vcpu, VECTOR_DB, DR6_BS);
}

bool vcpu_debug_takes(struct vcpu *vcpu, const struct vcpu_event *event)
{
	u64 cause;

	if (event->vector == VECTOR_BP && (vcpu->debug.flags & VCPU_DEBUG_SOFTWARE)) {
		stop(vcpu, VECTOR_BP, 0);
		return true;
	}
	if (event->vector != VECTOR_DB || event->type != EVENT_EXCEPTION || !owns_registers(vcpu))
		return false;
	cause = virt->get(vcpu->virt, VREG_DR6) & DR6_WRITABLE;
	virt->set(vcpu->virt, VREG_DR6, DR6_FIXED);
	if (!(cause & DR6_BREAK) && !steps_by_flag(vcpu)) {
		vcpu->guest_dr.dr6 |= cause;
		return false;
	}
	stop(vcpu, VECTOR_DB, cause);
	return true;
}

static void write_dr(struct vcpu *vcpu, unsigned dr, u64 value)
{
	struct vcpu_debugregs *guest = &vcpu->guest_dr;

	if (dr < 4)
		guest->dr[dr] = value;
	else if (dr == 6)
		guest->dr6 = (value & DR6_WRITABLE) | DR6_FIXED;
	else
		guest->dr7 = (value & DR7_WRITABLE) | DR7_FIXED;
}

void vcpu_debug_mov_dr(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct vcpu_debugregs *guest = &vcpu->guest_dr;
	bool alias = (exit->cr.cr & 6) == 4; /* DR4 and DR5 are DR6 and DR7 without CR4.DE */
	unsigned dr = alias ? exit->cr.cr + 2 : exit->cr.cr;
	u64 value = cr_operand(vcpu, exit->cr.gpr);

	/* The exit comes before all of these. */
	if (alias && (virt->get(vcpu->virt, VREG_CR4) & CR4_DE)) {
		inject_ud(vcpu);
	} else if (vcpu_cpl(vcpu) ||
		   (exit->cr.access == CR_WRITE && dr >= 6 && value >> 32)) {
		inject_gp(vcpu);
	} else if (guest->dr7 & DR7_GD) {
		guest->dr7 &= ~DR7_GD;
		guest->dr6 |= DR6_BD;
		inject_exception(vcpu, VECTOR_DB, 0);
	} else {
		if (exit->cr.access == CR_WRITE)
			write_dr(vcpu, dr, value);
		else
			vcpu_set_gpr(vcpu, exit->cr.gpr,
				     dr < 4 ? guest->dr[dr] : dr == 6 ? guest->dr6 : guest->dr7);
		vcpu_skip(vcpu, exit);
	}
}
