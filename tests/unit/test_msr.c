/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/msr.c arch/virt.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * The MSR allow-list: sorted, default deny over all that a guest can name, and
 * the values that its registers take. Source: Intel SDM volume 4; volume 3,
 * "Memory Type Range Registers (MTRRs)" and "Page Attribute Table (PAT)".
 */
#include "vmm/msr.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/msr.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/cr.h"
#include "vmm/vm.h"

static struct vm vm;
static struct vcpu vcpu;
static struct fake_vcpu *cpu;
static u64 efer_written;

static u64 clock;
static u64 lapic_value, pv_value;
static u32 lapic_index, pv_index;
static bool refuse;

bool lapic_read_msr(struct vcpu *of, u32 index, u64 *value)
{
	assert_ptr_equal(of, &vcpu);
	lapic_index = index;
	*value = lapic_value;
	return !refuse;
}

bool lapic_write_msr(struct vcpu *of, u32 index, u64 value)
{
	assert_ptr_equal(of, &vcpu);
	lapic_index = index;
	lapic_value = value;
	return !refuse;
}

bool pv_write_msr(struct vcpu *of, u32 index, u64 value)
{
	assert_ptr_equal(of, &vcpu);
	pv_index = index;
	pv_value = value;
	return !refuse;
}

void vcpu_set_tsc_delta(struct vcpu *of, u64 delta)
{
	assert_ptr_equal(of, &vcpu);
	of->tsc_delta = delta;
}

u64 vm_now(const struct vm *of)
{
	assert_ptr_equal(of, &vm);
	return clock;
}

bool cr_set_efer(struct vcpu *of, u64 value)
{
	assert_ptr_equal(of, &vcpu);
	efer_written = value;
	return value != 0xbad;
}

static int setup(void **state)
{
	(void)state;
	fake_host_init(0);
	fake_virt_init();
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	vm.cpuid.maxphyaddr = 40;
	refuse = false;
	vcpu.vm = &vm;
	virt->vcpu_create(NULL, &vcpu.virt);
	virt->vcpu_reset(vcpu.virt);
	cpu = fake_vcpu_of(vcpu.virt);
	memset(&vcpu.msrs, 0x77, sizeof(vcpu.msrs));
	msr_reset(&vcpu);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virt->vcpu_destroy(vcpu.virt);
	return 0;
}

static u64 get(u32 index)
{
	u64 value = 0x1234;

	assert_true(msr_read(&vcpu, index, &value));
	return value;
}

static bool set(u32 index, u64 value)
{
	return msr_write(&vcpu, index, value);
}

/* Accepted and read back, or refused and as before. */
static bool keeps(u32 index, u64 value)
{
	u64 before = get(index);
	bool taken = set(index, value);

	assert_int_equal(get(index), taken ? value : before);
	return taken;
}

/* What a guest may read: the architectural registers that Trivet has. */
static bool expected(u32 index)
{
	static const u32 one[] = {0x10, 0x17, 0x8b, 0xfe, 0x179, 0x17a, 0x1a0, 0x1d9, 0x250,
				  0x258, 0x259, 0x277, 0x2ff, 0xda0, 0xc0000080, 0x174, 0x175,
				  0x176, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
				  0xc0000101, 0xc0000102, 0xc0000103, 0x11, 0x12, 0x1b, 0x3b,
				  0x6e0, 0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d04};

	for (unsigned i = 0; i < ARRAY_SIZE(one); i++)
		if (index == one[i])
			return true;
	return (index >= 0x200 && index < 0x210) || (index >= 0x268 && index < 0x270) ||
	       (index >= 0x800 && index < 0x900);
}

static void table_is_sorted_and_named(void **state)
{
	u32 first, last, end = 0;
	const char *name;
	unsigned rows = 0;

	(void)state;
	while (msr_range(rows, &first, &last, &name)) {
		assert_true(first <= last);
		assert_true(rows == 0 || first > end);
		assert_true(name && name[0]);
		end = last;
		rows++;
	}
	assert_true(rows > 10);
	assert_false(msr_range(rows, &first, &last, &name));
	assert_false(msr_range(~0u, &first, &last, &name));
}

