/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vioapic.c drivers/vpic.c arch/lib/format.c tests/unit/fake_vm.c vmm/bus.c vmm/vdev_life.c */
/*
 * The I/O APIC against the 82093AA's data sheet: reset values, every register,
 * every delivery mode, edges and levels of both polarities, masks and the life of
 * remote IRR; then random accesses, line changes and EOIs against a second model,
 * written from the data sheet: for each pin a few flags.
 */
#include "tests/unit/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

#define BASE 0xfec00000ull
#define PINS 24

#define LOGICAL	   0x0800u
#define STATUS	   0x1000u
#define LOW	   0x2000u
#define REMOTE_IRR 0x4000u
#define LEVEL	   0x8000u
#define MASKED	   0x10000u

static struct vm *vm;
static struct vdev *dev;

static int setup(void **state)
{
	(void)state;
	vm = fake_vm_create();
	dev = fake_vm_create_device(vm, "ioapic", (struct vdev_args){0});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_destroy(vm);
	return 0;
}

static void select_register(unsigned reg)
{
	bus_write(&vm->mmio, BASE, 4, reg);
}

static u32 reg_read(unsigned reg)
{
	select_register(reg);
	return (u32)bus_read(&vm->mmio, BASE + 0x10, 4, NULL);
}

static void reg_write(unsigned reg, u32 value)
{
	select_register(reg);
	bus_write(&vm->mmio, BASE + 0x10, 4, value);
}

/* The low half of an entry. */
static u32 entry_read(unsigned pin)
{
	return reg_read(0x10 + 2 * pin);
}

static void entry_write(unsigned pin, u32 value)
{
	reg_write(0x10 + 2 * pin, value);
}

static void raise_line(unsigned line)
{
	vm_irq_line(vm, line, true);
}

static void lower(unsigned line)
{
	vm_irq_line(vm, line, false);
}

static void pulse(unsigned line)
{
	raise_line(line);
	lower(line);
}

static void eoi(u8 vector)
{
	vm->eoi_sink.eoi(vm->eoi_sink.dev, vector);
}

/* How many messages there were since the last call. */
static unsigned messages(void)
{
	unsigned count = vm->msg_count;

	vm->msg_count = 0;
	return count;
}

static void reset_values(void **state)
{
	(void)state;
	assert_int_equal(bus_read(&vm->mmio, BASE, 4, NULL), 0);
	assert_int_equal(reg_read(0x00), 0);
	assert_int_equal(reg_read(0x01), 0x00170011);
	assert_int_equal(reg_read(0x02), 0);
	for (unsigned pin = 0; pin < PINS; pin++) {
		assert_int_equal(entry_read(pin) & MASKED, MASKED);
		assert_int_equal(entry_read(pin) & (STATUS | REMOTE_IRR), 0);
	}
	for (unsigned line = 0; line < 20; line++)
		pulse(line);
	assert_int_equal(messages(), 0);
	/* And again after a life. */
	reg_write(0x00, 0x0f000000);
	raise_line(5);
	entry_write(5, LEVEL | 0x45);
	assert_int_equal(messages(), 1);
	reg_write(0x1b, 0xff000000);
	vdev_reset(dev);
	assert_int_equal(bus_read(&vm->mmio, BASE, 4, NULL), 0);
	assert_int_equal(reg_read(0x00), 0);
	assert_int_equal(entry_read(5) & (MASKED | REMOTE_IRR), MASKED);
	assert_int_equal(messages(), 0);
	/* The line itself is the device's. */
	entry_write(5, LEVEL | 0x45);
	assert_int_equal(messages(), 1);
}

