/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: a network card, served from one network back end.
 *
 * Spec: VIRTIO 1.2, 5.1 (network device).
 * Threads: queues and completions on the device's loop; configuration space
 *       on any thread under the device's lock.
 * State: what the driver set by the control queue.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "bus/mac.h"
#include "dev/virtio/net.h"

#define VIRTIO_ID_NET 1U

#define VIRTIO_NET_S_LINK_UP 1U

#define VNET_MTU_MIN      68U /* 5.1.4.1 */
#define VNET_MTU_ETHERNET 1500U

enum vnet_duplex { VNET_DUPLEX_UNKNOWN, VNET_DUPLEX_HALF, VNET_DUPLEX_FULL };

static const char *const vnet_duplex_names[] = {"unknown", "half", "full",
						NULL};

struct virtio_net_config {
	uint8_t mac[6];
	le16 status;
	le16 max_virtqueue_pairs;
	le16 mtu;
	le32 speed; /* Mbit/s */
	uint8_t duplex;
	uint8_t rss[3]; /* not offered */
	le32 supported_hash_types;
};
static_assert(sizeof(struct virtio_net_config) == 24, "VIRTIO 1.2, 5.1.4");

/* Features. */

/* A feature of the class, the property that allows it, the features that it
 * needs (5.1.3.1), and the offloads that the back end must have for it. */
static const struct vnet_feature {
	uint8_t bit;
	size_t prop;
	uint64_t needs;
	unsigned offloads;
} vnet_features_table[] = {
#define ROW(feature, prop, needs, offloads)                                    \
	{                                                                      \
		VIRTIO_NET_F_##feature, offsetof(struct vnet, prop), needs,    \
			offloads                                               \
	}
#define CSUM       BIT(VIRTIO_NET_F_CSUM)
#define GUEST_CSUM BIT(VIRTIO_NET_F_GUEST_CSUM)
#define CTRL_VQ    BIT(VIRTIO_NET_F_CTRL_VQ)
	/* In an order such that what is needed comes before. */
	ROW(CSUM, csum, 0, NET_CSUM),
	ROW(GUEST_CSUM, guest_csum, 0, NET_CSUM),
	ROW(GSO, gso, CSUM, NET_TSO4 | NET_TSO6 | NET_ECN),
	ROW(HOST_TSO4, host_tso4, CSUM, NET_TSO4),
	ROW(HOST_TSO6, host_tso6, CSUM, NET_TSO6),
	ROW(HOST_ECN, host_ecn, CSUM, NET_ECN),
	ROW(HOST_UFO, host_ufo, CSUM, NET_UFO),
	ROW(HOST_USO, host_uso, CSUM, NET_USO4 | NET_USO6),
	ROW(GUEST_TSO4, guest_tso4, GUEST_CSUM, NET_TSO4),
	ROW(GUEST_TSO6, guest_tso6, GUEST_CSUM, NET_TSO6),
	ROW(GUEST_ECN, guest_ecn, GUEST_CSUM, NET_ECN),
	ROW(GUEST_UFO, guest_ufo, GUEST_CSUM, NET_UFO),
	ROW(GUEST_USO4, guest_uso4, GUEST_CSUM, NET_USO4),
	ROW(GUEST_USO6, guest_uso6, GUEST_CSUM, NET_USO6),
	ROW(MRG_RXBUF, mrg_rxbuf, 0, 0),
	ROW(STATUS, status, 0, 0),
	ROW(CTRL_VQ, ctrl_vq, 0, 0),
	ROW(CTRL_RX, ctrl_rx, CTRL_VQ, 0),
	ROW(CTRL_RX_EXTRA, ctrl_rx_extra, CTRL_VQ, 0),
	ROW(CTRL_VLAN, ctrl_vlan, CTRL_VQ, 0),
	ROW(CTRL_MAC_ADDR, ctrl_mac_addr, CTRL_VQ, 0),
	ROW(CTRL_GUEST_OFFLOADS, ctrl_guest_offloads, CTRL_VQ | GUEST_CSUM, 0),
#undef CTRL_VQ
#undef GUEST_CSUM
#undef CSUM
#undef ROW
};

