/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/machine.c vmm/acpi.c vmm/life.c vmm/load.c vmm/load_flat.c vmm/load_linux.c vmm/load_multiboot.c vmm/load_pvh.c vmm/elf.c vmm/run.c vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/serve.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/sched.c vmm/job.c tests/unit/fake_context.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c drivers/vacpi.c drivers/vdebug.c drivers/vi8042.c drivers/vioapic.c drivers/vpci.c drivers/vpci_host.c drivers/vpic.c drivers/vpit.c drivers/vreset.c drivers/vrtc.c drivers/vuart.c arch/virt.c arch/lib/audit.c arch/lib/format.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * Lives of machines on the host, with the real run queues, jobs and devices: a
 * flat guest started, reset from its pristine module, paused, killed, destroyed
 * and started again, from every state.
 */
#include "vmm/life.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/abi.h"
#include "vmm/pcpu.h"
#include "vmm/vcpu.h"

static const char image[600] = "a boot sector, and some more";
static struct vm_module modules[1];
static struct machine m;
static unsigned starts;

static int setup(void **state)
{
	static const struct console_backend none;

	(void)state;
	fake_virt_init();
	console_set_backend(&none);
	assert_non_null(console_open("web")); /* outlives its VM, so is not counted */
	fake_host_init(MIB(64));
	modules[0] = (struct vm_module){
		.number = 1, .start = fake_host_module(image, sizeof(image)),
		.size = sizeof(image), .kind = MODULE_FLAT, .cmdline = ""};
	m = (struct machine){.config = {
		.vm = "web",
		.name = "guest",
		.mem = MIB(4),
		.modules = modules,
		.module_count = 1,
		.epoch = 1700000000,
		.epoch_tsc = rdtsc(),
	}};
	life_machines = NULL;
	life_add(&m);
	starts = 0;
	return 0;
}

static bool idle(void)
{
	return !m.working;
}

static struct fake_vcpu *cpu(void)
{
	return fake_vcpu_of(m.vm->vcpu->virt);
}

static void again(struct fake_vcpu *v);
static const struct fake_run spin[] = {{.guest = again}, {.guest = again}};

static void again(struct fake_vcpu *v)
{
	v->script = spin;
	v->script_left = ARRAY_SIZE(spin);
}

/* Has its job done; a guest that runs spins meanwhile. */
static void ask(enum life_request request)
{
	if (m.vm)
		again(cpu());
	assert_null(life_ask(&m, request));
	sched_run(idle);
}

static void destroyed(void)
{
	if (m.state != LIFE_OFF)
		ask(LIFE_DESTROY);
	assert_null(m.vm);
	assert_int_equal(fake_host.pages_out, 0);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(fake_host.mapped_out, 0);
	assert_int_equal(fake_host.unscrubbed, 0);
	assert_int_equal(fake_host.spaces, 0);
	assert_int_equal(fake_virt_vms, 0);
	assert_int_equal(fake_virt_vcpus, 0);
	assert_null(fake_host.entered);
}

static bool played(void)
{
	return idle() && (!m.vm || !cpu()->script_left);
}

/* Lets the guest do this much. */
static void play(const struct fake_run *script, unsigned count)
{
	cpu()->script = script;
	cpu()->script_left = count;
	sched_run(played);
}

static u8 *at(u64 gpa)
{
	return fake_host_at(&m.vm->space, WINDOW_BASE + gpa, false);
}

