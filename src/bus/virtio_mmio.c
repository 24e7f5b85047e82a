/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over MMIO: a slot's registers and its interrupt.
 *
 * Spec: VIRTIO 1.2, 4.2 (register layout version 2).
 * Threads: registers on any thread under the device's lock; interrupts on any
 *       thread without it.
 * State: virtio_mmio_state.
 *
 * The line is used edge-triggered. The status bit is set before the edge, so
 * that the handler which the edge starts finds it; an edge comes with every
 * event, so that none is lost between the driver's look at the status and its
 * acknowledgement, whatever the order in which the driver does these and looks
 * at the rings.
 */
#include "bus/virtio_mmio.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "bus/irq.h"
#include "bus/notify.h"
#include "bus/virtio.h"

#define MMIO_MAGIC       0x74726976U /* "virt" */
#define MMIO_VERSION     2U
#define MMIO_VENDOR      0x4f455256U /* "VREO" */
#define MMIO_QUEUE_RESET 0x0c0       /* VIRTIO 1.2, 4.2.2 */
#define MMIO_SHM_NONE    UINT32_MAX  /* no shared memory region */

struct virtio_mmio {
	struct virtio_bus vbus;
	struct board *board;
	struct virtio_dev *vd; /* NULL: the slot is empty */
	struct region regs, config;
	struct irq_line line;
	gpa_t base;
	unsigned gsi;
	uint64_t ioeventfds; /* one bit a queue whose doorbell KVM watches */
	_Atomic uint32_t isr;
	uint32_t features_sel, driver_features_sel, queue_sel;
};
static_assert(VIRTIO_QUEUES_MAX <= 64, "ioeventfds has a bit for each");

const struct state_field virtio_mmio_state[] = {
	STATE_HOST(struct virtio_mmio, vbus),
	STATE_HOST(struct virtio_mmio, board),
	STATE_HOST(struct virtio_mmio, vd),
	STATE_HOST(struct virtio_mmio, regs),
	STATE_HOST(struct virtio_mmio, config),
	STATE_HOST(struct virtio_mmio, line),
	STATE_HOST(struct virtio_mmio, base),
	STATE_HOST(struct virtio_mmio, gsi),
	STATE_HOST(struct virtio_mmio, ioeventfds),
	STATE_UINT(struct virtio_mmio, isr, 1),
	STATE_UINT(struct virtio_mmio, features_sel, 1),
	STATE_UINT(struct virtio_mmio, driver_features_sel, 1),
	STATE_UINT(struct virtio_mmio, queue_sel, 1),
	STATE_END,
};

/* Interrupts. */

static void mmio_interrupt(struct virtio_dev *vd, uint32_t bit)
{
	struct virtio_mmio *m = vd->transport_data;

	/* Before the edge: pairs with the read of the status by the handler
	 * that the edge starts. */
	atomic_fetch_or(&m->isr, bit);
	irq_line_pulse(&m->line);
}

static void mmio_queue_irq(struct virtio_dev *vd, struct virtq *vq)
{
	(void)vq;
	mmio_interrupt(vd, VIRTIO_MMIO_INT_VRING);
}

static void mmio_config_irq(struct virtio_dev *vd)
{
	mmio_interrupt(vd, VIRTIO_MMIO_INT_CONFIG);
}

/* Registers that are read. Each is 32 bits wide. */

static uint32_t mmio_magic(struct virtio_mmio *m)
{
	(void)m;
	return MMIO_MAGIC;
}

static uint32_t mmio_version(struct virtio_mmio *m)
{
	(void)m;
	return MMIO_VERSION;
}

static uint32_t mmio_device_id(struct virtio_mmio *m)
{
	return m->vd->vclass->id;
}

static uint32_t mmio_vendor_id(struct virtio_mmio *m)
{
	(void)m;
	return MMIO_VENDOR;
}

static uint32_t mmio_features(struct virtio_mmio *m)
{
	return virtio_features_window(m->vd, m->features_sel);
}

static const struct virtq *mmio_queue(const struct virtio_mmio *m)
{
	return m->queue_sel < m->vd->nvqs ? &m->vd->vqs[m->queue_sel] : NULL;
}

static uint32_t mmio_queue_max(struct virtio_mmio *m)
{
	return mmio_queue(m) ? mmio_queue(m)->size_max : 0;
}

static uint32_t mmio_queue_ready(struct virtio_mmio *m)
{
	return mmio_queue(m) && mmio_queue(m)->ready;
}

