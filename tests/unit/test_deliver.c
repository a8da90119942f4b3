/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/run.c vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/serve.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/sched.c vmm/job.c tests/unit/fake_context.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c arch/virt.c arch/lib/format.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * Between local APICs: destinations, IPIs, MSIs, the way of a vector from IRR to
 * its end, what INIT, STARTUP and NMI do to vCPUs that run or wait, and a storm
 * against a second, simple model. Source: Intel SDM volume 3, "Issuing
 * Interprocessor Interrupts", "Handling Interrupts", "Message Signalled
 * Interrupts", "Multiple-Processor (MP) Initialization".
 */
#include "vmm/vcpu.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "arch/msr.h"
#include "arch/tsc.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/mem.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define CPUS 4
#define SEED 0x5eed1a91cull

enum { SELF = 0x40000, ALL = 0x80000, OTHERS = 0xc0000, LOGICAL = 0x800 }; /* ICR */

static struct vm *vm;
static struct vcpu *cpu[CPUS];
static struct fake_vcpu *fake[CPUS];
static unsigned ends[256], end_count;

static u32 rd(struct vcpu *vcpu, unsigned offset)
{
	return (u32)lapic_read(vcpu, offset, 4);
}

static void wr(struct vcpu *vcpu, unsigned offset, u32 value)
{
	lapic_write(vcpu, offset, 4, value);
}

static u32 esr(struct vcpu *vcpu)
{
	wr(vcpu, LAPIC_ESR, 0);
	return rd(vcpu, LAPIC_ESR);
}

static void x2apic(struct vcpu *vcpu)
{
	assert_true(lapic_write_msr(vcpu, MSR_APIC_BASE, vcpu->lapic.base | 0x400));
}

static void ipi(struct vcpu *vcpu, u32 dest, u32 low)
{
	if (lapic_x2apic(vcpu)) {
		assert_true(lapic_write_msr(vcpu, 0x830, (u64)dest << 32 | low));
	} else {
		wr(vcpu, LAPIC_ICR_HIGH, dest << 24);
		wr(vcpu, LAPIC_ICR, low);
	}
}

static bool bit(struct vcpu *vcpu, unsigned bitmap, u8 vector)
{
	lapic_pending(vcpu); /* what was sent comes into IRR when it is looked at */
	return vcpu->virt->apic[(bitmap + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

/* The vCPUs, as bits, that have a vector requested; it is cleared. */
static unsigned got(u8 vector)
{
	unsigned who = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		who |= bit(cpu[i], LAPIC_IRR, vector) << i;
		cpu[i]->virt->apic[(LAPIC_IRR + vector / 32 * 16) / 4] &= ~BIT(vector % 32);
	}
	return who;
}

static unsigned has_event(u32 event)
{
	unsigned who = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		who |= !!(cpu[i]->lapic.events & event) << i;
		cpu[i]->lapic.events &= ~event;
	}
	return who;
}

static void on_eoi(struct vdev *dev, u8 vector)
{
	assert_null(dev);
	assert_int_not_equal(vm->device_lock.next, vm->device_lock.owner); /* held */
	ends[vector]++;
	end_count++;
}

static u8 on_inta(struct vdev *dev)
{
	(void)dev;
	vm_extint_changed(vm, false);
	return 0x20;
}

/* A VM has devices, if none here. */
DEFINE_VDEV(none_type, .name = "none");

static int setup(void **state)
{
	static const struct console_backend none;
	static const struct eoi_sink sink = {NULL, on_eoi};
	static const struct extint_source source = {NULL, on_inta};

	(void)state;
	assert_non_null(console_open("web"));
	fake_host_init(MIB(4));
	fake_host_cpus(2);
	fake_virt_init();
	console_set_backend(&none);
	assert_int_equal(vm_create("web", &vm), 0);
	assert_int_equal(mem_create(MIB(1), &vm->ram), 0);
	assert_int_equal(vm_set_memory_region(vm, 0, 0, GPA(0), MIB(1), vm->ram, 0), 0);
	vm->cpuid.maxphyaddr = 40;
	vm->allowed_cpus = BIT(0);
	vm_set_eoi_sink(vm, &sink);
	vm_set_extint_source(vm, &source);
	vm_run_clock(vm);
	for (unsigned i = 0; i < CPUS; i++) {
		assert_int_equal(vcpu_create(vm, i, &cpu[i]), 0);
		vcpu_load(cpu[i]);
		vcpu_reset(cpu[i]);
		wr(cpu[i], LAPIC_SVR, 0x1ff);
		fake[i] = fake_vcpu_of(cpu[i]->virt);
	}
	memset(ends, 0, sizeof(ends));
	end_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++)
		if (fake[i]->loaded)
			vcpu_put(cpu[i]);
	vm_destroy(vm);
	assert_int_equal(fake_host.pages_out, 0);
	return 0;
}

static bool send(struct vcpu *vcpu, u8 vector, bool level)
{
	struct apic_msg msg = {.vector = vector, .level = level};

	return lapic_accept(vcpu, &msg);
}

/* ---- from IRR to EOI */

