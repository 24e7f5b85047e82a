/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console: one port, served from one character back end.
 *
 * Spec: VIRTIO 1.2, 5.3 (console device), without VIRTIO_CONSOLE_F_MULTIPORT.
 * Threads: queues on the device's loop; configuration space, and with it the
 *       emergency write, on any thread under the device's lock.
 * State: how much of the output buffer at the head of the queue is written.
 *
 * Flow control. Input: a buffer of the driver's is taken when the back end
 * asks how much may come, and filled by what comes; without one the back end
 * waits until the driver adds some. Output: where the back end takes less than
 * a buffer holds, the rest waits in place, and the buffers behind it in the
 * ring, until it is writable.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "backend/chardev.h"
#include "base/endian.h"
#include "base/num.h"
#include "bus/iov.h"
#include "bus/virtio.h"

#define VIRTIO_ID_CONSOLE 3U

/* VIRTIO 1.2, 5.3.3. */
#define VIRTIO_CONSOLE_F_SIZE        0
#define VIRTIO_CONSOLE_F_EMERG_WRITE 2

enum { VCON_RXQ, VCON_TXQ, VCON_QUEUES }; /* 5.3.2 */

#define VCON_QUEUE_SIZE 128U
#define VCON_IOV        (VCON_QUEUE_SIZE + 8)

struct virtio_console_config {
	le16 cols, rows;
	le32 max_nr_ports;
	le32 emerg_wr;
};
static_assert(sizeof(struct virtio_console_config) == 12, "VIRTIO 1.2, 5.3.4");

struct vcon {
	struct virtio_dev vdev;
	struct prop_link chardev_prop;
	struct chardev *chardev; /* claimed */
	struct char_user user;
	bool is_bound, is_paused;
	/* The buffer taken out of each ring, if any; none while paused. */
	bool has_rx, has_tx;
	bool is_blocked; /* the back end said that it will call writable() */
	struct chain rx, tx;
	struct iovec rx_iov[VCON_IOV], tx_iov[VCON_IOV];
	uint64_t tx_done; /* bytes of the output buffer at the head */
};

static struct vcon *vcon_of(struct virtio_dev *vd)
{
	return container_of(vd, struct vcon, vdev);
}

static int vcon_pop(struct vcon *vc, unsigned queue, struct chain *c)
{
	int rc = virtq_pop(&vc->vdev.vqs[queue], c);

	if (rc < 0)
		virtio_broken(&vc->vdev,
			      "queue %u has a bad descriptor chain "
			      "(VIRTIO 1.2, 2.6)",
			      queue);
	return rc;
}

/* Input. */

/* Has, or takes, a buffer for input. */
static bool vcon_hold_rx(struct vcon *vc)
{
	if (!vc->has_rx)
		vc->has_rx = vcon_pop(vc, VCON_RXQ, &vc->rx) > 0;
	if (vc->has_rx && !vc->rx.in_bytes) {
		vc->has_rx = false;
		virtio_broken(&vc->vdev, "an input buffer that cannot be "
					 "written (VIRTIO 1.2, 5.3.6)");
	}
	return vc->has_rx;
}

static size_t vcon_can_receive(struct char_user *u)
{
	struct vcon *vc = container_of(u, struct vcon, user);

	if (vc->is_paused || !virtio_is_live(&vc->vdev))
		return 0;
	if (!vcon_hold_rx(vc)) {
		/* To be kicked for the next one; or it came meanwhile. */
		virtio_serve(&vc->vdev, &vc->vdev.vqs[VCON_RXQ]);
		vcon_hold_rx(vc);
	}
	return vc->has_rx ? vc->rx.in_bytes : 0;
}

static void vcon_receive(struct char_user *u, const uint8_t *buf, size_t len)
{
	struct vcon *vc = container_of(u, struct vcon, user);
	struct virtq *vq = &vc->vdev.vqs[VCON_RXQ];

	while (len && vcon_hold_rx(vc)) {
		size_t n = iov_write(vc->rx.in, vc->rx.nin, 0, buf, len);

		virtq_push(vq, &vc->rx, (uint32_t)n);
		vc->has_rx = false;
		buf += n;
		len -= n;
	}
	virtq_notify(vq);
}

