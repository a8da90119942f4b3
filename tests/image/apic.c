/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest=apic: what the CPU serves of the local APIC, by the back end's calls alone:
 * the frame behind the xAPIC is found in no mode, registers and MSRs that exit or do not,
 * delivery and ends of interrupts, TPR's threshold, HLT and PAUSE, INIT. Each holds with
 * every choice of features; what is used decides what exits.
 */
#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/vmx.h"
#include "tests/image/guest.h"
#include "vmm/inject.h"

#define SIZE	MIB(4)
#define GDT	0x4000ull
#define STACK	0x7000ull
#define CODE	0x8000ull
#define IDT	0x20000ull
#define TABLES	0x10000ull
#define DATA	MIB(2)
#define LATE	100000000ull
#define SOON	200000ull
#define WORDS	(PAGE_SIZE / 4)
#define PATTERN 0xa5a5a5a5u
#define NOTHING 0xffffffffu
#define APIC(offset) (VIRT_APIC_PAGE + (offset))

enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, SVR = 0xf0,
       ISR = 0x100, IRR = 0x200, ICR = 0x300, CURRENT = 0x390 };

extern const u8 apic_guest[], apic_guest_end[], apic_guest_read[], apic_guest_write[],
	apic_guest_rdmsr[], apic_guest_wrmsr[], apic_guest_write_cr8[], apic_guest_read_cr8[],
	apic_guest_open[], apic_guest_halt[], apic_guest_spin[];

static struct guest g;
static struct virt_vcpu *v;
static bool shadow, access, registers, delivers, x2apic, bitmap;

/* The highest vector of eight words at an offset of the page, or -1. */
static int highest(unsigned offset)
{
	for (int i = 7; i >= 0; i--)
		if (v->apic[offset / 4 + 4 * i])
			return 32 * i + 31 - __builtin_clz(v->apic[offset / 4 + 4 * i]);
	return -1;
}

static void request(u8 vector)
{
	v->apic[IRR / 4 + vector / 32 * 4] |= BIT(vector % 32);
	virt->irr_push(v, highest(IRR));
}

/* What vmm does at an end of interrupt that exits. */
static void end_interrupt(void)
{
	int vector = highest(ISR);

	if (vector >= 0)
		v->apic[ISR / 4 + vector / 32 * 4] &= ~BIT(vector % 32);
	virt->isr_sync(v, highest(ISR));
}

static void mode(enum virt_apic mode)
{
	bool page = mode == VIRT_APIC_XAPIC;

	if (!page)
		virt->vm_apic_page(g.vm->virt, false);
	virt->apic_mode(v, mode);
	if (page)
		virt->vm_apic_page(g.vm->virt, true);
	memset(v->apic, 0, PAGE_SIZE);
	if (v->apic_delivers) {
		virt->irr_push(v, -1);
		virt->isr_sync(v, -1);
	}
}

/* Runs to the next exit that tells something. */
static struct vcpu_exit run(u64 ticks)
{
	u64 deadline = rdtsc() + ticks;
	struct vcpu_exit exit;

	do
		virt->run(v, deadline, &exit);
	while (exit.reason == EXIT_HOST);
	inject_take_undelivered(g.vcpu);
	if (exit.reason == EXIT_HYPERCALL)
		vcpu_skip(g.vcpu, &exit);
	return exit;
}

static struct vcpu_exit start(const u8 *piece)
{
	virt->set(v, VREG_RIP, CODE + (u64)(piece - apic_guest));
	return run(LATE);
}

