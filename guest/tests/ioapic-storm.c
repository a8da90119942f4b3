/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: whatever a guest writes to its I/O APIC and however long a line stays up, the machine
 * goes on: a level whose device is not served interrupts once for each EOI, and no more; of
 * many edges none is lost and none doubled; random entries harm nobody.
 * "82093AA I/O Advanced Programmable Interrupt Controller" data sheet. Word `x2apic`.
 *
 * Not checked where the word `bare` says that it is Bochs: its I/O APIC has no remote IRR and does
 * not send again at the EOI; an access to a register that the data sheet does not list ends it.
 */
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

#define PIN	4 /* COM1, whose line is up while its THRE interrupt is enabled */
#define VECTOR	0x61
#define EDGES	10000
#define LEVELS	10000
#define ACCESSES 3000
#define FIRST_VECTOR 0x20

static volatile unsigned taken[TRAP_VECTORS];

static void line(bool up)
{
	outb(CONSOLE_PORT + 1, up ? 2 : 0);
}

/* The one in which the line goes down, 0 for none. */
static volatile unsigned drop_at;
/* Interrupts since the program got on; where they have a bound, all pins are masked then. */
static volatile unsigned in_a_row;
static volatile unsigned bound;

static void mask_all(void)
{
	for (unsigned pin = 0; pin < 24; pin++)
		ioapic_route(pin, APIC_MASKED, 0);
}

static void on_interrupt(struct trap_frame *frame)
{
	if (++taken[frame->vector] == drop_at)
		line(false);
	if (bound && ++in_a_row > bound)
		mask_all();
	apic_eoi();
}

static void begin(void)
{
	console_drain();
	line(false);
	for (unsigned v = 0; v < TRAP_VECTORS; v++)
		taken[v] = 0;
}

static void end(void)
{
	ioapic_route(PIN, APIC_MASKED, 0);
	line(false);
}

static void edges(void)
{
	unsigned late = 0;

	begin();
	ioapic_route(PIN, VECTOR, (u8)apic_id());
	sti();
	for (unsigned i = 1; i <= EDGES; i++) {
		line(true);
		for (unsigned wait = 0; taken[VECTOR] < i && wait < 100000; wait++)
			pause();
		late += taken[VECTOR] != i;
		line(false);
	}
	cli();
	end();
	test_equal("edges", taken[VECTOR], EDGES);
	test_equal("edges-in-step", late, 0);
}

/* The program itself may not get an instruction done before the line goes down. */
static void stuck_level(void)
{
	if (test_spared("stuck-level"))
		return;
	begin();
	drop_at = LEVELS;
	ioapic_route(PIN, IOAPIC_LEVEL | VECTOR, (u8)apic_id());
	line(true);
	sti();
	pit_wait_us(10000);
	cli();
	drop_at = 0;
	end();
	test_equal("stuck-level", taken[VECTOR], LEVELS);
	test_equal("released", ioapic_read(IOAPIC_ENTRY(PIN)) & IOAPIC_REMOTE_IRR, 0);
}

static u32 random32(void)
{
	static u64 state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (u32)state;
}

/*
 * Random registers and values; of the modes, those that a program survives: fixed and lowest.
 * A level that stays up may leave the program no instruction between two interrupts.
 */
static void random_entries(void)
{
	if (test_spared("random-accesses"))
		return;
	begin();
	bound = 20;
	sti();
	for (unsigned i = 0; i < ACCESSES; i++, in_a_row = 0) {
		u32 r = random32(), value = random32() & ~0x600u;

		if ((value & 0xff) < FIRST_VECTOR)
			value |= FIRST_VECTOR;
		if (r & 2) /* everybody's, also as the high half of an entry */
			value |= 0xff000000;
		if (r & 1)
			ioapic_write(r >> 8 & 0xff, value);
		else
			ioapic_read(r >> 8 & 0xff);
		if (!(r & 0xf0))
			line(r & 4);
	}
	cli();
	bound = 0;
	mask_all();
	ioapic_write(IOAPIC_ID, 0);
	sti(); /* what was sent before */
	pit_wait_us(100);
	cli();
	end();
	test_equal("version-afterwards", ioapic_read(IOAPIC_VERSION) & 0xff00ff, 0x170011);
}

void test_main(void)
{
	if (!apic_mode_of_words())
		return;
	irq_init();
	for (unsigned v = FIRST_VECTOR; v < TRAP_VECTORS; v++)
		trap_hook[v] = on_interrupt;
	apic_enable();
	edges();
	stuck_level();
	random_entries();
	edges();
}
