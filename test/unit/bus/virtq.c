/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/virtq: both layouts, with and without the event index, against the
 * driver model of test/lib/ring.h; and against drivers that break the rules.
 */
#include "bus/virtq.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "bus/gmem.h"
#include "bus/virtio.h"
#include "test/lib/ring.h"
#include "test/lib/test.h"

#define RANGE  MIB      /* RAM is [0, 2 RANGE) from two back ends */
#define RING   0x1000U  /* where the ring is */
#define TABLES 0x20000U /* indirect tables, 16 KiB each */
#define DATA   0x80000U /* buffers */
#define SIZE   16U

#define F_PACKED   BIT(VIRTIO_F_RING_PACKED)
#define F_EVENT    BIT(VIRTIO_F_EVENT_IDX)
#define F_INDIRECT BIT(VIRTIO_F_INDIRECT_DESC)

struct rig {
	struct gmem gm;
	char *ram[2];
	uint64_t features;
	struct virtio_dev vd;
	struct virtq vq;
	struct ring ring;
	struct iovec iov[CHAIN_IOV_MAX];
	struct chain c;
	_Atomic unsigned irqs;
	sem_t irq, kick; /* of the test with two threads */
};

static void rig_irq(struct virtio_dev *vd, struct virtq *vq)
{
	struct rig *g = container_of(vd, struct rig, vd);

	assert_ptr_equal(vq, &g->vq);
	g->irqs++;
	sem_post(&g->irq);
}

static const struct virtio_transport_ops rig_transport = {
	.queue_irq = rig_irq,
};

