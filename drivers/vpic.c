/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC's two 8259A interrupt controllers with the edge/level control
 * registers: ports 20h-21h, A0h-A1h and 4D0h-4D1h; the slave's INT output
 * drives the master's IR2. Sources: the data sheet "8259A Programmable
 * Interrupt Controller", and for ELCR the chipset data sheets (82371SB).
 *
 * A request in edge mode is a latch set by a low-to-high change and cleared by
 * INTA, or by the input going low before: a device must hold its line until it
 * is served. Without an APIC these ports are Linux's hottest exits, so nothing
 * is computed but what an access changes.
 *
 * Where the data sheet is silent: ICW1 also clears the in-service register;
 * a chip gives no INT from reset or ICW1 until its last ICW has come; vectors
 * are made as in 8086 mode whatever ICW4 says; without ICW3's cascade bit for
 * IR2 the master answers for IR2 itself; a slave whose id is not 2 leaves the
 * bus floating, which reads FFh.
 */
#include "arch/lib/string.h"
#include "vmm/vdev.h"

/* Writes to the even port: ICW1 by its bit, else OCW3 by its bit, else OCW2. */
enum { ICW1 = BIT(4), ICW1_IC4 = BIT(0), ICW1_SNGL = BIT(1), ICW1_LTIM = BIT(3) };
enum { ICW4_AEOI = BIT(1), ICW4_SFNM = BIT(4) };
enum { OCW2_EOI = BIT(5), OCW2_SL = BIT(6) /* the level is given */, OCW2_R = BIT(7) /* rotate */ };
enum { OCW3 = BIT(3), OCW3_RIS = BIT(0), OCW3_RR = BIT(1), OCW3_POLL = BIT(2), OCW3_SMM = BIT(5),
       OCW3_ESMM = BIT(6) };

#define PORT_SLAVE 0xa0
#define PORT_ELCR  0x4d0

#define CASCADE_IR 2
#define POLL_INT   BIT(7)
#define NONE	   15 /* no level; as a priority: lower than all; its vector: IR7's */

/* Which initialisation word the odd port takes next. */
enum { STEP_RUN, STEP_ICW2, STEP_ICW3, STEP_ICW4, STEPS };

/* One chip; bytes only, so that the array of two is the saved state as it is. */
struct pic_chip {
	u8 lines; /* the inputs' levels */
	u8 latch; /* edge requests; a subset of lines */
	u8 level; /* inputs in level mode: all ones after LTIM, else elcr */
	u8 elcr, imr, isr;
	u8 lowest; /* the level with the lowest priority */
	u8 step;
	u8 ready;	 /* initialised: INT may go up */
	u8 icw1, icw3, icw4;
	u8 base;	 /* ICW2: vector of IR0 */
	u8 read_isr;	 /* the even port reads ISR, not IRR */
	u8 poll;	 /* the next read is a poll */
	u8 special_mask, rotate_aeoi;
	u8 intr; /* the INT output */
};

enum { MASTER, SLAVE };

struct vpic {
	struct pic_chip chip[2];
	struct irq_sink sink;
	struct extint_source source;
};

/* Bits of ELCR that can be set: IRQ 0, 1, 2, 8 and 13 are edge-triggered. */
static const u8 elcr_mask[2] = {0xf8, 0xde};

static inline u8 chip_irr(const struct pic_chip *chip)
{
	return chip->latch | (chip->lines & chip->level);
}

/* The level at a distance from the highest priority. */
static inline unsigned chip_level(const struct pic_chip *chip, unsigned priority)
{
	return (chip->lowest + 1 + priority) & 7;
}

/* Distance of the first set level from the highest priority, NONE for no level. */
static inline unsigned chip_priority(const struct pic_chip *chip, u8 levels)
{
	unsigned turned = (levels | levels << 8) >> chip_level(chip, 0) & 0xff;

	return turned ? (unsigned)__builtin_ctz(turned) : NONE;
}

