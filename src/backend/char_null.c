/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end "null": takes everything, gives nothing.
 *
 * Threads: as in backend/chardev.h.
 */
#include "backend/chardev.h"

struct char_null {
	struct chardev chr;
};

static const struct prop char_null_props[] = {PROP_END};

static int null_open(struct chardev *c, struct err *e)
{
	(void)c;
	(void)e;
	return 0;
}

static void null_close(struct chardev *c)
{
	(void)c;
}

static int null_bind(struct chardev *c, struct loop *l, struct err *e)
{
	(void)c;
	(void)l;
	(void)e;
	return 0;
}

static void null_unbind(struct chardev *c)
{
	(void)c;
}

static size_t null_write(struct chardev *c, const void *buf, size_t len)
{
	(void)c;
	(void)buf;
	return len;
}

static void null_accept(struct chardev *c)
{
	(void)c;
}

const struct char_driver char_null_driver = {
	.name = "null",
	.summary = "nothing: output is dropped",
	.size = sizeof(struct char_null),
	.props = char_null_props,
	.open = null_open,
	.close = null_close,
	.bind = null_bind,
	.unbind = null_unbind,
	.write = null_write,
	.accept = null_accept,
};
