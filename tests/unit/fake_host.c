/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host machine for tests of vmm's core.
 */
#define _GNU_SOURCE
#include "tests/unit/fake_host.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/apic.h"
#include "arch/lib/errno.h"
#include "arch/lib/log.h"
#include "arch/percpu.h"
#include "arch/stacks.h"
#include "arch/tsc.h"

#define SET_GS	    0x1001 /* arch_prctl */
#define MAPS_MAX    600
#define SPACES_MAX  4
#define MODULES_MAX MIB(4)

struct fake_host fake_host;
bool log_broken;
u64 tsc_hz = 1000000000;

static struct fake_space {
	bool used;
	unsigned count;
	struct fake_map {
		u64 virt, hpa, size;
		unsigned flags;
	} map[MAPS_MAX];
} spaces[SPACES_MAX];

enum { FRAME_NONE, FRAME_FREE, FRAME_USED };
static u8 frame[FAKE_FRAMES_MAX / PAGE_SIZE];
static u64 frame_count, module_end;
static u8 *ram, *modules;
static struct pcpu cpu[FAKE_PCPUS];
unsigned pcpu_count = 1;
struct pcpu *pcpus[PCPU_MAX];
static struct sigaction old_segv;
static void (*on_wait)(void);

/* interrupts_wait is all that may fault. */
static void on_segv(int number, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	static const u8 wait[] = {0xfb, 0xf4, 0xfa}; /* sti; hlt; cli */

	if (!info->si_addr && !memcmp((void *)*rip, wait, sizeof(wait))) {
		*rip += sizeof(wait);
		fake_host.waits++;
		if (on_wait)
			on_wait();
		return;
	}
	sigaction(number, &old_segv, NULL);
}

void fake_host_on_wait(void (*interrupt)(void))
{
	struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_NODEFER};

	assert_int_equal(sigaction(SIGSEGV, &action, &old_segv), 0);
	on_wait = interrupt;
}

static void *reserve(u64 size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void once(void)
{
	ram = reserve(FAKE_FRAMES_MAX);
	modules = reserve(MODULES_MAX);
}

void fake_host_play(unsigned id)
{
	assert_int_equal(syscall(SYS_arch_prctl, SET_GS, &cpu[id]), 0);
}

void fake_host_cpus(unsigned count)
{
	for (unsigned i = 0; i < FAKE_PCPUS; i++) {
		free(cpu[i].vmm);
		cpu[i] = (struct pcpu){.self = &cpu[i], .id = i, .apic_id = i};
		pcpus[i] = &cpu[i];
		if (i >= count)
			continue;
		cpu[i].vmm = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
		memset(cpu[i].vmm, 0, PAGE_SIZE);
	}
	pcpu_count = count;
	fake_host_play(0);
}

void fake_host_init(u64 frames)
{
	if (!ram)
		once();
	madvise(ram, FAKE_FRAMES_MAX, MADV_DONTNEED);
	memset(modules, 0x5a, MODULES_MAX);
	module_end = 0;
	frame_count = frames / PAGE_SIZE;
	memset(frame, FRAME_NONE, sizeof(frame));
	memset(frame, FRAME_FREE, frame_count);
	memset(spaces, 0, sizeof(spaces));
	memset(&fake_host, 0, sizeof(fake_host));
	log_broken = false;
	fake_host_cpus(1);
	tsc_hz = 1000000000;
}

bool fake_host_refuses(void)
{
	fake_host.allocations++;
	if (!fake_host.fail_at || --fake_host.fail_at)
		return false;
	fake_host.fail_at = fake_host.fail_again;
	fake_host.fail_again = 0;
	return true;
}

/* ---- pages */

void *pages_alloc(unsigned count)
{
	void *pages;

	assert_in_range(count, 1, PAGES_RUN_MAX);
	if (fake_host_refuses())
		return NULL;
	pages = aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);
	memset(pages, 0, count * PAGE_SIZE);
	fake_host.pages_out += count;
	return pages;
}

void pages_free(void *pages, unsigned count)
{
	if (!pages)
		return;
	memset(pages, 0xa5, count * PAGE_SIZE); /* the sanitizer says when it is less */
	free(pages);
	fake_host.pages_out -= count;
}

void *stacks_take(void)
{
	u8 *pages = pages_alloc(STACKS_SIZE / PAGE_SIZE);

	return pages ? pages + STACKS_SIZE : NULL;
}

void stacks_flush(void)
{
}

void stacks_give(void *top)
{
	pages_free((u8 *)top - STACKS_SIZE, STACKS_SIZE / PAGE_SIZE);
}

u64 pages_in_use(void)
{
	return (u64)fake_host.pages_out;
}

/* ---- frames */

static u64 page_of(u64 hpa)
{
	assert_true(IS_ALIGNED(hpa, PAGE_SIZE) && hpa >= FAKE_FRAMES_BASE);
	return (hpa - FAKE_FRAMES_BASE) / PAGE_SIZE;
}

