/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes small kernel images for tests of the loaders.
 */
#include "test/lib/kernel.h"

#include <bzlib.h>
#include <elf.h>
#include <lz4.h>
#include <lz4hc.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/endian.h"
#include "base/num.h"

#define LZ4_BLOCK (8U << 20)

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void *new_buffer(size_t len)
{
	void *p = calloc(1, len ? len : 1);

	check(p);
	return p;
}

static size_t pack_gzip(const void *data, size_t len, uint8_t *to, size_t max)
{
	z_stream z = {0};

	check(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY) ==
	      Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = to;
	z.avail_out = (uInt)max;
	check(deflate(&z, Z_FINISH) == Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_bzip2(const void *data, size_t len, uint8_t *to, size_t max)
{
	unsigned n = (unsigned)max;

	check(BZ2_bzBuffToBuffCompress((char *)to, &n, (char *)(uintptr_t)data,
				       (unsigned)len, 9, 0, 0) == BZ_OK);
	return n;
}

static size_t pack_lzma_stream(lzma_stream *s, const void *data, size_t len,
			       uint8_t *to, size_t max)
{
	s->next_in = data;
	s->avail_in = len;
	s->next_out = to;
	s->avail_out = max;
	check(lzma_code(s, LZMA_FINISH) == LZMA_STREAM_END);
	lzma_end(s);
	return max - s->avail_out;
}

/* As the kernel's build does: an x86 filter, a dictionary far too large. */
static size_t pack_xz(const void *data, size_t len, uint8_t *to, size_t max)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma o;
	lzma_filter filters[] = {{LZMA_FILTER_X86, NULL},
				 {LZMA_FILTER_LZMA2, &o},
				 {LZMA_VLI_UNKNOWN, NULL}};

	check(!lzma_lzma_preset(&o, 1));
	o.dict_size = 32U << 20;
	check(lzma_stream_encoder(&s, filters, LZMA_CHECK_CRC32) == LZMA_OK);
	return pack_lzma_stream(&s, data, len, to, max);
}

static size_t pack_lzma(const void *data, size_t len, uint8_t *to, size_t max)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma o;

	check(!lzma_lzma_preset(&o, 1));
	check(lzma_alone_encoder(&s, &o) == LZMA_OK);
	return pack_lzma_stream(&s, data, len, to, max);
}

static size_t pack_lz4(const uint8_t *data, size_t len, uint8_t *to, size_t max)
{
	size_t n = 4;

	store_le32(to, 0x184c2102);
	while (len) {
		size_t piece = len < LZ4_BLOCK ? len : LZ4_BLOCK;
		int packed =
			LZ4_compress_HC((const char *)data, (char *)to + n + 4,
					(int)piece, (int)(max - n - 4), 9);

		check(packed > 0);
		store_le32(to + n, (uint32_t)packed);
		n += 4 + (size_t)packed;
		data += piece;
		len -= piece;
	}
	return n;
}

static size_t pack_zstd(const void *data, size_t len, uint8_t *to, size_t max)
{
	size_t n = ZSTD_compress(to, max, data, len, 3);

	check(!ZSTD_isError(n));
	return n;
}

uint8_t *test_pack(enum codec codec, const void *data, size_t len,
		   size_t *ret_len)
{
	static size_t (*const packers[])(const void *, size_t, uint8_t *,
					 size_t) = {
		[CODEC_GZIP] = pack_gzip, [CODEC_BZIP2] = pack_bzip2,
		[CODEC_LZMA] = pack_lzma, [CODEC_XZ] = pack_xz,
		[CODEC_ZSTD] = pack_zstd,
	};
	size_t max = len + len / 16 + 4096;
	uint8_t *to = new_buffer(max);

	*ret_len = codec == CODEC_LZ4 ? pack_lz4(data, len, to, max)
				      : packers[codec](data, len, to, max);
	return to;
}

