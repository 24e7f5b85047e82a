/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/virtio/rng: by the driver's protocol, from the host's generator and from
 * a source that answers late, fails, or is taken away.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "backend/object.h"
#include "base/keyval.h"
#include "base/num.h"
#include "bus/virtio.h"
#include "bus/virtio_mmio.h"
#include "test/lib/test.h"
#include "test/lib/vdriver.h"

#define BASE 0xfeb00000U
#define GSI  5U

/* A source that answers when told. */
struct fake_source {
	struct object obj;
	struct rng_request *request; /* NULL: none asked for */
	unsigned asked;
	bool is_bound, refuses;
};

struct rig {
	struct fakeboard board;
	struct virtio_mmio *slot;
	struct device *d;
	struct vdriver v;
	struct fake_source source;
};

static struct fake_source *source_of(struct object *o)
{
	return container_of(o, struct fake_source, obj);
}

static int source_bind(struct object *o, struct loop *l, struct err *e)
{
	(void)l;
	if (source_of(o)->refuses)
		return err_set(e, -EBUSY, "as told");
	source_of(o)->is_bound = true;
	return 0;
}

static void source_unbind(struct object *o)
{
	assert_null(source_of(o)->request);
	assert_true(source_of(o)->is_bound);
	source_of(o)->is_bound = false;
}

static void source_read(struct object *o, struct rng_request *r)
{
	assert_null(source_of(o)->request);
	source_of(o)->request = r;
	source_of(o)->asked++;
}

static void source_answer(struct fake_source *s, ssize_t result)
{
	struct rng_request *r = s->request;

	assert_non_null(r);
	if (result > 0) {
		assert_true((size_t)result <= r->len);
		memset(r->buf, 0xa5, (size_t)result);
	}
	s->request = NULL;
	r->done(r, result);
}

static void source_cancel(struct object *o, struct rng_request *r)
{
	assert_ptr_equal(source_of(o)->request, r);
	source_answer(source_of(o), -ECANCELED);
}

static const struct rng_ops source_ops = {
	.bind = source_bind,
	.unbind = source_unbind,
	.read = source_read,
	.cancel = source_cancel,
};

static const struct object_class source_class = {
	.name = "rng-fake",
	.kind = "rng",
	.ops = &source_ops,
};

static int setup(void **state)
{
	static struct rig g;
	struct err e = {0};

	memset(&g, 0, sizeof(g));
	fakeboard_init(&g.board);
	g.source.obj.class = &source_class;
	fakeboard_link(&g.board, "rng", "r0", &g.source.obj);
	assert_int_equal(
		virtio_mmio_new(&g.board.board, 0, BASE, GSI, &g.slot, &e), 0);
	vdriver_init(&g.v, &g.board, BASE, GSI);
	*state = &g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	device_free(g->d);
	assert_false(g->source.is_bound);
	virtio_mmio_free(g->slot);
	fakeboard_fini(&g->board);
	return 0;
}

static void plug(struct rig *g, const char *text)
{
	struct err e = {0};

	g->d = fakeboard_device(&g->board, virtio_mmio_bus(g->slot), text, &e);
	if (!g->d)
		fail_msg("%s", e.text);
}

static void send(struct rig *g, gpa_t gpa, uint32_t len, unsigned tag)
{
	struct ring_buf b = {gpa, len, true};

	vdriver_send(&g->v, 0, &b, 1, tag);
}

static void gives_random_bytes(void **state)
{
	struct rig *g = *state;
	struct ring_used u;
	unsigned zeroes = 0;
	uint8_t *p;
	gpa_t gpa;

	plug(g, "virtio-rng-device");
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	assert_int_equal(vdriver_get(&g->v, VIRTIO_MMIO_DEVICE_ID), 4);
	gpa = vdriver_alloc(&g->v, 4096);
	send(g, gpa, 1024, 7);
	u = vdriver_wait(&g->v, 0);
	assert_int_equal(u.tag, 7);
	assert_true(u.len >= 256 && u.len <= 1024);
	p = vdriver_ptr(&g->v, gpa);
	for (unsigned i = 0; i < u.len; i++)
		zeroes += !p[i];
	assert_true(zeroes < 32);
	for (unsigned i = 1024; i < 4096; i++)
		assert_int_equal(p[i], 0);
	assert_int_equal(vdriver_irqs(&g->v), 1);
	assert_int_equal(vdriver_ack(&g->v), VIRTIO_MMIO_INT_VRING);
	for (unsigned i = 0; i < 100; i++) {
		send(g, gpa, 64, i);
		u = vdriver_wait(&g->v, 0);
		assert_int_equal(u.tag, i);
		assert_int_equal(u.len, 64);
	}
}

