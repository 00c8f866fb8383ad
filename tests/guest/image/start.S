/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * start.S - from the PVH entry (32 bits, no paging) to guest_main() in long mode; the same for the
 * other CPUs, from 16 bits; and the first instructions of every interrupt.
 */
#define CODE32 0x08
#define DATA   0x10
#define CODE64 0x18

#define AP_PAGE 0x50000 /* where the other CPUs start: below 1 MiB, free on any board */

#define STACK_BYTES    16384
#define AP_STACK_BYTES 2048
#define MAX_CPUS       64

#define MSR_EFER 0xc0000080

	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18
	.asciz "Xen"
	.quad pvh_entry

	.section .text.start, "ax"
	.code32
	.globl pvh_entry
pvh_entry:
	cli
	cld
	movl %ebx, start_info_address
	lgdt gdt_pointer
	movl $stack_end, %esp
	movl $begin_64, %edi
	jmp enter_long_mode

/* edi: where to go on, in 64-bit code. Paging is off, the GDT is ours. */
enter_long_mode:
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %cr4, %eax
	orl $0x20, %eax /* PAE */
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $0x100, %eax /* LME */
	wrmsr
	movl %cr0, %eax
	orl $0x80000001, %eax /* PG, PE */
	movl %eax, %cr0
	ljmp $CODE64, $1f
	.code64
1:
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	jmp *%rdi

begin_64:
	movl start_info_address, %edi
	call guest_main
	/* It does not come back. */
1:	hlt
	jmp 1b

/* Every other CPU counts itself, which is its index, and takes a stack by it. */
ap_begin_64:
	movl $1, %edi
	lock xaddl %edi, smp_count
	movl %edi, %eax
	imull $AP_STACK_BYTES, %eax
	leaq ap_stacks(%rax), %rsp
	call smp_main
1:	hlt
	jmp 1b

/* Copied to AP_PAGE; a CPU comes here from the SIPI, cs is AP_PAGE >> 4. */
	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl ap_gdt_pointer - ap_trampoline
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $CODE32, $(AP_PAGE + ap_begin_32 - ap_trampoline)
	.code32
ap_begin_32:
	movl $ap_begin_64, %edi
	movl $enter_long_mode, %eax
	jmp *%eax
ap_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_trampoline_end:

/* --- interrupts --- */

	.code64
/* struct interrupt_frame (interrupt.h): what the CPU pushed, with an error code for all of them. */
	.globl interrupt_stubs
	.balign 16
interrupt_stubs:
	vector = 0
	.rept 256
	.balign 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
	pushq $0
	.endif
	pushq $vector
	jmp interrupt_common
	vector = vector + 1
	.endr

interrupt_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbp
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	cld
	call interrupt_dispatch
	movq %rbp, %rsp
	popq %rbp
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

/* --- tables --- */

	.section .rodata
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff /* CODE32 */
	.quad 0x00cf93000000ffff /* DATA */
	.quad 0x00af9b000000ffff /* CODE64 */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

/* The first 5 GiB, address for address, in pages of 2 MiB. */
	.data
	.balign 4096
pml4:
	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:
	.quad directories + 3, directories + 0x1003, directories + 0x2003
	.quad directories + 0x3003, directories + 0x4003
	.fill 507, 8, 0
directories:
	page = 0
	.rept 5 * 512
	.quad page * 0x200000 + 0x83
	page = page + 1
	.endr

	.globl start_info_address
start_info_address:
	.long 0
	.globl smp_count
smp_count:
	.long 1

	.bss
	.balign 16
	.space STACK_BYTES
stack_end:
ap_stacks:
	.space MAX_CPUS * AP_STACK_BYTES

	.section .note.GNU-stack, "", @progbits
