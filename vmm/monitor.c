/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor's loop, its pager, and the commands that are about no machine.
 * What a command prints stands on a page until the command has nothing in its
 * hands any more; showing it may wait for a key.
 */
#include "vmm/monitor.h"

#include "arch/lib/log.h"
#include "arch/lib/string.h"
#include "arch/mitigate.h"
#include "vmm/line.h"

#define ROWS	  22
#define PAGE_MAX  8192
#define WORDS_MAX 8
#define CTRL_C	  3
#define MORE	  "-- more, q to stop --"

SECTION_DECLARE(struct monitor_command, monitor_commands);

const char monitor_usage[] = "usage";

static struct job job;
static char page[PAGE_MAX];
static size_t page_len;
static unsigned rows; /* shown since somebody pressed a key */
static bool stopped;

/* The next command by its name behind this one; NULL is before the first and behind the last. */
static const struct monitor_command *next_command(const struct monitor_command *after)
{
	const struct monitor_command *const *it, *next = NULL;

	SECTION_FOR_EACH(it, monitor_commands)
		if ((!after || strcmp((*it)->name, after->name) > 0) &&
		    (!next || strcmp((*it)->name, next->name) < 0))
			next = *it;
	return next;
}

/* By the first word of a text, which a blank or a slash ends. */
static const struct monitor_command *find_command(const char *text)
{
	const struct monitor_command *const *it;

	SECTION_FOR_EACH(it, monitor_commands) {
		size_t len = strlen((*it)->name);

		if (!strncmp((*it)->name, text, len) && (!text[len] || strchr(" /", text[len])))
			return *it;
	}
	return NULL;
}

static const char *nth_command(unsigned index)
{
	static const struct monitor_command *last; /* words are asked for in order */

	last = next_command(index ? last : NULL);
	return last ? last->name : NULL;
}

static const char *nth_machine(unsigned index)
{
	const struct machine *machine = life_machines;

	while (machine && index--)
		machine = machine->next;
	return machine ? machine->config.vm : NULL;
}

static const char *nth_level(unsigned index)
{
	return index < LOG_LEVELS ? log_level_names[index] : NULL;
}

static const char *(*const nth_subject[])(unsigned index) = {
	[MONITOR_MACHINE] = nth_machine,
	[MONITOR_MAYBE_MACHINE] = nth_machine,
	[MONITOR_VM] = nth_machine,
	[MONITOR_LEVEL] = nth_level,
	[MONITOR_COMMAND] = nth_command,
};

/* What may stand at text[start]: a command, or what the command before it is about. */
static const char *complete(const char *text, size_t start, unsigned index)
{
	const struct monitor_command *command = find_command(text);

	if (start == 0)
		return nth_command(index);
	if (!command || strchr(text, ' ') != text + start - 1 || !nth_subject[command->subject])
		return NULL;
	return nth_subject[command->subject](index);
}

static struct line line = {.prompt = "trivet> ", .print = console_print, .words = complete};

/* A slice is for one line or key. */
static void wait_for_room(void)
{
	do
		job_yield();
	while (!console_room());
}

/* Waits for a key; what is being asked is asked anew after other output below it. */
static u8 read_key(bool at_prompt)
{
	int key;

	while ((key = console_key()) < 0) {
		wait_for_room();
		if (console_disturbed() && at_prompt)
			line_draw(&line);
		else if (!at_prompt)
			console_print("\r" MORE);
		/* The wake for a key that came while others ran has passed. */
		if ((key = console_key()) >= 0)
			break;
		job_wait();
	}
	wait_for_room();
	return key;
}

/* Whether a list is to go on; nothing is left of the question. */
static bool ask(void)
{
	u8 key;

	do
		key = read_key(false);
	while (key != ' ' && key != '\r' && key != 'q' && key != CTRL_C);
	console_print("\r%*s\r", (int)sizeof(MORE), "");
	rows = 0;
	return key == ' ' || key == '\r';
}

void monitor_print(const char *fmt, ...)
{
	page_len += STR_FORMAT_REST(page + page_len, sizeof(page) - page_len, fmt);
	page_len = MIN(page_len, sizeof(page) - 1);
	job_yield();
}

bool monitor_more(void)
{
	for (const char *row = page, *end; (end = strchr(row, '\n')); row = end + 1) {
		if (rows == ROWS)
			stopped |= !ask();
		if (stopped)
			break;
		rows++;
		wait_for_room();
		console_print("%.*s", (int)(end + 1 - row), row);
	}
	page_len = 0;
	page[0] = '\0';
	return !stopped;
}

/* Lets go of the machine while somebody reads. */
bool monitor_more_of(struct machine *machine)
{
	bool more;

	life_leave(machine);
	more = monitor_more();
	life_enter(machine);
	return more;
}

const char *monitor_vcpu(const struct monitor_call *call, struct vcpu **vcpu)
{
	u64 id = 0;

	if (call->argc && str_to_u64(call->argv[0], strlen(call->argv[0]), &id))
		return monitor_usage;
	*vcpu = vm_vcpu(call->vm, id);
	return *vcpu ? NULL : "there is no such vCPU";
}

bool monitor_pause(u64 until)
{
	int key;

	rows = 0;
	while ((key = console_key()) < 0 && rdtsc() < until)
		job_wait_until(until); /* output wakes it, too */
	return key >= 0;
}

/* The machine that had the keyboard last, or the only one. */
static struct machine *default_machine(void)
{
	struct console_stream *last = console_last();
	struct machine *machine = last ? life_find(last->name) : NULL;

