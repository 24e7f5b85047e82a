/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/virtio/console: by a driver's registers and rings, on a line that takes
 * and gives as much as the test says.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/chardev.h"
#include "base/num.h"
#include "test/lib/test.h"
#include "test/lib/vslot.h"

#define F_SIZE      BIT(0)
#define F_EMERG     BIT(2)
#define F_EVENT_IDX BIT(VIRTIO_F_EVENT_IDX)
#define F_PACKED    BIT(VIRTIO_F_RING_PACKED)

enum { RX, TX };

/* The back end. */
struct line {
	struct chardev chardev;
	char out[4096];
	size_t out_bytes;
	size_t room; /* bytes it takes */
	unsigned accepts;
	bool is_bound;
};

static struct line *line_of(struct chardev *c)
{
	return container_of(c, struct line, chardev);
}

static int line_bind(struct chardev *c, struct loop *l, struct err *e)
{
	(void)l;
	(void)e;
	line_of(c)->is_bound = true;
	return 0;
}

static void line_unbind(struct chardev *c)
{
	line_of(c)->is_bound = false;
}

static size_t line_write(struct chardev *c, const void *buf, size_t len)
{
	struct line *l = line_of(c);
	size_t n = MIN(len, l->room);

	assert_true(n <= sizeof(l->out) - l->out_bytes);
	memcpy(l->out + l->out_bytes, buf, n);
	l->out_bytes += n;
	l->room -= n;
	return n;
}

static void line_accept(struct chardev *c)
{
	line_of(c)->accepts++;
}

static const struct char_driver line_driver = {
	.name = "test",
	.bind = line_bind,
	.unbind = line_unbind,
	.write = line_write,
	.accept = line_accept,
};

struct fixture {
	struct fakeboard board;
	struct line line;
	struct vslot v;
	struct err e;
};

static int setup(void **state)
{
	static struct fixture f;
	static char id[] = "c0";

	memset(&f, 0, sizeof(f));
	fakeboard_init(&f.board);
	f.line.chardev.driver = &line_driver;
	f.line.chardev.id = id;
	f.line.room = 1000000;
	list_init(&f.line.chardev.link);
	fakeboard_link(&f.board, "chardev", id, &f.line.chardev);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->v.slot)
		vslot_fini(&f->v);
	assert_false(f->line.is_bound);
	assert_null(f->line.chardev.user);
	fakeboard_fini(&f->board);
	return 0;
}

static void make(struct fixture *f)
{
	vslot_init(&f->v, &f->board, 0,
		   "virtio-console-device,chardev=c0,packed=on", &f->e);
	if (!f->v.dev)
		fail_msg("%s", f->e.text);
}

static void make_and_start(struct fixture *f, uint64_t want)
{
	make(f);
	vslot_start(&f->v, want, 2);
}

static void add_output(struct fixture *f, gpa_t at, const char *text,
		       unsigned tag)
{
	struct ring_buf buf = {at, (uint32_t)strlen(text), false};

	memcpy(vdriver_ptr(&f->v.d, at), text, buf.len);
	vslot_add(&f->v, TX, &buf, 1, tag);
}

static void add_input(struct fixture *f, gpa_t at, uint32_t len, unsigned tag)
{
	struct ring_buf buf = {at, len, true};

	vslot_add(&f->v, RX, &buf, 1, tag);
}

/* What a back end does with input: the bytes that were taken. */
static size_t types(struct fixture *f, const char *text)
{
	struct char_user *u = f->line.chardev.user;
	size_t done = 0, len = strlen(text);

	while (done < len) {
		size_t n = MIN(u->can_receive(u), len - done);

		if (!n)
			break;
		u->receive(u, (const uint8_t *)text + done, n);
		done += n;
	}
	fakeboard_settle(&f->board);
	return done;
}

static void check_output(struct fixture *f, const char *text)
{
	assert_int_equal(f->line.out_bytes, strlen(text));
	assert_memory_equal(f->line.out, text, strlen(text));
	f->line.out_bytes = 0;
}

