/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/pv.c arch/virt.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * KVM's paravirtual interface, by Linux's documents "KVM-specific MSRs", "Linux KVM
 * Hypercall" and "Steal time": what stands in the guest's memory, in which order it is
 * written, what hostile addresses do, offers of EOI, hypercalls.
 */
#include "vmm/pv.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/abi.h"
#include "vmm/gmem.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define CPUS	3
#define RAM	0x3000 /* guest RAM, with a hole ... */
#define HOLE	0x1000 /* ... of one page */
#define WRITES	16
#define ENABLED 1

static struct vm vm;
static struct vcpu vcpus[CPUS], *vcpu;
static struct fake_vcpu *cpu;
static u8 ram[RAM];
static u64 hz;
/* What was written, in order; the version at version_at behind each write. */
static struct { u64 gpa; size_t len; u32 version; } written[WRITES];
static unsigned writes;
static u64 version_at;
static unsigned kicks, yields;
static const struct vcpu *kicked;
static const struct task *yielded;
static struct apic_msg sent[64];
static unsigned sends;
static bool deaf;

static bool is_ram(u64 gpa, size_t len)
{
	if (gpa >= RAM || len > RAM - gpa)
		return false;
	return gpa + len <= HOLE || gpa >= HOLE + PAGE_SIZE;
}

int guest_read(struct vm *of, gpa_t gpa, void *dst, size_t len)
{
	assert_ptr_equal(of, &vm);
	if (!is_ram(gpa.v, len))
		return -EFAULT;
	memcpy(dst, ram + gpa.v, len);
	return 0;
}

int guest_write(struct vm *of, gpa_t gpa, const void *src, size_t len)
{
	assert_ptr_equal(of, &vm);
	if (!is_ram(gpa.v, len))
		return -EFAULT;
	memcpy(ram + gpa.v, src, len);
	assert_true(writes < WRITES);
	written[writes].gpa = gpa.v;
	written[writes].len = len;
	memcpy(&written[writes++].version, ram + version_at, 4);
	return 0;
}

u64 vm_clock_hz(const struct vm *of)
{
	assert_ptr_equal(of, &vm);
	return hz;
}

u64 vm_boot_epoch(const struct vm *of)
{
	return of->boot_epoch;
}

struct vcpu *vm_vcpu(const struct vm *of, u64 id)
{
	return id < of->vcpu_count && !of->vcpus[id]->parked ? of->vcpus[id] : NULL;
}

void lapic_kick(struct vcpu *of)
{
	kicked = of;
	kicks++;
}

bool sched_yield_to(struct task *task)
{
	yields++;
	yielded = task;
	return true;
}

bool lapic_accept(struct vcpu *of, const struct apic_msg *msg)
{
	assert_int_equal(of->id, msg->dest);
	assert_false(msg->logical || msg->level);
	sent[sends++] = *msg;
	return !deaf;
}

static int setup(void **state)
{
	(void)state;
	fake_host_init(0);
	fake_virt_init();
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(ram, 0, sizeof(ram));
	for (unsigned i = 0; i < CPUS; i++) {
		vcpus[i].vm = &vm;
		vcpus[i].id = i;
		vm.vcpus[i] = &vcpus[i];
	}
	vm.vcpu_count = CPUS;
	vcpu = &vcpus[0];
	virt->vcpu_create(NULL, &vcpu->virt);
	virt->vcpu_reset(vcpu->virt);
	cpu = fake_vcpu_of(vcpu->virt);
	hz = 100000000;
	tsc_hz = 100000000;
	vm.boot_epoch = 1700000000;
	writes = kicks = yields = sends = 0;
	deaf = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virt->vcpu_destroy(vcpu->virt);
	return 0;
}

/* WRMSR, as the row of vmm/msr.c keeps it. */
static bool set(u32 index, u64 value)
{
	struct vcpu_msrs *msrs = &vcpu->msrs;
	u64 *kept = &msrs->pv_wall_clock;

	if (index == ABI_MSR_SYSTEM_TIME || index == ABI_MSR_SYSTEM_TIME_OLD)
		kept = &msrs->pv_system_time;
	else if (index == ABI_MSR_STEAL_TIME)
		kept = &msrs->pv_steal_time;
	else if (index == ABI_MSR_PV_EOI)
		kept = &msrs->pv_eoi;
	if (!pv_write_msr(vcpu, index, value))
		return false;
	*kept = value;
	return true;
}

