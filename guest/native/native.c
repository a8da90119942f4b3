/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Enters a bzImage on the bare machine exactly as Trivet enters it in a VM:
 * the yardstick of `make bench`. GRUB loads this stub by multiboot2 with the
 * same two module2 lines that Trivet gets, `KERNEL mem=SIZE -- WORDS` and
 * `INITRD`. The placement is that of vmm/load_linux.c; it stands here once
 * more because guests share no code with Trivet. No faults are handled.
 */
#include "guest/lib/console.h"
#include "guest/lib/cpu.h"

/* The placement rules. */
enum place {
	PLACE_GDT = 0x1000,
	PLACE_PML4 = 0x2000,
	PLACE_PDPT = 0x3000,
	PLACE_PD = 0x4000, /* four of them */
	PLACE_ZERO_PAGE = 0x8000,
	PLACE_CMDLINE = 0x9000,
	PLACE_CMDLINE_MAX = 0x10000,
	PLACE_LOW_RAM_END = 0xa0000,
	PLACE_BIOS = 0xe0000,
	PLACE_RAM = 0x100000,
	PLACE_MEM_DEFAULT = 256 << 20,
};

/* Offsets in the zero page, "The Linux/x86 Boot Protocol" and "Zero Page". */
enum {
	ZP_E820_ENTRIES = 0x1e8,
	HDR_START = 0x1f1,
	HDR_JUMP = 0x201,
	HDR_MAGIC = 0x202,
	HDR_LOADER = 0x210,
	HDR_CODE32 = 0x214,
	HDR_RAMDISK = 0x218,
	HDR_RAMDISK_SIZE = 0x21c,
	HDR_CMDLINE = 0x228,
	HDR_INITRD_MAX = 0x22c,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_END_MAX = 0x290,
	ZP_E820_TABLE = 0x2d0,
	ENTRY_64 = 0x200,
};

#define MB2_MAGIC      0x36d76289
#define MB2_TAG_END    0
#define MB2_TAG_MODULE 3

struct module {
	u32 first, size;
	const char *words;
};

struct entry {
	u16 gdt_limit;
	u32 gdt;
	u16 unused;
	u32 cr3, rip, rsi, tsc_low, tsc_high;
} __attribute__((packed));

void native_main(u32 magic, u32 info);
_Noreturn void native_enter(const struct entry *entry);

static struct module modules[2]; /* kernel, initrd */
static char cmdline[PLACE_CMDLINE_MAX];

static u32 get32(u32 address)
{
	return *(volatile u32 *)phys(address);
}

static void put(u32 address, u64 value, unsigned size)
{
	memcpy((void *)phys(address), &value, size);
}

static _Noreturn void stop(const char *why)
{
	print("native: %s\n", why);
	halt_forever();
}

static unsigned find_modules(u32 info)
{
	u32 end = info + get32(info), tag = info + 8;
	unsigned count = 0;

	for (; tag < end && get32(tag) != MB2_TAG_END; tag += (get32(tag + 4) + 7) & ~7u) {
		if (get32(tag) != MB2_TAG_MODULE)
			continue;
		if (count == ARRAY_SIZE(modules))
			stop("more than a kernel and one initrd");
		modules[count++] = (struct module){get32(tag + 8), get32(tag + 12) - get32(tag + 8),
						   (const char *)phys(tag + 16)};
	}
	return count;
}

/* Splits `mem=SIZE -- WORDS`: keeps the words, returns the size. */
static u32 read_words(const char *words)
{
	u32 mem = PLACE_MEM_DEFAULT;

	for (const char *p = words; *p; p++) {
		if (p != words && p[-1] != ' ')
			continue;
		if (!strncmp(p, "mem=", 4)) {
			for (mem = 0, p += 4; *p >= '0' && *p <= '9'; p++)
				mem = mem * 10 + (u32)(*p - '0');
			mem <<= *p == 'G' ? 30 : *p == 'M' ? 20 : *p == 'K' ? 10 : 0;
			p--;
		} else if (!strncmp(p, "-- ", 3)) {
			if (strlen(p + 3) >= sizeof(cmdline))
				stop("command line too long");
			memcpy(cmdline, p + 3, strlen(p + 3) + 1);
			break;
		}
	}
	return mem;
}

static bool apart(u32 a, u32 a_size, u32 b, u32 b_size)
{
	return a + a_size <= b || b + b_size <= a;
}

