/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver for payloads under the whole program, which polls.
 */
#pragma once

#include "test/guest/machine.h"
#include "test/lib/ring.h"

#define VIRTIO_QUEUES 2U

struct virtio {
	struct machine_slot slot;
	uint64_t offered, features;
	struct ring rings[VIRTIO_QUEUES];
};

/* The first device of that kind among those that ACPI names; else ends. */
void virtio_find(struct virtio *v, uint32_t id);

/*
 * Resets the device and brings it up with what is in `want` of its features,
 * less what the command line takes away ("packed" has to be asked for), and n
 * queues.
 */
void virtio_start(struct virtio *v, uint64_t want, unsigned n, unsigned size);

/* Publishes what was added; kicks if the device wants it. */
void virtio_kick(struct virtio *v, unsigned queue);
/* Adds a chain and kicks. The tag is 0. */
void virtio_send(struct virtio *v, unsigned queue, const struct ring_buf *bufs,
		 unsigned n);
/* Polls until a chain is used: the bytes written. */
uint32_t virtio_wait(struct virtio *v, unsigned queue);

uint32_t virtio_status(const struct virtio *v);
/* Did an interrupt say that buffers were used? Acknowledges it. */
bool virtio_had_interrupt(const struct virtio *v);
uint64_t virtio_config(const struct virtio *v, unsigned off, unsigned size);

static inline gpa_t virtio_gpa(const void *p)
{
	return (gpa_t)p;
}
