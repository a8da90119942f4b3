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
#include "arch/lib/bits.h"
#include "arch/lib/errno.h"
#include "arch/lib/string.h"
#include "vmm/console.h"
#include "vmm/vdev.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR, REG_COUNT };

#define IER_RX	   BIT(0) /* received data available, character timeout */
#define IER_THRE   BIT(1)
#define IER_LINE   BIT(2)
#define IER_MODEM  BIT(3)
#define IER_VALID  BITS(3, 0)

#define IIR_NONE    0x01
#define IIR_LINE    0x06
#define IIR_RX	    0x04
#define IIR_TIMEOUT 0x0c
#define IIR_THRE    0x02
#define IIR_MODEM   0x00
#define IIR_FIFO    0xc0

#define FCR_ENABLE   BIT(0)
#define FCR_RX_RESET BIT(1)
#define FCR_TX_RESET BIT(2)
#define FCR_TRIGGER  BITS(7, 6)
#define FCR_STORED   (FCR_ENABLE | BIT(3) | FCR_TRIGGER)

#define LCR_WORD   BITS(1, 0) /* data bits less 5 */
#define LCR_STOP   BIT(2)
#define LCR_PARITY BIT(3)
#define LCR_DLAB   BIT(7)

#define MCR_DTR	  BIT(0)
#define MCR_RTS	  BIT(1)
#define MCR_OUT1  BIT(2)
#define MCR_OUT2  BIT(3)
#define MCR_LOOP  BIT(4)
#define MCR_VALID BITS(4, 0)

#define LSR_DR	 BIT(0)
#define LSR_OE	 BIT(1)
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)

#define MSR_TERI  BIT(2)
#define MSR_DELTA BITS(3, 0)
#define MSR_CTS	  BIT(4)
#define MSR_DSR	  BIT(5)
#define MSR_RI	  BIT(6)
#define MSR_DCD	  BIT(7)

#define CLOCK_HZ	1843200ull /* the crystal of a PC's port */
#define TIMEOUT_CHARS	4
#define POWER_ON_DLL	12 /* 9600 baud; the data sheet leaves it open */
#define FIFO_DEPTH	16

struct fifo {
	u8 data[FIFO_DEPTH];
	u8 head, count;
};

/* Bytes only, so that it is its own saved form. */
struct regs {
	u8 ier, lcr, mcr, fcr, scr, dll, dlm;
	u8 msr;
	u8 overrun;	    /* LSR_OE or 0 */
	u8 thre_pending;    /* the THRE interrupt has not been seen yet */
	u8 timeout_pending;
	u8 timer_armed;
	struct fifo rx, tx;
};

struct uart {
	struct regs r;
	bool line; /* what vm_irq_line was told last */
	struct vtimer timeout;
	struct vdev *dev;
};

struct saved {
	struct regs r;
	u8 deadline[8];
};

static void fifo_clear(struct fifo *f)
{
	memset(f, 0, sizeof(*f));
}

static void fifo_push(struct fifo *f, u8 byte)
{
	f->data[(f->head + f->count) % FIFO_DEPTH] = byte;
	f->count++;
}

static u8 fifo_pop(struct fifo *f)
{
	u8 byte = f->data[f->head];

	f->head = (f->head + 1) % FIFO_DEPTH;
	f->count--;
	return byte;
}

/* How many bytes each direction holds: without FIFOs, one holding register. */
static unsigned capacity(const struct regs *r)
{
	return r->fcr & FCR_ENABLE ? FIFO_DEPTH : 1;
}

static unsigned trigger_level(const struct regs *r)
{
	static const u8 levels[] = {1, 4, 8, 14};

	return r->fcr & FCR_ENABLE ? levels[FIELD_GET(FCR_TRIGGER, r->fcr)] : 1;
}

