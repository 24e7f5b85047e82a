/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/virtio/net: by a driver's registers and rings, on a back end that shows
 * what is sent and receives what the test says.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/net.h"
#include "base/num.h"
#include "bus/iov.h"
#include "test/lib/logfile.h"
#include "test/lib/test.h"
#include "test/lib/vslot.h"

#define HDR       12U
#define PAIRS_MAX 4U
#define SENT_MAX  64U
#define PACKET    (HDR + 66000U)

/* VIRTIO 1.2, 5.1. */
#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_CTRL_OFFL  BIT(2)
#define F_MTU        BIT(3)
#define F_MAC        BIT(5)
#define F_GSO        BIT(6)
#define F_GUEST_TSO4 BIT(7)
#define F_GUEST_ECN  BIT(9)
#define F_HOST_TSO4  BIT(11)
#define F_HOST_TSO6  BIT(12)
#define F_HOST_ECN   BIT(13)
#define F_HOST_UFO   BIT(14)
#define F_MRG        BIT(15)
#define F_STATUS     BIT(16)
#define F_CTRL_VQ    BIT(17)
#define F_CTRL_RX    BIT(18)
#define F_CTRL_VLAN  BIT(19)
#define F_CTRL_EXTRA BIT(20)
#define F_MQ         BIT(22)
#define F_CTRL_MAC   BIT(23)
#define F_HOST_USO   BIT(56)
#define F_SPEED      BIT(63)
#define F_EVENT_IDX  BIT(VIRTIO_F_EVENT_IDX)
#define F_PACKED     BIT(VIRTIO_F_RING_PACKED)
#define F_ALL        (~0ULL & ~F_PACKED)

enum { RX, TX };

/* The back end. */
struct wire_pair {
	struct net_rx *offered; /* oldest first */
	unsigned noffered;
	struct net_tx *held[SENT_MAX];
	unsigned nheld;
};

struct wire {
	struct net_backend net;
	struct net_port ports[PAIRS_MAX];
	struct wire_pair pairs[PAIRS_MAX];
	bool holds;           /* keeps packets until wire_sent() */
	uint8_t last[PACKET]; /* the last packet sent */
	size_t last_bytes;
	unsigned last_pair, sent;
	unsigned offloads, queues, hdr_len;
	int refuses; /* error of the set_ calls */
};

static struct wire *wire_of(struct net_backend *n)
{
	return container_of(n, struct wire, net);
}

static void wire_end_tx(struct net_tx *t, int result)
{
	t->port->in_flight--;
	t->sent(t, result);
}

static void wire_ended_later(struct loop_io *io, int result)
{
	wire_end_tx(container_of(io, struct net_tx, io), result);
}

static void wire_end_tx_later(struct net_tx *t, int result)
{
	t->io.done = wire_ended_later;
	loop_complete(t->port->loop, &t->io, result);
}

static void wire_end_rx(struct net_rx *r, int result)
{
	r->port->in_flight--;
	r->received(r, result);
}

static void wire_sent(struct wire *w, unsigned pair, int result)
{
	struct wire_pair *p = &w->pairs[pair];
	struct net_tx *t = p->held[0];

	assert_true(p->nheld);
	memmove(p->held, p->held + 1, --p->nheld * sizeof(p->held[0]));
	wire_end_tx(t, result);
}

static void wire_send(struct net_port *p, struct net_tx *t)
{
	struct wire *w = wire_of(p->net);
	struct wire_pair *wp = &w->pairs[p->index];

	w->last_bytes = 0;
	for (unsigned i = 0; i < t->niov; i++) {
		assert_true(t->iov[i].iov_len <= PACKET - w->last_bytes);
		memcpy(w->last + w->last_bytes, t->iov[i].iov_base,
		       t->iov[i].iov_len);
		w->last_bytes += t->iov[i].iov_len;
	}
	w->last_pair = p->index;
	w->sent++;
	if (!w->holds) {
		wire_end_tx_later(t, (int)w->last_bytes);
		return;
	}
	assert_true(wp->nheld < SENT_MAX);
	wp->held[wp->nheld++] = t;
}

static void wire_receive(struct net_port *p, struct net_rx *r)
{
	struct wire_pair *wp = &wire_of(p->net)->pairs[p->index];
	struct net_rx **end = &wp->offered;

	while (*end)
		end = &(*end)->next;
	*end = r;
	r->next = NULL;
	wp->noffered++;
}

static struct net_rx *wire_take(struct wire *w, unsigned pair)
{
	struct wire_pair *p = &w->pairs[pair];
	struct net_rx *r = p->offered;

	assert_non_null(r);
	p->offered = r->next;
	p->noffered--;
	return r;
}

/* A packet of `bytes` behind that header arrives. */
static void wire_arrives_as(struct wire *w, unsigned pair,
			    const uint8_t *header, const uint8_t *packet,
			    size_t bytes)
{
	struct net_rx *r = wire_take(w, pair);

	assert_int_equal(iov_write(r->iov, r->niov, 0, header, HDR), HDR);
	assert_int_equal(iov_write(r->iov, r->niov, HDR, packet, bytes), bytes);
	wire_end_rx(r, (int)(HDR + bytes));
}

static void wire_arrives(struct wire *w, unsigned pair, const uint8_t *packet,
			 size_t bytes)
{
	static const uint8_t header[HDR];

	wire_arrives_as(w, pair, header, packet, bytes);
}

static void wire_rx_cancel(struct net_port *p)
{
	struct wire *w = wire_of(p->net);

	while (w->pairs[p->index].offered)
		wire_end_rx(wire_take(w, p->index), -ECANCELED);
	while (w->pairs[p->index].nheld)
		wire_sent(w, p->index, -ECANCELED);
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
	struct wire_pair *wp = &wire_of(p->net)->pairs[p->index];

	assert_null(wp->offered);
	assert_int_equal(wp->nheld, 0);
}

static int wire_set_offloads(struct net_backend *n, unsigned offloads)
{
	struct wire *w = wire_of(n);

	if (!w->refuses)
		w->offloads = offloads;
	return w->refuses;
}

static int wire_set_hdr_len(struct net_backend *n, unsigned bytes)
{
	struct wire *w = wire_of(n);

	if (!w->refuses)
		w->hdr_len = bytes;
	return w->refuses;
}

static int wire_set_queues(struct net_backend *n, unsigned pairs)
{
	struct wire *w = wire_of(n);

	if (!w->refuses)
		w->queues = pairs;
	return w->refuses;
}

static const struct net_driver wire_driver = {
	.name = "test",
	.bind = wire_bind,
	.unbind = wire_unbind,
	.send = wire_send,
	.receive = wire_receive,
	.rx_cancel = wire_rx_cancel,
	.set_offloads = wire_set_offloads,
	.set_hdr_len = wire_set_hdr_len,
	.set_queues = wire_set_queues,
};

static void wire_init(struct wire *w, char *id)
{
	memset(w, 0, sizeof(*w));
	w->net.driver = &wire_driver;
	w->net.id = id;
	w->net.ports = w->ports;
	w->net.link_up = true;
	w->net.caps = (struct net_caps){
		.offloads = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN,
		.vnet_hdr = true,
		.queues = PAIRS_MAX,
		.mtu = 1500,
	};
	for (unsigned i = 0; i < PAIRS_MAX; i++)
		w->ports[i] = (struct net_port){.net = &w->net, .index = i};
	list_init(&w->net.link);
}

