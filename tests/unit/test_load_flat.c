/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/load.c vmm/load_flat.c vmm/load_linux.c vmm/load_multiboot.c vmm/load_pvh.c vmm/elf.c arch/lib/format.c tests/unit/fake_gmem.c tests/unit/fake_guest.c */
/* Flat images: where they go, the real-mode start state, and sizes at the edge. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "tests/unit/fake_guest.h"

#define FLAT_MAX (0xa0000 - 0x7c00)

static void test_boot_sector(void **state)
{
	struct fake_guest g;
	u8 sector[512];

	(void)state;
	memset(sector, 0x90, sizeof(sector));
	sector[511] = 0xaa;
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_FLAT, "", sector, sizeof(sector));
	assert_int_equal(load_fake(&g), 0);
	assert_memory_equal(fake_gmem_at(g.vm, 0x7c00, 512), sector, 512);
	assert_int_equal(guest_value(&g, 0x7bff, 1), 0);
	assert_int_equal(guest_value(&g, 0x7e00, 1), 0);
	assert_int_equal(g.out.regs.rip, 0x7c00);
	assert_int_equal(g.out.regs.rflags, 2);
	assert_int_equal(g.out.regs.gpr[GPR_RDX], 0x80);
	assert_int_equal(g.out.regs.gpr[GPR_RSP], 0x7c00);
	assert_int_equal(g.out.regs.gpr[GPR_RAX], 0);
	assert_int_equal(g.out.sregs.cr0, 0x10);
	assert_int_equal(g.out.sregs.cr4, 0);
	assert_int_equal(g.out.sregs.efer, 0);
	assert_int_equal(g.out.sregs.idt.base, 0);
	assert_int_equal(g.out.sregs.idt.limit, 0x3ff);
	for (unsigned i = 0; i < SREG_COUNT; i++) {
		const struct vcpu_segment *s = &g.out.sregs.seg[i];

		assert_int_equal(s->selector, 0);
		assert_int_equal(s->base, 0);
		assert_int_equal(s->limit, 0xffff);
		assert_true(s->present && s->s && !s->db && !s->g && !s->l);
	}
	guest_try_failing_writes(&g);
	guest_end(&g);
}

static void test_sizes(void **state)
{
	u8 *large = calloc(1, FLAT_MAX + 1);
	struct fake_guest g;

	(void)state;
	large[FLAT_MAX - 1] = 0x5a;
	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_FLAT, "", large, FLAT_MAX);
	assert_int_equal(load_fake(&g), 0);
	assert_int_equal(guest_value(&g, 0x9ffff, 1), 0x5a);
	guest_end(&g);

	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_FLAT, "", large, FLAT_MAX + 1);
	guest_expect_error(&g, -ENOEXEC, "module 1 (623617 bytes): a flat image can have 623616");
	guest_end(&g);

	guest_begin(&g, MIB(1), 0);
	guest_add(&g, MODULE_FLAT, "", large, 0);
	guest_expect_error(&g, -ENOEXEC, "cannot be empty");
	guest_end(&g);
	free(large);
}

static void test_state_of_other_segments(void **state)
{
	struct load_result out;

	(void)state;
	load_state_real(&out, 0xf000, 0xfff0);
	assert_int_equal(out.sregs.seg[SREG_CS].selector, 0xf000);
	assert_int_equal(out.sregs.seg[SREG_CS].base, 0xf0000);
	assert_int_equal(out.sregs.seg[SREG_DS].base, 0);
	assert_int_equal(out.regs.rip, 0xfff0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot_sector),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_state_of_other_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
