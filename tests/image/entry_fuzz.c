/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest=entry-fuzz:SEED:COUNT: mutates valid guest states, asks the checker
 * what the CPU will do with each, enters, and compares. An accepted guest has no
 * memory and a preemption timer of 0, so it executes nothing. Where the CPU is
 * known to differ from the manual, a row of `known` says so; else none may.
 */
#include "arch/cpu.h"
#include "arch/lib/string.h"
#include "arch/vmx_check.h"
#include "tests/image/entry_vm.h"
#include "tests/image/selftest.h"

#define FIELDS_MAX    96
#define MUTATIONS_MAX 4
#define TOLD_MAX      20
#define RULES_MAX     192

struct setting {
	u32 field;
	u64 value;
};

/* ---- the valid states, each on top of the one that it names */

#define CODE32	  ACCESS_G | ACCESS_DB | 0x9b
#define DATA32	  ACCESS_G | ACCESS_DB | 0x93
#define USER	  ACCESS_DPL
#define PROTECTED (CR0_PE | CR0_NE | CR0_ET)

static const struct setting real[] = {{0, 0}};
static const struct setting protected16[] = {
	{VMCS_GUEST_CR0, PROTECTED}, {VMCS_GUEST_LDTR_ACCESS, ACCESS_UNUSABLE},
	{VMCS_GUEST_CS_SELECTOR, 8}, {VMCS_GUEST_CS_BASE, 0}, {VMCS_GUEST_SS_SELECTOR, 16},
};
static const struct setting protected32[] = {
	{VMCS_GUEST_CS_ACCESS, CODE32}, {VMCS_GUEST_CS_LIMIT, 0xffffffff},
	{VMCS_GUEST_SS_ACCESS, DATA32}, {VMCS_GUEST_SS_LIMIT, 0xffffffff},
	{VMCS_GUEST_DS_ACCESS, DATA32}, {VMCS_GUEST_DS_LIMIT, 0xffffffff},
	{VMCS_GUEST_ES_ACCESS, ACCESS_UNUSABLE}, {VMCS_GUEST_TR_ACCESS, 0x8b},
	{VMCS_GUEST_TR_LIMIT, 0x67}, {VMCS_GUEST_RFLAGS, RFLAGS_IF | RFLAGS_ONE},
	{VMCS_GUEST_LDTR_ACCESS, 0x82}, {VMCS_GUEST_LDTR_SELECTOR, 0x28},
};
static const struct setting pae[] = {
	{VMCS_GUEST_CR0, CR0_PG | CR0_WP | PROTECTED}, {VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE},
	{VMCS_GUEST_PDPTE0, 0x2001}, {VMCS_GUEST_PDPTE1, 0x3001}, {VMCS_GUEST_PDPTE3, 0x5e1e},
	{VMCS_GUEST_CR3, 0x1000}, {VMCS_GUEST_EFER, EFER_NXE},
};
static const struct setting long64[] = {
	{VMCS_GUEST_CR0, CR0_PG | CR0_WP | PROTECTED}, {VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE},
	{VMCS_GUEST_EFER, EFER_NXE | EFER_LME | EFER_LMA | EFER_SCE},
	{VMCS_ENTRY_CONTROLS, ENTRY_CTL_IA32E}, {VMCS_GUEST_CS_ACCESS, ACCESS_G | ACCESS_L | 0x9b},
	{VMCS_GUEST_RIP, 0xffffffff81000000}, {VMCS_GUEST_GS_BASE, 0xffff888000000000},
};
static const struct setting compatible[] = {
	{VMCS_GUEST_CS_ACCESS, CODE32 | USER}, {VMCS_GUEST_CS_SELECTOR, 0x23},
	{VMCS_GUEST_SS_ACCESS, DATA32 | USER}, {VMCS_GUEST_SS_SELECTOR, 0x2b},
	{VMCS_GUEST_DS_ACCESS, DATA32 | USER}, {VMCS_GUEST_DS_SELECTOR, 0x2b},
	{VMCS_GUEST_FS_ACCESS, ACCESS_UNUSABLE}, {VMCS_GUEST_GS_ACCESS, ACCESS_UNUSABLE},
	{VMCS_GUEST_RIP, 0x8048000},
};
#define V86(segment, selector)                                                                    \
	{VMCS_GUEST_##segment##_SELECTOR, selector}, {VMCS_GUEST_##segment##_BASE, selector << 4},\
		{VMCS_GUEST_##segment##_LIMIT, 0xffff}, {VMCS_GUEST_##segment##_ACCESS, 0xf3}
static const struct setting virtual8086[] = {
	V86(ES, 0x1000), V86(CS, 0xf000), V86(SS, 0x2003), V86(DS, 0x3001), V86(FS, 0), V86(GS, 7),
	{VMCS_GUEST_RFLAGS, RFLAGS_VM | RFLAGS_IF | RFLAGS_ONE},
};

enum { REAL, PROTECTED16, PROTECTED32, PAE, LONG64, COMPATIBLE, VIRTUAL8086, BASES };
#define ROWS(name) name, ARRAY_SIZE(name)
static const struct {
	const char *name;
	unsigned on_top_of;
	const struct setting *set;
	unsigned count;
} bases[BASES] = {
	[REAL] = {"real", REAL, ROWS(real)},
	[PROTECTED16] = {"protected16", REAL, ROWS(protected16)},
	[PROTECTED32] = {"protected32", PROTECTED16, ROWS(protected32)},
	[PAE] = {"pae", PROTECTED32, ROWS(pae)},
	[LONG64] = {"long64", PROTECTED32, ROWS(long64)},
	[COMPATIBLE] = {"compatible", LONG64, ROWS(compatible)},
	[VIRTUAL8086] = {"virtual8086", PAE, ROWS(virtual8086)},
};

/* What belongs to a guest's state: its fields, and the controls that follow its mode. */
static u32 field[FIELDS_MAX];
static unsigned fields;
static u64 base_value[BASES][FIELDS_MAX];

/* What the VMCS holds, since VMREAD is slow: by width, type and index of the encoding. */
static u64 mirror[512];

static u64 *mirrored(u32 f)
{
	return &mirror[VMCS_WIDTH(f) << 7 | FIELD_GET(BITS(11, 10), f) << 5 | FIELD_GET(BITS(5, 1), f)];
}

static u64 read_field(void *arg, u32 f)
{
	(void)arg;
	return *mirrored(f);
}

static void put(u32 f, u64 value)
{
	vmcs_set(f, value);
	*mirrored(f) = value;
}

static unsigned place(u32 wanted)
{
	unsigned i = 0;

	while (i + 1 < fields && field[i] != wanted)
		i++;
	return i;
}

static void make_bases(void)
{
#define ENCODING(name, encoding) encoding,
	static const u32 all[] = {VMCS_FIELDS(ENCODING)};
	static const u32 more[] = {VMCS_ENTRY_CONTROLS, VMCS_ENTRY_INTR_INFO, VMCS_ENTRY_INSN_LENGTH,
				   VMCS_ENTRY_EXCEPTION_ERROR, VMCS_PROC_BASED_CONTROLS,
				   VMCS_PROC_BASED_CONTROLS2, VMCS_VIRTUAL_APIC_ADDRESS,
				   VMCS_APIC_ACCESS_ADDRESS, VMCS_TPR_THRESHOLD};

	fields = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		*mirrored(all[i]) = vmcs_get(all[i]);
		if (FIELD_GET(BITS(11, 10), all[i]) == 2 && all[i] != VMCS_PREEMPTION_TIMER)
			field[fields++] = all[i];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(more); i++)
		field[fields++] = more[i];
	for (unsigned i = 0; i < fields; i++)
		base_value[REAL][i] = vmcs_get(field[i]);
	for (unsigned b = 1; b < BASES; b++) {
		memcpy(base_value[b], base_value[bases[b].on_top_of], sizeof(base_value[b]));
		for (unsigned i = 0; i < bases[b].count; i++) {
			u64 *value = &base_value[b][place(bases[b].set[i].field)];
			bool add = bases[b].set[i].field == VMCS_ENTRY_CONTROLS;

			*value = bases[b].set[i].value | (add ? *value : 0);
		}
	}
}

/* ---- mutations */

static u64 seed;

static u64 draw(u64 below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % below;
}

static const u64 edges[] = {
	0, 1, 2, 3, 8, 0xffff, 0x10000, 0xfffff, 0x100000, 0xffffffff, BIT(32), BIT(39), BIT(40),
	BIT(47) - 1, BIT(47), BIT(48), 0xffff800000000000, 0xffff7fffffffffff, BIT(63), ~0ull,
};
static const u32 rights[] = {0x9b, 0x93, 0xf3, 0xfb, 0x9f, 0x8b, 0x83, 0x82, 0x97, 0x99, 0xff, 0xd7,
			     0x10000, CODE32, DATA32, ACCESS_L | 0x9b, ACCESS_G | ACCESS_L | 0x9b};
static const u32 events[] = {0x80000020, 0x80000202, 0x80000301, 0x80000312, 0x80000306, 0x80000480,
			     0x80000603, 0x80000501};
/* Values that decide, for fields where one bit seldom does. */
static const struct {
	u32 field;
	u64 value[8];
} telling[] = {
	{VMCS_GUEST_ACTIVITY, {0, 1, 2, 3, 4, 1, 1, 2}},
	{VMCS_GUEST_INTERRUPTIBILITY, {0, 1, 2, 3, 8, 4, 16, 9}},
	{VMCS_GUEST_PENDING_DEBUG, {0, 1 << 14, 1 << 12, 15, 1 << 14 | 1, 1 << 16, 1 << 12 | 1, 1 << 4}},
	{VMCS_GUEST_RFLAGS, {2, 0x202, 0x302, 0x102, 0x20202, 0x20002, 0x3202, 0}},
	{VMCS_GUEST_EFER, {0, 0xd01, 0x500, 0x100, 0x400, 0x901, 0xc01, 0x800}},
	{VMCS_GUEST_CR0, {0x80050033, 0x33, 0x30, 0x80000030, 0x80000021, 0x20, 0xe0050033, 0x80000001}},
	{VMCS_GUEST_CR4, {0x2000, 0x2020, 0x22020, 0x20, 0x22000, 0x802020, 0x3020, 0x26f8}},
	{VMCS_GUEST_DEBUGCTL, {0, 1, 2, 4, 0x40, 0x8000, 0x10000, 2}},
	{VMCS_ENTRY_INSN_LENGTH, {0, 1, 2, 15, 16, 3, 1, 2}},
	{VMCS_ENTRY_EXCEPTION_ERROR, {0, 1, 0x7fff, 0x8000, 0xffff, 0x10000, 0, 2}},
	{VMCS_TPR_THRESHOLD, {0, 1, 2, 4, 5, 6, 15, 16}},
	{VMCS_GUEST_INTERRUPT_STATUS, {0, 0x30, 0x3000, 0x4550, 0xff, 0xff00, 0xffff, 0x5530}},
};

static const u32 flipped[] = {PROC2_UNRESTRICTED, PROC2_APIC_ACCESS, PROC2_X2APIC,
			      PROC2_APIC_REGISTERS, PROC2_VIRTUAL_INTERRUPTS,
			      PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS};

static u64 mutated(u32 f, u64 value)
{
	static const u8 bits_of_width[] = {16, 64, 32, 64};
	unsigned bits = bits_of_width[VMCS_WIDTH(f)];

	if (f == VMCS_ENTRY_INTR_INFO)
		return events[draw(ARRAY_SIZE(events))];
	if (f == VMCS_PROC_BASED_CONTROLS2)
		return value ^ flipped[draw(ARRAY_SIZE(flipped))];
	if (f == VMCS_PROC_BASED_CONTROLS)
		return value ^ PROC_TPR_SHADOW;
	/* Nothing but Trivet's own page, since the CPU writes there. */
	if (f == VMCS_VIRTUAL_APIC_ADDRESS)
		return value ^ (draw(2) ? BIT(draw(12)) : BIT(52 + draw(12)));
	if (f == VMCS_ENTRY_CONTROLS)
		return value ^ ENTRY_CTL_IA32E;
	for (unsigned i = 0; i < ARRAY_SIZE(telling); i++)
		if (telling[i].field == f && draw(2))
			return telling[i].value[draw(8)];
	if (f >= VMCS_GUEST_ES_ACCESS && f <= VMCS_GUEST_TR_ACCESS && draw(2))
		return rights[draw(ARRAY_SIZE(rights))];
	switch (draw(8)) {
	case 0:
		return edges[draw(ARRAY_SIZE(edges))] & size_mask(bits / 8);
	case 1:
		return value ^ BIT(draw(bits)) ^ BIT(draw(bits));
	default:
		return value ^ BIT(draw(bits));
	}
}

/* ---- comparison */

struct state {
	unsigned base, mutations;
	unsigned at[MUTATIONS_MAX]; /* in field[] */
	bool predicted;		    /* refused */
	struct vmx_check_result broken;
	u32 code; /* of the CPU's refusal, 0 when it accepted */
};

/* What was entered; the VMCS itself has changed since, when the CPU accepted it. */
static bool accepted_though(const struct state *s, u32 f)
{
	return s->predicted && !s->code && s->broken.field == f;
}

static bool debugctl(const struct state *s)
{
	return accepted_though(s, VMCS_GUEST_DEBUGCTL);
}

static bool pending_debug(const struct state *s)
{
	return accepted_though(s, VMCS_GUEST_PENDING_DEBUG) &&
	       !(s->broken.value & ~PENDING_DEBUG_USED & BITS(31, 0));
}

static bool long_without_paging(const struct state *s)
{
	return accepted_though(s, VMCS_GUEST_CR0) && (*mirrored(VMCS_ENTRY_CONTROLS) & ENTRY_CTL_IA32E) &&
	       !(s->broken.value & CR0_PG);
}

/* Whether CS.RPL fits CS.DPL, which is asked in place of SS.DPL. */
static bool cs_rpl_fits(void)
{
	u64 access = *mirrored(VMCS_GUEST_CS_ACCESS), dpl = FIELD_GET(ACCESS_DPL, access);
	u64 rpl = *mirrored(VMCS_GUEST_CS_SELECTOR) & 3;

	return access & ACCESS_CONFORMING ? rpl >= dpl : rpl == dpl;
}

static bool cs_dpl(const struct state *s)
{
	if (!(*mirrored(VMCS_GUEST_CS_ACCESS) & ACCESS_CODE))
		return false;
	return cs_rpl_fits() ? accepted_though(s, VMCS_GUEST_CS_ACCESS) : !s->predicted && s->code;
}

static bool null_ss(const struct state *s)
{
	return (accepted_though(s, VMCS_GUEST_SS_ACCESS) || accepted_though(s, VMCS_GUEST_SS_BASE)) &&
	       !(*mirrored(VMCS_GUEST_SS_SELECTOR) & ~3u) && (*mirrored(VMCS_ENTRY_CONTROLS) & ENTRY_CTL_IA32E);
}

static bool real_v86(const struct state *s)
{
	return accepted_though(s, VMCS_GUEST_RFLAGS) && (s->broken.value & RFLAGS_VM) &&
	       !(*mirrored(VMCS_GUEST_CR0) & CR0_PE);
}

static u32 event_type(void)
{
	return FIELD_GET(INTR_INFO_TYPE, *mirrored(VMCS_ENTRY_INTR_INFO));
}

static bool hlt_event(const struct state *s)
{
	return accepted_though(s, VMCS_GUEST_ACTIVITY) && s->broken.value == 1 &&
	       event_type() >= INTR_TYPE_HARDWARE;
}

static bool nmi_blocked(const struct state *s)
{
	return accepted_though(s, VMCS_GUEST_INTERRUPTIBILITY) && event_type() == INTR_TYPE_NMI &&
	       s->broken.value == INTERRUPTIBILITY_NMI;
}

static bool code_in_ds(const struct state *s)
{
	return (accepted_though(s, VMCS_GUEST_DS_ACCESS) || accepted_though(s, VMCS_GUEST_ES_ACCESS) ||
		accepted_though(s, VMCS_GUEST_FS_ACCESS) || accepted_though(s, VMCS_GUEST_GS_ACCESS)) &&
	       FIELD_GET(ACCESS_TYPE, s->broken.value) == 11;
}

static bool rip(const struct state *s)
{
	return accepted_though(s, VMCS_GUEST_RIP) && (*mirrored(VMCS_GUEST_CS_ACCESS) & ACCESS_L);
}

/* Where the CPU under test is known to differ, with the manual's rule by section title. */
static const struct known {
	const char *rule;
	bool (*is)(const struct state *s);
} known[] = {
	{"\"Checks on Guest Control Registers, Debug Registers, and MSRs\": reserved bits of DEBUGCTL are 0;"
	 " not checked", debugctl},
	{"\"Checks on Guest Non-Register State\": bits 63:32 of pending debug exceptions are 0; not checked",
	 pending_debug},
	{"\"Checks on Guest Control Registers, Debug Registers, and MSRs\": IA-32e mode needs CR0.PG; "
	 "not checked", long_without_paging},
	{"\"Checks on Guest Segment Registers\": CS.DPL is compared with SS.DPL; is with CS.RPL", cs_dpl},
	{"\"Checks on Guest Segment Registers\": a usable SS is checked; not one with a null selector in "
	 "IA-32e mode", null_ss},
	{"\"Checks on Guest RIP, RFLAGS, and SSP\": VM needs CR0.PE; not checked", real_v86},
	{"\"Checks on Guest RIP, RFLAGS, and SSP\": bits 63:48 of RIP are alike; not checked", rip},
	{"\"Checks on Guest Non-Register State\": of exceptions and software events #DB and #MC alone come in "
	 "HLT; all do", hlt_event},
	{"\"Checks on Guest Non-Register State\": with virtual NMIs no NMI comes while NMIs are blocked; "
	 "not checked", nmi_blocked},
	{"\"Checks on Guest Segment Registers\": the DPL of code of type 11 is not under the RPL; not "
	 "checked for this type", code_in_ds},
};
static u64 known_count[ARRAY_SIZE(known)], rule_count[RULES_MAX];
static u64 accepted, unexplained, skipped, other_class;

static void enter_base(unsigned base)
{
	for (unsigned i = 0; i < fields; i++)
		put(field[i], base_value[base][i]);
}

static void tell(const struct state *s)
{
	log_info("  %s; the CPU: %s %xh; the checker: %s %lxh %s", bases[s->base].name,
		 s->code ? "refuses" : "accepts", s->code,
		 s->predicted ? entry_vm_name(s->broken.field) : "accepts",
		 s->predicted ? s->broken.value : 0, s->predicted ? s->broken.rule->text : "");
	for (unsigned i = 0; i < s->mutations; i++)
		log_info("    %s = %lx, was %lx", entry_vm_name(field[s->at[i]]),
			 *mirrored(field[s->at[i]]), base_value[s->base][s->at[i]]);
}

static bool explained(const struct state *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].is && known[i].is(s)) {
			known_count[i]++;
			return true;
		}
	return false;
}

