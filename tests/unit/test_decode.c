/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/decode.c */
/* LIBS: -lZydis */
/*
 * The instruction decoder: hand-made cases from the manual's tables, then a
 * differential against Zydis over random and structured bytes in three modes.
 * What the decoder accepts, Zydis must accept with the same meaning; what
 * Zydis finds to be in the supported set, the decoder must accept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <Zydis/Zydis.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "vmm/decode.h"
#include "arch/vcpu_state.h"

static int decode(const char *hex, unsigned mode, struct insn *insn)
{
	u8 bytes[32];
	size_t len = 0;
	unsigned value;
	int used;

	while (sscanf(hex, "%x%n", &value, &used) == 1) {
		bytes[len++] = (u8)value;
		hex += used;
	}
	return decode_insn(bytes, len, mode, insn);
}

static void accepts_the_documented_forms(void **state)
{
	static const struct {
		const char *hex;
		unsigned mode;
		u8 op, form, opsize, memsize, addrsize, seg, base, index, scale, reg;
		bool high, rip;
		u64 disp, imm;
	} cases[] = {
		/* mov [rax+rcx*4+0x12345678], r9d */
		{"44 89 8c 88 78 56 34 12", 64, INSN_MOV, INSN_MEM_REG, 4, 4, 8, SREG_DS, GPR_RAX,
		 GPR_RCX, 4, GPR_R9, false, false, 0x12345678, 0},
		/* mov ah, [bp+si-1] */
		{"8a 62 ff", 16, INSN_MOV, INSN_REG_MEM, 1, 1, 2, SREG_SS, GPR_RBP, GPR_RSI, 1,
		 GPR_RAX, true, false, ~0ull, 0},
		/* mov spl, [rip+8]: REX makes register 4 SPL */
		{"40 8a 25 08 00 00 00", 64, INSN_MOV, INSN_REG_MEM, 1, 1, 8, SREG_DS, INSN_NO_REG,
		 INSN_NO_REG, 1, GPR_RSP, false, true, 8, 0},
		/* REX.W void before 66: mov word [rdx], -2 */
		{"48 66 c7 02 fe ff", 64, INSN_MOV, INSN_MEM_IMM, 2, 2, 8, SREG_DS, GPR_RDX,
		 INSN_NO_REG, 1, INSN_NO_REG, false, false, 0, ~1ull},
		/* 66 before REX.W: the 8-byte operand wins, the immediate has 4 bytes */
		{"66 48 c7 02 fe ff ff ff", 64, INSN_MOV, INSN_MEM_IMM, 8, 8, 8, SREG_DS, GPR_RDX,
		 INSN_NO_REG, 1, INSN_NO_REG, false, false, 0, ~1ull},
		/* movzx r8, word fs:[ebx] */
		{"64 67 4c 0f b7 03", 64, INSN_MOVZX, INSN_REG_MEM, 8, 2, 4, SREG_FS, GPR_RBX,
		 INSN_NO_REG, 1, GPR_R8, false, false, 0, 0},
		/* mov eax, [moffs64] */
		{"a1 88 77 66 55 44 33 22 81", 64, INSN_MOV, INSN_REG_MEM, 4, 4, 8, SREG_DS,
		 INSN_NO_REG, INSN_NO_REG, 1, GPR_RAX, false, false, 0x8122334455667788, 0},
		/* mov es:[0xfedc], ax, 16-bit */
		{"26 a3 dc fe", 16, INSN_MOV, INSN_MEM_REG, 2, 2, 2, SREG_ES, INSN_NO_REG,
		 INSN_NO_REG, 1, GPR_RAX, false, false, 0xfedc, 0},
		/* [disp16] has no base */
		{"88 06 34 12", 16, INSN_MOV, INSN_MEM_REG, 1, 1, 2, SREG_DS, INSN_NO_REG,
		 INSN_NO_REG, 1, GPR_RAX, false, false, 0x1234, 0},
		/* add dword [esp], -1, 32-bit */
		{"83 04 24 ff", 32, INSN_ADD, INSN_MEM_IMM, 4, 4, 4, SREG_SS, GPR_RSP, INSN_NO_REG,
		 1, INSN_NO_REG, false, false, 0, ~0ull},
		/* bts word [disp32], 15 with a SIB that has neither base nor index */
		{"66 0f ba 2c 25 00 10 00 00 0f", 64, INSN_BTS, INSN_MEM_IMM, 2, 2, 8, SREG_DS,
		 INSN_NO_REG, INSN_NO_REG, 1, INSN_NO_REG, false, false, 0x1000, 15},
		/* movsxd rax, dword [r13+0]: base 5 with mod 1; R13 does not mean SS */
		{"49 63 45 00", 64, INSN_MOVSX, INSN_REG_MEM, 8, 4, 8, SREG_DS, GPR_R13,
		 INSN_NO_REG, 1, GPR_RAX, false, false, 0, 0},
		/* an index of 4 with REX.X is R12 */
		{"42 8b 04 a0", 64, INSN_MOV, INSN_REG_MEM, 4, 4, 8, SREG_DS, GPR_RAX, GPR_R12, 4,
		 GPR_RAX, false, false, 0, 0},
		/* nor does REX.B give a base where mod 0 with SIB base 5 says none */
		{"67 4f c6 04 cd 8d c8 c5 49 9f", 64, INSN_MOV, INSN_MEM_IMM, 1, 1, 4, SREG_DS,
		 INSN_NO_REG, GPR_R9, 8, INSN_NO_REG, false, false, 0x49c5c88d, ~0x60ull},
		/* 64-bit mode ignores an ES override, and it does not cancel FS */
		{"64 26 8b 00", 64, INSN_MOV, INSN_REG_MEM, 4, 4, 8, SREG_FS, GPR_RAX, INSN_NO_REG,
		 1, GPR_RAX, false, false, 0, 0},
	};
	struct insn insn;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].hex);
		assert_int_equal(decode(cases[i].hex, cases[i].mode, &insn), 0);
		assert_int_equal(insn.length, (strlen(cases[i].hex) + 1) / 3);
		assert_int_equal(insn.op, cases[i].op);
		assert_int_equal(insn.form, cases[i].form);
		assert_int_equal(insn.opsize, cases[i].opsize);
		assert_int_equal(insn.memsize, cases[i].memsize);
		assert_int_equal(insn.addrsize, cases[i].addrsize);
		assert_int_equal(insn.seg, cases[i].seg);
		assert_int_equal(insn.base, cases[i].base);
		assert_int_equal(insn.index, cases[i].index);
		assert_int_equal(insn.scale, cases[i].scale);
		assert_int_equal(insn.reg, cases[i].reg);
		assert_int_equal(insn.reg_high, cases[i].high);
		assert_int_equal(insn.rip_relative, cases[i].rip);
		assert_int_equal(insn.disp, cases[i].disp);
		assert_int_equal(insn.imm, cases[i].imm);
	}
}

