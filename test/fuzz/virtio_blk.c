/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes dev/virtio/blk: any driver (test/lib/vfuzz.h), on a disk that checks
 * what it is asked for and fails as the input says.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/block.h"
#include "base/num.h"
#include "test/fuzz/fuzz.h"
#include "test/lib/vfuzz.h"

#define DISK_BYTES (64 * KIB)

static struct {
	struct vfuzz z;
	struct blk_node node;
	int result;
	bool is_ready;
} fuzz;

static void disk_touch(const struct blk_req *r)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < r->niov; i++) {
		if (r->op == BLK_READ)
			memset(r->iov[i].iov_base, 0x5a, r->iov[i].iov_len);
		bytes += r->iov[i].iov_len;
	}
	if (bytes != r->bytes)
		abort();
}

static void disk_submit(struct blk_node *n, struct blk_req *r)
{
	if (!range_ok(r->offset, r->bytes, DISK_BYTES) ||
	    (r->offset | r->bytes) % 512)
		abort();
	if (r->op == BLK_READ || r->op == BLK_WRITE)
		disk_touch(r);
	(void)n;
	blk_complete_later(r, fuzz.result);
}

static int disk_bind(struct blk_node *n, struct loop *l, struct err *e)
{
	(void)n;
	(void)l;
	(void)e;
	return 0;
}

static void disk_unbind(struct blk_node *n)
{
	(void)n;
}

static const struct blk_driver disk_driver = {
	.name = "fuzz",
	.bind = disk_bind,
	.unbind = disk_unbind,
	.submit = disk_submit,
};

static void disk_acts(struct vfuzz *z)
{
	static const int results[] = {0, -5, -28, -95};
	uint8_t what = vfuzz_u8(z);

	fuzz.result = results[what % ARRAY_SIZE(results)];
	if (what & 0x80)
		fuzz.node.resized(fuzz.node.opaque);
}

static void init(void)
{
	static char name[] = "d0";

	fuzz.node = (struct blk_node){
		.driver = &disk_driver,
		.name = name,
		.caps = {.bytes = DISK_BYTES,
			 .flush = true,
			 .discard = true,
			 .write_zeroes = true,
			 .unmap = true,
			 .cache_writeback = true,
			 .logical_block = 512,
			 .physical_block = 512,
			 .io_align = 1,
			 .mem_align = 1},
	};
	fakeboard_init(&fuzz.z.board);
	fakeboard_link(&fuzz.z.board, "blockdev", name, &fuzz.node);
	fuzz.z.back_end = disk_acts;
	vfuzz_init(&fuzz.z,
		   "virtio-blk-device,drive=d0,packed=on,num-queues=2,"
		   "queue-size=16,serial=fuzz",
		   2);
	fuzz.is_ready = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!fuzz.is_ready)
		init();
	fuzz.result = 0;
	vfuzz_run(&fuzz.z, data, len);
	if (fuzz.node.in_flight)
		abort();
	return 0;
}
