/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: boot/config.c boot/words.c arch/lib/format.c arch/lib/log.c tests/unit/fake_gmem.c */
/* From module words to VM configurations, and what each mistake's message says. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "arch/lib/log.h"
#include "boot/config.h"
#include "tests/unit/fake_gmem.h"

static struct boot_info info;
static struct config config;
static char messages[16384];
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

/* One line for each module, NULL at the end; sizes are 1000, 2000, ... */
static unsigned parse(const char *words, ...)
{
	unsigned count = 0;
	va_list ap;

	messages[0] = '\0';
	mistakes = 0;
	memset(info.modules, 0, sizeof(info.modules));
	va_start(ap, words);
	for (; words; words = va_arg(ap, const char *)) {
		info.modules[count].start = HPA(0x100000);
		info.modules[count].words = words;
		count++;
		info.modules[count - 1].end = HPA(0x100000 + count * 1000);
	}
	va_end(ap);
	info.module_count = count;
	config_parse(&info, &config);
	return mistakes;
}

static void test_no_module(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL), 0);
	assert_int_equal(config.vm_count, 0);
	assert_int_equal(config.module_count, 0);
}

static void test_no_words(void **state)
{
	const struct machine_config *vm = &config.vms[0].machine;

	(void)state;
	assert_int_equal(parse("", "", NULL), 0);
	assert_int_equal(config.vm_count, 1);
	assert_string_equal(vm->vm, "guest");
	assert_string_equal(vm->name, "guest");
	assert_int_equal(vm->mem, 0);
	assert_false(vm->debug_exit || vm->pci_testdev || config.vms[0].refused);
	assert_int_equal(vm->module_count, 2);
	assert_ptr_equal(vm->modules, config.modules);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vm->modules[i].number, i + 1);
		assert_int_equal(vm->modules[i].size, 1000 * (i + 1));
		assert_int_equal(vm->modules[i].kind, MODULE_AUTO);
		assert_string_equal(vm->modules[i].cmdline, "");
		assert_null(vm->modules[i].mem);
	}
}

static void test_every_word(void **state)
{
	const struct machine_config *vm = &config.vms[0].machine;

	(void)state;
	assert_int_equal(parse("vm=web name=lin cpus=1 mem=512M debug-exit pci-testdev kind=linux "
			       "-- root=/dev/vda1 console=ttyS0",
			       "vm=web kind=initrd", NULL), 0);
	assert_int_equal(config.vm_count, 1);
	assert_string_equal(vm->vm, "web");
	assert_string_equal(vm->name, "lin");
	assert_int_equal(vm->mem, 512 << 20);
	assert_true(vm->debug_exit && vm->pci_testdev);
	assert_false(config.vms[0].refused);
	assert_int_equal(vm->modules[0].kind, MODULE_LINUX);
	assert_string_equal(vm->modules[0].cmdline, "root=/dev/vda1 console=ttyS0");
	assert_int_equal(vm->modules[1].kind, MODULE_INITRD);
	assert_string_equal(vm->modules[1].cmdline, "");
}

static void test_kinds(void **state)
{
	static const struct {
		const char *word;
		enum module_kind kind;
	} rows[] = {{"kind=linux", MODULE_LINUX}, {"kind=initrd", MODULE_INITRD},
		    {"kind=multiboot", MODULE_MULTIBOOT}, {"kind=pvh", MODULE_PVH},
		    {"kind=flat", MODULE_FLAT}, {"kind=data", MODULE_DATA}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].word, NULL), 0);
		assert_int_equal(config.modules[0].kind, rows[i].kind);
	}
}

/* Byte for byte behind the first `--`, later ones included, quoting left as GRUB's. */
static void test_guest_words(void **state)
{
	static const char *const rows[][2] = {
		{"--", ""},
		{"-- ", ""},
		{"-- quiet", "quiet"},
		{"-- -- spaced out", "-- spaced out"},
		{"mem=1M --  two blanks ", " two blanks "},
		{"-- \"dyndbg=file foo +p\" a\\\"b c\\\\d", "\"dyndbg=file foo +p\" a\\\"b c\\\\d"},
		{"-- mem=64M kind=flat", "mem=64M kind=flat"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i][0], NULL), 0);
		assert_string_equal(config.modules[0].cmdline, rows[i][1]);
	}
	assert_int_equal(parse("---", NULL), 1);
	assert_int_equal(parse("-", NULL), 1);
}

