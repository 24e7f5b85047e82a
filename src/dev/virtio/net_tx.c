/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net, sending: the driver's packets to the back end, without a copy.
 *
 * Spec: VIRTIO 1.2, 5.1.6.2 (packet transmission).
 * Threads: the device's loop.
 * State: none; pausing waits for the packets under way.
 *
 * The header is copied, judged, and sent from the copy, so that a back end may
 * rely on what was checked; the rest goes out of the driver's own buffers. A
 * packet whose header breaks a rule is dropped and its buffer returned: the
 * driver cannot be told more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "bus/iov.h"
#include "dev/virtio/net.h"

/* 5.1.6.2.1: the checksum to be completed lies inside the packet. */
static bool vnet_tx_csum_ok(const struct vnet *vn, const struct vnet_hdr *h,
			    uint64_t bytes)
{
	uint32_t end = le16_get(h->csum_start) + le16_get(h->csum_offset) + 2U;

	return virtio_has(&vn->vdev, VIRTIO_NET_F_CSUM) && end <= bytes;
}

static bool vnet_tx_gso_ok(const struct vnet *vn, const struct vnet_hdr *h)
{
	return vnet_gso_is_among(vn->tx_gso_types, h->gso_type) &&
	       h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && le16_get(h->gso_size);
}

/* May the packet of that many bytes behind the header be sent? */
static bool vnet_tx_hdr_ok(const struct vnet *vn, struct vnet_hdr *h,
			   uint64_t bytes)
{
	/* 5.1.6.2.2: other flags are to be ignored. */
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->num_buffers = le16_make(0);
	if (likely(!(h->flags | h->gso_type)))
		return true;
	if (h->flags && !vnet_tx_csum_ok(vn, h, bytes))
		return false;
	return !h->gso_type || vnet_tx_gso_ok(vn, h);
}

static void vnet_tx_free(struct vnet_tx *t)
{
	t->next = t->pair->tx_free;
	t->pair->tx_free = t;
}

/* Whatever became of it: there is no status to return. */
static void vnet_tx_sent(struct net_tx *io, int result)
{
	struct vnet_tx *t = container_of(io, struct vnet_tx, io);
	struct vnet_pair *p = t->pair;

	(void)result;
	virtq_push(p->txq, &t->chain, 0);
	p->tx_in_flight--;
	vnet_tx_free(t);
	loop_post(p->vn->vdev.loop, &p->notify);
}

/*
 * Copies the header and puts the copy in its place, in front of the rest. The
 * iovecs of the chain have a free one before them. Returns their number with
 * the copy, 1 where nothing follows it.
 */
static unsigned vnet_tx_take_header(struct vnet_tx *t, struct iovec **ret_iov)
{
	struct iovec *out = t->chain.out;
	unsigned n = t->chain.nout;

	iov_read(out, n, 0, &t->hdr, sizeof(t->hdr));
	n = iov_skip(&out, n, sizeof(t->hdr));
	*--out = (struct iovec){&t->hdr, sizeof(t->hdr)};
	*ret_iov = out;
	return n + 1;
}

static bool vnet_tx_is_sendable(struct vnet_tx *t)
{
	struct vnet *vn = t->pair->vn;
	uint64_t bytes = t->chain.out_bytes - VNET_HDR_BYTES;

	if (unlikely(bytes < VNET_ETH_BYTES || bytes > VNET_PACKET_MAX ||
		     !vnet_tx_hdr_ok(vn, &t->hdr, bytes))) {
		guest_err(&vn->vdev.dev,
			  "a packet of %llu bytes with flags 0x%x, gso_type "
			  "0x%x was dropped (VIRTIO 1.2, 5.1.6.2)",
			  (unsigned long long)bytes, t->hdr.flags,
			  t->hdr.gso_type);
		return false;
	}
	return atomic_load_explicit(&vn->link_up, memory_order_relaxed);
}

/* Takes one packet: 1, 0 if there is none, negative: the driver is broken. */
static int vnet_tx_take(struct vnet_pair *p)
{
	struct virtio_dev *vd = &p->vn->vdev;
	struct vnet_tx *t = p->tx_free;
	struct iovec *iov;
	int rc;

	if (unlikely(!t))
		return 0; /* the queue holds no more than we have */
	rc = virtq_pop(p->txq, &t->chain);
	if (unlikely(rc < 0))
		virtio_broken(vd,
			      "send queue %u has a bad descriptor chain "
			      "(VIRTIO 1.2, 2.6)",
			      p->index);
	if (rc <= 0)
		return rc;
	if (unlikely(t->chain.out_bytes < VNET_HDR_BYTES)) {
		virtio_broken(vd, "a packet without header (VIRTIO 1.2, "
				  "5.1.6.2)");
		return -EINVAL;
	}
	t->io.niov = vnet_tx_take_header(t, &iov);
	t->io.iov = iov;
	if (unlikely(!vnet_tx_is_sendable(t))) {
		virtq_push(p->txq, &t->chain, 0);
		return 1;
	}
	p->tx_free = t->next;
	p->tx_in_flight++;
	net_send(p->vn->net, p->index, &t->io);
	return 1;
}

/* One ring full at most: what comes meanwhile has its turn later, and a driver
 * that never stops does not keep the loop from its other work. */
void vnet_tx_serve(struct vnet_pair *p)
{
	unsigned budget = p->txq->size;

	while (budget-- && vnet_tx_take(p) > 0)
		;
	virtq_notify(p->txq);
}

int vnet_tx_init(struct vnet_pair *p, struct err *e)
{
	unsigned n = p->vn->tx_queue_size, each = p->iov_max + 1;

	p->tx = calloc(n, sizeof(*p->tx));
	p->tx_iovs = calloc((size_t)n * each, sizeof(*p->tx_iovs));
	if (!p->tx || !p->tx_iovs)
		return err_set(e, -ENOMEM, "no memory for send queue %u",
			       p->index);
	while (n--) {
		struct vnet_tx *t = &p->tx[n];

		t->pair = p;
		t->io.sent = vnet_tx_sent;
		t->chain.iov = &p->tx_iovs[(size_t)n * each + 1];
		t->chain.iov_max = p->iov_max;
		vnet_tx_free(t);
	}
	return 0;
}

void vnet_tx_fini(struct vnet_pair *p)
{
	free(p->tx);
	free(p->tx_iovs);
}