static void registers(void **state)
{
	(void)state;
	/* The id has four bits; writing it loads the arbitration id. */
	reg_write(0x00, 0xffffffff);
	assert_int_equal(reg_read(0x00), 0x0f000000);
	assert_int_equal(reg_read(0x02), 0x0f000000);
	reg_write(0x00, 0x05000000);
	assert_int_equal(reg_read(0x00), 0x05000000);
	assert_int_equal(reg_read(0x02), 0x05000000);
	/* Read-only ones. */
	reg_write(0x01, 0xffffffff);
	reg_write(0x02, 0);
	assert_int_equal(reg_read(0x01), 0x00170011);
	assert_int_equal(reg_read(0x02), 0x05000000);
	/* The entries: every bit but status, remote IRR and the reserved ones, each its own. */
	for (unsigned pin = 0; pin < PINS; pin++) {
		reg_write(0x10 + 2 * pin, 0xffffffff);
		reg_write(0x11 + 2 * pin, 0xffffffff);
		assert_int_equal(reg_read(0x10 + 2 * pin), 0x0001afff);
		assert_int_equal(reg_read(0x11 + 2 * pin), 0xff000000);
	}
	for (unsigned pin = 0; pin < PINS; pin++) {
		reg_write(0x10 + 2 * pin, MASKED | (0x40 + pin));
		reg_write(0x11 + 2 * pin, (0x80 + pin) << 24);
	}
	for (unsigned pin = 0; pin < PINS; pin++) {
		assert_int_equal(reg_read(0x10 + 2 * pin), MASKED | (0x40 + pin));
		assert_int_equal(reg_read(0x11 + 2 * pin), (0x80 + pin) << 24);
	}
	/* No registers there. */
	for (unsigned reg = 0x03; reg < 0x100; reg = reg == 0x0f ? 0x40 : reg + 1) {
		reg_write(reg, 0xffffffff);
		assert_int_equal(reg_read(reg), 0);
	}
	assert_int_equal(reg_read(0x00), 0x05000000);
	/* IOREGSEL has eight bits. */
	select_register(0xabcdef00);
	assert_int_equal(bus_read(&vm->mmio, BASE, 4, NULL), 0);
	assert_int_equal(bus_read(&vm->mmio, BASE + 0x10, 4, NULL), 0x05000000);
}

static void widths(void **state)
{
	(void)state;
	reg_write(0x10, MASKED | LEVEL | 0x41);
	assert_int_equal(bus_read(&vm->mmio, BASE + 0x10, 1, NULL), 0x41);
	assert_int_equal(bus_read(&vm->mmio, BASE + 0x11, 1, NULL), 0x80);
	assert_int_equal(bus_read(&vm->mmio, BASE + 0x12, 1, NULL), 0x01);
	assert_int_equal(bus_read(&vm->mmio, BASE + 0x12, 2, NULL), 0x0001);
	assert_int_equal(bus_read(&vm->mmio, BASE + 0x10, 8, NULL), 0x00018041);
	/* Narrow writes: nothing at IOWIN, all of IOREGSEL. */
	for (unsigned byte = 0; byte < 4; byte++)
		bus_write(&vm->mmio, BASE + 0x10 + byte, 1, 0);
	bus_write(&vm->mmio, BASE + 0x10, 2, 0);
	bus_write(&vm->mmio, BASE + 0x12, 2, 0);
	bus_write(&vm->mmio, BASE + 0x12, 4, 0);
	assert_int_equal(entry_read(0), MASKED | LEVEL | 0x41);
	bus_write(&vm->mmio, BASE, 1, 0x01);
	assert_int_equal(bus_read(&vm->mmio, BASE, 1, NULL), 0x01);
	assert_int_equal(bus_read(&vm->mmio, BASE + 0x10, 4, NULL), 0x00170011);
	bus_write(&vm->mmio, BASE + 1, 1, 0x55);
	assert_int_equal(bus_read(&vm->mmio, BASE, 4, NULL), 0x01);
	/* The rest of the page holds nothing. */
	for (unsigned offset = 4; offset < 0x1000; offset += offset == 0xc ? 8 : 4) {
		bus_write(&vm->mmio, BASE + offset, 4, 0xffffffff);
		assert_int_equal(bus_read(&vm->mmio, BASE + offset, 4, NULL), 0);
	}
	assert_int_equal(entry_read(0), MASKED | LEVEL | 0x41);
}

