/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/serve.c vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c arch/virt.c arch/lib/format.c tests/unit/fake_sched.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * Services in the middle of a run: each is what the long way would have made of it, or
 * nothing at all; whatever becomes due by one ends the run. Source: Intel SDM volume 3,
 * "Handling Interrupts", "APIC Timer", "SELF IPI Register", "Interrupt Command Register (ICR)
 * in x2APIC Mode"; volume 2, "IN - Input From Port"; "Page Attribute Table (PAT)".
 */
#include "vmm/serve.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "arch/msr.h"
#include "arch/percpu.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_sched.h"
#include "tests/unit/fake_virt.h"
#include "vmm/exit.h"
#include "vmm/inject.h"
#include "vmm/lapic_vector.h"
#include "vmm/mem.h"
#include "vmm/msr.h"
#include "vmm/pcpu.h"
#include "vmm/vdev_life.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define PORT  0x70 /* an 8-bit device: 4 ports */
#define WIDE  0x80 /* one that takes wider accesses, too */
#define HIGH  0x1000
#define FAR   (1ull << 40) /* ticks: in this test's life no timer comes */
#define LIMIT (1ull << 61)

static struct vm *vm;
static struct vcpu *vcpu, *other;
static struct fake_vcpu *cpu;
static struct {
	u16 port;
	u8 value;
	unsigned reads, writes;
	void (*then)(struct vdev *dev);
} probe;

/* ---- the devices */

static u8 probe_in(struct vdev *dev, u16 port)
{
	assert_int_not_equal(dev->vm->device_lock.next, dev->vm->device_lock.owner);
	probe.port = port;
	probe.reads++;
	if (probe.then)
		probe.then(dev);
	return 0x5a;
}

static void probe_out(struct vdev *dev, u16 port, u8 value)
{
	assert_int_not_equal(dev->vm->device_lock.next, dev->vm->device_lock.owner);
	probe.port = port;
	probe.value = value;
	probe.writes++;
	if (probe.then)
		probe.then(dev);
}

static u64 wide_read(struct vdev *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	probe.reads++;
	return 0;
}

static void wide_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)value;
	probe.writes++;
}

DEFINE_VDEV(probe_type, .name = "probe", .ports = {{PORT, 4}, {HIGH, 4}},
	    .port_ops = {.in = probe_in, .out = probe_out});
DEFINE_VDEV(wide_type, .name = "wide", .ports = {{WIDE, 4}},
	    .port_ops = {.read = wide_read, .write = wide_write});

/* As vmm/machine.c does it. */
static void list_ports(void)
{
	for (unsigned i = 0; i < vm->ports.count; i++)
		for (u64 port = vm->ports.range[i].first; port <= vm->ports.range[i].last; port++)
			if (port < VM_LOW_PORTS && vm->ports.range[i].ops->in)
				vm->low_ports[port] = i + 1;
}

/* ---- the machine: vCPU 0 in its guest on this CPU, vCPU 1 not running */

static void to_x2apic(struct vcpu *which)
{
	assert_true(lapic_write_msr(which, MSR_APIC_BASE, which->lapic.base | BIT(10)));
	lapic_prepare(which); /* as before any entry */
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(console_open("web")); /* outlives its VM, so is not counted */
	fake_host_init(MIB(16));
	fake_host_cpus(2);
	free(this_pcpu()->vmm); /* a real one, with what its timers call */
	this_pcpu()->vmm = NULL;
	assert_non_null(pcpu_vmm());
	fake_virt_init();
	memset(&probe, 0, sizeof(probe));
	assert_int_equal(vm_create("web", &vm), 0);
	assert_int_equal(mem_create(MIB(1), &vm->ram), 0);
	assert_int_equal(vm_set_memory_region(vm, 0, 0, GPA(0), MIB(1), vm->ram, 0), 0);
	assert_int_equal(vdev_create(vm, "wide", (struct vdev_args){0}), 0);
	assert_int_equal(vdev_create(vm, "probe", (struct vdev_args){0}), 0);
	list_ports();
	assert_int_equal(vcpu_create(vm, 1, &other), 0);
	vcpu_load(other);
	vcpu_reset(other);
	lapic_virtual_wire(other);
	vcpu_put(other);
	assert_int_equal(vcpu_create(vm, 0, &vcpu), 0);
	vm->vcpu = vcpu;
	vcpu_load(vcpu);
	vcpu_reset(vcpu);
	lapic_virtual_wire(vcpu);
	cpu = fake_vcpu_of(vcpu->virt);
	cpu->reg[VREG_CR0] = CR0_PE | CR0_ET;
	vm_run_clock(vm);
	vcpu->task.cpu = this_pcpu()->id;
	vcpu->where = VCPU_GUEST;
	vcpu->limit = LIMIT;
	cpu->base.served.deadline = 7;
	cpu->base.served.rflags = RFLAGS_ONE | RFLAGS_IF;
	to_x2apic(vcpu);
	vcpu->news = false;
	this_pcpu()->attention = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	this_pcpu()->attention = 0;
	vcpu->where = VCPU_OUT;
	vcpu_put(vcpu);
	vm_destroy(vm);
	pages_free(this_pcpu()->vmm, 1);
	this_pcpu()->vmm = NULL;
	assert_int_equal(fake_host.pages_out, 0);
	assert_int_equal(fake_host.frames_out, 0);
	return 0;
}

