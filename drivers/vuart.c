/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550A serial port after National's data sheet "PC16550D Universal
 * Asynchronous Receiver/Transmitter with FIFOs". It carries bytes between the
 * guest and a console stream of its VM.
 *
 * There is no baud time: a byte leaves when it is written, unless the console
 * is full, which keeps it in the chip and THRE low, and received bytes come as
 * fast as there is room for them, so that none is ever overrun. Only the
 * character timeout counts in baud time. Parity, framing errors and breaks
 * cannot occur. The modem inputs are those of a connected terminal.
 */
#include "arch/lib/string.h"
#include "vmm/console.h"
#include "vmm/vdev.h"

/* Registers by port; with LCR_DLAB the first two are the divisor's bytes. */
enum { DATA, IER, FCR, LCR, MCR, LSR, MSR, SCR, REGS, IIR = FCR };

/* Bits by register. */
enum { IER_RX = BIT(0) /* data available, character timeout */, IER_THRE = BIT(1),
       IER_LINE = BIT(2), IER_MODEM = BIT(3), IER_VALID = BITS(3, 0) };
enum { IIR_MODEM = 0, IIR_NONE = 1, IIR_THRE = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 0xc,
       IIR_FIFO = BITS(7, 6) };
enum { FCR_ENABLE = BIT(0), FCR_RX_RESET = BIT(1), FCR_TX_RESET = BIT(2), FCR_TRIGGER = BITS(7, 6),
       FCR_STORED = FCR_ENABLE | BIT(3) | FCR_TRIGGER };
enum { LCR_WORD = BITS(1, 0) /* data bits less 5 */, LCR_STOP = BIT(2), LCR_PARITY = BIT(3),
       LCR_DLAB = BIT(7) };
enum { MCR_DTR = BIT(0), MCR_RTS = BIT(1), MCR_OUT1 = BIT(2), MCR_OUT2 = BIT(3), MCR_LOOP = BIT(4),
       MCR_VALID = BITS(4, 0) };
enum { LSR_DR = BIT(0), LSR_OE = BIT(1), LSR_THRE = BIT(5), LSR_TEMT = BIT(6) };
enum { MSR_TERI = BIT(2), MSR_DELTA = BITS(3, 0), MSR_CTS = BIT(4), MSR_DSR = BIT(5),
       MSR_RI = BIT(6), MSR_DCD = BIT(7) };

#define CLOCK_HZ	1843200ull /* the crystal of a PC's port */
#define TIMEOUT_CHARS	4
#define POWER_ON_DLL	12 /* 9600 baud; the data sheet leaves it open */
#define FIFO_DEPTH	16

struct fifo {
	u8 data[FIFO_DEPTH]; /* the oldest first */
	u8 count;
};

struct uart {
	u64 deadline;	/* of the character timeout, 0 for none */
	u8 reg[REGS];	/* all but DATA and LSR */
	u8 divisor[2];
	u8 overrun;	/* LSR_OE or 0 */
	u8 thre_pending; /* the THRE interrupt has not been seen yet */
	u8 timeout_pending;
	struct fifo rx, tx;
	u8 reserved;
	struct vtimer timeout; /* not saved */
	u8 line; /* as it was driven last */
};

static u8 fifo_pop(struct fifo *f)
{
	u8 byte = f->data[0];

	f->count--;
	if (f->count)
		memmove(f->data, f->data + 1, f->count);
	return byte;
}

/* How many bytes each direction holds: without FIFOs, one holding register. */
static unsigned capacity(const struct uart *u)
{
	return u->reg[FCR] & FCR_ENABLE ? FIFO_DEPTH : 1;
}

/* What is full loses the byte if it is a FIFO, or the one that it held if a register. */
static bool put(const struct uart *u, struct fifo *f, u8 byte)
{
	bool fits = f->count < capacity(u);

	if (fits)
		f->data[f->count++] = byte;
	else if (!(u->reg[FCR] & FCR_ENABLE))
		f->data[0] = byte;
	return fits;
}

