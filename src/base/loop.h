/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: readiness, timers, posted tasks and file I/O, submitted
 * together and reaped together on one io_uring; on epoll, preadv and pwritev
 * where the host forbids io_uring. Same interface, same order of callbacks.
 *
 * Every callback runs on the loop's thread, never from inside the call that
 * asked for it. A ring that carries guest I/O is created disabled, restricted
 * to the operations below and to registered files, then enabled by
 * loop_seal().
 *
 * Threads: the owner's, except loop_post() and loop_stop(): any.
 */
#pragma once

#include <sys/uio.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/list.h"
#include "base/types.h"

struct loop;

enum loop_engine { LOOP_AUTO, LOOP_URING, LOOP_EPOLL };

struct loop_config {
	enum loop_engine engine; /* LOOP_AUTO: io_uring, else epoll + a log */
	unsigned entries;        /* ring size; 0: a default */
	bool virtual_clock;      /* tests: time moves by loop_advance() only */
};

int loop_new(const struct loop_config *c, struct loop **ret, struct err *e);

/* Everything added must have been removed before. NULL is fine. The thread
 * that ran the loop, or any once that thread has ended. */
void loop_free(struct loop *l);

/* Which engine loop_new chose. */
enum loop_engine loop_engine_of(const struct loop *l);

/*
 * Restricts and enables the ring; no effect on epoll. On the thread that will
 * run the loop (the kernel binds the ring to it), after loop_buffers(). The
 * first run or step does it where this was not called; a second call is a
 * no-op. What was submitted before starts with the first run or step.
 */
int loop_seal(struct loop *l, struct err *e);

/* Runs until loop_stop(). 0, or -errno where the host fails the wait. */
int loop_run(struct loop *l, struct err *e);

/* Handles what is ready now, waiting for at most wait_ns (0: not at all;
 * UINT64_MAX: for ever) of real time until something is. */
int loop_step(struct loop *l, uint64_t wait_ns, struct err *e);

/*
 * Waits for I/O (struct loop_io) to complete and runs the done() callbacks,
 * and nothing else: readiness, events, tasks and timers wait for the outer
 * loop. For draining from inside a callback; only while I/O is under way.
 */
int loop_step_io(struct loop *l, struct err *e);

/* Makes loop_run() return; if it does not run now, the next one. */
void loop_stop(struct loop *l);

/* Now, in ns of CLOCK_MONOTONIC (or of the virtual clock). Any thread. */
uint64_t loop_now(const struct loop *l);

/* Does time move by loop_advance() only? Any thread. */
bool loop_is_virtual(const struct loop *l);

/*
 * Moves the virtual clock, stopping at each deadline on the way to run the
 * timers that come due there. Not from inside a callback.
 */
void loop_advance(struct loop *l, uint64_t ns);

/*
 * Registered files: what I/O refers to. -ENOSPC when full. What has no
 * position (TAP, pipe, socket) is made blocking on io_uring and non-blocking
 * on epoll, as each needs; fd stays the caller's and open until
 * loop_file_del(), which comes after the last done().
 */
int loop_file_add(struct loop *l, int fd, struct err *e); /* index >= 0 */
void loop_file_del(struct loop *l, int file);

/*
 * Readiness. events are EPOLLIN/EPOLLOUT, and what is reported may have
 * EPOLLERR and EPOLLHUP beside them; level-triggered: called again for as long
 * as the condition holds. A regular file is always ready. fd stays the
 * caller's; one struct loop_fd a descriptor.
 */
struct loop_fd {
	void (*ready)(struct loop_fd *f, unsigned events);
	struct loop *loop; /* below: the loop's own; NULL: not added */
	int fd, file;
	unsigned events;
};

int loop_fd_add(struct loop *l, struct loop_fd *f, int fd, unsigned events,
		struct err *e);
void loop_fd_events(struct loop_fd *f, unsigned events); /* 0: pause */
void loop_fd_del(struct loop_fd *f); /* harmless on a zeroed one */

/*
 * An eventfd whose counter is drained for the callback: one read on the ring
 * and no other system call for a wake-up (ioeventfd kicks). The eventfd is
 * made blocking on io_uring, non-blocking on epoll: nobody else reads it. A
 * count that arrives while the event is being removed may be lost.
 */
