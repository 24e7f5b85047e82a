/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/debug_exit: exit statuses, places, and places that are taken.
 */
#include <string.h>

#include "test/lib/platrig.h"
#include "test/lib/test.h"

static void asks_for_the_status(void **state)
{
	static const struct {
		unsigned size, value, status;
	} rows[] = {
		{1, 0, 1},        {1, 0x10, 0x21},       {4, 0x31, 0x63},
		{2, 0x1ff, 0xff}, {4, 0xffffffff, 0xff},
	};
	struct platrig r;

	(void)state;
	platrig_start(&r, "isa-debug-exit,iobase=0xf4,iosize=0x4");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		fakeboard_out(&r.f, 0xf4, rows[i].size, rows[i].value);
		assert_int_equal(r.f.requests, i + 1);
		assert_int_equal(r.f.last_request, BOARD_EXIT);
		assert_int_equal(r.f.last_arg, rows[i].status);
	}
	assert_int_equal(fakeboard_in(&r.f, 0xf4, 4), 0);
	fakeboard_out(&r.f, 0xf8, 1, 0);
	assert_int_equal(r.f.requests, ARRAY_SIZE(rows));
	platrig_fini(&r);
}

static void default_place(void **state)
{
	struct plat_resources res;
	struct platrig r;

	(void)state;
	platrig_start(&r, "isa-debug-exit");
	assert_int_equal(platrig_in(&r, 0x502), 0);
	assert_int_equal(platrig_in(&r, 0x503), 0xff);
	assert_true(plat_resources_of(r.d, &res));
	assert_int_equal(res.ports[0].base, 0x501);
	assert_int_equal(res.ports[0].len, 2);
	assert_int_equal(res.irq[0], -1);
	platrig_fini(&r);
}

static void refuses(void **state)
{
	struct err e = {0};
	struct platrig r;

	(void)state;
	platrig_start(&r, "isa-debug-exit,iobase=0xf4,iosize=4");
	assert_null(platrig_device(&r, "isa-debug-exit,iobase=0xf7", &e));
	assert_non_null(strstr(e.text, "isa-debug-exit"));
	assert_null(platrig_device(&r, "isa-debug-exit,iobase=0xffff,iosize=2",
				   &e));
	assert_null(platrig_device(&r, "isa-debug-exit,iosize=0", &e));
	assert_null(platrig_device(&r, "isa-debug-exit,iobase=0x10000", &e));
	platrig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(asks_for_the_status),
	cmocka_unit_test(default_place),
	cmocka_unit_test(refuses),
};

TEST_MAIN(tests)
