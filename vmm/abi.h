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

/*
 * Hypercalls follow KVM: VMCALL with the number in RAX and arguments in RBX,
 * RCX, RDX, RSI; the result is in RAX. There is none yet: every number gives
 * the error below, and a caller outside ring 0 gets ABI_HYPERCALL_EPERM.
 */
#define ABI_HYPERCALL_ENOSYS (-1000)
#define ABI_HYPERCALL_EPERM  (-1)

#endif
