/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "alloc": all that a running Trivet does with memory is tried with each of its allocations
 * failing, that one alone and all from it on: machines made and started, VMs, vCPUs, regions,
 * logs, objects, jobs, lives. After each failure all is as before: pages, frames, nested
 * tables, window, states. Then it works. Another VM runs on meanwhile.
 */
#include "arch/cpu.h"
#include "arch/lib/audit.h"
#include "arch/lib/string.h"
#include "arch/vmx.h"
#include "tests/image/alloc.h"
#include "tests/image/guest.h"
#include "tests/image/state.h"
#include "vmm/guestmap.h"
#include "vmm/life.h"
#ifdef PARANOID
#include "tests/paranoid/paranoid.h"
#endif

#define TURNS 100000000u /* of waiting for something that must come */

static unsigned failures;

/* ---- guests */

#define ENDS  0xe6, 0xf4, 0xeb, 0xfe /* out f4h, al; jmp $: in all modes */
#define WORDS(value) (value) & 0xff, (value) >> 8 & 0xff, (value) >> 16 & 0xff, (value) >> 24 & 0xff

static const u8 flat_image[] = {ENDS};
static const u8 beats_image[] = {0xe6, 0x80, 0xeb, 0xfc}; /* out 80h, al; jmp */
static const u8 sleeps_image[] = {0xfb, 0xf4, 0xeb, 0xfd}; /* sti; hlt; jmp */

#define MULTIBOOT_FLAGS BIT(16)
static const u8 multiboot_image[] = {
	WORDS(0x1badb002u), WORDS(MULTIBOOT_FLAGS), WORDS(0u - 0x1badb002u - (u32)MULTIBOOT_FLAGS),
	WORDS(0x100000u), WORDS(0x100000u), WORDS(0u), WORDS(0u), WORDS(0x100020u), ENDS,
};

/* The least that has a 64-bit entry: a boot sector, one of setup, 200h bytes, the entry. */
#define LINUX_SIZE 0x620u
static u8 linux_image[LINUX_SIZE] = {
	[0x1f1] = 1, [0x1f4] = (LINUX_SIZE - 0x400) / 16, [0x1fe] = 0x55, 0xaa, 0xeb, 0x62,
	'H', 'd', 'r', 'S', 0x0c, 0x02, [0x211] = 1, [0x22c] = 0xff, 0xff, 0xff, 0x7f,
	[0x232] = 0x20, [0x234] = 1, 21, 1, [0x238] = 0xff, 0x07, [0x25a] = 0x10, [0x262] = 1,
	[0x600] = ENDS,
};
static const u8 initrd_image[] = "an initrd";

#define MODULES 3

static struct guest_kind {
	const char *name;
	struct {
		const void *image;
		size_t size;
		enum module_kind kind;
	} module[MODULES];
	unsigned modules, cpus;
} kinds[] = {
	{"flat", {{flat_image, sizeof(flat_image), MODULE_FLAT}}, 1, 1},
	{"multiboot", {{multiboot_image, sizeof(multiboot_image), MODULE_AUTO},
		       {initrd_image, sizeof(initrd_image), MODULE_AUTO}}, 2, 1},
	{"linux", {{linux_image, sizeof(linux_image), MODULE_AUTO},
		   {initrd_image, sizeof(initrd_image), MODULE_AUTO},
		   {initrd_image, 5, MODULE_INITRD}}, 3, 3},
	{"sleeps", {{sleeps_image, sizeof(sleeps_image), MODULE_FLAT}}, 1, 2},
	{"beats", {{beats_image, sizeof(beats_image), MODULE_FLAT}}, 1, 1},
};
enum { FLAT, MULTIBOOT, LINUX, SLEEPS, BEATS, KINDS };

static struct machine machines[KINDS];
static struct vm_module modules[KINDS][MODULES];

static void make_machines(void)
{
	for (unsigned i = 0; i < KINDS; i++) {
		const struct guest_kind *k = &kinds[i];

		for (unsigned n = 0; n < k->modules; n++) {
			u8 *image = pages_alloc(1);

			memcpy(image, k->module[n].image, k->module[n].size);
			modules[i][n] = (struct vm_module){
				.number = n + 1, .start = virt_to_phys(image),
				.size = k->module[n].size, .kind = k->module[n].kind, .cmdline = "word"};
		}
		machines[i].config = (struct machine_config){
			.name = "guest", .mem = MIB(2), .cpus = k->cpus, .debug_exit = true,
			.pci_testdev = true, .modules = modules[i], .module_count = k->modules,
			.epoch_tsc = rdtsc(), .weight = 10};
		memcpy(machines[i].config.vm, k->name, strlen(k->name));
		life_add(&machines[i]);
	}
}

