/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/serve.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c arch/virt.c arch/lib/format.c tests/unit/fake_sched.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * Exits: each reason has its answer, faults leave the registers as they were,
 * what cannot be emulated ends the VM in words, and no guest floods the log.
 */
#include "vmm/exit.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "arch/msr.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/gmem.h"
#include "vmm/inject.h"
#include "vmm/mem.h"
#include "vmm/vdev_life.h"
#include "vmm/vm.h"

#define RIP  0x1000
#define MMIO 0xf0000000u

static struct vm *vm;
static struct vcpu *vcpu;
static struct fake_vcpu *cpu;
static struct {
	u64 offset, value;
	unsigned size, reads, writes;
} probe;

static u64 probe_read(struct vdev *dev, u64 offset, unsigned size)
{
	assert_int_not_equal(dev->vm->device_lock.next, dev->vm->device_lock.owner);
	probe.offset = offset;
	probe.size = size;
	probe.reads++;
	return 0xfedcba9876543210;
}

static void probe_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	assert_int_not_equal(dev->vm->device_lock.next, dev->vm->device_lock.owner);
	probe.offset = offset;
	probe.size = size;
	probe.value = value;
	probe.writes++;
}

static const struct bus_ops probe_ops = {.read = probe_read, .write = probe_write};

static int probe_create(struct vdev *dev)
{
	int error = bus_claim_ports(dev, 0x500, 8, &probe_ops);

	return error ? error : bus_claim_mmio(dev, GPA(MMIO), PAGE_SIZE, &probe_ops);
}

static void probe_reset(struct vdev *dev)
{
	(void)dev;
}

DEFINE_VDEV(probe_type, .name = "probe", .create = probe_create, .reset = probe_reset);

/* 1 MiB of RAM, a flat 32-bit segment each, code at RIP. */
static int setup(void **state)
{
	(void)state;
	assert_non_null(console_open("web")); /* outlives its VM, so is not counted */
	fake_host_init(MIB(16));
	fake_virt_init();
	memset(&probe, 0, sizeof(probe));
	assert_int_equal(vm_create("web", &vm), 0);
	assert_int_equal(mem_create(MIB(1), &vm->ram), 0);
	assert_int_equal(vm_set_memory_region(vm, 0, 0, GPA(0), MIB(1), vm->ram, 0), 0);
	assert_int_equal(vdev_create(vm, "probe", (struct vdev_args){0}), 0);
	assert_int_equal(vcpu_create(vm, 0, &vcpu), 0);
	vm->vcpu = vcpu;
	vcpu_load(vcpu);
	vcpu_reset(vcpu);
	cpu = fake_vcpu_of(vcpu->virt);
	cpu->reg[VREG_CR0] = CR0_PE | CR0_ET;
	cpu->reg[VREG_RIP] = RIP;
	for (unsigned i = 0; i < SREG_COUNT; i++)
		cpu->seg[i] = (struct vcpu_segment){.limit = 0xffffffff, .type = 3, .s = true,
						    .present = true, .db = true, .g = true};
	cpu->seg[SREG_CS].type = 11;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		cpu->base.gpr[i] = 0xaaaaaaaa00000000ull | i;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vcpu_put(vcpu);
	vm_destroy(vm);
	assert_int_equal(fake_host.pages_out, 0);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(fake_host.unscrubbed, 0);
	return 0;
}

static u64 *gpr(unsigned i)
{
	return &cpu->base.gpr[i];
}

static void handle(struct vcpu_exit exit)
{
	cpu->reg[VREG_RIP] = RIP;
	vcpu->exception.type = EVENT_NONE;
	exit_handle(vcpu, &exit);
}

static void code(const void *bytes, unsigned len)
{
	assert_int_equal(guest_write(vm, GPA(RIP), bytes, len), 0);
}

/* Done: RIP moved by len, and nothing to inject. */
static void done(unsigned len)
{
	assert_int_equal(vcpu->exception.type, EVENT_NONE);
	assert_int_equal(cpu->reg[VREG_RIP], RIP + len);
	assert_int_equal(vm->requests, 0);
}

static void fault(unsigned vector)
{
	assert_int_equal(vcpu->exception.type, EVENT_EXCEPTION);
	assert_int_equal(vcpu->exception.vector, vector);
	assert_int_equal(cpu->reg[VREG_RIP], RIP);
	assert_int_equal(vm->requests, 0);
}

static void killed(const char *why)
{
	assert_true(vm->requests & VM_REQUEST_END);
	if (!strstr(vm->end_reason, why))
		fail_msg("'%s' lacks '%s'", vm->end_reason, why);
	assert_true(fake_host_logged("E [web] killed: "));
	assert_true(vm->crashed);
}

static void every_reason_has_a_handler(void **state)
{
	for (unsigned reason = 0; reason < EXIT_REASONS; reason++) {
		struct vcpu_exit exit;

		if (reason)
			setup(state);
		assert_non_null(virt_exit_name(reason));
		for (unsigned other = 0; other < reason; other++)
			assert_string_not_equal(virt_exit_name(reason), virt_exit_name(other));
		exit = (struct vcpu_exit){.reason = reason};
		if (reason == EXIT_IO)
			exit.io.size = 1;
		if (reason == EXIT_ENTRY_FAILED || reason == EXIT_UNKNOWN)
			exit.failed.reason = "";
		handle(exit);
		for (unsigned i = 0; i < EXIT_REASONS; i++)
			assert_int_equal(vcpu->exits[i], i == reason);
		if (reason + 1 < EXIT_REASONS)
			teardown(state);
	}
	assert_string_equal(virt_exit_name(EXIT_REASONS), "?");
	assert_false(virt_supports("no such feature"));
	assert_true(virt_supports("xsaves"));
}

