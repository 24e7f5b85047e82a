/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends: drivers, options, and who uses which.
 *
 * Threads: as in the header.
 */
#include "backend/chardev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"

const struct char_driver *const char_drivers[] = {
	&char_file_driver, &char_null_driver,   &char_pipe_driver,
	&char_pty_driver,  &char_socket_driver, &char_stdio_driver,
	NULL,
};

static const char *char_driver_name_at(const void *drivers, size_t i)
{
	const struct char_driver *d =
		((const struct char_driver *const *)drivers)[i];

	return d ? d->name : NULL;
}

const struct char_driver *char_driver_find(const char *name)
{
	for (size_t i = 0; char_drivers[i]; i++)
		if (!strcmp(char_drivers[i]->name, name))
			return char_drivers[i];
	return NULL;
}

/* --- the short form --- */

/* A word of the short form, and what to do with what follows. */
struct char_form {
	const char *word, *backend;
	int (*rest)(const char *rest, struct json_object *conf, struct err *e);
};

/* Every character as it is. */
static int char_form_path(const char *rest, struct json_object *conf,
			  struct err *e)
{
	if (!*rest)
		return err_set(e, -EINVAL, "a path is missing");
	return json_set(conf, "path", json_object_new_string(rest), e);
}

/* Options such as `server=on,wait=off`, the first perhaps a bare value. */
static int char_form_options(const char *text, const char *implied,
			     struct json_object *conf, struct err *e)
{
	AUTO_JSON struct json_object *more = NULL;
	int r = keyval_parse(text, implied, KEYVAL_NO_JSON | KEYVAL_BARE_BOOL,
			     &more, e);

	if (r)
		return r;
	json_object_object_foreach(more, key, value)
	{
		r = json_set(conf, key, json_object_get(value), e);
		if (r)
			return r;
	}
	return 0;
}

static int char_form_unix(const char *rest, struct json_object *conf,
			  struct err *e)
{
	int r;

	if (!*rest || (rest[0] == ',' && rest[1] != ','))
		return err_set(e, -EINVAL, "a path is missing");
	r = char_form_options(rest, "path", conf, e);
	if (!r && !json_member_string(conf, "path"))
		return err_set(e, -EINVAL, "a path is missing");
	return r;
}

static int char_form_set(struct json_object *conf, const char *key,
			 const char *text, size_t len, struct err *e)
{
	return json_set(conf, key, json_object_new_string_len(text, (int)len),
			e);
}

/* HOST:PORT, where HOST may be empty or an IPv6 address in brackets. */
static int char_form_tcp(const char *rest, struct json_object *conf,
			 struct err *e)
{
	size_t len = strcspn(rest, ","), host;
	const char *colon = memrchr(rest, ':', len), *start = rest;
	int r;

	if (!colon || colon + 1 == rest + len)
		return err_set(e, -EINVAL, "expected HOST:PORT");
	host = (size_t)(colon - rest);
	if (*start == '[' && host >= 2 && colon[-1] == ']') {
		start++;
		host -= 2;
	}
	r = char_form_set(conf, "host", start, host, e);
	if (!r)
		r = char_form_set(conf, "port", colon + 1,
				  (size_t)(rest + len - colon - 1), e);
	if (r || !rest[len])
		return r;
	return char_form_options(rest + len + 1, NULL, conf, e);
}

static const struct char_form char_forms[] = {
	{"stdio", "stdio", NULL},
	{"null", "null", NULL},
	{"pty", "pty", NULL},
	{"file:", "file", char_form_path},
	{"pipe:", "pipe", char_form_path},
	{"unix:", "socket", char_form_unix},
	{"tcp:", "socket", char_form_tcp},
};

const char *char_short_form_name(size_t i)
{
	return i < ARRAY_SIZE(char_forms) ? char_forms[i].word : NULL;
}

static const struct char_form *char_form_find(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(char_forms); i++) {
		const struct char_form *f = &char_forms[i];
		size_t len = strlen(f->word);

		if (!strncmp(text, f->word, len) && (f->rest || !text[len]))
			return f;
	}
	return NULL;
}

