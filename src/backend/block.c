/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph of block nodes: what -blockdev describes, who uses which node,
 * and the way of a request into it.
 *
 * What holds for every node is checked here, once, where the request enters:
 * its range, read-only, a flush that `cache.no-flush` drops, a discard that
 * `discard=ignore` drops. Drivers see only what they have to do.
 *
 * Threads: as in the header.
 */
#include "backend/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"
#include "base/num.h"

#define SECTOR    512U
/* Inline children within children. */
#define DEPTH_MAX 8U

const struct blk_driver *const blk_drivers[] = {
	&blk_file_driver,
	&blk_host_device_driver,
	&blk_null_driver,
	&blk_overlay_driver,
	&blk_raw_driver,
	NULL,
};

static const char *const discard_names[] = {
	[BLK_DISCARD_IGNORE] = "ignore",
	[BLK_DISCARD_UNMAP] = "unmap",
	NULL,
};
static const char *const detect_zeroes_names[] = {"off", NULL};

const struct prop blk_common_props[] = {
	PROP_STR(struct blk_node, name, "node-name", NULL,
		 "name by which devices and other nodes refer to this one"),
	PROP_BOOL(struct blk_node, read_only, "read-only", false,
		  "refuse writes"),
	PROP_ENUM(struct blk_node, discard, "discard", BLK_DISCARD_IGNORE,
		  discard_names, "whether discards free space on the host"),
	PROP_ENUM(struct blk_node, detect_zeroes, "detect-zeroes", 0,
		  detect_zeroes_names, "look for zeroes in what is written"),
	PROP_END,
};

const struct prop blk_cache_props[] = {
	PROP_BOOL(struct blk_node, cache_direct, "direct", false,
		  "bypass the host's page cache (O_DIRECT)"),
	PROP_BOOL(struct blk_node, cache_no_flush, "no-flush", false,
		  "ignore flushes: data is lost if the host fails"),
	PROP_END,
};

/* Where messages come from and how deep the graph is. */
struct blk_opening {
	struct blk_graph *graph;
	unsigned depth;
};

static int blk_open_node(const struct blk_opening *o, struct json_object *conf,
			 struct blk_node **ret, struct err *e);

/* --- the graph --- */

void blk_graph_init(struct blk_graph *g)
{
	*g = (struct blk_graph){0};
	list_init(&g->nodes);
}

struct blk_node *blk_find(struct blk_graph *g, const char *name)
{
	struct blk_node *n;

	list_for_each(n, &g->nodes, link) if (!strcmp(n->name, name)) return n;
	return NULL;
}

static const char *blk_driver_name_at(const void *drivers, size_t i)
{
	const struct blk_driver *d =
		((const struct blk_driver *const *)drivers)[i];

	return d ? d->name : NULL;
}

const struct blk_driver *blk_driver_find(const char *name)
{
	for (size_t i = 0; blk_drivers[i]; i++)
		if (!strcmp(blk_drivers[i]->name, name))
			return blk_drivers[i];
	return NULL;
}

/* Half-open too. */
static void blk_close(struct blk_node *n)
{
	list_remove(&n->link);
	if (n->loop)
		blk_unbind(n);
	if (n->is_open)
		n->driver->close(n);
	if (n->child)
		blk_release(n->child);
	props_fini(n->driver->props, n);
	free(n->user);
	free(n->name);
	free(n);
}

void blk_graph_fini(struct blk_graph *g)
{
	if (!g->nodes.next)
		return;
	/* A parent comes after its children. */
	while (!list_empty(&g->nodes))
		blk_close(container_of(g->nodes.prev, struct blk_node, link));
}

/* --- opening --- */

/* NULL: there is none (-EINVAL). */
static const struct blk_driver *blk_choose_driver(struct json_object *conf,
						  struct err *e)
{
	const char *name = json_member_string(conf, "driver"), *near;
	const struct blk_driver *driver;

	if (!name) {
		err_set(e, -EINVAL, "Parameter 'driver' is missing");
		return NULL;
	}
	driver = blk_driver_find(name);
	if (driver)
		return driver;
	near = nearest_name(name, blk_driver_name_at, blk_drivers);
	err_set(e, -EINVAL, "Unknown driver '%s'", name);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	return NULL;
}

static int blk_apply_cache(struct blk_node *n, struct json_object *conf,
			   struct err *e)
{
	struct json_object *cache;

