/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block nodes "file" and "host_device": requests.
 *
 * A read or write goes to the ring as it is, and again for what is left when
 * the host moved less; a read past the end of the file gives zeroes. Where
 * O_DIRECT does not take the memory or the range, it goes through a bounce
 * buffer piece by piece, and a write that covers a host block in part reads
 * the block first. Zeroes are made by fallocate(2), and written where the
 * host has no such call for this file. Nothing is allocated here: bounce
 * buffers are made by blk_file_bind(), and who finds none waits.
 *
 * Threads: the loop's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/blk_file.h"
#include "base/num.h"

#define SECTOR 512U

/* What the operation in the ring is for. */
enum file_state {
	STATE_VECTOR, /* the request's own memory */
	STATE_READ,   /* into the bounce buffer */
	STATE_AROUND, /* into it, before it is changed and written */
	STATE_WRITE,  /* from it */
	STATE_PUNCH,
	STATE_ZERO,
	STATE_DISCARD,
	STATE_SYNC,
};

static void file_step(struct blk_file *f, struct blk_req *r);
static void file_io_done(struct loop_io *io, int result);

static struct blk_file *file_of(struct blk_node *n)
{
	return container_of(n, struct blk_file, node);
}

/* --- queues --- */

static void queue_push(struct blk_queue *q, struct blk_req *r)
{
	r->next = NULL;
	if (q->tail)
		q->tail->next = r;
	else
		q->head = r;
	q->tail = r;
}

static struct blk_req *queue_pop(struct blk_queue *q)
{
	struct blk_req *r = q->head;

	if (r)
		q->head = r->next;
	if (!q->head)
		q->tail = NULL;
	return r;
}

/* --- the request's memory --- */

/* Takes the next bytes of the request's memory, at most max. */
static struct iovec req_span(const struct blk_req *r, size_t max)
{
	const struct iovec *iov = &r->iov[r->iov_index];
	size_t left = iov->iov_len - r->iov_skip;

	return (struct iovec){.iov_base = (char *)iov->iov_base + r->iov_skip,
			      .iov_len = MIN(left, max)};
}

