/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From -serial to -chardev objects.
 *
 * Threads: main.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/chardev.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"
#include "vmm/config.h"
#include "vmm/config_parts.h"

/* Words of other programs, and why they are refused. */
static const struct {
	const char *word, *refusal;
} refusals[] = {
	{"mon:", "there is no monitor to share the port with: leave out "
		 "'mon:'"},
	{"vc", "there is no graphical console: use stdio"},
};

static const char *serial_word_at(const void *opaque, size_t i)
{
	static const char *const own[] = {"none", "chardev:", NULL};

	(void)opaque;
	return i < ARRAY_SIZE(own) - 1
		       ? own[i]
		       : char_short_form_name(i - (ARRAY_SIZE(own) - 1));
}

static int serial_unknown(const char *arg, struct err *e)
{
	const char *near = nearest_name(arg, serial_word_at, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (!strncmp(arg, refusals[i].word, strlen(refusals[i].word)))
			return err_set(e, -EINVAL, "%s", refusals[i].refusal);
	(void)err_set(e, -EINVAL, "'%s' is not a valid serial port target",
		      arg);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	else
		err_append(e, " (stdio, none, null, pty, file:FILE, "
			      "pipe:PATH, unix:PATH, tcp:HOST:PORT or "
			      "chardev:ID)");
	return -EINVAL;
}

int serial_expand(const char *arg, const char *id, struct json_object **ret,
		  struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	int r;

	*ret = NULL;
	if (!strcmp(arg, "none") || !strncmp(arg, "chardev:", 8))
		return 0;
	r = char_short_form(arg, &conf, e);
	if (r == -ENOENT)
		return serial_unknown(arg, e);
	if (!r)
		r = json_set(conf, "id", json_object_new_string(id), e);
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
	if (!conf)
		return 0;
	r = config_set_where(conf, "serial", arg, e);
	return r ? r : config_add(&c->chardevs, take_ptr(conf), e);
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
