/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: drivers/vpic.c arch/lib/format.c tests/unit/fake_vm.c vmm/bus.c vmm/vdev_life.c */
/*
 * The 8259A pair: what the data sheet says of initialisation, priorities,
 * EOI and rotation, masks, poll, spurious interrupts, edge and level inputs,
 * the cascade and ELCR; then random commands against a second model, written
 * from the data sheet without a look at the first: a list of levels in order
 * of priority and a flip-flop for each input.
 */
#include "tests/unit/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

static struct vm *vm;
static struct vdev *dev;

static int setup(void **state)
{
	(void)state;
	vm = fake_vm_create();
	dev = fake_vm_create_device(vm, "8259", (struct vdev_args){0});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_vm_destroy(vm);
	return 0;
}

static void out(u16 port, u8 value)
{
	fake_vm_outb(vm, port, value);
}

static u8 in(u16 port)
{
	return fake_vm_inb(vm, port);
}

static u8 irr(u16 port)
{
	out(port, 0x0a);
	return in(port);
}

static u8 isr(u16 port)
{
	out(port, 0x0b);
	return in(port);
}

/* One chip as Linux sets it up, with the given ICW1 and ICW4; all unmasked. */
static void init(u16 port, u8 icw1, u8 base, u8 icw3, u8 icw4)
{
	out(port, icw1);
	out(port + 1, base);
	if (!(icw1 & 2))
		out(port + 1, icw3);
	if (icw1 & 1)
		out(port + 1, icw4);
}

static void init_both(u8 icw4)
{
	init(0x20, 0x11, 0x30, 4, icw4);
	init(0xa0, 0x11, 0x38, 2, icw4);
}

static void raise_line(unsigned line)
{
	vm_irq_line(vm, line, true);
}

static void lower(unsigned line)
{
	vm_irq_line(vm, line, false);
}

static void pulse(unsigned line)
{
	lower(line);
	raise_line(line);
}

static void reset_state(void **state)
{
	(void)state;
	raise_line(3);
	assert_false(vm->extint_pending); /* not initialised: silent */
	assert_int_equal(in(0x4d0), 0);
	assert_int_equal(in(0x4d1), 0);
	out(0x21, 0xfb); /* the mask works before: Linux probes with it */
	assert_int_equal(in(0x21), 0xfb);
	out(0x21, 0xff);
	assert_int_equal(in(0x21), 0xff);
	init_both(1);
	assert_int_equal(in(0x21), 0);
	pulse(3);
	assert_true(vm->extint_pending);
	vdev_reset(dev);
	assert_false(vm->extint_pending);
	assert_int_equal(irr(0x20), 0);
	pulse(3);
	assert_false(vm->extint_pending);
}

static void words_reach_both_ports(void **state)
{
	(void)state;
	init_both(1);
	fake_vm_outw(vm, 0x20, 0xa50b);
	assert_int_equal(in(0x21), 0xa5);
	raise_line(1);
	fake_vm_outw(vm, 0x20, 0x000a);
	assert_int_equal(fake_vm_inw(vm, 0x20), 0x0002);
	fake_vm_outw(vm, 0x4d0, 0xffff);
	assert_int_equal(fake_vm_inw(vm, 0x4d0), 0xdef8);
	out(0x4d1, 0);
	assert_int_equal(fake_vm_inw(vm, 0x4d0), 0x00f8);
	assert_int_equal(in(0x4d1), 0);
}

