/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical RAM: lookup of a host address, and checked copies and spans.
 *
 * Ranges that touch are one piece of RAM to copies and spans, whatever memory
 * back ends are behind them; gmem_ptr() alone wants a single host mapping.
 *
 * Threads: gmem_add() main, before the first vCPU runs; the rest any.
 */
#include "bus/gmem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/num.h"

#define GMEM_PAGE 4096U

/* Where a new range goes: before the first one that lies above it. */
static unsigned gmem_place(const struct gmem *gm, gpa_t base)
{
	unsigned i = 0;

	while (i < gm->count && gm->ranges[i].base < base)
		i++;
	return i;
}

static int gmem_check(const struct gmem *gm, gpa_t base, uint64_t len,
		      struct err *e)
{
	uint64_t end;

	if (!len || (base | len) % GMEM_PAGE || !add_ok(base, len, &end))
		return err_set(e, -EINVAL,
			       "RAM at 0x%" PRIx64 " of 0x%" PRIx64
			       " bytes is empty, wraps or is not page-aligned",
			       base, len);
	for (unsigned i = 0; i < gm->count; i++) {
		const struct gmem_range *r = &gm->ranges[i];

		if (ranges_overlap(base, len, r->base, r->len))
			return err_set(e, -EINVAL,
				       "RAM at 0x%" PRIx64 " overlaps RAM at "
				       "0x%" PRIx64,
				       base, r->base);
	}
	if (gm->count == GMEM_RANGES_MAX)
		return err_set(e, -ENOSPC, "more than %d ranges of RAM",
			       GMEM_RANGES_MAX);
	return 0;
}

int gmem_add(struct gmem *gm, gpa_t base, uint64_t len, void *host,
	     struct err *e)
{
	unsigned at = gmem_place(gm, base);
	int rc = gmem_check(gm, base, len, e);

	if (rc)
		return rc;
	memmove(&gm->ranges[at + 1], &gm->ranges[at],
		(gm->count - at) * sizeof(gm->ranges[0]));
	gm->ranges[at] = (struct gmem_range){base, len, host};
	gm->count++;
	return 0;
}

/*
 * The host address of gpa, and in *ret_room the bytes from there to the end of
 * its range; NULL where there is no RAM.
 */
static void *gmem_find(const struct gmem *gm, gpa_t gpa, uint64_t *ret_room)
{
	for (unsigned i = 0; i < gm->count; i++) {
		const struct gmem_range *r = &gm->ranges[i];

		if (gpa - r->base < r->len) {
			*ret_room = r->len - (gpa - r->base);
			return (char *)r->host + (gpa - r->base);
		}
	}
	return NULL;
}

void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	uint64_t room;
	void *p = gmem_find(gm, gpa, &room);

	return p && len <= room ? p : NULL;
}

/*
 * The next piece of [*gpa, *gpa + *len), which moves on behind it: its host
 * address and length. NULL where it is not RAM.
 */
static void *gmem_next(const struct gmem *gm, gpa_t *gpa, uint64_t *len,
		       size_t *ret_piece)
{
	uint64_t room;
	void *p = gmem_find(gm, *gpa, &room);

	if (!p)
		return NULL;
	*ret_piece = MIN(room, *len);
	*gpa += *ret_piece;
	*len -= *ret_piece;
	return p;
}

int gmem_read(const struct gmem *gm, gpa_t gpa, void *buf, uint64_t len)
{
	char *to = buf;
	size_t n;

	while (len) {
		const void *from = gmem_next(gm, &gpa, &len, &n);

		if (!from)
			return -EFAULT;
		memcpy(to, from, n);
		to += n;
	}
	/* The caller's copy is the one judged: nothing is read again, even
	 * where this function is inlined and the copy could be elided. */
	__asm__ volatile("" ::: "memory");
	return 0;
}

int gmem_write(const struct gmem *gm, gpa_t gpa, const void *buf, uint64_t len)
{
	const char *from = buf;
	size_t n;

	while (len) {
		void *to = gmem_next(gm, &gpa, &len, &n);

		if (!to)
			return -EFAULT;
		memcpy(to, from, n);
		from += n;
	}
	return 0;
}

int gmem_set(const struct gmem *gm, gpa_t gpa, int byte, uint64_t len)
{
	size_t n;

	while (len) {
		void *to = gmem_next(gm, &gpa, &len, &n);

		if (!to)
			return -EFAULT;
		memset(to, byte, n);
	}
	return 0;
}

int gmem_span(const struct gmem *gm, gpa_t gpa, uint64_t len, struct iovec *iov,
	      unsigned max)
{
	unsigned n = 0;

	while (len) {
		struct iovec v;

		v.iov_base = gmem_next(gm, &gpa, &len, &v.iov_len);
		if (!v.iov_base)
			return -EFAULT;
		if (n == max)
			return -E2BIG;
		iov[n++] = v;
	}
	return (int)n;
}
