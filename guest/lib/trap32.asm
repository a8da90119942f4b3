; SPDX-License-Identifier: BSD-2-Clause
;
; Entry stubs of 256 vectors, 32-bit: an error code for all, the vector, the
; registers, then trap_dispatch(frame). SDM volume 3, "Exception and Interrupt
; Reference" says which vectors push an error code.

bits 32
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
	pushad
	cld
	push	esp
	call	trap_dispatch
	add	esp, 4
	popad
	add	esp, 8
	iretd

section .rodata
global trap_stubs
trap_stubs:
%assign v 0
%rep VECTORS
	dd stub_%+v
	%assign v v + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
