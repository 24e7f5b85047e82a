/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/loop on both engines: readiness, events, timers, tasks, file I/O,
 * removal inside callbacks, full rings, draining, the virtual clock.
 */
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/lib/loop.h"

#define MS NS_PER_MS

/* --- readiness --- */

struct reader {
	struct loop_fd f;
	unsigned called, events, read_bytes, delete_at;
};

static void reader_ready(struct loop_fd *f, unsigned events)
{
	struct reader *r = container_of(f, struct reader, f);
	char buf[64];

	r->called++;
	r->events = events;
	if (r->read_bytes)
		assert_true(read(f->fd, buf, r->read_bytes) >= 0);
	if (r->called == r->delete_at)
		loop_fd_del(f);
}

static void readiness_is_level_triggered(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct reader r = {.f.ready = reader_ready, .read_bytes = 1};
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(loop_fd_add(l, &r.f, p[0], EPOLLIN, NULL), 0);
	test_loop_quiet(l);
	assert_int_equal(r.called, 0);
	assert_int_equal(write(p[1], "abc", 3), 3);
	test_loop_until(l, &r.called, 3); /* one byte each time */
	assert_int_equal(r.events, EPOLLIN);
	test_loop_quiet(l);
	assert_int_equal(r.called, 3);
	loop_fd_del(&r.f);
	loop_fd_del(&r.f); /* harmless */
	loop_free(l);
	close(p[0]);
	close(p[1]);
}

static void readiness_can_pause(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct reader r = {.f.ready = reader_ready, .read_bytes = 3};
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	assert_int_equal(loop_fd_add(l, &r.f, s[0], EPOLLIN, NULL), 0);
	test_loop_quiet(l);
	loop_fd_events(&r.f, 0);
	assert_int_equal(write(s[1], "abc", 3), 3);
	test_loop_quiet(l);
	assert_int_equal(r.called, 0);
	loop_fd_events(&r.f, EPOLLIN);
	test_loop_until(l, &r.called, 1);
	test_loop_quiet(l);
	assert_int_equal(r.called, 1);
	/* Another event instead, while the poll for input is in flight. */
	r.read_bytes = 0;
	loop_fd_events(&r.f, EPOLLOUT);
	test_loop_until(l, &r.called, 2);
	assert_int_equal(r.events, EPOLLOUT);
	loop_fd_del(&r.f);
	loop_free(l);
	close(s[0]);
	close(s[1]);
}

static void hang_up_is_reported(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct reader r = {.f.ready = reader_ready, .delete_at = 1};
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(loop_fd_add(l, &r.f, p[0], EPOLLIN, NULL), 0);
	test_loop_quiet(l);
	close(p[1]);
	test_loop_until(l, &r.called, 1);
	assert_true(r.events & EPOLLHUP);
	test_loop_quiet(l);
	assert_int_equal(r.called, 1);
	assert_null(r.f.loop);
	loop_free(l);
	close(p[0]);
}

static void regular_file_is_always_ready(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct reader r = {.f.ready = reader_ready, .delete_at = 3};
	struct reader null = {.f.ready = reader_ready};
	FILE *f = tmpfile();
	int fd = open("/dev/null", O_RDWR);

	assert_non_null(f);
	assert_int_equal(loop_fd_add(l, &r.f, fileno(f), EPOLLIN, NULL), 0);
	assert_int_equal(loop_fd_add(l, &null.f, fd, EPOLLOUT, NULL), 0);
	test_loop_until(l, &r.called, 3);
	test_loop_step(l, 0);
	test_loop_step(l, 0);
	assert_true(null.called > 0);
	loop_fd_events(&null.f, 0);
	null.called = 0;
	test_loop_quiet(l);
	assert_int_equal(null.called, 0);
	loop_fd_events(&null.f, EPOLLOUT);
	test_loop_step(l, 0);
	test_loop_step(l, 0);
	assert_true(null.called > 0);
	loop_fd_del(&null.f);
	loop_free(l);
	fclose(f);
	close(fd);
}

static void bad_fd_is_refused(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct reader r = {.f.ready = reader_ready};
	struct err e = {0};

	assert_int_equal(loop_fd_add(l, &r.f, 9999, EPOLLIN, &e), -EBADF);
	assert_non_null(strstr(e.text, "9999"));
	assert_int_equal(loop_file_add(l, -1, &e), -EBADF);
	assert_null(r.f.loop);
	loop_fd_del(&r.f);
	loop_free(l);
}

/* Two sources ready together; the first called removes the other. */
static struct reader *pair[2];

static void pair_ready(struct loop_fd *f, unsigned events)
{
	(void)events;
	container_of(f, struct reader, f)->called++;
	for (int i = 0; i < 2; i++) {
		if (!pair[i])
			continue;
		loop_fd_del(&pair[i]->f);
		if (&pair[i]->f != f) {
			free(pair[i]);
			pair[i] = NULL;
		}
	}
}

