/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking over memory: from the firmware's list of RAM to the free frames, the
 * trampoline page, the first pages of Trivet's own and the final tables.
 */
#include "arch/memory.h"

#include "arch/cpu.h"
#include "arch/frames.h"
#include "arch/lib/log.h"
#include "arch/pages.h"
#include "arch/space.h"

#define LOW_END	       MIB(1)
#define TRAMPOLINE_END KIB(640)

extern const u8 image_start[], image_end[];

static hpa_t trampoline;

/* What no longer fits in the set of frames stays unused. */
static void add_ram(const struct memory_range *range)
{
	u64 limit = cpu_physical_limit(), base = range->base.v;
	u64 start = ALIGN_UP(MAX(base, LOW_END), PAGE_SIZE);
	u64 end = ALIGN_DOWN(MIN(base + range->size, limit), PAGE_SIZE);

	if (base < limit && base + range->size >= base && start < end && frames_add(start, end))
		log_warn("memory: %lu KiB at 0x%lx are a piece too many", (end - start) >> 10,
			 start);
}

static int keep(hpa_t base, u64 size)
{
	u64 start = ALIGN_DOWN(base.v, PAGE_SIZE), end = ALIGN_UP(base.v + size, PAGE_SIZE);

	return start < end ? frames_keep(start, end) : 0;
}

/* How much of a page lies in a range; of one that wraps around, nothing. */
static u64 common(const struct memory_range *range, u64 page)
{
	u64 start = MAX(range->base.v, page);
	u64 end = MIN(range->base.v + range->size, page + PAGE_SIZE);

	return start < end ? end - start : 0;
}

/* The highest page that is RAM and not in use; never page 0. */
static void find_trampoline(const struct memory_range *ram, unsigned ram_count,
			    const struct memory_range *kept, unsigned kept_count)
{
	for (u64 page = TRAMPOLINE_END - PAGE_SIZE; page && !trampoline.v; page -= PAGE_SIZE) {
		bool good = false;

		for (unsigned i = 0; i < ram_count; i++)
			good |= common(&ram[i], page) == PAGE_SIZE;
		for (unsigned i = 0; i < kept_count; i++)
			good &= !common(&kept[i], page);
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
	error = chunk.v ? space_init(chunk) : -ENOMEM;
	if (!error && trampoline.v)
		error = space_init_trampoline(trampoline);
	return error;
}

hpa_t memory_trampoline(void)
{
	return trampoline;
}
