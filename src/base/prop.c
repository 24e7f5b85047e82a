/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property tables: defaults, setting from text and JSON, links, help words.
 *
 * Threads: main.
 */
#include "base/prop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/keyval.h"

const char *const on_off_auto_names[] = {
	[OOA_AUTO] = "auto",
	[OOA_ON] = "on",
	[OOA_OFF] = "off",
	NULL,
};

/* A row, the object whose field it is, and how messages name it. */
struct prop_ref {
	const struct prop *p;
	void *obj;
	const char *what; /* driver, or NULL */
};

static void *prop_field(const struct prop *p, void *obj)
{
	return (char *)obj + p->offset;
}

/* "virtio-blk-device.drive", or "drive" where no driver is known. */
static const char *prop_label(const struct prop_ref *ref, char *buf, size_t len)
{
	(void)snprintf(buf, len, "%s%s%s", ref->what ? ref->what : "",
		       ref->what ? "." : "", ref->p->name);
	return buf;
}

/* "Property 'x.y' doesn't take value 'z'"; the caller appends why. */
static int prop_refuse(const struct prop_ref *ref, struct json_object *value,
		       struct err *e)
{
	char label[128];

	return err_set(e, -EINVAL, "Property '%s' doesn't take value '%s'",
		       prop_label(ref, label, sizeof(label)), json_text(value));
}

static int prop_expects(const struct prop_ref *ref, const char *kind,
			struct json_object *value, struct err *e)
{
	return err_set(e, -EINVAL, "Parameter '%s' expects %s, not '%s'",
		       ref->p->name, kind, json_text(value));
}

static void prop_store(const struct prop *p, void *obj, uint64_t n)
{
	void *field = prop_field(p, obj);

	switch (p->type) {
	case PROP_T_BOOL:
		*(bool *)field = n;
		break;
	case PROP_T_U8:
		*(uint8_t *)field = (uint8_t)n;
		break;
	case PROP_T_U16:
		*(uint16_t *)field = (uint16_t)n;
		break;
	case PROP_T_U32:
	case PROP_T_I32:
		*(uint32_t *)field = (uint32_t)n;
		break;
	case PROP_T_U64:
	case PROP_T_SIZE:
		*(uint64_t *)field = n;
		break;
	case PROP_T_ENUM:
		*(int *)field = (int)n;
		break;
	case PROP_T_STR:
	case PROP_T_MAC:
	case PROP_T_BACKEND:
		break; /* not numbers */
	}
}

/* Reads text with an optional sign, for a signed row. */
static int parse_i64(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	uint64_t n;
	int r = parse_u64(text + negative, &n);

	if (r)
		return r;
	if (n > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = (int64_t)(negative ? 0 - n : n);
	return 0;
}

/* The number in a string or JSON integer, as the row's signedness has it. */
static int prop_read_number(const struct prop *p, struct json_object *value,
			    uint64_t *ret)
{
	const char *text = json_object_get_string(value);
	int64_t i;
	int r;

	if (!json_object_is_type(value, json_type_string) &&
	    !json_object_is_type(value, json_type_int))
		return -EINVAL;
	if (p->type == PROP_T_SIZE)
		return parse_size(text, 1, ret);
	if (!p->is_signed)
		return *text == '-' ? -ERANGE : parse_u64(text, ret);
	r = parse_i64(text, &i);
	if (!r)
		*ret = (uint64_t)i;
	return r;
}

static bool prop_in_range(const struct prop *p, uint64_t n)
{
	if (!p->is_signed)
		return n >= p->min && n <= p->max;
	return (int64_t)n >= (int64_t)p->min && (int64_t)n <= (int64_t)p->max;
}

static int prop_set_number(const struct prop_ref *ref,
			   struct json_object *value, struct err *e)
{
	const struct prop *p = ref->p;
	uint64_t n = 0;
	int r = prop_read_number(p, value, &n);

	if (r == -EINVAL)
		return prop_expects(ref,
				    p->type == PROP_T_SIZE
					    ? "a size such as 512M"
					    : "integer",
				    value, e);
	if (r || !prop_in_range(p, n)) {
		(void)prop_refuse(ref, value, e);
		if (p->is_signed)
			err_append(e,
				   " (minimum: %" PRId64 ", maximum: %" PRId64
				   ")",
				   (int64_t)p->min, (int64_t)p->max);
		else
			err_append(e,
				   " (minimum: %" PRIu64 ", maximum: %" PRIu64
				   ")",
				   p->min, p->max);
		return -EINVAL;
	}
	prop_store(p, ref->obj, n);
	return 0;
}

static int prop_set_bool(const struct prop_ref *ref, struct json_object *value,
			 struct err *e)
{
	bool on = json_object_get_boolean(value);

	if (!json_object_is_type(value, json_type_boolean) &&
	    (!json_object_is_type(value, json_type_string) ||
	     parse_bool(json_object_get_string(value), &on)))
		return prop_expects(ref, "'on' or 'off'", value, e);
	prop_store(ref->p, ref->obj, on);
	return 0;
}

static const char *prop_name_at(const void *names, size_t i)
{
	return ((const char *const *)names)[i];
}

/* Says which words there are, and which is nearest. */
static int prop_refuse_word(const struct prop_ref *ref,
			    struct json_object *value, struct err *e)
{
	const char *const *names = ref->p->names;
	const char *near = nearest_name(json_text(value), prop_name_at, names);

	(void)prop_refuse(ref, value, e);
	err_append(e, " (one of: ");
	for (size_t i = 0; names[i]; i++)
		err_append(e, "%s%s", i ? ", " : "", names[i]);
	if (near)
		err_append(e, "; did you mean '%s'?", near);
	err_append(e, ")");
	return -EINVAL;
}

static int prop_set_enum(const struct prop_ref *ref, struct json_object *value,
			 struct err *e)
{
	const char *text = json_text(value);

	if (!json_object_is_type(value, json_type_string))
		return prop_expects(ref, "a word", value, e);
	for (size_t i = 0; ref->p->names[i]; i++) {
		if (strcmp(ref->p->names[i], text) != 0)
			continue;
		prop_store(ref->p, ref->obj, i);
		return 0;
	}
	return prop_refuse_word(ref, value, e);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Six pairs of hexadecimal digits with ':' (or '-') between them. */
static bool parse_mac(const char *text, struct mac *ret)
{
	struct mac m = {.is_set = true};

	for (unsigned i = 0; i < 6; i++, text += 3) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0)
			return false;
		m.b[i] = (uint8_t)(high << 4 | low);
		if (i < 5 ? text[2] != ':' && text[2] != '-' : text[2] != 0)
			return false;
	}
	*ret = m;
	return true;
}

