/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC's 8254 timer, ports 40h-43h, with system control port 61h. Sources:
 * the data sheet "82C54 CHMOS Programmable Interval Timer" and, for port 61h,
 * the chipset data sheets (82371SB: NMI status and control register).
 *
 * Nothing runs. A counter is the moment it was loaded, in clocks of the free
 * running 1.193182 MHz oscillator since the VM's start, and its count; what a
 * read shows is computed then, and nothing can drift. Only channel 0 has a
 * timer, for the rising edges of OUT that are interrupts. IRQ 0 falls just
 * before it rises again, or when the channel is programmed: a fall at its true
 * moment would only cost a second exit for each tick.
 *
 * Ticks that come late because the VM had no CPU are delivered one by one, a
 * quarter of a period apart, up to TICKS_OWED of them; what is owed beyond is
 * dropped, since a guest that was away so long must look at its clock anyway.
 * Ticks that the guest itself misses with interrupts off are lost, as on the
 * real machine. Two interrupts are never less than 1/TICK_RATE_MAX s apart: a
 * count of 2 would ask for 600,000 exits a second, more than a CPU can take,
 * while 20,000 leaves room for the fastest known use (sound by timer, 16 kHz).
 *
 * Where the data sheet forbids or is silent: a count of 1 in modes 2 and 3
 * counts as 2; a BCD digit above 9 as 9; before the first count a counter reads
 * 0; a read of port 43h gives FFh. At reset all channels are in mode 0 without
 * a count, gate 2 low.
 */
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/vdev.h"

#define PIT_HZ	      1193182
#define TICKS_OWED    32
#define TICK_RATE_MAX 20000
/* 15.085 us, the distance of two changes of port 61h's refresh bit, in clocks. */
#define REFRESH_CLOCKS 18

#define CLOCK_NEVER (1ll << 62)
#define CLOCK_MAX   (1ll << 61) /* bounds what restore believes: sums cannot overflow */

#define CONTROL_BCD    BIT(0)
#define CONTROL_MODE   BITS(3, 1)
#define CONTROL_ACCESS BITS(5, 4)
#define CONTROL_SELECT BITS(7, 6)
#define READBACK       3 /* as SELECT */
#define READBACK_NO_STATUS BIT(4)
#define READBACK_NO_COUNT  BIT(5)
#define STATUS_NULL    BIT(6)
#define STATUS_OUT     BIT(7)

enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

#define P61_GATE2   BIT(0)
#define P61_WRITE   BITS(3, 0)
#define P61_REFRESH BIT(4)
#define P61_OUT2    BIT(5)

enum {
	COUNT_IDLE,    /* waits for a count, or in modes 1 and 5 for a trigger */
	COUNT_RUNNING, /* elapsed is now - start */
	COUNT_HELD,    /* the gate is low: elapsed is held */
	COUNT_STATES
};

struct pit_channel {
	s64 start;   /* clock at which the count was loaded */
	s64 held;    /* clocks elapsed when the gate went low */
	s64 load_at; /* with `pending`: when `next` is loaded */
	u32 count;   /* 1 to 65536; 0 before the first */
	u32 next;
	u16 latch;
	u8 control; /* the last control word, bits 5:0 */
	u8 mode;    /* 0 to 5 */
	u8 state;
	u8 pending;
	u8 gate;
	u8 write_low;	 /* first byte of two */
	u8 write_second; /* the second is awaited */
	u8 read_second;
	u8 count_latched;
	u8 status_latched;
	u8 status;
	u8 reserved[3];
};

/* What is saved. */
struct pit_regs {
	struct pit_channel channel[3];
	s64 edge;     /* channel 0: clock of the next rise of OUT not yet delivered */
	u64 deadline; /* VM clock at which that is to happen; with edge != CLOCK_NEVER */
	u8 line;      /* IRQ 0 as driven */
	u8 port61;    /* bits 3:0 */
	u8 reserved[6];
};

struct vpit {
	struct pit_regs regs;
	u64 hz; /* of the VM's clock */
	struct vtimer timer;
};

static inline s64 pit_clock(const struct vpit *pit, u64 now)
{
	return (s64)muldiv64(now, PIT_HZ, pit->hz);
}

/* The first moment of the VM's clock at which pit_clock is `clock`. */
static u64 pit_moment(const struct vpit *pit, s64 clock)
{
	u64 now = muldiv64((u64)clock, pit->hz, PIT_HZ);

	return now != ~0ull && pit_clock(pit, now) < clock ? now + 1 : now;
}

