/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which CPUs are threads of one core.
 */
#pragma once

#include "arch/lib/types.h"

/*
 * BIT(pCPU id) of all CPUs in virtualization operation, or with threads false of
 * the first such of each core. Source: Intel SDM volume 3, "Identifying Topological
 * Relationships in a MP System".
 */
u64 topology_cpus(bool threads);