/* What a guest finds; then it makes a mess of it. */
static void first_look(struct fake_vcpu *v)
{
	starts++;
	assert_int_equal(v->seg[SREG_CS].base + v->reg[VREG_RIP], 0x7c00);
	assert_int_equal((u8)v->base.gpr[GPR_RDX], 0x80);
	assert_int_equal(v->reg[VREG_CR0] & (CR0_PE | CR0_PG), 0);
	assert_memory_equal(at(0x7c00), image, sizeof(image));
	assert_int_equal(*at(0x7c00 + sizeof(image)), 0);
	assert_int_equal(*at(0xc0000), 0xff);
	assert_int_equal(*at(0xdffff), 0xff);
	assert_memory_equal(at(0xe0000), "RSD PTR ", 8);
	assert_int_equal(*at(0xf0000), 0);
	assert_int_equal(*at(0xfffff), 0);
	assert_int_equal(*at(MIB(4) - 1), 0);
	memset(at(0), 0x66, 0x8000);
	memset(at(0xe0000), 0x66, 0x10000);
	*at(MIB(4) - 1) = 0x77;
	v->reg[VREG_CR0] |= CR0_PE;
	v->base.gpr[GPR_RAX] = 6;
}

#define OUT(number) {.reason = EXIT_IO, .insn_len = 1, .io = {.port = (number), .size = 1}}
#define RESET	    {.guest = first_look, .exit = OUT(0xcf9)}

static void guest_starts_resets_and_ends(void **state)
{
	static const struct fake_run script[] = {
		RESET,
		{.guest = first_look, .exit = {.reason = EXIT_SHUTDOWN}},
		{.guest = first_look, .exit = OUT(ABI_PORT_DEBUG_E9)},
		{.exit = OUT(ABI_PORT_DEBUG_EXIT)},
	};

	(void)state;
	m.config.debug_exit = true;
	ask(LIFE_START);
	assert_int_equal(m.state, LIFE_RUNNING);
	assert_int_equal(vm_boot_epoch(m.vm), 1700000000);
	play(script, ARRAY_SIZE(script));
	assert_int_equal(m.state, LIFE_ENDED);
	assert_string_equal(m.reason, "exit code 6");
	assert_true(life_all_ended());
	assert_int_equal(starts, 3);
	assert_false(cpu()->loaded);
	assert_null(fake_host.entered);
	assert_int_equal(m.vm->resets, 2);
	assert_int_equal(m.vm->exit_code, 6);
	assert_true(fake_host_logged("[web] exit code 6"));
	assert_true(fake_host_logged("exits io 3"));
	assert_true(fake_host_logged("exits shutdown 1"));
	destroyed();
}

static void debug_exit_only_where_asked_for(void **state)
{
	static const struct fake_run script[] = {
		{.exit = OUT(ABI_PORT_DEBUG_EXIT)},
		{.exit = {.reason = EXIT_HLT, .insn_len = 1}},
	};

	(void)state;
	ask(LIFE_START);
	play(script, ARRAY_SIZE(script));
	assert_true(fake_host_logged("I [web] halted"));
	assert_int_equal(m.vm->unknown_ports.count, 1);
	destroyed();
}

static void image_that_does_not_load(void **state)
{
	(void)state;
	modules[0].kind = MODULE_DISK; /* no use for it: the machine cannot be made */
	ask(LIFE_START);
	assert_int_equal(m.state, LIFE_OFF);
	assert_true(m.reason[0] != 0);
	modules[0].kind = MODULE_FLAT;
	modules[0].size = MIB(8); /* more than it has memory */
	ask(LIFE_START);
	assert_int_equal(m.state, LIFE_ENDED);
	assert_true(fake_host_logged("module 1"));
	assert_int_equal(cpu()->runs, 0);
	destroyed();
}