static void priorities(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	for (unsigned isr = 0; isr < 256; isr += isr ? 1 : 16)
		for (unsigned tpr = 0; tpr < 256; tpr += 5) {
			/* "Figure: Processor-Priority Register" */
			unsigned ppr = tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;

			wr(vcpu, LAPIC_TPR, 0);
			if (isr) {
				send(vcpu, isr, false);
				assert_int_equal(lapic_pending(vcpu), isr);
				lapic_ack(vcpu, isr);
			}
			wr(vcpu, LAPIC_TPR, tpr);
			assert_int_equal(rd(vcpu, LAPIC_PPR), ppr);
			assert_int_equal(lapic_get_cr8(vcpu->virt), tpr >> 4);
			for (unsigned vector = 16; vector < 256; vector += 37) {
				send(vcpu, vector, false);
				assert_int_equal(lapic_pending(vcpu),
						 vector >> 4 > ppr >> 4 ? (int)vector : -1);
				assert_int_equal(got(vector), 2);
			}
			lapic_eoi(vcpu);
		}
	assert_int_equal(rd(vcpu, LAPIC_PPR), 255);
}

static void nesting_and_ends(void **state)
{
	static const u8 up[] = {0x31, 0x42, 0x55, 0xff};
	struct vcpu *vcpu = cpu[1];

	(void)state;
	lapic_eoi(vcpu); /* nothing in service: nothing happens */
	for (unsigned i = 0; i < ARRAY_SIZE(up); i++) {
		send(vcpu, up[i], false);
		assert_int_equal(lapic_pending(vcpu), up[i]);
		lapic_ack(vcpu, up[i]);
		assert_false(bit(vcpu, LAPIC_IRR, up[i]));
		assert_true(bit(vcpu, LAPIC_ISR, up[i]));
		/* one in service and one requested of the same, and no more */
		send(vcpu, up[i], false);
		send(vcpu, up[i], false);
		assert_true(bit(vcpu, LAPIC_IRR, up[i]));
		assert_int_equal(lapic_pending(vcpu), -1);
	}
	for (unsigned i = ARRAY_SIZE(up); i-- > 0;) {
		wr(vcpu, LAPIC_EOI, 0x1234);
		assert_false(bit(vcpu, LAPIC_ISR, up[i]));
		assert_int_equal(lapic_pending(vcpu), up[i]);
		lapic_ack(vcpu, up[i]);
		wr(vcpu, LAPIC_EOI, 0);
	}
	assert_int_equal(lapic_pending(vcpu), -1);
	assert_int_equal(rd(vcpu, LAPIC_PPR), 0);
	assert_int_equal(end_count, 0);
}

static void ends_of_levels_are_told(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	for (unsigned delivers = 0; delivers < 2; delivers++) {
		memset(ends, 0, sizeof(ends));
		end_count = 0;
		fake[1]->delivers = delivers;
		lapic_reset(vcpu, true);
		wr(vcpu, LAPIC_SVR, 0x1ff);
		send(vcpu, 0x40, false);
		send(vcpu, 0x61, true);
		assert_true(bit(vcpu, LAPIC_TMR, 0x61));
		assert_false(bit(vcpu, LAPIC_TMR, 0x40));
		lapic_prepare(vcpu);
		/* the CPU, or who stands in for it */
		for (unsigned k = 0; k < 2; k++) {
			static const u8 vectors[] = {0x61, 0x40};
			u8 vector = vectors[k];

			assert_int_equal(lapic_pending(vcpu), vector);
			lapic_ack(vcpu, vector);
			wr(vcpu, LAPIC_EOI, 0);
			if (delivers)
				assert_int_equal(fake[1]->isr, -1);
		}
		assert_int_equal(end_count, 1);
		assert_int_equal(ends[0x61], 1);
		/* "the TMR bit is [...] cleared for edge-triggered interrupts and set for level" */
		send(vcpu, 0x61, false);
		assert_false(bit(vcpu, LAPIC_TMR, 0x61));
		lapic_ack(vcpu, 0x61);
		lapic_eoi(vcpu);
		assert_int_equal(end_count, 1);
		/* the CPU has ended it by itself */
		send(vcpu, 0x93, true);
		lapic_ended(vcpu, &(struct vcpu_exit){.apic.vector = 0x93});
		assert_int_equal(ends[0x93], 1);
		assert_int_equal(vm->device_lock.next, vm->device_lock.owner);
	}
	vm->eoi_sink.eoi = NULL;
	lapic_ended(vcpu, &(struct vcpu_exit){.apic.vector = 0x93});
}

/* Without the CPU's delivery: an exit once TPR lets the next vector through. */
static void threshold_of_tpr(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	for (unsigned tpr = 0; tpr < 16; tpr++)
		for (unsigned vector = 0x10; vector < 256; vector += 9) {
			lapic_set_cr8(vcpu->virt, tpr);
			lapic_prepare(vcpu);
			assert_int_equal(fake[1]->threshold, 0);
			send(vcpu, vector, false);
			lapic_prepare(vcpu);
			assert_int_equal(fake[1]->threshold, vector >> 4 <= tpr ? vector >> 4 : 0);
			assert_int_equal(got(vector), 2);
		}
	/* one in service alone needs none: its end exits */
	lapic_set_cr8(vcpu->virt, 0);
	send(vcpu, 0x55, false);
	assert_int_equal(lapic_pending(vcpu), 0x55);
	lapic_ack(vcpu, 0x55);
	send(vcpu, 0x52, false);
	lapic_prepare(vcpu);
	assert_int_equal(fake[1]->threshold, 0);
}

