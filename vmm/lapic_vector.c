/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vectors in a local APIC: how they come into IRR, which is next, how it goes into
 * service and ends. Source: Intel SDM volume 3, "Handling Interrupts", "Interrupt,
 * Task, and Processor Priority", "Interrupt Acceptance for Fixed Interrupts".
 */
#include "vmm/lapic_vector.h"

#include "vmm/pv.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define LVT_MODE     BITS(10, 8)
#define DFR_CLUSTER  0x0fffffff

/* Whether it was set before. Any pCPU. */
static bool set_shared(u32 *word, u8 vector)
{
	u32 bit = BIT(vector % 32);

	return __atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit;
}

static bool clear_shared(u32 *word, u8 vector)
{
	u32 bit = BIT(vector % 32);

	return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* ---- from outside */

bool lapic_matches(const struct vcpu *vcpu, u32 dest, bool logical)
{
	u32 ldr = vcpu->virt->apic[LAPIC_LDR / 4], dfr = vcpu->virt->apic[LAPIC_DFR / 4];

	if (dest == APIC_BROADCAST)
		return true;
	if (!logical)
		return dest == vcpu->id;
	if (lapic_x2apic(vcpu))
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	if (dest > 0xff)
		return false;
	ldr >>= 24;
	if (dfr != DFR_CLUSTER)
		return dest & ldr;
	return dest == 0xff || (dest >> 4 == ldr >> 4 && (dest & ldr & 15));
}

static bool request(struct vcpu *vcpu, u8 vector, bool level)
{
	struct lapic *lapic = &vcpu->lapic;
	u32 *tmr = lapic_word(vcpu, LAPIC_TMR, vector);

	if (vector < LAPIC_VECTOR_MIN) {
		lapic_error(vcpu, ESR_RECEIVE_ILLEGAL);
		return true;
	}
	if (level ? !set_shared(tmr, vector)
		  : lapic_test(vcpu, LAPIC_TMR, vector) && clear_shared(tmr, vector))
		__atomic_store_n(&lapic->tmr_changed, true, __ATOMIC_RELEASE);
	if (!set_shared(&lapic->posted[vector / 32], vector)) {
		__atomic_or_fetch(&lapic->posted_words, BIT(vector / 32), __ATOMIC_SEQ_CST);
		vcpu_wake(vcpu);
	}
	return true;
}

static void send_event(struct vcpu *vcpu, u32 event)
{
	__atomic_or_fetch(&vcpu->lapic.events, event, __ATOMIC_SEQ_CST);
	vcpu_wake(vcpu);
}

bool lapic_accept(struct vcpu *vcpu, const struct apic_msg *msg)
{
	struct lapic *lapic = &vcpu->lapic;

	if (!lapic_enabled(vcpu))
		return false;
	switch (msg->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return lapic_listens(vcpu) && request(vcpu, msg->vector, msg->level);
	case APIC_NMI:
		send_event(vcpu, LAPIC_EVENT_NMI);
		return true;
	case APIC_INIT:
		/* What came before it is void. */
		__atomic_store_n(&lapic->events, 0, __ATOMIC_SEQ_CST);
		send_event(vcpu, LAPIC_EVENT_INIT);
		return true;
	case APIC_STARTUP:
		__atomic_store_n(&lapic->startup, msg->vector, __ATOMIC_RELEASE);
		send_event(vcpu, LAPIC_EVENT_STARTUP);
		return true;
	case APIC_EXTINT:
		/* "Local APIC State After It Has Been Software Disabled": not among what it takes. */
		if (!lapic_listens(vcpu))
			return false;
		send_event(vcpu, LAPIC_EVENT_EXTINT);
		return true;
	default:
		return false;
	}
}

void lapic_kick(struct vcpu *vcpu)
{
	send_event(vcpu, LAPIC_EVENT_KICK);
}

void lapic_error(struct vcpu *vcpu, u32 error)
{
	u32 lvt = vcpu->virt->apic[LAPIC_LVT_ERROR / 4];

	/* A write of ESR "rearms the APIC error interrupt triggering mechanism". */
	if (__atomic_fetch_or(&vcpu->lapic.errors, error, __ATOMIC_RELAXED) & error)
		return;
	/* An illegal vector there is an error of its own, which is told by no vector. */
	if (!(lvt & LVT_MASKED) && (u8)lvt < LAPIC_VECTOR_MIN)
		__atomic_or_fetch(&vcpu->lapic.errors, ESR_RECEIVE_ILLEGAL, __ATOMIC_RELAXED);
	else if (!(lvt & LVT_MASKED))
		request(vcpu, lvt, false);
}

void lapic_local(struct vcpu *vcpu, unsigned lvt)
{
	u32 value = vcpu->virt->apic[lvt / 4];
	struct apic_msg msg = {.mode = FIELD_GET(LVT_MODE, value), .vector = (u8)value};

	if (!(value & LVT_MASKED) && (msg.mode == APIC_FIXED || msg.mode == APIC_NMI))
		lapic_accept(vcpu, &msg);
}

bool lapic_takes_extint(const struct vcpu *vcpu)
{
	u32 lvt = vcpu->virt->apic[LAPIC_LVT_LINT0 / 4];

	if (!lapic_enabled(vcpu))
		return vcpu->id == 0;
	return !(lvt & LVT_MASKED) && FIELD_GET(LVT_MODE, lvt) == APIC_EXTINT;
}

void lapic_lint0(struct vcpu *vcpu, bool level)
{
	if (lapic_takes_extint(vcpu))
		vcpu_wake(vcpu);
	else if (level && lapic_enabled(vcpu))
		lapic_local(vcpu, LAPIC_LVT_LINT0);
}

/* ---- to the CPU */

void lapic_take_posted(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	u32 words = __atomic_load_n(&lapic->posted_words, __ATOMIC_ACQUIRE);

	if (!words)
		return;
	/* Who sets a bit from here on says so again; one set before is seen here. */
	words = __atomic_exchange_n(&lapic->posted_words, 0, __ATOMIC_SEQ_CST);
	lapic->irr_words |= words;
	lapic->requests = true;
	for (; words; words &= words - 1) {
		unsigned i = __builtin_ctz(words);

		*lapic_word(vcpu, LAPIC_IRR, 32 * i) |=
			__atomic_exchange_n(&lapic->posted[i], 0, __ATOMIC_SEQ_CST);
	}
}

void lapic_drop_posted(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->lapic.posted_words, 0, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < BITMAP_WORDS; i++)
		__atomic_store_n(&vcpu->lapic.posted[i], 0, __ATOMIC_RELAXED);
}

