/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/space: finding, splitting and widening; changes from inside handlers;
 * and readers on several threads while regions come, move and go.
 */
#include "bus/space.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "bus/device.h"
#include "test/lib/logfile.h"
#include "test/lib/test.h"

static int nothing_attach(struct device *d, struct err *e)
{
	(void)d;
	(void)e;
	return 0;
}

static const struct device_class plain_class = {
	.name = "plain",
	.bus = "System",
	.size = sizeof(struct device),
	.attach = nothing_attach,
};

static struct device *plain_new(void)
{
	struct device *d;
	struct err e;

	assert_int_equal(device_new(&plain_class, NULL, &d, &e), 0);
	return d;
}

/* A region that is bytes of memory and remembers the calls it got. */
struct bytes {
	struct region region;
	uint8_t mem[64];
	unsigned reads, writes, last_size;
	uint64_t last_off;
};

static uint64_t bytes_read(struct region *r, uint64_t off, unsigned size)
{
	struct bytes *b = container_of(r, struct bytes, region);
	uint64_t v = 0;

	assert_true(off + size <= r->len);
	assert_int_equal(off % size, 0);
	b->reads++;
	b->last_off = off;
	b->last_size = size;
	memcpy(&v, b->mem + off, size);
	return v;
}

static void bytes_write(struct region *r, uint64_t off, unsigned size,
			uint64_t value)
{
	struct bytes *b = container_of(r, struct bytes, region);

	assert_true(off + size <= r->len);
	assert_int_equal(off % size, 0);
	b->writes++;
	b->last_off = off;
	b->last_size = size;
	memcpy(b->mem + off, &value, size);
}

static const struct region_ops bytes_ops = {bytes_read, bytes_write};

#define BYTES(at, length, lo, hi)                                              \
	{                                                                      \
		.region = {                                                    \
			.name = "bytes",                                       \
			.ops = &bytes_ops,                                     \
			.base = at,                                            \
			.len = length,                                         \
			.min = lo,                                             \
			.max = hi                                              \
		}                                                              \
	}

struct fix {
	struct space *s;
	struct space_reader rd;
};

static struct fix fix_new(uint64_t limit)
{
	struct fix f = {0};
	struct err e;

	assert_int_equal(space_new("test", limit, &f.s, &e), 0);
	return f;
}

#define FIX(f, limit)                                                          \
	struct fix f = fix_new(limit);                                         \
	space_reader_init(&f.rd, f.s)

static void fix_fini(struct fix *f)
{
	space_reader_fini(&f->rd);
	space_free(f->s);
}

static int add(struct fix *f, struct bytes *b)
{
	struct err e;

	return space_add(f->s, &b->region, &e);
}

static void fill(struct bytes *b)
{
	for (unsigned i = 0; i < sizeof(b->mem); i++)
		b->mem[i] = (uint8_t)(0x10 + i);
}

static void finds_its_region(void **state)
{
	struct bytes a = BYTES(0x100, 16, 0, 0), b = BYTES(0x110, 16, 0, 0),
		     c = BYTES(0x80, 8, 0, 0);
	FIX(f, 0x1000);

	(void)state;
	fill(&b);
	assert_int_equal(add(&f, &a), 0);
	assert_int_equal(add(&f, &b), 0);
	assert_int_equal(add(&f, &c), 0);
	assert_int_equal(space_read(&f.rd, 0x114, 4), 0x17161514);
	assert_int_equal(b.last_off, 4);
	assert_true(space_read(&f.rd, 0x118, 8) == 0x1f1e1d1c1b1a1918);
	space_write(&f.rd, 0x10f, 1, 0xab);
	assert_int_equal(a.mem[15], 0xab);
	assert_int_equal(a.writes, 1);
	space_write(&f.rd, 0x80, 8, UINT64_MAX);
	assert_int_equal(c.last_size, 8);
	/* The value is cut to the width. */
	assert_int_equal(space_read(&f.rd, 0x82, 2), 0xffff);
	space_del(&a.region);
	space_del(&b.region);
	space_del(&c.region);
	fix_fini(&f);
}

