/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of MOV to control registers. Source: Intel SDM volume 3, "Control
 * Registers", "Paging-Mode Enabling" and "PDPTE Registers"; volume 2, "MOV -
 * Move to/from Control Registers".
 */
#include "vmm/cr.h"

#include "vmm/gmem.h"
#include "vmm/inject.h"
#include "vmm/vm.h"

#define CR0_DEFINED                                                                               \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW |         \
	 CR0_CD | CR0_PG)
#define CR0_LMSW	(CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define CR0_PDPTE	(CR0_PG | CR0_CD | CR0_NW)
#define CR4_PDPTE	(CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define CR3_PCID	BITS(11, 0)
#define CR3_NO_FLUSH	BIT(63)
#define CR8_TPR		BITS(3, 0)
#define PDPTE_PRESENT	BIT(0)
#define PDPTE_RESERVED	(BITS(2, 1) | BITS(8, 5))
#define TSS_TYPE_16	1 /* and with the busy bit, 3 */

static u64 get(struct vcpu *vcpu, enum vcpu_reg reg)
{
	return virt->get(vcpu->virt, reg);
}

static bool in_pae(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* Bits above the physical address width. */
static u64 reserved_address(const struct vcpu *vcpu)
{
	return ~(BIT(vcpu->vm->cpuid.maxphyaddr) - 1);
}

static bool valid_pdptes(const struct vcpu *vcpu, const u64 pdpte[4])
{
	for (unsigned i = 0; i < 4; i++)
		if ((pdpte[i] & PDPTE_PRESENT) &&
		    (pdpte[i] & (PDPTE_RESERVED | reserved_address(vcpu))))
			return false;
	return true;
}

/* Loads the PDPTE registers from memory; false when one has reserved bits set. */
static bool load_pdptes(struct vcpu *vcpu, u64 cr3)
{
	u64 pdpte[4];

	/* Tables outside RAM read as all ones, which sets reserved bits. */
	if (guest_read(vcpu->vm, GPA(cr3 & BITS(31, 5)), pdpte, sizeof(pdpte)) ||
	    !valid_pdptes(vcpu, pdpte))
		return false;
	for (unsigned i = 0; i < 4; i++)
		virt->set(vcpu->virt, VREG_PDPTE0 + i, pdpte[i]);
	return true;
}

/* Whether IA-32e mode may be switched on; its CS and TSS have to fit. */
static bool may_enter_long(struct vcpu *vcpu)
{
	struct vcpu_segment cs, tr;

	virt->get_segment(vcpu->virt, SREG_CS, &cs);
	virt->get_segment(vcpu->virt, VSEG_TR, &tr);
	return (get(vcpu, VREG_CR4) & CR4_PAE) && !cs.l && (tr.type & ~2u) != TSS_TYPE_16;
}

static bool may_leave_paging(struct vcpu *vcpu, u64 efer)
{
	struct vcpu_segment cs;

	if (get(vcpu, VREG_CR4) & CR4_PCIDE)
		return false;
	virt->get_segment(vcpu->virt, SREG_CS, &cs);
	return !((efer & EFER_LMA) && cs.l);
}

/* The busy bit of TR: VM entries in IA-32e mode want a busy 64-bit TSS. */
static void fix_tr(struct vcpu *vcpu)
{
	struct vcpu_segment tr;

	virt->get_segment(vcpu->virt, VSEG_TR, &tr);
	if (tr.type == 11)
		return;
	tr.type = 11;
	virt->set_segment(vcpu->virt, VSEG_TR, &tr);
}

static bool set_cr0(struct vcpu *vcpu, u64 value)
{
	u64 old = get(vcpu, VREG_CR0), efer = get(vcpu, VREG_EFER), cr4 = get(vcpu, VREG_CR4);
	u64 new_efer = efer;

	value = (value & ~(BITS(31, 0) & ~CR0_DEFINED)) | CR0_ET;
	if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	if (!(old & CR0_PG) && (value & CR0_PG) && (efer & EFER_LME)) {
		if (!may_enter_long(vcpu))
			return false;
		new_efer |= EFER_LMA;
	} else if ((old & CR0_PG) && !(value & CR0_PG)) {
		if (!may_leave_paging(vcpu, efer))
			return false;
		new_efer &= ~EFER_LMA;
	}
	if (in_pae(value, cr4, new_efer) && ((old ^ value) & CR0_PDPTE) &&
	    !load_pdptes(vcpu, get(vcpu, VREG_CR3)))
		return false;
	if (new_efer != efer) {
		virt->set(vcpu->virt, VREG_EFER, new_efer);
		if (new_efer & EFER_LMA)
			fix_tr(vcpu);
	}
	virt->set(vcpu->virt, VREG_CR0, value);
	if ((old ^ value) & (CR0_PG | CR0_WP))
		virt->flush(vcpu->virt);
	return true;
}

static bool set_cr4(struct vcpu *vcpu, u64 value)
{
	u64 old = get(vcpu, VREG_CR4), cr0 = get(vcpu, VREG_CR0), efer = get(vcpu, VREG_EFER);

	if ((value & ~vcpu->vm->cpuid.cr4_valid) || ((efer & EFER_LMA) && !(value & CR4_PAE)) ||
	    ((value & ~old & CR4_PCIDE) &&
	     (!(efer & EFER_LMA) || (get(vcpu, VREG_CR3) & CR3_PCID))))
		return false;
	if (in_pae(cr0, value, efer) && ((old ^ value) & CR4_PDPTE) &&
	    !load_pdptes(vcpu, get(vcpu, VREG_CR3)))
		return false;
	virt->set(vcpu->virt, VREG_CR4, value);
	if (((old ^ value) & (CR4_PDPTE | CR4_SMAP)) || (old & ~value & CR4_PCIDE))
		virt->flush(vcpu->virt);
	return true;
}

/* Only reached where the CPU cannot let CR3 go without an exit. */
static bool set_cr3(struct vcpu *vcpu, u64 value)
{
	u64 efer = get(vcpu, VREG_EFER), cr4 = get(vcpu, VREG_CR4);

	if (cr4 & CR4_PCIDE)
		value &= ~CR3_NO_FLUSH;
	if ((efer & EFER_LMA) && (value & reserved_address(vcpu)))
		return false;
	if (in_pae(get(vcpu, VREG_CR0), cr4, efer) && !load_pdptes(vcpu, value))
		return false;
	virt->set(vcpu->virt, VREG_CR3, value);
	virt->flush(vcpu->virt);
	return true;
}

static bool set_cr8(struct vcpu *vcpu, u64 value)
{
	if (value & ~CR8_TPR)
		return false;
	lapic_set_cr8(vcpu->virt, value);
	return true;
}

static bool write_cr(struct vcpu *vcpu, unsigned cr, u64 value)
{
	switch (cr) {
	case 0: return set_cr0(vcpu, value);
	case 3: return set_cr3(vcpu, value);
	case 4: return set_cr4(vcpu, value);
	case 8: return set_cr8(vcpu, value);
	default: return false;
	}
}

static u64 read_cr(struct vcpu *vcpu, unsigned cr)
{
	switch (cr) {
	case 0: return get(vcpu, VREG_CR0);
	case 3: return get(vcpu, VREG_CR3);
	case 4: return get(vcpu, VREG_CR4);
	default: return lapic_get_cr8(vcpu->virt);
	}
}

/* A 32-bit operand outside 64-bit mode, where registers have no high half. */
u64 cr_operand(struct vcpu *vcpu, unsigned gpr)
{
	struct vcpu_segment cs;

	virt->get_segment(vcpu->virt, SREG_CS, &cs);
	if ((get(vcpu, VREG_EFER) & EFER_LMA) && cs.l)
		return vcpu_gpr(vcpu, gpr);
	return (u32)vcpu_gpr(vcpu, gpr);
}

void cr_access(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	u64 cr0 = get(vcpu, VREG_CR0);
	bool valid = true;

	switch (exit->cr.access) {
	case CR_WRITE:
		valid = write_cr(vcpu, exit->cr.cr, cr_operand(vcpu, exit->cr.gpr));
		break;
	case CR_READ:
		vcpu_set_gpr(vcpu, exit->cr.gpr, read_cr(vcpu, exit->cr.cr));
		break;
	case CR_CLTS:
		valid = set_cr0(vcpu, cr0 & ~CR0_TS);
		break;
	case CR_LMSW:
		/* LMSW sets PE but never clears it. */
		valid = set_cr0(vcpu, (cr0 & ~(CR0_LMSW & ~CR0_PE)) | (exit->cr.lmsw & CR0_LMSW));
		break;
	}
	if (valid)
		vcpu_skip(vcpu, exit);
	else
		inject_gp(vcpu);
}

const char *cr_check(const struct vcpu *vcpu, const struct vcpu_sregs *s)
{
	const struct cpuid_table *cpuid = &vcpu->vm->cpuid;
	bool paging = s->cr0 & CR0_PG, lma = s->efer & EFER_LMA;
	const struct {
		bool broken;
		const char *rule;
	} rules[] = {
		{s->cr0 & ~CR0_DEFINED, "CR0 has reserved bits set"},
		{paging && !(s->cr0 & CR0_PE), "CR0.PG needs CR0.PE"},
		{(s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD), "CR0.NW needs CR0.CD"},
		{s->cr4 & ~cpuid->cr4_valid, "CR4 has bits set that the VM's CPUID does not offer"},
		{s->efer & ~cpuid->efer_valid, "EFER has bits set that the VM's CPUID does not offer"},
		{lma != (paging && (s->efer & EFER_LME)), "EFER.LMA is EFER.LME with CR0.PG"},
		{lma && !(s->cr4 & CR4_PAE), "EFER.LMA needs CR4.PAE"},
		{(s->cr4 & CR4_PCIDE) && !lma, "CR4.PCIDE needs EFER.LMA"},
		{s->cr3 & reserved_address(vcpu), "CR3 is beyond the VM's physical address width"},
		{s->cr8 & ~CR8_TPR, "CR8 has reserved bits set"},
		{in_pae(s->cr0, s->cr4, s->efer) && !valid_pdptes(vcpu, s->pdpte),
		 "a PDPTE has reserved bits set"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].broken)
			return rules[i].rule;
	return NULL;
}

bool cr_set_efer(struct vcpu *vcpu, u64 value)
{
	u64 old = get(vcpu, VREG_EFER);

	/* LMA is read-only: what is written to it does not matter. */
	value = (value & ~EFER_LMA) | (old & EFER_LMA);
	if ((value & ~vcpu->vm->cpuid.efer_valid) ||
	    (((old ^ value) & EFER_LME) && (get(vcpu, VREG_CR0) & CR0_PG)))
		return false;
	virt->set(vcpu->virt, VREG_EFER, value);
	if ((old ^ value) & EFER_NXE)
		virt->flush(vcpu->virt);
	return true;
}

bool cr_set_xcr(struct vcpu *vcpu, u32 index, u64 value)
{
	if (index != 0 || !(value & XCR0_X87) || (value & ~vcpu->vm->cpuid.xcr0_valid) ||
	    ((value & XCR0_AVX) && !(value & XCR0_SSE)) ||
	    ((value & XCR0_AVX512) && (~value & (XCR0_AVX512 | XCR0_AVX))))
		return false;
	virt->set(vcpu->virt, VREG_XCR0, value);
	return true;
}
