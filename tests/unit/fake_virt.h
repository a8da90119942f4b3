/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtualization back end in plain memory: registers are arrays, mappings a
 * list, and run returns the exits of a script. What vmm asks of it (events,
 * windows, flushes) is recorded.
 */
#ifndef TESTS_UNIT_FAKE_VIRT_H
#define TESTS_UNIT_FAKE_VIRT_H

#include "arch/virt.h"

#define FAKE_VIRT_MAPS	 600
#define FAKE_VIRT_EVENTS 64
#define FAKE_VIRT_MSRS	 14
#define FAKE_VIRT_FPU	 4096

struct virt_vm {
	unsigned count;
	struct fake_virt_map {
		u64 gpa, hpa, size;
		unsigned rights;
		enum virt_memtype type;
	} map[FAKE_VIRT_MAPS];
	unsigned logs;
	struct fake_virt_log {
		u64 gpa, size, *bitmap;
		unsigned takes;
	} log[VIRT_LOGS_MAX];
	bool apic_page;
	bool passes_lstar_reads, passes_lstar_writes;
	unsigned filters;
};

struct fake_vcpu;

/* One run of the guest: what it does, and how it comes back. */
struct fake_run {
	void (*guest)(struct fake_vcpu *vcpu);
	struct vcpu_exit exit;
	struct vcpu_event undelivered;
};

struct fake_vcpu {
	struct virt_vcpu base;
	struct virt_vm *vm;
	bool loaded;
	u64 reg[VREG_COUNT];
	struct vcpu_segment seg[VSEG_COUNT];
	struct vcpu_dtable table[2];
	unsigned shadow;
	bool window[2];
	struct vcpu_event next;	       /* to be injected at the next entry */
	struct vcpu_event undelivered; /* of the last exit */
	struct vcpu_event event[FAKE_VIRT_EVENTS]; /* delivered so far */
	unsigned events, runs, resets, flushes, dumps, skips;
	unsigned traps; /* TRAP_* */
	u64 msr[FAKE_VIRT_MSRS];
	u8 fpu[FAKE_VIRT_FPU];
	/* What virt->check says; NULL: all is well. */
	const char *(*check)(struct fake_vcpu *vcpu);
	u32 apic[1024];
	enum virt_apic apic_mode;
	bool delivers;	 /* what apic_mode sets apic_delivers to, but for OFF */
	int irr, isr;	 /* as pushed and synced last */
	u32 eoi_exits[8];
	unsigned threshold, inits;
	bool hlt_exits, pause_exits;
	bool step; /* a single step was made due */
	u64 deadline;
	const struct fake_run *script;
	unsigned script_left;
};

extern const struct virt_ops fake_virt_ops;
extern struct virt_fpu fake_virt_fpu; /* size at most FAKE_VIRT_FPU */
extern struct virt_feature fake_virt_features[];
extern unsigned fake_virt_vms, fake_virt_vcpus; /* that exist */

/* Makes it the back end, with all features used and nothing made yet. */
void fake_virt_init(void);
void fake_virt_use(const char *feature, bool used);
struct fake_vcpu *fake_vcpu_of(struct virt_vcpu *vcpu);
/* The log of a range, or NULL; and a write of the guest, as the log sees it. */
struct fake_virt_log *fake_virt_log(struct virt_vm *vm, u64 gpa);
void fake_virt_guest_writes(struct virt_vm *vm, u64 gpa);
/* How gpa is mapped, or NULL. */
const struct fake_virt_map *fake_virt_find(const struct virt_vm *vm, u64 gpa);

#endif
