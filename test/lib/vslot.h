/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device in a virtio-mmio slot of a fake board, with its driver: what
 * tests of one device need on top of test/lib/vdriver.h.
 *
 * Threads: the test's.
 */
#pragma once

#include "bus/virtio.h"
#include "bus/virtio_mmio.h"
#include "test/lib/vdriver.h"

/* RAM that is the test's own. */
#define VSLOT_HEAP     (2 * MIB)
#define VSLOT_HEAP_END FAKE_RAM

struct vslot {
	struct vdriver d;
	struct virtio_mmio *slot;
	struct device *dev;
	unsigned irqs_seen;
};

/* Makes the device (NULL in v->dev and *e where it is refused) in slot i. */
void vslot_init(struct vslot *v, struct fakeboard *f, unsigned i,
		const char *text, struct err *e);
/* Frees device and slot, whatever is under way. */
void vslot_fini(struct vslot *v);

/* Resets, negotiates, and sets up the first n queues at their largest size. */
void vslot_start(struct vslot *v, uint64_t want, unsigned n);
void vslot_reset(struct vslot *v);
/* Resets one queue (VIRTIO_F_RING_RESET), and waits for it. */
void vslot_queue_reset(struct vslot *v, unsigned queue);

void vslot_config_set(struct vslot *v, unsigned off, unsigned size,
		      uint64_t value);

/* Adds a chain, which must fit; the device does not see it yet. */
void vslot_add(struct vslot *v, unsigned queue, const struct ring_buf *bufs,
	       unsigned n, unsigned tag);
/* Shows the device what was added, kicks, wanted or not, and settles. */
void vslot_kick(struct vslot *v, unsigned queue);
/* The next used entry, which must be there and have that tag: its length. */
uint32_t vslot_used(struct vslot *v, unsigned queue, unsigned tag);
bool vslot_has_used(const struct vslot *v, unsigned queue);

bool vslot_is_broken(struct vslot *v);
/* Interrupts since the last call; acknowledges them. */
unsigned vslot_irqs(struct vslot *v);