static void refuses_everything_else(void **state)
{
	static const struct {
		const char *hex;
		unsigned mode;
		int error;
	} cases[] = {
		{"89 c8", 64, -EOPNOTSUPP},		  /* no memory operand */
		{"f0 89 08", 64, -EOPNOTSUPP},		  /* lock mov */
		{"f0 03 08", 64, -EOPNOTSUPP},		  /* lock add reg, mem */
		{"f0 39 08", 64, -EOPNOTSUPP},		  /* lock cmp */
		{"f0 0f a3 08", 64, -EOPNOTSUPP},	  /* lock bt */
		{"f0 a4", 64, -EOPNOTSUPP},		  /* lock movs */
		{"63 08", 32, -EOPNOTSUPP},		  /* arpl */
		{"c7 48 00 00 00 00 00", 64, -EOPNOTSUPP}, /* c7 /1 */
		{"fe 10", 64, -EOPNOTSUPP},		  /* fe /2 */
		{"ff 30", 64, -EOPNOTSUPP},		  /* push m */
		{"f7 20", 64, -EOPNOTSUPP},		  /* mul m */
		{"0f ba 00 01", 64, -EOPNOTSUPP},	  /* 0f ba /0 */
		{"0f 10 00", 64, -EOPNOTSUPP},		  /* movups */
		{"c4 e2 78 f7 00", 64, -EOPNOTSUPP},	  /* VEX */
		{"0f 01 d0", 64, -EOPNOTSUPP},		  /* xgetbv */
		{"a6", 64, -EOPNOTSUPP},		  /* cmps */
		/* 15 bytes are an instruction, 16 are not */
		{"66 66 66 66 66 66 66 66 66 66 66 66 66 8b 00", 64, 0},
		{"66 66 66 66 66 66 66 66 66 66 66 66 66 66 8b 00", 64, -EOPNOTSUPP},
		{"66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 66", 64, -EOPNOTSUPP},
		{"", 64, -EAGAIN},
		{"66", 64, -EAGAIN},
		{"0f", 64, -EAGAIN},
		{"8b", 64, -EAGAIN},
		{"8b 04", 64, -EAGAIN},
		{"8b 80 00 00 00", 64, -EAGAIN},
		{"c7 00 00 00 00", 64, -EAGAIN},
	};
	struct insn insn;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].hex);
		assert_int_equal(decode(cases[i].hex, cases[i].mode, &insn), cases[i].error);
	}
}

