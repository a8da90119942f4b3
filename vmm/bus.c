/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dispatch of port and MMIO accesses by binary search in a sorted table. The
 * table is filled while the VM is created and constant from then on.
 */
#include "vmm/bus.h"

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

		if (!r->ops->exact)
			return last <= r->last && (last == addr || !r->ops->in) ? r : NULL;
		if (!part && r->first == addr && r->last == last)
			return r;
	}
	return NULL;
}

static const struct bus_range *find_whole(const struct bus *bus, u64 addr, unsigned size)
{
	bool whole = (size == 1 || size == 2 || size == 4 || size == 8) && addr <= bus->top &&
		     size - 1 <= bus->top - addr;

	return whole ? find(bus, addr, addr + size - 1, false) : NULL;
}

/* What a read gives; for a write, 0. */
static u64 range_access(const struct bus_range *r, u64 addr, unsigned size, const u64 *write)
{
	u64 offset = addr - r->first;

	if (write && r->ops->out)
		r->ops->out(r->dev, (u16)addr, (u8)*write);
	else if (write)
		r->ops->write(r->dev, offset, size, *write & size_mask(size));
	else if (r->ops->in)
		return r->ops->in(r->dev, (u16)addr);
	else
		return r->ops->read(r->dev, offset, size) & size_mask(size);
	return 0;
}

/* A read, or a write where `write` is not NULL. Whole where one range takes it, else by bytes. */
static u64 transfer(const struct bus *bus, u64 addr, unsigned size, const u64 *write,
		    bool *claimed)
{
	const struct bus_range *r = find_whole(bus, addr, size);
	u64 value = 0;

	*claimed = r;
	if (r)
		return range_access(r, addr, size, write);
	for (unsigned i = 0; i < size && i < 8; i++) {
		u64 byte = write ? *write >> (8 * i) : 0;

		r = NULL;
		if (addr <= bus->top && i <= bus->top - addr)
			r = find(bus, addr + i, addr + i, true);
		byte = r ? range_access(r, addr + i, 1, write ? &byte : NULL) : 0xff;
		value |= byte << (8 * i);
		*claimed |= r != NULL;
	}
	return value;
}

u64 bus_read(const struct bus *bus, u64 addr, unsigned size, bool *claimed)
{
	bool any;

	return transfer(bus, addr, size, NULL, claimed ? claimed : &any);
}

bool bus_write(const struct bus *bus, u64 addr, unsigned size, u64 value)
{
	bool any;

	transfer(bus, addr, size, &value, &any);
	return any;
}

bool bus_string(const struct bus *bus, u64 addr, unsigned size, bool in, u8 *buffer, unsigned count)
{
	const struct bus_range *r = find_whole(bus, addr, size);
	bool claimed = r;

	if (!r && size == 1) {
		if (in)
			memset(buffer, 0xff, count);
		return false;
	}
	for (; count > 0; count--, buffer += size) {
		u64 value = 0;

		if (!in)
			memcpy(&value, buffer, size);
		if (r)
			value = range_access(r, addr, size, in ? NULL : &value);
		else
			value = transfer(bus, addr, size, in ? NULL : &value, &claimed);
		if (in)
			memcpy(buffer, &value, size);
		else if (!claimed)
			break; /* nor will the rest meet one */
	}
	return claimed;
}
