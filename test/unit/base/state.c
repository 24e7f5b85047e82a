/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/state: round trip, versions, hostile streams, and the cover check.
 */
#include "base/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/test.h"

struct inner {
	uint16_t a;
	uint32_t b;
};

struct thing {
	void *host;
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;
	uint8_t u8;
	bool flag;
	uint8_t pad_follows;
	uint16_t many[3];
	char bytes[5];
	struct inner one;
	struct inner two[2];
	uint32_t sum;
};

static const struct state_field inner_state[] = {
	STATE_UINT(struct inner, a, 1),
	STATE_UINT(struct inner, b, 1),
	STATE_END,
};

#define THING_OLD                                                              \
	STATE_HOST(struct thing, host), STATE_UINT(struct thing, u8, 1),       \
		STATE_HOST(struct thing, pad_follows),                         \
		STATE_UINT(struct thing, flag, 1),                             \
		STATE_UINT(struct thing, u16, 1),                              \
		STATE_UINT(struct thing, u32, 1),                              \
		STATE_UINT(struct thing, u64, 1),                              \
		STATE_UINTS(struct thing, many, 1),                            \
		STATE_BYTES(struct thing, bytes, 1),                           \
		STATE_STRUCT(struct thing, one, inner_state, 1)

static const struct state_field old_state[] = {
	THING_OLD,
	STATE_END,
};

static const struct state_field thing_state[] = {
	THING_OLD,
	STATE_STRUCTS(struct thing, two, inner_state, 2),
	STATE_DERIVED(struct thing, sum),
	STATE_END,
};

static const struct thing full = {
	.u8 = 0x12,
	.flag = true,
	.u16 = 0x3456,
	.u32 = 0x789abcde,
	.u64 = 0xf0debc9a78563412,
	.many = {1, 2, 0xffff},
	.bytes = {'h', 'e', 'l', 'l', 'o'},
	.one = {7, 8},
	.two = {{9, 10}, {11, 12}},
};

static struct state_buf save_full(const struct state_field *table)
{
	struct state_buf b = {0};
	struct err e;

	assert_int_equal(state_save(table, &full, &b, &e), 0);
	return b;
}

static void round_trip(void **state)
{
	struct state_buf b = save_full(thing_state), again = {0};
	struct thing t = {.host = &b, .sum = 99};
	struct err e;

	(void)state;
	assert_int_equal(state_load(thing_state, &t, &b, &e), 0);
	assert_int_equal(b.pos, b.len);
	assert_ptr_equal(t.host, &b);
	assert_int_equal(t.sum, 99);
	assert_int_equal(t.u8, full.u8);
	assert_true(t.flag);
	assert_true(t.u64 == full.u64);
	assert_memory_equal(t.many, full.many, sizeof(t.many));
	assert_memory_equal(t.bytes, full.bytes, sizeof(t.bytes));
	assert_int_equal(t.two[1].b, 12);
	assert_int_equal(state_save(thing_state, &t, &again, &e), 0);
	assert_int_equal(again.len, b.len);
	assert_memory_equal(again.data, b.data, b.len);
	state_buf_fini(&again);
	state_buf_fini(&b);
}

static void numbers_are_little_endian(void **state)
{
	static const uint8_t want[] = {0xde, 0xbc, 0x9a, 0x78};
	static const struct state_field one[] = {
		STATE_UINT(struct thing, u32, 3),
		STATE_END,
	};
	struct state_buf b = save_full(one);

	(void)state;
	assert_int_equal(b.data[0], 3); /* version */
	assert_memory_equal(b.data + b.len - 4, want, 4);
	state_buf_fini(&b);
}

static void younger_field_keeps_its_value(void **state)
{
	struct state_buf b = save_full(old_state);
	struct thing t = {.two = {{1, 2}, {3, 4}}};
	struct err e;

	(void)state;
	assert_int_equal(state_load(thing_state, &t, &b, &e), 0);
	assert_int_equal(t.u8, full.u8);
	assert_int_equal(t.two[1].b, 4);
	state_buf_fini(&b);
}

/* The stream of a newer program has what this one cannot know. */
static void unknown_field_is_refused(void **state)
{
	struct state_buf b = save_full(thing_state);
	struct thing t = {0}, zero = {0};
	struct err e;

	(void)state;
	assert_int_equal(state_load(old_state, &t, &b, &e), -EINVAL);
	assert_non_null(strstr(e.text, "'two'"));
	assert_int_equal(b.pos, 0);
	assert_memory_equal(&t, &zero, sizeof(t));
	state_buf_fini(&b);
}

static void missing_field_is_refused(void **state)
{
	static const struct state_field less[] = {
		STATE_UINT(struct thing, u8, 1),
		STATE_END,
	};
	struct state_buf b = save_full(less);
	struct thing t = {0};
	struct err e;

	(void)state;
	assert_int_equal(state_load(old_state, &t, &b, &e), -EINVAL);
	assert_non_null(strstr(e.text, "missing"));
	assert_int_equal(t.u8, 0);
	state_buf_fini(&b);
}

