; SPDX-License-Identifier: BSD-2-Clause
;
; A VM that sleeps for good and could still be woken: HLT with interrupts on, of which
; none ever comes. For kind=flat, as company for a VM that measures.

bits 16
org 0x7c00
start:
	sti
	hlt
	jmp	start