/* Clocks that a mode 3 period is high: the longer half of an odd count. */
static inline s64 high_clocks(u32 count)
{
	return (count + 1) / 2;
}

static inline bool is_periodic(const struct pit_channel *ch)
{
	return ch->mode == 2 || ch->mode == 3;
}

/* Clocks since the count was loaded, 0 while that is still to come. */
static inline s64 elapsed(const struct pit_channel *ch, s64 clock)
{
	s64 e = ch->state == COUNT_RUNNING ? clock - ch->start : ch->held;

	return e < 0 ? 0 : e;
}

/* Modes 2 and 3 take a new count when a period, or in mode 3 a half, ends. */
static void load_next(struct pit_channel *ch)
{
	bool in_period = (ch->load_at - ch->start) % ch->count != 0;

	ch->start = ch->load_at - (in_period ? high_clocks(ch->next) : 0);
	ch->count = ch->next;
	ch->pending = 0;
	ch->load_at = 0;
}

static inline void catch_up(struct pit_channel *ch, s64 clock)
{
	if (__builtin_expect(ch->pending, 0) && clock >= ch->load_at)
		load_next(ch);
}

/* The OUT pin; catch_up comes before. */
static inline bool pit_out(const struct pit_channel *ch, s64 clock)
{
	s64 e = elapsed(ch, clock);

	if (ch->mode == 0)
		return ch->state != COUNT_IDLE && e >= ch->count;
	if (ch->state == COUNT_IDLE || (ch->state == COUNT_HELD && ch->mode > 1))
		return true;
	switch (ch->mode) {
	case 1:
		return e >= ch->count;
	case 2:
		return e % ch->count != ch->count - 1;
	case 3:
		return e % ch->count < high_clocks(ch->count);
	default: /* 4 and 5: one clock low */
		return e != ch->count;
	}
}

static u16 to_bcd(unsigned value)
{
	return (u16)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 |
		     value / 1000 % 10 << 12);
}

static unsigned from_bcd(u16 raw)
{
	unsigned value = 0;

	for (int shift = 12; shift >= 0; shift -= 4)
		value = value * 10 + MIN(raw >> shift & 15, 9);
	return value;
}

/* The counting element as a read shows it; catch_up comes before. */
static u16 pit_value(const struct pit_channel *ch, s64 clock)
{
	bool bcd = ch->control & CONTROL_BCD;
	s64 e = elapsed(ch, clock), phase, value;

	if (ch->count == 0)
		return 0;
	if (ch->mode == 2) {
		value = ch->count - e % ch->count;
	} else if (ch->mode == 3) {
		phase = e % ch->count;
		if (phase >= high_clocks(ch->count))
			phase -= high_clocks(ch->count);
		value = (ch->count & ~1u) - 2 * phase;
	} else if (bcd) {
		value = ch->count + 10000 - e % 10000;
	} else {
		value = ch->count - e;
	}
	return bcd ? to_bcd((unsigned)value) : (u16)value;
}

/* The first rise of OUT after a clock, CLOCK_NEVER for none; catch_up comes before. */
static s64 next_rise(const struct pit_channel *ch, s64 after)
{
	struct pit_channel then;

	if (ch->state != COUNT_RUNNING || ch->mode == 1 || ch->mode == 5)
		return CLOCK_NEVER; /* channel 0's gate is tied high: no trigger */
	if (!is_periodic(ch)) {
		s64 rise = ch->start + ch->count + (ch->mode == 4);

		return rise > after ? rise : CLOCK_NEVER;
	}
	if (ch->pending) {
		then = *ch;
		load_next(&then);
		/* Loaded at a rise, or in mode 3 at the fall before one. */
		return then.start == ch->load_at ? then.start : then.start + then.count;
	}
	if (after < ch->start)
		return ch->start + ch->count;
	return ch->start + ((after - ch->start) / ch->count + 1) * ch->count;
}

static void set_line(struct vdev *dev, bool level)
{
	struct vpit *pit = dev->state;

	if (pit->regs.line == level)
		return;
	pit->regs.line = level;
	vm_irq_line(dev->vm, 0, level);
}

static void arm(struct vpit *pit, u64 not_before)
{
	if (pit->regs.edge == CLOCK_NEVER) {
		pit->regs.deadline = 0;
		vtimer_cancel(&pit->timer);
		return;
	}
	pit->regs.deadline = MAX(pit_moment(pit, pit->regs.edge), not_before);
	vtimer_arm(&pit->timer, pit->regs.deadline);
}