struct fixture {
	struct fakeboard board;
	struct wire wire, wire2;
	struct vslot v;
	gpa_t heap;
	unsigned tag;
	struct err e;
};

static int setup(void **state)
{
	static struct fixture f;
	static char n0[] = "n0", n1[] = "n1";

	memset(&f, 0, sizeof(f));
	fakeboard_init(&f.board);
	wire_init(&f.wire, n0);
	wire_init(&f.wire2, n1);
	fakeboard_link(&f.board, "netdev", n0, &f.wire.net);
	fakeboard_link(&f.board, "netdev", n1, &f.wire2.net);
	f.heap = VSLOT_HEAP;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->v.slot)
		vslot_fini(&f->v);
	assert_int_equal(f->board.board.macs, 0);
	fakeboard_fini(&f->board);
	return 0;
}

static void make(struct fixture *f, const char *options)
{
	char text[256];

	snprintf(text, sizeof(text), "virtio-net-device,netdev=n0%s", options);
	vslot_init(&f->v, &f->board, 0, text, &f->e);
	if (!f->v.dev)
		fail_msg("%s", f->e.text);
}

static void make_and_start(struct fixture *f, const char *options,
			   uint64_t want)
{
	make(f, options);
	vslot_start(&f->v, want, 3);
}

static gpa_t alloc(struct fixture *f, size_t bytes)
{
	gpa_t at = f->heap;

	f->heap += align_up(bytes, 16);
	assert_true(f->heap <= VSLOT_HEAP_END);
	return at;
}

/* A frame: to, from 02:…:09, type 0x0800, and a pattern. */
static const uint8_t *frame_to(const char *to, size_t bytes)
{
	static uint8_t frame[66000];

	memcpy(frame, to, 6);
	memcpy(frame + 6, "\x02\0\0\0\0\x09\x08\0", 8);
	for (size_t i = 14; i < bytes; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	return frame;
}

#define OURS      "\x52\x54\0\x12\x34\x56"
#define OTHER     "\x02\0\0\0\0\x01"
#define GROUP     "\x01\0\x5e\0\0\x01"
#define BROADCAST "\xff\xff\xff\xff\xff\xff"

/* Sending. */

struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

static gpa_t put_packet(struct fixture *f, struct header h, size_t bytes)
{
	gpa_t at = alloc(f, HDR + bytes);
	uint8_t *p = vdriver_ptr(&f->v.d, at);

	p[0] = h.flags;
	p[1] = h.gso_type;
	store_le16(p + 2, h.hdr_len);
	store_le16(p + 4, h.gso_size);
	store_le16(p + 6, h.csum_start);
	store_le16(p + 8, h.csum_offset);
	store_le16(p + 10, 0);
	memcpy(p + HDR, frame_to(OTHER, bytes), bytes);
	return at;
}

/* Sends one packet in one piece: did it go out? */
static bool sends(struct fixture *f, struct header h, size_t bytes)
{
	gpa_t at = put_packet(f, h, bytes);
	struct ring_buf buf = {at, (uint32_t)(HDR + bytes), false};
	unsigned before = f->wire.sent;

	vslot_add(&f->v, TX, &buf, 1, ++f->tag);
	vslot_kick(&f->v, TX);
	assert_int_equal(vslot_used(&f->v, TX, f->tag), 0);
	assert_false(vslot_is_broken(&f->v));
	if (f->wire.sent == before)
		return false;
	assert_int_equal(f->wire.sent, before + 1);
	assert_int_equal(f->wire.last_bytes, HDR + bytes);
	assert_memory_equal(f->wire.last + HDR, frame_to(OTHER, bytes), bytes);
	return true;
}

static void sends_packets(void **state)
{
	static const uint64_t rings[] = {0, F_EVENT_IDX, F_PACKED,
					 F_PACKED | F_EVENT_IDX};
	struct fixture *f = *state;

	make(f, ",packed=on");
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		vslot_start(&f->v, rings[i], 2);
		for (unsigned n = 0; n < 300; n++) {
			f->heap = VSLOT_HEAP;
			assert_true(sends(f, (struct header){0}, 60 + n));
		}
	}
}

static void sends_whatever_layout(void **state)
{
	struct fixture *f = *state;
	gpa_t at;

	make_and_start(f, "", 0);
	at = put_packet(f, (struct header){0}, 100);
	const struct ring_buf layouts[][4] = {
		{{at, HDR, false}, {at + HDR, 100, false}},
		{{at, 5, false}, {at + 5, 7, false}, {at + 12, 100, false}},
		{{at, 1, false}, {at + 1, 21, false}, {at + 22, 90, false}},
		{{at, 11, false}, {at + 11, 2, false}, {at + 13, 99, false}},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
		vslot_add(&f->v, TX, layouts[i], i ? 3 : 2, i);
		vslot_kick(&f->v, TX);
		assert_int_equal(vslot_used(&f->v, TX, i), 0);
		assert_int_equal(f->wire.sent, i + 1);
		assert_int_equal(f->wire.last_bytes, HDR + 100);
		assert_memory_equal(f->wire.last + HDR, frame_to(OTHER, 100),
				    100);
	}
}

static void sends_batches(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", 0);
	f->wire.holds = true;
	(void)vslot_irqs(&f->v);
	for (unsigned i = 0; i < 32; i++) {
		struct ring_buf buf = {put_packet(f, (struct header){0}, 60),
				       HDR + 60, false};

		vslot_add(&f->v, TX, &buf, 1, i);
	}
	vslot_kick(&f->v, TX);
	assert_int_equal(f->wire.pairs[0].nheld, 32);
	for (unsigned i = 0; i < 32; i++)
		wire_sent(&f->wire, 0, i % 2 ? -EIO : 72);
	assert_int_equal(vslot_irqs(&f->v), 0);
	fakeboard_settle(&f->board);
	assert_int_equal(vslot_irqs(&f->v), 1);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(vslot_used(&f->v, TX, i), 0);
}

static void sends_offloads_that_were_negotiated(void **state)
{
	static const struct header csum = {1, 0, 0, 0, 34, 16};
	static const struct header tso4 = {1, 1, 54, 1448, 34, 16};
	static const struct header tso6 = {1, 4, 54, 1448, 34, 16};
	static const struct header ecn4 = {1, 0x81, 54, 1448, 34, 16};
	static const struct header ufo = {1, 3, 42, 1448, 34, 6};
	static const struct header uso = {1, 5, 42, 1448, 34, 6};
	struct fixture *f = *state;

	make(f, "");
	vslot_start(&f->v, 0, 2);
	assert_false(sends(f, csum, 100));
	vslot_start(&f->v, F_CSUM, 2);
	assert_true(sends(f, csum, 100));
	assert_int_equal(f->wire.last[0], 1);
	assert_int_equal(load_le16(f->wire.last + 6), 34);
	assert_false(sends(f, tso4, 9000));
	vslot_start(&f->v, F_CSUM | F_HOST_TSO4, 2);
	assert_true(sends(f, tso4, 65535 + 14));
	assert_int_equal(f->wire.last[1], 1);
	assert_int_equal(load_le16(f->wire.last + 4), 1448);
	assert_false(sends(f, ecn4, 9000));
	assert_false(sends(f, tso6, 9000));
	vslot_start(&f->v, F_CSUM | F_HOST_TSO6 | F_HOST_ECN, 2);
	assert_true(sends(f, tso6, 9000));
	assert_false(sends(f, ecn4, 9000));
	f->heap = VSLOT_HEAP;
	vslot_start(&f->v, F_CSUM | F_GSO, 2);
	assert_true(sends(f, tso4, 9000));
	assert_true(sends(f, tso6, 9000));
	assert_true(sends(f, ecn4, 9000));
	assert_false(sends(f, ufo, 9000));
	assert_false(sends(f, uso, 9000));
	/* Both are beyond the back end. */
	assert_false(f->v.d.offered & (F_HOST_UFO | F_HOST_USO));
	vslot_fini(&f->v);
	f->wire.net.caps.offloads |= NET_UFO | NET_USO4 | NET_USO6;
	f->heap = VSLOT_HEAP;
	make_and_start(f, "", F_ALL);
	assert_true(sends(f, ufo, 9000));
	assert_true(sends(f, uso, 9000));
}

