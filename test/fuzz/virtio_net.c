/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes dev/virtio/net: any driver (test/lib/vfuzz.h), on a wire where
 * packets of any size and kind arrive.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net.h"
#include "base/num.h"
#include "bus/iov.h"
#include "test/fuzz/fuzz.h"
#include "test/lib/vfuzz.h"

#define HDR   12U
#define PAIRS 2U

static struct {
	struct vfuzz z;
	struct net_backend net;
	struct net_port ports[PAIRS];
	struct net_rx *offered[PAIRS];
	uint8_t packet[HDR + 65536];
	bool is_ready;
} fuzz;

static void wire_sent(struct loop_io *io, int result)
{
	struct net_tx *t = container_of(io, struct net_tx, io);

	t->port->in_flight--;
	t->sent(t, result);
}

/* The header was checked: what it names lies in the packet. */
static void wire_send(struct net_port *p, struct net_tx *t)
{
	size_t bytes = iov_bytes(t->iov, t->niov);
	uint8_t h[HDR];

	(void)p;
	if (iov_read(t->iov, t->niov, 0, h, HDR) != HDR || bytes < HDR + 14)
		abort();
	if (h[0] & 1 && load_le16(h + 6) + load_le16(h + 8) + 2U > bytes - HDR)
		abort();
	t->io.done = wire_sent;
	loop_complete(t->port->loop, &t->io, (int)bytes);
}

static void wire_receive(struct net_port *p, struct net_rx *r)
{
	r->next = fuzz.offered[p->index];
	fuzz.offered[p->index] = r;
}

static void wire_received(unsigned pair, int result)
{
	struct net_rx *r = fuzz.offered[pair];

	fuzz.offered[pair] = r->next;
	r->port->in_flight--;
	r->received(r, result);
}

static void wire_cancel(struct net_port *p)
{
	while (fuzz.offered[p->index])
		wire_received(p->index, -ECANCELED);
}

static int wire_bind(struct net_port *p, struct loop *l, struct err *e)
{
	(void)p;
	(void)l;
	(void)e;
	return 0;
}

static void wire_unbind(struct net_port *p)
{
	(void)p;
}

static int wire_set(struct net_backend *n, unsigned value)
{
	(void)n;
	(void)value;
	return 0;
}

static const struct net_driver wire_driver = {
	.name = "fuzz",
	.bind = wire_bind,
	.unbind = wire_unbind,
	.send = wire_send,
	.receive = wire_receive,
	.rx_cancel = wire_cancel,
	.set_offloads = wire_set,
	.set_hdr_len = wire_set,
	.set_queues = wire_set,
};

/* A packet arrives, or a read fails, or the link goes up or down. */
static void wire_acts(struct vfuzz *z)
{
	uint8_t what = vfuzz_u8(z);
	unsigned pair = what % PAIRS;
	int bytes = vfuzz_u16(z) + (int)HDR;
	struct net_rx *r = fuzz.offered[pair];

	if (what >= 0xf0)
		fuzz.net.link_changed(fuzz.net.opaque, what & 4);
	else if (r && what >= 0xe0)
		wire_received(pair, -EIO);
	else if (r) {
		for (unsigned i = 0; i < 16; i++)
			fuzz.packet[HDR + i] = vfuzz_u8(z);
		iov_write(r->iov, r->niov, 0, fuzz.packet, (size_t)bytes);
		wire_received(pair, bytes);
	}
}

static void init(void)
{
	static char id[] = "n0";

	fuzz.net = (struct net_backend){
		.driver = &wire_driver,
		.id = id,
		.ports = fuzz.ports,
		.link_up = true,
		.caps = {.offloads = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN |
				     NET_UFO | NET_USO4 | NET_USO6,
			 .vnet_hdr = true,
			 .queues = PAIRS},
	};
	for (unsigned i = 0; i < PAIRS; i++)
		fuzz.ports[i] = (struct net_port){.net = &fuzz.net, .index = i};
	fakeboard_init(&fuzz.z.board);
	fakeboard_link(&fuzz.z.board, "netdev", id, &fuzz.net);
	fuzz.z.back_end = wire_acts;
	vfuzz_init(&fuzz.z,
		   "virtio-net-device,netdev=n0,packed=on,mq=on,"
		   "rx_queue_size=16,tx_queue_size=16",
		   2 * PAIRS + 1);
	fuzz.is_ready = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!fuzz.is_ready)
		init();
	vfuzz_run(&fuzz.z, data, len);
	if (fuzz.ports[0].in_flight || fuzz.ports[1].in_flight)
		abort();
	fuzz.net.link_changed(fuzz.net.opaque, true);
	return 0;
}
