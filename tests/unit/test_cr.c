/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: tests/unit/fake_lapic.c */
/* SOURCES: vmm/cr.c vmm/inject.c vmm/vcpu.c vmm/vcpu_debug.c arch/virt.c tests/unit/fake_sched.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * Control registers, EFER and XCR0: every condition under which the manual
 * gives #GP, and what a valid write changes. Source: Intel SDM volume 2, "MOV -
 * Move to/from Control Registers", "XSETBV", "LMSW", "CLTS"; volume 3, "Control
 * Registers", "PDPTE Registers", "Initializing IA-32e Mode".
 */
#include "vmm/cr.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/gmem.h"
#include "vmm/msr.h"
#include "vmm/serve.h"
#include "vmm/vm.h"
#include "vmm/vtimer.h"

#define RIP 0x1000
#define CR4_ALL                                                                                   \
	(BITS(11, 0) | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)

static struct vm vm;
static struct vcpu vcpu;
static struct fake_vcpu *cpu;
static u64 pdpt[4], pdpt_at;
static unsigned pdpt_reads;

/* Nothing runs here. */
enum virt_asked serve_io(void *owner, u32 port, u32 in)
{
	fail_msg("port %x of %p, %u", port, owner, in);
	return VIRT_UNSERVED;
}

enum virt_asked serve_wrmsr(void *owner, u32 index, u64 value)
{
	fail_msg("MSR %x of %p, %llx", index, owner, (unsigned long long)value);
	return VIRT_UNSERVED;
}

enum virt_asked serve_timer(void *owner)
{
	fail_msg("timer of %p", owner);
	return VIRT_UNSERVED;
}

void vm_request_reset(struct vm *of, const char *how)
{
	fail_msg("reset of %p by %s", (void *)of, how);
}

void vm_device_lock(struct vm *of)
{
	(void)of;
}

void vm_device_unlock(struct vm *of)
{
	(void)of;
}

void msr_reset(struct vcpu *of)
{
	(void)of;
}

void pv_reset(struct vcpu *of)
{
	(void)of;
}

void pv_tell_clock(struct vcpu *of)
{
	(void)of;
}

void pv_load(struct vcpu *of)
{
	(void)of;
}

void pv_put(struct vcpu *of, bool preempted)
{
	(void)of;
	(void)preempted;
}

int guest_read(struct vm *of, gpa_t gpa, void *dst, size_t len)
{
	assert_ptr_equal(of, &vm);
	pdpt_reads++;
	if (gpa.v != pdpt_at || len != sizeof(pdpt))
		return -EFAULT;
	memcpy(dst, pdpt, len);
	return 0;
}

/* Modes to start from. */
static void mode(u64 cr0, u64 cr4, u64 efer, bool l)
{
	cpu->reg[VREG_CR0] = cr0;
	cpu->reg[VREG_CR4] = cr4;
	cpu->reg[VREG_EFER] = efer;
	cpu->seg[SREG_CS] = (struct vcpu_segment){
		.limit = 0xffffffff, .type = 11, .s = true, .present = true, .l = l, .db = !l};
	cpu->flushes = 0;
}

static void protected_mode(void)
{
	mode(CR0_PE | CR0_ET, 0, 0, false);
}

static void long_mode(void)
{
	mode(CR0_PG | CR0_PE | CR0_ET, CR4_PAE, EFER_LME | EFER_LMA, true);
}

static int setup(void **state)
{
	(void)state;
	fake_host_init(0);
	fake_virt_init();
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	vm.cpuid.cr4_valid = CR4_ALL;
	vm.cpuid.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	vm.cpuid.xcr0_valid = 0xe7;
	vm.cpuid.maxphyaddr = 40;
	vcpu.vm = &vm;
	virt->vcpu_create(NULL, &vcpu.virt);
	virt->vcpu_reset(vcpu.virt);
	cpu = fake_vcpu_of(vcpu.virt);
	memset(pdpt, 0, sizeof(pdpt));
	pdpt_at = 0x2000;
	pdpt_reads = 0;
	protected_mode();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	virt->vcpu_destroy(vcpu.virt);
	return 0;
}

