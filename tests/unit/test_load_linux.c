/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/load_linux.c vmm/load.c vmm/load_flat.c vmm/load_multiboot.c vmm/load_pvh.c vmm/elf.c arch/lib/format.c tests/unit/fake_gmem.c tests/unit/fake_guest.c */
/* bzImages: every field of the boot protocol that matters, and damaged ones. */
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

#define SETUP 0x400	/* boot sector and one sector of setup */
#define CODE  0x410	/* bytes of protected-mode code */
#define IMAGE (SETUP + CODE)

static u8 image[IMAGE];
static const u8 initrd[0x2000] = {1, 2, 3};

/* A small kernel by the offsets of the boot protocol, version 2.15. */
static void make_kernel(void)
{
	memset(image, 0, sizeof(image));
	for (unsigned i = 0; i < CODE; i++)
		image[SETUP + i] = i * 7 + 1;
	put(image, 0x1f1, 1, 1);	    /* setup_sects */
	put(image, 0x1f4, 4, CODE / 16);    /* syssize */
	put(image, 0x1fa, 2, 0xffff);	    /* vid_mode */
	put(image, 0x1fe, 2, 0xaa55);
	put(image, 0x200, 2, 0x6aeb);	    /* jump: the header ends at 26Ch */
	put(image, 0x202, 4, 0x53726448);
	put(image, 0x206, 2, 0x020f);
	put(image, 0x211, 1, 1);	    /* LOADED_HIGH */
	put(image, 0x214, 4, 0x100000);
	put(image, 0x22c, 4, 0x7fffffff);   /* initrd_addr_max */
	put(image, 0x230, 4, 0x200000);	    /* kernel_alignment */
	put(image, 0x234, 1, 1);	    /* relocatable */
	put(image, 0x236, 2, 1);	    /* XLF_KERNEL_64 */
	put(image, 0x238, 4, 2047);	    /* cmdline_size */
	put(image, 0x258, 8, MIB(2));	    /* pref_address */
	put(image, 0x260, 4, 0x80000);	    /* init_size */
	put(image, 0x264, 4, 0x190);	    /* handover_offset */
	put(image, 0x26c, 4, 0xdeadbeef);   /* code behind the header: not copied */
}

static void begin(struct fake_guest *g, const char *cmdline)
{
	guest_begin(g, MIB(4), MIB(2));
	guest_add(g, MODULE_LINUX, cmdline, image, sizeof(image));
}

static void test_entry_state(void **state)
{
	struct fake_guest g;
	const struct vcpu_sregs *s = &g.out.sregs;

	(void)state;
	make_kernel();
	begin(&g, "quiet");
	assert_int_equal(load_fake(&g), 0);
	assert_int_equal(g.out.regs.rip, MIB(2) + 0x200);
	assert_int_equal(g.out.regs.rflags, 2);
	assert_int_equal(g.out.regs.gpr[GPR_RSI], 0x8000);
	assert_int_equal(s->cr0, 0x80000011);
	assert_int_equal(s->cr4, 0x20);
	assert_int_equal(s->efer, 0x500);
	for (unsigned i = 0; i < SREG_COUNT; i++) {
		assert_int_equal(s->seg[i].selector, i == SREG_CS ? 0x10 : 0x18);
		assert_int_equal(s->seg[i].base, 0);
		assert_int_equal(s->seg[i].limit, 0xffffffff);
		assert_int_equal(s->seg[i].l, i == SREG_CS);
		assert_int_equal(s->seg[i].db, i != SREG_CS);
		assert_true(s->seg[i].present && s->seg[i].s && s->seg[i].g);
	}
	assert_true(s->tr.present);
	assert_true(s->ldtr.unusable);
	/* the GDT in memory says the same: __BOOT_CS 10h, __BOOT_DS 18h */
	assert_true(s->gdt.limit >= 0x1f);
	assert_int_equal(guest_value(&g, s->gdt.base + 0x10, 8), 0x00af9b000000ffffull);
	assert_int_equal(guest_value(&g, s->gdt.base + 0x18, 8), 0x00cf93000000ffffull);
	guest_end(&g);
}

