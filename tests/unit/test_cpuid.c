/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/virt.c tests/unit/fake_virt.c tests/unit/fake_host.c arch/lib/format.c */
/*
 * What CPUID tells a guest, on hosts made up for the test: one whose answers
 * are all ones, an old one, one without XSAVE. Source: Intel SDM volume 2, "CPUID -
 * CPU Identification"; volume 1, "Enumeration of CPU Support for XSAVE".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"

static struct cpuid_regs host_cpuid(u32 leaf, u32 subleaf);
#define cpuid(leaf, subleaf) host_cpuid(leaf, subleaf)
/* The file itself, since the instruction is inline. */
#include "vmm/cpuid.c"

#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"

#define ONES 0xffffffffu

static struct host {
	u32 max_basic, max_extended, fill;
	u32 one_ecx, xcr0, xsave;
} host;
static u32 widths, vendor_ecx;

static const struct cpuid_regs components[] = {
	[2] = {256, 576, 0, 0},	 [3] = {64, 960, 0, 0},	    [4] = {64, 1024, 0, 0},
	[5] = {64, 1088, 0, 0},	 [6] = {512, 1152, 0, 0},   [7] = {1024, 1664, 0, 0},
	[8] = {128, 0, 1, 0},	 [9] = {8, 2688, 0, 0},
};

static struct cpuid_regs host_cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r = {host.fill, host.fill, host.fill, host.fill};

	if (leaf == 0)
		return (struct cpuid_regs){host.max_basic, 0x756e6547, vendor_ecx, 0x49656e69};
	if (leaf == 0x80000000)
		return (struct cpuid_regs){host.max_extended, 0, 0, 0};
	/* Trivet asks for nothing that the host says it lacks. */
	assert_true(leaf <= host.max_basic ||
		    (leaf > 0x80000000 && leaf <= host.max_extended));
	if (leaf == 1)
		r.ecx = host.one_ecx;
	if (leaf == 0xd && subleaf == 0)
		r = (struct cpuid_regs){host.xcr0, 2696, 2696, 0};
	else if (leaf == 0xd && subleaf == 1)
		r = (struct cpuid_regs){host.xsave, 2696, 0, 0};
	else if (leaf == 0xd)
		r = subleaf < ARRAY_SIZE(components) ? components[subleaf] : (struct cpuid_regs){0};
	else if (leaf == 0x80000008)
		r.eax = widths;
	return r;
}

static struct cpuid_table table;
static struct cpuid_state state_now;

static void build(u32 max_basic, u32 max_extended, u32 fill)
{
	host = (struct host){max_basic, max_extended, fill, fill, fill ? 0x2ff : 0, 15};
	cpuid_table_init(&table, 2500000000);
}

static struct cpuid_regs ask(u32 leaf, u32 subleaf)
{
	return cpuid_query(&table, leaf, subleaf, &state_now);
}

static int setup(void **state)
{
	(void)state;
	widths = 0x3028;
	vendor_ecx = 0x6c65746e;
	fake_host_init(0);
	fake_virt_init();
	state_now = (struct cpuid_state){0, 1, 0, false};
	build(0x20, 0x80000008, ONES);
	return 0;
}

static void table_is_sorted(void **state)
{
	(void)state;
	assert_in_range(table.count, 10, CPUID_ENTRIES_MAX);
	assert_true(ARRAY_SIZE(allowed) <= CPUID_ENTRIES_MAX);
	for (unsigned i = 1; i < table.count; i++) {
		const struct cpuid_entry *a = &table.entry[i - 1], *b = a + 1;

		assert_true(a->leaf < b->leaf || (a->leaf == b->leaf && a->subleaf < b->subleaf));
		/* "any" cannot stand beside another subleaf */
		assert_false(a->leaf == b->leaf && b->subleaf == CPUID_ANY_SUBLEAF);
	}
}

