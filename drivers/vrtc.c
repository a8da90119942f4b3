/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC's real-time clock and CMOS RAM: an MC146818 with 128 bytes at ports
 * 70h-71h, IRQ 8. Sources: the data sheets "MC146818A Real-Time Clock Plus RAM"
 * and, for the century byte 32h and the meaning of the divider bits with a
 * 32.768 kHz crystal, DS12887; the memory sizes at 15h-18h, 30h-31h, 34h-35h
 * and 5Bh-5Dh as PC firmware uses them.
 *
 * Nothing runs: the time-of-day bytes are as of the second `done`, and an
 * access brings them up to date; a flag of register C is worked out from what
 * has gone by since it was last looked at. A timer is armed only for an event
 * that will raise IRQ 8: none while the line is up already, so a guest that
 * does not read register C costs nothing, and lost ticks are those that the
 * chip, with its one flag, loses too.
 *
 * Where the data sheet leaves room: an update is instantaneous; bytes outside
 * their range count as the nearest value within it at the next update, and as
 * an alarm never match; dividers for other crystals run as for 32.768 kHz;
 * daylight saving is kept as a bit only; the calendar is Gregorian.
 */
#include "vmm/vdev.h"

#define RTC_LINE  8
#define XTAL_HZ   32768
#define UIP_RISE  8 /* clocks of the crystal before an update: 244 us */
#define DAY       86400
#define CYCLE     146097 /* days after which the Gregorian calendar repeats: 400 years */

enum {
	SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM,
	WEEKDAY, MONTHDAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D,
	EQUIPMENT = 0x14, BASE_MEMORY = 0x15, EXTENDED_MEMORY = 0x17, EXTENDED_ACTUAL = 0x30,
	CENTURY = 0x32, ABOVE_16M = 0x34, ABOVE_4G = 0x5b,
};

/* Bits by register; the flags of C stand where B enables them. */
enum { A_UIP = BIT(7), A_DV = BITS(6, 4), A_DV_RUN = 2 /* 32.768 kHz */, A_RS = BITS(3, 0) };
enum { B_SET = BIT(7), B_PIE = BIT(6), B_AIE = BIT(5), B_UIE = BIT(4), B_SQWE = BIT(3),
       B_BINARY = BIT(2), B_24H = BIT(1) };
enum { C_IRQF = BIT(7), C_PF = BIT(6), C_AF = BIT(5), C_UF = BIT(4), C_FLAGS = C_PF | C_AF | C_UF };
enum { D_VRT = BIT(7) };

#define PM	    BIT(7) /* in hours of a 12-hour clock */
#define DONT_CARE   BITS(7, 6)
#define ALARM_ANY   -1
#define ALARM_NEVER -2

/* Register C in `ram` holds the flags up to `seen`. */
struct vrtc {
	u8 ram[128];
	u64 base;     /* VM clock at which the divider chain stood at 0; may lie before the start */
	u64 done;     /* seconds since base that the time of day contains */
	u64 seen;     /* VM clock up to which the flags are worked out */
	u8 index;
	u8 reserved[7];
	struct vtimer timer; /* not saved, nor what follows */
	u64 hz;		     /* of the VM's clock */
};

static bool divider_held(const struct vrtc *rtc)
{
	return FIELD_GET(A_DV, rtc->ram[REG_A]) >= 6;
}

static bool time_runs(const struct vrtc *rtc)
{
	return !divider_held(rtc) && !(rtc->ram[REG_B] & B_SET);
}

/* Whole seconds and crystal clocks of the divider chain at a moment. */
static u64 chain_seconds(const struct vrtc *rtc, u64 now)
{
	return (now - rtc->base) / rtc->hz;
}

static u64 chain_clocks(const struct vrtc *rtc, u64 now)
{
	return muldiv64(now - rtc->base, XTAL_HZ, rtc->hz);
}

/* The first moment of the VM's clock at which the chain has made so many clocks. */
static u64 chain_moment(const struct vrtc *rtc, u64 clocks)
{
	u64 now = rtc->base + muldiv64(clocks, rtc->hz, XTAL_HZ);

	return chain_clocks(rtc, now) < clocks ? now + 1 : now;
}

