/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI function for tests, in the machine only where the word `pci-testdev` is
 * given: an MSI-X BAR, the same three registers in a 64-bit prefetchable and in an
 * I/O BAR, and every kind of interrupt that a function can raise, at the guest's
 * word. Nobody makes such a chip; this header is its data sheet.
 *
 * BAR0: MSI-X, 8 vectors. BAR2, memory, and BAR4, ports: dwords at
 *   0 RAISE    a write sends message n, the number written, and asserts INTA#;
 *              a read counts those writes
 *   4 ACK      a write lets INTA# go; reads as 0
 *   8 SCRATCH  keeps what is written
 * Other accesses read all ones and do nothing.
 */
#include "drivers/vpci.h"

enum { REG_RAISE = 0, REG_ACK = 4, REG_SCRATCH = 8, REG_SIZE = 4 };

struct test_device {
	struct vpci_state pci;
	u32 raised, scratch;
	/* Not saved: */
	struct vpci_function function;
};

static u64 test_read(struct vdev *dev, unsigned bar, u64 offset, unsigned size)
{
	const struct test_device *test = dev->state;

	if (size != REG_SIZE)
		return ~0ull;
	switch (offset) {
	case REG_RAISE: return test->raised;
	case REG_ACK: return 0;
	case REG_SCRATCH: return test->scratch;
	default: return ~0ull;
	}
}

static void test_write(struct vdev *dev, unsigned bar, u64 offset, unsigned size, u64 value)
{
	struct test_device *test = dev->state;

	if (size != REG_SIZE)
		return;
	if (offset == REG_SCRATCH)
		test->scratch = (u32)value;
	if (offset == REG_ACK)
		vpci_set_intx(&test->function, false);
	if (offset != REG_RAISE)
		return;
	test->raised++;
	vpci_set_intx(&test->function, true);
	vpci_signal(&test->function, (u32)value);
}

static const struct vpci_type test_type = {
	.vendor = 0x1234, .device = 0x7e57, .subsystem_vendor = 0x1234, .subsystem = 1,
	.class_revision = 0xff000001,
	.bars = {[0] = {VPCI_MSIX_SIZE, 0}, [2] = {0x10000, VPCI_64BIT | VPCI_PREFETCH},
		 [4] = {0x20, VPCI_IO}},
	.intx = true, .msi = true, .msix_bar = 0, .vectors = 8,
	.read = test_read, .write = test_write,
};

static int test_create(struct vdev *dev)
{
	struct test_device *test = dev->state;

	return vpci_create(&test->function, dev, &test_type);
}

static void test_reset(struct vdev *dev)
{
	struct test_device *test = dev->state;

	test->raised = test->scratch = 0;
	vpci_reset(&test->function);
}

static bool test_valid(const struct vdev *dev, const void *saved)
{
	const struct test_device *test = dev->state;

	return vpci_valid(&test->function, saved);
}

static void test_restored(struct vdev *dev)
{
	struct test_device *test = dev->state;

	vpci_restored(&test->function);
}

DEFINE_VDEV(vpci_test, .name = "pci-testdev", .state_size = sizeof(struct test_device),
	    .save_size = offsetof(struct test_device, function), .create = test_create,
	    .reset = test_reset, .valid = test_valid, .restored = test_restored);
