/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices on their loop's thread, with a driver on another: each sleeps until
 * the other tells it, so that a notification that is lost hangs the test. A
 * disk for chains that the driver begins, a network card and a console for
 * those that the device does. And resets while all that is under way.
 */
#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/block.h"
#include "backend/chardev.h"
#include "backend/net.h"
#include "base/keyval.h"
#include "base/num.h"
#include "bus/iov.h"
#include "test/lib/test.h"
#include "test/lib/vslot.h"

#define ROUNDS 50000U
#define DEPTH  16U
#define HDR    12U
#define PACKET 100U

static uint64_t modes[] = {0, BIT(VIRTIO_F_EVENT_IDX),
			   BIT(VIRTIO_F_RING_PACKED),
			   BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_EVENT_IDX)};

struct race {
	struct fakeboard board;
	struct irq_sink irqs;
	sem_t irq;
	struct vslot v;
	struct ring *r; /* of the queue that is raced: the first */
	pthread_t thread;
};

static void race_irq(void *opaque, unsigned gsi, bool level)
{
	struct race *g = opaque;

	(void)gsi;
	if (level)
		sem_post(&g->irq);
}

static const struct irq_sink_ops race_irq_ops = {.set = race_irq};

static void race_init(struct race *g)
{
	memset(g, 0, sizeof(*g));
	fakeboard_init(&g->board);
	sem_init(&g->irq, 0, 0);
	g->irqs = (struct irq_sink){&race_irq_ops, g};
	g->board.board.irqs = &g->irqs;
	g->board.board.notify = &g->board.notify;
}

/* The loop's thread: the device goes where it was served. */
static void *race_loop(void *arg)
{
	struct race *g = arg;
	struct err e;

	if (loop_run(g->board.board.loop, &e))
		print_message("# %s\n", e.text);
	vslot_fini(&g->v);
	return NULL;
}

/* Makes the device, and has it served on its thread. */
static void race_make(struct race *g, const char *text)
{
	struct err e = {0};

	vslot_init(&g->v, &g->board, 0, text, &e);
	if (!g->v.dev)
		fail_msg("%s", e.text);
	assert_int_equal(pthread_create(&g->thread, NULL, race_loop, g), 0);
}

/* Starts it, anew or not, with its first two queues. */
static void race_start(struct race *g, uint64_t features)
{
	struct vdriver *d = &g->v.d;

	assert_true(vdriver_negotiate(d, features));
	assert_int_equal(d->features & features, features);
	for (unsigned i = 0; i < 2; i++)
		vdriver_queue(d, i, DEPTH);
	g->r = &d->rings[0];
	vdriver_set(d, VIRTIO_MMIO_STATUS, 0xf);
}

static void race_end(struct race *g)
{
	loop_stop(g->board.board.loop);
	pthread_join(g->thread, NULL);
	fakeboard_fini(&g->board);
	sem_destroy(&g->irq);
}

/* Sleeps until an interrupt comes. */
static void race_sleep(struct race *g, unsigned done)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	if (sem_timedwait(&g->irq, &until))
		fail_msg("lost after %u (errno %d)", done, errno);
}

/* The driver: adds chains by add(), in bursts, and takes them back by take(). */
static void race_run(struct race *g, bool (*add)(struct race *g, unsigned i),
		     void (*take)(struct race *g, struct ring_used u))
{
	unsigned added = 0, done = 0;
	struct ring_used u;

	while (done < ROUNDS) {
		unsigned burst = added % 5 + 1;

		while (burst-- && added < ROUNDS && add(g, added))
			added++;
		if (ring_publish(g->r))
			vdriver_kick(&g->v.d, 0);
		if (added % 11 == 3 && added < ROUNDS) /* one too many */
			vdriver_kick(&g->v.d, 0);
		ring_want_irq(g->r, false, 0);
		while (ring_next_used(g->r, &u)) {
			take(g, u);
			done++;
		}
		if (done < added && (added == ROUNDS || added % 3) &&
		    !ring_want_irq(g->r, true, 0))
			race_sleep(g, done);
	}
}

/* Chains of the driver's: reads of a disk. */

#define BLK_DATA   (VSLOT_HEAP + 0x10000)
#define BLK_STATUS (VSLOT_HEAP + 0x20000)

static bool read_add(struct race *g, unsigned i)
{
	unsigned slot = i % DEPTH;
	struct ring_buf b[3] = {
		{VSLOT_HEAP, 16, false}, /* a read of sector 0, all zeroes */
		{BLK_DATA + 512 * slot, 512, true},
		{BLK_STATUS + slot, 1, true},
	};

	return ring_add(g->r, b, 3, slot);
}

static void read_take(struct race *g, struct ring_used u)
{
	uint8_t *status = vdriver_ptr(&g->v.d, BLK_STATUS + u.tag);

	assert_int_equal(u.len, 513);
	assert_int_equal(*status, 0);
	*status = 0xff;
}

