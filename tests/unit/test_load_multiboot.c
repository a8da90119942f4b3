/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/load_multiboot.c vmm/elf.c vmm/load.c vmm/load_flat.c vmm/load_linux.c vmm/load_pvh.c arch/lib/format.c tests/unit/fake_gmem.c tests/unit/fake_guest.c */
/* Multiboot 1 kernels: ELF and flat, the boot information, and damaged ones. */
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

#define HEADER 0x94 /* of the multiboot header in the file */
#define CODE   0x200
#define IMAGE  0x300

static u8 image[IMAGE];

static void put_phdr(unsigned index, u32 type, u32 offset, u32 vaddr, u32 paddr, u32 filesz,
		     u32 memsz)
{
	u32 at = 52 + 32 * index;

	put(image, at, 4, type);
	put(image, at + 4, 4, offset);
	put(image, at + 8, 4, vaddr);
	put(image, at + 12, 4, paddr);
	put(image, at + 16, 4, filesz);
	put(image, at + 20, 4, memsz);
	put(image, at + 28, 4, 0x1000);
}

static void put_header(u32 at, u32 flags)
{
	put(image, at, 4, 0x1badb002);
	put(image, at + 4, 4, flags);
	put(image, at + 8, 4, -(0x1badb002 + flags));
}

/* A 32-bit ELF kernel: code at 1 MiB with bss, linked at C0100000h; data at 2 MiB. */
static void make_kernel(void)
{
	memset(image, 0, sizeof(image));
	put(image, 0, 4, 0x464c457f);
	put(image, 4, 4, 0x00010101); /* 32 bits, little-endian, version 1 */
	put(image, 16, 2, 2);
	put(image, 18, 2, 3);
	put(image, 24, 4, 0xc0100010); /* entry */
	put(image, 28, 4, 52);
	put(image, 42, 2, 32);
	put(image, 44, 2, 3);
	put_phdr(0, 1, CODE, 0xc0100000, 0x100000, 0x80, 0x1000);
	put_phdr(1, 0x6474e551, 0, 0, 0, 0, 0); /* PT_GNU_STACK: passed over */
	put_phdr(2, 1, CODE + 0x80, 0xc0200000, 0x200000, 0x80, 0x80);
	put_header(HEADER, 3);
	for (unsigned i = CODE; i < IMAGE; i++)
		image[i] = i * 3 + 1;
}

static void begin(struct fake_guest *g, const char *cmdline, u64 size)
{
	guest_begin(g, MIB(3), MIB(1));
	guest_add(g, MODULE_MULTIBOOT, cmdline, image, size);
}

static void test_elf(void **state)
{
	struct fake_guest g;

	(void)state;
	make_kernel();
	begin(&g, "", IMAGE);
	memset(fake_gmem_at(g.vm, MIB(1), 0x2000), 0xcc, 0x2000);
	assert_int_equal(load_fake(&g), 0);
	/* at p_paddr, the rest of p_memsz zeroed, nothing else touched */
	assert_memory_equal(fake_gmem_at(g.vm, 0x100000, 0x80), image + CODE, 0x80);
	for (u32 at = 0x100080; at < 0x101000; at++)
		assert_int_equal(guest_value(&g, at, 1), 0);
	assert_int_equal(guest_value(&g, 0x101000, 1), 0xcc);
	assert_memory_equal(fake_gmem_at(g.vm, 0x200000, 0x80), image + CODE + 0x80, 0x80);
	/* entered at the physical address of the virtual entry */
	guest_expect_protected32(&g, 0x100010);
	assert_int_equal(g.out.regs.gpr[GPR_RAX], 0x2badb002);
	guest_end(&g);

	/* an entry that is physical already stays as it is */
	make_kernel();
	put(image, 24, 4, 0x100020);
	begin(&g, "", IMAGE);
	assert_int_equal(load_fake(&g), 0);
	assert_int_equal(g.out.regs.rip, 0x100020);
	guest_end(&g);
}

