/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Services in the middle of a run; see struct virt_served. Done are ports of 8-bit devices, and
 * the plain forms of EOI, of an IPI, of setting the timer and its end, and the PAT. `where` is still
 * VCPU_GUEST, so that whoever has something for the vCPU or its pCPU kicks, which ends the next
 * entry as soon as it is made.
 *
 * Built to be called by a back end's exit path alone: they may keep no register (Makefile).
 */
#pragma once

#include "arch/virt.h"

enum virt_asked serve_io(void *owner, u32 port, u32 in);
enum virt_asked serve_wrmsr(void *owner, u32 index, u64 value);
enum virt_asked serve_timer(void *owner);
