/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: what a guest can read is its own, a device's, or nothing: no byte of Trivet's stack, of a
 * page that another had, of another VM, and no address of Trivet's. Reads all that answers: its
 * first registers, all memory, CPUID, MSRs, ports in all widths, devices behind index registers, PCI
 * config space, addresses without RAM, hypercalls, and what Trivet writes for it. The word
 * `ports=` is the step from port 1000h on (default 1: all). pattern.h says what is looked for.
 * SDM volume 2 says which part of a register IN, INS and RDMSR write; the rest must stay.
 */
#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/paging.h"
#include "guest/lib/pattern.h"
#include "guest/lib/smp.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

#define KEPT 0x1122334455667788ull /* in a register of which only a part is written */
#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define PCI_ENABLE  0x80000000u
#define FOUR_GIB    0x100000000ull

extern u64 start_gpr[16];
extern u8 guest_end[];

static unsigned seen;	  /* what should not be, in this part */
static u64 looked, changed; /* values looked at; registers changed that should not be */
static u8 fpu[4096] __attribute__((aligned(64)));

static void look(const char *where, u64 at, u64 value, unsigned size)
{
	enum pattern_kind kind = pattern_look(value, size);

	looked++;
	if (kind && seen++ < 10)
		print("FAIL %s %llx: %llx is %s\n", where, at, value, pattern_name(kind));
}

/* What is left of a register that is written in part. */
static void look_kept(const char *where, u64 at, u64 rest)
{
	if (rest && changed++ < 10)
		print("FAIL %s %llx: the rest of the register has changed by %llx\n", where, at, rest);
}

static void done(const char *part)
{
	print("%s: %llu values\n", part, looked);
	test_equal(part, seen + changed, 0);
	seen = 0;
	looked = changed = 0;
}

/* ---- what it began with */

static void look_at_bytes(const char *where, const void *from, size_t size)
{
	for (size_t i = 0; i + 8 <= size; i++) {
		u64 value;

		__builtin_memcpy(&value, (const u8 *)from + i, 8);
		look(where, i, value, 8);
	}
}

/* Right after reset, INIT or the loader; nobody has used these registers. */
static void look_at_fpu(void)
{
	u32 components = 0;

	cr0_write(cr0_read() & ~(CR0_EM | CR0_TS));
	cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	memset(fpu, 0, sizeof(fpu));
	__asm__ volatile("fxsave64 (%0)" : : "r"(fpu) : "memory");
	look_at_bytes("fpu", fpu, 512);
	for (unsigned i = 32; i < 416; i++) /* x87 and XMM registers */
		changed += fpu[i] != 0;
	if (!(cpuid(1, 0).ecx & BIT(26)))
		return;
	cr4_write(cr4_read() | CR4_OSXSAVE);
	components = cpuid(0xd, 0).eax;
	__asm__ volatile("xsetbv" : : "c"(0), "a"(components), "d"(0));
	__asm__ volatile("xsave64 (%0)" : : "r"(fpu), "a"(components), "d"(0) : "memory");
	look_at_bytes("xsave", fpu, sizeof(fpu));
	for (unsigned i = 576; i < sizeof(fpu); i++)
		changed += fpu[i] != 0;
}