static uint64_t vnet_features(struct virtio_dev *vd)
{
	const struct vnet *vn = vnet_of(vd);
	const struct net_backend *net = vn->netdev.ptr;
	unsigned have = net->caps.vnet_hdr ? net->caps.offloads : 0;
	uint64_t f = BIT(VIRTIO_NET_F_MAC);

	for (unsigned i = 0; i < ARRAY_SIZE(vnet_features_table); i++) {
		const struct vnet_feature *row = &vnet_features_table[i];
		bool is_allowed = *(const bool *)((const char *)vn + row->prop);

		if (is_allowed && !(row->needs & ~f) &&
		    !(row->offloads & ~have))
			f |= BIT(row->bit);
	}
	if (vn->npairs > 1)
		f |= BIT(VIRTIO_NET_F_MQ);
	if (vn->mtu)
		f |= BIT(VIRTIO_NET_F_MTU);
	if (vn->speed >= 0 || vn->duplex != VNET_DUPLEX_UNKNOWN)
		f |= BIT(VIRTIO_NET_F_SPEED_DUPLEX);
	return f;
}

static void vnet_config_read(struct virtio_dev *vd, void *buf)
{
	const struct vnet *vn = vnet_of(vd);
	bool up = atomic_load_explicit(&vn->link_up, memory_order_relaxed);
	struct virtio_net_config c = {
		.status = le16_make(up ? VIRTIO_NET_S_LINK_UP : 0),
		.max_virtqueue_pairs = le16_make((uint16_t)vn->npairs),
		.mtu = le16_make(vn->mtu),
		.speed = le32_make((uint32_t)vn->speed),
		.duplex = vn->duplex == VNET_DUPLEX_UNKNOWN
				  ? UINT8_MAX
				  : (uint8_t)(vn->duplex - VNET_DUPLEX_HALF),
	};

	memcpy(c.mac, vn->mac, sizeof(c.mac));
	memcpy(buf, &c, sizeof(c));
}

/* Offloads and pairs. */

int vnet_apply_offloads(struct vnet *vn)
{
	static const struct {
		uint8_t feature;
		unsigned offload;
	} rows[] = {
		{VIRTIO_NET_F_GUEST_CSUM, NET_CSUM},
		{VIRTIO_NET_F_GUEST_TSO4, NET_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, NET_TSO6},
		{VIRTIO_NET_F_GUEST_ECN, NET_ECN},
		{VIRTIO_NET_F_GUEST_UFO, NET_UFO},
		{VIRTIO_NET_F_GUEST_USO4, NET_USO4},
		{VIRTIO_NET_F_GUEST_USO6, NET_USO6},
	};
	unsigned offloads = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (vn->guest_offloads >> rows[i].feature & 1)
			offloads |= rows[i].offload;
	return vn->net->caps.vnet_hdr ? net_set_offloads(vn->net, offloads) : 0;
}

/* Begins to receive, also where a failing read had stopped it. */
static void vnet_start(struct vnet *vn)
{
	for (unsigned i = 0; i < vn->pairs_used; i++) {
		vn->pairs[i].rx_has_failed = false;
		virtio_serve(&vn->vdev, vn->pairs[i].rxq);
	}
}

int vnet_use_pairs(struct vnet *vn, unsigned n)
{
	int rc;

	for (unsigned i = n; i < vn->pairs_used; i++) {
		vnet_pair_drain(&vn->pairs[i]);
		vnet_rx_forget(&vn->pairs[i]);
	}
	rc = net_set_queues(vn->net, n);
	if (!rc)
		vn->pairs_used = (uint16_t)n;
	vnet_start(vn);
	return rc;
}

struct vnet_gso_row {
	uint8_t feature, type;
};

static uint32_t vnet_gso_types(const struct vnet *vn,
			       const struct vnet_gso_row *rows, size_t n)
{
	uint32_t types = 0;

	for (size_t i = 0; i < n; i++)
		if (virtio_has(&vn->vdev, rows[i].feature))
			types |= (uint32_t)BIT(rows[i].type);
	return types;
}