/* A reset is over when the write that asked for it is. */
static uint32_t mmio_queue_resetting(struct virtio_mmio *m)
{
	(void)m;
	return 0;
}

static uint32_t mmio_isr(struct virtio_mmio *m)
{
	return atomic_load(&m->isr);
}

static uint32_t mmio_status(struct virtio_mmio *m)
{
	return m->vd->status;
}

static uint32_t mmio_no_shm(struct virtio_mmio *m)
{
	(void)m;
	return MMIO_SHM_NONE;
}

static uint32_t mmio_generation(struct virtio_mmio *m)
{
	return virtio_config_generation(m->vd);
}

/* Registers that are written. */

static void mmio_set_features_sel(struct virtio_mmio *m, uint32_t v)
{
	m->features_sel = v;
}

static void mmio_set_driver_features_sel(struct virtio_mmio *m, uint32_t v)
{
	m->driver_features_sel = v;
}

static void mmio_set_driver_features(struct virtio_mmio *m, uint32_t v)
{
	virtio_set_features_window(m->vd, m->driver_features_sel, v);
}

static void mmio_set_queue_sel(struct virtio_mmio *m, uint32_t v)
{
	m->queue_sel = v;
}

static void mmio_set_queue_num(struct virtio_mmio *m, uint32_t v)
{
	struct virtq *vq = virtio_queue_setup(m->vd, m->queue_sel);

	/* What does not fit is no size at all: QueueReady refuses it. */
	if (vq)
		vq->size = v <= vq->size_max ? (uint16_t)v : 0;
}

static void mmio_set_queue_ready(struct virtio_mmio *m, uint32_t v)
{
	virtio_queue_set_ready(m->vd, m->queue_sel, v & 1);
}

static void mmio_set_queue_reset(struct virtio_mmio *m, uint32_t v)
{
	if (v & 1)
		virtio_queue_reset(m->vd, m->queue_sel);
}

static void mmio_notify(struct virtio_mmio *m, uint32_t v)
{
	virtio_kick(m->vd, v);
}

static void mmio_ack(struct virtio_mmio *m, uint32_t v)
{
	atomic_fetch_and(&m->isr, ~v);
}

static void mmio_set_status(struct virtio_mmio *m, uint32_t v)
{
	virtio_set_status(m->vd, (uint8_t)v);
}

static void mmio_ignore(struct virtio_mmio *m, uint32_t v)
{
	(void)m;
	(void)v;
}

/* One half of one of the queue's addresses; 32 bits are shifted for `high`. */
static void mmio_set_addr(gpa_t *addr, bool high, uint32_t v)
{
	unsigned shift = high ? 32 : 0;

	*addr = (*addr & ~(MASK(31, 0) << shift)) | (uint64_t)v << shift;
}

#define MMIO_ADDR(name, field, high)                                           \
	static void mmio_set_##name(struct virtio_mmio *m, uint32_t v)         \
	{                                                                      \
		struct virtq *vq = virtio_queue_setup(m->vd, m->queue_sel);    \
                                                                               \
		if (vq)                                                        \
			mmio_set_addr(&vq->field, high, v);                    \
	}

MMIO_ADDR(desc_low, desc, false)
MMIO_ADDR(desc_high, desc, true)
MMIO_ADDR(driver_low, driver, false)
MMIO_ADDR(driver_high, driver, true)
MMIO_ADDR(device_low, device, false)
MMIO_ADDR(device_high, device, true)

