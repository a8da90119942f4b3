/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the words of GRUB's module2 lines to the configuration of VMs:
 *
 *   vm=NAME name=NAME kind=KIND cpus=N mem=SIZE cpu=LIST weight=N
 *   on-reboot=restart|stop on-crash=stop|restart debug-exit -- guest's words
 *
 * Modules with one vm= make one VM; no vm= at all makes one VM of everything.
 */
#pragma once

#include "boot/mb2.h"
#include "boot/words.h"
#include "vmm/load.h"

enum config_on { ON_DEFAULT, ON_RESTART, ON_STOP };

struct vm_config {
	char vm[VM_NAME_MAX];	/* vm=, or "guest" */
	char name[VM_NAME_MAX]; /* the first name= among its modules, or "guest" */
	/* 0 where no word says otherwise: */
	u64 mem;		/* bytes, a multiple of the page size; 0: all there is */
	u64 cpus;		/* 0: all there are */
	u64 allowed_cpus;	/* BIT(physical CPU) of those that cpu= names; 0: any */
	u64 weight;		/* share of CPU time, 1 to 10,000; 0: as others */
	u64 on_reboot, on_crash; /* enum config_on */
	u64 debug_exit;
	bool refused; /* a word was bad or asks for too much: must not start */
	/* In the order of the lines; module->number - 1 indexes boot_info.modules, mem is NULL. */
	struct vm_module *modules;
	unsigned module_count;
};

/* Not to be copied: vms point into modules. */
struct config {
	struct vm_config vms[BOOT_MODULES_MAX]; /* in the order of their first module */
	unsigned vm_count;
	struct vm_module modules[BOOT_MODULES_MAX];
	unsigned module_count;
};

/*
 * Reads the words of every module in info. Each mistake is reported in a line
 * that names the module by number, size, vm= and name=, the word, and what is
 * allowed, and marks its VM as refused. No module at all is no mistake.
 * Command lines point into info. Returns the number of mistakes.
 */
unsigned config_parse(const struct boot_info *info, struct config *out,
		      struct words_report *report);
