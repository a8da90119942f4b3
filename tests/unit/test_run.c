/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/run.c vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/serve.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/sched.c vmm/job.c tests/unit/fake_context.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c arch/virt.c arch/lib/format.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * A VM's life, its requests and devices, and the run loop with a scripted
 * guest: timers, interrupts, HLT and idling, and how it comes back.
 */
#include "vmm/vcpu.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "arch/msr.h"
#include "arch/percpu.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/abi.h"
#include "vmm/gmem.h"
#include "vmm/inject.h"
#include "vmm/mem.h"
#include "vmm/msr.h"
#include "vmm/once.h"
#include "vmm/pcpu.h"
#include "vmm/vdev_life.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

static struct vm *vm;
static struct fake_vcpu *cpu;
static unsigned resets, fired, ticks_left;
static struct vdev *intc;

/* An interrupt controller with one line, and a timer that pulls it. */
struct chip {
	struct vtimer timer;
	bool pending;
};

static u8 chip_ack(struct vdev *dev)
{
	struct chip *chip = dev->state;

	chip->pending = false;
	vm_extint_changed(dev->vm, false);
	return 0x20;
}

static void chip_line(struct vdev *dev, unsigned line, bool level)
{
	struct chip *chip = dev->state;

	assert_int_equal(line, 3);
	chip->pending = level;
	vm_extint_changed(dev->vm, level);
}

static void chip_tick(void *arg)
{
	struct vdev *dev = arg;

	fired++;
	vm_irq_line(dev->vm, 3, true);
	if (ticks_left && --ticks_left)
		vtimer_arm(&((struct chip *)dev->state)->timer, 0);
}

static struct irq_sink sink = {.set = chip_line};

static int chip_create(struct vdev *dev)
{
	struct chip *chip = dev->state;
	struct extint_source source = {dev, chip_ack};

	vtimer_init(&chip->timer, dev->vm, chip_tick, dev);
	sink.dev = dev;
	vm_add_irq_sink(dev->vm, &sink);
	vm_set_extint_source(dev->vm, &source);
	intc = dev;
	return 0;
}

static void chip_reset(struct vdev *dev)
{
	resets = resets * 10 + 1 + dev->args.index;
}

static int chip_fails(struct vdev *dev)
{
	(void)dev;
	return -EEXIST;
}

DEFINE_VDEV(chip_type, .name = "chip", .state_size = sizeof(struct chip), .create = chip_create,
	    .reset = chip_reset);
DEFINE_VDEV(bad_type, .name = "bad", .state_size = 3 * PAGE_SIZE, .create = chip_fails,
	    .reset = chip_reset);

static void heard(struct vm *of)
{
	assert_ptr_equal(of, vm);
}

static int setup(void **state)
{
	static const struct console_backend none;

	(void)state;
	assert_non_null(console_open("web")); /* what outlives its VM is not counted */
	assert_non_null(console_open("lab"));
	fake_host_init(MIB(16));
	fake_virt_init();
	console_set_backend(&none);
	assert_int_equal(vm_create("web", &vm), 0);
	assert_int_equal(mem_create(MIB(1), &vm->ram), 0);
	assert_int_equal(vm_set_memory_region(vm, 0, 0, GPA(0), MIB(1), vm->ram, 0), 0);
	assert_int_equal(vdev_create(vm, "chip", (struct vdev_args){.index = 0}), 0);
	assert_int_equal(vcpu_create(vm, 0, &vm->vcpu), 0);
	vcpu_load(vm->vcpu);
	vm_run_clock(vm);
	vcpu_reset(vm->vcpu);
	lapic_virtual_wire(vm->vcpu);
	cpu = fake_vcpu_of(vm->vcpu->virt);
	resets = fired = ticks_left = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vcpu_put(vm->vcpu);
	vm_destroy(vm);
	assert_int_equal(fake_host.pages_out, 0);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(fake_host.unscrubbed, 0);
	assert_int_equal(fake_host.spaces, 0);
	assert_int_equal(fake_virt_vms, 0);
	assert_int_equal(fake_virt_vcpus, 0);
	return 0;
}

/* ---- the VM */

