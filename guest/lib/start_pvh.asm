; SPDX-License-Identifier: BSD-2-Clause
;
; Start of a PVH program: the ELF note that names the 32-bit entry, then
; start_c with the address of the start info. Xen's "x86/HVM direct boot ABI".

bits 32
section .note.pvh note alloc noexec nowrite align=4
	dd 4, 4, 18		; XEN_ELFNOTE_PHYS32_ENTRY
	db "Xen", 0
	dd _start

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
	push	0
	push	0
	push	ebx
	push	0			; not multiboot
	call	start_c
	hlt

section .note.GNU-stack noalloc noexec nowrite progbits