	if (!machine && life_machines && !life_machines->next)
		machine = life_machines;
	return machine;
}

/* Finds out which machine is meant, and takes its name off the arguments. */
static const char *take_machine(struct monitor_call *call)
{
	bool optional = call->command->subject == MONITOR_VM;

	if (call->argc > call->command->least && (call->machine = life_find(call->argv[0]))) {
		call->argc--;
		call->argv++;
	} else if (call->argc > call->command->most) {
		return "there is no such VM; vms lists them";
	} else if (optional) {
		call->machine = default_machine();
	}
	if (!call->machine && call->command->subject != MONITOR_MAYBE_MACHINE)
		return optional ? "which VM? vms lists them" : monitor_usage;
	return NULL;
}

/* While a machine is looked at, its job keeps away. */
static const char *run_on_vm(struct monitor_call *call)
{
	const char *wrong = "that VM is off";

	life_enter(call->machine);
	call->vm = call->machine->vm;
	if (call->vm)
		wrong = call->command->run(call);
	life_leave(call->machine);
	return wrong;
}

static const char *run_command(struct monitor_call *call)
{
	const struct monitor_command *command = call->command;

	if (*call->format && *command->usage != '/')
		return monitor_usage;
	if (nth_subject[command->subject] == nth_machine) {
		const char *wrong = take_machine(call);

		if (wrong)
			return wrong;
	}
	if (call->argc < command->least || call->argc > command->most)
		return monitor_usage;
	return command->subject == MONITOR_VM ? run_on_vm(call) : command->run(call);
}

/* Cuts a text into its words; how many. Those beyond WORDS_MAX stay with the last one. */
static unsigned split(char *text, char *words[WORDS_MAX])
{
	unsigned count = 0;

	for (; *text; text++) {
		if (*text == ' ')
			*text = '\0';
		else if (count < WORDS_MAX && (count == 0 || !text[-1]))
			words[count++] = text;
	}
	return count;
}

static void execute(char *text)
{
	char *words[WORDS_MAX] = {NULL};
	struct monitor_call call = {.argv = words + 1};
	unsigned count = split(text, words);
	const char *wrong;

	if (!count)
		return;
	call.argc = count - 1;
	call.command = find_command(words[0]);
	if (!call.command) {
		monitor_print("there is no command %s; help lists them\n", words[0]);
		return;
	}
	call.format = words[0] + strlen(call.command->name);
	call.format += *call.format == '/';
	wrong = run_command(&call);
	if (wrong == monitor_usage)
		monitor_print("usage: %s%s\n", call.command->name, call.command->usage);
	else if (wrong)
		monitor_print("%s: %s\n", call.command->name, wrong);
}

static void run(void *arg)
{
	for (;;) {
		while (console_focused())
			job_wait();
		console_disturbed();
		line_begin(&line);
		while (!line_key(&line, read_key(true)))
			;
		rows = 0;
		stopped = false;
		execute(line.text);
		monitor_more();
	}
}

static void wake(void)
{
	job_wake(&job);
}

int monitor_start(void)
{
	int error = job_start(&job, "monitor", BIT(0), run, NULL);

	if (!error)
		console_set_monitor(wake);
	return error;
}

static const char *help(const struct monitor_call *call)
{
	const struct monitor_command *command = NULL;
	char usage[LINE_SIZE];

	while ((command = next_command(command))) {
		job_yield();
		if (call->argc && strcmp(command->name, call->argv[0]))
			continue;
		str_format(usage, sizeof(usage), "%s%s", command->name, command->usage);
		monitor_print("%-28s %s\n", usage, command->help);
	}
	monitor_print("Ctrl-] and a VM's key: the keyboard to that VM; Ctrl-] m: here\n");
	return NULL;
}
DEFINE_MONITOR_COMMAND(help, "help", " [COMMAND]", "what there is", help,
		       .subject = MONITOR_COMMAND, .most = 1);

static const char *set_level(const struct monitor_call *call)
{
	for (unsigned i = 0; i < LOG_LEVELS; i++)
		if (!strcmp(log_level_names[i], call->argv[0])) {
			log_set_level(i);
			return NULL;
		}
	return monitor_usage;
}
DEFINE_MONITOR_COMMAND(log, "log", " error|warn|info|debug", "how much is logged", set_level,
		       .subject = MONITOR_LEVEL, .least = 1, .most = 1);

static const char *dmesg(const struct monitor_call *call)
{
	char text[LOG_LINE_MAX];
	u64 at = 0;

	for (size_t len; monitor_more() && (len = log_read(&at, text));)
		monitor_print("%.*s", (int)len, text);
	return NULL;
}
DEFINE_MONITOR_COMMAND(dmesg, "dmesg", "", "the log so far", dmesg);

static const char *caps(const struct monitor_call *call)
{
	unsigned count;
	const struct virt_feature *f = virt->features(&count);

	for (unsigned i = 0; i < count; i++)
		monitor_print("%c %-24s%s", f[i].used ? '+' : f[i].present ? '-' : ' ', f[i].name,
			      i % 3 == 2 || i == count - 1 ? "\n" : "");
	monitor_print("+ used, - not used\nmitigations:");
	for (unsigned i = 0; i < MITIGATE_COUNT; i++)
		if ((mitigate.on | mitigate.lacks) & BIT(i))
			monitor_print(" %c%s", mitigate_needs(i) ? '+' : '-', mitigate_name(i));
	monitor_print("\n+ on, - the CPU asks for it, but its microcode does not know it\n");
	return NULL;
}
DEFINE_MONITOR_COMMAND(caps, "caps", "", "what the processor offers, and leaks", caps);
