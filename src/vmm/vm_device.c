/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From `-device NAME,prop=value,…` to an attached device: its class, its
 * defaults (-global), its properties, its back ends, its bus.
 *
 * Threads: main.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/keyval.h"
#include "vmm/config.h"
#include "vmm/vm.h"

static const char *conf_str(struct json_object *conf, const char *key)
{
	struct json_object *v;

	if (!conf || !json_object_object_get_ex(conf, key, &v))
		return NULL;
	return json_object_get_string(v);
}

static const char *user_class_name(const void *opaque, size_t i)
{
	(void)opaque;
	return i < device_class_count ? device_classes[i]->name : NULL;
}

static int find_class(const char *driver, bool by_user,
		      const struct device_class **ret, struct err *e)
{
	const struct device_class *c = device_class_find(driver);
	const char *near;

	if (c && by_user && c->no_user)
		return err_set(e, -EINVAL,
			       "'%s' is made by machines, not by -device",
			       driver);
	if (c) {
		*ret = c;
		return 0;
	}
	near = nearest_name(driver, user_class_name, NULL);
	(void)err_set(e, -ENOENT, "'%s' is not a valid device model name",
		      driver);
	if (near)
		(void)err_append(e, " (did you mean '%s'?)", near);
	return -ENOENT;
}

static int apply_global(struct json_object *g, struct device *d, struct err *e)
{
	return props_set_text(d->class->props, d, conf_str(g, "property"),
			      conf_str(g, "value"), e);
}

static int apply_globals(struct vm *vm, struct device *d, struct err *e)
{
	struct json_object *globals = vm->config->globals;
	size_t n = globals ? json_object_array_length(globals) : 0;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		struct json_object *g = json_object_array_get_idx(globals, i);

		if (device_class_find(conf_str(g, "driver")) == d->class)
			r = apply_global(g, d, e);
	}
	return r;
}

static int check_global(struct json_object *g, struct err *e)
{
	const struct device_class *c;
	struct device *d = NULL;
	int r = find_class(conf_str(g, "driver"), false, &c, e);

	if (!r)
		r = device_new(c, NULL, &d, e);
	if (!r)
		r = apply_global(g, d, e);
	device_free(d);
	return r;
}

int vm_check_globals(struct vm *vm, struct err *e)
{
	struct json_object *globals = vm->config->globals;
	size_t n = globals ? json_object_array_length(globals) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *g = json_object_array_get_idx(globals, i);
		int r = check_global(g, e);

		if (r)
			return err_prefix(e, "%s: ", config_where(g)), r;
	}
	return 0;
}

static bool bus_fits(const struct bus *b, const struct device_class *c)
{
	return !strcmp(b->type->name, c->bus) &&
	       (!b->type->has_room || b->type->has_room(b));
}

/* The bus that the user named, or the first of the right type with room. */
static int find_bus(struct vm *vm, const struct device_class *c,
		    const char *name, struct bus **ret, struct err *e)
{
	bool seen = false;
	struct bus *b;

	list_for_each(b, &vm->board.buses, link) {
		if (name ? !strcmp(b->name, name) : bus_fits(b, c)) {
			*ret = b;
			break;
		}
		seen |= !strcmp(b->type->name, c->bus);
	}
	if (&b->link != &vm->board.buses) {
		if (bus_fits(b, c))
			return 0;
		if (strcmp(b->type->name, c->bus))
			return err_set(e, -EINVAL,
				       "'%s' needs a bus of type '%s', and "
				       "'%s' is of type '%s'",
				       c->name, c->bus, name, b->type->name);
		return err_set(e, -ENOSPC, "Bus '%s' is full", name);
	}
	if (name)
		return err_set(e, -ENOENT, "Bus '%s' not found", name);
	if (seen)
		return err_set(e, -ENOSPC, "every '%s' bus is full", c->bus);
	return err_set(e, -ENOENT, "No '%s' bus found for device '%s'", c->bus,
		       c->name);
}

