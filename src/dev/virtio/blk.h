/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk: what its two files share. blk.c is the device, blk_req.c what a
 * request asks for.
 *
 * Spec: VIRTIO 1.2, 5.2 (block device).
 */
#pragma once

#include <stdatomic.h>

#include "backend/block.h"
#include "base/num.h"
#include "bus/virtio.h"

/* VIRTIO 1.2, 5.2.3: feature bits. */
#define VIRTIO_BLK_F_SEG_MAX      2
#define VIRTIO_BLK_F_RO           5
#define VIRTIO_BLK_F_BLK_SIZE     6
#define VIRTIO_BLK_F_FLUSH        9
#define VIRTIO_BLK_F_TOPOLOGY     10
#define VIRTIO_BLK_F_CONFIG_WCE   11
#define VIRTIO_BLK_F_MQ           12
#define VIRTIO_BLK_F_DISCARD      13
#define VIRTIO_BLK_F_WRITE_ZEROES 14

#define VBLK_SECTOR   512U
#define VBLK_ID_BYTES 20U /* of the serial number: 5.2.6.1 */
#define VBLK_RANGES   32U /* of one discard or write-zeroes request */

struct vblk_req {
	struct blk_req io;
	struct vblk_queue *q;
	struct chain chain;
	uint8_t *status; /* where the driver wants it */
	/* Of a discard or write-zeroes: where its ranges are. */
	const struct iovec *ranges;
	unsigned nranges_iov;
	unsigned range, nranges; /* the next one, of how many */
	struct vblk_req *next;   /* free */
};

struct vblk_queue {
	struct vblk *vb;
	struct virtq *vq;
	struct vblk_req *reqs; /* as many as the queue has descriptors */
	struct iovec *iovs;    /* vb->iov_max for each of them */
	struct vblk_req *free; /* last used first */
	unsigned in_flight;
	bool is_handling; /* chains are being taken: notify after them */
	struct loop_task notify;
};

struct vblk {
	struct virtio_dev vdev;
	/* Properties. */
	struct prop_link drive;
	char *serial;
	uint16_t num_queues, queue_size;
	bool seg_max_adjust, config_wce, discard, write_zeroes;
	int write_cache; /* enum on_off_auto */
	uint32_t max_discard_sectors, max_write_zeroes_sectors;
	uint64_t logical_block, physical_block, min_io, opt_io; /* bytes */
	/* Set by attach. */
	struct blk_node *node; /* claimed */
	bool is_bound, writeback_default;
	uint32_t block; /* bytes, the logical block in use */
	unsigned seg_max, iov_max;
	struct vblk_queue *queues;
	/* Now; written under the device's lock, read on the loop. */
	_Atomic bool writeback;
	_Atomic bool fua; /* derived: each write goes to stable storage */
};

static inline uint64_t vblk_capacity(const struct vblk *vb)
{
	return align_down(vb->node->caps.bytes, vb->block) / VBLK_SECTOR;
}

/*
 * Takes and starts the next request of the queue: 1; 0 if there is none;
 * negative if the driver broke a rule and the device is broken now. On the
 * loop.
 */
int vblk_take(struct vblk_queue *q);

/* Back ends call it: the done() of every request. */
void vblk_done(struct blk_req *io, int result);
