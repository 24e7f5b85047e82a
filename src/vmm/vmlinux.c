/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks the ELF kernel of a bzImage to where it runs.
 *
 * Theory of operation: the payload unpacks to an ELF file and a relocation
 * table behind it. Its segments are in the file as in memory but for a gap
 * here and there, so the file is unpacked around the kernel's origin such that
 * the first segments are in place and the others have to move a little, all of
 * them down. Where memory ends too early for the table behind, all move up
 * from a place that begins lower. On memory that is zero, the decoder
 * leaves out long runs of zeros (holes), and so does the moving.
 *
 * Spec: Linux arch/x86/boot/compressed/misc.c (what its decompressor does).
 * Threads: main.
 */
#include "vmm/vmlinux.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "vmm/bzimage.h"
#include "vmm/filemap.h"
#include "vmm/kaslr.h"

/* No kernel is larger: its text and data are mapped in a window of 1 GiB. */
#define VMLINUX_MAX KASLR_MAP_WINDOW

/* The last four bytes of a payload are the size of what it unpacks to; gzip
 * has them by itself, behind the others they were added. */
static int vmlinux_find_stream(struct vmlinux *v, const struct bzimage *bz,
			       struct err *e)
{
	uint8_t head[8], size[4];
	int rc;

	if (bz->payload_len < sizeof(head) + sizeof(size))
		return err_set(e, -ENOTSUP, "it has no payload");
	rc = boot_file_read(v->file, bz->payload, head, sizeof(head), e);
	if (!rc)
		rc = boot_file_read(v->file, bz->payload + bz->payload_len - 4,
				    size, sizeof(size), e);
	if (rc)
		return rc;
	v->codec = codec_detect(head, sizeof(head));
	if (v->codec == CODEC_NONE)
		return err_set(e, -ENOTSUP,
			       "its payload is of no known format");
	v->stream = bz->payload;
	v->stream_len = bz->payload_len - (v->codec == CODEC_GZIP ? 0 : 4);
	v->unpacked = load_le32(size);
	if (v->unpacked < sizeof(head) || v->unpacked > VMLINUX_MAX)
		return err_set(e, -EINVAL,
			       "its %s payload cannot be %" PRIu64
			       " bytes large",
			       codec_name(v->codec), v->unpacked);
	return 0;
}

/* The ELF and program headers, from the first bytes. */
static int vmlinux_read_head(struct vmlinux *v, struct err *e)
{
	size_t len = MIN(v->unpacked, (uint64_t)ELF_HEAD);
	uint8_t head[ELF_HEAD];
	struct filemap map;
	int rc;

	rc = filemap_open(&map, v->file, v->stream, v->stream_len, e);
	if (rc)
		return rc;
	rc = decompress_prefix(v->codec, &map, head, len, e);
	filemap_close(&map);
	if (rc)
		return rc;
	if (!elf_probe(head, len))
		return err_set(e, -ENOTSUP, "its payload is no ELF file");
	rc = elf_parse(head, len, v->unpacked, &v->elf, e);
	if (rc)
		return err_prefix(e, "its payload: ");
	return 0;
}

int vmlinux_open(struct vmlinux *v, const struct boot_file *file,
		 const struct bzimage *bz, struct err *e)
{
	const struct elf_seg *segs = v->elf.segs;
	uint64_t end = 0;
	int rc;

	*v = (struct vmlinux){.file = file};
	rc = vmlinux_find_stream(v, bz, e);
	if (!rc)
		rc = vmlinux_read_head(v, e);
	if (rc)
		return rc;
	if (v->elf.high - v->elf.low > VMLINUX_MAX)
		return err_set(e, -EINVAL,
			       "its payload spreads over more than 1 GiB");
	for (unsigned i = 0; i < v->elf.count; i++) {
		if (segs[i].file_len && segs[i].off < end)
			return err_set(e, -EINVAL,
				       "its payload's segments overlap or are "
				       "out of order");
		end = MAX(end, segs[i].off + segs[i].file_len);
	}
	v->has_table = v->unpacked - v->elf.file_end >= 8;
	return 0;
}

/* Bytes of the loaded kernel that come from the file. */
static uint64_t vmlinux_file_span(const struct vmlinux *v)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < v->elf.count; i++)
		end = MAX(end, v->elf.segs[i].paddr + v->elf.segs[i].file_len);
	return end - v->elf.low;
}

int vmlinux_plan(const struct vmlinux *v, uint64_t align, bool upwards,
		 struct vmlinux_plan *ret, struct err *e)
{
	int64_t span = (int64_t)(v->elf.high - v->elf.low);
	int64_t size = (int64_t)v->unpacked, lead = upwards ? -size : size;
	int64_t from, to;

	for (unsigned i = 0; i < v->elf.count; i++) {
		const struct elf_seg *s = &v->elf.segs[i];
		int64_t at = (int64_t)(s->off - (s->paddr - v->elf.low));

		if (!s->file_len)
			continue;
		lead = upwards ? MAX(lead, at) : MIN(lead, at);
	}
	/* The table is read after the segments have moved. */
	if (v->has_table &&
	    (int64_t)vmlinux_file_span(v) > (int64_t)v->elf.file_end - lead)
		return err_set(e, -EINVAL,
			       "its relocation table is in the way");
	from = MIN(0, -lead);
	to = MAX(span, size - lead);
	*ret = (struct vmlinux_plan){
		.shape = {.lead = (uint64_t)-from,
			  .len = (uint64_t)(to - from),
			  .align = align,
			  .floor = v->elf.low},
		.lead = lead,
		.upwards = upwards,
	};
	return 0;
}

