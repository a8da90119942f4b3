/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Life of a vCPU: its VMCS, power-up state, and switching the state that stays
 * in the CPU while it runs (FPU and vector registers, syscall MSRs, debug
 * registers, CR2, XCR0), eagerly and only when a pCPU changes its vCPU. Source:
 * Intel SDM volume 3, "Software Use of Virtual-Machine Control Structures" and
 * "Processor State After Reset".
 */
#include "arch/vmx.h"

#include "arch/desc.h"
#include "arch/mitigate.h"
#include "arch/lib/audit.h"
#include "arch/percpu.h"

#define CPUID_1_ECX_XSAVE BIT(26)
/* The area of FXSAVE: its size, and where MXCSR and its mask stand; their values. */
enum { FXSAVE_SIZE = 512, FXSAVE_MXCSR = 24, FXSAVE_MXCSR_MASK = 28 };
enum { FCW_RESET = 0x37f, MXCSR_RESET = 0x1f80, MXCSR_MASK_DEFAULT = 0xffbf };

_Static_assert(sizeof(struct vmx_vcpu) <= PAGE_SIZE, "vmx_vcpu_create takes one page");
_Static_assert(VMX_FAIL_INVALID == 7 && VMX_FAIL_VALID == 8, "vmx_entry.asm knows them");
_Static_assert(offsetof(struct vmx_vcpu, base) == 0, "vmx_entry.asm knows the offsets");
_Static_assert(offsetof(struct vmx_vcpu, host_rsp) == 2776, "vmx_entry.asm knows the offsets");

/* Kept, since each CPUID of a nested Trivet is an exit. All of XCR0 that a guest
 * can have, 0 without XSAVE; no more, since XSAVE may name a component although it
 * is as at first, and a set would then refuse what a get gave. An area's size. */
static u64 xcr0_all;
static unsigned fpu_pages;
static struct virt_fpu fpu;

static void fpu_measure(void)
{
	u8 area[FXSAVE_SIZE] __attribute__((aligned(16)));
	bool xsave = cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE;

	xcr0_all = xsave ? cpuid(0xd, 0).eax & XCR0_GUEST : 0;
	if (xsave)
		xsetbv(0, xcr0_all);
	fpu.size = xsave ? cpuid(0xd, 0).ebx : FXSAVE_SIZE; /* for what XCR0 has */
	fpu.components = xcr0_all;
	fpu_pages = ALIGN_UP(fpu.size, PAGE_SIZE) / PAGE_SIZE;
	__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
	fpu.mxcsr_mask = *(u32 *)(area + FXSAVE_MXCSR_MASK);
	if (!fpu.mxcsr_mask)
		fpu.mxcsr_mask = MXCSR_MASK_DEFAULT;
}

static void vmclear(void *vmcs)
{
	hpa_t hpa = virt_to_phys(vmcs);

	__asm__ volatile("vmclear %0" ::"m"(hpa.v) : "cc", "memory");
}

/* Identifiers are handed out in turn; 0 is the host's own. */
static u16 next_vpid(void)
{
	static u32 last;
	u16 vpid;

	do
		vpid = (u16)__atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	while (vpid == 0);
	return vpid;
}