/* In special mask mode a masked level in service holds nobody back. */
static inline u8 chip_blocking(const struct pic_chip *chip)
{
	return chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
}

/* Whether an IR2 that is asked for belongs to the slave. */
static inline bool chip_has_slave(const struct pic_chip *chip)
{
	return !(chip->icw1 & ICW1_SNGL) && (chip->icw3 & BIT(CASCADE_IR));
}

/* The level that INTA would take, NONE for none. */
static inline unsigned chip_pending(const struct pic_chip *chip, bool master)
{
	u8 asked = chip_irr(chip) & ~chip->imr;
	unsigned priority, in_service, level;

	if (!asked || !chip->ready)
		return NONE;
	priority = chip_priority(chip, asked);
	in_service = chip_priority(chip, chip_blocking(chip));
	level = chip_level(chip, priority);
	/* Special fully nested: a slave in service does not shut itself out. */
	if (priority == in_service && master && level == CASCADE_IR &&
	    (chip->icw4 & ICW4_SFNM) && chip_has_slave(chip))
		return level;
	return priority < in_service ? level : NONE;
}

static inline void chip_set_line(struct pic_chip *chip, unsigned level, bool high)
{
	u8 bit = (u8)BIT(level);

	if (!high) {
		chip->lines &= ~bit;
		chip->latch &= ~bit;
	} else if (!(chip->lines & bit)) {
		chip->lines |= bit;
		chip->latch |= bit & ~chip->level;
	}
}

/* Computes a chip's INT output anew and hands a change on: slave, master, CPU. */
HOT_PATH static void vpic_update(struct vdev *dev, unsigned which)
{
	struct vpic *pic = dev->state;
	struct pic_chip *chip = &pic->chip[which];
	bool intr = chip_pending(chip, which == MASTER) != NONE;

	if (intr == chip->intr)
		return;
	chip->intr = intr;
	if (which == SLAVE) {
		chip_set_line(&pic->chip[MASTER], CASCADE_IR, intr);
		vpic_update(dev, MASTER);
	} else {
		vm_extint_changed(dev->vm, intr);
	}
}

/* A level goes into service, as INTA or a poll does it. */
static void chip_accept(struct pic_chip *chip, unsigned level)
{
	if (level == NONE)
		return;
	chip->latch &= ~BIT(level);
	if (!(chip->icw4 & ICW4_AEOI))
		chip->isr |= BIT(level);
	else if (chip->rotate_aeoi)
		chip->lowest = level;
}

/*
 * The slave took a level: its INT goes low with INTA, so that whatever is
 * still pending makes a new edge at the master.
 */
static void vpic_slave_accepted(struct vdev *dev)
{
	struct vpic *pic = dev->state;

	pic->chip[SLAVE].intr = 0;
	chip_set_line(&pic->chip[MASTER], CASCADE_IR, false);
	vpic_update(dev, SLAVE);
}

static u8 vpic_ack(struct vdev *dev)
{
	struct vpic *pic = dev->state;
	struct pic_chip *master = &pic->chip[MASTER], *slave = &pic->chip[SLAVE];
	unsigned level = chip_pending(master, true), ir;
	u8 vector = master->base | (level & 7); /* spurious: IR7 without its ISR bit */

	chip_accept(master, level);
	if (level == CASCADE_IR && chip_has_slave(master)) {
		ir = chip_pending(slave, false);
		vector = (slave->icw3 & 7) == CASCADE_IR ? slave->base | (ir & 7) : 0xff;
		chip_accept(slave, ir);
		vpic_slave_accepted(dev);
	}
	vpic_update(dev, MASTER);
	return vector;
}

static void vpic_set_irq(struct vdev *dev, unsigned line, bool level)
{
	struct vpic *pic = dev->state;

	/* IR2 of the master is the slave's. */
	if (line > 15 || line == CASCADE_IR)
		return;
	chip_set_line(&pic->chip[line >> 3], line & 7, level);
	vpic_update(dev, line >> 3);
}

