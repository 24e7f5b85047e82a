/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/pvpanic: what is offered, and what each event asks for.
 */
#include "test/lib/platrig.h"
#include "test/lib/test.h"

static void offers_and_reports(void **state)
{
	struct platrig r;

	(void)state;
	platrig_start(&r, "pvpanic");
	assert_int_equal(platrig_in(&r, 0x505), 3);
	platrig_out(&r, 0x505, 1);
	assert_int_equal(r.f.requests, 1);
	assert_int_equal(r.f.last_request, BOARD_PANIC);
	platrig_out(&r, 0x505, 2);
	assert_int_equal(r.f.requests, 2);
	assert_int_equal(r.f.last_request, BOARD_CRASHLOAD);
	/* Not offered: nothing happens. */
	platrig_out(&r, 0x505, 4);
	platrig_out(&r, 0x505, 0xf8);
	platrig_out(&r, 0x505, 0);
	assert_int_equal(r.f.requests, 2);
	platrig_fini(&r);
}

static void offers_what_it_is_told(void **state)
{
	struct platrig r;

	(void)state;
	platrig_start(&r, "pvpanic,ioport=0x600,events=6");
	assert_int_equal(platrig_in(&r, 0x600), 6);
	platrig_out(&r, 0x600, 1);
	assert_int_equal(r.f.requests, 0);
	platrig_out(&r, 0x600, 4);
	assert_int_equal(r.f.last_request, BOARD_SHUTDOWN);
	assert_int_equal(r.f.requests, 1);
	platrig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(offers_and_reports),
	cmocka_unit_test(offers_what_it_is_told),
};

TEST_MAIN(tests)
