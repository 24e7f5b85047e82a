/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks scatter lists.
 *
 * Threads: any.
 */
#include "bus/iov.h"

#include <string.h>

/*
 * The part of iov[*i…n) at byte *off and at most len long; moves *i and *off
 * to where it begins. Empty at the end of the list.
 */
static struct iovec iov_piece(const struct iovec *iov, unsigned n, unsigned *i,
			      size_t *off, size_t len)
{
	while (*i < n && *off >= iov[*i].iov_len)
		*off -= iov[(*i)++].iov_len;
	if (*i == n)
		return (struct iovec){0};
	return (struct iovec){(char *)iov[*i].iov_base + *off,
			      MIN(iov[*i].iov_len - *off, len)};
}

size_t iov_read(const struct iovec *iov, unsigned n, size_t off, void *buf,
		size_t len)
{
	size_t done = 0;
	unsigned i = 0;

	while (done < len) {
		struct iovec p = iov_piece(iov, n, &i, &off, len - done);

		if (!p.iov_len)
			break;
		memcpy((char *)buf + done, p.iov_base, p.iov_len);
		done += p.iov_len;
		off += p.iov_len;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, size_t off,
		 const void *buf, size_t len)
{
	size_t done = 0;
	unsigned i = 0;

	while (done < len) {
		struct iovec p = iov_piece(iov, n, &i, &off, len - done);

		if (!p.iov_len)
			break;
		memcpy(p.iov_base, (const char *)buf + done, p.iov_len);
		done += p.iov_len;
		off += p.iov_len;
	}
	return done;
}

size_t iov_set(const struct iovec *iov, unsigned n, size_t off, int byte,
	       size_t len)
{
	size_t done = 0;
	unsigned i = 0;

	while (done < len) {
		struct iovec p = iov_piece(iov, n, &i, &off, len - done);

		if (!p.iov_len)
			break;
		memset(p.iov_base, byte, p.iov_len);
		done += p.iov_len;
		off += p.iov_len;
	}
	return done;
}

unsigned iov_skip(struct iovec **iov, unsigned n, size_t bytes)
{
	while (n && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		(*iov)++;
		n--;
	}
	if (n) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + bytes;
		(*iov)->iov_len -= bytes;
	}
	return n;
}

unsigned iov_cut(struct iovec *iov, unsigned n, size_t bytes)
{
	for (unsigned i = 0; i < n; i++) {
		if (bytes <= iov[i].iov_len) {
			iov[i].iov_len = bytes;
			return bytes ? i + 1 : i;
		}
		bytes -= iov[i].iov_len;
	}
	return n;
}

size_t iov_bytes(const struct iovec *iov, unsigned n)
{
	size_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}
