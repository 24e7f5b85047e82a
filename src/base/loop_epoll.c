/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop on epoll, for hosts that forbid io_uring: readiness by epoll,
 * the next deadline by a timerfd in the same set, file I/O by preadv(2) and
 * its like, done at once on the loop's thread.
 *
 * I/O on what has no position (LOOP_NO_OFFSET: TAP, pipe, socket) is tried,
 * and waits in its slot for readiness where the host would block; so a slot
 * is in the set for its owner's events, or for its waiting operations.
 * Regular files cannot be in the set: as sources they are always ready.
 *
 * Spec: epoll_ctl(2), timerfd_create(2).
 * Threads: as in base/loop.h.
 * Syscalls: main, io: epoll_wait, epoll_ctl, timerfd_settime, read, readv,
 *       writev, preadv, pwritev, fdatasync, fallocate; set-up:
 *       epoll_create1, timerfd_create, close
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop_engine.h"

#define EVENTS_MAX 64
#define TIMER_KEY  UINT64_MAX

struct epoll {
	int epfd, timerfd;
	uint64_t armed_ns;   /* what the timerfd is set to; 0: unknown */
	struct list statics; /* slots that are always ready */
	int nevents;
	struct epoll_event events[EVENTS_MAX];
};

/* --- set-up --- */

static int epoll_engine_open(struct loop *l, unsigned entries, struct err *e)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TIMER_KEY};
	struct epoll *p = calloc(1, sizeof(*p));

	(void)entries;
	if (!p)
		return err_set(e, -ENOMEM, "no memory for epoll");
	l->engine = p;
	list_init(&p->statics);
	p->timerfd = -1;
	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (p->epfd < 0)
		return err_set_errno(e, -errno, "cannot make an epoll set");
	p->timerfd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->timerfd < 0)
		return err_set_errno(e, -errno, "cannot make a timerfd");
	if (epoll_ctl(p->epfd, EPOLL_CTL_ADD, p->timerfd, &ev))
		return err_set_errno(e, -errno, "cannot wait for a timerfd");
	return 0;
}

static void epoll_engine_close(struct loop *l)
{
	struct epoll *p = l->engine;

	if (!p)
		return;
	if (p->timerfd >= 0)
		close(p->timerfd);
	if (p->epfd >= 0)
		close(p->epfd);
	free(p);
	l->engine = NULL;
}

static int epoll_engine_seal(struct loop *l, struct err *e)
{
	/* Each system call passes through seccomp. */
	(void)l;
	(void)e;
	return 0;
}

static int epoll_file_add(struct loop *l, struct loop_slot *s)
{
	(void)l;
	(void)s;
	return 0;
}

static void epoll_file_del(struct loop *l, struct loop_slot *s)
{
	(void)l;
	(void)s;
}

static int epoll_buffers(struct loop *l, const struct iovec *iov, unsigned n)
{
	(void)l;
	(void)iov;
	(void)n;
	return -ENOTSUP;
}

/* --- readiness --- */

static unsigned epoll_wanted(const struct loop_slot *s)
{
	switch (s->kind) {
	case SLOT_FD:
		return s->events;
	case SLOT_EVENT:
		return EPOLLIN;
	case SLOT_FILE:
		return (s->reads.head ? (unsigned)EPOLLIN : 0) |
		       (s->writes.head ? (unsigned)EPOLLOUT : 0);
	case SLOT_FREE:
	case SLOT_DYING:
		break;
	}
	return 0;
}

static void epoll_update_static(struct epoll *p, struct loop_slot *s,
				unsigned events)
{
	list_remove(&s->link);
	if (events)
		list_append(&p->statics, &s->link);
}

