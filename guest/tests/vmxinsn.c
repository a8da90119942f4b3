/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: in a guest without VMX, SMX, SGX and SMM every instruction of theirs is
 * #UD (RDPMC of no counter is #GP), INVD and WBINVD do no harm, and VMCALL is a
 * hypercall: an unknown number gives the error of vmm/abi.h. SDM volume 3, "VMX
 * Instruction Reference", "Instructions That Cause VM Exits Unconditionally".
 */
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

static u64 operand[2];

#define IS_UD(name, code) \
	test_equal(name, TRY(code, : : "r"(operand), "a"(0ull) : "memory"), TRAP_UD)

static void vmx(void)
{
	IS_UD("vmxon", "vmxon (%0)");
	IS_UD("vmxoff", "vmxoff");
	IS_UD("vmclear", "vmclear (%0)");
	IS_UD("vmptrld", "vmptrld (%0)");
	IS_UD("vmptrst", "vmptrst (%0)");
	IS_UD("vmlaunch", "vmlaunch");
	IS_UD("vmresume", "vmresume");
	IS_UD("vmread", "vmread %%rax, (%0)");
	IS_UD("vmwrite", "vmwrite (%0), %%rax");
	IS_UD("invept", "invept (%0), %%rax");
	IS_UD("invvpid", "invvpid (%0), %%rax");
	IS_UD("vmfunc", "vmfunc");
	IS_UD("rsm", "rsm");
	IS_UD("getsec", ".byte 0x0f, 0x37");
}

static void monitor(void)
{
	if (cpuid(1, 0).ecx & BIT(3)) {
		test_skip("monitor", "CPUID offers MONITOR");
		return;
	}
	test_equal("monitor", TRY("monitor", : : "a"(operand), "c"(0), "d"(0) : "memory"), TRAP_UD);
	test_equal("mwait", TRY("mwait", : : "a"(0), "c"(0) : "memory"), TRAP_UD);
}

static void vmcall(void)
{
	s64 result = 12345;
	unsigned vector = TRY("vmcall", : "+a"(result) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");

	if (!cpu_on_trivet()) {
		test_equal("vmcall", vector, TRAP_UD);
		return;
	}
	test_equal("vmcall", vector, TRAP_NONE);
	test_equal("vmcall-unknown", (u64)result, (u64)ABI_HYPERCALL_ENOSYS);
}

void test_main(void)
{
	u32 index = 0x3fffffff;

	vmx();
	monitor();
	vmcall();
	test_equal("rdpmc", TRY("rdpmc", : : "c"(index) : "eax", "edx", "memory"), TRAP_GP);
	test_equal("wbinvd", TRY("wbinvd", : : : "memory"), TRAP_NONE);
	if (cpu_on_trivet())
		test_equal("invd", TRY("invd", : : : "memory"), TRAP_NONE);
	else
		test_skip("invd", "would lose written data on a bare machine");
}
