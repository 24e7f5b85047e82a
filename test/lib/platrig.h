/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fake board with the buses of platform devices and one device on them.
 *
 * Threads: the test's.
 */
#pragma once

#include "bus/plat.h"
#include "test/lib/fakeboard.h"

struct platrig {
	struct fakeboard f;
	struct bus isa, system;
	struct device *d; /* NULL: none yet */
};

/* Makes the board and its buses. Fails the test if it cannot. */
void platrig_init(struct platrig *r);
/* Makes and attaches what the text describes, on the bus of its class. */
struct device *platrig_device(struct platrig *r, const char *text,
			      struct err *e);
/* Both; fails the test if it cannot. */
void platrig_start(struct platrig *r, const char *text);
void platrig_fini(struct platrig *r);

/* Byte-wide port access. */
uint8_t platrig_in(struct platrig *r, uint16_t port);
void platrig_out(struct platrig *r, uint16_t port, uint8_t value);

/*
 * Saves the device's state, loads it into a new one in its place (of the same
 * text), and checks that this saves the same.
 */
void platrig_migrate(struct platrig *r, const char *text);
