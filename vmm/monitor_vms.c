/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands about machines as a whole: their lives, what they use, and what
 * they consist of.
 */
#include "arch/lib/string.h"
#include "arch/tsc.h"
#include "vmm/mem.h"
#include "vmm/monitor.h"
#include "vmm/vcpu.h"
#include "vmm/vtimer.h"

/* A machine's VM to be looked at until life_leave; NULL without life_enter: it has
 * none, or the machine's job is at work on it. */
static struct vm *enter(struct machine *machine)
{
	if (!machine->vm || machine->working)
		return NULL;
	life_enter(machine);
	if (!machine->vm)
		life_leave(machine);
	return machine->vm;
}

/* What the vCPUs of a VM have had. */
struct use {
	u32 count, low, high; /* vCPUs; pCPUs that they are on */
	u64 exits, ran, new;  /* ran: ticks, and since the last look */
};

static struct use add_up(const struct vm *vm)
{
	struct use use = {.low = ~0u};
	struct vcpu *vcpu;

	VM_FOR_EACH_VCPU(vcpu, vm) {
		use.count++;
		use.low = MIN(use.low, vcpu->task.cpu);
		use.high = MAX(use.high, vcpu->task.cpu);
		for (unsigned i = 0; i < EXIT_REASONS; i++)
			use.exits += i == EXIT_SERVED ? 0 : vcpu_exits(vcpu, i); /* counted before */
		use.ran += vcpu->task.ran;
		use.new += vcpu->task.ran - vcpu->seen.ran;
		vcpu->seen.ran = vcpu->task.ran;
	}
	return use;
}

static void print_use(const struct vm *vm)
{
	struct use use = add_up(vm);
	u64 ms = muldiv64(use.ran, 1000, tsc_hz);
	char cores[8];

	str_format(cores, sizeof(cores), use.low < use.high ? "%u-%u" : "%u", use.low, use.high);
	monitor_print("%5u %4s %5lu M %5lu.%03lu s %10lu", use.count, cores,
		      (vm->ram_below_4g + vm->ram_above_4g) >> 20, ms / 1000, ms % 1000, use.exits);
}

static const char *vms(const struct monitor_call *call)
{
	monitor_print("key name             state    vCPUs core  memory   CPU time      exits\n");
	for (struct machine *m = life_machines; m && monitor_more(); m = m->next) {
		struct vm *vm = enter(m);

		monitor_print("%c   %-16s %-8s ", m->console && m->console->key ? m->console->key : '-',
			      m->config.vm, life_state_names[m->state]);
		if (vm) {
			print_use(vm);
			life_leave(m);
		}
		monitor_print("%s%s\n", m->reason[0] ? "  last: " : "", m->reason);
	}
	return NULL;
}
DEFINE_MONITOR_COMMAND(vms, "vms", "", "the VMs and how they are", vms);

static const char *keyboard(const struct monitor_call *call)
{
	if (call->machine->console)
		console_focus(call->machine->console);
	return call->machine->console ? NULL : "it has no console";
}
DEFINE_MONITOR_COMMAND(vm, "vm", " NAME", "gives it the keyboard", keyboard,
		       .subject = MONITOR_MACHINE);

static const char *change(const struct monitor_call *call)
{
	const char *wrong = life_ask(call->machine, call->command->argument);

	if (!wrong)
		life_wait(call->machine);
	return wrong;
}

#define LIFE_COMMAND(name, request, help)                                                         \
	DEFINE_MONITOR_COMMAND(life_##name, #name, " NAME", help, change,                         \
			       .subject = MONITOR_MACHINE, .argument = request)

LIFE_COMMAND(start, LIFE_START, "starts it, or starts it anew");
LIFE_COMMAND(pause, LIFE_PAUSE, "lets it and its clock stand still");
LIFE_COMMAND(resume, LIFE_RESUME, "lets it go on");
LIFE_COMMAND(reset, LIFE_RESET, "presses its reset button");
LIFE_COMMAND(kill, LIFE_KILL, "ends it; memory and registers stay to be seen");
LIFE_COMMAND(destroy, LIFE_DESTROY, "ends it and frees all that it has");

/* One row, and what is new in it, of one vCPU or (NULL) of all. What is served in the middle of a
 * run is counted, but not timed. */
static void print_exits(const struct vm *vm, const struct vcpu *only, unsigned reason)
{
	struct {
		u64 count, timed, ticks;
	} all = {0}, seen = {0};
	struct vcpu *vcpu;

	VM_FOR_EACH_VCPU(vcpu, vm) {
		if (only && vcpu != only)
			continue;
		all.count += vcpu_exits(vcpu, reason);
		all.timed += vcpu->exits[reason];
		all.ticks += vcpu->exit_ticks[reason];
		seen.count += vcpu->seen.served[reason] + vcpu->seen.exits[reason];
		seen.timed += vcpu->seen.exits[reason];
		seen.ticks += vcpu->seen.exit_ticks[reason];
		vcpu->seen.exits[reason] = vcpu->exits[reason];
		vcpu->seen.served[reason] = vcpu->virt->served.exits[reason];
		vcpu->seen.exit_ticks[reason] = vcpu->exit_ticks[reason];
	}
	if (all.count)
		monitor_print("%-18s %12lu %10lu %12lu %10lu\n", virt_exit_name(reason), all.count,
			      all.ticks / MAX(all.timed, (u64)1), all.count - seen.count,
			      (all.ticks - seen.ticks) / MAX(all.timed - seen.timed, (u64)1));
}

