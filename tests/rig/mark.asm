; SPDX-License-Identifier: BSD-2-Clause
; The guest's first process in `make bench`: reads the TSC before anything else, prints
; "mark TSC", then the kernel's own count of idle time ("uptime SECONDS IDLE"). Then it works: each
; "work NAME TICKS" is what so many calls took. At last the uptime once more, and it switches off.
; Called by another name it ends at once: that is what the work starts.
bits 64

SYS_READ	equ 0
SYS_WRITE	equ 1
SYS_OPEN	equ 2
SYS_LSEEK	equ 8
SYS_IOCTL	equ 16
SYS_FORK	equ 57
SYS_EXECVE	equ 59
SYS_EXIT	equ 60
SYS_WAIT4	equ 61
SYS_GETPPID	equ 110
SYS_MOUNT	equ 165
SYS_REBOOT	equ 169
TCSBRK		equ 5409h
POWER_OFF	equ 4321fedch

CALLS		equ 1000		; of getppid
STARTS		equ 100			; of a process
CHARACTERS	equ 4000		; in lines of 80

; WORK name, function: its ticks, printed
%macro WORK 2
	rdtsc
	shl rdx, 32
	lea r15, [rdx + rax]
	call %2
	rdtsc
	shl rdx, 32
	add rdx, rax
	sub rdx, r15
	lea rsi, [%%name]
	mov ecx, %%end - %%name
	call report
	section .data
%%name:	db "work ", %1, " "
%%end:
	section .text
%endmacro

section .text
global _start
_start:	rdtsc
	mov rbx, [rsp + 8]		; argv[0]
	cmp byte [rbx], 'x'
	je start_one.quit
	shl rdx, 32
	or rdx, rax
	lea rsi, [text]
	mov ecx, text_end - text
	call report

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
	mov r14d, eax
	call print_uptime

	call getppid			; once for what is slow the first time
	call start_one
	WORK "getppid", getppid
	WORK "fork", start_many
	WORK "serial", write_lines
	call print_uptime
	call drain
	mov edi, 0fee1deadh
	mov esi, 672274793
	mov edx, POWER_OFF
	mov eax, SYS_REBOOT
	syscall
.rest:	jmp .rest

getppid:
	mov ebx, CALLS
.next:	mov eax, SYS_GETPPID
	syscall
	dec ebx
	jnz .next
	ret

start_many:
	mov ebx, STARTS
.next:	call start_one
	dec ebx
	jnz .next
	ret

; A process that runs this program by its other name; then its end.
start_one:
	mov eax, SYS_FORK
	syscall
	test eax, eax
	jnz .wait
	lea rdi, [program]
	lea rsi, [arguments]
	lea rdx, [arguments_end]	; no environment
	mov eax, SYS_EXECVE
	syscall
.quit:	xor edi, edi
	mov eax, SYS_EXIT
	syscall
.wait:	mov edi, eax
	xor esi, esi
	xor edx, edx
	xor r10d, r10d
	mov eax, SYS_WAIT4
	syscall
	ret

; All of it sent, too.
write_lines:
	mov ebx, CHARACTERS / 80
.next:	lea rsi, [line]
	mov edx, 80
	call print
	dec ebx
	jnz .next
drain:	mov edi, 1			; until the serial line has taken it all
	mov esi, TCSBRK
	mov edx, 1
	mov eax, SYS_IOCTL
	syscall
	ret

print_uptime:
	mov edi, r14d
	xor esi, esi
	xor edx, edx
	mov eax, SYS_LSEEK
	syscall
	mov edi, r14d
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
	jmp print

; RSI, ECX: a text; RDX: the number behind it, in hexadecimal, of which a line is made
report:	push rdx
	mov edx, ecx
	call print
	pop rdx
	lea rdi, [digits + 15]
	mov ecx, 16
.digit:	mov eax, edx
	and eax, 15
	mov al, [hex + rax]
	mov [rdi], al
	dec rdi
	shr rdx, 4
	loop .digit
	lea rsi, [digits]
	mov edx, 17
print:	mov edi, 1
	mov eax, SYS_WRITE
	syscall
	ret

section .data
text:	db "mark "
text_end:
digits:	db "0000000000000000", 10
hex:	db "0123456789abcdef"
uptime:	db "uptime "
proc:	db "proc", 0
folder:	db "/proc", 0
file:	db "/proc/uptime", 0
program: db "/bin/mark", 0
other:	db "x", 0
line:	times 79 db "-"
	db 10
align 8
arguments: dq other
arguments_end: dq 0
buffer:	times 64 db 0
