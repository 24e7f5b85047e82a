/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a virtqueue.
 *
 * Spec: VIRTIO 1.2, 2.7.13-14, 2.8.21-22.
 */
#include "test/lib/ring.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "base/num.h"

#define RING_DRIVER_OFF (16 * KIB)
#define RING_DEVICE_OFF (32 * KIB)

#define load16(p) __atomic_load_n((uint16_t *)(void *)(p), __ATOMIC_ACQUIRE)
#define store16(p, v)                                                          \
	__atomic_store_n((uint16_t *)(void *)(p), (uint16_t)(v),               \
			 __ATOMIC_RELEASE)
#define load32(p) __atomic_load_n((uint32_t *)(void *)(p), __ATOMIC_ACQUIRE)
#define store32(p, v)                                                          \
	__atomic_store_n((uint32_t *)(void *)(p), (uint32_t)(v),               \
			 __ATOMIC_RELEASE)

/* Between "publish" and "look": see 2.7.13.4.1 and 2.8.21.3.1. */
static void ring_barrier(void)
{
	uint32_t x = 0;

	__atomic_exchange_n(&x, 1, __ATOMIC_SEQ_CST);
}

static struct vring_desc *split_desc(const struct ring *r, unsigned i)
{
	return (struct vring_desc *)(void *)r->desc_host + i;
}

static struct vring_packed_desc *packed_desc(const struct ring *r, unsigned i)
{
	return (struct vring_packed_desc *)(void *)r->desc_host + i;
}

void ring_init(struct ring *r, const struct gmem *gm, gpa_t base, unsigned size,
	       uint64_t features)
{
	char *host = gmem_ptr(gm, base, RING_BYTES);

	assert(host && size <= RING_SIZE_MAX);
	memset(host, 0, RING_BYTES);
	*r = (struct ring){
		.desc = base,
		.driver = base + RING_DRIVER_OFF,
		.device = base + RING_DEVICE_OFF,
		.desc_host = host,
		.driver_host = host + RING_DRIVER_OFF,
		.device_host = host + RING_DEVICE_OFF,
		.size = size,
		.packed = features & BIT(VIRTIO_F_RING_PACKED),
		.event_idx = features & BIT(VIRTIO_RING_F_EVENT_IDX),
		.free = size,
		.next_wrap = true,
		.used_wrap = true,
		.published_wrap = true,
	};
	for (unsigned i = 0; i < size; i++)
		r->ids[i].next = (uint16_t)(i + 1);
}

static uint16_t ring_take_id(struct ring *r)
{
	uint16_t id = r->free_id;

	r->free_id = r->ids[id].next;
	return id;
}

static void ring_give_id(struct ring *r, uint16_t id)
{
	r->ids[id].next = r->free_id;
	r->free_id = id;
}

/* Split: a descriptor is its own id. The chain's head. */
static uint16_t split_chain(struct ring *r, const struct ring_buf *bufs,
			    unsigned n, uint16_t extra)
{
	uint16_t head = r->free_id;

	for (unsigned i = 0; i < n; i++) {
		struct vring_desc *d = split_desc(r, ring_take_id(r));

		d->addr = bufs[i].gpa;
		d->len = bufs[i].len;
		d->flags =
			(uint16_t)(extra |
				   (bufs[i].is_write ? VRING_DESC_F_WRITE : 0) |
				   (i + 1 < n ? VRING_DESC_F_NEXT : 0));
		d->next = r->free_id;
	}
	return head;
}

static void split_add(struct ring *r, const struct ring_buf *bufs, unsigned n,
		      uint16_t extra, unsigned tag)
{
	struct vring_avail *avail = (void *)r->driver_host;
	uint16_t head = split_chain(r, bufs, n, extra);

	r->ids[head].tag = tag;
	r->ids[head].ndesc = (uint16_t)n;
	avail->ring[r->next % r->size] = head;
	r->next++;
	r->staged++;
}

static void ring_advance(const struct ring *r, uint16_t *pos, bool *wrap,
			 unsigned by)
{
	*pos = (uint16_t)(*pos + by);
	if (*pos >= r->size) {
		*pos = (uint16_t)(*pos - r->size);
		*wrap = !*wrap;
	}
}

static uint16_t packed_flags(const struct ring *r, bool is_write, bool more)
{
	unsigned avail = 1U << VRING_PACKED_DESC_F_AVAIL;
	unsigned used = 1U << VRING_PACKED_DESC_F_USED;

	return (uint16_t)((r->next_wrap ? avail : used) |
			  (is_write ? VRING_DESC_F_WRITE : 0U) |
			  (more ? VRING_DESC_F_NEXT : 0U));
}

static void packed_add(struct ring *r, const struct ring_buf *bufs, unsigned n,
		       uint16_t extra, unsigned tag)
{
	uint16_t id = ring_take_id(r);

	r->ids[id].tag = tag;
	r->ids[id].ndesc = (uint16_t)n;
	for (unsigned i = 0; i < n; i++) {
		struct vring_packed_desc *d = packed_desc(r, r->next);
		uint16_t flags = packed_flags(r, bufs[i].is_write, i + 1 < n);

		flags |= extra;
		d->addr = bufs[i].gpa;
		d->len = bufs[i].len;
		d->id = id;
		if (r->staged++) {
			d->flags = flags;
		} else {
			r->head_slot = r->next;
			r->head_flags = flags;
		}
		ring_advance(r, &r->next, &r->next_wrap, 1);
	}
}

static bool ring_add_flags(struct ring *r, const struct ring_buf *bufs,
			   unsigned n, uint16_t extra, unsigned tag)
{
	if (n > r->free)
		return false;
	r->free -= n;
	if (r->packed)
		packed_add(r, bufs, n, extra, tag);
	else
		split_add(r, bufs, n, extra, tag);
	return true;
}

