/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on scatter lists: copies at an offset, and trimming at either end.
 *
 * Threads: any; a list belongs to its caller.
 */
#pragma once

#include <sys/uio.h>

#include "base/compiler.h"

/*
 * Copies between the list, from byte `off` of it on, and a buffer. The number
 * of bytes copied: less than len where the list ends before.
 */
size_t iov_read(const struct iovec *iov, unsigned n, size_t off, void *buf,
		size_t len);
size_t iov_write(const struct iovec *iov, unsigned n, size_t off,
		 const void *buf, size_t len);
/* As iov_write, of one byte value. */
size_t iov_set(const struct iovec *iov, unsigned n, size_t off, int byte,
	       size_t len);

/*
 * Drops `bytes` (or all, if there are fewer) from the front: moves *iov on,
 * adjusts its first entry, and returns how many are left.
 */
unsigned iov_skip(struct iovec **iov, unsigned n, size_t bytes);

/* Keeps only the first `bytes`: the number of entries left. */
unsigned iov_cut(struct iovec *iov, unsigned n, size_t bytes);

size_t iov_bytes(const struct iovec *iov, unsigned n);
