/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/virtio/blk: by a driver's registers and rings, on a disk in memory that
 * holds requests back and fails them as told.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/block.h"
#include "base/num.h"
#include "test/lib/test.h"
#include "test/lib/vslot.h"

#define SECTOR     512U
#define DISK_BYTES (1 * MIB)
#define HELD_MAX   1024U

/* VIRTIO 1.2, 5.2. */
enum { T_IN, T_OUT, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };
#define F_SEG_MAX    BIT(2)
#define F_RO         BIT(5)
#define F_BLK_SIZE   BIT(6)
#define F_FLUSH      BIT(9)
#define F_TOPOLOGY   BIT(10)
#define F_CONFIG_WCE BIT(11)
#define F_MQ         BIT(12)
#define F_DISCARD    BIT(13)
#define F_ZEROES     BIT(14)
#define F_INDIRECT   BIT(VIRTIO_F_INDIRECT_DESC)
#define F_EVENT_IDX  BIT(VIRTIO_F_EVENT_IDX)
#define F_PACKED     BIT(VIRTIO_F_RING_PACKED)

/* The disk. */
struct disk {
	struct blk_node node;
	uint8_t data[DISK_BYTES];
	bool holds; /* keeps requests until disk_complete() */
	int result; /* that requests end with */
	struct blk_req *held[HELD_MAX];
	unsigned nheld, count[BLK_WRITE_ZEROES + 1];
	unsigned flags; /* of the last request */
	bool is_bound;
};

static struct disk *disk_of(struct blk_node *n)
{
	return container_of(n, struct disk, node);
}

