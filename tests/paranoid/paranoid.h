/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paranoid build's checks on Trivet: what each CPU keeps for them, and their parts, which
 * paranoid.c calls in order. A part gives a complaint or NULL; it takes no lock, and time that
 * it takes is nobody's.
 */
#pragma once

#include "arch/cpu.h"
#include "arch/lib/lock.h"
#include "arch/percpu.h"
#include "arch/virt.h"
#include "vmm/sched.h"

#define PARANOID_HOST  48 /* values of the host's state */
#define PARANOID_LOCKS 16

struct paranoid {
	char text[160]; /* the complaint */
	/* canary.c: the host's state as at the first entry, and as at the last */
	u64 first[PARANOID_HOST], before[PARANOID_HOST];
	bool noted;
	const struct virt_vcpu *loaded; /* switched.c */
	struct spinlock *held[PARANOID_LOCKS]; /* locks.c: in the order in which they were taken */
	unsigned held_count;
	/* cap.c: TSC as Trivet's work began, with what the checks took since added; 0: none is
	 * measured, as outside of slices */
	u64 since;
	bool in_slice;
	const void *vm; /* of the vCPU whose slice it is; paranoid.c */
	u32 reason;		  /* of the exit that is being served */
	const char *task;	  /* the slice's, if none has exited in it yet */
	u64 exits, longest;
	char longest_at[40];
};

extern struct paranoid paranoid_cpus[PCPU_MAX];
/* A panic is on its way, which breaks locks. */
extern bool paranoid_off;

static inline struct paranoid *paranoid_own(void)
{
	return &paranoid_cpus[this_pcpu()->id];
}

/* Says a complaint of this CPU. */
#define paranoid_say(...)                                                                         \
	({                                                                                        \
		struct paranoid *own_ = paranoid_own();                                           \
		str_format(own_->text, sizeof(own_->text), __VA_ARGS__);                          \
		(const char *)own_->text;                                                         \
	})

/* canary.c: notes the host's state before an entry; compares it with that behind the exit. */
const char *canary_entry(void);
const char *canary_exit(void);

/* switched.c: what is switched with the vCPU is at its loading what it was as it was put. */
const char *switched_put(const struct virt_vcpu *vcpu);
const char *switched_loaded(const struct virt_vcpu *vcpu);
const char *switched_entry(const struct virt_vcpu *vcpu);
void switched_forget(const void *pages);

/* flush.c: nothing stale is cached that the entry could use; else it is refused. */
const char *flush_entry(const struct virt_vcpu *vcpu);

/* poison.c: fills what nobody uses. */
#define POISON_STACK 0xa5a5a5a5a5a5a5a5ull
#define POISON_PAGES 0x5a5a5a5a5a5a5a5aull
void poison_stack(void);
void poison_free(void *pages, unsigned count);
const char *poison_take(void *pages, unsigned count);

/* locks.c */
const char *locks_take(struct spinlock *lock);
const char *locks_give(struct spinlock *lock);
const char *locks_none(const char *where);

/* cap.c: Trivet's instructions from an exit or the start of a slice to an entry or its end. */
#define CAP_INSTRUCTIONS 50000
extern bool cap_counts; /* the TSC tells them */
extern u64 cap_walk;	/* what it takes to find the checks of a point */
void cap_calibrate(void);
void cap_slice(const char *task);
void cap_exit(u32 reason);
const char *cap_end(bool slice);
/* What a check took is not counted. */
static inline void cap_leave_out(u64 began)
{
	struct paranoid *own = paranoid_own();

	own->since += own->since ? rdtsc() - began + cap_walk : 0;
}
