/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal that vireo runs on: raw while it has it, as it was before at
 * every end, while it is stopped, and while another job has it.
 *
 * The test is the shell: a session leader with a pty as its terminal, whose
 * jobs are process groups.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/compiler.h"
#include "test/lib/child.h"

static int master, slave;

static bool is_raw(void *unused)
{
	struct termios t;

	(void)unused;
	assert_int_equal(tcgetattr(slave, &t), 0);
	return !(t.c_lflag & (ICANON | ECHO));
}

static bool is_cooked(void)
{
	return !is_raw(NULL);
}

static void in_group_of_its_own(void)
{
	setpgid(0, 0);
	signal(SIGTTOU, SIG_DFL);
}

static void in_foreground(void)
{
	setpgid(0, 0);
	tcsetpgrp(slave, getpid()); /* SIGTTOU is ignored */
	signal(SIGTTOU, SIG_DFL);
}

static void start(struct child *c, void (*prepare)(void),
		  const char *const *options)
{
	const struct child_start s = {slave, slave, -1, prepare, options,
				      false};

	assert_true(is_cooked());
	child_start_with(c, &s);
	c->in = fcntl(master, F_DUPFD_CLOEXEC, 3);
	c->out.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
}

/* Until the guest is there, on a terminal that is raw. */
static void start_in_foreground(struct child *c, const char *option,
				const char *value)
{
	const char *const options[] = {"-serial", "chardev:s", "-chardev",
				       value ? value : "stdio,id=s", option,
				       NULL};

	start(c, in_foreground, options);
	child_expect(c, "ready\r\n");
	assert_true(is_raw(NULL));
}

static void end(struct child *c, int status)
{
	child_wait(c);
	assert_true(is_cooked());
	tcsetpgrp(slave, getpgrp());
	tcflush(slave, TCIOFLUSH);
	/* It has no end while the test holds the other side. */
	close(c->out.fd);
	c->out.fd = -1;
	child_end(c, status);
}

static void restored_when_the_guest_ends(void **state)
{
	struct child c;

	(void)state;
	start_in_foreground(&c, NULL, NULL);
	child_say(&c, "exit 1\n");
	end(&c, 3);
}

static void restored_by_signals(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
				      SIGUSR1, SIGSYS,  SIGABRT, SIGBUS,
				      SIGSEGV};
	size_t n = ARRAY_SIZE(signals);
	struct child c;

	(void)state;
	if (CHILD_IS_SANITIZED)
		n -= 3; /* it handles those itself */
	for (size_t i = 0; i < n; i++) {
		start_in_foreground(&c, NULL, NULL);
		kill(c.pid, signals[i]);
		end(&c, i < 3 ? 0 : 128 + signals[i]);
	}
}

static void restored_when_set_up_fails(void **state)
{
	const char *const options[] = {"-serial", "stdio", "-kernel",
				       "/dev/null", NULL};
	struct child c;

	(void)state;
	start(&c, in_foreground, options);
	child_expect_error(&c, "/dev/null");
	end(&c, 1);
}

/* Before there is an event loop, while it waits for a client. */
static void restored_when_set_up_is_killed(void **state)
{
	char path[64], serial[128];
	const char *const options[] = {"-chardev", "stdio,id=s", "-serial",
				       serial, NULL};
	struct child c;

	(void)state;
	(void)snprintf(serial, sizeof(serial), "unix:%s,server=on",
		       child_file("sock", path, sizeof(path)));
	start(&c, in_foreground, options);
	child_expect_error(&c, "waiting for a client");
	assert_true(is_raw(NULL));
	kill(c.pid, SIGINT);
	end(&c, 128 + SIGINT);
	child_remove_dir();
}

static void keys_make_signals(void **state)
{
	struct child c;

	(void)state;
	start_in_foreground(&c, NULL, NULL);
	child_say(&c, "\3");
	child_expect_error(&c, "ended by SIGINT");
	end(&c, 0);
	start_in_foreground(&c, NULL, NULL);
	child_say(&c, "\34");
	end(&c, 128 + SIGQUIT);
}

