/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events into the guest and back: injection at the next entry, the event that
 * an exit interrupted, windows, and stepping over an instruction that Trivet
 * executed. Source: Intel SDM volume 3, "Event Injection", "Information for VM
 * Exits That Occur During Event Delivery", "Guest Non-Register State".
 */
#include "arch/vmx.h"

/* Interruption types by event type, and back. */
static const u8 type_of_event[] = {
	[EVENT_INTERRUPT] = INTR_TYPE_EXTERNAL, [EVENT_NMI] = INTR_TYPE_NMI,
	[EVENT_EXCEPTION] = INTR_TYPE_HARDWARE, [EVENT_SOFT_INTERRUPT] = INTR_TYPE_SOFT_INT,
	[EVENT_ICEBP] = INTR_TYPE_ICEBP, [EVENT_SOFT_EXCEPTION] = INTR_TYPE_SOFT_EXCEPTION,
};

static const u8 event_of_type[8] = {
	[INTR_TYPE_EXTERNAL] = EVENT_INTERRUPT, [INTR_TYPE_NMI] = EVENT_NMI,
	[INTR_TYPE_HARDWARE] = EVENT_EXCEPTION, [INTR_TYPE_SOFT_INT] = EVENT_SOFT_INTERRUPT,
	[INTR_TYPE_ICEBP] = EVENT_ICEBP, [INTR_TYPE_SOFT_EXCEPTION] = EVENT_SOFT_EXCEPTION,
};

_Static_assert(SHADOW_STI == INTERRUPTIBILITY_STI && SHADOW_MOV_SS == INTERRUPTIBILITY_MOV_SS &&
		       SHADOW_NMI == INTERRUPTIBILITY_NMI,
	       "the bits of the VMCS field");

static bool in_64bit_mode(void)
{
	return (vmread64(GUEST_EFER) & EFER_LMA) && (vmread32(GUEST_CS_ACCESS) & ACCESS_L);
}

bool vmx_event_skip(struct virt_vcpu *vcpu, unsigned insn_len)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u64 old = vmx_state_cached(v, CACHED_RIP), rip = old + insn_len;
	u64 flags = vmx_state_cached(v, CACHED_RFLAGS);
	u64 shadow = vmx_state_cached(v, CACHED_INTERRUPTIBILITY);
	bool valid = true;

	/* Only an instruction at the end of a 4 GiB or canonical range gets here. */
	if ((old ^ rip) >> 32) {
		if (!in_64bit_mode())
			rip = (u32)rip;
		else if (!address_canonical(rip)) {
			/* The entry would refuse such a RIP: the guest gets its #GP with
			 * the address folded into the canonical range. */
			rip = (u64)((s64)(rip << 16) >> 16);
			valid = false;
		}
	}
	vmwrite(GUEST_RIP, rip);
	v->cache[CACHED_RIP] = rip;
	v->cache_dirty &= ~BIT(CACHED_RIP);
	if (shadow & INTERRUPTIBILITY_SHADOWS)
		vmx_state_cache(v, CACHED_INTERRUPTIBILITY, shadow & ~INTERRUPTIBILITY_SHADOWS);
	if (flags & (RFLAGS_TF | RFLAGS_RF)) {
		vmx_state_cache(v, CACHED_RFLAGS, flags & ~RFLAGS_RF);
		if (flags & RFLAGS_TF)
			vmwrite(GUEST_PENDING_DEBUG,
				vmread(GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
	}
	return valid;
}

void vmx_event_inject(struct virt_vcpu *vcpu, const struct vcpu_event *event)
{
	u32 info = FIELD_PREP(INTR_INFO_VECTOR, event->vector) |
		   FIELD_PREP(INTR_INFO_TYPE, type_of_event[event->type]) | INTR_INFO_VALID;

	/* "VM-Entry Injection of NMI": not while the interrupted one still blocks. */
	if (event->type == EVENT_NMI && (vmx_event_shadow(vcpu) & SHADOW_NMI))
		vmx_state_cache(to_vmx(vcpu), CACHED_INTERRUPTIBILITY,
				vmx_state_cached(to_vmx(vcpu), CACHED_INTERRUPTIBILITY) &
					~(u64)INTERRUPTIBILITY_NMI);
	/* Real mode has no error codes: "VM-Entry Interruption-Information Field". */
	if (event->has_error && (vmread(GUEST_CR0) & CR0_PE)) {
		info |= INTR_INFO_ERROR;
		vmwrite32(ENTRY_EXCEPTION_ERROR, event->error);
	}
	if (event->type >= EVENT_SOFT_INTERRUPT)
		vmwrite32(ENTRY_INSN_LENGTH, event->insn_len);
	/* Few of them may come in HLT: "Checks on Guest Non-Register State". */
	if (event->type >= EVENT_EXCEPTION)
		vmwrite32(GUEST_ACTIVITY, 0);
	vmwrite32(ENTRY_INTR_INFO, info);
}

void vmx_event_from_info(u32 info, u32 error, u32 insn_len, struct vcpu_event *event)
{
	*event = (struct vcpu_event){
		.type = event_of_type[FIELD_GET(INTR_INFO_TYPE, info)],
		.vector = FIELD_GET(INTR_INFO_VECTOR, info),
		.has_error = info & INTR_INFO_ERROR,
		.insn_len = insn_len,
		.error = info & INTR_INFO_ERROR ? error : 0,
	};
}

bool vmx_event_undelivered(struct virt_vcpu *vcpu, struct vcpu_event *event)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 info = v->vectoring_info;

	if (!(info & INTR_INFO_VALID))
		return false;
	v->vectoring_info = 0;
	vmx_event_from_info(info, v->vectoring_error, v->vectoring_length, event);
	return true;
}

