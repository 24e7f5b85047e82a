/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a virtio device that is the same for all kinds and transports:
 * status, features, configuration space, the set-up of queues.
 *
 * Spec: VIRTIO 1.2, 2.1-2.6, 3.1.
 * Threads: as bus/virtio.h.
 * State: virtio_state, and each queue's virtq_state.
 */
#include "bus/virtio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/num.h"
#include "bus/virtio_work.h"

/* What a driver may set. */
#define VIRTIO_S_DRIVERS                                                       \
	(VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_DRIVER_OK |         \
	 VIRTIO_S_FEATURES_OK | VIRTIO_S_FAILED)

const struct state_field virtio_state[] = {
	STATE_HOST(struct virtio_dev, dev),
	STATE_HOST(struct virtio_dev, vclass),
	STATE_HOST(struct virtio_dev, transport),
	STATE_HOST(struct virtio_dev, transport_data),
	STATE_HOST(struct virtio_dev, loop),
	STATE_UINT(struct virtio_dev, status, 1),
	/* Never goes back: a driver may compare it across a reset. */
	STATE_UINT_KEPT(struct virtio_dev, config_generation, 1),
	STATE_DERIVED(struct virtio_dev, host_features),
	STATE_UINT(struct virtio_dev, features, 1),
	STATE_DERIVED(struct virtio_dev, nvqs),
	STATE_HOST(struct virtio_dev, vqs), /* saved by their own table */
	STATE_HOST(struct virtio_dev, event_idx),
	STATE_HOST(struct virtio_dev, indirect_desc),
	STATE_HOST(struct virtio_dev, packed),
	STATE_HOST(struct virtio_dev, queue_reset),
	STATE_HOST(struct virtio_dev, work),
	STATE_END,
};

static struct virtio_dev *virtio_of(struct device *d)
{
	return container_of(d, struct virtio_dev, dev);
}

/* The bus. */

static int virtio_bus_plug(struct bus *b, struct device *d, struct err *e)
{
	struct virtio_bus *vb = container_of(b, struct virtio_bus, bus);
	struct virtio_dev *vd = virtio_of(d);

	vd->transport = vb->transport;
	vd->transport_data = vb->transport_data;
	return vd->transport->plug(vd, e);
}

static void virtio_bus_unplug(struct bus *b, struct device *d)
{
	(void)b;
	virtio_of(d)->transport->unplug(virtio_of(d));
}

static bool virtio_bus_has_room(const struct bus *b)
{
	return list_empty(&b->devices);
}

const struct bus_type virtio_bus_type = {
	.name = "virtio-bus",
	.plug = virtio_bus_plug,
	.unplug = virtio_bus_unplug,
	.has_room = virtio_bus_has_room,
};

/* Life. */

static uint64_t virtio_offer(struct virtio_dev *vd)
{
	const struct virtio_class *vc = vd->vclass;
	uint64_t f = vc->features ? vc->features(vd) : 0;

	f |= BIT(VIRTIO_F_VERSION_1);
	if (vd->indirect_desc)
		f |= BIT(VIRTIO_F_INDIRECT_DESC);
	if (vd->event_idx)
		f |= BIT(VIRTIO_F_EVENT_IDX);
	if (vd->packed)
		f |= BIT(VIRTIO_F_RING_PACKED);
	if (vd->queue_reset && vc->queue_reset)
		f |= BIT(VIRTIO_F_RING_RESET);
	return f;
}

static int virtio_make_queues(struct virtio_dev *vd, unsigned n, struct err *e)
{
	if (n > VIRTIO_QUEUES_MAX)
		return err_set(e, -EINVAL, "%u virtqueues are more than %u", n,
			       VIRTIO_QUEUES_MAX);
	vd->vqs = calloc(n ? n : 1, sizeof(vd->vqs[0]));
	if (!vd->vqs)
		return err_set(e, -ENOMEM, "no memory for virtqueues");
	vd->nvqs = (uint16_t)n;
	for (uint16_t i = 0; i < n; i++) {
		vd->vqs[i].size_max = vd->vclass->queue_max;
		vd->vqs[i].index = i;
		vd->vqs[i].vd = vd;
		virtq_reset(&vd->vqs[i]);
	}
	return 0;
}

