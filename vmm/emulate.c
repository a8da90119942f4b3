/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The emulator, in four steps that follow one another in this file: segment
 * and page checks that turn an operand into one or two pieces of guest
 * physical memory; loads and stores on those; arithmetic with exact flags;
 * and the instructions themselves. A guest chooses every value in here.
 */
#include "vmm/emulate.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "vmm/emulator.h"
#include "vmm/gmem.h"
#include "vmm/gwalk.h"

#define SEGMENT_CODE  BIT(3)
#define SEGMENT_DOWN  BIT(2) /* data: expand-down */
#define SEGMENT_ALLOW BIT(1) /* data: writable; code: readable */

#define ARITHMETIC_FLAGS                                                                          \
	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* An operand in guest physical memory. */
struct span {
	unsigned size;
	unsigned first; /* bytes of it at gpa[0]; the rest is at gpa[1] */
	u64 gpa[2];
};

static bool is_long(const struct emulator *em)
{
	return (em->sregs.efer & EFER_LMA) && em->sregs.seg[SREG_CS].l;
}

static bool set_fault(struct emulator *em, u8 vector, u32 error)
{
	em->fault.vector = vector;
	em->fault.has_error = em->sregs.cr0 & CR0_PE;
	em->fault.error = error;
	return false;
}

/* Limit and type of a segment outside 64-bit mode. */
static bool segment_allows(const struct emulator *em, const struct vcpu_segment *seg, u64 offset,
			   unsigned size, unsigned access)
{
	bool code = seg->type & SEGMENT_CODE, allow = seg->type & SEGMENT_ALLOW;
	bool checked = (em->sregs.cr0 & CR0_PE) && !(em->regs.rflags & RFLAGS_VM);
	u64 last = offset + size - 1;

	if (checked && (seg->unusable || (access == GWALK_WRITE && (code || !allow)) ||
			(access == 0 && code && !allow)))
		return false;
	if (!code && (seg->type & SEGMENT_DOWN))
		return offset > seg->limit && last <= (seg->db ? ~0u : 0xffffu);
	return last <= seg->limit;
}

/* The linear address of seg:offset, checked for `size` bytes; false: ->fault is set. */
static bool linear_address(struct emulator *em, unsigned seg, u64 offset, unsigned size,
			   unsigned access, u64 *linear)
{
	const struct vcpu_segment *s = &em->sregs.seg[seg];
	u64 last;
	bool ok;

	if (is_long(em)) {
		*linear = offset + (seg >= SREG_FS ? s->base : 0);
		last = *linear + size - 1;
		/* Canonical: bits 63:47 are equal, at both ends. */
		ok = (u64)((s64)*linear >> 47) + 1 <= 1 && (u64)((s64)last >> 47) + 1 <= 1;
	} else {
		*linear = (u32)(s->base + offset);
		ok = segment_allows(em, s, offset, size, access);
	}
	return ok || set_fault(em, seg == SREG_SS ? VECTOR_SS : VECTOR_GP, 0);
}

static bool walk_tables(struct emulator *em, u64 linear, unsigned access, gpa_t *gpa)
{
	const struct vcpu_sregs *s = &em->sregs;
	struct gwalk_ctx walk = {
		.cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer, .pdpte = s->pdpte,
		.cpl = s->seg[SREG_SS].dpl, .maxphyaddr = em->maxphyaddr,
		.ac = em->regs.rflags & RFLAGS_AC};
	u32 error;

	if (gwalk_translate(em->vm, &walk, GVA(linear), access, gpa, &error) == 0)
		return true;
	em->fault.cr2 = linear;
	return set_fault(em, VECTOR_PF, error);
}

/* One walk serves all accesses of a kind to a page in one call, as the TLB does. */
static bool translate(struct emulator *em, u64 linear, unsigned access, u64 *gpa)
{
	struct emulate_page *last = &em->last[access & GWALK_WRITE ? 1 : 0];
	gpa_t frame;

	if (!last->valid || last->page != ALIGN_DOWN(linear, PAGE_SIZE)) {
		last->valid = walk_tables(em, linear, access, &frame);
		if (!last->valid)
			return false;
		last->page = ALIGN_DOWN(linear, PAGE_SIZE);
		last->frame = ALIGN_DOWN(frame.v, PAGE_SIZE);
	}
	*gpa = last->frame + (linear - last->page);
	return true;
}

