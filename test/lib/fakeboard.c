/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board for device tests.
 */
#include "test/lib/fakeboard.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/keyval.h"
#include "base/prop.h"
#include "test/lib/test.h"

static void fake_set(void *opaque, unsigned gsi, bool level)
{
	struct fakeboard *f = opaque;

	assert_true(gsi < FAKE_GSIS);
	if (level && !f->level[gsi])
		f->edges[gsi]++;
	f->level[gsi] = level;
}

static void fake_msi(void *opaque, uint64_t address, uint32_t data)
{
	struct fakeboard *f = opaque;

	f->msi_address = address;
	f->msi_data = data;
	f->msis++;
}

static int fake_pulse_fd(void *opaque, unsigned gsi)
{
	(void)opaque;
	(void)gsi;
	return -1;
}

static const struct irq_sink_ops fake_irq_ops = {
	.set = fake_set,
	.msi = fake_msi,
	.pulse_fd = fake_pulse_fd,
};

static bool fake_bell_is(const struct fake_bell *b, bool is_port, uint64_t addr,
			 unsigned size, uint64_t value)
{
	return b->is_used && b->is_port == is_port && b->addr == addr &&
	       (!b->size || (b->size == size && b->value == value));
}

static int fake_bell_add(void *opaque, bool is_port, uint64_t addr,
			 unsigned size, uint64_t value, int eventfd)
{
	struct fakeboard *f = opaque;
	struct fake_bell *free_bell = NULL;
	int rc = 0;

	pthread_mutex_lock(&f->bell_lock);
	for (unsigned i = 0; i < FAKE_BELLS; i++) {
		if (!f->bells[i].is_used)
			free_bell = &f->bells[i];
		else if (fake_bell_is(&f->bells[i], is_port, addr, size, value))
			rc = -EEXIST;
	}
	if (!free_bell)
		rc = -ENOSPC;
	if (!rc)
		*free_bell = (struct fake_bell){true,  is_port, addr,
						value, size,    eventfd};
	pthread_mutex_unlock(&f->bell_lock);
	return rc;
}

static void fake_bell_del(void *opaque, bool is_port, uint64_t addr,
			  unsigned size, uint64_t value, int eventfd)
{
	struct fakeboard *f = opaque;
	bool found = false;

	pthread_mutex_lock(&f->bell_lock);
	for (unsigned i = 0; i < FAKE_BELLS; i++) {
		struct fake_bell *b = &f->bells[i];

		if (fake_bell_is(b, is_port, addr, size, value) &&
		    b->eventfd == eventfd) {
			b->is_used = false;
			found = true;
		}
	}
	pthread_mutex_unlock(&f->bell_lock);
	assert_true(found);
}

bool fakeboard_ring(struct fakeboard *f, bool is_port, uint64_t addr,
		    unsigned size, uint64_t value)
{
	bool rung = false;

	pthread_mutex_lock(&f->bell_lock);
	for (unsigned i = 0; i < FAKE_BELLS && !rung; i++) {
		rung = fake_bell_is(&f->bells[i], is_port, addr, size, value);
		if (rung)
			assert_int_equal(eventfd_write(f->bells[i].eventfd, 1),
					 0);
	}
	pthread_mutex_unlock(&f->bell_lock);
	return rung;
}

static void fake_request(struct board *b, enum board_request what, int arg)
{
	struct fakeboard *f = container_of(b, struct fakeboard, board);

	f->last_request = what;
	f->last_arg = arg;
	f->requests++;
}

static char *fake_ram(struct gmem *gm, gpa_t base, uint64_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct err e = {0};

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(gmem_add(gm, base, len, p, &e), 0);
	return p;
}

void fakeboard_init(struct fakeboard *f)
{
	struct loop_config c = {.virtual_clock = true};
	struct board *b = &f->board;
	struct err e = {0};

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->bell_lock, NULL);
	f->ram = fake_ram(&f->gmem, 0, FAKE_RAM);
	f->high = fake_ram(&f->gmem, FAKE_HIGH, FAKE_HIGH_RAM);
	f->irqs = (struct irq_sink){&fake_irq_ops, f};
	f->notify = (struct notify_sink){fake_bell_add, fake_bell_del, f};
	b->gmem = &f->gmem;
	b->irqs = &f->irqs;
	b->request = fake_request;
	list_init(&b->buses);
	if (space_new("memory", UINT64_MAX, &b->mem, &e) ||
	    space_new("ports", 0x10000, &b->ports, &e) ||
	    loop_new(&c, &b->loop, &e))
		fail_msg("%s", e.text);
	space_reader_init(&f->mem, b->mem);
	space_reader_init(&f->ports, b->ports);
}

