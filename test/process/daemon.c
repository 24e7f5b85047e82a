/* SPDX-License-Identifier: Apache-2.0 */
/*
 * -pidfile and -daemonize, and that nothing stays in the file system.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/lib/child.h"

static char pid_file[64], sock[64], server[128];

static int name_files(void **state)
{
	(void)state;
	child_file("pid", pid_file, sizeof(pid_file));
	child_file("sock", sock, sizeof(sock));
	(void)snprintf(server, sizeof(server), "unix:%s,server=on,wait=off",
		       sock);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	child_remove_dir();
	return 0;
}

static bool is_gone(void *path)
{
	return access(path, F_OK) && errno == ENOENT;
}

/* The number in the pid file; 0: there is none. */
static pid_t read_pid(void)
{
	FILE *f = fopen(pid_file, "r");
	int pid = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &pid) != 1)
		pid = 0;
	fclose(f);
	return pid;
}

static void pid_file_lives_as_long_as_the_vm(void **state)
{
	struct child c, second;

	(void)state;
	child_start(&c, "-serial", "stdio", "-pidfile", pid_file);
	child_expect(&c, "ready\n");
	assert_int_equal(read_pid(), c.pid);
	child_start(&second, "-pidfile", pid_file);
	child_expect_error(&second, "is held by another process\n");
	child_end(&second, 1);
	assert_int_equal(read_pid(), c.pid);
	child_say(&c, "off\n");
	child_wait(&c);
	assert_true(is_gone(pid_file));
	child_end(&c, 0);
}

static bool is_listening(void *fd)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	strcpy(un.sun_path, sock);
	return !connect(*(int *)fd, (struct sockaddr *)&un, sizeof(un));
}

/* From here the test talks to the guest through the socket. */
static void connect_to_guest(struct child *c)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(child_eventually(is_listening, &fd));
	child_talk_through(c, fd);
}

static void a_kill_leaves_nothing(void **state)
{
	struct child c;

	(void)state;
	child_start(&c, "-serial", server, "-pidfile", pid_file);
	connect_to_guest(&c);
	child_check_alive(&c, "here");
	kill(c.pid, SIGKILL);
	child_end(&c, 128 + SIGKILL);
	assert_true(child_eventually(is_gone, pid_file));
	assert_true(child_eventually(is_gone, sock));
}

static void clients_come_and_go(void **state)
{
	struct child c;

	(void)state;
	child_start(&c, "-serial", server);
	for (unsigned i = 0; i < 3; i++) {
		connect_to_guest(&c);
		child_check_alive(&c, "here");
	}
	child_say(&c, "off\n");
	child_wait(&c);
	assert_true(is_gone(sock));
	child_end(&c, 0);
}

/* Of a process that nobody swept up after. */
static void stale_files_are_taken_over(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = open(pid_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct child c;

	(void)state;
	assert_int_equal(write(fd, "123456\n", 7), 7);
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(un.sun_path, sock);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	child_start(&c, "-serial", server, "-pidfile", pid_file);
	connect_to_guest(&c);
	assert_int_equal(read_pid(), c.pid);
	kill(c.pid, SIGTERM);
	child_wait(&c);
	assert_true(is_gone(pid_file));
	assert_true(is_gone(sock));
	child_end(&c, 0);
}

/* Only what is ours is removed. */
static void a_replaced_pid_file_stays(void **state)
{
	struct child c;
	int fd;

	(void)state;
	child_start(&c, "-serial", "stdio", "-pidfile", pid_file);
	child_expect(&c, "ready\n");
	assert_int_equal(unlink(pid_file), 0);
	fd = open(pid_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	child_say(&c, "off\n");
	child_end(&c, 0);
	assert_false(is_gone(pid_file));
	close(fd);
	unlink(pid_file);
}

static void a_bad_pid_file_is_refused(void **state)
{
	char missing[64];
	struct child c;

	(void)state;
	assert_int_equal(symlink("elsewhere", pid_file), 0);
	child_start(&c, "-pidfile", pid_file);
	child_expect_error(&c, "' is a symbolic link\n");
	child_end(&c, 1);
	unlink(pid_file);
	child_start(&c, "-pidfile",
		    child_file("none/pid", missing, sizeof(missing)));
	child_expect_error(&c, "cannot open '");
	child_expect_error(&c, "none/pid': No such file or directory\n");
	child_end(&c, 1);
	/* Set-up fails after it was written. */
	child_start(&c, "-pidfile", pid_file, "-kernel", "/dev/null");
	child_expect_error(&c, "/dev/null");
	child_end(&c, 1);
	assert_true(is_gone(pid_file));
}

static void check_link(pid_t pid, const char *name, const char *target)
{
	char path[64], found[64] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	assert_true(readlink(path, found, sizeof(found) - 1) > 0);
	assert_string_equal(found, target);
}

static void a_daemon_leaves_everything_behind(void **state)
{
	struct child c;
	pid_t pid;

	(void)state;
	child_start(&c, "-daemonize", "-serial", server, "-pidfile", pid_file);
	assert_int_equal(child_wait(&c), 0);
	pid = read_pid();
	assert_true(pid > 0 && pid != c.pid);
	assert_int_equal(getsid(pid), pid);
	check_link(pid, "cwd", "/");
	check_link(pid, "fd/0", "/dev/null");
	check_link(pid, "fd/1", "/dev/null");
	check_link(pid, "fd/2", "/dev/null");
	connect_to_guest(&c);
	child_check_alive(&c, "here");
	kill(pid, SIGTERM);
	assert_true(child_eventually(is_gone, pid_file));
	assert_true(child_eventually(is_gone, sock));
	child_end(&c, 0);
}

static void a_daemon_that_fails_says_so(void **state)
{
	struct child c;

	(void)state;
	child_start(&c, "-daemonize", "-pidfile", pid_file, "-kernel",
		    "/nonexistent");
	child_expect_error(&c, "cannot open '/nonexistent'");
	child_end(&c, 1);
	assert_true(is_gone(pid_file));
	child_start(&c, "-daemonize", "-serial", "stdio");
	child_expect_error(&c, "-daemonize leaves the terminal");
	child_end(&c, 1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(pid_file_lives_as_long_as_the_vm),
	cmocka_unit_test(a_kill_leaves_nothing),
	cmocka_unit_test(clients_come_and_go),
	cmocka_unit_test(stale_files_are_taken_over),
	cmocka_unit_test(a_replaced_pid_file_stays),
	cmocka_unit_test(a_bad_pid_file_is_refused),
	cmocka_unit_test(a_daemon_leaves_everything_behind),
	cmocka_unit_test(a_daemon_that_fails_says_so),
};

TEST_MAIN_KVM_WITH(tests, name_files, remove_files)