static void every_request_in_every_state(void **state)
{
	/* by state: what is refused, by enum life_request, and where the others lead */
	static const struct {
		enum life_state from;
		int to[LIFE_GUEST]; /* -1: refused */
	} rows[] = {
		{LIFE_OFF, {LIFE_RUNNING, -1, -1, -1, -1, -1}},
		{LIFE_RUNNING, {-1, LIFE_PAUSED, -1, LIFE_RUNNING, LIFE_ENDED, LIFE_OFF}},
		{LIFE_PAUSED, {-1, -1, LIFE_RUNNING, LIFE_PAUSED, LIFE_ENDED, LIFE_OFF}},
		{LIFE_ENDED, {LIFE_RUNNING, -1, -1, -1, -1, LIFE_OFF}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned request = 0; request < LIFE_GUEST; request++) {
			setup(state);
			if (rows[i].from != LIFE_OFF)
				ask(LIFE_START);
			if (rows[i].from == LIFE_PAUSED)
				ask(LIFE_PAUSE);
			if (rows[i].from == LIFE_ENDED)
				ask(LIFE_KILL);
			assert_int_equal(m.state, rows[i].from);
			if (rows[i].to[request] < 0) {
				assert_non_null(life_ask(&m, request));
				assert_int_equal(m.state, rows[i].from);
			} else {
				ask(request);
				assert_int_equal(m.state, rows[i].to[request]);
			}
			destroyed();
		}
}

static void requests_are_done_in_order(void **state)
{
	(void)state;
	assert_null(life_ask(&m, LIFE_START));
	assert_null(life_ask(&m, LIFE_PAUSE));
	assert_null(life_ask(&m, LIFE_RESUME));
	assert_null(life_ask(&m, LIFE_PAUSE));
	sched_run(idle);
	assert_int_equal(m.state, LIFE_PAUSED);
	for (unsigned i = 0; i < LIFE_QUEUE; i++)
		assert_null(life_ask(&m, i % 2 ? LIFE_PAUSE : LIFE_RESUME));
	assert_string_equal(life_ask(&m, LIFE_RESET), "has too much to do already");
	sched_run(idle);
	assert_int_equal(m.state, LIFE_PAUSED);
	destroyed();
}

static void a_start_can_be_given_up(void **state)
{
	(void)state;
	assert_null(life_ask(&m, LIFE_START));
	assert_null(life_ask(&m, LIFE_KILL));
	sched_run(idle);
	assert_int_equal(m.state, LIFE_ENDED);
	assert_string_equal(m.reason, "killed");
	ask(LIFE_START);
	assert_int_equal(m.state, LIFE_RUNNING);
	destroyed();
}

static void reset_at_once(struct fake_vcpu *v);
static const struct fake_run resets[] = {
	{.guest = reset_at_once, .exit = {.reason = EXIT_SHUTDOWN}},
	{.guest = reset_at_once, .exit = {.reason = EXIT_SHUTDOWN}},
};

static void reset_at_once(struct fake_vcpu *v)
{
	v->script = resets;
	v->script_left = ARRAY_SIZE(resets);
}

static struct job onlooker;
static unsigned looks;

/* As the monitor does it: looks in, then asks for something and waits for that. */
static void look_in(void *arg)
{
	for (looks = 0; looks < 10; looks++) {
		life_enter(&m);
		assert_true(m.vm && m.working);
		life_leave(&m);
	}
	assert_null(life_ask(&m, LIFE_KILL));
	life_wait(&m);
	assert_int_equal(m.state, LIFE_ENDED);
}

static bool looked(void)
{
	assert_true(m.vm->resets < 1000);
	return __atomic_load_n(&onlooker.task.gone, __ATOMIC_ACQUIRE);
}

static void a_guest_in_a_reset_loop_can_be_looked_at(void **state)
{
	(void)state;
	ask(LIFE_START);
	reset_at_once(cpu());
	assert_int_equal(job_start(&onlooker, "onlooker", BIT(0), look_in, NULL), 0);
	sched_run(looked);
	assert_int_equal(looks, 10);
	/* it waits for the reset that is under way, and is not passed over */
	assert_in_range(m.vm->resets, 1, 25);
	destroyed();
}

static void time_stands_still_in_a_pause(void **state)
{
	u64 then;

	(void)state;
	ask(LIFE_START);
	ask(LIFE_PAUSE);
	then = vm_now(m.vm);
	assert_int_equal(vm_now(m.vm), then);
	assert_true(vm_clock_to_tsc(m.vm, then) == VTIMER_NEVER);
	ask(LIFE_RESUME);
	/* the time of the pause is nowhere in the clock: it goes on from where it stood */
	assert_true(vm_now(m.vm) > then);
	assert_true(rdtsc() - m.vm->clock_start - then < tsc_hz);
	vcpu_load(m.vm->vcpu);
	assert_true(cpu()->reg[VREG_TSC_OFFSET] == 0 - m.vm->clock_start);
	vcpu_put(m.vm->vcpu);
	destroyed();
}

static void what_a_reset_and_a_crash_do(void **state)
{
	static const struct fake_run reset[] = {RESET};
	static const struct fake_run crash[] = {{.exit = {.reason = EXIT_TASK_SWITCH}}};

	(void)state;
	m.config.on_reboot = ON_STOP;
	m.config.on_crash = ON_RESTART;
	ask(LIFE_START);
	play(reset, 1);
	assert_int_equal(m.state, LIFE_ENDED);
	assert_string_equal(m.reason, "ended by a reset");
	ask(LIFE_START);
	/* one that crashes at once would do so for ever */
	play(crash, 1);
	assert_int_equal(m.state, LIFE_ENDED);
	assert_int_equal(cpu()->dumps, 1);
	ask(LIFE_START);
	m.vm->clock_start -= 2 * tsc_hz;
	play(crash, 1);
	assert_int_equal(m.state, LIFE_RUNNING);
	assert_true(vm_now(m.vm) < tsc_hz);
	/* and again and again; its state is told four times at most */
	for (unsigned i = 1; i < 4; i++) {
		m.vm->clock_start -= 2 * tsc_hz;
		play(crash, 1);
		assert_int_equal(m.state, LIFE_RUNNING);
	}
	m.config.on_crash = ON_DEFAULT;
	m.vm->clock_start -= 2 * tsc_hz;
	play(crash, 1);
	assert_int_equal(m.state, LIFE_ENDED);
	assert_int_equal(cpu()->dumps, 0);
	destroyed();
}

/* Of a crashed VM all vCPUs are told of: what runs at length, what waits in a line. */
static void a_crash_tells_of_all_vcpus(void **state)
{
	static const struct fake_run crash[] = {{.exit = {.reason = EXIT_TASK_SWITCH}}};
	struct vcpu *vcpu[5];

	(void)state;
	ask(LIFE_START);
	vm_stop(m.vm);
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(vcpu_create(m.vm, i, &vcpu[i]), 0);
		vcpu_load(vcpu[i]);
		vcpu_reset(vcpu[i]);
		virt->set(vcpu[i]->virt, VREG_RIP, 0x1000 * i);
		vcpu_put(vcpu[i]);
		sched_hold(&vcpu[i]->task); /* does not run, as if it were on another pCPU */
	}
	vcpu[1]->waits_startup = vcpu[3]->waits_startup = false;
	vcpu[2]->waits_startup = true;
	vcpu[3]->halted = true;
	vcpu_park(vcpu[4]);
	vm_go(m.vm);
	play(crash, 1);
	assert_int_equal(m.state, LIFE_ENDED);
	assert_int_equal(cpu()->dumps, 1);
	assert_int_equal(fake_vcpu_of(vcpu[1]->virt)->dumps, 1);
	for (unsigned i = 2; i < 5; i++)
		assert_int_equal(fake_vcpu_of(vcpu[i]->virt)->dumps, 0);
	assert_true(fake_host_logged("[web] vCPU 0, running, RIP "));
	assert_true(fake_host_logged("[web] vCPU 1, running, RIP 1000\n"));
	assert_true(fake_host_logged("[web] vCPU 2, not started, RIP 2000\n"));
	assert_true(fake_host_logged("[web] vCPU 3, halted, RIP 3000\n"));
	assert_false(fake_host_logged("vCPU 4"));
	destroyed();
}