static void vnet_derive(struct vnet *vn)
{
	static const struct vnet_gso_row tx[] = {
		{VIRTIO_NET_F_GSO, VIRTIO_NET_HDR_GSO_TCPV4},
		{VIRTIO_NET_F_GSO, VIRTIO_NET_HDR_GSO_TCPV6},
		{VIRTIO_NET_F_GSO, VNET_GSO_ECN},
		{VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_HDR_GSO_TCPV4},
		{VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_HDR_GSO_TCPV6},
		{VIRTIO_NET_F_HOST_ECN, VNET_GSO_ECN},
		{VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_HDR_GSO_UDP},
		{VIRTIO_NET_F_HOST_USO, VIRTIO_NET_HDR_GSO_UDP_L4},
	};
	static const struct vnet_gso_row rx[] = {
		{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_HDR_GSO_TCPV4},
		{VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_HDR_GSO_TCPV6},
		{VIRTIO_NET_F_GUEST_ECN, VNET_GSO_ECN},
		{VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_HDR_GSO_UDP},
		{VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_HDR_GSO_UDP_L4},
		{VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_HDR_GSO_UDP_L4},
	};

	vn->tx_gso_types = vnet_gso_types(vn, tx, ARRAY_SIZE(tx));
	vn->rx_gso_types = vnet_gso_types(vn, rx, ARRAY_SIZE(rx));
}

/* Brings the back end to what driver and state ask for. */
static int vnet_apply(struct vnet *vn)
{
	int rc = vnet_apply_offloads(vn);

	vnet_derive(vn);
	return rc ? rc : net_set_queues(vn->net, vn->pairs_used);
}

/* Queues. */

/* 5.1.2: the control queue comes behind the pairs that the driver knows of. */
static unsigned vnet_ctrl_index(const struct vnet *vn)
{
	return virtio_has(&vn->vdev, VIRTIO_NET_F_MQ) ? 2 * vn->npairs : 2;
}

static void vnet_handle_queue(struct virtio_dev *vd, struct virtq *vq)
{
	struct vnet *vn = vnet_of(vd);
	struct vnet_pair *p = &vn->pairs[vq->index / 2];

	if (vq->index == vnet_ctrl_index(vn) &&
	    virtio_has(vd, VIRTIO_NET_F_CTRL_VQ))
		vnet_ctrl_serve(vn, vq);
	else if (vq->index / 2U >= vn->pairs_used)
		return;
	else if (vq == p->txq)
		vnet_tx_serve(p);
	else
		vnet_rx_serve(p);
}

/* Behind the completions of one turn of the loop. */
static void vnet_notify(struct loop_task *t)
{
	struct vnet_pair *p = container_of(t, struct vnet_pair, notify);

	virtq_notify(p->rxq);
	virtq_notify(p->txq);
}

/* Once: the driver may try as often as it likes. */
static void vnet_warn_refused(struct vnet *vn, int rc)
{
	char label[128];

	if (vn->has_warned)
		return;
	vn->has_warned = true;
	log_warn("%s: the back end refuses the guest's offloads: %s",
		 device_label(&vn->vdev.dev, label, sizeof(label)),
		 strerror(-rc));
}

static void vnet_activate(struct virtio_dev *vd)
{
	struct vnet *vn = vnet_of(vd);
	int rc;

	vn->pairs_used = 1;
	vn->guest_offloads = vd->features & VNET_GUEST_OFFLOADS;
	rc = vnet_apply(vn);
	if (rc)
		vnet_warn_refused(vn, rc);
}

static void vnet_drain(struct virtio_dev *vd)
{
	struct vnet *vn = vnet_of(vd);

	for (unsigned i = 0; i < vn->nbound; i++)
		vnet_pair_drain(&vn->pairs[i]);
}

static void vnet_vreset(struct virtio_dev *vd)
{
	struct vnet *vn = vnet_of(vd);

	for (unsigned i = 0; i < vn->nbound; i++)
		vnet_rx_forget(&vn->pairs[i]);
	memcpy(vn->mac, vn->mac_conf.b, sizeof(vn->mac));
	vn->pairs_used = 1;
	vn->guest_offloads = 0;
	vn->tx_gso_types = vn->rx_gso_types = 0;
	vnet_filter_reset(&vn->filter);
}

