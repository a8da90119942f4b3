/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults of Trivet's own: each row of the table ends in a panic, whose line test_fault.py knows.
 * selftest=fault:NAME is for one CPU before there are others; selftest=crash:NAME for the boot
 * CPU with the others at work: core 1 in a guest, 2 in root mode with interrupts off, 3 at a lock
 * that nobody gives back, the others idle. Those that can say so each now and then ("beat 1"),
 * which has to end with the panic.
 */
#include "arch/panic.h"

#include "arch/apic.h"
#include "arch/context.h"
#include "arch/cpu.h"
#include "arch/ksyms.h"
#include "arch/lib/lock.h"
#include "arch/memory.h"
#include "arch/msr.h"
#include "arch/percpu.h"
#include "arch/pt.h"
#include "arch/smp.h"
#include "arch/stacks.h"
#include "arch/tsc.h"
#include "boot/output.h"
#include "tests/image/guest.h"

/* A function of its own, under its own name. */
#if __has_attribute(noclone)
#define NOINLINE __attribute__((noinline, noclone))
#else
#define NOINLINE __attribute__((noinline))
#endif

static u8 data_code[16] = {0xc3}; /* RET */
static const u64 read_only = 1;

/* ---- memory */

static NOINLINE void fault_window(void)
{
	u64 word;

	log_info("selftest: a copy from where nothing is mapped gives %d",
		 window_copy(&word, (const void *)WINDOW_BASE, sizeof(word)));
	*(volatile u8 *)WINDOW_BASE = 0;
}

static NOINLINE void fault_text(void)
{
	*(volatile u8 *)(u64)fault_window = 0x90;
}

static NOINLINE void fault_rodata(void)
{
	*(volatile u64 *)(u64)&read_only = 2;
}

/* The address comes from memory, so that no compiler sees through it. */
static NOINLINE void call(u64 to)
{
	volatile u64 hidden = to;

	__asm__ volatile("call *%0" ::"r"(hidden) : "memory");
}

static NOINLINE void fault_data(void)
{
	call((u64)data_code);
}

static NOINLINE void fault_jump(void)
{
	volatile u64 hidden = (u64)data_code;

	__asm__ volatile("jmp *%0" ::"r"(hidden) : "memory");
}

static NOINLINE void fault_null(void)
{
	call(0);
}

static NOINLINE void fault_page0(void)
{
	volatile u64 hidden = 8;

	*(volatile u32 *)hidden;
}

static NOINLINE unsigned fault_overflow_deeper(volatile unsigned *above)
{
	volatile unsigned room[16] = {*above + 1};

	return *above ? fault_overflow_deeper(room) + room[0] : 0;
}

static NOINLINE void fault_overflow(void)
{
	volatile unsigned one = 1;

	fault_overflow_deeper(&one);
}

/* On a job's stack. */
static NOINLINE void fault_job(void)
{
	void *top = stacks_take();
	u64 here;

	if (top)
		context_switch(&here, context_new(top, fault_overflow));
}

/* Written where no compiler sees it, or it would object. */
static NOINLINE void fault_smash(void)
{
	u8 bytes[16], *to = bytes;
	u64 count = 64;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0x5a) : "memory");
}

/* A user-mapped page at the window, executable; and in the page: RET. */
static bool map_window(void)
{
	static struct space space;
	u8 *page = pages_alloc(1);
	unsigned level;
	u64 *leaf;

	if (!page || space_create(&space) ||
	    space_map(&space, WINDOW_BASE, virt_to_phys(page), PAGE_SIZE, SPACE_USER | SPACE_WRITE))
		return false;
	page[0] = 0xc3;
	leaf = pt_leaf(&space.pt, WINDOW_BASE, &level);
	*leaf &= ~BIT(63);
	space_enter(&space);
	return true;
}

static NOINLINE void fault_smap(void)
{
	if (map_window())
		*(volatile u32 *)WINDOW_BASE;
}

static NOINLINE void fault_smep(void)
{
	if (map_window())
		call(WINDOW_BASE);
}

/* ---- instructions */

static NOINLINE void fault_ud(void)
{
	__asm__ volatile("ud2");
}

static NOINLINE void fault_bp(void)
{
	__asm__ volatile("int3");
}

static NOINLINE void fault_db(void)
{
	__asm__ volatile("pushfq; orl %0, (%%rsp); popfq; nop" ::"i"(RFLAGS_TF) : "cc", "memory");
}

/* An indirect call of what does not begin with ENDBR64. */
static NOINLINE void fault_cp(void)
{
	__asm__ volatile("leaq 1f(%%rip), %%rax; call *%%rax; jmp 2f; 1: ret; 2:" ::: "rax", "memory");
}