static void serves_a_chain_at_a_time(void **state)
{
	struct rig *g = *state;
	gpa_t gpa;

	plug(g, "virtio-rng-device,rng=r0");
	assert_true(g->source.is_bound);
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	gpa = vdriver_alloc(&g->v, 64);
	send(g, gpa, 16, 1);
	send(g, gpa + 16, 48, 2);
	fakeboard_wait(&g->board, g->source.request);
	assert_int_equal(g->source.request->len, 16);
	source_answer(&g->source, 3);
	assert_int_equal(vdriver_wait(&g->v, 0).len, 3);
	/* The next one goes out without another kick. */
	assert_int_equal(g->source.request->len, 48);
	source_answer(&g->source, 48);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 2);
	assert_int_equal(((uint8_t *)vdriver_ptr(&g->v, gpa))[2], 0xa5);
	assert_int_equal(((uint8_t *)vdriver_ptr(&g->v, gpa))[3], 0);
	assert_null(g->source.request);
}

static void tries_a_failed_source_again(void **state)
{
	struct rig *g = *state;

	plug(g, "virtio-rng-device,rng=r0");
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	send(g, vdriver_alloc(&g->v, 16), 16, 1);
	fakeboard_wait(&g->board, g->source.request);
	source_answer(&g->source, -EIO);
	fakeboard_settle(&g->board);
	assert_null(g->source.request);
	loop_advance(g->board.board.loop, NS_PER_S - 1);
	assert_int_equal(g->source.asked, 1);
	loop_advance(g->board.board.loop, 1);
	assert_int_equal(g->source.asked, 2);
	source_answer(&g->source, 16);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 1);
}

static void keeps_to_the_rate(void **state)
{
	struct rig *g = *state;
	struct loop *l = g->board.board.loop;
	gpa_t gpa;

	plug(g, "virtio-rng-device,max-bytes=100,period=1000");
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	gpa = vdriver_alloc(&g->v, 64);
	send(g, gpa, 64, 1);
	assert_int_equal(vdriver_wait(&g->v, 0).len, 64);
	send(g, gpa, 64, 2);
	assert_int_equal(vdriver_wait(&g->v, 0).len, 36);
	send(g, gpa, 64, 3);
	fakeboard_settle(&g->board);
	loop_advance(l, NS_PER_S - 1);
	/* A reset is no way around it. */
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	send(g, gpa, 64, 4);
	fakeboard_settle(&g->board);
	assert_false(ring_want_irq(&g->v.rings[0], true, 0));
	loop_advance(l, 1);
	assert_int_equal(vdriver_wait(&g->v, 0).len, 64);
}

/* A request in flight neither survives a reset nor keeps it waiting. */
static void resets_in_flight(void **state)
{
	struct rig *g = *state;
	const uint64_t layouts[] = {0, BIT(VIRTIO_F_RING_PACKED)};

	plug(g, "virtio-rng-device,rng=r0,packed=on");
	for (unsigned i = 0; i < 2; i++) {
		vdriver_start(&g->v, layouts[i] | BIT(VIRTIO_F_RING_RESET), 1,
			      8);
		send(g, vdriver_alloc(&g->v, 16), 16, 1);
		fakeboard_wait(&g->board, g->source.request);
		vdriver_set(&g->v, VIRTIO_MMIO_STATUS, 0);
		assert_null(g->source.request);
		assert_int_equal(vdriver_get(&g->v, VIRTIO_MMIO_STATUS), 0);
		assert_false(ring_want_irq(&g->v.rings[0], true, 0));

		vdriver_start(&g->v, layouts[i] | BIT(VIRTIO_F_RING_RESET), 1,
			      8);
		send(g, vdriver_alloc(&g->v, 16), 16, 2);
		fakeboard_wait(&g->board, g->source.request);
		vdriver_set(&g->v, 0x0c0, 1);
		assert_null(g->source.request);
		vdriver_queue(&g->v, 0, 4);
		send(g, vdriver_alloc(&g->v, 16), 16, 3);
		fakeboard_wait(&g->board, g->source.request);
		source_answer(&g->source, 16);
		assert_int_equal(vdriver_wait(&g->v, 0).tag, 3);
	}
}

/* A pause puts the chain back into the ring, and a resume takes it again. */
static void pauses(void **state)
{
	struct rig *g = *state;

	plug(g, "virtio-rng-device,rng=r0");
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	send(g, vdriver_alloc(&g->v, 16), 16, 1);
	fakeboard_wait(&g->board, g->source.request);
	g->d->class->pause(g->d);
	assert_null(g->source.request);
	vdriver_kick(&g->v, 0);
	fakeboard_settle(&g->board);
	assert_null(g->source.request);
	g->d->class->resume(g->d);
	assert_non_null(g->source.request);
	source_answer(&g->source, 16);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 1);
}

static void detaches_in_flight(void **state)
{
	struct rig *g = *state;

	plug(g, "virtio-rng-device,rng=r0");
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	send(g, vdriver_alloc(&g->v, 16), 16, 1);
	fakeboard_wait(&g->board, g->source.request);
	device_free(g->d);
	g->d = NULL;
	assert_null(g->source.request);
	assert_false(g->source.is_bound);
	assert_int_equal(vdriver_get(&g->v, VIRTIO_MMIO_MAGIC_VALUE),
			 UINT32_MAX);
}

