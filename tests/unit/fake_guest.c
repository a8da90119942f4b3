/* SPDX-License-Identifier: BSD-2-Clause */
/* The loaders' test harness; see the header. */
#include "tests/unit/fake_guest.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/lib/bits.h"
#include "arch/lib/errno.h"

void guest_begin(struct fake_guest *g, u64 below_4g, u64 above_4g)
{
	memset(g, 0, sizeof(*g));
	g->vm = fake_gmem_create(below_4g, above_4g);
	g->in = (struct load_input){
		.vm = g->vm,
		.name = "guest",
		.modules = g->modules,
		.ram_below_4g = below_4g,
		.ram_above_4g = above_4g,
	};
}

void guest_end(struct fake_guest *g)
{
	for (unsigned i = 0; i < g->in.module_count; i++)
		fake_mem_destroy(g->modules[i].mem);
	fake_gmem_destroy(g->vm);
}

struct vm_module *guest_add(struct fake_guest *g, enum module_kind kind, const char *cmdline,
			    const void *data, u64 size)
{
	struct vm_module *module = &g->modules[g->in.module_count++];

	assert_true(g->in.module_count <= GUEST_MODULES);
	*module = (struct vm_module){
		.number = g->in.module_count,
		.size = size,
		.kind = kind,
		.cmdline = cmdline,
		.mem = fake_mem_create(data, size),
	};
	return module;
}

int load_fake(struct fake_guest *g)
{
	int rc;

	memset(&g->out, 0xee, sizeof(g->out));
	memset(&g->err, 0xee, sizeof(g->err));
	fake_gmem(g->vm)->faults = 0;
	rc = load_guest(&g->in, &g->out, &g->err);
	assert_non_null(memchr(g->err.text, '\0', sizeof(g->err.text)));
	/* a loader checks first: no write may be refused by the door */
	assert_int_equal(fake_gmem(g->vm)->faults, 0);
	if (rc) {
		assert_true(rc == -ENOEXEC || rc == -ENOMEM);
		assert_true(g->err.text[0] != '\0');
	}
	return rc;
}

void guest_expect_error(struct fake_guest *g, int code, const char *text)
{
	assert_int_equal(load_fake(g), code);
	if (!strstr(g->err.text, text))
		fail_msg("'%s' lacks '%s'", g->err.text, text);
}

void guest_try_prefixes(struct fake_guest *g, u64 whole)
{
	struct vm_module *module = &g->modules[0];
	struct mem_object *full = module->mem;

	for (u64 size = 0; size <= full->size; size++) {
		module->mem = fake_mem_create(full->data, size);
		module->size = size;
		if (load_fake(g) == 0)
			assert_true(size >= whole);
		else
			assert_true(size < whole);
		fake_mem_destroy(module->mem);
	}
	module->mem = full;
	module->size = full->size;
}

void guest_try_mutations(struct fake_guest *g, u64 len, unsigned n, u64 seed)
{
	static const u8 odd[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};
	u8 *data = g->modules[0].mem->data;
	u8 *saved = malloc(len);

	memcpy(saved, data, len);
	for (unsigned i = 0; i < n; i++) {
		for (u64 k = fake_random(&seed) % 3 + 1; k > 0; k--) {
			u64 r = fake_random(&seed), at = r % len;

			/* a whole field of ones, an odd value, or any value */
			if ((r >> 40 & 3) == 0)
				memset(data + at, 0xff, MIN(4, len - at));
			else
				data[at] = r >> 42 & 1 ? odd[(r >> 43) % sizeof(odd)] : r >> 48;
		}
		load_fake(g);
		memcpy(data, saved, len);
	}
	free(saved);
}

void guest_try_failing_writes(struct fake_guest *g)
{
	struct fake_gmem *gmem = fake_gmem(g->vm);
	int rc = -ENOMEM;

	for (u64 good = 0; rc; good++) {
		gmem->fail_writes_after = good;
		rc = load_fake(g);
		if (gmem->fail_writes_after == 0 && rc == 0) {
			/* the last write was the last that was allowed */
			gmem->fail_writes_after = ~0ull;
			return;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_true(good < 1000);
	}
	gmem->fail_writes_after = ~0ull;
}

u64 guest_value(struct fake_guest *g, u64 gpa, unsigned size)
{
	const u8 *at = fake_gmem_at(g->vm, gpa, size);
	u64 value = 0;

	assert_non_null(at);
	memcpy(&value, at, size);
	return value;
}

const char *guest_string(struct fake_guest *g, u64 gpa)
{
	const u8 *at = fake_gmem_at(g->vm, gpa, 1);

	assert_non_null(at);
	return (const char *)at;
}

void put(u8 *image, u64 offset, unsigned size, u64 value)
{
	memcpy(image + offset, &value, size);
}

void guest_expect_protected32(struct fake_guest *g, u32 eip)
{
	const struct vcpu_sregs *s = &g->out.sregs;

	assert_int_equal(g->out.regs.rip, eip);
	assert_int_equal(g->out.regs.rflags, 2); /* IF, TF, VM clear */
	assert_int_equal(s->cr0, 0x11);		 /* PE, ET; paging off */
	assert_int_equal(s->cr4, 0);
	assert_int_equal(s->efer, 0);
	for (unsigned i = 0; i < SREG_COUNT; i++) {
		assert_int_equal(s->seg[i].base, 0);
		assert_int_equal(s->seg[i].limit, 0xffffffff);
		assert_true(s->seg[i].present && s->seg[i].s && s->seg[i].db && s->seg[i].g);
		assert_false(s->seg[i].l || s->seg[i].unusable);
		assert_int_equal(s->seg[i].dpl, 0);
		assert_int_equal(s->seg[i].type, i == SREG_CS ? 11 : 3);
	}
	assert_int_equal(s->tr.limit, 0x67);
	assert_int_equal(s->tr.type, 11);
	assert_true(s->tr.present && !s->tr.s);
	assert_true(s->ldtr.unusable);
}
