/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all virtio devices share, whatever transport carries them: status,
 * feature negotiation, configuration space, queues, interrupts.
 *
 * A device file declares one struct device_class on the "virtio-bus" with a
 * struct virtio_class as its flavour; transports (virtio-mmio slots, and
 * later virtio-pci functions) do the registers.
 *
 * Spec: VIRTIO 1.2, 2 (basic facilities), 3 (initialisation), 4.2 (MMIO).
 * Threads: registers under d->lock on any thread; handle_queue, and all work
 *       on queues, on the device's loop.
 */
#pragma once

#include "base/loop.h"
#include "bus/device.h"
#include "bus/virtq.h"

#define VIRTIO_QUEUES_MAX 64U
#define VIRTIO_CONFIG_MAX 256U

struct virtio_dev;

/* VIRTIO 1.2, 2.1: device status bits. */
#define VIRTIO_S_ACKNOWLEDGE 0x01
#define VIRTIO_S_DRIVER      0x02
#define VIRTIO_S_DRIVER_OK   0x04
#define VIRTIO_S_FEATURES_OK 0x08
#define VIRTIO_S_NEEDS_RESET 0x40
#define VIRTIO_S_FAILED      0x80

/* Reserved feature bits (VIRTIO 1.2, 6); class bits are in each device. */
#define VIRTIO_F_NOTIFY_ON_EMPTY 24
#define VIRTIO_F_INDIRECT_DESC   28
#define VIRTIO_F_EVENT_IDX       29
#define VIRTIO_F_VERSION_1       32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED     34
#define VIRTIO_F_IN_ORDER        35
#define VIRTIO_F_RING_RESET      40

struct virtio_class {
	uint16_t id;          /* VIRTIO 1.2, 5: device type */
	uint16_t config_size; /* bytes, <= VIRTIO_CONFIG_MAX */
	/* Queues after attach; vd->nvqs if the device sets it there. */
	uint16_t nqueues;
	uint16_t queue_max; /* descriptors a queue, <= VIRTQ_SIZE_MAX */
	/* Class features (bits 0-23, 50-63) that back end and properties
	 * allow; transport and ring bits are added by the core. */
	uint64_t (*features)(struct virtio_dev *vd);
	/* The configuration space as the driver reads it now, into buf of
	 * config_size bytes. NULL: no configuration space. d->lock is held. */
	void (*config_read)(struct virtio_dev *vd, void *buf);
	/* A driver's write inside the configuration space. NULL: read-only. */
	void (*config_write)(struct virtio_dev *vd, unsigned off,
			     unsigned size, uint64_t value);
	/* DRIVER_OK was set: queues are live, vd->features is final. Runs on
	 * the loop, before any handle_queue. NULL: nothing to do. */
	void (*activate)(struct virtio_dev *vd);
	/* The driver kicked (or activation with chains waiting). On the loop.
	 * Mandatory where nqueues > 0. */
	void (*handle_queue)(struct virtio_dev *vd, struct virtq *vq);
	/* The device goes back to its state after attach. Runs on the loop;
	 * no request may still refer to guest memory or queues when it
	 * returns (in-flight I/O is waited for or orphaned safely). */
	void (*reset)(struct virtio_dev *vd);
	/* The driver resets one queue (VIRTIO_F_RING_RESET): as reset, for
	 * requests of that queue only. On the loop. NULL: not offered. */
	void (*queue_reset)(struct virtio_dev *vd, struct virtq *vq);
};

/* What a transport does for the device; any thread. */
struct virtio_transport_ops {
	void (*queue_irq)(struct virtio_dev *vd, struct virtq *vq);
	void (*config_irq)(struct virtio_dev *vd);
};

/* First member of every virtio device's object. */
struct virtio_dev {
	struct device dev;
	const struct virtio_class *vclass;
	const struct virtio_transport_ops *transport;
	void *transport_data;
	struct loop *loop; /* where its queues are served */
	/* Guest-visible. */
	uint8_t status;
	uint8_t config_generation;
	uint64_t host_features;  /* offered */
	uint64_t features;       /* accepted by the driver */
	uint16_t nvqs;
	struct virtq *vqs; /* nvqs of them, owned */
	/* Properties that every virtio device has. */
	bool event_idx, indirect_desc, packed, queue_reset;
	/* The core's own. */
	struct virtio_work *work;
};

/* Rows for a device's property table: `VIRTIO_PROPS(struct blk, vdev)`. */
#define VIRTIO_PROPS(T, v)                                                     \
	PROP_BOOL(T, v.event_idx, "event_idx", true,                           \
		  "offer VIRTIO_F_EVENT_IDX"),                                 \
	PROP_BOOL(T, v.indirect_desc, "indirect_desc", true,                   \
		  "offer VIRTIO_F_INDIRECT_DESC"),                             \
	PROP_BOOL(T, v.packed, "packed", false, "offer packed rings"),         \
	PROP_BOOL(T, v.queue_reset, "queue_reset", true,                       \
		  "offer VIRTIO_F_RING_RESET")

extern const struct bus_type virtio_bus_type; /* "virtio-bus": one device */

/*
 * First call of a virtio device's attach: sets vclass from class->flavour,
 * allocates nvqs queues (0: the class's nqueues) and works out host_features.
 */
int virtio_attach(struct virtio_dev *vd, unsigned nvqs, struct err *e);
/* Last call of its detach; harmless on a half-built one. */
void virtio_detach(struct virtio_dev *vd);

/* Was this feature negotiated? */
static inline bool virtio_has(const struct virtio_dev *vd, unsigned bit)
{
	return vd->features >> bit & 1;
}

/* The driver broke a rule: logs it, sets NEEDS_RESET, tells the driver. */
void virtio_broken(struct virtio_dev *vd, const char *fmt, ...)
	PRINTF_LIKE(2, 3);

/* The configuration changed: new generation and interrupt. Loop or main. */
void virtio_config_changed(struct virtio_dev *vd);

/*
 * For transports: register semantics shared by MMIO and PCI. Under d->lock.
 */
void virtio_set_status(struct virtio_dev *vd, uint8_t status);
uint32_t virtio_features_window(const struct virtio_dev *vd, uint32_t sel);
void virtio_set_features_window(struct virtio_dev *vd, uint32_t sel,
				uint32_t value);
void virtio_queue_set_ready(struct virtio_dev *vd, unsigned index, bool on);
void virtio_queue_reset(struct virtio_dev *vd, unsigned index);
uint64_t virtio_config_load(struct virtio_dev *vd, uint64_t off,
			    unsigned size);
void virtio_config_store(struct virtio_dev *vd, uint64_t off, unsigned size,
			 uint64_t value);
/* The trapped doorbell: has the queue handled on the device's loop. */
void virtio_kick(struct virtio_dev *vd, unsigned index);
/* The eventfd that an ioeventfd may signal for that queue's doorbell. */
int virtio_kick_fd(struct virtio_dev *vd, unsigned index);
