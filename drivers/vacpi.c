/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI's fixed hardware: PM1a event and control registers, PM timer, power button.
 * Sources: ACPI Specification, chapter "ACPI Hardware Specification" ("PM1 Event
 * Grouping", "PM1 Control Grouping", "Power Management Timer", "Fixed Power
 * Button"); the places of the registers as in Intel's ICH data sheets.
 *
 * The machine is always in ACPI mode: there is no SMI_CMD, SCI_EN reads as 1. The
 * timer has 32 bits and follows the VM's clock, through resets too. Its carry
 * status is worked out when it is looked at; a time-out is armed only while it
 * would raise the SCI. Of the sleeping states there is S5 alone.
 */
#include "arch/lib/string.h"
#include "vmm/vdev.h"

#define SCI_LINE    9
#define PM_TIMER_HZ 3579545
#define S5	    7 /* SLP_TYP, as the DSDT says */

/* First bytes of the registers. */
enum { PM1_STS = 0, PM1_EN = 2, PM1_CNT = 4, PM_TMR = 8, PM_BYTES = 12 };
/* PM1_STS and PM1_EN. */
enum { PM_TMR_CARRY = BIT(0), PM_GLOBAL = BIT(5), PM_POWER_BUTTON = BIT(8),
       PM_RTC = BIT(10) /* never set: there is no sleep that it would end */,
       PM_STATUS = PM_TMR_CARRY | PM_POWER_BUTTON, PM_ENABLES = PM_STATUS | PM_GLOBAL | PM_RTC };
enum { CNT_SCI_EN = BIT(0), CNT_BM_RLD = BIT(1), CNT_SLP_TYP = BITS(12, 10), CNT_SLP_EN = BIT(13),
       CNT_KEPT = CNT_BM_RLD | CNT_SLP_TYP };

struct vacpi {
	u64 carries; /* changes of the timer's bit 31 up to now that PM1_STS has seen */
	u16 status, enable, control;
	u8 reserved[2];
	struct vtimer timer; /* not saved */
};

/* The timer's clocks since the VM's start. */
static u64 pm_clocks(const struct vdev *dev)
{
	return muldiv64(vm_now(dev->vm), PM_TIMER_HZ, vm_clock_hz(dev->vm));
}

/* Brings the carry's status up to now. */
static void bring_up(struct vdev *dev)
{
	struct vacpi *pm = dev->state;
	u64 carries = pm_clocks(dev) >> 31;

	if (carries != pm->carries)
		pm->status |= PM_TMR_CARRY;
	pm->carries = carries;
}

/* Drives the SCI, and arms the timer for a carry that would raise it; after bring_up. */
static void update_sci(struct vdev *dev)
{
	struct vacpi *pm = dev->state;
	u64 carry = muldiv64((pm->carries + 1) << 31, vm_clock_hz(dev->vm), PM_TIMER_HZ) + 1;

	vm_irq_line(dev->vm, SCI_LINE, pm->status & pm->enable);
	vtimer_set(&pm->timer, pm->enable & ~pm->status & PM_TMR_CARRY ? carry : 0);
}

/* All as it is now; also the timer's callback. */
static void refresh(void *arg)
{
	bring_up(arg);
	update_sci(arg);
}

static void put16(u8 *at, u16 value)
{
	at[0] = (u8)value;
	at[1] = (u8)(value >> 8);
}

static u64 vacpi_read(struct vdev *dev, u64 offset, unsigned size)
{
	const struct vacpi *pm = dev->state;
	u64 clocks = pm_clocks(dev), value = 0;
	u8 bytes[PM_BYTES] = {0};

	if (offset < PM_TMR)
		refresh(dev);
	put16(bytes + PM1_STS, pm->status);
	put16(bytes + PM1_EN, pm->enable);
	put16(bytes + PM1_CNT, pm->control | CNT_SCI_EN);
	put16(bytes + PM_TMR, (u16)clocks);
	put16(bytes + PM_TMR + 2, (u16)(clocks >> 16));
	for (unsigned i = 0; i < size; i++)
		value |= (u64)bytes[offset + i] << 8 * i;
	return value;
}

static void write_control(struct vdev *dev, u16 bits, u16 value)
{
	struct vacpi *pm = dev->state;

	pm->control = (pm->control & ~bits) | (value & bits & CNT_KEPT);
	if ((value & bits & CNT_SLP_EN) && FIELD_GET(CNT_SLP_TYP, pm->control) == S5)
		vm_request_poweroff(dev->vm);
}

/* Of the register at `offset`, the bits in `bits` are written. */
static void write_register(struct vdev *dev, unsigned offset, u16 bits, u16 value)
{
	struct vacpi *pm = dev->state;

	if (offset == PM1_STS)
		pm->status &= ~(value & bits);
	else if (offset == PM1_EN)
		pm->enable = (pm->enable & ~bits) | (value & bits & PM_ENABLES);
	else if (offset == PM1_CNT)
		write_control(dev, bits, value);
}

static void vacpi_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	u64 first = offset & 1 ? 8 : 0, bits = size_mask(size) << first;

	bring_up(dev);
	value <<= first;
	for (unsigned at = offset & ~1u; bits; at += 2, bits >>= 16, value >>= 16)
		write_register(dev, at, (u16)bits, (u16)value);
	update_sci(dev);
}

static void press(struct vdev *dev)
{
	struct vacpi *pm = dev->state;

	pm->status |= PM_POWER_BUTTON;
	refresh(dev);
}

static int vacpi_create(struct vdev *dev)
{
	struct vacpi *pm = dev->state;

	vtimer_init(&pm->timer, dev->vm, refresh, dev);
	vm_set_power_button(dev->vm, &(struct power_button){dev, press});
	return 0;
}

static void vacpi_reset(struct vdev *dev)
{
	struct vacpi *pm = dev->state;

	bring_up(dev);
	pm->status = pm->enable = pm->control = 0;
	update_sci(dev);
}

static bool vacpi_valid(const struct vdev *dev, const void *saved)
{
	const struct vacpi *pm = saved;

	return !(pm->status & ~PM_STATUS) && !(pm->enable & ~PM_ENABLES) &&
	       !(pm->control & ~CNT_KEPT) && !pm->reserved[0] && !pm->reserved[1] &&
	       pm->carries <= pm_clocks(dev) >> 31;
}

static void vacpi_describe(const struct vdev *dev, char *text, size_t size)
{
	const struct vacpi *pm = dev->state;

	str_format(text, size, "  PM1 status %04x enable %04x control %04x\n", pm->status, pm->enable,
		   pm->control | CNT_SCI_EN);
}

DEFINE_VDEV(vacpi, .name = "acpi-pm", .state_size = sizeof(struct vacpi),
	    .save_size = offsetof(struct vacpi, timer), .ports = {{0, PM_BYTES}},
	    .port_ops = {.read = vacpi_read, .write = vacpi_write}, .create = vacpi_create,
	    .reset = vacpi_reset, .valid = vacpi_valid, .describe = vacpi_describe,
	    .restored = update_sci);