static const char *stats(const struct monitor_call *call)
{
	struct vcpu *only = NULL;
	const char *wrong = call->argc ? monitor_vcpu(call, &only) : NULL;

	if (wrong)
		return wrong;
	monitor_print("%-18s %12s %10s   since the last look\n", "exit", "count", "ticks each");
	for (unsigned i = 0; i < EXIT_REASONS; i++)
		print_exits(call->vm, only, i);
	return NULL;
}
DEFINE_MONITOR_COMMAND(stats, "stats", " [NAME] [VCPU]", "its exits by reason, and what each cost",
		       stats, .subject = MONITOR_VM, .most = 1);

static const char *top(const struct monitor_call *call)
{
	u64 since = rdtsc();

	for (bool first = true; first || !monitor_pause(since + tsc_hz); first = false) {
		u64 now = rdtsc();

		for (struct machine *m = life_machines; m; m = m->next) {
			struct vm *vm = enter(m);
			u64 share;

			if (!vm)
				continue;
			share = muldiv64(add_up(vm).new, 1000, now - since + 1);
			life_leave(m);
			if (!first)
				monitor_print("%-16s %3lu.%lu %%\n", m->config.vm, share / 10,
					      share % 10);
		}
		since = now;
		monitor_print(first ? "of a core, each second until a key:\n" : "\n");
		if (!monitor_more())
			break;
	}
	return NULL;
}
DEFINE_MONITOR_COMMAND(top, "top", "", "who has the cores", top);

static const char *regions(const struct monitor_call *call)
{
	const struct region_table *table = &call->vm->regions;

	monitor_print("slot %-33s flags     object offset\n", "guest physical");
	for (unsigned i = 0; i < table->count; i++) {
		const struct region *r = &table->region[i];

		monitor_print("%4u %016lx-%016lx %-9s %8lu K at %lx\n", r->slot, r->gpa,
			      r->gpa + r->size - 1, r->flags & REGION_READ_ONLY ? "read-only" : "",
			      r->mem->size >> 10, r->offset);
	}
	return NULL;
}
DEFINE_MONITOR_COMMAND(regions, "regions", " [NAME]", "its memory map", regions,
		       .subject = MONITOR_VM);

/* All devices, or those alone that have something to tell. */
static const char *devices(const struct monitor_call *call)
{
	/* Whoever has what port is settled when the VM is made: that needs no lock. */
	const struct bus *ports = &call->vm->ports;

	for (struct vdev *dev = call->vm->devices; dev; dev = dev->next) {
		char text[512] = "";

		vm_device_lock(call->vm);
		if (dev->type->describe)
			dev->type->describe(dev, text, sizeof(text));
		vm_device_unlock(call->vm);
		if (!*text && call->command->argument)
			continue;
		monitor_print("%-12s %5lu bytes of state, ports", dev->type->name,
			      dev->type->save_size);
		for (unsigned i = 0; i < ports->count; i++)
			if (ports->range[i].dev == dev)
				monitor_print(" %lx-%lx", ports->range[i].first,
					      ports->range[i].last);
		monitor_print("\n%s", text);
	}
	return NULL;
}
DEFINE_MONITOR_COMMAND(devices, "devices", " [NAME]", "its devices", devices,
		       .subject = MONITOR_VM);

/* The vectors whose bits are set in ISR, IRR or TMR: 32 in each fourth word. */
static void print_vectors(const char *name, const u32 *bits)
{
	unsigned shown = 0;

	monitor_print("  %-5s", name);
	for (unsigned vector = 0; vector < 256; vector++)
		if (bits[vector / 32 * 4] & BIT(vector % 32)) {
			monitor_print(shown && shown % 24 == 0 ? "\n        %02x" : " %02x", vector);
			shown++;
		}
	monitor_print("\n");
}

static void print_lapic(const struct vcpu *vcpu)
{
	static const struct {
		const char *name;
		unsigned offset;
	} regs[] = {
		{"id", LAPIC_ID}, {"ldr", LAPIC_LDR}, {"dfr", LAPIC_DFR}, {"svr", LAPIC_SVR},
		{"tpr", LAPIC_TPR}, {"icr", LAPIC_ICR}, {"to", LAPIC_ICR_HIGH}, {"esr", LAPIC_ESR},
		{"timer", LAPIC_LVT_TIMER}, {"count", LAPIC_TIMER_INITIAL},
		{"div", LAPIC_TIMER_DIVIDE}, {"error", LAPIC_LVT_ERROR},
		{"lint0", LAPIC_LVT_LINT0}, {"lint1", LAPIC_LVT_LINT1},
		{"perf", LAPIC_LVT_PERFORMANCE}, {"therm", LAPIC_LVT_THERMAL},
	};
	static const char *const modes[] = {"off", "invalid", "xAPIC", "x2APIC"};
	const u32 *apic = vcpu->virt->apic;

	monitor_print("local APIC of vCPU %u, %s, base %lx\n", vcpu->id,
		      modes[vcpu->lapic.base >> 10 & 3], vcpu->lapic.base);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		monitor_print("  %-5s %08x%s", regs[i].name, apic[regs[i].offset / 4],
			      i % 4 == 3 ? "\n" : "");
	print_vectors("isr", apic + LAPIC_ISR / 4);
	print_vectors("irr", apic + LAPIC_IRR / 4);
	print_vectors("level", apic + LAPIC_TMR / 4);
}

static const char *irq(const struct monitor_call *call)
{
	const struct vm *vm = call->vm;
	const struct vcpu *vcpu;

	devices(call);
	for (unsigned id = 0; vm && id < vm->vcpu_count; id++) {
		if ((vcpu = vm_vcpu(vm, id)))
			print_lapic(vcpu);
		vm = monitor_more_of(call->machine) ? call->machine->vm : NULL;
	}
	return NULL;
}
DEFINE_MONITOR_COMMAND(irq, "irq", " [NAME]", "its interrupt controllers", irq,
		       .subject = MONITOR_VM, .argument = true);
