/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver for tests.
 */
#include "test/lib/vdriver.h"

#include <linux/virtio_config.h>
#include <string.h>

#include "base/num.h"
#include "test/lib/test.h"
#include "test/lib/vmmio.h"

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

static uint32_t vdriver_reg_get(void *opaque, unsigned reg)
{
	return vdriver_get(opaque, reg);
}

static void vdriver_reg_set(void *opaque, unsigned reg, uint32_t value)
{
	vdriver_set(opaque, reg, value);
}

static struct vmmio vdriver_regs(struct vdriver *v)
{
	return (struct vmmio){vdriver_reg_get, vdriver_reg_set, v};
}

bool vdriver_negotiate(struct vdriver *v, uint64_t want)
{
	struct vmmio m = vdriver_regs(v);

	return vmmio_negotiate(&m, want, &v->offered, &v->features);
}

void vdriver_queue(struct vdriver *v, unsigned index, unsigned size)
{
	struct vmmio m = vdriver_regs(v);

	assert_true(index < VDRIVER_QUEUES);
	ring_init(&v->rings[index], &v->board->gmem,
		  VDRIVER_RINGS + index * RING_BYTES, size, v->features);
	assert_true(vmmio_enable_queue(&m, index, &v->rings[index]));
}

void vdriver_ok(struct vdriver *v)
{
	struct vmmio m = vdriver_regs(v);

	vmmio_add_status(&m, VIRTIO_CONFIG_S_DRIVER_OK);
	fakeboard_settle(v->board);
}

void vdriver_start(struct vdriver *v, uint64_t want, unsigned n, unsigned size)
{
	struct vmmio m = vdriver_regs(v);

	assert_true(vmmio_is_used(&m));
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