static void delivers_and_nests(void **state)
{
	(void)state;
	init_both(1);
	raise_line(4);
	assert_true(vm->extint_pending);
	assert_int_equal(irr(0x20), 0x10);
	assert_int_equal(fake_vm_inta(vm), 0x34);
	assert_int_equal(irr(0x20), 0);
	assert_int_equal(isr(0x20), 0x10);
	assert_false(vm->extint_pending);
	raise_line(5); /* lower: waits */
	assert_false(vm->extint_pending);
	raise_line(1); /* higher: nests */
	assert_int_equal(fake_vm_inta(vm), 0x31);
	assert_int_equal(isr(0x20), 0x12);
	out(0x20, 0x20); /* ends the higher */
	assert_int_equal(isr(0x20), 0x10);
	assert_false(vm->extint_pending);
	out(0x20, 0x20);
	assert_true(vm->extint_pending);
	assert_int_equal(fake_vm_inta(vm), 0x35);
	out(0x20, 0x65); /* specific */
	assert_int_equal(isr(0x20), 0);
	out(0x20, 0x20); /* nothing in service: no effect */
	out(0x20, 0x40); /* no operation */
	assert_int_equal(isr(0x20), 0);
}

static void edge_needs_a_new_rise(void **state)
{
	(void)state;
	init_both(1);
	raise_line(4);
	assert_int_equal(fake_vm_inta(vm), 0x34);
	out(0x20, 0x20);
	assert_false(vm->extint_pending); /* still high: no second one */
	raise_line(4);
	assert_false(vm->extint_pending);
	pulse(4);
	assert_true(vm->extint_pending);
	lower(4); /* gone before INTA: IR7 without its ISR bit */
	assert_false(vm->extint_pending);
	assert_int_equal(irr(0x20), 0);
	assert_int_equal(fake_vm_inta(vm), 0x37);
	assert_int_equal(isr(0x20), 0);
	/* A fresh ICW1 forgets the edge. */
	pulse(4);
	init(0x20, 0x11, 0x30, 4, 1);
	assert_false(vm->extint_pending);
	pulse(4);
	assert_true(vm->extint_pending);
}

static void level_asks_while_high(void **state)
{
	(void)state;
	init_both(1);
	out(0x4d0, 0x20);
	raise_line(5);
	assert_int_equal(fake_vm_inta(vm), 0x35);
	assert_int_equal(irr(0x20), 0x20);
	out(0x20, 0x20);
	assert_true(vm->extint_pending);
	lower(5);
	assert_false(vm->extint_pending);
	raise_line(5);
	out(0x4d0, 0); /* to edge: a new rise is needed */
	assert_false(vm->extint_pending);
	pulse(5);
	out(0x4d0, 0x20);
	lower(5);
	assert_false(vm->extint_pending);
	/* LTIM makes every input a level one. */
	out(0x4d0, 0);
	raise_line(0);
	init(0x20, 0x19, 0x30, 4, 1);
	assert_int_equal(irr(0x20), 0x01);
	assert_int_equal(fake_vm_inta(vm), 0x30);
	out(0x20, 0x20);
	assert_int_equal(fake_vm_inta(vm), 0x30);
	out(0x4d0, 0xf8);
	assert_int_equal(irr(0x20), 0x01);
}

static void elcr_keeps_the_edge_lines(void **state)
{
	(void)state;
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	assert_int_equal(in(0x4d0), 0xf8);
	assert_int_equal(in(0x4d1), 0xde);
}

static void cascade(void **state)
{
	(void)state;
	init_both(1);
	raise_line(2); /* not a line of the bus: the slave's */
	assert_false(vm->extint_pending);
	raise_line(8);
	raise_line(12);
	assert_int_equal(irr(0x20), 0x04);
	assert_int_equal(irr(0xa0), 0x11);
	assert_int_equal(fake_vm_inta(vm), 0x38);
	assert_int_equal(isr(0x20), 0x04);
	assert_int_equal(isr(0xa0), 0x01);
	out(0xa0, 0x20);
	assert_false(vm->extint_pending); /* the master's IR2 is in service */
	out(0x20, 0x62);
	assert_int_equal(fake_vm_inta(vm), 0x3c);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	/* Gone before INTA: withdrawn on both chips. */
	pulse(9);
	lower(9);
	assert_int_equal(fake_vm_inta(vm), 0x37);
	/* Masked at the slave: the same. */
	pulse(9);
	out(0xa1, 0x02);
	assert_false(vm->extint_pending);
	out(0xa1, 0);
	assert_true(vm->extint_pending);
	/* A slave of another id does not answer. */
	init(0xa0, 0x11, 0x38, 5, 1);
	pulse(9);
	assert_int_equal(fake_vm_inta(vm), 0xff);
}

