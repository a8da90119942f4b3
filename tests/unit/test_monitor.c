/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/monitor.c vmm/monitor_vms.c vmm/monitor_state.c vmm/line.c arch/lib/format.c arch/lib/log.c arch/virt.c tests/unit/fake_virt.c tests/unit/fake_context.c */
/*
 * The monitor as a person meets it: keys in, a terminal's text out. Machines,
 * vCPUs and the console are stand-ins; the monitor's job runs on a stack of its
 * own and comes back whenever it waits.
 */
#include "vmm/monitor.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/lib/log.h"
#include "arch/mitigate.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/gmem.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"

int str_vformat(char *buf, size_t size, const char *fmt, va_list ap);
SECTION_DECLARE(struct monitor_command, monitor_commands);

/* ---- jobs: one, on a stack of its own */

static u8 stack[1 << 20] __attribute__((aligned(16)));
static u64 job_rsp, test_rsp;
static void (*job_fn)(void *);
static bool in_job;
static unsigned yields;
static u64 slept_until;

static void entry(void)
{
	job_fn(NULL);
	abort(); /* the monitor does not end */
}

static void run_job(void)
{
	in_job = true;
	context_switch(&test_rsp, job_rsp);
}

static void leave_job(void)
{
	assert_true(in_job);
	in_job = false;
	context_switch(&job_rsp, test_rsp);
}

int job_start(struct job *job, const char *name, u64 allowed, void (*fn)(void *arg), void *arg)
{
	assert_string_equal(name, "monitor");
	assert_int_equal(allowed, 1);
	job_fn = fn;
	job_rsp = context_new(stack + sizeof(stack), entry);
	return 0;
}

static const char *typed_meanwhile; /* while others run */
static void type_now(const char *text);

void job_yield(void)
{
	yields++;
	if (typed_meanwhile)
		type_now(typed_meanwhile);
	typed_meanwhile = NULL;
}

void job_wait(void)
{
	leave_job();
}

void job_wait_until(u64 tsc)
{
	slept_until = tsc;
	leave_job();
}

static unsigned wakes;

void job_wake(struct job *job)
{
	wakes++;
}

bool fake_host_refuses(void)
{
	return false;
}

/* ---- the console */

static char shown[1 << 20];
static size_t shown_len;
static char keys[4096];
static unsigned key_at, key_count, no_room;
static bool disturbed;
static struct console_stream *focus, *had_focus;
static void (*wake)(void);

void console_set_monitor(void (*fn)(void))
{
	wake = fn;
}

static void type_now(const char *text)
{
	strcpy(keys, text);
	key_at = 0;
	key_count = strlen(text);
}

int console_key(void)
{
	return key_at < key_count ? (u8)keys[key_at++] : -1;
}

bool console_disturbed(void)
{
	bool was = disturbed;

	disturbed = false;
	return was;
}

bool console_room(void)
{
	return no_room == 0 || --no_room == 0;
}

void console_print(const char *fmt, ...)
{
	char text[CONSOLE_PRINT_MAX];
	va_list ap;

	assert_int_equal(no_room, 0);
	va_start(ap, fmt);
	assert_in_range(str_vformat(text, sizeof(text), fmt, ap), 0, sizeof(text) - 1);
	va_end(ap);
	shown_len += sprintf(shown + shown_len, "%s", text);
	assert_true(shown_len < sizeof(shown) - CONSOLE_PRINT_MAX);
}

struct console_stream *console_focused(void)
{
	return focus;
}

struct console_stream *console_last(void)
{
	return had_focus;
}

void console_focus(struct console_stream *stream)
{
	if (focus)
		had_focus = focus;
	focus = stream;
	if (focus)
		had_focus = focus;
}

/* ---- machines: web runs, lab is off, old has ended */

static struct machine web, lab, old;
static struct vm web_vm, old_vm;
static struct vcpu web_vcpu, old_vcpu, more_vcpus[3]; /* web's, where a test gives it more */
static struct fake_vcpu web_virt, old_virt, more_virt[3];
static u32 apic[4][PAGE_SIZE / 4];
static struct console_stream web_stream, old_stream;
static struct mem_object ram = {.size = MIB(64)};
static struct vdev pic, uart;
static unsigned stops, locks;
static struct vcpu *loaded;
static char asked[64];
static unsigned waited;
static const char *refusal;

const char *const life_state_names[LIFE_STATES] = {"off", "starting", "running", "paused", "ended"};
struct machine *life_machines;
u64 tsc_hz = 1000000000;

struct machine *life_find(const char *name)
{
	struct machine *m = life_machines;

	while (m && strcmp(m->config.vm, name))
		m = m->next;
	return m;
}

const char *life_ask(struct machine *machine, enum life_request request)
{
	static const char *const names[] = {"start", "pause", "resume", "reset", "kill", "destroy"};

	snprintf(asked, sizeof(asked), "%s %s", names[request], machine->config.vm);
	return refusal;
}

