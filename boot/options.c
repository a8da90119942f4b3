/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parser of Trivet's own options: one table of words, each with its setter and
 * the text that says what is allowed. Words match whole, never by a prefix.
 */
#include "boot/options.h"

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"

#define UART_CLOCK 115200u /* highest baud rate of a PC's 16550 */
#define UART_PORTS 8u
#define PORT_MIN   0x100 /* below are the mainboard's own */

static const struct {
	const char *name;
	u16 port;
} com_ports[] = {{"com1", 0x3f8}, {"com2", 0x2f8}, {"com3", 0x3e8}, {"com4", 0x2e8}};

static const char *const log_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static const char *const feature_names[NO_FEATURES] = {
	[NO_VPID] = "vpid",
	[NO_PREEMPTION_TIMER] = "preemption-timer",
	[NO_2M_PAGES] = "2m-pages",
	[NO_1G_PAGES] = "1g-pages",
	[NO_ACCESSED_DIRTY] = "ept-ad",
	[NO_TSC_DEADLINE] = "tsc-deadline",
	[NO_X2APIC] = "x2apic",
};

const char *options_feature_name(enum option_feature feature)
{
	return feature_names[feature];
}

static const char *const selftest_names[] = {
	[SELFTEST_NONE] = "",
	[SELFTEST_PANIC] = "panic",
	[SELFTEST_FAULT] = "fault",
};

/* Index of the len bytes at text in a table of names, -1 if they are none of them. */
static int find_name(const char *const *names, unsigned count, const char *text, size_t len)
{
	for (unsigned i = 0; i < count; i++)
		if (len > 0 && strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
			return i;
	return -1;
}

/* An I/O port in hexadecimal, with or without 0x, from PORT_MIN to max. */
static bool parse_port(const char *text, size_t len, u32 max, u16 *port)
{
	char digits[8] = "0x";
	bool prefixed = len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	size_t skip = prefixed ? 2 : 0;
	u64 value;

	if (len - skip > 4)
		return false;
	memcpy(digits + 2, text + skip, len - skip);
	if (str_to_u64(digits, 2 + len - skip, &value) || value < PORT_MIN || value > max)
		return false;
	*port = value;
	return true;
}

static bool set_serial(struct options *out, const char *value)
{
	const char *comma = strchr(value, ',');
	size_t len = comma ? (size_t)(comma - value) : strlen(value);
	u64 baud = UART_CLOCK;
	u16 port = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(com_ports); i++)
		if (strlen(com_ports[i].name) == len && !memcmp(com_ports[i].name, value, len))
			port = com_ports[i].port;
	if (port == 0 && !parse_port(value, len, 0x10000 - UART_PORTS, &port))
		return false;
	/* The divisor latch has 16 bits. */
	if (comma && (str_to_u64(comma + 1, strlen(comma + 1), &baud) || baud == 0 ||
		      UART_CLOCK % baud != 0 || UART_CLOCK / baud > 0xffff))
		return false;
	out->serial = true;
	out->serial_port = port;
	out->serial_baud = baud;
	return true;
}

static bool set_console(struct options *out, const char *value)
{
	struct options wanted = *out;

	if (!out->console_given)
		wanted.serial = wanted.screen = false;
	wanted.console_given = true;
	if (strcmp(value, "none") == 0)
		wanted.serial = wanted.screen = false;
	else if (strcmp(value, "fb") == 0)
		wanted.screen = true;
	else if (!set_serial(&wanted, value))
		return false;
	*out = wanted;
	return true;
}

static bool set_log(struct options *out, const char *value)
{
	int level = find_name(log_names, ARRAY_SIZE(log_names), value, strlen(value));

	if (level >= 0)
		out->log = level;
	return level >= 0;
}

static bool set_exit(struct options *out, const char *value)
{
	static const char port[] = "port:";

	if (strcmp(value, "poweroff") == 0) {
		out->exit = EXIT_POWEROFF;
		return true;
	}
	if (strncmp(value, port, sizeof(port) - 1) != 0)
		return false;
	value += sizeof(port) - 1;
	if (!parse_port(value, strlen(value), 0xffff, &out->exit_port))
		return false;
	out->exit = EXIT_PORT;
	return true;
}

static bool set_no(struct options *out, const char *value)
{
	u32 no = 0;

	for (;;) {
		const char *comma = strchr(value, ',');
		size_t len = comma ? (size_t)(comma - value) : strlen(value);
		int feature = find_name(feature_names, NO_FEATURES, value, len);

		if (feature < 0)
			return false;
		no |= BIT(feature);
		if (!comma)
			break;
		value = comma + 1;
	}
	out->no |= no;
	return true;
}

static bool set_cpus(struct options *out, const char *value)
{
	u64 cpus;

	if (str_to_u64(value, strlen(value), &cpus) || cpus == 0 || cpus > 0xffff)
		return false;
	out->cpus = cpus;
	return true;
}

static bool set_selftest(struct options *out, const char *value)
{
	int test = find_name(selftest_names, ARRAY_SIZE(selftest_names), value, strlen(value));

	if (test >= 0)
		out->selftest = test;
	return test >= 0;
}

static const struct option {
	const char *name;
	bool (*set)(struct options *out, const char *value);
	const char *allowed;
} option_table[] = {
	{"console", set_console,
	 "com1 to com4 or a port like 3f8, with ,BAUD (a divisor of 115200) if wanted; fb; none"},
	{"log", set_log, "error, warn, info, debug"},
	{"exit", set_exit, "poweroff, port:HEX"},
	{"no", set_no,
	 "a list with commas of vpid, preemption-timer, 2m-pages, 1g-pages, ept-ad, "
	 "tsc-deadline, x2apic"},
	{"cpus", set_cpus, "a number of cores, 1 or more"},
	{"selftest", set_selftest, "panic, fault"},
};

static const struct option *find_option(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(option_table); i++)
		if (strcmp(option_table[i].name, name) == 0)
			return &option_table[i];
	return NULL;
}

unsigned options_parse(const char *line, struct options *out, struct words_report *report)
{
	unsigned before = report->count;
	char word[WORD_MAX];

	*out = (struct options){
		.serial = true,
		.serial_port = com_ports[0].port,
		.serial_baud = UART_CLOCK,
		.screen = true,
		.log = LOG_INFO,
	};
	while (words_next(&line, word)) {
		const char *value = words_split(word);
		const struct option *option = find_option(word);

		if (!option)
			words_complain(report,
				       "option '%s%s%s' is unknown; there are console= log= exit= "
				       "no= cpus= selftest=",
				       word, value ? "=" : "", value ? value : "");
		else if (!value)
			words_complain(report, "option '%s' needs a value: %s", word,
				       option->allowed);
		else if (!option->set(out, value))
			words_complain(report, "option '%s=%s': allowed is %s", word, value,
				       option->allowed);
	}
	return report->count - before;
}
