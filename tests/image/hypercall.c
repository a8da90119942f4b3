/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An embedder's hypercalls: vcpu_run comes back with the number, the guest gets
 * what is put into RAX, and goes on behind its VMCALL.
 */
#include "arch/cpu.h"
#include "arch/tsc.h"
#include "tests/image/guest.h"
#include "vmm/console.h"

#define CODE 0x1000

/* mov eax, 77; vmcall; mov ebx, eax; mov eax, 78; vmcall; jmp $ */
static const u8 code[] = {0xb8, 77, 0, 0, 0, 0x0f, 0x01, 0xc1, 0x89, 0xc3, 0xb8, 78, 0, 0, 0,
			  0x0f, 0x01, 0xc1, 0xeb, 0xfe};

static unsigned run(const char *argument)
{
	static const struct console_backend seldom = {.poll_ticks = 1ull << 40};
	unsigned failed = 0;
	struct guest g;

	if (!guest_make(&g, MIB(2)))
		return 1;
	CHECK(!vm_set_memory_region(g.vm, 0, 0, GPA(0), MIB(2), g.mem, 0));
	CHECK(!guest_write(g.vm, GPA(CODE), code, sizeof(code)));
	guest_start(&g, CODE, 0);
	/* Before the console has begun it is due all the time, and no guest gets far. */
	console_set_backend(&seldom);
	console_poll(rdtsc());
	g.vm->takes_hypercalls = true;
	CHECK_EQUAL(vcpu_run(g.vcpu, rdtsc() + tsc_hz), VCPU_HYPERCALL);
	CHECK_EQUAL(g.vcpu->hypercall, 77);
	vcpu_set_gpr(g.vcpu, GPR_RAX, 0x1234);
	CHECK_EQUAL(vcpu_run(g.vcpu, rdtsc() + tsc_hz), VCPU_HYPERCALL);
	CHECK_EQUAL(g.vcpu->hypercall, 78);
	CHECK_EQUAL(vcpu_gpr(g.vcpu, GPR_RBX), 0x1234);
	g.vm->takes_hypercalls = false;
	CHECK_EQUAL(vcpu_run(g.vcpu, rdtsc() + tsc_hz / 100), VCPU_SLICE);
	guest_end(&g);
	return failed;
}

DEFINE_SELFTEST(hypercall_test, .name = "hypercall", .run = run);
