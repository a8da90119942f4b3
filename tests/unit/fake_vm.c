/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake VM: see fake_vm.h. Records what devices do to their VM; nothing
 * here decides anything that a test is about.
 */
#include "tests/unit/fake_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

SECTION_DECLARE(struct vdev_type, vdev_types);

/* So that the section exists in programs without any device. */
DEFINE_VDEV(fake_vdev, .name = "fake");

/* --- life ------------------------------------------------------------- */

struct vm *fake_vm_create(void)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	assert_non_null(vm);
	bus_init(&vm->ports, BUS_PORT_TOP);
	bus_init(&vm->mmio, BUS_MMIO_TOP);
	vm->hz = 1000000000;
	vm->ram_below_4g = MIB(64);
	for (unsigned i = 0; i < FAKE_CONSOLES; i++)
		vm->console[i].room = SIZE_MAX;
	return vm;
}

void fake_vm_destroy(struct vm *vm)
{
	struct vdev *dev, *next;

	for (dev = vm->devices; dev; dev = next) {
		next = dev->next;
		free(dev->state);
		free(dev);
	}
	free(vm);
}

static const struct vdev_type *find_type(const char *name)
{
	const struct vdev_type *const *it;

	SECTION_FOR_EACH(it, vdev_types) {
		if (strcmp((*it)->name, name) == 0)
			return *it;
	}
	return NULL;
}

int fake_vm_try_device(struct vm *vm, const char *name, struct vdev_args args, struct vdev **out)
{
	const struct vdev_type *type = find_type(name);
	struct vdev *dev;
	int err;

	*out = NULL;
	if (!type)
		return -ENOENT;
	dev = calloc(1, sizeof(*dev));
	assert_non_null(dev);
	dev->type = type;
	dev->vm = vm;
	dev->args = args;
	dev->state = calloc(1, type->state_size ? type->state_size : 1);
	assert_non_null(dev->state);
	/* Listed even when create fails: claims of it may stay behind in the bus. */
	dev->next = vm->devices;
	vm->devices = dev;
	err = vdev_init(dev);
	if (!err)
		*out = dev;
	return err;
}

struct vdev *fake_vm_create_device(struct vm *vm, const char *name, struct vdev_args args)
{
	struct vdev *dev;

	assert_int_equal(fake_vm_try_device(vm, name, args, &dev), 0);
	return dev;
}

struct vdev *vm_device(struct vm *vm, const char *type, unsigned index)
{
	struct vdev *found = NULL;
	unsigned newer = 0;

	for (struct vdev *dev = vm->devices; dev; dev = dev->next)
		newer += !strcmp(dev->type->name, type);
	for (struct vdev *dev = vm->devices; dev; dev = dev->next)
		if (!strcmp(dev->type->name, type) && --newer == index)
			found = dev;
	return found;
}

/* --- buses ------------------------------------------------------------ */

int bus_claim_ports(struct vdev *dev, u16 first, u32 count, const struct bus_ops *ops)
{
	return bus_claim(&dev->vm->ports, first, count, dev, ops);
}

int bus_claim_mmio(struct vdev *dev, gpa_t first, u64 size, const struct bus_ops *ops)
{
	return bus_claim(&dev->vm->mmio, first.v, size, dev, ops);
}

void fake_vm_outb(struct vm *vm, u16 port, u8 value)
{
	bus_write(&vm->ports, port, 1, value);
}

void fake_vm_outw(struct vm *vm, u16 port, u16 value)
{
	bus_write(&vm->ports, port, 2, value);
}

void fake_vm_outl(struct vm *vm, u16 port, u32 value)
{
	bus_write(&vm->ports, port, 4, value);
}

u8 fake_vm_inb(struct vm *vm, u16 port)
{
	return (u8)bus_read(&vm->ports, port, 1, NULL);
}

u16 fake_vm_inw(struct vm *vm, u16 port)
{
	return (u16)bus_read(&vm->ports, port, 2, NULL);
}

u32 fake_vm_inl(struct vm *vm, u16 port)
{
	return (u32)bus_read(&vm->ports, port, 4, NULL);
}

/* --- clock and timers: a list sorted by deadline ------------------------ */

u64 vm_now(const struct vm *vm)
{
	return vm->now;
}

u64 vm_clock_hz(const struct vm *vm)
{
	return vm->hz;
}

u64 vm_boot_epoch(const struct vm *vm)
{
	return vm->boot_epoch;
}

u64 vm_ram_below_4g(const struct vm *vm)
{
	return vm->ram_below_4g;
}

u64 vm_ram_above_4g(const struct vm *vm)
{
	return vm->ram_above_4g;
}

void vtimer_init(struct vtimer *timer, struct vm *vm, void (*fn)(void *arg), void *arg)
{
	timer->vm = vm;
	timer->fn = fn;
	timer->arg = arg;
}

void vtimer_cancel(struct vtimer *timer)
{
	struct vtimer **link = &timer->vm->timers;

	if (!timer->armed)
		return;
	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->next = NULL;
	timer->armed = false;
}

