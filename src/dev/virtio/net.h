/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net: what its files share. net.c is the device, net_rx.c and net_tx.c
 * the two directions of a queue pair, net_ctrl.c the control queue and the
 * receive filter.
 *
 * Spec: VIRTIO 1.2, 5.1 (network device).
 * Threads: the device's loop where nothing else is said.
 */
#pragma once

#include <stdatomic.h>

#include "backend/net.h"
#include "base/endian.h"
#include "base/num.h"
#include "bus/virtio.h"

/* VIRTIO 1.2, 5.1.3 and 5.1.3.2: feature bits. */
#define VIRTIO_NET_F_CSUM                0
#define VIRTIO_NET_F_GUEST_CSUM          1
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define VIRTIO_NET_F_MTU                 3
#define VIRTIO_NET_F_MAC                 5
#define VIRTIO_NET_F_GSO                 6
#define VIRTIO_NET_F_GUEST_TSO4          7
#define VIRTIO_NET_F_GUEST_TSO6          8
#define VIRTIO_NET_F_GUEST_ECN           9
#define VIRTIO_NET_F_GUEST_UFO           10
#define VIRTIO_NET_F_HOST_TSO4           11
#define VIRTIO_NET_F_HOST_TSO6           12
#define VIRTIO_NET_F_HOST_ECN            13
#define VIRTIO_NET_F_HOST_UFO            14
#define VIRTIO_NET_F_MRG_RXBUF           15
#define VIRTIO_NET_F_STATUS              16
#define VIRTIO_NET_F_CTRL_VQ             17
#define VIRTIO_NET_F_CTRL_RX             18
#define VIRTIO_NET_F_CTRL_VLAN           19
#define VIRTIO_NET_F_CTRL_RX_EXTRA       20
#define VIRTIO_NET_F_MQ                  22
#define VIRTIO_NET_F_CTRL_MAC_ADDR       23
#define VIRTIO_NET_F_GUEST_USO4          54
#define VIRTIO_NET_F_GUEST_USO6          55
#define VIRTIO_NET_F_HOST_USO            56
#define VIRTIO_NET_F_SPEED_DUPLEX        63

/* What CTRL_GUEST_OFFLOADS turns on and off (5.1.6.5.6). */
#define VNET_GUEST_OFFLOADS                                                    \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |         \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) |          \
	 BIT(VIRTIO_NET_F_GUEST_UFO) | BIT(VIRTIO_NET_F_GUEST_USO4) |          \
	 BIT(VIRTIO_NET_F_GUEST_USO6))

#define VNET_ETH_BYTES  14U /* the header that every frame has */
/* The largest segmented packet (64 KiB of IP) with its headers. */
#define VNET_PACKET_MAX (64U * 1024 + 128)
#define VNET_RX_SLOTS   4U  /* buffers that each pair reads into */
#define VNET_MACS       64U /* entries of the filter's table */
#define VNET_VLANS      4096U
#define VNET_CTRL_SIZE  64U /* descriptors of the control queue */
#define VNET_CTRL_IOV   (VNET_CTRL_SIZE + VNET_IOV_EXTRA)
#define VNET_PAIRS_MAX  ((VIRTIO_QUEUES_MAX - 1) / 2)
#define VNET_IOV_EXTRA  10U /* memory ranges that touch inside a buffer */

/* 5.1.6: in front of each packet, both ways. */
struct vnet_hdr {
	uint8_t flags, gso_type;
	le16 hdr_len, gso_size, csum_start, csum_offset;
	le16 num_buffers;
};
#define VNET_HDR_BYTES sizeof(struct vnet_hdr)

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1U
#define VIRTIO_NET_HDR_F_DATA_VALID 2U
#define VIRTIO_NET_HDR_GSO_NONE     0U
#define VIRTIO_NET_HDR_GSO_TCPV4    1U
#define VIRTIO_NET_HDR_GSO_UDP      3U
#define VIRTIO_NET_HDR_GSO_TCPV6    4U
#define VIRTIO_NET_HDR_GSO_UDP_L4   5U
#define VIRTIO_NET_HDR_GSO_ECN      0x80U

/* A set of segmentation types: a bit each by number, and one for ECN. */
#define VNET_GSO_KINDS 6U
#define VNET_GSO_ECN   31

static inline bool vnet_gso_is_among(uint32_t types, uint8_t gso_type)
{
	unsigned kind = gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	if (kind >= VNET_GSO_KINDS || !(types & BIT(kind)))
		return false;
	return !(gso_type & VIRTIO_NET_HDR_GSO_ECN) ||
	       types & BIT(VNET_GSO_ECN);
}

struct vnet_rx {
	struct net_rx io;
	struct vnet_pair *pair;
	struct iovec iov; /* buf */
	uint8_t *buf;     /* VNET_HDR_BYTES + VNET_PACKET_MAX */
	uint32_t bytes;   /* received */
	struct vnet_rx *next;
};

