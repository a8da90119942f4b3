/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/emulate.c vmm/decode.c vmm/gwalk.c tests/unit/fake_gmem.c */
/*
 * The emulator. Instructions run twice, once on the host CPU and once emulated
 * with their operand in a device, and must agree in registers, memory and
 * defined flags. Then segments, paging, splits, strings, ports and fetching by
 * hand-made cases from the manual.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "tests/unit/fake_gmem.h"
#include "vmm/emulate.h"
#include "vmm/emulator.h"
#include "vmm/gmem.h"
#include "vmm/gwalk.h"

#define RAM_SIZE  0x200000ull
#define CODE	  0x10000ull  /* where instructions stand, identity-mapped */
#define TABLES	  0x20000ull  /* PML4, PDPT, PD, PT */
#define VGA	  0xa0000ull  /* no RAM, right behind RAM's page 9F000 */
#define DEVICE	  0xc0000000ull
#define UNMAPPED  0x100001000ull /* linear, not present; the page before it is RAM at 3000 */

struct event {
	char kind; /* 'r', 'w' memory; 'i', 'o' port */
	u64 where;
	unsigned size;
	u64 value;
};

static struct env {
	struct vm *vm;
	struct emulator em;
	u8 device[8192]; /* at DEVICE and at VGA */
	struct event events[2048];
	unsigned count;
	long vcpu; /* stands for one */
} e;

static void record(char kind, u64 where, unsigned size, u64 value)
{
	assert_true(e.count < sizeof(e.events) / sizeof(e.events[0]));
	e.events[e.count++] = (struct event){kind, where, size, value};
}

u64 emulator_read(struct vcpu *vcpu, enum emulator_bus bus, u64 addr, unsigned size)
{
	u64 value = 0xa5a5a5a5a5a5a5a5; /* what is above `size` must not come through */

	assert_ptr_equal(vcpu, &e.vcpu);
	assert_true(size == 1 || size == 2 || size == 4 || (size == 8 && bus == EMULATOR_MEMORY));
	if (bus == EMULATOR_PORTS) {
		record('i', addr, size, 0);
		return 0x04030201 + e.count * 0x01010101;
	}
	memcpy(&value, &e.device[addr & 4095], size);
	record('r', addr, size, value & size_mask(size));
	return value;
}

void emulator_write(struct vcpu *vcpu, enum emulator_bus bus, u64 addr, unsigned size, u64 value)
{
	assert_ptr_equal(vcpu, &e.vcpu);
	assert_true(size == 1 || size == 2 || size == 4 || (size == 8 && bus == EMULATOR_MEMORY));
	assert_int_equal(value & ~size_mask(size), 0);
	if (bus == EMULATOR_MEMORY)
		memcpy(&e.device[addr & 4095], &value, size);
	record(bus == EMULATOR_PORTS ? 'o' : 'w', addr, size, value);
}

static void assert_event(unsigned i, char kind, u64 where, unsigned size, u64 value)
{
	assert_true(i < e.count);
	assert_int_equal(e.events[i].kind, kind);
	assert_int_equal(e.events[i].where, where);
	assert_int_equal(e.events[i].size, size);
	assert_int_equal(e.events[i].value, value);
}

static u32 get32(const u8 *from)
{
	u32 value;

	memcpy(&value, from, sizeof(value));
	return value;
}

static void poke64(u64 gpa, u64 value)
{
	memcpy(fake_gmem_at(e.vm, gpa, 8), &value, 8);
}

/* A fresh vCPU with flat segments; mode 16 is real mode, 32 unpaged, 64 paged. */
static void reset(unsigned mode)
{
	unsigned i;

	fake_gmem_clear(e.vm);
	e.em = (struct emulator){.vm = e.vm, .vcpu = (void *)&e.vcpu, .maxphyaddr = 40};
	e.count = 0;
	e.em.regs.rip = CODE;
	e.em.regs.rflags = RFLAGS_ONE;
	e.em.sregs.cr0 = mode == 16 ? 0 : CR0_PE | (mode == 64 ? CR0_PG | CR0_WP : 0);
	for (i = 0; i < SREG_COUNT; i++)
		e.em.sregs.seg[i] = (struct vcpu_segment){
			.limit = mode == 16 ? 0xffff : ~0u, .type = i == SREG_CS ? 11 : 3,
			.s = true, .present = true, .db = mode == 32};
	if (mode == 16)
		e.em.sregs.seg[SREG_CS].base = e.em.regs.rip = CODE / 2;
	if (mode == 64) {
		e.em.sregs.seg[SREG_CS].l = true;
		e.em.sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
		e.em.sregs.cr4 = CR4_PAE;
		e.em.sregs.cr3 = TABLES;
		poke64(TABLES, (TABLES + 0x1000) | 7);
		poke64(TABLES + 511 * 8, (TABLES + 0x1000) | 7);
		for (i = 0; i < 4; i++)
			poke64(TABLES + 0x1000 + i * 8, (u64)i << 30 | 0x87);
		poke64(TABLES + 0x1000 + 511 * 8, 0x87);
		poke64(TABLES + 0x1000 + 4 * 8, (TABLES + 0x2000) | 7);
		poke64(TABLES + 0x2000, (TABLES + 0x3000) | 7);
		poke64(TABLES + 0x3000, 0x3000 | 7);
	}
}

static void place_bytes(const u8 *bytes, size_t len)
{
	u64 linear = (e.em.sregs.efer & EFER_LMA ? 0 : e.em.sregs.seg[SREG_CS].base) + e.em.regs.rip;

	memcpy(fake_gmem_at(e.vm, linear, len), bytes, len);
}

/* Decodes what stands at RIP and executes it, as vmm/emulator.c does. */
static enum emulate_result run_at_rip(unsigned port)
{
	const struct vcpu_segment *cs = &e.em.sregs.seg[SREG_CS];
	bool lma = e.em.sregs.efer & EFER_LMA;
	const u8 *from = fake_gmem_at(e.vm, (lma ? 0 : cs->base) + e.em.regs.rip, DECODE_MAX_LENGTH);
	struct insn insn;

	if (decode_insn(from, DECODE_MAX_LENGTH, lma && cs->l ? 64 : cs->db ? 32 : 16, &insn))
		return EMULATE_UNSUPPORTED;
	return emulate_insn(&e.em, &insn, port);
}

