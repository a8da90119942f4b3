/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/vmx_msr.c tests/unit/fake_pages.c */
/*
 * The MSR bitmaps: each of the 4 x 8,192 bits of both against a list of what may
 * pass, for what the CPU offers and what the VM's policy lets through.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "arch/mitigate.h"
#include "arch/vmx.h"
#include "tests/unit/fake_pages.h"

struct vmx_caps vmx_caps;

int msr_read_safe(u32 msr, u64 *value)
{
	*value = msr;
	return 0;
}

static unsigned barriers;

int msr_write_safe(u32 msr, u64 value)
{
	barriers += msr == 0x49 && value == 1;
	return value == 0 || msr == 0x49 ? 0 : -EIO;
}

u64 mitigate_caps = 0x123456789;
void vmx_vcpu_set_spec_ctrl(struct vmx_vcpu *v, u64 value)
{
	v->spec_ctrl = value;
}

/* What a guest may reach in both, by the manual's numbers. */
static bool plain(u32 msr)
{
	switch (msr) {
	case 0x174: case 0x175: case 0x176: /* SYSENTER */
	case 0xc0000100: case 0xc0000101: case 0xc0000102: /* FS, GS, KERNEL_GS base */
	case 0xc0000081: case 0xc0000082: case 0xc0000083: case 0xc0000084: /* STAR to FMASK */
		return true;
	case 0xc0000103: /* TSC_AUX, of which a CPU without RDTSCP knows nothing */
		return vmx_caps.use[VMX_PROC2] & BIT(3);
	default:
		return false;
	}
}

/* "Virtualizing MSR-Based APIC Accesses": more, in the second. */
static bool served(u32 msr, bool write)
{
	bool registers = vmx_caps.use[VMX_PROC2] & BIT(8), delivers = vmx_caps.use[VMX_PROC2] & BIT(9);

	if (msr == 0x808)
		return true;
	if (write)
		return delivers && (msr == 0x80b || msr == 0x83f);
	if (msr == 0x80a)
		return registers && delivers;
	return registers && (msr == 0x802 || msr == 0x803 || msr == 0x80d || msr == 0x80f ||
			     (msr >= 0x810 && msr <= 0x828) || (msr >= 0x832 && msr <= 0x838) ||
			     msr == 0x83e);
}

static bool allowed(const void *arg, u32 msr, bool write)
{
	assert_ptr_equal(arg, &vmx_caps);
	return (msr ^ write) & 1;
}

static void check(const u8 *bitmap, bool filtered, bool second)
{
	for (unsigned bit = 0; bit < 4 * 8192; bit++) {
		bool write = bit >= 2 * 8192, high = bit & 8192;
		u32 msr = (bit & 8191) | (high ? 0xc0000000 : 0);
		bool pass = plain(msr) || (second && served(msr, write));

		if (filtered && !allowed(&vmx_caps, msr, write))
			pass = false;
		if (!!(bitmap[bit / 8] & BIT(bit % 8)) == pass)
			fail_msg("MSR %x, write %u, filtered %u, second %u", msr, write, filtered, second);
	}
}

static void each_bit(void **state)
{
	static const u32 sets[] = {0, PROC2_RDTSCP, PROC2_APIC_REGISTERS | PROC2_RDTSCP,
				   PROC2_VIRTUAL_INTERRUPTS,
				   PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS};
	struct virt_vm vm = {0};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++)
		for (unsigned filtered = 0; filtered < 2; filtered++) {
			vmx_caps.use[VMX_PROC2] = sets[i];
			assert_int_equal(vmx_msr_filter(&vm, filtered ? allowed : NULL, &vmx_caps), 0);
			check(vm.msr_bitmap, filtered, false);
			check(vm.msr_bitmap + PAGE_SIZE, filtered, true);
		}
	pages_free(vm.msr_bitmap, 2);
	assert_int_equal(fake_pages_out, 0);
}

static void no_memory(void **state)
{
	struct virt_vm vm = {0};

	(void)state;
	fake_pages_fail_after = 0;
	assert_int_equal(vmx_msr_filter(&vm, NULL, NULL), -ENOMEM);
	assert_null(vm.msr_bitmap);
	fake_pages_fail_after = -1;
}

static void accesses(void **state)
{
	u64 value = 0;

	(void)state;
	assert_int_equal(vmx_msr_access(NULL, false, MSR_STAR, &value), 0);
	assert_int_equal(value, MSR_STAR);
	assert_int_equal(vmx_msr_access(NULL, true, MSR_STAR, &value), -EINVAL);
	value = 0;
	assert_int_equal(vmx_msr_access(NULL, true, MSR_KERNEL_GS_BASE, &value), 0);
	value = BIT(50); /* not canonical */
	assert_int_equal(vmx_msr_access(NULL, true, MSR_GS_BASE, &value), -EINVAL);
	assert_int_equal(vmx_msr_access(NULL, false, 0x808, &value), -ENOENT);
	assert_int_equal(vmx_msr_access(NULL, false, MSR_EFER, &value), -ENOENT);
}

/* IA32_SPEC_CTRL is the vCPU's, IA32_PRED_CMD a command, and IA32_ARCH_CAPABILITIES all CPUs'. */
static void speculation(void **state)
{
	static struct vmx_vcpu v;
	u64 value = 5;

	(void)state;
	assert_int_equal(vmx_msr_access(&v.base, true, 0x48, &value), 0);
	value = 0;
	assert_int_equal(vmx_msr_access(&v.base, false, 0x48, &value), 0);
	assert_int_equal(value, 5);
	assert_int_equal(vmx_msr_access(&v.base, false, 0x10a, &value), 0);
	assert_int_equal(value, 0x123456789);
	assert_int_equal(vmx_msr_access(&v.base, true, 0x10a, &value), -ENOENT);
	assert_int_equal(vmx_msr_access(&v.base, false, 0x49, &value), -ENOENT);
	value = 1;
	assert_int_equal(vmx_msr_access(&v.base, true, 0x49, &value), 0);
	assert_int_equal(barriers, 1);
	assert_int_equal(vmx_msr_access(&v.base, true, 0x10b, &value), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bit),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(accesses),
		cmocka_unit_test(speculation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