static void disk_copy(struct disk *d, const struct blk_req *r)
{
	uint64_t at = r->offset;

	for (unsigned i = 0; i < r->niov; i++) {
		assert_true(range_ok(at, r->iov[i].iov_len, DISK_BYTES));
		if (r->op == BLK_READ)
			memcpy(r->iov[i].iov_base, d->data + at,
			       r->iov[i].iov_len);
		else
			memcpy(d->data + at, r->iov[i].iov_base,
			       r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	assert_int_equal(at - r->offset, r->bytes);
}

static void disk_run(struct disk *d, struct blk_req *r)
{
	d->count[r->op]++;
	d->flags = r->flags;
	if (d->result)
		return;
	if (r->op == BLK_READ || r->op == BLK_WRITE)
		disk_copy(d, r);
	if (r->op == BLK_DISCARD || r->op == BLK_WRITE_ZEROES)
		memset(d->data + r->offset, 0, r->bytes);
}

static void disk_submit(struct blk_node *n, struct blk_req *r)
{
	struct disk *d = disk_of(n);

	assert_true(d->is_bound);
	if (d->holds) {
		assert_true(d->nheld < HELD_MAX);
		d->held[d->nheld++] = r;
		return;
	}
	disk_run(d, r);
	blk_complete_later(r, d->result);
}

/* Ends the held request i. */
static void disk_complete(struct disk *d, unsigned i, int result)
{
	struct blk_req *r = d->held[i];

	assert_true(i < d->nheld);
	memmove(&d->held[i], &d->held[i + 1],
		(--d->nheld - i) * sizeof(d->held[0]));
	d->result = result;
	disk_run(d, r);
	d->result = 0;
	blk_complete(r, result);
}

static void disk_drain(struct blk_node *n)
{
	struct disk *d = disk_of(n);

	while (d->nheld)
		disk_complete(d, 0, 0);
}

static int disk_bind(struct blk_node *n, struct loop *l, struct err *e)
{
	(void)l;
	(void)e;
	disk_of(n)->is_bound = true;
	return 0;
}

static void disk_unbind(struct blk_node *n)
{
	assert_int_equal(disk_of(n)->nheld, 0);
	disk_of(n)->is_bound = false;
}

static const struct blk_driver disk_driver = {
	.name = "test",
	.bind = disk_bind,
	.unbind = disk_unbind,
	.submit = disk_submit,
	.drain = disk_drain,
};

static void disk_init(struct disk *d)
{
	static char name[] = "d0";

	memset(d, 0, sizeof(*d));
	for (unsigned i = 0; i < DISK_BYTES; i++)
		d->data[i] = (uint8_t)(i / SECTOR + i);
	d->node.driver = &disk_driver;
	d->node.name = name;
	list_init(&d->node.link);
	d->node.caps = (struct blk_caps){
		.bytes = DISK_BYTES,
		.flush = true,
		.discard = true,
		.write_zeroes = true,
		.unmap = true,
		.cache_writeback = true,
		.logical_block = SECTOR,
		.physical_block = 4096,
		.io_align = 1,
		.mem_align = 1,
	};
}

struct fixture {
	struct fakeboard board;
	struct disk disk;
	struct vslot v;
	gpa_t heap; /* next free guest memory */
	struct err e;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fakeboard_init(&f.board);
	disk_init(&f.disk);
	fakeboard_link(&f.board, "blockdev", "d0", &f.disk.node);
	f.heap = VSLOT_HEAP;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->v.slot)
		vslot_fini(&f->v);
	assert_false(f->disk.is_bound);
	assert_null(f->disk.node.user);
	fakeboard_fini(&f->board);
	return 0;
}

static void make(struct fixture *f, const char *options)
{
	char text[256];

	snprintf(text, sizeof(text), "virtio-blk-device,drive=d0%s", options);
	vslot_init(&f->v, &f->board, 0, text, &f->e);
	if (!f->v.dev)
		fail_msg("%s", f->e.text);
}

static void make_and_start(struct fixture *f, const char *options,
			   uint64_t want)
{
	make(f, options);
	vslot_start(&f->v, want, 1);
}

static gpa_t alloc(struct fixture *f, size_t bytes)
{
	gpa_t at = f->heap;

	f->heap += align_up(bytes, 16);
	assert_true(f->heap <= VSLOT_HEAP_END);
	return at;
}

/* A request as Linux lays it out: header, data, status. */
struct request {
	gpa_t header, data, status;
	uint32_t bytes;
};

static struct request request_new(struct fixture *f, uint32_t type,
				  uint64_t sector, uint32_t bytes)
{
	struct request r = {alloc(f, 16), alloc(f, bytes), alloc(f, 1), bytes};
	uint8_t *h = vdriver_ptr(&f->v.d, r.header);

	store_le32(h, type);
	store_le32(h + 4, 0);
	store_le64(h + 8, sector);
	*(uint8_t *)vdriver_ptr(&f->v.d, r.status) = 0xaa;
	return r;
}

static uint8_t *request_data(struct fixture *f, const struct request *r)
{
	return vdriver_ptr(&f->v.d, r->data);
}

static uint8_t request_status(struct fixture *f, const struct request *r)
{
	return *(uint8_t *)vdriver_ptr(&f->v.d, r->status);
}

static void request_add(struct fixture *f, unsigned queue,
			const struct request *r, bool is_read, unsigned tag)
{
	struct ring_buf bufs[] = {
		{r->header, 16, false},
		{r->data, r->bytes, is_read},
		{r->status, 1, true},
	};

	if (!r->bytes)
		bufs[1] = bufs[2];
	vslot_add(&f->v, queue, bufs, r->bytes ? 3 : 2, tag);
}

/* Runs it alone: the status. */
static uint8_t request_run(struct fixture *f, const struct request *r,
			   bool is_read)
{
	uint32_t len;

	request_add(f, 0, r, is_read, 7);
	vslot_kick(&f->v, 0);
	len = vslot_used(&f->v, 0, 7);
	if (is_read && request_status(f, r) == S_OK)
		assert_int_equal(len, r->bytes + 1);
	else
		assert_int_equal(len, 1);
	assert_false(vslot_is_broken(&f->v));
	return request_status(f, r);
}

static uint8_t run(struct fixture *f, uint32_t type, uint64_t sector,
		   uint32_t bytes)
{
	struct request r = request_new(f, type, sector, bytes);

	return request_run(f, &r, type == T_IN || type == T_GET_ID);
}

/* Reads and writes. */

static void writes_then_reads(struct fixture *f)
{
	struct request w = request_new(f, T_OUT, 3, 4 * SECTOR);
	struct request r = request_new(f, T_IN, 2, 6 * SECTOR);

	memset(request_data(f, &w), 0x5c, w.bytes);
	assert_int_equal(request_run(f, &w, false), S_OK);
	assert_int_equal(f->disk.data[3 * SECTOR], 0x5c);
	assert_int_equal(f->disk.data[7 * SECTOR - 1], 0x5c);
	assert_int_not_equal(f->disk.data[7 * SECTOR], 0x5c);
	assert_int_equal(request_run(f, &r, true), S_OK);
	assert_memory_equal(request_data(f, &r), f->disk.data + 2 * SECTOR,
			    r.bytes);
}

static void reads_and_writes(void **state)
{
	static const uint64_t rings[] = {
		0,
		F_EVENT_IDX,
		F_PACKED,
		F_PACKED | F_EVENT_IDX,
	};
	struct fixture *f = *state;

	make(f, ",packed=on");
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++) {
		vslot_start(&f->v, rings[i], 1);
		assert_int_equal(f->v.d.features & (F_PACKED | F_EVENT_IDX),
				 rings[i]);
		/* More often than the ring has entries. */
		for (unsigned n = 0; n < 200; n++) {
			f->heap = VSLOT_HEAP;
			writes_then_reads(f);
		}
	}
}

