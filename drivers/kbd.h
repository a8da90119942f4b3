/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical PS/2 keyboard with the US layout: shift, control, caps lock,
 * and the keys of a terminal. Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard
 * and Auxiliary Device Controller" and "Keyboards", scan code set 1.
 */
#pragma once

#include "arch/lib/types.h"

/*
 * Looks for a keyboard controller and lets it send scan codes of set 1 with
 * interrupts; neither controller nor keyboard is reset, so that firmware that plays
 * a PS/2 keyboard for one on USB goes on. False when there is none. Boot CPU.
 */
bool kbd_init(void);

/*
 * The bytes of the keys pressed since the last call, as a terminal sends them;
 * at least KBD_SEQUENCE of them must find room. Nothing before kbd_init has found one. Callers
 * serialise.
 */
#define KBD_SEQUENCE 4
unsigned kbd_try_read(u8 *data, unsigned len);
