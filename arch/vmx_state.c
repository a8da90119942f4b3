/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of a loaded vCPU. The guest's view of CR0 and CR4 is kept apart
 * from the bits that VMX fixes by the masks and read shadows; the fields that
 * most exits touch are cached and written back only when they changed. Source:
 * Intel SDM volume 3, "Guest/Host Masks and Read Shadows for CR0 and CR4".
 */
#include "arch/vmx.h"

/* Bits that the guest changes without an exit. */
#define CR0_GUEST_OWNED (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM)
#define CR4_GUEST_OWNED                                                                           \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | CR4_PCE | CR4_OSFXSR |        \
	 CR4_OSXMMEXCPT)
/* And where a VM may have them: a CPU lets a guest set what the CPU knows. */
#define CR4_OWNED_IF_VALID (CR4_FSGSBASE | CR4_SMEP | CR4_SMAP)

void vmx_state_write_back(struct vmx_vcpu *v)
{
	for (u32 dirty = v->cache_dirty; dirty; dirty &= dirty - 1) {
		unsigned which = __builtin_ctz(dirty);

		vmcs_set(vmx_state_field(which), v->cache[which]);
	}
	v->cache_dirty = 0;
}

static void set_cr0(u64 value)
{
	/* CD and NW stay with the guest's view: the cache is not the guest's. */
	u64 real = (value & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET;

	vmwrite(CR0_SHADOW, value);
	vmwrite(GUEST_CR0, real & (vmx_caps.cr0_fixed1 | CR0_PE | CR0_PG));
	vmwrite(CR0_MASK, ~CR0_GUEST_OWNED);
}

static u64 cr4_owned(const struct virt_vcpu *vcpu)
{
	return CR4_GUEST_OWNED | (vcpu->cr4_valid & CR4_OWNED_IF_VALID);
}

static void set_cr4(const struct virt_vcpu *vcpu, u64 value)
{
	/* MCE is Trivet's: a machine check with it clear shuts the whole CPU down. */
	u64 real = value | vmx_caps.cr4_fixed0 | CR4_MCE;

	vmwrite(CR4_SHADOW, value);
	vmwrite(GUEST_CR4, real & vmx_caps.cr4_fixed1);
	vmwrite(CR4_MASK, ~cr4_owned(vcpu));
}

static void set_efer(u64 value)
{
	u32 entry = vmx_caps.use[VMX_ENTRY];

	vmwrite64(GUEST_EFER, value);
	vmwrite32(ENTRY_CONTROLS, value & EFER_LMA ? entry | ENTRY_CTL_IA32E : entry);
}

static u64 get_cr(u32 field, u32 shadow, u64 owned)
{
	return (vmcs_get(field) & owned) | (vmcs_get(shadow) & ~owned);
}

/* Where a debug register is kept that stays in the CPU while the vCPU is loaded. */
static u64 *debug_register(struct vmx_vcpu *v, enum vcpu_reg reg)
{
	vmx_vcpu_save_debug(v);
	return reg == VREG_DR6 ? &v->dr6 : &v->dr[reg - VREG_DR0];
}

/* Registers that are one VMCS field; 0 for the others. */
static const u32 plain_field[VREG_COUNT] = {
	[VREG_CR3] = VMCS_GUEST_CR3, [VREG_EFER] = VMCS_GUEST_EFER, [VREG_DR7] = VMCS_GUEST_DR7,
	[VREG_PDPTE0] = VMCS_GUEST_PDPTE0, [VREG_PDPTE1] = VMCS_GUEST_PDPTE1,
	[VREG_PDPTE2] = VMCS_GUEST_PDPTE2, [VREG_PDPTE3] = VMCS_GUEST_PDPTE3,
	[VREG_PENDING_DEBUG] = VMCS_GUEST_PENDING_DEBUG, [VREG_TSC_OFFSET] = VMCS_TSC_OFFSET,
	[VREG_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS, [VREG_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[VREG_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP, [VREG_HALTED] = VMCS_GUEST_ACTIVITY,
};

u64 vmx_state_get(struct virt_vcpu *vcpu, enum vcpu_reg reg)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	switch (reg) {
	case VREG_RIP ... VREG_RFLAGS:
		return vmx_state_cached(v, (enum vmx_cached)reg);
	case VREG_CR0:
		return get_cr(VMCS_GUEST_CR0, VMCS_CR0_SHADOW, CR0_GUEST_OWNED);
	case VREG_CR4:
		return get_cr(VMCS_GUEST_CR4, VMCS_CR4_SHADOW, cr4_owned(vcpu));
	case VREG_CR2:
		return read_cr2();
	case VREG_DR0 ... VREG_DR6:
		return *debug_register(v, reg);
	case VREG_SHADOW:
		return vmx_event_shadow(vcpu) & ~(u64)SHADOW_DEBUG;
	case VREG_XCR0:
		return v->xcr0;
	case VREG_PAT:
		return vmx_uses(VMX_ENTRY, ENTRY_CTL_LOAD_PAT) ? vmread64(GUEST_PAT) : 0;
	default:
		return vmcs_get(plain_field[reg]);
	}
}

void vmx_state_set(struct virt_vcpu *vcpu, enum vcpu_reg reg, u64 value)
{
	struct vmx_vcpu *v = to_vmx(vcpu);

	switch (reg) {
	case VREG_RIP ... VREG_RFLAGS:
		vmx_state_cache(v, (enum vmx_cached)reg, value);
		break;
	case VREG_CR0:
		set_cr0(value);
		break;
	case VREG_CR4:
		set_cr4(vcpu, value);
		virt_forget(&vcpu->served);
		break;
	case VREG_EFER:
		set_efer(value);
		break;
	case VREG_CR2:
		write_cr2(value);
		break;
	case VREG_DR0 ... VREG_DR6:
		*debug_register(v, reg) = value;
		vmx_vcpu_load_debug(v);
		break;
	case VREG_SHADOW:
		vmx_state_cache(v, CACHED_INTERRUPTIBILITY, value);
		break;
	case VREG_XCR0:
		v->xcr0 = value;
		virt_forget(&vcpu->served);
		if (read_cr4() & CR4_OSXSAVE)
			vmx_vcpu_set_xcr0(value);
		break;
	case VREG_PAT:
		if (vmx_uses(VMX_ENTRY, ENTRY_CTL_LOAD_PAT))
			vmwrite64(GUEST_PAT, value);
		break;
	default:
		vmcs_set(plain_field[reg], value);
	}
}

/* The fields of ES are followed by those of the next segments by twos, in the order of enum
 * sreg, LDTR, TR; those of the GDT by those of the IDT. */
void vmx_state_get_segment(struct virt_vcpu *vcpu, unsigned index, struct vcpu_segment *seg)
{
	u64 access = vmcs_get(VMCS_GUEST_ES_ACCESS + 2 * index);

	*seg = (struct vcpu_segment){
		.base = vmcs_get(VMCS_GUEST_ES_BASE + 2 * index),
		.limit = vmcs_get(VMCS_GUEST_ES_LIMIT + 2 * index),
		.selector = vmcs_get(VMCS_GUEST_ES_SELECTOR + 2 * index),
		.type = FIELD_GET(ACCESS_TYPE, access),
		.s = access & ACCESS_S,
		.dpl = FIELD_GET(ACCESS_DPL, access),
		.present = access & ACCESS_P,
		.avl = access & ACCESS_AVL,
		.l = access & ACCESS_L,
		.db = access & ACCESS_DB,
		.g = access & ACCESS_G,
		.unusable = access & ACCESS_UNUSABLE,
	};
}

void vmx_state_set_segment(struct virt_vcpu *vcpu, unsigned index, const struct vcpu_segment *seg)
{
	u64 access = FIELD_PREP(ACCESS_TYPE, seg->type) | (seg->s ? ACCESS_S : 0) |
		     FIELD_PREP(ACCESS_DPL, seg->dpl) | (seg->present ? ACCESS_P : 0) |
		     (seg->avl ? ACCESS_AVL : 0) | (seg->l ? ACCESS_L : 0) |
		     (seg->db ? ACCESS_DB : 0) | (seg->g ? ACCESS_G : 0) |
		     (seg->unusable ? ACCESS_UNUSABLE : 0);

	vmcs_set(VMCS_GUEST_ES_SELECTOR + 2 * index, seg->selector);
	vmcs_set(VMCS_GUEST_ES_LIMIT + 2 * index, seg->limit);
	vmcs_set(VMCS_GUEST_ES_ACCESS + 2 * index, access);
	vmcs_set(VMCS_GUEST_ES_BASE + 2 * index, seg->base);
}

void vmx_state_get_code(struct virt_vcpu *vcpu, struct virt_code *code, bool rights)
{
	u32 access = vmread32(GUEST_CS_ACCESS);

	code->rip = vmx_state_cached(to_vmx(vcpu), CACHED_RIP);
	code->cr3 = vmread(GUEST_CR3);
	code->efer = vmread64(GUEST_EFER);
	code->base = 0;
	code->mode = 64;
	if (rights) {
		code->cpl = FIELD_GET(ACCESS_DPL, vmread32(GUEST_SS_ACCESS));
		code->cr0 = get_cr(VMCS_GUEST_CR0, VMCS_CR0_SHADOW, CR0_GUEST_OWNED);
		code->cr4 = get_cr(VMCS_GUEST_CR4, VMCS_CR4_SHADOW, cr4_owned(vcpu));
		code->rflags = vmx_state_cached(to_vmx(vcpu), CACHED_RFLAGS);
	}
	if ((code->efer & EFER_LMA) && (access & ACCESS_L))
		return;
	code->base = vmread(GUEST_CS_BASE);
	code->mode = access & ACCESS_DB ? 32 : 16;
}

void vmx_state_get_table(struct virt_vcpu *vcpu, enum vcpu_table table, struct vcpu_dtable *value)
{
	value->base = vmcs_get(VMCS_GUEST_GDTR_BASE + 2 * table);
	value->limit = vmcs_get(VMCS_GUEST_GDTR_LIMIT + 2 * table);
}

void vmx_state_set_table(struct virt_vcpu *vcpu, enum vcpu_table table,
			 const struct vcpu_dtable *value)
{
	vmcs_set(VMCS_GUEST_GDTR_BASE + 2 * table, value->base);
	vmcs_set(VMCS_GUEST_GDTR_LIMIT + 2 * table, value->limit);
}