static void drops_bad_headers(void **state)
{
	static const struct header bad[] = {
		{1, 0, 0, 0, 99, 0},          /* checksum behind the end */
		{1, 0, 0, 0, 0xffff, 0xffff}, /* far behind */
		{0, 1, 54, 1448, 0, 0},       /* TSO without checksum */
		{1, 1, 54, 0, 34, 16},        /* no segment size */
		{1, 2, 54, 1448, 34, 16},     /* no such type */
		{1, 6, 54, 1448, 34, 16},     {1, 0x7f, 54, 1448, 34, 16},
		{1, 0x80, 54, 1448, 34, 16}, /* ECN of nothing */
	};
	struct fixture *f = *state;
	struct header flags = {0xfe, 0, 0, 0, 0, 0};

	make_and_start(f, "", F_ALL);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(sends(f, bad[i], 100));
	assert_false(sends(f, (struct header){0}, 13));
	assert_false(sends(f, (struct header){0}, 0));
	/* Flags of the future are ignored, and not passed on. */
	assert_true(sends(f, flags, 100));
	assert_int_equal(f->wire.last[0], 0);
}

static void breaks_on_malformed_packets(void **state)
{
	struct fixture *f = *state;

	make(f, "");
	for (unsigned i = 0; i < 2; i++) {
		gpa_t at = VSLOT_HEAP;
		const struct ring_buf bad[] = {{at, 11, false},
					       {at, 100, true}};

		vslot_start(&f->v, 0, 2);
		vslot_add(&f->v, TX, &bad[i], 1, 1);
		vslot_kick(&f->v, TX);
		assert_true(vslot_is_broken(&f->v));
		assert_false(vslot_has_used(&f->v, TX));
	}
	vslot_start(&f->v, 0, 2);
	assert_true(sends(f, (struct header){0}, 60));
}

/* Receiving. */

/* Adds n receive buffers of that size; they are tagged 0… from first on. */
static gpa_t add_buffers(struct fixture *f, unsigned queue, unsigned n,
			 uint32_t bytes)
{
	gpa_t first = alloc(f, (size_t)n * bytes);

	for (unsigned i = 0; i < n; i++) {
		struct ring_buf buf = {first + i * bytes, bytes, true};

		vslot_add(&f->v, queue, &buf, 1, i);
	}
	vslot_kick(&f->v, queue);
	return first;
}

static void arrives(struct fixture *f, const char *to, size_t bytes)
{
	wire_arrives(&f->wire, 0, frame_to(to, bytes), bytes);
	fakeboard_settle(&f->board);
}

static void receives_packets(void **state)
{
	static const uint64_t rings[] = {0, F_EVENT_IDX | F_MRG, F_PACKED,
					 F_PACKED | F_MRG | F_EVENT_IDX};
	struct fixture *f = *state;

	make(f, ",packed=on");
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		vslot_start(&f->v, rings[i], 2);
		assert_int_equal(f->wire.pairs[0].noffered, 4);
		assert_int_equal(f->wire.hdr_len, HDR);
		for (unsigned n = 0; n < 300; n++) {
			gpa_t at;
			uint8_t *p;

			f->heap = VSLOT_HEAP;
			at = add_buffers(f, RX, 1, 2048);
			p = vdriver_ptr(&f->v.d, at);
			memset(p, 0xee, 2048);
			arrives(f, OURS, 60 + n);
			assert_int_equal(vslot_used(&f->v, RX, 0),
					 HDR + 60 + n);
			assert_int_equal(load_le16(p + 10), 1);
			assert_memory_equal(p + HDR, frame_to(OURS, 60 + n),
					    60 + n);
			assert_int_equal(p[HDR + 60 + n], 0xee);
		}
	}
}

/* The flags that the driver sees of a packet that arrives so; -1: none. */
static int flags_of(struct fixture *f, uint8_t flags, uint8_t gso_type)
{
	const uint8_t header[HDR] = {flags, gso_type, 54, 0, 0xdc, 5, 34,
				     0,     16,       0,  0xff, 0xff};
	gpa_t at = add_buffers(f, RX, 1, 2048);
	const uint8_t *p = vdriver_ptr(&f->v.d, at);

	wire_arrives_as(&f->wire, 0, header, frame_to(OURS, 100), 100);
	fakeboard_settle(&f->board);
	if (!vslot_has_used(&f->v, RX))
		return -1;
	assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 100);
	assert_int_equal(p[1], gso_type);
	assert_int_equal(load_le16(p + 2), 54);
	assert_int_equal(load_le16(p + 10), 1);
	return p[0];
}

/* Of offloads the driver sees those that it accepted, whatever comes. */
static void receives_offloads_that_were_negotiated(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", 0);
	assert_int_equal(flags_of(f, 0, 0), 0);
	assert_int_equal(flags_of(f, 2, 0), 0);
	vslot_start(&f->v, 0, 2);
	assert_int_equal(flags_of(f, 1, 0), -1);
	vslot_start(&f->v, 0, 2);
	assert_int_equal(flags_of(f, 0, 1), -1);
	vslot_start(&f->v, F_GUEST_CSUM, 2);
	assert_int_equal(flags_of(f, 1, 0), 1);
	assert_int_equal(flags_of(f, 2, 0), 2);
	assert_int_equal(flags_of(f, 0xfe, 0), 2);
	assert_int_equal(flags_of(f, 1, 1), -1);
	vslot_start(&f->v, F_GUEST_CSUM | F_GUEST_TSO4, 2);
	assert_int_equal(flags_of(f, 1, 1), 1);
	assert_int_equal(flags_of(f, 1, 4), -1);
	vslot_start(&f->v, F_GUEST_CSUM | F_GUEST_TSO4, 2);
	assert_int_equal(flags_of(f, 1, 0x81), -1);
	vslot_start(&f->v, F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_ECN, 2);
	assert_int_equal(flags_of(f, 1, 0x81), 1);
	assert_int_equal(flags_of(f, 1, 2), -1);
	vslot_start(&f->v, F_ALL, 2);
	assert_int_equal(flags_of(f, 1, 0xff), -1);
}

/* Checks a packet that is spread over buffers of `each` bytes. */
static void check_spread(struct fixture *f, gpa_t first, unsigned tag,
			 uint32_t each, size_t bytes)
{
	const uint8_t *frame = frame_to(OURS, bytes);
	size_t left = HDR + bytes, done = 0;
	unsigned n = (unsigned)((left + each - 1) / each);

	for (unsigned i = 0; i < n; i++) {
		size_t part = MIN(left, (size_t)each);
		uint8_t *p = vdriver_ptr(&f->v.d, first + (tag + i) * each);

		assert_int_equal(vslot_used(&f->v, RX, tag + i), part);
		if (!i) {
			assert_int_equal(load_le16(p + 10), n);
			p += HDR;
			part -= HDR;
			left -= HDR;
		}
		assert_memory_equal(p, frame + done, part);
		done += part;
		left -= part;
	}
}