static enum emulate_result run_bytes(const u8 *bytes, size_t len)
{
	place_bytes(bytes, len);
	return run_at_rip(EMULATE_NO_PORT);
}

static enum emulate_result run_port(u16 port, const u8 *bytes, size_t len)
{
	place_bytes(bytes, len);
	return run_at_rip(port);
}

#define RUN(...) run_bytes((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
#define RUN_PORT(port, ...)                                                             \
	run_port(port, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static void assert_fault(enum emulate_result result, u8 vector, bool has_error, u32 error)
{
	assert_int_equal(result, EMULATE_FAULT);
	assert_int_equal(e.em.fault.vector, vector);
	assert_int_equal(e.em.fault.has_error, has_error);
	assert_int_equal(e.em.fault.error, error);
	assert_int_equal(e.count, 0);
}

/* The host CPU as the oracle. */

struct host_state {
	u64 rax, rcx, rdx, rbx, rsi, rdi, r8, flags;
};

static void run_on_host(void *code, struct host_state *s)
{
	register u64 r8 __asm__("r8") = s->r8;
	register u64 flags __asm__("r9") = s->flags;
	register void *fn __asm__("r10") = code;

	/* Below the red zone; with DF clear again for the compiler. */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %%r9\n\tpopf\n\tcall *%%r10\n\t"
			 "pushf\n\tpop %%r9\n\tcld\n\tlea 128(%%rsp), %%rsp"
			 : "+a"(s->rax), "+c"(s->rcx), "+d"(s->rdx), "+b"(s->rbx), "+S"(s->rsi),
			   "+D"(s->rdi), "+r"(r8), "+r"(flags), "+r"(fn)
			 :
			 : "memory", "cc");
	s->r8 = r8;
	s->flags = flags;
}

#define ALL_FLAGS   (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define LOGIC_FLAGS (ALL_FLAGS & ~RFLAGS_AF) /* AF is undefined */
#define BIT_FLAGS   (RFLAGS_CF | RFLAGS_ZF)  /* ZF stays, the rest is undefined */

