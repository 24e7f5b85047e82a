/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/device, bus/bus: classes by name, the stages of a device's life, what is
 * undone when one fails, and what the guest did wrong said once.
 */
#include "bus/device.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "bus/plat.h"
#include "test/lib/logfile.h"
#include "test/lib/test.h"

struct probe {
	struct device dev;
	uint32_t size;
	unsigned attached, detached, resets;
	int fail;
	struct region region;
};

static uint64_t probe_read(struct region *r, uint64_t off, unsigned size)
{
	(void)r;
	(void)size;
	return off;
}

static const struct region_ops probe_ops = {.read = probe_read};

static int probe_attach(struct device *d, struct err *e)
{
	struct probe *p = container_of(d, struct probe, dev);

	p->attached++;
	p->region = (struct region){.name = "probe",
				    .ops = &probe_ops,
				    .dev = d,
				    .base = 0x10,
				    .len = p->size};
	if (space_add(d->board->ports, &p->region, e))
		return e->code;
	if (p->fail)
		return err_set(e, p->fail, "told to fail");
	return 0;
}

static void probe_detach(struct device *d)
{
	struct probe *p = container_of(d, struct probe, dev);

	p->detached++;
	space_del(&p->region);
}

static void probe_reset(struct device *d)
{
	struct probe *p = container_of(d, struct probe, dev);

	assert_int_equal(pthread_mutex_trylock(&d->lock), EBUSY);
	p->resets++;
}

static const struct prop probe_props[] = {
	PROP_U32(struct probe, size, "size", 4, 1, 64, "ports"),
	PROP_END,
};

static const struct device_class probe_class = {
	.name = "probe",
	.bus = "ISA",
	.size = sizeof(struct probe),
	.props = probe_props,
	.attach = probe_attach,
	.detach = probe_detach,
	.reset = probe_reset,
};

/* A bus for one device, which may refuse to plug it. */
static int slot_plug_result;
static unsigned slot_unplugged;

static int slot_plug(struct bus *b, struct device *d, struct err *e)
{
	assert_ptr_equal(d->bus, b);
	assert_non_null(d->board);
	return slot_plug_result ? err_set(e, slot_plug_result, "no plug") : 0;
}

static void slot_unplug(struct bus *b, struct device *d)
{
	assert_ptr_equal(d->bus, b);
	slot_unplugged++;
}

static bool slot_has_room(const struct bus *b)
{
	return list_empty(&b->devices);
}

static const struct bus_type slot_type = {
	.name = "ISA",
	.plug = slot_plug,
	.unplug = slot_unplug,
	.has_room = slot_has_room,
};

struct fix {
	struct board board;
	struct bus isa;
};

static void fix_init(struct fix *f, const struct bus_type *t)
{
	struct err e;

	memset(f, 0, sizeof(*f));
	list_init(&f->board.buses);
	slot_plug_result = 0;
	slot_unplugged = 0;
	assert_int_equal(space_new("port", 0x10000, &f->board.ports, &e), 0);
	assert_int_equal(bus_init(&f->isa, t, "isa.0", NULL, &f->board, &e), 0);
}

static void fix_fini(struct fix *f)
{
	bus_fini(&f->isa);
	assert_true(list_empty(&f->board.buses));
	space_free(f->board.ports);
}

static struct probe *probe_new(const char *id)
{
	struct device *d;
	struct err e;

	assert_int_equal(device_new(&probe_class, id, &d, &e), 0);
	return container_of(d, struct probe, dev);
}

static void classes_by_name(void **state)
{
	(void)state;
	assert_null(device_class_find("no-such"));
	assert_null(device_class_find(""));
	for (size_t i = 0; i < device_class_count; i++) {
		const struct device_class *c = device_classes[i];

		assert_ptr_equal(device_class_find(c->name), c);
		if (c->alias)
			assert_ptr_equal(device_class_find(c->alias), c);
	}
	assert_null(device_classes[device_class_count]);
}

static void life(void **state)
{
	struct probe *p = probe_new("p0");
	struct space_reader rd;
	struct err e;
	struct fix f;

	(void)state;
	fix_init(&f, &isa_bus_type);
	space_reader_init(&rd, f.board.ports);
	assert_int_equal(p->size, 4);
	device_reset(&p->dev); /* not yet: nothing to reset */
	assert_int_equal(p->resets, 0);
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e), 0);
	assert_int_equal(p->dev.stage, DEVICE_ATTACHED);
	assert_ptr_equal(p->dev.bus, &f.isa);
	assert_ptr_equal(f.isa.devices.next, &p->dev.link);
	assert_int_equal(p->resets, 1);
	assert_int_equal(space_read(&rd, 0x12, 1), 2);
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e), -EBUSY);
	assert_non_null(strstr(e.text, "probe 'p0'"));
	device_detach(&p->dev);
	device_detach(&p->dev);
	assert_int_equal(p->detached, 1);
	assert_true(list_empty(&f.isa.devices));
	assert_null(p->dev.bus);
	assert_int_equal(space_read(&rd, 0x12, 1), 0xff);
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e), -EBUSY);
	device_free(&p->dev);
	device_free(NULL);
	space_reader_fini(&rd);
	fix_fini(&f);
}

