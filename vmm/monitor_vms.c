/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands about machines as a whole: their lives, what they use, and what
 * they consist of.
 */
#include "arch/tsc.h"
#include "vmm/mem.h"
#include "vmm/monitor.h"
#include "vmm/vcpu.h"
#include "vmm/vtimer.h"

/* A machine's vCPU to be looked at until life_leave; NULL without life_enter: it has
 * none, or the machine's job is at work on it. */
static struct vcpu *enter(struct machine *machine)
{
	if (!machine->vm || machine->working)
		return NULL;
	life_enter(machine);
	if (machine->vm)
		return machine->vm->vcpu;
	life_leave(machine);
	return NULL;
}

static void print_use(const struct vcpu *vcpu)
{
	u64 exits = 0, ms = muldiv64(vcpu->task.ran, 1000, tsc_hz);

	for (unsigned i = 0; i < EXIT_REASONS; i++)
		exits += vcpu->exits[i];
	monitor_print("%5u %4u %5lu M %5lu.%03lu s %10lu", 1u, vcpu->task.cpu,
		      (vcpu->vm->ram_below_4g + vcpu->vm->ram_above_4g) >> 20, ms / 1000,
		      ms % 1000, exits);
}

static const char *vms(const struct monitor_call *call)
{
	monitor_print("key name             state    vCPUs core  memory   CPU time      exits\n");
	for (struct machine *m = life_machines; m && monitor_more(); m = m->next) {
		struct vcpu *vcpu = enter(m);

		monitor_print("%c   %-16s %-8s ", m->console && m->console->key ? m->console->key : '-',
			      m->config.vm, life_state_names[m->state]);
		if (vcpu) {
			print_use(vcpu);
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

static const char *stats(const struct monitor_call *call)
{
	struct vcpu *vcpu = call->vm->vcpu;
	struct vcpu_seen *seen = &vcpu->seen;

	monitor_print("%-18s %12s %10s   since the last look\n", "exit", "count", "ticks each");
	for (unsigned i = 0; i < EXIT_REASONS; i++) {
		u64 count = vcpu->exits[i], ticks = vcpu->exit_ticks[i];
		u64 new = count - seen->exits[i], new_ticks = ticks - seen->exit_ticks[i];

		if (count)
			monitor_print("%-18s %12lu %10lu %12lu %10lu\n", virt_exit_name(i), count,
				      ticks / count, new, new ? new_ticks / new : 0);
		seen->exits[i] = count;
		seen->exit_ticks[i] = ticks;
	}
	return NULL;
}
DEFINE_MONITOR_COMMAND(stats, "stats", " [NAME]", "its exits by reason, and what each cost", stats,
		       .subject = MONITOR_VM);

static const char *top(const struct monitor_call *call)
{
	u64 since = rdtsc();

	for (bool first = true; first || !monitor_pause(since + tsc_hz); first = false) {
		u64 now = rdtsc();

		for (struct machine *m = life_machines; m; m = m->next) {
			struct vcpu *vcpu = enter(m);
			u64 share;

			if (!vcpu)
				continue;
			share = muldiv64(vcpu->task.ran - vcpu->seen.ran, 1000, now - since + 1);
			vcpu->seen.ran = vcpu->task.ran;
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
	const struct bus *ports = &call->vm->ports;

	vm_device_lock(call->vm);
	for (struct vdev *dev = call->vm->devices; dev; dev = dev->next) {
		char text[512] = "";

		if (dev->type->describe)
			dev->type->describe(dev, text, sizeof(text));
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
	vm_device_unlock(call->vm);
	return NULL;
}
DEFINE_MONITOR_COMMAND(devices, "devices", " [NAME]", "its devices", devices,
		       .subject = MONITOR_VM);
DEFINE_MONITOR_COMMAND(irq, "irq", " [NAME]", "its interrupt controllers", devices,
		       .subject = MONITOR_VM, .argument = true);
