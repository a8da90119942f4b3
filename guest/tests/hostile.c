/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: all state of a CPU is its guest's alone, whatever the guest writes into it and however
 * often the host gives the CPU to others in between. Fills all that is switched with a
 * pattern of its own (the word `seed=`, 1 to 15), leaves by one way after the other, also to sleep,
 * and compares; every 64 rounds the values are new ones. With seed=0 it writes nothing, and
 * wants all to stay as it was. `rounds=` says how many; 0: without end. `fill` fills its
 * memory, too.
 * SDM volume 3, "Host-State Area", "Guest-State Area"; volume 1, "Managing State Using the
 * XSAVE Feature Set".
 */
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/pattern.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

#define EPOCH	    64 /* rounds */
#define FULL	    16 /* rounds between looks at what costs an exit each */
#define SLEEP	    2000 /* ticks of the APIC's timer */
#define TIMER	    0xf4 /* of the highest class, and no spurious vector */
#define COPIES	    4 /* of each table that a register points to */
#define XSAVE_SIZE  4096
#define XCR0_USED   0x2e7 /* x87, SSE, AVX, AVX-512, PKRU */
#define FLAGS_FREE  0x247cd5 /* all that POPF takes but TF, IF, RF, VM and the virtual ones */
#define FULL_MEMORY 0x200000 /* `fill` begins here */

#define CR0_AM	     BIT(18)
#define CR4_DE	     BIT(3)
#define CR4_MCE	     BIT(6)
#define CR4_PGE	     BIT(7)
#define CR4_PCE	     BIT(8)
#define CR4_UMIP     BIT(11)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE    BIT(17)
#define CR4_SMEP     BIT(20)
#define CR4_SMAP     BIT(21)

enum kind { MSR, APIC, DR, CR, SELECTOR, TABLE };
enum { REG_DS, REG_ES, REG_FS, REG_GS, REG_LDT, REG_TR, LIMIT_LDT };
enum { GDT_BASE, GDT_LIMIT, IDT_BASE, IDT_LIMIT };

/* What of a pattern a register takes. */
enum shape {
	BITS64,	  /* those of `bits`, on top of what it began with */
	ADDRESS,  /* canonical; bit 4 of the number makes it look like one of Trivet's */
	TYPES,	  /* eight memory types */
	TYPE,	  /* one, in the low byte, and `bits` */
	BREAK,	  /* DR7 */
	PLACE,	  /* an address in `told`, and `bits` set */
	CHOICE,	  /* 0 to `bits` */
	DESCRIPTOR, /* `bits` and a number of 0 to 3, by 16 */
	LIMIT,	  /* of the first descriptor of the LDT that stands a row above */
	COPY,	  /* a copy of a table */
	ROOT,	  /* CR3 */
};

struct place {
	const char *name;
	u8 kind, shape;
	bool exits; /* reading costs an exit */
	u32 index;
	u64 bits;
};

