; SPDX-License-Identifier: BSD-2-Clause
;
; Start of the native stub by multiboot2, and the step into the kernel's 64-bit
; entry. "Multiboot2 Specification", I386 machine state; "The Linux/x86 Boot
; Protocol", 64-bit Boot Protocol.

bits 32
section .multiboot
align 8
header:
	dd 0xe85250d6, 0, header_end - header
	dd -(0xe85250d6 + header_end - header)
	dw 6, 1			; modules page-aligned, optional
	dd 8
	dw 0, 0
	dd 8
header_end:

%include "guest/lib/gdt.inc"

section .rodata
gdtr:
	dw gdt_end - gdt - 1
	dd gdt

section .text
extern native_main
global _start, native_enter
_start:
	cli
	cld
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
	push	ebx
	push	eax
	call	native_main
.stop:
	cli
	hlt
	jmp	.stop

; void native_enter(const struct entry *): { u16 limit; u32 gdt; } at +0, CR3 at
; +8, RIP at +12, RSI at +16, TSC low and high at +20. The TSC is set back to
; what was printed, so that printing does not count.
native_enter:
	mov	ebx, [esp + 4]
	mov	eax, 0x20		; PAE
	mov	cr4, eax
	mov	eax, [ebx + 8]
	mov	cr3, eax
	mov	ecx, 0xc0000080		; EFER.LME
	mov	eax, 0x100
	xor	edx, edx
	wrmsr
	lgdt	[ebx]
	mov	eax, [ebx + 20]
	mov	edx, [ebx + 24]
	mov	ecx, 0x10		; IA32_TIME_STAMP_COUNTER
	wrmsr
	mov	eax, 0x80000011
	mov	cr0, eax
	jmp	0x10:.long
bits 64
.long:
	mov	eax, 0x18
	mov	ds, eax
	mov	es, eax
	mov	fs, eax
	mov	gs, eax
	mov	ss, eax
	mov	esi, [rbx + 16]
	mov	edi, [rbx + 12]
	jmp	rdi

section .note.GNU-stack noalloc noexec nowrite progbits
