/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Register accesses by page or MSR, and the sequences that the manual prints for
 * switching on, sending and the timer.
 */
#include "guest/lib/apic.h"
#include "guest/lib/boot.h"
#include "guest/lib/test.h"
#include "guest/lib/trap.h"

unsigned long apic_page = APIC_PAGE;
bool apic_x2;
volatile unsigned apic_spurious;

static void on_spurious(struct trap_frame *frame)
{
	(void)frame;
	apic_spurious++;
}

bool apic_present(void)
{
	return cpuid(1, 0).edx >> 9 & 1;
}

bool apic_has_x2(void)
{
	return cpuid(1, 0).ecx >> 21 & 1;
}

bool apic_has_deadline(void)
{
	return cpuid(1, 0).ecx >> 24 & 1;
}

u32 apic_read(unsigned offset)
{
	if (apic_x2)
		return (u32)rdmsr(APIC_MSR(offset));
	return *(volatile u32 *)phys(apic_page + offset);
}

void apic_write(unsigned offset, u32 value)
{
	if (apic_x2)
		wrmsr(APIC_MSR(offset), value);
	else
		*(volatile u32 *)phys(apic_page + offset) = value;
}

bool apic_mode_of_words(void)
{
	apic_x2 = boot_word("x2apic") != NULL;
	if (apic_present() && (!apic_x2 || apic_has_x2()))
		return true;
	test_skip("all", apic_present() ? "no x2APIC" : "no APIC");
	return false;
}

void apic_enable(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (!(base & APIC_BASE_EN))
		wrmsr(MSR_APIC_BASE, base |= APIC_BASE_EN);
	if (apic_x2 && !(base & APIC_BASE_EXTD))
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_EXTD);
	trap_hook[APIC_SPURIOUS] = on_spurious;
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS);
}

u32 apic_id(void)
{
	return apic_x2 ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_send(u32 dest, u32 low)
{
	if (apic_x2) {
		wrmsr(APIC_MSR(APIC_ICR), (u64)dest << 32 | low);
		return;
	}
	while (apic_read(APIC_ICR) & APIC_PENDING)
		pause();
	apic_write(APIC_ICR_HIGH, dest << 24);
	apic_write(APIC_ICR, low);
}

bool apic_bit(unsigned offset, u8 vector)
{
	return apic_read(offset + vector / 32 * 16) >> (vector & 31) & 1;
}

u32 apic_divide(unsigned by)
{
	u32 code = 7; /* 111b: by 1, then 000b: by 2 ... 110b: by 128; bit 2 stands at bit 3 */

	for (; by > 1; by >>= 1)
		code = (code + 1) & 7;
	return (code & 3) | (code & 4) << 1;
}

void apic_timer(u32 lvt, unsigned divide, u32 count)
{
	apic_write(APIC_LVT_TIMER, lvt);
	apic_write(APIC_TIMER_DIVIDE, apic_divide(divide));
	apic_write(APIC_TIMER_INITIAL, count);
}

u32 ioapic_read(unsigned index)
{
	*(volatile u32 *)phys(IOAPIC_PAGE) = index;
	return *(volatile u32 *)phys(IOAPIC_PAGE + 0x10);
}

void ioapic_write(unsigned index, u32 value)
{
	*(volatile u32 *)phys(IOAPIC_PAGE) = index;
	*(volatile u32 *)phys(IOAPIC_PAGE + 0x10) = value;
}

void ioapic_route(unsigned pin, u32 low, u8 dest)
{
	ioapic_write(IOAPIC_ENTRY(pin), APIC_MASKED);
	ioapic_write(IOAPIC_ENTRY(pin) + 1, (u32)dest << 24);
	ioapic_write(IOAPIC_ENTRY(pin), low);
}
