/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/rtc: reading and setting the clock in all its formats, updates,
 * alarms and periods on a clock that moves when told.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "test/lib/platrig.h"
#include "test/lib/test.h"

#define MS NS_PER_MS
#define S  NS_PER_S

#define IRQ 8

#define SET 0x80
#define PIE 0x40
#define AIE 0x20
#define UIE 0x10
#define DM  0x04
#define H24 0x02

static uint8_t get(struct platrig *r, uint8_t reg)
{
	platrig_out(r, 0x70, reg);
	return platrig_in(r, 0x71);
}

static void put(struct platrig *r, uint8_t reg, uint8_t value)
{
	platrig_out(r, 0x70, reg);
	platrig_out(r, 0x71, value);
}

static void pass(struct platrig *r, uint64_t ns)
{
	fakeboard_settle(&r->f);
	loop_advance(r->f.board.loop, ns);
	fakeboard_settle(&r->f);
}

/* Sets the clock as Linux does; the next second begins half a second later. */
static void set_clock(struct platrig *r, uint8_t mode, const uint8_t t[7])
{
	static const uint8_t regs[7] = {0x32, 9, 8, 7, 4, 2, 0};

	put(r, 0x0b, SET | mode);
	put(r, 0x0a, 0x70);
	for (unsigned i = 0; i < 7; i++)
		put(r, regs[i], t[i]);
	put(r, 0x0b, mode);
	put(r, 0x0a, 0x26);
}

static void check_clock(struct platrig *r, const uint8_t t[7])
{
	static const uint8_t regs[7] = {0x32, 9, 8, 7, 4, 2, 0};

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(get(r, regs[i]), t[i]);
}

/* The clock's second since 1970, read until no update came in between. */
static time_t clock_second(struct platrig *r)
{
	struct tm tm;
	uint8_t second;

	do {
		second = get(r, 0);
		tm = (struct tm){
			.tm_year = get(r, 0x32) * 100 + get(r, 9) - 1900,
			.tm_mon = get(r, 8) - 1,
			.tm_mday = get(r, 7),
			.tm_hour = get(r, 4),
			.tm_min = get(r, 2),
			.tm_sec = second,
		};
	} while (get(r, 0) != second);
	return timegm(&tm);
}

/* The host's; time(2) would be that of its last tick. */
static time_t host_second(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

static void starts_with_utc(void **state)
{
	struct platrig r;
	time_t before, now;

	(void)state;
	before = host_second();
	platrig_start(&r, "mc146818rtc");
	put(&r, 0x0b, DM | H24);
	now = clock_second(&r);
	assert_in_range(now, before, host_second());
	assert_int_equal(get(&r, 0x0d), 0x80);
	platrig_fini(&r);
}

static void formats(void **state)
{
	/* 2024-02-29 23:59:59, which rolls over into March. */
	static const struct {
		uint8_t mode, before[7], after[7];
	} rows[] = {
		{H24,
		 {0x20, 0x24, 0x02, 0x29, 0x23, 0x59, 0x59},
		 {0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00}},
		{H24 | DM,
		 {20, 24, 2, 29, 23, 59, 59},
		 {20, 24, 3, 1, 0, 0, 0}},
		{0,
		 {0x20, 0x24, 0x02, 0x29, 0x91, 0x59, 0x59},
		 {0x20, 0x24, 0x03, 0x01, 0x12, 0x00, 0x00}},
		{DM,
		 {20, 24, 2, 29, 11 | 0x80, 59, 59},
		 {20, 24, 3, 1, 12, 0, 0}},
		/* 1900 was no leap year, 2000 was; noon is 12 PM. */
		{H24,
		 {0x19, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59},
		 {0x19, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00}},
		{H24,
		 {0x20, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59},
		 {0x20, 0x00, 0x02, 0x29, 0x00, 0x00, 0x00}},
		{0,
		 {0x20, 0x99, 0x12, 0x31, 0x11, 0x59, 0x59},
		 {0x20, 0x99, 0x12, 0x31, 0x92, 0x00, 0x00}},
		{H24,
		 {0x99, 0x99, 0x12, 0x31, 0x11, 0x59, 0x59},
		 {0x99, 0x99, 0x12, 0x31, 0x12, 0x00, 0x00}},
	};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_clock(&r, rows[i].mode, rows[i].before);
		check_clock(&r, rows[i].before);
		pass(&r, 490 * MS);
		check_clock(&r, rows[i].before);
		pass(&r, 20 * MS);
		check_clock(&r, rows[i].after);
	}
	platrig_fini(&r);
}

static void weekdays(void **state)
{
	static const uint8_t saturday[7] = {20, 0, 1, 1, 0, 0, 0};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	set_clock(&r, DM | H24, saturday);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(get(&r, 6), 1 + (6 + i) % 7);
		pass(&r, 86400 * S);
	}
	platrig_fini(&r);
}