#define ALL ~0ull
static const struct place places[] = {
	{"ds", SELECTOR, DESCRIPTOR, false, REG_DS, 0x80},
	{"es", SELECTOR, DESCRIPTOR, false, REG_ES, 0x88},
	{"fs", SELECTOR, DESCRIPTOR, false, REG_FS, 0x80},
	{"gs", SELECTOR, DESCRIPTOR, false, REG_GS, 0x88},
	{"ldtr", SELECTOR, DESCRIPTOR, false, REG_LDT, 0xc0},
	{"ldt's limit", SELECTOR, LIMIT, false, LIMIT_LDT, 0},
	{"tr", SELECTOR, DESCRIPTOR, false, REG_TR, 0x100},
	{"gdtr base", TABLE, COPY, false, GDT_BASE, 0},
	{"gdtr limit", TABLE, CHOICE, false, GDT_LIMIT, 127},
	{"idtr base", TABLE, COPY, false, IDT_BASE, 0},
	{"idtr limit", TABLE, CHOICE, false, IDT_LIMIT, 127},
	{"fs base", MSR, ADDRESS, false, MSR_FS_BASE, 0},
	{"gs base", MSR, ADDRESS, false, MSR_GS_BASE, 16},
	{"kernel gs base", MSR, ADDRESS, false, MSR_KERNEL_GS, 0},
	{"star", MSR, BITS64, false, MSR_STAR, ALL},
	{"lstar", MSR, ADDRESS, false, MSR_LSTAR, 16},
	{"cstar", MSR, ADDRESS, false, MSR_CSTAR, 0},
	{"fmask", MSR, BITS64, false, MSR_FMASK, 0xffffffff},
	{"sysenter cs", MSR, BITS64, false, MSR_SYSENTER_CS, 0xffffffff},
	{"sysenter esp", MSR, ADDRESS, false, MSR_SYSENTER_ESP, 0},
	{"sysenter eip", MSR, ADDRESS, false, MSR_SYSENTER_EIP, 16},
	{"tsc aux", MSR, BITS64, false, 0xc0000103, 0xffffffff},
	{"spec ctrl", MSR, BITS64, true, 0x48, 0},
	{"debugctl", MSR, BITS64, true, 0x1d9, 3},
	{"efer", MSR, BITS64, true, MSR_EFER, EFER_SCE | EFER_NXE},
	{"pat", MSR, TYPES, true, MSR_PAT, 6},
	{"misc enable", MSR, BITS64, true, MSR_MISC_ENABLE, 1},
	{"mtrr def type", MSR, TYPE, true, 0x2ff, 0xc00},
	{"mtrr fix64k", MSR, TYPES, true, 0x250, 0},
	{"mtrr fix16k 0", MSR, TYPES, true, 0x258, 0},
	{"mtrr fix16k 1", MSR, TYPES, true, 0x259, 0},
	{"mtrr fix4k 0", MSR, TYPES, true, 0x268, 0},
	{"mtrr fix4k 1", MSR, TYPES, true, 0x269, 0},
	{"mtrr fix4k 2", MSR, TYPES, true, 0x26a, 0},
	{"mtrr fix4k 3", MSR, TYPES, true, 0x26b, 0},
	{"mtrr fix4k 4", MSR, TYPES, true, 0x26c, 0},
	{"mtrr fix4k 5", MSR, TYPES, true, 0x26d, 0},
	{"mtrr fix4k 6", MSR, TYPES, true, 0x26e, 0},
	{"mtrr fix4k 7", MSR, TYPES, true, 0x26f, 0},
	{"mtrr base 0", MSR, TYPE, true, 0x200, 0x6b5a5000},
	{"mtrr mask 0", MSR, BITS64, true, 0x201, 0xfffff800},
	{"mtrr base 7", MSR, TYPE, true, 0x20e, 0x5b6a6000},
	{"mtrr mask 7", MSR, BITS64, true, 0x20f, 0xfffff800},
	{"tsc adjust", MSR, BITS64, true, MSR_TSC_ADJUST, 0xffffffff},
	{"system time", MSR, PLACE, true, ABI_MSR_SYSTEM_TIME, 1},
	{"wall clock", MSR, PLACE, true, ABI_MSR_WALL_CLOCK, 0},
	{"steal time", MSR, PLACE, true, ABI_MSR_STEAL_TIME, 1},
	{"pv eoi", MSR, PLACE, true, ABI_MSR_PV_EOI, 0},
	{"apic ldr", APIC, BITS64, true, APIC_LDR, 0xff000000},
	{"apic svr", APIC, BITS64, true, APIC_SVR, 0x07},
	{"apic icr high", APIC, BITS64, true, APIC_ICR_HIGH, 0xff000000},
	{"apic thermal", APIC, BITS64, true, APIC_LVT_THERMAL, 0xe0},
	{"apic performance", APIC, BITS64, true, APIC_LVT_PERFORMANCE, 0xe0},
	{"apic lint0", APIC, BITS64, true, APIC_LVT_LINT0, 0xe0},
	{"apic lint1", APIC, BITS64, true, APIC_LVT_LINT1, 0xe0},
	{"apic error", APIC, BITS64, true, APIC_LVT_ERROR, 0xe0},
	{"dr0", DR, ADDRESS, false, 0, 0},
	{"dr1", DR, ADDRESS, false, 1, 16},
	{"dr2", DR, ADDRESS, false, 2, 0},
	{"dr3", DR, ADDRESS, false, 3, 16},
	{"dr6", DR, BITS64, false, 6, 0x600f},
	{"dr7", DR, BREAK, false, 7, 0},
	{"cr0", CR, BITS64, false, 0, CR0_WP | CR0_AM | CR0_MP | CR0_NE | CR0_CD},
	{"cr2", CR, ADDRESS, false, 2, 16},
	{"cr3", CR, ROOT, false, 3, 0},
	{"cr4", CR, BITS64, false, 4, 0},
	{"cr8", CR, CHOICE, false, 8, 14},
};

