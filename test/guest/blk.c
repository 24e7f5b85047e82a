/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk by virtio-blk. What it writes is pieces of what it reads, so that
 * test/machine/blk can tell without it what the image must be at the end.
 *
 * Spec: VIRTIO 1.2, 5.2.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "base/num.h"
#include "test/guest/virtio.h"

#define SECTOR    512U
#define BATCH     16U   /* requests in flight */
#define PIECE     4096U /* of each */
#define COPY_TO   1024U /* sectors; the host knows these, too */
#define SMALL_TO  2000U
#define ZEROES_AT 3000U
#define ZEROES    8U
#define TRIM_AT   3072U
#define TRIM      128U
#define VECTOR    0x71
#define NO_RAM    0xd0000000U

#define STATUS_UNANSWERED 0xff

struct request {
	struct virtio_blk_outhdr head;
	uint8_t status;
	struct vring_desc table[3]; /* of either layout: 16 bytes each */
};

static struct virtio disk;
static struct request requests[BATCH];
static uint8_t data[BATCH * PIECE], back[BATCH * PIECE];

/* Adds a request; its data is `len` bytes at `p`. */
static void add(unsigned i, uint32_t type, uint64_t sector, void *p,
		uint32_t len)
{
	struct request *r = &requests[i];
	bool is_in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	const struct ring_buf bufs[3] = {
		{virtio_gpa(&r->head), sizeof(r->head), false},
		{virtio_gpa(p), len, is_in},
		{virtio_gpa(&r->status), 1, true},
	};
	const struct ring_buf bare[2] = {bufs[0], bufs[2]};
	unsigned n = len ? 3 : 2;

	r->head.type = type;
	r->head.sector = sector;
	r->status = STATUS_UNANSWERED;
	if (disk.features & BIT(VIRTIO_RING_F_INDIRECT_DESC))
		guest_check(ring_add_indirect(disk.rings, len ? bufs : bare, n,
					      r->table, virtio_gpa(r->table),
					      i));
	else
		guest_check(ring_add(disk.rings, len ? bufs : bare, n, i));
}

static uint8_t request(uint32_t type, uint64_t sector, void *p, uint32_t len)
{
	add(0, type, sector, p, len);
	virtio_kick(&disk, 0);
	virtio_wait(&disk, 0);
	return requests[0].status;
}

static bool is_ok(uint32_t type, uint64_t sector, void *p, uint32_t len)
{
	return request(type, sector, p, len) == VIRTIO_BLK_S_OK;
}

/* All of data (or back) by one kick, in pieces. */
static bool batch(uint32_t type, uint64_t sector, uint8_t *p)
{
	for (unsigned i = 0; i < BATCH; i++)
		add(i, type, sector + i * PIECE / SECTOR, p + i * PIECE, PIECE);
	virtio_kick(&disk, 0);
	for (unsigned i = 0; i < BATCH; i++)
		virtio_wait(&disk, 0);
	for (unsigned i = 0; i < BATCH; i++)
		if (requests[i].status != VIRTIO_BLK_S_OK)
			return false;
	return true;
}

static void start(void)
{
	virtio_start(&disk,
		     BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_DISCARD) |
			     BIT(VIRTIO_BLK_F_WRITE_ZEROES),
		     1, 64);
}

static void copy(void)
{
	ring_want_irq(disk.rings, false, 0);
	machine_point("sixteen reads in flight",
		      batch(VIRTIO_BLK_T_IN, 0, data) &&
			      !memcmp(data, "00000001\n", 9));
	machine_point("and no interrupt that nobody asked for",
		      !virtio_had_interrupt(&disk));
	machine_route(disk.slot.gsi, VECTOR);
	ring_want_irq(disk.rings, true, 0);
	machine_point("sixteen writes in flight",
		      batch(VIRTIO_BLK_T_OUT, COPY_TO, data));
	while (!machine_has_vector(VECTOR))
		cpu_relax();
	machine_point("an interrupt comes when one is asked for",
		      virtio_had_interrupt(&disk));
	machine_point("what was written is read",
		      batch(VIRTIO_BLK_T_IN, COPY_TO, back) &&
			      !memcmp(data, back, sizeof(data)));
}

/* One sector, of three buffers; the status is a fifth descriptor. */
static void scattered(void)
{
	struct request *r = &requests[0];
	const struct ring_buf bufs[] = {
		{virtio_gpa(&r->head), 16, false},
		{virtio_gpa(data + 5 * SECTOR), 1, false},
		{virtio_gpa(data + 5 * SECTOR + 1), 510, false},
		{virtio_gpa(data + 5 * SECTOR + 511), 1, false},
		{virtio_gpa(&r->status), 1, true},
	};

	r->head.type = VIRTIO_BLK_T_OUT;
	r->head.sector = SMALL_TO;
	r->status = STATUS_UNANSWERED;
	virtio_send(&disk, 0, bufs, 5);
	machine_point("one byte is written: the status",
		      virtio_wait(&disk, 0) == 1);
	machine_point("a sector in three buffers",
		      r->status == VIRTIO_BLK_S_OK);
}

