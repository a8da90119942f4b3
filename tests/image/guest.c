/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bare VM of the tests.
 */
#include "tests/image/guest.h"

#include "arch/cpu.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/topology.h"
#include "arch/tsc.h"
#include "vmm/exit.h"
#include "vmm/inject.h"

bool guest_make(struct guest *g, u64 size)
{
	*g = (struct guest){NULL, NULL, NULL};
	if (vm_create("test", &g->vm) || mem_create(size, &g->mem) ||
	    vcpu_create(g->vm, 0, &g->vcpu)) {
		log_error("selftest: no memory for a VM");
		return false;
	}
	/* The test is to see all exits. */
	g->vcpu->virt->served.off = VIRT_SERVED_OFF;
	vcpu_load(g->vcpu);
	return true;
}

void guest_end(struct guest *g)
{
	vcpu_put(g->vcpu);
	vcpu_destroy(g->vcpu);
	while (g->vm->regions.count)
		vm_set_memory_region(g->vm, g->vm->regions.region[0].slot, 0, GPA(0), 0, NULL, 0);
	/* The VM's end scrubs what its regions show. */
	vm_set_memory_region(g->vm, 0, 0, GPA(0), g->mem->size, g->mem, 0);
	g->vm->ram = g->mem;
	vm_destroy(g->vm);
}

void guest_start(struct guest *g, u64 rip, u64 cr3)
{
	struct load_result state;

	vcpu_reset(g->vcpu);
	if (cr3)
		load_state_long64(&state, rip, cr3);
	else
		load_state_protected32(&state, (u32)rip);
	vcpu_set_state(g->vcpu, &state);
}

enum vcpu_exit_reason guest_run(struct guest *g, u64 ticks)
{
	u64 deadline = rdtsc() + ticks;
	struct vcpu_exit exit;

	for (;;) {
		inject_prepare(g->vcpu);
		vcpu_debug_enter(g->vcpu);
		virt->run(g->vcpu->virt, deadline, &exit);
		inject_take_undelivered(g->vcpu);
		if (exit.reason == EXIT_HYPERCALL)
			vcpu_skip(g->vcpu, &exit);
		if (exit.reason == EXIT_HYPERCALL || exit.reason == EXIT_DEADLINE)
			return exit.reason;
		exit_handle(g->vcpu, &exit);
		if (g->vcpu->leave) {
			g->vcpu->leave = false;
			return EXIT_STEP;
		}
		if (g->vm->requests)
			return EXIT_UNKNOWN;
	}
}

void guest_put_tables(struct guest *g, u64 gpa, u64 seen_at, u64 bits)
{
	for (u64 level = 0; level < 2; level++) {
		u64 entry = (seen_at + (level + 1) * PAGE_SIZE) | bits;

		guest_write(g->vm, GPA(gpa + level * PAGE_SIZE), &entry, sizeof(entry));
	}
	for (u64 i = 0; i < 512; i++) {
		u64 entry = i * MIB(2) | bits | BIT(7);

		guest_write(g->vm, GPA(gpa + 2 * PAGE_SIZE + i * 8), &entry, sizeof(entry));
	}
}

/* ---- in a job */

static struct job driver;
static bool over;

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static void init_cpu(void *arg)
{
	*(int *)arg |= sched_init_cpu();
}

static void run_cpu(void *arg)
{
	(void)arg;
	sched_run(is_over);
}

static void drive(void *fn)
{
	((void (*)(void))fn)();
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < pcpu_count; i++)
		smp_kick(i);
}

int guest_in_job(void (*fn)(void))
{
	/* The log goes on past it; else it would be due all the time. */
	struct console_backend silent = {.poll_ticks = tsc_hz};
	int error = 0;

	console_set_backend(&silent);
	sched_cpus = topology_cpus(true);
	for (unsigned i = 0; i < pcpu_count; i++)
		smp_call(i, init_cpu, &error);
	over = false;
	error = error ?: job_start(&driver, "driver", ~0ull, drive, (void *)fn);
	if (error)
		return error;
	for (unsigned i = 1; i < pcpu_count; i++)
		smp_post(i, run_cpu, NULL);
	sched_run(is_over);
	smp_sync();
	return 0;
}

void guest_job_gone(struct job *job)
{
	while (job->fn && !__atomic_load_n(&job->task.gone, __ATOMIC_ACQUIRE))
		job_yield();
}