static int rig_enable(struct rig *g, unsigned size)
{
	virtq_reset(&g->vq);
	ring_init(&g->ring, &g->gm, RING, size, g->features);
	g->vq.size = (uint16_t)size;
	g->vq.desc = g->ring.desc;
	g->vq.driver = g->ring.driver;
	g->vq.device = g->ring.device;
	return virtq_enable(&g->vq, &g->gm, g->features);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	uint64_t features = *(const uint64_t *)*state;
	struct err e;

	assert_non_null(g);
	for (unsigned i = 0; i < 2; i++) {
		g->ram[i] = aligned_alloc(4096, RANGE);
		memset(g->ram[i], 0, RANGE);
		assert_int_equal(
			gmem_add(&g->gm, i * RANGE, RANGE, g->ram[i], &e), 0);
	}
	g->features = features | F_INDIRECT;
	g->vd.transport = &rig_transport;
	g->vq.size_max = 1024;
	g->vq.vd = &g->vd;
	g->c.iov = g->iov;
	g->c.iov_max = CHAIN_IOV_MAX;
	sem_init(&g->irq, 0, 0);
	sem_init(&g->kick, 0, 0);
	assert_int_equal(rig_enable(g, SIZE), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	sem_destroy(&g->irq);
	sem_destroy(&g->kick);
	free(g->ram[0]);
	free(g->ram[1]);
	free(g);
	return 0;
}

static bool is_packed(const struct rig *g)
{
	return g->ring.packed;
}

static bool has_event(const struct rig *g)
{
	return g->ring.event_idx;
}

/* One chain of one writable buffer, published. */
static bool add_one(struct rig *g, unsigned tag)
{
	struct ring_buf b = {DATA, 64, true};

	assert_true(ring_add(&g->ring, &b, 1, tag));
	return ring_publish(&g->ring);
}

static void assert_used(struct rig *g, unsigned tag, uint32_t len)
{
	struct ring_used u;

	assert_true(ring_next_used(&g->ring, &u));
	assert_int_equal(u.tag, tag);
	assert_int_equal(u.len, len);
}

static void assert_none_used(struct rig *g)
{
	struct ring_used u;

	assert_false(ring_next_used(&g->ring, &u));
}

static void refuses_bad_set_up(void **state)
{
	struct rig *g = *state;
	struct virtq *vq = &g->vq;
	struct virtq good = *vq;

#define ENABLE_WITH(field, value, rc)                                          \
	do {                                                                   \
		*vq = good;                                                    \
		vq->ready = false;                                             \
		vq->field = value;                                             \
		assert_int_equal(virtq_enable(vq, &g->gm, g->features), rc);   \
		assert_false(vq->ready);                                       \
		assert_int_equal(virtq_pop(vq, &g->c), 0);                     \
	} while (0)
	ENABLE_WITH(size, 0, -EINVAL);
	ENABLE_WITH(size, 2048, -EINVAL);
	ENABLE_WITH(size_max, 8, -EINVAL);
	ENABLE_WITH(desc, RING + 8, -EINVAL);
	ENABLE_WITH(driver, RING + 1, -EINVAL);
	ENABLE_WITH(device, RING + 2, -EINVAL);
	ENABLE_WITH(desc, RANGE - 16, -EFAULT);
	ENABLE_WITH(desc, UINT64_MAX - 15, -EFAULT);
	ENABLE_WITH(driver, 2 * RANGE, -EFAULT);
	ENABLE_WITH(device, 2 * RANGE, -EFAULT);
	*vq = good;
	vq->size = 12;
	assert_int_equal(virtq_enable(vq, &g->gm, g->features),
			 is_packed(g) ? 0 : -EINVAL);
	*vq = good;
	assert_int_equal(virtq_enable(vq, &g->gm, g->features), 0);
}

/* Exactly as much RAM as the event index needs is asked for. */
static void maps_no_more_than_there_is(void **state)
{
	struct rig *g = *state;
	unsigned avail = is_packed(g) ? 4 : 4 + 2 * SIZE + 2 * has_event(g);
	unsigned used = is_packed(g) ? 4 : 4 + 8 * SIZE + 2 * has_event(g);

	g->vq.driver = 2 * RANGE - (avail + 3U) / 4U * 4U;
	assert_int_equal(virtq_enable(&g->vq, &g->gm, g->features), 0);
	g->vq.driver = 2 * RANGE - avail + (is_packed(g) ? 4 : 2);
	assert_int_equal(virtq_enable(&g->vq, &g->gm, g->features), -EFAULT);
	g->vq.driver = g->ring.driver;
	g->vq.device = 2 * RANGE - (used + 3U) / 4U * 4U;
	assert_int_equal(virtq_enable(&g->vq, &g->gm, g->features), 0);
	g->vq.device += 4;
	assert_int_equal(virtq_enable(&g->vq, &g->gm, g->features), -EFAULT);
}

static void pops_and_pushes(void **state)
{
	struct rig *g = *state;
	struct ring_buf b[] = {{DATA, 5, false},
			       {DATA + 100, 7, false},
			       {DATA + 200, 9, true}};
	char buf[16];

	assert_false(virtq_has_chain(&g->vq));
	assert_int_equal(virtq_pop(&g->vq, &g->c), 0);
	memcpy(g->ram[0] + DATA, "hello", 5);
	memcpy(g->ram[0] + DATA + 100, ", world", 7);
	assert_true(ring_add(&g->ring, b, 3, 77));
	assert_false(virtq_has_chain(&g->vq));
	ring_publish(&g->ring);
	assert_true(virtq_has_chain(&g->vq));
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_false(virtq_has_chain(&g->vq));
	assert_int_equal(g->c.nout, 2);
	assert_int_equal(g->c.nin, 1);
	assert_int_equal(g->c.out_bytes, 12);
	assert_int_equal(g->c.in_bytes, 9);
	assert_int_equal(iov_read(g->c.out, g->c.nout, 0, buf, 16), 12);
	assert_memory_equal(buf, "hello, world", 12);
	assert_int_equal(iov_write(g->c.in, g->c.nin, 0, "thanks", 6), 6);
	assert_none_used(g);
	virtq_push(&g->vq, &g->c, 6);
	assert_used(g, 77, 6);
	assert_none_used(g);
	assert_memory_equal(g->ram[0] + DATA + 200, "thanks", 6);
	assert_int_equal(g->ring.free, SIZE);
}

static void keeps_to_one_way_chains(void **state)
{
	struct rig *g = *state;
	struct ring_buf out = {DATA, 8, false}, in = {DATA, 8, true};
	struct ring_buf none = {DATA, 0, true};

	ring_add(&g->ring, &out, 1, 0);
	ring_add(&g->ring, &in, 1, 0);
	ring_add(&g->ring, &none, 1, 0);
	ring_publish(&g->ring);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.nout, 1);
	assert_int_equal(g->c.nin, 0);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.nout, 0);
	assert_int_equal(g->c.nin, 1);
	assert_ptr_equal(g->c.in, g->iov);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.nout + g->c.nin, 0);
}