static void pins(void **state)
{
	/* Line 0 at pin 2; line 2 and 20 up at none; PCI's lines idle high. */
	(void)state;
	for (unsigned pin = 0; pin < PINS; pin++)
		entry_write(pin, 0x40 + pin);
	assert_int_equal(messages(), 0);
	for (unsigned line = 0; line < IRQ_LINES; line++) {
		bool wired = line < 20 && line != 2;

		lower(line);
		raise_line(line);
		assert_int_equal(messages(), wired);
		if (wired)
			assert_int_equal(vm->msg[0].vector, 0x40 + (line ? line : 2));
	}
	for (unsigned line = 16; line < 20; line++)
		entry_write(line, LEVEL | LOW | (0x40 + line));
	assert_int_equal(messages(), 0);
}

static void no_line_at_all(void **state)
{
	(void)state;
	for (unsigned pin = 0; pin < PINS; pin++)
		entry_write(pin, 0x40 + pin);
	for (unsigned line = IRQ_LINES; line < 200; line++)
		vm->sinks->set(vm->sinks->dev, line, true);
	vm->sinks->set(vm->sinks->dev, ~0u, true);
	assert_int_equal(messages(), 0);
}

static void idle_levels(void **state)
{
	/* Nobody has driven anything: pins of PCI are high, those of ISA low. */
	(void)state;
	for (unsigned pin = 3; pin < 16; pin++)
		entry_write(pin, LEVEL | 0x50);
	for (unsigned pin = 16; pin < 20; pin++)
		entry_write(pin, LEVEL | LOW | 0x50);
	assert_int_equal(messages(), 0);
	for (unsigned pin = 16; pin < 20; pin++)
		entry_write(pin, LEVEL | 0x50);
	assert_int_equal(messages(), 4);
}

static void messages_of_all_modes(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 8; mode++) {
		for (unsigned logical = 0; logical < 2; logical++) {
			bool none = mode == APIC_RESERVED || mode == APIC_STARTUP;

			entry_write(4, MASKED);
			reg_write(0x19, 0x37000000);
			entry_write(4, mode << 8 | logical * LOGICAL | 0x61);
			pulse(4);
			assert_int_equal(vm->msg_count, !none);
			if (none)
				continue;
			assert_int_equal(vm->msg[0].mode, mode);
			assert_int_equal(vm->msg[0].logical, logical);
			assert_int_equal(vm->msg[0].dest, 0x37);
			assert_int_equal(vm->msg[0].vector, 0x61);
			assert_false(vm->msg[0].level);
			messages();
		}
	}
}

static void broadcast(void **state)
{
	(void)state;
	reg_write(0x19, 0xff000000);
	entry_write(4, 0x61);
	pulse(4);
	assert_true(vm->msg[0].dest == APIC_BROADCAST);
	messages();
	entry_write(4, LOGICAL | 0x61);
	pulse(4);
	assert_int_equal(vm->msg[0].dest, 0xff);
	assert_true(vm->msg[0].logical);
}

static void level_of_edge_only_modes(void **state)
{
	/* "NMI is treated as an edge triggered interrupt, even if it is programmed as a
	 * level triggered interrupt"; INIT likewise; SMI and ExtINT require edge. */
	static const u8 modes[] = {APIC_SMI, APIC_NMI, APIC_INIT, APIC_EXTINT};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		raise_line(4);
		entry_write(4, LEVEL | modes[i] << 8);
		assert_int_equal(messages(), 0);
		lower(4);
		raise_line(4);
		assert_int_equal(messages(), 1);
		assert_false(vm->msg[0].level);
		assert_int_equal(entry_read(4), LEVEL | modes[i] << 8);
		raise_line(4);
		eoi(0);
		assert_int_equal(messages(), 0);
		lower(4);
		entry_write(4, MASKED);
	}
}

