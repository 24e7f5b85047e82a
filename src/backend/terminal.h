/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal that is standard input: raw while this process has it, as it
 * was otherwise, however the process ends.
 *
 * Threads: main.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* Takes it over, now or when the process comes to the foreground. signals: do
 * Ctrl-C, Ctrl-\ and Ctrl-Z still make theirs? */
int terminal_open(bool signals, struct err *e);

/* Is it this process's to read? Only the foreground's, which then is raw. */
bool terminal_claim(void);

/* As it was. */
void terminal_close(void);