static void test_information(void **state)
{
	static const struct {
		u64 base, size;
		u32 type;
	} map[] = {{0, 0xa0000, 1}, {0xe0000, 0x20000, 2}, {MIB(1), MIB(2), 1},
		   {0xe0000000, 0x10000000, 2}, {GIB(4), MIB(1), 1}};
	struct fake_guest g;
	u64 info, mods, entry;

	(void)state;
	make_kernel();
	begin(&g, "a b", IMAGE);
	g.in.name = "lab";
	guest_add(&g, MODULE_DATA, "mod one", "11111", 5);
	guest_add(&g, MODULE_INITRD, "", "", 0);
	guest_add(&g, MODULE_DATA, "x", "22", 2);
	assert_int_equal(load_fake(&g), 0);
	info = g.out.regs.gpr[GPR_RBX];
	assert_true(info > 0x10000 && info + 116 <= 0xa0000);
	assert_int_equal(guest_value(&g, info, 4), 0x24f);
	assert_int_equal(guest_value(&g, info + 4, 4), 640);
	assert_int_equal(guest_value(&g, info + 8, 4), 2048); /* KiB from 1 MiB on */
	assert_int_equal(guest_value(&g, info + 12, 4), 0x8000ffff);
	assert_string_equal(guest_string(&g, guest_value(&g, info + 16, 4)), "lab a b");
	assert_int_equal(guest_value(&g, info + 20, 4), 3);
	assert_string_equal(guest_string(&g, guest_value(&g, info + 64, 4)), "Trivet");

	mods = guest_value(&g, info + 24, 4);
	entry = guest_value(&g, mods, 4);
	assert_int_equal(entry & 0xfff, 0);
	assert_true(entry >= 0x200080);
	assert_int_equal(guest_value(&g, mods + 4, 4), entry + 5);
	assert_memory_equal(guest_string(&g, entry), "11111", 5);
	assert_string_equal(guest_string(&g, guest_value(&g, mods + 8, 4)), "mod one");
	assert_int_equal(guest_value(&g, mods + 16, 4), guest_value(&g, mods + 20, 4));
	assert_string_equal(guest_string(&g, guest_value(&g, mods + 24, 4)), "");
	entry = guest_value(&g, mods + 32, 4);
	assert_int_equal(entry & 0xfff, 0);
	assert_memory_equal(guest_string(&g, entry), "22", 2);
	assert_string_equal(guest_string(&g, guest_value(&g, mods + 40, 4)), "x");

	assert_int_equal(guest_value(&g, info + 44, 4), 24 * ARRAY_SIZE(map));
	entry = guest_value(&g, info + 48, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++, entry += 24) {
		assert_int_equal(guest_value(&g, entry, 4), 20);
		assert_int_equal(guest_value(&g, entry + 4, 8), map[i].base);
		assert_int_equal(guest_value(&g, entry + 12, 8), map[i].size);
		assert_int_equal(guest_value(&g, entry + 20, 4), map[i].type);
	}
	guest_try_failing_writes(&g);
	guest_end(&g);

	/* no command line: the name alone */
	begin(&g, "", IMAGE);
	assert_int_equal(load_fake(&g), 0);
	info = g.out.regs.gpr[GPR_RBX];
	assert_string_equal(guest_string(&g, guest_value(&g, info + 16, 4)), "guest");
	assert_int_equal(guest_value(&g, info + 20, 4), 0);
	guest_end(&g);
}

/* A kernel that fills low memory gets its tables above itself. */
static void test_low_kernel(void **state)
{
	struct fake_guest g;
	u64 info;

	(void)state;
	make_kernel();
	put_phdr(0, 1, CODE, 0x10000, 0x10000, 0x80, 0x90000);
	put_phdr(2, 1, CODE + 0x80, 0x100000, 0x100000, 0x80, 0x80);
	put(image, 24, 4, 0x10000);
	begin(&g, "", IMAGE);
	guest_add(&g, MODULE_DATA, "", "m", 1);
	assert_int_equal(load_fake(&g), 0);
	info = g.out.regs.gpr[GPR_RBX];
	assert_true(info >= 0x100080);
	assert_true(guest_value(&g, guest_value(&g, info + 24, 4), 4) >= info + 116);
	guest_end(&g);

	/* and where there is no room there either, it says so */
	put_phdr(2, 1, CODE + 0x80, 0x100000, 0x100000, 0x80, MIB(2) - 0x90000);
	put_phdr(1, 1, CODE + 0x80, 0x100000, MIB(3) - 0x90000, 0x80, 0x90000);
	begin(&g, "", IMAGE);
	g.in.ram_below_4g = MIB(3);
	guest_expect_error(&g, -ENOMEM, "no room in RAM for its boot information");
	guest_end(&g);
}

