/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vpci.c drivers/vpci_host.c drivers/vpci_test.c drivers/vreset.c tests/unit/fake_vm.c vmm/bus.c vmm/vdev_life.c */
/*
 * The PCI as its specifications have it: both ways into config space, absent
 * functions, BARs of each type sized, placed well and placed with malice, the
 * command register's gates, the capability list, MSI and MSI-X with each of
 * their masks, INTA# shared and disabled, and what a saved state may be.
 */
#include "tests/unit/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "drivers/vpci.h"

#define ECAM	  0xe0000000ull
#define WINDOW64  0x100000000ull /* no RAM above 4 GiB */
#define IDS	  0x7e571234u
#define COMMAND	  0x04
#define STATUS	  0x06
#define BAR(n)	  (0x10 + 4 * (n))
#define INTX	  0x08 /* in STATUS */
#define IO	  1
#define MEM	  2
#define MASTER	  4
#define NO_INTX	  0x400
#define MSI_ADDR  0xfee00000u

static struct vm *vm;
static struct vdev *host, *dev;

/* --- the guest's side ----------------------------------------------------- */

static u32 ecam(unsigned slot, unsigned reg)
{
	return (u32)bus_read(&vm->mmio, ECAM + slot * 0x8000 + reg, 4, NULL);
}

static u16 ecam16(unsigned slot, unsigned reg)
{
	return (u16)bus_read(&vm->mmio, ECAM + slot * 0x8000 + reg, 2, NULL);
}

static void ecam_put(unsigned slot, unsigned reg, unsigned size, u32 value)
{
	assert_true(bus_write(&vm->mmio, ECAM + slot * 0x8000 + reg, size, value));
}

static void address(unsigned slot, unsigned reg)
{
	fake_vm_outl(vm, 0xcf8, 0x80000000u | slot << 11 | (reg & 0xfc));
}

static u32 mem(u64 addr)
{
	return (u32)bus_read(&vm->mmio, addr, 4, NULL);
}

static void mem_put(u64 addr, u32 value)
{
	bus_write(&vm->mmio, addr, 4, value);
}

static u64 bar(unsigned slot, unsigned n)
{
	u32 low = ecam(slot, BAR(n));
	u64 high = (low & 7) == 4 ? ecam(slot, BAR(n + 1)) : 0;

	return high << 32 | (low & (low & 1 ? ~3u : ~15u));
}

/* Where a slot has a capability, by walking the list; 0: nowhere. */
static unsigned capability(unsigned slot, unsigned id)
{
	unsigned at = ecam(slot, 0x34) & 0xff;

	for (unsigned steps = 0; at; steps++) {
		assert_true(steps < 48 && at >= 0x40 && at % 4 == 0);
		if ((ecam(slot, at) & 0xff) == id)
			return at;
		at = ecam(slot, at) >> 8 & 0xff;
	}
	return 0;
}

/* --- set-up --------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	vm = fake_vm_create();
	fake_vm_create_device(vm, "cf9", (struct vdev_args){0});
	host = fake_vm_create_device(vm, "pci-host", (struct vdev_args){0});
	dev = fake_vm_create_device(vm, "pci-testdev", (struct vdev_args){0});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_destroy(vm);
	return 0;
}

/* MSI-X on, as bus master, every vector with an address and data of its own. */
static unsigned msix_on(void)
{
	unsigned at = capability(1, 0x11);

	for (unsigned v = 0; v < 8; v++) {
		mem_put(bar(1, 0) + 16 * v, MSI_ADDR | v << 12);
		mem_put(bar(1, 0) + 16 * v + 8, 0x40 + v);
		mem_put(bar(1, 0) + 16 * v + 12, 0);
	}
	ecam_put(1, COMMAND, 2, IO | MEM | MASTER);
	ecam_put(1, at + 2, 2, 0x8000);
	return at;
}

static void raise(u32 vector)
{
	mem_put(bar(1, 2), vector);
}

static void expect_msi(u64 to, u32 data)
{
	assert_int_equal(vm->msi_count, 1);
	assert_int_equal(vm->msi[0].address, to);
	assert_int_equal(vm->msi[0].data, data);
	vm->msi_count = 0;
}

/* --- config space --------------------------------------------------------- */

static void ids_and_classes(void **state)
{
	(void)state;
	assert_int_equal(ecam(0, 0x00), 0x00081b36);
	assert_int_equal(ecam(0, 0x08) >> 8, 0x060000);
	assert_int_equal(ecam(0, 0x0c) >> 16 & 0xff, 0); /* header type 0, one function */
	for (unsigned reg = 0x10; reg < 0x40; reg += 4)
		if (reg != 0x3c)
			assert_int_equal(ecam(0, reg), 0);
	assert_int_equal(ecam(0, 0x3c), 0x000000ff); /* no pin, no line */
	assert_int_equal(ecam16(0, STATUS), 0);
	assert_int_equal(ecam(1, 0x00), IDS);
	assert_int_equal(ecam(1, 0x08), 0xff000001);
	assert_int_equal(ecam(1, 0x2c), 0x00011234);
	assert_int_equal(ecam(1, 0x3c), 0x000001ff); /* INTA# */
	assert_int_equal(ecam16(1, STATUS), 0x10);
}