static void change(u64 hpa, u64 size, u8 from, u8 to)
{
	u64 first = page_of(hpa);

	assert_true(IS_ALIGNED(size, PAGE_SIZE) && first + size / PAGE_SIZE <= frame_count);
	for (u64 i = first; i < first + size / PAGE_SIZE; i++) {
		assert_int_equal(frame[i], from);
		frame[i] = to;
	}
}

void fake_host_reserve(u64 hpa, u64 size)
{
	change(hpa, size, FRAME_FREE, FRAME_NONE);
}

static u64 run_from(u64 first, u64 max)
{
	u64 run = 0;

	while (run < max && first + run < frame_count && frame[first + run] == FRAME_FREE)
		run++;
	return run;
}

int frames_alloc(u64 size, u64 align, hpa_t *hpa, u64 *got)
{
	u64 want = size / PAGE_SIZE, step = align / PAGE_SIZE, best = 0, best_run = 0;

	assert_true(size && IS_ALIGNED(size, PAGE_SIZE) && IS_ALIGNED(align, PAGE_SIZE));
	if (fake_host_refuses())
		return -ENOMEM;
	if (fake_host.frames_piece)
		want = MIN(want, fake_host.frames_piece / PAGE_SIZE);
	for (u64 i = 0; i < frame_count && best_run < want;) {
		u64 run = run_from(i, want);

		if (run > best_run) {
			best = i;
			best_run = run;
		}
		i = ALIGN_UP(i + run + 1, step);
	}
	if (best_run == 0)
		return -ENOMEM;
	*hpa = HPA(FAKE_FRAMES_BASE + best * PAGE_SIZE);
	*got = best_run * PAGE_SIZE;
	change(hpa->v, *got, FRAME_FREE, FRAME_USED);
	fake_host.frames_out += *got;
	return 0;
}

void frames_free(hpa_t hpa, u64 size)
{
	static const u8 zero[PAGE_SIZE];

	change(hpa.v, size, FRAME_USED, FRAME_FREE);
	fake_host.frames_out -= size;
	if (frame_count > MIB(64) / PAGE_SIZE)
		return; /* too long to look through */
	for (u64 i = 0; i < size; i += PAGE_SIZE)
		if (memcmp((u8 *)fake_host_ram(hpa.v) + i, zero, PAGE_SIZE))
			fake_host.unscrubbed++;
}

u64 frames_available(void)
{
	u64 bytes = 0;

	for (u64 i = 0; i < frame_count; i++)
		bytes += frame[i] == FRAME_FREE ? PAGE_SIZE : 0;
	return bytes;
}

/* ---- physical memory */

void *fake_host_ram(u64 hpa)
{
	if (hpa >= FAKE_MODULES && hpa < FAKE_MODULES + MODULES_MAX)
		return modules + (hpa - FAKE_MODULES);
	assert_in_range(hpa, FAKE_FRAMES_BASE, FAKE_FRAMES_BASE + FAKE_FRAMES_MAX - 1);
	return ram + (hpa - FAKE_FRAMES_BASE);
}

hpa_t fake_host_module(const void *data, u64 size)
{
	u64 at = module_end;

	module_end = ALIGN_UP(at + size, PAGE_SIZE) + PAGE_SIZE;
	assert_true(module_end <= MODULES_MAX);
	memcpy(modules + at, data, size);
	return HPA(FAKE_MODULES + at);
}

void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	assert_true(size && cache == PHYS_WRITE_BACK);
	if (fake_host_refuses())
		return NULL;
	fake_host.mapped_out++;
	return fake_host_ram(hpa.v);
}

void phys_unmap(void *virt, u64 size)
{
	assert_true(virt && size);
	fake_host.mapped_out--;
}

/* ---- address spaces */

static struct fake_space *space_of(const struct space *space)
{
	assert_in_range(space->cr3, 1, SPACES_MAX);
	assert_true(spaces[space->cr3 - 1].used);
	return &spaces[space->cr3 - 1];
}

int space_create(struct space *space)
{
	unsigned i = 0;

	if (fake_host_refuses())
		return -ENOMEM;
	while (spaces[i].used)
		assert_true(++i < SPACES_MAX);
	spaces[i] = (struct fake_space){.used = true};
	space->cr3 = i + 1;
	fake_host.spaces++;
	return 0;
}

void space_destroy(struct space *space)
{
	assert_ptr_not_equal(fake_host.entered, space);
	space_of(space)->used = false;
	space->cr3 = 0;
	fake_host.spaces--;
}