int virtio_attach(struct virtio_dev *vd, unsigned nvqs, struct err *e)
{
	int rc;

	vd->vclass = vd->dev.class->flavour;
	if (!vd->loop)
		vd->loop = vd->dev.board->loop;
	rc = virtio_make_queues(vd, nvqs ? nvqs : vd->vclass->nqueues, e);
	if (!rc)
		rc = virtio_work_new(vd, e);
	if (rc)
		return rc;
	vd->host_features = virtio_offer(vd);
	vd->transport->start(vd);
	return 0;
}

void virtio_detach(struct virtio_dev *vd)
{
	struct virtio_work *w = vd->work;

	if (w) {
		vd->transport->stop(vd);
		pthread_mutex_lock(&vd->dev.lock);
		virtio_work_hide(w);
		vd->work = NULL;
		pthread_mutex_unlock(&vd->dev.lock);
		virtio_work_free(w);
	}
	free(vd->vqs);
	vd->vqs = NULL;
	vd->nvqs = 0;
}

bool virtio_is_exposed(const struct virtio_dev *vd)
{
	return vd->work && vd->work->is_exposed;
}

void virtio_clear(struct virtio_dev *vd)
{
	for (unsigned i = 0; i < vd->nvqs; i++)
		virtq_reset(&vd->vqs[i]);
	vd->features = 0;
	vd->work->config_pending = false;
	vd->transport->reset(vd);
	vd->status = 0;
}

/* The first reset follows attach: all is there. */
static void virtio_expose(struct virtio_dev *vd)
{
	if (vd->vclass->config_read)
		vd->vclass->config_read(vd, vd->work->config);
	vd->work->is_exposed = true;
}

/* Under d->lock, when no operation is under way. */
static void virtio_reset_now(struct virtio_dev *vd)
{
	virtio_work_forget(vd->work);
	if (virtio_work_run(vd->work, VIRTIO_OP_RESET, 0))
		return;
	if (vd->vclass->reset)
		vd->vclass->reset(vd);
	virtio_clear(vd);
}

void virtio_reset(struct device *d)
{
	struct virtio_dev *vd = virtio_of(d);

	if (!vd->work)
		return;
	if (!vd->work->is_exposed)
		virtio_expose(vd);
	if (virtio_work_enter(vd->work))
		virtio_reset_now(vd);
}

/* Pauses or resumes: on the loop if it has the queues. */
static void virtio_set_paused(struct device *d, bool on)
{
	struct virtio_work *w = virtio_of(d)->work;
	enum virtio_op op = on ? VIRTIO_OP_PAUSE : VIRTIO_OP_RESUME;

	pthread_mutex_lock(&d->lock);
	if (virtio_work_enter(w) && !virtio_work_run(w, op, 0))
		w->is_paused = w->is_held = on;
	pthread_mutex_unlock(&d->lock);
}

void virtio_pause(struct device *d)
{
	virtio_set_paused(d, true);
}

void virtio_resume(struct device *d)
{
	virtio_set_paused(d, false);
}

/* What goes wrong, and what changes. */

/* VIRTIO 1.2, 2.1.2: any thread. */
static void virtio_needs_reset(struct virtio_dev *vd)
{
	uint8_t old = vd->status;

	vd->status |= VIRTIO_S_NEEDS_RESET;
	if (old & VIRTIO_S_DRIVER_OK)
		vd->transport->config_irq(vd);
}

void virtio_broken(struct virtio_dev *vd, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* may be cut */
	va_end(ap);
	guest_err(&vd->dev, "%s", text);
	for (unsigned i = 0; i < vd->nvqs; i++)
		vd->vqs[i].broken = true;
	virtio_needs_reset(vd);
}

