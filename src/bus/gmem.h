/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical RAM as devices and loaders reach it: by checked copy or
 * checked span, never by bare pointer arithmetic.
 *
 * Threads: ranges are added by main before the first vCPU runs; access from
 * any thread after that. Guest RAM changes under our feet: a control structure
 * is copied once and judged on the copy.
 */
#pragma once

#include <sys/uio.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/err.h"
#include "base/types.h"

#define GMEM_RANGES_MAX 8

struct gmem_range {
	gpa_t base;
	uint64_t len;
	void *host; /* mapped by the memory back end, which outlives gmem */
};

struct gmem {
	struct gmem_range ranges[GMEM_RANGES_MAX]; /* sorted by base */
	unsigned count;
};

/* Adds RAM; base and len page-aligned. -EINVAL on overlap, -ENOSPC. */
int gmem_add(struct gmem *gm, gpa_t base, uint64_t len, void *host,
	     struct err *e);

/*
 * The host address of [gpa, gpa + len) where one range holds all of it, else
 * NULL. For virtqueue rings and the loaders; devices use the calls below.
 */
void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len);

/* Copies out of (into) RAM; -EFAULT where a byte of it is not RAM. */
int gmem_read(const struct gmem *gm, gpa_t gpa, void *buf, uint64_t len)
	MUST_CHECK;
int gmem_write(const struct gmem *gm, gpa_t gpa, const void *buf, uint64_t len)
	MUST_CHECK;
int gmem_set(const struct gmem *gm, gpa_t gpa, int byte, uint64_t len)
	MUST_CHECK;

/*
 * Appends [gpa, gpa + len) to iov (at most max entries): the number appended,
 * -EFAULT where a byte is not RAM, -E2BIG where max does not suffice. A
 * zero-length span appends nothing.
 */
int gmem_span(const struct gmem *gm, gpa_t gpa, uint64_t len,
	      struct iovec *iov, unsigned max) MUST_CHECK;
