/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: what its two engines share.
 *
 * One step runs the posted tasks, waits in the engine until something happens
 * or the next timer is due, runs what happened, and runs the timers. An
 * eventfd of the loop's own, watched like any other event, ends the wait when
 * another thread posts a task; the thread that is inside the step needs none,
 * because the step looks at the tasks before it waits.
 *
 * Callbacks may remove any source, their own included, and may run
 * loop_step_io(): lists are emptied one entry at a time, and a slot's
 * generation tells whether it is still the same after its callback.
 *
 * Threads: as in the header.
 * Syscalls: all: write; main, io: clock_gettime, write; set-up: eventfd2,
 *       fcntl, newfstatat
 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop_engine.h"
#include "base/num.h"

#define ENTRIES_DEFAULT    256U
#define ENTRIES_MAX        4096U
/* Passes over timers that are armed again for the same virtual instant. */
#define ADVANCE_PASSES_MAX 64U
#define BUFFER_MAX         GIB /* io_uring takes no larger one */
#define BUFFERS_MAX        1024U

uint64_t loop_real_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t loop_now(const struct loop *l)
{
	if (l->is_virtual)
		return atomic_load(&l->virtual_ns);
	return loop_real_ns();
}

bool loop_is_virtual(const struct loop *l)
{
	return l->is_virtual;
}

enum loop_engine loop_engine_of(const struct loop *l)
{
	return l->ops->id;
}

/* Is the caller inside a step of this loop? */
static bool loop_is_inside(struct loop *l)
{
	return atomic_load(&l->depth) &&
	       pthread_equal(atomic_load(&l->thread), pthread_self());
}

void loop_check_owner(struct loop *l)
{
	assert(!atomic_load(&l->depth) || loop_is_inside(l));
}

static void loop_enter(struct loop *l)
{
	loop_check_owner(l);
	atomic_store(&l->thread, pthread_self());
	atomic_fetch_add(&l->depth, 1);
}

static void loop_leave(struct loop *l)
{
	atomic_fetch_sub(&l->depth, 1);
}

static void loop_wake(struct loop *l)
{
	const uint64_t one = 1;

	/* Fails only where the counter is full, which wakes as well. */
	(void)!write(l->wake_fd, &one, sizeof(one));
}

static void loop_woken(struct loop_event *ev, uint64_t count)
{
	/* The step that it ended does the rest. */
	(void)ev;
	(void)count;
}

/* --- queues of operations --- */

void io_queue_push(struct io_queue *q, struct loop_io *io)
{
	io->next = NULL;
	if (q->tail)
		q->tail->next = io;
	else
		q->head = io;
	q->tail = io;
}

struct loop_io *io_queue_pop(struct io_queue *q)
{
	struct loop_io *io = q->head;

	if (!io)
		return NULL;
	q->head = io->next;
	if (!q->head)
		q->tail = NULL;
	io->next = NULL;
	return io;
}

void io_queue_remove(struct io_queue *q, struct loop_io *io)
{
	struct loop_io **at = &q->head, *prev = NULL;

	while (*at && *at != io) {
		prev = *at;
		at = &prev->next;
	}
	if (!*at)
		return;
	*at = io->next;
	if (q->tail == io)
		q->tail = prev;
	io->next = NULL;
}

void loop_io_done(struct loop *l, struct loop_io *io, int result)
{
	io->state = IO_DONE;
	io->result = result;
	io_queue_push(&l->done, io);
}

/* Runs done() of what is in the list now, not of what is added meanwhile. */
static void loop_run_done(struct loop *l)
{
	const struct loop_io *last = l->done.tail;
	struct loop_io *io;

	while ((io = io_queue_pop(&l->done))) {
		io->state = IO_IDLE;
		io->done(io, io->result);
		if (io == last)
			return;
	}
}

/* --- slots --- */

static struct loop_slot *loop_slot_get(struct loop *l)
{
	struct loop_slot *s =
		list_first(&l->free_slots, struct loop_slot, link);

	if (s) {
		list_remove(&s->link);
		return s;
	}
	if (l->slots_used == LOOP_FILES_MAX)
		return NULL;
	s = &l->slots[l->slots_used++];
	list_init(&s->link);
	return s;
}

