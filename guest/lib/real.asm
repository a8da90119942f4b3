; SPDX-License-Identifier: BSD-2-Clause
;
; Protected mode to real mode and back, copied to 0:7000h. SDM volume 3,
; "Switching Back to Real-Address Mode" and "Switching to Protected Mode". Called as
; u32 f(u32 big) in 32-bit protected mode with flat segments, paging off.

%define BASE 0x7000
%define AT(label) (label - real_switch + BASE)

section .rodata
global real_switch, real_switch_end
real_switch:
bits 32
	pushad
	mov	[AT(saved_sp)], esp
	sidt	[AT(saved_idt)]
	sgdt	[AT(saved_gdt)]
	mov	ecx, [esp + 36]
	lidt	[AT(real_idt)]
	mov	ax, 0x28		; 64 KiB data, as real mode has it
	test	ecx, ecx
	jz	.limits
	mov	ax, 0x10		; big: the 4 GiB limit stays in the caches
.limits:
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ax, 0x28
	mov	ss, ax
	jmp	0x20:AT(code16)
bits 16
code16:
	mov	eax, cr0
	and	al, 0xfe
	mov	cr0, eax
	jmp	0:AT(real)
real:
	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ss, ax
	mov	esp, BASE
	push	word 2
	popf
	call	0:0x8000
	cli
	xor	cx, cx
	mov	ds, cx
	mov	[AT(result)], eax
	o32 lgdt [AT(saved_gdt)]
	o32 lidt [AT(saved_idt)]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	jmp	dword 0x08:AT(back)
bits 32
back:
	mov	ax, 0x10
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ss, ax
	mov	esp, [AT(saved_sp)]
	popad
	mov	eax, [AT(result)]
	ret

align 4
saved_sp:	dd 0
result:		dd 0
saved_idt:	dw 0
		dd 0
saved_gdt:	dw 0
		dd 0
real_idt:	dw 0x3ff
		dd 0
real_switch_end:

section .note.GNU-stack noalloc noexec nowrite progbits
