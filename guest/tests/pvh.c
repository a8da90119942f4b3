/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: a PVH kernel is entered in flat 32-bit mode, paging off, with EBX = its start
 * info: magic, command line, modules, memory map. Xen, "x86/HVM direct boot ABI".
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"

struct start_info {
	u32 magic, version, flags, module_count;
	u64 modules, cmdline, rsdp, map;
	u32 map_count, reserved;
};

struct map_entry {
	u64 base, size;
	u32 type, reserved;
};

struct module_entry {
	u64 base, size, cmdline, reserved;
};

void test_main(void)
{
	volatile struct start_info *info = phys(boot.info_address);
	volatile struct map_entry *map = phys((unsigned long)info->map);
	volatile struct module_entry *modules = phys((unsigned long)info->modules);
	u64 ram = 0;

	test_equal("magic", info->magic, 0x336ec578);
	test_equal("version", info->version, 1);
	test_equal("paging-off", cr0_read() & (CR0_PG | CR0_PE), CR0_PE);
	print("words [%s]\n", (const char *)phys((unsigned long)info->cmdline));
	for (u32 i = 0; i < info->map_count; i++) {
		print("%010llx %010llx %u\n", map[i].base, map[i].size, map[i].type);
		ram += map[i].type == 1 ? map[i].size : 0;
	}
	for (u32 i = 0; i < info->module_count; i++)
		print("module %u, %llu bytes at %llx\n", i + 1, modules[i].size, modules[i].base);
	CHECK("map-has-ram", ram > 8 << 20);
}
