/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parser of module words. A line is read into one `struct line` first, then
 * merged into its VM, so that a message can name vm= and name= wherever they
 * stand. What Trivet cannot do yet is refused by refuse_unsupported and by the
 * words "not supported yet", and nowhere else.
 */
#include "boot/config.h"

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"

#define MEM_MIN	     MIB(1)
#define CPUS_MAX     1u /* of one VM */
#define VMS_MAX	     1u /* that start */

/* What one module's words say; 0 or "" where they do not. */
struct line {
	unsigned number;
	u64 size;
	char vm[VM_NAME_MAX], name[VM_NAME_MAX];
	u64 kind, cpus, mem, debug_exit;
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

static const char *parse_flag(const char *value, const char *allowed, u64 *number)
{
	*number = 1;
	return value ? allowed : NULL;
}

static const struct word {
	const char *name;
	size_t offset; /* in struct line, of a u64; without a parser of a name */
	const char *(*parse)(const char *value, const char *allowed, u64 *number);
	const char *allowed;
} word_table[] = {
	{"vm", offsetof(struct line, vm), NULL, "must be 1 to 31 letters, digits, or any of . _ -"},
	{"name", offsetof(struct line, name), NULL,
	 "must be 1 to 31 letters, digits, or any of . _ -"},
	{"kind", offsetof(struct line, kind), parse_kind,
	 "must be linux, initrd, multiboot, pvh, flat or data"},
	{"cpus", offsetof(struct line, cpus), parse_cpus, "must be a number, 1 or more"},
	{"mem", offsetof(struct line, mem), parse_mem,
	 "must be a number with K, M or G behind it, at least 1M"},
	{"debug-exit", offsetof(struct line, debug_exit), parse_flag, "takes no value"},
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
	return "is unknown; Trivet's words are vm= name= kind= cpus= mem= debug-exit, "
	       "and the guest's own words stand behind --";
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

/* A value of a VM may stand in the words of any of its modules. */
static bool merge_value(u64 *to, u64 value, const struct line *line, const char *word,
			struct words_report *report)
{
	if (*to == 0)
		*to = value;
	if (value == 0 || value == *to)
		return true;
	complain(report, line, word, "differs from another module's of the same VM");
	return false;
}

/* One module's words join those of its VM; false where they conflict. */
static bool merge(struct config *out, struct vm_config *vm, const struct line *line,
		  struct words_report *report)
{
	bool good = merge_value(&vm->mem, line->mem, line, "mem=", report);

	good &= merge_value(&vm->cpus, line->cpus, line, "cpus=", report);
	if (vm->name[0] == '\0')
		memcpy(vm->name, line->name, sizeof(vm->name));
	vm->debug_exit |= line->debug_exit;
	add_module(out, vm, line);
	return good;
}

/* Everything about several VMs at once that is not there yet. */
static void refuse_unsupported(struct config *out, struct words_report *report)
{
	unsigned good = 0;

	for (struct vm_config *vm = out->vms; vm < out->vms + out->vm_count; vm++) {
		if (vm->refused || good++ < VMS_MAX)
			continue;
		words_complain(report, "vm=%s: several VMs at once are not supported yet", vm->vm);
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
	refuse_unsupported(out, report);
	return report->count - before;
}
