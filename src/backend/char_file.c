/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end "file": output to a file, or to what a path names.
 *
 * Threads: as in backend/chardev.h.
 * Syscalls: set-up: openat, newfstatat, close
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/char_fd.h"

struct char_file {
	struct char_fd fd;
	char *path, *input_path;
	bool append;
};

static const struct prop char_file_props[] = {
	PROP_STR_REQUIRED(struct char_file, path, "path",
			  "file that output goes to"),
	PROP_STR(struct char_file, input_path, "input-path", NULL,
		 "file that input comes from"),
	PROP_BOOL(struct char_file, append, "append", false,
		  "keep what the file holds"),
	PROP_END,
};

static struct char_file *file_of(struct chardev *c)
{
	return container_of(c, struct char_file, fd.chr);
}

/* Never waits for the other end of a FIFO, nor makes a terminal ours. */
static int file_open_path(const char *path, int flags, int *ret, struct err *e)
{
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);

	if (fd < 0)
		return err_set_errno(e, -errno, "Could not open '%s'", path);
	*ret = fd;
	return 0;
}

static int file_open(struct chardev *c, struct err *e)
{
	struct char_file *f = file_of(c);
	int flags = O_WRONLY | O_CREAT | (f->append ? O_APPEND : O_TRUNC), r;

	f->fd.in_fd = f->fd.out_fd = -1;
	r = file_open_path(f->path, flags, &f->fd.out_fd, e);
	if (!r && f->input_path)
		r = file_open_path(f->input_path, O_RDONLY, &f->fd.in_fd, e);
	return r ? r : char_fd_init(&f->fd, e);
}

static void file_close(struct chardev *c)
{
	char_fd_fini(&file_of(c)->fd);
}

const struct char_driver char_file_driver = {
	.name = "file",
	.summary = "output to a file",
	.size = sizeof(struct char_file),
	.props = char_file_props,
	.open = file_open,
	.close = file_close,
	.bind = char_fd_bind,
	.unbind = char_fd_unbind,
	.write = char_fd_write,
	.accept = char_fd_accept,
};