static void nothing_to_do(void **state)
{
	static const enum vcpu_exit_reason reasons[] = {EXIT_HOST, EXIT_DEADLINE, EXIT_INTR_WINDOW,
							EXIT_NMI_WINDOW, EXIT_INIT};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		handle((struct vcpu_exit){.reason = reasons[i], .insn_len = 2});
		done(0);
	}
}

static void cpuid_clears_the_high_halves(void **state)
{
	(void)state;
	*gpr(GPR_RAX) = 0xffffffff40000100;
	handle((struct vcpu_exit){.reason = EXIT_CPUID, .insn_len = 2});
	done(2);
	assert_int_equal(*gpr(GPR_RAX), 0x40000100);
	assert_int_equal(*gpr(GPR_RBX), 0x76697254);
	assert_int_equal(*gpr(GPR_RCX), 0x72547465);
	assert_int_equal(*gpr(GPR_RDX), 0x74657669);
}

/* All leaves on the CPU that this runs on, whichever it is. */
static void cpuid_on_a_real_host(void **state)
{
	static const u32 bases[] = {0, 0x40000000, 0x40000100, 0x80000000};

	(void)state;
	cpu->reg[VREG_CR4] = CR4_OSXSAVE;
	cpu->reg[VREG_XCR0] = vm->cpuid.xcr0_valid | 1;
	for (unsigned i = 0; i < ARRAY_SIZE(bases) * 64 * 64; i++) {
		u32 leaf = bases[i / 4096] + i / 64 % 64, subleaf = i % 64;

		*gpr(GPR_RAX) = leaf;
		*gpr(GPR_RCX) = subleaf;
		handle((struct vcpu_exit){.reason = EXIT_CPUID, .insn_len = 2});
		done(2);
		if (leaf == 0)
			assert_true(*gpr(GPR_RAX) <= 0x15);
		else if (leaf == 1)
			/* neither MONITOR nor VMX; x2APIC, OSXSAVE and a hypervisor */
			assert_int_equal(*gpr(GPR_RCX) & 0x88200028, 0x88200000);
		else if (leaf == 7 && subleaf == 0)
			assert_int_equal(*gpr(GPR_RBX) & (BIT(2) | BIT(4) | BIT(11) | BIT(14)), 0);
		else if (leaf == 0xd && subleaf == 0)
			assert_int_equal(*gpr(GPR_RBX), *gpr(GPR_RCX));
		else if (leaf == 0x80000000)
			assert_true(*gpr(GPR_RAX) <= 0x80000008);
		for (unsigned reg = GPR_RAX; reg <= GPR_RBX; reg++)
			assert_int_equal(*gpr(reg) >> 32, 0);
	}
}

static void rdmsr_and_wrmsr(void **state)
{
	(void)state;
	*gpr(GPR_RCX) = 0x123400000277; /* ECX alone counts */
	handle((struct vcpu_exit){.reason = EXIT_RDMSR, .insn_len = 2});
	done(2);
	assert_int_equal(*gpr(GPR_RAX), 0x00070406);
	assert_int_equal(*gpr(GPR_RDX), 0x00070406);
	*gpr(GPR_RAX) = 0xffffffff06060606;
	*gpr(GPR_RDX) = 0xffffffff01010101;
	handle((struct vcpu_exit){.reason = EXIT_WRMSR, .insn_len = 2});
	done(2);
	assert_int_equal(vcpu->msrs.pat, 0x0101010106060606);
	*gpr(GPR_RAX) = 2; /* a reserved type */
	handle((struct vcpu_exit){.reason = EXIT_WRMSR, .insn_len = 2});
	fault(13);
	assert_int_equal(vcpu->msrs.pat, 0x0101010106060606);
	*gpr(GPR_RCX) = MSR_FEATURE_CONTROL;
	*gpr(GPR_RDX) = 7;
	handle((struct vcpu_exit){.reason = EXIT_RDMSR, .insn_len = 2});
	fault(13);
	assert_int_equal(*gpr(GPR_RAX), 2);
	assert_int_equal(*gpr(GPR_RDX), 7);
}

static void xsetbv_exits(void **state)
{
	(void)state;
	vm->cpuid.xcr0_valid = 7;
	*gpr(GPR_RCX) = 0xffffffff00000000;
	*gpr(GPR_RAX) = 0xffffffff00000007;
	*gpr(GPR_RDX) = 0xffffffff00000000;
	handle((struct vcpu_exit){.reason = EXIT_XSETBV, .insn_len = 3});
	done(3);
	assert_int_equal(cpu->reg[VREG_XCR0], 7);
	*gpr(GPR_RDX) = 1;
	handle((struct vcpu_exit){.reason = EXIT_XSETBV, .insn_len = 3});
	fault(13);
	assert_int_equal(cpu->reg[VREG_XCR0], 7);
}

static void control_registers_are_reached(void **state)
{
	(void)state;
	*gpr(GPR_RBX) = CR0_PE | CR0_PG | CR0_WP;
	handle((struct vcpu_exit){.reason = EXIT_CR, .insn_len = 3,
				  .cr = {.access = CR_WRITE, .cr = 0, .gpr = GPR_RBX}});
	done(3);
	assert_int_equal(cpu->reg[VREG_CR0], 0x80010011);
}

