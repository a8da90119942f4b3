; SPDX-License-Identifier: BSD-2-Clause
;
; VM entry and exit. The guest's general registers are kept in the vCPU's array,
; in the order of their encoding, but for RSP, which is a VMCS field. Nothing
; else is touched here: no guest value stays in a register when C goes on.
; Source: Intel SDM volume 3, "VM Entries" and "VM Exits".

bits 64
default rel

%include "arch/each.inc"
%include "arch/patch.inc"

%define GPR(number) [rdi + (number) * 8]

; LOAD register, number, ...: from the vCPU's array; STORE: to it.
%macro LOAD 2-*
%rep %0 / 2
	mov %1, GPR(%2)
%rotate 2
%endrep
%endmacro
%macro STORE 2-*
%rep %0 / 2
	mov GPR(%2), %1
%rotate 2
%endrep
%endmacro

%macro ZERO 1
	xor %1, %1
%endmacro

; All but RSP, and RDI, which holds the vCPU.
%define GENERAL rax, 0, rcx, 1, rdx, 2, rbx, 3, rbp, 5, rsi, 6, r8, 8, r9, 9, r10, 10, \
	r11, 11, r12, 12, r13, 13, r14, 14, r15, 15
%define RDI_NUMBER 7
VCPU_HOST_RSP equ 2776
VMX_FAIL_INVALID equ 7
VMX_FAIL_VALID equ 8
FIELD_HOST_RSP equ 0x6c14
RSB_ENTRIES equ 32
DATA_SELECTOR equ 0x10	; SEL_DATA of arch/desc.h

section .rodata
data_selector:				; any that may be written: what VERW asks for
	dw DATA_SELECTOR

section .text
PATCH_OVER PATCH_VERW, vmx_entry.clear, vmx_entry.cleared
PATCH_OVER PATCH_VERW, vmx_entry_exit.clear, vmx_entry_exit.cleared
PATCH_OVER PATCH_RSB, vmx_entry_exit.fill, vmx_entry_exit.fill_one
PATCH_OVER PATCH_RSB_ONE, vmx_entry_exit.fill, vmx_entry_exit.filled
PATCH_OVER PATCH_ZERO, vmx_entry_exit.filled, vmx_entry_exit.zeroed

; enum vmx_served vmx_entry(struct vmx_vcpu *v [rdi], bool launched [esi])
extern vmx_served, vmx_answered
global vmx_entry:function
vmx_entry:
	EACH push, rbp, rbx, r12, r13, r14, r15, rdi
	cmp rsp, [rdi + VCPU_HOST_RSP]
	je .stack_known
	mov eax, FIELD_HOST_RSP
	vmwrite rax, rsp
	mov [rdi + VCPU_HOST_RSP], rsp
.stack_known:
	bt esi, 0			; CF: neither MOV nor VERW below changes it
	LOAD GENERAL
	mov rdi, GPR(RDI_NUMBER)
.clear:					; the last access to memory: what no buffer may keep is loaded
	verw [data_selector]
.cleared:
	jnc .launch
	vmresume
	jmp .failed
.launch:
	vmlaunch
.failed:				; CF: VMfailInvalid, ZF: VMfailValid
	mov eax, VMX_FAIL_INVALID
	mov ecx, VMX_FAIL_VALID
	cmovz eax, ecx
	pop rdi
	jmp vmx_entry_return

global vmx_entry_exit:function
vmx_entry_exit:
	push rdi
	mov rdi, [rsp + 8]
	STORE GENERAL
	pop qword GPR(RDI_NUMBER)
.fill:					; the return stack, before any RET goes by the guest's calls
	mov ecx, RSB_ENTRIES / 2
.fill_two:
	call .first
.trap:
	pause				; only by speculation: nothing returns to here
	lfence
	jmp .trap
.first:
	call .second
	jmp .trap
.second:
	dec ecx
	jnz .fill_two
	add rsp, RSB_ENTRIES * 8
	lfence
	jmp .filled
.fill_one:				; what the CPU predicts beyond a barrier takes this entry
	call .only
	jmp .trap
.only:
	add rsp, 8
	lfence
.filled:				; no guest value is left for speculation
	EACH ZERO, eax, ecx, edx, ebx, ebp, esi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
.zeroed:
	call vmx_served			; enum vmx_served
	mov rdi, [rsp]
	test eax, eax
	jnz .more
.resume:
	LOAD GENERAL
	mov rdi, GPR(RDI_NUMBER)
.clear:
	verw [data_selector]
.cleared:
	vmresume
	jmp vmx_entry.failed
.more:
	mov esi, eax
	call vmx_answered
	mov rdi, [rsp]
	test eax, eax
	jz .resume
	add rsp, 8

vmx_entry_return:
	EACH ZERO, ecx, edx, esi, r8d, r9d, r10d, r11d	; no guest value is left for speculation
	EACH pop, r15, r14, r13, r12, rbx, rbp
	ret