static const struct {
	ZydisMnemonic mnemonic;
	u8 op;
} mnemonics[] = {
	{ZYDIS_MNEMONIC_ADD, INSN_ADD},	    {ZYDIS_MNEMONIC_OR, INSN_OR},
	{ZYDIS_MNEMONIC_ADC, INSN_ADC},	    {ZYDIS_MNEMONIC_SBB, INSN_SBB},
	{ZYDIS_MNEMONIC_AND, INSN_AND},	    {ZYDIS_MNEMONIC_SUB, INSN_SUB},
	{ZYDIS_MNEMONIC_XOR, INSN_XOR},	    {ZYDIS_MNEMONIC_CMP, INSN_CMP},
	{ZYDIS_MNEMONIC_TEST, INSN_TEST},   {ZYDIS_MNEMONIC_MOV, INSN_MOV},
	{ZYDIS_MNEMONIC_MOVZX, INSN_MOVZX}, {ZYDIS_MNEMONIC_MOVSX, INSN_MOVSX},
	{ZYDIS_MNEMONIC_MOVSXD, INSN_MOVSX},{ZYDIS_MNEMONIC_XCHG, INSN_XCHG},
	{ZYDIS_MNEMONIC_XADD, INSN_XADD},   {ZYDIS_MNEMONIC_CMPXCHG, INSN_CMPXCHG},
	{ZYDIS_MNEMONIC_INC, INSN_INC},	    {ZYDIS_MNEMONIC_DEC, INSN_DEC},
	{ZYDIS_MNEMONIC_NOT, INSN_NOT},	    {ZYDIS_MNEMONIC_NEG, INSN_NEG},
	{ZYDIS_MNEMONIC_BT, INSN_BT},	    {ZYDIS_MNEMONIC_BTS, INSN_BTS},
	{ZYDIS_MNEMONIC_BTR, INSN_BTR},	    {ZYDIS_MNEMONIC_BTC, INSN_BTC},
	{ZYDIS_MNEMONIC_MOVSB, INSN_MOVS},  {ZYDIS_MNEMONIC_MOVSW, INSN_MOVS},
	{ZYDIS_MNEMONIC_MOVSD, INSN_MOVS},  {ZYDIS_MNEMONIC_MOVSQ, INSN_MOVS},
	{ZYDIS_MNEMONIC_STOSB, INSN_STOS},  {ZYDIS_MNEMONIC_STOSW, INSN_STOS},
	{ZYDIS_MNEMONIC_STOSD, INSN_STOS},  {ZYDIS_MNEMONIC_STOSQ, INSN_STOS},
	{ZYDIS_MNEMONIC_LODSB, INSN_LODS},  {ZYDIS_MNEMONIC_LODSW, INSN_LODS},
	{ZYDIS_MNEMONIC_LODSD, INSN_LODS},  {ZYDIS_MNEMONIC_LODSQ, INSN_LODS},
	{ZYDIS_MNEMONIC_INSB, INSN_INS},    {ZYDIS_MNEMONIC_INSW, INSN_INS},
	{ZYDIS_MNEMONIC_INSD, INSN_INS},    {ZYDIS_MNEMONIC_OUTSB, INSN_OUTS},
	{ZYDIS_MNEMONIC_OUTSW, INSN_OUTS},  {ZYDIS_MNEMONIC_OUTSD, INSN_OUTS},
};

static u8 op_of(ZydisMnemonic mnemonic)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mnemonics); i++)
		if (mnemonics[i].mnemonic == mnemonic)
			return mnemonics[i].op;
	return INSN_NONE;
}

struct oracle {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const ZydisDecodedOperand *mem, *reg, *imm;
	bool valid;
};

static void ask_oracle(const ZydisDecoder *decoder, const u8 *bytes, size_t len, struct oracle *o)
{
	bool string;
	unsigned i;

	o->mem = o->reg = o->imm = NULL;
	o->valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, bytes, len, &o->insn, o->op));
	if (!o->valid)
		return;
	string = o->insn.meta.category == ZYDIS_CATEGORY_STRINGOP ||
		 o->insn.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
	for (i = 0; i < o->insn.operand_count; i++) {
		const ZydisDecodedOperand *op = &o->op[i];

		if (!string && op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			continue;
		/* Of a MOVS the source, which alone can be overridden, is looked at. */
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (!o->mem || op->mem.base == ZYDIS_REGISTER_RSI || op->mem.base == ZYDIS_REGISTER_ESI ||
		     op->mem.base == ZYDIS_REGISTER_SI))
			o->mem = op;
		else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && !string)
			o->reg = op;
		else if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			o->imm = op;
	}
}

