/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses option arguments, and the scalars in them.
 *
 * Threads: main.
 */
#include "base/keyval.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/num.h"

#define KEYVAL_TEXT_MAX  (64U * 1024) /* bytes of an argument */
#define KEYVAL_DEPTH_MAX 16           /* dots in a key */
#define KEYVAL_NAME_MAX  64           /* bytes between two dots */

struct keyval {
	const char *at; /* what is still to be parsed */
	unsigned flags;
	struct json_object *root;
	struct err *e;
};

/* A bare `help` or `?` is this member, which no `k=v` can make: its value is
 * a boolean, theirs are strings. */
#define KEYVAL_HELP "help"

static int keyval_no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

static bool is_key_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Checks one fragment of a key, len bytes at name, in the key at `key`. */
static int keyval_check_name(struct keyval *kv, const char *name, size_t len,
			     const char *key, size_t key_len)
{
	if (!len)
		return err_set(kv->e, -EINVAL, "empty key in '%.*s'",
			       (int)key_len, key);
	if (len > KEYVAL_NAME_MAX)
		return err_set(kv->e, -EINVAL, "key '%.*s…' is too long",
			       KEYVAL_NAME_MAX, name);
	for (size_t i = 0; i < len; i++)
		if (!is_key_char(name[i]))
			return err_set(kv->e, -EINVAL,
				       "'%.*s' is not a valid key",
				       (int)key_len, key);
	return 0;
}

/* The object `name` inside obj, made where it is absent. */
static int keyval_descend(struct keyval *kv, struct json_object *obj,
			  const char *name, struct json_object **ret)
{
	struct json_object *child;
	int r;

	if (json_object_object_get_ex(obj, name, &child)) {
		if (!json_object_is_type(child, json_type_object))
			return err_set(kv->e, -EINVAL,
				       "'%s' has a value and members", name);
		*ret = child;
		return 0;
	}
	child = json_object_new_object();
	r = json_set(obj, name, child, kv->e);
	if (!r)
		*ret = child;
	return r;
}

/* Enters value (owned from here) under a dotted key of len bytes. */
static int keyval_enter(struct keyval *kv, const char *key, size_t len,
			struct json_object *value)
{
	AUTO_JSON struct json_object *v = value;
	struct json_object *obj = kv->root, *old;
	const char *name = key;
	char buf[KEYVAL_NAME_MAX + 1];

	if (!v)
		return keyval_no_memory(kv->e);
	for (unsigned depth = 0;; depth++) {
		size_t left = len - (size_t)(name - key);
		const char *dot = memchr(name, '.', left);
		size_t n = dot ? (size_t)(dot - name) : left;
		int r = keyval_check_name(kv, name, n, key, len);

		if (r)
			return r;
		if (depth > KEYVAL_DEPTH_MAX)
			return err_set(kv->e, -EINVAL,
				       "key '%.*s' has too many dots", (int)len,
				       key);
		memcpy(buf, name, n);
		buf[n] = 0;
		if (!dot)
			break;
		r = keyval_descend(kv, obj, buf, &obj);
		if (r)
			return r;
		name = dot + 1;
	}
	if (json_object_object_get_ex(obj, buf, &old))
		return err_set(kv->e, -EINVAL,
			       json_object_is_type(old, json_type_object)
				       ? "'%.*s' has a value and members"
				       : "'%.*s' is given twice",
			       (int)len, key);
	return json_set(obj, buf, take_ptr(v), kv->e);
}

/*
 * Takes a value off the text, up to a single comma or the end, with `,,` as a
 * comma, and steps over the comma. NULL: out of memory.
 */
static struct json_object *keyval_take_value(struct keyval *kv)
{
	AUTO_FREE char *buf = malloc(strlen(kv->at) + 1);
	size_t n = 0;

	if (!buf)
		return NULL;
	for (; *kv->at; kv->at++) {
		if (*kv->at == ',' && *++kv->at != ',')
			break;
		buf[n++] = *kv->at;
	}
	return json_object_new_string_len(buf, (int)n);
}

static bool is_help_word(const char *word, size_t len)
{
	return (len == 4 && !memcmp(word, "help", 4)) ||
	       (len == 1 && *word == '?');
}

