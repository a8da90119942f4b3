/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Switches the machine off, starts it anew, or halts it.
 */
#include "boot/end.h"

#include "arch/cpu.h"
#include "arch/panic.h"
#include "drivers/power.h"
#include "vmm/monitor.h"

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

static const char *press_power(struct machine *machine)
{
	const char *wrong = "is not running";

	life_enter(machine);
	if (machine->vm && (machine->state == LIFE_RUNNING || machine->state == LIFE_PAUSED))
		wrong = vm_press_power(machine->vm) ? "has no power button" : NULL;
	life_leave(machine);
	return wrong;
}

static const char *switch_machine(const struct monitor_call *call)
{
	if (call->machine)
		return press_power(call->machine);
	flush();
	if (call->command->argument)
		power_reset();
	power_off();
	return "this machine cannot be switched off by ACPI";
}
DEFINE_MONITOR_COMMAND(poweroff, "poweroff", " [NAME]",
		       "presses its power button; alone: switches the physical machine off",
		       switch_machine, .subject = MONITOR_MAYBE_MACHINE);
DEFINE_MONITOR_COMMAND(reboot, "reboot", "", "resets the physical machine", switch_machine,
		       .argument = true);
