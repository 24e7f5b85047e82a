/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's interrupt line: remembers its level, and takes the cheap way to
 * pulse it where there is one.
 *
 * Spec: none.
 * Threads: any; a line belongs to its device's lock.
 * State: the device saves the level it wants; the line follows.
 * Syscalls: all: write
 */
#include "bus/irq.h"

#include <errno.h>
#include <unistd.h>

void irq_line_init(struct irq_line *line, const struct irq_sink *sink,
		   unsigned gsi)
{
	line->sink = sink;
	line->gsi = gsi;
	line->level = false;
	line->pulse_fd = -1;
	if (sink && sink->ops->pulse_fd)
		line->pulse_fd = sink->ops->pulse_fd(sink->opaque, gsi);
}

void irq_line_set(struct irq_line *line, bool level)
{
	if (!line->sink || line->level == level)
		return;
	line->level = level;
	line->sink->ops->set(line->sink->opaque, line->gsi, level);
}

static bool irq_line_pulse_fd(const struct irq_line *line)
{
	const uint64_t one = 1;
	ssize_t n;

	if (line->pulse_fd < 0)
		return false;
	do
		n = write(line->pulse_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	/* A full counter has the pulse already: the kernel is yet to see it. */
	return n > 0 || errno == EAGAIN;
}

void irq_line_pulse(struct irq_line *line)
{
	if (!line->sink || irq_line_pulse_fd(line))
		return;
	line->sink->ops->set(line->sink->opaque, line->gsi, true);
	line->sink->ops->set(line->sink->opaque, line->gsi, false);
}
