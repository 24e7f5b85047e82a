/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend/chardev and its drivers: options, buffering and back pressure,
 * pacing of input, hang-ups, terminals.
 */
#include "backend/chardev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/json.h"
#include "base/keyval.h"
#include "test/lib/loop.h"

static struct err err;
static char dir[] = "/tmp/vireo-char-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[100];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int open_char(const char *text, struct chardev **ret)
{
	struct json_object *conf = NULL;
	int r;

	err = (struct err){0};
	assert_int_equal(keyval_parse(text, "backend", 0, &conf, &err), 0);
	r = char_open(conf, ret, &err);
	json_object_put(conf);
	return r;
}

static struct chardev *must_open(const char *backend, const char *more)
{
	struct chardev *c = NULL;
	char text[256];

	(void)snprintf(text, sizeof(text), "%s,id=c0%s%s", backend,
		       *more ? "," : "", more);
	if (open_char(text, &c))
		fail_msg("%s", err.text);
	return c;
}

static void assert_refused(const char *text, int code, const char *word)
{
	struct chardev *c = NULL;

	assert_int_equal(open_char(text, &c), code);
	assert_null(c);
	if (!strstr(err.text, word))
		fail_msg("'%s' is not in: %s", word, err.text);
}

/* --- a front end --- */

struct front {
	struct char_user u;
	_Atomic size_t room;
	unsigned char in[65536];
	unsigned got; /* bytes */
	unsigned opened, closed, writable;
};

static size_t front_can_receive(struct char_user *u)
{
	return container_of(u, struct front, u)->room;
}

static void front_receive(struct char_user *u, const uint8_t *buf, size_t len)
{
	struct front *f = container_of(u, struct front, u);

	assert_true(len > 0 && len <= f->room);
	assert_true(f->got + len <= sizeof(f->in));
	memcpy(f->in + f->got, buf, len);
	f->got += (unsigned)len;
	f->room -= len;
}

static void front_event(struct char_user *u, enum char_event ev)
{
	struct front *f = container_of(u, struct front, u);

	f->opened += ev == CHAR_OPENED;
	f->closed += ev == CHAR_CLOSED;
}

static void front_writable(struct char_user *u)
{
	container_of(u, struct front, u)->writable++;
}

static struct front front;

static void attach(struct chardev *c, struct loop *l, size_t room)
{
	front = (struct front){.u = {.can_receive = front_can_receive,
				     .receive = front_receive,
				     .event = front_event,
				     .writable = front_writable},
			       .room = room};
	assert_int_equal(char_claim(c, &front.u, "serial0", NULL), 0);
	if (char_bind(c, l, &err))
		fail_msg("%s", err.text);
}

static size_t size_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(name), &st), 0);
	return (size_t)st.st_size;
}

/* --- options --- */

static void refuses_bad_options(void **state)
{
	(void)state;
	assert_refused("id=a", -EINVAL, "'backend'");
	assert_refused("stdoi,id=a", -EINVAL, "did you mean 'stdio'");
	assert_refused("null", -EINVAL, "'id'");
	assert_refused("null,id=0a", -EINVAL, "0a");
	assert_refused("null,id=a,path=b", -ENOENT, "path");
	assert_refused("file,id=a", -EINVAL, "path");
	assert_refused("file,id=a,path=/nonexistent/x", -ENOENT,
		       "/nonexistent/x");
	assert_refused("file,id=a,path=/tmp,append=on", -EISDIR, "/tmp");
	assert_refused("file,id=a,path=/dev/null,input-path=/nonexistent/y",
		       -ENOENT, "/nonexistent/y");
}

static void check_form(const char *text, const char *backend, const char *key,
		       const char *value)
{
	struct json_object *conf = NULL;

	if (char_short_form(text, &conf, &err))
		fail_msg("%s", err.text);
	assert_string_equal(json_member_string(conf, "backend"), backend);
	if (key)
		assert_string_equal(json_member_string(conf, key), value);
	json_object_put(conf);
}

static void short_forms(void **state)
{
	struct json_object *conf = NULL;

	(void)state;
	check_form("stdio", "stdio", NULL, NULL);
	check_form("null", "null", NULL, NULL);
	check_form("pty", "pty", NULL, NULL);
	check_form("file:/tmp/a", "file", "path", "/tmp/a");
	check_form("file:/tmp/a b,,c=d", "file", "path", "/tmp/a b,,c=d");
	check_form("unix:/a,,b,server=on", "socket", "path", "/a,b");
	check_form("unix:/tmp/s,server,nowait", "socket", "path", "/tmp/s");
	check_form("unix:/tmp/s,server,nowait", "socket", "wait", "off");
	check_form("tcp:localhost:4444", "socket", "host", "localhost");
	check_form("tcp:localhost:4444", "socket", "port", "4444");
	check_form("tcp::4444,server=on", "socket", "host", "");
	check_form("tcp:[::1]:4444", "socket", "host", "::1");
	assert_int_equal(char_short_form("tcp:4444", &conf, &err), -EINVAL);
	assert_int_equal(char_short_form("unix:", &conf, &err), -EINVAL);
	assert_int_equal(char_short_form("stdiox", &conf, &err), -ENOENT);
	assert_int_equal(char_short_form("stdio,signal=off", &conf, &err),
			 -ENOENT);
	assert_int_equal(char_short_form("none", &conf, &err), -ENOENT);
	assert_int_equal(char_short_form("", &conf, &err), -ENOENT);
}

static void one_front_end(void **state)
{
	struct chardev *c = must_open("null", "");
	struct char_user a = {0}, b = {0};

	(void)state;
	assert_int_equal(char_claim(c, &a, "serial0", NULL), 0);
	assert_int_equal(char_claim(c, &b, "serial1", &err), -EBUSY);
	assert_non_null(strstr(err.text, "'serial0'"));
	assert_int_equal(char_write(c, "x", 1), 1);
	char_accept(c);
	char_release(c);
	assert_null(a.chardev);
	assert_int_equal(char_claim(c, &b, "serial1", &err), 0);
	char_close(c);
	char_close(NULL);
}

/* --- files --- */

static void file_takes_output(void **state)
{
	struct loop *l = test_loop_plain(state);
	char more[160], in[16] = "";
	struct chardev *c;
	uint64_t end;
	int fd;

	(void)snprintf(more, sizeof(more), "path=%s", path_of("out"));
	c = must_open("file", more);
	assert_int_equal(char_write(c, "a", 1), 1); /* before it is bound */
	attach(c, l, 0);
	test_loop_until(l, &front.opened, 1);
	assert_int_equal(char_write(c, "bc", 2), 2);
	end = test_now_ns() + 60 * NS_PER_S;
	while (size_of("out") < 3 && test_now_ns() < end)
		test_loop_step(l, 10 * NS_PER_MS);
	assert_int_equal(size_of("out"), 3);
	assert_int_equal(char_write(c, "def", 3), 3);
	char_close(c); /* writes what is left */
	fd = open(path_of("out"), O_RDONLY);
	assert_int_equal(read(fd, in, sizeof(in)), 6);
	assert_string_equal(in, "abcdef");
	close(fd);

	(void)snprintf(more, sizeof(more), "path=%s,append=on", path_of("out"));
	c = must_open("file", more);
	attach(c, l, 0);
	assert_int_equal(char_write(c, "g", 1), 1);
	char_close(c);
	assert_int_equal(size_of("out"), 7);
	(void)snprintf(more, sizeof(more), "path=%s", path_of("out"));
	char_close(must_open("file", more));
	assert_int_equal(size_of("out"), 0);
	loop_free(l);
}

