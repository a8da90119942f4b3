; SPDX-License-Identifier: BSD-2-Clause
;
; Where the compiler sends indirect calls and jumps of C, by the register that holds the
; target: a return that is mispredicted into a trap, never to where a guest has trained
; the CPU. Where the CPU needs no such detour each becomes a plain jump, and that one
; lands on ENDBR64 only. Source: Intel, "Retpoline: A Branch Target Injection Mitigation".

bits 64

%include "arch/patch.inc"

; THUNK register, bytes of JMP register ...
%macro THUNK 2-*
	align 32
%define SYMBOL __x86_indirect_thunk_%1
%xdefine REGISTER %1
global SYMBOL:function
SYMBOL:
	PATCH_CODE PATCH_RETPOLINE, SYMBOL, %{2:-1}, 0xcc, 0xcc	; INT3: none goes straight on
	call %%to
%%trap:
	pause
	lfence
	jmp %%trap
%%to:	mov [rsp], REGISTER
	ret
%endmacro

section .text
THUNK rax, 0xff, 0xe0
THUNK rcx, 0xff, 0xe1
THUNK rdx, 0xff, 0xe2
THUNK rbx, 0xff, 0xe3
THUNK rbp, 0xff, 0xe5
THUNK rsi, 0xff, 0xe6
THUNK rdi, 0xff, 0xe7
THUNK r8, 0x41, 0xff, 0xe0
THUNK r9, 0x41, 0xff, 0xe1
THUNK r10, 0x41, 0xff, 0xe2
THUNK r11, 0x41, 0xff, 0xe3
THUNK r12, 0x41, 0xff, 0xe4
THUNK r13, 0x41, 0xff, 0xe5
THUNK r14, 0x41, 0xff, 0xe6
THUNK r15, 0x41, 0xff, 0xe7

section .note.GNU-stack noalloc noexec nowrite progbits
