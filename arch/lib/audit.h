/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks on Trivet itself, gathered by the linker: the shipped image has none, the
 * test image looks at rare points, and the paranoid build at every one. A check gives
 * what is wrong in words, or NULL; it must not change what it looks at.
 */
#pragma once

#include "arch/lib/log.h"
#include "arch/lib/section.h"

enum audit_point {
	/* rare: looked at in each image that has checks for them */
	AUDIT_BOOTED,	/* NULL; the cores are up, the low mappings gone, no VM yet */
	AUDIT_VM_START, /* struct vm *; its space is loaded, no vCPU of it has run since reset */
	AUDIT_VM_END,	/* struct vm *, before what it holds is given back */
	/* paranoid build only; its checks are in tests/paranoid */
	AUDIT_RUN,	/* struct virt_vcpu *, which is to be entered */
	AUDIT_INVEPT,	/* struct virt_vm *, just before the instruction; the next two likewise */
	AUDIT_INVVPID,	/* struct virt_vcpu * */
	AUDIT_MOV_CR3,	/* struct space * */
	AUDIT_ENTRY,	/* struct virt_vcpu *; all is ready for the entry, which a complaint refuses */
	AUDIT_EXIT,	/* struct virt_vcpu *; first of all behind an exit */
	AUDIT_LOADED,	/* struct virt_vcpu *; its state is in the CPU, just so as it was left */
	AUDIT_PUT,	/* struct virt_vcpu *, before its state is taken out of the CPU */
	AUDIT_LOCK,	/* struct spinlock *, before it is waited for */
	AUDIT_UNLOCK,	/* struct spinlock *, before it is given back */
	AUDIT_PAGES_FREE, /* struct audit_pages *; nobody uses them any more */
	AUDIT_PAGES_TAKE, /* struct audit_pages *, before they are cleared for their next user */
	AUDIT_SLICE,	/* struct task *, which is about to run */
	AUDIT_SLICE_END, /* struct task *, which has run */
	AUDIT_VMS_ENDED, /* NULL; none is left to run */
};

struct audit_pages {
	void *pages;
	unsigned count;
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
static inline void audit(enum audit_point point, const void *what)
{
	const char *complaint = audit_run(point, what);

	if (complaint)
		panic("audit: %s", complaint);
}

/* At points on the paths that guests wait for: AUDIT_HOT as audit_run, AUDIT as audit. */
#ifdef PARANOID
#define AUDIT_HOT(point, what) audit_run(point, what)
#define AUDIT(point, what)     audit(point, what)
#else
#define AUDIT_HOT(point, what) ((const char *)NULL)
#define AUDIT(point, what)     ((void)0)
#endif