/* Opcodes with a ModRM; those with one byte and full size differ in bit 0. */
static const struct template {
	u8 bytes[2], len;
	bool sized;	 /* bit 0 chooses the operand size */
	bool high;	 /* takes byte registers */
	int digit;	 /* ModRM.reg, or -1: a register */
	char imm;	 /* 'b', 'z' (2 or 4 by operand size, 1 for byte forms) or 0 */
	bool bit_offset; /* a register operand moves the address */
	u64 flags;
} templates[] = {
	{{0x00}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* ADD m, r */
	{{0x02}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* ADD r, m */
	{{0x08}, 1, true, true, -1, 0, false, LOGIC_FLAGS},  /* OR */
	{{0x0a}, 1, true, true, -1, 0, false, LOGIC_FLAGS},
	{{0x10}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* ADC */
	{{0x12}, 1, true, true, -1, 0, false, ALL_FLAGS},
	{{0x18}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* SBB */
	{{0x1a}, 1, true, true, -1, 0, false, ALL_FLAGS},
	{{0x20}, 1, true, true, -1, 0, false, LOGIC_FLAGS},  /* AND */
	{{0x22}, 1, true, true, -1, 0, false, LOGIC_FLAGS},
	{{0x28}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* SUB */
	{{0x2a}, 1, true, true, -1, 0, false, ALL_FLAGS},
	{{0x30}, 1, true, true, -1, 0, false, LOGIC_FLAGS},  /* XOR */
	{{0x32}, 1, true, true, -1, 0, false, LOGIC_FLAGS},
	{{0x38}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* CMP */
	{{0x3a}, 1, true, true, -1, 0, false, ALL_FLAGS},
	{{0x80}, 1, true, true, 0, 'z', false, ALL_FLAGS},
	{{0x80}, 1, true, true, 1, 'z', false, LOGIC_FLAGS},
	{{0x80}, 1, true, true, 2, 'z', false, ALL_FLAGS},
	{{0x80}, 1, true, true, 3, 'z', false, ALL_FLAGS},
	{{0x80}, 1, true, true, 4, 'z', false, LOGIC_FLAGS},
	{{0x80}, 1, true, true, 5, 'z', false, ALL_FLAGS},
	{{0x80}, 1, true, true, 6, 'z', false, LOGIC_FLAGS},
	{{0x80}, 1, true, true, 7, 'z', false, ALL_FLAGS},
	{{0x83}, 1, false, true, 2, 'b', false, ALL_FLAGS},
	{{0x83}, 1, false, true, 5, 'b', false, ALL_FLAGS},
	{{0x84}, 1, true, true, -1, 0, false, LOGIC_FLAGS},  /* TEST */
	{{0xf6}, 1, true, true, 0, 'z', false, LOGIC_FLAGS},
	{{0xf6}, 1, true, true, 1, 'z', false, LOGIC_FLAGS},
	{{0xf6}, 1, true, true, 2, 0, false, ALL_FLAGS},     /* NOT */
	{{0xf6}, 1, true, true, 3, 0, false, ALL_FLAGS},     /* NEG */
	{{0xfe}, 1, true, true, 0, 0, false, ALL_FLAGS},     /* INC */
	{{0xfe}, 1, true, true, 1, 0, false, ALL_FLAGS},     /* DEC */
	{{0x86}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* XCHG */
	{{0x88}, 1, true, true, -1, 0, false, ALL_FLAGS},    /* MOV */
	{{0x8a}, 1, true, true, -1, 0, false, ALL_FLAGS},
	{{0xc6}, 1, true, true, 0, 'z', false, ALL_FLAGS},
	{{0x63}, 1, false, false, -1, 0, false, ALL_FLAGS},  /* MOVSXD */
	{{0x0f, 0xb6}, 2, true, false, -1, 0, false, ALL_FLAGS}, /* MOVZX */
	{{0x0f, 0xbe}, 2, true, false, -1, 0, false, ALL_FLAGS}, /* MOVSX */
	{{0x0f, 0xc0}, 2, true, true, -1, 0, false, ALL_FLAGS},  /* XADD */
	{{0x0f, 0xb0}, 2, true, true, -1, 0, false, ALL_FLAGS},  /* CMPXCHG */
	{{0x0f, 0xa3}, 2, false, false, -1, 0, true, BIT_FLAGS},
	{{0x0f, 0xab}, 2, false, false, -1, 0, true, BIT_FLAGS},
	{{0x0f, 0xb3}, 2, false, false, -1, 0, true, BIT_FLAGS},
	{{0x0f, 0xbb}, 2, false, false, -1, 0, true, BIT_FLAGS},
	{{0x0f, 0xba}, 2, false, false, 4, 'b', false, BIT_FLAGS},
	{{0x0f, 0xba}, 2, false, false, 5, 'b', false, BIT_FLAGS},
	{{0x0f, 0xba}, 2, false, false, 6, 'b', false, BIT_FLAGS},
	{{0x0f, 0xba}, 2, false, false, 7, 'b', false, BIT_FLAGS},
};

static u64 seed = 0x9e3779b97f4a7c15;

/* Values near the corners of all sizes, and random ones. */
static u64 interesting(void)
{
	static const u64 corners[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
				      0x80000000, 0xffffffff, 0x7fffffffffffffff,
				      0x8000000000000000, ~0ull, 0x0f, 0x10};
	u64 r = fake_random(&seed);

	return r & 1 ? corners[(r >> 8) % ARRAY_SIZE(corners)] : fake_random(&seed);
}

/* Writes one instruction on [rdi] from the template; returns its length. */
static unsigned make_insn(const struct template *t, u8 *code)
{
	u64 r = fake_random(&seed);
	unsigned n = 0, i, reg = r >> 8 & 7, size = 4;
	bool full = t->sized && (r & 1), byte = t->sized && !full && t->high;
	u64 imm = interesting();

	if ((r >> 1 & 3) == 1) {
		code[n++] = 0x66;
		size = 2;
	}
	if ((r >> 1 & 3) == 2)
		code[n++] = 0x48;
	/* RSP, RBP, RSI, RDI stay out of it; as byte registers without REX 4-7 are AH to BH. */
	if (n && code[n - 1] == 0x48)
		reg &= 3;
	else if (!byte)
		reg &= 3;
	if ((r >> 3 & 7) == 0 && t->digit < 0) {
		if (n && code[n - 1] == 0x48)
			code[n - 1] |= 4;
		else
			code[n++] = 0x44;
		reg = 0; /* R8 */
	}
	for (i = 0; i < t->len; i++)
		code[n++] = t->bytes[i];
	code[n - 1] |= full;
	code[n++] = (u8)((t->digit < 0 ? reg : (unsigned)t->digit) << 3 | 7);
	if (t->imm)
		for (i = 0; i < (t->imm == 'b' || byte ? 1 : size); i++)
			code[n++] = (u8)(imm >> 8 * i);
	return n;
}

static void compare_with_host(const u8 *code, unsigned len, u8 *page, u64 flags_mask)
{
	static u8 host_memory[256] __attribute__((aligned(64)));
	struct host_state s = {interesting(), interesting(), interesting(), interesting(),
			       0, (u64)(host_memory + 128), interesting(),
			       RFLAGS_ONE | RFLAGS_IF | (fake_random(&seed) & ALL_FLAGS)};
	unsigned i;

	for (i = 0; i < 256; i++)
		host_memory[i] = (u8)(interesting() >> (i & 7) * 8);
	if (flags_mask == BIT_FLAGS) { /* bit offsets within the memory that is there */
		s.rax = (u64)((s64)(s.rax << 54) >> 54);
		s.rcx = (u64)((s64)(s.rcx << 54) >> 54);
		s.rdx = (u64)((s64)(s.rdx << 54) >> 54);
		s.rbx = (u64)((s64)(s.rbx << 54) >> 54);
		s.r8 = (u64)((s64)(s.r8 << 54) >> 54);
	}
	if (fake_random(&seed) & 1) /* let CMPXCHG succeed at times */
		memcpy(host_memory + 128, &s.rax, 8);
	e.count = 0;
	memcpy(e.device + 1024, host_memory, 256);
	e.em.regs = (struct vcpu_regs){.rip = CODE, .rflags = s.flags};
	e.em.regs.gpr[GPR_RAX] = s.rax;
	e.em.regs.gpr[GPR_RCX] = s.rcx;
	e.em.regs.gpr[GPR_RDX] = s.rdx;
	e.em.regs.gpr[GPR_RBX] = s.rbx;
	e.em.regs.gpr[GPR_R8] = s.r8;
	e.em.regs.gpr[GPR_RDI] = DEVICE + 1024 + 128;
	memcpy(page, code, len);
	page[len] = 0xc3;
	run_on_host(page, &s);
	if (run_bytes(code, len) != EMULATE_DONE || e.em.regs.rip != CODE + len ||
	    e.em.regs.gpr[GPR_RAX] != s.rax || e.em.regs.gpr[GPR_RCX] != s.rcx ||
	    e.em.regs.gpr[GPR_RDX] != s.rdx || e.em.regs.gpr[GPR_RBX] != s.rbx ||
	    e.em.regs.gpr[GPR_R8] != s.r8 || ((e.em.regs.rflags ^ s.flags) & flags_mask) ||
	    ((e.em.regs.rflags ^ s.flags) & ~ALL_FLAGS & ~RFLAGS_ONE) ||
	    memcmp(e.device + 1024, host_memory, 256)) {
		for (i = 0; i < len; i++)
			fprintf(stderr, "%02x ", code[i]);
		fail_msg("rax %llx %llx flags %llx %llx", (unsigned long long)e.em.regs.gpr[GPR_RAX],
			 (unsigned long long)s.rax, (unsigned long long)e.em.regs.rflags,
			 (unsigned long long)s.flags);
	}
}

static void agrees_with_the_host_cpu(void **state)
{
	u8 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned i, t;
	u8 code[DECODE_MAX_LENGTH];

	(void)state;
	assert_true(page != MAP_FAILED);
	reset(64);
	for (t = 0; t < ARRAY_SIZE(templates); t++)
		for (i = 0; i < 2000; i++)
			compare_with_host(code, make_insn(&templates[t], code), page,
					  templates[t].flags);
	munmap(page, 4096);
}

static void touches_the_device_as_the_cpu_does(void **state)
{
	(void)state;
	reset(64);
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	e.em.regs.gpr[GPR_RAX] = 0x1122334455667788;
	assert_int_equal(RUN(0x48, 0x89, 0x07), EMULATE_DONE); /* mov [rdi], rax: no read */
	assert_int_equal(e.count, 1);
	assert_event(0, 'w', DEVICE, 8, 0x1122334455667788);
	e.count = 0;
	assert_int_equal(RUN(0xf6, 0x07, 0x01), EMULATE_DONE); /* test byte [rdi], 1: no write */
	assert_int_equal(e.count, 1);
	assert_event(0, 'r', DEVICE, 1, 0x88);
	e.count = 0;
	assert_int_equal(RUN(0x80, 0x07, 0x01), EMULATE_DONE); /* add byte [rdi], 1 */
	assert_int_equal(e.count, 2);
	assert_event(1, 'w', DEVICE, 1, 0x89);
	/* a failing cmpxchg writes back what it read */
	e.count = 0;
	e.em.regs.gpr[GPR_RAX] = 0;
	assert_int_equal(RUN(0x0f, 0xb0, 0x0f), EMULATE_DONE);
	assert_int_equal(e.count, 2);
	assert_event(1, 'w', DEVICE, 1, 0x89);
	/* mov al, moffs64 */
	e.count = 0;
	assert_int_equal(RUN(0xa0, 0x10, 0, 0, 0xc0, 0, 0, 0, 0), EMULATE_DONE);
	assert_event(0, 'r', DEVICE + 0x10, 1, e.device[16]);
	/* mov eax, [rip + disp32] counts from the end of the instruction */
	e.count = 0;
	e.em.regs.rip = CODE;
	poke64(TABLES + 0x1000 + 511 * 8, 0xc0000087);
	assert_int_equal(RUN(0x8b, 0x05, 0xfa, 0xff, 0xfe, 0xbf), EMULATE_DONE);
	assert_event(0, 'r', DEVICE, 4, get32(e.device));
	/* base, index, scale and displacement */
	reset(32);
	e.em.regs.gpr[GPR_RBX] = 0xc0000000;
	e.em.regs.gpr[GPR_RCX] = 2;
	e.count = 0;
	assert_int_equal(RUN(0x8b, 0x44, 0x8b, 0x08), EMULATE_DONE); /* mov eax, [ebx+ecx*4+8] */
	assert_event(0, 'r', DEVICE + 0x10, 4, get32(e.device + 16));
}

static void splits_at_page_ends(void **state)
{
	u8 *end = NULL;

	(void)state;
	reset(64);
	end = fake_gmem_at(e.vm, VGA - 8, 8);
	e.em.regs.gpr[GPR_RDI] = VGA - 3;
	e.em.regs.gpr[GPR_RAX] = 0x8877665544332211;
	assert_int_equal(RUN(0x48, 0x89, 0x07), EMULATE_DONE); /* 3 bytes RAM, 5 device */
	assert_memory_equal(end + 5, "\x11\x22\x33", 3);
	assert_int_equal(e.count, 2);
	assert_event(0, 'w', VGA, 4, 0x77665544);
	assert_event(1, 'w', VGA + 4, 1, 0x88);
	e.em.regs.gpr[GPR_RAX] = 0;
	assert_int_equal(RUN(0x48, 0x8b, 0x07), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RAX], 0x8877665544332211);
	/* device to device, 1 + 3 bytes */
	e.count = 0;
	e.em.regs.gpr[GPR_RDI] = DEVICE + 4095;
	assert_int_equal(RUN(0x89, 0x07), EMULATE_DONE);
	assert_int_equal(e.count, 3);
	assert_event(0, 'w', DEVICE + 4095, 1, 0x11);
	assert_event(1, 'w', DEVICE + 4096, 2, 0x3322);
	assert_event(2, 'w', DEVICE + 4098, 1, 0x44);
	/* misaligned within a page is one access */
	e.count = 0;
	e.em.regs.gpr[GPR_RDI] = DEVICE + 13;
	assert_int_equal(RUN(0x89, 0x07), EMULATE_DONE);
	assert_int_equal(e.count, 1);
	assert_event(0, 'w', DEVICE + 13, 4, 0x44332211);
}

static void raises_page_faults(void **state)
{
	struct vcpu_regs before;

	(void)state;
	reset(64);
	e.em.regs.gpr[GPR_RDI] = UNMAPPED + 0x123;
	before = e.em.regs;
	assert_fault(RUN(0x89, 0x07), VECTOR_PF, true, PF_WRITE);
	assert_int_equal(e.em.fault.cr2, UNMAPPED + 0x123);
	assert_memory_equal(&before, &e.em.regs, sizeof(before));
	/* a read-modify-write asks for the right to write before it reads */
	assert_fault(RUN(0x80, 0x07, 1), VECTOR_PF, true, PF_WRITE);
	assert_fault(RUN(0x80, 0x3f, 1), VECTOR_PF, true, 0); /* cmp */
	/* the second page of a crossing access, before the first is touched */
	e.em.regs.gpr[GPR_RDI] = UNMAPPED - 2;
	e.em.regs.gpr[GPR_RAX] = ~0ull;
	assert_fault(RUN(0x89, 0x07), VECTOR_PF, true, PF_WRITE);
	assert_int_equal(e.em.fault.cr2, UNMAPPED);
	assert_int_equal(*(u16 *)fake_gmem_at(e.vm, 0x3ffe, 2), 0);
	/* user mode on a supervisor's page */
	e.em.sregs.seg[SREG_SS].dpl = 3;
	poke64(TABLES + 0x3000, 0x3000 | 3);
	e.em.regs.gpr[GPR_RDI] = UNMAPPED - 0x10;
	assert_fault(RUN(0x8b, 0x07), VECTOR_PF, true, PF_PRESENT | PF_USER);
	/* SMAP: the kernel on a user's page, unless AC is set */
	e.em.sregs.seg[SREG_SS].dpl = 0;
	e.em.sregs.cr4 |= CR4_SMAP;
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	assert_fault(RUN(0x8b, 0x07), VECTOR_PF, true, PF_PRESENT);
	e.em.regs.rflags |= RFLAGS_AC;
	assert_int_equal(RUN(0x8b, 0x07), EMULATE_DONE);
}

/* Outside 64-bit mode linear addresses wrap at 4 GiB, and so does CR2. */
static void wraps_linear_addresses(void **state)
{
	(void)state;
	reset(32);
	e.em.sregs.cr0 |= CR0_PG;
	e.em.sregs.cr4 = CR4_PSE;
	e.em.sregs.cr3 = TABLES;
	poke64(TABLES, (TABLES + 0x1000) | 7); /* of the first 4 MiB only the code is there */
	poke64(TABLES + 0x1000 + (CODE >> 12) * 4, CODE | 7);
	poke64(TABLES + 1022 * 4, (DEVICE | 0x87) << 32);
	e.em.sregs.seg[SREG_DS].base = 0xfffffffe;
	assert_fault(RUN(0x8b, 0x07), VECTOR_PF, true, 0);
	assert_int_equal(e.em.fault.cr2, 0);
	poke64(TABLES + 0x1000, 0x5000 | 7);
	memcpy(fake_gmem_at(e.vm, 0x5000, 2), "\x34\x12", 2);
	e.device[4094] = 0x78;
	e.device[4095] = 0x56;
	assert_int_equal(RUN(0x8b, 0x07), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RAX], 0x12345678);
	assert_event(0, 'r', DEVICE + 0x3ffffe, 2, 0x5678);
}

static void checks_canonical_addresses(void **state)
{
	static const struct {
		u64 address;
		u8 modrm; /* [rdi] or [rbp+0] */
		int vector;
	} cases[] = {
		{0x0000800000000000, 0x07, VECTOR_GP}, {0x00007ffffffffffd, 0x07, VECTOR_GP},
		{0xffff7fffffffffff, 0x07, VECTOR_GP}, {0x8000000000000000, 0x07, VECTOR_GP},
		{0x0000800000000000, 0x45, VECTOR_SS}, {0xffff7ffffffffffc, 0x45, VECTOR_SS},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(64);
		e.em.regs.gpr[GPR_RDI] = e.em.regs.gpr[GPR_RBP] = cases[i].address;
		assert_fault(RUN(0x8b, cases[i].modrm, 0), (u8)cases[i].vector, true, 0);
	}
	/* From the very top to the bottom is canonical at both ends. */
	reset(64);
	e.em.regs.gpr[GPR_RDI] = ~0ull;
	*fake_gmem_at(e.vm, 0, 1) = 0x77;
	poke64(TABLES + 0x1000 + 511 * 8, 0xc0000087);
	e.device[4095] = 0x66;
	assert_int_equal(RUN(0x66, 0x8b, 0x07), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RAX], 0x7766);
	/* FS and GS bases count in 64-bit mode, DS's does not. */
	e.em.sregs.seg[SREG_FS].base = DEVICE;
	e.em.sregs.seg[SREG_DS].base = 0x5000;
	e.em.regs.gpr[GPR_RDI] = 0x20;
	e.count = 0;
	assert_int_equal(RUN(0x64, 0x8b, 0x07), EMULATE_DONE);
	assert_event(0, 'r', DEVICE + 0x20, 4, get32(e.device + 0x20));
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	assert_int_equal(RUN(0x3e, 0x8b, 0x07), EMULATE_DONE);
	assert_event(1, 'r', DEVICE, 4, get32(e.device));
	/* 67h cuts the offset to 32 bits before the base is added. */
	e.em.regs.gpr[GPR_RDI] = 0xdeadbeef00000040;
	assert_int_equal(RUN(0x67, 0x64, 0x8b, 0x07), EMULATE_DONE);
	assert_event(2, 'r', DEVICE + 0x40, 4, get32(e.device + 0x40));
}

static void checks_segments(void **state)
{
	enum { OK, GP };
	static const struct {
		const char *what;
		u8 type;
		bool unusable, db;
		u32 limit, offset;
		bool store;
		int result;
	} cases[] = {
		{"last byte", 3, false, true, 0xfff, 0xffc, false, OK},
		{"beyond the limit", 3, false, true, 0xfff, 0xffd, false, GP},
		{"limit wrap", 3, false, true, ~0u, 0xfffffffe, false, GP},
		{"read-only data, read", 1, false, true, ~0u, 0, false, OK},
		{"read-only data, write", 1, false, true, ~0u, 0, true, GP},
		{"execute-only code", 9, false, true, ~0u, 0, false, GP},
		{"readable code, read", 11, false, true, ~0u, 0, false, OK},
		{"readable code, write", 11, false, true, ~0u, 0, true, GP},
		{"conforming readable code", 15, false, true, 0xfff, 0, false, OK},
		{"null selector", 3, true, true, ~0u, 0, false, GP},
		{"expand-down, below", 7, false, true, 0xfff, 0xfff, false, GP},
		{"expand-down, above", 7, false, true, 0xfff, 0x1000, true, OK},
		{"expand-down, 32-bit top", 7, false, true, 0xfff, 0xfffffffd, false, GP},
		{"expand-down, 16-bit top", 7, false, false, 0xfff, 0xfffd, false, GP},
		{"expand-down, 16-bit last", 7, false, false, 0xfff, 0xfffc, false, OK},
		{"expand-down read-only", 5, false, true, 0xfff, 0x1000, true, GP},
	};
	unsigned i, seg;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (seg = 0; seg < 2; seg++) {
			struct vcpu_segment *s;
			enum emulate_result result;

			reset(32);
			s = &e.em.sregs.seg[seg ? SREG_SS : SREG_DS];
			s->type = cases[i].type;
			s->unusable = cases[i].unusable;
			s->db = cases[i].db;
			s->limit = cases[i].limit;
			s->base = DEVICE;
			e.em.regs.gpr[GPR_RDI] = e.em.regs.gpr[GPR_RBP] = cases[i].offset;
			/* mov eax, [edi+0] / [ebp+0], or the other way round */
			result = RUN(cases[i].store ? 0x89 : 0x8b, seg ? 0x45 : 0x47, 0);
			if ((result == EMULATE_DONE) != (cases[i].result == OK))
				fail_msg("%s: result %d", cases[i].what, result);
			if (cases[i].result == GP) {
				assert_fault(result, seg ? VECTOR_SS : VECTOR_GP, true, 0);
			} else {
				assert_int_equal(result, EMULATE_DONE);
				assert_event(0, cases[i].store ? 'w' : 'r',
					     DEVICE + cases[i].offset, 4, e.events[0].value);
			}
		}
	}
}

static void works_in_real_mode(void **state)
{
	(void)state;
	reset(16);
	e.em.sregs.seg[SREG_ES].base = VGA;
	e.em.regs.gpr[GPR_RBX] = 0xffff0ff0;
	e.em.regs.gpr[GPR_RSI] = 0x8;
	e.em.regs.gpr[GPR_RAX] = 0xaabbccdd;
	assert_int_equal(RUN(0x26, 0x89, 0x00), EMULATE_DONE); /* mov es:[bx+si], ax */
	assert_event(0, 'w', VGA + 0xff8, 2, 0xccdd);
	/* the offset wraps at 64 KiB, an access across the limit faults without an error code */
	e.count = 0;
	e.em.regs.gpr[GPR_RSI] = 0xf010;
	assert_int_equal(RUN(0x26, 0x89, 0x00), EMULATE_DONE);
	assert_event(0, 'w', VGA, 2, 0xccdd);
	e.count = 0;
	e.em.regs.gpr[GPR_RSI] = 0xf00f;
	assert_fault(RUN(0x26, 0x89, 0x00), VECTOR_GP, false, 0);
	/* types do not matter in real mode */
	e.em.sregs.seg[SREG_ES].type = 1;
	e.em.regs.gpr[GPR_RSI] = 0;
	assert_int_equal(RUN(0x26, 0x89, 0x00), EMULATE_DONE);
	/* nor in virtual-8086 mode, where the error code is back */
	e.em.sregs.cr0 = CR0_PE;
	e.em.regs.rflags |= RFLAGS_VM;
	e.em.sregs.seg[SREG_SS].dpl = 3;
	assert_int_equal(RUN(0x26, 0x89, 0x00), EMULATE_DONE);
	e.count = 0;
	e.em.regs.gpr[GPR_RSI] = 0xf00f;
	assert_fault(RUN(0x26, 0x89, 0x00), VECTOR_GP, true, 0);
}

static void moves_rip_by_mode(void **state)
{
	static const struct {
		unsigned mode;
		u64 rip, next;
	} cases[] = {
		{64, 0x00007fffffffffff, 0x0000800000000001}, /* #GP comes with the next fetch */
		{64, 0xfffffffffffffffe, 0},
		{64, 0xffffffff, 0x100000001},
		{32, 0xffffffff, 1},
		{32, 0xfffffffe, 0},
		{16, 0xffff, 0x10001}, /* IP does not wrap: #GP comes with the next fetch */
	};
	struct insn insn;
	unsigned i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(cases[i].mode);
		assert_int_equal(decode_insn((const u8[]){0x89, 0x07}, 2, cases[i].mode, &insn), 0);
		e.em.regs.gpr[GPR_RDI] = e.em.regs.gpr[GPR_RBX] = cases[i].mode == 16 ? 0 : DEVICE;
		e.em.regs.rip = cases[i].rip;
		e.em.regs.rflags |= RFLAGS_RF;
		assert_int_equal(emulate_insn(&e.em, &insn, EMULATE_NO_PORT), EMULATE_DONE);
		assert_int_equal(e.em.regs.rip, cases[i].next);
		assert_false(e.em.regs.rflags & RFLAGS_RF);
		assert_false(e.em.trap);
	}
}

static void repeats_strings(void **state)
{
	u8 *ram = NULL;
	unsigned i;

	(void)state;
	reset(64);
	ram = fake_gmem_at(e.vm, 0x4000, 0x1000);
	/* rep movsb, RAM to device, in bounded portions */
	for (i = 0; i < 600; i++)
		ram[i] = (u8)(i * 7);
	e.em.regs.gpr[GPR_RSI] = 0x4000;
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	e.em.regs.gpr[GPR_RCX] = 600;
	assert_int_equal(RUN(0xf3, 0xa4), EMULATE_AGAIN);
	assert_int_equal(e.em.regs.rip, CODE);
	assert_true(e.em.regs.rflags & RFLAGS_RF);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 600 - EMULATE_MAX_ITERATIONS);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], 0x4000 + EMULATE_MAX_ITERATIONS);
	assert_int_equal(e.em.regs.gpr[GPR_RDI], DEVICE + EMULATE_MAX_ITERATIONS);
	assert_int_equal(e.count, EMULATE_MAX_ITERATIONS);
	while (run_at_rip(EMULATE_NO_PORT) == EMULATE_AGAIN)
		;
	assert_int_equal(e.em.regs.rip, CODE + 2);
	assert_false(e.em.regs.rflags & RFLAGS_RF);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 0);
	assert_int_equal(e.count, 600);
	assert_memory_equal(e.device, ram, 600);
	/* RCX = 0: nothing; without REP: once, whatever RCX */
	reset(64);
	e.em.regs.gpr[GPR_RDI] = UNMAPPED;
	assert_int_equal(RUN(0xf3, 0xaa), EMULATE_DONE);
	e.em.regs.rip = CODE;
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	e.em.regs.gpr[GPR_RAX] = 0x0123456789abcdef;
	assert_int_equal(RUN(0x48, 0xab), EMULATE_DONE); /* stosq */
	assert_int_equal(e.count, 1);
	assert_event(0, 'w', DEVICE, 8, 0x0123456789abcdef);
	assert_int_equal(e.em.regs.gpr[GPR_RDI], DEVICE + 8);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 0);
	/* repne lodsw repeats as well, downwards, keeps RAX's upper part */
	e.em.regs.rflags |= RFLAGS_DF;
	e.em.regs.gpr[GPR_RAX] = 0x1111111111111111;
	e.em.regs.gpr[GPR_RSI] = DEVICE + 4;
	e.em.regs.gpr[GPR_RCX] = 3;
	assert_int_equal(RUN(0xf2, 0x66, 0xad), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], DEVICE - 2);
	assert_int_equal(e.em.regs.gpr[GPR_RAX], 0x111111111111cdef);
}

