/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loops for tests that run on both engines: the state of such a test
 * points to an enum loop_engine.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"
#include "test/lib/test.h"

static enum loop_engine test_engine_uring MAYBE_UNUSED = LOOP_URING;
static enum loop_engine test_engine_epoll MAYBE_UNUSED = LOOP_EPOLL;

/* Threads that the kernel has made for this process's rings. */
static inline unsigned test_loop_workers(void)
{
	DIR *d = opendir("/proc/self/task");
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		char path[300], name[8] = "";
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			       e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		n += fgets(name, sizeof(name), f) && !strcmp(name, "iou-wrk");
		fclose(f);
	}
	closedir(d);
	return n;
}

/* Two rows of a test table. */
#define ON_BOTH_ENGINES(f)                                                     \
	{#f ", io_uring", f, NULL, NULL, &test_engine_uring},                  \
	{                                                                      \
#f ", epoll", f, NULL, NULL, &test_engine_epoll                \
	}

/* Skips the test where the host has no io_uring. */
static inline struct loop *test_loop_new(void **state, struct loop_config c)
{
	struct err e = {0};
	struct loop *l = NULL;
	int r;

	alarm(600); /* a lost wake-up is a failure, not a hang */
	c.engine = *(const enum loop_engine *)*state;
	r = loop_new(&c, &l, &e);
	if (r && c.engine == LOOP_URING)
		test_skip("%s", e.text);
	if (r)
		fail_msg("%s", e.text);
	assert_int_equal(loop_engine_of(l), c.engine);
	return l;
}

static inline struct loop *test_loop_plain(void **state)
{
	return test_loop_new(state, (struct loop_config){0});
}

static inline void test_loop_step(struct loop *l, uint64_t wait_ns)
{
	struct err e = {0};

	if (loop_step(l, wait_ns, &e))
		fail_msg("%s", e.text);
}

static inline uint64_t test_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Steps until *what is n; a minute ends a hang. */
static inline void test_loop_until(struct loop *l, const unsigned *what,
				   unsigned n)
{
	uint64_t end = test_now_ns() + 60 * NS_PER_S;

	while (*what < n && test_now_ns() < end)
		test_loop_step(l, 100 * NS_PER_MS);
	assert_int_equal(*what, n);
}

/* Time for what should not happen to happen. */
static inline void test_loop_quiet(struct loop *l)
{
	for (int i = 0; i < 4; i++)
		test_loop_step(l, 2 * NS_PER_MS);
}
