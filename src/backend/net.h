/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network back ends (-netdev) as front ends see them: packets, each with a
 * virtio-net header (VIRTIO 1.2, 5.1.6) of the agreed length in front.
 *
 * Sending: the front end hands over up to a ring of packets whose iovecs stay
 * valid until sent() runs. Receiving: the front end offers buffers, the back
 * end fills them and reports; with no buffer offered nothing is read from the
 * host, so a slow guest costs no busy loop.
 *
 * Threads: open, close: main. The rest: the loop of net_bind(), per queue.
 */
#pragma once

#include <sys/uio.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/prop.h"
#include "base/types.h"

struct json_object;
struct net_backend;
struct net_port;

/* Bits of net_caps.offloads and net_set_offloads(). */
enum net_offload {
	NET_CSUM = 1, /* checksum to be completed by the receiver */
	NET_TSO4 = 2,
	NET_TSO6 = 4,
	NET_ECN = 8,
	NET_UFO = 16,
	NET_USO4 = 32,
	NET_USO6 = 64,
};

struct net_caps {
	unsigned offloads; /* the back end takes and gives these */
	bool vnet_hdr;     /* struct virtio_net_hdr goes through it */
	unsigned queues;   /* pairs */
	unsigned mtu;      /* 0: unknown */
};

/* A packet on its way out; embedded in the front end. */
struct net_tx {
	const struct iovec *iov; /* header first */
	unsigned niov;
	void (*sent)(struct net_tx *t, int result); /* bytes or -errno */
	struct loop_io io; /* the back end's own, from here */
	struct net_port *port;
	struct net_tx *next;
	struct list link;
};

/* A buffer to receive into; embedded in the front end. */
struct net_rx {
	const struct iovec *iov; /* room for header and packet */
	unsigned niov;
	/* bytes received (header included), or -errno. -ECANCELED: returned
	 * unused by net_drain(). Packets come in their order; of several
	 * buffers offered, any may have the next. */
	void (*received)(struct net_rx *r, int result);
	struct loop_io io;
	struct net_port *port;
	struct net_rx *next;
	struct list link;
};

struct net_driver {
	const char *name, *summary; /* "tap" */
	size_t size;                /* struct net_backend is first */
	const struct prop *props;
	int (*open)(struct net_backend *n, struct err *e);
	void (*close)(struct net_backend *n);
	int (*bind)(struct net_port *p, struct loop *l, struct err *e);
	void (*unbind)(struct net_port *p);
	void (*send)(struct net_port *p, struct net_tx *t);
	void (*receive)(struct net_port *p, struct net_rx *r);
	/* Everything under way ends early; the callbacks still come. */
	void (*rx_cancel)(struct net_port *p);
	int (*set_offloads)(struct net_backend *n, unsigned offloads);
	int (*set_hdr_len)(struct net_backend *n, unsigned bytes);
	int (*set_queues)(struct net_backend *n, unsigned pairs);
};

extern const struct net_driver *const net_drivers[]; /* NULL-ended */
const struct net_driver *net_driver_find(const char *name);

/* One queue pair. */
struct net_port {
	struct net_backend *net;
	unsigned index;
	struct loop *loop;
	int fd, file;
	unsigned in_flight;
	void *driver_data;
};

struct net_backend {
	const struct net_driver *driver;
	char *id;
	struct net_caps caps;
	struct net_port *ports; /* caps.queues of them */
	unsigned hdr_len;       /* bytes: 10 or 12 */
	bool is_used;
	/* The front end: the link went up or down. NULL: no front end. */
	void (*link_changed)(void *opaque, bool up);
	void *opaque;
	bool link_up;
	struct list link;
};

/* Opens what a -netdev object describes ("type", "id", …). */
int net_open(struct json_object *conf, struct net_backend **ret,
	     struct err *e);
void net_close(struct net_backend *n);
int net_claim(struct net_backend *n, const char *user, struct err *e);
void net_release(struct net_backend *n);

int net_bind(struct net_backend *n, unsigned queue, struct loop *l,
	     struct err *e);
void net_unbind(struct net_backend *n, unsigned queue);
void net_send(struct net_backend *n, unsigned queue, struct net_tx *t);
void net_receive(struct net_backend *n, unsigned queue, struct net_rx *r);
/* All offered buffers come back through received(-ECANCELED), and all packets
 * under way through sent(); returns when they have, running the loop. */
void net_drain(struct net_backend *n, unsigned queue);
int net_set_offloads(struct net_backend *n, unsigned offloads);
int net_set_hdr_len(struct net_backend *n, unsigned bytes);
int net_set_queues(struct net_backend *n, unsigned pairs);
