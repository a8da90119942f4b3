/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual function on the PCI; see drivers/vpci.h. An access to config space is
 * a loop over bytes with a mask of writable bits; what follows from it, messages
 * that were held back and the level of INTA#, is looked at after each write. So
 * nothing that a guest writes there needs a case of its own.
 */
#include "drivers/vpci.h"

#include "arch/lib/string.h"

enum { REG_VENDOR = 0x00, REG_DEVICE = 0x02, REG_COMMAND = 0x04, REG_STATUS = 0x06,
       REG_CLASS = 0x08, REG_CACHE_LINE = 0x0c, REG_BAR0 = 0x10, REG_SUBSYSTEM_VENDOR = 0x2c,
       REG_SUBSYSTEM = 0x2e, REG_CAPABILITIES = 0x34, REG_INT_LINE = 0x3c, REG_INT_PIN = 0x3d,
       HEADER_END = 0x40 };
enum { COMMAND_IO = BIT(0), COMMAND_MEMORY = BIT(1), COMMAND_MASTER = BIT(2),
       COMMAND_NO_INTX = BIT(10) };
enum { STATUS_INTX = BIT(3), STATUS_CAPABILITIES = BIT(4) };
enum { INT_LINE_NONE = 0xff /* no 8259 input */, INT_PIN_A = 1 };

enum { CAP_ID, CAP_NEXT, CAP_CONTROL };
enum { MSI_ID = 0x05, MSI_ADDRESS = 4, MSI_DATA = 12, MSI_MASK = 16, MSI_PENDING = 20,
       MSI_LENGTH = 24 };
enum { MSI_ENABLE = BIT(0), MSI_64BIT = BIT(7), MSI_MASKING = BIT(8) };
enum { MSIX_ID = 0x11, MSIX_TABLE = 4, MSIX_PBA = 8, MSIX_LENGTH = 12 };
enum { MSIX_MASK_ALL = BIT(14), MSIX_ENABLE = BIT(15) };

/* A vector's entry of the table, in dwords, and where the pending bits are behind it. */
enum { ENTRY_ADDRESS, ENTRY_HIGH, ENTRY_DATA, ENTRY_CONTROL, ENTRY_DWORDS };
enum { ENTRY_MASKED = BIT(0) };
#define PBA_OFFSET 0x800

static const u32 entry_mask[ENTRY_DWORDS] = {~3u, ~0u, ~0u, ENTRY_MASKED};

static u64 get(const u8 *config, unsigned offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, config + offset, size);
	return value;
}

/* A register's power-on value, and the bits of it that the guest can write. */
static void set_up(struct vpci_function *f, unsigned offset, unsigned size, u64 value, u64 mask)
{
	memcpy(f->initial + offset, &value, size);
	memcpy(f->mask + offset, &mask, size);
}

/* --- interrupts --------------------------------------------------------- */

static u16 command(const struct vpci_function *f)
{
	return get(f->state->config, REG_COMMAND, 2);
}

static bool uses_msi(const struct vpci_function *f)
{
	return f->msi && (f->state->config[f->msi + CAP_CONTROL] & MSI_ENABLE);
}

static u16 msix_control(const struct vpci_function *f)
{
	return f->msix ? get(f->state->config, f->msix + CAP_CONTROL, 2) : 0;
}

bool vpci_asserts_intx(const struct vpci_function *f)
{
	return (f->state->config[REG_STATUS] & STATUS_INTX) && !(command(f) & COMMAND_NO_INTX) &&
	       !uses_msi(f) && !(msix_control(f) & MSIX_ENABLE);
}

static void flush_msix(struct vpci_function *f)
{
	struct vpci_state *s = f->state;

	for (unsigned v = 0; v < f->type->vectors; v++) {
		const u32 *entry = s->table[v];

		if (!(s->pending & BIT(v)) || (entry[ENTRY_CONTROL] & ENTRY_MASKED))
			continue;
		s->pending &= ~BIT(v);
		vm_signal_msi(f->dev->vm, (u64)entry[ENTRY_HIGH] << 32 | entry[ENTRY_ADDRESS],
			      entry[ENTRY_DATA]);
	}
}

static void flush_msi(struct vpci_function *f)
{
	u8 *msi = f->state->config + f->msi;

	if (!(msi[MSI_PENDING] & ~msi[MSI_MASK]))
		return;
	msi[MSI_PENDING] = 0;
	vm_signal_msi(f->dev->vm, get(msi, MSI_ADDRESS, 8), get(msi, MSI_DATA, 2));
}

