/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend/block: the graph that -blockdev builds, its error messages, who
 * uses which node, what is checked where a request enters; and the drivers
 * raw and null-co.
 */
#include "backend/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/keyval.h"
#include "test/lib/loop.h"

static struct blk_graph graph;
static struct err err;

static int open_node(const char *text, struct blk_node **ret)
{
	struct json_object *conf = NULL;
	int r;

	assert_int_equal(keyval_parse(text, NULL, 0, &conf, &err), 0);
	err = (struct err){0};
	r = blk_open(&graph, conf, "-blockdev", ret, &err);
	json_object_put(conf);
	return r;
}

static struct blk_node *must_open(const char *text)
{
	struct blk_node *n = NULL;

	if (open_node(text, &n))
		fail_msg("%s", err.text);
	return n;
}

/* The options are refused, and the message has the word. */
static void assert_refused(const char *text, int code, const char *word)
{
	struct blk_node *n = NULL;

	assert_int_equal(open_node(text, &n), code);
	assert_null(n);
	if (!strstr(err.text, word))
		fail_msg("'%s' is not in: %s", word, err.text);
	assert_ptr_equal(strstr(err.text, "-blockdev: "), err.text);
}

static int set_up(void **state)
{
	(void)state;
	blk_graph_init(&graph);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	blk_graph_fini(&graph);
	return 0;
}

/* --- options --- */

static void refuses_bad_options(void **state)
{
	(void)state;
	assert_refused("node-name=a", -EINVAL, "'driver' is missing");
	assert_refused("driver=nul-co", -EINVAL, "did you mean 'null-co'");
	assert_refused("driver=null-co,sise=1G", -ENOENT, "sise");
	assert_refused("driver=null-co,node-name=1a", -EINVAL, "1a");
	assert_refused("driver=null-co,size=1000", -EINVAL, "512");
	assert_refused("driver=null-co,detect-zeroes=on", -EINVAL,
		       "detect-zeroes");
	assert_refused("driver=null-co,discard=maybe", -EINVAL, "unmap");
	assert_refused("driver=null-co,cache=none", -EINVAL, "cache");
	assert_refused("driver=null-co,cache.writeback=on", -ENOENT,
		       "writeback");
	assert_refused("driver=null-co,read-only=perhaps", -EINVAL,
		       "read-only");
	assert_refused("driver=raw", -EINVAL, "'file'");
	assert_refused("driver=raw,file=", -ENOENT, "''");
	assert_refused("driver=raw,file=f0", -ENOENT, "'f0'");
	assert_refused("driver=raw,file.driver=null-co,file.foo=1", -ENOENT,
		       "foo");
	assert_refused("driver=null-co,file=f0", -ENOENT, "file");
	assert_true(list_empty(&graph.nodes));
}

static void names_are_unique(void **state)
{
	struct blk_node *a = must_open("driver=null-co,node-name=a"), *b, *c;

	(void)state;
	assert_ptr_equal(blk_find(&graph, "a"), a);
	assert_refused("driver=null-co,node-name=a", -EEXIST, "'a'");
	b = must_open("driver=null-co");
	c = must_open("driver=null-co");
	assert_string_not_equal(b->name, c->name);
	assert_int_equal(b->name[0], '#');
	assert_null(blk_find(&graph, "b"));
}

static void child_by_name(void **state)
{
	struct blk_node *f = must_open("driver=null-co,node-name=f0");
	struct blk_node *d = must_open("driver=raw,node-name=d0,file=f0");

	(void)state;
	assert_ptr_equal(d->child, f);
	assert_int_equal(d->caps.bytes, GIB);
	assert_refused("driver=raw,node-name=d1,file=f0", -EBUSY, "'d0'");
	assert_int_equal(blk_claim(f, "virtio-blk 'x'", &err), -EBUSY);
	assert_non_null(strstr(err.text, "'d0'"));
}

static void inline_child_inherits(void **state)
{
	struct blk_node *d = must_open(
		"driver=raw,read-only=on,discard=unmap,cache.no-flush=on,"
		"file.driver=null-co,file.size=1M");

	(void)state;
	assert_true(d->child->read_only);
	assert_true(d->child->cache_no_flush);
	assert_int_equal(d->child->discard, BLK_DISCARD_UNMAP);
	assert_true(d->caps.read_only);
	assert_false(d->caps.discard); /* cannot be written */
	d = must_open("driver=raw,read-only=on,file.driver=null-co,"
		      "file.read-only=off");
	assert_false(d->child->read_only);
	assert_true(d->caps.read_only);
}

