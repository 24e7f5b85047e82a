/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/kaslr: both forms of the table are applied as the kernel would, a
 * hostile one changes nothing outside the image, and places keep the limits.
 */
#include "vmm/kaslr.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "test/lib/test.h"

#define LINK  0x1000000ULL
#define LEN 1024U
#define DELTA 0x12400000ULL

struct rig {
	uint8_t before[64], image[LEN], after[64];
	uint8_t table[1024];
	size_t len;
	struct err e;
};

static void rig_init(struct rig *r)
{
	memset(r, 0x5a, sizeof(*r));
	r->len = 0;
	for (unsigned i = 0; i < LEN; i++)
		r->image[i] = (uint8_t)(i * 7);
}

static void add(struct rig *r, uint32_t word)
{
	store_le32(r->table + r->len, word);
	r->len += 4;
}

/* A place, as the low half of its virtual address. */
static void add_place(struct rig *r, uint32_t off)
{
	add(r, (uint32_t)(0x80000000U + LINK + off));
}

static int apply(struct rig *r)
{
	struct kaslr_image image = {r->image, LEN, LINK};
	int rc = kaslr_relocate(&image, r->table, r->len, DELTA, &r->e);

	for (unsigned i = 0; i < sizeof(r->before); i++) {
		assert_int_equal(r->before[i], 0x5a);
		assert_int_equal(r->after[i], 0x5a);
	}
	return rc;
}

static void applies_three_lists(void **state)
{
	uint8_t was[LEN];
	struct rig r;

	(void)state;
	rig_init(&r);
	memcpy(was, r.image, LEN);
	add(&r, 0);
	add_place(&r, 0);
	add_place(&r, LEN - 8);
	add(&r, 0);
	add_place(&r, 64);
	add(&r, 0);
	add_place(&r, 129); /* not aligned */
	add_place(&r, LEN - 12);
	assert_int_equal(apply(&r), 0);
	assert_true(load_le64(r.image) == load_le64(was) + DELTA);
	assert_true(load_le64(r.image + LEN - 8) ==
		    load_le64(was + LEN - 8) + DELTA);
	assert_int_equal(load_le32(r.image + 64),
			 (uint32_t)(load_le32(was + 64) - DELTA));
	assert_int_equal(load_le32(r.image + 129),
			 (uint32_t)(load_le32(was + 129) + DELTA));
	assert_int_equal(load_le32(r.image + LEN - 12),
			 (uint32_t)(load_le32(was + LEN - 12) + DELTA));
	memcpy(r.image, was, 8);
	memcpy(r.image + 64, was + 64, 4);
	memcpy(r.image + 129, was + 129, 4);
	memcpy(r.image + LEN - 12, was + LEN - 12, 12);
	assert_memory_equal(r.image, was, LEN);
}

static void applies_two_lists(void **state)
{
	uint8_t was[LEN];
	struct rig r;

	(void)state;
	rig_init(&r);
	memcpy(was, r.image, LEN);
	add(&r, 0);
	add(&r, 0);
	add_place(&r, 100);
	add_place(&r, 200);
	assert_int_equal(apply(&r), 0);
	assert_int_equal(load_le32(r.image + 100),
			 (uint32_t)(load_le32(was + 100) + DELTA));
	assert_int_equal(load_le32(r.image + 200),
			 (uint32_t)(load_le32(was + 200) + DELTA));
}

static void refuses_places_outside(void **state)
{
	/* For 32-bit and for 64-bit places. */
	static const uint32_t bad[][2] = {
		{LEN - 3, LEN - 7},       {LEN, LEN},
		{0xffffffff, 0xffffffff}, {LEN + 4, LEN + 4},
		{0x40000000, 0x40000000},
	};

	(void)state;
	for (unsigned list = 0; list < 3; list++)
		for (unsigned i = 0; i < 5; i++) {
			struct rig r;

			rig_init(&r);
			for (unsigned l = 0; l < 3; l++) {
				add(&r, 0);
				if (l == list)
					add_place(&r, bad[i][!l]);
			}
			assert_int_equal(apply(&r), -EINVAL);
		}
}

