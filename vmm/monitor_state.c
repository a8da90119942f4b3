/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look at a VM's registers and memory. For each look the VM is stopped, and
 * goes on before anything of it is shown.
 */
#include "arch/lib/string.h"
#include "vmm/gmem.h"
#include "vmm/monitor.h"
#include "vmm/vcpu.h"

#define CHUNK 64 /* bytes read at one look: no line has more */
#define COUNT_MAX 4096

static void begin(struct vcpu *vcpu)
{
	vm_stop(vcpu->vm);
	vcpu_load(vcpu);
}

static void end(struct vcpu *vcpu)
{
	vcpu_put(vcpu);
	vm_go(vcpu->vm);
}

/* The names of the bits that are set: from bit 0 on, a number leaves out some. */
static void print_flags(const char *name, u64 value, const char *bits)
{
	char word[16];

	monitor_print("%-6s %016lx", name, value);
	for (u64 bit = 0; *bits; bits += *bits == ' ') {
		size_t len = 0;

		while (*bits && *bits != ' ')
			word[len++] = *bits++;
		word[len] = '\0';
		if (str_to_u64(word, len, &bit) && (value & BIT(bit++)))
			monitor_print(" %s", word);
	}
	monitor_print("\n");
}

static void print_segment(const char *name, const struct vcpu_segment *s)
{
	monitor_print("%-6s %04x base %016lx limit %08x type %x dpl %u%s%s%s%s%s\n", name, s->selector,
		      s->base, s->limit, s->type, s->dpl, s->s ? "" : " system",
		      s->present ? "" : " not present", s->l ? " 64-bit" : s->db ? " 32-bit" : "",
		      s->g ? " pages" : "", s->unusable ? " unusable" : "");
}

