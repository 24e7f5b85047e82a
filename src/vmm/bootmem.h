/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which RAM is free while a guest is loaded: pieces that are RAM in the memory
 * map and one host mapping each, less what has been taken.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct e820_entry;
struct gmem;

#define BOOTMEM_PIECES_MAX 96

struct bootmem {
	struct {
		gpa_t base;
		uint64_t len;
	} pieces[BOOTMEM_PIECES_MAX]; /* by address, none empty */
	unsigned count;
};

/* RAM from floor up. -EINVAL: none, or in too many pieces. */
int bootmem_init(struct bootmem *m, const struct gmem *gm,
		 const struct e820_entry *e820, unsigned count, gpa_t floor,
		 struct err *e);

/* Is all of [base, base + len) free, and in one piece? */
bool bootmem_is_free(const struct bootmem *m, gpa_t base, uint64_t len);

/* Removes it; it must be free. */
void bootmem_take(struct bootmem *m, gpa_t base, uint64_t len);

/*
 * The highest free place for len bytes that ends at or below limit, with its
 * base a multiple of align; false: none.
 */
bool bootmem_highest(const struct bootmem *m, uint64_t len, uint64_t align,
		     gpa_t limit, gpa_t *ret);

/*
 * Places for something with an aligned origin that lies lead bytes inside len
 * bytes, at origins from floor up: their number, and the n-th origin.
 */
struct bootmem_shape {
	uint64_t lead, len, align;
	gpa_t floor;
};

uint64_t bootmem_slots(const struct bootmem *m, const struct bootmem_shape *s);
gpa_t bootmem_slot(const struct bootmem *m, const struct bootmem_shape *s,
		   uint64_t n);
