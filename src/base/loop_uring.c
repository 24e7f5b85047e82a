/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop on io_uring: polls, eventfd reads and file I/O in one ring.
 *
 * A slot (registered file) has at most one operation of its own in the ring: a
 * one-shot poll, or the read of an eventfd into the slot. It is armed again
 * after its callback, together with everything else that the callbacks asked
 * for, by the io_uring_enter that waits. A change of a slot whose operation is
 * in the kernel cancels that, and its completion arms the new one. A slot that
 * is removed meanwhile stays (SLOT_DYING) until its operation has completed,
 * because the kernel may still write to it.
 *
 * Of several reads of one file without position, a single one may wait for data
 * in the ring: each that waits would be woken for each packet, all but one in
 * vain, and after some such turns the kernel would give it a thread, which
 * takes packets out of order. When it has got some, others that only try are
 * sent before one that waits again: as many as there were packets lately; or
 * one now and then, since a try that finds nothing costs a system call.
 *
 * What finds the submission queue full is kept in order in a list and goes out
 * with the next step. The completion queue may overflow: the kernel keeps what
 * does not fit (IORING_FEAT_NODROP).
 *
 * Spec: io_uring_enter(2), io_uring_register(2).
 * Threads: as in base/loop.h.
 * Syscalls: main, io: io_uring_enter, io_uring_register, munmap, close
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/loop_uring.h"

#define TRY_EACH 8U          /* turns of one packet: then one more is tried */
#define SPAN_MAX 0x7ffff000U /* MAX_RW_COUNT: more is a short transfer */

/* The low bits of user_data; the rest is a pointer. */
enum tag { TAG_IO, TAG_SLOT, TAG_CANCEL, TAG_MASK = 7 };

static void uring_slot_run(struct loop *l, struct loop_slot *s);

/* --- submission --- */

/* NULL: the ring is full, and the kernel takes nothing now. */
static struct io_uring_sqe *uring_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe;

	if (!u->is_enabled)
		return NULL;
	sqe = io_uring_get_sqe(&u->ring);
	if (sqe)
		return sqe;
	(void)io_uring_submit(&u->ring); /* what fails stays in the ring */
	return io_uring_get_sqe(&u->ring);
}

static void uring_finish_sqe(struct io_uring_sqe *sqe, const void *p,
			     enum tag tag)
{
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = (uintptr_t)p | tag;
}

static bool uring_cancel(struct uring *u, const void *p, enum tag tag)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, (uintptr_t)p | tag, 0);
	sqe->user_data = TAG_CANCEL;
	if (u->can_require_fixed)
		sqe->flags |= IOSQE_FIXED_FILE; /* names no file */
	return true;
}

static bool uring_arm(struct loop *l, struct loop_slot *s)
{
	struct uring *u = l->engine;
	struct io_uring_sqe *sqe = uring_sqe(u);
	int file = (int)loop_slot_index(l, s);

	if (!sqe)
		return false;
	if (s->kind == SLOT_EVENT)
		io_uring_prep_read(sqe, file, &s->count, sizeof(s->count), 0);
	else
		io_uring_prep_poll_add(sqe, file, s->events);
	uring_finish_sqe(sqe, s, TAG_SLOT);
	s->in_kernel = true;
	u->in_kernel++;
	return true;
}

static bool uring_slot_wants(const struct loop_slot *s)
{
	return s->kind == SLOT_EVENT || (s->kind == SLOT_FD && s->events);
}

/* False: the ring is full. */
static bool uring_flush_slot(struct loop *l, struct loop_slot *s)
{
	if (s->in_kernel) {
		if (s->to_cancel && !uring_cancel(l->engine, s, TAG_SLOT))
			return false;
		s->to_cancel = false;
		return true;
	}
	return !uring_slot_wants(s) || uring_arm(l, s);
}