static void unclaimed_is_all_ones(void **state)
{
	struct bytes a = BYTES(0x100, 4, 0, 0);
	FIX(f, 0x1000);

	(void)state;
	assert_int_equal(space_read(&f.rd, 0x100, 1), 0xff);
	assert_int_equal(add(&f, &a), 0);
	assert_true(space_read(&f.rd, 0x200, 8) == UINT64_MAX);
	assert_int_equal(space_read(&f.rd, 0xfff, 4), 0xffffffff);
	assert_int_equal(space_read(&f.rd, UINT64_MAX, 2), 0xffff);
	space_write(&f.rd, UINT64_MAX - 1, 8, 0);
	space_write(&f.rd, 0xff, 1, 0);
	assert_int_equal(a.reads + a.writes, 0);
	/* Half in, half out. */
	assert_int_equal(space_read(&f.rd, 0xfe, 4), 0x0000ffff);
	assert_int_equal(space_read(&f.rd, 0x102, 4), 0xffff0000);
	assert_int_equal(a.reads, 2);
	space_del(&a.region);
	assert_int_equal(space_read(&f.rd, 0x100, 1), 0xff);
	fix_fini(&f);
}

/* The last address of the largest space does not wrap to the first. */
static void top_of_the_space(void **state)
{
	struct bytes low = BYTES(0, 8, 0, 0),
		     high = BYTES(UINT64_MAX - 8, 8, 0, 0);
	FIX(f, UINT64_MAX);

	(void)state;
	assert_int_equal(add(&f, &low), 0);
	assert_int_equal(add(&f, &high), 0);
	space_write(&f.rd, UINT64_MAX - 1, 8, UINT64_MAX);
	assert_int_equal(low.writes, 0);
	assert_int_equal(high.mem[7], 0xff);
	assert_true(space_read(&f.rd, UINT64_MAX - 1, 4) == UINT32_MAX);
	assert_int_equal(low.reads, 0);
	space_del(&low.region);
	space_del(&high.region);
	fix_fini(&f);
}

static void refuses_overlap(void **state)
{
	struct bytes a = BYTES(0x100, 16, 0, 0), b = BYTES(0x10f, 1, 0, 0),
		     c = BYTES(0xf0, 17, 0, 0), all = BYTES(0, 0x1000, 0, 0);
	struct err e;
	FIX(f, 0x1000);

	(void)state;
	a.region.name = "first";
	assert_int_equal(add(&f, &a), 0);
	assert_int_equal(space_add(f.s, &b.region, &e), -EEXIST);
	assert_non_null(strstr(e.text, "'bytes'"));
	assert_non_null(strstr(e.text, "'first'"));
	assert_non_null(strstr(e.text, "0x100-0x10f"));
	assert_int_equal(add(&f, &c), -EEXIST);
	assert_int_equal(add(&f, &all), -EEXIST);
	assert_int_equal(add(&f, &a), -EBUSY);
	/* Once it is gone its place is free. */
	space_del(&a.region);
	space_del(&a.region);
	assert_int_equal(add(&f, &c), 0);
	assert_int_equal(add(&f, &a), -EEXIST);
	space_del(&c.region);
	fix_fini(&f);
}

static void refuses_nonsense(void **state)
{
	struct bytes past = BYTES(0xff8, 9, 0, 0), empty = BYTES(0, 0, 0, 0),
		     odd = BYTES(0, 6, 4, 4), three = BYTES(0, 8, 3, 8),
		     upside = BYTES(0, 8, 8, 4), wide = BYTES(0, 64, 1, 16),
		     wrap = BYTES(UINT64_MAX, 2, 0, 0);
	FIX(f, 0x1000);

	(void)state;
	assert_int_equal(add(&f, &past), -ERANGE);
	assert_int_equal(add(&f, &wrap), -ERANGE);
	assert_int_equal(add(&f, &empty), -EINVAL);
	assert_int_equal(add(&f, &odd), -EINVAL);
	assert_int_equal(add(&f, &three), -EINVAL);
	assert_int_equal(add(&f, &upside), -EINVAL);
	assert_int_equal(add(&f, &wide), -EINVAL);
	past.region.len = 8;
	assert_int_equal(add(&f, &past), 0);
	space_del(&past.region);
	fix_fini(&f);
}

static void splits_what_is_too_wide(void **state)
{
	struct bytes a = BYTES(0x100, 16, 1, 2);
	FIX(f, 0x1000);

	(void)state;
	fill(&a);
	assert_int_equal(add(&f, &a), 0);
	assert_true(space_read(&f.rd, 0x100, 8) == 0x1716151413121110);
	assert_int_equal(a.reads, 4);
	assert_int_equal(a.last_size, 2);
	space_write(&f.rd, 0x104, 4, 0xaabbccdd);
	assert_int_equal(a.writes, 2);
	assert_int_equal(a.mem[4], 0xdd);
	assert_int_equal(a.mem[7], 0xaa);
	/* Unaligned: 1 + 2 + 1. */
	a.reads = 0;
	assert_int_equal(space_read(&f.rd, 0x109, 4), 0x1c1b1a19);
	assert_int_equal(a.reads, 3);
	/* Alignment is that of the register, not of the address. */
	space_del(&a.region);
	a.region.base = 0x101;
	assert_int_equal(add(&f, &a), 0);
	a.reads = 0;
	assert_int_equal(space_read(&f.rd, 0x101, 2), 0x1110);
	assert_int_equal(a.reads, 1);
	space_del(&a.region);
	fix_fini(&f);
}