static void test_no_room_for_module(void **state)
{
	static const u8 large[MIB(1)];
	struct fake_guest g;

	(void)state;
	make_kernel();
	begin(&g, "", IMAGE);
	guest_add(&g, MODULE_DATA, "", large, MIB(1) - 0x1000);
	assert_int_equal(load_fake(&g), 0);
	guest_add(&g, MODULE_DATA, "", large, 1);
	guest_expect_error(&g, -ENOMEM, "module 3 (1 bytes): it does not fit in the VM's 3 MiB");
	guest_end(&g);
}

static void test_faults(void **state)
{
	static const struct {
		u32 offset, size;
		u64 value;
		int code;
		const char *text;
	} rows[] = {
		{HEADER, 4, 0x1badb003, -ENOEXEC, "no multiboot header in its first 8 KiB"},
		{HEADER + 8, 4, 1, -ENOEXEC, "no multiboot header"},
		{0, 1, 0x7e, -ENOEXEC, "not an ELF file"},
		{4, 1, 2, -ENOEXEC, "64-bit ELF"},
		{4, 1, 3, -ENOEXEC, "ELF class"},
		{5, 1, 2, -ENOEXEC, "byte order"},
		{18, 2, 40, -ENOEXEC, "ELF file for machine 40"},
		{44, 2, 0, -ENOEXEC, "program headers are wrong"},
		{44, 2, 129, -ENOEXEC, "program headers are wrong"},
		{42, 2, 31, -ENOEXEC, "program headers are wrong"},
		{28, 4, IMAGE - 31, -ENOEXEC, "cut off within its program headers"},
		{28, 4, 0xffffffff, -ENOEXEC, "cut off within its program headers"},
		{52 + 4, 4, IMAGE + 1, -ENOEXEC, "segment 0 lies beyond"},
		{52 + 4, 4, IMAGE - 0x7f, -ENOEXEC, "segment 0 lies beyond"},
		{52 + 4, 4, 0xfffffff0, -ENOEXEC, "segment 0 lies beyond"},
		{52 + 16, 4, 0xffffffff, -ENOEXEC, "segment 0 has more bytes in the file"},
		{52 + 16, 4, 0x1000, -ENOEXEC, "segment 0 lies beyond"},
		{52 + 20, 4, 0x7f, -ENOEXEC, "segment 0 has more bytes in the file"},
		{52 + 20, 4, 0xffffffff, -ENOMEM, "larger than the VM's RAM"},
		{52 + 20, 4, MIB(3), -ENOMEM, "does not fit in the VM's RAM"},
		{52 + 20, 4, MIB(3) - 0x40, -ENOMEM, "does not fit in the VM's RAM"},
		{52 + 12, 4, 0xa0000, -ENOMEM, "segment 0, 4096 bytes at a0000h, does not fit"},
		{52 + 12, 4, 0x9f001, -ENOMEM, "does not fit"},
		{52 + 12, 4, 0xff000, -ENOMEM, "does not fit"},
		{52 + 12, 4, MIB(3) - 0xfff, -ENOMEM, "does not fit"},
		{52 + 12, 4, 0xffffffff, -ENOMEM, "does not fit"},
		{24, 4, 0x50, -ENOEXEC, "entry 50h lies outside"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_guest g;

		make_kernel();
		begin(&g, "", IMAGE);
		put(g.modules[0].mem->data, rows[i].offset, rows[i].size, rows[i].value);
		guest_expect_error(&g, rows[i].code, rows[i].text);
		assert_ptr_equal(strstr(g.err.text, "module 1 (768 bytes): "), g.err.text);
		guest_end(&g);
	}
}

static void test_no_segments(void **state)
{
	struct fake_guest g;

	(void)state;
	make_kernel();
	put(image, 52, 4, 0);
	put(image, 52 + 64, 4, 0);
	begin(&g, "", IMAGE);
	guest_expect_error(&g, -ENOEXEC, "no segment to load");
	guest_end(&g);
	/* segments over each other again and again */
	make_kernel();
	put_phdr(0, 1, CODE, 0x100000, 0x100000, 0, MIB(2));
	put_phdr(1, 1, CODE, 0x100000, 0x100000, 0, MIB(2));
	begin(&g, "", IMAGE);
	guest_expect_error(&g, -ENOMEM, "larger than the VM's RAM");
	guest_end(&g);
}

static void test_header_place(void **state)
{
	static u8 large[8192 + 16];
	struct fake_guest g;

	(void)state;
	/* the last place where a whole header is within 8 KiB, and one beyond */
	for (u32 at = 8180; at <= 8184; at += 4) {
		make_kernel();
		put(image, HEADER, 4, 0);
		memset(large, 0, sizeof(large));
		memcpy(large, image, IMAGE);
		put_header(HEADER, 3);
		memcpy(large + at, image + HEADER, 12);
		guest_begin(&g, MIB(3), 0);
		guest_add(&g, MODULE_MULTIBOOT, "", large, sizeof(large));
		assert_int_equal(load_fake(&g), at == 8180 ? 0 : -ENOEXEC);
		guest_end(&g);
	}
	/* flags: those that may be ignored, and one that may not */
	make_kernel();
	put_header(HEADER, 0xfffe0007);
	begin(&g, "", IMAGE);
	assert_int_equal(load_fake(&g), 0);
	guest_end(&g);
	put_header(HEADER, 0x8);
	begin(&g, "", IMAGE);
	guest_expect_error(&g, -ENOEXEC, "unknown features, flags 8h");
	guest_end(&g);
}

/* A flat kernel: header at 20h, loaded from 10h on at 110000h. */
static void make_flat(void)
{
	memset(image, 0x11, sizeof(image));
	put_header(0x20, 0x10003);
	put(image, 0x2c, 4, 0x110010); /* header_addr */
	put(image, 0x30, 4, 0x110000); /* load_addr */
	put(image, 0x34, 4, 0x110100); /* load_end_addr */
	put(image, 0x38, 4, 0x110200); /* bss_end_addr */
	put(image, 0x3c, 4, 0x110050); /* entry_addr */
}

static void test_addresses(void **state)
{
	static const struct {
		u32 offset;
		u64 value;
		int code;
		const char *text;
	} rows[] = {
		{0x2c, 0x10ffff, -ENOEXEC, "contradict"},
		{0x2c, 0x110021, -ENOEXEC, "contradict"},
		{0x30, 0x10ffef, -ENOEXEC, "contradict"},
		{0x34, 0x10ffff, -ENOEXEC, "contradict"},
		{0x34, 0x1102f1, -ENOEXEC, "cut off: its header tells of 769 bytes"},
		{0x34, 0xffffffff, -ENOEXEC, "cut off"},
		{0x38, 0xffffffff, -ENOMEM, "do not fit in the VM's RAM"},
		{0x38, 0x300001, -ENOMEM, "2031617 bytes at 110000h do not fit"},
		{0x3c, 0x10ffff, -ENOEXEC, "entry 10ffffh lies outside"},
		{0x3c, 0x110200, -ENOEXEC, "entry 110200h lies outside"},
	};
	struct fake_guest g;

	(void)state;
	make_flat();
	begin(&g, "", IMAGE);
	memset(fake_gmem_at(g.vm, 0x110000, 0x1000), 0xcc, 0x1000);
	assert_int_equal(load_fake(&g), 0);
	guest_expect_protected32(&g, 0x110050);
	assert_memory_equal(fake_gmem_at(g.vm, 0x110000, 0x100), image + 0x10, 0x100);
	assert_int_equal(guest_value(&g, 0x110100, 8), 0);
	assert_int_equal(guest_value(&g, 0x1101f8, 8), 0);
	assert_int_equal(guest_value(&g, 0x110200, 1), 0xcc);
	guest_try_mutations(&g, 0x40, 20000, 0x7472697665740005ull);
	guest_end(&g);

	/* no load_end_addr: the whole file; no bss_end_addr: no bss */
	put(image, 0x34, 8, 0);
	begin(&g, "", IMAGE);
	assert_int_equal(load_fake(&g), 0);
	assert_memory_equal(fake_gmem_at(g.vm, 0x110000, IMAGE - 0x10), image + 0x10, IMAGE - 0x10);
	guest_end(&g);

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		make_flat();
		put(image, rows[i].offset, 4, rows[i].value);
		begin(&g, "", IMAGE);
		guest_expect_error(&g, rows[i].code, rows[i].text);
		guest_end(&g);
	}
	make_flat();
	begin(&g, "", 0x3f);
	guest_expect_error(&g, -ENOEXEC, "no multiboot header");
	guest_end(&g);
}

static void test_damage(void **state)
{
	struct fake_guest g;

	(void)state;
	make_kernel();
	begin(&g, "words", IMAGE);
	guest_add(&g, MODULE_DATA, "mod", "11111", 5);
	guest_try_prefixes(&g, IMAGE);
	guest_try_mutations(&g, CODE, 100000, 0x7472697665740006ull);
	guest_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_information),
		cmocka_unit_test(test_low_kernel),
		cmocka_unit_test(test_no_room_for_module),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_no_segments),
		cmocka_unit_test(test_header_place),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