/* Buffers, and indirect tables, may lie across two back ends' memory. */
static void crosses_ranges(void **state)
{
	struct rig *g = *state;
	struct ring_buf b[] = {{RANGE - 3, 8, false}, {RANGE, 1, true}};
	char table[32];

	ring_add(&g->ring, b, 2, 1);
	ring_add_indirect(&g->ring, b, 2, table, RANGE - 24, 2);
	memcpy(g->ram[0] + RANGE - 24, table, 24);
	memcpy(g->ram[1], table + 24, 8);
	ring_publish(&g->ring);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
		assert_int_equal(g->c.nout, 2);
		assert_ptr_equal(g->c.out[0].iov_base, g->ram[0] + RANGE - 3);
		assert_int_equal(g->c.out[0].iov_len, 3);
		assert_ptr_equal(g->c.out[1].iov_base, g->ram[1]);
		assert_int_equal(g->c.out[1].iov_len, 5);
		assert_int_equal(g->c.nin, 1);
		assert_ptr_equal(g->c.in[0].iov_base, g->ram[1]);
	}
}

static void takes_indirect_tables(void **state)
{
	struct rig *g = *state;
	struct ring_buf *b = calloc(1025, sizeof(*b));
	char *table = g->ram[0] + TABLES;

	for (unsigned i = 0; i < 1025; i++)
		b[i] = (struct ring_buf){DATA + i, 1, i >= 1000};
	/* Longer than the queue, as Linux does. */
	ring_add_indirect(&g->ring, b, 1024, table, TABLES, 9);
	ring_publish(&g->ring);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.nout, 1000);
	assert_int_equal(g->c.nin, 24);
	assert_int_equal(g->c.ndesc, 1);
	virtq_push(&g->vq, &g->c, 24);
	assert_used(g, 9, 24);
	/* At any alignment. */
	ring_add_indirect(&g->ring, b, 3, table + 1, TABLES + 1, 10);
	ring_publish(&g->ring);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.nout, 3);
	ring_add_indirect(&g->ring, b, 1025, table, TABLES, 11);
	ring_publish(&g->ring);
	assert_int_equal(virtq_pop(&g->vq, &g->c), -E2BIG);
	free(b);
}

/* Direct descriptors, then one indirect: for split rings only (2.7.5.3.2). */
static void mixes_direct_and_indirect(void **state)
{
	struct rig *g = *state;
	struct vring_desc *d = (void *)(g->ram[0] + RING);
	struct vring_desc *t = (void *)(g->ram[0] + TABLES);
	struct vring_avail *avail = (void *)(g->ram[0] + g->ring.driver);

	d[0] = (struct vring_desc){DATA, 1, VRING_DESC_F_NEXT, 5};
	d[5] = (struct vring_desc){
		TABLES, 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0};
	t[0] = (struct vring_desc){DATA, 2, VRING_DESC_F_NEXT, 1};
	t[1] = (struct vring_desc){DATA, 4, VRING_DESC_F_WRITE, 0};
	avail->ring[0] = 0;
	avail->idx = 1;
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.out_bytes, 3);
	assert_int_equal(g->c.in_bytes, 4);
	assert_int_equal(g->c.ndesc, 2);
}

static void gives_back(void **state)
{
	struct rig *g = *state;
	struct ring_buf b[3] = {
		{DATA, 1, false}, {DATA, 2, false}, {DATA, 3, true}};
	struct iovec iov[4];
	struct chain first = {.iov = iov, .iov_max = 4};

	for (unsigned turn = 0; turn < 4 * SIZE; turn++) {
		ring_add(&g->ring, b, 3, turn);
		ring_add(&g->ring, b + 2, 1, turn + 1000);
		ring_publish(&g->ring);
		assert_int_equal(virtq_pop(&g->vq, &first), 1);
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
		virtq_unpop(&g->vq, &g->c);
		virtq_unpop(&g->vq, &first);
		assert_true(virtq_has_chain(&g->vq));
		assert_int_equal(virtq_pop(&g->vq, &first), 1);
		assert_int_equal(first.nout, 2);
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
		assert_int_equal(g->c.nout, 0);
		virtq_push(&g->vq, &first, 3);
		virtq_push(&g->vq, &g->c, 1);
		assert_used(g, turn, 3);
		assert_used(g, turn + 1000, 1);
	}
}