static u64 at(u64 gpa, unsigned size)
{
	u64 value = 0;

	memcpy(&value, ram + gpa, size);
	return value;
}

/* Version odd, body, version even and another one: what a reader can rely on. */
static void published(unsigned first, u64 body, size_t len, u32 before)
{
	assert_int_equal(writes, first + 3);
	assert_int_equal(written[first].gpa, version_at);
	assert_int_equal(written[first].version & 1, 1);
	assert_int_equal(written[first + 1].gpa, body);
	assert_int_equal(written[first + 1].len, len);
	assert_int_equal(written[first + 2].gpa, version_at);
	assert_int_equal(written[first + 2].version & 1, 0);
	assert_true(written[first + 2].version != before);
}

/* As the document's reader computes it. */
static u64 guest_ns(u64 gpa, u64 tsc)
{
	u64 delta = tsc - at(gpa + 8, 8);
	s8 shift = (s8)at(gpa + 28, 1);

	delta = shift < 0 ? delta >> -shift : delta << shift;
	return at(gpa + 16, 8) + (u64)((unsigned __int128)delta * at(gpa + 24, 4) >> 32);
}

static void clock_is_published(void **state)
{
	static const u32 msrs[] = {ABI_MSR_SYSTEM_TIME, ABI_MSR_SYSTEM_TIME_OLD};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		teardown(NULL);
		setup(NULL);
		memset(ram, 0xee, 64); /* an even version */
		version_at = 0x10;
		vcpu->tsc_delta = 12345;
		assert_true(set(msrs[i], 0x10 | ENABLED));
		published(0, 0x18, 24, 0xeeeeeeee);
		assert_int_equal(at(0x18, 8), 12345);
		assert_int_equal(at(0x20, 8), 0);
		assert_int_equal(at(0x2d, 1), 1); /* TSC_STABLE alone */
		assert_int_equal(at(0x2e, 2), 0);
		assert_int_equal(at(0x14, 4), 0xeeeeeeee); /* the padding is nobody's */
		assert_int_equal(ram[0xf] & ram[0x30], 0xee);
		/* an odd version, as a writer left it that was cut off */
		ram[0x10] |= 1;
		pv_tell_clock(vcpu);
		published(3, 0x18, 24, 0xeeeeeeef);
	}
	teardown(NULL);
	setup(NULL);
	assert_true(set(ABI_MSR_SYSTEM_TIME, 0x10)); /* not enabled */
	pv_tell_clock(vcpu);
	assert_int_equal(writes, 0);
}

/* One second, one day and ten years of each frequency, within the multiplier's last bit. */
static void clock_counts_nanoseconds(void **state)
{
	static const u64 rates[] = {1000000, 99999999, 100000000, 1000000000, 1000000001,
				    2099999999, 2500000000, 4294967296, 9123456789};
	static const u64 seconds[] = {0, 1, 86400, 315576000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		hz = rates[i];
		vcpu->tsc_delta = -5000ull;
		writes = 0;
		assert_true(set(ABI_MSR_SYSTEM_TIME, 0x100 | ENABLED));
		assert_true(at(0x118, 4) >= BIT(31));
		for (unsigned k = 0; k < ARRAY_SIZE(seconds); k++) {
			u64 want = seconds[k] * 1000000000, got = guest_ns(0x100, seconds[k] * hz - 5000);

			assert_in_range(got, want - (want >> 31) - (want ? 2 : 0), want);
		}
	}
}

/* The same TSC and VM clock give the same nanoseconds on every vCPU, whatever it wrote to its own. */
static void clocks_of_all_cpus_are_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++) {
		vcpu = &vcpus[i];
		vcpu->tsc_delta = i * 777777777ull;
		assert_true(set(ABI_MSR_SYSTEM_TIME, (0x40 * i) | ENABLED));
	}
	for (u64 clock = 0; clock < 1000000000000; clock += 987654321)
		for (unsigned i = 1; i < CPUS; i++)
			assert_int_equal(guest_ns(0x40 * i, clock + vcpus[i].tsc_delta),
					 guest_ns(0, clock));
	vcpu = &vcpus[0];
	/* a TSC that is written tells that vCPU's clock anew, and no other's */
	writes = 0;
	version_at = 0;
	vcpu->tsc_delta = 5;
	pv_tell_clock(vcpu);
	published(0, 8, 24, ~0u);
	assert_int_equal(guest_ns(0, 1000005), guest_ns(0x40, 1000000 + 777777777));
}