/* The disk that the text describes becomes "d0". */
static void disk_init(struct race *g, struct blk_graph *graph, const char *text)
{
	struct json_object *conf;
	struct blk_node *n;
	struct err e = {0};

	blk_graph_init(graph);
	assert_int_equal(keyval_parse(text, NULL, 0, &conf, &e), 0);
	if (blk_open(graph, conf, "-blockdev", &n, &e))
		fail_msg("%s", e.text);
	json_object_put(conf);
	fakeboard_link(&g->board, "blockdev", "d0", n);
}

static void reads_are_not_lost(void **state)
{
	static struct race g;
	struct blk_graph graph;

	race_init(&g);
	disk_init(&g, &graph, "driver=null-co,size=1M");
	race_make(&g, "virtio-blk-device,drive=d0,packed=on,num-queues=2");
	race_start(&g, *(uint64_t *)*state);
	race_run(&g, read_add, read_take);
	race_end(&g);
	blk_graph_fini(&graph);
}

/*
 * Resets with chains in flight, of the device or of a queue: when the register
 * says that it is over, the driver's memory is the driver's alone.
 */
#define RESETS 400U
#define HEAP   0x40000U /* of buffers, behind VSLOT_HEAP */

static void race_reset(struct race *g, unsigned round)
{
	struct vdriver *d = &g->v.d;

	if (round % 3) {
		vdriver_set(d, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(vdriver_get(d, VIRTIO_MMIO_STATUS), 0);
		return;
	}
	vdriver_set(d, VIRTIO_MMIO_QUEUE_SEL, 0);
	vdriver_set(d, 0x0c0, 1);
	assert_int_equal(vdriver_get(d, 0x0c0), 0);
}

static void race_resets(struct race *g, uint64_t features,
			bool (*add)(struct race *g, unsigned i))
{
	const struct timespec moment = {.tv_nsec = 200000};
	char *heap = vdriver_ptr(&g->v.d, VSLOT_HEAP);
	char *ring = vdriver_ptr(&g->v.d, 1 * MIB);
	static char heap_then[HEAP], ring_then[RING_BYTES];

	for (unsigned round = 0; round < RESETS; round++) {
		unsigned n = 0;

		memset(heap, 0, HEAP);
		race_start(g, features | BIT(VIRTIO_F_RING_RESET));
		while (add(g, n))
			n++;
		(void)ring_publish(g->r);
		vdriver_kick(&g->v.d, 0);
		for (volatile unsigned i = 0; i < round % 40 * 500; i++)
			; /* a moment, from none to some of the work */
		race_reset(g, round);
		memcpy(heap_then, heap, HEAP);
		memcpy(ring_then, ring, RING_BYTES);
		nanosleep(&moment, NULL);
		assert_memory_equal(heap, heap_then, HEAP);
		assert_memory_equal(ring, ring_then, RING_BYTES);
	}
}

static void resets_end_reads(void **state)
{
	char path[] = "/tmp/vireo-race-XXXXXX", text[128];
	int fd = mkstemp(path);
	static struct race g;
	struct blk_graph graph;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 * MIB), 0);
	(void)snprintf(text, sizeof(text), "driver=file,filename=%s", path);
	race_init(&g);
	disk_init(&g, &graph, text);
	assert_int_equal(unlink(path), 0);
	race_make(&g, "virtio-blk-device,drive=d0,packed=on,num-queues=2");
	race_resets(&g, *(uint64_t *)*state, read_add);
	race_end(&g);
	blk_graph_fini(&graph);
	close(fd);
}

/* Chains of the device's: packets, as fast as buffers are there for them. */

struct spring {
	struct net_backend net;
	struct net_port port;
};

static void spring_gives(struct loop_io *io, int result)
{
	struct net_rx *r = container_of(io, struct net_rx, io);
	static const uint8_t packet[HDR + PACKET] = {[HDR + 6] = 2};

	(void)result;
	iov_write(r->iov, r->niov, 0, packet, sizeof(packet));
	r->port->in_flight--;
	r->received(r, sizeof(packet));
}

static void spring_receive(struct net_port *p, struct net_rx *r)
{
	r->io.done = spring_gives;
	loop_complete(p->loop, &r->io, 0);
}

static void spring_cancel(struct net_port *p)
{
	(void)p; /* what is offered is given at once */
}

static int spring_bind(struct net_port *p, struct loop *l, struct err *e)
{
	(void)p;
	(void)l;
	(void)e;
	return 0;
}

static void spring_unbind(struct net_port *p)
{
	(void)p;
}

static int spring_set(struct net_backend *n, unsigned what)
{
	(void)n;
	(void)what;
	return 0;
}

