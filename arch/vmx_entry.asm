; SPDX-License-Identifier: BSD-2-Clause
;
; VM entry and exit. The guest's general registers are kept in the vCPU's array,
; in the order of their encoding, but for RSP, which is a VMCS field. Nothing
; else is touched here: no guest value stays in a register when C goes on.
; Source: Intel SDM volume 3, "VM Entries" and "VM Exits".

bits 64
default rel

GPR_RAX equ 0
GPR_RCX equ 8
GPR_RDX equ 16
GPR_RBX equ 24
GPR_RBP equ 40
GPR_RSI equ 48
GPR_RDI equ 56
GPR_R8 equ 64
GPR_R9 equ 72
GPR_R10 equ 80
GPR_R11 equ 88
GPR_R12 equ 96
GPR_R13 equ 104
GPR_R14 equ 112
GPR_R15 equ 120
VCPU_HOST_RSP equ 128
FIELD_HOST_RSP equ 0x6c14

section .text

; int vmx_entry(struct vmx_vcpu *v [rdi], bool launched [esi])
global vmx_entry:function
vmx_entry:
	push rbp
	push rbx
	push r12
	push r13
	push r14
	push r15
	push rdi
	cmp rsp, [rdi + VCPU_HOST_RSP]
	je .stack_known
	mov eax, FIELD_HOST_RSP
	vmwrite rax, rsp
	mov [rdi + VCPU_HOST_RSP], rsp
.stack_known:
	test sil, sil			; no MOV below changes the flags
	mov rax, [rdi + GPR_RAX]
	mov rcx, [rdi + GPR_RCX]
	mov rdx, [rdi + GPR_RDX]
	mov rbx, [rdi + GPR_RBX]
	mov rbp, [rdi + GPR_RBP]
	mov rsi, [rdi + GPR_RSI]
	mov r8, [rdi + GPR_R8]
	mov r9, [rdi + GPR_R9]
	mov r10, [rdi + GPR_R10]
	mov r11, [rdi + GPR_R11]
	mov r12, [rdi + GPR_R12]
	mov r13, [rdi + GPR_R13]
	mov r14, [rdi + GPR_R14]
	mov r15, [rdi + GPR_R15]
	mov rdi, [rdi + GPR_RDI]
	jz .launch
	vmresume
	jmp .failed
.launch:
	vmlaunch
.failed:				; CF: VMfailInvalid, ZF: VMfailValid
	mov eax, 1
	mov ecx, 2
	cmovz eax, ecx
	pop rdi
	jmp vmx_entry_return

global vmx_entry_exit:function
vmx_entry_exit:
	push rdi
	mov rdi, [rsp + 8]
	mov [rdi + GPR_RAX], rax
	mov [rdi + GPR_RCX], rcx
	mov [rdi + GPR_RDX], rdx
	mov [rdi + GPR_RBX], rbx
	mov [rdi + GPR_RBP], rbp
	mov [rdi + GPR_RSI], rsi
	mov [rdi + GPR_R8], r8
	mov [rdi + GPR_R9], r9
	mov [rdi + GPR_R10], r10
	mov [rdi + GPR_R11], r11
	mov [rdi + GPR_R12], r12
	mov [rdi + GPR_R13], r13
	mov [rdi + GPR_R14], r14
	mov [rdi + GPR_R15], r15
	pop qword [rdi + GPR_RDI]
	add rsp, 8
	xor ecx, ecx			; no guest value is left for speculation
	xor edx, edx
	xor esi, esi
	xor r8d, r8d
	xor r9d, r9d
	xor r10d, r10d
	xor r11d, r11d
	xor eax, eax

vmx_entry_return:
	pop r15
	pop r14
	pop r13
	pop r12
	pop rbx
	pop rbp
	ret