/* Drained, and the core has the other queues served again. */
static void vnet_queue_reset(struct virtio_dev *vd, struct virtq *vq)
{
	struct vnet *vn = vnet_of(vd);

	for (unsigned i = 0; i < vn->npairs; i++)
		if (vn->pairs[i].rxq == vq)
			vnet_rx_forget(&vn->pairs[i]);
}

/* The link. */

static void vnet_link_task(struct loop_task *t)
{
	struct vnet *vn = container_of(t, struct vnet, link_task);

	if (virtio_is_live(&vn->vdev) &&
	    atomic_load_explicit(&vn->link_up, memory_order_relaxed))
		vnet_start(vn);
}

static void vnet_link_changed(void *opaque, bool up)
{
	struct vnet *vn = opaque;

	atomic_store_explicit(&vn->link_up, up, memory_order_relaxed);
	virtio_config_changed(&vn->vdev);
	loop_post(vn->vdev.loop, &vn->link_task);
}

/* Attach. */

static int vnet_check_size(const char *name, unsigned size, struct err *e)
{
	if (is_pow2(size))
		return 0;
	return err_set(e, -EINVAL, "%s=%u is not a power of two", name, size);
}

static int vnet_check_props(struct vnet *vn, struct err *e)
{
	const struct net_backend *net = vn->netdev.ptr;
	int rc = vnet_check_size("rx_queue_size", vn->rx_queue_size, e);

	if (!rc)
		rc = vnet_check_size("tx_queue_size", vn->tx_queue_size, e);
	if (rc)
		return rc;
	vn->npairs = vn->mq && vn->ctrl_vq ? MAX(net->caps.queues, 1U) : 1;
	if (vn->npairs > VNET_PAIRS_MAX)
		return err_set(e, -EINVAL,
			       "netdev '%s' has %u queues: at most %u can be "
			       "used",
			       net->id, vn->npairs, VNET_PAIRS_MAX);
	if (vn->host_mtu && vn->host_mtu < VNET_MTU_MIN)
		return err_set(e, -EINVAL, "host_mtu=%u is less than %u",
			       vn->host_mtu, VNET_MTU_MIN);
	vn->mtu = vn->host_mtu;
	/* A host interface that is not like any other: the guest is told. */
	if (!vn->mtu && net->caps.mtu >= VNET_MTU_MIN &&
	    net->caps.mtu <= UINT16_MAX && net->caps.mtu != VNET_MTU_ETHERNET)
		vn->mtu = (uint16_t)net->caps.mtu;
	return 0;
}

static int vnet_pair_init(struct vnet *vn, unsigned index, struct err *e)
{
	struct vnet_pair *p = &vn->pairs[index];
	int rc;

	p->vn = vn;
	p->index = index;
	p->rxq = &vn->vdev.vqs[2 * index];
	p->txq = &vn->vdev.vqs[2 * index + 1];
	p->rxq->size = p->rxq->size_max = vn->rx_queue_size;
	p->txq->size = p->txq->size_max = vn->tx_queue_size;
	p->notify.run = vnet_notify;
	rc = vnet_rx_init(p, e);
	return rc ? rc : vnet_tx_init(p, e);
}

static int vnet_init_queues(struct vnet *vn, struct err *e)
{
	int rc = 0;

	vn->pairs = calloc(vn->npairs, sizeof(*vn->pairs));
	vn->ctrl_iov = calloc(VNET_CTRL_IOV, sizeof(*vn->ctrl_iov));
	if (!vn->pairs || !vn->ctrl_iov)
		return err_set(e, -ENOMEM, "no memory for %u queue pairs",
			       vn->npairs);
	for (unsigned i = 0; i < vn->npairs && !rc; i++)
		rc = vnet_pair_init(vn, i, e);
	return rc;
}

