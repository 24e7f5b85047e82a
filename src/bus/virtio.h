/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all virtio devices share, whatever transport carries them: status,
 * feature negotiation, configuration space, queues, interrupts.
 *
 * A device file declares one struct device_class on the "virtio-bus" with a
 * struct virtio_class as its flavour, and virtio_reset, virtio_pause and
 * virtio_resume in the slots of these names; transports (virtio-mmio slots,
 * and later virtio-pci functions) do the registers.
 *
 * Spec: VIRTIO 1.2, 2 (basic facilities), 3 (initialisation), 4.2 (MMIO).
 * Threads: registers and configuration under d->lock on any thread; queues,
 *       and every callback that says so, on the device's loop without d->lock.
 *
 * Between DRIVER_OK and the next reset the queues belong to the loop. A vCPU
 * whose register write needs them back (reset, queue reset) posts a task to
 * the loop and waits for it with d->lock released. Hence three rules:
 * - The loop may take d->lock, and nobody holds another lock that the loop
 *   might want while writing a virtio register.
 * - Whoever waits for vCPU threads (to pause or end) on the loop's own thread
 *   keeps the loop running meanwhile (loop_step() until they have stopped).
 * - A loop runs until its devices are detached, or they are detached on its
 *   own thread.
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
	uint16_t nqueues;     /* unless virtio_attach() is told otherwise */
	uint16_t queue_max;   /* descriptors a queue, <= VIRTQ_SIZE_MAX */
	/* Class features (bits 0-23, 50-63) that back end and properties
	 * allow; transport and ring bits are added by the core. Called from
	 * virtio_attach(). NULL: none. */
	uint64_t (*features)(struct virtio_dev *vd);
	/* May the driver have this subset of what is offered? NULL: any. */
	bool (*accepts)(const struct virtio_dev *vd, uint64_t features);
	/* The configuration space as the driver reads it now, into buf of
	 * config_size bytes, zeroed before. NULL: no configuration space.
	 * d->lock is held: fields that change are changed under it. */
	void (*config_read)(struct virtio_dev *vd, void *buf);
	/* A driver's write of 1, 2 or 4 bytes inside the configuration space.
	 * NULL: read-only. d->lock is held. */
	void (*config_write)(struct virtio_dev *vd, unsigned off, unsigned size,
			     uint64_t value);
	/* DRIVER_OK was set: queues are live, vd->features is final. Runs on
	 * the loop, before any handle_queue. NULL: nothing to do. */
	void (*activate)(struct virtio_dev *vd);
	/* The driver kicked (or activation with chains waiting). Takes chains
	 * until the ring is empty or the device has no room; the core keeps
	 * further kicks off meanwhile and looks again afterwards. A device
	 * that stopped for want of room calls virtio_serve() when it has some.
	 * On the loop. Mandatory where there are queues. */
	void (*handle_queue)(struct virtio_dev *vd, struct virtq *vq);
	/* Returns with no request in flight: waits for them (loop_step_io()
	 * by way of blk_drain() and the like) or takes them back by
	 * virtq_unpop(). No handle_queue comes meanwhile. On the loop. NULL:
	 * nothing is in flight between callbacks. */
	void (*drain)(struct virtio_dev *vd);
	/* The device goes back to its state after attach; after drain, before
	 * the queues are reset. On the loop, or on any thread while the queues
	 * are not live. NULL: stateless. */
	void (*reset)(struct virtio_dev *vd);
	/* The driver resets one queue (VIRTIO_F_RING_RESET): as reset, for
	 * that queue only; after drain. On the loop. NULL: not offered. */
	void (*queue_reset)(struct virtio_dev *vd, struct virtq *vq);
};

/*
 * What a transport does for the device. Interrupts: any thread; the rest on
 * main (reset: under d->lock, any thread).
 */
struct virtio_transport_ops {
	/* The device gets its place; the guest sees it once it is attached. */
	int (*plug)(struct virtio_dev *vd, struct err *e);
	void (*unplug)(struct virtio_dev *vd);
	/* Queues and their doorbells are there, and (stop) about to go. */
	void (*start)(struct virtio_dev *vd);
	void (*stop)(struct virtio_dev *vd);
	void (*reset)(struct virtio_dev *vd);
	void (*queue_irq)(struct virtio_dev *vd, struct virtq *vq);
	void (*config_irq)(struct virtio_dev *vd);
};

/* First member of every virtio device's object. */
struct virtio_dev {
	struct device dev;
	const struct virtio_class *vclass;
	/* Set by the bus; the data is the transport's own. */
	const struct virtio_transport_ops *transport;
	void *transport_data;
	struct loop *loop; /* where its queues are served; set before
			      virtio_attach(), or the board's */
	/* Guest-visible. */
	_Atomic uint8_t status;
	uint8_t config_generation;
	uint64_t host_features; /* offered */
	uint64_t features;      /* accepted by the driver */
	uint16_t nvqs;
	struct virtq *vqs; /* nvqs of them, owned */
	/* Properties that every virtio device has. */
	bool event_idx, indirect_desc, packed, queue_reset;
	/* The core's own. */
	struct virtio_work *work;
};