static void hlt_halts_behind_itself(void **state)
{
	(void)state;
	cpu->shadow = SHADOW_STI;
	handle((struct vcpu_exit){.reason = EXIT_HLT, .insn_len = 1});
	done(1);
	assert_true(vcpu->halted);
	assert_int_equal(cpu->shadow, 0); /* sti; hlt wakes by an interrupt */
	/* a single step is due behind it, and ends it */
	cpu->reg[VREG_RFLAGS] |= RFLAGS_TF;
	handle((struct vcpu_exit){.reason = EXIT_HLT, .insn_len = 1});
	assert_false(vcpu->halted);
	assert_true(cpu->step);
}

static void hypercalls_as_kvm_answers_them(void **state)
{
	static const u64 nobodys[] = {0, 4, 63, 64, 69, 0xffffffff};

	(void)state;
	for (unsigned cpl = 0; cpl < 4; cpl++) {
		cpu->seg[SREG_SS].dpl = cpl;
		for (unsigned i = 0; i < ARRAY_SIZE(nobodys); i++) {
			*gpr(GPR_RAX) = nobodys[i];
			handle((struct vcpu_exit){.reason = EXIT_HYPERCALL, .insn_len = 3});
			done(3);
			assert_int_equal((s64)*gpr(GPR_RAX), -1000); /* whoever asks */
		}
		/* KICK_CPU of the vCPU itself */
		vcpu->lapic.events = 0;
		*gpr(GPR_RAX) = 5;
		*gpr(GPR_RCX) = 0;
		handle((struct vcpu_exit){.reason = EXIT_HYPERCALL, .insn_len = 3});
		assert_int_equal((s64)*gpr(GPR_RAX), cpl ? -1 : 0);
		assert_int_equal(vcpu->lapic.events, cpl ? 0 : LAPIC_EVENT_KICK);
	}
}

static void instructions_that_fault(void **state)
{
	(void)state;
	handle((struct vcpu_exit){.reason = EXIT_UNDEFINED, .insn_len = 3});
	fault(6);
	handle((struct vcpu_exit){.reason = EXIT_PROTECTED, .insn_len = 3});
	fault(13);
	handle((struct vcpu_exit){.reason = EXIT_CACHE, .insn_len = 2});
	done(2);
}

static void exceptions_go_back(void **state)
{
	(void)state;
	handle((struct vcpu_exit){.reason = EXIT_EXCEPTION,
				  .event = {.type = EVENT_EXCEPTION, .vector = 17,
					    .has_error = true}});
	fault(17);
	assert_true(vcpu->exception.has_error);
	/* ICEBP is no fault: as it came, with its length */
	handle((struct vcpu_exit){.reason = EXIT_EXCEPTION,
				  .event = {.type = EVENT_ICEBP, .vector = 1, .insn_len = 1}});
	assert_int_equal(vcpu->exception.type, EVENT_NONE);
	assert_int_equal(vcpu->repeat.type, EVENT_ICEBP);
	assert_int_equal(vcpu->repeat.insn_len, 1);
}

static void triple_fault_resets(void **state)
{
	(void)state;
	handle((struct vcpu_exit){.reason = EXIT_SHUTDOWN});
	assert_int_equal(vm->requests, VM_REQUEST_RESET);
	assert_true(fake_host_logged("[web] reset by triple fault"));
}

static void kill_paths(void **state)
{
	static const struct {
		struct vcpu_exit exit;
		const char *words;
	} rows[] = {
		{{.reason = EXIT_TASK_SWITCH}, "task switch"},
		{{.reason = EXIT_MACHINE_CHECK}, "machine check"},
		{{.reason = EXIT_ENTRY_FAILED,
		  .failed = {0x80000021, "invalid guest state", 5}}, "invalid guest state"},
		{{.reason = EXIT_ENTRY_FAILED,
		  .failed = {0x80000021, "invalid guest state", 5}}, "80000021h, detail 5h"},
		{{.reason = EXIT_UNKNOWN, .failed = {99, "a reason without a name", 0}},
		 "unknown exit (63h"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i)
			setup(state);
		handle(rows[i].exit);
		killed(rows[i].words);
		if (i + 1 < ARRAY_SIZE(rows))
			teardown(state);
	}
	/* the first reason counts */
	vm_end(vm, "later");
	assert_null(strstr(vm->end_reason, "later"));
}

/* ---- ports */

static void port(u16 number, unsigned size, bool in)
{
	handle((struct vcpu_exit){.reason = EXIT_IO, .insn_len = 1,
				  .io = {.port = number, .size = size, .in = in}});
}

static void port_widths(void **state)
{
	(void)state;
	*gpr(GPR_RAX) = 0x1122334455667788;
	port(0x502, 1, true);
	done(1);
	assert_int_equal(*gpr(GPR_RAX), 0x1122334455667710);
	assert_int_equal(probe.offset, 2);
	port(0x504, 2, true);
	assert_int_equal(*gpr(GPR_RAX), 0x1122334455663210);
	port(0x504, 4, true); /* a 32-bit result clears the high half */
	assert_int_equal(*gpr(GPR_RAX), 0x76543210);
	*gpr(GPR_RAX) = 0x1122334455667788;
	for (unsigned size = 1; size <= 4; size *= 2) {
		port(0x500, size, false);
		done(1);
		assert_int_equal(probe.size, size);
		assert_int_equal(probe.value, 0x55667788 & size_mask(size));
	}
	assert_int_equal(*gpr(GPR_RAX), 0x1122334455667788);
}