static void creation_fails_without_a_trace(void **state)
{
	struct vm *another;
	unsigned n = 0;
	s64 pages = fake_host.pages_out;
	int error;

	(void)state;
	do {
		fake_host.fail_at = ++n;
		error = vm_create("lab", &another);
		if (error) {
			assert_int_equal(error, -ENOMEM);
			assert_int_equal(fake_host.pages_out, pages);
			assert_int_equal(fake_host.spaces, 1);
			assert_int_equal(fake_virt_vms, 1);
		}
	} while (error);
	assert_int_equal(n, 4); /* its pages, its space, its nested tables */
	fake_host.fail_at = 0;
	assert_string_equal(another->name, "lab");
	vm_destroy(another);
	for (n = 1; n <= 2; n++) {
		struct vcpu *vcpu;

		fake_host.fail_at = n;
		assert_int_equal(vcpu_create(vm, 1, &vcpu), -ENOMEM);
		assert_int_equal(fake_host.pages_out, pages);
	}
}

static void data_of_a_cpu_is_made_once(void **state)
{
	struct pcpu_vmm *old = pcpu_vmm(), *made;

	(void)state;
	assert_ptr_equal(pcpu_vmm(), old);
	assert_ptr_equal(pcpu_vmm_of(0), old);
	this_pcpu()->vmm = NULL;
	assert_null(pcpu_vmm_of(0));
	fake_host.fail_at = 1;
	assert_null(pcpu_vmm());
	made = pcpu_vmm();
	assert_ptr_equal(pcpu_vmm(), made);
	assert_true(vtimer_next(&made->timers) == VTIMER_NEVER);
	this_pcpu()->vmm = old;
	pages_free(made, 1);
}

/* Marked when it is written, not before: a reader in between would miss it. */
static void scrubbing_is_logged_as_it_goes(void **state)
{
	static const bool cancel = true;
	u64 bitmap[MIB(1) / PAGE_SIZE / 64];

	(void)state;
	assert_int_equal(vm_set_memory_region(vm, 0, REGION_LOG_DIRTY, GPA(0), MIB(1), vm->ram, 0), 0);
	assert_int_equal(vm_scrub(vm, &cancel), -ECANCELED);
	assert_int_equal(vm_get_dirty_log(vm, 0, bitmap, sizeof(bitmap)), 0);
	assert_true(bitmap[0] == 0xffffffff && !bitmap[1] && !bitmap[2] && !bitmap[3]); /* a step */
	assert_int_equal(vm_scrub(vm, NULL), 0);
	assert_int_equal(vm_get_dirty_log(vm, 0, bitmap, sizeof(bitmap)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bitmap); i++)
		assert_true(bitmap[i] == ~0ull);
}

static void destruction_scrubs(void **state)
{
	(void)state;
	memset(fake_host_at(&vm->space, WINDOW_BASE, true), 0x41, MIB(1));
	vtimer_arm(&((struct chip *)intc->state)->timer, 100);
	/* teardown sees scrubbed frames, and no timer may outlive its VM */
	vcpu_put(vm->vcpu);
	vm_destroy(vm);
	assert_int_equal(fake_host.unscrubbed, 0);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(vm_create("lab", &vm), 0);
	assert_true(vtimer_next(vm->timers) == VTIMER_NEVER);
	assert_int_equal(vcpu_create(vm, 0, &vm->vcpu), 0);
	vcpu_load(vm->vcpu);
}

static void the_first_reason_counts(void **state)
{
	(void)state;
	vm_request_exit(vm, 42);
	assert_int_equal(vm->exit_code, 42);
	assert_string_equal(vm->end_reason, "exit code 42");
	vm_end(vm, "halted");
	assert_string_equal(vm->end_reason, "exit code 42");
	vm_kill(vm, "%s", "something else");
	assert_string_equal(vm->end_reason, "exit code 42");
	assert_true(vm->requests & VM_REQUEST_END);
	assert_false(vm->crashed); /* the end was in order */
}

static void a_reason_is_cut_not_overrun(void **state)
{
	char text[300];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[299] = 0;
	vm_end(vm, "%s", text);
	assert_int_equal(strlen(vm->end_reason), sizeof(vm->end_reason) - 1);
}

