/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends over file descriptors: buffered output, paced input.
 *
 * Theory of operation. A serial port writes a byte at a time, from a vCPU
 * thread. A byte that finds the buffer at rest posts a task, and the loop
 * writes at once, so that an echo is not late; then, for COOL_NS, bytes only
 * gather, and the timer writes them together: a boot log costs one wake-up of
 * the loop each 2 ms, not one a byte. A buffer that is half full does not wait
 * for the timer. Where the peer takes nothing, the loop waits for readiness,
 * the buffer fills, and writers come up short.
 *
 * On a virtual clock, which may stand still, every task writes at once.
 *
 * Threads: as in backend/chardev.h.
 * Syscalls: main, io: read, write, poll
 */
#include "backend/char_fd.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"

#define COOL_NS    (2 * NS_PER_MS)
#define READ_MAX   4096U
#define FINISH_MS  1000
#define GATHER_MAX (CHAR_BUFFER / 2)

enum char_work {
	WORK_WRITE = 1,
	WORK_READ = 2,   /* the front end has room again */
	WORK_OPENED = 4, /* say CHAR_OPENED */
};

static struct char_fd *fd_of(struct chardev *c)
{
	return container_of(c, struct char_fd, chr);
}

static void char_fd_tell(struct char_fd *f, enum char_event ev)
{
	struct char_user *u = f->chr.user;

	if (u && u->event)
		u->event(u, ev);
}

/* Asks the loop for work. Any thread. */
static void char_fd_ask(struct char_fd *f, unsigned work)
{
	atomic_fetch_or(&f->work, work);
	loop_post(f->chr.loop, &f->task);
}

/* --- which readiness the loop waits for --- */

static bool char_fd_is_shared(const struct char_fd *f)
{
	return f->in_fd == f->out_fd;
}

/* Brings the loop to what input and output need now. */
static void char_fd_watch(struct char_fd *f)
{
	bool reads = f->chr.user && !atomic_load(&f->is_paused);
	unsigned in = reads ? (unsigned)EPOLLIN : 0, out;

	pthread_mutex_lock(&f->lock);
	out = f->state == OUT_BLOCKED ? (unsigned)EPOLLOUT : 0;
	pthread_mutex_unlock(&f->lock);
	if (f->in.loop)
		loop_fd_events(&f->in, in | (char_fd_is_shared(f) ? out : 0));
	if (f->out.loop)
		loop_fd_events(&f->out, out);
}

/* --- output --- */

/* The bytes that one write can take; none: NULL. */
static const unsigned char *char_fd_head(struct char_fd *f, size_t *len)
{
	const unsigned char *p;

	pthread_mutex_lock(&f->lock);
	*len = MIN(f->used, CHAR_BUFFER - f->head);
	p = *len ? f->buf + f->head : NULL;
	pthread_mutex_unlock(&f->lock);
	return p;
}

static void char_fd_consume(struct char_fd *f, size_t len)
{
	pthread_mutex_lock(&f->lock);
	f->head = (f->head + len) % CHAR_BUFFER;
	f->used -= len;
	pthread_mutex_unlock(&f->lock);
}

/* Writes until the buffer is empty (0), or -EAGAIN or another -errno. */
static int char_fd_drain(struct char_fd *f)
{
	const unsigned char *p;
	size_t len;

	while ((p = char_fd_head(f, &len))) {
		ssize_t n = write(f->out_fd, p, len);

		if (n > 0)
			char_fd_consume(f, (size_t)n);
		else if (n == 0 || errno != EINTR)
			return n == 0 ? -EIO : -errno;
	}
	return 0;
}

static void char_fd_set_state(struct char_fd *f, enum char_out_state state)
{
	pthread_mutex_lock(&f->lock);
	f->state = state;
	pthread_mutex_unlock(&f->lock);
}

/* Nobody will take it: what is buffered goes, and what comes. */
static void char_fd_drop(struct char_fd *f)
{
	pthread_mutex_lock(&f->lock);
	f->is_connected = false;
	f->used = 0;
	f->state = OUT_IDLE;
	pthread_mutex_unlock(&f->lock);
	loop_timer_cancel(&f->timer);
}

/* Lets bytes gather for a while. */
static void char_fd_cool(struct char_fd *f)
{
	struct loop *l = f->chr.loop;
	bool may_wait = !loop_is_virtual(l) &&
			!loop_timer_arm(l, &f->timer, loop_now(l) + COOL_NS);

	pthread_mutex_lock(&f->lock);
	f->state = may_wait ? OUT_COOLING : OUT_IDLE;
	/* Where nothing else will write what came meanwhile. */
	if (!may_wait && f->used) {
		f->state = OUT_POSTED;
		char_fd_ask(f, WORK_WRITE);
	}
	pthread_mutex_unlock(&f->lock);
}

