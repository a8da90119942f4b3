/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking over memory: from the firmware's list of RAM to the free frames, the
 * trampoline page, the first pages of Trivet's own and the final tables.
 */
#include "arch/memory.h"

#include "arch/cpu.h"
#include "arch/frames.h"
#include "arch/lib/errno.h"
#include "arch/lib/log.h"
#include "arch/pages.h"
#include "arch/space.h"

#define LOW_END	       MIB(1)
#define TRAMPOLINE_END KIB(640)

extern const u8 image_start[], image_end[];

static hpa_t trampoline;

static u64 physical_limit(void)
{
	unsigned bits = cpuid(0x80000000, 0).eax >= 0x80000008
				? cpuid(0x80000008, 0).eax & 0xff
				: 36;

	return BIT(MIN(bits, 52u));
}

/* What no longer fits in the set of frames stays unused. */
static void add_ram(const struct memory_range *range)
{
	u64 start = MAX(range->base.v, LOW_END);
	u64 end = MIN(range->base.v + range->size, physical_limit());

	if (range->base.v + range->size < range->size || range->base.v >= physical_limit())
		return;
	start = ALIGN_UP(start, PAGE_SIZE);
	end = ALIGN_DOWN(end, PAGE_SIZE);
	if (start < end && frames_add(start, end))
		log_warn("memory: %lu KiB at 0x%lx are a piece too many", (end - start) >> 10,
			 start);
}

static int keep(hpa_t base, u64 size)
{
	u64 start = ALIGN_DOWN(base.v, PAGE_SIZE), end = ALIGN_UP(base.v + size, PAGE_SIZE);

	return start < end ? frames_keep(start, end) : 0;
}

static bool contains(const struct memory_range *range, u64 page)
{
	return range->base.v <= page && range->size >= PAGE_SIZE &&
	       page - range->base.v <= range->size - PAGE_SIZE;
}

static bool touches(const struct memory_range *range, u64 page)
{
	return range->base.v < page + PAGE_SIZE && page < range->base.v + range->size;
}

/* The highest page that is RAM and not in use; never page 0. */
static void find_trampoline(const struct memory_range *ram, unsigned ram_count,
			    const struct memory_range *kept, unsigned kept_count)
{
	for (u64 page = TRAMPOLINE_END - PAGE_SIZE; page && !trampoline.v; page -= PAGE_SIZE) {
		bool good = false;

		for (unsigned i = 0; i < ram_count; i++)
			good |= contains(&ram[i], page);
		for (unsigned i = 0; i < kept_count; i++)
			good &= !touches(&kept[i], page);
		if (good)
			trampoline = HPA(page);
	}
}

int memory_init(const struct memory_range *ram, unsigned ram_count,
		const struct memory_range *kept, unsigned kept_count)
{
	hpa_t chunk;
	int error = 0;

	for (unsigned i = 0; i < ram_count; i++)
		add_ram(&ram[i]);
	for (unsigned i = 0; i < kept_count && !error; i++)
		error = keep(kept[i].base, kept[i].size);
	if (!error)
		error = keep(virt_to_phys(image_start), (u64)(image_end - image_start));
	if (error || frames_available() < MEMORY_LEAST)
		return -ENOMEM;
	find_trampoline(ram, ram_count, kept, kept_count);
	chunk = pages_init();
	if (chunk.v == 0)
		return -ENOMEM;
	error = space_init(chunk);
	if (!error && trampoline.v)
		error = space_init_trampoline(trampoline);
	return error;
}

hpa_t memory_trampoline(void)
{
	return trampoline;
}