void life_wait(struct machine *machine)
{
	assert_false(machine->working);
	waited++;
}

void life_enter(struct machine *machine)
{
	assert_false(machine->working);
	machine->working = true;
}

void life_leave(struct machine *machine)
{
	assert_true(machine->working);
	machine->working = false;
}

struct vcpu *vm_vcpu(const struct vm *vm, u64 id)
{
	struct vcpu *vcpu = id < vm->vcpu_count ? vm->vcpus[id] : NULL;

	return vcpu && !vcpu->parked ? vcpu : NULL;
}

void vm_stop(struct vm *vm)
{
	stops++;
}

void vm_go(struct vm *vm)
{
	assert_true(stops-- > 0);
}

void vm_device_lock(struct vm *vm)
{
	assert_int_equal(locks++, 0);
}

void vm_device_unlock(struct vm *vm)
{
	assert_int_equal(--locks, 0);
}

void vcpu_load(struct vcpu *vcpu)
{
	assert_true(stops > 0 && !loaded);
	loaded = vcpu;
}

void vcpu_put(struct vcpu *vcpu)
{
	assert_ptr_equal(loaded, vcpu);
	loaded = NULL;
}

void vcpu_get_regs(struct vcpu *vcpu, struct vcpu_regs *regs)
{
	assert_ptr_equal(loaded, vcpu);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		regs->gpr[i] = 0x1111111111111111ull * i;
	regs->rip = 0x100020 + vcpu->id;
	regs->rflags = 0x246;
}

void vcpu_get_sregs(struct vcpu *vcpu, struct vcpu_sregs *s)
{
	*s = (struct vcpu_sregs){
		.seg[SREG_CS] = {.selector = 8, .limit = ~0u, .type = 11, .s = true,
				 .present = true, .db = true, .g = true},
		.seg[SREG_DS] = {.selector = 0x13, .type = 3, .s = true, .dpl = 3, .present = true},
		.seg[SREG_FS] = {.unusable = true},
		.tr = {.selector = 0x18, .base = 0x5000, .limit = 0x67, .type = 11, .present = true},
		.gdt = {0x6000, 0x1f},
		.idt = {0x7000, 0xfff},
		.cr0 = 0x80000011,
		.cr2 = 0xdead000,
		.cr3 = 0x1000,
		.cr4 = BIT(5) | BIT(7) | BIT(18),
		.efer = BIT(8) | BIT(10) | BIT(11),
	};
}

void vcpu_get_debugregs(struct vcpu *vcpu, struct vcpu_debugregs *regs)
{
	assert_ptr_equal(loaded, vcpu);
	*regs = (struct vcpu_debugregs){.dr = {0x123, 0, 0, 0x456}, .dr6 = 0xffff4ff1, .dr7 = 0x401};
}

/* 8 KiB of RAM at 1000h; linear addresses lie 80000000h higher. */
static u8 memory[2 * PAGE_SIZE];

void vcpu_translate(struct vcpu *vcpu, gva_t gva, struct vcpu_translation *out)
{
	assert_ptr_equal(loaded, vcpu);
	out->valid = gva.v >= 0x80000000 && gva.v < 0x90000000;
	out->gpa = GPA(gva.v - 0x80000000);
}

int guest_read(struct vm *vm, gpa_t gpa, void *dst, size_t len)
{
	assert_non_null(loaded);
	assert_true(gpa.v % PAGE_SIZE + len <= PAGE_SIZE);
	if (gpa.v < PAGE_SIZE || gpa.v - PAGE_SIZE > sizeof(memory) - len)
		return -EFAULT;
	memcpy(dst, memory + (gpa.v - PAGE_SIZE), len);
	return 0;
}

static void describe(const struct vdev *dev, char *text, size_t size)
{
	assert_int_equal(locks, 1);
	snprintf(text, size, "  lines %02x\n", dev->args.irq);
}

static const struct vdev_type pic_type = {.name = "8259", .save_size = 34, .describe = describe};
static const struct vdev_type uart_type = {.name = "16550", .save_size = 64};

/* ---- */

static bool begun;

static void make_machine(struct machine *m, const char *name, enum life_state state,
			 struct machine *next)
{
	*m = (struct machine){.state = state, .next = next};
	strcpy(m->config.vm, name);
}

static void make_vm(struct machine *m, struct vm *vm, struct vcpu *vcpu, struct fake_vcpu *back)
{
	memset(vm, 0, sizeof(*vm));
	memset(vcpu, 0, sizeof(*vcpu));
	*back = (struct fake_vcpu){.loaded = true};
	*vm = (struct vm){.vcpu = vcpu, .vcpu_count = 1, .ram_below_4g = MIB(64)};
	back->base.apic = apic[0];
	*vcpu = (struct vcpu){.vm = vm, .virt = &back->base};
	m->vm = vm;
}

