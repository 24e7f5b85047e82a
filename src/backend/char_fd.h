/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What character back ends over file descriptors share: buffered output that
 * the loop writes, input that waits for room. A driver embeds struct char_fd
 * as its first member, sets the descriptors (non-blocking, unless they are
 * regular files) and uses the functions below in its table.
 *
 * Threads: as in backend/chardev.h.
 */
#pragma once

#include <pthread.h>

#include "backend/chardev.h"

enum char_out_state {
	OUT_IDLE,    /* the next byte posts the task */
	OUT_POSTED,  /* the task will write */
	OUT_COOLING, /* written just now: the timer writes what came since */
	OUT_BLOCKED, /* the peer is slow: readiness writes */
};

struct char_fd {
	struct chardev chr;
	int in_fd, out_fd; /* may be the same; -1: no such direction */
	/* The peer went away, or the end of input; on the loop. NULL: stop
	 * reading, and say CHAR_CLOSED. */
	void (*hung_up)(struct char_fd *f);
	/* May input be read now? If not, the driver says char_fd_accept() when
	 * it may. NULL: always. */
	bool (*may_read)(struct char_fd *f);

	/* Its own, from here. */
	bool is_inited;
	struct loop_fd in, out;
	struct loop_task task;
	struct loop_timer timer;
	_Atomic unsigned work; /* what the task is to do */
	_Atomic bool is_paused;
	pthread_mutex_t lock; /* inner to every front end's; guards: */
	bool is_connected;    /* false: output is dropped */
	bool is_short;        /* a writer waits for writable() */
	enum char_out_state state;
	unsigned char *buf;
	size_t head, used;
};

/* The rest of an open(): descriptors are set. -ENOMEM. */
int char_fd_init(struct char_fd *f, struct err *e);
/* Closes the descriptors, too. Harmless before char_fd_init(), with the
 * descriptors set or -1. */
void char_fd_fini(struct char_fd *f);

int char_fd_bind(struct chardev *c, struct loop *l, struct err *e);
void char_fd_unbind(struct chardev *c);
size_t char_fd_write(struct chardev *c, const void *buf, size_t len);
void char_fd_accept(struct chardev *c);

/* On the loop: a peer came (went): output is kept (dropped) from here, and
 * the front end is told. */
void char_fd_connect(struct char_fd *f);
void char_fd_disconnect(struct char_fd *f);
