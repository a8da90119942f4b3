/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator's view of a vCPU. Registers are copied out and back; RIP moves
 * through the back end, so that shadows and a pending single step follow.
 */
#include "vmm/emulator.h"

#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/memory.h"
#include "vmm/emulate.h"
#include "vmm/gmem.h"
#include "vmm/gwalk.h"
#include "vmm/inject.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

static void log_unknown(struct vm *vm, enum emulator_bus bus, u64 addr, const char *how)
{
	bool first = bus == EMULATOR_PORTS ? once_first(&vm->unknown_ports, addr) :
					once_first(&vm->unknown_gpas, addr & ~(PAGE_SIZE - 1));

	if (first)
		log_debug("[%s] unknown %s %lxh, first %s", vm->name,
			  bus == EMULATOR_PORTS ? "port" : "address", addr, how);
}

u64 emulator_read(struct vcpu *vcpu, enum emulator_bus bus, u64 addr, unsigned size)
{
	struct vm *vm = vcpu->vm;
	bool claimed;
	u64 value;

	if (bus == EMULATOR_MEMORY && lapic_claims(vcpu, addr))
		return lapic_read(vcpu, addr & (PAGE_SIZE - 1), size) & size_mask(size);
	vm_device_lock(vm);
	value = bus_read(bus == EMULATOR_PORTS ? &vm->ports : &vm->mmio, addr, size, &claimed);
	vm_device_unlock(vm);
	if (!claimed)
		log_unknown(vm, bus, addr, "read");
	return value;
}

void emulator_write(struct vcpu *vcpu, enum emulator_bus bus, u64 addr, unsigned size, u64 value)
{
	struct vm *vm = vcpu->vm;
	bool claimed;

	if (bus == EMULATOR_MEMORY && lapic_claims(vcpu, addr)) {
		lapic_write(vcpu, addr & (PAGE_SIZE - 1), size, value);
		return;
	}
	vm_device_lock(vm);
	claimed = bus_write(bus == EMULATOR_PORTS ? &vm->ports : &vm->mmio, addr, size, value);
	vm_device_unlock(vm);
	if (!claimed)
		log_unknown(vm, bus, addr, "written");
}

static void begin(struct vcpu *vcpu, struct emulator *em)
{
	*em = (struct emulator){.vm = vcpu->vm, .vcpu = vcpu, .maxphyaddr = vcpu->vm->cpuid.maxphyaddr};
	vcpu_get_regs(vcpu, &em->regs);
	vcpu_get_sregs(vcpu, &em->sregs);
}

/* Takes the registers over; RIP last, by the length of what was executed. */
static void finish(struct vcpu *vcpu, struct emulator *em, enum emulate_result result)
{
	u64 old = virt->get(vcpu->virt, VREG_RIP), rip = em->regs.rip;

	em->regs.rip = old;
	vcpu_write_regs(vcpu, &em->regs);
	if (result == EMULATE_DONE) {
		struct vcpu_exit done = {.insn_len = (u8)(rip - old)};

		vcpu_skip(vcpu, &done);
	} else if (result == EMULATE_FAULT && em->fault.vector == VECTOR_PF) {
		inject_page_fault(vcpu, em->fault.cr2, em->fault.error);
	} else if (result == EMULATE_FAULT) {
		inject_exception(vcpu, em->fault.vector, em->fault.error);
	} else if (result == EMULATE_AGAIN && em->trap) {
		/* One iteration is one step: the next entry traps before the next one. */
		virt->skip(vcpu->virt, 0);
	}
}

void emulator_port_string(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct emulator em;

	begin(vcpu, &em);
	/* Unsupported: the code has changed since the exit, and the guest runs it anew. */
	finish(vcpu, &em, emulate_port_string(&em, exit->io.port, exit->io.in, exit->io.size));
}

static void unsupported(struct vcpu *vcpu, const struct emulator *em, gpa_t gpa)
{
	/* A user program must not be able to end its VM. */
	if (em->sregs.seg[SREG_SS].dpl == 3) {
		inject_ud(vcpu);
		return;
	}
	vm_kill(vcpu->vm, "the instruction at %lxh, which reaches %lxh, is not emulated",
		em->regs.rip, gpa.v);
}

/* Decodes what the CPU has just fetched at RIP; false where it is not to be found again. */
static bool decode_again(struct vcpu *vcpu, struct insn *insn)
{
	struct gwalk_ctx walk = {
		.cr0 = virt->get(vcpu->virt, VREG_CR0), .cr3 = virt->get(vcpu->virt, VREG_CR3),
		.cr4 = virt->get(vcpu->virt, VREG_CR4), .efer = virt->get(vcpu->virt, VREG_EFER),
		.maxphyaddr = vcpu->vm->cpuid.maxphyaddr};
	u64 linear = virt->get(vcpu->virt, VREG_RIP), pdpte[4];
	u8 bytes[DECODE_MAX_LENGTH];
	struct vcpu_segment cs;
	unsigned mode, length;
	u32 rights;
	gpa_t gpa;

	virt->get_segment(vcpu->virt, SREG_CS, &cs);
	mode = (walk.efer & EFER_LMA) && cs.l ? 64 : cs.db ? 32 : 16;
	if (mode != 64)
		linear = (u32)(linear + cs.base);
	if ((walk.cr4 & CR4_PAE) && !(walk.efer & EFER_LMA)) {
		for (unsigned i = 0; i < ARRAY_SIZE(pdpte); i++)
			pdpte[i] = virt->get(vcpu->virt, VREG_PDPTE0 + i);
		walk.pdpte = pdpte;
	}
	length = MIN(sizeof(bytes), PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
	return !gwalk_translate(vcpu->vm, &walk, GVA(linear), GWALK_PEEK, &gpa, &rights) &&
	       !guest_read(vcpu->vm, gpa, bytes, length) && !decode_insn(bytes, length, mode, insn);
}

bool emulator_apic(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 gpa = exit->memory.gpa.v;
	unsigned offset = gpa & (PAGE_SIZE - 1);
	struct vcpu_exit done = {.reason = EXIT_APIC_ACCESS};
	struct insn insn;

	/* Other vCPUs may have changed the code: what counts is what it is now. */
	if (offset > PAGE_SIZE - 4 || !lapic_claims(vcpu, gpa) || !decode_again(vcpu, &insn) ||
	    insn.op != INSN_MOV || insn.opsize != 4 ||
	    (insn.form != INSN_REG_MEM) != exit->memory.write)
		return false;
	if (insn.form == INSN_REG_MEM)
		vcpu_set_gpr(vcpu, insn.reg, (u32)lapic_read(vcpu, offset, 4));
	else
		lapic_write(vcpu, offset, 4,
			    insn.form == INSN_MEM_IMM ? (u32)insn.imm : (u32)vcpu_gpr(vcpu, insn.reg));
	done.insn_len = insn.length;
	vcpu_skip(vcpu, &done);
	return true;
}

void emulator_mmio(struct vcpu *vcpu, gpa_t gpa)
{
	struct emulator em;
	enum emulate_result result;

	begin(vcpu, &em);
	result = emulate_mmio(&em);
	if (result == EMULATE_UNSUPPORTED)
		unsupported(vcpu, &em, gpa);
	else
		finish(vcpu, &em, result);
}