/* Brings the set to what the slot wants. */
static int epoll_update(struct loop *l, struct loop_slot *s)
{
	struct epoll *p = l->engine;
	struct epoll_event ev = {
		.events = epoll_wanted(s),
		.data.u64 =
			(uint64_t)s->generation << 32 | loop_slot_index(l, s),
	};
	int op = s->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (!s->is_static && !ev.events && !s->is_watched)
		return 0;
	if (!ev.events)
		op = EPOLL_CTL_DEL;
	if (!s->is_static && !epoll_ctl(p->epfd, op, s->fd, &ev)) {
		s->is_watched = op != EPOLL_CTL_DEL;
		return 0;
	}
	if (!s->is_static && (errno != EPERM || s->kind != SLOT_FD))
		return -errno;
	/* EPERM: a regular file, or a device that cannot be waited for. */
	s->is_static = true;
	epoll_update_static(p, s, ev.events);
	return 0;
}

static void epoll_set_timer(struct epoll *p, uint64_t until_ns)
{
	struct itimerspec at = {0};

	if (until_ns == p->armed_ns)
		return;
	p->armed_ns = until_ns;
	if (until_ns != LOOP_FOREVER) {
		at.it_value.tv_sec = (time_t)(until_ns / NS_PER_S);
		at.it_value.tv_nsec = (long)(until_ns % NS_PER_S);
	}
	(void)timerfd_settime(p->timerfd, TFD_TIMER_ABSTIME, &at, NULL);
}

static int epoll_engine_wait(struct loop *l, uint64_t until_ns, bool io_only)
{
	struct epoll *p = l->engine;

	if (!io_only && !list_empty(&p->statics))
		until_ns = 0;
	if (until_ns)
		epoll_set_timer(p, until_ns);
	p->nevents =
		epoll_wait(p->epfd, p->events, EVENTS_MAX, until_ns ? -1 : 0);
	if (p->nevents >= 0)
		return 0;
	p->nevents = 0;
	return errno == EINTR ? 0 : -errno;
}

/* --- I/O --- */

static ssize_t epoll_vector(int fd, const struct loop_io *io, bool is_write)
{
	int n = (int)MIN(io->niov, (unsigned)IOV_MAX);
	off_t offset = (off_t)io->offset;

	if (io->offset == LOOP_NO_OFFSET)
		return is_write ? writev(fd, io->iov, n)
				: readv(fd, io->iov, n);
	return is_write ? pwritev(fd, io->iov, n, offset)
			: preadv(fd, io->iov, n, offset);
}

static ssize_t epoll_call(int fd, const struct loop_io *io)
{
	switch ((enum loop_op)io->op) {
	case LOOP_OP_READV:
		return epoll_vector(fd, io, false);
	case LOOP_OP_WRITEV:
		return epoll_vector(fd, io, true);
	case LOOP_OP_READ_FIXED:
		return preadv(fd, &io->span, 1, (off_t)io->offset);
	case LOOP_OP_WRITE_FIXED:
		return pwritev(fd, &io->span, 1, (off_t)io->offset);
	case LOOP_OP_FDATASYNC:
		return fdatasync(fd);
	case LOOP_OP_FALLOCATE:
		return fallocate(fd, (int)io->niov, (off_t)io->offset,
				 (off_t)io->len);
	}
	errno = EINVAL;
	return -1;
}

static int epoll_perform(int fd, const struct loop_io *io)
{
	ssize_t r;

	do
		r = epoll_call(fd, io);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : (int)r; /* the kernel moves < 2 GiB a call */
}

static bool epoll_can_wait(const struct loop_io *io)
{
	return (io->op == LOOP_OP_READV || io->op == LOOP_OP_WRITEV) &&
	       io->offset == LOOP_NO_OFFSET;
}

static struct io_queue *epoll_queue_of(struct loop *l, const struct loop_io *io)
{
	struct loop_slot *s = &l->slots[io->file];

	return io->op == LOOP_OP_READV ? &s->reads : &s->writes;
}

static void epoll_io_start(struct loop *l, struct loop_io *io)
{
	struct loop_slot *s = &l->slots[io->file];
	struct io_queue *q = epoll_queue_of(l, io);
	int r = -EAGAIN;

	if (!epoll_can_wait(io)) {
		loop_io_done(l, io, epoll_perform(s->fd, io));
		return;
	}
	if (!q->head)
		r = epoll_perform(s->fd, io);
	if (r != -EAGAIN) {
		loop_io_done(l, io, r);
		return;
	}
	io->state = IO_WAITING;
	io_queue_push(q, io);
	r = epoll_update(l, s);
	if (r) {
		io_queue_remove(q, io);
		loop_io_done(l, io, r);
	}
}

