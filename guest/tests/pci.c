/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: bus 0 starts with a host bridge, and config space reads the same by ports
 * CF8h and CFCh as by ECAM, where ACPI's MCFG names one; what is not there reads all
 * ones. A function's BARs tell their size, decode where they are put and only while
 * the command register says so; its messages and INTA# reach the local APIC, held
 * back by each of their masks. PCI Local Bus Specification 3.0, "Configuration Space",
 * "Message Signaled Interrupts"; PCI Firmware Specification, "MCFG".
 *
 * A bare Bochs has neither MCFG nor the function (the header of drivers/vpci_test.c is its
 * data sheet): those parts are skipped there.
 */
#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/paging.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define ADDRESS 0xcf8
#define DATA	0xcfc
#define ENABLE	0x80000000u
#define TESTDEV 0x7e571234u
#define ONES	0xffffffffu

#define COMMAND	0x04
#define STATUS	0x06
#define BAR(n)	(0x10 + 4 * (n))
#define IO	BIT(0)
#define MEM	BIT(1)
#define MASTER	BIT(2)
#define NO_INTX BIT(10)
#define RAISE	0 /* the function's registers */
#define ACK	4
#define SCRATCH 8

#define VECTOR	0x30
#define VECTORS 8

static u64 ecam;
static unsigned slot;
static volatile unsigned taken[TRAP_VECTORS];
static volatile u32 *ack_at; /* INTA#'s handler writes there */

/* --- config space ---------------------------------------------------------- */

static void address(unsigned dev, unsigned reg)
{
	outl(ADDRESS, ENABLE | dev << 11 | (reg & 0xfc));
}

static u32 config(unsigned dev, unsigned reg)
{
	address(dev, reg);
	return inl(DATA);
}

static void config_put(unsigned reg, u32 value)
{
	address(slot, reg);
	outl(DATA, value);
}

static void command(u16 value)
{
	address(slot, COMMAND);
	outw(DATA, value);
}

static volatile void *ecam_at(unsigned dev, unsigned reg)
{
	return phys((unsigned long)(ecam + dev * 0x8000 + reg));
}

static void ports(void)
{
	u32 ids = config(0, 0);

	test_equal("address-reads-back", (address(3, 0x44), inl(ADDRESS)), ENABLE | 3 << 11 | 0x44);
	outb(ADDRESS, 0x10);
	outb(ADDRESS + 3, 1);
	test_equal("address-takes-dwords-only", inl(ADDRESS), ENABLE | 3 << 11 | 0x44);
	CHECK("bridge-there", (u16)ids != 0xffff && (u16)ids != 0);
	test_equal("bridge-class", config(0, 8) >> 16, 0x0600);
	address(0, 0);
	CHECK("words", inw(DATA) == (u16)ids && inw(DATA + 2) == ids >> 16);
	CHECK("bytes", inb(DATA) == (u8)ids && inb(DATA + 1) == (u8)(ids >> 8) &&
	      inb(DATA + 3) == ids >> 24);
	test_equal("absent-slot", config(31, 0), ONES);
	test_equal("absent-function", (outl(ADDRESS, ENABLE | 7 << 8), inl(DATA)), ONES);
	test_equal("absent-bus", (outl(ADDRESS, ENABLE | 0xff << 16), inl(DATA)), ONES);
	config(31, 0);
	outl(DATA, 0);
	test_equal("absent-after-write", inl(DATA), ONES);
}

static bool find_ecam(void)
{
	const struct acpi_table *mcfg = acpi_find("MCFG");

	if (mcfg)
		__builtin_memcpy(&ecam, mcfg->body + 8, 8);
	return mcfg;
}

static void ecam_shows_the_same(void)
{
	bool same = true, narrow = true;

	for (unsigned dev = 0; dev < 32; dev++)
		for (unsigned reg = 0; reg < 0x40; reg += 4) {
			u32 want = config(dev, reg);

			same &= *(volatile u32 *)ecam_at(dev, reg) == want;
			narrow &= *(volatile u16 *)ecam_at(dev, reg + 2) == want >> 16;
			narrow &= *(volatile u8 *)ecam_at(dev, reg + 1) == (u8)(want >> 8);
		}
	CHECK("ecam-dwords", same);
	CHECK("ecam-narrow", narrow);
	test_equal("ecam-absent-bus", *(volatile u32 *)phys(ecam + 0x0ff00000), ONES);
}

