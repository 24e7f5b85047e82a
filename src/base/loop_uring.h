/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the io_uring engine share: loop_uring_open.c makes and
 * seals the ring, loop_uring.c uses it. Nobody else includes it.
 *
 * Threads: as base/loop.h.
 */
#pragma once

#include <liburing.h>

#include "base/loop_engine.h"

struct uring {
	struct io_uring ring;
	bool has_ring, is_enabled;
	/* 5.19: cancelling takes IOSQE_FIXED_FILE, so all can be made to. */
	bool can_require_fixed;
	unsigned in_kernel;      /* operations of slots */
	struct list changed;     /* slots to arm or to cancel */
	struct list ready;       /* completed in loop_step_io(), callback due */
	struct io_queue waiting; /* no room in the ring yet */
	struct io_queue cancels; /* running, to be cancelled */
};

int uring_open(struct loop *l, unsigned entries, struct err *e);
int uring_seal(struct loop *l, struct err *e);
