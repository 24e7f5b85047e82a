/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus/irq: lines tell the sink of changes only, pulses take the descriptor.
 */
#include "bus/irq.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "test/lib/test.h"

struct recorder {
	unsigned calls, gsi[8];
	bool level[8];
	int fd;
};

static void recorder_set(void *opaque, unsigned gsi, bool level)
{
	struct recorder *r = opaque;

	assert_true(r->calls < 8);
	r->gsi[r->calls] = gsi;
	r->level[r->calls++] = level;
}

static int recorder_pulse_fd(void *opaque, unsigned gsi)
{
	struct recorder *r = opaque;

	return gsi == 7 ? r->fd : -1;
}

static const struct irq_sink_ops recorder_ops = {
	.set = recorder_set,
	.pulse_fd = recorder_pulse_fd,
};

static void level_changes_only(void **state)
{
	struct recorder r = {0};
	const struct irq_sink sink = {&recorder_ops, &r};
	struct irq_line line;

	(void)state;
	irq_line_init(&line, &sink, 4);
	irq_line_set(&line, false);
	assert_int_equal(r.calls, 0);
	irq_line_set(&line, true);
	irq_line_set(&line, true);
	irq_line_set(&line, false);
	assert_int_equal(r.calls, 2);
	assert_int_equal(r.gsi[0], 4);
	assert_true(r.level[0]);
	assert_false(r.level[1]);
}

static void pulse_without_descriptor(void **state)
{
	struct recorder r = {0};
	const struct irq_sink sink = {&recorder_ops, &r};
	struct irq_line line;

	(void)state;
	irq_line_init(&line, &sink, 4);
	irq_line_pulse(&line);
	assert_int_equal(r.calls, 2);
	assert_true(r.level[0]);
	assert_false(r.level[1]);
	assert_false(line.level);
}

static void pulse_with_descriptor(void **state)
{
	struct recorder r = {.fd = eventfd(0, EFD_NONBLOCK)};
	const struct irq_sink sink = {&recorder_ops, &r};
	struct irq_line line;
	uint64_t count = 0;

	(void)state;
	assert_true(r.fd >= 0);
	irq_line_init(&line, &sink, 7);
	irq_line_pulse(&line);
	irq_line_pulse(&line);
	assert_int_equal(r.calls, 0);
	assert_int_equal(read(r.fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 2);
	/* A counter that is full has an interrupt pending already. */
	count = UINT64_MAX - 1;
	assert_int_equal(write(r.fd, &count, sizeof(count)), sizeof(count));
	irq_line_pulse(&line);
	assert_int_equal(r.calls, 0);
	close(r.fd);
	/* A descriptor that does not work falls back on the line. */
	irq_line_pulse(&line);
	assert_int_equal(r.calls, 2);
}

static void not_connected(void **state)
{
	struct irq_line line = {0};

	(void)state;
	irq_line_set(&line, true);
	irq_line_pulse(&line);
	assert_false(line.level);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(level_changes_only),
	cmocka_unit_test(pulse_without_descriptor),
	cmocka_unit_test(pulse_with_descriptor),
	cmocka_unit_test(not_connected),
};

TEST_MAIN(tests)
