/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested tables that change under a guest. "remap[:ROUNDS]": a page, small or large,
 * that the guest reads, writes and executes goes to another frame, goes away, comes
 * back read-only, while its vCPU goes from pCPU to pCPU: it never meets an old frame
 * or an old right.
 * "multihit": code in each of many large pages; where the CPU is open to iTLB
 * multihit two vCPUs at once split what they execute, and at no time can a large page
 * be executed.
 */
#include "arch/cpu.h"
#include "arch/mitigate.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"
#include "vmm/pcpu.h"

#define TICKS 50000000ull

/* What is done with a vCPU on some pCPU. */
struct visit {
	struct guest *g;
	struct vcpu *vcpu;
	enum vcpu_exit_reason reason;
	u32 done;
};

static void visit(void *arg)
{
	struct visit *visit = arg;
	struct guest view = *visit->g;

	view.vcpu = visit->vcpu;
	if (pcpu_vmm()) {
		vcpu_load(view.vcpu);
		visit->reason = guest_run(&view, TICKS);
		vcpu_put(view.vcpu);
	}
	__atomic_store_n(&visit->done, 1, __ATOMIC_RELEASE);
}

/* ---- remap */

#define CODE   0x1000ull
#define PAGE   MIB(4)
#define FRAMES 8u
#define FIRST  MIB(2) /* of the frames, in the object */
#define STACK  0x9000ull
#define CALLED 0x800ull /* in the page */
#define ROUNDS 10000u

/* ebx = [esi]; [esi] = eax; ecx = [esi]; call edi; VMCALL; again. And a RET. */
static const u8 code[] = {0x8b, 0x1e, 0x89, 0x06, 0x8b, 0x0e, 0xff, 0xd7, 0x0f, 0x01, 0xc1, 0xeb,
			  0xf3, 0xc3};

/* One round of the guest, which finds `old` and `now` after its write of `value`, and calls
 * the function that a frame has. */
static unsigned look(struct guest *g, unsigned round, u32 old, u32 value, u32 now, int frame)
{
	struct visit v = {.g = g, .vcpu = g->vcpu};
	unsigned failed = 0;

	vcpu_set_gpr(g->vcpu, GPR_RAX, value);
	vcpu_set_gpr(g->vcpu, GPR_RDI, frame < 0 ? CODE + sizeof(code) - 1 : PAGE + CALLED);
	vcpu_put(g->vcpu);
	smp_call(round / 3 % pcpu_count, visit, &v);
	vcpu_load(g->vcpu);
	CHECK_EQUAL(v.reason, EXIT_HYPERCALL);
	CHECK_EQUAL(vcpu_gpr(g->vcpu, GPR_RBX), old);
	CHECK_EQUAL(vcpu_gpr(g->vcpu, GPR_RCX), now);
	CHECK_EQUAL(vcpu_gpr(g->vcpu, GPR_RAX), frame < 0 ? value : (u32)frame);
	return failed;
}

/* Each frame: zero, and mov eax, its number; ret. */
static unsigned prepare(struct guest *g, u64 size)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < FRAMES; i++) {
		u8 function[] = {0xb8, (u8)i, 0, 0, 0, 0xc3};

		CHECK_EQUAL(vm_set_memory_region(g->vm, 1, 0, GPA(PAGE), size, g->mem,
						 FIRST + i * size), 0);
		guest_zero(g->vm, GPA(PAGE), PAGE_SIZE);
		guest_write(g->vm, GPA(PAGE + CALLED), function, sizeof(function));
		vm_set_memory_region(g->vm, 1, 0, GPA(0), 0, NULL, 0);
	}
	return failed;
}

