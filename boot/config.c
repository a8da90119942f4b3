/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parser of module words. A line is read into one `struct line` first, then
 * merged into its VM, so that a message can name vm= and name= wherever they
 * stand. What Trivet cannot do yet is refused by the words "not supported yet",
 * and nowhere else.
 */
#include "boot/config.h"

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"

#define MEM_MIN	     MIB(1)
#define CPUS_MAX     1u /* of one VM */
#define WEIGHT_MAX   10000u
#define PINS	     64u /* physical CPUs that cpu= can name */

/* What one module's words say; 0 or "" where they do not. */
struct line {
	unsigned number;
	u64 size;
	char vm[VM_NAME_MAX], name[VM_NAME_MAX];
	u64 kind, cpus, mem, allowed_cpus, weight, on_reboot, on_crash, debug_exit;
	const char *cmdline;
};

static const char *const kind_names[MODULE_KINDS] = {
	[MODULE_AUTO] = "",
	[MODULE_LINUX] = "linux",
	[MODULE_INITRD] = "initrd",
	[MODULE_MULTIBOOT] = "multiboot",
	[MODULE_PVH] = "pvh",
	[MODULE_FLAT] = "flat",
	[MODULE_FIRMWARE] = "firmware",
	[MODULE_DISK] = "disk",
	[MODULE_DATA] = "data",
};

static const char default_name[VM_NAME_MAX] = "guest";
static const char twice[] = "is given twice with different values";

/* A name: 1 to VM_NAME_MAX - 1 letters, digits, and . _ - */
static bool is_name(const char *value)
{
	size_t len = strlen(value);

	for (const char *c = value; *c != '\0'; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') &&
		    !(*c >= '0' && *c <= '9') && !strchr("._-", *c))
			return false;
	return len > 0 && len < VM_NAME_MAX;
}

/*
 * Parsers turn the value of a word into a number other than 0. They return
 * NULL, or what is wrong with it.
 */
static const char *parse_kind(const char *value, const char *allowed, u64 *number)
{
	for (unsigned kind = MODULE_AUTO + 1; kind < MODULE_KINDS; kind++) {
		if (strcmp(kind_names[kind], value) != 0)
			continue;
		*number = kind;
		return kind == MODULE_FIRMWARE || kind == MODULE_DISK ? "is not supported yet" :
									NULL;
	}
	return allowed;
}

static const char *parse_cpus(const char *value, const char *allowed, u64 *number)
{
	if (str_to_u64(value, strlen(value), number) || *number == 0)
		return allowed;
	return *number > CPUS_MAX ? "is not supported yet: a VM has one CPU" : NULL;
}

static const char *parse_mem(const char *value, const char *allowed, u64 *number)
{
	static const char suffixes[] = "kKmMgG";
	size_t len = strlen(value);
	const char *suffix = len > 0 ? strchr(suffixes, value[len - 1]) : NULL;
	unsigned shift;
	u64 mem;

	if (!suffix || str_to_u64(value, len - 1, &mem))
		return allowed;
	shift = 10 + 10 * ((suffix - suffixes) / 2);
	if (mem > ~0ull >> shift || mem << shift < MEM_MIN)
		return allowed;
	*number = ALIGN_DOWN(mem << shift, PAGE_SIZE);
	return NULL;
}

/* A physical CPU's number at *at, which moves behind it. */
static bool take_pin(const char **at, unsigned *pin)
{
	const char *start = *at;

	for (*pin = 0; **at >= '0' && **at <= '9' && *pin < PINS; (*at)++)
		*pin = *pin * 10 + (**at - '0');
	return *at > start && *pin < PINS;
}

/* "0,2-3": numbers and ranges. */
static const char *parse_cpu_list(const char *value, const char *allowed, u64 *number)
{
	unsigned first, last;

	*number = 0;
	do {
		if (!take_pin(&value, &first))
			return allowed;
		last = first;
		if (*value == '-' && (value++, !take_pin(&value, &last) || last < first))
			return allowed;
		*number |= BITS(last, first);
	} while (*value++ == ',');
	return value[-1] == '\0' ? NULL : allowed;
}

static const char *parse_weight(const char *value, const char *allowed, u64 *number)
{
	if (str_to_u64(value, strlen(value), number) || *number == 0 || *number > WEIGHT_MAX)
		return allowed;
	return NULL;
}