#define LOOK_DR(n)                                                                                \
	__asm__ volatile("mov %%dr" #n ", %0" : "=r"(value));                                     \
	look("dr", n, value, 8);

static void look_at_debug(void)
{
	u64 value;

	LOOK_DR(0)
	LOOK_DR(1)
	LOOK_DR(2)
	LOOK_DR(3)
	LOOK_DR(6)
	LOOK_DR(7)
	look("cr", 2, cr2_read(), 8);
}

static void first_state(void)
{
	look_at_fpu();
	look_at_debug();
	for (unsigned i = 0; i < ARRAY_SIZE(start_gpr); i++)
		look("general register", i, start_gpr[i], 8);
	done("first-state");
}

static void at_arrival(unsigned cpu)
{
	(void)cpu;
	look_at_fpu();
	look_at_debug();
}

/* The other vCPU, in the state behind INIT and SIPI; its start code has taken the general ones. */
static void second_vcpu(void)
{
	apic_enable();
	if (boot_number("cpus", 1) < 2 || smp_find() < 2) {
		test_skip("second-vcpu", "there is none");
		return;
	}
	smp_arrived = at_arrival;
	CHECK("second-vcpu-starts", smp_start(1));
	done("second-vcpu");
}

/* ---- memory */

static bool own(u64 at)
{
	return at >= 0x100000 && at < (u64)guest_end;
}

/* All RAM of E820's list, and the tables in it. How much of what nobody has written is not 0 is
 * told. */
static void memory(void)
{
	u64 filled = 0;

	for (unsigned i = 0; i < boot.range_count; i++) {
		u64 end = boot.range[i].base + boot.range[i].size;

		if (boot.range[i].type == 2 && boot.range[i].base >= 0x100000)
			continue;
		for (u64 at = boot.range[i].base; at + 8 <= end && at < FOUR_GIB - 8; at += 8) {
			u64 value = own(at) ? 0 : *(volatile u64 *)phys(at);

			looked++;
			if (!value)
				continue;
			look("memory", at, value, 8);
			filled += at >= 0x100000;
		}
	}
	print("memory: %llu words above 1 MiB are not 0\n", filled);
	done("memory");
}

/* ---- CPUID and MSRs */

static void leaves(u32 from, u32 to)
{
	for (u32 leaf = from; leaf <= to; leaf++)
		for (u32 subleaf = 0; subleaf < 64; subleaf++) {
			struct cpuid r = cpuid(leaf, subleaf);

			look("cpuid", leaf, (u64)r.ebx << 32 | r.eax, 8);
			look("cpuid", leaf, (u64)r.edx << 32 | r.ecx, 8);
		}
}

static void all_leaves(void)
{
	leaves(0, 0x40);
	leaves(ABI_CPUID_KVM, ABI_CPUID_KVM + 0x10f);
	leaves(0x80000000, 0x80000040);
	done("cpuid");
}

static void msrs(u32 from, u32 to)
{
	for (u32 msr = from; msr <= to; msr++) {
		u64 a = KEPT, d = KEPT;
		unsigned vector = TRY("rdmsr", : "+a"(a), "+d"(d) : "c"(msr) : "memory");

		if (vector == TRAP_NONE)
			look_kept("msr", msr, (a | d) >> 32);
		else
			look_kept("msr", msr, (a ^ KEPT) | (d ^ KEPT));
		look("msr", msr, vector == TRAP_NONE ? d << 32 | (u32)a : 0, 8);
	}
}

static void all_msrs(void)
{
	msrs(0, 0x1fff);
	msrs(0x40000000, 0x400000ff);
	msrs(ABI_MSR_WALL_CLOCK, ABI_MSR_WALL_CLOCK + 0xff);
	msrs(0xc0000000, 0xc0001fff);
	done("msr");
}

/* ---- ports */

/*
 * Ports that are not read byte by byte, and why. None ends or resets the machine by being
 * read; writes do that, and here is none but to index registers.
 */
static const struct {
	u16 first, last;
	const char *why;
} spared[] = {
	{0x40, 0x42, "the 8254's counters, which come by A5A5h and 5A5Ah"},
	{0x605, 0x60b, "ACPI's timer, whose upper bytes stay for long"},
};

static bool is_spared(u16 port)
{
	for (unsigned i = 0; i < ARRAY_SIZE(spared); i++)
		if (port >= spared[i].first && port <= spared[i].last)
			return true;
	return false;
}

#define PORT_IN(op, size)                                                                         \
	{                                                                                         \
		u64 a = KEPT;                                                                     \
                                                                                                  \
		__asm__ volatile(op : "+a"(a) : "d"(port) : "memory");                            \
		look_kept("port", port, size == 4 ? a >> 32 : (a ^ KEPT) >> 8 * size);            \
		look("port", port, a & (~0ull >> (64 - 8 * size)), size);                         \
	}

/* A byte alone says little: eight of them from one port are looked at, by INS. */
#define PORT_INS(name, op, count_of)                                                              \
	static u64 name(u16 port)                                                                 \
	{                                                                                         \
		u64 into[2] = {KEPT, KEPT}, count = count_of;                                     \
		void *to = into;                                                                  \
                                                                                                  \
		__asm__ volatile("rep " op : "+D"(to), "+c"(count) : "d"(port) : "memory");       \
		look_kept("port behind ins", port, into[1] ^ KEPT);                               \
		return into[0];                                                                   \
	}
PORT_INS(bytes_of, "insb", 8)
PORT_INS(words_of, "insw", 4)
PORT_INS(dwords_of, "insl", 2)

static void look_by_ins(u16 port, u64 (*read)(u16 port))
{
	look("port by ins", port, read(port), 8);
}

static void look_at_port(u16 port)
{
	PORT_IN("inl %%dx, %%eax", 4)
	if (is_spared(port))
		return;
	PORT_IN("inb %%dx, %%al", 1)
	PORT_IN("inw %%dx, %%ax", 2)
	look_by_ins(port, bytes_of);
	look_by_ins(port, words_of);
	look_by_ins(port, dwords_of);
}

static void all_ports(void)
{
	unsigned step = (unsigned)boot_number("ports", 1);

	/* Nothing but plain reads: no I/O runs over FFFFh. */
	for (unsigned port = 0; port < 0xfffc; port += port < 0x1000 ? 1 : step)
		look_at_port((u16)port);
	done("ports");
}

/* Registers behind another one: all values of the first, reads of the second. */
static const struct {
	const char *name;
	u16 index, data;
	u8 first, last;
} indexed[] = {
	{"cmos", 0x70, 0x71, 0, 0xff},
	{"8042", 0x64, 0x60, 0x20, 0x3f}, /* its memory */
	{"8042's ports", 0x64, 0x60, 0xc0, 0xc4},
	{"8042's output", 0x64, 0x60, 0xd0, 0xd0},
	{"8042's test", 0x64, 0x60, 0xaa, 0xab},
	{"8254's latches 0", 0x43, 0x40, 0, 0},
	{"8254's latches 1", 0x43, 0x41, 0x40, 0x40},
	{"8254's latches 2", 0x43, 0x42, 0x80, 0x80},
	{"8254's status", 0x43, 0x40, 0xc2, 0xc2},
	{"8254's states", 0x43, 0x42, 0xe8, 0xef},
	{"8259's requests", 0x20, 0x20, 0x08, 0x0f},
	{"8259's requests, second", 0xa0, 0xa0, 0x08, 0x0f},
	{"uart's divisor", 0x3fb, 0x3f8, 0x83, 0x83},
	{"uart's scratch", 0x3fb, 0x3ff, 0x03, 0x03},
};

static void all_indexed(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(indexed); i++)
		for (unsigned index = indexed[i].first; index <= indexed[i].last; index++) {
			u16 port = indexed[i].data;

			outb(indexed[i].index, (u8)index);
			if (!is_spared(port))
				look_by_ins(port, bytes_of);
			outb(indexed[i].index, (u8)index);
			PORT_IN("inl %%dx, %%eax", 4)
			PORT_IN("inb %%dx, %%al", 1)
		}
	console_init();
	done("indexed");
}