static void a_thousand_lives(void **state)
{
	static const struct fake_run script[] = {RESET, {.guest = first_look, .exit = {.reason = EXIT_HLT, .insn_len = 1}}};

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		ask(LIFE_START);
		play(script, ARRAY_SIZE(script));
		assert_string_equal(m.reason, "halted");
		destroyed();
	}
	assert_int_equal(starts, 2000);
}

static void no_memory_at_any_moment(void **state)
{
	unsigned failures = 0;

	for (unsigned n = 1;; n++) {
		const char *wrong;
		bool spared;

		setup(state);
		fake_host.fail_at = n;
		wrong = life_ask(&m, LIFE_START);
		if (!wrong)
			sched_run(idle);
		spared = fake_host.fail_at != 0;
		fake_host.fail_at = 0;
		failures += m.state == LIFE_OFF;
		assert_true(m.state == LIFE_OFF || m.state == LIFE_RUNNING);
		destroyed();
		if (spared)
			break;
	}
	assert_true(failures > 20);
}

static unsigned refusals;

/* What its end needs is refused, each time that the guest's vCPU asks. */
static bool refused_often(void)
{
	refusals += !fake_host.fail_at;
	fake_host.fail_at = 1;
	return refusals > 20;
}

static void a_guests_end_waits_for_memory(void **state)
{
	static const struct fake_run script[] = {{.exit = {.reason = EXIT_HLT, .insn_len = 1}}};

	(void)state;
	ask(LIFE_START);
	cpu()->script = script;
	cpu()->script_left = ARRAY_SIZE(script);
	refusals = 0;
	sched_run(refused_often);
	assert_int_equal(m.state, LIFE_RUNNING);
	assert_true(fake_host_logged("[web] no memory for a job"));
	/* told once: not again for the many times after the first */
	fake_host.log[0] = '\0';
	refusals = 0;
	sched_run(refused_often);
	assert_false(fake_host_logged("no memory for a job"));
	fake_host.fail_at = 0;
	sched_run(life_all_ended);
	assert_string_equal(m.reason, "halted");
	destroyed();
}