static int vnet_claim(struct vnet *vn, struct err *e)
{
	struct net_backend *net = vn->netdev.ptr;
	char label[128];
	int rc;

	rc = net_claim(net, device_label(&vn->vdev.dev, label, sizeof(label)),
		       e);
	if (rc)
		return rc;
	vn->net = net;
	rc = net_set_hdr_len(net, VNET_HDR_BYTES);
	if (rc)
		return err_set_errno(e, rc,
				     "netdev '%s' does not take packet "
				     "headers of %zu bytes",
				     net->id, VNET_HDR_BYTES);
	for (; vn->nbound < vn->npairs; vn->nbound++) {
		rc = net_bind(net, vn->nbound, vn->vdev.loop, e);
		if (rc)
			return rc;
	}
	vn->link_task.run = vnet_link_task;
	net->link_changed = vnet_link_changed;
	net->opaque = vn;
	atomic_store_explicit(&vn->link_up, net->link_up, memory_order_relaxed);
	return 0;
}

static int vnet_attach(struct device *d, struct err *e)
{
	struct vnet *vn = container_of(d, struct vnet, vdev.dev);
	int rc = vnet_check_props(vn, e);

	if (!rc)
		rc = mac_take(d->board, &vn->mac_conf, e);
	vn->has_mac = !rc;
	if (!rc)
		rc = virtio_attach(&vn->vdev, 2 * vn->npairs + vn->ctrl_vq, e);
	if (rc)
		return rc;
	if (vn->ctrl_vq) {
		struct virtq *vq = &vn->vdev.vqs[2 * vn->npairs];

		vq->size = vq->size_max = VNET_CTRL_SIZE;
	}
	rc = vnet_init_queues(vn, e);
	if (!rc)
		rc = vnet_claim(vn, e);
	if (!rc)
		vnet_vreset(&vn->vdev);
	return rc;
}

static void vnet_free_queues(struct vnet *vn)
{
	for (unsigned i = 0; vn->pairs && i < vn->npairs; i++) {
		loop_task_cancel(vn->vdev.loop, &vn->pairs[i].notify);
		vnet_rx_fini(&vn->pairs[i]);
		vnet_tx_fini(&vn->pairs[i]);
	}
	free(vn->pairs);
	free(vn->ctrl_iov);
	vn->pairs = NULL;
	vn->ctrl_iov = NULL;
}

static void vnet_detach(struct device *d)
{
	struct vnet *vn = container_of(d, struct vnet, vdev.dev);

	virtio_detach(&vn->vdev);
	if (vn->net) {
		vn->net->link_changed = NULL;
		loop_task_cancel(vn->vdev.loop, &vn->link_task);
		while (vn->nbound)
			net_unbind(vn->net, --vn->nbound);
		net_release(vn->net);
	}
	vn->net = NULL;
	vnet_free_queues(vn);
	if (vn->has_mac)
		mac_release(d->board, &vn->mac_conf);
	vn->has_mac = false;
}

static int vnet_loaded(struct device *d, struct err *e)
{
	struct vnet *vn = container_of(d, struct vnet, vdev.dev);
	const struct vnet_filter *f = &vn->filter;
	int rc;

	if (!vn->pairs_used || vn->pairs_used > vn->npairs ||
	    vn->guest_offloads & ~(vn->vdev.features & VNET_GUEST_OFFLOADS) ||
	    f->nuni + f->nmulti > VNET_MACS)
		return err_set(e, -EINVAL,
			       "virtio-net: the snapshot's queue pairs, "
			       "offloads or address table are out of range");
	rc = vnet_apply(vn);
	if (rc)
		return err_set_errno(e, rc,
				     "netdev '%s' cannot do what the "
				     "guest in the snapshot uses",
				     vn->net->id);
	return 0;
}

