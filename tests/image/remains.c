/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "remains": no machine finds what another one left. One arms every timer that it has and is
 * killed with all of them and interrupts pending; then all that is its own is filled with a
 * pattern: registers, FPU state, APIC, bitmaps, logs, devices, RAM. It is destroyed, and the
 * next one has the pattern nowhere, nor has any timer outlived the first; so many times, with no
 * page and no frame lost. A module's last page is full of it, too, from the beginning.
 */
#include "arch/cpu.h"
#include "arch/lib/audit.h"
#include "arch/lib/string.h"
#include "arch/percpu.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"
#include "tests/image/state.h"
#include "vmm/guestmap.h"
#include "vmm/life.h"
#include "vmm/pcpu.h"
#include "vmm/vtimer.h"
#ifdef PARANOID
#include "tests/paranoid/paranoid.h"
#endif

#define ROUNDS	100u /* unless the argument says */
#define BYTE	0x5c
#define PATTERN 0x5c5c5c5cu
#define MEM	MIB(2)

/* In real mode: PIT channel 0 every 256 ticks, RTC 8192 times a second, UART with its interrupts
 * and a byte sent, all lines of the 8259s open but no interrupt taken; then port 80h, for ever. */
static const u8 leaver[] = {
	0xfa,						/* cli */
	0xb0, 0x34, 0xe6, 0x43,				/* 8254: mode 2 */
	0x30, 0xc0, 0xe6, 0x40, 0xb0, 0x01, 0xe6, 0x40, /* 256 */
	0xb0, 0x0a, 0xe6, 0x70, 0xb0, 0x23, 0xe6, 0x71, /* RTC: rate 3 */
	0xb0, 0x0b, 0xe6, 0x70, 0xb0, 0x72, 0xe6, 0x71, /* PIE, AIE, UIE */
	0xb0, 0x40, 0xe6, 0x70, 0xb0, BYTE, 0xe6, 0x71, /* a byte of its RAM */
	0xba, 0xf9, 0x03, 0xb0, 0x0f, 0xee,		/* UART: all its interrupts, */
	0xba, 0xff, 0x03, 0xb0, BYTE, 0xee,		/* scratch, */
	0xba, 0xf8, 0x03, 0xb0, BYTE, 0xee,		/* and a byte */
	0xe6, 0x80, 0xeb, 0xfc,				/* out 80h, al; jmp */
};

static struct machine machine;
static struct vm_module module;
static struct state first, now;
static unsigned failures, found, rounds;

static unsigned fpu_pages(void)
{
	return ALIGN_UP(virt->fpu()->size, PAGE_SIZE) / PAGE_SIZE;
}

/* What a VM has in Trivet's pages, piece by piece; what hangs in lists is left out. */
static void each_piece(struct vm *vm, void (*fn)(const char *what, void *piece, size_t size))
{
	struct vcpu *vcpu;

	VM_FOR_EACH_VCPU(vcpu, vm) {
		struct vmx_vcpu *v = to_vmx(vcpu->virt);

		fn("general registers", v->base.gpr, sizeof(v->base.gpr));
		fn("the FPU's area", v->fpu, fpu_pages() * PAGE_SIZE);
		fn("the APIC's page", v->base.apic, PAGE_SIZE);
		fn("debug registers", v->dr, sizeof(v->dr));
		fn("switched MSRs", v->msr, sizeof(v->msr));
		fn("MSRs", &vcpu->msrs, sizeof(vcpu->msrs));
		if (v->pml)
			fn("the page-modification log", v->pml, PAGE_SIZE);
	}
	if (vm->virt->apic_frame)
		fn("the APIC's frame", vm->virt->apic_frame, PAGE_SIZE);
	fn("MSR bitmaps", vm->virt->msr_bitmap, 2 * PAGE_SIZE);
	for (struct vdev *dev = vm->devices; dev; dev = dev->next)
		fn(dev->type->name, dev->state, dev->type->save_size);
}

static void fill(const char *what, void *piece, size_t size)
{
	(void)what;
	memset(piece, BYTE, size);
}

static void count(const char *what, void *piece, size_t size)
{
	(void)what;
	for (size_t i = 0; i + 4 <= size; i += 4)
		if (*(u32 *)((u8 *)piece + i) == PATTERN) {
			found++;
			return;
		}
}

static void look(const char *what, void *piece, size_t size)
{
	unsigned before = found;

	count(what, piece, size);
	if (found != before) {
		log_error("not so: nothing is left in %s", what);
		failures++;
	}
}

