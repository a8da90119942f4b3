/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: boot/options.c boot/words.c arch/lib/format.c arch/lib/log.c tests/unit/fake_gmem.c */
/* Trivet's options: defaults, every word and value, and each kind of mistake. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "arch/lib/bits.h"
#include "boot/options.h"
#include "tests/unit/fake_gmem.h"

static char messages[4096];
static unsigned mistakes;

/* What is logged, without the level that stands before each line. */
static void keep(const char *text, size_t len)
{
	static const char level[] = "error: ";

	assert_memory_equal(text, level, sizeof(level) - 1);
	mistakes++;
	if (strlen(messages) + len < sizeof(messages))
		strncat(messages, text + sizeof(level) - 1, len - sizeof(level) + 1);
}

static struct log_sink sink = {.write = keep};

static struct options parse(const char *line, unsigned wrong)
{
	struct options options;

	messages[0] = '\0';
	memset(&options, 0xee, sizeof(options));
	mistakes = 0;
	options_parse(line, &options);
	assert_int_equal(mistakes, wrong);
	return options;
}

static void test_defaults(void **state)
{
	struct options o = parse("", 0);

	(void)state;
	assert_int_equal(o.serial, SERIAL_PORT);
	assert_int_equal(o.serial_port, 0x3f8);
	assert_int_equal(o.serial_baud, 0);
	assert_true(o.screen);
	assert_false(o.console_given);
	assert_int_equal(o.log, LOG_INFO);
	assert_int_equal(o.exit, EXIT_STAY);
	assert_int_equal(o.no, 0);
	assert_int_equal(o.cpus, 0);
	assert_string_equal(o.selftest, "");
}

static void test_console(void **state)
{
	static const struct {
		const char *line;
		enum option_serial serial;
		bool screen;
		u16 port;
		u32 baud;
	} rows[] = {
		{"console=com1", SERIAL_PORT, false, 0x3f8, 0},
		{"console=com2,9600", SERIAL_PORT, false, 0x2f8, 9600},
		{"console=com3,57600", SERIAL_PORT, false, 0x3e8, 57600},
		{"console=com4,2", SERIAL_PORT, false, 0x2e8, 2},
		{"console=e000", SERIAL_PORT, false, 0xe000, 0},
		{"console=0xE0A8,38400", SERIAL_PORT, false, 0xe0a8, 38400},
		{"console=fff8", SERIAL_PORT, false, 0xfff8, 0},
		{"console=fb", SERIAL_NONE, true, 0x3f8, 0},
		{"console=none", SERIAL_NONE, false, 0x3f8, 0},
		{"console=fb console=com2", SERIAL_PORT, true, 0x2f8, 0},
		{"console=com1 console=none", SERIAL_NONE, false, 0x3f8, 0},
		{"console=com1,115200", SERIAL_PORT, false, 0x3f8, 115200},
		{"console=pci", SERIAL_PCI, false, 0x3f8, 0},
		{"console=pci,9600", SERIAL_PCI, false, 0x3f8, 9600},
		{"console=spcr console=fb", SERIAL_SPCR, true, 0x3f8, 0},
		{"console=fb console=spcr,57600", SERIAL_SPCR, true, 0x3f8, 57600},
		{"console=pci console=none", SERIAL_NONE, false, 0x3f8, 0},
		{"console=com2,9600 console=com1", SERIAL_PORT, false, 0x3f8, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct options o = parse(rows[i].line, 0);

		assert_int_equal(o.serial, rows[i].serial);
		assert_int_equal(o.screen, rows[i].screen);
		assert_true(o.console_given);
		assert_int_equal(o.serial_port, rows[i].port);
		assert_int_equal(o.serial_baud, rows[i].baud);
	}
}

static void test_words(void **state)
{
	static const char *const levels[] = {"log=error", "log=warn", "log=info", "log=debug"};
	static const char *const features[] = {"no=vpid", "no=preemption-timer", "no=2m-pages",
					       "no=1g-pages", "no=ept-ad", "no=pml",
					       "no=monitor-trap", "no=msr-bitmap",
					       "no=tsc-deadline", "no=x2apic", "no=apicv",
					       "no=tpr-shadow", "no=apic-access",
					       "no=x2apic-virtualization", "no=apic-registers",
					       "no=virtual-interrupts", "no=pause-loop-exit"};
	struct options o;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++)
		assert_int_equal(parse(levels[i], 0).log, i);
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		o = parse(features[i], 0);
		assert_string_equal(options_features[i], features[i] + strlen("no="));
		assert_int_equal(o.no, BIT(i));
		assert_true(options_no(&o, options_features[i]));
	}
	assert_null(options_features[ARRAY_SIZE(features)]);
	o = parse("no=vpid,x2apic no=ept-ad", 0);
	assert_true(options_no(&o, "vpid") && options_no(&o, "x2apic") && options_no(&o, "ept-ad"));
	assert_false(options_no(&o, "1g-pages") || options_no(&o, "pml"));
	assert_int_equal(parse("exit=poweroff", 0).exit, EXIT_POWEROFF);
	o = parse("exit=port:8900", 0);
	assert_int_equal(o.exit, EXIT_PORT);
	assert_int_equal(o.exit_port, 0x8900);
	assert_int_equal(parse("exit=port:0x501", 0).exit_port, 0x501);
	assert_int_equal(parse("cpus=3", 0).cpus, 3);
	assert_int_equal(parse("", 0).mitigations, MITIGATE_AUTO);
	assert_int_equal(parse("mitigations=off", 0).mitigations, MITIGATE_OFF);
	assert_int_equal(parse("mitigations=force", 0).mitigations, MITIGATE_FORCE);
	assert_int_equal(parse("mitigations=off mitigations=auto", 0).mitigations, MITIGATE_AUTO);
	assert_true(parse("pci=leave", 0).pci_leave);
	assert_false(parse("pci=leave pci=quiet", 0).pci_leave);
	assert_string_equal(parse("selftest=panic", 0).selftest, "panic");
	assert_string_equal(parse("selftest=a:b,c", 0).selftest, "a:b,c");
	o = parse("console=com1,115200 log=debug exit=port:8900 no=1g-pages cpus=2", 0);
	assert_int_equal(o.log, LOG_DEBUG);
	assert_int_equal(o.cpus, 2);
}