static void merges_buffers(void **state)
{
	struct fixture *f = *state;
	gpa_t at;

	make(f, ",packed=on");
	for (unsigned packed = 0; packed < 2; packed++) {
		vslot_start(&f->v, F_MRG | (packed ? F_PACKED : 0), 2);
		f->heap = VSLOT_HEAP;
		at = add_buffers(f, RX, 100, 1500);
		arrives(f, OURS, 1488);
		arrives(f, OURS, 1489);
		arrives(f, OURS, 65535 + 14);
		arrives(f, OURS, 60);
		assert_false(vslot_is_broken(&f->v));
		check_spread(f, at, 0, 1500, 1488);
		check_spread(f, at, 1, 1500, 1489);
		check_spread(f, at, 3, 1500, 65535 + 14);
		check_spread(f, at, 47, 1500, 60);
		assert_false(vslot_has_used(&f->v, RX));
	}
}

static void drops_what_does_not_fit_one_buffer(void **state)
{
	struct fixture *f = *state;
	gpa_t at;

	make_and_start(f, "", 0);
	at = add_buffers(f, RX, 4, 512);
	arrives(f, OURS, 501);
	assert_false(vslot_has_used(&f->v, RX));
	arrives(f, OURS, 500);
	assert_int_equal(vslot_used(&f->v, RX, 0), 512);
	assert_int_equal(load_le16((char *)vdriver_ptr(&f->v.d, at) + 10), 1);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
}

static void waits_for_buffers(void **state)
{
	static const uint64_t rings[] = {0, F_EVENT_IDX, F_PACKED,
					 F_PACKED | F_EVENT_IDX};
	struct fixture *f = *state;
	gpa_t at;

	make(f, ",packed=on");
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		struct ring *r = &f->v.d.rings[RX];

		f->heap = VSLOT_HEAP;
		vslot_start(&f->v, F_MRG | rings[i], 2);
		for (unsigned n = 0; n < 4; n++)
			arrives(f, OURS, 1000 + n);
		/* As many as were read wait; nothing more is read. */
		assert_int_equal(f->wire.pairs[0].noffered, 0);
		/* Half of what the first one needs, and the rest of it. */
		at = alloc(f, 8UL * 512);
		for (unsigned n = 0; n < 8; n++) {
			struct ring_buf buf = {at + n * 512, 512, true};

			assert_false(n && n < 2 && vslot_has_used(&f->v, RX));
			assert_true(ring_add(r, &buf, 1, n));
			/* The device must want to be told of each. */
			assert_true(ring_publish(r));
			vslot_kick(&f->v, RX);
			assert_int_equal(f->wire.pairs[0].noffered,
					 (n + 1) / 2);
		}
		for (unsigned n = 0; n < 4; n++) {
			assert_int_equal(vslot_used(&f->v, RX, 2 * n), 512);
			assert_int_equal(vslot_used(&f->v, RX, 2 * n + 1),
					 HDR + 1000 + n - 512);
			assert_memory_equal(
				(char *)vdriver_ptr(&f->v.d, at + n * 1024) +
					HDR,
				frame_to(OURS, 1003), 500);
		}
	}
}

/* All the buffers that the queue can hold are too few for the packet. */
static void drops_what_never_fits(void **state)
{
	struct fixture *f = *state;
	gpa_t at;

	make(f, ",packed=on,rx_queue_size=16");
	for (unsigned packed = 0; packed < 2; packed++) {
		vslot_start(&f->v, F_MRG | (packed ? F_PACKED : 0), 2);
		f->heap = VSLOT_HEAP;
		at = add_buffers(f, RX, 16, 64);
		arrives(f, OURS, 16 * 64);
		assert_false(vslot_has_used(&f->v, RX));
		assert_int_equal(f->wire.pairs[0].noffered, 4);
		arrives(f, OURS, 100);
		check_spread(f, at, 0, 64, 100);
	}
}

/* Nor where each buffer takes two descriptors of the ring. */
static void drops_what_fits_no_chains(void **state)
{
	struct fixture *f = *state;

	make(f, ",packed=on,rx_queue_size=16");
	for (unsigned packed = 0; packed < 2; packed++) {
		vslot_start(&f->v, F_MRG | (packed ? F_PACKED : 0), 2);
		f->heap = VSLOT_HEAP;
		for (unsigned i = 0; i < 8; i++) {
			gpa_t at = alloc(f, 128);
			struct ring_buf b[] = {{at, 12, true},
					       {at + 12, 116, true}};

			vslot_add(&f->v, RX, b, 2, i);
		}
		vslot_kick(&f->v, RX);
		arrives(f, OURS, 8 * 128);
		assert_false(vslot_has_used(&f->v, RX));
		assert_int_equal(f->wire.pairs[0].noffered, 4);
		arrives(f, OURS, 100);
		assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 100);
	}
}

static void breaks_on_bad_buffers(void **state)
{
	struct fixture *f = *state;

	make(f, "");
	for (unsigned i = 0; i < 2; i++) {
		const struct ring_buf bad[] = {{VSLOT_HEAP, 11, true},
					       {VSLOT_HEAP, 2048, false}};

		vslot_start(&f->v, F_MRG, 2);
		vslot_add(&f->v, RX, &bad[i], 1, 1);
		vslot_kick(&f->v, RX);
		arrives(f, OURS, 60);
		assert_true(vslot_is_broken(&f->v));
		assert_false(vslot_has_used(&f->v, RX));
	}
	vslot_start(&f->v, F_MRG, 2);
	(void)add_buffers(f, RX, 1, 2048);
	arrives(f, OURS, 60);
	assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 60);
}

static void survives_failing_reads(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", F_MRG | F_STATUS);
	(void)add_buffers(f, RX, 8, 2048);
	for (unsigned i = 0; i < 4; i++)
		wire_end_rx(wire_take(&f->wire, 0), -EIO);
	fakeboard_settle(&f->board);
	/* No busy loop, and none that the guest drives. */
	vdriver_kick(&f->v.d, RX);
	fakeboard_settle(&f->board);
	assert_int_equal(f->wire.pairs[0].noffered, 0);
	f->wire.net.link_changed(f->wire.net.opaque, false);
	f->wire.net.link_changed(f->wire.net.opaque, true);
	fakeboard_settle(&f->board);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
	/* Runts are no packets. */
	wire_end_rx(wire_take(&f->wire, 0), 0);
	wire_end_rx(wire_take(&f->wire, 0), HDR + 13);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
	arrives(f, OURS, 60);
	assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 60);
}

/* The control queue. */

#define CTRL 2U

/* Runs a command; its data is at most 4000 bytes. */
static uint8_t command_on(struct fixture *f, unsigned queue, uint8_t class,
			  uint8_t cmd, const void *data, size_t bytes)
{
	gpa_t at = alloc(f, 2 + bytes + 1);
	uint8_t *p = vdriver_ptr(&f->v.d, at);
	struct ring_buf bufs[] = {
		{at, (uint32_t)(2 + bytes), false},
		{at + 2 + bytes, 1, true},
	};

	p[0] = class;
	p[1] = cmd;
	if (bytes)
		memcpy(p + 2, data, bytes);
	p[2 + bytes] = 0xaa;
	vslot_add(&f->v, queue, bufs, 2, 1);
	vslot_kick(&f->v, queue);
	assert_int_equal(vslot_used(&f->v, queue, 1), 1);
	return p[2 + bytes];
}

