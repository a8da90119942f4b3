/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of an exit depends on how many regions and devices a VM has: the search for an address.
 * Searches among more and more of them, for what none holds; nothing is found beyond the last one. And
 * what a VM takes to make, of more and more MiB up to the argument, 128 without one: the scrubbing apart.
 * Logs `scale WHAT COUNT ROW TICKS` for tests/rig/bench.py; in Bochs a tick is an instruction.
 */
#include "arch/cpu.h"
#include "tests/image/guest.h"
#include "vmm/bus.h"
#include "vmm/region.h"
#include "vmm/vdev.h"

#define ROUNDS	      16
#define CREATION_MOST 2000000u /* ticks, of up to 1 GiB */

static struct region_table table;
static struct bus bus;
static const struct bus_ops no_ops;
static volatile bool found;

static void search_region(u64 gpa)
{
	found = region_find(&table, GPA(gpa));
}

static void search_bus(u64 port)
{
	bool claimed;

	bus_read(&bus, port, 1, &claimed);
	found = claimed;
}

/* The least of some rounds: nothing has come in between. */
static u64 ticks(void (*search)(u64 at), u64 at)
{
	u64 least = ~0ull;

	for (unsigned i = 0; i < ROUNDS; i++) {
		u64 start = rdtsc();

		search(at);
		least = MIN(least, rdtsc() - start);
	}
	return least;
}

static unsigned create(u64 size)
{
	struct guest g;
	u64 start = rdtsc(), took;
	unsigned failed = 0;

	if (!guest_make(&g, size))
		return 1;
	CHECK_EQUAL(vm_set_memory_region(g.vm, 0, 0, GPA(0), size, g.mem, 0), 0);
	took = rdtsc() - start;
	log_info("scale memory %lu creation %lu", size / MIB(1), took);
	CHECK(took <= CREATION_MOST);
	guest_end(&g);
	return failed;
}

static unsigned run(const char *argument)
{
	u64 most = 0;
	unsigned failed = 0;

	for (unsigned n = 1; n <= REGIONS_MAX; n *= 2) {
		table.count = n;
		for (unsigned i = n / 2; i < n; i++)
			table.region[i] = (struct region){.gpa = (i + 1) * MIB(2), .size = MIB(1)};
		log_info("scale regions %u search %lu", n, ticks(search_region, (n + 1) * MIB(2)));
		CHECK(!found);
		search_region(n * MIB(2));
		CHECK(found);
	}
	bus_init(&bus, BUS_PORT_TOP);
	for (unsigned n = 1; n <= BUS_RANGES_MAX; n++) {
		CHECK_EQUAL(bus_claim(&bus, 16 * n, 8, NULL, &no_ops), 0);
		if (n & (n - 1))
			continue;
		log_info("scale ranges %u search %lu", n, ticks(search_bus, 16 * n + 8));
		CHECK(!found);
	}
	for (const char *digit = *argument ? argument : "128"; *digit; digit++)
		most = 10 * most + (u64)(*digit - '0');
	for (u64 size = 16; size <= most; size *= 8)
		failed += create(MIB(size));
	return failed;
}

DEFINE_SELFTEST(scale, .name = "scale", .run = run);