static bool make(void)
{
	static const u64 gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
	struct vcpu_dtable idt = {IDT, 0xfff}, table = {GDT, sizeof(gdt) - 1};

	if (!guest_make(&g, SIZE))
		return false;
	v = g.vcpu->virt;
	vm_set_memory_region(g.vm, 0, 0, GPA(0), SIZE, g.mem, 0);
	guest_put_tables(&g, TABLES, TABLES, 7);
	for (u64 i = 0; i < 512; i++) { /* the fourth GiB, too */
		u64 entry = (GIB(3) + i * MIB(2)) | 0x87, up = (TABLES + 3 * PAGE_SIZE) | 7;

		guest_write(g.vm, GPA(TABLES + 3 * PAGE_SIZE + i * 8), &entry, sizeof(entry));
		guest_write(g.vm, GPA(TABLES + PAGE_SIZE + 3 * 8), &up, sizeof(up));
	}
	for (u64 i = 0; i < 256; i++) {
		u64 gate = (CODE + 16 * i) | 0x10ull << 16 | 0x8e00ull << 32;

		guest_write(g.vm, GPA(IDT + 16 * i), &gate, sizeof(gate));
	}
	guest_write(g.vm, GPA(GDT), gdt, sizeof(gdt));
	guest_write(g.vm, GPA(CODE), apic_guest, apic_guest_end - apic_guest);
	guest_start(&g, CODE, TABLES);
	virt->set_table(v, VTABLE_IDT, &idt);
	virt->set_table(v, VTABLE_GDT, &table);
	virt->set(v, VREG_RSP, STACK);
	return true;
}

/* ---- the frame */

static void fill_frame(u64 entry)
{
	u64 *frame = g.vm->virt->apic_frame;

	for (unsigned i = 0; frame && i < PAGE_SIZE / 8; i++)
		frame[i] = entry;
}

static unsigned frame_is(u64 entry)
{
	const u64 *frame = g.vm->virt->apic_frame;
	unsigned failed = 0;

	for (unsigned i = 0; frame && i < PAGE_SIZE / 8; i++)
		CHECK_EQUAL(frame[i], entry);
	return failed;
}

/* Goes through the page by a piece, stepping over each access that exits, and counts those. */
static unsigned through_page(const u8 *piece, enum vcpu_exit_reason wanted, bool write,
			     unsigned *exits, unsigned *traps)
{
	struct vcpu_exit exit;
	unsigned failed = 0;

	v->gpr[GPR_RSI] = VIRT_APIC_PAGE;
	v->gpr[GPR_RDI] = DATA;
	v->gpr[GPR_RCX] = WORDS;
	*exits = *traps = 0;
	for (exit = start(piece); exit.reason != EXIT_HYPERCALL; exit = run(LATE)) {
		if (exit.reason == EXIT_APIC_WRITE) {
			CHECK_EQUAL(exit.apic.offset, v->gpr[GPR_RSI] - VIRT_APIC_PAGE);
			CHECK_EQUAL(v->apic[exit.apic.offset / 4], PATTERN ^ ~0u);
			(*traps)++;
			continue;
		}
		(*exits)++;
		CHECK_EQUAL(exit.reason, wanted);
		CHECK_EQUAL(exit.memory.gpa.v, v->gpr[GPR_RSI]);
		CHECK_EQUAL(exit.memory.write, write);
		CHECK_EQUAL(exit.memory.fetch, false);
		if (failed > 5)
			return failed;
		if (!write)
			v->gpr[GPR_RAX] = NOTHING;
		virt->skip(v, 2);
	}
	return failed;
}

/* Registers that the CPU reads from the page: "Virtualizing Reads from the APIC-Access Page". */
static bool served(unsigned offset)
{
	static const u16 single[] = {ID, VERSION, TPR, EOI, LDR, 0xe0, SVR, 0x280, ICR, 0x310, 0x380, 0x3e0};

	if (!access || offset % 16)
		return false;
	if (!registers)
		return shadow && offset == TPR;
	for (unsigned i = 0; i < ARRAY_SIZE(single); i++)
		if (single[i] == offset)
			return true;
	return (offset >= ISR && offset < 0x280) || (offset >= 0x320 && offset <= 0x370);
}

static unsigned look_for_frame(enum virt_apic m)
{
	bool page = m == VIRT_APIC_XAPIC && access;
	enum vcpu_exit_reason wanted = page ? EXIT_APIC_ACCESS : EXIT_MEMORY;
	unsigned failed = 0, exits, traps, count = 0;

	mode(m);
	fill_frame(PATTERN | (u64)PATTERN << 32);
	for (unsigned i = 0; i < WORDS; i++)
		v->apic[i] = 0xb0000000 + 4 * i;
	failed += through_page(apic_guest_read, wanted, false, &exits, &traps);
	for (unsigned i = 0; i < WORDS; i++) {
		bool here = m == VIRT_APIC_XAPIC && served(4 * i);
		u32 value = 0;

		guest_read(g.vm, GPA(DATA + 4 * i), &value, sizeof(value));
		CHECK_EQUAL(value, here ? v->apic[i] : NOTHING);
		count += here;
	}
	CHECK_EQUAL(exits, WORDS - count);
	CHECK_EQUAL(traps, 0);
	mode(m);
	v->gpr[GPR_RAX] = PATTERN ^ ~0u;
	failed += through_page(apic_guest_write, wanted, true, &exits, &traps);
	CHECK(exits >= WORDS - 40 && (page || exits == WORDS));
	CHECK(!traps == !(page && (registers || delivers)));
	failed += frame_is(PATTERN | (u64)PATTERN << 32);
	mode(m);
	return failed;
}

