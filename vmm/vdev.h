/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a virtual device is made of, and all that it may ask of its VM. A
 * device file under drivers/ holds state, reset, accesses, interrupt, save and
 * restore, and ends in one DEFINE_VDEV; vmm/machine.c creates instances by
 * type name. Calls into a device come one at a time for each VM (the VM's
 * device lock is held by the caller).
 */
#pragma once

#include "arch/lib/section.h"
#include "arch/lib/types.h"

struct vm;
struct vdev_type;

/* What the machine gives an instance; a type uses what it needs. */
struct vdev_args {
	u16 port;  /* first I/O port */
	u8 irq;	   /* interrupt line, 0 to 15 */
	u8 index;  /* number among devices of this type */
};

struct vdev {
	const struct vdev_type *type;
	struct vm *vm;
	struct vdev_args args;
	struct vdev *next; /* in the VM's list */
	void *state;	   /* type->state_size bytes, zeroed before create */
};

struct vdev_ports {
	u16 first; /* added to the instance's args.port */
	u16 count; /* 0 ends the list */
};

/*
 * Access to a range of ports or of guest physical addresses. The offset is
 * from the start of the range; size is 1, 2, 4 (for memory also 8) and the
 * access lies wholly within the range. read returns by value; the caller masks
 * it to the access's width. An access that straddles the end of a range is
 * split by the bus into bytes.
 */
struct bus_ops {
	u64 (*read)(struct vdev *dev, u64 offset, unsigned size);
	void (*write)(struct vdev *dev, u64 offset, unsigned size, u64 value);
	/*
	 * An 8-bit device at ports gives these two instead, which take the port's
	 * number; wider accesses come as bytes, lowest port first.
	 */
	u8 (*in)(struct vdev *dev, u16 port);
	void (*out)(struct vdev *dev, u16 port, u8 value);
	/*
	 * Only an access of exactly this range matches, never a part of a wider
	 * one; such a range may lie inside another (CF9h within CF8h-CFBh).
	 */
	bool exact;
};

/*
 * A device type. What is saved of an instance are the first save_size bytes of
 * its state, at most VDEV_SAVE_MAX: values that do not depend on host addresses
 * or host time, timers as their deadline in the VM's clock, and no padding.
 * Members that are not given do nothing.
 */
struct vdev_type {
	const char *name;
	size_t state_size, save_size;
	/* Claimed before create, all with the same ops. */
	struct vdev_ports ports[3];
	struct bus_ops port_ops;
	/* Claims what else it needs, sets power-on state; reset follows. An errno fails the VM. */
	int (*create)(struct vdev *dev);
	/* As the machine's RESET# line resets the chip. Not given: clears what is saved. */
	void (*reset)(struct vdev *dev);
	/* Whether a save can have made this: save_size bytes, aligned as the state. */
	bool (*valid)(const struct vdev *dev, const void *saved);
	/* Writes what a person may want to know of it, as lines. */
	void (*describe)(const struct vdev *dev, char *text, size_t size);
	/* After saved bytes came back into the state: drives lines, arms timers. */
	void (*restored)(struct vdev *dev);
};

#define VDEV_SAVE_MAX 1024

#define DEFINE_VDEV(ident, ...)                                                                   \
	static const struct vdev_type ident = {__VA_ARGS__};                                      \
	SECTION_REGISTER(vdev_types, ident)

/*
 * Claims `count` ports from `first`. Any number of claims by a device, only in
 * create. Returns 0, -EEXIST when another device has one of them, -ENOSPC when
 * the VM's table is full, -EINVAL for an empty or wrapping range.
 */
int bus_claim_ports(struct vdev *dev, u16 first, u32 count, const struct bus_ops *ops);
/* The same for guest physical addresses. */
int bus_claim_mmio(struct vdev *dev, gpa_t first, u64 size, const struct bus_ops *ops);

/* The `index`th device of a type by name, in the order of creation; NULL: there is none. */
struct vdev *vm_device(struct vm *vm, const char *type, unsigned index);

/* The VM's clock now, in ticks since its start; it never goes back. */
u64 vm_now(const struct vm *vm);
/* Ticks in a second of that clock, 1,000,000 or more. */
u64 vm_clock_hz(const struct vm *vm);

/*
 * A device timer: fn(arg) is called once, with the device lock held, at or
 * soon after `deadline` of the VM's clock. A periodic device arms again from
 * its last deadline, not from now, so that it does not drift.
 */
