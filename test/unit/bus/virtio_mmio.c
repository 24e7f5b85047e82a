/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/virtio and bus/virtio_mmio, register by register, on the real address
 * space and loop: with a device that keeps chains in flight until told, and
 * with vCPUs on threads of their own that reset it at any moment.
 */
#include "bus/virtio_mmio.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/num.h"
#include "bus/virtio.h"
#include "bus/virtio_work.h"
#include "test/lib/test.h"
#include "test/lib/vdriver.h"

#define BASE 0xfeb00000U
#define GSI  5U

#define F_ONE BIT(0) /* class features of the device under test */
#define F_TWO BIT(1) /* requires F_ONE */

#define QUEUES 3U
#define DEPTH  8U

#define REG_QUEUE_RESET 0x0c0

/* Echoes the length of what it reads, at once or when told. */
struct vtest {
	struct virtio_dev vdev;
	bool is_slow; /* property: keeps chains until vtest_finish() */
	bool fails;   /* property: attach does */
	uint8_t config[10];
	/* The loop's. */
	unsigned in_flight, activations, resets, queue_resets, drains;
	unsigned handled;
	bool no_room;
	unsigned late; /* chains that come when the device looks away */
	void (*add_late)(struct vtest *t);
	void *opaque;
	struct vtest_request {
		struct chain c;
		struct iovec iov[4];
		struct virtq *vq; /* NULL: free */
	} requests[QUEUES * DEPTH];
};

static struct vtest *vtest_of(struct virtio_dev *vd)
{
	return container_of(vd, struct vtest, vdev);
}

static void vtest_complete(struct vtest *t, struct vtest_request *r)
{
	struct virtq *vq = r->vq;

	r->vq = NULL;
	t->in_flight--;
	virtq_push(vq, &r->c, (uint32_t)r->c.out_bytes);
	virtq_notify(vq);
}

static void vtest_finish(struct vtest *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(t->requests); i++)
		if (t->requests[i].vq)
			vtest_complete(t, &t->requests[i]);
}

static struct vtest_request *vtest_request(struct vtest *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(t->requests); i++)
		if (!t->requests[i].vq)
			return &t->requests[i];
	return NULL;
}

static void vtest_take(struct vtest *t, struct virtq *vq)
{
	struct vtest_request *r;

	while (!t->no_room && (r = vtest_request(t))) {
		int rc;

		r->c.iov = r->iov;
		r->c.iov_max = ARRAY_SIZE(r->iov);
		rc = virtq_pop(vq, &r->c);
		if (rc < 0)
			virtio_broken(&t->vdev, "malformed chain");
		if (rc <= 0)
			return;
		r->vq = vq;
		t->in_flight++;
		if (!t->is_slow)
			vtest_complete(t, r);
	}
}

static void vtest_handle_queue(struct virtio_dev *vd, struct virtq *vq)
{
	struct vtest *t = vtest_of(vd);

	t->handled++;
	vtest_take(t, vq);
	if (t->late) {
		t->late--;
		t->add_late(t);
	}
}

static void vtest_activate(struct virtio_dev *vd)
{
	assert_true(virtio_is_live(vd));
	vtest_of(vd)->activations++;
}

static void vtest_drain(struct virtio_dev *vd)
{
	vtest_of(vd)->drains++;
	vtest_finish(vtest_of(vd));
}

static void vtest_reset(struct virtio_dev *vd)
{
	struct vtest *t = vtest_of(vd);

	assert_int_equal(t->in_flight, 0);
	memset(t->config, 0, sizeof(t->config));
	t->resets++;
}

static void vtest_queue_reset(struct virtio_dev *vd, struct virtq *vq)
{
	struct vtest *t = vtest_of(vd);

	for (unsigned i = 0; i < ARRAY_SIZE(t->requests); i++)
		assert_ptr_not_equal(t->requests[i].vq, vq);
	t->queue_resets++;
}

static uint64_t vtest_features(struct virtio_dev *vd)
{
	(void)vd;
	return F_ONE | F_TWO;
}

static bool vtest_accepts(const struct virtio_dev *vd, uint64_t features)
{
	(void)vd;
	return !(features & F_TWO) || features & F_ONE;
}

static void vtest_config_read(struct virtio_dev *vd, void *buf)
{
	memcpy(buf, vtest_of(vd)->config, sizeof(vtest_of(vd)->config));
}

static void vtest_config_write(struct virtio_dev *vd, unsigned off,
			       unsigned size, uint64_t value)
{
	value = htole64(value);
	memcpy(vtest_of(vd)->config + off, &value, size);
}

/* The guest sees nothing of a device that is half there. */
static void vtest_is_hidden(struct device *d)
{
	struct space_reader rd;

	space_reader_init(&rd, d->board->mem);
	space_write(&rd, BASE + VIRTIO_MMIO_STATUS, 4, 1);
	assert_int_equal(space_read(&rd, BASE, 4), UINT32_MAX);
	assert_int_equal(space_read(&rd, BASE + VIRTIO_MMIO_CONFIG, 1), 0xff);
	space_reader_fini(&rd);
}

