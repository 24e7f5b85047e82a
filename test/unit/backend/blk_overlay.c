/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend/blk_overlay: random reads and writes against a model, with the
 * image beneath left as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block.h"
#include "base/json.h"
#include "base/keyval.h"
#include "test/lib/loop.h"

#define SECTOR  512U
#define SECTORS 400U /* of the image */
#define REQS    8U
#define IOVS    5U

static struct blk_graph graph;
static struct err err;

struct req {
	struct blk_req r;
	struct iovec iov[IOVS];
	unsigned char buf[SECTORS * SECTOR];
	int result;
};

static struct req reqs[REQS];
static unsigned ended;
static unsigned char model[SECTORS * SECTOR], image[SECTORS * SECTOR];
static char path[] = "/tmp/vireo-overlay-XXXXXX";

static void req_done(struct blk_req *r, int result)
{
	container_of(r, struct req, r)->result = result;
	ended++;
}

/* Cuts bytes into iovecs that end anywhere. */
static unsigned cut(struct req *q, size_t bytes)
{
	size_t at = 0;
	unsigned n = 0;

	while (at < bytes && n < IOVS - 1) {
		size_t len = 1 + (size_t)rand() % (bytes - at);

		q->iov[n++] = (struct iovec){q->buf + at, len};
		at += len;
	}
	if (at < bytes)
		q->iov[n++] = (struct iovec){q->buf + at, bytes - at};
	return n;
}

static void start(struct blk_node *n, struct req *q, enum blk_op op,
		  unsigned sector, unsigned count)
{
	q->r = (struct blk_req){
		.op = op,
		.offset = (uint64_t)sector * SECTOR,
		.bytes = (uint64_t)count * SECTOR,
		.iov = q->iov,
		.niov = cut(q, (size_t)count * SECTOR),
		.done = req_done,
	};
	q->result = 1;
	blk_submit(n, &q->r);
}

/* One after the other. */
static void transfer(struct loop *l, struct blk_node *n, enum blk_op op,
		     unsigned sector, unsigned count)
{
	ended = 0;
	start(n, &reqs[0], op, sector, count);
	test_loop_until(l, &ended, 1);
	assert_int_equal(reqs[0].result, 0);
}

static struct blk_node *open_overlay(const char *text)
{
	struct json_object *conf = NULL;
	struct blk_node *n = NULL;

	assert_int_equal(keyval_parse(text, "driver", 0, &conf, &err), 0);
	if (blk_open(&graph, conf, "-blockdev", &n, &err))
		fail_msg("%s", err.text);
	json_object_put(conf);
	return n;
}

static struct blk_node *bind_overlay(struct loop *l)
{
	char text[256];
	struct blk_node *n;

	(void)snprintf(text, sizeof(text),
		       "overlay,file.driver=raw,file.read-only=on,"
		       "file.file.driver=file,file.file.filename=%s",
		       path);
	n = open_overlay(text);
	assert_int_equal(n->caps.bytes, SECTORS * SECTOR);
	assert_false(n->caps.read_only);
	assert_false(n->caps.discard || n->caps.write_zeroes);
	assert_int_equal(blk_bind(n, l, &err), 0);
	return n;
}

static void write_random(struct loop *l, struct blk_node *n)
{
	unsigned sector = (unsigned)rand() % SECTORS;
	unsigned count = 1 + (unsigned)rand() % MIN(SECTORS - sector, 9U);

	for (size_t i = 0; i < (size_t)count * SECTOR; i++)
		reqs[0].buf[i] = (unsigned char)rand();
	memcpy(model + sector * SECTOR, reqs[0].buf, (size_t)count * SECTOR);
	transfer(l, n, BLK_WRITE, sector, count);
}

/* Several at a time: more than there are buffers. */
static void read_random(struct loop *l, struct blk_node *n)
{
	ended = 0;
	for (unsigned i = 0; i < REQS; i++) {
		unsigned sector = (unsigned)rand() % SECTORS;
		unsigned count = 1 + (unsigned)rand() % (SECTORS - sector);

		start(n, &reqs[i], BLK_READ, sector, count);
	}
	test_loop_until(l, &ended, REQS);
	for (unsigned i = 0; i < REQS; i++) {
		assert_int_equal(reqs[i].result, 0);
		assert_memory_equal(reqs[i].buf, model + reqs[i].r.offset,
				    reqs[i].r.bytes);
	}
}

