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

/* Most of the time it is the same again. */
static int decode(struct vcpu *vcpu, const u64 bytes[2], unsigned length, unsigned mode)
{
	struct vcpu_decoded *last = &vcpu->decoded;
	int error;

	if (last->bytes[0] == bytes[0] && last->bytes[1] == bytes[1])
		return 0;
	error = decode_insn((const u8 *)bytes, length, mode, &last->insn);
	last->bytes[0] = bytes[0];
	last->bytes[1] = error ? 0 : bytes[1];
	return error;
}

/*
 * Decodes what the CPU has just fetched at RIP, for which rights need no look, into vcpu->decoded.
 * Other vCPUs may have changed it: what counts is what it is now. -EAGAIN where it is no longer
 * there: the guest is to fetch it anew. -EOPNOTSUPP as decode_insn.
 */
static int decode_again(struct vcpu *vcpu, const struct virt_code *code)
{
	/* IA-32e mode is with PAE paging. */
	struct gwalk_ctx walk = {.cr0 = CR0_PG, .cr3 = code->cr3, .cr4 = CR4_PAE, .efer = code->efer,
				 .maxphyaddr = vcpu->vm->cpuid.maxphyaddr};
	u64 linear = code->base + code->rip, pdpte[4], bytes[2] = {0};
	unsigned length = 0, part;
	u32 rights;
	gpa_t gpa;

	if (!(code->efer & EFER_LMA)) {
		walk.cr0 = virt->get(vcpu->virt, VREG_CR0);
		walk.cr4 = virt->get(vcpu->virt, VREG_CR4);
		for (unsigned i = 0; i < ARRAY_SIZE(pdpte); i++)
			pdpte[i] = virt->get(vcpu->virt, VREG_PDPTE0 + i);
		walk.pdpte = pdpte;
	}
	for (; length < DECODE_MAX_LENGTH; length += part, linear += part) {
		if (code->mode != 64)
			linear = (u32)linear;
		part = MIN(DECODE_MAX_LENGTH - length, PAGE_SIZE - linear % PAGE_SIZE);
		if (gwalk_translate(vcpu->vm, &walk, GVA(linear), GWALK_PEEK, &gpa, &rights) ||
		    guest_read(vcpu->vm, gpa, (u8 *)bytes + length, part))
			break;
	}
	_Static_assert(DECODE_MAX_LENGTH < 16, "modes are 16, 32, 64, and fit above the length");
	bytes[1] |= (u64)(code->mode | length) << 56;
	return decode(vcpu, bytes, length, code->mode);
}

/* Where the elements that are served at once lie; false where it is not all RAM to be had. */
static bool locate(struct vcpu *vcpu, const struct vcpu_exit *exit, const struct virt_code *code,
		   gpa_t *gpa)
{
	struct gwalk_ctx walk = {.cr0 = code->cr0, .cr3 = code->cr3, .cr4 = code->cr4,
				 .efer = code->efer, .cpl = code->cpl,
				 .maxphyaddr = vcpu->vm->cpuid.maxphyaddr,
				 .ac = code->rflags & RFLAGS_AC};
	const struct region *r;
	u32 error;

	if (!address_canonical(exit->io.linear) ||
	    gwalk_translate(vcpu->vm, &walk, GVA(exit->io.linear), exit->io.in ? GWALK_WRITE : 0, gpa,
			    &error))
		return false;
	if (!exit->io.in)
		return true;
	r = region_find(&vcpu->vm->regions, *gpa);
	return r && !(r->flags & REGION_READ_ONLY);
}

/*
 * Elements that lie upwards in one page of RAM, in 64-bit mode, all at once; without a look at the
 * code, as the exit tells all. False with nothing done where this or that is not so.
 */
