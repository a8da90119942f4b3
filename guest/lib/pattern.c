/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks for what is another's in a value. 32 bits are compared: 16 of them would
 * be seen now and then in a counter.
 */
#include "guest/lib/pattern.h"

#define TWO_LANES 0xff00ff00u

/* Where Trivet keeps itself, each range 2^40 long but the image's, and guests' windows. */
static bool is_address(u64 value)
{
	static const u32 ranges[] = {0xffff80, 0xffff90, 0x000040, 0x000060};

	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++)
		if (value >> 40 == ranges[i])
			return true;
	return value >> 24 == 0xffffffff80;
}

static enum pattern_kind look(u32 part)
{
	if ((part & TWO_LANES) == (PATTERN_LANE | (u32)PATTERN_LANE << 16))
		return PATTERN_VM;
	return part == POISON_STACK ? PATTERN_STACK : part == POISON_FREED ? PATTERN_FREED : PATTERN_NONE;
}

enum pattern_kind pattern_look(u64 value, unsigned size)
{
	if (size == 8 && is_address(value))
		return PATTERN_ADDRESS;
	for (unsigned byte = 0; byte + 4 <= size; byte++) {
		enum pattern_kind kind = look((u32)(value >> 8 * byte));

		if (kind)
			return kind;
	}
	return PATTERN_NONE;
}

const char *pattern_name(enum pattern_kind kind)
{
	static const char *const names[] = {"nothing", "a VM's pattern", "poison of a stack",
					    "poison of a freed page", "an address of Trivet's"};

	return names[kind];
}