/* ---- memory-mapped devices, and where nothing is */

static void look_at_mmio(u64 at)
{
	volatile void *p = phys(at);

	look("address", at, *(volatile u8 *)p, 1);
	look("address", at, *(volatile u16 *)p, 2);
	look("address", at, *(volatile u32 *)p, 4);
	look("address", at, *(volatile u64 *)p, 8);
}

/* From outside RAM into it, by string instructions; and what is read in part. */
static void look_by_others(u64 at)
{
	u64 into[3] = {KEPT, KEPT, KEPT}, count = 16, a = KEPT;
	volatile void *from = phys(at);
	void *to = into;

	__asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
	look("address by movs", at, into[0], 8);
	look("address by movs", at, into[1], 8);
	look_kept("address by movs", at, into[2] ^ KEPT);
	__asm__ volatile("movw (%1), %%ax" : "+a"(a) : "r"(phys(at)) : "memory");
	look_kept("address", at, (a ^ KEPT) >> 16);
	__asm__ volatile("movzbl (%1), %k0" : "=r"(a) : "r"(phys(at)) : "memory");
	look_kept("address", at, a >> 8);
}

static bool is_ram(u64 at)
{
	for (unsigned i = 0; i < boot.range_count; i++)
		if (boot.range[i].type == 1 && at - boot.range[i].base < boot.range[i].size)
			return true;
	return false;
}

static void page(u64 at, unsigned step)
{
	for (unsigned i = 0; i < 4096; i += step)
		look_at_mmio(at + i);
	look_by_others(at);
}