/* Checks and translates an operand, both of its pages, before anything is accessed. */
static bool map_operand(struct emulator *em, unsigned seg, u64 offset, unsigned size,
			unsigned access, struct span *span)
{
	u64 linear, room;

	if (!linear_address(em, seg, offset, size, access, &linear))
		return false;
	room = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
	span->size = size;
	span->first = (unsigned)MIN(size, room);
	if (!translate(em, linear, access, &span->gpa[0]))
		return false;
	if (span->first == size)
		return true;
	linear += room;
	return translate(em, is_long(em) ? linear : (u32)linear, access, &span->gpa[1]);
}

/* Moves bytes of one page to or from RAM, or where there is none, a device. */
static void transfer_piece(struct emulator *em, u64 gpa, u8 *bytes, unsigned size, bool write)
{
	unsigned n;

	if ((write ? guest_write(em->vm, GPA(gpa), bytes, size) :
		     guest_read(em->vm, GPA(gpa), bytes, size)) == 0)
		return;
	for (; size > 0; size -= n, gpa += n, bytes += n) {
		u64 value = 0;

		/* The largest power of two: three bytes become two and one. */
		n = 1u << (31 - __builtin_clz(size));
		memcpy(&value, bytes, n);
		if (write)
			emulator_write(em->vcpu, EMULATOR_MEMORY, gpa, n, value);
		else
			value = emulator_read(em->vcpu, EMULATOR_MEMORY, gpa, n);
		memcpy(bytes, &value, n);
	}
}

static u64 transfer(struct emulator *em, const struct span *span, u64 value, bool write)
{
	u8 *bytes = (u8 *)&value;

	transfer_piece(em, span->gpa[0], bytes, span->first, write);
	if (span->first < span->size)
		transfer_piece(em, span->gpa[1], bytes + span->first, span->size - span->first,
			       write);
	return value;
}

static u64 load(struct emulator *em, const struct span *span)
{
	return transfer(em, span, 0, false);
}

static void store(struct emulator *em, const struct span *span, u64 value)
{
	transfer(em, span, value, true);
}

/* Writes the low part of a register; a four-byte write clears the upper half. */
static void set_part(u64 *reg, unsigned size, u64 value)
{
	u64 mask = size == 4 ? ~0ull : size_mask(size);

	*reg = (*reg & ~mask) | (value & size_mask(size));
}

static u64 sign_extend(u64 value, unsigned size)
{
	unsigned unused = 64 - 8 * size;

	return (u64)((s64)(value << unused) >> unused);
}

/* The register or immediate operand; 0 where there is none. */
static u64 get_operand(const struct emulator *em, const struct insn *insn)
{
	u64 value = insn->imm;

	if (insn->reg != INSN_NO_REG)
		value = em->regs.gpr[insn->reg] >> (insn->reg_high ? 8 : 0);
	return value & size_mask(insn->opsize);
}

static void set_operand(struct emulator *em, const struct insn *insn, u64 value)
{
	u64 *reg = &em->regs.gpr[insn->reg];

	if (insn->reg_high)
		*reg = FIELD_SET(*reg, BITS(15, 8), value);
	else
		set_part(reg, insn->opsize, value);
}

/*
 * The flags of a result: PF, ZF, SF of `r`, AF and OF from the carries into
 * bits 4 and top and out of top, given as a word of carries out of each bit.
 */
static u64 flags_of(u64 r, u64 carries, unsigned size)
{
	u64 top = BIT(8 * size - 1);

	return (carries & top ? RFLAGS_CF : 0) |
	       (__builtin_parity((u8)r) ? 0 : RFLAGS_PF) |
	       (carries & BIT(3) ? RFLAGS_AF : 0) |
	       (r & size_mask(size) ? 0 : RFLAGS_ZF) |
	       (r & top ? RFLAGS_SF : 0) |
	       ((carries ^ carries << 1) & top ? RFLAGS_OF : 0);
}

static u64 add(u64 a, u64 b, bool carry, unsigned size, u64 *flags)
{
	u64 r = a + b + carry;

	*flags = flags_of(r, (a & b) | ((a | b) & ~r), size);
	return r;
}

static u64 subtract(u64 a, u64 b, bool borrow, unsigned size, u64 *flags)
{
	u64 r = a - b - borrow;

	*flags = flags_of(r, (~a & b) | ((~a | b) & r), size);
	return r;
}

