/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes and maps kernel images.
 *
 * The file: a page with the header, then at IMAGE_DATA the kernel from its
 * lowest address on, with holes where its segments have zeros or are apart;
 * then, on a page of its own, the relocation table. It is never changed once
 * it is complete. Numbers are in the host's order, for the file never leaves
 * the host.
 *
 * Threads: main.
 * Syscalls: main: fstat, pread64, mmap, madvise, close; set-up: pwrite64,
 *           ftruncate
 */
#include "vmm/image.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/mman.h"
#include "base/num.h"
#include "vmm/filemap.h"
#include "vmm/kaslr.h"

#define IMAGE_PAGE    4096U
#define IMAGE_DATA    (2 * MIB) /* so that huge pages can hold it */
#define IMAGE_VERSION 1U
#define IMAGE_HUGE    (2 * MIB)
#define IMAGE_GAP     8U        /* pages between those of one run, at most */
#define IMAGE_RUN_MIN 8U        /* pages; shorter ones are left to faults */
#define IMAGE_WRITE   (1 * MIB) /* at most at a time */

struct image_header {
	char magic[8];
	uint32_t version, header_size;
	struct image_key key;
	struct image_info info;
};

static const char image_magic[8] = "vireo-k";

static_assert(sizeof(struct image_header) <= IMAGE_PAGE, "it is one page");

static uint64_t image_span(const struct elf_image *elf)
{
	uint64_t end = elf->low;

	for (unsigned i = 0; i < elf->count; i++)
		end = MAX(end, elf->segs[i].paddr + elf->segs[i].file_len);
	return end - elf->low;
}

/* Whoever can write the file can write the guest, so only sizes are judged. */
static bool image_is_sound(const struct image_info *i, uint64_t size)
{
	const struct elf_image *elf = &i->elf;

	if (!elf->count || elf->count > ELF_SEGS_MAX ||
	    i->run_count > IMAGE_RUNS_MAX || i->span != image_span(elf) ||
	    i->table_len % 4 ||
	    !range_ok(IMAGE_DATA, align_up(i->span, IMAGE_PAGE), size) ||
	    !range_ok(i->table, i->table_len, size) || i->table % IMAGE_PAGE)
		return false;
	for (unsigned n = 0; n < i->run_count; n++)
		if (i->runs[n].from >= i->runs[n].to ||
		    i->runs[n].to > i->span ||
		    (i->runs[n].from | i->runs[n].to) % IMAGE_PAGE)
			return false;
	for (unsigned n = 0; n < elf->count; n++)
		if (!range_ok(elf->segs[n].off, elf->segs[n].file_len, size) ||
		    elf->segs[n].file_len > elf->segs[n].mem_len)
			return false;
	return true;
}

int image_open(struct image *im, int fd, const struct image_key *key)
{
	struct image_header h;
	struct stat st;

	if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || fstat(fd, &st))
		return -EINVAL;
	if (memcmp(h.magic, image_magic, sizeof(h.magic)) != 0 ||
	    h.version != IMAGE_VERSION || h.header_size != sizeof(h))
		return -EINVAL;
	if (memcmp(&h.key, key, sizeof(*key)) != 0)
		return -ESTALE;
	if (!image_is_sound(&h.info, (uint64_t)st.st_size))
		return -EINVAL;
	*im = (struct image){
		.fd = fd, .size = (uint64_t)st.st_size, .info = h.info};
	return 0;
}

void image_close(struct image *im)
{
	if (im->size)
		close(im->fd);
	*im = (struct image){.fd = -1};
}

