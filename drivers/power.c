/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power-off by the ACPI fixed registers, or by a port that an option names;
 * reset by the ways that PCs have had, one after the other.
 */
#include "drivers/power.h"

#include "arch/cpu.h"
#include "arch/tsc.h"
#include "drivers/acpi.h"

enum { PM1_CNT_SCI_EN = BIT(0), PM1_CNT_SLP_TYP = BITS(12, 10), PM1_CNT_SLP_EN = BIT(13) };

#define ENABLE_STEP_US 1000
#define ENABLE_STEPS   3000 /* firmware may take seconds to hand over */
#define OFF_US	       1000000
#define RESET_US       100000

#define PORT_RESET	0xcf9 /* of the chipset */
#define RESET_HARD	BIT(1)
#define RESET_NOW	BIT(2)
#define PORT_KEYBOARD	0x64
#define KEYBOARD_RESET	0xfe

static void acpi_mode(void)
{
	if (!acpi.smi_cmd || !acpi.acpi_enable || (inw(acpi.pm1a_cnt) & PM1_CNT_SCI_EN))
		return;
	outb(acpi.smi_cmd, acpi.acpi_enable);
	for (unsigned i = 0; i < ENABLE_STEPS && !(inw(acpi.pm1a_cnt) & PM1_CNT_SCI_EN); i++)
		tsc_delay_us(ENABLE_STEP_US);
}

/* Writes SLP_TYP, and maybe SLP_EN, to both control registers; b may be missing. */
static void write_pm1(u16 enable)
{
	const u16 ports[] = {acpi.pm1a_cnt, acpi.pm1b_cnt};
	const u8 types[] = {acpi.s5_typ_a, acpi.s5_typ_b};

	for (unsigned i = 0; i < ARRAY_SIZE(ports) && ports[i]; i++)
		outw(ports[i], (u16)(FIELD_SET(inw(ports[i]) & ~PM1_CNT_SLP_EN, PM1_CNT_SLP_TYP,
					       types[i]) | enable));
}

void power_off(void)
{
	if (!acpi.have_s5 || !acpi.pm1a_cnt)
		return;
	acpi_mode();
	/* The type must stand before the enable bit in the chips that have both words. */
	write_pm1(0);
	__asm__ volatile("wbinvd" ::: "memory");
	write_pm1(PM1_CNT_SLP_EN);
	tsc_delay_us(OFF_US);
}

void power_exit_port(u16 port)
{
	for (const char *s = "Shutdown"; *s; s++)
		outb(port, (u8)*s);
}

_Noreturn void power_reset(void)
{
	static const struct __attribute__((packed)) {
		u16 limit;
		u64 base;
	} no_table;

	outb(PORT_RESET, RESET_HARD);
	outb(PORT_RESET, RESET_HARD | RESET_NOW);
	tsc_delay_us(RESET_US);
	outb(PORT_KEYBOARD, KEYBOARD_RESET);
	tsc_delay_us(RESET_US);
	/* With no way to deliver an exception the CPU shuts down, and the board resets it. */
	__asm__ volatile("lidt %0; int3" : : "m"(no_table));
	__builtin_unreachable();
}