/* A word without `=`: help, or a boolean where the caller takes those. */
static int keyval_bare(struct keyval *kv, const char *word, size_t len)
{
	bool on = true;

	kv->at += len;
	kv->at += *kv->at == ',';
	if (is_help_word(word, len))
		return json_set(kv->root, KEYVAL_HELP,
				json_object_new_boolean(true), kv->e);
	/* A dot is no part of a switch, but of a file's name. */
	if (!(kv->flags & KEYVAL_BARE_BOOL) || memchr(word, '.', len))
		return len ? err_set(kv->e, -EINVAL,
				     "expected '=' after '%.*s'", (int)len,
				     word)
			   : err_set(kv->e, -EINVAL, "empty key before ',%s'",
				     kv->at);
	if (len > 2 && !memcmp(word, "no", 2)) {
		on = false;
		word += 2;
		len -= 2;
	}
	return keyval_enter(kv, word, len,
			    json_object_new_string(on ? "on" : "off"));
}

/* One `key=value`, or a first value that belongs to the implied key. */
static int keyval_member(struct keyval *kv, const char *implied)
{
	size_t len = strcspn(kv->at, "=,");
	const char *key = kv->at;

	if (key[len] == '=') {
		kv->at += len + 1;
		return keyval_enter(kv, key, len, keyval_take_value(kv));
	}
	if (!implied || is_help_word(key, len))
		return keyval_bare(kv, key, len);
	if (!len && key[1] != ',')
		return err_set(kv->e, -EINVAL, "the value of '%s' is empty",
			       implied);
	return keyval_enter(kv, implied, strlen(implied),
			    keyval_take_value(kv));
}

/* Are all keys of a (non-empty) object numbers? */
static bool keyval_is_list(struct json_object *obj)
{
	json_object_object_foreach(obj, key, value)
	{
		(void)value;
		if (!isdigit((unsigned char)*key))
			return false;
	}
	return json_object_object_length(obj) > 0;
}

/* obj with the keys 0…n-1 as an array of n; a gap is an error. */
static int keyval_make_list(struct keyval *kv, struct json_object *obj,
			    const char *name, struct json_object **ret)
{
	AUTO_JSON struct json_object *list = json_object_new_array();
	int n = json_object_object_length(obj);

	if (!list)
		return keyval_no_memory(kv->e);
	for (int i = 0; i < n; i++) {
		struct json_object *v;
		char key[16];
		int r;

		(void)snprintf(key, sizeof(key), "%d", i); /* fits */
		if (!json_object_object_get_ex(obj, key, &v))
			return err_set(kv->e, -EINVAL, "'%s.%d' is missing",
				       name, i);
		r = json_append(list, json_object_get(v), kv->e);
		if (r)
			return r;
	}
	*ret = take_ptr(list);
	return 0;
}

/* Turns objects with numbered keys into arrays, from the leaves up. */
static int keyval_lists(struct keyval *kv, struct json_object *obj)
{
	int r;

	json_object_object_foreach(obj, key, value)
	{
		struct json_object *list;

		if (!json_object_is_type(value, json_type_object))
			continue;
		r = keyval_lists(kv, value);
		if (r)
			return r;
		if (!keyval_is_list(value))
			continue;
		r = keyval_make_list(kv, value, key, &list);
		if (r)
			return r;
		/* Replaces the value of an entry that exists: the table that
		 * is being walked keeps its shape. */
		r = json_set(obj, key, list, kv->e);
		if (r)
			return r;
	}
	return 0;
}

static int keyval_parse_list(struct keyval *kv, const char *implied)
{
	while (*kv->at) {
		int r = keyval_member(kv, implied);

		if (r)
			return r;
		implied = NULL;
	}
	return keyval_lists(kv, kv->root);
}

int keyval_parse(const char *text, const char *implied, unsigned flags,
		 struct json_object **ret, struct err *e)
{
	struct keyval kv = {.at = text, .flags = flags, .e = e};
	AUTO_JSON struct json_object *root = NULL;
	size_t len = strlen(text);
	int r;