static void test_memory(void **state)
{
	static const struct {
		const char *word;
		u64 mem;
	} good[] = {
		{"mem=1M", 1 << 20}, {"mem=1m", 1 << 20}, {"mem=1024K", 1 << 20},
		{"mem=1025k", 0x100000}, {"mem=1028K", 0x101000}, {"mem=2G", 2ull << 30},
		{"mem=3g", 3ull << 30}, {"mem=0x10M", 16 << 20}, {"mem=17179869183G", 17179869183ull << 30},
	};
	static const char *const bad[] = {
		"mem=", "mem=M", "mem=512", "mem=1023K", "mem=0G", "mem=-1M", "mem=1.5G", "mem=1MB",
		"mem=17179869184G", "mem=99999999999999999999M", "mem", "mem=x", "mem=1T", "mem= ",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse(good[i].word, NULL), 0);
		assert_int_equal(config.vms[0].machine.mem, good[i].mem);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i], NULL), 1);
		assert_true(config.vms[0].refused);
		assert_non_null(strstr(messages, "K, M or G"));
	}
}

static void test_bad_words(void **state)
{
	static const struct {
		const char *words, *message;
	} rows[] = {
		{"root=/dev/vda1",
		 "module 1 (1000 bytes): 'root=/dev/vda1' is unknown; Trivet's words are vm= name= "
		 "kind= cpus= mem= cpu= weight= halt= on-reboot= on-crash= debug-exit pci-testdev, and the guest's own words stand behind --\n"},
		{"name=x quiet vm=web",
		 "module 1 (1000 bytes, vm=web, name=x): 'quiet' is unknown; Trivet's words are vm= "
		 "name= kind= cpus= mem= cpu= weight= halt= on-reboot= on-crash= debug-exit pci-testdev, and the guest's own words stand behind --\n"},
		{"me=1M", NULL}, {"memo=1M", NULL}, {"MEM=1M", NULL}, {"debug", NULL}, {"=", NULL},
		{"kind=disk", "module 1 (1000 bytes): 'kind=disk' is not supported yet\n"},
		{"kind=firmware", "module 1 (1000 bytes): 'kind=firmware' is not supported yet\n"},
		{"kind=lin", "module 1 (1000 bytes): 'kind=lin' must be linux, initrd, multiboot, "
			     "pvh, flat or data\n"},
		{"kind=", NULL}, {"kind=auto", NULL}, {"kind=linux kind=pvh", NULL},
		{"cpus=33", "module 1 (1000 bytes): 'cpus=33' must be a number of vCPUs from 1 to 32\n"},
		{"cpus=0", "module 1 (1000 bytes): 'cpus=0' must be a number of vCPUs from 1 to 32\n"},
		{"halt=auto", "module 1 (1000 bytes): 'halt=auto' must be exit or pass\n"},
		{"cpus=", NULL}, {"cpus=x", NULL}, {"cpus", NULL},
		{"debug-exit=1", "module 1 (1000 bytes): 'debug-exit=1' takes no value\n"},
		{"vm=", NULL}, {"vm", NULL}, {"\"vm=a b\"", NULL}, {"vm=\x1b[2J", NULL},
		{"name=abcdefghijklmnopqrstuvwxyz0123456", NULL}, {"name=a name=b", NULL},
		{"mem=1M mem=2M", "module 1 (1000 bytes): 'mem=2M' is given twice with different "
				  "values\n"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].words, NULL), 1);
		assert_true(config.vms[0].refused);
		assert_int_equal(config.vms[0].machine.module_count, 1);
		if (rows[i].message)
			assert_string_equal(messages, rows[i].message);
	}
	/* the same value again is no conflict */
	assert_int_equal(parse("mem=1M mem=1024K kind=pvh kind=pvh name=a name=a", NULL), 0);
	/* three mistakes, three lines */
	assert_int_equal(parse("a b c", NULL), 3);
	/* a word that control characters stand in does not reach a terminal so */
	parse("x\x1b[2J", NULL);
	assert_null(strchr(messages, '\x1b'));
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(parse("vm=A-z.0_9 name=abcdefghijklmnopqrstuvwxyz01234", NULL), 0);
	assert_string_equal(config.vms[0].machine.vm, "A-z.0_9");
	assert_string_equal(config.vms[0].machine.name, "abcdefghijklmnopqrstuvwxyz01234");
	/* quoting that GRUB adds is undone in Trivet's own words */
	assert_int_equal(parse("\"name=ab\"", NULL), 0);
	assert_string_equal(config.vms[0].machine.name, "ab");
	/* each module may have a name; the first is the guest's */
	assert_int_equal(parse("", "name=one", "name=two", NULL), 0);
	assert_string_equal(config.vms[0].machine.name, "one");
}