static void wraps_strings_at_the_address_size(void **state)
{
	(void)state;
	/* 67h in 64-bit mode: ECX counts, ESI and EDI lose their upper halves */
	reset(64);
	e.em.regs.gpr[GPR_RCX] = 0xffffffff00000002;
	e.em.regs.gpr[GPR_RSI] = 0xffffffffc0000000;
	e.em.regs.gpr[GPR_RDI] = 0x1234567800004000;
	assert_int_equal(RUN(0x67, 0xf3, 0xa5), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 0);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], 0xc0000008);
	assert_int_equal(e.em.regs.gpr[GPR_RDI], 0x4008);
	assert_int_equal(e.count, 2);
	/* 16-bit: SI wraps from FFFF to 0, the rest of the registers stays */
	reset(16);
	e.em.sregs.seg[SREG_DS].base = VGA;
	e.em.regs.gpr[GPR_RSI] = 0xabcdffff;
	e.em.regs.gpr[GPR_RCX] = 0x77770002;
	e.em.regs.rip &= 0xffff;
	assert_int_equal(RUN(0xf3, 0xac), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], 0xabcd0001);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 0x77770000);
	assert_event(0, 'r', VGA + 0xffff, 1, e.device[0xfff]);
	assert_event(1, 'r', VGA, 1, e.device[0]);
	/* and down from 0 */
	e.em.regs.rflags |= RFLAGS_DF;
	e.em.regs.gpr[GPR_RSI] = 0xabcd0000;
	assert_int_equal(RUN(0xac), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], 0xabcdffff);
	/* a count of 2^64-1 is a bounded piece of work, too */
	reset(64);
	e.em.regs.gpr[GPR_RCX] = ~0ull;
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	assert_int_equal(RUN(0xf3, 0xaa), EMULATE_AGAIN);
	assert_int_equal(e.count, EMULATE_MAX_ITERATIONS);
}