static void try_range(u32 first, u32 last)
{
	for (u32 index = first; index <= last; index++) {
		u64 value;

		assert_int_equal(msr_read(&vcpu, index, &value), expected(index));
		if (!expected(index)) {
			assert_false(set(index, 0));
			assert_false(set(index, ~0ull));
		}
	}
}

static void default_is_deny(void **state)
{
	(void)state;
	try_range(0, 0x1fff);
	try_range(0x40000000, 0x4000ffff);
	try_range(0x4b564d00, 0x4b564dff);
	try_range(0xc0000000, 0xc0001fff);
	try_range(0xfffffff0, 0xfffffffe);
	assert_false(set(0xffffffff, 0));
	/* no VMX, no microcode update, and no speculation control where CPUID has none */
	assert_false(expected(MSR_FEATURE_CONTROL) || expected(MSR_VMX_BASIC) || expected(0x79) ||
		     expected(MSR_FLUSH_CMD) || expected(MSR_TSX_CTRL));
}

/* By what CPUID has: IA32_SPEC_CTRL keeps its bits, IA32_PRED_CMD is a command, and
 * IA32_ARCH_CAPABILITIES tells what is true in a VM. */
static void speculation(void **state)
{
	static const struct {
		u64 host, shown;
	} capabilities[] = {
		{0, BIT(6)}, {~0ull, BITS(6, 0) | BIT(8) | BITS(15, 13) | BIT(17) | BITS(20, 19) |
				     BIT(24) | BITS(28, 26) | BIT(62)},
		{BIT(0) | BIT(1), BIT(0) | BIT(1) | BIT(6)}, {BIT(7) | BIT(18), BIT(6)},
	};
	u64 value;

	(void)state;
	vm.cpuid.spec_ctrl_valid = 5;
	assert_int_equal(get(0x48), 0);
	assert_true(keeps(0x48, 1) && keeps(0x48, 4) && keeps(0x48, 5) && keeps(0x48, 0));
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(keeps(0x48, BIT(bit)), bit == 0 || bit == 2);
	assert_false(set(0x49, 1));
	vm.cpuid.pred_cmd_valid = 1;
	assert_false(msr_read(&vcpu, 0x49, &value));
	assert_true(set(0x49, 1) && set(0x49, 0));
	assert_false(set(0x49, 2) || set(0x49, 3) || set(0x49, BIT(63)));
	assert_false(msr_read(&vcpu, 0x10a, &value));
	vm.cpuid.arch_capabilities = true;
	for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++) {
		cpu->msr[FAKE_VIRT_MSRS - 1] = capabilities[i].host;
		assert_int_equal(get(0x10a), capabilities[i].shown);
		assert_false(set(0x10a, capabilities[i].shown));
	}
}

static void unknown_ones_are_counted_and_told_once(void **state)
{
	u64 value;

	(void)state;
	for (unsigned i = 0; i < 1000000; i++)
		msr_read(&vcpu, 0x3a, &value);
	assert_int_equal(fake_host.log_lines, 1);
	assert_true(fake_host_logged("3ah"));
	for (unsigned i = 0; i < 100000; i++)
		set(0x10000 + i, 0);
	assert_int_equal(vm.unknown_msrs.count, 1100000);
	assert_int_equal(fake_host.log_lines, ONCE_KEYS);
}