static int vtest_attach(struct device *d, struct err *e)
{
	struct vtest *t = container_of(d, struct vtest, vdev.dev);
	int rc = virtio_attach(&t->vdev, 0, e);

	vtest_is_hidden(d);
	if (!rc && t->fails)
		rc = err_set(e, -EIO, "as told");
	return rc;
}

static void vtest_detach(struct device *d)
{
	struct vtest *t = container_of(d, struct vtest, vdev.dev);

	virtio_detach(&t->vdev);
	vtest_is_hidden(d);
	assert_int_equal(t->in_flight, 0);
}

static const struct virtio_class vtest_virtio = {
	.id = 63,
	.config_size = 10,
	.nqueues = QUEUES,
	.queue_max = DEPTH,
	.features = vtest_features,
	.accepts = vtest_accepts,
	.config_read = vtest_config_read,
	.config_write = vtest_config_write,
	.activate = vtest_activate,
	.handle_queue = vtest_handle_queue,
	.drain = vtest_drain,
	.reset = vtest_reset,
	.queue_reset = vtest_queue_reset,
};

static const struct prop vtest_props[] = {
	VIRTIO_PROPS(struct vtest, vdev),
	PROP_BOOL(struct vtest, is_slow, "slow", false, "when told"),
	PROP_BOOL(struct vtest, fails, "fails", false, "no attach"),
	PROP_END,
};

static const struct device_class vtest_class = {
	.name = "virtio-test-device",
	.bus = "virtio-bus",
	.size = sizeof(struct vtest),
	.props = vtest_props,
	.attach = vtest_attach,
	.detach = vtest_detach,
	.reset = virtio_reset,
	.pause = virtio_pause,
	.resume = virtio_resume,
	.flavour = &vtest_virtio,
};

struct rig {
	struct fakeboard board;
	struct virtio_mmio *slot;
	struct vtest *t;
	struct vdriver v;
	struct ring spare;
	gpa_t data;
};

static int plug(struct rig *g, bool is_slow, bool fails, struct err *e)
{
	struct device *d;
	int rc;

	assert_int_equal(device_new(&vtest_class, "t0", &d, e), 0);
	g->t = container_of(d, struct vtest, vdev.dev);
	g->t->is_slow = is_slow;
	g->t->fails = fails;
	g->t->vdev.packed = true;
	rc = device_attach(d, virtio_mmio_bus(g->slot), &g->board.board, e);
	if (rc) {
		device_free(d);
		g->t = NULL;
	}
	return rc;
}

static int setup_with(void **state, bool bells, bool is_slow)
{
	static struct rig g;
	struct err e = {0};

	memset(&g, 0, sizeof(g));
	fakeboard_init(&g.board);
	if (bells)
		g.board.board.notify = &g.board.notify;
	assert_int_equal(
		virtio_mmio_new(&g.board.board, 3, BASE, GSI, &g.slot, &e), 0);
	vdriver_init(&g.v, &g.board, BASE, GSI);
	assert_int_equal(plug(&g, is_slow, false, &e), 0);
	g.data = vdriver_alloc(&g.v, 4096);
	*state = &g;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false, false);
}

static int setup_slow(void **state)
{
	return setup_with(state, false, true);
}

static int setup_bells(void **state)
{
	return setup_with(state, true, false);
}

static int teardown(void **state)
{
	struct rig *g = *state;

	if (g->t)
		device_free(&g->t->vdev.dev);
	for (unsigned i = 0; i < FAKE_BELLS; i++)
		assert_false(g->board.bells[i].is_used);
	virtio_mmio_free(g->slot);
	fakeboard_fini(&g->board);
	return 0;
}

static uint32_t get(struct rig *g, unsigned reg)
{
	return vdriver_get(&g->v, reg);
}

static void set(struct rig *g, unsigned reg, uint32_t value)
{
	vdriver_set(&g->v, reg, value);
}

/* A chain of len bytes for the device to read, and one byte it may write. */
static void send(struct rig *g, unsigned queue, uint32_t len, unsigned tag)
{
	struct ring_buf b[2] = {{g->data, len, false},
				{g->data + 4095, 1, true}};

	vdriver_send(&g->v, queue, b, 2, tag);
}

static bool needs_reset(struct rig *g)
{
	return get(g, VIRTIO_MMIO_STATUS) & VIRTIO_S_NEEDS_RESET;
}

