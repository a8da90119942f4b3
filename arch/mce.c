/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the machine-check banks. Not every CPU or machine has them.
 */
#include "arch/mce.h"

#include "arch/lib/bits.h"
#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/msr.h"

#define CAP_BANKS	  BITS(7, 0)
#define STATUS_VALID	  BIT(63)
#define STATUS_CORRUPT	  BIT(57) /* processor context corrupt; then uncorrected, too */
#define STATUS_SEVERE	  (BIT(61) | STATUS_CORRUPT)
#define BANK_STATUS(bank) (u32)(MSR_MC0_STATUS + 4 * (bank))

static u64 banks(void)
{
	u64 cap;

	msr_read_safe(MSR_MCG_CAP, &cap);
	return FIELD_GET(CAP_BANKS, cap);
}

bool mce_describe(char *text, size_t size)
{
	u64 global, status, worst = 0, bank = 0;

	msr_read_safe(MSR_MCG_STATUS, &global);
	for (u64 i = banks(); i-- > 0;) {
		msr_read_safe(BANK_STATUS(i), &status);
		if (!(status & STATUS_VALID) || (status & STATUS_SEVERE) < (worst & STATUS_SEVERE))
			continue;
		worst = status;
		bank = i;
	}
	str_format(text, size, ", mcg status 0x%lx, bank %lu status 0x%lx", global, bank, worst);
	return !(worst & STATUS_CORRUPT);
}

void mce_take(void)
{
	char text[120];

	if (!mce_describe(text, sizeof(text)))
		panic("machine check in a guest%s", text);
	log_error("machine check in a guest%s", text);
	for (u64 i = 0, count = banks(); i < count; i++)
		msr_write_safe(BANK_STATUS(i), 0);
	msr_write_safe(MSR_MCG_STATUS, 0);
}
