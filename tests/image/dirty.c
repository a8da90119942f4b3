/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log is exact: a guest writes pages from a known seed while the log is
 * read again and again, and Trivet writes too. All reads together name every page
 * that was written and no other, but the guest's own paging structures; and a copy
 * that follows the log ends as the memory is, so no write fell between two reads.
 * The argument names the mechanism that is expected: pml, flags or protect.
 */
#include "arch/lib/string.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"

#define SIZE	     MIB(8)
#define PAGES	     (SIZE / PAGE_SIZE)
#define CODE	     0x1000ull
#define TABLES	     0x10000ull
#define DATA	     MIB(4)
#define DATA_PAGES   1024u
#define OWN	     MIB(2) /* where Trivet writes */
#define SEED	     12345u
#define SHORT_READS  100u
#define SHORT_TICKS  400u
#define WRITES	     9000u
#define LONG_TICKS   100000000ull
#define TABLES_ROM   MIB(16) /* the tables, read-only */

static u64 copy[PAGES], bitmap[PAGES / 64], seen[PAGES / 64], expected[PAGES / 64];

static u32 next(u32 x)
{
	return x * 1664525 + 1013904223;
}

/* The same bytes do the same in 32-bit and 64-bit mode: eax = next(eax), a word to that page,
 * ecx times; VMCALL. */
static void put_code(struct guest *g)
{
	static const u8 code[] = {
		0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00, /* imul eax, eax, 1664525 */
		0x05, 0x5f, 0xf3, 0x6e, 0x3c,	    /* add eax, 1013904223 */
		0x89, 0xc2,			    /* mov edx, eax */
		0xc1, 0xea, 0x16,		    /* shr edx, 22 */
		0xc1, 0xe2, 0x0c,		    /* shl edx, 12 */
		0x89, 0x8a, 0x00, 0x00, 0x40, 0x00, /* mov [edx + 400000h], ecx */
		0x83, 0xe9, 0x01,		    /* sub ecx, 1 */
		0x75, 0xe2,			    /* jnz */
		0x0f, 0x01, 0xc1,		    /* vmcall */
		0xeb, 0xfe,
	};

	guest_write(g->vm, GPA(CODE), code, sizeof(code));
}

static bool bit(const u64 *map, u64 n)
{
	return map[n / 64] >> n % 64 & 1;
}

static void expect_all_writes(void)
{
	u32 x = SEED;

	for (unsigned i = 0; i < WRITES; i++) {
		x = next(x);
		bit_set_atomic(expected, DATA / PAGE_SIZE + (x >> 22));
	}
}

static unsigned level_of(struct guest *g, u64 gpa)
{
	unsigned level = 0;

	pt_leaf(&g->vm->virt->ept, gpa, &level);
	return level;
}

/* Reads the log and follows it. */
static unsigned read_log(struct guest *g)
{
	unsigned failed = 0;

	CHECK_EQUAL(vm_get_dirty_log(g->vm, 0, bitmap, sizeof(bitmap)), 0);
	for (u64 page = 0; page < PAGES; page++) {
		if (!bit(bitmap, page))
			continue;
		bit_set_atomic(seen, page);
		guest_read(g->vm, GPA(page * PAGE_SIZE), &copy[page], 8);
	}
	return failed;
}

/* Trivet writes a page, each time another one, by one of its ways. */
static unsigned own_write(struct guest *g, unsigned round)
{
	u64 page = OWN / PAGE_SIZE + round * 7 % 400, value = round + 1, old = 0;
	gpa_t gpa = GPA(page * PAGE_SIZE);
	unsigned failed = 0;

	guest_read(g->vm, gpa, &old, sizeof(old));
	bit_set_atomic(expected, page);
	switch (round % 3) {
	case 0:
		CHECK_EQUAL(guest_write(g->vm, gpa, &value, sizeof(value)), 0);
		break;
	case 1:
		CHECK_EQUAL(guest_cmpxchg(g->vm, gpa, 8, old, value), 0);
		break;
	default:
		CHECK_EQUAL(guest_zero(g->vm, gpa, 8), 0);
	}
	return failed;
}

/*
 * The guest's tables may be in the log or not. The flags that its CPU sets there are writes too,
 * but Bochs 2.7 sets them without asking the nested tables, so with these protected it tells nobody.
 */
static unsigned compare(struct guest *g, bool paging)
{
	bool asks = !g->vm->virt->protect;
	unsigned failed = 0;

	for (u64 page = 0; page < PAGES && failed < 10; page++) {
		bool table = paging && page - TABLES / PAGE_SIZE < 3;
		u64 word;

		guest_read(g->vm, GPA(page * PAGE_SIZE), &word, sizeof(word));
		if (bit(seen, page) != bit(expected, page) && !(table && bit(seen, page))) {
			log_error("page %lx is %sin the log", page, bit(seen, page) ? "" : "not ");
			failed++;
		}
		if (word != copy[page] && (!table || asks)) {
			log_error("page %lx: a write was missed", page);
			failed++;
		}
	}
	return failed;
}

