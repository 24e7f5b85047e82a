/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks LZ4 legacy frames into guest memory.
 *
 * This is our own decoder and not liblz4's, for the start of a VM consists
 * mainly of it: on Debian's 6.1 cloud kernel (53 MB) it takes half of
 * liblz4's instructions, leaves memory alone that the kernel wants zero and
 * that is zero already, and gives back the input's pages within a block.
 * test/unit/vmm/decompress.c and test/fuzz/kernel.c compare it with liblz4.
 *
 * Theory of operation: a block is a row of sequences: a token (literal length,
 * match length), literals, the offset back to the match. Almost all lengths
 * take one byte or less: lz4_run() copies those in steps of fixed width, which
 * may write past what is wanted, and it runs only while the largest of them
 * stays inside the block's input and output, so that nothing but the offset
 * needs a check. Longer ones, and those near an end, go through
 * lz4_sequence(), which checks each length.
 *
 * Spec: LZ4 Frame Format 1.6.2, "Legacy frame"; LZ4 Block Format.
 * Threads: main.
 * Syscalls: main: madvise
 */
#include "vmm/lz4.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/num.h"

#define LZ4_MAGIC      0x184c2102U
#define LZ4_BLOCK_MAX  (8U * MIB)
#define LZ4_MIN_MATCH  4U
/* Lengths that go on in a second byte or more: not for lz4_run(). */
#define LZ4_LONG_LIT   (15U + 255U)
#define LZ4_LONG_MATCH (15U + LZ4_MIN_MATCH + 255U)
/* A step of a fixed width writes at most this far past its end. */
#define LZ4_SLACK      32U
/* What lz4_run() reads and writes at most for one sequence. */
#define LZ4_FAST_IN    (4U + LZ4_LONG_LIT + LZ4_SLACK)
#define LZ4_FAST_OUT   (LZ4_LONG_LIT + LZ4_LONG_MATCH + LZ4_SLACK)

/* Zeros of at least this length are left alone in fresh memory. */
#define LZ4_HOLE_MIN (64U * KIB)

/* How much memory is populated at a time, ahead of the output. */
#define LZ4_POPULATE (256U * KIB)

#define LZ4_PAGE 4096U

struct lz4 {
	const uint8_t *in;
	size_t ip, iend; /* next byte; end of the block's input */
	uint8_t *out;
	size_t op, oend; /* next byte; end of the block's room */
	size_t start;    /* of the block: matches reach no further back */
	size_t made;     /* memory up to here is populated, or not fresh */
	struct filemap *map;
	struct unpack_out *unpack; /* NULL: a prefix, cut at oend */
};

static inline void lz4_copy16(uint8_t *to, const uint8_t *from)
{
	__builtin_memcpy(to, from, 16);
}

/* In steps of 16 bytes, the last of which may go past the end. */
static inline void lz4_copy_wide(uint8_t *to, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i += 16)
		lz4_copy16(to + i, from + i);
}

/* A match less than 16 bytes back; past its end as lz4_copy_wide(). */
static inline void lz4_copy_near(uint8_t *to, size_t off, size_t len)
{
	const uint8_t *end = to + len;

	if (off >= 8)
		for (; to < end; to += 8)
			__builtin_memcpy(to, to - off, 8);
	else
		for (; to < end; to++)
			*to = *(to - off);
}

/*
 * Takes usual sequences while each is far enough from the ends of input and
 * output, up to the output position stop. Leaves z at a sequence's start. far:
 * the block has as much output as an offset can reach, so that none is wrong.
 */
static inline __attribute__((always_inline)) void
lz4_run_as(struct lz4 *z, size_t stop, bool far)
{
	const uint8_t *ip = z->in + z->ip, *ip_last = z->in + z->iend;
	uint8_t *op = z->out + z->op, *op_last = z->out + z->oend;
	const uint8_t *start = z->out + z->start;

	ip_last -= LZ4_FAST_IN;
	op_last = MIN(op_last - LZ4_FAST_OUT, z->out + stop);
	while (ip <= ip_last && op <= op_last) {
		const uint8_t *from = ip;
		uint8_t *to = op;
		size_t token = *from++, lit = token >> 4, len, off;

		lz4_copy16(to, from);
		if (unlikely(lit == 15)) {
			lit += *from++;
			lz4_copy_wide(to, from, lit);
			if (lit == LZ4_LONG_LIT)
				break;
		}
		from += lit;
		to += lit;
		off = load_le16(from);
		from += 2;
		len = (token & 15) + LZ4_MIN_MATCH;
		if (!far && off > (size_t)(to - start))
			break;
		if (len == 15 + LZ4_MIN_MATCH) {
			len += *from++;
			if (len == LZ4_LONG_MATCH)
				break;
		}
		if (unlikely(off < 16)) {
			if (!off)
				break;
			lz4_copy_near(to, off, len);
		} else {
			lz4_copy16(to, to - off);
			if (len > 16)
				lz4_copy_wide(to + 16, to + 16 - off, len - 16);
		}
		ip = from;
		op = to + len;
	}
	z->ip = (size_t)(ip - z->in);
	z->op = (size_t)(op - z->out);
}

static void lz4_run(struct lz4 *z, size_t stop)
{
	if (z->iend - z->ip < LZ4_FAST_IN || z->oend - z->op < LZ4_FAST_OUT)
		return;
	if (z->op - z->start > UINT16_MAX)
		lz4_run_as(z, stop, true);
	else
		lz4_run_as(z, MIN(stop, z->start + UINT16_MAX), false);
}

/* Adds to a length of 15 its further bytes. False: the input ends. */
static bool lz4_length(struct lz4 *z, size_t *len)
{
	unsigned byte = 255;

	if (*len != 15)
		return true;
	while (byte == 255) {
		if (z->ip == z->iend)
			return false;
		byte = z->in[z->ip++];
		*len += byte;
	}
	return true;
}

/* Room for len more bytes; a prefix is cut to it. */
static bool lz4_room(const struct lz4 *z, size_t *len)
{
	size_t room = z->oend - z->op;

	if (*len <= room)
		return true;
	*len = room;
	return !z->unpack;
}

/* Is this a prefix, and all of it there? */
static bool lz4_is_cut(const struct lz4 *z)
{
	return !z->unpack && z->op == z->oend;
}

static bool lz4_literals(struct lz4 *z, size_t len)
{
	if (len > z->iend - z->ip || !lz4_room(z, &len))
		return false;
	memcpy(z->out + z->op, z->in + z->ip, len);
	z->op += len;
	z->ip += len;
	return true;
}

/*
 * Copies len bytes from dist back in steps of width, at most dist; the last
 * step may write past the end where there is room for it.
 */
static inline void lz4_steps(struct lz4 *z, size_t dist, size_t len,
			     size_t width)
{
	uint8_t *to = z->out + z->op;
	uint8_t *end = to + len;

	z->op += len;
	for (; (size_t)(end - to) >= width; to += width)
		__builtin_memcpy(to, to - dist, width);
	if (to < end && z->oend - z->op >= width) {
		__builtin_memcpy(to, to - dist, width);
		return;
	}
	for (; to < end; to++)
		*to = *(to - dist);
}

/* Repeats a pattern of off bytes, less than 16, until steps of 16 can. */
static void lz4_pattern(struct lz4 *z, size_t off, size_t len)
{
	size_t dist = off * ((16 + off - 1) / off);
	size_t head = MIN(len, dist - off);

	for (size_t i = 0; i < head; i++, z->op++)
		z->out[z->op] = z->out[z->op - off];
	lz4_steps(z, dist, len - head, 16);
}

static bool lz4_is_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

/*
 * Zeros onto fresh memory: fills up to a page's start, beyond the bytes that a
 * step before may have written, and leaves whole pages out.
 */
static void lz4_zeros(struct lz4 *z, size_t len)
{
	struct unpack_out *u = z->unpack;
	uintptr_t at = (uintptr_t)(z->out + z->op);
	uintptr_t from = align_up(at + LZ4_SLACK, LZ4_PAGE);
	uintptr_t to = align_down(at + len, LZ4_PAGE);

	memset(z->out + z->op, 0, from - at);
	memset(z->out + z->op + (to - at), 0, at + len - to);
	u->holes[u->hole_count++] =
		(struct unpack_hole){z->op + (from - at), to - from};
	z->op += len;
}