static unsigned remap(struct guest *g, unsigned rounds, u64 size)
{
	u32 content[FRAMES] = {0};
	unsigned failed = prepare(g, size);

	for (unsigned round = 1; round <= rounds && !failed; round++) {
		unsigned frame = round * 5 % FRAMES, flags = round % 4 == 3 ? REGION_READ_ONLY : 0;
		u32 value = round * 2654435761u, now = flags ? content[frame] : value;

		/* some go straight from frame to frame, some leave a hole between */
		vm_set_memory_region(g->vm, 1, 0, GPA(0), 0, NULL, 0);
		if (round % 16 == 0)
			failed += look(g, round, ~0u, value, ~0u, -1);
		CHECK_EQUAL(vm_set_memory_region(g->vm, 1, flags, GPA(PAGE), size, g->mem,
						 FIRST + frame * size), 0);
		failed += look(g, round, content[frame], value, now, (int)frame);
		content[frame] = now;
	}
	vm_set_memory_region(g->vm, 1, 0, GPA(0), 0, NULL, 0);
	return failed;
}

static unsigned run_remap(const char *argument)
{
	unsigned failed = 0, rounds = 0;
	struct guest g;

	for (const char *p = argument; *p >= '0' && *p <= '9'; p++)
		rounds = rounds * 10 + (unsigned)(*p - '0');
	rounds = rounds ? rounds : ROUNDS;
	if (!guest_make(&g, FIRST + FRAMES * MIB(2)))
		return 1;
	CHECK_EQUAL(vm_set_memory_region(g.vm, 0, 0, GPA(0), MIB(1), g.mem, 0), 0);
	guest_write(g.vm, GPA(CODE), code, sizeof(code));
	guest_start(&g, CODE, 0);
	vcpu_set_gpr(g.vcpu, GPR_RSI, PAGE);
	virt->set(g.vcpu->virt, VREG_RSP, STACK);
	failed += remap(&g, rounds - rounds / 4, PAGE_SIZE);
	failed += remap(&g, rounds / 4, MIB(2));
	guest_end(&g);
	return failed;
}

DEFINE_SELFTEST(remap_test, .name = "remap", .run = run_remap);

/* ---- multihit */

#define LARGE	   MIB(2)
#define LARGES	   24u
#define CHAIN_UP   0x100ull
#define CHAIN_DOWN 0x200ull
#define TURNS	   20u

/* inc eax; jmp to `to`, or VMCALL for 0. */
static void put_link(struct guest *g, u64 at, u64 to)
{
	u8 link[6] = {0x40, 0x0f, 0x01, 0xc1};
	u32 distance = (u32)(to - (at + sizeof(link)));

	if (to) {
		link[1] = 0xe9;
		memcpy(link + 2, &distance, 4);
	}
	guest_write(g->vm, GPA(at), link, sizeof(link));
}

static void put_chains(struct guest *g)
{
	for (u64 page = 1; page < LARGES; page++) {
		u64 at = page * LARGE;

		put_link(g, at + CHAIN_UP, page + 1 < LARGES ? at + LARGE + CHAIN_UP : 0);
		put_link(g, at + CHAIN_DOWN, page > 1 ? at - LARGE + CHAIN_DOWN : 0);
	}
}

/* Looks at each leaf: how many are large; on a CPU with the erratum none of them is executable. */
static unsigned count_large(struct guest *g, unsigned *failed_)
{
	unsigned level, count = 0, failed = 0;

	for (u64 gpa = 0; gpa < LARGES * LARGE; gpa += LARGE) {
		const u64 *entry = pt_leaf(&g->vm->virt->ept, gpa, &level);

		CHECK(entry);
		if (!entry)
			continue;
		count += level > 1;
		CHECK_EQUAL(!!(*entry & EPT_EXEC), level == 1 || !mitigate_needs(MITIGATE_MULTIHIT));
	}
	*failed_ += failed;
	return count;
}

