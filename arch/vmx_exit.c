/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decodes a VM exit into the neutral struct vcpu_exit. Decoding only: what an
 * exit means for the guest is vmm's. Source: Intel SDM volume 3, "Basic VM-Exit
 * Information" and appendix "VMX Basic Exit Reasons".
 */
#include "arch/vmx.h"

#include "arch/mce.h"
#include "arch/trap.h"

/* Exit qualifications, by reason. */
enum { QUALIFICATION_CR = BITS(3, 0), QUALIFICATION_CR_ACCESS = BITS(5, 4),
       QUALIFICATION_CR_GPR = BITS(11, 8) };
#define QUALIFICATION_CR_LMSW BITS(31, 16)
enum { QUALIFICATION_DR = BITS(2, 0), QUALIFICATION_DR_READ = BIT(4) };
/* The linear address is valid, and the access was to what it translates to. */
enum { QUALIFICATION_EPT_WRITE = BIT(1), QUALIFICATION_EPT_FETCH = BIT(2),
       QUALIFICATION_EPT_FINAL = BIT(7) | BIT(8) };
enum { QUALIFICATION_DR6 = BITS(3, 0) | BIT(13) | BIT(14) };

enum { INSN_INFO_ADDRSIZE = BITS(9, 7) };
enum { QUALIFICATION_EOI_VECTOR = BITS(7, 0), QUALIFICATION_APIC_OFFSET = BITS(11, 0),
       QUALIFICATION_APIC_TYPE = BITS(15, 12) };
/* Types of access to the APIC's page: data, by linear address; others are no business of it. */
enum { APIC_TYPE_READ = 0, APIC_TYPE_WRITE = 1 };

#define DR7_GD BIT(13)

/* Basic exit reasons. */
enum { REASON_EXCEPTION = 0, REASON_EXTERNAL_INTERRUPT = 1, REASON_CR = 28, REASON_DR = 29,
       REASON_IO = 30, REASON_APIC_ACCESS = 44, REASON_APIC_EOI = 45, REASON_EPT_VIOLATION = 48,
       REASON_APIC_WRITE = 56, REASON_PML_FULL = 62, REASON_COUNT = 70 };

/* Reasons that need no more than a name; EXIT_HOST, 0, stands for "not here". INSTRUCTION: the guest
 * executed one, whose length is known, so that no delivery of an event was interrupted. */
#define INSTRUCTION 0x80
_Static_assert(EXIT_REASONS <= INSTRUCTION, "reasons and the bit");
static const u8 plain_reason[REASON_COUNT] = {
	[2] = EXIT_SHUTDOWN,
	[3 ... 4] = EXIT_INIT, /* INIT, SIPI */
	[7] = EXIT_INTR_WINDOW, [8] = EXIT_NMI_WINDOW,
	[9] = EXIT_TASK_SWITCH,
	[10] = INSTRUCTION | EXIT_CPUID,
	[11] = INSTRUCTION | EXIT_UNDEFINED, /* GETSEC */
	[12] = INSTRUCTION | EXIT_HLT,
	[13] = INSTRUCTION | EXIT_CACHE,     /* INVD */
	[15] = INSTRUCTION | EXIT_PROTECTED, /* RDPMC */
	[17] = INSTRUCTION | EXIT_UNDEFINED, /* RSM */
	[18] = INSTRUCTION | EXIT_HYPERCALL,
	[19 ... 27] = INSTRUCTION | EXIT_UNDEFINED, /* the VMX instructions but for VMCALL */
	[31] = INSTRUCTION | EXIT_RDMSR, [32] = INSTRUCTION | EXIT_WRMSR,
	[36] = INSTRUCTION | EXIT_UNDEFINED, /* MWAIT */
	[37] = EXIT_STEP,		     /* monitor trap flag */
	[39] = INSTRUCTION | EXIT_UNDEFINED, /* MONITOR */
	[40] = INSTRUCTION | EXIT_PAUSE,     /* a loop of it */
	[43] = EXIT_APIC_TPR,
	[50] = INSTRUCTION | EXIT_UNDEFINED, /* INVEPT */
	[52] = EXIT_DEADLINE,		     /* the preemption timer */
	[53] = INSTRUCTION | EXIT_UNDEFINED, /* INVVPID */
	[54] = INSTRUCTION | EXIT_CACHE,     /* WBINVD */
	[55] = INSTRUCTION | EXIT_XSETBV,
	[59] = INSTRUCTION | EXIT_UNDEFINED, /* VMFUNC */
	[60] = INSTRUCTION | EXIT_UNDEFINED, /* ENCLS */
};