/*
 * A change before DRIVER_OK is kept until then. Whoever comes second, of the
 * change and DRIVER_OK, sees what the first one stored.
 */
static void virtio_config_tell(struct virtio_dev *vd)
{
	if (vd->status & VIRTIO_S_DRIVER_OK &&
	    atomic_exchange(&vd->work->config_pending, false))
		vd->transport->config_irq(vd);
}

void virtio_config_changed(struct virtio_dev *vd)
{
	if (!vd->work)
		return;
	vd->work->config_pending = true;
	virtio_config_tell(vd);
}

/* Status and features. */

static bool virtio_features_ok(struct virtio_dev *vd)
{
	uint64_t f = vd->features;

	if (f & ~vd->host_features)
		guest_err(&vd->dev, "driver accepts features that were not "
				    "offered (VIRTIO 1.2, 2.2.1)");
	else if (!(f & BIT(VIRTIO_F_VERSION_1)))
		guest_err(&vd->dev, "driver does not accept "
				    "VIRTIO_F_VERSION_1 (VIRTIO 1.2, 6.1)");
	else if (vd->vclass->accepts && !vd->vclass->accepts(vd, f))
		guest_err(&vd->dev, "driver accepts a feature without those "
				    "that it requires (VIRTIO 1.2, 2.2.1)");
	else
		return true;
	return false;
}

/* The driver is ready: the loop takes over. */
static void virtio_driver_ok(struct virtio_dev *vd)
{
	virtio_config_tell(vd);
	if (!(vd->status & VIRTIO_S_NEEDS_RESET))
		virtio_work_activate(vd->work);
}

void virtio_set_status(struct virtio_dev *vd, uint8_t status)
{
	uint8_t old, add;

	if (!virtio_work_enter(vd->work))
		return;
	if (!status) {
		virtio_reset_now(vd);
		return;
	}
	old = vd->status;
	add = status & VIRTIO_S_DRIVERS & (uint8_t)~old;
	if (old & ~status & VIRTIO_S_DRIVERS)
		guest_err(&vd->dev, "driver clears a status bit "
				    "(VIRTIO 1.2, 2.1.1)");
	if (add & VIRTIO_S_FEATURES_OK && !virtio_features_ok(vd))
		add &= (uint8_t)~VIRTIO_S_FEATURES_OK;
	if (add & VIRTIO_S_DRIVER_OK && !((old | add) & VIRTIO_S_FEATURES_OK)) {
		guest_err(&vd->dev, "DRIVER_OK without FEATURES_OK "
				    "(VIRTIO 1.2, 3.1.1)");
		add &= (uint8_t)~VIRTIO_S_DRIVER_OK;
	}
	vd->status |= add;
	if (add & VIRTIO_S_DRIVER_OK)
		virtio_driver_ok(vd);
}

uint32_t virtio_features_window(const struct virtio_dev *vd, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(vd->host_features >> 32 * sel) : 0;
}

void virtio_set_features_window(struct virtio_dev *vd, uint32_t sel,
				uint32_t value)
{
	uint64_t mask = sel < 2 ? MASK(31, 0) << 32 * sel : 0;

	if (vd->status & VIRTIO_S_FEATURES_OK)
		guest_err(&vd->dev, "driver accepts features after "
				    "FEATURES_OK (VIRTIO 1.2, 3.1.1)");
	else if (mask)
		vd->features = (vd->features & ~mask) | (uint64_t)value
								<< 32 * sel;
	else if (value)
		guest_err(&vd->dev, "driver accepts features that were not "
				    "offered (VIRTIO 1.2, 2.2.1)");
}

/* Queues. */

struct virtq *virtio_queue_setup(struct virtio_dev *vd, unsigned index)
{
	if (!virtio_work_enter(vd->work) || index >= vd->nvqs)
		return NULL;
	if (!vd->vqs[index].ready)
		return &vd->vqs[index];
	guest_err(&vd->dev,
		  "driver sets up queue %u while it is in use "
		  "(VIRTIO 1.2, 4.2.2.2)",
		  index);
	return NULL;
}

