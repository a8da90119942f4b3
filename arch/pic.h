/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The physical pair of 8259A interrupt controllers, which Trivet only silences.
 */
#pragma once

/*
 * Moves both controllers' vectors away from the exceptions, to 20h to 2Fh, and
 * masks all lines. A spurious IRQ 7 or 15 may still come, as vector 27h or 2Fh,
 * and needs no EOI. Source: Intel 8259A data sheet, "Initialization".
 */
void pic_off(void);
