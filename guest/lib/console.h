/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's console: COM1, polled, 115200 8N1.
 */
#ifndef GUEST_LIB_CONSOLE_H
#define GUEST_LIB_CONSOLE_H

#include "guest/lib/types.h"

#define CONSOLE_PORT 0x3f8
#define CONSOLE_IRQ  4

/* Sets the line up; interrupts of the UART stay off. */
void console_init(void);
void console_putc(char c);
/* The next byte received, or -1. */
int console_getc(void);
/* Waits until the last byte has left the UART. */
void console_drain(void);

/* Understands %c %s %d %u %x %p %% with 0, width and the length marks l, ll. */
void console_vprint(const char *fmt, va_list ap);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
