/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a VM ends, and what it lives through: the guest's wish, signals, and a
 * host that takes no more output.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "test/lib/child.h"

static void told_to_end(const char *command, int status, const char *option,
			const char *value)
{
	struct child c;

	if (option)
		child_start(&c, "-serial", "stdio", option, value);
	else
		child_start(&c, "-serial", "stdio");
	child_expect(&c, "ready\n");
	child_say(&c, command);
	child_end(&c, status);
}

static void the_guest_ends_it(void **state)
{
	(void)state;
	told_to_end("off\n", 0, NULL, NULL);
	told_to_end("exit 0\n", 1, NULL, NULL);
	told_to_end("exit 3\n", 7, NULL, NULL);
	told_to_end("reset\n", 0, "-action", "reboot=shutdown");
	told_to_end("fault\n", 0, "-action", "reboot=shutdown");
	told_to_end("panic\n", 0, NULL, NULL);
	told_to_end("panic\n", 1, "-action", "panic=exit-failure");
}

/* Inside the jail: the kernel is loaded again, and everything still works. */
static void resets_as_often_as_told(void **state)
{
	static const char *const ways[] = {"reset\n", "fault\n"};
	struct child c;

	(void)state;
	child_start(&c, "-serial", "stdio", "-smp", "2");
	for (unsigned i = 0; i < 6; i++) {
		child_expect(&c, "ready\n");
		child_say(&c, ways[i % 2]);
	}
	child_expect(&c, "ready\n");
	child_check_alive(&c, "again");
	child_say(&c, "off\n");
	child_end(&c, 0);
}

static void stays_paused(void **state)
{
	static const char *const cases[][3] = {
		{"panic\n", "-action", "panic=pause"},
		{"panic\n", "-action", "shutdown=pause"},
		{"off\n", "-action", "shutdown=pause"},
		{"off\n", "-no-shutdown", NULL},
		{"reset\n", "-no-shutdown", "-no-reboot"},
	};
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		child_start(&c, "-serial", "stdio", cases[i][1], cases[i][2]);
		child_expect(&c, "ready\n");
		child_say(&c, cases[i][0]);
		child_expect_error(&c, "the guest is stopped");
		kill(c.pid, SIGTERM);
		child_end(&c, 0);
	}
}

static void a_signal_ends_it(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		child_start(&c, "-serial", "stdio");
		child_expect(&c, "ready\n");
		child_say(&c, "spin\n");
		kill(c.pid, signals[i]);
		child_expect_error(&c, sigabbrev_np(signals[i]));
		child_end(&c, 0);
	}
}

static void ignore_hangup(void)
{
	signal(SIGHUP, SIG_IGN);
}

static void nohup_is_respected(void **state)
{
	const struct child_start s = {
		-1, -1, -1, ignore_hangup,
		(const char *const[]){"-serial", "stdio", NULL}, false};
	struct child c;

	(void)state;
	child_start_with(&c, &s);
	child_expect(&c, "ready\n");
	kill(c.pid, SIGHUP);
	child_check_alive(&c, "still");
	kill(c.pid, SIGTERM);
	child_end(&c, 0);
}

/* Whoever read the console went away: the VM runs on. */
static void nobody_reads_the_console(void **state)
{
	struct child c;

	(void)state;
	child_start(&c, "-serial", "stdio");
	child_expect(&c, "ready\n");
	close(c.out.fd);
	c.out.fd = -1;
	child_say(&c, "flood\n");
	child_expect_error(&c, "output is lost from here: Broken pipe\n");
	child_say(&c, "exit 2\n");
	child_end(&c, 5);
}

static void limit_file_size(void)
{
	const struct rlimit limit = {10000, 10000};

	if (setrlimit(RLIMIT_FSIZE, &limit))
		_exit(97);
}

static void a_file_reaches_its_limit(void **state)
{
	char log[64], fifo[64], chardev[256];
	const char *const options[] = {"-chardev", chardev, "-serial",
				       "chardev:c", NULL};
	const struct child_start s = {-1, -1, -1, limit_file_size, options,
				      false};
	struct child c;

	(void)state;
	child_file("fifo", fifo, sizeof(fifo));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	(void)snprintf(chardev, sizeof(chardev),
		       "file,id=c,path=%s,input-path=%s",
		       child_file("log", log, sizeof(log)), fifo);
	child_start_with(&c, &s);
	c.in = open(fifo, O_RDWR);
	child_say(&c, "flood\n");
	child_expect_error(&c, "output is lost from here: File too large\n");
	child_say(&c, "exit 2\n");
	child_end(&c, 5);
}

/* What was said last is not lost, however much it is. */
static void all_output_arrives(void **state)
{
	struct child c;

	(void)state;
	child_start(&c, "-serial", "stdio");
	child_expect(&c, "ready\n");
	child_say(&c, "flood\noff\n");
	child_expect(&c, "\nend\n");
	child_end(&c, 0);
}

static int remove_files(void **state)
{
	(void)state;
	child_remove_dir();
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_guest_ends_it),
	cmocka_unit_test(resets_as_often_as_told),
	cmocka_unit_test(stays_paused),
	cmocka_unit_test(a_signal_ends_it),
	cmocka_unit_test(nohup_is_respected),
	cmocka_unit_test(nobody_reads_the_console),
	cmocka_unit_test_teardown(a_file_reaches_its_limit, remove_files),
	cmocka_unit_test(all_output_arrives),
};

TEST_MAIN_KVM(tests)