/* web has vCPUs 0 to 3, of which 2 is parked. */
static void make_more_vcpus(void)
{
	web_vm.vcpu_count = 4;
	for (unsigned i = 0; i < 3; i++) {
		web_vm.vcpus[i + 1] = &more_vcpus[i];
		more_virt[i] = (struct fake_vcpu){.loaded = true, .base.apic = apic[i + 1]};
		more_vcpus[i] = (struct vcpu){.vm = &web_vm, .virt = &more_virt[i].base, .id = i + 1,
					      .parked = i == 1};
	}
	web_vm.vcpu_count = 4;
}

static int setup(void **state)
{
	fake_virt_init();
	make_machine(&web, "web", LIFE_RUNNING, &lab);
	make_machine(&lab, "lab", LIFE_OFF, &old);
	make_machine(&old, "old", LIFE_ENDED, NULL);
	strcpy(old.reason, "exit code 7");
	life_machines = &web;
	make_vm(&web, &web_vm, &web_vcpu, &web_virt);
	make_vm(&old, &old_vm, &old_vcpu, &old_virt);
	web_stream = (struct console_stream){.name = "web", .key = '1'};
	old_stream = (struct console_stream){.name = "old", .key = '2'};
	web.console = &web_stream;
	old.console = &old_stream;
	focus = NULL;
	had_focus = &web_stream;
	refusal = NULL;
	asked[0] = 0;
	waited = stops = locks = no_room = 0;
	disturbed = false;
	if (!begun) {
		assert_int_equal(monitor_start(), 0);
		run_job();
		begun = true;
	}
	return 0;
}

/* Types, and lets the monitor run until it wants more; what it has shown since is in `shown`. */
static const char *types(const char *text)
{
	shown_len = 0;
	shown[0] = 0;
	type_now(text);
	run_job();
	assert_int_equal(stops, 0);
	assert_int_equal(locks, 0);
	assert_null(loaded);
	for (struct machine *m = life_machines; m; m = m->next)
		assert_false(m->working && m->state != LIFE_STARTING);
	return shown;
}

/* What a command has printed: all between the line with the command and the next prompt. */
static const char *says(const char *command)
{
	static char text[65536];
	size_t len = strlen(command);

	snprintf(text, sizeof(text), "%s\r", command);
	types(text);
	assert_memory_equal(shown, command, len);
	assert_int_equal(shown[len], '\n');
	snprintf(text, sizeof(text), "%s", shown + len + 1);
	len = strlen(text);
	assert_true(len >= 9 && !strcmp(text + len - 9, "\rtrivet> "));
	text[len - 9] = 0;
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" in:\n%s", part, text);
}

static unsigned count_lines(const char *text)
{
	unsigned count = 0;

	for (; (text = strchr(text, '\n')); text++)
		count++;
	return count;
}

/* A command that takes a machine or none, as boot's poweroff. */
static const char *maybe(const struct monitor_call *call)
{
	monitor_print("%s\n", call->machine ? call->machine->config.vm : "none");
	return NULL;
}
DEFINE_MONITOR_COMMAND(maybe, "maybe", " [NAME]", "tells which", maybe,
		       .subject = MONITOR_MAYBE_MACHINE);

/* Every command: names and usages as they should be, all of them in help, by name. */
static void the_table(void **state)
{
	const struct monitor_command *const *it, *const *other;
	const char *text = says("help"), *before = NULL, *at;
	unsigned count = 0, rows = 0;

	SECTION_FOR_EACH(it, monitor_commands) {
		const struct monitor_command *c = *it;
		char start[64];

		count++;
		assert_true(c->name[0] && c->help[0] && c->run);
		assert_true(!c->usage[0] || c->usage[0] == ' ' || c->usage[0] == '/');
		assert_true(c->least <= c->most);
		/* Who takes arguments or a machine says so, and who does not has no usage. */
		assert_int_equal(c->usage[0] != 0, c->most || c->subject != MONITOR_NOTHING);
		SECTION_FOR_EACH(other, monitor_commands)
			assert_true(other == it || strcmp((*other)->name, c->name));
		snprintf(start, sizeof(start), "%s%s ", c->name, c->usage);
		has(text, start);
	}
	assert_int_equal(count, 20); /* with the test's own; poweroff and reboot are not vmm's */
	for (at = text; strncmp(at, "Ctrl", 4); at = strchr(at, '\n') + 1, rows++) {
		assert_true(!before || strncmp(before, at, strcspn(at, "\n")) < 0);
		before = at;
	}
	assert_int_equal(rows, count);
}

