/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend/object, mem and rng: every kind of -object made, used and refused.
 */
#include "backend/object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/keyval.h"
#include "test/lib/test.h"

static int make(const char *text, struct object **o, struct err *e)
{
	struct json_object *conf;
	int r;

	assert_int_equal(keyval_parse(text, "qom-type", 0, &conf, e), 0);
	r = object_new(conf, o, e);
	json_object_put(conf);
	return r;
}

static void refuses(const char *text, const char *why)
{
	struct object *o;
	struct err e = {0};

	assert_true(make(text, &o, &e) < 0);
	if (!strstr(e.text, why))
		fail_msg("'%s' does not say '%s'", e.text, why);
}

static struct memory_backend *memory(const char *text)
{
	struct object *o;
	struct err e = {0};

	if (make(text, &o, &e))
		fail_msg("%s: %s", text, e.text);
	assert_string_equal(o->class->kind, "memory");
	return container_of(o, struct memory_backend, obj);
}

static void memory_is_zero_and_writable(void **state)
{
	static const char *const kinds[] = {
		"memory-backend-ram,id=m,size=1M",
		"memory-backend-ram,id=m,size=1M,share=on,prealloc=on",
		"memory-backend-memfd,id=m,size=1M",
		"memory-backend-memfd,id=m,size=1M,share=off,seal=off",
		"memory-backend-file,id=m,size=1M,mem-path=/tmp,dump=off",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct memory_backend *m = memory(kinds[i]);
		unsigned char *p = m->host;

		assert_int_equal(m->bytes, 1 * MIB);
		assert_int_equal(p[0] | p[m->bytes - 1], 0);
		memset(p, 0xa5, m->bytes);
		object_free(&m->obj);
	}
}

static void prealloc_populates(void **state)
{
	struct memory_backend *m =
		memory("memory-backend-ram,id=m,size=64K,prealloc=on");
	unsigned char seen[16];

	(void)state;
	assert_int_equal(mincore(m->host, m->bytes, seen), 0);
	for (size_t i = 0; i < sizeof(seen); i++)
		assert_true(seen[i] & 1);
	object_free(&m->obj);
}

static void memfd_is_sealed(void **state)
{
	struct memory_backend *m =
		memory("memory-backend-memfd,id=m,size=1M");

	(void)state;
	assert_int_equal(ftruncate(m->fd, 0), -1);
	assert_int_equal(errno, EPERM);
	object_free(&m->obj);
}

static void file_keeps_what_is_shared(void **state)
{
	char path[] = "/tmp/vireo-mem-XXXXXX", text[128], byte = 0;
	int fd = mkstemp(path);
	struct memory_backend *m;
	struct stat st;

	(void)state;
	(void)snprintf(text, sizeof(text),
		       "memory-backend-file,id=m,size=64K,share=on,mem-path=%s",
		       path);
	m = memory(text);
	((char *)m->host)[100] = 'x';
	object_free(&m->obj);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 64 * KIB);
	assert_int_equal(pread(fd, &byte, 1, 100), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	unlink(path);
}

/* More than any pool has: told at the start, not by a signal later. */
static void huge_pages_are_reserved(void **state)
{
	(void)state;
	if (access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK))
		test_skip("no huge pages of 2 MiB");
	refuses("memory-backend-memfd,id=m,size=1T,hugetlb=on,hugetlbsize=2M",
		"vm.nr_hugepages");
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	refuses("memory-backend-rma,id=m", "did you mean");
	refuses("memory-backend-ram,size=1M", "'id'");
	refuses("memory-backend-ram,id=1m,size=1M", "'id'");
	refuses("memory-backend-ram,id=m", "'size'");
	refuses("memory-backend-ram,id=m,size=1000", "multiple");
	refuses("memory-backend-ram,id=m,size=1M,hugetlb=on", "hugetlb");
	refuses("memory-backend-memfd,id=m,size=1M,hugetlbsize=2M",
		"hugetlb=on");
	refuses("memory-backend-memfd,id=m,size=2M,hugetlb=on,hugetlbsize=3M",
		"power of two");
	refuses("memory-backend-file,id=m,size=1M", "mem-path");
	refuses("memory-backend-file,id=m,size=1M,mem-path=/no/such/place",
		"/no/such/place");
	refuses("rng-random,id=r,filename=/no/such/file", "/no/such/file");
}

