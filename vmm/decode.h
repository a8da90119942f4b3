/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoder for the instructions that a guest may aim at device memory, and for
 * port string instructions. It works on bytes that were fetched once, knows
 * forms with a memory operand only, and turns down everything else: what is
 * not in this list is never emulated.
 */
#pragma once

#include "arch/lib/types.h"

/* No instruction is longer: SDM volume 2, "Instruction Format". */
#define DECODE_MAX_LENGTH 15

enum insn_op {
	INSN_NONE,
	/* The eight of opcodes 00-3F and 80-83, in the order of their encoding. */
	INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP,
	INSN_TEST, INSN_MOV, INSN_MOVZX, INSN_MOVSX, INSN_XCHG, INSN_XADD, INSN_CMPXCHG,
	INSN_INC, INSN_DEC, INSN_NOT, INSN_NEG, INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC,
	INSN_MOVS, INSN_STOS, INSN_LODS, INSN_INS, INSN_OUTS,
	INSN_OPS
};

/* Operands, destination first. INSN_STRING: the implied ones of the operation. */
enum insn_form { INSN_MEM_REG, INSN_REG_MEM, INSN_MEM_IMM, INSN_MEM, INSN_STRING };

#define INSN_NO_REG 0xff

struct insn {
	u8 length;
	u8 op;	      /* enum insn_op */
	u8 form;      /* enum insn_form */
	u8 opsize;    /* bytes of the register or immediate operand: 1, 2, 4, 8 */
	u8 memsize;   /* bytes of the memory operand; less than opsize for MOVZX and MOVSX */
	u8 addrsize;  /* 2, 4, 8 */
	u8 seg;	      /* enum sreg of the memory operand; of a string's source, DS or overridden */
	bool lock;
	bool rep;     /* F2 or F3 before a string instruction */
	u8 base;      /* enum gpr or INSN_NO_REG, as are index and reg */
	u8 index;
	u8 scale;     /* 1, 2, 4, 8 */
	bool rip_relative; /* disp counts from the end of the instruction */
	u64 disp;     /* sign-extended; for MOV's absolute forms the offset itself */
	u8 reg;
	bool reg_high; /* reg 0-3 stand for AH, CH, DH, BH */
	u64 imm;      /* sign-extended */
};

/*
 * Decodes one instruction from `len` bytes, of which at most 15 are looked at.
 * `mode` is the code segment's: 16, 32 or 64. Returns 0; -EAGAIN when the bytes
 * end before the instruction does; -EOPNOTSUPP for any other instruction, a
 * LOCK where the manual forbids it, or more than 15 bytes. On failure *insn is
 * not meaningful. Source: SDM volume 2, "Instruction Format", "Opcode Map".
 */
int decode_insn(const u8 *bytes, size_t len, unsigned mode, struct insn *insn);
