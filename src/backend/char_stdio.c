/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back end "stdio": standard input and output.
 *
 * A terminal is put in raw mode, so that the guest gets every key: with
 * `signal=on` (the default) Ctrl-C, Ctrl-\ and Ctrl-Z still make their signals
 * for vireo, with `signal=off` they are the guest's. The terminal gets its
 * settings back however the process ends: by close(), by exit(), and by a
 * handler for the signals that kill with a core; the stop and continue of
 * job control are followed. Only an uncatchable kill leaves it raw.
 *
 * Terminals and pipes are opened anew (/proc/self/fd), so that O_NONBLOCK is
 * set for vireo and not for the shell that shares them; where that cannot be,
 * the flag is set on the shared one, and taken back at the end.
 *
 * Spec: termios(3).
 * Threads: as in backend/chardev.h; the signal handler: any.
 * Syscalls: main: ioctl (TCSETS, TIOCGPGRP), getpgrp, fcntl; all: ioctl
 *       (TCSETS, TIOCGPGRP), getpgrp, rt_sigreturn, tgkill, getpid, gettid; set-up: ioctl (TCGETS), openat,
 *       dup3, fcntl, rt_sigaction, newfstatat
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char_fd.h"

struct char_stdio {
	struct char_fd fd;
	bool signal;
	bool has_input;             /* terminal.is_taken is ours */
	bool has_terminal;          /* it is ours to restore */
	bool in_shared, out_shared; /* O_NONBLOCK is set on what others use */
};

static const struct prop char_stdio_props[] = {
	PROP_BOOL(struct char_stdio, signal, "signal", true,
		  "Ctrl-C ends vireo (off: the guest gets it)"),
	PROP_END,
};

/* Signals that end the process with no chance for close(). */
static const int fatal_signals[] = {SIGABRT, SIGSEGV, SIGBUS,
				    SIGFPE,  SIGILL,  SIGSYS};

/*
 * The one terminal of the process, as signal handlers and exit() need it;
 * they have no object to be given. Set before is_raw is.
 */
static struct {
	_Atomic bool is_taken; /* one chardev has standard input */
	_Atomic bool is_raw;
	bool has_exit_hook;
	struct termios saved, raw;
	struct sigaction old[ARRAY_SIZE(fatal_signals)], old_cont;
} terminal;

static struct char_stdio *stdio_of(struct chardev *c)
{
	return container_of(c, struct char_stdio, fd.chr);
}

/* --- the terminal --- */

/* In the background its settings are another's (and setting them stops us). */
static bool terminal_is_foreground(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group < 0 || group == getpgrp();
}

/* Async-signal-safe, as all that it calls. */
static void terminal_restore(void)
{
	int saved = errno;

	if (atomic_exchange(&terminal.is_raw, false) &&
	    terminal_is_foreground())
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
	errno = saved;
}

static void terminal_on_fatal(int sig)
{
	/* The handler is gone by now (SA_RESETHAND): this time it kills. */
	terminal_restore();
	(void)raise(sig);
}

/* The shell has had the terminal meanwhile. */
static void terminal_on_continue(int sig)
{
	int saved = errno;

	(void)sig;
	if (atomic_load(&terminal.is_raw) && terminal_is_foreground())
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw);
	errno = saved;
}

static void terminal_hook_signals(void)
{
	struct sigaction sa = {.sa_handler = terminal_on_fatal,
			       .sa_flags = (int)SA_RESETHAND};

	for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
		sigaction(fatal_signals[i], &sa, &terminal.old[i]);
	sa.sa_handler = terminal_on_continue;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGCONT, &sa, &terminal.old_cont);
}

static void terminal_unhook_signals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
		sigaction(fatal_signals[i], &terminal.old[i], NULL);
	sigaction(SIGCONT, &terminal.old_cont, NULL);
}

/* Every byte as typed; output is still made neat for a terminal. */
static struct termios terminal_raw_of(const struct termios *t, bool signals)
{
	struct termios raw = *t;

	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
				   IGNCR | ICRNL | IXON);
	raw.c_oflag |= OPOST;
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
	if (!signals)
		raw.c_lflag &= ~(tcflag_t)ISIG;
	raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return raw;
}

static int terminal_take(bool signals, struct err *e)
{
	if (tcgetattr(STDIN_FILENO, &terminal.saved))
		return err_set_errno(e, -errno,
				     "cannot read the terminal's settings");
	terminal.raw = terminal_raw_of(&terminal.saved, signals);
	terminal_hook_signals();
	if (!terminal.has_exit_hook)
		terminal.has_exit_hook = !atexit(terminal_restore);
	atomic_store(&terminal.is_raw, true);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw))
		return err_set_errno(e, -errno,
				     "cannot set the terminal's settings");
	return 0;
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
	char path[32];
	int fd = -1, old;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", std_fd);
	if (stdio_can_reopen(std_fd))
		fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = fcntl(std_fd, F_DUPFD_CLOEXEC, 3);
	old = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	if (old < 0)
		return err_set_errno(e, -errno, "cannot use standard %s",
				     std_fd ? "output" : "input");
	*shared = !(old & O_NONBLOCK) && !fcntl(fd, F_SETFL, old | O_NONBLOCK);
	return fd;
}

static void stdio_close_fd(int fd, bool shared)
{
	if (shared)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
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

static int stdio_open(struct chardev *c, struct err *e)
{
	struct char_stdio *s = stdio_of(c);
	int fd;

	s->fd.in_fd = s->fd.out_fd = -1;
	if (atomic_exchange(&terminal.is_taken, true))
		return err_set(e, -EBUSY,
			       "chardev '%s': another chardev has standard "
			       "input and output",
			       c->id);
	s->has_input = true;
	fd = stdio_open_fd(STDIN_FILENO, O_RDONLY, &s->in_shared, e);
	if (fd < 0)
		return fd;
	s->fd.in_fd = fd;
	fd = stdio_open_fd(STDOUT_FILENO, O_WRONLY, &s->out_shared, e);
	if (fd < 0)
		return fd;
	s->fd.out_fd = fd;
	stdio_find_size(c);
	if (isatty(STDIN_FILENO)) {
		s->has_terminal = true;
		fd = terminal_take(s->signal, e);
		if (fd)
			return fd;
	}
	return char_fd_init(&s->fd, e);
}

static void stdio_close(struct chardev *c)
{
	struct char_stdio *s = stdio_of(c);

	if (s->has_terminal) {
		terminal_restore();
		terminal_unhook_signals();
	}
	if (s->has_input)
		atomic_store(&terminal.is_taken, false);
	stdio_close_fd(s->fd.in_fd, s->in_shared);
	stdio_close_fd(s->fd.out_fd, s->out_shared);
	char_fd_fini(&s->fd);
}

const struct char_driver char_stdio_driver = {
	.name = "stdio",
	.summary = "standard input and output",
	.size = sizeof(struct char_stdio),
	.props = char_stdio_props,
	.open = stdio_open,
	.close = stdio_close,
	.bind = char_fd_bind,
	.unbind = char_fd_unbind,
	.write = char_fd_write,
	.accept = char_fd_accept,
};