/* ---- ports */

static enum virt_asked io(u32 port, bool in, u64 rax)
{
	enum virt_asked asked;

	cpu->base.gpr[GPR_RAX] = rax;
	/* any number but 0 says IN */
	asked = cpu->base.served.io(cpu->base.served.owner, port, in ? BIT(3) : 0);
	assert_int_equal(vm->device_lock.next, vm->device_lock.owner);
	return asked;
}

static void port_of_an_8_bit_device(void **state)
{
	(void)state;
	for (u16 port = PORT; port < PORT + 4; port++) {
		assert_int_equal(io(port, true, 0xfedcba9876543210), VIRT_GO_ON);
		assert_int_equal(probe.port, port);
		/* AL alone: the rest of RAX is the guest's */
		assert_true(cpu->base.gpr[GPR_RAX] == 0xfedcba987654325a);
		assert_int_equal(io(port, false, 0xfedcba9876543210), VIRT_GO_ON);
		assert_int_equal(probe.port, port);
		assert_int_equal(probe.value, 0x10);
		assert_true(cpu->base.gpr[GPR_RAX] == 0xfedcba9876543210);
	}
	assert_int_equal(probe.reads, 4);
	assert_int_equal(probe.writes, 4);
	assert_int_equal(cpu->skips, 0); /* RIP is the back end's to move */
	assert_int_equal(cpu->reg[VREG_RIP], 0xfff0);
}

static void port_that_is_left_alone(void **state)
{
	/* nobody, wider devices, the neighbours of a range, and what is beyond the list */
	static const u16 ports[] = {0, PORT - 1, PORT + 4, WIDE, WIDE + 3, 0x3ff, 0x400, HIGH,
				    HIGH + 3, 0xffff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		assert_int_equal(io(ports[i], true, 0x1234567890), VIRT_UNSERVED);
		assert_int_equal(io(ports[i], false, 0x1234567890), VIRT_UNSERVED);
		assert_true(cpu->base.gpr[GPR_RAX] == 0x1234567890);
	}
	assert_int_equal(probe.reads + probe.writes, 0);
}

static void attend(struct vdev *dev)
{
	(void)dev;
	this_pcpu()->attention = 1;
}

static void wake(struct vdev *dev)
{
	(void)dev;
	vcpu_wake(vcpu);
}

static void wake_other(struct vdev *dev)
{
	(void)dev;
	vcpu_wake(other);
}

static void request_reset(struct vdev *dev)
{
	vm_request_reset(dev->vm, "a test");
}

static void end(struct vdev *dev)
{
	vm_end(dev->vm, "a test");
}

static struct vtimer timer;

static void timer_fn(void *arg)
{
	(void)arg;
	fail();
}

static void arm_timer(struct vdev *dev)
{
	vtimer_arm(&timer, vm_now(dev->vm) + FAR);
}

static void what_a_port_brings_about_ends_the_run(void **state)
{
	static void (*const ways[])(struct vdev *dev) = {attend, wake, arm_timer, request_reset,
								 end};

	(void)state;
	vtimer_init(&timer, vm, timer_fn, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		for (unsigned in = 0; in < 2; in++) {
			vtimer_cancel(&timer);
			vm->requests = 0;
			this_pcpu()->attention = 0;
			probe.then = NULL;
			assert_int_equal(io(PORT, in, 0), VIRT_GO_ON);
			probe.then = ways[i];
			if (io(PORT, in, 0) != VIRT_COME_BACK)
				fail_msg("way %u, IN %u", i, in);
		}
	}
	vtimer_cancel(&timer);
	assert_int_equal(probe.reads, 2 * ARRAY_SIZE(ways)); /* it is done all the same, once */
	assert_int_equal(probe.writes, 2 * ARRAY_SIZE(ways));
}

/* What is for another CPU is told there, and is nothing to this run. */
static void what_is_for_another_cpu_is_kicked_there(void **state)
{
	(void)state;
	vcpu->where = VCPU_ROOT;
	probe.then = wake;
	assert_int_equal(io(PORT, true, 0), VIRT_GO_ON); /* it looks before it enters */
	vcpu->where = VCPU_GUEST;
	other->where = VCPU_GUEST;
	other->task.cpu = 1;
	probe.then = wake_other;
	fake_host.kicked = 0;
	assert_int_equal(io(PORT, true, 0), VIRT_GO_ON);
	assert_int_equal(fake_host.kicked, BIT(1));
	other->where = VCPU_OUT;
	assert_int_equal(io(PORT, true, 0), VIRT_GO_ON);
	assert_int_equal(fake_host.kicked, BIT(1));
}

/* ---- MSRs */

/* What a WRMSR may change but the APIC's page, to see that it has not. */
struct seen {
	struct lapic lapic;
	u32 apic[1024], other_apic[1024], posted;
	struct vcpu_msrs msrs;
	u64 deadline, gpr[GPR_COUNT], pat;
	u32 attention, kicks, skips;
	bool news;
};

static struct seen look(void)
{
	struct seen seen;

