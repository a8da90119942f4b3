/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loaders: put a guest image from its modules into guest memory and say in
 * which state vCPU 0 starts. Called for the first start and for every reboot,
 * with the VM's address space loaded and its RAM zeroed.
 */
#pragma once

#include "arch/vcpu_state.h"

struct vm;
struct mem_object;

enum module_kind {
	MODULE_AUTO, /* not stated */
	MODULE_LINUX, MODULE_INITRD, MODULE_MULTIBOOT, MODULE_PVH, MODULE_FLAT, MODULE_FIRMWARE,
	MODULE_DISK, MODULE_DATA, MODULE_KINDS
};

#define VM_NAME_MAX 32

/* One GRUB module of a VM. */
struct vm_module {
	unsigned number; /* 1 for the first module2 line */
	hpa_t start;	 /* page-aligned */
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
	u64 rsdp;	  /* where the ACPI tables begin; 0: there are none */
};

struct load_result {
	struct vcpu_regs regs;
	struct vcpu_sregs sregs;
};

/* Room for the reason of a failure, one sentence without a newline. */
struct load_error {
	char text[160];
};

/* Where in RAM something lies, as a half-open range. */
struct load_span {
	u64 low, high;
};

/* One loading: what all steps of a loader work on. */
struct load {
	const struct load_input *in;
	const struct vm_module *kernel;
	struct load_result *out;
	struct load_error *err;
	/* Of the kernel, once loaded: its physical entry and the memory it fills. */
	u64 entry;
	struct load_span image;
};

/*
 * A loader. `detect` looks at a module's first bytes (NULL: never guessed).
 * `load` fills load->out and returns 0, or -ENOEXEC (the image is at fault) or
 * -ENOMEM (it does not fit in the VM's RAM), with the reason in err->text,
 * naming the module by number, and the fault.
 */
struct loader {
	enum module_kind kind;
	const char *name; /* as in kind= */
	bool (*detect)(struct vm *vm, const struct vm_module *module);
	int (*load)(struct load *load);
};

extern const struct loader load_linux, load_multiboot, load_pvh, load_flat;

/*
 * Settles the kind of every MODULE_AUTO among a VM's modules: the kernel by
 * its first bytes, what comes with it by the kernel's kind. Returns 0, or
 * -ENOEXEC with the reason where there is not exactly one kernel, it is not
 * recognised, or a module's kind has no use beside it.
 */
int load_identify(struct vm *vm, struct vm_module *modules, unsigned count,
		  struct load_error *err);

/* Loads the guest by its kernel's kind; kinds must be settled. As loader.load. */
int load_guest(const struct load_input *in, struct load_result *out, struct load_error *err);

/*
 * The rest is for loaders. Fails: fills err with "module N (S bytes): " and
 * the sentence, and returns code. load_bad and load_no_room: about the kernel.
 */
int load_fail(struct load_error *err, const struct vm_module *module, int code,
	      const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define load_bad(load, ...) load_fail((load)->err, (load)->kernel, -ENOEXEC, __VA_ARGS__)
#define load_no_room(load, ...) \
	load_fail((load)->err, (load)->kernel, -ENOMEM, __VA_ARGS__)

/* Lies [base, base + size) within one piece of RAM below 4 GiB? No overflow. */
bool load_in_ram(const struct load_input *in, u64 base, u64 size);

/*
 * Puts `filesz` bytes of the kernel's file at `at` and zeros behind them, up to
 * `memsz`, no less. False where that is no RAM or not in the file.
 */
bool load_put_segment(const struct load *load, u64 offset, u64 filesz, u64 at, u64 memsz);

/*
 * A piece of the memory map as the boot protocols have it: multiboot with the
 * size of what follows before it, PVH with the reserved word behind it, Linux
 * with neither. Types are E820's: 1 RAM, 2 reserved.
 */
struct load_range {
	u32 follows;
	u64 base, size;
	u32 type, reserved;
} __attribute__((packed));
#define LOAD_RANGES_MAX 5

/* The guest's memory map, ascending; returns the number of pieces. */
unsigned load_memory_map(const struct load_input *in, struct load_range map[LOAD_RANGES_MAX]);

/*
 * Writes the map at `at`, of each piece `size` bytes from offset `skip` on.
 * Returns the number of pieces or -EFAULT.
 */
int load_put_map(const struct load_input *in, u64 at, unsigned skip, unsigned size);

#define LOAD_MAP_ENTRY 24u /* bytes of a piece where either word stands by it */

/*
 * Boot information of a kernel that takes modules: the protocol's header, the
 * memory map, the list of modules and the command lines, one behind the other.
 */
struct load_info {
	/* By the protocol: */
	u32 header_size, entry_size; /* bytes of the header, of a module's entry */
	unsigned map_skip;	     /* of the map's pieces, as in load_put_map */
	void (*put_module)(u64 entry[4], u64 at, u64 size, u64 cmdline);
	const char *first_word; /* of the command line, before the kernel's own; or NULL */
	/* Where things lie, and how many: */
	u64 base, map, modules, cmdline;
	int map_count;
	u32 module_count;
};

/*
 * Finds room for the information, from 128 KiB in low memory or else right
 * above the image, and copies the modules to the pages above the image and
 * from 1 MiB on. Writes everything but the header, which has its place at
 * info->base. Returns 0, -ENOEXEC (the entry lies outside of the image) or
 * -ENOMEM with the reason.
 */
int load_put_info(struct load *load, struct load_info *info);

/* Writes the header; the guest starts at the entry in 32-bit mode with EBX at the header. */
int load_put_header(const struct load *load, const struct load_info *info, const void *header);

/*
 * Fills regs and sregs with a start state: everything zero but what is named.
 * load_state_protected32: flat 32-bit segments, paging and interrupts off, as
 * multiboot and PVH want; load_state_long64: 64-bit mode with CR3 at the given
 * tables; load_state_real: real mode at CS:IP.
 */
void load_state_protected32(struct load_result *out, u32 eip);
void load_state_long64(struct load_result *out, u64 rip, u64 cr3);
void load_state_real(struct load_result *out, u16 cs, u16 ip);