static void full_disk_drops(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct chardev *c = must_open("file", "path=/dev/full");
	static char big[CHAR_BUFFER];

	attach(c, l, 0);
	test_loop_quiet(l);
	assert_int_equal(char_write(c, big, sizeof(big)), sizeof(big));
	test_loop_quiet(l);
	for (int i = 0; i < 3; i++)
		assert_int_equal(char_write(c, big, sizeof(big)), sizeof(big));
	char_close(c);
	loop_free(l);
}

/* A virtual clock stands still: output does not wait for it. */
static void output_on_a_virtual_clock(void **state)
{
	struct loop *l = test_loop_new(
		state, (struct loop_config){.virtual_clock = true});
	char more[160];
	struct chardev *c;

	(void)snprintf(more, sizeof(more), "path=%s", path_of("virt"));
	c = must_open("file", more);
	attach(c, l, 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(char_write(c, "x", 1), 1);
		test_loop_step(l, 100 * NS_PER_MS);
		test_loop_step(l, 0);
		assert_int_equal(size_of("virt"), i);
	}
	char_close(c);
	loop_free(l);
}

/* --- pipes --- */

static struct chardev *open_fifos(int *to, int *from)
{
	char more[320], a[128];
	struct chardev *c;

	(void)snprintf(a, sizeof(a), "%s", path_of("in"));
	(void)unlink(a);
	(void)unlink(path_of("fifo"));
	assert_int_equal(mkfifo(a, 0600), 0);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	*from = open(path_of("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	(void)snprintf(more, sizeof(more), "path=%s,input-path=%s,append=on",
		       path_of("fifo"), a);
	c = must_open("file", more);
	*to = open(a, O_WRONLY | O_CLOEXEC);
	return c;
}

/* PATH.in is what the guest receives, PATH.out what it sends; a writer that
 * leaves is no end, a reader need not be there. */
static void pipe_is_two_fifos(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct chardev *c;
	char more[160], in[4] = "";
	int to, from;

	(void)snprintf(more, sizeof(more), "pipe,id=a,path=%s", path_of("p"));
	assert_refused(more, -ENOENT, "p.in'");
	assert_int_equal(mkfifo(path_of("p.in"), 0600), 0);
	assert_refused(more, -ENOENT, "p.out'");
	close(creat(path_of("p.out"), 0600));
	assert_refused(more, -EINVAL, "mkfifo");
	unlink(path_of("p.out"));
	assert_int_equal(mkfifo(path_of("p.out"), 0600), 0);
	(void)snprintf(more, sizeof(more), "path=%s", path_of("p"));
	c = must_open("pipe", more);
	attach(c, l, 10);
	assert_int_equal(char_write(c, "out", 3), 3);
	test_loop_quiet(l);
	from = open(path_of("p.out"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(read(from, in, sizeof(in)), 3);
	assert_memory_equal(in, "out", 3);
	for (unsigned i = 1; i <= 2; i++) {
		to = open(path_of("p.in"), O_WRONLY | O_CLOEXEC);
		assert_int_equal(write(to, "in", 2), 2);
		close(to);
		test_loop_until(l, &front.got, 2 * i);
	}
	assert_memory_equal(front.in, "inin", 4);
	assert_int_equal(front.closed, 0);
	close(from);
	char_close(c);
	unlink(path_of("p.in"));
	unlink(path_of("p.out"));
	loop_free(l);
}

static void slow_peer_pushes_back(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char out[CHAR_BUFFER * 4], in[CHAR_BUFFER * 4];
	size_t sent = 0, got = 0, n;
	struct chardev *c;
	int to, from;

	c = open_fifos(&to, &from);
	attach(c, l, 0);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (unsigned char)(i * 7 + i / 251);
	/* Into the buffer and the pipe, until both are full. */
	do {
		n = char_write(c, out + sent, 5000);
		sent += n;
		test_loop_step(l, 0);
	} while (n == 5000 && sent + 5000 < sizeof(out));
	test_loop_quiet(l);
	assert_true(sent < sizeof(out));
	sent += char_write(c, out + sent, sizeof(out) - sent);
	assert_true(sent < sizeof(out));
	assert_int_equal(char_write(c, out + sent, 1), 0); /* full */
	assert_int_equal(front.writable, 0);
	while (got < sent) {
		ssize_t r = read(from, in + got, sizeof(in) - got);

		if (r > 0)
			got += (size_t)r;
		test_loop_step(l, NS_PER_MS);
	}
	assert_int_equal(got, sent);
	assert_memory_equal(in, out, sent);
	assert_true(front.writable > 0);
	char_close(c);
	close(to);
	close(from);
	loop_free(l);
}

#define STREAM (1U << 20)

static void *write_stream(void *opaque)
{
	struct chardev *c = opaque;
	unsigned sent = 0;

	while (sent < STREAM) {
		unsigned char b[3];
		unsigned len = MIN(STREAM - sent, 1 + sent % 3);

		for (unsigned i = 0; i < len; i++)
			b[i] = (unsigned char)((sent + i) * 13 % 251);
		sent += (unsigned)char_write(c, b, len);
	}
	return NULL;
}

/* Another thread writes byte by byte; none is lost, none out of order. */
static void output_from_a_thread(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char in[65536];
	struct chardev *c;
	pthread_t thread;
	unsigned got = 0;
	int to, from;

	c = open_fifos(&to, &from);
	attach(c, l, 0);
	assert_int_equal(pthread_create(&thread, NULL, write_stream, c), 0);
	while (got < STREAM) {
		ssize_t n = read(from, in, sizeof(in));

		for (ssize_t i = 0; i < n; i++, got++)
			if (in[i] != got * 13 % 251)
				fail_msg("byte %u", got);
		test_loop_step(l, NS_PER_MS);
	}
	pthread_join(thread, NULL);
	assert_int_equal(got, STREAM);
	char_close(c);
	close(to);
	close(from);
	loop_free(l);
}

static void reader_that_leaves(void **state)
{
	struct loop *l = test_loop_plain(state);
	static char big[CHAR_BUFFER];
	struct chardev *c;
	int to, from;

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	c = open_fifos(&to, &from);
	attach(c, l, 0);
	test_loop_quiet(l);
	close(from);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(char_write(c, big, sizeof(big)), sizeof(big));
		test_loop_quiet(l);
	}
	char_close(c);
	close(to);
	loop_free(l);
}

static void *accept_later(void *opaque)
{
	usleep(2000);
	front.room = 5;
	char_accept(opaque);
	return NULL;
}

static void input_waits_for_room(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct chardev *c;
	pthread_t thread;
	int to, from;

	c = open_fifos(&to, &from);
	attach(c, l, 3);
	assert_int_equal(write(to, "0123456789", 10), 10);
	test_loop_until(l, &front.got, 3);
	test_loop_quiet(l);
	assert_int_equal(front.got, 3);
	assert_int_equal(pthread_create(&thread, NULL, accept_later, c), 0);
	test_loop_until(l, &front.got, 8);
	pthread_join(thread, NULL);
	assert_int_equal(front.closed, 0);
	/* The writer leaves while two bytes wait: they still come first. */
	test_loop_quiet(l);
	close(to);
	test_loop_quiet(l);
	assert_int_equal(front.closed, 0);
	front.room = 100;
	char_accept(c);
	test_loop_until(l, &front.closed, 1);
	assert_int_equal(front.got, 10);
	assert_memory_equal(front.in, "0123456789", 10);
	test_loop_quiet(l);
	assert_int_equal(front.closed, 1);
	/* The end of input is not the end of output. */
	assert_int_equal(char_write(c, "x", 1), 1);
	char_close(c);
	assert_int_equal(read(from, front.in, 10), 1);
	close(from);
	loop_free(l);
}

/* --- pty --- */

static void pty_comes_and_goes(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct chardev *c = must_open("pty", "");
	char in[8] = "";
	int fd;

	attach(c, l, 100);
	assert_non_null(c->address);
	test_loop_quiet(l);
	assert_int_equal(front.opened, 0);
	/* Nobody is there. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(char_write(c, in, sizeof(in)), sizeof(in));
	for (unsigned i = 1; i <= 2; i++) {
		fd = open(c->address, O_RDWR | O_NOCTTY | O_NONBLOCK);
		assert_true(fd >= 0);
		test_loop_until(l, &front.opened, i);
		assert_int_equal(write(fd, "\x03\r", 2), 2);
		test_loop_until(l, &front.got, 2 * i);
		assert_memory_equal(front.in + 2 * i - 2, "\x03\r", 2);
		assert_int_equal(char_write(c, "hi\n", 3), 3);
		test_loop_quiet(l);
		assert_int_equal(read(fd, in, sizeof(in)), 3);
		assert_memory_equal(in, "hi\n", 3);
		close(fd);
		test_loop_until(l, &front.closed, i);
	}
	char_close(c);
	loop_free(l);
}

/* --- sockets --- */

static int connect_unix(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int connect_tcp(const char *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void refuses_bad_sockets(void **state)
{
	char text[256], path[128];

	(void)state;
	assert_refused("socket,id=a", -EINVAL, "path");
	assert_refused("socket,id=a,path=/tmp/x,port=1", -EINVAL, "path");
	assert_refused("socket,id=a,host=localhost,port=http", -EINVAL,
		       "'http'");
	assert_refused("socket,id=a,host=example.org,port=1", -EINVAL,
		       "example.org");
	assert_refused("socket,id=a,path=/nonexistent/s", -ENOENT,
		       "unix:/nonexistent/s");
	assert_refused("socket,id=a,fd=0x", -EINVAL, "0x");
	assert_refused("socket,id=a,fd=987", -EBADF, "987");
	assert_refused("socket,id=a,fd=3,path=/tmp/x", -EINVAL, "fd");
	(void)snprintf(text, sizeof(text), "socket,id=a,path=/%0150d", 1);
	assert_refused(text, -ENAMETOOLONG, "longer");
	/* A file in the place of the server's socket stays. */
	(void)snprintf(path, sizeof(path), "%s", path_of("precious"));
	close(open(path, O_CREAT | O_WRONLY, 0600));
	(void)snprintf(text, sizeof(text),
		       "socket,id=a,server=on,wait=off,path=%s", path);
	assert_refused(text, -EADDRINUSE, "precious");
	assert_int_equal(access(path, F_OK), 0);
}

/* One client after the other; a second waits until the first is gone. */
static void serve(struct loop *l, struct chardev *c, int (*dial)(const char *),
		  const char *address)
{
	static char big[CHAR_BUFFER];
	char in[8] = "";
	int fd, next;

	attach(c, l, 1000);
	test_loop_quiet(l);
	assert_int_equal(front.opened, 0);
	assert_int_equal(char_write(c, big, sizeof(big)), sizeof(big));
	assert_int_equal(char_write(c, big, sizeof(big)), sizeof(big));
	fd = dial(address);
	test_loop_until(l, &front.opened, 1);
	assert_int_equal(write(fd, "abc", 3), 3);
	test_loop_until(l, &front.got, 3);
	assert_int_equal(char_write(c, "hello", 5), 5);
	test_loop_quiet(l);
	assert_int_equal(read(fd, in, sizeof(in)), 5);
	assert_memory_equal(in, "hello", 5);
	next = dial(address);
	test_loop_quiet(l);
	assert_int_equal(front.opened, 1);
	close(fd);
	test_loop_until(l, &front.closed, 1);
	test_loop_until(l, &front.opened, 2);
	assert_int_equal(write(next, "de", 2), 2);
	test_loop_until(l, &front.got, 5);
	assert_memory_equal(front.in, "abcde", 5);
	close(next);
	test_loop_until(l, &front.closed, 2);
	char_close(c);
}

static void serves_unix(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct chardev *c = NULL;
	char more[256], path[128];

	(void)snprintf(path, sizeof(path), "%s", path_of("sock"));
	(void)snprintf(more, sizeof(more), "path=%s,server=on,wait=off", path);
	c = must_open("socket", more);
	/* It is in use: nobody else takes the path. */
	(void)snprintf(more, sizeof(more),
		       "socket,id=b,path=%s,server=on,wait=off", path);
	assert_refused(more, -EADDRINUSE, "sock");
	assert_int_equal(access(path, F_OK), 0);
	serve(l, c, connect_unix, path);
	assert_int_equal(access(path, F_OK), -1);
	loop_free(l);
}

static void serves_tcp(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct chardev *c =
		must_open("socket", "host=127.0.0.1,port=0,"
				    "server=on,wait=off,nodelay=on");
	char address[128];

	(void)snprintf(address, sizeof(address), "%s", c->address);
	serve(l, c, connect_tcp, address);
	loop_free(l);
}

/* A socket that a killed process left behind does not keep us out. */
static void replaces_a_stale_socket(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char more[256];

	(void)state;
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s",
		       path_of("stale"));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	(void)snprintf(more, sizeof(more), "path=%s,server=on,wait=off",
		       path_of("stale"));
	char_close(must_open("socket", more));
}

static void *dial_later(void *opaque)
{
	usleep(20000);
	return (void *)(intptr_t)connect_unix(opaque);
}

static void waits_for_a_client(void **state)
{
	struct loop *l = test_loop_plain(state);
	char more[256], path[128];
	struct chardev *c;
	pthread_t thread;
	void *fd;

	(void)snprintf(path, sizeof(path), "%s", path_of("wait"));
	assert_int_equal(pthread_create(&thread, NULL, dial_later, path), 0);
	(void)snprintf(more, sizeof(more), "path=%s,server=on", path);
	c = must_open("socket", more);
	pthread_join(thread, &fd);
	assert_true((intptr_t)fd >= 0);
	attach(c, l, 10);
	test_loop_until(l, &front.opened, 1);
	close((int)(intptr_t)fd);
	test_loop_until(l, &front.closed, 1);
	char_close(c);
	loop_free(l);
}

/* As client, by a descriptor, with a peer that stops reading and leaves. */
static void connects_to_a_server(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, n;
	static char big[CHAR_BUFFER];
	struct chardev *c;
	char more[256];

	signal(SIGPIPE, SIG_IGN);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path_of("srv"));
	(void)unlink(un.sun_path);
	assert_int_equal(bind(server, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(server, 1), 0);
	(void)snprintf(more, sizeof(more), "fd=%d,server=off", server);
	{
		char text[300];

		(void)snprintf(text, sizeof(text), "socket,id=a,%s", more);
		assert_refused(text, -EINVAL, "server=on");
	}
	(void)snprintf(more, sizeof(more), "path=%s", path_of("srv"));
	c = must_open("socket", more);
	peer = accept(server, NULL, NULL);
	attach(c, l, 0);
	test_loop_until(l, &front.opened, 1);
	n = 0;
	while (char_write(c, big, sizeof(big)) == sizeof(big) && n++ < 1000)
		test_loop_step(l, 0);
	assert_true(n < 1000); /* held back */
	assert_int_equal(front.closed, 0);
	close(peer);
	test_loop_until(l, &front.closed, 1);
	assert_int_equal(front.writable, 1);
	assert_int_equal(char_write(c, big, sizeof(big)), sizeof(big));
	char_close(c);
	close(server);
	loop_free(l);
}

/* --- stdio, on a terminal of its own, in a process of its own --- */

enum way_out { CLOSE, EXIT, ABORT, SEGV, WAYS };

static void stdio_child(enum way_out way, int slave, int report)
{
	const struct rlimit no_core = {0};
	struct chardev *c = NULL, *other = NULL;
	struct termios t;
	bool is_raw;

	setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(SIGSEGV, SIG_DFL); /* the test's own handlers */
	(void)signal(SIGABRT, SIG_DFL);
	dup2(slave, 0);
	dup2(slave, 1);
	if (open_char("stdio,id=a,signal=off", &c) || tcgetattr(0, &t))
		_exit(100);
	is_raw = !(t.c_lflag & (ICANON | ECHO | ISIG)) && !(t.c_iflag & ICRNL);
	/* The descriptor that others share still blocks. */
	if (fcntl(0, F_GETFL) & O_NONBLOCK)
		_exit(101);
	if (open_char("stdio,id=b", &other) != -EBUSY)
		_exit(102);
	if (write(report, is_raw ? "r" : "-", 1) != 1)
		_exit(103);
	switch (way) {
	case CLOSE:
		char_close(c);
		_exit(0);
	case EXIT:
		exit(0);
	case ABORT:
		abort();
	case SEGV:
		raise(SIGSEGV);
		break;
	case WAYS:
		break;
	}
	_exit(104);
}

static void terminal_is_restored(void **state)
{
	static const int signals[WAYS] = {[ABORT] = SIGABRT, [SEGV] = SIGSEGV};
	struct termios before = {0}, after = {0};
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, p[2], status;

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	for (enum way_out way = 0; way < WAYS; way++) {
		char raw = 0;
		pid_t pid;

		assert_int_equal(pipe(p), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			stdio_child(way, slave, p[1]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0,
				 signals[way]);
		if (WIFEXITED(status))
			assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(read(p[0], &raw, 1), 1);
		assert_int_equal(raw, 'r');
		assert_int_equal(tcgetattr(slave, &after), 0);
		assert_memory_equal(&before, &after, sizeof(before));
		close(p[0]);
		close(p[1]);
	}
	close(slave);
	close(master);
}

/* Pipes for standard input and output, as a script has them. */
static void stdio_on_pipes(void **state)
{
	struct loop *l = test_loop_plain(state);
	int in[2], out[2], old[2] = {dup(0), dup(1)};
	char buf[8] = "";
	struct chardev *c;

	assert_int_equal(pipe(in) | pipe(out), 0);
	fflush(stdout);
	dup2(in[0], 0);
	dup2(out[1], 1);
	c = must_open("stdio", "");
	attach(c, l, 100);
	assert_int_equal(write(in[1], "abc", 3), 3);
	close(in[1]);
	test_loop_until(l, &front.closed, 1);
	assert_int_equal(front.got, 3);
	assert_int_equal(char_write(c, "xyz", 3), 3);
	char_close(c);
	dup2(old[0], 0);
	dup2(old[1], 1);
	assert_int_equal(read(out[0], buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "xyz", 3);
	assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		close(old[i]);
		close(out[i]);
	}
	close(in[0]);
	loop_free(l);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(refuses_bad_options),
	cmocka_unit_test(short_forms),
	cmocka_unit_test(one_front_end),
	ON_BOTH_ENGINES(file_takes_output),
	ON_BOTH_ENGINES(full_disk_drops),
	ON_BOTH_ENGINES(output_on_a_virtual_clock),
	ON_BOTH_ENGINES(pipe_is_two_fifos),
	ON_BOTH_ENGINES(slow_peer_pushes_back),
	ON_BOTH_ENGINES(output_from_a_thread),
	ON_BOTH_ENGINES(reader_that_leaves),
	ON_BOTH_ENGINES(input_waits_for_room),
	ON_BOTH_ENGINES(pty_comes_and_goes),
	cmocka_unit_test(refuses_bad_sockets),
	ON_BOTH_ENGINES(serves_unix),
	ON_BOTH_ENGINES(serves_tcp),
	cmocka_unit_test(replaces_a_stale_socket),
	ON_BOTH_ENGINES(waits_for_a_client),
	ON_BOTH_ENGINES(connects_to_a_server),
	cmocka_unit_test(terminal_is_restored),
	ON_BOTH_ENGINES(stdio_on_pipes),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir) ? 1 : 0;
}
