/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface. The clock of all vCPUs is the VM's: a vCPU's TSC
 * less its distance to that clock, as nanoseconds. The TSC's offset keeps to the
 * VM's clock whatever happens, so a clock is told once and stays true.
 */
#include "vmm/pv.h"

#include "arch/lib/log.h"
#include "arch/tsc.h"
#include "vmm/abi.h"
#include "vmm/gmem.h"
#include "vmm/vm.h"
#include "vmm/vcpu.h"

#define NSEC_PER_SEC 1000000000ull
/* Steal time grows in steps of at least 2^-14 s, so that a short wait costs nothing. */
#define STEAL_STEP_SHIFT 14

/* MSRs: enabled; the address, and bits that must be 0. */
enum { PV_ENABLED = BIT(0) };
#define STEAL_ADDRESS  BITS(63, 6)
#define STEAL_RESERVED BITS(5, 1)
#define EOI_ADDRESS    BITS(63, 2)
#define EOI_RESERVED   BIT(1)

/* struct pvclock_vcpu_time_info behind its version and padding; that stands at offset 0. */
struct time_info {
	u64 tsc_timestamp, system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags, pad[2];
};
enum { TIME_INFO = 8, TIME_TSC_STABLE = BIT(0) };
/* struct pvclock_wall_clock behind its version. */
struct wall_clock {
	u32 sec, nsec;
};
enum { WALL_CLOCK = 4 };
/* struct kvm_steal_time: a count of nanoseconds, version, flags, preempted. */
enum { STEAL_VERSION = 8, STEAL_PREEMPTED = 16 };

/* SEND_IPI's ICR: what may be set. */
#define IPI_VECTOR BITS(7, 0)
#define IPI_MODE   BITS(10, 8)
#define IPI_ASSERT BIT(14)

static void missed(struct vm *vm, u64 gpa)
{
	if (once_first(&vm->unknown_gpas, gpa & ~(PAGE_SIZE - 1)))
		log_debug("[%s] paravirtual data at %lxh, which is no RAM", vm->name, gpa);
}

static bool put(struct vcpu *vcpu, u64 gpa, const void *from, size_t size)
{
	if (!guest_write(vcpu->vm, GPA(gpa), from, size))
		return true;
	missed(vcpu->vm, gpa);
	return false;
}

static bool get(struct vcpu *vcpu, u64 gpa, void *to, size_t size)
{
	if (!guest_read(vcpu->vm, GPA(gpa), to, size))
		return true;
	missed(vcpu->vm, gpa);
	return false;
}

/* Writes what others read while its version is even and the same before and after. */
static void publish(struct vcpu *vcpu, u64 version_at, u64 gpa, const void *from, size_t size)
{
	u32 version;

	if (!get(vcpu, version_at, &version, sizeof(version)))
		return;
	version = (version + 1) | 1;
	if (!put(vcpu, version_at, &version, sizeof(version)))
		return;
	put(vcpu, gpa, from, size);
	version++;
	put(vcpu, version_at, &version, sizeof(version));
}

static void tell_clock(struct vcpu *vcpu, u64 msr)
{
	u64 gpa = msr & ~(u64)PV_ENABLED, hz = vm_clock_hz(vcpu->vm), mul;
	struct time_info info = {.tsc_timestamp = vcpu->tsc_delta, .flags = TIME_TSC_STABLE};
	int shift = 31;

	if (!(msr & PV_ENABLED))
		return;
	/* ns = (ticks << shift) * mul >> 32, with all 32 bits of mul in use */
	while ((mul = muldiv64(NSEC_PER_SEC, BIT(32 - shift), hz)) < BIT(31))
		shift--;
	info.tsc_to_system_mul = mul;
	info.tsc_shift = shift;
	publish(vcpu, gpa, gpa + TIME_INFO, &info, sizeof(info));
}

void pv_tell_clock(struct vcpu *vcpu)
{
	tell_clock(vcpu, vcpu->msrs.pv_system_time);
}

/* The time of day when the VM's clock showed 0. */
static void tell_wall_clock(struct vcpu *vcpu, u64 gpa)
{
	struct wall_clock wall = {.sec = vm_boot_epoch(vcpu->vm)};

	if (gpa)
		publish(vcpu, gpa, gpa + WALL_CLOCK, &wall, sizeof(wall));
}

/* The count goes on from what stands there, also after the memory came back from a save. */
static void tell_steal(struct vcpu *vcpu, u64 msr)
{
	u64 gpa = msr & STEAL_ADDRESS, waited = vcpu->task.waited, steal;

	if (!get(vcpu, gpa, &steal, sizeof(steal)))
		return;
	steal += muldiv64(waited - vcpu->pv.waited, NSEC_PER_SEC, tsc_hz);
	vcpu->pv.waited = waited;
	publish(vcpu, gpa + STEAL_VERSION, gpa, &steal, sizeof(steal));
}

static void tell_preempted(struct vcpu *vcpu, bool preempted)
{
	u8 byte = preempted;

	if (preempted != vcpu->pv.preempted &&
	    put(vcpu, (vcpu->msrs.pv_steal_time & STEAL_ADDRESS) + STEAL_PREEMPTED, &byte, 1))
		vcpu->pv.preempted = preempted;
}