static void resets_are_told_ever_less(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		vm_request_reset(vm, "port CF9h");
		vm_request_reset(vm, "again"); /* already on its way */
		assert_int_equal(vm->requests, VM_REQUEST_RESET);
		vm->requests = 0;
	}
	assert_int_equal(vm->resets, 100000);
	assert_in_range(fake_host.log_lines, 8, 32);
	assert_false(fake_host_logged("again"));
}

static void clock_of_a_vm(void **state)
{
	u64 a = vm_now(vm), b;

	(void)state;
	b = vm_now(vm);
	assert_true(b >= a);
	assert_int_equal(vm_clock_hz(vm), tsc_hz);
	assert_int_equal(vm_clock_to_tsc(vm, 5), vm->clock_start + 5);
	assert_true(vm_clock_to_tsc(vm, ~0ull) == VTIMER_NEVER);
	/* the guest's TSC and the VM's clock are one */
	assert_int_equal(cpu->reg[VREG_TSC_OFFSET], 0 - vm->clock_start);
	vm->boot_epoch = 7;
	assert_int_equal(vm_boot_epoch(vm), 7);
	vm->ram_below_4g = 3;
	vm->ram_above_4g = 4;
	assert_int_equal(vm_ram_below_4g(vm), 3);
	assert_int_equal(vm_ram_above_4g(vm), 4);
}

static void devices_by_name(void **state)
{
	s64 pages = fake_host.pages_out;

	(void)state;
	assert_int_equal(vdev_create(vm, "none", (struct vdev_args){0}), -ENOENT);
	assert_int_equal(vdev_create(vm, "chi", (struct vdev_args){0}), -ENOENT);
	assert_int_equal(vdev_create(vm, "chip2", (struct vdev_args){0}), -ENOENT);
	fake_host.fail_at = 1;
	assert_int_equal(vdev_create(vm, "bad", (struct vdev_args){0}), -ENOMEM);
	assert_int_equal(fake_host.pages_out, pages);
	assert_int_equal(vdev_create(vm, "bad", (struct vdev_args){.index = 1}), -EEXIST);
	assert_int_equal(fake_host.pages_out, pages + 4); /* stays with the VM */
	resets = 0;
	vdev_reset_all(vm);
	assert_int_equal(resets, 12); /* in the order of creation */
	assert_int_equal(vm->device_lock.next, vm->device_lock.owner);
}

static void once_remembers_a_bounded_number(void **state)
{
	struct once once = {0};
	unsigned told = 0;

	(void)state;
	for (unsigned turn = 0; turn < 2; turn++)
		for (u64 key = 0; key < 2 * ONCE_KEYS; key++)
			told += once_first(&once, key * key);
	assert_int_equal(told, ONCE_KEYS);
	assert_int_equal(once.count, 4 * ONCE_KEYS);
}

/* ---- the run loop */

static void reset_state(struct fake_vcpu *v)
{
	(void)v;
	vm_request_reset(vm, "a test");
}

static void open_interrupts(struct fake_vcpu *v)
{
	v->reg[VREG_RFLAGS] |= RFLAGS_IF;
}

static void pull_line(struct fake_vcpu *v)
{
	(void)v;
	vm_irq_line(vm, 3, true);
}

static void arm_timer(struct fake_vcpu *v)
{
	(void)v;
	vtimer_arm(&((struct chip *)intc->state)->timer, vm_now(vm));
}

#define HALT {.exit = {.reason = EXIT_HLT, .insn_len = 1}}
#define RUN(fn) {.guest = fn, .exit = {.reason = EXIT_HOST}}

static enum vcpu_stop play(const struct fake_run *script, unsigned count)
{
	enum vcpu_stop stop;

	cpu->script = script;
	cpu->script_left = count;
	stop = vcpu_run(vm->vcpu, ~0ull);
	assert_int_equal(cpu->script_left, 0);
	assert_int_equal(vm->device_lock.next, vm->device_lock.owner);
	return stop;
}

static void runs_until_a_reset_is_wanted(void **state)
{
	static const struct fake_run script[] = {RUN(NULL), RUN(NULL), RUN(reset_state)};

	(void)state;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_int_equal(cpu->runs, 3);
	assert_int_equal(vm->vcpu->exits[EXIT_HOST], 3);
}