/* Moves on by bytes that are done. */
static void req_advance(struct blk_req *r, size_t bytes)
{
	r->progress += bytes;
	if (r->op == BLK_WRITE_ZEROES)
		return;
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

/* Gives the reader bytes of buf, or zeroes where buf is NULL. */
static void req_fill(struct blk_req *r, const unsigned char *buf, size_t bytes)
{
	while (bytes) {
		struct iovec span = req_span(r, bytes);

		if (buf)
			memcpy(span.iov_base, buf, span.iov_len);
		else
			memset(span.iov_base, 0, span.iov_len);
		buf = buf ? buf + span.iov_len : NULL;
		bytes -= span.iov_len;
		req_advance(r, span.iov_len);
	}
}

/*
 * Copies what the writer has next to buf; the request moves on when it is
 * written. The copy is what goes out, however memory changes meanwhile.
 */
static void req_take(const struct blk_req *r, unsigned char *buf, size_t bytes)
{
	struct blk_req at = *r;

	if (r->op == BLK_WRITE_ZEROES) {
		memset(buf, 0, bytes);
		return;
	}
	while (bytes) {
		struct iovec span = req_span(&at, bytes);

		memcpy(buf, span.iov_base, span.iov_len);
		buf += span.iov_len;
		bytes -= span.iov_len;
		req_advance(&at, span.iov_len);
	}
}

/* Does O_DIRECT refuse this memory? */
static bool req_is_odd(const struct blk_file *f, const struct blk_req *r)
{
	if (!f->is_direct || (r->op != BLK_READ && r->op != BLK_WRITE))
		return false;
	for (unsigned i = 0; i < r->niov; i++) {
		uintptr_t base = (uintptr_t)r->iov[i].iov_base;

		if (base % f->mem_align || r->iov[i].iov_len % f->io_align)
			return true;
	}
	return false;
}

/* --- the end of a request --- */

static bool file_is_write(const struct blk_req *r)
{
	return r->op != BLK_READ && r->op != BLK_FLUSH;
}

static bool file_is_partial(const struct blk_file *f, const struct blk_req *r)
{
	return (r->pos | r->bytes) % f->io_align;
}

/* Must r wait for w: do they touch one host block, which one has to read? */
static bool file_conflicts(const struct blk_file *f, const struct blk_req *r,
			   const struct blk_req *w)
{
	uint64_t a = align_down(r->pos, f->io_align);
	uint64_t b = align_down(w->pos, f->io_align);
	uint64_t aend = align_up(r->pos + r->bytes, f->io_align);
	uint64_t bend = align_up(w->pos + w->bytes, f->io_align);

	return (file_is_partial(f, r) || file_is_partial(f, w)) &&
	       ranges_overlap(a, aend - a, b, bend - b);
}

static bool file_must_wait(const struct blk_file *f, const struct blk_req *r)
{
	struct blk_req *w;

	list_for_each(w, &f->writing, link)
		if (file_conflicts(f, r, w))
			return true;
	return false;
}

static void file_start(struct blk_file *f, struct blk_req *r);

/* Starts those that waited for r, which is no longer in f->writing. */
static void file_unblock(struct blk_file *f)
{
	struct blk_queue waiting = f->blocked;
	struct blk_req *r;

	f->blocked = (struct blk_queue){0};
	while ((r = queue_pop(&waiting)))
		file_start(f, r);
}

static void file_end(struct blk_file *f, struct blk_req *r, int result)
{
	if (f->io_align > SECTOR && file_is_write(r)) {
		list_remove(&r->link);
		file_unblock(f);
	}
	blk_complete(r, result);
}

static void file_put_bounce(struct blk_file *f, struct blk_req *r)
{
	struct blk_req *next;

	if (!r->bounce)
		return;
	f->bounce_free[f->nbounce_free++] = r->bounce;
	r->bounce = NULL;
	next = queue_pop(&f->starved);
	if (next)
		file_step(f, next);
}

static bool file_wants_sync(const struct blk_file *f, const struct blk_req *r)
{
	return (r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES) &&
	       r->flags & BLK_FUA && !f->node.cache_no_flush;
}

static void file_sync(struct blk_file *f, struct blk_req *r)
{
	r->state = STATE_SYNC;
	loop_fdatasync(f->node.loop, &r->io, f->file);
}

static void file_finish(struct blk_file *f, struct blk_req *r, int result)
{
	file_put_bounce(f, r);
	if (result || !file_wants_sync(f, r))
		file_end(f, r, result);
	else if (f->is_lossy)
		file_end(f, r, -EIO);
	else
		file_sync(f, r);
}

/* --- reads and writes --- */

static void file_rw(struct blk_file *f, struct blk_req *r,
		    const struct iovec *iov, unsigned n)
{
	uint64_t pos = r->pos + r->progress;
	struct loop *l = f->node.loop;
	int buffer = -1;

	if (n == 1)
		buffer = loop_buffer_of(l, iov->iov_base, iov->iov_len);
	if (buffer < 0 && r->op == BLK_READ)
		loop_readv(l, &r->io, f->file, iov, n, pos);
	else if (buffer < 0)
		loop_writev(l, &r->io, f->file, iov, n, pos);
	else if (r->op == BLK_READ)
		loop_read_fixed(l, &r->io, f->file, iov->iov_base, iov->iov_len,
				pos, (unsigned)buffer);
	else
		loop_write_fixed(l, &r->io, f->file, iov->iov_base,
				 iov->iov_len, pos, (unsigned)buffer);
}

static void file_vector(struct blk_file *f, struct blk_req *r)
{
	r->state = STATE_VECTOR;
	if (r->iov_skip) {
		/* The rest of the iovec in which the last transfer ended. */
		r->span = req_span(r, SIZE_MAX);
		file_rw(f, r, &r->span, 1);
	} else {
		file_rw(f, r, r->iov + r->iov_index, r->niov - r->iov_index);
	}
}

/* The piece that goes through the bounce buffer next. */
struct piece {
	uint64_t start; /* in the file, aligned */
	size_t lead;    /* bytes before the request's */
	size_t len;     /* of the request */
	size_t span;    /* aligned, all of it */
};

static struct piece file_piece(const struct blk_file *f,
			       const struct blk_req *r)
{
	uint64_t pos = r->pos + r->progress;
	struct piece p = {.start = align_down(pos, f->io_align)};

	p.lead = (size_t)(pos - p.start);
	p.len = (size_t)MIN(r->bytes - r->progress, BOUNCE_BYTES - p.lead);
	p.span = (size_t)align_up(p.lead + p.len, f->io_align);
	return p;
}

/* Reads what span lacks of the piece. */
static void file_bounce_read(struct blk_file *f, struct blk_req *r,
			     const struct piece *p)
{
	size_t done = p->span - r->span.iov_len;

	loop_readv(f->node.loop, &r->io, f->file, &r->span, 1, p->start + done);
}

/* Writes what span has left of the piece. */
static void file_bounce_write(struct blk_file *f, struct blk_req *r,
			      const struct piece *p)
{
	size_t done = p->span - r->span.iov_len;

	r->state = STATE_WRITE;
	loop_writev(f->node.loop, &r->io, f->file, &r->span, 1,
		    p->start + done);
}

static void file_bounce_data(struct blk_file *f, struct blk_req *r,
			     const struct piece *p)
{
	req_take(r, r->bounce + p->lead, p->len);
	r->span = (struct iovec){.iov_base = r->bounce, .iov_len = p->span};
	file_bounce_write(f, r, p);
}

static void file_bounce(struct blk_file *f, struct blk_req *r)
{
	struct piece p = file_piece(f, r);

	if (!r->bounce && !f->nbounce_free) {
		queue_push(&f->starved, r);
		return;
	}
	if (!r->bounce)
		r->bounce = f->bounce_free[--f->nbounce_free];
	if (r->op != BLK_READ && p.span == p.len) {
		file_bounce_data(f, r, &p);
		return;
	}
	r->state = r->op == BLK_READ ? STATE_READ : STATE_AROUND;
	r->span = (struct iovec){.iov_base = r->bounce, .iov_len = p.span};
	file_bounce_read(f, r, &p);
}

static bool file_needs_bounce(const struct blk_file *f, const struct blk_req *r)
{
	return r->op == BLK_WRITE_ZEROES || r->is_odd ||
	       (r->pos + r->progress) % f->io_align ||
	       (r->pos + r->bytes) % f->io_align;
}

/* Starts what is left of a read or write. */
static void file_step(struct blk_file *f, struct blk_req *r)
{
	if (r->progress == r->bytes)
		file_finish(f, r, 0);
	else if (file_needs_bounce(f, r))
		file_bounce(f, r);
	else
		file_vector(f, r);
}

static void file_vector_done(struct blk_file *f, struct blk_req *r, int result)
{
	if (result == 0 && r->op == BLK_WRITE) {
		file_finish(f, r, -ENOSPC);
		return;
	}
	if (result == 0) /* the end of the file */
		req_fill(r, NULL, (size_t)(r->bytes - r->progress));
	else
		req_advance(r, (size_t)result);
	file_step(f, r);
}

/*
 * Is the piece all there? What the file does not have is zeroes. O_DIRECT
 * stops inside a block only at the end of the file.
 */
static bool file_has_piece(const struct blk_file *f, struct blk_req *r,
			   int result)
{
	r->span.iov_base = (char *)r->span.iov_base + result;
	r->span.iov_len -= (size_t)result;
	if (result && !((unsigned)result % f->io_align) && r->span.iov_len)
		return false;
	memset(r->span.iov_base, 0, r->span.iov_len);
	return true;
}

static void file_read_done(struct blk_file *f, struct blk_req *r, int result)
{
	struct piece p = file_piece(f, r);

	if (!file_has_piece(f, r, result)) {
		file_bounce_read(f, r, &p);
		return;
	}
	if (r->state == STATE_AROUND) {
		file_bounce_data(f, r, &p);
		return;
	}
	req_fill(r, r->bounce + p.lead, p.len);
	file_step(f, r);
}

static void file_write_done(struct blk_file *f, struct blk_req *r, int result)
{
	struct piece p = file_piece(f, r);

	if (!result) {
		file_finish(f, r, -ENOSPC);
		return;
	}
	r->span.iov_base = (char *)r->span.iov_base + result;
	r->span.iov_len -= (size_t)result;
	if (r->span.iov_len) {
		file_bounce_write(f, r, &p);
		return;
	}
	req_advance(r, p.len);
	file_step(f, r);
}

/* --- zeroes and discard --- */

static void file_fallocate(struct blk_file *f, struct blk_req *r,
			   enum file_state state)
{
	int mode = FALLOC_FL_KEEP_SIZE;

	r->state = state;
	mode |= state == STATE_ZERO ? FALLOC_FL_ZERO_RANGE
				    : FALLOC_FL_PUNCH_HOLE;
	loop_fallocate(f->node.loop, &r->io, f->file, mode, r->pos, r->bytes);
}

static bool file_is_block_aligned(const struct blk_file *f,
				  const struct blk_req *r)
{
	uint32_t align = f->is_device ? f->node.caps.logical_block : SECTOR;

	return (r->pos | r->bytes) % align == 0;
}

/* By the best means that the host is not known to lack. */
static void file_zero(struct blk_file *f, struct blk_req *r)
{
	bool may_punch = (r->flags & BLK_MAY_UNMAP) && f->node.caps.unmap;

	if (!file_is_block_aligned(f, r))
		file_step(f, r);
	else if (may_punch && !f->no_punch)
		file_fallocate(f, r, STATE_PUNCH);
	else if (!f->no_zero_range)
		file_fallocate(f, r, STATE_ZERO);
	else
		file_step(f, r);
}

static void file_zeroed(struct blk_file *f, struct blk_req *r, int result)
{
	if (result == -EOPNOTSUPP || result == -ENOSYS) {
		if (r->state == STATE_PUNCH)
			f->no_punch = true;
		else
			f->no_zero_range = true;
		file_zero(f, r);
		return;
	}
	file_finish(f, r, result);
}

/* A hint: where the host has no such thing, nothing happens. */
static void file_discard(struct blk_file *f, struct blk_req *r)
{
	if (f->no_punch || !file_is_block_aligned(f, r))
		blk_complete_later(r, 0);
	else
		file_start(f, r);
}

static void file_discarded(struct blk_file *f, struct blk_req *r, int result)
{
	if (result == -EOPNOTSUPP || result == -ENOSYS) {
		f->no_punch = true;
		result = 0;
	}
	file_finish(f, r, result);
}

/* --- flush --- */

static void file_flush(struct blk_file *f, struct blk_req *r)
{
	if (f->is_lossy)
		blk_complete_later(r, -EIO);
	else
		file_sync(f, r);
}

static void file_synced(struct blk_file *f, struct blk_req *r, int result)
{
	/* The page cache forgets what it could not write, and would let the
	 * next flush succeed. */
	if (result && !f->is_direct)
		f->is_lossy = true;
	file_end(f, r, result);
}

/* --- dispatch --- */

static void file_restart(struct blk_file *f, struct blk_req *r)
{
	switch ((enum file_state)r->state) {
	case STATE_SYNC:
		file_sync(f, r);
		break;
	case STATE_PUNCH:
	case STATE_ZERO:
	case STATE_DISCARD:
		file_fallocate(f, r, (enum file_state)r->state);
		break;
	case STATE_VECTOR:
	case STATE_READ:
	case STATE_AROUND:
	case STATE_WRITE:
		file_step(f, r);
		break;
	}
}

static void file_ended(struct blk_file *f, struct blk_req *r, int result)
{
	switch ((enum file_state)r->state) {
	case STATE_VECTOR:
		file_vector_done(f, r, result);
		break;
	case STATE_READ:
	case STATE_AROUND:
		file_read_done(f, r, result);
		break;
	case STATE_WRITE:
		file_write_done(f, r, result);
		break;
	case STATE_PUNCH:
	case STATE_ZERO:
		file_zeroed(f, r, result);
		break;
	case STATE_DISCARD:
		file_discarded(f, r, result);
		break;
	case STATE_SYNC:
		file_synced(f, r, result);
		break;
	}
}

static bool file_is_transfer(const struct blk_req *r)
{
	return r->state <= STATE_WRITE;
}

static void file_io_done(struct loop_io *io, int result)
{
	struct blk_req *r = container_of(io, struct blk_req, io);
	struct blk_file *f = file_of(r->at);

	if (result == -EINTR || result == -EAGAIN)
		file_restart(f, r);
	else if (result < 0 && file_is_transfer(r))
		file_finish(f, r, result);
	else
		file_ended(f, r, result);
}

static void file_start(struct blk_file *f, struct blk_req *r)
{
	if (f->io_align > SECTOR && file_is_write(r)) {
		if (file_must_wait(f, r)) {
			queue_push(&f->blocked, r);
			return;
		}
		list_append(&f->writing, &r->link);
	}
	if (r->op == BLK_WRITE_ZEROES)
		file_zero(f, r);
	else if (r->op == BLK_DISCARD)
		file_fallocate(f, r, STATE_DISCARD);
	else
		file_step(f, r);
}

void blk_file_submit(struct blk_node *n, struct blk_req *r)
{
	struct blk_file *f = file_of(n);

	r->io.done = file_io_done;
	r->is_odd = req_is_odd(f, r);
	if (r->op == BLK_FLUSH)
		file_flush(f, r);
	else if (r->op == BLK_DISCARD)
		file_discard(f, r);
	else
		file_start(f, r);
}

/* --- binding --- */

/* Untouched until it is needed: no memory is used before. */
static int file_make_bounces(struct blk_file *f)
{
	void *p =
		mmap(NULL, BOUNCE_COUNT * BOUNCE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	f->bounce_memory = p;
	for (unsigned i = 0; i < BOUNCE_COUNT; i++)
		f->bounce_free[i] = f->bounce_memory + i * BOUNCE_BYTES;
	f->nbounce_free = BOUNCE_COUNT;
	return 0;
}

int blk_file_bind(struct blk_node *n, struct loop *l, struct err *e)
{
	struct blk_file *f = file_of(n);
	int r = file_make_bounces(f);

	f->file = -1;
	if (r)
		return err_set_errno(e, r, "no bounce buffers for '%s'",
				     f->filename);
	r = loop_file_add(l, f->fd, e);
	if (r < 0)
		return r;
	f->file = r;
	return 0;
}

void blk_file_unbind(struct blk_node *n)
{
	struct blk_file *f = file_of(n);

	loop_file_del(n->loop, f->file);
	f->file = -1;
	if (f->bounce_memory)
		munmap(f->bounce_memory, BOUNCE_COUNT * BOUNCE_BYTES);
	f->bounce_memory = NULL;
}