static void both_ways_show_the_same(void **state)
{
	(void)state;
	for (unsigned slot = 0; slot < 32; slot++)
		for (unsigned reg = 0; reg < 256; reg += 4) {
			u32 value = ecam(slot, reg);

			address(slot, reg);
			assert_int_equal(fake_vm_inl(vm, 0xcfc), value);
			assert_int_equal(fake_vm_inw(vm, 0xcfc), value & 0xffff);
			assert_int_equal(fake_vm_inw(vm, 0xcfd), value >> 8 & 0xffff);
			assert_int_equal(fake_vm_inw(vm, 0xcfe), value >> 16);
			for (unsigned i = 0; i < 4; i++) {
				assert_int_equal(fake_vm_inb(vm, 0xcfc + i), value >> 8 * i & 0xff);
				assert_int_equal(bus_read(&vm->mmio, ECAM + slot * 0x8000 + reg + i, 1,
							  NULL), value >> 8 * i & 0xff);
			}
		}
	/* Writes of each width meet the same register. */
	address(1, 0x3c);
	fake_vm_outb(vm, 0xcfc, 0x5a);
	assert_int_equal(ecam(1, 0x3c), 0x015a);
	fake_vm_outw(vm, 0xcfc, 0xff33);
	assert_int_equal(ecam(1, 0x3c), 0x0133);
	ecam_put(1, 0x3c, 1, 0x44);
	assert_int_equal(fake_vm_inl(vm, 0xcfc), 0x0144);
	ecam_put(1, BAR(0) + 2, 2, 0xd123);
	address(1, BAR(0));
	assert_int_equal(fake_vm_inl(vm, 0xcfc), 0xd1230000);
	fake_vm_outb(vm, 0xcff, 0xd0);
	assert_int_equal(ecam(1, BAR(0)), 0xd0230000);
	assert_int_equal(bus_read(&vm->mmio, ECAM + 0x8000, 8, NULL), 0x0010000300000000ull | IDS);
}

static void address_port_takes_dwords_only(void **state)
{
	(void)state;
	assert_int_equal(fake_vm_inl(vm, 0xcf8), 0);
	fake_vm_outl(vm, 0xcf8, 0xffffffff);
	assert_int_equal(fake_vm_inl(vm, 0xcf8), 0x80fffffc); /* the others are reserved */
	fake_vm_outl(vm, 0xcf8, 0x80000800);
	fake_vm_outb(vm, 0xcf8, 0x3c);
	fake_vm_outw(vm, 0xcf8, 0x3c3c);
	fake_vm_outw(vm, 0xcfa, 0);
	fake_vm_outb(vm, 0xcfb, 1);
	assert_int_equal(fake_vm_inl(vm, 0xcf8), 0x80000800);
	assert_int_equal(fake_vm_inb(vm, 0xcf8), 0xff);
	assert_int_equal(fake_vm_inb(vm, 0xcfb), 0xff);
	assert_int_equal(fake_vm_inw(vm, 0xcf8), 0xffff);
	/* CF9h is another chip's, for bytes. */
	fake_vm_outb(vm, 0xcf9, 0x02);
	assert_int_equal(fake_vm_inb(vm, 0xcf9), 0x02);
	assert_int_equal(fake_vm_inl(vm, 0xcf8), 0x80000800);
	assert_int_equal(vm->resets, 0);
	assert_int_equal(fake_vm_inl(vm, 0xcfc), IDS);
	/* Without the enable bit the data port is nobody's. */
	fake_vm_outl(vm, 0xcf8, 0x0000083c);
	assert_int_equal(fake_vm_inl(vm, 0xcfc), 0xffffffff);
	fake_vm_outl(vm, 0xcfc, 0x77);
	assert_int_equal(ecam(1, 0x3c) & 0xff, 0xff);
	vdev_reset(host);
	assert_int_equal(fake_vm_inl(vm, 0xcf8), 0);
}

static void absent_functions_read_all_ones(void **state)
{
	static const u32 where[] = {
		0x80001000, 0x80000100, 0x80000900, 0x8000ff00, /* slot 2, functions 1, the last */
		0x80010000, 0x80010800, 0x80ff0000,		 /* other buses */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
		fake_vm_outl(vm, 0xcf8, where[i]);
		assert_int_equal(fake_vm_inl(vm, 0xcfc), 0xffffffff);
		fake_vm_outl(vm, 0xcfc, 0);
		assert_int_equal(mem(ECAM + ((u64)(where[i] & 0xffff00) << 4)), 0xffffffff);
	}
	/* Conventional functions: nothing behind their 256 bytes, also where an access begins there. */
	assert_int_equal(ecam(1, 0x100), 0xffffffff);
	assert_int_equal(ecam(1, 0xffc), 0xffffffff);
	assert_int_equal(ecam(1, 0xfe), 0xffffffff);
	assert_int_equal(ecam(1, 0xffe), 0xffffffff);
	ecam_put(1, 0x104, 4, 0x12345678);
	assert_int_equal(ecam16(1, COMMAND), IO | MEM);
	assert_int_equal(mem(ECAM + 0xfffff00), 0xffffffff);
}

