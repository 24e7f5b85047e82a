/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk: a disk, served from one block node.
 *
 * Spec: VIRTIO 1.2, 5.2 (block device).
 * Threads: queues and completions on the device's loop; configuration space
 *       on any thread under the device's lock.
 * State: the cache mode that the driver chose.
 *
 * Theory of operation. Each queue has as many requests as descriptors, each
 * with room for the longest chain, allocated at attach; the free ones form a
 * stack, so that a shallow queue touches little memory. A kick takes all
 * chains there are and submits them; data goes between the host and the
 * driver's own buffers. Completions are returned as they come, and the driver
 * is told once of all that come together, by a task that runs behind them.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "dev/virtio/blk.h"

#define VIRTIO_ID_BLOCK 2U

#define VBLK_BLOCK_MAX   (2 * MIB)
/* Spans of a chain beyond its data segments: header and status, either in
 * several pieces, and memory ranges that touch inside a segment. */
#define VBLK_IOV_EXTRA   26U
#define VBLK_SECTORS_MAX 0x3fffffU /* of a request: less than 2 GiB */

struct virtio_blk_config {
	le64 capacity; /* in sectors of 512 bytes, as all below */
	le32 size_max;
	le32 seg_max;
	le16 cylinders;
	uint8_t heads, sectors;
	le32 blk_size; /* bytes */
	uint8_t physical_block_exp, alignment_offset;
	le16 min_io_size; /* in blocks of blk_size */
	le32 opt_io_size;
	uint8_t writeback, unused0;
	le16 num_queues;
	le32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	le32 max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
	le32 max_secure_erase_sectors; /* not offered */
};
static_assert(sizeof(struct virtio_blk_config) == 64, "VIRTIO 1.2, 5.2.4");

static struct vblk *vblk_of(struct virtio_dev *vd)
{
	return container_of(vd, struct vblk, vdev);
}

/* Queues. */

/* One ring full at most: what comes meanwhile has its turn later, and a driver
 * that never stops does not keep the loop from its other work. */
static void vblk_handle_queue(struct virtio_dev *vd, struct virtq *vq)
{
	struct vblk_queue *q = &vblk_of(vd)->queues[vq->index];
	unsigned budget = vq->size;

	q->is_handling = true;
	while (budget-- && vblk_take(q) > 0)
		;
	q->is_handling = false;
	virtq_notify(vq);
}

/* Behind the completions of one turn of the loop. */
static void vblk_notify(struct loop_task *t)
{
	struct vblk_queue *q = container_of(t, struct vblk_queue, notify);

	virtq_notify(q->vq);
}

static void vblk_drain(struct virtio_dev *vd)
{
	struct vblk *vb = vblk_of(vd);
	unsigned in_flight = 0;

	for (unsigned i = 0; vb->queues && i < vb->num_queues; i++)
		in_flight += vb->queues[i].in_flight;
	if (in_flight)
		blk_drain(vb->node);
	/* Now: the queues may be another thread's before the tasks run. */
	for (unsigned i = 0; vb->queues && i < vb->num_queues; i++) {
		loop_task_cancel(vd->loop, &vb->queues[i].notify);
		virtq_notify(vb->queues[i].vq);
	}
}

/* All is done by drain: the core resets the queue. */
static void vblk_queue_reset(struct virtio_dev *vd, struct virtq *vq)
{
	(void)vd;
	(void)vq;
}

/* Cache mode. */

static void vblk_set_writeback(struct vblk *vb, bool on)
{
	atomic_store_explicit(&vb->writeback, on, memory_order_relaxed);
	atomic_store_explicit(&vb->fua, !on && vb->node && vb->node->caps.flush,
			      memory_order_relaxed);
}

/*
 * 5.2.5.2: a driver that cannot flush and cannot choose gets a cache that is
 * written through; one that can only flush, one that is written back.
 */
