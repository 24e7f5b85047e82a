/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What base/loop.c shares with its two engines and its timers; nobody else
 * includes it.
 *
 * Threads: as base/loop.h.
 */
#pragma once

#include <pthread.h>

#include "base/loop.h"

#define LOOP_FILES_MAX 1024U
#define LOOP_FOREVER   UINT64_MAX

enum loop_op {
	LOOP_OP_READV, /* these two first: they have iovecs */
	LOOP_OP_WRITEV,
	LOOP_OP_READ_FIXED,
	LOOP_OP_WRITE_FIXED,
	LOOP_OP_FDATASYNC,
	LOOP_OP_FALLOCATE,
};

enum io_state {
	IO_IDLE,
	IO_WAITING,  /* in the engine's list: no room, or not ready */
	IO_TURN,     /* in its slot's list: another read has its turn */
	IO_RUNNING,  /* the kernel has it */
	IO_STOPPING, /* the kernel has it; in the list of those to cancel */
	IO_DONE,     /* in the loop's list: done() is to run */
};

/* A queue of operations, first in first out, linked by loop_io.next. */
struct io_queue {
	struct loop_io *head, *tail;
};

void io_queue_push(struct io_queue *q, struct loop_io *io);
struct loop_io *io_queue_pop(struct io_queue *q); /* NULL: empty */
void io_queue_remove(struct io_queue *q, struct loop_io *io);

enum slot_kind {
	SLOT_FREE,
	SLOT_FILE,  /* loop_file_add() */
	SLOT_FD,    /* owner is a struct loop_fd */
	SLOT_EVENT, /* owner is a struct loop_event */
	SLOT_DYING, /* removed, but an operation is still in the kernel */
};

/* One registered file; its index in the loop's array is the file's. */
struct loop_slot {
	enum slot_kind kind;
	int fd;
	void *owner;
	uint64_t count;      /* where the eventfd's counter is read to */
	unsigned generation; /* moves whenever the slot is freed */
	unsigned events;     /* wanted, of a SLOT_FD */
	int result;          /* of the operation, while is_ready */
	bool in_kernel;      /* a poll or read of this slot is there */
	bool to_cancel;      /* and is to end */
	bool is_busy;        /* its callback runs */
	bool is_ready;       /* completed; its callback is to run */
	bool is_watched;     /* epoll: in the set */
	bool is_static;      /* epoll: cannot be in the set, always ready */
	struct list link;    /* of one of the engine's lists, or of none */
	/* Without position. epoll: waiting for readiness; io_uring: reads
	 * waiting for their turn. */
	struct io_queue reads, writes;
	bool is_reading;   /* io_uring: a read may wait for data in the ring */
	bool cannot_try;   /* io_uring: the file's reads always wait */
	unsigned was_read; /* io_uring: packets since the last turn */
	unsigned turns;    /* io_uring: of one packet */
};

struct loop_ops {
	enum loop_engine id;
	int (*open)(struct loop *l, unsigned entries, struct err *e);
	void (*close)(struct loop *l); /* half-open too */
	int (*seal)(struct loop *l, struct err *e);
	/* The slot's fd becomes (stops being) the file of its index. */
	int (*file_add)(struct loop *l, struct loop_slot *s);
	void (*file_del)(struct loop *l, struct loop_slot *s);
	/* kind or events of a SLOT_FD or SLOT_EVENT changed. 0 or -errno, for
	 * a slot that was just added. */
	int (*update)(struct loop *l, struct loop_slot *s);
	void (*io_start)(struct loop *l, struct loop_io *io);
	void (*io_cancel)(struct loop *l, struct loop_io *io);
	/* Submits, and waits until something happened (of I/O only, where so
	 * asked) or CLOCK_MONOTONIC is until_ns (0: no wait). 0 or -errno. */
	int (*wait)(struct loop *l, uint64_t until_ns, bool io_only);
	/* Runs the callbacks of what happened; of I/O only where so asked. */
	void (*dispatch)(struct loop *l, bool io_only);
	int (*buffers)(struct loop *l, const struct iovec *iov, unsigned n);
};

extern const struct loop_ops loop_uring_ops, loop_epoll_ops;

/* Timers: a binary heap, entry 0 unused. Ties run in the order of arming. */
struct timer_entry {
	uint64_t deadline_ns, order;
	struct loop_timer *timer;
};

struct timer_heap {
	struct timer_entry *entries;
	unsigned count, capacity;
	uint64_t order; /* of the next arming */
};

int timer_heap_init(struct timer_heap *h);
void timer_heap_fini(struct timer_heap *h);
/* The earliest deadline, or LOOP_FOREVER. */
uint64_t timer_heap_next(const struct timer_heap *h);
/* Runs what is due at now, but nothing that is armed meanwhile. */
unsigned timer_heap_run(struct timer_heap *h, uint64_t now);

struct loop {
	const struct loop_ops *ops;
	void *engine;
	bool is_sealed, is_virtual;
	_Atomic uint64_t virtual_ns;
	uint64_t step_ns; /* loop_now() when the step began */
	struct timer_heap timers;

	/* Tasks: pushed by any thread, newest first; taken as a batch. */
	_Atomic(struct loop_task *) posted;
	struct loop_task *batch;
	int wake_fd;
	struct loop_event wake;
	_Atomic bool stop;
	/* The thread inside loop_step(), and how often. */
	_Atomic pthread_t thread;
	_Atomic unsigned depth;

	struct loop_slot *slots;
	unsigned slots_used;
	struct list free_slots;
	struct io_queue done;
	struct iovec *buffers;
	unsigned nbuffers;
};

/* The engine's call-backs into base/loop.c. */
void loop_slot_ready(struct loop *l, struct loop_slot *s, unsigned events);
void loop_slot_fired(struct loop *l, struct loop_slot *s, uint64_t count);
void loop_slot_free(struct loop *l, struct loop_slot *s);
/* Puts io in the list of those whose done() is to run. */
void loop_io_done(struct loop *l, struct loop_io *io, int result);
/* Nobody else may touch a loop that runs: that is a bug of ours. */
void loop_check_owner(struct loop *l);
/* CLOCK_MONOTONIC, whatever the loop's clock. */
uint64_t loop_real_ns(void);

static inline unsigned loop_slot_index(const struct loop *l,
				       const struct loop_slot *s)
{
	return (unsigned)(s - l->slots);
}