static void registers_keep_what_they_are(void **state)
{
	u32 before[64];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		before[i] = ecam(1, 4 * i);
	/* Read-only: ids, class, header type, subsystem, list, and the bits of status. */
	static const u8 fixed[] = {0x00, 0x08, 0x28, 0x2c, 0x30, 0x34, 0x38};
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		ecam_put(1, fixed[i], 4, ~before[fixed[i] / 4]);
		assert_int_equal(ecam(1, fixed[i]), before[fixed[i] / 4]);
	}
	ecam_put(1, COMMAND, 4, 0xffffffff);
	assert_int_equal(ecam(1, COMMAND), 0x00100000 | IO | MEM | MASTER | NO_INTX);
	ecam_put(1, 0x0c, 4, 0xffffffff);
	assert_int_equal(ecam(1, 0x0c), 0x000000ff); /* the cache line size alone */
	ecam_put(1, 0x3c, 4, 0xffffffff);
	assert_int_equal(ecam(1, 0x3c), 0x000001ff);
	vdev_reset(dev);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(ecam(1, 4 * i), before[i]);
}

/* --- BARs ----------------------------------------------------------------- */

static void bars_tell_their_size(void **state)
{
	static const u32 sizes[6] = {0xfffff000, 0, 0xffff000c, 0xffffffff, 0xffffffe1, 0};

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		ecam_put(1, BAR(i), 4, 0xffffffff);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(ecam(1, BAR(i)), sizes[i]);
	for (unsigned i = 0; i < 6; i++)
		ecam_put(1, BAR(i), 4, 0);
	assert_int_equal(ecam(1, BAR(0)), 0);
	assert_int_equal(ecam(1, BAR(2)), 0x0c);
	assert_int_equal(ecam(1, BAR(3)), 0);
	assert_int_equal(ecam(1, BAR(4)), 1);
	/* No ROM. */
	ecam_put(1, 0x30, 4, 0xffffffff);
	assert_int_equal(ecam(1, 0x30), 0);
}

/* As firmware leaves them: each within a window, aligned, apart, decoded. */
static void bars_are_placed(void **state)
{
	struct vdev *other = fake_vm_create_device(vm, "pci-testdev", (struct vdev_args){0});

	(void)state;
	assert_non_null(other);
	for (unsigned slot = 1; slot <= 2; slot++) {
		assert_int_equal(ecam16(slot, COMMAND), IO | MEM);
		assert_in_range(bar(slot, 0), 0xc0000000, 0xdffff000);
		assert_in_range(bar(slot, 2), 0xc0000000, 0xdfff0000);
		assert_in_range(bar(slot, 4), 0xc000, 0xffe0);
		assert_int_equal(bar(slot, 0) % 0x1000, 0);
		assert_int_equal(bar(slot, 2) % 0x10000, 0);
		assert_int_equal(bar(slot, 4) % 0x20, 0);
		mem_put(bar(slot, 2) + 8, 0x1111 * slot);
	}
	for (unsigned slot = 1; slot <= 2; slot++) {
		assert_int_equal(mem(bar(slot, 2) + 8), 0x1111 * slot);
		assert_int_equal(fake_vm_inl(vm, (u16)(bar(slot, 4) + 8)), 0x1111 * slot);
	}
}

static void bars_go_where_they_are_put(void **state)
{
	static const u64 places[] = {
		0xc0000000, 0xdfff0000, 0xf0000000, 0xfebf0000, /* the ends of the 32-bit windows */
		WINDOW64, WINDOW64 + GIB(32) - 0x10000,
	};

	(void)state;
	ecam_put(1, BAR(0), 4, 0xd0000000);
	mem_put(bar(1, 2) + 8, 0xfeed);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		u64 old = bar(1, 2);

		ecam_put(1, BAR(2), 4, (u32)places[i]);
		ecam_put(1, BAR(3), 4, (u32)(places[i] >> 32));
		assert_int_equal(bar(1, 2), places[i]);
		assert_int_equal(mem(places[i] + 8), 0xfeed);
		assert_int_equal(mem(old + 8), 0xffffffff);
		assert_int_equal(mem(places[i] + 0xfffc), 0xffffffff);
		if (places[i] + 0x10008 < ECAM || places[i] >= ECAM + MIB(256))
			assert_int_equal(mem(places[i] + 0x10008), 0xffffffff);
	}
	for (u32 port = 0xc000; port <= 0xffe0; port += 0x20) {
		ecam_put(1, BAR(4), 4, port);
		assert_int_equal(fake_vm_inl(vm, (u16)(port + 8)), 0xfeed);
	}
}