static u8 number_of(ZydisRegister reg, bool *high)
{
	*high = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
	if (*high)
		return (u8)(reg - ZYDIS_REGISTER_AH);
	/* Zydis numbers AH to BH between BL and SPL. */
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return (u8)(reg - ZYDIS_REGISTER_SPL + GPR_RSP);
	return reg == ZYDIS_REGISTER_NONE ? INSN_NO_REG : (u8)ZydisRegisterGetId(reg);
}

static u8 segment_of(ZydisRegister reg)
{
	return (u8)ZydisRegisterGetId(reg);
}

#define AGREE(ours, theirs)                                                                       \
	do {                                                                                      \
		if ((u64)(ours) != (u64)(theirs)) {                                               \
			fprintf(stderr, #ours " %#llx, oracle %#llx\n", (unsigned long long)(ours), \
				(unsigned long long)(theirs));                                    \
			return false;                                                             \
		}                                                                                 \
	} while (0)

static bool address_agrees(const struct insn *insn, const struct oracle *o)
{
	bool high;
	bool rip = o->mem->mem.base == ZYDIS_REGISTER_RIP || o->mem->mem.base == ZYDIS_REGISTER_EIP;

	/*
	 * Zydis 4.0 takes R13D for the base where mod 0 with SIB base 5 means none, if the address
	 * is 32 bits wide and REX.B set. A case of its own covers that.
	 */
	if (insn->addrsize == 4 && o->insn.raw.modrm.mod == 0 && o->insn.raw.sib.base == 5 &&
	    o->mem->mem.base == ZYDIS_REGISTER_R13D)
		return true;
	AGREE(insn->rip_relative, rip);
	AGREE(insn->base, rip ? INSN_NO_REG : number_of(o->mem->mem.base, &high));
	AGREE(insn->index, number_of(o->mem->mem.index, &high));
	if (insn->index != INSN_NO_REG && insn->addrsize != 2)
		AGREE(insn->scale, o->mem->mem.scale);
	AGREE(insn->disp & size_mask(insn->addrsize),
	      (u64)o->mem->mem.disp.value & size_mask(insn->addrsize));
	return true;
}

static bool agrees(const struct insn *insn, const struct oracle *o)
{
	bool high = false;

	AGREE(o->valid, true);
	AGREE(insn->op, op_of(o->insn.mnemonic));
	AGREE(insn->length, o->insn.length);
	AGREE(insn->addrsize * 8, o->insn.address_width);
	/* MOVSXD of 16 bits reads as many by the SDM, 32 by Zydis. */
	if (o->insn.mnemonic != ZYDIS_MNEMONIC_MOVSXD || insn->opsize != 2)
		AGREE(insn->memsize * 8, o->mem->size);
	AGREE(insn->lock, !!(o->insn.attributes & ZYDIS_ATTRIB_HAS_LOCK));
	if (insn->form == INSN_STRING) {
		AGREE(insn->rep, !!(o->insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
							  ZYDIS_ATTRIB_HAS_REPNE)));
		if (insn->op == INSN_STOS || insn->op == INSN_INS)
			return true;
		AGREE(insn->seg, segment_of(o->mem->mem.segment));
		return true;
	}
	AGREE(insn->seg, segment_of(o->mem->mem.segment));
	AGREE(insn->opsize, o->op[0].size / 8);
	AGREE(insn->form == INSN_REG_MEM, o->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER);
	AGREE(insn->form == INSN_MEM_IMM, o->imm != NULL);
	AGREE(insn->form == INSN_MEM, !o->imm && !o->reg);
	AGREE(insn->reg, o->reg ? number_of(o->reg->reg.value, &high) : INSN_NO_REG);
	AGREE(insn->reg_high, high);
	if (o->imm) { /* of the bit offset of BT and kin the low bits count */
		unsigned size = o->imm->imm.is_signed ? insn->opsize : o->imm->size / 8;

		AGREE(insn->imm & size_mask(size), o->imm->imm.value.u & size_mask(size));
	}
	return address_agrees(insn, o);
}