static const char *const gpr_names[GPR_COUNT] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};
static const char *const segment_names[SREG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

static const char *regs(const struct monitor_call *call)
{
	struct vcpu *vcpu;
	struct vcpu_regs r;
	struct vcpu_sregs s;
	struct vcpu_debugregs d;
	const char *wrong = monitor_vcpu(call, &vcpu);

	if (wrong)
		return wrong;
	begin(vcpu);
	vcpu_get_regs(vcpu, &r);
	vcpu_get_sregs(vcpu, &s);
	vcpu_get_debugregs(vcpu, &d);
	end(vcpu);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		monitor_print("%-4s%016lx%s", gpr_names[i], r.gpr[i], i % 4 == 3 ? "\n" : "  ");
	monitor_print("rip %016lx\n", r.rip);
	print_flags("rflags", r.rflags,
		    "CF 2 PF 4 AF 6 ZF SF TF IF DF OF IOPL1 IOPL2 NT 16 RF VM AC VIF VIP ID");
	for (unsigned i = 0; i < SREG_COUNT; i++)
		print_segment(segment_names[i], &s.seg[i]);
	print_segment("tr", &s.tr);
	print_segment("ldtr", &s.ldtr);
	monitor_print("gdt    base %016lx limit %04x  idt base %016lx limit %04x\n", s.gdt.base,
		      s.gdt.limit, s.idt.base, s.idt.limit);
	print_flags("cr0", s.cr0, "PE MP EM TS ET NE 16 WP 18 AM 29 NW CD PG");
	monitor_print("cr2    %016lx  cr3 %016lx\n", s.cr2, s.cr3);
	print_flags("cr4", s.cr4, "VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP LA57 VMXE "
		    "SMXE 16 FSGSBASE PCIDE OSXSAVE KL SMEP SMAP PKE CET PKS");
	print_flags("efer", s.efer, "SCE 8 LME 10 LMA NXE");
	monitor_print("dr0 %016lx  dr1 %016lx  dr2 %016lx  dr3 %016lx\ndr7    %016lx\n", d.dr[0],
		      d.dr[1], d.dr[2], d.dr[3], d.dr7);
	print_flags("dr6", d.dr6, "B0 B1 B2 B3 13 BD BS BT");
	return NULL;
}
DEFINE_MONITOR_COMMAND(regs, "regs", " [NAME] [VCPU]", "its registers", regs,
		       .subject = MONITOR_VM, .most = 1);

/* What x shows: gdb's N, F and U. */
struct format {
	u64 count;
	char letter; /* x d u o t c s */
	unsigned size;
};

/* Returns NULL, or what is wrong. */
static const char *parse_format(const char *text, struct format *f)
{
	static const char units[] = "bhwg";
	const char *digits = text;

	while (*text >= '0' && *text <= '9')
		text++;
	if (text > digits && (str_to_u64(digits, text - digits, &f->count) || f->count > COUNT_MAX))
		return "that is too much at once";
	for (; *text; text++) {
		const char *unit = strchr(units, *text);

		if (*text == 'i')
			return "there is no disassembler";
		if (unit)
			f->size = BIT(unit - units);
		else if (strchr("xduotcs", *text))
			f->letter = *text;
		else
			return monitor_usage;
	}
	if (f->letter == 'c' || f->letter == 's')
		f->size = 1;
	return NULL;
}

/* Reads at most len bytes of guest memory, up to the first that cannot be read; how many. */
static size_t read(struct vm *vm, bool physical, u64 addr, u8 *data, size_t len)
{
	size_t done = 0;

	begin(vm->vcpu);
	while (done < len) {
		u64 at = addr + done;
		size_t piece = MIN(len - done, PAGE_SIZE - at % PAGE_SIZE);
		struct vcpu_translation to = {.gpa = GPA(at), .valid = physical};

		if (!physical)
			vcpu_translate(vm->vcpu, GVA(at), &to);
		if (!to.valid || guest_read(vm, to.gpa, data + done, piece))
			break;
		done += piece;
	}
	end(vm->vcpu);
	return done;
}

static char printable(u8 byte)
{
	return byte >= ' ' && byte < 0x7f ? byte : '.';
}

static void print_value(const struct format *f, const u8 *data)
{
	unsigned bits = 8 * f->size;
	u64 value = 0;

	memcpy(&value, data, f->size);
	monitor_print("\t");
	if (f->letter == 'd')
		monitor_print("%ld", (s64)(value << (64 - bits)) >> (64 - bits));
	else if (f->letter == 'u')
		monitor_print("%lu", value);
	else if (f->letter == 'o')
		monitor_print("0%lo", value);
	else if (f->letter == 'c')
		monitor_print("%d '%c'", (s8)value, printable(value));
	else if (f->letter == 'x')
		monitor_print("0x%0*lx", (int)bits / 4, value);
	else
		while (bits--)
			monitor_print("%c", value & BIT(bits) ? '1' : '0');
}

/* One string: up to its NUL, or as much of it as one look takes. Returns its bytes. */
static size_t print_string(const u8 *data, size_t len)
{
	size_t end = strnlen((const char *)data, len);

	monitor_print("\t\"");
	for (size_t i = 0; i < end; i++)
		monitor_print("%c", printable(data[i]));
	monitor_print("\"%s", end == len ? "..." : "");
	return MIN(end + 1, len);
}

static const char *examine(const struct monitor_call *call)
{
	struct format f = {1, 'x', 4};
	const char *wrong = parse_format(call->format, &f), *where = call->argv[0];
	bool physical = !strncmp(where, "p:", 2);
	u64 addr;

	where += physical ? 2 : 0;
	if (wrong || str_to_u64(where, strlen(where), &addr))
		return wrong ? wrong : monitor_usage;
	while (f.count) {
		struct vm *vm = call->machine->vm;
		u8 data[CHUNK];
		unsigned units = MIN(f.count, MIN(8, 16 / f.size));
		size_t want = f.letter == 's' ? CHUNK : units * f.size, got;

		if (!vm)
			return "that VM has gone";
		got = read(vm, physical, addr, data, want);
		units = f.letter == 's' ? got > 0 : got / f.size;
		if (!units) {
			monitor_print("cannot access memory at 0x%lx\n", addr);
			break;
		}
		monitor_print("0x%lx:", addr);
		f.count -= units;
		for (unsigned i = 0; i < units && f.letter != 's'; i++)
			print_value(&f, data + i * f.size);
		addr += f.letter == 's' ? print_string(data, got) : units * f.size;
		monitor_print("\n");
		if (!monitor_more_of(call->machine))
			break;
	}
	return NULL;
}
DEFINE_MONITOR_COMMAND(examine, "x", "/NFU [NAME] [p:]ADDRESS", "its memory, as gdb's x; p: physical",
		       examine, .subject = MONITOR_VM, .least = 1, .most = 1);