static void poll_of_the_slave_withdraws_ir2(void **state)
{
	(void)state;
	init_both(1);
	pulse(10);
	out(0xa0, 0x0c); /* poll takes it from the slave */
	assert_int_equal(in(0xa0), 0x82);
	assert_false(vm->extint_pending);
	assert_int_equal(irr(0x20), 0);
	assert_int_equal(isr(0xa0), 0x04);
	out(0xa0, 0x0c);
	assert_int_equal(in(0xa1), 0); /* either port; nothing there */
	assert_int_equal(in(0xa1), 0); /* and that was the mask */
}

static void single_mode_has_no_slave(void **state)
{
	(void)state;
	init(0x20, 0x13, 0x40, 0, 1);
	init(0xa0, 0x11, 0x38, 2, 1);
	raise_line(8);
	assert_int_equal(fake_vm_inta(vm), 0x42);
	assert_int_equal(isr(0xa0), 0);
	/* Nor one whose ICW3 names another input. */
	init(0x20, 0x11, 0x40, 8, 1);
	pulse(9);
	lower(8);
	lower(9);
	raise_line(8);
	assert_int_equal(fake_vm_inta(vm), 0x42);
	/* Without ICW4 all its functions are off; two words are all. */
	init(0x20, 0x12, 0x48, 0, 0);
	pulse(1);
	assert_int_equal(fake_vm_inta(vm), 0x49);
	assert_int_equal(isr(0x20), 0x02);
	/* The vector's low bits come from the level alone. */
	init(0x20, 0x12, 0x4f, 0, 0);
	pulse(1);
	assert_int_equal(fake_vm_inta(vm), 0x49);
}

static void initialisation_is_silent_until_its_end(void **state)
{
	(void)state;
	out(0x20, 0x11);
	pulse(3);
	assert_false(vm->extint_pending);
	out(0x21, 0x30);
	out(0x21, 4);
	assert_false(vm->extint_pending);
	out(0x21, 1);
	assert_true(vm->extint_pending);
}

static void automatic_eoi_and_its_rotation(void **state)
{
	(void)state;
	init_both(3);
	raise_line(0);
	raise_line(1);
	assert_int_equal(fake_vm_inta(vm), 0x30);
	assert_int_equal(isr(0x20), 0);
	assert_true(vm->extint_pending);
	assert_int_equal(fake_vm_inta(vm), 0x31);
	out(0x20, 0x80); /* rotate in automatic EOI mode */
	pulse(0);
	pulse(1);
	assert_int_equal(fake_vm_inta(vm), 0x30); /* then 0 is lowest */
	pulse(0);
	assert_int_equal(fake_vm_inta(vm), 0x31);
	assert_int_equal(fake_vm_inta(vm), 0x30);
	out(0x20, 0x00); /* off: 0 stays lowest */
	pulse(0);
	pulse(7);
	assert_int_equal(fake_vm_inta(vm), 0x37);
	pulse(7);
	assert_int_equal(fake_vm_inta(vm), 0x37);
	assert_int_equal(fake_vm_inta(vm), 0x30);
}

static void automatic_eoi_on_the_slave_asks_again(void **state)
{
	(void)state;
	init(0x20, 0x11, 0x30, 4, 3);
	init(0xa0, 0x11, 0x38, 2, 3);
	raise_line(9);
	raise_line(10);
	assert_int_equal(fake_vm_inta(vm), 0x39);
	assert_true(vm->extint_pending);
	assert_int_equal(fake_vm_inta(vm), 0x3a);
	assert_false(vm->extint_pending);
}