static void flushes_together(void **state)
{
	struct rig *g = *state;
	struct ring_buf b[2] = {{DATA, 8, true}, {DATA + 8, 8, true}};
	struct chain c = g->c;

	for (unsigned turn = 0; turn < 3 * SIZE; turn++) {
		ring_add(&g->ring, b, 2, 1);
		ring_add(&g->ring, b, 1, 2);
		ring_add(&g->ring, b, 2, 3);
		ring_publish(&g->ring);
		for (unsigned i = 1; i <= 3; i++) {
			assert_int_equal(virtq_pop(&g->vq, &c), 1);
			virtq_fill(&g->vq, &c, i);
			assert_none_used(g);
		}
		virtq_flush(&g->vq);
		virtq_flush(&g->vq); /* nothing filled: harmless */
		for (unsigned i = 1; i <= 3; i++)
			assert_used(g, i, i);
		assert_none_used(g);
	}
}

/*
 * Random chains, popped and pushed in random order, for many turns of the ring
 * and of the 16-bit indices.
 */
static void survives_many_turns(void **state)
{
	struct rig *g = *state;
	unsigned random = 1, added = 0, used = 0, flying = 0;
	bool seen[4096] = {false};
	struct {
		struct chain c;
		struct iovec iov[4];
	} fly[SIZE];

	while (used < 80000) {
		struct ring_buf b[4];
		struct ring_used u;

		random = random * 1103515245 + 12345;
		for (unsigned n = random >> 16 & 3; n; n--) {
			for (unsigned i = 0; i < n; i++)
				b[i] = (struct ring_buf){DATA + 8 * i, 8, i};
			if (ring_add(&g->ring, b, n, added & 4095))
				seen[added++ & 4095] = false;
		}
		ring_publish(&g->ring);
		while (flying < SIZE) {
			fly[flying].c.iov = fly[flying].iov;
			fly[flying].c.iov_max = 4;
			if (virtq_pop(&g->vq, &fly[flying].c) != 1)
				break;
			flying++;
		}
		for (unsigned n = random >> 20 & 7; n && flying; n--) {
			unsigned i = (random >> 24) % flying;

			virtq_push(&g->vq, &fly[i].c, fly[i].c.nin);
			fly[i] = fly[--flying];
			fly[i].c.iov = fly[i].iov;
		}
		while (ring_next_used(&g->ring, &u)) {
			assert_false(seen[u.tag]);
			seen[u.tag] = true;
			used++;
		}
		assert_false(g->vq.broken);
	}
	assert_true(added >= used && added - used <= SIZE);
}

static void holds_a_full_ring(void **state)
{
	struct rig *g = *state;
	struct chain c[SIZE];
	struct iovec iov[SIZE][1];

	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < SIZE; i++)
			add_one(g, i);
		for (unsigned i = 0; i < SIZE; i++) {
			c[i] = (struct chain){.iov = iov[i], .iov_max = 1};
			assert_int_equal(virtq_pop(&g->vq, &c[i]), 1);
		}
		assert_int_equal(virtq_pop(&g->vq, &g->c), 0);
		for (unsigned i = SIZE; i--;)
			virtq_push(&g->vq, &c[i], i);
		for (unsigned i = SIZE; i--;)
			assert_used(g, i, i);
	}
}

static void tells_as_asked(void **state)
{
	struct rig *g = *state;

	for (unsigned turn = 0; turn < 4 * SIZE; turn++) {
		g->irqs = 0;
		assert_false(ring_want_irq(&g->ring, true, 0));
		add_one(g, 1);
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
		virtq_notify(&g->vq); /* nothing to tell */
		assert_int_equal(g->irqs, 0);
		virtq_push(&g->vq, &g->c, 1);
		virtq_notify(&g->vq);
		virtq_notify(&g->vq);
		assert_int_equal(g->irqs, 1);
		assert_used(g, 1, 1);

		assert_false(ring_want_irq(&g->ring, false, 0));
		add_one(g, 2);
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
		virtq_push(&g->vq, &g->c, 1);
		virtq_notify(&g->vq);
		assert_int_equal(g->irqs, 1);
		/* The driver finds it when it asks again. */
		assert_true(ring_want_irq(&g->ring, true, 0));
		assert_used(g, 2, 1);
	}
}

