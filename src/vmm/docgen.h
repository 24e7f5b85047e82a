/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generated parts of man page and completions. A build-time program: not
 * linked into vireo.
 *
 * Threads: main.
 */
#pragma once

#include <stdio.h>

/* What stands for a line of a template that is just `@NAME@`. */
struct docgen_part {
	const char *name;
	void (*print)(FILE *f);
};

/* Sections of doc/vireo.1.in; and tables for the completions' templates. Each
 * ends with a NULL name. */
extern const struct docgen_part docgen_man_parts[], docgen_shell_parts[];
