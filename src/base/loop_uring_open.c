/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring engine: how its ring is made, and restricted.
 *
 * The ring is created disabled. Before loop_seal() nothing is submitted; then
 * the ring is restricted to the operations below on registered files, and
 * enabled, so that whoever controls this process later cannot use it to reach
 * what seccomp forbids.
 *
 * Spec: io_uring_setup(2), io_uring_register(2).
 * Threads: as in base/loop.h.
 * Syscalls: set-up: io_uring_setup, io_uring_register, mmap
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop_uring.h"

/* Of 5.18 to 6.1; older headers lack them. */
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

#define FEATURES                                                               \
	(IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG)

static const unsigned char uring_opcodes[] = {
	IORING_OP_READV,        IORING_OP_WRITEV,     IORING_OP_READ,
	IORING_OP_WRITE,        IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED,
	IORING_OP_FSYNC,        IORING_OP_FALLOCATE,  IORING_OP_POLL_ADD,
	IORING_OP_ASYNC_CANCEL,
};

/* Files come and go with hot-plug; the ring's own fd is dropped at the end. */
static const unsigned char uring_register_ops[] = {
	IORING_REGISTER_FILES_UPDATE,
	IORING_UNREGISTER_RING_FDS,
};

/*
 * The newest mode that the kernel takes: completions run only when this
 * thread asks for them (6.1), or do not interrupt it (5.19), or as they come.
 */
static int uring_setup(struct uring *u, unsigned entries)
{
	static const unsigned modes[] = {
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int r = -EINVAL;

	for (unsigned i = 0; i < ARRAY_SIZE(modes) && r == -EINVAL; i++) {
		struct io_uring_params p = {
			.flags = modes[i] | IORING_SETUP_R_DISABLED |
				 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = 4 * entries,
		};

		r = io_uring_queue_init_params(entries, &u->ring, &p);
		u->can_require_fixed = modes[i] != 0;
	}
	u->has_ring = !r;
	return r;
}

static int uring_register_files(struct uring *u)
{
	int r = io_uring_register_files_sparse(&u->ring, LOOP_FILES_MAX);
	int *none;

	if (r != -EINVAL)
		return r;
	/* Before 5.19. */
	none = malloc(LOOP_FILES_MAX * sizeof(*none));
	if (!none)
		return -ENOMEM;
	for (unsigned i = 0; i < LOOP_FILES_MAX; i++)
		none[i] = -1;
	r = io_uring_register_files(&u->ring, none, LOOP_FILES_MAX);
	free(none);
	return r;
}

int uring_open(struct loop *l, unsigned entries, struct err *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return err_set(e, -ENOMEM, "no memory for io_uring");
	l->engine = u;
	list_init(&u->changed);
	list_init(&u->ready);
	r = uring_setup(u, entries);
	if (r == -EPERM || r == -EACCES)
		return err_set(e, r,
			       "the host forbids io_uring (see sysctl "
			       "kernel.io_uring_disabled)");
	if (r == -ENOMEM)
		return err_set(e, r,
			       "io_uring needs more locked memory (ulimit -l) "
			       "than is allowed");
	if (r)
		return err_set_errno(e, r, "io_uring is not available");
	/* 5.11, which implies every operation that is used here. */
	if ((u->ring.features & FEATURES) != FEATURES)
		return err_set(e, -ENOSYS,
			       "the host's io_uring is older than "
			       "Linux 5.11");
	r = uring_register_files(u);
	if (r)
		return err_set_errno(e, r, "io_uring cannot register files");
	return 0;
}

static int uring_restrict(struct uring *u)
{
	struct io_uring_restriction res[ARRAY_SIZE(uring_opcodes) +
					ARRAY_SIZE(uring_register_ops) + 2];
	unsigned n = 0;

	memset(res, 0, sizeof(res));
	for (unsigned i = 0; i < ARRAY_SIZE(uring_opcodes); i++) {
		res[n].opcode = IORING_RESTRICTION_SQE_OP;
		res[n++].sqe_op = uring_opcodes[i];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(uring_register_ops); i++) {
		res[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		res[n++].register_op = uring_register_ops[i];
	}
	res[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	res[n++].sqe_flags = IOSQE_FIXED_FILE;
	if (u->can_require_fixed) {
		res[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
		res[n++].sqe_flags = IOSQE_FIXED_FILE;
	}
	/* liburing 2.3 declares functions for this and for enabling, but its
	 * shared library does not have them. */
	return io_uring_register((unsigned)u->ring.ring_fd,
				 IORING_REGISTER_RESTRICTIONS, res, n);
}

int uring_seal(struct loop *l, struct err *e)
{
	struct uring *u = l->engine;
	int r = uring_restrict(u);

	if (r)
		return err_set_errno(e, r, "cannot restrict the io_uring");
	/* Saves the kernel a look-up each time; a few a thread are possible. */
	(void)io_uring_register_ring_fd(&u->ring);
	r = io_uring_register((unsigned)u->ring.ring_fd,
			      IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (r)
		return err_set_errno(e, r, "cannot enable the io_uring");
	u->is_enabled = true;
	return 0;
}