static void cpu_that_delivers_is_told(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	fake[1]->delivers = true;
	lapic_reset(vcpu, true);
	wr(vcpu, LAPIC_SVR, 0x1ff);
	lapic_prepare(vcpu);
	assert_int_equal(fake[1]->irr, -1);
	send(vcpu, 0x41, false);
	/* the page is the CPU's while its guest may run: nothing of it but TMR has changed yet */
	assert_int_equal(vcpu->virt->apic[(LAPIC_IRR + 0x20) / 4], 0);
	lapic_prepare(vcpu);
	assert_int_equal(vcpu->virt->apic[(LAPIC_IRR + 0x20) / 4], 2);
	assert_int_equal(fake[1]->irr, 0x41);
	/* what it knows it keeps up by itself: no second push */
	fake[1]->irr = -7;
	lapic_prepare(vcpu);
	assert_int_equal(fake[1]->irr, -7);
	send(vcpu, 0x39, true);
	lapic_prepare(vcpu);
	assert_int_equal(fake[1]->irr, 0x41);
	assert_int_equal(fake[1]->eoi_exits[1], BIT(0x39 % 32));
	assert_int_equal(fake[1]->eoi_exits[2], 0);
	send(vcpu, 0x39, false);
	lapic_prepare(vcpu);
	assert_int_equal(fake[1]->eoi_exits[1], 0);
	/* a look at what is pending loses no push */
	send(vcpu, 0x77, false);
	assert_int_equal(lapic_pending(vcpu), 0x77);
	lapic_prepare(vcpu);
	assert_int_equal(fake[1]->irr, 0x77);
	/* it has taken two, and the mode changes: it is told anew */
	vcpu->virt->apic[(LAPIC_IRR + 0x30) / 4] &= ~BIT(0x17);
	vcpu->virt->apic[(LAPIC_ISR + 0x30) / 4] |= BIT(0x17);
	assert_int_equal(rd(vcpu, LAPIC_PPR), 0x70);
	fake[1]->irr = fake[1]->isr = -7;
	x2apic(vcpu);
	lapic_prepare(vcpu);
	assert_int_equal(fake[1]->isr, 0x77);
	assert_int_equal(fake[1]->irr, 0x41);
	/* an end that Trivet serves */
	assert_true(lapic_write_msr(vcpu, 0x80b, 0));
	assert_int_equal(fake[1]->isr, -1);
	/* and from then on by hand */
	vcpu->virt->apic[(LAPIC_ISR + 0x10) / 4] |= BIT(0x19);
	fake[1]->delivers = false;
	lapic_reset(vcpu, true);
	assert_false(vcpu->virt->apic_delivers);
	assert_int_equal(lapic_pending(vcpu), -1);
}

/* ---- destinations */

static void destinations(void **state)
{
	static const u8 ldr[] = {0x11, 0x22, 0x81, 0x00};

	(void)state;
	for (unsigned cluster = 0; cluster < 2; cluster++)
		for (unsigned dest = 0; dest < 256; dest++) {
			unsigned physical = dest == 255 ? 15 : dest < CPUS ? 1u << dest : 0, logical = 0;

			for (unsigned i = 0; i < CPUS; i++) {
				bool match = dest & ldr[i];

				wr(cpu[i], LAPIC_LDR, (u32)ldr[i] << 24);
				wr(cpu[i], LAPIC_DFR, cluster ? 0x0fffffff : ~0u);
				if (cluster)
					match = dest == 255 || (dest >> 4 == ldr[i] >> 4 &&
								(dest & ldr[i] & 15));
				logical |= match << i;
			}
			ipi(cpu[2], dest, 0x40);
			assert_int_equal(got(0x40), physical);
			ipi(cpu[2], dest, LOGICAL | 0x40);
			assert_int_equal(got(0x40), logical);
			assert_int_equal(vm_deliver(vm, &(struct apic_msg){.dest = dest, .logical = true,
									    .vector = 0x41}),
					 logical != 0);
			assert_int_equal(got(0x41), logical);
		}
}