static void edges(void **state)
{
	(void)state;
	entry_write(7, 0x47);
	raise_line(7);
	assert_int_equal(messages(), 1);
	assert_int_equal(entry_read(7), 0x47); /* no status, no remote IRR */
	raise_line(7);
	assert_int_equal(messages(), 0);
	lower(7);
	assert_int_equal(messages(), 0);
	raise_line(7); /* without any EOI in between */
	assert_int_equal(messages(), 1);
	eoi(0x47);
	assert_int_equal(messages(), 0);
	lower(7);
	/* Low active: the fall counts. */
	entry_write(7, LOW | 0x47);
	assert_int_equal(messages(), 0);
	raise_line(7);
	assert_int_equal(messages(), 0);
	lower(7);
	assert_int_equal(messages(), 1);
	lower(7);
	assert_int_equal(messages(), 0);
}

static void edges_under_mask(void **state)
{
	/* "Edge-sensitive interrupts signaled on a masked interrupt pin are ignored (i.e., not
	 * delivered or held pending)." */
	(void)state;
	entry_write(7, MASKED | 0x47);
	raise_line(7);
	entry_write(7, 0x47);
	assert_int_equal(messages(), 0);
	lower(7);
	raise_line(7);
	assert_int_equal(messages(), 1);
	/* Changing the entry makes no edge of a line that is up. */
	entry_write(7, LOW | 0x47);
	entry_write(7, 0x48);
	reg_write(0x1f, 0x01000000);
	assert_int_equal(messages(), 0);
}

static void remote_irr(void **state)
{
	(void)state;
	entry_write(9, LEVEL | 0x49);
	raise_line(9);
	assert_int_equal(messages(), 1);
	assert_true(vm->msg[0].level);
	assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x49);
	/* Nothing more until the EOI, whatever the line does. */
	lower(9);
	raise_line(9);
	assert_int_equal(messages(), 0);
	/* The EOI of others, the guest's write of the bit: nothing. */
	eoi(0x48);
	entry_write(9, LEVEL | 0x49);
	assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x49);
	assert_int_equal(messages(), 0);
	/* Still asserted: one more for each EOI. */
	for (unsigned i = 0; i < 1000; i++) {
		eoi(0x49);
		assert_int_equal(messages(), 1);
		assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x49);
	}
	lower(9);
	assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x49);
	eoi(0x49);
	assert_int_equal(messages(), 0);
	assert_int_equal(entry_read(9), LEVEL | 0x49);
	/* A bit that is written as 1 is not set. */
	entry_write(9, LEVEL | REMOTE_IRR | STATUS | 0x49);
	assert_int_equal(entry_read(9), LEVEL | 0x49);
	raise_line(9);
	assert_int_equal(messages(), 1);
}

static void level_under_mask(void **state)
{
	(void)state;
	entry_write(9, MASKED | LEVEL | 0x49);
	raise_line(9);
	assert_int_equal(messages(), 0);
	assert_int_equal(entry_read(9), MASKED | LEVEL | 0x49);
	/* Unmasked while asserted: delivered. */
	entry_write(9, LEVEL | 0x49);
	assert_int_equal(messages(), 1);
	/* Masked in service: as Linux's handlers do. The EOI still clears remote IRR. */
	entry_write(9, MASKED | LEVEL | 0x49);
	assert_int_equal(entry_read(9), MASKED | LEVEL | REMOTE_IRR | 0x49);
	eoi(0x49);
	assert_int_equal(messages(), 0);
	assert_int_equal(entry_read(9), MASKED | LEVEL | 0x49);
	entry_write(9, LEVEL | 0x49);
	assert_int_equal(messages(), 1);
	/* Withdrawn while masked: no side effects. */
	eoi(0x49);
	messages();
	entry_write(9, MASKED | LEVEL | 0x49);
	lower(9);
	eoi(0x49);
	entry_write(9, LEVEL | 0x49);
	assert_int_equal(messages(), 0);
}

