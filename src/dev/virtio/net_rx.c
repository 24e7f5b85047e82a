/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net, receiving: packets from the back end into the driver's buffers.
 *
 * Spec: VIRTIO 1.2, 5.1.6.3 (setting up receive buffers), 5.1.6.4 (processing
 *       of incoming packets).
 * Threads: the device's loop.
 * State: none; packets that were read and not delivered are lost like on a
 *       wire when a snapshot moves to another process.
 *
 * Theory of operation. Each pair keeps VNET_RX_SLOTS reads of its own buffers
 * under way, and copies what arrives: a guest's buffers are small (1.5 KiB in
 * Linux) and a packet may have 64 KiB, so that reading into them directly
 * would give the host some 45 of them with each read, whatever comes, and tie
 * up as many. No chain of the driver's is held while nothing is to be
 * received.
 *
 * Where the driver has no buffer the packet waits in its slot, and behind it
 * those that the other slots hold; no further read is begun, so the host
 * queues, and drops, as with a slow wire. With mergeable buffers a packet
 * stops in the middle: the chains that it has are kept, so that the ring is
 * empty and the driver's next one is announced.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bus/iov.h"
#include "dev/virtio/net.h"

#define VNET_RX_BUF_BYTES (VNET_HDR_BYTES + VNET_PACKET_MAX)

static void vnet_rx_offer(struct vnet_rx *r)
{
	struct vnet_pair *p = r->pair;

	net_receive(p->vn->net, p->index, &r->io);
}

static void vnet_rx_put_idle(struct vnet_rx *r)
{
	r->next = r->pair->rx_idle;
	r->pair->rx_idle = r;
}

static void vnet_rx_put_ready(struct vnet_rx *r)
{
	struct vnet_pair *p = r->pair;

	r->next = NULL;
	if (p->rx_first)
		p->rx_last->next = r;
	else
		p->rx_first = r;
	p->rx_last = r;
}

/* Takes the first ready slot, whose packet is dealt with. */
static struct vnet_rx *vnet_rx_take_ready(struct vnet_pair *p)
{
	struct vnet_rx *r = p->rx_first;

	p->rx_first = r->next;
	p->nparts = p->part_slots = 0;
	p->placed = 0;
	return r;
}

/* Gives the driver its buffers back as if they had not been taken. */
static void vnet_rx_unplace(struct vnet_pair *p)
{
	while (p->nparts) {
		const struct vnet_part *part = &p->parts[--p->nparts];
		struct chain c = {.id = part->id, .ndesc = part->ndesc};

		virtq_unpop(p->rxq, &c);
	}
	p->part_slots = 0;
	p->placed = 0;
}

/* Next buffer of the driver's: 1; 0: none now; negative: the driver is broken. */
static int vnet_rx_pop(struct vnet_pair *p, struct chain *c)
{
	struct virtio_dev *vd = &p->vn->vdev;
	int rc;

	c->iov = p->nparts ? p->more_iov : p->head_iov;
	c->iov_max = p->iov_max;
	rc = virtq_pop(p->rxq, c);
	if (unlikely(rc < 0))
		virtio_broken(vd,
			      "receive queue %u has a bad descriptor chain "
			      "(VIRTIO 1.2, 2.6)",
			      p->index);
	if (rc <= 0)
		return rc;
	if (unlikely(c->in_bytes < (p->nparts ? 1 : VNET_HDR_BYTES))) {
		virtio_broken(vd,
			      "a receive buffer of %u bytes (VIRTIO 1.2, "
			      "5.1.6.3)",
			      (unsigned)c->in_bytes);
		return -EINVAL;
	}
	return 1;
}

static void vnet_rx_add_part(struct vnet_pair *p, const struct chain *c,
			     uint32_t bytes)
{
	p->parts[p->nparts++] = (struct vnet_part){c->id, c->ndesc, bytes};
	p->part_slots += c->ndesc;
	p->placed += bytes;
}

