/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks CPUID for the leaves that the test writes into the mailbox: function and
 * sub-leaf in words 2n, answers in place of them (EAX | EBX << 32, ECX | EDX
 * << 32). The argument is how many.
 */
#include "test/guest/guest.h"

uint32_t guest_main(uint64_t arg)
{
	for (unsigned i = 0; i < arg; i++) {
		uint32_t a = (uint32_t)*guest_mailbox(2 * i);
		uint32_t c = (uint32_t)*guest_mailbox(2 * i + 1);
		uint32_t b, d;

		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		*guest_mailbox(2 * i) = (uint64_t)b << 32 | a;
		*guest_mailbox(2 * i + 1) = (uint64_t)d << 32 | c;
	}
	return 0;
}