static void rotation_and_set_priority(void **state)
{
	(void)state;
	init_both(1);
	raise_line(3);
	assert_int_equal(fake_vm_inta(vm), 0x33);
	out(0x20, 0xa0); /* rotate on non-specific EOI: 3 is lowest, 4 highest */
	assert_int_equal(isr(0x20), 0);
	pulse(3);
	raise_line(1);
	raise_line(6);
	assert_int_equal(fake_vm_inta(vm), 0x36);
	out(0x20, 0xe6); /* rotate on specific EOI: 6 lowest, 7 highest */
	assert_int_equal(fake_vm_inta(vm), 0x31);
	assert_false(vm->extint_pending);
	out(0x20, 0x20);
	assert_int_equal(fake_vm_inta(vm), 0x33);
	out(0x20, 0x20);
	out(0x20, 0xc3); /* set priority: 3 lowest */
	pulse(3);
	pulse(6);
	assert_int_equal(fake_vm_inta(vm), 0x36);
	out(0x20, 0x20);
	assert_int_equal(fake_vm_inta(vm), 0x33);
	out(0x20, 0xa0);
	out(0x20, 0xa0); /* nothing in service: no rotation */
	pulse(4);
	pulse(3);
	assert_int_equal(fake_vm_inta(vm), 0x34);
}

static void special_mask_mode(void **state)
{
	(void)state;
	init_both(1);
	raise_line(3);
	assert_int_equal(fake_vm_inta(vm), 0x33);
	raise_line(6);
	assert_false(vm->extint_pending);
	out(0x21, 0x08);
	assert_false(vm->extint_pending);
	out(0x20, 0x68); /* set: the masked 3 holds nobody back */
	assert_true(vm->extint_pending);
	assert_int_equal(fake_vm_inta(vm), 0x36);
	out(0x20, 0x20); /* a non-specific EOI passes the masked level by */
	assert_int_equal(isr(0x20), 0x08);
	out(0x20, 0x28); /* SMM without ESMM: no change */
	pulse(6);
	assert_true(vm->extint_pending);
	out(0x20, 0x48); /* cleared */
	assert_false(vm->extint_pending);
	out(0x20, 0x20);
	assert_true(vm->extint_pending);
}

static void special_fully_nested_mode(void **state)
{
	(void)state;
	init(0x20, 0x11, 0x30, 4, 0x11);
	init(0xa0, 0x11, 0x38, 2, 1);
	raise_line(12);
	assert_int_equal(fake_vm_inta(vm), 0x3c);
	raise_line(9); /* higher within the slave: comes through */
	assert_true(vm->extint_pending);
	assert_int_equal(fake_vm_inta(vm), 0x39);
	raise_line(5); /* lower than the slave: not */
	assert_false(vm->extint_pending);
	out(0xa0, 0x20);
	assert_int_equal(isr(0xa0), 0x10);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	assert_int_equal(fake_vm_inta(vm), 0x35);
}

static void poll_acknowledges(void **state)
{
	(void)state;
	init_both(1);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0);
	raise_line(6);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x86);
	assert_int_equal(isr(0x20), 0x40);
	assert_false(vm->extint_pending);
	assert_int_equal(in(0x20), 0x40); /* polls once */
}

static void mask_hides_but_keeps(void **state)
{
	(void)state;
	init_both(1);
	out(0x21, 0x10);
	raise_line(4);
	assert_int_equal(irr(0x20), 0x10);
	assert_false(vm->extint_pending);
	out(0x21, 0);
	assert_true(vm->extint_pending);
	assert_int_equal(vm->extint_changes, 1);
	out(0x21, 0);
	assert_int_equal(vm->extint_changes, 1); /* told of changes only */
}

static void other_lines_are_ignored(void **state)
{
	(void)state;
	init_both(1);
	vm->sinks->set(dev, 16, true);
	vm->sinks->set(dev, 0x1004, true);
	assert_int_equal(irr(0x20), 0);
	assert_int_equal(irr(0xa0), 0);
}

