/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring 0: takes a level-triggered interrupt and acknowledges it, which the
 * test is told of.
 */
#include "test/guest/guest.h"

#define APIC_SVR 0xf0
#define APIC_EOI 0xb0

#define VECTOR 0x51

struct gate {
	uint16_t offset_low, selector, type, offset_mid;
	uint32_t offset_high, zero;
};

static struct gate idt[256];
static volatile uint32_t taken;

void eoi_entry(void);

__asm__(".globl eoi_entry\n"
	"eoi_entry:\n"
	"	lock incl taken(%rip)\n"
	"	push %rax\n"
	"	mov $0xfee000b0, %eax\n"
	"	movl $0, (%rax)\n"
	"	pop %rax\n"
	"	iretq\n");

static void load_idt(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} table = {sizeof(idt) - 1, (uint64_t)idt};
	uint64_t to = (uint64_t)eoi_entry;

	idt[VECTOR] = (struct gate){
		.offset_low = (uint16_t)to,
		.selector = 0x8,
		.type = 0x8e00,
		.offset_mid = (uint16_t)(to >> 16),
		.offset_high = (uint32_t)(to >> 32),
	};
	__asm__ volatile("lidt %0" : : "m"(table));
}

uint32_t guest_main(uint64_t arg)
{
	(void)arg;
	load_idt();
	apic_write(APIC_SVR, 0x1ff);
	*guest_mailbox(0) = VECTOR;
	__asm__ volatile("sti");
	while (taken < 2)
		cpu_relax();
	return 0;
}