/* Every day of four hundred years agrees with the C library. */
static void calendar(void **state)
{
	struct tm tm = {.tm_year = -100, .tm_mday = 1};
	time_t t = timegm(&tm);
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	for (unsigned i = 0; i < 146097; i += 13, t += 13 * 86400) {
		uint8_t date[7] = {0};

		gmtime_r(&t, &tm);
		date[0] = (uint8_t)((tm.tm_year + 1900) / 100);
		date[1] = (uint8_t)((tm.tm_year + 1900) % 100);
		date[2] = (uint8_t)(tm.tm_mon + 1);
		date[3] = (uint8_t)tm.tm_mday;
		set_clock(&r, DM | H24, date);
		check_clock(&r, date);
		assert_int_equal(get(&r, 6), tm.tm_wday + 1);
	}
	platrig_fini(&r);
}

static void stands_while_set(void **state)
{
	static const uint8_t t[7] = {20, 24, 1, 1, 0, 0, 0};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	set_clock(&r, DM | H24, t);
	put(&r, 0x0b, SET | UIE | DM | H24);
	assert_int_equal(get(&r, 0x0b), SET | DM | H24); /* SET clears UIE */
	pass(&r, 10 * S);
	check_clock(&r, t);
	assert_int_equal(get(&r, 0x0c) & 0x30, 0);
	put(&r, 0, 30);
	put(&r, 0x0b, DM | H24);
	assert_int_equal(get(&r, 0), 30);
	/* The divider went on meanwhile: the second's part is kept. */
	pass(&r, 510 * MS);
	assert_int_equal(get(&r, 0), 31);
	/* In reset it stands, and then begins with half a second. */
	put(&r, 0x0a, 0x66);
	pass(&r, 10 * S);
	assert_int_equal(get(&r, 0), 31);
	put(&r, 0x0a, 0x26);
	pass(&r, 490 * MS);
	assert_int_equal(get(&r, 0), 31);
	pass(&r, 20 * MS);
	assert_int_equal(get(&r, 0), 32);
	platrig_fini(&r);
}

static void update_in_progress(void **state)
{
	static const uint8_t t[7] = {20, 24, 1, 1, 0, 0, 0};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	set_clock(&r, DM | H24, t);
	assert_int_equal(get(&r, 0x0a), 0x26);
	pass(&r, 499700000);
	assert_int_equal(get(&r, 0x0a), 0x26);
	pass(&r, 100000);
	assert_int_equal(get(&r, 0x0a), 0xa6);
	assert_int_equal(get(&r, 0), 0);
	put(&r, 0x0b, SET | DM | H24);
	assert_int_equal(get(&r, 0x0a), 0x26);
	put(&r, 0x0b, DM | H24);
	pass(&r, 200000);
	assert_int_equal(get(&r, 0x0a), 0x26);
	assert_int_equal(get(&r, 0), 1);
	/* A cannot have UIP written. */
	put(&r, 0x0a, 0xa6);
	assert_int_equal(get(&r, 0x0a), 0x26);
	platrig_fini(&r);
}

static void update_interrupt(void **state)
{
	static const uint8_t t[7] = {20, 24, 1, 1, 0, 0, 0};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	set_clock(&r, DM | H24, t);
	(void)get(&r, 0x0c);
	/* The flag comes without an interrupt. */
	pass(&r, 1 * S);
	assert_false(r.f.level[IRQ]);
	assert_int_equal(get(&r, 0x0c) & 0x90, 0x10);
	assert_int_equal(get(&r, 0x0c) & 0x90, 0);
	put(&r, 0x0b, UIE | DM | H24);
	for (unsigned i = 0; i < 5; i++) {
		pass(&r, 1 * S);
		assert_true(r.f.level[IRQ]);
		assert_int_equal(r.f.edges[IRQ], i + 1);
		assert_int_equal(get(&r, 0x0c) & 0x90, 0x90);
		assert_false(r.f.level[IRQ]);
	}
	/* Enabled with the flag up: at once. */
	put(&r, 0x0b, DM | H24);
	pass(&r, 2 * S);
	put(&r, 0x0b, UIE | DM | H24);
	assert_true(r.f.level[IRQ]);
	put(&r, 0x0b, DM | H24);
	assert_false(r.f.level[IRQ]);
	platrig_fini(&r);
}