static void wall_clock_is_that_of_clock_0(void **state)
{
	(void)state;
	version_at = 0x204;
	assert_true(set(ABI_MSR_WALL_CLOCK, 0x204));
	published(0, 0x208, 8, 0);
	assert_int_equal(at(0x208, 4), 1700000000);
	assert_int_equal(at(0x20c, 4), 0);
	version_at = 0x300;
	assert_true(set(ABI_MSR_WALL_CLOCK_OLD, 0x300));
	published(3, 0x304, 8, 0);
	/* nowhere */
	assert_true(set(ABI_MSR_WALL_CLOCK, 0));
	assert_int_equal(writes, 6);
}

static void steal_time_grows_in_steps(void **state)
{
	u64 step = tsc_hz >> 14;

	(void)state;
	version_at = 0x48;
	ram[0x40] = 100; /* what a save brought back */
	vcpu->task.waited = 5000000;
	pv_load(vcpu);
	pv_put(vcpu, true);
	assert_int_equal(writes, 0); /* nobody has asked */
	assert_true(set(ABI_MSR_STEAL_TIME, 0x40 | ENABLED));
	published(0, 0x40, 8, 0);
	assert_int_equal(at(0x40, 8), 100); /* from now on */
	vcpu->task.waited += step - 1;
	pv_load(vcpu);
	assert_int_equal(writes, 3);
	vcpu->task.waited += 1 + 100000000;
	pv_load(vcpu);
	published(3, 0x40, 8, 2);
	assert_int_equal(at(0x40, 8), 100 + 1000000000 + step * 10);
	assert_int_equal(at(0x4c, 4), 0);
}

static void preempted_is_told_once(void **state)
{
	(void)state;
	assert_true(set(ABI_MSR_STEAL_TIME, 0x40 | ENABLED));
	writes = 0;
	pv_put(vcpu, false);
	pv_load(vcpu);
	assert_int_equal(writes, 0);
	pv_put(vcpu, true);
	assert_int_equal(ram[0x50], 1);
	assert_int_equal(writes, 1);
	pv_load(vcpu);
	assert_int_equal(ram[0x50], 0);
	pv_load(vcpu);
	assert_int_equal(writes, 2);
	assert_true(set(ABI_MSR_STEAL_TIME, 0));
	pv_put(vcpu, true);
	assert_int_equal(writes, 2);
}

static void reserved_bits_fault(void **state)
{
	(void)state;
	for (unsigned bit = 1; bit < 6; bit++)
		assert_false(set(ABI_MSR_STEAL_TIME, 0x40 | BIT(bit) | ENABLED));
	assert_false(set(ABI_MSR_STEAL_TIME, BIT(5)));
	assert_false(set(ABI_MSR_PV_EOI, 0x40 | BIT(1)));
	assert_false(set(ABI_MSR_PV_EOI, 0x40 | BIT(1) | ENABLED));
	assert_int_equal(writes, 0);
	assert_int_equal(vcpu->msrs.pv_steal_time | vcpu->msrs.pv_eoi, 0);
}

/* Addresses that are no RAM, reach into a hole, or wrap: nothing but counts, one line each page. */
static void hostile_addresses(void **state)
{
	static const u64 bad[] = {HOLE, HOLE - 4, HOLE - 1, HOLE + PAGE_SIZE - 4, RAM - 4, RAM,
				  0xfee00000, BIT(40), BIT(63), ~0ull - 3, ~0ull - 63};

	(void)state;
	for (unsigned round = 0; round < 1000; round++)
		for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
			u64 gpa = bad[i] & ~63ull;

			writes = 0;
			assert_true(set(ABI_MSR_SYSTEM_TIME, bad[i] | ENABLED));
			assert_true(set(ABI_MSR_WALL_CLOCK, bad[i]));
			assert_true(set(ABI_MSR_STEAL_TIME, gpa | ENABLED));
			assert_true(set(ABI_MSR_PV_EOI, (bad[i] & ~3ull) | ENABLED));
			vcpu->task.waited += tsc_hz;
			pv_load(vcpu);
			pv_eoi_offer(vcpu, true);
			if (pv_eoi_done(vcpu))
				fail_msg("an end that nobody made at %llx", (unsigned long long)bad[i]);
			pv_put(vcpu, true);
			assert_true(vcpu->pv.preempted == is_ram(gpa + 16, 1));
			pv_reset(vcpu);
		}
	assert_true(vm.unknown_gpas.count > 10000);
	assert_true(fake_host.log_lines <= ONCE_KEYS);
	assert_true(fake_host_logged("no RAM"));
	/* up to the last byte of RAM */
	writes = 0;
	assert_true(set(ABI_MSR_SYSTEM_TIME, 0x2fe0 | ENABLED));
	assert_int_equal(writes, 3);
}

