/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule: the debug-exit port ends the VM with the value written, in any width; the
 * words `width=` (1, 2, 4) and `code=` choose. Without `debug-exit` the port
 * is nobody's and the program goes on.
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/test.h"
#include "vmm/abi.h"

void test_main(void)
{
	u32 code = (u32)boot_number("code", 0);

	console_drain();
	switch (boot_number("width", 4)) {
	case 1:
		outb(ABI_PORT_DEBUG_EXIT, (u8)code);
		break;
	case 2:
		outw(ABI_PORT_DEBUG_EXIT, (u16)code);
		break;
	default:
		outl(ABI_PORT_DEBUG_EXIT, code);
	}
	print("no debug-exit port\n");
	test_check("nobody", inb(ABI_PORT_DEBUG_EXIT) == 0xff, "it reads as a device");
}