/* Crystal clocks of the periodic rate, 0 for none. */
static u64 periodic_clocks(const struct vrtc *rtc)
{
	unsigned rate = FIELD_GET(A_RS, rtc->ram[REG_A]);

	if (divider_held(rtc) || rate == 0)
		return 0;
	return rate < 3 ? BIT(rate + 6) : BIT(rate - 1);
}

/* Stores a number in the clock's format: BCD or binary, hours as 24 or twice 12. */
static void put(struct vrtc *rtc, unsigned reg, u64 value)
{
	u8 b = rtc->ram[REG_B], pm = 0;

	if (reg == HOURS && !(b & B_24H)) {
		pm = value >= 12 ? PM : 0;
		value = (value + 11) % 12 + 1;
	}
	rtc->ram[reg] = pm | (u8)(b & B_BINARY ? value : value / 10 << 4 | value % 10);
}

/* The inverse; -1 for a byte that is no number of that format. */
static int get(const struct vrtc *rtc, unsigned reg)
{
	u8 b = rtc->ram[REG_B], byte = rtc->ram[reg], pm;
	bool twice_12 = (reg == HOURS || reg == HOURS_ALARM) && !(b & B_24H);

	pm = twice_12 ? byte & PM : 0;
	byte ^= pm;
	if (!(b & B_BINARY)) {
		if ((byte & 15) > 9 || byte >> 4 > 9)
			return -1;
		byte = (byte >> 4) * 10 + (byte & 15);
	}
	if (!twice_12)
		return byte;
	return byte >= 1 && byte <= 12 ? byte % 12 + (pm ? 12 : 0) : -1;
}

