/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a payload starts that runs under the whole program: entered by PVH in
 * 32-bit mode, it maps the first 4 GiB one to one for user mode and goes on in
 * ring 3 with IOPL 3. Hosts that interpret ring 0 interpret no more than this.
 *
 * A payload that defines guest_ring0() has that called instead, in ring 0.
 *
 * Spec: Xen docs/misc/pvh.pandoc; Intel SDM volume 3, 4.5 (paging), 9.8.5
 *       (entering 64-bit mode).
 */
	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18	/* sizes of name and entry; PHYS32_ENTRY */
	.asciz	"Xen"
	.long	machine_start

	.section .text.start, "ax"
	.code32
	.globl machine_start
machine_start:
	mov	$machine_pd, %edi
	mov	$0x87, %eax		/* 2 MiB, present, writable, user */
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	jnc	1b
	mov	$machine_pdpt, %edi
	mov	$machine_pd + 7, %eax
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x1000, %eax
	cmp	$machine_pd_end + 7, %eax
	jne	1b
	movl	$machine_pdpt + 7, machine_pml4
	mov	$machine_pml4, %eax
	mov	%eax, %cr3
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* EFER */
	rdmsr
	or	$0x100, %eax		/* LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax	/* PG */
	mov	%eax, %cr0
	lgdt	machine_gdtr
	ljmp	$0x8, $1f
	.code64
1:	mov	$0x10, %eax
	mov	%eax, %ss
	mov	$machine_stack_end, %esp
	mov	%ebx, %edi		/* the start information */
	mov	$guest_ring0, %eax
	test	%eax, %eax
	jnz	2f
	mov	$0x23, %eax
	mov	%eax, %ds
	mov	%eax, %es
	push	%rax			/* ss */
	push	$machine_stack_end
	push	$0x3002			/* IOPL 3, no interrupts */
	push	$0x1b			/* cs */
	push	$machine_main
	iretq
2:	call	*%rax
3:	hlt
	jmp	3b
	.weak guest_ring0

	.section .rodata
	.balign 8
machine_gdt:			/* code and data, of ring 0 and ring 3 */
	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
	.quad	0x00affb000000ffff, 0x00cff3000000ffff
machine_gdtr:
	.word	. - machine_gdt - 1
	.quad	machine_gdt

	.bss
	.balign 4096
machine_pml4:
	.skip	4096
machine_pdpt:
	.skip	4096
machine_pd:
	.skip	4 * 4096
machine_pd_end:
	.skip	16384
machine_stack_end:

	.section .note.GNU-stack, "", @progbits