static void takes_indirect_chains(void **state)
{
	struct fixture *f = *state;
	struct request r;
	struct ring_buf bufs[3];
	gpa_t table;

	make(f, ",packed=on");
	for (unsigned packed = 0; packed < 2; packed++) {
		vslot_start(&f->v, F_INDIRECT | (packed ? F_PACKED : 0), 1);
		r = request_new(f, T_IN, 8, 2 * SECTOR);
		table = alloc(f, sizeof(bufs) / sizeof(bufs[0]) * 16);
		bufs[0] = (struct ring_buf){r.header, 16, false};
		bufs[1] = (struct ring_buf){r.data, r.bytes, true};
		bufs[2] = (struct ring_buf){r.status, 1, true};
		assert_true(ring_add_indirect(&f->v.d.rings[0], bufs, 3,
					      vdriver_ptr(&f->v.d, table),
					      table, 1));
		vslot_kick(&f->v, 0);
		assert_int_equal(vslot_used(&f->v, 0, 1), r.bytes + 1);
		assert_int_equal(request_status(f, &r), S_OK);
		assert_memory_equal(request_data(f, &r),
				    f->disk.data + 8 * SECTOR, r.bytes);
	}
}

/* VIRTIO 1.2, 2.7.4.1: the driver may cut the parts as it likes. */
static void takes_any_layout(void **state)
{
	struct fixture *f = *state;
	struct request w, r;

	make_and_start(f, "", 0);
	/* The header in three pieces, the last one with data behind it. */
	w = request_new(f, T_OUT, 1, SECTOR);
	gpa_t joined = alloc(f, 6 + SECTOR);
	uint8_t *p = vdriver_ptr(&f->v.d, joined);
	struct ring_buf out[] = {
		{w.header, 1, false},     {w.header + 1, 9, false},
		{joined, 6 + 100, false}, {joined + 106, SECTOR - 100, false},
		{w.status, 1, true},
	};
	memcpy(p, (char *)vdriver_ptr(&f->v.d, w.header) + 10, 6);
	memset(p + 6, 0x33, SECTOR);
	vslot_add(&f->v, 0, out, ARRAY_SIZE(out), 1);
	vslot_kick(&f->v, 0);
	assert_int_equal(vslot_used(&f->v, 0, 1), 1);
	assert_int_equal(request_status(f, &w), S_OK);
	assert_int_equal(f->disk.data[SECTOR], 0x33);
	assert_int_equal(f->disk.data[2 * SECTOR - 1], 0x33);

	/* The status at the end of the last piece of data. */
	r = request_new(f, T_IN, 5, SECTOR + 1);
	struct ring_buf in[] = {
		{r.header, 16, false},
		{r.data, 300, true},
		{r.data + 300, SECTOR - 300 + 1, true},
	};
	vslot_add(&f->v, 0, in, ARRAY_SIZE(in), 2);
	vslot_kick(&f->v, 0);
	assert_int_equal(vslot_used(&f->v, 0, 2), SECTOR + 1);
	assert_memory_equal(request_data(f, &r), f->disk.data + 5 * SECTOR,
			    SECTOR);
	assert_int_equal(request_data(f, &r)[SECTOR], S_OK);
}

static void fills_the_queue(void **state)
{
	struct fixture *f = *state;
	struct request r[64];

	make_and_start(f, ",queue-size=256", 0);
	f->disk.holds = true;
	for (unsigned i = 0; i < 64; i++) {
		r[i] = request_new(f, T_IN, i, SECTOR);
		request_add(f, 0, &r[i], true, i);
	}
	(void)vslot_irqs(&f->v);
	vslot_kick(&f->v, 0);
	assert_int_equal(f->disk.nheld, 64);
	assert_false(vslot_has_used(&f->v, 0));
	/* Last one first; all in one turn of the loop. */
	while (f->disk.nheld)
		disk_complete(&f->disk, f->disk.nheld - 1, 0);
	assert_int_equal(vslot_irqs(&f->v), 0);
	fakeboard_settle(&f->board);
	assert_int_equal(vslot_irqs(&f->v), 1);
	for (unsigned i = 64; i--;) {
		assert_int_equal(vslot_used(&f->v, 0, i), SECTOR + 1);
		assert_memory_equal(request_data(f, &r[i]),
				    f->disk.data + i * SECTOR, SECTOR);
	}
}

static void serves_all_queues(void **state)
{
	struct fixture *f = *state;
	struct request r[4];

	make(f, ",num-queues=4");
	vslot_start(&f->v, F_MQ, 4);
	assert_true(f->v.d.offered & F_MQ);
	assert_int_equal(vdriver_config(&f->v.d, 34, 2), 4);
	f->disk.holds = true;
	for (unsigned i = 0; i < 4; i++) {
		r[i] = request_new(f, T_IN, 10 + i, SECTOR);
		request_add(f, i, &r[i], true, i);
		vslot_kick(&f->v, i);
	}
	assert_int_equal(f->disk.nheld, 4);
	while (f->disk.nheld)
		disk_complete(&f->disk, 0, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(vslot_used(&f->v, i, i), SECTOR + 1);
		assert_int_equal(request_status(f, &r[i]), S_OK);
	}
}

/* Refusals. */

