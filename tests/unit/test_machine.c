/* SPDX-License-Identifier: BSD-2-Clause */
/* SOURCES: vmm/lapic.c vmm/lapic_vector.c vmm/deliver.c */
/* SOURCES: vmm/machine.c vmm/acpi.c vmm/load.c vmm/load_flat.c vmm/load_linux.c vmm/load_multiboot.c vmm/load_pvh.c vmm/elf.c vmm/run.c vmm/exit.c vmm/emulator.c vmm/emulate.c vmm/decode.c vmm/gwalk.c vmm/inject.c vmm/cr.c vmm/msr.c vmm/pv.c vmm/cpuid.c vmm/vcpu.c vmm/serve.c vmm/vcpu_state.c vmm/vcpu_debug.c vmm/vm.c vmm/bus.c vmm/vdev.c vmm/vdev_life.c vmm/vtimer.c vmm/pcpu.c vmm/sched.c vmm/job.c tests/unit/fake_context.c vmm/region.c vmm/mem.c vmm/gmem.c vmm/console.c vmm/console_input.c vmm/console_queue.c drivers/vacpi.c drivers/vdebug.c drivers/vi8042.c drivers/vioapic.c drivers/vpci.c drivers/vpci_host.c drivers/vpic.c drivers/vpit.c drivers/vreset.c drivers/vrtc.c drivers/vuart.c arch/virt.c arch/lib/audit.c arch/lib/format.c tests/unit/fake_virt.c tests/unit/fake_host.c */
/*
 * The whole machine on the host: built from modules with each allocation
 * failing in turn, and memory as the map draws it, with the real devices. What
 * becomes of it then is in test_life.c.
 */
#include "vmm/machine.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_virt.h"
#include "vmm/guestmap.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"

static const char image[600] = "a boot sector, and some more";
static struct vm_module modules[2];
static struct machine_config config;
static struct vm *vm;

static int setup(void **state)
{
	static const struct console_backend none;

	(void)state;
	assert_non_null(console_open("web")); /* outlives its VM, so is not counted */
	fake_host_init(MIB(64));
	fake_virt_init();
	console_set_backend(&none);
	modules[0] = (struct vm_module){
		.number = 1, .start = fake_host_module(image, sizeof(image)),
		.size = sizeof(image), .kind = MODULE_FLAT, .cmdline = ""};
	config = (struct machine_config){
		.vm = "web",
		.name = "guest",
		.mem = MIB(4),
		.modules = modules,
		.module_count = 1,
		.epoch = 1700000000,
		.epoch_tsc = rdtsc(),
	};
	return 0;
}

static void all_given_back(void)
{
	assert_int_equal(fake_host.pages_out, 0);
	assert_int_equal(fake_host.frames_out, 0);
	assert_int_equal(fake_host.mapped_out, 0);
	assert_int_equal(fake_host.unscrubbed, 0);
	assert_int_equal(fake_host.spaces, 0);
	assert_int_equal(fake_virt_vms, 0);
	assert_int_equal(fake_virt_vcpus, 0);
	assert_null(fake_host.entered);
}

static void gone(void)
{
	vm_destroy(vm);
	all_given_back();
}

static void refused(int error, const char *message)
{
	vm = NULL;
	fake_host.log[0] = 0;
	assert_int_equal(machine_create(&config, &vm), error);
	assert_null(vm);
	if (!strstr(fake_host.log, message) || !fake_host_logged("E [web] "))
		fail_msg("'%s' lacks '%s'", fake_host.log, message);
	all_given_back();
}

static void each_allocation_failing(void **state)
{
	unsigned n = 0, failures = 0;

	config.debug_exit = true;
	do {
		int error;

		setup(state);
		fake_host.fail_at = ++n;
		error = machine_create(&config, &vm);
		if (error == 0) {
			gone(); /* the last one, or a large piece made up for by smaller ones */
			continue;
		}
		failures++;
		assert_int_equal(error, -ENOMEM);
		if (!fake_host_logged("E [web] "))
			fail_msg("allocation %u failed without a message", n);
		all_given_back();
	} while (fake_host.fail_at == 0);
	assert_true(failures > 20);
}

