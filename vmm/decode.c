/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder: two opcode tables and a table of opcode groups say operation
 * and operand form; prefixes, ModRM, SIB, displacement and immediate are read
 * through a cursor that cannot leave the given bytes. It must not touch guest
 * memory. Chapter: SDM volume 2, "Instruction Format".
 */
#include "vmm/decode.h"

#include "arch/lib/string.h"
#include "arch/vcpu_state.h"

/* What an opcode says beyond its operation. */
#define BYTE   BIT(0) /* the operand size is one byte */
#define TO_REG BIT(1) /* the register is the destination */
#define IMM    BIT(3) /* immediate of the operand size, four bytes at most */
#define IMM8   BIT(4) /* immediate of one byte, sign-extended */
#define MOFFS  BIT(5) /* no ModRM: an absolute offset and the accumulator */
#define STRING BIT(6) /* no ModRM: string instruction */
#define MEM8   BIT(7) /* the memory operand is one byte, */
#define MEM16  BIT(8) /* or two, */
#define MEM32  BIT(9) /* or four at most, whatever the operand size */

struct pattern {
	u8 op; /* enum insn_op, GROUP(n) or PREFIX(n) */
	u16 flags;
};

#define GROUP(n) (0x80 | (n))
#define PREFIX(n) (0x40 | (n)) /* a segment's number, or one of these */
enum { PREFIX_OPSIZE = SREG_COUNT, PREFIX_ADDRSIZE, PREFIX_LOCK, PREFIX_REP, PREFIX_REX };
enum { GROUP_ALU, GROUP_TEST, GROUP_INC, GROUP_BT, GROUP_MOV, GROUPS };

/* `add` is the table's index of the byte form that stores to memory. */
#define ALU(op, add)                                                                              \
	[(add)] = {(op), BYTE}, [(add) + 1] = {(op), 0}, [(add) + 2] = {(op), BYTE | TO_REG},     \
	[(add) + 3] = {(op), TO_REG}
/* An opcode whose bit 0 chooses between one byte and the operand size. */
#define PAIR(first, op, flags)                                                                    \
	[(first)] = {(op), BYTE | (flags)}, [(first) + 1] = {(op), (flags)}

static const struct pattern one_byte[256] = {
	ALU(INSN_ADD, 0x00), ALU(INSN_OR, 0x08), ALU(INSN_ADC, 0x10), ALU(INSN_SBB, 0x18),
	ALU(INSN_AND, 0x20), ALU(INSN_SUB, 0x28), ALU(INSN_XOR, 0x30), ALU(INSN_CMP, 0x38),
	[0x26] = {PREFIX(SREG_ES), 0}, [0x2e] = {PREFIX(SREG_CS), 0},
	[0x36] = {PREFIX(SREG_SS), 0}, [0x3e] = {PREFIX(SREG_DS), 0},
	[0x64] = {PREFIX(SREG_FS), 0}, [0x65] = {PREFIX(SREG_GS), 0},
	[0x66] = {PREFIX(PREFIX_OPSIZE), 0}, [0x67] = {PREFIX(PREFIX_ADDRSIZE), 0},
	[0xf0] = {PREFIX(PREFIX_LOCK), 0},
	[0xf2] = {PREFIX(PREFIX_REP), 0}, [0xf3] = {PREFIX(PREFIX_REP), 0},
	[0x63] = {INSN_MOVSX, TO_REG | MEM32}, /* MOVSXD; ARPL outside 64-bit mode */
	PAIR(0x6c, INSN_INS, STRING | MEM32), /* ports are 32 bits wide, even with REX.W */
	PAIR(0x6e, INSN_OUTS, STRING | MEM32),
	PAIR(0x80, GROUP(GROUP_ALU), IMM), [0x83] = {GROUP(GROUP_ALU), IMM8},
	PAIR(0x84, INSN_TEST, 0), PAIR(0x86, INSN_XCHG, 0),
	PAIR(0x88, INSN_MOV, 0), PAIR(0x8a, INSN_MOV, TO_REG),
	PAIR(0xa0, INSN_MOV, MOFFS | TO_REG), PAIR(0xa2, INSN_MOV, MOFFS),
	PAIR(0xa4, INSN_MOVS, STRING), PAIR(0xaa, INSN_STOS, STRING),
	PAIR(0xac, INSN_LODS, STRING), PAIR(0xc6, GROUP(GROUP_MOV), IMM),
	PAIR(0xf6, GROUP(GROUP_TEST), 0), PAIR(0xfe, GROUP(GROUP_INC), 0),
};