static u64 bit_test(enum insn_op op, u64 a, u64 bit, u64 *flags)
{
	u64 mask = BIT(bit);

	/* ZF stays; OF, SF, AF and PF are undefined and stay as well. */
	*flags = (*flags & ~RFLAGS_CF) | (a & mask ? RFLAGS_CF : 0);
	if (op == INSN_BTC)
		return a ^ mask;
	return op == INSN_BTS ? a | mask : op == INSN_BTR ? a & ~mask : a;
}

/* The value that `op` puts into its destination `a`, and the flags; *flags holds the old ones. */
static u64 compute(enum insn_op op, u64 a, u64 b, unsigned size, u64 *flags)
{
	bool carry = *flags & RFLAGS_CF;
	u64 r;

	switch (op) {
	case INSN_ADD: case INSN_XADD: return add(a, b, false, size, flags);
	case INSN_ADC: return add(a, b, carry, size, flags);
	case INSN_SUB: case INSN_CMP: return subtract(a, b, false, size, flags);
	case INSN_SBB: return subtract(a, b, carry, size, flags);
	case INSN_NEG: return subtract(0, a, false, size, flags);
	case INSN_OR: r = a | b; break;
	case INSN_XOR: r = a ^ b; break;
	case INSN_AND: case INSN_TEST: r = a & b; break;
	case INSN_INC: case INSN_DEC:
		r = op == INSN_INC ? add(a, 1, false, size, flags) :
				     subtract(a, 1, false, size, flags);
		*flags = (*flags & ~RFLAGS_CF) | (carry ? RFLAGS_CF : 0);
		return r;
	case INSN_NOT: return ~a;
	case INSN_MOV: case INSN_XCHG: return b;
	default: return bit_test(op, a, b & (8 * size - 1), flags);
	}
	*flags = flags_of(r, 0, size);
	return r;
}

/* The instruction is over: RIP goes on, RF is cleared. IP does not wrap at 64 KiB. */
static enum emulate_result finish(struct emulator *em, unsigned length)
{
	em->regs.rip += length;
	if (!is_long(em))
		em->regs.rip = (u32)em->regs.rip;
	em->trap = em->regs.rflags & RFLAGS_TF;
	em->regs.rflags &= ~RFLAGS_RF;
	return EMULATE_DONE;
}

u64 emulate_offset(const struct insn *insn, const u64 gpr[GPR_COUNT], u64 rip)
{
	u64 offset = insn->disp;

	if (insn->rip_relative)
		offset += rip + insn->length;
	if (insn->base != INSN_NO_REG)
		offset += gpr[insn->base];
	if (insn->index != INSN_NO_REG)
		offset += gpr[insn->index] * insn->scale;
	/* A bit offset in a register reaches far around the operand. */
	if (insn->op >= INSN_BT && insn->op <= INSN_BTC && insn->form == INSN_MEM_REG) {
		s64 bit = (s64)sign_extend(gpr[insn->reg], insn->opsize);

		offset += (u64)(bit >> (3 + __builtin_ctz(insn->opsize))) * insn->opsize;
	}
	return offset & size_mask(insn->addrsize);
}

static bool writes_memory(const struct insn *insn)
{
	return insn->form != INSN_REG_MEM && insn->op != INSN_CMP && insn->op != INSN_TEST &&
	       insn->op != INSN_BT;
}

static void compare_exchange(struct emulator *em, const struct insn *insn, const struct span *span,
			     u64 old, u64 *flags)
{
	u64 *accumulator = &em->regs.gpr[GPR_RAX];
	u64 mask = size_mask(insn->opsize);
	bool equal = (*accumulator & mask) == old;

	compute(INSN_CMP, *accumulator & mask, old, insn->opsize, flags);
	/* The CPU writes in either case. */
	store(em, span, equal ? get_operand(em, insn) : old);
	if (!equal)
		set_part(accumulator, insn->opsize, old);
}

/* With memory as the source; all these but CMP write to the register. */
static void read_memory(struct emulator *em, const struct insn *insn, u64 mem, u64 *flags)
{
	u64 result = mem;

	if (insn->op == INSN_MOVSX)
		result = sign_extend(mem, insn->memsize);
	else if (insn->op < INSN_MOV)
		result = compute(insn->op, get_operand(em, insn), mem, insn->opsize, flags);
	if (insn->op != INSN_CMP)
		set_operand(em, insn, result);
}

static enum emulate_result run_memory(struct emulator *em, const struct insn *insn)
{
	u64 offset = emulate_offset(insn, em->regs.gpr, em->regs.rip);
	u64 flags = em->regs.rflags, mem = 0, result;
	bool write = writes_memory(insn);
	struct span span;