/* Each is one mistake, leaves the default, and the message quotes the word. */
static void test_mistakes(void **state)
{
	static const char *const words[] = {
		"console=", "console=com", "console=com5", "console=com11", "console=com1,",
		"console=com1,0", "console=com1,1", "console=com1,115201", "console=com1,9600x",
		"console=com1,9600,8n1", "console=fbx", "console=f", "console=0", "console=ff", "console=0x",
		"console=fff9", "console=10000", "console=0x10000", "console=none,9600", "console=fb,9600",
		"console=pc", "console=pci2", "console=pci,", "console=pci,7", "console=spcrs", "console=spcr,115200,", "console=PCI",
		"log=", "log=inf", "log=infos", "log=INFO", "log=2",
		"exit=", "exit=power", "exit=poweroffs", "exit=port", "exit=port:", "exit=port:0", "exit=port:ff",
		"exit=port:g", "exit=port:0x", "exit=port:10000", "exit=port:89000000000000000000",
		"no=", "no=vp", "no=vpid,", "no=,vpid", "no=vpid,bogus", "no=all",
		"cpus=", "cpus=0", "cpus=-1", "cpus=many", "cpus=65536", "cpus=99999999999999999999",
		"mitigations=", "mitigations=on", "mitigations=auto,nosmt", "selftest=",
		"lo=info", "logs=info", "Log=info", "=info", "log", "root=/dev/vda", "quiet",
	};
	const struct options defaults = parse("", 0);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		struct options o = parse(words[i], 1);

		assert_memory_equal(&o, &defaults, sizeof(o));
		assert_non_null(strstr(messages, words[i]));
	}
}

static void test_messages(void **state)
{
	struct options o;

	(void)state;
	parse("bogus=1", 1);
	assert_string_equal(messages, "option 'bogus=1' is unknown; there are console= log= exit= "
				      "no= cpus= smt= pci= mitigations= selftest=\n");
	parse("log=loud", 1);
	assert_string_equal(messages, "option 'log=loud' must be error, warn, info or debug\n");
	parse("pci=on", 1);
	assert_string_equal(messages, "option 'pci=on' must be quiet or leave\n");
	parse("log", 1);
	assert_string_equal(messages, "option 'log' must be error, warn, info or debug\n");
	parse("console=com9", 1);
	assert_string_equal(messages, "option 'console=com9' must be com1 to com4, a port like "
				      "3f8, pci or spcr, with ,BAUD (a divisor of 115200) if "
				      "wanted; or fb, or none\n");
	/* the list of features in the message is the list of features */
	parse("no=none", 1);
	assert_non_null(strstr(messages, "vpid, preemption-timer, 2m-pages, 1g-pages, ept-ad, pml, "
					 "monitor-trap, msr-bitmap, tsc-deadline, "
					 "x2apic, apicv, tpr-shadow, apic-access, "
					 "x2apic-virtualization, apic-registers, "
					 "virtual-interrupts, pause-loop-exit"));
	/* good words count beside bad ones */
	o = parse("x log=warn y=1 cpus=0 cpus=4", 3);
	assert_int_equal(o.log, LOG_WARN);
	assert_int_equal(o.cpus, 4);
}

static void test_mutations(void **state)
{
	static const char line[] = "console=com1,115200 log=info exit=port:8900 "
				   "no=vpid,x2apic,1g-pages cpus=12 selftest=fault \"a b\\\"\"";
	u64 seed = 0x7472697665740002ull;

	(void)state;
	for (unsigned n = 0; n < 100000; n++) {
		struct options o;
		char damaged[sizeof(line)];

		memcpy(damaged, line, sizeof(line));
		for (u64 k = fake_random(&seed) % 4 + 1; k > 0; k--)
			damaged[fake_random(&seed) % (sizeof(line) - 1)] = fake_random(&seed);
		messages[0] = '\0';
		options_parse(damaged, &o);
		assert_true(!o.serial_baud || 115200 % o.serial_baud == 0);
		assert_true(o.serial <= SERIAL_SPCR);
		assert_true(o.serial_port >= 0x100 && o.serial_port <= 0xfff8);
		assert_true(o.no < BIT(10) && o.log <= LOG_DEBUG);
		assert_true(o.exit != EXIT_PORT || o.exit_port != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_mutations),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