void vtimer_arm(struct vtimer *timer, u64 deadline)
{
	struct vtimer **link = &timer->vm->timers;

	vtimer_cancel(timer);
	timer->deadline = deadline;
	timer->armed = true;
	while (*link && (*link)->deadline <= deadline)
		link = &(*link)->next;
	timer->next = *link;
	*link = timer;
}

/*
 * A deadline in the past fires here at the clock of the call, not inside
 * vtimer_arm: a device must not be called back from within its own call.
 */
void fake_vm_advance(struct vm *vm, u64 ticks)
{
	u64 end = vm->now + ticks;

	while (vm->timers && vm->timers->deadline <= end) {
		struct vtimer *timer = vm->timers;

		vtimer_cancel(timer);
		vm->now = MAX(vm->now, timer->deadline);
		vm->timers_fired++;
		timer->fn(timer->arg);
	}
	vm->now = end;
}

/* --- interrupts ------------------------------------------------------- */

bool vm_deliver(struct vm *vm, const struct apic_msg *msg)
{
	if (vm->msg_count < FAKE_MSGS)
		vm->msg[vm->msg_count] = *msg;
	vm->msg_count++;
	return !vm->msgs_lost;
}

int vm_signal_msi(struct vm *vm, u64 address, u32 data)
{
	if (vm->msi_count < FAKE_MSGS) {
		vm->msi[vm->msi_count].address = address;
		vm->msi[vm->msi_count].data = data;
	}
	vm->msi_count++;
	return 0;
}

void vm_set_eoi_sink(struct vm *vm, const struct eoi_sink *sink)
{
	vm->eoi_sink = *sink;
}

void vm_expect_nmi(struct vm *vm)
{
	vm->nmi_expected = true;
}

void vm_set_power_button(struct vm *vm, const struct power_button *button)
{
	vm->power_button = *button;
}

void vm_request_poweroff(struct vm *vm)
{
	vm->poweroffs++;
}

void vm_irq_line(struct vm *vm, unsigned line, bool level)
{
	struct irq_sink *sink;

	assert_true(line < FAKE_LINES);
	if (level && !vm->level[line])
		vm->edges[line]++;
	vm->level[line] = level;
	for (sink = vm->sinks; sink; sink = sink->next)
		sink->set(sink->dev, line, level);
}

void vm_add_irq_sink(struct vm *vm, struct irq_sink *sink)
{
	sink->next = vm->sinks;
	vm->sinks = sink;
}

void vm_set_extint_source(struct vm *vm, const struct extint_source *source)
{
	vm->extint = source;
}

void vm_extint_changed(struct vm *vm, bool pending)
{
	vm->extint_pending = pending;
	vm->extint_changes++;
}

u8 fake_vm_inta(struct vm *vm)
{
	assert_non_null(vm->extint);
	return vm->extint->ack(vm->extint->dev);
}

/* --- requests --------------------------------------------------------- */

void vm_request_reset(struct vm *vm, const char *how)
{
	assert_non_null(how);
	vm->resets++;
	vm->reset_how = how;
}

void vm_request_exit(struct vm *vm, u32 code)
{
	vm->exits++;
	vm->exit_code = code;
}

/* --- console ---------------------------------------------------------- */

static struct fake_console *console_of(struct vm *vm, unsigned index)
{
	assert_true(index < FAKE_CONSOLES);
	return &vm->console[index];
}

void console_attach(struct vm *vm, unsigned index, struct vdev *dev,
		    const struct console_port_ops *ops)
{
	struct fake_console *con = console_of(vm, index);

	con->dev = dev;
	con->ops = ops;
}

bool console_put(struct vm *vm, unsigned index, u8 byte)
{
	struct fake_console *con = console_of(vm, index);

	if (con->room == 0)
		return false;
	if (con->room != SIZE_MAX)
		con->room--;
	if (con->tx_count < FAKE_RING)
		con->tx[con->tx_count] = byte;
	con->tx_count++;
	return true;
}

int console_get(struct vm *vm, unsigned index)
{
	struct fake_console *con = console_of(vm, index);
	u8 byte;

	if (con->rx_count == 0)
		return -1;
	byte = con->rx[con->rx_head];
	con->rx_head = (con->rx_head + 1) % FAKE_RING;
	con->rx_count--;
	return byte;
}

void console_debug_put(struct vm *vm, u8 byte)
{
	if (vm->debug_count < FAKE_RING)
		vm->debug[vm->debug_count] = byte;
	vm->debug_count++;
}

void fake_vm_type(struct vm *vm, unsigned index, const void *bytes, size_t count)
{
	struct fake_console *con = console_of(vm, index);

	for (size_t i = 0; i < count && con->rx_count < FAKE_RING; i++) {
		con->rx[(con->rx_head + con->rx_count) % FAKE_RING] = ((const u8 *)bytes)[i];
		con->rx_count++;
	}
	if (con->ops)
		con->ops->rx_ready(con->dev);
}

void fake_vm_set_room(struct vm *vm, unsigned index, size_t room)
{
	struct fake_console *con = console_of(vm, index);

	con->room = room;
	if (con->ops && room)
		con->ops->tx_ready(con->dev);
}

