/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue, split or packed: chains out of guest memory, used entries back,
 * notifications suppressed as the driver asks.
 *
 * Spec: Virtual I/O Device (VIRTIO) 1.2, 2.6 (common), 2.7 (split), 2.8
 *       (packed), 2.7.5.3 (indirect), 2.7.10 and 2.8.14 (notifications).
 * Threads: configured under the device's lock; pop and push on the loop that
 *       serves the queue.
 */
#pragma once

#include <sys/uio.h>

#include "base/compiler.h"
#include "base/state.h"
#include "base/types.h"

struct gmem;
struct virtio_dev;

#define VIRTQ_SIZE_MAX 1024U /* largest queue size that vireo offers */
#define CHAIN_IOV_MAX  1026U /* descriptors of one chain, spans included */

/*
 * A descriptor chain, already checked: out[] is what the driver wrote for the
 * device to read, in[] what the device fills in. Lengths are exact and their
 * sums do not wrap. Storage is the caller's; out and in point into iov.
 */
struct chain {
	uint16_t id;    /* head index (split) or buffer id (packed) */
	uint16_t ndesc; /* ring slots it holds (packed) */
	unsigned nout, nin;
	uint64_t out_bytes, in_bytes;
	struct iovec *out, *in;
	unsigned iov_max;  /* capacity of iov */
	struct iovec *iov; /* given by the caller before virtq_pop */
};

struct virtq {
	/* Set by the driver through the transport. */
	uint16_t size;     /* 0: the queue does not exist */
	uint16_t size_max; /* what the device offers */
	bool ready;
	uint16_t vector;   /* MSI-X vector, transport's use */
	gpa_t desc, driver, device;
	/* Where we are. */
	uint16_t last_avail; /* split: index; packed: slot */
	uint16_t used_idx;   /* split: index; packed: slot */
	bool avail_wrap, used_wrap; /* packed */
	uint16_t signalled;  /* used_idx when the driver was last told */
	bool signalled_valid;
	bool broken; /* the driver broke a rule: device needs reset */
	/* Derived on enable: host views of the rings, feature bits. */
	bool packed, event_idx, indirect;
	void *desc_host, *driver_host, *device_host;
	const struct gmem *gmem;
	struct virtio_dev *vd;
	unsigned index;
};

extern const struct state_field virtq_state[];

/*
 * Checks and maps the rings after the driver set ready. -EINVAL: size not a
 * power of two (split), zero or over size_max; misaligned or not RAM.
 */
int virtq_enable(struct virtq *vq, const struct gmem *gm, uint64_t features);
void virtq_reset(struct virtq *vq);

/*
 * Takes the next chain: 1; 0 when the ring is empty; -errno when the driver
 * broke a rule (the queue is then broken, and the caller marks the device with
 * virtio_broken()). c->iov and c->iov_max are the caller's storage.
 */
int virtq_pop(struct virtq *vq, struct chain *c);

/* Gives back the last popped chain, as if it had not been popped. */
void virtq_unpop(struct virtq *vq, const struct chain *c);

/* Is at least one chain available? Cheap; no chain is checked. */
bool virtq_has_chain(const struct virtq *vq);

/*
 * Returns a chain with `written` bytes put into its in[] part. Visible to the
 * driver at once, in the order of calls; the driver is told by virtq_notify().
 */
void virtq_push(struct virtq *vq, const struct chain *c, uint32_t written);

/*
 * Several chains at once (mergeable receive buffers): fill n entries, which
 * become visible together on virtq_flush().
 */
void virtq_fill(struct virtq *vq, const struct chain *c, uint32_t written,
		unsigned position);
void virtq_flush(struct virtq *vq, unsigned n, unsigned ring_slots);

/* Tells the driver of used entries, unless it asked not to be told. */
void virtq_notify(struct virtq *vq);

/*
 * Asks the driver for a notification at the next chain (on), or lets it save
 * them (off). After turning it on, check virtq_has_chain() once more.
 */
void virtq_want_kick(struct virtq *vq, bool on);

/* Copies between a chain's iovecs and a buffer, from byte `off` on; the number
 * of bytes copied (short at the end of the chain). */
size_t iov_read(const struct iovec *iov, unsigned n, size_t off, void *buf,
		size_t len);
size_t iov_write(const struct iovec *iov, unsigned n, size_t off,
		 const void *buf, size_t len);
/* Drops `bytes` from the front: adjusts iov[] and returns the new count. */
unsigned iov_skip(struct iovec **iov, unsigned n, size_t bytes);
/* Keeps only the first `bytes`. */
unsigned iov_cut(struct iovec *iov, unsigned n, size_t bytes);
size_t iov_bytes(const struct iovec *iov, unsigned n);
