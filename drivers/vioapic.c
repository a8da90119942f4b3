/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O APIC, version 11h with 24 pins, at FEC00000h. Source: the data sheet
 * "82093AA I/O Advanced Programmable Interrupt Controller".
 *
 * Pins 1 and 3 to 15 are the ISA lines of these numbers, pin 2 is ISA line 0 (the
 * 8254), pins 16 to 19 are PCI's INTA# to INTD#; nothing is wired to the others, and
 * ISA line 2 is the 8259's cascade.
 *
 * An edge while its pin is masked is lost. A level is sent while its pin is unmasked
 * and remote IRR is clear: once for each EOI. Where no local APIC took it, remote IRR
 * stays clear, and the next change of that line or entry, or EOI, tries again: whatever
 * the guest does, nothing here loops.
 *
 * Where the data sheet is silent: registers are for 32-bit accesses; narrower reads give
 * their part, narrower writes set IOREGSEL, which later chips have as a byte, and do
 * nothing to IOWIN. Writing an entry makes no edge. An entry that is not level-triggered
 * any more loses remote IRR, by which kernels release a pin whose EOI went missing.
 * Reserved delivery modes send nothing. Messages leave at once: delivery status reads 0.
 */
#include "arch/lib/string.h"
#include "vmm/guestmap.h"
#include "vmm/vdev.h"

#define WINDOW_SIZE 0x1000
enum { IOREGSEL = 0x00, IOWIN = 0x10 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRIES = 0x10 };

#define ID BITS(27, 24) /* in the arbitration id register too, which follows it */

#define PINS	     24
#define VERSION	     (0x11 | (PINS - 1) << 16)
#define PINS_WIRED   BITS(19, 1)
#define PINS_IDLE    BITS(19, 16) /* high while idle: PCI's */
#define TIMER_LINE   0
#define TIMER_PIN    2
#define CASCADE_LINE 2

/* An entry of the redirection table. */
#define ENTRY_VECTOR	 BITS(7, 0)
#define ENTRY_MODE	 BITS(10, 8) /* enum apic_delivery */
#define ENTRY_LOGICAL	 BIT(11)
#define ENTRY_LOW	 BIT(13)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL	 BIT(15)
#define ENTRY_MASKED	 BIT(16)
#define ENTRY_DEST	 BITS(63, 56)
#define ENTRY_WRITABLE                                                                            \
	(ENTRY_VECTOR | ENTRY_MODE | ENTRY_LOGICAL | ENTRY_LOW | ENTRY_LEVEL | ENTRY_MASKED |     \
	 ENTRY_DEST)
#define DEST_ALL 0xff

/* Bits by delivery mode. */
#define MODES_LEVEL    (BIT(APIC_FIXED) | BIT(APIC_LOWEST)) /* the others are edges always */
#define MODES_RESERVED (BIT(APIC_RESERVED) | BIT(APIC_STARTUP))
#define MODES_NMI      (BIT(APIC_SMI) | BIT(APIC_NMI) | BIT(APIC_INIT))

struct vioapic {
	u64 entry[PINS];
	u32 lines; /* electrical level of each pin */
	u16 select;
	u16 id;
	/* Not saved. */
	struct irq_sink irqs;
	struct eoi_sink eois;
};

static inline bool mode_is(u64 entry, u64 modes)
{
	return modes & BIT(FIELD_GET(ENTRY_MODE, entry));
}

static inline bool is_level(u64 entry)
{
	return (entry & ENTRY_LEVEL) && mode_is(entry, MODES_LEVEL);
}

static inline bool is_active(const struct vioapic *io, unsigned pin)
{
	return !(io->lines & BIT(pin)) == !!(io->entry[pin] & ENTRY_LOW);
}

/* Sends a pin's message; whether an APIC took it. */
static bool send(struct vdev *dev, u64 entry)
{
	struct apic_msg msg = {
		.dest = FIELD_GET(ENTRY_DEST, entry), .logical = entry & ENTRY_LOGICAL,
		.mode = FIELD_GET(ENTRY_MODE, entry), .vector = FIELD_GET(ENTRY_VECTOR, entry),
		.level = is_level(entry),
	};

	if ((entry & ENTRY_MASKED) || mode_is(entry, MODES_RESERVED))
		return false;
	if (!msg.logical && msg.dest == DEST_ALL)
		msg.dest = APIC_BROADCAST;
	return vm_deliver(dev->vm, &msg);
}

/* Sends a level that is not on its way yet. */
static void serve_level(struct vdev *dev, unsigned pin)
{
	struct vioapic *io = dev->state;
	u64 *entry = &io->entry[pin];

	if (is_level(*entry) && is_active(io, pin) && !(*entry & ENTRY_REMOTE_IRR) &&
	    send(dev, *entry))
		*entry |= ENTRY_REMOTE_IRR;
}

static void vioapic_set_irq(struct vdev *dev, unsigned line, bool level)
{
	struct vioapic *io = dev->state;
	unsigned pin = line == TIMER_LINE ? TIMER_PIN : line;
	bool was_active;

	if (line == CASCADE_LINE || pin >= PINS || !(PINS_WIRED & BIT(pin)))
		return;
	was_active = is_active(io, pin);
	io->lines = (u32)FIELD_SET(io->lines, BIT(pin), level);
	if (is_level(io->entry[pin]))
		serve_level(dev, pin);
	else if (!was_active && is_active(io, pin))
		send(dev, io->entry[pin]);
}

static void vioapic_eoi(struct vdev *dev, u8 vector)
{
	struct vioapic *io = dev->state;

	for (unsigned pin = 0; pin < PINS; pin++) {
		if (!is_level(io->entry[pin]) || FIELD_GET(ENTRY_VECTOR, io->entry[pin]) != vector)
			continue;
		io->entry[pin] &= ~ENTRY_REMOTE_IRR;
		serve_level(dev, pin);
	}
}