static void registers_answer_to_dwords(void **state)
{
	u64 at = bar(1, 2);

	(void)state;
	mem_put(at + 8, 0x12345678);
	assert_int_equal(bus_read(&vm->mmio, at + 8, 1, NULL), 0xff);
	assert_int_equal(bus_read(&vm->mmio, at + 8, 8, NULL), ~0ull);
	assert_int_equal(bus_read(&vm->mmio, at + 10, 4, NULL), 0xffffffff);
	bus_write(&vm->mmio, at + 8, 2, 0);
	assert_int_equal(mem(at + 8), 0x12345678);
	assert_int_equal(mem(at + 4), 0);
	assert_int_equal(mem(at), 0);
	raise(3);
	raise(100);
	assert_int_equal(mem(at), 2);
}

static void command_gates_decoding(void **state)
{
	u64 at = bar(1, 2);
	u16 port = (u16)bar(1, 4);

	(void)state;
	mem_put(at + 8, 7);
	for (unsigned bits = 0; bits < 4; bits++) {
		ecam_put(1, COMMAND, 2, bits);
		assert_int_equal(fake_vm_inl(vm, port + 8), bits & IO ? 7 : 0xffffffff);
		assert_int_equal(mem(at + 8), bits & MEM ? 7 : 0xffffffff);
		assert_int_equal(mem(bar(1, 0) + 12), bits & MEM ? 1 : 0xffffffff);
		if (!(bits & MEM))
			mem_put(at + 8, 99);
	}
	ecam_put(1, COMMAND, 2, IO | MEM);
	assert_int_equal(mem(at + 8), 7);
}

static void hostile_places_take_nothing(void **state)
{
	static const u64 places[] = {
		0, 0x10000, 0xf0000, MIB(32),	      /* RAM */
		0xbfff0000, 0xe0000000, 0xefff0000,   /* below the windows, ECAM */
		0xfec00000, 0xfee00000, 0xffff0000,   /* interrupt controllers, the last below 4 GiB */
		WINDOW64 + GIB(32), 0x8000000000000000ull, 0xffffffffffff0000ull,
	};

	(void)state;
	ecam_put(1, BAR(0), 4, 0);
	mem_put(bar(1, 2) + 8, 0xfeed);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		ecam_put(1, BAR(2), 4, (u32)places[i]);
		ecam_put(1, BAR(3), 4, (u32)(places[i] >> 32));
		assert_int_not_equal(mem(places[i] + 8), 0xfeed);
		mem_put(places[i] + 8, 0xbad);
		bus_read(&vm->mmio, places[i] + 0xfffe, 8, NULL);
	}
	/* I/O has 16 bits of address on a PC, and a window of its own. */
	static const u32 ports[] = {0, 0x20, 0xcf0, 0xbfe0, 0x1c000, 0xffffc000};
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		ecam_put(1, BAR(4), 4, ports[i]);
		assert_int_not_equal(fake_vm_inl(vm, (u16)(ports[i] + 8)), 0xfeed);
	}
	/* ECAM goes on beneath a BAR. */
	ecam_put(1, BAR(2), 4, 0xe0000000);
	ecam_put(1, BAR(3), 4, 0);
	assert_int_equal(mem(0xe0000000), 0x00081b36);
	ecam_put(1, BAR(2), 4, 0xd0000000);
	assert_int_equal(mem(0xd0000008), 0xfeed);
	/* What straddles the end of a BAR is in none. */
	ecam_put(1, BAR(4), 4, 0xc000);
	assert_int_equal(bus_read(&vm->ports, 0xc01e, 4, NULL), 0xffffffff);
	assert_int_equal(bus_read(&vm->mmio, 0xd000fffc, 8, NULL), ~0ull);
	assert_int_equal(bus_read(&vm->mmio, 0xcffffffc, 8, NULL), ~0ull);
	ecam_put(1, BAR(0), 4, 0xd1000000);
	assert_int_equal(bus_read(&vm->mmio, 0xd1000ff8, 8, NULL), 0);
	assert_int_equal(bus_read(&vm->mmio, 0xd1000ffc, 8, NULL), ~0ull);
	/* Ports are not memory. */
	ecam_put(1, BAR(0), 4, 0xd000);
	assert_int_equal(fake_vm_inl(vm, 0xd00c), 0xffffffff);
	ecam_put(1, BAR(4), 4, 0xd2000000);
	assert_int_equal(mem(0xd2000008), 0xffffffff);
}

