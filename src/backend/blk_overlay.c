/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block node "overlay": what is written goes to a temporary file and is
 * forgotten at the end; the node beneath is only read (-snapshot).
 *
 * Theory of operation: the temporary file is sparse and has no name. Sector n
 * of the disk is sector n of the file once it was written; a bitmap, of which
 * the host backs the pages that are used, says which were. A read of sectors
 * from one side goes there as it is. One from both sides goes piece by piece:
 * what the node beneath has is read into a buffer, since the pieces of the
 * request's memory may end inside a sector, which that node does not take.
 * There are a few such buffers; who finds none waits.
 *
 * Threads: as in backend/block.h.
 * Syscalls: set-up: openat, ftruncate, mmap
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/block.h"
#include "base/cleanup.h"
#include "base/num.h"

#define SECTOR       512U
#define BUFFERS      4U
#define BUFFER_BYTES (64U * 1024)
#define TEMP_DIR     "/var/tmp"

struct blk_overlay;

/* A read of the node beneath, on behalf of a part of a request. */
struct overlay_buffer {
	struct blk_req req;
	struct iovec iov; /* a part of memory: as much as is read */
	unsigned char *memory;
	struct blk_overlay *overlay;
	struct blk_req *whose;       /* the request */
	struct overlay_buffer *next; /* free one */
};

struct blk_overlay {
	struct blk_node node;
	int fd, file;      /* -1: none */
	uint64_t *written; /* a bit a sector */
	size_t written_bytes;
	unsigned char *memory; /* of all buffers */
	struct overlay_buffer buffers[BUFFERS], *free;
	struct blk_req *starved, **starved_end; /* wait for a buffer */
};

static const char *const overlay_children[] = {"file", NULL};

static struct blk_overlay *overlay_of(struct blk_node *n)
{
	return container_of(n, struct blk_overlay, node);
}

static void overlay_step(struct blk_overlay *o, struct blk_req *r);

/* --- the bitmap --- */

static bool is_written(const struct blk_overlay *o, uint64_t sector)
{
	return o->written[sector / 64] >> (sector % 64) & 1;
}

/* How many sectors from `sector` on, at most max, are on the same side. */
static uint64_t run_length(const struct blk_overlay *o, uint64_t sector,
			   uint64_t max)
{
	bool side = is_written(o, sector);
	const uint64_t all = side ? ~0ULL : 0;
	uint64_t n = 1;

	while (n < max) {
		uint64_t at = sector + n;

		if (at % 64 == 0 && max - n >= 64 && o->written[at / 64] == all)
			n += 64;
		else if (is_written(o, at) == side)
			n++;
		else
			break;
	}
	return n;
}

static void set_written(struct blk_overlay *o, uint64_t sector, uint64_t count)
{
	for (uint64_t end = sector + count; sector < end;) {
		if (sector % 64 == 0 && end - sector >= 64) {
			o->written[sector / 64] = ~0ULL;
			sector += 64;
		} else {
			o->written[sector / 64] |= BIT(sector % 64);
			sector++;
		}
	}
}

/* --- the request's memory --- */

/* What comes next of it, at most max bytes, and no further than an iovec. */
static struct iovec req_span(const struct blk_req *r, uint64_t max)
{
	const struct iovec *iov = &r->iov[r->iov_index];

	return (struct iovec){
		.iov_base = (char *)iov->iov_base + r->iov_skip,
		.iov_len = MIN(iov->iov_len - r->iov_skip, (size_t)max),
	};
}

static void req_advance(struct blk_req *r, size_t bytes)
{
	r->progress += bytes;
	while (bytes) {
		struct iovec span = req_span(r, bytes);

		bytes -= span.iov_len;
		r->iov_skip += span.iov_len;
		if (r->iov_skip == r->iov[r->iov_index].iov_len) {
			r->iov_index++;
			r->iov_skip = 0;
		}
	}
}

static void req_fill(struct blk_req *r, const unsigned char *from, size_t bytes)
{
	while (bytes) {
		struct iovec span = req_span(r, bytes);

		memcpy(span.iov_base, from, span.iov_len);
		from += span.iov_len;
		bytes -= span.iov_len;
		req_advance(r, span.iov_len);
	}
}

