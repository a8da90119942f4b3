; SPDX-License-Identifier: BSD-2-Clause
;
; Guest code of the tests of a vCPU's state, 64-bit, to be copied to any place:
; a computation that goes through every kind of register. RBP: rounds; R15: 1
; where AVX may be used; a stack. Ends with VMCALL.

bits 64
default rel
section .rodata

MSR_LSTAR equ 0xc0000082

global state_compute
global state_compute_end
state_compute:
	fninit
	push 0xb7f			; extended precision, rounds up
	fldcw [rsp]
	pop r8
	fld1
	fadd st0, st0
	fld1
	fdivrp st1, st0			; 1/2
	fldz
	pxor xmm2, xmm2
	pxor xmm9, xmm9
	mov rax, 0x123456789abcdef1
.round:
	imul rax, rax, 69069
	add rax, rbp
	ror rax, 7
	mov dr1, rax
	mov r10, rax
	push rax
	fild qword [rsp]
	faddp st1, st0
	fmul st0, st1			; the sum, halved
	pop r8
	movq xmm1, rax
	paddq xmm2, xmm1
	pshufd xmm2, xmm2, 0x93
	pxor xmm9, xmm2
	test r15, r15
	jz .no_avx
	vinsertf128 ymm4, ymm4, xmm2, 1
	vxorps ymm5, ymm5, ymm4
	vpermilps ymm5, ymm5, 0x93
.no_avx:
	mov ecx, MSR_LSTAR
	mov eax, r10d
	mov edx, 0x1234
	wrmsr
	sti
	nop
	cli
	mov cr2, r10
	swapgs
	rdmsr
	add r12, rax
	mov r9, cr2
	xor r13, r9
	mov r9, dr1
	add r14, r9
	rol r14, 3
	mov rax, r10
	dec rbp
	jnz .round
	vmcall
state_compute_end:

; Instructions for the debugger, each at a label.
global state_steps
global state_steps_end
state_steps:
	mov eax, 1
	cpuid				; exits
	sti
	nop				; in the shadow of STI
	cli
	pushfq
	pop rbx
	mov rdx, dr7
	mov r8d, 0x1234
	mov dr0, r8
	mov r9, dr0
	int3
	nop
	vmcall
state_steps_end:

; Counts NMIs: installs a handler by the IDT at RDI, waits for R12 of them. In the
; handler R13 tells the nesting, R14 the deepest. Ends with VMCALL.
global state_nmi
global state_nmi_end
state_nmi:
	lea rax, [.handler]
	mov [rdi + 32], ax
	mov word [rdi + 34], cs
	mov word [rdi + 36], 0x8e00
	shr rax, 16
	mov [rdi + 38], ax
	shr rax, 16
	mov [rdi + 40], rax
	push rdi
	push word 0x1000
	lidt [rsp]
	vmcall				; ready
.wait:
	hlt
	cmp rbx, r12
	jb .wait
	vmcall
	jmp .wait
.handler:
	inc rbx
	inc r13
	cmp r13, r14
	cmova r14, r13
	vmcall				; in the handler
	dec r13
	iretq
state_nmi_end:

; Reads LSTAR, then writes it, each behind VMCALL.
global state_msr
global state_msr_end
state_msr:
	mov ecx, MSR_LSTAR
	rdmsr
	vmcall
	xor edx, edx
	mov eax, 0x5000
	wrmsr
	vmcall
state_msr_end:
