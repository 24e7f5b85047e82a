/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks kernel payloads: tells the formats apart, and runs the libraries'
 * streaming decoders from a mapped file into guest memory.
 *
 * The decoders' own memory is small but for two: LZMA keeps a dictionary as
 * large as the result, which goes into spare guest memory (only data, no state
 * that a decoder trusts: guest memory may be shared with other processes), and
 * bzip2 needs 3.6 MiB. Zstandard uses the result itself as its window.
 *
 * Threads: main.
 * Syscalls: main: madvise, mmap, munmap, brk
 */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_d_stableOutBuffer */
#include "vmm/decompress.h"

#include <bzlib.h>
#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/mman.h"
#include "base/num.h"
#include "vmm/lz4.h"

/* What a decoder is given at a time: behind the input pages are given back,
 * ahead of the output they are populated. */
#define FEED_BYTES (256U * KIB)
#define ROOM_BYTES (1U * MIB)

#define UNPACK_PAGE 4096U

#define LZMA_ALONE_HEADER 13U
#define LZMA_SCRATCH_MIN  (1U * MIB) /* smaller pieces have decoder state */
#define ZSTD_WINDOW_LOG   27         /* 128 MiB, as `zstd --ultra -22` makes */

static const struct {
	const char *name;
	uint8_t magic[6];
	uint8_t magic_len;
} codecs[] = {
	[CODEC_NONE] = {"unknown", {0}, 0},
	[CODEC_GZIP] = {"gzip", {0x1f, 0x8b}, 2},
	[CODEC_BZIP2] = {"bzip2", {'B', 'Z', 'h'}, 3},
	[CODEC_LZMA] = {"lzma", {0x5d, 0, 0}, 3},
	[CODEC_XZ] = {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6},
	[CODEC_LZ4] = {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4},
	[CODEC_ZSTD] = {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4},
};

enum codec codec_detect(const void *head, size_t len)
{
	for (unsigned i = CODEC_GZIP; i < ARRAY_SIZE(codecs); i++)
		if (len >= codecs[i].magic_len &&
		    !memcmp(head, codecs[i].magic, codecs[i].magic_len))
			return (enum codec)i;
	return CODEC_NONE;
}

const char *codec_name(enum codec c)
{
	return codecs[c].name;
}

void unpack_populate(const struct unpack_out *out, size_t from, size_t to)
{
	uintptr_t first = (uintptr_t)out->data + from;
	uintptr_t end = (uintptr_t)out->data + to;

	if (!out->fresh)
		return;
	first = align_up(first, UNPACK_PAGE);
	end = align_down(end, UNPACK_PAGE);
	/* A refusal (before Linux 5.14) costs only time. */
	if (first < end)
		(void)madvise((void *)first, end - first, MADV_POPULATE_WRITE);
}

/* What one step of a decoder did. */
enum step {
	STEP_MORE,    /* took input or gave output, or could not */
	STEP_END,     /* the stream's end */
	STEP_CORRUPT, /* not of this format, or asks for too much */
	STEP_NO_MEMORY,
};

/* Input and output that a step may use: it moves in and out on. */
struct flow {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len;
};

typedef enum step step_fn(void *state, struct flow *f);

/* One unpacking under way. */
struct pump {
	enum codec codec;
	struct filemap *in;
	size_t in_pos;
	uint8_t *out;
	size_t out_len, out_pos;
	const struct unpack_out *unpack; /* NULL: a prefix, stop when full */
	size_t made;                     /* output up to here is populated */
};

static int pump_error(const struct pump *p, const char *what, struct err *e)
{
	return err_set(e, -EINVAL, "its %s payload %s", codec_name(p->codec),
		       what);
}

/* Past the expected end of the output comes a byte that shows an excess. */
static void pump_prepare(struct pump *p, struct flow *f, uint8_t *excess)
{
	f->in = p->in->data + p->in_pos;
	f->in_len = MIN(FEED_BYTES, p->in->len - p->in_pos);
	f->out = p->out + p->out_pos;
	f->out_len = MIN(ROOM_BYTES, p->out_len - p->out_pos);
	if (!f->out_len) {
		f->out = excess;
		f->out_len = 1;
	} else if (p->unpack && p->out_pos + f->out_len > p->made) {
		unpack_populate(p->unpack, MAX(p->made, p->out_pos),
				p->out_pos + f->out_len);
		p->made = p->out_pos + f->out_len;
	}
}