static bool char_fd_take_short(struct char_fd *f)
{
	bool was_short;

	pthread_mutex_lock(&f->lock);
	was_short = f->is_short && f->used <= GATHER_MAX;
	if (was_short)
		f->is_short = false;
	pthread_mutex_unlock(&f->lock);
	return was_short;
}

/* The peer may be gone when it returns. */
static void char_fd_flush(struct char_fd *f)
{
	struct char_user *u = f->chr.user;
	int r = char_fd_drain(f);

	if (r == -EAGAIN) {
		char_fd_set_state(f, OUT_BLOCKED);
	} else if (r && f->hung_up) {
		f->hung_up(f);
	} else if (r) {
		log_warn("chardev '%s': output is lost from here: %s",
			 f->chr.id, strerror(-r));
		char_fd_drop(f);
	} else {
		char_fd_cool(f);
	}
	char_fd_watch(f);
	if (char_fd_take_short(f) && u && u->writable)
		u->writable(u);
}

static void char_fd_cooled(struct loop_timer *t)
{
	struct char_fd *f = container_of(t, struct char_fd, timer);
	bool has_more;

	pthread_mutex_lock(&f->lock);
	has_more = f->used;
	if (!has_more && f->state == OUT_COOLING)
		f->state = OUT_IDLE;
	pthread_mutex_unlock(&f->lock);
	if (has_more)
		char_fd_flush(f);
}

/* Copies what fits to the end of the buffer; the lock is held. */
static size_t char_fd_put(struct char_fd *f, const unsigned char *p, size_t len)
{
	size_t n = MIN(len, CHAR_BUFFER - f->used);
	size_t tail = (f->head + f->used) % CHAR_BUFFER;
	size_t first = MIN(n, CHAR_BUFFER - tail);

	memcpy(f->buf + tail, p, first);
	memcpy(f->buf, p + first, n - first);
	f->used += n;
	return n;
}

/* Is it time to post the task? The lock is held. */
static bool char_fd_is_due(struct char_fd *f)
{
	if (!f->chr.loop || !f->used ||
	    (f->state != OUT_IDLE &&
	     (f->state != OUT_COOLING || f->used < GATHER_MAX)))
		return false;
	f->state = OUT_POSTED;
	return true;
}

size_t char_fd_write(struct chardev *c, const void *buf, size_t len)
{
	struct char_fd *f = fd_of(c);
	size_t n = len;
	bool is_due = false;

	pthread_mutex_lock(&f->lock);
	if (f->is_connected) {
		n = char_fd_put(f, buf, len);
		f->is_short = f->is_short || n < len;
		is_due = char_fd_is_due(f);
	}
	pthread_mutex_unlock(&f->lock);
	if (is_due)
		char_fd_ask(f, WORK_WRITE);
	return n;
}

/* --- input --- */

static void char_fd_hang_up(struct char_fd *f)
{
	if (f->hung_up) {
		f->hung_up(f);
		return;
	}
	/* The end of input; output may go on. */
	if (char_fd_is_shared(f))
		char_fd_drop(f);
	loop_fd_del(&f->in);
	char_fd_tell(f, CHAR_CLOSED);
}

/* How much the front end takes now; if nothing, input pauses. */
static size_t char_fd_room(struct char_fd *f)
{
	struct char_user *u = f->chr.user;
	bool may_read = !f->may_read || f->may_read(f);
	size_t room = may_read ? u->can_receive(u) : 0;

	if (room)
		return MIN(room, READ_MAX);
	atomic_store(&f->is_paused, true);
	if (!may_read)
		return 0;
	/* Room that came before we said that we wait was not announced. */
	room = u->can_receive(u);
	if (room)
		atomic_store(&f->is_paused, false);
	return MIN(room, READ_MAX);
}