/* The highest pending and enabled interrupt, in the data sheet's order. */
static u8 interrupt_id(const struct uart *u)
{
	static const u8 trigger[] = {1, 4, 8, 14}; /* without FIFOs the field is 0 */
	u8 ier = u->reg[IER];

	if ((ier & IER_LINE) && u->overrun)
		return IIR_LINE;
	if ((ier & IER_RX) && u->timeout_pending)
		return IIR_TIMEOUT;
	if ((ier & IER_RX) && u->rx.count >= trigger[FIELD_GET(FCR_TRIGGER, u->reg[FCR])])
		return IIR_RX;
	if ((ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((ier & IER_MODEM) && (u->reg[MSR] & MSR_DELTA))
		return IIR_MODEM;
	return IIR_NONE;
}

/*
 * On a PC, OUT2 opens the gate between INTR and the interrupt line; loopback
 * forces the pin inactive.
 */
HOT_PATH static inline void update_line(struct vdev *dev)
{
	struct uart *u = dev->state;
	bool gate = (u->reg[MCR] & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	u8 line = u->reg[IER] && gate && interrupt_id(u) != IIR_NONE;

	if (line == u->line)
		return;
	u->line = line;
	vm_irq_line(dev->vm, dev->args.irq, line);
}

/* Four character times; a divisor of 0 counts as 1. */
static u64 timeout_ticks(const struct uart *u, u64 hz)
{
	u64 divisor = u->divisor[1] << 8 | u->divisor[0];
	u8 lcr = u->reg[LCR];
	u64 bits = 1 + 5 + FIELD_GET(LCR_WORD, lcr) + !!(lcr & LCR_PARITY) +
		   (lcr & LCR_STOP ? 2 : 1);

	return TIMEOUT_CHARS * bits * 16 * MAX(divisor, 1ull) * hz / CLOCK_HZ;
}

/* A byte came in or was read: the time counts anew while any is in the FIFO. */
static void restart_timeout(struct vdev *dev)
{
	struct uart *u = dev->state;

	u->deadline = 0;
	if ((u->reg[FCR] & FCR_ENABLE) && u->rx.count > 0)
		u->deadline = vm_now(dev->vm) + timeout_ticks(u, vm_clock_hz(dev->vm));
	vtimer_set(&u->timeout, u->deadline);
}

static void timeout_fired(void *arg)
{
	struct vdev *dev = arg;
	struct uart *u = dev->state;

	u->deadline = 0;
	u->timeout_pending = 1;
	update_line(dev);
}

/* Takes input from the console as far as there is room; loopback cuts the line. */
static void fill_rx(struct vdev *dev)
{
	struct uart *u = dev->state;
	struct fifo *rx = &u->rx;
	u8 before = rx->count;
	int byte;

	while (!(u->reg[MCR] & MCR_LOOP) && rx->count < capacity(u)) {
		byte = console_get(dev->vm, dev->args.index);
		if (byte < 0)
			break;
		rx->data[rx->count++] = (u8)byte;
	}
	if (rx->count != before)
		restart_timeout(dev);
	update_line(dev);
}

/* Sends what the transmitter holds; when it gets empty, THRE asks for more. */
static void transmit(struct vdev *dev)
{
	struct uart *u = dev->state;
	bool loop = u->reg[MCR] & MCR_LOOP;

	if (u->tx.count == 0)
		return;
	while (u->tx.count > 0) {
		if (!loop && !console_put(dev->vm, dev->args.index, u->tx.data[0]))
			break;
		if (loop && !put(u, &u->rx, u->tx.data[0]))
			u->overrun = LSR_OE;
		fifo_pop(&u->tx);
	}
	if (loop)
		restart_timeout(dev);
	if (u->tx.count == 0)
		u->thre_pending = 1;
	update_line(dev);
}

static const struct console_port_ops port_ops = {.tx_ready = transmit, .rx_ready = fill_rx};

/* --- registers --------------------------------------------------------- */

static u8 read_rbr(struct vdev *dev)
{
	struct uart *u = dev->state;
	u8 byte = u->rx.count > 0 ? fifo_pop(&u->rx) : 0;

	u->timeout_pending = 0;
	restart_timeout(dev);
	update_line(dev);
	fill_rx(dev);
	return byte;
}

static u8 read_iir(struct vdev *dev)
{
	struct uart *u = dev->state;
	u8 id = interrupt_id(u);

	if (id == IIR_THRE)
		u->thre_pending = 0;
	update_line(dev);
	return id | (u->reg[FCR] & FCR_ENABLE ? IIR_FIFO : 0);
}

static inline u8 lsr_of(const struct uart *u)
{
	return (u->rx.count > 0 ? LSR_DR : 0) | (u->tx.count == 0 ? LSR_THRE | LSR_TEMT : 0);
}

__attribute__((noinline)) static u8 overrun_seen(struct vdev *dev)
{
	struct uart *u = dev->state;
	u8 overrun = u->overrun;

	u->overrun = 0;
	update_line(dev);
	return overrun | lsr_of(u);
}

static u8 read_msr(struct vdev *dev)
{
	struct uart *u = dev->state;
	u8 msr = u->reg[MSR];

	u->reg[MSR] &= ~MSR_DELTA;
	update_line(dev);
	return msr;
}

/* The others read as written. */
static u8 (*const readers[REGS])(struct vdev *dev) = {
	[DATA] = read_rbr, [IIR] = read_iir, [MSR] = read_msr};

HOT_PATH static u8 uart_in(struct vdev *dev, u16 port)
{
	struct uart *u = dev->state;
	unsigned n = (u16)(port - dev->args.port) % REGS;

	if (n == LSR) /* asked for before each byte of output */
		return u->overrun ? overrun_seen(dev) : lsr_of(u);
	if ((u->reg[LCR] & LCR_DLAB) && n < 2)
		return u->divisor[n];
	return readers[n] ? readers[n](dev) : u->reg[n];
}

/*
 * The line falls while the byte is in the register, so that an edge-triggered
 * controller sees the next THRE interrupt.
 */
static void write_thr(struct vdev *dev, u8 value)
{
	struct uart *u = dev->state;

	u->thre_pending = 0;
	update_line(dev);
	put(u, &u->tx, value);
	transmit(dev);
}

/* Enabling the THRE interrupt with an empty transmitter raises it at once. */
static void write_ier(struct vdev *dev, u8 value)
{
	struct uart *u = dev->state;

	if ((value & ~u->reg[IER] & IER_THRE) && u->tx.count == 0)
		u->thre_pending = 1;
	u->reg[IER] = value & IER_VALID;
	update_line(dev);
}

/* A change of the enable bit clears both FIFOs; without it no other bit counts. */
static void write_fcr(struct vdev *dev, u8 value)
{
	struct uart *u = dev->state;
	bool toggled = (value ^ u->reg[FCR]) & FCR_ENABLE;

	if (!(value & FCR_ENABLE))
		value = 0;
	u->reg[FCR] = value & FCR_STORED;
	if (toggled || (value & FCR_RX_RESET)) {
		u->rx.count = 0;
		u->timeout_pending = 0;
		restart_timeout(dev);
	}
	if (toggled || (value & FCR_TX_RESET)) {
		u->thre_pending |= u->tx.count > 0;
		u->tx.count = 0;
	}
	update_line(dev);
	fill_rx(dev);
}

static u8 modem_inputs(u8 mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct vdev *dev, u8 value)
{
	struct uart *u = dev->state;
	u8 *reg = u->reg, inputs = modem_inputs(value), changed = (inputs ^ reg[MSR]) >> 4;

	if (inputs & MSR_RI)
		changed &= (u8)~MSR_TERI; /* only the trailing edge of RI counts */
	reg[MCR] = value & MCR_VALID;
	reg[MSR] = inputs | (reg[MSR] & MSR_DELTA) | changed;
	update_line(dev);
	transmit(dev);
	fill_rx(dev);
}

/* LCR and SCR keep what is written; LSR and MSR are written in the factory's tests only. */
static void (*const writers[REGS])(struct vdev *dev, u8 value) = {
	[DATA] = write_thr, [IER] = write_ier, [FCR] = write_fcr, [MCR] = write_mcr};

HOT_PATH static void uart_out(struct vdev *dev, u16 port, u8 value)
{
	struct uart *u = dev->state;
	unsigned n = (u16)(port - dev->args.port) % REGS;

	if ((u->reg[LCR] & LCR_DLAB) && n < 2)
		u->divisor[n] = value;
	else if (writers[n])
		writers[n](dev, value);
	else if (n == LCR || n == SCR)
		u->reg[n] = value;
}

/* --- life ------------------------------------------------------------- */

/* Master reset leaves the scratch register and the divisor as they are. */
static void uart_reset(struct vdev *dev)
{
	struct uart *u = dev->state;
	u8 scr = u->reg[SCR];

	memset(u->reg, 0, sizeof(u->reg));
	u->reg[SCR] = scr;
	u->reg[MSR] = modem_inputs(0);
	u->overrun = 0;
	u->thre_pending = 0;
	u->timeout_pending = 0;
	u->rx.count = 0;
	u->tx.count = 0;
	restart_timeout(dev);
	u->line = 0xff; /* unknown */
	fill_rx(dev); /* lowers the line, too */
}

static int uart_create(struct vdev *dev)
{
	struct uart *u = dev->state;

	u->divisor[0] = POWER_ON_DLL;
	vtimer_init(&u->timeout, dev->vm, timeout_fired, dev);
	console_attach(dev->vm, dev->args.index, dev, &port_ops);
	return 0;
}

static bool uart_valid(const struct vdev *dev, const void *saved)
{
	const struct uart *u = saved;
	const u8 *reg = u->reg;

	return !(reg[IER] & ~IER_VALID) && !(reg[MCR] & ~MCR_VALID) && !(reg[FCR] & ~FCR_STORED) &&
	       ((reg[FCR] & FCR_ENABLE) || reg[FCR] == 0) && !(u->overrun & ~LSR_OE) &&
	       (reg[MSR] & ~MSR_DELTA) == modem_inputs(reg[MCR]) &&
	       (u->thre_pending | u->timeout_pending) <= 1 &&
	       u->rx.count <= capacity(u) && u->tx.count <= capacity(u);
}

static void uart_restored(struct vdev *dev)
{
	struct uart *u = dev->state;

	vtimer_set(&u->timeout, u->deadline);
	u->line = 0xff; /* unknown */
	update_line(dev);
}

DEFINE_VDEV(vuart, .name = "16550", .state_size = sizeof(struct uart),
	    .save_size = offsetof(struct uart, timeout), .ports = {{0, REGS}},
	    .port_ops = {.in = uart_in, .out = uart_out}, .create = uart_create,
	    .reset = uart_reset, .valid = uart_valid, .restored = uart_restored);