static void repeated_field_is_refused(void **state)
{
	static const struct state_field one[] = {
		STATE_UINT(struct thing, u8, 1),
		STATE_END,
	};
	static const uint8_t twice[] = {
		1, 0, 0, 0, 2, 0, 0, 0,
		2, 'u', '8', STATE_T_UINT, 1, 0, 0, 0, 1, 0, 0, 0, 5,
		2, 'u', '8', STATE_T_UINT, 1, 0, 0, 0, 1, 0, 0, 0, 6,
	};
	struct state_buf b = {.len = sizeof(twice)};
	struct thing t = {0};
	struct err e;

	(void)state;
	b.data = malloc(sizeof(twice));
	assert_non_null(b.data);
	memcpy(b.data, twice, sizeof(twice));
	assert_int_equal(state_load(one, &t, &b, &e), -EINVAL);
	assert_non_null(strstr(e.text, "twice"));
	b.data[4] = 1; /* one field: the rest is somebody else's */
	assert_int_equal(state_load(one, &t, &b, &e), 0);
	assert_int_equal(t.u8, 5);
	assert_int_equal(b.pos, 21);
	state_buf_fini(&b);
}

/* Every prefix fails; every single changed byte fails or loads, in bounds. */
static void hostile_streams(void **state)
{
	struct state_buf b = save_full(thing_state);
	size_t len = b.len, refused = 0;
	struct err e;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		struct thing t = {0}, zero = {0};

		b.len = i;
		assert_int_equal(state_load(thing_state, &t, &b, &e), -EINVAL);
		assert_memory_equal(&t, &zero, sizeof(t));
	}
	b.len = len;
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct thing t = {.host = &b}, before = t;

			b.pos = 0;
			b.data[i] ^= (uint8_t)(1U << bit);
			if (state_load(thing_state, &t, &b, &e)) {
				assert_memory_equal(&t, &before, sizeof(t));
				refused++;
			}
			assert_ptr_equal(t.host, &b);
			b.data[i] ^= (uint8_t)(1U << bit);
		}
	}
	assert_true(refused > len); /* heads are most of it */
	state_buf_fini(&b);
}

static void bool_is_zero_or_one(void **state)
{
	static const struct state_field one[] = {
		STATE_UINT(struct thing, flag, 1),
		STATE_END,
	};
	struct state_buf b = save_full(one);
	struct thing t = {0};
	struct err e;

	(void)state;
	b.data[b.len - 1] = 2;
	assert_int_equal(state_load(one, &t, &b, &e), -EINVAL);
	assert_non_null(strstr(e.text, "'flag'"));
	state_buf_fini(&b);
}

static void cover(void **state)
{
	struct state_field rows[16];
	struct err e;
	size_t n = sizeof(thing_state) / sizeof(thing_state[0]);

	(void)state;
	assert_int_equal(
		state_check_cover(thing_state, 0, sizeof(struct thing), &e), 0);
	assert_true(n <= 16);
	/* Without any one of its rows the table is found out: padding is no
	 * larger than the next field asks for. */
	for (size_t skip = 0; skip + 1 < n; skip++) {
		memcpy(rows, thing_state, skip * sizeof(rows[0]));
		memcpy(rows + skip, thing_state + skip + 1,
		       (n - skip - 1) * sizeof(rows[0]));
		assert_int_equal(state_check_cover(rows, 0,
						   sizeof(struct thing), &e),
				 -EINVAL);
	}
	/* What lies before `from` is another's. */
	assert_int_equal(state_check_cover(thing_state + 1,
					   offsetof(struct thing, u64),
					   sizeof(struct thing), &e),
			 0);
}

static void cover_looks_into_structures(void **state)
{
	static const struct state_field half[] = {
		STATE_UINT(struct inner, a, 1),
		STATE_END,
	};
	static const struct state_field outer[] = {
		STATE_STRUCT(struct thing, one, half, 1),
		STATE_END,
	};
	struct err e;

	(void)state;
	assert_int_equal(state_check_cover(outer, offsetof(struct thing, one),
					   offsetof(struct thing, two), &e),
			 -EINVAL);
	assert_non_null(strstr(e.text, "one: byte 2"));
}

static void cover_refuses_a_name_twice(void **state)
{
	static const struct state_field rows[] = {
		STATE_UINT(struct inner, a, 1),
		STATE_UINT(struct inner, b, 1),
		STATE_UINT(struct inner, a, 1),
		STATE_END,
	};
	struct err e;

	(void)state;
	assert_int_equal(state_check_cover(rows, 0, sizeof(struct inner), &e),
			 -EINVAL);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(round_trip),
	cmocka_unit_test(numbers_are_little_endian),
	cmocka_unit_test(younger_field_keeps_its_value),
	cmocka_unit_test(unknown_field_is_refused),
	cmocka_unit_test(missing_field_is_refused),
	cmocka_unit_test(repeated_field_is_refused),
	cmocka_unit_test(hostile_streams),
	cmocka_unit_test(bool_is_zero_or_one),
	cmocka_unit_test(cover),
	cmocka_unit_test(cover_looks_into_structures),
	cmocka_unit_test(cover_refuses_a_name_twice),
};

TEST_MAIN(tests)
