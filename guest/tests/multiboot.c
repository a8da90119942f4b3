/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the multiboot1 information block lies above 64 KiB under Trivet, has the flags
 * 24Fh and a memory map that agrees with mem_lower and mem_upper; the machine is in
 * flat 32-bit mode, paging and interrupts off. Multiboot specification, "Machine
 * state", "Boot information format".
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"

#define FLAGS 0x24f

void test_main(void)
{
	u64 above = 0;
	bool low = false;

	test_equal("magic", boot.magic, BOOT_MAGIC);
	/* GRUB sets the bit of the modules only where there are some. */
	test_equal("flags", boot.flags & FLAGS,
		   cpu_on_trivet() || boot.module_count ? FLAGS : FLAGS & ~8);
	CHECK("info-above-64k", boot.info_address >= 0x10000);
	test_equal("paging-off", cr0_read() & (CR0_PG | CR0_PE), CR0_PE);
	CHECK("loader-name", boot.loader[0]);
	for (unsigned i = 0; i < boot.range_count; i++) {
		struct boot_range *r = &boot.range[i];

		print("%010llx %010llx %u\n", r->base, r->size, r->type);
		if (r->type == 1 && r->base == 0x100000)
			above = r->size;
		low |= r->type == 1 && r->base == 0 && r->size >= boot.mem_lower * 1024ull;
	}
	CHECK("map-has-low-ram", low);
	test_equal("map-agrees-with-mem-upper", above >> 10, boot.mem_upper);
	test_equal("ram-top-holds", (*(volatile u32 *)phys(0x100000 + (u32)above - 4) = 0x5a5aa5a5,
				     *(volatile u32 *)phys(0x100000 + (u32)above - 4)), 0x5a5aa5a5);
}