static u32 served_off, attention;

static void look_at_services(struct fake_vcpu *v)
{
	served_off = v->base.served.off;
	attention = this_pcpu()->attention;
	assert_true(v->deadline <= vm->vcpu->limit);
	assert_int_equal(vm->vcpu->where, VCPU_GUEST);
	vm_request_reset(vm, "a test");
	attention += this_pcpu()->attention << 8;
}

/* It is seen to before the next entry. */
static void attract(struct fake_vcpu *v)
{
	(void)v;
	this_pcpu()->attention = 1;
}

static u32 off_now(void)
{
	static const struct fake_run script[] = {RUN(attract), RUN(look_at_services)};

	vm->requests = 0;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_int_equal(attention, 0x100);
	return served_off;
}

/* Nothing is served in the middle of a run where somebody wants to see or to forbid it. */
static void services_of_a_run(void **state)
{
	(void)state;
	assert_int_equal(off_now(), 0);
	vm->msr_policy.deny = true;
	assert_int_equal(off_now(), VIRT_SERVED_OFF);
	vm->msr_policy.deny = false;
	vm->msr_policy.count = 1;
	assert_int_equal(off_now(), VIRT_SERVED_OFF);
	vm->msr_policy.count = 0;
	vm->takes_hypercalls = true;
	assert_int_equal(off_now(), VIRT_SERVED_OFF);
	vm->takes_hypercalls = false;
	vm->vcpu->debug.flags = VCPU_DEBUG_SOFTWARE;
	assert_int_equal(off_now(), VIRT_SERVED_OFF);
	vm->vcpu->debug.flags = 0;
	assert_int_equal(off_now(), 0);
}

static void end_goes_before_reset(void **state)
{
	(void)state;
	vm_request_reset(vm, "a test");
	vm_end(vm, "done");
	assert_int_equal(play(NULL, 0), VCPU_REQUEST);
	assert_int_equal(cpu->runs, 0);
}

static void halted_without_interrupts_is_the_end(void **state)
{
	static const struct fake_run script[] = {HALT};

	(void)state;
	assert_int_equal(play(script, 1), VCPU_REQUEST);
	assert_string_equal(vm->end_reason, "halted");
	assert_int_equal(fake_host.waits, 0);
}

static void interrupt_is_delivered(void **state)
{
	static const struct fake_run script[] = {
		RUN(pull_line), /* IF is 0: a window */
		RUN(open_interrupts),
		{.guest = reset_state, .exit = {.reason = EXIT_INTR_WINDOW}},
	};

	(void)state;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_int_equal(cpu->events, 1);
	assert_int_equal(cpu->event[0].type, EVENT_INTERRUPT);
	assert_int_equal(cpu->event[0].vector, 0x20);
}

static void waits_until_an_interrupt(void **state)
{
	static const struct fake_run halt[] = {
		{.guest = open_interrupts, .exit = {.reason = EXIT_HLT, .insn_len = 1}}};
	static const struct fake_run script[] = {RUN(reset_state)};

	(void)state;
	assert_int_equal(play(halt, 1), VCPU_WAIT);
	assert_int_equal(play(NULL, 0), VCPU_WAIT);
	assert_true(vm->vcpu->halted);
	vm_irq_line(vm, 3, true);
	assert_true(vm->vcpu->task.ready); /* it was woken */
	assert_int_equal(play(script, 1), VCPU_REQUEST);
	assert_int_equal(cpu->event[0].vector, 0x20);
	assert_false(vm->vcpu->halted);
}

static void halts_inside(struct fake_vcpu *vcpu)
{
	open_interrupts(vcpu);
	vcpu->reg[VREG_HALTED] = 1;
}

static void is_woken_inside(struct fake_vcpu *vcpu)
{
	assert_int_equal(vcpu->reg[VREG_HALTED], 1);
	vcpu->reg[VREG_HALTED] = 0;
	vcpu->reg[VREG_RFLAGS] &= ~(u64)RFLAGS_IF; /* in the interrupt's handler */
}

static void runs_on(struct fake_vcpu *vcpu)
{
	assert_int_equal(vcpu->reg[VREG_HALTED], 0);
	reset_state(vcpu);
}

