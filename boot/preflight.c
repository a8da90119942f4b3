/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preflight: the checks themselves are the back end's, the words too.
 */
#include "boot/preflight.h"

#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/percpu.h"
#include "arch/smp.h"
#include "arch/virt.h"
#include "boot/end.h"

#define WHY_SIZE 400

static unsigned lacks;
static bool unfit[PCPU_MAX]; /* cores that failed the probe */

/* One back end call, made on another core. */
struct core_call {
	int (*fn)(char *why, size_t size);
	char why[WHY_SIZE];
	int error;
};

void preflight_lacks(const char *fmt, ...)
{
	char text[WHY_SIZE];

	STR_FORMAT_REST(text, sizeof(text), fmt);
	log_error("preflight: %s", text);
	lacks++;
}

void preflight_lacks_memory(const struct boot_info *info)
{
	u64 ram = 0;

	for (unsigned i = 0; i < info->memory_count; i++)
		if (info->memory[i].type == BOOT_MEMORY_RAM)
			ram += info->memory[i].length;
	preflight_lacks("too little memory: %lu MiB in all, and %lu MiB must be left beside image "
			"and modules",
			ram >> 20, (u64)MEMORY_LEAST >> 20);
}

static void on_core(void *arg)
{
	struct core_call *call = arg;

	call->error = call->fn(call->why, sizeof(call->why));
}

static struct core_call call_core(unsigned id, int (*fn)(char *why, size_t size))
{
	struct core_call call = {.fn = fn};

	smp_call(id, on_core, &call);
	return call;
}

static void lacks_lines(const char *why)
{
	while (*why) {
		const char *end = strchr(why, '\n');
		size_t len = end ? (size_t)(end - why) : strlen(why);

		preflight_lacks("%.*s", (int)len, why);
		why += len + (end != NULL);
	}
}

bool preflight_probe(void)
{
	for (unsigned id = 0; id < pcpu_count; id++) {
		struct core_call call = call_core(id, virt->probe);

		if (!call.error)
			continue;
		if (id == 0) {
			lacks_lines(call.why);
			break;
		}
		unfit[id] = true;
		log_warn("preflight: core %u: %s; no guest runs there", id, call.why);
	}
	return lacks == 0;
}

unsigned preflight_enable(void)
{
	unsigned on = 0;

	for (unsigned id = 0; id < pcpu_count; id++) {
		struct core_call call;

		if (unfit[id])
			continue;
		call = call_core(id, virt->cpu_enable);
		if (!call.error)
			on++;
		else if (id == 0)
			preflight_lacks("%s", call.why);
		else
			log_warn("preflight: core %u: %s; no guest runs there", id, call.why);
	}
	return on;
}

unsigned preflight_count(void)
{
	return lacks;
}

_Noreturn void preflight_stop(const struct options *options)
{
	log_error("preflight: this machine cannot run guests, for what is said above");
	end_machine(options);
}