static uint8_t command(struct fixture *f, uint8_t class, uint8_t cmd,
		       const void *data, size_t bytes)
{
	return command_on(f, CTRL, class, cmd, data, bytes);
}

static uint8_t command_u8(struct fixture *f, uint8_t class, uint8_t cmd,
			  uint8_t v)
{
	return command(f, class, cmd, &v, 1);
}

static uint8_t command_u16(struct fixture *f, uint8_t class, uint8_t cmd,
			   uint16_t v)
{
	uint8_t wire[2];

	store_le16(wire, v);
	return command(f, class, cmd, wire, 2);
}

/* Is a frame to that address delivered? */
static bool accepts(struct fixture *f, const char *to)
{
	unsigned offered = f->wire.pairs[0].noffered;
	bool is_delivered;

	f->heap = VSLOT_HEAP + MIB;
	(void)add_buffers(f, RX, 1, 256);
	arrives(f, to, 60);
	is_delivered = vslot_has_used(&f->v, RX);
	if (is_delivered)
		assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 60);
	assert_int_equal(f->wire.pairs[0].noffered, offered);
	return is_delivered;
}

static void filters_by_mode(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", F_ALL);
	assert_true(accepts(f, OTHER)); /* promiscuous at first */
	assert_int_equal(command_u8(f, 0, 0, 0), 0);
	assert_true(accepts(f, OURS));
	assert_true(accepts(f, BROADCAST));
	assert_false(accepts(f, OTHER));
	assert_false(accepts(f, GROUP));
	assert_int_equal(command_u8(f, 0, 1, 1), 0);
	assert_true(accepts(f, GROUP));
	assert_int_equal(command_u8(f, 0, 2, 1), 0);
	assert_true(accepts(f, OTHER));
	assert_int_equal(command_u8(f, 0, 3, 1), 0);
	assert_false(accepts(f, GROUP));
	assert_true(accepts(f, BROADCAST));
	assert_int_equal(command_u8(f, 0, 4, 1), 0);
	assert_false(accepts(f, OURS));
	assert_int_equal(command_u8(f, 0, 5, 1), 0);
	assert_false(accepts(f, BROADCAST));
	assert_int_equal(command_u8(f, 0, 0, 1), 0);
	assert_true(accepts(f, BROADCAST));
	/* Forgotten by a reset. */
	assert_int_equal(command_u8(f, 0, 0, 0), 0);
	vslot_start(&f->v, F_ALL, 3);
	assert_true(accepts(f, OTHER));
}

/* MAC_TABLE_SET with n and m addresses: 02:00:00:00:00:i, 03:00:00:00:00:i. */
static size_t mac_tables(uint8_t *p, uint32_t n, uint32_t m)
{
	uint8_t *at = p;

	for (unsigned t = 0; t < 2; t++) {
		uint32_t count = t ? m : n;

		store_le32(at, count);
		at += 4;
		for (uint32_t i = 1; i <= count; i++, at += 6) {
			memset(at, 0, 6);
			at[0] = (uint8_t)(2 + t);
			at[5] = (uint8_t)i;
		}
	}
	return (size_t)(at - p);
}

#define UNI(n)   "\x02\0\0\0\0" n
#define MULTI(n) "\x03\0\0\0\0" n

static void filters_by_address(void **state)
{
	struct fixture *f = *state;
	uint8_t data[4000];

	make_and_start(f, "", F_ALL);
	assert_int_equal(command_u8(f, 0, 0, 0), 0);
	assert_int_equal(command(f, 1, 0, data, mac_tables(data, 3, 2)), 0);
	assert_true(accepts(f, UNI("\x03")));
	assert_false(accepts(f, UNI("\x04")));
	assert_true(accepts(f, MULTI("\x02")));
	assert_false(accepts(f, MULTI("\x03")));
	assert_true(accepts(f, OURS));
	/* The new table replaces the old one. */
	assert_int_equal(command(f, 1, 0, data, mac_tables(data, 0, 64)), 0);
	assert_false(accepts(f, UNI("\x03")));
	assert_true(accepts(f, MULTI("\x40")));
	assert_false(accepts(f, MULTI("\x41")));
	/* More than the device can hold: better too many than too few. */
	assert_int_equal(command(f, 1, 0, data, mac_tables(data, 4, 61)), 0);
	assert_true(accepts(f, MULTI("\x7f")));
	assert_false(accepts(f, UNI("\x05")));
	assert_int_equal(command(f, 1, 0, data, mac_tables(data, 65, 0)), 0);
	assert_true(accepts(f, UNI("\x7f")));
	assert_false(accepts(f, MULTI("\x7f")));
	/* The card's own. */
	assert_int_equal(command(f, 1, 1, "\x02\0\0\0\0\x77", 6), 0);
	assert_int_equal(vdriver_config(&f->v.d, 0, 1), 2);
	assert_int_equal(vdriver_config(&f->v.d, 5, 1), 0x77);
	assert_int_equal(command(f, 1, 0, data, mac_tables(data, 0, 0)), 0);
	assert_true(accepts(f, UNI("\x77")));
	assert_false(accepts(f, OURS));
	vslot_reset(&f->v);
	assert_int_equal(vdriver_config(&f->v.d, 5, 1), 0x56);
}

static bool accepts_vlan(struct fixture *f, unsigned id)
{
	uint8_t frame[60];

	memcpy(frame, frame_to(OURS, sizeof(frame)), sizeof(frame));
	frame[12] = 0x81;
	frame[13] = 0;
	frame[14] = (uint8_t)(0xe0 | id >> 8);
	frame[15] = (uint8_t)id;
	f->heap = VSLOT_HEAP + MIB;
	(void)add_buffers(f, RX, 1, 256);
	wire_arrives(&f->wire, 0, frame, sizeof(frame));
	fakeboard_settle(&f->board);
	if (!vslot_has_used(&f->v, RX))
		return false;
	(void)vslot_used(&f->v, RX, 0);
	return true;
}

static void filters_by_vlan(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", F_ALL & ~F_CTRL_VLAN);
	assert_true(accepts_vlan(f, 5));
	vslot_start(&f->v, F_ALL, 3);
	assert_true(accepts_vlan(f, 5)); /* promiscuous at first */
	assert_int_equal(command_u8(f, 0, 0, 0), 0);
	assert_false(accepts_vlan(f, 5));
	assert_int_equal(command_u16(f, 2, 0, 5), 0);
	assert_int_equal(command_u16(f, 2, 0, 4095), 0);
	assert_true(accepts_vlan(f, 5));
	assert_true(accepts_vlan(f, 4095));
	assert_false(accepts_vlan(f, 6));
	assert_int_equal(command_u16(f, 2, 1, 5), 0);
	assert_false(accepts_vlan(f, 5));
	assert_int_equal(command_u16(f, 2, 0, 4096), 1);
}

