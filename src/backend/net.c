/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network back ends: opening them by their tables, and the way from a front
 * end's queue pair to the driver.
 *
 * Threads: as in backend/net.h.
 */
#include "backend/net.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/keyval.h"

extern const struct net_driver net_tap_driver;

/* Sorted by name. */
const struct net_driver *const net_drivers[] = {
	&net_tap_driver,
	NULL,
};

const struct net_driver *net_driver_find(const char *name)
{
	for (size_t i = 0; net_drivers[i]; i++)
		if (!strcmp(net_drivers[i]->name, name))
			return net_drivers[i];
	return NULL;
}

static const char *driver_name_at(const void *opaque, size_t i)
{
	(void)opaque;
	return net_drivers[i] ? net_drivers[i]->name : NULL;
}

static const char *conf_str(struct json_object *conf, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(conf, key, &v))
		return NULL;
	return json_object_get_string(v);
}

static int find_driver(struct json_object *conf, const struct net_driver **ret,
		       struct err *e)
{
	const char *name = conf_str(conf, "type"), *near;

	if (!name)
		return err_set(e, -EINVAL, "Parameter 'type' is missing");
	*ret = net_driver_find(name);
	if (*ret)
		return 0;
	near = nearest_name(name, driver_name_at, NULL);
	(void)err_set(e, -ENOENT, "there is no network back end '%s'", name);
	if (near)
		(void)err_append(e, " (did you mean '%s'?)", near);
	return -ENOENT;
}

static int net_build(struct net_backend *n, struct json_object *conf,
		     struct err *e)
{
	static const char *const skip[] = {"type", "id", NULL};
	const struct net_driver *d = n->driver;
	int r = props_init(d->props, n, e);

	if (!r)
		r = props_apply(d->props, n, conf, skip, d->name, e);
	return r ? r : d->open(n, e);
}

int net_open(struct json_object *conf, struct net_backend **ret,
	     struct err *e)
{
	const char *id = conf_str(conf, "id");
	const struct net_driver *d;
	struct net_backend *n;
	int r = find_driver(conf, &d, e);

	if (r)
		return r;
	if (!id || !id_is_valid(id))
		return err_set(e, -EINVAL,
			       "%s: Parameter 'id' expects an identifier: "
			       "letters, digits, '-', '.', '_', starting with "
			       "a letter",
			       d->name);
	n = calloc(1, d->size);
	if (!n)
		return err_set(e, -ENOMEM, "out of memory");
	n->driver = d;
	list_init(&n->link);
	n->id = strdup(id);
	r = n->id ? net_build(n, conf, e)
		  : err_set(e, -ENOMEM, "out of memory");
	if (r) {
		(void)err_prefix(e, "%s '%s': ", d->name, id);
		net_close(n);
		return r;
	}
	*ret = n;
	return 0;
}

void net_close(struct net_backend *n)
{
	if (!n)
		return;
	list_remove(&n->link);
	n->driver->close(n);
	props_fini(n->driver->props, n);
	free(n->id);
	free(n);
}

int net_claim(struct net_backend *n, const char *user, struct err *e)
{
	if (n->is_used)
		return err_set(e, -EBUSY,
			       "%s: netdev '%s' has another front end already",
			       user, n->id);
	n->is_used = true;
	return 0;
}

void net_release(struct net_backend *n)
{
	n->is_used = false;
	n->link_changed = NULL;
}

int net_bind(struct net_backend *n, unsigned queue, struct loop *l,
	     struct err *e)
{
	struct net_port *p = &n->ports[queue];
	int r;

	p->loop = l;
	r = n->driver->bind(p, l, e);
	if (r)
		p->loop = NULL;
	return r;
}

void net_unbind(struct net_backend *n, unsigned queue)
{
	struct net_port *p = &n->ports[queue];

	if (!p->loop)
		return;
	n->driver->unbind(p);
	p->loop = NULL;
}

void net_send(struct net_backend *n, unsigned queue, struct net_tx *t)
{
	struct net_port *p = &n->ports[queue];

	t->port = p;
	p->in_flight++;
	n->driver->send(p, t);
}

void net_receive(struct net_backend *n, unsigned queue, struct net_rx *r)
{
	struct net_port *p = &n->ports[queue];

	r->port = p;
	p->in_flight++;
	n->driver->receive(p, r);
}

void net_drain(struct net_backend *n, unsigned queue)
{
	struct net_port *p = &n->ports[queue];
	struct err e;

	if (!p->in_flight)
		return;
	n->driver->rx_cancel(p);
	while (p->in_flight)
		if (loop_step_io(p->loop, &e))
			return; /* the host fails the wait: nothing comes */
}

int net_set_offloads(struct net_backend *n, unsigned offloads)
{
	if (offloads & ~n->caps.offloads)
		return -ENOTSUP;
	return n->driver->set_offloads(n, offloads);
}

int net_set_hdr_len(struct net_backend *n, unsigned bytes)
{
	int r = n->driver->set_hdr_len(n, bytes);

	if (!r)
		n->hdr_len = bytes;
	return r;
}

int net_set_queues(struct net_backend *n, unsigned pairs)
{
	if (!pairs || pairs > n->caps.queues)
		return -EINVAL;
	return n->driver->set_queues(n, pairs);
}
