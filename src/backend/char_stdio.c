/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end "stdio": standard input and output.
 *
 * A terminal is put in raw mode, so that the guest gets every key: with
 * `signal=on` (the default) Ctrl-C, Ctrl-\ and Ctrl-Z still make their signals
 * for vireo, with `signal=off` they are the guest's. While another job has the
 * terminal nothing is read, and the timer looks whether that is still so.
 *
 * Terminals and pipes are opened anew (/proc/self/fd), so that O_NONBLOCK is
 * set for vireo and not for the shell that shares them; where that cannot be,
 * the flag is set on the shared one, and taken back at the end.
 *
 * Threads: as in backend/chardev.h.
 * Syscalls: main: fcntl; set-up: openat, dup3, fcntl, newfstatat, ioctl
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char_fd.h"
#include "backend/terminal.h"

/* How often to look whether the terminal is ours again. */
#define LOOK_NS (200 * NS_PER_MS)

struct char_stdio {
	struct char_fd fd;
	bool signal;
	bool has_taken;             /* stdio_is_taken by this one */
	bool has_terminal;          /* it is ours to restore */
	bool in_shared, out_shared; /* O_NONBLOCK is set on what others use */
	struct loop_timer look;
};

static const struct prop char_stdio_props[] = {
	PROP_BOOL(struct char_stdio, signal, "signal", true,
		  "Ctrl-C ends vireo (off: the guest gets it)"),
	PROP_END,
};

/* One chardev of the process has standard input and output. */
static _Atomic bool stdio_is_taken;

static struct char_stdio *stdio_of(struct chardev *c)
{
	return container_of(c, struct char_stdio, fd.chr);
}

/* --- descriptors --- */

static bool stdio_can_reopen(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && (isatty(fd) || S_ISFIFO(st.st_mode));
}

/* A descriptor of our own for std_fd that does not block. */
static int stdio_open_fd(int std_fd, int flags, bool *shared, struct err *e)
{
	const char *name = std_fd ? "output" : "input";
	int fd = -1, old = fcntl(std_fd, F_GETFL);
	char path[32];

	/* See process_open_std(). */
	if (old < 0 || (old & O_PATH))
		return err_set(e, -EBADF, "standard %s is closed", name);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", std_fd);
	if (stdio_can_reopen(std_fd))
		fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = fcntl(std_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_set_errno(e, -errno, "cannot use standard %s", name);
	*shared = !(old & O_NONBLOCK) && !fcntl(fd, F_SETFL, old | O_NONBLOCK);
	return fd;
}

static void stdio_close_fd(int fd, bool shared)
{
	if (shared)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

/* --- job control --- */

static void stdio_look_later(struct char_stdio *s)
{
	struct loop *l = s->fd.chr.loop;

	/* It was armed before, in stdio_bind(): there is room. */
	(void)loop_timer_arm(l, &s->look, loop_now(l) + LOOK_NS);
}

static bool stdio_may_read(struct char_fd *f)
{
	struct char_stdio *s = container_of(f, struct char_stdio, fd);

	if (!s->has_terminal || terminal_claim())
		return true;
	stdio_look_later(s);
	return false;
}

static void stdio_looked(struct loop_timer *t)
{
	struct char_stdio *s = container_of(t, struct char_stdio, look);

	if (terminal_claim())
		char_fd_accept(&s->fd.chr);
	else
		stdio_look_later(s);
}

/* --- the driver --- */

static void stdio_find_size(struct chardev *c)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return;
	c->cols = size.ws_col;
	c->rows = size.ws_row;
}

static int stdio_open_terminal(struct char_stdio *s, struct err *e)
{
	if (!isatty(STDIN_FILENO))
		return 0;
	s->has_terminal = true;
	return terminal_open(s->signal, e);
}

static int stdio_open(struct chardev *c, struct err *e)
{
	struct char_stdio *s = stdio_of(c);
	int r;

	s->fd.in_fd = s->fd.out_fd = -1;
	s->fd.may_read = stdio_may_read;
	s->look.expired = stdio_looked;
	if (atomic_exchange(&stdio_is_taken, true))
		return err_set(e, -EBUSY,
			       "chardev '%s': another chardev has standard "
			       "input and output",
			       c->id);
	s->has_taken = true;
	r = stdio_open_fd(STDIN_FILENO, O_RDONLY, &s->in_shared, e);
	if (r < 0)
		return r;
	s->fd.in_fd = r;
	r = stdio_open_fd(STDOUT_FILENO, O_WRONLY, &s->out_shared, e);
	if (r < 0)
		return r;
	s->fd.out_fd = r;
	stdio_find_size(c);
	r = stdio_open_terminal(s, e);
	return r ? r : char_fd_init(&s->fd, e);
}

static void stdio_close(struct chardev *c)
{
	struct char_stdio *s = stdio_of(c);

	if (s->has_terminal)
		terminal_close();
	if (s->has_taken)
		atomic_store(&stdio_is_taken, false);
	stdio_close_fd(s->fd.in_fd, s->in_shared);
	stdio_close_fd(s->fd.out_fd, s->out_shared);
	char_fd_fini(&s->fd);
}

static int stdio_bind(struct chardev *c, struct loop *l, struct err *e)
{
	struct char_stdio *s = stdio_of(c);

	if (s->has_terminal && loop_timer_arm(l, &s->look, loop_now(l)))
		return err_set(e, -ENOMEM, "no memory for a timer");
	return char_fd_bind(c, l, e);
}

static void stdio_unbind(struct chardev *c)
{
	loop_timer_cancel(&stdio_of(c)->look);
	char_fd_unbind(c);
}

const struct char_driver char_stdio_driver = {
	.name = "stdio",
	.summary = "standard input and output",
	.size = sizeof(struct char_stdio),
	.props = char_stdio_props,
	.open = stdio_open,
	.close = stdio_close,
	.bind = stdio_bind,
	.unbind = stdio_unbind,
	.write = char_fd_write,
	.accept = char_fd_accept,
};
