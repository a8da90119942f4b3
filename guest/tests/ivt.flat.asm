; SPDX-License-Identifier: BSD-2-Clause
;
; Rule: a flat image runs at 0:7C00h in real mode like a boot sector, A20 on, and
; INT goes through the vector table at 0. SDM volume 3, "Real-Address Mode
; Operation". For kind=flat; it starts as a boot sector on a bare machine too.

bits 16
org 0x7c00
start:
	cli
	mov	ax, cs
	mov	cx, ax
	call	.here
.here:
	pop	bx
	xor	ax, ax
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7c00
	mov	si, name_start
	test	cx, cx			; CS = 0
	jnz	.start_bad
	cmp	bx, .here
	je	.start_ok
.start_bad:
	call	bad
	jmp	.a20
.start_ok:
	call	good
.a20:
	mov	ax, 0xffff
	mov	es, ax
	mov	word [0x500], 0x1234
	mov	word [es:0x510], 0x5678	; 100500h
	mov	si, name_a20
	cmp	word [0x500], 0x1234
	call	verdict
	mov	word [0x40 * 4], handler
	mov	word [0x40 * 4 + 2], 0
	mov	bx, 0
	int	0x40
	mov	si, name_int
	cmp	bx, 0x4040
	call	verdict
	smsw	ax
	mov	si, name_real
	test	al, 1
	call	verdict
.drain:
	mov	dx, 0x3fd
	in	al, dx
	test	al, 0x40
	jz	.drain
	movzx	eax, byte [failed]
	out	0xf4, eax		; debug exit
	mov	si, text_done
	call	puts
.stop:
	cli
	hlt
	jmp	.stop

handler:
	mov	bx, 0x4040
	iret

verdict:				; ZF: good; SI: the name
	je	good
bad:
	mov	byte [failed], 1
	push	si
	mov	si, text_fail
	jmp	both
good:
	push	si
	mov	si, text_ok
both:
	call	puts
	pop	si
puts:
	lodsb
	test	al, al
	jz	.end
	mov	ah, al
.wait:
	mov	dx, 0x3fd
	in	al, dx
	test	al, 0x20
	jz	.wait
	mov	al, ah
	mov	dx, 0x3f8
	out	dx, al
	jmp	puts
.end:
	ret

text_ok:	db "ok ", 0
text_fail:	db "FAIL ", 0
text_done:	db "done", 13, 10, 0
name_start:	db "start-at-0-7c00", 13, 10, 0
name_a20:	db "a20-on", 13, 10, 0
name_int:	db "int-by-ivt", 13, 10, 0
name_real:	db "real-mode", 13, 10, 0
failed:		db 0
	times 510 - ($ - $$) db 0
	dw 0xaa55