static int image_put(int fd, const void *data, uint64_t len, uint64_t at)
{
	const char *from = data;

	while (len) {
		ssize_t n = pwrite(fd, from, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		from += n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static bool image_is_zero(const uint8_t *p, uint64_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

/* Writes data without its pages of zeros, which stay holes. */
static int image_put_sparse(int fd, const uint8_t *data, uint64_t len,
			    uint64_t at)
{
	uint64_t done = 0;
	int rc = 0;

	while (!rc && done < len) {
		uint64_t n = 0, page;

		for (; done + n < len && n < IMAGE_WRITE; n += page) {
			page = MIN(IMAGE_PAGE, len - done - n);
			if (image_is_zero(data + done + n, page))
				break;
		}
		if (n)
			rc = image_put(fd, data + done, n, at + done);
		else
			n = MIN(IMAGE_PAGE, len - done);
		done += n;
	}
	return rc;
}

static int image_put_segs(int fd, const struct elf_image *elf,
			  const uint8_t *origin)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < elf->count; i++) {
		const struct elf_seg *s = &elf->segs[i];

		rc = image_put_sparse(fd, origin + (s->paddr - elf->low),
				      s->file_len, s->off);
	}
	return rc;
}

static void image_add_run(struct image_info *i, uint64_t first, uint64_t last)
{
	if (last - first + 1 < IMAGE_RUN_MIN || i->run_count == IMAGE_RUNS_MAX)
		return;
	i->runs[i->run_count++] =
		(struct image_run){first * IMAGE_PAGE, (last + 1) * IMAGE_PAGE};
}

/* Each list of the table is sorted. Runs of two may overlap: no harm. */
static void image_find_runs(struct image_info *i, const uint8_t *table)
{
	uint64_t first = 0, last = 0;
	bool is_open = false;

	for (uint64_t n = 0; n < i->table_len / 4; n++) {
		uint32_t word = load_le32(table + n * 4);
		uint32_t off = word - (uint32_t)(KASLR_MAP_BASE + i->elf.low);
		uint64_t page = off / IMAGE_PAGE;

		if (is_open && page - last <= IMAGE_GAP) {
			last = page;
			continue;
		}
		if (is_open)
			image_add_run(i, first, last);
		is_open = word && off < align_down(i->span, IMAGE_PAGE);
		first = last = page;
	}
	if (is_open)
		image_add_run(i, first, last);
}

static void image_describe(struct image_info *i, const struct image_source *s)
{
	uint64_t span = image_span(s->elf);

	*i = (struct image_info){
		.elf = *s->elf,
		.unpacked = s->unpacked,
		.span = span,
		.table = IMAGE_DATA + align_up(span, IMAGE_PAGE),
		.table_len = s->table_len,
	};
	if (s->notes)
		i->notes = *s->notes;
	for (unsigned n = 0; n < i->elf.count; n++)
		i->elf.segs[n].off =
			IMAGE_DATA + (i->elf.segs[n].paddr - i->elf.low);
	image_find_runs(i, s->table);
}

/* The header last: a file without one is none. */
int image_write(int fd, const struct image_key *key,
		const struct image_source *s)
{
	struct image_header h;
	int rc;

	memset(&h, 0, sizeof(h));
	memcpy(h.magic, image_magic, sizeof(h.magic));
	h.version = IMAGE_VERSION;
	h.header_size = sizeof(h);
	h.key = *key;
	image_describe(&h.info, s);
	if (ftruncate(fd, (off_t)(h.info.table + h.info.table_len)))
		return -errno;
	rc = image_put_segs(fd, &h.info.elf, s->origin);
	if (!rc)
		rc = image_put(fd, s->table, s->table_len, h.info.table);
	return rc ? rc : image_put(fd, &h, sizeof(h), 0);
}

uint64_t image_map_len(const struct image *im)
{
	return align_up(im->info.span, IMAGE_PAGE);
}

/* Whole huge pages of a run: copied into new memory. */
static int image_copy_huge(const struct image *im, uint8_t *to, uint64_t from,
			   uint64_t end)
{
	const struct boot_file f = {.fd = im->fd, .size = im->size};
	struct err e;

	if (mmap(to + from, end - from, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		 0) == MAP_FAILED)
		return -errno;
	return boot_file_copy(&f, IMAGE_DATA + from, to + from, end - from, &e);
}

/* Saves a fault a page; a refusal (before Linux 5.14) costs only time. */
static void image_populate(uint8_t *to, uint64_t from, uint64_t end)
{
	if (from < end)
		(void)madvise(to + from, end - from, MADV_POPULATE_WRITE);
}

static int image_make_run(const struct image *im, uint8_t *to,
			  const struct image_run *run)
{
	uint64_t from = align_up(run->from, IMAGE_HUGE);
	uint64_t end = align_down(run->to, IMAGE_HUGE);
	int rc;

	if (from >= end) {
		image_populate(to, run->from, run->to);
		return 0;
	}
	rc = image_copy_huge(im, to, from, end);
	if (rc)
		return rc;
	image_populate(to, run->from, from);
	image_populate(to, end, run->to);
	return 0;
}

int image_map(const struct image *im, uint8_t *to)
{
	int rc = 0;

	if (im->info.elf.low % IMAGE_PAGE || (uintptr_t)to % IMAGE_PAGE)
		return -EINVAL;
	if (mmap(to, image_map_len(im), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, im->fd,
		 (off_t)IMAGE_DATA) == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; !rc && i < im->info.run_count; i++)
		rc = image_make_run(im, to, &im->info.runs[i]);
	return rc;
}

int image_relocate(const struct image *im, uint8_t *origin, uint64_t delta,
		   struct err *e)
{
	const struct boot_file f = {.fd = im->fd, .size = im->size};
	const struct image_info *i = &im->info;
	const struct kaslr_image k = {
		.data = origin, .len = i->span, .link_base = i->elf.low};
	struct filemap map;
	int rc = filemap_open(&map, &f, i->table, i->table_len, e);

	if (rc)
		return rc;
	rc = kaslr_relocate(&k, map.data, i->table_len, delta, e);
	filemap_close(&map);
	return rc;
}
