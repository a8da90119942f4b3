/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC: what software reads and writes, its timer and its commands.
 * Vectors on their way to the CPU are vmm/lapic_vector.c's.
 *
 * Where the manual leaves a choice: the id cannot be written; the registers of
 * older APICs (arbitration priority, remote read) read 0; a narrow read gives its
 * part of the register, a narrow write does nothing; EOI broadcasts cannot be
 * suppressed; SMIs go nowhere, as there is no SMM. A timer that runs periodically
 * comes at most TICK_RATE_MAX times a second, and what comes late comes once.
 */
#include "vmm/lapic.h"

#include "arch/lib/string.h"
#include "arch/msr.h"
#include "vmm/lapic_vector.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define VERSION	      0x00050014 /* six LVT entries */
#define TICK_RATE_MAX 20000
#define X2APIC_FIRST  0x800
#define CPUID_1_ECX_X2APIC BIT(21)

#define BASE_ADDRESS (~BITS(11, 0))
#define BASE_RESERVED (BITS(7, 0) | BIT(9))

enum { SVR_VALID = BITS(8, 0), SVR_RESET = 0xff };
enum { LVT_VECTOR = BITS(7, 0), LVT_MODE = BITS(10, 8), LVT_STATUS = BIT(12), LVT_POLARITY = BIT(13),
       LVT_REMOTE_IRR = BIT(14), LVT_LEVEL = BIT(15), LVT_TIMER_MODE = BITS(18, 17) };
enum { DIVIDE_VALID = BIT(0) | BIT(1) | BIT(3) };
enum { ICR_LOGICAL = BIT(11), ICR_TRIGGER = BIT(15),
       ICR_VALID = LVT_VECTOR | LVT_MODE | ICR_LOGICAL | ICR_ASSERT |
       ICR_TRIGGER | ICR_SHORTHAND };
#define XAPIC_ID	BITS(31, 24)
#define XAPIC_BROADCAST 0xff
#define DFR_MODEL	BITS(31, 28)

/* What software may do with a register: by address in xAPIC mode (X), by MSR in x2APIC mode (M). */
enum { READ_X = 1, WRITE_X = 2, READ_M = 4, WRITE_M = 8 };
enum { READ = READ_X | READ_M, WRITE = WRITE_X | WRITE_M };
static const struct lapic_rule {
	u32 rights;
	u32 valid, ignored; /* bits that can be set; that WRMSR may set, to no effect */
} rules[64] = {
#define RULE(offset) [(offset) >> 4]
	RULE(LAPIC_ID) = {READ, 0, 0},
	RULE(LAPIC_VERSION) = {READ, 0, 0},
	RULE(LAPIC_TPR) = {READ | WRITE, LVT_VECTOR, 0},
	RULE(LAPIC_APR) = {READ_X, 0, 0},
	RULE(LAPIC_PPR) = {READ, 0, 0},
	RULE(LAPIC_EOI) = {WRITE, 0, 0},
	RULE(LAPIC_RRD) = {READ_X, 0, 0},
	RULE(LAPIC_LDR) = {READ | WRITE_X, XAPIC_ID, 0},
	RULE(LAPIC_DFR) = {READ_X | WRITE_X, DFR_MODEL, 0},
	RULE(LAPIC_SVR) = {READ | WRITE, SVR_VALID, 0},
	[LAPIC_ISR >> 4 ... (LAPIC_ESR >> 4) - 1] = {READ, 0, 0}, /* TMR and IRR too */
	RULE(LAPIC_ESR) = {READ | WRITE, 0, 0},
	RULE(LAPIC_ICR) = {READ | WRITE, ICR_VALID, LVT_STATUS},
	RULE(LAPIC_ICR_HIGH) = {READ_X | WRITE_X, XAPIC_ID, 0},
	RULE(LAPIC_LVT_TIMER) = {READ | WRITE, LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE, LVT_STATUS},
	[LAPIC_LVT_THERMAL >> 4 ... LAPIC_LVT_PERFORMANCE >> 4] = {
		READ | WRITE, LVT_VECTOR | LVT_MODE | LVT_MASKED, LVT_STATUS},
	[LAPIC_LVT_LINT0 >> 4 ... LAPIC_LVT_LINT1 >> 4] = {
		READ | WRITE, LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
		LVT_STATUS | LVT_REMOTE_IRR},
	RULE(LAPIC_LVT_ERROR) = {READ | WRITE, LVT_VECTOR | LVT_MASKED, LVT_STATUS},
	RULE(LAPIC_TIMER_INITIAL) = {READ | WRITE, 0xffffffff, 0},
	RULE(LAPIC_TIMER_CURRENT) = {READ, 0, 0},
	RULE(LAPIC_TIMER_DIVIDE) = {READ | WRITE, DIVIDE_VALID, 0},
	RULE(LAPIC_SELF_IPI) = {WRITE_M, LVT_VECTOR, 0},
#undef RULE
};

