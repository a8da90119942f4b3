; SPDX-License-Identifier: BSD-2-Clause
;
; Stacks of Trivet itself: what a C function may not lose is kept on the stack
; that is left. Source: System V ABI for x86-64, "Registers".

bits 64
section .text

; void context_switch(u64 *save [rdi], u64 load [rsi])
global context_switch:function
context_switch:
	push rbp
	push rbx
	push r12
	push r13
	push r14
	push r15
	mov [rdi], rsp
	mov rsp, rsi
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbx
	pop rbp
	ret

; u64 context_new(void *stack_top [rdi], void (*entry)(void) [rsi])
global context_new:function
context_new:
	mov qword [rdi - 8], 0		; entry's own return address: the end of a backtrace
	mov [rdi - 16], rsi
	lea rax, [rdi - 16 - 6 * 8]	; the registers are 0: the pages are new
	ret
