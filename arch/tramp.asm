; SPDX-License-Identifier: BSD-2-Clause
;
; Where the other CPUs start: copied to a page below 1 MiB, entered there in
; real mode by the startup IPI, and straight on to 64-bit mode, with tables that
; map the page at its physical address and all of Trivet. arch/smp.c fills the
; struct smp_start at its end. Source: Intel SDM volume 3, "Multiple-Processor
; (MP) Initialization", "Initializing IA-32e Mode".

CR0_PE_WP_PG	equ 1 << 0 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31 ; with ET, NE
CR4_PAE		equ 1 << 5
MSR_EFER	equ 0xc0000080
EFER_LME_NXE	equ 1 << 8 | 1 << 11

section .rodata
global tramp_start, tramp_data, tramp_end
align 16
tramp_start:
bits 16
	cli
	cld
	mov ax, cs
	mov ds, ax
	o32 lgdt [gdt_ptr - tramp_start]
	mov eax, CR4_PAE
	mov cr4, eax
	mov eax, [cr3_low - tramp_start]
	mov cr3, eax
	mov ecx, MSR_EFER
	mov eax, EFER_LME_NXE
	xor edx, edx
	wrmsr
	mov eax, CR0_PE_WP_PG
	mov cr0, eax
	jmp dword far [far_ptr - tramp_start]

bits 64
tramp_64:
	xor eax, eax
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov eax, 0x10
	mov ss, eax
	mov rsp, [rel stack]
	mov rdi, [rel argument]
	xor ebp, ebp			; ends the chain of frames
	call [rel entry]
	ud2

	align 16
gdt:	dq 0
	dq 0x00af9b000000ffff		; 08h: 64-bit code
	dq 0x00cf93000000ffff		; 10h: data
	dw 0
gdt_ptr:
	dw gdt_ptr - gdt - 3

; struct smp_start
tramp_data:
gdt_base: dd gdt - tramp_start		; + the page's physical address
far_ptr: dd tramp_64 - tramp_start	; likewise
	dw 0x08, 0
cr3_low: dd 0
stack:	dq 0
entry:	dq 0
argument: dq 0
tramp_end:

section .note.GNU-stack noalloc noexec nowrite progbits
