/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes small files as a whole.
 *
 * Threads: main.
 */
#include "vmm/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static int read_all(int fd, char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO; /* it shrank meanwhile */
		done += (size_t)n;
	}
	return 0;
}

int file_read(const char *path, uint64_t max, void **ret, size_t *len,
	      struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	AUTO_FREE char *buf = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st))
		return err_set_errno(e, -errno, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "'%s' is not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_set(e, -EFBIG,
			       "'%s' has %" PRIu64 " bytes, at most %" PRIu64
			       " are taken",
			       path, (uint64_t)st.st_size, max);
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return err_set(e, -ENOMEM, "no memory for '%s'", path);
	r = read_all(fd, buf, (size_t)st.st_size);
	if (r)
		return err_set_errno(e, r, "cannot read '%s'", path);
	*ret = take_ptr(buf);
	*len = (size_t)st.st_size;
	return 0;
}

static int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write(const char *path, const void *data, size_t len, struct err *e)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			      0644);
	int r;

	if (fd < 0)
		return err_set_errno(e, -errno, "cannot create '%s'", path);
	r = write_all(fd, data, len);
	return r ? err_set_errno(e, r, "cannot write '%s'", path) : 0;
}
