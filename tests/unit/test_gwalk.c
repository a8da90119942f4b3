/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/gwalk.c */
/*
 * The page-table walker: every combination of rights at every level with every
 * kind of access and control bit, against an oracle that restates the manual's
 * rules on its own; every bit of every entry against tables of reserved bits;
 * accessed and dirty bits; tables outside RAM; and one fetch of each entry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "vmm/gmem.h"
#include "vmm/gwalk.h"

/* Guest memory: RAM from 0, of which the last page refuses writes. */
#define RAM_SIZE 0x8000
static u8 ram[RAM_SIZE] __attribute__((aligned(4096)));
static unsigned reads[RAM_SIZE];

int guest_read(struct vm *vm, gpa_t gpa, void *dst, size_t len)
{
	(void)vm;
	if (gpa.v >= RAM_SIZE || len > RAM_SIZE - gpa.v)
		return -EFAULT;
	reads[gpa.v]++;
	memcpy(dst, ram + gpa.v, len);
	return 0;
}

int guest_load(struct vm *vm, gpa_t gpa, unsigned size, u64 *value, const struct region **near)
{
	(void)near;
	*value = 0;
	assert_true(size == 4 || size == 8);
	assert_true(IS_ALIGNED(gpa.v, size));
	return guest_read(vm, gpa, value, size);
}

int guest_write(struct vm *vm, gpa_t gpa, const void *src, size_t len)
{
	(void)vm;
	if (gpa.v >= RAM_SIZE - PAGE_SIZE || len > RAM_SIZE - PAGE_SIZE - gpa.v)
		return -EFAULT;
	memcpy(ram + gpa.v, src, len);
	return 0;
}

/* The locked operation: some of its times another vCPU has changed the entry before. */
static void (*other_vcpu)(u64 gpa);

int guest_cmpxchg(struct vm *vm, gpa_t gpa, unsigned size, u64 old, u64 value)
{
	if (gpa.v >= RAM_SIZE - PAGE_SIZE || !IS_ALIGNED(gpa.v, size))
		return -EFAULT;
	if (other_vcpu)
		other_vcpu(gpa.v);
	if (memcmp(ram + gpa.v, &old, size))
		return -EAGAIN;
	return guest_write(vm, gpa, &value, size);
}

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
#define NX (1ull << 63)