/* True when the access was done and RIP moved, false when it gave #GP(0) and changed nothing. */
static bool access_done(const struct vcpu_exit *exit)
{
	struct fake_vcpu before;
	bool done;

	vcpu.exception.type = EVENT_NONE;
	cpu->reg[VREG_RIP] = RIP;
	before = *cpu;
	cr_access(&vcpu, exit);
	done = vcpu.exception.type == EVENT_NONE;
	assert_int_equal(cpu->reg[VREG_RIP], done ? RIP + 3 : RIP);
	if (!done) {
		assert_int_equal(vcpu.exception.vector, 13);
		assert_true(vcpu.exception.has_error);
		assert_int_equal(vcpu.exception.error, 0);
		assert_memory_equal(cpu->reg, before.reg, sizeof(before.reg));
		assert_memory_equal(cpu->seg, before.seg, sizeof(before.seg));
	}
	return done;
}

static bool mov_to(unsigned cr, u64 value)
{
	struct vcpu_exit exit = {.reason = EXIT_CR, .insn_len = 3,
				 .cr = {.access = CR_WRITE, .cr = cr, .gpr = GPR_RBX}};

	cpu->base.gpr[GPR_RBX] = value;
	return access_done(&exit);
}

static u64 mov_from(unsigned cr)
{
	struct vcpu_exit exit = {.reason = EXIT_CR, .insn_len = 3,
				 .cr = {.access = CR_READ, .cr = cr, .gpr = GPR_RSI}};

	assert_true(access_done(&exit));
	return cpu->base.gpr[GPR_RSI];
}

static bool lmsw(u16 value)
{
	struct vcpu_exit exit = {.insn_len = 3, .cr = {.access = CR_LMSW, .lmsw = value}};

	return access_done(&exit);
}

static void cr0_reads_back_as_a_cpu_has_it(void **state)
{
	(void)state;
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_WP));
	assert_int_equal(mov_from(0), 0x80010011);
	/* ET is 1 for good, reserved bits of the low half read 0, NE is the guest's own */
	assert_true(mov_to(0, CR0_PE));
	assert_int_equal(mov_from(0), 0x11);
	assert_true(mov_to(0, 0x1ff8ffc0 | CR0_PE | CR0_NE));
	assert_int_equal(mov_from(0), 0x31 | (0x1ff8ffc0 & (CR0_AM | CR0_WP)));
	assert_true(mov_to(0, CR0_PE | CR0_CD | CR0_NW | CR0_AM | CR0_TS | CR0_EM | CR0_MP));
	assert_int_equal(mov_from(0), 0x6004001f);
}

static void cr0_invalid_combinations(void **state)
{
	(void)state;
	assert_false(mov_to(0, CR0_PG));		    /* without PE */
	assert_false(mov_to(0, CR0_PE | CR0_NW));	    /* without CD */
	assert_true(mov_to(0, CR0_PE | CR0_CD));
	assert_true(mov_to(0, CR0_PE | CR0_CD | CR0_NW));
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_CD | CR0_NW));
	assert_false(mov_to(0, CR0_CD | CR0_PG));
	/* outside 64-bit mode there are no bits 63:32 */
	assert_true(mov_to(0, BIT(32) | CR0_PG | CR0_PE));
	long_mode();
	for (unsigned bit = 32; bit < 64; bit++)
		assert_false(mov_to(0, BIT(bit) | CR0_PG | CR0_PE));
}