/* How the CPU is to report a rule of this class. */
static u32 code_of(const struct state *s)
{
	static const u32 codes[] = {[VMX_CHECK_CONTROLS] = 7, [VMX_CHECK_HOST] = 8,
				    [VMX_CHECK_GUEST] = 0x80000021};

	return s->predicted ? codes[s->broken.rule->class] : 0;
}

static void compare(const struct state *s)
{
	if (s->predicted)
		rule_count[s->broken.rule - vmx_check_rules]++;
	else
		accepted++;
	if (s->predicted && s->code && s->code != code_of(s))
		other_class++;
	if (s->predicted == !!s->code || explained(s))
		return;
	if (unexplained++ < TOLD_MAX)
		tell(s);
}

/* States that are not tried: nothing but a SIPI ends the wait for it, no timer either;
 * and Bochs ends itself when it has accepted IA-32e mode without CR0.PE. */
static bool never_ends(void)
{
	return vmread32(GUEST_ACTIVITY) == 3 ||
	       ((vmread32(ENTRY_CONTROLS) & ENTRY_CTL_IA32E) && !(vmread(GUEST_CR0) & CR0_PE));
}

static void one(struct vm *vm, unsigned base)
{
	const struct vmx_check_source source = {read_field, NULL, &vmx_caps, vm->vcpu->virt->apic};
	struct state s = {.base = base, .mutations = 1 + draw(MUTATIONS_MAX)};
	struct vmx_vcpu *v = to_vmx(vm->vcpu->virt);
	struct vcpu_exit exit;

	for (unsigned i = 0; i < s.mutations; i++) {
		s.at[i] = draw(fields);
		put(field[s.at[i]], mutated(field[s.at[i]], base_value[base][s.at[i]]));
	}
	s.predicted = vmx_check(&source, &s.broken);
	if (never_ends()) {
		skipped++;
	} else {
		virt->run(&v->base, 0, &exit);
		s.code = exit.reason == EXIT_ENTRY_FAILED ? exit.failed.code : 0;
		compare(&s);
		vmx_state_write_back(v); /* what decoding the exit has changed */
	}
	if (!s.code) {
		enter_base(base);
		return;
	}
	for (unsigned i = 0; i < s.mutations; i++)
		put(field[s.at[i]], base_value[base][s.at[i]]);
}

