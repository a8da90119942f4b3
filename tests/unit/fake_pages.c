/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pages_alloc on the host.
 */
#include "tests/unit/fake_pages.h"

#include <stdlib.h>
#include <string.h>

#include "arch/memory.h"

unsigned fake_pages_out;
int fake_pages_fail_after = -1;

void *pages_alloc(unsigned count)
{
	void *pages;

	if (fake_pages_fail_after >= 0 && fake_pages_fail_after-- == 0)
		return NULL;
	pages = aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);
	memset(pages, 0, count * PAGE_SIZE);
	fake_pages_out += count;
	return pages;
}

void pages_free(void *pages, unsigned count)
{
	if (!pages)
		return;
	/* A use after this shows even without a sanitizer. */
	memset(pages, 0xa5, count * PAGE_SIZE);
	free(pages);
	fake_pages_out -= count;
}

hpa_t virt_to_phys(const void *virt)
{
	return HPA((u64)virt);
}

void *phys_to_virt(hpa_t hpa)
{
	return (void *)hpa.v;
}