static void vblk_activate(struct virtio_dev *vd)
{
	struct vblk *vb = vblk_of(vd);

	if (!virtio_has(vd, VIRTIO_BLK_F_CONFIG_WCE))
		vblk_set_writeback(vb,
				   vb->writeback_default &&
					   virtio_has(vd, VIRTIO_BLK_F_FLUSH));
}

static void vblk_vreset(struct virtio_dev *vd)
{
	struct vblk *vb = vblk_of(vd);

	vblk_set_writeback(vb, vb->writeback_default);
}

/* Configuration space. */

static void vblk_config_read(struct virtio_dev *vd, void *buf)
{
	struct vblk *vb = vblk_of(vd);
	const struct blk_caps *caps = &vb->node->caps;
	uint64_t phys = vb->physical_block / vb->block;
	uint32_t align = MAX(caps->discard_align, vb->block) / VBLK_SECTOR;
	struct virtio_blk_config c = {
		.capacity = le64_make(vblk_capacity(vb)),
		.seg_max = le32_make(vb->seg_max),
		.blk_size = le32_make(vb->block),
		.physical_block_exp = (uint8_t)__builtin_ctzll(phys),
		.min_io_size = le16_make((uint16_t)(vb->min_io / vb->block)),
		.opt_io_size = le32_make((uint32_t)(vb->opt_io / vb->block)),
		.writeback = atomic_load_explicit(&vb->writeback,
						  memory_order_relaxed),
		.num_queues = le16_make(vb->num_queues),
	};

	if (vd->host_features & BIT(VIRTIO_BLK_F_DISCARD)) {
		c.max_discard_sectors = le32_make(vb->max_discard_sectors);
		c.max_discard_seg = le32_make(VBLK_RANGES);
		c.discard_sector_alignment = le32_make(align);
	}
	if (vd->host_features & BIT(VIRTIO_BLK_F_WRITE_ZEROES)) {
		c.max_write_zeroes_sectors =
			le32_make(vb->max_write_zeroes_sectors);
		c.max_write_zeroes_seg = le32_make(VBLK_RANGES);
		c.write_zeroes_may_unmap = caps->unmap;
	}
	memcpy(buf, &c, sizeof(c));
}

static void vblk_config_write(struct virtio_dev *vd, unsigned off,
			      unsigned size, uint64_t value)
{
	if (off == offsetof(struct virtio_blk_config, writeback) && size == 1 &&
	    virtio_has(vd, VIRTIO_BLK_F_CONFIG_WCE))
		vblk_set_writeback(vblk_of(vd), value & 1);
	else
		guest_err(&vd->dev,
			  "%u bytes at %u of the configuration are not to be "
			  "written (VIRTIO 1.2, 5.2.5)",
			  size, off);
}

static void vblk_resized(void *opaque)
{
	virtio_config_changed(opaque);
}

static uint64_t vblk_features(struct virtio_dev *vd)
{
	const struct vblk *vb = vblk_of(vd);
	const struct blk_node *node = vb->drive.ptr;
	const struct blk_caps *caps = &node->caps;
	uint64_t f = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		     BIT(VIRTIO_BLK_F_TOPOLOGY);

	if (caps->flush && (vb->writeback_default || vb->config_wce))
		f |= BIT(VIRTIO_BLK_F_FLUSH);
	if (caps->flush && vb->config_wce)
		f |= BIT(VIRTIO_BLK_F_CONFIG_WCE);
	if (vb->num_queues > 1)
		f |= BIT(VIRTIO_BLK_F_MQ);
	if (caps->read_only)
		return f | BIT(VIRTIO_BLK_F_RO);
	if (caps->discard && vb->discard)
		f |= BIT(VIRTIO_BLK_F_DISCARD);
	if (caps->write_zeroes && vb->write_zeroes)
		f |= BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	return f;
}

/* Attach. */

