/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help texts, all made from tables: -h, -device help, -device NAME,help, …
 *
 * Threads: main.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"

struct prop;

/* -h */
void help_print_options(FILE *f);

/* "NAME options:" and a line a property, sorted by name. */
void help_print_props(FILE *f, const char *name, const struct prop *props);

/* The `list` slots of the option table. */
void help_list_accels(FILE *f);
void help_list_devices(FILE *f);
void help_list_log_topics(FILE *f);

/* The `describe` slots: -ENOENT, with the nearest name, where there is none. */
int help_describe_device(FILE *f, const char *name, struct err *e);
