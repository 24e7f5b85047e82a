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
	BLK_DISCARD,      /* contents become undefined; a hint */
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
	uint32_t io_align;  /* of offset and length (O_DIRECT), power of two */
	uint32_t mem_align; /* of iovec bases and lengths */
};

/* One request. The caller fills the first part and owns the whole. */
struct blk_req {
	enum blk_op op;
	unsigned flags;
	uint64_t offset, bytes;  /* multiples of 512 */
	const struct iovec *iov; /* of READ and WRITE: exactly bytes */
	unsigned niov;
	/* 0, or -errno: the front end's protocol says the rest. */
	void (*done)(struct blk_req *r, int result);
	/* The nodes' own. */
	struct blk_node *node; /* where it was submitted */
	struct blk_node *at;   /* which works on it */
	struct loop_io io;
	struct blk_req *next; /* of those that wait for the same thing */
	struct list link;     /* of those under way at the same time */
	uint64_t pos;       /* offset in `at` */
	uint64_t progress;  /* bytes done */
	unsigned iov_index; /* where progress is in iov */
	size_t iov_skip;
	struct iovec span;
	unsigned char *bounce;
	uint64_t deadline_ns;
	unsigned state;
	bool is_odd; /* iovecs that the host does not take */
};

enum blk_discard { BLK_DISCARD_IGNORE, BLK_DISCARD_UNMAP };

/* A driver of nodes: "file", "raw", … */
struct blk_driver {
	const char *name, *summary;
	size_t size; /* of its object; struct blk_node is first */
	const struct prop *props;
	/* Member names that hold child nodes ("file"), NULL-ended. */
	const char *const *children;
	int (*open)(struct blk_node *n, struct err *e);
	void (*close)(struct blk_node *n); /* after a failed open too */
	int (*bind)(struct blk_node *n, struct loop *l, struct err *e);
	void (*unbind)(struct blk_node *n); /* no request in flight */
	/* r->at is n; ends in blk_complete(), never from inside. */
	void (*submit)(struct blk_node *n, struct blk_req *r);
	/* Ends what waits for time to pass. NULL: nothing does. */
	void (*drain)(struct blk_node *n);
};

extern const struct blk_driver blk_file_driver, blk_host_device_driver;
extern const struct blk_driver blk_null_driver, blk_overlay_driver,
	blk_raw_driver;
extern const struct blk_driver *const blk_drivers[]; /* NULL-ended */
/* What every node takes, and the members of its "cache". */
extern const struct prop blk_common_props[], blk_cache_props[];
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
	int discard;       /* enum blk_discard */
	int detect_zeroes; /* off only */
	bool is_open;      /* the driver's open() was called */
	char *user;        /* front end or parent node that has it, or NULL */
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
 * Opens the node (and inline children) that a -blockdev object describes:
 * "driver", "node-name", "read-only", "cache" ("direct", "no-flush"),
 * "discard", "detect-zeroes", the driver's own, and its children as a node's
 * name or an object, which takes over what it does not say itself. `what`
 * names the option for messages.
 */
int blk_open(struct blk_graph *g, struct json_object *conf, const char *what,
	     struct blk_node **ret, struct err *e);
struct blk_node *blk_find(struct blk_graph *g, const char *name);

/* A front end takes the node: -EBUSY if another (named in *e) has it. */
int blk_claim(struct blk_node *n, const char *user, struct err *e);
void blk_release(struct blk_node *n);

/* Where requests and completions will run. Once before the first submit, and
 * again after blk_unbind(). On failure the node is unbound. */
int blk_bind(struct blk_node *n, struct loop *l, struct err *e);
void blk_unbind(struct blk_node *n);

void blk_submit(struct blk_node *n, struct blk_req *r);
/*
 * Waits until nothing is in flight (pause, reset): every done() has run. Runs
 * I/O completions of the loop, of other nodes too, and nothing else.
 */
void blk_drain(struct blk_node *n);

/* For drivers: hands r, at r->pos, to the child to end. */
void blk_forward(struct blk_node *child, struct blk_req *r);
/* For drivers: ends r. From the loop, not from inside submit(). */
void blk_complete(struct blk_req *r, int result);
/* For drivers: as blk_complete(), deferred, so from submit() too. */
void blk_complete_later(struct blk_req *r, int result);
