/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM for the host tests of virtual devices: everything that vmm/vdev.h and
 * vmm/console.h offer to a device, with the effects recorded for the test to
 * look at. Ports and MMIO go through the real vmm/bus.c. The clock stands
 * still until the test moves it.
 *
 * Link: tests/unit/fake_vm.c vmm/bus.c vmm/vdev_life.c and the devices under test.
 */
#ifndef TESTS_UNIT_FAKE_VM_H
#define TESTS_UNIT_FAKE_VM_H

#include "vmm/bus.h"
#include "vmm/console.h"
#include "vmm/vdev.h"
#include "vmm/vdev_life.h"

#define FAKE_LINES    IRQ_LINES
#define FAKE_MSGS     64
#define FAKE_CONSOLES 4
#define FAKE_RING     4096

/* One serial stream; a test reads and sets the fields at will. */
struct fake_console {
	struct vdev *dev;
	const struct console_port_ops *ops;
	u8 tx[FAKE_RING]; /* the first FAKE_RING bytes that the guest sent */
	size_t tx_count;  /* all that it sent; set to 0 to start anew */
	size_t room;	  /* how many console_put may still succeed; SIZE_MAX at the start */
	u8 rx[FAKE_RING]; /* waiting input */
	size_t rx_head, rx_count;
};

struct vm {
	struct bus ports, mmio;
	struct vdev *devices; /* newest first */

	u64 now, hz; /* hz is 1,000,000,000 at the start */
	struct vtimer *timers;
	u64 timers_fired;

	bool level[FAKE_LINES];	     /* each line's level */
	unsigned edges[FAKE_LINES];  /* changes from low to high */
	struct irq_sink *sinks;
	const struct extint_source *extint;
	bool extint_pending;
	unsigned extint_changes; /* calls of vm_extint_changed */

	struct apic_msg msg[FAKE_MSGS]; /* the first that vm_deliver had; set count to 0 to start anew */
	unsigned msg_count;
	bool msgs_lost; /* vm_deliver then says that nobody took it */
	struct { u64 address; u32 data; } msi[FAKE_MSGS]; /* and vm_signal_msi */
	unsigned msi_count;
	struct eoi_sink eoi_sink;
	struct power_button power_button;
	bool nmi_expected;
	unsigned poweroffs; /* calls of vm_request_poweroff */

	unsigned resets;	/* calls of vm_request_reset */
	const char *reset_how;	/* of the last one */
	unsigned exits;		/* calls of vm_request_exit */
	u32 exit_code;		/* of the last one */

	struct fake_console console[FAKE_CONSOLES];
	u8 debug[FAKE_RING];
	size_t debug_count;

	u64 boot_epoch, ram_below_4g, ram_above_4g;
};

/* Life: an empty VM at clock 0; destroy frees it and its devices. */
struct vm *fake_vm_create(void);
void fake_vm_destroy(struct vm *vm);

/* Creates a device by its type name; the test fails if that fails. */
struct vdev *fake_vm_create_device(struct vm *vm, const char *name, struct vdev_args args);
/* The same, but returns create's errno, or -ENOENT for an unknown name; *out is NULL then. */
int fake_vm_try_device(struct vm *vm, const char *name, struct vdev_args args, struct vdev **out);

/* Port and MMIO access as the guest's instructions do it. */
void fake_vm_outb(struct vm *vm, u16 port, u8 value);
void fake_vm_outw(struct vm *vm, u16 port, u16 value);
void fake_vm_outl(struct vm *vm, u16 port, u32 value);
u8 fake_vm_inb(struct vm *vm, u16 port);
u16 fake_vm_inw(struct vm *vm, u16 port);
u32 fake_vm_inl(struct vm *vm, u16 port);

/* Moves the clock on, firing timers in order, each at its own deadline. */
void fake_vm_advance(struct vm *vm, u64 ticks);

/* INTA towards the registered external interrupt source. */
u8 fake_vm_inta(struct vm *vm);

/* Input arrives: queues the bytes and tells the port. */
void fake_vm_type(struct vm *vm, unsigned index, const void *bytes, size_t count);
/* Output may flow: sets the room and tells the port. */
void fake_vm_set_room(struct vm *vm, unsigned index, size_t room);
/* The test fails unless the guest has sent exactly this; then forgets it. */
void fake_vm_expect_output(struct vm *vm, unsigned index, const char *text);

/*
 * Saves the device, restores into a fresh instance in another VM at the same
 * clock, saves that and compares; then checks that restore refuses a shorter
 * and a longer blob and leaves the device as it was. The test fails otherwise.
 */
void fake_vm_check_save(struct vm *vm, struct vdev *dev);

/*
 * `count` deterministic pseudo-random accesses to all ports that are claimed,
 * and three around each, of all widths, mixed with steps of the clock, input,
 * changes of output room, resets, and restores of saved states with flipped
 * bits: what restore accepts must save as the same bytes.
 */
void fake_vm_storm(struct vm *vm, u64 seed, unsigned count);

/* The storm's generator (xorshift64*), for tests that need their own numbers. */
u64 fake_vm_random(u64 *state);

#endif