struct loop_event {
	void (*fired)(struct loop_event *ev, uint64_t count);
	struct loop *loop; /* below: the loop's own; NULL: not added */
	int fd, file;
};

int loop_event_add(struct loop *l, struct loop_event *ev, int fd,
		   struct err *e);
void loop_event_del(struct loop_event *ev); /* harmless on a zeroed one */

/* A one-shot deadline, exact to the host's timer. */
struct loop_timer {
	void (*expired)(struct loop_timer *t);
	uint64_t deadline_ns; /* absolute, loop_now() scale */
	struct loop *loop;    /* below: the loop's own */
	unsigned heap_index;  /* 0: not armed */
};

/* Arms or moves; a deadline in the past is due at once. -ENOMEM only when more
 * timers are armed than ever before. */
int loop_timer_arm(struct loop *l, struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_cancel(struct loop_timer *t); /* harmless if not armed */

/*
 * A task posted from any thread, run once on the loop's thread. Posting a task
 * that is already queued is a no-op (and the task will run after the post).
 */
struct loop_task {
	void (*run)(struct loop_task *t);
	struct loop_task *next; /* below: the loop's own */
	_Atomic int queued;
};

void loop_post(struct loop *l, struct loop_task *t);
void loop_task_cancel(struct loop *l, struct loop_task *t); /* loop's thread */

/*
 * File I/O. The request, its iovecs and their memory stay untouched by the
 * caller until done() runs with the byte count or -errno, as preadv(2) would
 * give: short transfers are the caller's to continue (also where more than
 * IOV_MAX iovecs or 2 GiB were given). Operations under way together may
 * complete in any order, but for reads of what has no position (TAP, socket):
 * packets complete in order. Nothing is allocated. On the epoll
 * engine the operation is carried out at once (what has no position: when it
 * is ready) and done() is deferred.
 */
struct loop_io {
	void (*done)(struct loop_io *io, int result);
	struct loop *loop; /* below: the loop's own */
	struct loop_io *next;
	int result;
	unsigned file;
	unsigned char op, state;
	bool is_try; /* io_uring: must not wait for data */
	unsigned niov; /* or the registered buffer, or the fallocate mode */
	const struct iovec *iov;
	struct iovec span;
	uint64_t offset, len;
};

void loop_readv(struct loop *l, struct loop_io *io, int file,
		const struct iovec *iov, unsigned n, uint64_t offset);
void loop_writev(struct loop *l, struct loop_io *io, int file,
		 const struct iovec *iov, unsigned n, uint64_t offset);
/* One span inside a buffer registered with loop_buffers(). */
void loop_read_fixed(struct loop *l, struct loop_io *io, int file, void *buf,
		     size_t len, uint64_t offset, unsigned buffer);
void loop_write_fixed(struct loop *l, struct loop_io *io, int file,
		      const void *buf, size_t len, uint64_t offset,
		      unsigned buffer);
void loop_fdatasync(struct loop *l, struct loop_io *io, int file);
/* mode: FALLOC_FL_* of fallocate(2). */
void loop_fallocate(struct loop *l, struct loop_io *io, int file, int mode,
		    uint64_t offset, uint64_t len);

/* Offset for loop_readv/loop_writev on what has no position (TAP, tty). */
#define LOOP_NO_OFFSET UINT64_MAX

/* Completes io with result without any host call; done() is deferred. */
void loop_complete(struct loop *l, struct loop_io *io, int result);

/*
 * Asks for an operation to end early; done() still runs, with -ECANCELED or
 * with the result of a completed operation.
 */
void loop_io_cancel(struct loop *l, struct loop_io *io);

/*
 * Registers memory (guest RAM) so that fixed I/O skips page pinning. Returns
 * 0, or -errno where the host refuses (memlock limit): then use the others.
 * Before loop_seal(). Epoll has no use for it: -ENOTSUP.
 */
int loop_buffers(struct loop *l, const struct iovec *iov, unsigned n);
/* The buffer that holds [p, p + len), or -1. */
int loop_buffer_of(const struct loop *l, const void *p, size_t len);