/* All that the guest can read, from address 0 on, and its module. */
static void each_page(struct vm *vm, void (*fn)(const char *what, void *piece, size_t size))
{
	static u64 page[PAGE_SIZE / 8];

	space_enter(&vm->space);
	for (u64 gpa = 0; gpa < MEM; gpa += PAGE_SIZE) {
		if (guest_read(vm, GPA(gpa), page, PAGE_SIZE))
			continue;
		fn("memory", page, PAGE_SIZE);
		if (fn == fill)
			window_copy((void *)(WINDOW_BASE + gpa), page, PAGE_SIZE);
	}
	window_copy(page, (void *)(MODULE_WINDOW_BASE + module.start.v), PAGE_SIZE);
	fn("a module's last page", (u8 *)page + ALIGN_UP(module.size, 4),
	   PAGE_SIZE - ALIGN_UP(module.size, 4));
	space_leave();
}

static void ask(enum life_request request)
{
	const char *wrong = life_ask(&machine, request);

	if (wrong) {
		log_error("not so: it can be asked: %s", wrong);
		failures++;
	}
	life_wait(&machine);
	guest_job_gone(&machine.job);
}

/* Lives until it has done its work, and is left with what it began. */
static void one_leaves(void)
{
	unsigned failed = 0;
	struct vm *vm;

	ask(LIFE_START);
	vm = machine.vm;
	while (vcpu_exits(vm->vcpu, EXIT_IO) < 100)
		job_yield();
	ask(LIFE_KILL);
	CHECK(vm->timers->first); /* with its clock they stand still */
	__atomic_or_fetch(&vm->vcpus[1]->lapic.events, LAPIC_EVENT_NMI | LAPIC_EVENT_INIT,
			  __ATOMIC_SEQ_CST);
	each_piece(vm, fill);
	each_page(vm, fill);
	found = 0;
	each_piece(vm, count);
	each_page(vm, count);
	CHECK(found > 300 + 20); /* it would be seen: RAM, and the rest */
	ask(LIFE_DESTROY);
	for (unsigned i = 0; i < pcpu_count; i++)
		CHECK(!pcpu_vmm_of(i)->timers.first);
	failures += failed;
}

/* As the guest would find it at its first instruction. */
static void another_comes(bool is_first)
{
	struct vm *vm;
	unsigned failed = 0;

	CHECK_EQUAL(machine_create(&machine.config, &vm), 0);
	if (failed || machine_start(vm, NULL)) {
		failures++;
		return;
	}
	each_page(vm, look);
	each_piece(vm, look);
	vcpu_load(vm->vcpu);
	memset(&now, 0, sizeof(now));
	failed += state_save(vm->vcpu, &now);
	vcpu_put(vm->vcpu);
	if (is_first)
		first = now;
	else if (state_differs(&first, &now)) {
		log_error("not so: the state is as in the first life: %s",
			  state_differs(&first, &now));
		failed++;
	}
	audit_run(AUDIT_VM_END, vm);
	vm_destroy(vm);
	failures += failed;
}

static void drive(void)
{
	u64 pages = 0, frames = 0;
	unsigned failed = 0;

	another_comes(true);
	for (unsigned i = 0; i < rounds && !failures; i++) {
		one_leaves();
		another_comes(false);
		if (i == 0) {
			pages = pages_in_use();
			frames = frames_available();
		}
	}
	CHECK_EQUAL(pages_in_use(), pages);
	CHECK_EQUAL(frames_available(), frames);
	failures += failed;
}

static unsigned run(const char *argument)
{
	u8 *image = pages_alloc(1);

	rounds = 0;
	for (const char *p = argument; *p >= '0' && *p <= '9'; p++)
		rounds = rounds * 10 + (unsigned)(*p - '0');
	rounds = rounds ? rounds : ROUNDS;
	memset(image, BYTE, PAGE_SIZE);
	memcpy(image, leaver, sizeof(leaver));
	module = (struct vm_module){.number = 1, .start = virt_to_phys(image), .size = sizeof(leaver),
				    .kind = MODULE_FLAT, .cmdline = ""};
	machine.config = (struct machine_config){
		.vm = "remains", .name = "guest", .mem = MEM, .cpus = 2, .modules = &module,
		.pci_testdev = true, .module_count = 1, .epoch_tsc = rdtsc()};
	life_add(&machine);
	log_set_level(LOG_WARN);
#ifdef PARANOID
	cap_counts = false; /* what the test itself looks through takes longer */
#endif
	if (guest_in_job(drive))
		failures++;
	log_set_level(LOG_INFO);
	life_machines = NULL;
	return failures;
}

DEFINE_SELFTEST(remains_test, .name = "remains", .run = run);