/* Tables whose root, or what it leads to, is the page; a walk that reads the frame finds
 * good ones there. Bochs 2.7 reports such a walk as if the instruction read the page. */
static unsigned walk_through_frame(enum virt_apic m)
{
	u64 good = (TABLES + PAGE_SIZE) | 7, bad = VIRT_APIC_PAGE | 7;
	bool page = m == VIRT_APIC_XAPIC && access;
	unsigned failed = 0;
	struct vcpu_exit exit;

	mode(m);
	for (unsigned level = 0; level < 2; level++) {
		fill_frame(level ? (TABLES + 2 * PAGE_SIZE) | 7 : good);
		guest_write(g.vm, GPA(DATA), &bad, sizeof(bad));
		virt->set(v, VREG_CR3, level ? DATA : VIRT_APIC_PAGE);
		virt->flush(v);
		exit = start(apic_guest_read_cr8);
		CHECK(exit.reason == EXIT_MEMORY || (exit.reason == EXIT_APIC_ACCESS && page));
		CHECK_EQUAL(exit.memory.gpa.v / PAGE_SIZE, VIRT_APIC_PAGE / PAGE_SIZE);
	}
	virt->set(v, VREG_CR3, TABLES);
	virt->flush(v);
	return failed;
}

/* Code there, and a stack for an interrupt. */
static unsigned execute_frame(enum virt_apic m)
{
	static const struct vcpu_event event = {.type = EVENT_INTERRUPT, .vector = 0x33};
	unsigned failed = 0;
	struct vcpu_exit exit;

	mode(m);
	fill_frame(0x9090909090c1010full); /* VMCALL */
	virt->set(v, VREG_RIP, VIRT_APIC_PAGE);
	exit = run(LATE);
	CHECK_EQUAL(exit.reason, EXIT_MEMORY);
	CHECK_EQUAL(exit.memory.fetch, true);
	CHECK_EQUAL(exit.memory.gpa.v, VIRT_APIC_PAGE);
	virt->set(v, VREG_RSP, APIC(0x800));
	virt->set(v, VREG_RFLAGS, RFLAGS_ONE | RFLAGS_IF);
	virt->inject(v, &event);
	exit = start(apic_guest_read_cr8);
	CHECK_EQUAL(exit.reason, EXIT_MEMORY);
	CHECK_EQUAL(exit.memory.gpa.v / PAGE_SIZE, VIRT_APIC_PAGE / PAGE_SIZE);
	CHECK_EQUAL(g.vcpu->delivery.type, EVENT_INTERRUPT);
	CHECK_EQUAL(g.vcpu->delivery.vector, 0x33);
	g.vcpu->interrupt.type = EVENT_NONE;
	virt->set(v, VREG_RSP, STACK);
	virt->set(v, VREG_RFLAGS, RFLAGS_ONE);
	failed += frame_is(0x9090909090c1010full);
	return failed;
}

static unsigned frame(void)
{
	static const u8 modes[] = {VIRT_APIC_XAPIC, VIRT_APIC_X2APIC, VIRT_APIC_XAPIC, VIRT_APIC_OFF,
				   VIRT_APIC_XAPIC};
	unsigned failed = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		u64 generation = g.vm->virt->ept.generation;

		failed += look_for_frame(modes[i]);
		failed += walk_through_frame(modes[i]);
		failed += execute_frame(modes[i]);
		/* Bochs would not miss the flush. */
		CHECK(modes[i] == VIRT_APIC_XAPIC || !access || g.vm->virt->ept.generation > generation);
	}
	return failed;
}

/* ---- registers */