/* Too many to come to an end. */
static u64 next_serial(void)
{
	static u64 last;

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

int vmx_vcpu_create(struct virt_vm *vm, struct virt_vcpu **out)
{
	struct vmx_vcpu *v = pages_alloc(1);

	if (!v)
		return -ENOMEM;
	if (!fpu_pages)
		fpu_measure();
	v->vmcs = pages_alloc(1);
	v->fpu = pages_alloc(fpu_pages);
	v->base.apic = pages_alloc(1);
	if (vmx_uses(VMX_PROC2, PROC2_PML))
		v->pml = pages_alloc(1);
	if (!v->vmcs || !v->fpu || !v->base.apic || (vmx_uses(VMX_PROC2, PROC2_PML) && !v->pml)) {
		vmx_vcpu_destroy(&v->base);
		return -ENOMEM;
	}
	*(u32 *)v->vmcs = FIELD_GET(VMX_BASIC_REVISION, vmx_caps.basic);
	vmclear(v->vmcs);
	v->vm = vm;
	v->vpid = next_vpid();
	v->serial = next_serial();
	v->last_pcpu = ~0u;
	v->xcr0 = 1;
	*out = &v->base;
	return 0;
}

void vmx_vcpu_destroy(struct virt_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	if (v->vmcs)
		vmclear(v->vmcs);
	pages_free(v->vmcs, 1);
	pages_free(v->fpu, fpu_pages);
	pages_free(v->pml, 1);
	pages_free(v->base.apic, 1);
	pages_free(v, 1);
}

/* Fields that are 0 for good. */
static const u16 zero_fields[] = {
	VMCS_PF_ERROR_CODE_MASK, VMCS_PF_ERROR_CODE_MATCH, VMCS_CR3_TARGET_COUNT,
	VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_COUNT,
	VMCS_HOST_DS_SELECTOR, VMCS_HOST_ES_SELECTOR, VMCS_HOST_FS_SELECTOR,
	VMCS_HOST_GS_SELECTOR, VMCS_HOST_FS_BASE, VMCS_HOST_SYSENTER_CS,
	VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP,
};

void vmx_vcpu_controls2(struct vmx_vcpu *v, u32 mask, u32 bits)
{
	u32 controls = (v->proc2_controls & ~mask) | (bits & mask);

	if (controls == v->proc2_controls)
		return;
	v->proc2_controls = controls;
	vmwrite32(PROC_BASED_CONTROLS2, controls);
}

/* SDM: "VM-Execution Control Fields"; everything not written stays 0. */
static void write_controls(struct vmx_vcpu *v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(zero_fields); i++)
		vmcs_set(zero_fields[i], 0);
	v->proc_controls = vmx_caps.use[VMX_PROC];
	vmwrite32(PIN_BASED_CONTROLS, vmx_caps.use[VMX_PIN]);
	v->proc2_controls = 0;
	vmx_vcpu_controls2(v, ~0u, vmx_caps.use[VMX_PROC2] & ~(PROC2_APIC | PROC2_PAUSE_LOOP));
	vmwrite32(EXIT_CONTROLS, vmx_caps.use[VMX_EXIT]);
	vmwrite32(ENTRY_CONTROLS, vmx_caps.use[VMX_ENTRY]);
	vmx_event_trap(&v->base, 0);
	vmwrite32(ENTRY_INTR_INFO, 0);
	vmwrite64(VMCS_LINK_POINTER, ~0ull);
	vmwrite64(EPT_POINTER, v->vm->ept_pointer);
	vmx_apic_reset(v);
	if (vmx_uses(VMX_PROC2, PROC2_VPID))
		vmwrite16(VPID, v->vpid);
	/* SGX is hidden: without this a guest's kernel could use the host's. */
	if (vmx_uses(VMX_PROC2, PROC2_ENCLS))
		vmwrite64(ENCLS_EXITING_BITMAP, ~0ull);
	if (vmx_uses(VMX_PROC2, PROC2_XSAVES))
		vmwrite64(XSS_EXITING_BITMAP, 0);
	if (v->pml) {
		vmwrite64(PML_ADDRESS, virt_to_phys(v->pml).v);
		vmwrite16(PML_INDEX, PML_LAST);
	}
}

/* "Processor State After Reset"; what does not stand in the tables is 0. */
static const struct vcpu_segment reset_segment[VSEG_COUNT] = {
	[SREG_ES] = {.limit = 0xffff, .type = 3, .s = true, .present = true},
	[SREG_CS] = {.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .type = 11,
		     .s = true, .present = true},
	[SREG_SS ... SREG_GS] = {.limit = 0xffff, .type = 3, .s = true, .present = true},
	[VSEG_LDTR] = {.limit = 0xffff, .type = 2, .present = true},
	[VSEG_TR] = {.limit = 0xffff, .type = 11, .present = true},
};
static const struct vcpu_dtable reset_table = {.base = 0, .limit = 0xffff};
static const u64 reset_reg[VREG_COUNT] = {
	[VREG_CR0] = CR0_CD | CR0_NW | CR0_ET, [VREG_RIP] = 0xfff0, [VREG_RFLAGS] = RFLAGS_ONE,
	[VREG_DR6] = 0xffff0ff0, [VREG_DR7] = 0x400, [VREG_PAT] = MSR_PAT_RESET, [VREG_XCR0] = 1,
};

void vmx_vcpu_set_xcr0(u64 value)
{
	struct pcpu *pcpu = this_pcpu();

	if (pcpu->xcr0 != value)
		xsetbv(0, value);
	pcpu->xcr0 = value;
}

