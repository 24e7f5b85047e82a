/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the split and the packed layout of a virtqueue have in common: set-up,
 * the collecting of a chain's buffers, and the choice between the two.
 *
 * Spec: VIRTIO 1.2, 2.6-2.8.
 * Threads: as bus/virtq.h.
 * State: virtq_state; the rest is derived when the queue is enabled again.
 */
#include "bus/virtq.h"

#include "bus/virtio.h"
#include "bus/virtq_ring.h"

const struct state_field virtq_state[] = {
	STATE_UINT(struct virtq, broken, 1),
	STATE_UINT(struct virtq, avail_wrap, 1),
	STATE_UINT(struct virtq, used_wrap, 1),
	STATE_UINT(struct virtq, size, 1),
	STATE_UINT(struct virtq, last_avail, 1),
	STATE_UINT(struct virtq, used_idx, 1),
	STATE_UINT(struct virtq, unsignalled, 1),
	STATE_UINT(struct virtq, ready, 1),
	STATE_UINT(struct virtq, vector, 1),
	STATE_UINT(struct virtq, desc, 1),
	STATE_UINT(struct virtq, driver, 1),
	STATE_UINT(struct virtq, device, 1),
	STATE_DERIVED(struct virtq, packed),
	STATE_DERIVED(struct virtq, event_idx),
	STATE_DERIVED(struct virtq, indirect),
	STATE_DERIVED(struct virtq, avail_seen),
	STATE_DERIVED(struct virtq, size_max),
	STATE_DERIVED(struct virtq, index),
	STATE_HOST(struct virtq, fill_count), /* 0 between callbacks */
	STATE_HOST(struct virtq, fill_slots),
	STATE_HOST(struct virtq, fill_flags),
	STATE_HOST(struct virtq, popped),
	STATE_HOST(struct virtq, desc_host),
	STATE_HOST(struct virtq, driver_host),
	STATE_HOST(struct virtq, device_host),
	STATE_HOST(struct virtq, range),
	STATE_HOST(struct virtq, gmem),
	STATE_HOST(struct virtq, vd),
	STATE_END,
};

int virtq_break(struct virtq *vq, int rc)
{
	vq->broken = true;
	return rc;
}

int virtq_enable(struct virtq *vq, const struct gmem *gm, uint64_t features)
{
	int rc;

	if (!vq->size || vq->size > vq->size_max)
		return -EINVAL;
	vq->gmem = gm;
	vq->range = gm->ranges;
	vq->packed = features & BIT(VIRTIO_F_RING_PACKED);
	vq->event_idx = features & BIT(VIRTIO_F_EVENT_IDX);
	vq->indirect = features & BIT(VIRTIO_F_INDIRECT_DESC);
	rc = vq->packed ? virtq_packed_enable(vq) : virtq_split_enable(vq);
	if (rc)
		return rc;
	vq->ready = true;
	return 0;
}

void virtq_reset(struct virtq *vq)
{
	*vq = (struct virtq){
		.size = vq->size_max,
		.size_max = vq->size_max,
		.avail_wrap = true,
		.used_wrap = true,
		.index = vq->index,
		.vd = vq->vd,
	};
}

void *virtq_map(const struct virtq *vq, gpa_t gpa, uint64_t len, unsigned align,
		int *ret_rc)
{
	void *p = gmem_ptr(vq->gmem, gpa, len);

	*ret_rc = gpa % align ? -EINVAL : p ? 0 : -EFAULT;
	return p;
}

/* The range that holds gpa, for the fast path of the next buffers. */
static void chain_note_range(struct virtq *vq, gpa_t gpa)
{
	for (unsigned i = 0; i < vq->gmem->count; i++)
		if (gpa - vq->gmem->ranges[i].base < vq->gmem->ranges[i].len)
			vq->range = &vq->gmem->ranges[i];
}

int chain_add_slow(struct virtq *vq, struct chain *c, gpa_t gpa, uint32_t len)
{
	unsigned n = c->nout + c->nin;

	chain_note_range(vq, gpa);
	return gmem_span(vq->gmem, gpa, len, c->iov + n, c->iov_max - n);
}

int virtq_indirect(const struct virtq *vq, const struct virtq_desc *d,
		   struct virtq_table *ret)
{
	if (!vq->indirect || !d->len || d->len % 16)
		return -EINVAL;
	ret->host = gmem_ptr(vq->gmem, d->addr, d->len);
	ret->gpa = d->addr;
	ret->count = d->len / 16;
	return 0;
}

int virtq_table_load(const struct virtq *vq, const struct virtq_table *t,
		     uint32_t i, struct virtq_desc *ret)
{
	uint8_t copy[16];
	gpa_t gpa;

	if (likely(t->host)) {
		*ret = virtq_desc_load((const char *)t->host + 16UL * i);
		return 0;
	}
	if (!add_ok(t->gpa, 16UL * i, &gpa) ||
	    gmem_read(vq->gmem, gpa, copy, sizeof(copy)))
		return -EFAULT;
	*ret = virtq_desc_load(copy);
	return 0;
}

int virtq_pop(struct virtq *vq, struct chain *c)
{
	int rc;

	if (unlikely(vq->broken || !vq->ready))
		return 0;
	rc = vq->packed ? virtq_packed_pop(vq, c) : virtq_split_pop(vq, c);
	vq->popped += rc > 0;
	return rc;
}

void virtq_unpop(struct virtq *vq, const struct chain *c)
{
	vq->popped--;
	if (vq->packed)
		virtq_packed_unpop(vq, c);
	else
		vq->last_avail--;
}

bool virtq_has_chain(const struct virtq *vq)
{
	if (vq->broken || !vq->ready)
		return false;
	return vq->packed ? virtq_packed_has_chain(vq)
			  : virtq_split_has_chain(vq);
}

void virtq_fill(struct virtq *vq, const struct chain *c, uint32_t written)
{
	if (unlikely(vq->broken || !vq->ready))
		return;
	if (vq->packed)
		virtq_packed_fill(vq, c, written);
	else
		virtq_split_fill(vq, c, written);
}

void virtq_flush(struct virtq *vq)
{
	if (unlikely(!vq->fill_count))
		return;
	if (vq->packed)
		virtq_packed_flush(vq);
	else
		virtq_split_flush(vq);
}

void virtq_push(struct virtq *vq, const struct chain *c, uint32_t written)
{
	virtq_fill(vq, c, written);
	virtq_flush(vq);
}

static bool virtq_wants_irq(const struct virtq *vq)
{
	/* The used entries come before the look at what the driver wants:
	 * the driver stores its wish, then looks for used entries. Pairs with
	 * the driver's barrier between these two. */
	ring_fence();
	return vq->packed ? virtq_packed_wants_irq(vq)
			  : virtq_split_wants_irq(vq);
}

void virtq_notify(struct virtq *vq)
{
	if (!vq->unsignalled || vq->broken)
		return;
	if (virtq_wants_irq(vq))
		vq->vd->transport->queue_irq(vq->vd, vq);
	vq->unsignalled = 0;
}

void virtq_want_kick(struct virtq *vq, bool on)
{
	if (vq->broken || !vq->ready)
		return;
	if (vq->packed)
		virtq_packed_want_kick(vq, on);
	else
		virtq_split_want_kick(vq, on);
	/* The wish comes before the caller's look at the ring: the driver adds
	 * a chain, then looks whether we want to be told. Pairs with the
	 * driver's barrier between these two. */
	if (on)
		ring_fence();
}