/* Ways out, and the general registers that they change, by number. */
void hostile_out(void);
void hostile_in(void);
void hostile_cpuid(void);
void hostile_vmcall(void);
void hostile_mmio(void);
void hostile_pause(void);
void hostile_spin(void);
void hostile_halt(void);
static const struct {
	const char *name;
	void (*leave)(void);
	u32 changes; /* general registers, by number */
} ways[] = {
	{"out", hostile_out, 0}, {"in", hostile_in, 1}, {"hlt", hostile_halt, 0},
	{"cpuid", hostile_cpuid, 15}, {"mmio", hostile_mmio, 1}, {"hlt", hostile_halt, 0},
	{"pause", hostile_pause, 0}, {"nothing", hostile_spin, 0}, {"hlt", hostile_halt, 0},
	{"vmcall", hostile_vmcall, 1}, /* on Trivet alone */
};

extern u64 hostile_gpr[16], hostile_after[16], hostile_flags, hostile_flags_after;
extern u64 pml4[512];

static u8 filled[XSAVE_SIZE] __attribute__((aligned(64)));
static u8 before[XSAVE_SIZE] __attribute__((aligned(64)));
static u8 after[XSAVE_SIZE] __attribute__((aligned(64)));
static u64 roots[COPIES][512] __attribute__((aligned(4096)));
static u64 gdts[COPIES][64] __attribute__((aligned(16)));
static struct trap_gate idts[COPIES][TRAP_VECTORS + 8] __attribute__((aligned(16)));
static u64 ldts[COPIES][2];
/* Where the paravirtual clocks are told; a page each, and between them nothing is written. */
static u8 told[4][4096] __attribute__((aligned(4096)));

static u64 told_at[ARRAY_SIZE(told)];

static u64 first[ARRAY_SIZE(places)], want[ARRAY_SIZE(places)];
static bool absent[ARRAY_SIZE(places)];
static unsigned seed, epoch, failures, way; /* how it was left last */
static bool xsave, pcid;
static u32 components;
static volatile unsigned ticks;

static void complain(const char *what, u64 got, u64 wanted)
{
	if (failures++ < 20)
		print("FAIL %s: %llx, not %llx (%s), behind %s\n", what, got, wanted,
		      pattern_name(pattern_look(got, 8)), ways[way].name);
}

/* ---- one register */

static struct trap_table table_read(bool idt)
{
	struct trap_table t;

	if (idt)
		__asm__ volatile("sidt %0" : "=m"(t));
	else
		__asm__ volatile("sgdt %0" : "=m"(t));
	return t;
}

static u64 table_get(u32 index)
{
	struct trap_table t = table_read(index >= IDT_BASE);

	return index == GDT_BASE || index == IDT_BASE ? t.base : t.limit;
}

static void table_put(u32 index, u64 value)
{
	struct trap_table t = table_read(index >= IDT_BASE);

	if (index == GDT_BASE || index == IDT_BASE)
		t.base = value;
	else
		t.limit = (u16)value;
	if (index >= IDT_BASE)
		__asm__ volatile("lidt %0" : : "m"(t) : "memory");
	else
		__asm__ volatile("lgdt %0" : : "m"(t) : "memory");
}

