/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm's part of a physical CPU: the timers of the VMs that it runs.
 */
#pragma once

#include "vmm/vtimer.h"

/* This CPU's timer queue; NULL when there is no memory for one. */
struct vtimer_queue *pcpu_timers(void);
