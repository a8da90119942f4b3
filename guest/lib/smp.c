/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The start of the other processors, one at a time, and the word that tells each what
 * to do.
 */
#include "guest/lib/smp.h"
#include "guest/lib/acpi.h"
#include "guest/lib/boot.h"
#include "guest/lib/irq.h"
#include "guest/lib/trap.h"

#define TRAMPOLINE  0x10000 /* below 1 MiB, above what real.h and flat images use */
#define MADT_LAPIC  0
#define MADT_X2APIC 9
#define STACK_SIZE  8192

struct worker {
	void (*volatile fn)(void *arg);
	void *arg;
	volatile bool here;
};

unsigned smp_count = 1;
u32 smp_id[SMP_MAX];
void (*smp_arrived)(unsigned cpu);

static struct worker workers[SMP_MAX];
static u8 stacks[SMP_MAX][STACK_SIZE] __attribute__((aligned(16)));

/* smp.asm: the code for the trampoline's page; where the next CPU begins with its stack. */
extern const u8 smp_trampoline[], smp_trampoline_end[];
extern unsigned long smp_stack;
void smp_main(void);

static void on_wake(struct trap_frame *frame)
{
	(void)frame;
	apic_eoi();
}

static void add(u32 id)
{
	if (id != smp_id[0] && smp_count < SMP_MAX)
		smp_id[smp_count++] = id;
}

unsigned smp_find(void)
{
	unsigned words = (unsigned)boot_number("cpus", 1);
	const u8 *p;

	smp_id[0] = apic_id();
	smp_count = 1;
	for (p = NULL; (p = acpi_madt_next(p, MADT_LAPIC));)
		if (p[4] & 1)
			add(p[3]);
	for (p = NULL; (p = acpi_madt_next(p, MADT_X2APIC));)
		if (p[8] & 1)
			add(p[4] | p[5] << 8 | p[6] << 16 | (u32)p[7] << 24);
	for (u32 id = 0; !acpi_find("APIC") && id < words; id++)
		add(id);
	return smp_count;
}

unsigned smp_cpu(void)
{
	unsigned long here = (unsigned long)&here, base = (unsigned long)stacks;

	return here - base < sizeof(stacks) ? (unsigned)((here - base) / STACK_SIZE) : 0;
}

/* The C part of a CPU's start, on its own stack. */
void smp_main(void)
{
	unsigned cpu = smp_cpu();
	struct worker *me = &workers[cpu];

	idt_load(trap_idt, sizeof(trap_idt) - 1);
	if (smp_arrived)
		smp_arrived(cpu);
	apic_enable();
	me->here = true;
	for (;;) {
		while (!me->fn)
			sti_hlt_cli();
		me->fn(me->arg);
		me->fn = NULL;
	}
}

void smp_send_init(unsigned cpu)
{
	workers[cpu].here = false;
	workers[cpu].fn = NULL;
	apic_send(smp_id[cpu], APIC_INIT | APIC_LEVEL | APIC_ASSERT);
	pit_wait_us(10000);
}

void smp_send_startup(unsigned cpu)
{
	memcpy((void *)phys(TRAMPOLINE), smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
	smp_stack = (unsigned long)stacks[cpu] + STACK_SIZE;
	apic_send(smp_id[cpu], APIC_STARTUP | APIC_ASSERT | TRAMPOLINE >> 12);
	pit_wait_us(200);
}

bool smp_is_here(unsigned cpu)
{
	return workers[cpu].here;
}

bool smp_start(unsigned cpu)
{
	trap_hook[SMP_WAKE] = on_wake;
	smp_send_init(cpu);
	smp_send_startup(cpu);
	if (!smp_is_here(cpu))
		smp_send_startup(cpu);
	for (unsigned ms = 0; ms < 100 && !smp_is_here(cpu); ms++)
		pit_wait_us(1000);
	return smp_is_here(cpu);
}

unsigned smp_start_all(void)
{
	unsigned running = 1;

	smp_find();
	for (unsigned cpu = 1; cpu < smp_count; cpu++)
		running += smp_start(cpu);
	return running;
}

void smp_run(unsigned cpu, void (*fn)(void *arg), void *arg)
{
	workers[cpu].arg = arg;
	workers[cpu].fn = fn;
	apic_send(smp_id[cpu], APIC_FIXED | APIC_ASSERT | SMP_WAKE);
}

void smp_wait(unsigned cpu)
{
	while (workers[cpu].fn)
		pause();
}

void smp_run_others(void (*fn)(void *arg), void *arg)
{
	for (unsigned cpu = 1; cpu < smp_count; cpu++)
		smp_run(cpu, fn, arg);
	for (unsigned cpu = 1; cpu < smp_count; cpu++)
		smp_wait(cpu);
}

void smp_barrier(struct smp_barrier *barrier, u32 parties)
{
	u32 round = barrier->round;

	if (__atomic_add_fetch(&barrier->waiting, 1, __ATOMIC_SEQ_CST) == parties) {
		barrier->waiting = 0;
		barrier->round = round + 1;
		return;
	}
	while (barrier->round == round)
		pause();
}
