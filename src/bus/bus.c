/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buses by name, in their board's list.
 *
 * Spec: none.
 * Threads: main.
 * State: none.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/device.h"

struct bus *bus_find(struct board *board, const char *name)
{
	struct bus *b;

	list_for_each(b, &board->buses, link)
		if (!strcmp(b->name, name))
			return b;
	return NULL;
}

int bus_init(struct bus *b, const struct bus_type *t, const char *name,
	     struct device *parent, struct board *board, struct err *e)
{
	char *copy;

	if (bus_find(board, name))
		return err_set(e, -EEXIST, "there is a bus '%s' already", name);
	copy = strdup(name);
	if (!copy)
		return err_set(e, -ENOMEM, "no memory for bus '%s'", name);
	b->type = t;
	b->name = copy;
	b->parent = parent;
	list_init(&b->devices);
	list_append(&board->buses, &b->link);
	return 0;
}

void bus_fini(struct bus *b)
{
	if (!b || !b->name)
		return;
	assert(list_empty(&b->devices));
	list_remove(&b->link);
	free(b->name);
	b->name = NULL;
}