/* Moves both to their places, in the order in which neither harms the other. */
static void move_images(u32 base, u32 payload, u32 initrd)
{
	u32 size = modules[0].size - payload, from = modules[0].first + payload;

	if (apart(initrd, modules[1].size, from, size)) {
		memmove((void *)phys(initrd), (void *)phys(modules[1].first), modules[1].size);
		memmove((void *)phys(base), (void *)phys(from), size);
	} else if (apart(base, size, modules[1].first, modules[1].size)) {
		memmove((void *)phys(base), (void *)phys(from), size);
		memmove((void *)phys(initrd), (void *)phys(modules[1].first), modules[1].size);
	} else {
		stop("the modules lie in each other's places; give the machine more memory");
	}
}

static void write_e820(u32 mem)
{
	const struct {
		u64 base, size, type;
	} map[] = {
		{0, PLACE_LOW_RAM_END, 1},
		{PLACE_BIOS, PLACE_RAM - PLACE_BIOS, 2},
		{PLACE_RAM, mem - PLACE_RAM, 1},
	};

	put(PLACE_ZERO_PAGE + ZP_E820_ENTRIES, ARRAY_SIZE(map), 1);
	for (u32 i = 0, at = PLACE_ZERO_PAGE + ZP_E820_TABLE; i < ARRAY_SIZE(map); i++, at += 20) {
		put(at, map[i].base, 8);
		put(at + 8, map[i].size, 8);
		put(at + 16, map[i].type, 4);
	}
}

static void write_cpu_tables(void)
{
	static const u64 segments[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};

	memcpy((void *)phys(PLACE_GDT), segments, sizeof(segments));
	memset((void *)phys(PLACE_PML4), 0, PLACE_ZERO_PAGE - PLACE_PML4);
	put(PLACE_PML4, PLACE_PDPT | 3, 8);
	for (u32 i = 0; i < 4; i++)
		put(PLACE_PDPT + 8 * i, (PLACE_PD + 0x1000 * i) | 3, 8);
	for (u64 i = 0; i < 4 * 512; i++)
		put(PLACE_PD + 8 * (u32)i, i << 21 | 0x83, 8);
}

/* The header is read before the images move over it. */
static void load(u32 mem, struct entry *entry)
{
	u32 image = modules[0].first, zero = PLACE_ZERO_PAGE;
	u32 header_end = HDR_MAGIC + (get32(image + HDR_JUMP) & 0xff);
	u32 sectors = get32(image + HDR_START) & 0xff;
	u32 payload = ((sectors ? sectors : 4) + 1) * 512;
	u32 base = get32(image + HDR_PREF_ADDRESS);
	u32 top = get32(image + HDR_INITRD_MAX) + 1 < mem ? get32(image + HDR_INITRD_MAX) + 1 : mem;
	u32 initrd = (top - modules[1].size) & ~0xfffu;

	if (get32(image + HDR_MAGIC) != 0x53726448)
		stop("the first module is not a bzImage");
	if (base < PLACE_RAM || base + get32(image + HDR_INIT_SIZE) > initrd)
		stop("kernel and initrd do not fit in mem=");
	if (header_end > HDR_END_MAX)
		header_end = HDR_END_MAX;
	memset((void *)phys(zero), 0, 4096);
	memcpy((void *)phys(zero + HDR_START), (void *)phys(image + HDR_START),
	       header_end - HDR_START);
	put(zero + HDR_LOADER, 0xff, 1);
	put(zero + HDR_CODE32, base, 4);
	put(zero + HDR_RAMDISK, modules[1].size ? initrd : 0, 4);
	put(zero + HDR_RAMDISK_SIZE, modules[1].size, 4);
	put(zero + HDR_CMDLINE, PLACE_CMDLINE, 4);
	write_e820(mem);
	memcpy((void *)phys(PLACE_CMDLINE), cmdline, strlen(cmdline) + 1);
	write_cpu_tables();
	move_images(base, payload, initrd);
	*entry = (struct entry){.gdt_limit = 31, .gdt = PLACE_GDT, .cr3 = PLACE_PML4,
				.rip = base + ENTRY_64, .rsi = zero};
}

/* Firmware leaves the 8259 open and the RTC as it was; a VM starts with all lines masked. */
static void quiet_interrupts(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

void native_main(u32 magic, u32 info)
{
	struct entry entry;
	u64 tsc;
	u32 mem;

	console_init();
	if (magic != MB2_MAGIC)
		stop("not loaded by multiboot2");
	if (!find_modules(info))
		stop("no kernel module");
	mem = read_words(modules[0].words);
	print("native: mem %u MiB, kernel %u bytes, initrd %u bytes, command line: %s\n", mem >> 20,
	      modules[0].size, modules[1].size, cmdline);
	load(mem, &entry);
	quiet_interrupts();
	tsc = rdtsc();
	entry.tsc_low = (u32)tsc;
	entry.tsc_high = (u32)(tsc >> 32);
	print("native: entry tsc=%llx\n", tsc);
	console_drain();
	native_enter(&entry);
}