static void read_only_and_zero_registers(void **state)
{
	static const u32 read_only[] = {0x17, MSR_MTRRCAP, MSR_MCG_CAP};
	static const u32 zero[] = {MSR_MCG_STATUS, MSR_DEBUGCTL, MSR_XSS};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(read_only); i++) {
		assert_false(set(read_only[i], 0));
		assert_false(set(read_only[i], get(read_only[i])));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(zero); i++) {
		assert_int_equal(get(zero[i]), 0);
		assert_true(set(zero[i], 0));
		for (unsigned bit = 0; bit < 64; bit++)
			assert_false(set(zero[i], BIT(bit)));
	}
	assert_true(set(MSR_BIOS_SIGN_ID, 0)); /* as a look at the revision begins */
	assert_int_equal(get(MSR_MCG_CAP) & 0xff, 0); /* no banks */
}

static void xss_only_with_xsaves(void **state)
{
	u64 value;

	(void)state;
	fake_virt_use("xsaves", false);
	assert_false(msr_read(&vcpu, MSR_XSS, &value));
	assert_false(set(MSR_XSS, 0));
}

static void mtrr_capabilities_hold(void **state)
{
	u64 cap = get(MSR_MTRRCAP);

	(void)state;
	assert_int_equal(cap & 0xff, 8); /* variable ranges: 200h-20Fh */
	assert_true(cap & BIT(8));	 /* fixed ranges */
	assert_false(cap & BIT(11));	 /* no SMRR */
}

static bool mtrr_type(unsigned type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static void mtrr_fixed_types(void **state)
{
	static const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				    0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		assert_int_equal(get(fixed[i]), 0);
		for (unsigned byte = 0; byte < 8; byte++)
			for (unsigned type = 0; type < 256; type++)
				assert_int_equal(keeps(fixed[i], (u64)type << 8 * byte),
						 mtrr_type(type));
	}
	/* each is a register of its own */
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		assert_true(set(fixed[i], (i < 8 ? 6ull : 5ull) << 8 * (i % 8)));
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		assert_int_equal(get(fixed[i]), (i < 8 ? 6ull : 5ull) << 8 * (i % 8));
}

static void mtrr_variable_ranges(void **state)
{
	(void)state;
	for (u32 base = 0x200; base < 0x210; base += 2) {
		for (unsigned type = 0; type < 256; type++)
			assert_int_equal(keeps(base, 0x8000000000ull | type), mtrr_type(type));
		for (unsigned bit = 8; bit < 64; bit++)
			assert_int_equal(keeps(base, BIT(bit)), bit >= 12 && bit < 40);
		for (unsigned bit = 0; bit < 64; bit++)
			assert_int_equal(keeps(base + 1, BIT(bit)), bit >= 11 && bit < 40);
	}
	assert_true(set(0x200, 0x1000) && set(0x201, 0x2800) && set(0x20f, 0x3800));
	assert_int_equal(get(0x200), 0x1000);
	assert_int_equal(get(0x201), 0x2800);
	assert_int_equal(get(0x20f), 0x3800);
}

static void mtrr_default_type(void **state)
{
	(void)state;
	assert_int_equal(get(MSR_MTRR_DEF_TYPE), 0); /* disabled after reset */
	for (unsigned type = 0; type < 256; type++)
		assert_int_equal(keeps(MSR_MTRR_DEF_TYPE, BIT(11) | type), mtrr_type(type));
	for (unsigned bit = 8; bit < 64; bit++)
		assert_int_equal(keeps(MSR_MTRR_DEF_TYPE, BIT(bit)), bit == 10 || bit == 11);
}

static void pat_types(void **state)
{
	(void)state;
	assert_int_equal(get(MSR_PAT), 0x0007040600070406ull);
	for (unsigned byte = 0; byte < 8; byte++)
		for (unsigned type = 0; type < 256; type++) {
			u64 value = (u64)type << 8 * byte;

			assert_int_equal(keeps(MSR_PAT, value), mtrr_type(type) || type == 7);
			if (mtrr_type(type) || type == 7)
				assert_int_equal(cpu->reg[VREG_PAT], value);
		}
}