static void uring_prep_vector(struct io_uring_sqe *sqe,
			      const struct loop_io *io)
{
	const struct iovec *iov = io->iov;
	unsigned n = MIN(io->niov, (unsigned)IOV_MAX);
	unsigned len = (unsigned)MIN(iov->iov_len, (size_t)SPAN_MAX);
	int file = (int)io->file;

	if (io->op == LOOP_OP_READV && n == 1)
		io_uring_prep_read(sqe, file, iov->iov_base, len, io->offset);
	else if (io->op == LOOP_OP_READV)
		io_uring_prep_readv(sqe, file, iov, n, io->offset);
	else if (n == 1)
		io_uring_prep_write(sqe, file, iov->iov_base, len, io->offset);
	else
		io_uring_prep_writev(sqe, file, iov, n, io->offset);
	if (io->is_try)
		sqe->rw_flags = RWF_NOWAIT;
}

static void uring_prep(struct io_uring_sqe *sqe, const struct loop_io *io)
{
	unsigned len = (unsigned)MIN(io->span.iov_len, (size_t)SPAN_MAX);
	int file = (int)io->file;

	switch ((enum loop_op)io->op) {
	case LOOP_OP_READV:
	case LOOP_OP_WRITEV:
		uring_prep_vector(sqe, io);
		break;
	case LOOP_OP_READ_FIXED:
		io_uring_prep_read_fixed(sqe, file, io->span.iov_base, len,
					 io->offset, (int)io->niov);
		break;
	case LOOP_OP_WRITE_FIXED:
		io_uring_prep_write_fixed(sqe, file, io->span.iov_base, len,
					  io->offset, (int)io->niov);
		break;
	case LOOP_OP_FDATASYNC:
		io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
		break;
	case LOOP_OP_FALLOCATE:
		io_uring_prep_fallocate(sqe, file, (int)io->niov,
					(off_t)io->offset, (off_t)io->len);
		break;
	}
}

static bool uring_submit_io(struct uring *u, struct loop_io *io)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	if (!sqe)
		return false;
	uring_prep(sqe, io);
	uring_finish_sqe(sqe, io, TAG_IO);
	io->state = IO_RUNNING;
	return true;
}

static void uring_io_put(struct uring *u, struct loop_io *io)
{
	if (!u->waiting.head && uring_submit_io(u, io))
		return;
	io->state = IO_WAITING;
	io_queue_push(&u->waiting, io);
}

static bool io_takes_turns(const struct loop_io *io)
{
	return io->op == LOOP_OP_READV && io->offset == LOOP_NO_OFFSET;
}

static void uring_await_turn(struct loop_slot *s, struct loop_io *io)
{
	io->state = IO_TURN;
	io_queue_push(&s->reads, io);
}

/* How many reads to send with the one that waits. */
static unsigned uring_tries(struct loop_slot *s)
{
	unsigned packets = s->was_read;

	s->was_read = 0;
	if (s->cannot_try)
		return 0;
	return packets > 1 ? packets : s->turns++ % TRY_EACH == 0;
}

/* The read that was waiting for data is over: the others' turn. */
static void uring_turn(struct loop *l, struct loop_slot *s)
{
	unsigned tries = uring_tries(s);
	struct loop_io *io;

	s->is_reading = false;
	while (!s->is_reading && (io = io_queue_pop(&s->reads))) {
		io->is_try = tries && s->reads.head;
		if (io->is_try)
			tries--;
		else
			s->is_reading = true;
		uring_io_put(l->engine, io);
	}
}

static void uring_io_start(struct loop *l, struct loop_io *io)
{
	struct loop_slot *s = &l->slots[io->file];

	io->is_try = false;
	if (io_takes_turns(io) && s->is_reading) {
		uring_await_turn(s, io);
		return;
	}
	s->is_reading |= io_takes_turns(io);
	uring_io_put(l->engine, io);
}

static void uring_io_cancel(struct loop *l, struct loop_io *io)
{
	struct loop_slot *s = &l->slots[io->file];
	struct uring *u = l->engine;

	if (io->state == IO_RUNNING) {
		io->state = IO_STOPPING;
		io_queue_push(&u->cancels, io);
		return;
	}
	if (io->state == IO_TURN) {
		io_queue_remove(&s->reads, io);
	} else {
		io_queue_remove(&u->waiting, io);
		if (io_takes_turns(io) && !io->is_try)
			uring_turn(l, s);
	}
	loop_io_done(l, io, -ECANCELED);
}

