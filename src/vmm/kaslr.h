/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel address space layout randomisation, done for the kernel: the table of
 * places that hold virtual addresses, and the choice of new ones.
 *
 * Spec: Linux arch/x86/tools/relocs.c (the table's layout) and
 *       arch/x86/include/asm/page_64_types.h (limits).
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

/* The kernel's text is mapped here, and in this window behind it. */
#define KASLR_MAP_BASE   0xffffffff80000000ULL
#define KASLR_MAP_WINDOW (1ULL << 30)

/*
 * Number of places for an image of len bytes, linked at the physical address
 * link_base, in steps of align: its virtual address may move up by
 * [0, result) steps. 0: none, the image does not fit.
 */
uint64_t kaslr_virtual_slots(uint64_t link_base, uint64_t len, uint64_t align);

/* A kernel in memory. */
struct kaslr_image {
	uint8_t *data;      /* where its lowest segment lies */
	uint64_t len;       /* bytes that came from the file */
	uint64_t link_base; /* physical address that it is linked for */
};

/*
 * Applies the table at table[0, len), which the kernel's build appended to its
 * ELF file, for a kernel that runs delta bytes above its linked address. Both
 * are untrusted and may lie in guest memory. -EINVAL: malformed, or a place
 * outside the image; the image is then unusable.
 */
int kaslr_relocate(const struct kaslr_image *image, const void *table,
		   uint64_t len, uint64_t delta, struct err *e);

/* Random numbers for the places: from a seed, or (0) from the system. */
struct kaslr_rng {
	uint64_t state;
};

int kaslr_rng_init(struct kaslr_rng *r, uint64_t seed, struct err *e);
uint64_t kaslr_rng_below(struct kaslr_rng *r, uint64_t n); /* n > 0 */

/* Does the command line have the word `nokaslr`? */
bool kaslr_is_refused(const char *cmdline);
/* Does it limit the memory (mem=, memmap=), or ask for pieces of it? Then the
 * kernel stays at the address that it prefers. */
bool kaslr_is_pinned(const char *cmdline);