/* Whatever the host says: nothing of what Trivet does not give a guest. */
static void forbidden_bits_are_zero(void **state)
{
	static const struct {
		u32 leaf;
		char reg;
		u8 bit;
		const char *name;
	} rows[] = {
		{1, 'c', 2, "DTES64"},	  {1, 'c', 3, "MONITOR"},   {1, 'c', 4, "DS-CPL"},
		{1, 'c', 5, "VMX"},	  {1, 'c', 6, "SMX"},	    {1, 'c', 7, "EIST"},
		{1, 'c', 8, "TM2"},	  {1, 'c', 11, "SDBG"},	    {1, 'c', 14, "xTPR"},
		{1, 'c', 15, "PDCM"},	  {1, 'c', 18, "DCA"},
	    {1, 'd', 18, "PSN"},
		{1, 'd', 21, "DS"},	  {1, 'd', 22, "ACPI"},	    {1, 'd', 28, "HTT"},
		{1, 'd', 29, "TM"},	  {1, 'd', 31, "PBE"},
		{7, 'b', 2, "SGX"},	  {7, 'b', 4, "HLE"},	    {7, 'b', 11, "RTM"},
		{7, 'b', 12, "RDT-M"},	  {7, 'b', 14, "MPX"},	    {7, 'b', 15, "RDT-A"},
		{7, 'b', 25, "PT"},	  {7, 'c', 3, "PKU"},	    {7, 'c', 4, "OSPKE"},
		{7, 'c', 5, "WAITPKG"},	  {7, 'c', 7, "CET_SS"},    {7, 'c', 13, "TME"},
		{7, 'c', 16, "LA57"},	  {7, 'c', 24, "BUS_LOCK"}, {7, 'c', 30, "SGX_LC"},
		{7, 'c', 31, "PKS"},	  {7, 'd', 5, "UINTR"},	    {7, 'd', 11, "RTM_ABORT"},
		{7, 'd', 18, "PCONFIG"},  {7, 'd', 19, "LBR"},	    {7, 'd', 20, "CET_IBT"},
		{7, 'd', 28, "L1D_FLUSH"}, {7, 'd', 30, "CORE_CAP"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpuid_regs r = ask(rows[i].leaf, 0);
		u32 value = rows[i].reg == 'b' ? r.ebx : rows[i].reg == 'c' ? r.ecx : r.edx;

		if (value & BIT(rows[i].bit))
			fail_msg("%s is shown", rows[i].name);
	}
	/* whole leaves: MONITOR, DCA, performance counters, RDT, SGX, PT */
	for (u32 leaf = 0; leaf < 0x40; leaf++) {
		static const u8 gone[] = {3, 5, 8, 9, 0xa, 0xc, 0xe, 0xf, 0x10, 0x12, 0x14};
		struct cpuid_regs r = ask(leaf, 0);

		if (memchr(gone, leaf, sizeof(gone)))
			assert_false(r.eax || r.ebx || r.ecx || r.edx);
	}
	/* power management: ARAT alone, since Trivet's timers never stop */
	assert_int_equal(ask(6, 0).eax, 4);
	assert_int_equal(ask(6, 0).ebx | ask(6, 0).ecx | ask(6, 0).edx, 0);
}

static void allowed_bits_follow_the_host(void **state)
{
	struct cpuid_regs r;

	(void)state;
	r = ask(1, 0);
	assert_int_equal(r.edx & (BIT(4) | BIT(5) | BIT(6) | BIT(15) | BIT(25)),
			 BIT(4) | BIT(5) | BIT(6) | BIT(15) | BIT(25));
	assert_true(r.ecx & BIT(31)); /* a hypervisor is present */
	assert_true(ask(7, 0).ebx & BIT(5));
	assert_true(ask(0x80000001, 0).edx & BIT(29));
	assert_true(ask(0x80000007, 0).edx == BIT(8));
	build(0x20, 0x80000008, 0);
	r = ask(1, 0);
	/* x2APIC, the TSC-deadline timer and IA32_TSC_ADJUST are Trivet's, on any host */
	assert_int_equal(r.ecx, BIT(31) | BIT(21) | BIT(24));
	assert_int_equal(r.edx, 0);
	assert_int_equal(ask(7, 0).ebx, BIT(1));
	assert_int_equal(ask(6, 0).eax, 4);
	assert_int_equal(ask(0x80000001, 0).edx, 0);
}

/* Speculation controls follow the host, and what they make valid follows them. */
static void speculation_controls(void **state)
{
	(void)state;
	assert_int_equal(ask(7, 0).eax, 2);
	assert_int_equal(ask(7, 0).edx & (BIT(10) | BITS(31, 26)),
			 BIT(10) | BIT(26) | BIT(27) | BIT(29) | BIT(31));
	assert_int_equal(ask(7, 1).eax | ask(7, 1).ebx | ask(7, 1).ecx | ask(7, 1).edx, 0);
	assert_int_equal(ask(7, 2).eax | ask(7, 2).ebx | ask(7, 2).ecx, 0);
	assert_int_equal(ask(7, 2).edx, 0x3f);
	assert_int_equal(table.spec_ctrl_valid, 0x5ff);
	assert_int_equal(table.pred_cmd_valid, 1);
	assert_true(table.arch_capabilities);
	build(0x20, 0x80000008, 0);
	assert_int_equal(ask(7, 0).eax | ask(7, 0).edx | ask(7, 2).edx, 0);
	assert_int_equal(table.spec_ctrl_valid | table.pred_cmd_valid, 0);
	assert_false(table.arch_capabilities);
}

static void one_processor_with_id_0(void **state)
{
	struct cpuid_regs r = ask(1, 0);

	(void)state;
	assert_int_equal(r.ebx >> 24, 0);
	assert_int_equal(r.ebx >> 16 & 0xff, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ask(4, i).eax >> 14, 0); /* one thread, one core */
	r = ask(4, 4);
	assert_int_equal(r.eax, 0); /* no more caches */
}

static void apic_bit_follows_its_base(void **state)
{
	(void)state;
	assert_false(ask(1, 0).edx & BIT(9));
	state_now.apic_on = true;
	assert_true(ask(1, 0).edx & BIT(9));
	build(0x20, 0x80000008, 0);
	assert_int_equal(ask(1, 0).edx, BIT(9));
}

/* Several cores of one package: "Extended Topology Enumeration Leaf", "Deterministic Cache
 * Parameters", "Basic CPUID Information". */
static void cores_of_one_package(void **state)
{
	static const struct {
		u32 count, shift;
	} rows[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {8, 3}, {9, 4}, {32, 5}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 count = rows[i].count, most = (1u << rows[i].shift) - 1;
		struct cpuid_regs r;

		build(0x20, 0x80000008, ONES);
		cpuid_set_cpus(&table, count);
		for (u32 id = 0; id < count; id++) {
			state_now.apic_id = id;
			r = ask(1, 0);
			assert_int_equal(r.ebx >> 24, id);
			assert_int_equal(r.ebx >> 16 & 0xff, count);
			assert_int_equal(r.ebx & 0xffff, 0xffff);
			assert_int_equal(!!(r.edx & BIT(28)), count > 1);
			for (u32 subleaf = 0; subleaf < 5; subleaf++) {
				r = ask(0xb, subleaf);
				assert_int_equal(r.edx, id);
				assert_int_equal(r.ecx & 0xff, subleaf);
				assert_int_equal(r.ecx >> 8, subleaf < 2 ? subleaf + 1 : 0);
				assert_int_equal(r.ebx, subleaf ? subleaf == 1 ? count : 0 : 1);
				assert_int_equal(r.eax, subleaf == 1 ? rows[i].shift : 0);
			}
		}
		/* all ones: a cache of level 7, which all share */
		r = ask(4, 0);
		assert_int_equal(r.eax >> 26, most);
		assert_int_equal(r.eax >> 14 & 0xfff, most);
		assert_int_equal(r.eax & 0x3fff, 0x3fff);
	}
	/* level 2 is each core's own */
	build(0x20, 0x80000008, 0x43);
	cpuid_set_cpus(&table, 4);
	assert_int_equal(ask(4, 0).eax, 3u << 26 | 0x43);
	/* and where there is no cache, there is no line about it */
	build(0x20, 0x80000008, 0);
	cpuid_set_cpus(&table, 4);
	assert_int_equal(ask(4, 0).eax, 0);
}

/* The frequency that Trivet uses: TSC = crystal * EBX / EAX. */
static void clocks_are_told(void **state)
{
	static const u64 hz[] = {100000000, 2500000000, 4294967295, 4294967296, 9000000001};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		struct cpuid_regs r;

		host = (struct host){0xd, 0x80000008, ONES, ONES, 0x2ff, 15};
		cpuid_table_init(&table, hz[i]);
		r = ask(0x15, 0);
		assert_int_equal(ask(0, 0).eax, 0x15);
		assert_int_equal(r.eax, 1);
		assert_int_equal(r.edx, 0);
		assert_int_equal((u64)r.ecx, hz[i] >> cpuid_crystal_shift(hz[i]));
		assert_int_equal(r.ebx, 1u << cpuid_crystal_shift(hz[i]));
		assert_in_range((u64)r.ecx * r.ebx, hz[i] - r.ebx + 1, hz[i]);
		assert_int_equal(cpuid_crystal_shift(hz[i]), i < 3 ? 0 : i == 3 ? 1 : 2);
		r = ask(0x40000010, 0);
		assert_int_equal(r.eax, hz[i] / 1000);
		assert_int_equal(r.ebx, (hz[i] >> cpuid_crystal_shift(hz[i])) / 1000);
		assert_int_equal(r.ecx | r.edx, 0);
	}
	/* another vendor's processors have no such leaf */
	vendor_ecx = 0x444d4163;
	build(0x20, 0x80000008, ONES);
	assert_int_equal(ask(0, 0).eax, 0xd);
}