static void stops_strings_at_faults(void **state)
{
	(void)state;
	/* the second page of the destination is missing: what is before it is done */
	reset(64);
	e.em.regs.gpr[GPR_RSI] = DEVICE;
	e.em.regs.gpr[GPR_RDI] = UNMAPPED - 8;
	e.em.regs.gpr[GPR_RCX] = 5;
	assert_int_equal(RUN(0xf3, 0xa5), EMULATE_FAULT);
	assert_int_equal(e.em.fault.vector, VECTOR_PF);
	assert_int_equal(e.em.fault.error, PF_WRITE);
	assert_int_equal(e.em.fault.cr2, UNMAPPED);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 3);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], DEVICE + 8);
	assert_int_equal(e.em.regs.gpr[GPR_RDI], UNMAPPED);
	assert_int_equal(e.em.regs.rip, CODE);
	/* the device was not read for the iteration that faulted */
	assert_int_equal(e.count, 2);
	/* a source that faults */
	e.count = 0;
	e.em.regs.gpr[GPR_RSI] = UNMAPPED;
	assert_fault(RUN(0xf3, 0xa5), VECTOR_PF, true, 0);
	/* the right to read a page, just found, is not the right to write to it */
	poke64(TABLES + 0x3000, 0x3000 | 5);
	e.em.regs.gpr[GPR_RSI] = UNMAPPED - 0x20;
	e.em.regs.gpr[GPR_RDI] = UNMAPPED - 0x10;
	assert_fault(RUN(0xf3, 0xa5), VECTOR_PF, true, PF_PRESENT | PF_WRITE);
}