/* Zeroes [to, to + len), except holes, which are zero. */
static void vmlinux_clear(const struct vmlinux_job *j, uint8_t *to,
			  uint64_t len)
{
	const uint8_t *end = to + len;

	for (unsigned i = 0; i < j->out.hole_count && to < end; i++) {
		const struct unpack_hole *h = &j->out.holes[i];
		uint8_t *from = j->out.data + h->off;

		if (to >= from + h->len)
			continue;
		if (from >= end)
			break;
		if (to < from)
			memset(to, 0, (size_t)(from - to));
		to = from + h->len;
	}
	if (to < end)
		memset(to, 0, (size_t)(end - to));
}

/* Moves a segment down; its holes become zeros, not copies. */
static void vmlinux_move_down(const struct vmlinux_job *j,
			      const struct elf_seg *s)
{
	uint8_t *to = j->origin + (s->paddr - j->v->elf.low);
	uint64_t at = s->off, end = at + s->file_len;

	for (unsigned i = 0; i <= j->out.hole_count && at < end; i++) {
		bool last = i == j->out.hole_count;
		uint64_t hole = last ? end : j->out.holes[i].off;
		uint64_t len = last ? 0 : j->out.holes[i].len, n;

		if (hole + len <= at && !last)
			continue;
		n = hole > at ? MIN(hole, end) - at : 0;
		memmove(to, j->out.data + at, n);
		to += n;
		at += n;
		n = MIN(end, hole + len) - at;
		vmlinux_clear(j, to, n);
		to += n;
		at += n;
	}
}

static void vmlinux_move_up(const struct vmlinux_job *j,
			    const struct elf_seg *s)
{
	memmove(j->origin + (s->paddr - j->v->elf.low), j->out.data + s->off,
		s->file_len);
}

static void vmlinux_move(const struct vmlinux_job *j, bool upwards)
{
	const struct elf_image *elf = &j->v->elf;

	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_seg *s =
			&elf->segs[upwards ? elf->count - 1 - i : i];

		if (j->origin + (s->paddr - elf->low) == j->out.data + s->off)
			continue;
		if (upwards)
			vmlinux_move_up(j, s);
		else
			vmlinux_move_down(j, s);
	}
}

/* Memory of a segment behind its part of the file: zero where it is not. */
static void vmlinux_clear_bss(const struct vmlinux_job *j,
			      const struct elf_seg *s)
{
	uint8_t *from = j->origin + (s->paddr - j->v->elf.low) + s->file_len;
	uint8_t *to = from + (s->mem_len - s->file_len);

	if (j->fresh) {
		/* Only the unpacked file has been there. */
		from = MAX(from, j->out.data);
		to = MIN(to, j->out.data + j->out.len);
	}
	if (from < to)
		memset(from, 0, (size_t)(to - from));
}

static int vmlinux_unpack_stream(const struct vmlinux *v,
				 struct unpack_out *out, struct err *e)
{
	struct filemap map;
	bool whole;
	int rc = filemap_open(&map, v->file, v->stream, v->stream_len, e);

	if (rc)
		return rc;
	rc = decompress(v->codec, &map, out, e);
	whole = filemap_is_whole(&map);
	filemap_close(&map);
	if (!whole)
		return err_set(e, -EINVAL, "the file shrank while it was read");
	return rc;
}

int vmlinux_unpack(const struct vmlinux *v, const struct vmlinux_plan *plan,
		   const struct vmlinux_place *place, struct vmlinux_job *ret,
		   struct err *e)
{
	uint8_t *memory = gmem_ptr(
		place->gmem, place->origin - plan->shape.lead, plan->shape.len);
	struct vmlinux_job j = {.v = v, .fresh = place->fresh};
	int rc;

	if (!memory)
		return err_set(e, -E2BIG, "the memory is in pieces");
	j.origin = memory + plan->shape.lead;
	j.out = (struct unpack_out){
		.data = j.origin - plan->lead,
		.len = v->unpacked,
		.fresh = place->fresh && !plan->upwards,
		.scratch = place->scratch,
		.scratch_len = place->scratch_len,
	};
	rc = vmlinux_unpack_stream(v, &j.out, e);
	if (rc)
		return rc;
	vmlinux_move(&j, plan->upwards);
	if (v->has_table) {
		j.table = j.out.data + v->elf.file_end;
		j.table_len = v->unpacked - v->elf.file_end;
	}
	*ret = j;
	return 0;
}

int vmlinux_finish(struct vmlinux_job *j, uint64_t delta, struct err *e)
{
	const struct elf_image *elf = &j->v->elf;
	const struct kaslr_image image = {.data = j->origin,
					  .len = vmlinux_file_span(j->v),
					  .link_base = elf->low};
	int rc = 0;

	if (delta)
		rc = kaslr_relocate(&image, j->table, j->table_len, delta, e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < elf->count; i++)
		vmlinux_clear_bss(j, &elf->segs[i]);
	return 0;
}