static void entering_long_mode(void **state)
{
	(void)state;
	/* needs CR4.PAE */
	mode(CR0_PE | CR0_ET, 0, EFER_LME, false);
	assert_false(mov_to(0, CR0_PG | CR0_PE));
	/* not with CS.L, nor with a 16-bit TSS */
	mode(CR0_PE | CR0_ET, CR4_PAE, EFER_LME, true);
	assert_false(mov_to(0, CR0_PG | CR0_PE));
	mode(CR0_PE | CR0_ET, CR4_PAE, EFER_LME, false);
	cpu->seg[VSEG_TR].type = 1;
	assert_false(mov_to(0, CR0_PG | CR0_PE));
	cpu->seg[VSEG_TR].type = 3;
	assert_false(mov_to(0, CR0_PG | CR0_PE));
	cpu->seg[VSEG_TR].type = 9;
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_WP));
	assert_int_equal(mov_from(0), 0x80010011);
	assert_int_equal(cpu->reg[VREG_EFER], EFER_LME | EFER_LMA);
	/* "Checks on Guest Segment Registers": TR is a busy 64-bit TSS in IA-32e mode */
	assert_int_equal(cpu->seg[VSEG_TR].type, 11);
	/* IA-32e mode has no PDPTE registers */
	assert_int_equal(pdpt_reads, 0);
	assert_true(cpu->flushes > 0);
}

static void leaving_long_mode(void **state)
{
	(void)state;
	long_mode();
	assert_false(mov_to(0, CR0_PE)); /* in 64-bit mode */
	cpu->seg[SREG_CS].l = false;	 /* compatibility mode may */
	cpu->reg[VREG_CR4] |= CR4_PCIDE;
	assert_false(mov_to(0, CR0_PE));
	cpu->reg[VREG_CR4] &= ~CR4_PCIDE;
	assert_true(mov_to(0, CR0_PE));
	assert_int_equal(cpu->reg[VREG_EFER], EFER_LME);
	assert_int_equal(mov_from(0), 0x11);
	assert_true(cpu->flushes > 0);
}

static void paging_without_lme_stays_legacy(void **state)
{
	(void)state;
	assert_true(mov_to(0, CR0_PG | CR0_PE));
	assert_int_equal(cpu->reg[VREG_EFER], 0);
	assert_int_equal(pdpt_reads, 0);
	assert_true(cpu->flushes > 0);
	cpu->flushes = 0;
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_TS)); /* touches no translation */
	assert_int_equal(cpu->flushes, 0);
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_WP));
	assert_true(cpu->flushes > 0);
	assert_true(mov_to(0, CR0_PE));
}

/* PDPTEs are loaded, and checked, by MOV to CR0 that changes CD, NW or PG, ... */
static void pae_loads_pdptes(void **state)
{
	(void)state;
	mode(CR0_PE | CR0_ET, CR4_PAE, 0, false);
	cpu->reg[VREG_CR3] = 0x2018; /* PWT and PCD are ignored */
	pdpt[0] = 0x5001;
	pdpt[1] = 0xfffffffffffffffe; /* not present: anything goes */
	pdpt[2] = 0xff00007019;	      /* PWT, PCD and the highest address bit of 40 */
	assert_true(mov_to(0, CR0_PG | CR0_PE));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(cpu->reg[VREG_PDPTE0 + i], pdpt[i]);
	pdpt[3] = 0x9001;
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_WP));
	assert_int_equal(cpu->reg[VREG_PDPTE3], 0);
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_CD));
	assert_int_equal(cpu->reg[VREG_PDPTE3], 0x9001);
	pdpt[3] = 0xa001;
	assert_true(mov_to(0, CR0_PG | CR0_PE | CR0_CD | CR0_NW));
	assert_int_equal(cpu->reg[VREG_PDPTE3], 0xa001);
	/* ... MOV to CR3, ... */
	pdpt_at = 0x3000;
	pdpt[3] = 0xb001;
	assert_true(mov_to(3, 0x3000));
	assert_int_equal(cpu->reg[VREG_PDPTE3], 0xb001);
	assert_int_equal(cpu->reg[VREG_CR3], 0x3000);
	/* ... and MOV to CR4 that changes PAE, PGE, PSE or SMEP */
	for (unsigned i = 0; i < 4; i++) {
		static const u64 bits[] = {CR4_PGE, CR4_PSE, CR4_SMEP, CR4_DE};

		pdpt[3] += 0x1000;
		assert_true(mov_to(4, CR4_PAE | bits[i]));
		cpu->reg[VREG_CR4] = CR4_PAE;
		assert_int_equal(cpu->reg[VREG_PDPTE3], i == 3 ? pdpt[3] - 0x1000 : pdpt[3]);
	}
	mode(CR0_PG | CR0_PE | CR0_ET, 0, 0, false);
	assert_true(mov_to(4, CR4_PAE));
	assert_int_equal(cpu->reg[VREG_PDPTE3], pdpt[3]);
}