/* Channel 0 was programmed: what was owed is forgotten. */
static void reprogrammed(struct vdev *dev, s64 clock)
{
	struct vpit *pit = dev->state;
	struct pit_channel *ch = &pit->regs.channel[0];

	set_line(dev, pit_out(ch, clock));
	pit->regs.edge = next_rise(ch, clock);
	arm(pit, 0);
}

/* An edge is due, or was. */
static void vpit_tick(void *arg)
{
	struct vdev *dev = arg;
	struct vpit *pit = dev->state;
	struct pit_channel *ch = &pit->regs.channel[0];
	u64 now = vm_now(dev->vm), apart = pit->hz / TICK_RATE_MAX;
	s64 clock = pit_clock(pit, now), edge = pit->regs.edge, owed;

	if (edge <= clock) {
		set_line(dev, false);
		set_line(dev, true);
		catch_up(ch, clock);
		edge = next_rise(ch, edge);
		owed = is_periodic(ch) ? (clock - edge) / ch->count : 0;
		if (owed >= TICKS_OWED)
			edge += (owed - TICKS_OWED + 1) * ch->count;
		apart = MAX(apart, muldiv64(ch->count, pit->hz, 4 * PIT_HZ));
		pit->regs.edge = edge;
	}
	arm(pit, now + apart);
}

static void write_control(struct pit_channel *ch, u8 value)
{
	u8 mode = (u8)FIELD_GET(CONTROL_MODE, value), gate = ch->gate;

	*ch = (struct pit_channel){
		.control = value & (CONTROL_ACCESS | CONTROL_MODE | CONTROL_BCD),
		.mode = mode > 5 ? mode - 4 : mode,
		.gate = gate,
	};
}

/* A whole count was written: when it is loaded depends on the mode. */
static void load_count(struct pit_channel *ch, u16 raw, s64 clock)
{
	bool triggered = ch->mode == 1 || ch->mode == 5, bcd = ch->control & CONTROL_BCD;
	/* A count not yet loaded is just replaced. */
	bool counting = ch->state != COUNT_IDLE && clock >= ch->start;
	u32 count = bcd ? from_bcd(raw) : raw;

	if (count == 0)
		count = bcd ? 10000 : 65536;
	if (count == 1 && is_periodic(ch))
		count = 2;
	if (triggered ? counting || ch->state == COUNT_IDLE
		      : counting && is_periodic(ch) && ch->state == COUNT_HELD) {
		/* The next trigger loads it. */
		ch->next = count;
		ch->pending = 1;
		ch->load_at = CLOCK_NEVER;
	} else if (counting && is_periodic(ch)) {
		s64 phase = (clock - ch->start) % ch->count, high = high_clocks(ch->count);

		ch->next = count;
		ch->pending = 1;
		ch->load_at = clock - phase + (ch->mode == 3 && phase < high ? high : ch->count);
	} else {
		ch->count = count;
		ch->start = clock + 1;
		ch->held = 0;
		ch->state = triggered || ch->gate ? COUNT_RUNNING : COUNT_HELD;
	}
}

static void write_count(struct pit_channel *ch, u8 value, s64 clock)
{
	switch (FIELD_GET(CONTROL_ACCESS, ch->control)) {
	case ACCESS_LOW:
		load_count(ch, value, clock);
		return;
	case ACCESS_HIGH:
		load_count(ch, (u16)(value << 8), clock);
		return;
	default:
		break;
	}
	ch->write_second = !ch->write_second;
	if (!ch->write_second) {
		load_count(ch, (u16)(value << 8 | ch->write_low), clock);
		return;
	}
	ch->write_low = value;
	if (ch->mode == 0) {
		/* The first byte stops the counting and takes OUT down. */
		ch->held = elapsed(ch, clock);
		ch->state = COUNT_IDLE;
	}
}

static void latch_count(struct pit_channel *ch, s64 clock)
{
	if (ch->count_latched)
		return;
	ch->latch = pit_value(ch, clock);
	ch->count_latched = 1;
}

static void latch_status(struct pit_channel *ch, s64 clock)
{
	bool null = ch->state == COUNT_IDLE || ch->pending || clock < ch->start;

	if (ch->status_latched)
		return;
	ch->status = ch->control | (null ? STATUS_NULL : 0) | (pit_out(ch, clock) ? STATUS_OUT : 0);
	ch->status_latched = 1;
}

