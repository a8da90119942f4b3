/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: a port that nobody has reads all ones in every width and takes writes; an
 * access that runs over FFFFh does not hurt; E9h reads E9h; string forms move
 * as many as they count. SDM volume 1, "I/O Port Address Space".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

static const u16 nobody[] = {0x0eee, 0x1234, 0x5670, 0xabcd, 0xfffc};

static void unclaimed(void)
{
	bool byte = true, word = true, quad = true;

	for (unsigned i = 0; i < ARRAY_SIZE(nobody); i++) {
		outb(nobody[i], 0);
		outw(nobody[i], 0);
		outl(nobody[i], 0);
		byte &= inb(nobody[i]) == 0xff;
		word &= inw(nobody[i]) == 0xffff;
		quad &= inl(nobody[i]) == 0xffffffff;
	}
	CHECK("unclaimed-8", byte);
	CHECK("unclaimed-16", word);
	CHECK("unclaimed-32", quad);
}

/* IN merges into AL and AX, and clears the upper half only in its 64-bit register. */
static void upper_parts(void)
{
	u32 eax = 0x12345678;

	__asm__ volatile("inb %%dx, %%al" : "+a"(eax) : "d"(nobody[0]));
	test_equal("inb-keeps-rest", eax, 0x123456ff);
	__asm__ volatile("inw %%dx, %%ax" : "+a"(eax) : "d"(nobody[0]));
	test_equal("inw-keeps-rest", eax, 0x1234ffff);
}

static void wrap(void)
{
	u32 value = 0;
	unsigned vector = TRY("inl %%dx, %%eax", : "+a"(value) : "d"(0xffff) : "memory");

	test_check("in-over-ffff",
		   (vector == TRAP_NONE && value == 0xffffffff) || vector == TRAP_GP,
		   "neither all ones nor #GP");
	vector = TRY("outw %%ax, %%dx", : : "a"(0), "d"(0xffff) : "memory");
	test_check("out-over-ffff", vector == TRAP_NONE || vector == TRAP_GP, "another fault");
}

static void strings(void)
{
	static u8 bytes[64];
	static u32 words[8];
	const char *text = "debug console\n";
	unsigned count = sizeof(bytes) - 4;
	void *to = bytes;
	const void *from = text;

	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(nobody[0]) : "memory");
	CHECK("rep-insb", count == 0 && to == bytes + 60 && bytes[0] == 0xff && bytes[59] == 0xff &&
				  bytes[60] == 0);
	to = words + 7;
	count = 3;
	__asm__ volatile("std; rep insl; cld" : "+D"(to), "+c"(count) : "d"(nobody[0]) : "memory");
	CHECK("rep-insl-down", count == 0 && to == words + 4 && words[7] == ~0u &&
				       words[5] == ~0u && words[4] == 0);
	count = strlen(text);
	__asm__ volatile("rep outsb"
			 : "+S"(from), "+c"(count)
			 : "d"(ABI_PORT_DEBUG_402)
			 : "memory");
	CHECK("rep-outsb", count == 0 && from == text + strlen(text));
	count = 0;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(nobody[0]) : "memory");
	CHECK("rep-outsb-none", from == text + strlen(text));
}

void test_main(void)
{
	unclaimed();
	upper_parts();
	wrap();
	strings();
	test_equal("e9-reads-e9", inb(ABI_PORT_DEBUG_E9), ABI_DEBUG_READS);
	for (const char *p = "by port E9h\n"; *p; p++)
		outb(ABI_PORT_DEBUG_E9, (u8)*p);
	test_equal("port-80-takes-writes", (outb(0x80, 0x55), 0), 0);
}