/* VIRTIO 1.2, 4.2.2: what is missing is reserved, or cannot be done. */
static const struct mmio_reg {
	uint32_t (*read)(struct virtio_mmio *m);
	void (*write)(struct virtio_mmio *m, uint32_t v);
} mmio_regs[VIRTIO_MMIO_CONFIG / 4] = {
	/* clang-format off */
	[VIRTIO_MMIO_MAGIC_VALUE / 4]         = {mmio_magic, NULL},
	[VIRTIO_MMIO_VERSION / 4]             = {mmio_version, NULL},
	[VIRTIO_MMIO_DEVICE_ID / 4]           = {mmio_device_id, NULL},
	[VIRTIO_MMIO_VENDOR_ID / 4]           = {mmio_vendor_id, NULL},
	[VIRTIO_MMIO_DEVICE_FEATURES / 4]     = {mmio_features, NULL},
	[VIRTIO_MMIO_DEVICE_FEATURES_SEL / 4] = {NULL, mmio_set_features_sel},
	[VIRTIO_MMIO_DRIVER_FEATURES / 4]     = {NULL, mmio_set_driver_features},
	[VIRTIO_MMIO_DRIVER_FEATURES_SEL / 4] = {NULL, mmio_set_driver_features_sel},
	[VIRTIO_MMIO_QUEUE_SEL / 4]           = {NULL, mmio_set_queue_sel},
	[VIRTIO_MMIO_QUEUE_NUM_MAX / 4]       = {mmio_queue_max, NULL},
	[VIRTIO_MMIO_QUEUE_NUM / 4]           = {NULL, mmio_set_queue_num},
	[VIRTIO_MMIO_QUEUE_READY / 4]         = {mmio_queue_ready, mmio_set_queue_ready},
	[VIRTIO_MMIO_QUEUE_NOTIFY / 4]        = {NULL, mmio_notify},
	[VIRTIO_MMIO_INTERRUPT_STATUS / 4]    = {mmio_isr, NULL},
	[VIRTIO_MMIO_INTERRUPT_ACK / 4]       = {NULL, mmio_ack},
	[VIRTIO_MMIO_STATUS / 4]              = {mmio_status, mmio_set_status},
	[VIRTIO_MMIO_QUEUE_DESC_LOW / 4]      = {NULL, mmio_set_desc_low},
	[VIRTIO_MMIO_QUEUE_DESC_HIGH / 4]     = {NULL, mmio_set_desc_high},
	[VIRTIO_MMIO_QUEUE_AVAIL_LOW / 4]     = {NULL, mmio_set_driver_low},
	[VIRTIO_MMIO_QUEUE_AVAIL_HIGH / 4]    = {NULL, mmio_set_driver_high},
	[VIRTIO_MMIO_QUEUE_USED_LOW / 4]      = {NULL, mmio_set_device_low},
	[VIRTIO_MMIO_QUEUE_USED_HIGH / 4]     = {NULL, mmio_set_device_high},
	[VIRTIO_MMIO_SHM_SEL / 4]             = {NULL, mmio_ignore},
	[VIRTIO_MMIO_SHM_LEN_LOW / 4]         = {mmio_no_shm, NULL},
	[VIRTIO_MMIO_SHM_LEN_HIGH / 4]        = {mmio_no_shm, NULL},
	[VIRTIO_MMIO_SHM_BASE_LOW / 4]        = {mmio_no_shm, NULL},
	[VIRTIO_MMIO_SHM_BASE_HIGH / 4]       = {mmio_no_shm, NULL},
	[MMIO_QUEUE_RESET / 4]                = {mmio_queue_resetting, mmio_set_queue_reset},
	[VIRTIO_MMIO_CONFIG_GENERATION / 4]   = {mmio_generation, NULL},
	/* clang-format on */
};

static uint64_t mmio_read(struct region *r, uint64_t off, unsigned size)
{
	struct virtio_mmio *m = r->opaque;
	const struct mmio_reg *reg = &mmio_regs[off / 4];

	(void)size; /* 4 */
	if (!virtio_is_exposed(m->vd))
		return UINT32_MAX;
	if (reg->read)
		return reg->read(m);
	guest_err(&m->vd->dev,
		  "read of register 0x%03x, which is not to be "
		  "read (VIRTIO 1.2, 4.2.2.2)",
		  (unsigned)off);
	return 0;
}

static void mmio_write(struct region *r, uint64_t off, unsigned size,
		       uint64_t value)
{
	struct virtio_mmio *m = r->opaque;
	const struct mmio_reg *reg = &mmio_regs[off / 4];

	(void)size; /* 4 */
	if (!virtio_is_exposed(m->vd))
		return;
	if (reg->write)
		reg->write(m, (uint32_t)value);
	else
		guest_err(&m->vd->dev,
			  "write of register 0x%03x, which is "
			  "not to be written "
			  "(VIRTIO 1.2, 4.2.2.2)",
			  (unsigned)off);
}

static uint64_t mmio_config_read(struct region *r, uint64_t off, unsigned size)
{
	struct virtio_mmio *m = r->opaque;

	if (!virtio_is_exposed(m->vd))
		return UINT64_MAX;
	return virtio_config_load(m->vd, off, size);
}

static void mmio_config_write(struct region *r, uint64_t off, unsigned size,
			      uint64_t value)
{
	struct virtio_mmio *m = r->opaque;

	if (virtio_is_exposed(m->vd))
		virtio_config_store(m->vd, off, size, value);
}

static const struct region_ops mmio_ops = {mmio_read, mmio_write};
static const struct region_ops mmio_config_ops = {mmio_config_read,
						  mmio_config_write};