int char_short_form(const char *text, struct json_object **ret, struct err *e)
{
	const struct char_form *f = char_form_find(text);
	AUTO_JSON struct json_object *conf = NULL;
	int r;

	if (!f)
		return -ENOENT;
	conf = json_object_new_object();
	if (!conf)
		return err_set(e, -ENOMEM, "no memory for a chardev");
	r = json_set(conf, "backend", json_object_new_string(f->backend), e);
	if (!r && f->rest)
		r = f->rest(text + strlen(f->word), conf, e);
	if (!r)
		*ret = take_ptr(conf);
	return r;
}

/* --- opening --- */

static int char_set_up(struct chardev *c, struct json_object *conf,
		       struct err *e)
{
	static const char *const skip[] = {"backend", "id", NULL};
	const char *id = json_member_string(conf, "id");
	int r;

	if (!id)
		return err_set(e, -EINVAL, "Parameter 'id' is missing");
	if (!id_is_valid(id))
		return err_set(e, -EINVAL,
			       "Invalid chardev id '%s' (letters, digits, '-', "
			       "'.' and '_', a letter first)",
			       id);
	c->id = strdup(id);
	if (!c->id)
		return err_set(e, -ENOMEM, "no memory for a chardev");
	r = props_init(c->driver->props, c, e);
	if (!r)
		r = props_apply(c->driver->props, c, conf, skip,
				c->driver->name, e);
	if (r)
		return r;
	c->is_open = true;
	return c->driver->open(c, e);
}

/* NULL: there is none (-EINVAL). */
static const struct char_driver *char_choose_driver(struct json_object *conf,
						    struct err *e)
{
	const char *name = json_member_string(conf, "backend"), *near;
	const struct char_driver *driver;

	if (!name) {
		err_set(e, -EINVAL, "Parameter 'backend' is missing");
		return NULL;
	}
	driver = char_driver_find(name);
	if (driver)
		return driver;
	near = nearest_name(name, char_driver_name_at, char_drivers);
	err_set(e, -EINVAL, "'%s' is not a valid chardev backend", name);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	return NULL;
}

int char_open(struct json_object *conf, struct chardev **ret, struct err *e)
{
	const struct char_driver *driver = char_choose_driver(conf, e);
	struct chardev *c;
	int r;

	if (!driver)
		return -EINVAL;
	c = calloc(1, driver->size);
	if (!c)
		return err_set(e, -ENOMEM, "no memory for a chardev");
	c->driver = driver;
	list_init(&c->link);
	r = char_set_up(c, conf, e);
	if (r)
		char_close(c);
	else
		*ret = c;
	return r;
}

void char_close(struct chardev *c)
{
	if (!c)
		return;
	char_unbind(c);
	char_release(c);
	list_remove(&c->link);
	if (c->is_open)
		c->driver->close(c);
	props_fini(c->driver->props, c);
	if (c->leftover)
		(void)unlink(c->leftover);
	free(c->leftover);
	free(c->address);
	free(c->id);
	free(c);
}

/* --- use --- */

int char_claim(struct chardev *c, struct char_user *u, const char *user,
	       struct err *e)
{
	if (c->user)
		return err_set(e, -EBUSY,
			       "chardev '%s' is already in use by '%s'", c->id,
			       c->user_name);
	c->user_name = strdup(user);
	if (!c->user_name)
		return err_set(e, -ENOMEM, "no memory for a name");
	c->user = u;
	u->chardev = c;
	return 0;
}

void char_release(struct chardev *c)
{
	if (c->user)
		c->user->chardev = NULL;
	c->user = NULL;
	free(c->user_name);
	c->user_name = NULL;
}

int char_bind(struct chardev *c, struct loop *l, struct err *e)
{
	int r;

	c->loop = l;
	r = c->driver->bind(c, l, e);
	if (r)
		char_unbind(c);
	return r;
}

void char_unbind(struct chardev *c)
{
	if (!c->loop)
		return;
	c->driver->unbind(c);
	c->loop = NULL;
}

size_t char_write(struct chardev *c, const void *buf, size_t len)
{
	return c->driver->write(c, buf, len);
}

void char_accept(struct chardev *c)
{
	c->driver->accept(c);
}
