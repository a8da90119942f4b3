/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scripted back end.
 */
#include "tests/unit/fake_virt.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/lib/errno.h"
#include "tests/unit/fake_host.h"

#define FEATURES 5

struct virt_feature fake_virt_features[FEATURES] = {
	{"invpcid", true, true}, {"rdtscp", true, true}, {"xsaves", true, true},
	{"monitor-trap", true, true}, {"virtual-nmi", true, true}};
unsigned fake_virt_vms, fake_virt_vcpus;

struct fake_vcpu *fake_vcpu_of(struct virt_vcpu *vcpu)
{
	return CONTAINER_OF(vcpu, struct fake_vcpu, base);
}

static const struct virt_feature *features(unsigned *count)
{
	*count = FEATURES;
	return fake_virt_features;
}

void fake_virt_use(const char *feature, bool used)
{
	for (unsigned i = 0; i < FEATURES; i++)
		if (!strcmp(fake_virt_features[i].name, feature))
			fake_virt_features[i].used = used;
}

/* ---- guest physical address spaces */

static int vm_create(struct virt_vm **vm)
{
	if (fake_host_refuses())
		return -ENOMEM;
	*vm = calloc(1, sizeof(**vm));
	fake_virt_vms++;
	return 0;
}

static void vm_destroy(struct virt_vm *vm)
{
	free(vm);
	fake_virt_vms--;
}

static int vm_map(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, u64 size, unsigned rights,
		  enum virt_memtype type)
{
	assert_true(size && IS_ALIGNED(gpa.v | hpa.v | size, PAGE_SIZE) && (rights & MAP_READ));
	if (fake_host_refuses())
		return -ENOMEM;
	for (unsigned i = 0; i < vm->count; i++)
		if (gpa.v < vm->map[i].gpa + vm->map[i].size && vm->map[i].gpa < gpa.v + size)
			return -EEXIST;
	assert_true(vm->count < FAKE_VIRT_MAPS);
	vm->map[vm->count++] = (struct fake_virt_map){gpa.v, hpa.v, size, rights, type};
	return 0;
}

static int vm_unmap(struct virt_vm *vm, gpa_t gpa, u64 size)
{
	u64 gone = 0;

	for (unsigned i = 0; i < vm->count;) {
		struct fake_virt_map *m = &vm->map[i];

		if (m->gpa >= gpa.v && m->gpa + m->size <= gpa.v + size) {
			gone += m->size;
			*m = vm->map[--vm->count];
		} else {
			i++;
		}
	}
	assert_true(gone == size || gone == 0);
	return 0;
}

struct fake_virt_log *fake_virt_log(struct virt_vm *vm, u64 gpa)
{
	for (unsigned i = 0; i < vm->logs; i++)
		if (gpa - vm->log[i].gpa < vm->log[i].size)
			return &vm->log[i];
	return NULL;
}

void fake_virt_guest_writes(struct virt_vm *vm, u64 gpa)
{
	struct fake_virt_log *log = fake_virt_log(vm, gpa);

	if (log)
		bit_set_atomic(log->bitmap, (gpa - log->gpa) / PAGE_SIZE);
}

/* Only what is mapped and writable is logged, and nothing twice. */
static int vm_dirty_log(struct virt_vm *vm, gpa_t gpa, u64 size, u64 *bitmap)
{
	struct fake_virt_log *log = fake_virt_log(vm, gpa.v);

	if (!bitmap) {
		if (log) {
			assert_int_equal(log->gpa, gpa.v);
			assert_int_equal(log->size, size);
			*log = vm->log[--vm->logs];
		}
		return 0;
	}
	assert_null(log);
	for (u64 done = 0; done < size; done += PAGE_SIZE)
		assert_true(fake_virt_find(vm, gpa.v + done)->rights & MAP_WRITE);
	if (vm->logs == VIRT_LOGS_MAX)
		return -ENOSPC;
	if (fake_host_refuses())
		return -ENOMEM;
	vm->log[vm->logs++] = (struct fake_virt_log){gpa.v, size, bitmap, 0};
	return 0;
}

