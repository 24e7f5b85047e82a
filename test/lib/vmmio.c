/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings a virtio-mmio device up. Also part of payloads: no C library.
 */
#include "test/lib/vmmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "base/num.h"
#include "test/lib/ring.h"

#define VMMIO_MAGIC 0x74726976 /* "virt" */

static uint32_t vmmio_get(const struct vmmio *m, unsigned reg)
{
	return m->get(m->opaque, reg);
}

static void vmmio_set(const struct vmmio *m, unsigned reg, uint32_t value)
{
	m->set(m->opaque, reg, value);
}

bool vmmio_is_used(const struct vmmio *m)
{
	return vmmio_get(m, VIRTIO_MMIO_MAGIC_VALUE) == VMMIO_MAGIC &&
	       vmmio_get(m, VIRTIO_MMIO_VERSION) == 2 &&
	       vmmio_get(m, VIRTIO_MMIO_DEVICE_ID) != 0;
}

void vmmio_add_status(const struct vmmio *m, uint32_t bit)
{
	vmmio_set(m, VIRTIO_MMIO_STATUS,
		  vmmio_get(m, VIRTIO_MMIO_STATUS) | bit);
}

static uint64_t vmmio_offered(const struct vmmio *m)
{
	uint64_t f;

	vmmio_set(m, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	f = (uint64_t)vmmio_get(m, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	vmmio_set(m, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return f | vmmio_get(m, VIRTIO_MMIO_DEVICE_FEATURES);
}

static void vmmio_accept(const struct vmmio *m, uint64_t features)
{
	vmmio_set(m, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vmmio_set(m, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	vmmio_set(m, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	vmmio_set(m, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
}

bool vmmio_negotiate(const struct vmmio *m, uint64_t want,
		     uint64_t *ret_offered, uint64_t *ret_accepted)
{
	vmmio_set(m, VIRTIO_MMIO_STATUS, 0);
	if (vmmio_get(m, VIRTIO_MMIO_STATUS))
		return false;
	vmmio_add_status(m, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	vmmio_add_status(m, VIRTIO_CONFIG_S_DRIVER);
	*ret_offered = vmmio_offered(m);
	*ret_accepted = *ret_offered & (want | BIT(VIRTIO_F_VERSION_1));
	vmmio_accept(m, *ret_accepted);
	vmmio_add_status(m, VIRTIO_CONFIG_S_FEATURES_OK);
	return vmmio_get(m, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void vmmio_set_addr(const struct vmmio *m, unsigned reg, gpa_t gpa)
{
	vmmio_set(m, reg, (uint32_t)gpa);
	vmmio_set(m, reg + 4, (uint32_t)(gpa >> 32));
}

bool vmmio_enable_queue(const struct vmmio *m, unsigned index,
			const struct ring *r)
{
	vmmio_set(m, VIRTIO_MMIO_QUEUE_SEL, index);
	if (vmmio_get(m, VIRTIO_MMIO_QUEUE_READY) ||
	    vmmio_get(m, VIRTIO_MMIO_QUEUE_NUM_MAX) < r->size)
		return false;
	vmmio_set(m, VIRTIO_MMIO_QUEUE_NUM, r->size);
	vmmio_set_addr(m, VIRTIO_MMIO_QUEUE_DESC_LOW, r->desc);
	vmmio_set_addr(m, VIRTIO_MMIO_QUEUE_AVAIL_LOW, r->driver);
	vmmio_set_addr(m, VIRTIO_MMIO_QUEUE_USED_LOW, r->device);
	vmmio_set(m, VIRTIO_MMIO_QUEUE_READY, 1);
	return vmmio_get(m, VIRTIO_MMIO_QUEUE_READY) == 1;
}
