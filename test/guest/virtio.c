/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's part that virtio payloads have in common.
 *
 * Spec: VIRTIO 1.2, 3.1 and 4.2.
 */
#include "test/guest/virtio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "base/num.h"
#include "test/lib/vmmio.h"

static uint8_t virtio_ram[VIRTIO_QUEUES][RING_BYTES]
	__attribute__((aligned(4096)));

/* For test/lib/ring.c: memory is mapped one to one. */
void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	(void)gm;
	(void)len;
	return (void *)gpa;
}

static uint32_t virtio_get(void *opaque, unsigned reg)
{
	const struct virtio *v = opaque;

	return mmio_r32(v->slot.base + reg);
}

static void virtio_set(void *opaque, unsigned reg, uint32_t value)
{
	const struct virtio *v = opaque;

	mmio_w32(v->slot.base + reg, value);
}

static struct vmmio virtio_regs(const struct virtio *v)
{
	return (struct vmmio){virtio_get, virtio_set, (void *)(uintptr_t)v};
}

void virtio_find(struct virtio *v, uint32_t id)
{
	for (unsigned i = 0; machine_slot(i, &v->slot); i++) {
		struct vmmio m = virtio_regs(v);

		if (vmmio_is_used(&m) &&
		    virtio_get(v, VIRTIO_MMIO_DEVICE_ID) == id)
			return;
	}
	machine_point("ACPI names the device's slot", false);
	machine_done();
}

void virtio_start(struct virtio *v, uint64_t want, unsigned n, unsigned size)
{
	struct vmmio m = virtio_regs(v);

	want |= BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX);
	if (machine_has("plain"))
		want &= ~(BIT(VIRTIO_RING_F_INDIRECT_DESC) |
			  BIT(VIRTIO_RING_F_EVENT_IDX));
	if (machine_has("packed"))
		want |= BIT(VIRTIO_F_RING_PACKED);
	guest_check(vmmio_negotiate(&m, want, &v->offered, &v->features));
	guest_check(!(want & ~v->offered));
	for (unsigned i = 0; i < n; i++) {
		ring_init(&v->rings[i], NULL, virtio_gpa(virtio_ram[i]), size,
			  v->features);
		guest_check(vmmio_enable_queue(&m, i, &v->rings[i]));
	}
	vmmio_add_status(&m, VIRTIO_CONFIG_S_DRIVER_OK);
}

void virtio_kick(struct virtio *v, unsigned queue)
{
	if (ring_publish(&v->rings[queue]))
		virtio_set(v, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

void virtio_send(struct virtio *v, unsigned queue, const struct ring_buf *bufs,
		 unsigned n)
{
	guest_check(ring_add(&v->rings[queue], bufs, n, 0));
	virtio_kick(v, queue);
}

uint32_t virtio_wait(struct virtio *v, unsigned queue)
{
	struct ring_used used;

	while (!ring_next_used(&v->rings[queue], &used))
		cpu_relax();
	return used.len;
}

uint32_t virtio_status(const struct virtio *v)
{
	return mmio_r32(v->slot.base + VIRTIO_MMIO_STATUS);
}

bool virtio_had_interrupt(const struct virtio *v)
{
	uint32_t why = mmio_r32(v->slot.base + VIRTIO_MMIO_INTERRUPT_STATUS);

	mmio_w32(v->slot.base + VIRTIO_MMIO_INTERRUPT_ACK, why);
	return why & VIRTIO_MMIO_INT_VRING;
}

uint64_t virtio_config(const struct virtio *v, unsigned off, unsigned size)
{
	uint64_t at = v->slot.base + VIRTIO_MMIO_CONFIG + off;

	switch (size) {
	case 1:
		return mmio_r8(at);
	case 2:
		return mmio_r16(at);
	case 4:
		return mmio_r32(at);
	default:
		return mmio_r32(at) | (uint64_t)mmio_r32(at + 4) << 32;
	}
}
