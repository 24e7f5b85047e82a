/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked arithmetic, alignment and bit fields.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * *ret = a + b (a * b); false, with *ret undefined, where the result does not
 * fit the type of *ret.
 */
#define add_ok(a, b, ret) (!__builtin_add_overflow((a), (b), (ret)))
#define sub_ok(a, b, ret) (!__builtin_sub_overflow((a), (b), (ret)))
#define mul_ok(a, b, ret) (!__builtin_mul_overflow((a), (b), (ret)))

/* Is [off, off + len) inside [0, size)? True for an empty range at size. */
static inline bool range_ok(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* Do [a, a + alen) and [b, b + blen) share a byte? Neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b,
				  uint64_t blen)
{
	return alen && blen && a < b + blen && b < a + alen;
}

static inline bool is_pow2(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* n rounded down (up) to a multiple of align, a power of two. */
static inline uint64_t align_down(uint64_t n, uint64_t align)
{
	return n & ~(align - 1);
}

/* The caller makes sure that n + align - 1 does not wrap. */
static inline uint64_t align_up(uint64_t n, uint64_t align)
{
	return align_down(n + align - 1, align);
}

#define BIT(n) (1ULL << (n))

/* Bits high to low, both counted from 0 and included. */
#define MASK(high, low) ((~0ULL >> (63 - (high))) & (~0ULL << (low)))

/* The field of value that mask covers, shifted down; and its counterpart. */
#define FIELD_GET(mask, value) (((value) & (mask)) >> __builtin_ctzll(mask))
#define FIELD_SET(mask, value)                                                 \
	(((uint64_t)(value) << __builtin_ctzll(mask)) & (mask))
