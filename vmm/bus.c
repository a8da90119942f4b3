/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dispatch of port and MMIO accesses by binary search in a sorted table. The
 * table is filled while the VM is created and constant from then on.
 */
#include "vmm/bus.h"

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/vdev.h"

void bus_init(struct bus *bus, u64 top)
{
	memset(bus, 0, sizeof(*bus));
	bus->top = top;
}

/* How many ranges start at or below addr. */
static unsigned upper_bound(const struct bus *bus, u64 addr)
{
	unsigned low = 0, high = bus->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (bus->range[middle].first <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int bus_claim(struct bus *bus, u64 first, u64 count, struct vdev *dev, const struct bus_ops *ops)
{
	u64 last = first + count - 1;
	unsigned at = upper_bound(bus, first);

	if (count == 0 || last < first || last > bus->top)
		return -EINVAL;
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_range *r = &bus->range[i];

		if (r->ops->exact == ops->exact && r->first <= last && first <= r->last)
			return -EEXIST;
	}
	if (bus->count == BUS_RANGES_MAX)
		return -ENOSPC;
	/* The search goes from an exact range back to the one around it: keep that order. */
	if (at > 0 && !ops->exact && bus->range[at - 1].first == first)
		at--;
	memmove(&bus->range[at + 1], &bus->range[at], (bus->count - at) * sizeof(bus->range[0]));
	bus->range[at] = (struct bus_range){first, last, dev, ops};
	bus->count++;
	return 0;
}

/*
 * The range that takes a whole access to [addr, last], else NULL. A part of a
 * wider access passes by exact ranges. As on the ISA bus, 8-bit devices see a
 * wide access as several.
 */
static const struct bus_range *find(const struct bus *bus, u64 addr, u64 last, bool part)
{
	unsigned i = upper_bound(bus, addr);

	while (i-- > 0) {
		const struct bus_range *r = &bus->range[i];

		if (r->ops->exact) {
			if (!part && r->first == addr && r->last == last)
				return r;
		} else {
			bool narrow = r->ops->max_size && last - addr >= r->ops->max_size;

			return last <= r->last && !narrow ? r : NULL;
		}
	}
	return NULL;
}

/* Whether [addr, addr+size) is an access that a device may see in one piece. */
static bool whole(const struct bus *bus, u64 addr, unsigned size)
{
	return (size == 1 || size == 2 || size == 4 || size == 8) && addr <= bus->top &&
	       size - 1 <= bus->top - addr;
}

static u64 read_range(const struct bus_range *r, u64 addr, unsigned size)
{
	return r->ops->read(r->dev, addr - r->first, size) & size_mask(size);
}

static u64 read_bytes(const struct bus *bus, u64 addr, unsigned size, bool *claimed)
{
	u64 value = 0;

	for (unsigned i = 0; i < size && i < 8; i++) {
		const struct bus_range *r = NULL;
		u64 byte = 0xff;

		if (addr <= bus->top && i <= bus->top - addr)
			r = find(bus, addr + i, addr + i, true);
		if (r) {
			byte = read_range(r, addr + i, 1);
			*claimed = true;
		}
		value |= byte << (8 * i);
	}
	return value;
}

u64 bus_read(const struct bus *bus, u64 addr, unsigned size, bool *claimed)
{
	const struct bus_range *r = NULL;
	bool any = false;
	u64 value;

	if (whole(bus, addr, size))
		r = find(bus, addr, addr + size - 1, false);
	if (r) {
		value = read_range(r, addr, size);
		any = true;
	} else {
		value = read_bytes(bus, addr, size, &any);
	}
	if (claimed)
		*claimed = any;
	return value;
}

bool bus_write(const struct bus *bus, u64 addr, unsigned size, u64 value)
{
	const struct bus_range *r = NULL;
	bool any = false;

	if (whole(bus, addr, size))
		r = find(bus, addr, addr + size - 1, false);
	if (r) {
		r->ops->write(r->dev, addr - r->first, size, value & size_mask(size));
		return true;
	}
	for (unsigned i = 0; i < size && i < 8; i++) {
		if (addr > bus->top || i > bus->top - addr)
			break;
		r = find(bus, addr + i, addr + i, true);
		if (r) {
			r->ops->write(r->dev, addr + i - r->first, 1, (value >> (8 * i)) & 0xff);
			any = true;
		}
	}
	return any;
}