/* "Tell me after three more": once, whether they come singly or together. */
static void tells_at_the_event(void **state)
{
	struct rig *g = *state;

	for (unsigned turn = 0; turn < 5 * SIZE; turn++) {
		unsigned batch = turn % 4 + 1;

		g->irqs = 0;
		assert_false(ring_want_irq(&g->ring, true, 3));
		for (unsigned i = 0; i < 8; i++) {
			add_one(g, i);
			assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
			virtq_push(&g->vq, &g->c, i);
			if (i % batch == batch - 1)
				virtq_notify(&g->vq);
			if (i < 3)
				assert_int_equal(g->irqs, 0);
		}
		virtq_notify(&g->vq);
		assert_int_equal(g->irqs, 1);
		for (unsigned i = 0; i < 8; i++)
			assert_used(g, i, i);
	}
}

/* The event of a packed ring counts slots, of a split one chains. */
static void tells_at_the_event_of_long_chains(void **state)
{
	struct rig *g = *state;
	struct ring_buf b[3] = {
		{DATA, 1, true}, {DATA, 2, true}, {DATA, 3, true}};

	for (unsigned turn = 0; turn < 5 * SIZE; turn++) {
		g->irqs = 0;
		assert_false(
			ring_want_irq(&g->ring, true, is_packed(g) ? 3 : 1));
		for (unsigned i = 0; i < 2; i++) {
			assert_true(ring_add(&g->ring, b, 3, i));
			ring_publish(&g->ring);
			assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
			virtq_push(&g->vq, &g->c, i);
			if (turn % 2 || i)
				virtq_notify(&g->vq);
			assert_int_equal(g->irqs, i);
		}
		assert_used(g, 0, 0);
		assert_used(g, 1, 1);
	}
}

static void asks_for_kicks(void **state)
{
	struct rig *g = *state;

	for (unsigned turn = 0; turn < 4 * SIZE; turn++) {
		virtq_want_kick(&g->vq, true);
		assert_false(virtq_has_chain(&g->vq));
		assert_true(add_one(g, 0));
		virtq_want_kick(&g->vq, false);
		assert_false(add_one(g, 1));
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
			virtq_push(&g->vq, &g->c, 0);
			assert_used(g, i, 0);
		}
	}
}

static void resets(void **state)
{
	struct rig *g = *state;

	add_one(g, 0);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	virtq_push(&g->vq, &g->c, 1);
	virtq_reset(&g->vq);
	assert_int_equal(g->vq.size, 1024);
	assert_int_equal(g->vq.desc | g->vq.driver | g->vq.device, 0);
	assert_false(g->vq.ready);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 0);
	virtq_push(&g->vq, &g->c, 1);
	virtq_notify(&g->vq);
	virtq_want_kick(&g->vq, true);
	assert_int_equal(g->irqs, 0);
	assert_int_equal(rig_enable(g, SIZE), 0);
	add_one(g, 5);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
}

static void lists_its_state(void **state)
{
	struct err e = {0};

	(void)state;
	if (state_check_cover(virtq_state, 0, sizeof(struct virtq), &e) ||
	    state_check_cover(virtio_state, 0, sizeof(struct virtio_dev), &e))
		fail_msg("%s", e.text);
}

/* What a snapshot carries is enough to go on in the middle of a turn. */
static void goes_on_after_load(void **state)
{
	struct rig *g = *state;
	struct virtq old;

	for (unsigned i = 0; i < SIZE + 5; i++) {
		add_one(g, i);
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
		virtq_push(&g->vq, &g->c, i);
		assert_used(g, i, i);
	}
	add_one(g, 99);
	old = g->vq;
	memset(&g->vq, 0, sizeof(g->vq));
	g->vq.size_max = old.size_max;
	g->vq.vd = old.vd;
	for (const struct state_field *f = virtq_state; f->name; f++)
		if (f->type == STATE_T_UINT)
			memcpy((char *)&g->vq + f->offset,
			       (char *)&old + f->offset, f->size);
	assert_int_equal(virtq_enable(&g->vq, &g->gm, g->features), 0);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	virtq_push(&g->vq, &g->c, 99);
	assert_used(g, 99, 99);
}

