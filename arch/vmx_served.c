/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits that are served right behind the exit, by what stands in struct virt_served,
 * without the way up to vmm. Called by vmx_entry.asm, which enters the guest again at
 * once unless something else is due. Each instruction here is one of every such exit.
 */
#include "arch/vmx.h"

#include "arch/lib/audit.h"
#include "arch/trap.h"

/* Basic exit reasons. */
enum { REASON_CPUID = 10, REASON_VMCALL = 18, REASON_IO = 30, REASON_RDMSR = 31,
       REASON_WRMSR = 32, REASON_TIMER = 52 };

/* Of a field that every CPU has, while a VMCS is current: it cannot fail. */
#define READ(field)                                                                               \
	({                                                                                        \
		u64 value_;                                                                       \
		__asm__ volatile("vmread %1, %0" : "=r"(value_) : "r"((u64)VMCS_##field) : "cc"); \
		value_;                                                                           \
	})

/* Now and then. */
static __attribute__((noinline)) bool arm_again(struct vmx_vcpu *v)
{
	return vmx_arm(v);
}

/*
 * Where RIP is to go, and the guest's RFLAGS. 0 where something else is due, and for a step, a
 * shadow or a wrap, all of them rare: vmx_event_skip knows them. An EPT that has changed
 * since is taken over at the next entry by vmx_run; who cannot wait for that kicks.
 */
static inline u64 begin(struct vmx_vcpu *v, u64 *flags)
{
	u64 rip = READ(GUEST_RIP), next = rip + READ(EXIT_INSN_LENGTH);

	*flags = READ(GUEST_RFLAGS);
	/* Of a kick the interrupt is yet to come, and may wait for an entry. */
	if (pcpu_attention())
		return 0;
	if (((*flags & (RFLAGS_TF | RFLAGS_RF)) | ((rip ^ next) >> 32)) |
	    (READ(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_SHADOWS))
		return 0;
	return --v->unarmed || arm_again(v) ? next : 0;
}

static inline bool serve_cpuid(struct virt_vcpu *vcpu)
{
	u32 leaf = vcpu->gpr[GPR_RAX], subleaf = vcpu->gpr[GPR_RCX];
	const struct virt_cpuid *slot = virt_cpuid_slot(&vcpu->served, leaf, subleaf);

	if (slot->leaf != leaf || slot->subleaf != subleaf || slot->epoch != vcpu->served.epoch)
		return false;
	vcpu->gpr[GPR_RAX] = slot->regs.eax;
	vcpu->gpr[GPR_RBX] = slot->regs.ebx;
	vcpu->gpr[GPR_RCX] = slot->regs.ecx;
	vcpu->gpr[GPR_RDX] = slot->regs.edx;
	return true;
}

/* A number that nobody has. */
static inline bool serve_hypercall(struct virt_vcpu *vcpu)
{
	u32 number = vcpu->gpr[GPR_RAX];

	if (number < 64 && (vcpu->served.hypercalls & BIT(number)))
		return false;
	vcpu->gpr[GPR_RAX] = vcpu->served.unknown;
	return true;
}

/* No error code in real mode: "VM-Entry Interruption-Information Field". */
static inline void inject_gp(u64 flags)
{
	u32 info = VECTOR_GP | FIELD_PREP(INTR_INFO_TYPE, INTR_TYPE_HARDWARE) | INTR_INFO_VALID;

	if (READ(GUEST_CR0) & CR0_PE) {
		info |= INTR_INFO_ERROR;
		vmwrite32(ENTRY_EXCEPTION_ERROR, 0);
	}
	vmwrite32(ENTRY_INTR_INFO, info);
	/* What a fault saves has RF set: "Instruction-Breakpoint Exception". */
	vmwrite(GUEST_RFLAGS, flags | RFLAGS_RF);
}

static inline enum vmx_served serve_rdmsr(struct virt_vcpu *vcpu, u64 next, u64 flags)
{
	u32 index = vcpu->gpr[GPR_RCX];
	const struct virt_msr *slot = virt_msr_slot(&vcpu->served, index);

	if (slot->index != index || slot->epoch != vcpu->served.epoch)
		return VMX_UNSERVED;
	if (slot->value) {
		vcpu->gpr[GPR_RAX] = (u32)*slot->value;
		vcpu->gpr[GPR_RDX] = *slot->value >> 32;
		vmwrite(GUEST_RIP, next);
	} else {
		inject_gp(flags);
	}
	vcpu->served.exits[EXIT_RDMSR]++;
	return VMX_SERVED;
}

#ifdef PARANOID
/* As vmx_run does, for an entry that it does not see. What has given an event to deliver must not
 * come back, or that would be lost. */
static enum vmx_served audited(struct vmx_vcpu *v, enum vmx_served how)
{
	if (how != VMX_SERVED)
		return how;
	if (v->generation != __atomic_load_n(&v->vm->ept.generation, __ATOMIC_ACQUIRE))
		ept_flush(v);
	AUDIT(AUDIT_RUN, v);
	AUDIT(AUDIT_ENTRY, v);
	return VMX_SERVED;
}
#else
#define audited(v, how) (how)
#endif

HOT_PATH VMX_DIRECT enum vmx_served vmx_answered(struct vmx_vcpu *v, enum vmx_served answer)
{
	if (answer == (enum vmx_served)VIRT_UNSERVED) {
		if (v->reason == REASON_TIMER) {
			v->base.served.exits[EXIT_DEADLINE]--;
			return VMX_UNSERVED;
		}
		vmwrite(GUEST_RIP, READ(GUEST_RIP) - READ(EXIT_INSN_LENGTH));
		v->base.served.exits[v->reason == REASON_IO ? EXIT_IO : EXIT_WRMSR]--;
		return VMX_UNSERVED;
	}
	if (answer == (enum vmx_served)VIRT_INTERRUPT)
		vmwrite32(ENTRY_INTR_INFO, INTR_INFO_VALID | v->base.served.vector);
	else if (answer != (enum vmx_served)VIRT_NEW_DEADLINE)
		return answer;
	/* One that has come nevertheless ends the entry at once, behind that interrupt. */
	vmx_arm(v);
	return audited(v, VMX_SERVED);
}

HOT_PATH VMX_DIRECT enum vmx_served vmx_served(struct vmx_vcpu *v)
{
	struct virt_vcpu *vcpu = &v->base;
	struct virt_served *served = &vcpu->served;
	u32 reason = (u32)READ(EXIT_REASON) | v->unserved, q;
	u64 next, flags;

	if (!v->unserved) /* else vmx_run does, when all is Trivet's again */
		AUDIT(AUDIT_EXIT, v);
	v->reason = reason;
	if (reason == REASON_IO) {
		q = READ(EXIT_QUALIFICATION);
		if ((q & (QUALIFICATION_IO_SIZE | QUALIFICATION_IO_STRING)) ||
		    !(next = begin(v, &flags)))
			return VMX_UNSERVED;
		vcpu->served.exits[EXIT_IO]++;
		vmwrite(GUEST_RIP, next);
		v->cache_valid = 0;
		return audited(v, (enum vmx_served)served->io(served->owner, q >> 16,
							      q & QUALIFICATION_IO_IN));
	}
	if (reason == REASON_WRMSR) {
		next = begin(v, &flags);
		if (!next)
			return VMX_UNSERVED;
		vcpu->served.exits[EXIT_WRMSR]++;
		vmwrite(GUEST_RIP, next);
		v->cache_valid = 0;
		served->rflags = flags;
		return audited(v, (enum vmx_served)served->wrmsr(
					  served->owner, vcpu->gpr[GPR_RCX],
					  (u32)vcpu->gpr[GPR_RAX] | vcpu->gpr[GPR_RDX] << 32));
	}
	if (reason == REASON_RDMSR) {
		next = begin(v, &flags);
		return next ? audited(v, serve_rdmsr(vcpu, next, flags)) : VMX_UNSERVED;
	}
	if (reason == REASON_CPUID) {
		next = begin(v, &flags);
		if (!next || !serve_cpuid(vcpu))
			return VMX_UNSERVED;
		vcpu->served.exits[EXIT_CPUID]++;
	} else if (reason == REASON_VMCALL) {
		next = begin(v, &flags);
		if (!next || !serve_hypercall(vcpu))
			return VMX_UNSERVED;
		vcpu->served.exits[EXIT_HYPERCALL]++;
	} else if (reason == REASON_TIMER) {
		if (READ(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_SHADOWS)
			return VMX_UNSERVED;
		vcpu->served.exits[EXIT_DEADLINE]++;
		v->cache_valid = 0;
		served->rflags = READ(GUEST_RFLAGS);
		return audited(v, (enum vmx_served)served->timer(served->owner));
	} else {
		return VMX_UNSERVED;
	}
	vmwrite(GUEST_RIP, next);
	return audited(v, VMX_SERVED);
}
