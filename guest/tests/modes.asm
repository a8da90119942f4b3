; SPDX-License-Identifier: BSD-2-Clause
;
; The parts of modes.c that no C can do: 16-bit pieces, the visit to 64-bit mode
; and the way into and out of VM86 mode.

section .rodata
bits 16
global real_piece, real_piece_end, big_piece, big_piece_end, vm86_piece, vm86_piece_end
real_piece:				; at 0:8000h, returns by RETF
	smsw	bx
	test	bl, 1
	mov	eax, 0x12345678
	jz	.real
	xor	eax, eax
.real:
	push	eax
	xor	eax, eax
	cpuid				; an exit in real mode
	pop	eax
	retf
real_piece_end:

big_piece:
	mov	ebx, 0x300000
	mov	eax, [ebx]
	retf
big_piece_end:

vm86_piece:				; CS = 0; the shift shows 8086 addressing
	mov	ax, 0x0800
	mov	ds, ax
	mov	eax, [vm86_word - vm86_piece]
	hlt				; #GP: the way out
vm86_word:
	dd	0x8086
vm86_piece_end:

bits 32
section .bss
global long_result, compat_efer, vm86_flags
alignb 8
long_result:	resq 1
compat_efer:	resd 1
vm86_flags:	resd 1
saved_sp:	resd 1
result:		resd 1

section .text
global long_visit, vm86_run, vm86_gp

long_visit:				; void f(u32 cr3), paging off
	pushad
	mov	eax, cr4
	or	eax, 0x20
	mov	cr4, eax
	mov	eax, [esp + 36]
	mov	cr3, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	eax, 0x100
	wrmsr
	mov	eax, cr0
	or	eax, 0x80000000
	mov	cr0, eax		; compatibility mode from here
	rdmsr
	mov	[compat_efer], eax
	jmp	0x18:.long
bits 64
.long:
	mov	rax, 0x123456789abcdef0
	rol	rax, 32
	mov	[rel long_result], rax
	push	0x08
	push	strict dword .compat
	o64 retf
bits 32
.compat:
	mov	eax, cr0
	and	eax, 0x7fffffff
	mov	cr0, eax
	mov	ecx, 0xc0000080
	rdmsr
	and	eax, ~0x100
	wrmsr
	mov	eax, cr4
	and	eax, ~0x20
	mov	cr4, eax
	popad
	ret

vm86_run:				; u32 f(u32 ip): runs 0:ip until its #GP, returns EAX
	pushad
	mov	[saved_sp], esp
	mov	eax, [esp + 36]
	push	0			; GS, FS, DS, ES, SS, ESP
	push	0
	push	0
	push	0
	push	0
	push	0x7000
	push	0x20002			; VM
	push	0
	push	eax
	iretd
vm86_gp:				; error code, EIP, CS, EFLAGS on the ring-0 stack
	mov	cx, 0x10
	mov	ds, cx
	mov	es, cx
	mov	fs, cx
	mov	gs, cx
	mov	[result], eax
	mov	eax, [esp + 12]
	mov	[vm86_flags], eax
	mov	esp, [saved_sp]
	popad
	mov	eax, [result]
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