/* Hostile drivers: the queue breaks, and stays so. */

static void assert_breaks(struct rig *g, int rc)
{
	assert_int_equal(virtq_pop(&g->vq, &g->c), rc);
	assert_true(g->vq.broken);
	assert_false(virtq_has_chain(&g->vq));
	assert_int_equal(virtq_pop(&g->vq, &g->c), 0);
	g->irqs = 0;
	virtq_push(&g->vq, &g->c, 1);
	virtq_notify(&g->vq);
	assert_int_equal(g->irqs, 0);
	assert_int_equal(rig_enable(g, SIZE), 0);
}

static void refuses_bad_buffers(void **state)
{
	struct rig *g = *state;
	struct ring_buf b[2] = {{DATA, 8, true}, {DATA, 8, false}};
	const struct ring_buf bad[] = {
		{2 * RANGE - 1, 2, false}, {2 * RANGE, 1, true},
		{UINT64_MAX, 1, true},     {UINT64_MAX - 1, 8, true},
		{0, UINT32_MAX, true},
	};

	/* A buffer to read behind one to write. */
	ring_add(&g->ring, b, 2, 0);
	ring_publish(&g->ring);
	assert_breaks(g, -EINVAL);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ring_add(&g->ring, &bad[i], 1, 0);
		ring_publish(&g->ring);
		assert_breaks(g, -EFAULT);
	}
	/* More pieces than the caller has room for. */
	b[1].is_write = true;
	g->c.iov_max = 1;
	ring_add(&g->ring, b, 2, 0);
	ring_publish(&g->ring);
	assert_breaks(g, -E2BIG);
	g->c.iov_max = 0;
	ring_add(&g->ring, b, 1, 0);
	ring_publish(&g->ring);
	assert_breaks(g, -E2BIG);
}

static void bounds_the_sum(void **state)
{
	struct rig *g = *state;
	struct ring_buf *b = calloc(1024, sizeof(*b));
	struct err e;

	/* 4 GiB of one piece of RAM, again and again. */
	assert_int_equal(gmem_add(&g->gm, GIB, 8 * MIB, g->ram[0], &e), 0);
	for (unsigned i = 0; i < 1024; i++)
		b[i] = (struct ring_buf){GIB, 4 * MIB, i >= 512};
	ring_add_indirect(&g->ring, b, 1024, g->ram[0] + TABLES, TABLES, 0);
	ring_publish(&g->ring);
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.out_bytes + g->c.in_bytes, 4 * GIB);
	b[1023].len++;
	ring_add_indirect(&g->ring, b, 1024, g->ram[0] + TABLES, TABLES, 0);
	ring_publish(&g->ring);
	assert_breaks(g, -EINVAL);
	free(b);
}

/* A chain of one indirect descriptor of these properties. */
static void add_table(struct rig *g, gpa_t gpa, uint32_t len, uint16_t flags)
{
	struct ring_buf b[2] = {{gpa, len, false}, {DATA, 1, true}};
	char *d = g->ring.desc_host;
	bool more = flags & VRING_DESC_F_NEXT;

	ring_add(&g->ring, b, more ? 2 : 1, 0);
	if (is_packed(g))
		g->ring.head_flags |= VRING_DESC_F_INDIRECT;
	else
		((struct vring_desc *)(void *)d)->flags |=
			VRING_DESC_F_INDIRECT;
	ring_publish(&g->ring);
}

static void refuses_bad_tables(void **state)
{
	struct rig *g = *state;
	struct vring_desc *t = (void *)(g->ram[0] + TABLES);

	add_table(g, TABLES, 0, 0);
	assert_breaks(g, -EINVAL);
	add_table(g, TABLES, 24, 0);
	assert_breaks(g, -EINVAL);
	t[0] = (struct vring_desc){DATA, 1, 0, 0};
	add_table(g, TABLES, 16, VRING_DESC_F_NEXT);
	assert_breaks(g, -EINVAL);
	add_table(g, 2 * RANGE, 16, 0);
	assert_breaks(g, -EFAULT);
	add_table(g, UINT64_MAX - 15, 32, 0);
	assert_breaks(g, -EFAULT);
	g->features &= ~F_INDIRECT;
	assert_int_equal(rig_enable(g, SIZE), 0);
	add_table(g, TABLES, 16, 0);
	assert_breaks(g, -EINVAL);
}

