; SPDX-License-Identifier: BSD-2-Clause
;
; The 256 entry points of the IDT, 16 bytes each, where CET wants an ENDBR64, and the
; way to and from trap_dispatch in arch/trap.c. Trivet never runs in ring 3, so GS is always
; its own.

extern trap_dispatch, cpu_smap

%include "arch/each.inc"

section .text
bits 64

; #DF TS NP SS GP PF AC CP VC SX push an error code.
%define HAS_ERROR(v) ((0x60227d00 >> (v)) & 1)

global trap_stubs
	align 16
trap_stubs:
%assign vector 0
%rep 256
	align 16
	endbr64
%if vector >= 32 || HAS_ERROR(vector) == 0
	push 0
%endif
	push vector
	jmp near trap_common
%assign vector vector + 1
%endrep
	align 16

trap_common:
	EACH push, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	cld
	; The gate does not clear AC: what was interrupted may have opened SMAP.
	cmp byte [cpu_smap], 0
	je .closed
	clac
.closed:
	mov rdi, rsp
	mov rbp, rsp
	and rsp, ~15
	call trap_dispatch
	mov rsp, rbp
	EACH pop, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
	add rsp, 16
	iretq

section .note.GNU-stack noalloc noexec nowrite progbits