/* command: what it says, all of it */
static const char *const exact[][2] = {
	{"", ""},
	{"   ", ""},
	{"nonsense", "there is no command nonsense; help lists them\n"},
	{"vm s", "vm: there is no such VM; vms lists them\n"},
	{"maybe", "none\n"},
	{"maybe web", "web\n"},
	{"maybe s", "maybe: there is no such VM; vms lists them\n"},
	{"maybe web s", "usage: maybe [NAME]\n"},
	{"vmss", "there is no command vmss; help lists them\n"},
	{"HELP", "there is no command HELP; help lists them\n"},
	{"vms now", "usage: vms\n"},
	{"vms/4", "usage: vms\n"},
	{"vms/", ""},
	{"log", "usage: log error|warn|info|debug\n"},
	{"log loud", "usage: log error|warn|info|debug\n"},
	{"log info", ""},
	{"log info now", "usage: log error|warn|info|debug\n"},
	{"start", "usage: start NAME\n"},
	{"start nobody", "start: there is no such VM; vms lists them\n"},
	{"start lab now", "usage: start NAME\n"},
	{"vm", "usage: vm NAME\n"},
	{"vm lab", "vm: it has no console\n"},
	{"regs lab", "regs: that VM is off\n"},
	{"regs web 1", "regs: there is no such vCPU\n"},
	{"regs web 0xffffffff00000000", "regs: there is no such vCPU\n"},
	{"stats web 1", "stats: there is no such vCPU\n"},
	{"stats web x", "usage: stats [NAME] [VCPU]\n"},
	{"regs web x", "usage: regs [NAME] [VCPU]\n"},
	{"regs web 0 0", "usage: regs [NAME] [VCPU]\n"},
	{"regions nobody", "regions: there is no such VM; vms lists them\n"},
	{"x", "usage: x/NFU [NAME] [p:]ADDRESS\n"},
	{"x web", "usage: x/NFU [NAME] [p:]ADDRESS\n"},
	{"x/4q 0", "usage: x/NFU [NAME] [p:]ADDRESS\n"},
	{"x/i 0", "x: there is no disassembler\n"},
	{"x/100000x 0", "x: that is too much at once\n"},
	{"x/99999999999999999999x 0", "x: that is too much at once\n"},
	{"x/x p:zero", "usage: x/NFU [NAME] [p:]ADDRESS\n"},
	{"x 0x70000000", "cannot access memory at 0x70000000\n"},
	{"x p:0", "cannot access memory at 0x0\n"},
	{"x p:0xffffffffffffffff", "cannot access memory at 0xffffffffffffffff\n"},
	{"x/s p:0", "cannot access memory at 0x0\n"},
	{"x lab 0", "x: that VM is off\n"},
	{"x/2xw p:0x1000", "0x1000:\t0x64636261\t0x00666564\n"},
	{"x/0xw p:0x1000", ""},
	{"x p:4096", "0x1000:\t0x64636261\n"},
	{"x web 0x80001000", "0x80001000:\t0x64636261\n"},
	{"x/2xb 0x80001000", "0x80001000:\t0x61\t0x62\n"},
	{"x/2xh 0x80001000", "0x80001000:\t0x6261\t0x6463\n"},
	{"x/3xg 0x80001000",
	 "0x80001000:\t0x0066656464636261\t0x00000000fffffffe\n0x80001010:\t0x0000000000000000\n"},
	{"x/2dw 0x80001008", "0x80001008:\t-2\t0\n"},
	{"x/dg 0x80001008", "0x80001008:\t4294967294\n"},
	{"x/db 0x80001008", "0x80001008:\t-2\n"},
	{"x/uw 0x80001008", "0x80001008:\t4294967294\n"},
	{"x/ob 0x80001000", "0x80001000:\t0141\n"},
	{"x/tb 0x80001000", "0x80001000:\t01100001\n"},
	{"x/th 0x80001000", "0x80001000:\t0110001001100001\n"},
	{"x/3c 0x80001006", "0x80001006:\t102 'f'\t0 '.'\t-2 '.'\n"},
	{"x/2s 0x80001000", "0x80001000:\t\"abcddef\"\n0x80001008:\t\"....\"\n"},
	/* Up to the end of memory, and over its pages' ends. */
	{"x/3xw 0x80002ff8", "0x80002ff8:\t0x00000000\t0x77000000\ncannot access memory at 0x80003000\n"},
	{"x/xw 0x80001ffe", "0x80001ffe:\t0x22221111\n"},
	{"x/xw p:0x2ffe", "cannot access memory at 0x2ffe\n"},
	{"x/2s 0x80002fff", "0x80002fff:\t\"w\"...\ncannot access memory at 0x80003000\n"},
};

static void usage_and_memory(void **state)
{
	memcpy(memory, "abcddef\0\xfe\xff\xff\xff", 12);
	memcpy(memory + 0xffe, "\x11\x11\x22\x22", 4);
	memory[sizeof(memory) - 1] = 'w';
	for (unsigned i = 0; i < ARRAY_SIZE(exact); i++) {
		const char *text = says(exact[i][0]);

		if (strcmp(exact[i][0], "vms/"))
			assert_string_equal(text, exact[i][1]);
	}
}

