/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the machine-check banks. Not every CPU or machine has them.
 */
#include "arch/mce.h"

#include "arch/lib/bits.h"
#include "arch/lib/string.h"
#include "arch/msr.h"

#define CAP_BANKS	  BITS(7, 0)
#define STATUS_VALID	  BIT(63)
#define STATUS_CORRUPT	  BIT(57) /* processor context corrupt */
#define BANK_STATUS(bank) (u32)(MSR_MC0_STATUS + 4 * (bank))

static u64 banks(void)
{
	u64 cap;

	msr_read_safe(MSR_MCG_CAP, &cap);
	return FIELD_GET(CAP_BANKS, cap);
}

bool mce_describe(char *text, size_t size)
{
	u64 global, status, first = 0, bank = 0;
	bool trusted = true;

	msr_read_safe(MSR_MCG_STATUS, &global);
	for (u64 i = banks(); i-- > 0;) {
		msr_read_safe(BANK_STATUS(i), &status);
		if (!(status & STATUS_VALID))
			continue;
		first = status;
		bank = i;
		trusted &= !(status & STATUS_CORRUPT);
	}
	str_format(text, size, ", mcg status 0x%lx, bank %lu status 0x%lx", global, bank, first);
	return trusted;
}

void mce_clear(void)
{
	for (u64 i = 0, count = banks(); i < count; i++)
		msr_write_safe(BANK_STATUS(i), 0);
	msr_write_safe(MSR_MCG_STATUS, 0);
}
