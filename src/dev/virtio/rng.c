/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng: entropy for the guest, at a rate that the user may bound.
 *
 * Spec: VIRTIO 1.2, 5.4 (entropy device).
 * Threads: queue, source and timer on the device's loop.
 * State: none; a request in flight goes back to the ring before a save.
 * Syscalls: io: getrandom
 *
 * One chain is served at a time: the driver keeps one buffer in the ring. The
 * random bytes go straight into its memory; a part of the buffer is enough
 * (5.4.6.1), so a huge one does not keep the loop from its other devices.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "backend/object.h"
#include "base/log.h"
#include "base/num.h"
#include "bus/virtio.h"

#define VIRTIO_ID_ENTROPY 4

#define RNG_CHUNK    4096U /* most bytes of one request */
#define RNG_RETRY_NS NS_PER_S

struct rng {
	struct virtio_dev vdev;
	/* Properties. */
	struct prop_link source; /* unset: the host kernel's generator */
	uint64_t max_bytes;      /* in a period */
	uint32_t period_ms;
	const struct rng_ops *ops; /* of the source; NULL: not bound */
	/* The loop's. */
	uint64_t quota; /* bytes left in this period */
	struct loop_timer timer;
	bool is_busy;    /* chain is in flight */
	bool has_failed; /* the source: wait before the next try */
	struct rng_request request;
	struct chain chain;
	struct iovec iov[CHAIN_IOV_MAX];
};

static struct rng *rng_of(struct virtio_dev *vd)
{
	return container_of(vd, struct rng, vdev);
}

static bool rng_is_bounded(const struct rng *r)
{
	return r->max_bytes < INT64_MAX;
}

/* At the end of a period, or after the source failed: goes on. */
static void rng_expired(struct loop_timer *t)
{
	struct rng *r = container_of(t, struct rng, timer);

	r->quota = r->max_bytes;
	r->has_failed = false;
	virtio_serve(&r->vdev, &r->vdev.vqs[0]);
}

static void rng_wait(struct rng *r, uint64_t ns)
{
	uint64_t now = loop_now(r->vdev.loop);

	/* Armed already: the period has begun, and ends when it was to. */
	if (!r->timer.heap_index &&
	    loop_timer_arm(r->vdev.loop, &r->timer, now + ns))
		log_warn("virtio-rng: no memory for a timer: its rate is "
			 "not bounded, and no failed read is tried again");
}

/* Nothing came: back into the ring with the chain. */
static void rng_fail(struct rng *r, ssize_t result)
{
	virtq_unpop(&r->vdev.vqs[0], &r->chain);
	if (result == -ECANCELED)
		return;
	log_on(LOG_IO, "virtio-rng: the source gives nothing (%zd)", result);
	r->has_failed = true;
	rng_wait(r, RNG_RETRY_NS);
}

static void rng_done(struct rng_request *q, ssize_t result)
{
	struct rng *r = q->opaque;
	struct virtq *vq = &r->vdev.vqs[0];

	r->is_busy = false;
	if (result <= 0) {
		rng_fail(r, result);
		return;
	}
	if (rng_is_bounded(r)) {
		r->quota -= (uint64_t)result;
		rng_wait(r, r->period_ms * NS_PER_MS);
	}
	virtq_push(vq, &r->chain, (uint32_t)result);
	virtq_notify(vq);
	virtio_serve(&r->vdev, vq);
}

/* Never blocks: the host has booted. */
static void rng_read_host(struct rng_request *q)
{
	ssize_t n = getrandom(q->buf, q->len, 0);

	q->done(q, n < 0 ? -errno : n);
}

/* Starts on the chain; it may be over when this returns. */
static void rng_start(struct rng *r)
{
	const struct iovec *to = &r->chain.in[0];
	size_t len = MIN(to->iov_len, RNG_CHUNK);

	r->request = (struct rng_request){
		.buf = to->iov_base,
		.len = rng_is_bounded(r) ? MIN(len, r->quota) : len,
		.done = rng_done,
		.opaque = r,
	};
	r->is_busy = true;
	if (r->ops)
		r->ops->read(r->source.ptr, &r->request);
	else
		rng_read_host(&r->request);
}