/* The slot. */

/* Registers are 32 bits wide and aligned, fields of the configuration space
 * 8 to 32 (4.2.2.2). */
static int mmio_plug(struct virtio_dev *vd, struct err *e)
{
	struct virtio_mmio *m = vd->transport_data;
	int rc;

	m->vd = vd;
	m->regs = (struct region){
		.name = "virtio-mmio",
		.ops = &mmio_ops,
		.dev = &vd->dev,
		.opaque = m,
		.base = m->base,
		.len = VIRTIO_MMIO_CONFIG,
		.min = 4,
		.max = 4,
		.flags = REGION_STRICT,
	};
	m->config = m->regs;
	m->config.name = "virtio-mmio-config";
	m->config.ops = &mmio_config_ops;
	m->config.base = m->base + VIRTIO_MMIO_CONFIG;
	m->config.len = VIRTIO_MMIO_SIZE - VIRTIO_MMIO_CONFIG;
	m->config.min = 1;
	irq_line_init(&m->line, m->board->irqs, m->gsi);
	rc = space_add(m->board->mem, &m->regs, e);
	if (!rc)
		rc = space_add(m->board->mem, &m->config, e);
	if (rc)
		vd->transport->unplug(vd);
	return rc;
}

static void mmio_unplug(struct virtio_dev *vd)
{
	struct virtio_mmio *m = vd->transport_data;

	space_del(&m->config);
	space_del(&m->regs);
	m->vd = NULL;
}

/* Doorbells that the host kernel can watch; the others are trapped. */
static void mmio_start(struct virtio_dev *vd)
{
	struct virtio_mmio *m = vd->transport_data;
	const struct notify_sink *n = m->board->notify;
	gpa_t bell = m->base + VIRTIO_MMIO_QUEUE_NOTIFY;

	m->ioeventfds = 0;
	for (unsigned i = 0; n && i < vd->nvqs; i++)
		if (!n->add(n->opaque, false, bell, 4, i,
			    virtio_kick_fd(vd, i)))
			m->ioeventfds |= BIT(i);
}

static void mmio_stop(struct virtio_dev *vd)
{
	struct virtio_mmio *m = vd->transport_data;
	const struct notify_sink *n = m->board->notify;
	gpa_t bell = m->base + VIRTIO_MMIO_QUEUE_NOTIFY;

	for (unsigned i = 0; i < vd->nvqs; i++)
		if (m->ioeventfds & BIT(i))
			n->del(n->opaque, false, bell, 4, i,
			       virtio_kick_fd(vd, i));
	m->ioeventfds = 0;
}

static void mmio_reset(struct virtio_dev *vd)
{
	struct virtio_mmio *m = vd->transport_data;

	atomic_store(&m->isr, 0);
	m->features_sel = m->driver_features_sel = m->queue_sel = 0;
}

static const struct virtio_transport_ops mmio_transport = {
	.plug = mmio_plug,
	.unplug = mmio_unplug,
	.start = mmio_start,
	.stop = mmio_stop,
	.reset = mmio_reset,
	.queue_irq = mmio_queue_irq,
	.config_irq = mmio_config_irq,
};

int virtio_mmio_new(struct board *board, unsigned index, gpa_t base,
		    unsigned gsi, struct virtio_mmio **ret, struct err *e)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	char name[32];
	int rc;

	if (!m)
		return err_set(e, -ENOMEM, "no memory for virtio-mmio slot %u",
			       index);
	m->board = board;
	m->base = base;
	m->gsi = gsi;
	m->vbus.transport = &mmio_transport;
	m->vbus.transport_data = m;
	(void)snprintf(name, sizeof(name), "virtio-mmio-bus.%u", index);
	rc = bus_init(&m->vbus.bus, &virtio_bus_type, name, NULL, board, e);
	if (rc) {
		free(m);
		return rc;
	}
	*ret = m;
	return 0;
}

void virtio_mmio_free(struct virtio_mmio *slot)
{
	if (!slot)
		return;
	bus_fini(&slot->vbus.bus);
	free(slot);
}

struct bus *virtio_mmio_bus(struct virtio_mmio *slot)
{
	return &slot->vbus.bus;
}

bool virtio_mmio_is_used(const struct virtio_mmio *slot)
{
	return slot->vd;
}

gpa_t virtio_mmio_base(const struct virtio_mmio *slot)
{
	return slot->base;
}

unsigned virtio_mmio_gsi(const struct virtio_mmio *slot)
{
	return slot->gsi;
}
