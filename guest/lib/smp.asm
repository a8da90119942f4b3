; SPDX-License-Identifier: BSD-2-Clause
;
; Where a started processor begins, in real mode at CS = vector * 100h, IP = 0: to
; protected mode, in 64-bit programs on to long mode, with the stack that smp_stack
; names, then smp_main. SDM volume 3, "MP Initialization Protocol Algorithm ...".

section .rodata
global smp_trampoline, smp_trampoline_end
smp_trampoline:
bits 16
	cli
	mov	ax, cs
	mov	ds, ax
	o32 lgdt [gdtr - smp_trampoline]
	mov	eax, cr0
	and	eax, ~0x60000000	; caches on
	or	al, 1
	mov	cr0, eax
	jmp	dword 0x08:flat
align 4
gdtr:
	dw 10 * 8 - 1
	dd gdt
smp_trampoline_end:

section .data
global smp_stack
smp_stack: dq 0

section .text
extern gdt, smp_main
bits 32
flat:
	mov	dx, 0x10
	mov	ds, dx
	mov	es, dx
	mov	fs, dx
	mov	gs, dx
	mov	ss, dx
	cld
%ifidn __?OUTPUT_FORMAT?__, elf64
extern pml4
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
	or	eax, 0x80000000
	mov	cr0, eax
	jmp	0x18:wide
bits 64
wide:
	mov	rsp, [smp_stack]
	xor	ebp, ebp
%else
	mov	esp, [smp_stack]
	xor	ebp, ebp
%endif
	call	smp_main
	hlt

section .note.GNU-stack noalloc noexec nowrite progbits