static void steps_one_iteration_with_tf(void **state)
{
	(void)state;
	reset(64);
	e.em.regs.rflags |= RFLAGS_TF;
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	e.em.regs.gpr[GPR_RCX] = 2;
	assert_int_equal(RUN(0xf3, 0xaa), EMULATE_AGAIN);
	assert_true(e.em.trap);
	assert_int_equal(e.count, 1);
	assert_int_equal(RUN(0xf3, 0xaa), EMULATE_DONE);
	assert_true(e.em.trap);
	assert_int_equal(RUN(0x89, 0x07), EMULATE_DONE);
	assert_true(e.em.trap);
	e.em.regs.gpr[GPR_RDI] = UNMAPPED;
	assert_int_equal(RUN(0x89, 0x07), EMULATE_FAULT);
	assert_false(e.em.trap);
	e.count = 0;
	e.em.regs.gpr[GPR_RCX] = 4;
	assert_int_equal(RUN_PORT(0xe9, 0xf3, 0x6e), EMULATE_AGAIN);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 3);
	assert_event(0, 'o', 0xe9, 1, 0);
}

static void moves_strings_to_ports(void **state)
{
	u8 *ram = NULL;
	unsigned i;

	(void)state;
	reset(64);
	ram = fake_gmem_at(e.vm, 0x4000, 0x2000);
	for (i = 0; i < 0x2000; i++)
		ram[i] = (u8)(i * 13 + 1);
	e.em.regs.gpr[GPR_RSI] = 0x4ffe;
	e.em.regs.gpr[GPR_RCX] = 4;
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x6e), EMULATE_DONE);
	assert_int_equal(e.count, 4);
	for (i = 0; i < 4; i++)
		assert_event(i, 'o', 0x402, 1, ram[0xffe + i]);
	assert_int_equal(e.em.regs.rip, CODE + 2);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], 0x5002);
	/* so many in one call, then on */
	e.count = 0;
	e.em.regs.gpr[GPR_RSI] = 0x4f80;
	e.em.regs.gpr[GPR_RCX] = EMULATE_MAX_ITERATIONS + 9;
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x6e), EMULATE_AGAIN);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 9);
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x6e), EMULATE_DONE);
	assert_int_equal(e.count, EMULATE_MAX_ITERATIONS + 9);
	for (i = 0; i < EMULATE_MAX_ITERATIONS + 9; i++)
		assert_event(i, 'o', 0x402, 1, ram[0xf80 + i]);
	/* four bytes across the page's end */
	e.count = 0;
	e.em.regs.gpr[GPR_RSI] = 0x4ff6;
	e.em.regs.gpr[GPR_RCX] = 5;
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x6f), EMULATE_DONE);
	assert_int_equal(e.count, 5);
	assert_event(2, 'o', 0x402, 4, get32(ram + 0xffe));
	/* downwards, and from a device */
	e.count = 0;
	e.em.regs.rflags |= RFLAGS_DF;
	e.em.regs.gpr[GPR_RCX] = 2;
	e.em.regs.gpr[GPR_RSI] = 0x4010;
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x6f), EMULATE_DONE);
	assert_event(1, 'o', 0x402, 4, get32(ram + 0xc));
	e.count = 0;
	e.em.regs.rflags &= ~RFLAGS_DF;
	e.em.regs.gpr[GPR_RCX] = 2;
	e.em.regs.gpr[GPR_RSI] = DEVICE;
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x6f), EMULATE_DONE);
	assert_int_equal(e.count, 4);
	assert_int_equal(e.events[1].kind, 'o');
	/* a fault in the middle: what is before it went out */
	e.count = 0;
	e.em.regs.gpr[GPR_RCX] = 4;
	e.em.regs.gpr[GPR_RSI] = UNMAPPED - 8;
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x6f), EMULATE_FAULT);
	assert_int_equal(e.em.fault.cr2, UNMAPPED);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 2);
	assert_int_equal(e.count, 2);
	/* there is no port instruction of eight bytes: REX.W changes nothing */
	e.em.regs.gpr[GPR_RSI] = 0x4000;
	assert_int_equal(RUN_PORT(0x402, 0xf3, 0x48, 0x6f), EMULATE_DONE);
	assert_event(3, 'o', 0x402, 4, get32(ram + 4));
}

