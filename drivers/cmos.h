/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's battery-backed clock, read once at the start to give the
 * guests' clocks their date.
 */
#pragma once

#include "arch/lib/types.h"

/*
 * Seconds since 1970-01-01 as the machine's clock shows them, or 0 when it shows no valid
 * date. century is the register that the FADT names for it, or 0. Waits for an
 * update of the clock to pass, up to about 20 ms. Boot CPU.
 */
u64 cmos_read_epoch(u8 century);

/* The same over any MC146818: read returns a register. MC146818 data sheet, "Time, Calendar
 * and Alarm Locations"; ACPI Specification, "FADT", CENTURY. */
u64 cmos_epoch(u8 (*read)(u8 index), u8 century);