static void callback_removes_another(void **state)
{
	struct loop *l = test_loop_plain(state);
	int p[2][2];

	for (int i = 0; i < 2; i++) {
		pair[i] = calloc(1, sizeof(**pair));
		assert_non_null(pair[i]);
		pair[i]->f.ready = pair_ready;
		assert_int_equal(pipe(p[i]), 0);
		assert_int_equal(write(p[i][1], "x", 1), 1);
		assert_int_equal(
			loop_fd_add(l, &pair[i]->f, p[i][0], EPOLLIN, NULL), 0);
	}
	test_loop_quiet(l);
	assert_true(!pair[0] != !pair[1]);
	assert_int_equal((pair[0] ? pair[0] : pair[1])->called, 1);
	loop_free(l);
	for (int i = 0; i < 2; i++) {
		free(pair[i]);
		close(p[i][0]);
		close(p[i][1]);
	}
}

static void slots_are_reused(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct reader r = {.f.ready = reader_ready, .read_bytes = 1};
	int p[2];

	assert_int_equal(pipe(p), 0);
	for (unsigned i = 0; i < 3000; i++) {
		assert_int_equal(loop_fd_add(l, &r.f, p[0], EPOLLIN, NULL), 0);
		if (i % 3 == 0)
			test_loop_step(l, 0);
		loop_fd_del(&r.f);
		if (i % 5 == 0)
			test_loop_step(l, 0);
	}
	assert_int_equal(loop_fd_add(l, &r.f, p[0], EPOLLIN, NULL), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	test_loop_until(l, &r.called, 1);
	loop_fd_del(&r.f);
	loop_free(l);
	close(p[0]);
	close(p[1]);
}

/* --- events --- */

struct kick {
	struct loop_event ev;
	unsigned called;
	uint64_t total;
	bool delete;
};

static void kick_fired(struct loop_event *ev, uint64_t count)
{
	struct kick *k = container_of(ev, struct kick, ev);

	k->called++;
	k->total += count;
	if (k->delete)
		loop_event_del(ev);
}

static void write_event(int fd, uint64_t n)
{
	assert_int_equal(write(fd, &n, sizeof(n)), sizeof(n));
}

static void event_drains_its_counter(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct kick k = {.ev.fired = kick_fired};
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	write_event(fd, 5);
	write_event(fd, 2);
	assert_int_equal(loop_event_add(l, &k.ev, fd, NULL), 0);
	test_loop_until(l, &k.called, 1);
	assert_int_equal(k.total, 7);
	test_loop_quiet(l);
	assert_int_equal(k.called, 1);
	write_event(fd, 1);
	test_loop_until(l, &k.called, 2);
	assert_int_equal(k.total, 8);
	k.delete = true;
	write_event(fd, 1);
	test_loop_until(l, &k.called, 3);
	write_event(fd, 1);
	test_loop_quiet(l);
	assert_int_equal(k.called, 3);
	loop_event_del(&k.ev);
	loop_free(l);
	close(fd);
}

/* A removed event must not eat the counter of the one that replaces it. */
static void event_is_replaced_at_once(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct kick a = {.ev.fired = kick_fired}, b = a;
	int fd[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};

	test_loop_step(l, 0);
	assert_int_equal(loop_event_add(l, &a.ev, fd[0], NULL), 0);
	loop_event_del(&a.ev);
	assert_int_equal(loop_event_add(l, &b.ev, fd[1], NULL), 0);
	write_event(fd[1], 3);
	test_loop_until(l, &b.called, 1);
	assert_int_equal(b.total, 3);
	/* And once more with the read in the kernel. */
	loop_event_del(&b.ev);
	assert_int_equal(loop_event_add(l, &a.ev, fd[0], NULL), 0);
	write_event(fd[0], 4);
	test_loop_until(l, &a.called, 1);
	assert_int_equal(a.total, 4);
	loop_event_del(&a.ev);
	loop_free(l);
	close(fd[0]);
	close(fd[1]);
}

/* --- timers --- */

#define TIMERS 40

static struct {
	unsigned n;
	int order[TIMERS];
} fired;

struct timer {
	struct loop_timer t;
	int id;
	struct timer *cancels, *arms;
	unsigned again;
};

static void timer_expired(struct loop_timer *lt)
{
	struct timer *t = container_of(lt, struct timer, t);

	if (fired.n < TIMERS)
		fired.order[fired.n] = t->id;
	fired.n++;
	if (t->cancels)
		loop_timer_cancel(&t->cancels->t);
	if (t->arms)
		assert_int_equal(loop_timer_arm(lt->loop, &t->arms->t, 0), 0);
	if (t->again && t->again--)
		assert_int_equal(loop_timer_arm(lt->loop, lt, 0), 0);
}

static void timers_run_in_order(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct timer t[TIMERS] = {0};
	uint64_t now = loop_now(l);

	memset(&fired, 0, sizeof(fired));
	for (int i = 0; i < TIMERS; i++) {
		t[i].id = i * 7 % TIMERS;
		t[i].t.expired = timer_expired;
		assert_int_equal(
			loop_timer_arm(l, &t[i].t, now + MS * (1 + t[i].id)),
			0);
	}
	test_loop_until(l, &fired.n, TIMERS);
	for (int i = 0; i < TIMERS; i++)
		assert_int_equal(fired.order[i], i);
	assert_true(loop_now(l) >= now + MS * TIMERS);
	loop_free(l);
}

static void timers_cancel_inside_callbacks(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct timer t[4] = {0};
	uint64_t due;

	memset(&fired, 0, sizeof(fired));
	for (int i = 0; i < 4; i++) {
		t[i].id = i;
		t[i].t.expired = timer_expired;
	}
	t[0].cancels = &t[1]; /* due at the same time */
	t[2].cancels = &t[2]; /* itself: harmless */
	t[2].arms = &t[1];
	due = loop_now(l) + MS;
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_timer_arm(l, &t[i].t, due), 0);
	assert_int_equal(loop_timer_arm(l, &t[3].t, due + MS), 0);
	loop_timer_cancel(&t[3].t);
	loop_timer_cancel(&t[3].t);
	test_loop_until(l, &fired.n, 3);
	test_loop_quiet(l);
	assert_int_equal(fired.n, 3);
	assert_int_equal(fired.order[0], 0);
	assert_int_equal(fired.order[1], 2);
	assert_int_equal(fired.order[2], 1);
	loop_free(l);
}