static unsigned is_mechanism(struct guest *g, const char *name)
{
	struct virt_vm *v = g->vm->virt;
	bool protect = !strcmp(name, "protect"), pml = !strcmp(name, "pml");
	unsigned failed = 0;

	CHECK(protect || pml || !strcmp(name, "flags"));
	CHECK_EQUAL(v->protect, protect);
	CHECK_EQUAL(v->scan, !protect && !pml);
	CHECK_EQUAL(!!(v->ept_pointer & EPTP_AD), !protect);
	return failed;
}

/* One life: without a log, with it, and without it again, which is as at first. */
static unsigned run_with(struct guest *g, const char *mechanism, u64 cr3)
{
	bool paging = cr3 == TABLES, rom = cr3 == TABLES_ROM;
	unsigned failed = 0, large = level_of(g, DATA), reads = 0;
	/* Where large pages are not executable, the code's was split before; the log's end joins it. */
	unsigned tables = g->vm->virt->ept.table_pages - (level_of(g, CODE) < large);
	enum vcpu_exit_reason reason;

	memset(seen, 0, sizeof(seen));
	memset(expected, 0, sizeof(expected));
	CHECK(large > 1 || !virt_supports("2m-pages"));
	CHECK_EQUAL(vm_set_memory_region(g->vm, 0, REGION_LOG_DIRTY, GPA(0), SIZE, g->mem, 0), 0);
	CHECK_EQUAL(level_of(g, DATA), 1);
	failed += is_mechanism(g, mechanism);
	for (u64 page = 0; page < PAGES; page++)
		guest_read(g->vm, GPA(page * PAGE_SIZE), &copy[page], 8);
	guest_start(g, CODE, cr3);
	vcpu_set_gpr(g->vcpu, GPR_RAX, SEED);
	vcpu_set_gpr(g->vcpu, GPR_RCX, WRITES);
	do {
		if (reads < SHORT_READS)
			failed += own_write(g, reads);
		reason = guest_run(g, ++reads < SHORT_READS ? SHORT_TICKS : LONG_TICKS);
		CHECK(reason == (reads < SHORT_READS ? EXIT_DEADLINE : EXIT_HYPERCALL));
		failed += read_log(g);
	} while (reason == EXIT_DEADLINE);
	CHECK_EQUAL(reads, SHORT_READS);
	expect_all_writes();
	failed += compare(g, paging);
	if (rom && g->vm->virt->ept_pointer & EPTP_AD) {
		failed++;
		log_error("the tables are read-only and walks count as writes");
	}
	failed += read_log(g);
	for (unsigned i = 0; i < PAGES / 64; i++)
		CHECK_EQUAL(bitmap[i], 0);
	CHECK_EQUAL(vm_set_memory_region(g->vm, 0, 0, GPA(0), SIZE, g->mem, 0), 0);
	CHECK_EQUAL(level_of(g, DATA), large);
	CHECK_EQUAL(g->vm->virt->ept.table_pages, tables);
	CHECK(!(g->vm->virt->ept_pointer & EPTP_AD));
	CHECK_EQUAL(vm_get_dirty_log(g->vm, 0, bitmap, sizeof(bitmap)), -ENOENT);
	/* writable again, by large pages: the same once more, without a fault */
	guest_start(g, CODE, cr3);
	vcpu_set_gpr(g->vcpu, GPR_RCX, 100);
	CHECK_EQUAL(guest_run(g, LONG_TICKS), EXIT_HYPERCALL);
	CHECK_EQUAL(g->vcpu->exits[EXIT_MEMORY], 0);
	return failed;
}

static unsigned run_dirty(const char *mechanism)
{
	struct guest g;
	unsigned failed = 0;
	u64 pages, frames;

	/* The first VM makes what stays for all. */
	if (!guest_make(&g, PAGE_SIZE))
		return 1;
	guest_end(&g);
	pages = pages_in_use();
	frames = frames_available();
	if (!guest_make(&g, SIZE))
		return 1;
	CHECK_EQUAL(vm_set_memory_region(g.vm, 0, 0, GPA(0), SIZE, g.mem, 0), 0);
	put_code(&g);
	failed += run_with(&g, mechanism, 0);
	log_info("selftest: without paging: %u failed", failed);
	guest_put_tables(&g, TABLES, TABLES, 7);
	failed += run_with(&g, mechanism, TABLES);
	log_info("selftest: with paging: %u failed", failed);
	/* Tables in a read-only region, accessed and dirty already, are no writes at all. */
	CHECK_EQUAL(vm_set_memory_region(g.vm, 1, REGION_READ_ONLY, GPA(TABLES_ROM), 3 * PAGE_SIZE,
					 g.mem, 0x20000), 0);
	guest_put_tables(&g, 0x20000, TABLES_ROM, 0x67);
	failed += run_with(&g, mechanism, TABLES_ROM);
	guest_end(&g);
	CHECK_EQUAL(pages_in_use(), pages);
	CHECK_EQUAL(frames_available(), frames);
	return failed;
}

DEFINE_SELFTEST(dirty_test, .name = "dirty", .run = run_dirty);
