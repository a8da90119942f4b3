/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: arch/vmx_apic.c arch/ept.c arch/pt.c tests/unit/fake_pages.c */
/*
 * The frame behind the xAPIC in the nested tables: where it is and is not, that taking
 * it away raises the generation (which no emulator would miss) and leaves the tables
 * that other CPUs may walk, and that memory of the guest's there is left alone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "arch/vmx.h"
#include "arch/mitigate.h"
#include "tests/unit/fake_pages.h"

struct vmx_caps vmx_caps;
struct mitigate_plan mitigate;

void vmx_vcpu_controls2(struct vmx_vcpu *v, u32 mask, u32 bits)
{
	fail();
}

static struct virt_vm *vm;

static void begin(u32 use)
{
	memset(&vmx_caps, 0, sizeof(vmx_caps));
	vmx_caps.use[VMX_PROC2] = use;
	vmx_caps.ept_vpid_use = EPT_CAP_2M;
	fake_pages_fail_after = -1;
	assert_int_equal(ept_vm_create(&vm), 0);
	assert_int_equal(vmx_apic_create(vm), 0);
}

static void end(void)
{
	ept_vm_destroy(vm);
	assert_int_equal(fake_pages_out, 0);
}

static u64 leaf(void)
{
	unsigned level = 0;
	const u64 *entry = pt_leaf(&vm->ept, 0xfee00000, &level);

	return entry ? *entry : 0;
}

static void on_and_off(void **state)
{
	unsigned tables;
	u64 generation;

	(void)state;
	begin(PROC2_APIC_ACCESS);
	assert_int_equal(vmx_apic_page(vm, false), 0);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(vmx_apic_page(vm, true), 0);
		assert_int_equal(vmx_apic_page(vm, true), 0);
		/* readable, writable, not executable */
		assert_int_equal(leaf() & 7, 3);
		assert_int_equal(leaf() & PT_ADDRESS, virt_to_phys(vm->apic_frame).v);
		tables = vm->ept.table_pages;
		generation = vm->ept.generation;
		assert_int_equal(vmx_apic_page(vm, false), 0);
		assert_int_equal(leaf(), 0);
		assert_true(vm->ept.generation > generation);
		assert_int_equal(vm->ept.table_pages, tables);
		generation = vm->ept.generation;
		assert_int_equal(vmx_apic_page(vm, false), 0);
		assert_int_equal(vm->ept.generation, generation);
	}
	assert_int_equal(vmx_apic_page(vm, true), 0);
	end();
}

static void memory_there(void **state)
{
	u64 before;

	(void)state;
	begin(PROC2_APIC_ACCESS);
	assert_int_equal(ept_vm_map(vm, GPA(0xfee00000), HPA(MIB(4)), MIB(2),
				    MAP_READ | MAP_WRITE | MAP_EXEC, MEMTYPE_RAM), 0);
	before = leaf();
	assert_int_not_equal(vmx_apic_page(vm, true), 0);
	assert_int_equal(vmx_apic_page(vm, false), 0);
	assert_int_equal(leaf(), before);
	end();
}

static void without_the_feature(void **state)
{
	(void)state;
	begin(PROC2_X2APIC);
	assert_null(vm->apic_frame);
	assert_int_equal(vmx_apic_page(vm, true), 0);
	assert_int_equal(leaf(), 0);
	assert_int_equal(vmx_apic_page(vm, false), 0);
	end();
}

static void no_memory(void **state)
{
	(void)state;
	begin(0);
	vmx_caps.use[VMX_PROC2] = PROC2_APIC_ACCESS;
	fake_pages_fail_after = 0;
	assert_int_equal(vmx_apic_create(vm), -ENOMEM);
	assert_int_equal(vmx_apic_create(vm), 0);
	for (int after = 0; after < 3; after++) {
		fake_pages_fail_after = after;
		assert_int_equal(vmx_apic_page(vm, true), -ENOMEM);
		assert_int_equal(leaf(), 0);
	}
	fake_pages_fail_after = -1;
	assert_int_equal(vmx_apic_page(vm, true), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_and_off),
		cmocka_unit_test(memory_there),
		cmocka_unit_test(without_the_feature),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