static bool port_string(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 mask = size_mask(exit->io.addrsize), *rcx = &vcpu->virt->gpr[GPR_RCX];
	u64 *at = &vcpu->virt->gpr[exit->io.in ? GPR_RDI : GPR_RSI];
	u64 left = exit->io.rep ? *rcx & mask : 1, room = PAGE_SIZE - exit->io.linear % PAGE_SIZE;
	unsigned shift = __builtin_ctz(exit->io.size);
	u64 count = MIN(MIN(room, EMULATOR_STRING_MAX) >> shift, left), length = count << shift;
	struct vm *vm = vcpu->vm;
	struct virt_code code;
	bool claimed;
	gpa_t gpa;

	virt->get_code(vcpu->virt, &code, true);
	if (code.mode != 64 || (code.rflags & (RFLAGS_DF | RFLAGS_TF)) || !count ||
	    length - 1 > mask - (*at & mask) || !locate(vcpu, exit, &code, &gpa) ||
	    (!exit->io.in && guest_read(vm, gpa, vcpu->string, length)))
		return false;
	vm_device_lock(vm);
	claimed = bus_string(&vm->ports, exit->io.port, exit->io.size, exit->io.in, vcpu->string,
			     count);
	vm_device_unlock(vm);
	if (!claimed)
		log_unknown(vm, EMULATOR_PORTS, exit->io.port, exit->io.in ? "read" : "written");
	if (exit->io.in)
		guest_write(vm, gpa, vcpu->string, length);
	*at = (*at + length) & mask;
	left -= count;
	if (exit->io.rep)
		*rcx = left;
	if (left) /* between iterations no code breakpoint counts any more */
		virt->set(vcpu->virt, VREG_RFLAGS, code.rflags | RFLAGS_RF);
	else
		vcpu_skip(vcpu, exit);
	return true;
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

/* The long way of vcpu->decoded, or of what could not be decoded, on a copy of all registers. */
static __attribute__((noinline)) void execute(struct vcpu *vcpu, const struct vcpu_exit *exit,
					      bool decoded)
{
	enum emulate_result result = EMULATE_UNSUPPORTED;
	struct emulator em;

	begin(vcpu, &em);
	if (decoded)
		result = emulate_insn(&em, &vcpu->decoded.insn,
				      exit->reason == EXIT_IO ? exit->io.port : EMULATE_NO_PORT);
	if (result == EMULATE_UNSUPPORTED)
		unsupported(vcpu, &em, exit->memory.gpa);
	else
		finish(vcpu, &em, result);
}

void emulator_port_string(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	const struct insn *insn = &vcpu->decoded.insn;
	struct virt_code code;

	if (exit->io.addrsize && port_string(vcpu, exit))
		return;
	virt->get_code(vcpu->virt, &code, false);
	/* Where another one stands by now, the guest runs it. */
	if (!decode_again(vcpu, &code) && insn->op == (exit->io.in ? INSN_INS : INSN_OUTS) &&
	    insn->memsize == exit->io.size)
		execute(vcpu, exit, true);
}

/* Whether gpa is where the whole operand begins: one that crosses pages may have failed in its
 * second one. */
static bool begins_at(struct vcpu *vcpu, const struct virt_code *code, const struct insn *insn, u64 gpa)
{
	unsigned within = gpa & (PAGE_SIZE - 1);
	struct vcpu_segment seg = {.base = 0};

	if (code->mode != 64 || insn->seg >= SREG_FS)
		virt->get_segment(vcpu->virt, insn->seg, &seg);
	return within + insn->memsize <= PAGE_SIZE &&
	       !((seg.base + emulate_offset(insn, vcpu->virt->gpr, code->rip) - gpa) &
		 (PAGE_SIZE - 1));
}

/* MOV and MOVZX, of which the CPU has translated the operand and checked the rights. False with
 * nothing done for all others. */
static bool move(struct vcpu *vcpu, const struct vcpu_exit *exit, const struct virt_code *code)
{
	u64 gpa = exit->memory.gpa.v, value;
	const struct insn *insn = &vcpu->decoded.insn;
	struct vcpu_exit done = {.insn_len = insn->length};

	if (!exit->memory.operand || (insn->op != INSN_MOV && insn->op != INSN_MOVZX) ||
	    (insn->form != INSN_REG_MEM) != exit->memory.write || insn->reg_high ||
	    insn->base == GPR_RSP || !begins_at(vcpu, code, insn, gpa))
		return false;
	if (insn->form == INSN_REG_MEM) {
		value = emulator_read(vcpu, EMULATOR_MEMORY, gpa, insn->memsize);
		if (insn->opsize < 4)
			value |= vcpu_gpr(vcpu, insn->reg) & ~size_mask(insn->opsize);
		vcpu_set_gpr(vcpu, insn->reg, value);
	} else {
		value = insn->form == INSN_MEM_IMM ? insn->imm : vcpu_gpr(vcpu, insn->reg);
		emulator_write(vcpu, EMULATOR_MEMORY, gpa, insn->memsize,
			       value & size_mask(insn->memsize));
	}
	vcpu_skip(vcpu, &done);
	return true;
}

void emulator_mmio(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct virt_code code;
	int error;

	virt->get_code(vcpu->virt, &code, false);
	error = decode_again(vcpu, &code);
	if (error == -EAGAIN || (!error && move(vcpu, exit, &code)))
		return;
	execute(vcpu, exit, !error);
}