/* Walks the page tables as the processor does, 2 MiB pages only. */
static u64 walk(struct fake_guest *g, u64 gva)
{
	u64 entry = guest_value(g, (g->out.sregs.cr3 & ~0xfffull) + (gva >> 39 & 511) * 8, 8);

	assert_true((entry & 3) == 3);
	entry = guest_value(g, (entry & ~0xfffull) + (gva >> 30 & 511) * 8, 8);
	assert_true((entry & 3) == 3 && !(entry & 0x80));
	entry = guest_value(g, (entry & ~0xfffull) + (gva >> 21 & 511) * 8, 8);
	assert_true((entry & 0x83) == 0x83);
	assert_int_equal(entry & 0x1ff000, 0);
	return (entry & ~0x1fffffull) | (gva & 0x1fffff);
}

static void test_page_tables(void **state)
{
	struct fake_guest g;

	(void)state;
	make_kernel();
	begin(&g, "");
	assert_int_equal(load_fake(&g), 0);
	for (u64 gva = 0; gva < GIB(4); gva += MIB(2))
		assert_int_equal(walk(&g, gva + 0x123), gva + 0x123);
	guest_end(&g);
}

static void test_zero_page(void **state)
{
	static const struct {
		u64 base, size;
		u32 type;
	} map[] = {{0, 0xa0000, 1}, {0xe0000, 0x20000, 2}, {MIB(1), MIB(3), 1},
		   {0xe0000000, 0x10000000, 2}, {GIB(4), MIB(2), 1}};
	struct fake_guest g;
	u64 zp;

	(void)state;
	make_kernel();
	begin(&g, "root=/dev/vda1 console=ttyS0");
	g.in.rsdp = 0xe1230;
	assert_int_equal(load_fake(&g), 0);
	zp = g.out.regs.gpr[GPR_RSI];
	/* the header as in the image, but for what the loader fills in */
	assert_int_equal(guest_value(&g, zp + 0x1f1, 1), 1);
	assert_int_equal(guest_value(&g, zp + 0x1fe, 2), 0xaa55);
	assert_int_equal(guest_value(&g, zp + 0x202, 4), 0x53726448);
	assert_int_equal(guest_value(&g, zp + 0x206, 2), 0x020f);
	assert_int_equal(guest_value(&g, zp + 0x238, 4), 2047);
	assert_int_equal(guest_value(&g, zp + 0x260, 4), 0x80000);
	assert_int_equal(guest_value(&g, zp + 0x264, 4), 0x190);
	assert_int_equal(guest_value(&g, zp + 0x26c, 4), 0);
	assert_int_equal(guest_value(&g, zp + 0x210, 1), 0xff);
	assert_int_equal(guest_value(&g, zp + 0x214, 4), MIB(2));
	assert_int_equal(guest_value(&g, zp + 0x218, 8), 0); /* no initrd */
	assert_string_equal(guest_string(&g, guest_value(&g, zp + 0x228, 4)),
			    "root=/dev/vda1 console=ttyS0");
	assert_int_equal(guest_value(&g, zp + 0x0c0, 4), 0);
	assert_int_equal(guest_value(&g, zp + 0x0c4, 4), 0);
	assert_int_equal(guest_value(&g, zp + 0x0c8, 4), 0);
	/* screen_info, sentinel, and everything not named are zero */
	assert_int_equal(guest_value(&g, zp + 0x070, 8), 0xe1230); /* acpi_rsdp_addr */
	for (unsigned i = 0; i < 0x1f1; i++)
		if (i != 0x1e8 && i / 8 != 0x070 / 8)
			assert_int_equal(guest_value(&g, zp + i, 1), 0);
	assert_int_equal(guest_value(&g, zp + 0x1e8, 1), ARRAY_SIZE(map));
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
		assert_int_equal(guest_value(&g, zp + 0x2d0 + 20 * i, 8), map[i].base);
		assert_int_equal(guest_value(&g, zp + 0x2d8 + 20 * i, 8), map[i].size);
		assert_int_equal(guest_value(&g, zp + 0x2e0 + 20 * i, 4), map[i].type);
	}
	for (unsigned i = 0x2d0 + 20 * ARRAY_SIZE(map); i < 4096; i++)
		assert_int_equal(guest_value(&g, zp + i, 1), 0);
	/* the kernel is in memory as in the file */
	assert_memory_equal(fake_gmem_at(g.vm, MIB(2), CODE), image + SETUP, CODE);
	assert_int_equal(guest_value(&g, MIB(2) + CODE, 8), 0);
	guest_end(&g);
}