/* clang-format off */
static const struct prop vnet_props[] = {
	PROP_BACKEND_REQUIRED(struct vnet, netdev, "netdev", "netdev",
		"id of the network back end"),
	PROP_MAC(struct vnet, mac_conf, "mac",
		"address of the card; default 52:54:00:12:34:56 and up"),
	PROP_BOOL(struct vnet, mq, "mq", false,
		"as many queue pairs as the back end has"),
	PROP_BOOL(struct vnet, csum, "csum", true,
		"the host completes checksums"),
	PROP_BOOL(struct vnet, gso, "gso", true,
		"the host segments TCP, as older drivers ask for it"),
	PROP_BOOL(struct vnet, host_tso4, "host_tso4", true,
		"the host segments TCP over IPv4"),
	PROP_BOOL(struct vnet, host_tso6, "host_tso6", true,
		"the host segments TCP over IPv6"),
	PROP_BOOL(struct vnet, host_ecn, "host_ecn", true,
		"the host segments TCP with ECN"),
	PROP_BOOL(struct vnet, host_ufo, "host_ufo", true,
		"the host fragments UDP"),
	PROP_BOOL(struct vnet, host_uso, "host_uso", true,
		"the host segments UDP"),
	PROP_BOOL(struct vnet, guest_csum, "guest_csum", true,
		"the guest takes packets with incomplete checksums"),
	PROP_BOOL(struct vnet, guest_tso4, "guest_tso4", true,
		"the guest takes large TCP packets over IPv4"),
	PROP_BOOL(struct vnet, guest_tso6, "guest_tso6", true,
		"the guest takes large TCP packets over IPv6"),
	PROP_BOOL(struct vnet, guest_ecn, "guest_ecn", true,
		"the guest takes large TCP packets with ECN"),
	PROP_BOOL(struct vnet, guest_ufo, "guest_ufo", true,
		"the guest takes large UDP packets"),
	PROP_BOOL(struct vnet, guest_uso4, "guest_uso4", true,
		"the guest takes segmented UDP over IPv4"),
	PROP_BOOL(struct vnet, guest_uso6, "guest_uso6", true,
		"the guest takes segmented UDP over IPv6"),
	PROP_BOOL(struct vnet, mrg_rxbuf, "mrg_rxbuf", true,
		"a packet may span receive buffers"),
	PROP_BOOL(struct vnet, status, "status", true,
		"the guest sees the link"),
	PROP_BOOL(struct vnet, ctrl_vq, "ctrl_vq", true,
		"offer the control queue"),
	PROP_BOOL(struct vnet, ctrl_rx, "ctrl_rx", true,
		"the guest sets the receive filter"),
	PROP_BOOL(struct vnet, ctrl_rx_extra, "ctrl_rx_extra", true,
		"more modes of the receive filter"),
	PROP_BOOL(struct vnet, ctrl_vlan, "ctrl_vlan", true,
		"the guest filters VLANs"),
	PROP_BOOL(struct vnet, ctrl_mac_addr, "ctrl_mac_addr", true,
		"the guest sets its address"),
	PROP_BOOL(struct vnet, ctrl_guest_offloads, "ctrl_guest_offloads",
		true, "the guest changes its receive offloads"),
	PROP_U16(struct vnet, host_mtu, "host_mtu", 0, 0, UINT16_MAX,
		"MTU that the guest is told, 0: the host interface's"),
	PROP_U16(struct vnet, rx_queue_size, "rx_queue_size", 256,
		16, VIRTQ_SIZE_MAX, "descriptors, a power of two"),
	PROP_U16(struct vnet, tx_queue_size, "tx_queue_size", 256,
		16, VIRTQ_SIZE_MAX, "descriptors, a power of two"),
	PROP_I32(struct vnet, speed, "speed", -1, -1, INT32_MAX,
		"Mbit/s that the guest is told, -1: none"),
	PROP_ENUM(struct vnet, duplex, "duplex", VNET_DUPLEX_UNKNOWN,
		vnet_duplex_names, "what the guest is told of the link"),
	VIRTIO_PROPS(struct vnet, vdev),
	PROP_END,
};

static const struct state_field vnet_filter_state[] = {
	STATE_UINT(struct vnet_filter, promisc, 1),
	STATE_UINT(struct vnet_filter, allmulti, 1),
	STATE_UINT(struct vnet_filter, alluni, 1),
	STATE_UINT(struct vnet_filter, nomulti, 1),
	STATE_UINT(struct vnet_filter, nouni, 1),
	STATE_UINT(struct vnet_filter, nobcast, 1),
	STATE_UINT(struct vnet_filter, uni_overflow, 1),
	STATE_UINT(struct vnet_filter, multi_overflow, 1),
	STATE_UINT(struct vnet_filter, nuni, 1),
	STATE_UINT(struct vnet_filter, nmulti, 1),
	STATE_BYTES(struct vnet_filter, macs, 1),
	STATE_BYTES(struct vnet_filter, vlans, 1),
	STATE_END,
};