/* ---- what there is */

static u64 mix(u64 sum, u64 value)
{
	return (sum ^ value) * 0x100000001b3ull;
}

/* Of a table's leaves up to an address; flags that the CPU sets do not count. */
static u64 sum_tables(const struct pt *pt, u64 end)
{
	u64 sum = 1;

	for (u64 at = 0; at < end;) {
		unsigned level;
		u64 *entry = pt_leaf(pt, at, &level), span = PAGE_SIZE << 9 * (level - 1);

		if (entry)
			sum = mix(mix(sum, at), *entry & ~(u64)(EPT_ACCESSED | EPT_DIRTY));
		at = ALIGN_DOWN(at, span) + span;
	}
	return sum;
}

static u64 sum_vm(const struct vm *vm)
{
	u64 sum = vm->regions.count;

	for (unsigned i = 0; i < vm->regions.count * sizeof(struct region) / 8; i++)
		sum = mix(sum, ((const u64 *)vm->regions.region)[i]);
	sum = mix(mix(sum, vm->vcpu_count), vm->virt->logs);
	sum = mix(sum, vm->requests);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		sum = mix(sum, (u64)vm->vcpus[i]);
	sum = mix(sum, vm->msr_policy.count);
	sum = mix(sum, vm->virt->ept_pointer);
	return mix(mix(sum, sum_tables(&vm->virt->ept, GIB(8))),
		   sum_tables(&vm->space.pt, WINDOW_BASE + GIB(8)));
}

static struct guest g; /* what the calls on a VM work on */
static struct mem_object *other;

static u64 sum_all(void)
{
	u64 sum = mix(alloc_pages(), frames_available());

	for (unsigned i = 0; i < KINDS; i++)
		sum = mix(mix(sum, machines[i].state), machines[i].queued);
	return mix(sum, sum_vm(g.vm ? g.vm : machines[SLEEPS].vm));
}

static int ask(unsigned kind, enum life_request request)
{
	struct machine *m = &machines[kind];

	if (life_ask(m, request))
		return -ENOMEM;
	life_wait(m);
	guest_job_gone(&m->job);
	return 0;
}

/* It sleeps while nobody looks, for the emulator's sake. */
static void others_run_on(const char *name)
{
	const struct vcpu *vcpu = machines[BEATS].vm->vcpu;
	u64 before = vcpu_exits(vcpu, EXIT_IO);
	unsigned turns = TURNS;

	ask(BEATS, LIFE_RESUME);
	while (--turns && vcpu_exits(vcpu, EXIT_IO) == before)
		job_yield();
	if (!turns || ask(BEATS, LIFE_PAUSE)) {
		log_error("not so: with %s failing the other VM goes on", name);
		failures++;
	}
}

/* How many lines of the log from *at on are errors of a VM with this text. */
static unsigned errors_told(u64 *at, const char *name, const char *text)
{
	char line[LOG_LINE_MAX + 1], part[LOG_LINE_MAX];
	unsigned told = 0;

	str_format(part, sizeof(part), "error: [%s] %s", name, text);
	for (size_t len; (len = log_read(at, line));) {
		line[len] = '\0';
		told += !strncmp(line, part, strlen(part));
	}
	return told;
}

/* ---- trials */

struct trial {
	const char *name;
	int (*act)(unsigned arg);
	void (*undo)(unsigned arg); /* of an act that went well, by what allocates nothing */
	unsigned arg;
	const char *tells; /* the VM that a message has to name, one line of it */
	unsigned least;	   /* allocations that it makes */
	unsigned step;	   /* 0: each of them fails; else of so many one */
};

#define HOLDS(condition, ...)                                                                     \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			log_error("not so: %s: %s (%s), allocation %lu%s, for %s", t->name,       \
				  #condition, #__VA_ARGS__ "", n, on ? " and on" : "",            \
				  alloc_failed_in());                                             \
			failures++;                                                               \
		}                                                                                 \
	} while (0)

