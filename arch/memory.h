/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host memory: frames for guests, pages for Trivet itself, and the host's
 * address spaces. There is no map of all RAM: a frame has an address only while
 * Trivet owns it (the sparse direct area) or in the window of the VM to which it
 * belongs.
 *
 * Host virtual map (every space shares all but the window and module slots):
 *
 *   00004000_00000000  guest window: + GPA          user, NX, per VM
 *   00006000_00000000  module window: + HPA         user, read-only, NX, per VM
 *   FFFF8000_00000000  direct area: + HPA           Trivet's own pages, RW, NX
 *   FFFF9000_00000000  device area (phys_map)       RW, NX
 *   FFFFA000_00000000  stacks with holes (arch/stacks.c) RW, NX
 *   FFFFFFFF_80000000  the image                    text RX, rodata R, data RW
 */
#pragma once

#include "arch/pt.h"

#define WINDOW_BASE	   0x0000400000000000ull
#define WINDOW_SIZE	   0x0000200000000000ull
#define MODULE_WINDOW_BASE 0x0000600000000000ull
#define DIRECT_BASE	   0xffff800000000000ull
#define DEVICE_BASE	   0xffff900000000000ull
#define STACKS_BASE	   0xffffa00000000000ull
#define IMAGE_BASE	   0xffffffff80000000ull

struct memory_range {
	hpa_t base;
	u64 size;
};

/* Free memory under which Trivet does not start. */
#define MEMORY_LEAST MIB(8)

/*
 * Takes over memory, once, on the boot CPU: `ram` is what the firmware calls
 * usable, in any order, of any alignment, overlapping or not; `kept` is what in
 * it is not to be touched (modules, what the firmware reserves; the image is kept
 * anyway, and so is all below 1 MiB). Builds the final tables and loads them: the early
 * direct area is gone then. 0, -ENOMEM when less than MEMORY_LEAST is free.
 */
int memory_init(const struct memory_range *ram, unsigned ram_count,
		const struct memory_range *kept, unsigned kept_count);

/* A free page below 640 KiB for the start of the other CPUs, or 0. */
hpa_t memory_trampoline(void);
/* The tables for them: the shared part, and the trampoline page at its physical
 * address, RX. Below 4 GiB. Once no CPU uses them any more they can be freed. */
u64 memory_trampoline_cr3(void);
void memory_trampoline_end(void);

/*
 * Trivet's own pages: count contiguous zeroed pages in the direct area, or
 * NULL; at most PAGES_RUN_MAX. pages_free gives them back. Any CPU.
 */
#define PAGES_RUN_MAX 510u
void *pages_alloc(unsigned count);
void pages_free(void *pages, unsigned count);
/* Pages in use, for the memory budget. */
u64 pages_in_use(void);

/* Address translation for Trivet's own pages and image only. */
hpa_t virt_to_phys(const void *virt);
void *phys_to_virt(hpa_t hpa);

/*
 * Frames for guests, not mapped anywhere: takes [*hpa, *hpa + *size) from free
 * RAM, as much as it can get in one piece up to `size`, aligned to `align`
 * (a power of two, PAGE_SIZE to 1 GiB) in start, a multiple of PAGE_SIZE long.
 * 0 or -ENOMEM.
 */
int frames_alloc(u64 size, u64 align, hpa_t *hpa, u64 *got);
void frames_free(hpa_t hpa, u64 size);
/* Bytes free for guests. */
u64 frames_available(void);

/* A host address space: the shared part and one VM's windows. */
struct space {
	struct pt pt;
	u64 cr3;
};

/* As in a page-table entry. */
enum { SPACE_WRITE = 2, SPACE_USER = 4, SPACE_UNCACHED = 0x18 };

/* Creates one with empty windows. 0 or -ENOMEM. */
int space_create(struct space *space);
/* Frees the tables; it must not be loaded on any CPU. */
void space_destroy(struct space *space);
/* Maps into a window, NX, write-back unless the flags say otherwise; contract of pt_map. */
int space_map(struct space *space, u64 virt, hpa_t hpa, u64 size, unsigned flags);
int space_unmap(struct space *space, u64 virt, u64 size);
/* Loads a space on this CPU, if it is not or has lost pages since; space_leave
 * goes to the base space. A vCPU that was stopped while its VM's memory changed
 * enters the space anew. */
void space_enter(struct space *space);
void space_leave(void);

/* Maps device memory or firmware tables, RW NX; never unmapped unless by
 * phys_unmap. Returns NULL beyond the CPU's addresses; when out of room or memory,
 * after saying so in the log. */
/* As in a page-table entry. */
enum phys_cache { PHYS_WRITE_BACK = 0, PHYS_WRITE_COMBINING = 0x08, PHYS_UNCACHED = 0x18 };
void *phys_map(hpa_t hpa, u64 size, enum phys_cache cache);
void phys_unmap(void *virt, u64 size);

/*
 * Copies and fills through a VM's window with SMAP open; addresses are virtual
 * and were checked by the caller (vmm/gmem.c). fill writes the byte. 0, or -EFAULT
 * where nothing is mapped, after a part was done.
 */
int window_copy(void *dst, const void *src, size_t len);
int window_fill(void *dst, u8 byte, size_t len);
/* Fetches a number of 4 or 8 bytes, aligned to its size. */
int window_load(const void *at, unsigned size, u64 *value);
/* Puts `value` in the place of `old`, size 4 or 8 and aligned to it; -EAGAIN
 * where something else stands. */
int window_cmpxchg(void *at, unsigned size, u64 old, u64 value);
