/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power-off by the ACPI fixed registers, or by a port that an option names.
 */
#include "drivers/power.h"

#include "arch/cpu.h"
#include "arch/tsc.h"
#include "drivers/acpi.h"

#define PM1_CNT_SCI_EN	BIT(0)
#define PM1_CNT_SLP_TYP BITS(12, 10)
#define PM1_CNT_SLP_EN	BIT(13)

#define ENABLE_STEP_US 1000
#define ENABLE_STEPS   3000 /* firmware may take seconds to hand over */
#define OFF_US	       1000000

static void acpi_mode(void)
{
	if (!acpi.smi_cmd || !acpi.acpi_enable || (inw(acpi.pm1a_cnt) & PM1_CNT_SCI_EN))
		return;
	outb(acpi.smi_cmd, acpi.acpi_enable);
	for (unsigned i = 0; i < ENABLE_STEPS && !(inw(acpi.pm1a_cnt) & PM1_CNT_SCI_EN); i++)
		tsc_delay_us(ENABLE_STEP_US);
}

static u16 pm1_value(u16 port, u8 type)
{
	return (u16)FIELD_SET(inw(port) & ~PM1_CNT_SLP_EN, PM1_CNT_SLP_TYP, type);
}

void power_off(void)
{
	u16 a, b = 0;

	if (!acpi.have_s5 || !acpi.pm1a_cnt)
		return;
	acpi_mode();
	a = pm1_value(acpi.pm1a_cnt, acpi.s5_typ_a);
	if (acpi.pm1b_cnt)
		b = pm1_value(acpi.pm1b_cnt, acpi.s5_typ_b);
	/* The type must stand before the enable bit in the chips that have both words. */
	outw(acpi.pm1a_cnt, a);
	if (acpi.pm1b_cnt)
		outw(acpi.pm1b_cnt, b);
	__asm__ volatile("wbinvd" ::: "memory");
	outw(acpi.pm1a_cnt, (u16)(a | PM1_CNT_SLP_EN));
	if (acpi.pm1b_cnt)
		outw(acpi.pm1b_cnt, (u16)(b | PM1_CNT_SLP_EN));
	tsc_delay_us(OFF_US);
}

void power_exit_port(u16 port)
{
	for (const char *s = "Shutdown"; *s; s++)
		outb(port, (u8)*s);
}
