; SPDX-License-Identifier: BSD-2-Clause
;
; Runs a few bytes of code with all registers and flags given, and writes down what they
; are behind it. The code ends by RET; interrupts are off again behind it.

bits 64
default abs

section .bss
	resq 1
saved:	resq 1

section .text

; void run_code(u64 regs[17] [rdi], const void *code [rsi]): by number, RSP is not among
; them; [16]: RFLAGS
global run_code
run_code:
	push rbx
	push rbp
	push r12
	push r13
	push r14
	push r15
	mov [saved], rdi
	push .behind
	push rsi
	push qword [rdi + 16 * 8]
	mov rax, [rdi]
	mov rcx, [rdi + 1 * 8]
	mov rdx, [rdi + 2 * 8]
	mov rbx, [rdi + 3 * 8]
	mov rbp, [rdi + 5 * 8]
	mov rsi, [rdi + 6 * 8]
%assign i 8
%rep 8
	mov r%[i], [rdi + i * 8]
%assign i i + 1
%endrep
	mov rdi, [rdi + 7 * 8]
	popfq
	ret
.behind:
	pushfq
	cli
	push rdi
	mov rdi, [saved]
	mov [rdi], rax
	mov [rdi + 1 * 8], rcx
	mov [rdi + 2 * 8], rdx
	mov [rdi + 3 * 8], rbx
	mov [rdi + 5 * 8], rbp
	mov [rdi + 6 * 8], rsi
	pop qword [rdi + 7 * 8]
%assign i 8
%rep 8
	mov [rdi + i * 8], r%[i]
%assign i i + 1
%endrep
	pop qword [rdi + 16 * 8]
	cld
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbp
	pop rbx
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
