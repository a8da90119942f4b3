/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each physical CPU has of its own, reached through GS. `struct pcpu` is
 * private to its CPU; what others may touch stands in `struct pcpu_shared`.
 */
#pragma once

#include "arch/lib/types.h"

#define PCPU_MAX 64

struct space;

/* Touched by other CPUs with atomic operations only. */
struct pcpu_shared {
	u32 started;  /* set by the CPU once it runs on its own stack */
	u32 stopped;  /* for good, by a panic */
};

struct pcpu {
	struct pcpu *self; /* first: gs:0 */
	u64 stack_guard; /* gs:8, as the Makefile tells the compiler */
	u64 stack_top;
	u32 id; /* 0 is the boot CPU; numbered as they came up */
	u32 apic_id;
	struct space *space; /* loaded now */
	u64 space_generation; /* of it, as loaded */
	u64 stacks_given;     /* of which nothing is left in the TLB: stacks.c */
	u32 attention; /* 1: something has become due here, or a kick is under way: vmm's to take */
	u64 xcr0;      /* as it stands; 0: not written yet */
	u64 guest; /* serial number of the vCPU that ran last; 0: none */
	void *virt; /* the back end's per-CPU data */
	void *vmm;  /* vmm's per-CPU data */
	struct pcpu_shared shared;
};

static inline struct pcpu *this_pcpu(void)
{
	struct pcpu *pcpu;

	__asm__("movq %%gs:0, %0" : "=r"(pcpu));
	return pcpu;
}

/* 1 where vmm is to look around before the guest goes on. */
static inline u32 pcpu_attention(void)
{
	u32 attention;

	__asm__ volatile("movl %%gs:%c1, %0" : "=r"(attention) : "i"(offsetof(struct pcpu, attention))
			 : "memory");
	return attention;
}

/* CPUs that came up, the boot CPU included, and each of them by id below the count. */
extern unsigned pcpu_count;
extern struct pcpu *pcpus[PCPU_MAX];

_Static_assert(offsetof(struct pcpu, stack_guard) == 8, "-mstack-protector-guard-offset");

/* The stacks of one CPU; the guard pages are not mapped. */
struct pcpu_stacks {
	u8 guard[PAGE_SIZE];
	u8 main[4 * PAGE_SIZE];
	struct {
		u8 guard[PAGE_SIZE];
		u8 stack[2 * PAGE_SIZE];
	} ist[4];
};

/* The boot CPU's, in the image; entry.asm starts on their main stack. */
extern struct pcpu_stacks boot_stacks;

/* Sets up the boot CPU's data and loads it. First of all calls. */
void pcpu_init_boot(void);

/*
 * Makes the data and stacks of another CPU, on the boot CPU, under the next id.
 * The CPU then runs on stack_top and calls pcpu_load first. NULL when out of
 * memory or ids. pcpu_cancel takes back the newest id if its CPU did not come up.
 */
struct pcpu *pcpu_create(u32 apic_id);
void pcpu_cancel(void);

/* On the CPU itself: GDT, TSS, IDT, GS base and the control registers. */
void pcpu_load(struct pcpu *pcpu);