static void refuses_other_forms(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(apply(&r), -EINVAL); /* empty */
	add_place(&r, 0);
	assert_int_equal(apply(&r), -EINVAL); /* no zero first */
	rig_init(&r);
	add(&r, 0);
	add_place(&r, 0);
	assert_int_equal(apply(&r), -EINVAL); /* one list */
	rig_init(&r);
	for (unsigned i = 0; i < 4; i++)
		add(&r, 0);
	assert_int_equal(apply(&r), -EINVAL); /* four */
	rig_init(&r);
	add(&r, 0);
	add(&r, 0);
	r.len += 2;
	assert_int_equal(apply(&r), -EINVAL); /* not of words */
}

/* Any words at all: apply() looks at the guards. */
static void survives_any_table(void **state)
{
	uint64_t rnd = 3;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		struct rig r;
		unsigned n;

		rig_init(&r);
		rnd = rnd * 6364136223846793005ULL + 1;
		n = (unsigned)(rnd >> 40) % 64;
		while (n--) {
			rnd = rnd * 6364136223846793005ULL + 1;
			if ((rnd >> 60) < 4)
				add(&r, 0);
			else
				add_place(&r,
					  (uint32_t)(rnd >> 33) % (LEN + 16));
		}
		(void)apply(&r);
	}
}

static void places_are_in_the_window(void **state)
{
	const uint64_t window = 1ULL << 30, align = 2U << 20;

	(void)state;
	assert_int_equal(kaslr_virtual_slots(0, window, align), 1);
	assert_int_equal(kaslr_virtual_slots(0, window + 1, align), 0);
	assert_int_equal(kaslr_virtual_slots(align, window - align, align), 1);
	assert_int_equal(kaslr_virtual_slots(LINK, 48U << 20, align),
			 (1024 - 16 - 48) / 2 + 1);
	assert_int_equal(kaslr_virtual_slots(UINT64_MAX, 2, align), 0);
}

static void a_seed_repeats(void **state)
{
	struct kaslr_rng a, b, c;
	struct err e = {0};
	bool differs = false;

	(void)state;
	assert_int_equal(kaslr_rng_init(&a, 42, &e), 0);
	assert_int_equal(kaslr_rng_init(&b, 42, &e), 0);
	assert_int_equal(kaslr_rng_init(&c, 0, &e), 0);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t x = kaslr_rng_below(&a, 1000);

		assert_in_range(x, 0, 999);
		assert_int_equal(x, kaslr_rng_below(&b, 1000));
		differs |= x != kaslr_rng_below(&c, 1000);
	}
	assert_true(differs);
}

static void reads_the_command_line(void **state)
{
	(void)state;
	assert_true(kaslr_is_refused("nokaslr"));
	assert_true(kaslr_is_refused("a=b  nokaslr quiet"));
	assert_false(kaslr_is_refused("nokaslrs"));
	assert_false(kaslr_is_refused("xnokaslr nokaslr=1"));
	assert_false(kaslr_is_refused(""));
	assert_true(kaslr_is_pinned("quiet mem=64M"));
	assert_true(kaslr_is_pinned("memmap=1M$2M"));
	assert_false(kaslr_is_pinned("xmem=1 memory=2"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(applies_three_lists),
	cmocka_unit_test(applies_two_lists),
	cmocka_unit_test(refuses_places_outside),
	cmocka_unit_test(refuses_other_forms),
	cmocka_unit_test(survives_any_table),
	cmocka_unit_test(places_are_in_the_window),
	cmocka_unit_test(a_seed_repeats),
	cmocka_unit_test(reads_the_command_line),
};

TEST_MAIN(tests)