static void refuses_what_is_not_on_the_disk(void **state)
{
	struct fixture *f = *state;
	const uint64_t end = DISK_BYTES / SECTOR;

	make_and_start(f, "", 0);
	assert_int_equal(run(f, T_IN, end - 1, SECTOR), S_OK);
	assert_int_equal(run(f, T_IN, end, 0), S_OK);
	assert_int_equal(run(f, T_IN, end - 1, 2 * SECTOR), S_IOERR);
	assert_int_equal(run(f, T_IN, end, SECTOR), S_IOERR);
	assert_int_equal(run(f, T_IN, UINT64_MAX, SECTOR), S_IOERR);
	assert_int_equal(run(f, T_OUT, UINT64_MAX / SECTOR, SECTOR), S_IOERR);
	assert_int_equal(run(f, T_OUT, UINT64_MAX / SECTOR + 1, SECTOR),
			 S_IOERR);
	assert_int_equal(run(f, T_IN, 0, SECTOR - 1), S_IOERR);
	assert_int_equal(run(f, T_OUT, 0, 1), S_IOERR);
	assert_int_equal(f->disk.count[BLK_READ], 1);
	assert_int_equal(f->disk.count[BLK_WRITE], 0);
}

/* Many times the same megabyte: more than the disk, and than 4 GiB. */
static void refuses_giant_lengths(void **state)
{
	struct fixture *f = *state;
	struct ring_buf bufs[202];
	struct request r;

	make_and_start(f, "", 0);
	r = request_new(f, T_IN, 0, 1);
	for (unsigned i = 0; i < 200; i++)
		bufs[1 + i] = (struct ring_buf){VSLOT_HEAP, 2 * MIB, true};
	bufs[0] = (struct ring_buf){r.header, 16, false};
	bufs[201] = (struct ring_buf){r.status, 1, true};
	vslot_add(&f->v, 0, bufs, ARRAY_SIZE(bufs), 1);
	vslot_kick(&f->v, 0);
	assert_int_equal(vslot_used(&f->v, 0, 1), 1);
	assert_int_equal(request_status(f, &r), S_IOERR);
	assert_int_equal(f->disk.count[BLK_READ], 0);
}

static void refuses_unknown_types(void **state)
{
	struct fixture *f = *state;
	static const uint32_t types[] = {2, 3, 5, 9, 12, 14, 0x80000000};

	make_and_start(f, "", 0);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(run(f, types[i], 0, SECTOR), S_UNSUPP);
}

static void refuses_writes_to_read_only(void **state)
{
	struct fixture *f = *state;

	f->disk.node.caps.read_only = true;
	make_and_start(f, "", ~0ULL & ~F_PACKED);
	assert_true(f->v.d.offered & F_RO);
	assert_false(f->v.d.offered & (F_DISCARD | F_ZEROES));
	assert_int_equal(run(f, T_OUT, 0, SECTOR), S_IOERR);
	assert_int_equal(run(f, T_DISCARD, 0, 16), S_IOERR);
	assert_int_equal(run(f, T_ZEROES, 0, 16), S_IOERR);
	assert_int_equal(run(f, T_IN, 0, SECTOR), S_OK);
	assert_int_equal(f->disk.count[BLK_WRITE], 0);
}

static void reports_host_errors(void **state)
{
	static const struct {
		int result;
		uint8_t status;
	} rows[] = {
		{-EIO, S_IOERR},      {-ENOSPC, S_IOERR}, {-EROFS, S_IOERR},
		{-ENOTSUP, S_UNSUPP}, {0, S_OK},
	};
	struct fixture *f = *state;

	make_and_start(f, "", F_FLUSH);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		f->disk.result = rows[i].result;
		assert_int_equal(run(f, T_IN, 0, SECTOR), rows[i].status);
		assert_int_equal(run(f, T_OUT, 0, SECTOR), rows[i].status);
		assert_int_equal(run(f, T_FLUSH, 0, 0), rows[i].status);
	}
}

/* Chains that are no requests: the device asks for a reset. */
static void breaks_on_malformed_requests(void **state)
{
	struct fixture *f = *state;
	struct request r;

	make(f, "");
	for (unsigned i = 0; i < 4; i++) {
		vslot_start(&f->v, 0, 1);
		r = request_new(f, T_IN, 0, SECTOR);
		const struct ring_buf bad[][2] = {
			{{r.header, 16, false}, {r.data, SECTOR, false}},
			{{r.header, 15, false}, {r.status, 1, true}},
			{{r.data, SECTOR, true}, {r.status, 1, true}},
			{{r.data, SECTOR, true}, {r.header, 16, false}},
		};
		vslot_add(&f->v, 0, bad[i], 2, 1);
		vslot_kick(&f->v, 0);
		assert_true(vslot_is_broken(&f->v));
		assert_false(vslot_has_used(&f->v, 0));
		assert_int_equal(request_status(f, &r), 0xaa);
	}
	vslot_start(&f->v, 0, 1);
	assert_int_equal(run(f, T_IN, 0, SECTOR), S_OK);
	assert_int_equal(f->disk.count[BLK_READ], 1);
}