static void a_halt_inside_ends_inside(void **state)
{
	static const struct fake_run script[] = {RUN(halts_inside), RUN(is_woken_inside),
						 RUN(runs_on)};

	(void)state;
	vm->halt = HALT_PASSES;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
}

/* HLT exits where somebody else waits for the pCPU, unless halt= says otherwise; a vCPU that may
 * halt inside is lazy: who is queued does not wait for its slice's end. */
static void halts_as_the_option_says(void **state)
{
	static const struct {
		enum vm_halt halt;
		bool alone, exits, lazy;
	} rows[] = {
		{HALT_AUTO, true, false, true}, {HALT_AUTO, false, true, false},
		{HALT_EXITS, true, true, true}, {HALT_EXITS, false, true, false},
		{HALT_PASSES, true, false, true}, {HALT_PASSES, false, false, true},
	};
	static const struct fake_run script[] = {RUN(reset_state)};
	struct sched_queue *queue = &pcpu_vmm()->queue;

	(void)state;
	queue->running = &vm->vcpu->task;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vm->requests = 0;
		vm->halt = rows[i].halt;
		vm->vcpu->task.lazy = false;
		queue->count = !rows[i].alone;
		assert_int_equal(play(script, 1), VCPU_REQUEST);
		assert_int_equal(cpu->hlt_exits, rows[i].exits);
		assert_int_equal(cpu->pause_exits, !rows[i].alone);
		assert_int_equal(vm->vcpu->task.lazy, rows[i].lazy);
	}
	queue->running = NULL;
	queue->count = 0;
}

/* A kick that comes while it runs ends the next halt, so that one may not pass. */
static void is_kicked(struct fake_vcpu *vcpu)
{
	assert_false(vcpu->hlt_exits);
	lapic_kick(vm->vcpu);
}

static void halts_outside(struct fake_vcpu *vcpu)
{
	assert_true(vcpu->hlt_exits);
}

static void a_kick_ends_the_next_halt_inside(void **state)
{
	static const struct fake_run script[] = {
		RUN(is_kicked),
		{.guest = halts_outside, .exit = {.reason = EXIT_HLT, .insn_len = 1}},
		RUN(reset_state)};

	(void)state;
	vm->halt = HALT_PASSES;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_false(vm->vcpu->halted);
	/* from then on it passes again, as after a kick that ended one */
	vm->requests = 0;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
}

static void halts_for_good(struct fake_vcpu *vcpu)
{
	vcpu->reg[VREG_RFLAGS] &= ~(u64)RFLAGS_IF;
	vcpu->reg[VREG_HALTED] = 1;
}

static void gets_an_nmi(struct fake_vcpu *vcpu)
{
	(void)vcpu;
	assert_true(vm->vcpu->dead);
	assert_true(lapic_accept(vm->vcpu, &(struct apic_msg){.mode = APIC_NMI}));
}

static void is_alive(struct fake_vcpu *vcpu)
{
	assert_false(vm->vcpu->dead);
	reset_state(vcpu);
}

/* Else another one that halts would end the VM meanwhile. */
static void who_wakes_within_its_slice_is_not_dead(void **state)
{
	static const struct fake_run script[] = {RUN(halts_for_good), RUN(gets_an_nmi),
						 RUN(is_alive)};

	(void)state;
	vm->halt = HALT_PASSES;
	vm->nmi_expected = true;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_int_equal(cpu->event[0].type, EVENT_NMI);
}

static unsigned looks;

static u64 is_sent_something_at_each_look(struct virt_vcpu *vcpu, enum vcpu_reg reg)
{
	assert_in_range(looks++, 0, 1000);
	vcpu_wake(vm->vcpu);
	return fake_virt_ops.get(vcpu, reg);
}

/* Siblings that send without end do not keep the pCPU from its own work. */
static void a_storm_of_news_ends_the_slice(void **state)
{
	struct virt_ops noisy = fake_virt_ops;

	(void)state;
	noisy.get = is_sent_something_at_each_look;
	looks = 0;
	cpu->reg[VREG_RFLAGS] = RFLAGS_ONE | RFLAGS_IF;
	vm->vcpu->halted = true;
	virt = &noisy;
	assert_int_equal(play(NULL, 0), VCPU_SLICE);
	virt = &fake_virt_ops;
	assert_true(vm->vcpu->news); /* for the next one */
	assert_int_equal(vm->vcpu->where, VCPU_OUT);
	assert_int_equal(play(NULL, 0), VCPU_WAIT);
}