static void destinations_in_x2apic_mode(void **state)
{
	static const struct {
		u32 dest;
		bool logical;
		unsigned who;
	} rows[] = {
		{0, false, 1}, {3, false, 8}, {4, false, 0}, {0xff, false, 0}, {0x10000, false, 0},
		{~0u, false, 15}, {~0u, true, 15}, {0x0001, true, 1}, {0x000f, true, 15},
		{0xffff, true, 15}, {0x0006, true, 6}, {0x10001, true, 0}, {0x0010, true, 0},
		{0xffff0001, true, 0},
	};

	(void)state;
	for (unsigned i = 0; i < CPUS; i++)
		x2apic(cpu[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		ipi(cpu[1], rows[i].dest, (rows[i].logical ? LOGICAL : 0) | 0x40);
		assert_int_equal(got(0x40), rows[i].who);
	}
	/* a neighbour in xAPIC mode knows no wide logical destinations */
	vcpu_reset(cpu[0]);
	wr(cpu[0], LAPIC_SVR, 0x1ff);
	wr(cpu[0], LAPIC_LDR, 0xff000000);
	ipi(cpu[1], 0x101, LOGICAL | 0x40);
	assert_int_equal(got(0x40), 0);
	ipi(cpu[1], ~0u, 0x40);
	assert_int_equal(got(0x40), 15);
	ipi(cpu[0], 255, 0x40); /* FFh, to all; and by MSR only to an APIC of that id */
	assert_int_equal(got(0x40), 15);
}

/* "Valid Combinations for the Pentium 4 and Intel Xeon Processors' Local xAPIC ICR" */
static void modes_and_shorthands(void **state)
{
	static const u32 event[] = {[APIC_NMI] = LAPIC_EVENT_NMI, [APIC_INIT] = LAPIC_EVENT_INIT,
				    [APIC_STARTUP] = LAPIC_EVENT_STARTUP,
				    [APIC_EXTINT] = LAPIC_EVENT_EXTINT};

	(void)state;
	for (unsigned mode = 0; mode < 8; mode++)
		for (unsigned shorthand = 0; shorthand < 4; shorthand++) {
			static const u8 targets[] = {1 << 2, 1 << 1, 15, 15 & ~(1 << 1)};
			unsigned who = targets[shorthand];
			bool vectors = mode == APIC_FIXED || mode == APIC_LOWEST;

			if (mode == APIC_SMI || mode == APIC_RESERVED || mode == APIC_EXTINT)
				who = 0;
			if (mode != APIC_FIXED && (shorthand == 1 || shorthand == 2))
				who = 0;
			ipi(cpu[1], 2, shorthand << 18 | mode << 8 | 0x4000 | 0x99);
			if (mode == APIC_LOWEST && shorthand == 3)
				/* "the IPI can be redirected back to the issuing APIC": one of all */
				assert_int_equal(__builtin_popcount(got(0x99)), 1);
			else
				assert_int_equal(got(0x99), vectors ? who : 0);
			for (unsigned k = APIC_NMI; k <= APIC_EXTINT; k++)
				assert_int_equal(has_event(event[k]), k == mode ? who : 0);
			assert_int_equal(esr(cpu[1]), 0);
		}
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(cpu[i]->lapic.startup, i == 1 ? 0 : 0x99);
	/* an APIC that is not there, one that was taken away, and "INIT Level De-assert" */
	ipi(cpu[0], 9, 0x44);
	vcpu_park(cpu[3]);
	ipi(cpu[0], 3, 0x44);
	ipi(cpu[0], 0, ALL | 0x44);
	assert_int_equal(got(0x44), 7);
	ipi(cpu[0], 0, ALL | 0x8500);
	ipi(cpu[0], 1, 0x8500);
	assert_int_equal(has_event(LAPIC_EVENT_INIT), 0);
	ipi(cpu[0], 1, 0x500); /* that is an edge: INIT */
	assert_int_equal(has_event(LAPIC_EVENT_INIT), 2);
	/* no illegal vector goes out; NMI and INIT have none */
	for (unsigned vector = 0; vector < 16; vector++) {
		ipi(cpu[0], 1, vector);
		assert_int_equal(esr(cpu[0]), 0x20);
		assert_int_equal(esr(cpu[1]), 0);
		ipi(cpu[0], 1, 0x400 | vector);
		assert_int_equal(esr(cpu[0]), 0);
		assert_int_equal(has_event(LAPIC_EVENT_NMI), 2);
	}
}

static void lowest_priority(void **state)
{
	struct apic_msg msg = {.dest = 0xf, .logical = true, .mode = APIC_LOWEST, .vector = 0x80};
	unsigned turns[CPUS] = {0};

	(void)state;
	for (unsigned i = 0; i < CPUS; i++) {
		wr(cpu[i], LAPIC_LDR, 1 << (24 + i));
		wr(cpu[i], LAPIC_TPR, 0x10 * (5 - i));
	}
	assert_true(vm_deliver(vm, &msg));
	assert_int_equal(got(0x80), 8);
	msg.dest = 7;
	assert_true(vm_deliver(vm, &msg));
	assert_int_equal(got(0x80), 4);
	wr(cpu[2], LAPIC_SVR, 0xff); /* it takes none */
	assert_true(vm_deliver(vm, &msg));
	assert_int_equal(got(0x80), 2);
	msg.dest = 4;
	assert_false(vm_deliver(vm, &msg));
	wr(cpu[2], LAPIC_SVR, 0x1ff);
	/* among equals it goes round */
	msg.dest = 0xf;
	for (unsigned i = 0; i < CPUS; i++)
		wr(cpu[i], LAPIC_TPR, 0);
	for (unsigned n = 0; n < 8 * CPUS; n++) {
		unsigned who;

		assert_true(vm_deliver(vm, &msg));
		who = got(0x80);
		assert_int_equal(__builtin_popcount(who), 1);
		turns[__builtin_ctz(who)]++;
	}
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(turns[i], 8);
	vcpu_park(cpu[0]);
	msg.dest = 1;
	assert_false(vm_deliver(vm, &msg));
}

/* "Message Address Register Format", "Message Data Register Format" */
static void messages(void **state)
{
	static const struct {
		u64 address;
		u32 data;
		int error;
		unsigned who; /* vector 50h */
	} rows[] = {
		{0xfee02000, 0x50, 0, 4},
		{0xfee02ff0, 0x50, 0, 4},
		{0xfee02000, 0xffff3050, 0, 4}, /* reserved bits of the data */
		{0xfeeff000, 0x50, 0, 15},
		{0xfee06004, 0x50, 0, 6},       /* logical */
		{0xfee06000, 0x50, 0, 0},       /* physical: nobody */
		{0xfee02008, 0x50, 0, 4},       /* redirection hint, physical: no redirection */
		{0xfee04004, 0x150, 0, 4},      /* lowest priority */
		{0xfee02000, 0xc050, 0, 4},     /* level, assert */
		{0xfee02000, 0x8050, 0, 0},     /* level, deassert */
		{0xfed02000, 0x50, -EINVAL, 0},
		{0xfef02000, 0x50, -EINVAL, 0},
		{0x1fee02000, 0x50, -EINVAL, 0},
		{0x2000, 0x50, -EINVAL, 0},
	};

	(void)state;
	for (unsigned i = 0; i < CPUS; i++)
		wr(cpu[i], LAPIC_LDR, 1 << (24 + i));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(vm_signal_msi(vm, rows[i].address, rows[i].data), rows[i].error);
		assert_int_equal(bit(cpu[2], LAPIC_TMR, 0x50), rows[i].data == 0xc050);
		assert_int_equal(got(0x50), rows[i].who);
		send(cpu[2], 0x50, false);
		got(0x50);
	}
	assert_int_equal(vm_signal_msi(vm, 0xfee0600c, 0x50), 0); /* one of those */
	assert_int_equal(__builtin_popcount(got(0x50) & 6), 1);
	assert_int_equal(vm_signal_msi(vm, 0xfee01000, 0x450), 0);
	assert_int_equal(has_event(LAPIC_EVENT_NMI), 2);
	assert_int_equal(vm_signal_msi(vm, 0xfee01000, 0x700), 0);
	assert_int_equal(has_event(LAPIC_EVENT_EXTINT), 2);
	assert_int_equal(vm_signal_msi(vm, 0xfee01000, 5), 0);
	assert_int_equal(esr(cpu[1]), 0x40);
}