static void unknown_ports_read_ones_and_are_told_once(void **state)
{
	(void)state;
	*gpr(GPR_RAX) = 0;
	port(0x600, 1, true);
	assert_int_equal(*gpr(GPR_RAX), 0xff);
	port(0x600, 2, true);
	assert_int_equal(*gpr(GPR_RAX), 0xffff);
	port(0x600, 4, true);
	assert_int_equal(*gpr(GPR_RAX), 0xffffffff);
	port(0xffff, 4, true); /* at the top of the port space */
	assert_int_equal(*gpr(GPR_RAX), 0xffffffff);
	port(0x601, 1, false);
	done(1);
	assert_int_equal(fake_host.log_lines, 3);
	for (unsigned i = 0; i < 0x10000; i++)
		port(i, 1, i & 1);
	assert_int_equal(fake_host.log_lines, ONCE_KEYS);
	assert_int_equal(vm->unknown_ports.count, 5 + 0x10000 - 8);
}

static void string_port(u16 number, unsigned size, bool in, bool rep)
{
	handle((struct vcpu_exit){.reason = EXIT_IO, .insn_len = 0,
				  .io = {.port = number, .size = size, .in = in, .string = true,
					 .rep = rep}});
}

static void string_instructions(void **state)
{
	u32 value = 0x44332211, back = 0;

	(void)state;
	assert_int_equal(guest_write(vm, GPA(0x2000), &value, 4), 0);
	code("\x6f", 1); /* outsd */
	*gpr(GPR_RSI) = 0x2000;
	*gpr(GPR_RDX) = 0x500;
	string_port(0x500, 4, false, false);
	done(1);
	assert_int_equal(probe.value, 0x44332211);
	assert_int_equal((u32)*gpr(GPR_RSI), 0x2004);
	code("\xf3\x6c", 2); /* rep insb */
	*gpr(GPR_RDI) = 0x2000;
	*gpr(GPR_RCX) = 4;
	string_port(0x500, 1, true, true);
	done(2);
	assert_int_equal(guest_read(vm, GPA(0x2000), &back, 4), 0);
	assert_int_equal(back, 0x10101010);
	assert_int_equal((u32)*gpr(GPR_RDI), 0x2004);
	assert_int_equal((u32)*gpr(GPR_RCX), 0);
	assert_int_equal(probe.reads, 4);
	/* a port without a device */
	*gpr(GPR_RCX) = 2;
	string_port(0x700, 1, true, true);
	assert_int_equal(guest_read(vm, GPA(0x2004), &back, 4), 0);
	assert_int_equal(back, 0xffff);
	/* long ones pause: no exit takes long */
	*gpr(GPR_RCX) = 100000;
	*gpr(GPR_RDI) = 0x2000;
	cpu->reg[VREG_RFLAGS] |= RFLAGS_TF;
	string_port(0x500, 1, true, true);
	done(0);
	assert_in_range((u32)*gpr(GPR_RCX), 100000 - 4096, 99999);
	assert_true(cpu->step);
}

static void string_code_that_has_changed_runs_anew(void **state)
{
	(void)state;
	code("\x90", 1);
	string_port(0x500, 1, true, false);
	done(0);
	assert_int_equal(probe.reads, 0);
	code("\x6d", 1); /* insd, where the exit said insb */
	string_port(0x500, 1, true, false);
	done(0);
	assert_int_equal(probe.reads, 0);
	code("\x0f\x0b", 2);
	string_port(0x500, 1, true, false);
	done(0);
	/* the memory operand's segment is not writable */
	code("\x6c", 1);
	cpu->seg[SREG_ES].type = 1;
	string_port(0x500, 1, true, false);
	fault(13);
	assert_int_equal(probe.reads, 0);
}

/* ---- memory */

static void mmio(u64 gpa, bool write)
{
	handle((struct vcpu_exit){.reason = EXIT_MEMORY, .memory = {GPA(gpa), write, false, true}});
}

static void device_memory(void **state)
{
	(void)state;
	code("\x8b\x43\x08", 3); /* mov eax, [ebx + 8] */
	*gpr(GPR_RBX) = MMIO;
	mmio(MMIO + 8, false);
	done(3);
	assert_int_equal(*gpr(GPR_RAX), 0x76543210);
	assert_int_equal(probe.offset, 8);
	code("\x66\x89\x0b", 3); /* mov [ebx], cx */
	*gpr(GPR_RCX) = 0x12345678;
	mmio(MMIO, true);
	done(3);
	assert_int_equal(probe.value, 0x5678);
	assert_int_equal(probe.size, 2);
}