	if (!map_operand(em, insn->seg, offset, insn->memsize, write ? GWALK_WRITE : 0, &span))
		return EMULATE_FAULT;
	if (insn->op != INSN_MOV || !write)
		mem = load(em, &span);
	if (insn->op == INSN_CMPXCHG) {
		compare_exchange(em, insn, &span, mem, &flags);
	} else if (insn->form == INSN_REG_MEM) {
		read_memory(em, insn, mem, &flags);
	} else {
		result = compute(insn->op, mem, get_operand(em, insn), insn->opsize, &flags);
		if (write)
			store(em, &span, result);
		if (insn->op == INSN_XCHG || insn->op == INSN_XADD)
			set_operand(em, insn, mem);
	}
	em->regs.rflags =
		(em->regs.rflags & ~ARITHMETIC_FLAGS) | (flags & ARITHMETIC_FLAGS);
	return finish(em, insn->length);
}

static bool uses_source(const struct insn *insn)
{
	return insn->op == INSN_MOVS || insn->op == INSN_LODS || insn->op == INSN_OUTS;
}

static bool uses_destination(const struct insn *insn)
{
	return insn->op == INSN_MOVS || insn->op == INSN_STOS || insn->op == INSN_INS;
}

/* Moves rSI or rDI to the next element, within the address size. */
static void advance(struct emulator *em, const struct insn *insn, unsigned reg)
{
	u64 step = em->regs.rflags & RFLAGS_DF ? -(u64)insn->memsize : insn->memsize;

	set_part(&em->regs.gpr[reg], insn->addrsize, em->regs.gpr[reg] + step);
}

static bool iterate(struct emulator *em, const struct insn *insn, u16 port)
{
	u64 mask = size_mask(insn->addrsize), value = em->regs.gpr[GPR_RAX];
	u64 source = em->regs.gpr[GPR_RSI] & mask, destination = em->regs.gpr[GPR_RDI] & mask;
	unsigned size = insn->memsize;
	struct span src, dst;

	if (uses_source(insn) && !map_operand(em, insn->seg, source, size, 0, &src))
		return false;
	if (uses_destination(insn) &&
	    !map_operand(em, SREG_ES, destination, size, GWALK_WRITE, &dst))
		return false;
	if (uses_source(insn))
		value = load(em, &src);
	else if (insn->op == INSN_INS)
		value = emulator_read(em->vcpu, EMULATOR_PORTS, port, size);
	if (uses_destination(insn))
		store(em, &dst, value);
	else if (insn->op == INSN_OUTS)
		emulator_write(em->vcpu, EMULATOR_PORTS, port, size, value & size_mask(size));
	else
		set_part(&em->regs.gpr[GPR_RAX], size, value);
	if (uses_source(insn))
		advance(em, insn, GPR_RSI);
	if (uses_destination(insn))
		advance(em, insn, GPR_RDI);
	return true;
}

static enum emulate_result run_string(struct emulator *em, const struct insn *insn, u16 port)
{
	u64 *rcx = &em->regs.gpr[GPR_RCX];
	u64 count = insn->rep ? *rcx & size_mask(insn->addrsize) : 1;
	/* Single-stepping stops behind each iteration. */
	unsigned budget = em->regs.rflags & RFLAGS_TF ? 1 : EMULATE_MAX_ITERATIONS;

	while (count > 0 && budget-- > 0) {
		if (!iterate(em, insn, port))
			return EMULATE_FAULT;
		count--;
		if (insn->rep)
			set_part(rcx, insn->addrsize, count);
	}
	if (count == 0)
		return finish(em, insn->length);
	/* As between the iterations of a CPU: no second code breakpoint on resuming. */
	em->trap = em->regs.rflags & RFLAGS_TF;
	em->regs.rflags |= RFLAGS_RF;
	return EMULATE_AGAIN;
}

static void begin(struct emulator *em)
{
	em->last[0].valid = em->last[1].valid = false;
	em->trap = false;
	memset(&em->fault, 0, sizeof(em->fault));
}

enum emulate_result emulate_insn(struct emulator *em, const struct insn *insn, unsigned port)
{
	bool on_port = insn->op == INSN_INS || insn->op == INSN_OUTS;

	begin(em);
	if (on_port && port == EMULATE_NO_PORT)
		return EMULATE_UNSUPPORTED; /* ports are checked by the CPU, before its exit */
	return insn->form == INSN_STRING ? run_string(em, insn, (u16)port) : run_memory(em, insn);
}
