/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt lines and message-signalled interrupts, as devices see them. The
 * machine plugs in what is behind: KVM's irqfd, a user-space IOAPIC, the qtest
 * log, or a test's recorder.
 *
 * Threads: any; a sink is thread-safe.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct irq_sink_ops {
	/* Sets a line's level; gsi in [0, 24) on x86. */
	void (*set)(void *opaque, unsigned gsi, bool level);
	/* Delivers a message (PCI MSI address and data). */
	void (*msi)(void *opaque, uint64_t address, uint32_t data);
	/*
	 * A descriptor (eventfd) which, written, pulses the edge-triggered
	 * line as set(1), set(0) would, or -1 where there is none: then set()
	 * is used. Owned by the sink.
	 */
	int (*pulse_fd)(void *opaque, unsigned gsi);
	/* A processor acknowledged a level-triggered vector; NULL: nobody
	 * wants to know. */
	void (*eoi)(void *opaque, unsigned vector);
};

struct irq_sink {
	const struct irq_sink_ops *ops;
	void *opaque;
};

/*
 * The processor side of an interrupt controller in user space: where the
 * messages that it makes of its lines go. The machine plugs in KVM; a test a
 * recorder. The controller (dev/plat/ioapic.c) finds it in board->router and
 * puts its own irq_sink into board->irqs.
 */
struct irq_router {
	/* From the next commit on, a pulse of gsi's pulse_fd is this message
	 * (or, after unroute, nothing). */
	void (*route)(void *opaque, unsigned gsi, uint64_t address,
		      uint32_t data);
	void (*unroute)(void *opaque, unsigned gsi);
	void (*commit)(void *opaque);
	/* As irq_sink_ops. */
	int (*pulse_fd)(void *opaque, unsigned gsi);
	void (*msi)(void *opaque, uint64_t address, uint32_t data);
	void *opaque;
};

/* One line of a device. Zeroed: not connected, and every call is a no-op. */
struct irq_line {
	const struct irq_sink *sink;
	unsigned gsi;
	int pulse_fd; /* valid where sink is set; -1: none */
	bool level;   /* last level set */
};

/* Connects the line; sink outlives it. */
void irq_line_init(struct irq_line *line, const struct irq_sink *sink,
		   unsigned gsi);
/* Level-triggered use: idempotent, callers hold the device's lock. */
void irq_line_set(struct irq_line *line, bool level);
/* Edge-triggered use: one write to the irqfd, or set(1) and set(0). */
void irq_line_pulse(struct irq_line *line);
