/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fake board with the buses of platform devices and one device on them.
 */
#include "test/lib/platrig.h"

#include <string.h>

#include "test/lib/test.h"

void platrig_init(struct platrig *r)
{
	struct err e = {0};

	memset(r, 0, sizeof(*r));
	fakeboard_init(&r->f);
	if (bus_init(&r->isa, &isa_bus_type, "isa.0", NULL, &r->f.board, &e) ||
	    bus_init(&r->system, &plat_bus_type, "main-system-bus", NULL,
		     &r->f.board, &e))
		fail_msg("%s", e.text);
}

struct device *platrig_device(struct platrig *r, const char *text,
			      struct err *e)
{
	char name[64] = "";
	const struct device_class *c;

	strncpy(name, text, sizeof(name) - 1);
	name[strcspn(name, ",")] = 0;
	c = device_class_find(name);
	assert_non_null(c);
	return fakeboard_device(
		&r->f, strcmp(c->bus, "ISA") ? &r->system : &r->isa, text, e);
}

void platrig_start(struct platrig *r, const char *text)
{
	struct err e = {0};

	platrig_init(r);
	r->d = platrig_device(r, text, &e);
	if (!r->d)
		fail_msg("%s", e.text);
}

void platrig_fini(struct platrig *r)
{
	device_free(r->d);
	bus_fini(&r->isa);
	bus_fini(&r->system);
	fakeboard_fini(&r->f);
}

uint8_t platrig_in(struct platrig *r, uint16_t port)
{
	return (uint8_t)fakeboard_in(&r->f, port, 1);
}

void platrig_out(struct platrig *r, uint16_t port, uint8_t value)
{
	fakeboard_out(&r->f, port, 1, value);
}

static struct state_buf save(const struct device *d)
{
	struct state_buf b = {0};
	struct err e = {0};

	if (state_save(d->class->state, d, &b, &e))
		fail_msg("%s", e.text);
	return b;
}

void platrig_migrate(struct platrig *r, const char *text)
{
	struct state_buf old = save(r->d), new;
	struct err e = {0};

	device_free(r->d);
	r->d = platrig_device(r, text, &e);
	if (!r->d || state_load(r->d->class->state, r->d, &old, &e) ||
	    (r->d->class->loaded && r->d->class->loaded(r->d, &e)))
		fail_msg("%s", e.text);
	new = save(r->d);
	assert_int_equal(new.len, old.len);
	assert_memory_equal(new.data, old.data, old.len);
	state_buf_fini(&old);
	state_buf_fini(&new);
}