static void the_list_of_vms(void **state)
{
	const char *text;

	lab.state = LIFE_STARTING;
	lab.vm = &old_vm;
	lab.working = true;
	has(says("vms"), "\n-   lab              starting \n");
	assert_true(lab.working);
	setup(state);
	web_vcpu.task.ran = 2345 * tsc_hz / 1000;
	web_vcpu.task.cpu = 1;
	web_vcpu.exits[EXIT_IO] = 70;
	web_vcpu.exits[EXIT_HLT] = 7;
	text = says("vms");
	has(text, "\n1   web              running      1    1    64 M     2.345 s         77\n");
	has(text, "\n-   lab              off      \n");
	has(text, "\n2   old              ended        1    0    64 M     0.000 s          0  last: exit code 7\n");
	/* several vCPUs: their sums, and from where to where they are; not what is parked */
	make_more_vcpus();
	for (unsigned i = 0; i < 3; i++) {
		more_vcpus[i].task.ran = i == 1 ? 7777 * tsc_hz : (i + 1) * tsc_hz;
		more_vcpus[i].task.cpu = i == 1 ? 63 : i + 1;
		more_vcpus[i].exits[EXIT_IO] = i == 1 ? 777777 : 1000;
	}
	has(says("vms"), "\n1   web              running      3  1-3    64 M     6.345 s       2077\n");
	for (unsigned i = 0; i < 3; i++)
		more_vcpus[i].task.cpu = web_vcpu.task.cpu = 62;
	has(says("vms"), "\n1   web              running      3   62    64 M     6.345 s       2077\n");
	web_vcpu.task.cpu = 10;
	has(says("vms"), "\n1   web              running      3 10-62    64 M     6.345 s       2077\n");
}

static void lives(void **state)
{
	static const char *const words[] = {"start", "pause", "resume", "reset", "kill", "destroy"};
	char command[64];

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(command, sizeof(command), "%s lab", words[i]);
		assert_string_equal(says(command), "");
		assert_string_equal(asked, command);
		assert_int_equal(waited, i + 1);
	}
	refusal = "is not running";
	assert_string_equal(says("pause web"), "pause: is not running\n");
	assert_int_equal(waited, ARRAY_SIZE(words));
}

/* The monitor is woken for nothing, and the key comes just before it sleeps again: it sees it. */
static void a_key_that_comes_while_others_run(void **state)
{
	typed_meanwhile = "log\r";
	has(types(""), "log\nusage: log ");
	assert_null(typed_meanwhile);
	assert_int_equal(key_at, key_count);
}

/* The keyboard goes to the VM: no prompt before it comes back. */
static void keyboard(void **state)
{
	static struct region region = {.gpa = 0x4000, .size = 0x1000, .mem = &ram, .slot = 3};

	assert_string_equal(types("vm old\r"), "vm old\n");
	assert_ptr_equal(focus, &old_stream);
	assert_string_equal(types(""), "");
	console_focus(NULL);
	assert_string_equal(types(""), "\rtrivet> ");
	/* That VM is the one meant from now on. */
	old_vm.regions = (struct region_table){.count = 1, .region = &region};
	has(says("regions"), "   3 0000000000004000-0000000000004fff");
	lacks(says("regions web"), "4000");
	/* With nothing to go by, one machine alone is meant. */
	had_focus = NULL;
	assert_string_equal(says("regions"), "regions: which VM? vms lists them\n");
	life_machines = &old;
	has(says("regions"), "   3 0000000000004000-0000000000004fff");
	life_machines = NULL;
	assert_string_equal(says("regs"), "regs: which VM? vms lists them\n");
	has(says("vms"), "name");
}

static void registers(void **state)
{
	const char *text = says("regs");

	has(text, "rax 0000000000000000  rcx 1111111111111111  ");
	has(text, "r15 ffffffffffffffff\n");
	has(text, "rip 0000000000100020");
	has(text, "0000000000000246 PF ZF IF\n");
	has(text, "cr0    0000000080000011 PE ET PG\n");
	has(text, "cr4    00000000000400a0 PAE PGE OSXSAVE\n");
	has(text, "efer   0000000000000d00 LME LMA NXE\n");
	has(text, "cr2    000000000dead000  cr3 0000000000001000\n");
	has(text, "cs     0008 base 0000000000000000 limit ffffffff type b dpl 0 32-bit pages\n");
	has(text, "ds     0013 base 0000000000000000 limit 00000000 type 3 dpl 3\n");
	has(text, "fs     0000");
	has(text, " unusable\n");
	has(text, "tr     0018 base 0000000000005000 limit 00000067 type b dpl 0 system\n");
	has(text, "gdt    base 0000000000006000 limit 001f  idt");
	has(text, "dr0 0000000000000123");
	has(text, "dr6    00000000ffff4ff1 B0");
	assert_in_range(count_lines(text), 1, 22); /* one page */
	make_more_vcpus();
	has(says("regs web 3"), "rip 0000000000100023");
	has(says("regs 1"), "rip 0000000000100021");
	has(says("regs web"), "rip 0000000000100020");
	assert_string_equal(says("regs web 2"), "regs: there is no such vCPU\n");
	assert_string_equal(says("regs web 4"), "regs: there is no such vCPU\n");
	assert_string_equal(says("regs web 32"), "regs: there is no such vCPU\n");
	has(says("regs web 0"), "rip 0000000000100020");
	has(says("regs 0"), "rip 0000000000100020");
}