/* --- the temporary file --- */

/* Reads or writes the next bytes, at most max. */
static void overlay_transfer(struct blk_overlay *o, struct blk_req *r,
			     uint64_t max)
{
	uint64_t pos = r->pos + r->progress;
	const struct iovec *iov = &r->iov[r->iov_index];
	unsigned n = r->niov - r->iov_index;

	if (r->iov_skip || max < r->bytes - r->progress) {
		r->span = req_span(r, max);
		iov = &r->span;
		n = 1;
	}
	if (r->op == BLK_READ)
		loop_readv(o->node.loop, &r->io, o->file, iov, n, pos);
	else
		loop_writev(o->node.loop, &r->io, o->file, iov, n, pos);
}

static void overlay_transferred(struct loop_io *io, int result)
{
	struct blk_req *r = container_of(io, struct blk_req, io);
	struct blk_overlay *o = overlay_of(r->at);

	if (result == -EINTR || result == -EAGAIN) {
		overlay_step(o, r);
		return;
	}
	if (result == 0)
		result = r->op == BLK_READ ? -EIO : -ENOSPC;
	if (result < 0) {
		blk_complete(r, result);
		return;
	}
	req_advance(r, (size_t)result);
	overlay_step(o, r);
}

/* --- the node beneath --- */

static void overlay_put_buffer(struct blk_overlay *o, struct overlay_buffer *b)
{
	struct blk_req *next = o->starved;

	b->next = o->free;
	o->free = b;
	if (!next)
		return;
	o->starved = next->next;
	if (!o->starved)
		o->starved_end = &o->starved;
	overlay_step(o, next);
}

static void overlay_buffered(struct blk_req *req, int result)
{
	struct overlay_buffer *b =
		container_of(req, struct overlay_buffer, req);
	struct blk_overlay *o = b->overlay;
	struct blk_req *r = b->whose;

	if (result) {
		overlay_put_buffer(o, b);
		blk_complete(r, result);
		return;
	}
	req_fill(r, b->memory, b->iov.iov_len);
	overlay_put_buffer(o, b);
	overlay_step(o, r);
}

/* Reads the next bytes, at most max, through a buffer. */
static void overlay_buffer_read(struct blk_overlay *o, struct blk_req *r,
				uint64_t max)
{
	struct overlay_buffer *b = o->free;

	if (!b) {
		r->next = NULL;
		*o->starved_end = r;
		o->starved_end = &r->next;
		return;
	}
	o->free = b->next;
	b->whose = r;
	b->iov = (struct iovec){.iov_base = b->memory,
				.iov_len =
					MIN((size_t)max, (size_t)BUFFER_BYTES)};
	b->req = (struct blk_req){
		.op = BLK_READ,
		.offset = r->pos + r->progress,
		.bytes = b->iov.iov_len,
		.iov = &b->iov,
		.niov = 1,
		.done = overlay_buffered,
	};
	blk_submit(o->node.child, &b->req);
}

/* --- requests --- */

static void overlay_read_step(struct blk_overlay *o, struct blk_req *r)
{
	uint64_t at = r->pos + r->progress, left = r->bytes - r->progress;
	uint64_t sector = at / SECTOR, run;

	/* A short transfer may have ended inside a sector. */
	run = run_length(o, sector, (at % SECTOR + left) / SECTOR) * SECTOR -
	      at % SECTOR;
	if (is_written(o, sector)) {
		r->io.done = overlay_transferred;
		overlay_transfer(o, r, run);
	} else if (run == r->bytes) {
		blk_forward(o->node.child, r);
	} else {
		overlay_buffer_read(o, r, run);
	}
}

/* Starts what is left of a read or write, or ends it. */
static void overlay_step(struct blk_overlay *o, struct blk_req *r)
{
	if (r->progress == r->bytes) {
		if (r->op == BLK_WRITE)
			set_written(o, r->pos / SECTOR, r->bytes / SECTOR);
		blk_complete(r, 0);
	} else if (r->op == BLK_READ) {
		overlay_read_step(o, r);
	} else {
		r->io.done = overlay_transferred;
		overlay_transfer(o, r, r->bytes - r->progress);
	}
}