/* A vector may come between the look whether any wakes it and the injection. */
static void an_injection_ends_a_halt(void **state)
{
	(void)state;
	vm->vcpu->halted = true;
	cpu->reg[VREG_RFLAGS] = RFLAGS_ONE | RFLAGS_IF;
	vm_irq_line(vm, 3, true);
	inject_prepare(vm->vcpu);
	assert_int_equal(cpu->next.type, EVENT_INTERRUPT);
	assert_false(vm->vcpu->halted);
}

static void a_slice_ends_in_time(void **state)
{
	static const struct fake_run script[] = {RUN(reset_state)};
	static const struct console_backend slow = {.poll_ticks = 1ull << 60};
	u64 until = rdtsc() + (1ull << 40);

	(void)state;
	assert_int_equal(vcpu_run(vm->vcpu, rdtsc()), VCPU_SLICE);
	assert_int_equal(cpu->runs, 0);
	((struct pcpu_vmm *)this_pcpu()->vmm)->queue.yield = true;
	assert_int_equal(vcpu_run(vm->vcpu, ~0ull), VCPU_SLICE);
	assert_int_equal(cpu->runs, 0);
	((struct pcpu_vmm *)this_pcpu()->vmm)->queue.yield = false;
	/* the guest's deadline is the slice's end where nothing comes before */
	cpu->script = script;
	cpu->script_left = 1;
	console_set_backend(&slow);
	console_poll(rdtsc());
	assert_int_equal(vcpu_run(vm->vcpu, until), VCPU_REQUEST);
	assert_int_equal(cpu->deadline, until);
}

static void load_rax(struct fake_vcpu *v)
{
	v->base.gpr[GPR_RAX] = 77;
}

/* An embedder that takes hypercalls gets each, with its number; nobody else sees one. */
static void hypercalls_go_to_an_embedder(void **state)
{
	static const struct fake_run script[] = {
		{.guest = load_rax, .exit = {.reason = EXIT_HYPERCALL, .insn_len = 3}},
		RUN(reset_state),
	};

	(void)state;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_true((s64)vcpu_gpr(vm->vcpu, GPR_RAX) < 0);
	vm->requests = 0;
	vm->takes_hypercalls = true;
	assert_int_equal(play(script, 1), VCPU_HYPERCALL);
	assert_int_equal(vm->vcpu->hypercall, 77);
	vcpu_set_gpr(vm->vcpu, GPR_RAX, 5);
	assert_int_equal(play(script + 1, 1), VCPU_REQUEST);
	assert_int_equal(vcpu_gpr(vm->vcpu, GPR_RAX), 5);
	/* not those of a guest's programs */
	vm->requests = 0;
	cpu->seg[SREG_SS].dpl = 3;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
}

static void timers_fire_between_runs(void **state)
{
	static const struct fake_run script[] = {
		RUN(arm_timer), RUN(open_interrupts), RUN(reset_state)};

	(void)state;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_int_equal(fired, 1);
	assert_int_equal(cpu->events, 1);
}

/* A timer that is always due again does not keep the guest from running. */
static void a_storm_of_timers_is_bounded(void **state)
{
	static const struct fake_run script[] = {RUN(arm_timer), RUN(NULL), RUN(reset_state)};

	(void)state;
	ticks_left = 1000000;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_in_range(fired, 2, 100);
	assert_int_equal(cpu->runs, 3);
}

static void deadline_is_the_next_thing_due(void **state)
{
	static const struct fake_run script[] = {RUN(reset_state)};
	static const struct console_backend slow = {.poll_ticks = 1ull << 60};
	u64 deadline = vm_now(vm) + (1ull << 50);

	(void)state;
	console_set_backend(&slow);
	vtimer_arm(&((struct chip *)intc->state)->timer, deadline);
	assert_int_equal(play(script, 1), VCPU_REQUEST);
	assert_int_equal(cpu->deadline, vm->clock_start + deadline);
	assert_true(fake_host.serves > 0);
}