static int prop_set_mac(const struct prop_ref *ref, struct json_object *value,
			struct err *e)
{
	if (!json_object_is_type(value, json_type_string) ||
	    !parse_mac(json_text(value), prop_field(ref->p, ref->obj)))
		return prop_expects(ref,
				    "a MAC address such as 52:54:00:12:34:56",
				    value, e);
	return 0;
}

static int prop_replace_string(char **field, const char *text, struct err *e)
{
	char *copy = strdup(text);

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	free(*field);
	*field = copy;
	return 0;
}

static int prop_set_string(const struct prop_ref *ref,
			   struct json_object *value, struct err *e)
{
	void *field = prop_field(ref->p, ref->obj);
	struct prop_link *link = field;

	if (!json_object_is_type(value, json_type_string))
		return prop_expects(ref, "a string", value, e);
	if (ref->p->type == PROP_T_STR)
		return prop_replace_string(field, json_text(value), e);
	link->ptr = NULL;
	return prop_replace_string(&link->id, json_text(value), e);
}

static int prop_set_ref(const struct prop_ref *ref, struct json_object *value,
			struct err *e)
{
	switch (ref->p->type) {
	case PROP_T_BOOL:
		return prop_set_bool(ref, value, e);
	case PROP_T_U8:
	case PROP_T_U16:
	case PROP_T_U32:
	case PROP_T_U64:
	case PROP_T_I32:
	case PROP_T_SIZE:
		return prop_set_number(ref, value, e);
	case PROP_T_ENUM:
		return prop_set_enum(ref, value, e);
	case PROP_T_MAC:
		return prop_set_mac(ref, value, e);
	case PROP_T_STR:
	case PROP_T_BACKEND:
		return prop_set_string(ref, value, e);
	}
	return err_set(e, -EINVAL, "Property '%s' has no type", ref->p->name);
}

int prop_set(const struct prop *p, void *obj, struct json_object *value,
	     struct err *e)
{
	struct prop_ref ref = {.p = p, .obj = obj};

	return prop_set_ref(&ref, value, e);
}

static const char *prop_row_name_at(const void *props, size_t i)
{
	return ((const struct prop *)props)[i].name;
}

static int prop_not_found(const struct prop *props, const char *what,
			  const char *name, struct err *e)
{
	const char *near =
		props ? nearest_name(name, prop_row_name_at, props) : NULL;

	(void)err_set(e, -ENOENT, "Property '%s%s%s' not found",
		      what ? what : "", what ? "." : "", name);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	return -ENOENT;
}

