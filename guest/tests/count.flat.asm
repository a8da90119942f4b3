; SPDX-License-Identifier: BSD-2-Clause
;
; Counts for ever and tells how far it has come: a VM's share of its core, in the guest's
; own instructions. A line `count C at T` (hexadecimal, T in TSC ticks since its first
; instruction) each 30 million ticks, ten of them; then the debug-exit port, and on it counts.
; Interrupts are off all the time. For kind=flat in 1 MiB.

PERIOD	equ 30000000
LINES	equ 10

bits 16
org 0x7c00
start:
	cli
	xor	ax, ax
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7c00
	xor	ebx, ebx		; the count
	rdtsc
	mov	[began], eax
	mov	ebp, eax
.count:
	mov	ecx, 1000
.again:
	inc	ebx
	dec	ecx
	jnz	.again
	rdtsc
	mov	esi, eax
	sub	eax, ebp
	cmp	eax, PERIOD
	jb	.count
	cmp	byte [lines], LINES
	je	.count
	mov	ebp, esi
	sub	esi, [began]
	mov	di, text_count
	call	puts
	mov	edx, ebx
	call	hex
	mov	di, text_at
	call	puts
	mov	edx, esi
	call	hex
	mov	di, text_end
	call	puts
	inc	byte [lines]
	cmp	byte [lines], LINES
	jne	.count
.drain:
	mov	dx, 0x3fd
	in	al, dx
	test	al, 0x40
	jz	.drain
	xor	eax, eax
	out	0xf4, eax
	jmp	.count

hex:					; edx
	mov	cx, 8
.digit:
	rol	edx, 4
	mov	al, dl
	and	al, 15
	cmp	al, 10
	sbb	al, 0x69
	das
	call	putc
	loop	.digit
	ret

puts:					; di
	mov	al, [di]
	inc	di
	test	al, al
	jz	putc.end
	call	putc
	jmp	puts

putc:
	push	edx
	mov	ah, al
.wait:
	mov	dx, 0x3fd
	in	al, dx
	test	al, 0x20
	jz	.wait
	mov	al, ah
	mov	dx, 0x3f8
	out	dx, al
	pop	edx
.end:
	ret

began:		dd 0
lines:		db 0
text_count:	db "count ", 0
text_at:	db " at ", 0
text_end:	db 10, 0
	times 510 - ($ - $$) db 0
	dw 0xaa55
