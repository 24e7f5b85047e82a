/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mc146818rtc: the real-time clock of a PC with its battery-backed memory. It
 * starts with the host's UTC.
 *
 * Theory of operation. Time is counted in ticks of the chip's 32.768 kHz
 * crystal since 1970, and kept as a distance from the host's UTC. Nothing runs
 * while nobody looks: each access, and a timer where an interrupt is enabled,
 * works out which updates, alarms and periods have passed since the last. The
 * registers of time are worked out when they are read; while the clock stands
 * (SET, or the divider in reset) they are the ones in memory, and from them it
 * is set when it goes on.
 *
 * Spec: Motorola MC146818A datasheet; Intel ICH9 datasheet, 13.6 (century at
 *       0x32 as the FADT says, divider reset).
 * Threads: region handlers under d->lock on any thread; timer and task on the
 *       board's loop.
 * State: distance from UTC, memory, index, registers A to C.
 * Syscalls: main: clock_gettime (where it is no vDSO call)
 */
#include "bus/plat.h"

#include <errno.h>
#include <time.h>

#include "base/loop.h"
#include "base/num.h"
#include "bus/irq.h"

#define RTC_PORT 0x70
#define RTC_IRQ  8

#define RTC_HZ        32768 /* ticks a second */
#define DAY_S         86400
/* The distance from UTC that a snapshot may have: a million years. */
#define RTC_DELTA_MAX ((int64_t)1000000 * 366 * DAY_S * RTC_HZ)

enum {
	RTC_SECONDS,
	RTC_SECONDS_ALARM,
	RTC_MINUTES,
	RTC_MINUTES_ALARM,
	RTC_HOURS,
	RTC_HOURS_ALARM,
	RTC_WEEKDAY, /* 1: Sunday */
	RTC_DAY,
	RTC_MONTH,
	RTC_YEAR,
	RTC_A,
	RTC_B,
	RTC_C,
	RTC_D,
	RTC_CENTURY = CMOS_CENTURY,
	RTC_BYTES = 128,
};

#define A_UIP      BIT(7) /* an update comes within 244 us */
#define A_DIVIDER  MASK(6, 4)
#define A_RATE     MASK(3, 0)
#define A_DEFAULT  0x26 /* 32.768 kHz, 1024 Hz periodic */
#define DIVIDER_ON 2U   /* above: held in reset */

#define B_SET     BIT(7)
#define B_PIE     BIT(6)
#define B_AIE     BIT(5)
#define B_UIE     BIT(4)
#define B_BINARY  BIT(2)
#define B_24H     BIT(1)
#define B_DEFAULT B_24H

#define C_IRQF  BIT(7)
#define C_PF    BIT(6)
#define C_AF    BIT(5)
#define C_UF    BIT(4)
#define C_FLAGS (C_PF | C_AF | C_UF)

#define D_VRT BIT(7) /* the battery is good */

#define HOUR_PM   BIT(7)
#define ANY_ALARM 0xc0 /* both bits: that part does not matter */
#define UIP_TICKS 8    /* 244 us */

#define NEVER INT64_MAX
#define STALE INT64_MIN /* whatever the timer waits for is wrong now */

struct rtc {
	struct device dev;
	struct region region;
	struct irq_line irq;
	struct loop_timer timer;
	struct loop_task rearm;
	int64_t utc_ns;   /* host's UTC when loop_now() was 0 */
	int64_t deadline; /* wanted of the timer: ticks, NEVER, STALE */
	int64_t seen;     /* ticks up to which C is worked out */
	int64_t delta;    /* ticks from the host's UTC to the guest's time */
	uint8_t memory[RTC_BYTES];
	uint8_t index;
	uint8_t a, b, c;
};

struct rtc_date {
	int64_t days;    /* since 1970 */
	unsigned second; /* of the day */
};

static int64_t floor_div(int64_t n, int64_t by)
{
	return n / by - (n % by < 0);
}

