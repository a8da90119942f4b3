; SPDX-License-Identifier: BSD-2-Clause
; A multiboot2 kernel of the rig's own, to test the rig without Trivet: it prints its command line
; and its modules' on COM1 byte for byte, then does what the first letter of its command line
; after "do=" says: e(nd), h(ang), t(riple fault), v(mread that fails), b(yte echo), s(creen).
bits 32

PORT	equ 3f8h
RINGS	equ 8900h

section .header align=8
header:	dd 0e85250d6h, 0, header_end - header, -(0e85250d6h + (header_end - header))
	dw 0, 0
	dd 8
header_end:

section .text
global _start
_start:	cli
	mov esp, stack
	mov esi, ebx
	add esi, 8			; past total_size and reserved
	mov dx, PORT + 3
	mov al, 3			; 8 bits, no parity
	out dx, al
	mov edi, text_start
	call print
.tag:	mov eax, [esi]
	test eax, eax
	jz .done
	cmp eax, 1
	je .line
	cmp eax, 3
	jne .next
	mov edi, text_module
	call print
	lea edi, [esi + 16]
	jmp .show
.line:	mov edi, text_line
	call print
	lea edi, [esi + 8]
	mov [words], edi
.show:	call print
	mov edi, text_end
	call print
.next:	mov eax, [esi + 4]
	add eax, 7
	and eax, -8
	add esi, eax
	jmp .tag
.done:	mov edi, [words]
.find:	mov eax, [edi]
	test al, al
	jz end
	inc edi
	and eax, 0ffffffh
	cmp eax, 'do='
	jne .find
	mov al, [edi + 2]
	cmp al, 'h'
	je hang
	cmp al, 't'
	je triple
	cmp al, 'v'
	je vmx
	cmp al, 'b'
	je echo
	jmp end

end:	mov edi, text_ended
	call print
	mov dx, PORT + 5
.drain:	in al, dx
	test al, 40h			; TEMT: the last byte has left
	jz .drain
	mov esi, text_shutdown
	mov ecx, 8
	mov dx, RINGS
	rep outsb
hang:	hlt
	jmp hang

triple:	lidt [no_idt]
	int3

; Echoes each byte as it comes, until ctrl-D; 00 to FF are all sent first.
echo:	xor ebx, ebx
.all:	mov al, bl
	call putc
	inc bl
	jnz .all
	mov edi, text_echo
	call print
.loop:	mov dx, PORT + 5
	in al, dx
	test al, 1
	jz .loop
	mov dx, PORT
	in al, dx
	push eax
	call putc
	pop eax
	cmp al, 4
	jne .loop
	jmp end

; VMREAD in VMX operation without a current VMCS: VMfailInvalid, which Bochs names in its log.
vmx:	mov edi, page_dir
	mov eax, 83h
.map:	mov [edi], eax
	add edi, 4
	add eax, 400000h
	cmp edi, page_dir + 4096
	jne .map
	mov eax, page_dir
	mov cr3, eax
	mov eax, cr4
	or eax, 2010h			; VMXE, PSE
	mov cr4, eax
	mov eax, cr0
	or eax, 80000021h
	mov cr0, eax
	mov ecx, 480h			; IA32_VMX_BASIC
	rdmsr
	mov [vmxon_page], eax
	vmxon [vmxon_at]
	xor eax, eax
	vmread ebx, eax
	jmp end

print:	mov al, [edi]
	test al, al
	jz .out
	call putc
	inc edi
	jmp print
.out:	ret

putc:	push eax
	mov dx, PORT + 5
.wait:	in al, dx
	test al, 20h
	jz .wait
	pop eax
	mov dx, PORT
	out dx, al
	ret

section .data
text_start:	db "selftest", 10, 0
text_line:	db "line [", 0
text_module:	db "module [", 0
text_end:	db "]", 10, 0
text_echo:	db 10, "echo:", 10, 0
text_ended:	db 10, "ended", 10, 0
text_shutdown:	db "Shutdown"
words:		dd text_empty
text_empty:	db 0
no_idt:		dw 0
		dd 0
vmxon_at:	dd vmxon_page, 0

section .bss
align 4096
page_dir:	resb 4096
vmxon_page:	resb 4096
		resb 4096
stack:
