; SPDX-License-Identifier: BSD-2-Clause
;
; Stacks of Trivet itself: what a C function may not lose is kept on the stack
; that is left. Source: System V ABI for x86-64, "Registers".

bits 64

%include "arch/each.inc"

section .text

; void context_switch(u64 *save [rdi], u64 load [rsi])
global context_switch:function
context_switch:
	EACH push, rbp, rbx, r12, r13, r14, r15
	mov [rdi], rsp
	mov rsp, rsi
	EACH pop, r15, r14, r13, r12, rbx, rbp
	ret

; u64 context_new(void *stack_top [rdi], void (*entry)(void) [rsi])
global context_new:function
context_new:
	mov qword [rdi - 8], 0		; entry's own return address: the end of a backtrace
	mov [rdi - 16], rsi
	lea rax, [rdi - 16 - 6 * 8]	; the registers are 0: the pages are new
	ret
