/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers of an event loop: a binary heap by deadline, then by the order of
 * arming. Entry i's children are 2i and 2i + 1; a timer knows its index, so
 * that it can be moved and cancelled in place.
 *
 * Threads: the loop's.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/loop_engine.h"
#include "base/num.h"

#define CAPACITY_FIRST 64U

int timer_heap_init(struct timer_heap *h)
{
	h->entries = calloc(CAPACITY_FIRST, sizeof(*h->entries));
	if (!h->entries)
		return -ENOMEM;
	h->capacity = CAPACITY_FIRST;
	return 0;
}

void timer_heap_fini(struct timer_heap *h)
{
	free(h->entries);
	*h = (struct timer_heap){0};
}

uint64_t timer_heap_next(const struct timer_heap *h)
{
	return h->count ? h->entries[1].deadline_ns : LOOP_FOREVER;
}

static bool entry_before(const struct timer_entry *a,
			 const struct timer_entry *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->order < b->order;
}

static void heap_put(struct timer_heap *h, unsigned i, struct timer_entry t)
{
	h->entries[i] = t;
	t.timer->heap_index = i;
}

/* Places t at i or where it belongs above. */
static void heap_rise(struct timer_heap *h, unsigned i, struct timer_entry t)
{
	while (i > 1 && entry_before(&t, &h->entries[i / 2])) {
		heap_put(h, i, h->entries[i / 2]);
		i /= 2;
	}
	heap_put(h, i, t);
}

/* Places t at i or where it belongs below. */
static void heap_sink(struct timer_heap *h, unsigned i, struct timer_entry t)
{
	unsigned child;

	while ((child = 2 * i) <= h->count) {
		if (child < h->count &&
		    entry_before(&h->entries[child + 1], &h->entries[child]))
			child++;
		if (!entry_before(&h->entries[child], &t))
			break;
		heap_put(h, i, h->entries[child]);
		i = child;
	}
	heap_put(h, i, t);
}

static void heap_replace(struct timer_heap *h, unsigned i, struct timer_entry t)
{
	if (i > 1 && entry_before(&t, &h->entries[i / 2]))
		heap_rise(h, i, t);
	else
		heap_sink(h, i, t);
}

static void heap_remove(struct timer_heap *h, unsigned i)
{
	struct timer_entry last = h->entries[h->count];

	h->entries[i].timer->heap_index = 0;
	h->count--;
	if (i <= h->count)
		heap_replace(h, i, last);
}

static int heap_grow(struct timer_heap *h)
{
	struct timer_entry *entries;
	unsigned capacity = 2 * h->capacity;

	if (h->count + 1 < h->capacity)
		return 0;
	entries = reallocarray(h->entries, capacity, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	h->entries = entries;
	h->capacity = capacity;
	return 0;
}

unsigned timer_heap_run(struct timer_heap *h, uint64_t now)
{
	uint64_t end = h->order;
	unsigned ran = 0;

	while (h->count && h->entries[1].deadline_ns <= now &&
	       h->entries[1].order < end) {
		struct loop_timer *t = h->entries[1].timer;

		heap_remove(h, 1);
		t->expired(t);
		ran++;
	}
	return ran;
}

int loop_timer_arm(struct loop *l, struct loop_timer *t, uint64_t deadline_ns)
{
	struct timer_heap *h = &l->timers;
	struct timer_entry entry = {
		/* Not before the others that are due: nobody starves. */
		.deadline_ns = MAX(deadline_ns, l->step_ns),
		.order = h->order,
		.timer = t,
	};

	loop_check_owner(l);
	assert(!t->heap_index || t->loop == l);
	t->deadline_ns = deadline_ns;
	t->loop = l;
	if (t->heap_index) {
		h->order++;
		heap_replace(h, t->heap_index, entry);
		return 0;
	}
	if (heap_grow(h))
		return -ENOMEM;
	h->order++;
	h->count++;
	heap_rise(h, h->count, entry);
	return 0;
}

void loop_timer_cancel(struct loop_timer *t)
{
	if (t->heap_index)
		heap_remove(&t->loop->timers, t->heap_index);
}
