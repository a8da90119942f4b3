; SPDX-License-Identifier: BSD-2-Clause
;
; From the loader to C. GRUB enters at entry32 in 32-bit protected mode, paging
; off, with the multiboot2 magic in EAX and the information block in EBX, at
; whatever address the relocatable tag let it choose. The code is position
; independent until paging is on: EBP holds the load address. The first tables
; map the image at IMAGE_BASE, W^X and in 4 KiB pages, the first 4 GiB in the
; direct area until memory_init has built the final tables, and the one page
; that switches the mode at its physical address. Sources: Multiboot2
; specification, "OS image format" and "I386 machine state"; Intel SDM
; volume 3, "Initializing IA-32e Mode".

IMAGE_BASE	equ 0xffffffff80000000
MB2_MAGIC	equ 0x36d76289
HEADER_MAGIC	equ 0xe85250d6

COM1		equ 0x3f8
VGA_TEXT	equ 0xb8000
SCRATCH		equ 0x7bfc	; any RAM does: its contents are put back

PTE_P		equ 1 << 0
PTE_W		equ 1 << 1
PTE_LARGE	equ 1 << 7
PTE_NX_HIGH	equ 1 << 31	; in the high half

CR0_PE_WP_PG	equ 1 << 0 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31 ; with ET, NE
CR4_PAE		equ 1 << 5
MSR_EFER	equ 0xc0000080
EFER_LME_NXE	equ 1 << 8 | 1 << 11

STACKS_MAIN_TOP	equ 4096 + 16384 ; struct pcpu_stacks, checked in arch/percpu.c

extern boot_main, boot_stacks, image_start, image_rodata, image_data, image_end, image_load

; The offset of a symbol in the image; [ebp + OFF(x)] is where it is now.
%define OFF(symbol) (symbol - IMAGE_BASE)

section .multiboot2 progbits alloc noexec nowrite align=8
header:
	dd HEADER_MAGIC, 0, header_end - header, -(HEADER_MAGIC + (header_end - header))
	; information request, optional: memory map (6), framebuffer (8), ACPI RSDP
	; old (14) and new (15), load base (21)
	dw 1, 1
	dd .request_end - $ + 4
	dd 6, 8, 14, 15, 21
.request_end:
	align 8, db 0
	; console flags: text mode is fine
	dw 4, 1
	dd 12, 2
	align 8, db 0
	; framebuffer, optional, no preference: text under BIOS, graphics under UEFI
	dw 5, 1
	dd 20, 0, 0, 0
	align 8, db 0
	; modules on page boundaries
	dw 6, 0
	dd 8
	; relocatable: from 1 MiB to 4 GiB, 2 MiB aligned, as low as possible
	dw 10, 0
	dd 24, 0x100000, 0xffffffff, 0x200000, 1
	; end
	dw 0, 0
	dd 8
header_end:

section .text.entry progbits alloc exec nowrite align=512
bits 32

; What paging needs at its physical address: within one page by the alignment.
switch_page:
gdt:	dq 0
	dq 0x00af9b000000ffff	; 08h: 64-bit code
	dq 0x00cf93000000ffff	; 10h: data
gdt_ptr:
	dw gdt_ptr - gdt - 1
	dd 0			; physical, filled in
far_ptr:
	dd 0			; physical, filled in
	dw 8

switch_mode:
	mov eax, CR0_PE_WP_PG
	mov cr0, eax
	jmp far [ebp + OFF(far_ptr)]
bits 64
switch_64:
	mov rax, switch_high
	jmp rax
bits 32
switch_end:

global entry32
entry32:
	cli
	cld
	; The load address, from a call; the one dword of stack that it takes is
	; borrowed, since the specification promises no stack.
	mov edi, [SCRATCH]
	mov esp, SCRATCH + 4
	call .here
.here:	pop ebp
	mov [SCRATCH], edi
	sub ebp, OFF(.here)
	lea esp, [ebp + OFF(boot_stacks) + STACKS_MAIN_TOP]

	lea esi, [ebp + OFF(text_not_multiboot2)]
	cmp eax, MB2_MAGIC
	jne refuse
	mov edi, ebx			; the information block, kept to the end

	lea esi, [ebp + OFF(text_no_long_mode)]
	mov eax, 0x80000000
	cpuid
	cmp eax, 0x80000001
	jb refuse
	mov eax, 0x80000001
	cpuid
	bt edx, 29			; LM
	jnc refuse
	lea esi, [ebp + OFF(text_no_nx)]
	bt edx, 20			; NX
	jnc refuse

	call build_tables

	mov eax, CR4_PAE
	mov cr4, eax
	lea eax, [ebp + OFF(early_pml4)]
	mov cr3, eax
	mov ecx, MSR_EFER
	mov eax, EFER_LME_NXE
	xor edx, edx
	wrmsr
	lea eax, [ebp + OFF(gdt)]
	mov [ebp + OFF(gdt_ptr) + 2], eax
	lgdt [ebp + OFF(gdt_ptr)]
	lea eax, [ebp + OFF(switch_64)]
	mov [ebp + OFF(far_ptr)], eax
	jmp switch_mode

