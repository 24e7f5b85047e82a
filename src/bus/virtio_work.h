/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What virtio.c (registers, any thread) and virtio_loop.c (queues, the loop)
 * share; nobody else includes it.
 *
 * Threads: the fields say whose they are. A field of the lock that only the
 *       loop's thread writes is read there without it.
 */
#pragma once

#include <pthread.h>

#include "bus/virtio.h"

/* What the loop is asked to do with a device's queues. */
enum virtio_op {
	VIRTIO_OP_NONE,
	VIRTIO_OP_ACTIVATE, /* nobody waits for this one */
	VIRTIO_OP_RESET,
	VIRTIO_OP_QUEUE_ENABLE,
	VIRTIO_OP_QUEUE_STOP,
	VIRTIO_OP_QUEUE_RESET,
	VIRTIO_OP_PAUSE,
	VIRTIO_OP_RESUME,
};

/* A queue's doorbell. */
struct virtio_bell {
	struct loop_event event;
	struct virtio_dev *vd;
	unsigned index;
	int fd;
	bool is_serving; /* the loop's: inside handle_queue */
};

struct virtio_work {
	struct virtio_dev *vd;
	struct loop_task task;
	/* Under d->lock. */
	pthread_cond_t changed; /* an operation ended, or a waiter left */
	enum virtio_op op;      /* asked for, or under way */
	unsigned op_queue;
	bool op_runs;
	unsigned ops_done; /* counts */
	unsigned waiters;
	bool is_exposed; /* to the guest */
	/* Under d->lock, written by the loop's thread while is_live. */
	bool is_live; /* the queues are the loop's */
	bool is_held; /* drained or paused: handle_queue waits */
	bool is_paused;
	pthread_t thread; /* the loop's, where is_live or op_runs */
	/* Under d->lock: the configuration as the driver last saw it. */
	uint8_t config[VIRTIO_CONFIG_MAX];
	_Atomic bool config_pending; /* changed before DRIVER_OK */
	unsigned nbells;
	struct virtio_bell bells[];
};

/* Makes vd->work: doorbells of nvqs queues on vd->loop. */
int virtio_work_new(struct virtio_dev *vd, struct err *e);
void virtio_work_free(struct virtio_work *w); /* half-built too, NULL too */

/* Under d->lock, which these release while they wait. */

/*
 * Waits until no operation is under way, but for an activation that has not
 * begun. Is the device there for the guest (still)? First thing that a
 * register write does which needs the queues or the status.
 */
bool virtio_work_enter(struct virtio_work *w);
/*
 * Has the loop carry op out, and waits. False, and nothing happened, where
 * the queues are not live: then they are the caller's. After
 * virtio_work_enter().
 */
bool virtio_work_run(struct virtio_work *w, enum virtio_op op, unsigned queue);
/* Has the loop activate the device; does not wait. Likewise. */
void virtio_work_activate(struct virtio_work *w);
/* Calls that off, if the loop has not begun with it. Likewise. */
void virtio_work_forget(struct virtio_work *w);
/* Takes the device from the guest and the loop: when it returns nobody waits
 * for it, and no callback runs. */
void virtio_work_hide(struct virtio_work *w);

/* virtio.c's, for the loop's use. Under d->lock. */

/* Everything the driver can set, back to how it was. */
void virtio_clear(struct virtio_dev *vd);
/* Checks and maps a queue's rings; marks the device on failure. */
void virtio_queue_open(struct virtio_dev *vd, struct virtq *vq);
/* Forgets the queue's position, not what the driver set. */
void virtio_queue_stop(struct virtq *vq);
