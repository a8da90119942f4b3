/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's input: what the serial port receives and what is typed on a
 * PS/2 keyboard, in one ring. Interrupts fill it where the machine delivers
 * them; every look at it reads the chips as well.
 */
#pragma once

#include "drivers/uart.h"

/*
 * Starts input from `uart`, if it is one, and from the keyboard, if that is
 * wanted and there. Returns true when the serial port's interrupts arrive,
 * which is tried for up to 10 ms; they then also come when the transmitter is
 * empty, and call console_wake. Boot CPU, with the APIC timer running, once.
 */
bool input_open(struct uart *uart, bool keyboard);

/* Takes up to len bytes of input; 0: only looks whether the chips have some. Any CPU. */
unsigned input_take(u8 *data, unsigned len);