void fake_vm_expect_output(struct vm *vm, unsigned index, const char *text)
{
	struct fake_console *con = console_of(vm, index);

	assert_int_equal(con->tx_count, strlen(text));
	assert_memory_equal(con->tx, text, strlen(text));
	con->tx_count = 0;
}

/* --- save and restore --------------------------------------------------- */

/* Saves into memory of exactly save_size bytes, so that ASan sees any excess. */
static u8 *save(const struct vdev *dev, size_t *size)
{
	u8 *blob = calloc(1, dev->type->save_size + 1);

	assert_non_null(blob);
	blob = realloc(blob, dev->type->save_size ? dev->type->save_size : 1);
	assert_non_null(blob);
	*size = vdev_save(dev, blob);
	assert_int_equal(*size, dev->type->save_size);
	return blob;
}

static void assert_saves_as(const struct vdev *dev, const u8 *blob, size_t size)
{
	size_t now_size;
	u8 *now = save(dev, &now_size);

	assert_int_equal(now_size, size);
	assert_memory_equal(now, blob, size);
	free(now);
}

void fake_vm_check_save(struct vm *vm, struct vdev *dev)
{
	struct vm *other = fake_vm_create();
	struct vdev *copy;
	size_t size;
	u8 *blob = save(dev, &size), *longer;

	other->now = vm->now;
	other->hz = vm->hz;
	other->boot_epoch = vm->boot_epoch;
	other->ram_below_4g = vm->ram_below_4g;
	other->ram_above_4g = vm->ram_above_4g;
	copy = fake_vm_create_device(other, dev->type->name, dev->args);
	assert_int_equal(vdev_restore(copy, blob, size), 0);
	assert_saves_as(copy, blob, size);

	longer = calloc(1, size + 1);
	assert_non_null(longer);
	memcpy(longer, blob, size);
	assert_int_equal(vdev_restore(dev, longer, size + 1), -EINVAL);
	if (size > 0)
		assert_int_equal(vdev_restore(dev, longer, size - 1), -EINVAL);
	assert_saves_as(dev, blob, size);

	free(longer);
	free(blob);
	fake_vm_destroy(other);
}

/* --- storm ------------------------------------------------------------ */

u64 fake_vm_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static void storm_restore(struct vm *vm, u64 *seed)
{
	for (struct vdev *dev = vm->devices; dev; dev = dev->next) {
		size_t size;
		u8 *blob, *before;

		blob = save(dev, &size);
		before = malloc(size + 1);
		assert_non_null(before);
		memcpy(before, blob, size);
		if (size > 0) {
			u64 r = fake_vm_random(seed);

			blob[(r >> 8) % size] ^= (u8)(1u << (r & 7));
		}
		if (vdev_restore(dev, blob, size) == 0)
			assert_saves_as(dev, blob, size);
		else
			assert_saves_as(dev, before, size);
		free(before);
		free(blob);
	}
}

static void storm_disturb(struct vm *vm, u64 *seed)
{
	u64 r = fake_vm_random(seed);
	u8 bytes[20];

	switch ((r >> 32) % 8) {
	case 0:
		for (unsigned i = 0; i < sizeof(bytes); i++)
			bytes[i] = (u8)(r >> (i % 8));
		fake_vm_type(vm, (r >> 8) % FAKE_CONSOLES, bytes, r % sizeof(bytes));
		break;
	case 1:
		fake_vm_set_room(vm, (r >> 8) % FAKE_CONSOLES, r % 40);
		break;
	case 2:
		if ((r >> 8) % 16 == 0) {
			for (struct vdev *dev = vm->devices; dev; dev = dev->next)
				vdev_reset(dev);
		}
		break;
	case 3:
		if ((r >> 8) % 16 == 0)
			storm_restore(vm, seed);
		break;
	case 4:
		if (vm->extint && vm->extint_pending)
			fake_vm_inta(vm);
		break;
	default: /* steps of all magnitudes, most below 1 ms, some up to 67 ms */
		fake_vm_advance(vm, (r & ((r >> 26) % 64 ? 0xfffff : 0x3ffffff)) >> ((r >> 36) % 20));
	}
}

void fake_vm_storm(struct vm *vm, u64 seed, unsigned count)
{
	seed |= 1;
	assert_true(vm->ports.count > 0);
	for (unsigned i = 0; i < count; i++) {
		u64 r = fake_vm_random(&seed);
		const struct bus_range *range = &vm->ports.range[(r >> 48) % vm->ports.count];
		u64 span = range->last - range->first + 7;
		u16 port = (u16)(range->first - 3 + (r >> 32) % span);
		unsigned size = 1u << ((r >> 24) % 8 < 5 ? 0 : (r >> 24) % 8 - 5);

		if (r & BIT(31))
			bus_write(&vm->ports, port, size, fake_vm_random(&seed));
		else
			assert_int_equal(bus_read(&vm->ports, port, size, NULL) & ~size_mask(size), 0);
		if ((r & 0x7) == 0)
			storm_disturb(vm, &seed);
	}
}
