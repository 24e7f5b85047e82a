/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split layout: a descriptor table, a ring of chain heads that the driver
 * writes, and a ring of used entries that the device writes.
 *
 * Spec: VIRTIO 1.2, 2.7.
 * Threads: as bus/virtq.h.
 * State: none of its own.
 */
#include "bus/virtq_ring.h"

/* Offsets in the driver's (available) and the device's (used) ring. */
#define AVAIL_FLAGS     0
#define AVAIL_IDX       2
#define AVAIL_RING(i)   (4 + 2UL * (i))
#define USED_FLAGS      0
#define USED_IDX        2
#define USED_RING(i)    (4 + 8UL * (i))
#define USED_EVENT(vq)  AVAIL_RING((vq)->size)
#define AVAIL_EVENT(vq) USED_RING((vq)->size)

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY     1

static char *split_avail(const struct virtq *vq)
{
	return vq->driver_host;
}

static char *split_used(const struct virtq *vq)
{
	return vq->device_host;
}

int virtq_split_enable(struct virtq *vq)
{
	unsigned event = vq->event_idx ? 2 : 0;
	int desc, driver, device;

	if (!is_pow2(vq->size))
		return -EINVAL;
	vq->desc_host = virtq_map(vq, vq->desc, 16UL * vq->size, 16, &desc);
	vq->driver_host = virtq_map(vq, vq->driver,
				    AVAIL_RING(vq->size) + event, 2, &driver);
	vq->device_host = virtq_map(vq, vq->device, USED_RING(vq->size) + event,
				    4, &device);
	vq->avail_seen = vq->last_avail;
	return desc ? desc : driver ? driver : device;
}

/* The driver's index; descriptors and ring entries up to it are complete:
 * pairs with the driver's barrier before it moves the index (2.7.13.3.1). */
static uint16_t split_avail_idx(const struct virtq *vq)
{
	return ring_load16_acquire(split_avail(vq) + AVAIL_IDX);
}

bool virtq_split_has_chain(const struct virtq *vq)
{
	return vq->last_avail != vq->avail_seen ||
	       vq->last_avail != split_avail_idx(vq);
}

/*
 * Looks for new chains: 1, 0, or -EINVAL where, with those in flight, there
 * are more than descriptors (or the index moved back): the device's storage
 * of a request for each relies on it.
 */
static int split_refresh(struct virtq *vq)
{
	uint16_t idx = split_avail_idx(vq);
	uint16_t added = (uint16_t)(idx - vq->last_avail);
	uint16_t in_flight = (uint16_t)(vq->last_avail - vq->used_idx);

	if (!added)
		return 0;
	if (unlikely(added + in_flight > vq->size))
		return virtq_break(vq, -EINVAL);
	vq->avail_seen = idx;
	return 1;
}

/* What a walk has before it. */
struct split_walk {
	struct virtq_table table;
	uint32_t next;   /* entry of the table to look at */
	uint32_t budget; /* descriptors that may follow */
	bool is_indirect;
};

/* Goes on with the indirect table that d describes (2.7.5.3). */
static int split_enter(const struct virtq *vq, struct split_walk *w,
		       const struct virtq_desc *d)
{
	if (w->is_indirect || d->half2 & VIRTQ_DESC_F_NEXT)
		return -EINVAL;
	w->is_indirect = true;
	w->next = 0;
	/* Linux makes indirect chains longer than the queue; the table's
	 * length is the bound, and our own. */
	w->budget = VIRTQ_SIZE_MAX;
	return virtq_indirect(vq, d, &w->table);
}

/* Takes in one descriptor: 1 if another follows, 0 at the end. */
static int split_step(struct virtq *vq, struct chain *c, struct split_walk *w)
{
	struct virtq_desc d;
	uint16_t flags;
	int rc;

	if (unlikely(w->next >= w->table.count))
		return -EINVAL;
	if (unlikely(!w->budget--))
		return w->is_indirect ? -E2BIG : -EINVAL;
	rc = virtq_table_load(vq, &w->table, w->next, &d);
	if (unlikely(rc))
		return rc;
	flags = d.half2;
	c->ndesc = (uint16_t)(c->ndesc + !w->is_indirect);
	if (flags & VIRTQ_DESC_F_INDIRECT) {
		rc = split_enter(vq, w, &d);
		return rc ? rc : 1;
	}
	rc = chain_add(vq, c, &d, flags & VIRTQ_DESC_F_WRITE);
	if (unlikely(rc))
		return rc;
	w->next = d.half3;
	return flags & VIRTQ_DESC_F_NEXT;
}

int virtq_split_pop(struct virtq *vq, struct chain *c)
{
	struct split_walk w = {
		.table = {vq->desc_host, vq->desc, vq->size},
		.budget = vq->size,
	};
	int rc;

	if (vq->last_avail == vq->avail_seen) {
		rc = split_refresh(vq);
		if (rc <= 0)
			return rc;
	}
	c->id = ring_load16(split_avail(vq) +
			    AVAIL_RING(vq->last_avail & (vq->size - 1)));
	w.next = c->id;
	chain_begin(c);
	do
		rc = split_step(vq, c, &w);
	while (rc > 0);
	if (unlikely(rc))
		return virtq_break(vq, rc);
	vq->last_avail++;
	return 1;
}

void virtq_split_fill(struct virtq *vq, const struct chain *c, uint32_t written)
{
	uint16_t i = (uint16_t)(vq->used_idx + vq->fill_count);
	char *entry = split_used(vq) + USED_RING(i & (vq->size - 1));

	ring_store32(entry, c->id);
	ring_store32(entry + 4, written);
	vq->fill_count++;
}

void virtq_split_flush(struct virtq *vq)
{
	vq->used_idx = (uint16_t)(vq->used_idx + vq->fill_count);
	vq->unsignalled += vq->fill_count;
	vq->fill_count = 0;
	/* Entries and data before the index: pairs with the driver's read
	 * barrier after it reads the index (2.7.14). */
	ring_store16_release(split_used(vq) + USED_IDX, vq->used_idx);
}

/* VIRTIO 1.2, 2.7.7.2. */
bool virtq_split_wants_irq(const struct virtq *vq)
{
	uint16_t event;

	if (!vq->event_idx)
		return !(ring_load16(split_avail(vq) + AVAIL_FLAGS) &
			 AVAIL_F_NO_INTERRUPT);
	event = ring_load16(split_avail(vq) + USED_EVENT(vq));
	return (uint16_t)(vq->used_idx - event - 1) < vq->unsignalled;
}

/* VIRTIO 1.2, 2.7.10. With the event index, a driver that is not told of a new
 * position saves its kicks by itself. */
void virtq_split_want_kick(struct virtq *vq, bool on)
{
	if (!vq->event_idx)
		ring_store16(split_used(vq) + USED_FLAGS,
			     on ? 0 : USED_F_NO_NOTIFY);
	else if (on)
		ring_store16(split_used(vq) + AVAIL_EVENT(vq), vq->last_avail);
}