static void write_port43(struct vdev *dev, u8 value, s64 clock)
{
	struct vpit *pit = dev->state;
	unsigned select = FIELD_GET(CONTROL_SELECT, value);

	for (unsigned i = 0; select == READBACK && i < 3; i++) {
		struct pit_channel *ch = &pit->regs.channel[i];

		if (!(value & BIT(i + 1)))
			continue;
		catch_up(ch, clock);
		if (!(value & READBACK_NO_COUNT))
			latch_count(ch, clock);
		if (!(value & READBACK_NO_STATUS))
			latch_status(ch, clock);
	}
	if (select == READBACK)
		return;
	catch_up(&pit->regs.channel[select], clock);
	if (FIELD_GET(CONTROL_ACCESS, value) == ACCESS_LATCH) {
		latch_count(&pit->regs.channel[select], clock);
		return;
	}
	write_control(&pit->regs.channel[select], value);
	if (select == 0)
		reprogrammed(dev, clock);
}

static u8 read_count(struct pit_channel *ch, s64 clock)
{
	unsigned access = FIELD_GET(CONTROL_ACCESS, ch->control);
	bool high = access == ACCESS_HIGH || ch->read_second;
	u16 value;

	if (ch->status_latched) {
		ch->status_latched = 0;
		return ch->status;
	}
	catch_up(ch, clock);
	value = ch->count_latched ? ch->latch : pit_value(ch, clock);
	if (access == ACCESS_BOTH)
		ch->read_second = !ch->read_second;
	if (access != ACCESS_BOTH || high)
		ch->count_latched = 0;
	return (u8)(high ? value >> 8 : value);
}

static u64 vpit_read(struct vdev *dev, u64 offset, unsigned size)
{
	struct vpit *pit = dev->state;
	s64 clock = pit_clock(pit, vm_now(dev->vm));
	u64 value = 0;

	for (unsigned i = 0; i < size; i++, offset++) {
		u8 byte = offset < 3 ? read_count(&pit->regs.channel[offset], clock) : 0xff;

		value |= (u64)byte << 8 * i;
	}
	return value;
}

static void vpit_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	struct vpit *pit = dev->state;
	s64 clock = pit_clock(pit, vm_now(dev->vm));

	for (; size > 0; size--, offset++, value >>= 8) {
		if (offset > 2) {
			write_port43(dev, (u8)value, clock);
			continue;
		}
		catch_up(&pit->regs.channel[offset], clock);
		write_count(&pit->regs.channel[offset], (u8)value, clock);
		if (offset == 0)
			reprogrammed(dev, clock);
	}
}

/* Linux reads this a thousand times in 10 ms to measure its TSC: keep it short. */
static u64 port61_read(struct vdev *dev, u64 offset, unsigned size)
{
	struct vpit *pit = dev->state;
	struct pit_channel *ch = &pit->regs.channel[2];
	s64 clock = pit_clock(pit, vm_now(dev->vm));
	u64 value = pit->regs.port61;

	(void)offset, (void)size;
	catch_up(ch, clock);
	if ((u64)clock / REFRESH_CLOCKS & 1)
		value |= P61_REFRESH;
	if (pit_out(ch, clock))
		value |= P61_OUT2;
	return value;
}

static void gate_rise(struct pit_channel *ch, s64 clock)
{
	if (ch->mode == 0 || ch->mode == 4) {
		if (ch->state == COUNT_HELD) {
			/* A count written in this very clock is still to be loaded. */
			ch->start = MAX(ch->start, clock - ch->held);
			ch->state = COUNT_RUNNING;
		}
		return;
	}
	if (ch->pending) {
		ch->count = ch->next;
		ch->pending = 0;
		ch->load_at = 0;
	}
	if (ch->count) {
		ch->start = clock + 1;
		ch->state = COUNT_RUNNING;
	}
}

static void gate_fall(struct pit_channel *ch, s64 clock)
{
	if (ch->mode == 1 || ch->mode == 5 || ch->state != COUNT_RUNNING)
		return;
	ch->held = elapsed(ch, clock);
	ch->state = COUNT_HELD;
	if (ch->pending)
		ch->load_at = CLOCK_NEVER;
}

