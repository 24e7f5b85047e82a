/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What -object provides: memory, entropy (and later secrets, throttle groups,
 * I/O threads). One constant struct object_class a kind.
 *
 * Threads: main, but rng_ops.read and .cancel: the loop of .bind.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/prop.h"
#include "base/types.h"

struct json_object;
struct object;

struct object_class {
	const char *name, *summary; /* "memory-backend-memfd", … */
	const char *kind;           /* what may link to it: "memory", "rng" */
	size_t size;                /* struct object is first */
	const struct prop *props;
	int (*complete)(struct object *o, struct err *e);
	void (*fini)(struct object *o); /* half-built too */
	const void *ops;                /* the kind's own: struct rng_ops … */
};

extern const struct object_class *const object_classes[]; /* NULL-ended */
const struct object_class *object_class_find(const char *name);

struct object {
	const struct object_class *class;
	char *id;
	unsigned users;
	struct list link;
};

/* Makes what an -object describes ("qom-type", "id", …). */
int object_new(struct json_object *conf, struct object **ret, struct err *e);
void object_free(struct object *o);

/* Memory: kind "memory". */
struct memory_backend {
	struct object obj;
	uint64_t bytes;
	bool share, prealloc, dump, merge;
	void *host; /* mapped by complete() */
	int fd;     /* -1: anonymous */
	bool has_fd;
	/* memory-backend-memfd */
	bool hugetlb, seal;
	uint64_t hugetlbsize;
	/* memory-backend-file */
	char *path;
};

/*
 * The default guest RAM: anonymous and private, merged and reclaimed by the
 * host as it likes, nothing touched yet.
 */
int memory_anonymous(uint64_t bytes, struct memory_backend **ret,
		     struct err *e);

/*
 * Private anonymous memory with nothing else asked of it: pages of it may be
 * replaced by private mappings.
 */
bool memory_is_plain(const struct memory_backend *m);

/* Entropy: kind "rng". */
struct rng_request {
	void *buf;
	size_t len;
	/* bytes, 1…len; or -errno */
	void (*done)(struct rng_request *r, ssize_t result);
	void *opaque;
	struct loop_io io; /* the object's own, from here */
	struct iovec iov;
	bool is_pending;
};

struct rng_ops {
	/* Once a device; all devices of an object are on one loop: -EBUSY. */
	int (*bind)(struct object *o, struct loop *l, struct err *e);
	void (*unbind)(struct object *o);
	void (*read)(struct object *o, struct rng_request *r);
	/* done() has run for r when this returns. */
	void (*cancel)(struct object *o, struct rng_request *r);
};