static void takes_no_source_that_refuses(void **state)
{
	struct rig *g = *state;
	struct err e = {0};

	g->source.refuses = true;
	assert_null(fakeboard_device(&g->board, virtio_mmio_bus(g->slot),
				     "virtio-rng-device,rng=r0", &e));
	assert_string_equal(e.text, "as told");
	assert_false(virtio_mmio_is_used(g->slot));
}

/* What -object provides. */
static void works_with(struct rig *g, const char *object)
{
	struct json_object *conf;
	struct object *o = NULL;
	struct err e = {0};
	gpa_t gpa;

	if (keyval_parse(object, "qom-type", 0, &conf, &e) ||
	    object_new(conf, &o, &e))
		fail_msg("%s", e.text);
	json_object_put(conf);
	fakeboard_link(&g->board, "rng", "real", o);
	plug(g, "virtio-rng-device,rng=real");
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	gpa = vdriver_alloc(&g->v, 64);
	for (unsigned i = 0; i < 20; i++) {
		struct ring_used u;

		send(g, gpa, 64, i);
		u = vdriver_wait(&g->v, 0);
		assert_int_equal(u.tag, i);
		assert_int_equal(u.len, 64);
	}
	send(g, gpa, 64, 0);
	vdriver_set(&g->v, VIRTIO_MMIO_STATUS, 0);
	device_free(g->d);
	g->d = NULL;
	object_free(o);
}

static void works_with_rng_builtin(void **state)
{
	works_with(*state, "rng-builtin,id=real");
}

static void works_with_rng_random(void **state)
{
	works_with(*state, "rng-random,id=real,filename=/dev/urandom");
}

static void refuses_read_only_buffers(void **state)
{
	struct rig *g = *state;
	struct ring_buf b = {0x1000, 16, false};

	plug(g, "virtio-rng-device");
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	vdriver_send(&g->v, 0, &b, 1, 1);
	fakeboard_wait(&g->board, vdriver_get(&g->v, VIRTIO_MMIO_STATUS) &
					  VIRTIO_S_NEEDS_RESET);
	assert_int_equal(vdriver_ack(&g->v), VIRTIO_MMIO_INT_CONFIG);
	vdriver_start(&g->v, VDRIVER_ALL, 1, 8);
	send(g, vdriver_alloc(&g->v, 16), 16, 2);
	assert_int_equal(vdriver_wait(&g->v, 0).tag, 2);
}

/* A driver that answers each interrupt with one more buffer, n times. */
struct greedy {
	struct irq_sink sink;
	struct rig *g;
	gpa_t gpa;
	unsigned left;
};

static void greedy_set(void *opaque, unsigned gsi, bool level)
{
	struct greedy *d = opaque;
	struct ring *r = &d->g->v.rings[0];
	struct ring_buf b = {d->gpa, 16, true};
	struct ring_used u;

	(void)gsi;
	if (!level || !d->left)
		return;
	d->left--;
	assert_true(ring_next_used(r, &u));
	assert_true(ring_add(r, &b, 1, d->left));
	(void)ring_publish(r);
}

static const struct irq_sink_ops greedy_ops = {.set = greedy_set};

static void leaves_time_for_others(void **state)
{
	struct rig *g = *state;
	struct greedy d = {.sink = {&greedy_ops, &d}, .g = g, .left = 1000};
	unsigned steps = 0;

	g->board.board.irqs = &d.sink;
	plug(g, "virtio-rng-device");
	vdriver_start(&g->v, 0, 1, 8);
	d.gpa = vdriver_alloc(&g->v, 16);
	send(g, d.gpa, 16, 0);
	for (; d.left && steps < 1000; steps++)
		fakeboard_step(&g->board);
	assert_int_equal(d.left, 0);
	assert_in_range(steps, 10, 1000);
	device_free(g->d); /* the sink goes */
	g->d = NULL;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(gives_random_bytes, setup, teardown),
	cmocka_unit_test_setup_teardown(serves_a_chain_at_a_time, setup,
					teardown),
	cmocka_unit_test_setup_teardown(tries_a_failed_source_again, setup,
					teardown),
	cmocka_unit_test_setup_teardown(keeps_to_the_rate, setup, teardown),
	cmocka_unit_test_setup_teardown(resets_in_flight, setup, teardown),
	cmocka_unit_test_setup_teardown(pauses, setup, teardown),
	cmocka_unit_test_setup_teardown(detaches_in_flight, setup, teardown),
	cmocka_unit_test_setup_teardown(takes_no_source_that_refuses, setup,
					teardown),
	cmocka_unit_test_setup_teardown(works_with_rng_builtin, setup,
					teardown),
	cmocka_unit_test_setup_teardown(works_with_rng_random, setup, teardown),
	cmocka_unit_test_setup_teardown(refuses_read_only_buffers, setup,
					teardown),
	cmocka_unit_test_setup_teardown(leaves_time_for_others, setup,
					teardown),
};

TEST_MAIN(tests)
