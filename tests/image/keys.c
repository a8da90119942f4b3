/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PS/2 keyboard of a machine: selftest=keys says when it listens, and up to Enter what it heard.
 */
#include "arch/lib/string.h"
#include "drivers/kbd.h"
#include "tests/image/selftest.h"

static unsigned run_keys(const char *argument)
{
	char heard[200] = "";
	size_t used = 0;
	bool end = false;

	(void)argument;
	if (!kbd_init()) {
		log_error("selftest: no keyboard");
		return 1;
	}
	log_info("selftest: type");
	while (!end && used + 4 * KBD_SEQUENCE < sizeof(heard)) {
		u8 data[KBD_SEQUENCE];
		unsigned count = kbd_try_read(data, sizeof(data));

		for (unsigned i = 0; i < count; i++)
			used += (size_t)str_format(heard + used, sizeof(heard) - used, " %02x", data[i]);
		end = count && data[count - 1] == '\r';
	}
	log_info("selftest: heard%s", heard);
	return 0;
}

DEFINE_SELFTEST(keys_test, .name = "keys", .early = true, .run = run_keys);