/* Moves, with XCR0 for all of it, the whole FPU state to or from the vCPU's area, by `xsave` or
 * without it by `fxsave`. */
#define FPU_MOVE(v, xsave, fxsave)                                                                \
	do {                                                                                      \
		if (xcr0_all) {                                                                   \
			vmx_vcpu_set_xcr0(xcr0_all);                                              \
			__asm__ volatile(xsave " (%0)" ::"r"((v)->fpu), "a"((u32)xcr0_all),       \
					 "d"((u32)(xcr0_all >> 32))                               \
					 : "memory");                                             \
		} else {                                                                          \
			__asm__ volatile(fxsave " (%0)" ::"r"((v)->fpu) : "memory");              \
		}                                                                                 \
	} while (0)

static void fpu_restore(struct vmx_vcpu *v)
{
	FPU_MOVE(v, "xrstor64", "fxrstor64");
	if (xcr0_all)
		vmx_vcpu_set_xcr0(v->xcr0);
}

static void fpu_save(struct vmx_vcpu *v)
{
	FPU_MOVE(v, "xsave64", "fxsave64");
}

/* The state after FNINIT in the legacy area; the header says: all else initial. */
static void reset_fpu(struct vmx_vcpu *v)
{
	memset(v->fpu, 0, fpu_pages * PAGE_SIZE);
	*(u16 *)v->fpu = FCW_RESET;
	*(u32 *)((u8 *)v->fpu + FXSAVE_MXCSR) = MXCSR_RESET;
	fpu_restore(v);
}

void vmx_vcpu_load_debug(const struct vmx_vcpu *v)
{
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3; mov %4, %%dr6"
			 ::"r"(v->dr[0]), "r"(v->dr[1]), "r"(v->dr[2]), "r"(v->dr[3]), "r"(v->dr6));
}

void vmx_vcpu_save_debug(struct vmx_vcpu *v)
{
	__asm__ volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3; mov %%dr6, %4"
			 : "=&r"(v->dr[0]), "=&r"(v->dr[1]), "=&r"(v->dr[2]), "=&r"(v->dr[3]),
			   "=&r"(v->dr6));
}

const struct virt_fpu *vmx_vcpu_fpu(void)
{
	return &fpu;
}

void vmx_vcpu_get_fpu(struct virt_vcpu *vcpu, void *area)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	fpu_save(v);
	if (xcr0_all)
		vmx_vcpu_set_xcr0(v->xcr0);
	memcpy(area, v->fpu, fpu.size);
}

void vmx_vcpu_set_fpu(struct virt_vcpu *vcpu, const void *area)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	memcpy(v->fpu, area, fpu.size);
	fpu_restore(v);
}

void vmx_vcpu_set_spec_ctrl(struct vmx_vcpu *v, u64 value)
{
	v->spec_ctrl = value;
	v->guarded = mitigate_needs(MITIGATE_L1D) || (value & ~mitigate.spec_ctrl);
}

static void msrs_load(struct vmx_vcpu *v)
{
	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		if (i != SWITCHED_TSC_AUX || vmx_uses(VMX_PROC2, PROC2_RDTSCP))
			wrmsr(vmx_msr_switched[i], v->msr[i]);
}

/* What reset and INIT have in common. */
static void reset_core(struct virt_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	write_controls(v);
	memset(v->base.gpr, 0, sizeof(v->base.gpr));
	v->base.gpr[GPR_RDX] = cpuid(1, 0).eax;
	v->cache_valid = v->cache_dirty = 0;
	v->vectoring_info = 0;
	v->flush_vpid = true;
	vmx_vcpu_set_spec_ctrl(v, 0);
	for (unsigned i = 0; i < VSEG_COUNT; i++)
		vmx_state_set_segment(vcpu, i, &reset_segment[i]);
	vmx_state_set_table(vcpu, VTABLE_GDT, &reset_table);
	vmx_state_set_table(vcpu, VTABLE_IDT, &reset_table);
	for (unsigned i = 0; i < VREG_COUNT; i++)
		vmx_state_set(vcpu, i, reset_reg[i]);
	vmwrite64(GUEST_DEBUGCTL, 0);
}

void vmx_vcpu_reset(struct virt_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	reset_core(vcpu);
	memset(v->msr, 0, sizeof(v->msr));
	msrs_load(v);
	reset_fpu(v);
}

