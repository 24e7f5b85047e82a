/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the back ends that the command line names, and finds them by id for
 * the devices that want them.
 *
 * Threads: main.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "backend/chardev.h"
#include "backend/net.h"
#include "backend/object.h"
#include "vmm/config.h"
#include "vmm/sweeper.h"
#include "vmm/vm.h"

static struct object *object_find(struct backends *b, const char *id)
{
	struct object *o;

	list_for_each(o, &b->objects, link)
		if (o->id && !strcmp(o->id, id))
			return o;
	return NULL;
}

static struct chardev *chardev_find(struct backends *b, const char *id)
{
	struct chardev *c;

	list_for_each(c, &b->chardevs, link)
		if (c->id && !strcmp(c->id, id))
			return c;
	return NULL;
}

static struct net_backend *netdev_find(struct backends *b, const char *id)
{
	struct net_backend *n;

	list_for_each(n, &b->netdevs, link)
		if (n->id && !strcmp(n->id, id))
			return n;
	return NULL;
}

/* Says which option it was that failed with r. */
static int name_option(struct json_object *conf, int r, struct err *e)
{
	err_prefix(e, "%s: ", config_where(conf));
	return r;
}

static int open_object(struct backends *b, struct json_object *conf,
		       struct err *e)
{
	struct object *o;
	int r = object_new(conf, &o, e);

	if (r)
		return name_option(conf, r, e);
	if (object_find(b, o->id)) {
		r = err_set(e, -EEXIST, "duplicate ID '%s'", o->id);
		object_free(o);
		return name_option(conf, r, e);
	}
	list_append(&b->objects, &o->link);
	return 0;
}

static int open_chardev(struct backends *b, struct json_object *conf,
			struct err *e)
{
	struct chardev *c;
	int r = char_open(conf, &c, e);

	if (r)
		return name_option(conf, r, e);
	if (chardev_find(b, c->id)) {
		r = err_set(e, -EEXIST, "duplicate ID '%s'", c->id);
		char_close(c);
		return name_option(conf, r, e);
	}
	list_append(&b->chardevs, &c->link);
	return 0;
}

static int open_blockdev(struct backends *b, struct json_object *conf,
			 struct err *e)
{
	struct blk_node *n;

	/* Without a name nothing could use it. */
	if (!json_object_object_get_ex(conf, "node-name", NULL))
		return err_set(e, -EINVAL,
			       "%s: Parameter 'node-name' is missing",
			       config_where(conf));
	return blk_open(&b->blocks, conf, config_where(conf), &n, e);
}

static int open_netdev(struct backends *b, struct json_object *conf,
		       struct err *e)
{
	struct net_backend *n;
	int r = net_open(conf, &n, e);

	if (r)
		return name_option(conf, r, e);
	if (netdev_find(b, n->id)) {
		r = err_set(e, -EEXIST, "duplicate ID '%s'", n->id);
		net_close(n);
		return name_option(conf, r, e);
	}
	list_append(&b->netdevs, &n->link);
	return 0;
}

static int open_each(struct backends *b, struct json_object *array,
		     int (*open)(struct backends *b, struct json_object *conf,
				 struct err *e),
		     struct err *e)
{
	size_t n = array ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++) {
		int r = open(b, json_object_array_get_idx(array, i), e);

		if (r)
			return r;
	}
	return 0;
}

int backends_open(struct backends *b, const struct vm_config *c,
		  struct err *e)
{
	int r;

	list_init(&b->objects);
	list_init(&b->chardevs);
	list_init(&b->netdevs);
	blk_graph_init(&b->blocks);

	r = open_each(b, c->objects, open_object, e);
	if (!r)
		r = open_each(b, c->chardevs, open_chardev, e);
	if (!r)
		r = open_each(b, c->blockdevs, open_blockdev, e);
	if (!r)
		r = open_each(b, c->netdevs, open_netdev, e);
	return r;
}

void backends_close(struct backends *b)
{
	struct net_backend *n, *next_n;
	struct chardev *c, *next_c;
	struct object *o, *next_o;

	if (!b->objects.next)
		return;
	list_for_each_safe(n, next_n, &b->netdevs, link) {
		list_remove(&n->link);
		net_close(n);
	}
	blk_graph_fini(&b->blocks);
	list_for_each_safe(c, next_c, &b->chardevs, link) {
		list_remove(&c->link);
		char_close(c);
	}
	list_for_each_safe(o, next_o, &b->objects, link) {
		list_remove(&o->link);
		object_free(o);
	}
}

int backends_sweep(struct backends *b, struct sweeper *s, struct err *e)
{
	struct chardev *c;

	list_for_each(c, &b->chardevs, link) {
		int r;

		if (!c->leftover)
			continue;
		r = sweeper_add(s, c->leftover, false, e);
		if (r)
			return err_prefix(e, "chardev '%s': ", c->id), r;
		free(c->leftover);
		c->leftover = NULL;
	}
	return 0;
}

static void *resolve_object(struct backends *b, const char *kind,
			    const char *id)
{
	struct object *o = object_find(b, id);

	return o && !strcmp(o->class->kind, kind) ? o : NULL;
}

void *backends_resolve(void *opaque, const char *kind, const char *id,
		       struct err *e)
{
	struct backends *b = opaque;
	void *found;

	if (!strcmp(kind, "blockdev"))
		found = blk_find(&b->blocks, id);
	else if (!strcmp(kind, "chardev"))
		found = chardev_find(b, id);
	else if (!strcmp(kind, "netdev"))
		found = netdev_find(b, id);
	else
		found = resolve_object(b, kind, id);
	if (!found)
		(void)err_set(e, -ENOENT, "there is no %s '%s'", kind, id);
	return found;
}