void virtio_queue_open(struct virtio_dev *vd, struct virtq *vq)
{
	int rc = virtq_enable(vq, vd->dev.board->gmem, vd->features);

	if (!rc)
		return;
	guest_err(&vd->dev, "queue %u of %u entries is %s (VIRTIO 1.2, 2.6)",
		  vq->index, vq->size,
		  rc == -EFAULT ? "not in RAM" : "misaligned or of no size");
	virtio_needs_reset(vd);
}

void virtio_queue_stop(struct virtq *vq)
{
	struct virtq old = *vq;

	virtq_reset(vq);
	vq->size = old.size;
	vq->vector = old.vector;
	vq->desc = old.desc;
	vq->driver = old.driver;
	vq->device = old.device;
}

static void virtio_queue_on(struct virtio_dev *vd, struct virtq *vq)
{
	if (!(vd->status & VIRTIO_S_FEATURES_OK)) {
		guest_err(&vd->dev,
			  "queue %u is used before FEATURES_OK "
			  "(VIRTIO 1.2, 3.1.1)",
			  vq->index);
		return;
	}
	if (!virtio_work_run(vd->work, VIRTIO_OP_QUEUE_ENABLE, vq->index))
		virtio_queue_open(vd, vq);
}

void virtio_queue_set_ready(struct virtio_dev *vd, unsigned index, bool on)
{
	if (!virtio_work_enter(vd->work) || index >= vd->nvqs ||
	    vd->vqs[index].ready == on)
		return;
	if (on)
		virtio_queue_on(vd, &vd->vqs[index]);
	else if (!virtio_work_run(vd->work, VIRTIO_OP_QUEUE_STOP, index))
		virtio_queue_stop(&vd->vqs[index]);
}

void virtio_queue_reset(struct virtio_dev *vd, unsigned index)
{
	if (!virtio_work_enter(vd->work) || index >= vd->nvqs)
		return;
	if (!virtio_has(vd, VIRTIO_F_RING_RESET))
		guest_err(&vd->dev, "queue reset without VIRTIO_F_RING_RESET "
				    "(VIRTIO 1.2, 2.6.1)");
	else if (!virtio_work_run(vd->work, VIRTIO_OP_QUEUE_RESET, index))
		virtq_reset(&vd->vqs[index]);
}

/* Configuration space. */

/*
 * The generation moves when the driver could see something else than before,
 * so that what it reads between two equal generations is of one piece.
 */
static void virtio_config_refresh(struct virtio_dev *vd)
{
	uint8_t now[VIRTIO_CONFIG_MAX] = {0};
	size_t len = vd->vclass->config_size;

	if (!vd->vclass->config_read)
		return;
	vd->vclass->config_read(vd, now);
	if (!memcmp(now, vd->work->config, len))
		return;
	memcpy(vd->work->config, now, len);
	vd->config_generation++;
}

uint32_t virtio_config_generation(struct virtio_dev *vd)
{
	virtio_config_refresh(vd);
	return vd->config_generation;
}

uint64_t virtio_config_load(struct virtio_dev *vd, uint64_t off, unsigned size)
{
	uint64_t value = 0;

	if (!range_ok(off, size, vd->vclass->config_size))
		return MASK(8 * size - 1, 0);
	virtio_config_refresh(vd);
	memcpy(&value, vd->work->config + off, size);
	return le64toh(value);
}

void virtio_config_store(struct virtio_dev *vd, uint64_t off, unsigned size,
			 uint64_t value)
{
	if (vd->vclass->config_write &&
	    range_ok(off, size, vd->vclass->config_size))
		vd->vclass->config_write(vd, (unsigned)off, size, value);
	else
		guest_err(&vd->dev,
			  "driver writes configuration byte %u, "
			  "which is not for it (VIRTIO 1.2, 2.5)",
			  (unsigned)MIN(off, UINT32_MAX));
}