static void test_conflicts(void **state)
{
	(void)state;
	assert_int_equal(parse("mem=64M", "mem=64M", NULL), 0);
	assert_int_equal(parse("vm=a mem=64M", "vm=a mem=65M", NULL), 1);
	assert_true(config.vms[0].refused);
	assert_string_equal(messages, "module 2 (2000 bytes, vm=a): 'mem=65M' is given twice "
				      "with different values\n");
}

/* Grouping keeps the order of lines; of several none can have all memory. */
static void test_several_vms(void **state)
{
	(void)state;
	assert_int_equal(parse("vm=a", "vm=b", "vm=a mem=1M", "vm=c", "vm=b", NULL), 2);
	assert_int_equal(config.vm_count, 3);
	assert_int_equal(config.module_count, 5);
	assert_string_equal(config.vms[0].machine.vm, "a");
	assert_int_equal(config.vms[0].machine.module_count, 2);
	assert_int_equal(config.vms[0].machine.modules[0].number, 1);
	assert_int_equal(config.vms[0].machine.modules[1].number, 3);
	assert_int_equal(config.vms[1].machine.module_count, 2);
	assert_int_equal(config.vms[1].machine.modules[0].number, 2);
	assert_int_equal(config.vms[1].machine.modules[1].number, 5);
	assert_int_equal(config.vms[2].machine.modules[0].number, 4);
	assert_false(config.vms[0].refused);
	assert_true(config.vms[1].refused && config.vms[2].refused);
	assert_string_equal(messages, "vm=b: needs mem=, as there are other VMs\n"
				      "vm=c: needs mem=, as there are other VMs\n");

	assert_int_equal(parse("vm=a oops", "vm=b mem=1M", NULL), 1);
	assert_true(config.vms[0].refused);
	assert_false(config.vms[1].refused);

	/* a module without vm= beside others belongs nowhere */
	assert_int_equal(parse("vm=a", "mem=1M", NULL), 1);
	assert_int_equal(config.vm_count, 1);
	assert_int_equal(config.vms[0].machine.module_count, 1);
	assert_non_null(strstr(messages, "module 2 (2000 bytes): it has no vm="));
}