static void tsc_and_its_offset(void **state)
{
	(void)state;
	clock = 1000000;
	vcpu.tsc_delta = 7;
	assert_int_equal(get(MSR_TSC), 1000007);
	assert_true(set(MSR_TSC, 5));
	assert_int_equal(get(MSR_TSC), 5);
	assert_int_equal(vcpu.tsc_delta, (u64)(5 - 1000000));
}

/* "IA32_TSC_ADJUST Register Support": 0 after RESET; what a WRMSR adds to the one is added
 * to the other as well. */
static void tsc_adjust_and_tsc(void **state)
{
	(void)state;
	clock = 1000000;
	assert_int_equal(get(MSR_TSC_ADJUST), 0);
	assert_true(set(MSR_TSC_ADJUST, 500));
	assert_int_equal(get(MSR_TSC), 1000500);
	assert_true(set(MSR_TSC, 1000400)); /* 100 less */
	assert_int_equal(get(MSR_TSC_ADJUST), 400);
	clock += 50;
	assert_int_equal(get(MSR_TSC), 1000450);
	assert_true(set(MSR_TSC_ADJUST, -1000450ull));
	assert_int_equal(get(MSR_TSC), -400ull);
	assert_true(set(MSR_TSC_ADJUST, 0));
	assert_int_equal(get(MSR_TSC), clock);
}

static void apic_registers_are_the_apics(void **state)
{
	static const u32 index[] = {0x6e0, 0x800, 0x83f, 0x8ff};
	u64 value;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(index); i++) {
		refuse = false;
		lapic_value = i + 7;
		assert_int_equal(get(index[i]), i + 7);
		assert_int_equal(lapic_index, index[i]);
		assert_true(set(index[i], i + 9));
		assert_int_equal(lapic_value, i + 9);
		refuse = true;
		assert_false(set(index[i], 0));
		assert_false(msr_read(&vcpu, index[i], &value));
	}
}

/* IA32_APIC_BASE is written by the APIC, and read where it stands. */
static void apic_base_is_read_where_it_stands(void **state)
{
	(void)state;
	lapic_value = 5;
	lapic_index = 0;
	vcpu.lapic.base = 0xfee00900;
	assert_int_equal(get(0x1b), 0xfee00900);
	assert_int_equal(lapic_index, 0);
	assert_true(set(0x1b, 0xfee00d00));
	assert_int_equal(lapic_index, 0x1b);
	assert_int_equal(lapic_value, 0xfee00d00);
	refuse = true;
	assert_false(set(0x1b, 0));
}

static const struct virt_msr *slot(u32 index)
{
	const struct virt_msr *slot = virt_msr_slot(&vcpu.virt->served, index);

	return slot->index == index && slot->epoch == vcpu.virt->served.epoch ? slot : NULL;
}

/* What a read has found the next finds in the slot, as it is then; where it must be asked for
 * anew, as what depends on time or on the CPU, nothing stands there. */
static void reads_are_remembered(void **state)
{
	static const u32 kept[] = {0x11, 0x1b, 0x1a0, 0x200, 0x20f, 0x250, 0x258, 0x26f, 0x277,
				   0x2ff, 0x4b564d01, 0x4b564d04, 0x17, 0x8b, 0xfe, 0x179};
	static const u32 asked[] = {0x10, 0x3b, 0x6e0, 0x800, 0x808, 0x80d, 0x839, 0x174, 0xc0000080,
				    0xc0000081, 0xc0000100, 0xc0000102, 0xc0000103};
	static const u32 unknown[] = {0x0, 0x1fff, 0x40000000, 0xc0000105, 0x210};
	u64 value;

	(void)state;
	vcpu.virt->served.epoch = 3;
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
		assert_null(slot(kept[i]));
		value = get(kept[i]);
		assert_non_null(slot(kept[i]));
		assert_int_equal(*slot(kept[i])->value, value);
		vcpu.virt->served.epoch++; /* another answer may be right from now on */
		assert_null(slot(kept[i]));
	}
	get(0x277);
	assert_true(set(0x277, 0x0606060606060606));
	assert_int_equal(*slot(0x277)->value, 0x0606060606060606);
	assert_false(set(0x277, 2));
	assert_int_equal(*slot(0x277)->value, 0x0606060606060606);
	for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
		get(asked[i]);
		assert_null(slot(asked[i]));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_false(msr_read(&vcpu, unknown[i], &value));
		assert_non_null(slot(unknown[i]));
		assert_null(slot(unknown[i])->value); /* #GP */
	}
}