static void low_active_level(void **state)
{
	(void)state;
	entry_write(17, LEVEL | LOW | 0x51);
	assert_int_equal(messages(), 0);
	lower(17);
	assert_int_equal(messages(), 1);
	assert_int_equal(vm->msg[0].vector, 0x51);
	eoi(0x51);
	assert_int_equal(messages(), 1);
	raise_line(17);
	eoi(0x51);
	assert_int_equal(messages(), 0);
	/* Turning the polarity asserts the pin. */
	entry_write(17, LEVEL | 0x51);
	assert_int_equal(messages(), 1);
}

static void edge_releases_remote_irr(void **state)
{
	(void)state;
	entry_write(9, LEVEL | 0x49);
	raise_line(9);
	assert_int_equal(messages(), 1);
	/* As kernels for version 11h do it: masked and edge, then as before. */
	entry_write(9, MASKED | 0x49);
	assert_int_equal(entry_read(9), MASKED | 0x49);
	assert_int_equal(messages(), 0);
	entry_write(9, LEVEL | 0x49);
	assert_int_equal(messages(), 1);
	assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x49);
	/* A delivery mode that has no levels does the same. */
	entry_write(9, LEVEL | APIC_NMI << 8);
	assert_int_equal(entry_read(9), LEVEL | APIC_NMI << 8);
	/* An edge's entry takes no notice of EOIs. */
	entry_write(9, 0x49);
	eoi(0x49);
	assert_int_equal(messages(), 0);
}

static void vector_changed_in_service(void **state)
{
	/* "... when an EOI message with a matching interrupt vector is received" */
	(void)state;
	entry_write(9, LEVEL | 0x49);
	raise_line(9);
	entry_write(9, LEVEL | 0x4a);
	messages();
	eoi(0x49);
	assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x4a);
	assert_int_equal(messages(), 0);
	eoi(0x4a);
	assert_int_equal(messages(), 1);
}

static void shared_vector(void **state)
{
	(void)state;
	for (unsigned pin = 3; pin < 16; pin++) {
		entry_write(pin, LEVEL | 0x60);
		raise_line(pin);
	}
	assert_int_equal(messages(), 13);
	lower(3);
	eoi(0x60);
	assert_int_equal(messages(), 12);
	assert_int_equal(entry_read(3), LEVEL | 0x60);
	assert_int_equal(entry_read(4), LEVEL | REMOTE_IRR | 0x60);
}

static void nobody_took_it(void **state)
{
	/* Remote IRR "is set to 1 when local APIC(s) accept the level interrupt". */
	(void)state;
	vm->msgs_lost = true;
	entry_write(9, LEVEL | 0x49);
	raise_line(9);
	assert_int_equal(messages(), 1);
	assert_int_equal(entry_read(9), LEVEL | 0x49);
	/* Tried again once at each occasion. */
	raise_line(9);
	assert_int_equal(messages(), 1);
	eoi(0x49);
	assert_int_equal(messages(), 1);
	vm->msgs_lost = false;
	reg_write(0x10 + 2 * 9 + 1, 0x01000000);
	assert_int_equal(messages(), 1);
	assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x49);
	/* An edge is over. */
	vm->msgs_lost = true;
	entry_write(7, 0x47);
	raise_line(7);
	assert_int_equal(messages(), 1);
	vm->msgs_lost = false;
	raise_line(7);
	entry_write(7, 0x47);
	assert_int_equal(messages(), 0);
}

static void nmis_are_announced(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 8; mode++) {
		bool nmi = mode == APIC_NMI || mode == APIC_SMI || mode == APIC_INIT;

		vm->nmi_expected = false;
		entry_write(4, MASKED | mode << 8);
		assert_false(vm->nmi_expected);
		entry_write(4, mode << 8);
		assert_int_equal(vm->nmi_expected, nmi);
		vm->nmi_expected = false;
		fake_vm_check_save(vm, dev);
	}
}

static void restore_announces_nmis(void **state)
{
	u8 blob[VDEV_SAVE_MAX];
	size_t size;

	(void)state;
	entry_write(4, APIC_NMI << 8);
	size = vdev_save(dev, blob);
	vdev_reset(dev);
	vm->nmi_expected = false;
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	assert_true(vm->nmi_expected);
}