static void refuses_hostile_commands(void **state)
{
	struct fixture *f = *state;
	uint8_t data[4000];

	make_and_start(f, "", F_ALL);
	assert_int_equal(command(f, 0, 0, data, 0), 1);
	assert_int_equal(command(f, 0, 0, data, 2), 1);
	assert_int_equal(command_u8(f, 0, 6, 1), 1);
	assert_int_equal(command_u8(f, 0, 255, 1), 1);
	assert_int_equal(command_u8(f, 77, 0, 1), 1);
	assert_int_equal(command(f, 1, 1, data, 5), 1);
	assert_int_equal(command(f, 1, 1, data, 7), 1);
	assert_int_equal(command(f, 2, 0, data, 1), 1);
	assert_int_equal(command(f, 4, 0, data, 1), 1);
	assert_int_equal(command(f, 5, 0, data, 7), 1);
	for (size_t n = 0; n < 4 + 6 * 2 + 4 + 6; n++) {
		(void)mac_tables(data, 2, 1);
		assert_int_equal(command(f, 1, 0, data, n), 1);
	}
	assert_int_equal(command(f, 1, 0, data, mac_tables(data, 2, 1) + 1), 1);
	store_le32(data, UINT32_MAX);
	assert_int_equal(command(f, 1, 0, data, 4000), 1);
	store_le32(data, 0x2aaaaaab); /* times six: 2 modulo 2^32 */
	assert_int_equal(command(f, 1, 0, data, 10), 1);
	/* Nothing of it changed anything. */
	assert_true(accepts(f, OTHER));
	assert_int_equal(vdriver_config(&f->v.d, 5, 1), 0x56);
	assert_false(vslot_is_broken(&f->v));
	/* What was not negotiated does not exist. */
	vslot_start(&f->v, F_CTRL_VQ, 3);
	assert_int_equal(command_u8(f, 0, 0, 0), 1);
	assert_int_equal(command_u16(f, 2, 0, 5), 1);
	assert_int_equal(command(f, 1, 1, UNI("\x07"), 6), 1);
}

/* What a driver can do as often as it likes is logged once. */
static void logs_once(void **state)
{
	int log = logfile_new("all");
	struct fixture *f = *state;

	make(f, "");
	f->wire.refuses = -EIO;
	for (unsigned i = 0; i < 3; i++) {
		vslot_start(&f->v, F_ALL, 3);
		assert_int_equal(command_u8(f, 77, 0, 1), 1);
		assert_int_equal(command_u8(f, 78, 0, 1), 1);
		for (unsigned n = 0; n < 4; n++)
			wire_end_rx(wire_take(&f->wire, 0), -EIO);
		vdriver_kick(&f->v.d, RX);
		fakeboard_settle(&f->board);
	}
	f->wire.refuses = 0;
	assert_int_equal(logfile_count(log, "refuses"), 1);
	assert_int_equal(logfile_count(log, "control class 77"), 1);
	assert_int_equal(logfile_count(log, "control class 78"), 0);
	/* Once for each time that the driver began anew. */
	assert_int_equal(logfile_count(log, "receiving stops"), 3);
	close(log);
}

static void breaks_on_malformed_commands(void **state)
{
	struct fixture *f = *state;

	make(f, "");
	for (unsigned i = 0; i < 3; i++) {
		gpa_t at = VSLOT_HEAP;
		const struct ring_buf bad[][2] = {
			{{at, 2, false}, {at + 2, 1, false}},
			{{at, 1, false}, {at + 2, 1, true}},
			{{at, 2, true}, {at + 2, 1, true}},
		};

		vslot_start(&f->v, F_ALL, 3);
		vslot_add(&f->v, CTRL, bad[i], 2, 1);
		vslot_kick(&f->v, CTRL);
		assert_true(vslot_is_broken(&f->v));
	}
}

static void changes_offloads(void **state)
{
	struct fixture *f = *state;
	uint8_t data[8];

	make(f, "");
	vslot_start(&f->v, F_ALL, 3);
	assert_int_equal(f->wire.offloads,
			 NET_CSUM | NET_TSO4 | NET_TSO6 | NET_ECN);
	store_le64(data, F_GUEST_CSUM | F_GUEST_TSO4);
	assert_int_equal(command(f, 5, 0, data, 8), 0);
	assert_int_equal(f->wire.offloads, NET_CSUM | NET_TSO4);
	store_le64(data, 0);
	assert_int_equal(command(f, 5, 0, data, 8), 0);
	assert_int_equal(f->wire.offloads, 0);
	store_le64(data, BIT(10)); /* UFO: the back end cannot */
	assert_int_equal(command(f, 5, 0, data, 8), 1);
	store_le64(data, F_CSUM);
	assert_int_equal(command(f, 5, 0, data, 8), 1);
	f->wire.refuses = -EIO;
	store_le64(data, F_GUEST_CSUM);
	assert_int_equal(command(f, 5, 0, data, 8), 1);
	f->wire.refuses = 0;
	vslot_start(&f->v, 0, 2);
	assert_int_equal(f->wire.offloads, 0);
	vslot_start(&f->v, F_GUEST_CSUM, 2);
	assert_int_equal(f->wire.offloads, NET_CSUM);
}

static void uses_queue_pairs(void **state)
{
	struct fixture *f = *state;
	const unsigned ctrl = 2 * PAIRS_MAX;
	uint8_t two[2] = {2, 0}, none[2] = {0}, many[2] = {PAIRS_MAX + 1, 0};
	uint8_t one[2] = {1, 0};
	struct ring_buf buf;

	make(f, ",mq=on");
	vslot_start(&f->v, F_ALL, 2 * PAIRS_MAX + 1);
	assert_true(f->v.d.offered & F_MQ);
	assert_int_equal(vdriver_config(&f->v.d, 8, 2), PAIRS_MAX);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
	assert_int_equal(f->wire.pairs[1].noffered, 0);
	assert_int_equal(command_on(f, ctrl, 4, 0, none, 2), 1);
	assert_int_equal(command_on(f, ctrl, 4, 0, many, 2), 1);
	assert_int_equal(command_on(f, ctrl, 4, 0, two, 2), 0);
	assert_int_equal(f->wire.queues, 2);
	assert_int_equal(f->wire.pairs[1].noffered, 4);
	/* Both directions of the second pair. */
	(void)add_buffers(f, 2, 1, 2048);
	wire_arrives(&f->wire, 1, frame_to(OURS, 60), 60);
	fakeboard_settle(&f->board);
	assert_int_equal(vslot_used(&f->v, 2, 0), HDR + 60);
	buf = (struct ring_buf){put_packet(f, (struct header){0}, 60), HDR + 60,
				false};
	vslot_add(&f->v, 3, &buf, 1, 1);
	vslot_kick(&f->v, 3);
	assert_int_equal(vslot_used(&f->v, 3, 1), 0);
	assert_int_equal(f->wire.last_pair, 1);
	/* And back to one. */
	assert_int_equal(command_on(f, ctrl, 4, 0, one, 2), 0);
	assert_int_equal(f->wire.pairs[1].noffered, 0);
	assert_int_equal(f->wire.queues, 1);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
	f->wire.refuses = -EIO;
	assert_int_equal(command_on(f, ctrl, 4, 0, two, 2), 1);
	f->wire.refuses = 0;
	/* A driver of one pair has its control queue behind that. */
	vslot_start(&f->v, F_ALL & ~F_MQ, 3);
	assert_int_equal(command_u8(f, 0, 0, 0), 0);
	assert_false(accepts(f, OTHER));
}

/* Packets go to the queues that are read, whatever the back end has. */
static void takes_the_queues_it_reads(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", F_ALL);
	assert_false(f->v.d.offered & F_MQ);
	assert_int_equal(f->wire.queues, 1);
	vslot_fini(&f->v);
	f->wire.queues = 0;
	make_and_start(f, ",mq=on", F_ALL);
	assert_int_equal(f->wire.queues, 1);
}

/* Link, configuration, life cycle. */