static void ports_taken(void **state)
{
	struct vdev *other;

	(void)state;
	assert_int_equal(fake_vm_try_device(vm, "8259", (struct vdev_args){0}, &other), -EEXIST);
}

static void saves_and_refuses(void **state)
{
	u8 blob[64], bad[64];
	size_t size;

	(void)state;
	fake_vm_check_save(vm, dev);
	init_both(1);
	raise_line(3);
	assert_int_equal(fake_vm_inta(vm), 0x33);
	raise_line(9);
	out(0x20, 0x0c);
	fake_vm_check_save(vm, dev);
	size = vdev_save(dev, blob);
	memcpy(bad, blob, size);
	bad[0] ^= 4; /* the master's IR2 is not what the slave's INT is */
	assert_int_equal(vdev_restore(dev, bad, size), -EINVAL);
	/* What was saved goes on as it would have. */
	lower(9);
	assert_int_equal(vdev_restore(dev, blob, size), 0);
	assert_true(vm->extint_pending);
	assert_int_equal(in(0x20), 0x82); /* the poll was still to come */
}

static void storms(void **state)
{
	(void)state;
	for (u64 seed = 1; seed < 5; seed++)
		fake_vm_storm(vm, seed, 50000);
}

/* --- the second model ----------------------------------------------------- */

/* Everything by level; order[0] has the highest priority. */
struct ref {
	bool ir[8], edge[8], imr[8], isr[8], elcr[8];
	int order[8];
	u8 icw[5]; /* by number */
	int expect; /* 0, or the number of the ICW awaited */
	bool operational, read_isr, poll, smm, rotate;
	bool is_master;
};

static struct ref ref_chip[2];

static void ref_rotate(struct ref *c, int lowest)
{
	for (int i = 0; i < 8; i++)
		c->order[i] = (lowest + 1 + i) % 8;
}

static bool ref_request(const struct ref *c, int n)
{
	bool level = (c->icw[1] & 8) || c->elcr[n];

	return level ? c->ir[n] : c->edge[n];
}

static bool ref_cascaded(const struct ref *c, int n)
{
	return c->is_master && n == 2 && !(c->icw[1] & 2) && (c->icw[3] & 4);
}

/* Down the list of priorities until a request is granted or one in service stops it. */
static int ref_resolve(const struct ref *c)
{
	if (!c->operational)
		return -1;
	for (int i = 0; i < 8; i++) {
		int n = c->order[i];
		bool wants = ref_request(c, n) && !c->imr[n];
		bool stops = c->isr[n] && !(c->smm && c->imr[n]);

		if (wants && !stops)
			return n;
		if (wants && ref_cascaded(c, n) && (c->icw[4] & 16))
			return n;
		if (stops)
			return -1;
	}
	return -1;
}

static void ref_input(struct ref *c, int n, bool level)
{
	bool level_mode = (c->icw[1] & 8) || c->elcr[n];

	if (level && !c->ir[n] && !level_mode)
		c->edge[n] = true;
	if (!level)
		c->edge[n] = false;
	c->ir[n] = level;
}

static void ref_settle(void)
{
	ref_input(&ref_chip[0], 2, ref_resolve(&ref_chip[1]) >= 0);
}

static void ref_service(struct ref *c, int n)
{
	c->edge[n] = false;
	if (c->icw[4] & 2) {
		if (c->rotate)
			ref_rotate(c, n);
	} else {
		c->isr[n] = true;
	}
	if (!c->is_master) {
		ref_input(&ref_chip[0], 2, false);
		ref_settle();
	}
}