static void lint0(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	/* masked; ExtINT; fixed; NMI, of which a halted vCPU hears */
	cpu[1]->news = false;
	vm_extint_changed(vm, true);
	assert_false(vcpu->news);
	wr(vcpu, LAPIC_LVT_LINT0, 0x700);
	vm_extint_changed(vm, true);
	assert_true(vcpu->news);
	assert_int_equal(lapic_pending(vcpu), -1);
	wr(vcpu, LAPIC_LVT_LINT0, 0x66);
	vm_extint_changed(vm, false);
	assert_int_equal(got(0x66), 0);
	vm_extint_changed(vm, true);
	assert_int_equal(got(0x66), 2);
	assert_false(vm->nmi_expected);
	wr(vcpu, LAPIC_LVT_LINT0, 0x10466);
	assert_false(vm->nmi_expected);
	wr(vcpu, LAPIC_LVT_LINT0, 0x466);
	assert_true(vm->nmi_expected);
	vm_extint_changed(vm, true);
	assert_int_equal(has_event(LAPIC_EVENT_NMI), 2);
	wr(vcpu, LAPIC_LVT_LINT0, 0x566); /* INIT: not made */
	vm_extint_changed(vm, true);
	assert_int_equal(has_event(~0u), 0);
}

/* ---- vCPUs that wait and run */

static void stop_vm(struct fake_vcpu *v)
{
	(void)v;
	vm_request_reset(vm, "a test");
}

static const struct fake_run end[] = {{.guest = stop_vm, .exit = {.reason = EXIT_HOST}}};
static const struct fake_run halt[] = {{.exit = {.reason = EXIT_HLT, .insn_len = 1}}};

static enum vcpu_stop play(unsigned i, const struct fake_run *script, unsigned count)
{
	enum vcpu_stop stop;

	fake[i]->script = script;
	fake[i]->script_left = count;
	vm->requests = 0;
	stop = vcpu_run(cpu[i], ~0ull);
	assert_int_equal(fake[i]->script_left, 0);
	return stop;
}

static void interrupts(unsigned i, bool on)
{
	fake[i]->reg[VREG_RFLAGS] = RFLAGS_ONE | (on ? RFLAGS_IF : 0);
}

/* "MP Initialization Protocol": INIT, then STARTUP with vector VV at VV00:0000. */
static void init_and_startup(void **state)
{
	(void)state;
	interrupts(0, true);
	assert_false(cpu[0]->waits_startup);
	assert_true(cpu[1]->waits_startup);
	assert_int_equal(play(1, NULL, 0), VCPU_WAIT);
	/* nothing else ends that wait; an NMI stays pending */
	send(cpu[1], 0x80, false);
	ipi(cpu[0], 1, 0x4400);
	lapic_kick(cpu[1]);
	assert_int_equal(play(1, NULL, 0), VCPU_WAIT);
	ipi(cpu[0], 1, 0x4600 | 0x9a);
	assert_int_equal(play(1, end, 1), VCPU_REQUEST);
	assert_false(cpu[1]->waits_startup);
	assert_int_equal(fake[1]->seg[SREG_CS].selector, 0x9a00);
	assert_int_equal(fake[1]->seg[SREG_CS].base, 0x9a000);
	assert_int_equal(fake[1]->reg[VREG_RIP], 0);
	assert_int_equal(fake[1]->event[0].type, EVENT_NMI);
	/* it runs: a second one is void */
	ipi(cpu[0], 1, 0x4600 | 0x55);
	assert_int_equal(play(1, end, 1), VCPU_REQUEST);
	assert_int_equal(fake[1]->seg[SREG_CS].base, 0x9a000);
	/* what came before INIT is gone with it, what comes after counts */
	send(cpu[1], 0x80, false);
	ipi(cpu[0], 1, 0x4600 | 0x11);
	ipi(cpu[0], 1, 0x4400);
	fake[1]->events = 0;
	ipi(cpu[0], 1, 0x4500);
	assert_int_equal(play(1, NULL, 0), VCPU_WAIT);
	assert_true(cpu[1]->waits_startup);
	assert_int_equal(fake[1]->inits, 1);
	assert_int_equal(cpu[1]->nmi_pending, 0);
	assert_int_equal(lapic_pending(cpu[1]), -1);
	ipi(cpu[0], 1, 0x4500);
	ipi(cpu[0], 1, 0x4600 | 0x12);
	assert_int_equal(play(1, end, 1), VCPU_REQUEST);
	assert_int_equal(fake[1]->inits, 2);
	assert_int_equal(fake[1]->seg[SREG_CS].base, 0x12000);
	assert_int_equal(fake[1]->events, 0);
	/* the boot CPU begins at the reset vector, without STARTUP */
	ipi(cpu[1], 0, 0x4500);
	assert_int_equal(play(0, end, 1), VCPU_REQUEST);
	assert_int_equal(fake[0]->inits, 1);
	assert_int_equal(fake[0]->reg[VREG_RIP], 0xfff0);
	assert_int_equal(rd(cpu[0], LAPIC_SVR), 0xff);
}

