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
	&char_file_driver,   &char_null_driver,  &char_pty_driver,
	&char_socket_driver, &char_stdio_driver, NULL,
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

/* What a word of the short form stands for: `prefix` is followed by the
 * option list that is left, whose first value is `implied`. */
struct char_form {
	const char *prefix, *backend, *implied;
};

static const struct char_form char_forms[] = {
	{"stdio", "stdio", NULL},   {"null", "null", NULL},
	{"none", "null", NULL},     {"pty", "pty", NULL},
	{"file:", "file", "path"},  {"unix:", "socket", "path"},
	{"tcp:", "socket", "host"},
};

/* tcp:HOST:PORT: the first value is both. */
static int char_split_host(struct json_object *conf, struct err *e)
{
	const char *both = json_member_string(conf, "host"), *colon;
	AUTO_FREE char *host = NULL;
	size_t len;
	int r;

	colon = both ? strrchr(both, ':') : NULL;
	if (!colon)
		return err_set(e, -EINVAL, "tcp: needs HOST:PORT, not '%s'",
			       both ? both : "");
	len = (size_t)(colon - both);
	/* [::1]:5555 */
	if (len >= 2 && both[0] == '[' && both[len - 1] == ']')
		host = strndup(both + 1, len - 2);
	else
		host = strndup(both, len);
	r = json_set(conf, "port", json_object_new_string(colon + 1), e);
	if (!r && !host)
		r = err_set(e, -ENOMEM, "no memory for a chardev");
	return r ? r : json_set(conf, "host", json_object_new_string(host), e);
}

static int char_form_parse(const struct char_form *form, const char *rest,
			   struct json_object **ret, struct err *e)
{
	struct json_object *conf = NULL;
	int r;

	if (!*rest) {
		conf = json_object_new_object();
		if (!conf)
			return err_set(e, -ENOMEM, "no memory for a chardev");
	} else {
		r = keyval_parse(rest, form->implied,
				 KEYVAL_NO_JSON | KEYVAL_BARE_BOOL, &conf, e);
		if (r)
			return r;
	}
	r = json_set(conf, "backend", json_object_new_string(form->backend), e);
	if (!r && form->implied && !strcmp(form->implied, "host"))
		r = char_split_host(conf, e);
	if (r)
		json_object_put(conf);
	else
		*ret = conf;
	return r;
}

int char_short_form(const char *text, struct json_object **ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(char_forms); i++) {
		const struct char_form *form = &char_forms[i];
		size_t len = strlen(form->prefix);
		const char *rest = text + len;

		if (strncmp(text, form->prefix, len))
			continue;
		/* `stdio` or `stdio,signal=off`, but not `stdiox`. */
		if (form->implied)
			return char_form_parse(form, rest, ret, e);
		if (!*rest || *rest == ',')
			return char_form_parse(form, rest + (*rest == ','), ret,
					       e);
	}
	return err_set(e, -EINVAL,
		       "'%s' is no character device that vireo has (stdio, "
		       "null, none, pty, file:PATH, unix:PATH, "
		       "tcp:HOST:PORT)",
		       text);
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
