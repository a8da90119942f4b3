/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor: a command line for who sits at the console, as one job on the
 * boot pCPU. A command about a VM has it to itself, by life_enter, until it
 * waits; after that it has to look anew.
 */
#pragma once

#include "arch/lib/section.h"
#include "vmm/life.h"

/* What a command's first argument names. */
enum monitor_subject {
	MONITOR_NOTHING,
	MONITOR_MACHINE,
	MONITOR_MAYBE_MACHINE, /* not given: none */
	MONITOR_VM, /* one with a VM; not given: the one that had the keyboard last */
	MONITOR_LEVEL,
	MONITOR_COMMAND,
};

/* What a command is called with. */
struct monitor_call {
	const struct monitor_command *command;
	struct machine *machine; /* the subject, where it is one */
	struct vm *vm;		 /* for MONITOR_VM: its VM, within life_enter and life_leave */
	const char *format;	 /* what stood behind the name and a slash, "" for nothing */
	unsigned argc;		 /* arguments behind the machine's name */
	char **argv;
};

/* The arguments' names stand in `usage`, with a slash first where a format is taken. */
struct monitor_command {
	const char *name, *usage, *help;
	/* NULL, monitor_usage, or what is wrong, as a sentence. */
	const char *(*run)(const struct monitor_call *call);
	enum monitor_subject subject;
	u8 least, most;	   /* arguments beside the machine's name */
	unsigned argument; /* for commands that share a function */
};

/* What is more than name, usage, help and run is given as in an initializer. */
#define DEFINE_MONITOR_COMMAND(ident, word, names, text, fn, ...)                                 \
	static const struct monitor_command ident##_command = {                                   \
		.name = word, .usage = names, .help = text, .run = fn, __VA_ARGS__};              \
	SECTION_REGISTER(monitor_commands, ident##_command)

extern const char monitor_usage[];

/* Starts the monitor's job; 0 or -ENOMEM. Boot pCPU, once. */
int monitor_start(void);

/* Puts text on the page, which is shown when the command ends. Does not wait, but yields: no lock
 * is held, and no vCPU loaded. */
void monitor_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Shows what is on the page already, and may wait: false when no more is wanted.
 * Within no life_enter. */
bool monitor_more(void);
/* The same for a command on a VM, which may then be another one or NULL: machine->vm. */
bool monitor_more_of(struct machine *machine);
/* The vCPU of call->vm that the first argument names, 0 where there is none; or what is wrong. */
const char *monitor_vcpu(const struct monitor_call *call, struct vcpu **vcpu);
/* Waits until this host TSC; true if a key was pressed before. */
bool monitor_pause(u64 until);