	memset(&seen, 0, sizeof(seen));
	memcpy(&seen.lapic, &vcpu->lapic, sizeof(seen.lapic));
	memcpy(seen.apic, cpu->apic, sizeof(seen.apic));
	memcpy(seen.other_apic, other->virt->apic, sizeof(seen.apic));
	seen.posted = other->lapic.posted_words;
	memcpy(&seen.msrs, &vcpu->msrs, sizeof(seen.msrs));
	seen.deadline = cpu->base.served.deadline;
	memcpy(seen.gpr, cpu->base.gpr, sizeof(seen.gpr));
	seen.pat = cpu->reg[VREG_PAT];
	seen.attention = this_pcpu()->attention;
	seen.kicks = fake_host.kicks;
	seen.skips = cpu->skips;
	seen.news = vcpu->news;
	return seen;
}

static enum virt_asked wrmsr_asked(u32 index, u64 value)
{
	return cpu->base.served.wrmsr(cpu->base.served.owner, index, value);
}

static void unserved(u32 index, u64 value)
{
	struct seen before = look(), after;

	assert_int_equal(wrmsr_asked(index, value), VIRT_UNSERVED);
	after = look();
	assert_memory_equal(&before, &after, sizeof(before));
}

static u32 apic_reg(unsigned offset)
{
	return cpu->apic[offset / 4];
}

/* ---- the timer */

static bool in_service(u8 vector)
{
	return cpu->apic[LAPIC_ISR / 4 + vector / 32 * 4] & BIT(vector % 32);
}

static void set_timer_mode(unsigned mode, u32 divide)
{
	assert_true(lapic_write_msr(vcpu, 0x83e, divide));
	assert_true(lapic_write_msr(vcpu, 0x832, mode << 17 | 0x41));
}

static u64 guest_tsc(void)
{
	return vm_now(vm) + vcpu->tsc_delta;
}

static void a_deadline_that_is_to_come(void **state)
{
	static const u64 deltas[] = {0, 12345, -(1ull << 30), 1ull << 45};

	(void)state;
	set_timer_mode(LAPIC_TIMER_DEADLINE, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(deltas); i++) {
		u64 value;

		vcpu_set_tsc_delta(vcpu, deltas[i] - vm_now(vm) + FAR);
		value = guest_tsc() + FAR;
		vcpu->limit = LIMIT;
		assert_int_equal(wrmsr_asked(0x6e0, value), VIRT_NEW_DEADLINE);
		assert_true(vcpu->lapic.tsc_deadline == value);
		/* the host's TSC when the guest's is there */
		assert_true(cpu->base.served.deadline ==
			    vm_clock_to_tsc(vm, value - vcpu->tsc_delta));
		assert_true(lapic_timer(vcpu, rdtsc()) == cpu->base.served.deadline);
		/* what else is due comes before it */
		vcpu->limit = rdtsc() + 1000;
		assert_int_equal(wrmsr_asked(0x6e0, value + 1), VIRT_NEW_DEADLINE);
		assert_true(vcpu->lapic.tsc_deadline == value + 1);
		assert_true(cpu->base.served.deadline == vcpu->limit);
	}
	assert_false(lapic_requested(&vcpu->lapic));
}

static void a_deadline_that_is_not_plain(void **state)
{
	(void)state;
	vcpu_set_tsc_delta(vcpu, FAR - vm_now(vm));
	/* in other modes the MSR is not kept: "writes to the MSR are ignored" */
	set_timer_mode(LAPIC_TIMER_ONE_SHOT, 0);
	unserved(0x6e0, guest_tsc() + FAR);
	set_timer_mode(LAPIC_TIMER_PERIODIC, 0);
	unserved(0x6e0, guest_tsc() + FAR);
	set_timer_mode(LAPIC_TIMER_DEADLINE, 0);
	unserved(0x6e0, 0); /* disarms */
	unserved(0x6e0, 1); /* has come */
	unserved(0x6e0, guest_tsc());
	unserved(0x6e0, guest_tsc() - 1);
	unserved(0x6e0, ~0ull);
	unserved(0x6e0, guest_tsc() + (1ull << 62) + FAR);
	assert_int_equal(vcpu->lapic.tsc_deadline, 0);
	/* one that is armed stays so until the long way says otherwise */
	assert_int_equal(wrmsr_asked(0x6e0, guest_tsc() + FAR), VIRT_NEW_DEADLINE);
	unserved(0x6e0, 0);
	unserved(0x6e0, 1);
}

/* "The timer generates an interrupt [...] when the logical processor's time-stamp counter
 * equals or exceeds the target value": numbers, not their distance. */
static void a_deadline_behind_the_wrap_has_come(void **state)
{
	(void)state;
	set_timer_mode(LAPIC_TIMER_DEADLINE, 0);
	vcpu_set_tsc_delta(vcpu, -FAR - vm_now(vm)); /* the guest's TSC is just below 2^64 */
	unserved(0x6e0, 0);
	unserved(0x6e0, 5);
	unserved(0x6e0, FAR);
}