/* The forms that take the short way, each as the CPU would do it; RBX is MMIO. */
static void device_memory_by_mov(void **state)
{
	static const struct {
		const char *code;
		u8 len, offset, size;
		bool write;
		u64 value; /* written, or left in RAX */
	} rows[] = {
		{"\x8a\x43\x01", 3, 1, 1, false, 0xaaaaaaaa0000aa10}, /* mov al, [ebx + 1] */
		{"\x66\x8b\x03", 3, 0, 2, false, 0xaaaaaaaa00003210}, /* mov ax, [ebx] */
		{"\x8b\x03", 2, 0, 4, false, 0x76543210},
		{"\x0f\xb6\x03", 3, 0, 1, false, 0x10},	     /* movzx eax, byte [ebx] */
		{"\x66\x0f\xb6\x03", 4, 0, 1, false, 0xaaaaaaaa00000010}, /* movzx ax, byte [ebx] */
		{"\x0f\xb7\x03", 3, 0, 2, false, 0x3210},
		{"\x0f\xbe\x03", 3, 0, 1, false, 0x10},	     /* movsx: the long way */
		{"\x8a\x23", 2, 0, 1, false, 0xaaaaaaaa000010aa},   /* mov ah, [ebx]: likewise */
		{"\x88\x43\x07", 3, 7, 1, true, 0xaa},
		{"\x88\x23", 2, 0, 1, true, 0},		     /* mov [ebx], ah */
		{"\x66\x89\x03", 3, 0, 2, true, 0xaa},
		{"\xc6\x03\x81", 3, 0, 1, true, 0x81},
		{"\xc7\x04\x13\1\2\3\x84", 7, 0, 4, true, 0x84030201}, /* [ebx + edx] */
		{"\x65\x89\x03", 3, 0x40, 4, true, 0xaa},	     /* gs: */
		{"\x83\x0b\1", 3, 0, 4, true, 0x76543211},	     /* or */
	};

	(void)state;
	cpu->seg[SREG_GS].base = 0x40;
	*gpr(GPR_RDX) = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		*gpr(GPR_RAX) = rows[i].write ? 0xaa : 0xaaaaaaaa000000aa;
		if (rows[i].size == 1 && !rows[i].write && rows[i].offset)
			*gpr(GPR_RAX) = 0xaaaaaaaa0000aaaa;
		*gpr(GPR_RBX) = MMIO;
		code(rows[i].code, rows[i].len);
		mmio(MMIO + rows[i].offset, rows[i].write);
		done(rows[i].len);
		assert_int_equal(probe.offset, rows[i].offset);
		assert_int_equal(probe.size, rows[i].size);
		assert_int_equal(rows[i].write ? probe.value : *gpr(GPR_RAX), rows[i].value);
	}
	/* a stack that is there, a register that is the stack's */
	cpu->reg[VREG_RSP] = MMIO + 8;
	code("\x8b\x04\x24", 3); /* mov eax, [esp] */
	mmio(MMIO + 8, false);
	done(3);
	assert_int_equal(*gpr(GPR_RAX), 0x76543210);
	code("\x8b\x23", 2); /* mov esp, [ebx] */
	mmio(MMIO, false);
	done(2);
	assert_int_equal(cpu->reg[VREG_RSP], 0x76543210);
}

/* The exit of one that begins in RAM may tell of its second page. */
static void device_memory_behind_ram(void **state)
{
	u8 last[2] = {0, 0};

	(void)state;
	assert_int_equal(vm_set_memory_region(vm, 1, 0, GPA(MMIO - PAGE_SIZE), PAGE_SIZE, vm->ram,
					      0x4000), 0);
	*gpr(GPR_RBX) = MMIO - 2;
	*gpr(GPR_RAX) = 0x44332211;
	code("\x89\x03", 2);
	mmio(MMIO, true);
	done(2);
	assert_int_equal(guest_read(vm, GPA(MMIO - 2), last, 2), 0);
	assert_memory_equal(last, "\x11\x22", 2);
	assert_int_equal(probe.offset, 0);
	assert_int_equal(probe.size, 2);
	assert_int_equal(probe.value, 0x4433);
	/* and code that ends with its page */
	cpu->reg[VREG_RIP] = 0x2ffe;
	assert_int_equal(guest_write(vm, GPA(0x2ffe), "\x89\x03\x05", 3), 0);
	*gpr(GPR_RBX) = MMIO;
	exit_handle(vcpu, &(struct vcpu_exit){.reason = EXIT_MEMORY,
					      .memory = {GPA(MMIO), true, false, true}});
	assert_int_equal(cpu->reg[VREG_RIP], 0x3000);
	assert_int_equal(probe.value, 0x44332211);
}

/* 64-bit mode; the first 2 MiB and from 3 GiB on are there as they are. */
static void long_mode(void)
{
	static const u64 entries[][2] = {{0x5000, 0x6007}, {0x6000, 0x7007}, {0x6018, 0xc0000087},
					 {0x7000, 0x87}};

	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
		assert_int_equal(guest_write(vm, GPA(entries[i][0]), &entries[i][1], 8), 0);
	cpu->reg[VREG_CR0] |= CR0_PE | CR0_PG | CR0_WP;
	cpu->reg[VREG_CR3] = 0x5000;
	cpu->reg[VREG_CR4] |= CR4_PAE;
	cpu->reg[VREG_EFER] = EFER_LME | EFER_LMA;
	cpu->seg[SREG_CS].l = true;
	cpu->seg[SREG_CS].db = false;
}

static void long_string(unsigned size, bool in, u64 linear, u8 addrsize)
{
	handle((struct vcpu_exit){.reason = EXIT_IO, .insn_len = 2,
				  .io = {.port = 0x500, .size = size, .in = in, .string = true, .rep = true,
					 .addrsize = addrsize, .linear = linear}});
}

