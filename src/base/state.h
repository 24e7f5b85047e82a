/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State tables: every byte of an object is listed as guest-visible state,
 * derived from it, or the host's own. Saving, loading, comparing and printing
 * come from the table, each field versioned by the release that brought it.
 *
 * Threads: whoever owns the object; it must be at rest.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "base/types.h"

enum state_type {
	STATE_T_UINT,    /* unsigned of 1, 2, 4 or 8 bytes */
	STATE_T_BOOL,    /* of 1 byte, 0 or 1 */
	STATE_T_BYTES,   /* opaque bytes */
	STATE_T_ARRAY,   /* count structures of size bytes with a table each */
	STATE_T_DERIVED, /* recomputed by the class's `loaded` callback */
	STATE_T_HOST,    /* pointers, descriptors, locks: never saved */
};

struct state_field {
	const char *name; /* NULL ends a table */
	enum state_type type;
	size_t offset, size;
	size_t align;                  /* of the field, for the cover check */
	unsigned count;                /* 1, or elements of an array */
	const struct state_field *sub; /* of STATE_T_ARRAY */
	unsigned since;                /* version that brought the field */
	bool kept; /* survives a reset: it has a battery */
};

#define STATE_SIZEOF(T, f)  sizeof(((T *)0)->f)
#define STATE_ALIGNOF(T, f) __alignof__(((T *)0)->f)
#define STATE_NUMBER(T, f)                                                     \
	_Generic(((T *)0)->f, bool: STATE_T_BOOL, default: STATE_T_UINT)
#define STATE_UINT(T, f, v)                                                    \
	{.name = #f, .type = STATE_NUMBER(T, f), .offset = offsetof(T, f),     \
	 .size = STATE_SIZEOF(T, f), .align = STATE_ALIGNOF(T, f), .count = 1, \
	 .since = v}
/* An array of unsigned integers. */
#define STATE_UINTS(T, f, v)                                                   \
	{.name = #f, .type = STATE_NUMBER(T, f[0]), .offset = offsetof(T, f),  \
	 .size = STATE_SIZEOF(T, f[0]), .align = STATE_ALIGNOF(T, f),          \
	 .count = STATE_SIZEOF(T, f) / STATE_SIZEOF(T, f[0]), .since = v}
#define STATE_BYTES(T, f, v)                                                   \
	{.name = #f, .type = STATE_T_BYTES, .offset = offsetof(T, f),          \
	 .size = STATE_SIZEOF(T, f), .align = STATE_ALIGNOF(T, f), .count = 1, \
	 .since = v}
/* One structure, or an array of them, with a table of its own. */
#define STATE_STRUCT(T, f, table, v)                                           \
	{.name = #f, .type = STATE_T_ARRAY, .offset = offsetof(T, f),          \
	 .size = STATE_SIZEOF(T, f), .align = STATE_ALIGNOF(T, f), .count = 1, \
	 .sub = table, .since = v}
#define STATE_STRUCTS(T, f, table, v)                                          \
	{.name = #f, .type = STATE_T_ARRAY, .offset = offsetof(T, f),          \
	 .size = STATE_SIZEOF(T, f[0]), .align = STATE_ALIGNOF(T, f),          \
	 .count = STATE_SIZEOF(T, f) / STATE_SIZEOF(T, f[0]), .sub = table,    \
	 .since = v}
#define STATE_DERIVED(T, f)                                                    \
	{.name = #f, .type = STATE_T_DERIVED, .offset = offsetof(T, f),        \
	 .size = STATE_SIZEOF(T, f), .align = STATE_ALIGNOF(T, f), .count = 1}
#define STATE_HOST(T, f)                                                       \
	{.name = #f, .type = STATE_T_HOST, .offset = offsetof(T, f),           \
	 .size = STATE_SIZEOF(T, f), .align = STATE_ALIGNOF(T, f), .count = 1}
/* As STATE_UINT and STATE_BYTES, for what a reset leaves alone. */
#define STATE_UINT_KEPT(T, f, v)                                               \
	{.name = #f, .type = STATE_NUMBER(T, f), .offset = offsetof(T, f),     \
	 .size = STATE_SIZEOF(T, f), .align = STATE_ALIGNOF(T, f), .count = 1, \
	 .since = v, .kept = true}
#define STATE_BYTES_KEPT(T, f, v)                                              \
	{.name = #f, .type = STATE_T_BYTES, .offset = offsetof(T, f),          \
	 .size = STATE_SIZEOF(T, f), .align = STATE_ALIGNOF(T, f), .count = 1, \
	 .since = v, .kept = true}
#define STATE_END {.name = NULL}

/* A growing byte buffer that a save writes and a load reads, from pos on. */
struct state_buf {
	uint8_t *data;
	size_t len, cap, pos;
};

void state_buf_fini(struct state_buf *b);

/* Appends the object's listed state. -ENOMEM. */
int state_save(const struct state_field *table, const void *obj,
	       struct state_buf *b, struct err *e);

/*
 * Reads what state_save wrote, by field name: a field the stream lacks keeps
 * its value where it is younger than the stream; an unknown, repeated,
 * missing or mis-sized one is -EINVAL. The stream is untrusted: it is judged
 * whole before the first field is written, and nothing but listed fields is.
 */
int state_load(const struct state_field *table, void *obj, struct state_buf *b,
	       struct err *e);

/*
 * Checks that [from, size) of the object is covered by the table, and no name
 * used twice: names the first byte that no field lists. A gap is padding where
 * it ends at the next field's alignment and is smaller than it. For the
 * generic test.
 */
int state_check_cover(const struct state_field *table, size_t from, size_t size,
		      struct err *e);