/* --- the function ---------------------------------------------------------- */

static bool find_function(void)
{
	for (slot = 0; slot < 32; slot++)
		if (config(slot, 0) == TESTDEV)
			return true;
	return false;
}

static u32 bar_size(unsigned n)
{
	u32 old = config(slot, BAR(n)), size;

	config_put(BAR(n), ONES);
	size = config(slot, BAR(n));
	config_put(BAR(n), old);
	return size;
}

static void bars(void)
{
	volatile u32 *low = phys(0xf0000000 + SCRATCH);
	volatile u32 *high = paging_map(PAGING_WINDOW, 0x100000000, PAGING_PRESENT | PAGING_WRITE);

	CHECK("placed-by-firmware", (config(slot, BAR(0)) & ~15u) && (config(slot, BAR(2)) & ~15u) &&
	      (config(slot, BAR(4)) & ~3u));
	command(0);
	test_equal("bar-32", bar_size(0), 0xfffff000);
	test_equal("bar-64-low", bar_size(2), 0xffff000c);
	test_equal("bar-64-high", bar_size(3), ONES);
	test_equal("bar-io", bar_size(4), 0xffffffe1);
	test_equal("bar-none", bar_size(5), 0);
	test_equal("bar-rom", bar_size(8), 0);
	config_put(BAR(2), 0xf0000000);
	config_put(BAR(3), 0);
	config_put(BAR(4), 0xd000);
	test_equal("not-decoded-memory", *low, ONES);
	test_equal("not-decoded-io", inl(0xd000 + SCRATCH), ONES);
	command(IO | MEM);
	*low = 0x12345678;
	test_equal("decoded-memory", *low, 0x12345678);
	test_equal("decoded-io", inl(0xd000 + SCRATCH), 0x12345678);
	command(IO);
	config_put(BAR(2), 0);
	config_put(BAR(3), 1);
	command(IO | MEM);
	test_equal("moved-above-4g", high[SCRATCH / 4], 0x12345678);
	test_equal("left-its-place", *low, ONES);
	high[SCRATCH / 4] = 77;
	test_equal("works-above-4g", inl(0xd000 + SCRATCH), 77);
	/* Over this program: RAM stays RAM. */
	command(IO);
	config_put(BAR(2), (u32)(unsigned long)&ecam & ~0xffffu);
	config_put(BAR(3), 0);
	command(IO | MEM);
	CHECK("ram-beneath-a-bar", config(slot, 0) == TESTDEV && inl(0xd000 + SCRATCH) == 77);
	config_put(BAR(2), 0xf0000000);
}

/* --- interrupts ------------------------------------------------------------ */

static void on_vector(struct trap_frame *frame)
{
	taken[frame->vector]++;
	if (ack_at)
		*ack_at = 0;
	apic_eoi();
}

/* Lets in what has been sent; messages are on their way for a while. */
static unsigned took(unsigned vector)
{
	u64 end = rdtsc() + 200000;
	unsigned before;

	sti();
	while (rdtsc() < end && !taken[vector])
		pause();
	end = rdtsc() + 2000;
	while (rdtsc() < end)
		pause();
	cli();
	before = taken[vector];
	taken[vector] = 0;
	return before;
}

static unsigned capability(u8 id)
{
	unsigned at = config(slot, 0x34) & 0xfc;

	for (unsigned i = 0; at && i < 48; i++) {
		u32 head = config(slot, at);

		if ((u8)head == id)
			return at;
		at = head >> 8 & 0xfc;
	}
	return 0;
}

