/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of option arguments: `k=v,k2=v2` with `,,` for a comma in a
 * value, dotted keys for nested objects (`file.driver=file`), numbered keys
 * for arrays (`a.0=x,a.1=y`), a first value without key (`virtio-blk,…`), a
 * bare key for `key=on` (and `nokey` for `key=off`) where the caller allows
 * it, a trailing comma, and a JSON object where the text starts with '{'.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct json_object;

enum keyval_flags {
	KEYVAL_BARE_BOOL = 1, /* `readonly` is `readonly=on` */
	KEYVAL_NO_JSON = 2,   /* '{' starts no JSON object here (-chardev) */
};

/*
 * Parses text into a new JSON object that the caller puts
 * (json_object_put). implied is the key of a first value without `=`, or
 * NULL. Depth and total size are bounded; duplicate keys, empty keys, a key
 * that is both leaf and object, and malformed JSON are -EINVAL naming the
 * offending text.
 */
int keyval_parse(const char *text, const char *implied, unsigned flags,
		 struct json_object **ret, struct err *e);

/* Does the list consist of, or contain, the bare word `help` or `?`? */
bool keyval_wants_help(struct json_object *conf);

/*
 * The nearest of n names to word by edit distance, or NULL where none is near
 * enough to be meant. name_at(opaque, i) gives the i-th name, NULL ends.
 */
const char *nearest_name(const char *word,
			 const char *(*name_at)(const void *opaque, size_t i),
			 const void *opaque);

/*
 * Parses a whole number ("12", "0x1f"; no sign, no leading 0 as of octal
 * numbers, no trailing text) or a size
 * ("512M", "1.5G", default unit bytes times unit). -EINVAL or -ERANGE.
 */
int parse_u64(const char *text, uint64_t *ret);
int parse_size(const char *text, uint64_t unit, uint64_t *ret);
int parse_bool(const char *text, bool *ret);

/* Ids: letters, digits, '-', '.', '_', starting with a letter. */
bool id_is_valid(const char *id);
