/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How an exit grows with a VM's regions and devices: the search for an address, and as a guest sees
 * it a read of memory and of a port that nobody takes. And what a VM takes to make, of more and more MiB
 * up to the argument, 128 without one: the scrubbing apart. Logs `scale WHAT COUNT ROW TICKS` for
 * tests/rig/bench.py; in Bochs a tick is an instruction.
 */
#include "arch/cpu.h"
#include "tests/image/guest.h"
#include "vmm/bus.h"
#include "vmm/region.h"
#include "vmm/vdev.h"

#define ROUNDS	      16
#define TICKS	      10000000ull
/* Ticks of a VM of so many bytes: a quarter above what was measured of 16 MiB to 1 GiB; Trivet that
 * checks itself takes longer. */
#ifdef PARANOID
#define CREATION_MOST(size) 2000000u
#else
#define CREATION_MOST(size) (51000 + 65 * ((size) / MIB(1)))
#endif

#define MMIO  0x1000ull /* the programs */
#define PORT  0x1100ull
#define EMPTY 2 /* instructions of a round without that of which it is one */
#define FIRST MIB(4) /* regions of a page, a page between them */
#define HOLE(n) (FIRST + (2 * (u64)(n) + 1) * PAGE_SIZE)

/* eax = ticks of ebx = [esi], and of a read of port 0Ch; VMCALL; again. */
static const u8 mmio_code[] = {0x0f, 0x31, 0x89, 0xc1, 0x8b, 0x1e, 0x0f, 0x31,
			       0x29, 0xc8, 0x0f, 0x01, 0xc1, 0xeb, 0xf1};
static const u8 port_code[] = {0x0f, 0x31, 0x89, 0xc1, 0xe4, 0x0c, 0x0f, 0x31,
			       0x29, 0xc8, 0x0f, 0x01, 0xc1, 0xeb, 0xf1};

static struct guest guest;
static const struct bus_ops no_ops;
static volatile bool found;

static void search_region(u64 gpa)
{
	found = region_find(&guest.vm->regions, GPA(gpa));
}

static void search_bus(u64 port)
{
	bool claimed;

	bus_read(&guest.vm->ports, port, 1, &claimed);
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

/* The same of the guest's rounds; 0 where one did not end. */
static u64 guest_ticks(u64 program, u64 esi)
{
	u64 least = ~0ull;

	guest_start(&guest, program, 0);
	vcpu_set_gpr(guest.vcpu, GPR_RSI, esi);
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (guest_run(&guest, TICKS) != EXIT_HYPERCALL)
			return 0;
		least = MIN(least, (u32)vcpu_gpr(guest.vcpu, GPR_RAX) - EMPTY);
	}
	return least;
}

static unsigned grow_regions(void)
{
	unsigned failed = 0;

	for (unsigned n = 1; n <= REGIONS_MAX; n++) {
		u64 took;

		if (n > 1)
			CHECK_EQUAL(vm_set_memory_region(guest.vm, n - 1, 0,
							 GPA(HOLE(n) - PAGE_SIZE), PAGE_SIZE,
							 guest.mem, MIB(2) + n * PAGE_SIZE), 0);
		if (n & (n - 1))
			continue;
		log_info("scale regions %u search %lu", n, ticks(search_region, HOLE(n / 2)));
		CHECK(!found);
		took = guest_ticks(MMIO, HOLE(n / 2));
		CHECK(took);
		log_info("scale regions %u mmio_read %lu", n, took);
	}
	return failed;
}

static unsigned grow_devices(void)
{
	unsigned failed = 0;

	for (unsigned n = 1; n <= BUS_RANGES_MAX; n++) {
		u64 took;

		CHECK_EQUAL(bus_claim(&guest.vm->ports, 16 * n, 8, NULL, &no_ops), 0);
		if (n & (n - 1))
			continue;
		log_info("scale devices %u search %lu", n, ticks(search_bus, 16 * ((n + 1) / 2) + 8));
		CHECK(!found);
		took = guest_ticks(PORT, 0);
		CHECK(took);
		log_info("scale devices %u in %lu", n, took);
	}
	return failed;
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
	CHECK(took <= CREATION_MOST(size));
	guest_end(&g);
	return failed;
}

static unsigned run(const char *argument)
{
	u64 most = 0;
	unsigned failed = 0;

	if (!guest_make(&guest, MIB(8)))
		return 1;
	CHECK_EQUAL(vm_set_memory_region(guest.vm, 0, 0, GPA(0), MIB(2), guest.mem, 0), 0);
	guest_write(guest.vm, GPA(MMIO), mmio_code, sizeof(mmio_code));
	guest_write(guest.vm, GPA(PORT), port_code, sizeof(port_code));
	failed += grow_regions();
	failed += grow_devices();
	guest_end(&guest);
	for (const char *digit = *argument ? argument : "128"; *digit; digit++)
		most = 10 * most + (u64)(*digit - '0');
	for (u64 size = 16; size <= most; size *= 8)
		failed += create(MIB(size));
	return failed;
}

DEFINE_SELFTEST(scale, .name = "scale", .run = run);
