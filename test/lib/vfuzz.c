/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of a virtio device's fuzzer.
 */
#include "test/lib/vfuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define VFUZZ_BUFS  6U
#define VFUZZ_RINGS (1 * MIB) /* where vdriver.c puts them */

enum vfuzz_op {
	VFUZZ_CHAIN,
	VFUZZ_KICK,
	VFUZZ_STEP,
	VFUZZ_POKE_BUFFER,
	VFUZZ_POKE_RING,
	VFUZZ_CONFIG,
	VFUZZ_BACK_END,
	VFUZZ_RESTART,
	VFUZZ_QUEUE_RESET,
	VFUZZ_PAUSE,
	VFUZZ_OPS,
};

uint8_t vfuzz_u8(struct vfuzz *z)
{
	if (!z->len)
		return 0;
	z->len--;
	return *z->data++;
}

uint16_t vfuzz_u16(struct vfuzz *z)
{
	uint8_t low = vfuzz_u8(z);

	return (uint16_t)(low | vfuzz_u8(z) << 8);
}

static void vfuzz_step(struct vfuzz *z)
{
	struct err e;

	for (unsigned i = 0; i < 3; i++)
		if (loop_step(z->board.board.loop, 0, &e))
			abort();
}

static struct virtio_dev *vfuzz_device(struct vfuzz *z)
{
	return container_of(z->v.dev, struct virtio_dev, dev);
}

/* Features that make a difference to rings, or all of the class's. */
static void vfuzz_restart(struct vfuzz *z)
{
	uint8_t pick = vfuzz_u8(z);
	uint64_t want = pick & 1 ? ~0ULL : 0;
	static const uint8_t bits[] = {VIRTIO_F_RING_PACKED, VIRTIO_F_EVENT_IDX,
				       VIRTIO_F_INDIRECT_DESC};

	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
		if (pick & 2 << i)
			want |= BIT(bits[i]);
		else
			want &= ~BIT(bits[i]);
	if (!vdriver_negotiate(&z->v.d, want))
		return;
	for (unsigned i = 0; i < z->nqueues; i++)
		vdriver_queue(&z->v.d, i, pick & 0x80 ? 4 : 16);
	vdriver_set(&z->v.d, VIRTIO_MMIO_STATUS,
		    vdriver_get(&z->v.d, VIRTIO_MMIO_STATUS) |
			    VIRTIO_S_DRIVER_OK);
	vfuzz_step(z);
}

/* A chain whose first `split` buffers are for the device to read. */
static void vfuzz_chain(struct vfuzz *z)
{
	unsigned queue = vfuzz_u8(z) % z->nqueues, shape = vfuzz_u8(z);
	unsigned n = 1 + shape % VFUZZ_BUFS, split = shape / 8 % (n + 1);
	struct ring *r = &z->v.d.rings[queue];
	struct ring_buf bufs[VFUZZ_BUFS];

	for (unsigned i = 0; i < n; i++) {
		uint8_t size = vfuzz_u8(z);

		bufs[i] = (struct ring_buf){
			.gpa = VSLOT_HEAP + vfuzz_u16(z),
			.len = size < 0xf0 ? size : 0x100U << (size & 15),
			.is_write = i >= split,
		};
	}
	if (r->size && !ring_add(r, bufs, n, 0))
		vfuzz_restart(z);
}

static void vfuzz_kick(struct vfuzz *z)
{
	unsigned queue = vfuzz_u8(z) % z->nqueues;
	struct virtio_dev *vd = vfuzz_device(z);

	if (z->v.d.rings[queue].size)
		(void)ring_publish(&z->v.d.rings[queue]);
	virtio_serve(vd, &vd->vqs[queue]);
}

static void vfuzz_poke(struct vfuzz *z, gpa_t base)
{
	uint8_t *p = vdriver_ptr(&z->v.d, base + vfuzz_u16(z));

	for (unsigned n = vfuzz_u8(z) % 64; n; n--)
		*p++ = vfuzz_u8(z);
}

static void vfuzz_config(struct vfuzz *z)
{
	unsigned off = vfuzz_u8(z) % 64, size = 1U << vfuzz_u8(z) % 3;

	off = (unsigned)align_down(off, size);
	(void)vdriver_config(&z->v.d, off, size);
	vslot_config_set(&z->v, off, size, vfuzz_u16(z));
}

static void vfuzz_queue_reset(struct vfuzz *z)
{
	unsigned queue = vfuzz_u8(z) % z->nqueues;

	if (!(z->v.d.features & BIT(VIRTIO_F_RING_RESET)) ||
	    !z->v.d.rings[queue].size)
		return;
	vslot_queue_reset(&z->v, queue);
	vdriver_queue(&z->v.d, queue, 16);
}

static void vfuzz_pause(struct vfuzz *z)
{
	z->v.dev->class->pause(z->v.dev);
	vfuzz_step(z);
	z->v.dev->class->resume(z->v.dev);
}

static void vfuzz_op(struct vfuzz *z)
{
	switch ((enum vfuzz_op)(vfuzz_u8(z) % VFUZZ_OPS)) {
	case VFUZZ_CHAIN:
		vfuzz_chain(z);
		break;
	case VFUZZ_KICK:
		vfuzz_kick(z);
		break;
	case VFUZZ_STEP:
		vfuzz_step(z);
		break;
	case VFUZZ_POKE_BUFFER:
		vfuzz_poke(z, VSLOT_HEAP);
		break;
	case VFUZZ_POKE_RING:
		vfuzz_poke(z,
			   VFUZZ_RINGS + vfuzz_u8(z) % z->nqueues * RING_BYTES);
		break;
	case VFUZZ_CONFIG:
		vfuzz_config(z);
		break;
	case VFUZZ_BACK_END:
		z->back_end(z);
		break;
	case VFUZZ_QUEUE_RESET:
		vfuzz_queue_reset(z);
		break;
	case VFUZZ_PAUSE:
		vfuzz_pause(z);
		break;
	case VFUZZ_RESTART:
	case VFUZZ_OPS:
		vfuzz_restart(z);
		break;
	}
}

void vfuzz_init(struct vfuzz *z, const char *text, unsigned nqueues)
{
	struct err e = {0};

	vslot_init(&z->v, &z->board, 0, text, &e);
	if (!z->v.dev) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	z->nqueues = nqueues;
}

void vfuzz_run(struct vfuzz *z, const uint8_t *data, size_t len)
{
	z->data = data;
	z->len = len;
	memset(vdriver_ptr(&z->v.d, VSLOT_HEAP), 0, 128 * KIB);
	vfuzz_restart(z);
	while (z->len)
		vfuzz_op(z);
	vfuzz_step(z);
	vslot_reset(&z->v);
	vfuzz_step(z);
}