static void of_overlapping_bars_the_lower_wins(void **state)
{
	u32 at;

	(void)state;
	fake_vm_create_device(vm, "pci-testdev", (struct vdev_args){0});
	mem_put(bar(1, 2) + 8, 0x1111);
	mem_put(bar(2, 2) + 8, 0x2222);
	at = ecam(2, BAR(2)) & ~15u;
	ecam_put(1, BAR(2), 4, at);
	assert_int_equal(mem(at + 8), 0x1111);
	ecam_put(1, COMMAND, 2, IO);
	assert_int_equal(mem(at + 8), 0x2222);
	ecam_put(1, COMMAND, 2, IO | MEM);
	/* Within a function the lower BAR: here the vectors. */
	ecam_put(1, BAR(0), 4, at);
	assert_int_equal(mem(at + 8), 0);
	assert_int_equal(mem(at + 12), 1);
}

/* Devices with a BAR of a whole window, by the port of their arguments. */
static int hog_create(struct vdev *d)
{
	static const struct vpci_type memory = {.bars = {{0x20000000, 0}}}, ports = {.bars = {{0x4000, 1}}};

	return vpci_create((struct vpci_function *)((u8 *)d->state + sizeof(struct vpci_state)), d,
			   d->args.port ? &ports : &memory);
}
DEFINE_VDEV(hog, .name = "hog", .create = hog_create,
	    .state_size = sizeof(struct vpci_state) + sizeof(struct vpci_function));

static void full_slots_and_windows(void **state)
{
	struct vdev *other;

	(void)state;
	for (u16 port = 0; port < 2; port++) {
		struct vm *empty = fake_vm_create();

		assert_int_equal(fake_vm_try_device(vm, "hog", (struct vdev_args){.port = port}, &other),
				 -ENOSPC);
		fake_vm_create_device(empty, "pci-host", (struct vdev_args){0});
		fake_vm_create_device(empty, "hog", (struct vdev_args){.port = port});
		assert_int_equal(fake_vm_try_device(empty, "hog", (struct vdev_args){.port = port},
						    &other), -ENOSPC);
		fake_vm_destroy(empty);
	}
	fake_vm_destroy(vm);
	setup(state);
	for (unsigned slot = 2; slot < 32; slot++)
		fake_vm_create_device(vm, "pci-testdev", (struct vdev_args){0});
	assert_int_equal(ecam(31, 0), IDS);
	assert_int_equal(fake_vm_try_device(vm, "pci-testdev", (struct vdev_args){0}, &other), -ENOSPC);
	fake_vm_destroy(vm);
	vm = fake_vm_create();
	assert_int_equal(fake_vm_try_device(vm, "pci-testdev", (struct vdev_args){0}, &other), -ENODEV);
}

/* --- capabilities and messages --------------------------------------------- */

static void capabilities_are_listed(void **state)
{
	unsigned msi = capability(1, 0x05), msix = capability(1, 0x11);

	(void)state;
	assert_int_equal(capability(0, 0x05), 0);
	assert_int_equal(capability(1, 0x01), 0);
	assert_true(msi && msix);
	/* 64-bit address, masking, one message; all off. */
	assert_int_equal(ecam16(1, msi + 2), 0x0180);
	for (unsigned i = 4; i < 24; i += 4)
		assert_int_equal(ecam(1, msi + i), 0);
	/* 8 vectors, table at 0 and pending bits at 800h of BAR0. */
	assert_int_equal(ecam16(1, msix + 2), 7);
	assert_int_equal(ecam(1, msix + 4), 0);
	assert_int_equal(ecam(1, msix + 8), 0x800);
	for (unsigned i = 4; i < 24; i += 4)
		ecam_put(1, msi + i, 4, 0xffffffff);
	assert_int_equal(ecam(1, msi + 4), 0xfffffffc);
	assert_int_equal(ecam(1, msi + 8), 0xffffffff);
	assert_int_equal(ecam(1, msi + 12), 0x0000ffff);
	assert_int_equal(ecam(1, msi + 16), 1);
	assert_int_equal(ecam(1, msi + 20), 0);
	ecam_put(1, msix + 2, 2, 0xffff);
	assert_int_equal(ecam16(1, msix + 2), 0xc007);
	ecam_put(1, msix + 4, 4, 0xffffffff);
	assert_int_equal(ecam(1, msix + 4), 0);
}

/* A device of this test's own, for the list's builder. */
static struct vpci_function *built;
static const u8 body[] = {0xaa, 0xbb, 0xcc};
static u8 offsets[4];
static int builder_create(struct vdev *d)
{
	static const struct vpci_type type = {.vendor = 1, .device = 2, .msi = true};
	int error = vpci_create(built, d, &type);

	offsets[0] = vpci_add_capability(built, 0x09, body, 5);
	offsets[1] = vpci_add_capability(built, 0x09, NULL, 256 - 0x60 + 1);
	offsets[2] = vpci_add_capability(built, 0x0a, NULL, 256 - 0x60);
	offsets[3] = vpci_add_capability(built, 0x0b, NULL, 2);
	return error;
}
static void builder_reset(struct vdev *d)
{
	vpci_reset(built);
}
DEFINE_VDEV(builder, .name = "builder", .state_size = sizeof(struct vpci_state),
	    .save_size = sizeof(struct vpci_state), .create = builder_create, .reset = builder_reset);