/* What reset and ICW1 have in common: the inputs, what drives them and INT stay. */
static void chip_clear(struct pic_chip *chip, struct pic_chip with)
{
	with.lines = chip->lines;
	with.intr = chip->intr;
	with.level = with.icw1 & ICW1_LTIM ? 0xff : with.elcr;
	with.lowest = 7;
	*chip = with;
}

static void write_icw1(struct pic_chip *chip, u8 value)
{
	chip_clear(chip, (struct pic_chip){
		.icw1 = value, .icw3 = 7, .icw4 = value & ICW1_IC4 ? chip->icw4 : 0,
		.base = chip->base, .elcr = chip->elcr, .rotate_aeoi = chip->rotate_aeoi,
		.step = STEP_ICW2});
}

/* ICW2, ICW3 or ICW4, whichever is awaited. */
static void write_icw(struct pic_chip *chip, u8 value)
{
	u8 step = chip->step;

	if (step == STEP_ICW2) {
		chip->base = value & BITS(7, 3);
		chip->step = STEP_ICW3;
		if (!(chip->icw1 & ICW1_SNGL))
			return;
	} else if (step == STEP_ICW3) {
		chip->icw3 = value;
	} else {
		chip->icw4 = value & BITS(4, 0);
	}
	chip->step = step != STEP_ICW4 && (chip->icw1 & ICW1_IC4) ? STEP_ICW4 : STEP_RUN;
	chip->ready = chip->step == STEP_RUN;
}

/* The data sheet's table of R, SL and EOI. */
static inline void write_ocw2(struct pic_chip *chip, u8 value)
{
	bool rotate = value & OCW2_R, specific = value & OCW2_SL, eoi = value & OCW2_EOI;
	unsigned level = value & 7, priority;

	if (!specific && !eoi)
		chip->rotate_aeoi = rotate;
	if (!specific) {
		priority = chip_priority(chip, chip_blocking(chip));
		if (!eoi || priority == NONE)
			return;
		level = chip_level(chip, priority);
	}
	if (eoi)
		chip->isr &= ~BIT(level);
	if (rotate)
		chip->lowest = level;
}

static void write_ocw3(struct pic_chip *chip, u8 value)
{
	if (value & OCW3_ESMM)
		chip->special_mask = !!(value & OCW3_SMM);
	if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
	chip->poll = !!(value & OCW3_POLL);
}

__attribute__((noinline)) static u8 poll_read(struct vdev *dev, unsigned which)
{
	struct vpic *pic = dev->state;
	struct pic_chip *chip = &pic->chip[which];
	unsigned level = chip_pending(chip, which == MASTER);

	chip->poll = 0;
	chip_accept(chip, level);
	if (which == SLAVE)
		vpic_slave_accepted(dev);
	vpic_update(dev, MASTER);
	return level == NONE ? 0 : (u8)(POLL_INT | level);
}

static void write_elcr(struct pic_chip *chip, u8 value)
{
	chip->elcr = value;
	if (!(chip->icw1 & ICW1_LTIM))
		chip->level = value;
	/* A level request is none of the edge sense circuit's. */
	chip->latch &= ~chip->level;
}

/* The chip behind a port: ELCR has one port for each, the others two. */
static inline unsigned which_chip(u16 port)
{
	return port >= PORT_ELCR ? port & 1 : port >= PORT_SLAVE;
}

HOT_PATH static u8 vpic_in(struct vdev *dev, u16 port)
{
	struct vpic *pic = dev->state;
	unsigned which = which_chip(port);
	struct pic_chip *chip = &pic->chip[which];

	if (port >= PORT_ELCR)
		return chip->elcr;
	if (chip->poll)
		return poll_read(dev, which);
	if (port & 1)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip_irr(chip);
}