static void decode_io(struct vcpu_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	exit->reason = EXIT_IO;
	exit->insn_len = vmread32(EXIT_INSN_LENGTH);
	exit->io.port = FIELD_GET(QUALIFICATION_IO_PORT, q);
	exit->io.size = FIELD_GET(QUALIFICATION_IO_SIZE, q) + 1;
	exit->io.in = q & QUALIFICATION_IO_IN;
	exit->io.string = q & QUALIFICATION_IO_STRING;
	exit->io.rep = q & QUALIFICATION_IO_REP;
	exit->io.addrsize = 0;
	if (exit->io.string && (vmx_caps.basic & VMX_BASIC_STRING_INFO)) {
		exit->io.addrsize = 2u << FIELD_GET(INSN_INFO_ADDRSIZE, vmread32(EXIT_INSN_INFO));
		exit->io.linear = vmread(GUEST_LINEAR_ADDRESS);
	}
}

/* An IRET that faulted had already ended the blocking by NMI: bring it back. The
 * interruption information says so by the same bit as the qualifications. */
static void reblock_nmi(struct vmx_vcpu *v, u64 word)
{
	if ((word & INTR_INFO_NMI_UNBLOCK) && !(v->vectoring_info & INTR_INFO_VALID) &&
	    vmx_uses(VMX_PIN, PIN_VIRTUAL_NMI))
		vmx_state_cache(v, CACHED_INTERRUPTIBILITY,
				vmx_state_cached(v, CACHED_INTERRUPTIBILITY) |
					INTERRUPTIBILITY_NMI);
}

static void decode_unserved(u32 reason, const char *why, struct vcpu_exit *exit)
{
	exit->reason = EXIT_UNKNOWN;
	exit->failed.code = reason;
	exit->failed.detail = vmread(EXIT_QUALIFICATION);
	exit->failed.reason = why;
}

static void decode_memory(struct vmx_vcpu *v, struct vcpu_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);
	int fetch = -EFAULT;

	exit->reason = EXIT_MEMORY;
	exit->memory.gpa = GPA(vmread64(GUEST_PHYSICAL_ADDRESS));
	exit->memory.write = q & QUALIFICATION_EPT_WRITE;
	exit->memory.fetch = q & QUALIFICATION_EPT_FETCH;
	exit->memory.operand = (q & QUALIFICATION_EPT_FINAL) == QUALIFICATION_EPT_FINAL;
	reblock_nmi(v, q);
	if (exit->memory.fetch && !exit->memory.write)
		fetch = ept_fetch(v->vm, exit->memory.gpa);
	if (!fetch || (v->vm->logs && vmx_dirty_fault(v, exit->memory.gpa, q)))
		exit->reason = EXIT_HOST;
	else if (fetch == -ENOMEM)
		decode_unserved(REASON_EPT_VIOLATION,
				"no memory to split a large page that the guest executes", exit);
}

/*
 * Deliveries and walks of the guest's tables through the APIC's page find what is
 * behind any page without memory; the offset is not defined for walks. Fetches do
 * not come here: the page cannot be executed.
 */
static void decode_apic_access(struct vcpu_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION), type = FIELD_GET(QUALIFICATION_APIC_TYPE, q);

	exit->reason = type <= APIC_TYPE_WRITE ? EXIT_APIC_ACCESS : EXIT_MEMORY;
	exit->memory.gpa = GPA(VIRT_APIC_PAGE + FIELD_GET(QUALIFICATION_APIC_OFFSET, q));
	exit->memory.write = type == APIC_TYPE_WRITE;
	exit->memory.fetch = false;
	exit->memory.operand = exit->reason == EXIT_APIC_ACCESS;
}

/* Both come behind the instruction: "Trap-Like VM Exits". */
static void decode_apic_register(u32 reason, struct vcpu_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	exit->reason = reason == REASON_APIC_EOI ? EXIT_APIC_EOI : EXIT_APIC_WRITE;
	exit->apic.offset = FIELD_GET(QUALIFICATION_APIC_OFFSET, q);
	exit->apic.vector = FIELD_GET(QUALIFICATION_EOI_VECTOR, q);
}

static void decode_cr(struct vcpu_exit *exit)
{
	static const u8 access[4] = {CR_WRITE, CR_READ, CR_CLTS, CR_LMSW};
	u64 q = vmread(EXIT_QUALIFICATION);

	exit->reason = EXIT_CR;
	exit->insn_len = vmread32(EXIT_INSN_LENGTH);
	exit->cr.access = access[FIELD_GET(QUALIFICATION_CR_ACCESS, q)];
	exit->cr.cr = FIELD_GET(QUALIFICATION_CR, q);
	exit->cr.gpr = FIELD_GET(QUALIFICATION_CR_GPR, q);
	exit->cr.lmsw = FIELD_GET(QUALIFICATION_CR_LMSW, q);
}

