/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes small kernel images for tests of the loaders. Results are the
 * caller's to free; what cannot fail aborts where it does.
 */
#pragma once

#include "base/types.h"
#include "vmm/decompress.h"

#define TEST_LINK 0x1000000ULL /* where images are linked */

/* Bytes with some repetition. */
void test_fill(uint8_t *to, size_t len, uint64_t seed);

/* Packs data as a kernel's build does, without the size behind it. */
uint8_t *test_pack(enum codec codec, const void *data, size_t len,
		   size_t *ret_len);

struct test_seg {
	uint64_t off, file_len; /* in the file */
	uint64_t at, mem_len;   /* from TEST_LINK */
};

/* An ELF file with these segments, entry at byte 0x40; note may be NULL. */
uint8_t *test_elf(const struct test_seg *segs, unsigned count, const void *note,
		  size_t note_len, size_t *ret_len);

/* A bzImage with this payload; trailer: size follows it. */
uint8_t *test_bzimage(const void *payload, size_t len, uint32_t size,
		      bool trailer, size_t *ret_len);

/* A bzImage that has vmlinux packed. */
uint8_t *test_kernel(enum codec codec, const void *vmlinux, size_t len,
		     size_t *ret_len);
