/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of a virtio device's fuzzer: an input is a list of what a driver,
 * good or bad, may do: chains of any shape, bytes anywhere in its rings and
 * buffers, kicks, resets with any features; and, in between, what the device's
 * back end does.
 *
 * Threads: one.
 */
#pragma once

#include "test/lib/vslot.h"

struct vfuzz {
	struct fakeboard board;
	struct vslot v;
	unsigned nqueues;
	/* One thing that the back end does; eats its arguments. */
	void (*back_end)(struct vfuzz *z);
	const uint8_t *data; /* the rest of the input */
	size_t len;
};

/* The next byte (two) of the input; 0 behind its end. */
uint8_t vfuzz_u8(struct vfuzz *z);
uint16_t vfuzz_u16(struct vfuzz *z);

/* Makes the device, once; fails if it cannot. */
void vfuzz_init(struct vfuzz *z, const char *text, unsigned nqueues);

/* Does what the input says and resets the device. */
void vfuzz_run(struct vfuzz *z, const uint8_t *data, size_t len);
