/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reader of the physical MC146818 clock. The registers are read twice outside
 * of an update until both readings agree; then BCD and the 12-hour form are
 * undone, and only a date that exists is believed.
 */
#include "drivers/cmos.h"

#include "arch/cpu.h"
#include "arch/lib/string.h"

enum { PORT_INDEX = 0x70 /* bit 7 clear: NMI stays enabled */, PORT_DATA = 0x71 };
enum { REG_A = 0x0a, REG_A_UPDATE = BIT(7) };
enum { REG_B = 0x0b, REG_B_BINARY = BIT(2), REG_B_24H = BIT(1) };
#define HOUR_PM	     BIT(7)

#define UPDATE_READS 20000 /* an update takes 2 ms; a port read 1 us or less */
#define ATTEMPTS     5

enum { SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, CENTURY, FIELDS };

static const u8 registers[FIELDS] = {0, 2, 4, 7, 8, 9, 0};

static void read_fields(u8 (*read)(u8 index), u8 century, u8 field[FIELDS])
{
	for (unsigned i = 0; i < UPDATE_READS && (read(REG_A) & REG_A_UPDATE); i++)
		cpu_relax();
	for (unsigned i = 0; i < CENTURY; i++)
		field[i] = read(registers[i]);
	field[CENTURY] = century ? read(century) : 0;
}

/* A BCD byte, or 255 for one that is none. */
static u8 from_bcd(u8 bcd)
{
	u8 tens = bcd >> 4, ones = bcd & 15;

	return tens > 9 || ones > 9 ? 255 : (u8)(tens * 10 + ones);
}

static bool leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in(unsigned month, unsigned year)
{
	static const u8 days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && leap(year));
}

static u64 to_epoch(const u8 *f, unsigned year)
{
	u64 days = f[DAY] - 1u;

	if (f[SECOND] > 59 || f[MINUTE] > 59 || f[HOUR] > 23 || f[MONTH] < 1 || f[MONTH] > 12 ||
	    f[DAY] < 1 || f[DAY] > days_in(f[MONTH], year))
		return 0;
	for (unsigned y = 1970; y < year; y++)
		days += 365 + leap(y);
	for (unsigned month = 1; month < f[MONTH]; month++)
		days += days_in(month, year);
	return ((days * 24 + f[HOUR]) * 60 + f[MINUTE]) * 60 + f[SECOND];
}

/* Makes binary and 24 hours of the fields; what is not valid comes out too large. */
static void plain(u8 field[FIELDS], u8 mode)
{
	bool twelve = !(mode & REG_B_24H), pm = twelve && (field[HOUR] & HOUR_PM);

	if (twelve)
		field[HOUR] &= (u8)~HOUR_PM;
	for (unsigned i = 0; i < FIELDS && !(mode & REG_B_BINARY); i++)
		field[i] = from_bcd(field[i]);
	if (twelve)
		field[HOUR] = field[HOUR] < 1 || field[HOUR] > 12
				      ? 255
				      : (u8)(field[HOUR] % 12 + (pm ? 12 : 0));
}

u64 cmos_epoch(u8 (*read)(u8 index), u8 century)
{
	u8 field[FIELDS], again[FIELDS], mode = read(REG_B);
	unsigned attempts = ATTEMPTS, year;

	do {
		if (attempts-- == 0)
			return 0;
		read_fields(read, century, field);
		read_fields(read, century, again);
	} while (memcmp(field, again, FIELDS) != 0);
	plain(field, mode);
	/* A century that no clock shows is some other use of that register. */
	if (field[CENTURY] >= 19 && field[CENTURY] <= 29)
		year = field[CENTURY] * 100u + field[YEAR];
	else
		year = field[YEAR] + (field[YEAR] < 70 ? 2000u : 1900u);
	return field[YEAR] > 99 || year < 1970 ? 0 : to_epoch(field, year);
}

static u8 port_read(u8 index)
{
	outb(PORT_INDEX, index & 0x7f);
	return inb(PORT_DATA);
}

u64 cmos_read_epoch(u8 century)
{
	return cmos_epoch(port_read, century);
}