static void alarm_interrupt(void **state)
{
	static const uint8_t t[7] = {20, 24, 1, 1, 10, 20, 30};
	static const struct {
		uint8_t hour, minute, second;
		unsigned after; /* seconds until it goes off */
	} rows[] = {
		{10, 20, 31, 1},
		{10, 20, 40, 10},
		{10, 21, 0, 30},
		{0xff, 0xff, 0xff, 1},
		{0xc0, 0xc0, 0, 30},
		{0xff, 19, 0, 59 * 60 - 30},
		{10, 20, 30, 86400},
		{10, 20, 29, 86399},
		{9, 0, 0, 22 * 3600 + 39 * 60 + 30},
	};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_clock(&r, DM | H24, t);
		put(&r, 5, rows[i].hour);
		put(&r, 3, rows[i].minute);
		put(&r, 1, rows[i].second);
		(void)get(&r, 0x0c);
		put(&r, 0x0b, AIE | DM | H24);
		/* It goes off as the second begins. */
		if (rows[i].after > 1)
			pass(&r, (rows[i].after - 1) * S);
		assert_false(r.f.level[IRQ]);
		pass(&r, 600 * MS);
		assert_true(r.f.level[IRQ]);
		assert_int_equal(get(&r, 0x0c) & 0xa0, 0xa0);
		put(&r, 0x0b, DM | H24);
	}
	/* No such hour: never. */
	put(&r, 5, 99);
	put(&r, 0x0b, AIE | DM | H24);
	pass(&r, 3 * 86400 * S);
	assert_false(r.f.level[IRQ]);
	/* 12-hour BCD: 9 PM. */
	put(&r, 0x0b, AIE);
	put(&r, 5, 0x89);
	put(&r, 3, 0);
	put(&r, 1, 0);
	(void)get(&r, 0x0c);
	pass(&r, 86400 * S);
	assert_true(r.f.level[IRQ]);
	platrig_fini(&r);
}

static void periodic_interrupt(void **state)
{
	static const struct {
		uint8_t rate;
		unsigned hz;
	} rows[] = {
		{15, 2}, {13, 8}, {6, 1024}, {3, 8192}, {2, 128}, {1, 256},
	};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned want = rows[i].hz < 64 ? rows[i].hz : 64, before;

		put(&r, 0x0a, (uint8_t)(0x20 | rows[i].rate));
		(void)get(&r, 0x0c);
		put(&r, 0x0b, PIE | H24);
		before = r.f.edges[IRQ];
		for (unsigned n = 0; n < want; n++) {
			pass(&r, S / rows[i].hz + 1);
			assert_true(r.f.level[IRQ]);
			assert_int_equal(get(&r, 0x0c) & 0xc0, 0xc0);
		}
		assert_int_equal(r.f.edges[IRQ] - before, want);
		put(&r, 0x0b, H24);
	}
	put(&r, 0x0a, 0x20); /* no rate */
	(void)get(&r, 0x0c);
	put(&r, 0x0b, PIE | H24);
	pass(&r, 5 * S);
	assert_false(r.f.level[IRQ]);
	platrig_fini(&r);
}

static void memory_and_battery(void **state)
{
	static const uint8_t t[7] = {20, 40, 1, 1, 0, 0, 0};
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	for (unsigned i = 0x0e; i < 0x80; i++)
		if (i != 0x32)
			put(&r, (uint8_t)i, (uint8_t)(i * 3));
	set_clock(&r, DM | H24, t);
	put(&r, 0x0b, UIE | DM | H24);
	device_reset(r.d);
	assert_int_equal(get(&r, 0x0b), H24);
	for (unsigned i = 0x0e; i < 0x80; i++)
		if (i != 0x32)
			assert_int_equal(get(&r, (uint8_t)i), (uint8_t)(i * 3));
	assert_int_equal(get(&r, 9), 0x40);
	/* The top bit of the index is not the clock's. */
	assert_int_equal(get(&r, 0x80 | 0x0e), 0x0e * 3);
	assert_int_equal(platrig_in(&r, 0x70), 0xff);
	platrig_migrate(&r, "mc146818rtc");
	assert_int_equal(get(&r, 9), 0x40);
	assert_int_equal(get(&r, 0x7f), (uint8_t)(0x7f * 3));
	platrig_fini(&r);
}

static void interrupt_survives_migration(void **state)
{
	struct platrig r;

	(void)state;
	platrig_start(&r, "mc146818rtc");
	put(&r, 0x0b, UIE | H24);
	pass(&r, 1 * S);
	assert_true(r.f.level[IRQ]);
	platrig_migrate(&r, "mc146818rtc");
	assert_true(r.f.level[IRQ]);
	assert_int_equal(get(&r, 0x0c) & 0x90, 0x90);
	pass(&r, 1 * S);
	assert_true(r.f.level[IRQ]);
	(void)get(&r, 0x0c);
	r.d->class->resume(r.d);
	pass(&r, 1 * S);
	assert_true(r.f.level[IRQ]);
	platrig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(starts_with_utc),
	cmocka_unit_test(formats),
	cmocka_unit_test(weekdays),
	cmocka_unit_test(calendar),
	cmocka_unit_test(stands_while_set),
	cmocka_unit_test(update_in_progress),
	cmocka_unit_test(update_interrupt),
	cmocka_unit_test(alarm_interrupt),
	cmocka_unit_test(periodic_interrupt),
	cmocka_unit_test(memory_and_battery),
	cmocka_unit_test(interrupt_survives_migration),
};

TEST_MAIN(tests)
