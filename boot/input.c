/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Joins serial port and keyboard. One handler serves both interrupts, on the
 * boot CPU. No interrupt comes while a CPU is in here, since root mode runs
 * with interrupts off.
 */
#include "boot/input.h"

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/lib/lock.h"
#include "arch/lib/log.h"
#include "arch/trap.h"
#include "arch/tsc.h"
#include "drivers/ioapic.h"
#include "drivers/kbd.h"
#include "vmm/console.h"

#define RING_SIZE 16384u
#define BURST	  64	 /* the longest FIFO of a UART */
#define ROUNDS	  16	 /* that an interrupt may take */
#define IRQ_KEYS  1

static struct spinlock lock; /* guards the ring, and reading the chips */
static u8 ring_data[RING_SIZE];
static struct console_queue ring = {.data = ring_data, .size = RING_SIZE};

static struct uart *serial;
static bool full, told; /* input found no room; that some was lost is said */
static volatile bool interrupted;

/* What finds no room is dropped: left in the chip, it would keep the line up. */
static void receive(void)
{
	u8 data[2 * BURST];
	unsigned len = uart_try_read(serial, data, BURST);

	len += kbd_try_read(data + len, BURST);
	for (unsigned i = 0; i < len; i++)
		full |= !console_queue_put(&ring, data[i]);
}

static void on_interrupt(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		spin_lock(&lock);
		receive();
		spin_unlock(&lock);
		if (!uart_interrupting(serial))
			break;
		interrupted = true;
	}
	console_wake();
	apic_eoi();
}

static bool open_interrupt(unsigned irq, u8 vector)
{
	irq_register(vector, on_interrupt);
	return ioapic_route(&acpi.irq[irq], vector, apic_id()) == 0;
}

/* The ISA interrupt of COM1 to COM4; 0 for another port. */
static unsigned serial_irq(void)
{
	u64 base = serial->place.memory ? 0 : serial->place.base;

	return base == 0x3f8 || base == 0x3e8 ? 4 : base == 0x2f8 || base == 0x2e8 ? 3 : 0;
}

bool input_open(struct uart *uart, bool keyboard)
{
	u64 deadline = rdtsc() + tsc_hz / 100;

	serial = uart;
	if (keyboard && kbd_init())
		open_interrupt(IRQ_KEYS, APIC_VECTOR_KEYBOARD);
	if (!uart->fifo || !serial_irq() || !open_interrupt(serial_irq(), APIC_VECTOR_SERIAL))
		return false;
	/* The transmitter is empty, or soon will be: the first one comes by itself. */
	interrupted = false;
	uart_set_interrupt(uart, true);
	while (!interrupted && rdtsc() < deadline) {
		apic_timer_arm(deadline);
		interrupts_wait();
	}
	if (!interrupted)
		uart_set_interrupt(uart, false);
	return interrupted;
}

unsigned input_take(u8 *data, unsigned len)
{
	unsigned count = 0;
	bool lost;

	spin_lock(&lock);
	if (!ring.count || !len)
		receive();
	while (count < len && ring.count)
		data[count++] = (u8)console_queue_get(&ring);
	lost = !told && (full || serial->overruns);
	told |= lost;
	spin_unlock(&lock);
	if (lost)
		log_warn("console: input was lost: it came faster than it was taken");
	return count;
}