/* The rule of the register at an offset. */
static const struct lapic_rule *rule_of(unsigned offset)
{
	static const struct lapic_rule none;

	return offset >> 4 < ARRAY_SIZE(rules) ? &rules[offset >> 4] : &none;
}

static u32 *reg(const struct vcpu *vcpu, unsigned offset)
{
	return &vcpu->virt->apic[offset / 4];
}

bool lapic_x2apic(const struct vcpu *vcpu)
{
	return vcpu->lapic.base & BASE_X2APIC;
}

bool lapic_enabled(const struct vcpu *vcpu)
{
	return vcpu->lapic.base & BASE_ENABLE;
}

bool lapic_boots(const struct vcpu *vcpu)
{
	return vcpu->lapic.base & BASE_BSP;
}

/* ---- the timer */

/* The mode, and the divider as a power of two: bits 3, 1 and 0 say 2, 4, ... 128, 1. */
static void timer_settings(struct vcpu *vcpu)
{
	u32 divide = *reg(vcpu, LAPIC_TIMER_DIVIDE);

	vcpu->lapic.timer_mode = FIELD_GET(LVT_TIMER_MODE, *reg(vcpu, LAPIC_LVT_TIMER));
	vcpu->lapic.timer_shift = ((((divide & 3) | (divide & 8) >> 1) + 1) & 7) +
				  cpuid_crystal_shift(vm_clock_hz(vcpu->vm));
}

static u64 timer_ticks(const struct vcpu *vcpu, u32 count)
{
	return (u64)count << vcpu->lapic.timer_shift;
}

/* The end of the count that runs at a moment behind lapic->deadline; 0 where it ended there. */
static u64 timer_next(const struct vcpu *vcpu, u64 clock)
{
	u64 end = vcpu->lapic.deadline;
	u64 period = timer_ticks(vcpu, vcpu->virt->apic[LAPIC_TIMER_INITIAL / 4]);

	if (vcpu->lapic.timer_mode != LAPIC_TIMER_PERIODIC || !period)
		return 0;
	period = MAX(period, vm_clock_hz(vcpu->vm) / TICK_RATE_MAX);
	return end + ((clock - end) / period + 1) * period;
}

static u32 timer_current(const struct vcpu *vcpu)
{
	u64 now = vm_now(vcpu->vm), end = vcpu->lapic.deadline;
	unsigned shift = vcpu->lapic.timer_shift;

	if (end && end <= now)
		end = timer_next(vcpu, now);
	return end > now ? (end - now + BIT(shift) - 1) >> shift : 0;
}

static void timer_stop(struct vcpu *vcpu)
{
	vcpu->lapic.deadline = vcpu->lapic.tsc_deadline = 0;
}

static void timer_start(struct vcpu *vcpu, u32 count)
{
	vcpu->lapic.deadline = count ? vm_now(vcpu->vm) + timer_ticks(vcpu, count) : 0;
}

/* The count goes on from where it is, at another speed; one that has ended is still served. */
static void timer_divide(struct vcpu *vcpu, u32 value)
{
	u32 left = vcpu->lapic.deadline > vm_now(vcpu->vm) ? timer_current(vcpu) : 0;

	*reg(vcpu, LAPIC_TIMER_DIVIDE) = value;
	timer_settings(vcpu);
	if (left)
		timer_start(vcpu, left);
}

/* The count has come to its end at lapic->deadline. */
static void timer_end(struct vcpu *vcpu, u64 clock)
{
	vcpu->lapic.deadline = timer_next(vcpu, clock);
	lapic_local(vcpu, LAPIC_LVT_TIMER);
}