int props_set_text(const struct prop *props, void *obj, const char *name,
		   const char *text, struct err *e)
{
	AUTO_JSON struct json_object *value = NULL;
	const struct prop *p = prop_find(props, name);

	if (!p)
		return prop_not_found(props, NULL, name, e);
	value = json_object_new_string(text);
	if (!value)
		return err_set(e, -ENOMEM, "out of memory");
	return prop_set(p, obj, value, e);
}

int props_init(const struct prop *props, void *obj, struct err *e)
{
	for (const struct prop *p = props; p && p->name; p++) {
		prop_store(p, obj, p->def);
		if (p->type == PROP_T_STR && p->def_str) {
			int r = prop_replace_string(prop_field(p, obj),
						    p->def_str, e);

			if (r)
				return r;
		}
	}
	return 0;
}

void props_fini(const struct prop *props, void *obj)
{
	for (const struct prop *p = props; p && p->name; p++) {
		void *field = prop_field(p, obj);

		if (p->type == PROP_T_STR) {
			free(*(char **)field);
			*(char **)field = NULL;
		} else if (p->type == PROP_T_BACKEND) {
			struct prop_link *link = field;

			free(link->id);
			*link = (struct prop_link){0};
		}
	}
}

static bool is_in(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

static bool prop_is_unset(const struct prop *p, void *obj)
{
	void *field = prop_field(p, obj);

	if (p->type == PROP_T_STR)
		return !*(char **)field;
	if (p->type == PROP_T_BACKEND)
		return !((struct prop_link *)field)->id;
	return p->type == PROP_T_MAC && !((struct mac *)field)->is_set;
}

static int props_check_required(const struct prop *props, void *obj,
				const char *what, struct err *e)
{
	for (const struct prop *p = props; p && p->name; p++) {
		if (!p->required || !prop_is_unset(p, obj))
			continue;
		if (!what)
			return err_set(e, -EINVAL, "Parameter '%s' is missing",
				       p->name);
		return err_set(e, -EINVAL, "%s: %s property not set", what,
			       p->name);
	}
	return 0;
}

int props_apply(const struct prop *props, void *obj, struct json_object *conf,
		const char *const *skip, const char *what, struct err *e)
{
	json_object_object_foreach(conf, key, value)
	{
		struct prop_ref ref = {prop_find(props, key), obj, what};
		int r;

		if (is_in(skip, key))
			continue;
		if (!ref.p)
			return prop_not_found(props, what, key, e);
		r = prop_set_ref(&ref, value, e);
		if (r)
			return r;
	}
	return props_check_required(props, obj, what, e);
}

int props_link(const struct prop *props, void *obj, const char *what,
	       prop_resolver *resolve, void *opaque, struct err *e)
{
	for (const struct prop *p = props; p && p->name; p++) {
		struct prop_link *link = prop_field(p, obj);

		if (p->type != PROP_T_BACKEND || !link->id)
			continue;
		link->ptr = resolve(opaque, p->kind, link->id, e);
		if (link->ptr)
			continue;
		err_prefix(e, "Property '%s.%s' can't find value '%s': ", what,
			   p->name, link->id);
		return e && e->code ? e->code : -ENOENT;
	}
	return 0;
}

const struct prop *prop_find(const struct prop *props, const char *name)
{
	for (const struct prop *p = props; p && p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

const char *prop_type_name(const struct prop *p)
{
	static const char *const names[] = {
		[PROP_T_BOOL] = "bool",   [PROP_T_U8] = "uint8",
		[PROP_T_U16] = "uint16",  [PROP_T_U32] = "uint32",
		[PROP_T_U64] = "uint64",  [PROP_T_I32] = "int32",
		[PROP_T_SIZE] = "size",   [PROP_T_STR] = "str",
		[PROP_T_ENUM] = "str",    [PROP_T_MAC] = "str",
		[PROP_T_BACKEND] = "str",
	};

	return p->names == on_off_auto_names ? "OnOffAuto" : names[p->type];
}

const char *prop_default_text(const struct prop *p, char *buf, size_t len)
{
	*buf = 0;
	/* A number that cannot be written stands for "not given". */
	if (p->type < PROP_T_STR && !prop_in_range(p, p->def))
		return buf;
	if (p->type == PROP_T_BOOL)
		(void)snprintf(buf, len, "%s", p->def ? "true" : "false");
	else if (p->type == PROP_T_ENUM)
		(void)snprintf(buf, len, "\"%s\"", p->names[p->def]);
	else if (p->type == PROP_T_STR && p->def_str)
		(void)snprintf(buf, len, "\"%s\"", p->def_str);
	else if (p->type == PROP_T_I32)
		(void)snprintf(buf, len, "%" PRId64, (int64_t)p->def);
	else if (p->type < PROP_T_STR)
		(void)snprintf(buf, len, "%" PRIu64, p->def);
	return buf;
}
