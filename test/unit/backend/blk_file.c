/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend/blk_file*: opening and refusing, locks, transfers on both engines,
 * what the host does wrong, O_DIRECT on 512-byte and 4096-byte blocks.
 *
 * Errors of the host are injected by putting another file behind the node's
 * descriptor before it is bound: /dev/full (ENOSPC), /proc/self/mem (EIO
 * where nothing is mapped).
 */
#include "backend/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/keyval.h"
#include "test/lib/loop.h"
#include "test/lib/loopdev.h"

static struct blk_graph graph;
static struct err err;
static char dir[] = "/tmp/vireo-blk-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int open_node(struct blk_node **ret, const char *driver,
		     const char *path, const char *more)
{
	struct json_object *conf = NULL;
	char text[512];
	int r;

	(void)snprintf(text, sizeof(text), "driver=%s,filename=%s%s%s", driver,
		       path, *more ? "," : "", more);
	assert_int_equal(keyval_parse(text, NULL, 0, &conf, &err), 0);
	err = (struct err){0};
	r = blk_open(&graph, conf, "-blockdev", ret, &err);
	json_object_put(conf);
	return r;
}

static struct blk_node *must_open(const char *path, const char *more)
{
	struct blk_node *n = NULL;

	if (open_node(&n, "file", path, more))
		fail_msg("%s", err.text);
	return n;
}

static void assert_refused(const char *driver, const char *path,
			   const char *more, int code, const char *word)
{
	struct blk_node *n = NULL;

	assert_int_equal(open_node(&n, driver, path, more), code);
	if (!strstr(err.text, word))
		fail_msg("'%s' is not in: %s", word, err.text);
}

/* A file of bytes that differ by place. */
static unsigned char pattern(uint64_t at)
{
	return (unsigned char)(at * 131 + at / 512 * 17 + 1);
}

static void make_file(const char *name, size_t bytes)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	for (size_t i = 0; i < bytes; i++)
		fputc(pattern(i), f);
	assert_int_equal(fclose(f), 0);
}

static int new_graph(void **state)
{
	(void)state;
	blk_graph_init(&graph);
	return 0;
}

static int end_graph(void **state)
{
	(void)state;
	blk_graph_fini(&graph);
	return 0;
}

