/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks on Trivet itself, gathered by the linker: the shipped image has none, the
 * test image looks at rare points, and the paranoid build at every one. A check gives
 * what is wrong in words, or NULL; it must not change what it looks at.
 */
#pragma once

#include "arch/lib/section.h"
#include "arch/lib/types.h"

enum audit_point {
	/* rare: looked at in each image that has checks for them */
	AUDIT_BOOTED,	/* NULL; the cores are up, the low mappings gone, no VM yet */
	AUDIT_VM_START, /* struct vm *; its space is loaded, no vCPU of it has run since reset */
	/* paranoid build only */
	AUDIT_ENTRY,	/* struct virt_vcpu *; all is ready for the entry */
	AUDIT_EXIT,	/* struct virt_vcpu *; first of all behind an exit */
	AUDIT_LOCK,	/* struct spinlock *, before it is waited for */
	AUDIT_UNLOCK,	/* struct spinlock *, before it is given back */
};

struct audit {
	enum audit_point point;
	const char *(*check)(const void *what);
};

/* Stands once, at the end of a file; name: of the entry. */
#define DEFINE_AUDIT(name, ...)									  \
	static const struct audit name = {__VA_ARGS__};						  \
	SECTION_REGISTER(audits, name)

/* Runs the checks of a point: the first complaint, or NULL. */
const char *audit_run(enum audit_point point, const void *what);

/* At a rare point: a complaint is a panic. */
void audit(enum audit_point point, const void *what);

/* At points on the paths that guests wait for. */
#ifdef PARANOID
#define AUDIT_HOT(point, what) audit_run(point, what)
#else
#define AUDIT_HOT(point, what) ((const char *)NULL)
#endif
