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

#define BITMAP_WORDS 8
#define ALL_WORDS    BITS(BITMAP_WORDS - 1, 0)
#define LVT_MODE     BITS(10, 8)
#define DFR_CLUSTER  0x0fffffff

/* The word of a bitmap of 256 that a vector is in: each has 16 bytes for itself. */
static u32 *word_of(const struct vcpu *vcpu, unsigned bitmap, u8 vector)
{
	return &vcpu->virt->apic[bitmap / 4 + vector / 32 * 4];
}

static bool test(const struct vcpu *vcpu, unsigned bitmap, u8 vector)
{
	return __atomic_load_n(word_of(vcpu, bitmap, vector), __ATOMIC_RELAXED) & BIT(vector % 32);
}

/* Whether it was set before. */
static bool set(struct vcpu *vcpu, unsigned bitmap, u8 vector)
{
	u32 bit = BIT(vector % 32);

	return __atomic_fetch_or(word_of(vcpu, bitmap, vector), bit, __ATOMIC_SEQ_CST) & bit;
}

static bool clear(struct vcpu *vcpu, unsigned bitmap, u8 vector)
{
	u32 bit = BIT(vector % 32);

	return __atomic_fetch_and(word_of(vcpu, bitmap, vector), ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* The highest vector in the words of a bitmap that a mask names, or -1. */
static int highest(const struct vcpu *vcpu, unsigned bitmap, u32 words)
{
	for (; words; words &= ~BIT(31 - __builtin_clz(words))) {
		int i = 31 - __builtin_clz(words);
		u32 word = __atomic_load_n(&vcpu->virt->apic[bitmap / 4 + i * 4], __ATOMIC_RELAXED);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}

static u8 in_service(const struct vcpu *vcpu)
{
	int vector;

	if (!vcpu->virt->apic_delivers)
		return vcpu->lapic.isr_highest;
	vector = highest(vcpu, LAPIC_ISR, ALL_WORDS);
	return vector < 0 ? 0 : vector;
}

u32 lapic_ppr(const struct vcpu *vcpu)
{
	u32 tpr = vcpu->virt->apic[LAPIC_TPR / 4] & 0xff;
	u8 isr = in_service(vcpu);

	return tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
}

/* ---- from outside */

bool lapic_listens(const struct vcpu *vcpu)
{
	return lapic_enabled(vcpu) && (vcpu->virt->apic[LAPIC_SVR / 4] & SVR_ENABLE);
}

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

	if (vector < LAPIC_VECTOR_MIN) {
		lapic_error(vcpu, ESR_RECEIVE_ILLEGAL);
		return true;
	}
	if (level ? !set(vcpu, LAPIC_TMR, vector)
		  : test(vcpu, LAPIC_TMR, vector) && clear(vcpu, LAPIC_TMR, vector))
		__atomic_store_n(&lapic->tmr_changed, true, __ATOMIC_RELEASE);
	if (!set(vcpu, LAPIC_IRR, vector)) {
		__atomic_or_fetch(&lapic->irr_words, BIT(vector / 32), __ATOMIC_SEQ_CST);
		__atomic_store_n(&lapic->requests, true, __ATOMIC_RELEASE);
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
		/* A start-up that came before it is void. */
		__atomic_and_fetch(&lapic->events, ~(u32)LAPIC_EVENT_STARTUP, __ATOMIC_SEQ_CST);
		send_event(vcpu, LAPIC_EVENT_INIT);
		return true;
	case APIC_STARTUP:
		__atomic_store_n(&lapic->startup, msg->vector, __ATOMIC_RELEASE);
		send_event(vcpu, LAPIC_EVENT_STARTUP);
		return true;
	case APIC_EXTINT:
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

	__atomic_or_fetch(&vcpu->lapic.errors, error, __ATOMIC_RELAXED);
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

/* The highest vector asked for, or -1; without a look at words that are known to be empty, but
 * where the CPU, too, puts vectors into IRR. */
static int highest_request(struct vcpu *vcpu)
{
	u32 *words = &vcpu->lapic.irr_words, now = __atomic_load_n(words, __ATOMIC_ACQUIRE), empty;
	int vector;

	if (vcpu->virt->apic_delivers)
		return highest(vcpu, LAPIC_IRR, ALL_WORDS);
	if (!now)
		return -1;
	vector = highest(vcpu, LAPIC_IRR, now);
	empty = vector < 0 ? now : now & ~(BIT(vector / 32 + 1) - 1);
	if (!empty)
		return vector;
	__atomic_and_fetch(words, ~empty, __ATOMIC_SEQ_CST);
	/* Who sets a bit from here on says so again; one set before is seen here. */
	now = highest(vcpu, LAPIC_IRR, empty);
	if ((int)now < 0)
		return vector;
	__atomic_or_fetch(words, BIT(now / 32), __ATOMIC_SEQ_CST);
	return now;
}

int lapic_pending(struct vcpu *vcpu)
{
	int vector = highest_request(vcpu);

	return vector >= 0 && (u32)vector >> 4 > lapic_ppr(vcpu) >> 4 ? vector : -1;
}

void lapic_ack(struct vcpu *vcpu, u8 vector)
{
	clear(vcpu, LAPIC_IRR, vector);
	*word_of(vcpu, LAPIC_ISR, vector) |= BIT(vector % 32);
	vcpu->lapic.isr_words |= BIT(vector / 32);
	vcpu->lapic.isr_highest = vector;
	/* An offer that stands for one below goes too, where the end of this one is awaited. */
	pv_eoi_offer(vcpu, !test(vcpu, LAPIC_TMR, vector) && highest_request(vcpu) < 0);
}

/* The I/O APIC has to hear of the end of what came as a level. */
static void broadcast(struct vcpu *vcpu, u8 vector)
{
	struct vm *vm = vcpu->vm;

	if (!test(vcpu, LAPIC_TMR, vector) || !vm->eoi_sink.eoi)
		return;
	vm_device_lock(vm);
	vm->eoi_sink.eoi(vm->eoi_sink.dev, vector);
	vm_device_unlock(vm);
}

void lapic_eoi(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	u8 vector = in_service(vcpu);
	int next;

	if (!vector)
		return;
	*word_of(vcpu, LAPIC_ISR, vector) &= ~BIT(vector % 32);
	if (!*word_of(vcpu, LAPIC_ISR, vector))
		lapic->isr_words &= ~BIT(vector / 32);
	next = highest(vcpu, LAPIC_ISR, vcpu->virt->apic_delivers ? ALL_WORDS : lapic->isr_words);
	lapic->isr_highest = next < 0 ? 0 : next;
	if (vcpu->virt->apic_delivers)
		virt->isr_sync(vcpu->virt, next);
	broadcast(vcpu, vector);
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
		vectors[i] = *word_of(vcpu, LAPIC_TMR, 32 * i);
	virt->eoi_exits(vcpu->virt, vectors);
}

void lapic_prepare(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	unsigned threshold = 0;
	int vector;

	if (vcpu->virt->apic_delivers) {
		if (lapic->tmr_changed)
			sync_eoi_exits(vcpu);
		/* What the CPU has seen of IRR it keeps up by itself. */
		if (__atomic_load_n(&lapic->requests, __ATOMIC_ACQUIRE)) {
			(void)__atomic_exchange_n(&lapic->requests, false, __ATOMIC_SEQ_CST);
			virt->irr_push(vcpu->virt, highest_request(vcpu));
		}
		return;
	}
	if (!lapic->irr_words && !lapic->threshold)
		return;
	vector = highest_request(vcpu);
	if (vector >= 0)
		pv_eoi_offer(vcpu, false); /* its end is what this one waits for */
	if (vector >= 0 && vector >> 4 <= (int)lapic_get_cr8(vcpu->virt))
		threshold = (unsigned)vector >> 4;
	if (threshold != lapic->threshold)
		virt->tpr_threshold(vcpu->virt, threshold);
	lapic->threshold = threshold;
}

void lapic_resume(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	int isr = highest(vcpu, LAPIC_ISR, ALL_WORDS);

	lapic->irr_words = ALL_WORDS;
	lapic->isr_words = 0;
	for (unsigned i = 0; i < BITMAP_WORDS; i++)
		lapic->isr_words |= *word_of(vcpu, LAPIC_ISR, 32 * i) ? BIT(i) : 0;
	lapic->isr_highest = isr < 0 ? 0 : isr;
	lapic->threshold = 0;
	lapic->requests = lapic->tmr_changed = true;
	if (vcpu->virt->apic_delivers)
		virt->isr_sync(vcpu->virt, isr);
	else
		virt->tpr_threshold(vcpu->virt, 0);
}
