/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the registers of a virtio-mmio slot with a virtio-rng in it: the
 * input is a script of register accesses, writes to RAM, steps of the loop,
 * answers of the source of entropy, pauses and resets. Nothing may crash,
 * hang, or keep the device from working after a reset.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/object.h"
#include "base/num.h"
#include "bus/virtio.h"
#include "bus/virtio_mmio.h"
#include "test/fuzz/fuzz.h"
#include "test/lib/vdriver.h"

#define BASE 0xfeb00000U
#define GSI  5U
#define RING 0x1000U

struct input {
	const uint8_t *p, *end;
};

struct source {
	struct object obj;
	struct rng_request *request;
};

/* One board for all inputs; the device and the RAM's contents are new. */
static struct fakeboard board;
static struct virtio_mmio *slot;
static struct source source;
static struct vdriver driver;

static int source_bind(struct object *o, struct loop *l, struct err *e)
{
	(void)o;
	(void)l;
	(void)e;
	return 0;
}

static void source_unbind(struct object *o)
{
	(void)o;
	if (source.request)
		abort();
}

static void source_read(struct object *o, struct rng_request *r)
{
	(void)o;
	if (source.request || !r->len)
		abort();
	source.request = r;
}

static void source_answer(ssize_t result)
{
	struct rng_request *r = source.request;

	if (!r)
		return;
	if (result > 0) {
		result = MIN(result, (ssize_t)r->len);
		memset(r->buf, 0xa5, (size_t)result);
	}
	source.request = NULL;
	r->done(r, result);
}

static void source_cancel(struct object *o, struct rng_request *r)
{
	(void)o;
	if (source.request != r)
		abort();
	source_answer(-ECANCELED);
}

static const struct rng_ops source_ops = {
	.bind = source_bind,
	.unbind = source_unbind,
	.read = source_read,
	.cancel = source_cancel,
};

static const struct object_class source_class = {
	.name = "rng-fuzz",
	.kind = "rng",
	.ops = &source_ops,
};

static void fuzz_init(void)
{
	if (slot)
		return;
	fakeboard_init(&board);
	source.obj.class = &source_class;
	fakeboard_link(&board, "rng", "r0", &source.obj);
	if (virtio_mmio_new(&board.board, 0, BASE, GSI, &slot, NULL))
		abort();
}

static uint8_t take(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

/* Small values are what registers want; a flag asks for 32 bits. */
static uint32_t take_value(struct input *in, bool wide)
{
	uint32_t v = take(in);

	for (unsigned i = 1; wide && i < 4; i++)
		v |= (uint32_t)take(in) << 8 * i;
	return v;
}

/* A width, and an offset that may cross from the registers to the rest. */
static void fuzz_access(struct input *in, uint8_t op)
{
	unsigned size = 1U << (op >> 4 & 3);
	gpa_t at = BASE + take(in) + (op & 0x80 ? 0x100U : 0);

	if (op & 0x40)
		fakeboard_write(&board, at, size, take_value(in, true));
	else
		(void)fakeboard_read(&board, at, size);
}

static void fuzz_write_ram(struct input *in)
{
	gpa_t at = RING + (take(in) | (unsigned)take(in) << 8);

	for (unsigned n = take(in); n && in->p < in->end; n--)
		board.ram[at++ % FAKE_RAM] = (char)take(in);
}

/* The start of a well-behaved driver, so that scripts get further. */
static void fuzz_start(struct input *in)
{
	uint8_t what = take(in);

	vdriver_init(&driver, &board, BASE, GSI);
	if (!vdriver_negotiate(&driver, what & 1
						? VDRIVER_ALL
						: BIT(VIRTIO_F_RING_RESET) |
							  (uint64_t)what << 28))
		abort();
	vdriver_set(&driver, VIRTIO_MMIO_QUEUE_SEL, 0);
	vdriver_set(&driver, VIRTIO_MMIO_QUEUE_NUM, 1U << (what >> 6));
	vdriver_set(&driver, VIRTIO_MMIO_QUEUE_DESC_LOW, RING);
	vdriver_set(&driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, RING + 0x80);
	vdriver_set(&driver, VIRTIO_MMIO_QUEUE_USED_LOW, RING + 0xc0);
	vdriver_set(&driver, VIRTIO_MMIO_QUEUE_READY, 1);
	vdriver_set(&driver, VIRTIO_MMIO_STATUS, 0xf);
}

static void fuzz_loop(struct device *d, uint8_t op)
{
	struct err e;

	switch (op >> 4 & 7) {
	case 0:
		d->class->pause(d);
		break;
	case 1:
		d->class->resume(d);
		break;
	case 2:
		device_reset(d);
		break;
	case 3:
		loop_advance(board.board.loop, NS_PER_S);
		break;
	default:
		if (loop_step(board.board.loop, 0, &e))
			abort();
	}
}

static void fuzz_step(struct device *d, struct input *in)
{
	uint8_t op = take(in);

	switch (op % 8) {
	case 0:
		fuzz_access(in, op);
		break;
	case 1:
	case 2:
		fakeboard_write(&board, BASE + 4U * (take(in) & 0x3fU), 4,
				take_value(in, op & 0x80));
		break;
	case 3:
		(void)fakeboard_read(&board, BASE + 4U * (take(in) & 0x3fU), 4);
		break;
	case 4:
		fuzz_write_ram(in);
		break;
	case 5:
		fuzz_loop(d, op);
		break;
	case 6:
		source_answer(op & 0x80 ? -EIO : take(in));
		break;
	case 7:
		fuzz_start(in);
		break;
	}
}

/* After all that, a driver that keeps to the rules gets its bytes. */
static void fuzz_still_works(struct device *d)
{
	struct ring_buf b;

	d->class->resume(d);
	vdriver_init(&driver, &board, BASE, GSI);
	if (!vdriver_negotiate(&driver, VDRIVER_ALL))
		abort();
	vdriver_queue(&driver, 0, 8);
	vdriver_set(&driver, VIRTIO_MMIO_STATUS, 0xf);
	b = (struct ring_buf){vdriver_alloc(&driver, 16), 16, true};
	loop_advance(board.board.loop, 2 * NS_PER_S);
	vdriver_send(&driver, 0, &b, 1, 7);
	for (unsigned i = 0; i < 1000 && !source.request; i++)
		fakeboard_step(&board);
	source_answer(16);
	if (vdriver_wait(&driver, 0).tag != 7)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, data + len};
	struct device *d;

	fuzz_init();
	/* Bounded at times, so that the timer has a part in it. */
	d = fakeboard_device(&board, virtio_mmio_bus(slot),
			     take(&in) & 1 ? "virtio-rng-device,rng=r0,"
					     "packed=on"
					   : "virtio-rng-device,rng=r0,"
					     "max-bytes=64,period=1000",
			     NULL);
	if (!d)
		abort();
	while (in.p < in.end)
		fuzz_step(d, &in);
	fuzz_still_works(d);
	device_free(d);
	if (madvise(board.ram, FAKE_RAM, MADV_DONTNEED))
		abort();
	return 0;
}