static void vm_dirty_take(struct virt_vm *vm, gpa_t gpa)
{
	struct fake_virt_log *log = fake_virt_log(vm, gpa.v);

	assert_non_null(log);
	log->takes++;
}

const struct fake_virt_map *fake_virt_find(const struct virt_vm *vm, u64 gpa)
{
	for (unsigned i = 0; i < vm->count; i++)
		if (gpa - vm->map[i].gpa < vm->map[i].size)
			return &vm->map[i];
	return NULL;
}

/* ---- vCPUs */

static int vcpu_create(struct virt_vm *vm, struct virt_vcpu **out)
{
	struct fake_vcpu *v;

	if (fake_host_refuses())
		return -ENOMEM;
	v = calloc(1, sizeof(*v));
	v->vm = vm;
	v->base.apic = v->apic;
	*out = &v->base;
	fake_virt_vcpus++;
	return 0;
}

static void vcpu_destroy(struct virt_vcpu *vcpu)
{
	assert_false(fake_vcpu_of(vcpu)->loaded);
	free(fake_vcpu_of(vcpu));
	fake_virt_vcpus--;
}

static void vcpu_load(struct virt_vcpu *vcpu)
{
	assert_false(fake_vcpu_of(vcpu)->loaded);
	fake_vcpu_of(vcpu)->loaded = true;
}

static void vcpu_put(struct virt_vcpu *vcpu)
{
	assert_true(fake_vcpu_of(vcpu)->loaded);
	fake_vcpu_of(vcpu)->loaded = false;
}

/* "Processor State After Reset"; a test sets what it needs beyond that. */
static void vcpu_reset(struct virt_vcpu *vcpu)
{
	struct fake_vcpu *v = fake_vcpu_of(vcpu);

	memset(v->base.gpr, 0, sizeof(v->base.gpr));
	memset(v->reg, 0, sizeof(v->reg));
	for (unsigned i = 0; i < VSEG_COUNT; i++)
		v->seg[i] = (struct vcpu_segment){
			.limit = 0xffff, .type = 3, .s = i < SREG_COUNT, .present = true};
	v->seg[SREG_CS] = (struct vcpu_segment){.base = 0xffff0000, .limit = 0xffff,
						.selector = 0xf000, .type = 11, .s = true,
						.present = true};
	v->seg[VSEG_TR].type = 11;
	v->seg[VSEG_LDTR].type = 2;
	v->table[VTABLE_GDT] = v->table[VTABLE_IDT] = (struct vcpu_dtable){0, 0xffff};
	v->reg[VREG_RIP] = 0xfff0;
	v->reg[VREG_RFLAGS] = RFLAGS_ONE;
	v->reg[VREG_CR0] = CR0_CD | CR0_NW | CR0_ET;
	v->reg[VREG_DR6] = 0xffff0ff0;
	v->reg[VREG_DR7] = 0x400;
	v->reg[VREG_XCR0] = 1;
	v->shadow = v->traps = v->threshold = 0;
	v->apic_mode = VIRT_APIC_OFF;
	v->base.apic_delivers = false;
	v->irr = v->isr = -1;
	memset(v->eoi_exits, 0, sizeof(v->eoi_exits));
	v->hlt_exits = true;
	v->pause_exits = false;
	v->window[0] = v->window[1] = false;
	v->next.type = v->undelivered.type = EVENT_NONE;
	v->resets++;
}

