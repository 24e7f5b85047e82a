/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the options do to the configuration: the `take` slots of the table.
 *
 * Threads: main.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"
#include "base/log.h"
#include "vmm/config_parts.h"
#include "vmm/help.h"
#include "vmm/help_kinds.h"
#include "vmm/option.h"
#include "vmm/option_props.h"

static void *option_target(const struct option_use *u)
{
	return (char *)u->c + u->opt->offset;
}

/* Has conf, beside help, only keys that the row lists, with fit values? */
static int check_keys(const struct option *o, struct json_object *conf,
		      struct err *e)
{
	AUTO_FREE void *scratch = NULL;
	int r;

	if (!o->props)
		return 0;
	scratch = calloc(1, o->props_size);
	if (!scratch)
		return err_set(e, -ENOMEM, "out of memory");
	r = props_init(o->props, scratch, e);
	if (!r)
		r = props_apply(o->props, scratch, conf, NULL, NULL, e);
	props_fini(o->props, scratch);
	return r;
}

/* Prints what the user asks for by the word help in conf. */
static int print_help(struct option_use *u, struct json_object *conf,
		      struct err *e)
{
	const struct option *o = u->opt;
	const char *name =
		o->implied ? json_member_string(conf, o->implied) : NULL;

	u->is_done = true;
	if (name && o->kind && o->kind->has_props)
		return help_print_entry(stdout, o->kind, name, e);
	if (o->kind)
		help_print_kind(stdout, o->kind);
	else if (o->props)
		help_print_props(stdout, o->name, o->props);
	else
		return err_set(e, -EINVAL, "there is no list: see vireo -h");
	return 0;
}

/* *ret is NULL where help was printed instead. */
static int parse_arg(struct option_use *u, struct json_object **ret,
		     struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	const struct option *o = u->opt;
	int r = keyval_parse(u->arg, o->implied, o->flags, &conf, e);

	*ret = NULL;
	if (r)
		return r;
	if (keyval_wants_help(conf))
		return print_help(u, conf, e);
	r = check_keys(o, conf, e);
	if (!r)
		r = config_set_where(conf, u->opt->name, u->arg, e);
	if (!r)
		*ret = take_ptr(conf);
	return r;
}

/* Puts the members of conf into *target; they replace those of their name. */
static int merge(struct json_object *target, struct json_object *conf,
		 struct err *e)
{
	json_object_object_foreach(conf, key, value)
	{
		int r = json_set(target, key, json_object_get(value), e);

		if (r)
			return r;
	}
	return 0;
}

static int merge_into(struct option_use *u, struct json_object *conf,
		      struct err *e)
{
	struct json_object **target = option_target(u);

	if (!*target)
		*target = json_object_new_object();
	if (!*target)
		return err_set(e, -ENOMEM, "out of memory");
	return merge(*target, conf, e);
}

int option_take_flag(struct option_use *u, struct err *e)
{
	(void)e;
	*(bool *)option_target(u) = true;
	return 0;
}

static int set_string(char **target, const char *text, size_t len,
		      struct err *e)
{
	char *copy = strndup(text, len);

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	free(*target);
	*target = copy;
	return 0;
}

int option_take_string(struct option_use *u, struct err *e)
{
	return set_string(option_target(u), u->arg, strlen(u->arg), e);
}

int option_take_list(struct option_use *u, struct err *e)
{
	struct json_object *conf;
	int r = parse_arg(u, &conf, e);

	return r || !conf ? r : config_add(option_target(u), conf, e);
}

int option_take_merge(struct option_use *u, struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	int r = parse_arg(u, &conf, e);

	return r || !conf ? r : merge_into(u, conf, e);
}

static const char *value_at(const void *values, size_t i)
{
	return ((const char *const *)values)[i];
}

/* Options that take one of a few words, of which no machine needs to know. */
int option_take_value(struct option_use *u, struct err *e)
{
	const char *const *values = u->opt->values;
	const char *near = nearest_name(u->arg, value_at, values);

	for (size_t i = 0; values[i]; i++)
		if (!strcmp(values[i], u->arg))
			return 0;
	(void)err_set(e, -EINVAL, "'%s' is not available, only: ", u->arg);
	for (size_t i = 0; values[i]; i++)
		err_append(e, "%s%s", i ? ", " : "", values[i]);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	return -EINVAL;
}

static int take_accel_name(struct vm_config *c, const char *name, size_t len,
			   struct err *e)
{
	static const char *const others[] = {"hax",  "hvf",  "nvmm",
					     "tcg",  "whpx", "xen"};