/* An entry that may send an NMI and the like is one that a halted CPU has to be awake for. */
static void expect_nmi(struct vdev *dev, u64 entry)
{
	if (!(entry & ENTRY_MASKED) && mode_is(entry, MODES_NMI))
		vm_expect_nmi(dev->vm);
}

/* Register 10h + 2n is the low half of entry n, the one behind it the high half. */
static const u64 halves[2] = {BITS(31, 0), BITS(63, 32)};

static void write_entry(struct vdev *dev, unsigned number, u32 value)
{
	struct vioapic *io = dev->state;
	unsigned pin = number / 2;
	u64 half = halves[number & 1], *entry = &io->entry[pin];
	u64 writable = half & ENTRY_WRITABLE;

	*entry = (*entry & ~writable) | (FIELD_PREP(half, value) & writable);
	if (!is_level(*entry))
		*entry &= ~ENTRY_REMOTE_IRR;
	expect_nmi(dev, *entry);
	serve_level(dev, pin);
}

static u32 read_register(const struct vioapic *io)
{
	unsigned number = io->select - REG_ENTRIES;

	switch (io->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (u32)FIELD_PREP(ID, io->id);
	case REG_VERSION:
		return VERSION;
	default:
		return number < 2 * PINS ?
			(u32)FIELD_GET(halves[number & 1], io->entry[number / 2]) : 0;
	}
}

static u64 vioapic_read(struct vdev *dev, u64 offset, unsigned size)
{
	const struct vioapic *io = dev->state;
	u32 value = 0;

	if (ALIGN_DOWN(offset, 4) == IOREGSEL)
		value = io->select;
	else if (ALIGN_DOWN(offset, 4) == IOWIN)
		value = read_register(io);
	return value >> (8 * (offset & 3));
}

static void vioapic_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	struct vioapic *io = dev->state;
	unsigned number = io->select - REG_ENTRIES;

	if (offset == IOREGSEL)
		io->select = (u8)value;
	else if (offset != IOWIN || size < 4)
		return;
	else if (io->select == REG_ID)
		io->id = FIELD_GET(ID, value);
	else if (number < 2 * PINS)
		write_entry(dev, number, (u32)value);
}

/* Everything masked; the lines are the devices' own. */
static void vioapic_reset(struct vdev *dev)
{
	struct vioapic *io = dev->state;

	for (unsigned pin = 0; pin < PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
	io->select = 0;
	io->id = 0;
}

static int vioapic_create(struct vdev *dev)
{
	static const struct bus_ops ops = {.read = vioapic_read, .write = vioapic_write};
	struct vioapic *io = dev->state;

	io->lines = PINS_IDLE;
	io->irqs = (struct irq_sink){.dev = dev, .set = vioapic_set_irq};
	io->eois = (struct eoi_sink){.dev = dev, .eoi = vioapic_eoi};
	vm_add_irq_sink(dev->vm, &io->irqs);
	vm_set_eoi_sink(dev->vm, &io->eois);
	return bus_claim_mmio(dev, GPA(GUEST_IOAPIC_BASE), WINDOW_SIZE, &ops);
}

static bool vioapic_valid(const struct vdev *dev, const void *saved)
{
	const struct vioapic *io = saved;

	for (unsigned pin = 0; pin < PINS; pin++) {
		u64 entry = io->entry[pin], may = ENTRY_WRITABLE;

		if (is_level(entry))
			may |= ENTRY_REMOTE_IRR;
		if (entry & ~may)
			return false;
	}
	return !(io->lines & ~PINS_WIRED) && io->select <= 0xff && io->id <= 0xf;
}

/*
 * Sends nothing: a message that nobody took before the save waits on as it did then,
 * and what the local APICs took is in their own state.
 */
static void vioapic_restored(struct vdev *dev)
{
	const struct vioapic *io = dev->state;

	for (unsigned pin = 0; pin < PINS; pin++)
		expect_nmi(dev, io->entry[pin]);
}

static void vioapic_describe(const struct vdev *dev, char *text, size_t size)
{
	static const char *const modes[] = {
		[APIC_FIXED] = "fixed", [APIC_LOWEST] = "lowest", [APIC_SMI] = "SMI",
		[APIC_RESERVED] = "none", [APIC_NMI] = "NMI", [APIC_INIT] = "INIT",
		[APIC_STARTUP] = "none", [APIC_EXTINT] = "ExtINT",
	};
	const struct vioapic *io = dev->state;
	size_t len = 0;

	for (unsigned pin = 0; pin < PINS; pin++) {
		u64 entry = io->entry[pin];

		if (entry & ENTRY_MASKED)
			continue;
		len += str_format(text + len, size - len, "  pin %u %s %02x to %s%02x %s%s%s\n",
				  pin, modes[FIELD_GET(ENTRY_MODE, entry)],
				  (unsigned)FIELD_GET(ENTRY_VECTOR, entry),
				  entry & ENTRY_LOGICAL ? "logical " : "",
				  (unsigned)FIELD_GET(ENTRY_DEST, entry),
				  is_level(entry) ? "level" : "edge",
				  is_active(io, pin) ? " active" : "",
				  entry & ENTRY_REMOTE_IRR ? " sent" : "");
		len = MIN(len, size);
	}
}

DEFINE_VDEV(vioapic, .name = "ioapic", .state_size = sizeof(struct vioapic),
	    .save_size = offsetof(struct vioapic, irqs), .create = vioapic_create,
	    .reset = vioapic_reset, .valid = vioapic_valid, .describe = vioapic_describe,
	    .restored = vioapic_restored);