static void features_behind_a_missing_control_go(void **state)
{
	(void)state;
	assert_true(ask(7, 0).ebx & BIT(10));
	assert_true(ask(1, 0).ecx & BIT(17));
	assert_true(ask(0x80000001, 0).edx & BIT(27));
	assert_true(ask(7, 0).ecx & BIT(22));
	assert_true(ask(0xd, 1).eax & BIT(3));
	fake_virt_use("invpcid", false);
	fake_virt_use("rdtscp", false);
	fake_virt_use("xsaves", false);
	build(0x20, 0x80000008, ONES);
	assert_false(ask(7, 0).ebx & BIT(10));
	assert_false(ask(1, 0).ecx & BIT(17));
	assert_false(table.cr4_valid & CR4_PCIDE);
	assert_false(ask(0x80000001, 0).edx & BIT(27));
	assert_false(ask(7, 0).ecx & BIT(22));
	assert_false(ask(0xd, 1).eax & BIT(3));
}

static void beyond_the_highest_leaf_as_the_highest_basic_one(void **state)
{
	static const u32 beyond[] = {0x16, 0x1f, 0x1000, 0x3fffffff, 0x80000009, 0x8fffffff, ONES};

	(void)state;
	assert_int_equal(ask(0, 0).eax, 0x15);
	assert_int_equal(ask(0x80000000, 0).eax, 0x80000008);
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++)
		for (unsigned subleaf = 0; subleaf < 3; subleaf++) {
			struct cpuid_regs a = ask(beyond[i], subleaf), b = ask(0x15, subleaf);

			assert_memory_equal(&a, &b, sizeof(a));
		}
	assert_true(ask(0x16, 0).ecx == 2500000000);
	vendor_ecx = 0;
	build(0x20, 0x80000008, ONES);
	assert_int_equal(ask(0, 0).eax, 0xd);
	assert_int_equal(ask(0xe, 2).eax, 256);
	/* an older host: what it lacks is not made up, but for the topology */
	build(7, 0x80000004, ONES);
	assert_int_equal(ask(0, 0).eax, 0xb);
	assert_int_equal(ask(0x80000000, 0).eax, 0x80000004);
	assert_int_equal(ask(0xd, 1).ebx, 1);
	assert_int_equal(ask(0x80000008, 1).ecx, 0x201);
	assert_int_equal(table.maxphyaddr, 36);
	assert_int_equal(table.xcr0_valid, 0);
}