u64 lapic_timer(struct vcpu *vcpu, u64 now)
{
	struct lapic *lapic = &vcpu->lapic;
	const struct vm *vm = vcpu->vm;
	u64 clock = now - vm->clock_start;

	if (lapic->tsc_deadline) {
		u64 tsc = clock + vcpu->tsc_delta, left = lapic->tsc_deadline - tsc;

		if (tsc < lapic->tsc_deadline) /* the guest's TSC may be far from the host's */
			return left < VTIMER_NEVER - now ? now + left : VTIMER_NEVER;
		lapic->tsc_deadline = 0;
		lapic_local(vcpu, LAPIC_LVT_TIMER);
	} else if (lapic->deadline) {
		if (clock >= lapic->deadline)
			timer_end(vcpu, clock);
		if (lapic->deadline)
			return vm_clock_to_tsc(vm, lapic->deadline);
	}
	return VTIMER_NEVER;
}

/* ---- modes and reset */

/* How the CPU may serve it. Its page is taken from all vCPUs for good once one of them has its
 * own elsewhere: each flushes before vmm lets it enter its guest again. */
static void set_mode(struct vcpu *vcpu)
{
	enum virt_apic mode = !lapic_enabled(vcpu) ? VIRT_APIC_OFF :
			      lapic_x2apic(vcpu)	   ? VIRT_APIC_X2APIC :
						     VIRT_APIC_XAPIC;
	struct vm *vm = vcpu->vm;

	if (mode == VIRT_APIC_XAPIC && (vcpu->lapic.base & BASE_ADDRESS) != VIRT_APIC_PAGE)
		mode = VIRT_APIC_OFF;
	if (mode != VIRT_APIC_XAPIC) {
		SPIN_HOLD(&vm->apic_lock);
		if (vm->apic_page)
			virt->vm_apic_page(vm->virt, false);
		vm->apic_page = false;
	}
	pv_eoi_offer(vcpu, false);
	virt->apic_mode(vcpu->virt, mode);
	lapic_resume(vcpu);
}

static u32 id_of(bool x2apic, u32 id)
{
	return x2apic ? id : id << 24;
}

/* In x2APIC mode. */
static u32 ldr_of(u32 id)
{
	return (id >> 4) << 16 | BIT(id & 15);
}

/* The registers that the mode determines. */
static void set_ids(struct vcpu *vcpu)
{
	*reg(vcpu, LAPIC_ID) = id_of(lapic_x2apic(vcpu), vcpu->id);
	*reg(vcpu, LAPIC_LDR) = lapic_x2apic(vcpu) ? ldr_of(vcpu->id) : 0;
	*reg(vcpu, LAPIC_ICR_HIGH) = 0;
}

static void clear_registers(struct vcpu *vcpu)
{
	memset(vcpu->virt->apic, 0, PAGE_SIZE);
	*reg(vcpu, LAPIC_VERSION) = VERSION;
	*reg(vcpu, LAPIC_DFR) = ~0u;
	*reg(vcpu, LAPIC_SVR) = SVR_RESET;
	for (unsigned offset = LAPIC_LVT_TIMER; offset <= LAPIC_LVT_ERROR; offset += 16)
		*reg(vcpu, offset) = LVT_MASKED;
	set_ids(vcpu);
	timer_stop(vcpu);
	timer_settings(vcpu);
	lapic_drop_posted(vcpu);
	vcpu->lapic.errors = 0;
}

void lapic_reset(struct vcpu *vcpu, bool init)
{
	if (!init) {
		vcpu->lapic = (struct lapic){0};
		vcpu->lapic.base = VIRT_APIC_PAGE | BASE_ENABLE | (vcpu->id == 0 ? BASE_BSP : 0);
	}
	clear_registers(vcpu);
	set_mode(vcpu);
}

void lapic_virtual_wire(struct vcpu *vcpu)
{
	*reg(vcpu, LAPIC_SVR) = SVR_RESET | SVR_ENABLE;
	*reg(vcpu, LAPIC_LVT_LINT0) = FIELD_PREP(LVT_MODE, APIC_EXTINT);
	*reg(vcpu, LAPIC_LVT_LINT1) = FIELD_PREP(LVT_MODE, APIC_NMI);
}

/* EXTD is one where CPUID does not tell of x2APIC mode. */
static u64 reserved_of_base(const struct vcpu *vcpu)
{
	const struct cpuid_table *cpuid = &vcpu->vm->cpuid;
	bool x2apic = cpuid_query(cpuid, 1, 0, &(struct cpuid_state){0}).ecx & CPUID_1_ECX_X2APIC;

	return BASE_RESERVED | ~(BIT(cpuid->maxphyaddr) - 1) | (x2apic ? 0 : BASE_X2APIC);
}

