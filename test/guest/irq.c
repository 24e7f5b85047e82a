/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts that the test sends show up in the local APIC; doorbells that the
 * payload rings reach the test. Interrupts stay disabled: the payload polls the
 * request register, which ring 3 can.
 */
#include "test/guest/guest.h"

#define APIC_SVR 0xf0
#define APIC_IRR 0x200

static void wait_vector(unsigned vector)
{
	while (!(apic_read(APIC_IRR + vector / 32 * 0x10) & 1U << vector % 32))
		cpu_relax();
}

/* Mailbox 0: which vector is awaited next. */
static void interrupts(void)
{
	apic_write(APIC_SVR, 0x1ff);
	*guest_mailbox(0) = 0x45;
	wait_vector(0x45);
	*guest_mailbox(0) = 0x46;
	wait_vector(0x46);
	*guest_mailbox(0) = 0x47;
	wait_vector(0x47);
}

static void doorbells(void)
{
	mmio_w32(PAYLOAD_MMIO + 0x50, 7); /* watched */
	mmio_w32(PAYLOAD_MMIO + 0x50, 8); /* another value */
	mmio_w16(PAYLOAD_MMIO + 0x50, 7); /* another width */
	mmio_w8(PAYLOAD_MMIO + 0x60, 1);  /* watched, any width */
	mmio_w16(PAYLOAD_MMIO + 0x60, 2);
	out16(0x600, 3); /* watched port */
	out16(0x600, 4);
}

uint32_t guest_main(uint64_t arg)
{
	if (arg == 0)
		interrupts();
	else
		doorbells();
	return 0;
}