/* The old and the new number are one register; a value that is refused is not kept. */
static void paravirtual_registers(void **state)
{
	static const u32 index[] = {0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d04};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(index); i++) {
		refuse = false;
		assert_int_equal(get(index[i]), i == 2 || i == 3 ? 0x1000 + i - 2 : 0);
		assert_true(set(index[i], 0x1000 + i));
		assert_int_equal(pv_index, index[i]);
		assert_int_equal(pv_value, 0x1000 + i);
		refuse = true;
		assert_false(set(index[i], 0x5000));
		assert_int_equal(get(index[i]), 0x1000 + i);
	}
	refuse = false;
	assert_int_equal(get(0x11), 0x1002);
	assert_int_equal(get(0x12), 0x1003);
}

static void efer_is_the_control_registers_matter(void **state)
{
	(void)state;
	cpu->reg[VREG_EFER] = EFER_LME;
	assert_int_equal(get(MSR_EFER), EFER_LME);
	assert_true(set(MSR_EFER, EFER_SCE));
	assert_int_equal(efer_written, EFER_SCE);
	assert_false(set(MSR_EFER, 0xbad));
}

static void misc_enable(void **state)
{
	u64 reset = get(MSR_MISC_ENABLE);

	(void)state;
	/* fast strings; no branch trace, no precise events */
	assert_int_equal(reset, BIT(0) | BIT(11) | BIT(12));
	assert_true(keeps(MSR_MISC_ENABLE, reset));
	assert_true(keeps(MSR_MISC_ENABLE, reset & ~BIT(0)));
	for (unsigned bit = 1; bit < 64; bit++)
		assert_false(keeps(MSR_MISC_ENABLE, get(MSR_MISC_ENABLE) ^ BIT(bit)));
}

static void reset_brings_all_back(void **state)
{
	(void)state;
	assert_true(set(MSR_PAT, 0) && set(MSR_MTRR_DEF_TYPE, 0xc06) && set(0x26f, 0x0606));
	assert_true(set(0x20e, 0x5006) && set(MSR_MISC_ENABLE, BIT(11) | BIT(12)));
	msr_reset(&vcpu);
	assert_int_equal(get(MSR_PAT), 0x0007040600070406ull);
	assert_int_equal(get(MSR_MTRR_DEF_TYPE), 0);
	assert_int_equal(get(0x26f), 0);
	assert_int_equal(get(0x20e), 0);
	assert_int_equal(get(MSR_MISC_ENABLE), BIT(0) | BIT(11) | BIT(12));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(table_is_sorted_and_named),
		TEST(default_is_deny),
		TEST(speculation),
		TEST(unknown_ones_are_counted_and_told_once),
		TEST(read_only_and_zero_registers),
		TEST(xss_only_with_xsaves),
		TEST(mtrr_capabilities_hold),
		TEST(mtrr_fixed_types),
		TEST(mtrr_variable_ranges),
		TEST(mtrr_default_type),
		TEST(pat_types),
		TEST(tsc_and_its_offset),
		TEST(tsc_adjust_and_tsc),
		TEST(apic_registers_are_the_apics),
		TEST(apic_base_is_read_where_it_stands),
		TEST(reads_are_remembered),
		TEST(paravirtual_registers),
		TEST(efer_is_the_control_registers_matter),
		TEST(misc_enable),
		TEST(reset_brings_all_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