/* A way to map one address: format and level of the entry that maps the page. */
static const struct shape {
	const char *name;
	unsigned levels, leaf, entry;
	u64 cr4, efer, gva, frame, gpa;
	unsigned shift[5]; /* by level */
} shapes[] = {
	{"2-level 4K", 2, 1, 4, CR4_PSE, 0, 0x92345678, 0xabcde000, 0xabcde678, {0, 12, 22}},
	{"2-level 4M", 2, 2, 4, CR4_PSE, 0, 0x92345678, 0xabc00000, 0xabf45678, {0, 12, 22}},
	{"2-level no PSE", 2, 1, 4, 0, 0, 0x92345678, 0xabcde000, 0xabcde678, {0, 12, 22}},
	{"PAE 4K", 3, 1, 8, CR4_PAE, 0, 0x92345678, 0x123456000, 0x123456678, {0, 12, 21, 30}},
	{"PAE 2M", 3, 2, 8, CR4_PAE, 0, 0x92345678, 0x123400000, 0x123545678, {0, 12, 21, 30}},
	{"4-level 4K", 4, 1, 8, CR4_PAE, EFER_LMA, 0xffff923456789abc, 0x323456000, 0x323456abc,
	 {0, 12, 21, 30, 39}},
	{"4-level 2M", 4, 2, 8, CR4_PAE, EFER_LMA, 0xffff923456789abc, 0x323400000, 0x323589abc,
	 {0, 12, 21, 30, 39}},
	{"4-level 1G", 4, 3, 8, CR4_PAE, EFER_LMA, 0x0000123456789abc, 0x340000000, 0x356789abc,
	 {0, 12, 21, 30, 39}},
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* The table of level n starts at n pages; CR3 points to the top one. */
static u64 entry_address(const struct shape *s, unsigned level)
{
	unsigned bits = s->entry == 4 ? 10 : 9;

	return level * PAGE_SIZE + (s->gva >> s->shift[level] & ((1u << bits) - 1)) * s->entry;
}

static u64 peek(const struct shape *s, unsigned level)
{
	u64 value = 0;

	memcpy(&value, ram + entry_address(s, level), s->entry);
	return value;
}

static void poke(const struct shape *s, unsigned level, u64 value)
{
	memcpy(ram + entry_address(s, level), &value, s->entry);
}

static bool is_pdpte(const struct shape *s, unsigned level)
{
	return s->levels == 3 && level == 3;
}

static u64 plain_entry(const struct shape *s, unsigned level, u64 flags)
{
	if (is_pdpte(s, level))
		flags &= P;
	if (level > s->leaf)
		return (level - 1) * PAGE_SIZE | flags;
	return s->frame | flags | (level > 1 ? PS : 0);
}

static void build(const struct shape *s, u64 flags)
{
	unsigned level;

	memset(ram, 0, sizeof(ram));
	for (level = s->levels; level >= s->leaf; level--)
		poke(s, level, plain_entry(s, level, flags));
}

static struct gwalk_ctx context(const struct shape *s)
{
	return (struct gwalk_ctx){.cr0 = CR0_PE | CR0_PG, .cr3 = s->levels * PAGE_SIZE,
				  .cr4 = s->cr4, .efer = s->efer, .maxphyaddr = 40};
}

static int walk(const struct shape *s, const struct gwalk_ctx *ctx, unsigned access, u64 *gpa,
		u32 *error)
{
	gpa_t where = GPA(~0ull);
	int result;

	*error = 0xdead;
	result = gwalk_translate(NULL, ctx, GVA(s->gva), access, &where, error);
	*gpa = where.v;
	return result;
}

/*
 * The manual's "Determination of Access Rights", clause by clause. present:
 * no entry lacks P; nx_reserved: some entry has bit 63 while EFER.NXE is 0.
 */
static int oracle(const struct gwalk_ctx *c, bool present, bool nx_reserved, bool w, bool u,
		  bool nx, unsigned access)
{
	bool user_mode = c->implicit_supervisor ? false : c->cpl == 3;
	bool wp = c->cr0 >> 16 & 1, smep = c->cr4 >> 20 & 1, smap = c->cr4 >> 21 & 1;
	bool nxe = c->efer >> 11 & 1, pae = c->cr4 >> 5 & 1, ok;
	int code = (access == GWALK_WRITE ? 2 : 0) | (user_mode ? 4 : 0) |
		   (access == GWALK_FETCH && ((pae && nxe) || smep) ? 16 : 0);

	if (!present)
		return code;
	if (nx_reserved)
		return code | 1 | 8;
	if (!user_mode && !u) { /* supervisor-mode access to a supervisor-mode address */
		ok = access == 0 || (access == GWALK_WRITE && (!wp || w)) ||
		     (access == GWALK_FETCH && (!nxe || !nx));
	} else if (!user_mode) { /* to a user-mode address */
		bool open = !smap || (c->ac && !c->implicit_supervisor);

		ok = (access == 0 && open) || (access == GWALK_WRITE && open && (!wp || w)) ||
		     (access == GWALK_FETCH && !smep && (!nxe || !nx));
	} else if (!u) {
		ok = false;
	} else {
		ok = access == 0 || (access == GWALK_WRITE && w) ||
		     (access == GWALK_FETCH && (!nxe || !nx));
	}
	return ok ? -1 : code | 1;
}

/* Compares one walk with the oracle, memory included; the entries are `before`. */
static void check_walk(const struct shape *s, const struct gwalk_ctx *ctx, unsigned access,
		       int expected, const u64 *before)
{
	unsigned level;
	u64 gpa;
	u32 error;
	int result = walk(s, ctx, access, &gpa, &error);

	if ((result == 0) != (expected == -1) || (result && error != (u32)expected) ||
	    (!result && gpa != s->gpa))
		fail_msg("%s: access %u cpl %u: result %d error %x gpa %llx, expected %x", s->name,
			 access, ctx->cpl, result, error, (unsigned long long)gpa, expected);
	for (level = s->levels; level >= s->leaf; level--) {
		u64 want = before[level];

		if (result == 0 && !is_pdpte(s, level))
			want |= A | (level == s->leaf && access == GWALK_WRITE ? D : 0);
		if (peek(s, level) != want)
			fail_msg("%s: level %u is %llx, expected %llx", s->name, level,
				 (unsigned long long)peek(s, level), (unsigned long long)want);
		poke(s, level, before[level]);
	}
}

/* All control bits and kinds of access for the entries that stand in RAM now. */
static unsigned check_all_modes(const struct shape *s, bool w, bool u, bool nx)
{
	static const unsigned accesses[] = {0, GWALK_WRITE, GWALK_FETCH};
	struct gwalk_ctx ctx = context(s);
	u64 before[5];
	unsigned bits, i, level;

	for (level = s->levels; level >= s->leaf; level--)
		before[level] = peek(s, level);
	for (bits = 0; bits < 128; bits++) {
		ctx.cpl = bits & 1 ? 3 : 0;
		ctx.ac = bits & 2;
		ctx.implicit_supervisor = bits & 4;
		ctx.cr0 = CR0_PE | CR0_PG | (bits & 8 ? CR0_WP : 0);
		ctx.cr4 = s->cr4 | (bits & 16 ? CR4_SMEP : 0) | (bits & 32 ? CR4_SMAP : 0);
		ctx.efer = s->efer | (bits & 64 ? EFER_NXE : 0);
		for (i = 0; i < 3; i++)
			check_walk(s, &ctx, accesses[i],
				   oracle(&ctx, true, nx && !(bits & 64), w, u, nx, accesses[i]),
				   before);
	}
	return bits * i;
}

static void obeys_rights_at_every_level(void **state)
{
	unsigned i, count = 0;

	(void)state;
	for (i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		unsigned top = is_pdpte(s, s->levels) ? s->levels - 1 : s->levels;
		unsigned per_level = s->entry == 8 ? 3 : 2, n = top - s->leaf + 1;
		unsigned combination;

		build(s, P);
		for (combination = 0; combination < 1u << (n * per_level); combination++) {
			bool w = true, u = true, nx = false;
			unsigned level, left = combination;

			for (level = s->leaf; level <= top; level++, left >>= per_level) {
				u64 flags = P | (left & 1 ? W : 0) | (left & 2 ? U : 0) |
					    (per_level == 3 && (left & 4) ? NX : 0);

				w &= left & 1;
				u &= left >> 1 & 1;
				nx |= per_level == 3 && (left & 4);
				poke(s, level, plain_entry(s, level, flags));
			}
			count += check_all_modes(s, w, u, nx);
		}
	}
	print_message("%u walks\n", count);
}

static void reports_missing_entries(void **state)
{
	unsigned i, level, access;

	(void)state;
	for (i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];

		for (level = s->leaf; level <= s->levels; level++) {
			struct gwalk_ctx ctx = context(s);
			u64 before[5] = {0};
			unsigned l;

			build(s, P | W | U);
			/* With P clear no other bit counts. */
			poke(s, level, ~0ull & ~(u64)P);
			for (l = s->leaf; l <= s->levels; l++)
				before[l] = peek(s, l);
			ctx.efer |= EFER_NXE;
			for (access = 0; access <= GWALK_FETCH; access++) {
				ctx.cpl = 3;
				check_walk(s, &ctx, access,
					   oracle(&ctx, false, false, 0, 0, 0, access), before);
			}
		}
	}
}

