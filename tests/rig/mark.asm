; SPDX-License-Identifier: BSD-2-Clause
; The guest's first process in `make bench`: reads the TSC before anything else, prints
; "mark TSC", then the kernel's own count of idle time ("uptime SECONDS IDLE"), and switches off.
bits 64

SYS_READ	equ 0
SYS_WRITE	equ 1
SYS_OPEN	equ 2
SYS_IOCTL	equ 16
TCSBRK		equ 5409h
SYS_MOUNT	equ 165
SYS_REBOOT	equ 169
POWER_OFF	equ 4321fedch

section .text
global _start
_start:	rdtsc
	shl rdx, 32
	or rdx, rax
	lea rdi, [digits + 15]
	mov ecx, 16
.digit:	mov eax, edx
	and eax, 15
	mov al, [hex + rax]
	mov [rdi], al
	dec rdi
	shr rdx, 4
	loop .digit
	mov edx, text_end - text
	lea rsi, [text]
	call print

	lea rdi, [proc]			; source and type alike
	lea rsi, [folder]
	mov rdx, rdi
	xor r10d, r10d
	xor r8d, r8d
	mov eax, SYS_MOUNT
	syscall
	lea rdi, [file]
	xor esi, esi
	mov eax, SYS_OPEN
	syscall
	mov edi, eax
	lea rsi, [buffer]
	mov edx, 64
	xor eax, eax			; SYS_READ
	syscall
	mov ebx, eax
	mov edx, 7
	lea rsi, [uptime]
	call print
	mov edx, ebx
	lea rsi, [buffer]
	call print

	mov edi, 1			; let the serial line take it all
	mov esi, TCSBRK
	mov edx, 1
	mov eax, SYS_IOCTL
	syscall
	mov edi, 0fee1deadh
	mov esi, 672274793
	mov edx, POWER_OFF
	mov eax, SYS_REBOOT
	syscall
.rest:	jmp .rest

print:	mov edi, 1
	mov eax, SYS_WRITE
	syscall
	ret

section .data
text:	db "mark "
digits:	db "0000000000000000", 10
text_end:
hex:	db "0123456789abcdef"
uptime:	db "uptime "
proc:	db "proc", 0
folder:	db "/proc", 0
file:	db "/proc/uptime", 0
buffer:	times 64 db 0
