/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of machines.
 *
 * Threads: main.
 */
#include "vmm/machine.h"

#include <string.h>

extern const struct machine_class machine_microvm;

const struct machine_class *const machine_classes[] = {
	&machine_microvm,
	NULL,
};

const struct machine_class *machine_class_find(const char *name)
{
	for (size_t i = 0; machine_classes[i]; i++) {
		const struct machine_class *c = machine_classes[i];

		if (!strcmp(c->name, name) ||
		    (c->alias && !strcmp(c->alias, name)))
			return c;
	}
	return NULL;
}