static void eoi_offers(void **state)
{
	(void)state;
	pv_eoi_offer(vcpu, true); /* not set up */
	assert_false(pv_eoi_done(vcpu));
	assert_true(set(ABI_MSR_PV_EOI, 0x84 | ENABLED));
	memset(ram + 0x80, 0xa0, 16);
	assert_false(pv_eoi_done(vcpu));
	pv_eoi_offer(vcpu, true);
	pv_eoi_offer(vcpu, true);
	assert_int_equal(ram[0x84], 1);
	assert_int_equal(writes, 1);
	assert_int_equal(written[0].len, 1);
	/* the guest runs and does not end it: the offer stands */
	assert_false(pv_eoi_done(vcpu));
	assert_false(pv_eoi_done(vcpu));
	/* it ends it: told once */
	ram[0x84] = 0;
	assert_true(pv_eoi_done(vcpu));
	assert_false(pv_eoi_done(vcpu));
	/* something is pending: the guest must tell */
	pv_eoi_offer(vcpu, true);
	pv_eoi_offer(vcpu, false);
	assert_int_equal(ram[0x84], 0);
	assert_false(pv_eoi_done(vcpu));
	/* and no offer stands when others run, or the guest's word moves */
	pv_eoi_offer(vcpu, true);
	pv_put(vcpu, true);
	assert_int_equal(ram[0x84], 0);
	assert_false(pv_eoi_done(vcpu));
	pv_eoi_offer(vcpu, true);
	assert_true(set(ABI_MSR_PV_EOI, 0x88 | ENABLED));
	assert_int_equal(ram[0x84], 0);
	assert_false(pv_eoi_done(vcpu));
	pv_eoi_offer(vcpu, true);
	assert_int_equal(ram[0x88], 1);
	assert_true(set(ABI_MSR_PV_EOI, 0));
	assert_int_equal(ram[0x88], 0);
	pv_eoi_offer(vcpu, true);
	assert_int_equal(ram[0x88], 0);
}

static void reset_forgets_all(void **state)
{
	(void)state;
	assert_true(set(ABI_MSR_SYSTEM_TIME, 0x101) && set(ABI_MSR_WALL_CLOCK, 0x200));
	assert_true(set(ABI_MSR_STEAL_TIME, 0x301) && set(ABI_MSR_PV_EOI, 0x401));
	pv_eoi_offer(vcpu, true);
	pv_put(vcpu, true);
	pv_eoi_offer(vcpu, true);
	pv_reset(vcpu);
	writes = 0;
	vcpu->task.waited += 10 * tsc_hz;
	pv_load(vcpu);
	pv_tell_clock(vcpu);
	pv_eoi_offer(vcpu, true);
	assert_false(pv_eoi_done(vcpu));
	pv_put(vcpu, true);
	assert_int_equal(writes, 0);
	assert_int_equal(vcpu->msrs.pv_system_time | vcpu->msrs.pv_wall_clock |
			 vcpu->msrs.pv_steal_time | vcpu->msrs.pv_eoi, 0);
}

static s64 hypercall(u64 number, u64 a, u64 b, u64 c, u64 d)
{
	u64 *gpr = vcpu->virt->gpr;

	gpr[GPR_RAX] = number;
	gpr[GPR_RBX] = a;
	gpr[GPR_RCX] = b;
	gpr[GPR_RDX] = c;
	gpr[GPR_RSI] = d;
	return (s64)pv_hypercall(vcpu);
}

static void long_mode(bool on)
{
	cpu->reg[VREG_EFER] = on ? EFER_LMA : 0;
	cpu->seg[SREG_CS].l = true; /* of no meaning outside IA-32e mode */
}