static void follows_the_link(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", F_ALL);
	assert_int_equal(vdriver_config(&f->v.d, 6, 2), 1);
	(void)vslot_irqs(&f->v);
	f->wire.net.link_changed(f->wire.net.opaque, false);
	fakeboard_settle(&f->board);
	assert_int_equal(vdriver_config(&f->v.d, 6, 2), 0);
	assert_int_equal(vslot_irqs(&f->v), 1);
	assert_false(sends(f, (struct header){0}, 60));
	assert_false(accepts(f, OURS));
	f->wire.net.link_changed(f->wire.net.opaque, true);
	fakeboard_settle(&f->board);
	assert_int_equal(vdriver_config(&f->v.d, 6, 2), 1);
	assert_true(sends(f, (struct header){0}, 60));
	assert_true(accepts(f, OURS));
}

static void gives_default_addresses(void **state)
{
	struct fixture *f = *state;
	static struct vslot second;

	make(f, "");
	vslot_init(&second, &f->board, 1, "virtio-net-device,netdev=n1", &f->e);
	assert_non_null(second.dev);
	assert_int_equal(vdriver_config(&f->v.d, 0, 4), 0x12005452);
	assert_int_equal(vdriver_config(&f->v.d, 4, 2), 0x5634);
	assert_int_equal(vdriver_config(&second.d, 4, 2), 0x5734);
	vslot_fini(&second);
	vslot_init(&second, &f->board, 1,
		   "virtio-net-device,netdev=n1,mac=02:03:04:05:06:07", &f->e);
	assert_int_equal(vdriver_config(&second.d, 0, 4), 0x05040302);
	assert_int_equal(vdriver_config(&second.d, 4, 2), 0x0706);
	vslot_fini(&second);
}

static void describes_the_link(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", 0);
	assert_false(f->v.d.offered & (F_MTU | F_SPEED | F_MQ));
	vslot_fini(&f->v);
	make_and_start(f, ",host_mtu=1400,speed=10000,duplex=full", 0);
	assert_int_equal(f->v.d.offered & (F_MTU | F_SPEED), F_MTU | F_SPEED);
	assert_int_equal(vdriver_config(&f->v.d, 10, 2), 1400);
	assert_int_equal(vdriver_config(&f->v.d, 12, 4), 10000);
	assert_int_equal(vdriver_config(&f->v.d, 16, 1), 1);
	vslot_fini(&f->v);
	f->wire.net.caps.mtu = 9000;
	make_and_start(f, ",duplex=half", 0);
	assert_int_equal(vdriver_config(&f->v.d, 10, 2), 9000);
	assert_int_equal(vdriver_config(&f->v.d, 12, 4), UINT32_MAX);
	assert_int_equal(vdriver_config(&f->v.d, 16, 1), 0);
}

static void offers_what_the_back_end_can(void **state)
{
	struct fixture *f = *state;
	const uint64_t csum = F_CSUM | F_GUEST_CSUM | F_GSO | F_HOST_TSO4 |
			      F_GUEST_TSO4 | F_CTRL_OFFL;
	const uint64_t ctrl = F_CTRL_VQ | F_CTRL_RX | F_CTRL_EXTRA |
			      F_CTRL_VLAN | F_CTRL_MAC | F_CTRL_OFFL;

	make_and_start(f, "", 0);
	assert_int_equal(f->v.d.offered & (csum | ctrl), csum | ctrl);
	assert_true(f->v.d.offered & F_MAC);
	vslot_fini(&f->v);
	make_and_start(f, ",csum=off,guest_csum=off,ctrl_vlan=off", 0);
	assert_int_equal(f->v.d.offered & (csum | ctrl),
			 ctrl & ~(F_CTRL_OFFL | F_CTRL_VLAN));
	vslot_fini(&f->v);
	make(f, ",ctrl_vq=off,mq=on,mrg_rxbuf=off,status=off");
	vslot_start(&f->v, 0, 2);
	assert_int_equal(f->v.d.offered & (ctrl | F_MQ | F_MRG | F_STATUS), 0);
	vslot_fini(&f->v);
	f->wire.net.caps.vnet_hdr = false;
	make_and_start(f, "", F_ALL);
	assert_int_equal(f->v.d.offered & csum, 0);
	assert_true(sends(f, (struct header){0}, 60));
	vslot_fini(&f->v);
	f->wire.net.caps.vnet_hdr = true;
	f->wire.net.caps.offloads = NET_CSUM;
	make_and_start(f, "", 0);
	assert_int_equal(f->v.d.offered & csum,
			 F_CSUM | F_GUEST_CSUM | F_CTRL_OFFL);
}

static void hold_both_ways(struct fixture *f)
{
	struct ring_buf buf;

	/* Packets under way, a packet half delivered, and one behind it. */
	f->heap = VSLOT_HEAP;
	f->wire.holds = true;
	buf = (struct ring_buf){put_packet(f, (struct header){0}, 60), HDR + 60,
				false};
	for (unsigned i = 0; i < 8; i++)
		vslot_add(&f->v, TX, &buf, 1, i);
	vslot_kick(&f->v, TX);
	assert_int_equal(f->wire.pairs[0].nheld, 8);
	(void)add_buffers(f, RX, 2, 512);
	arrives(f, OURS, 1400);
	arrives(f, OURS, 300);
	assert_false(vslot_has_used(&f->v, RX));
	assert_int_equal(f->wire.pairs[0].noffered, 2);
}

static void resets_in_flight(void **state)
{
	struct fixture *f = *state;

	make(f, ",packed=on");
	for (unsigned i = 0; i < 4; i++) {
		vslot_start(&f->v, F_MRG | (i % 2 ? F_PACKED : 0), 2);
		hold_both_ways(f);
		vslot_reset(&f->v);
		assert_int_equal(f->wire.pairs[0].noffered, 0);
		assert_int_equal(f->wire.pairs[0].nheld, 0);
		f->wire.holds = false;
		vslot_start(&f->v, F_MRG, 2);
		assert_int_equal(f->wire.pairs[0].noffered, 4);
		assert_true(sends(f, (struct header){0}, 60));
		(void)add_buffers(f, RX, 4, 2048);
		arrives(f, OURS, 77);
		assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 77);
		assert_false(vslot_has_used(&f->v, RX));
	}
}

static void detaches_in_flight(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", F_MRG);
	hold_both_ways(f);
	vslot_fini(&f->v);
	assert_int_equal(f->wire.pairs[0].noffered, 0);
	assert_false(f->wire.net.is_used);
}

static void pauses_and_loses_nothing(void **state)
{
	struct fixture *f = *state;

	make(f, ",packed=on");
	for (unsigned i = 0; i < 2; i++) {
		vslot_start(&f->v, F_MRG | (i ? F_PACKED : 0), 2);
		hold_both_ways(f);
		f->v.dev->class->pause(f->v.dev);
		assert_int_equal(f->wire.pairs[0].noffered, 0);
		for (unsigned n = 0; n < 8; n++)
			assert_int_equal(vslot_used(&f->v, TX, n), 0);
		assert_false(vslot_has_used(&f->v, RX));
		f->wire.holds = false;
		f->v.dev->class->resume(f->v.dev);
		fakeboard_settle(&f->board);
		assert_int_equal(f->wire.pairs[0].noffered, 2);
		(void)add_buffers(f, RX, 2, 512);
		assert_int_equal(vslot_used(&f->v, RX, 0), 512);
		assert_int_equal(vslot_used(&f->v, RX, 1), 512);
		assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 1400 - 1024);
		assert_int_equal(vslot_used(&f->v, RX, 1), HDR + 300);
		assert_int_equal(f->wire.pairs[0].noffered, 4);
		assert_true(sends(f, (struct header){0}, 60));
	}
}