/* Output. */

/* Writes what is left of the buffer: false if the line takes no more now. */
static bool vcon_write(struct vcon *vc)
{
	const struct chain *c = &vc->tx;
	uint64_t skip = vc->tx_done;

	for (unsigned i = 0; i < c->nout; i++) {
		const struct iovec *v = &c->out[i];
		size_t len, n;

		if (skip >= v->iov_len) {
			skip -= v->iov_len;
			continue;
		}
		len = v->iov_len - skip;
		n = char_write(vc->chardev, (char *)v->iov_base + skip, len);
		vc->tx_done += n;
		if (n < len)
			return false;
		skip = 0;
	}
	vc->tx_done = 0;
	return true;
}

static void vcon_serve_tx(struct vcon *vc)
{
	struct virtq *vq = &vc->vdev.vqs[VCON_TXQ];
	unsigned budget = vq->size; /* the rest has its turn later */

	while (budget-- && !vc->is_blocked &&
	       (vc->has_tx || vcon_pop(vc, VCON_TXQ, &vc->tx) > 0)) {
		vc->has_tx = true;
		vc->is_blocked = !vcon_write(vc);
		if (vc->is_blocked)
			break;
		virtq_push(vq, &vc->tx, 0);
		vc->has_tx = false;
	}
	virtq_notify(vq);
}

static void vcon_writable(struct char_user *u)
{
	struct vcon *vc = container_of(u, struct vcon, user);

	vc->is_blocked = false;
	if (virtio_is_live(&vc->vdev))
		virtio_serve(&vc->vdev, &vc->vdev.vqs[VCON_TXQ]);
}

static void vcon_event(struct char_user *u, enum char_event ev)
{
	struct vcon *vc = container_of(u, struct vcon, user);

	if (ev == CHAR_RESIZED)
		virtio_config_changed(&vc->vdev);
	else if (ev == CHAR_CLOSED)
		vcon_writable(u); /* nobody to wait for */
}

/* The device. */

static void vcon_handle_queue(struct virtio_dev *vd, struct virtq *vq)
{
	struct vcon *vc = vcon_of(vd);

	if (vq->index == VCON_TXQ)
		vcon_serve_tx(vc);
	else if (virtq_has_chain(vq))
		char_accept(vc->chardev);
}

/* The driver's buffers back into the rings: they are not touched any more. */
static void vcon_drain(struct virtio_dev *vd)
{
	struct vcon *vc = vcon_of(vd);

	if (vc->has_rx)
		virtq_unpop(&vd->vqs[VCON_RXQ], &vc->rx);
	if (vc->has_tx)
		virtq_unpop(&vd->vqs[VCON_TXQ], &vc->tx);
	vc->has_rx = vc->has_tx = false;
}

static void vcon_vreset(struct virtio_dev *vd)
{
	vcon_of(vd)->tx_done = 0;
}

static void vcon_queue_reset(struct virtio_dev *vd, struct virtq *vq)
{
	if (vq->index == VCON_TXQ)
		vcon_of(vd)->tx_done = 0;
}

static uint64_t vcon_features(struct virtio_dev *vd)
{
	const struct chardev *c = vcon_of(vd)->chardev_prop.ptr;
	uint64_t f = BIT(VIRTIO_CONSOLE_F_EMERG_WRITE);

	if (c->cols && c->rows)
		f |= BIT(VIRTIO_CONSOLE_F_SIZE);
	return f;
}

static void vcon_config_read(struct virtio_dev *vd, void *buf)
{
	const struct chardev *c = vcon_of(vd)->chardev;
	struct virtio_console_config config = {
		.cols = le16_make(c->cols),
		.rows = le16_make(c->rows),
		.max_nr_ports = le32_make(1),
	};

	memcpy(buf, &config, sizeof(config));
}