static void capabilities_as_room_allows(void **state)
{
	struct vpci_function f = {0};

	(void)state;
	built = &f;
	fake_vm_create_device(vm, "builder", (struct vdev_args){0});
	assert_int_equal(capability(2, 0x05), 0x40);
	assert_int_equal(capability(2, 0x09), 0x58);
	assert_int_equal(ecam(2, 0x58), 0xbbaa6009);
	assert_int_equal(ecam(2, 0x5c), 0xcc);
	assert_int_equal(offsets[1], 0);
	assert_int_equal(offsets[2], 0x60);
	assert_int_equal(offsets[3], 0);
	ecam_put(2, 0x58, 4, 0);
	assert_int_equal(capability(2, 0x0a), 0x60);
	assert_int_equal(ecam(2, 0x60), 0x0a);
	assert_int_equal(ecam(2, 0), 0x00020001);
}

static void msix_table_takes_dwords(void **state)
{
	u64 at = bar(1, 0);

	(void)state;
	for (unsigned i = 0; i < 8 * 16; i += 4) {
		assert_int_equal(mem(at + i), i % 16 == 12); /* masked */
		mem_put(at + i, 0xffffffff);
		assert_int_equal(mem(at + i), i % 16 == 0 ? 0xfffffffc : i % 16 == 12 ? 1 : 0xffffffff);
	}
	bus_write(&vm->mmio, at + 16, 8, 0x1122334455667788ull);
	assert_int_equal(bus_read(&vm->mmio, at + 16, 8, NULL), 0x1122334455667788ull);
	assert_int_equal(mem(at + 20), 0x11223344);
	/* Narrower or not aligned: not defined; here nothing. */
	bus_write(&vm->mmio, at + 16, 2, 0);
	bus_write(&vm->mmio, at + 18, 4, 0);
	assert_int_equal(mem(at + 16), 0x55667788);
	assert_int_equal(bus_read(&vm->mmio, at + 16, 1, NULL), 0xff);
	/* Behind the table, pending bits, and the end. */
	for (unsigned i = 8 * 16; i < 0x1000; i += 4) {
		mem_put(at + i, 0xffffffff);
		assert_int_equal(mem(at + i), 0);
	}
	vdev_reset(dev);
	assert_int_equal(mem(at + 16), 0);
	assert_int_equal(mem(at + 28), 1);
}

static void msix_sends(void **state)
{
	(void)state;
	msix_on();
	for (u32 v = 0; v < 8; v++) {
		raise(v);
		expect_msi(MSI_ADDR | v << 12, 0x40 + v);
	}
	raise(8); /* no such vectors */
	raise(64);
	raise(0xffffffff);
	assert_int_equal(vm->msi_count, 0);
	assert_int_equal(mem(bar(1, 0) + 0x800), 0);
	mem_put(bar(1, 0) + 4, 0x12345678);
	raise(0);
	expect_msi(0x12345678fee00000ull, 0x40);
	/* INTA# is silent meanwhile, and speaks again without messages. */
	assert_true(vm->level[IRQ_PCI_INT + 1]);
	ecam_put(1, capability(1, 0x11) + 2, 2, 0);
	assert_false(vm->level[IRQ_PCI_INT + 1]);
}

static void msix_masks(void **state)
{
	unsigned at = msix_on();
	u64 table = bar(1, 0), pba = table + 0x800;

	(void)state;
	mem_put(table + 3 * 16 + 12, 1);
	raise(3);
	raise(3);
	assert_int_equal(vm->msi_count, 0);
	assert_int_equal(mem(pba), BIT(3));
	assert_int_equal(bus_read(&vm->mmio, pba, 8, NULL), BIT(3));
	mem_put(table + 3 * 16 + 8, 0x99); /* what counts is the entry when it is sent */
	mem_put(table + 3 * 16 + 12, 0);
	expect_msi(MSI_ADDR | 3 << 12, 0x99);
	assert_int_equal(mem(pba), 0);
	/* The function's mask holds all; a vector's own stays in force under it. */
	ecam_put(1, at + 2, 2, 0xc000);
	mem_put(table + 5 * 16 + 12, 1);
	raise(5);
	raise(6);
	assert_int_equal(mem(pba), BIT(5) | BIT(6));
	assert_int_equal(vm->msi_count, 0);
	ecam_put(1, at + 2, 2, 0x8000);
	expect_msi(MSI_ADDR | 6 << 12, 0x46);
	assert_int_equal(mem(pba), BIT(5));
	/* Masked when the guest turns MSI-X off and on again. */
	ecam_put(1, at + 2, 2, 0);
	mem_put(table + 5 * 16 + 12, 0);
	assert_int_equal(vm->msi_count, 0);
	ecam_put(1, at + 2, 2, 0x8000);
	expect_msi(MSI_ADDR | 5 << 12, 0x45);
	/* A message is a memory write, for which the function must be bus master. */
	ecam_put(1, COMMAND, 2, IO | MEM);
	raise(1);
	assert_int_equal(vm->msi_count, 0);
	ecam_put(1, COMMAND, 2, IO | MEM | MASTER);
	expect_msi(MSI_ADDR | 1 << 12, 0x41);
}

