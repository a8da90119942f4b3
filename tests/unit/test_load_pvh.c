/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/load_pvh.c vmm/elf.c vmm/load.c vmm/load_flat.c vmm/load_linux.c vmm/load_multiboot.c arch/lib/format.c tests/unit/fake_gmem.c tests/unit/fake_guest.c */
/* PVH kernels in 64- and 32-bit ELF files: the note, the start information, damage. */
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

#define PHDRS 64
#define NOTES 0x100
#define CODE  0x200
#define IMAGE 0x280

static u8 image[IMAGE];

static void put_phdr(unsigned index, u32 type, u64 offset, u64 paddr, u64 filesz, u64 memsz)
{
	u32 at = PHDRS + 56 * index;

	put(image, at, 4, type);
	put(image, at + 8, 8, offset);
	put(image, at + 16, 8, paddr | 0xffffffff80000000ull);
	put(image, at + 24, 8, paddr);
	put(image, at + 32, 8, filesz);
	put(image, at + 40, 8, memsz);
	put(image, at + 48, 8, 4);
}

static u32 put_note(u32 at, const char *owner, u32 type, u64 value, u32 value_size)
{
	put(image, at, 4, strlen(owner) + 1);
	put(image, at + 4, 4, value_size);
	put(image, at + 8, 4, type);
	memcpy(image + at + 12, owner, strlen(owner) + 1);
	at += 12 + ALIGN_UP(strlen(owner) + 1, 4);
	put(image, at, value_size, value);
	return at + ALIGN_UP(value_size, 4);
}

/* As Linux's vmlinux: a load segment and a note segment with other notes first. */
static void make_kernel(void)
{
	u32 at;

	memset(image, 0, sizeof(image));
	put(image, 0, 4, 0x464c457f);
	put(image, 4, 4, 0x00010102);
	put(image, 16, 2, 2);
	put(image, 18, 2, 62);
	put(image, 24, 8, 0x100000);
	put(image, 32, 8, PHDRS);
	put(image, 54, 2, 56);
	put(image, 56, 2, 2);
	at = put_note(NOTES, "GNU", 3, 0x1122334455667788, 8);
	at = put_note(at, "Linux", 18, 0xbad, 4); /* the type, but another owner */
	at = put_note(at, "Xen", 6, 0x6e696c, 3); /* a value that needs padding */
	at = put_note(at, "Xen", 18, 0x100040, 8);
	put_phdr(0, 1, CODE, 0x100000, 0x80, 0x2000);
	put_phdr(1, 4, NOTES, 0, at - NOTES, at - NOTES);
	for (unsigned i = CODE; i < IMAGE; i++)
		image[i] = i * 5 + 1;
}

static void begin(struct fake_guest *g, const char *cmdline)
{
	guest_begin(g, MIB(3), MIB(1));
	guest_add(g, MODULE_PVH, cmdline, image, IMAGE);
}

static void test_start_info(void **state)
{
	static const struct {
		u64 base, size;
		u32 type;
	} map[] = {{0, 0xa0000, 1}, {0xe0000, 0x20000, 2}, {MIB(1), MIB(2), 1},
		   {0xe0000000, 0x10000000, 2}, {GIB(4), MIB(1), 1}};
	struct fake_guest g;
	u64 info, list, at;

	(void)state;
	make_kernel();
	begin(&g, "console=ttyS0 quiet");
	guest_add(&g, MODULE_INITRD, "", "initrd", 6);
	guest_add(&g, MODULE_DATA, "second", "22", 2);
	g.in.rsdp = 0xe1230;
	assert_int_equal(load_fake(&g), 0);
	guest_expect_protected32(&g, 0x100040);
	assert_memory_equal(fake_gmem_at(g.vm, 0x100000, 0x80), image + CODE, 0x80);
	info = g.out.regs.gpr[GPR_RBX];
	assert_int_equal(guest_value(&g, info, 4), 0x336ec578);
	assert_int_equal(guest_value(&g, info + 4, 4), 1);
	assert_int_equal(guest_value(&g, info + 8, 4), 0);
	assert_int_equal(guest_value(&g, info + 12, 4), 2);
	assert_string_equal(guest_string(&g, guest_value(&g, info + 24, 8)), "console=ttyS0 quiet");
	assert_int_equal(guest_value(&g, info + 32, 8), 0xe1230);

	list = guest_value(&g, info + 16, 8);
	at = guest_value(&g, list, 8);
	assert_int_equal(at & 0xfff, 0);
	assert_true(at >= 0x102000);
	assert_int_equal(guest_value(&g, list + 8, 8), 6);
	assert_memory_equal(guest_string(&g, at), "initrd", 6);
	assert_string_equal(guest_string(&g, guest_value(&g, list + 16, 8)), "");
	assert_int_equal(guest_value(&g, list + 40, 8), 2);
	assert_memory_equal(guest_string(&g, guest_value(&g, list + 32, 8)), "22", 2);
	assert_string_equal(guest_string(&g, guest_value(&g, list + 48, 8)), "second");

	at = guest_value(&g, info + 40, 8);
	assert_int_equal(guest_value(&g, info + 48, 4), ARRAY_SIZE(map));
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++, at += 24) {
		assert_int_equal(guest_value(&g, at, 8), map[i].base);
		assert_int_equal(guest_value(&g, at + 8, 8), map[i].size);
		assert_int_equal(guest_value(&g, at + 16, 4), map[i].type);
		assert_int_equal(guest_value(&g, at + 20, 4), 0);
	}
	guest_try_failing_writes(&g);
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
		{1, 1, 'e', -ENOEXEC, "not an ELF file"},
		{PHDRS + 56, 4, 1, -ENOEXEC, "no PVH note"},
		{PHDRS + 56 + 8, 8, ~0ull, -ENOEXEC, "no PVH note"},
		{PHDRS + 56 + 8, 8, IMAGE, -ENOEXEC, "no PVH note"},
		{PHDRS + 56 + 32, 8, 0x40, -ENOEXEC, "no PVH note"}, /* ends before it */
		{PHDRS + 56 + 32, 8, 11, -ENOEXEC, "no PVH note"},
		{NOTES, 4, 0xffffffff, -ENOEXEC, "no PVH note"},
		{NOTES + 4, 4, 0xffffffff, -ENOEXEC, "no PVH note"},
		{32, 8, ~0ull, -ENOEXEC, "no PVH note"},
		{32, 8, IMAGE - 55, -ENOEXEC, "no PVH note"},
		{PHDRS + 8, 8, ~0ull, -ENOEXEC, "segment 0 lies beyond"},
		{PHDRS + 32, 8, ~0ull, -ENOEXEC, "more bytes in the file"},
		{PHDRS + 40, 8, ~0ull, -ENOMEM, "larger than the VM's RAM"},
		{PHDRS + 24, 8, ~0ull, -ENOMEM, "does not fit"},
		{PHDRS + 24, 8, GIB(4), -ENOMEM, "does not fit"}, /* RAM, but not for a 32-bit entry */
		{PHDRS + 24, 8, 0x180000, -ENOEXEC, "entry 100040h lies outside"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_guest g;

		make_kernel();
		begin(&g, "");
		put(g.modules[0].mem->data, rows[i].offset, rows[i].size, rows[i].value);
		guest_expect_error(&g, rows[i].code, rows[i].text);
		guest_end(&g);
	}
}

