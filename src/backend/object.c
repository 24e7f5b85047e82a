/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes what -object describes: finds the class, sets the properties, and
 * completes it.
 *
 * Threads: main.
 */
#include "backend/object.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/keyval.h"

extern const struct object_class memory_file_class, memory_memfd_class,
	memory_ram_class, rng_builtin_class, rng_random_class;

/* Sorted by name. */
const struct object_class *const object_classes[] = {
	&memory_file_class, &memory_memfd_class, &memory_ram_class,
	&rng_builtin_class, &rng_random_class,	 NULL,
};

const struct object_class *object_class_find(const char *name)
{
	for (size_t i = 0; object_classes[i]; i++)
		if (!strcmp(object_classes[i]->name, name))
			return object_classes[i];
	return NULL;
}

static const char *class_name_at(const void *opaque, size_t i)
{
	(void)opaque;
	return object_classes[i] ? object_classes[i]->name : NULL;
}

static const char *conf_str(struct json_object *conf, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(conf, key, &v))
		return NULL;
	return json_object_get_string(v);
}

static int find_class(struct json_object *conf,
		      const struct object_class **ret, struct err *e)
{
	const char *name = conf_str(conf, "qom-type"), *near;

	if (!name)
		return err_set(e, -EINVAL, "Parameter 'qom-type' is missing");
	*ret = object_class_find(name);
	if (*ret)
		return 0;
	near = nearest_name(name, class_name_at, NULL);
	(void)err_set(e, -ENOENT, "invalid object type: %s", name);
	if (near)
		(void)err_append(e, " (did you mean '%s'?)", near);
	return -ENOENT;
}

static int object_build(struct object *o, struct json_object *conf,
			struct err *e)
{
	static const char *const skip[] = {"qom-type", "id", NULL};
	const struct object_class *c = o->class;
	int r = props_init(c->props, o, e);

	if (!r)
		r = props_apply(c->props, o, conf, skip, c->name, e);
	return r ? r : c->complete(o, e);
}

int object_new(struct json_object *conf, struct object **ret, struct err *e)
{
	const struct object_class *c;
	const char *id = conf_str(conf, "id");
	struct object *o;
	int r = find_class(conf, &c, e);

	if (r)
		return r;
	if (!id || !id_is_valid(id))
		return err_set(e, -EINVAL,
			       "%s: Parameter 'id' expects an identifier: "
			       "letters, digits, '-', '.', '_', starting with "
			       "a letter",
			       c->name);
	o = calloc(1, c->size);
	if (!o)
		return err_set(e, -ENOMEM, "out of memory");
	o->class = c;
	list_init(&o->link);
	o->id = strdup(id);
	r = o->id ? object_build(o, conf, e)
		  : err_set(e, -ENOMEM, "out of memory");
	if (r) {
		(void)err_prefix(e, "%s '%s': ", c->name, id);
		object_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

void object_free(struct object *o)
{
	if (!o)
		return;
	list_remove(&o->link);
	if (o->class->fini)
		o->class->fini(o);
	props_fini(o->class->props, o);
	free(o->id);
	free(o);
}
