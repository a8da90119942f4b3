/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual function on the PCI: config space of header type 0, BARs, INTA#, MSI and
 * MSI-X. A device embeds a struct vpci_function, and its state begins with a struct
 * vpci_state, which is saved; it has the rest of its saved state behind that. All
 * calls with the VM's device lock held. Source: PCI Local Bus Specification 3.0,
 * "Configuration Space" and "Message Signaled Interrupts"; PCI Express Base Specification,
 * "PCI Express Enhanced Configuration Access Mechanism".
 *
 * There is one bus, 0, with single-function devices. A reset leaves them as a PC's
 * firmware does: BARs placed in the windows below 4 GiB, where every guest can reach them,
 * I/O and memory decoded; so a guest without a PCI allocator of its own finds them at
 * work, and one with it moves them as it likes.
 */
#pragma once

#include "vmm/vdev.h"

#define VPCI_CONFIG_SIZE 256u
#define VPCI_BARS	 6
#define VPCI_VECTORS	 16 /* at most */
#define VPCI_MSIX_SIZE	 0x1000 /* of a BAR that holds MSI-X table and pending bits, and no more */

/* As in the low bits of a BAR. */
enum { VPCI_IO = 1, VPCI_64BIT = 4 /* takes the next BAR's place too */, VPCI_PREFETCH = 8 };

/* What a kind of function is; read and write are for its BARs but that of MSI-X. */
struct vpci_type {
	u16 vendor, device, subsystem_vendor, subsystem;
	u32 class_revision; /* class code in bits 31:8 */
	struct {
		u64 size; /* a power of two, 16 or more; 0: none */
		u8 flags;
	} bars[VPCI_BARS];
	bool intx, msi;
	u8 msix_bar, vectors; /* 0 vectors: no MSI-X */
	/* As in struct bus_ops; an access lies wholly within its BAR. */
	u64 (*read)(struct vdev *dev, unsigned bar, u64 offset, unsigned size);
	void (*write)(struct vdev *dev, unsigned bar, u64 offset, unsigned size, u64 value);
};

struct vpci_state {
	u8 config[VPCI_CONFIG_SIZE];
	u32 table[VPCI_VECTORS][4]; /* MSI-X: address, its high half, data, control */
	u64 pending;		    /* MSI-X vectors */
};

struct vpci_host;

struct vpci_function {
	struct vdev *dev;
	const struct vpci_type *type;
	struct vpci_state *state;
	struct vpci_host *host;
	u8 slot;
	u8 msi, msix;	    /* where the capabilities are; 0: not there */
	u8 last, free;	    /* the last capability, and where the next one goes */
	struct {
		u64 base, size; /* size 0: not decoded */
	} decoded[VPCI_BARS];
	u8 initial[VPCI_CONFIG_SIZE], mask[VPCI_CONFIG_SIZE]; /* mask: bits that can be written */
};

/*
 * From the device's create: builds the config space and puts the function into the
 * next slot of the VM's PCI. 0, -ENODEV in a machine without PCI, -ENOSPC where all
 * slots or a window are full. The device's reset follows, which calls vpci_reset.
 */
int vpci_create(struct vpci_function *f, struct vdev *dev, const struct vpci_type *type);
/*
 * Adds a read-only capability of `size` bytes, id and link among them; in create. `body`
 * is what stands behind those two; NULL: zeroes. Its offset, or 0 where there is no room.
 */
u8 vpci_add_capability(struct vpci_function *f, u8 id, const void *body, unsigned size);
/* Parts of the device's reset, valid and restored. */
void vpci_reset(struct vpci_function *f);
bool vpci_valid(const struct vpci_function *f, const struct vpci_state *saved);
void vpci_restored(struct vpci_function *f);

/* Asserts INTA# or lets it go; nobody sees it while the guest uses messages. */
void vpci_set_intx(struct vpci_function *f, bool asserted);
/* Sends message `vector` of MSI-X, or the one of MSI, whichever the guest uses, at once or
 * when it unmasks it. */
void vpci_signal(struct vpci_function *f, unsigned vector);

/* For the host bridge. Reads, or writes where `write` is not NULL; a read's value, else 0. */
u64 vpci_config(struct vpci_function *f, unsigned offset, unsigned size, const u64 *write);
/* An access to a port or an address, likewise; false where no BAR of the function holds it. */
bool vpci_access(struct vpci_function *f, bool io, u64 addr, unsigned size, const u64 *write,
		 u64 *value);
bool vpci_asserts_intx(const struct vpci_function *f);

/* The host bridge's part: gives a function its slot and its BARs a place, 0 for none; and
 * drives the interrupt line that its slot shares with others. */
int vpci_host_add(struct vpci_function *f);
u64 vpci_host_place(struct vpci_function *f, bool io, u64 size);
void vpci_host_drive(const struct vpci_function *f);