static void test_initrds(void **state)
{
	struct fake_guest g;
	u64 zp, at;

	(void)state;
	make_kernel();
	begin(&g, "");
	guest_add(&g, MODULE_INITRD, "", "abcde", 5);
	guest_add(&g, MODULE_INITRD, "", "", 0);
	guest_add(&g, MODULE_INITRD, "", "FGH", 3);
	assert_int_equal(load_fake(&g), 0);
	zp = g.out.regs.gpr[GPR_RSI];
	at = guest_value(&g, zp + 0x218, 4);
	assert_int_equal(guest_value(&g, zp + 0x21c, 4), 11);
	assert_int_equal(at, MIB(4) - 0x1000); /* as high as RAM allows, on a page */
	assert_memory_equal(fake_gmem_at(g.vm, at, 12), "abcde\0\0\0FGH\0", 12);
	guest_end(&g);

	/* below initrd_addr_max */
	begin(&g, "");
	put(g.modules[0].mem->data, 0x22c, 4, MIB(3) - 1);
	guest_add(&g, MODULE_INITRD, "", initrd, 0x1001);
	assert_int_equal(load_fake(&g), 0);
	assert_int_equal(guest_value(&g, 0x8218, 4), MIB(3) - 0x2000);
	guest_end(&g);

	/* an initrd that does not fit above the kernel */
	begin(&g, "");
	put(g.modules[0].mem->data, 0x22c, 4, MIB(2) + 0x81800 - 1);
	put(g.modules[0].mem->data, 0x260, 4, 0x80600);
	guest_add(&g, MODULE_INITRD, "", initrd, 0x800);
	load_fake(&g);
	assert_int_equal(guest_value(&g, 0x8218, 4), MIB(2) + 0x81000);
	guest_add(&g, MODULE_INITRD, "", initrd, 0x801);
	guest_expect_error(&g, -ENOMEM, "module 3 (2049 bytes): the initrd does not fit");
	guest_end(&g);

	begin(&g, "");
	guest_add(&g, MODULE_INITRD, "", initrd, 16)->size = ~0ull;
	guest_expect_error(&g, -ENOMEM, "module 2 (18446744073709551615 bytes): the initrd");
	guest_end(&g);

	begin(&g, "");
	put(g.modules[0].mem->data, 0x22c, 4, 0);
	guest_add(&g, MODULE_INITRD, "", initrd, 16);
	guest_expect_error(&g, -ENOMEM, "the initrd does not fit");
	guest_end(&g);
}

/* One field is changed; what must the loader say? */
static void test_header_faults(void **state)
{
	static const struct {
		u32 offset, size;
		u64 value;
		int code;
		const char *text;
	} rows[] = {
		{0x1fe, 2, 0xaa54, -ENOEXEC, "not a Linux bzImage"},
		{0x202, 1, 'h', -ENOEXEC, "not a Linux bzImage"},
		{0x206, 2, 0x020b, -ENOEXEC, "(boot protocol 2.11) has no 64-bit entry"},
		{0x206, 2, 0x0204, -ENOEXEC, "(boot protocol 2.04) has no 64-bit entry"},
		{0x236, 2, 0xfffe, -ENOEXEC, "(boot protocol 2.15) has no 64-bit entry"},
		{0x201, 1, 0x61, -ENOEXEC, "has no 64-bit entry"},
		{0x211, 1, 0, -ENOEXEC, "zImage"},
		{0x1f1, 1, 3, -ENOEXEC, "cut off"},
		{0x1f1, 1, 0, -ENOEXEC, "cut off"}, /* 0 means 4 */
		{0x1f1, 1, 255, -ENOEXEC, "cut off"},
		{0x1f4, 4, CODE / 16 + 1, -ENOEXEC, "cut off: its header tells of 2080 bytes"},
		{0x1f4, 4, 0xffffffff, -ENOEXEC, "cut off"},
		{0x258, 8, MIB(4), -ENOMEM, "needs 512 KiB of RAM from 400000h on"},
		{0x258, 8, ~0ull, -ENOMEM, "needs"},
		{0x258, 8, ~0xfffull, -ENOMEM, "needs"},
		{0x258, 8, GIB(4), -ENOMEM, "needs"},
		{0x260, 4, 0x200001, -ENOMEM, "needs 2049 KiB of RAM from 200000h on, and RAM ends "
					     "at 400000h"},
		{0x260, 4, 0xffffffff, -ENOMEM, "needs"},
		{0x238, 4, 4, -ENOEXEC, "command line has 5 bytes; this kernel takes 4 at most"},
	};

	(void)state;
	make_kernel();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_guest g;

		begin(&g, "quiet");
		put(g.modules[0].mem->data, rows[i].offset, rows[i].size, rows[i].value);
		guest_expect_error(&g, rows[i].code, rows[i].text);
		assert_ptr_equal(strstr(g.err.text, "module 1 (2064 bytes): "), g.err.text);
		guest_end(&g);
	}
}

