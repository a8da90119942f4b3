/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest may know of Trivet: the paravirtual ports, CPUID leaves and
 * hypercall numbers. The only header that guests share with Trivet; it needs
 * nothing but a preprocessor, so that assembly can read it too.
 */
#ifndef VMM_ABI_H
#define VMM_ABI_H

/* Debug consoles: each byte written appears in Trivet's log, and both read as E9h. */
#define ABI_PORT_DEBUG_E9  0xe9
#define ABI_PORT_DEBUG_402 0x402
#define ABI_DEBUG_READS	   0xe9

/*
 * Debug exit, only where a module says `debug-exit`: a write of any width ends
 * the VM with the value written as its exit code.
 */
#define ABI_PORT_DEBUG_EXIT 0xf4

/*
 * CPUID: the KVM-compatible leaves begin at 40000000h; Trivet's own leaf has
 * its highest leaf in EAX and the signature in EBX, ECX, EDX.
 */
#define ABI_CPUID_KVM	     0x40000000
#define ABI_CPUID_KVM_NAME   "KVMKVMKVM\0\0\0"
#define ABI_CPUID_TRIVET     0x40000100
#define ABI_CPUID_TRIVET_NAME "TrivetTrivet"

/* What of KVM's paravirtual interface is there: CPUID 40000001h EAX. */
#define ABI_KVM_CLOCKSOURCE	   (1u << 0) /* the clock by MSRs 11h and 12h */
#define ABI_KVM_CLOCKSOURCE2	   (1u << 3) /* ... and by ABI_MSR_WALL_CLOCK, _SYSTEM_TIME */
#define ABI_KVM_STEAL_TIME	   (1u << 5)
#define ABI_KVM_PV_EOI		   (1u << 6)
#define ABI_KVM_PV_UNHALT	   (1u << 7) /* ABI_HYPERCALL_KICK_CPU */
#define ABI_KVM_PV_SEND_IPI	   (1u << 11)
#define ABI_KVM_PV_SCHED_YIELD	   (1u << 13)
#define ABI_KVM_CLOCKSOURCE_STABLE (1u << 24) /* the clocks of all vCPUs are one */

#define ABI_MSR_WALL_CLOCK_OLD	0x11
#define ABI_MSR_SYSTEM_TIME_OLD 0x12
#define ABI_MSR_WALL_CLOCK	0x4b564d00
#define ABI_MSR_SYSTEM_TIME	0x4b564d01
#define ABI_MSR_STEAL_TIME	0x4b564d03
#define ABI_MSR_PV_EOI		0x4b564d04

/*
 * Hypercalls follow KVM: VMCALL with the number in RAX and arguments in RBX,
 * RCX, RDX, RSI (their low halves outside 64-bit code); the result is in RAX.
 * A number that is none gets ABI_HYPERCALL_ENOSYS, for any other a caller outside ring 0
 * ABI_HYPERCALL_EPERM.
 *
 * KICK_CPU: RCX is the APIC id of a vCPU whose HLT ends. SEND_IPI: RBX and RCX are a
 * bitmap of APIC ids (its second word begins 64 behind, outside 64-bit code 32), RDX the id of
 * its bit 0, RSI an ICR's vector and delivery mode, fixed or NMI; returns how many
 * took it. SCHED_YIELD: RBX is the APIC id of who should run instead.
 */
#define ABI_HYPERCALL_KICK_CPU	  5
#define ABI_HYPERCALL_SEND_IPI	  10
#define ABI_HYPERCALL_SCHED_YIELD 11

#define ABI_HYPERCALL_ENOSYS (-1000)
#define ABI_HYPERCALL_EPERM  (-1)
#define ABI_HYPERCALL_EINVAL (-22)

#endif