/* Returns whether the nth allocation was one of its own. */
static bool try_once(const struct trial *t, u64 n, bool on)
{
	u64 before = sum_all(), pages = alloc_pages(), frames = frames_available(), at = 0;
	int error;
	u64 calls;

	errors_told(&at, "", "");
	alloc_arm(n, on);
	error = t->act(t->arg);
	calls = alloc_disarm();
	if (error) {
		HOLDS(error == -ENOMEM);
		HOLDS(alloc_failures());
		if (t->tells)
			HOLDS(errors_told(&at, t->tells, "no ") == 1);
		else if (errors_told(&at, "test", "no memory to move region"))
			t->undo(t->arg); /* it shows nothing: vmm/region.h */
	} else {
		t->undo(t->arg);
	}
	HOLDS(alloc_pages() == pages);
	HOLDS(frames_available() == frames);
	HOLDS(sum_all() == before);
	if (!alloc_failures()) {
		HOLDS(!error);
		HOLDS(calls >= t->least);
	}
	return alloc_failures();
}

static void run_trial(const struct trial *t)
{
	u64 n[2];
	unsigned before = failures;

	/* What stays for all who come after is made now. */
	if (!t->act(t->arg))
		t->undo(t->arg);
	for (unsigned on = 0; on < 2; on++)
		for (n[on] = 1; failures - before < 5 && try_once(t, n[on], on);)
			n[on] += t->step ? t->step * (1 + 2 * on) : 1;
	others_run_on(t->name);
	log_info("alloc: %s: %lu allocations", t->name, MAX(n[0], n[1]) - 1);
}

/* ---- machines */

static struct vm *made;

static void unmake(unsigned kind)
{
	(void)kind;
	audit_run(AUDIT_VM_END, made);
	vm_destroy(made);
}

static int make_and_start(unsigned kind)
{
	int error = machine_create(&machines[kind].config, &made);

	if (error)
		return error;
	error = machine_start(made, NULL);
	if (error)
		unmake(kind);
	return error;
}

/* ---- lives */

static int start(unsigned kind)
{
	return ask(kind, LIFE_START) ?: machines[kind].state == LIFE_OFF ? -ENOMEM : 0;
}

static void destroy(unsigned kind)
{
	life_wait(&machines[kind]);
	if (machines[kind].state != LIFE_OFF)
		ask(kind, LIFE_DESTROY);
}

static int request(unsigned which)
{
	return ask(SLEEPS, which);
}

static void nothing(unsigned arg)
{
	(void)arg;
}

static void resume(unsigned arg)
{
	(void)arg;
	request(LIFE_RESUME);
}

/* ---- a VM and what belongs to it */

static struct vm *empty;

static int create_vm(unsigned arg)
{
	(void)arg;
	return vm_create("test", &empty);
}

static void destroy_vm(unsigned arg)
{
	(void)arg;
	vm_destroy(empty);
}

static int create_vcpu(unsigned id)
{
	struct vcpu *vcpu;

	return vcpu_create(g.vm, id, &vcpu);
}

static void destroy_vcpu(unsigned id)
{
	vcpu_destroy(g.vm->vcpus[id]);
	g.vm->vcpu_count--;
}

static int filter(unsigned arg)
{
	static const struct vm_msr_range range = {0xc0000082, 0xc0000082, true, false};

	return vm_set_msr_policy(g.vm, arg, &range, 1);
}

static void filter_nothing(unsigned arg)
{
	(void)arg;
	vm_set_msr_policy(g.vm, true, NULL, 0);
}

static int create_object(unsigned kind)
{
	switch (kind) {
	case MEM_ANONYMOUS:
		return mem_create(MIB(6) + PAGE_SIZE, &other);
	case MEM_MODULE:
		return mem_create_module(HPA(MIB(1)), 5000, &other);
	default:
		return mem_create_physical(HPA(MIB(1)), MIB(1), true, &other);
	}
}

static void put_object(unsigned kind)
{
	(void)kind;
	mem_put(other);
}