/* 5.3.4: output before there is a driver. What is not taken is lost. */
static void vcon_config_write(struct virtio_dev *vd, unsigned off,
			      unsigned size, uint64_t value)
{
	char c = (char)value;

	(void)size;
	if (off == offsetof(struct virtio_console_config, emerg_wr))
		(void)char_write(vcon_of(vd)->chardev, &c, 1);
}

static int vcon_attach(struct device *d, struct err *e)
{
	struct vcon *vc = container_of(d, struct vcon, vdev.dev);
	struct chardev *c = vc->chardev_prop.ptr;
	char label[128];
	int rc = virtio_attach(&vc->vdev, 0, e);

	if (rc)
		return rc;
	vc->rx.iov = vc->rx_iov;
	vc->tx.iov = vc->tx_iov;
	vc->rx.iov_max = vc->tx.iov_max = VCON_IOV;
	vc->user = (struct char_user){
		.can_receive = vcon_can_receive,
		.receive = vcon_receive,
		.event = vcon_event,
		.writable = vcon_writable,
	};
	rc = char_claim(c, &vc->user, device_label(d, label, sizeof(label)), e);
	if (rc)
		return rc;
	vc->chardev = c;
	rc = char_bind(c, vc->vdev.loop, e);
	vc->is_bound = !rc;
	return rc;
}

static void vcon_detach(struct device *d)
{
	struct vcon *vc = container_of(d, struct vcon, vdev.dev);

	virtio_detach(&vc->vdev);
	if (vc->is_bound)
		char_unbind(vc->chardev);
	vc->is_bound = false;
	if (vc->chardev)
		char_release(vc->chardev);
	vc->chardev = NULL;
}

static void vcon_pause(struct device *d)
{
	struct vcon *vc = container_of(d, struct vcon, vdev.dev);

	vc->is_paused = true;
	virtio_pause(d);
}

static void vcon_resume(struct device *d)
{
	struct vcon *vc = container_of(d, struct vcon, vdev.dev);

	vc->is_paused = false;
	virtio_resume(d);
	char_accept(vc->chardev);
}

/* clang-format off */
static const struct prop vcon_props[] = {
	PROP_BACKEND_REQUIRED(struct vcon, chardev_prop, "chardev", "chardev",
		"id of the character device behind it"),
	VIRTIO_PROPS(struct vcon, vdev),
	PROP_END,
};

static const struct state_field vcon_state[] = {
	STATE_HOST(struct vcon, chardev_prop),
	STATE_HOST(struct vcon, chardev),
	STATE_HOST(struct vcon, user),
	STATE_HOST(struct vcon, is_bound),
	STATE_HOST(struct vcon, is_paused),
	STATE_HOST(struct vcon, has_rx),
	STATE_HOST(struct vcon, has_tx),
	STATE_HOST(struct vcon, is_blocked),
	STATE_HOST(struct vcon, rx),
	STATE_HOST(struct vcon, tx),
	STATE_HOST(struct vcon, rx_iov),
	STATE_HOST(struct vcon, tx_iov),
	STATE_UINT(struct vcon, tx_done, 1),
	STATE_END,
};
/* clang-format on */

static const struct virtio_class vcon_virtio = {
	.id = VIRTIO_ID_CONSOLE,
	.config_size = sizeof(struct virtio_console_config),
	.nqueues = VCON_QUEUES,
	.queue_max = VCON_QUEUE_SIZE,
	.features = vcon_features,
	.config_read = vcon_config_read,
	.config_write = vcon_config_write,
	.handle_queue = vcon_handle_queue,
	.drain = vcon_drain,
	.reset = vcon_vreset,
	.queue_reset = vcon_queue_reset,
};

VIREO_DEVICE(virtio_console, .name = "virtio-console-device",
	     .summary = "Virtio console, one port", .category = CATEGORY_INPUT,
	     .bus = "virtio-bus", .size = sizeof(struct vcon),
	     .props = vcon_props, .state = vcon_state, .attach = vcon_attach,
	     .detach = vcon_detach, .reset = virtio_reset, .pause = vcon_pause,
	     .resume = vcon_resume, .flavour = &vcon_virtio);