struct reader {
	struct rng_request r;
	unsigned calls;
	ssize_t result;
};

static void read_done(struct rng_request *r, ssize_t result)
{
	struct reader *rd = container_of(r, struct reader, r);

	rd->calls++;
	rd->result = result;
}

static ssize_t read_some(const char *text, void *buf, size_t len)
{
	struct reader rd = {.r = {.buf = buf, .len = len, .done = read_done}};
	const struct rng_ops *ops;
	struct object *o;
	struct loop *l;
	struct err e = {0};

	assert_int_equal(make(text, &o, &e), 0);
	assert_int_equal(loop_new(&(struct loop_config){0}, &l, &e), 0);
	ops = o->class->ops;
	assert_int_equal(ops->bind(o, l, &e), 0);
	ops->read(o, &rd.r);
	assert_int_equal(rd.calls, 0); /* never from inside the call */
	while (!rd.calls)
		assert_int_equal(loop_step(l, NS_PER_S, &e), 0);
	ops->cancel(o, &rd.r); /* nothing under way: harmless */
	assert_int_equal(rd.calls, 1);
	ops->unbind(o);
	object_free(o);
	loop_free(l);
	return rd.result;
}

static bool is_all_zero(const unsigned char *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

static void entropy_comes(void **state)
{
	unsigned char buf[64] = {0};

	(void)state;
	assert_int_equal(read_some("rng-builtin,id=r", buf, 64), 64);
	assert_false(is_all_zero(buf, 64));
	memset(buf, 0, sizeof(buf));
	assert_int_equal(read_some("rng-random,id=r", buf, 64), 64);
	assert_false(is_all_zero(buf, 64));
	assert_int_equal(
		read_some("rng-random,id=r,filename=/dev/zero", buf, 64), 64);
	assert_true(is_all_zero(buf, 64));
}

static void an_empty_file_is_an_error(void **state)
{
	unsigned char buf[8];

	(void)state;
	assert_int_equal(
		read_some("rng-random,id=r,filename=/dev/null", buf, 8), -EIO);
}

static void cancel_ends_a_read_that_waits(void **state)
{
	char path[] = "/tmp/vireo-rng-XXXXXX", text[128], byte;
	struct reader rd = {.r = {.buf = &byte, .len = 1, .done = read_done}};
	const struct rng_ops *ops;
	struct object *o;
	struct loop *l;
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(path));
	(void)snprintf(text, sizeof(text), "%s/fifo", path);
	assert_int_equal(mkfifo(text, 0600), 0);
	(void)snprintf(text, sizeof(text), "rng-random,id=r,filename=%s/fifo",
		       path);
	assert_int_equal(make(text, &o, &e), 0);
	assert_int_equal(loop_new(&(struct loop_config){0}, &l, &e), 0);
	ops = o->class->ops;
	assert_int_equal(ops->bind(o, l, &e), 0);
	ops->read(o, &rd.r);
	ops->cancel(o, &rd.r);
	assert_int_equal(rd.calls, 1);
	ops->unbind(o);
	object_free(o);
	loop_free(l);
	(void)snprintf(text, sizeof(text), "%s/fifo", path);
	unlink(text);
	rmdir(path);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(memory_is_zero_and_writable),
	cmocka_unit_test(prealloc_populates),
	cmocka_unit_test(memfd_is_sealed),
	cmocka_unit_test(file_keeps_what_is_shared),
	cmocka_unit_test(huge_pages_are_reserved),
	cmocka_unit_test(says_what_is_wrong),
	cmocka_unit_test(entropy_comes),
	cmocka_unit_test(an_empty_file_is_an_error),
	cmocka_unit_test(cancel_ends_a_read_that_waits),
};

TEST_MAIN(tests)
