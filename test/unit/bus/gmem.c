/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/gmem: two touching ranges, one apart, and one at the top of the space.
 */
#include "bus/gmem.h"

#include <errno.h>
#include <string.h>

#include "base/types.h"
#include "test/lib/test.h"

#define PAGE 4096U
#define HIGH (4 * GIB)
#define TOP  (UINT64_MAX - PAGE + 1)

struct fixture {
	struct gmem gm;
	uint8_t low[2 * PAGE], mid[PAGE], high[PAGE];
};

/* Added out of order: [0, 2P), [2P, 3P), [4G, 4G + P). */
static int setup(void **state)
{
	static struct fixture f;
	struct err e = {0};

	memset(&f, 0, sizeof(f));
	assert_int_equal(gmem_add(&f.gm, HIGH, PAGE, f.high, &e), 0);
	assert_int_equal(gmem_add(&f.gm, 0, 2 * PAGE, f.low, &e), 0);
	assert_int_equal(gmem_add(&f.gm, 2 * PAGE, PAGE, f.mid, &e), 0);
	*state = &f;
	return 0;
}

static void keeps_ranges_sorted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->gm.count, 3);
	assert_ptr_equal(f->gm.ranges[0].host, f->low);
	assert_ptr_equal(f->gm.ranges[1].host, f->mid);
	assert_ptr_equal(f->gm.ranges[2].host, f->high);
}

static void refuses_bad_ranges(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	assert_int_equal(gmem_add(&f->gm, PAGE, PAGE, f->low, &e), -EINVAL);
	assert_string_equal(e.text, "RAM at 0x1000 overlaps RAM at 0x0");
	assert_int_equal(gmem_add(&f->gm, 0, 16 * PAGE, f->low, &e), -EINVAL);
	assert_int_equal(gmem_add(&f->gm, 8 * PAGE, 0, f->low, &e), -EINVAL);
	assert_int_equal(gmem_add(&f->gm, 8 * PAGE, 7, f->low, &e), -EINVAL);
	assert_int_equal(gmem_add(&f->gm, 8 * PAGE + 8, PAGE, f->low, &e),
			 -EINVAL);
	assert_int_equal(gmem_add(&f->gm, TOP, 2 * PAGE, f->low, &e), -EINVAL);
	assert_int_equal(f->gm.count, 3);
	for (unsigned i = 3; i < GMEM_RANGES_MAX; i++)
		assert_int_equal(
			gmem_add(&f->gm, HIGH + i * PAGE, PAGE, f->low, &e), 0);
	assert_int_equal(gmem_add(&f->gm, 16 * HIGH, PAGE, f->low, &e),
			 -ENOSPC);
}

static void gives_pointers_into_one_range(void **state)
{
	struct fixture *f = *state;

	assert_ptr_equal(gmem_ptr(&f->gm, 0, 2 * PAGE), f->low);
	assert_ptr_equal(gmem_ptr(&f->gm, 2 * PAGE - 1, 1),
			 f->low + 2 * PAGE - 1);
	assert_ptr_equal(gmem_ptr(&f->gm, HIGH + 16, 16), f->high + 16);
	assert_null(gmem_ptr(&f->gm, 2 * PAGE - 1, 2));
	assert_null(gmem_ptr(&f->gm, 3 * PAGE, 1));
	assert_null(gmem_ptr(&f->gm, HIGH + PAGE, 0));
	assert_null(gmem_ptr(&f->gm, HIGH + 1, UINT64_MAX));
	assert_null(gmem_ptr(&f->gm, UINT64_MAX, 2));
}

static void copies_across_touching_ranges(void **state)
{
	struct fixture *f = *state;
	const uint8_t text[8] = "abcdefg";
	uint8_t back[8] = {0};

	assert_int_equal(gmem_write(&f->gm, 2 * PAGE - 3, text, 8), 0);
	assert_memory_equal(f->low + 2 * PAGE - 3, "abc", 3);
	assert_memory_equal(f->mid, "defg", 5);
	assert_int_equal(gmem_read(&f->gm, 2 * PAGE - 3, back, 8), 0);
	assert_memory_equal(back, text, 8);
	assert_int_equal(gmem_set(&f->gm, 2 * PAGE - 1, 'x', 2), 0);
	assert_int_equal(f->low[2 * PAGE - 1], 'x');
	assert_int_equal(f->mid[0], 'x');
	assert_int_equal(f->mid[1], 'e');
}

static void refuses_what_is_not_ram(void **state)
{
	struct fixture *f = *state;
	uint8_t b[8] = {0};

	assert_int_equal(gmem_read(&f->gm, 3 * PAGE - 4, b, 8), -EFAULT);
	assert_int_equal(gmem_write(&f->gm, 3 * PAGE, b, 1), -EFAULT);
	assert_int_equal(gmem_set(&f->gm, HIGH - 1, 0, 1), -EFAULT);
	assert_int_equal(gmem_read(&f->gm, UINT64_MAX - 1, b, 8), -EFAULT);
	assert_int_equal(gmem_read(&f->gm, 3 * PAGE, b, 0), 0);
}

/* Past the last byte of the space lies nothing, and not address 0. */
static void does_not_wrap(void **state)
{
	struct fixture *f = *state;
	uint8_t b[8] = {0};
	struct iovec v[4];
	struct err e = {0};

	/* The last page but one: the end of a range never wraps. */
	assert_int_equal(gmem_add(&f->gm, TOP - PAGE, PAGE, f->high, &e), 0);
	assert_int_equal(gmem_add(&f->gm, TOP, PAGE, f->high, &e), -EINVAL);
	assert_int_equal(gmem_read(&f->gm, TOP - 4, b, 8), -EFAULT);
	assert_int_equal(gmem_span(&f->gm, TOP - 4, UINT64_MAX, v, 4), -EFAULT);
}

static void spans(void **state)
{
	struct fixture *f = *state;
	struct iovec v[2];

	assert_int_equal(gmem_span(&f->gm, PAGE, 2 * PAGE, v, 2), 2);
	assert_ptr_equal(v[0].iov_base, f->low + PAGE);
	assert_int_equal(v[0].iov_len, PAGE);
	assert_ptr_equal(v[1].iov_base, f->mid);
	assert_int_equal(v[1].iov_len, PAGE);
	assert_int_equal(gmem_span(&f->gm, PAGE, 2 * PAGE, v, 1), -E2BIG);
	assert_int_equal(gmem_span(&f->gm, PAGE, 2 * PAGE + 1, v, 2), -EFAULT);
	assert_int_equal(gmem_span(&f->gm, PAGE, 0, v, 0), 0);
	assert_int_equal(gmem_span(&f->gm, PAGE, 1, v, 0), -E2BIG);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(keeps_ranges_sorted, setup),
	cmocka_unit_test_setup(refuses_bad_ranges, setup),
	cmocka_unit_test_setup(gives_pointers_into_one_range, setup),
	cmocka_unit_test_setup(copies_across_touching_ranges, setup),
	cmocka_unit_test_setup(refuses_what_is_not_ram, setup),
	cmocka_unit_test_setup(does_not_wrap, setup),
	cmocka_unit_test_setup(spans, setup),
};

TEST_MAIN(tests)