static void lz4_match(struct lz4 *z, size_t off, size_t len)
{
	const struct unpack_out *u = z->unpack;

	if (unlikely(len >= LZ4_HOLE_MIN) && u && u->fresh &&
	    u->hole_count < UNPACK_HOLES_MAX &&
	    lz4_is_zero(z->out + z->op - off, off))
		lz4_zeros(z, len);
	else if (off >= 32)
		lz4_steps(z, off, len, 32);
	else if (off >= 16)
		lz4_steps(z, off, len, 16);
	else
		lz4_pattern(z, off, len);
}

/* One sequence, checked step by step. False: the block is corrupt. */
static bool lz4_sequence(struct lz4 *z)
{
	unsigned token = z->in[z->ip++];
	size_t lit = token >> 4, match = token & 15, off;

	if (!lz4_length(z, &lit) || !lz4_literals(z, lit))
		return false;
	if (z->ip == z->iend || lz4_is_cut(z))
		return true; /* the last one is literals only */
	if (z->iend - z->ip < 2)
		return false;
	off = load_le16(z->in + z->ip);
	z->ip += 2;
	if (!off || off > z->op - z->start || !lz4_length(z, &match))
		return false;
	match += LZ4_MIN_MATCH;
	if (!lz4_room(z, &match))
		return false;
	lz4_match(z, off, match);
	return true;
}

static void lz4_housekeep(struct lz4 *z)
{
	if (z->unpack->fresh && z->op >= z->made) {
		z->made = z->op + MIN(LZ4_POPULATE, z->oend - z->op);
		unpack_populate(z->unpack, z->op, z->made);
	}
	filemap_drop(z->map, z->ip);
}

/* in[ip, iend) onto out[op, oend). False: corrupt. */
static bool lz4_block(struct lz4 *z)
{
	while (z->ip < z->iend) {
		if (z->unpack)
			lz4_housekeep(z);
		else if (lz4_is_cut(z))
			return true;
		lz4_run(z, z->unpack && z->unpack->fresh ? z->made : z->oend);
		if (z->ip < z->iend && !lz4_sequence(z))
			return false;
	}
	return true;
}

/* The blocks of one or more frames, until the input or a prefix's end. */
static int lz4_frames(struct lz4 *z, size_t in_len, size_t out_len,
		      struct err *e)
{
	while (z->ip < in_len && (z->unpack || z->op < out_len)) {
		uint32_t size;

		if (in_len - z->ip < 4)
			return err_set(e, -EINVAL,
				       "its lz4 payload is truncated");
		size = load_le32(z->in + z->ip);
		z->ip += 4;
		if (size == LZ4_MAGIC)
			continue;
		if (size > in_len - z->ip)
			return err_set(e, -EINVAL,
				       "its lz4 payload is truncated");
		z->iend = z->ip + size;
		z->start = z->op;
		z->oend = z->op + MIN(LZ4_BLOCK_MAX, out_len - z->op);
		if (!lz4_block(z))
			return err_set(e, -EINVAL,
				       "its lz4 payload is corrupt at byte "
				       "%zu",
				       z->ip);
		z->ip = z->iend;
	}
	return 0;
}

int lz4_unpack(struct filemap *in, struct unpack_out *out, struct err *e)
{
	struct lz4 z = {
		.in = in->data, .out = out->data, .map = in, .unpack = out};
	int rc;

	out->hole_count = 0;
	rc = lz4_frames(&z, in->len, out->len, e);
	if (!rc && z.op != out->len)
		return err_set(e, -EINVAL,
			       "its lz4 payload has %zu bytes, not %zu", z.op,
			       out->len);
	return rc;
}

int lz4_prefix(struct filemap *in, uint8_t *buf, size_t len, struct err *e)
{
	struct lz4 z = {.in = in->data, .out = buf, .map = in};
	int rc = lz4_frames(&z, in->len, len, e);

	if (!rc && z.op != len)
		return err_set(e, -EINVAL, "its lz4 payload is too short");
	return rc;
}