static void keeps_limits_in_strings(void **state)
{
	(void)state;
	reset(16);
	e.em.sregs.seg[SREG_GS].base = 0x10000;
	e.em.sregs.seg[SREG_GS].limit = 0x1003;
	e.em.regs.gpr[GPR_RSI] = 0x1000;
	e.em.regs.gpr[GPR_RCX] = 6;
	assert_int_equal(RUN_PORT(0xe9, 0xf3, 0x65, 0x6e), EMULATE_FAULT);
	assert_int_equal(e.em.fault.vector, VECTOR_GP);
	assert_false(e.em.fault.has_error);
	assert_int_equal(e.em.regs.gpr[GPR_RCX], 2);
	/* wrap of SI */
	e.count = 0;
	e.em.sregs.seg[SREG_GS].limit = 0xffff;
	e.em.sregs.seg[SREG_GS].base = 0x10800; /* the wrap is within a page of linear addresses */
	e.em.regs.gpr[GPR_RSI] = 0xfffe;
	e.em.regs.gpr[GPR_RCX] = 4;
	*fake_gmem_at(e.vm, 0x10800, 1) = 0x42;
	assert_int_equal(RUN_PORT(0xe9, 0xf3, 0x65, 0x6e), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], 2);
	assert_event(0, 'o', 0xe9, 1, 0);
	assert_event(2, 'o', 0xe9, 1, 0x42);
	/* wrap of ESI in 64-bit mode, where no limit stands in the way: from RAM 3803 to 804 */
	reset(64);
	e.em.sregs.seg[SREG_GS].base = 0x804;
	e.em.regs.gpr[GPR_RSI] = 0xfffffffe;
	e.em.regs.gpr[GPR_RCX] = 4;
	memset(fake_gmem_at(e.vm, 0x3802, 4), 0x33, 4);
	memset(fake_gmem_at(e.vm, 0x804, 4), 0x44, 4);
	assert_int_equal(RUN_PORT(0xe9, 0xf3, 0x65, 0x67, 0x6e), EMULATE_DONE);
	assert_int_equal(e.em.regs.gpr[GPR_RSI], 2);
	assert_event(1, 'o', 0xe9, 1, 0x33);
	assert_event(2, 'o', 0xe9, 1, 0x44);
	assert_event(3, 'o', 0xe9, 1, 0x44);
}

