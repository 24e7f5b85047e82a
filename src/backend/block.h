/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block nodes: the graph that -blockdev builds, as front ends see its root.
 *
 * A request is embedded in the front end's own array; done() runs on the loop
 * that the node is bound to, never from inside blk_submit(). A node states
 * what it can do (struct blk_caps) and the front end offers the guest no more
 * than that.
 *
 * Threads: open, close, attach: main. blk_submit and done: the loop of
 *       blk_bind().
 */
#pragma once

#include <sys/uio.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/prop.h"
#include "base/types.h"

struct blk_node;
struct json_object;

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	BLK_DISCARD,      /* contents become undefined; may be ignored */
	BLK_WRITE_ZEROES, /* BLK_MAY_UNMAP: may free the space */
};

enum blk_flags {
	BLK_FUA = 1, /* on stable storage before done() */
	BLK_MAY_UNMAP = 2,
};

struct blk_caps {
	uint64_t bytes; /* size; a multiple of 512 */
	bool read_only, flush, discard, write_zeroes, unmap;
	bool cache_writeback; /* a write may be volatile until a flush */
	uint32_t logical_block, physical_block; /* bytes, powers of two */
	uint32_t opt_io, min_io;                /* bytes, 0: unknown */
	uint32_t discard_align, max_discard;    /* bytes, 0: any */
	uint32_t io_align; /* of offset and length (O_DIRECT), power of two */
	uint32_t mem_align; /* of iovec bases and lengths */
};

/* One request. The caller fills the first part and owns the whole. */
struct blk_req {
	enum blk_op op;
	unsigned flags;
	uint64_t offset, bytes; /* multiples of 512 */
	const struct iovec *iov; /* of READ and WRITE: exactly bytes */
	unsigned niov;
	/* 0, or -errno: the front end's protocol says the rest. */
	void (*done)(struct blk_req *r, int result);
	/* The node's own. */
	struct blk_node *node;
	struct loop_io io;
	struct iovec tail[2];
	struct iovec *work_iov;
	void *bounce;
	uint64_t progress;
	struct blk_req *next;
	unsigned state;
};

/* A driver of nodes: "file", "host_device", "raw", "null-co". */
struct blk_driver {
	const char *name, *summary;
	size_t size; /* of its object; struct blk_node is first */
	const struct prop *props;
	/* Member names that hold child nodes ("file"), NULL-ended. */
	const char *const *children;
	int (*open)(struct blk_node *n, struct err *e);
	void (*close)(struct blk_node *n); /* half-open too */
	int (*bind)(struct blk_node *n, struct loop *l, struct err *e);
	void (*unbind)(struct blk_node *n); /* no request in flight */
	void (*submit)(struct blk_node *n, struct blk_req *r);
	int (*set_writeback)(struct blk_node *n, bool on);
};

extern const struct blk_driver *const blk_drivers[]; /* NULL-ended */
const struct blk_driver *blk_driver_find(const char *name);

struct blk_node {
	const struct blk_driver *driver;
	char *name; /* node-name, unique; generated "#blockNNN" if not given */
	struct blk_caps caps;
	struct blk_node *child; /* "file" of a format node */
	struct blk_graph *graph;
	struct loop *loop;
	/* Properties that every driver has. */
	bool read_only, cache_direct, cache_no_flush;
	int discard, detect_zeroes; /* enum indices */
	bool is_used; /* by a front end or a parent node */
	/* The front end: caps.bytes is another now. On the loop. NULL: it does
	 * not mind. Set after blk_claim(), cleared by blk_release(). */
	void (*resized)(void *opaque);
	void *opaque;
	unsigned in_flight;
	struct list link;
};

/* The set of nodes of one VM. */
struct blk_graph {
	struct list nodes;
	unsigned unnamed;
};

void blk_graph_init(struct blk_graph *g);
void blk_graph_fini(struct blk_graph *g); /* closes what is left */

/*
 * Opens the node (and inline children) that a -blockdev object describes.
 * `what` names the option for messages.
 */
int blk_open(struct blk_graph *g, struct json_object *conf, const char *what,
	     struct blk_node **ret, struct err *e);
struct blk_node *blk_find(struct blk_graph *g, const char *name);

/* A front end takes the node: -EBUSY if another has it. */
int blk_claim(struct blk_node *n, const char *user, struct err *e);
void blk_release(struct blk_node *n);

/* Where requests and completions will run. Once before the first submit. */
int blk_bind(struct blk_node *n, struct loop *l, struct err *e);
void blk_unbind(struct blk_node *n);

void blk_submit(struct blk_node *n, struct blk_req *r);
/* Waits, by running the loop, until nothing is in flight (pause, reset). */
void blk_drain(struct blk_node *n);
/* Chooses write-back (volatile) or write-through. -ENOTSUP. */
int blk_set_writeback(struct blk_node *n, bool on);