/* One ring full at most: a driver that adds more for each one that it gets does
 * not keep the loop from its other work. */
static void rng_handle_queue(struct virtio_dev *vd, struct virtq *vq)
{
	struct rng *r = rng_of(vd);
	unsigned budget = vq->size;

	while (budget-- && !r->is_busy && !r->has_failed && r->quota) {
		int rc = virtq_pop(vq, &r->chain);

		if (rc < 0)
			virtio_broken(vd, "malformed chain (VIRTIO 1.2, 2.6)");
		if (rc <= 0)
			return;
		if (!r->chain.in_bytes) {
			virtio_broken(vd, "buffer that the device cannot "
					  "write (VIRTIO 1.2, 5.4.6.1)");
			return;
		}
		rng_start(r);
	}
}

/* done() runs inside, and puts the chain back. */
static void rng_drain(struct virtio_dev *vd)
{
	struct rng *r = rng_of(vd);

	if (r->ops && r->is_busy)
		r->ops->cancel(r->source.ptr, &r->request);
}

static void rng_queue_reset(struct virtio_dev *vd, struct virtq *vq)
{
	(void)vd; /* drained: there is nothing else */
	(void)vq;
}

static int rng_bind(struct rng *r, struct err *e)
{
	const struct object *source = r->source.ptr;
	const struct rng_ops *ops;
	int rc;

	if (!source)
		return 0;
	ops = source->class->ops;
	rc = ops->bind(r->source.ptr, r->vdev.loop, e);
	if (!rc)
		r->ops = ops;
	return rc;
}

static int rng_attach(struct device *d, struct err *e)
{
	struct rng *r = container_of(d, struct rng, vdev.dev);
	int rc = virtio_attach(&r->vdev, 0, e);

	if (rc)
		return rc;
	r->quota = r->max_bytes;
	r->timer.expired = rng_expired;
	r->chain.iov = r->iov;
	r->chain.iov_max = ARRAY_SIZE(r->iov);
	return rng_bind(r, e);
}

static void rng_detach(struct device *d)
{
	struct rng *r = container_of(d, struct rng, vdev.dev);

	virtio_detach(&r->vdev);
	loop_timer_cancel(&r->timer);
	if (r->ops)
		r->ops->unbind(r->source.ptr);
	r->ops = NULL;
}

static const struct virtio_class rng_virtio = {
	.id = VIRTIO_ID_ENTROPY,
	.nqueues = 1,
	.queue_max = 8,
	.handle_queue = rng_handle_queue,
	.drain = rng_drain,
	.queue_reset = rng_queue_reset,
};

static const struct prop rng_props[] = {
	VIRTIO_PROPS(struct rng, vdev),
	PROP_BACKEND(struct rng, source, "rng", "rng",
		     "source of entropy (default: the host kernel)"),
	PROP_U64(struct rng, max_bytes, "max-bytes", INT64_MAX, 1, INT64_MAX,
		 "most bytes given in a period"),
	PROP_U32(struct rng, period_ms, "period", 65536, 1, UINT32_MAX,
		 "milliseconds of a period"),
	PROP_END,
};

static const struct state_field rng_state[] = {
	STATE_HOST(struct rng, source),    STATE_HOST(struct rng, max_bytes),
	STATE_HOST(struct rng, period_ms), STATE_HOST(struct rng, ops),
	STATE_HOST(struct rng, quota),     STATE_HOST(struct rng, timer),
	STATE_HOST(struct rng, is_busy),   STATE_HOST(struct rng, has_failed),
	STATE_HOST(struct rng, request),   STATE_HOST(struct rng, chain),
	STATE_HOST(struct rng, iov),       STATE_END,
};

VIREO_DEVICE(virtio_rng, .name = "virtio-rng-device",
	     .summary = "entropy source", .category = CATEGORY_MISC,
	     .bus = "virtio-bus", .size = sizeof(struct rng),
	     .props = rng_props, .state = rng_state, .attach = rng_attach,
	     .detach = rng_detach, .reset = virtio_reset, .pause = virtio_pause,
	     .resume = virtio_resume, .flavour = &rng_virtio);