/* All of the packet is in the driver's memory: shows it, at once. */
static void vnet_rx_publish(struct vnet_pair *p)
{
	le16 n = le16_make((uint16_t)p->nparts);

	iov_write(p->head_in, p->head_nin,
		  offsetof(struct vnet_hdr, num_buffers), &n, sizeof(n));
	for (unsigned i = 0; i < p->nparts; i++) {
		const struct vnet_part *part = &p->parts[i];
		struct chain c = {.id = part->id, .ndesc = part->ndesc};

		virtq_fill(p->rxq, &c, part->bytes);
	}
	virtq_flush(p->rxq);
}

/* The packet cannot fit, now or ever: the driver's fault. */
static int vnet_rx_too_large(struct vnet_pair *p, const struct vnet_rx *r)
{
	guest_err(&p->vn->vdev.dev,
		  "a packet of %u bytes does not fit the receive buffers "
		  "(VIRTIO 1.2, 5.1.6.3.1)",
		  (unsigned)r->bytes);
	vnet_rx_unplace(p);
	return 1;
}

/*
 * Puts the packet, or the rest of it, into buffers of the driver's: 1 when it
 * is dealt with, 0 when more buffers are needed, negative when the driver is
 * broken.
 */
static int vnet_rx_place(struct vnet_pair *p, const struct vnet_rx *r)
{
	while (p->placed < r->bytes) {
		uint32_t rest = r->bytes - p->placed, n;
		struct chain c;
		int rc = vnet_rx_pop(p, &c);

		if (!rc && p->part_slots >= p->rxq->size)
			return vnet_rx_too_large(p, r);
		if (rc <= 0)
			return rc;
		n = (uint32_t)MIN(c.in_bytes, (uint64_t)rest);
		iov_write(c.in, c.nin, 0, r->buf + p->placed, n);
		if (likely(n == r->bytes)) {
			virtq_push(p->rxq, &c, n);
			return 1;
		}
		if (!p->nparts) {
			p->head_in = c.in;
			p->head_nin = c.nin;
		}
		vnet_rx_add_part(p, &c, n);
		if (!virtio_has(&p->vn->vdev, VIRTIO_NET_F_MRG_RXBUF))
			return vnet_rx_too_large(p, r);
	}
	vnet_rx_publish(p);
	return 1;
}

/* Delivers what is ready: false if the driver's buffers ran out. */
static bool vnet_rx_deliver(struct vnet_pair *p)
{
	while (p->rx_first) {
		struct vnet_rx *r;

		if (vnet_rx_place(p, p->rx_first) <= 0)
			return false;
		r = vnet_rx_take_ready(p);
		if (p->is_receiving)
			vnet_rx_offer(r);
		else
			vnet_rx_put_idle(r);
	}
	return true;
}

/*
 * 5.1.6.4.1: a header says nothing that the driver did not accept. A packet
 * that is not complete without, which the back end has had since another
 * driver was there, is lost.
 */
static bool vnet_rx_judge_header(const struct vnet *vn, uint8_t *buf)
{
	unsigned known =
		VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	struct vnet_hdr h;

	memcpy(&h, buf, sizeof(h));
	if (!virtio_has(&vn->vdev, VIRTIO_NET_F_GUEST_CSUM)) {
		if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			return false;
		known = 0;
	}
	h.flags &= (uint8_t)known;
	h.num_buffers = le16_make(1);
	memcpy(buf, &h, sizeof(h));
	return h.gso_type == VIRTIO_NET_HDR_GSO_NONE ||
	       vnet_gso_is_among(vn->rx_gso_types, h.gso_type);
}

/* Is there a packet that the driver should have? */
static bool vnet_rx_is_wanted(struct vnet_rx *r)
{
	const struct vnet *vn = r->pair->vn;

	return r->bytes >= VNET_HDR_BYTES + VNET_ETH_BYTES &&
	       atomic_load_explicit(&vn->link_up, memory_order_relaxed) &&
	       vnet_filter_accepts(vn, r->buf + VNET_HDR_BYTES) &&
	       vnet_rx_judge_header(vn, r->buf);
}

/* The host fails the read. What comes back by link_changed(), or is asked for
 * by a driver that begins anew, is tried again; a kick is no reason. */