static const char *parse_on(const char *value, const char *allowed, u64 *number)
{
	*number = strcmp(value, "restart") == 0 ? ON_RESTART : ON_STOP;
	return *number == ON_RESTART || strcmp(value, "stop") == 0 ? NULL : allowed;
}

static const char *parse_flag(const char *value, const char *allowed, u64 *number)
{
	*number = 1;
	return value ? allowed : NULL;
}

static const struct word {
	const char *name;
	size_t offset; /* in struct line, of a u64; without a parser of a name */
	size_t merged; /* in struct vm_config, of the VM's u64; 0: none */
	const char *(*parse)(const char *value, const char *allowed, u64 *number);
	const char *allowed;
} word_table[] = {
#define WORD(name, member, merged, parse, allowed)                                                \
	{name, offsetof(struct line, member), merged, parse, allowed}
#define VM_WORD(name, member, parse, allowed)                                                     \
	WORD(name, member, offsetof(struct vm_config, member), parse, allowed)
	WORD("vm", vm, 0, NULL, "must be 1 to 31 letters, digits, or any of . _ -"),
	WORD("name", name, 0, NULL, "must be 1 to 31 letters, digits, or any of . _ -"),
	WORD("kind", kind, 0, parse_kind, "must be linux, initrd, multiboot, pvh, flat or data"),
	VM_WORD("cpus", cpus, parse_cpus, "must be a number, 1 or more"),
	VM_WORD("mem", mem, parse_mem, "must be a number with K, M or G behind it, at least 1M"),
	VM_WORD("cpu", allowed_cpus, parse_cpu_list, "must be physical CPUs below 64 like 0,2-3"),
	VM_WORD("weight", weight, parse_weight, "must be a number from 1 to 10000; 100 is usual"),
	VM_WORD("on-reboot", on_reboot, parse_on, "must be restart or stop"),
	VM_WORD("on-crash", on_crash, parse_on, "must be stop or restart"),
	VM_WORD("debug-exit", debug_exit, parse_flag, "takes no value"),
};

/* "module 2 (4096 bytes, vm=web, name=x)" and what is wrong. */
static void complain(struct words_report *report, const struct line *line, const char *word,
		     const char *wrong)
{
	words_complain(report, "module %u (%lu bytes%s%s%s%s): %s%s%s%s", line->number,
		       (unsigned long)line->size, line->vm[0] ? ", vm=" : "", line->vm,
		       line->name[0] ? ", name=" : "", line->name, word[0] ? "'" : "", word,
		       word[0] ? "' " : "", wrong);
}

/* Takes a known word's value into the line, where the first one stays. As a parser. */
static const char *take_value(struct line *line, const struct word *word, const char *value)
{
	void *to = (char *)line + word->offset;
	const char *wrong;
	u64 number;

	if (!value && word->parse != parse_flag)
		return word->allowed;
	if (!word->parse) {
		if (!is_name(value))
			return word->allowed;
		if (*(char *)to == '\0')
			memcpy(to, value, strlen(value) + 1);
		return strcmp(to, value) == 0 ? NULL : twice;
	}
	wrong = word->parse(value, word->allowed, &number);
	if (!wrong && *(u64 *)to == 0)
		*(u64 *)to = number;
	return wrong || *(u64 *)to == number ? wrong : twice;
}

static const char *take_word(struct line *line, char word[WORD_MAX])
{
	char *value = words_split(word);

	for (unsigned i = 0; i < ARRAY_SIZE(word_table); i++)
		if (strcmp(word_table[i].name, word) == 0)
			return take_value(line, &word_table[i], value);
	return "is unknown; Trivet's words are vm= name= kind= cpus= mem= cpu= weight= on-reboot= "
	       "on-crash= debug-exit, and the guest's own words stand behind --";
}

/*
 * Reads the words before `--` into the line and complains about bad ones; with
 * a NULL report silently. Returns the number of bad words.
 */
static unsigned read_words(struct line *line, const char *words, struct words_report *report)
{
	char word[WORD_MAX], shown[WORD_MAX];
	unsigned bad = 0;

	line->cmdline = "";
	while (words_next(&words, word)) {
		const char *wrong;

		if (strcmp(word, "--") == 0) {
			line->cmdline = words;
			break;
		}
		memcpy(shown, word, sizeof(shown));
		wrong = take_word(line, word);
		bad += wrong != NULL;
		if (wrong && report)
			complain(report, line, shown, wrong);
	}
	return bad;
}