/* The highest vector asked for, or -1; without a look at words that are known to be empty, but
 * where the CPU, too, takes vectors out of IRR. */
static int highest_request(struct vcpu *vcpu)
{
	u8 *words = &vcpu->lapic.irr_words;
	int vector;

	lapic_take_posted(vcpu);
	if (vcpu->virt->apic_delivers)
		return lapic_highest(vcpu, LAPIC_IRR, ALL_WORDS);
	vector = lapic_highest(vcpu, LAPIC_IRR, *words);
	*words &= vector < 0 ? 0 : BIT(vector / 32 + 1) - 1;
	return vector;
}

int lapic_pending(struct vcpu *vcpu)
{
	int vector = highest_request(vcpu);

	return vector >= 0 && (u32)vector >> 4 > lapic_ppr(vcpu) >> 4 ? vector : -1;
}

void lapic_ack(struct vcpu *vcpu, u8 vector)
{
	*lapic_word(vcpu, LAPIC_IRR, vector) &= ~BIT(vector % 32);
	lapic_begin(vcpu, vector);
	/* An offer that stands for one below goes too, where the end of this one is awaited. */
	if (vcpu->msrs.pv_eoi)
		pv_eoi_offer(vcpu, !lapic_test(vcpu, LAPIC_TMR, vector) && highest_request(vcpu) < 0);
	else
		highest_request(vcpu); /* mostly that was the last */
}