/* Sends the pending messages that nothing holds back: they are memory writes, which a
 * function may make as a bus master only. */
static void flush(struct vpci_function *f)
{
	u16 msix = msix_control(f);

	if (!(command(f) & COMMAND_MASTER))
		return;
	if ((msix & (MSIX_ENABLE | MSIX_MASK_ALL)) == MSIX_ENABLE)
		flush_msix(f);
	else if (!(msix & MSIX_ENABLE) && uses_msi(f))
		flush_msi(f);
}

void vpci_signal(struct vpci_function *f, unsigned vector)
{
	if (msix_control(f) & MSIX_ENABLE)
		f->state->pending |= vector < f->type->vectors ? BIT(vector) : 0;
	else if (uses_msi(f))
		f->state->config[f->msi + MSI_PENDING] = 1;
	flush(f);
}

void vpci_set_intx(struct vpci_function *f, bool asserted)
{
	u8 *status = &f->state->config[REG_STATUS];

	*status = FIELD_SET(*status, STATUS_INTX, asserted);
	vpci_host_drive(f);
}

/* --- accesses ----------------------------------------------------------- */

/* Has BARs and line follow what config space says now. */
void vpci_restored(struct vpci_function *f)
{
	for (unsigned bar = 0; bar < VPCI_BARS; bar++) {
		u8 flags = f->type->bars[bar].flags;
		bool on = command(f) & (flags & VPCI_IO ? COMMAND_IO : COMMAND_MEMORY);

		f->decoded[bar].base = get(f->state->config, REG_BAR0 + 4 * bar,
					   flags & VPCI_64BIT ? 8 : 4) & ~15ull;
		f->decoded[bar].size = on ? f->type->bars[bar].size : 0;
	}
	vpci_host_drive(f);
}

u64 vpci_config(struct vpci_function *f, unsigned offset, unsigned size, const u64 *write)
{
	u8 *config = f->state->config;

	if (offset > VPCI_CONFIG_SIZE - size)
		return ~0ull; /* PCI Express has registers there */
	if (!write)
		return get(config, offset, size);
	for (unsigned i = 0; i < size; i++) {
		u8 mask = f->mask[offset + i], byte = (u8)(*write >> 8 * i);

		config[offset + i] = (config[offset + i] & ~mask) | (byte & mask);
	}
	flush(f);
	vpci_restored(f);
	return 0;
}

/* Aligned dwords, singly or in pairs, are the only accesses that are defined. */
static u64 msix_access(struct vpci_function *f, u64 offset, unsigned size, const u64 *write)
{
	struct vpci_state *s = f->state;
	u64 value = 0;

	if (offset % 4 || size % 4)
		return ~0ull;
	for (unsigned i = 0; i < size; i += 4) {
		u64 at = (offset + i) / 4, entry = at / ENTRY_DWORDS, field = at % ENTRY_DWORDS;

		if (entry < f->type->vectors && write)
			s->table[entry][field] = (u32)(*write >> 8 * i) & entry_mask[field];
		else if (entry < f->type->vectors)
			value |= (u64)s->table[entry][field] << 8 * i;
		else if (offset + i == PBA_OFFSET)
			value |= s->pending << 8 * i;
	}
	if (write)
		flush(f);
	return value;
}

bool vpci_access(struct vpci_function *f, bool io, u64 addr, unsigned size, const u64 *write,
		 u64 *value)
{
	const struct vpci_type *type = f->type;

	for (unsigned bar = 0; bar < VPCI_BARS; bar++) {
		/* No sum that could wrap: a BAR may lie at the very top. */
		u64 length = f->decoded[bar].size, offset = addr - f->decoded[bar].base;

		if (length < size || offset > length - size ||
		    io != (bool)(type->bars[bar].flags & VPCI_IO))
			continue;
		if (type->vectors && bar == type->msix_bar)
			*value = msix_access(f, offset, size, write);
		else if (write)
			type->write(f->dev, bar, offset, size, *write);
		else
			*value = type->read(f->dev, bar, offset, size);
		return true;
	}
	return false;
}

/* --- life --------------------------------------------------------------- */