/* Bits that must be 0, for MAXPHYADDR 36, from the manual's figures of the entries. */
static const struct {
	unsigned shape, level;
	u64 reserved; /* with EFER.NXE set; bit 63 joins where it is clear */
	u64 reserved40;
} rules[] = {
	{0, 2, 0, 0}, /* PDE that refers to a table; PS would make it another entry */
	{0, 1, 0, 0},
	{1, 2, 0x003e0000, 0x00200000},
	{2, 2, 0, 0},
	{3, 3, 0xfffffff0000001e6, 0xffffff00000001e6},
	{3, 2, 0x7ffffff000000000, 0x7fffff0000000000},
	{3, 1, 0x7ffffff000000000, 0x7fffff0000000000},
	{4, 2, 0x7ffffff0001fe000, 0x7fffff00001fe000},
	{5, 4, 0x000ffff000000080, 0x000fff0000000080},
	{5, 3, 0x000ffff000000000, 0x000fff0000000000},
	{5, 2, 0x000ffff000000000, 0x000fff0000000000},
	{5, 1, 0x000ffff000000000, 0x000fff0000000000},
	{6, 2, 0x000ffff0001fe000, 0x000fff00001fe000},
	{7, 3, 0x000ffff03fffe000, 0x000fff003fffe000},
};