static void refuses_bad_split_tables(void **state)
{
	struct rig *g = *state;
	struct vring_desc *t = (void *)(g->ram[0] + TABLES);

	/* Nested; a next outside; a loop. */
	t[0] = (struct vring_desc){TABLES, 16, VRING_DESC_F_INDIRECT, 0};
	add_table(g, TABLES, 16, 0);
	assert_breaks(g, -EINVAL);
	t[0] = (struct vring_desc){DATA, 1, VRING_DESC_F_NEXT, 1};
	add_table(g, TABLES, 16, 0);
	assert_breaks(g, -EINVAL);
	t[0].next = 0;
	add_table(g, TABLES, 16, 0);
	assert_breaks(g, -E2BIG);
	t[0].len = 0;
	add_table(g, TABLES, 16, 0);
	assert_breaks(g, -E2BIG);
}

static void refuses_bad_split_rings(void **state)
{
	struct rig *g = *state;
	struct vring_desc *d = (void *)(g->ram[0] + RING);
	struct vring_avail *avail = (void *)(g->ram[0] + g->ring.driver);

	avail->ring[0] = SIZE;
	avail->idx = 1;
	assert_breaks(g, -EINVAL);
	avail->ring[0] = UINT16_MAX;
	avail->idx = 1;
	assert_breaks(g, -EINVAL);
	d[0] = (struct vring_desc){DATA, 1, VRING_DESC_F_NEXT, SIZE};
	avail->idx = 1;
	assert_breaks(g, -EINVAL);
	d[0] = (struct vring_desc){DATA, 0, VRING_DESC_F_NEXT, 1};
	d[1] = (struct vring_desc){DATA, 0, VRING_DESC_F_NEXT, 0};
	avail->idx = 1;
	assert_breaks(g, -EINVAL);
	/* The index runs away: at once, ... */
	avail->idx = SIZE + 1;
	assert_breaks(g, -EINVAL);
	avail->idx = UINT16_MAX;
	assert_breaks(g, -EINVAL);
	/* ... or with chains in flight that are made available again. */
	d[0] = (struct vring_desc){DATA, 1, 0, 0};
	avail->idx = SIZE;
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	avail->idx = SIZE + 1;
	assert_breaks(g, -EINVAL);
	/* ... or back, to where chains are in flight. */
	d[0] = (struct vring_desc){DATA, 1, 0, 0};
	avail->idx = 4;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	avail->idx = 2;
	assert_breaks(g, -EINVAL);
}

static void refuses_bad_packed_rings(void **state)
{
	struct rig *g = *state;
	struct vring_packed_desc *d = (void *)(g->ram[0] + RING);
	const uint16_t avail = 1U << VRING_PACKED_DESC_F_AVAIL;
	const uint16_t used = 1U << VRING_PACKED_DESC_F_USED;

	/* A list without an end. */
	for (unsigned i = 0; i < SIZE; i++)
		d[i] = (struct vring_packed_desc){DATA, 1, 0,
						  avail | VRING_DESC_F_NEXT};
	assert_breaks(g, -EINVAL);
	/* Slots in flight that are made available again. */
	for (unsigned i = 0; i < SIZE; i++)
		d[i] = (struct vring_packed_desc){DATA, 1, 0, avail};
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	d[0].flags = used;
	assert_breaks(g, -EINVAL);
	/* Indirect behind direct. */
	d[0] = (struct vring_packed_desc){DATA, 1, 0,
					  avail | VRING_DESC_F_NEXT};
	d[1] = (struct vring_packed_desc){TABLES, 16, 0,
					  avail | VRING_DESC_F_INDIRECT};
	assert_breaks(g, -EINVAL);
	/* Flags inside a table are reserved, and ignored (2.8.7). */
	((struct vring_packed_desc *)(void *)(g->ram[0] + TABLES))[0] =
		(struct vring_packed_desc){DATA, 1, 0,
					   VRING_DESC_F_INDIRECT |
						   VRING_DESC_F_NEXT | used};
	d[0] = (struct vring_packed_desc){TABLES, 16, 7,
					  avail | VRING_DESC_F_INDIRECT};
	assert_int_equal(virtq_pop(&g->vq, &g->c), 1);
	assert_int_equal(g->c.id, 7);
	assert_int_equal(g->c.nout, 1);
}