/* Days since 1970 of a date in the Gregorian calendar; month from 1. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y, m, era_year;

	/* March begins the year, so that leap days end one. */
	y = year + floor_div(month - 3, 12);
	m = (month - 3) - 12 * floor_div(month - 3, 12);
	era_year = y - 400 * floor_div(y, 400);
	return 146097 * floor_div(y, 400) + 365 * era_year + era_year / 4 -
	       era_year / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* The date of a day since 1970. */
static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468;
	int64_t era = floor_div(z, 146097);
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;

	*day = (unsigned)(doy - (153 * m + 2) / 5 + 1);
	*month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

static int64_t ns_to_ticks(int64_t ns)
{
	int64_t s = floor_div(ns, (int64_t)NS_PER_S);

	return s * RTC_HZ +
	       (ns - s * (int64_t)NS_PER_S) * RTC_HZ / (int64_t)NS_PER_S;
}

/* The first nanosecond that belongs to the tick. */
static int64_t ticks_to_ns(int64_t ticks)
{
	int64_t s = floor_div(ticks, RTC_HZ);
	int64_t part = (ticks - s * RTC_HZ) * (int64_t)NS_PER_S;

	return s * (int64_t)NS_PER_S + (part + RTC_HZ - 1) / RTC_HZ;
}

static int64_t rtc_now(const struct rtc *r)
{
	int64_t ns = r->utc_ns + (int64_t)loop_now(r->dev.board->loop);

	return ns_to_ticks(ns) + r->delta;
}

static bool rtc_divider_runs(const struct rtc *r)
{
	return FIELD_GET(A_DIVIDER, r->a) <= DIVIDER_ON;
}

static bool rtc_runs(const struct rtc *r)
{
	return rtc_divider_runs(r) && !(r->b & B_SET);
}

static uint8_t rtc_encode(const struct rtc *r, unsigned n)
{
	return (uint8_t)(r->b & B_BINARY ? n : n / 10 << 4 | n % 10);
}

static unsigned rtc_decode(const struct rtc *r, uint8_t v)
{
	return r->b & B_BINARY ? v : (v >> 4) * 10U + (v & 0xf);
}

static uint8_t rtc_encode_hour(const struct rtc *r, unsigned hour)
{
	unsigned pm = hour >= 12 ? HOUR_PM : 0;

	if (r->b & B_24H)
		return rtc_encode(r, hour);
	return (uint8_t)(rtc_encode(r, hour % 12 ? hour % 12 : 12) | pm);
}

static unsigned rtc_decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->b & B_24H)
		return rtc_decode(r, v);
	return rtc_decode(r, v & (uint8_t)~HOUR_PM) % 12 +
	       (v & HOUR_PM ? 12 : 0);
}

/* Writes the time into the registers. */
static void rtc_latch(struct rtc *r, int64_t ticks)
{
	int64_t s = floor_div(ticks, RTC_HZ), days = floor_div(s, DAY_S), year;
	unsigned second = (unsigned)(s - days * DAY_S), month, day, weekday;

	date_of(days, &year, &month, &day);
	weekday = (unsigned)((days + 4) - 7 * floor_div(days + 4, 7));
	r->memory[RTC_SECONDS] = rtc_encode(r, second % 60);
	r->memory[RTC_MINUTES] = rtc_encode(r, second / 60 % 60);
	r->memory[RTC_HOURS] = rtc_encode_hour(r, second / 3600);
	r->memory[RTC_WEEKDAY] = rtc_encode(r, weekday + 1);
	r->memory[RTC_DAY] = rtc_encode(r, day);
	r->memory[RTC_MONTH] = rtc_encode(r, month);
	r->memory[RTC_YEAR] = rtc_encode(r, (unsigned)(year % 100));
	r->memory[RTC_CENTURY] = rtc_encode(r, (unsigned)(year / 100 % 100));
}

/* The second since 1970 that the registers say; any bytes give one. */
static int64_t rtc_latched(const struct rtc *r)
{
	unsigned year = rtc_decode(r, r->memory[RTC_CENTURY]) * 100 +
			rtc_decode(r, r->memory[RTC_YEAR]);
	int64_t days = days_of(year, rtc_decode(r, r->memory[RTC_MONTH]),
			       rtc_decode(r, r->memory[RTC_DAY]));

	return days * DAY_S +
	       rtc_decode_hour(r, r->memory[RTC_HOURS]) * 3600LL +
	       rtc_decode(r, r->memory[RTC_MINUTES]) * 60LL +
	       rtc_decode(r, r->memory[RTC_SECONDS]);
}