static void test_note_forms(void **state)
{
	struct fake_guest g;
	u32 at;

	(void)state;
	/* a 4-byte value */
	make_kernel();
	at = put_note(NOTES, "Xen", 18, 0x100044, 4);
	put_phdr(1, 4, NOTES, 0, at - NOTES, 0);
	begin(&g, "");
	assert_int_equal(load_fake(&g), 0);
	assert_int_equal(g.out.regs.rip, 0x100044);
	guest_end(&g);
	/* a value of another size is none */
	put(image, NOTES + 4, 4, 2);
	begin(&g, "");
	guest_expect_error(&g, -ENOEXEC, "no PVH note");
	guest_end(&g);
	/* 8-byte alignment where the segment says so: the value is at 16, not 24 */
	make_kernel();
	memset(image + NOTES, 0, CODE - NOTES);
	put(image, NOTES, 4, 5);
	put(image, NOTES + 4, 4, 4);
	memcpy(image + NOTES + 12, "Four", 5);
	put(image, NOTES + 24, 4, 0xbad);
	at = put_note(NOTES + 32, "Xen", 18, 0x100048, 8);
	put_phdr(1, 4, NOTES, 0, at - NOTES, 0);
	put(image, PHDRS + 56 + 48, 8, 8);
	begin(&g, "");
	assert_int_equal(load_fake(&g), 0);
	assert_int_equal(g.out.regs.rip, 0x100048);
	guest_end(&g);
}

/* The same in a 32-bit file. */
static void test_elf32(void **state)
{
	struct fake_guest g;
	u32 at;

	(void)state;
	memset(image, 0, sizeof(image));
	put(image, 0, 4, 0x464c457f);
	put(image, 4, 4, 0x00010101);
	put(image, 18, 2, 3);
	put(image, 28, 4, 52);
	put(image, 42, 2, 32);
	put(image, 44, 2, 2);
	at = put_note(NOTES, "Xen", 18, 0x100000, 4);
	put(image, 52, 4, 1);
	put(image, 56, 4, CODE);
	put(image, 64, 4, 0x100000);
	put(image, 68, 4, 0x80);
	put(image, 72, 4, 0x80);
	put(image, 84, 4, 4);
	put(image, 88, 4, NOTES);
	put(image, 100, 4, at - NOTES);
	begin(&g, "");
	assert_int_equal(load_fake(&g), 0);
	guest_expect_protected32(&g, 0x100000);
	guest_end(&g);
}

static void test_no_room(void **state)
{
	static const u8 large[MIB(2)];
	struct fake_guest g;

	(void)state;
	make_kernel();
	begin(&g, "");
	guest_add(&g, MODULE_DATA, "", large, sizeof(large));
	guest_expect_error(&g, -ENOMEM, "module 2 (2097152 bytes): it does not fit");
	guest_end(&g);
	/* an image up to the top leaves low memory; one over both leaves nothing */
	put(image, PHDRS + 40, 8, MIB(2));
	begin(&g, "");
	assert_int_equal(load_fake(&g), 0);
	assert_true(g.out.regs.gpr[GPR_RBX] < 0xa0000);
	guest_end(&g);
	make_kernel();
	put(image, 56, 2, 3);
	put_phdr(0, 1, CODE, MIB(3) - 0x80, 0x80, 0x80);
	put_phdr(2, 1, CODE, 0x20000, 0x80, 0x80);
	begin(&g, "");
	guest_expect_error(&g, -ENOMEM, "no room in RAM for its boot information");
	guest_end(&g);
}

static void test_damage(void **state)
{
	struct fake_guest g;

	(void)state;
	make_kernel();
	begin(&g, "words");
	guest_add(&g, MODULE_DATA, "mod", "11111", 5);
	guest_try_prefixes(&g, IMAGE);
	guest_try_mutations(&g, CODE, 100000, 0x7472697665740007ull);
	guest_end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_info),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_note_forms),
		cmocka_unit_test(test_elf32),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