static void summarize(u64 count)
{
	unsigned rules = 0;

	for (unsigned i = 0; i < vmx_check_rule_count; i++) {
		if (!rule_count[i])
			continue;
		rules++;
		log_debug("%8lu %s %s", rule_count[i], entry_vm_name(vmx_check_rules[i].field),
			  vmx_check_rules[i].text);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (known_count[i])
			log_info("known: %lu times: %s", known_count[i], known[i].rule);
	log_info("%lu states: %lu accepted, %lu not tried, %u of %u rules broken, %lu refused in "
		 "another way, %lu differences unexplained", count, accepted, skipped, rules,
		 vmx_check_rule_count, other_class, unexplained);
}

static unsigned run(const char *argument)
{
	const char *colon = strchr(argument, ':');
	u64 count = 0;
	struct vm *vm;

	if (!colon || str_to_u64(argument, colon - argument, &seed) || !seed ||
	    str_to_u64(colon + 1, strlen(colon + 1), &count) || !entry_vm_create(&vm)) {
		log_error("selftest: entry-fuzz wants SEED:COUNT, SEED not 0");
		return 1;
	}
	vmx_state_write_back(to_vmx(vm->vcpu->virt));
	vm->vcpu->virt->apic[APIC_TPR] = 0x5a; /* for the threshold */
	make_bases();
	for (unsigned base = 0; base < BASES; base++) {
		enter_base(base);
		if (virt->check(vm->vcpu->virt)) {
			log_error("base %s: %s", bases[base].name, virt->check(vm->vcpu->virt));
			unexplained++;
		}
		for (u64 i = 0; i < count / BASES; i++)
			one(vm, base);
	}
	enter_base(REAL);
	entry_vm_destroy(vm);
	summarize(count / BASES * BASES);
	return unexplained != 0;
}

DEFINE_SELFTEST(entry_fuzz, .name = "entry-fuzz", .run = run);