static void osxsave_follows_cr4(void **state)
{
	(void)state;
	assert_false(ask(1, 0).ecx & BIT(27));
	state_now.cr4 = CR4_OSXSAVE;
	assert_true(ask(1, 0).ecx & BIT(27));
	state_now.cr4 = ~(u64)CR4_OSXSAVE;
	assert_false(ask(1, 0).ecx & BIT(27));
}

static void xsave_sizes(void **state)
{
	static const struct {
		u64 xcr0;
		u32 standard, compacted;
	} rows[] = {
		{1, 576, 576},
		{3, 576, 576},
		{7, 576 + 256, 576 + 256},
		/* AVX-512's components stand behind a hole, which compacting closes */
		{0xe7, 2688, 576 + 256 + 64 + 512 + 1024},
	};

	(void)state;
	assert_int_equal(table.xcr0_valid, 0xe7);
	assert_int_equal(ask(0xd, 0).eax, 0xe7);
	assert_int_equal(ask(0xd, 0).edx, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		state_now.xcr0 = rows[i].xcr0;
		assert_int_equal(ask(0xd, 0).ebx, rows[i].standard);
		assert_int_equal(ask(0xd, 0).ecx, 2688); /* all that can be enabled */
		assert_int_equal(ask(0xd, 1).ebx, rows[i].compacted);
		assert_int_equal(ask(0xd, 1).ecx, 0); /* no supervisor states */
		assert_int_equal(ask(0xd, 1).edx, 0);
	}
	for (u32 subleaf = 2; subleaf < 70; subleaf++) {
		bool shown = subleaf == 2 || (subleaf >= 5 && subleaf <= 7);

		assert_int_equal(ask(0xd, subleaf).eax, shown ? components[subleaf].eax : 0);
		assert_int_equal(ask(0xd, subleaf).ebx, shown ? components[subleaf].ebx : 0);
	}
}