static const uint64_t rings[] = {0, F_EVENT_IDX, F_PACKED,
				 F_PACKED | F_EVENT_IDX};

static void writes(void **state)
{
	struct fixture *f = *state;
	gpa_t at = VSLOT_HEAP;

	make(f);
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		vslot_start(&f->v, rings[i], 2);
		for (unsigned n = 0; n < 200; n++) {
			add_output(f, at, "hello, ", 1);
			add_output(f, at + 64, "world\n", 2);
			vslot_kick(&f->v, TX);
			assert_int_equal(vslot_used(&f->v, TX, 1), 0);
			assert_int_equal(vslot_used(&f->v, TX, 2), 0);
			check_output(f, "hello, world\n");
		}
	}
}

static void waits_for_the_line(void **state)
{
	struct fixture *f = *state;
	struct char_user *u;
	gpa_t at = VSLOT_HEAP;
	struct ring_buf two[] = {{at, 4, false}, {at + 4, 6, false}};

	make_and_start(f, 0);
	u = f->line.chardev.user;
	memcpy(vdriver_ptr(&f->v.d, at), "0123456789", 10);
	vslot_add(&f->v, TX, two, 2, 1);
	add_output(f, at + 64, "abc", 2);
	f->line.room = 6;
	vslot_kick(&f->v, TX);
	assert_false(vslot_has_used(&f->v, TX));
	vslot_kick(&f->v, TX); /* nothing new, and still no room */
	check_output(f, "012345");
	f->line.room = 5;
	u->writable(u);
	assert_int_equal(vslot_used(&f->v, TX, 1), 0);
	assert_false(vslot_has_used(&f->v, TX));
	check_output(f, "6789a");
	f->line.room = 100;
	u->writable(u);
	fakeboard_settle(&f->board);
	assert_int_equal(vslot_used(&f->v, TX, 2), 0);
	check_output(f, "bc");
}

/* Blocked, and then the peer goes away: a line without one takes all. */
static void goes_on_without_a_peer(void **state)
{
	struct fixture *f = *state;
	struct char_user *u;

	make_and_start(f, 0);
	u = f->line.chardev.user;
	f->line.room = 1;
	add_output(f, VSLOT_HEAP, "half", 1);
	vslot_kick(&f->v, TX);
	assert_false(vslot_has_used(&f->v, TX));
	f->line.room = 100;
	u->event(u, CHAR_CLOSED);
	fakeboard_settle(&f->board);
	assert_int_equal(vslot_used(&f->v, TX, 1), 0);
	assert_false(vslot_is_broken(&f->v));
}

static void reads(void **state)
{
	struct fixture *f = *state;
	gpa_t at = VSLOT_HEAP;

	make(f);
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		vslot_start(&f->v, rings[i], 2);
		assert_int_equal(types(f, "x"), 0);
		for (unsigned n = 0; n < 200; n++) {
			unsigned accepts = f->line.accepts;

			add_input(f, at, 8, 1);
			add_input(f, at + 8, 8, 2);
			/* The device must want to be told: input waits. */
			assert_true(ring_publish(&f->v.d.rings[RX]));
			vslot_kick(&f->v, RX);
			assert_true(f->line.accepts > accepts);
			assert_int_equal(types(f, "0123456789abcdefgh"), 16);
			assert_int_equal(vslot_used(&f->v, RX, 1), 8);
			assert_int_equal(vslot_used(&f->v, RX, 2), 8);
			assert_memory_equal(vdriver_ptr(&f->v.d, at),
					    "0123456789abcdef", 16);
		}
	}
}

static void returns_each_piece_at_once(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, 0);
	add_input(f, VSLOT_HEAP, 4096, 1);
	add_input(f, VSLOT_HEAP + 4096, 4096, 2);
	vslot_kick(&f->v, RX);
	(void)vslot_irqs(&f->v);
	assert_int_equal(types(f, "l"), 1);
	assert_int_equal(vslot_irqs(&f->v), 1);
	assert_int_equal(vslot_used(&f->v, RX, 1), 1);
	assert_int_equal(types(f, "s\n"), 2);
	assert_int_equal(vslot_used(&f->v, RX, 2), 2);
}