static int days_of_month(int year, int month)
{
	static const u8 days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* A byte of time or date: the nearest number within its range. */
static int number(const struct vrtc *rtc, unsigned reg, int low, int high)
{
	int value = get(rtc, reg);

	return MIN(MAX(value, low), high);
}

static int second_of_day(const struct vrtc *rtc)
{
	return number(rtc, HOURS, 0, 23) * 3600 + number(rtc, MINUTES, 0, 59) * 60 +
	       number(rtc, SECONDS, 0, 59);
}

static void count_days(struct vrtc *rtc, u64 days)
{
	int year = number(rtc, CENTURY, 0, 99) * 100 + number(rtc, YEAR, 0, 99);
	int month = number(rtc, MONTH, 1, 12), day = number(rtc, MONTHDAY, 1, 31);
	int weekday = number(rtc, WEEKDAY, 1, 7);

	year += (int)(days / CYCLE % 25) * 400;
	for (int left = (int)(days % CYCLE), rest; left > 0; left -= rest) {
		rest = 337 + days_of_month(year, 2); /* a year, from its first day to its last */
		if (month == 1 && day == 1 && left >= rest) {
			year++;
			continue;
		}
		rest = MAX(days_of_month(year, month) - day, 0) + 1; /* to the next month */
		if (left < rest) {
			day += left;
			break;
		}
		day = 1;
		month = month % 12 + 1;
		year += month == 1;
	}
	/* The weekday is a counter of its own, right or wrong as it was set. */
	put(rtc, WEEKDAY, (weekday - 1 + days) % 7 + 1);
	put(rtc, MONTHDAY, day);
	put(rtc, MONTH, month);
	put(rtc, YEAR, year % 100);
	put(rtc, CENTURY, year / 100 % 100);
}

/* Moves the time of day on. */
static void count_seconds(struct vrtc *rtc, u64 seconds)
{
	u64 count = (u64)second_of_day(rtc) + seconds;

	put(rtc, SECONDS, count % 60);
	put(rtc, MINUTES, count / 60 % 60);
	put(rtc, HOURS, count / 3600 % 24);
	if (count >= DAY)
		count_days(rtc, count / DAY);
}

/* One alarm byte: a number, ALARM_ANY or ALARM_NEVER. */
static int alarm_part(const struct vrtc *rtc, unsigned reg, int limit)
{
	int value = get(rtc, reg);

	if ((rtc->ram[reg] & DONT_CARE) == DONT_CARE)
		return ALARM_ANY;
	return value >= 0 && value < limit ? value : ALARM_NEVER;
}

/* Seconds from the time of day to the next alarm, 1 to a day; 0 for never. */
static u64 seconds_to_alarm(const struct vrtc *rtc)
{
	int h = alarm_part(rtc, HOURS_ALARM, 24), m = alarm_part(rtc, MINUTES_ALARM, 60);
	int s = alarm_part(rtc, SECONDS_ALARM, 60), now = second_of_day(rtc), at = now + 1;

	if (h == ALARM_NEVER || m == ALARM_NEVER || s == ALARM_NEVER)
		return 0;
	/* To the next hour, minute or second until it matches: at most 24 + 60 + 60 steps. */
	for (;;) {
		if (h != ALARM_ANY && h != at / 3600 % 24)
			at += 3600 - at % 3600;
		else if (m != ALARM_ANY && m != at / 60 % 60)
			at += 60 - at % 60;
		else if (s != ALARM_ANY && s != at % 60)
			at++;
		else
			return (u64)(at - now);
	}
}

/* Brings flags and time of day up to now. */
static void bring_up(struct vrtc *rtc, u64 now)
{
	u64 period = periodic_clocks(rtc), seconds, alarm;

	if (period && chain_clocks(rtc, now) / period != chain_clocks(rtc, rtc->seen) / period)
		rtc->ram[REG_C] |= C_PF;
	rtc->seen = now;
	seconds = time_runs(rtc) ? chain_seconds(rtc, now) - rtc->done : 0;
	if (seconds == 0)
		return;
	alarm = seconds_to_alarm(rtc);
	rtc->ram[REG_C] |= C_UF | (alarm && alarm <= seconds ? C_AF : 0);
	count_seconds(rtc, seconds);
	rtc->done += seconds;
}

/* Sets the line by the flags and arms the timer for what would raise it; after bring_up. */
static void update_irq(struct vdev *dev)
{
	struct vrtc *rtc = dev->state;
	u8 enabled = rtc->ram[REG_B] & C_FLAGS;
	bool irq = rtc->ram[REG_C] & enabled;
	u64 at = ~0ull, period = periodic_clocks(rtc), alarm;

	rtc->ram[REG_C] = (rtc->ram[REG_C] & C_FLAGS) | (irq ? C_IRQF : 0);
	vm_irq_line(dev->vm, RTC_LINE, irq);
	if (irq)
		enabled = 0; /* nothing more can happen before register C is read */
	if ((enabled & C_PF) && period)
		at = chain_moment(rtc, (chain_clocks(rtc, rtc->seen) / period + 1) * period);
	if ((enabled & C_UF) && time_runs(rtc))
		at = MIN(at, rtc->base + (rtc->done + 1) * rtc->hz);
	alarm = (enabled & C_AF) && time_runs(rtc) ? seconds_to_alarm(rtc) : 0;
	if (alarm)
		at = MIN(at, rtc->base + (rtc->done + alarm) * rtc->hz);
	vtimer_set(&rtc->timer, at == ~0ull ? 0 : at);
}

/* All as it is now; also the timer's callback. */
static void refresh(void *arg)
{
	struct vdev *dev = arg;

	bring_up(dev->state, vm_now(dev->vm));
	update_irq(dev);
}

/* Update in progress: from 244 us before the time of day changes. */
static bool update_near(const struct vrtc *rtc)
{
	return time_runs(rtc) && chain_clocks(rtc, rtc->seen) % XTAL_HZ >= XTAL_HZ - UIP_RISE;
}

static u8 read_ram(struct vdev *dev)
{
	struct vrtc *rtc = dev->state;
	unsigned reg = rtc->index;
	u8 value;

	refresh(dev);
	value = rtc->ram[reg];
	if (reg == REG_A && update_near(rtc))
		value |= A_UIP;
	if (reg == REG_C) {
		rtc->ram[REG_C] = 0;
		update_irq(dev);
	}
	return value;
}

static void write_reg_a(struct vrtc *rtc, u8 value)
{
	bool was_held = divider_held(rtc);

	rtc->ram[REG_A] = value & ~A_UIP;
	if (was_held && !divider_held(rtc)) {
		/* The first update comes half a second after the release. */
		rtc->base = rtc->seen - rtc->hz / 2;
		rtc->done = 0;
	}
}

static void write_reg_b(struct vrtc *rtc, u8 value)
{
	bool ran = time_runs(rtc);

	if (value & B_SET)
		value &= ~B_UIE;
	rtc->ram[REG_B] = value;
	if (!ran && time_runs(rtc))
		rtc->done = chain_seconds(rtc, rtc->seen);
}

static void write_ram(struct vdev *dev, u8 value)
{
	struct vrtc *rtc = dev->state;

	refresh(dev);
	if (rtc->index == REG_A)
		write_reg_a(rtc, value);
	else if (rtc->index == REG_B)
		write_reg_b(rtc, value);
	else if (rtc->index != REG_C && rtc->index != REG_D)
		rtc->ram[rtc->index] = value;
	update_irq(dev);
}

/* Port 70h takes the index and reads as nothing; bit 7 masks NMI, of which there is none. */
static u8 vrtc_in(struct vdev *dev, u16 port)
{
	return port & 1 ? read_ram(dev) : 0xff;
}

static void vrtc_out(struct vdev *dev, u16 port, u8 value)
{
	struct vrtc *rtc = dev->state;

	if (port & 1)
		write_ram(dev, value);
	else
		rtc->index = value & 127;
}

/* RESET# leaves time, calendar and RAM; it clears the enables and the flags. */
static void vrtc_reset(struct vdev *dev)
{
	struct vrtc *rtc = dev->state;

	refresh(dev);
	rtc->ram[REG_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	rtc->ram[REG_C] = 0;
	update_irq(dev);
}

/* A value that is too large shows as the largest. */
static void put_bytes(u8 *at, u64 value, unsigned count)
{
	value = MIN(value, size_mask(count));
	for (unsigned i = 0; i < count; i++)
		at[i] = (u8)(value >> 8 * i);
}

/* What firmware would have left: sizes of RAM in KiB or 64 KiB, FPU present. */
static void fill_ram(u8 *ram, const struct vm *vm)
{
	u64 low = vm_ram_below_4g(vm), kib = (MAX(low, MIB(1)) - MIB(1)) >> 10;

	ram[EQUIPMENT] = BIT(1);
	put_bytes(ram + BASE_MEMORY, 640, 2);
	put_bytes(ram + EXTENDED_MEMORY, kib, 2);
	put_bytes(ram + EXTENDED_ACTUAL, kib, 2);
	put_bytes(ram + ABOVE_16M, (MAX(low, MIB(16)) - MIB(16)) >> 16, 2);
	put_bytes(ram + ABOVE_4G, vm_ram_above_4g(vm) >> 16, 3);
}

static int vrtc_create(struct vdev *dev)
{
	struct vrtc *rtc = dev->state;
	u8 *ram = rtc->ram;

	rtc->hz = vm_clock_hz(dev->vm);
	vtimer_init(&rtc->timer, dev->vm, refresh, dev);
	fill_ram(ram, dev->vm);
	ram[REG_A] = FIELD_PREP(A_DV, A_DV_RUN) | 6;
	ram[REG_B] = B_24H;
	ram[REG_D] = D_VRT;
	/* Thursday, 1970-01-01, and on from there. */
	ram[WEEKDAY] = 5;
	ram[MONTHDAY] = 1;
	ram[MONTH] = 1;
	ram[YEAR] = 0x70;
	ram[CENTURY] = 0x19;
	count_seconds(rtc, vm_boot_epoch(dev->vm));
	return 0;
}

static bool vrtc_valid(const struct vdev *dev, const void *saved)
{
	const struct vrtc *rtc = saved;
	u64 now = vm_now(dev->vm), age = now - rtc->base;
	u8 c = rtc->ram[REG_C];

	/* The clock of the VM, restored before its devices, bounds all moments. */
	return rtc->index <= 127 && !(rtc->ram[REG_A] & A_UIP) && rtc->ram[REG_D] == D_VRT &&
	       !(c & ~(C_IRQF | C_FLAGS)) && !(c & C_IRQF) == !(c & rtc->ram[REG_B] & C_FLAGS) &&
	       rtc->seen <= now && (s64)age >= 0 && rtc->done <= age / vm_clock_hz(dev->vm);
}

DEFINE_VDEV(vrtc, .name = "rtc", .state_size = sizeof(struct vrtc),
	    .save_size = offsetof(struct vrtc, timer), .ports = {{0x70, 2}},
	    .port_ops = {.in = vrtc_in, .out = vrtc_out}, .create = vrtc_create,
	    .reset = vrtc_reset, .valid = vrtc_valid, .restored = update_irq);
