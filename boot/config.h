/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the words of GRUB's module2 lines to the configuration of VMs:
 *
 *   vm=NAME name=NAME kind=KIND cpus=N mem=SIZE cpu=LIST weight=N
 *   halt=exit|pass on-reboot=restart|stop on-crash=stop|restart debug-exit
 *   pci-testdev -- guest's words
 *
 * Modules with one vm= make one VM; no vm= at all makes one VM of everything.
 */
#pragma once

#include "boot/mb2.h"
#include "vmm/machine.h"

struct vm_config {
	struct machine_config machine; /* all but the clock */
	bool refused; /* a word was bad or asks for too much: must not start */
};

/* Not to be copied: vms point into modules. */
struct config {
	struct vm_config vms[BOOT_MODULES_MAX]; /* in the order of their first module */
	unsigned vm_count;
	struct vm_module modules[BOOT_MODULES_MAX];
	unsigned module_count;
};

/*
 * Reads the words of every module in info. Each mistake is logged in a line
 * that names the module by number, size, vm= and name=, the word, and what is
 * allowed, and marks its VM as refused. No module at all is no mistake.
 * Command lines point into info.
 */
void config_parse(const struct boot_info *info, struct config *out);