static int uring_update(struct loop *l, struct loop_slot *s)
{
	struct uring *u = l->engine;

	/* Looked at again after its callback. */
	if (s->is_busy || s->is_ready)
		return 0;
	if (s->in_kernel)
		s->to_cancel = true;
	list_remove(&s->link);
	list_append(&u->changed, &s->link);
	return 0;
}

/* Puts into the ring what the lists hold; false where some did not fit. */
static bool uring_flush(struct loop *l)
{
	struct uring *u = l->engine;
	struct loop_slot *s, *next;

	list_for_each_safe(s, next, &u->changed, link)
	{
		if (!uring_flush_slot(l, s))
			return false;
		list_remove(&s->link);
	}
	while (u->waiting.head) {
		if (!uring_submit_io(u, u->waiting.head))
			return false;
		/* Its links are the queue's until here. */
		io_queue_pop(&u->waiting);
	}
	while (u->cancels.head) {
		if (!uring_cancel(u, u->cancels.head, TAG_IO))
			return false;
		io_queue_pop(&u->cancels)->state = IO_STOPPING;
	}
	return true;
}

/* --- completion --- */

static int uring_enter(struct uring *u, uint64_t until_ns)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	uint64_t now;

	if (until_ns == LOOP_FOREVER)
		return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, NULL,
							NULL);
	now = until_ns ? loop_real_ns() : 0;
	if (until_ns <= now)
		return io_uring_submit_and_get_events(&u->ring);
	ts.tv_sec = (long long)((until_ns - now) / NS_PER_S);
	ts.tv_nsec = (long long)((until_ns - now) % NS_PER_S);
	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
}

static int uring_wait(struct loop *l, uint64_t until_ns, bool io_only)
{
	struct uring *u = l->engine;
	int r;

	if (!uring_flush(l) || (!io_only && !list_empty(&u->ready)))
		until_ns = 0;
	r = uring_enter(u, until_ns);
	/* Time is up; a signal; the kernel is short of memory or wants its
	 * completions reaped first: all are looked at again by the next step. */
	if (r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY)
		return 0;
	return r < 0 ? r : 0;
}

static void uring_rearm(struct loop *l, struct loop_slot *s)
{
	struct uring *u = l->engine;

	if (s->in_kernel || s->is_busy)
		return;
	list_remove(&s->link);
	list_append(&u->changed, &s->link);
}

static void uring_fd_run(struct loop *l, struct loop_slot *s)
{
	unsigned events =
		s->result < 0 ? (unsigned)EPOLLERR : (unsigned)s->result;

	events &= s->events | EPOLLERR | EPOLLHUP;
	if (events && s->events)
		loop_slot_ready(l, s, events);
}

/* Runs the callback of a completed poll or read, and arms the slot again. */
static void uring_slot_run(struct loop *l, struct loop_slot *s)
{
	unsigned generation = s->generation;

	if (s->kind == SLOT_FD) {
		uring_fd_run(l, s);
	} else if (s->result == (int)sizeof(s->count)) {
		loop_slot_fired(l, s, s->count);
	} else if (s->result != -EAGAIN && s->result != -EINTR) {
		log_warn("file descriptor %d is no eventfd: %s", s->fd,
			 strerror(-s->result));
		return;
	}
	if (s->generation == generation)
		uring_rearm(l, s);
}

static void uring_slot_done(struct loop *l, struct loop_slot *s, int result,
			    bool io_only)
{
	struct uring *u = l->engine;

	u->in_kernel--;
	s->in_kernel = false;
	s->to_cancel = false;
	list_remove(&s->link);
	if (s->kind == SLOT_DYING) {
		loop_slot_free(l, s);
		return;
	}
	s->result = result;
	if (result == -ECANCELED) {
		uring_rearm(l, s);
	} else if (io_only) {
		s->is_ready = true;
		list_append(&u->ready, &s->link);
	} else {
		uring_slot_run(l, s);
	}
}

/* What the kernel calls it when an operation is stopped. */
static int uring_stopped(struct uring *u, struct loop_io *io, int result)
{
	io_queue_remove(&u->cancels, io);
	return result == -EINTR || result == -EAGAIN ? -ECANCELED : result;
}

