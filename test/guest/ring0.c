/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring 0: runs into what KVM cannot emulate, an instruction in a device's
 * registers.
 */
#include "test/guest/machine.h"

void guest_ring0(void);

void guest_ring0(void)
{
	__asm__ volatile("jmp *%0" : : "r"(0xfeb00000UL));
}

uint32_t guest_main(uint64_t arg)
{
	(void)arg;
	return __LINE__; /* it is not ring 3 that it runs in */
}