static unsigned msr_exits(u32 msr, bool write, bool exits)
{
	struct vcpu_exit exit;
	unsigned failed = 0;

	v->gpr[GPR_RCX] = msr;
	v->gpr[GPR_RAX] = v->gpr[GPR_RDX] = 0;
	exit = start(write ? apic_guest_wrmsr : apic_guest_rdmsr);
	if (exit.reason != (exits ? write ? EXIT_WRMSR : EXIT_RDMSR : EXIT_HYPERCALL))
		log_error("MSR %xh, write %u", msr, write);
	CHECK_EQUAL(exit.reason, exits ? write ? EXIT_WRMSR : EXIT_RDMSR : EXIT_HYPERCALL);
	return failed;
}

static unsigned msrs(void)
{
	bool tpr = x2apic && bitmap, pages = tpr && registers, ends = tpr && delivers;
	unsigned failed = 0;

	mode(VIRT_APIC_X2APIC);
	for (u32 msr = 0x800; msr < 0x900; msr++) {
		bool page = pages && (msr == 0x802 || msr == 0x803 || msr == 0x80d ||
				      (msr >= 0x80f && msr <= 0x828) ||
				      (msr >= 0x832 && msr <= 0x838) || msr == 0x83e);

		v->apic[(msr & 0xff) * 4] = msr == 0x808 ? 0x20 : 0;
		failed += msr_exits(msr, false, !(page || (msr == 0x808 && tpr) ||
						  (msr == 0x80a && pages && delivers)));
		if (msr == 0x808 && tpr)
			CHECK_EQUAL(v->gpr[GPR_RAX], 0x20);
		if (msr != 0x83f)
			failed += msr_exits(msr, true, !((msr == 0x808 && tpr) || (msr == 0x80b && ends)));
	}
	if (pages) {
		v->apic[VERSION / 4] = 0x50014;
		failed += msr_exits(0x803, false, false);
		CHECK_EQUAL(v->gpr[GPR_RAX], 0x50014);
		CHECK_EQUAL(v->gpr[GPR_RDX], 0);
	}
	mode(VIRT_APIC_XAPIC);
	failed += msr_exits(0x803, false, true);
	failed += msr_exits(0x808, true, true);
	return failed;
}

static unsigned cr8(void)
{
	unsigned failed = 0;
	struct vcpu_exit exit;

	for (enum virt_apic m = VIRT_APIC_OFF; m <= VIRT_APIC_X2APIC; m++) {
		mode(m);
		v->gpr[GPR_RAX] = 9;
		exit = start(apic_guest_write_cr8);
		CHECK_EQUAL(exit.reason, shadow ? EXIT_HYPERCALL : EXIT_CR);
		CHECK_EQUAL(v->apic[TPR / 4], shadow ? 0x90 : 0);
		v->apic[TPR / 4] = 0x70;
		exit = start(apic_guest_read_cr8);
		CHECK_EQUAL(exit.reason, shadow ? EXIT_HYPERCALL : EXIT_CR);
		CHECK_EQUAL(v->gpr[GPR_RAX], shadow ? 7 : 9);
	}
	return failed;
}

static unsigned threshold(enum virt_apic m)
{
	static const struct {
		u8 cr8;
		enum vcpu_exit_reason reason;
	} rows[] = {{15, EXIT_HYPERCALL}, {5, EXIT_HYPERCALL}, {4, EXIT_HYPERCALL}, {3, EXIT_APIC_TPR}};
	unsigned failed = 0;

	mode(m);
	if (!shadow || v->apic_delivers)
		return 0;
	v->apic[TPR / 4] = 0x80;
	virt->tpr_threshold(v, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		v->gpr[GPR_RAX] = rows[i].cr8;
		CHECK_EQUAL(start(apic_guest_write_cr8).reason, rows[i].reason);
		CHECK_EQUAL(v->apic[TPR / 4], rows[i].cr8 << 4);
	}
	/* MOV CR8 is over */
	virt->tpr_threshold(v, 0);
	CHECK_EQUAL(run(LATE).reason, EXIT_HYPERCALL);
	/* above TPR, as an entry refuses it */
	v->apic[TPR / 4] = 0x3f;
	virt->tpr_threshold(v, 9);
	CHECK_EQUAL(start(apic_guest_read_cr8).reason, EXIT_HYPERCALL);
	v->gpr[GPR_RAX] = 2;
	CHECK_EQUAL(start(apic_guest_write_cr8).reason, EXIT_APIC_TPR);
	virt->tpr_threshold(v, 0);
	return failed;
}