/* Sets the clock to the registers, `part` ticks into that second. */
static void rtc_set(struct rtc *r, int64_t part)
{
	int64_t now = rtc_now(r), want = rtc_latched(r) * RTC_HZ + part;

	r->delta += want - now;
	r->seen = want;
	r->deadline = STALE;
}

static bool rtc_alarm_matches(uint8_t reg, unsigned want, unsigned now)
{
	return (reg & ANY_ALARM) == ANY_ALARM || want == now;
}

/* The first second after `from` at which the alarm goes off, or NEVER. */
static int64_t rtc_next_alarm(const struct rtc *r, int64_t from)
{
	const uint8_t *m = r->memory;
	unsigned hour = rtc_decode_hour(r, m[RTC_HOURS_ALARM]);
	unsigned minute = rtc_decode(r, m[RTC_MINUTES_ALARM]);
	unsigned second = rtc_decode(r, m[RTC_SECONDS_ALARM]);
	int64_t t = from + 1;

	while (t <= from + DAY_S) {
		unsigned s = (unsigned)(t - DAY_S * floor_div(t, DAY_S));

		if (!rtc_alarm_matches(m[RTC_HOURS_ALARM], hour, s / 3600))
			t += 3600 - s % 3600;
		else if (!rtc_alarm_matches(m[RTC_MINUTES_ALARM], minute,
					    s / 60 % 60))
			t += 60 - s % 60;
		else if (!rtc_alarm_matches(m[RTC_SECONDS_ALARM], second,
					    s % 60))
			t++;
		else
			return t;
	}
	return NEVER;
}

/* Ticks of a period; 0: no periodic interrupt. */
static int64_t rtc_period(const struct rtc *r)
{
	unsigned rate = (unsigned)FIELD_GET(A_RATE, r->a);

	if (!rate)
		return 0;
	return 1LL << (rate <= 2 ? rate + 6 : rate - 1);
}

/* Works out what has happened since the last look. */
static void rtc_catch_up(struct rtc *r)
{
	int64_t now = rtc_now(r), period = rtc_period(r);
	int64_t second = floor_div(now, RTC_HZ);
	int64_t before = floor_div(r->seen, RTC_HZ);

	if (rtc_divider_runs(r) && period &&
	    floor_div(now, period) > floor_div(r->seen, period))
		r->c |= C_PF;
	if (rtc_runs(r) && second > before) {
		r->c |= C_UF;
		if (rtc_next_alarm(r, before) <= second)
			r->c |= C_AF;
	}
	r->seen = now;
}

/* The tick at which the line will have to go up, or NEVER. */
static int64_t rtc_next_event(const struct rtc *r)
{
	unsigned wanted = r->b & ~r->c & C_FLAGS;
	int64_t second = floor_div(r->seen, RTC_HZ), period = rtc_period(r);
	int64_t next = NEVER, alarm;

	if (wanted & C_PF && period && rtc_divider_runs(r))
		next = (floor_div(r->seen, period) + 1) * period;
	if (!rtc_runs(r))
		return next;
	if (wanted & C_UF)
		next = MIN(next, (second + 1) * RTC_HZ);
	if (wanted & C_AF) {
		alarm = rtc_next_alarm(r, second);
		if (alarm != NEVER)
			next = MIN(next, alarm * RTC_HZ);
	}
	return next;
}

/* After any change: the line, and what the timer should wait for. */
static void rtc_update(struct rtc *r)
{
	int64_t next;

	irq_line_set(&r->irq, r->b & r->c & C_FLAGS);
	next = r->irq.level ? NEVER : rtc_next_event(r);
	if (next == r->deadline)
		return;
	r->deadline = next;
	loop_post(r->dev.board->loop, &r->rearm);
}

