/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every class of the device table, by the same rules: its tables are in order;
 * it attaches, or undoes what it began when any allocation fails; whatever a
 * guest writes, it survives; a reset is as good as new; what it saves another
 * loads; and it leaves nothing behind.
 *
 * TEST_SEED in the environment chooses other accesses.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/num.h"
#include "bus/irq.h"
#include "bus/plat.h"
#include "bus/virtio.h"
#include "bus/virtio_mmio.h"
#include "test/lib/fakeboard.h"
#include "test/lib/nullback.h"
#include "test/lib/test.h"

#define SLOT_BASE   0xfeb00000U
#define SLOT_GSI    5
#define REGIONS_MAX 16
#define ACCESSES    4000
#define FEW         500
#define MESSAGE_MAX 256

/* --- failing allocations: the linker puts these before the C library's --- */

static unsigned fail_countdown; /* 1: the next one fails; 0: none */
static unsigned fail_calls;     /* allocations since fail_arm() */

static bool fail_now(void)
{
	fail_calls++;
	return fail_countdown && !--fail_countdown;
}

static void fail_arm(unsigned nth)
{
	fail_countdown = nth;
	fail_calls = 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
int __real_eventfd(unsigned value, int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
int __wrap_eventfd(unsigned value, int flags);

void *__wrap_malloc(size_t size)
{
	errno = ENOMEM;
	return fail_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	errno = ENOMEM;
	return fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	errno = ENOMEM;
	return fail_now() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	errno = ENOMEM;
	return fail_now() ? NULL : __real_strdup(s);
}

int __wrap_eventfd(unsigned value, int flags)
{
	errno = EMFILE;
	return fail_now() ? -1 : __real_eventfd(value, flags);
}

/* --- a board with everything that a device may want --- */

struct world {
	struct fakeboard f;
	struct nullback back;
	struct irq_router router;
	struct bus isa, system;
	struct virtio_mmio *slot;
	uint64_t seed;
};

static void router_route(void *opaque, unsigned gsi, uint64_t address,
			 uint32_t data)
{
	(void)opaque;
	(void)gsi;
	(void)address;
	(void)data;
}

static void router_unroute(void *opaque, unsigned gsi)
{
	(void)opaque;
	(void)gsi;
}

static void router_commit(void *opaque)
{
	(void)opaque;
}

static void router_msi(void *opaque, uint64_t address, uint32_t data)
{
	(void)opaque;
	(void)address;
	(void)data;
}

static const struct irq_router null_router = {
	.route = router_route,
	.unroute = router_unroute,
	.commit = router_commit,
	.msi = router_msi,
};

static void world_init(struct world *w)
{
	const char *seed = getenv("TEST_SEED");
	struct err e = {0};

	fakeboard_init(&w->f);
	nullback_init(&w->back, &w->f);
	w->f.board.router = &null_router;
	w->seed = seed ? strtoull(seed, NULL, 0) : 1;
	w->isa = w->system = (struct bus){0};
	if (bus_init(&w->isa, &isa_bus_type, "isa.0", NULL, &w->f.board, &e) ||
	    bus_init(&w->system, &plat_bus_type, "main-system-bus", NULL,
		     &w->f.board, &e) ||
	    virtio_mmio_new(&w->f.board, 0, SLOT_BASE, SLOT_GSI, &w->slot, &e))
		fail_msg("%s", e.text);
}

static void world_fini(struct world *w)
{
	virtio_mmio_free(w->slot);
	bus_fini(&w->isa);
	bus_fini(&w->system);
	nullback_fini(&w->back);
	fakeboard_fini(&w->f);
}

/* What there is of one type of bus, and what its devices' objects begin with.
 * A new type of bus goes here. */
static struct bus *world_bus(struct world *w, const struct device_class *c)
{
	if (!strcmp(c->bus, "ISA"))
		return &w->isa;
	if (!strcmp(c->bus, "System"))
		return &w->system;
	if (!strcmp(c->bus, "virtio-bus"))
		return virtio_mmio_bus(w->slot);
	fail_msg("bus type '%s' is unknown to this test", c->bus);
	return NULL;
}

static bool is_virtio(const struct device_class *c)
{
	return !strcmp(c->bus, "virtio-bus");
}

static bool is_plat(const struct device_class *c)
{
	return !strcmp(c->bus, "ISA") || !strcmp(c->bus, "System");
}

static size_t flavour_size(const struct device_class *c)
{
	return is_virtio(c) ? sizeof(struct virtio_dev) : sizeof(struct device);
}

static void *world_resolve(void *opaque, const char *kind, const char *id,
			   struct err *e)
{
	const struct world *w = opaque;

	for (unsigned i = 0; i < FAKE_LINKS && w->f.links[i].kind; i++)
		if (!strcmp(w->f.links[i].kind, kind) &&
		    !strcmp(w->f.links[i].id, id))
			return w->f.links[i].ptr;
	(void)err_set(e, -ENOENT, "no %s '%s'", kind, id);
	return NULL;
}

/* Gives each link of the device its null back end. */
static int world_link(struct world *w, struct device *d, struct err *e)
{
	const struct device_class *c = d->class;

	for (const struct prop *p = c->props; p && p->name; p++) {
		int rc = 0;

		if (p->type == PROP_T_BACKEND && nullback_has(p->kind))
			rc = props_set_text(c->props, d, p->name, "null", e);
		if (rc)
			return rc;
	}
	return c->props ? props_link(c->props, d, c->name, world_resolve, w, e)
			: 0;
}

/* A device with one property set (name may be NULL), attached. */
static struct device *world_device(struct world *w,
				   const struct device_class *c,
				   const char *name, const char *value,
				   struct err *e)
{
	struct device *d;

	*e = (struct err){0};
	if (device_new(c, "d0", &d, e))
		return NULL;
	if ((name && props_set_text(c->props, d, name, value, e)) ||
	    world_link(w, d, e) ||
	    device_attach(d, world_bus(w, c), &w->f.board, e)) {
		device_free(d);
		return NULL;
	}
	return d;
}

static struct device *world_must(struct world *w, const struct device_class *c)
{
	struct err e;
	struct device *d = world_device(w, c, NULL, NULL, &e);

	if (!d)
		fail_msg("%s", e.text);
	return d;
}

static void world_settle(struct world *w)
{
	struct err e;

	for (unsigned i = 0; i < 4; i++)
		if (loop_step(w->f.board.loop, 0, &e))
			fail_msg("%s", e.text);
}

/* --- what is left behind --- */

struct traces {
	unsigned regions, fds, lines, bells;
};

static void count_region(void *opaque, const struct region *r)
{
	(void)r;
	++*(unsigned *)opaque;
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct traces world_traces(struct world *w)
{
	struct traces t = {.fds = count_fds()};

	space_for_each(w->f.board.mem, count_region, &t.regions);
	space_for_each(w->f.board.ports, count_region, &t.regions);
	for (unsigned i = 0; i < FAKE_GSIS; i++)
		t.lines += w->f.level[i];
	for (unsigned i = 0; i < FAKE_BELLS; i++)
		t.bells += w->f.bells[i].is_used;
	return t;
}

static void check_traces(struct world *w, const struct traces *before)
{
	struct traces now = world_traces(w);

	assert_int_equal(now.regions, before->regions);
	assert_int_equal(now.lines, before->lines);
	assert_int_equal(now.bells, before->bells);
	assert_int_equal(now.fds, before->fds);
	assert_ptr_equal(w->f.board.irqs, &w->f.irqs);
	assert_true(list_empty(&w->isa.devices));
	assert_true(list_empty(&w->system.devices));
	assert_true(list_empty(&virtio_mmio_bus(w->slot)->devices));
}

/* --- the tables --- */

static const struct device_class *class_of(void **state)
{
	return *state;
}

static void names_are_in_order(void **state)
{
	const struct device_class *c = class_of(state);
	size_t n = strlen(c->summary);

	assert_true(strspn(c->name, "abcdefghijklmnopqrstuvwxyz0123456789-_") ==
		    strlen(c->name));
	assert_true(n > 0 && n <= 60 && c->summary[n - 1] != '.');
	assert_in_range(c->category, 0, CATEGORIES - 1);
	assert_non_null(c->attach);
	assert_true(c->size >= flavour_size(c));
	for (size_t i = 0; i < device_class_count; i++) {
		const struct device_class *o = device_classes[i];

		if (o == c)
			continue;
		assert_string_not_equal(o->name, c->name);
		if (c->alias)
			assert_string_not_equal(o->name, c->alias);
		if (c->alias && o->alias)
			assert_string_not_equal(o->alias, c->alias);
	}
}

static void state_covers_the_object(void **state)
{
	const struct device_class *c = class_of(state);
	struct err e;

	assert_non_null(c->state);
	if (state_check_cover(c->state, flavour_size(c), c->size, &e))
		fail_msg("%s: %s", c->name, e.text);
}

static bool is_number(const struct prop *p)
{
	return p->type == PROP_T_U8 || p->type == PROP_T_U16 ||
	       p->type == PROP_T_U32 || p->type == PROP_T_U64 ||
	       p->type == PROP_T_I32 || p->type == PROP_T_SIZE;
}

static void number_text(const struct prop *p, uint64_t v, char buf[32])
{
	if (p->is_signed)
		(void)snprintf(buf, 32, "%lld", (long long)v);
	else
		(void)snprintf(buf, 32, "%llu", (unsigned long long)v);
}

static void check_set(const struct device_class *c, struct device *d,
		      const struct prop *p, const char *text, bool is_good)
{
	struct err e = {0};
	int rc = props_set_text(c->props, d, p->name, text, &e);

	if (is_good && rc)
		fail_msg("%s=%s: %s", p->name, text, e.text);
	if (!is_good && rc >= 0)
		fail_msg("%s=%s was taken", p->name, text);
	if (!is_good && !strstr(e.text, p->name))
		fail_msg("%s=%s: the message names no property: %s", p->name,
			 text, e.text);
}

static void check_number(const struct device_class *c, struct device *d,
			 const struct prop *p)
{
	char text[32];

	number_text(p, p->min, text);
	check_set(c, d, p, text, true);
	number_text(p, p->max, text);
	check_set(c, d, p, text, true);
	if (p->is_signed || p->max < UINT64_MAX) {
		number_text(p, p->max + 1, text);
		check_set(c, d, p, text, false);
	}
	if (p->is_signed || p->min) {
		number_text(p, p->min - 1, text);
		check_set(c, d, p, text, false);
	}
	check_set(c, d, p, "18446744073709551616", false);
	check_set(c, d, p, "12x", false);
	check_set(c, d, p, "", false);
}

static void check_prop(const struct device_class *c, struct device *d,
		       const struct prop *p)
{
	char text[64];

	assert_true(p->offset >= sizeof(struct device) && p->offset < c->size);
	assert_true(p->summary && *p->summary);
	assert_non_null(prop_default_text(p, text, sizeof(text)));
	assert_ptr_equal(prop_find(c->props, p->name), p);
	if (is_number(p)) {
		if (p->is_signed)
			assert_true((int64_t)p->min <= (int64_t)p->def &&
				    (int64_t)p->def <= (int64_t)p->max);
		else
			assert_true(p->min <= p->def && p->def <= p->max);
		check_number(c, d, p);
	} else if (p->type == PROP_T_BOOL) {
		check_set(c, d, p, "on", true);
		check_set(c, d, p, "off", true);
		check_set(c, d, p, "perhaps", false);
	} else if (p->type == PROP_T_ENUM) {
		for (unsigned i = 0; p->names[i]; i++)
			check_set(c, d, p, p->names[i], true);
		check_set(c, d, p, "no-such-word", false);
	} else if (p->type == PROP_T_BACKEND) {
		assert_non_null(p->kind);
		if (p->required && !nullback_has(p->kind))
			fail_msg("test/lib/nullback.c has no %s", p->kind);
	}
}

static void properties_have_bounds(void **state)
{
	const struct device_class *c = class_of(state);
	struct device *d;
	struct err e;

	assert_int_equal(device_new(c, NULL, &d, &e), 0);
	for (const struct prop *p = c->props; p && p->name; p++)
		check_prop(c, d, p);
	device_free(d);
}

/* With a property at its bound a device attaches, or says why not. */
static void attach_at(struct world *w, const struct device_class *c,
		      const struct prop *p, uint64_t value)
{
	struct traces before = world_traces(w);
	struct device *d;
	char text[32];
	struct err e;

	number_text(p, value, text);
	d = world_device(w, c, p->name, text, &e);
	if (!d) {
		assert_true(e.code < 0);
		assert_true(*e.text);
	}
	device_free(d);
	world_settle(w);
	check_traces(w, &before);
}

static void attaches_at_the_bounds(void **state)
{
	const struct device_class *c = class_of(state);
	struct world w;

	world_init(&w);
	for (const struct prop *p = c->props; p && p->name; p++) {
		if (!is_number(p))
			continue;
		attach_at(&w, c, p, p->min);
		attach_at(&w, c, p, p->max);
	}
	world_fini(&w);
}

/* --- attaching --- */

static void attaches_and_detaches(void **state)
{
	const struct device_class *c = class_of(state);
	struct traces before;
	struct device *d;
	struct world w;

	world_init(&w);
	before = world_traces(&w);
	for (unsigned i = 0; i < 2; i++) {
		d = world_must(&w, c);
		world_settle(&w);
		device_detach(d);
		check_traces(&w, &before);
		device_free(d);
		world_settle(&w);
	}
	world_fini(&w);
}

static void attaches_without_memory(void **state)
{
	const struct device_class *c = class_of(state);
	struct traces before;
	unsigned n = 0;
	struct world w;

	world_init(&w);
	before = world_traces(&w);
	for (;;) {
		struct device *d;
		bool was_hit;
		struct err e;

		fail_arm(++n);
		d = world_device(&w, c, NULL, NULL, &e);
		was_hit = fail_calls >= n;
		fail_arm(0);
		if (!d && !*e.text)
			fail_msg("allocation %u fails without a message", n);
		if (!d && !was_hit)
			fail_msg("%s", e.text);
		if (d && was_hit)
			fail_msg("allocation %u fails and nobody minds", n);
		device_free(d);
		world_settle(&w);
		check_traces(&w, &before);
		if (!was_hit)
			break;
	}
	assert_true(n > 1); /* the device itself, at least */
	world_fini(&w);
}

/* The regions that the device claims are those which tables will name. */
struct claimed {
	const struct plat_resources *res;
	const struct device *d;
	uint64_t bytes;
	bool is_port;
};

static void check_claim(void *opaque, const struct region *r)
{
	struct claimed *k = opaque;
	bool found = false;

	if (r->dev != k->d)
		return;
	for (unsigned i = 0; k->is_port && i < ARRAY_SIZE(k->res->ports); i++)
		found |= r->base >= k->res->ports[i].base &&
			 r->base + r->len <= (uint64_t)k->res->ports[i].base +
						     k->res->ports[i].len;
	for (unsigned i = 0; !k->is_port && i < ARRAY_SIZE(k->res->mem); i++)
		found |= r->base >= k->res->mem[i].base &&
			 r->base + r->len <=
				 k->res->mem[i].base + k->res->mem[i].len;
	assert_true(found);
	k->bytes += r->len;
}

static void resources_are_what_it_claims(void **state)
{
	const struct device_class *c = class_of(state);
	struct plat_resources res;
	struct claimed ports = {.res = &res, .is_port = true};
	struct claimed mem = {.res = &res};
	uint64_t want_ports = 0, want_mem = 0;
	struct world w;
	struct device *d;

	if (!is_plat(c) || !c->flavour)
		return;
	world_init(&w);
	ports.d = mem.d = d = world_must(&w, c);
	assert_true(plat_resources_of(d, &res));
	space_for_each(w.f.board.ports, check_claim, &ports);
	space_for_each(w.f.board.mem, check_claim, &mem);
	for (unsigned i = 0; i < ARRAY_SIZE(res.ports); i++)
		want_ports += res.ports[i].len;
	for (unsigned i = 0; i < ARRAY_SIZE(res.mem); i++)
		want_mem += res.mem[i].len;
	assert_int_equal(ports.bytes, want_ports);
	assert_int_equal(mem.bytes, want_mem);
	for (unsigned i = 0; i < ARRAY_SIZE(res.irq); i++)
		assert_true(res.irq[i] >= -1 && res.irq[i] < 120);
	device_free(d);
	world_fini(&w);
}

/* --- accesses --- */

struct region_list {
	struct {
		bool is_port;
		uint64_t base, len;
	} rows[REGIONS_MAX];
	unsigned count;
	bool is_port;
};

static void list_region(void *opaque, const struct region *r)
{
	struct region_list *l = opaque;

	if (l->count == REGIONS_MAX)
		return;
	l->rows[l->count].is_port = l->is_port;
	l->rows[l->count].base = r->base;
	l->rows[l->count++].len = r->len;
}

static struct region_list world_regions(struct world *w)
{
	struct region_list l = {0};

	space_for_each(w->f.board.mem, list_region, &l);
	l.is_port = true;
	space_for_each(w->f.board.ports, list_region, &l);
	return l;
}

static uint64_t next_random(struct world *w)
{
	w->seed += 0x9e3779b97f4a7c15;
	return (w->seed ^ w->seed >> 30) * 0xbf58476d1ce4e5b9 >> 7;
}

/* Small numbers, single bits, all ones: what registers take notice of. */
static uint64_t random_value(struct world *w)
{
	uint64_t r = next_random(w);

	switch (r & 3) {
	case 0:
		return r >> 8 & 0xf;
	case 1:
		return 1ULL << (r >> 8 & 63);
	case 2:
		return r >> 8 & 0xff;
	default:
		return r & 4 ? UINT64_MAX : next_random(w);
	}
}

static void random_access(struct world *w, const struct region_list *l)
{
	uint64_t r = next_random(w);
	unsigned i = (unsigned)(r % l->count), size = 1U << (r >> 20 & 3);
	uint64_t at = l->rows[i].base + (r >> 24) % (l->rows[i].len + 4);
	struct space_reader *rd = l->rows[i].is_port ? &w->f.ports : &w->f.mem;

	/* Half of them near the start, where registers are. */
	if (r & BIT(22))
		at = l->rows[i].base + (r >> 24) % MIN(l->rows[i].len, 128ULL);
	if (r & BIT(23))
		space_write(rd, at, size, random_value(w));
	else
		(void)space_read(rd, at, size);
}

static void random_accesses(struct world *w, struct device *d, unsigned n)
{
	struct region_list l = world_regions(w);

	assert_true(l.count > 0);
	assert_true(l.count < REGIONS_MAX);
	for (unsigned i = 0; i < n; i++) {
		random_access(w, &l);
		if (i % 64)
			continue;
		world_settle(w);
		loop_advance(w->f.board.loop,
			     next_random(w) % (100 * NS_PER_MS));
		if (i % 1024 == 0 && d->class->pause) {
			d->class->pause(d);
			random_access(w, &l);
			d->class->resume(d);
		}
	}
	world_settle(w);
}

static void survives_any_access(void **state)
{
	const struct device_class *c = class_of(state);
	struct device *d;
	struct world w;

	world_init(&w);
	d = world_must(&w, c);
	random_accesses(&w, d, ACCESSES);
	device_reset(d);
	random_accesses(&w, d, ACCESSES);
	device_free(d);
	world_fini(&w);
}

/* Detached at any moment, it leaves nothing behind. */
static void detaches_at_any_time(void **state)
{
	const struct device_class *c = class_of(state);
	struct traces before;
	struct world w;

	world_init(&w);
	before = world_traces(&w);
	for (unsigned round = 0; round < 40; round++) {
		struct device *d = world_must(&w, c);

		random_accesses(&w, d, round);
		device_free(d);
		world_settle(&w);
		check_traces(&w, &before);
	}
	world_fini(&w);
}

/* --- state --- */

/* The rows that a reset sets, in storage of the caller's. */
static void without_kept(const struct state_field *table,
			 struct state_field *rows, size_t max)
{
	size_t n = 0;

	for (const struct state_field *f = table; f->name; f++) {
		assert_true(n + 1 < max);
		if (!f->kept)
			rows[n++] = *f;
	}
	rows[n] = (struct state_field)STATE_END;
}

static void save_rows(const struct state_field *table, const void *obj,
		      bool with_kept, struct state_buf *b)
{
	struct state_field rows[64];
	struct err e;

	without_kept(table, rows, ARRAY_SIZE(rows));
	if (state_save(with_kept ? table : rows, obj, b, &e))
		fail_msg("%s", e.text);
}

static struct state_buf save(const struct device *d, bool with_kept)
{
	struct state_buf b = {0};

	save_rows(d->class->state, d, with_kept, &b);
	if (is_virtio(d->class))
		save_rows(virtio_state,
			  container_of_const(d, struct virtio_dev, dev),
			  with_kept, &b);
	return b;
}

static void check_same(struct state_buf *a, struct state_buf *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
	state_buf_fini(a);
	state_buf_fini(b);
}

static bool is_listed(const struct state_field *table, size_t at)
{
	for (const struct state_field *f = table; f->name; f++)
		if (at >= f->offset && at < f->offset + f->size * f->count)
			return true;
	return false;
}

/* What changes is in the table: a byte that the check of the table alone must
 * take for padding is found by what it does. */
static void what_changes_is_listed(void **state)
{
	const struct device_class *c = class_of(state);
	unsigned char *before = malloc(c->size);
	const unsigned char *now;
	struct device *d;
	struct world w;

	world_init(&w);
	d = world_must(&w, c);
	now = (const unsigned char *)d;
	assert_non_null(before);
	memcpy(before, d, c->size);
	for (unsigned round = 0; round < 20; round++) {
		random_accesses(&w, d, FEW);
		for (size_t i = flavour_size(c); i < c->size; i++)
			if (now[i] != before[i] && !is_listed(c->state, i))
				fail_msg("byte %zu changes, and no row of the "
					 "state table has it",
					 i);
	}
	device_free(d);
	world_fini(&w);
	free(before);
}

static void reset_is_as_good_as_new(void **state)
{
	const struct device_class *c = class_of(state);
	struct state_buf fresh, again;
	struct device *d;
	struct world w;

	world_init(&w);
	d = world_must(&w, c);
	fresh = save(d, false);
	random_accesses(&w, d, ACCESSES);
	device_reset(d);
	world_settle(&w);
	again = save(d, false);
	check_same(&fresh, &again);
	fresh = save(d, true);
	device_reset(d);
	world_settle(&w);
	again = save(d, true);
	check_same(&fresh, &again);
	device_free(d);
	world_fini(&w);
}

static void load(struct device *d, struct state_buf *b)
{
	struct err e = {0};

	b->pos = 0;
	if (state_load(d->class->state, d, b, &e) ||
	    (d->class->loaded && d->class->loaded(d, &e)))
		fail_msg("%s: %s", d->class->name, e.text);
}

static void another_loads_what_it_saves(void **state)
{
	const struct device_class *c = class_of(state);

	for (unsigned round = 0; round < 4; round++) {
		struct state_buf saved = {0}, again = {0};
		struct device *d;
		struct world w;
		struct err e;

		world_init(&w);
		w.seed += round;
		d = world_must(&w, c);
		random_accesses(&w, d, ACCESSES);
		assert_int_equal(state_save(c->state, d, &saved, &e), 0);
		device_free(d);
		d = world_must(&w, c);
		load(d, &saved);
		assert_int_equal(state_save(c->state, d, &again, &e), 0);
		check_same(&saved, &again);
		/* And it works. */
		random_accesses(&w, d, FEW);
		device_free(d);
		world_fini(&w);
	}
}

/* A stream that was tampered with is refused, or gives a device that works:
 * no byte of it makes the process fall over. */
static void loads_what_is_hostile(void **state)
{
	const struct device_class *c = class_of(state);

	for (unsigned round = 0; round < 50; round++) {
		struct state_buf saved = {0};
		struct device *d;
		struct world w;
		struct err e;

		world_init(&w);
		w.seed += round;
		d = world_must(&w, c);
		assert_int_equal(state_save(c->state, d, &saved, &e), 0);
		for (unsigned i = 0; i < 3; i++)
			saved.data[next_random(&w) % saved.len] =
				(uint8_t)random_value(&w);
		if (!state_load(c->state, d, &saved, &e) &&
		    (!c->loaded || !c->loaded(d, &e)))
			random_accesses(&w, d, FEW);
		state_buf_fini(&saved);
		device_free(d);
		world_fini(&w);
	}
}

/* --- every test for every class --- */

static const struct {
	const char *name;
	CMUnitTestFunction run;
} rules[] = {
	{"names are in order", names_are_in_order},
	{"state covers the object", state_covers_the_object},
	{"properties have bounds", properties_have_bounds},
	{"attaches at the bounds", attaches_at_the_bounds},
	{"attaches and detaches", attaches_and_detaches},
	{"attaches without memory", attaches_without_memory},
	{"resources are what it claims", resources_are_what_it_claims},
	{"survives any access", survives_any_access},
	{"detaches at any time", detaches_at_any_time},
	{"what changes is listed", what_changes_is_listed},
	{"reset is as good as new", reset_is_as_good_as_new},
	{"another loads what it saves", another_loads_what_it_saves},
	{"loads what is hostile", loads_what_is_hostile},
};

static void name_test(struct CMUnitTest *t, const char *rule,
		      const struct device_class *c)
{
	char *name = NULL;

	if (asprintf(&name, "%s: %s", c->name, rule) < 0)
		abort();
	t->name = name;
	/* cmocka hands it to the test, which only reads it. */
	t->initial_state = (void *)(uintptr_t)c;
}

int main(void)
{
	size_t n = device_class_count * ARRAY_SIZE(rules), k = 0;
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	int failed;

	if (!tests)
		return 1;
	for (size_t i = 0; i < device_class_count; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(rules); j++, k++) {
			tests[k].test_func = rules[j].run;
			name_test(&tests[k], rules[j].name, device_classes[i]);
		}
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	failed = _cmocka_run_group_tests("table", tests, n, NULL, NULL);
	for (k = 0; k < n; k++)
		free((void *)(uintptr_t)tests[k].name);
	free(tests);
	return failed ? 1 : 0;
}