static void widens_what_is_too_narrow(void **state)
{
	struct bytes a = BYTES(0x100, 16, 4, 4);
	FIX(f, 0x1000);

	(void)state;
	fill(&a);
	assert_int_equal(add(&f, &a), 0);
	assert_int_equal(space_read(&f.rd, 0x102, 1), 0x12);
	assert_int_equal(space_read(&f.rd, 0x102, 2), 0x1312);
	assert_int_equal(a.reads, 2);
	/* Across two words. */
	assert_int_equal(space_read(&f.rd, 0x102, 4), 0x15141312);
	space_write(&f.rd, 0x105, 1, 0xee);
	assert_int_equal(a.last_size, 4);
	assert_int_equal(a.mem[4], 0x14);
	assert_int_equal(a.mem[5], 0xee);
	assert_int_equal(a.mem[6], 0x16);
	a.region.flags = REGION_STRICT;
	a.reads = a.writes = 0;
	assert_int_equal(space_read(&f.rd, 0x102, 2), 0xffff);
	space_write(&f.rd, 0x102, 2, 0);
	assert_int_equal(a.reads + a.writes, 0);
	assert_int_equal(space_read(&f.rd, 0x104, 4), 0x1716ee14);
	space_del(&a.region);
	fix_fini(&f);
}

/* KVM hands over odd sizes when an access crosses a page. */
static void odd_sizes(void **state)
{
	struct bytes a = BYTES(0x100, 8, 0, 0);
	FIX(f, 0x1000);

	(void)state;
	fill(&a);
	assert_int_equal(add(&f, &a), 0);
	assert_int_equal(space_read(&f.rd, 0x100, 3), 0x121110);
	space_write(&f.rd, 0x101, 5, 0x5544332211);
	assert_int_equal(a.mem[0], 0x10);
	assert_int_equal(a.mem[1], 0x11);
	assert_int_equal(a.mem[5], 0x55);
	assert_int_equal(a.mem[6], 0x16);
	space_del(&a.region);
	fix_fini(&f);
}

/* Any access gives what a byte-wise model gives, whatever the widths. */
static void agrees_with_a_model(void **state)
{
	static const uint8_t widths[][2] = {
		{1, 1}, {1, 2}, {1, 4}, {1, 8}, {2, 2}, {2, 8}, {4, 8}, {8, 8},
	};
	uint32_t seed = 1;

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(widths); w++) {
		struct bytes a = BYTES(0x10, 64, widths[w][0], widths[w][1]);
		uint8_t model[128];
		FIX(f, 0x1000);

		memset(model, 0xff, sizeof(model));
		memset(model + 0x10, 0, 64);
		assert_int_equal(add(&f, &a), 0);
		for (unsigned i = 0; i < 5000; i++) {
			unsigned size, at;
			uint64_t v = 0;

			seed = seed * 1664525 + 1013904223;
			size = 1 + (seed >> 24) % 8;
			at = (seed >> 8) % (sizeof(model) - 8);
			if (seed & 0x80) {
				memcpy(&v, model + at, size);
				assert_true(space_read(&f.rd, at, size) == v);
				continue;
			}
			v = seed * 0x9e3779b97f4a7c15;
			space_write(&f.rd, at, size, v);
			for (unsigned b = 0; b < size; b++)
				if (at + b >= 0x10 && at + b < 0x50)
					model[at + b] = (uint8_t)(v >> 8 * b);
		}
		space_del(&a.region);
		fix_fini(&f);
	}
}

