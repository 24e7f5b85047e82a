/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A doubly linked list whose links are embedded in its members.
 *
 * Threads: none of its own; the owner of the head guards the whole list.
 */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"

struct list {
	struct list *prev, *next;
};

#define LIST_INIT(name) {&(name), &(name)}

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Puts item before head: at the end, where head is the list's head. */
static inline void list_append(struct list *head, struct list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

/* Takes item out; harmless for one that was initialised or removed before. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* The first member, or NULL. */
#define list_first(head, type, member)                                         \
	(list_empty(head) ? NULL : container_of((head)->next, type, member))

#define list_for_each(pos, head, member)                                       \
	for (pos = container_of((head)->next, __typeof__(*pos), member);       \
	     &pos->member != (head);                                           \
	     pos = container_of(pos->member.next, __typeof__(*pos), member))

/* As list_for_each, and the body may remove (and free) pos. */
#define list_for_each_safe(pos, tmp, head, member)                             \
	for (pos = container_of((head)->next, __typeof__(*pos), member),       \
	    tmp = container_of(pos->member.next, __typeof__(*pos), member);    \
	     &pos->member != (head); pos = tmp,                                \
	    tmp = container_of(tmp->member.next, __typeof__(*tmp), member))