struct vtimer {
	u64 deadline; /* VM clock; meaningful while armed */
	bool armed;
	void (*fn)(void *arg);
	void *arg;
	struct vm *vm;
	u64 key;	      /* vtimer.c's own: deadline in host TSC */
	struct vtimer *next;  /* vtimer.c's own: the queue's list */
};

/* Prepares a zeroed timer; before any other call on it. */
void vtimer_init(struct vtimer *timer, struct vm *vm, void (*fn)(void *arg), void *arg);
/* Arms, or arms anew, for a deadline; one in the past fires at once. */
void vtimer_arm(struct vtimer *timer, u64 deadline);
void vtimer_cancel(struct vtimer *timer);
/* Arms for a deadline, or cancels for 0, as devices keep theirs in what they save. */
static inline void vtimer_set(struct vtimer *timer, u64 deadline)
{
	if (deadline)
		vtimer_arm(timer, deadline);
	else
		vtimer_cancel(timer);
}

/*
 * Drives an interrupt line to its electrical level: 0 to 15 of the PC's ISA bus,
 * high when asserted; 16 to 19 PCI's INTA# to INTD#, low when asserted, which
 * idle high. An edge-triggered controller sees the change from low to high.
 */
#define IRQ_LINES   24
#define IRQ_PCI_INT 16
void vm_irq_line(struct vm *vm, unsigned line, bool level);

/*
 * A message to local APICs, as I/O APIC, MSI and ICR make it: SDM volume 3,
 * "Local APIC ... Interrupt Message Destination", "Message Signalled Interrupts".
 */
enum apic_delivery { APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_RESERVED, APIC_NMI, APIC_INIT,
		     APIC_STARTUP, APIC_EXTINT };
#define APIC_BROADCAST 0xffffffffu /* a physical destination: everybody; an 8-bit FFh becomes it */
struct apic_msg {
	u32 dest;
	bool logical;
	u8 mode; /* enum apic_delivery */
	u8 vector;
	bool level; /* its end is told to the I/O APIC */
};
/* Delivers it; whether any APIC took it. Any pCPU, with or without the device lock. */
bool vm_deliver(struct vm *vm, const struct apic_msg *msg);
/* KVM_SIGNAL_MSI: a write of `data` to `address`. 0, or -EINVAL for one that is no interrupt
 * message. As vm_deliver. */
int vm_signal_msi(struct vm *vm, u64 address, u32 data);

/* Who hears, with the device lock held, that a level-triggered vector was ended; one a VM. */
struct eoi_sink {
	struct vdev *dev;
	void (*eoi)(struct vdev *dev, u8 vector);
};
void vm_set_eoi_sink(struct vm *vm, const struct eoi_sink *sink);
/* From now on NMIs may come from a line: a vCPU that halts with interrupts off may wake. */
void vm_expect_nmi(struct vm *vm);

/* Registers who receives vm_irq_line; called by interrupt controllers' create. */
struct irq_sink {
	struct irq_sink *next;
	struct vdev *dev;
	void (*set)(struct vdev *dev, unsigned line, bool level);
};
void vm_add_irq_sink(struct vm *vm, struct irq_sink *sink);

/*
 * The source of external interrupts for the INTR pin, LINT0 of all local APICs (the
 * 8259 pair). vm_extint_changed tells that the pin went up or down; ack is INTA: it
 * returns the vector and changes the chip's state, a spurious one where
 * nothing is pending any more.
 */
struct extint_source {
	struct vdev *dev;
	u8 (*ack)(struct vdev *dev);
};
void vm_set_extint_source(struct vm *vm, const struct extint_source *source);
void vm_extint_changed(struct vm *vm, bool pending);

/* The guest asked for a machine reset by `how`, e.g. "port CF9h". */
void vm_request_reset(struct vm *vm, const char *how);
/* The guest switched its machine off. */
void vm_request_poweroff(struct vm *vm);
/* What the machine's power button does; with the device lock held. One a VM. */
struct power_button {
	struct vdev *dev;
	void (*press)(struct vdev *dev);
};
void vm_set_power_button(struct vm *vm, const struct power_button *button);
/* The guest ended its VM by the debug-exit port. */
void vm_request_exit(struct vm *vm, u32 code);

/* The wall clock at the VM's clock 0: seconds since 1970-01-01, UTC. */
u64 vm_boot_epoch(const struct vm *vm);
/* Bytes of guest RAM below and from 4 GiB, for CMOS and the like. */
u64 vm_ram_below_4g(const struct vm *vm);
u64 vm_ram_above_4g(const struct vm *vm);

/* The A20 gate (port 92h, i8042): Trivet's guests always have A20 on. */
