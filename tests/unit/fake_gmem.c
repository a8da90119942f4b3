/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory for host tests; see the header. */
#include "tests/unit/fake_gmem.h"

#include <stdlib.h>
#include <string.h>

#include "arch/lib/errno.h"
#include "vmm/gmem.h"
#include "vmm/guestmap.h"
#include "vmm/job.h"

/* Loaders run outside of jobs here. */
void job_yield(void)
{
}

struct vm *fake_gmem_create(u64 below_4g, u64 above_4g)
{
	struct fake_gmem *g = calloc(1, sizeof(*g));

	g->below_4g = below_4g;
	g->above_4g = above_4g;
	g->low_size = MIN(below_4g, GUEST_LOW_RAM_END);
	g->low = calloc(1, g->low_size);
	g->high = calloc(1, below_4g > GUEST_RAM_1M ? below_4g - GUEST_RAM_1M : 1);
	g->above = calloc(1, above_4g ? above_4g : 1);
	g->acpi = calloc(1, GUEST_ACPI_SIZE);
	g->fail_writes_after = ~0ull;
	return (struct vm *)g;
}

void fake_gmem_destroy(struct vm *vm)
{
	struct fake_gmem *g = fake_gmem(vm);

	free(g->low);
	free(g->high);
	free(g->above);
	free(g->acpi);
	free(g->read_counts);
	free(g);
}

struct fake_gmem *fake_gmem(struct vm *vm)
{
	return (struct fake_gmem *)vm;
}

u8 *fake_gmem_at(struct vm *vm, u64 gpa, u64 len)
{
	const struct fake_gmem *g = fake_gmem(vm);
	const struct {
		u64 base, size;
		u8 *data;
	} pieces[] = {
		{0, g->low_size, g->low},
		{GUEST_RAM_1M, g->below_4g > GUEST_RAM_1M ? g->below_4g - GUEST_RAM_1M : 0, g->high},
		{GUEST_RAM_4G, g->above_4g, g->above},
		{GUEST_BIOS_BASE, GUEST_ACPI_SIZE, g->acpi},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
		if (gpa >= pieces[i].base && gpa - pieces[i].base <= pieces[i].size &&
		    len <= pieces[i].size - (gpa - pieces[i].base))
			return pieces[i].data + (gpa - pieces[i].base);
	return NULL;
}

void fake_gmem_clear(struct vm *vm)
{
	struct fake_gmem *g = fake_gmem(vm);

	memset(g->low, 0, g->low_size);
	if (g->below_4g > GUEST_RAM_1M)
		memset(g->high, 0, g->below_4g - GUEST_RAM_1M);
	memset(g->above, 0, g->above_4g);
	memset(g->acpi, 0, GUEST_ACPI_SIZE);
	g->faults = g->mem_faults = 0;
}

void fake_gmem_arm_reads(struct vm *vm)
{
	struct fake_gmem *g = fake_gmem(vm);

	free(g->read_counts);
	g->read_counts = calloc(1, g->below_4g);
}

unsigned fake_gmem_most_reads(struct vm *vm)
{
	const struct fake_gmem *g = fake_gmem(vm);
	unsigned most = 0;

	for (u64 i = 0; i < g->below_4g; i++)
		most = MAX(most, g->read_counts[i]);
	return most;
}

int guest_read(struct vm *vm, gpa_t gpa, void *dst, size_t len)
{
	struct fake_gmem *g = fake_gmem(vm);
	const u8 *from = fake_gmem_at(vm, gpa.v, len);

	if (!from) {
		g->faults++;
		return -EFAULT;
	}
	memcpy(dst, from, len);
	if (g->read_counts && gpa.v < g->below_4g)
		for (size_t i = 0; i < len; i++)
			g->read_counts[gpa.v + i] += g->read_counts[gpa.v + i] < 255;
	return 0;
}

int guest_load(struct vm *vm, gpa_t gpa, unsigned size, u64 *value, const struct region **near)
{
	(void)near;
	*value = 0;
	return guest_read(vm, gpa, value, size);
}

/* The room for a write, NULL where it must fail. */
static u8 *write_to(struct vm *vm, gpa_t gpa, u64 len)
{
	struct fake_gmem *g = fake_gmem(vm);
	u8 *to = fake_gmem_at(vm, gpa.v, len);

	if (!to)
		g->faults++;
	if (g->fail_writes_after == 0)
		return NULL;
	if (g->fail_writes_after != ~0ull)
		g->fail_writes_after--;
	return to;
}

int guest_write(struct vm *vm, gpa_t gpa, const void *src, size_t len)
{
	u8 *to = write_to(vm, gpa, len);

	if (!to)
		return -EFAULT;
	memcpy(to, src, len);
	return 0;
}

int guest_cmpxchg(struct vm *vm, gpa_t gpa, unsigned size, u64 old, u64 value)
{
	u64 found = 0;

	if (!fake_gmem_at(vm, gpa.v, size))
		return -EFAULT;
	memcpy(&found, fake_gmem_at(vm, gpa.v, size), size);
	return (found ^ old) & size_mask(size) ? -EAGAIN : guest_write(vm, gpa, &value, size);
}

int guest_zero(struct vm *vm, gpa_t gpa, u64 len)
{
	u8 *to = write_to(vm, gpa, len);

	if (!to)
		return -EFAULT;
	memset(to, 0, len);
	return 0;
}

static bool mem_holds(struct vm *vm, const struct mem_object *mem, u64 offset, u64 len)
{
	if (offset <= mem->size && len <= mem->size - offset)
		return true;
	fake_gmem(vm)->mem_faults++;
	return false;
}

int guest_copy_from(struct vm *vm, gpa_t gpa, struct mem_object *mem, u64 offset, u64 len)
{
	u8 *to = write_to(vm, gpa, len);

	if (!to || !mem_holds(vm, mem, offset, len))
		return -EFAULT;
	if (len > 0)
		memcpy(to, mem->data + offset, len);
	return 0;
}

int mem_read(struct vm *vm, struct mem_object *mem, u64 offset, void *dst, size_t len)
{
	if (!mem_holds(vm, mem, offset, len))
		return -EFAULT;
	if (len > 0)
		memcpy(dst, mem->data + offset, len);
	return 0;
}

struct mem_object *fake_mem_create(const void *data, u64 size)
{
	struct mem_object *mem = calloc(1, sizeof(*mem));

	mem->data = malloc(size ? size : 1);
	mem->size = size;
	if (size > 0)
		memcpy(mem->data, data, size);
	return mem;
}

void fake_mem_destroy(struct mem_object *mem)
{
	free(mem->data);
	free(mem);
}

u64 fake_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
