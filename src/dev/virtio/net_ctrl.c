/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net, control: the commands of the control queue and the receive
 * filter that most of them set.
 *
 * Spec: VIRTIO 1.2, 5.1.6.5 (control virtqueue).
 * Threads: the device's loop.
 * State: struct vnet_filter, pairs_used, guest_offloads, mac.
 */
#include <string.h>

#include "base/num.h"
#include "bus/iov.h"
#include "dev/virtio/net.h"

/* 5.1.6.5: classes and commands. */
#define VIRTIO_NET_CTRL_RX                 0
#define VIRTIO_NET_CTRL_RX_PROMISC         0
#define VIRTIO_NET_CTRL_RX_ALLMULTI        1
#define VIRTIO_NET_CTRL_RX_ALLUNI          2
#define VIRTIO_NET_CTRL_RX_NOMULTI         3
#define VIRTIO_NET_CTRL_RX_NOUNI           4
#define VIRTIO_NET_CTRL_RX_NOBCAST         5
#define VIRTIO_NET_CTRL_MAC                1
#define VIRTIO_NET_CTRL_MAC_TABLE_SET      0
#define VIRTIO_NET_CTRL_MAC_ADDR_SET       1
#define VIRTIO_NET_CTRL_VLAN               2
#define VIRTIO_NET_CTRL_VLAN_ADD           0
#define VIRTIO_NET_CTRL_VLAN_DEL           1
#define VIRTIO_NET_CTRL_MQ                 4
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET    0
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS     5
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0

#define VIRTIO_NET_OK  0
#define VIRTIO_NET_ERR 1

#define ETH_VLAN 0x8100U

/* A command's data, behind class and command. */
struct vnet_cmd {
	const struct iovec *iov;
	unsigned niov;
	uint64_t bytes;
	uint8_t cmd;
};

#define VNET_CMD_BYTES 2U /* class and command */

/* Copies n bytes of data from `off` on; false where it is shorter. */
static bool vnet_cmd_get(const struct vnet_cmd *c, uint64_t off, void *buf,
			 size_t n)
{
	return range_ok(off, n, c->bytes) &&
	       iov_read(c->iov, c->niov, VNET_CMD_BYTES + off, buf, n) == n;
}

/* The data is exactly n bytes. */
static bool vnet_cmd_is(const struct vnet_cmd *c, void *buf, size_t n)
{
	return c->bytes == n && vnet_cmd_get(c, 0, buf, n);
}

/* The filter. */

void vnet_filter_reset(struct vnet_filter *f)
{
	memset(f, 0, sizeof(*f));
	f->promisc = true; /* until the driver says otherwise */
}

static bool vnet_filter_has(const struct vnet_filter *f, unsigned first,
			    unsigned n, const uint8_t *mac)
{
	for (unsigned i = first; i < first + n; i++)
		if (!memcmp(f->macs[i], mac, sizeof(f->macs[i])))
			return true;
	return false;
}

static bool vnet_filter_has_vlan(const struct vnet *vn, const uint8_t *frame)
{
	unsigned type = (unsigned)frame[12] << 8 | frame[13];
	unsigned id = ((unsigned)frame[14] << 8 | frame[15]) % VNET_VLANS;

	return type != ETH_VLAN || vn->filter.vlans[id / 8] >> (id % 8) & 1;
}

static bool vnet_filter_accepts_group(const struct vnet_filter *f,
				      const uint8_t *mac)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff,
					     0xff, 0xff, 0xff};

	if (!memcmp(mac, broadcast, sizeof(broadcast)))
		return !f->nobcast;
	if (f->nomulti)
		return false;
	return f->allmulti || f->multi_overflow ||
	       vnet_filter_has(f, f->nuni, f->nmulti, mac);
}