static void msix(volatile u32 *regs)
{
	volatile u32 *table = phys(config(slot, BAR(0)) & ~15u);
	unsigned at = capability(0x11);
	bool each = true;

	test_equal("msix-vectors", config(slot, at) >> 16, VECTORS - 1);
	for (unsigned v = 0; v < VECTORS; v++) {
		table[4 * v] = APIC_PAGE | apic_id() << 12;
		table[4 * v + 1] = 0;
		table[4 * v + 2] = VECTOR + v;
		table[4 * v + 3] = 0;
	}
	regs[RAISE] = 0;
	test_equal("msix-off", took(VECTOR), 0);
	regs[ACK / 4] = 0;
	config_put(at, BIT(31));
	command(IO | MEM | MASTER);
	for (unsigned v = 0; v < VECTORS; v++)
		each &= (regs[RAISE] = v, took(VECTOR + v)) == 1;
	CHECK("msix-each-vector", each);
	table[4 * 2 + 3] = 1;
	regs[RAISE] = 2;
	test_equal("msix-masked", took(VECTOR + 2), 0);
	test_equal("msix-pending", table[0x800 / 4], BIT(2));
	table[4 * 2 + 3] = 0;
	test_equal("msix-unmasked", took(VECTOR + 2), 1);
	test_equal("msix-no-more-pending", table[0x800 / 4], 0);
	config_put(at, BIT(31) | BIT(30));
	regs[RAISE] = 3;
	test_equal("msix-function-masked", took(VECTOR + 3), 0);
	config_put(at, BIT(31));
	test_equal("msix-function-unmasked", took(VECTOR + 3), 1);
	config_put(at, 0);
	regs[ACK / 4] = 0;
}

static void msi(volatile u32 *regs)
{
	unsigned at = capability(0x05);

	config_put(at + 4, APIC_PAGE | apic_id() << 12);
	config_put(at + 8, 0);
	config_put(at + 12, VECTOR + 1);
	config_put(at, BIT(16));
	regs[RAISE] = 0;
	test_equal("msi", took(VECTOR + 1), 1);
	config_put(at + 16, 1);
	regs[RAISE] = 0;
	test_equal("msi-masked", took(VECTOR + 1), 0);
	test_equal("msi-pending", config(slot, at + 20), 1);
	config_put(at + 16, 0);
	test_equal("msi-unmasked", took(VECTOR + 1), 1);
	config_put(at, 0);
	regs[ACK / 4] = 0;
}

static void intx(volatile u32 *regs)
{
	unsigned pin = 16 + slot % 4;

	test_equal("intx-pin", config(slot, 0x3c) >> 8 & 0xff, 1);
	ioapic_route(pin, IOAPIC_LEVEL | IOAPIC_LOW | (VECTOR + 2), (u8)apic_id());
	test_equal("intx-idle", took(VECTOR + 2), 0);
	ack_at = &regs[ACK / 4];
	regs[RAISE] = 0;
	test_equal("intx", took(VECTOR + 2), 1);
	test_equal("intx-gone", config(slot, COMMAND) >> 16 & BIT(3), 0);
	command(IO | MEM | MASTER | NO_INTX);
	regs[RAISE] = 0;
	test_equal("intx-disabled", took(VECTOR + 2), 0);
	test_equal("intx-status", config(slot, COMMAND) >> 16 & BIT(3), BIT(3));
	command(IO | MEM | MASTER);
	test_equal("intx-enabled", took(VECTOR + 2), 1);
	ack_at = NULL;
	ioapic_route(pin, APIC_MASKED, 0);
}

static void interrupts(void)
{
	volatile u32 *regs = phys(0xf0000000);

	if (!apic_present()) {
		test_skip("interrupts", "no APIC");
		return;
	}
	irq_init();
	for (unsigned v = 0; v < VECTORS; v++)
		trap_hook[VECTOR + v] = on_vector;
	apic_enable();
	msix(regs);
	msi(regs);
	intx(regs);
}

void test_main(void)
{
	ports();
	if (find_ecam())
		ecam_shows_the_same();
	else if (cpu_on_trivet())
		CHECK("mcfg", false);
	else
		test_skip("ecam", "no MCFG");
	if (find_function()) {
		bars();
		interrupts();
	} else if (cpu_on_trivet()) {
		CHECK("function", false);
	} else {
		test_skip("function", "none of that kind");
	}
}