static void test_shares_and_ends(void **state)
{
	static const struct {
		const char *word;
		u64 allowed_cpus, weight, on_reboot, on_crash;
	} good[] = {
		{"cpu=0", 1, 0, 0, 0},
		{"cpu=0,2-3", 0xd, 0, 0, 0},
		{"cpu=63", 1ull << 63, 0, 0, 0},
		{"cpu=0-63", ~0ull, 0, 0, 0},
		{"cpu=3,3,1-1", 0xa, 0, 0, 0},
		{"weight=1", 0, 1, 0, 0},
		{"weight=10000", 0, 10000, 0, 0},
		{"on-reboot=stop on-crash=restart", 0, 0, ON_STOP, ON_RESTART},
		{"on-reboot=restart on-crash=stop", 0, 0, ON_RESTART, ON_STOP},
	};
	static const char *const bad[] = {
		"cpu=", "cpu=64", "cpu=0-64", "cpu=3-2", "cpu=1,", "cpu=,1", "cpu=1-", "cpu=-1", "cpu=1 -",
		"cpu=a", "cpu=0x1", "cpu=1-2-3", "cpu=99999999999", "weight=", "weight=0", "weight=10001",
		"weight=1.5", "weight=-1", "on-reboot=", "on-reboot=no", "on-crash=restarts", "on-crash",
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse(good[i].word, NULL), 0);
		assert_true(config.vms[0].machine.allowed_cpus == good[i].allowed_cpus);
		assert_int_equal(config.vms[0].machine.weight, good[i].weight);
		assert_int_equal(config.vms[0].machine.on_reboot, good[i].on_reboot);
		assert_int_equal(config.vms[0].machine.on_crash, good[i].on_crash);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i], NULL) == 0 || !config.vms[0].refused)
			fail_msg("%s was taken", bad[i]);
	}
	/* they belong to the VM, whichever module's line they stand in */
	assert_int_equal(parse("vm=a weight=200", "vm=a cpu=1", NULL), 0);
	assert_int_equal(config.vms[0].machine.weight, 200);
	assert_int_equal(config.vms[0].machine.allowed_cpus, 2);
}

static void test_bad_modules(void **state)
{

	(void)state;
	parse("", "", NULL);
	info.modules[0].bad = true;
	info.modules[1].words_cut = true;
	info.modules_left_out = 2;
	mistakes = 0;
	messages[0] = '\0';
	config_parse(&info, &config);
	assert_int_equal(mistakes, 3);
	assert_true(config.vms[0].refused);
	assert_non_null(strstr(messages, "module 1 (1000 bytes): the boot loader gave"));
	assert_non_null(strstr(messages, "module 2 (2000 bytes): its words are too long"));
	assert_non_null(strstr(messages, "2 modules are left out: there can be 64"));
	info.modules_left_out = 0;
}

static void test_most_vms(void **state)
{
	static char words[BOOT_MODULES_MAX][24];

	(void)state;
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++) {
		memcpy(words[i], "vm=xx mem=1M", 13);
		words[i][3] = 'a' + i / 8;
		words[i][4] = 'a' + i % 8;
		info.modules[i] = (struct boot_module){.words = words[i]};
	}
	info.module_count = BOOT_MODULES_MAX;
	mistakes = 0;
	config_parse(&info, &config);
	assert_int_equal(mistakes, 0);
	assert_int_equal(config.vm_count, BOOT_MODULES_MAX);
	assert_int_equal(config.module_count, BOOT_MODULES_MAX);
}

static void test_mutations(void **state)
{
	static const char line[] = "vm=web name=lin kind=linux cpus=1 mem=512M debug-exit -- a b\"c";
	u64 seed = 0x7472697665740003ull;

	(void)state;
	for (unsigned n = 0; n < 100000; n++) {
		char damaged[3][sizeof(line)];
		unsigned total = 0;

		for (unsigned i = 0; i < 3; i++) {
			memcpy(damaged[i], line, sizeof(line));
			for (u64 k = fake_random(&seed) % 4; k > 0; k--)
				damaged[i][fake_random(&seed) % (sizeof(line) - 1)] =
					fake_random(&seed);
		}
		parse(damaged[0], damaged[1], damaged[2], NULL);
		for (unsigned i = 0; i < config.vm_count; i++) {
			assert_true(strlen(config.vms[i].machine.vm) < VM_NAME_MAX);
			assert_true(config.vms[i].machine.module_count > 0);
			assert_ptr_equal(config.vms[i].machine.modules, config.modules + total);
			total += config.vms[i].machine.module_count;
		}
		assert_int_equal(total, config.module_count);
		for (unsigned i = 0; i < total; i++)
			assert_true(config.modules[i].number >= 1 && config.modules[i].number <= 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_module),
		cmocka_unit_test(test_no_words),
		cmocka_unit_test(test_every_word),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_guest_words),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_several_vms),
		cmocka_unit_test(test_shares_and_ends),
		cmocka_unit_test(test_bad_modules),
		cmocka_unit_test(test_most_vms),
		cmocka_unit_test(test_mutations),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
