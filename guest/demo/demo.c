/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The built-in demo guest: shows what a guest sees of its machine and answers a
 * few commands on COM1. Input and ticks come by interrupt; with the word
 * `poll` no interrupt is used.
 */
#include "guest/lib/boot.h"
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"
#include "guest/lib/irq.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"
#include "vmm/abi.h"

#define TICKS_PER_SECOND 100
#define LINE_MAX	 80
#define UART_IER	 (CONSOLE_PORT + 1)
#define IER_RECEIVED	 0x01

static bool polled;

static void show_signature(const char *what, u32 leaf)
{
	struct cpuid r = cpuid(leaf, 0);
	char text[13] = "";

	memcpy(text, &r.ebx, 12);
	print("%s %s, leaves to %x\n", what, text, r.eax);
}

static void show_cpu(void)
{
	struct cpuid r = cpuid(0, 0), one = cpuid(1, 0);
	char brand[49] = "";

	for (u32 i = 0; i < 3; i++) {
		r = cpuid(0x80000002 + i, 0);
		memcpy(brand + 16 * i, &r, 16);
	}
	print("CPU: %s\n", brand);
	print("CPUID 1: %08x %08x %08x %08x\n", one.eax, one.ebx, one.ecx, one.edx);
	if (!cpu_has_hypervisor()) {
		print("no hypervisor\n");
		return;
	}
	show_signature("hypervisor:", ABI_CPUID_KVM);
	if (cpu_on_trivet())
		show_signature("Trivet's leaf:", ABI_CPUID_TRIVET);
}

static void show_memory(void)
{
	print("memory: %u KiB below, %u KiB above 1 MiB\n", boot.mem_lower, boot.mem_upper);
	for (unsigned i = 0; i < boot.range_count; i++)
		print("  %010llx - %010llx %s\n", boot.range[i].base,
		      boot.range[i].base + boot.range[i].size - 1,
		      boot.range[i].type == 1 ? "RAM" : "reserved");
	for (unsigned i = 0; i < boot.module_count; i++)
		print("  module %u: %08x - %08x %s\n", i + 1, boot.module[i].first,
		      boot.module[i].end - 1, boot.module[i].cmdline);
}

static u8 rtc_bcd(u8 index)
{
	u8 value;

	outb(0x70, index);
	value = inb(0x71);
	return (u8)((value >> 4) * 10 + (value & 15));
}

static void show_time(void)
{
	print("clock: 20%02u-%02u-%02u %02u:%02u:%02u UTC\n", rtc_bcd(9), rtc_bcd(8), rtc_bcd(7),
	      rtc_bcd(4), rtc_bcd(2), rtc_bcd(0));
	if (!polled)
		print("ticks of the 8254 at %u Hz: %u\n", TICKS_PER_SECOND, irq_count[0]);
	print("TSC: %llu\n", rdtsc());
}

static void end_reboot(void)
{
	print("reboot by the i8042\n");
	console_drain();
	outb(0x64, 0xfe);
	halt_forever();
}

static void end_exit(void)
{
	print("exit\n");
	test_exit(0);
}

static void end_halt(void)
{
	print("halt\n");
	console_drain();
	halt_forever();
}

static void show_help(void);
static void take_bytes(void);

static const struct {
	const char *name, *what;
	void (*run)(void);
} commands[] = {
	{"help", "this list", show_help},
	{"time", "clock, ticks, TSC", show_time},
	{"mem", "memory map and modules", show_memory},
	{"cpuid", "processor and hypervisor", show_cpu},
	{"take", "count bytes up to a newline, and hash them", take_bytes},
	{"reboot", "reset the machine by port 64h", end_reboot},
	{"exit", "end with exit code 0 by the debug-exit port", end_exit},
	{"halt", "stop with interrupts off", end_halt},
};

static void show_help(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		print("  %s: %s\n", commands[i].name, commands[i].what);
}

static void run_command(const char *line)
{
	if (!*line)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i].name, line)) {
			commands[i].run();
			return;
		}
	}
	print("%s: no such command, try help\n", line);
}

/* The next character; sleeps between interrupts, with none lost before the HLT. */
static char wait_char(void)
{
	int c;

	for (;;) {
		c = console_getc();
		if (c >= 0)
			return (char)c;
		if (polled)
			pause();
		else
			sti_hlt_cli();
	}
}

/* The hash of FNV-1a, 32 bits. */
static void take_bytes(void)
{
	u32 hash = 0x811c9dc5, count = 0;
	char c;

	print("taking\n");
	while ((c = wait_char()) != '\n') {
		hash = (hash ^ (u8)c) * 0x01000193;
		count++;
	}
	print("%u bytes taken, hash %08x\n", count, hash);
}

static void read_line(char *line)
{
	unsigned n = 0;
	char c;

	while ((c = wait_char()) != '\r' && c != '\n') {
		if ((c == '\b' || c == 0x7f) && n) {
			n--;
			print("\b \b");
		} else if (c >= ' ' && c != 0x7f && n < LINE_MAX - 1) {
			line[n++] = c;
			console_putc(c);
		}
	}
	line[n] = '\0';
	console_putc('\n');
}

/* The handler need not read: the line below HLT does, and the line then falls. */
static void start_interrupts(void)
{
	irq_init();
	pit_start(2, PIT_HZ / TICKS_PER_SECOND);
	irq_unmask(0);
	irq_unmask(CONSOLE_IRQ);
	outb(UART_IER, IER_RECEIVED);
}

void test_main(void)
{
	char line[LINE_MAX];

	polled = boot_word("poll") != NULL;
	print("Trivet demo guest, loaded by %s\nwords: %s\n",
	      boot.loader[0] ? boot.loader : "an unnamed loader", boot.cmdline);
	show_cpu();
	show_memory();
	if (!polled) {
		start_interrupts();
		while (irq_count[0] < 10)
			sti_hlt_cli();
		print("10 ticks of the 8254 arrived\n");
	}
	show_time();
	print("type help for the commands\n");
	for (;;) {
		print("demo> ");
		read_line(line);
		run_command(line);
	}
}
