/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a test program is made of. It prints `ok NAME`, `skip NAME: why` or
 * `FAIL NAME: what` for each check and ends by the debug-exit port with 0, or
 * with 1 after a failure. On a machine without that port it prints `done` and
 * halts, or first writes to the port that the word `exit-port=` names.
 */
#ifndef GUEST_LIB_TEST_H
#define GUEST_LIB_TEST_H

#include "guest/lib/types.h"

/* The program: called with the console, the IDT and `boot` ready, IF = 0. */
void test_main(void);

/* One verdict. */
void test_check(const char *name, bool ok, const char *what);
/* Equality of numbers, printed in hexadecimal where they differ. */
void test_equal(const char *name, u64 got, u64 want);
void test_skip(const char *name, const char *why);
/* Whether the word `bare` says that this runs on the bare emulator, which a test's header names
 * as at fault in this; then prints `skip NAME: bare`. */
bool test_spared(const char *name);

#define CHECK(name, condition) test_check(name, condition, #condition)

/* Ends the program with a code of its own. */
_Noreturn void test_exit(u32 code);

/*
 * The whole of a reset test: the machine must start again when `reset` is called,
 * twice. Each start prints `start N`; the number is kept in battery-backed
 * RAM (CMOS 70h/71h).
 */
void test_restarts(const char *name, void (*reset)(void));

#endif