static void other_hypercalls_are_unknown(void **state)
{
	(void)state;
	long_mode(true);
	for (unsigned i = 0; i < 64; i++)
		if (i != 5 && i != 10 && i != 11)
			assert_int_equal(hypercall(i, 1, 1, 1, 1), -1000);
	assert_int_equal(hypercall(BIT(32) | 5, 0, 1, 0, 0), -1000);
	assert_int_equal(kicks + yields + sends, 0);
	/* a 32-bit guest has no upper half */
	long_mode(false);
	assert_int_equal(hypercall(BIT(32) | 5, 0, BIT(32) | 1, 0, 0), 0);
	assert_int_equal(kicks, 1);
}

static void kick_and_yield(void **state)
{
	static const u64 nobody[] = {CPUS, VM_VCPUS_MAX - 1, VM_VCPUS_MAX, BIT(31), BIT(32), ~0ull};

	(void)state;
	long_mode(true);
	assert_int_equal(hypercall(5, 0, 2, 0, 0), 0);
	assert_int_equal(kicks, 1);
	assert_ptr_equal(kicked, &vcpus[2]);
	assert_ptr_equal(yielded, &vcpus[2].task);
	assert_int_equal(hypercall(11, 1, 0, 0, 0), 0);
	assert_ptr_equal(yielded, &vcpus[1].task);
	assert_int_equal(kicks, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(nobody); i++) {
		assert_int_equal(hypercall(5, 0, nobody[i], 0, 0), 0);
		assert_int_equal(hypercall(11, nobody[i], 0, 0, 0), 0);
	}
	vcpus[2].parked = true;
	assert_int_equal(hypercall(5, 0, 2, 0, 0), 0);
	assert_int_equal(hypercall(10, 5, 0, 0, 0xfd), 1); /* 0 alone */
	assert_int_equal(kicks, 1);
	assert_int_equal(yields, 2);
}

static void ipis_to_a_bitmap(void **state)
{
	(void)state;
	long_mode(true);
	assert_int_equal(hypercall(10, 5, 0, 0, 0xfd), 2); /* 0 and 2 */
	assert_int_equal(sends, 2);
	assert_int_equal(sent[0].dest, 0);
	assert_int_equal(sent[1].dest, 2);
	assert_int_equal(sent[1].vector, 0xfd);
	assert_int_equal(sent[1].mode, APIC_FIXED);
	/* from another id on; those that are not there do not count */
	assert_int_equal(hypercall(10, ~0ull, ~0ull, 1, 0x4400), 2);
	assert_int_equal(sent[2].mode, APIC_NMI);
	assert_int_equal(sends, 4);
	assert_int_equal(hypercall(10, ~0ull, ~0ull, 0xffffffff, 0x31), 0); /* ids do not wrap */
	assert_int_equal(hypercall(10, 0, ~0ull, 0, 0x31), 0); /* nor begin anew */
	assert_int_equal(hypercall(10, ~0ull, 0, 64, 0x31), 0);
	assert_int_equal(hypercall(10, 0, 0, 0, 0x31), 0);
	deaf = true;
	assert_int_equal(hypercall(10, 7, 0, 0, 0x31), 0);
	deaf = false;
	/* a 32-bit guest has no upper half */
	long_mode(false);
	assert_int_equal(hypercall(10, BIT(32) | 2, 0, BIT(32), BIT(32) | 0x31), 1);
}

static void ipis_of_other_kinds(void **state)
{
	(void)state;
	long_mode(true);
	for (unsigned mode = 0; mode < 8; mode++)
		assert_int_equal(hypercall(10, 1, 0, 0, mode << 8 | 0x31),
				 mode == 0 || mode == 4 ? 1 : -22);
	/* logical destination, level, shorthands, and what is above the ICR */
	for (unsigned bit = 11; bit < 64; bit++)
		assert_int_equal(hypercall(10, 1, 0, 0, BIT(bit) | 0x31), bit == 14 ? 1 : -22);
	assert_int_equal(sends, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(clock_is_published),
		TEST(clock_counts_nanoseconds),
		TEST(clocks_of_all_cpus_are_one),
		TEST(wall_clock_is_that_of_clock_0),
		TEST(steal_time_grows_in_steps),
		TEST(preempted_is_told_once),
		TEST(reserved_bits_fault),
		TEST(hostile_addresses),
		TEST(eoi_offers),
		TEST(reset_forgets_all),
		TEST(other_hypercalls_are_unknown),
		TEST(kick_and_yield),
		TEST(ipis_to_a_bitmap),
		TEST(ipis_of_other_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