void test_fill(uint8_t *to, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		/* Half of it repeats. */
		to[i] = i >= 64 && (i / 64) % 2 ? to[i - 61]
						: (uint8_t)(seed >> 56);
	}
}

static void elf_header(uint8_t *elf, unsigned phnum, uint64_t entry)
{
	Elf64_Ehdr h = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = 1,
		.e_entry = entry,
		.e_phoff = sizeof(h),
		.e_ehsize = sizeof(h),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)phnum,
	};

	memcpy(elf, &h, sizeof(h));
}

static void elf_segment(uint8_t *elf, unsigned i, uint32_t type,
			const struct test_seg *s)
{
	Elf64_Phdr p = {
		.p_type = type,
		.p_offset = s->off,
		.p_paddr = TEST_LINK + s->at,
		.p_vaddr = TEST_LINK + s->at + 0xffffffff80000000,
		.p_filesz = s->file_len,
		.p_memsz = s->mem_len,
	};

	memcpy(elf + sizeof(Elf64_Ehdr) + i * sizeof(p), &p, sizeof(p));
}

uint8_t *test_elf(const struct test_seg *segs, unsigned count, const void *note,
		  size_t note_len, size_t *ret_len)
{
	size_t len = 0;
	uint8_t *elf;

	for (unsigned i = 0; i < count; i++)
		if (segs[i].off + segs[i].file_len > len)
			len = segs[i].off + segs[i].file_len;
	elf = new_buffer(len + note_len);
	memset(elf, 0xcc, len); /* what no segment has */
	for (unsigned i = 0; i < count; i++) {
		test_fill(elf + segs[i].off, segs[i].file_len, i + 1);
		elf_segment(elf, i, PT_LOAD, &segs[i]);
	}
	if (note) {
		const struct test_seg n = {len, note_len, 0, note_len};

		memcpy(elf + len, note, note_len);
		elf_segment(elf, count, PT_NOTE, &n);
	}
	elf_header(elf, count + !!note, TEST_LINK + 0x40);
	*ret_len = len + note_len;
	return elf;
}

uint8_t *test_bzimage(const void *payload, size_t len, uint32_t size,
		      bool trailer, size_t *ret_len)
{
	size_t start = 2 * 512, kernel = 64 + len + (trailer ? 4 : 0);
	size_t total = start + align_up(kernel, 16);
	uint8_t *b = new_buffer(total);

	b[0x1f1] = 1; /* setup sectors */
	store_le32(b + 0x1f4, (uint32_t)(align_up(kernel, 16) / 16));
	store_le16(b + 0x1fe, 0xaa55);
	b[0x200] = 0xeb;
	b[0x201] = 0x6a;
	memcpy(b + 0x202, "HdrS", 4);
	store_le16(b + 0x206, 0x20f);
	b[0x211] = 1;
	store_le32(b + 0x214, 0x100000);
	store_le32(b + 0x22c, 0x7fffffff);
	store_le32(b + 0x230, 0x200000);
	b[0x234] = 1;
	store_le16(b + 0x236, 3);
	store_le32(b + 0x238, 2047);
	store_le32(b + 0x248, 64);
	store_le32(b + 0x24c, (uint32_t)(len + (trailer ? 4 : 0)));
	store_le64(b + 0x258, TEST_LINK);
	store_le32(b + 0x260, 0x100000);
	memcpy(b + start + 64, payload, len);
	if (trailer)
		store_le32(b + start + 64 + len, size);
	*ret_len = total;
	return b;
}

uint8_t *test_kernel(enum codec codec, const void *vmlinux, size_t len,
		     size_t *ret_len)
{
	size_t packed_len;
	uint8_t *packed = test_pack(codec, vmlinux, len, &packed_len);
	uint8_t *image = test_bzimage(packed, packed_len, (uint32_t)len,
				      codec != CODEC_GZIP, ret_len);

	free(packed);
	return image;
}