static int make_dir(void **state)
{
	(void)state;
	/* The program ignores it, too: a limit is an error of the write. */
	signal(SIGXFSZ, SIG_IGN);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* --- opening --- */

static void refuses_what_it_cannot_open(void **state)
{
	(void)state;
	make_file("plain", 512);
	assert_refused("file", path_of("absent"), "", -ENOENT, "absent");
	assert_refused("file", dir, "", -EISDIR, dir);
	assert_refused("file", dir, "read-only=on", -EISDIR, dir);
	assert_refused("file", "/dev/null", "", -EINVAL, "/dev/null");
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_refused("file", path_of("fifo"), "", -EINVAL, "fifo");
	assert_refused("file", path_of("fifo"), "read-only=on", -EINVAL,
		       "fifo");
	assert_refused("host_device", path_of("plain"), "", -EINVAL,
		       "driver=file");
	assert_refused("file", path_of("plain"), "aio=native", -EINVAL, "aio");
	assert_refused("file", path_of("plain"), "locking=maybe", -EINVAL,
		       "locking");
	assert_refused("file", "/proc/self/status",
		       "cache.direct=on,"
		       "read-only=on",
		       -EINVAL, "cache.direct=off");
	assert_true(list_empty(&graph.nodes));
}

static void filename_is_needed(void **state)
{
	struct json_object *conf = NULL;
	struct blk_node *n = NULL;

	(void)state;
	assert_int_equal(keyval_parse("driver=file", NULL, 0, &conf, &err), 0);
	assert_int_equal(blk_open(&graph, conf, "-blockdev", &n, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "filename"));
	json_object_put(conf);
	/* The descriptors of the test are still open. */
	assert_int_equal(fcntl(0, F_GETFD) < 0, 0);
}

static void says_how_to_read_only(void **state)
{
	(void)state;
	if (geteuid())
		test_skip("only root can become another user");
	make_file("protected", 512);
	assert_int_equal(chmod(path_of("protected"), 0444), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_refused("file", path_of("protected"), "", -EACCES,
		       "read-only=on");
	must_open(path_of("protected"), "read-only=on");
	assert_int_equal(seteuid(0), 0);
}

static void size_is_whole_sectors(void **state)
{
	struct blk_node *n;

	(void)state;
	make_file("odd", 1000);
	n = must_open(path_of("odd"), "");
	assert_int_equal(n->caps.bytes, 1024);
	make_file("empty", 0);
	n = must_open(path_of("empty"), "");
	assert_int_equal(n->caps.bytes, 0);
	assert_true(n->caps.flush);
	assert_false(n->caps.discard);
	n = must_open(path_of("plain"), "discard=unmap");
	assert_true(n->caps.discard && n->caps.unmap);
	blk_graph_fini(&graph);
	n = must_open(path_of("plain"), "discard=unmap,read-only=on");
	assert_false(n->caps.discard || n->caps.write_zeroes);
	assert_true(n->caps.read_only);
}

/* --- locks --- */

/* Opens the image in another process: 0, or what failed. */
static int open_elsewhere(const char *more)
{
	struct blk_node *n = NULL;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(-open_node(&n, "file", path_of("locked"), more));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void one_writer_at_a_time(void **state)
{
	(void)state;
	make_file("locked", 4096);
	assert_int_equal(open_elsewhere(""), 0);
	must_open(path_of("locked"), "locking=on");
	assert_int_equal(open_elsewhere(""), -EBUSY);
	assert_int_equal(open_elsewhere("locking=on"), -EBUSY);
	assert_int_equal(open_elsewhere("read-only=on"), -EBUSY);
	assert_int_equal(open_elsewhere("locking=off"), 0);
	/* In one process, too. */
	assert_refused("file", path_of("locked"), "", -EBUSY, "locking=off");
	blk_graph_fini(&graph);
	assert_int_equal(open_elsewhere(""), 0);
}

static void readers_share(void **state)
{
	(void)state;
	make_file("locked", 4096);
	must_open(path_of("locked"), "read-only=on");
	assert_int_equal(open_elsewhere("read-only=on"), 0);
	assert_int_equal(open_elsewhere(""), -EBUSY);
	must_open(path_of("locked"), "read-only=on");
}

/* --- transfers --- */

struct req {
	struct blk_req r;
	int result;
};

static unsigned ended;

static void req_done(struct blk_req *r, int result)
{
	struct req *q = container_of(r, struct req, r);

	assert_int_equal(q->result, 1);
	q->result = result;
	ended++;
}

static void start(struct blk_node *n, struct req *q, enum blk_op op,
		  uint64_t offset, uint64_t bytes)
{
	q->r.op = op;
	q->r.offset = offset;
	q->r.bytes = bytes;
	q->r.done = req_done;
	q->result = 1;
	blk_submit(n, &q->r);
}

static int finish(struct loop *l, struct blk_node *n, struct req *q)
{
	ended = 0;
	assert_int_equal(q->result, 1);
	test_loop_until(l, &ended, 1);
	assert_int_equal(n->in_flight, 0);
	return q->result;
}

static int rw(struct loop *l, struct blk_node *n, enum blk_op op,
	      uint64_t offset, void *buf, size_t bytes)
{
	struct iovec iov = {buf, bytes};
	struct req q = {.r = {.iov = &iov, .niov = 1}};

	start(n, &q, op, offset, bytes);
	return finish(l, n, &q);
}

static int other(struct loop *l, struct blk_node *n, enum blk_op op,
		 uint64_t offset, uint64_t bytes, unsigned flags)
{
	struct req q = {.r = {.flags = flags}};

	start(n, &q, op, offset, bytes);
	return finish(l, n, &q);
}

static void assert_pattern(const unsigned char *buf, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != pattern(at + i))
			fail_msg("byte %zu of [%zu, +%zu)", i, (size_t)at, len);
}

static void assert_all(const unsigned char *buf, int value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != value)
			fail_msg("byte %zu is %d, not %d", i, buf[i], value);
}

static struct blk_node *bound(struct loop *l, const char *name,
			      const char *more)
{
	struct blk_node *n;

	blk_graph_init(&graph);
	n = must_open(path_of(name), more);
	assert_int_equal(blk_bind(n, l, NULL), 0);
	return n;
}

static void end(struct loop *l)
{
	blk_graph_fini(&graph);
	loop_free(l);
}

/* Uses the image until it is killed; says through fd when it does. */
static void use_until_killed(struct loop *l, int fd)
{
	static unsigned char a[4096];
	struct blk_node *n = bound(l, "locked", "");

	if (rw(l, n, BLK_READ, 0, a, sizeof(a)) || write(fd, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* A lock ends with its process, though the kernel takes the process's ring,
 * and the files registered with it, apart some time later. */
static void killed_user_leaves_no_lock(void **state)
{
	struct blk_node *n = NULL;
	int status, fd[2];
	char c;

	loop_free(test_loop_plain(state)); /* or skip, not in the child */
	make_file("locked", 4096);
	for (int i = 0; i < 20; i++) {
		pid_t pid;

		assert_int_equal(pipe(fd), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			use_until_killed(test_loop_plain(state), fd[1]);
		close(fd[1]);
		assert_int_equal(read(fd[0], &c, 1), 1);
		close(fd[0]);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (open_node(&n, "file", path_of("locked"), ""))
			fail_msg("after %d: %s", i, err.text);
		blk_graph_fini(&graph);
	}
}

static void reads_and_writes(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[8192], b[8192];
	struct blk_node *n;

	make_file("rw", 65536);
	n = bound(l, "rw", "");
	assert_int_equal(rw(l, n, BLK_READ, 512, a, 8192), 0);
	assert_pattern(a, 512, 8192);
	memset(b, 0x55, sizeof(b));
	assert_int_equal(rw(l, n, BLK_WRITE, 1024, b, 1024), 0);
	assert_int_equal(other(l, n, BLK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(rw(l, n, BLK_READ, 512, a, 8192), 0);
	assert_pattern(a, 512, 512);
	assert_all(a + 512, 0x55, 1024);
	assert_pattern(a + 1536, 2048, 8192 - 1536);
	end(l);
}

#define PIECES 4500

/* More iovecs than one system call takes, of odd lengths. */
static void long_vectors(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[PIECES * 8];
	static struct iovec iov[PIECES];
	struct req q = {.r = {.iov = iov}};
	struct blk_node *n;
	size_t at = 0, total = 512 * 40;

	make_file("vec", 65536);
	n = bound(l, "vec", "");
	while (at < total) {
		size_t len = MIN(1 + (at * 7) % 13, total - at);

		iov[q.r.niov++] = (struct iovec){a + at, len};
		at += len;
	}
	assert_true(q.r.niov > 2048);
	start(n, &q, BLK_READ, 1024, total);
	assert_int_equal(finish(l, n, &q), 0);
	assert_pattern(a, 1024, total);
	for (size_t i = 0; i < total; i++)
		a[i] = (unsigned char)~a[i];
	start(n, &q, BLK_WRITE, 1024, total);
	assert_int_equal(finish(l, n, &q), 0);
	memset(a, 0, sizeof(a));
	assert_int_equal(rw(l, n, BLK_READ, 1024, a, total), 0);
	for (size_t i = 0; i < total; i++)
		a[i] = (unsigned char)~a[i];
	assert_pattern(a, 1024, total);
	end(l);
}

static void reads_past_the_end_are_zeroes(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[4096];
	struct iovec iov[3] = {{a, 700}, {a + 700, 900}, {a + 1600, 448}};
	struct req q = {.r = {.iov = iov, .niov = 3}};
	struct blk_node *n;

	make_file("short", 1000);
	n = bound(l, "short", "");
	memset(a, 0xff, sizeof(a));
	assert_int_equal(rw(l, n, BLK_READ, 0, a, 1024), 0);
	assert_pattern(a, 0, 1000);
	assert_all(a + 1000, 0, 24);
	assert_all(a + 1024, 0xff, 100);
	end(l);

	/* And where the file is cut under the guest. */
	l = test_loop_plain(state);
	make_file("cut", 8192);
	n = bound(l, "cut", "");
	assert_int_equal(truncate(path_of("cut"), 1100), 0);
	memset(a, 0xff, sizeof(a));
	start(n, &q, BLK_READ, 0, 2048);
	assert_int_equal(finish(l, n, &q), 0);
	assert_pattern(a, 0, 1100);
	assert_all(a + 1100, 0, 2048 - 1100);
	assert_int_equal(rw(l, n, BLK_READ, 4096, a, 4096), 0);
	assert_all(a, 0, 4096);
	end(l);
}

static void zeroes_and_discards(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[65536];
	struct blk_node *n;
	struct stat before, after;

	make_file("zero", 65536);
	n = bound(l, "zero", "discard=unmap");
	assert_int_equal(other(l, n, BLK_WRITE_ZEROES, 512, 1024, 0), 0);
	assert_int_equal(rw(l, n, BLK_READ, 0, a, 4096), 0);
	assert_pattern(a, 0, 512);
	assert_all(a + 512, 0, 1024);
	assert_pattern(a + 1536, 1536, 4096 - 1536);
	sync();
	assert_int_equal(stat(path_of("zero"), &before), 0);
	assert_int_equal(
		other(l, n, BLK_WRITE_ZEROES, 8192, 16384, BLK_MAY_UNMAP), 0);
	assert_int_equal(other(l, n, BLK_DISCARD, 32768, 16384, 0), 0);
	assert_int_equal(rw(l, n, BLK_READ, 0, a, 65536), 0);
	assert_all(a + 8192, 0, 16384);
	assert_pattern(a + 24576, 24576, 8192);
	assert_all(a + 32768, 0, 16384);
	assert_pattern(a + 49152, 49152, 16384);
	assert_int_equal(stat(path_of("zero"), &after), 0);
	assert_int_equal(after.st_size, 65536);
	assert_true(after.st_blocks < before.st_blocks);
	end(l);
}

/* A host without fallocate for this file: zeroes are written. */
static void zeroes_without_fallocate(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[5 * 65536];
	struct blk_node *n;
	struct blk_file *f;

	make_file("nofall", sizeof(a));
	n = bound(l, "nofall", "discard=unmap");
	f = container_of(n, struct blk_file, node);
	f->no_punch = f->no_zero_range = true;
	assert_int_equal(other(l, n, BLK_WRITE_ZEROES, 1024, 4 * 65536,
			       BLK_MAY_UNMAP | BLK_FUA),
			 0);
	assert_int_equal(other(l, n, BLK_DISCARD, 0, 1024, 0), 0);
	assert_int_equal(rw(l, n, BLK_READ, 0, a, sizeof(a)), 0);
	assert_pattern(a, 0, 1024);
	assert_all(a + 1024, 0, 4 * 65536);
	assert_pattern(a + 1024 + 4 * 65536, 1024 + 4 * 65536, 65536 - 1024);
	end(l);
}

/* --- what the host does wrong --- */

/* Puts another file behind the node's descriptor. */
static struct blk_node *bound_over(struct loop *l, const char *other_path)
{
	struct blk_node *n;
	int fd = open(other_path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	make_file("victim", 65536);
	blk_graph_init(&graph);
	n = must_open(path_of("victim"), "discard=unmap");
	assert_true(dup3(fd, container_of(n, struct blk_file, node)->fd,
			 O_CLOEXEC) >= 0);
	close(fd);
	assert_int_equal(blk_bind(n, l, NULL), 0);
	return n;
}

static void full_disk_is_an_error(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[65536];
	struct blk_node *n = bound_over(l, "/dev/full");

	assert_int_equal(rw(l, n, BLK_WRITE, 0, a, 512), -ENOSPC);
	assert_int_equal(rw(l, n, BLK_WRITE, 512, a, 4096), -ENOSPC);
	/* No fallocate there: written, by way of the bounce buffers. */
	for (int i = 0; i < 20; i++)
		assert_int_equal(other(l, n, BLK_WRITE_ZEROES, 0, 4096, 0) < 0,
				 1);
	assert_int_equal(rw(l, n, BLK_READ, 0, a, 512), 0);
	end(l);
}

static void bad_disk_is_an_error(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[4096];
	struct blk_node *n = bound_over(l, "/proc/self/mem");

	assert_int_equal(rw(l, n, BLK_READ, 0, a, 4096), -EIO);
	assert_int_equal(rw(l, n, BLK_WRITE, 0, a, 4096), -EIO);
	/* It cannot be flushed: no later flush is believed either. */
	assert_int_equal(other(l, n, BLK_FLUSH, 0, 0, 0), -EINVAL);
	assert_int_equal(other(l, n, BLK_FLUSH, 0, 0, 0), -EIO);
	end(l);
}

static int write_flags(struct loop *l, struct blk_node *n, unsigned flags)
{
	static unsigned char a[512];
	struct iovec iov = {a, 512};
	struct req q = {.r = {.iov = &iov, .niov = 1, .flags = flags}};

	start(n, &q, BLK_WRITE, 512, 512);
	return finish(l, n, &q);
}

/* BLK_FUA: what cannot be flushed is not written. */
static void forced_writes_are_flushed(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct blk_node *n = bound_over(l, "/dev/zero");

	assert_int_equal(write_flags(l, n, 0), 0);
	assert_int_equal(write_flags(l, n, BLK_FUA), -EINVAL);
	assert_int_equal(write_flags(l, n, BLK_FUA), -EIO);
	assert_int_equal(write_flags(l, n, 0), 0);
	end(l);
	l = test_loop_plain(state);
	n = bound_over(l, "/dev/zero");
	n->cache_no_flush = true;
	assert_int_equal(write_flags(l, n, BLK_FUA), 0);
	assert_int_equal(other(l, n, BLK_FLUSH, 0, 0, 0), 0);
	end(l);
	l = test_loop_plain(state);
	n = bound(l, "victim", "");
	assert_int_equal(write_flags(l, n, BLK_FUA), 0);
	end(l);
}

static void file_size_limit_is_an_error(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[8192];
	struct rlimit old, low;
	struct blk_node *n;
	int part, none;

	make_file("limit", 4096);
	assert_int_equal(truncate(path_of("limit"), 16384), 0);
	n = bound(l, "limit", "");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = (struct rlimit){.rlim_cur = 10240, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	part = rw(l, n, BLK_WRITE, 8192, a, 4096); /* short, then EFBIG */
	none = rw(l, n, BLK_WRITE, 12288, a, 512);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(part, -EFBIG);
	assert_int_equal(none, -EFBIG);
	assert_int_equal(rw(l, n, BLK_WRITE, 12288, a, 512), 0);
	end(l);
}

/* --- O_DIRECT --- */

/* Buffers and pieces that O_DIRECT does not take, on aligned offsets. */
static void odd_memory(struct loop *l, struct blk_node *n)
{
	const size_t block = 4096;
	static unsigned char a[262144 + 64];
	struct iovec iov[3];
	struct req q = {.r = {.iov = iov, .niov = 3}};

	for (size_t shift = 1; shift < 4; shift++) {
		memset(a, 0, sizeof(a));
		assert_int_equal(
			rw(l, n, BLK_READ, block, a + shift, 40 * block), 0);
		assert_pattern(a + shift, block, 40 * block);
	}
	iov[0] = (struct iovec){a, 100};
	iov[1] = (struct iovec){a + 1000, 2 * block - 101};
	iov[2] = (struct iovec){a + 50000, 1};
	for (unsigned i = 0; i < 3; i++)
		memset(iov[i].iov_base, (int)i + 1, iov[i].iov_len);
	start(n, &q, BLK_WRITE, 2 * block, 2 * block);
	assert_int_equal(finish(l, n, &q), 0);
	assert_int_equal(rw(l, n, BLK_READ, 0, a, 8 * block), 0);
	assert_pattern(a, 0, 2 * block);
	assert_all(a + 2 * block, 1, 100);
	assert_all(a + 2 * block + 100, 2, 2 * block - 101);
	assert_all(a + 4 * block - 1, 3, 1);
	assert_pattern(a + 4 * block, 4 * block, 4 * block);
}

static void direct_bounces(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[4096];
	struct blk_node *n = NULL;
	struct blk_file *f;

	make_file("direct", 300000);
	blk_graph_init(&graph);
	if (open_node(&n, "file", path_of("direct"), "cache.direct=on")) {
		loop_free(l);
		test_skip("%s", err.text);
	}
	f = container_of(n, struct blk_file, node);
	assert_true(f->io_align >= 512 && f->mem_align > 0);
	assert_int_equal(n->caps.io_align, f->io_align);
	assert_int_equal(blk_bind(n, l, NULL), 0);
	odd_memory(l, n);
	/* The end of the file is in the middle of a sector. */
	memset(a, 0xff, sizeof(a));
	assert_int_equal(rw(l, n, BLK_READ, 299008, a, 1024), 0);
	assert_pattern(a, 299008, 300000 - 299008);
	assert_all(a + (300000 - 299008), 0, 1024 - (300000 - 299008));
	assert_int_equal(rw(l, n, BLK_READ, 299008, a + 1, 1024), 0);
	assert_pattern(a + 1, 299008, 300000 - 299008);
	assert_all(a + 1 + (300000 - 299008), 0, 1024 - (300000 - 299008));
	/* And where it is cut under the guest. */
	assert_int_equal(truncate(path_of("direct"), 8192), 0);
	memset(a, 0xff, sizeof(a));
	assert_int_equal(rw(l, n, BLK_READ, 16384, a + 1, 2048), 0);
	assert_all(a + 1, 0, 2048);
	assert_int_equal(f->nbounce_free, BOUNCE_COUNT);
	end(l);
}

/* A disk of less than a sector, on a file system that does not tell (tmpfs). */
static void direct_takes_tiny_files(void **state)
{
	const char *path = "/dev/shm/vireo-tiny";
	struct blk_node *n = NULL;
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	(void)state;
	if (fd < 0)
		test_skip("no /dev/shm");
	assert_int_equal(ftruncate(fd, 100), 0);
	close(fd);
	if (open_node(&n, "file", path, "cache.direct=on") &&
	    !strstr(err.text, "has no O_DIRECT"))
		fail_msg("%s", err.text);
	assert_true(!n || n->caps.io_align == 512);
	unlink(path);
}

#define CROWD 64

/* More requests that need a bounce buffer than there are. */
static void bounce_buffers_are_shared(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[CROWD][4096 + 1];
	static struct iovec iov[CROWD];
	static struct req q[CROWD];
	struct blk_node *n = NULL;

	make_file("crowd", CROWD * 4096);
	blk_graph_init(&graph);
	if (open_node(&n, "file", path_of("crowd"), "cache.direct=on")) {
		loop_free(l);
		test_skip("%s", err.text);
	}
	assert_int_equal(blk_bind(n, l, NULL), 0);
	ended = 0;
	for (unsigned i = 0; i < CROWD; i++) {
		iov[i] = (struct iovec){a[i] + 1, 4096};
		q[i] = (struct req){.r = {.iov = &iov[i], .niov = 1}};
		start(n, &q[i], BLK_READ, 4096 * i, 4096);
	}
	assert_int_equal(n->in_flight, CROWD);
	blk_drain(n);
	assert_int_equal(ended, CROWD);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_int_equal(q[i].result, 0);
		assert_pattern(a[i] + 1, 4096 * i, 4096);
	}
	end(l);
}

/* --- a block device with blocks of 4096 bytes --- */

static struct loopdev device;

/* False where the host has no loop devices for us. */
static bool loop_device(size_t bytes)
{
	make_file("loop", bytes);
	return !loopdev_new(&device, path_of("loop"));
}

static struct blk_node *bound_device(struct loop *l, const char *more)
{
	struct blk_node *n = NULL;

	if (!loop_device(1 << 20)) {
		loop_free(l);
		test_skip("no loop device");
	}
	blk_graph_init(&graph);
	if (open_node(&n, "host_device", device.path, more))
		fail_msg("%s", err.text);
	assert_int_equal(blk_bind(n, l, NULL), 0);
	return n;
}

static void end_device(struct loop *l)
{
	end(l);
	close(device.fd);
}

static void device_has_a_topology(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[8192];
	struct blk_node *n = bound_device(l, "discard=unmap");

	assert_int_equal(n->caps.bytes, 1 << 20);
	assert_int_equal(n->caps.logical_block, 4096);
	assert_int_equal(n->caps.physical_block, 4096);
	assert_int_equal(rw(l, n, BLK_READ, 512, a, 4096), 0);
	assert_pattern(a, 512, 4096);
	assert_int_equal(other(l, n, BLK_WRITE_ZEROES, 8192, 8192, 0), 0);
	/* Half a block: written. */
	assert_int_equal(other(l, n, BLK_WRITE_ZEROES, 16384, 512, 0), 0);
	assert_int_equal(rw(l, n, BLK_READ, 8192, a, 8192), 0);
	assert_all(a, 0, 8192);
	assert_int_equal(rw(l, n, BLK_READ, 16384, a, 1024), 0);
	assert_all(a, 0, 512);
	assert_pattern(a + 512, 16384 + 512, 512);
	assert_int_equal(other(l, n, BLK_DISCARD, 32768, 512, 0), 0);
	assert_int_equal(other(l, n, BLK_DISCARD, 32768, 8192, 0), 0);
	assert_int_equal(other(l, n, BLK_FLUSH, 0, 0, 0), 0);
	end_device(l);
	assert_refused("file", device.path, "", -EINVAL, "host_device");
}

/* Sectors of the same blocks written together by O_DIRECT: none is lost. */
static void parts_of_blocks_are_kept(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[CROWD][1536], all[CROWD * 1536];
	static struct iovec iov[CROWD];
	static struct req q[CROWD];
	struct blk_node *n = bound_device(l, "cache.direct=on");

	assert_int_equal(n->caps.io_align, 4096);
	ended = 0;
	for (unsigned i = 0; i < CROWD; i++) {
		memset(a[i], (int)i + 1, 1536);
		iov[i] = (struct iovec){a[i], 1536};
		q[i] = (struct req){.r = {.iov = &iov[i], .niov = 1}};
		start(n, &q[i], BLK_WRITE, 512 + 1536 * i, 1536);
	}
	test_loop_until(l, &ended, CROWD);
	assert_int_equal(rw(l, n, BLK_READ, 512, all, sizeof(all)), 0);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_int_equal(q[i].result, 0);
		assert_all(all + 1536 * (size_t)i, (int)i + 1, 1536);
	}
	assert_int_equal(rw(l, n, BLK_READ, 0, all, 512), 0);
	assert_pattern(all, 0, 512);
	assert_int_equal(rw(l, n, BLK_READ, 512 + sizeof(all), a[0], 1536), 0);
	assert_pattern(a[0], 512 + sizeof(all), 1536);
	end_device(l);
}

/* Writes of which every other one needs a bounce buffer, all together. */
static void writes_share_bounce_buffers(void **state)
{
	struct loop *l = test_loop_plain(state);
	static unsigned char a[CROWD][8192] __attribute__((aligned(4096)));
	static unsigned char all[CROWD * 4096];
	static struct iovec iov[CROWD];
	static struct req q[CROWD];
	struct blk_node *n = bound_device(l, "cache.direct=on");

	ended = 0;
	for (unsigned i = 0; i < CROWD; i++) {
		unsigned char *buf = a[i] + (i % 2 ? 0 : 1);

		memset(buf, (int)i + 1, 4096);
		iov[i] = (struct iovec){buf, 4096};
		q[i] = (struct req){.r = {.iov = &iov[i], .niov = 1}};
		start(n, &q[i], BLK_WRITE, 4096 * i, 4096);
	}
	test_loop_until(l, &ended, CROWD);
	assert_int_equal(rw(l, n, BLK_READ, 0, all, sizeof(all)), 0);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_int_equal(q[i].result, 0);
		assert_all(all + 4096 * (size_t)i, (int)i + 1, 4096);
	}
	end_device(l);
}

static void device_bounces(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct blk_node *n = bound_device(l, "cache.direct=on");

	odd_memory(l, n);
	end_device(l);
}

/* --- a file system on such a device --- */

/* Mounted at dir/mnt, for this process only. False where that is not to be. */
static bool mount_device(void)
{
	char command[128];

	if (!loop_device(8 << 20))
		return false;
	(void)snprintf(command, sizeof(command), "mkfs.ext4 -Fq %s 2>/dev/null",
		       device.path);
	(void)mkdir(path_of("mnt"), 0700);
	return !system(command) && !unshare(CLONE_NEWNS) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount(device.path, path_of("mnt"), "ext4", 0, NULL);
}

/*
 * A disk must not grow. By O_DIRECT a file does, whose last block is not
 * whole, when that is written; so it cannot be.
 */
static void a_disk_does_not_grow(void **state)
{
	struct blk_node *n = NULL;
	struct stat st;

	(void)state;
	if (!mount_device())
		test_skip("no loop device, or no ext4");
	make_file("mnt/whole", 8192);
	make_file("mnt/odd", 8192 + 512);
	if (open_node(&n, "file", path_of("mnt/whole"), "cache.direct=on"))
		fail_msg("%s", err.text);
	assert_int_equal(n->caps.io_align, 4096);
	assert_refused("file", path_of("mnt/odd"), "cache.direct=on", -EINVAL,
		       "cache.direct=off");
	must_open(path_of("mnt/odd"), "");
	must_open(path_of("mnt/odd"), "cache.direct=on,read-only=on,locking=off");
	assert_int_equal(stat(path_of("mnt/odd"), &st), 0);
	assert_int_equal(st.st_size, 8192 + 512);
	blk_graph_fini(&graph);
	assert_int_equal(umount(path_of("mnt")), 0);
	close(device.fd);
}

static void device_discards(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct blk_node *n =
		bound_device(l, "cache.direct=on,discard=unmap");
	static unsigned char a[8192];

	assert_int_equal(other(l, n, BLK_DISCARD, 8192, 8192, 0), 0);
	assert_int_equal(rw(l, n, BLK_READ, 0, a, 8192), 0);
	assert_pattern(a, 0, 8192);
	assert_int_equal(rw(l, n, BLK_READ, 16384, a, 8192), 0);
	assert_pattern(a, 16384, 8192);
	end_device(l);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, new_graph, end_graph)

static const struct CMUnitTest tests[] = {
	ROW(refuses_what_it_cannot_open),
	ROW(filename_is_needed),
	ROW(says_how_to_read_only),
	ROW(size_is_whole_sectors),
	ROW(one_writer_at_a_time),
	ROW(readers_share),
	ON_BOTH_ENGINES(killed_user_leaves_no_lock),
	ON_BOTH_ENGINES(reads_and_writes),
	ON_BOTH_ENGINES(long_vectors),
	ON_BOTH_ENGINES(reads_past_the_end_are_zeroes),
	ON_BOTH_ENGINES(zeroes_and_discards),
	ON_BOTH_ENGINES(zeroes_without_fallocate),
	ON_BOTH_ENGINES(full_disk_is_an_error),
	ON_BOTH_ENGINES(bad_disk_is_an_error),
	ON_BOTH_ENGINES(forced_writes_are_flushed),
	ON_BOTH_ENGINES(file_size_limit_is_an_error),
	ON_BOTH_ENGINES(direct_bounces),
	ROW(direct_takes_tiny_files),
	ON_BOTH_ENGINES(bounce_buffers_are_shared),
	ON_BOTH_ENGINES(device_has_a_topology),
	ON_BOTH_ENGINES(parts_of_blocks_are_kept),
	ON_BOTH_ENGINES(device_bounces),
	ON_BOTH_ENGINES(writes_share_bounce_buffers),
	ON_BOTH_ENGINES(device_discards),
	ROW(a_disk_does_not_grow),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir) ? 1 : 0;
}
