/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verdicts, the end of a test program, and the C part of the start.
 */
#include "guest/lib/test.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

#define CMOS_MAGIC_INDEX 0x72
#define CMOS_COUNT_INDEX 0x73
#define CMOS_MAGIC	 0xa7
#define RESTARTS	 2

static unsigned passed, failed;

void start_c(u32 magic, u32 info);

void start_c(u32 magic, u32 info)
{
	boot_copy(magic, info);
	console_init();
	trap_init();
	test_main();
	print("%u passed, %u failed\n", passed, failed);
	test_exit(failed != 0);
}

void test_check(const char *name, bool ok, const char *what)
{
	if (ok) {
		passed++;
		print("ok %s\n", name);
	} else {
		failed++;
		print("FAIL %s: %s\n", name, what);
	}
}

void test_equal(const char *name, u64 got, u64 want)
{
	if (got == want) {
		test_check(name, true, "");
		return;
	}
	failed++;
	print("FAIL %s: got %llx, want %llx\n", name, got, want);
}

void test_skip(const char *name, const char *why)
{
	print("skip %s: %s\n", name, why);
}

bool test_spared(const char *name)
{
	if (!boot_word("bare"))
		return false;
	test_skip(name, "bare");
	return true;
}

_Noreturn void test_exit(u32 code)
{
	u16 port = (u16)boot_number("exit-port", 0);

	console_drain();
	outl(ABI_PORT_DEBUG_EXIT, code);
	print("done\n");
	console_drain();
	for (const char *p = "Shutdown"; port && *p; p++)
		outb(port, (u8)*p);
	halt_forever();
}

static u8 cmos_read(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void cmos_write(u8 index, u8 value)
{
	outb(0x70, index);
	outb(0x71, value);
}

void test_restarts(const char *name, void (*reset)(void))
{
	u8 start = 1;

	if (cmos_read(CMOS_MAGIC_INDEX) == CMOS_MAGIC)
		start = (u8)(cmos_read(CMOS_COUNT_INDEX) + 1);
	print("start %u\n", start);
	if (start <= RESTARTS) {
		cmos_write(CMOS_MAGIC_INDEX, CMOS_MAGIC);
		cmos_write(CMOS_COUNT_INDEX, start);
		console_drain();
		reset();
		for (unsigned i = 0; i < 1000000; i++)
			cpuid(0, 0);
	}
	cmos_write(CMOS_MAGIC_INDEX, 0);
	test_check(name, start == RESTARTS + 1, "still running");
}