/* ---- interrupts that the CPU delivers */

/* Lets interrupts in and ends those whose end exits; the vectors seen, the first on top. */
static unsigned opened(u64 wanted, unsigned count)
{
	enum vcpu_exit_reason reason;
	unsigned failed = 0;

	v->gpr[GPR_R13] = v->gpr[GPR_R14] = 0;
	for (reason = start(apic_guest_open).reason; reason == EXIT_WRMSR || reason == EXIT_MEMORY ||
						   reason == EXIT_APIC_ACCESS; reason = run(LATE).reason) {
		end_interrupt();
		virt->skip(v, reason == EXIT_WRMSR ? 2 : 6);
	}
	CHECK_EQUAL(reason, EXIT_HYPERCALL);
	CHECK_EQUAL(v->gpr[GPR_R13], wanted);
	CHECK_EQUAL(v->gpr[GPR_R14], count);
	CHECK_EQUAL(highest(IRR), -1);
	CHECK_EQUAL(highest(ISR), -1);
	return failed;
}

/* Whether the CPU ends them itself. */
static bool ends_itself(enum virt_apic m)
{
	return m == VIRT_APIC_XAPIC ? access : x2apic && bitmap;
}

static unsigned self_ipi(enum virt_apic m)
{
	unsigned failed = 0;

	if (!ends_itself(m))
		return 0;
	if (m == VIRT_APIC_XAPIC) {
		v->gpr[GPR_RSI] = APIC(ICR);
		v->gpr[GPR_RAX] = 0x44061; /* fixed, asserted, to itself */
		v->gpr[GPR_RCX] = 1;
		CHECK_EQUAL(start(apic_guest_write).reason, EXIT_HYPERCALL);
	} else {
		v->gpr[GPR_RAX] = 0x61;
		v->gpr[GPR_RDX] = 0;
		v->gpr[GPR_RCX] = 0x83f;
		CHECK_EQUAL(start(apic_guest_wrmsr).reason, EXIT_HYPERCALL);
	}
	CHECK_EQUAL(highest(IRR), 0x61);
	failed += opened(0x61, 1);
	return failed;
}

static unsigned eoi_exit(enum virt_apic m)
{
	u32 vectors[8] = {0};
	unsigned failed = 0;
	struct vcpu_exit exit;

	if (!ends_itself(m))
		return 0;
	v->apic[TPR / 4] = 0;
	vectors[1] = BIT(0x31 % 32);
	vectors[7] = BIT(31);
	virt->eoi_exits(v, vectors);
	request(0x31);
	exit = start(apic_guest_open);
	CHECK_EQUAL(exit.reason, EXIT_APIC_EOI);
	CHECK_EQUAL(exit.apic.vector, 0x31);
	CHECK_EQUAL(highest(ISR), -1);
	CHECK_EQUAL(run(LATE).reason, EXIT_HYPERCALL);
	request(0x32);
	failed += opened(0x32, 1);
	request(0xff);
	exit = start(apic_guest_open);
	CHECK_EQUAL(exit.reason, EXIT_APIC_EOI);
	CHECK_EQUAL(exit.apic.vector, 0xff);
	CHECK_EQUAL(run(LATE).reason, EXIT_HYPERCALL);
	vectors[1] = vectors[7] = 0;
	virt->eoi_exits(v, vectors);
	request(0x31);
	failed += opened(0x31, 1);
	return failed;
}