static bool pump_is_done(const struct pump *p)
{
	return !p->unpack && p->out_pos == p->out_len;
}

/* Runs a decoder to the end of its stream (or until the prefix is there). */
static int pump_run(struct pump *p, step_fn *step, void *state, struct err *e)
{
	enum step did = STEP_MORE;

	while (did == STEP_MORE) {
		struct flow f, before;
		uint8_t excess;
		size_t made;

		if (pump_is_done(p))
			return 0;
		pump_prepare(p, &f, &excess);
		before = f;
		did = step(state, &f);
		if (did == STEP_NO_MEMORY)
			return err_set(e, -ENOMEM, "no memory to unpack %s",
				       codec_name(p->codec));
		if (did == STEP_CORRUPT)
			return pump_error(p, "is corrupt", e);
		made = (size_t)(f.out - before.out);
		if (before.out == &excess && made)
			return pump_error(p, "is larger than it says", e);
		if (did == STEP_MORE && f.in == before.in && !made)
			return pump_error(p, "is truncated", e);
		p->in_pos += (size_t)(f.in - before.in);
		p->out_pos += made;
		filemap_drop(p->in, p->in_pos);
	}
	return 0;
}

static enum step gzip_step(void *state, struct flow *f)
{
	z_stream *z = state;
	int rc;

	z->next_in = (Bytef *)(uintptr_t)f->in; /* not written */
	z->avail_in = (uInt)f->in_len;
	z->next_out = f->out;
	z->avail_out = (uInt)MIN(f->out_len, (size_t)UINT_MAX);
	rc = inflate(z, Z_NO_FLUSH);
	f->in = z->next_in;
	f->out = z->next_out;
	if (rc == Z_MEM_ERROR)
		return STEP_NO_MEMORY;
	if (rc == Z_STREAM_END)
		return STEP_END;
	return rc == Z_OK || rc == Z_BUF_ERROR ? STEP_MORE : STEP_CORRUPT;
}

static int gzip_unpack(struct pump *p, struct err *e)
{
	z_stream z = {0};
	int rc;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return err_set(e, -ENOMEM, "no memory to unpack gzip");
	rc = pump_run(p, gzip_step, &z, e);
	(void)inflateEnd(&z); /* fails for a wrong state only */
	return rc;
}

static enum step bzip2_step(void *state, struct flow *f)
{
	bz_stream *bz = state;
	int rc;

	bz->next_in = (char *)(uintptr_t)f->in; /* not written */
	bz->avail_in = (unsigned)f->in_len;
	bz->next_out = (char *)f->out;
	bz->avail_out = (unsigned)MIN(f->out_len, (size_t)UINT_MAX);
	rc = BZ2_bzDecompress(bz);
	f->in += f->in_len - bz->avail_in;
	f->out = (uint8_t *)bz->next_out;
	if (rc == BZ_MEM_ERROR)
		return STEP_NO_MEMORY;
	if (rc == BZ_STREAM_END)
		return STEP_END;
	return rc == BZ_OK ? STEP_MORE : STEP_CORRUPT;
}

static int bzip2_unpack(struct pump *p, struct err *e)
{
	bz_stream bz = {0};
	int rc;

	if (BZ2_bzDecompressInit(&bz, 0, 0) != BZ_OK)
		return err_set(e, -ENOMEM, "no memory to unpack bzip2");
	rc = pump_run(p, bzip2_step, &bz, e);
	(void)BZ2_bzDecompressEnd(&bz); /* fails for a wrong state only */
	return rc;
}

/* liblzma's memory: the dictionary, its one large piece, is in the scratch. */
struct lzma_memory {
	void *scratch;
	size_t scratch_len;
	bool used;
};

static void *lzma_memory_alloc(void *opaque, size_t n, size_t size)
{
	struct lzma_memory *m = opaque;

	if (!mul_ok(n, size, &size))
		return NULL;
	if (m->used || size < LZMA_SCRATCH_MIN || size > m->scratch_len)
		return malloc(size);
	m->used = true;
	return m->scratch;
}

static void lzma_memory_free(void *opaque, void *ptr)
{
	struct lzma_memory *m = opaque;

	if (!m->used || ptr != m->scratch)
		free(ptr);
	else
		m->used = false;
}