void fakeboard_fini(struct fakeboard *f)
{
	assert_true(list_empty(&f->board.buses));
	space_reader_fini(&f->mem);
	space_reader_fini(&f->ports);
	space_free(f->board.mem);
	space_free(f->board.ports);
	loop_free(f->board.loop);
	munmap(f->ram, FAKE_RAM);
	munmap(f->high, FAKE_HIGH_RAM);
	pthread_mutex_destroy(&f->bell_lock);
}

void fakeboard_link(struct fakeboard *f, const char *kind, const char *id,
		    void *ptr)
{
	unsigned i = 0;

	while (i < FAKE_LINKS && f->links[i].kind)
		i++;
	assert_true(i < FAKE_LINKS);
	f->links[i] = (struct fake_link){kind, id, ptr};
}

static void *fake_resolve(void *opaque, const char *kind, const char *id,
			  struct err *e)
{
	const struct fakeboard *f = opaque;

	for (unsigned i = 0; i < FAKE_LINKS && f->links[i].kind; i++)
		if (!strcmp(f->links[i].kind, kind) &&
		    !strcmp(f->links[i].id, id))
			return f->links[i].ptr;
	(void)err_set(e, -ENOENT, "there is no %s '%s'", kind, id);
	return NULL;
}

static int fake_configure(struct fakeboard *f, struct json_object *conf,
			  struct device **ret, struct err *e)
{
	static const char *const skip[] = {"driver", "id", NULL};
	struct json_object *driver = json_object_object_get(conf, "driver");
	struct json_object *id = json_object_object_get(conf, "id");
	const char *name = json_object_get_string(driver);
	const struct device_class *c = device_class_find(name ? name : "");
	struct device *d;
	int rc;

	if (!c)
		return err_set(e, -ENOENT, "no device '%s'", name);
	rc = device_new(c, json_object_get_string(id), &d, e);
	if (rc)
		return rc;
	if (c->props)
		rc = props_apply(c->props, d, conf, skip, c->name, e);
	if (!rc && c->props)
		rc = props_link(c->props, d, c->name, fake_resolve, f, e);
	if (rc) {
		device_free(d);
		return rc;
	}
	*ret = d;
	return 0;
}

struct device *fakeboard_device(struct fakeboard *f, struct bus *bus,
				const char *text, struct err *e)
{
	struct json_object *conf;
	struct device *d = NULL;
	int rc;

	if (keyval_parse(text, "driver", KEYVAL_BARE_BOOL, &conf, e))
		return NULL;
	rc = fake_configure(f, conf, &d, e);
	json_object_put(conf);
	if (rc)
		return NULL;
	rc = device_attach(d, bus, &f->board, e);
	if (rc) {
		device_free(d);
		return NULL;
	}
	return d;
}

uint64_t fakeboard_read(struct fakeboard *f, uint64_t addr, unsigned size)
{
	return space_read(&f->mem, addr, size);
}

void fakeboard_write(struct fakeboard *f, uint64_t addr, unsigned size,
		     uint64_t value)
{
	if (!fakeboard_ring(f, false, addr, size, value))
		space_write(&f->mem, addr, size, value);
}

uint64_t fakeboard_in(struct fakeboard *f, uint64_t port, unsigned size)
{
	return space_read(&f->ports, port, size);
}

void fakeboard_out(struct fakeboard *f, uint64_t port, unsigned size,
		   uint64_t value)
{
	if (!fakeboard_ring(f, true, port, size, value))
		space_write(&f->ports, port, size, value);
}

static void fake_loop_step(struct fakeboard *f, uint64_t wait_ns)
{
	struct err e = {0};

	if (loop_step(f->board.loop, wait_ns, &e))
		fail_msg("%s", e.text);
}

void fakeboard_step(struct fakeboard *f)
{
	fake_loop_step(f, NS_PER_MS);
}

void fakeboard_settle(struct fakeboard *f)
{
	for (unsigned i = 0; i < 4; i++)
		fake_loop_step(f, 0);
	fake_loop_step(f, 2 * NS_PER_MS);
}
