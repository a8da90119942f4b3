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
#include "vmm/vdev.h"

#define PORT_CONTROL  0x43
#define PORT_61	      0x61
#define PIT_HZ	      1193182
#define TICKS_OWED    32
#define TICK_RATE_MAX 20000
/* 15.085 us, the distance of two changes of port 61h's refresh bit, in clocks. */
#define REFRESH_CLOCKS 18

#define CLOCK_NEVER (1ll << 62)
#define CLOCK_MAX   (1ll << 61) /* bounds what restore believes: sums cannot overflow */

/* Bits of control word, read-back command, status byte and port 61h. */
enum { CONTROL_BCD = BIT(0), CONTROL_MODE = BITS(3, 1), CONTROL_ACCESS = BITS(5, 4),
       CONTROL_SELECT = BITS(7, 6) };
enum { READBACK = 3 /* as SELECT */, READBACK_NO_STATUS = BIT(4), READBACK_NO_COUNT = BIT(5) };
enum { STATUS_NULL = BIT(6), STATUS_OUT = BIT(7) };
enum { P61_GATE2 = BIT(0), P61_WRITE = BITS(3, 0), P61_REFRESH = BIT(4), P61_OUT2 = BIT(5) };

enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

enum {
	COUNT_IDLE,    /* waits for a count, or in modes 1 and 5 for a trigger */
	COUNT_RUNNING, /* elapsed is now - start */
	COUNT_HELD,    /* the gate is low: elapsed is held */
	COUNT_STATES
};

struct pit_channel {
	s64 start;   /* clock at which the count was loaded */
	s64 held;    /* clocks elapsed when the gate went low */
	s64 load_at; /* with `next`: when that is loaded */
	u32 count;   /* 1 to 65536; 0 before the first */
	u32 next;    /* the count to come, 0 for none */
	u16 latch;
	u8 control; /* the last control word, bits 5:0 */
	u8 mode;    /* 0 to 5 */
	u8 state, gate;
	u8 write_low;	 /* first byte of two */
	u8 write_second; /* the second is awaited */
	u8 read_second;
	u8 count_latched, status_latched, status;
	u8 reserved[4];
};

struct vpit {
	struct pit_channel channel[3];
	s64 edge;     /* channel 0: clock of the next rise of OUT not yet delivered */
	u8 line;      /* IRQ 0 as driven */
	u8 port61;    /* bits 3:0 */
	u8 reserved[6];
	struct vtimer timer; /* not saved, nor what follows */
	u64 hz;		     /* of the VM's clock */
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
	ch->next = 0;
}

HOT_PATH __attribute__((noinline)) static void load_due(struct vpit *pit, s64 clock)
{
	for (struct pit_channel *ch = pit->channel; ch < pit->channel + 3; ch++)
		if (ch->next && clock >= ch->load_at)
			load_next(ch);
}

/* The clock now, with all channels brought up to it. */
static inline s64 catch_up(struct vdev *dev)
{
	struct vpit *pit = dev->state;
	s64 clock = pit_clock(pit, vm_now(dev->vm));

	if (pit->channel[0].next | pit->channel[1].next | pit->channel[2].next)
		load_due(pit, clock);
	return clock;
}