; Entry %2 of table %1 gets the address of table %3.
%macro LINK 3
	lea eax, [ebp + OFF(%3) + PTE_P + PTE_W]
	mov [ebp + OFF(%1) + (%2) * 8], eax
%endmacro

build_tables:
	; the image, page by page
	xor ecx, ecx			; offset in the image
	lea ebx, [ebp + OFF(early_image_pt)]
.image:	lea eax, [ebp + ecx + PTE_P]
	xor edx, edx
	cmp ecx, OFF(image_rodata)
	jb .entry
	mov edx, PTE_NX_HIGH
	cmp ecx, OFF(image_data)
	jb .entry
	or eax, PTE_W
.entry:	mov [ebx], eax
	mov [ebx + 4], edx
	add ebx, 8
	add ecx, 4096
	cmp ecx, OFF(image_end)
	jb .image
	LINK early_image_pd, 0, early_image_pt
	LINK early_image_pd, 1, early_image_pt + 4096
	LINK early_image_pdpt, 510, early_image_pd
	LINK early_pml4, 511, early_image_pdpt

	; the first 4 GiB in the direct area
	mov eax, PTE_P | PTE_W | PTE_LARGE
	lea ebx, [ebp + OFF(early_direct_pd)]
	mov ecx, 4 * 512
.direct:
	mov [ebx], eax
	mov dword [ebx + 4], PTE_NX_HIGH
	add ebx, 8
	add eax, 0x200000
	loop .direct
%assign i 0
%rep 4
	LINK early_direct_pdpt, i, early_direct_pd + i * 4096
%assign i i + 1
%endrep
	LINK early_pml4, 256, early_direct_pdpt

	; the page of the mode switch, at its physical address
	lea ebx, [ebp + OFF(switch_page)]
	mov edx, ebx
	shr edx, 12
	mov ecx, edx
	shr ecx, 18
	LINK early_pml4, 0, early_low_pdpt
	LINK early_low_pdpt, ecx, early_low_pd
	mov ecx, edx
	shr ecx, 9
	and ecx, 511
	LINK early_low_pd, ecx, early_low_pt
	and edx, 511
	and ebx, ~4095
	or ebx, PTE_P
	mov [ebp + OFF(early_low_pt) + edx * 8], ebx
	ret

%macro OUT 2
	mov dx, %1
	mov al, %2
	out dx, al
%endmacro

; Says the text at ESI on COM1 and on the VGA text screen, and stops.
refuse:
	OUT COM1 + 3, 0x80		; divisor: 115200
	OUT COM1, 1
	OUT COM1 + 1, 0
	OUT COM1 + 3, 3			; 8N1
	mov edi, VGA_TEXT
.next:	lodsb
	test al, al
	jz .stop
	mov ah, 7
	stosw
	mov bl, al
	mov ecx, 1 << 20		; there may be no UART
	mov dx, COM1 + 5
.wait:	in al, dx
	test al, 1 << 5			; THRE
	loopz .wait
	OUT COM1, bl
	jmp .next
.stop:	hlt
	jmp .stop

bits 64
switch_high:
	mov rax, early_pml4
	mov qword [rax], 0		; the identity map has served
	mov rax, cr3
	mov cr3, rax
	; Null selectors only until C has loaded its GDT: this one is out of reach.
	xor eax, eax
	mov ss, eax
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov ebp, ebp
	mov [image_load], rbp
	mov rsp, boot_stacks + STACKS_MAIN_TOP
	mov edi, edi
	xor ebp, ebp			; ends the chain of frames
	call boot_main
	ud2

section .rodata
text_not_multiboot2:
	db 13, 10, "Trivet: not loaded by multiboot2; use GRUB's multiboot2 command", 13, 10, 0
text_no_long_mode:
	db 13, 10, "Trivet: this CPU has no 64-bit mode", 13, 10, 0
text_no_nx:
	db 13, 10, "Trivet: this CPU has no NX, or the firmware switched it off", 13, 10, 0

section .bss align=4096
early_pml4:	resb 4096
early_low_pdpt:	resb 4096
early_low_pd:	resb 4096
early_low_pt:	resb 4096
early_direct_pdpt: resb 4096
early_direct_pd: resb 4 * 4096
early_image_pdpt: resb 4096
early_image_pd:	resb 4096
early_image_pt:	resb 2 * 4096

section .note.GNU-stack noalloc noexec nowrite progbits