static void port61_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	struct vpit *pit = dev->state;
	struct pit_channel *ch = &pit->regs.channel[2];
	s64 clock = pit_clock(pit, vm_now(dev->vm));
	bool gate = value & P61_GATE2;

	(void)offset, (void)size;
	pit->regs.port61 = value & P61_WRITE;
	if (gate == ch->gate)
		return;
	catch_up(ch, clock);
	ch->gate = gate;
	if (gate)
		gate_rise(ch, clock);
	else
		gate_fall(ch, clock);
}

static const struct bus_ops vpit_ops = {.read = vpit_read, .write = vpit_write};
static const struct bus_ops port61_ops = {.read = port61_read, .write = port61_write};

static void vpit_reset(struct vdev *dev)
{
	struct vpit *pit = dev->state;

	for (unsigned i = 0; i < 3; i++) {
		pit->regs.channel[i].gate = i < 2;
		write_control(&pit->regs.channel[i], FIELD_PREP(CONTROL_ACCESS, ACCESS_BOTH));
	}
	pit->regs.port61 = 0;
	reprogrammed(dev, 0);
}

static int vpit_create(struct vdev *dev)
{
	struct vpit *pit = dev->state;
	int err = bus_claim_ports(dev, 0x40, 4, &vpit_ops);

	if (!err)
		err = bus_claim_ports(dev, 0x61, 1, &port61_ops);
	if (err)
		return err;
	pit->hz = vm_clock_hz(dev->vm);
	vtimer_init(&pit->timer, dev->vm, vpit_tick, dev);
	vpit_reset(dev);
	return 0;
}

static size_t vpit_save(const struct vdev *dev, void *blob)
{
	const struct vpit *pit = dev->state;

	memcpy(blob, &pit->regs, sizeof(pit->regs));
	return sizeof(pit->regs);
}

static bool channel_valid(const struct pit_channel *ch)
{
	u32 least = is_periodic(ch) ? 2 : 1;
	u8 mode = (u8)FIELD_GET(CONTROL_MODE, ch->control);
	bool counts = ch->state == COUNT_RUNNING || ch->state == COUNT_HELD;
	bool booleans = (ch->pending | ch->gate | ch->write_second | ch->read_second |
			 ch->count_latched | ch->status_latched) <= 1;

	if (!booleans || ch->mode != (mode > 5 ? mode - 4 : mode) ||
	    ch->state >= COUNT_STATES || ch->control & CONTROL_SELECT ||
	    !FIELD_GET(CONTROL_ACCESS, ch->control))
		return false;
	if (ch->start < -CLOCK_MAX || ch->start > CLOCK_MAX || ch->held < 0 ||
	    ch->held > CLOCK_MAX)
		return false;
	if (ch->count > 65536 || (ch->count < least && (counts || ch->count)))
		return false;
	if (!ch->pending)
		return true;
	/* Only a mode that reloads has a count pending, for a moment that it can divide. */
	return ch->mode != 0 && ch->mode != 4 && ch->next >= least && ch->next <= 65536 &&
	       (ch->load_at == CLOCK_NEVER ||
		(is_periodic(ch) && ch->state == COUNT_RUNNING && ch->load_at > ch->start &&
		 ch->load_at <= CLOCK_MAX));
}

static int vpit_restore(struct vdev *dev, const void *blob, size_t size)
{
	struct vpit *pit = dev->state;
	struct pit_regs regs;
	bool gate2, valid;

	if (size != sizeof(regs))
		return -EINVAL;
	memcpy(&regs, blob, sizeof(regs));
	valid = regs.line <= 1 && !(regs.port61 & ~P61_WRITE) &&
		(regs.edge == CLOCK_NEVER ||
		 (regs.edge >= 0 && regs.edge <= CLOCK_MAX &&
		  regs.channel[0].state == COUNT_RUNNING));
	for (unsigned i = 0; i < 3; i++)
		valid = valid && channel_valid(&regs.channel[i]);
	gate2 = regs.port61 & P61_GATE2;
	if (!valid || !regs.channel[0].gate || !regs.channel[1].gate ||
	    regs.channel[2].gate != gate2)
		return -EINVAL;
	pit->regs = regs;
	vm_irq_line(dev->vm, 0, regs.line);
	if (regs.edge == CLOCK_NEVER)
		vtimer_cancel(&pit->timer);
	else
		vtimer_arm(&pit->timer, regs.deadline);
	return 0;
}

DEFINE_VDEV(vpit, .name = "8254", .state_size = sizeof(struct vpit), .create = vpit_create,
	    .reset = vpit_reset, .save_size = sizeof(struct pit_regs), .save = vpit_save,
	    .restore = vpit_restore);
