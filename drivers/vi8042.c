/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keyboard controller at ports 60h and 64h, after IBM's "Technical Reference,
 * Personal Computer AT" (keyboard controller) and its PS/2 successors. Guests
 * use it to reset the machine; nothing is plugged into it.
 *
 * A guest that looks for a keyboard must find out soon, so nothing is left
 * unanswered: a byte to the keyboard, or behind command D4h to the mouse, gives
 * at once what the chip gives after its time limit: FEh with the time-out bit.
 * The keyboard's lines test well (nothing pulls them low); those of the
 * auxiliary port report "clock stuck low" and D3h comes back as keyboard data,
 * so that drivers take that port for absent.
 */
#include "arch/lib/string.h"
#include "vmm/vdev.h"

#define PORT_DATA    0x60 /* the other, 64h, takes commands and gives the status */

/* Bits of status, command byte and output port. */
enum { STATUS_OBF = BIT(0) /* output buffer full */, STATUS_SYSTEM = BIT(2) /* as CTR_SYSTEM */,
       STATUS_COMMAND = BIT(3) /* the last write went to port 64h */,
       STATUS_UNLOCK = BIT(4) /* keyboard not locked; valid from the first output on */,
       STATUS_AUX = BIT(5) /* the output is the auxiliary port's */, STATUS_TIMEOUT = BIT(6),
       STATUS_STORED = BITS(6, 3) | STATUS_OBF };
enum { CTR_IRQ = BIT(0) /* interrupt when the output buffer is full */, CTR_SYSTEM = BIT(2),
       CTR_NO_KBD = BIT(4), CTR_NO_AUX = BIT(5) };
enum { OUTPUT_RUN = BIT(0) /* low resets the CPU */, OUTPUT_A20 = BIT(1), OUTPUT_FULL = BIT(4),
       OUTPUT_IDLE = BITS(7, 6) | OUTPUT_A20 | OUTPUT_RUN };

#define NO_ANSWER 0xfe

/* Bytes only: its own saved form. */
struct i8042 {
	u8 ram[32]; /* [0] is the command byte */
	u8 status, output;
	u8 expect; /* the command whose data byte comes next, 0 for none */
};

/* Commands that change bits of the command byte, or answer, and no more. */
static const struct {
	u8 command, clear, set;
	s16 answer; /* -1: none */
} simple[] = {
	{0xa7, 0, CTR_NO_AUX, -1},
	{0xa8, CTR_NO_AUX, 0, -1},
	{0xa9, 0, 0, 0x01},	     /* auxiliary lines: clock stuck low */
	{0xaa, 0, CTR_SYSTEM, 0x55}, /* self-test: went well */
	{0xab, 0, 0, 0x00},	     /* keyboard lines: no error */
	{0xad, 0, CTR_NO_KBD, -1},
	{0xae, CTR_NO_KBD, 0, -1},
	{0xc0, 0, 0, 0xa0}, /* input port: not locked, no manufacturing jumper */
	{0xe0, 0, 0, 0x03}, /* test inputs: clock and data high */
};

static void update_line(struct vdev *dev)
{
	const struct i8042 *k = dev->state;
	bool full = (k->status & (STATUS_OBF | STATUS_AUX)) == STATUS_OBF;

	vm_irq_line(dev->vm, dev->args.irq, full && (k->ram[0] & CTR_IRQ));
}

/* A byte for the guest; one that it has not read is lost, as in the chip. */
static void put(struct vdev *dev, u8 byte, u8 flags)
{
	struct i8042 *k = dev->state;

	k->output = byte;
	k->status &= (u8) ~(STATUS_AUX | STATUS_TIMEOUT);
	k->status |= STATUS_OBF | STATUS_UNLOCK | flags;
	update_line(dev);
}

/* The lines of the output port that matter: reset. A20 stays open. */
static void drive_output(struct vdev *dev, u8 lines)
{
	if (!(lines & OUTPUT_RUN))
		vm_request_reset(dev->vm, "keyboard controller");
}

static bool takes_data(u8 command)
{
	return (command >= 0x60 && command <= 0x7f) || (command >= 0xd1 && command <= 0xd4);
}

static void command(struct vdev *dev, u8 byte)
{
	struct i8042 *k = dev->state;

	k->status |= STATUS_COMMAND;
	k->expect = takes_data(byte) ? byte : 0;
	if (byte >= 0x20 && byte <= 0x3f)
		put(dev, k->ram[byte & 0x1f], 0);
	else if (byte == 0xd0)
		put(dev, OUTPUT_IDLE | (k->status & STATUS_OBF ? OUTPUT_FULL : 0), 0);
	else if (byte >= 0xf0)
		drive_output(dev, byte); /* pulses low the lines whose bits are 0 */
	for (unsigned i = 0; i < ARRAY_SIZE(simple); i++) {
		if (simple[i].command != byte)
			continue;
		k->ram[0] = (k->ram[0] & (u8)~simple[i].clear) | simple[i].set;
		if (simple[i].answer >= 0)
			put(dev, (u8)simple[i].answer, 0);
	}
}

static void data(struct vdev *dev, u8 byte)
{
	struct i8042 *k = dev->state;
	u8 for_command = k->expect;

	k->expect = 0;
	k->status &= (u8)~STATUS_COMMAND;
	switch (for_command) {
	case 0:
		put(dev, NO_ANSWER, STATUS_TIMEOUT);
		break;
	case 0xd1:
		drive_output(dev, byte);
		break;
	case 0xd2:
	case 0xd3:
		put(dev, byte, 0);
		break;
	case 0xd4:
		put(dev, NO_ANSWER, STATUS_AUX | STATUS_TIMEOUT);
		break;
	default: /* 60h to 7Fh */
		k->ram[for_command & 0x1f] = byte;
		update_line(dev);
	}
}

static u8 i8042_in(struct vdev *dev, u16 port)
{
	struct i8042 *k = dev->state;

	if (port != PORT_DATA)
		return k->status | (k->ram[0] & CTR_SYSTEM ? STATUS_SYSTEM : 0);
	k->status &= (u8) ~(STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT);
	update_line(dev);
	return k->output;
}

static void i8042_out(struct vdev *dev, u16 port, u8 value)
{
	if (port == PORT_DATA)
		data(dev, value);
	else
		command(dev, value);
}

/* All zero, as the chip is before any firmware has spoken to it. */
static void i8042_reset(struct vdev *dev)
{
	memset(dev->state, 0, sizeof(struct i8042));
	update_line(dev);
}

static bool i8042_valid(const struct vdev *dev, const void *saved)
{
	const struct i8042 *k = saved;

	return !(k->status & ~STATUS_STORED) && (!k->expect || takes_data(k->expect));
}

DEFINE_VDEV(vi8042, .name = "i8042", .state_size = sizeof(struct i8042),
	    .save_size = sizeof(struct i8042), .ports = {{PORT_DATA, 1}, {0x64, 1}},
	    .port_ops = {.in = i8042_in, .out = i8042_out}, .reset = i8042_reset,
	    .valid = i8042_valid, .restored = update_line);
