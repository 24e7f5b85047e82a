/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One back end of each kind that a property can link to, which does nothing
 * and never fails. Each is called "null".
 *
 * Threads: the test's.
 */
#pragma once

#include "backend/block.h"
#include "backend/chardev.h"
#include "backend/net.h"
#include "backend/object.h"
#include "test/lib/fakeboard.h"

struct nullback {
	struct chardev *chardev;
	struct blk_graph graph;
	struct object *rng;
	struct net_backend net;
	struct net_port port;
	struct list offered; /* struct net_rx.link */
};

/* Makes them, and links them to the board. Fails the test if it cannot. */
void nullback_init(struct nullback *n, struct fakeboard *f);
/* After the devices that use them. */
void nullback_fini(struct nullback *n);

/* Is there one for properties of that kind? */
bool nullback_has(const char *kind);
