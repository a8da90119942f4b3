/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checked door: every range is looked up in the VM's regions before the
 * window is touched.
 */
#include "vmm/gmem.h"

#include "vmm/job.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

#define STEP KIB(128) /* 16,384 moves of 8 bytes */

static void *window(u64 gpa)
{
	return (void *)(WINDOW_BASE + gpa);
}

/* The region at gpa that allows the access; cuts *len to what lies in it. */
static const struct region *reach(const struct vm *vm, u64 gpa, u64 *len, bool write)
{
	const struct region *r = region_find(&vm->regions, GPA(gpa));

	if (!r || (write && (r->flags & REGION_READ_ONLY)))
		return NULL;
	*len = MIN(*len, r->size - (gpa - r->gpa));
	return r;
}

/* Copies between a buffer, NULL for zeros, and the guest, region by region. What
 * is written is logged behind the write, so that a reader of the log finds the bytes. */
static int copy(struct vm *vm, u64 gpa, void *buffer, u64 len, bool write)
{
	while (len) {
		u64 part = len;
		const struct region *r = reach(vm, gpa, &part, write);
		int error;

		if (!r)
			return -EFAULT;
		if (!write)
			error = window_copy(buffer, window(gpa), part);
		else if (buffer)
			error = window_copy(window(gpa), buffer, part);
		else
			error = window_fill(window(gpa), 0, part);
		if (write)
			region_mark_dirty(r, gpa, part);
		if (error)
			return error;
		gpa += part;
		if (buffer)
			buffer = (u8 *)buffer + part;
		len -= part;
	}
	return 0;
}

int guest_read(struct vm *vm, gpa_t gpa, void *dst, size_t len)
{
	return copy(vm, gpa.v, dst, len, false);
}

/* Not in guest_load, which so has nothing to save. */
static __attribute__((noinline)) int load_elsewhere(struct vm *vm, gpa_t gpa, unsigned size,
						    u64 *value, const struct region **near)
{
	*near = region_find(&vm->regions, gpa);
	return *near ? window_load(window(gpa.v), size, value) : -EFAULT;
}

int guest_load(struct vm *vm, gpa_t gpa, unsigned size, u64 *value, const struct region **near)
{
	const struct region *r = *near;

	/* Regions are whole pages. */
	if (r && gpa.v - r->gpa < r->size)
		return window_load(window(gpa.v), size, value);
	return load_elsewhere(vm, gpa, size, value, near);
}

int guest_write(struct vm *vm, gpa_t gpa, const void *src, size_t len)
{
	return copy(vm, gpa.v, (void *)src, len, true);
}

/* For loaders: others run in between. */
static int copy_long(struct vm *vm, u64 gpa, const void *buffer, u64 len)
{
	int error = 0;

	for (u64 done = 0; done < len && !error; done += STEP) {
		void *from = buffer ? (u8 *)buffer + done : NULL;

		error = copy(vm, gpa + done, from, MIN(STEP, len - done), true);
		job_yield();
	}
	return error;
}

int guest_zero(struct vm *vm, gpa_t gpa, u64 len)
{
	return copy_long(vm, gpa.v, NULL, len);
}

int guest_cmpxchg(struct vm *vm, gpa_t gpa, unsigned size, u64 old, u64 value)
{
	u64 len = size;
	const struct region *r = IS_ALIGNED(gpa.v, size) ? reach(vm, gpa.v, &len, true) : NULL;
	int error = r ? window_cmpxchg(window(gpa.v), size, old, value) : -EFAULT;

	if (!error)
		region_mark_dirty(r, gpa.v, size);
	return error;
}

/* Where a module's bytes stand in its VM's space. */
static const void *module_window(const struct mem_object *mem, u64 offset, u64 len)
{
	if (mem->kind != MEM_MODULE || offset > mem->size || len > mem->size - offset)
		return NULL;
	return (const void *)(MODULE_WINDOW_BASE + mem->extent[0].hpa.v + offset);
}

int guest_copy_from(struct vm *vm, gpa_t gpa, struct mem_object *mem, u64 offset, u64 len)
{
	const void *src = module_window(mem, offset, len);

	if (!src)
		return -EFAULT;
	return copy_long(vm, gpa.v, src, len);
}

int mem_read(struct vm *vm, struct mem_object *mem, u64 offset, void *dst, size_t len)
{
	const void *src = module_window(mem, offset, len);

	if (!src)
		return -EFAULT;
	return window_copy(dst, src, len);
}