/* What INIT keeps is kept: the same section. */
static void vcpu_init(struct virt_vcpu *vcpu)
{
	static const u8 kept[] = {VREG_PAT, VREG_XCR0, VREG_TSC_OFFSET, VREG_SYSENTER_CS,
				  VREG_SYSENTER_ESP, VREG_SYSENTER_EIP};
	struct fake_vcpu *v = fake_vcpu_of(vcpu);
	u64 old[VREG_COUNT];

	memcpy(old, v->reg, sizeof(old));
	vcpu_reset(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		v->reg[kept[i]] = old[kept[i]];
	v->reg[VREG_CR0] = (old[VREG_CR0] & (CR0_CD | CR0_NW)) | CR0_ET;
	v->resets--;
	v->inits++;
}

static void run(struct virt_vcpu *vcpu, u64 deadline, struct vcpu_exit *exit)
{
	struct fake_vcpu *v = fake_vcpu_of(vcpu);
	const struct fake_run *now = v->script;

	assert_true(v->loaded);
	if (!v->script_left)
		fail_msg("the script is at its end");
	v->script++;
	v->script_left--;
	v->runs++;
	v->deadline = deadline;
	if (v->next.type) {
		assert_true(v->events < FAKE_VIRT_EVENTS);
		v->event[v->events++] = v->next;
		v->next.type = EVENT_NONE;
	}
	if (now->guest)
		now->guest(v);
	v->undelivered = now->undelivered;
	*exit = now->exit;
	exit->in_delivery = now->undelivered.type;
}

static u64 get(struct virt_vcpu *vcpu, enum vcpu_reg reg)
{
	assert_true(reg < VREG_COUNT);
	return reg == VREG_SHADOW ? fake_vcpu_of(vcpu)->shadow & ~(u64)SHADOW_DEBUG
				  : fake_vcpu_of(vcpu)->reg[reg];
}

static void set(struct virt_vcpu *vcpu, enum vcpu_reg reg, u64 value)
{
	assert_true(reg < VREG_COUNT);
	if (reg == VREG_SHADOW)
		fake_vcpu_of(vcpu)->shadow = (fake_vcpu_of(vcpu)->shadow & SHADOW_DEBUG) | value;
	else
		fake_vcpu_of(vcpu)->reg[reg] = value;
}

static void get_code(struct virt_vcpu *vcpu, struct virt_code *code, bool rights)
{
	const struct fake_vcpu *v = fake_vcpu_of(vcpu);
	const struct vcpu_segment *cs = &v->seg[SREG_CS];

	code->rip = v->reg[VREG_RIP];
	code->cr3 = v->reg[VREG_CR3];
	code->efer = v->reg[VREG_EFER];
	code->mode = (code->efer & EFER_LMA) && cs->l ? 64 : cs->db ? 32 : 16;
	code->base = code->mode == 64 ? 0 : cs->base;
	if (!rights)
		return;
	code->cpl = v->seg[SREG_SS].dpl;
	code->cr0 = v->reg[VREG_CR0];
	code->cr4 = v->reg[VREG_CR4];
	code->rflags = v->reg[VREG_RFLAGS];
}

static void get_segment(struct virt_vcpu *vcpu, unsigned index, struct vcpu_segment *seg)
{
	assert_true(index < VSEG_COUNT);
	*seg = fake_vcpu_of(vcpu)->seg[index];
}

static void set_segment(struct virt_vcpu *vcpu, unsigned index, const struct vcpu_segment *seg)
{
	assert_true(index < VSEG_COUNT);
	fake_vcpu_of(vcpu)->seg[index] = *seg;
}

static void get_table(struct virt_vcpu *vcpu, enum vcpu_table table, struct vcpu_dtable *value)
{
	*value = fake_vcpu_of(vcpu)->table[table];
}

static void set_table(struct virt_vcpu *vcpu, enum vcpu_table table,
		      const struct vcpu_dtable *value)
{
	fake_vcpu_of(vcpu)->table[table] = *value;
}

static bool step_over(struct virt_vcpu *vcpu, unsigned insn_len)
{
	struct fake_vcpu *v = fake_vcpu_of(vcpu);
	u64 rip = v->reg[VREG_RIP] + insn_len;
	bool in_64bit = (v->reg[VREG_EFER] & EFER_LMA) && v->seg[SREG_CS].l;

	v->skips++;
	v->shadow &= SHADOW_NMI;
	v->step |= v->reg[VREG_RFLAGS] & RFLAGS_TF;
	v->reg[VREG_RFLAGS] &= ~RFLAGS_RF;
	v->reg[VREG_RIP] = in_64bit ? rip : (u32)rip;
	return !in_64bit || address_canonical(rip);
}

/* What an entry would refuse: SDM volume 3, "VM-Entry Control Fields". */
static void inject(struct virt_vcpu *vcpu, const struct vcpu_event *event)
{
	struct fake_vcpu *v = fake_vcpu_of(vcpu);

	assert_int_equal(v->next.type, EVENT_NONE);
	assert_int_not_equal(event->type, EVENT_NONE);
	if (event->type == EVENT_NMI) {
		assert_int_equal(event->vector, 2);
		assert_false(v->shadow & (SHADOW_STI | SHADOW_MOV_SS));
	}
	if (event->type == EVENT_EXCEPTION)
		assert_true(event->vector < 32);
	if (event->type == EVENT_INTERRUPT) {
		assert_true(v->reg[VREG_RFLAGS] & RFLAGS_IF);
		assert_false(v->shadow & (SHADOW_STI | SHADOW_MOV_SS));
	}
	if (event->has_error)
		assert_int_equal(event->type, EVENT_EXCEPTION);
	v->next = *event;
}

static bool undelivered(struct virt_vcpu *vcpu, struct vcpu_event *event)
{
	struct fake_vcpu *v = fake_vcpu_of(vcpu);

	if (!v->undelivered.type)
		return false;
	*event = v->undelivered;
	v->undelivered.type = EVENT_NONE;
	return true;
}

static unsigned shadow(struct virt_vcpu *vcpu)
{
	return fake_vcpu_of(vcpu)->shadow;
}

static void window(struct virt_vcpu *vcpu, enum virt_window which, bool on)
{
	fake_vcpu_of(vcpu)->window[which] = on;
}

static int msr(struct virt_vcpu *vcpu, bool write, u32 index, u64 *value)
{
	static const u32 own[FAKE_VIRT_MSRS] = {0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000083,
						0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
						0xc0000103, 0x48, 0x49, 0x10a};

	for (unsigned i = 0; i < FAKE_VIRT_MSRS; i++) {
		if (own[i] != index)
			continue;
		if (index == 0x49 ? !write : index == 0x10a && write)
			return -ENOENT;
		if (write && index != 0x174 && index != 0xc0000081 && index < 0xc0000103 && index > 0x49 &&
		    index != 0xc0000084 && !address_canonical(*value))
			return -EINVAL;
		if (write)
			fake_vcpu_of(vcpu)->msr[i] = *value;
		else
			*value = fake_vcpu_of(vcpu)->msr[i];
		return 0;
	}
	return -ENOENT;
}

static int vm_filter_msrs(struct virt_vm *vm, bool (*allowed)(const void *, u32, bool),
			  const void *arg)
{
	if (fake_host_refuses())
		return -ENOMEM;
	vm->passes_lstar_reads = allowed(arg, 0xc0000082, false);
	vm->passes_lstar_writes = allowed(arg, 0xc0000082, true);
	vm->filters++;
	return 0;
}

struct virt_fpu fake_virt_fpu;

static const struct virt_fpu *fpu(void)
{
	return &fake_virt_fpu;
}

static void get_fpu(struct virt_vcpu *vcpu, void *area)
{
	memcpy(area, fake_vcpu_of(vcpu)->fpu, fake_virt_fpu.size);
}

static void set_fpu(struct virt_vcpu *vcpu, const void *area)
{
	memcpy(fake_vcpu_of(vcpu)->fpu, area, fake_virt_fpu.size);
}

static const char *check(struct virt_vcpu *vcpu)
{
	struct fake_vcpu *v = fake_vcpu_of(vcpu);

	return v->check ? v->check(v) : NULL;
}

static void trap(struct virt_vcpu *vcpu, unsigned traps)
{
	fake_vcpu_of(vcpu)->traps = traps;
}

static int vm_apic_page(struct virt_vm *vm, bool on)
{
	if (on && fake_host_refuses())
		return -ENOMEM;
	vm->apic_page = on;
	return 0;
}

static void apic_mode(struct virt_vcpu *vcpu, enum virt_apic mode)
{
	struct fake_vcpu *v = fake_vcpu_of(vcpu);

	v->apic_mode = mode;
	vcpu->apic_delivers = mode != VIRT_APIC_OFF && v->delivers;
}

static void irr_push(struct virt_vcpu *vcpu, int vector)
{
	assert_true(vcpu->apic_delivers);
	fake_vcpu_of(vcpu)->irr = vector;
}

static void isr_sync(struct virt_vcpu *vcpu, int vector)
{
	assert_true(vcpu->apic_delivers);
	fake_vcpu_of(vcpu)->isr = vector;
}

static void eoi_exits(struct virt_vcpu *vcpu, const u32 vectors[8])
{
	memcpy(fake_vcpu_of(vcpu)->eoi_exits, vectors, 32);
}

static void tpr_threshold(struct virt_vcpu *vcpu, unsigned threshold)
{
	assert_true(threshold < 16);
	fake_vcpu_of(vcpu)->threshold = threshold;
}

static void idle_exits(struct virt_vcpu *vcpu, bool hlt, bool pause)
{
	fake_vcpu_of(vcpu)->hlt_exits = hlt;
	fake_vcpu_of(vcpu)->pause_exits = pause;
}

static void flush(struct virt_vcpu *vcpu)
{
	fake_vcpu_of(vcpu)->flushes++;
}

static bool dump(struct virt_vcpu *vcpu, unsigned line)
{
	assert_true(fake_vcpu_of(vcpu)->loaded);
	fake_vcpu_of(vcpu)->dumps += line == 0;
	return line < 2;
}

const struct virt_ops fake_virt_ops = {
	.name = "fake",
	.features = features,
	.vm_create = vm_create,
	.vm_destroy = vm_destroy,
	.vm_map = vm_map,
	.vm_unmap = vm_unmap,
	.vm_dirty_log = vm_dirty_log,
	.vm_dirty_take = vm_dirty_take,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.vcpu_reset = vcpu_reset,
	.vcpu_load = vcpu_load,
	.vcpu_put = vcpu_put,
	.run = run,
	.get = get,
	.set = set,
	.get_segment = get_segment,
	.set_segment = set_segment,
	.get_code = get_code,
	.get_table = get_table,
	.set_table = set_table,
	.skip = step_over,
	.inject = inject,
	.undelivered = undelivered,
	.shadow = shadow,
	.window = window,
	.msr = msr,
	.vm_filter_msrs = vm_filter_msrs,
	.fpu = fpu,
	.get_fpu = get_fpu,
	.set_fpu = set_fpu,
	.check = check,
	.trap = trap,
	.flush = flush,
	.vcpu_init = vcpu_init,
	.vm_apic_page = vm_apic_page,
	.apic_mode = apic_mode,
	.irr_push = irr_push,
	.isr_sync = isr_sync,
	.eoi_exits = eoi_exits,
	.tpr_threshold = tpr_threshold,
	.idle_exits = idle_exits,
	.dump = dump,
};

void fake_virt_init(void)
{
	virt = &fake_virt_ops;
	fake_virt_vms = fake_virt_vcpus = 0;
	fake_virt_fpu = (struct virt_fpu){.size = 832, .mxcsr_mask = 0xffff, .components = 7};
	for (unsigned i = 0; i < FEATURES; i++)
		fake_virt_features[i].used = true;
}