static void undelivered_event_goes_in_at_the_next_entry(void **state)
{
	static const struct fake_run script[] = {
		{.exit = {.reason = EXIT_HOST},
		 .undelivered = {.type = EVENT_EXCEPTION, .vector = 14, .has_error = true,
				 .error = 6}},
		RUN(reset_state),
	};

	(void)state;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_int_equal(cpu->events, 1);
	assert_int_equal(cpu->event[0].vector, 14);
	assert_int_equal(cpu->event[0].error, 6);
}

/* A date of the console's that came nearer since all was looked at last. */
static void deadline_follows_the_console(void **state)
{
	static const struct fake_run script[] = {RUN(reset_state)};
	static const struct console_backend slow = {.poll_ticks = 1ull << 60};
	u64 soon;

	(void)state;
	console_start();
	console_focus(NULL);
	console_flush();
	console_set_backend(&slow);
	console_poll(rdtsc());
	sched_serve(rdtsc()); /* a fresh pCPU has no alarm yet */
	sched_serve(rdtsc());
	assert_true(console_put(vm, 0, 'x')); /* the beginning of a line */
	soon = console_next();
	assert_in_range(soon, rdtsc(), rdtsc() + tsc_hz);
	assert_int_equal(play(script, 1), VCPU_REQUEST);
	assert_int_equal(cpu->deadline, soon);
	console_flush();
	console_focus(vm->console);
}

static void console_is_due(struct fake_vcpu *v)
{
	(void)v;
	console_write_log("x\n", 2);
}

static void silent_guest_gets_one_hint(void **state)
{
	static const struct fake_run script[] = {RUN(console_is_due), RUN(console_is_due),
						 RUN(console_is_due), RUN(reset_state)};

	(void)state;
	console_start();
	console_write_log("x\n", 2);
	vm->clock_start = rdtsc() - 9 * tsc_hz;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_false(fake_host_logged("nothing on its serial port"));
	vm->requests = 0;
	vm->clock_start = rdtsc() - 11 * tsc_hz;
	vm->console->written = 1;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_false(fake_host_logged("nothing on its serial port"));
	vm->requests = 0;
	vm->console->written = 0;
	fake_host.log_lines = 0;
	assert_int_equal(play(script, ARRAY_SIZE(script)), VCPU_REQUEST);
	assert_true(fake_host_logged("nothing on its serial port for 10 s"));
	assert_int_equal(fake_host.log_lines, 2); /* the reset is the other one */
}

static void reset_gives_power_up_state(void **state)
{
	(void)state;
	vm->vcpu->halted = true;
	lapic_set_cr8(vm->vcpu->virt, 9);
	vm->vcpu->exception.type = EVENT_EXCEPTION;
	vm->vcpu->repeat.type = EVENT_NMI;
	vm->vcpu->msrs.mtrr_def_type = 0xc00;
	vcpu_reset(vm->vcpu);
	assert_false(vm->vcpu->halted);
	assert_int_equal(lapic_get_cr8(vm->vcpu->virt), 0);
	assert_int_equal(vm->vcpu->exception.type, EVENT_NONE);
	assert_int_equal(vm->vcpu->repeat.type, EVENT_NONE);
	assert_int_equal(vm->vcpu->msrs.mtrr_def_type, 0);
	assert_int_equal(cpu->reg[VREG_RIP], 0xfff0);
}