/* "x2APIC State Transitions". */
static bool may_change_base(const struct vcpu *vcpu, u64 value)
{
	u64 old = vcpu->lapic.base;
	bool to_x2apic = value & BASE_X2APIC, to_on = value & BASE_ENABLE;

	if ((value & reserved_of_base(vcpu)) || (to_x2apic && !to_on))
		return false;
	if (to_x2apic)
		return old & BASE_ENABLE;
	return !to_on || !(old & BASE_X2APIC);
}

static bool write_base(struct vcpu *vcpu, u64 value)
{
	u64 changed = vcpu->lapic.base ^ value;

	if (!may_change_base(vcpu, value))
		return false;
	vcpu->lapic.base = value;
	/* Switched off it loses its state; only in x2APIC mode has it the id as a number. */
	if (changed & BASE_ENABLE)
		clear_registers(vcpu);
	else if (changed & BASE_X2APIC)
		set_ids(vcpu);
	if (changed)
		set_mode(vcpu);
	return true;
}

/* ---- registers */

/* "Issuing Interprocessor Interrupts". */
static void write_icr(struct vcpu *vcpu, u32 low, u32 dest)
{
	unsigned shorthand = FIELD_GET(ICR_SHORTHAND, low);
	struct apic_msg msg = {
		.dest = dest, .logical = low & ICR_LOGICAL, .mode = FIELD_GET(LVT_MODE, low),
		.vector = FIELD_GET(LVT_VECTOR, low),
	};

	*reg(vcpu, LAPIC_ICR) = low & ICR_VALID;
	/* INIT level de-assert belongs to the arbitration of older APICs. */
	if (msg.mode == APIC_INIT && (low & ICR_TRIGGER) && !(low & ICR_ASSERT))
		return;
	if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < LAPIC_VECTOR_MIN) {
		lapic_error(vcpu, ESR_SEND_ILLEGAL);
		return;
	}
	if (msg.mode != APIC_EXTINT)
		vm_deliver_ipi(vcpu, &msg, shorthand);
}

static void write_svr(struct vcpu *vcpu, u32 value)
{
	*reg(vcpu, LAPIC_SVR) = value;
	if (value & SVR_ENABLE)
		return;
	for (unsigned offset = LAPIC_LVT_TIMER; offset <= LAPIC_LVT_ERROR; offset += 16)
		*reg(vcpu, offset) |= LVT_MASKED;
}

static void write_lvt(struct vcpu *vcpu, unsigned offset, u32 value)
{
	/* "A write to the LVT Timer Register that changes the timer mode disarms" it. */
	if (offset == LAPIC_LVT_TIMER &&
	    FIELD_GET(LVT_TIMER_MODE, value) != vcpu->lapic.timer_mode) {
		timer_stop(vcpu);
		*reg(vcpu, LAPIC_TIMER_INITIAL) = 0;
	}
	if (!(*reg(vcpu, LAPIC_SVR) & SVR_ENABLE))
		value |= LVT_MASKED;
	*reg(vcpu, offset) = value;
	timer_settings(vcpu);
	if (offset == LAPIC_LVT_LINT0 && FIELD_GET(LVT_MODE, value) == APIC_NMI &&
	    !(value & LVT_MASKED))
		vm_expect_nmi(vcpu->vm);
}

/* A value that the register's rule has let through. */
static void write_reg(struct vcpu *vcpu, unsigned offset, u32 value)
{
	switch (offset) {
	case LAPIC_EOI:
		lapic_eoi(vcpu);
		break;
	case LAPIC_DFR:
		*reg(vcpu, offset) = value | ~(u32)DFR_MODEL;
		break;
	case LAPIC_SVR:
		write_svr(vcpu, value);
		break;
	case LAPIC_ESR:
		*reg(vcpu, offset) = __atomic_exchange_n(&vcpu->lapic.errors, 0, __ATOMIC_ACQ_REL);
		break;
	case LAPIC_ICR: {
		u32 dest = *reg(vcpu, LAPIC_ICR_HIGH) >> 24;

		write_icr(vcpu, value, dest == XAPIC_BROADCAST && !(value & ICR_LOGICAL) ?
					       APIC_BROADCAST : dest);
		break;
	}
	case LAPIC_LVT_TIMER ... LAPIC_LVT_ERROR:
		write_lvt(vcpu, offset, value);
		break;
	case LAPIC_TIMER_INITIAL:
		/* "writes [...] to the initial-count register are ignored" in that mode */
		if (vcpu->lapic.timer_mode == LAPIC_TIMER_DEADLINE)
			value = 0;
		*reg(vcpu, offset) = value;
		timer_start(vcpu, value);
		break;
	case LAPIC_TIMER_DIVIDE:
		timer_divide(vcpu, value);
		break;
	case LAPIC_SELF_IPI:
		write_icr(vcpu, value | FIELD_PREP(ICR_SHORTHAND, IPI_SELF), 0);
		break;
	default:
		*reg(vcpu, offset) = value;
	}
}

