/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Regions as a guest sees them: one that moves, goes, comes back read-only; two
 * that show one object; writes to read-only memory, which go to the devices;
 * page tables in read-only memory.
 */
#include "tests/image/guest.h"

#define SIZE	MIB(8)
#define CODE	0x1000ull
#define ROM	0xfff00000ull
#define ALIAS	MIB(64)
#define TICKS	10000000ull
#define NOTHING 0xffffffffull

/* ebx = [esi]; [edi] = eax; ecx = [edi]; VMCALL; again. The same in 32-bit and 64-bit mode. */
static const u8 code[] = {0x8b, 0x1e, 0x89, 0x07, 0x8b, 0x0f, 0x0f, 0x01, 0xc1, 0xeb, 0xf5};

struct seen {
	u64 from, back; /* what stood at esi; at edi after the write */
};

/* One round of the program. */
static struct seen access(struct guest *g, u64 from, u64 to, u32 value)
{
	struct seen seen = {~0ull, ~0ull};

	vcpu_set_gpr(g->vcpu, GPR_RSI, from);
	vcpu_set_gpr(g->vcpu, GPR_RDI, to);
	vcpu_set_gpr(g->vcpu, GPR_RAX, value);
	if (guest_run(g, TICKS) == EXIT_HYPERCALL) {
		seen.from = vcpu_gpr(g->vcpu, GPR_RBX);
		seen.back = vcpu_gpr(g->vcpu, GPR_RCX);
	}
	return seen;
}

static u32 word(struct guest *g, u64 gpa)
{
	u32 value = 0;

	guest_read(g->vm, GPA(gpa), &value, sizeof(value));
	return value;
}

static int set(struct guest *g, unsigned slot, unsigned flags, u64 gpa, u64 size, u64 offset)
{
	return vm_set_memory_region(g->vm, slot, flags, GPA(gpa), size, g->mem, offset);
}

/* The program at 1000h, 2 MiB of data that move under it: memory is where the region is, all
 * ones where it was, and the contents go along. */
static unsigned moves(struct guest *g)
{
	static const u64 places[] = {MIB(4), GIB(3), MIB(4) + PAGE_SIZE, MIB(5), ROM, MIB(4)};
	unsigned failed = 0;
	u64 old = MIB(2);

	CHECK_EQUAL(set(g, 1, 0, old, MIB(2), MIB(2)), 0);
	for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
		u64 now = places[i];
		struct seen s = access(g, old, old + 0x1000, 100 + i);

		CHECK_EQUAL(s.back, 100 + i);
		CHECK_EQUAL(set(g, 1, 0, now, MIB(2), MIB(2)), 0);
		s = access(g, now + 0x1000, now, 1000 + i);
		CHECK_EQUAL(s.from, 100 + i);
		CHECK_EQUAL(s.back, 1000 + i);
		if (now - old >= MIB(2)) {
			s = access(g, old, old, 5);
			CHECK_EQUAL(s.from, NOTHING);
			CHECK_EQUAL(s.back, NOTHING);
			CHECK_EQUAL(word(g, now), 1000 + i);
		}
		old = now;
	}
	/* deleted, and back as it was left */
	CHECK_EQUAL(set(g, 1, 0, 0, 0, 0), 0);
	CHECK_EQUAL(access(g, old, old, 5).from, NOTHING);
	CHECK_EQUAL(set(g, 1, 0, old, MIB(2), MIB(2)), 0);
	CHECK_EQUAL(access(g, old, old + 8, 5).from, 1005);
	return failed;
}

static u64 device_writes, device_offset, device_value;

static u64 device_read(struct vdev *dev, u64 offset, unsigned size)
{
	(void)dev;
	return offset + size;
}

static void device_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	(void)dev;
	device_writes++;
	device_offset = offset;
	device_value = value & size_mask(size);
}

