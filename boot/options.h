/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trivet's own options, the words of the `multiboot2` line:
 *
 *   console=com1..com4|PORT|pci|spcr[,BAUD]  console=fb  console=none
 *   log=error|warn|info|debug       exit=poweroff  exit=port:HEX
 *   no=FEATURE,...  smt=on|off      cpus=N         selftest=NAME[:ARGUMENT]
 *   mitigations=auto|off|force      pci=quiet|leave
 *
 * console= may stand more than once (com1 and fb); the first one replaces the
 * default, which is com1 at 115200 baud and the screen where there is one.
 */
#pragma once

#include "arch/lib/log.h"
#include "arch/mitigate.h"

enum option_exit {
	EXIT_STAY,     /* say that all VMs have ended, and wait */
	EXIT_POWEROFF, /* by ACPI */
	EXIT_PORT,     /* "Shutdown" to options.exit_port: an emulator's switch */
};

enum option_serial {
	SERIAL_NONE,
	SERIAL_PORT, /* at options.serial_port */
	SERIAL_PCI,  /* the first on the PCI */
	SERIAL_SPCR, /* which the ACPI SPCR table names */
};

struct options {
	enum option_serial serial;
	u16 serial_port; /* I/O port */
	u32 serial_baud; /* 115200 / N; 0: not said */
	bool screen;	 /* use the framebuffer or VGA text */
	bool console_given;
	enum log_level log;
	enum option_exit exit;
	u16 exit_port;
	u32 no;	  /* BIT(index of a feature in options_features) */
	bool smt; /* second threads of a core run VMs too */
	bool pci_leave; /* devices go on as the firmware left them */
	enum mitigate_mode mitigations;
	u32 cpus; /* most physical cores to start, 0 for all */
	char selftest[64]; /* "": none */
};

/* Processor features that no= leaves unused, by their names; NULL ends them. */
extern const char *const options_features[];

/* Was a feature named in no=? */
bool options_no(const struct options *options, const char *feature);

/*
 * Fills *out with the defaults, then with what the line says. A word that is
 * unknown or has a bad value is reported with what is allowed, and passed
 * over.
 */
void options_parse(const char *line, struct options *out);
