/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses JSON from outside: what json-c's strict mode lets through and this
 * program could misread is refused here.
 *
 * Spec: RFC 8259.
 * Threads: any.
 */
#include "base/json.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/num.h"

/* How much of the text a message quotes. */
#define JSON_QUOTE 40

/*
 * What a second look at well-formed text counts. json-c keeps the last of two
 * equal keys and cuts a key at a NUL, without a word.
 */
struct json_scan {
	const char *at, *end;
	size_t members;   /* colons outside strings */
	const char *flaw; /* what RFC 8259 or this program does not take */
};

/* From the opening quote to behind the closing one. */
static void json_scan_string(struct json_scan *s)
{
	for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
		if ((unsigned char)*s->at < ' ')
			s->flaw = "a control character in a string";
		if (*s->at != '\\')
			continue;
		s->at++;
		if (s->end - s->at >= 5 && !memcmp(s->at, "u0000", 5))
			s->flaw = "a NUL (\\u0000) in a string";
	}
	s->at += s->at < s->end;
}

static bool json_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void json_scan_number(struct json_scan *s)
{
	bool negative = *s->at == '-', fits = true;
	uint64_t n = 0;

	s->at += negative;
	for (; s->at < s->end && json_is_digit(*s->at); s->at++)
		fits = fits && mul_ok(n, 10U, &n) &&
		       add_ok(n, (uint64_t)(*s->at - '0'), &n);
	if (s->at < s->end && strchr(".eE", *s->at)) {
		/* A fraction: double in json-c, refused by whoever reads it */
		while (s->at < s->end && strchr("0123456789.eE+-", *s->at))
			s->at++;
		return;
	}
	if (!fits || (negative && n > 1ULL << 63))
		s->flaw = "a number that does not fit 64 bits";
}

static void json_scan(struct json_scan *s)
{
	while (s->at < s->end) {
		if (*s->at == '"') {
			json_scan_string(s);
		} else if (*s->at == '-' || json_is_digit(*s->at)) {
			json_scan_number(s);
		} else if (*s->at == '\'') {
			s->flaw = "a string in single quotes";
			return;
		} else if (*s->at == 'N' || *s->at == 'I') {
			s->flaw = "NaN and Infinity are no JSON numbers";
			return;
		} else {
			s->members += *s->at == ':';
			s->at++;
		}
	}
}

/* Members of all objects in the tree; its depth is bounded by the parser. */
static size_t json_count(struct json_object *o)
{
	size_t n = 0;

	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value)
		{
			(void)key;
			n += 1 + json_count(value);
		}
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			n += json_count(json_object_array_get_idx(o, i));
	}
	return n;
}

static int json_check(const char *text, size_t len, struct json_object *o,
		      struct err *e)
{
	struct json_scan s = {.at = text, .end = text + len};

	json_scan(&s);
	if (!s.flaw && s.members != json_count(o))
		s.flaw = "the same key twice in an object";
	if (s.flaw)
		return err_set(e, -EINVAL, "JSON: %s", s.flaw);
	return 0;
}

static int json_tokenize(struct json_tokener *tok, const char *text, size_t len,
			 struct json_object **ret, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	enum json_tokener_error why;
	const char *at;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT |
					    JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, text, (int)len);
	why = json_tokener_get_error(tok);
	at = text + json_tokener_get_parse_end(tok);
	if (why == json_tokener_continue)
		return err_set(e, -EINVAL, "the JSON text ends too early");
	if (why == json_tokener_success && at != text + len)
		why = json_tokener_error_parse_unexpected; /* behind a NUL */
	if (why != json_tokener_success)
		return err_set(e, -EINVAL, "JSON: %s at '%.*s'",
			       json_tokener_error_desc(why),
			       (int)MIN((ptrdiff_t)JSON_QUOTE, text + len - at),
			       at);
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, -EINVAL, "the JSON text is not an object");
	*ret = take_ptr(o);
	return 0;
}

int json_parse_object(const char *text, size_t len, struct json_object **ret,
		      struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct json_tokener *tok;
	int r;

	if (len > JSON_TEXT_MAX)
		return err_set(e, -EINVAL, "more than %u bytes of JSON",
			       JSON_TEXT_MAX);
	tok = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (!tok)
		return err_set(e, -ENOMEM, "out of memory");
	r = json_tokenize(tok, text, len, &o, e);
	json_tokener_free(tok);
	if (r)
		return r;
	r = json_check(text, len, o, e);
	if (r)
		return r;
	*ret = take_ptr(o);
	return 0;
}

int json_set(struct json_object *obj, const char *key,
	     struct json_object *value, struct err *e)
{
	if (value && !json_object_object_add(obj, key, value))
		return 0;
	json_object_put(value);
	return err_set(e, -ENOMEM, "out of memory");
}

int json_append(struct json_object *array, struct json_object *value,
		struct err *e)
{
	if (value && !json_object_array_add(array, value))
		return 0;
	json_object_put(value);
	return err_set(e, -ENOMEM, "out of memory");
}

const char *json_member_string(struct json_object *obj, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(obj, key, &v) ||
	    !json_object_is_type(v, json_type_string))
		return NULL;
	return json_object_get_string(v);
}

const char *json_text(struct json_object *value)
{
	const char *s = json_object_get_string(value);

	return s ? s : "null";
}