static void saves(void **state)
{
	u8 blob[VDEV_SAVE_MAX];
	size_t size;

	(void)state;
	assert_true(dev->type->save_size <= VDEV_SAVE_MAX);
	fake_vm_check_save(vm, dev);
	entry_write(9, LEVEL | 0x49);
	raise_line(9);
	entry_write(7, 0x47);
	raise_line(7);
	reg_write(0x00, 0x03000000);
	fake_vm_check_save(vm, dev);
	size = vdev_save(dev, blob);
	lower(9);
	vdev_reset(dev);
	messages();
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	/* All as it was: nothing sent twice, the edge is over, the level in service and up. */
	assert_int_equal(messages(), 0);
	assert_int_equal(reg_read(0x00), 0x03000000);
	raise_line(7);
	assert_int_equal(messages(), 0);
	assert_int_equal(entry_read(9), LEVEL | REMOTE_IRR | 0x49);
	eoi(0x49);
	assert_int_equal(messages(), 1);
}

/* What a save of this device starts with, for blobs that none can have made. */
struct blob {
	u64 entry[PINS];
	u32 lines;
	u16 select, id;
};

static int restore_blob(struct blob blob)
{
	assert_int_equal(dev->type->save_size, sizeof(blob));
	return vdev_restore(dev, &blob, sizeof(blob));
}

static void refuses(void **state)
{
	struct blob good, bad;

	(void)state;
	entry_write(9, LEVEL | 0x49);
	raise_line(9);
	vdev_save(dev, &good);
	assert_int_equal(restore_blob(good), 0);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool reserved = bit == 12 || (bit > 16 && bit < 56);

		bad = good;
		bad.entry[23] ^= BIT(bit);
		/* An edge's entry with remote IRR, or one that is no entry. */
		assert_int_equal(restore_blob(bad), reserved || bit == 14 ? -EINVAL : 0);
	}
	bad = good;
	bad.entry[9] &= ~(u64)LEVEL;
	assert_int_equal(restore_blob(bad), -EINVAL);
	bad = good;
	bad.entry[9] |= (u64)APIC_NMI << 8;
	assert_int_equal(restore_blob(bad), -EINVAL);
	for (unsigned bit = 0; bit < 32; bit++) {
		bad = good;
		bad.lines ^= BIT(bit);
		assert_int_equal(restore_blob(bad), bit >= 1 && bit < 20 ? 0 : -EINVAL);
	}
	bad = good;
	bad.select = 0x100;
	assert_int_equal(restore_blob(bad), -EINVAL);
	bad = good;
	bad.id = 0x10;
	assert_int_equal(restore_blob(bad), -EINVAL);
	assert_int_equal(restore_blob(good), 0);
	assert_int_equal(messages(), 1);
}

static void describes_itself(void **state)
{
	char text[512] = "", little[24];

	(void)state;
	dev->type->describe(dev, text, sizeof(text));
	assert_string_equal(text, "");
	entry_write(4, 0x34);
	entry_write(9, LEVEL | LOGICAL | APIC_LOWEST << 8 | 0x49);
	reg_write(0x10 + 2 * 9 + 1, 0x0f000000);
	raise_line(9);
	dev->type->describe(dev, text, sizeof(text));
	assert_string_equal(text, "  pin 4 fixed 34 to 00 edge\n"
				  "  pin 9 lowest 49 to logical 0f level active sent\n");
	memset(little, 'x', sizeof(little));
	dev->type->describe(dev, little, sizeof(little) - 1);
	assert_int_equal(little[sizeof(little) - 1], 'x');
	assert_int_equal(strlen(little), sizeof(little) - 2);
	for (unsigned pin = 0; pin < PINS; pin++)
		for (unsigned mode = 0; mode < 8; mode++) {
			entry_write(pin, mode << 8 | LEVEL | LOGICAL);
			dev->type->describe(dev, text, sizeof(text));
			assert_true(strlen(text) < sizeof(text));
		}
}

