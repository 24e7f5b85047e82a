/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves and loads objects by their state tables.
 *
 * A table is written as its version (the youngest field's), the number of
 * fields, and each field: name, type, element size, count, contents. All
 * numbers are little-endian. Structures nest as tables.
 *
 * Threads: the object's owner.
 */
#include "base/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/num.h"

#define STATE_FIELDS_MAX 256U

static bool field_is_saved(const struct state_field *f)
{
	return f->type != STATE_T_DERIVED && f->type != STATE_T_HOST;
}

/* The youngest field's version, and how many are saved. */
static unsigned table_version(const struct state_field *table, unsigned *saved)
{
	unsigned version = 0;

	*saved = 0;
	for (const struct state_field *f = table; f->name; f++) {
		if (!field_is_saved(f))
			continue;
		version = MAX(version, f->since);
		++*saved;
	}
	return version;
}

void state_buf_fini(struct state_buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct state_buf){0};
}

/* Room for len bytes more at the end, or NULL. */
static uint8_t *buf_grow(struct state_buf *b, size_t len, struct err *e)
{
	size_t need, cap;
	uint8_t *p;

	if (!add_ok(b->len, len, &need) || !mul_ok(need, 2, &cap)) {
		err_set(e, -ENOMEM, "the saved state is too large");
		return NULL;
	}
	if (need > b->cap) {
		p = realloc(b->data, cap);
		if (!p) {
			err_set(e, -ENOMEM, "no memory for the saved state");
			return NULL;
		}
		b->data = p;
		b->cap = cap;
	}
	p = b->data + b->len;
	b->len = need;
	return p;
}

static int put_u32(struct state_buf *b, uint32_t v, struct err *e)
{
	uint8_t *p = buf_grow(b, 4, e);

	if (!p)
		return -ENOMEM;
	store_le32(p, v);
	return 0;
}

/* A number of 1, 2, 4 or 8 bytes in the host's order, as bytes from low. */
static void number_copy(void *to, const void *from, size_t size)
{
#if __BYTE_ORDER == __LITTLE_ENDIAN
	memcpy(to, from, size);
#else
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = ((const uint8_t *)from)[size - 1 - i];
#endif
}

static int save_elements(const struct state_field *f, const uint8_t *at,
			 struct state_buf *b, struct err *e)
{
	for (unsigned i = 0; i < f->count; i++, at += f->size) {
		uint8_t *p;

		if (f->type == STATE_T_ARRAY) {
			int rc = state_save(f->sub, at, b, e);

			if (rc)
				return rc;
			continue;
		}
		p = buf_grow(b, f->size, e);
		if (!p)
			return -ENOMEM;
		if (f->type == STATE_T_BYTES)
			memcpy(p, at, f->size);
		else
			number_copy(p, at, f->size);
	}
	return 0;
}

static int save_field(const struct state_field *f, const uint8_t *obj,
		      struct state_buf *b, struct err *e)
{
	size_t len = strlen(f->name);
	uint8_t *p = buf_grow(b, 2 + len, e);

	if (!p)
		return -ENOMEM;
	p[0] = (uint8_t)len;
	memcpy(p + 1, f->name, len);
	p[1 + len] = (uint8_t)f->type;
	if (put_u32(b, (uint32_t)f->size, e) || put_u32(b, f->count, e))
		return -ENOMEM;
	return save_elements(f, obj + f->offset, b, e);
}

int state_save(const struct state_field *table, const void *obj,
	       struct state_buf *b, struct err *e)
{
	unsigned saved, version = table_version(table, &saved);

