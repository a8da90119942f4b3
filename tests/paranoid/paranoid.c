/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the paranoid build looks at Trivet, and in which order its parts do.
 */
#include "tests/paranoid/paranoid.h"

#include "arch/lib/audit.h"
#include "arch/lib/string.h"
#include "arch/panic.h"
#include "arch/vmx.h"
#include "vmm/vcpu.h"

/* So many exits of a CPU lie between two walks of the tables of the VM that runs there. */
#define WALK_EVERY BIT(14)

struct paranoid paranoid_cpus[PCPU_MAX];
bool paranoid_off;

static void (*stop_others)(void);

static void stop(void)
{
	paranoid_off = true;
	if (stop_others)
		stop_others();
}

static const char *booted(const void *what)
{
	stop_others = panic_stop_others;
	panic_stop_others = stop;
	cap_calibrate();
	return NULL;
}
DEFINE_AUDIT(booted_audit, AUDIT_BOOTED, booted);

/* Faults of Trivet's, not of this VM: they end it all. */
static void insist(const char *complaint)
{
	if (complaint)
		panic("audit: %s", complaint);
}

static const char *entry(const void *vcpu)
{
	const char *stale;

	insist(cap_end(false));
	insist(locks_none("at a VM entry"));
	stale = flush_entry(vcpu);
	if (stale)
		return stale;
	insist(switched_entry(vcpu));
	insist(canary_entry());
	poison_stack();
	return NULL;
}
DEFINE_AUDIT(entry_audit, AUDIT_ENTRY, entry);

static const char *left(const void *vcpu)
{
	struct paranoid *own = paranoid_own();

	insist(canary_exit());
	if (++own->exits % WALK_EVERY == 0 && own->vm)
		insist(audit_run(AUDIT_VM_START, own->vm)); /* tests/image/walk.c */
	cap_exit(vmread32(EXIT_REASON));
	return NULL;
}
DEFINE_AUDIT(exit_audit, AUDIT_EXIT, left);

/* Runs a part within the work that is measured, but not as a part of it. */
#define APART(call)                                                                               \
	({                                                                                        \
		u64 began_ = rdtsc();                                                             \
		const char *complaint_ = paranoid_off ? NULL : (call);                            \
		cap_leave_out(began_);                                                            \
		complaint_;                                                                       \
	})

static const char *loaded(const void *vcpu)
{
	return APART(switched_loaded(vcpu));
}
DEFINE_AUDIT(loaded_audit, AUDIT_LOADED, loaded);

static const char *put(const void *vcpu)
{
	return APART(switched_put(vcpu));
}
DEFINE_AUDIT(put_audit, AUDIT_PUT, put);

static const char *lock(const void *what)
{
	return APART(locks_take((struct spinlock *)what));
}
DEFINE_AUDIT(lock_audit, AUDIT_LOCK, lock);

static const char *unlock(const void *what)
{
	return APART(locks_give((struct spinlock *)what));
}
DEFINE_AUDIT(unlock_audit, AUDIT_UNLOCK, unlock);

static const char *pages_free_(const void *what)
{
	const struct audit_pages *run = what;

	return APART((switched_forget(run->pages), poison_free(run->pages, run->count), NULL));
}
DEFINE_AUDIT(free_audit, AUDIT_PAGES_FREE, pages_free_);

static const char *pages_take(const void *what)
{
	const struct audit_pages *run = what;

	return APART(poison_take(run->pages, run->count));
}
DEFINE_AUDIT(take_audit, AUDIT_PAGES_TAKE, pages_take);

static const char *slice(const void *task)
{
	const struct task *t = task;

	paranoid_own()->vm = t->load ? CONTAINER_OF(t, struct vcpu, task)->vm : NULL;
	cap_slice(t->name);
	return NULL;
}
DEFINE_AUDIT(slice_audit, AUDIT_SLICE, slice);

static const char *slice_end(const void *task)
{
	return cap_end(true) ?: locks_none("at the end of a slice");
}
DEFINE_AUDIT(slice_end_audit, AUDIT_SLICE_END, slice_end);

static const char *ended(const void *what)
{
	const struct paranoid *longest = paranoid_cpus;
	u64 exits = 0;

	for (unsigned i = 0; i < pcpu_count; i++) {
		exits += paranoid_cpus[i].exits;
		if (paranoid_cpus[i].longest > longest->longest)
			longest = &paranoid_cpus[i];
	}
	log_info("paranoid: %lu exits checked, longest %lu %s (%s)", exits, longest->longest,
		 cap_counts ? "instructions" : "ticks", longest->longest_at);
	return NULL;
}
DEFINE_AUDIT(ended_audit, AUDIT_VMS_ENDED, ended);
