/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator's view of a vCPU. Registers are copied out and back; RIP moves
 * through the back end, so that shadows and a pending single step follow.
 */
#include "vmm/emulator.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "vmm/emulate.h"
#include "vmm/inject.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

static u64 mmio_read(void *ctx, gpa_t gpa, unsigned size)
{
	struct vm *vm = ctx;
	bool claimed;
	u64 value;

	vm_device_lock(vm);
	value = bus_read(&vm->mmio, gpa.v, size, &claimed);
	vm_device_unlock(vm);
	if (!claimed && once_first(&vm->unknown_gpas, gpa.v & ~(PAGE_SIZE - 1)))
		log_debug("[%s] unknown address %lxh, first read", vm->name,
			  gpa.v);
	return value;
}

static void mmio_write(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
	struct vm *vm = ctx;
	bool claimed;

	vm_device_lock(vm);
	claimed = bus_write(&vm->mmio, gpa.v, size, value);
	vm_device_unlock(vm);
	if (!claimed && once_first(&vm->unknown_gpas, gpa.v & ~(PAGE_SIZE - 1)))
		log_debug("[%s] unknown address %lxh, first written", vm->name,
			  gpa.v);
}

static u32 port_in(void *ctx, u16 port, unsigned size)
{
	return exit_io_in(ctx, port, size);
}

static void port_out(void *ctx, u16 port, unsigned size, u32 value)
{
	exit_io_out(ctx, port, size, value);
}

static const struct emulator_ops ops = {
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.port_in = port_in,
	.port_out = port_out,
};

/* What one emulated instruction works on. */
struct session {
	struct vcpu_regs regs;
	struct vcpu_sregs sregs;
	u64 pdpte[4];
	struct emulator em;
};

static void begin(struct vcpu *vcpu, struct session *s)
{
	vcpu_get_regs(vcpu, &s->regs);
	vcpu_get_sregs(vcpu, &s->sregs);
	for (unsigned i = 0; i < 4; i++)
		s->pdpte[i] = virt->get(vcpu->virt, VREG_PDPTE0 + i);
	s->em = (struct emulator){
		.vm = vcpu->vm,
		.regs = &s->regs,
		.sregs = &s->sregs,
		.pdpte = s->pdpte,
		.maxphyaddr = vcpu->vm->cpuid.maxphyaddr,
		.ops = &ops,
		.ctx = vcpu->vm,
	};
}

static void raise_fault(struct vcpu *vcpu, const struct emulate_fault *fault)
{
	if (fault->vector == VECTOR_PF)
		inject_page_fault(vcpu, fault->cr2, fault->error);
	else
		inject_exception(vcpu, fault->vector, fault->error);
}

/* Takes the registers over; RIP last, by the length of what was executed. */
static void finish(struct vcpu *vcpu, struct session *s, enum emulate_result result)
{
	u64 old = virt->get(vcpu->virt, VREG_RIP), rip = s->regs.rip;

	s->regs.rip = old;
	vcpu_set_regs(vcpu, &s->regs);
	if (result == EMULATE_DONE) {
		struct vcpu_exit done = {.insn_len = (u8)(rip - old)};

		vcpu_skip(vcpu, &done);
	} else if (result == EMULATE_FAULT) {
		raise_fault(vcpu, &s->em.fault);
	} else if (result == EMULATE_AGAIN && s->em.trap) {
		/* One iteration is one step: the next entry traps before the next one. */
		virt->skip(vcpu->virt, 0);
	}
}

void emulator_port_string(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct session s;

	begin(vcpu, &s);
	/* Unsupported: the code has changed since the exit, and the guest runs it anew. */
	finish(vcpu, &s, emulate_port_string(&s.em, exit->io.port, exit->io.in, exit->io.size));
}

static void unsupported(struct vcpu *vcpu, const struct session *s, gpa_t gpa)
{
	/* A user program must not be able to end its VM. */
	if (s->sregs.seg[SREG_SS].dpl == 3) {
		inject_ud(vcpu);
		return;
	}
	vm_kill(vcpu->vm, "the instruction at %lxh, which reaches %lxh, is not emulated",
		s->regs.rip, gpa.v);
}

void emulator_mmio(struct vcpu *vcpu, gpa_t gpa)
{
	struct session s;
	enum emulate_result result;

	begin(vcpu, &s);
	result = emulate_mmio(&s.em);
	if (result == EMULATE_UNSUPPORTED)
		unsupported(vcpu, &s, gpa);
	else
		finish(vcpu, &s, result);
}
