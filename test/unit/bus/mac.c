/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/mac: default addresses are handed out once each.
 */
#include "bus/mac.h"

#include <errno.h>
#include <string.h>

#include "bus/device.h"
#include "test/lib/test.h"

static void gives_each_address_once(void **state)
{
	struct board b = {0};
	struct mac m[3] = {0};
	struct err e = {0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(mac_take(&b, &m[i], &e), 0);
		assert_true(m[i].is_set);
		assert_memory_equal(m[i].b, "\x52\x54\x00\x12\x34", 5);
		assert_int_equal(m[i].b[5], 0x56 + i);
	}
	mac_release(&b, &m[1]);
	memset(&m[0], 0, sizeof(m[0]));
	assert_int_equal(mac_take(&b, &m[0], &e), 0);
	assert_int_equal(m[0].b[5], 0x57);
}

static void respects_the_users_address(void **state)
{
	struct mac first = {{0x52, 0x54, 0, 0x12, 0x34, 0x56}, true};
	struct mac other = {{2, 0, 0, 0, 0, 1}, true};
	struct mac multi = {{3, 0, 0, 0, 0, 1}, true};
	struct mac m = {0};
	struct board b = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(mac_take(&b, &first, &e), 0);
	assert_int_equal(mac_take(&b, &other, &e), 0);
	assert_int_equal(mac_take(&b, &m, &e), 0);
	assert_int_equal(m.b[5], 0x57);
	assert_int_equal(other.b[5], 1);
	assert_int_equal(mac_take(&b, &multi, &e), -EINVAL);
	assert_non_null(strstr(e.text, "03:00:00:00:00:01"));
	mac_release(&b, &other);
	mac_release(&b, &first);
	assert_int_equal(b.macs, 2);
}

static void says_when_all_are_taken(void **state)
{
	struct board b = {0};
	struct err e = {0};
	struct mac m;

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		memset(&m, 0, sizeof(m));
		assert_int_equal(mac_take(&b, &m, &e), 0);
	}
	memset(&m, 0, sizeof(m));
	assert_int_equal(mac_take(&b, &m, &e), -ENOSPC);
	assert_false(m.is_set);
	assert_non_null(strstr(e.text, "mac="));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(gives_each_address_once),
	cmocka_unit_test(respects_the_users_address),
	cmocka_unit_test(says_when_all_are_taken),
};

TEST_MAIN(tests)