static void moves(void **state)
{
	struct bytes a = BYTES(0x100, 16, 0, 0), b = BYTES(0x200, 16, 0, 0);
	struct err e;
	FIX(f, 0x1000);

	(void)state;
	fill(&a);
	assert_int_equal(space_move(&a.region, 0, &e), -EBUSY);
	assert_int_equal(add(&f, &a), 0);
	assert_int_equal(add(&f, &b), 0);
	assert_int_equal(space_read(&f.rd, 0x100, 1), 0x10);
	assert_int_equal(space_move(&a.region, 0x300, &e), 0);
	assert_int_equal(space_read(&f.rd, 0x100, 1), 0xff);
	assert_int_equal(space_read(&f.rd, 0x301, 1), 0x11);
	/* Over part of itself is no overlap. */
	assert_int_equal(space_move(&a.region, 0x308, &e), 0);
	assert_int_equal(space_move(&a.region, 0x1f8, &e), -EEXIST);
	assert_int_equal(space_move(&a.region, 0xff8, &e), -ERANGE);
	assert_int_equal(a.region.base, 0x308);
	assert_int_equal(space_read(&f.rd, 0x308, 1), 0x10);
	space_del(&a.region);
	space_del(&b.region);
	fix_fini(&f);
}

static void count_region(void *opaque, const struct region *r)
{
	uint64_t **next = opaque;

	*(*next)++ = r->base;
}

static void lists_by_address(void **state)
{
	struct bytes a = BYTES(0x300, 8, 0, 0), b = BYTES(0x100, 8, 0, 0),
		     c = BYTES(0x200, 8, 0, 0);
	uint64_t seen[4] = {0}, *next = seen;
	FIX(f, 0x1000);

	(void)state;
	add(&f, &a);
	add(&f, &b);
	add(&f, &c);
	space_for_each(f.s, count_region, &next);
	assert_int_equal(next - seen, 3);
	assert_int_equal(seen[0], 0x100);
	assert_int_equal(seen[2], 0x300);
	space_del(&c.region);
	next = seen;
	space_for_each(f.s, count_region, &next);
	assert_int_equal(next - seen, 2);
	space_del(&a.region);
	space_del(&b.region);
	fix_fini(&f);
}

/* A handler that does what its test says. */
struct actor {
	struct region region;
	struct fix *f;
	struct region *other;
	unsigned calls;
	uint64_t got;
};

static uint64_t mover_read(struct region *r, uint64_t off, unsigned size)
{
	struct actor *a = container_of(r, struct actor, region);
	struct err e;

	(void)off;
	(void)size;
	assert_int_equal(space_move(a->other, a->other->base + 0x10, &e), 0);
	return ++a->calls;
}

static void mover_write(struct region *r, uint64_t off, unsigned size,
			uint64_t value)
{
	struct actor *a = container_of(r, struct actor, region);

	(void)off;
	(void)size;
	(void)value;
	a->calls++;
	space_del(a->other);
}

static const struct region_ops mover_ops = {mover_read, mover_write};

static void changes_from_a_handler(void **state)
{
	struct device *d = plain_new();
	struct bytes b = BYTES(0x200, 8, 0, 0);
	FIX(f, 0x1000);
	struct actor a = {
		.region = {.name = "actor",
			   .ops = &mover_ops,
			   .dev = d,
			   .base = 0x100,
			   .len = 4},
		.other = &b.region,
	};
	struct err e;

	(void)state;
	b.region.dev = d; /* whose lock the actor's handler holds */
	assert_int_equal(add(&f, &b), 0);
	assert_int_equal(space_add(f.s, &a.region, &e), 0);
	assert_int_equal(space_read(&f.rd, 0x100, 4), 1);
	assert_int_equal(space_read(&f.rd, 0x210, 1), 0);
	/* Itself, too. */
	a.other = &a.region;
	assert_int_equal(space_read(&f.rd, 0x100, 4), 2);
	assert_int_equal(space_read(&f.rd, 0x100, 4), 0xffffffff);
	space_write(&f.rd, 0x110, 4, 0);
	assert_int_equal(a.calls, 3);
	assert_int_equal(space_read(&f.rd, 0x110, 1), 0xff);
	space_del(&b.region);
	fix_fini(&f);
	device_free(d);
}

static uint64_t dma_read(struct region *r, uint64_t off, unsigned size)
{
	struct actor *a = container_of(r, struct actor, region);

	a->calls++;
	a->got = space_read(&a->f->rd, a->other->base + off, size);
	return 0x55;
}

static const struct region_ops dma_ops = {.read = dma_read};

