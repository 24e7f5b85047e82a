/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help texts, all made from tables: -h, -device help, -device NAME,help, …
 *
 * Threads: main.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "base/types.h"

struct help_entry;
struct help_kind;
struct prop;

/* -h */
void help_print_options(FILE *f);

/* "NAME options:" and a line a property, sorted by name. */
void help_print_props(FILE *f, const char *name, const struct prop *props);

/* All names of a kind; devices by category. */
void help_print_kind(FILE *f, const struct help_kind *k);

/* What one of a kind takes. -ENOENT, with the nearest name, if it is none. */
int help_print_entry(FILE *f, const struct help_kind *k, const char *name,
		     struct err *e);

/* A row of a table, and how the user writes its name. */
struct help_prop {
	char name[64];
	const struct prop *p;
};

/*
 * What an entry takes, and what all of its kind take, sorted by name: a new
 * array that the caller frees, of *n rows; NULL where memory is short. Either
 * may be NULL.
 */
struct help_prop *help_sort_props(const struct help_entry *entry,
				  const struct help_kind *k, size_t *n);

/* "summary: word|word (default: x)" of a row, as help prints it, into buf; or
 * "summary (required)". */
const char *help_prop_text(const struct prop *p, char *buf, size_t len);