/* Flush and cache mode. */

static void flushes(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", F_FLUSH | F_CONFIG_WCE);
	assert_int_equal(run(f, T_FLUSH, 0, 0), S_OK);
	assert_int_equal(f->disk.count[BLK_FLUSH], 1);
}

static void offers_what_the_node_can(void **state)
{
	struct fixture *f = *state;
	const uint64_t all = F_FLUSH | F_CONFIG_WCE | F_DISCARD | F_ZEROES;

	make_and_start(f, "", 0);
	assert_int_equal(f->v.d.offered & (all | F_RO | F_MQ), all);
	vslot_fini(&f->v);
	f->disk.node.caps.flush = f->disk.node.caps.discard = false;
	f->disk.node.caps.write_zeroes = false;
	make_and_start(f, "", 0);
	assert_int_equal(f->v.d.offered & all, 0);
	assert_int_equal(run(f, T_FLUSH, 0, 0), S_OK);
	assert_int_equal(f->disk.count[BLK_FLUSH], 0);
	assert_int_equal(run(f, T_DISCARD, 0, 16), S_UNSUPP);
	assert_int_equal(run(f, T_ZEROES, 0, 16), S_UNSUPP);
	vslot_fini(&f->v);
	disk_init(&f->disk);
	make_and_start(f, ",config-wce=off,discard=off,write-zeroes=off", 0);
	assert_int_equal(f->v.d.offered & all, F_FLUSH);
	vslot_fini(&f->v);
	make_and_start(f, ",config-wce=off,write-cache=off", 0);
	assert_int_equal(f->v.d.offered & (F_FLUSH | F_CONFIG_WCE), 0);
}

static bool writes_through(struct fixture *f)
{
	assert_int_equal(run(f, T_OUT, 0, SECTOR), S_OK);
	return f->disk.flags & BLK_FUA;
}

static void follows_the_cache_mode(void **state)
{
	struct fixture *f = *state;

	/* The driver chooses. */
	make_and_start(f, "", F_FLUSH | F_CONFIG_WCE);
	assert_int_equal(vdriver_config(&f->v.d, 32, 1), 1);
	assert_false(writes_through(f));
	vslot_config_set(&f->v, 32, 1, 0);
	assert_int_equal(vdriver_config(&f->v.d, 32, 1), 0);
	assert_true(writes_through(f));
	vslot_config_set(&f->v, 32, 1, 1);
	assert_false(writes_through(f));
	/* The choice does not outlive a reset. */
	vslot_config_set(&f->v, 32, 1, 0);
	vslot_start(&f->v, F_FLUSH | F_CONFIG_WCE, 1);
	assert_int_equal(vdriver_config(&f->v.d, 32, 1), 1);
	/* One that can flush only, and one that cannot do even that. */
	vslot_start(&f->v, F_FLUSH, 1);
	assert_false(writes_through(f));
	vslot_config_set(&f->v, 32, 1, 0); /* not to be written now */
	assert_false(writes_through(f));
	vslot_start(&f->v, 0, 1);
	assert_true(writes_through(f));
	vslot_fini(&f->v);
	/* The user chooses the beginning. */
	make_and_start(f, ",write-cache=off", F_FLUSH | F_CONFIG_WCE);
	assert_int_equal(vdriver_config(&f->v.d, 32, 1), 0);
	assert_true(writes_through(f));
	vslot_config_set(&f->v, 32, 1, 1);
	assert_false(writes_through(f));
}

static void has_an_id(void **state)
{
	struct fixture *f = *state;
	struct request r;

	make_and_start(f, ",serial=12345678901234567890", 0);
	r = request_new(f, T_GET_ID, 0, 20);
	assert_int_equal(request_run(f, &r, true), S_OK);
	assert_memory_equal(request_data(f, &r), "12345678901234567890", 20);
	/* A driver with less room. */
	r = request_new(f, T_GET_ID, 0, 8);
	memset(request_data(f, &r), 0xee, 16);
	assert_int_equal(request_run(f, &r, true), S_OK);
	assert_memory_equal(request_data(f, &r), "12345678\xee\xee", 10);
	vslot_fini(&f->v);
	make_and_start(f, ",serial=ab", 0);
	r = request_new(f, T_GET_ID, 0, 20);
	memset(request_data(f, &r), 0xee, 20);
	assert_int_equal(request_run(f, &r, true), S_OK);
	assert_memory_equal(request_data(f, &r), "ab\0\0\0\0\0\0\0\0\0\0", 12);
	assert_int_equal(request_data(f, &r)[19], 0);
}

/* Discard and write-zeroes. */

struct range {
	uint64_t sector;
	uint32_t n, flags;
};

static uint8_t run_ranges(struct fixture *f, uint32_t type,
			  const struct range *ranges, unsigned n)
{
	struct request r = request_new(f, type, 0, n * 16);
	uint8_t *p = request_data(f, &r);

	for (unsigned i = 0; i < n; i++, p += 16) {
		store_le64(p, ranges[i].sector);
		store_le32(p + 8, ranges[i].n);
		store_le32(p + 12, ranges[i].flags);
	}
	return request_run(f, &r, false);
}