static int vblk_check_block(const char *name, uint64_t bytes, struct err *e)
{
	if (is_pow2(bytes) && bytes >= VBLK_SECTOR && bytes <= VBLK_BLOCK_MAX)
		return 0;
	return err_set(e, -EINVAL,
		       "%s=%" PRIu64 " is not a power of two from 512 to 2M",
		       name, bytes);
}

/* A preferred transfer size, a whole number of blocks up to max of them. */
static int vblk_check_io(const struct vblk *vb, const char *name,
			 uint64_t bytes, uint64_t max, struct err *e)
{
	if (bytes % vb->block == 0 && bytes / vb->block <= max)
		return 0;
	return err_set(e, -EINVAL,
		       "%s=%" PRIu64 " is not a multiple of the logical block "
		       "size %" PRIu32 ", or is more than %" PRIu64 " blocks",
		       name, bytes, vb->block, max);
}

/* What the user left open follows the node. */
static int vblk_check_geometry(struct vblk *vb, const struct blk_caps *caps,
			       struct err *e)
{
	int rc;

	if (!vb->logical_block)
		vb->logical_block = MAX(caps->logical_block, VBLK_SECTOR);
	if (!vb->physical_block)
		vb->physical_block =
			MAX(vb->logical_block, (uint64_t)caps->physical_block);
	rc = vblk_check_block("logical_block_size", vb->logical_block, e);
	if (!rc)
		rc = vblk_check_block("physical_block_size", vb->physical_block,
				      e);
	if (rc)
		return rc;
	if (vb->physical_block < vb->logical_block)
		return err_set(e, -EINVAL,
			       "physical_block_size=%" PRIu64 " is less than "
			       "logical_block_size=%" PRIu64,
			       vb->physical_block, vb->logical_block);
	vb->block = (uint32_t)vb->logical_block;
	if (!vb->min_io)
		vb->min_io = align_down(caps->min_io, vb->block);
	if (!vb->opt_io)
		vb->opt_io = align_down(caps->opt_io, vb->block);
	rc = vblk_check_io(vb, "min_io_size", vb->min_io, UINT16_MAX, e);
	if (rc)
		return rc;
	return vblk_check_io(vb, "opt_io_size", vb->opt_io, UINT32_MAX, e);
}

static int vblk_check_props(struct vblk *vb, struct err *e)
{
	const struct blk_node *node = vb->drive.ptr;

	if (!is_pow2(vb->queue_size) || vb->queue_size < 4)
		return err_set(e, -EINVAL,
			       "queue-size=%u is not a power of two from 4 "
			       "to %u",
			       vb->queue_size, VIRTQ_SIZE_MAX);
	if (vb->serial && strlen(vb->serial) > VBLK_ID_BYTES)
		return err_set(e, -EINVAL,
			       "serial='%s' is longer than %u characters",
			       vb->serial, VBLK_ID_BYTES);
	vb->writeback_default = vb->write_cache == OOA_AUTO
					? node->caps.cache_writeback
					: vb->write_cache == OOA_ON;
	vb->seg_max = vb->seg_max_adjust ? vb->queue_size - 2U
					 : MIN(vb->queue_size - 2U, 126U);
	vb->iov_max = vb->seg_max + VBLK_IOV_EXTRA;
	if (node->caps.max_discard)
		vb->max_discard_sectors =
			MIN(vb->max_discard_sectors,
			    node->caps.max_discard / VBLK_SECTOR);
	return vblk_check_geometry(vb, &node->caps, e);
}

static int vblk_queue_init(struct vblk *vb, unsigned index, struct err *e)
{
	struct vblk_queue *q = &vb->queues[index];
	unsigned n = vb->queue_size;

	q->vb = vb;
	q->vq = &vb->vdev.vqs[index];
	q->vq->size_max = vb->queue_size;
	q->notify.run = vblk_notify;
	q->reqs = calloc(n, sizeof(*q->reqs));
	q->iovs = calloc((size_t)n * vb->iov_max, sizeof(*q->iovs));
	if (!q->reqs || !q->iovs)
		return err_set(e, -ENOMEM,
			       "no memory for %u requests of queue %u", n,
			       index);
	while (n--) {
		struct vblk_req *r = &q->reqs[n];

		r->q = q;
		r->io.done = vblk_done;
		r->chain.iov = &q->iovs[(size_t)n * vb->iov_max];
		r->chain.iov_max = vb->iov_max;
		r->next = q->free;
		q->free = r;
	}
	return 0;
}