void loop_slot_free(struct loop *l, struct loop_slot *s)
{
	unsigned generation = s->generation + 1;

	list_remove(&s->link);
	*s = (struct loop_slot){.generation = generation, .fd = -1};
	list_append(&l->free_slots, &s->link);
}

/* A wait on what has no position must be left to the engine. */
static int loop_set_blocking(struct loop *l, int fd)
{
	int flags = fcntl(fd, F_GETFL), want;

	if (flags < 0)
		return -errno;
	want = l->ops->id == LOOP_URING ? flags & ~O_NONBLOCK
					: flags | O_NONBLOCK;
	return want == flags || !fcntl(fd, F_SETFL, want) ? 0 : -errno;
}

static int loop_prepare_fd(struct loop *l, int fd, enum slot_kind kind)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (kind == SLOT_FD || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return 0;
	return loop_set_blocking(l, fd);
}

static int loop_slot_add(struct loop *l, int fd, enum slot_kind kind,
			 void *owner, struct err *e)
{
	struct loop_slot *s;
	int r;

	loop_check_owner(l);
	r = loop_prepare_fd(l, fd, kind);
	if (r)
		return err_set_errno(e, r, "cannot use file descriptor %d", fd);
	s = loop_slot_get(l);
	if (!s)
		return err_set(e, -ENOSPC,
			       "the event loop is full: it has %u files",
			       LOOP_FILES_MAX);
	s->kind = kind;
	s->fd = fd;
	s->owner = owner;
	r = l->ops->file_add(l, s);
	if (r) {
		loop_slot_free(l, s);
		return err_set_errno(e, r,
				     "the event loop cannot register "
				     "file descriptor %d",
				     fd);
	}
	return (int)loop_slot_index(l, s);
}

static void loop_slot_del(struct loop *l, struct loop_slot *s)
{
	loop_check_owner(l);
	s->kind = SLOT_DYING;
	s->owner = NULL;
	s->events = 0;
	(void)l->ops->update(l, s); /* taking away needs no resource */
	l->ops->file_del(l, s);
	if (!s->in_kernel)
		loop_slot_free(l, s);
}

int loop_file_add(struct loop *l, int fd, struct err *e)
{
	return loop_slot_add(l, fd, SLOT_FILE, NULL, e);
}

void loop_file_del(struct loop *l, int file)
{
	if (file >= 0)
		loop_slot_del(l, &l->slots[file]);
}

int loop_fd_add(struct loop *l, struct loop_fd *f, int fd, unsigned events,
		struct err *e)
{
	int r = loop_slot_add(l, fd, SLOT_FD, f, e);

	if (r < 0)
		return r;
	f->file = r;
	l->slots[f->file].events = events;
	r = l->ops->update(l, &l->slots[f->file]);
	if (r) {
		loop_slot_del(l, &l->slots[f->file]);
		return err_set_errno(e, r, "cannot wait for file descriptor %d",
				     fd);
	}
	f->loop = l;
	f->fd = fd;
	f->events = events;
	return 0;
}

void loop_fd_events(struct loop_fd *f, unsigned events)
{
	struct loop *l = f->loop;

	loop_check_owner(l);
	if (f->events == events)
		return;
	f->events = events;
	l->slots[f->file].events = events;
	(void)l->ops->update(l, &l->slots[f->file]); /* it was added: it can */
}

void loop_fd_del(struct loop_fd *f)
{
	if (!f->loop)
		return;
	loop_slot_del(f->loop, &f->loop->slots[f->file]);
	f->loop = NULL;
}

int loop_event_add(struct loop *l, struct loop_event *ev, int fd, struct err *e)
{
	int r = loop_slot_add(l, fd, SLOT_EVENT, ev, e);

	if (r < 0)
		return r;
	ev->file = r;
	r = l->ops->update(l, &l->slots[ev->file]);
	if (r) {
		loop_slot_del(l, &l->slots[ev->file]);
		return err_set_errno(e, r, "cannot wait for eventfd %d", fd);
	}
	ev->loop = l;
	ev->fd = fd;
	return 0;
}

void loop_event_del(struct loop_event *ev)
{
	if (!ev->loop)
		return;
	loop_slot_del(ev->loop, &ev->loop->slots[ev->file]);
	ev->loop = NULL;
}