static void failure_closes_inline_children(void **state)
{
	(void)state;
	must_open("driver=null-co,node-name=keep");
	assert_refused("driver=raw,offset=2G,file.driver=null-co", -EINVAL,
		       "beyond");
	assert_refused("driver=raw,file.driver=raw,file.file.driver=null-co,"
		       "file.read-only=on",
		       -EACCES, "read-only=on");
	assert_ptr_equal(graph.nodes.next, graph.nodes.prev);
	assert_non_null(blk_find(&graph, "keep"));
}

static void failure_releases_the_child(void **state)
{
	struct blk_node *f = must_open("driver=null-co,node-name=f0,size=1M");

	(void)state;
	assert_refused("driver=raw,file=f0,size=2M", -EINVAL, "'f0'");
	assert_refused("driver=raw,file=f0,size=1000", -EINVAL, "512");
	assert_refused("driver=raw,file=f0,cache.direct=on", -EINVAL,
		       "cache.direct=on");
	assert_null(f->user);
	must_open("driver=raw,file=f0");
}

static void nesting_is_bounded(void **state)
{
	char text[2048] = "driver=raw";
	char prefix[128] = "";
	struct blk_node *n = NULL;

	(void)state;
	for (int i = 0; i < 12; i++) {
		strcat(prefix, "file.");
		strcat(strcat(strcat(text, ","), prefix), "driver=raw");
	}
	assert_int_equal(open_node(text, &n), -EINVAL);
	assert_non_null(strstr(err.text, "nested"));
	assert_true(list_empty(&graph.nodes));
}

static void claim_and_release(void **state)
{
	struct blk_node *n = must_open("driver=null-co,node-name=n");

	(void)state;
	assert_int_equal(blk_claim(n, "virtio-blk 'a'", &err), 0);
	assert_int_equal(blk_claim(n, "virtio-blk 'b'", &err), -EBUSY);
	assert_non_null(strstr(err.text, "virtio-blk 'a'"));
	blk_release(n);
	assert_int_equal(blk_claim(n, "virtio-blk 'b'", &err), 0);
	blk_release(n);
	blk_release(n);
}

/* --- requests --- */

struct req {
	struct blk_req r;
	int result;
};

static unsigned ended;

static void req_done(struct blk_req *r, int result)
{
	container_of(r, struct req, r)->result = result;
	ended++;
}

static struct req request(enum blk_op op, uint64_t offset,
			  const struct iovec *iov, uint64_t bytes)
{
	return (struct req){.r = {.op = op,
				  .offset = offset,
				  .bytes = bytes,
				  .iov = iov,
				  .niov = 1,
				  .done = req_done},
			    .result = 1};
}

/* What the request ends with; it never ends inside blk_submit(). */
static int carry_out(struct loop *l, struct blk_node *n, enum blk_op op,
		     uint64_t offset, const struct iovec *iov, uint64_t bytes)
{
	struct req q = request(op, offset, iov, bytes);

	ended = 0;
	blk_submit(n, &q.r);
	assert_int_equal(ended, 0);
	test_loop_until(l, &ended, 1);
	assert_int_equal(n->in_flight, 0);
	return q.result;
}