static bool is_zero(struct fixture *f, uint64_t sector)
{
	static const uint8_t zero[SECTOR];

	return !memcmp(f->disk.data + sector * SECTOR, zero, SECTOR);
}

static void discards_and_zeroes(void **state)
{
	struct fixture *f = *state;
	const struct range three[] = {{4, 2, 0}, {10, 0, 0}, {20, 1, 0}};
	const struct range unmap = {30, 2, 1};

	make_and_start(f, "", F_DISCARD | F_ZEROES | F_FLUSH | F_CONFIG_WCE);
	assert_int_equal(run_ranges(f, T_ZEROES, three, 3), S_OK);
	assert_int_equal(f->disk.count[BLK_WRITE_ZEROES], 2);
	assert_int_equal(f->disk.flags, 0);
	assert_true(is_zero(f, 4) && is_zero(f, 5) && is_zero(f, 20));
	assert_false(is_zero(f, 3) || is_zero(f, 6) || is_zero(f, 10) ||
		     is_zero(f, 21));
	assert_int_equal(run_ranges(f, T_ZEROES, &unmap, 1), S_OK);
	assert_int_equal(f->disk.flags, BLK_MAY_UNMAP);
	assert_int_equal(run_ranges(f, T_DISCARD, three, 3), S_OK);
	assert_int_equal(f->disk.count[BLK_DISCARD], 2);
	vslot_config_set(&f->v, 32, 1, 0);
	assert_int_equal(run_ranges(f, T_ZEROES, &unmap, 1), S_OK);
	assert_int_equal(f->disk.flags, BLK_MAY_UNMAP | BLK_FUA);
	f->disk.result = -ENOSPC;
	assert_int_equal(run_ranges(f, T_ZEROES, three, 3), S_IOERR);
}

static void refuses_bad_ranges(void **state)
{
	struct fixture *f = *state;
	const uint64_t end = DISK_BYTES / SECTOR;
	const struct range bad_second[] = {{0, 1, 0}, {end, 1, 0}};
	const struct range wraps = {UINT64_MAX, 2, 0};
	const struct range large = {0, UINT32_MAX, 0};
	const struct range unmap = {0, 1, 1}, reserved = {0, 1, 2};
	struct range many[33] = {{0}};

	make_and_start(f,
		       ",max-discard-sectors=64,"
		       "max-write-zeroes-sectors=32",
		       F_DISCARD | F_ZEROES);
	/* All or nothing. */
	assert_int_equal(run_ranges(f, T_DISCARD, bad_second, 2), S_IOERR);
	assert_int_equal(run_ranges(f, T_ZEROES, bad_second, 2), S_IOERR);
	assert_int_equal(run_ranges(f, T_DISCARD, &wraps, 1), S_IOERR);
	assert_int_equal(run_ranges(f, T_ZEROES, &large, 1), S_IOERR);
	assert_int_equal(run_ranges(f, T_DISCARD, many, 33), S_IOERR);
	assert_int_equal(run_ranges(f, T_DISCARD, many, 0), S_IOERR);
	assert_int_equal(run_ranges(f, T_DISCARD, &unmap, 1), S_UNSUPP);
	assert_int_equal(run_ranges(f, T_DISCARD, &reserved, 1), S_UNSUPP);
	assert_int_equal(run_ranges(f, T_ZEROES, &reserved, 1), S_UNSUPP);
	assert_int_equal(run(f, T_DISCARD, 0, 15), S_IOERR);
	assert_int_equal(run(f, T_ZEROES, 0, 17), S_IOERR);
	many[0].n = 65;
	assert_int_equal(run_ranges(f, T_DISCARD, many, 1), S_IOERR);
	many[0].n = 33;
	assert_int_equal(run_ranges(f, T_ZEROES, many, 1), S_IOERR);
	assert_int_equal(f->disk.count[BLK_DISCARD], 0);
	assert_int_equal(f->disk.count[BLK_WRITE_ZEROES], 0);
	many[0].n = 64;
	assert_int_equal(run_ranges(f, T_DISCARD, many, 32), S_OK);
	assert_int_equal(f->disk.count[BLK_DISCARD], 1);
}

/* A driver that changes the ranges after they were judged. */
static void judges_what_it_uses(void **state)
{
	struct fixture *f = *state;
	struct request r;
	uint8_t *p;

	make_and_start(f, "", F_DISCARD);
	r = request_new(f, T_DISCARD, 0, 32);
	p = request_data(f, &r);
	memset(p, 0, 32);
	store_le32(p + 8, 1);
	store_le32(p + 24, 1);
	f->disk.holds = true;
	request_add(f, 0, &r, false, 1);
	vslot_kick(&f->v, 0);
	assert_int_equal(f->disk.nheld, 1);
	store_le64(p + 16, UINT64_MAX - 7);
	disk_complete(&f->disk, 0, 0);
	fakeboard_settle(&f->board);
	assert_int_equal(f->disk.nheld, 0);
	assert_int_equal(vslot_used(&f->v, 0, 1), 1);
	assert_int_equal(request_status(f, &r), S_IOERR);
	assert_int_equal(f->disk.count[BLK_DISCARD], 1);
}

