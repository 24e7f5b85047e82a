/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks the payload of a kernel image: one compressed stream of known
 * result size, straight into the memory where it belongs.
 *
 * Spec: RFC 1952 (gzip), the .xz file format 1.1, .lzma, LZ4 legacy frames and
 *       block format, RFC 8878 (Zstandard), bzip2.
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "vmm/filemap.h"

enum codec {
	CODEC_NONE, /* not a format that vireo unpacks */
	CODEC_GZIP,
	CODEC_BZIP2,
	CODEC_LZMA,
	CODEC_XZ,
	CODEC_LZ4,
	CODEC_ZSTD,
};

/* By the first bytes of the stream. */
enum codec codec_detect(const void *head, size_t len);
const char *codec_name(enum codec c);

/*
 * Bytes of the result that are zero and were left alone, since the memory was
 * zero before. Sorted; page-aligned in memory, not in the result.
 */
struct unpack_hole {
	size_t off, len;
};

#define UNPACK_HOLES_MAX 32

/* Where the result goes. */
struct unpack_out {
	uint8_t *data; /* in guest memory */
	size_t len;    /* of the result, exactly */
	bool fresh;    /* data[0, len) is zero, and was never touched */
	/* Memory that may be overwritten, for a decoder that needs much: its
	 * use keeps the process small. May be NULL. */
	void *scratch;
	size_t scratch_len;
	/* Filled in. */
	struct unpack_hole holes[UNPACK_HOLES_MAX];
	unsigned hole_count;
};

/*
 * Makes the pages of result bytes [from, to) that were never touched, by one
 * call in place of a fault for each.
 */
void unpack_populate(const struct unpack_out *out, size_t from, size_t to);

/*
 * Unpacks all of in, giving its pages back as it goes. -EINVAL: corrupt,
 * truncated, or the result is not exactly out->len bytes; then out->data has
 * anything, but nothing outside it was written. -ENOMEM.
 */
int decompress(enum codec c, struct filemap *in, struct unpack_out *out,
	       struct err *e);

/* The first len bytes of the result, len at most 64 KiB. */
int decompress_prefix(enum codec c, struct filemap *in, void *buf, size_t len,
		      struct err *e);