static int vblk_init_queues(struct vblk *vb, struct err *e)
{
	int rc = 0;

	vb->queues = calloc(vb->num_queues, sizeof(*vb->queues));
	if (!vb->queues)
		return err_set(e, -ENOMEM, "no memory for %u queues",
			       vb->num_queues);
	for (unsigned i = 0; i < vb->num_queues && !rc; i++)
		rc = vblk_queue_init(vb, i, e);
	return rc;
}

static int vblk_claim(struct vblk *vb, struct err *e)
{
	struct blk_node *node = vb->drive.ptr;
	char label[128];
	int rc;

	rc = blk_claim(node, device_label(&vb->vdev.dev, label, sizeof(label)),
		       e);
	if (rc)
		return rc;
	vb->node = node;
	node->resized = vblk_resized;
	node->opaque = &vb->vdev;
	rc = blk_bind(node, vb->vdev.loop, e);
	vb->is_bound = !rc;
	return rc;
}

static int vblk_attach(struct device *d, struct err *e)
{
	struct vblk *vb = container_of(d, struct vblk, vdev.dev);
	int rc = vblk_check_props(vb, e);

	if (!rc)
		rc = virtio_attach(&vb->vdev, vb->num_queues, e);
	if (!rc)
		rc = vblk_init_queues(vb, e);
	if (!rc)
		rc = vblk_claim(vb, e);
	if (!rc)
		vblk_set_writeback(vb, vb->writeback_default);
	return rc;
}

static void vblk_free_queues(struct vblk *vb)
{
	for (unsigned i = 0; vb->queues && i < vb->num_queues; i++) {
		loop_task_cancel(vb->vdev.loop, &vb->queues[i].notify);
		free(vb->queues[i].reqs);
		free(vb->queues[i].iovs);
	}
	free(vb->queues);
	vb->queues = NULL;
}

static void vblk_detach(struct device *d)
{
	struct vblk *vb = container_of(d, struct vblk, vdev.dev);

	virtio_detach(&vb->vdev);
	vblk_free_queues(vb);
	if (vb->is_bound)
		blk_unbind(vb->node);
	vb->is_bound = false;
	if (vb->node)
		blk_release(vb->node);
	vb->node = NULL;
}

static int vblk_loaded(struct device *d, struct err *e)
{
	struct vblk *vb = container_of(d, struct vblk, vdev.dev);

	(void)e; /* either cache mode is good */
	vblk_set_writeback(vb, vb->writeback);
	return 0;
}

