/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pages_alloc on the host, with a count of what is out and a failure on order.
 * Physical addresses are the host's virtual ones.
 */
#ifndef TESTS_UNIT_FAKE_PAGES_H
#define TESTS_UNIT_FAKE_PAGES_H

/* Pages that were not freed. */
extern unsigned fake_pages_out;
/* This many allocations succeed, then one fails; negative: none fails. */
extern int fake_pages_fail_after;

#endif
