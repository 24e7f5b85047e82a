/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device in a slot, with its driver.
 *
 * Spec: VIRTIO 1.2, 4.2.2 (MMIO registers).
 */
#include "test/lib/vslot.h"

#include "test/lib/test.h"

#define SLOT_BASE(i)    (0xfeb00000ULL + (i)*0x1000ULL)
#define SLOT_GSI(i)     (5U + (i))
#define REG_QUEUE_RESET 0xc0 /* VIRTIO 1.2, 4.2.2; not in the uapi header */

void vslot_init(struct vslot *v, struct fakeboard *f, unsigned i,
		const char *text, struct err *e)
{
	*v = (struct vslot){0};
	vdriver_init(&v->d, f, SLOT_BASE(i), SLOT_GSI(i));
	if (virtio_mmio_new(&f->board, i, SLOT_BASE(i), SLOT_GSI(i), &v->slot,
			    e))
		fail_msg("%s", e->text);
	v->dev = fakeboard_device(f, virtio_mmio_bus(v->slot), text, e);
	v->irqs_seen = vdriver_irqs(&v->d);
}

void vslot_fini(struct vslot *v)
{
	device_free(v->dev);
	virtio_mmio_free(v->slot);
	v->dev = NULL;
	v->slot = NULL;
}

void vslot_reset(struct vslot *v)
{
	vdriver_set(&v->d, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(vdriver_get(&v->d, VIRTIO_MMIO_STATUS), 0);
}

void vslot_start(struct vslot *v, uint64_t want, unsigned n)
{
	assert_true(vdriver_negotiate(&v->d, want));
	for (unsigned i = 0; i < n; i++) {
		vdriver_set(&v->d, VIRTIO_MMIO_QUEUE_SEL, i);
		vdriver_queue(&v->d, i,
			      vdriver_get(&v->d, VIRTIO_MMIO_QUEUE_NUM_MAX));
	}
	vdriver_ok(&v->d);
}

void vslot_queue_reset(struct vslot *v, unsigned queue)
{
	vdriver_set(&v->d, VIRTIO_MMIO_QUEUE_SEL, queue);
	vdriver_set(&v->d, REG_QUEUE_RESET, 1);
	assert_int_equal(vdriver_get(&v->d, REG_QUEUE_RESET), 0);
}

void vslot_config_set(struct vslot *v, unsigned off, unsigned size,
		      uint64_t value)
{
	fakeboard_write(v->d.board, v->d.base + VIRTIO_MMIO_CONFIG + off, size,
			value);
}

void vslot_add(struct vslot *v, unsigned queue, const struct ring_buf *bufs,
	       unsigned n, unsigned tag)
{
	assert_true(ring_add(&v->d.rings[queue], bufs, n, tag));
}

void vslot_kick(struct vslot *v, unsigned queue)
{
	(void)ring_publish(&v->d.rings[queue]);
	vdriver_kick(&v->d, queue);
	fakeboard_settle(v->d.board);
}

uint32_t vslot_used(struct vslot *v, unsigned queue, unsigned tag)
{
	struct ring_used u;

	assert_true(ring_next_used(&v->d.rings[queue], &u));
	assert_int_equal(u.tag, tag);
	return u.len;
}

bool vslot_has_used(const struct vslot *v, unsigned queue)
{
	static struct ring copy; /* too large for a stack */
	struct ring_used u;

	copy = v->d.rings[queue];
	return ring_next_used(&copy, &u);
}

bool vslot_is_broken(struct vslot *v)
{
	return vdriver_get(&v->d, VIRTIO_MMIO_STATUS) & VIRTIO_S_NEEDS_RESET;
}

unsigned vslot_irqs(struct vslot *v)
{
	unsigned now = vdriver_irqs(&v->d), n = now - v->irqs_seen;

	v->irqs_seen = now;
	(void)vdriver_ack(&v->d);
	return n;
}
