/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw mode, the signals that end or stop the process, and job control.
 *
 * Theory of operation. The settings go back by terminal_close(), by exit(),
 * and by a handler for every signal that would end the process without either.
 * That handler is gone once it runs (SA_RESETHAND), and sends itself the
 * signal again, for what it does by default. Only SIGKILL, which is also how
 * seccomp ends a process, leaves the terminal raw; shells mend it.
 *
 * Ctrl-Z, likewise: the settings go back, the process stops; when it goes on
 * the handler is installed again. A process in the background leaves the
 * terminal alone: to set it would stop the process (SIGTTOU), and so would
 * reading from it (SIGTTIN). It is claimed when the process is in the
 * foreground: at SIGCONT, or when whoever reads asks again, since a shell that
 * brings a running job to the foreground does not tell the job.
 *
 * Handlers are installed once and stay: the jail lets nobody take them back,
 * and with the terminal closed they do nothing but what happens by default.
 *
 * Spec: termios(3), signal-safety(7); POSIX.1-2017, 11.1.4 (access control).
 * Threads: main; the handler of a crash: any.
 * Syscalls: main: ioctl (TCGETS, TCSETS, TIOCGPGRP), getpgrp, rt_sigaction,
 *       rt_sigprocmask; all: ioctl (TCSETS, TIOCGPGRP), getpgrp,
 *       rt_sigreturn, tgkill, getpid, gettid
 */
#include "backend/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/compiler.h"

/* What ends a process by default and can be caught. */
static const int fatal_signals[] = {
	SIGHUP, SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
	SIGUSR1, SIGSEGV, SIGUSR2, SIGALRM, SIGTERM, SIGXCPU, SIGSYS,
};

/* Signal handlers and exit() have no object to be given. */
static struct {
	_Atomic bool is_open;
	_Atomic bool is_raw; /* `saved` is to be restored */
	bool has_saved, is_hooked, signals;
	struct termios saved;
} terminal;

/* Where it is not our session's, there is no job control. */
static bool terminal_is_foreground(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group < 0 || group == getpgrp();
}

/* Every byte as typed; output is still made neat for a terminal. */
static int terminal_set_raw(void)
{
	struct termios raw = terminal.saved;

	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
				   IGNCR | ICRNL | IXON);
	raw.c_oflag |= OPOST;
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
	if (!terminal.signals)
		raw.c_lflag &= ~(tcflag_t)ISIG;
	raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	atomic_store(&terminal.is_raw, true);
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw) ? -errno : 0;
}

/* The settings as they are now are what to restore; unless they are our own
 * or another program's raw ones, which a shell may have put back. */
static int terminal_save(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &t))
		return -errno;
	if (!terminal.has_saved || (t.c_lflag & ICANON))
		terminal.saved = t;
	terminal.has_saved = true;
	return 0;
}

/* --- in signal handlers too, from here --- */

static void terminal_restore(void)
{
	int saved = errno;

	if (atomic_exchange(&terminal.is_raw, false) &&
	    terminal_is_foreground())
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
	errno = saved;
}

bool terminal_claim(void)
{
	if (!terminal_is_foreground())
		return false;
	/* A terminal that cannot be set is gone: the read will tell. */
	if (!atomic_load(&terminal.is_raw) && !terminal_save())
		(void)terminal_set_raw();
	return true;
}

static void terminal_on_fatal(int sig)
{
	terminal_restore();
	(void)raise(sig);
}

/* Whoever had the terminal meanwhile has set it as they liked. */
static void terminal_on_continue(int sig)
{
	int saved = errno;

	(void)sig;
	atomic_store(&terminal.is_raw, false);
	if (atomic_load(&terminal.is_open))
		(void)terminal_claim();
	errno = saved;
}

static void terminal_hook(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags}, old;

	/* What is ignored, or handled by another, stays so. */
	if (!sigaction(sig, NULL, &old) && old.sa_handler == SIG_DFL)
		(void)sigaction(sig, &sa, NULL);
}

static void terminal_on_stop(int sig)
{
	int saved = errno;
	sigset_t set;

	terminal_restore();
	(void)raise(sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	/* It has stopped, and goes on. */
	terminal_hook(sig, terminal_on_stop, (int)SA_RESETHAND | SA_RESTART);
	errno = saved;
}

/* --- opening and closing --- */

static void terminal_hook_all(void)
{
	if (terminal.is_hooked)
		return;
	terminal.is_hooked = true;
	for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
		terminal_hook(fatal_signals[i], terminal_on_fatal,
			      (int)SA_RESETHAND);
	terminal_hook(SIGTSTP, terminal_on_stop,
		      (int)SA_RESETHAND | SA_RESTART);
	terminal_hook(SIGCONT, terminal_on_continue, SA_RESTART);
	(void)atexit(terminal_restore);
}

int terminal_open(bool signals, struct err *e)
{
	int r;

	terminal.signals = signals;
	terminal.has_saved = false;
	terminal_hook_all();
	if (terminal_is_foreground()) {
		r = terminal_save();
		if (!r)
			r = terminal_set_raw();
		if (r)
			return err_set_errno(e, r,
					     "cannot set up the terminal");
	}
	atomic_store(&terminal.is_open, true);
	return 0;
}

void terminal_close(void)
{
	atomic_store(&terminal.is_open, false);
	terminal_restore();
}