bool vnet_filter_accepts(const struct vnet *vn, const uint8_t *frame)
{
	const struct vnet_filter *f = &vn->filter;

	/* 5.1.6.5.1.1: whatever else is on; a guest that bridges has VLANs that
	 * it does not know of. */
	if (f->promisc)
		return true;
	if (virtio_has(&vn->vdev, VIRTIO_NET_F_CTRL_VLAN) &&
	    !vnet_filter_has_vlan(vn, frame))
		return false;
	if (frame[0] & 1)
		return vnet_filter_accepts_group(f, frame);
	if (f->nouni)
		return false;
	return !memcmp(frame, vn->mac, sizeof(vn->mac)) || f->alluni ||
	       f->uni_overflow || vnet_filter_has(f, 0, f->nuni, frame);
}

/* Commands: true if it was carried out. */

static bool vnet_ctrl_rx(struct vnet *vn, const struct vnet_cmd *c)
{
	struct vnet_filter *f = &vn->filter;
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &f->promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &f->alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &f->nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &f->nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &f->nobcast,
	};
	uint8_t on;

	if (!vnet_cmd_is(c, &on, sizeof(on)))
		return false;
	*modes[c->cmd] = on;
	return true;
}

/*
 * One of the two tables of MAC_TABLE_SET, at *off of the data, behind the
 * nbefore addresses that f has; too many for the table are an overflow, not an
 * error. Moves *off behind it.
 */
static bool vnet_ctrl_table(struct vnet_filter *f, const struct vnet_cmd *c,
			    uint64_t *off, unsigned nbefore, uint8_t *ret_n,
			    bool *ret_overflow)
{
	uint64_t bytes;
	le32 count;

	if (!vnet_cmd_get(c, *off, &count, sizeof(count)))
		return false;
	*off += sizeof(count);
	bytes = 6ULL * le32_get(count);
	if (!range_ok(*off, bytes, c->bytes))
		return false;
	*ret_overflow = le32_get(count) > VNET_MACS - nbefore;
	*ret_n = *ret_overflow ? 0 : (uint8_t)le32_get(count);
	if (!vnet_cmd_get(c, *off, f->macs[nbefore], 6UL * *ret_n))
		return false;
	*off += bytes;
	return true;
}

/* 5.1.6.5.2: all of the new tables, or none. */
static bool vnet_ctrl_mac_table(struct vnet *vn, const struct vnet_cmd *c)
{
	struct vnet_filter f = vn->filter;
	uint64_t off = 0;

	if (!vnet_ctrl_table(&f, c, &off, 0, &f.nuni, &f.uni_overflow) ||
	    !vnet_ctrl_table(&f, c, &off, f.nuni, &f.nmulti,
			     &f.multi_overflow) ||
	    off != c->bytes)
		return false;
	vn->filter = f;
	return true;
}

static bool vnet_ctrl_mac_addr(struct vnet *vn, const struct vnet_cmd *c)
{
	uint8_t mac[6];

	if (!vnet_cmd_is(c, mac, sizeof(mac)))
		return false;
	pthread_mutex_lock(&vn->vdev.dev.lock);
	memcpy(vn->mac, mac, sizeof(vn->mac));
	pthread_mutex_unlock(&vn->vdev.dev.lock);
	return true;
}

static bool vnet_ctrl_vlan(struct vnet *vn, const struct vnet_cmd *c)
{
	unsigned id;
	le16 wire;

	if (!vnet_cmd_is(c, &wire, sizeof(wire)))
		return false;
	id = le16_get(wire);
	if (id >= VNET_VLANS)
		return false;
	if (c->cmd == VIRTIO_NET_CTRL_VLAN_ADD)
		vn->filter.vlans[id / 8] |= (uint8_t)BIT(id % 8);
	else
		vn->filter.vlans[id / 8] &= (uint8_t)~BIT(id % 8);
	return true;
}

static bool vnet_ctrl_mq(struct vnet *vn, const struct vnet_cmd *c)
{
	le16 n;

	if (!vnet_cmd_is(c, &n, sizeof(n)))
		return false;
	return le16_get(n) >= 1 && le16_get(n) <= vn->npairs &&
	       !vnet_use_pairs(vn, le16_get(n));
}