/* Changes of region 1, which shows 2 MiB at 4 MiB, and of 2, which is new. */
static const struct change {
	unsigned slot, flags, flags_before;
	u64 gpa, size, offset;
} changes[] = {
	{2, 0, 0, GIB(5), MIB(2), MIB(2)},
	{2, REGION_READ_ONLY, 0, GIB(3) + PAGE_SIZE, MIB(2), MIB(2)},
	{2, REGION_LOG_DIRTY, 0, GIB(5), MIB(4), MIB(2)},
	{1, REGION_LOG_DIRTY, 0, MIB(4), MIB(2), MIB(2)},
	{1, 0, 0, GIB(6), MIB(2), MIB(2)},
	{1, 0, 0, MIB(5), MIB(2), MIB(2)},
	{1, 0, 0, MIB(4) + PAGE_SIZE, MIB(2), MIB(2)},
	{1, REGION_LOG_DIRTY, 0, GIB(6), MIB(2), MIB(2)},
	{1, REGION_LOG_DIRTY, 0, MIB(5), MIB(2), MIB(2)},
	{1, REGION_LOG_DIRTY, REGION_LOG_DIRTY, GIB(6), MIB(2), MIB(2)},
	{1, REGION_LOG_DIRTY, REGION_LOG_DIRTY, MIB(5), MIB(2), MIB(2)},
	{1, 0, REGION_LOG_DIRTY, MIB(5), MIB(2), MIB(2)},
	{1, 0, REGION_LOG_DIRTY, MIB(4), MIB(2), MIB(2)},
	{1, 0, 0, 0, 0, 0},
};

static int set(unsigned slot, unsigned flags, u64 gpa, u64 size, u64 offset)
{
	return vm_set_memory_region(g.vm, slot, flags, GPA(gpa), size, g.mem, offset);
}

static int change(unsigned i)
{
	const struct change *c = &changes[i];

	return set(c->slot, c->flags, c->gpa, c->size, c->offset);
}

static void change_back(unsigned i)
{
	if (changes[i].slot == 1) {
		set(1, 0, 0, 0, 0);
		set(1, changes[i].flags_before, MIB(4), MIB(2), MIB(2));
	} else {
		set(2, 0, 0, 0, 0);
	}
}

static void change_regions(void)
{
	char name[32];

	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		struct trial t = {name, change, change_back, i, NULL, 0, 0};

		str_format(name, sizeof(name), "change %u of a region", i);
		set(1, changes[i].flags_before, MIB(4), MIB(2), MIB(2));
		run_trial(&t);
		set(1, 0, 0, 0, 0);
	}
}

/* ---- Trivet's own */

static struct job job;
static void *mapped;
static struct space space;

static void do_nothing(void *arg)
{
	(void)arg;
}

static int begin_job(unsigned arg)
{
	(void)arg;
	return job_start(&job, "job", ~0ull, do_nothing, NULL);
}

static void end_job(unsigned arg)
{
	(void)arg;
	guest_job_gone(&job);
}

static int map(unsigned size)
{
	mapped = phys_map(HPA(MIB(2) + KIB(8)), size, PHYS_WRITE_BACK);
	return mapped ? 0 : -ENOMEM;
}

static void unmap(unsigned size)
{
	phys_unmap(mapped, size);
}

static int create_space(unsigned arg)
{
	int error = space_create(&space);

	if (!error)
		error = space_map(&space, WINDOW_BASE + GIB(1) - PAGE_SIZE, HPA(MIB(1)), MIB(6), arg);
	if (error && space.pt.root)
		space_destroy(&space);
	return error;
}

static void destroy_space(unsigned arg)
{
	(void)arg;
	space_destroy(&space);
}

static const struct trial machine_trials[] = {
	{"a flat guest's machine", make_and_start, unmake, FLAT, "flat", 35, 5},
	{"a multiboot guest's machine", make_and_start, unmake, MULTIBOOT, "multiboot", 35, 4},
	{"a Linux guest's machine", make_and_start, unmake, LINUX, "linux", 45, 1},
};

static const struct trial life_trials[] = {
	{"start", start, destroy, LINUX, NULL, 45, 3},
	{"reset", request, nothing, LIFE_RESET, NULL, 1, 0},
	{"pause", request, resume, LIFE_PAUSE, NULL, 1, 0},
};