static u8 ref_inta(void)
{
	struct ref *m = &ref_chip[0], *s = &ref_chip[1];
	int n = ref_resolve(m), k;

	if (n < 0)
		return (m->icw[2] & 0xf8) + 7;
	ref_service(m, n);
	if (!ref_cascaded(m, n))
		return (m->icw[2] & 0xf8) + n;
	k = ref_resolve(s);
	if (k >= 0)
		ref_service(s, k);
	if ((s->icw[3] & 7) != 2)
		return 0xff;
	return (s->icw[2] & 0xf8) + (k < 0 ? 7 : k);
}

static void ref_icw1(struct ref *c, u8 value)
{
	c->icw[1] = value;
	for (int n = 0; n < 8; n++)
		c->edge[n] = c->imr[n] = c->isr[n] = false;
	ref_rotate(c, 7);
	c->icw[3] = 7;
	if (!(value & 1))
		c->icw[4] = 0;
	c->smm = c->read_isr = c->poll = c->operational = false;
	c->expect = 2;
}

static void ref_icw_next(struct ref *c, u8 value)
{
	c->icw[c->expect] = value;
	do
		c->expect++;
	while ((c->expect == 3 && (c->icw[1] & 2)) || (c->expect == 4 && !(c->icw[1] & 1)));
	if (c->expect == 5) {
		c->expect = 0;
		c->operational = true;
	}
}

static void ref_ocw2(struct ref *c, u8 value)
{
	bool r = value & 0x80, sl = value & 0x40, eoi = value & 0x20;
	int n = value & 7;

	if (eoi && !sl) {
		for (int i = 7; i >= 0; i--)
			if (c->isr[c->order[i]] && !(c->smm && c->imr[c->order[i]]))
				n = c->order[i] + 8;
		if (n < 8)
			return;
		n -= 8;
	}
	if (eoi)
		c->isr[n] = false;
	else if (!sl)
		c->rotate = r;
	if (r && (eoi || sl))
		ref_rotate(c, n);
}

static void ref_write(struct ref *c, int a0, u8 value)
{
	if (a0 && c->expect) {
		ref_icw_next(c, value);
	} else if (a0) {
		for (int n = 0; n < 8; n++)
			c->imr[n] = value >> n & 1;
	} else if (value & 0x10) {
		ref_icw1(c, value);
	} else if (value & 8) {
		c->poll = value & 4;
		if (value & 2)
			c->read_isr = value & 1;
		if (value & 0x40)
			c->smm = value & 0x20;
	} else {
		ref_ocw2(c, value);
	}
}

static u8 ref_read(struct ref *c, int a0)
{
	u8 value = 0;

	if (c->poll) {
		int n = ref_resolve(c);

		c->poll = false;
		if (n < 0)
			return 0;
		ref_service(c, n);
		return 0x80 + n;
	}
	for (int n = 0; n < 8; n++)
		value |= (a0 ? c->imr[n] : c->read_isr ? c->isr[n] : ref_request(c, n)) << n;
	return value;
}

static void ref_elcr(struct ref *c, u8 value)
{
	for (int n = 0; n < 8; n++) {
		int line = c->is_master ? n : n + 8;
		bool fixed = line == 0 || line == 1 || line == 2 || line == 8 || line == 13;

		c->elcr[n] = !fixed && (value >> n & 1);
		if (c->elcr[n])
			c->edge[n] = false;
	}
}

static void both_write(u16 port, int which, int a0, u8 value)
{
	out(port, value);
	ref_write(&ref_chip[which], a0, value);
	ref_settle();
}