static void a_count(void **state)
{
	static const struct {
		u32 divide, shift;
	} dividers[] = {{11, 0}, {0, 1}, {1, 2}, {2, 3}, {3, 4}, {8, 5}, {9, 6}, {10, 7}};
	static const u32 counts[] = {0x10000000, 0xfffffffe, 0xffffffff};
	unsigned crystal = cpuid_crystal_shift(vm_clock_hz(vm));

	(void)state;
	for (unsigned mode = LAPIC_TIMER_ONE_SHOT; mode <= LAPIC_TIMER_PERIODIC; mode++)
		for (unsigned i = 0; i < ARRAY_SIZE(dividers) * ARRAY_SIZE(counts); i++) {
			unsigned d = i / ARRAY_SIZE(counts);
			u32 count = counts[i % ARRAY_SIZE(counts)];
			u64 ticks = (u64)count << (dividers[d].shift + crystal), from, to;

			set_timer_mode(mode, dividers[d].divide);
			from = vm_now(vm);
			assert_int_equal(wrmsr_asked(0x838, count), VIRT_NEW_DEADLINE);
			to = vm_now(vm);
			assert_int_equal(apic_reg(LAPIC_TIMER_INITIAL), count);
			assert_true(vcpu->lapic.deadline >= from + ticks &&
				    vcpu->lapic.deadline <= to + ticks);
			assert_true(cpu->base.served.deadline ==
				    vm_clock_to_tsc(vm, vcpu->lapic.deadline));
		}
	vcpu->limit = rdtsc() + 1000;
	assert_int_equal(wrmsr_asked(0x838, 0x20000000), VIRT_NEW_DEADLINE);
	assert_true(cpu->base.served.deadline == vcpu->limit);
	assert_int_equal(apic_reg(LAPIC_TIMER_INITIAL), 0x20000000);
}

static void a_count_that_is_not_plain(void **state)
{
	(void)state;
	set_timer_mode(LAPIC_TIMER_ONE_SHOT, 11);
	unserved(0x838, 0);		 /* stops it */
	unserved(0x838, 1ull << 32);	 /* #GP */
	unserved(0x838, 1ull << 32 | 5); /* #GP */
	unserved(0x838, ~0ull);
	set_timer_mode(LAPIC_TIMER_DEADLINE, 11);
	unserved(0x838, 0x1000); /* "writes [...] are ignored" */
	assert_int_equal(wrmsr_asked(0x6e0, guest_tsc() + FAR), VIRT_NEW_DEADLINE);
	unserved(0x838, 0x1000);
}

/* ---- a timer's end */

static enum virt_asked timer_asked(void)
{
	return cpu->base.served.timer(cpu->base.served.owner);
}

static void timer_unserved(void)
{
	struct seen before = look(), after;

	assert_int_equal(timer_asked(), VIRT_UNSERVED);
	after = look();
	assert_memory_equal(&before, &after, sizeof(before));
}

/* One that has come a moment ago, in both modes that end by it. */
static void let_end(unsigned mode)
{
	set_timer_mode(mode, 11);
	if (mode == LAPIC_TIMER_DEADLINE) {
		vcpu->lapic.tsc_deadline = guest_tsc() - 1;
	} else {
		cpu->apic[LAPIC_TIMER_INITIAL / 4] = 0x1000;
		vcpu->lapic.deadline = vm_now(vm) - 1;
	}
}

static bool still_to_be_seen_to(void)
{
	return vcpu->lapic.deadline || vcpu->lapic.tsc_deadline;
}

static void an_end_comes_at_once(void **state)
{
	static const u8 modes[] = {LAPIC_TIMER_DEADLINE, LAPIC_TIMER_ONE_SHOT};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		let_end(modes[i]);
		assert_int_equal(timer_asked(), VIRT_INTERRUPT);
		assert_int_equal(cpu->base.served.vector, 0x41);
		assert_true(in_service(0x41));
		assert_false(lapic_requested(&vcpu->lapic));
		assert_int_equal(cpu->apic[LAPIC_IRR / 4 + 8], 0);
		/* once; IA32_TSC_DEADLINE reads 0 then, and nothing else is awaited */
		assert_false(still_to_be_seen_to());
		assert_true(cpu->base.served.deadline == LIMIT);
		timer_unserved();
		lapic_eoi(vcpu);
	}
	/* the count stays as it was written */
	assert_int_equal(apic_reg(LAPIC_TIMER_INITIAL), 0x1000);
}