/* clang-format off */
static const struct prop vblk_props[] = {
	PROP_BACKEND_REQUIRED(struct vblk, drive, "drive", "blockdev",
		"node name or id of the block device behind it"),
	PROP_STR(struct vblk, serial, "serial", NULL,
		"what the guest reads as the disk's id, up to 20 characters"),
	PROP_U16(struct vblk, num_queues, "num-queues", 1,
		1, VIRTIO_QUEUES_MAX, "request queues"),
	PROP_U16(struct vblk, queue_size, "queue-size", 256,
		4, VIRTQ_SIZE_MAX, "descriptors of a queue, a power of two"),
	PROP_BOOL(struct vblk, seg_max_adjust, "seg-max-adjust", true,
		"let a request have as many segments as fit a queue"),
	PROP_SIZE(struct vblk, logical_block, "logical_block_size", 0,
		0, VBLK_BLOCK_MAX, "smallest unit of a request"),
	PROP_SIZE(struct vblk, physical_block, "physical_block_size", 0,
		0, VBLK_BLOCK_MAX, "unit that the medium writes at once"),
	PROP_SIZE(struct vblk, min_io, "min_io_size", 0,
		0, UINT32_MAX, "smallest request that is fast"),
	PROP_SIZE(struct vblk, opt_io, "opt_io_size", 0,
		0, UINT32_MAX, "best size of a request"),
	PROP_ENUM(struct vblk, write_cache, "write-cache", OOA_AUTO,
		on_off_auto_names, "write-back cache, until the guest chooses"),
	PROP_BOOL(struct vblk, config_wce, "config-wce", true,
		"let the guest choose the cache mode"),
	PROP_BOOL(struct vblk, discard, "discard", true,
		"offer discard where the back end can"),
	PROP_BOOL(struct vblk, write_zeroes, "write-zeroes", true,
		"offer write-zeroes where the back end can"),
	PROP_U32(struct vblk, max_discard_sectors, "max-discard-sectors",
		VBLK_SECTORS_MAX, 1, VBLK_SECTORS_MAX,
		"most sectors of a discarded range"),
	PROP_U32(struct vblk, max_write_zeroes_sectors,
		"max-write-zeroes-sectors",
		VBLK_SECTORS_MAX, 1, VBLK_SECTORS_MAX,
		"most sectors of a zeroed range"),
	VIRTIO_PROPS(struct vblk, vdev),
	PROP_END,
};

static const struct state_field vblk_state[] = {
	STATE_HOST(struct vblk, drive),
	STATE_HOST(struct vblk, serial),
	STATE_HOST(struct vblk, num_queues),
	STATE_HOST(struct vblk, queue_size),
	STATE_HOST(struct vblk, seg_max_adjust),
	STATE_HOST(struct vblk, config_wce),
	STATE_HOST(struct vblk, discard),
	STATE_HOST(struct vblk, write_zeroes),
	STATE_HOST(struct vblk, write_cache),
	STATE_HOST(struct vblk, max_discard_sectors),
	STATE_HOST(struct vblk, max_write_zeroes_sectors),
	STATE_HOST(struct vblk, logical_block),
	STATE_HOST(struct vblk, physical_block),
	STATE_HOST(struct vblk, min_io),
	STATE_HOST(struct vblk, opt_io),
	STATE_HOST(struct vblk, node),
	STATE_HOST(struct vblk, is_bound),
	STATE_HOST(struct vblk, writeback_default),
	STATE_HOST(struct vblk, block),
	STATE_HOST(struct vblk, seg_max),
	STATE_HOST(struct vblk, iov_max),
	STATE_HOST(struct vblk, queues),
	STATE_UINT(struct vblk, writeback, 1),
	STATE_DERIVED(struct vblk, fua),
	STATE_END,
};
/* clang-format on */

static const struct virtio_class vblk_virtio = {
	.id = VIRTIO_ID_BLOCK,
	.config_size = sizeof(struct virtio_blk_config),
	.nqueues = 1,
	.queue_max = VIRTQ_SIZE_MAX,
	.features = vblk_features,
	.config_read = vblk_config_read,
	.config_write = vblk_config_write,
	.activate = vblk_activate,
	.handle_queue = vblk_handle_queue,
	.drain = vblk_drain,
	.reset = vblk_vreset,
	.queue_reset = vblk_queue_reset,
};

VIREO_DEVICE(virtio_blk, .name = "virtio-blk-device",
	     .summary = "Virtio block device", .category = CATEGORY_STORAGE,
	     .bus = "virtio-bus", .size = sizeof(struct vblk),
	     .props = vblk_props, .state = vblk_state, .attach = vblk_attach,
	     .detach = vblk_detach, .reset = virtio_reset,
	     .pause = virtio_pause, .resume = virtio_resume,
	     .loaded = vblk_loaded, .flavour = &vblk_virtio);