static void dma_into_own_registers(void **state)
{
	struct device *d = plain_new();
	FIX(f, 0x1000);
	struct actor a = {
		.region = {.name = "actor",
			   .ops = &dma_ops,
			   .dev = d,
			   .base = 0x100,
			   .len = 4},
		.f = &f,
		.other = &a.region,
	};
	struct err e;

	(void)state;
	assert_int_equal(space_add(f.s, &a.region, &e), 0);
	assert_int_equal(space_read(&f.rd, 0x100, 1), 0x55);
	assert_int_equal(a.got, 0xff);
	assert_int_equal(a.calls, 1);
	/* Without a lock there is still an end to it. */
	a.region.flags = REGION_UNLOCKED;
	assert_int_equal(space_read(&f.rd, 0x100, 1), 0x55);
	assert_int_equal(a.calls, 1 + SPACE_DEPTH_MAX);
	assert_int_equal(f.rd.depth, 0);
	space_del(&a.region);
	fix_fini(&f);
	device_free(d);
}

static void dma_into_another_device(void **state)
{
	struct device *d = plain_new(), *d2 = plain_new();
	struct bytes b = BYTES(0x200, 8, 0, 0);
	FIX(f, 0x1000);
	struct actor a = {
		.region = {.name = "actor",
			   .ops = &dma_ops,
			   .dev = d,
			   .base = 0x100,
			   .len = 4},
		.f = &f,
		.other = &b.region,
	};
	struct err e;

	(void)state;
	fill(&b);
	b.region.dev = d2;
	assert_int_equal(add(&f, &b), 0);
	assert_int_equal(space_add(f.s, &a.region, &e), 0);
	assert_int_equal(space_read(&f.rd, 0x102, 1), 0x55);
	assert_int_equal(a.got, 0x12);
	space_del(&a.region);
	space_del(&b.region);
	fix_fini(&f);
	device_free(d);
	device_free(d2);
}

/*
 * Several threads read for all they are worth while regions come, move and go
 * and their memory is freed. A handler that runs after its region was deleted
 * reads freed memory (a sanitizer's find), or counts itself in `late`.
 */
#define STRESS_READERS 3
#define STRESS_ROUNDS  300

struct stress {
	struct space *s;
	_Atomic bool stop;
	_Atomic unsigned late, hits;
};

struct passing {
	struct region region;
	struct stress *st;
	_Atomic bool gone;
	uint64_t tag;
};

static uint64_t passing_read(struct region *r, uint64_t off, unsigned size)
{
	struct passing *p = container_of(r, struct passing, region);

	(void)off;
	(void)size;
	atomic_fetch_add(&p->st->hits, 1);
	for (unsigned i = 0; i < 20; i++)
		if (atomic_load(&p->gone))
			atomic_fetch_add(&p->st->late, 1);
	return p->tag;
}

static const struct region_ops passing_ops = {.read = passing_read};

static void *stress_reader(void *opaque)
{
	struct stress *st = opaque;
	struct space_reader rd;
	uint64_t addr = 0;

	space_reader_init(&rd, st->s);
	while (!atomic_load(&st->stop)) {
		uint64_t v = space_read(&rd, addr, 4);

		/*
		 * A region's tag is its number. Where nobody was there at the
		 * first byte, a region may have come by the next.
		 */
		if ((v & 0xff) != 0xff && v > 7)
			atomic_fetch_add(&st->late, 1);
		addr = (addr + 4) % 0x100;
	}
	space_reader_fini(&rd);
	return NULL;
}

static struct passing *passing_new(struct stress *st, struct device *d,
				   unsigned i)
{
	struct passing *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->st = st;
	p->tag = i;
	p->region = (struct region){.name = "passing",
				    .ops = &passing_ops,
				    .dev = i & 1 ? d : NULL,
				    .base = i * 0x20,
				    .len = 0x10,
				    .min = 4,
				    .max = 4};
	return p;
}

static void stress_round(struct stress *st)
{
	struct device *d = plain_new();
	struct passing *p[8];
	struct err e;

	for (unsigned i = 0; i < 8; i++) {
		p[i] = passing_new(st, d, i);
		assert_int_equal(space_add(st->s, &p[i]->region, &e), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(space_move(&p[i]->region, i * 0x20 + 0x10, &e),
				 0);
	/* With the device's lock and without it. */
	pthread_mutex_lock(&d->lock);
	space_del(&p[1]->region);
	atomic_store(&p[1]->gone, true);
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < 8; i++) {
		space_del(&p[i]->region);
		atomic_store(&p[i]->gone, true);
	}
	space_quiesce(st->s, d);
	for (unsigned i = 0; i < 8; i++)
		free(p[i]);
	device_free(d);
}

static void readers_and_a_writer(void **state)
{
	struct stress st = {0};
	pthread_t t[STRESS_READERS];
	struct err e;

	(void)state;
	assert_int_equal(space_new("stress", 0x1000, &st.s, &e), 0);
	for (unsigned i = 0; i < STRESS_READERS; i++)
		assert_int_equal(
			pthread_create(&t[i], NULL, stress_reader, &st), 0);
	while (atomic_load(&st.hits) == 0)
		stress_round(&st);
	for (unsigned i = 0; i < STRESS_ROUNDS; i++)
		stress_round(&st);
	atomic_store(&st.stop, true);
	for (unsigned i = 0; i < STRESS_READERS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&st.late), 0);
	assert_true(atomic_load(&st.hits) > 0);
	space_free(st.s);
}

