/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a virtqueue, for tests: lays a split or packed ring out
 * in fake RAM, adds chains, takes used entries back, keeps to the rules of
 * notification. Written from the specification (and Linux's uapi header), not
 * from src/bus, so that one checks the other.
 *
 * Threads: one at a time; the device's side may run on another.
 */
#pragma once

#include "base/types.h"
#include "bus/gmem.h"

#define RING_SIZE_MAX 1024U
#define RING_BYTES    (64 * KIB) /* of RAM, whatever the size and layout */

/* A piece of a chain. */
struct ring_buf {
	gpa_t gpa;
	uint32_t len;
	bool is_write; /* by the device */
};

struct ring_used {
	unsigned tag;
	uint32_t len;
};

struct ring {
	/* Where the parts are: for the transport's registers. */
	gpa_t desc, driver, device;
	unsigned size;
	bool packed, event_idx;
	/* The driver's own. */
	char *desc_host, *driver_host, *device_host;
	unsigned free;       /* descriptors left */
	uint16_t next, used; /* split: indices; packed: slots */
	uint16_t published;  /* split: index; packed: slot */
	uint16_t staged;     /* entries (slots) since ring_publish() */
	bool next_wrap, used_wrap, published_wrap;
	uint16_t head_slot, head_flags; /* packed: of the first one staged */
	struct {
		unsigned tag;
		uint16_t ndesc, next; /* descriptors held; split: free list */
	} ids[RING_SIZE_MAX];
	uint16_t free_id;
};

/*
 * Lays the ring out at base (4 KiB aligned, RING_BYTES of one gmem range) and
 * zeroes it. features: bits of VIRTIO_F_RING_PACKED and VIRTIO_F_EVENT_IDX.
 */
void ring_init(struct ring *r, const struct gmem *gm, gpa_t base, unsigned size,
	       uint64_t features);

/*
 * Adds a chain that comes back with `tag`; the device sees it at
 * ring_publish(). False: no descriptors left.
 */
bool ring_add(struct ring *r, const struct ring_buf *bufs, unsigned n,
	      unsigned tag);
/* As ring_add, by an indirect table that is written to host (16 n bytes) and
 * lies at gpa. */
bool ring_add_indirect(struct ring *r, const struct ring_buf *bufs, unsigned n,
		       void *host, gpa_t gpa, unsigned tag);

/* Makes what was added available: does the device want to be told? */
bool ring_publish(struct ring *r);

/* Takes the next used entry; false if there is none. */
bool ring_next_used(struct ring *r, struct ring_used *ret);

/*
 * Asks the device for an interrupt when `after` more entries (packed: slots)
 * than now are used (0: the next one), or for none. True: there is one
 * already, look before waiting.
 */
bool ring_want_irq(struct ring *r, bool on, unsigned after);
