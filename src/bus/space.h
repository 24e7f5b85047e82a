/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space (memory or ports): a sorted table of regions, found by
 * binary search behind a last-hit cache, replaced whole when a region comes,
 * goes or moves, and read without a lock.
 *
 * Sizes and alignment that a region does not accept never reach its handler:
 * a wider access is split, a narrower read is cut out of a wider one (or
 * refused, as the region says). Unclaimed reads are all-ones; unclaimed
 * accesses are logged once per page under -d unimp.
 *
 * A handler runs under its device's lock (REGION_UNLOCKED: under none). An
 * access that a handler makes in its turn (DMA into a register) reaches other
 * devices, to a bounded depth; back into a device that is being accessed by
 * the same thread it is refused: all-ones, dropped, and the guest's error.
 *
 * Threads: space_read/space_write: any (vCPU, main, io), each with its own
 * space_reader. space_add/space_del/space_move: any; they serialise on the
 * space's own lock, and may be called from inside a handler. Lock order:
 * device locks, then the space's own, which no handler runs under.
 */
#pragma once

#include <pthread.h>

#include "base/err.h"
#include "base/types.h"

struct device;
struct region;
struct space;
struct space_table;

struct region_ops {
	/* off < region's len, off aligned to size, min <= size <= max. */
	uint64_t (*read)(struct region *r, uint64_t off, unsigned size);
	void (*write)(struct region *r, uint64_t off, unsigned size,
		      uint64_t value);
};

enum region_flags {
	/* Handlers take no lock of the bus; they are safe on any thread. */
	REGION_UNLOCKED = 1,
	/* An access narrower than min reads all-ones and drops writes, rather
	 * than being widened to a read (or read-modify-write) of min. */
	REGION_STRICT = 2,
};

/* Embedded in its device; base is set by whoever adds it. */
struct region {
	const char *name;
	const struct region_ops *ops;
	struct device *dev; /* whose lock guards the handlers; NULL: none */
	void *opaque;       /* for handlers that need more than dev */
	uint64_t base, len;
	uint8_t min, max; /* access widths: 1, 2, 4, 8; 0 means 1 (and 8) */
	uint8_t flags;       /* enum region_flags */
	struct space *space; /* where it is now; the space's own */
};

/* A space of addresses [0, limit); name is static ("ports"). -ENOMEM. */
int space_new(const char *name, uint64_t limit, struct space **ret,
	      struct err *e);
/* No region and no reader may be left. NULL is fine. */
void space_free(struct space *s);

/*
 * Adds a region at r->base. -EEXIST on overlap, naming both; -ERANGE past the
 * end of the space; -EINVAL on widths that are not powers of two up to 8 or a
 * length that is not a multiple of min; -EBUSY if it is in a space; -ENOMEM.
 * r stays the caller's and must be deleted before it goes.
 */
int space_add(struct space *s, struct region *r, struct err *e);

/*
 * Takes a region out; harmless if not added. When it returns no handler of it
 * is running on another thread, and none starts. The caller may hold r->dev's
 * lock; it holds no other lock that r's handler might wait for. A caller that
 * does hold r->dev's lock must not free the region before space_quiesce().
 */
void space_del(struct region *r);

/*
 * Moves an added region; errors as space_add, and then it stays where it was.
 * An access that has begun may still end at the old place.
 */
int space_move(struct region *r, uint64_t base, struct err *e);

/*
 * Waits until no other thread is on its way into a region of d that was
 * deleted before. On main, without d's lock: device_detach() calls it.
 */
void space_quiesce(struct space *s, const struct device *d);

#define SPACE_DEPTH_MAX 4

/*
 * One per thread that accesses the space: what it is looking at, so that
 * nothing is freed under it, and its last hit.
 */
struct space_reader {
	struct space *space;
	struct space_reader *next;
	_Atomic uintptr_t thread;         /* that is in a handler */
	_Atomic(struct space_table *) pin; /* being searched */
	_Atomic(struct region *) busy[SPACE_DEPTH_MAX]; /* being accessed */
	unsigned depth; /* of nested accesses (DMA into a register) */
	uint64_t last_generation; /* below valid while the space's is this */
	uint64_t last_base, last_len;
	struct region *last;
};

/* Any thread; the reader is used by one thread at a time. */
void space_reader_init(struct space_reader *rd, struct space *s);
void space_reader_fini(struct space_reader *rd);

/* size: 1, 2, 4 or 8; any alignment. The upper bytes of the result are 0. */
uint64_t space_read(struct space_reader *rd, uint64_t addr, unsigned size);
void space_write(struct space_reader *rd, uint64_t addr, unsigned size,
		 uint64_t value);

/*
 * Calls fn for each region, by address. For tables (ACPI), `info mtree` and
 * tests. fn must not change the space.
 */
void space_for_each(struct space *s,
		    void (*fn)(void *opaque, const struct region *r),
		    void *opaque);