static const struct state_field vnet_state[] = {
	STATE_HOST(struct vnet, netdev),
	STATE_HOST(struct vnet, mac_conf),
	STATE_HOST(struct vnet, mq),
	STATE_HOST(struct vnet, csum),
	STATE_HOST(struct vnet, gso),
	STATE_HOST(struct vnet, guest_csum),
	STATE_HOST(struct vnet, guest_tso4),
	STATE_HOST(struct vnet, guest_tso6),
	STATE_HOST(struct vnet, guest_ecn),
	STATE_HOST(struct vnet, guest_ufo),
	STATE_HOST(struct vnet, guest_uso4),
	STATE_HOST(struct vnet, guest_uso6),
	STATE_HOST(struct vnet, host_tso4),
	STATE_HOST(struct vnet, host_tso6),
	STATE_HOST(struct vnet, host_ecn),
	STATE_HOST(struct vnet, host_ufo),
	STATE_HOST(struct vnet, host_uso),
	STATE_HOST(struct vnet, mrg_rxbuf),
	STATE_HOST(struct vnet, status),
	STATE_HOST(struct vnet, ctrl_vq),
	STATE_HOST(struct vnet, ctrl_rx),
	STATE_HOST(struct vnet, ctrl_rx_extra),
	STATE_HOST(struct vnet, ctrl_vlan),
	STATE_HOST(struct vnet, ctrl_mac_addr),
	STATE_HOST(struct vnet, ctrl_guest_offloads),
	STATE_HOST(struct vnet, host_mtu),
	STATE_HOST(struct vnet, rx_queue_size),
	STATE_HOST(struct vnet, tx_queue_size),
	STATE_HOST(struct vnet, speed),
	STATE_HOST(struct vnet, duplex),
	STATE_HOST(struct vnet, has_mac),
	STATE_HOST(struct vnet, has_warned),
	STATE_HOST(struct vnet, net),
	STATE_HOST(struct vnet, npairs),
	STATE_HOST(struct vnet, nbound),
	STATE_HOST(struct vnet, mtu),
	STATE_HOST(struct vnet, pairs),
	STATE_HOST(struct vnet, ctrl_iov),
	STATE_HOST(struct vnet, link_task),
	STATE_HOST(struct vnet, link_up),
	STATE_BYTES(struct vnet, mac, 1),
	STATE_UINT(struct vnet, pairs_used, 1),
	STATE_UINT(struct vnet, guest_offloads, 1),
	STATE_STRUCT(struct vnet, filter, vnet_filter_state, 1),
	STATE_DERIVED(struct vnet, tx_gso_types),
	STATE_DERIVED(struct vnet, rx_gso_types),
	STATE_END,
};
/* clang-format on */

static const struct virtio_class vnet_virtio = {
	.id = VIRTIO_ID_NET,
	.config_size = sizeof(struct virtio_net_config),
	.nqueues = 3,
	.queue_max = VIRTQ_SIZE_MAX,
	.features = vnet_features,
	.config_read = vnet_config_read,
	.activate = vnet_activate,
	.handle_queue = vnet_handle_queue,
	.drain = vnet_drain,
	.reset = vnet_vreset,
	.queue_reset = vnet_queue_reset,
};

VIREO_DEVICE(virtio_net, .name = "virtio-net-device",
	     .summary = "Virtio network device", .category = CATEGORY_NETWORK,
	     .bus = "virtio-bus", .size = sizeof(struct vnet),
	     .props = vnet_props, .state = vnet_state, .attach = vnet_attach,
	     .detach = vnet_detach, .reset = virtio_reset,
	     .pause = virtio_pause, .resume = virtio_resume,
	     .loaded = vnet_loaded, .flavour = &vnet_virtio);
