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
 * Threads: space_read/space_write: any (vCPU, main, io), each with its own
 * space_reader. space_add/space_del/space_move: any; they serialise on the
 * space's own lock, and may be called from inside a handler.
 */
#pragma once

#include <pthread.h>

#include "base/err.h"
#include "base/types.h"

struct device;
struct region;
struct space;

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
	uint8_t flags;
	struct space *space; /* where it is now; the space's own */
};

int space_new(const char *name, uint64_t limit, struct space **ret,
	      struct err *e);
void space_free(struct space *s);

/*
 * Adds a region at r->base. -EEXIST on overlap, naming both; -ERANGE past the
 * end of the space; -ENOMEM. r stays the caller's and must be deleted before
 * it goes. After space_del returns no handler of it is running on another
 * thread, and none starts.
 */
int space_add(struct space *s, struct region *r, struct err *e);
void space_del(struct region *r); /* harmless if not added */
int space_move(struct region *r, uint64_t base, struct err *e);

/* One per thread that accesses the space: cache and grace-period mark. */
struct space_reader {
	struct space *space;
	_Atomic uint64_t epoch; /* 0: outside */
	const struct region *last;
	uint64_t last_epoch;
	struct space_reader *next;
	unsigned depth; /* nested accesses (DMA into a register) */
};

void space_reader_init(struct space_reader *rd, struct space *s);
void space_reader_fini(struct space_reader *rd);

/* size: 1, 2, 4 or 8; any alignment. The upper bytes of the result are 0. */
uint64_t space_read(struct space_reader *rd, uint64_t addr, unsigned size);
void space_write(struct space_reader *rd, uint64_t addr, unsigned size,
		 uint64_t value);

/*
 * Calls fn for each region, by address. For tables (ACPI), `info mtree` and
 * tests. The region list must not change meanwhile.
 */
void space_for_each(struct space *s,
		    void (*fn)(void *opaque, const struct region *r),
		    void *opaque);
