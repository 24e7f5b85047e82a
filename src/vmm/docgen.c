/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a template to standard output with its `@NAME@` lines replaced by
 * what the option, device and back-end tables say: `vireo-docgen TEMPLATE`.
 *
 * Threads: main.
 */
#include "vmm/docgen.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static const struct docgen_part *part_find(const struct docgen_part *parts,
					   const char *name, size_t len)
{
	for (; parts->name; parts++)
		if (strlen(parts->name) == len &&
		    !memcmp(parts->name, name, len))
			return parts;
	return NULL;
}

/* -1: the template asks for what does not exist. */
static int write_line(const char *line)
{
	const struct docgen_part *part;
	size_t len = strcspn(line, "\n");

	if (len < 3 || line[0] != '@' || line[len - 1] != '@') {
		fputs(line, stdout);
		return 0;
	}
	part = part_find(docgen_man_parts, line + 1, len - 2);
	if (!part)
		part = part_find(docgen_shell_parts, line + 1, len - 2);
	if (!part) {
		fprintf(stderr, "vireo-docgen: unknown part %s", line);
		return -1;
	}
	part->print(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	AUTO_FILE FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	if (!f) {
		fprintf(stderr, "usage: vireo-docgen TEMPLATE: %s\n",
			argc == 2 ? strerror(errno) : "one argument");
		return 1;
	}
	while (getline(&line, &size, f) > 0)
		if (write_line(line))
			return 1;
	return ferror(f) || fflush(stdout) ? 1 : 0;
}