u8 vpci_add_capability(struct vpci_function *f, u8 id, const void *body, unsigned size)
{
	u8 at = f->free, *link = &f->initial[f->last ? f->last + CAP_NEXT : REG_CAPABILITIES];

	if (size > VPCI_CONFIG_SIZE - at || at == 0)
		return 0;
	*link = at;
	f->initial[REG_STATUS] |= STATUS_CAPABILITIES;
	f->initial[at + CAP_ID] = id;
	if (body)
		memcpy(&f->initial[at + CAP_CONTROL], body, size - CAP_CONTROL);
	f->last = at;
	f->free = (u8)ALIGN_UP(at + size, 4); /* 0: the space is full */
	return at;
}

static int add_bars(struct vpci_function *f)
{
	const struct vpci_type *type = f->type;

	for (unsigned bar = 0; bar < VPCI_BARS; bar++) {
		u64 size = type->bars[bar].size;
		u8 flags = type->bars[bar].flags;
		u64 place = size ? vpci_host_place(f, flags & VPCI_IO, size) : 0;

		if (size && !place)
			return -ENOSPC;
		if (size)
			set_up(f, REG_BAR0 + 4 * bar, flags & VPCI_64BIT ? 8 : 4, place | flags,
			       ~(size - 1));
	}
	return 0;
}

static void add_messages(struct vpci_function *f)
{
	const struct vpci_type *type = f->type;

	if (type->msi) {
		f->msi = vpci_add_capability(f, MSI_ID, NULL, MSI_LENGTH);
		set_up(f, f->msi + CAP_CONTROL, 2, MSI_64BIT | MSI_MASKING, MSI_ENABLE);
		set_up(f, f->msi + MSI_ADDRESS, 8, 0, ~3ull);
		set_up(f, f->msi + MSI_DATA, 2, 0, 0xffff);
		set_up(f, f->msi + MSI_MASK, 4, 0, 1);
	}
	if (type->vectors) {
		f->msix = vpci_add_capability(f, MSIX_ID, NULL, MSIX_LENGTH);
		set_up(f, f->msix + CAP_CONTROL, 2, type->vectors - 1, MSIX_ENABLE | MSIX_MASK_ALL);
		set_up(f, f->msix + MSIX_TABLE, 4, type->msix_bar, 0);
		set_up(f, f->msix + MSIX_PBA, 4, PBA_OFFSET | type->msix_bar, 0);
	}
}

int vpci_create(struct vpci_function *f, struct vdev *dev, const struct vpci_type *type)
{
	int error;

	f->dev = dev;
	f->type = type;
	f->state = dev->state;
	f->free = HEADER_END;
	error = vpci_host_add(f) ?: add_bars(f);
	if (error)
		return error;
	set_up(f, REG_VENDOR, 2, type->vendor, 0);
	set_up(f, REG_DEVICE, 2, type->device, 0);
	set_up(f, REG_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY,
	       COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
	set_up(f, REG_CLASS, 4, type->class_revision, 0);
	set_up(f, REG_CACHE_LINE, 1, 0, 0xff);
	set_up(f, REG_SUBSYSTEM_VENDOR, 2, type->subsystem_vendor, 0);
	set_up(f, REG_SUBSYSTEM, 2, type->subsystem, 0);
	set_up(f, REG_INT_LINE, 1, INT_LINE_NONE, 0xff);
	set_up(f, REG_INT_PIN, 1, type->intx ? INT_PIN_A : 0, 0);
	add_messages(f);
	return 0;
}

void vpci_reset(struct vpci_function *f)
{
	struct vpci_state *s = f->state;

	memset(s, 0, sizeof(*s));
	memcpy(s->config, f->initial, sizeof(s->config));
	for (unsigned v = 0; v < f->type->vectors; v++)
		s->table[v][ENTRY_CONTROL] = ENTRY_MASKED;
	vpci_restored(f);
}

/* Bits that change without a write by the guest. */
static u8 own_bits(const struct vpci_function *f, unsigned offset)
{
	if (offset == REG_STATUS)
		return f->type->intx ? STATUS_INTX : 0;
	return f->msi && offset == f->msi + (unsigned)MSI_PENDING ? 1 : 0;
}

bool vpci_valid(const struct vpci_function *f, const struct vpci_state *saved)
{
	for (unsigned i = 0; i < VPCI_CONFIG_SIZE; i++)
		if ((saved->config[i] ^ f->initial[i]) & ~(f->mask[i] | own_bits(f, i)))
			return false;
	for (unsigned v = 0; v < VPCI_VECTORS; v++)
		for (unsigned field = 0; field < ENTRY_DWORDS; field++)
			if (saved->table[v][field] & ~(v < f->type->vectors ? entry_mask[field] : 0))
				return false;
	return !(saved->pending >> f->type->vectors);
}