static unsigned deliveries(enum virt_apic m)
{
	unsigned failed = 0;

	mode(m);
	CHECK_EQUAL(v->apic_delivers, delivers);
	if (!v->apic_delivers)
		return failed;
	v->gpr[GPR_R12] = m;
	failed += opened(0, 0);
	request(0x45);
	request(0x30);
	request(0xd2);
	failed += opened(0xd24530, 3);
	/* TPR holds one back until it is lowered */
	v->gpr[GPR_RAX] = 5;
	CHECK_EQUAL(start(apic_guest_write_cr8).reason, shadow ? EXIT_HYPERCALL : EXIT_CR);
	request(0x5f);
	v->gpr[GPR_R14] = 0;
	CHECK_EQUAL(start(apic_guest_open).reason, EXIT_HYPERCALL);
	CHECK_EQUAL(v->gpr[GPR_R14], 0);
	CHECK_EQUAL(highest(IRR), 0x5f);
	v->gpr[GPR_RAX] = 4;
	CHECK_EQUAL(start(apic_guest_write_cr8).reason, EXIT_HYPERCALL);
	failed += opened(0x5f, 1);
	/* so does one in service that another one has to wait for */
	v->apic[ISR / 4 + 4 * 2] = BIT(0x55 % 32);
	virt->isr_sync(v, 0x55);
	request(0x56);
	CHECK_EQUAL(start(apic_guest_open).reason, EXIT_HYPERCALL);
	CHECK_EQUAL(highest(IRR), 0x56);
	end_interrupt();
	failed += opened(0x56, 1);
	failed += self_ipi(m);
	failed += eoi_exit(m);
	mode(VIRT_APIC_OFF);
	CHECK(!v->apic_delivers);
	return failed;
}

/* ---- waiting */

static unsigned halts(void)
{
	static const struct vcpu_event interrupt = {.type = EVENT_INTERRUPT, .vector = 0x44},
				       fault = {.type = EVENT_EXCEPTION, .vector = VECTOR_UD};
	unsigned failed = 0;
	struct vcpu_exit exit;

	mode(VIRT_APIC_OFF);
	v->gpr[GPR_R12] = 0;
	CHECK_EQUAL(start(apic_guest_halt).reason, EXIT_HLT);
	virt->idle_exits(v, false, false);
	for (unsigned i = 0; i < 2; i++) {
		virt->set(v, VREG_RIP, CODE + (u64)(apic_guest_halt - apic_guest));
		CHECK_EQUAL(run(SOON).reason, EXIT_DEADLINE);
		CHECK_EQUAL(virt->get(v, VREG_HALTED), 1);
		CHECK_EQUAL(run(SOON).reason, EXIT_DEADLINE);
		CHECK_EQUAL(virt->get(v, VREG_HALTED), 1);
		/* an interrupt of the host ends its turn, and in Bochs 2.7 the wait, too */
		apic_timer_arm(rdtsc() + SOON);
		virt->run(v, rdtsc() + LATE, &exit);
		CHECK_EQUAL(exit.reason, EXIT_HOST);
		virt->set(v, VREG_HALTED, 1);
		CHECK(!virt->check(v));
		v->gpr[GPR_R13] = 0;
		virt->inject(v, i ? &fault : &interrupt);
		CHECK(!virt->check(v));
		exit = run(LATE);
		CHECK_EQUAL(exit.reason, EXIT_HYPERCALL);
		CHECK_EQUAL(v->gpr[GPR_R13], i ? VECTOR_UD : 0x44);
		CHECK_EQUAL(virt->get(v, VREG_HALTED), 0);
	}
	/* woken by vmm */
	virt->set(v, VREG_RIP, CODE + (u64)(apic_guest_halt - apic_guest));
	CHECK_EQUAL(run(SOON).reason, EXIT_DEADLINE);
	virt->set(v, VREG_HALTED, 0);
	CHECK_EQUAL(run(LATE).reason, EXIT_HYPERCALL);
	virt->idle_exits(v, true, false);
	CHECK_EQUAL(start(apic_guest_halt).reason, EXIT_HLT);
	virt->set(v, VREG_RFLAGS, RFLAGS_ONE);
	virt->set(v, VREG_SHADOW, 0);
	return failed;
}

static unsigned pauses(void)
{
	unsigned failed = 0;

	v->gpr[GPR_RCX] = 100000;
	CHECK_EQUAL(start(apic_guest_spin).reason, EXIT_HYPERCALL);
	virt->idle_exits(v, true, true);
	v->gpr[GPR_RCX] = 100000;
	CHECK_EQUAL(start(apic_guest_spin).reason,
		    virt_supports("pause-loop-exit") ? EXIT_PAUSE : EXIT_HYPERCALL);
	virt->idle_exits(v, true, false);
	v->gpr[GPR_RCX] = 100000;
	CHECK_EQUAL(start(apic_guest_spin).reason, EXIT_HYPERCALL);
	return failed;
}