/* Requests in flight when the world changes. */

static void hold_some(struct fixture *f, struct request *r, unsigned n)
{
	f->disk.holds = true;
	for (unsigned i = 0; i < n; i++) {
		r[i] = request_new(f, T_OUT, i, SECTOR);
		request_add(f, 0, &r[i], false, i);
	}
	vslot_kick(&f->v, 0);
	assert_int_equal(f->disk.nheld, n);
}

static void resets_with_requests_in_flight(void **state)
{
	struct fixture *f = *state;
	struct request r[8];

	make(f, ",packed=on");
	for (unsigned i = 0; i < 4; i++) {
		vslot_start(&f->v, i % 2 ? F_PACKED : 0, 1);
		hold_some(f, r, 8);
		vslot_reset(&f->v);
		assert_int_equal(f->disk.nheld, 0);
		f->disk.holds = false;
		vslot_start(&f->v, i % 2 ? F_PACKED : 0, 1);
		assert_int_equal(run(f, T_IN, 0, SECTOR), S_OK);
	}
}

static void detaches_with_requests_in_flight(void **state)
{
	struct fixture *f = *state;
	struct request r[8];

	make_and_start(f, "", 0);
	hold_some(f, r, 8);
	vslot_fini(&f->v);
	assert_int_equal(f->disk.nheld, 0);
	assert_int_equal(f->disk.count[BLK_WRITE], 8);
}

static void resets_one_queue(void **state)
{
	struct fixture *f = *state;
	struct request r[4], other;

	make(f, ",num-queues=2");
	vslot_start(&f->v, F_MQ | BIT(VIRTIO_F_RING_RESET), 2);
	hold_some(f, r, 4);
	other = request_new(f, T_IN, 0, SECTOR);
	request_add(f, 1, &other, true, 9);
	vslot_kick(&f->v, 1);
	assert_int_equal(f->disk.nheld, 5);
	vslot_queue_reset(&f->v, 0);
	assert_int_equal(vslot_used(&f->v, 1, 9), SECTOR + 1);
	f->disk.holds = false;
	vdriver_queue(&f->v.d, 0, 64);
	assert_int_equal(run(f, T_IN, 0, SECTOR), S_OK);
}

static void pauses_with_nothing_in_flight(void **state)
{
	struct fixture *f = *state;
	struct request r[4], late;

	make_and_start(f, "", 0);
	hold_some(f, r, 4);
	f->v.dev->class->pause(f->v.dev);
	assert_int_equal(f->disk.nheld, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vslot_used(&f->v, 0, i), 1);
	late = request_new(f, T_IN, 0, SECTOR);
	request_add(f, 0, &late, true, 5);
	vslot_kick(&f->v, 0);
	assert_int_equal(f->disk.nheld, 0);
	f->disk.holds = false;
	f->v.dev->class->resume(f->v.dev);
	fakeboard_settle(&f->board);
	assert_int_equal(vslot_used(&f->v, 0, 5), SECTOR + 1);
}

/* Configuration. */

static void describes_the_disk(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", 0);
	assert_int_equal(f->v.d.offered & (F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY),
			 F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY);
	assert_int_equal(vdriver_config(&f->v.d, 0, 8), DISK_BYTES / SECTOR);
	assert_int_equal(vdriver_config(&f->v.d, 12, 4), 254);
	assert_int_equal(vdriver_config(&f->v.d, 20, 4), SECTOR);
	assert_int_equal(vdriver_config(&f->v.d, 24, 1), 3); /* 4096 */
	assert_int_equal(vdriver_config(&f->v.d, 36, 4), 0x3fffff);
	assert_int_equal(vdriver_config(&f->v.d, 40, 4), 32);
	assert_int_equal(vdriver_config(&f->v.d, 44, 4), 1);
	assert_int_equal(vdriver_config(&f->v.d, 48, 4), 0x3fffff);
	assert_int_equal(vdriver_config(&f->v.d, 56, 1), 1);
	vslot_fini(&f->v);
	f->disk.node.caps.bytes = DISK_BYTES - SECTOR;
	f->disk.node.caps.max_discard = 64 * KIB;
	make_and_start(f,
		       ",logical_block_size=4096,physical_block_size=8k,"
		       "min_io_size=8192,opt_io_size=64k,queue-size=64",
		       0);
	assert_int_equal(vdriver_config(&f->v.d, 0, 8),
			 DISK_BYTES / SECTOR - 8);
	assert_int_equal(vdriver_config(&f->v.d, 12, 4), 62);
	assert_int_equal(vdriver_config(&f->v.d, 20, 4), 4096);
	assert_int_equal(vdriver_config(&f->v.d, 24, 1), 1);
	assert_int_equal(vdriver_config(&f->v.d, 26, 2), 2);
	assert_int_equal(vdriver_config(&f->v.d, 28, 4), 16);
	assert_int_equal(vdriver_config(&f->v.d, 36, 4), 128);
	assert_int_equal(run(f, T_IN, 1, 4096), S_IOERR);
	assert_int_equal(run(f, T_IN, 8, SECTOR), S_IOERR);
	assert_int_equal(run(f, T_IN, 8, 4096), S_OK);
}