/* Nothing is read before it goes on: neither for a driver that begins, nor
 * for a link that comes up. */
static void pauses_before_it_begins(void **state)
{
	struct fixture *f = *state;
	const struct device_class *c;

	make(f, "");
	c = f->v.dev->class;
	c->pause(f->v.dev);
	vslot_start(&f->v, F_MRG, 2);
	assert_int_equal(f->wire.pairs[0].noffered, 0);
	f->wire.net.link_changed(f->wire.net.opaque, true);
	fakeboard_settle(&f->board);
	assert_int_equal(f->wire.pairs[0].noffered, 0);
	c->resume(f->v.dev);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
	/* And where DRIVER_OK was said, but not yet acted on. */
	vslot_reset(&f->v);
	assert_true(vdriver_negotiate(&f->v.d, F_MRG));
	for (unsigned i = 0; i < 2; i++)
		vdriver_queue(&f->v.d, i, 256);
	vdriver_set(&f->v.d, VIRTIO_MMIO_STATUS, 0xf);
	c->pause(f->v.dev);
	fakeboard_settle(&f->board);
	assert_int_equal(f->wire.pairs[0].noffered, 0);
	c->resume(f->v.dev);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
}

static void resets_one_queue(void **state)
{
	struct fixture *f = *state;

	make(f, "");
	vslot_start(&f->v, F_MRG | BIT(VIRTIO_F_RING_RESET), 2);
	hold_both_ways(f);
	f->wire.holds = false;
	vslot_queue_reset(&f->v, RX);
	assert_int_equal(f->wire.pairs[0].noffered, 0);
	for (unsigned n = 0; n < 8; n++)
		assert_int_equal(vslot_used(&f->v, TX, n), 0);
	assert_true(sends(f, (struct header){0}, 60));
	vdriver_queue(&f->v.d, RX, 64);
	(void)add_buffers(f, RX, 2, 2048);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
	arrives(f, OURS, 90);
	assert_int_equal(vslot_used(&f->v, RX, 0), HDR + 90);
	/* The other one: receiving goes on. */
	vslot_queue_reset(&f->v, TX);
	assert_int_equal(f->wire.pairs[0].noffered, 4);
	arrives(f, OURS, 91);
	assert_int_equal(vslot_used(&f->v, RX, 1), HDR + 91);
	vdriver_queue(&f->v.d, TX, 64);
	assert_true(sends(f, (struct header){0}, 60));
}

/* Offset in the state of a field of one byte, by what saving changes. */
static void load_with(struct fixture *f, const struct state_buf *good,
		      size_t at, uint8_t byte, int rc)
{
	const struct device_class *c = f->v.dev->class;
	struct state_buf b = {0};

	b.data = malloc(good->len);
	assert_non_null(b.data);
	memcpy(b.data, good->data, good->len);
	b.len = b.cap = good->len;
	b.data[at] = byte;
	assert_int_equal(state_load(c->state, f->v.dev, &b, &f->e), 0);
	assert_int_equal(c->loaded(f->v.dev, &f->e), rc);
	state_buf_fini(&b);
}

/* Where two saved states differ first. */
static size_t first_difference(const struct state_buf *a,
			       const struct state_buf *b)
{
	size_t i = 0;

	assert_int_equal(a->len, b->len);
	while (i < a->len && a->data[i] == b->data[i])
		i++;
	assert_true(i < a->len);
	return i;
}

static void saves_its_state(void **state)
{
	struct fixture *f = *state;
	struct state_buf before = {0}, after = {0};
	const struct device_class *c;
	uint8_t data[100];
	size_t nmulti;

	make_and_start(f, "", F_ALL);
	c = f->v.dev->class;
	if (state_check_cover(c->state, sizeof(struct virtio_dev), c->size,
			      &f->e))
		fail_msg("%s", f->e.text);
	assert_int_equal(command_u8(f, 0, 0, 0), 0);
	assert_int_equal(command(f, 1, 1, UNI("\x77"), 6), 0);
	store_le64(data, F_GUEST_CSUM);
	assert_int_equal(command(f, 5, 0, data, 8), 0);
	assert_int_equal(state_save(c->state, f->v.dev, &before, &f->e), 0);
	assert_int_equal(command(f, 1, 0, data, mac_tables(data, 0, 2)), 0);
	assert_int_equal(state_save(c->state, f->v.dev, &after, &f->e), 0);
	nmulti = first_difference(&before, &after);
	vslot_start(&f->v, F_ALL, 3);
	assert_true(accepts(f, OTHER));
	load_with(f, &after, nmulti, 2, 0);
	assert_int_equal(f->wire.offloads, NET_CSUM);
	assert_int_equal(vdriver_config(&f->v.d, 5, 1), 0x77);
	assert_true(accepts(f, MULTI("\x02")));
	assert_false(accepts(f, MULTI("\x03")));
	assert_false(accepts(f, OTHER));
	/* A forged one, whose table is larger than there is. */
	load_with(f, &after, nmulti, 65, -EINVAL);
	state_buf_fini(&before);
	state_buf_fini(&after);
}

static void refuses_bad_properties(void **state)
{
	static const char *const bad[] = {
		"rx_queue_size=100",  "tx_queue_size=2048",
		"host_mtu=67",        "host_mtu=65536",
		"mac=52:54:00:12:34", "mac=01:00:00:00:00:01",
		"duplex=simplex",     "speed=-2",
		"mq=maybe",           "vhost=on",
	};
	struct fixture *f = *state;
	char text[128];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "virtio-net-device,netdev=n0,%s",
			 bad[i]);
		f->e.text[0] = '\0';
		vslot_init(&f->v, &f->board, 0, text, &f->e);
		assert_null(f->v.dev);
		assert_true(strlen(f->e.text) > 10);
		vslot_fini(&f->v);
	}
	f->wire.refuses = -ENOTSUP;
	vslot_init(&f->v, &f->board, 0, "virtio-net-device,netdev=n0", &f->e);
	assert_null(f->v.dev);
	assert_non_null(strstr(f->e.text, "n0"));
	assert_false(f->wire.net.is_used);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(sends_packets),
	T(sends_whatever_layout),
	T(sends_batches),
	T(sends_offloads_that_were_negotiated),
	T(drops_bad_headers),
	T(breaks_on_malformed_packets),
	T(receives_packets),
	T(receives_offloads_that_were_negotiated),
	T(merges_buffers),
	T(drops_what_does_not_fit_one_buffer),
	T(waits_for_buffers),
	T(drops_what_never_fits),
	T(drops_what_fits_no_chains),
	T(breaks_on_bad_buffers),
	T(survives_failing_reads),
	T(filters_by_mode),
	T(filters_by_address),
	T(filters_by_vlan),
	T(refuses_hostile_commands),
	T(logs_once),
	T(breaks_on_malformed_commands),
	T(changes_offloads),
	T(uses_queue_pairs),
	T(takes_the_queues_it_reads),
	T(follows_the_link),
	T(gives_default_addresses),
	T(describes_the_link),
	T(offers_what_the_back_end_can),
	T(resets_in_flight),
	T(detaches_in_flight),
	T(pauses_and_loses_nothing),
	T(pauses_before_it_begins),
	T(resets_one_queue),
	T(saves_its_state),
	T(refuses_bad_properties),
};

TEST_MAIN(tests)
