/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: what stands behind `--` reaches the guest byte for byte, behind the name as
 * first word; so do the command lines of further modules. Multiboot specification, "Boot
 * information format".
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/test.h"

void test_main(void)
{
	print("words [%s]\n", boot.cmdline);
	for (unsigned i = 0; i < boot.module_count; i++)
		print("module %u, %u bytes [%s]\n", i + 1,
		      boot.module[i].end - boot.module[i].first, boot.module[i].cmdline);
	test_equal("magic", boot.magic, BOOT_MAGIC);
}