static void epoll_io_cancel(struct loop *l, struct loop_io *io)
{
	struct loop_slot *s = &l->slots[io->file];

	io_queue_remove(epoll_queue_of(l, io), io);
	(void)epoll_update(l, s); /* it is in the set: it can leave */
	loop_io_done(l, io, -ECANCELED);
}

static void epoll_retry(struct loop *l, struct loop_slot *s, struct io_queue *q)
{
	while (q->head) {
		int r = epoll_perform(s->fd, q->head);

		if (r == -EAGAIN)
			return;
		loop_io_done(l, io_queue_pop(q), r);
	}
}

/* --- callbacks --- */

static void epoll_file_ready(struct loop *l, struct loop_slot *s,
			     unsigned events)
{
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		epoll_retry(l, s, &s->reads);
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		epoll_retry(l, s, &s->writes);
	(void)epoll_update(l, s); /* it was in the set: it can change */
}

static void epoll_event_ready(struct loop *l, struct loop_slot *s)
{
	ssize_t r = read(s->fd, &s->count, sizeof(s->count));

	if (r == (ssize_t)sizeof(s->count))
		loop_slot_fired(l, s, s->count);
	else if (r >= 0 || (errno != EAGAIN && errno != EINTR)) {
		log_warn("file descriptor %d is no eventfd", s->fd);
		s->kind = SLOT_FILE; /* stays registered, watched no more */
		(void)epoll_update(l, s);
	}
}

static void epoll_slot_ready(struct loop *l, struct loop_slot *s,
			     unsigned events, bool io_only)
{
	if (s->kind == SLOT_FILE)
		epoll_file_ready(l, s, events);
	/* The others are level-triggered: they come again. */
	if (io_only || s->is_busy)
		return;
	if (s->kind == SLOT_EVENT)
		epoll_event_ready(l, s);
	else if (s->kind == SLOT_FD && s->events)
		loop_slot_ready(l, s, events);
}

static void epoll_run_statics(struct loop *l)
{
	struct epoll *p = l->engine;
	struct loop_slot *s, *last = NULL;

	if (!list_empty(&p->statics))
		last = container_of(p->statics.prev, struct loop_slot, link);
	/* Each goes to the end first: its callback may remove any of them. */
	for (unsigned n = 0; n < LOOP_FILES_MAX; n++) {
		s = list_first(&p->statics, struct loop_slot, link);
		if (!s)
			return;
		list_remove(&s->link);
		list_append(&p->statics, &s->link);
		if (!s->is_busy)
			loop_slot_ready(l, s, s->events);
		if (s == last)
			return;
	}
}

static void epoll_dispatch(struct loop *l, bool io_only)
{
	struct epoll *p = l->engine;
	struct epoll_event events[EVENTS_MAX];
	int n = p->nevents;

	/* A copy: a callback may run loop_step_io(). */
	memcpy(events, p->events, (size_t)n * sizeof(*events));
	p->nevents = 0;
	for (int i = 0; i < n; i++) {
		uint64_t key = events[i].data.u64;
		struct loop_slot *s;

		if (key == TIMER_KEY) {
			p->armed_ns = 0; /* ready until it is set anew */
			continue;
		}
		s = &l->slots[key & UINT32_MAX];
		if (s->generation == key >> 32)
			epoll_slot_ready(l, s, events[i].events, io_only);
	}
	if (!io_only)
		epoll_run_statics(l);
}

const struct loop_ops loop_epoll_ops = {
	.id = LOOP_EPOLL,
	.open = epoll_engine_open,
	.close = epoll_engine_close,
	.seal = epoll_engine_seal,
	.file_add = epoll_file_add,
	.file_del = epoll_file_del,
	.update = epoll_update,
	.io_start = epoll_io_start,
	.io_cancel = epoll_io_cancel,
	.wait = epoll_engine_wait,
	.dispatch = epoll_dispatch,
	.buffers = epoll_buffers,
};
