/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json-c with the strictness that input from outside needs, and the few calls
 * that keep ownership simple.
 *
 * Threads: any; a json_object belongs to one thread at a time.
 */
#pragma once

#include <json-c/json.h>

#include "base/compiler.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 32
#define JSON_TEXT_MAX  (1U << 20) /* bytes */

static inline void cleanup_json(struct json_object **o)
{
	json_object_put(*o);
}

/* A local reference that is put at the end of its scope; see take_ptr(). */
#define AUTO_JSON __attribute__((cleanup(cleanup_json)))

/*
 * Parses one JSON object (RFC 8259) that takes up all of text into a new
 * object that the caller puts. Beyond json-c's strict mode a key given twice,
 * a NUL in a string, and an integer outside -2^63…2^64-1 are refused. -EINVAL
 * with the offending text; -ENOMEM.
 */
int json_parse_object(const char *text, size_t len, struct json_object **ret,
		      struct err *e) MUST_CHECK;

/*
 * Adds value to an object (an array), which owns it from here, also on
 * failure. A NULL value, which is what json-c's constructors return where
 * memory is short, is -ENOMEM.
 */
int json_set(struct json_object *obj, const char *key,
	     struct json_object *value, struct err *e) MUST_CHECK;
int json_append(struct json_object *array, struct json_object *value,
		struct err *e) MUST_CHECK;

/* The member as a C string, or NULL where it is absent or no string. */
const char *json_member_string(struct json_object *obj, const char *key);

/* The value as a message shows it: a string bare, the rest as JSON. */
const char *json_text(struct json_object *value);