static void has_its_registers(void **state)
{
	struct rig *g = *state;

	assert_int_equal(get(g, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(g, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(g, VIRTIO_MMIO_DEVICE_ID), 63);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(get(g, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		set(g, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_NUM_MAX), DEPTH);
		assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_int_equal(get(g, REG_QUEUE_RESET), 0);
	}
	set(g, VIRTIO_MMIO_QUEUE_SEL, QUEUES);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
	set(g, VIRTIO_MMIO_SHM_SEL, 0);
	for (unsigned reg = VIRTIO_MMIO_SHM_LEN_LOW;
	     reg <= VIRTIO_MMIO_SHM_BASE_HIGH; reg += 4)
		assert_int_equal(get(g, reg), UINT32_MAX);
	/* Not there, write-only, and not 32 bits. */
	assert_int_equal(get(g, 0x018), 0);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_NUM), 0);
	assert_int_equal(fakeboard_read(&g->board, BASE, 1), 0xff);
	assert_int_equal(fakeboard_read(&g->board, BASE, 2), 0xffff);
	assert_int_equal(fakeboard_read(&g->board, BASE + 0x1fe, 2), 0xffff);
	assert_int_equal(get(g, 0x200), UINT32_MAX);
}

static void claims_nothing_when_empty(void **state)
{
	struct rig *g = *state;

	assert_true(virtio_mmio_is_used(g->slot));
	assert_string_equal(virtio_mmio_bus(g->slot)->name,
			    "virtio-mmio-bus.3");
	assert_int_equal(virtio_mmio_base(g->slot), BASE);
	assert_int_equal(virtio_mmio_gsi(g->slot), GSI);
	device_free(&g->t->vdev.dev);
	g->t = NULL;
	assert_false(virtio_mmio_is_used(g->slot));
	assert_int_equal(get(g, VIRTIO_MMIO_MAGIC_VALUE), UINT32_MAX);
}

static void takes_one_device(void **state)
{
	struct rig *g = *state;
	struct device *d;
	struct err e = {0};

	assert_int_equal(device_new(&vtest_class, "t1", &d, &e), 0);
	assert_int_equal(
		device_attach(d, virtio_mmio_bus(g->slot), &g->board.board, &e),
		-ENOSPC);
	device_free(d);
	assert_int_equal(get(g, VIRTIO_MMIO_DEVICE_ID), 63);
}

static void survives_a_failed_attach(void **state)
{
	struct rig *g = *state;
	struct err e = {0};

	device_free(&g->t->vdev.dev);
	assert_int_equal(plug(g, false, true, &e), -EIO);
	assert_string_equal(e.text, "as told");
	assert_int_equal(get(g, VIRTIO_MMIO_MAGIC_VALUE), UINT32_MAX);
	assert_int_equal(plug(g, false, false, &e), 0);
	assert_int_equal(get(g, VIRTIO_MMIO_DEVICE_ID), 63);
}

static void refuses_an_overlapping_slot(void **state)
{
	struct rig *g = *state;
	struct virtio_mmio *other;
	struct device *d;
	struct err e = {0};

	assert_int_equal(virtio_mmio_new(&g->board.board, 4, BASE + 0x100, 6,
					 &other, &e),
			 0);
	assert_int_equal(device_new(&vtest_class, "t1", &d, &e), 0);
	assert_int_equal(
		device_attach(d, virtio_mmio_bus(other), &g->board.board, &e),
		-EEXIST);
	assert_false(virtio_mmio_is_used(other));
	device_free(d);
	virtio_mmio_free(other);
	assert_int_equal(get(g, VIRTIO_MMIO_DEVICE_ID), 63);
}

