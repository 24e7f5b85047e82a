/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest can do to its processor: the argument says what.
 */
#include "test/guest/guest.h"

static void triple_fault(void)
{
	__asm__ volatile("ud2"); /* the IDT is empty */
}

/* KVM's emulator has no 16-byte compare and exchange. */
static void wide_exchange(void)
{
	uint64_t lo = 0, hi = 0;

	__asm__ volatile("lock cmpxchg16b (%2)"
			 : "+a"(lo), "+d"(hi)
			 : "r"(PAYLOAD_MMIO), "b"(0ULL), "c"(0ULL)
			 : "memory", "cc");
}

static void run_device(void)
{
	__asm__ volatile("jmp *%0" : : "r"(PAYLOAD_MMIO));
}

static void halt(void)
{
	__asm__ volatile("cli; hlt");
}

/* Ends the run; the word behind must stay 0. */
static void last_words(void)
{
	out32(PAYLOAD_EXIT_PORT, 0);
	*guest_mailbox(1) = 1;
	for (;;)
		;
}

static void spin(void)
{
	for (;;)
		++*guest_mailbox(1);
}

/* An access each time, so that most pauses find one open. */
static void spin_on_port(void)
{
	for (uint32_t i = 0;; i++) {
		out32(0x700, i);
		guest_check(in32(0x704) == ~i);
		++*guest_mailbox(1);
	}
}

uint32_t guest_main(uint64_t arg)
{
	static void (*const acts[])(void) = {
		triple_fault, wide_exchange, run_device,   halt,
		last_words,   spin,          spin_on_port,
	};

	acts[arg]();
	return 1;
}