/* Fields at the edge of what is allowed. */
static void test_header_edges(void **state)
{
	static const struct {
		u32 offset, size;
		u64 value, base;
	} rows[] = {
		{0x260, 4, 0x200000, MIB(2)},	    /* all of RAM */
		{0x260, 4, 0, MIB(2)},		    /* less than the file: the file's size counts */
		{0x258, 8, MIB(4) - 0x80000, MIB(4) - 0x80000},
		{0x238, 4, 5, MIB(2)},		    /* the longest command line */
		{0x258, 8, 0, MIB(2)},		    /* nowhere in particular: aligned from 1 MiB */
		{0x201, 1, 0x62, MIB(2)},	    /* the shortest header with all fields */
		{0x201, 1, 0xff, MIB(2)},	    /* the longest: cut at the next field */
		{0x1f4, 4, 0, MIB(2)},
	};

	(void)state;
	make_kernel();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_guest g;

		begin(&g, "quiet");
		put(g.modules[0].mem->data, rows[i].offset, rows[i].size, rows[i].value);
		assert_int_equal(load_fake(&g), 0);
		assert_int_equal(g.out.regs.rip, rows[i].base + 0x200);
		assert_memory_equal(fake_gmem_at(g.vm, rows[i].base, CODE), image + SETUP, CODE);
		assert_int_equal(guest_value(&g, 0x8290, 8), 0);
		guest_end(&g);
	}
}

static void test_not_relocatable(void **state)
{
	struct fake_guest g;

	(void)state;
	make_kernel();
	put(image, 0x258, 8, 0x10000);
	put(image, 0x234, 1, 0);
	begin(&g, "");
	guest_expect_error(&g, -ENOEXEC, "must be loaded at 10000h, below 1 MiB");
	guest_end(&g);
	/* an alignment that is none */
	put(image, 0x234, 1, 1);
	for (unsigned i = 0; i < 2; i++) {
		put(image, 0x230, 4, i * 0x300000);
		begin(&g, "");
		guest_expect_error(&g, -ENOEXEC, "must be loaded");
		guest_end(&g);
	}
	put(image, 0x230, 4, BIT(31));
	begin(&g, "");
	guest_expect_error(&g, -ENOMEM, "from 80000000h on");
	guest_end(&g);
}

static void test_long_command_line(void **state)
{
	char *line = malloc(0x10001);
	struct fake_guest g;

	(void)state;
	make_kernel();
	put(image, 0x238, 4, 0xffffffff);
	memset(line, 'x', 0x10000);
	line[0x10000] = '\0';
	begin(&g, line);
	guest_expect_error(&g, -ENOEXEC, "takes 65535 at most");
	line[0xffff] = '\0';
	assert_int_equal(load_fake(&g), 0);
	assert_string_equal(guest_string(&g, guest_value(&g, 0x8228, 4)), line);
	guest_end(&g);
	free(line);
}

static void test_damage(void **state)
{
	struct fake_guest g;

	(void)state;
	make_kernel();
	begin(&g, "quiet");
	guest_add(&g, MODULE_INITRD, "", "abcde", 5);
	guest_try_failing_writes(&g);
	guest_try_prefixes(&g, IMAGE);
	guest_try_mutations(&g, SETUP, 50000, 0x7472697665740004ull);
	/* every value of every byte of the header */
	for (u32 offset = 0x1f1; offset < 0x26c; offset++) {
		u8 *byte = &g.modules[0].mem->data[offset], saved = *byte;

		for (unsigned value = 0; value < 256; value++) {
			*byte = value;
			load_fake(&g);
		}
		*byte = saved;
	}
	guest_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_state),
		cmocka_unit_test(test_page_tables),
		cmocka_unit_test(test_zero_page),
		cmocka_unit_test(test_initrds),
		cmocka_unit_test(test_header_faults),
		cmocka_unit_test(test_header_edges),
		cmocka_unit_test(test_not_relocatable),
		cmocka_unit_test(test_long_command_line),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
