; SPDX-License-Identifier: BSD-2-Clause
;
; The real-mode part of ripwrap.c, at 0:8000h: an OUT as the last byte of the
; segment 2000h. EAX = 1: it went on at 2000:0, 2: it raised #GP.

%define HERE(label) (label - wrap_piece + 0x8000)

section .rodata
bits 16
global wrap_piece, wrap_piece_end
wrap_piece:
	mov	[HERE(saved_sp)], sp
	mov	eax, [13 * 4]
	mov	[HERE(saved_gp)], eax
	mov	word [13 * 4], HERE(on_gp)
	mov	word [13 * 4 + 2], 0
	mov	ax, 0x2000
	mov	es, ax
	mov	byte [es:0xffff], 0xee		; OUT DX, AL
	mov	byte [es:0], 0xea		; JMP 0:on_wrap
	mov	word [es:1], HERE(on_wrap)
	mov	word [es:3], 0
	mov	dx, 0x3ff			; COM1's scratch register
	mov	al, 0x77
	jmp	0x2000:0xffff
on_wrap:
	mov	ebx, 1
	jmp	back
on_gp:
	mov	ebx, 2
back:
	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	sp, [HERE(saved_sp)]
	mov	eax, [HERE(saved_gp)]
	mov	[13 * 4], eax
	mov	eax, ebx
	retf
saved_gp:	dd 0
saved_sp:	dw 0
wrap_piece_end:

section .note.GNU-stack noalloc noexec nowrite progbits
