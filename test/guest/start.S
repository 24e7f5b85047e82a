/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a payload starts: 64-bit mode, ring 3 (or 0), identity map, a stack.
 * RSI has the argument of the run.
 */
#include "test/lib/payload_abi.h"

	.section .text.start, "ax"
	.globl guest_start
guest_start:
	mov	%rsi, %rdi
	call	guest_main
1:	out	%eax, $PAYLOAD_EXIT_PORT
	jmp	1b

/*
 * What another processor runs after a start-up message, copied by the payload
 * to a page below 1 MiB: counts itself in and sleeps. Real mode, %cs is the
 * page; the counter is at the end of the page.
 */
	.globl guest_ap_start, guest_ap_end
guest_ap_start:
	.code16
	mov	%cs, %ax
	mov	%ax, %ds
	lock incl 0xffc
1:	cli
	hlt
	jmp	1b
	.code64
guest_ap_end:

	.section .note.GNU-stack, "", @progbits