static void claims(void **state)
{
	struct vm *other = fake_vm_create();
	struct vdev *second;
	bool claimed;

	(void)state;
	bus_read(&vm->mmio, BASE + 0xfff, 1, &claimed);
	assert_true(claimed);
	bus_read(&vm->mmio, BASE + 0x1000, 1, &claimed);
	assert_false(claimed);
	bus_read(&vm->mmio, BASE - 1, 1, &claimed);
	assert_false(claimed);
	fake_vm_create_device(other, "ioapic", (struct vdev_args){0});
	assert_int_equal(fake_vm_try_device(other, "ioapic", (struct vdev_args){0}, &second),
			 -EEXIST);
	fake_vm_destroy(other);
}

static void beside_the_8259(void **state)
{
	/* Both see the ISA lines; those of PCI are none of the 8259's. */
	(void)state;
	fake_vm_create_device(vm, "8259", (struct vdev_args){0});
	for (unsigned chip = 0; chip < 2; chip++) {
		static const u8 words[] = {0x20, 4, 1};

		fake_vm_outb(vm, chip ? 0xa0 : 0x20, 0x11);
		for (unsigned i = 0; i < 3; i++)
			fake_vm_outb(vm, chip ? 0xa1 : 0x21, i == 1 && chip ? 2 : words[i]);
	}
	for (unsigned line = 16; line < IRQ_LINES; line++) {
		lower(line);
		raise_line(line);
	}
	assert_false(vm->extint_pending);
	entry_write(10, 0x4a);
	raise_line(10);
	assert_true(vm->extint_pending);
	assert_int_equal(messages(), 1);
}

/* --- the second model ------------------------------------------------- */

/* A pin of it; `high` is its line. */
struct pin {
	bool high, masked, level, low, remote_irr, logical;
	u8 vector, mode, dest;
};

static struct pin model[PINS];
static struct apic_msg expected[FAKE_MSGS];
static unsigned expected_count;

static bool model_levels(const struct pin *p)
{
	return p->level && p->mode < 2;
}

static bool model_send(const struct pin *p)
{
	if (p->masked || p->mode == 3 || p->mode == 6)
		return false;
	expected[expected_count++] = (struct apic_msg){
		.dest = !p->logical && p->dest == 0xff ? APIC_BROADCAST : p->dest,
		.logical = p->logical, .mode = p->mode, .vector = p->vector,
		.level = model_levels(p)};
	return !vm->msgs_lost;
}

/* A level is looked at whenever something of its pin changes. */
static void model_level(struct pin *p)
{
	if (model_levels(p) && p->high != p->low && !p->remote_irr)
		p->remote_irr = model_send(p);
}

static void model_line(unsigned line, bool high)
{
	struct pin *p = &model[line ? line : 2];
	bool edge = p->high != high && high != p->low;

	if (line == 2 || line >= 20)
		return;
	p->high = high;
	if (!model_levels(p) && edge)
		model_send(p);
	model_level(p);
}

static void model_eoi(u8 vector)
{
	for (unsigned i = 0; i < PINS; i++) {
		struct pin *p = &model[i];

		if (model_levels(p) && p->vector == vector) {
			p->remote_irr = false;
			model_level(p);
		}
	}
}

static void model_write(struct pin *p, bool upper, u32 value)
{
	if (upper) {
		p->dest = (u8)(value >> 24);
	} else {
		p->vector = (u8)value;
		p->mode = value >> 8 & 7;
		p->logical = value & LOGICAL;
		p->low = value & LOW;
		p->level = value & LEVEL;
		p->masked = value & MASKED;
	}
	if (!model_levels(p))
		p->remote_irr = false;
	model_level(p);
}