static const struct trial vm_trials[] = {
	{"vm_create", create_vm, destroy_vm, 0, NULL, 4, 0},
	{"vcpu_create", create_vcpu, destroy_vcpu, 1, NULL, 4, 0},
	{"vm_set_msr_policy", filter, filter_nothing, 1, NULL, 0, 0},
	{"mem_create", create_object, put_object, MEM_ANONYMOUS, NULL, 2, 0},
	{"mem_create_module", create_object, put_object, MEM_MODULE, NULL, 1, 0},
	{"mem_create_physical", create_object, put_object, MEM_PHYSICAL, NULL, 1, 0},
	{"job_start", begin_job, end_job, 0, NULL, 1, 0},
	{"phys_map of a page", map, unmap, PAGE_SIZE, NULL, 1, 0},
	{"phys_map of more", map, unmap, MIB(5), NULL, 1, 0},
	{"space_map", create_space, destroy_space, SPACE_USER, NULL, 5, 0},
};

static void run_trials(const struct trial *trials, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		run_trial(&trials[i]);
}

/* On CPUs open to iTLB multihit the first fetch from a large page splits it. */
static unsigned ends_without_split(void)
{
	u64 pages = alloc_pages();
	enum vcpu_exit_reason reason;
	unsigned failed = 0;

	guest_write(g.vm, GPA(0x1000), "\x0f\x01\xc1", 3);
	guest_start(&g, 0x1000, 0);
	alloc_arm(1, true);
	reason = guest_run(&g, 100000000);
	alloc_disarm();
	CHECK_EQUAL(alloc_pages(), pages);
	if (alloc_failures()) {
		CHECK_EQUAL(reason, EXIT_UNKNOWN);
		CHECK(selftest_holds(g.vm->end_reason, "no memory to split a large page"));
		g.vm->requests = 0;
		guest_start(&g, 0x1000, 0);
		reason = guest_run(&g, 100000000);
	}
	CHECK_EQUAL(reason, EXIT_HYPERCALL);
	return failed;
}

/* What a VM does as it runs on needs nothing: logs read, state read and written, guests run. */
static unsigned takes_nothing(void)
{
	static struct state state;
	static u64 bitmap[MIB(2) / PAGE_SIZE / 64];
	unsigned failed = 0;

	CHECK_EQUAL(set(1, REGION_LOG_DIRTY, MIB(4), MIB(2), MIB(2)), 0);
	guest_start(&g, 0x1000, 0);
	alloc_arm(1, true);
	CHECK_EQUAL(guest_run(&g, 100000000), EXIT_HYPERCALL);
	CHECK_EQUAL(vm_get_dirty_log(g.vm, 1, bitmap, sizeof(bitmap)), 0);
	failed += state_save(g.vcpu, &state);
	failed += state_restore(g.vcpu, &state);
	vcpu_reset(g.vcpu);
	CHECK_EQUAL(set(1, 0, 0, 0, 0), 0);
	CHECK_EQUAL(alloc_disarm(), 0);
	return failed;
}

static void calls_on_a_vm(void)
{
	if (!guest_make(&g, MIB(8))) {
		failures++;
		return;
	}
	set(0, 0, 0, MIB(2), 0);
	failures += ends_without_split() + takes_nothing();
	vcpu_put(g.vcpu); /* nothing below yields with it loaded */
	run_trials(vm_trials, ARRAY_SIZE(vm_trials));
	change_regions();
	vcpu_load(g.vcpu);
	guest_end(&g);
	g.vm = NULL;
}

/* With all that failed behind it, each guest runs to its end. */
static void guests_run(void)
{
	for (unsigned i = FLAT; i <= LINUX; i++) {
		unsigned turns = TURNS;

		life_ask(&machines[i], LIFE_START);
		while (--turns && machines[i].state != LIFE_ENDED)
			job_yield();
		if (strncmp(machines[i].reason, "exit code", 9)) {
			log_error("not so: %s runs to its end: %s", kinds[i].name, machines[i].reason);
			failures++;
		}
		destroy(i);
	}
}

static void drive(void)
{
	start(SLEEPS);
	start(BEATS);
	ask(BEATS, LIFE_PAUSE);
	run_trials(machine_trials, ARRAY_SIZE(machine_trials));
	run_trials(life_trials, ARRAY_SIZE(life_trials));
	calls_on_a_vm();
	guests_run();
	destroy(SLEEPS);
	destroy(BEATS);
}

static unsigned run_alloc(const char *argument)
{
	(void)argument;
#ifdef PARANOID
	cap_counts = false; /* here jobs write to the port itself, byte by byte */
#endif
	make_machines();
	if (guest_in_job(drive))
		failures++;
	life_machines = NULL;
	return failures;
}

DEFINE_SELFTEST(alloc_test, .name = "alloc", .run = run_alloc);