/* Where the CPU delivers, it is told of the highest request; a guest that halted goes on. */
static void an_end_is_requested_of_the_cpu(void **state)
{
	static const u8 modes[] = {LAPIC_TIMER_DEADLINE, LAPIC_TIMER_ONE_SHOT};

	(void)state;
	cpu->base.apic_delivers = true;
	vcpu->lapic.tmr_changed = false;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		cpu->irr = -1;
		cpu->reg[VREG_HALTED] = 1;
		let_end(modes[i]);
		assert_int_equal(timer_asked(), VIRT_NEW_DEADLINE);
		assert_true(lapic_test(vcpu, LAPIC_IRR, 0x41));
		assert_false(in_service(0x41));
		assert_int_equal(cpu->irr, 0x41);
		assert_int_equal(cpu->reg[VREG_HALTED], 0);
		assert_false(still_to_be_seen_to());
		assert_true(cpu->base.served.deadline == LIMIT);
		*lapic_word(vcpu, LAPIC_IRR, 0x41) = 0;
	}
	*lapic_word(vcpu, LAPIC_IRR, 0x61) = BIT(1);
	let_end(LAPIC_TIMER_DEADLINE);
	assert_int_equal(timer_asked(), VIRT_NEW_DEADLINE);
	assert_int_equal(cpu->irr, 0x61);
	assert_true(lapic_test(vcpu, LAPIC_IRR, 0x41));
	vcpu->lapic.tmr_changed = true; /* of which the CPU is to be told */
	let_end(LAPIC_TIMER_DEADLINE);
	timer_unserved();
	vcpu->lapic.tmr_changed = false;
	*lapic_word(vcpu, LAPIC_TMR, 0x41) |= BIT(1);
	timer_unserved();
	*lapic_word(vcpu, LAPIC_TMR, 0x41) = 0;
	/* in HLT it waits for what may come in */
	cpu->base.served.rflags = RFLAGS_ONE;
	timer_unserved();
	cpu->base.served.rflags |= RFLAGS_IF;
	cpu->apic[LAPIC_TPR / 4] = 0x40;
	timer_unserved();
	cpu->apic[LAPIC_TPR / 4] = 0;
	*lapic_word(vcpu, LAPIC_ISR, 0x4f) |= BIT(15);
	timer_unserved();
	*lapic_word(vcpu, LAPIC_ISR, 0x4f) = 0;
	assert_int_equal(timer_asked(), VIRT_NEW_DEADLINE);
}

static void an_end_that_is_not_plain(void **state)
{
	struct apic_msg waits = {.mode = APIC_FIXED, .vector = 0x31};

	(void)state;
	/* none, and one that is to come */
	for (unsigned mode = LAPIC_TIMER_ONE_SHOT; mode <= LAPIC_TIMER_DEADLINE; mode++) {
		set_timer_mode(mode, 11);
		timer_unserved();
	}
	vcpu->lapic.tsc_deadline = guest_tsc() + FAR;
	timer_unserved();
	let_end(LAPIC_TIMER_PERIODIC); /* begins anew */
	timer_unserved();
	for (unsigned mode = LAPIC_TIMER_ONE_SHOT; mode <= LAPIC_TIMER_DEADLINE; mode += 2) {
		let_end(mode);
		cpu->apic[LAPIC_LVT_TIMER / 4] |= LVT_MASKED;
		timer_unserved();
		cpu->apic[LAPIC_LVT_TIMER / 4] &= ~LVT_MASKED;
		cpu->apic[LAPIC_LVT_TIMER / 4] &= ~0xffu; /* an illegal vector */
		timer_unserved();
		cpu->apic[LAPIC_LVT_TIMER / 4] |= 0x41;
		cpu->base.served.rflags = RFLAGS_ONE;
		timer_unserved();
		cpu->base.served.rflags |= RFLAGS_IF;
		cpu->apic[LAPIC_TPR / 4] = 0x40;
		timer_unserved();
		cpu->apic[LAPIC_TPR / 4] = 0;
		vcpu->windows = BIT(WINDOW_INTERRUPT);
		timer_unserved();
		vcpu->windows = 0;
		vcpu->msrs.pv_eoi = 1;
		timer_unserved();
		vcpu->msrs.pv_eoi = 0;
		/* what else is due on this CPU */
		this_pcpu()->attention = 1;
		timer_unserved();
		this_pcpu()->attention = 0;
		vcpu->limit = rdtsc() - 1;
		timer_unserved();
		vcpu->limit = LIMIT;
		cpu->apic[LAPIC_SVR / 4] = 0xff;
		timer_unserved();
		cpu->apic[LAPIC_SVR / 4] = 0x1ff;
		assert_int_equal(timer_asked(), VIRT_INTERRUPT);
		lapic_eoi(vcpu);
	}
	let_end(LAPIC_TIMER_DEADLINE);
	assert_true(lapic_accept(vcpu, &waits));
	timer_unserved();
	lapic_ack(vcpu, lapic_pending(vcpu));
	this_pcpu()->attention = 0;
	assert_int_equal(timer_asked(), VIRT_INTERRUPT); /* above what is in service */
	assert_true(in_service(0x31) && in_service(0x41));
}

/* Back in xAPIC mode, by way of off. */
static void to_xapic(void)
{
	u64 base = vcpu->lapic.base;

	assert_true(lapic_write_msr(vcpu, MSR_APIC_BASE, base & ~(BIT(10) | BIT(11))));
	assert_true(lapic_write_msr(vcpu, MSR_APIC_BASE, (base & ~(u64)BIT(10)) | BIT(11)));
	lapic_virtual_wire(vcpu);
	lapic_prepare(vcpu);
}

