; SPDX-License-Identifier: BSD-2-Clause
;
; Rule: a real-mode guest of 1 MiB lives on its timer: a `tick N` about each second by channel 0
; of the 8254 through the 8259, halted in between. Intel 8254 data sheet, "Mode 2". For kind=flat;
; never ends.

bits 16
org 0x7c00
start:
	cli
	xor	ax, ax
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7c00
	mov	word [8 * 4], tick	; IRQ 0 by the vectors of a PC's BIOS
	mov	word [8 * 4 + 2], 0
	mov	al, 0x11		; both 8259s: edge, cascade, ICW4
	out	0x20, al
	out	0xa0, al
	mov	al, 8
	out	0x21, al
	mov	al, 0x70
	out	0xa1, al
	mov	al, 4
	out	0x21, al
	mov	al, 2
	out	0xa1, al
	mov	al, 1
	out	0x21, al
	out	0xa1, al
	mov	al, 0xfe		; only IRQ 0
	out	0x21, al
	mov	al, 0x34		; counter 0, both bytes, mode 2
	out	0x43, al
	mov	ax, 59659		; 20 Hz
	out	0x40, al
	mov	al, ah
	out	0x40, al
	sti
.wait:
	hlt
	cmp	byte [count], 20
	jb	.wait
	mov	byte [count], 0
	inc	word [seconds]
	mov	si, text
	call	puts
	mov	ax, [seconds]
	call	put_number
	mov	si, newline
	call	puts
	jmp	.wait

tick:
	push	ax
	inc	byte [count]
	mov	al, 0x20
	out	0x20, al
	pop	ax
	iret

puts:
	lodsb
	test	al, al
	jz	.end
	call	putc
	jmp	puts
.end:
	ret

; AX in decimal
put_number:
	xor	dx, dx
	mov	bx, 10
	div	bx
	push	dx
	test	ax, ax
	jz	.last
	call	put_number
.last:
	pop	ax
	add	al, '0'
putc:
	push	dx
	push	ax
	mov	dx, 0x3fd
.full:
	in	al, dx
	test	al, 0x20
	jz	.full
	pop	ax
	mov	dx, 0x3f8
	out	dx, al
	pop	dx
	ret

text:	 db "tick ", 0
newline: db 13, 10, 0
count:	 db 0
seconds: dw 0

	times 510 - ($ - $$) db 0
	dw	0xaa55