static void checks_reserved_bits(void **state)
{
	unsigned i, bit, mode;

	(void)state;
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct shape *s = &shapes[rules[i].shape];

		for (bit = 0; bit < 8 * s->entry; bit++) {
			for (mode = 0; mode < 4; mode++) {
				struct gwalk_ctx ctx = context(s);
				u64 reserved = mode & 1 ? rules[i].reserved40 : rules[i].reserved;
				u64 gpa;
				u32 error;
				int result;
				bool leaf = rules[i].level == s->leaf;

				/* P and address bits lead elsewhere; PS makes another format. */
				if (!(reserved >> bit & 1) &&
				    (bit == 0 || (bit >= 12 && bit < 52) ||
				     (bit == 7 && rules[i].level > 1 && s->cr4 && !leaf)))
					continue;
				ctx.maxphyaddr = mode & 1 ? 40 : 36;
				ctx.efer |= mode & 2 ? EFER_NXE : 0;
				if (!(mode & 2) && s->entry == 8)
					reserved |= NX;
				build(s, P | W | U);
				poke(s, rules[i].level, peek(s, rules[i].level) | 1ull << bit);
				result = walk(s, &ctx, 0, &gpa, &error);
				if (reserved >> bit & 1)
					assert_true(result == -EFAULT && error == 9);
				else
					assert_int_equal(result, 0);
			}
		}
	}
}

static void finds_pages_above_4g_with_pse36(void **state)
{
	struct gwalk_ctx ctx = context(&shapes[1]);
	u64 gpa;
	u32 error;

	(void)state;
	build(&shapes[1], P);
	poke(&shapes[1], 2, peek(&shapes[1], 2) | 0xa5 << 13);
	assert_int_equal(walk(&shapes[1], &ctx, 0, &gpa, &error), 0);
	assert_int_equal(gpa, shapes[1].gpa | 0xa5ull << 32);
	/* MAXPHYADDR above 40 does not widen it, nor does it make bit 21 valid. */
	ctx.maxphyaddr = 46;
	poke(&shapes[1], 2, peek(&shapes[1], 2) | 1 << 21);
	assert_int_equal(walk(&shapes[1], &ctx, 0, &gpa, &error), -EFAULT);
	assert_int_equal(error, 9);
}

static void passes_addresses_without_paging(void **state)
{
	struct gwalk_ctx ctx = {.cr0 = CR0_PE, .maxphyaddr = 36};
	gpa_t gpa;
	u32 error;

	(void)state;
	assert_int_equal(gwalk_translate(NULL, &ctx, GVA(0x1fffff123), GWALK_WRITE, &gpa, &error), 0);
	assert_int_equal(gpa.v, 0xfffff123);
}

static void uses_loaded_pdptes(void **state)
{
	const struct shape *s = &shapes[3];
	struct gwalk_ctx ctx = context(s);
	u64 pdpte[4] = {0, 0, 2 * PAGE_SIZE | P, 0}, gpa;
	u32 error;

	(void)state;
	build(s, P);
	poke(s, 3, 0); /* what stands in memory does not count any more */
	ctx.pdpte = pdpte;
	assert_int_equal(walk(s, &ctx, 0, &gpa, &error), 0);
	assert_int_equal(gpa, s->gpa);
	pdpte[2] = 0;
	assert_int_equal(walk(s, &ctx, GWALK_WRITE, &gpa, &error), -EFAULT);
	assert_int_equal(error, PF_WRITE);
}

static void masks_cr3(void **state)
{
	static const u64 noise[] = {0xfff, 0xfff, 0xfff, 0x1f, 0x1f,
				    0x8000000000000fff, 0x8000000000000fff, 0x8000000000000fff};
	unsigned i;

	(void)state;
	for (i = 0; i < SHAPES; i++) {
		struct gwalk_ctx ctx = context(&shapes[i]);
		u64 gpa;
		u32 error;

		build(&shapes[i], P);
		ctx.cr3 |= noise[i];
		assert_int_equal(walk(&shapes[i], &ctx, 0, &gpa, &error), 0);
		assert_int_equal(gpa, shapes[i].gpa);
	}
}

static void reads_ones_outside_ram(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < SHAPES; i++) {
		struct gwalk_ctx ctx = context(&shapes[i]);
		u64 gpa;
		u32 error;
		int result;

		ctx.cr3 = 0x7000000;
		result = walk(&shapes[i], &ctx, GWALK_WRITE, &gpa, &error);
		if (shapes[i].cr4) { /* reserved bits are set among the ones */
			assert_int_equal(result, -EFAULT);
			assert_int_equal(error, PF_PRESENT | PF_RSVD | PF_WRITE);
		} else { /* an old-style table of ones maps the last page */
			assert_int_equal(result, 0);
			assert_int_equal(gpa, 0xfffff678);
		}
	}
}