/* What a slice tells the guest of the time that it did not have; and a reset, and INIT, forget where. */
static void slices_tell_of_steal_time(void **state)
{
	struct vcpu *vcpu = vm->vcpu;
	struct task *task = &vcpu->task;
	u8 preempted = 7;
	u64 stolen = 7;

	(void)state;
	assert_true(msr_write(vcpu, ABI_MSR_STEAL_TIME, 0x1000 | 1));
	assert_int_equal(task->slice(task, 0), TASK_READY);
	assert_int_equal(guest_read(vm, GPA(0x1010), &preempted, 1), 0);
	assert_int_equal(preempted, 1);
	task->waited += 5 * tsc_hz;
	vm->requests = VM_REQUEST_RESET;
	vm->on_request = heard;
	assert_int_equal(task->slice(task, ~0ull), TASK_READY);
	assert_int_equal(guest_read(vm, GPA(0x1010), &preempted, 1), 0);
	assert_int_equal(preempted, 0); /* it left by itself */
	assert_int_equal(guest_read(vm, GPA(0x1000), &stolen, 8), 0);
	assert_int_equal(stolen, 5000000000);
	vm->requests = 0;
	for (unsigned init = 0; init < 2; init++) {
		assert_true(msr_write(vcpu, ABI_MSR_STEAL_TIME, 0x1000 | 1));
		if (init) {
			vcpu->lapic.events = LAPIC_EVENT_INIT;
			vcpu_take_events(vcpu);
		} else {
			vcpu_reset(vcpu);
		}
		assert_int_equal(vcpu->msrs.pv_steal_time, 0);
		assert_int_equal(guest_write(vm, GPA(0x1010), "\5", 1), 0);
		assert_int_equal(task->slice(task, 0), TASK_READY);
		assert_int_equal(guest_read(vm, GPA(0x1010), &preempted, 1), 0);
		assert_int_equal(preempted, 5);
	}
}

/* A TSC that is written: the offset, the VM's clock and the guest's one stay together. */
static void tsc_and_clock_stay_together(void **state)
{
	struct vcpu *vcpu = vm->vcpu;
	u64 timestamp, value;

	(void)state;
	assert_true(msr_write(vcpu, ABI_MSR_SYSTEM_TIME, 0x2000 | 1));
	assert_true(msr_write(vcpu, MSR_TSC_ADJUST, 1000));
	assert_int_equal(cpu->reg[VREG_TSC_OFFSET], 1000 - vm->clock_start);
	assert_int_equal(guest_read(vm, GPA(0x2008), &timestamp, 8), 0);
	assert_int_equal(timestamp, 1000);
	assert_true(msr_write(vcpu, MSR_TSC, 0));
	assert_true(msr_read(vcpu, MSR_TSC_ADJUST, &value));
	assert_int_equal(cpu->reg[VREG_TSC_OFFSET], value - vm->clock_start);
	assert_int_equal(guest_read(vm, GPA(0x2008), &timestamp, 8), 0);
	assert_int_equal(timestamp, value);
	/* while the clock stands still it is the TSC that reads as before */
	vm_pause_clock(vm);
	assert_true(msr_write(vcpu, MSR_TSC, 77));
	assert_true(msr_read(vcpu, MSR_TSC, &value));
	assert_int_equal(value, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(creation_fails_without_a_trace),
		TEST(data_of_a_cpu_is_made_once),
		TEST(scrubbing_is_logged_as_it_goes),
		TEST(destruction_scrubs),
		TEST(the_first_reason_counts),
		TEST(a_reason_is_cut_not_overrun),
		TEST(resets_are_told_ever_less),
		TEST(clock_of_a_vm),
		TEST(devices_by_name),
		TEST(once_remembers_a_bounded_number),
		TEST(runs_until_a_reset_is_wanted),
		TEST(services_of_a_run),
		TEST(end_goes_before_reset),
		TEST(halted_without_interrupts_is_the_end),
		TEST(interrupt_is_delivered),
		TEST(waits_until_an_interrupt),
		TEST(a_halt_inside_ends_inside),
		TEST(halts_as_the_option_says),
		TEST(a_kick_ends_the_next_halt_inside),
		TEST(who_wakes_within_its_slice_is_not_dead),
		TEST(a_storm_of_news_ends_the_slice),
		TEST(an_injection_ends_a_halt),
		TEST(a_slice_ends_in_time),
		TEST(hypercalls_go_to_an_embedder),
		TEST(timers_fire_between_runs),
		TEST(a_storm_of_timers_is_bounded),
		TEST(deadline_is_the_next_thing_due),
		TEST(undelivered_event_goes_in_at_the_next_entry),
		TEST(deadline_follows_the_console),
		TEST(silent_guest_gets_one_hint),
		TEST(reset_gives_power_up_state),
		TEST(slices_tell_of_steal_time),
		TEST(tsc_and_clock_stay_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
