/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MAC addresses that network devices get where the user gives none:
 * 52:54:00:12:34:56 and the 63 after it, each used once a board.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/prop.h"

struct board;

/*
 * Gives m the first default address that no device of the board has, or, where
 * m is set, notes that it is taken. -ENOSPC: all are; -EINVAL: m is a
 * multicast address.
 */
int mac_take(struct board *b, struct mac *m, struct err *e);

/* Takes the address back; harmless if it is not one of the defaults. */
void mac_release(struct board *b, const struct mac *m);
