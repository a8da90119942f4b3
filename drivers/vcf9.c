/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reset control register (port CF9h), after Intel's ICH data sheet "RST_CNT:
 * Reset Control Register". The machine is reset as bit 2 goes from 0 to 1; what
 * kind of reset bits 1 and 3 choose makes no difference to a VM. The register
 * answers to byte accesses only: the dword at CF8h is the PCI host bridge's.
 */
#include "arch/lib/bits.h"
#include "vmm/vdev.h"

#define CF9_SYS_RST   BIT(1) /* hard instead of soft */
#define CF9_RST_CPU   BIT(2) /* a rising edge does it */
#define CF9_FULL_RST  BIT(3) /* with a power cycle */
#define CF9_VALID     (CF9_SYS_RST | CF9_RST_CPU | CF9_FULL_RST)

struct cf9 {
	u8 value;
};

static u8 cf9_in(struct vdev *dev, u16 port)
{
	const struct cf9 *c = dev->state;

	return c->value;
}

static void cf9_out(struct vdev *dev, u16 port, u8 value)
{
	struct cf9 *c = dev->state;
	bool rises = value & ~c->value & CF9_RST_CPU;

	c->value = value & CF9_VALID;
	if (rises)
		vm_request_reset(dev->vm, "port CF9h");
}

static const struct bus_ops cf9_ops = {.in = cf9_in, .out = cf9_out, .exact = true};

static bool cf9_valid(const struct vdev *dev, const void *saved)
{
	const struct cf9 *c = saved;

	return !(c->value & ~CF9_VALID);
}

DEFINE_VDEV(vcf9, .name = "cf9", .state_size = sizeof(struct cf9),
	    .save_size = sizeof(struct cf9), .ports = {{0xcf9, 1}}, .port_ops = &cf9_ops,
	    .valid = cf9_valid);