	if (put_u32(b, version, e) || put_u32(b, saved, e))
		return -ENOMEM;
	for (const struct state_field *f = table; f->name; f++) {
		int rc = field_is_saved(f) ? save_field(f, obj, b, e) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

/* The next len bytes of the stream, or NULL. */
static const uint8_t *take(struct state_buf *b, size_t len, struct err *e)
{
	const uint8_t *p;

	if (!range_ok(b->pos, len, b->len)) {
		err_set(e, -EINVAL, "the saved state ends early");
		return NULL;
	}
	p = b->data + b->pos;
	b->pos += len;
	return p;
}

static int take_u32(struct state_buf *b, uint32_t *ret, struct err *e)
{
	const uint8_t *p = take(b, 4, e);

	if (!p)
		return -EINVAL;
	*ret = load_le32(p);
	return 0;
}

static int load_table(const struct state_field *table, uint8_t *obj,
		      struct state_buf *b, struct err *e);

/* obj and at are NULL while the stream is judged. */
static int load_elements(const struct state_field *f, uint8_t *at,
			 struct state_buf *b, struct err *e)
{
	for (unsigned i = 0; i < f->count; i++) {
		uint8_t *to = at ? at + i * f->size : NULL;
		const uint8_t *p;

		if (f->type == STATE_T_ARRAY) {
			int rc = load_table(f->sub, to, b, e);

			if (rc)
				return err_prefix(e, "%s[%u]: ", f->name, i);
			continue;
		}
		p = take(b, f->size, e);
		if (!p)
			return -EINVAL;
		if (f->type == STATE_T_BOOL && *p > 1)
			return err_set(e, -EINVAL, "'%s' is %u, not 0 or 1",
				       f->name, *p);
		if (to && f->type == STATE_T_BYTES)
			memcpy(to, p, f->size);
		else if (to)
			number_copy(to, p, f->size);
	}
	return 0;
}

/* The row of the field whose head comes next in the stream. */
static const struct state_field *take_head(const struct state_field *table,
					   struct state_buf *b, struct err *e)
{
	const uint8_t *len = take(b, 1, e);
	const uint8_t *name = len ? take(b, *len, e) : NULL;
	const uint8_t *type = name ? take(b, 1, e) : NULL;
	const struct state_field *f = table;
	uint32_t size, count;

	if (!type || take_u32(b, &size, e) || take_u32(b, &count, e))
		return NULL;
	while (f->name &&
	       (strlen(f->name) != *len || memcmp(f->name, name, *len) != 0))
		f++;
	if (!f->name || !field_is_saved(f)) {
		err_set(e, -EINVAL, "no field '%.*s' is known", *len, name);
		return NULL;
	}
	if (f->type != *type || f->size != size || f->count != count) {
		err_set(e, -EINVAL, "'%s' has another type or size", f->name);
		return NULL;
	}
	return f;
}

/* Every field that the stream's version had must have come. */
static int check_missing(const struct state_field *table, const bool *seen,
			 uint32_t version, struct err *e)
{
	for (const struct state_field *f = table; f->name; f++)
		if (field_is_saved(f) && !seen[f - table] &&
		    f->since <= version)
			return err_set(e, -EINVAL, "'%s' is missing", f->name);
	return 0;
}

static int load_table(const struct state_field *table, uint8_t *obj,
		      struct state_buf *b, struct err *e)
{
	bool seen[STATE_FIELDS_MAX] = {false};
	uint32_t version, fields;

	if (take_u32(b, &version, e) || take_u32(b, &fields, e))
		return -EINVAL;
	for (uint32_t i = 0; i < fields; i++) {
		const struct state_field *f = take_head(table, b, e);
		size_t row = f ? (size_t)(f - table) : 0;
		int rc;

		if (!f)
			return -EINVAL;
		if (row >= STATE_FIELDS_MAX || seen[row])
			return err_set(e, -EINVAL, "'%s' comes twice", f->name);
		seen[row] = true;
		rc = load_elements(f, obj ? obj + f->offset : NULL, b, e);
		if (rc)
			return rc;
	}
	return check_missing(table, seen, version, e);
}

int state_load(const struct state_field *table, void *obj, struct state_buf *b,
	       struct err *e)
{
	size_t start = b->pos;
	int rc = load_table(table, NULL, b, e);

	b->pos = start;
	return rc ? rc : load_table(table, obj, b, e);
}

static size_t field_end(const struct state_field *f)
{
	return f->offset + f->size * f->count;
}

/* The end of the field that holds byte `at`, or at where none does. */
static size_t cover_end(const struct state_field *table, size_t at)
{
	size_t end = at;

	for (const struct state_field *f = table; f->name; f++)
		if (f->offset <= at && field_end(f) > end)
			end = field_end(f);
	return end;
}

/* The field that starts next after byte `at`, or NULL. */
static const struct state_field *cover_next(const struct state_field *table,
					    size_t at)
{
	const struct state_field *next = NULL;

	for (const struct state_field *f = table; f->name; f++)
		if (f->offset > at && (!next || f->offset < next->offset))
			next = f;
	return next;
}

static int check_rows(const struct state_field *table, struct err *e)
{
	for (const struct state_field *f = table; f->name; f++) {
		for (const struct state_field *g = table; g < f; g++)
			if (!strcmp(f->name, g->name))
				return err_set(e, -EINVAL, "'%s' twice",
					       f->name);
		if (f - table >= (ptrdiff_t)STATE_FIELDS_MAX)
			return err_set(e, -EINVAL, "'%s' is one too many",
				       f->name);
		if ((f->type == STATE_T_UINT || f->type == STATE_T_BOOL) &&
		    (!is_pow2(f->size) || f->size > sizeof(uint64_t)))
			return err_set(e, -EINVAL, "'%s' is no number",
				       f->name);
		if (f->type == STATE_T_ARRAY &&
		    state_check_cover(f->sub, 0, f->size, e))
			return err_prefix(e, "%s: ", f->name);
	}
	return 0;
}

int state_check_cover(const struct state_field *table, size_t from, size_t size,
		      struct err *e)
{
	size_t at = from, align = 1;
	int rc = check_rows(table, e);

	if (rc)
		return rc;
	for (const struct state_field *f = table; f->name; f++)
		align = MAX(align, f->align);
	while (at < size) {
		const struct state_field *next;
		size_t end = cover_end(table, at);

		if (end > at) {
			at = end;
			continue;
		}
		next = cover_next(table, at);
		end = next ? next->offset : size;
		if (align_up(at, next ? next->align : align) != end)
			return err_set(e, -EINVAL,
				       "byte %zu is in no field (next: %s)", at,
				       next ? next->name : "the end");
		at = end;
	}
	return 0;
}