static u64 selector_get(u32 index)
{
	u32 value = 0;

	switch (index) {
	case REG_DS: __asm__ volatile("mov %%ds, %0" : "=r"(value)); break;
	case REG_ES: __asm__ volatile("mov %%es, %0" : "=r"(value)); break;
	case REG_FS: __asm__ volatile("mov %%fs, %0" : "=r"(value)); break;
	case REG_GS: __asm__ volatile("mov %%gs, %0" : "=r"(value)); break;
	case REG_LDT: __asm__ volatile("sldt %0" : "=r"(value)); break;
	case REG_TR: __asm__ volatile("str %0" : "=r"(value)); break;
	/* By its first descriptor: 0 without a table. */
	default: __asm__ volatile("lsl %1, %0" : "+r"(value) : "r"(4) : "cc");
	}
	return value;
}

static void selector_put(u32 index, u64 value)
{
	switch (index) {
	case REG_DS: __asm__ volatile("mov %0, %%ds" : : "r"((u32)value)); break;
	case REG_ES: __asm__ volatile("mov %0, %%es" : : "r"((u32)value)); break;
	case REG_FS: __asm__ volatile("mov %0, %%fs" : : "r"((u32)value)); break;
	case REG_GS: __asm__ volatile("mov %0, %%gs" : : "r"((u32)value)); break;
	case REG_LDT: __asm__ volatile("lldt %w0" : : "r"((u32)value) : "memory"); break;
	case REG_TR:
		for (unsigned i = 0; i < COPIES; i++)
			gdts[i][value / 8] &= ~BIT(41); /* not busy */
		__asm__ volatile("ltr %w0" : : "r"((u32)value) : "memory");
		break;
	default: break;
	}
}

#define EACH_DR(X) X(0) X(1) X(2) X(3) X(6) X(7)
#define DR_GET(n) case n: __asm__ volatile("mov %%dr" #n ", %0" : "=r"(value)); break;
#define DR_PUT(n) case n: __asm__ volatile("mov %0, %%dr" #n : : "r"(value)); break;

static u64 dr_get(u32 index)
{
	u64 value = 0;

	switch (index) {
	EACH_DR(DR_GET)
	}
	return value;
}

static void dr_put(u32 index, u64 value)
{
	switch (index) {
	EACH_DR(DR_PUT)
	}
}

static u64 cr_get(u32 index)
{
	u64 value;

	switch (index) {
	case 0: return cr0_read();
	case 2: return cr2_read();
	case 3: return cr3_read();
	case 4: return cr4_read();
	}
	__asm__ volatile("mov %%cr8, %0" : "=r"(value));
	return value;
}

static void cr_put(u32 index, u64 value)
{
	switch (index) {
	case 0: cr0_write(value); break;
	case 2: cr2_write(value); break;
	case 3: cr3_write(value); break;
	case 4: cr4_write(value); break;
	default: __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
	}
}

static unsigned get(const struct place *p, u64 *value)
{
	switch (p->kind) {
	case MSR: return try_rdmsr(p->index, value);
	case APIC: *value = apic_read(p->index); break;
	case DR: *value = dr_get(p->index); break;
	case CR: *value = cr_get(p->index); break;
	case SELECTOR: *value = selector_get(p->index); break;
	default: *value = table_get(p->index);
	}
	return TRAP_NONE;
}

static unsigned put(const struct place *p, u64 value)
{
	switch (p->kind) {
	case MSR: return try_wrmsr(p->index, value);
	case APIC: apic_write(p->index, (u32)value); break;
	case DR: dr_put(p->index, value); break;
	case CR: cr_put(p->index, value); break;
	case SELECTOR: selector_put(p->index, value); break;
	default: table_put(p->index, value);
	}
	return TRAP_NONE;
}

/* ---- values */