static void rtc_rearm(struct loop_task *t)
{
	struct rtc *r = container_of(t, struct rtc, rearm);
	int64_t ns;

	pthread_mutex_lock(&r->dev.lock);
	if (r->deadline == NEVER) {
		loop_timer_cancel(&r->timer);
	} else {
		ns = ticks_to_ns(r->deadline - r->delta) - r->utc_ns;
		if (loop_timer_arm(r->dev.board->loop, &r->timer,
				   (uint64_t)MAX(ns, 0)))
			r->deadline = NEVER; /* the next access tries again */
	}
	pthread_mutex_unlock(&r->dev.lock);
}

static void rtc_expired(struct loop_timer *t)
{
	struct rtc *r = container_of(t, struct rtc, timer);

	pthread_mutex_lock(&r->dev.lock);
	r->deadline = NEVER;
	rtc_catch_up(r);
	rtc_update(r);
	pthread_mutex_unlock(&r->dev.lock);
}

static bool rtc_is_time(unsigned index)
{
	switch (index) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_WEEKDAY:
	case RTC_DAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		return true;
	default:
		return false;
	}
}

static bool rtc_updates_soon(const struct rtc *r)
{
	int64_t part = r->seen - RTC_HZ * floor_div(r->seen, RTC_HZ);

	return rtc_runs(r) && part >= RTC_HZ - UIP_TICKS;
}

/* Reading C acknowledges the interrupt. */
static uint8_t rtc_read_c(struct rtc *r)
{
	uint8_t c = (uint8_t)(r->c | (r->irq.level ? C_IRQF : 0));

	r->c = 0;
	rtc_update(r);
	return c;
}

static uint8_t rtc_read_reg(struct rtc *r)
{
	rtc_catch_up(r);
	rtc_update(r);
	switch (r->index) {
	case RTC_A:
		return (uint8_t)(r->a | (rtc_updates_soon(r) ? A_UIP : 0));
	case RTC_B:
		return r->b;
	case RTC_C:
		return rtc_read_c(r);
	case RTC_D:
		return D_VRT;
	default:
		if (rtc_is_time(r->index) && rtc_runs(r))
			rtc_latch(r, r->seen);
		return r->memory[r->index];
	}
}

static void rtc_write_a(struct rtc *r, uint8_t value)
{
	bool ran = rtc_runs(r), divided = rtc_divider_runs(r);

	r->a = value & (uint8_t)~A_UIP;
	if (ran && !rtc_runs(r))
		rtc_latch(r, r->seen);
	/* The first update comes half a second after the divider starts. */
	else if (!divided && rtc_runs(r))
		rtc_set(r, RTC_HZ / 2);
}

static void rtc_write_b(struct rtc *r, uint8_t value)
{
	bool ran = rtc_runs(r);
	uint8_t old = r->b;

	if (ran && value & B_SET)
		rtc_latch(r, r->seen); /* in the format that was in force */
	if (value & B_SET && !(old & B_SET))
		value &= (uint8_t)~B_UIE;
	r->b = value;
	if (!ran && rtc_runs(r))
		rtc_set(r, r->seen - RTC_HZ * floor_div(r->seen, RTC_HZ));
}

static void rtc_write_time(struct rtc *r, uint8_t value)
{
	bool runs = rtc_runs(r);

	if (runs)
		rtc_latch(r, r->seen);
	r->memory[r->index] = value;
	if (runs)
		rtc_set(r, r->seen - RTC_HZ * floor_div(r->seen, RTC_HZ));
}

static void rtc_write_reg(struct rtc *r, uint8_t value)
{
	rtc_catch_up(r);
	switch (r->index) {
	case RTC_A:
		rtc_write_a(r, value);
		break;
	case RTC_B:
		rtc_write_b(r, value);
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		if (rtc_is_time(r->index))
			rtc_write_time(r, value);
		else
			r->memory[r->index] = value;
		break;
	}
	rtc_update(r);
}

static uint64_t rtc_read(struct region *region, uint64_t off, unsigned size)
{
	struct rtc *r = container_of(region, struct rtc, region);

	(void)size;
	return off ? rtc_read_reg(r) : 0xff; /* the index is write-only */
}

