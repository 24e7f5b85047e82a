/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/err: setting, extending and cutting messages.
 */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "test/lib/test.h"

static void sets_and_returns(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(err_set(&e, -EINVAL, "disk '%s'", "a"), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.text, "disk 'a'");
}

static void grows_at_both_ends(void **state)
{
	struct err e = {0};

	(void)state;
	err_set_errno(&e, -ENOENT, "cannot open 'x'");
	assert_int_equal(err_prefix(&e, "-kernel: "), -ENOENT);
	err_append(&e, " (try y)");
	assert_string_equal(e.text, "-kernel: cannot open 'x': No such file or "
				    "directory (try y)");
}

static void cuts_what_is_too_long(void **state)
{
	char big[2 * ERR_TEXT_MAX];
	struct err e = {0};

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	err_set(&e, -EIO, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_prefix(&e, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_append(&e, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

static void takes_no_err(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(err_prefix(NULL, "x"), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(sets_and_returns),
	cmocka_unit_test(grows_at_both_ends),
	cmocka_unit_test(cuts_what_is_too_long),
	cmocka_unit_test(takes_no_err),
};

TEST_MAIN(tests)