static void counters(void **state)
{
	const char *text;

	web_vcpu.exits[EXIT_IO] = 10;
	web_vcpu.exit_ticks[EXIT_IO] = 1000;
	text = says("stats web");
	has(text, "io                           10        100           10        100\n");
	lacks(text, "hlt");
	web_vcpu.exits[EXIT_IO] = 12;
	web_vcpu.exit_ticks[EXIT_IO] = 1600;
	has(says("stats"), "io                           12        133            2        300\n");
	has(says("stats"), "io                           12        133            0          0\n");
	make_more_vcpus();
	more_vcpus[0].exits[EXIT_IO] = 4;
	more_vcpus[0].exit_ticks[EXIT_IO] = 1600;
	more_vcpus[1].exits[EXIT_IO] = 1000000; /* parked */
	more_vcpus[2].exits[EXIT_HLT] = 3;
	more_vcpus[2].exit_ticks[EXIT_HLT] = 30;
	text = says("stats web 1");
	has(text, "io                            4        400            4        400\n");
	lacks(text, "hlt");
	text = says("stats web");
	has(text, "io                           16        200            0          0\n");
	has(text, "hlt                           3         10            3         10\n");
	more_vcpus[0].exits[EXIT_IO]++;
	web_vcpu.exits[EXIT_IO] += 3;
	has(says("stats web 0"), "io                           15        106            3          0\n");
	has(says("stats web"), "io                           20        160            1          0\n");
}

static void devices(void **state)
{
	struct bus_range ranges[] = {{0x20, 0x21, &pic, NULL}, {0xa0, 0xa1, &pic, NULL},
				     {0x3f8, 0x3ff, &uart, NULL}};

	pic = (struct vdev){.type = &pic_type, .next = &uart, .args.irq = 0x5a};
	uart = (struct vdev){.type = &uart_type};
	web_vm.devices = &pic;
	web_vm.ports.count = ARRAY_SIZE(ranges);
	memcpy(web_vm.ports.range, ranges, sizeof(ranges));
	assert_string_equal(says("devices"), "8259            34 bytes of state, ports 20-21 a0-a1\n  lines 5a\n"
					     "16550           64 bytes of state, ports 3f8-3ff\n");
	has(says("irq"), "8259            34 bytes of state, ports 20-21 a0-a1\n"
			 "  lines 5a\nlocal APIC of vCPU 0,");
	pic.type = &uart_type;
	assert_memory_equal(says("irq web"), "local APIC", 10);
}

/* Types spaces for as long as a command has more to show; all that it showed. */
static const char *says_all(const char *command)
{
	static char all[1 << 18];
	char text[64];

	snprintf(text, sizeof(text), "%s\r", command);
	strcpy(all, types(text));
	while (!strstr(shown, "\rtrivet> "))
		strcat(all, types(" "));
	return all;
}

