/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isa-debug-exit: a port by which a test in the guest ends the process with
 * an exit status of its choice, (value << 1) | 1.
 *
 * Spec: none; QEMU's device of that name.
 * Threads: region handlers under d->lock.
 * State: none.
 */
#include "bus/plat.h"

struct debug_exit {
	struct device dev;
	struct region region;
	uint32_t iobase, iosize;
};

static uint64_t debug_exit_read(struct region *r, uint64_t off, unsigned size)
{
	(void)r;
	(void)off;
	(void)size;
	return 0;
}

static void debug_exit_write(struct region *r, uint64_t off, unsigned size,
			     uint64_t value)
{
	struct board *b = r->dev->board;

	(void)off;
	(void)size;
	/* What exit(2) keeps of it. */
	b->request(b, BOARD_EXIT, (int)((value << 1 | 1) & 0xff));
}

static const struct region_ops debug_exit_ops = {
	.read = debug_exit_read,
	.write = debug_exit_write,
};

static int debug_exit_attach(struct device *d, struct err *e)
{
	struct debug_exit *x = container_of(d, struct debug_exit, dev);

	x->region = (struct region){
		.name = "isa-debug-exit",
		.ops = &debug_exit_ops,
		.dev = d,
		.base = x->iobase,
		.len = x->iosize,
		.max = 4,
	};
	return space_add(d->board->ports, &x->region, e);
}

static void debug_exit_detach(struct device *d)
{
	struct debug_exit *x = container_of(d, struct debug_exit, dev);

	space_del(&x->region);
}

static void debug_exit_resources(const struct device *d,
				 struct plat_resources *r)
{
	const struct debug_exit *x =
		container_of_const(d, struct debug_exit, dev);

	r->ports[0].base = (uint16_t)x->iobase;
	r->ports[0].len = (uint16_t)x->iosize;
}

static const struct prop debug_exit_props[] = {
	PROP_U32(struct debug_exit, iobase, "iobase", 0x501, 0, 0xffff,
		 "first port"),
	PROP_U32(struct debug_exit, iosize, "iosize", 2, 1, 0xffff,
		 "number of ports"),
	PROP_END,
};

static const struct state_field debug_exit_state[] = {
	STATE_DEVICE(struct debug_exit),
	STATE_HOST(struct debug_exit, region),
	STATE_HOST(struct debug_exit, iobase),
	STATE_HOST(struct debug_exit, iosize),
	STATE_END,
};

static const struct plat_class debug_exit_plat = {
	.resources = debug_exit_resources,
};

VIREO_DEVICE(debug_exit,
	.name = "isa-debug-exit",
	.summary = "end the process with an exit status",
	.category = CATEGORY_MISC,
	.bus = "ISA",
	.size = sizeof(struct debug_exit),
	.props = debug_exit_props,
	.state = debug_exit_state,
	.attach = debug_exit_attach,
	.detach = debug_exit_detach,
	.flavour = &debug_exit_plat);