static enum step lzma_step(void *state, struct flow *f)
{
	lzma_stream *s = state;
	lzma_ret rc;

	s->next_in = f->in;
	s->avail_in = f->in_len;
	s->next_out = f->out;
	s->avail_out = f->out_len;
	rc = lzma_code(s, LZMA_RUN);
	f->in = s->next_in;
	f->out = s->next_out;
	if (rc == LZMA_MEM_ERROR)
		return STEP_NO_MEMORY;
	if (rc == LZMA_STREAM_END)
		return STEP_END;
	return rc == LZMA_OK || rc == LZMA_BUF_ERROR ? STEP_MORE : STEP_CORRUPT;
}

/* A dictionary larger than the result is never used: packers ask for much. */
static uint32_t lzma_dictionary(const struct pump *p, uint32_t asked)
{
	return (uint32_t)MIN((uint64_t)asked, MAX(p->out_len, 4096U));
}

/* The old format: properties and sizes, which have no checksum; then data. */
static int lzma_unpack(struct pump *p, lzma_stream *s, struct err *e)
{
	uint8_t header[LZMA_ALONE_HEADER], none;
	/* It wants room for output before it looks at any input. */
	struct flow f = {header, sizeof(header), &none, sizeof(none)};

	if (p->in->len < sizeof(header))
		return pump_error(p, "is truncated", e);
	memcpy(header, p->in->data, sizeof(header));
	store_le32(header + 1, lzma_dictionary(p, load_le32(header + 1)));
	if (lzma_alone_decoder(s, UINT64_MAX) != LZMA_OK)
		return err_set(e, -ENOMEM, "no memory to unpack lzma");
	if (lzma_step(s, &f) != STEP_MORE || f.in != header + sizeof(header))
		return pump_error(p, "is corrupt", e);
	p->in_pos = sizeof(header);
	return pump_run(p, lzma_step, s, e);
}

/* Frees what lzma_block_header_decode() allocated. */
static void xz_filters_free(lzma_filter *filters)
{
	for (unsigned i = 0; i < LZMA_FILTERS_MAX; i++) {
		if (filters[i].id == LZMA_VLI_UNKNOWN)
			break;
		free(filters[i].options);
	}
}

/* One block: its header at in_pos tells the filters. */
static int xz_block(struct pump *p, lzma_stream *s, lzma_check check,
		    struct err *e)
{
	lzma_filter filters[LZMA_FILTERS_MAX + 1] = {{LZMA_VLI_UNKNOWN, NULL}};
	lzma_block b = {.check = check, .filters = filters};
	const uint8_t *header = p->in->data + p->in_pos;
	int rc = -EINVAL;

	b.header_size = lzma_block_header_size_decode(header[0]);
	if (b.header_size > p->in->len - p->in_pos)
		return pump_error(p, "is truncated", e);
	if (lzma_block_header_decode(&b, NULL, header) != LZMA_OK)
		return pump_error(p, "is corrupt", e);
	for (unsigned i = 0; filters[i].id != LZMA_VLI_UNKNOWN; i++)
		if (filters[i].id == LZMA_FILTER_LZMA2) {
			lzma_options_lzma *o = filters[i].options;

			o->dict_size = lzma_dictionary(p, o->dict_size);
		}
	p->in_pos += b.header_size;
	if (lzma_block_decoder(s, &b) == LZMA_OK)
		rc = pump_run(p, lzma_step, s, e);
	else
		(void)pump_error(p, "has a block that cannot be decoded", e);
	xz_filters_free(filters);
	return rc;
}

/* Blocks up to the index, which a reader from front to back need not see. */
static int xz_unpack(struct pump *p, lzma_stream *s, struct err *e)
{
	lzma_stream_flags flags;
	int rc = 0;

	if (p->in->len < LZMA_STREAM_HEADER_SIZE)
		return pump_error(p, "is truncated", e);
	if (lzma_stream_header_decode(&flags, p->in->data) != LZMA_OK)
		return pump_error(p, "is corrupt", e);
	p->in_pos = LZMA_STREAM_HEADER_SIZE;
	while (!rc && !pump_is_done(p)) {
		if (p->in_pos == p->in->len)
			return pump_error(p, "is truncated", e);
		if (!p->in->data[p->in_pos])
			break;
		rc = xz_block(p, s, flags.check, e);
	}
	return rc;
}