static void local_apics(void **state)
{
	static const struct { unsigned offset; u32 value; } regs[] = {
		{LAPIC_ID, 0x01000000}, {LAPIC_LDR, 0x02000000}, {LAPIC_DFR, 0xffffffff},
		{LAPIC_SVR, 0x1ff}, {LAPIC_TPR, 0x20}, {LAPIC_ICR, 0xc08fe}, {LAPIC_ICR_HIGH, 0x03000000},
		{LAPIC_ESR, 0x40}, {LAPIC_LVT_TIMER, 0x400ec}, {LAPIC_TIMER_INITIAL, 0x12345},
		{LAPIC_TIMER_DIVIDE, 0xb}, {LAPIC_LVT_ERROR, 0xfe}, {LAPIC_LVT_LINT0, 0x10700},
		{LAPIC_LVT_LINT1, 0x400}, {LAPIC_LVT_PERFORMANCE, 0x10000}, {LAPIC_LVT_THERMAL, 0x10001},
	};
	const char *text, *at;

	memset(apic, 0, sizeof(apic));
	make_more_vcpus();
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		apic[1][regs[i].offset / 4] = regs[i].value;
	apic[1][(LAPIC_ISR + 0x70) / 4] = BIT(12) | BIT(31);
	apic[1][LAPIC_IRR / 4] = BIT(16);
	apic[1][(LAPIC_IRR + 0x10) / 4] = BIT(1);
	apic[1][(LAPIC_TMR + 0x20) / 4] = BIT(0);
	web_vcpu.lapic.base = 0xfee00100;
	more_vcpus[0].lapic.base = 0xfee00800;
	more_vcpus[2].lapic.base = 0xfee00c00;
	text = says_all("irq web");
	has(text, "local APIC of vCPU 0, off, base fee00100\n");
	has(text, "local APIC of vCPU 1, xAPIC, base fee00800\n");
	has(text, "local APIC of vCPU 3, x2APIC, base fee00c00\n");
	lacks(text, "vCPU 2");
	at = strstr(text, "vCPU 1");
	has(at, "\n  id    01000000  ldr   02000000  dfr   ffffffff  svr   000001ff\n"
		"  tpr   00000020  icr   000c08fe  to    03000000  esr   00000040\n"
		"  timer 000400ec  count 00012345  div   0000000b  error 000000fe\n"
		"  lint0 00010700  lint1 00000400  perf  00010000  therm 00010001\n"
		"  isr   ec ff\n  irr   10 21\n  level 40\nlocal APIC");
	/* whatever the guest has in there */
	memset(apic, 0xff, sizeof(apic));
	text = says_all("irq web");
	has(text, "\n        f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 fa fb fc fd fe ff\n");
	for (unsigned i = 0; i < 32; i++)
		web_vm.vcpus[i] = &web_vcpu;
	web_vm.vcpu_count = 32;
	text = says_all("irq web");
	for (unsigned i = 0; i < 32; i++, text++)
		assert_non_null(text = strstr(text, "level 00 01"));
	/* it may go meanwhile */
	types("irq web\r");
	web.vm = NULL;
	types(" ");
	has(shown, "trivet> ");
	memset(apic, 0, sizeof(apic));
}

static void regions(void **state)
{
	static struct region two[] = {
		{.gpa = 0, .size = 0xa0000, .mem = &ram, .slot = 0},
		{.gpa = 0xe0000, .size = 0x20000, .mem = &ram, .offset = 0xe0000,
		 .flags = REGION_READ_ONLY, .slot = 2}};

	web_vm.regions = (struct region_table){.count = 2, .region = two};
	has(says("regions"), "   0 0000000000000000-000000000009ffff              65536 K at 0\n"
			     "   2 00000000000e0000-00000000000fffff read-only    65536 K at e0000\n");
}

struct mitigate_plan mitigate = {.on = BIT(MITIGATE_RSB), .lacks = BIT(MITIGATE_VERW)};

const char *mitigate_name(enum mitigation which)
{
	return which == MITIGATE_RSB ? "one" : which == MITIGATE_VERW ? "other" : "none";
}

static void capabilities(void **state)
{
	unsigned count;
	const struct virt_feature *f = virt->features(&count);
	char row[64];
	const char *text;

	fake_virt_use(f[0].name, false);
	text = says("caps");
	snprintf(row, sizeof(row), "- %-24s+ %s ", f[0].name, f[1].name);
	has(text, row);
	has(text, "\nmitigations: +one -other\n");
	assert_int_equal(count_lines(text), (count + 2) / 3 + 3);
}

static void the_log(void **state)
{
	log_info("a line of the log");
	has(says("dmesg"), "a line of the log\n");
	says("log error");
	log_info("unheard");
	says("log info");
	lacks(says("dmesg"), "unheard");
}

/* A list stops each 22 rows, and ends with q. */
static void pager(void **state)
{
	static const char more[] = "-- more, q to stop --";

	for (unsigned i = 0; i < 60; i++)
		log_info("line %u", i);
	types("dmesg\r");
	assert_int_equal(count_lines(shown), 1 + 22);
	assert_string_equal(shown + shown_len - strlen(more), more);
	assert_string_equal(types("xyz"), "\r-- more, q to stop --");
	types(" ");
	assert_int_equal(count_lines(shown), 22);
	has(shown, more);
	/* What else is said meanwhile: the question comes again. */
	disturbed = true;
	has(types(""), more);
	assert_string_equal(types("q"), "\r                      \r\rtrivet> ");
	types("dmesg\r");
	types("\x03");
	has(shown, "trivet> ");
	types("dmesg\r");
	for (unsigned i = 0; !strstr(shown, "trivet> "); i++) {
		assert_in_range(i, 0, 100);
		types("\r");
	}
	has(shown, "line 59\n");
	/* The machine that is looked at may go meanwhile. */
	types("x/4000xb p:0x1000\r");
	web.vm = NULL;
	types(" ");
	has(shown, "x: that VM has gone\n\rtrivet> ");
}

static void share(u64 *since, unsigned percent_web)
{
	u64 now = rdtsc();

	web_vcpu.task.ran += (now - *since) * percent_web / 100;
	*since = now;
}