static void halted_wakes(void **state)
{
	(void)state;
	wr(cpu[0], LAPIC_LVT_LINT0, 0x700);
	for (unsigned how = 0; how < 6; how++) {
		/* vector with IF, NMI, kick, ExtINT by message, by the pin; vector without IF */
		static const bool wakes[] = {true, true, true, true, true, false};

		interrupts(0, true);
		fake[0]->events = 0;
		assert_int_equal(play(0, halt, 1), VCPU_WAIT);
		assert_int_equal(play(0, NULL, 0), VCPU_WAIT);
		assert_true(cpu[0]->halted);
		interrupts(0, how != 5);
		vm->nmi_expected = true; /* not the end of the VM */
		switch (how) {
		case 1: ipi(cpu[1], 0, 0x4400); break;
		case 2: lapic_kick(cpu[0]); break;
		case 3: vm_signal_msi(vm, 0xfee00000, 0x700); break;
		case 4: vm_extint_changed(vm, true); break;
		default: send(cpu[0], 0x70, false);
		}
		assert_true(cpu[0]->news);
		assert_int_equal(play(0, wakes[how] ? end : NULL, wakes[how]), wakes[how] ? VCPU_REQUEST : VCPU_WAIT);
		assert_int_equal(cpu[0]->halted, !wakes[how]);
		assert_int_equal(fake[0]->events, how == 2 || how == 5 ? 0 : 1);
		if (fake[0]->events)
			assert_int_equal(fake[0]->event[0].vector,
					 how == 0 ? 0x70 : how == 1 ? 2 : 0x20);
		lapic_eoi(cpu[0]);
	}
	/* a kick that comes before the halt ends the next one, and only that */
	cpu[0]->halted = false;
	got(0x70);
	interrupts(0, true);
	lapic_kick(cpu[0]);
	{
		static const struct fake_run two[] = {
			{.exit = {.reason = EXIT_HLT, .insn_len = 1}},
			{.exit = {.reason = EXIT_HLT, .insn_len = 1}}};

		assert_int_equal(play(0, two, 2), VCPU_WAIT);
	}
}

static void only_all_of_them_are_dead(void **state)
{
	(void)state;
	for (unsigned i = 1; i < CPUS; i++)
		assert_int_equal(play(i, NULL, 0), VCPU_WAIT);
	cpu[1]->waits_startup = false;
	interrupts(1, true);
	interrupts(0, false);
	assert_int_equal(play(1, halt, 1), VCPU_WAIT); /* a vector may wake it */
	assert_int_equal(play(0, halt, 1), VCPU_WAIT);
	assert_false(vm->requests);
	/* one that was sent something is not dead */
	interrupts(1, false);
	ipi(cpu[1], 3, 0x4600);
	assert_int_equal(play(1, NULL, 0), VCPU_WAIT);
	assert_false(vm->requests);
	cpu[3]->lapic.events = 0;
	cpu[0]->dead = false;
	assert_int_equal(play(1, NULL, 0), VCPU_WAIT);
	assert_false(vm->requests);
	vm->nmi_expected = true;
	assert_int_equal(play(0, NULL, 0), VCPU_WAIT);
	assert_false(vm->requests);
	vm->nmi_expected = false;
	vcpu_park(cpu[2]);
	cpu[2]->dead = false; /* it takes no part */
	assert_int_equal(play(0, NULL, 0), VCPU_REQUEST);
	assert_string_equal(vm->end_reason, "halted");
}

/* After a reset or a restore nobody is dead before it has looked for itself. */
static void the_dead_rise_with_their_vm(void **state)
{
	(void)state;
	interrupts(0, false);
	assert_int_equal(play(0, halt, 1), VCPU_WAIT);
	for (unsigned i = 0; i < CPUS; i++)
		vcpu_put(cpu[i]);
	vm_stop(vm);
	for (unsigned i = 0; i < CPUS; i++) {
		vcpu_load(cpu[i]);
		vcpu_reset(cpu[i]);
	}
	for (unsigned i = 1; i < CPUS; i++)
		assert_int_equal(play(i, NULL, 0), VCPU_WAIT);
	assert_false(vm->requests);
	assert_int_equal(play(0, halt, 1), VCPU_REQUEST);
}

static void poke(struct fake_vcpu *v)
{
	static const u8 vectors[] = {0x40, 0x41};
	static unsigned n;

	(void)v;
	assert_int_equal(cpu[0]->where, VCPU_GUEST);
	fake_host.kicks = 0;
	fake_host_play(0); /* its own pCPU, by a handler of its own: no kick */
	send(cpu[0], 0x3f, false);
	assert_int_equal(fake_host.kicks, 0);
	fake_host_play(1);
	send(cpu[0], vectors[n++ % 2], false);
	fake_host_play(0);
	assert_int_equal(fake_host.kicks, 1);
	assert_true(fake_host.kicked == BIT(0));
	fake_host.kicked = 0;
}

