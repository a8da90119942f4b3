/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Switches the machine off, or halts it.
 */
#include "boot/end.h"

#include "arch/cpu.h"
#include "arch/panic.h"
#include "drivers/power.h"

static void flush(void)
{
	if (panic_flush)
		panic_flush();
}

_Noreturn void end_machine(const struct options *options)
{
	flush();
	if (options->exit == EXIT_POWEROFF)
		power_off();
	else if (options->exit == EXIT_PORT)
		power_exit_port(options->exit_port);
	log_info("safe to switch off");
	flush();
	interrupts_off();
	for (;;)
		__asm__ volatile("hlt");
}