static bool zero_range(uint32_t type, uint64_t sector, uint32_t sectors)
{
	struct virtio_blk_discard_write_zeroes range = {.sector = sector,
							.num_sectors = sectors};

	return is_ok(type, 0, &range, sizeof(range));
}

static void other_requests(void)
{
	char id[VIRTIO_BLK_ID_BYTES];

	machine_point("write-zeroes",
		      zero_range(VIRTIO_BLK_T_WRITE_ZEROES, ZEROES_AT, ZEROES));
	machine_point("discard",
		      zero_range(VIRTIO_BLK_T_DISCARD, TRIM_AT, TRIM));
	machine_point("zeroes are read",
		      is_ok(VIRTIO_BLK_T_IN, ZEROES_AT, back, PIECE) &&
			      !memcmp(back, (uint8_t[PIECE]){0}, PIECE));
	machine_point("flush", is_ok(VIRTIO_BLK_T_FLUSH, 0, NULL, 0));
	machine_point("the serial number",
		      is_ok(VIRTIO_BLK_T_GET_ID, 0, id, sizeof(id)) &&
			      !memcmp(id, "machine-disk", 13));
}

static void refused_requests(void)
{
	uint64_t sectors = virtio_config(&disk, 0, 8);

	machine_point("the capacity", sectors == machine_number("sectors"));
	machine_point("a read past the end is an error",
		      request(VIRTIO_BLK_T_IN, sectors - 1, back, 2 * SECTOR) ==
			      VIRTIO_BLK_S_IOERR);
	machine_point("an unknown request is not supported",
		      request(99, 0, NULL, 0) == VIRTIO_BLK_S_UNSUPP);
}

static void bad_address(void)
{
	struct request *r = &requests[0];
	const struct ring_buf bufs[] = {
		{virtio_gpa(&r->head), 16, false},
		{NO_RAM, SECTOR, true},
		{virtio_gpa(&r->status), 1, true},
	};

	virtio_send(&disk, 0, bufs, 3);
}

/* Buffers that the device writes come before one that it reads. */
static void bad_order(void)
{
	struct request *r = &requests[0];
	const struct ring_buf bufs[] = {
		{virtio_gpa(&r->head), 16, false},
		{virtio_gpa(&r->status), 1, true},
		{virtio_gpa(data), SECTOR, false},
	};

	virtio_send(&disk, 0, bufs, 3);
}

/* An indirect table that is not a number of descriptors long. */
static void bad_table(void)
{
	struct request *r = &requests[0];
	const struct ring_buf bufs[] = {{virtio_gpa(&r->head), 16, false}};

	guest_check(ring_add_indirect(disk.rings, bufs, 1, r->table,
				      virtio_gpa(r->table), 0));
	((struct vring_desc *)(void *)disk.rings->desc_host)->len = 15;
	virtio_kick(&disk, 0);
}

/* A descriptor that is followed by itself, or (packed) by all others. */
static void endless(void)
{
	struct vring_desc *d = (void *)disk.rings->desc_host;
	const struct ring_buf buf = {virtio_gpa(data), SECTOR, false};

	if (disk.rings->packed) {
		for (unsigned i = 0; i < disk.rings->size; i++)
			guest_check(ring_add(disk.rings, &buf, 1, 0));
		for (unsigned i = 1; i < disk.rings->size; i++)
			d[i].next |= VRING_DESC_F_NEXT; /* flags, here */
		disk.rings->head_flags |= VRING_DESC_F_NEXT;
	} else {
		guest_check(ring_add(disk.rings, &buf, 1, 0));
		d[0].flags |= VRING_DESC_F_NEXT;
		d[0].next = 0;
	}
	virtio_kick(&disk, 0);
}

/* The device gives up and says so; the machine lives, a reset mends it. */
static void mistakes(void)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} all[] = {
		{"reset after a buffer outside memory", bad_address},
		{"reset after buffers out of order", bad_order},
		{"reset after an indirect table of 15 bytes", bad_table},
		{"reset after an endless chain", endless},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].make == bad_table &&
		    !(disk.features & BIT(VIRTIO_RING_F_INDIRECT_DESC)))
			continue;
		all[i].make();
		while (!(virtio_status(&disk) & VIRTIO_CONFIG_S_NEEDS_RESET))
			cpu_relax();
		start();
		machine_point(all[i].name,
			      is_ok(VIRTIO_BLK_T_IN, COPY_TO, back, PIECE) &&
				      !memcmp(data, back, PIECE));
	}
}

uint32_t guest_main(uint64_t arg)
{
	(void)arg;
	virtio_find(&disk, 2);
	start();
	copy();
	scattered();
	other_requests();
	refused_requests();
	mistakes();
	return 0;
}
