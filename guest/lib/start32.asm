; SPDX-License-Identifier: BSD-2-Clause
;
; Start of a 32-bit guest program: the multiboot1 header, own GDT and stack,
; then start_c(EAX, EBX). "Multiboot Specification", Machine state.

bits 32
section .multiboot
align 4
	dd 0x1badb002, 3, -(0x1badb002 + 3)

%include "guest/lib/gdt.inc"

section .rodata
gdtr:
	dw gdt_end - gdt - 1
	dd gdt

section .text
extern start_c
global _start
_start:
	cli
	cld
	fill_tss
	mov	word [tss + 102], TSS_SIZE	; no I/O bitmap
	mov	dword [tss + 4], stack_top	; ring-0 stack for entries from ring 3
	mov	word [tss + 8], 0x10
	lgdt	[gdtr]
	jmp	0x08:.flat
.flat:
	mov	dx, 0x10
	mov	ds, dx
	mov	es, dx
	mov	fs, dx
	mov	gs, dx
	mov	ss, dx
	mov	esp, stack_top
	mov	dx, 0x40
	ltr	dx
	push	0
	push	0
	push	ebx
	push	eax
	call	start_c
	hlt

section .note.GNU-stack noalloc noexec nowrite progbits
