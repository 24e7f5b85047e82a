/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel image: a kernel as it lies in memory before it is relocated, in a
 * file of our own whose pages guest memory can map.
 *
 * Threads: main.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "base/types.h"
#include "vmm/elf.h"

#define IMAGE_RUNS_MAX 64U

/* Bytes of the span, in whole pages, most of which relocation writes. */
struct image_run {
	uint64_t from, to;
};

/* Which file it was made of, and when it is to be trusted. */
struct image_key {
	uint64_t dev, ino, size, mtime_ns, ctime_ns;
	uint8_t boot_id[40]; /* of the host: an image is never synced */
};

struct image_info {
	struct elf_image elf; /* offsets are those in the image */
	struct elf_notes notes;
	uint64_t unpacked;  /* as in struct vmlinux; 0: it was an ELF file */
	uint64_t span;      /* bytes from elf.low on that come from the file */
	uint64_t table;     /* relocation table: offset in the image */
	uint64_t table_len; /* 0: none */
	struct image_run runs[IMAGE_RUNS_MAX]; /* the longer ones */
	unsigned run_count;
};

/* An open one. */
struct image {
	int fd;
	uint64_t size;
	struct image_info info;
};

/*
 * Takes the open file for one: -ESTALE where it is of another kernel or host
 * boot, -EINVAL where it is none. On success the descriptor is the image's.
 */
int image_open(struct image *im, int fd,
	       const struct image_key *key) MUST_CHECK;
void image_close(struct image *im);

/* A kernel in memory, not relocated. */
struct image_source {
	const struct elf_image *elf;
	const struct elf_notes *notes;
	uint64_t unpacked;
	const uint8_t *origin; /* host address of its first segment */
	const void *table;
	uint64_t table_len;
};

/* Writes all of an image into the empty file. -ENOSPC, -EIO and so on. */
int image_write(int fd, const struct image_key *key,
		const struct image_source *s) MUST_CHECK;

/*
 * Puts the image at [to, to + span) by private, writable mappings. What is
 * going to be written by relocation is in memory then: huge pages of it are
 * copied into fresh memory, since those of a mapping are small. -EINVAL: its addresses
 * are not those of whole pages; -EIO and so on: what is there is undefined.
 */
int image_map(const struct image *im, uint8_t *to) MUST_CHECK;

/* The bytes that image_map() sets: the span in whole pages. */
uint64_t image_map_len(const struct image *im);

/* Relocates the kernel that lies at origin by delta; see kaslr_relocate(). */
int image_relocate(const struct image *im, uint8_t *origin, uint64_t delta,
		   struct err *e);
