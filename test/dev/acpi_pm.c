/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/acpi_pm: as ACPICA powers off and resets.
 */
#include "test/lib/platrig.h"
#include "test/lib/test.h"

#define SLEEP_CONTROL 0x600
#define SLEEP_STATUS  0x601
#define RESET         0x602

static void powers_off(void **state)
{
	struct platrig r;

	(void)state;
	platrig_start(&r, "acpi-pm");
	platrig_out(&r, SLEEP_STATUS, 0x80); /* clears WAK_STS first */
	platrig_out(&r, SLEEP_CONTROL, 5 << 2);
	assert_int_equal(r.f.requests, 0);
	platrig_out(&r, SLEEP_CONTROL, 5 << 2 | 0x20);
	assert_int_equal(r.f.requests, 1);
	assert_int_equal(r.f.last_request, BOARD_SHUTDOWN);
	/* It does not wake up. */
	assert_int_equal(platrig_in(&r, SLEEP_STATUS), 0);
	/* SLP_EN is write-only. */
	assert_int_equal(platrig_in(&r, SLEEP_CONTROL), 5 << 2);
	/* No other sleep state is declared. */
	platrig_out(&r, SLEEP_CONTROL, 1 << 2 | 0x20);
	assert_int_equal(r.f.requests, 1);
	device_reset(r.d);
	assert_int_equal(platrig_in(&r, SLEEP_CONTROL), 0);
	platrig_fini(&r);
}

static void resets(void **state)
{
	struct plat_resources res;
	struct platrig r;

	(void)state;
	platrig_start(&r, "acpi-pm,iobase=0x700");
	assert_true(plat_resources_of(r.d, &res));
	assert_int_equal(res.ports[0].base, 0x700);
	assert_int_equal(res.ports[0].len, ACPI_PM_LEN);
	platrig_out(&r, 0x702, 0);
	assert_int_equal(r.f.requests, 0);
	platrig_out(&r, 0x702, ACPI_PM_RESET_VALUE);
	assert_int_equal(r.f.requests, 1);
	assert_int_equal(r.f.last_request, BOARD_RESET);
	assert_int_equal(platrig_in(&r, RESET), 0xff);
	platrig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(powers_off),
	cmocka_unit_test(resets),
};

TEST_MAIN(tests)