static void msi_sends(void **state)
{
	unsigned at = capability(1, 0x05);

	(void)state;
	ecam_put(1, at + 4, 4, MSI_ADDR | 0x5000);
	ecam_put(1, at + 12, 2, 0x4123);
	raise(0);
	assert_int_equal(vm->msi_count, 0); /* not on: INTA# */
	assert_false(vm->level[IRQ_PCI_INT + 1]);
	ecam_put(1, at + 2, 2, 1);
	assert_int_equal(ecam16(1, at + 2), 0x181);
	assert_true(vm->level[IRQ_PCI_INT + 1]);
	raise(7); /* one message for all */
	assert_int_equal(vm->msi_count, 0); /* no master */
	assert_int_equal(ecam(1, at + 20), 1);
	ecam_put(1, COMMAND, 2, IO | MEM | MASTER);
	expect_msi(MSI_ADDR | 0x5000, 0x4123);
	assert_int_equal(ecam(1, at + 20), 0);
	ecam_put(1, at + 16, 4, 1);
	raise(0);
	raise(0);
	assert_int_equal(vm->msi_count, 0);
	assert_int_equal(ecam(1, at + 20), 1);
	ecam_put(1, at + 8, 4, 0xabcd);
	ecam_put(1, at + 16, 4, 0);
	expect_msi(0xabcd00000000ull | MSI_ADDR | 0x5000, 0x4123);
	/* With both on, MSI-X counts. */
	msix_on();
	raise(2);
	expect_msi(MSI_ADDR | 2 << 12, 0x42);
	assert_int_equal(ecam(1, at + 20), 0);
}

/* --- INTA# ---------------------------------------------------------------- */

static void intx_is_low_when_asserted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vm->level[IRQ_PCI_INT + i], i <= 1); /* slots 0 and 1 have spoken */
	raise(0);
	assert_false(vm->level[IRQ_PCI_INT + 1]);
	assert_int_equal(ecam16(1, STATUS), 0x10 | INTX);
	/* Disabled: the line idles, status says what it would be. */
	ecam_put(1, COMMAND, 2, IO | MEM | NO_INTX);
	assert_true(vm->level[IRQ_PCI_INT + 1]);
	assert_int_equal(ecam16(1, STATUS), 0x10 | INTX);
	ecam_put(1, STATUS, 2, INTX); /* not cleared by writing */
	ecam_put(1, COMMAND, 2, IO | MEM);
	assert_false(vm->level[IRQ_PCI_INT + 1]);
	mem_put(bar(1, 2) + 4, 0);
	assert_true(vm->level[IRQ_PCI_INT + 1]);
	assert_int_equal(ecam16(1, STATUS), 0x10);
	raise(0);
	vdev_reset(dev);
	assert_true(vm->level[IRQ_PCI_INT + 1]);
}

static void neighbours_share_lines(void **state)
{
	(void)state;
	for (unsigned slot = 2; slot <= 5; slot++)
		fake_vm_create_device(vm, "pci-testdev", (struct vdev_args){0});
	for (unsigned slot = 1; slot <= 5; slot++) {
		mem_put(bar(slot, 2), 0);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(vm->level[IRQ_PCI_INT + i], i != slot % 4);
		mem_put(bar(slot, 2) + 4, 0);
	}
	/* One's line is not the other's. */
	mem_put(bar(2, 2), 0);
	mem_put(bar(1, 2), 0);
	mem_put(bar(1, 2) + 4, 0);
	assert_true(vm->level[IRQ_PCI_INT + 1]);
	assert_false(vm->level[IRQ_PCI_INT + 2]);
	/* Slots 1 and 5: low while either asserts. */
	mem_put(bar(1, 2), 0);
	mem_put(bar(5, 2), 0);
	mem_put(bar(1, 2) + 4, 0);
	assert_false(vm->level[IRQ_PCI_INT + 1]);
	mem_put(bar(1, 2), 0);
	ecam_put(5, COMMAND, 2, MEM | NO_INTX);
	assert_false(vm->level[IRQ_PCI_INT + 1]);
	mem_put(bar(1, 2) + 4, 0);
	assert_true(vm->level[IRQ_PCI_INT + 1]);
}

/* --- save and storm ------------------------------------------------------- */