static void negotiates(void **state)
{
	struct rig *g = *state;

	assert_true(vdriver_negotiate(&g->v, VDRIVER_ALL));
	assert_int_equal(
		g->v.offered,
		F_ONE | F_TWO | BIT(VIRTIO_F_INDIRECT_DESC) |
			BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_VERSION_1) |
			BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_RING_RESET));
	assert_int_equal(g->t->vdev.features, g->v.offered);
	/* No other features now. */
	set(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(g, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	assert_int_equal(g->t->vdev.features, g->v.offered);
	/* One that requires another. */
	assert_false(vdriver_negotiate(&g->v, F_TWO));
	assert_true(vdriver_negotiate(&g->v, F_TWO | F_ONE));
	assert_true(vdriver_negotiate(&g->v, 0));
	/* Windows past the second read as nothing. */
	set(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(get(g, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	set(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
	assert_int_equal(get(g, VIRTIO_MMIO_DEVICE_FEATURES), 0);
}

/* Sets both windows and asks for FEATURES_OK: is it granted? */
static bool takes_features(struct rig *g, uint64_t features)
{
	set(g, VIRTIO_MMIO_STATUS, 0);
	set(g, VIRTIO_MMIO_STATUS, 3);
	for (unsigned i = 0; i < 2; i++) {
		set(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		set(g, VIRTIO_MMIO_DRIVER_FEATURES,
		    (uint32_t)(features >> 32 * i));
	}
	set(g, VIRTIO_MMIO_STATUS, 0xb);
	return get(g, VIRTIO_MMIO_STATUS) == 0xb;
}

static void refuses_bad_features(void **state)
{
	struct rig *g = *state;

	assert_true(takes_features(g, BIT(VIRTIO_F_VERSION_1)));
	assert_false(takes_features(g, 0));
	assert_false(takes_features(g, F_ONE));
	assert_false(takes_features(g, BIT(VIRTIO_F_VERSION_1) | BIT(2)));
	assert_false(takes_features(g, UINT64_MAX));
	assert_false(takes_features(g, BIT(VIRTIO_F_VERSION_1) |
					       BIT(VIRTIO_F_ACCESS_PLATFORM)));
	/* Refused is not the end: the driver may try again. */
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 3);
	/* No DRIVER_OK without. */
	set(g, VIRTIO_MMIO_STATUS, 7);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 3);
	fakeboard_settle(&g->board);
	assert_int_equal(g->t->activations, 0);
}

static void keeps_status_bits(void **state)
{
	struct rig *g = *state;

	set(g, VIRTIO_MMIO_STATUS, 1);
	set(g, VIRTIO_MMIO_STATUS, 2);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 3);
	/* Not the driver's, or not a bit. */
	set(g, VIRTIO_MMIO_STATUS, 0x73);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 3);
	set(g, VIRTIO_MMIO_STATUS, 0x80);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 0x83);
	set(g, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 0);
}

static void serves_queues(void **state)
{
	struct rig *g = *state;

	vdriver_start(&g->v, VDRIVER_ALL, QUEUES, DEPTH);
	assert_int_equal(g->t->activations, 1);
	for (unsigned turn = 0; turn < 50; turn++)
		for (unsigned q = 0; q < QUEUES; q++) {
			struct ring_used u;

			send(g, q, turn + 1, turn);
			u = vdriver_wait(&g->v, q);
			assert_int_equal(u.tag, turn);
			assert_int_equal(u.len, turn + 1);
		}
	assert_true(vdriver_irqs(&g->v) > 0);
	assert_int_equal(vdriver_ack(&g->v), VIRTIO_MMIO_INT_VRING);
	assert_int_equal(vdriver_ack(&g->v), 0);
}

/* Kicks that KVM delivers by eventfd never reach the register. */
static void uses_doorbells(void **state)
{
	struct rig *g = *state;
	unsigned bells = 0;

	for (unsigned i = 0; i < FAKE_BELLS; i++) {
		const struct fake_bell *b = &g->board.bells[i];

		if (!b->is_used)
			continue;
		bells++;
		assert_int_equal(b->addr, BASE + VIRTIO_MMIO_QUEUE_NOTIFY);
		assert_int_equal(b->size, 4);
		assert_true(b->value < QUEUES);
	}
	assert_int_equal(bells, QUEUES);
	serves_queues(state);
}

/* Chains that wait at DRIVER_OK need no kick; none is taken before. */
static void begins_with_driver_ok(void **state)
{
	struct rig *g = *state;

	assert_true(vdriver_negotiate(&g->v, VDRIVER_ALL));
	vdriver_queue(&g->v, 0, DEPTH);
	send(g, 0, 9, 1);
	vdriver_kick(&g->v, 0);
	fakeboard_settle(&g->board);
	assert_false(ring_want_irq(&g->v.rings[0], true, 0));
	assert_int_equal(g->t->handled, 0);
	vdriver_ok(&g->v);
	assert_int_equal(vdriver_wait(&g->v, 0).len, 9);
	/* The other queues were never set up. */
	vdriver_kick(&g->v, 1);
	vdriver_kick(&g->v, QUEUES);
	vdriver_kick(&g->v, UINT32_MAX);
	fakeboard_settle(&g->board);
	assert_false(needs_reset(g));
}

/* A kick that asks for what is being done already is not needed. */
static void saves_kicks(void **state)
{
	struct rig *g = *state;
	struct ring_buf b = {g->data, 4, false};
	unsigned kicks = 0;

	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	for (unsigned i = 0; i < DEPTH / 2; i++) {
		ring_add(&g->v.rings[0], &b, 1, i);
		if (ring_publish(&g->v.rings[0])) {
			kicks++;
			vdriver_kick(&g->v, 0);
		}
	}
	assert_int_equal(kicks, 1);
	for (unsigned i = 0; i < DEPTH / 2; i++)
		assert_int_equal(vdriver_wait(&g->v, 0).tag, i);
	assert_int_equal(g->t->handled, 2); /* DRIVER_OK, and the kick */
}

static void goes_on_when_there_is_room(void **state)
{
	struct rig *g = *state;

	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	g->t->no_room = true;
	send(g, 0, 1, 1);
	fakeboard_settle(&g->board);
	assert_false(ring_want_irq(&g->v.rings[0], true, 0));
	g->t->no_room = false;
	virtio_serve(&g->t->vdev, &g->t->vdev.vqs[0]);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 1);
}

static void add_late(struct vtest *t)
{
	struct rig *g = t->opaque;
	struct ring_buf b = {g->data, 4, false};

	assert_true(ring_add(&g->v.rings[0], &b, 1, 100 + t->late));
	assert_false(ring_publish(&g->v.rings[0]));
}