static void timer_can_move(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct timer t = {.t.expired = timer_expired};
	uint64_t now = loop_now(l);

	memset(&fired, 0, sizeof(fired));
	assert_int_equal(loop_timer_arm(l, &t.t, now + 3600 * NS_PER_S), 0);
	test_loop_step(l, 0);
	assert_int_equal(loop_timer_arm(l, &t.t, now + 3 * MS), 0);
	test_loop_until(l, &fired.n, 1);
	assert_true(loop_now(l) >= now + 3 * MS);
	assert_true(loop_now(l) < now + 3600 * NS_PER_S);
	loop_free(l);
}

/* A timer that is always due starves neither the others nor the step. */
static void due_timer_does_not_starve(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct timer a = {.t.expired = timer_expired, .again = 1U << 30};
	struct timer b = {.t.expired = timer_expired, .id = 1};
	bool seen = false;

	memset(&fired, 0, sizeof(fired));
	assert_int_equal(loop_timer_arm(l, &a.t, 0), 0);
	assert_int_equal(loop_timer_arm(l, &b.t, loop_now(l) + MS), 0);
	for (int i = 0; i < 200000 && !seen; i++) {
		fired.n = 0;
		test_loop_step(l, 0);
		assert_true(fired.n <= 2);
		seen = fired.n && fired.order[fired.n - 1] == 1;
		seen = seen || (fired.n == 2 && fired.order[0] == 1);
	}
	assert_true(seen);
	loop_timer_cancel(&a.t);
	loop_free(l);
}

static void virtual_clock_moves_when_told(void **state)
{
	struct loop *l = test_loop_new(
		state, (struct loop_config){.virtual_clock = true});
	struct timer a = {.t.expired = timer_expired, .id = 1};
	struct timer b = {.t.expired = timer_expired, .id = 2};

	memset(&fired, 0, sizeof(fired));
	assert_int_equal(loop_now(l), 0);
	assert_int_equal(loop_timer_arm(l, &a.t, 100), 0);
	assert_int_equal(loop_timer_arm(l, &b.t, 50), 0);
	test_loop_quiet(l);
	assert_int_equal(fired.n, 0);
	loop_advance(l, 49);
	assert_int_equal(fired.n, 0);
	loop_advance(l, 1);
	assert_int_equal(fired.n, 1);
	loop_advance(l, 1000);
	assert_int_equal(fired.n, 2);
	assert_int_equal(loop_now(l), 1050);
	a.again = 1000000; /* due again and again: the clock moves on */
	assert_int_equal(loop_timer_arm(l, &a.t, 1100), 0);
	assert_int_equal(loop_timer_arm(l, &b.t, 1101), 0);
	fired.n = 0;
	loop_advance(l, 100);
	assert_int_equal(loop_now(l), 1150);
	assert_true(fired.n >= 3);
	assert_int_equal(b.t.heap_index, 0);
	loop_timer_cancel(&a.t);
	loop_free(l);
}

/* A periodic timer fires at each period that an advance passes. */
static struct {
	struct loop_timer t;
	uint64_t at[8];
	unsigned n;
} period;

static void period_expired(struct loop_timer *t)
{
	if (period.n < 8)
		period.at[period.n++] = loop_now(t->loop);
	(void)loop_timer_arm(t->loop, t, t->deadline_ns + 10);
}