/* The OUT pin; this and the next two after catch_up. */
static inline bool pit_out(const struct pit_channel *ch, s64 clock)
{
	s64 e = elapsed(ch, clock);

	if (ch->mode == 0)
		return ch->state != COUNT_IDLE && e >= ch->count;
	if (ch->state == COUNT_IDLE || (ch->state == COUNT_HELD && ch->mode > 1))
		return true;
	switch (ch->mode) {
	case 1: return e >= ch->count;
	case 2: return e % ch->count != ch->count - 1;
	case 3: return e % ch->count < high_clocks(ch->count);
	default: return e != ch->count; /* 4 and 5: one clock low */
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

/* The counting element as a read shows it. */
HOT_PATH static u16 pit_value(const struct pit_channel *ch, s64 clock)
{
	bool bcd = ch->control & CONTROL_BCD;
	s64 e = elapsed(ch, clock), value = ch->count - e;

	if (ch->count == 0)
		return 0;
	if (ch->mode == 2)
		value = ch->count - e % ch->count;
	else if (ch->mode == 3)
		value = (ch->count & ~1u) - 2 * (e % ch->count % high_clocks(ch->count));
	else if (bcd)
		value = ch->count + 10000 - e % 10000;
	return bcd ? to_bcd((unsigned)value) : (u16)value;
}

/* The first rise of OUT after a clock, CLOCK_NEVER for none. */
static s64 next_rise(const struct pit_channel *ch, s64 after)
{
	struct pit_channel then = *ch;

	if (ch->state != COUNT_RUNNING || ch->mode == 1 || ch->mode == 5)
		return CLOCK_NEVER; /* channel 0's gate is tied high: no trigger */
	if (!is_periodic(ch)) {
		s64 rise = ch->start + ch->count + (ch->mode == 4);

		return rise > after ? rise : CLOCK_NEVER;
	}
	if (ch->next) {
		load_next(&then);
		/* Loaded at a rise, or in mode 3 at the fall before one. */
		return then.start == ch->load_at ? then.start : then.start + then.count;
	}
	return ch->start + ((MAX(after, ch->start) - ch->start) / ch->count + 1) * ch->count;
}

static void set_line(struct vdev *dev, bool level)
{
	struct vpit *pit = dev->state;

	pit->line = level;
	vm_irq_line(dev->vm, 0, level);
}

static void arm(struct vpit *pit, u64 not_before)
{
	if (pit->edge == CLOCK_NEVER)
		vtimer_cancel(&pit->timer);
	else
		vtimer_arm(&pit->timer, MAX(pit_moment(pit, pit->edge), not_before));
}

/* Channel 0 was programmed: what was owed is forgotten. */
static void reprogrammed(struct vdev *dev, s64 clock)
{
	struct vpit *pit = dev->state;
	struct pit_channel *ch = &pit->channel[0];

	set_line(dev, pit_out(ch, clock));
	pit->edge = next_rise(ch, clock);
	arm(pit, 0);
}

/* An edge is due, or was. */
static void vpit_tick(void *arg)
{
	struct vdev *dev = arg;
	struct vpit *pit = dev->state;
	struct pit_channel *ch = &pit->channel[0];
	u64 apart = pit->hz / TICK_RATE_MAX;
	s64 clock = catch_up(dev), edge = pit->edge, owed;

	if (edge <= clock) {
		set_line(dev, false);
		set_line(dev, true);
		edge = next_rise(ch, edge);
		owed = is_periodic(ch) ? (clock - edge) / ch->count : 0;
		if (owed >= TICKS_OWED)
			edge += (owed - TICKS_OWED + 1) * ch->count;
		apart = MAX(apart, muldiv64(ch->count, pit->hz, 4 * PIT_HZ));
		pit->edge = edge;
	}
	arm(pit, vm_now(dev->vm) + apart);
}

static void write_control(struct pit_channel *ch, u8 value)
{
	u8 mode = (u8)FIELD_GET(CONTROL_MODE, value);

	*ch = (struct pit_channel){
		.control = value & (CONTROL_ACCESS | CONTROL_MODE | CONTROL_BCD),
		.mode = mode > 5 ? mode - 4 : mode,
		.gate = ch->gate,
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
		ch->load_at = CLOCK_NEVER;
	} else if (counting && is_periodic(ch)) {
		s64 phase = (clock - ch->start) % ch->count, high = high_clocks(ch->count);

		ch->next = count;
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
	u64 access = FIELD_GET(CONTROL_ACCESS, ch->control);

	ch->write_second = access == ACCESS_BOTH && !ch->write_second;
	if (!ch->write_second) {
		load_count(ch, access == ACCESS_LOW ? value : value << 8 | ch->write_low, clock);
		return;
	}
	ch->write_low = value;
	if (ch->mode == 0) {
		/* The first byte stops the counting and takes OUT down. */
		ch->held = elapsed(ch, clock);
		ch->state = COUNT_IDLE;
	}
}

static void latch(struct pit_channel *ch, bool count, bool status, s64 clock)
{
	bool null = ch->state == COUNT_IDLE || ch->next || clock < ch->start;

	if (count && !ch->count_latched) {
		ch->latch = pit_value(ch, clock);
		ch->count_latched = 1;
	}
	if (status && !ch->status_latched) {
		ch->status = ch->control | (null ? STATUS_NULL : 0);
		ch->status |= pit_out(ch, clock) ? STATUS_OUT : 0;
		ch->status_latched = 1;
	}
}

static void write_port43(struct vdev *dev, u8 value, s64 clock)
{
	struct vpit *pit = dev->state;
	unsigned select = FIELD_GET(CONTROL_SELECT, value);

	if (select == READBACK) {
		for (unsigned i = 0; i < 3; i++)
			if (value & BIT(i + 1))
				latch(&pit->channel[i], !(value & READBACK_NO_COUNT),
				      !(value & READBACK_NO_STATUS), clock);
		return;
	}
	if (FIELD_GET(CONTROL_ACCESS, value) == ACCESS_LATCH) {
		latch(&pit->channel[select], true, false, clock);
		return;
	}
	write_control(&pit->channel[select], value);
	if (select == 0)
		reprogrammed(dev, clock);
}

HOT_PATH __attribute__((noinline)) static u8 read_count(struct vdev *dev, unsigned channel)
{
	struct vpit *pit = dev->state;
	struct pit_channel *ch = &pit->channel[channel];
	s64 clock = catch_up(dev);
	unsigned access = FIELD_GET(CONTROL_ACCESS, ch->control);
	bool high = access == ACCESS_HIGH || ch->read_second;
	u16 value;

	if (ch->status_latched) {
		ch->status_latched = 0;
		return ch->status;
	}
	value = ch->count_latched ? ch->latch : pit_value(ch, clock);
	ch->read_second = access == ACCESS_BOTH && !ch->read_second;
	if (!ch->read_second)
		ch->count_latched = 0;
	return (u8)(high ? value >> 8 : value);
}

/* Linux reads it a thousand times in 10 ms to measure its TSC: keep it short. */
HOT_PATH __attribute__((noinline)) static u8 read_port61(struct vdev *dev)
{
	const struct vpit *pit = dev->state;
	s64 clock = catch_up(dev);
	u8 value = pit->port61;

	if ((u64)clock / REFRESH_CLOCKS & 1)
		value |= P61_REFRESH;
	if (pit_out(&pit->channel[2], clock))
		value |= P61_OUT2;
	return value;
}

static void gate_rise(struct pit_channel *ch, s64 clock)
{
	if (ch->mode == 0 || ch->mode == 4) {
		if (ch->state != COUNT_HELD)
			return;
		/* A count written in this very clock is still to be loaded. */
		ch->start = MAX(ch->start, clock - ch->held);
	} else {
		if (ch->next)
			ch->count = ch->next;
		ch->next = 0;
		if (!ch->count)
			return;
		ch->start = clock + 1;
	}
	ch->state = COUNT_RUNNING;
}

static void gate_fall(struct pit_channel *ch, s64 clock)
{
	if (ch->mode == 1 || ch->mode == 5 || ch->state != COUNT_RUNNING)
		return;
	ch->held = elapsed(ch, clock);
	ch->state = COUNT_HELD;
	ch->load_at = CLOCK_NEVER;
}

static void write_port61(struct vpit *pit, u8 value, s64 clock)
{
	struct pit_channel *ch = &pit->channel[2];
	bool gate = value & P61_GATE2;

	pit->port61 = value & P61_WRITE;
	if (gate && !ch->gate)
		gate_rise(ch, clock);
	else if (!gate && ch->gate)
		gate_fall(ch, clock);
	ch->gate = gate;
}

HOT_PATH static u8 vpit_in(struct vdev *dev, u16 port)
{
	if (port == PORT_61)
		return read_port61(dev);
	return port == PORT_CONTROL ? 0xff : read_count(dev, port & 3);
}

HOT_PATH static void vpit_out(struct vdev *dev, u16 port, u8 value)
{
	struct vpit *pit = dev->state;
	s64 clock = catch_up(dev);

	if (port == PORT_61) {
		write_port61(pit, value, clock);
	} else if (port == PORT_CONTROL) {
		write_port43(dev, value, clock);
	} else {
		write_count(&pit->channel[port & 3], value, clock);
		if ((port & 3) == 0)
			reprogrammed(dev, clock);
	}
}

static void vpit_reset(struct vdev *dev)
{
	struct vpit *pit = dev->state;

	for (unsigned i = 0; i < 3; i++) {
		pit->channel[i].gate = i < 2;
		write_control(&pit->channel[i], FIELD_PREP(CONTROL_ACCESS, ACCESS_BOTH));
	}
	pit->port61 = 0;
	reprogrammed(dev, 0);
}

static int vpit_create(struct vdev *dev)
{
	struct vpit *pit = dev->state;

	pit->hz = vm_clock_hz(dev->vm);
	vtimer_init(&pit->timer, dev->vm, vpit_tick, dev);
	return 0;
}

static bool channel_valid(const struct pit_channel *ch)
{
	u32 least = is_periodic(ch) ? 2 : ch->state != COUNT_IDLE;
	u8 mode = (u8)FIELD_GET(CONTROL_MODE, ch->control);

	return (ch->gate | ch->write_second | ch->read_second | ch->count_latched |
		ch->status_latched) <= 1 &&
	       ch->mode == (mode > 5 ? mode - 4 : mode) && ch->state < COUNT_STATES &&
	       !(ch->control & CONTROL_SELECT) && FIELD_GET(CONTROL_ACCESS, ch->control) &&
	       ch->start >= -CLOCK_MAX && ch->start <= CLOCK_MAX &&
	       ch->held >= 0 && ch->held <= CLOCK_MAX && ch->count <= 65536 &&
	       (ch->count >= least || (ch->count == 0 && ch->state == COUNT_IDLE));
}

/* Only a mode that reloads has a count to come, for a moment that it can divide. */
static bool next_valid(const struct pit_channel *ch)
{
	if (ch->next == 0)
		return true;
	return ch->mode != 0 && ch->mode != 4 && ch->next >= 1u + is_periodic(ch) &&
	       ch->next <= 65536 &&
	       (ch->load_at == CLOCK_NEVER ||
		(is_periodic(ch) && ch->state == COUNT_RUNNING && ch->load_at > ch->start &&
		 ch->load_at <= CLOCK_MAX));
}

static bool vpit_valid(const struct vdev *dev, const void *saved)
{
	const struct vpit *pit = saved;
	const struct pit_channel *ch = pit->channel;
	bool valid = pit->line <= 1 && !(pit->port61 & ~P61_WRITE);

	for (unsigned i = 0; i < 3; i++)
		valid = valid && channel_valid(&ch[i]) && next_valid(&ch[i]);
	if (!valid || !ch[0].gate || !ch[1].gate || ch[2].gate != (pit->port61 & P61_GATE2))
		return false;
	return pit->edge == CLOCK_NEVER ||
	       (ch[0].state == COUNT_RUNNING && pit->edge >= 0 && pit->edge <= CLOCK_MAX);
}

static void vpit_restored(struct vdev *dev)
{
	struct vpit *pit = dev->state;

	vm_irq_line(dev->vm, 0, pit->line);
	arm(pit, 0);
}

DEFINE_VDEV(vpit, .name = "8254", .state_size = sizeof(struct vpit),
	    .save_size = offsetof(struct vpit, timer), .ports = {{0x40, 4}, {PORT_61, 1}},
	    .port_ops = {.in = vpit_in, .out = vpit_out}, .create = vpit_create,
	    .reset = vpit_reset, .valid = vpit_valid, .restored = vpit_restored);
