/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parser of Trivet's own options: one table of words. They match whole, never by
 * a prefix.
 */
#include "boot/options.h"

#include "arch/lib/string.h"
#include "boot/words.h"

#define UART_CLOCK 115200u /* highest baud rate of a PC's 16550 */
#define UART_PORTS 8u
#define PORT_MIN   0x100 /* below are the mainboard's own */

static const u16 com_ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

const char *const options_features[] = {
	"vpid", "preemption-timer", "2m-pages", "1g-pages", "ept-ad", "pml", "monitor-trap",
	"msr-bitmap", "tsc-deadline", "x2apic", "apicv", "tpr-shadow", "apic-access",
	"x2apic-virtualization", "apic-registers", "virtual-interrupts", "pause-loop-exit", NULL
};

static int find_feature(const char *name, size_t len)
{
	return words_index(options_features, ARRAY_SIZE(options_features) - 1, name, len);
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
	int name = words_index(names, ARRAY_SIZE(names), value, len);
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

static const char *take_console(const struct word *word, const char *value, void *to)
{
	struct options *out = to;
	bool none = strcmp(value, "none") == 0;

	if (none || !out->console_given) {
		out->serial = SERIAL_NONE;
		out->screen = false;
	}
	out->console_given = true;
	if (strcmp(value, "fb") == 0)
		out->screen = true;
	else if (!none && !set_serial(out, value))
		return word->allowed;
	return NULL;
}

static const char *take_exit(const struct word *word, const char *value, void *to)
{
	static const char port[] = "port:";
	const size_t skip = sizeof(port) - 1;
	struct options *out = to;

	if (strcmp(value, "poweroff") == 0)
		out->exit = EXIT_POWEROFF;
	else if (strncmp(value, port, skip) == 0 &&
		 parse_port(value + skip, strlen(value + skip), 0xffff, &out->exit_port))
		out->exit = EXIT_PORT;
	else
		return word->allowed;
	return NULL;
}

static const char *take_no(const struct word *word, const char *value, void *to)
{
	for (;;) {
		size_t len = item_length(value);
		int feature = find_feature(value, len);

		if (feature < 0)
			return word->allowed;
		*(u32 *)to |= BIT(feature);
		if (value[len] == '\0')
			return NULL;
		value += len + 1;
	}
}

static const char *const off_on[] = {"off", "on"}, *const pci_words[] = {"quiet", "leave"};
static const char *const mitigate_modes[] = {"auto", "off", "force"};

#define PLACE(member) WORD_PLACE(struct options, member)
static const struct word option_table[] = {
	{"console", "must be com1 to com4, a port like 3f8, pci or spcr, with ,BAUD (a divisor of "
		    "115200) if wanted; or fb, or none", .take = take_console},
	{"log", "must be error, warn, info or debug", PLACE(log), words_choice,
	 LOG_LEVELS, log_level_names},
	{"exit", "must be poweroff or port:HEX", .take = take_exit},
	{"no", "must be of vpid, preemption-timer, 2m-pages, 1g-pages, ept-ad, "
	       "pml, monitor-trap, msr-bitmap, tsc-deadline, x2apic, apicv, tpr-shadow, apic-access, "
	       "x2apic-virtualization, apic-registers, virtual-interrupts, pause-loop-exit",
	 PLACE(no), take_no},
	{"cpus", "must be a number of cores, 1 or more", PLACE(cpus), words_number, .max = 0xffff},
	{"smt", "must be on or off", PLACE(smt), words_choice, ARRAY_SIZE(off_on), off_on},
	{"pci", "must be quiet or leave", PLACE(pci_leave), words_choice, ARRAY_SIZE(pci_words),
	 pci_words},
	{"mitigations", "must be auto, off or force", PLACE(mitigations), words_choice,
	 ARRAY_SIZE(mitigate_modes), mitigate_modes},
	{"selftest", "must be a test of the test image, and its argument behind a colon",
	 PLACE(selftest), words_text},
};

bool options_no(const struct options *options, const char *feature)
{
	return options->no & BIT(find_feature(feature, strlen(feature)));
}

void options_parse(const char *line, struct options *out)
{
	char word[WORD_MAX], shown[WORD_MAX];

	*out = (struct options){
		.serial = SERIAL_PORT,
		.serial_port = com_ports[0],
		.screen = true,
		.log = LOG_INFO,
	};
	while (words_next(&line, word)) {
		const char *value, *wrong = "is unknown; there are console= log= exit= no= cpus= smt= "
					    "pci= mitigations= selftest=";
		struct options before = *out;
		const struct word *known;

		memcpy(shown, word, sizeof(shown));
		value = words_split(word);
		known = words_find(option_table, ARRAY_SIZE(option_table), word);
		if (known)
			wrong = words_take(known, value, (char *)out + known->offset);
		if (!wrong)
			continue;
		*out = before;
		words_complain("option '%s' %s", shown, wrong);
	}
}
