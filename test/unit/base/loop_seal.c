/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/loop: what a sealed ring does for whoever has taken over the process,
 * and what the loop does where the host forbids rings.
 *
 * The ring is attacked as such a one would do it: by its descriptor, with
 * mappings of its own, in a child process that ends with it. Where things lie
 * in the mappings is learnt from a ring of the same size. The host's refusal is
 * a system call filter's, in a child process too.
 */
#include <dirent.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/loop.h"
#include "test/lib/logfile.h"
#include "test/lib/no_uring.h"
#include "test/lib/test.h"

#define ENTRIES 8

struct attack {
	int fd;
	struct io_uring_params p;
	char *ring;
	struct io_uring_sqe *sqes;
};

static int ring_fd(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int fd = -1;

	while (d && (e = readdir(d))) {
		char path[300], to[64] = "";

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%s",
			       e->d_name);
		if (readlink(path, to, sizeof(to) - 1) > 0 &&
		    strstr(to, "[io_uring]"))
			fd = atoi(e->d_name);
	}
	closedir(d);
	return fd;
}

static uint32_t *ring_word(const struct attack *a, uint32_t off)
{
	return (uint32_t *)(void *)(a->ring + off);
}

/* A loop that is sealed, and the way into its ring. */
static void attack_init(struct attack *a)
{
	const struct loop_config c = {.engine = LOOP_URING, .entries = ENTRIES};
	const int prot = PROT_READ | PROT_WRITE;
	struct loop *l = NULL;
	struct io_uring twin;

	*a = (struct attack){.p = {.flags = IORING_SETUP_CQSIZE,
				   .cq_entries = 4 * ENTRIES}};
	if (io_uring_queue_init_params(ENTRIES, &twin, &a->p))
		_exit(77);
	io_uring_queue_exit(&twin);
	if (loop_new(&c, &l, NULL) || loop_seal(l, NULL))
		_exit(77);
	a->fd = ring_fd();
	a->ring = mmap(NULL, a->p.sq_off.array + ENTRIES * sizeof(uint32_t),
		       prot, MAP_SHARED, a->fd, IORING_OFF_SQ_RING);
	a->sqes = mmap(NULL, ENTRIES * sizeof(struct io_uring_sqe), prot,
		       MAP_SHARED, a->fd, IORING_OFF_SQES);
	if (a->ring == MAP_FAILED || a->sqes == MAP_FAILED)
		_exit(1);
}

/* Submits it: what it ends with at once. */
static int attack_run(struct attack *a, struct io_uring_sqe sqe)
{
	uint32_t *tail = ring_word(a, a->p.sq_off.tail);
	uint32_t *head = ring_word(a, a->p.cq_off.head);
	struct io_uring_cqe *cqes =
		(struct io_uring_cqe *)(void *)(a->ring + a->p.cq_off.cqes);
	uint32_t i = *tail % ENTRIES;
	int result;

	a->sqes[i] = sqe;
	ring_word(a, a->p.sq_off.array)[i] = i;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, a->fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return -errno;
	result = cqes[*head % (4 * ENTRIES)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

static int register_as(const struct attack *a, unsigned op)
{
	struct iovec iov = {a->ring, 4096};

	return syscall(SYS_io_uring_register, a->fd, op, &iov, 1) < 0 ? -errno
								      : 0;
}

/* In the child: 0, or the line of what was not as it should be. */
static int attack_ring(void)
{
	static const unsigned char opcodes[] = {
		IORING_OP_NOP,     IORING_OP_OPENAT,  IORING_OP_SENDMSG,
		IORING_OP_CONNECT, IORING_OP_SPLICE,  IORING_OP_UNLINKAT,
		IORING_OP_MADVISE, IORING_OP_PROVIDE_BUFFERS,
	};
	static const unsigned calls[] = {
		IORING_REGISTER_BUFFERS, IORING_REGISTER_FILES,
		IORING_REGISTER_EVENTFD, IORING_REGISTER_PERSONALITY,
		IORING_REGISTER_RESTRICTIONS, IORING_REGISTER_FILES_UPDATE2,
	};
	struct attack a;
	char buf[8];
	struct io_uring_sqe read = {.opcode = IORING_OP_READ,
				    .addr = (uintptr_t)buf,
				    .len = sizeof(buf)};

	attack_init(&a);
	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++)
		if (attack_run(&a, (struct io_uring_sqe){
					   .opcode = opcodes[i],
					   .flags = IOSQE_FIXED_FILE}) !=
		    -EACCES)
			return __LINE__;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (register_as(&a, calls[i]) != -EACCES)
			return __LINE__;
	/* The process's own descriptors, its files under other flags. */
	if (attack_run(&a, read) != -EACCES)
		return __LINE__;
	read.flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK;
	if (attack_run(&a, read) != -EACCES)
		return __LINE__;
	/* And that it was no accident: a file that is not registered. */
	read.flags = IOSQE_FIXED_FILE;
	read.fd = 1000;
	return attack_run(&a, read) == -EBADF ? 0 : __LINE__;
}

/* Runs it in a child process: 0, or the line of what was wrong in there. */
static void assert_in_child(int (*run)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		alarm(30);
		_exit(run());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		test_skip("no io_uring, or no filters");
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_sealed_ring_refuses(void **state)
{
	(void)state;
	assert_in_child(attack_ring);
}

static void finished(struct loop_io *io, int result)
{
	(void)io;
	(void)result;
}

static int fall_back(int error, const char *why)
{
	struct loop_config c = {.engine = LOOP_URING};
	int log = logfile_new(NULL);
	struct loop *l = NULL;
	struct loop_io io = {.done = finished};
	struct err e = {0};

	if (no_uring(SYS_io_uring_setup, (unsigned)error))
		return 77;
	if (loop_new(&c, &l, &e) != -error || !strstr(e.text, why) ||
	    *logfile_text(log))
		return __LINE__;
	c.engine = LOOP_AUTO;
	if (loop_new(&c, &l, &e) || loop_engine_of(l) != LOOP_EPOLL)
		return __LINE__;
	if (logfile_count(log, why) != 1 ||
	    logfile_count(log, "using epoll") != 1)
		return __LINE__;
	loop_complete(l, &io, 0);
	return loop_step(l, UINT64_MAX, &e) ? __LINE__ : 0;
}

static int fall_back_forbidden(void)
{
	return fall_back(EPERM, "kernel.io_uring_disabled");
}

static int fall_back_absent(void)
{
	return fall_back(ENOSYS, "not available");
}

static void a_host_without_rings_has_epoll(void **state)
{
	(void)state;
	assert_in_child(fall_back_forbidden);
	assert_in_child(fall_back_absent);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_sealed_ring_refuses),
	cmocka_unit_test(a_host_without_rings_has_epoll),
};

TEST_MAIN(tests)
