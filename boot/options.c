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

static const u16 com_ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

static const char *const feature_names[NO_FEATURES] = {
	[NO_VPID] = "vpid",
	[NO_PREEMPTION_TIMER] = "preemption-timer",
	[NO_2M_PAGES] = "2m-pages",
	[NO_1G_PAGES] = "1g-pages",
	[NO_ACCESSED_DIRTY] = "ept-ad",
	[NO_PML] = "pml",
	[NO_MONITOR_TRAP] = "monitor-trap",
	[NO_MSR_BITMAP] = "msr-bitmap",
	[NO_TSC_DEADLINE] = "tsc-deadline",
	[NO_X2APIC] = "x2apic",
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

static size_t item_length(const char *list)
{
	const char *comma = strchr(list, ',');

	return comma ? (size_t)(comma - list) : strlen(list);
}

/* The word for a serial port, then ,BAUD if wanted. */
static bool set_serial(struct options *out, const char *value)
{
	static const char *const names[] = {"com1", "com2", "com3", "com4", "pci", "spcr"};
	size_t len = item_length(value);
	const char *rate = value + len + 1;
	int name = find_name(names, ARRAY_SIZE(names), value, len);
	u64 baud = 0;

	out->serial = SERIAL_PORT;
	if (name >= (int)ARRAY_SIZE(com_ports))
		out->serial = strncmp(value, "pci", 3) == 0 ? SERIAL_PCI : SERIAL_SPCR;
	else if (name >= 0)
		out->serial_port = com_ports[name];
	else if (!parse_port(value, len, 0x10000 - UART_PORTS, &out->serial_port))
		return false;
	/* The divisor latch has 16 bits. */
	if (value[len] != '\0' && (str_to_u64(rate, strlen(rate), &baud) || baud == 0 ||
				   UART_CLOCK % baud != 0 || UART_CLOCK / baud > 0xffff))
		return false;
	out->serial_baud = baud;
	return true;
}

static bool set_console(struct options *out, const char *value)
{
	bool none = strcmp(value, "none") == 0;

	if (none || !out->console_given) {
		out->serial = SERIAL_NONE;
		out->screen = false;
	}
	out->console_given = true;
	if (strcmp(value, "fb") == 0)
		return out->screen = true;
	return none || set_serial(out, value);
}

static bool set_log(struct options *out, const char *value)
{
	int level = find_name(log_level_names, LOG_LEVELS, value, strlen(value));

	out->log = level;
	return level >= 0;
}

static bool set_exit(struct options *out, const char *value)
{
	static const char port[] = "port:";
	const size_t skip = sizeof(port) - 1;

	out->exit = EXIT_POWEROFF;
	if (strcmp(value, "poweroff") == 0)
		return true;
	out->exit = EXIT_PORT;
	return strncmp(value, port, skip) == 0 &&
	       parse_port(value + skip, strlen(value + skip), 0xffff, &out->exit_port);
}

static bool set_no(struct options *out, const char *value)
{
	for (;;) {
		size_t len = item_length(value);
		int feature = find_name(feature_names, NO_FEATURES, value, len);

		if (feature < 0)
			return false;
		out->no |= BIT(feature);
		if (value[len] == '\0')
			return true;
		value += len + 1;
	}
}

static bool set_cpus(struct options *out, const char *value)
{
	u64 cpus;

	if (str_to_u64(value, strlen(value), &cpus) || cpus == 0 || cpus > 0xffff)
		return false;
	out->cpus = cpus;
	return true;
}

static bool set_smt(struct options *out, const char *value)
{
	out->smt = strcmp(value, "on") == 0;
	return out->smt || strcmp(value, "off") == 0;
}

static bool set_selftest(struct options *out, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len >= sizeof(out->selftest))
		return false;
	memcpy(out->selftest, value, len + 1);
	return true;
}

/* A setter may leave anything behind where it returns false. */
static const struct option {
	const char *name;
	bool (*set)(struct options *out, const char *value);
	const char *allowed;
} option_table[] = {
	{"console", set_console,
	 "com1 to com4, a port like 3f8, pci or spcr, with ,BAUD (a divisor of 115200) if wanted; "
	 "fb; none"},
	{"log", set_log, "error, warn, info, debug"},
	{"exit", set_exit, "poweroff, port:HEX"},
	{"no", set_no,
	 "a list with commas of vpid, preemption-timer, 2m-pages, 1g-pages, ept-ad, pml, "
	 "monitor-trap, msr-bitmap, tsc-deadline, x2apic"},
	{"cpus", set_cpus, "a number of cores, 1 or more"},
	{"smt", set_smt, "on, off"},
	{"selftest", set_selftest, "a test of the test image, and its argument behind a colon"},
};

/* Takes one word, its value cut off. Returns NULL or what is wrong, to be followed by *allowed. */
static const char *take_word(struct options *out, const char *name, const char *value,
			     const char **allowed)
{
	struct options changed = *out;

	for (unsigned i = 0; i < ARRAY_SIZE(option_table); i++) {
		if (strcmp(option_table[i].name, name) != 0)
			continue;
		*allowed = option_table[i].allowed;
		if (!value)
			return " needs a value: ";
		if (!option_table[i].set(&changed, value))
			return ": allowed is ";
		*out = changed;
		return NULL;
	}
	*allowed = "console= log= exit= no= cpus= smt= selftest=";
	return " is unknown; there are ";
}

const char *options_feature_name(enum option_feature feature)
{
	return feature_names[feature];
}

unsigned options_parse(const char *line, struct options *out, struct words_report *report)
{
	unsigned before = report->count;
	char word[WORD_MAX], shown[WORD_MAX];

	*out = (struct options){
		.serial = SERIAL_PORT,
		.serial_port = com_ports[0],
		.screen = true,
		.log = LOG_INFO,
	};
	while (words_next(&line, word)) {
		const char *value, *wrong, *allowed;

		memcpy(shown, word, sizeof(shown));
		value = words_split(word);
		wrong = take_word(out, word, value, &allowed);
		if (wrong)
			words_complain(report, "option '%s'%s%s", shown, wrong, allowed);
	}
	return report->count - before;
}