static void strings_at_once(void **state)
{
	u8 bytes[PAGE_SIZE];

	(void)state;
	long_mode();
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 3;
	assert_int_equal(guest_write(vm, GPA(0x2000), bytes, sizeof(bytes)), 0);
	*gpr(GPR_RSI) = 0xffff000000002000; /* what the exit says counts */
	*gpr(GPR_RCX) = 64;
	long_string(1, false, 0x2000, 8);
	done(2);
	assert_int_equal(probe.writes, 64);
	assert_int_equal(probe.value, bytes[63]);
	assert_int_equal(*gpr(GPR_RSI), 0xffff000000002040);
	assert_int_equal(*gpr(GPR_RCX), 0);
	/* up to the end of the page, then in pieces */
	*gpr(GPR_RSI) = 0x2f80;
	*gpr(GPR_RCX) = 128 + 256 + 1;
	long_string(1, false, 0x2f80, 8);
	done(0);
	assert_int_equal(probe.writes, 64 + 128);
	assert_int_equal(*gpr(GPR_RCX), 257);
	assert_true(cpu->reg[VREG_RFLAGS] & RFLAGS_RF);
	long_string(1, false, 0x3000, 8);
	done(0);
	assert_int_equal(probe.writes, 64 + 128 + 256);
	assert_int_equal(*gpr(GPR_RSI), 0x3100);
	/* ECX and ESI alone */
	*gpr(GPR_RSI) = 0x1111111100002000;
	*gpr(GPR_RCX) = 0x2222222200000003;
	probe.writes = 0;
	long_string(2, false, 0x2000, 4);
	done(2);
	assert_int_equal(probe.writes, 3);
	assert_int_equal(probe.size, 2);
	assert_int_equal(probe.value, bytes[4] | bytes[5] << 8);
	assert_int_equal(*gpr(GPR_RSI), 0x2006);
	assert_int_equal(*gpr(GPR_RCX), 0);
	/* inwards */
	*gpr(GPR_RDI) = 0x4000;
	*gpr(GPR_RCX) = 2;
	long_string(4, true, 0x4000, 8);
	done(2);
	assert_int_equal(guest_read(vm, GPA(0x4000), bytes, 9), 0);
	assert_memory_equal(bytes, "\x10\x32\x54\x76\x10\x32\x54\x76\0", 9);
	assert_int_equal(*gpr(GPR_RDI), 0x4008);
}

/* Whatever is not plain goes element by element, as the code says. */
static void strings_that_are_not_plain(void **state)
{
	u64 entry = 0x83;

	(void)state;
	long_mode();
	code("\xf3\x6f", 2); /* rep outsd */
	*gpr(GPR_RSI) = 0x2ffe;
	*gpr(GPR_RCX) = 2;
	long_string(4, false, 0x2ffe, 8);
	done(2);
	assert_int_equal(probe.writes, 2);
	assert_int_equal(*gpr(GPR_RSI), 0x3006);
	/* downwards */
	cpu->reg[VREG_RFLAGS] |= RFLAGS_DF;
	*gpr(GPR_RCX) = 2;
	long_string(4, false, 0x3006, 8);
	done(2);
	assert_int_equal(*gpr(GPR_RSI), 0x2ffe);
	/* step by step */
	cpu->reg[VREG_RFLAGS] = RFLAGS_ONE | RFLAGS_TF;
	*gpr(GPR_RCX) = 2;
	probe.writes = 0;
	long_string(4, false, 0x2ffe, 8);
	done(0);
	assert_int_equal(probe.writes, 1);
	cpu->reg[VREG_RFLAGS] = RFLAGS_ONE;
	/* ESI wraps: what is before the wrap faults by itself */
	code("\xf3\x67\x6f", 3);
	*gpr(GPR_RSI) = 0x80fffffc;
	*gpr(GPR_RCX) = 2;
	probe.writes = 0;
	long_string(4, false, 0x80fffffc, 4);
	fault(14);
	code("\xf3\x66\x67\x6f", 4);
	*gpr(GPR_RSI) = 0xfffffffe;
	long_string(2, false, 0x2100, 4); /* by a base that the exit knows and the code does not */
	done(4);
	assert_int_equal(probe.writes, 2);
	assert_int_equal(*gpr(GPR_RSI), 2);
	/* no right to the page */
	code("\xf3\x6f", 2);
	assert_int_equal(guest_write(vm, GPA(0x7000), &entry, 8), 0);
	cpu->seg[SREG_SS].dpl = 3;
	*gpr(GPR_RSI) = 0x2000;
	*gpr(GPR_RCX) = 2;
	probe.writes = 0;
	long_string(4, false, 0x2000, 8);
	fault(14);
	assert_int_equal(vcpu->exception.error, 5);
	assert_int_equal(probe.writes, 0);
}

static void strings_into_what_is_not_written(void **state)
{
	u32 value = 0;

	(void)state;
	long_mode();
	assert_int_equal(vm_set_memory_region(vm, 1, REGION_READ_ONLY, GPA(0xffff0000), PAGE_SIZE,
					      vm->ram, 0x8000), 0);
	code("\xf3\x6d", 2); /* rep insd */
	*gpr(GPR_RDI) = 0xffff0000;
	*gpr(GPR_RCX) = 2;
	long_string(4, true, 0xffff0000, 8);
	done(2);
	assert_int_equal(probe.reads, 2);
	assert_int_equal(guest_read(vm, GPA(0xffff0000), &value, 4), 0);
	assert_int_equal(value, 0);
	*gpr(GPR_RDI) = MMIO; /* to a device */
	*gpr(GPR_RCX) = 2;
	long_string(4, true, MMIO, 8);
	done(2);
	assert_int_equal(probe.reads, 4);
	assert_int_equal(probe.writes, 2);
	assert_int_equal(probe.value, 0x76543210);
}