void loop_slot_ready(struct loop *l, struct loop_slot *s, unsigned events)
{
	struct loop_fd *f = s->owner;
	unsigned generation = s->generation;

	(void)l;
	s->is_busy = true;
	f->ready(f, events);
	if (s->generation == generation)
		s->is_busy = false;
}

void loop_slot_fired(struct loop *l, struct loop_slot *s, uint64_t count)
{
	struct loop_event *ev = s->owner;
	unsigned generation = s->generation;

	(void)l;
	s->is_busy = true;
	ev->fired(ev, count);
	if (s->generation == generation)
		s->is_busy = false;
}

/* --- tasks --- */

void loop_post(struct loop *l, struct loop_task *t)
{
	struct loop_task *head;

	if (atomic_exchange(&t->queued, 1))
		return;
	head = atomic_load(&l->posted);
	do
		t->next = head;
	while (!atomic_compare_exchange_weak(&l->posted, &head, t));
	/* Whoever made the list non-empty has woken the loop, or is it. */
	if (!head && !loop_is_inside(l))
		loop_wake(l);
}

/* Moves what was posted to the end of the batch, oldest first. */
static void loop_collect_tasks(struct loop *l)
{
	struct loop_task *t = atomic_exchange(&l->posted, NULL), *next;
	struct loop_task *ordered = NULL, **end = &l->batch;

	for (; t; t = next) {
		next = t->next;
		t->next = ordered;
		ordered = t;
	}
	while (*end)
		end = &(*end)->next;
	*end = ordered;
}

/* Runs what is posted by now, not what is posted meanwhile. */
static bool loop_run_tasks(struct loop *l)
{
	struct loop_task *t, *last;
	bool ran = false;

	loop_collect_tasks(l);
	for (last = l->batch; last && last->next; last = last->next)
		;
	while ((t = l->batch)) {
		l->batch = t->next;
		/* An exchange: what was written before a post that found the
		 * task queued must be seen by this run. */
		(void)atomic_exchange(&t->queued, 0);
		t->run(t);
		ran = true;
		if (t == last)
			break;
	}
	return ran;
}

void loop_task_cancel(struct loop *l, struct loop_task *t)
{
	struct loop_task **at = &l->batch;

	loop_check_owner(l);
	loop_collect_tasks(l);
	while (*at && *at != t)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = t->next;
	atomic_store(&t->queued, 0);
}

/* --- timers --- */

static void loop_run_timers(struct loop *l)
{
	if (!l->timers.count)
		return;
	l->step_ns = loop_now(l);
	timer_heap_run(&l->timers, l->step_ns);
}

void loop_advance(struct loop *l, uint64_t ns)
{
	uint64_t now = loop_now(l), target, next;
	unsigned passes = 0;

	if (!l->is_virtual)
		return;
	if (!add_ok(now, ns, &target))
		target = UINT64_MAX;
	loop_enter(l);
	next = timer_heap_next(&l->timers);
	while (next <= target && next != LOOP_FOREVER &&
	       passes < ADVANCE_PASSES_MAX) {
		passes = next > now ? 0 : passes + 1;
		now = MAX(now, next);
		atomic_store(&l->virtual_ns, now);
		loop_run_timers(l);
		next = timer_heap_next(&l->timers);
	}
	atomic_store(&l->virtual_ns, target);
	loop_run_timers(l);
	loop_leave(l);
}

/* --- steps --- */

/* Until when a step may wait, on CLOCK_MONOTONIC; 0: not at all. */
static uint64_t loop_wait_until(struct loop *l, uint64_t wait_ns)
{
	uint64_t until = LOOP_FOREVER, next = timer_heap_next(&l->timers);
	uint64_t now;

	if (!wait_ns || l->batch || l->done.head || atomic_load(&l->posted))
		return 0;
	if (next == LOOP_FOREVER && wait_ns == LOOP_FOREVER)
		return until;
	now = loop_now(l);
	if (next <= now)
		return 0;
	if (!l->is_virtual)
		until = next;
	else
		now = loop_real_ns();
	if (wait_ns < LOOP_FOREVER - now)
		until = MIN(until, now + wait_ns);
	return until;
}

