/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio over MMIO transport: a slot is one register window and one
 * line, and provides a "virtio-bus" for one device.
 *
 * Spec: VIRTIO 1.2, 4.2 (version 2 registers).
 * Threads: as bus/device.h.
 */
#pragma once

#include "bus/device.h"

#define VIRTIO_MMIO_SIZE 0x200U /* bytes of a slot's window */

struct virtio_mmio;

extern const struct state_field virtio_mmio_state[]; /* of a slot */

/*
 * Makes a slot at base with line gsi and its bus "virtio-mmio-bus.INDEX". An
 * empty slot claims nothing and costs nothing until a device is plugged in.
 */
int virtio_mmio_new(struct board *board, unsigned index, gpa_t base,
		    unsigned gsi, struct virtio_mmio **ret, struct err *e);
void virtio_mmio_free(struct virtio_mmio *slot);
struct bus *virtio_mmio_bus(struct virtio_mmio *slot);
bool virtio_mmio_is_used(const struct virtio_mmio *slot);
gpa_t virtio_mmio_base(const struct virtio_mmio *slot);
unsigned virtio_mmio_gsi(const struct virtio_mmio *slot);