/* 5.1.6.5.6: any of the guest offloads that were negotiated. */
static bool vnet_ctrl_offloads(struct vnet *vn, const struct vnet_cmd *c)
{
	uint64_t before = vn->guest_offloads;
	le64 wire;

	if (!vnet_cmd_is(c, &wire, sizeof(wire)) ||
	    le64_get(wire) & ~(vn->vdev.features & VNET_GUEST_OFFLOADS))
		return false;
	vn->guest_offloads = le64_get(wire);
	if (!vnet_apply_offloads(vn))
		return true;
	vn->guest_offloads = before;
	return false;
}

static const struct vnet_command {
	uint8_t class, cmd, feature;
	bool (*run)(struct vnet *vn, const struct vnet_cmd *c);
} vnet_commands[] = {
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_F_CTRL_RX,
	 vnet_ctrl_rx},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_F_CTRL_RX,
	 vnet_ctrl_rx},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI,
	 VIRTIO_NET_F_CTRL_RX_EXTRA, vnet_ctrl_rx},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOMULTI,
	 VIRTIO_NET_F_CTRL_RX_EXTRA, vnet_ctrl_rx},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOUNI,
	 VIRTIO_NET_F_CTRL_RX_EXTRA, vnet_ctrl_rx},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST,
	 VIRTIO_NET_F_CTRL_RX_EXTRA, vnet_ctrl_rx},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
	 VIRTIO_NET_F_CTRL_RX, vnet_ctrl_mac_table},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
	 VIRTIO_NET_F_CTRL_MAC_ADDR, vnet_ctrl_mac_addr},
	{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_F_CTRL_VLAN,
	 vnet_ctrl_vlan},
	{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, VIRTIO_NET_F_CTRL_VLAN,
	 vnet_ctrl_vlan},
	{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_F_MQ,
	 vnet_ctrl_mq},
	{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
	 VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, vnet_ctrl_offloads},
};

static bool vnet_ctrl_run(struct vnet *vn, const struct chain *ch)
{
	struct vnet_cmd c = {
		.iov = ch->out,
		.niov = ch->nout,
		.bytes = ch->out_bytes - VNET_CMD_BYTES,
	};
	uint8_t head[VNET_CMD_BYTES];

	iov_read(ch->out, ch->nout, 0, head, sizeof(head));
	c.cmd = head[1];
	for (unsigned i = 0; i < ARRAY_SIZE(vnet_commands); i++) {
		const struct vnet_command *row = &vnet_commands[i];

		if (row->class == head[0] && row->cmd == head[1] &&
		    virtio_has(&vn->vdev, row->feature))
			return row->run(vn, &c);
	}
	guest_err(&vn->vdev.dev,
		  "control class %u has no command %u that was negotiated "
		  "(VIRTIO 1.2, 5.1.6.5)",
		  head[0], head[1]);
	return false;
}

void vnet_ctrl_serve(struct vnet *vn, struct virtq *vq)
{
	struct chain c = {.iov = vn->ctrl_iov, .iov_max = VNET_CTRL_IOV};
	unsigned budget = vq->size;
	int rc = 0;

	while (budget-- && (rc = virtq_pop(vq, &c)) > 0) {
		uint8_t ack;

		if (c.out_bytes < VNET_CMD_BYTES || !c.in_bytes) {
			rc = -1;
			break;
		}
		ack = vnet_ctrl_run(vn, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		iov_write(c.in, c.nin, 0, &ack, sizeof(ack));
		virtq_push(vq, &c, sizeof(ack));
	}
	if (rc < 0)
		virtio_broken(&vn->vdev, "bad chain in the control queue "
					 "(VIRTIO 1.2, 5.1.6.5)");
	virtq_notify(vq);
}