static NOINLINE void fault_gp(void)
{
	*(volatile u64 *)0x0123456789abcde8ull;
}

/* ---- alarms: NMIs by the APIC where there is one, so that the CPU blocks others */

static void send_nmi(unsigned cpu)
{
	if (pcpu_count > 1)
		apic_send(pcpus[cpu]->apic_id, APIC_SEND_NMI);
	else
		__asm__ volatile("int $2");
}

static NOINLINE void fault_nmi(void)
{
	send_nmi(this_pcpu()->id);
	for (;;)
		cpu_relax();
}

static NOINLINE void fault_mc(void)
{
	__asm__ volatile("int $18"); /* the same gate as a machine check's */
}

/* Several alarms at once: the second waits until the first one's handler is done. */
static NOINLINE void fault_nmis(void)
{
	for (unsigned i = 0; i < 4; i++)
		send_nmi(this_pcpu()->id);
	fault_nmi();
}

/* ---- in the log, by a sink that comes before all others */

static void (*sink_fault)(void);
static const char *sink_waits; /* for a line that begins so */
static unsigned sink_times = 1;

static void sink_write(const char *text, size_t len)
{
	if (strncmp(text, sink_waits, strlen(sink_waits)) == 0 && sink_times && sink_times--)
		sink_fault();
}

static NOINLINE void fault_in_sink(const char *waits, void (*fault)(void))
{
	static struct log_sink sink = {.write = sink_write};

	sink_waits = "nothing";
	log_add_sink(&sink);
	sink_waits = waits;
	sink_fault = fault;
}

/* The log's lock is held, the line half said. */
static NOINLINE void fault_half_line(void)
{
	uart_write(&output_uart, (const u8 *)"HALF A L", 8);
	fault_ud();
}

static NOINLINE void fault_log(void)
{
	fault_in_sink("HALF", fault_half_line);
	log_info("HALF A LINE");
}

/* In the line of another panic, and behind it. */
static NOINLINE void fault_again(void)
{
	fault_in_sink("error: panic", fault_ud);
	fault_mc();
}

static void flush_in_vain(void)
{
	log_info("selftest: the flush");
	fault_ud();
}

/* Neither a line nor what comes last can be told. */
static NOINLINE void fault_for_ever(void)
{
	panic_flush = flush_in_vain;
	sink_times = 99;
	fault_again();
}

static NOINLINE void fault_behind(void)
{
	fault_in_sink("error:   rip", fault_ud);
	fault_mc();
}

/* A machine check in the handler of an NMI; NMIs in that of a machine check. */
static NOINLINE void fault_nmi_mc(void)
{
	fault_in_sink("error:   rip", fault_mc);
	fault_nmi();
}

static void more_nmis(void)
{
	for (unsigned i = 0; i < 4; i++)
		send_nmi(this_pcpu()->id);
}

static NOINLINE void fault_mc_nmi(void)
{
	sink_times = 99;
	fault_in_sink("error: ", more_nmis);
	fault_mc();
}

static NOINLINE void fault_nmi_nmi(void)
{
	sink_times = 99;
	fault_in_sink("error: ", more_nmis);
	fault_nmi();
}

static u64 address_of(const char *function)
{
	const char *name = ksyms_names;

	for (u32 i = 0; i + 1 < ksyms_count; i++, name += strlen(name) + 1)
		if (strcmp(name, function) == 0)
			return IMAGE_BASE + ksyms_table[i];
	panic("no function %s", function);
}

/* A breakpoint where the screen's console goes to its next line, its lock held. */
static NOINLINE void fault_screen(void)
{
	u64 at = address_of("new_line"), on = 0x402;

	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(at), "r"(on));
	log_info("what the screen is showing");
}

/* ---- where guests come out */

/* Overwrites Trivet's code by way of a second mapping. */
static void poke(u64 at, const u8 *bytes, size_t len)
{
	u8 *alias = phys_map(virt_to_phys((void *)at), len, PHYS_WRITE_BACK);

	if (!alias)
		panic("no room for %p", (void *)at);
	memcpy(alias, bytes, len);
}

static NOINLINE void wait_for_the_end(void)
{
	for (;;)
		cpu_relax();
}

/* A machine check at the first instruction of any function on the way around guests. */
static NOINLINE void fault_at(const char *function)
{
	poke(address_of(function), (const u8[]){0xcd, 18}, 2);
	wait_for_the_end();
}

static NOINLINE void fault_exit_mc(void)
{
	fault_at("vmx_entry_exit");
}

static NOINLINE void fault_exit_nmi(void)
{
	poke(address_of("vmx_entry_exit"), (const u8[]){0xcd, 2}, 2);
	wait_for_the_end();
}