static u64 cr4_free(void)
{
	struct cpuid seven = cpuid(7, 0);
	u64 bits = CR4_TSD | CR4_DE | CR4_MCE | CR4_PGE | CR4_PCE;

	if (cpuid(0, 0).eax < 7)
		return bits;
	return bits | (seven.ebx & BIT(0) ? CR4_FSGSBASE : 0) | (seven.ebx & BIT(7) ? CR4_SMEP : 0) |
	       (seven.ebx & BIT(20) ? CR4_SMAP : 0) | (seven.ecx & BIT(2) ? CR4_UMIP : 0);
}

/* IBRS, STIBP and SSBD, as far as CPUID offers them. */
static u64 spec_ctrl_free(void)
{
	u32 edx = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).edx : 0;

	return (edx >> 26 & 1) | (edx >> 27 & 1) << 1 | (edx >> 31 & 1) << 2;
}

static u64 memory_types(u32 x, unsigned count)
{
	static const u8 types[] = {6, 0, 1, 4, 5, 6, 0, 4};
	u64 value = 0;

	for (unsigned i = 0; i < count; i++, x >>= 3)
		value |= (u64)types[x & 7] << 8 * i;
	return value;
}

/* Breakpoints that are never reached: on writes, on accesses, and on fetches. */
static u64 breakpoints(u32 x)
{
	static const u8 kinds[] = {0x0, 0x1, 0x5, 0x7, 0xd, 0xf, 0x9, 0xb};
	u64 value = 0x400 | (x & 0xf) | (x & 0xf00) >> 4;

	for (unsigned i = 0; i < 4; i++)
		value |= (u64)kinds[x >> (12 + 3 * i) & 7] << (16 + 4 * i);
	return value;
}

static u64 address(u64 x, bool like_trivets)
{
	if (like_trivets)
		return 0xffffffff80000000ull | (x & 0xf) << 8 | (x & 0xf0000) | seed << 24;
	return x & 0x00007fffffffffffull;
}

/* Of an LDT's descriptor. */
static u32 ldt_limit(unsigned copy)
{
	return 0x1000 + copy * 0x111 + seed;
}

static u64 wanted(unsigned i)
{
	const struct place *p = &places[i];
	u64 x = pattern(seed, i, epoch), bits = p->bits;
	u32 hash = pattern_hash(seed, i, epoch);

	switch (p->shape) {
	case ADDRESS: return address(x, p->bits == 16);
	case TYPES: return bits ? (memory_types(hash, 8) & ~0xffull) | bits : memory_types(hash, 8);
	case TYPE: return memory_types(hash, 1) | (x & bits);
	case BREAK: return breakpoints(hash);
	case PLACE: return ((u64)told[i % ARRAY_SIZE(told)] + (hash & 0xfc0)) | bits;
	case CHOICE: return (p->kind == TABLE ? first[i] : 0) + hash % (bits + 1);
	case DESCRIPTOR: return bits + 16 * (hash % COPIES);
	case LIMIT: return ldt_limit((want[i - 1] - places[i - 1].bits) / 16);
	case COPY: return (u64)(p->index == GDT_BASE ? (void *)gdts[hash % COPIES] :
							(void *)idts[hash % COPIES]);
	case ROOT: return (u64)roots[hash % COPIES] | (pcid ? hash >> 8 & 0xfff : hash >> 8 & 0x18);
	default: break;
	}
	if (p->kind == CR && p->index == 4)
		bits = cr4_free();
	if (p->kind == MSR && p->index == 0x48)
		bits = spec_ctrl_free();
	/* What is as wide as two lanes takes the pattern. */
	return (first[i] & ~bits) | ((bits >> 31 ? x : hash) & bits);
}

/* ---- all of them */