	if (!json_object_object_get_ex(conf, "cache", &cache))
		return 0;
	if (!json_object_is_type(cache, json_type_object))
		return err_set(e, -EINVAL,
			       "Parameter 'cache' expects an object (such as "
			       "cache.direct=on), not '%s'",
			       json_text(cache));
	return props_apply(blk_cache_props, n, cache, NULL, "cache", e);
}

/* The properties that every driver has. */
static int blk_apply_common(struct blk_node *n, struct json_object *conf,
			    struct err *e)
{
	int r = props_init(blk_common_props, n, e);

	for (const struct prop *p = blk_common_props; !r && p->name; p++) {
		struct json_object *value;

		if (json_object_object_get_ex(conf, p->name, &value))
			r = prop_set(p, n, value, e);
	}
	return r ? r : blk_apply_cache(n, conf, e);
}

static int blk_apply_own(struct blk_node *n, struct json_object *conf,
			 struct err *e)
{
	const char *skip[ARRAY_SIZE(blk_common_props) + 8] = {"driver",
							      "cache"};
	unsigned count = 2;
	int r;

	for (const struct prop *p = blk_common_props; p->name; p++)
		skip[count++] = p->name;
	for (unsigned i = 0;
	     i < 4 && n->driver->children && n->driver->children[i]; i++)
		skip[count++] = n->driver->children[i];
	r = props_init(n->driver->props, n, e);
	return r ? r
		 : props_apply(n->driver->props, n, conf, skip, n->driver->name,
			       e);
}

static int blk_set_name(struct blk_graph *g, struct blk_node *n, struct err *e)
{
	if (!n->name)
		return asprintf(&n->name, "#block%03u", g->unnamed++) < 0
			       ? err_set(e, -ENOMEM, "no memory for a name")
			       : 0;
	if (!id_is_valid(n->name))
		return err_set(e, -EINVAL,
			       "Invalid node-name: '%s' (letters, digits, '-', "
			       "'.' and '_', a letter first)",
			       n->name);
	if (blk_find(g, n->name))
		return err_set(e, -EEXIST, "Duplicate node-name '%s'", n->name);
	return 0;
}

/* Gives an inline child what it does not say itself. */
static int blk_inherit(struct json_object *child, struct json_object *conf,
		       struct err *e)
{
	static const char *const names[] = {"read-only", "discard", "cache"};
	int r = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(names) && !r; i++) {
		struct json_object *value;

		if (!json_object_object_get_ex(child, names[i], NULL) &&
		    json_object_object_get_ex(conf, names[i], &value))
			r = json_set(child, names[i], json_object_get(value),
				     e);
	}
	return r;
}

static int blk_open_inline(const struct blk_opening *o,
			   struct json_object *desc, struct json_object *conf,
			   struct blk_node **ret, struct err *e)
{
	struct blk_opening deeper = {.graph = o->graph, .depth = o->depth + 1};
	AUTO_JSON struct json_object *child = NULL;
	int r;

	if (o->depth == DEPTH_MAX)
		return err_set(e, -EINVAL, "Nodes are nested more than %u deep",
			       DEPTH_MAX);
	if (json_object_deep_copy(desc, &child, NULL))
		return err_set(e, -ENOMEM, "no memory for a block node");
	r = blk_inherit(child, conf, e);
	return r ? r : blk_open_node(&deeper, child, ret, e);
}

static int blk_open_child(const struct blk_opening *o, struct blk_node *n,
			  const char *key, struct json_object *conf,
			  struct err *e)
{
	struct json_object *desc = NULL;
	struct blk_node *child = NULL;
	int r;

	(void)json_object_object_get_ex(conf, key, &desc);
	if (json_object_is_type(desc, json_type_object)) {
		r = blk_open_inline(o, desc, conf, &child, e);
		if (r)
			return r;
	} else if (json_object_is_type(desc, json_type_string)) {
		child = blk_find(o->graph, json_object_get_string(desc));
		if (!child)
			return err_set(e, -ENOENT,
				       "Cannot find node '%s' for '%s' of "
				       "driver '%s'",
				       json_object_get_string(desc), key,
				       n->driver->name);
	} else {
		return err_set(e, -EINVAL,
			       "Driver '%s' needs '%s': a node-name, or the "
			       "description of a node",
			       n->driver->name, key);
	}
	r = blk_claim(child, n->name, e);
	if (!r)
		n->child = child;
	return r;
}

static int blk_set_up(const struct blk_opening *o, struct blk_node *n,
		      struct json_object *conf, struct err *e)
{
	int r = blk_apply_common(n, conf, e);

