; SPDX-License-Identifier: BSD-2-Clause
;
; Handlers of exit-cost.c, as short as each can be: nothing of what they run is the
; library's. R9D tells the round that an interrupt came; RDI is the local APIC's page.

bits 64

MSR_X2APIC_EOI	equ 80bh
APIC_EOI	equ 0b0h

section .text
global handler_gp, handler_x2, handler_xapic, handler_x2_timed, handler_xapic_timed

; Steps over an instruction of two bytes that raised #GP: three instructions.
handler_gp:
	add	rsp, 8
	add	qword [rsp], 2
	iretq

handler_x2:
	inc	r9d
	mov	ecx, MSR_X2APIC_EOI
	xor	eax, eax
	xor	edx, edx
	wrmsr
	iretq

handler_xapic:
	inc	r9d
	mov	dword [rdi + APIC_EOI], 0
	iretq

; These time the end of interrupt itself and leave the ticks in R9D.
handler_x2_timed:
	rdtsc
	mov	r8d, eax
	mov	ecx, MSR_X2APIC_EOI
	xor	eax, eax
	xor	edx, edx
	wrmsr
	rdtsc
	sub	eax, r8d
	mov	r9d, eax
	iretq

handler_xapic_timed:
	rdtsc
	mov	r8d, eax
	mov	dword [rdi + APIC_EOI], 0
	rdtsc
	sub	eax, r8d
	mov	r9d, eax
	iretq

section .note.GNU-stack noalloc noexec nowrite progbits
