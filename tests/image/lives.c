/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lives of VMs on the real back end. "lives": 1,000 rounds of create, run and destroy
 * leave the allocators where they were, and no VM finds what another one wrote.
 * "unrest:REQUESTS": four machines on all cores are started, paused, resumed, reset, killed
 * and destroyed at random moments, while they spin, sleep, reset themselves or end.
 */
#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "tests/image/guest.h"
#include "vmm/life.h"

/* ---- lives */

#define ROUNDS 1000u
#define SIZE   MIB(1)
#define CODE   0x1000ull
#define MARK   0x5ca1ab1edeadbea7ull

/* Writes a word to each page from 2000h to the end; on the way some exits; VMCALL. */
static const u8 program[] = {
	0xbf, 0x00, 0x20, 0x00, 0x00,		    /* mov edi, 2000h */
	0xc7, 0x07, 0xa7, 0xbe, 0xad, 0xde,	    /* mov dword [edi], deadbea7h */
	0x81, 0xc7, 0x00, 0x10, 0x00, 0x00,	    /* add edi, 1000h */
	0x81, 0xff, 0x00, 0x00, 0x10, 0x00,	    /* cmp edi, 100000h */
	0x72, 0xec,				    /* jb */
	0x31, 0xc0, 0x0f, 0xa2, 0xe6, 0x80,	    /* xor eax, eax; cpuid; out 80h, al */
	0x0f, 0x01, 0xc1, 0xeb, 0xfe,		    /* vmcall; jmp $ */
};

static unsigned one_life(bool first)
{
	struct guest g;
	unsigned failed = 0;

	if (!guest_make(&g, SIZE))
		return 1;
	CHECK_EQUAL(vm_set_memory_region(g.vm, 0, 0, GPA(0), SIZE, g.mem, 0), 0);
	/* What the machine left in free memory before is not the last VM's fault. */
	for (u64 gpa = 0; gpa < SIZE && !failed; gpa += PAGE_SIZE) {
		u64 word = 0;

		guest_read(g.vm, GPA(gpa), &word, sizeof(word));
		if (!first)
			CHECK_EQUAL(word, 0);
		word = MARK;
		guest_write(g.vm, GPA(gpa + PAGE_SIZE - 8), &word, sizeof(word));
	}
	guest_write(g.vm, GPA(CODE), program, sizeof(program));
	guest_start(&g, CODE, 0);
	CHECK_EQUAL(guest_run(&g, 100000000), EXIT_HYPERCALL);
	CHECK_EQUAL(vcpu_exits(g.vcpu, EXIT_CPUID), 1);
	CHECK_EQUAL(vcpu_exits(g.vcpu, EXIT_IO), 1);
	guest_end(&g);
	return failed;
}

static unsigned run_lives(const char *argument)
{
	unsigned failed = one_life(true);
	u64 pages = pages_in_use(), frames = frames_available();

	(void)argument;
	for (unsigned i = 0; i < ROUNDS && !failed; i++)
		failed += one_life(false);
	CHECK_EQUAL(pages_in_use(), pages);
	CHECK_EQUAL(frames_available(), frames);
	return failed;
}

DEFINE_SELFTEST(lives_test, .name = "lives", .run = run_lives);

/* ---- unrest */

#define MACHINES 4
#define REQUESTS 2000u

static const u8 spins[] = {0xfa, 0x40, 0xeb, 0xfd};		     /* cli; inc ax; jmp */
static const u8 sleeps[] = {0xfb, 0xf4, 0xeb, 0xfc};		     /* sti; hlt; jmp */
static const u8 resets[] = {0x66, 0xb9, 0x00, 0x80, 0x02, 0x00,	     /* mov ecx, 28000h */
			    0x67, 0xe2, 0xfd,			     /* loop by ecx */
			    0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfe};     /* out 64h, feh; jmp $ */