bool ring_add(struct ring *r, const struct ring_buf *bufs, unsigned n,
	      unsigned tag)
{
	return ring_add_flags(r, bufs, n, 0, tag);
}

bool ring_add_indirect(struct ring *r, const struct ring_buf *bufs, unsigned n,
		       void *host, gpa_t gpa, unsigned tag)
{
	struct ring_buf table = {gpa, 16 * n, false};
	struct vring_packed_desc *pd = host;
	struct vring_desc *sd = host;

	for (unsigned i = 0; i < n; i++) {
		uint16_t w = bufs[i].is_write ? VRING_DESC_F_WRITE : 0;
		uint16_t more = i + 1 < n ? VRING_DESC_F_NEXT : 0;

		if (r->packed)
			pd[i] = (struct vring_packed_desc){bufs[i].gpa,
							   bufs[i].len, 0, w};
		else
			sd[i] = (struct vring_desc){bufs[i].gpa, bufs[i].len,
						    (uint16_t)(w | more),
						    (uint16_t)(i + 1)};
	}
	return ring_add_flags(r, &table, 1, VRING_DESC_F_INDIRECT, tag);
}

static bool split_publish(struct ring *r)
{
	struct vring_avail *avail = (void *)r->driver_host;
	struct vring_used *used = (void *)r->device_host;
	uint16_t old = r->published;

	store16(&avail->idx, r->next);
	r->published = r->next;
	ring_barrier();
	if (!r->event_idx)
		return !(load16(&used->flags) & VRING_USED_F_NO_NOTIFY);
	return vring_need_event(load16(&used->ring[r->size]), r->next, old);
}

static bool packed_publish(struct ring *r)
{
	uint16_t old = (uint16_t)(r->next - r->staged);
	uint32_t event;
	uint16_t off;

	store16(&packed_desc(r, r->head_slot)->flags, r->head_flags);
	ring_barrier();
	event = load32(r->device_host);
	if (event >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return event >> 16 == VRING_PACKED_EVENT_FLAG_ENABLE;
	off = event & 0x7fff;
	if ((event >> VRING_PACKED_EVENT_F_WRAP_CTR & 1) != r->next_wrap)
		off = (uint16_t)(off - r->size);
	return vring_need_event(off, r->next, old);
}

bool ring_publish(struct ring *r)
{
	bool kick = false;

	if (r->staged)
		kick = r->packed ? packed_publish(r) : split_publish(r);
	r->staged = 0;
	return kick;
}

static bool split_has_used(const struct ring *r)
{
	struct vring_used *used = (void *)r->device_host;

	return load16(&used->idx) != r->used;
}

static uint16_t split_take_used(struct ring *r, struct ring_used *ret)
{
	struct vring_used *used = (void *)r->device_host;
	struct vring_used_elem e = used->ring[r->used % r->size];
	uint16_t i = (uint16_t)e.id;

	assert(e.id < r->size);
	ret->len = e.len;
	r->used++;
	/* The descriptors of the chain go back in the order they came. */
	for (unsigned n = r->ids[i].ndesc; n; n--) {
		uint16_t next = split_desc(r, i)->next;

		ring_give_id(r, i);
		i = next;
	}
	return (uint16_t)e.id;
}

static bool packed_has_used(const struct ring *r)
{
	uint16_t flags = load16(&packed_desc(r, r->used)->flags);
	bool avail = flags >> VRING_PACKED_DESC_F_AVAIL & 1;
	bool used = flags >> VRING_PACKED_DESC_F_USED & 1;

	return avail == r->used_wrap && used == r->used_wrap;
}

static uint16_t packed_take_used(struct ring *r, struct ring_used *ret)
{
	struct vring_packed_desc d = *packed_desc(r, r->used);

	assert(d.id < r->size);
	ret->len = d.flags & VRING_DESC_F_WRITE ? d.len : 0;
	ring_advance(r, &r->used, &r->used_wrap, r->ids[d.id].ndesc);
	ring_give_id(r, d.id);
	return d.id;
}

bool ring_next_used(struct ring *r, struct ring_used *ret)
{
	uint16_t id;

	if (!(r->packed ? packed_has_used(r) : split_has_used(r)))
		return false;
	id = r->packed ? packed_take_used(r, ret) : split_take_used(r, ret);
	assert(r->ids[id].ndesc);
	ret->tag = r->ids[id].tag;
	r->free += r->ids[id].ndesc;
	r->ids[id].ndesc = 0;
	return true;
}

static void split_want_irq(struct ring *r, bool on, unsigned after)
{
	struct vring_avail *avail = (void *)r->driver_host;

	if (r->event_idx)
		store16(&avail->ring[r->size],
			r->used + (on ? after : 0x8000U));
	else
		store16(&avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
}

static void packed_want_irq(struct ring *r, bool on, unsigned after)
{
	uint16_t off = r->used;
	bool wrap = r->used_wrap;
	uint32_t flags = VRING_PACKED_EVENT_FLAG_ENABLE;

	ring_advance(r, &off, &wrap, after);
	if (!on)
		flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	else if (r->event_idx)
		flags = VRING_PACKED_EVENT_FLAG_DESC;
	store32(r->driver_host,
		flags << 16 | off |
			(uint32_t)wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
}

bool ring_want_irq(struct ring *r, bool on, unsigned after)
{
	if (r->packed)
		packed_want_irq(r, on, after);
	else
		split_want_irq(r, on, after);
	ring_barrier();
	return r->packed ? packed_has_used(r) : split_has_used(r);
}
