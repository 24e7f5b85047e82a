/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot file: read in pieces, or through a mapping whose pages are given back
 * as they are consumed, so that a file of any size costs little memory.
 *
 * Threads: main.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "base/types.h"

struct boot_file {
	int fd; /* the caller's; its position is not used */
	uint64_t size;
};

/*
 * Looks at the open file. -EINVAL where it is empty or not a regular file.
 * Messages, here and below, end a sentence that names the file.
 */
int boot_file_init(struct boot_file *f, int fd, struct err *e);

/* Reads exactly len bytes at off; -EIO and so on, -EINVAL past the end. */
int boot_file_read(const struct boot_file *f, uint64_t off, void *buf,
		   uint64_t len, struct err *e);

/*
 * Bytes that are read once from front to back. At most one mapping of a thread
 * is open at a time. A file that shrinks while it is mapped reads as zeros and
 * filemap_is_whole() is false from then on.
 */
struct filemap {
	const uint8_t *data;
	size_t len;
	void *base; /* mapping, NULL where data is the caller's memory */
	size_t base_len;
	size_t dropped; /* bytes of the mapping that are given back */
};

int filemap_open(struct filemap *m, const struct boot_file *f, uint64_t off,
		 size_t len, struct err *e);
void filemap_close(struct filemap *m);

/* data[0, upto) will not be read again: given back when it is worth a call. */
void filemap_drop(struct filemap *m, size_t upto);

/* Did every byte read so far come from the file? */
bool filemap_is_whole(const struct filemap *m) MUST_CHECK;

/*
 * Copies exactly len bytes at off, as boot_file_read() does, but by way of a
 * mapping: the page cache is copied from in user space.
 */
int boot_file_copy(const struct boot_file *f, uint64_t off, void *to,
		   uint64_t len, struct err *e);
