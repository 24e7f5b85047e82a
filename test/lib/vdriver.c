/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver for tests.
 */
#include "test/lib/vdriver.h"

#include <linux/virtio_config.h>
#include <string.h>

#include "base/num.h"
#include "test/lib/test.h"

#define VDRIVER_RINGS (1 * MIB)
#define VDRIVER_DATA  (2 * MIB)

void vdriver_init(struct vdriver *v, struct fakeboard *board, gpa_t base,
		  unsigned gsi)
{
	memset(v, 0, sizeof(*v));
	v->board = board;
	v->base = base;
	v->gsi = gsi;
	v->next = VDRIVER_DATA;
}

uint32_t vdriver_get(struct vdriver *v, unsigned reg)
{
	return (uint32_t)fakeboard_read(v->board, v->base + reg, 4);
}

void vdriver_set(struct vdriver *v, unsigned reg, uint32_t value)
{
	fakeboard_write(v->board, v->base + reg, 4, value);
}

uint64_t vdriver_config(struct vdriver *v, unsigned off, unsigned size)
{
	gpa_t at = v->base + VIRTIO_MMIO_CONFIG + off;

	if (size == 8)
		return fakeboard_read(v->board, at, 4) |
		       fakeboard_read(v->board, at + 4, 4) << 32;
	return fakeboard_read(v->board, at, size);
}

static void vdriver_add_status(struct vdriver *v, uint32_t bit)
{
	vdriver_set(v, VIRTIO_MMIO_STATUS,
		    vdriver_get(v, VIRTIO_MMIO_STATUS) | bit);
}

static uint64_t vdriver_offered(struct vdriver *v)
{
	uint64_t f;

	vdriver_set(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	f = (uint64_t)vdriver_get(v, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	vdriver_set(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return f | vdriver_get(v, VIRTIO_MMIO_DEVICE_FEATURES);
}

bool vdriver_negotiate(struct vdriver *v, uint64_t want)
{
	uint32_t status;

	vdriver_set(v, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(vdriver_get(v, VIRTIO_MMIO_STATUS), 0);
	vdriver_add_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	vdriver_add_status(v, VIRTIO_CONFIG_S_DRIVER);
	v->offered = vdriver_offered(v);
	v->features = v->offered & (want | BIT(VIRTIO_F_VERSION_1));
	vdriver_set(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vdriver_set(v, VIRTIO_MMIO_DRIVER_FEATURES,
		    (uint32_t)(v->features >> 32));
	vdriver_set(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	vdriver_set(v, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)v->features);
	vdriver_add_status(v, VIRTIO_CONFIG_S_FEATURES_OK);
	status = vdriver_get(v, VIRTIO_MMIO_STATUS);
	return status & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void vdriver_set_addr(struct vdriver *v, unsigned reg, gpa_t gpa)
{
	vdriver_set(v, reg, (uint32_t)gpa);
	vdriver_set(v, reg + 4, (uint32_t)(gpa >> 32));
}

void vdriver_queue(struct vdriver *v, unsigned index, unsigned size)
{
	struct ring *r = &v->rings[index];

	assert_true(index < VDRIVER_QUEUES);
	ring_init(r, &v->board->gmem, VDRIVER_RINGS + index * RING_BYTES, size,
		  v->features);
	vdriver_set(v, VIRTIO_MMIO_QUEUE_SEL, index);
	assert_int_equal(vdriver_get(v, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_true(size <= vdriver_get(v, VIRTIO_MMIO_QUEUE_NUM_MAX));
	vdriver_set(v, VIRTIO_MMIO_QUEUE_NUM, size);
	vdriver_set_addr(v, VIRTIO_MMIO_QUEUE_DESC_LOW, r->desc);
	vdriver_set_addr(v, VIRTIO_MMIO_QUEUE_AVAIL_LOW, r->driver);
	vdriver_set_addr(v, VIRTIO_MMIO_QUEUE_USED_LOW, r->device);
	vdriver_set(v, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(vdriver_get(v, VIRTIO_MMIO_QUEUE_READY), 1);
}

void vdriver_ok(struct vdriver *v)
{
	vdriver_add_status(v, VIRTIO_CONFIG_S_DRIVER_OK);
	fakeboard_settle(v->board);
}

void vdriver_start(struct vdriver *v, uint64_t want, unsigned n, unsigned size)
{
	assert_int_equal(vdriver_get(v, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(vdriver_get(v, VIRTIO_MMIO_VERSION), 2);
	assert_int_not_equal(vdriver_get(v, VIRTIO_MMIO_DEVICE_ID), 0);
	assert_true(vdriver_negotiate(v, want));
	for (unsigned i = 0; i < n; i++)
		vdriver_queue(v, i, size);
	vdriver_ok(v);
}

gpa_t vdriver_alloc(struct vdriver *v, size_t len)
{
	gpa_t gpa = v->next;

	v->next = align_up(v->next + len, 16);
	assert_true(v->next <= FAKE_RAM);
	assert_int_equal(gmem_set(&v->board->gmem, gpa, 0, len), 0);
	return gpa;
}

void *vdriver_ptr(struct vdriver *v, gpa_t gpa)
{
	void *p = gmem_ptr(&v->board->gmem, gpa, 1);

	assert_non_null(p);
	return p;
}

void vdriver_kick(struct vdriver *v, unsigned queue)
{
	vdriver_set(v, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

void vdriver_send(struct vdriver *v, unsigned queue,
		  const struct ring_buf *bufs, unsigned n, unsigned tag)
{
	assert_true(ring_add(&v->rings[queue], bufs, n, tag));
	if (ring_publish(&v->rings[queue]))
		vdriver_kick(v, queue);
}

struct ring_used vdriver_wait(struct vdriver *v, unsigned queue)
{
	struct ring_used u = {0};

	fakeboard_wait(v->board, ring_next_used(&v->rings[queue], &u));
	return u;
}

unsigned vdriver_irqs(const struct vdriver *v)
{
	return v->board->edges[v->gsi];
}

uint32_t vdriver_ack(struct vdriver *v)
{
	uint32_t status = vdriver_get(v, VIRTIO_MMIO_INTERRUPT_STATUS);

	vdriver_set(v, VIRTIO_MMIO_INTERRUPT_ACK, status);
	return status;
}