	if (len == 3 && !memcmp(name, "kvm", 3)) {
		c->has_kvm = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strlen(others[i]) == len && !memcmp(name, others[i], len))
			return c->other_accel
				       ? 0
				       : set_string(&c->other_accel, name, len,
						    e);
	return err_set(e, -EINVAL,
		       "'%.*s' is not a valid accelerator, only: kvm", (int)len,
		       name);
}

/* The alternatives of a list with ':' between them, as in -M accel=. */
static int take_accels(struct vm_config *c, const char *list, struct err *e)
{
	for (const char *name = list;; name++) {
		size_t len = strcspn(name, ":");
		int r = take_accel_name(c, name, len, e);

		if (r)
			return r;
		name += len;
		if (!*name)
			return 0;
	}
}

int option_take_accel(struct option_use *u, struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	int r = parse_arg(u, &conf, e);

	if (r || !conf)
		return r;
	return take_accels(u->c, json_member_string(conf, "accel"), e);
}

int option_take_enable_kvm(struct option_use *u, struct err *e)
{
	return take_accels(u->c, "kvm", e);
}

int option_take_machine(struct option_use *u, struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	int r = parse_arg(u, &conf, e);
	const char *accel;

	if (r || !conf)
		return r;
	accel = json_member_string(conf, "accel");
	if (accel) {
		r = take_accels(u->c, accel, e);
		json_object_object_del(conf, "accel");
	}
	return r ? r : merge_into(u, conf, e);
}

/* Of options that take no `k=v,…`. */
static bool takes_help(struct option_use *u)
{
	if (strcmp(u->arg, "help") != 0 && strcmp(u->arg, "?") != 0)
		return false;
	help_print_kind(stdout, u->opt->kind);
	u->is_done = true;
	return true;
}

int option_take_cpu(struct option_use *u, struct err *e)
{
	if (takes_help(u))
		return 0;
	if (!*u->arg || *u->arg == ',')
		return err_set(e, -EINVAL, "a model is missing before '%s'",
			       u->arg);
	return option_take_string(u, e);
}

int option_take_serial(struct option_use *u, struct err *e)
{
	return config_add(option_target(u), json_object_new_string(u->arg), e);
}

/* DRIVER.PROP=VALUE: the value is what it is, commas and all. */
static int split_global(const char *arg, struct json_object *conf,
			struct err *e)
{
	size_t driver = strcspn(arg, "."), prop = strcspn(arg, "=");
	int r = json_set(conf, "driver",
			 json_object_new_string_len(arg, (int)driver), e);

	if (!r)
		r = json_set(
			conf, "property",
			json_object_new_string_len(arg + driver + 1,
						   (int)(prop - driver - 1)),
			e);
	if (!r)
		r = json_set(conf, "value",
			     json_object_new_string(arg + prop + 1), e);
	return r;
}

/* Has arg a dot in front of its first '=', as the short form does? */
static bool is_short_global(const char *arg)
{
	size_t dot = strcspn(arg, ".=,");
	size_t end = strcspn(arg, "=,");

	return *arg != '{' && dot && arg[dot] == '.' && end > dot + 1 &&
	       arg[end] == '=';
}

int option_take_global(struct option_use *u, struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	int r;

	if (!is_short_global(u->arg))
		return option_take_list(u, e);
	conf = json_object_new_object();
	if (!conf)
		return err_set(e, -ENOMEM, "out of memory");
	r = split_global(u->arg, conf, e);
	if (!r)
		r = config_set_where(conf, u->opt->name, u->arg, e);
	return r ? r : config_add(option_target(u), take_ptr(conf), e);
}

int option_take_action(struct option_use *u, struct err *e)
{
	AUTO_JSON struct json_object *conf = NULL;
	int r = parse_arg(u, &conf, e);

	if (r || !conf)
		return r;
	return props_apply(action_props, u->c, conf, NULL, NULL, e);
}

int option_take_no_reboot(struct option_use *u, struct err *e)
{
	(void)e;
	u->c->on_reboot = ACTION_REBOOT_SHUTDOWN;
	return 0;
}

int option_take_no_shutdown(struct option_use *u, struct err *e)
{
	(void)e;
	u->c->on_shutdown = ACTION_SHUTDOWN_PAUSE;
	return 0;
}

int option_take_log(struct option_use *u, struct err *e)
{
	return takes_help(u) ? 0 : log_enable(u->arg, e);
}

int option_take_log_file(struct option_use *u, struct err *e)
{
	return log_open(u->arg, e);
}

int option_take_version(struct option_use *u, struct err *e)
{
	(void)e;
	printf("vireo version %s\n", PACKAGE_VERSION);
	u->is_done = true;
	return 0;
}

int option_take_help(struct option_use *u, struct err *e)
{
	(void)e;
	help_print_options(stdout);
	u->is_done = true;
	return 0;
}