/* The highest pending and enabled interrupt, in the data sheet's order. */
static u8 interrupt_id(const struct regs *r)
{
	if ((r->ier & IER_LINE) && r->overrun)
		return IIR_LINE;
	if ((r->ier & IER_RX) && r->timeout_pending)
		return IIR_TIMEOUT;
	if ((r->ier & IER_RX) && r->rx.count >= trigger_level(r))
		return IIR_RX;
	if ((r->ier & IER_THRE) && r->thre_pending)
		return IIR_THRE;
	if ((r->ier & IER_MODEM) && (r->msr & MSR_DELTA))
		return IIR_MODEM;
	return IIR_NONE;
}

/*
 * On a PC, OUT2 opens the gate between INTR and the interrupt line; loopback
 * forces the pin inactive.
 */
static void update_line(struct uart *u)
{
	bool gate = (u->r.mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	bool line = gate && interrupt_id(&u->r) != IIR_NONE;

	if (line == u->line)
		return;
	u->line = line;
	vm_irq_line(u->dev->vm, u->dev->args.irq, line);
}

/* Four character times; a divisor of 0 counts as 1. */
static u64 timeout_ticks(const struct uart *u)
{
	const struct regs *r = &u->r;
	u64 divisor = r->dlm << 8 | r->dll;
	u64 bits = 1 + 5 + FIELD_GET(LCR_WORD, r->lcr) + !!(r->lcr & LCR_PARITY) +
		   (r->lcr & LCR_STOP ? 2 : 1);

	return TIMEOUT_CHARS * bits * 16 * MAX(divisor, 1ull) * vm_clock_hz(u->dev->vm) / CLOCK_HZ;
}

/* A byte came in or was read: the time counts anew while any is in the FIFO. */
static void restart_timeout(struct uart *u)
{
	if ((u->r.fcr & FCR_ENABLE) && u->r.rx.count > 0)
		vtimer_arm(&u->timeout, vm_now(u->dev->vm) + timeout_ticks(u));
	else
		vtimer_cancel(&u->timeout);
}

static void timeout_fired(void *arg)
{
	struct uart *u = arg;

	u->r.timeout_pending = 1;
	update_line(u);
}

/* Takes input from the console as far as there is room; loopback cuts the line. */
static void fill_rx(struct uart *u)
{
	bool any = false;
	int byte;

	if (u->r.mcr & MCR_LOOP)
		return;
	while (u->r.rx.count < capacity(&u->r)) {
		byte = console_get(u->dev->vm, u->dev->args.index);
		if (byte < 0)
			break;
		fifo_push(&u->r.rx, (u8)byte);
		any = true;
	}
	if (any)
		restart_timeout(u);
	update_line(u);
}

/*
 * A byte by loopback. An overrun keeps the FIFO and loses the new byte, but
 * without FIFOs the old one is lost.
 */
static void receive(struct uart *u, u8 byte)
{
	struct regs *r = &u->r;

	if (r->rx.count < capacity(r)) {
		fifo_push(&r->rx, byte);
	} else {
		r->overrun = LSR_OE;
		if (!(r->fcr & FCR_ENABLE))
			r->rx.data[r->rx.head] = byte;
	}
	restart_timeout(u);
}

/* Sends what the transmitter holds; when it gets empty, THRE asks for more. */
static void transmit(struct uart *u)
{
	struct regs *r = &u->r;

	if (r->tx.count == 0)
		return;
	while (r->tx.count > 0) {
		u8 byte = r->tx.data[r->tx.head];

		if (r->mcr & MCR_LOOP)
			receive(u, byte);
		else if (!console_put(u->dev->vm, u->dev->args.index, byte))
			break;
		fifo_pop(&r->tx);
	}
	if (r->tx.count == 0)
		r->thre_pending = 1;
	update_line(u);
}

static void tx_ready(struct vdev *dev)
{
	transmit(dev->state);
}

static void rx_ready(struct vdev *dev)
{
	fill_rx(dev->state);
}

static const struct console_port_ops port_ops = {.tx_ready = tx_ready, .rx_ready = rx_ready};

/* --- registers --------------------------------------------------------- */

static u8 read_rbr(struct uart *u)
{
	struct regs *r = &u->r;
	u8 byte = 0;

	if (r->rx.count > 0)
		byte = fifo_pop(&r->rx);
	r->timeout_pending = 0;
	restart_timeout(u);
	update_line(u);
	fill_rx(u);
	return byte;
}

static u8 read_iir(struct uart *u)
{
	u8 id = interrupt_id(&u->r);

	if (id == IIR_THRE) {
		u->r.thre_pending = 0;
		update_line(u);
	}
	return id | (u->r.fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_lsr(struct uart *u)
{
	u8 lsr = u->r.overrun;

	if (u->r.rx.count > 0)
		lsr |= LSR_DR;
	if (u->r.tx.count == 0)
		lsr |= LSR_THRE | LSR_TEMT;
	u->r.overrun = 0;
	update_line(u);
	return lsr;
}

static u8 read_msr(struct uart *u)
{
	u8 msr = u->r.msr;

	u->r.msr &= (u8)~MSR_DELTA;
	update_line(u);
	return msr;
}

static u64 uart_read(struct vdev *dev, u64 offset, unsigned size)
{
	struct uart *u = dev->state;
	bool dlab = u->r.lcr & LCR_DLAB;

	(void)size;
	switch (offset) {
	case REG_DATA:
		return dlab ? u->r.dll : read_rbr(u);
	case REG_IER:
		return dlab ? u->r.dlm : u->r.ier;
	case REG_IIR_FCR:
		return read_iir(u);
	case REG_LCR:
		return u->r.lcr;
	case REG_MCR:
		return u->r.mcr;
	case REG_LSR:
		return read_lsr(u);
	case REG_MSR:
		return read_msr(u);
	default:
		return u->r.scr;
	}
}

/*
 * The line falls while the byte is in the register, so that an edge-triggered
 * controller sees the next THRE interrupt.
 */
static void write_thr(struct uart *u, u8 value)
{
	struct regs *r = &u->r;

	r->thre_pending = 0;
	update_line(u);
	if (r->tx.count < capacity(r))
		fifo_push(&r->tx, value);
	else if (!(r->fcr & FCR_ENABLE))
		r->tx.data[r->tx.head] = value;
	transmit(u);
}

/* Enabling the THRE interrupt with an empty transmitter raises it at once. */
static void write_ier(struct uart *u, u8 value)
{
	u8 old = u->r.ier;

	u->r.ier = value & IER_VALID;
	if ((u->r.ier & ~old & IER_THRE) && u->r.tx.count == 0)
		u->r.thre_pending = 1;
	update_line(u);
}

static void clear_rx(struct uart *u)
{
	fifo_clear(&u->r.rx);
	u->r.timeout_pending = 0;
	vtimer_cancel(&u->timeout);
}

static void clear_tx(struct uart *u)
{
	if (u->r.tx.count > 0)
		u->r.thre_pending = 1;
	fifo_clear(&u->r.tx);
}

/* A change of the enable bit clears both FIFOs; without it no other bit counts. */
static void write_fcr(struct uart *u, u8 value)
{
	bool toggled = (value ^ u->r.fcr) & FCR_ENABLE;

	u->r.fcr = value & FCR_ENABLE ? value & FCR_STORED : 0;
	if (toggled || (value & (FCR_ENABLE | FCR_RX_RESET)) == (FCR_ENABLE | FCR_RX_RESET))
		clear_rx(u);
	if (toggled || (value & (FCR_ENABLE | FCR_TX_RESET)) == (FCR_ENABLE | FCR_TX_RESET))
		clear_tx(u);
	update_line(u);
	fill_rx(u);
}

static u8 modem_inputs(u8 mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct uart *u, u8 value)
{
	struct regs *r = &u->r;
	u8 inputs, changed;

	r->mcr = value & MCR_VALID;
	inputs = modem_inputs(r->mcr);
	changed = (inputs ^ r->msr) >> 4;
	if (inputs & MSR_RI)
		changed &= (u8)~MSR_TERI; /* only the trailing edge of RI counts */
	r->msr = inputs | (r->msr & MSR_DELTA) | changed;
	update_line(u);
	transmit(u);
	fill_rx(u);
}

static void uart_write(struct vdev *dev, u64 offset, unsigned size, u64 value)
{
	struct uart *u = dev->state;
	bool dlab = u->r.lcr & LCR_DLAB;
	u8 byte = (u8)value;

	(void)size;
	switch (offset) {
	case REG_DATA:
		if (dlab)
			u->r.dll = byte;
		else
			write_thr(u, byte);
		break;
	case REG_IER:
		if (dlab)
			u->r.dlm = byte;
		else
			write_ier(u, byte);
		break;
	case REG_IIR_FCR:
		write_fcr(u, byte);
		break;
	case REG_LCR:
		u->r.lcr = byte;
		break;
	case REG_MCR:
		write_mcr(u, byte);
		break;
	case REG_SCR:
		u->r.scr = byte;
		break;
	default: /* LSR and MSR: writes are for the factory's tests */
		break;
	}
}

static const struct bus_ops uart_ops = {.read = uart_read, .write = uart_write, .max_size = 1};

/* --- life ------------------------------------------------------------- */

/* Master reset leaves the scratch register and the divisor as they are. */
static void uart_reset(struct vdev *dev)
{
	struct uart *u = dev->state;
	u8 scr = u->r.scr, dll = u->r.dll, dlm = u->r.dlm;

	vtimer_cancel(&u->timeout);
	memset(&u->r, 0, sizeof(u->r));
	u->r.scr = scr;
	u->r.dll = dll;
	u->r.dlm = dlm;
	u->r.msr = modem_inputs(0);
	fill_rx(u); /* lowers the line, too */
}

static int uart_create(struct vdev *dev)
{
	struct uart *u = dev->state;
	int err = bus_claim_ports(dev, dev->args.port, REG_COUNT, &uart_ops);

	if (err)
		return err;
	u->dev = dev;
	u->r.dll = POWER_ON_DLL;
	vtimer_init(&u->timeout, dev->vm, timeout_fired, u);
	console_attach(dev->vm, dev->args.index, dev, &port_ops);
	uart_reset(dev);
	return 0;
}

static size_t uart_save(const struct vdev *dev, void *blob)
{
	const struct uart *u = dev->state;
	struct saved *s = blob;
	u64 deadline = u->timeout.armed ? u->timeout.deadline : 0;

	s->r = u->r;
	s->r.timer_armed = u->timeout.armed;
	memcpy(s->deadline, &deadline, sizeof(deadline));
	return sizeof(*s);
}

static bool fifo_valid(const struct fifo *f, unsigned depth)
{
	return f->head < FIFO_DEPTH && f->count <= depth;
}

static bool regs_valid(const struct regs *r)
{
	return !(r->ier & ~IER_VALID) && !(r->mcr & ~MCR_VALID) && !(r->fcr & ~FCR_STORED) &&
	       ((r->fcr & FCR_ENABLE) || r->fcr == 0) && !(r->overrun & ~LSR_OE) &&
	       (r->msr & ~MSR_DELTA) == modem_inputs(r->mcr) && r->thre_pending <= 1 &&
	       r->timeout_pending <= 1 && r->timer_armed <= 1 &&
	       fifo_valid(&r->rx, capacity(r)) && fifo_valid(&r->tx, capacity(r));
}

static int uart_restore(struct vdev *dev, const void *blob, size_t size)
{
	struct uart *u = dev->state;
	const struct saved *s = blob;
	u64 deadline;

	if (size != sizeof(*s) || !regs_valid(&s->r))
		return -EINVAL;
	memcpy(&deadline, s->deadline, sizeof(deadline));
	if (!s->r.timer_armed && deadline)
		return -EINVAL;
	vtimer_cancel(&u->timeout);
	u->r = s->r;
	if (u->r.timer_armed)
		vtimer_arm(&u->timeout, deadline);
	update_line(u);
	return 0;
}

DEFINE_VDEV(vuart_type, .name = "16550", .state_size = sizeof(struct uart),
	    .create = uart_create, .reset = uart_reset,
	    .save_size = sizeof(struct saved), .save = uart_save, .restore = uart_restore);