static void registers_are_no_msrs_in_xapic_mode(void **state)
{
	(void)state;
	to_xapic();
	unserved(0x838, 0x1000);
	unserved(0x80b, 0);
	unserved(0x830, 0x4051);
	unserved(0x830, 1ull << 32 | 0x4051);
	unserved(0x83f, 0x51);
	/* IA32_TSC_DEADLINE is one in both modes */
	cpu->apic[LAPIC_LVT_TIMER / 4] = LAPIC_TIMER_DEADLINE << 17 | 0x41;
	lapic_write(vcpu, LAPIC_LVT_TIMER, 4, LAPIC_TIMER_DEADLINE << 17 | 0x41);
	assert_int_equal(wrmsr_asked(0x6e0, guest_tsc() + FAR), VIRT_NEW_DEADLINE);
}

/* ---- EOI */

static void take(u8 vector, bool level)
{
	struct apic_msg msg = {.mode = APIC_FIXED, .vector = vector, .level = level};

	assert_true(lapic_accept(vcpu, &msg));
	assert_int_equal(lapic_pending(vcpu), vector);
	lapic_ack(vcpu, vector);
	assert_int_equal(lapic_pending(vcpu), -1);
	vcpu->news = false;
	this_pcpu()->attention = 0;
}

static void an_end_of_nothing(void **state)
{
	struct seen before = look(), after;

	(void)state;
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	after = look();
	assert_memory_equal(&before, &after, sizeof(before));
}

static void an_end_is_that_of_the_highest(void **state)
{
	(void)state;
	take(0x31, false);
	take(0x51, false);
	take(0xff, false);
	assert_int_equal(lapic_ppr(vcpu), 0xf0);
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	assert_true(in_service(0x31) && in_service(0x51) && !in_service(0xff));
	assert_int_equal(lapic_ppr(vcpu), 0x50);
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	assert_true(in_service(0x31) && !in_service(0x51));
	assert_int_equal(lapic_ppr(vcpu), 0x30);
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	assert_int_equal(lapic_ppr(vcpu), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(cpu->apic[LAPIC_ISR / 4 + 4 * i], 0);
	an_end_of_nothing(state);
}

/* Two of one word of ISR, and of one class. */
static void neighbours_end_one_by_one(void **state)
{
	(void)state;
	take(0x40, false);
	take(0x5e, false);
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	assert_true(in_service(0x40) && !in_service(0x5e));
	take(0x50, false);
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	assert_true(in_service(0x40) && !in_service(0x50));
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	assert_false(in_service(0x40));
}

static void an_end_that_others_wait_for(void **state)
{
	struct apic_msg below = {.mode = APIC_FIXED, .vector = 0x31};

	(void)state;
	take(0x51, false);
	unserved(0x80b, 1); /* #GP */
	unserved(0x80b, 1ull << 32);
	vcpu->lapic.threshold = 3;
	unserved(0x80b, 0);
	vcpu->lapic.threshold = 0;
	vcpu->pv.eoi_offered = true;
	unserved(0x80b, 0);
	vcpu->pv.eoi_offered = false;
	cpu->base.apic_delivers = true; /* the CPU's */
	unserved(0x80b, 0);
	cpu->base.apic_delivers = false;
	assert_true(in_service(0x51));
	take(0x61, true); /* the I/O APIC is told of a level's end */
	unserved(0x80b, 0);
	lapic_eoi(vcpu);
	assert_true(lapic_accept(vcpu, &below)); /* waits, posted ... */
	unserved(0x80b, 0);
	assert_int_equal(lapic_pending(vcpu), -1); /* ... and in IRR */
	unserved(0x80b, 0);
	lapic_eoi(vcpu);
	assert_int_equal(lapic_pending(vcpu), 0x31);
}

/* ---- IPIs */

static void unserved_self(u8 vector)
{
	unserved(0x83f, vector);
	unserved(0x830, vector);
	unserved(0x830, 0x4000 | vector);
	unserved(0x830, 0x44000 | vector);
	unserved(0x830, 1ull << 32 | 0x40000 | vector);
}

static void a_vector_to_itself_comes_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		/* SELF IPI; by its id; by the shorthand, for which no id counts */
		static const u64 values[] = {0x61, 0x4061, 0x61, 0x40061, 0x44061,
					     0xffffffffull << 32 | 0x40061};

		cpu->apic[LAPIC_ICR / 4] = 0x99;
		assert_int_equal(wrmsr_asked(i ? 0x830 : 0x83f, values[i]), VIRT_INTERRUPT);
		assert_int_equal(cpu->base.served.vector, 0x61);
		/* in service as if it had gone through IRR, and edge-triggered */
		assert_true(in_service(0x61));
		assert_int_equal(cpu->apic[LAPIC_IRR / 4 + 12], 0);
		assert_false(lapic_test(vcpu, LAPIC_TMR, 0x61));
		assert_false(lapic_requested(&vcpu->lapic));
		assert_int_equal(lapic_ppr(vcpu), 0x60);
		assert_int_equal(cpu->next.type, EVENT_NONE); /* it is the back end's to inject */
		/* SELF IPI leaves ICR alone */
		assert_int_equal(apic_reg(LAPIC_ICR), i ? (u32)values[i] : 0x99);
		assert_int_equal(apic_reg(LAPIC_ICR_HIGH), values[i] >> 32);
		lapic_eoi(vcpu);
	}
	/* above what is in service and TPR, by its class */
	take(0x5f, false);
	assert_int_equal(wrmsr_asked(0x83f, 0x60), VIRT_INTERRUPT);
	assert_true(in_service(0x5f) && in_service(0x60));
	assert_int_equal(wrmsr_asked(0x80b, 0), VIRT_GO_ON);
	cpu->apic[LAPIC_TPR / 4] = 0x6f;
	assert_int_equal(wrmsr_asked(0x83f, 0x70), VIRT_INTERRUPT);
	lapic_eoi(vcpu);
	cpu->apic[LAPIC_TPR / 4] = 0;
	lapic_eoi(vcpu);
	assert_int_equal(wrmsr_asked(0x83f, 0x10), VIRT_INTERRUPT); /* the lowest that is legal */
	assert_true(in_service(0x10));
}