static void half_an_avx512_is_none(void **state)
{
	(void)state;
	host = (struct host){0x20, 0x80000008, ONES, ONES, 0x67, 15};
	cpuid_table_init(&table, 0);
	assert_int_equal(table.xcr0_valid, 7);
	assert_int_equal(ask(0xd, 0).eax, 7);
	state_now.xcr0 = 7;
	assert_int_equal(ask(0xd, 0).ecx, 832);
}

static void no_xsave_no_xcr0(void **state)
{
	(void)state;
	host = (struct host){0xd, 0x80000008, ONES, ONES & ~BIT(26), 0x2ff, 0};
	cpuid_table_init(&table, 0);
	assert_int_equal(table.xcr0_valid, 0);
	assert_false(table.cr4_valid & CR4_OSXSAVE);
	/* without XSAVEC and XSAVES there is no compacted size to tell */
	assert_int_equal(ask(0xd, 1).ebx, 0);
}

static void control_bits_follow_the_leaves(void **state)
{
	u64 always = BITS(10, 0);

	(void)state;
	assert_int_equal(table.cr4_valid, always | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE |
						  CR4_OSXSAVE | CR4_SMEP | CR4_SMAP);
	assert_int_equal(table.efer_valid, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(table.maxphyaddr, 40);
	build(0x20, 0x80000008, 0);
	assert_int_equal(table.cr4_valid, always);
	assert_int_equal(table.efer_valid, 0);
}

/* A guest without LA57 has 48 bits of linear address, whatever the host has. */
static void address_widths(void **state)
{
	static const struct {
		u32 host, guest;
	} rows[] = {{0x3028, 0x3028}, {0x3927, 0x3027}, {0x3934, 0x3030}, {0x3034, 0x3030}};
	static const struct {
		u32 eax;
		int result;
	} cuts[] = {{0x3028, 0}, {0x3024, 0}, {0x3029, -EINVAL}, {0x2f24, -EINVAL}, {0x2f34, -EINVAL}};
	struct cpuid_entry entries[CPUID_ENTRIES_MAX];
	char why[100];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		widths = rows[i].host;
		build(0x20, 0x80000008, ONES);
		assert_int_equal(ask(0x80000008, 0).eax, rows[i].guest);
		assert_int_equal(table.maxphyaddr, rows[i].guest & 0xff);
	}
	widths = 0x3028;
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		build(0x20, 0x80000008, ONES);
		memcpy(entries, table.entry, sizeof(entries));
		entries[table.count - 1].regs.eax = cuts[i].eax;
		assert_int_equal(cpuid_table_cut(&table, entries, table.count, why, sizeof(why)),
				 cuts[i].result);
		assert_int_equal(table.maxphyaddr, cuts[i].result ? 0x28 : cuts[i].eax & 0xff);
	}
}

static void hypervisor_leaves(void **state)
{
	struct cpuid_regs r = ask(0x40000000, 0);

	(void)state;
	assert_int_equal(r.eax, 0x40000010);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	r = ask(0x40000001, 0);
	/* old and new clock, steal time, EOI, kick, IPIs, yield, stable clock; no hints */
	assert_int_equal(r.eax, BIT(0) | BIT(3) | BITS(7, 5) | BIT(11) | BIT(13) | BIT(24));
	assert_int_equal(r.ebx | r.ecx | r.edx, 0);
	assert_int_equal(ask(0x40000010, 0).eax, 2500000); /* kHz */
	r = ask(0x40000100, 0);
	assert_int_equal(r.eax, 0x40000100);
	assert_memory_equal(&r.ebx, "TrivetTrivet", 12);
	r = ask(0x40000002, 0);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(table_is_sorted),
		TEST(forbidden_bits_are_zero),
		TEST(allowed_bits_follow_the_host),
		TEST(speculation_controls),
		TEST(one_processor_with_id_0),
		TEST(apic_bit_follows_its_base),
		TEST(cores_of_one_package),
		TEST(clocks_are_told),
		TEST(features_behind_a_missing_control_go),
		TEST(beyond_the_highest_leaf_as_the_highest_basic_one),
		TEST(osxsave_follows_cr4),
		TEST(xsave_sizes),
		TEST(half_an_avx512_is_none),
		TEST(no_xsave_no_xcr0),
		TEST(control_bits_follow_the_leaves),
		TEST(address_widths),
		TEST(hypervisor_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