static bool write_steal_time(struct vcpu *vcpu, u64 msr)
{
	if (msr & STEAL_RESERVED)
		return false;
	/* What it waited for before is nobody's loss. */
	vcpu->pv.waited = vcpu->task.waited;
	vcpu->pv.preempted = false;
	if (msr & PV_ENABLED)
		tell_steal(vcpu, msr);
	return true;
}

static bool write_eoi(struct vcpu *vcpu, u64 msr)
{
	if (msr & EOI_RESERVED)
		return false;
	pv_eoi_offer(vcpu, false);
	return true;
}

bool pv_write_msr(struct vcpu *vcpu, u32 index, u64 value)
{
	switch (index) {
	case ABI_MSR_WALL_CLOCK_OLD:
	case ABI_MSR_WALL_CLOCK:
		tell_wall_clock(vcpu, value);
		return true;
	case ABI_MSR_SYSTEM_TIME_OLD:
	case ABI_MSR_SYSTEM_TIME:
		tell_clock(vcpu, value);
		return true;
	case ABI_MSR_STEAL_TIME:
		return write_steal_time(vcpu, value);
	default:
		return write_eoi(vcpu, value);
	}
}

void pv_reset(struct vcpu *vcpu)
{
	struct vcpu_msrs *msrs = &vcpu->msrs;

	msrs->pv_wall_clock = msrs->pv_system_time = msrs->pv_steal_time = msrs->pv_eoi = 0;
	vcpu->pv = (struct vcpu_pv){0};
}

void pv_load(struct vcpu *vcpu)
{
	if (!(vcpu->msrs.pv_steal_time & PV_ENABLED))
		return;
	tell_preempted(vcpu, false);
	if (vcpu->task.waited - vcpu->pv.waited >= tsc_hz >> STEAL_STEP_SHIFT)
		tell_steal(vcpu, vcpu->msrs.pv_steal_time);
}

void pv_put(struct vcpu *vcpu, bool preempted)
{
	pv_eoi_offer(vcpu, false);
	if (vcpu->msrs.pv_steal_time & PV_ENABLED)
		tell_preempted(vcpu, preempted);
}

void pv_eoi_offer(struct vcpu *vcpu, bool on)
{
	u64 msr = vcpu->msrs.pv_eoi;
	u8 byte = on;

	if (on == vcpu->pv.eoi_offered || !(msr & PV_ENABLED))
		return;
	vcpu->pv.eoi_offered = put(vcpu, msr & EOI_ADDRESS, &byte, 1) && on;
}

/* The word changes by this vCPU's own hand alone: between an exit and the next entry it stands. */
bool pv_eoi_done(struct vcpu *vcpu)
{
	u8 byte = 0;

	if (!vcpu->pv.eoi_offered)
		return false;
	get(vcpu, vcpu->msrs.pv_eoi & EOI_ADDRESS, &byte, 1);
	vcpu->pv.eoi_offered = byte & 1;
	return !vcpu->pv.eoi_offered;
}

/* The caller waits for what that vCPU is to do; with `kick` its HLT ends first. */
static u64 yield_to(struct vcpu *vcpu, u64 apic_id, bool kick)
{
	struct vcpu *target = vm_vcpu(vcpu->vm, apic_id);

	if (!target)
		return 0;
	if (kick)
		lapic_kick(target);
	sched_yield_to(&target->task);
	return 0;
}

/* The second word of the map begins beyond the id of any vCPU. */
_Static_assert(VM_VCPUS_MAX <= 32, "ids of 32 and more are in the first word alone");
static u64 send_ipi(struct vcpu *vcpu, u64 map, u32 first, u64 icr)
{
	struct apic_msg msg = {.mode = FIELD_GET(IPI_MODE, icr), .vector = icr & IPI_VECTOR};
	u64 taken = 0;

	if ((icr & ~(IPI_VECTOR | IPI_MODE | IPI_ASSERT)) ||
	    (msg.mode != APIC_FIXED && msg.mode != APIC_NMI))
		return (u64)ABI_HYPERCALL_EINVAL;
	for (; map; map &= map - 1) {
		u64 id = (u64)first + __builtin_ctzll(map);
		struct vcpu *target = vm_vcpu(vcpu->vm, id);

		msg.dest = id;
		taken += target && lapic_accept(target, &msg);
	}
	return taken;
}

u64 pv_hypercall(struct vcpu *vcpu)
{
	static const u8 args[] = {GPR_RBX, GPR_RCX, GPR_RDX, GPR_RSI};
	const u64 *gpr = vcpu->virt->gpr;
	struct vcpu_segment cs;
	u64 mask, arg[ARRAY_SIZE(args)];

	virt->get_segment(vcpu->virt, SREG_CS, &cs);
	mask = (virt->get(vcpu->virt, VREG_EFER) & EFER_LMA) && cs.l ? ~0ull : BITS(31, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(arg); i++)
		arg[i] = gpr[args[i]] & mask;
	switch (gpr[GPR_RAX] & mask) {
	case ABI_HYPERCALL_KICK_CPU:
		return yield_to(vcpu, arg[1], true);
	case ABI_HYPERCALL_SEND_IPI:
		return send_ipi(vcpu, arg[0], arg[2], arg[3]);
	case ABI_HYPERCALL_SCHED_YIELD:
		return yield_to(vcpu, arg[0], false);
	default:
		return (u64)ABI_HYPERCALL_ENOSYS;
	}
}