static int keep_device(struct vm *vm, struct device *d, struct err *e)
{
	struct device **grown =
		realloc(vm->devices, (vm->ndevices + 1) * sizeof(*grown));

	if (!grown)
		return err_set(e, -ENOMEM, "out of memory");
	vm->devices = grown;
	vm->devices[vm->ndevices++] = d;
	return 0;
}

static int configure(struct vm *vm, struct device *d, struct json_object *conf,
		     struct err *e)
{
	static const char *const skip[] = {"driver", "id", "bus", NULL};
	const struct prop *props = d->class->props;
	int r = apply_globals(vm, d, e);

	if (r)
		return r;
	r = props_apply(props, d, conf, skip, d->class->name, e);
	if (r)
		return r;
	return props_link(props, d, d->class->name, backends_resolve,
			  &vm->backends, e);
}

static int add_device(struct vm *vm, const struct device_class *c,
		      const char *id, struct json_object *conf,
		      const char *bus_name, struct bus *bus, struct err *e)
{
	struct device *d;
	int r = device_new(c, id, &d, e);

	if (r)
		return r;
	r = configure(vm, d, conf, e);
	if (!r && !bus)
		r = find_bus(vm, c, bus_name, &bus, e);
	if (!r)
		r = device_attach(d, bus, &vm->board, e);
	if (!r)
		r = keep_device(vm, d, e);
	if (r)
		device_free(d);
	return r;
}

static struct json_object *part_json(const struct part_value *v)
{
	return v->text ? json_object_new_string(v->text)
		       : json_object_new_uint64(v->number);
}

int vm_add_part(struct vm *vm, const char *driver, struct bus *bus,
		const struct part_value *values, size_t n, struct err *e)
{
	struct json_object *conf = json_object_new_object();
	const struct device_class *c;
	int r = conf ? find_class(driver, false, &c, e) : -ENOMEM;

	for (size_t i = 0; !r && i < n; i++)
		r = json_object_object_add(conf, values[i].name,
					   part_json(&values[i]));
	if (!r)
		r = add_device(vm, c, NULL, conf, NULL, bus, e);
	json_object_put(conf);
	return r;
}

int vm_add_serials(struct vm *vm, struct bus *isa, struct err *e)
{
	struct json_object *list = vm->config->serials;
	size_t n = list ? json_object_array_length(list) : 0;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		const char *chardev = json_object_get_string(
			json_object_array_get_idx(list, i));
		const struct part_value values[] = {
			{.name = "index", .number = i},
			{.name = "chardev", .text = chardev},
		};

		if (strcmp(chardev, "none") != 0)
			r = vm_add_part(vm, "isa-serial", isa, values,
					ARRAY_SIZE(values), e);
	}
	return r ? (err_prefix(e, "-serial: "), r) : 0;
}

static bool id_is_taken(struct vm *vm, const char *id)
{
	for (size_t i = 0; i < vm->ndevices; i++)
		if (vm->devices[i]->id && !strcmp(vm->devices[i]->id, id))
			return true;
	return false;
}

int vm_add_device_option(struct vm *vm, struct json_object *conf,
			 struct err *e)
{
	const char *driver = conf_str(conf, "driver");
	const char *id = conf_str(conf, "id");
	const struct device_class *c;
	int r;

	if (!driver)
		return err_set(e, -EINVAL,
			       "-device: Parameter 'driver' is missing");
	r = find_class(driver, true, &c, e);
	if (!r && id && !id_is_valid(id))
		r = err_set(e, -EINVAL,
			    "Parameter 'id' expects an identifier, not '%s': "
			    "letters, digits, '-', '.', '_', starting with a "
			    "letter",
			    id);
	if (!r && id && id_is_taken(vm, id))
		r = err_set(e, -EEXIST, "Duplicate ID '%s' for device", id);
	if (!r)
		r = add_device(vm, c, id, conf, conf_str(conf, "bus"), NULL, e);
	return r ? (err_prefix(e, "%s: ", config_where(conf)), r) : 0;
}