static int loop_wait(struct loop *l, uint64_t until_ns, bool io_only,
		     struct err *e)
{
	int r = l->ops->wait(l, until_ns, io_only);

	return r ? err_set_errno(e, r, "the event loop cannot wait") : 0;
}

/* Inside the loop: what happens next, waiting for it as long as that takes. */
static int loop_turn(struct loop *l, uint64_t wait_ns, struct err *e)
{
	int r = loop_wait(l, loop_wait_until(l, wait_ns), false, e);

	if (r)
		return r;
	l->ops->dispatch(l, false);
	loop_run_done(l);
	loop_run_timers(l);
	return 0;
}

int loop_step(struct loop *l, uint64_t wait_ns, struct err *e)
{
	int r = loop_seal(l, e);

	if (r)
		return r;
	loop_enter(l);
	r = loop_turn(l, loop_run_tasks(l) ? 0 : wait_ns, e);
	loop_leave(l);
	return r;
}

int loop_step_io(struct loop *l, struct err *e)
{
	int r = loop_seal(l, e);

	if (r)
		return r;
	loop_enter(l);
	r = loop_wait(l, l->done.head ? 0 : LOOP_FOREVER, true, e);
	if (!r) {
		l->ops->dispatch(l, true);
		loop_run_done(l);
	}
	loop_leave(l);
	return r;
}

/* As steps, but a task that ran is no reason to look for events before the
 * wait for them: one that stops the loop has made it wake up. */
int loop_run(struct loop *l, struct err *e)
{
	int r = loop_seal(l, e);

	while (!r && !atomic_exchange(&l->stop, false)) {
		loop_enter(l);
		(void)loop_run_tasks(l);
		r = loop_turn(l, LOOP_FOREVER, e);
		loop_leave(l);
	}
	return r;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	loop_wake(l);
}

/* --- I/O --- */

static void loop_io_start(struct loop *l, struct loop_io *io, enum loop_op op,
			  int file)
{
	loop_check_owner(l);
	io->loop = l;
	io->op = (unsigned char)op;
	io->file = (unsigned)file;
	if (op <= LOOP_OP_WRITEV && !io->niov)
		loop_io_done(l, io, 0);
	else
		l->ops->io_start(l, io);
}

void loop_readv(struct loop *l, struct loop_io *io, int file,
		const struct iovec *iov, unsigned n, uint64_t offset)
{
	io->iov = iov;
	io->niov = n;
	io->offset = offset;
	loop_io_start(l, io, LOOP_OP_READV, file);
}

void loop_writev(struct loop *l, struct loop_io *io, int file,
		 const struct iovec *iov, unsigned n, uint64_t offset)
{
	io->iov = iov;
	io->niov = n;
	io->offset = offset;
	loop_io_start(l, io, LOOP_OP_WRITEV, file);
}

void loop_read_fixed(struct loop *l, struct loop_io *io, int file, void *buf,
		     size_t len, uint64_t offset, unsigned buffer)
{
	io->span = (struct iovec){.iov_base = buf, .iov_len = len};
	io->niov = buffer;
	io->offset = offset;
	loop_io_start(l, io, LOOP_OP_READ_FIXED, file);
}

void loop_write_fixed(struct loop *l, struct loop_io *io, int file,
		      const void *buf, size_t len, uint64_t offset,
		      unsigned buffer)
{
	/* An iovec has no const; the write only reads. */
	io->span = (struct iovec){.iov_base = (void *)(uintptr_t)buf,
				  .iov_len = len};
	io->niov = buffer;
	io->offset = offset;
	loop_io_start(l, io, LOOP_OP_WRITE_FIXED, file);
}

void loop_fdatasync(struct loop *l, struct loop_io *io, int file)
{
	loop_io_start(l, io, LOOP_OP_FDATASYNC, file);
}

void loop_fallocate(struct loop *l, struct loop_io *io, int file, int mode,
		    uint64_t offset, uint64_t len)
{
	io->niov = (unsigned)mode;
	io->offset = offset;
	io->len = len;
	loop_io_start(l, io, LOOP_OP_FALLOCATE, file);
}

void loop_complete(struct loop *l, struct loop_io *io, int result)
{
	loop_check_owner(l);
	io->loop = l;
	loop_io_done(l, io, result);
}

