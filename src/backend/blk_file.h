/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the "file" and "host_device" drivers share: blk_file.c
 * opens, blk_lock.c locks, blk_file_io.c carries out requests.
 *
 * Threads: as in backend/block.h.
 */
#pragma once

#include "backend/block.h"

/* Bounce buffers of a node; touched only when needed. */
#define BOUNCE_BYTES (64 * KIB)
#define BOUNCE_COUNT 8U

/* Requests in order of arrival, linked by blk_req.next. */
struct blk_queue {
	struct blk_req *head, *tail;
};

struct blk_file {
	struct blk_node node;
	char *filename;
	int locking; /* enum on_off_auto */
	int aio;
	int fd, file; /* file: the loop's index, -1 while not bound */
	int lock_fd;  /* holds the locks; -1: there are none */
	bool is_device, is_direct;
	/* A flush failed, and the host may have dropped what it could not
	 * write: no later flush can be trusted. */
	bool is_lossy;
	/* The host does not have these. */
	bool no_punch, no_zero_range;
	uint32_t io_align, mem_align; /* powers of two; 1: any */
	unsigned char *bounce_memory;
	unsigned char *bounce_free[BOUNCE_COUNT];
	unsigned nbounce_free;
	struct blk_queue starved; /* of a bounce buffer */
	/* Where a write may have to read around it first (io_align beyond a
	 * sector), writes that touch the same block wait for each other. One
	 * that is under way may be starved, too. */
	struct list writing; /* blk_req.link */
	struct blk_queue blocked;
};

/* Takes the image's locks, as `locking` says; closing lock_fd ends them. */
int blk_lock(struct blk_file *f, struct err *e);

int blk_file_bind(struct blk_node *n, struct loop *l, struct err *e);
void blk_file_unbind(struct blk_node *n);
void blk_file_submit(struct blk_node *n, struct blk_req *r);
