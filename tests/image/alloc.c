/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations that fail, in order. "alloc-boot:N" has the Nth of the boot fail, from the
 * reading of the options on, and tells at the end how many there were: N is 0 for none.
 */
#include "tests/image/alloc.h"

#include "arch/frames.h"
#include "arch/ksyms.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "boot/end.h"
#include "boot/options.h"

#define BOOT "alloc-boot:"

static u64 calls, failures, fail_at, kept;
static const void *failed_for;
static bool armed, and_on, booting;

void *__real_pages_alloc(unsigned count);
int __real_frames_alloc(u64 size, u64 align, hpa_t *hpa, u64 *got);
int __real_frames_take(u64 size, u64 align, u64 limit, u64 *start);
void *__real_stacks_take(void);
void *__real_phys_map(hpa_t hpa, u64 size, enum phys_cache cache);
void __real_options_parse(const char *line, struct options *out);
_Noreturn void __real_end_machine(const struct options *options);
void *__wrap_pages_alloc(unsigned count);
int __wrap_frames_alloc(u64 size, u64 align, hpa_t *hpa, u64 *got);
int __wrap_frames_take(u64 size, u64 align, u64 limit, u64 *start);
void *__wrap_stacks_take(void);
void *__wrap_phys_map(hpa_t hpa, u64 size, enum phys_cache cache);
void __wrap_options_parse(const char *line, struct options *out);
_Noreturn void __wrap_end_machine(const struct options *options);

void alloc_arm(u64 nth, bool on)
{
	calls = failures = 0;
	fail_at = nth;
	and_on = on;
	failed_for = NULL;
	__atomic_store_n(&armed, true, __ATOMIC_SEQ_CST);
}

u64 alloc_disarm(void)
{
	__atomic_store_n(&armed, false, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&calls, __ATOMIC_SEQ_CST);
}

u64 alloc_failures(void)
{
	return __atomic_load_n(&failures, __ATOMIC_SEQ_CST);
}

const char *alloc_failed_in(void)
{
	u64 offset;

	return failed_for ? ksyms_lookup((u64)failed_for, &offset) ?: "?" : "nothing";
}

/* Locks may be held: nothing is told here. */
static bool fails(const void *caller)
{
	u64 n;

	if (!__atomic_load_n(&armed, __ATOMIC_RELAXED))
		return false;
	n = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
	if (!fail_at || n < fail_at || (n > fail_at && !and_on))
		return false;
	if (__atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST) == 1)
		failed_for = caller;
	return true;
}

#define FAILS fails(__builtin_return_address(0))

void *__wrap_pages_alloc(unsigned count)
{
	return FAILS ? NULL : __real_pages_alloc(count);
}

int __wrap_frames_alloc(u64 size, u64 align, hpa_t *hpa, u64 *got)
{
	return FAILS ? -ENOMEM : __real_frames_alloc(size, align, hpa, got);
}

int __wrap_frames_take(u64 size, u64 align, u64 limit, u64 *start)
{
	return FAILS ? -ENOMEM : __real_frames_take(size, align, limit, start);
}

void *__wrap_stacks_take(void)
{
	return FAILS ? NULL : __real_stacks_take();
}

/* The tables of the device area stay: they are no loss. What it says, callers count on. */
void *__wrap_phys_map(hpa_t hpa, u64 size, enum phys_cache cache)
{
	u64 before = pages_in_use();
	bool failed = FAILS;
	void *mapped = failed ? NULL : __real_phys_map(hpa, size, cache);

	if (failed)
		log_warn("no memory for the tables that map 0x%lx (selftest)", hpa.v);
	kept += pages_in_use() - before;
	return mapped;
}

u64 alloc_pages(void)
{
	return pages_in_use() - kept;
}

/* ---- the boot */

void __wrap_options_parse(const char *line, struct options *out)
{
	u64 n = 0;
	size_t len = strlen(BOOT);

	__real_options_parse(line, out);
	if (strncmp(out->selftest, BOOT, len))
		return;
	booting = true;
	str_to_u64(out->selftest + len, strlen(out->selftest + len), &n);
	alloc_arm(n, false);
}

_Noreturn void __wrap_end_machine(const struct options *options)
{
	if (booting) {
		u64 count = alloc_disarm();

		log_info("selftest: the boot made %lu allocations, %lu failed, for %s", count,
			 alloc_failures(), alloc_failed_in());
	}
	__real_end_machine(options);
}

/* Its work is done above; the boot goes on. */
static unsigned go_on(const char *argument)
{
	(void)argument;
	return 0;
}

DEFINE_SELFTEST(alloc_boot_test, .name = "alloc-boot", .run = go_on);