static void free_detaches(void **state)
{
	struct probe *p = probe_new(NULL);
	struct err e;
	struct fix f;

	(void)state;
	fix_init(&f, &slot_type);
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e), 0);
	device_free(&p->dev);
	assert_true(list_empty(&f.isa.devices));
	assert_int_equal(slot_unplugged, 1);
	fix_fini(&f);
}

static void failed_attach_is_undone(void **state)
{
	struct probe *p = probe_new(NULL);
	struct err e;
	struct fix f;

	(void)state;
	fix_init(&f, &slot_type);
	p->fail = -EIO;
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e), -EIO);
	assert_string_equal(e.text, "told to fail");
	assert_int_equal(p->detached, 1);
	assert_int_equal(p->resets, 0);
	assert_int_equal(slot_unplugged, 1);
	assert_null(p->region.space);
	assert_true(list_empty(&f.isa.devices));
	device_free(&p->dev);
	assert_int_equal(slot_unplugged, 1);
	fix_fini(&f);
}

static void bus_refuses(void **state)
{
	struct probe *p = probe_new(NULL), *q = probe_new("q");
	struct bus system;
	struct err e;
	struct fix f;

	(void)state;
	fix_init(&f, &slot_type);
	assert_int_equal(
		bus_init(&system, &plat_bus_type, "main", NULL, &f.board, &e),
		0);
	assert_int_equal(device_attach(&p->dev, &system, &f.board, &e),
			 -EINVAL);
	assert_non_null(strstr(e.text, "'probe'"));
	assert_non_null(strstr(e.text, "'main' is of type System"));
	slot_plug_result = -EADDRINUSE;
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e),
			 -EADDRINUSE);
	assert_int_equal(p->attached, 0);
	assert_null(p->dev.bus);
	/* It was never plugged in: another try is fair. */
	slot_plug_result = 0;
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e), 0);
	assert_int_equal(device_attach(&q->dev, &f.isa, &f.board, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "'isa.0' is full"));
	device_free(&q->dev);
	device_free(&p->dev);
	bus_fini(&system);
	fix_fini(&f);
}

static void bus_names(void **state)
{
	struct bus b = {0};
	struct err e;
	struct fix f;

	(void)state;
	fix_init(&f, &isa_bus_type);
	assert_int_equal(
		bus_init(&b, &isa_bus_type, "isa.0", NULL, &f.board, &e),
		-EEXIST);
	assert_non_null(strstr(e.text, "'isa.0'"));
	bus_fini(&b);
	assert_ptr_equal(bus_find(&f.board, "isa.0"), &f.isa);
	assert_null(bus_find(&f.board, "isa.1"));
	fix_fini(&f);
}

static void guest_err_once(void **state)
{
	int log = logfile_new(NULL);
	struct probe *p = probe_new("p0");
	struct err e;
	struct fix f;

	(void)state;
	fix_init(&f, &isa_bus_type);
	guest_err(&p->dev, "nobody listens %d", 0);
	assert_int_equal(log_enable("guest_errors", &e), 0);
	assert_int_equal(device_attach(&p->dev, &f.isa, &f.board, &e), 0);
	guest_err(&p->dev, "register %d, section 1.2", 7);
	guest_err(&p->dev, "register %d, section 1.2", 8);
	device_reset(&p->dev);
	guest_err(&p->dev, "register %d, section 1.2", 9);
	assert_string_equal(
		logfile_text(log),
		"vireo: guest_errors: probe 'p0': register 7, section 1.2\n"
		"vireo: guest_errors: probe 'p0': register 9, section 1.2\n");
	close(log);
	device_free(&p->dev);
	fix_fini(&f);
}

static void labels(void **state)
{
	struct probe *p = probe_new("p0"), *q = probe_new(NULL);
	char buf[64], tiny[4];

	(void)state;
	assert_string_equal(device_label(&p->dev, buf, sizeof(buf)),
			    "probe 'p0'");
	assert_string_equal(device_label(&q->dev, buf, sizeof(buf)), "probe");
	assert_string_equal(device_label(&q->dev, tiny, sizeof(tiny)), "pro");
	device_free(&p->dev);
	device_free(&q->dev);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(classes_by_name),
	cmocka_unit_test(life),
	cmocka_unit_test(free_detaches),
	cmocka_unit_test(failed_attach_is_undone),
	cmocka_unit_test(bus_refuses),
	cmocka_unit_test(bus_names),
	cmocka_unit_test(guest_err_once),
	cmocka_unit_test(labels),
};

TEST_MAIN(tests)