static const u8 ends[] = {0x66, 0xb9, 0x00, 0x80, 0x08, 0x00,	     /* mov ecx, 88000h */
			  0x67, 0xe2, 0xfd, 0xe6, 0xf4, 0xeb, 0xfe}; /* out f4h, al; jmp $ */

static const struct {
	const char *name;
	const u8 *code;
	size_t size;
} kinds[MACHINES] = {
	{"spins", spins, sizeof(spins)},
	{"sleeps", sleeps, sizeof(sleeps)},
	{"resets", resets, sizeof(resets)},
	{"ends", ends, sizeof(ends)},
};

static struct machine machines[MACHINES];
static struct vm_module modules[MACHINES];
static unsigned requests, failures, taken[LIFE_REQUESTS];

static void make_machine(unsigned i)
{
	u8 *image = pages_alloc(1);

	memcpy(image, kinds[i].code, kinds[i].size);
	modules[i] = (struct vm_module){.number = 1, .start = virt_to_phys(image),
					.size = kinds[i].size, .kind = MODULE_FLAT, .cmdline = ""};
	machines[i].config = (struct machine_config){
		.name = "guest", .mem = MIB(1), .debug_exit = true,
		.modules = &modules[i], .module_count = 1, .epoch_tsc = rdtsc(),
	};
	memcpy(machines[i].config.vm, kinds[i].name, strlen(kinds[i].name));
	life_add(&machines[i]);
}

static u32 next_random(void)
{
	static u32 x = 4711;

	x = x * 1664525 + 1013904223;
	return x >> 8;
}

/* Until their jobs' stacks are given back, too. */
static void destroy_all(void)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		life_wait(&machines[i]);
		if (machines[i].state != LIFE_OFF)
			life_ask(&machines[i], LIFE_DESTROY);
		life_wait(&machines[i]);
		guest_job_gone(&machines[i].job);
	}
}

static unsigned check_all_off(u64 pages, u64 frames)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < MACHINES; i++)
		CHECK_EQUAL(machines[i].state, LIFE_OFF);
	CHECK_EQUAL(pages_in_use(), pages);
	CHECK_EQUAL(frames_available(), frames);
	return failed;
}

static void drive(void)
{
	u64 pages, frames;

	/* The first ones make what stays for all. */
	for (unsigned i = 0; i < MACHINES; i++)
		life_ask(&machines[i], LIFE_START);
	destroy_all();
	pages = pages_in_use();
	frames = frames_available();
	for (unsigned done = 0; done < requests; done++) {
		struct machine *m = &machines[next_random() % MACHINES];
		enum life_request request = next_random() % LIFE_GUEST;

		taken[request] += !life_ask(m, request);
		for (unsigned turns = next_random() % 16; turns; turns--)
			job_yield();
		if (done % 64 == 63)
			life_wait(m);
	}
	destroy_all();
	failures += check_all_off(pages, frames);
}

static unsigned run_unrest(const char *argument)
{
	unsigned failed = 0;

	requests = 0;
	for (const char *p = argument; *p >= '0' && *p <= '9'; p++)
		requests = requests * 10 + (unsigned)(*p - '0');
	requests = requests ? requests : REQUESTS;
	for (unsigned i = 0; i < MACHINES; i++)
		make_machine(i);
	log_set_level(LOG_WARN);
	CHECK_EQUAL(guest_in_job(drive), 0);
	log_set_level(LOG_INFO);
	for (unsigned i = 0; i < LIFE_GUEST; i++)
		CHECK(taken[i] > requests / LIFE_GUEST / 8);
	log_info("selftest: starts %u, pauses %u, resumes %u, resets %u, kills %u, destroys %u",
		 taken[LIFE_START], taken[LIFE_PAUSE], taken[LIFE_RESUME], taken[LIFE_RESET],
		 taken[LIFE_KILL], taken[LIFE_DESTROY]);
	life_machines = NULL;
	return failed + failures;
}

DEFINE_SELFTEST(unrest_test, .name = "unrest", .run = run_unrest);