static int lzma_any_unpack(struct pump *p, struct err *e)
{
	const struct unpack_out *out = p->unpack;
	struct lzma_memory memory = {0};
	lzma_allocator allocator = {lzma_memory_alloc, lzma_memory_free,
				    &memory};
	lzma_stream s = LZMA_STREAM_INIT;
	int rc;

	if (out && out->scratch) {
		memory.scratch = out->scratch;
		memory.scratch_len = out->scratch_len;
	}
	s.allocator = &allocator;
	if (p->codec == CODEC_XZ)
		rc = xz_unpack(p, &s, e);
	else
		rc = lzma_unpack(p, &s, e);
	lzma_end(&s);
	return rc;
}

struct zstd {
	ZSTD_DCtx *ctx;
	ZSTD_outBuffer all; /* the whole result, also its window */
};

static enum step zstd_result(size_t rc)
{
	if (!ZSTD_isError(rc))
		return rc ? STEP_MORE : STEP_END;
	return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation
		       ? STEP_NO_MEMORY
		       : STEP_CORRUPT;
}

/* The library wants to see all of the output each time, and goes further in it
 * than the pump says. */
static enum step zstd_step(void *state, struct flow *f)
{
	struct zstd *z = state;
	ZSTD_inBuffer in = {f->in, f->in_len, 0};
	size_t at = z->all.pos;
	size_t rc = ZSTD_decompressStream(z->ctx, &z->all, &in);

	f->in += in.pos;
	f->out += z->all.pos - at;
	return zstd_result(rc);
}

static int zstd_unpack(struct pump *p, struct err *e)
{
	struct zstd z = {ZSTD_createDCtx(), {p->out, p->out_len, 0}};
	int rc;

	if (!z.ctx)
		return err_set(e, -ENOMEM, "no memory to unpack zstd");
	/*
	 * A whole result is the decoder's window, however large; for a prefix
	 * it makes one, of which it touches as much as it writes.
	 */
	if (ZSTD_isError(ZSTD_DCtx_setParameter(z.ctx, ZSTD_d_windowLogMax,
						p->unpack ? ZSTD_WINDOWLOG_MAX
							  : ZSTD_WINDOW_LOG)) ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(z.ctx, ZSTD_d_stableOutBuffer,
						p->unpack != NULL)))
		rc = err_set(e, -ENOTSUP, "libzstd %s is too old",
			     ZSTD_versionString());
	else
		rc = pump_run(p, zstd_step, &z, e);
	ZSTD_freeDCtx(z.ctx);
	return rc;
}

static int pump_unpack(struct pump *p, struct err *e)
{
	switch (p->codec) {
	case CODEC_GZIP:
		return gzip_unpack(p, e);
	case CODEC_BZIP2:
		return bzip2_unpack(p, e);
	case CODEC_LZMA:
	case CODEC_XZ:
		return lzma_any_unpack(p, e);
	case CODEC_ZSTD:
		return zstd_unpack(p, e);
	case CODEC_LZ4:
	case CODEC_NONE:
		break;
	}
	return err_set(e, -EINVAL, "its payload is of no known format");
}

static int pump_all(struct pump *p, struct err *e)
{
	int rc = pump_unpack(p, e);

	if (!rc && p->out_pos != p->out_len)
		return err_set(e, -EINVAL,
			       "its %s payload has %zu bytes, not %zu",
			       codec_name(p->codec), p->out_pos, p->out_len);
	return rc;
}

int decompress(enum codec c, struct filemap *in, struct unpack_out *out,
	       struct err *e)
{
	struct pump p = {.codec = c,
			 .in = in,
			 .out = out->data,
			 .out_len = out->len,
			 .unpack = out};

	out->hole_count = 0;
	return c == CODEC_LZ4 ? lz4_unpack(in, out, e) : pump_all(&p, e);
}

int decompress_prefix(enum codec c, struct filemap *in, void *buf, size_t len,
		      struct err *e)
{
	struct pump p = {.codec = c, .in = in, .out = buf, .out_len = len};

	return c == CODEC_LZ4 ? lz4_prefix(in, buf, len, e) : pump_all(&p, e);
}