/* Behind 0F. */
static const struct pattern two_byte[256] = {
	[0xa3] = {INSN_BT, 0}, [0xab] = {INSN_BTS, 0},
	[0xb3] = {INSN_BTR, 0}, [0xbb] = {INSN_BTC, 0}, [0xba] = {GROUP(GROUP_BT), IMM8},
	PAIR(0xb0, INSN_CMPXCHG, 0), PAIR(0xc0, INSN_XADD, 0),
	[0xb6] = {INSN_MOVZX, TO_REG | MEM8}, [0xb7] = {INSN_MOVZX, TO_REG | MEM16},
	[0xbe] = {INSN_MOVSX, TO_REG | MEM8}, [0xbf] = {INSN_MOVSX, TO_REG | MEM16},
};

static const struct pattern groups[GROUPS][8] = {
	[GROUP_ALU] = {{INSN_ADD, 0}, {INSN_OR, 0}, {INSN_ADC, 0}, {INSN_SBB, 0},
		       {INSN_AND, 0}, {INSN_SUB, 0}, {INSN_XOR, 0}, {INSN_CMP, 0}},
	[GROUP_TEST] = {{INSN_TEST, IMM}, {INSN_TEST, IMM}, {INSN_NOT, 0}, {INSN_NEG, 0}},
	[GROUP_INC] = {{INSN_INC, 0}, {INSN_DEC, 0}},
	[GROUP_BT] = {[4] = {INSN_BT, 0}, {INSN_BTS, 0}, {INSN_BTR, 0}, {INSN_BTC, 0}},
	[GROUP_MOV] = {{INSN_MOV, 0}},
};

/* LOCK is allowed with these when memory is the destination. */
#define LOCKABLE                                                                                  \
	(BITS(INSN_XOR, INSN_ADD) | BITS(INSN_CMPXCHG, INSN_XCHG) | BITS(INSN_NEG, INSN_INC) |    \
	 BITS(INSN_BTC, INSN_BTS))

enum { REX_W = BIT(3), REX_R = BIT(2), REX_X = BIT(1), REX_B = BIT(0) };

struct cursor {
	const u8 *bytes;
	size_t len, pos;
	unsigned mode;
	bool overrun, opsize_prefix, addrsize_prefix;
	u8 rex;
	u8 seg; /* enum sreg of the override, or SREG_COUNT */
};

/* The next `size` bytes as a little-endian number, sign-extended. */
static u64 next(struct cursor *c, unsigned size)
{
	u64 value = 0;

	if (size > c->len - c->pos) {
		c->overrun = true;
		c->pos = c->len;
		return 0;
	}
	for (unsigned i = 0; i < size; i++)
		value |= (u64)c->bytes[c->pos++] << (8 * i);
	if (size < 8 && (value & BIT(8 * size - 1)))
		value |= ~size_mask(size);
	return value;
}

static u8 next_byte(struct cursor *c)
{
	return (u8)next(c, 1);
}

/* Takes all prefixes; returns the first opcode byte. */
static u8 take_prefixes(struct cursor *c, struct insn *insn)
{
	for (;;) {
		u8 byte = next_byte(c);
		bool rex = c->mode == 64 && (byte & 0xf0) == 0x40;
		unsigned kind = rex ? PREFIX_REX : one_byte[byte].op ^ PREFIX(0);

		if (kind > PREFIX_REX || c->overrun)
			return byte;
		/* REX counts only where it stands right before the opcode. */
		c->rex = rex ? byte : 0;
		/* 64-bit mode does not even see ES, CS, SS and DS overrides. */
		if (kind < SREG_COUNT && (c->mode != 64 || kind >= SREG_FS))
			c->seg = (u8)kind;
		c->opsize_prefix |= kind == PREFIX_OPSIZE;
		c->addrsize_prefix |= kind == PREFIX_ADDRSIZE;
		insn->lock |= kind == PREFIX_LOCK;
		insn->rep |= kind == PREFIX_REP;
	}
}

static void set_sizes(const struct cursor *c, const struct pattern *p, struct insn *insn)
{
	u64 most = FIELD_GET(MEM8 | MEM16 | MEM32, p->flags);

	insn->opsize = c->rex & REX_W ? 8 : (c->mode != 16) != c->opsize_prefix ? 4 : 2;
	if (p->flags & BYTE)
		insn->opsize = 1;
	insn->memsize = most ? (u8)MIN(insn->opsize, most) : insn->opsize;
	if (p->flags & STRING)
		insn->opsize = insn->memsize;
	insn->addrsize = (c->mode != 16) != c->addrsize_prefix ? 4 : 2;
	if (c->mode == 64)
		insn->addrsize = c->addrsize_prefix ? 4 : 8;
}

