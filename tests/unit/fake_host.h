/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine for the core of vmm on the host: Trivet's pages, frames of a
 * physical memory that is one mapping, address spaces whose windows are lists,
 * GS for this_pcpu, and the `sti; hlt; cli` of interrupts_wait, which faults in
 * a process and then counts as a wait. Any allocation can be made to fail.
 */
#ifndef TESTS_UNIT_FAKE_HOST_H
#define TESTS_UNIT_FAKE_HOST_H

#include <setjmp.h>

#include "arch/memory.h"

#define FAKE_FRAMES_BASE 0x100000000ull /* host physical; aligned to 1 GiB */
#define FAKE_FRAMES_MAX	 GIB(8)
#define FAKE_MODULES	 0x10000000ull
#define FAKE_LOG_SIZE	 32768
#define FAKE_PCPUS	 8

struct fake_host {
	/* The n-th allocation from now fails, pages, frames, tables and mappings alike; 0: none. */
	unsigned fail_at;
	unsigned fail_again; /* and then the one that comes so much later, 1: the next; 0: none */
	unsigned allocations; /* asked for since fake_host_init */
	s64 pages_out;	      /* pages less those freed */
	s64 mapped_out;	      /* phys_map less phys_unmap */
	u64 frames_out;	      /* bytes */
	u64 frames_piece;     /* the longest piece that one call gives; 0: no limit */
	unsigned unscrubbed;  /* pages that came back with bytes other than 0 */
	unsigned spaces;      /* that exist */
	const struct space *entered;

	u64 timer_deadline; /* last apic_timer_arm */
	unsigned timer_arms, waits, serves, kicks;
	u64 kicked;		/* BIT(id) of the pCPUs that were kicked; atomic */
	void (*on_serve)(void); /* where given, at each smp_serve */
	jmp_buf *on_panic;	/* where given, a panic goes there; else it fails the test */

	char log[FAKE_LOG_SIZE]; /* lines "E text\n", by the level's first letter */
	unsigned log_lines;
};
extern struct fake_host fake_host;

/* A fresh machine of one pCPU with this many bytes of frames. */
void fake_host_init(u64 frames);
/* From now on it has so many pCPUs, of which the caller plays 0; fresh ones. */
void fake_host_cpus(unsigned count);
/* This thread is that pCPU from now on. */
void fake_host_play(unsigned id);
/* From now to the end of this test interrupts_wait counts as a wait, which `interrupt` (or
 * NULL) ends. To be called in the test itself: cmocka sets signal handlers for each function. */
void fake_host_on_wait(void (*interrupt)(void));
/* Counts a place where the host may refuse; true: it does. For other fakes too. */
bool fake_host_refuses(void);
/* Takes [hpa, hpa + size) out of the frames, as firmware does. */
void fake_host_reserve(u64 hpa, u64 size);
/* Physical memory. */
void *fake_host_ram(u64 hpa);
/* Puts a module into physical memory, page-aligned; bytes behind its end are 5Ah. */
hpa_t fake_host_module(const void *data, u64 size);
/* Pieces mapped in a space, and what stands at a virtual address; NULL: nothing. */
unsigned fake_host_maps(const struct space *space);
void *fake_host_at(const struct space *space, u64 virt, bool write);
bool fake_host_logged(const char *text);

#endif
