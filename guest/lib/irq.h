/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8259 pair at vectors 20h to 2Fh, counted interrupts, and the 8254.
 */
#ifndef GUEST_LIB_IRQ_H
#define GUEST_LIB_IRQ_H

#include "guest/lib/types.h"

#define PIT_HZ 1193182u

#define PIC1_CMD  0x20
#define PIC1_DATA 0x21
#define PIC2_CMD  0xa0
#define PIC2_DATA 0xa1
#define PIC_EOI	  0x20

/* Interrupts taken on each line; spurious ones (no bit in service) count apart. */
extern volatile unsigned irq_count[16];
extern volatile unsigned irq_spurious;
/* Called in the interrupt, before the end-of-interrupt command. */
extern void (*irq_handler[16])(void);

/* Sets both chips up at 20h/28h, everything masked, handlers in place. */
void irq_init(void);
void irq_unmask(unsigned line);
void irq_mask(unsigned line);

/* Programs counter 0 in a mode with a 16-bit count (0 is 65536). */
void pit_start(unsigned mode, u16 count);
/* Latches and reads counter 0. */
u16 pit_read(void);
/* Waits with counter 2 as a one-shot, at most 54 ms; returns the TSC ticks that passed. */
u64 pit_wait_us(u32 us);

#endif