/* Both vCPUs run their chains, the second one on another pCPU if there is one. */
static unsigned run_both(struct guest *g, struct vcpu *second)
{
	struct visit up = {.g = g, .vcpu = g->vcpu}, down = {.g = g, .vcpu = second};
	struct guest view = {g->vm, second, g->mem};
	unsigned failed = 0;

	guest_start(g, LARGE + CHAIN_UP, 0);
	vcpu_put(g->vcpu);
	vcpu_load(second);
	guest_start(&view, (LARGES - 1) * LARGE + CHAIN_DOWN, 0);
	vcpu_put(second);
	smp_post(pcpu_count - 1, visit, &down);
	visit(&up);
	while (!__atomic_load_n(&down.done, __ATOMIC_ACQUIRE))
		if (!smp_serve())
			cpu_relax();
	CHECK_EQUAL(up.reason, EXIT_HYPERCALL);
	CHECK_EQUAL(down.reason, EXIT_HYPERCALL);
	CHECK_EQUAL((u32)vcpu_gpr(g->vcpu, GPR_RAX), LARGES - 1);
	CHECK_EQUAL((u32)vcpu_gpr(second, GPR_RAX), LARGES - 1);
	vcpu_load(g->vcpu);
	return failed;
}

/* Takes every free page, as a list through their first words. */
static u64 *hoard_pages(void)
{
	u64 *list = NULL, *page;

	while ((page = pages_alloc(1))) {
		*page = (u64)list;
		list = page;
	}
	return list;
}

static void free_pages(u64 *list)
{
	while (list) {
		u64 *next = (u64 *)*list;

		pages_free(list, 1);
		list = next;
	}
}

/* With no page left for a table the guest ends in words, before anything can be executed. */
static unsigned runs_out_of_memory(struct guest *g)
{
	u64 *list = hoard_pages();
	unsigned failed = 0;

	guest_start(g, LARGE + CHAIN_UP, 0);
	CHECK_EQUAL(guest_run(g, TICKS), EXIT_UNKNOWN);
	CHECK_EQUAL(vcpu_gpr(g->vcpu, GPR_RAX), 0);
	CHECK(selftest_holds(g->vm->end_reason, "no memory to split a large page"));
	CHECK_EQUAL(count_large(g, &failed), LARGES);
	free_pages(list);
	return failed;
}

static unsigned run_multihit(const char *argument)
{
	bool large = virt_supports("2m-pages"), held = large && mitigate_needs(MITIGATE_MULTIHIT);
	u64 exits[2] = {0};
	unsigned failed = 0;
	struct vcpu *second;
	struct guest g;

	(void)argument;
	if (!guest_make(&g, LARGES * LARGE) || vcpu_create(g.vm, 1, &second))
		return 1;
	for (unsigned turn = 0; turn < TURNS && !failed; turn++) {
		CHECK_EQUAL(vm_set_memory_region(g.vm, 0, 0, GPA(0), LARGES * LARGE, g.mem, 0), 0);
		if (turn == 0)
			put_chains(&g);
		CHECK_EQUAL(count_large(&g, &failed), large ? LARGES : 0);
		for (unsigned again = 0; again < 2; again++) {
			u64 before = g.vcpu->exits[EXIT_HOST] + second->exits[EXIT_HOST];

			failed += run_both(&g, second);
			exits[again] += g.vcpu->exits[EXIT_HOST] + second->exits[EXIT_HOST] - before;
			/* page 0 has no code */
			CHECK_EQUAL(count_large(&g, &failed), held ? 1 : large ? LARGES : 0);
		}
		CHECK_EQUAL(g.vcpu->exits[EXIT_MEMORY] + second->exits[EXIT_MEMORY], 0);
		vm_set_memory_region(g.vm, 0, 0, GPA(0), 0, NULL, 0);
	}
	log_info("selftest: %lu host exits to split, %lu after, %u turns", exits[0], exits[1], TURNS);
	CHECK(!held || exits[0] >= TURNS * (LARGES - 1));
	CHECK(exits[1] < TURNS * 4); /* for the emulator's clock */
	vcpu_destroy(second);
	CHECK_EQUAL(vm_set_memory_region(g.vm, 0, 0, GPA(0), LARGES * LARGE, g.mem, 0), 0);
	if (held)
		failed += runs_out_of_memory(&g);
	guest_end(&g);
	return failed;
}

DEFINE_SELFTEST(multihit_test, .name = "multihit", .run = run_multihit);
