; SPDX-License-Identifier: BSD-2-Clause
;
; Guest code of the tests of the CPU's APIC virtualization, 64-bit, to be copied
; to any place: 256 interrupt gates' stubs of 16 bytes, and small pieces that end
; with VMCALL. The handler notes the vector in R13, counts in R14, and ends the
; interrupt as R12 says: 1 by the xAPIC, 2 by the x2APIC, 0 not at all.

bits 64
default rel
section .rodata

global apic_guest
global apic_guest_end

apic_guest:
%assign vector 0
%rep 256
	align 16
	push qword vector
	jmp near handler
%assign vector vector + 1
%endrep
	align 16
handler:
	push rax
	push rcx
	push rdx
	shl r13, 8
	or r13b, [rsp + 24]
	inc r14
	cmp r12d, 1
	jb .done
	ja .x2apic
	mov ecx, 0xfee000b0
	mov dword [rcx], 0
	jmp .done
.x2apic:
	mov ecx, 0x80b
	xor eax, eax
	xor edx, edx
	wrmsr
.done:
	pop rdx
	pop rcx
	pop rax
	add rsp, 8
	iretq

%macro PIECE 1
global apic_guest_%1
apic_guest_%1:
%endmacro

; Reads RCX words from RSI on into memory at RDI. The access is 2 bytes long, too, below.
PIECE read
	mov eax, [rsi]
	mov [rdi], eax
	add rsi, 4
	add rdi, 4
	loop apic_guest_read
	vmcall

; Writes EAX to RCX words from RSI on.
PIECE write
	mov [rsi], eax
	add rsi, 4
	loop apic_guest_write
	vmcall

PIECE rdmsr
	rdmsr
	vmcall
PIECE wrmsr
	wrmsr
	vmcall
PIECE write_cr8
	mov cr8, rax
	vmcall
PIECE read_cr8
	mov rax, cr8
	vmcall
PIECE open
	sti
	nop
	nop
	nop
	cli
	vmcall
PIECE halt
	sti
	hlt
	cli
	vmcall
PIECE spin
	pause
	loop apic_guest_spin
	vmcall
apic_guest_end:
