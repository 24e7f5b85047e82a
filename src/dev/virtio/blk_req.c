/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk requests: what a chain asks for, checked, carried out by the
 * block node and given back with its status.
 *
 * Spec: VIRTIO 1.2, 5.2.6 (device operation).
 * Threads: the device's loop.
 * State: none; pausing waits for the requests under way.
 *
 * A discard or write-zeroes request has up to VBLK_RANGES ranges. They are
 * all judged before the first is carried out, and each again on the copy that
 * is used.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "bus/iov.h"
#include "dev/virtio/blk.h"

/* 5.2.6: request types and status. */
#define VIRTIO_BLK_T_IN           0U
#define VIRTIO_BLK_T_OUT          1U
#define VIRTIO_BLK_T_FLUSH        4U
#define VIRTIO_BLK_T_GET_ID       8U
#define VIRTIO_BLK_T_DISCARD      11U
#define VIRTIO_BLK_T_WRITE_ZEROES 13U

#define VIRTIO_BLK_S_OK     0
#define VIRTIO_BLK_S_IOERR  1
#define VIRTIO_BLK_S_UNSUPP 2

#define VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP 1U

struct vblk_header {
	le32 type, reserved;
	le64 sector;
};
static_assert(sizeof(struct vblk_header) == 16, "VIRTIO 1.2, 5.2.6");

struct vblk_range {
	le64 sector;
	le32 num_sectors, flags;
};
static_assert(sizeof(struct vblk_range) == 16, "VIRTIO 1.2, 5.2.6");

static void vblk_finish(struct vblk_req *r, uint8_t status)
{
	struct vblk_queue *q = r->q;

	*r->status = status;
	virtq_push(q->vq, &r->chain,
		   status == VIRTIO_BLK_S_OK ? (uint32_t)r->chain.in_bytes : 1);
	if (!q->is_handling)
		loop_post(q->vb->vdev.loop, &q->notify);
	q->in_flight--;
	r->next = q->free;
	q->free = r;
}

static uint8_t vblk_status(int result)
{
	if (!result)
		return VIRTIO_BLK_S_OK;
	return result == -ENOTSUP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static void vblk_next_range(struct vblk_req *r);

void vblk_done(struct blk_req *io, int result)
{
	struct vblk_req *r = container_of(io, struct vblk_req, io);

	if (!result && r->range < r->nranges)
		vblk_next_range(r);
	else
		vblk_finish(r, vblk_status(result));
}

static void vblk_submit(struct vblk_req *r, enum blk_op op, uint64_t sector,
			uint64_t bytes, unsigned flags)
{
	r->io.op = op;
	r->io.flags = flags;
	r->io.offset = sector * VBLK_SECTOR;
	r->io.bytes = bytes;
	blk_submit(r->q->vb->node, &r->io);
}

static bool vblk_range_ok(const struct vblk *vb, uint64_t sector,
			  uint64_t bytes)
{
	uint64_t mask = vb->block - 1;

	return !(bytes & mask) && !(sector * VBLK_SECTOR & mask) &&
	       range_ok(sector, bytes / VBLK_SECTOR, vblk_capacity(vb));
}

static unsigned vblk_write_flags(const struct vblk *vb)
{
	return atomic_load_explicit(&vb->fua, memory_order_relaxed) ? BLK_FUA
								    : 0;
}

static void vblk_read_write(struct vblk_req *r, enum blk_op op, uint64_t sector,
			    const struct iovec *iov, unsigned niov,
			    uint64_t bytes)
{
	const struct vblk *vb = r->q->vb;
	bool is_write = op == BLK_WRITE;

	if (!vblk_range_ok(vb, sector, bytes) ||
	    (is_write && vb->node->caps.read_only)) {
		vblk_finish(r, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (!bytes) {
		vblk_finish(r, VIRTIO_BLK_S_OK);
		return;
	}
	r->io.iov = iov;
	r->io.niov = niov;
	vblk_submit(r, op, sector, bytes, is_write ? vblk_write_flags(vb) : 0);
}

static void vblk_flush(struct vblk_req *r)
{
	if (r->q->vb->node->caps.flush)
		vblk_submit(r, BLK_FLUSH, 0, 0, 0);
	else
		vblk_finish(r, VIRTIO_BLK_S_OK);
}

/* 5.2.6.1: 20 bytes, not terminated where the text fills them. */
static void vblk_get_id(struct vblk_req *r, const struct iovec *in,
			unsigned nin)
{
	const char *serial = r->q->vb->serial;
	char id[VBLK_ID_BYTES] = {0};

	if (serial)
		memcpy(id, serial, strnlen(serial, sizeof(id)));
	iov_write(in, nin, 0, id, sizeof(id));
	vblk_finish(r, VIRTIO_BLK_S_OK);
}

/* 5.2.6.2: what a range asks for, judged on the copy. */
static uint8_t vblk_check_range(const struct vblk *vb, enum blk_op op,
				const struct vblk_range *range)
{
	uint32_t flags = le32_get(range->flags), max;
	uint64_t n = le32_get(range->num_sectors);

	if (flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP ||
	    (op == BLK_DISCARD && flags))
		return VIRTIO_BLK_S_UNSUPP;
	max = op == BLK_DISCARD ? vb->max_discard_sectors
				: vb->max_write_zeroes_sectors;
	if (n > max ||
	    !vblk_range_ok(vb, le64_get(range->sector), n * VBLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static void vblk_get_range(const struct vblk_req *r, unsigned i,
			   struct vblk_range *range)
{
	iov_read(r->ranges, r->nranges_iov, i * sizeof(*range), range,
		 sizeof(*range));
}

/* Carries out the next range that is not empty, or ends the request. */
static void vblk_next_range(struct vblk_req *r)
{
	const struct vblk *vb = r->q->vb;
	uint8_t status = VIRTIO_BLK_S_OK;

	while (r->range < r->nranges && status == VIRTIO_BLK_S_OK) {
		enum blk_op op = r->io.op;
		unsigned flags = vblk_write_flags(vb);
		struct vblk_range range;
		uint64_t bytes;

		vblk_get_range(r, r->range++, &range);
		status = vblk_check_range(vb, op, &range);
		bytes = (uint64_t)le32_get(range.num_sectors) * VBLK_SECTOR;
		if (status != VIRTIO_BLK_S_OK || !bytes)
			continue;
		if (le32_get(range.flags))
			flags |= BLK_MAY_UNMAP;
		vblk_submit(r, op, le64_get(range.sector), bytes, flags);
		return;
	}
	vblk_finish(r, status);
}

static uint8_t vblk_check_ranges(const struct vblk_req *r, bool offered,
				 uint64_t bytes)
{
	const struct vblk *vb = r->q->vb;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (!offered)
		return vb->node->caps.read_only ? VIRTIO_BLK_S_IOERR
						: VIRTIO_BLK_S_UNSUPP;
	if (!bytes || bytes % sizeof(struct vblk_range) ||
	    bytes / sizeof(struct vblk_range) > VBLK_RANGES)
		return VIRTIO_BLK_S_IOERR;
	for (unsigned i = 0; i < r->nranges && status == VIRTIO_BLK_S_OK; i++) {
		struct vblk_range range;

		vblk_get_range(r, i, &range);
		status = vblk_check_range(vb, r->io.op, &range);
	}
	return status;
}

static void vblk_ranges(struct vblk_req *r, enum blk_op op, unsigned feature,
			const struct iovec *out, unsigned nout, uint64_t bytes)
{
	bool offered = r->q->vb->vdev.host_features >> feature & 1;
	uint8_t status;

	r->io.op = op;
	r->ranges = out;
	r->nranges_iov = nout;
	r->nranges = (unsigned)MIN(bytes / sizeof(struct vblk_range),
				   (uint64_t)VBLK_RANGES);
	status = vblk_check_ranges(r, offered, bytes);
	if (status == VIRTIO_BLK_S_OK)
		vblk_next_range(r);
	else
		vblk_finish(r, status);
}

/* Copies the header and steps over it. The chain has it: the caller checked. */
static unsigned vblk_get_header(struct chain *c, struct vblk_header *h,
				struct iovec **ret_out)
{
	struct iovec *out = c->out;

	*ret_out = out;
	if (likely(out->iov_len == sizeof(*h))) {
		memcpy(h, out->iov_base, sizeof(*h));
		__asm__ volatile("" ::: "memory"); /* judged on this copy */
		*ret_out = out + 1;
		return c->nout - 1;
	}
	iov_read(out, c->nout, 0, h, sizeof(*h));
	return iov_skip(ret_out, c->nout, sizeof(*h));
}

/* Takes the last byte of the writable part away: where the status goes. */
static unsigned vblk_get_status(struct vblk_req *r)
{
	struct chain *c = &r->chain;
	struct iovec *last = &c->in[c->nin - 1];

	last->iov_len--;
	r->status = (uint8_t *)last->iov_base + last->iov_len;
	return last->iov_len ? c->nin : c->nin - 1;
}

static void vblk_start(struct vblk_req *r)
{
	struct chain *c = &r->chain;
	struct vblk_header h;
	struct iovec *out;
	unsigned nout = vblk_get_header(c, &h, &out);
	unsigned nin = vblk_get_status(r);
	uint64_t out_bytes = c->out_bytes - sizeof(h);
	uint64_t in_bytes = c->in_bytes - 1;

	r->range = r->nranges = 0;
	switch (le32_get(h.type)) {
	case VIRTIO_BLK_T_IN:
		vblk_read_write(r, BLK_READ, le64_get(h.sector), c->in, nin,
				in_bytes);
		break;
	case VIRTIO_BLK_T_OUT:
		vblk_read_write(r, BLK_WRITE, le64_get(h.sector), out, nout,
				out_bytes);
		break;
	case VIRTIO_BLK_T_FLUSH:
		vblk_flush(r);
		break;
	case VIRTIO_BLK_T_GET_ID:
		vblk_get_id(r, c->in, nin);
		break;
	case VIRTIO_BLK_T_DISCARD:
		vblk_ranges(r, BLK_DISCARD, VIRTIO_BLK_F_DISCARD, out, nout,
			    out_bytes);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		vblk_ranges(r, BLK_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES, out,
			    nout, out_bytes);
		break;
	default:
		vblk_finish(r, VIRTIO_BLK_S_UNSUPP);
		break;
	}
}

int vblk_take(struct vblk_queue *q)
{
	struct vblk_req *r = q->free;
	struct virtio_dev *vd = &q->vb->vdev;
	int rc;

	if (!r) {
		if (!virtq_has_chain(q->vq))
			return 0;
		virtio_broken(vd, "a descriptor is used twice at a time "
				  "(VIRTIO 1.2, 2.6)");
		return -EINVAL;
	}
	rc = virtq_pop(q->vq, &r->chain);
	if (rc < 0)
		virtio_broken(vd,
			      "queue %u has a bad descriptor chain "
			      "(VIRTIO 1.2, 2.6)",
			      q->vq->index);
	if (rc <= 0)
		return rc;
	if (unlikely(r->chain.out_bytes < sizeof(struct vblk_header) ||
		     r->chain.in_bytes < 1)) {
		virtio_broken(vd, "a request without header or status "
				  "(VIRTIO 1.2, 5.2.6)");
		return -EINVAL;
	}
	q->free = r->next;
	q->in_flight++;
	vblk_start(r);
	return 1;
}