static void saves(void **state)
{
	struct vm *other = fake_vm_create();
	struct vdev *copy;
	u8 blob[VDEV_SAVE_MAX];
	size_t size;

	(void)state;
	address(1, 0x3c);
	fake_vm_check_save(vm, host);
	ecam_put(1, BAR(2), 4, 0xdeaf0000);
	msix_on();
	mem_put(bar(1, 0) + 12, 1);
	raise(0);
	ecam_put(1, capability(1, 0x11) + 2, 2, 0);
	assert_false(vm->level[IRQ_PCI_INT + 1]);
	size = vdev_save(dev, blob);
	assert_true(size <= VDEV_SAVE_MAX);
	/* In another machine: its line goes down, its vector is still to come. */
	fake_vm_create_device(other, "pci-host", (struct vdev_args){0});
	copy = fake_vm_create_device(other, "pci-testdev", (struct vdev_args){0});
	assert_true(other->level[IRQ_PCI_INT + 1]);
	assert_int_equal(vdev_restore(copy, blob, size), 0);
	assert_false(other->level[IRQ_PCI_INT + 1]);
	fake_vm_destroy(vm);
	vm = other;
	dev = copy;
	assert_int_equal(mem(0xdeaf0000), 1);
	assert_int_equal(mem(bar(1, 0) + 0x800), 1);
	ecam_put(1, capability(1, 0x11) + 2, 2, 0x8000);
	mem_put(bar(1, 0) + 12, 0);
	expect_msi(MSI_ADDR, 0x40);
}

static void refuses_what_no_save_has_made(void **state)
{
	static const struct {
		u16 offset;
		u8 bit;
	} rows[] = {
		{0x00, 0}, {0x05, 0}, {0x06, 7}, {0x08, 1}, {0x0e, 7}, {0x10, 0}, {0x18, 4}, {0x34, 2},
		{0x3d, 0}, {0x43, 0}, {0x80, 0},
		{256, 0},		/* a low bit of an address */
		{256 + 13, 0},		/* vector control */
		{256 + 8 * 16, 5},	/* a vector behind the last */
		{512 + 1, 0}, {512 + 7, 7}, /* pending ones */
	};
	u8 blob[VDEV_SAVE_MAX], bad[VDEV_SAVE_MAX];
	size_t size = vdev_save(dev, blob);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		memcpy(bad, blob, size);
		bad[rows[i].offset] ^= BIT(rows[i].bit);
		if (vdev_restore(dev, bad, size) != -EINVAL)
			fail_msg("row %u is accepted", i);
	}
	size = vdev_save(host, blob);
	blob[size - 4] ^= 1; /* the address port has 32 bits */
	assert_int_equal(vdev_restore(host, blob, size), -EINVAL);
	blob[size - 4] ^= 1;
	blob[size - 8] ^= 2;
	assert_int_equal(vdev_restore(host, blob, size), -EINVAL);
	blob[size - 8] ^= 2;
	blob[6] ^= INTX; /* a function without a pin */
	assert_int_equal(vdev_restore(host, blob, size), -EINVAL);
}

/* Accesses to wherever the guest may have put things, and all around. */
static void storms(void **state)
{
	u64 seed = 7;

	(void)state;
	fake_vm_create_device(vm, "pci-testdev", (struct vdev_args){0});
	fake_vm_storm(vm, 3, 200000);
	for (unsigned i = 0; i < 1000000; i++) {
		u64 r = fake_vm_random(&seed), value = fake_vm_random(&seed);
		unsigned slot = r >> 8 & 3, size = 1u << (r >> 16 & 3);
		u64 at = ECAM + slot * 0x8000 + (r >> 32 & (r & BIT(20) ? 0xff : 0xfffff));

		if (r & BIT(21))
			at = (r & BIT(22) ? bar(slot, r >> 23 & 4) : 0xbffffffc + (r >> 24 & 0x3fffffff)) +
			     (value >> 40 & 0x1fff);
		if (r & BIT(62))
			value &= 0xd00fffff;
		if (r & BIT(63))
			bus_write(&vm->mmio, at, size, value);
		else
			assert_int_equal(bus_read(&vm->mmio, at, size, NULL) & ~size_mask(size), 0);
		if (r % 65536 == 0)
			for (struct vdev *d = vm->devices; d; d = d->next)
				vdev_reset(d);
	}
	assert_int_equal(ecam(1, 0), IDS);
	fake_vm_storm(vm, 4, 100000);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_and_classes),
		TEST(both_ways_show_the_same),
		TEST(address_port_takes_dwords_only),
		TEST(absent_functions_read_all_ones),
		TEST(registers_keep_what_they_are),
		TEST(bars_tell_their_size),
		TEST(bars_are_placed),
		TEST(bars_go_where_they_are_put),
		TEST(registers_answer_to_dwords),
		TEST(command_gates_decoding),
		TEST(hostile_places_take_nothing),
		TEST(of_overlapping_bars_the_lower_wins),
		TEST(full_slots_and_windows),
		TEST(capabilities_are_listed),
		TEST(capabilities_as_room_allows),
		TEST(msix_table_takes_dwords),
		TEST(msix_sends),
		TEST(msix_masks),
		TEST(msi_sends),
		TEST(intx_is_low_when_asserted),
		TEST(neighbours_share_lines),
		TEST(saves),
		TEST(refuses_what_no_save_has_made),
		TEST(storms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
