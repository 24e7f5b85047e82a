/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/port61: no NMI came, nobody waits for the timer, time passes.
 */
#include "test/lib/platrig.h"
#include "test/lib/test.h"

static void reads(void **state)
{
	struct platrig r;
	uint8_t a, b;

	(void)state;
	platrig_start(&r, "port61");
	a = platrig_in(&r, 0x61);
	b = platrig_in(&r, 0x61);
	assert_int_equal(a & 0xc0, 0);
	assert_int_equal(a & 0x20, 0x20);
	assert_int_equal((a ^ b), 0x10);
	platrig_out(&r, 0x61, 0xff);
	assert_int_equal(platrig_in(&r, 0x61) & 0xef, 0x2f);
	platrig_migrate(&r, "port61");
	assert_int_equal(platrig_in(&r, 0x61) & 0xef, 0x2f);
	device_reset(r.d);
	assert_int_equal(platrig_in(&r, 0x61) & 0xef, 0x20);
	platrig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(reads),
};

TEST_MAIN(tests)
