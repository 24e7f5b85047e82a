/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device's queues on its loop: doorbells, and the hand-over of the
 * queues between the vCPUs that write registers and the loop that serves them.
 *
 * Spec: VIRTIO 1.2, 2.4 (reset), 2.6.1 (queue reset), 2.9 (notifications).
 * Threads: as bus/virtio.h.
 * State: none; a saved device is paused, with nothing in flight.
 * Syscalls: set-up: eventfd2; vcpu, io: write
 *
 * Theory of operation. While the device is not live its queues belong to
 * whoever holds d->lock. DRIVER_OK posts a task; when that has run, they belong
 * to the loop's thread, which serves them without the lock. A register write
 * that needs them back names an operation and waits on a condition variable,
 * so that d->lock is free meanwhile: for other vCPUs' accesses, and for the
 * loop, which takes it to look at the operation and to mark its end. One
 * operation at a time; others wait for their turn. On the loop's own thread
 * (the machine's reset, a detach, a test) the operation is carried out at
 * once. Lock order: d->lock, then the loop's own.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/virtio_work.h"

/* How often a queue is handled before others of the loop have their turn. */
#define VIRTIO_ROUNDS 4

bool virtio_is_live(const struct virtio_dev *vd)
{
	return vd->work && vd->work->is_live;
}

/*
 * Handles the queue once, kicks off: is there more that the device may take? A
 * device that saw a chain and took none has no room. One that saw none may have
 * missed what the driver, told not to kick, added since.
 */
static bool virtio_handle(struct virtio_dev *vd, struct virtq *vq)
{
	bool was_empty = !virtq_has_chain(vq);
	uint32_t popped = vq->popped;

	virtq_want_kick(vq, false);
	vd->vclass->handle_queue(vd, vq);
	virtq_want_kick(vq, true);
	return (was_empty || popped != vq->popped) && virtq_has_chain(vq);
}

static void virtio_ring(const struct virtio_bell *b)
{
	/* Fails where the counter is full: then it has rung. */
	(void)eventfd_write(b->fd, 1);
}

void virtio_serve(struct virtio_dev *vd, struct virtq *vq)
{
	struct virtio_work *w = vd->work;
	struct virtio_bell *b;
	unsigned rounds = 0;
	bool more;

	/* Before anything of the queue, which is not ours else. */
	if (!w->is_live || w->is_held)
		return;
	b = &w->bells[vq->index];
	if (b->is_serving || !vq->ready)
		return;
	b->is_serving = true;
	do
		more = virtio_handle(vd, vq);
	while (more && ++rounds < VIRTIO_ROUNDS);
	b->is_serving = false;
	if (more)
		virtio_ring(b);
}

static void virtio_serve_all(struct virtio_dev *vd)
{
	for (unsigned i = 0; i < vd->nvqs; i++)
		virtio_serve(vd, &vd->vqs[i]);
}

static void virtio_bell_fired(struct loop_event *ev, uint64_t count)
{
	struct virtio_bell *b = container_of(ev, struct virtio_bell, event);

	(void)count; /* one kick or many: all chains are looked for */
	virtio_serve(b->vd, &b->vd->vqs[b->index]);
}

void virtio_kick(struct virtio_dev *vd, unsigned index)
{
	if (index < vd->nvqs)
		virtio_ring(&vd->work->bells[index]);
	else
		guest_err(&vd->dev,
			  "kick of queue %u, which does not exist "
			  "(VIRTIO 1.2, 4.2.3.3)",
			  index);
}

int virtio_kick_fd(const struct virtio_dev *vd, unsigned index)
{
	return vd->work->bells[index].fd;
}

/* Operations, on the loop's thread: each is entered and left under d->lock. */

static void virtio_lock(struct virtio_dev *vd)
{
	pthread_mutex_lock(&vd->dev.lock);
}

static void virtio_unlock(struct virtio_dev *vd)
{
	pthread_mutex_unlock(&vd->dev.lock);
}

static void virtio_do_activate(struct virtio_work *w)
{
	struct virtio_dev *vd = w->vd;

	w->is_live = true;
	virtio_unlock(vd);
	if (vd->vclass->activate)
		vd->vclass->activate(vd);
	virtio_serve_all(vd);
	virtio_lock(vd);
}

/* Nothing in flight, and nothing new until virtio_release(). */
static void virtio_hold(struct virtio_work *w)
{
	struct virtio_dev *vd = w->vd;

	w->is_held = true;
	virtio_unlock(vd);
	if (vd->vclass->drain)
		vd->vclass->drain(vd);
	virtio_lock(vd);
}

static void virtio_release(struct virtio_work *w)
{
	w->is_held = w->is_paused;
	virtio_unlock(w->vd);
	virtio_serve_all(w->vd);
	virtio_lock(w->vd);
}

static void virtio_do_reset(struct virtio_work *w)
{
	struct virtio_dev *vd = w->vd;

	virtio_hold(w);
	virtio_unlock(vd);
	if (vd->vclass->reset)
		vd->vclass->reset(vd);
	virtio_lock(vd);
	w->is_live = false;
	w->is_held = w->is_paused;
	virtio_clear(vd);
}

static void virtio_do_queue_enable(struct virtio_work *w)
{
	virtio_queue_open(w->vd, &w->vd->vqs[w->op_queue]);
	virtio_release(w);
}

static void virtio_drop_queue(struct virtio_work *w, struct virtq *vq)
{
	struct virtio_dev *vd = w->vd;

	virtio_hold(w);
	if (!vd->vclass->queue_reset)
		return;
	virtio_unlock(vd);
	vd->vclass->queue_reset(vd, vq);
	virtio_lock(vd);
}

static void virtio_do_queue_stop(struct virtio_work *w)
{
	struct virtq *vq = &w->vd->vqs[w->op_queue];

	virtio_drop_queue(w, vq);
	virtio_queue_stop(vq);
	virtio_release(w);
}

static void virtio_do_queue_reset(struct virtio_work *w)
{
	struct virtq *vq = &w->vd->vqs[w->op_queue];

	virtio_drop_queue(w, vq);
	virtq_reset(vq);
	virtio_release(w);
}

static void virtio_do_pause(struct virtio_work *w)
{
	w->is_paused = true;
	virtio_hold(w);
}

static void virtio_do_resume(struct virtio_work *w)
{
	w->is_paused = false;
	virtio_release(w);
}

static void (*const virtio_ops[])(struct virtio_work *w) = {
	[VIRTIO_OP_ACTIVATE] = virtio_do_activate,
	[VIRTIO_OP_RESET] = virtio_do_reset,
	[VIRTIO_OP_QUEUE_ENABLE] = virtio_do_queue_enable,
	[VIRTIO_OP_QUEUE_STOP] = virtio_do_queue_stop,
	[VIRTIO_OP_QUEUE_RESET] = virtio_do_queue_reset,
	[VIRTIO_OP_PAUSE] = virtio_do_pause,
	[VIRTIO_OP_RESUME] = virtio_do_resume,
};

/* Carries out what was asked for, if it was not called off; under d->lock. */
static void virtio_perform(struct virtio_work *w)
{
	if (w->op == VIRTIO_OP_NONE || w->op_runs)
		return;
	w->op_runs = true;
	w->thread = pthread_self();
	virtio_ops[w->op](w);
	w->op_runs = false;
	w->op = VIRTIO_OP_NONE;
	w->ops_done++;
	pthread_cond_broadcast(&w->changed);
}

static void virtio_task(struct loop_task *t)
{
	struct virtio_work *w = container_of(t, struct virtio_work, task);

	virtio_lock(w->vd);
	virtio_perform(w);
	virtio_unlock(w->vd);
}

/* The other side: asking and waiting, under d->lock. */

static void virtio_work_wait(struct virtio_work *w)
{
	w->waiters++;
	pthread_cond_wait(&w->changed, &w->vd->dev.lock);
	if (!--w->waiters)
		pthread_cond_broadcast(&w->changed);
}

static bool virtio_is_loop_thread(const struct virtio_work *w)
{
	return (w->is_live || w->op_runs) &&
	       pthread_equal(w->thread, pthread_self());
}

bool virtio_work_enter(struct virtio_work *w)
{
	while (w->op_runs || w->op > VIRTIO_OP_ACTIVATE) {
		if (!virtio_is_loop_thread(w)) {
			virtio_work_wait(w);
			continue;
		}
		/* Asked for by another thread: the loop is here, not there. No
		 * callback of a running operation writes registers. */
		assert(!w->op_runs);
		virtio_perform(w);
	}
	return w->is_exposed;
}

void virtio_work_forget(struct virtio_work *w)
{
	if (w->op == VIRTIO_OP_ACTIVATE)
		w->op = VIRTIO_OP_NONE;
}

void virtio_work_activate(struct virtio_work *w)
{
	w->op = VIRTIO_OP_ACTIVATE;
	loop_post(w->vd->loop, &w->task);
}

bool virtio_work_run(struct virtio_work *w, enum virtio_op op, unsigned queue)
{
	unsigned done = w->ops_done;

	if (!w->is_live)
		return false;
	w->op = op;
	w->op_queue = queue;
	if (virtio_is_loop_thread(w)) {
		virtio_perform(w);
		return true;
	}
	loop_post(w->vd->loop, &w->task);
	while (w->ops_done == done)
		virtio_work_wait(w);
	return true;
}

void virtio_work_hide(struct virtio_work *w)
{
	w->is_exposed = false;
	(void)virtio_work_enter(w);
	virtio_work_forget(w);
	(void)virtio_work_run(w, VIRTIO_OP_RESET, 0);
	/* Those who wait find out that they have nothing left to do: the last
	 * of them says so. */
	while (w->waiters)
		pthread_cond_wait(&w->changed, &w->vd->dev.lock);
}

static int virtio_bell_init(struct virtio_bell *b, struct virtio_dev *vd,
			    unsigned index, struct err *e)
{
	b->vd = vd;
	b->index = index;
	b->event.fired = virtio_bell_fired;
	b->fd = eventfd(0, EFD_CLOEXEC);
	if (b->fd < 0)
		return err_set_errno(e, -errno, "no eventfd for a virtqueue");
	return loop_event_add(vd->loop, &b->event, b->fd, e);
}

int virtio_work_new(struct virtio_dev *vd, struct err *e)
{
	struct virtio_work *w =
		calloc(1, sizeof(*w) + vd->nvqs * sizeof(struct virtio_bell));
	int rc = 0;

	if (!w)
		return err_set(e, -ENOMEM, "no memory for a virtio device");
	vd->work = w;
	w->vd = vd;
	w->task.run = virtio_task;
	pthread_cond_init(&w->changed, NULL);
	for (; !rc && w->nbells < vd->nvqs; w->nbells++)
		rc = virtio_bell_init(&w->bells[w->nbells], vd, w->nbells, e);
	return rc;
}

void virtio_work_free(struct virtio_work *w)
{
	if (!w)
		return;
	loop_task_cancel(w->vd->loop, &w->task);
	for (unsigned i = 0; i < w->nbells; i++) {
		loop_event_del(&w->bells[i].event);
		if (w->bells[i].fd >= 0)
			close(w->bells[i].fd);
	}
	pthread_cond_destroy(&w->changed);
	free(w);
}
