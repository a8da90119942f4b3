/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest=entry-break: breaks one rule of each class in the VMCS of a small VM
 * and wants the failed entry explained: how the CPU reports it, the field and the
 * rule. That VM ends; another one on the same CPU goes on. With an argument,
 * FIELD=VALUE, it breaks that field and tells what came of it.
 */
#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/msr.h"
#include "arch/vmx_check.h"
#include "tests/image/entry_vm.h"
#include "tests/image/selftest.h"
#include "vmm/exit.h"

#define GUEST_STATE 0x80000021
#define MSR_LOADING 0x80000022
#define EXTERNAL    (INTR_INFO_VALID | 0x20)
#define FAULT(v)    (INTR_INFO_VALID | FIELD_PREP(INTR_INFO_TYPE, INTR_TYPE_HARDWARE) | (v))
#define MSR_BAD	    0xffffffff

#ifdef PARANOID
#define PARANOID_BUILD true
#else
#define PARANOID_BUILD false
#endif

/* Fields set on top of power-up state, and what the exit must say. */
static const struct row {
	struct {
		u32 field;
		u64 value;
	} set[4];
	u32 code;
	const char *words;
	const char *rule;
} rows[] = {
	{{{VMCS_PIN_BASED_CONTROLS, 0}}, 7, "invalid control fields",
	 "PIN_BASED_CONTROLS (0h) has a bit that this CPU does not allow to be so"},
	{{{VMCS_VPID, 0}}, 7, "invalid control fields", "VPID (0h) is 0"},
	{{{VMCS_CR3_TARGET_COUNT, 5}}, 7, "invalid control fields",
	 "CR3_TARGET_COUNT (5h) is more than the CPU has"},
	{{{VMCS_EXIT_CONTROLS, ~0u}}, 7, "invalid control fields", "EXIT_CONTROLS"},
	{{{VMCS_ENTRY_CONTROLS, 0}}, 7, "invalid control fields", "ENTRY_CONTROLS"},
	{{{VMCS_ENTRY_MSR_LOAD_ADDRESS, 8}, {VMCS_ENTRY_MSR_LOAD_COUNT, 1}}, 7,
	 "invalid control fields", "ENTRY_MSR_LOAD_ADDRESS (8h) is not aligned"},
	{{{VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | FIELD_PREP(INTR_INFO_TYPE, 1)}}, 7,
	 "invalid control fields", "ENTRY_INTR_INFO (80000100h) is of an unused type"},
	{{{VMCS_ENTRY_INTR_INFO, FAULT(40)}}, 7, "invalid control fields",
	 "ENTRY_INTR_INFO (80000328h) is a vector above 31"},
	{{{VMCS_HOST_CR0, 0}}, 8, "invalid host-state fields", "HOST_CR0 (0h) has a bit"},
	{{{VMCS_HOST_CR3, BIT(60)}}, 8, "invalid host-state fields", "HOST_CR3"},
	{{{VMCS_HOST_CS_SELECTOR, 0}}, 8, "invalid host-state fields", "HOST_CS_SELECTOR (0h) is null"},
	{{{VMCS_HOST_TR_SELECTOR, 0x1b}}, 8, "invalid host-state fields",
	 "HOST_TR_SELECTOR (1bh) has an RPL or TI"},
	{{{VMCS_HOST_GDTR_BASE, BIT(60)}}, 8, "invalid host-state fields",
	 "HOST_GDTR_BASE (1000000000000000h) is not canonical"},
	{{{VMCS_HOST_EFER, 0}}, 8, "invalid host-state fields", "HOST_EFER (0h) is no long mode's"},
	{{{VMCS_GUEST_CR0, CR0_PG | CR0_NE}}, GUEST_STATE, "invalid guest state",
	 "GUEST_CR0 (80000020h) has PG without PE"},
	{{{VMCS_GUEST_CR4, BIT(31) | CR4_VMXE}}, GUEST_STATE, "invalid guest state", "GUEST_CR4 (80002000h)"},
	{{{VMCS_GUEST_EFER, EFER_LMA}}, GUEST_STATE, "invalid guest state", "GUEST_EFER (400h) has an LMA"},
	{{{VMCS_GUEST_DR7, BIT(40)}}, GUEST_STATE, "invalid guest state", "GUEST_DR7 (10000000000h)"},
	{{{VMCS_GUEST_CS_LIMIT, 0x100000}}, GUEST_STATE, "invalid guest state",
	 "GUEST_CS_ACCESS (9bh) has a G that the limit denies"},
	{{{VMCS_GUEST_TR_ACCESS, 0x89}}, GUEST_STATE, "invalid guest state",
	 "GUEST_TR_ACCESS (89h) is not a busy TSS's"},
	{{{VMCS_GUEST_FS_BASE, BIT(62)}}, GUEST_STATE, "invalid guest state",
	 "GUEST_FS_BASE (4000000000000000h) is not canonical"},
	{{{VMCS_GUEST_RFLAGS, 0}}, GUEST_STATE, "invalid guest state", "GUEST_RFLAGS (0h) has a reserved bit wrong"},
	{{{VMCS_GUEST_IDTR_LIMIT, 0x10000}}, GUEST_STATE, "invalid guest state",
	 "GUEST_IDTR_LIMIT (10000h) is above FFFFh"},
	{{{VMCS_GUEST_RIP, BIT(32)}}, GUEST_STATE, "invalid guest state", "GUEST_RIP (100000000h) is beyond the address width of its mode"},
	{{{VMCS_GUEST_ACTIVITY, 4}}, GUEST_STATE, "invalid guest state",
	 "GUEST_ACTIVITY (4h) is no state that this CPU has"},
	{{{VMCS_GUEST_INTERRUPTIBILITY, 1}}, GUEST_STATE, "invalid guest state",
	 "GUEST_INTERRUPTIBILITY (1h) has STI without GUEST_RFLAGS.IF"},
	{{{VMCS_GUEST_PENDING_DEBUG, BIT(20)}}, GUEST_STATE, "invalid guest state",
	 "GUEST_PENDING_DEBUG (100000h) has a reserved bit"},
	{{{VMCS_VMCS_LINK_POINTER, 0x123}}, GUEST_STATE, "invalid guest state",
	 "VMCS_LINK_POINTER (123h) is not all ones"},
	{{{VMCS_ENTRY_INTR_INFO, EXTERNAL}}, GUEST_STATE, "invalid guest state",
	 "GUEST_RFLAGS (2h) lacks IF for ENTRY_INTR_INFO's interrupt"},
	{{{VMCS_GUEST_CR0, CR0_PG | CR0_PE | CR0_NE}, {VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE},
	  {VMCS_GUEST_PDPTE2, 1 | BIT(5)}}, GUEST_STATE, "invalid guest state",
	 "GUEST_PDPTE2 (21h) has a reserved bit"},
	/* The area's third entry is told from the second, which is good. */
	{{{VMCS_ENTRY_MSR_LOAD_COUNT, 3}}, MSR_LOADING, "MSR loading failed",
	 "entry 3 of ENTRY_MSR_LOAD_ADDRESS, MSR c0000100h with 1234h, belongs to the guest-state area"},
	{{{VMCS_ENTRY_MSR_LOAD_COUNT, 4}, {MSR_BAD, 8ull << 32 | MSR_KERNEL_GS_BASE}}, MSR_LOADING,
	 "MSR loading failed", "MSR c0000102h with 1234h, has a reserved bit set"},
	{{{VMCS_ENTRY_MSR_LOAD_COUNT, 3}, {MSR_BAD, MSR_EFER}}, MSR_LOADING, "MSR loading failed",
	 "MSR c0000080h with 1234h, has a value that WRMSR would not take"},
};

