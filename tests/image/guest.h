/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bare VM for tests inside the image: one vCPU, no devices, a memory object,
 * and code that the test puts in. It talks to its test by VMCALL.
 */
#pragma once

#include "tests/image/selftest.h"
#include "vmm/gmem.h"
#include "vmm/job.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct guest {
	struct vm *vm;
	struct vcpu *vcpu;
	struct mem_object *mem;
};

/* Makes a VM with an object of so many bytes that no region shows yet; its space is entered
 * and its vCPU loaded. False: no memory. */
bool guest_make(struct guest *g, u64 size);
/* Ends it; what the object holds is scrubbed. */
void guest_end(struct guest *g);
/* Starts at rip in flat 32-bit mode, or with tables in 64-bit mode. */
void guest_start(struct guest *g, u64 rip, u64 cr3);
/* Runs until VMCALL, which is stepped over, or the deadline; serves other exits. An exit that
 * ends the VM comes back as EXIT_UNKNOWN, a stop for the debugger as EXIT_STEP. */
enum vcpu_exit_reason guest_run(struct guest *g, u64 ticks);
/* Writes 64-bit tables at gpa (three pages): 1 GiB one to one by 2 MiB pages, with these bits
 * in each entry (7: present, writable, user; 60h: accessed and dirty). */
void guest_put_tables(struct guest *g, u64 gpa, u64 seen_at, u64 bits);

/* Has all cores run their queues and fn in a job, until it returns. Returns 0 or -ENOMEM. */
int guest_in_job(void (*fn)(void));
/* In a job: waits until another one's stack has been given back. */
void guest_job_gone(struct job *job);