/*
 * Two handlers, each under its own device's lock, add, move and delete a
 * region of theirs while the other's thread accesses it: neither waits for
 * the other.
 */
struct rival {
	struct region region, victim;
	struct space *s;
	struct rival *other;
	_Atomic bool *stop;
	unsigned rounds;
};

static void rival_write(struct region *r, uint64_t off, unsigned size,
			uint64_t value)
{
	struct rival *a = container_of(r, struct rival, region);
	struct err e;

	(void)off;
	(void)size;
	(void)value;
	assert_int_equal(space_add(a->s, &a->victim, &e), 0);
	assert_int_equal(space_move(&a->victim, a->victim.base + 8, &e), 0);
	space_del(&a->victim);
	a->victim.base -= 8;
	a->rounds++;
}

static uint64_t rival_read(struct region *r, uint64_t off, unsigned size)
{
	(void)r;
	(void)off;
	(void)size;
	return 0;
}

static const struct region_ops rival_ops = {rival_read, rival_write};

static void *rival_run(void *opaque)
{
	struct rival *a = opaque;
	struct space_reader rd;

	space_reader_init(&rd, a->s);
	while (a->rounds < 2000) {
		space_write(&rd, a->region.base, 4, 1);
		(void)space_read(&rd, a->other->region.base + 0x100, 4);
		(void)space_read(&rd, a->other->region.base + 0x108, 4);
	}
	space_reader_fini(&rd);
	return NULL;
}

static void handlers_that_change_the_space(void **state)
{
	struct device *d[2] = {plain_new(), plain_new()};
	struct rival a[2] = {0};
	struct space *s;
	pthread_t t[2];
	struct err e;

	(void)state;
	assert_int_equal(space_new("rivals", 0x1000, &s, &e), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct region r = {.name = "rival",
				   .ops = &rival_ops,
				   .dev = d[i],
				   .base = 0x400 * i,
				   .len = 8};

		a[i].s = s;
		a[i].other = &a[!i];
		a[i].region = a[i].victim = r;
		a[i].victim.base += 0x100;
		assert_int_equal(space_add(s, &a[i].region, &e), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, rival_run, &a[i]),
				 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(a[i].rounds, 2000);
		space_del(&a[i].region);
		device_free(d[i]);
	}
	space_free(s);
}

/* Unclaimed accesses are logged once a page, and not without end. */
static void logs_once(void **state)
{
	int log = logfile_new("unimp");
	FIX(f, 1ULL << 40);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		(void)space_read(&f.rd, 0x5000 + i, 8);
	assert_int_equal(logfile_count(log, "0x5000 of the test space"), 1);
	assert_int_equal(logfile_count(log, "\n"), 1);
	for (uint64_t i = 0; i < 10000; i++)
		space_write(&f.rd, i << 12, 1, 0);
	assert_in_range(logfile_count(log, "of the test space"), 100, 200);
	close(log);
	fix_fini(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(finds_its_region),
	cmocka_unit_test(unclaimed_is_all_ones),
	cmocka_unit_test(top_of_the_space),
	cmocka_unit_test(refuses_overlap),
	cmocka_unit_test(refuses_nonsense),
	cmocka_unit_test(splits_what_is_too_wide),
	cmocka_unit_test(widens_what_is_too_narrow),
	cmocka_unit_test(odd_sizes),
	cmocka_unit_test(agrees_with_a_model),
	cmocka_unit_test(moves),
	cmocka_unit_test(lists_by_address),
	cmocka_unit_test(changes_from_a_handler),
	cmocka_unit_test(dma_into_own_registers),
	cmocka_unit_test(dma_into_another_device),
	cmocka_unit_test(readers_and_a_writer),
	cmocka_unit_test(handlers_that_change_the_space),
	cmocka_unit_test(logs_once),
};

TEST_MAIN(tests)