static const struct net_driver spring_driver = {
	.name = "spring",
	.bind = spring_bind,
	.unbind = spring_unbind,
	.receive = spring_receive,
	.rx_cancel = spring_cancel,
	.set_offloads = spring_set,
	.set_hdr_len = spring_set,
	.set_queues = spring_set,
};

static bool buffer_add(struct race *g, unsigned i)
{
	struct ring_buf b = {VSLOT_HEAP + 2048 * (i % DEPTH), 2048, true};

	return ring_add(g->r, &b, 1, i % DEPTH);
}

static void buffer_take(struct race *g, struct ring_used u)
{
	(void)g;
	assert_int_equal(u.len, HDR + PACKET);
}

static void spring_init(struct race *g, struct spring *s)
{
	static char id[] = "n0";

	*s = (struct spring){
		.net = {.driver = &spring_driver,
			.id = id,
			.ports = &s->port,
			.link_up = true,
			.caps = {.vnet_hdr = true, .queues = 1}},
		.port = {.net = &s->net},
	};
	fakeboard_link(&g->board, "netdev", id, &s->net);
}

static void packets_are_not_lost(void **state)
{
	static struct race g;
	struct spring s;

	race_init(&g);
	spring_init(&g, &s);
	race_make(&g, "virtio-net-device,netdev=n0,packed=on");
	race_start(&g, *(uint64_t *)*state);
	race_run(&g, buffer_add, buffer_take);
	race_end(&g);
}

static void resets_end_packets(void **state)
{
	static struct race g;
	struct spring s;

	race_init(&g);
	spring_init(&g, &s);
	race_make(&g, "virtio-net-device,netdev=n0,packed=on");
	race_resets(&g, *(uint64_t *)*state, buffer_add);
	race_end(&g);
}

/* Input, as fast as there is room for it: the line asks again when it is told
 * that there is. */

#define TYPED 10U

struct typist {
	struct chardev chardev;
	struct loop_task task;
};

static void typist_types(struct loop_task *task)
{
	struct typist *t = container_of(task, struct typist, task);
	struct char_user *u = t->chardev.user;
	size_t n = MIN(u->can_receive(u), (size_t)TYPED);

	if (!n)
		return;
	u->receive(u, (const uint8_t *)"0123456789", n);
	loop_post(t->chardev.loop, task);
}

static void typist_accept(struct chardev *c)
{
	loop_post(c->loop, &container_of(c, struct typist, chardev)->task);
}

static int typist_bind(struct chardev *c, struct loop *l, struct err *e)
{
	(void)l;
	(void)e;
	container_of(c, struct typist, chardev)->task.run = typist_types;
	return 0;
}

static void typist_unbind(struct chardev *c)
{
	loop_task_cancel(c->loop,
			 &container_of(c, struct typist, chardev)->task);
}

static size_t typist_write(struct chardev *c, const void *buf, size_t len)
{
	(void)c;
	(void)buf;
	return len;
}

static const struct char_driver typist_driver = {
	.name = "typist",
	.bind = typist_bind,
	.unbind = typist_unbind,
	.write = typist_write,
	.accept = typist_accept,
};

static void typed_take(struct race *g, struct ring_used u)
{
	(void)g;
	assert_int_equal(u.len, TYPED);
}

static void typist_init(struct race *g, struct typist *t)
{
	static char id[] = "c0";

	*t = (struct typist){.chardev = {.driver = &typist_driver, .id = id}};
	list_init(&t->chardev.link);
	fakeboard_link(&g->board, "chardev", id, &t->chardev);
	race_make(g, "virtio-console-device,chardev=c0,packed=on");
}

static void input_is_not_lost(void **state)
{
	static struct race g;
	struct typist t;

	race_init(&g);
	typist_init(&g, &t);
	race_start(&g, *(uint64_t *)*state);
	race_run(&g, buffer_add, typed_take);
	race_end(&g);
}

static void resets_end_input(void **state)
{
	static struct race g;
	struct typist t;

	race_init(&g);
	typist_init(&g, &t);
	race_resets(&g, *(uint64_t *)*state, buffer_add);
	race_end(&g);
}

#define IN_ALL(f)                                                              \
	{#f ", split", f, NULL, NULL, &modes[0]},                              \
		{#f ", split, event index", f, NULL, NULL, &modes[1]},         \
		{#f ", packed", f, NULL, NULL, &modes[2]},                     \
	{                                                                      \
#f ", packed, event index", f, NULL, NULL, &modes[3]           \
	}

static const struct CMUnitTest tests[] = {
	IN_ALL(reads_are_not_lost),   IN_ALL(resets_end_reads),
	IN_ALL(packets_are_not_lost), IN_ALL(resets_end_packets),
	IN_ALL(input_is_not_lost),    IN_ALL(resets_end_input),
};

TEST_MAIN(tests)