static void pae_reserved_bits(void **state)
{
	(void)state;
	cpu->reg[VREG_CR3] = 0x2000;
	for (unsigned entry = 0; entry < 4; entry++)
		for (unsigned bit = 1; bit < 64; bit++) {
			bool reserved = bit <= 2 || (bit >= 5 && bit <= 8) || bit >= 40;

			memset(pdpt, 0, sizeof(pdpt));
			pdpt[entry] = 1 | BIT(bit);
			mode(CR0_PE | CR0_ET, CR4_PAE, 0, false);
			assert_int_equal(mov_to(0, CR0_PG | CR0_PE), !reserved);
			mode(CR0_PG | CR0_PE | CR0_ET, CR4_PAE, 0, false);
			assert_int_equal(mov_to(3, 0x2000), !reserved);
			mode(CR0_PG | CR0_PE | CR0_ET, 0, 0, false);
			assert_int_equal(mov_to(4, CR4_PAE), !reserved);
		}
	/* outside RAM the bus reads all ones, which has reserved bits */
	memset(pdpt, 0, sizeof(pdpt));
	mode(CR0_PG | CR0_PE | CR0_ET, CR4_PAE, 0, false);
	assert_false(mov_to(3, 0x7000));
	/* without paging CR3 is but a register */
	mode(CR0_PE | CR0_ET, CR4_PAE, 0, false);
	assert_true(mov_to(3, 0x7000));
}

static void cr4_reserved_bits(void **state)
{
	(void)state;
	long_mode();
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(mov_to(4, CR4_PAE | BIT(bit)), !!(CR4_ALL & BIT(bit)));
	assert_false(mov_to(4, CR4_PAE | CR4_VMXE));
	assert_false(mov_to(4, CR4_PAE | CR4_LA57));
	vm.cpuid.cr4_valid &= ~CR4_SMEP;
	assert_false(mov_to(4, CR4_PAE | CR4_SMEP));
}

static void cr4_pae_stays_in_long_mode(void **state)
{
	(void)state;
	long_mode();
	assert_false(mov_to(4, 0));
	cpu->seg[SREG_CS].l = false;
	assert_false(mov_to(4, CR4_PGE));
	protected_mode();
	cpu->reg[VREG_EFER] = EFER_LME; /* not active yet */
	assert_true(mov_to(4, 0));
}

static void cr4_pcide(void **state)
{
	(void)state;
	assert_false(mov_to(4, CR4_PAE | CR4_PCIDE)); /* needs IA-32e mode ... */
	long_mode();
	for (unsigned bit = 0; bit < 12; bit++) {
		cpu->reg[VREG_CR3] = 0x5000 | BIT(bit); /* ... and PCID 0 */
		assert_false(mov_to(4, CR4_PAE | CR4_PCIDE));
	}
	cpu->reg[VREG_CR3] = 0x5000;
	assert_true(mov_to(4, CR4_PAE | CR4_PCIDE));
	/* that it stays set needs nothing of CR3 */
	cpu->reg[VREG_CR3] = 0x5003;
	assert_true(mov_to(4, CR4_PAE | CR4_PCIDE | CR4_PGE));
	cpu->flushes = 0;
	assert_true(mov_to(4, CR4_PAE | CR4_PGE));
	assert_true(cpu->flushes > 0);
}