static void nobody_reads_ones_and_is_told_once(void **state)
{
	(void)state;
	*gpr(GPR_RBX) = 0xe0000000;
	for (unsigned i = 0; i < 1000; i++) {
		code("\x8b\x03", 2); /* mov eax, [ebx] */
		mmio(0xe0000000, false);
		done(2);
		assert_int_equal(*gpr(GPR_RAX), 0xffffffff);
		code("\x89\x03", 2);
		mmio(0xe0000000, true);
		done(2);
	}
	assert_int_equal(fake_host.log_lines, 1);
	for (unsigned i = 0; i < 1000; i++) {
		*gpr(GPR_RBX) += PAGE_SIZE;
		mmio(*gpr(GPR_RBX), true);
	}
	assert_int_equal(fake_host.log_lines, ONCE_KEYS);
	assert_int_equal(vm->unknown_gpas.count, 3000);
}

static void writes_to_read_only_memory_are_dropped(void **state)
{
	u32 value;

	(void)state;
	assert_int_equal(vm_set_memory_region(vm, 1, REGION_READ_ONLY, GPA(0xffff0000), PAGE_SIZE,
					      vm->ram, 0x4000), 0);
	code("\x89\x03", 2);
	*gpr(GPR_RAX) = 0x12345678;
	*gpr(GPR_RBX) = 0xffff0000;
	mmio(0xffff0000, true);
	done(2);
	assert_int_equal(guest_read(vm, GPA(0x4000), &value, 4), 0);
	assert_int_equal(value, 0);
}

static void fetch_from_nowhere_is_undefined(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		handle((struct vcpu_exit){.reason = EXIT_MEMORY,
					  .memory = {.gpa = GPA(0xe0000123), .fetch = true}});
		fault(6);
	}
	assert_int_equal(fake_host.log_lines, 1);
}

static void event_that_cannot_be_delivered_kills(void **state)
{
	(void)state;
	cpu->undelivered = (struct vcpu_event){.type = EVENT_INTERRUPT, .vector = 0x31};
	inject_take_undelivered(vcpu);
	mmio(0xe0000000, false);
	killed("event 49");
}

/* One that only waits for its turn is no broken delivery. */
static void event_that_waits_does_not_kill(void **state)
{
	(void)state;
	cpu->undelivered = (struct vcpu_event){.type = EVENT_INTERRUPT, .vector = 0x31};
	inject_take_undelivered(vcpu);
	inject_take_undelivered(vcpu); /* the next exit */
	code("\x8b\x03", 2);
	*gpr(GPR_RBX) = MMIO;
	mmio(MMIO, false);
	done(2);
	assert_int_equal(vcpu->interrupt.vector, 0x31);
}

static void instruction_that_is_not_emulated(void **state)
{
	(void)state;
	code("\x0f\xae\x03", 3); /* fxsave [ebx] */
	*gpr(GPR_RBX) = MMIO;
	cpu->seg[SREG_SS].dpl = 3;
	cpu->seg[SREG_CS].dpl = 3;
	mmio(MMIO, true); /* a user program must not end its VM */
	fault(6);
	cpu->seg[SREG_SS].dpl = 0;
	cpu->seg[SREG_CS].dpl = 0;
	vcpu->exception.type = EVENT_NONE;
	mmio(MMIO, true);
	killed("is not emulated");
}

static void faults_of_emulated_instructions(void **state)
{
	(void)state;
	/* paging on with an empty directory at 5000h, but for the code's page */
	static const u32 directory[] = {0x6003}, table[] = {0x3, 0x1003};

	assert_int_equal(guest_write(vm, GPA(0x5000), directory, sizeof(directory)), 0);
	assert_int_equal(guest_write(vm, GPA(0x6000), table, sizeof(table)), 0);
	cpu->reg[VREG_CR0] |= CR0_PG;
	cpu->reg[VREG_CR3] = 0x5000;
	code("\x89\x03", 2);
	*gpr(GPR_RBX) = 0x800123;
	mmio(MMIO, true);
	fault(14);
	assert_int_equal(vcpu->exception.error, 2); /* a write, not present */
	assert_int_equal(cpu->reg[VREG_CR2], 0x800123);
	assert_int_equal(probe.writes, 0);
}

/* ---- the local APIC, on its short ways */

#define APIC_PAGE 0xfee00000u

static u32 apic_reg(const struct vcpu *of, unsigned offset)
{
	return of->virt->apic[offset / 4];
}

static void apic_access(unsigned offset, bool write)
{
	handle((struct vcpu_exit){.reason = EXIT_APIC_ACCESS,
				  .memory = {GPA(APIC_PAGE + offset), write, false, true}});
}

/* What the CPU has checked is not looked at again: the segment is of no use. */
static void apic_page_by_mov(void **state)
{
	(void)state;
	lapic_virtual_wire(vcpu);
	cpu->seg[SREG_DS].unusable = true;
	*gpr(GPR_RBX) = APIC_PAGE;
	code("\x8b\x43\x30", 3); /* mov eax, [ebx + 30h] */
	apic_access(LAPIC_VERSION, false);
	done(3);
	assert_int_equal(*gpr(GPR_RAX), 0x50014);
	code("\x89\x4b\x08", 3); /* mov [ebx + 8], ecx */
	*gpr(GPR_RBX) = APIC_PAGE + LAPIC_TPR - 8;
	*gpr(GPR_RCX) = 0xffffffff00000020;
	apic_access(LAPIC_TPR, true);
	done(3);
	assert_int_equal(apic_reg(vcpu, LAPIC_TPR), 0x20);
	code("\xc7\x03\x30\0\0\0", 6); /* mov dword [ebx], 30h */
	*gpr(GPR_RBX) = APIC_PAGE + LAPIC_TPR;
	apic_access(LAPIC_TPR, true);
	done(6);
	assert_int_equal(apic_reg(vcpu, LAPIC_TPR), 0x30);
	code("\xa1\x80\0\xe0\xfe", 5); /* mov eax, [fee00080h] */
	apic_access(LAPIC_TPR, false);
	done(5);
	assert_int_equal(*gpr(GPR_RAX), 0x30);
	cpu->reg[VREG_RSP] = 0x40;
	code("\x89\x23", 2); /* mov [ebx], esp */
	apic_access(LAPIC_TPR, true);
	assert_int_equal(apic_reg(vcpu, LAPIC_TPR), 0x40);
}

