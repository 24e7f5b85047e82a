/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block node "null-co": takes every write and forgets it. For tests and for
 * measuring what is in front of it.
 *
 * Requests that wait for `latency-ns` are in a queue: they all wait equally
 * long, so the first in is the first due.
 *
 * Threads: as in backend/block.h.
 */
#include <errno.h>
#include <string.h>

#include "backend/block.h"
#include "base/num.h"

#define SECTOR 512U

struct blk_null {
	struct blk_node node;
	uint64_t size, latency_ns;
	bool read_zeroes;
	struct loop_timer timer;
	struct blk_req *head, **end;
};

static const struct prop blk_null_props[] = {
	PROP_SIZE(struct blk_null, size, "size", 1 * GIB, 0, INT64_MAX,
		  "size of the disk"),
	PROP_U64(struct blk_null, latency_ns, "latency-ns", 0, 0,
		 3600 * NS_PER_S, "how long each request takes"),
	PROP_BOOL(struct blk_null, read_zeroes, "read-zeroes", false,
		  "reads give zeroes (off: whatever the buffer held)"),
	PROP_END,
};

static struct blk_null *null_of(struct blk_node *n)
{
	return container_of(n, struct blk_null, node);
}

/* Ends what is due at now. */
static void null_end_until(struct blk_null *null, uint64_t now)
{
	struct blk_req *r;

	while ((r = null->head) && r->deadline_ns <= now) {
		null->head = r->next;
		if (!null->head)
			null->end = &null->head;
		blk_complete(r, 0);
	}
}

static void null_expired(struct loop_timer *t)
{
	struct blk_null *null = container_of(t, struct blk_null, timer);

	null_end_until(null, loop_now(null->node.loop));
	/* It was armed before: there is room. */
	if (null->head)
		(void)loop_timer_arm(null->node.loop, t,
				     null->head->deadline_ns);
}

static int null_open(struct blk_node *n, struct err *e)
{
	struct blk_null *null = null_of(n);

	if (null->size % SECTOR)
		return err_set(e, -EINVAL,
			       "size of a null-co node is a multiple of %u",
			       SECTOR);
	n->caps = (struct blk_caps){
		.bytes = null->size,
		.read_only = n->read_only,
		.flush = true,
		.cache_writeback = true,
		.write_zeroes = !n->read_only,
		.discard = !n->read_only && n->discard == BLK_DISCARD_UNMAP,
		.logical_block = SECTOR,
		.physical_block = SECTOR,
	};
	n->caps.unmap = n->caps.discard;
	null->timer.expired = null_expired;
	null->end = &null->head;
	return 0;
}

static void null_close(struct blk_node *n)
{
	(void)n;
}

static int null_bind(struct blk_node *n, struct loop *l, struct err *e)
{
	struct blk_null *null = null_of(n);

	/* Here, so that arming it later needs no memory. */
	if (loop_timer_arm(l, &null->timer, UINT64_MAX))
		return err_set(e, -ENOMEM, "no memory for a timer");
	loop_timer_cancel(&null->timer);
	return 0;
}

static void null_unbind(struct blk_node *n)
{
	loop_timer_cancel(&null_of(n)->timer);
}

static void null_fill(const struct blk_req *r)
{
	for (unsigned i = 0; i < r->niov; i++)
		memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
}

static void null_submit(struct blk_node *n, struct blk_req *r)
{
	struct blk_null *null = null_of(n);

	if (r->op == BLK_READ && null->read_zeroes)
		null_fill(r);
	r->deadline_ns = loop_now(n->loop) + null->latency_ns;
	if (!null->latency_ns ||
	    (!null->head &&
	     loop_timer_arm(n->loop, &null->timer, r->deadline_ns))) {
		blk_complete_later(r, 0);
		return;
	}
	r->next = NULL;
	*null->end = r;
	null->end = &r->next;
}

static void null_drain(struct blk_node *n)
{
	struct blk_null *null = null_of(n);
	struct blk_req *r = null->head, *next;

	/* Not what done() submits anew: that is drained by the next call. */
	null->head = NULL;
	null->end = &null->head;
	loop_timer_cancel(&null->timer);
	for (; r; r = next) {
		next = r->next;
		blk_complete(r, 0);
	}
}

const struct blk_driver blk_null_driver = {
	.name = "null-co",
	.summary = "disk that keeps nothing",
	.size = sizeof(struct blk_null),
	.props = blk_null_props,
	.open = null_open,
	.close = null_close,
	.bind = null_bind,
	.unbind = null_unbind,
	.submit = null_submit,
	.drain = null_drain,
};