static void memory_as_the_map_draws_it(void **state)
{
	static const struct {
		u64 first, last;
		unsigned rights; /* 0: nothing there */
	} rows[] = {
		{0, 0x9ffff, MAP_READ | MAP_WRITE | MAP_EXEC},
		{0xa0000, 0xbffff, 0},
		{0xc0000, 0xdffff, MAP_READ | MAP_EXEC},
		{0xe0000, 0xeffff, MAP_READ | MAP_WRITE | MAP_EXEC}, /* ACPI's tables */
		{0xf0000, 0xfffff, MAP_READ | MAP_EXEC},
		{0x100000, MIB(4) - 1, MAP_READ | MAP_WRITE | MAP_EXEC},
		{MIB(4), MIB(5), 0},
		{GUEST_LAPIC_BASE, GUEST_LAPIC_BASE, 0},
		{GIB(4), GIB(4), 0},
	};

	(void)state;
	assert_int_equal(machine_create(&config, &vm), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (u64 gpa = rows[i].first; gpa <= rows[i].last; gpa += PAGE_SIZE) {
			const struct fake_virt_map *m = fake_virt_find(vm->virt, gpa);

			assert_int_equal(m ? m->rights : 0, rows[i].rights);
			assert_true(!m || m->type == MEMTYPE_RAM);
		}
	assert_int_equal(vm->ram_below_4g, MIB(4));
	assert_int_equal(vm->ram_above_4g, 0);
	assert_string_equal(vm->name, "web");
	assert_string_equal(vm->guest_name, "guest");
	assert_int_equal(vm_boot_epoch(vm), 1700000000);
	assert_true(fake_host_logged("4 MiB, 1 vCPU"));
	gone();
}

static void memory_above_the_hole(void **state)
{
	(void)state;
	fake_host_init(GIB(5));
	config.mem = GIB(3) + MIB(512);
	assert_int_equal(machine_create(&config, &vm), 0);
	assert_int_equal(vm->ram_below_4g, GUEST_RAM_LOW_MAX);
	assert_int_equal(vm->ram_above_4g, MIB(512));
	assert_null(fake_virt_find(vm->virt, GUEST_RAM_LOW_MAX));
	assert_non_null(fake_virt_find(vm->virt, GUEST_RAM_LOW_MAX - 1));
	assert_null(fake_virt_find(vm->virt, GUEST_RAM_4G - 1));
	assert_non_null(fake_virt_find(vm->virt, GUEST_RAM_4G));
	assert_non_null(fake_virt_find(vm->virt, GUEST_RAM_4G + MIB(512) - 1));
	assert_null(fake_virt_find(vm->virt, GUEST_RAM_4G + MIB(512)));
	/* without its regions, whose scrubbing would touch three and a half GiB */
	while (vm->regions.count)
		vm_set_memory_region(vm, vm->regions.region[0].slot, 0, GPA(0), 0, NULL, 0);
	gone();
}

static void all_memory_leaves_a_reserve(void **state)
{
	(void)state;
	config.mem = 0;
	assert_int_equal(machine_create(&config, &vm), 0);
	assert_in_range(vm->ram_below_4g, MIB(48), MIB(60));
	assert_true(IS_ALIGNED(vm->ram_below_4g, MIB(2)));
	assert_true(frames_available() >= MIB(4));
	gone();
	fake_host_init(MIB(4));
	refused(-EINVAL, "mem=");
}

static void too_much_memory(void **state)
{
	(void)state;
	config.mem = MIB(65);
	refused(-ENOMEM, "no room for 65 MiB of memory: 58 MiB are free");
}

static void bad_modules(void **state)
{
	(void)state;
	modules[0].kind = MODULE_DISK;
	refused(-ENOEXEC, "");
	modules[0].kind = MODULE_AUTO; /* nobody knows these bytes */
	refused(-ENOEXEC, "module 1");
	config.module_count = 0;
	refused(-ENOEXEC, "");
	config.module_count = VM_MODULES_MAX + 1;
	refused(-E2BIG, "modules");
}

static void bytes_behind_a_module_are_cleared(void **state)
{
	const u8 *page = fake_host_ram(modules[0].start.v);

	(void)state;
	assert_int_equal(page[sizeof(image)], 0x5a);
	assert_int_equal(machine_create(&config, &vm), 0);
	assert_memory_equal(page, image, sizeof(image));
	for (unsigned i = sizeof(image); i < PAGE_SIZE; i++)
		assert_int_equal(page[i], 0);
	assert_int_equal(page[PAGE_SIZE], 0x5a); /* not ours */
	/* the guest may not write its modules, and sees none of them in its RAM map */
	assert_non_null(fake_host_at(&vm->space, MODULE_WINDOW_BASE + modules[0].start.v, false));
	assert_null(fake_host_at(&vm->space, MODULE_WINDOW_BASE + modules[0].start.v, true));
	gone();
}

/* The devices of 8-bit ports are found by the port itself; what is wider is not. */
static void low_ports_are_listed(void **state)
{
	static const struct {
		u16 port;
		const char *type;
	} ports[] = {{0x20, "8259"}, {0x21, "8259"}, {0xa1, "8259"}, {0x40, "8254"}, {0x43, "8254"},
		     {0x61, "8254"}, {0x60, "i8042"}, {0x64, "i8042"}, {0x70, "rtc"}, {0x71, "rtc"},
		     {0x92, "port92"}, {0x3f8, "16550"}, {0x3ff, "16550"}};

	(void)state;
	assert_int_equal(machine_create(&config, &vm), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		const struct bus_range *range;

		if (!vm->low_ports[ports[i].port])
			fail_msg("port %xh is not listed", ports[i].port);
		range = &vm->ports.range[vm->low_ports[ports[i].port] - 1];
		assert_string_equal(range->dev->type->name, ports[i].type);
	}
	for (unsigned port = 0; port < VM_LOW_PORTS; port++) {
		const struct bus_range *range;

		if (!vm->low_ports[port])
			continue;
		assert_true(vm->low_ports[port] <= vm->ports.count);
		range = &vm->ports.range[vm->low_ports[port] - 1];
		assert_true(range->first <= port && port <= range->last);
		assert_true(range->ops->in && range->ops->out);
	}
	assert_int_equal(vm->low_ports[0x80], 0); /* nobody's */
	gone();
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_allocation_failing),
		TEST(memory_as_the_map_draws_it),
		TEST(memory_above_the_hole),
		TEST(all_memory_leaves_a_reserve),
		TEST(too_much_memory),
		TEST(bad_modules),
		TEST(bytes_behind_a_module_are_cleared),
		TEST(low_ports_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