static void virtual_clock_stops_at_deadlines(void **state)
{
	struct loop *l = test_loop_new(
		state, (struct loop_config){.virtual_clock = true});

	period.n = 0;
	period.t = (struct loop_timer){.expired = period_expired};
	assert_int_equal(loop_timer_arm(l, &period.t, 10), 0);
	loop_advance(l, 35);
	assert_int_equal(period.n, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(period.at[i], 10 * (i + 1));
	loop_timer_cancel(&period.t);
	loop_free(l);
}

/* --- tasks --- */

#define POSTERS 3
#define POSTS   2000

struct task {
	struct loop_task t;
	struct loop *l;
	unsigned ran, repost;
	unsigned *order, id;
	/* Written by the poster before it posts. */
	_Atomic unsigned wanted;
	unsigned seen;
};

static void task_run(struct loop_task *lt)
{
	struct task *t = container_of(lt, struct task, t);

	t->ran++;
	t->seen = t->wanted;
	if (t->order)
		*t->order = *t->order * 10 + t->id;
	if (t->repost && t->repost--)
		loop_post(t->l, lt);
}

static void tasks_run_once_in_order(void **state)
{
	struct loop *l = test_loop_plain(state);
	unsigned order = 0;
	struct task t[4];

	for (unsigned i = 0; i < 4; i++)
		t[i] = (struct task){.t.run = task_run,
				     .l = l,
				     .order = &order,
				     .id = i + 1};
	loop_post(l, &t[0].t);
	loop_post(l, &t[1].t);
	loop_post(l, &t[0].t); /* queued already */
	loop_post(l, &t[2].t);
	loop_post(l, &t[3].t);
	loop_task_cancel(l, &t[1].t);
	loop_task_cancel(l, &t[1].t);
	t[3].repost = 1;
	test_loop_step(l, 100 * MS);
	assert_int_equal(order, 134);
	test_loop_step(l, 100 * MS);
	assert_int_equal(order, 1344);
	test_loop_quiet(l);
	assert_int_equal(order, 1344);
	loop_post(l, &t[1].t);
	test_loop_step(l, 100 * MS);
	assert_int_equal(order, 13442);
	loop_free(l);
}

static void *poster(void *opaque)
{
	struct task *t = opaque;

	for (unsigned i = 1; i <= POSTS; i++) {
		t->wanted = i;
		loop_post(t->l, &t->t);
	}
	return NULL;
}

static void posts_from_threads_are_not_lost(void **state)
{
	struct loop *l = test_loop_plain(state);
	pthread_t thread[POSTERS];
	struct task t[POSTERS];
	uint64_t end = loop_now(l) + 100 * NS_PER_S;
	bool all = false;

	for (unsigned i = 0; i < POSTERS; i++) {
		t[i] = (struct task){.t.run = task_run, .l = l};
		assert_int_equal(
			pthread_create(&thread[i], NULL, poster, &t[i]), 0);
	}
	/* Waits without a limit: a lost wake-up hangs here (and the test is
	 * killed), a lost run fails below. */
	while (!all && loop_now(l) < end) {
		test_loop_step(l, LOOP_NO_OFFSET);
		all = true;
		for (unsigned i = 0; i < POSTERS; i++)
			all = all && t[i].seen == POSTS;
	}
	assert_true(all);
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(thread[i], NULL);
	loop_free(l);
}

static void *stopper(void *opaque)
{
	usleep(5000);
	loop_stop(opaque);
	return NULL;
}

static void stop_from_a_thread(void **state)
{
	struct loop *l = test_loop_plain(state);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stopper, l), 0);
	assert_int_equal(loop_run(l, NULL), 0);
	pthread_join(thread, NULL);
	loop_stop(l); /* before the run: it returns at once */
	assert_int_equal(loop_run(l, NULL), 0);
	loop_free(l);
}

/* A task and an event, seen from another thread. */
struct signals {
	struct loop_task t;
	struct loop_event ev;
	_Atomic unsigned tasks, events;
};

static void signals_task(struct loop_task *t)
{
	container_of(t, struct signals, t)->tasks++;
}

static void signals_event(struct loop_event *ev, uint64_t count)
{
	container_of(ev, struct signals, ev)->events += (unsigned)count;
}

static void *run_loop(void *opaque)
{
	struct err e = {0};

	return loop_seal(opaque, &e) || loop_run(opaque, &e) ? opaque : NULL;
}

/* Made and filled by one thread, sealed and run by another. */
static void loop_moves_to_its_thread(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct signals s = {.t.run = signals_task, .ev.fired = signals_event};
	int fd = eventfd(0, EFD_CLOEXEC);
	pthread_t thread;
	void *failed;

	assert_int_equal(loop_event_add(l, &s.ev, fd, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_loop, l), 0);
	write_event(fd, 1);
	loop_post(l, &s.t);
	while (!s.tasks || !s.events)
		usleep(1000);
	loop_stop(l);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(s.tasks, 1);
	assert_int_equal(s.events, 1);
	loop_event_del(&s.ev);
	loop_free(l);
	close(fd);
}

/* --- file I/O --- */

struct io {
	struct loop_io io;
	unsigned *count;
	int result;
};

static unsigned completed;

static void io_done(struct loop_io *lio, int result)
{
	struct io *io = container_of(lio, struct io, io);

	io->result = result;
	completed++;
}

