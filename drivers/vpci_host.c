/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI host bridge, function 00:00.0 of bus 0: it finds the virtual function
 * that an access to config space is for, by ports CF8h and CFCh or by ECAM, and
 * the one whose BAR holds an address of the windows, which all belong to the
 * bridge; so a BAR outside of them, over RAM or anything else, takes nothing. What
 * nobody answers reads all ones. Source: PCI Local Bus Specification 3.0,
 * "Configuration Mechanism" (#1), "Address Decoding".
 */
#include "arch/lib/errno.h"
#include "drivers/vpci.h"
#include "vmm/guestmap.h"

#define PORT_ADDRESS 0xcf8
#define SLOTS	     32

/* The address port; ECAM has the same fields, but more registers: four bits higher. */
#define ADDRESS_ENABLE	 BIT(31)
#define ADDRESS_REGISTER BITS(7, 2)
#define ADDRESS_FUNCTION BITS(23, 8)
#define ADDRESS_BITS	 (ADDRESS_ENABLE | ADDRESS_FUNCTION | ADDRESS_REGISTER)
enum { ADDRESS_SIZE = 4, DATA_SIZE = 4 };
#define ECAM_REGISTER BITS(11, 0)
#define ECAM_FUNCTION BITS(14, 12)
#define ECAM_SLOT     BITS(19, 15)
#define ECAM_BUS      BITS(27, 20)

#define LOW_BASE GUEST_PCI32_BASE /* both 32-bit windows with ECAM between them */
#define LOW_SIZE (GUEST_PCI32B_BASE + GUEST_PCI32B_SIZE - LOW_BASE)

/* The saved part has no padding; its end is that of `address`. */
struct vpci_host {
	struct vpci_state pci;
	u64 address;
	struct vpci_function function, *functions[SLOTS];
	unsigned count;
	u64 next_memory, next_port; /* where the next BAR goes */
};

static const char host_name[] = "pci-host";
static const struct vpci_type host_type = {
	.vendor = 0x1b36, .device = 0x0008, .class_revision = 0x06000000,
};

/* --- functions ---------------------------------------------------------- */

int vpci_host_add(struct vpci_function *f)
{
	struct vdev *dev = vm_device(f->dev->vm, host_name, 0);
	struct vpci_host *host;

	if (!dev)
		return -ENODEV;
	host = dev->state;
	if (host->count == SLOTS)
		return -ENOSPC;
	f->host = host;
	f->slot = (u8)host->count;
	host->functions[host->count++] = f;
	return 0;
}

u64 vpci_host_place(struct vpci_function *f, bool io, u64 size)
{
	struct vpci_host *host = f->host;
	u64 *next = io ? &host->next_port : &host->next_memory, place = ALIGN_UP(*next, size);
	u64 end = io ? GUEST_PCI_PORT + GUEST_PCI_PORTS : GUEST_PCI32_BASE + GUEST_PCI32_SIZE;

	if (place > end || size > end - place)
		return 0;
	*next = place + size;
	return place;
}

/* INTA# of every fourth slot goes to the same line. */
void vpci_host_drive(const struct vpci_function *f)
{
	const struct vpci_host *host = f->host;
	unsigned line = guest_pci_line(f->slot, 0);
	bool asserted = false;

	for (unsigned slot = 0; slot < host->count; slot++)
		asserted |= guest_pci_line(slot, 0) == line &&
			    vpci_asserts_intx(host->functions[slot]);
	vm_irq_line(f->dev->vm, line, !asserted);
}

/* --- accesses: what a read gives; for a write, 0 -------------------------- */

/* `where` as in ECAM. */
static u64 config(struct vpci_host *host, u64 where, unsigned size, const u64 *write)
{
	unsigned slot = FIELD_GET(ECAM_SLOT, where);

	if (slot >= host->count || (where & (ECAM_BUS | ECAM_FUNCTION)))
		return ~0ull;
	return vpci_config(host->functions[slot], where & ECAM_REGISTER, size, write);
}

static u64 window(struct vpci_host *host, bool io, u64 addr, unsigned size, const u64 *write)
{
	u64 value = 0;

	for (unsigned slot = 0; slot < host->count; slot++)
		if (vpci_access(host->functions[slot], io, addr, size, write, &value))
			return value;
	return ~0ull;
}

/* Only a dword reaches the address; a byte at CF9h is the reset register's. */
static u64 config_ports(struct vpci_host *host, u64 offset, unsigned size, const u64 *write)
{
	if (offset >= ADDRESS_SIZE && (host->address & ADDRESS_ENABLE))
		return config(host, (host->address & ADDRESS_FUNCTION) << 4 |
			      (host->address & ADDRESS_REGISTER) | (offset - ADDRESS_SIZE),
			      size, write);
	if (offset > 0 || size != ADDRESS_SIZE)
		return ~0ull;
	if (write)
		host->address = *write & ADDRESS_BITS;
	return host->address;
}

static u64 port_window(struct vpci_host *host, u64 offset, unsigned size, const u64 *write)
{
	return window(host, true, GUEST_PCI_PORT + offset, size, write);
}

static u64 low_window(struct vpci_host *host, u64 offset, unsigned size, const u64 *write)
{
	u64 ecam = LOW_BASE + offset - GUEST_ECAM_BASE;

	return ecam < GUEST_ECAM_SIZE ? config(host, ecam, size, write) :
					window(host, false, LOW_BASE + offset, size, write);
}

static u64 high_window(struct vpci_host *host, u64 offset, unsigned size, const u64 *write)
{
	u64 base = guest_pci64_base(vm_ram_above_4g(host->function.dev->vm));

	return window(host, false, base + offset, size, write);
}

#define OPS(access)                                                                               \
	static u64 access##_read(struct vdev *dev, u64 offset, unsigned size)                     \
	{                                                                                         \
		return access(dev->state, offset, size, NULL);                                    \
	}                                                                                         \
	static void access##_write(struct vdev *dev, u64 offset, unsigned size, u64 value)        \
	{                                                                                         \
		access(dev->state, offset, size, &value);                                         \
	}                                                                                         \
	static const struct bus_ops access##_ops = {.read = access##_read, .write = access##_write}
OPS(config_ports);
OPS(port_window);
OPS(low_window);
OPS(high_window);

/* --- life --------------------------------------------------------------- */

static int host_create(struct vdev *dev)
{
	struct vpci_host *host = dev->state;
	gpa_t high = GPA(guest_pci64_base(vm_ram_above_4g(dev->vm)));

	host->next_memory = GUEST_PCI32_BASE;
	host->next_port = GUEST_PCI_PORT;
	return bus_claim_ports(dev, PORT_ADDRESS, ADDRESS_SIZE + DATA_SIZE, &config_ports_ops) ?:
	       bus_claim_ports(dev, GUEST_PCI_PORT, GUEST_PCI_PORTS, &port_window_ops) ?:
	       bus_claim_mmio(dev, GPA(LOW_BASE), LOW_SIZE, &low_window_ops) ?:
	       bus_claim_mmio(dev, high, GUEST_PCI64_MAX, &high_window_ops) ?:
	       vpci_create(&host->function, dev, &host_type);
}

static void host_reset(struct vdev *dev)
{
	struct vpci_host *host = dev->state;

	host->address = 0;
	vpci_reset(&host->function);
}

static bool host_valid(const struct vdev *dev, const void *saved)
{
	const struct vpci_host *host = dev->state;
	const struct vpci_host *s = saved;

	return !(s->address & ~ADDRESS_BITS) && vpci_valid(&host->function, &s->pci);
}

DEFINE_VDEV(vpci_host, .name = host_name, .state_size = sizeof(struct vpci_host),
	    .save_size = offsetof(struct vpci_host, function), .create = host_create,
	    .reset = host_reset, .valid = host_valid);
