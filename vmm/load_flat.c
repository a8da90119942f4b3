/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A flat real-mode image, started as a PC's BIOS starts a boot sector: the
 * whole of it at 0:7C00h, DL = 80h (the first hard disk), the stack growing
 * down from below it. There is no BIOS to call.
 */
#include "vmm/gmem.h"
#include "vmm/guestmap.h"
#include "vmm/load.h"

#define FLAT_BASE 0x7c00u
#define FLAT_MAX  (GUEST_LOW_RAM_END - FLAT_BASE)

static int flat_load(struct load *load)
{
	const struct vm_module *image = load->kernel;

	if (image->size == 0)
		return load_bad(load, "a flat image cannot be empty");
	if (image->size > FLAT_MAX)
		return load_bad(load, "a flat image can have %llu bytes at most", FLAT_MAX);
	if (guest_copy_from(load->in->vm, GPA(FLAT_BASE), image->mem, 0, image->size))
		return load_no_room(load, "it does not fit in the VM's RAM");
	load_state_real(load->out, 0, FLAT_BASE);
	load->out->regs.gpr[GPR_RDX] = 0x80;
	load->out->regs.gpr[GPR_RSP] = FLAT_BASE;
	return 0;
}

const struct loader load_flat = {
	.kind = MODULE_FLAT, .name = "flat", .load = flat_load,
};