int space_map(struct space *space, u64 virt, hpa_t hpa, u64 size, unsigned flags)
{
	struct fake_space *s = space_of(space);

	assert_true(size && IS_ALIGNED(virt | hpa.v | size, PAGE_SIZE) && (flags & SPACE_USER));
	if (fake_host_refuses())
		return -ENOMEM;
	for (unsigned i = 0; i < s->count; i++)
		if (virt < s->map[i].virt + s->map[i].size && s->map[i].virt < virt + size)
			return -EEXIST;
	assert_true(s->count < MAPS_MAX);
	s->map[s->count++] = (struct fake_map){virt, hpa.v, size, flags};
	return 0;
}

/* Only whole pieces, as they were mapped: what needs a page split would show. */
int space_unmap(struct space *space, u64 virt, u64 size)
{
	struct fake_space *s = space_of(space);
	u64 gone = 0;

	for (unsigned i = 0; i < s->count;) {
		struct fake_map *m = &s->map[i];

		if (m->virt >= virt && m->virt + m->size <= virt + size) {
			gone += m->size;
			*m = s->map[--s->count];
		} else {
			i++;
		}
	}
	assert_true(gone == size || gone == 0);
	return 0;
}

void space_enter(struct space *space)
{
	if (space) /* NULL: the base space */
		space_of(space);
	fake_host.entered = space;
	this_pcpu()->space = space;
}

void space_leave(void)
{
	fake_host.entered = NULL;
	this_pcpu()->space = NULL;
}

unsigned fake_host_maps(const struct space *space)
{
	return space_of(space)->count;
}

void *fake_host_at(const struct space *space, u64 virt, bool write)
{
	const struct fake_space *s = space_of(space);

	for (unsigned i = 0; i < s->count; i++) {
		const struct fake_map *m = &s->map[i];

		if (virt - m->virt < m->size && (!write || (m->flags & SPACE_WRITE)))
			return (u8 *)fake_host_ram(m->hpa) + (virt - m->virt);
	}
	return NULL;
}

/*
 * A window address in the space that is loaded, or a pointer of the process, which has its image
 * and heap further up in the same halves. *len is cut at the page's end.
 */
static void *reach(const void *at, size_t *len, bool write)
{
	u64 virt = (u64)at;
	void *to;

	if (virt - WINDOW_BASE >= GIB(1024) && virt - MODULE_WINDOW_BASE >= GIB(64))
		return (void *)at;
	assert_non_null(fake_host.entered);
	to = fake_host_at(fake_host.entered, virt, write);
	if (!to)
		fail_msg("page fault at %llx", (unsigned long long)virt);
	*len = MIN(*len, PAGE_SIZE - (virt & (PAGE_SIZE - 1)));
	return to;
}

int window_copy(void *dst, const void *src, size_t len)
{
	while (len) {
		size_t part = len;
		const void *from = reach(src, &part, false);
		void *to = reach(dst, &part, true);

		memcpy(to, from, part);
		src = (const u8 *)src + part;
		dst = (u8 *)dst + part;
		len -= part;
	}
	return 0;
}

int window_fill(void *dst, u8 byte, size_t len)
{
	while (len) {
		size_t part = len;
		void *to = reach(dst, &part, true);

		memset(to, byte, part);
		dst = (u8 *)dst + part;
		len -= part;
	}
	return 0;
}

int window_load(const void *at, unsigned size, u64 *value)
{
	assert_true(size == 4 || size == 8);
	assert_true(IS_ALIGNED((u64)at, size));
	*value = 0;
	return window_copy(value, at, size);
}

int window_cmpxchg(void *at, unsigned size, u64 old, u64 value)
{
	size_t part = size;
	void *to = reach(at, &part, true);
	u64 found = 0;

	assert_true(size == 4 || size == 8);
	assert_int_equal(part, size);
	memcpy(&found, to, size);
	if ((found ^ old) & size_mask(size))
		return -EAGAIN;
	memcpy(to, &value, size);
	return 0;
}

/* ---- time, other CPUs, log */

void apic_timer_arm(u64 deadline)
{
	fake_host.timer_deadline = deadline;
	fake_host.timer_arms++;
}

void smp_kick(unsigned cpu)
{
	fake_host.kicks++;
	__atomic_or_fetch(&fake_host.kicked, BIT(cpu), __ATOMIC_SEQ_CST);
}

void smp_sync(void)
{
}

bool smp_serve(void)
{
	fake_host.serves++;
	if (fake_host.on_serve)
		fake_host.on_serve();
	return false;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[512];
	size_t used = strlen(fake_host.log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert_null(strchr(line, '\n'));
	snprintf(fake_host.log + used, FAKE_LOG_SIZE - used, "%c %s\n", "EWID"[level], line);
	fake_host.log_lines++;
}

bool fake_host_logged(const char *text)
{
	return strstr(fake_host.log, text);
}

_Noreturn void panic(const char *fmt, ...)
{
	if (fake_host.on_panic)
		longjmp(*fake_host.on_panic, 1);
	fail_msg("panic: %s", fmt);
	abort();
}