/* Reads a module's line twice: for vm= and name=, then with messages that tell them. */
static unsigned read_line(const struct boot_info *info, unsigned index, struct line *line,
			  struct words_report *report)
{
	const struct boot_module *module = &info->modules[index];
	unsigned bad;

	*line = (struct line){.number = index + 1, .size = module->end.v - module->start.v};
	read_words(line, module->words, NULL);
	bad = read_words(line, module->words, report);
	if (module->bad)
		complain(report, line, "", "the boot loader gave it an end below its start");
	if (module->words_cut)
		complain(report, line, "", "its words are too long: at most 4095 bytes are kept");
	return bad + module->bad + module->words_cut;
}

static struct vm_config *find_vm(struct config *out, const char *vm)
{
	struct vm_config *found;

	for (unsigned i = 0; i < out->vm_count; i++)
		if (strcmp(out->vms[i].vm, vm) == 0)
			return &out->vms[i];
	found = &out->vms[out->vm_count++];
	memcpy(found->vm, vm, VM_NAME_MAX);
	found->modules = &out->modules[out->module_count];
	return found;
}

/* Adds a module at the end of its VM's; those of later VMs move up. */
static void add_module(struct config *out, struct vm_config *vm, const struct line *line)
{
	struct vm_module *at = vm->modules + vm->module_count;
	struct vm_module *end = out->modules + out->module_count;

	memmove(at + 1, at, (end - at) * sizeof(*at));
	*at = (struct vm_module){
		.number = line->number,
		.size = line->size,
		.kind = line->kind,
		.cmdline = line->cmdline,
	};
	vm->module_count++;
	out->module_count++;
	for (struct vm_config *later = vm + 1; later < out->vms + out->vm_count; later++)
		later->modules++;
}

/* One module's words join those of its VM, which may stand with any of its modules;
 * false where they conflict. */
static bool merge(struct config *out, struct vm_config *vm, const struct line *line,
		  struct words_report *report)
{
	bool good = true;

	for (const struct word *word = word_table; word < word_table + ARRAY_SIZE(word_table);
	     word++) {
		u64 value = *(const u64 *)((const char *)line + word->offset);
		u64 *to = (u64 *)((char *)vm + word->merged);

		if (!word->merged || value == 0 || *to == value)
			continue;
		if (*to) {
			complain(report, line, word->name,
				 "differs from another module's of the same VM");
			good = false;
		}
		*to = value;
	}
	if (vm->name[0] == '\0')
		memcpy(vm->name, line->name, sizeof(vm->name));
	add_module(out, vm, line);
	return good;
}

/* Of several VMs none can have all memory. */
static void refuse_greedy(struct config *out, struct words_report *report)
{
	for (struct vm_config *vm = out->vms; vm < out->vms + out->vm_count; vm++) {
		if (vm->mem || out->vm_count == 1 || vm->refused)
			continue;
		words_complain(report, "vm=%s: needs mem=, as there are other VMs", vm->vm);
		vm->refused = true;
	}
}

static bool any_vm_word(const struct boot_info *info)
{
	for (unsigned i = 0; i < info->module_count; i++) {
		struct line line = {0};

		read_words(&line, info->modules[i].words, NULL);
		if (line.vm[0] != '\0')
			return true;
	}
	return false;
}

unsigned config_parse(const struct boot_info *info, struct config *out,
		      struct words_report *report)
{
	unsigned before = report->count;
	bool named = any_vm_word(info);
	struct line line;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < info->module_count; i++) {
		unsigned bad = read_line(info, i, &line, report);
		struct vm_config *vm;

		if (named && line.vm[0] == '\0') {
			complain(report, &line, "",
				 "it has no vm= although others have, so it belongs to no VM");
			continue;
		}
		vm = find_vm(out, named ? line.vm : default_name);
		vm->refused |= !merge(out, vm, &line, report) || bad != 0;
	}
	if (info->modules_left_out > 0)
		words_complain(report, "%u modules are left out: there can be %u",
			       info->modules_left_out, BOOT_MODULES_MAX);
	for (unsigned i = 0; i < out->vm_count; i++)
		if (out->vms[i].name[0] == '\0')
			memcpy(out->vms[i].name, default_name, VM_NAME_MAX);
	refuse_greedy(out, report);
	return report->count - before;
}