/*
 * A chain that comes after the last look at the ring, and before kicks are on
 * again, is not forgotten; nor do those that keep coming keep the loop.
 */
static void looks_again(void **state)
{
	struct rig *g = *state;
	struct ring_used u;

	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	g->t->opaque = g;
	g->t->add_late = add_late;
	g->t->late = 6;
	g->t->handled = 0;
	send(g, 0, 1, 1);
	fakeboard_wait(&g->board, g->t->handled);
	assert_int_equal(g->t->handled, 4);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(vdriver_wait(&g->v, 0).tag, i ? 106 - i : 1);
	fakeboard_settle(&g->board);
	assert_false(ring_next_used(&g->v.rings[0], &u));
}

/* Nor is one that comes when the device has found nothing at all. */
static void looks_again_at_an_empty_ring(void **state)
{
	static const uint64_t layouts[] = {VDRIVER_ALL, 0};
	struct rig *g = *state;

	g->t->opaque = g;
	g->t->add_late = add_late;
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
		vdriver_start(&g->v, layouts[i], 1, DEPTH);
		g->t->late = 1;
		vdriver_kick(&g->v, 0); /* one that has been answered */
		assert_int_equal(vdriver_wait(&g->v, 0).tag, 100);
	}
}

static void resets(void **state)
{
	struct rig *g = *state;

	vdriver_start(&g->v, VDRIVER_ALL, QUEUES, DEPTH);
	for (unsigned i = 0; i < 5; i++)
		send(g, i % QUEUES, 8, i);
	fakeboard_wait(&g->board, g->t->in_flight == 5);
	set(g, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(g->t->in_flight, 0);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(get(g, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(g->t->vdev.features, 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		set(g, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_NUM_MAX), DEPTH);
	}
	/* Nothing stirs until the driver begins anew. */
	g->t->handled = 0;
	vdriver_kick(&g->v, 0);
	fakeboard_settle(&g->board);
	assert_int_equal(g->t->handled, 0);
	vdriver_start(&g->v, 0, QUEUES, DEPTH);
	send(g, 2, 8, 42);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	vtest_finish(g->t);
	assert_int_equal(vdriver_wait(&g->v, 2).tag, 42);
	/* The machine's reset is no different. */
	send(g, 1, 8, 43);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	device_reset(&g->t->vdev.dev);
	assert_int_equal(g->t->in_flight, 0);
	assert_int_equal(get(g, VIRTIO_MMIO_STATUS), 0);
}

/* DRIVER_OK and at once a reset: the loop finds nothing to do. */
static void resets_before_it_begins(void **state)
{
	struct rig *g = *state;
	unsigned resets_before = g->t->resets;

	assert_true(vdriver_negotiate(&g->v, VDRIVER_ALL));
	vdriver_queue(&g->v, 0, DEPTH);
	set(g, VIRTIO_MMIO_STATUS, 0xf);
	set(g, VIRTIO_MMIO_STATUS, 0);
	fakeboard_settle(&g->board);
	assert_int_equal(g->t->activations, 0);
	assert_int_equal(g->t->resets, resets_before + 2);
	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	assert_int_equal(g->t->activations, 1);
}

static void resets_one_queue(void **state)
{
	struct rig *g = *state;

	vdriver_start(&g->v, VDRIVER_ALL, QUEUES, DEPTH);
	send(g, 0, 8, 1);
	send(g, 1, 8, 2);
	fakeboard_wait(&g->board, g->t->in_flight == 2);
	set(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(g, REG_QUEUE_RESET, 1);
	assert_int_equal(get(g, REG_QUEUE_RESET), 0);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(g->t->queue_resets, 1);
	assert_int_equal(vdriver_wait(&g->v, 1).tag, 2);
	/* The others go on, and it comes back, of another size. */
	send(g, 1, 8, 3);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	vtest_finish(g->t);
	assert_int_equal(vdriver_wait(&g->v, 1).tag, 3);
	vdriver_queue(&g->v, 0, 4);
	send(g, 0, 8, 4);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	vtest_finish(g->t);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 4);
}

static void stops_one_queue(void **state)
{
	struct rig *g = *state;

	vdriver_start(&g->v, BIT(VIRTIO_F_EVENT_IDX), QUEUES, DEPTH);
	send(g, 0, 8, 1);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	set(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	/* Not negotiated: refused. */
	set(g, REG_QUEUE_RESET, 1);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 1);
	set(g, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(g->t->in_flight, 0);
	g->t->handled = 0;
	vdriver_kick(&g->v, 0);
	fakeboard_settle(&g->board);
	assert_int_equal(g->t->handled, 0);
}

static void enables_a_queue_late(void **state)
{
	struct rig *g = *state;

	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	vdriver_queue(&g->v, 2, DEPTH);
	send(g, 2, 8, 5);
	assert_int_equal(vdriver_wait(&g->v, 2).tag, 5);
}

static void refuses_bad_queues(void **state)
{
	struct rig *g = *state;

	/* Before FEATURES_OK: not ready, no harm. */
	set(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(g, VIRTIO_MMIO_QUEUE_NUM, DEPTH);
	set(g, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_false(needs_reset(g));
	/* A size that is not offered. */
	assert_true(vdriver_negotiate(&g->v, VDRIVER_ALL));
	set(g, VIRTIO_MMIO_QUEUE_NUM, 2 * DEPTH);
	set(g, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_true(needs_reset(g));
	/* DRIVER_OK brings nothing to life then. */
	vdriver_ok(&g->v);
	assert_int_equal(g->t->activations, 0);
	/* An address that is not RAM, in a device that is live: an interrupt. */
	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	set(g, VIRTIO_MMIO_QUEUE_SEL, 1);
	set(g, VIRTIO_MMIO_QUEUE_NUM, DEPTH);
	set(g, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x80000000);
	set(g, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_true(needs_reset(g));
	assert_int_equal(vdriver_ack(&g->v), VIRTIO_MMIO_INT_CONFIG);
	/* A queue in use cannot be moved. */
	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	set(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(g, VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
	set(g, VIRTIO_MMIO_QUEUE_NUM, 1);
	send(g, 0, 8, 1);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 1);
	/* Queues that do not exist. */
	set(g, VIRTIO_MMIO_QUEUE_SEL, UINT32_MAX);
	set(g, VIRTIO_MMIO_QUEUE_NUM, 1);
	set(g, VIRTIO_MMIO_QUEUE_READY, 1);
	set(g, REG_QUEUE_RESET, 1);
	assert_int_equal(get(g, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_false(needs_reset(g));
}

/* A broken rule: one interrupt, no more service, until the reset. */
static void breaks_and_recovers(void **state)
{
	struct rig *g = *state;
	struct ring_buf bad = {UINT64_MAX - 4095, 16, true};

	vdriver_start(&g->v, VDRIVER_ALL, 2, DEPTH);
	vdriver_send(&g->v, 0, &bad, 1, 1);
	fakeboard_wait(&g->board, needs_reset(g));
	assert_int_equal(vdriver_irqs(&g->v), 1);
	assert_int_equal(vdriver_ack(&g->v), VIRTIO_MMIO_INT_CONFIG);
	send(g, 1, 8, 2);
	vdriver_kick(&g->v, 1);
	fakeboard_settle(&g->board);
	assert_false(ring_want_irq(&g->v.rings[1], true, 0));
	vdriver_start(&g->v, VDRIVER_ALL, 2, DEPTH);
	assert_false(needs_reset(g));
	send(g, 1, 8, 3);
	assert_int_equal(vdriver_wait(&g->v, 1).tag, 3);
}

static void has_a_configuration(void **state)
{
	struct rig *g = *state;
	const gpa_t config = BASE + VIRTIO_MMIO_CONFIG;
	uint32_t generation;

	memcpy(g->t->config, "0123456789", 10);
	assert_int_equal(vdriver_config(&g->v, 0, 1), '0');
	assert_int_equal(vdriver_config(&g->v, 2, 2), '2' | '3' << 8);
	assert_int_equal(vdriver_config(&g->v, 4, 4), load_le32("4567"));
	assert_int_equal(vdriver_config(&g->v, 0, 8), load_le64("01234567"));
	assert_int_equal(vdriver_config(&g->v, 9, 1), '9');
	assert_int_equal(vdriver_config(&g->v, 10, 1), 0xff);
	assert_int_equal(vdriver_config(&g->v, 8, 4), UINT32_MAX);
	assert_int_equal(vdriver_config(&g->v, 0xfc, 4), UINT32_MAX);
	fakeboard_write(&g->board, config + 8, 2, 'x' | 'y' << 8);
	fakeboard_write(&g->board, config, 1, 'z');
	fakeboard_write(&g->board, config + 10, 2, 0);
	fakeboard_write(&g->board, config + 8, 4, 0);
	assert_memory_equal(g->t->config, "z1234567xy", 10);
	generation = get(g, VIRTIO_MMIO_CONFIG_GENERATION);
	assert_int_equal(get(g, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	/* It changes between two reads of the driver, or after both. */
	g->t->config[0]++;
	assert_int_equal(vdriver_config(&g->v, 4, 1), '4');
	assert_int_not_equal(get(g, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	generation = get(g, VIRTIO_MMIO_CONFIG_GENERATION);
	g->t->config[0]++;
	assert_int_not_equal(get(g, VIRTIO_MMIO_CONFIG_GENERATION), generation);
}

static void tells_of_changes(void **state)
{
	struct rig *g = *state;

	/* Before DRIVER_OK: kept. */
	assert_true(vdriver_negotiate(&g->v, VDRIVER_ALL));
	vdriver_queue(&g->v, 0, DEPTH);
	virtio_config_changed(&g->t->vdev);
	assert_int_equal(vdriver_irqs(&g->v), 0);
	vdriver_ok(&g->v);
	assert_int_equal(vdriver_irqs(&g->v), 1);
	assert_int_equal(vdriver_ack(&g->v), VIRTIO_MMIO_INT_CONFIG);
	virtio_config_changed(&g->t->vdev);
	assert_int_equal(vdriver_irqs(&g->v), 2);
	/* Bits come and go one by one. */
	send(g, 0, 1, 1);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 1);
	assert_int_equal(vdriver_irqs(&g->v), 3);
	assert_int_equal(get(g, VIRTIO_MMIO_INTERRUPT_STATUS),
			 VIRTIO_MMIO_INT_CONFIG | VIRTIO_MMIO_INT_VRING);
	set(g, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(vdriver_ack(&g->v), VIRTIO_MMIO_INT_CONFIG);
	/* A reset forgets them. */
	set(g, VIRTIO_MMIO_STATUS, 0);
	virtio_config_changed(&g->t->vdev);
	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	assert_int_equal(vdriver_ack(&g->v), 0);
}

static void pauses(void **state)
{
	struct rig *g = *state;
	struct device *d = &g->t->vdev.dev;

	/* Also a device that has not begun. */
	d->class->pause(d);
	vdriver_start(&g->v, VDRIVER_ALL, 2, DEPTH);
	send(g, 0, 8, 1);
	vdriver_kick(&g->v, 0);
	fakeboard_settle(&g->board);
	assert_int_equal(g->t->handled, 0);
	d->class->resume(d);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	d->class->pause(d);
	assert_int_equal(g->t->in_flight, 0);
	send(g, 1, 8, 2);
	vdriver_kick(&g->v, 1);
	fakeboard_settle(&g->board);
	assert_int_equal(g->t->in_flight, 0);
	/* So does the reset of a queue, and of the device. */
	set(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(g, REG_QUEUE_RESET, 1);
	assert_int_equal(g->t->in_flight, 0);
	d->class->resume(d);
	assert_int_equal(g->t->in_flight, 1);
	d->class->pause(d);
	set(g, VIRTIO_MMIO_STATUS, 0);
	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	send(g, 0, 8, 3);
	fakeboard_settle(&g->board);
	assert_int_equal(g->t->in_flight, 0);
	d->class->resume(d);
	assert_int_equal(g->t->in_flight, 1);
}

static void detaches_in_flight(void **state)
{
	struct rig *g = *state;

	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	send(g, 0, 8, 1);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	device_free(&g->t->vdev.dev); /* vtest_detach looks at in_flight */
	g->t = NULL;
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 1);
}

/* A vCPU that waits for the loop, which takes the device away instead. */
static void *vcpu_reset_once(void *arg)
{
	struct rig *g = arg;
	struct space_reader rd;

	space_reader_init(&rd, g->board.board.mem);
	space_write(&rd, BASE + VIRTIO_MMIO_STATUS, 4, 0);
	space_reader_fini(&rd);
	return NULL;
}

static void detach_under(struct rig *g, unsigned n)
{
	struct device *d = &g->t->vdev.dev;
	pthread_t threads[3];
	unsigned waiters = 0;

	vdriver_start(&g->v, VDRIVER_ALL, 1, DEPTH);
	send(g, 0, 8, 1);
	fakeboard_wait(&g->board, g->t->in_flight == 1);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, vcpu_reset_once, g),
			0);
	while (waiters < n) {
		pthread_mutex_lock(&d->lock);
		waiters = g->t->vdev.work->waiters;
		pthread_mutex_unlock(&d->lock);
	}
	device_free(d);
	g->t = NULL;
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void detaches_under_waiting_vcpus(void **state)
{
	struct rig *g = *state;
	struct err e = {0};

	alarm(60);
	detach_under(g, 1);
	assert_int_equal(plug(g, true, false, &e), 0);
	detach_under(g, 3);
	alarm(0);
}

/*
 * Threads: vCPUs drive, reset and stop the device while the loop serves it,
 * and in the end it is detached under their hands. A deadlock is a timeout,
 * the rest is for the sanitizers and for the device's own checks.
 */
#define VCPUS  3U
#define ROUNDS 400U

struct vcpu {
	struct rig *rig;
	unsigned index;
	_Atomic bool *stop;
	_Atomic unsigned *rounds;
	pthread_t thread;
};

static void vcpu_write(struct space_reader *rd, unsigned reg, uint32_t value)
{
	space_write(rd, BASE + reg, 4, value);
}

static void vcpu_round(struct vcpu *c, struct space_reader *rd, unsigned round)
{
	unsigned q = (round + c->index) % QUEUES;
	gpa_t at = (1 + c->index) * 0x10000U;

	vcpu_write(rd, VIRTIO_MMIO_STATUS, 3);
	vcpu_write(rd, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vcpu_write(rd, VIRTIO_MMIO_DRIVER_FEATURES,
		   1 | BIT(VIRTIO_F_RING_RESET - 32));
	vcpu_write(rd, VIRTIO_MMIO_STATUS, 0xb);
	vcpu_write(rd, VIRTIO_MMIO_QUEUE_SEL, q);
	vcpu_write(rd, VIRTIO_MMIO_QUEUE_NUM, DEPTH);
	vcpu_write(rd, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)at);
	vcpu_write(rd, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)at + 0x1000);
	vcpu_write(rd, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)at + 0x2000);
	vcpu_write(rd, VIRTIO_MMIO_QUEUE_READY, 1);
	vcpu_write(rd, VIRTIO_MMIO_STATUS, 0xf);
	vcpu_write(rd, VIRTIO_MMIO_QUEUE_NOTIFY, q);
	(void)space_read(rd, BASE + VIRTIO_MMIO_CONFIG, 4);
	switch (round % 4) {
	case 0:
		vcpu_write(rd, REG_QUEUE_RESET, 1);
		break;
	case 1:
		vcpu_write(rd, VIRTIO_MMIO_QUEUE_READY, 0);
		break;
	case 2:
		vcpu_write(rd, VIRTIO_MMIO_STATUS, 0);
		assert_true(space_read(rd, BASE + VIRTIO_MMIO_STATUS, 4) !=
			    0x40);
		break;
	}
}

static void *vcpu_run(void *arg)
{
	struct vcpu *c = arg;
	struct space_reader rd;

	space_reader_init(&rd, c->rig->board.board.mem);
	for (unsigned round = 0; !*c->stop; round++) {
		vcpu_round(c, &rd, round);
		(*c->rounds)++;
	}
	space_reader_fini(&rd);
	return NULL;
}

/* Split rings full of chains, for the vCPUs: never given back in truth. */
static void fill_rings(struct rig *g)
{
	for (unsigned i = 0; i < VCPUS; i++) {
		gpa_t at = (1 + i) * 0x10000U;
		struct ring *r = &g->spare;
		struct ring_buf b = {g->data, 16, false};

		ring_init(r, &g->board.gmem, at, DEPTH, 0);
		for (unsigned n = 0; n < DEPTH / 2; n++)
			assert_true(ring_add(r, &b, 1, n));
		ring_publish(r);
		/* The available ring, to where the vCPUs say it is. */
		memcpy(g->board.ram + at + 0x1000, r->driver_host, 4096);
	}
}

static void survives_racing_vcpus(void **state)
{
	struct rig *g = *state;
	_Atomic bool stop = false;
	_Atomic unsigned rounds = 0;
	struct vcpu vcpus[VCPUS];

	fill_rings(g);
	alarm(240);
	for (unsigned i = 0; i < VCPUS; i++) {
		vcpus[i] = (struct vcpu){g, i, &stop, &rounds, 0};
		assert_int_equal(pthread_create(&vcpus[i].thread, NULL,
						vcpu_run, &vcpus[i]),
				 0);
	}
	for (unsigned step = 0; atomic_load(&rounds) < ROUNDS * VCPUS; step++) {
		struct device *d = &g->t->vdev.dev;

		fakeboard_step(&g->board);
		if (step % 16 == 3)
			vtest_finish(g->t);
		if (step % 64 == 10)
			d->class->pause(d);
		if (step % 64 == 12)
			d->class->resume(d);
		if (step % 64 == 20)
			device_reset(d);
		if (step % 64 == 30)
			virtio_config_changed(&g->t->vdev);
	}
	device_free(&g->t->vdev.dev);
	g->t = NULL;
	rounds = 0;
	fakeboard_wait(&g->board, rounds > VCPUS);
	stop = true;
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(vcpus[i].thread, NULL);
	alarm(0);
}

#define T(f, set) cmocka_unit_test_setup_teardown(f, set, teardown)

static const struct CMUnitTest tests[] = {
	T(has_its_registers, setup),
	T(claims_nothing_when_empty, setup),
	T(takes_one_device, setup),
	T(survives_a_failed_attach, setup),
	T(refuses_an_overlapping_slot, setup),
	T(negotiates, setup),
	T(refuses_bad_features, setup),
	T(keeps_status_bits, setup),
	T(serves_queues, setup),
	T(uses_doorbells, setup_bells),
	T(begins_with_driver_ok, setup),
	T(saves_kicks, setup),
	T(goes_on_when_there_is_room, setup),
	T(looks_again, setup),
	T(looks_again_at_an_empty_ring, setup),
	T(resets, setup_slow),
	T(resets_before_it_begins, setup),
	T(resets_one_queue, setup_slow),
	T(stops_one_queue, setup_slow),
	T(enables_a_queue_late, setup),
	T(refuses_bad_queues, setup),
	T(breaks_and_recovers, setup),
	T(has_a_configuration, setup),
	T(tells_of_changes, setup),
	T(pauses, setup_slow),
	T(detaches_in_flight, setup_slow),
	T(detaches_under_waiting_vcpus, setup_slow),
	T(survives_racing_vcpus, setup_slow),
};

TEST_MAIN(tests)
