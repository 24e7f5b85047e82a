/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed layout: one ring of descriptors that driver and device both
 * write; two flag bits, against a counter that flips at each turn of the ring,
 * tell whose a slot is.
 *
 * Spec: VIRTIO 1.2, 2.8.
 * Threads: as bus/virtq.h.
 * State: none of its own.
 */
#include "bus/virtq_ring.h"

/* Offsets in a descriptor. */
#define DESC_LEN   8
#define DESC_ID    12
#define DESC_FLAGS 14

/* Event suppression: offset and wrap in the lower half, flags in the upper. */
#define EVENT_OFF     MASK(14, 0)
#define EVENT_WRAP    BIT(15)
#define EVENT_FLAGS   MASK(17, 16)
#define EVENT_ENABLE  0U
#define EVENT_DISABLE 1U
#define EVENT_DESC    2U

static char *packed_slot(const struct virtq *vq, unsigned slot)
{
	return (char *)vq->desc_host + 16UL * slot;
}

int virtq_packed_enable(struct virtq *vq)
{
	int desc, driver, device;

	vq->desc_host = virtq_map(vq, vq->desc, 16UL * vq->size, 16, &desc);
	vq->driver_host = virtq_map(vq, vq->driver, 4, 4, &driver);
	vq->device_host = virtq_map(vq, vq->device, 4, 4, &device);
	if (vq->last_avail >= vq->size || vq->used_idx >= vq->size)
		return -EINVAL; /* a snapshot's; never the driver's */
	return desc ? desc : driver ? driver : device;
}

/* The slot `by` (at most size) after pos; the wrap counter flips with it. */
static uint16_t packed_forward(const struct virtq *vq, uint16_t pos,
			       unsigned by, bool *wrap)
{
	unsigned next = pos + by;

	if (next >= vq->size) {
		next -= vq->size;
		*wrap = !*wrap;
	}
	return (uint16_t)next;
}

/* Slots that the device has taken and not given back. */
static unsigned packed_in_flight(const struct virtq *vq)
{
	unsigned turn = vq->avail_wrap != vq->used_wrap ? vq->size : 0;

	return vq->last_avail + turn - vq->used_idx;
}

bool virtq_packed_has_chain(const struct virtq *vq)
{
	/* The rest of the chain before its first flags: pairs with the
	 * driver's barrier before it writes them (2.8.21.1). */
	uint16_t flags = ring_load16_acquire(packed_slot(vq, vq->last_avail) +
					     DESC_FLAGS);

	return !!(flags & VIRTQ_DESC_F_AVAIL) == vq->avail_wrap &&
	       !!(flags & VIRTQ_DESC_F_USED) != vq->avail_wrap;
}

/* Takes in an indirect table: every entry of it, in order (2.8.7). */
static int packed_indirect(struct virtq *vq, struct chain *c,
			   const struct virtq_desc *d)
{
	struct virtq_table table;
	struct virtq_desc entry;
	int rc = virtq_indirect(vq, d, &table);

	if (!rc && table.count > VIRTQ_SIZE_MAX)
		rc = -E2BIG;
	for (uint32_t i = 0; !rc && i < table.count; i++) {
		rc = virtq_table_load(vq, &table, i, &entry);
		if (!rc)
			rc = chain_add(vq, c, &entry,
				       entry.half3 & VIRTQ_DESC_F_WRITE);
	}
	return rc;
}

/* Takes in the chain's next slot, its ndesc'th: 1 if another follows. */
static int packed_step(struct virtq *vq, struct chain *c, uint16_t slot)
{
	struct virtq_desc d = virtq_desc_load(packed_slot(vq, slot));
	uint16_t flags = d.half3;
	int rc;

	c->id = d.half2;
	if (flags & VIRTQ_DESC_F_INDIRECT) {
		/* A list is of one kind or the other (2.8.5). */
		if (c->ndesc > 1 || flags & VIRTQ_DESC_F_NEXT)
			return -EINVAL;
		return packed_indirect(vq, c, &d);
	}
	rc = chain_add(vq, c, &d, flags & VIRTQ_DESC_F_WRITE);
	if (unlikely(rc))
		return rc;
	return flags & VIRTQ_DESC_F_NEXT;
}