static u32 model_read(const struct pin *p, bool upper)
{
	if (upper)
		return (u32)p->dest << 24;
	return p->vector | p->mode << 8 | (p->logical ? LOGICAL : 0) | (p->low ? LOW : 0) |
	       (p->remote_irr ? REMOTE_IRR : 0) | (p->level ? LEVEL : 0) |
	       (p->masked ? MASKED : 0);
}

static void compare(void)
{
	assert_int_equal(messages(), expected_count);
	for (unsigned i = 0; i < expected_count; i++) {
		assert_true(vm->msg[i].dest == expected[i].dest);
		assert_int_equal(vm->msg[i].logical, expected[i].logical);
		assert_int_equal(vm->msg[i].mode, expected[i].mode);
		assert_int_equal(vm->msg[i].vector, expected[i].vector);
		assert_int_equal(vm->msg[i].level, expected[i].level);
	}
	expected_count = 0;
}

/* Values that a pin can do something with: mostly fixed, few vectors. */
static u32 random_entry(u64 r)
{
	u32 value = (u32)(r & ~0xfcull);

	if (r & BIT(40))
		value &= ~0x700u;
	if (r & BITS(42, 41))
		value &= ~MASKED;
	return value;
}

static void agrees_with_the_second_model(void **state)
{
	u64 seed = 4711;

	(void)state;
	memset(model, 0, sizeof(model));
	for (unsigned pin = 0; pin < PINS; pin++) {
		model[pin].masked = true;
		model[pin].high = pin >= 16 && pin < 20;
	}
	for (unsigned i = 0; i < 1000000; i++) {
		u64 r = fake_vm_random(&seed);
		unsigned pin = (r >> 50) % PINS, upper = r >> 49 & 1;

		switch ((r >> 60) & 7) {
		case 0:
			reg_write(0x10 + 2 * pin + upper, random_entry(r));
			model_write(&model[pin], upper, random_entry(r));
			break;
		case 1:
			assert_int_equal(reg_read(0x10 + 2 * pin + upper),
					 model_read(&model[pin], upper));
			break;
		case 2:
			eoi(r & 3);
			model_eoi(r & 3);
			break;
		case 3:
			vm->msgs_lost = (r & 7) == 0;
			if (i % 16 == 0)
				fake_vm_check_save(vm, dev);
			break;
		default:
			vm_irq_line(vm, pin, r & 1);
			model_line(pin, r & 1);
		}
		compare();
	}
}

static void storms(void **state)
{
	u64 seed = 99;

	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		u64 r = fake_vm_random(&seed), value = fake_vm_random(&seed);
		unsigned size = 1u << (r & 3);
		u64 at = BASE - 8 + (r & BIT(8) ? (r >> 32) % 0x1010 : (r >> 32) % 0x30);

		if (r & BIT(9))
			bus_write(&vm->mmio, at, size, value);
		else
			assert_int_equal(bus_read(&vm->mmio, at, size, NULL) & ~size_mask(size), 0);
		if (!(r & BITS(13, 10)))
			vm_irq_line(vm, (unsigned)(value >> 8) % IRQ_LINES, value & 1);
		if (!(r & BITS(17, 14)))
			eoi((u8)value);
		if (!(r & BITS(29, 20)))
			fake_vm_check_save(vm, dev);
		/* No access may make more than one message for each pin. */
		assert_true(messages() <= 2 * PINS);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_values), TEST(registers), TEST(widths), TEST(claims), TEST(pins),
		TEST(no_line_at_all), TEST(idle_levels), TEST(messages_of_all_modes),
		TEST(broadcast), TEST(level_of_edge_only_modes), TEST(edges),
		TEST(edges_under_mask), TEST(remote_irr), TEST(level_under_mask),
		TEST(low_active_level), TEST(edge_releases_remote_irr),
		TEST(vector_changed_in_service), TEST(shared_vector), TEST(nobody_took_it),
		TEST(nmis_are_announced), TEST(restore_announces_nmis), TEST(saves),
		TEST(refuses), TEST(describes_itself), TEST(beside_the_8259),
		TEST(agrees_with_the_second_model), TEST(storms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