/* A BIOS and its alias: two regions of one object, one of them read-only. */
static unsigned shares(struct guest *g)
{
	static const struct bus_ops ops = {.read = device_read, .write = device_write};
	static struct vdev device;
	unsigned failed = 0;
	struct seen s;

	CHECK_EQUAL(set(g, 2, REGION_READ_ONLY, ROM, MIB(1), MIB(4)), 0);
	CHECK_EQUAL(set(g, 3, 0, ALIAS, MIB(1), MIB(4)), 0);
	access(g, CODE, ALIAS + 0x234, 77);
	s = access(g, ROM + 0x234, ROM + 0x234, 99);
	CHECK_EQUAL(s.from, 77);
	CHECK_EQUAL(s.back, 77); /* nobody takes the write */
	/* a device behind read-only memory gets the writes, never a read */
	CHECK_EQUAL(bus_claim(&g->vm->mmio, ROM + 0x10000, 0x1000, &device, &ops), 0);
	access(g, CODE, ALIAS + 0x10040, 78);
	s = access(g, ROM + 0x10040, ROM + 0x10040, 0xabcdef);
	CHECK_EQUAL(s.from, 78);
	CHECK_EQUAL(s.back, 78);
	CHECK_EQUAL(device_writes, 1);
	CHECK_EQUAL(device_offset, 0x40);
	CHECK_EQUAL(device_value, 0xabcdef);
	/* set anew the other way round */
	CHECK_EQUAL(set(g, 2, 0, ROM, MIB(1), MIB(4)), -EINVAL);
	CHECK_EQUAL(set(g, 2, 0, 0, 0, 0), 0);
	CHECK_EQUAL(set(g, 3, 0, 0, 0, 0), 0);
	CHECK_EQUAL(set(g, 2, 0, ROM, MIB(1), MIB(4)), 0);
	CHECK_EQUAL(set(g, 3, REGION_READ_ONLY, ALIAS, MIB(1), MIB(4)), 0);
	s = access(g, ALIAS + 0x10040, ROM + 0x10040, 79);
	CHECK_EQUAL(s.from, 78);
	CHECK_EQUAL(s.back, 79);
	s = access(g, ALIAS + 0x10040, ALIAS + 0x10040, 80);
	CHECK_EQUAL(s.from, 79);
	CHECK_EQUAL(s.back, 79);
	CHECK_EQUAL(device_writes, 1);
	return failed;
}

/* Tables that the guest cannot write, used and dirty already, with and without a log. */
static unsigned has_tables_in_rom(struct guest *g)
{
	unsigned failed = 0;
	u64 exits = g->vcpu->exits[EXIT_MEMORY];
	struct seen s;

	guest_put_tables(g, MIB(1), ROM, 0x67);
	CHECK_EQUAL(set(g, 2, 0, 0, 0, 0), 0);
	CHECK_EQUAL(set(g, 2, REGION_READ_ONLY, ROM, 3 * PAGE_SIZE, MIB(1)), 0);
	guest_start(g, CODE, ROM);
	for (unsigned log = 0; log < 2; log++) {
		CHECK_EQUAL(set(g, 0, log ? REGION_LOG_DIRTY : 0, 0, MIB(2), 0), 0);
		s = access(g, CODE, 0x8000 + log * 8, 4711);
		CHECK_EQUAL(s.from, *(const u32 *)code);
		CHECK_EQUAL(s.back, 4711);
		CHECK_EQUAL(word(g, 0x8000 + log * 8), 4711);
	}
	CHECK_EQUAL(set(g, 0, 0, 0, MIB(2), 0), 0);
	CHECK_EQUAL(g->vcpu->exits[EXIT_MEMORY], exits);
	return failed;
}

/* A range of physical addresses: here frames that another object keeps. It is neither scrubbed
 * nor freed with its last region. */
static unsigned shows_physical(struct guest *g)
{
	struct mem_object *range;
	unsigned failed = 0;

	for (unsigned uncached = 0; uncached < 2; uncached++) {
		u64 frames = frames_available(), at = MIB(128);
		hpa_t hpa;

		CHECK_EQUAL(mem_piece(g->mem, MIB(6), MIB(1), &hpa), MIB(1));
		CHECK_EQUAL(mem_create_physical(hpa, MIB(1), uncached, &range), 0);
		CHECK_EQUAL(vm_set_memory_region(g->vm, 7, 0, GPA(at), MIB(1), range, 0), 0);
		mem_put(range);
		CHECK_EQUAL(access(g, CODE, at + 0x40, 31 + uncached).back, 31 + uncached);
		CHECK_EQUAL(word(g, at + 0x40), 31 + uncached);
		CHECK_EQUAL(set(g, 7, 0, 0, 0, 0), 0);
		CHECK_EQUAL(frames_available(), frames);
		CHECK_EQUAL(set(g, 7, 0, at, MIB(1), MIB(6)), 0);
		CHECK_EQUAL(access(g, at + 0x40, 0x9000, 1).from, 31 + uncached);
		CHECK_EQUAL(set(g, 7, 0, 0, 0, 0), 0);
	}
	return failed;
}

static unsigned run_memory(const char *argument)
{
	struct guest g;
	unsigned failed = 0;

	(void)argument;
	if (!guest_make(&g, SIZE))
		return 1;
	CHECK_EQUAL(set(&g, 0, 0, 0, MIB(2), 0), 0);
	guest_write(g.vm, GPA(CODE), code, sizeof(code));
	guest_start(&g, CODE, 0);
	failed += moves(&g);
	failed += shares(&g);
	failed += shows_physical(&g);
	failed += has_tables_in_rom(&g);
	guest_end(&g);
	return failed;
}

DEFINE_SELFTEST(memory_test, .name = "memory", .run = run_memory);
