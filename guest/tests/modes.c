/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: every mode of the CPU and every legal way between them works: real, big real,
 * 16-bit protected, 32-bit with and without paging, PAE, compatibility, 64-bit, VM86,
 * and back. SDM volume 3, "Mode Switching", "8086 Emulation", "PAE Paging".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/real.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define TABLE __attribute__((aligned(4096)))

/* modes.asm */
extern const u8 real_piece[], real_piece_end[], big_piece[], big_piece_end[];
extern const u8 vm86_piece[], vm86_piece_end[];
extern u64 long_result;
extern u32 vm86_flags, compat_efer, tss[];
u32 vm86_run(u32 ip);
void vm86_gp(void);
void long_visit(u32 cr3);

static u64 long_pml4[512] TABLE, long_pdpt[512] TABLE, directory[512] TABLE;
static u64 pae_pdpt[4] __attribute__((aligned(32))), bad_pdpt[4] __attribute__((aligned(32)));
static u8 vm86_stack[4096] TABLE;

static void real_modes(void)
{
	volatile u32 *far = phys(0x300000);
	size_t real_size = (size_t)(real_piece_end - real_piece);
	size_t big_size = (size_t)(big_piece_end - big_piece);

	test_equal("real", real_call(real_piece, real_size, false), 0x12345678);
	*far = 0xcafe0001;
	test_equal("big-real", real_call(big_piece, big_size, true), 0xcafe0001);
	test_equal("real-again", real_call(real_piece, real_size, false), 0x12345678);
}

static void pae(void)
{
	volatile u32 *low = phys(0x300000), *alias = phys(0x40300000);

	for (u64 i = 0; i < 512; i++)
		directory[i] = i << 21 | 0x83;
	pae_pdpt[0] = pae_pdpt[1] = (unsigned long)directory | 1;
	bad_pdpt[0] = (unsigned long)directory | 1 | BIT(5); /* a reserved bit */
	cr4_write(cr4_read() | CR4_PAE);
	cr3_write((unsigned long)pae_pdpt);
	cr0_write(cr0_read() | CR0_PG);
	*low = 0x11223344;
	test_equal("pae-alias", *alias, 0x11223344);
	test_equal("pae-reserved-pdpte", TRY_CR_WRITE(3, (unsigned long)bad_pdpt), TRAP_GP);
	test_equal("pae-cr3-kept", cr3_read(), (unsigned long)pae_pdpt);
	test_equal("pae-not-present",
		   TRY("movl (%0), %%eax", : : "r"(0x80000000) : "eax", "memory"), TRAP_PF);
	/* The CPU keeps the four entries: a change in memory shows at the next MOV CR3. */
	pae_pdpt[2] = (unsigned long)directory | 1;
	cr3_write(cr3_read());
	test_equal("pae-new-pdpte", *(volatile u32 *)phys(0x80300000), 0x11223344);
	cr0_write(cr0_read() & ~CR0_PG);
	cr4_write(cr4_read() & ~CR4_PAE);
	test_equal("pae-left", cr0_read() >> 31 | (cr4_read() & CR4_PAE), 0);
}

static void long_mode(void)
{
	long_pml4[0] = (unsigned long)long_pdpt | 3;
	long_pdpt[0] = (unsigned long)directory | 3;
	for (unsigned round = 0; round < 3; round++) {
		long_result = 0;
		long_visit((unsigned long)long_pml4);
		test_equal("long-and-back", long_result, 0x9abcdef012345678);
	}
	test_equal("compat-lma", compat_efer & (EFER_LMA | EFER_LME), EFER_LMA | EFER_LME);
	test_equal("legacy-lma", rdmsr(MSR_EFER) & (EFER_LMA | EFER_LME), 0);
}

static void vm86(void)
{
	struct trap_gate kept = trap_idt[TRAP_GP];

	tss[1] = (unsigned long)vm86_stack + sizeof(vm86_stack);
	trap_gate_set(&trap_idt[TRAP_GP], (unsigned long)vm86_gp, 0x8e);
	memcpy((void *)phys(REAL_CODE), vm86_piece, (size_t)(vm86_piece_end - vm86_piece));
	test_equal("vm86", vm86_run(REAL_CODE), 0x8086);
	CHECK("vm86-flag", vm86_flags & FLAGS_VM);
	trap_idt[TRAP_GP] = kept;
}

void test_main(void)
{
	real_modes();
	pae();
	long_mode();
	vm86();
	real_modes();
}