/* "Processor State After Reset": its column of INIT. */
static unsigned init(void)
{
	static const struct {
		enum vcpu_reg reg;
		u64 before, after;
	} rows[] = {
		{VREG_CR0, CR0_PE | CR0_CD | CR0_NE | CR0_ET, CR0_CD | CR0_ET}, {VREG_CR2, 5, 0},
		{VREG_CR3, 0x1000, 0}, {VREG_CR4, CR4_PAE, 0}, {VREG_EFER, 0, 0},
		{VREG_RIP, 0x1234, 0xfff0}, {VREG_RSP, 1, 0}, {VREG_RFLAGS, 0x202, 2},
		{VREG_DR0, 1, 0}, {VREG_DR6, 0xffff0ff1, 0xffff0ff0}, {VREG_DR7, 0x401, 0x400},
		{VREG_SYSENTER_CS, 8, 8}, {VREG_SYSENTER_ESP, 9, 9}, {VREG_SYSENTER_EIP, 10, 10},
		{VREG_TSC_OFFSET, 77, 77}, {VREG_HALTED, 1, 0}, {VREG_SHADOW, SHADOW_NMI, 0},
		{VREG_PENDING_DEBUG, 1, 0},
	};
	static u8 area[PAGE_SIZE], after[PAGE_SIZE];
	struct vcpu_segment cs;
	u64 pat = 0x0606060606060606, star = 0x1234000000000, value = 0;
	unsigned failed = 0;

	mode(VIRT_APIC_X2APIC);
	virt->idle_exits(v, false, true);
	virt->tpr_threshold(v, 0);
	virt->set(v, VREG_PAT, pat);
	virt->get_fpu(v, area);
	area[160] ^= 0x5a; /* XMM0 */
	virt->set_fpu(v, area);
	virt->get_fpu(v, area);
	CHECK_EQUAL(virt->msr(v, true, MSR_STAR, &star), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		virt->set(v, rows[i].reg, rows[i].before);
	virt->vcpu_init(v);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_EQUAL(virt->get(v, rows[i].reg), rows[i].after);
	CHECK(virt->get(v, VREG_PAT) == pat || !vmx_uses(VMX_ENTRY, ENTRY_CTL_LOAD_PAT));
	CHECK_EQUAL(virt->msr(v, false, MSR_STAR, &value), 0);
	CHECK_EQUAL(value, star);
	virt->get_fpu(v, after);
	CHECK(!memcmp(area, after, virt->fpu()->size));
	virt->get_segment(v, SREG_CS, &cs);
	CHECK(cs.base == 0xffff0000 && cs.selector == 0xf000 && cs.limit == 0xffff);
	CHECK_EQUAL(v->gpr[GPR_RDX], cpuid(1, 0).eax);
	CHECK_EQUAL(v->gpr[GPR_RCX], 0);
	CHECK(!v->apic_delivers);
	CHECK(!virt->check(v));
	CHECK_EQUAL(run(LATE).reason, EXIT_MEMORY); /* FFFFFFF0h */
	return failed;
}

static unsigned run_apic(const char *argument)
{
	unsigned failed = 0;

	shadow = virt_supports("tpr-shadow");
	access = virt_supports("apic-access");
	registers = virt_supports("apic-registers");
	delivers = virt_supports("virtual-interrupts");
	x2apic = virt_supports("x2apic-virtualization");
	bitmap = virt_supports("msr-bitmap");
	log_info("apic: shadow %u, accesses %u, registers %u, delivery %u, x2APIC %u", shadow, access,
		 registers, delivers, x2apic);
	if (!make())
		return 1;
	failed += frame();
	log_info("apic: frame: %u failed", failed);
	failed += msrs();
	log_info("apic: MSRs: %u failed", failed);
	failed += cr8();
	for (enum virt_apic m = VIRT_APIC_OFF; m <= VIRT_APIC_X2APIC; m++)
		failed += threshold(m);
	log_info("apic: TPR: %u failed", failed);
	failed += deliveries(VIRT_APIC_XAPIC);
	failed += deliveries(VIRT_APIC_X2APIC);
	log_info("apic: delivery: %u failed", failed);
	failed += halts();
	log_info("apic: HLT: %u failed", failed);
	failed += pauses();
	log_info("apic: PAUSE: %u failed", failed);
	failed += init();
	guest_end(&g);
	return failed;
}

DEFINE_SELFTEST(apic_test, .name = "apic", .run = run_apic);