static void all_mmio(void)
{
	page(APIC_PAGE, 4);
	for (unsigned index = 0; index < 256; index++) {
		*(volatile u32 *)phys(IOAPIC_PAGE) = index;
		look_at_mmio(IOAPIC_PAGE + 0x10);
	}
	page(IOAPIC_PAGE, 4);
	for (u64 at = 0xa0000; at < 0x100000; at += 8)
		look("window", at, *(volatile u64 *)phys(at), 8);
	/* Where devices may be: each page; elsewhere one of each 2 MiB. */
	for (u64 at = 0; at < FOUR_GIB; at += at < 0xfe000000 ? 0x200000 : 0x1000)
		if (!is_ram(at))
			look_at_mmio(at + 0x40);
	for (unsigned shift = 32; shift < 40; shift++)
		look_at_mmio((u64)paging_map(PAGING_WINDOW, BIT(shift), PAGING_PRESENT | PAGING_WRITE));
	done("mmio");
}

static void pci_ports(void)
{
	for (unsigned bdf = 0; bdf < 0x10000; bdf += bdf < 0x100 ? 1 : 8)
		for (unsigned reg = 0; reg < (bdf < 0x100 ? 0x100 : 4); reg += 4) {
			outl(PCI_ADDRESS, PCI_ENABLE | bdf << 8 | reg);
			look("pci", bdf << 8 | reg, inl(PCI_DATA), 4);
			look("pci", bdf << 8 | reg, inw(PCI_DATA + 2), 2);
		}
	done("pci-ports");
}

static void pci_memory(void)
{
	const struct acpi_table *mcfg = acpi_find("MCFG");
	u64 ecam;

	if (!mcfg) {
		test_skip("pci-memory", "no MCFG");
		return;
	}
	__builtin_memcpy(&ecam, mcfg->body + 8, 8);
	for (unsigned bdf = 0; bdf < 0x100; bdf++) {
		bool there = *(volatile u32 *)phys(ecam + bdf * 0x1000) != ~0u;

		for (unsigned reg = 0; reg < (there ? 0x1000 : 16); reg += 4)
			look_at_mmio(ecam + bdf * 0x1000 + reg);
		for (unsigned bar = 0x10; there && bar < 0x28; bar += 4) {
			u32 base = *(volatile u32 *)phys(ecam + bdf * 0x1000 + bar);

			if (base & 1)
				look_at_port((u16)(base & 0xfff0));
			else if (base & ~15u)
				page(base & ~15u, 4);
		}
	}
	done("pci-memory");
}

/* ---- what Trivet writes for it, and answers */

static void hypercalls(void)
{
	for (unsigned number = 0; number < 256; number++)
		for (unsigned kind = 0; kind < 4; kind++) {
			u64 x = kind == 0 ? 0 : kind == 1 ? ~0ull : kind == 2 ? KEPT : 0x800000000000ull;
			u64 a = number, b = x, c = x, d = x, s = x;

			/* IPIs to all would reach this one as any vector. */
			if (number == ABI_HYPERCALL_SEND_IPI)
				d = ~0u;
			__asm__ volatile("vmcall" : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(s) : : "memory");
			look("hypercall", number, a, 8);
			look_kept("hypercall", number, (b ^ x) | (c ^ x) | (s ^ x));
		}
	done("hypercalls");
}

/* Into bytes that are all ones first. */
static void told(void)
{
	static u8 area[4096] __attribute__((aligned(4096)));
	static const u32 rows[] = {ABI_MSR_WALL_CLOCK, ABI_MSR_SYSTEM_TIME, ABI_MSR_STEAL_TIME,
				   ABI_MSR_WALL_CLOCK_OLD, ABI_MSR_SYSTEM_TIME_OLD};

	memset(area, 0xff, sizeof(area));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		wrmsr(rows[i], (u64)(area + 256 * i) | (rows[i] & 15 ? 1 : 0));
	for (unsigned i = 0; i < 100; i++)
		outb(0x80, 0);
	look_at_bytes("told", area, sizeof(area));
	for (unsigned i = 64; i < sizeof(area); i++)
		if (i % 256 >= 64 || i >= 256 * ARRAY_SIZE(rows))
			look_kept("told", i, area[i] ^ 0xff);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		wrmsr(rows[i], 0);
	done("told");
}

static void x2apic(void)
{
	if (!apic_has_x2()) {
		test_skip("x2apic", "no x2APIC");
		return;
	}
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EXTD);
	msrs(0x800, 0x8ff);
	done("x2apic");
}

void test_main(void)
{
	first_state();
	irq_init();
	memory();
	all_leaves();
	all_msrs();
	second_vcpu();
	all_ports();
	all_indexed();
	pci_ports();
	pci_memory();
	all_mmio();
	if (cpu_on_trivet()) {
		hypercalls();
		told();
	}
	x2apic();
}
