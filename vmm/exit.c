/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exit dispatcher: policy for each exit reason. What a CPU would fault on
 * is injected; what cannot be emulated ends the VM.
 */
#include "vmm/exit.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "vmm/abi.h"
#include "vmm/cr.h"
#include "vmm/emulator.h"
#include "vmm/inject.h"
#include "vmm/msr.h"
#include "vmm/vm.h"

/* Both halves of a result, zero-extended as the instructions do it. */
static void set_edx_eax(struct vcpu *vcpu, u64 value)
{
	vcpu->virt->gpr[GPR_RAX] = (u32)value;
	vcpu->virt->gpr[GPR_RDX] = value >> 32;
}

static u64 get_edx_eax(const struct vcpu *vcpu)
{
	return (u32)vcpu->virt->gpr[GPR_RAX] | vcpu->virt->gpr[GPR_RDX] << 32;
}

/* The back end has done all there was to do. */
static void exit_nothing(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
}

/* The CPU has checked the right to the port (IOPL and the TSS's bitmap) before it exited. */
static void exit_io(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 *rax = &vcpu->virt->gpr[GPR_RAX], value;
	unsigned size = exit->io.size;

	if (exit->io.string) {
		emulator_port_string(vcpu, exit);
		return;
	}
	if (exit->io.in) {
		value = emulator_read(vcpu, EMULATOR_PORTS, exit->io.port, size);
		*rax = size == 4 ? value : (*rax & ~size_mask(size)) | value;
	} else {
		emulator_write(vcpu, EMULATOR_PORTS, exit->io.port, size, *rax & size_mask(size));
	}
	vcpu_skip(vcpu, exit);
}

/* An address that is no RAM, or RAM that may not be written: the instruction is
 * executed against the MMIO bus, where nobody answers with all ones and ignores writes. */
static void exit_memory(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	gpa_t gpa = exit->memory.gpa;

	/* The CPU was reading the IDT, GDT or TSS, or pushing onto the stack. */
	if (vcpu->delivery.type) {
		vm_kill(vcpu->vm, "event %u cannot be delivered: it needs %lxh, which is no RAM",
			vcpu->delivery.vector, gpa.v);
		return;
	}
	/* An open bus reads all ones, and the bytes FFh FFh are an undefined opcode. */
	if (exit->memory.fetch) {
		if (once_first(&vcpu->vm->unknown_gpas, gpa.v & ~(PAGE_SIZE - 1)))
			log_debug("[%s] code at %lxh, which is no RAM", vcpu->vm->name, gpa.v);
		inject_ud(vcpu);
		return;
	}
	emulator_mmio(vcpu, exit);
}

static void exit_cpuid(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 *gpr = vcpu->virt->gpr;
	struct cpuid_state state = {virt->get(vcpu->virt, VREG_CR4), virt->get(vcpu->virt, VREG_XCR0),
				    vcpu->id, lapic_enabled(vcpu)};
	struct cpuid_regs regs = cpuid_query(&vcpu->vm->cpuid, gpr[GPR_RAX], gpr[GPR_RCX], &state);

	*virt_cpuid_slot(&vcpu->virt->served, gpr[GPR_RAX], gpr[GPR_RCX]) = (struct virt_cpuid){
		gpr[GPR_RAX], gpr[GPR_RCX], regs, vcpu->virt->served.epoch};
	gpr[GPR_RAX] = regs.eax;
	gpr[GPR_RBX] = regs.ebx;
	gpr[GPR_RCX] = regs.ecx;
	gpr[GPR_RDX] = regs.edx;
	vcpu_skip(vcpu, exit);
}

static void exit_rdmsr(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 value = 0;
	u32 index = vcpu->virt->gpr[GPR_RCX];

	if (!msr_allowed(vcpu->vm, index, false) || !msr_read(vcpu, index, &value)) {
		inject_gp(vcpu);
		return;
	}
	set_edx_eax(vcpu, value);
	vcpu_skip(vcpu, exit);
}

static void exit_wrmsr(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u32 index = vcpu->virt->gpr[GPR_RCX];

	if (msr_allowed(vcpu->vm, index, true) && msr_write(vcpu, index, get_edx_eax(vcpu)))
		vcpu_skip(vcpu, exit);
	else
		inject_gp(vcpu);
}

static void exit_xsetbv(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	if (cr_set_xcr(vcpu, vcpu->virt->gpr[GPR_RCX], get_edx_eax(vcpu)))
		vcpu_skip(vcpu, exit);
	else
		inject_gp(vcpu);
}