	if (len > KEYVAL_TEXT_MAX)
		return err_set(e, -EINVAL, "'%.40s…' is longer than %u bytes",
			       text, KEYVAL_TEXT_MAX);
	if (*text == '{' && !(flags & KEYVAL_NO_JSON))
		return json_parse_object(text, len, ret, e);
	root = json_object_new_object();
	if (!root)
		return keyval_no_memory(e);
	kv.root = root;
	r = keyval_parse_list(&kv, implied);
	if (!r)
		*ret = take_ptr(root);
	return r;
}

bool keyval_wants_help(struct json_object *conf)
{
	struct json_object *v;

	return json_object_object_get_ex(conf, KEYVAL_HELP, &v) &&
	       json_object_is_type(v, json_type_boolean) &&
	       json_object_get_boolean(v);
}

/*
 * Whole decimal or hexadecimal digits up to a character that is none. A zero
 * in front of a decimal number is refused: some programs read it as octal.
 */
static int parse_digits(const char **text, uint64_t *ret)
{
	bool hex = (*text)[0] == '0' && ((*text)[1] | 0x20) == 'x';
	const char *p = *text + (hex ? 2 : 0), *start = p;
	bool fits = true;
	uint64_t n = 0;

	for (; hex ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p);
	     p++) {
		unsigned digit = (unsigned)(*p | 0x20);

		digit -= digit >= 'a' ? 'a' - 10 : '0';
		fits = fits && mul_ok(n, hex ? 16U : 10U, &n) &&
		       add_ok(n, digit, &n);
	}
	if (p == start || (!hex && *start == '0' && p - start > 1))
		return -EINVAL;
	*text = p;
	*ret = n;
	return fits ? 0 : -ERANGE;
}

int parse_u64(const char *text, uint64_t *ret)
{
	uint64_t n = 0;
	int r = parse_digits(&text, &n);

	if (*text)
		return -EINVAL;
	if (!r)
		*ret = n;
	return r;
}

/* The number of bytes that a size's suffix stands for; 0: not a suffix. */
static uint64_t suffix_unit(char c)
{
	static const char suffixes[] = "BKMGTPE";
	const char *at = c ? strchr(suffixes, toupper((unsigned char)c)) : NULL;

	return at ? 1ULL << (10 * (at - suffixes)) : 0;
}

/* Reads ".digits" as a fraction of unit, rounded down. */
static int parse_fraction(const char **text, uint64_t unit, uint64_t *ret)
{
	unsigned __int128 n = 0, scale = 1;
	const char *p = *text + 1;

	/* 18 digits are finer than a byte of an exbibyte. */
	for (; isdigit((unsigned char)*p); p++) {
		if (p - *text > 18)
			continue;
		n = n * 10 + (unsigned)(*p - '0');
		scale *= 10;
	}
	if (p == *text + 1)
		return -EINVAL;
	*text = p;
	*ret = (uint64_t)(n * unit / scale);
	return 0;
}

/* Finds the unit behind the digits, before the fraction can be valued. */
static uint64_t size_unit(const char *p, uint64_t unit)
{
	p += strspn(p, ".0123456789");
	return *p ? suffix_unit(*p) : unit;
}

int parse_size(const char *text, uint64_t unit, uint64_t *ret)
{
	uint64_t n = 0, fraction = 0;
	int r = parse_digits(&text, &n), r2 = 0;

	if (r == -EINVAL)
		return r;
	unit = size_unit(text, unit);
	if (!unit)
		return -EINVAL;
	if (*text == '.') {
		r2 = parse_fraction(&text, unit, &fraction);
		if (r2 || unit == 1)
			return -EINVAL;
	}
	if (*text && text[1])
		return -EINVAL;
	if (r || !mul_ok(n, unit, &n) || !add_ok(n, fraction, &n))
		return -ERANGE;
	*ret = n;
	return 0;
}

int parse_bool(const char *text, bool *ret)
{
	static const char *const words[][2] = {
		{"off", "on"}, {"no", "yes"}, {"false", "true"}, {"n", "y"}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (unsigned on = 0; on < 2; on++) {
			if (strcmp(text, words[i][on]) != 0)
				continue;
			*ret = on;
			return 0;
		}
	}
	return -EINVAL;
}

bool id_is_valid(const char *id)
{
	if (!isalpha((unsigned char)*id))
		return false;
	for (; *id; id++)
		if (!isalnum((unsigned char)*id) && !strchr("-._", *id))
			return false;
	return true;
}