static void breaks_on_bad_buffers(void **state)
{
	struct fixture *f = *state;
	struct ring_buf bad = {VSLOT_HEAP, 16, false};

	make_and_start(f, 0);
	vslot_add(&f->v, RX, &bad, 1, 1);
	vslot_kick(&f->v, RX);
	assert_int_equal(types(f, "x"), 0);
	assert_true(vslot_is_broken(&f->v));
	vslot_start(&f->v, 0, 2);
	add_input(f, VSLOT_HEAP, 16, 1);
	vslot_kick(&f->v, RX);
	assert_int_equal(types(f, "x"), 1);
}

static void pauses_and_loses_nothing(void **state)
{
	struct fixture *f = *state;
	struct char_user *u;
	gpa_t at = VSLOT_HEAP;

	make(f);
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		vslot_start(&f->v, rings[i], 2);
		u = f->line.chardev.user;
		f->line.room = 3;
		add_output(f, at, "012345", 1);
		vslot_kick(&f->v, TX);
		add_input(f, at + 64, 16, 2);
		vslot_kick(&f->v, RX);
		assert_int_equal(u->can_receive(u), 16); /* taken */
		f->v.dev->class->pause(f->v.dev);
		assert_int_equal(u->can_receive(u), 0);
		f->line.room = 100;
		u->writable(u);
		fakeboard_settle(&f->board);
		check_output(f, "012");
		f->v.dev->class->resume(f->v.dev);
		fakeboard_settle(&f->board);
		check_output(f, "345");
		assert_int_equal(vslot_used(&f->v, TX, 1), 0);
		assert_int_equal(types(f, "in"), 2);
		assert_int_equal(vslot_used(&f->v, RX, 2), 2);
	}
}

static void resets_with_buffers_taken(void **state)
{
	struct fixture *f = *state;
	struct char_user *u;

	make_and_start(f, 0);
	for (unsigned i = 0; i < 3; i++) {
		u = f->line.chardev.user;
		f->line.room = 3;
		add_output(f, VSLOT_HEAP, "012345", 1);
		vslot_kick(&f->v, TX);
		add_input(f, VSLOT_HEAP + 64, 16, 2);
		vslot_kick(&f->v, RX);
		assert_int_equal(u->can_receive(u), 16);
		vslot_reset(&f->v);
		assert_int_equal(u->can_receive(u), 0);
		f->line.out_bytes = 0;
		f->line.room = 100;
		u->writable(u);
		vslot_start(&f->v, 0, 2);
		add_output(f, VSLOT_HEAP, "abc", 1);
		vslot_kick(&f->v, TX);
		check_output(f, "abc");
		assert_int_equal(vslot_used(&f->v, TX, 1), 0);
	}
}

static void resets_one_queue(void **state)
{
	struct fixture *f = *state;
	struct char_user *u;

	make_and_start(f, BIT(VIRTIO_F_RING_RESET));
	u = f->line.chardev.user;
	f->line.room = 3;
	add_output(f, VSLOT_HEAP, "012345", 1);
	vslot_kick(&f->v, TX);
	check_output(f, "012");
	vslot_queue_reset(&f->v, TX);
	f->line.room = 100;
	u->writable(u);
	vdriver_queue(&f->v.d, TX, 16);
	add_output(f, VSLOT_HEAP, "abcdef", 2);
	vslot_kick(&f->v, TX);
	check_output(f, "abcdef");
	assert_int_equal(vslot_used(&f->v, TX, 2), 0);
	add_input(f, VSLOT_HEAP + 64, 16, 3);
	vslot_kick(&f->v, RX);
	assert_int_equal(u->can_receive(u), 16);
	vslot_queue_reset(&f->v, RX);
	assert_int_equal(u->can_receive(u), 0);
	vdriver_queue(&f->v.d, RX, 16);
	add_input(f, VSLOT_HEAP + 64, 8, 4);
	vslot_kick(&f->v, RX);
	assert_int_equal(types(f, "in"), 2);
	assert_int_equal(vslot_used(&f->v, RX, 4), 2);
}