static void tells_of_a_new_size(void **state)
{
	struct fixture *f = *state;

	make_and_start(f, "", 0);
	(void)vslot_irqs(&f->v);
	f->disk.node.caps.bytes = DISK_BYTES / 2;
	f->disk.node.resized(f->disk.node.opaque);
	fakeboard_settle(&f->board);
	assert_int_equal(vdriver_get(&f->v.d, VIRTIO_MMIO_INTERRUPT_STATUS) & 2,
			 2);
	assert_int_equal(vslot_irqs(&f->v), 1);
	assert_int_equal(vdriver_config(&f->v.d, 0, 8),
			 DISK_BYTES / SECTOR / 2);
	assert_int_equal(run(f, T_IN, DISK_BYTES / SECTOR / 2, SECTOR),
			 S_IOERR);
}

static void saves_its_state(void **state)
{
	struct fixture *f = *state;
	const struct device_class *c;
	struct state_buf b = {0};

	make_and_start(f, "", F_FLUSH | F_CONFIG_WCE);
	c = f->v.dev->class;
	if (state_check_cover(c->state, sizeof(struct virtio_dev), c->size,
			      &f->e))
		fail_msg("%s", f->e.text);
	vslot_config_set(&f->v, 32, 1, 0);
	assert_int_equal(state_save(c->state, f->v.dev, &b, &f->e), 0);
	vslot_start(&f->v, F_FLUSH | F_CONFIG_WCE, 1);
	assert_false(writes_through(f));
	assert_int_equal(state_load(c->state, f->v.dev, &b, &f->e), 0);
	assert_int_equal(c->loaded(f->v.dev, &f->e), 0);
	assert_int_equal(vdriver_config(&f->v.d, 32, 1), 0);
	assert_true(writes_through(f));
	state_buf_fini(&b);
}

static void refuses_bad_properties(void **state)
{
	static const char *const bad[] = {
		"queue-size=100",
		"queue-size=2048",
		"queue-size=2",
		"num-queues=0",
		"num-queues=65",
		"serial=123456789012345678901",
		"logical_block_size=1000",
		"logical_block_size=256",
		"logical_block_size=4194304",
		"logical_block_size=4096,physical_block_size=512",
		"min_io_size=1000",
		"opt_io_size=100",
		"write-cache=perhaps",
		"scsi=on",
	};
	struct fixture *f = *state;
	char text[128];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "virtio-blk-device,drive=d0,%s",
			 bad[i]);
		f->e.text[0] = '\0';
		vslot_init(&f->v, &f->board, 0, text, &f->e);
		assert_null(f->v.dev);
		assert_true(strlen(f->e.text) > 10);
		vslot_fini(&f->v);
	}
	vslot_init(&f->v, &f->board, 0, "virtio-blk-device", &f->e);
	assert_null(f->v.dev);
	assert_non_null(strstr(f->e.text, "drive"));
}

static void refuses_a_busy_node(void **state)
{
	struct fixture *f = *state;
	static struct vslot second;

	make(f, "");
	vslot_init(&second, &f->board, 1, "virtio-blk-device,drive=d0", &f->e);
	assert_null(second.dev);
	assert_non_null(strstr(f->e.text, "d0"));
	vslot_fini(&second);
	vslot_start(&f->v, 0, 1);
	assert_int_equal(run(f, T_IN, 0, SECTOR), S_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(reads_and_writes),
	T(takes_indirect_chains),
	T(takes_any_layout),
	T(fills_the_queue),
	T(serves_all_queues),
	T(refuses_what_is_not_on_the_disk),
	T(refuses_giant_lengths),
	T(refuses_unknown_types),
	T(refuses_writes_to_read_only),
	T(reports_host_errors),
	T(breaks_on_malformed_requests),
	T(flushes),
	T(offers_what_the_node_can),
	T(follows_the_cache_mode),
	T(has_an_id),
	T(discards_and_zeroes),
	T(refuses_bad_ranges),
	T(judges_what_it_uses),
	T(resets_with_requests_in_flight),
	T(detaches_with_requests_in_flight),
	T(resets_one_queue),
	T(pauses_with_nothing_in_flight),
	T(describes_the_disk),
	T(tells_of_a_new_size),
	T(saves_its_state),
	T(refuses_bad_properties),
	T(refuses_a_busy_node),
};

TEST_MAIN(tests)