int virtq_packed_pop(struct virtq *vq, struct chain *c)
{
	unsigned room = vq->size - packed_in_flight(vq);
	uint16_t slot = vq->last_avail;
	bool wrap = vq->avail_wrap;
	int rc;

	if (!virtq_packed_has_chain(vq))
		return 0;
	chain_begin(c);
	for (c->ndesc = 1;; c->ndesc++) {
		/* Slots in flight are ours: neither a loop nor one that was
		 * made available twice gets past them. */
		if (unlikely(c->ndesc > room))
			return virtq_break(vq, -EINVAL);
		rc = packed_step(vq, c, slot);
		if (unlikely(rc < 0))
			return virtq_break(vq, rc);
		slot = packed_forward(vq, slot, 1, &wrap);
		if (!rc)
			break;
	}
	vq->last_avail = slot;
	vq->avail_wrap = wrap;
	return 1;
}

void virtq_packed_unpop(struct virtq *vq, const struct chain *c)
{
	if (vq->last_avail < c->ndesc) {
		vq->last_avail = (uint16_t)(vq->last_avail + vq->size);
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->last_avail = (uint16_t)(vq->last_avail - c->ndesc);
}

/* The flags of a used descriptor. */
static uint16_t packed_used_flags(bool wrap, uint32_t written)
{
	return (uint16_t)((wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0) |
			  (written ? VIRTQ_DESC_F_WRITE : 0));
}

void virtq_packed_fill(struct virtq *vq, const struct chain *c,
		       uint32_t written)
{
	bool wrap = vq->used_wrap;
	uint16_t at = packed_forward(vq, vq->used_idx, vq->fill_slots, &wrap);
	char *slot = packed_slot(vq, at);
	uint16_t flags = packed_used_flags(wrap, written);

	ring_store32(slot + DESC_LEN, written);
	ring_store16(slot + DESC_ID, c->id);
	/* The first one's flags come last: the driver looks at no slot behind
	 * it before (2.8.10). */
	if (vq->fill_count++)
		ring_store16(slot + DESC_FLAGS, flags);
	else
		vq->fill_flags = flags;
	vq->fill_slots = (uint16_t)(vq->fill_slots + c->ndesc);
}

void virtq_packed_flush(struct virtq *vq)
{
	/* All else before these flags: pairs with the driver's read barrier
	 * after it finds the slot used (2.8.22). */
	ring_store16_release(packed_slot(vq, vq->used_idx) + DESC_FLAGS,
			     vq->fill_flags);
	vq->used_idx = packed_forward(vq, vq->used_idx, vq->fill_slots,
				      &vq->used_wrap);
	vq->unsignalled += vq->fill_slots;
	vq->fill_count = vq->fill_slots = 0;
}

/*
 * VIRTIO 1.2, 2.8.14: both halves are read at once. An offset of the turn
 * before lies one ring's length behind the same offset of this one.
 */
bool virtq_packed_wants_irq(const struct virtq *vq)
{
	uint32_t event = ring_load32(vq->driver_host);
	unsigned off = (unsigned)FIELD_GET(EVENT_OFF, event);

	if (FIELD_GET(EVENT_FLAGS, event) != EVENT_DESC || !vq->event_idx)
		return FIELD_GET(EVENT_FLAGS, event) != EVENT_DISABLE;
	if (!!(event & EVENT_WRAP) != vq->used_wrap)
		off -= vq->size;
	return (uint16_t)(vq->used_idx - off - 1) < vq->unsignalled;
}

void virtq_packed_want_kick(struct virtq *vq, bool on)
{
	uint64_t event;

	if (!on)
		event = FIELD_SET(EVENT_FLAGS, EVENT_DISABLE);
	else if (!vq->event_idx)
		event = FIELD_SET(EVENT_FLAGS, EVENT_ENABLE);
	else
		event = FIELD_SET(EVENT_FLAGS, EVENT_DESC) | vq->last_avail |
			(vq->avail_wrap ? EVENT_WRAP : 0);
	ring_store32(vq->device_host, (uint32_t)event);
}