void loop_io_cancel(struct loop *l, struct loop_io *io)
{
	loop_check_owner(l);
	if (io->state == IO_WAITING || io->state == IO_TURN ||
	    io->state == IO_RUNNING)
		l->ops->io_cancel(l, io);
}

/* --- registered buffers --- */

static unsigned loop_count_buffers(const struct iovec *iov, unsigned n)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < n; i++)
		count += iov[i].iov_len / BUFFER_MAX +
			 (iov[i].iov_len % BUFFER_MAX != 0);
	return count > BUFFERS_MAX ? 0 : (unsigned)count;
}

static void loop_split_buffers(struct iovec *to, const struct iovec *iov,
			       unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		size_t left = iov[i].iov_len;
		char *base = iov[i].iov_base;

		while (left) {
			size_t len = MIN(left, BUFFER_MAX);

			*to++ = (struct iovec){.iov_base = base,
					       .iov_len = len};
			base += len;
			left -= len;
		}
	}
}

int loop_buffers(struct loop *l, const struct iovec *iov, unsigned n)
{
	unsigned count = loop_count_buffers(iov, n);
	int r;

	loop_check_owner(l);
	if (!count || l->nbuffers || l->is_sealed)
		return count ? -EBUSY : -EINVAL;
	l->buffers = calloc(count, sizeof(*l->buffers));
	if (!l->buffers)
		return -ENOMEM;
	loop_split_buffers(l->buffers, iov, n);
	r = l->ops->buffers(l, l->buffers, count);
	if (r) {
		free(l->buffers);
		l->buffers = NULL;
		return r;
	}
	l->nbuffers = count;
	return 0;
}

int loop_buffer_of(const struct loop *l, const void *p, size_t len)
{
	for (unsigned i = 0; i < l->nbuffers; i++) {
		uintptr_t base = (uintptr_t)l->buffers[i].iov_base;

		if ((uintptr_t)p >= base &&
		    range_ok((uintptr_t)p - base, len, l->buffers[i].iov_len))
			return (int)i;
	}
	return -1;
}

/* --- life --- */

static int loop_open_engine(struct loop *l, const struct loop_config *c,
			    struct err *e)
{
	unsigned entries = c->entries ? c->entries : ENTRIES_DEFAULT;
	struct err why = {0};
	int r;

	entries = MIN(entries, ENTRIES_MAX);
	if (c->engine != LOOP_EPOLL) {
		l->ops = &loop_uring_ops;
		r = l->ops->open(l, entries, &why);
		if (!r)
			return 0;
		if (c->engine == LOOP_URING)
			return err_set(e, r, "%s", why.text);
		l->ops->close(l);
		log_warn("%s: using epoll, which is slower", why.text);
	}
	l->ops = &loop_epoll_ops;
	return l->ops->open(l, entries, e);
}

static int loop_init(struct loop *l, const struct loop_config *c, struct err *e)
{
	int r;

	l->is_virtual = c->virtual_clock;
	list_init(&l->free_slots);
	l->slots = calloc(LOOP_FILES_MAX, sizeof(*l->slots));
	if (!l->slots || timer_heap_init(&l->timers))
		return err_set(e, -ENOMEM, "no memory for an event loop");
	r = loop_open_engine(l, c, e);
	if (r)
		return r;
	l->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (l->wake_fd < 0)
		return err_set_errno(e, -errno, "cannot make an eventfd");
	l->wake.fired = loop_woken;
	return loop_event_add(l, &l->wake, l->wake_fd, e);
}

int loop_new(const struct loop_config *c, struct loop **ret, struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_set(e, -ENOMEM, "no memory for an event loop");
	l->wake_fd = -1;
	r = loop_init(l, c, e);
	if (r) {
		loop_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

int loop_seal(struct loop *l, struct err *e)
{
	int r;

	if (l->is_sealed)
		return 0;
	r = l->ops->seal(l, e);
	if (!r)
		l->is_sealed = true;
	return r;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	loop_event_del(&l->wake);
	if (l->ops)
		l->ops->close(l);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	timer_heap_fini(&l->timers);
	free(l->slots);
	free(l->buffers);
	free(l);
}
