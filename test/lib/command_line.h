/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line as a string, parsed into a configuration.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "test/lib/test.h"
#include "vmm/config.h"

#define WORDS_MAX 64

/* Splits line at spaces; a word may have '~' for a space. */
static inline int parse_line(struct vm_config *c, const char *line,
			     enum config_outcome *outcome, struct err *e)
{
	char *copy = strdup(line), *save, *argv[WORDS_MAX];
	int argc = 1, r;

	assert_non_null(copy);
	argv[0] = copy; /* not looked at */
	*c = (struct vm_config){0};
	for (char *w = strtok_r(copy, " ", &save); w;
	     w = strtok_r(NULL, " ", &save)) {
		assert_true(argc < WORDS_MAX - 1);
		for (char *p = w; *p; p++)
			*p = *p == '~' ? ' ' : *p;
		argv[argc++] = w;
	}
	argv[argc] = NULL;
	r = config_parse(c, argc, argv, outcome, e);
	free(copy);
	return r;
}