static void keys_are_the_guests(void **state)
{
	struct child c;

	(void)state;
	start_in_foreground(&c, NULL, "stdio,id=s,signal=off");
	child_say(&c, "echo \3\32\34\n");
	child_expect(&c, "\3\32\34\r\n");
	child_say(&c, "off\n");
	end(&c, 0);
}

struct wait_for {
	const struct child *c;
	int flag, status;
};

static bool has_changed(void *arg)
{
	struct wait_for *w = arg;

	return waitpid(w->c->pid, &w->status, w->flag | WNOHANG) == w->c->pid;
}

static void wait_until_stopped(const struct child *c, int sig)
{
	struct wait_for w = {c, WUNTRACED, 0};

	assert_true(child_eventually(has_changed, &w));
	assert_true(WIFSTOPPED(w.status));
	assert_int_equal(WSTOPSIG(w.status), sig);
}

/* Ctrl-Z twice, as the handler has to come back. */
static void stops_and_goes_on(void **state)
{
	struct child c;

	(void)state;
	start_in_foreground(&c, NULL, NULL);
	for (unsigned i = 0; i < 2; i++) {
		child_say(&c, "\32");
		wait_until_stopped(&c, SIGTSTP);
		assert_true(is_cooked());
		kill(c.pid, SIGCONT);
		assert_true(child_eventually(is_raw, NULL));
		child_check_alive(&c, "again");
	}
	/* Stopped without being asked: the shell sets its own terminal. */
	kill(c.pid, SIGSTOP);
	wait_until_stopped(&c, SIGSTOP);
	kill(c.pid, SIGCONT);
	child_check_alive(&c, "again");
	child_say(&c, "off\n");
	end(&c, 0);
}

static bool has_ended_or_stopped(const struct child *c)
{
	struct wait_for w = {c, WUNTRACED, 0};

	return has_changed(&w);
}

static void runs_in_the_background(void **state)
{
	const char *const options[] = {"-serial", "stdio", NULL};
	struct child c;

	(void)state;
	start(&c, in_group_of_its_own, options);
	child_expect(&c, "ready\r\n");
	/* What is typed is not for it. */
	child_say(&c, "off\n");
	usleep(300000);
	assert_false(has_ended_or_stopped(&c));
	assert_true(is_cooked());
	tcflush(slave, TCIFLUSH);
	/* As a shell's fg, which tells a running job nothing. */
	tcsetpgrp(slave, c.pid);
	assert_true(child_eventually(is_raw, NULL));
	child_check_alive(&c, "here");
	/* And back: Ctrl-Z, then bg. */
	child_say(&c, "\32");
	wait_until_stopped(&c, SIGTSTP);
	tcsetpgrp(slave, getpgrp());
	kill(c.pid, SIGCONT);
	child_say(&c, "off\n");
	usleep(300000);
	assert_false(has_ended_or_stopped(&c));
	assert_true(is_cooked());
	kill(c.pid, SIGTERM);
	end(&c, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(restored_when_the_guest_ends),
	cmocka_unit_test(restored_by_signals),
	cmocka_unit_test(restored_when_set_up_fails),
	cmocka_unit_test(restored_when_set_up_is_killed),
	cmocka_unit_test(keys_make_signals),
	cmocka_unit_test(keys_are_the_guests),
	cmocka_unit_test(stops_and_goes_on),
	cmocka_unit_test(runs_in_the_background),
};

/* A session leader with a terminal. */
static int run_as_shell(void)
{
	setsid();
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) || unlockpt(master))
		return 1;
	slave = open(ptsname(master), O_RDWR | O_CLOEXEC);
	if (slave < 0 || tcgetpgrp(slave) != getpgrp())
		return 1;
	signal(SIGTTOU, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL) ? 1 : 0;
}

int main(void)
{
	pid_t pid;
	int status;

	payload_need_kvm();
	pid = fork();
	if (!pid)
		exit(run_as_shell());
	return waitpid(pid, &status, 0) != pid || status ? 1 : 0;
}