static void moves_ports_to_strings(void **state)
{
	(void)state;
	reset(64);
	e.em.sregs.seg[SREG_FS].base = 0x1000000; /* INS always uses ES */
	e.em.regs.gpr[GPR_RDI] = 0x4000;
	e.em.regs.gpr[GPR_RCX] = 2;
	assert_int_equal(RUN_PORT(0x1f0, 0xf3, 0x64, 0x66, 0x6d), EMULATE_DONE);
	assert_memory_equal(fake_gmem_at(e.vm, 0x4000, 5), "\x02\x03\x03\x04\0", 5);
	assert_int_equal(e.em.regs.rip, CODE + 4);
	/* a destination that faults: the port is not read */
	e.count = 0;
	e.em.regs.gpr[GPR_RCX] = 1;
	e.em.regs.gpr[GPR_RDI] = UNMAPPED;
	assert_fault(RUN_PORT(0x1f0, 0xf3, 0x66, 0x6d), VECTOR_PF, true, PF_WRITE);
	/* the way of memory accesses does not lead to ports */
	e.em.regs.gpr[GPR_RDI] = DEVICE;
	assert_int_equal(RUN(0x6c), EMULATE_UNSUPPORTED);
	assert_int_equal(RUN(0xf3, 0x6f), EMULATE_UNSUPPORTED);
	assert_int_equal(e.count, 0);
}

static int set_up(void **state)
{
	(void)state;
	e.vm = fake_gmem_create(RAM_SIZE, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_gmem_destroy(e.vm);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_host_cpu),
		cmocka_unit_test(touches_the_device_as_the_cpu_does),
		cmocka_unit_test(splits_at_page_ends),
		cmocka_unit_test(raises_page_faults),
		cmocka_unit_test(wraps_linear_addresses),
		cmocka_unit_test(checks_canonical_addresses),
		cmocka_unit_test(checks_segments),
		cmocka_unit_test(works_in_real_mode),
		cmocka_unit_test(moves_rip_by_mode),
		cmocka_unit_test(repeats_strings),
		cmocka_unit_test(wraps_strings_at_the_address_size),
		cmocka_unit_test(stops_strings_at_faults),
		cmocka_unit_test(steps_one_iteration_with_tf),
		cmocka_unit_test(moves_strings_to_ports),
		cmocka_unit_test(keeps_limits_in_strings),
		cmocka_unit_test(moves_ports_to_strings),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
