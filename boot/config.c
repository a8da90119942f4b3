/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parser of module words. A line is read twice: for vm= and name=, which every
 * message names wherever they stand, and then for the words that go into its VM.
 * What Trivet cannot do yet is refused by the words "not supported yet", and
 * nowhere else.
 */
#include "boot/config.h"

#include "arch/lib/string.h"
#include "boot/words.h"

#define MEM_MIN	     MIB(1)
#define WEIGHT_MAX   10000u
#define PINS	     64u /* physical CPUs that cpu= can name */

/* One module's words, but for those that go into its VM. */
struct line {
	char vm[VM_NAME_MAX], name[VM_NAME_MAX]; /* "": not given */
	struct vm_module module;
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

static const char *const end_names[] = {"", [ON_RESTART] = "restart", [ON_STOP] = "stop"};

static const char *const halt_names[] = {"", [HALT_EXITS] = "exit", [HALT_PASSES] = "pass"};

static const char default_name[VM_NAME_MAX] = "guest";

/* A name: 1 to VM_NAME_MAX - 1 letters, digits, and . _ - */
static const char *take_name(const struct word *word, const char *value, void *to)
{
	for (const char *c = value; *c != '\0'; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') &&
		    !(*c >= '0' && *c <= '9') && !strchr("._-", *c))
			return word->allowed;
	return words_text(word, value, to);
}

static const char *take_kind(const struct word *word, const char *value, void *to)
{
	const char *wrong = words_choice(word, value, to);
	enum module_kind kind = *(enum module_kind *)to;

	return !wrong && (kind == MODULE_FIRMWARE || kind == MODULE_DISK) ? "is not supported yet" :
									    wrong;
}

static const char *take_mem(const struct word *word, const char *value, void *to)
{
	static const char suffixes[] = "kKmMgG";
	size_t len = strlen(value);
	const char *suffix = len > 0 ? strchr(suffixes, value[len - 1]) : NULL;
	unsigned shift;
	u64 mem;

	if (!suffix || str_to_u64(value, len - 1, &mem))
		return word->allowed;
	shift = 10 + 10 * ((suffix - suffixes) / 2);
	if (mem > ~0ull >> shift || mem << shift < MEM_MIN)
		return word->allowed;
	*(u64 *)to = ALIGN_DOWN(mem << shift, PAGE_SIZE);
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
static const char *take_cpu_list(const struct word *word, const char *value, void *to)
{
	unsigned first, last;

	do {
		if (!take_pin(&value, &first))
			return word->allowed;
		last = first;
		if (*value == '-' && (value++, !take_pin(&value, &last) || last < first))
			return word->allowed;
		*(u64 *)to |= BITS(last, first);
	} while (*value++ == ',');
	return value[-1] == '\0' ? NULL : word->allowed;
}

/* 0 in a member: the word is not given. */
#define NAME "must be 1 to 31 letters, digits, or any of . _ -"
#define PLACE(member) WORD_PLACE(struct line, member)
static const struct word line_words[] = {
	{"vm", NAME, PLACE(vm), take_name},
	{"name", NAME, PLACE(name), take_name},
	{"kind", "must be linux, initrd, multiboot, pvh, flat or data", PLACE(module.kind),
	 take_kind, MODULE_KINDS, kind_names},
};
#undef PLACE
#define PLACE(member) WORD_PLACE(struct machine_config, member)
static const struct word vm_words[] = {
	{"mem", "must be a number with K, M or G behind it, at least 1M", PLACE(mem), take_mem},
	{"cpus", "must be a number of vCPUs from 1 to 32", PLACE(cpus), words_number,
	 .max = VM_VCPUS_MAX},
	{"halt", "must be exit or pass", PLACE(halt), words_choice, ARRAY_SIZE(halt_names), halt_names},
	{"cpu", "must be physical CPUs below 64 like 0,2-3", PLACE(allowed_cpus), take_cpu_list},
	{"weight", "must be a number from 1 to 10000; 100 is usual", PLACE(weight), words_number,
	 .max = WEIGHT_MAX},
	{"on-reboot", "must be restart or stop", PLACE(on_reboot), words_choice,
	 ARRAY_SIZE(end_names), end_names},
	{"on-crash", "must be stop or restart", PLACE(on_crash), words_choice,
	 ARRAY_SIZE(end_names), end_names},
	{"debug-exit", "takes no value", PLACE(debug_exit)},
	{"pci-testdev", "takes no value", PLACE(pci_testdev)},
};

/* "module 2 (4096 bytes, vm=web, name=x): " and what is wrong. */
static void complain(const struct line *line, const char *word, const char *wrong)
{
	words_complain("module %u (%lu bytes%s%s%s%s): %s%s", line->module.number,
		       line->module.size, line->vm[0] ? ", vm=" : "", line->vm,
		       line->name[0] ? ", name=" : "", line->name, word, wrong);
}

/* Takes a known word's value to its member, where the first one stays. */
static const char *take_value(const struct word *word, const char *value, void *to)
{
	static const u8 none[VM_NAME_MAX];
	u8 found[VM_NAME_MAX] __attribute__((aligned(8))) = {0};
	const char *wrong = words_take(word, value, found);

	if (wrong)
		return wrong;
	if (memcmp(to, none, word->size) == 0)
		memcpy(to, found, word->size);
	return memcmp(to, found, word->size) == 0 ? NULL : "is given twice with different values";
}

static const char *take_word(struct line *line, struct machine_config *vm, char word[WORD_MAX])
{
	char *value = words_split(word);
	const struct word *known = words_find(line_words, ARRAY_SIZE(line_words), word);

	if (known)
		return take_value(known, value, (char *)line + known->offset);
	known = words_find(vm_words, ARRAY_SIZE(vm_words), word);
	if (known)
		return take_value(known, value, (char *)vm + known->offset);
	return "is unknown; Trivet's words are vm= name= kind= cpus= mem= cpu= weight= halt= "
	       "on-reboot= on-crash= debug-exit pci-testdev, and the guest's own words stand behind --";
}

/* Reads the words before `--` into the line and its VM; complains about bad ones unless
 * `quiet`. True where all are good. */
static bool read_words(struct line *line, struct machine_config *vm, const char *words, bool quiet)
{
	char word[WORD_MAX], shown[WORD_MAX + 4];
	bool good = true;

	line->module.cmdline = "";
	while (words_next(&words, word)) {
		const char *wrong;

		if (strcmp(word, "--") == 0) {
			line->module.cmdline = words;
			break;
		}
		str_format(shown, sizeof(shown), "'%s' ", word);
		wrong = take_word(line, vm, word);
		good &= !wrong;
		if (wrong && !quiet)
			complain(line, shown, wrong);
	}
	return good;
}

/* Looks for vm= and name= in a module's words. */
static void read_names(const struct boot_info *info, unsigned index, struct line *line)
{
	const struct boot_module *module = &info->modules[index];
	struct machine_config ignored = {0};

	*line = (struct line){.module = {
		.number = index + 1,
		.start = module->start,
		.size = module->end.v - module->start.v,
	}};
	read_words(line, &ignored, module->words, true);
}

/* Reads a module's words. True where nothing is wrong with it. */
static bool read_line(const struct boot_module *module, struct line *line,
		      struct machine_config *vm)
{
	bool good = read_words(line, vm, module->words, false);

	if (module->bad)
		complain(line, "", "the boot loader gave it an end below its start");
	if (module->words_cut)
		complain(line, "", "its words are too long: at most 4095 bytes are kept");
	return good && !module->bad && !module->words_cut;
}

static struct vm_config *find_vm(struct config *out, const char *vm)
{
	struct machine_config *found;

	for (unsigned i = 0; i < out->vm_count; i++)
		if (strcmp(out->vms[i].machine.vm, vm) == 0)
			return &out->vms[i];
	found = &out->vms[out->vm_count].machine;
	memcpy(found->vm, vm, VM_NAME_MAX);
	found->modules = &out->modules[out->module_count];
	return &out->vms[out->vm_count++];
}

/* Adds a module at the end of its VM's; those of later VMs move up. */
static void add_module(struct config *out, struct vm_config *vm, const struct vm_module *module)
{
	struct vm_module *at = vm->machine.modules + vm->machine.module_count++;
	struct vm_module *end = out->modules + out->module_count++;

	memmove(at + 1, at, (end - at) * sizeof(*at));
	*at = *module;
	for (struct vm_config *later = vm + 1; later < out->vms + out->vm_count; later++)
		later->machine.modules++;
}

/* Fills in what a VM's words leave open. Of several VMs none can have all memory. */
static void settle(struct vm_config *vm, bool alone)
{
	if (vm->machine.name[0] == '\0')
		memcpy(vm->machine.name, default_name, VM_NAME_MAX);
	if (vm->machine.mem || alone || vm->refused)
		return;
	words_complain("vm=%s: needs mem=, as there are other VMs", vm->machine.vm);
	vm->refused = true;
}

void config_parse(const struct boot_info *info, struct config *out)
{
	bool named = false;
	struct line line;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < info->module_count; i++) {
		read_names(info, i, &line);
		named |= line.vm[0] != '\0';
	}
	for (unsigned i = 0; i < info->module_count; i++) {
		struct vm_config nobody = {0}, *vm = &nobody;
		bool lost;

		read_names(info, i, &line);
		lost = named && line.vm[0] == '\0';
		if (!lost)
			vm = find_vm(out, named ? line.vm : default_name);
		vm->refused |= !read_line(&info->modules[i], &line, &vm->machine);
		if (lost) {
			complain(&line, "",
				 "it has no vm= although others have, so it belongs to no VM");
			continue;
		}
		if (vm->machine.name[0] == '\0')
			memcpy(vm->machine.name, line.name, VM_NAME_MAX);
		add_module(out, vm, &line.module);
	}
	if (info->modules_left_out > 0)
		words_complain("%u modules are left out: there can be %u", info->modules_left_out,
			       BOOT_MODULES_MAX);
	for (unsigned i = 0; i < out->vm_count; i++)
		settle(&out->vms[i], out->vm_count == 1);
}