static void assert_image_is_as_before(void)
{
	static unsigned char now[sizeof(image)];
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, now, sizeof(now)), sizeof(now));
	close(fd);
	assert_memory_equal(now, image, sizeof(image));
}

static void reads_what_was_written(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct blk_node *n = bind_overlay(l);

	memcpy(model, image, sizeof(model));
	read_random(l, n);
	for (unsigned i = 0; i < 60; i++) {
		write_random(l, n);
		read_random(l, n);
	}
	transfer(l, n, BLK_WRITE, 0, SECTORS);
	memcpy(model, reqs[0].buf, sizeof(model));
	transfer(l, n, BLK_FLUSH, 0, 0);
	read_random(l, n);
	assert_image_is_as_before();
	blk_unbind(n);
	blk_graph_fini(&graph);
	loop_free(l);
}

static void forgets_at_the_end(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct blk_node *n;

	for (unsigned i = 0; i < 2; i++) {
		n = bind_overlay(l);
		memcpy(model, image, sizeof(model));
		read_random(l, n);
		write_random(l, n);
		blk_unbind(n);
		blk_graph_fini(&graph);
	}
	loop_free(l);
}

static void passes_errors_on(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct blk_node *n = bind_overlay(l);

	/* Beneath is nothing any more but a file that cannot be read. */
	blk_unbind(n);
	{
		int fd = open("/proc/self/mem", O_RDONLY);
		int victim = -1;
		char link[64], target[256];

		assert_true(fd >= 0);
		for (int i = 3; i < 256 && victim < 0; i++) {
			ssize_t len;

			(void)snprintf(link, sizeof(link), "/proc/self/fd/%d",
				       i);
			len = readlink(link, target, sizeof(target) - 1);
			if (len < 0)
				continue;
			target[len] = 0;
			if (!strcmp(target, path))
				victim = i;
		}
		assert_true(victim >= 0);
		assert_int_equal(dup2(fd, victim), victim);
		close(fd);
	}
	assert_int_equal(blk_bind(n, l, &err), 0);
	transfer(l, n, BLK_WRITE, 10, 2);
	transfer(l, n, BLK_READ, 10, 2);
	ended = 0;
	for (unsigned i = 0; i < REQS; i++)
		start(n, &reqs[i], BLK_READ, i, 20);
	test_loop_until(l, &ended, REQS);
	for (unsigned i = 0; i < REQS; i++)
		assert_int_equal(reqs[i].result, -EIO);
	blk_unbind(n);
	blk_graph_fini(&graph);
	loop_free(l);
}

static void says_where_it_cannot_be(void **state)
{
	struct json_object *conf = NULL;
	struct blk_node *n = NULL;

	(void)state;
	assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
	assert_int_equal(keyval_parse("driver=overlay,file.driver=null-co",
				      NULL, 0, &conf, &err),
			 0);
	assert_int_equal(blk_open(&graph, conf, "-blockdev", &n, &err),
			 -ENOENT);
	assert_string_equal(err.text,
			    "-blockdev: cannot make a temporary file in "
			    "'/nonexistent' (TMPDIR names another directory): "
			    "No such file or directory");
	json_object_put(conf);
	unsetenv("TMPDIR");
}

static int make_image(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (unsigned char)rand();
	if (fd < 0 || write(fd, image, sizeof(image)) != sizeof(image))
		return -1;
	return close(fd);
}

static int remove_image(void **state)
{
	(void)state;
	return unlink(path);
}

static const struct CMUnitTest tests[] = {
	ON_BOTH_ENGINES(reads_what_was_written),
	ON_BOTH_ENGINES(forgets_at_the_end),
	ON_BOTH_ENGINES(passes_errors_on),
	cmocka_unit_test(says_where_it_cannot_be),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	blk_graph_init(&graph);
	return cmocka_run_group_tests_name(__FILE__, tests, make_image,
					   remove_image)
		       ? 1
		       : 0;
}
