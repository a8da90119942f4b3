/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reset control register (port CF9h), after Intel's ICH data sheet "RST_CNT:
 * Reset Control Register". The machine is reset as bit 2 goes from 0 to 1; what
 * kind of reset bits 1 and 3 choose makes no difference to a VM. The register
 * answers to byte accesses only: the dword at CF8h is the PCI host bridge's.
 */
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "vmm/vdev.h"

#define CF9	      0xcf9
#define CF9_SYS_RST   BIT(1) /* hard instead of soft */
#define CF9_RST_CPU   BIT(2) /* a rising edge does it */
#define CF9_FULL_RST  BIT(3) /* with a power cycle */
#define CF9_VALID     (CF9_SYS_RST | CF9_RST_CPU | CF9_FULL_RST)

struct cf9 {
	u8 value;
};

static u64 cf9_read(struct vdev *dev, u64 offset, unsigned size)
{
	const struct cf9 *c = dev->state;

	(void)offset;
	(void)size;
	return c->value;
}

static void cf9_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	struct cf9 *c = dev->state;
	bool rises = value & ~c->value & CF9_RST_CPU;

	(void)offset;
	(void)size;
	c->value = value & CF9_VALID;
	if (rises)
		vm_request_reset(dev->vm, "port CF9h");
}

static const struct bus_ops cf9_ops = {.read = cf9_read, .write = cf9_write, .exact = true};

static void cf9_reset(struct vdev *dev)
{
	struct cf9 *c = dev->state;

	c->value = 0;
}

static int cf9_create(struct vdev *dev)
{
	return bus_claim_ports(dev, CF9, 1, &cf9_ops);
}

static size_t cf9_save(const struct vdev *dev, void *blob)
{
	*(struct cf9 *)blob = *(const struct cf9 *)dev->state;
	return sizeof(struct cf9);
}

static int cf9_restore(struct vdev *dev, const void *blob, size_t size)
{
	const struct cf9 *c = blob;

	if (size != sizeof(*c) || (c->value & ~CF9_VALID))
		return -EINVAL;
	*(struct cf9 *)dev->state = *c;
	return 0;
}

DEFINE_VDEV(vcf9_type, .name = "cf9", .state_size = sizeof(struct cf9),
	    .create = cf9_create, .reset = cf9_reset,
	    .save_size = sizeof(struct cf9), .save = cf9_save, .restore = cf9_restore);