struct vnet_tx {
	struct net_tx io;
	struct vnet_pair *pair;
	struct chain chain;
	struct vnet_hdr hdr; /* the copy that is sent */
	struct vnet_tx *next;
};

/* A receive buffer of the driver's that has a part of a packet. */
struct vnet_part {
	uint16_t id, ndesc;
	uint32_t bytes;
};

struct vnet_pair {
	struct vnet *vn;
	unsigned index;
	struct virtq *rxq, *txq;
	/* Receiving: each slot is idle, offered to the back end, or ready. */
	bool is_receiving, rx_wants_kick;
	bool rx_has_failed; /* not tried again before there is a reason to */
	struct vnet_rx rx[VNET_RX_SLOTS];
	uint8_t *rx_bufs;
	struct vnet_rx *rx_idle;
	struct vnet_rx *rx_first, *rx_last; /* ready, in order */
	/* The first ready packet, as far as it is in the driver's buffers. */
	struct vnet_part *parts;
	unsigned nparts, part_slots;
	uint32_t placed;
	struct iovec *head_iov, *more_iov; /* for its first and next buffer */
	struct iovec *head_in;             /* the first buffer's in part */
	unsigned head_nin, iov_max;
	/* Sending. */
	struct vnet_tx *tx;      /* as many as the queue has descriptors */
	struct iovec *tx_iovs;   /* iov_max + 1 for each of them */
	struct vnet_tx *tx_free; /* last used first */
	unsigned tx_in_flight;
	struct loop_task notify; /* the driver, of both queues */
};

/* 5.1.6.5.1-3: what the driver wants to receive. */
struct vnet_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool uni_overflow, multi_overflow; /* more than the table holds */
	uint8_t nuni, nmulti;
	uint8_t macs[VNET_MACS][6]; /* unicast, then multicast */
	uint8_t vlans[VNET_VLANS / 8];
};

struct vnet {
	struct virtio_dev vdev;
	/* Properties. */
	struct prop_link netdev;
	struct mac mac_conf;
	bool mq, csum, gso, guest_csum, guest_tso4, guest_tso6, guest_ecn,
		guest_ufo, guest_uso4, guest_uso6, host_tso4, host_tso6,
		host_ecn, host_ufo, host_uso, mrg_rxbuf, status, ctrl_vq,
		ctrl_rx, ctrl_rx_extra, ctrl_vlan, ctrl_mac_addr,
		ctrl_guest_offloads;
	uint16_t host_mtu, rx_queue_size, tx_queue_size;
	int32_t speed; /* Mbit/s, -1: unknown */
	int duplex;    /* enum vnet_duplex */
	/* Set by attach. */
	bool has_mac;            /* taken from the board */
	bool has_warned;         /* that the back end refuses */
	struct net_backend *net; /* claimed */
	unsigned npairs, nbound;
	uint16_t mtu; /* as the guest sees it; 0: not told */
	struct vnet_pair *pairs;
	struct iovec *ctrl_iov;
	struct loop_task link_task;
	_Atomic bool link_up;
	/* Now. */
	uint8_t mac[6]; /* written under the device's lock */
	uint16_t pairs_used;
	uint64_t guest_offloads; /* feature bits in effect */
	struct vnet_filter filter;
	/* Derived from the features: the segmentation types that the driver
	 * may send and receive. */
	uint32_t tx_gso_types, rx_gso_types;
};

static inline struct vnet *vnet_of(struct virtio_dev *vd)
{
	return container_of(vd, struct vnet, vdev);
}

/* Storage of a pair; half-built is fine for fini. Main. */
int vnet_rx_init(struct vnet_pair *p, struct err *e);
void vnet_rx_fini(struct vnet_pair *p);
int vnet_tx_init(struct vnet_pair *p, struct err *e);
void vnet_tx_fini(struct vnet_pair *p);

/*
 * Takes back what is under way in both directions, and the driver's receive
 * buffers; packets already read stay. Harmless if nothing is.
 */
void vnet_pair_drain(struct vnet_pair *p);
/* Forgets the packets that were read and not delivered. After a drain. */
void vnet_rx_forget(struct vnet_pair *p);
/* Begins to receive, if it does not yet; the driver has added buffers. */
void vnet_rx_serve(struct vnet_pair *p);
/* The driver has added packets. */
void vnet_tx_serve(struct vnet_pair *p);

/* The control queue. */
void vnet_ctrl_serve(struct vnet *vn, struct virtq *vq);
/* Makes the back end segment and checksum as guest_offloads says. */
int vnet_apply_offloads(struct vnet *vn);
/* Uses the first n pairs: 1…npairs. */
int vnet_use_pairs(struct vnet *vn, unsigned n);

void vnet_filter_reset(struct vnet_filter *f);
/* Does the driver want this frame (behind the header, VNET_ETH_BYTES and up)?*/
bool vnet_filter_accepts(const struct vnet *vn, const uint8_t *frame);