static void decode_dr(struct vcpu_exit *exit)
{
	u64 q = vmread(EXIT_QUALIFICATION);

	exit->reason = EXIT_DR;
	exit->insn_len = vmread32(EXIT_INSN_LENGTH);
	exit->cr.access = q & QUALIFICATION_DR_READ ? CR_READ : CR_WRITE;
	exit->cr.cr = FIELD_GET(QUALIFICATION_DR, q);
	exit->cr.gpr = FIELD_GET(QUALIFICATION_CR_GPR, q);
}

/*
 * #DB exits before DR6 and DR7 change; the injected one does not change them
 * either: SDM, "Debug Exceptions" under "VM Exits" and "Event Injection".
 */
static void complete_debug(struct vmx_vcpu *v, enum vcpu_event_type type)
{
	u64 cause = vmread(EXIT_QUALIFICATION) & QUALIFICATION_DR6;
	u64 dr6 = vmx_state_get(&v->base, VREG_DR6);
	u64 shadow = vmx_state_cached(v, CACHED_INTERRUPTIBILITY);

	if (type == EVENT_EXCEPTION)
		vmx_state_set(&v->base, VREG_DR6, (dr6 & ~BITS(3, 0)) | cause);
	vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~DR7_GD);
	/* "Checks on Guest Non-Register State" ties BS to TF in a shadow, and the exit of
	 * a #DB or ICEBP there does not save BS. */
	if ((shadow & INTERRUPTIBILITY_SHADOWS) && (vmx_state_cached(v, CACHED_RFLAGS) & RFLAGS_TF) &&
	    !(vmread64(GUEST_DEBUGCTL) & DEBUGCTL_BTF))
		vmwrite(GUEST_PENDING_DEBUG, vmread(GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

static void decode_exception(struct vmx_vcpu *v, struct vcpu_exit *exit)
{
	u32 info = vmread32(EXIT_INTR_INFO);

	vmx_event_from_info(info, vmread32(EXIT_INTR_ERROR), vmread32(EXIT_INSN_LENGTH),
			    &exit->event);
	if (exit->event.type == EVENT_NMI) {
		/* NMIs stay blocked until an IRET, which this handler ends with. */
		__asm__ volatile("int $2" ::: "memory");
		exit->reason = EXIT_HOST;
		return;
	}
	if (exit->event.vector != VECTOR_DF)
		reblock_nmi(v, info);
	exit->reason = exit->event.vector == VECTOR_MC ? EXIT_MACHINE_CHECK : EXIT_EXCEPTION;
	if (exit->event.vector == VECTOR_MC)
		mce_take();
	else if (exit->event.vector == VECTOR_DB)
		complete_debug(v, exit->event.type);
}

/* "Information for VM Exits That Occur During Event Delivery". */
static void take_vectoring(struct vmx_vcpu *v, struct vcpu_exit *exit)
{
	v->vectoring_info = vmread32(IDT_VECTORING_INFO);
	exit->in_delivery = v->vectoring_info & INTR_INFO_VALID;
	if (!exit->in_delivery)
		return;
	v->vectoring_error = vmread32(IDT_VECTORING_ERROR);
	v->vectoring_length = vmread32(EXIT_INSN_LENGTH);
}

static __attribute__((noinline)) void decode_other(struct vmx_vcpu *v, u32 reason,
						   struct vcpu_exit *exit)
{
	take_vectoring(v, exit);
	if (reason == REASON_IO)
		decode_io(exit);
	else if (reason == REASON_EPT_VIOLATION)
		decode_memory(v, exit);
	else if (reason == REASON_PML_FULL) { /* and has been emptied */
		reblock_nmi(v, vmread(EXIT_QUALIFICATION));
		exit->reason = EXIT_HOST;
	} else if (reason == REASON_APIC_ACCESS)
		decode_apic_access(exit);
	else if (reason == REASON_APIC_EOI || reason == REASON_APIC_WRITE)
		decode_apic_register(reason, exit);
	else if (reason == REASON_CR)
		decode_cr(exit);
	else if (reason == REASON_DR)
		decode_dr(exit);
	else if (reason == REASON_EXCEPTION)
		decode_exception(v, exit);
	else if (reason < REASON_COUNT && plain_reason[reason])
		exit->reason = plain_reason[reason];
	else
		decode_unserved(reason, "an exit reason that Trivet does not know", exit);
}

void vmx_exit_decode(struct vmx_vcpu *v, u32 reason, struct vcpu_exit *exit)
{
	u8 plain = reason < REASON_COUNT ? plain_reason[reason] : 0;

	if (plain & INSTRUCTION) {
		exit->reason = plain & ~INSTRUCTION;
		exit->insn_len = vmread32(EXIT_INSN_LENGTH);
	} else if (reason == REASON_EXTERNAL_INTERRUPT) {
		exit->reason = EXIT_HOST;
		irq_dispatch(FIELD_GET(INTR_INFO_VECTOR, vmread32(EXIT_INTR_INFO)));
	} else {
		decode_other(v, reason, exit);
	}
}