unsigned vmx_event_shadow(struct virt_vcpu *vcpu)
{
	u64 state = vmx_state_cached(to_vmx(vcpu), CACHED_INTERRUPTIBILITY);

	return (state & (SHADOW_STI | SHADOW_MOV_SS | SHADOW_NMI)) |
	       (vmread(GUEST_PENDING_DEBUG) ? SHADOW_DEBUG : 0);
}

void vmx_event_window(struct virt_vcpu *vcpu, enum virt_window window, bool on)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 bit = window == WINDOW_INTERRUPT ? PROC_INTERRUPT_WINDOW : PROC_NMI_WINDOW;
	u32 controls = on ? v->proc_controls | bit : v->proc_controls & ~bit;

	if (controls == v->proc_controls)
		return;
	v->proc_controls = controls;
	vmwrite32(PROC_BASED_CONTROLS, controls);
}

void vmx_event_trap(struct virt_vcpu *vcpu, unsigned traps)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	v->proc_controls &= ~(u32)(PROC_MONITOR_TRAP | PROC_MOV_DR);
	v->proc_controls |= (traps & TRAP_STEP ? PROC_MONITOR_TRAP : 0) |
			    (traps & TRAP_DR ? PROC_MOV_DR : 0);
	vmwrite32(PROC_BASED_CONTROLS, v->proc_controls);
	/* #DB and #AC can loop in microcode for ever, so both always exit. */
	vmwrite32(EXCEPTION_BITMAP, BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC) |
					    (traps & TRAP_BREAKPOINT ? BIT(VECTOR_BP) : 0));
}

void vmx_event_idle_exits(struct virt_vcpu *vcpu, bool hlt, bool pause)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	u32 controls = hlt ? v->proc_controls | PROC_HLT : v->proc_controls & ~(u32)PROC_HLT;

	vmx_vcpu_controls2(v, PROC2_PAUSE_LOOP, pause ? vmx_caps.use[VMX_PROC2] : 0);
	if (controls == v->proc_controls)
		return;
	v->proc_controls = controls;
	vmwrite32(PROC_BASED_CONTROLS, controls);
}