static void char_fd_read(struct char_fd *f)
{
	struct char_user *u = f->chr.user;
	unsigned char buf[READ_MAX];
	size_t room = char_fd_room(f);
	ssize_t n;

	if (!room) {
		char_fd_watch(f);
		return;
	}
	n = read(f->in_fd, buf, room);
	if (n > 0)
		u->receive(u, buf, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		char_fd_hang_up(f);
}

static bool char_fd_is_blocked(struct char_fd *f)
{
	bool is_blocked;

	pthread_mutex_lock(&f->lock);
	is_blocked = f->state == OUT_BLOCKED;
	pthread_mutex_unlock(&f->lock);
	return is_blocked;
}

/* A hang-up or error shows in the write, and in the read once the front end
 * has taken what came before it. */
static void char_fd_in_ready(struct loop_fd *lf, unsigned events)
{
	struct char_fd *f = container_of(lf, struct char_fd, in);

	if (char_fd_is_shared(f) && (events & ~(unsigned)EPOLLIN) &&
	    char_fd_is_blocked(f))
		char_fd_flush(f);
	if (f->in.loop && f->chr.user && !atomic_load(&f->is_paused) &&
	    (events & ~(unsigned)EPOLLOUT))
		char_fd_read(f);
}

static void char_fd_out_ready(struct loop_fd *lf, unsigned events)
{
	/* An error shows in the write. */
	(void)events;
	char_fd_flush(container_of(lf, struct char_fd, out));
}

void char_fd_accept(struct chardev *c)
{
	struct char_fd *f = fd_of(c);

	if (atomic_exchange(&f->is_paused, false) && c->loop)
		char_fd_ask(f, WORK_READ);
}

static void char_fd_task(struct loop_task *t)
{
	struct char_fd *f = container_of(t, struct char_fd, task);
	unsigned work = atomic_exchange(&f->work, 0);

	if (work & WORK_OPENED)
		char_fd_tell(f, CHAR_OPENED);
	if (work & WORK_WRITE)
		char_fd_flush(f);
	else if (work & (WORK_READ | WORK_OPENED))
		char_fd_watch(f);
}

/* --- peers --- */

void char_fd_connect(struct char_fd *f)
{
	pthread_mutex_lock(&f->lock);
	f->is_connected = true;
	pthread_mutex_unlock(&f->lock);
	char_fd_watch(f);
	char_fd_tell(f, CHAR_OPENED);
}

void char_fd_disconnect(struct char_fd *f)
{
	struct char_user *u = f->chr.user;
	bool was_short;

	char_fd_drop(f);
	pthread_mutex_lock(&f->lock);
	was_short = f->is_short;
	f->is_short = false;
	pthread_mutex_unlock(&f->lock);
	char_fd_tell(f, CHAR_CLOSED);
	/* Whoever was held back can go on, into the void. */
	if (was_short && u && u->writable)
		u->writable(u);
}

/* --- life --- */

int char_fd_init(struct char_fd *f, struct err *e)
{
	f->buf = malloc(CHAR_BUFFER);
	if (!f->buf)
		return err_set(e, -ENOMEM, "no memory for chardev '%s'",
			       f->chr.id);
	pthread_mutex_init(&f->lock, NULL);
	f->in.ready = char_fd_in_ready;
	f->out.ready = char_fd_out_ready;
	f->task.run = char_fd_task;
	f->timer.expired = char_fd_cooled;
	f->is_connected = true;
	f->is_inited = true;
	return 0;
}

void char_fd_fini(struct char_fd *f)
{
	if (f->is_inited)
		pthread_mutex_destroy(&f->lock);
	free(f->buf);
	f->buf = NULL;
	f->is_inited = false;
	if (f->in_fd >= 0)
		close(f->in_fd);
	if (f->out_fd >= 0 && f->out_fd != f->in_fd)
		close(f->out_fd);
	f->in_fd = f->out_fd = -1;
}

int char_fd_bind(struct chardev *c, struct loop *l, struct err *e)
{
	struct char_fd *f = fd_of(c);
	int r = 0;

	if (f->in_fd >= 0)
		r = loop_fd_add(l, &f->in, f->in_fd, 0, e);
	if (!r && f->out_fd >= 0 && !char_fd_is_shared(f))
		r = loop_fd_add(l, &f->out, f->out_fd, 0, e);
	/* What was written before; and input, on the loop's thread. */
	if (!r)
		char_fd_ask(f, WORK_WRITE | WORK_READ |
				       (f->is_connected ? WORK_OPENED : 0));
	return r;
}

/* The VM is at its end: here, and only here, output may wait a little. */
static void char_fd_finish(struct char_fd *f)
{
	struct pollfd p = {.fd = f->out_fd, .events = POLLOUT};

	if (f->out_fd < 0 || !f->is_connected)
		return;
	while (char_fd_drain(f) == -EAGAIN)
		if (poll(&p, 1, FINISH_MS) <= 0)
			return;
}

void char_fd_unbind(struct chardev *c)
{
	struct char_fd *f = fd_of(c);

	loop_fd_del(&f->in);
	loop_fd_del(&f->out);
	loop_timer_cancel(&f->timer);
	loop_task_cancel(c->loop, &f->task);
	char_fd_finish(f);
	f->state = OUT_IDLE;
	atomic_store(&f->is_paused, false);
}