static u64 sleep_ticks, slept, alarm;
static struct job sleeper;

static void sleep(void *arg)
{
	u64 start = rdtsc();

	job_wait_until(start + sleep_ticks);
	slept = rdtsc() - start;
}

/* Looks in, as often as the idle pCPU does, at what it would wait for. */
static bool slept_enough(void)
{
	alarm = fake_host.timer_deadline;
	return __atomic_load_n(&sleeper.task.gone, __ATOMIC_ACQUIRE);
}

static bool begun_to_sleep(void)
{
	return pcpu_vmm()->queue.sleepers == &sleeper.task;
}

static void a_job_sleeps_until_it_is_time(void **state)
{
	u64 start = rdtsc();

	(void)state;
	fake_host_on_wait(NULL);
	sleep_ticks = 10000000;
	assert_int_equal(job_start(&sleeper, "sleeper", BIT(0), sleep, NULL), 0);
	sched_run(slept_enough);
	assert_true(slept >= sleep_ticks);
	assert_in_range(alarm, start, rdtsc()); /* the console may want to be earlier */
	assert_null(pcpu_vmm()->queue.sleepers);
	/* or until somebody wakes it */
	sleep_ticks = tsc_hz * 1000;
	assert_int_equal(job_start(&sleeper, "sleeper", BIT(0), sleep, NULL), 0);
	sched_run(begun_to_sleep);
	job_wake(&sleeper);
	sched_run(slept_enough);
	assert_true(slept < sleep_ticks);
	assert_null(pcpu_vmm()->queue.sleepers);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(guest_starts_resets_and_ends),
		TEST(debug_exit_only_where_asked_for),
		TEST(image_that_does_not_load),
		TEST(every_request_in_every_state),
		TEST(requests_are_done_in_order),
		TEST(a_start_can_be_given_up),
		TEST(a_guest_in_a_reset_loop_can_be_looked_at),
		TEST(time_stands_still_in_a_pause),
		TEST(what_a_reset_and_a_crash_do),
		TEST(a_job_sleeps_until_it_is_time),
		TEST(a_crash_tells_of_all_vcpus),
		TEST(a_thousand_lives),
		TEST(no_memory_at_any_moment),
		TEST(a_guests_end_waits_for_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