/* Rows of the fields above, for transports and snapshots; vqs apart. */
extern const struct state_field virtio_state[];

/* Rows for a device's property table: `VIRTIO_PROPS(struct blk, vdev)`. */
#define VIRTIO_PROPS(T, v)                                                     \
	PROP_BOOL(T, v.event_idx, "event_idx", true,                           \
		  "offer VIRTIO_F_EVENT_IDX"),                                 \
		PROP_BOOL(T, v.indirect_desc, "indirect_desc", true,           \
			  "offer VIRTIO_F_INDIRECT_DESC"),                     \
		PROP_BOOL(T, v.packed, "packed", false, "offer packed rings"), \
		PROP_BOOL(T, v.queue_reset, "queue_reset", true,               \
			  "offer VIRTIO_F_RING_RESET")

extern const struct bus_type virtio_bus_type; /* "virtio-bus": one device */

/* A bus of that type, in its transport. */
struct virtio_bus {
	struct bus bus;
	const struct virtio_transport_ops *transport;
	void *transport_data;
};

/*
 * First call of a virtio device's attach: sets vclass from class->flavour,
 * makes nvqs queues (0: the class's nqueues; at most VIRTIO_QUEUES_MAX) and
 * works out host_features. On the loop's thread, or while it does not run.
 */
int virtio_attach(struct virtio_dev *vd, unsigned nvqs, struct err *e);
/*
 * First call of its detach: hides the device from the guest, drains and resets
 * it; no callback of the class runs afterwards. Harmless on a half-built one.
 */
void virtio_detach(struct virtio_dev *vd);

/* For struct device_class, as they are. */
void virtio_reset(struct device *d);
void virtio_pause(struct device *d);
void virtio_resume(struct device *d);

/* Between activate and the next reset? On the loop. */
bool virtio_is_live(const struct virtio_dev *vd);

/*
 * Handles the queue as if the driver had kicked: for a device that left chains
 * in the ring and can go on now. On the loop; a no-op while not live, drained
 * or paused (the core makes up for it), and from inside handle_queue.
 */
void virtio_serve(struct virtio_dev *vd, struct virtq *vq);

/* Was this feature negotiated? */
static inline bool virtio_has(const struct virtio_dev *vd, unsigned bit)
{
	return vd->features >> bit & 1;
}

/*
 * The driver broke a rule (name it, with its section): logs it, sets
 * NEEDS_RESET, breaks all queues and tells the driver. On the loop.
 */
void virtio_broken(struct virtio_dev *vd, const char *fmt, ...)
	PRINTF_LIKE(2, 3);

/*
 * The configuration changed: interrupts the driver (at DRIVER_OK, if that is
 * yet to come). Any thread, until virtio_detach(). The generation moves by
 * itself, whenever config_read gives other bytes than before.
 */
void virtio_config_changed(struct virtio_dev *vd);

/*
 * For transports: register semantics shared by MMIO and PCI. Under d->lock,
 * which those that say "waits" release meanwhile.
 */
void virtio_set_status(struct virtio_dev *vd, uint8_t status); /* 0: waits */
uint32_t virtio_features_window(const struct virtio_dev *vd, uint32_t sel);
void virtio_set_features_window(struct virtio_dev *vd, uint32_t sel,
				uint32_t value);
/* The queue if the driver may set it up now (it is not ready); else NULL. */
struct virtq *virtio_queue_setup(struct virtio_dev *vd, unsigned index);
void virtio_queue_set_ready(struct virtio_dev *vd, unsigned index,
			    bool on);                           /* waits */
void virtio_queue_reset(struct virtio_dev *vd, unsigned index); /* waits */
uint32_t virtio_config_generation(struct virtio_dev *vd);
/* size: 1, 2 or 4, off aligned to it. Beyond the end: all-ones, dropped. */
uint64_t virtio_config_load(struct virtio_dev *vd, uint64_t off, unsigned size);
void virtio_config_store(struct virtio_dev *vd, uint64_t off, unsigned size,
			 uint64_t value);
/* Is the device there for the guest (attached, and not on its way out)? */
bool virtio_is_exposed(const struct virtio_dev *vd);
/* The trapped doorbell: has the queue handled on the device's loop. */
void virtio_kick(struct virtio_dev *vd, unsigned index);
/* The eventfd that an ioeventfd may signal for that queue's doorbell, from
 * virtio_attach() to virtio_detach(). */
int virtio_kick_fd(const struct virtio_dev *vd, unsigned index);