static void shares_of_the_cores(void **state)
{
	u64 since = rdtsc(), start = since, hz = tsc_hz;
	unsigned all;

	tsc_hz = 20000000;
	types("top\r");
	has(shown, "each second until a key");
	assert_in_range(slept_until, start + tsc_hz, rdtsc() + tsc_hz);
	for (unsigned i = 0; i < 3; i++) {
		unsigned whole;

		/* news on the console wake it early; they are no key, nor is it time */
		disturbed = true;
		assert_string_equal(types(""), "");
		while (rdtsc() < slept_until)
			;
		share(&since, 40);
		types("");
		has(shown, "old                0.0 %\n");
		lacks(shown, "lab");
		assert_int_equal(sscanf(strstr(shown, "web"), "web %u", &whole), 1);
		assert_in_range(whole, 30, 42);
	}
	old.vm = NULL;
	make_more_vcpus();
	for (unsigned i = 0; i < 3; i++)
		more_vcpus[i].task.ran = more_vcpus[i].seen.ran = 123456789;
	while (rdtsc() < slept_until)
		;
	more_vcpus[0].task.ran += (rdtsc() - since) * 60 / 100;
	more_vcpus[1].task.ran += 987654321; /* parked */
	more_vcpus[2].task.ran += (rdtsc() - since) * 80 / 100;
	share(&since, 40);
	types("");
	lacks(shown, "old");
	assert_int_equal(sscanf(strstr(shown, "web"), "web %u", &all), 1);
	assert_in_range(all, 150, 185);
	has(types("x"), "trivet> ");
	tsc_hz = hz;
}

/* What TAB offers at the start of a line: all commands, by name. */
static void commands_are_offered_by_name(void **state)
{
	unsigned count = 0;
	const char *before = "";

	types("\x15\t");
	for (const char *word = strtok(strchr(shown, '\n'), " \r\n");
	     word && strcmp(word, "trivet>"); word = strtok(NULL, " \r\n"), count++) {
		assert_true(strcmp(before, word) < 0);
		before = word;
	}
	assert_in_range(count, 20, 99);
}

/* The line under other output; completion; room for all that is printed. */
static void at_the_prompt(void **state)
{
	types("stat");
	disturbed = true;
	assert_string_equal(types(""), "\rtrivet> stat");
	assert_string_equal(types("s nobody\x03"), "s nobody^C\n\rtrivet> ");
	has(types("sto\x03sta\t"), "start");
	has(types("\x15regi\t"), "trivet> regions ");
	has(types("l\t"), "trivet> regions lab ");
	assert_string_equal(types("w\t"), "w\rtrivet> regions lab w");
	has(types("\x15log d\t"), "trivet> log debug ");
	has(types("\x15help ver\x08\x08m\t"), "vm");
	has(types("\x15vms \t"), "vms ");
	has(types("\x15nothing w\t"), "nothing w");
	no_room = 5;
	yields = 0;
	has(types("\x15vms\r"), "running");
	assert_true(yields >= 4);
	assert_int_equal(types("a b c d e f g h i j k l m n o p\r") != NULL, true);
	has(shown, "there is no command a;");
}

static void woken_by_the_console(void **state)
{
	unsigned before = wakes;

	wake();
	assert_int_equal(wakes, before + 1);
}

/* Whatever is typed ends at a prompt again. */
static void noise(void **state)
{
	static const char letters[] = "vmsxregspausestoplog help/0123456789p: \t\r\r\x10\x17\x1b[ABq";
	u64 seed = 12345;

	for (unsigned i = 0; i < 3000; i++) {
		char text[64];

		for (unsigned k = 0; k < sizeof(text) - 1; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			text[k] = letters[(seed >> 33) % (sizeof(letters) - 1)];
		}
		text[sizeof(text) - 1] = 0;
		types(text);
		console_focus(NULL);
	}
	types("q\x03\x03qq\r\x03");
	has(says("vms"), "web");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_table, setup),
		cmocka_unit_test_setup(usage_and_memory, setup),
		cmocka_unit_test_setup(the_list_of_vms, setup),
		cmocka_unit_test_setup(lives, setup),
		cmocka_unit_test_setup(a_key_that_comes_while_others_run, setup),
		cmocka_unit_test_setup(keyboard, setup),
		cmocka_unit_test_setup(registers, setup),
		cmocka_unit_test_setup(counters, setup),
		cmocka_unit_test_setup(devices, setup),
		cmocka_unit_test_setup(local_apics, setup),
		cmocka_unit_test_setup(regions, setup),
		cmocka_unit_test_setup(capabilities, setup),
		cmocka_unit_test_setup(the_log, setup),
		cmocka_unit_test_setup(pager, setup),
		cmocka_unit_test_setup(shares_of_the_cores, setup),
		cmocka_unit_test_setup(commands_are_offered_by_name, setup),
		cmocka_unit_test_setup(at_the_prompt, setup),
		cmocka_unit_test_setup(woken_by_the_console, setup),
		cmocka_unit_test_setup(noise, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
