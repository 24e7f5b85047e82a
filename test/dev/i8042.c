/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/i8042: reset, the steps by which Linux probes for keyboard and
 * mouse (each answered at once), and the interrupt.
 */
#include "test/lib/platrig.h"
#include "test/lib/test.h"

#define DATA    0x60
#define COMMAND 0x64
#define OBF     0x01
#define IBF     0x02
#define AUX     0x20
#define TIMEOUT 0x40

/* A command with an answer, as a driver that polls asks it. */
static uint8_t ask(struct platrig *r, uint8_t command)
{
	platrig_out(r, COMMAND, command);
	assert_int_equal(platrig_in(r, COMMAND) & (OBF | IBF), OBF);
	return platrig_in(r, DATA);
}

static void tell(struct platrig *r, uint8_t command, uint8_t data)
{
	platrig_out(r, COMMAND, command);
	assert_int_equal(platrig_in(r, COMMAND) & IBF, 0);
	platrig_out(r, DATA, data);
}

static void resets_the_machine(void **state)
{
	struct platrig r;

	(void)state;
	platrig_start(&r, "i8042");
	assert_int_equal(platrig_in(&r, COMMAND) & (OBF | IBF), 0);
	platrig_out(&r, COMMAND, 0xff); /* pulses nothing */
	platrig_out(&r, COMMAND, 0xfd);
	assert_int_equal(r.f.requests, 0);
	platrig_out(&r, COMMAND, 0xfe);
	assert_int_equal(r.f.requests, 1);
	assert_int_equal(r.f.last_request, BOARD_RESET);
	tell(&r, 0xd1, 0xdf); /* A20 on, running */
	assert_int_equal(r.f.requests, 1);
	tell(&r, 0xd1, 0xde);
	assert_int_equal(r.f.requests, 2);
	platrig_fini(&r);
}

/* drivers/input/serio/i8042.c of Linux 6.1, in its order. */
static void linux_probe(void **state)
{
	struct platrig r;
	uint8_t ctr;

	(void)state;
	platrig_start(&r, "i8042");
	/* i8042_flush: nothing there. */
	assert_int_equal(platrig_in(&r, COMMAND) & OBF, 0);
	assert_int_equal(ask(&r, 0xaa), 0x55);
	ctr = ask(&r, 0x20);
	assert_int_equal(ask(&r, 0x20), ctr);
	assert_int_equal(ctr & 0x40, 0x40); /* translated, as BIOS sets it */
	ctr = (uint8_t)((ctr | 0x10) & ~1);
	tell(&r, 0x60, ctr);
	assert_int_equal(ask(&r, 0x20), ctr);
	/* i8042_check_aux: the loop is not the mouse's, the test fails. */
	tell(&r, 0xd3, 0x5a);
	assert_int_equal(platrig_in(&r, COMMAND) & (OBF | AUX), OBF);
	assert_int_equal(platrig_in(&r, DATA), 0x5a);
	assert_int_not_equal(ask(&r, 0xa9), 0);
	/* i8042_enable_kbd_port, and atkbd asks who is there: nobody. */
	ctr = (uint8_t)((ctr & ~0x10) | 1);
	tell(&r, 0x60, ctr);
	platrig_out(&r, DATA, 0xf2);
	assert_true(r.f.level[1]);
	assert_int_equal(platrig_in(&r, COMMAND) & (OBF | AUX | TIMEOUT),
			 OBF | TIMEOUT);
	assert_int_equal(platrig_in(&r, DATA), 0xfe);
	assert_false(r.f.level[1]);
	assert_int_equal(platrig_in(&r, COMMAND) & (OBF | TIMEOUT), 0);
	platrig_fini(&r);
}

static void answers_the_rest(void **state)
{
	struct platrig r;

	(void)state;
	platrig_start(&r, "i8042");
	assert_int_equal(ask(&r, 0xab), 0);
	assert_int_equal(ask(&r, 0xc0) & 0x80, 0x80);
	assert_int_equal(ask(&r, 0xd0) & 3, 3);
	platrig_out(&r, COMMAND, 0xdd);
	assert_int_equal(ask(&r, 0xd0) & 2, 0);
	platrig_out(&r, COMMAND, 0xdf);
	assert_int_equal(ask(&r, 0xd0) & 2, 2);
	platrig_out(&r, COMMAND, 0xad);
	assert_int_equal(ask(&r, 0x20) & 0x10, 0x10);
	platrig_out(&r, COMMAND, 0xae);
	platrig_out(&r, COMMAND, 0xa8);
	assert_int_equal(ask(&r, 0x20) & 0x30, 0);
	platrig_out(&r, COMMAND, 0xa7);
	assert_int_equal(ask(&r, 0x20) & 0x30, 0x20);
	tell(&r, 0x7f, 0x42);
	assert_int_equal(ask(&r, 0x3f), 0x42);
	/* A byte for the mouse comes back as not delivered. */
	tell(&r, 0xd4, 0xf4);
	assert_int_equal(platrig_in(&r, DATA), 0xfe);
	/* A command gives up the one that waits for its data. */
	platrig_out(&r, COMMAND, 0xd1);
	assert_int_equal(ask(&r, 0xaa), 0x55);
	platrig_out(&r, DATA, 0x00);
	assert_int_equal(r.f.requests, 0);
	/* What nobody knows is ignored. */
	assert_int_equal(platrig_in(&r, DATA), 0xfe);
	platrig_out(&r, COMMAND, 0x80);
	assert_int_equal(platrig_in(&r, COMMAND) & OBF, 0);
	platrig_fini(&r);
}

static void keeps_its_state(void **state)
{
	struct platrig r;

	(void)state;
	platrig_start(&r, "i8042,kbd-irq=5");
	tell(&r, 0x60, 0x45);
	tell(&r, 0xd2, 0x1c);
	assert_true(r.f.level[5]);
	assert_int_equal(platrig_in(&r, COMMAND) & OBF, OBF);
	platrig_out(&r, COMMAND, 0x61);
	platrig_migrate(&r, "i8042,kbd-irq=5");
	assert_true(r.f.level[5]);
	platrig_out(&r, DATA, 0x77);
	assert_int_equal(platrig_in(&r, DATA), 0x1c);
	assert_false(r.f.level[5]);
	assert_int_equal(ask(&r, 0x21), 0x77);
	device_reset(r.d);
	assert_int_equal(ask(&r, 0x21), 0);
	platrig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(resets_the_machine),
	cmocka_unit_test(linux_probe),
	cmocka_unit_test(answers_the_rest),
	cmocka_unit_test(keeps_its_state),
};

TEST_MAIN(tests)