	if (!r)
		r = blk_apply_own(n, conf, e);
	if (!r)
		r = blk_set_name(o->graph, n, e);
	if (!r && n->driver->children && n->driver->children[0])
		r = blk_open_child(o, n, n->driver->children[0], conf, e);
	if (r)
		return r;
	n->is_open = true;
	return n->driver->open(n, e);
}

static int blk_open_node(const struct blk_opening *o, struct json_object *conf,
			 struct blk_node **ret, struct err *e)
{
	const struct blk_driver *driver = blk_choose_driver(conf, e);
	struct blk_node *n;
	int r;

	if (!driver)
		return -EINVAL;
	n = calloc(1, driver->size);
	if (!n)
		return err_set(e, -ENOMEM, "no memory for a block node");
	n->driver = driver;
	n->graph = o->graph;
	list_init(&n->link);
	r = blk_set_up(o, n, conf, e);
	if (r) {
		blk_close(n);
		return r;
	}
	list_append(&o->graph->nodes, &n->link);
	*ret = n;
	return 0;
}

int blk_open(struct blk_graph *g, struct json_object *conf, const char *what,
	     struct blk_node **ret, struct err *e)
{
	struct blk_opening o = {.graph = g};
	struct list *last = g->nodes.prev;
	int r = blk_open_node(&o, conf, ret, e);

	if (!r)
		return 0;
	/* Inline children that were opened before it failed. */
	while (g->nodes.prev != last)
		blk_close(container_of(g->nodes.prev, struct blk_node, link));
	err_prefix(e, "%s: ", what);
	return r;
}

/* --- use --- */

int blk_claim(struct blk_node *n, const char *user, struct err *e)
{
	if (n->user)
		return err_set(e, -EBUSY, "Node '%s' is already in use by '%s'",
			       n->name, n->user);
	n->user = strdup(user);
	return n->user ? 0 : err_set(e, -ENOMEM, "no memory for a name");
}

void blk_release(struct blk_node *n)
{
	free(n->user);
	n->user = NULL;
	n->resized = NULL;
	n->opaque = NULL;
}

int blk_bind(struct blk_node *n, struct loop *l, struct err *e)
{
	int r;

	if (n->child) {
		r = blk_bind(n->child, l, e);
		if (r)
			return r;
	}
	n->loop = l;
	r = n->driver->bind(n, l, e);
	if (r)
		blk_unbind(n);
	return r;
}

void blk_unbind(struct blk_node *n)
{
	if (!n->loop)
		return;
	n->driver->unbind(n);
	n->loop = NULL;
	if (n->child)
		blk_unbind(n->child);
}

/* --- requests --- */

void blk_complete(struct blk_req *r, int result)
{
	r->node->in_flight--;
	r->done(r, result);
}

static void blk_completed_later(struct loop_io *io, int result)
{
	blk_complete(container_of(io, struct blk_req, io), result);
}

void blk_complete_later(struct blk_req *r, int result)
{
	r->io.done = blk_completed_later;
	loop_complete(r->node->loop, &r->io, result);
}

void blk_forward(struct blk_node *child, struct blk_req *r)
{
	r->at = child;
	if (r->op == BLK_FLUSH && child->cache_no_flush)
		blk_complete_later(r, 0);
	else
		child->driver->submit(child, r);
}

/* 1: the driver's; else what it ends with at once. */
static int blk_check(const struct blk_node *n, const struct blk_req *r)
{
	if (r->op == BLK_FLUSH)
		return n->cache_no_flush ? 0 : 1;
	if ((r->offset | r->bytes) % SECTOR ||
	    !range_ok(r->offset, r->bytes, n->caps.bytes))
		return -EINVAL;
	if (r->op != BLK_READ && n->caps.read_only)
		return -EROFS;
	if (r->op == BLK_DISCARD && !n->caps.discard)
		return 0;
	return r->bytes ? 1 : 0;
}

void blk_submit(struct blk_node *n, struct blk_req *r)
{
	int check = blk_check(n, r);

	n->in_flight++;
	r->node = r->at = n;
	r->next = NULL;
	r->pos = r->offset;
	r->progress = 0;
	r->iov_index = 0;
	r->iov_skip = 0;
	r->bounce = NULL;
	r->state = 0;
	if (check == 1)
		n->driver->submit(n, r);
	else
		blk_complete_later(r, check);
}

void blk_drain(struct blk_node *n)
{
	while (n->in_flight) {
		for (struct blk_node *c = n; c; c = c->child)
			if (c->driver->drain)
				c->driver->drain(c);
		/* Fails only where the host fails the wait: nothing will
		 * complete any more. */
		if (n->in_flight && loop_step_io(n->loop, NULL))
			return;
	}
}