static void save(u8 *area)
{
	if (xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(components), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

/* Any control, status and tag word; no exception is pending or unmasked. */
static void fill_vectors(void)
{
	u32 hash = pattern_hash(seed, 999, epoch);

	for (unsigned i = 0; i < XSAVE_SIZE / 8; i++)
		((u64 *)filled)[i] = pattern(seed, 1000 + i, epoch);
	*(u16 *)filled = (u16)(0x37f | (hash & 0xc00));
	*(u16 *)(filled + 2) = (u16)(hash >> 8 & 0x7f00);
	*(u16 *)(filled + 4) = (u8)(hash >> 4);
	*(u32 *)(filled + 24) = 0x1f80 | (hash >> 8 & 0xe07f);
	memset(filled + 512, 0, 64);
	*(u64 *)(filled + 512) = components;
	if (xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(filled), "a"(components), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(filled) : "memory");
}

/* Whether a paravirtual clock is told there. */
static bool is_told(u64 at)
{
	bool hit = false;

	for (unsigned k = 0; k < ARRAY_SIZE(told); k++)
		hit |= at - told_at[k] < 64;
	return hit;
}

static void fill(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		if (absent[i])
			continue;
		want[i] = wanted(i);
		if (places[i].shape == PLACE)
			told_at[i % ARRAY_SIZE(told)] = want[i] & ~63ull;
		if (put(&places[i], want[i]) != TRAP_NONE) {
			print("skip %s: it refuses %llx\n", places[i].name, want[i]);
			absent[i] = true;
		}
	}
	for (unsigned i = 0; i < sizeof(told) / 8; i++)
		if (!is_told((u64)told + 8 * i))
			((u64 *)told)[i] = pattern(seed, i, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(hostile_gpr); i++)
		hostile_gpr[i] = pattern(seed, 500 + i, epoch);
	hostile_flags = 2 | (pattern_hash(seed, 600, epoch) & FLAGS_FREE);
	fill_vectors();
	save(before);
	epoch++;
}

/* The paravirtual clocks are told at their places alone. */
static void look_at_told(void)
{
	for (unsigned i = 0; i < sizeof(told) / 8; i++) {
		u64 got = *(volatile u64 *)&((u64 *)told)[i];

		if (got != pattern(seed, i, 0) && !is_told((u64)told + 8 * i))
			complain("told", got, pattern(seed, i, 0));
	}
}

static void look(u64 round)
{
	u32 low, high;
	u64 got = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(hostile_gpr); i++)
		if (hostile_after[i] != hostile_gpr[i] && !(ways[way].changes >> i & 1))
			complain("a general register", hostile_after[i], hostile_gpr[i]);
	if (hostile_flags_after != hostile_flags)
		complain("flags", hostile_flags_after, hostile_flags);
	save(after);
	for (unsigned i = 0; i < XSAVE_SIZE / 8; i++)
		if (((u64 *)after)[i] != ((u64 *)before)[i])
			complain("fpu", ((u64 *)after)[i], ((u64 *)before)[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (!absent[i] && (round % FULL == 0 || !places[i].exits) &&
		    (get(&places[i], &got) != TRAP_NONE || got != want[i]))
			complain(places[i].name, got, want[i]);
	if (xsave) {
		__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
		if (low != components || high)
			complain("xcr0", low, components);
	}
	if (round % EPOCH == EPOCH - 1 && seed)
		look_at_told();
}

/* ---- the start */

static void on_timer(struct trap_frame *frame)
{
	(void)frame;
	ticks++;
	apic_eoi();
}

static u64 descriptor(u64 base, u32 limit, u8 access, u8 flags)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (base >> 24 & 0xff) << 56;
}

/* Copies of the tables, with descriptors to choose from. */
static void make_tables(void)
{
	u64 tss = gdt[SEL_TSS / 8] & ~BIT(41);

	memset(told, 0, sizeof(told));
	for (unsigned c = 0; c < COPIES; c++) {
		memcpy(roots[c], pml4, sizeof(roots[c]));
		roots[c][0] &= ~(u64)4; /* not for ring 3: SMEP and SMAP mind nothing */
		memcpy(gdts[c], gdt, 10 * 8);
		memcpy(idts[c], trap_idt, sizeof(trap_idt));
		ldts[c][0] = descriptor(0, ldt_limit(c), 0x93, 0x4);
	}
	for (unsigned c = 0; c < COPIES; c++) {
		for (unsigned k = 0; k < 8; k++)
			gdts[c][16 + k] = descriptor(0, 0xfffff, 0x93, 0xc);
		for (unsigned k = 0; k < COPIES; k++) {
			gdts[c][24 + 2 * k] = descriptor((u64)ldts[k], sizeof(ldts[k]) - 1, 0x82, 0);
			gdts[c][32 + 2 * k] = tss;
		}
	}
	table_put(GDT_BASE, (u64)gdts[0]);
	table_put(GDT_LIMIT, sizeof(gdts[0]) - 1);
}

static void start_vectors(void)
{
	cr0_write(cr0_read() & ~(CR0_EM | CR0_CD | CR0_NW));
	cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	xsave = cpuid(1, 0).ecx & BIT(26);
	if (!xsave)
		return;
	cr4_write(cr4_read() | CR4_OSXSAVE);
	/* Every other VM does without the widest: what it does not use is another's all the same. */
	components = cpuid(0xd, 0).eax & (seed && seed % 2 == 0 ? 7 : XCR0_USED);
	__asm__ volatile("xsetbv" : : "c"(0), "a"(components), "d"(0));
}

static void start(void)
{
	start_vectors();
	irq_init();
	apic_mode_of_words();
	apic_enable();
	apic_spurious = 0;
	trap_hook[TIMER] = on_timer;
	apic_timer(TIMER, 1, 0);
	if (seed) {
		make_tables();
		for (unsigned at = APIC_LVT_THERMAL; at <= APIC_LVT_ERROR; at += 0x10)
			apic_write(at, APIC_MASKED | 0x10);
		cr3_write((u64)roots[0]);
		pcid = cpuid(1, 0).ecx >> 17 & 1;
		if (pcid)
			cr4_write(cr4_read() | CR4_PCIDE);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		const struct place *p = &places[i];
		bool only_xapic = p->kind == APIC &&
				  (p->index == APIC_LDR || p->index == APIC_ICR_HIGH);

		absent[i] = (apic_x2 && only_xapic) || get(p, &first[i]) != TRAP_NONE;
		want[i] = first[i];
	}
	hostile_flags = 2;
	save(before);
}

/* All memory behind this program, or a check that it is still so. */
static bool memory(bool write)
{
	u64 end = FULL_MEMORY;
	bool same = true, equal = true;

	for (unsigned i = 0; i < boot.range_count; i++)
		if (boot.range[i].type == 1 && boot.range[i].base <= FULL_MEMORY)
			end = boot.range[i].base + boot.range[i].size;
	for (u64 page = FULL_MEMORY; page + 4096 <= end; page += 4096) {
		u64 value = pattern(seed, (unsigned)(page >> 12), 0), words = 512, at = page;

		if (write)
			__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(value) : "memory");
		else
			__asm__ volatile("repe scasq"
					 : "+D"(at), "=@cce"(equal), "+c"(words) : "a"(value) : "memory");
		same &= equal;
	}
	return same;
}

void test_main(void)
{
	u64 rounds = boot_number("rounds", 300), round = 0;
	bool trivet = cpu_on_trivet();

	seed = (unsigned)boot_number("seed", 1);
	start();
	if (boot_word("fill"))
		memory(true);
	for (; (!rounds || round < rounds) && !failures; round++) {
		bool task_switched = round % 8 == 3;
		u64 cr0 = cr0_read();

		way = round % (ARRAY_SIZE(ways) - !trivet);
		if (seed && round % EPOCH == 0)
			fill(), cr0 = cr0_read();
		if (ways[way].leave == hostile_halt)
			apic_write(APIC_TIMER_INITIAL, SLEEP);
		if (task_switched)
			cr0_write(cr0 | CR0_TS);
		ways[way].leave();
		if (task_switched)
			cr0_write(cr0);
		look(round);
	}
	print("hostile: %llu rounds, %u sleeps\n", round, ticks);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (absent[i])
			print("not here: %s\n", places[i].name);
	if (boot_word("fill"))
		CHECK("memory", memory(false));
	CHECK("slept", ticks >= round / 8);
	test_equal("all-state-is-kept", failures, 0);
}
