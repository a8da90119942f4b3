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

/* What one module's words say. */
struct line {
	unsigned number;
	u64 size;
	char vm[VM_NAME_MAX], name[VM_NAME_MAX]; /* "" when not given */
	enum module_kind kind;
	u64 mem;
	unsigned cpus;
	bool debug_exit;
	const char *cmdline;
};

static const char *const kind_names[MODULE_KINDS] = {
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
static bool copy_name(char *to, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len >= VM_NAME_MAX)
		return false;
	for (const char *c = value; *c != '\0'; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') &&
		    !(*c >= '0' && *c <= '9') && !strchr("._-", *c))
			return false;
	memcpy(to, value, len + 1);
	return true;
}

/*
 * Setters take the value of a word into the line; the first value stays. They
 * return NULL, or what is wrong with it.
 */
static const char *set_name(char *to, const char *value, const char *allowed)
{
	char name[VM_NAME_MAX];

	if (!copy_name(name, value))
		return allowed;
	if (to[0] != '\0' && strcmp(to, name) != 0)
		return twice;
	memcpy(to, name, sizeof(name));
	return NULL;
}

static const char *set_vm(struct line *line, const char *value, const char *allowed)
{
	return set_name(line->vm, value, allowed);
}

static const char *set_guest_name(struct line *line, const char *value, const char *allowed)
{
	return set_name(line->name, value, allowed);
}

static const char *set_kind(struct line *line, const char *value, const char *allowed)
{
	for (unsigned kind = MODULE_AUTO + 1; kind < MODULE_KINDS; kind++) {
		if (strcmp(kind_names[kind], value) != 0)
			continue;
		if (kind == MODULE_FIRMWARE || kind == MODULE_DISK)
			return "is not supported yet";
		if (line->kind != MODULE_AUTO && line->kind != kind)
			return twice;
		line->kind = kind;
		return NULL;
	}
	return allowed;
}

static const char *set_cpus(struct line *line, const char *value, const char *allowed)
{
	u64 cpus;

	if (str_to_u64(value, strlen(value), &cpus) || cpus == 0)
		return allowed;
	if (cpus > CPUS_MAX)
		return "is not supported yet: a VM has one CPU";
	line->cpus = cpus;
	return NULL;
}

static const char *set_mem(struct line *line, const char *value, const char *allowed)
{
	static const char suffixes[] = "kKmMgG";
	size_t len = strlen(value);
	const char *suffix;
	unsigned shift;
	u64 mem;

	if (len < 2)
		return allowed;
	suffix = strchr(suffixes, value[len - 1]);
	if (!suffix || str_to_u64(value, len - 1, &mem))
		return allowed;
	shift = 10 + 10 * ((suffix - suffixes) / 2);
	if (mem > ~0ull >> shift || mem << shift < MEM_MIN)
		return allowed;
	mem = ALIGN_DOWN(mem << shift, PAGE_SIZE);
	if (line->mem != 0 && line->mem != mem)
		return twice;
	line->mem = mem;
	return NULL;
}

static const char *set_debug_exit(struct line *line, const char *value, const char *allowed)
{
	if (value)
		return allowed;
	line->debug_exit = true;
	return NULL;
}

static const struct word {
	const char *name;
	bool has_value;
	const char *(*set)(struct line *line, const char *value, const char *allowed);
	const char *allowed;
} word_table[] = {
	{"vm", true, set_vm, "must be 1 to 31 letters, digits, or any of . _ -"},
	{"name", true, set_guest_name, "must be 1 to 31 letters, digits, or any of . _ -"},
	{"kind", true, set_kind, "must be linux, initrd, multiboot, pvh, flat or data"},
	{"cpus", true, set_cpus, "must be a number, 1 or more"},
	{"mem", true, set_mem, "must be a number with K, M or G behind it, at least 1M"},
	{"debug-exit", false, set_debug_exit, "takes no value"},
};

static const struct word *find_word(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(word_table); i++)
		if (strcmp(word_table[i].name, name) == 0)
			return &word_table[i];
	return NULL;
}

/* "module 2 (4096 bytes, vm=web, name=x)" and what is wrong. */
static void complain(struct words_report *report, const struct line *line, const char *word,
		     const char *wrong)
{
	words_complain(report, "module %u (%lu bytes%s%s%s%s): %s%s%s%s", line->number,
		       (unsigned long)line->size, line->vm[0] ? ", vm=" : "", line->vm,
		       line->name[0] ? ", name=" : "", line->name, word[0] ? "'" : "", word,
		       word[0] ? "' " : "", wrong);
}

/* Reads one word; returns NULL or what is wrong with it. */
static const char *take_word(struct line *line, char word[WORD_MAX])
{
	char *value = words_split(word);
	const struct word *known = find_word(word);

	if (!known)
		return "is unknown; Trivet's words are vm= name= kind= cpus= mem= debug-exit, "
		       "and the guest's own words stand behind --";
	if (known->has_value && !value)
		return known->allowed;
	return known->set(line, value, known->allowed);
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
		if (!wrong)
			continue;
		bad++;
		if (report)
			complain(report, line, shown, wrong);
	}
	return bad;
}

/* Reads a module's line twice: for vm= and name=, then with messages that tell them. */
static unsigned read_line(const struct boot_info *info, unsigned index, struct line *line,
			  struct words_report *report)
{
	const struct boot_module *module = &info->modules[index];
	struct line labels = {0};
	unsigned bad;

	read_words(&labels, module->words, NULL);
	memset(line, 0, sizeof(*line));
	line->number = index + 1;
	line->size = module->end.v - module->start.v;
	memcpy(line->vm, labels.vm, sizeof(line->vm));
	memcpy(line->name, labels.name, sizeof(line->name));
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

/* One module's words join those of its VM. Returns the number of conflicts. */
static unsigned merge(struct config *out, struct vm_config *vm, const struct line *line,
		      struct words_report *report)
{
	unsigned bad = 0;

	if (line->mem != 0 && vm->mem != 0 && line->mem != vm->mem) {
		complain(report, line, "mem=", "differs from another module's of the same VM");
		bad++;
	}
	if (line->cpus != 0 && vm->cpus != 0 && line->cpus != vm->cpus) {
		complain(report, line, "cpus=", "differs from another module's of the same VM");
		bad++;
	}
	if (line->mem != 0)
		vm->mem = line->mem;
	if (line->cpus != 0)
		vm->cpus = line->cpus;
	if (vm->name[0] == '\0')
		memcpy(vm->name, line->name, sizeof(vm->name));
	vm->debug_exit |= line->debug_exit;
	add_module(out, vm, line);
	return bad;
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
		bad += merge(out, vm, &line, report);
		vm->refused |= bad != 0;
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
