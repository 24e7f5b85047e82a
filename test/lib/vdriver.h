/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver for tests: drives a device in a virtio-mmio slot of the fake
 * board as an operating system would, register by register (VIRTIO 1.2, 3.1
 * and 4.2.3), with the rings of test/lib/ring.h.
 *
 * Threads: the test's.
 */
#pragma once

#include <linux/virtio_mmio.h>

#include "test/lib/fakeboard.h"
#include "test/lib/ring.h"

#define VDRIVER_QUEUES 16U

/* Every feature that is offered. */
#define VDRIVER_ALL UINT64_MAX

struct vdriver {
	struct fakeboard *board;
	gpa_t base;
	unsigned gsi;
	uint64_t offered, features;
	struct ring rings[VDRIVER_QUEUES]; /* in RAM from 1 MiB on */
	gpa_t next;                        /* of vdriver_alloc() */
};

/* A driver for the slot at base with that line; nothing is touched yet. */
void vdriver_init(struct vdriver *v, struct fakeboard *board, gpa_t base,
		  unsigned gsi);

uint32_t vdriver_get(struct vdriver *v, unsigned reg);
void vdriver_set(struct vdriver *v, unsigned reg, uint32_t value);

/* Bytes of the configuration space, in the widths that the driver must use. */
uint64_t vdriver_config(struct vdriver *v, unsigned off, unsigned size);

/*
 * Resets the device, looks at what is offered, accepts what is in `want` of
 * it and VIRTIO_F_VERSION_1: does the device take it?
 */
bool vdriver_negotiate(struct vdriver *v, uint64_t want);
/* Gives a queue its ring, and enables it. */
void vdriver_queue(struct vdriver *v, unsigned index, unsigned size);
/* DRIVER_OK, and time for the device to act on it. */
void vdriver_ok(struct vdriver *v);

/* All of that, for queues [0, n) of that size. Fails the test if refused. */
void vdriver_start(struct vdriver *v, uint64_t want, unsigned n, unsigned size);

/* RAM for buffers, zeroed, at any address from 2 MiB on; and its contents. */
gpa_t vdriver_alloc(struct vdriver *v, size_t len);
void *vdriver_ptr(struct vdriver *v, gpa_t gpa);

/* Adds and publishes a chain; kicks if the device wants it. */
void vdriver_send(struct vdriver *v, unsigned queue,
		  const struct ring_buf *bufs, unsigned n, unsigned tag);
void vdriver_kick(struct vdriver *v, unsigned queue);

/* Runs the loop until a used entry comes; fails the test if none does. */
struct ring_used vdriver_wait(struct vdriver *v, unsigned queue);

/* Interrupts so far; and takes their reasons, as a handler would. */
unsigned vdriver_irqs(const struct vdriver *v);
uint32_t vdriver_ack(struct vdriver *v);