static NOINLINE void fault_exit_ud(void)
{
	poke(address_of("vmx_entry_exit"), (const u8[]){0x0f, 0x0b}, 2);
	wait_for_the_end();
}

static NOINLINE void fault_guest_nmi(void)
{
	send_nmi(1);
	wait_for_the_end();
}

/* A sleeping CPU's alarm. */
static NOINLINE void fault_idle_nmi(void)
{
	send_nmi(4);
	wait_for_the_end();
}

/* ---- on two CPUs at the same moment */

static u64 moment;

static void fault_then(void *arg)
{
	(void)arg;
	while (rdtsc() < moment)
		;
	fault_ud();
}

static NOINLINE void fault_both(void)
{
	moment = rdtsc() + tsc_hz / 100;
	for (unsigned i = 4; i < pcpu_count; i++)
		smp_post(i, fault_then, NULL);
	fault_then(NULL);
}

static const struct fault {
	const char *name;
	void (*run)(void);
} faults[] = {
	{"", fault_window}, {"text", fault_text}, {"rodata", fault_rodata}, {"data", fault_data},
	{"jump", fault_jump}, {"null", fault_null}, {"page0", fault_page0},
	{"overflow", fault_overflow}, {"job", fault_job}, {"smash", fault_smash}, {"cp", fault_cp},
	 {"smap", fault_smap}, {"smep", fault_smep}, {"ud", fault_ud},
	{"bp", fault_bp}, {"db", fault_db}, {"gp", fault_gp}, {"nmi", fault_nmi}, {"mc", fault_mc},
	{"nmis", fault_nmis}, {"log", fault_log}, {"again", fault_again},
	{"for-ever", fault_for_ever}, {"behind", fault_behind}, {"nmi-mc", fault_nmi_mc},
	{"mc-nmi", fault_mc_nmi}, {"nmi-nmi", fault_nmi_nmi}, {"screen", fault_screen},
	{"exit-mc", fault_exit_mc}, {"exit-nmi", fault_exit_nmi}, {"exit-ud", fault_exit_ud},
	{"guest-nmi", fault_guest_nmi}, {"idle-nmi", fault_idle_nmi}, {"both", fault_both},
};

static unsigned run_fault(const char *argument)
{
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		if (strcmp(faults[i].name, argument) == 0)
			faults[i].run();
	if (strncmp(argument, "at:", 3) == 0)
		fault_at(argument + 3);
	log_error("selftest: no fault '%s', or it did no harm", argument);
	return 1;
}

/* ---- the other CPUs */

#define BEAT (tsc_hz / 200)

static struct spinlock never = {.next = 1};
static u32 beats;

static void beat(void)
{
	log_info("beat %u", this_pcpu()->id);
	__atomic_add_fetch(&beats, 1, __ATOMIC_RELAXED);
}

/* A guest that does nothing, in registers that lead nowhere. */
static void run_guest(void *arg)
{
	static const u8 code[] = {0xeb, 0xfe};
	struct guest g;

	(void)arg;
	if (!guest_make(&g, MIB(2)))
		return;
	vm_set_memory_region(g.vm, 0, 0, GPA(0), MIB(2), g.mem, 0);
	guest_write(g.vm, GPA(0x1000), code, sizeof(code));
	guest_start(&g, 0x1000, 0);
	vcpu_set_gpr(g.vcpu, GPR_RBP, DIRECT_BASE + 0x123456789000);
	for (;;) {
		guest_run(&g, BEAT);
		beat();
	}
}

static void run_root(void *arg)
{
	(void)arg;
	for (;;) {
		u64 until = rdtsc() + BEAT;

		while (rdtsc() < until)
			cpu_relax();
		beat();
	}
}

static void run_wait(void *arg)
{
	(void)arg;
	beat();
	spin_lock(&never);
}

static unsigned run_crash(const char *argument)
{
	static void (*const runs[])(void *arg) = {NULL, run_guest, run_root, run_wait};

	for (unsigned i = 1; i < MIN(pcpu_count, ARRAY_SIZE(runs)); i++)
		smp_post(i, runs[i], NULL);
	while (__atomic_load_n(&beats, __ATOMIC_RELAXED) < 8)
		cpu_relax();
	return run_fault(argument);
}

static unsigned run_panic(const char *argument)
{
	(void)argument;
	panic("asked for by selftest=panic");
}

DEFINE_SELFTEST(panic_test, .name = "panic", .early = true, .run = run_panic);
DEFINE_SELFTEST(fault_test, .name = "fault", .early = true, .run = run_fault);
DEFINE_SELFTEST(crash_test, .name = "crash", .run = run_crash);