static void vnet_rx_failed(struct vnet_pair *p, int rc)
{
	char label[128];

	if (p->is_receiving)
		log_on(LOG_IO, "%s: receiving stops: %s",
		       device_label(&p->vn->vdev.dev, label, sizeof(label)),
		       strerror(-rc));
	p->is_receiving = false;
	p->rx_has_failed = true;
}

static void vnet_rx_received(struct net_rx *io, int result)
{
	struct vnet_rx *r = container_of(io, struct vnet_rx, io);
	struct vnet_pair *p = r->pair;
	bool is_stalled = p->rx_first;

	if (unlikely(result < 0)) {
		if (result != -ECANCELED)
			vnet_rx_failed(p, result);
		vnet_rx_put_idle(r);
		return;
	}
	r->bytes = (uint32_t)result;
	if (!vnet_rx_is_wanted(r)) {
		if (p->is_receiving)
			vnet_rx_offer(r);
		else
			vnet_rx_put_idle(r);
		return;
	}
	vnet_rx_put_ready(r);
	if (is_stalled || !p->is_receiving)
		return;
	if (unlikely(!vnet_rx_deliver(p))) {
		virtio_serve(&p->vn->vdev, p->rxq); /* asks for a kick */
		return;
	}
	loop_post(p->vn->vdev.loop, &p->notify);
	if (unlikely(p->rx_wants_kick))
		virtq_want_kick(p->rxq, false);
	p->rx_wants_kick = false;
}

/* Offers all idle buffers to the back end. */
static void vnet_rx_start(struct vnet_pair *p)
{
	p->is_receiving = true;
	while (p->rx_idle) {
		struct vnet_rx *r = p->rx_idle;

		p->rx_idle = r->next;
		vnet_rx_offer(r);
	}
}

void vnet_rx_serve(struct vnet_pair *p)
{
	if (!p->is_receiving && !p->rx_has_failed)
		vnet_rx_start(p);
	p->rx_wants_kick = true; /* the core's doing, behind us */
	vnet_rx_deliver(p);
	virtq_notify(p->rxq);
}

void vnet_pair_drain(struct vnet_pair *p)
{
	p->is_receiving = false;
	net_drain(p->vn->net, p->index);
	vnet_rx_unplace(p);
	/* Now: the queues may be another thread's before the task runs. */
	loop_task_cancel(p->vn->vdev.loop, &p->notify);
	virtq_notify(p->rxq);
	virtq_notify(p->txq);
}

void vnet_rx_forget(struct vnet_pair *p)
{
	while (p->rx_first)
		vnet_rx_put_idle(vnet_rx_take_ready(p));
	p->rx_has_failed = false;
}

int vnet_rx_init(struct vnet_pair *p, struct err *e)
{
	unsigned size = p->vn->rx_queue_size;

	p->iov_max = MAX(size, (unsigned)p->vn->tx_queue_size) + VNET_IOV_EXTRA;
	p->rx_bufs = malloc(VNET_RX_SLOTS * VNET_RX_BUF_BYTES);
	p->parts = calloc(size, sizeof(*p->parts));
	p->head_iov = calloc(2UL * p->iov_max, sizeof(*p->head_iov));
	if (!p->rx_bufs || !p->parts || !p->head_iov)
		return err_set(e, -ENOMEM, "no memory for receive queue %u",
			       p->index);
	p->more_iov = p->head_iov + p->iov_max;
	for (unsigned i = 0; i < VNET_RX_SLOTS; i++) {
		struct vnet_rx *r = &p->rx[i];

		r->pair = p;
		r->buf = p->rx_bufs + i * VNET_RX_BUF_BYTES;
		r->iov = (struct iovec){r->buf, VNET_RX_BUF_BYTES};
		r->io.iov = &r->iov;
		r->io.niov = 1;
		r->io.received = vnet_rx_received;
		vnet_rx_put_idle(r);
	}
	return 0;
}

void vnet_rx_fini(struct vnet_pair *p)
{
	free(p->rx_bufs);
	free(p->parts);
	free(p->head_iov);
}
