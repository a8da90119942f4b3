/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where Trivet's log goes: the serial port and the screen that the options and
 * the machine give. Until then the log's ring keeps what was said.
 */
#pragma once

#include "boot/mb2.h"
#include "boot/options.h"
#include "drivers/uart.h"

/* The serial port in use. */
extern struct uart output_uart;

/* From here on a panic is seen, on COM1, even if nothing was opened. */
void output_prepare(void);

/* Opens the serial port of the options, and logs where there is none: first one
 * at a known port, then, behind acpi_init, one that has to be found. */
void output_serial(const struct options *options);
void output_find_serial(const struct options *options);

/* Opens the screen where the options want it; behind memory_init. */
void output_screen(const struct options *options, const struct fbcon_mode *mode);

/* Puts the console of the VMs between the log and its devices; behind the
 * start of all cores. */
void output_to_console(const struct options *options);
