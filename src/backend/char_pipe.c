/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end "pipe": two FIFOs, PATH.in for what the guest receives
 * and PATH.out for what it sends.
 *
 * Both are opened for reading and writing: there is no end of input when a
 * writer leaves, and no wait for a reader to come.
 *
 * Spec: fifo(7).
 * Threads: as in backend/chardev.h.
 * Syscalls: set-up: openat, newfstatat, close
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/char_fd.h"

struct char_pipe {
	struct char_fd fd;
	char *path;
};

static const struct prop char_pipe_props[] = {
	PROP_STR_REQUIRED(struct char_pipe, path, "path",
			  "the FIFOs' name without .in and .out"),
	PROP_END,
};

static struct char_pipe *pipe_of(struct chardev *c)
{
	return container_of(c, struct char_pipe, fd.chr);
}

static int pipe_open_fifo(const char *path, const char *suffix, int *ret,
			  struct err *e)
{
	char full[PATH_MAX];
	struct stat st;
	int fd;

	if (snprintf(full, sizeof(full), "%s%s", path, suffix) >=
	    (int)sizeof(full))
		return err_set(e, -ENAMETOOLONG, "the path is too long");
	fd = open(full, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(e, -errno, "Could not open '%s'", full);
	*ret = fd;
	if (fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		return err_set(e, -EINVAL,
			       "'%s' is not a FIFO: make one with mkfifo",
			       full);
	return 0;
}

static int pipe_open(struct chardev *c, struct err *e)
{
	struct char_pipe *p = pipe_of(c);
	int r;

	p->fd.in_fd = p->fd.out_fd = -1;
	r = pipe_open_fifo(p->path, ".in", &p->fd.in_fd, e);
	if (!r)
		r = pipe_open_fifo(p->path, ".out", &p->fd.out_fd, e);
	return r ? r : char_fd_init(&p->fd, e);
}

static void pipe_close(struct chardev *c)
{
	char_fd_fini(&pipe_of(c)->fd);
}

const struct char_driver char_pipe_driver = {
	.name = "pipe",
	.summary = "two FIFOs, PATH.in and PATH.out",
	.size = sizeof(struct char_pipe),
	.props = char_pipe_props,
	.open = pipe_open,
	.close = pipe_close,
	.bind = char_fd_bind,
	.unbind = char_fd_unbind,
	.write = char_fd_write,
	.accept = char_fd_accept,
};
