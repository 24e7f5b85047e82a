/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the short forms of -serial to -chardev objects.
 *
 * Threads: main.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"
#include "vmm/config.h"
#include "vmm/config_parts.h"

/* A form WORD or WORD:REST of -serial. */
struct serial_form {
	const char *word;    /* with ':' where something follows */
	const char *backend; /* of the -chardev */
	/* Enters what follows the word; NULL: nothing does. */
	int (*rest)(const char *rest, struct json_object *conf, struct err *e);
	const char *refusal; /* why the form is refused, or NULL */
};

static int serial_path(const char *rest, struct json_object *conf,
		       struct err *e)
{
	if (!*rest)
		return err_set(e, -EINVAL, "a path is missing");
	return json_set(conf, "path", json_object_new_string(rest), e);
}

/* Options behind the address: `,server=on,wait=off`. */
static int serial_options(const char *text, struct json_object *conf,
			  struct err *e)
{
	AUTO_JSON struct json_object *more = NULL;
	int r = keyval_parse(text, NULL, KEYVAL_BARE_BOOL | KEYVAL_NO_JSON,
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

static int serial_unix(const char *rest, struct json_object *conf,
		       struct err *e)
{
	size_t len = strcspn(rest, ",");
	int r;

	if (!len)
		return err_set(e, -EINVAL, "a path is missing");
	r = json_set(conf, "path", json_object_new_string_len(rest, (int)len),
		     e);
	if (r || !rest[len])
		return r;
	return serial_options(rest + len + 1, conf, e);
}

/* HOST:PORT, where HOST may be empty or an IPv6 address in brackets. */
static int serial_tcp(const char *rest, struct json_object *conf, struct err *e)
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
	r = json_set(conf, "host", json_object_new_string_len(start, (int)host),
		     e);
	if (!r)
		r = json_set(conf, "port",
			     json_object_new_string_len(
				     colon + 1, (int)(rest + len - colon - 1)),
			     e);
	if (r || !rest[len])
		return r;
	return serial_options(rest + len + 1, conf, e);
}

static const struct serial_form serial_forms[] = {
	{"stdio", "stdio", NULL, NULL},
	{"null", "null", NULL, NULL},
	{"pty", "pty", NULL, NULL},
	{"file:", "file", serial_path, NULL},
	{"pipe:", "pipe", serial_path, NULL},
	{"unix:", "socket", serial_unix, NULL},
	{"tcp:", "socket", serial_tcp, NULL},
	{"mon:", NULL, NULL,
	 "there is no monitor to share the port with: leave out 'mon:'"},
	{"vc", NULL, NULL, "there is no graphical console: use stdio"},
	{NULL, NULL, NULL, NULL},
};

static const char *serial_word_at(const void *opaque, size_t i)
{
	static const char *const others[] = {"none", "chardev:", NULL};
	const size_t forms = ARRAY_SIZE(serial_forms) - 1;

	(void)opaque;
	return i < forms ? serial_forms[i].word : others[i - forms];
}

static const struct serial_form *serial_form_find(const char *arg)
{
	for (const struct serial_form *s = serial_forms; s->word; s++) {
		size_t len = strlen(s->word);

		if (!strncmp(arg, s->word, len) &&
		    (!arg[len] || s->word[len - 1] == ':'))
			return s;
	}
	return NULL;
}

static int serial_unknown(const char *arg, struct err *e)
{
	const char *near = nearest_name(arg, serial_word_at, NULL);

	(void)err_set(e, -EINVAL, "'%s' is not a valid serial port target",
		      arg);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	else
		err_append(e, " (stdio, none, null, pty, file:FILE, "
			      "unix:PATH, tcp:HOST:PORT or chardev:ID)");
	return -EINVAL;
}

int serial_expand(const char *arg, const char *id, struct json_object **ret,
		  struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	const struct serial_form *s = serial_form_find(arg);
	int r;

	*ret = NULL;
	if (!strcmp(arg, "none") || !strncmp(arg, "chardev:", 8))
		return 0;
	if (!s)
		return serial_unknown(arg, e);
	if (s->refusal)
		return err_set(e, -EINVAL, "%s", s->refusal);
	conf = json_object_new_object();
	if (!conf)
		return err_set(e, -ENOMEM, "out of memory");
	r = json_set(conf, "backend", json_object_new_string(s->backend), e);
	if (!r)
		r = json_set(conf, "id", json_object_new_string(id), e);
	if (!r && s->rest)
		r = s->rest(arg + strlen(s->word), conf, e);
	if (!r)
		*ret = take_ptr(conf);
	return r;
}

/* The entry of c->serials in place of arg; its -chardev goes to the others. */
static int expand_one(struct vm_config *c, const char *arg, unsigned n,
		      struct json_object **entry, struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	const char *target;
	char id[24];
	int r;

	(void)snprintf(id, sizeof(id), "serial%u", n); /* fits */
	r = serial_expand(arg, id, &conf, e);
	if (r)
		return err_prefix(e, "-serial %s: ", arg), r;
	target = conf ? id : !strcmp(arg, "none") ? arg : arg + 8;
	if (!*target)
		return err_set(e, -EINVAL, "-serial %s: an id is missing", arg);
	*entry = json_object_new_string(target);
	if (!*entry)
		return err_set(e, -ENOMEM, "out of memory");
	return conf ? config_add(&c->chardevs, take_ptr(conf), e) : 0;
}

static bool has_serial_ports(const struct vm_config *c)
{
	struct json_object *v;
	bool has = true;

	return !json_object_object_get_ex(c->machine, "isa-serial", &v) ||
	       parse_bool(json_text(v), &has) || has;
}

/* Does the terminal get the first port without being asked to? */
static bool wants_default(const struct vm_config *c)
{
	return !c->serials && !c->nodefaults && has_serial_ports(c) &&
	       !config_has(c->chardevs, "backend", "stdio") &&
	       !config_has(c->devices, "driver", "isa-serial");
}

static int add_default(struct vm_config *c, struct err *e)
{
	if (c->daemonize && c->nographic)
		return err_set(e, -EINVAL,
			       "-nographic cannot be used with -daemonize: say "
			       "where -serial leads to, or -nodefaults");
	if (c->daemonize)
		return 0;
	return config_add(&c->serials, json_object_new_string("stdio"), e);
}

int config_expand_serials(struct vm_config *c, struct err *e)
{
	int r = wants_default(c) ? add_default(c, e) : 0;
	size_t n;

	if (r)
		return r;
	if (c->serials && !has_serial_ports(c))
		return err_set(e, -EINVAL,
			       "-serial: with isa-serial=off the machine has "
			       "no serial ports");
	n = c->serials ? json_object_array_length(c->serials) : 0;
	for (size_t i = 0; i < n; i++) {
		struct json_object *entry = NULL;

		r = expand_one(
			c, json_text(json_object_array_get_idx(c->serials, i)),
			(unsigned)i, &entry, e);
		if (!r && json_object_array_put_idx(c->serials, i, entry))
			r = err_set(e, -ENOMEM, "out of memory");
		if (r) {
			json_object_put(entry);
			return r;
		}
	}
	return 0;
}
