/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port and memory accesses of every width, single, repeated and across a page
 * border: each arrives as it was made, and each answer comes back whole.
 */
#include "test/guest/guest.h"

#define PORT 0x5a0

/* What the test answers: a pattern of the address and its own bytes. */
static uint64_t answer(uint64_t addr)
{
	return 0x0807060504030201ULL * (addr & 0x1f);
}

static void ports(void)
{
	guest_check(in8(PORT + 1) == (uint8_t)answer(1));
	guest_check(in16(PORT + 2) == (uint16_t)answer(2));
	guest_check(in32(PORT + 4) == (uint32_t)answer(4));
	out8(PORT, 0x12);
	out16(PORT + 2, 0x3456);
	out32(PORT + 4, 0x789abcde);
	out8(0x80, 0x7f); /* immediate form */
	guest_check(in8(0x81) == (uint8_t)answer(0x81));
}

static void strings(void)
{
	static const uint8_t bytes[5] = {1, 2, 3, 4, 5};
	static const uint16_t words[2] = {0x1111, 0x2222};
	static const uint32_t longs[3] = {0x3333, 0x44444444, 0x5};
	static uint8_t in[4096];
	static uint32_t in_longs[2];

	rep_out8(PORT, bytes, 5);
	rep_out16(PORT, words, 2);
	rep_out32(PORT, longs, 3);
	rep_in8(PORT + 3, in, sizeof(in));
	for (size_t i = 0; i < sizeof(in); i++)
		guest_check(in[i] == (uint8_t)answer(3));
	rep_in32(PORT + 5, in_longs, 2);
	guest_check(in_longs[0] == (uint32_t)answer(5));
	guest_check(in_longs[1] == (uint32_t)answer(5));
}

static void memory(void)
{
	guest_check(mmio_r8(PAYLOAD_MMIO + 1) == (uint8_t)answer(1));
	guest_check(mmio_r16(PAYLOAD_MMIO + 2) == (uint16_t)answer(2));
	guest_check(mmio_r32(PAYLOAD_MMIO + 4) == (uint32_t)answer(4));
	guest_check(mmio_r64(PAYLOAD_MMIO + 8) == answer(8));
	mmio_w8(PAYLOAD_MMIO, 0x12);
	mmio_w16(PAYLOAD_MMIO + 2, 0x3456);
	mmio_w32(PAYLOAD_MMIO + 4, 0x789abcde);
	mmio_w64(PAYLOAD_MMIO + 8, 0x1122334455667788);
}

/* The byte at the border belongs to another page: two accesses. */
static void page_border(void)
{
	mmio_w32(PAYLOAD_MMIO + 0xffd, 0xa1b2c3d4);
	mmio_w64(PAYLOAD_MMIO + 0x1ffb, 0x0102030405060708);
}

uint32_t guest_main(uint64_t arg)
{
	(void)arg;
	ports();
	strings();
	memory();
	page_border();
	return 0;
}
