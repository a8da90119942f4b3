; SPDX-License-Identifier: BSD-2-Clause
;
; Ways out of the guest with a value in every general register, RSP too, and in the
; flags. Each: void hostile_NAME(void) loads hostile_gpr and hostile_flags, executes its
; instruction and stores all of them behind it.

bits 64
default abs

section .bss
global hostile_gpr, hostile_after, hostile_flags, hostile_flags_after
hostile_gpr:	resq 16		; in the order of their encoding
hostile_after:	resq 16
hostile_flags:	resq 1
hostile_flags_after: resq 1
flags_end:
kept_sp:	resq 1

%define NUMBERED rax, 0, rcx, 1, rdx, 2, rbx, 3, rbp, 5, rsi, 6, rdi, 7, r8, 8, r9, 9, r10, 10, \
	r11, 11, r12, 12, r13, 13, r14, 14, r15, 15

%macro LOAD 2-*
%rep %0 / 2
	mov %1, [hostile_gpr + 8 * %2]
%rotate 2
%endrep
%endmacro
%macro STORE 2-*
%rep %0 / 2
	mov [hostile_after + 8 * %2], %1
%rotate 2
%endrep
%endmacro

%macro ENTER 0
	EACH_PUSH rbx, rbp, r12, r13, r14, r15
	mov	[kept_sp], rsp
	mov	rsp, hostile_flags
	popfq
	LOAD	NUMBERED
%endmacro
%macro EACH_PUSH 1-*
%rep %0
	push	%1
%rotate 1
%endrep
%endmacro
%macro EACH_POP 1-*
%rep %0
	pop	%1
%rotate 1
%endrep
%endmacro

; What stands between these two is the way out; nothing here but the last line changes flags.
%macro BEGIN 1
global hostile_%1
hostile_%1:
	ENTER
	mov	rsp, [hostile_gpr + 8 * 4]
%endmacro
%macro END 0
	jmp	store_all
%endmacro

section .text
store_all:
	STORE	NUMBERED
	mov	[hostile_after + 8 * 4], rsp
	mov	rsp, flags_end
	pushfq
	mov	rsp, [kept_sp]
	EACH_POP r15, r14, r13, r12, rbp, rbx
	push	2
	popfq
	ret

BEGIN out
	out	0x80, al
END

BEGIN in
	in	eax, 0x80
END

BEGIN cpuid
	cpuid
END

BEGIN vmcall
	vmcall
END

BEGIN mmio				; nobody is there
	mov	eax, [qword 0xfed80000]
END

BEGIN pause
%rep 40
	pause
%endrep
END

; Time passes, without an exit of its own.
BEGIN spin
%rep 2000
	nop
%endrep
END

; With a stack: the interrupt that ends it needs one.
BEGIN halt
	mov	rsp, [kept_sp]
	sti
	hlt
	cli
	mov	rsp, [hostile_gpr + 8 * 4]
END

section .note.GNU-stack noalloc noexec nowrite progbits
