/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes a virtqueue: two bytes pick layout, features and size; the rest is a
 * script of a driver's writes to RAM and of what a device does with the
 * queue. Every chain that is popped must keep its promises: its buffers lie
 * in RAM (the sanitizer knows its edges), its sums are right and bounded, and
 * no more are out than the queue has entries.
 */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "bus/gmem.h"
#include "bus/virtio.h"
#include "test/fuzz/fuzz.h"

#define RANGE   0x8000U /* RAM is two pieces of this, and one far above */
#define HIGH    (4 * GIB)
#define ENTRIES 16U
#define IOVS    24U

struct input {
	const uint8_t *p, *end;
};

struct fuzz {
	struct gmem gm;
	uint8_t *ram[3];
	uint64_t features;
	struct virtio_dev vd;
	struct virtq vq;
	unsigned out; /* chains in flight, the first ones of these */
	struct chain chains[ENTRIES];
	struct iovec iovs[ENTRIES][IOVS];
	unsigned filled; /* not flushed */
	unsigned fresh;  /* popped since one was filled: may be unpopped */
};

static void must(bool condition)
{
	if (!condition)
		abort();
}

static uint8_t take(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static void fuzz_irq(struct virtio_dev *vd, struct virtq *vq)
{
	(void)vd;
	must(!vq->broken);
}

static const struct virtio_transport_ops fuzz_transport = {
	.queue_irq = fuzz_irq,
};

static bool fuzz_is_ram(const struct fuzz *f, const struct iovec *v)
{
	for (unsigned i = 0; i < 3; i++) {
		size_t off = (size_t)((uint8_t *)v->iov_base - f->ram[i]);

		if (off < RANGE && v->iov_len <= RANGE - off)
			return true;
	}
	return false;
}

static void fuzz_check_iov(const struct fuzz *f, const struct iovec *iov,
			   unsigned n, uint64_t bytes, int write)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		must(iov[i].iov_len && fuzz_is_ram(f, &iov[i]));
		if (write >= 0)
			memset(iov[i].iov_base, write, 1);
		sum += iov[i].iov_len;
	}
	must(sum == bytes);
}

static void fuzz_check_chain(const struct fuzz *f, const struct chain *c)
{
	must(c->nout + c->nin <= c->iov_max);
	must(c->out == c->iov && c->in == c->iov + c->nout);
	must(c->out_bytes + c->in_bytes <= 4 * GIB);
	must(c->ndesc >= 1 && c->ndesc <= f->vq.size);
	fuzz_check_iov(f, c->out, c->nout, c->out_bytes, -1);
	fuzz_check_iov(f, c->in, c->nin, c->in_bytes, 0x5a);
}

static void fuzz_pop(struct fuzz *f, struct input *in)
{
	/* With a full queue none can be had, but an error can. */
	bool is_full = f->out == f->vq.size;
	struct iovec spare;
	struct chain none = {.iov = &spare};
	struct chain *c = is_full ? &none : &f->chains[f->out];
	bool has = virtq_has_chain(&f->vq);
	int rc;

	if (f->filled)
		return;
	if (!is_full) {
		c->iov = f->iovs[f->out];
		c->iov_max = take(in) % (IOVS + 1);
	}
	rc = virtq_pop(&f->vq, c);
	must(rc <= 1 && (rc != 1 || (has && !is_full)));
	must(rc >= 0 || f->vq.broken);
	if (rc != 1)
		return;
	fuzz_check_chain(f, c);
	f->out++;
	f->fresh++;
}

/* Returns (or fills) one of those in flight; storage stays in order. */
static void fuzz_fill(struct fuzz *f, struct input *in)
{
	unsigned i = take(in);
	struct chain *c;

	if (!f->out)
		return;
	i %= f->out;
	c = &f->chains[i];
	virtq_fill(&f->vq, c, (uint32_t)MIN(c->in_bytes, UINT32_MAX));
	f->filled++;
	f->fresh = 0;
	f->out--;
	if (i == f->out)
		return;
	/* The last one takes its place, with its iovecs. */
	memcpy(f->iovs[i], f->iovs[f->out], sizeof(f->iovs[i]));
	*c = f->chains[f->out];
	c->iov = c->out = f->iovs[i];
	c->in = c->iov + c->nout;
}

static void fuzz_flush(struct fuzz *f)
{
	virtq_flush(&f->vq);
	f->filled = 0;
}

static void fuzz_enable(struct fuzz *f, uint8_t size)
{
	f->out = f->filled = f->fresh = 0;
	virtq_reset(&f->vq);
	f->vq.size = size;
	f->vq.desc = 0;
	f->vq.driver = 0x400;
	f->vq.device = 0x800;
	if (virtq_enable(&f->vq, &f->gm, f->features))
		must(!f->vq.ready);
}

/* A driver's write: where (16 bits, and a bit for high RAM), and what. */
static void fuzz_write(struct fuzz *f, struct input *in)
{
	unsigned at = take(in) | (unsigned)take(in) << 8;
	uint8_t n = take(in);
	uint8_t *ram = f->ram[n & 0x80 ? 2 : at / RANGE];

	for (n &= 0x7f, at %= RANGE; n && at < RANGE && in->p < in->end; n--)
		ram[at++] = take(in);
}

static void fuzz_step(struct fuzz *f, struct input *in)
{
	uint8_t op = take(in);

	switch (op % 9) {
	case 0:
		fuzz_write(f, in);
		break;
	case 1:
		fuzz_pop(f, in);
		break;
	case 2:
		fuzz_fill(f, in);
		fuzz_flush(f);
		break;
	case 3:
		if (f->fresh && !f->vq.broken) {
			f->fresh--;
			virtq_unpop(&f->vq, &f->chains[--f->out]);
		}
		break;
	case 4:
		virtq_notify(&f->vq);
		break;
	case 5:
		virtq_want_kick(&f->vq, op & 0x80);
		break;
	case 6:
		fuzz_fill(f, in);
		break;
	case 7:
		fuzz_flush(f);
		break;
	case 8:
		fuzz_enable(f, take(in) % (ENTRIES + 2));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const gpa_t bases[] = {0, RANGE, HIGH};
	struct input in = {data, data + len};
	struct fuzz *f = calloc(1, sizeof(*f));
	uint8_t flags = take(&in);

	must(f);
	for (unsigned i = 0; i < 3; i++) {
		f->ram[i] = aligned_alloc(4096, RANGE);
		memset(f->ram[i], 0, RANGE);
		must(!gmem_add(&f->gm, bases[i], RANGE, f->ram[i], NULL));
	}
	f->features = (flags & 1 ? BIT(VIRTIO_F_RING_PACKED) : 0) |
		      (flags & 2 ? BIT(VIRTIO_F_EVENT_IDX) : 0) |
		      (flags & 4 ? BIT(VIRTIO_F_INDIRECT_DESC) : 0);
	f->vd.transport = &fuzz_transport;
	f->vq.vd = &f->vd;
	f->vq.size_max = ENTRIES;
	fuzz_enable(f, take(&in) % (ENTRIES + 2));
	while (in.p < in.end)
		fuzz_step(f, &in);
	for (unsigned i = 0; i < 3; i++)
		free(f->ram[i]);
	free(f);
	return 0;
}