/*
 * Two threads, each sleeping until the other tells it: a notification lost
 * hangs the test (and its alarm ends it).
 */
#define RACE_CHAINS 200000U

static void *race_device(void *arg)
{
	struct rig *g = arg;
	unsigned done = 0;

	while (done < RACE_CHAINS) {
		virtq_want_kick(&g->vq, false);
		while (virtq_pop(&g->vq, &g->c) == 1) {
			virtq_push(&g->vq, &g->c, ++done);
			if (done % 3 == 0)
				virtq_notify(&g->vq);
		}
		virtq_notify(&g->vq);
		virtq_want_kick(&g->vq, true);
		if (done < RACE_CHAINS && !virtq_has_chain(&g->vq))
			sem_wait(&g->kick);
	}
	return NULL;
}

static void loses_no_notification(void **state)
{
	struct rig *g = *state;
	struct ring_buf b = {DATA, 64, true};
	unsigned added = 0, done = 0;
	struct ring_used u;
	pthread_t thread;

	alarm(120);
	pthread_create(&thread, NULL, race_device, g);
	while (done < RACE_CHAINS) {
		unsigned burst = added % 7 + 1;

		while (burst-- && added < RACE_CHAINS &&
		       ring_add(&g->ring, &b, 1, added % SIZE))
			added++;
		if (ring_publish(&g->ring))
			sem_post(&g->kick);
		ring_want_irq(&g->ring, false, 0);
		while (ring_next_used(&g->ring, &u))
			assert_int_equal(u.len, ++done);
		/* Linux asks for the next but some, when it is in no hurry. */
		if (done < RACE_CHAINS &&
		    (added == RACE_CHAINS || g->ring.free < SIZE / 2) &&
		    !ring_want_irq(&g->ring, true,
				   done % 5 && has_event(g) &&
						   SIZE - g->ring.free > 2
					   ? 1
					   : 0))
			sem_wait(&g->irq);
	}
	pthread_join(thread, NULL);
	alarm(0);
	assert_int_equal(done, RACE_CHAINS);
}

static uint64_t modes[] = {0, F_EVENT, F_PACKED, F_PACKED | F_EVENT};

#define IN_MODE(f, i, what)                                                    \
	{                                                                      \
#f " (" what ")", f, setup, teardown, &modes[i]                \
	}
#define IN_SPLIT(f) IN_MODE(f, 0, "split"), IN_MODE(f, 1, "split, event index")
#define IN_PACKED(f)                                                           \
	IN_MODE(f, 2, "packed"), IN_MODE(f, 3, "packed, event index")
#define IN_ALL(f) IN_SPLIT(f), IN_PACKED(f)

static const struct CMUnitTest tests[] = {
	IN_ALL(refuses_bad_set_up),
	IN_ALL(maps_no_more_than_there_is),
	IN_ALL(pops_and_pushes),
	IN_ALL(keeps_to_one_way_chains),
	IN_ALL(crosses_ranges),
	IN_ALL(takes_indirect_tables),
	IN_SPLIT(mixes_direct_and_indirect),
	IN_ALL(gives_back),
	IN_ALL(flushes_together),
	IN_ALL(survives_many_turns),
	IN_ALL(holds_a_full_ring),
	IN_ALL(tells_as_asked),
	IN_MODE(tells_at_the_event, 1, "split"),
	IN_MODE(tells_at_the_event, 3, "packed"),
	IN_MODE(tells_at_the_event_of_long_chains, 1, "split"),
	IN_MODE(tells_at_the_event_of_long_chains, 3, "packed"),
	IN_ALL(asks_for_kicks),
	IN_ALL(resets),
	cmocka_unit_test(lists_its_state),
	IN_ALL(goes_on_after_load),
	IN_ALL(refuses_bad_buffers),
	IN_ALL(bounds_the_sum),
	IN_ALL(refuses_bad_tables),
	IN_SPLIT(refuses_bad_split_tables),
	IN_SPLIT(refuses_bad_split_rings),
	IN_PACKED(refuses_bad_packed_rings),
	IN_ALL(loses_no_notification),
};

TEST_MAIN(tests)
