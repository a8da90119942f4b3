; SPDX-License-Identifier: BSD-2-Clause
;
; Entry stubs of 256 vectors, 64-bit; see trap32.asm.

bits 64
%include "guest/lib/vectors.inc"

section .text
extern trap_dispatch
%assign v 0
%rep VECTORS
stub_%+v:
	%if HAS_ERROR(v) == 0
	push	0
	%endif
	push	v
	jmp	save_all
	%assign v v + 1
%endrep

save_all:
	%define REGS rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	%macro save 1-*
		%rep %0
		push	%1
		%rotate 1
		%endrep
	%endmacro
	%macro restore 1-*
		%rep %0
		%rotate -1
		pop	%1
		%endrep
	%endmacro
	save	REGS
	cld
	mov	rdi, rsp
	mov	rbp, rsp
	and	rsp, -16
	call	trap_dispatch
	mov	rsp, rbp
	restore	REGS
	add	rsp, 16
	iretq

section .rodata
global trap_stubs
align 8
trap_stubs:
%assign v 0
%rep VECTORS
	dq stub_%+v
	%assign v v + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