static void requests_are_checked(void **state)
{
	struct loop *l = test_loop_plain(state);
	struct blk_node *n, *ro;
	static char buf[4096];
	struct iovec iov = {buf, 512};

	set_up(state);
	n = must_open("driver=null-co,size=4096,node-name=a");
	ro = must_open("driver=null-co,size=4096,read-only=on,node-name=b");
	assert_int_equal(blk_bind(n, l, NULL), 0);
	assert_int_equal(blk_bind(ro, l, NULL), 0);
	assert_int_equal(carry_out(l, n, BLK_READ, 4096 - 512, &iov, 512), 0);
	assert_int_equal(carry_out(l, n, BLK_READ, 4096, &iov, 512), -EINVAL);
	assert_int_equal(carry_out(l, n, BLK_WRITE, 4096, &iov, 512), -EINVAL);
	assert_int_equal(carry_out(l, n, BLK_READ, 100, &iov, 512), -EINVAL);
	assert_int_equal(carry_out(l, n, BLK_READ, 0, &iov, 100), -EINVAL);
	assert_int_equal(carry_out(l, n, BLK_READ, UINT64_MAX - 511, &iov, 512),
			 -EINVAL);
	assert_int_equal(carry_out(l, n, BLK_DISCARD, 0, NULL, 8192), -EINVAL);
	assert_int_equal(carry_out(l, n, BLK_WRITE_ZEROES, 0, NULL, 8192),
			 -EINVAL);
	assert_int_equal(carry_out(l, n, BLK_READ, 512, NULL, 0), 0);
	assert_int_equal(carry_out(l, n, BLK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(carry_out(l, n, BLK_DISCARD, 0, NULL, 4096), 0);
	assert_int_equal(carry_out(l, ro, BLK_READ, 0, &iov, 512), 0);
	assert_int_equal(carry_out(l, ro, BLK_WRITE, 0, &iov, 512), -EROFS);
	assert_int_equal(carry_out(l, ro, BLK_WRITE_ZEROES, 0, NULL, 512),
			 -EROFS);
	assert_int_equal(carry_out(l, ro, BLK_DISCARD, 0, NULL, 512), -EROFS);
	blk_graph_fini(&graph);
	loop_free(l);
}

static void null_reads_zeroes(void **state)
{
	struct loop *l = test_loop_plain(state);
	char buf[512];
	struct iovec iov = {buf, 512};
	struct blk_node *n;

	set_up(state);
	n = must_open("driver=null-co,read-zeroes=on");
	assert_int_equal(blk_bind(n, l, NULL), 0);
	memset(buf, 1, sizeof(buf));
	assert_int_equal(carry_out(l, n, BLK_READ, 0, &iov, 512), 0);
	for (int i = 0; i < 512; i++)
		assert_int_equal(buf[i], 0);
	blk_graph_fini(&graph);
	loop_free(l);
}

static void null_takes_its_time(void **state)
{
	struct loop *l = test_loop_new(
		state, (struct loop_config){.virtual_clock = true});
	struct req q[3];
	struct blk_node *n;

	set_up(state);
	n = must_open("driver=raw,file.driver=null-co,file.latency-ns=1000");
	assert_int_equal(blk_bind(n, l, NULL), 0);
	ended = 0;
	for (int i = 0; i < 3; i++) {
		q[i] = request(BLK_FLUSH, 0, NULL, 0);
		blk_submit(n, &q[i].r);
		loop_advance(l, 100);
	}
	test_loop_quiet(l);
	assert_int_equal(ended, 0);
	assert_int_equal(n->in_flight, 3);
	loop_advance(l, 699);
	assert_int_equal(ended, 0);
	loop_advance(l, 1);
	assert_int_equal(ended, 1);
	loop_advance(l, 100);
	assert_int_equal(ended, 2);
	/* The clock does not move in a drain. */
	blk_drain(n);
	assert_int_equal(ended, 3);
	assert_int_equal(n->in_flight, 0);
	blk_drain(n);
	for (int i = 0; i < 3; i++)
		assert_int_equal(q[i].result, 0);
	blk_graph_fini(&graph);
	loop_free(l);
}

static void raw_is_a_window(void **state)
{
	struct loop *l = test_loop_plain(state);
	char path[64], in[512], out[512];
	struct iovec iov = {out, 512}, riov = {in, 512};
	int fd = memfd_create("image", 0);
	struct blk_node *n;
	char text[256];

	set_up(state);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)snprintf(text, sizeof(text),
		       "driver=raw,offset=4096,size=8192,file.driver=file,"
		       "file.filename=%s",
		       path);
	n = must_open(text);
	assert_int_equal(n->caps.bytes, 8192);
	assert_int_equal(blk_bind(n, l, NULL), 0);
	memset(out, 7, sizeof(out));
	assert_int_equal(carry_out(l, n, BLK_WRITE, 7680, &iov, 512), 0);
	assert_int_equal(carry_out(l, n, BLK_WRITE, 8192, &iov, 512), -EINVAL);
	assert_int_equal(pread(fd, in, 512, 4096 + 7680), 512);
	assert_memory_equal(in, out, 512);
	memset(in, 0, sizeof(in));
	assert_int_equal(carry_out(l, n, BLK_READ, 7680, &riov, 512), 0);
	assert_memory_equal(in, out, 512);
	assert_int_equal(carry_out(l, n, BLK_WRITE_ZEROES, 0, NULL, 8192), 0);
	assert_int_equal(pread(fd, in, 512, 4096 + 7680), 512);
	assert_int_equal(in[0], 0);
	assert_int_equal(carry_out(l, n, BLK_FLUSH, 0, NULL, 0), 0);
	blk_graph_fini(&graph);
	loop_free(l);
	close(fd);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	ROW(refuses_bad_options),
	ROW(names_are_unique),
	ROW(child_by_name),
	ROW(inline_child_inherits),
	ROW(failure_closes_inline_children),
	ROW(failure_releases_the_child),
	ROW(nesting_is_bounded),
	ROW(claim_and_release),
	ON_BOTH_ENGINES(requests_are_checked),
	ON_BOTH_ENGINES(null_reads_zeroes),
	ON_BOTH_ENGINES(null_takes_its_time),
	ON_BOTH_ENGINES(raw_is_a_window),
};

TEST_MAIN(tests)