static struct vmx_check_msr *msrs;

/* Three good entries around the one that is bad, the third. */
static void fill_area(u64 bad)
{
	for (unsigned i = 0; i < 4; i++)
		msrs[i] = (struct vmx_check_msr){MSR_KERNEL_GS_BASE, 0, 0x1000 * i};
	msrs[2] = (struct vmx_check_msr){(u32)bad, bad >> 32, 0x1234};
	vmwrite64(ENTRY_MSR_LOAD_ADDRESS, virt_to_phys(msrs).v);
}

static void apply(const struct row *row)
{
	fill_area(MSR_FS_BASE);
	for (unsigned i = 0; i < ARRAY_SIZE(row->set) && (i == 0 || row->set[i].field); i++) {
		if (row->set[i].field == MSR_BAD)
			fill_area(row->set[i].value);
		else
			vmcs_set(row->set[i].field, row->set[i].value);
	}
}

static unsigned check_row(const struct row *row)
{
	struct vcpu_exit exit;
	unsigned failed = 0;
	struct vm *vm;

	if (!entry_vm_create(&vm))
		return 1;
	vmx_state_write_back(to_vmx(vm->vcpu->virt));
	CHECK(!virt->check(vm->vcpu->virt));
	apply(row);
	if (row->code != MSR_LOADING)
		CHECK(virt->check(vm->vcpu->virt) && selftest_holds(virt->check(vm->vcpu->virt), row->rule));
	virt->run(vm->vcpu->virt, 0, &exit);
	CHECK_EQUAL(exit.reason, EXIT_ENTRY_FAILED);
	CHECK_EQUAL(exit.failed.code, row->code);
	exit_handle(vm->vcpu, &exit);
	CHECK(vm->requests & VM_REQUEST_END);
	CHECK(selftest_holds(vm->end_reason, row->words) && selftest_holds(vm->end_reason, row->rule));
	entry_vm_destroy(vm);
	if (failed)
		log_error("that was in row %u: %s", (unsigned)(row - rows), row->rule);
	return failed;
}