static void cr4_flushes(void **state)
{
	static const struct {
		u64 bit;
		bool flushes;
	} rows[] = {
		{CR4_PGE, true}, {CR4_SMEP, true}, {CR4_PSE, true}, {CR4_SMAP, true},
		{CR4_DE, false}, {CR4_OSFXSR, false}, {CR4_OSXSAVE, false}, {CR4_TSD, false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		long_mode();
		assert_true(mov_to(4, CR4_PAE | rows[i].bit));
		assert_int_equal(cpu->reg[VREG_CR4], CR4_PAE | rows[i].bit);
		assert_int_equal(mov_from(4), CR4_PAE | rows[i].bit);
		assert_int_equal(cpu->flushes > 0, rows[i].flushes);
	}
}

static void cr3_reserved_bits(void **state)
{
	(void)state;
	long_mode();
	for (unsigned bit = 12; bit < 64; bit++)
		assert_int_equal(mov_to(3, BIT(bit)), bit < 40);
	/* with PCIDs bit 63 asks for no flush and is not kept */
	cpu->reg[VREG_CR4] |= CR4_PCIDE;
	assert_true(mov_to(3, BIT(63) | 0x5007));
	assert_int_equal(mov_from(3), 0x5007);
	assert_false(mov_to(3, BIT(62)));
	/* 32-bit operand: the high half of the register is not looked at */
	mode(CR0_PG | CR0_PE | CR0_ET, 0, 0, false);
	assert_true(mov_to(3, 0xffffffff00006000));
	assert_int_equal(mov_from(3), 0x6000);
	assert_true(cpu->flushes > 0);
}

static void cr8_has_four_bits(void **state)
{
	(void)state;
	long_mode();
	assert_true(mov_to(8, 15));
	assert_int_equal(mov_from(8), 15);
	for (unsigned bit = 4; bit < 64; bit++)
		assert_false(mov_to(8, BIT(bit)));
	assert_int_equal(mov_from(8), 15);
	assert_false(mov_to(5, 0));
}

static void stack_pointer_is_a_register_too(void **state)
{
	struct vcpu_exit to = {.insn_len = 3,
			       .cr = {.access = CR_WRITE, .cr = 3, .gpr = GPR_RSP}};
	struct vcpu_exit from = {.insn_len = 3,
				 .cr = {.access = CR_READ, .cr = 3, .gpr = GPR_RSP}};

	(void)state;
	long_mode();
	cpu->base.gpr[GPR_RSP] = 0xdead;
	cpu->reg[VREG_RSP] = 0x9000;
	assert_true(access_done(&to));
	assert_int_equal(cpu->reg[VREG_CR3], 0x9000);
	cpu->reg[VREG_RSP] = 0;
	assert_true(access_done(&from));
	assert_int_equal(cpu->reg[VREG_RSP], 0x9000);
}

static void clts_and_lmsw(void **state)
{
	struct vcpu_exit clts = {.insn_len = 3, .cr = {.access = CR_CLTS}};

	(void)state;
	mode(CR0_PG | CR0_PE | CR0_ET | CR0_TS | CR0_MP, 0, 0, false);
	assert_true(access_done(&clts));
	assert_int_equal(mov_from(0), CR0_PG | CR0_PE | CR0_ET | CR0_MP);
	/* LMSW: PE, MP, EM, TS; sets PE but cannot clear it */
	assert_true(lmsw(CR0_TS | CR0_EM));
	assert_int_equal(mov_from(0), CR0_PG | CR0_PE | CR0_ET | CR0_TS | CR0_EM);
	assert_true(lmsw(0xfff0));
	assert_int_equal(mov_from(0), CR0_PG | CR0_PE | CR0_ET);
	mode(CR0_ET, 0, 0, false);
	assert_true(lmsw(1));
	assert_int_equal(mov_from(0), 0x11);
}

static void skip_that_leaves_the_canonical_range(void **state)
{
	struct vcpu_exit exit = {.insn_len = 3,
				 .cr = {.access = CR_WRITE, .cr = 8, .gpr = GPR_RBX}};

	(void)state;
	long_mode();
	cpu->base.gpr[GPR_RBX] = 1;
	cpu->reg[VREG_RIP] = 0x7ffffffffffd;
	cr_access(&vcpu, &exit);
	assert_int_equal(vcpu.exception.type, EVENT_EXCEPTION);
	assert_int_equal(vcpu.exception.vector, 13);
	/* 32-bit code wraps */
	protected_mode();
	vcpu.exception.type = EVENT_NONE;
	cpu->reg[VREG_RIP] = 0xfffffffe;
	cr_access(&vcpu, &exit);
	assert_int_equal(vcpu.exception.type, EVENT_NONE);
	assert_int_equal(cpu->reg[VREG_RIP], 1);
}

static void efer(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(cr_set_efer(&vcpu, BIT(bit)),
				 bit == 0 || bit == 8 || bit == 10 || bit == 11);
	/* LMA follows paging, whatever is written to it */
	assert_true(cr_set_efer(&vcpu, EFER_LMA | EFER_LME));
	assert_int_equal(cpu->reg[VREG_EFER], EFER_LME);
	long_mode();
	assert_true(cr_set_efer(&vcpu, EFER_LME | EFER_SCE));
	assert_int_equal(cpu->reg[VREG_EFER], EFER_LME | EFER_LMA | EFER_SCE);
	/* LME cannot change under paging */
	assert_false(cr_set_efer(&vcpu, EFER_SCE));
	mode(CR0_PG | CR0_PE | CR0_ET, 0, 0, false);
	assert_false(cr_set_efer(&vcpu, EFER_LME));
	assert_int_equal(cpu->reg[VREG_EFER], 0);
	/* NX changes what cached translations mean */
	cpu->flushes = 0;
	assert_true(cr_set_efer(&vcpu, EFER_SCE));
	assert_int_equal(cpu->flushes, 0);
	assert_true(cr_set_efer(&vcpu, EFER_NXE));
	assert_int_equal(cpu->flushes, 1);
	vm.cpuid.efer_valid = EFER_SCE;
	assert_false(cr_set_efer(&vcpu, EFER_NXE));
}

static bool xcr0_valid(u64 value)
{
	bool avx512 = value & 0xe0;

	return (value & 1) && !(value & ~0xe7ull) && (!(value & 4) || (value & 2)) &&
	       (!avx512 || ((value & 0xe0) == 0xe0 && (value & 4)));
}

static void xcr0(void **state)
{
	(void)state;
	for (u64 value = 0; value < 1024; value++) {
		cpu->reg[VREG_XCR0] = 1;
		assert_int_equal(cr_set_xcr(&vcpu, 0, value), xcr0_valid(value));
		assert_int_equal(cpu->reg[VREG_XCR0], xcr0_valid(value) ? value : 1);
	}
	for (unsigned bit = 8; bit < 64; bit++)
		assert_false(cr_set_xcr(&vcpu, 0, 1 | BIT(bit)));
	assert_false(cr_set_xcr(&vcpu, 1, 1));
	assert_false(cr_set_xcr(&vcpu, 0x80000000, 1));
	vm.cpuid.xcr0_valid = 3;
	assert_false(cr_set_xcr(&vcpu, 0, 7));
	assert_true(cr_set_xcr(&vcpu, 0, 3));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cr0_reads_back_as_a_cpu_has_it),
		TEST(cr0_invalid_combinations),
		TEST(entering_long_mode),
		TEST(leaving_long_mode),
		TEST(paging_without_lme_stays_legacy),
		TEST(pae_loads_pdptes),
		TEST(pae_reserved_bits),
		TEST(cr4_reserved_bits),
		TEST(cr4_pae_stays_in_long_mode),
		TEST(cr4_pcide),
		TEST(cr4_flushes),
		TEST(cr3_reserved_bits),
		TEST(cr8_has_four_bits),
		TEST(stack_pointer_is_a_register_too),
		TEST(clts_and_lmsw),
		TEST(skip_that_leaves_the_canonical_range),
		TEST(efer),
		TEST(xcr0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