static void overlay_submit(struct blk_node *n, struct blk_req *r)
{
	struct blk_overlay *o = overlay_of(n);

	switch (r->op) {
	case BLK_READ:
	case BLK_WRITE:
		overlay_step(o, r);
		break;
	case BLK_FLUSH: /* nothing of it is there after the end */
		blk_complete_later(r, 0);
		break;
	case BLK_DISCARD: /* not among the node's capabilities */
	case BLK_WRITE_ZEROES:
		blk_complete_later(r, -ENOTSUP);
		break;
	}
}

/* --- the driver --- */

/* A file without a name, also where the file system cannot make one so. */
static int temp_file(const char *dir, struct err *e)
{
	AUTO_FREE char *path = NULL;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

	if (fd >= 0)
		return fd;
	if (asprintf(&path, "%s/vireo-XXXXXX", dir) < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(e, -errno,
				     "cannot make a temporary file in '%s' "
				     "(TMPDIR names another directory)",
				     dir);
	(void)unlink(path); /* it would be left over, no worse */
	return fd;
}

static int overlay_make_file(struct blk_overlay *o, struct err *e)
{
	const char *dir = getenv("TMPDIR");

	o->fd = temp_file(dir && *dir ? dir : TEMP_DIR, e);
	if (o->fd < 0)
		return o->fd;
	if (ftruncate(o->fd, (off_t)o->node.caps.bytes))
		return err_set_errno(e, -errno,
				     "cannot make a temporary file of %" PRIu64
				     " bytes",
				     o->node.caps.bytes);
	return 0;
}

/* Memory that the host backs page by page, as it is used. */
static void *map_sparse(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int overlay_make_memory(struct blk_overlay *o, struct err *e)
{
	uint64_t sectors = o->node.caps.bytes / SECTOR;

	o->written_bytes = (size_t)(sectors / 64 + 1) * sizeof(*o->written);
	o->written = map_sparse(o->written_bytes);
	o->memory = map_sparse(BUFFERS * BUFFER_BYTES);
	if (!o->written || !o->memory)
		return err_set(e, -ENOMEM, "no memory for an overlay");
	for (unsigned i = 0; i < BUFFERS; i++) {
		struct overlay_buffer *b = &o->buffers[i];

		b->memory = o->memory + i * BUFFER_BYTES;
		b->overlay = o;
		b->next = o->free;
		o->free = b;
	}
	return 0;
}

static void overlay_set_caps(struct blk_overlay *o)
{
	struct blk_caps *c = &o->node.caps;

	*c = o->node.child->caps;
	c->read_only = o->node.read_only;
	c->flush = true;
	c->cache_writeback = true;
	c->discard = c->unmap = c->write_zeroes = false;
	c->discard_align = c->max_discard = 0;
	c->io_align = c->mem_align = 0;
}

static int overlay_open(struct blk_node *n, struct err *e)
{
	struct blk_overlay *o = overlay_of(n);
	int r;

	o->fd = o->file = -1;
	o->starved_end = &o->starved;
	overlay_set_caps(o);
	r = overlay_make_file(o, e);
	return r ? r : overlay_make_memory(o, e);
}

static void overlay_close(struct blk_node *n)
{
	struct blk_overlay *o = overlay_of(n);

	if (o->written)
		munmap(o->written, o->written_bytes);
	if (o->memory)
		munmap(o->memory, BUFFERS * BUFFER_BYTES);
	if (o->fd >= 0)
		close(o->fd);
}

static int overlay_bind(struct blk_node *n, struct loop *l, struct err *e)
{
	struct blk_overlay *o = overlay_of(n);

	o->file = loop_file_add(l, o->fd, e);
	return o->file < 0 ? o->file : 0;
}

static void overlay_unbind(struct blk_node *n)
{
	struct blk_overlay *o = overlay_of(n);

	if (o->file >= 0)
		loop_file_del(n->loop, o->file);
	o->file = -1;
}

const struct blk_driver blk_overlay_driver = {
	.name = "overlay",
	.summary = "writes go to a temporary file, forgotten at the end",
	.size = sizeof(struct blk_overlay),
	.children = overlay_children,
	.open = overlay_open,
	.close = overlay_close,
	.bind = overlay_bind,
	.unbind = overlay_unbind,
	.submit = overlay_submit,
};