HOT_PATH static void vpic_out(struct vdev *dev, u16 port, u8 value)
{
	struct vpic *pic = dev->state;
	unsigned which = which_chip(port);
	struct pic_chip *chip = &pic->chip[which];

	if (port >= PORT_ELCR)
		write_elcr(chip, value & elcr_mask[which]);
	else if ((port & 1) && chip->step == STEP_RUN)
		chip->imr = value;
	else if (port & 1)
		write_icw(chip, value);
	else if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
	vpic_update(dev, which);
}

/* Not initialised, all inputs in edge mode; the lines are the devices' own. */
static void vpic_reset(struct vdev *dev)
{
	struct vpic *pic = dev->state;

	chip_clear(&pic->chip[MASTER], (struct pic_chip){0});
	chip_clear(&pic->chip[SLAVE], (struct pic_chip){0});
	vpic_update(dev, SLAVE);
	vpic_update(dev, MASTER);
}

static int vpic_create(struct vdev *dev)
{
	struct vpic *pic = dev->state;

	pic->sink = (struct irq_sink){.dev = dev, .set = vpic_set_irq};
	pic->source = (struct extint_source){.dev = dev, .ack = vpic_ack};
	vm_add_irq_sink(dev->vm, &pic->sink);
	vm_set_extint_source(dev->vm, &pic->source);
	return 0;
}

/* Rules that every chip keeps at all times. */
static bool chip_valid(const struct pic_chip *chip, unsigned which)
{
	bool booleans = (chip->ready | chip->read_isr | chip->poll | chip->special_mask |
			 chip->rotate_aeoi | chip->intr) <= 1;
	u8 level = chip->icw1 & ICW1_LTIM ? 0xff : chip->elcr;

	return booleans && chip->lowest <= 7 && chip->step < STEPS && !(chip->base & 7) &&
	       !(chip->ready && chip->step != STEP_RUN) && !(chip->icw4 & ~BITS(4, 0)) &&
	       !(chip->elcr & ~elcr_mask[which]) && chip->level == level &&
	       !(chip->latch & (~chip->lines | chip->level)) &&
	       chip->intr == (chip_pending(chip, which == MASTER) != NONE);
}

static bool vpic_valid(const struct vdev *dev, const void *saved)
{
	const struct pic_chip *chip = saved;

	return chip_valid(&chip[MASTER], MASTER) && chip_valid(&chip[SLAVE], SLAVE) &&
	       chip[SLAVE].intr == !!(chip[MASTER].lines & BIT(CASCADE_IR));
}

static void vpic_restored(struct vdev *dev)
{
	const struct vpic *pic = dev->state;

	vm_extint_changed(dev->vm, pic->chip[MASTER].intr);
}

static void vpic_describe(const struct vdev *dev, char *text, size_t size)
{
	const struct vpic *p = dev->state;
	size_t len = 0;

	for (unsigned i = MASTER; i <= SLAVE; i++) {
		const struct pic_chip *chip = &p->chip[i];

		len += str_format(text + len, size - len,
				  "  IR%u-%u lines %02x requests %02x in service %02x masked %02x "
				  "level %02x vectors %02x INT %u\n",
				  8 * i, 8 * i + 7, chip->lines, chip_irr(chip), chip->isr,
				  chip->imr, chip->level, chip->base, chip->intr);
		len = MIN(len, size);
	}
}

DEFINE_VDEV(vpic, .name = "8259", .state_size = sizeof(struct vpic),
	    .save_size = sizeof(struct pic_chip[2]),
	    .ports = {{0x20, 2}, {PORT_SLAVE, 2}, {PORT_ELCR, 2}},
	    .port_ops = {.in = vpic_in, .out = vpic_out}, .create = vpic_create,
	    .reset = vpic_reset, .valid = vpic_valid, .describe = vpic_describe,
	    .restored = vpic_restored);
