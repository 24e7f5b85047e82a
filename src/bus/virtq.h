/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue, split or packed: chains out of guest memory, used entries back,
 * notifications suppressed as the driver asks.
 *
 * Spec: Virtual I/O Device (VIRTIO) 1.2, 2.6 (common), 2.7 (split), 2.8
 *       (packed), 2.7.5.3 and 2.8.7 (indirect), 2.7.10 and 2.8.14
 *       (notifications).
 * Threads: configured under the device's lock; everything else on the loop
 *       that serves the queue.
 */
#pragma once

#include "base/compiler.h"
#include "base/state.h"
#include "base/types.h"
#include "bus/iov.h"

struct gmem;
struct gmem_range;
struct virtio_dev;

#define VIRTQ_SIZE_MAX 1024U /* largest queue size, and longest chain */
#define CHAIN_IOV_MAX  1026U /* iovecs that hold any chain */

/*
 * A descriptor chain, already checked: out[] is what the driver wrote for the
 * device to read, in[] what the device fills in. Lengths are exact and their
 * sum is at most 4 GiB. out and in point into iov, one behind the other.
 */
struct chain {
	struct iovec *iov; /* the caller's storage, given before virtq_pop */
	unsigned iov_max;  /* its entries */
	unsigned nout, nin;
	struct iovec *out, *in;
	uint64_t out_bytes, in_bytes;
	uint16_t id;    /* head index (split) or buffer id (packed) */
	uint16_t ndesc; /* descriptors of the ring that it holds: 1… */
};

struct virtq {
	/* What every pop and push reads; derived when the queue is enabled. */
	bool packed, event_idx, indirect;
	bool broken; /* the driver broke a rule: the device needs a reset */
	/* Where we are. */
	bool avail_wrap, used_wrap; /* packed */
	uint16_t size;              /* entries; the driver may reduce it */
	uint16_t last_avail;        /* split: index; packed: slot */
	uint16_t used_idx;          /* split: index; packed: slot */
	uint16_t avail_seen; /* split: the driver's index when last read */
	uint16_t fill_count, fill_slots, fill_flags; /* before virtq_flush() */
	uint32_t unsignalled; /* entries (slots) used since virtq_notify() */
	uint32_t popped;      /* counts: has the device made progress? */
	void *desc_host, *driver_host, *device_host;
	const struct gmem_range *range; /* that held the last buffer */
	const struct gmem *gmem;
	/* Set by the driver through the transport. */
	bool ready;
	uint16_t size_max; /* what the device offers; 0: no such queue */
	uint16_t vector;   /* MSI-X vector, transport's use */
	gpa_t desc, driver, device;
	/* Whose it is. */
	uint16_t index;
	struct virtio_dev *vd;
};

extern const struct state_field virtq_state[];

/*
 * Checks and maps the rings after the driver set them up. features: those
 * negotiated. -EINVAL: size not a power of two (split), zero or over size_max,
 * or misaligned; -EFAULT: not RAM. The queue's position is left as it is (0
 * after virtq_reset(), or what a snapshot says).
 */
int virtq_enable(struct virtq *vq, const struct gmem *gm,
		 uint64_t features) MUST_CHECK;

/* Back to how it was before the driver touched it; size is size_max. */
void virtq_reset(struct virtq *vq);

/*
 * Takes the next chain: 1; 0 when the ring is empty or the queue broken or not
 * enabled; -errno when the driver broke a rule (the queue is then broken, and
 * the caller marks the device with virtio_broken()): -EINVAL malformed chain,
 * -EFAULT buffer that is not RAM, -E2BIG longer than c->iov_max or
 * VIRTQ_SIZE_MAX.
 */
int virtq_pop(struct virtq *vq, struct chain *c) MUST_CHECK;

/*
 * Gives back the last chain popped, as if it had not been; several in the
 * reverse order. Nothing of it may have been filled or pushed.
 */
void virtq_unpop(struct virtq *vq, const struct chain *c);

/* Is at least one chain available? Cheap; no chain is checked. */
bool virtq_has_chain(const struct virtq *vq);

/*
 * Returns a chain, the first `written` bytes of its in[] part filled. Visible
 * to the driver at once, in the order of calls; the driver is told of it by
 * virtq_notify(). Chains may be returned in another order than popped.
 */
void virtq_push(struct virtq *vq, const struct chain *c, uint32_t written);

/*
 * Several chains at once (mergeable receive buffers): those filled become
 * visible together on virtq_flush().
 */
void virtq_fill(struct virtq *vq, const struct chain *c, uint32_t written);
void virtq_flush(struct virtq *vq);

/*
 * Tells the driver of what was returned since the last call, unless it asked
 * not to be told. Once after a batch: it costs a full memory barrier.
 */
void virtq_notify(struct virtq *vq);

/*
 * Asks the driver for a notification at the next chain (on), or lets it save
 * them (off). After turning it on, check virtq_has_chain() once more. The core
 * does this around handle_queue (bus/virtio.h).
 */
void virtq_want_kick(struct virtq *vq, bool on);
