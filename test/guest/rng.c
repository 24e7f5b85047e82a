/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes by virtio-rng.
 *
 * Spec: VIRTIO 1.2, 5.4.
 */
#include <string.h>

#include "test/guest/virtio.h"

#define BYTES 256U

static struct virtio rng;

/* Fills buf, however few bytes come at a time. */
static void fill(uint8_t *buf)
{
	uint32_t got = 0;

	while (got < BYTES) {
		const struct ring_buf b = {virtio_gpa(buf + got), BYTES - got,
					   true};
		uint32_t n;

		virtio_send(&rng, 0, &b, 1);
		n = virtio_wait(&rng, 0);
		guest_check(n && n <= BYTES - got);
		got += n;
	}
}

/* 256 random bytes have 162 different values, give or take 6 (sigma). */
static bool is_random(const uint8_t *p)
{
	static bool seen[256];
	unsigned count = 0;

	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < BYTES; i++) {
		count += !seen[p[i]];
		seen[p[i]] = true;
	}
	return count > 100 && count < 220;
}

/* Gives the device work and resets it, until somebody ends the machine. */
static void reset_for_ever(void)
{
	static uint8_t buf[BYTES];
	const struct ring_buf b = {virtio_gpa(buf), BYTES, true};

	machine_say("resetting\n");
	for (;;) {
		virtio_start(&rng, 0, 1, 8);
		virtio_send(&rng, 0, &b, 1);
		(void)virtio_wait(&rng, 0); /* the loop has the queue */
	}
}

uint32_t guest_main(uint64_t arg)
{
	static uint8_t first[BYTES], second[BYTES];

	(void)arg;
	virtio_find(&rng, 4);
	if (machine_has("reset"))
		reset_for_ever();
	virtio_start(&rng, 0, 1, 8);
	fill(first);
	fill(second);
	machine_point("bytes come that look random",
		      is_random(first) && is_random(second));
	machine_point("other ones each time", memcmp(first, second, BYTES));
	return 0;
}
