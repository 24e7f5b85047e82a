/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block node "raw": the bytes of its child as they are, all or a part.
 *
 * Threads: as in backend/block.h.
 */
#include <errno.h>
#include <inttypes.h>

#include "backend/block.h"
#include "base/num.h"

#define SECTOR 512U

struct blk_raw {
	struct blk_node node;
	uint64_t offset, size; /* bytes; size 0: to the end */
};

static const struct prop blk_raw_props[] = {
	PROP_SIZE(struct blk_raw, offset, "offset", 0, 0, INT64_MAX,
		  "where in the child the disk starts"),
	PROP_SIZE(struct blk_raw, size, "size", 0, 0, INT64_MAX,
		  "size of the disk (0: up to the child's end)"),
	PROP_END,
};

static const char *const blk_raw_children[] = {"file", NULL};

static struct blk_raw *raw_of(struct blk_node *n)
{
	return container_of(n, struct blk_raw, node);
}

static int raw_find_size(struct blk_raw *raw, struct err *e)
{
	uint64_t bytes = raw->node.child->caps.bytes;

	if ((raw->offset | raw->size) % SECTOR)
		return err_set(e, -EINVAL,
			       "offset and size of a raw node are multiples of "
			       "%u",
			       SECTOR);
	if (!range_ok(raw->offset, raw->size, bytes))
		return err_set(e, -EINVAL,
			       "offset %" PRIu64 " and size %" PRIu64
			       " lie beyond the %" PRIu64 " bytes of node '%s'",
			       raw->offset, raw->size, bytes,
			       raw->node.child->name);
	raw->node.caps.bytes = raw->size ? raw->size : bytes - raw->offset;
	return 0;
}

static int raw_open(struct blk_node *n, struct err *e)
{
	const struct blk_node *child = n->child;

	if (child->caps.read_only && !n->read_only)
		return err_set(e, -EACCES,
			       "node '%s' is read-only: give read-only=on",
			       child->name);
	if (n->cache_direct && !child->cache_direct)
		return err_set(e, -EINVAL,
			       "cache.direct=on has to be given to node '%s'",
			       child->name);
	n->caps = child->caps;
	n->caps.read_only = n->read_only;
	n->caps.write_zeroes = child->caps.write_zeroes && !n->read_only;
	n->caps.discard = child->caps.discard && !n->read_only &&
			  n->discard == BLK_DISCARD_UNMAP;
	n->caps.unmap = n->caps.discard;
	return raw_find_size(raw_of(n), e);
}

static void raw_close(struct blk_node *n)
{
	(void)n;
}

static int raw_bind(struct blk_node *n, struct loop *l, struct err *e)
{
	(void)n;
	(void)l;
	(void)e;
	return 0;
}

static void raw_unbind(struct blk_node *n)
{
	(void)n;
}

static void raw_submit(struct blk_node *n, struct blk_req *r)
{
	r->pos += raw_of(n)->offset;
	if (!n->caps.unmap)
		r->flags &= ~(unsigned)BLK_MAY_UNMAP;
	blk_forward(n->child, r);
}

const struct blk_driver blk_raw_driver = {
	.name = "raw",
	.summary = "image without a format, or a part of one",
	.size = sizeof(struct blk_raw),
	.props = blk_raw_props,
	.children = blk_raw_children,
	.open = raw_open,
	.close = raw_close,
	.bind = raw_bind,
	.unbind = raw_unbind,
	.submit = raw_submit,
};
