/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back ends that do nothing: those of the program where it has them, and a
 * network that drops what is sent and never receives.
 */
#include "test/lib/nullback.h"

#include <errno.h>
#include <string.h>

#include "base/keyval.h"
#include "test/lib/test.h"

#include <json-c/json.h>

static struct nullback *null_of(struct net_backend *net)
{
	return container_of(net, struct nullback, net);
}

static int null_net_bind(struct net_port *p, struct loop *l, struct err *e)
{
	(void)e;
	p->loop = l;
	return 0;
}

static void null_net_unbind(struct net_port *p)
{
	assert_true(list_empty(&null_of(p->net)->offered));
	p->loop = NULL;
}

static void null_net_sent(struct loop_io *io, int result)
{
	struct net_tx *t = container_of(io, struct net_tx, io);

	t->port->in_flight--;
	t->sent(t, result);
}

static void null_net_send(struct net_port *p, struct net_tx *t)
{
	t->io = (struct loop_io){.done = null_net_sent};
	loop_complete(p->loop, &t->io, 0);
}

static void null_net_returned(struct loop_io *io, int result)
{
	struct net_rx *r = container_of(io, struct net_rx, io);

	r->port->in_flight--;
	r->received(r, result);
}

static void null_net_receive(struct net_port *p, struct net_rx *r)
{
	r->io = (struct loop_io){.done = null_net_returned};
	list_append(&null_of(p->net)->offered, &r->link);
}

static void null_net_rx_cancel(struct net_port *p)
{
	struct net_rx *r, *next;

	list_for_each_safe(r, next, &null_of(p->net)->offered, link) {
		list_remove(&r->link);
		loop_complete(p->loop, &r->io, -ECANCELED);
	}
}

static int null_net_set_offloads(struct net_backend *n, unsigned offloads)
{
	(void)n;
	(void)offloads;
	return 0;
}

static int null_net_set_hdr_len(struct net_backend *n, unsigned bytes)
{
	n->hdr_len = bytes;
	return 0;
}

static int null_net_set_queues(struct net_backend *n, unsigned pairs)
{
	return pairs <= n->caps.queues ? 0 : -EINVAL;
}

static const struct net_driver null_net_driver = {
	.name = "null",
	.bind = null_net_bind,
	.unbind = null_net_unbind,
	.send = null_net_send,
	.receive = null_net_receive,
	.rx_cancel = null_net_rx_cancel,
	.set_offloads = null_net_set_offloads,
	.set_hdr_len = null_net_set_hdr_len,
	.set_queues = null_net_set_queues,
};

static void null_net_init(struct nullback *n)
{
	n->port = (struct net_port){.net = &n->net, .fd = -1};
	n->net = (struct net_backend){
		.driver = &null_net_driver,
		.id = (char[]){"null"},
		.caps = {.queues = 1},
		.ports = &n->port,
		.link_up = true,
	};
	list_init(&n->net.link);
	list_init(&n->offered);
}

static struct json_object *parse(const char *text)
{
	struct json_object *conf;
	struct err e = {0};

	if (keyval_parse(text, NULL, 0, &conf, &e))
		fail_msg("%s", e.text);
	return conf;
}

static struct chardev *null_chardev(void)
{
	struct json_object *conf = parse("backend=null,id=null");
	struct chardev *c = NULL;
	struct err e = {0};

	if (char_open(conf, &c, &e))
		fail_msg("%s", e.text);
	json_object_put(conf);
	return c;
}

static struct blk_node *null_block(struct blk_graph *g)
{
	struct json_object *conf =
		parse("driver=null-co,node-name=null,size=1048576");
	struct blk_node *n = NULL;
	struct err e = {0};

	blk_graph_init(g);
	if (blk_open(g, conf, "-blockdev", &n, &e))
		fail_msg("%s", e.text);
	json_object_put(conf);
	return n;
}

static struct object *null_rng(void)
{
	struct json_object *conf = parse("qom-type=rng-builtin,id=null");
	struct object *o = NULL;
	struct err e = {0};

	if (object_new(conf, &o, &e))
		fail_msg("%s", e.text);
	json_object_put(conf);
	return o;
}

void nullback_init(struct nullback *n, struct fakeboard *f)
{
	memset(n, 0, sizeof(*n));
	null_net_init(n);
	n->chardev = null_chardev();
	n->rng = null_rng();
	fakeboard_link(f, "chardev", "null", n->chardev);
	fakeboard_link(f, "blockdev", "null", null_block(&n->graph));
	fakeboard_link(f, "rng", "null", n->rng);
	fakeboard_link(f, "netdev", "null", &n->net);
}

void nullback_fini(struct nullback *n)
{
	char_close(n->chardev);
	blk_graph_fini(&n->graph);
	object_free(n->rng);
}

bool nullback_has(const char *kind)
{
	static const char *const kinds[] = {"chardev", "blockdev", "rng",
					    "netdev"};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	return false;
}