/* The I/O APIC has to hear of the end of what came as a level. */
static void broadcast(struct vcpu *vcpu, u8 vector)
{
	struct vm *vm = vcpu->vm;

	if (!lapic_test(vcpu, LAPIC_TMR, vector) || !vm->eoi_sink.eoi)
		return;
	vm_device_lock(vm);
	vm->eoi_sink.eoi(vm->eoi_sink.dev, vector);
	vm_device_unlock(vm);
}

void lapic_eoi(struct vcpu *vcpu)
{
	u8 vector = lapic_in_service(vcpu);
	int next;

	if (!vector)
		return;
	next = lapic_end(vcpu, vector);
	if (vcpu->virt->apic_delivers)
		virt->isr_sync(vcpu->virt, next);
	broadcast(vcpu, vector);
}

bool lapic_send_early(struct vcpu *vcpu, u8 vector, u32 dest)
{
	struct vcpu *to = dest < vcpu->vm->vcpu_count ? vcpu->vm->vcpus[dest % VM_VCPUS_MAX] : NULL;

	return vector >= LAPIC_VECTOR_MIN && to && !to->parked && lapic_listens(to) &&
	       request(to, vector, false);
}

void lapic_ended(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	broadcast(vcpu, exit->apic.vector);
}

static void sync_eoi_exits(struct vcpu *vcpu)
{
	u32 vectors[BITMAP_WORDS];

	(void)__atomic_exchange_n(&vcpu->lapic.tmr_changed, false, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < BITMAP_WORDS; i++)
		vectors[i] = *lapic_word(vcpu, LAPIC_TMR, 32 * i);
	virt->eoi_exits(vcpu->virt, vectors);
}

static void prepare_delivery(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;

	lapic_take_posted(vcpu);
	/* TMR was changed before its vector was posted. */
	if (__atomic_load_n(&lapic->tmr_changed, __ATOMIC_ACQUIRE))
		sync_eoi_exits(vcpu);
	/* What the CPU has seen of IRR it keeps up by itself. */
	if (lapic->requests)
		virt->irr_push(vcpu->virt, highest_request(vcpu));
	lapic->requests = false;
}

static __attribute__((noinline)) void prepare_threshold(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	unsigned threshold = 0;
	int vector;

	vector = highest_request(vcpu);
	if (vector >= 0)
		pv_eoi_offer(vcpu, false); /* its end is what this one waits for */
	if (vector >= 0 && vector >> 4 <= (int)lapic_get_cr8(vcpu->virt))
		threshold = (unsigned)vector >> 4;
	if (threshold != lapic->threshold)
		virt->tpr_threshold(vcpu->virt, threshold);
	lapic->threshold = threshold;
}

void lapic_prepare(struct vcpu *vcpu)
{
	if (vcpu->virt->apic_delivers)
		prepare_delivery(vcpu);
	else if (vcpu->lapic.threshold || lapic_requested(&vcpu->lapic))
		prepare_threshold(vcpu);
}

void lapic_resume(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	int isr = lapic_highest(vcpu, LAPIC_ISR, ALL_WORDS);

	lapic->irr_words = ALL_WORDS;
	lapic->isr_words = 0;
	for (unsigned i = 0; i < BITMAP_WORDS; i++)
		lapic->isr_words |= *lapic_word(vcpu, LAPIC_ISR, 32 * i) ? BIT(i) : 0;
	lapic->isr_highest = isr < 0 ? 0 : isr;
	lapic->threshold = 0;
	lapic->requests = lapic->tmr_changed = true;
	if (vcpu->virt->apic_delivers)
		virt->isr_sync(vcpu->virt, isr);
	else
		virt->tpr_threshold(vcpu->virt, 0);
}