static u32 read_reg(const struct vcpu *vcpu, unsigned offset)
{
	switch (offset) {
	case LAPIC_PPR:
		return lapic_ppr(vcpu);
	case LAPIC_TIMER_CURRENT:
		return vcpu->lapic.timer_mode == LAPIC_TIMER_DEADLINE ? 0 : timer_current(vcpu);
	default:
		return __atomic_load_n(reg(vcpu, offset), __ATOMIC_RELAXED);
	}
}

/* ---- access by address */

bool lapic_claims(const struct vcpu *vcpu, u64 gpa)
{
	return (vcpu->lapic.base & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE &&
	       (gpa & ~(PAGE_SIZE - 1)) == (vcpu->lapic.base & BASE_ADDRESS);
}

u64 lapic_read(struct vcpu *vcpu, unsigned offset, unsigned size)
{
	unsigned within = offset & 15;

	if (within + size > 4 && !(within == 0 && size == 8))
		return 0;
	offset -= within;
	if (!(rule_of(offset)->rights & READ_X)) {
		if (!(rule_of(offset)->rights & WRITE_X))
			lapic_error(vcpu, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	return read_reg(vcpu, offset) >> 8 * within;
}

void lapic_write(struct vcpu *vcpu, unsigned offset, unsigned size, u64 value)
{
	const struct lapic_rule *rule = rule_of(offset);

	if (size < 4 || (offset & 15))
		return;
	if (rule->rights & WRITE_X)
		write_reg(vcpu, offset, value & rule->valid);
	else if (!(rule->rights & READ_X))
		lapic_error(vcpu, ESR_ILLEGAL_REGISTER);
}

void lapic_written(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	unsigned offset = exit->apic.offset & (PAGE_SIZE - 16);
	const struct lapic_rule *rule = rule_of(offset);
	u32 value = *reg(vcpu, offset);

	/* The value stands there already, also where it should not: */
	if (offset == LAPIC_ID)
		*reg(vcpu, offset) = id_of(lapic_x2apic(vcpu), vcpu->id);
	if (offset == LAPIC_EOI || offset == LAPIC_SELF_IPI)
		*reg(vcpu, offset) = 0;
	if (rule->rights & (lapic_x2apic(vcpu) ? WRITE_M : WRITE_X))
		write_reg(vcpu, offset, value & rule->valid);
}

/* ---- access by MSR */

bool lapic_read_msr(struct vcpu *vcpu, u32 index, u64 *value)
{
	unsigned offset = (index - X2APIC_FIRST) << 4;

	if (index == MSR_APIC_BASE)
		*value = vcpu->lapic.base;
	else if (index == MSR_TSC_DEADLINE)
		*value = vcpu->lapic.tsc_deadline;
	else if (!lapic_x2apic(vcpu) || !(rule_of(offset)->rights & READ_M))
		return false;
	else
		*value = read_reg(vcpu, offset) |
			 (offset == LAPIC_ICR ? (u64)*reg(vcpu, LAPIC_ICR_HIGH) << 32 : 0);
	return true;
}

bool lapic_write_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	unsigned offset = (index - X2APIC_FIRST) << 4;
	const struct lapic_rule *rule = rule_of(offset);
	u32 low = (u32)value, high = value >> 32;

	if (index == MSR_APIC_BASE)
		return write_base(vcpu, value);
	if (index == MSR_TSC_DEADLINE) {
		if (vcpu->lapic.timer_mode == LAPIC_TIMER_DEADLINE)
			vcpu->lapic.tsc_deadline = value;
		return true;
	}
	if (!lapic_x2apic(vcpu) || !(rule->rights & WRITE_M) || (high && offset != LAPIC_ICR) ||
	    (low & ~(rule->valid | rule->ignored)))
		return false;
	if (offset == LAPIC_ICR) {
		*reg(vcpu, LAPIC_ICR_HIGH) = high;
		write_icr(vcpu, low, high);
	} else {
		write_reg(vcpu, offset, low & rule->valid);
	}
	return true;
}

/* ---- KVM_GET_LAPIC and KVM_SET_LAPIC */

void vcpu_get_lapic(struct vcpu *vcpu, struct lapic_state *state)
{
	const struct lapic *lapic = &vcpu->lapic;

	lapic_take_posted(vcpu);
	*state = (struct lapic_state){
		.base = lapic->base, .tsc_deadline = lapic->tsc_deadline,
		.deadline = lapic->deadline, .errors = lapic->errors,
	};
	memcpy(state->regs, vcpu->virt->apic, sizeof(state->regs));
	/* Follows from the others; what the CPU has left of a command that it served. */
	state->regs[LAPIC_PPR / 4] = state->regs[LAPIC_SELF_IPI / 4] = 0;
}

/* The bits that a word of the page may have; those of ID, LDR and the version are looked at apart. */
static u32 may_hold(unsigned offset, bool x2apic)
{
	const struct lapic_rule *rule = rule_of(offset);

	if (offset & 15)
		return 0;
	if (offset == LAPIC_ID || offset == LAPIC_VERSION ||
	    (x2apic && (offset == LAPIC_LDR || offset == LAPIC_ICR_HIGH)))
		return ~0u;
	if (offset - LAPIC_ISR < LAPIC_ESR - LAPIC_ISR)
		return (offset & 0x7f) ? ~0u : ~(u32)BITS(LAPIC_VECTOR_MIN - 1, 0);
	if (offset == LAPIC_ESR)
		return ESR_ALL;
	return rule->rights & WRITE_X ? rule->valid : 0;
}

/* Whether no register has a bit that software could not have set, and those that are fixed
 * have their values. */
static const char *check_state(const struct vcpu *vcpu, const struct lapic_state *s)
{
	bool x2apic = s->base & BASE_X2APIC;
	unsigned mode = FIELD_GET(LVT_TIMER_MODE, s->regs[LAPIC_LVT_TIMER / 4]);

	if ((s->base & reserved_of_base(vcpu)) || (x2apic && !(s->base & BASE_ENABLE)))
		return "IA32_APIC_BASE has reserved bits, or x2APIC mode without EN";
	if (s->regs[LAPIC_VERSION / 4] != VERSION || s->regs[LAPIC_ID / 4] != id_of(x2apic, vcpu->id))
		return "the local APIC has another version or id";
	if (x2apic && s->regs[LAPIC_LDR / 4] != ldr_of(vcpu->id))
		return "LDR follows from the id in x2APIC mode";
	for (unsigned i = 0; i < ARRAY_SIZE(s->regs); i++) {
		u32 ones = i == LAPIC_DFR / 4 ? ~(u32)DFR_MODEL : 0;

		if ((s->regs[i] ^ ones) & ~may_hold(i * 4, x2apic))
			return "a register of the local APIC has reserved bits or vectors below 16";
	}
	if (s->errors & ~ESR_ALL)
		return "ESR has reserved bits set";
	for (unsigned offset = LAPIC_LVT_TIMER; offset <= LAPIC_LVT_ERROR; offset += 16)
		if (!(s->regs[LAPIC_SVR / 4] & SVR_ENABLE) && !(s->regs[offset / 4] & LVT_MASKED))
			return "disabled by software, the LVT is masked";
	if ((s->tsc_deadline && mode != LAPIC_TIMER_DEADLINE) ||
	    (mode == LAPIC_TIMER_DEADLINE && s->regs[LAPIC_TIMER_INITIAL / 4]) ||
	    (s->deadline && !s->regs[LAPIC_TIMER_INITIAL / 4]))
		return "the local APIC's timer runs in another mode";
	return NULL;
}

int vcpu_set_lapic(struct vcpu *vcpu, const struct lapic_state *state, const char **why)
{
	*why = check_state(vcpu, state);
	if (*why)
		return -EINVAL;
	vcpu->lapic.base = state->base;
	vcpu->lapic.tsc_deadline = state->tsc_deadline;
	vcpu->lapic.deadline = state->deadline;
	vcpu->lapic.errors = state->errors;
	memcpy(vcpu->virt->apic, state->regs, sizeof(state->regs));
	lapic_drop_posted(vcpu);
	timer_settings(vcpu);
	set_mode(vcpu);
	return 0;
}