static int temp_file(size_t bytes)
{
	int fd = memfd_create("loop-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void io_reads_what_it_wrote(void **state)
{
	struct loop *l = test_loop_plain(state);
	int fd = temp_file(0), file = loop_file_add(l, fd, NULL);
	char a[] = "hello ", b[] = "world", in[12] = {0};
	struct iovec out[] = {{a, 6}, {b, 5}}, iov = {in, sizeof(in)};
	struct io io = {.io.done = io_done};

	assert_true(file >= 0);
	completed = 0;
	loop_writev(l, &io.io, file, out, 2, 100);
	assert_int_equal(completed, 0); /* never inside the call */
	test_loop_until(l, &completed, 1);
	assert_int_equal(io.result, 11);
	loop_fdatasync(l, &io.io, file);
	test_loop_until(l, &completed, 2);
	assert_int_equal(io.result, 0);
	loop_readv(l, &io.io, file, &iov, 1, 100);
	test_loop_until(l, &completed, 3);
	assert_int_equal(io.result, 11); /* end of file: short */
	assert_string_equal(in, "hello world");
	loop_readv(l, &io.io, file, &iov, 1, 4096);
	test_loop_until(l, &completed, 4);
	assert_int_equal(io.result, 0);
	loop_readv(l, &io.io, file, &iov, 0, 0);
	test_loop_until(l, &completed, 5);
	assert_int_equal(io.result, 0);
	loop_file_del(l, file);
	loop_free(l);
	close(fd);
}

static void fallocate_punches_holes(void **state)
{
	struct loop *l = test_loop_plain(state);
	int fd = temp_file(0), file = loop_file_add(l, fd, NULL);
	static char page[8192], in[8192];
	struct iovec iov = {page, sizeof(page)}, riov = {in, sizeof(in)};
	struct io io = {.io.done = io_done};

	memset(page, 0xaa, sizeof(page));
	completed = 0;
	loop_writev(l, &io.io, file, &iov, 1, 0);
	test_loop_until(l, &completed, 1);
	loop_fallocate(l, &io.io, file,
		       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
	test_loop_until(l, &completed, 2);
	assert_int_equal(io.result, 0);
	loop_readv(l, &io.io, file, &riov, 1, 0);
	test_loop_until(l, &completed, 3);
	assert_int_equal(io.result, 8192);
	assert_int_equal(in[4095], 0);
	assert_memory_equal(in + 4096, page, 4096);
	loop_file_del(l, file);
	loop_free(l);
	close(fd);
}

static void io_errors_come_back(void **state)
{
	struct loop *l = test_loop_plain(state);
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	int ro = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int f1 = loop_file_add(l, full, NULL), f2 = loop_file_add(l, ro, NULL);
	struct io a = {.io.done = io_done}, b = a;
	char c = 0;
	struct iovec iov = {&c, 1};

	completed = 0;
	loop_writev(l, &a.io, f1, &iov, 1, 0);
	loop_writev(l, &b.io, f2, &iov, 1, 0);
	test_loop_until(l, &completed, 2);
	assert_int_equal(a.result, -ENOSPC);
	assert_int_equal(b.result, -EBADF);
	iov.iov_base = (void *)8; /* not ours */
	loop_readv(l, &b.io, f2, &iov, 1, 0);
	test_loop_until(l, &completed, 3);
	assert_int_equal(b.result, -EFAULT);
	loop_file_del(l, f1);
	loop_file_del(l, f2);
	loop_free(l);
	close(full);
	close(ro);
}

static void positionless_io_waits(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct io a = {.io.done = io_done}, b = a;
	char in[2][8] = {0}, out[] = "abc";
	struct iovec iov[2] = {{in[0], 8}, {in[1], 8}}, wiov = {out, 3};
	int s[2], file;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	file = loop_file_add(l, s[0], NULL);
	completed = 0;
	loop_readv(l, &a.io, file, &iov[0], 1, LOOP_NO_OFFSET);
	loop_readv(l, &b.io, file, &iov[1], 1, LOOP_NO_OFFSET);
	test_loop_quiet(l);
	assert_int_equal(completed, 0);
	/* The one that was begun first. */
	assert_int_equal(write(s[1], "one", 3), 3);
	test_loop_until(l, &completed, 1);
	assert_int_equal(a.result, 3);
	assert_string_equal(in[0], "one");
	assert_string_equal(in[1], "");
	assert_int_equal(write(s[1], "two", 3), 3);
	test_loop_until(l, &completed, 2);
	assert_int_equal(b.result, 3);
	assert_string_equal(in[1], "two");
	loop_writev(l, &a.io, file, &wiov, 1, LOOP_NO_OFFSET);
	test_loop_until(l, &completed, 3);
	assert_int_equal(a.result, 3);
	assert_int_equal(read(s[1], in[0], 8), 3);
	loop_file_del(l, file);
	loop_free(l);
	close(s[0]);
	close(s[1]);
}

/* Reads that are begun again for as long as packets come. */
#define TAKERS 4U

struct taker {
	struct loop_io io;
	struct loop *l;
	int file;
	uint32_t value;
	struct iovec iov;
};

static uint32_t next_value;

static void taker_start(struct taker *r)
{
	r->iov = (struct iovec){&r->value, sizeof(r->value)};
	loop_readv(r->l, &r->io, r->file, &r->iov, 1, LOOP_NO_OFFSET);
}

static void taker_done(struct loop_io *io, int result)
{
	struct taker *r = container_of(io, struct taker, io);

	if (result == -ECANCELED) {
		completed++;
		return;
	}
	assert_int_equal(result, sizeof(r->value));
	assert_int_equal(r->value, next_value++);
	completed++;
	taker_start(r);
}

/*
 * One at a time and in bursts, far more than the kernel lets a read wait in
 * vain before it gives it a thread of its own, which would take packets out of
 * turn.
 */
static void packets_come_in_order(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct taker r[TAKERS];
	unsigned workers = test_loop_workers();
	uint32_t sent = 0;
	int s[2], file;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
	file = loop_file_add(l, s[0], NULL);
	completed = 0;
	next_value = 0;
	for (unsigned i = 0; i < TAKERS; i++) {
		r[i] = (struct taker){
			.io.done = taker_done, .l = l, .file = file};
		taker_start(&r[i]);
	}
	for (unsigned round = 0; round < 600; round++) {
		for (unsigned n = 1 + (round % 8 == 7) * 6; n; n--, sent++)
			assert_int_equal(write(s[1], &sent, 4), 4);
		test_loop_until(l, &completed, sent);
	}
	assert_true(test_loop_workers() <= workers);
	completed = 0;
	for (unsigned i = 0; i < TAKERS; i++)
		loop_io_cancel(l, &r[i].io);
	test_loop_until(l, &completed, TAKERS);
	loop_file_del(l, file);
	loop_free(l);
	close(s[0]);
	close(s[1]);
}

static void io_can_be_cancelled(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct io a = {.io.done = io_done}, b = a;
	char in[8];
	struct iovec iov = {in, 8};
	int p[2], file;

	assert_int_equal(pipe(p), 0);
	file = loop_file_add(l, p[0], NULL);
	completed = 0;
	/* Before it was submitted, and after. */
	loop_readv(l, &a.io, file, &iov, 1, LOOP_NO_OFFSET);
	loop_io_cancel(l, &a.io);
	assert_int_equal(completed, 0);
	test_loop_until(l, &completed, 1);
	assert_int_equal(a.result, -ECANCELED);
	loop_readv(l, &a.io, file, &iov, 1, LOOP_NO_OFFSET);
	loop_readv(l, &b.io, file, &iov, 1, LOOP_NO_OFFSET);
	test_loop_quiet(l);
	loop_io_cancel(l, &a.io);
	loop_io_cancel(l, &a.io);
	test_loop_until(l, &completed, 2);
	assert_int_equal(a.result, -ECANCELED);
	assert_int_equal(write(p[1], "x", 1), 1);
	test_loop_until(l, &completed, 3);
	assert_int_equal(b.result, 1);
	loop_io_cancel(l, &b.io); /* idle: nothing happens */
	test_loop_quiet(l);
	assert_int_equal(completed, 3);
	loop_file_del(l, file);
	loop_free(l);
	close(p[0]);
	close(p[1]);
}

#define MANY 500

/* Far more operations than the ring has entries. */
static void full_ring_loses_nothing(void **state)
{
	struct loop *l =
		test_loop_new(state, (struct loop_config){.entries = 4});
	int fd = temp_file(MANY * 4), file = loop_file_add(l, fd, NULL);
	static struct io io[MANY];
	static uint32_t value[MANY], in[MANY];
	static struct iovec iov[MANY];
	struct kick k = {.ev.fired = kick_fired};
	int efd = eventfd(0, EFD_CLOEXEC);

	completed = 0;
	for (uint32_t i = 0; i < MANY; i++) {
		value[i] = i * 2654435761U;
		iov[i] = (struct iovec){&value[i], 4};
		io[i] = (struct io){.io.done = io_done};
		loop_writev(l, &io[i].io, file, &iov[i], 1, 4 * (uint64_t)i);
	}
	assert_int_equal(loop_event_add(l, &k.ev, efd, NULL), 0);
	write_event(efd, 1);
	test_loop_until(l, &completed, MANY);
	test_loop_until(l, &k.called, 1);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(io[i].result, 4);
	assert_int_equal(pread(fd, in, sizeof(in), 0), sizeof(in));
	assert_memory_equal(in, value, sizeof(in));
	loop_event_del(&k.ev);
	loop_file_del(l, file);
	loop_free(l);
	close(fd);
	close(efd);
}

/* Cancels of what waits for room, and of more than the ring can hold. */
static void full_ring_cancels(void **state)
{
	struct loop *l =
		test_loop_new(state, (struct loop_config){.entries = 4});
	static struct io io[MANY];
	static char in[MANY];
	static struct iovec iov[MANY];
	unsigned ran = 0;
	int p[2], file;

	assert_int_equal(pipe(p), 0);
	file = loop_file_add(l, p[0], NULL);
	completed = 0;
	for (unsigned i = 0; i < MANY; i++) {
		iov[i] = (struct iovec){&in[i], 1};
		io[i] = (struct io){.io.done = io_done};
		loop_readv(l, &io[i].io, file, &iov[i], 1, LOOP_NO_OFFSET);
		if (i == MANY / 2)
			test_loop_quiet(l);
	}
	for (unsigned i = 0; i < MANY; i += 2)
		loop_io_cancel(l, &io[i].io);
	test_loop_until(l, &completed, MANY / 2);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(io[i].result, i % 2 ? 0 : -ECANCELED);
	for (unsigned i = 1; i < MANY; i += 2)
		assert_int_equal(write(p[1], "x", 1), 1);
	test_loop_until(l, &completed, MANY);
	for (unsigned i = 1; i < MANY; i += 2)
		ran += io[i].result == 1;
	assert_int_equal(ran, MANY / 2);
	loop_file_del(l, file);
	loop_free(l);
	close(p[0]);
	close(p[1]);
}

static void registered_buffers_work(void **state)
{
	struct loop *l = test_loop_plain(state);
	int fd = temp_file(8192), file = loop_file_add(l, fd, NULL);
	struct io io = {.io.done = io_done};
	size_t len = 16 * 4096;
	char *ram = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct iovec iov = {ram, len};
	int r = loop_buffers(l, &iov, 1);

	if (r == -ENOTSUP) {
		assert_int_equal(loop_buffer_of(l, ram, 1), -1);
	} else {
		assert_int_equal(r, 0);
		assert_int_equal(loop_buffer_of(l, ram, len), 0);
		assert_int_equal(loop_buffer_of(l, ram + 1, len), -1);
		assert_int_equal(loop_buffer_of(l, ram - 1, 1), -1);
		assert_int_equal(loop_buffers(l, &iov, 1), -EBUSY);
		memset(ram, 0x5a, 4096);
		completed = 0;
		loop_write_fixed(l, &io.io, file, ram, 4096, 512, 0);
		test_loop_until(l, &completed, 1);
		assert_int_equal(io.result, 4096);
		loop_read_fixed(l, &io.io, file, ram + 8192, 4096, 512, 0);
		test_loop_until(l, &completed, 2);
		assert_int_equal(io.result, 4096);
		assert_memory_equal(ram, ram + 8192, 4096);
	}
	loop_file_del(l, file);
	loop_free(l);
	munmap(ram, len);
	close(fd);
}

/* --- draining --- */

struct drainer {
	struct loop_event ev;
	struct loop *l;
	int file;
	struct io io[4];
	char in[3][16];
	struct iovec iov[3];
	struct kick *other;
	unsigned drained;
	bool inside;
};

static void drainer_fired(struct loop_event *ev, uint64_t count)
{
	struct drainer *d = container_of(ev, struct drainer, ev);
	unsigned before = d->other->called;

	(void)count;
	assert_false(d->inside);
	d->inside = true;
	completed = 0;
	write_event(ev->fd, 1); /* must not run us inside ourselves */
	write_event(d->other->ev.fd, 1);
	for (int i = 0; i < 3; i++) {
		d->iov[i] = (struct iovec){d->in[i], 16};
		loop_readv(d->l, &d->io[i].io, d->file, &d->iov[i], 1,
			   16 * (uint64_t)i);
	}
	loop_complete(d->l, &d->io[3].io, 0);
	while (completed < 4)
		assert_int_equal(loop_step_io(d->l, NULL), 0);
	assert_int_equal(d->other->called, before);
	d->inside = false;
	d->drained++;
	loop_event_del(ev);
}

static void draining_runs_nothing_else(void **state)
{
	struct loop *l = test_loop_plain(state);
	int fd = temp_file(4096), ofd = eventfd(0, EFD_CLOEXEC);
	struct kick other = {.ev.fired = kick_fired};
	struct drainer d = {.ev.fired = drainer_fired,
			    .l = l,
			    .other = &other,
			    .file = loop_file_add(l, fd, NULL)};
	int efd = eventfd(1, EFD_CLOEXEC);

	for (int i = 0; i < 4; i++)
		d.io[i].io.done = io_done;
	assert_int_equal(loop_event_add(l, &d.ev, efd, NULL), 0);
	assert_int_equal(loop_event_add(l, &other.ev, ofd, NULL), 0);
	test_loop_until(l, &d.drained, 1);
	test_loop_until(l, &other.called, 1);
	test_loop_quiet(l);
	assert_int_equal(d.drained, 1);
	assert_int_equal(other.called, 1);
	loop_event_del(&other.ev);
	loop_file_del(l, d.file);
	loop_free(l);
	close(fd);
	close(efd);
	close(ofd);
}

/* A read that takes its time, drained while an event is due. */
struct sleeper {
	struct loop_event ev;
	struct loop *l;
	struct kick *other;
	struct io io;
	struct iovec iov;
	char in[8];
	int file;
	unsigned steps, drained;
};

static void sleeper_fired(struct loop_event *ev, uint64_t count)
{
	struct sleeper *d = container_of(ev, struct sleeper, ev);

	(void)count;
	d->iov = (struct iovec){d->in, sizeof(d->in)};
	completed = 0;
	loop_readv(d->l, &d->io.io, d->file, &d->iov, 1, LOOP_NO_OFFSET);
	write_event(d->other->ev.fd, 1);
	while (!completed) {
		assert_int_equal(loop_step_io(d->l, NULL), 0);
		d->steps++;
	}
	d->drained++;
}

static void *write_late(void *arg)
{
	usleep(100000);
	assert_int_equal(write(*(int *)arg, "x", 1), 1);
	return NULL;
}

static void draining_does_not_spin(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct kick other = {.ev.fired = kick_fired};
	int efd = eventfd(1, EFD_CLOEXEC), ofd = eventfd(0, EFD_CLOEXEC), p[2];
	struct sleeper d = {.ev.fired = sleeper_fired,
			    .l = l,
			    .other = &other,
			    .io.io.done = io_done};
	pthread_t writer;

	assert_int_equal(pipe(p), 0);
	d.file = loop_file_add(l, p[0], NULL);
	assert_int_equal(loop_event_add(l, &d.ev, efd, NULL), 0);
	assert_int_equal(loop_event_add(l, &other.ev, ofd, NULL), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_late, &p[1]), 0);
	test_loop_until(l, &d.drained, 1);
	assert_int_equal(d.io.result, 1);
	assert_in_range(d.steps, 1, 4);
	test_loop_until(l, &other.called, 1);
	pthread_join(writer, NULL);
	loop_event_del(&d.ev);
	loop_event_del(&other.ev);
	loop_file_del(l, d.file);
	loop_free(l);
	close(efd);
	close(ofd);
	close(p[0]);
	close(p[1]);
}

static void complete_is_deferred(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct io a = {.io.done = io_done}, b = a;

	completed = 0;
	loop_complete(l, &a.io, -EIO);
	loop_complete(l, &b.io, 5);
	assert_int_equal(completed, 0);
	test_loop_step(l, UINT64_MAX);
	assert_int_equal(completed, 2);
	assert_int_equal(a.result, -EIO);
	assert_int_equal(b.result, 5);
	loop_free(l);
}

static void too_many_files_is_an_error(void **state)
{
	struct loop *l = test_loop_plain(state);
	int file[1200], n = 0, fd = temp_file(0);
	struct err e = {0};

	while (n < 1200 && (file[n] = loop_file_add(l, fd, &e)) >= 0)
		n++;
	assert_in_range(n, 500, 1199);
	assert_int_equal(file[n], -ENOSPC);
	assert_non_null(strstr(e.text, "full"));
	loop_file_del(l, file[0]);
	assert_true(loop_file_add(l, fd, &e) >= 0);
	for (int i = 0; i < n; i++)
		loop_file_del(l, file[i]);
	loop_free(l);
	close(fd);
}

static void auto_finds_an_engine(void **state)
{
	struct loop_config c = {0};
	struct loop *l = NULL;

	(void)state;
	assert_int_equal(loop_new(&c, &l, NULL), 0);
	assert_int_not_equal(loop_engine_of(l), LOOP_AUTO);
	assert_int_equal(loop_seal(l, NULL), 0);
	assert_int_equal(loop_seal(l, NULL), 0);
	test_loop_step(l, 0);
	loop_free(l);
	loop_free(NULL);
}

static const struct CMUnitTest tests[] = {
	ON_BOTH_ENGINES(readiness_is_level_triggered),
	ON_BOTH_ENGINES(readiness_can_pause),
	ON_BOTH_ENGINES(hang_up_is_reported),
	ON_BOTH_ENGINES(regular_file_is_always_ready),
	ON_BOTH_ENGINES(bad_fd_is_refused),
	ON_BOTH_ENGINES(callback_removes_another),
	ON_BOTH_ENGINES(slots_are_reused),
	ON_BOTH_ENGINES(event_drains_its_counter),
	ON_BOTH_ENGINES(event_is_replaced_at_once),
	ON_BOTH_ENGINES(timers_run_in_order),
	ON_BOTH_ENGINES(timers_cancel_inside_callbacks),
	ON_BOTH_ENGINES(timer_can_move),
	ON_BOTH_ENGINES(due_timer_does_not_starve),
	ON_BOTH_ENGINES(virtual_clock_moves_when_told),
	ON_BOTH_ENGINES(virtual_clock_stops_at_deadlines),
	ON_BOTH_ENGINES(tasks_run_once_in_order),
	ON_BOTH_ENGINES(posts_from_threads_are_not_lost),
	ON_BOTH_ENGINES(stop_from_a_thread),
	ON_BOTH_ENGINES(loop_moves_to_its_thread),
	ON_BOTH_ENGINES(io_reads_what_it_wrote),
	ON_BOTH_ENGINES(fallocate_punches_holes),
	ON_BOTH_ENGINES(io_errors_come_back),
	ON_BOTH_ENGINES(positionless_io_waits),
	ON_BOTH_ENGINES(packets_come_in_order),
	ON_BOTH_ENGINES(io_can_be_cancelled),
	ON_BOTH_ENGINES(full_ring_loses_nothing),
	ON_BOTH_ENGINES(full_ring_cancels),
	ON_BOTH_ENGINES(registered_buffers_work),
	ON_BOTH_ENGINES(draining_runs_nothing_else),
	/* epoll tells of the event each time. */
	{"draining_does_not_spin", draining_does_not_spin, NULL, NULL,
	 &test_engine_uring},
	ON_BOTH_ENGINES(complete_is_deferred),
	ON_BOTH_ENGINES(too_many_files_is_an_error),
	cmocka_unit_test(auto_finds_an_engine),
};

TEST_MAIN(tests)
