/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loaders: put a guest image from its modules into guest memory and say in
 * which state vCPU 0 starts. Called for the first start and for every reboot,
 * with the VM's address space loaded and its RAM zeroed.
 */
#ifndef VMM_LOAD_H
#define VMM_LOAD_H

#include "vmm/vcpu_state.h"

struct vm;
struct mem_object;

enum module_kind {
	MODULE_AUTO, /* not stated */
	MODULE_LINUX,
	MODULE_INITRD,
	MODULE_MULTIBOOT,
	MODULE_PVH,
	MODULE_FLAT,
	MODULE_FIRMWARE,
	MODULE_DISK,
	MODULE_DATA,
	MODULE_KINDS
};

#define VM_NAME_MAX 32

/* One GRUB module of a VM. */
struct vm_module {
	unsigned number; /* 1 for the first module2 line */
	u64 size;	 /* bytes */
	enum module_kind kind;
	const char *cmdline; /* behind `--`, NUL-terminated, "" when none */
	struct mem_object *mem;
};

/* What the guest image is built from. */
struct load_input {
	struct vm *vm;
	const char *name; /* the name= word */
	const struct vm_module *modules;
	unsigned module_count;
	u64 ram_below_4g; /* RAM is [0, A0000h), [1 MiB, ram_below_4g) ... */
	u64 ram_above_4g; /* ... and [4 GiB, 4 GiB + ram_above_4g) */
};

struct load_result {
	struct vcpu_regs regs;
	struct vcpu_sregs sregs;
};

/* Room for the reason of a failure, one sentence without a newline. */
struct load_error {
	char text[160];
};

/*
 * A loader. `detect` looks at a module's first bytes (NULL: never guessed).
 * `load` returns 0, or -ENOEXEC (the image is at fault), -ENOMEM (it does not
 * fit in the VM's RAM) with the reason in err->text, naming the module by
 * number, and the fault.
 */
struct loader {
	enum module_kind kind;
	const char *name; /* as in kind= */
	bool (*detect)(struct vm *vm, const struct vm_module *module);
	int (*load)(const struct load_input *in, struct load_result *out, struct load_error *err);
};

extern const struct loader load_linux, load_multiboot, load_pvh, load_flat;

/*
 * Fills regs and sregs with a start state: everything zero but what is named.
 * load_state_protected32: flat 32-bit segments, paging and interrupts off, as
 * multiboot and PVH want; load_state_long64: 64-bit mode with CR3 at the given
 * tables; load_state_real: real mode at CS:IP.
 */
void load_state_protected32(struct load_result *out, u32 eip);
void load_state_long64(struct load_result *out, u64 rip, u64 cr3);
void load_state_real(struct load_result *out, u16 cs, u16 ip);

#endif
