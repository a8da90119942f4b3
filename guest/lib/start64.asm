; SPDX-License-Identifier: BSD-2-Clause
;
; Start of a 64-bit guest program, in the 32-bit state of multiboot1: own GDT,
; identity map of 4 GiB in 2 MiB pages, long mode, then start_c. SDM volume 3,
; "Initializing IA-32e Mode".

bits 32
section .multiboot
align 4
	dd 0x1badb002, 3, -(0x1badb002 + 3)

%include "guest/lib/gdt.inc"

section .rodata
gdtr:
	dw gdt_end - gdt - 1
	dq gdt

section .bss
global pml4, start_gpr
align 4096
pml4:	resb 4096
pdpt:	resb 4096
pd:	resb 4 * 4096
start_gpr: resq 16			; as they came, in the order of their encoding

section .text
extern start_c
global _start
_start:
	cli
	cld
	mov	[start_gpr], eax
	mov	[start_gpr + 8], ecx
	mov	[start_gpr + 16], edx
	mov	[start_gpr + 24], ebx
	mov	[start_gpr + 32], esp
	mov	[start_gpr + 40], ebp
	mov	[start_gpr + 48], esi
	mov	[start_gpr + 56], edi
	mov	esi, eax
	fill_tss
	mov	word [tss + 102], TSS_SIZE
	mov	dword [tss + 4], stack_top
	lgdt	[gdtr]

	mov	dword [pml4], pdpt + 7
	mov	eax, pd + 7
	mov	edi, pdpt
.directories:
	stosd
	add	edi, 4
	add	eax, 0x1000
	cmp	edi, pdpt + 32
	jb	.directories
	mov	eax, 0x87		; present, writable, user, 2 MiB
	mov	edi, pd
.pages:
	stosd
	add	edi, 4
	add	eax, 0x200000
	cmp	edi, pd + 4 * 4096
	jb	.pages

	mov	eax, cr4
	or	eax, 0x20		; PAE
	mov	cr4, eax
	mov	eax, pml4
	mov	cr3, eax
	mov	ecx, 0xc0000080		; EFER.LME
	rdmsr
	or	eax, 0x100
	wrmsr
	mov	eax, cr0
	or	eax, 0x80000001
	mov	cr0, eax
	jmp	0x18:.long
bits 64
.long:
%assign number 8
%rep 8
	mov	[start_gpr + 8 * number], r %+ number
%assign number number + 1
%endrep
	mov	dx, 0x10
	mov	ds, dx
	mov	es, dx
	mov	fs, dx
	mov	gs, dx
	mov	ss, dx
	mov	esp, stack_top
	mov	dx, 0x40
	ltr	dx
	mov	edi, esi
	mov	esi, ebx
	call	start_c
	hlt

section .note.GNU-stack noalloc noexec nowrite progbits