/* What a function may leave in registers is not the guest's behind an entry that the CPU refuses
 * before, or while, it loads the guest. */
static unsigned check_registers(u32 field, u64 value, int expected)
{
	register u64 r8 __asm__("r8"), r9 __asm__("r9"), r10 __asm__("r10"), r11 __asm__("r11");
	u64 rax, rcx, rdx, rsi = 0, rdi;
	unsigned failed = 0;
	struct vm *vm;

	if (!entry_vm_create(&vm))
		return 1;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		vm->vcpu->virt->gpr[i] = 0x5ec4e70000000000 + i;
	vmx_state_write_back(to_vmx(vm->vcpu->virt));
	vmcs_set(field, value);
	to_vmx(vm->vcpu->virt)->unserved = VIRT_SERVED_OFF; /* the audits are vmx_run's then */
	rdi = (u64)vm->vcpu->virt;
	__asm__ volatile("call __real_vmx_entry"
			 : "=a"(rax), "=c"(rcx), "=d"(rdx), "+S"(rsi), "+D"(rdi), "=r"(r8), "=r"(r9),
			   "=r"(r10), "=r"(r11)::"memory", "cc");
	CHECK_EQUAL((u32)rax, expected);
	CHECK_EQUAL(rcx | rdx | rsi | r8 | r9 | r10 | r11, 0);
	CHECK_EQUAL(rdi, (u64)vm->vcpu->virt);
	entry_vm_destroy(vm);
	return failed;
}

/* Without memory the first fetch of a guest that runs is an exit. */
static bool runs(struct vm *vm)
{
	struct vcpu_exit exit;

	virt->run(vm->vcpu->virt, ~0ull, &exit);
	return exit.reason == EXIT_MEMORY && exit.memory.gpa.v == 0xfffffff0;
}

static unsigned run_argument(const char *argument)
{
	const char *equals = strchr(argument, '=');
	u32 field = equals ? entry_vm_field(argument, equals - argument) : 0;
	struct vcpu_exit exit;
	struct vm *vm;
	u64 value;

	if (!field || str_to_u64(equals + 1, strlen(equals + 1), &value) || !entry_vm_create(&vm)) {
		log_error("selftest: entry-break wants FIELD=VALUE");
		return 1;
	}
	vmx_state_write_back(to_vmx(vm->vcpu->virt));
	vmcs_set(field, value);
	virt->run(vm->vcpu->virt, 0, &exit);
	exit_handle(vm->vcpu, &exit);
	log_info("%s: exit %s", argument, virt_exit_name(exit.reason));
	entry_vm_destroy(vm);
	return 0;
}

static unsigned run(const char *argument)
{
	unsigned failed = 0;
	struct vm *other;

	if (*argument)
		return run_argument(argument);
	msrs = pages_alloc(1);
	if (!msrs || !entry_vm_create(&other))
		return 1;
	CHECK(runs(other));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		/* The paranoid build refuses that one in words of its own, before the CPU does. */
		if (PARANOID_BUILD && !strcmp(rows[i].rule, "HOST_CR3"))
			continue;
		vcpu_put(other->vcpu);
		failed += check_row(&rows[i]);
		log_set_level(LOG_ERROR); /* one dump is enough on a serial line */
		vcpu_load(other->vcpu);
		CHECK(runs(other));
	}
	vcpu_put(other->vcpu);
	failed += check_registers(VMCS_VPID, 0, VMX_FAIL_VALID);
	failed += check_registers(VMCS_GUEST_RFLAGS, 0, VMX_UNSERVED);
	vcpu_load(other->vcpu);
	CHECK(runs(other));
	CHECK(!(other->requests & VM_REQUEST_END));
	entry_vm_destroy(other);
	pages_free(msrs, 1);
	log_set_level(LOG_INFO);
	log_info("%u entries broken and explained", (unsigned)ARRAY_SIZE(rows) - failed);
	return failed;
}

DEFINE_SELFTEST(entry_break, .name = "entry-break", .run = run);
