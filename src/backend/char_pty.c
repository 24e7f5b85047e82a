/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end "pty": a new pseudo terminal, to which a terminal program
 * connects.
 *
 * While nobody has the other side open the master reports a hang-up without
 * end, so it is not watched then, but looked at from time to time; output is
 * dropped meanwhile.
 *
 * Spec: pty(7).
 * Threads: as in backend/chardev.h.
 * Syscalls: main, io: poll; set-up: openat, ioctl (TIOC*, TC*), close
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char_fd.h"
#include "base/log.h"

/* How often to look for somebody at the other side. */
#define LOOK_NS (200 * NS_PER_MS)

struct char_pty {
	struct char_fd fd;
	struct loop_timer look;
};

static const struct prop char_pty_props[] = {PROP_END};

static struct char_pty *pty_of(struct chardev *c)
{
	return container_of(c, struct char_pty, fd.chr);
}

static bool pty_has_peer(const struct char_pty *p)
{
	struct pollfd fd = {.fd = p->fd.in_fd, .events = POLLIN};

	return poll(&fd, 1, 0) >= 0 && !(fd.revents & POLLHUP);
}

static void pty_look_later(struct char_pty *p)
{
	struct loop *l = p->fd.chr.loop;

	/* It was armed before, in pty_bind(): there is room. */
	(void)loop_timer_arm(l, &p->look, loop_now(l) + LOOK_NS);
}

static int pty_watch(struct char_pty *p, struct err *e)
{
	return loop_fd_add(p->fd.chr.loop, &p->fd.in, p->fd.in_fd, 0, e);
}

static void pty_looked(struct loop_timer *t)
{
	struct char_pty *p = container_of(t, struct char_pty, look);

	if (pty_has_peer(p) && !pty_watch(p, NULL))
		char_fd_connect(&p->fd);
	else
		pty_look_later(p);
}

static void pty_hung_up(struct char_fd *f)
{
	struct char_pty *p = container_of(f, struct char_pty, fd);

	loop_fd_del(&f->in);
	char_fd_disconnect(f);
	pty_look_later(p);
}

/* Raw from the start; whoever connects may set it otherwise. */
static int pty_make_raw(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios t;
	int r = 0;

	if (fd < 0)
		return err_set_errno(e, -errno, "cannot open '%s'", path);
	if (tcgetattr(fd, &t))
		r = -errno;
	cfmakeraw(&t);
	if (!r && tcsetattr(fd, TCSANOW, &t))
		r = -errno;
	close(fd);
	return r ? err_set_errno(e, r, "cannot set '%s'", path) : 0;
}

static int pty_open(struct chardev *c, struct err *e)
{
	struct char_pty *p = pty_of(c);
	char path[64];
	int r;

	p->fd.in_fd = p->fd.out_fd =
		posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	p->fd.hung_up = pty_hung_up;
	p->look.expired = pty_looked;
	if (p->fd.in_fd < 0)
		return err_set_errno(e, -errno, "cannot make a pty");
	if (grantpt(p->fd.in_fd) || unlockpt(p->fd.in_fd) ||
	    ptsname_r(p->fd.in_fd, path, sizeof(path)))
		return err_set_errno(e, -errno, "cannot make a pty");
	r = pty_make_raw(path, e);
	if (r)
		return r;
	c->address = strdup(path);
	if (!c->address)
		return err_set(e, -ENOMEM, "no memory for a pty");
	/* In the words that scripts look for. */
	log_warn("char device redirected to %s (label %s)", path, c->id);
	r = char_fd_init(&p->fd, e);
	p->fd.is_connected = false;
	return r;
}

static void pty_close(struct chardev *c)
{
	char_fd_fini(&pty_of(c)->fd);
}

static int pty_bind(struct chardev *c, struct loop *l, struct err *e)
{
	struct char_pty *p = pty_of(c);

	if (loop_timer_arm(l, &p->look, loop_now(l)))
		return err_set(e, -ENOMEM, "no memory for a timer");
	return 0;
}

static void pty_unbind(struct chardev *c)
{
	struct char_pty *p = pty_of(c);

	loop_timer_cancel(&p->look);
	char_fd_unbind(c);
}

const struct char_driver char_pty_driver = {
	.name = "pty",
	.summary = "a new pseudo terminal",
	.size = sizeof(struct char_pty),
	.props = char_pty_props,
	.open = pty_open,
	.close = pty_close,
	.bind = pty_bind,
	.unbind = pty_unbind,
	.write = char_fd_write,
	.accept = char_fd_accept,
};