static void a_vector_to_itself_that_may_not_come(void **state)
{
	struct apic_msg waits = {.mode = APIC_FIXED, .vector = 0x31};

	(void)state;
	cpu->base.served.rflags = RFLAGS_ONE;
	unserved_self(0x61);
	cpu->base.served.rflags |= RFLAGS_IF;
	for (unsigned v = 0; v < 16; v++)
		unserved_self(v); /* illegal */
	cpu->apic[LAPIC_TPR / 4] = 0x60;
	unserved_self(0x61);
	unserved_self(0x6f);
	cpu->apic[LAPIC_TPR / 4] = 0xff;
	unserved_self(0xff);
	cpu->apic[LAPIC_TPR / 4] = 0;
	take(0x61, false);
	unserved_self(0x61);
	unserved_self(0x6f);
	unserved_self(0x51);
	lapic_eoi(vcpu);
	vcpu->msrs.pv_eoi = 1; /* an end is offered with it */
	unserved_self(0x61);
	vcpu->msrs.pv_eoi = 0;
	cpu->base.apic_delivers = true;
	unserved_self(0x61);
	cpu->base.apic_delivers = false;
	/* once a level, TMR is to be told: */
	*lapic_word(vcpu, LAPIC_TMR, 0x61) |= BIT(1);
	unserved_self(0x61);
	*lapic_word(vcpu, LAPIC_TMR, 0x61) = 0;
	cpu->apic[LAPIC_SVR / 4] = 0xff; /* disabled by software */
	unserved_self(0x61);
	cpu->apic[LAPIC_SVR / 4] = 0x1ff;
	/* something else is pending, or a window is open for it */
	assert_true(lapic_accept(vcpu, &waits));
	unserved_self(0x61);
	assert_int_equal(lapic_pending(vcpu), 0x31);
	unserved_self(0x61);
	lapic_ack(vcpu, 0x31);
	assert_int_equal(wrmsr_asked(0x83f, 0x61), VIRT_INTERRUPT);
}

static void nothing_goes_before_another_event(void **state)
{
	(void)state;
#define BESIDE(member, value)                                                                     \
	do {                                                                                      \
		member = value;                                                                   \
		unserved_self(0x61);                                                              \
		member = 0;                                                                       \
	} while (0)
	BESIDE(vcpu->exception.type, EVENT_EXCEPTION);
	BESIDE(vcpu->repeat.type, EVENT_SOFT_INTERRUPT);
	BESIDE(vcpu->interrupt.type, EVENT_INTERRUPT);
	BESIDE(vcpu->nmi_pending, 1);
	BESIDE(vcpu->extint, true);
	BESIDE(vm->extint_pending, true);
	BESIDE(vcpu->windows, BIT(WINDOW_INTERRUPT));
	BESIDE(vcpu->windows, BIT(WINDOW_NMI));
#undef BESIDE
	unserved(0x83f, 0x161); /* reserved bits: #GP */
	unserved(0x83f, 1ull << 32 | 0x61);
	assert_int_equal(wrmsr_asked(0x83f, 0x61), VIRT_INTERRUPT);
}

static void a_vector_to_another(void **state)
{
	unsigned wakes = fake_sched.wakes;

	(void)state;
	assert_int_equal(wrmsr_asked(0x830, 1ull << 32 | 0x4051), VIRT_GO_ON);
	assert_int_equal(fake_sched.wakes, wakes + 1); /* it did not run */
	assert_int_equal(apic_reg(LAPIC_ICR), 0x4051);
	assert_int_equal(apic_reg(LAPIC_ICR_HIGH), 1);
	assert_int_equal(lapic_pending(other), 0x51);
	lapic_ack(other, 0x51);
	assert_false(lapic_requested(&vcpu->lapic));
	/* one that runs elsewhere is kicked; once is enough */
	other->where = VCPU_GUEST;
	other->task.cpu = 1;
	fake_host.kicks = fake_host.kicked = 0;
	assert_int_equal(wrmsr_asked(0x830, 1ull << 32 | 0xff), VIRT_GO_ON);
	assert_int_equal(wrmsr_asked(0x830, 1ull << 32 | 0xff), VIRT_GO_ON);
	assert_int_equal(fake_host.kicks, 1);
	assert_int_equal(fake_host.kicked, BIT(1));
	other->where = VCPU_OUT;
	/* whatever the guest's IF and priority are; what is due here ends the run */
	cpu->base.served.rflags = RFLAGS_ONE;
	cpu->apic[LAPIC_TPR / 4] = 0xff;
	this_pcpu()->attention = 1;
	assert_int_equal(wrmsr_asked(0x830, 1ull << 32 | 0x10), VIRT_COME_BACK);
	assert_int_equal(apic_reg(LAPIC_ICR), 0x10);
	assert_int_equal(lapic_pending(other), 0xff);
}