/* A 16-bit address: SDM volume 2, "16-Bit Addressing Forms with the ModR/M Byte". */
static void take_address16(struct cursor *c, u8 modrm, struct insn *insn)
{
	static const u8 bases[8] = {GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
				    GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	unsigned mod = modrm >> 6, rm = modrm & 7;

	if (mod == 0 && rm == 6) {
		insn->disp = next(c, 2);
		return;
	}
	insn->base = bases[rm];
	if (rm < 4)
		insn->index = rm & 1 ? GPR_RDI : GPR_RSI;
	if (insn->base == GPR_RBP)
		insn->seg = SREG_SS;
	if (mod != 0)
		insn->disp = next(c, mod);
}

/* A 32- or 64-bit address, with its SIB byte. */
static void take_address32(struct cursor *c, u8 modrm, struct insn *insn)
{
	unsigned mod = modrm >> 6, base = modrm & 7;

	if (base == 4) {
		u8 sib = next_byte(c);
		unsigned index = FIELD_GET(BITS(5, 3), sib) | (c->rex & REX_X ? 8 : 0);

		base = sib & 7;
		if (index != 4) {
			insn->index = (u8)index;
			insn->scale = (u8)(1 << (sib >> 6));
		}
	} else if (mod == 0 && base == 5) {
		insn->rip_relative = c->mode == 64;
	}
	if (mod == 0 && base == 5) {
		insn->disp = next(c, 4);
		return;
	}
	insn->base = (u8)(base | (c->rex & REX_B ? 8 : 0));
	if (insn->base == GPR_RSP || insn->base == GPR_RBP)
		insn->seg = SREG_SS;
	if (mod != 0)
		insn->disp = next(c, mod == 1 ? 1 : 4);
}

static void set_register(const struct cursor *c, u8 modrm, struct insn *insn)
{
	insn->reg = FIELD_GET(BITS(5, 3), modrm) | (c->rex & REX_R ? 8 : 0);
	/* Without any REX, byte registers 4 to 7 are AH, CH, DH, BH. */
	if (insn->opsize == 1 && !c->rex && insn->reg >= 4) {
		insn->reg -= 4;
		insn->reg_high = true;
	}
}

/* Without ModRM: a string operation's, or the accumulator and an absolute offset. */
static void take_implied(struct cursor *c, const struct pattern *p, struct insn *insn)
{
	if (p->flags & STRING) {
		insn->form = INSN_STRING;
		return;
	}
	insn->form = p->flags & TO_REG ? INSN_REG_MEM : INSN_MEM_REG;
	insn->reg = GPR_RAX;
	insn->disp = next(c, insn->addrsize) & size_mask(insn->addrsize);
}

/* Sets form, register and address; adds what a group knows to the pattern. */
static bool take_operands(struct cursor *c, struct pattern *p, struct insn *insn)
{
	u8 modrm = next_byte(c);

	if (p->op & GROUP(0)) {
		struct pattern member = groups[p->op & ~GROUP(0)][modrm >> 3 & 7];

		p->op = member.op;
		p->flags |= member.flags;
		insn->form = p->flags & (IMM | IMM8) ? INSN_MEM_IMM : INSN_MEM;
	} else {
		set_register(c, modrm, insn);
		insn->form = p->flags & TO_REG ? INSN_REG_MEM : INSN_MEM_REG;
	}
	if (p->op == INSN_NONE || modrm >> 6 == 3)
		return false;
	if (insn->addrsize == 2)
		take_address16(c, modrm, insn);
	else
		take_address32(c, modrm, insn);
	return true;
}

int decode_insn(const u8 *bytes, size_t len, unsigned mode, struct insn *insn)
{
	struct cursor c = {
		.bytes = bytes, .len = MIN(len, DECODE_MAX_LENGTH), .mode = mode, .seg = SREG_COUNT};
	struct pattern p;
	u8 opcode;
	bool known;

	memset(insn, 0, sizeof(*insn));
	insn->base = insn->index = insn->reg = INSN_NO_REG;
	insn->scale = 1;
	insn->seg = SREG_DS;
	opcode = take_prefixes(&c, insn);
	p = opcode == 0x0f ? two_byte[next_byte(&c)] : one_byte[opcode];
	/* Outside 64-bit mode 63h is ARPL. */
	known = p.op != INSN_NONE && (opcode != 0x63 || mode == 64);
	if (known) {
		set_sizes(&c, &p, insn);
		if (p.flags & (STRING | MOFFS))
			take_implied(&c, &p, insn);
		else
			known = take_operands(&c, &p, insn);
	}
	if (known && (p.flags & (IMM | IMM8)))
		insn->imm = next(&c, p.flags & IMM8 ? 1 : MIN(insn->opsize, 4));
	/* Whatever was read behind the end is not worth a verdict. */
	if (c.overrun)
		return c.len == DECODE_MAX_LENGTH ? -EOPNOTSUPP : -EAGAIN;
	if (!known ||
	    (insn->lock && (!(LOCKABLE & BIT(p.op)) || insn->form == INSN_REG_MEM)))
		return -EOPNOTSUPP;
	insn->op = p.op;
	insn->rep = insn->rep && insn->form == INSN_STRING;
	if (c.seg != SREG_COUNT)
		insn->seg = c.seg;
	insn->length = (u8)c.pos;
	return 0;
}
