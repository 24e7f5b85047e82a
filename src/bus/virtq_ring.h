/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What virtq.c shares with the two ring layouts; nobody else includes it.
 *
 * Ring memory belongs to a guest that may write it at any moment. Each field
 * is read once, by one load, and what is judged is the copy.
 *
 * Threads: as bus/virtq.h.
 */
#pragma once

#include <errno.h>

#include "base/endian.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "bus/virtq.h"

/* VIRTIO 1.2, 2.7.5 and 2.8.8: descriptor flags. */
#define VIRTQ_DESC_F_NEXT     1
#define VIRTQ_DESC_F_WRITE    2
#define VIRTQ_DESC_F_INDIRECT 4
#define VIRTQ_DESC_F_AVAIL    BIT(7)
#define VIRTQ_DESC_F_USED     BIT(15)

#define VIRTQ_CHAIN_BYTES_MAX (4 * GIB) /* VIRTIO 1.2, 2.7.5.2 */

/* A descriptor, copied; `last` is `next` (split) or `flags` (packed). */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t half2, half3;
};

/* A table of descriptors: mapped, or (straddling two ranges) by copies. */
struct virtq_table {
	const void *host; /* NULL: copies */
	gpa_t gpa;
	uint32_t count;
};

/* Loads and stores of ring memory; naturally aligned. */
static inline uint16_t ring_load16(const void *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED));
}

static inline uint16_t ring_load16_acquire(const void *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

static inline uint32_t ring_load32(const void *p)
{
	return le32toh(__atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED));
}

static inline void ring_store16(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELAXED);
}

static inline void ring_store16_release(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, htole16(v), __ATOMIC_RELEASE);
}

static inline void ring_store32(void *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)p, htole32(v), __ATOMIC_RELAXED);
}

/*
 * Stores before are visible before loads behind: the two halves of "publish,
 * then look whether the other side wants to be told".
 */
static inline void ring_fence(void)
{
#if defined(__SANITIZE_THREAD__)
	/* gcc's thread sanitizer knows no fences, but this is one. */
	uint32_t x = 0;

	__atomic_exchange_n(&x, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* A guest's 64 bits at any alignment, by one load that is not repeated. */
struct ring_word {
	uint64_t v;
} PACKED __attribute__((may_alias));

static inline uint64_t ring_load64(const void *p)
{
	return le64toh(((const volatile struct ring_word *)p)->v);
}

/* Copies the descriptor at p: addr, len, and the two halves behind. */
static inline struct virtq_desc virtq_desc_load(const void *p)
{
	uint64_t rest = ring_load64((const char *)p + 8);

	return (struct virtq_desc){
		.addr = ring_load64(p),
		.len = (uint32_t)rest,
		.half2 = (uint16_t)(rest >> 32),
		.half3 = (uint16_t)(rest >> 48),
	};
}

/* Begins a chain in the caller's storage. */
static inline void chain_begin(struct chain *c)
{
	c->nout = c->nin = 0;
	c->out_bytes = c->in_bytes = 0;
	c->ndesc = 0; /* counted on the way */
	c->out = c->in = c->iov;
}

int chain_add_slow(struct virtq *vq, struct chain *c, gpa_t gpa, uint32_t len);

/* Appends a buffer to the iovecs: the number it took, or -errno. */
static inline int chain_map(struct virtq *vq, struct chain *c, gpa_t gpa,
			    uint32_t len)
{
	const struct gmem_range *r = vq->range;
	uint64_t off = gpa - r->base;
	unsigned n = c->nout + c->nin;

	if (unlikely(!len || off >= r->len || len > r->len - off ||
		     n >= c->iov_max))
		return chain_add_slow(vq, c, gpa, len);
	c->iov[n].iov_base = (char *)r->host + off;
	c->iov[n].iov_len = len;
	return 1;
}

/*
 * Adds one descriptor's buffer to the chain. All that the device reads comes
 * before what it writes (VIRTIO 1.2, 2.7.4.2), and the sum is bounded.
 */
static inline int chain_add(struct virtq *vq, struct chain *c,
			    const struct virtq_desc *d, bool is_write)
{
	int n = chain_map(vq, c, d->addr, d->len);

	if (unlikely(n < 0))
		return n;
	if (is_write) {
		c->nin += (unsigned)n;
		c->in_bytes += d->len;
	} else {
		if (unlikely(c->in_bytes))
			return -EINVAL;
		c->nout += (unsigned)n;
		c->out_bytes += d->len;
		c->in = c->iov + c->nout;
	}
	if (unlikely(c->in_bytes + c->out_bytes > VIRTQ_CHAIN_BYTES_MAX))
		return -EINVAL;
	return 0;
}

/*
 * The indirect table that d describes: 0, or -EINVAL where it may not be there
 * (nested or chained, not negotiated) or has no whole number of entries.
 */
int virtq_indirect(const struct virtq *vq, const struct virtq_desc *d,
		   struct virtq_table *ret);

/* Copies entry i, which the caller checked. -EFAULT: not RAM. */
int virtq_table_load(const struct virtq *vq, const struct virtq_table *t,
		     uint32_t i, struct virtq_desc *ret);

/* Maps a part of the rings; *ret_rc: 0, -EINVAL misaligned, -EFAULT. */
void *virtq_map(const struct virtq *vq, gpa_t gpa, uint64_t len, unsigned align,
		int *ret_rc);

/* Marks the queue broken; returns rc. */
int virtq_break(struct virtq *vq, int rc);

int virtq_split_enable(struct virtq *vq);
int virtq_split_pop(struct virtq *vq, struct chain *c);
bool virtq_split_has_chain(const struct virtq *vq);
void virtq_split_fill(struct virtq *vq, const struct chain *c,
		      uint32_t written);
void virtq_split_flush(struct virtq *vq);
bool virtq_split_wants_irq(const struct virtq *vq);
void virtq_split_want_kick(struct virtq *vq, bool on);

int virtq_packed_enable(struct virtq *vq);
int virtq_packed_pop(struct virtq *vq, struct chain *c);
void virtq_packed_unpop(struct virtq *vq, const struct chain *c);
bool virtq_packed_has_chain(const struct virtq *vq);
void virtq_packed_fill(struct virtq *vq, const struct chain *c,
		       uint32_t written);
void virtq_packed_flush(struct virtq *vq);
bool virtq_packed_wants_irq(const struct virtq *vq);
void virtq_packed_want_kick(struct virtq *vq, bool on);