static void kicked_only_in_its_guest(void **state)
{
	static const struct fake_run script[] = {{.guest = poke, .exit = {.reason = EXIT_HOST}},
						 {.guest = poke, .exit = {.reason = EXIT_HOST}},
						 {.guest = stop_vm, .exit = {.reason = EXIT_HOST}}};

	(void)state;
	assert_int_equal(play(0, script, 3), VCPU_REQUEST);
	assert_false(cpu[0]->news);
	assert_int_equal(cpu[0]->where, VCPU_OUT);
	fake_host_play(1);
	fake_host.kicks = 0;
	cpu[0]->where = VCPU_ROOT;
	send(cpu[0], 0x60, false);
	assert_true(cpu[0]->news);
	assert_int_equal(fake_host.kicks, 0);
	cpu[0]->where = VCPU_OUT;
	cpu[0]->task.ready = false;
	send(cpu[0], 0x61, false);
	assert_true(cpu[0]->task.ready);
	/* asked for already: who came first has told it */
	cpu[0]->news = false;
	send(cpu[0], 0x61, false);
	assert_false(cpu[0]->news);
	fake_host_play(0);
}

/* ---- EOI without an exit */

#define WORD_AT 0x5000

static u8 *word(void)
{
	return fake_host_at(&vm->space, WINDOW_BASE + WORD_AT, true);
}

static void take(struct vcpu *vcpu, u8 vector, bool level)
{
	send(vcpu, vector, level);
	assert_int_equal(lapic_pending(vcpu), vector);
	lapic_ack(vcpu, vector);
	lapic_prepare(vcpu);
}

static void offers_of_eoi(void **state)
{
	struct vcpu *vcpu = cpu[1];

	(void)state;
	take(vcpu, 0x40, false); /* not asked for */
	assert_int_equal(*word(), 0);
	lapic_eoi(vcpu);
	vcpu->msrs.pv_eoi = WORD_AT | 1;
	take(vcpu, 0x40, false);
	assert_int_equal(*word(), 1);
	assert_false(pv_eoi_done(vcpu));
	*word() = 0;
	assert_true(pv_eoi_done(vcpu));
	lapic_eoi(vcpu);
	assert_false(bit(vcpu, LAPIC_ISR, 0x40));
	/* another one waits for its end */
	take(vcpu, 0x45, false);
	send(vcpu, 0x41, false);
	lapic_prepare(vcpu);
	assert_int_equal(*word(), 0);
	lapic_eoi(vcpu);
	assert_int_equal(got(0x41), 2);
	/* a level: the I/O APIC waits; also above one that was offered */
	take(vcpu, 0x45, true);
	assert_int_equal(*word(), 0);
	lapic_eoi(vcpu);
	take(vcpu, 0x40, false);
	assert_int_equal(*word(), 1);
	take(vcpu, 0x55, true);
	assert_int_equal(*word(), 0);
	lapic_eoi(vcpu);
	lapic_eoi(vcpu);
	/* nested: for the higher one, and no more */
	take(vcpu, 0x40, false);
	take(vcpu, 0x55, false);
	assert_int_equal(*word(), 1);
	*word() = 0;
	assert_true(pv_eoi_done(vcpu));
	lapic_eoi(vcpu);
	assert_true(bit(vcpu, LAPIC_ISR, 0x40));
	assert_false(bit(vcpu, LAPIC_ISR, 0x55));
	assert_false(pv_eoi_done(vcpu));
}

/* ---- the storm */

/* What the manual says of one APIC, as plainly as it can be said. */
static struct model {
	bool irr[256], isr[256], tmr[256];
	u8 tpr;
	u64 taken, ended;
} model[CPUS];
static u64 seed, broadcasts;

static u32 draw(u32 below)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (u32)((seed * 0x2545f4914f6cdd1d) >> 33) % below;
}

static int top(const bool *set)
{
	for (int i = 255; i >= 0; i--)
		if (set[i])
			return i;
	return -1;
}

static u8 model_ppr(const struct model *m)
{
	int isr = top(m->isr);

	return isr < 0 || m->tpr >> 4 >= isr >> 4 ? m->tpr : isr & 0xf0;
}

static int model_next(const struct model *m)
{
	int irr = top(m->irr);

	return irr >= 0 && irr >> 4 > model_ppr(m) >> 4 ? irr : -1;
}

static void model_send(unsigned who, u8 vector, bool level)
{
	for (unsigned i = 0; i < CPUS; i++)
		if ((who >> i & 1) && vector >= 16) {
			model[i].irr[vector] = true;
			model[i].tmr[vector] = level;
		}
}

static void storm_send(unsigned i)
{
	unsigned dest = draw(CPUS), kind = draw(6), who = 1u << dest;
	u8 vector = draw(256);
	bool level = kind < 2 && draw(2);
	u64 address = 0xfee00000 | dest << 12;

	if (kind >= 2 && vector < 16)
		return; /* ends at its sender: tested above */
	switch (kind) {
	case 0:
		vm_signal_msi(vm, address, vector | (level ? 0xc000 : 0));
		break;
	case 1:
		who = draw(16);
		vm_deliver(vm, &(struct apic_msg){.dest = who, .logical = true, .vector = vector,
						  .level = level});
		break;
	case 2:
		ipi(cpu[i], dest, vector);
		break;
	case 3:
		who = 15 & ~(1u << i);
		ipi(cpu[i], 0, OTHERS | vector);
		break;
	case 4:
		who = 15;
		ipi(cpu[i], 0, ALL | vector);
		break;
	default:
		who = 1u << i;
		ipi(cpu[i], 0, SELF | vector);
	}
	model_send(who, vector, level);
}

