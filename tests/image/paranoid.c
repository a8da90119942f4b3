/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest=paranoid:FAULT does what the paranoid build has to complain of, each time by a
 * panic; the usual build lets it pass.
 */
#include "tests/paranoid/paranoid.h"

#include "arch/lib/audit.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"

static struct spinlock a, b, c;
static volatile int zero;

static void pair(struct spinlock *first, struct spinlock *second)
{
	spin_lock(first);
	spin_lock(second);
	spin_unlock(second);
	spin_unlock(first);
}

static void lock_order(struct guest *g)
{
	pair(&a, &b);
	pair(&b, &a);
}

static void lock_order_of_three(struct guest *g)
{
	pair(&a, &b);
	pair(&b, &c);
	pair(&c, &a);
}

static void lock_kind(struct guest *g)
{
	struct guest other;

	guest_end(g);
	if (guest_make(g, MIB(2)) && !vm_create("other", &other.vm))
		pair(&g->vm->device_lock, &other.vm->device_lock);
}

static void lock_twice(struct guest *g)
{
	pair(&a, &a);
}

static void lock_not_held(struct guest *g)
{
	spin_unlock(&a);
}

static void lock_at_entry(struct guest *g)
{
	spin_lock(&a);
	guest_run(g, 1000);
}

static void lock_at_slice_end(struct guest *g)
{
	spin_lock(&a);
	AUDIT(AUDIT_SLICE_END, NULL);
}

static void free_page(struct guest *g)
{
	u64 *page = pages_alloc(1);

	pages_free(page, 1);
	page[7] = 1;
	pages_alloc(1);
}

static void host_state(struct guest *g)
{
	vmwrite(HOST_SYSENTER_EIP, 0x1234);
	guest_run(g, 1000);
}

static void host_state_at_entry(struct guest *g)
{
	guest_run(g, 1000);
	wrmsr(MSR_SYSENTER_CS, 8);
	guest_run(g, 1000);
}

static void switched_msr(struct guest *g)
{
	vcpu_put(g->vcpu);
	to_vmx(g->vcpu->virt)->msr[SWITCHED_STAR] = 1;
	vcpu_load(g->vcpu);
}

static void switched_fpu(struct guest *g)
{
	vcpu_put(g->vcpu);
	((u8 *)to_vmx(g->vcpu->virt)->fpu)[0xa0] ^= 1; /* XMM0 */
	((u8 *)to_vmx(g->vcpu->virt)->fpu)[512] |= 2;  /* not as at first: the SSE state */
	vcpu_load(g->vcpu);
}

static void long_slice(struct guest *g)
{
	AUDIT(AUDIT_SLICE, &g->vcpu->task);
	for (volatile unsigned i = 0; i < CAP_INSTRUCTIONS / 2; i++)
		;
	AUDIT(AUDIT_SLICE_END, &g->vcpu->task);
}

static void undefined(struct guest *g)
{
	zero = 1 << (zero + 40);
}

static const struct {
	const char *name;
	void (*provoke)(struct guest *g);
} faults[] = {
	{"lock-order", lock_order}, {"lock-order-of-three", lock_order_of_three},
	{"lock-kind", lock_kind}, {"lock-twice", lock_twice}, {"lock-not-held", lock_not_held},
	{"lock-at-entry", lock_at_entry}, {"lock-at-slice-end", lock_at_slice_end},
	{"free-page", free_page}, {"host-state", host_state},
	{"host-state-at-entry", host_state_at_entry}, {"switched-msr", switched_msr},
	{"switched-fpu", switched_fpu}, {"long-slice", long_slice}, {"undefined", undefined},
};

static unsigned run(const char *argument)
{
	struct guest g;

	if (!guest_make(&g, MIB(2)))
		return 1;
	guest_start(&g, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		if (!strcmp(faults[i].name, argument))
			faults[i].provoke(&g);
	log_error("selftest paranoid: %s raised no complaint", argument);
	return 1;
}
DEFINE_SELFTEST(paranoid_test, .name = "paranoid", .run = run);