/* A command as guests give them: mostly EOI and masks, now and then anything. */
static void random_command(u64 r)
{
	static const u8 icw1[] = {0x11, 0x11, 0x11, 0x19, 0x13, 0x12, 0x10, 0x1b};
	int which = r >> 8 & 1, a0 = r >> 9 & 1;
	u16 port = which ? 0xa0 : 0x20;
	u8 value = (u8)(r >> 16);

	switch ((r >> 32) % 16) {
	case 0:
		value = icw1[value % 8];
		both_write(port, which, 0, value);
		if ((r >> 40) % 8 == 0)
			return; /* left half done */
		value = (u8)(r >> 24);
		while (ref_chip[which].expect) {
			if (ref_chip[which].expect == 3)
				value = r >> 44 & 3 ? (which ? 2 : 4) : (u8)(r >> 48);
			if (ref_chip[which].expect == 4)
				value = (u8)(r >> 52);
			both_write(port + 1, which, 1, value);
		}
		break;
	case 1:
		if (r >> 40 & 1) {
			out(0x4d0 + which, value);
			ref_elcr(&ref_chip[which], value);
		}
		break;
	case 2:
	case 3:
		both_write(port + 1, which, 1, value & (u8)(r >> 24));
		break;
	case 4:
		both_write(port, which, 0, 0x08 | (value & 0x67));
		break;
	case 5:
		both_write(port, which, 0, value & 0xe7);
		break;
	case 6:
	case 7:
	case 8:
		both_write(port, which, 0, 0x20);
		break;
	default:
		assert_int_equal(in(port + a0), ref_read(&ref_chip[which], a0));
	}
}

static void agrees_with_the_second_model(void **state)
{
	u64 seed = 20;
	unsigned delivered = 0;

	(void)state;
	memset(ref_chip, 0, sizeof(ref_chip));
	ref_chip[0].is_master = true;
	ref_rotate(&ref_chip[0], 7);
	ref_rotate(&ref_chip[1], 7);
	for (unsigned step = 0; step < 300000; step++) {
		u64 r = fake_vm_random(&seed);
		int line = r >> 16 & 15;

		if (r % 16 < 6) {
			bool level = r >> 20 & 1;

			vm_irq_line(vm, line, level);
			if (line != 2)
				ref_input(&ref_chip[line >> 3], line & 7, level);
		} else if (r % 16 < 9) {
			/* Also when nothing is pending: spurious. */
			if (vm->extint_pending)
				delivered++;
			if (vm->extint_pending || (r >> 20) % 16 == 0)
				assert_int_equal(fake_vm_inta(vm), ref_inta());
		} else {
			random_command(r);
		}
		ref_settle();
		assert_int_equal(vm->extint_pending, ref_resolve(&ref_chip[0]) >= 0);
	}
	assert_true(delivered > 1000);
}

/* What a person is told: both chips as they are, within the room that there is. */
static void describes_itself(void **state)
{
	char text[512], little[40];

	(void)state;
	init_both(1);
	out(0x21, 0xfd);
	raise_line(1);
	dev->type->describe(dev, text, sizeof(text));
	assert_non_null(strstr(text, "  IR0-7 lines 02 requests 02 in service 00 masked fd level 00 "));
	assert_non_null(strstr(text, "INT 1\n  IR8-15 lines 00 requests 00 in service 00 "));
	memset(little, 'x', sizeof(little));
	dev->type->describe(dev, little, sizeof(little) - 1);
	assert_int_equal(little[sizeof(little) - 1], 'x');
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(describes_itself),
		TEST(reset_state),
		TEST(words_reach_both_ports),
		TEST(delivers_and_nests),
		TEST(edge_needs_a_new_rise),
		TEST(level_asks_while_high),
		TEST(elcr_keeps_the_edge_lines),
		TEST(cascade),
		TEST(poll_of_the_slave_withdraws_ir2),
		TEST(single_mode_has_no_slave),
		TEST(initialisation_is_silent_until_its_end),
		TEST(automatic_eoi_and_its_rotation),
		TEST(automatic_eoi_on_the_slave_asks_again),
		TEST(rotation_and_set_priority),
		TEST(special_mask_mode),
		TEST(special_fully_nested_mode),
		TEST(poll_acknowledges),
		TEST(mask_hides_but_keeps),
		TEST(other_lines_are_ignored),
		TEST(ports_taken),
		TEST(saves_and_refuses),
		TEST(storms),
		TEST(agrees_with_the_second_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