/* As the CPU does it with virtual-interrupt delivery. */
static void page_bit(struct vcpu *vcpu, unsigned bitmap, u8 vector, bool on)
{
	u32 *at = &vcpu->virt->apic[(bitmap + vector / 32 * 16) / 4];

	*at = (*at & ~BIT(vector % 32)) | (on ? BIT(vector % 32) : 0);
}

static void storm_take(unsigned i)
{
	struct model *m = &model[i];
	int next = model_next(m);

	lapic_prepare(cpu[i]);
	assert_int_equal(lapic_pending(cpu[i]), next);
	if (fake[i]->base.apic_delivers && next >= 0)
		assert_int_equal(fake[i]->irr, top(m->irr));
	if (next < 0)
		return;
	if (fake[i]->base.apic_delivers) {
		page_bit(cpu[i], LAPIC_IRR, next, false);
		page_bit(cpu[i], LAPIC_ISR, next, true);
	} else {
		lapic_ack(cpu[i], next);
	}
	m->irr[next] = false;
	m->isr[next] = true;
	if (fake[i]->base.apic_delivers)
		fake[i]->irr = top(m->irr);
	m->taken++;
}

static void storm_end(unsigned i)
{
	struct model *m = &model[i];
	int isr = top(m->isr);

	if (isr >= 0) {
		m->isr[isr] = false;
		m->ended++;
		broadcasts += m->tmr[isr];
	}
	if (isr >= 0 && fake[i]->base.apic_delivers && draw(2)) {
		lapic_prepare(cpu[i]);
		page_bit(cpu[i], LAPIC_ISR, isr, false);
		assert_int_equal(fake[i]->eoi_exits[isr / 32] >> isr % 32 & 1, m->tmr[isr]);
		if (m->tmr[isr])
			lapic_ended(cpu[i], &(struct vcpu_exit){.apic.vector = isr});
	} else {
		wr(cpu[i], LAPIC_EOI, 0);
		if (isr >= 0 && fake[i]->base.apic_delivers)
			assert_int_equal(fake[i]->isr, top(m->isr));
	}
	assert_int_equal(end_count, broadcasts);
}

static void storm_check(unsigned i)
{
	const struct model *m = &model[i];

	assert_int_equal(rd(cpu[i], LAPIC_PPR), model_ppr(m));
	for (unsigned v = 0; v < 256; v++) {
		assert_int_equal(bit(cpu[i], LAPIC_IRR, v), m->irr[v]);
		assert_int_equal(bit(cpu[i], LAPIC_ISR, v), m->isr[v]);
		assert_int_equal(bit(cpu[i], LAPIC_TMR, v), m->tmr[v]);
		assert_false(v < 16 && (m->irr[v] || m->isr[v] || m->tmr[v]));
	}
}

static void storm_save(unsigned i)
{
	struct lapic_state s;
	const char *why = NULL;

	vcpu_get_lapic(cpu[i], &s);
	lapic_reset(cpu[i], false);
	assert_int_equal(vcpu_set_lapic(cpu[i], &s, &why), 0);
}

static void storm(void **state)
{
	(void)state;
	seed = SEED;
	broadcasts = 0;
	memset(model, 0, sizeof(model));
	printf("storm from seed %lxh\n", seed);
	for (unsigned i = 0; i < CPUS; i++) {
		fake[i]->delivers = i >= 2;
		lapic_reset(cpu[i], false);
		wr(cpu[i], LAPIC_SVR, 0x1ff);
		wr(cpu[i], LAPIC_LDR, 1 << (24 + i));
	}
	for (unsigned n = 0; n < 1000000; n++) {
		unsigned i = draw(CPUS), what = draw(100);

		if (what < 40) {
			storm_send(i);
		} else if (what < 65) {
			storm_take(i);
		} else if (what < 92) {
			storm_end(i);
		} else if (what < 98) {
			model[i].tpr = draw(3) ? 0 : draw(256);
			wr(cpu[i], LAPIC_TPR, model[i].tpr);
		} else if (what == 98) {
			if (draw(16) == 0)
				storm_check(i);
		} else if (draw(16) == 0) {
			storm_save(i);
		}
	}
	for (unsigned i = 0; i < CPUS; i++) {
		model[i].tpr = 0;
		wr(cpu[i], LAPIC_TPR, 0);
		for (unsigned n = 0; n < 512; n++) {
			storm_take(i);
			storm_end(i);
		}
		storm_check(i);
		assert_int_equal(top(model[i].irr), -1);
		assert_true(model[i].taken == model[i].ended && model[i].taken > 10000);
	}
	assert_true(broadcasts > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(priorities),
		TEST(nesting_and_ends),
		TEST(ends_of_levels_are_told),
		TEST(threshold_of_tpr),
		TEST(cpu_that_delivers_is_told),
		TEST(destinations),
		TEST(destinations_in_x2apic_mode),
		TEST(modes_and_shorthands),
		TEST(lowest_priority),
		TEST(messages),
		TEST(lint0),
		TEST(init_and_startup),
		TEST(halted_wakes),
		TEST(only_all_of_them_are_dead),
		TEST(the_dead_rise_with_their_vm),
		TEST(kicked_only_in_its_guest),
		TEST(offers_of_eoi),
		TEST(storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
