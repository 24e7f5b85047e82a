/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/iov: copies and trims over lists with empty entries in them.
 */
#include "bus/iov.h"

#include <string.h>

#include "test/lib/test.h"

static char text[] = "abcdefghij";

/* "abc", "", "defg", "hij" */
#define LIST                                                                   \
	{                                                                      \
		{text, 3}, {text, 0}, {text + 3, 4},                           \
		{                                                              \
			text + 7, 3                                            \
		}                                                              \
	}

static int setup(void **state)
{
	(void)state;
	memcpy(text, "abcdefghij", 10);
	return 0;
}

static void reads_at_offsets(void **state)
{
	struct iovec v[] = LIST;
	char buf[16] = "";

	(void)state;
	assert_int_equal(iov_bytes(v, 4), 10);
	assert_int_equal(iov_read(v, 4, 0, buf, sizeof(buf)), 10);
	assert_string_equal(buf, "abcdefghij");
	memset(buf, 0, sizeof(buf));
	assert_int_equal(iov_read(v, 4, 2, buf, 6), 6);
	assert_string_equal(buf, "cdefgh");
	assert_int_equal(iov_read(v, 4, 9, buf, 2), 1);
	assert_int_equal(iov_read(v, 4, 10, buf, 1), 0);
	assert_int_equal(iov_read(v, 4, 1000, buf, 1), 0);
	assert_int_equal(iov_read(v, 0, 0, buf, 1), 0);
	assert_int_equal(iov_read(v, 4, 3, buf, 0), 0);
}

static void writes_at_offsets(void **state)
{
	struct iovec v[] = LIST;

	(void)state;
	assert_int_equal(iov_write(v, 4, 2, "XYZ", 3), 3);
	assert_string_equal(text, "abXYZfghij");
	assert_int_equal(iov_write(v, 4, 8, "1234", 4), 2);
	assert_string_equal(text, "abXYZfgh12");
	assert_int_equal(iov_set(v, 4, 6, '-', 100), 4);
	assert_string_equal(text, "abXYZf----");
	assert_int_equal(iov_set(v, 4, 0, '+', 1), 1);
	assert_string_equal(text, "+bXYZf----");
}

static void skips(void **state)
{
	struct iovec v[] = LIST, *p = v;

	(void)state;
	assert_int_equal(iov_skip(&p, 4, 0), 4);
	assert_int_equal(iov_skip(&p, 4, 2), 4);
	assert_int_equal(p->iov_len, 1);
	/* What is empty goes with what is before it. */
	assert_int_equal(iov_skip(&p, 4, 1), 2);
	assert_ptr_equal(p->iov_base, text + 3);
	assert_int_equal(iov_skip(&p, 2, 5), 1);
	assert_ptr_equal(p->iov_base, text + 8);
	assert_int_equal(p->iov_len, 2);
	assert_int_equal(iov_skip(&p, 1, 100), 0);
	assert_int_equal(iov_skip(&p, 0, 1), 0);
}

static void cuts(void **state)
{
	struct iovec v[] = LIST, w[] = LIST;

	(void)state;
	assert_int_equal(iov_cut(v, 4, 100), 4);
	assert_int_equal(iov_cut(v, 4, 10), 4);
	assert_int_equal(iov_bytes(v, 4), 10);
	assert_int_equal(iov_cut(v, 4, 7), 3);
	assert_int_equal(iov_cut(v, 3, 5), 3);
	assert_int_equal(iov_bytes(v, 3), 5);
	assert_int_equal(iov_cut(w, 4, 2), 1);
	assert_int_equal(w[0].iov_len, 2);
	assert_int_equal(iov_cut(w, 1, 0), 0);
	assert_int_equal(iov_cut(w, 0, 5), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(reads_at_offsets, setup),
	cmocka_unit_test_setup(writes_at_offsets, setup),
	cmocka_unit_test_setup(skips, setup),
	cmocka_unit_test_setup(cuts, setup),
};

TEST_MAIN(tests)