/* True where the oracle sees an instruction that the decoder must know. */
static bool in_supported_set(const struct oracle *o)
{
	return o->valid && o->mem && o->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	       op_of(o->insn.mnemonic) != INSN_NONE && o->insn.opcode != 0x82 &&
	       !(o->insn.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
		 (o->insn.opcode == 0x8c || o->insn.opcode == 0x8e)) &&
	       !(o->insn.opcode_map == ZYDIS_OPCODE_MAP_0F && o->insn.opcode < 0xa0);
}

static u64 random_state = 0x1234567;

static u32 random32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (u32)(random_state >> 16);
}

static void make_input(u8 *bytes)
{
	static const u8 prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0,
				      0xf2, 0xf3, 0x40, 0x44, 0x48, 0x4f, 0x66, 0x67, 0x48};
	static const u8 opcodes[] = {0x63, 0x6c, 0x6d, 0x6e, 0x6f, 0x80, 0x81, 0x83, 0x84, 0x85,
				     0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0xa0, 0xa1, 0xa2, 0xa3,
				     0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xc6, 0xc7, 0xf6, 0xf7,
				     0xfe, 0xff};
	static const u8 second[] = {0xa3, 0xab, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7,
				    0xba, 0xbb, 0xbe, 0xbf, 0xc0, 0xc1};
	unsigned i, n = 0, kind = random32() % 8;

	for (i = 0; i < DECODE_MAX_LENGTH; i++)
		bytes[i] = (u8)random32();
	if (kind == 0)
		return;
	while (n < 12 && random32() % 5 < 2)
		bytes[n++] = prefixes[random32() % sizeof(prefixes)];
	if (kind < 4) {
		bytes[n++] = opcodes[random32() % sizeof(opcodes)];
	} else if (kind < 6) {
		bytes[n++] = 0x0f;
		bytes[n++] = second[random32() % sizeof(second)];
	} else if (kind < 7) {
		bytes[n++] = random32() & 0x3b;
	}
	/* Few register forms, many SIB bytes and RIP-relative ones. */
	if (n < DECODE_MAX_LENGTH && random32() % 8)
		bytes[n] = (u8)((bytes[n] & 0x38) | (random32() % 3) << 6 | random32() % 8);
}

static void agrees_with_zydis(void **state)
{
	static const struct {
		ZydisMachineMode machine;
		ZydisStackWidth stack;
		unsigned mode;
	} modes[] = {
		{ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16, 16},
		{ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, 32},
		{ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, 64},
	};
	unsigned count = 700000, accepted[3] = {0}, i, m;
	ZydisDecoder decoder[3];
	u8 *bytes = malloc(DECODE_MAX_LENGTH);

	(void)state;
	if (getenv("DECODE_INPUTS"))
		count = (unsigned)strtoul(getenv("DECODE_INPUTS"), NULL, 0);
	for (m = 0; m < 3; m++)
		ZydisDecoderInit(&decoder[m], modes[m].machine, modes[m].stack);
	for (i = 0; i < count; i++) {
		size_t len = random32() % 4 ? DECODE_MAX_LENGTH : random32() % DECODE_MAX_LENGTH;
		u8 *start = bytes + DECODE_MAX_LENGTH - len; /* ends where the sanitizer watches */
		u8 input[DECODE_MAX_LENGTH];

		make_input(input);
		memcpy(start, input, len);
		for (m = 0; m < 3; m++) {
			struct insn insn;
			struct oracle o;
			int error = decode_insn(start, len, modes[m].mode, &insn);
			bool fine;

			ask_oracle(&decoder[m], start, len, &o);
			fine = error ? !in_supported_set(&o) : agrees(&insn, &o);
			/* Bytes that end early must be told apart from a refusal. */
			if (error == -EAGAIN && len == DECODE_MAX_LENGTH)
				fine = false;
			if (!fine) {
				for (m = 0; m < len; m++)
					fprintf(stderr, "%02x ", start[m]);
				fail_msg("mode %u, error %d, oracle %s", insn.addrsize * 8, error,
					 o.valid ? ZydisMnemonicGetString(o.insn.mnemonic) : "none");
			}
			accepted[m] += !error;
		}
	}
	free(bytes);
	print_message("accepted of %u: %u 16-bit, %u 32-bit, %u 64-bit\n", count, accepted[0],
		      accepted[1], accepted[2]);
	for (m = 0; m < 3; m++)
		assert_true(accepted[m] > count / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_the_documented_forms),
		cmocka_unit_test(refuses_everything_else),
		cmocka_unit_test(agrees_with_zydis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