static void rtc_write(struct region *region, uint64_t off, unsigned size,
		      uint64_t value)
{
	struct rtc *r = container_of(region, struct rtc, region);

	(void)size;
	if (off)
		rtc_write_reg(r, (uint8_t)value);
	else
		r->index = value & (RTC_BYTES - 1); /* bit 7: mask of NMI */
}

static const struct region_ops rtc_ops = {
	.read = rtc_read,
	.write = rtc_write,
};

/* Host's UTC is read here, and the loop's clock carries it on. */
static void rtc_take_utc(struct rtc *r)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	r->utc_ns = ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec -
		    (int64_t)loop_now(r->dev.board->loop);
	r->seen = rtc_now(r);
}

/* The battery keeps time and memory. */
static void rtc_reset(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	r->index = 0;
	r->a = A_DEFAULT;
	r->b = B_DEFAULT;
	r->c = 0;
	r->seen = rtc_now(r);
	rtc_update(r);
}

static int rtc_attach(struct device *d, struct err *e)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	irq_line_init(&r->irq, d->board->irqs, RTC_IRQ);
	r->timer.expired = rtc_expired;
	r->rearm.run = rtc_rearm;
	r->deadline = NEVER;
	rtc_take_utc(r);
	r->region = (struct region){
		.name = "mc146818rtc",
		.ops = &rtc_ops,
		.dev = d,
		.base = RTC_PORT,
		.len = 2,
		.max = 1,
	};
	return space_add(d->board->ports, &r->region, e);
}

static void rtc_detach(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	space_del(&r->region);
	loop_task_cancel(d->board->loop, &r->rearm);
	loop_timer_cancel(&r->timer);
	irq_line_set(&r->irq, false);
}

/* The host's clock may have been set, or another host's, meanwhile. */
static void rtc_resume(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	pthread_mutex_lock(&d->lock);
	rtc_take_utc(r);
	r->deadline = STALE;
	rtc_update(r);
	pthread_mutex_unlock(&d->lock);
}

static int rtc_loaded(struct device *d, struct err *e)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	if (r->delta < -RTC_DELTA_MAX || r->delta > RTC_DELTA_MAX)
		return err_set(e, -EINVAL, "the clock is off by ages");
	if (r->index >= RTC_BYTES || r->c & ~C_FLAGS || r->a & A_UIP)
		return err_set(e, -EINVAL, "impossible register values");
	r->seen = rtc_now(r);
	r->deadline = STALE;
	rtc_update(r);
	return 0;
}

static void rtc_resources(const struct device *d, struct plat_resources *r)
{
	(void)d;
	r->ports[0].base = RTC_PORT;
	r->ports[0].len = 2;
	r->irq[0] = RTC_IRQ;
}

static const struct state_field rtc_state[] = {
	STATE_DEVICE(struct rtc),
	STATE_HOST(struct rtc, region),
	STATE_DERIVED(struct rtc, irq),
	STATE_HOST(struct rtc, timer),
	STATE_HOST(struct rtc, rearm),
	STATE_HOST(struct rtc, utc_ns),
	STATE_DERIVED(struct rtc, deadline),
	STATE_DERIVED(struct rtc, seen),
	STATE_UINT_KEPT(struct rtc, delta, 1),
	STATE_BYTES_KEPT(struct rtc, memory, 1),
	STATE_UINT(struct rtc, index, 1),
	STATE_UINT(struct rtc, a, 1),
	STATE_UINT(struct rtc, b, 1),
	STATE_UINT(struct rtc, c, 1),
	STATE_END,
};

static const struct plat_class rtc_plat = {
	.acpi_hid = "PNP0B00",
	.acpi_name = "RTC_",
	.fdt_compatible = "motorola,mc146818",
	.resources = rtc_resources,
};

VIREO_DEVICE(mc146818rtc,
	.name = "mc146818rtc",
	.summary = "real-time clock and CMOS memory",
	.category = CATEGORY_MISC,
	.bus = "ISA",
	.no_user = true,
	.size = sizeof(struct rtc),
	.state = rtc_state,
	.attach = rtc_attach,
	.detach = rtc_detach,
	.reset = rtc_reset,
	.resume = rtc_resume,
	.loaded = rtc_loaded,
	.flavour = &rtc_plat);