static void exit_hlt(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vcpu_skip(vcpu, exit);
	/* A single step is due behind it and ends it at once. */
	vcpu->halted = !(virt->get(vcpu->virt, VREG_RFLAGS) & RFLAGS_TF);
}

/* A triple fault restarts the machine, as the chipset of a PC does it. */
static void exit_shutdown(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vm_request_reset(vcpu->vm, "triple fault");
}

static void exit_hypercall(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	bool allowed = vcpu_cpl(vcpu) == 0, taken = allowed && vcpu->vm->takes_hypercalls;
	u64 *rax = &vcpu->virt->gpr[GPR_RAX];
	u32 number = *rax;
	bool known = vcpu->vm->takes_hypercalls ||
		     (number < 64 && (vcpu->virt->served.hypercalls & BIT(number)));

	vcpu->hypercall = *rax;
	if (known && !allowed)
		*rax = (u64)ABI_HYPERCALL_EPERM;
	else
		*rax = taken ? (u64)ABI_HYPERCALL_ENOSYS : pv_hypercall(vcpu);
	vcpu_skip(vcpu, exit);
	if (taken)
		vcpu->leave = VCPU_HYPERCALL;
}

/* It waits for another vCPU, which should run. */
static void exit_pause(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vcpu_skip(vcpu, exit);
	sched_yield_to(NULL);
}

static void exit_undefined(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	inject_ud(vcpu);
}

static void exit_protected(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	inject_gp(vcpu);
}

static void exit_exception(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	if (vcpu_debug_takes(vcpu, &exit->event))
		return;
	/* ICEBP's #DB and the like are no faults: they go back as they came. */
	if (exit->event.type == EVENT_EXCEPTION)
		inject_exception(vcpu, exit->event.vector, exit->event.error);
	else
		vcpu->repeat = exit->event;
}

static void exit_step(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vcpu_debug_stepped(vcpu);
}

static void exit_task_switch(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vm_kill(vcpu->vm, "a hardware task switch, which Trivet does not emulate");
}

static void exit_machine_check(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vm_kill(vcpu->vm, "a machine check of the processor while the guest ran");
}

static void exit_failed(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vm_kill(vcpu->vm, "%s (%xh, detail %lxh): %s",
		exit->reason == EXIT_ENTRY_FAILED ? "VM entry failed" : "unknown exit",
		exit->failed.code, exit->failed.detail, exit->failed.reason);
}

static void (*const handlers[EXIT_REASONS])(struct vcpu *, const struct vcpu_exit *) = {
	[EXIT_HOST ... EXIT_NMI_WINDOW] = exit_nothing,
	[EXIT_IO] = exit_io,
	[EXIT_MEMORY] = exit_memory,
	[EXIT_CPUID] = exit_cpuid,
	[EXIT_RDMSR] = exit_rdmsr,
	[EXIT_WRMSR] = exit_wrmsr,
	[EXIT_CR] = cr_access,
	[EXIT_DR] = vcpu_debug_mov_dr,
	[EXIT_HLT] = exit_hlt,
	[EXIT_PAUSE] = exit_pause,
	[EXIT_APIC_ACCESS] = exit_memory,
	[EXIT_APIC_WRITE] = lapic_written,
	[EXIT_APIC_EOI] = lapic_ended,
	[EXIT_APIC_TPR] = exit_nothing,
	[EXIT_SHUTDOWN] = exit_shutdown,
	[EXIT_HYPERCALL] = exit_hypercall,
	[EXIT_XSETBV] = exit_xsetbv,
	/* RAM is write-back and coherent: there is nothing to flush for the guest. */
	[EXIT_CACHE] = vcpu_skip,
	[EXIT_UNDEFINED] = exit_undefined,
	[EXIT_PROTECTED] = exit_protected,
	[EXIT_EXCEPTION] = exit_exception,
	[EXIT_STEP] = exit_step,
	[EXIT_TASK_SWITCH] = exit_task_switch,
	[EXIT_INIT] = exit_nothing,
	[EXIT_ENTRY_FAILED] = exit_failed,
	[EXIT_MACHINE_CHECK] = exit_machine_check,
	[EXIT_UNKNOWN] = exit_failed,
};

void exit_handle(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	vcpu->exits[exit->reason]++;
	if (vcpu->debug.flags)
		vcpu_debug_leave(vcpu);
	handlers[exit->reason](vcpu, exit);
}
