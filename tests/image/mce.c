/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exit of a machine check in a guest, which no emulator raises: the fields of one are written
 * over those of another exit, where the CPU allows that. It ends that VM, and the next one runs.
 */
#include "arch/cpu.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"
#include "vmm/exit.h"

#define CODE	     0x1000
#define WRITES_ALL   BIT(29) /* of IA32_VMX_MISC: VMWRITE takes any field */
#define EXCEPTION    0	     /* basic exit reason */
#define CHECK_INFO   0x80000312u /* valid, hardware exception, vector 18 */

static const u8 code[] = {0xeb, 0xfe};

static bool make(struct guest *g)
{
	if (!guest_make(g, MIB(2)))
		return false;
	vm_set_memory_region(g->vm, 0, 0, GPA(0), MIB(2), g->mem, 0);
	guest_write(g->vm, GPA(CODE), code, sizeof(code));
	guest_start(g, CODE, 0);
	return true;
}

static unsigned run(const char *argument)
{
	struct vcpu_exit exit = {0};
	unsigned failed = 0;
	struct guest g;

	(void)argument;
	if (!(rdmsr(MSR_VMX_MISC) & WRITES_ALL)) {
		log_error("selftest: this CPU does not let fields of exits be written");
		return 1;
	}
	if (!make(&g))
		return 1;
	CHECK_EQUAL(guest_run(&g, tsc_hz / 100), EXIT_DEADLINE);
	vmwrite32(EXIT_INTR_INFO, CHECK_INFO);
	vmx_exit_decode(to_vmx(g.vcpu->virt), EXCEPTION, &exit);
	CHECK_EQUAL(exit.reason, EXIT_MACHINE_CHECK);
	CHECK(!g.vm->requests);
	exit_handle(g.vcpu, &exit);
	CHECK(g.vm->requests);
	guest_end(&g);
	if (!make(&g))
		return failed + 1;
	CHECK_EQUAL(guest_run(&g, tsc_hz / 100), EXIT_DEADLINE);
	CHECK(!g.vm->requests);
	guest_end(&g);
	return failed;
}

DEFINE_SELFTEST(mce_test, .name = "machine-check", .run = run);
