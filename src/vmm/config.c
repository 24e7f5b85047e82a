/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the command line by the option table, then works out what the options
 * mean together: topology, memory, short forms, defaults.
 *
 * Threads: main.
 */
#include "vmm/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/json.h"
#include "vmm/config_parts.h"
#include "vmm/option.h"

#define OPTION_NAME_MAX 64
/* How much of an argument a message quotes. */
#define OPTION_QUOTE    160

int config_add(struct json_object **array, struct json_object *value,
	       struct err *e)
{
	if (!*array)
		*array = json_object_new_array();
	if (*array)
		return json_append(*array, value, e);
	json_object_put(value);
	return err_set(e, -ENOMEM, "out of memory");
}

int config_set_where(struct json_object *conf, const char *option,
		     const char *arg, struct err *e)
{
	bool is_long = strlen(arg) > OPTION_QUOTE;
	char *where;

	if (asprintf(&where, "-%s %.*s%s", option, OPTION_QUOTE, arg,
		     is_long ? "..." : "") < 0)
		return err_set(e, -ENOMEM, "out of memory");
	json_object_set_userdata(conf, where, json_object_free_userdata);
	return 0;
}

bool config_has(struct json_object *array, const char *key, const char *value)
{
	size_t n = array ? json_object_array_length(array) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *s = json_member_string(
			json_object_array_get_idx(array, i), key);

		if (s && !strcmp(s, value))
			return true;
	}
	return false;
}

/* `-m=512` is no option in this grammar, however common elsewhere. */
static int unknown_option(const char *word, const char *name, struct err *e)
{
	const char *value = strchr(name, '='), *near;
	char bare[OPTION_NAME_MAX];

	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(name, "="),
		       name);
	near = option_nearest(bare);
	(void)err_set(e, -EINVAL, "%.*s: invalid option", OPTION_QUOTE, word);
	if (value && option_find(bare))
		err_append(e, " (write '-%s %.*s')", bare, OPTION_QUOTE,
			   value + 1);
	else if (near)
		err_append(e, " (did you mean '-%s'?)", near);
	else
		err_append(e, " (vireo -h lists the options)");
	return -EINVAL;
}

/* "-NAME ARG: " in front of a message, ARG cut where it is long. */
static void prefix_option(const struct option_use *u, const char *word,
			  struct err *e)
{
	const char *arg = u->arg ? u->arg : "";

	err_prefix(e, "%s%s%.*s%s: ", word, *arg ? " " : "", OPTION_QUOTE, arg,
		   strlen(arg) > OPTION_QUOTE ? "..." : "");
}

static int take_option(struct option_use *u, const char *const *words,
		       int *taken, struct err *e)
{
	const char *word = words[0], *name = word + 1;
	int r;

	*taken = 1;
	if (*word != '-')
		return err_set(e, -EINVAL,
			       "'%s': unexpected argument (a disk is "
			       "-drive file=FILE)",
			       word);
	name += *name == '-';
	u->opt = option_find(name);
	if (!u->opt)
		return unknown_option(word, name, e);
	if (u->opt->arg) {
		u->arg = words[1];
		*taken = 2;
		if (!u->arg)
			return err_set(e, -EINVAL,
				       "%s: requires an argument: %s", word,
				       u->opt->arg);
	}
	r = u->opt->take(u, e);
	if (r)
		prefix_option(u, word, e);
	return r;
}

/* What can only be judged once every option is known. */
static int finish(struct vm_config *c, struct err *e)
{
	int r;

	if (c->other_accel && !c->has_kvm)
		return err_set(e, -EINVAL,
			       "-accel %s: '%s' is not available, only: kvm",
			       c->other_accel, c->other_accel);
	r = config_finish_smp(c, e);
	if (!r)
		r = config_finish_memory(c, e);
	if (!r)
		r = config_expand_drives(c, e);
	if (!r)
		r = config_expand_serials(c, e);
	if (!r && c->daemonize && config_has(c->chardevs, "backend", "stdio"))
		r = err_set(e, -EINVAL,
			    "-daemonize leaves the terminal: no -serial or "
			    "-chardev can be stdio");
	return r;
}

int config_parse(struct vm_config *c, int argc, char **argv,
		 enum config_outcome *ret, struct err *e)
{
	int taken, r;

	for (int i = 1; i < argc; i += taken) {
		struct option_use u = {.c = c};

		r = take_option(&u, (const char *const *)argv + i, &taken, e);
		if (r)
			return r;
		if (u.is_done) {
			*ret = CONFIG_DONE;
			return 0;
		}
	}
	r = finish(c, e);
	if (!r)
		*ret = CONFIG_RUN;
	return r;
}

const char *config_where(struct json_object *conf)
{
	const char *where = json_object_get_userdata(conf);

	return where ? where : "";
}

void config_fini(struct vm_config *c)
{
	struct json_object *const objects[] = {
		c->machine,   c->memory, c->smp,      c->sandbox, c->names,
		c->devices,   c->drives, c->chardevs, c->netdevs, c->objects,
		c->blockdevs, c->smbios, c->globals,  c->serials,
	};
	char *const strings[] = {c->cpu,    c->kernel, c->initrd,
				 c->append, c->dtb,    c->pidfile,
				 c->uuid,   c->other_accel};

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
		json_object_put(objects[i]);
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	*c = (struct vm_config){0};
}