/* A read that does not wait found nothing: back to those with no turn. */
static bool uring_tried(struct loop *l, struct loop_slot *s, struct loop_io *io,
			int result)
{
	if (!io->is_try || (result != -EAGAIN && result != -EOPNOTSUPP))
		return false;
	s->cannot_try |= result == -EOPNOTSUPP;
	uring_await_turn(s, io);
	if (!s->is_reading)
		uring_turn(l, s);
	return true;
}

static void uring_io_done(struct loop *l, struct loop_io *io, int result)
{
	struct loop_slot *s = &l->slots[io->file];
	bool had_turn = io_takes_turns(io) && !io->is_try;
	unsigned generation = s->generation;

	if (io->state == IO_STOPPING)
		result = uring_stopped(l->engine, io, result);
	else if (uring_tried(l, s, io, result))
		return;
	s->was_read += io_takes_turns(io) && result > 0;
	io->state = IO_IDLE;
	io->done(io, result);
	if (had_turn && s->generation == generation)
		uring_turn(l, s);
}

static void uring_complete(struct loop *l, const struct io_uring_cqe *cqe,
			   bool io_only)
{
	/* The ring is shared with the kernel only; it gives back our value. */
	uintptr_t p = (uintptr_t)cqe->user_data & ~(uintptr_t)TAG_MASK;

	switch ((enum tag)(cqe->user_data & TAG_MASK)) {
	case TAG_IO:
		uring_io_done(l, (struct loop_io *)p, cqe->res);
		break;
	case TAG_SLOT:
		uring_slot_done(l, (struct loop_slot *)p, cqe->res, io_only);
		break;
	case TAG_CANCEL:
	case TAG_MASK:
		break; /* what it cancelled tells */
	}
}

static void uring_run_ready(struct loop *l)
{
	struct uring *u = l->engine;
	struct loop_slot *s;

	while ((s = list_first(&u->ready, struct loop_slot, link))) {
		list_remove(&s->link);
		s->is_ready = false;
		uring_slot_run(l, s);
	}
}

static void uring_dispatch(struct loop *l, bool io_only)
{
	struct uring *u = l->engine;
	unsigned n = io_uring_cq_ready(&u->ring);
	struct io_uring_cqe *cqe, copy;

	if (!io_only)
		uring_run_ready(l);
	while (n-- && !io_uring_peek_cqe(&u->ring, &cqe)) {
		/* Given back first: a callback may run loop_step_io(). */
		copy.user_data = cqe->user_data;
		copy.res = cqe->res;
		io_uring_cqe_seen(&u->ring, cqe);
		uring_complete(l, &copy, io_only);
	}
}

/* --- the rest --- */

static int uring_file_add(struct loop *l, struct loop_slot *s)
{
	struct uring *u = l->engine;
	int r = io_uring_register_files_update(&u->ring, loop_slot_index(l, s),
					       &s->fd, 1);

	return r < 0 ? r : 0;
}

static void uring_file_del(struct loop *l, struct loop_slot *s)
{
	struct uring *u = l->engine;
	int none = -1;

	(void)io_uring_register_files_update(&u->ring, loop_slot_index(l, s),
					     &none, 1);
}

static int uring_buffers(struct loop *l, const struct iovec *iov, unsigned n)
{
	struct uring *u = l->engine;

	return io_uring_register_buffers(&u->ring, iov, n);
}

/* The kernel must be done with the slots before they are freed. */
static void uring_drain_slots(struct loop *l)
{
	struct uring *u = l->engine;

	while (u->in_kernel) {
		if (uring_wait(l, LOOP_FOREVER, true))
			return;
		uring_dispatch(l, true);
	}
}

static void uring_close(struct loop *l)
{
	struct uring *u = l->engine;

	if (!u)
		return;
	if (u->is_enabled)
		uring_drain_slots(l);
	if (u->has_ring)
		io_uring_queue_exit(&u->ring);
	free(u);
	l->engine = NULL;
}

const struct loop_ops loop_uring_ops = {
	.id = LOOP_URING,
	.open = uring_open,
	.close = uring_close,
	.seal = uring_seal,
	.file_add = uring_file_add,
	.file_del = uring_file_del,
	.update = uring_update,
	.io_start = uring_io_start,
	.io_cancel = uring_io_cancel,
	.wait = uring_wait,
	.dispatch = uring_dispatch,
	.buffers = uring_buffers,
};
