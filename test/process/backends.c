/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends of a running VM, inside the jail, on both engines of the
 * event loop: peers come, go, and come again.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/lib/child.h"
#include "test/lib/no_uring.h"

/* What a process with io_uring (NULL), or without, does first. */
typedef void (*engine)(void);

static void forbid(void)
{
	if (no_uring(SYS_io_uring_setup, EPERM))
		_exit(97);
}

/* As a kernel before 5.1. */
static void lack(void)
{
	if (no_uring(SYS_io_uring_setup, ENOSYS))
		_exit(97);
}

/* A ring that takes no restrictions and no files. */
static void lack_parts(void)
{
	if (no_uring(SYS_io_uring_register, EINVAL))
		_exit(97);
}

static void start(struct child *c, engine prepare, const char *const *options)
{
	const struct child_start s = {-1, -1, -1, prepare, options, false};

	child_start_with(c, &s);
	if (prepare)
		child_expect_error(c, "epoll");
}

static void end(struct child *c)
{
	child_say(c, "off\n");
	child_end(c, 0);
}

static void on_pipes(engine prepare)
{
	struct child c;

	start(&c, prepare, (const char *const[]){"-serial", "stdio", NULL});
	child_expect(&c, "ready\n");
	child_say(&c, "flood\n");
	child_expect(&c, "\nend\n");
	child_say(&c, "reset\n");
	child_expect(&c, "ready\n");
	end(&c);
}

static void on_a_pty(engine prepare)
{
	char path[64];
	struct child c;

	start(&c, prepare, (const char *const[]){"-serial", "pty", NULL});
	child_error_word(&c, "char device redirected to ", path, sizeof(path));
	for (unsigned i = 0; i < 3; i++) {
		child_talk_through(&c,
				   open(path, O_RDWR | O_NOCTTY | O_CLOEXEC));
		child_check_alive(&c, "here");
	}
	end(&c);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

/* A client that leaves in mid-output, too. */
static void as_tcp_server(engine prepare)
{
	char port[16];
	struct child c;

	start(&c, prepare,
	      (const char *const[]){"-serial",
				    "tcp:127.0.0.1:0,server=on,wait=off",
				    NULL});
	child_error_word(&c, "listens on port ", port, sizeof(port));
	for (unsigned i = 0; i < 4; i++) {
		child_talk_through(&c, connect_to((uint16_t)atoi(port)));
		child_check_alive(&c, "here");
		child_say(&c, "flood\n");
	}
	child_expect(&c, "\nend\n");
	end(&c);
}

static void as_unix_client(engine prepare)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char serial[128];
	struct child c;

	child_file("server", un.sun_path, sizeof(un.sun_path));
	unlink(un.sun_path);
	assert_int_equal(bind(server, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(server, 1), 0);
	(void)snprintf(serial, sizeof(serial), "unix:%s", un.sun_path);
	start(&c, prepare, (const char *const[]){"-serial", serial, NULL});
	child_talk_through(&c, accept(server, NULL, NULL));
	child_expect(&c, "ready\n");
	/* Without a server the guest runs on. */
	close(c.out.fd);
	close(c.in);
	c.in = c.out.fd = -1;
	kill(c.pid, SIGTERM);
	child_end(&c, 0);
	close(server);
}

static void with_everything_logged(engine prepare)
{
	char log[64];
	struct child c;
	struct stat st;

	child_file("log", log, sizeof(log));
	unlink(log);
	start(&c, prepare,
	      (const char *const[]){"-serial", "stdio", "-d", "all", NULL});
	child_expect(&c, "ready\n");
	end(&c);
	start(&c, NULL,
	      (const char *const[]){"-serial", "stdio", "-d", "all", "-D", log,
				    NULL});
	child_expect(&c, "ready\n");
	assert_int_equal(c.err.len, 0);
	end(&c);
	assert_int_equal(stat(log, &st), 0);
	assert_true(st.st_size > 100);
}

static void (*const acts[])(engine) = {
	on_pipes,       on_a_pty, as_tcp_server, as_unix_client,
	with_everything_logged,
};

static void run_all(engine prepare)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		acts[i](prepare);
}

static void on_io_uring(void **state)
{
	(void)state;
	run_all(NULL);
}

static void where_io_uring_is_forbidden(void **state)
{
	(void)state;
	run_all(forbid);
}

static void where_io_uring_is_unknown(void **state)
{
	(void)state;
	on_pipes(lack);
	on_pipes(lack_parts);
}

static int remove_files(void **state)
{
	(void)state;
	child_remove_dir();
	return 0;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(on_io_uring),
	cmocka_unit_test(where_io_uring_is_forbidden),
	cmocka_unit_test(where_io_uring_is_unknown),
};

TEST_MAIN_KVM_WITH(tests, NULL, remove_files)