/* What INIT leaves as it was; CR0.CD and NW too. */
static const u8 kept_by_init[] = {VREG_PAT, VREG_XCR0, VREG_TSC_OFFSET, VREG_SYSENTER_CS,
				  VREG_SYSENTER_ESP, VREG_SYSENTER_EIP};

void vmx_vcpu_init(struct virt_vcpu *vcpu)
{
	u64 kept[ARRAY_SIZE(kept_by_init)], cr0 = vmx_state_get(vcpu, VREG_CR0);

	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		kept[i] = vmx_state_get(vcpu, kept_by_init[i]);
	reset_core(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		vmx_state_set(vcpu, kept_by_init[i], kept[i]);
	vmx_state_set(vcpu, VREG_CR0, (cr0 & (CR0_CD | CR0_NW)) | CR0_ET);
}

/* SDM: "Host-State Area"; the CPU comes back into exactly this state. */
/* What is this pCPU's for good. */
static void write_host_state(void)
{
	struct desc_pointer gdt, idt;
	u16 cs, ss, tr;
	u64 descriptor_low, descriptor_high;

	__asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
	__asm__ volatile("mov %%cs, %0; mov %%ss, %1; str %2" : "=r"(cs), "=r"(ss), "=r"(tr));
	vmwrite16(HOST_CS_SELECTOR, cs);
	vmwrite16(HOST_SS_SELECTOR, ss);
	vmwrite16(HOST_TR_SELECTOR, tr);
	vmwrite(HOST_GDTR_BASE, gdt.base);
	vmwrite(HOST_IDTR_BASE, idt.base);
	/* The base of the TSS stands in four places of its descriptor. */
	descriptor_low = *(u64 *)(gdt.base + (tr & ~7u));
	descriptor_high = *(u64 *)(gdt.base + (tr & ~7u) + 8);
	vmwrite(HOST_TR_BASE, FIELD_GET(BITS(39, 16), descriptor_low) |
				      FIELD_GET(BITS(63, 56), descriptor_low) << 24 |
				      descriptor_high << 32);
	vmwrite(HOST_GS_BASE, (u64)this_pcpu());
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR4, read_cr4());
	vmwrite64(HOST_EFER, rdmsr(MSR_EFER));
	if (vmx_uses(VMX_EXIT, EXIT_CTL_LOAD_PAT))
		vmwrite64(HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(HOST_RIP, (u64)vmx_entry_exit);
}

/*
 * Between two vCPUs, be they of one VM or not, no prediction passes: each is known by a
 * serial number, since the memory of one that is gone becomes another one. One that
 * comes back from another CPU also meets what it was trained to here before: barriers
 * that the guest made meanwhile were made there.
 */
static void barrier(const struct vmx_vcpu *v, struct pcpu *pcpu)
{
	if (mitigate_needs(MITIGATE_IBPB) &&
	    (pcpu->guest != v->serial || v->last_pcpu != pcpu->id))
		msr_write_safe(MSR_PRED_CMD, PRED_CMD_IBPB);
	pcpu->guest = v->serial;
}

void vmx_vcpu_load(struct virt_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);
	hpa_t vmcs = virt_to_phys(v->vmcs);
	u32 id = this_pcpu()->id;

	barrier(v, this_pcpu());
	__asm__ volatile("vmptrld %0" ::"m"(vmcs.v) : "cc", "memory");
	v->host_rsp = 0;
	vmwrite(HOST_CR3, read_cr3());
	if (v->last_pcpu != id) {
		write_host_state();
		v->last_pcpu = id;
		v->flush_vpid = true;
		v->generation = 0;
	}
	write_cr2(v->cr2);
	vmx_vcpu_load_debug(v);
	msrs_load(v);
	fpu_restore(v);
	AUDIT(AUDIT_LOADED, vcpu);
}

void vmx_vcpu_put(struct virt_vcpu *vcpu)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	AUDIT(AUDIT_PUT, vcpu);
	vmx_state_write_back(v);
	v->cache_valid = 0;
	fpu_save(v);
	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		if (i != SWITCHED_TSC_AUX || vmx_uses(VMX_PROC2, PROC2_RDTSCP))
			v->msr[i] = rdmsr(vmx_msr_switched[i]);
	vmx_vcpu_save_debug(v);
	v->cr2 = read_cr2();
	vmclear(v->vmcs);
	v->launched = false;
}