/* The half that was written is not written again elsewhere. */
static void saves_its_state(void **state)
{
	struct fixture *f = *state;
	const struct device_class *c;
	struct state_buf b = {0};

	make_and_start(f, 0);
	c = f->v.dev->class;
	if (state_check_cover(c->state, sizeof(struct virtio_dev), c->size,
			      &f->e))
		fail_msg("%s", f->e.text);
	f->line.room = 3;
	add_output(f, VSLOT_HEAP, "012345", 1);
	vslot_kick(&f->v, TX);
	check_output(f, "012");
	c->pause(f->v.dev);
	assert_int_equal(state_save(c->state, f->v.dev, &b, &f->e), 0);
	vslot_fini(&f->v);
	f->line.room = 100;
	make_and_start(f, 0);
	assert_int_equal(state_load(c->state, f->v.dev, &b, &f->e), 0);
	add_output(f, VSLOT_HEAP, "012345", 1);
	vslot_kick(&f->v, TX);
	check_output(f, "345");
	state_buf_fini(&b);
}

static void writes_in_an_emergency(void **state)
{
	struct fixture *f = *state;

	make(f);
	assert_true(vdriver_negotiate(&f->v.d, F_EMERG));
	assert_true(f->v.d.features & F_EMERG);
	vslot_config_set(&f->v, 8, 4, '!');
	vslot_config_set(&f->v, 8, 4, 0x100 + '?');
	check_output(f, "!?");
	vslot_config_set(&f->v, 0, 4, 'x'); /* read-only */
	check_output(f, "");
}

static void tells_the_size(void **state)
{
	struct fixture *f = *state;
	struct char_user *u;

	make_and_start(f, F_SIZE);
	assert_false(f->v.d.offered & F_SIZE);
	vslot_fini(&f->v);
	f->line.chardev.cols = 80;
	f->line.chardev.rows = 25;
	make_and_start(f, F_SIZE);
	assert_true(f->v.d.features & F_SIZE);
	assert_int_equal(vdriver_config(&f->v.d, 0, 2), 80);
	assert_int_equal(vdriver_config(&f->v.d, 2, 2), 25);
	(void)vslot_irqs(&f->v);
	f->line.chardev.cols = 132;
	u = f->line.chardev.user;
	u->event(u, CHAR_RESIZED);
	fakeboard_settle(&f->board);
	assert_int_equal(vslot_irqs(&f->v), 1);
	assert_int_equal(vdriver_config(&f->v.d, 0, 2), 132);
}

static void needs_a_free_chardev(void **state)
{
	struct fixture *f = *state;
	static struct vslot second;

	make(f);
	vslot_init(&second, &f->board, 1, "virtio-console-device,chardev=c0",
		   &f->e);
	assert_null(second.dev);
	assert_non_null(strstr(f->e.text, "c0"));
	vslot_fini(&second);
	vslot_init(&second, &f->board, 1, "virtio-console-device", &f->e);
	assert_null(second.dev);
	assert_non_null(strstr(f->e.text, "chardev"));
	vslot_fini(&second);
	vslot_start(&f->v, 0, 2);
	add_output(f, VSLOT_HEAP, "ok", 1);
	vslot_kick(&f->v, TX);
	check_output(f, "ok");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(writes),
	T(waits_for_the_line),
	T(goes_on_without_a_peer),
	T(reads),
	T(returns_each_piece_at_once),
	T(breaks_on_bad_buffers),
	T(pauses_and_loses_nothing),
	T(resets_with_buffers_taken),
	T(resets_one_queue),
	T(saves_its_state),
	T(writes_in_an_emergency),
	T(tells_the_size),
	T(needs_a_free_chardev),
};

TEST_MAIN(tests)