static void apic_page_by_other_instructions(void **state)
{
	(void)state;
	lapic_virtual_wire(vcpu);
	*gpr(GPR_RBX) = APIC_PAGE;
	code("\x83\x8b\x80\0\0\0\x28", 7); /* or dword [ebx + 80h], 28h */
	apic_access(LAPIC_TPR, true);
	done(7);
	assert_int_equal(apic_reg(vcpu, LAPIC_TPR), 0x28);
	code("\x8a\x83\x80\0\0\0", 6); /* mov al, [ebx + 80h] */
	*gpr(GPR_RAX) = 0x1100;
	apic_access(LAPIC_TPR, false);
	done(6);
	assert_int_equal(*gpr(GPR_RAX), 0x1128);
	/* an exit by a write, in whose place another vCPU has put a read: as the code is now */
	code("\x8b\x83\x80\0\0\0", 6);
	apic_access(LAPIC_TPR, true);
	done(6);
	assert_int_equal(*gpr(GPR_RAX), 0x28);
	assert_int_equal(apic_reg(vcpu, LAPIC_TPR), 0x28);
	/* the code's page is gone by now: the guest finds that when it fetches */
	cpu->reg[VREG_CR0] |= CR0_PG;
	cpu->reg[VREG_CR3] = 0x5000;
	apic_access(LAPIC_TPR, true);
	done(0);
}

/* Two pages that are not neighbours; then the second is not there, and 15 prefixes. */
static void code_across_pages(void **state)
{
	static const u64 entries[][2] = {{0x5000, 0x6007}, {0x6000, 0x1007}, {0x6004, 0x9007},
					 {0x5000 + 0x3c0 * 4, 0xf0000087}};

	(void)state;
	cpu->reg[VREG_CR0] |= CR0_PG;
	cpu->reg[VREG_CR3] = 0x5000;
	cpu->reg[VREG_CR4] |= CR4_PSE;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
		assert_int_equal(guest_write(vm, GPA(entries[i][0]), &entries[i][1], 4), 0);
	assert_int_equal(guest_write(vm, GPA(0x1ffe), "\xc7\x03", 2), 0); /* mov dword [ebx], ... */
	assert_int_equal(guest_write(vm, GPA(0x9000), "\1\2\3\4", 4), 0);
	*gpr(GPR_RBX) = MMIO;
	for (unsigned there = 2; there--;) {
		cpu->reg[VREG_RIP] = 0xffe;
		probe.writes = 0;
		exit_handle(vcpu, &(struct vcpu_exit){.reason = EXIT_MEMORY,
						      .memory = {GPA(MMIO), true, false, true}});
		assert_int_equal(vcpu->exception.type, EVENT_NONE);
		assert_int_equal(probe.writes, there);
		assert_int_equal(cpu->reg[VREG_RIP], there ? 0x1004 : 0xffe);
		assert_int_equal(guest_write(vm, GPA(0x6004), "\0", 1), 0);
	}
	assert_int_equal(probe.value, 0x04030201);
	assert_int_equal(vm->requests, 0);
	code("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", 16);
	cpu->reg[VREG_RIP] = 0;
	exit_handle(vcpu, &(struct vcpu_exit){.reason = EXIT_MEMORY, .memory = {.gpa = GPA(MMIO), .write = true}});
	killed("is not emulated");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_reason_has_a_handler),
		TEST(nothing_to_do),
		TEST(cpuid_clears_the_high_halves),
		TEST(cpuid_on_a_real_host),
		TEST(rdmsr_and_wrmsr),
		TEST(xsetbv_exits),
		TEST(control_registers_are_reached),
		TEST(hlt_halts_behind_itself),
		TEST(hypercalls_as_kvm_answers_them),
		TEST(instructions_that_fault),
		TEST(exceptions_go_back),
		TEST(triple_fault_resets),
		TEST(kill_paths),
		TEST(port_widths),
		TEST(unknown_ports_read_ones_and_are_told_once),
		TEST(string_instructions),
		TEST(string_code_that_has_changed_runs_anew),
		TEST(device_memory),
		TEST(device_memory_by_mov),
		TEST(device_memory_behind_ram),
		TEST(strings_at_once),
		TEST(strings_that_are_not_plain),
		TEST(strings_into_what_is_not_written),
		TEST(nobody_reads_ones_and_is_told_once),
		TEST(writes_to_read_only_memory_are_dropped),
		TEST(fetch_from_nowhere_is_undefined),
		TEST(event_that_cannot_be_delivered_kills),
		TEST(event_that_waits_does_not_kill),
		TEST(instruction_that_is_not_emulated),
		TEST(faults_of_emulated_instructions),
		TEST(apic_page_by_mov),
		TEST(code_across_pages),
		TEST(apic_page_by_other_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
