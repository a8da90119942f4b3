/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's state around each VM entry: behind the exit it is what it was before, or what the
 * manual says that an exit makes of it. At an entry it is what it was at this CPU's first one,
 * but for the address space, which is the loaded one. Left out is what belongs to the guest all
 * the time that its vCPU is loaded: DR0 to DR3, DR6, CR2, XCR0 and the like (switched.c).
 * Source: Intel SDM volume 3, "Loading Host State", above all "Loading Host Segment and
 * Descriptor-Table Registers": the limits of GDTR and IDTR become FFFFh. Trivet leaves them so:
 * all 256 gates of the IDT are there anyway, and the only selectors that it ever loads after its
 * start are those of its own gates and IRET frames.
 */
#include "tests/paranoid/paranoid.h"

#include "arch/cpu.h"
#include "arch/desc.h"
#include "arch/lib/string.h"
#include "arch/memory.h"
#include "arch/msr.h"

/* What no exit changes. */
#define KEPT (~0ull)

static u64 read_cr8(void)
{
	u64 value;

	__asm__ volatile("mov %%cr8, %0" : "=r"(value));
	return value;
}

static u64 read_dr7(void)
{
	u64 value;

	__asm__ volatile("mov %%dr7, %0" : "=r"(value));
	return value;
}

#define READ_SELECTOR(instruction)                                                                \
	({                                                                                        \
		u16 value_;                                                                       \
		__asm__ volatile(instruction " %0" : "=r"(value_));                               \
		value_;                                                                           \
	})

/* name, how it is read, what an exit leaves */
#define REGISTERS(X)                                                                              \
	X(CR0, read_cr0(), KEPT)                                                                  \
	X(CR3, read_cr3(), KEPT)                                                                  \
	X(CR4, read_cr4(), KEPT)                                                                  \
	X(CR8, read_cr8(), KEPT)                                                                  \
	X(DR7, read_dr7(), 0x400)                                                                 \
	X(GDTR_BASE, gdt.base, KEPT)                                                              \
	X(GDTR_LIMIT, gdt.limit, 0xffff)                                                          \
	X(IDTR_BASE, idt.base, KEPT)                                                              \
	X(IDTR_LIMIT, idt.limit, 0xffff)                                                          \
	X(CS, READ_SELECTOR("mov %%cs,"), KEPT)                                                   \
	X(SS, READ_SELECTOR("mov %%ss,"), KEPT)                                                   \
	X(DS, READ_SELECTOR("mov %%ds,"), KEPT)                                                   \
	X(ES, READ_SELECTOR("mov %%es,"), KEPT)                                                   \
	X(FS, READ_SELECTOR("mov %%fs,"), KEPT)                                                   \
	X(GS, READ_SELECTOR("mov %%gs,"), KEPT)                                                   \
	X(LDTR, READ_SELECTOR("sldt"), 0)                                                         \
	X(TR, READ_SELECTOR("str"), KEPT)

enum {
#define X(name, read, after) HOST_##name,
	REGISTERS(X)
#undef X
	HOST_MSRS
};

static const struct {
	const char *name;
	u64 after;
} registers[] = {
#define X(name, read, after) {#name, after},
	REGISTERS(X)
#undef X
};

/* Some CPUs lack some of them, which then read as 0. */
static const struct {
	u32 index;
	u64 after;
} msrs[] = {
	{MSR_APIC_BASE, KEPT}, {MSR_SPEC_CTRL, KEPT}, {MSR_SYSENTER_CS, KEPT},
	{MSR_SYSENTER_ESP, KEPT}, {MSR_SYSENTER_EIP, KEPT}, {MSR_MISC_ENABLE, KEPT},
	{MSR_DEBUGCTL, 0}, {MSR_PAT, KEPT}, {MSR_MTRR_DEF_TYPE, KEPT}, {MSR_EFER, KEPT},
	{MSR_FS_BASE, KEPT}, {MSR_GS_BASE, KEPT}, {MSR_XSS, KEPT},
	{0x122, KEPT} /* IA32_TSX_CTRL */, {0x6a2, KEPT} /* IA32_S_CET */,
	{0x6a4, KEPT} /* IA32_PL0_SSP */, {0x6a8, KEPT} /* IA32_INTERRUPT_SSP_TABLE_ADDR */,
	{0x6e1, KEPT} /* IA32_PKRS */,
};

#define HOST_COUNT (HOST_MSRS + ARRAY_SIZE(msrs))
_Static_assert(HOST_COUNT <= PARANOID_HOST, "room in struct paranoid");

/* Found out once a CPU: a #GP takes many instructions. */
static u32 missing[PCPU_MAX];

static void find_missing(u32 *lack)
{
	u64 value;

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		if (msr_read_safe(msrs[i].index, &value))
			*lack |= BIT(i);
}

static void read_host(u64 host[HOST_COUNT])
{
	u32 lack = missing[this_pcpu()->id];
	struct desc_pointer gdt, idt;

	__asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
#define X(name, read, after) host[HOST_##name] = (read);
	REGISTERS(X)
#undef X
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		host[HOST_MSRS + i] = lack & BIT(i) ? 0 : rdmsr(msrs[i].index);
}

static const char *differs(unsigned i, u64 is, u64 wanted, const char *where)
{
	if (i < HOST_MSRS)
		return paranoid_say("%s is %lx and not %lx %s", registers[i].name, is, wanted,
				    where);
	return paranoid_say("MSR %xh is %lx and not %lx %s", msrs[i - HOST_MSRS].index, is, wanted,
			    where);
}

static u64 after(unsigned i)
{
	return i < HOST_MSRS ? registers[i].after : msrs[i - HOST_MSRS].after;
}

const char *canary_entry(void)
{
	struct paranoid *own = paranoid_own();

	if (!own->noted)
		find_missing(&missing[this_pcpu()->id]);
	read_host(own->before);
	if (!own->noted)
		memcpy(own->first, own->before, sizeof(own->first));
	own->noted = true;
	own->first[HOST_CR3] = this_pcpu()->space->cr3;
	for (unsigned i = 0; i < HOST_COUNT; i++)
		if (after(i) == KEPT && own->before[i] != own->first[i])
			return differs(i, own->before[i], own->first[i], "at an entry");
	return NULL;
}

const char *canary_exit(void)
{
	struct paranoid *own = paranoid_own();
	u64 now[HOST_COUNT];

	read_host(now);
	for (unsigned i = 0; i < HOST_COUNT; i++) {
		u64 wanted = after(i) == KEPT ? own->before[i] : after(i);

		if (now[i] != wanted)
			return differs(i, now[i], wanted, "behind an exit");
	}
	return NULL;
}