static void what_is_no_plain_ipi(void **state)
{
	/* nobody, all, an illegal vector, modes, logical, a level, shorthands, reserved bits */
	static const u64 values[] = {2ull << 32 | 0x51, 63ull << 32 | 0x51, 0xffffffffull << 32 | 0x51,
				     1ull << 32 | 0x400f, 1ull << 32 | 0x4000, 1ull << 32 | 0x151,
				     1ull << 32 | 0x400, 1ull << 32 | 0x500, 1ull << 32 | 0x600,
				     1ull << 32 | 0x851, 1ull << 32 | 0xc051, 1ull << 32 | 0x8051,
				     1ull << 32 | 0x80051, 1ull << 32 | 0xc0051, 1ull << 32 | 0x4400f,
				     1ull << 32 | 0x1051, 1ull << 32 | 0x2051, 1ull << 32 | 0x100051,
				     1ull << 32 | 0x80000051, 0x80061, 0xc0061, 0x861, 0x461, 0x8061,
				     0x40161, 0x40861, 0x48061, 0x41061, 0x4000f};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		unserved(0x830, values[i]);
	assert_int_equal(lapic_pending(other), -1);
	assert_false(lapic_requested(&vcpu->lapic));
	/* one that does not listen, is off, or is away */
	other->virt->apic[LAPIC_SVR / 4] = 0xff;
	unserved(0x830, 1ull << 32 | 0x51);
	other->virt->apic[LAPIC_SVR / 4] = 0x1ff;
	other->lapic.base &= ~(u64)BIT(11);
	unserved(0x830, 1ull << 32 | 0x51);
	other->lapic.base |= BIT(11);
	other->parked = true;
	unserved(0x830, 1ull << 32 | 0x51);
	other->parked = false;
	assert_int_equal(wrmsr_asked(0x830, 1ull << 32 | 0x51), VIRT_GO_ON);
}

/* ---- PAT, and the others */

static void page_attributes(void **state)
{
	/* "Memory Types That Can Be Encoded With PAT": 2, 3 and what is above 7 are reserved */
	static const u64 invalid[] = {2, 3, 8, 0x0200000000000000, 0x0003000000000000, ~0ull};
	u64 reset = 0x0007040600070406;

	(void)state;
	assert_true(vcpu->msrs.pat == reset);
	cpu->reg[VREG_PAT] = reset;
	assert_int_equal(wrmsr_asked(0x277, reset), VIRT_GO_ON);
	assert_true(vcpu->msrs.pat == reset && cpu->reg[VREG_PAT] == reset);
	for (unsigned i = 0; i < ARRAY_SIZE(invalid); i++)
		unserved(0x277, invalid[i]);
	assert_int_equal(wrmsr_asked(0x277, 0x0001040506070106), VIRT_GO_ON);
	assert_true(vcpu->msrs.pat == 0x0001040506070106 &&
		    cpu->reg[VREG_PAT] == 0x0001040506070106);
	assert_int_equal(wrmsr_asked(0x277, 0), VIRT_GO_ON);
	assert_true(vcpu->msrs.pat == 0 && cpu->reg[VREG_PAT] == 0);
}

static void other_msrs_are_left_alone(void **state)
{
	(void)state;
	for (u32 index = 0; index < 0x1000; index++)
		if (index != 0x277 && index != 0x6e0 && index != 0x80b && index != 0x830 &&
		    index != 0x838 && index != 0x83f)
			assert_int_equal(wrmsr_asked(index, 0), VIRT_UNSERVED);
	for (u32 index = 0xc0000080; index < 0xc0000104; index++)
		assert_int_equal(wrmsr_asked(index, 0), VIRT_UNSERVED);
	unserved(0x80000277, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(port_of_an_8_bit_device),
		TEST(port_that_is_left_alone),
		TEST(what_a_port_brings_about_ends_the_run),
		TEST(what_is_for_another_cpu_is_kicked_there),
		TEST(a_deadline_that_is_to_come),
		TEST(a_deadline_that_is_not_plain),
		TEST(a_deadline_behind_the_wrap_has_come),
		TEST(a_count),
		TEST(a_count_that_is_not_plain),
		TEST(an_end_comes_at_once),
		TEST(an_end_is_requested_of_the_cpu),
		TEST(an_end_that_is_not_plain),
		TEST(registers_are_no_msrs_in_xapic_mode),
		TEST(an_end_of_nothing),
		TEST(an_end_is_that_of_the_highest),
		TEST(neighbours_end_one_by_one),
		TEST(an_end_that_others_wait_for),
		TEST(a_vector_to_itself_comes_at_once),
		TEST(a_vector_to_itself_that_may_not_come),
		TEST(nothing_goes_before_another_event),
		TEST(a_vector_to_another),
		TEST(what_is_no_plain_ipi),
		TEST(page_attributes),
		TEST(other_msrs_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
