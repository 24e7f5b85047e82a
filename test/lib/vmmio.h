/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a driver brings a virtio-mmio device up, for whoever can get at its
 * registers: the tests' driver on the fake board, and payloads on a real one.
 *
 * Spec: VIRTIO 1.2, 3.1 and 4.2.3.
 * Threads: the caller's.
 */
#pragma once

#include "base/types.h"

struct ring;

struct vmmio {
	uint32_t (*get)(void *opaque, unsigned reg);
	void (*set)(void *opaque, unsigned reg, uint32_t value);
	void *opaque;
};

/* Is there a device of version 2, of any kind? */
bool vmmio_is_used(const struct vmmio *m);

void vmmio_add_status(const struct vmmio *m, uint32_t bit);

/*
 * Resets the device, looks at what is offered, accepts what is in `want` of
 * it and VIRTIO_F_VERSION_1: does the device take it?
 */
bool vmmio_negotiate(const struct vmmio *m, uint64_t want,
		     uint64_t *ret_offered, uint64_t *ret_accepted);

/* Gives a queue its ring and enables it. False: it is not as it must be. */
bool vmmio_enable_queue(const struct vmmio *m, unsigned index,
			const struct ring *r);