static void ignores_writes_to_read_only_tables(void **state)
{
	const struct shape *s = &shapes[1];
	struct gwalk_ctx ctx = context(s);
	u64 before, gpa;
	u32 error;

	(void)state;
	build(s, P | W);
	memcpy(ram + RAM_SIZE - PAGE_SIZE, ram + 2 * PAGE_SIZE, PAGE_SIZE);
	before = *(u32 *)(ram + RAM_SIZE - PAGE_SIZE + entry_address(s, 2) % PAGE_SIZE);
	ctx.cr3 = RAM_SIZE - PAGE_SIZE;
	assert_int_equal(walk(s, &ctx, GWALK_WRITE, &gpa, &error), 0);
	assert_int_equal(*(u32 *)(ram + ctx.cr3 + entry_address(s, 2) % PAGE_SIZE), before);
}

static unsigned changes_left, changes;

static void changes_rights(u64 gpa)
{
	if (changes_left == 0)
		return;
	changes_left--;
	changes++;
	ram[gpa + 1] ^= 2; /* a bit for software */
}

static void takes_the_page_away(u64 gpa)
{
	ram[gpa] &= ~P;
}

static void walks_anew_when_an_entry_changes(void **state)
{
	const struct shape *s = &shapes[5];
	struct gwalk_ctx ctx = context(s);
	u64 gpa;
	u32 error;

	(void)state;
	other_vcpu = changes_rights;
	for (unsigned times = 0; times < 5; times++) {
		build(s, P | W);
		changes_left = times;
		assert_int_equal(walk(s, &ctx, GWALK_WRITE, &gpa, &error), 0);
		assert_int_equal(gpa, s->gpa);
		assert_int_equal(peek(s, 1) & (A | D), A | D);
		assert_int_equal(peek(s, 4) & (A | D), A);
		assert_int_equal(changes_left, 0);
	}
	/* one that never rests does not keep it for ever, nor is its entry overwritten */
	build(s, P | W);
	changes_left = 1000;
	changes = 0;
	assert_int_equal(walk(s, &ctx, GWALK_WRITE, &gpa, &error), 0);
	assert_in_range(changes, 2, 32);
	assert_int_equal(peek(s, 4) & A, 0);
	/* a mapping that is taken away faults, and gets no bits */
	build(s, P | W);
	other_vcpu = takes_the_page_away;
	assert_int_equal(walk(s, &ctx, GWALK_WRITE, &gpa, &error), -EFAULT);
	assert_int_equal(error, PF_WRITE);
	assert_int_equal(peek(s, 4) & (P | A), 0);
	other_vcpu = NULL;
}

static void peeks_without_a_trace(void **state)
{
	unsigned i, level;

	(void)state;
	for (i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct gwalk_ctx ctx = context(s);
		u64 gpa;
		u32 error;

		build(s, P);
		ctx.cpl = 3;
		assert_int_equal(walk(s, &ctx, GWALK_PEEK | GWALK_WRITE, &gpa, &error), 0);
		assert_int_equal(gpa, s->gpa);
		for (level = s->leaf; level <= s->levels; level++)
			assert_int_equal(peek(s, level) & (A | D), 0);
	}
}

static void fetches_each_entry_once(void **state)
{
	unsigned i, byte, sum;

	(void)state;
	for (i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		struct gwalk_ctx ctx = context(s);
		u64 gpa;
		u32 error;

		build(s, P | W);
		memset(reads, 0, sizeof(reads));
		assert_int_equal(walk(s, &ctx, GWALK_WRITE, &gpa, &error), 0);
		for (byte = 0, sum = 0; byte < RAM_SIZE; byte++) {
			assert_true(reads[byte] <= 1);
			sum += reads[byte];
		}
		assert_int_equal(sum, s->levels - s->leaf + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(obeys_rights_at_every_level),
		cmocka_unit_test(reports_missing_entries),
		cmocka_unit_test(checks_reserved_bits),
		cmocka_unit_test(finds_pages_above_4g_with_pse36),
		cmocka_unit_test(passes_addresses_without_paging),
		cmocka_unit_test(uses_loaded_pdptes),
		cmocka_unit_test(masks_cr3),
		cmocka_unit_test(reads_ones_outside_ram),
		cmocka_unit_test(ignores_writes_to_read_only_tables),
		cmocka_unit_test(walks_anew_when_an_entry_changes),
		cmocka_unit_test(peeks_without_a_trace),
		cmocka_unit_test(fetches_each_entry_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
