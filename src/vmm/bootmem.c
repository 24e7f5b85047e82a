/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the list of free RAM while a guest is loaded.
 *
 * Threads: main.
 */
#include "vmm/bootmem.h"

#include <assert.h>
#include <errno.h>

#include "base/compiler.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "vmm/loader.h"

static int bootmem_add(struct bootmem *m, gpa_t from, gpa_t to, struct err *e)
{
	if (from >= to)
		return 0;
	if (m->count == BOOTMEM_PIECES_MAX)
		return err_set(e, -EINVAL, "the memory map has too many parts");
	m->pieces[m->count].base = from;
	m->pieces[m->count].len = to - from;
	m->count++;
	return 0;
}

int bootmem_init(struct bootmem *m, const struct gmem *gm,
		 const struct e820_entry *e820, unsigned count, gpa_t floor,
		 struct err *e)
{
	m->count = 0;
	for (unsigned i = 0; i < count; i++) {
		gpa_t from = MAX(e820[i].base, floor);
		gpa_t to = e820[i].base + e820[i].len;

		if (e820[i].type != E820_RAM)
			continue;
		for (unsigned j = 0; j < gm->count; j++) {
			const struct gmem_range *r = &gm->ranges[j];
			int rc = bootmem_add(m, MAX(from, r->base),
					     MIN(to, r->base + r->len), e);

			if (rc)
				return rc;
		}
	}
	if (!m->count)
		return err_set(e, -EINVAL, "there is no memory above 1 MiB");
	return 0;
}

bool bootmem_is_free(const struct bootmem *m, gpa_t base, uint64_t len)
{
	for (unsigned i = 0; i < m->count; i++)
		if (base >= m->pieces[i].base &&
		    range_ok(base - m->pieces[i].base, len, m->pieces[i].len))
			return true;
	return false;
}

static void bootmem_remove(struct bootmem *m, unsigned i)
{
	m->count--;
	for (; i < m->count; i++)
		m->pieces[i] = m->pieces[i + 1];
}

/* Piece i loses [base, base + len), which is inside it. */
static void bootmem_cut(struct bootmem *m, unsigned i, gpa_t base, uint64_t len)
{
	gpa_t from = m->pieces[i].base, to = from + m->pieces[i].len;

	/* A piece too many for the list is forgotten: less memory is free. */
	if (base + len < to && base > from && m->count < BOOTMEM_PIECES_MAX) {
		for (unsigned j = m->count++; j > i; j--)
			m->pieces[j] = m->pieces[j - 1];
		m->pieces[i + 1].base = base + len;
		m->pieces[i + 1].len = to - (base + len);
	}
	if (base > from) {
		m->pieces[i].len = base - from;
	} else if (base + len < to) {
		m->pieces[i].base = base + len;
		m->pieces[i].len = to - (base + len);
	} else {
		bootmem_remove(m, i);
	}
}

void bootmem_take(struct bootmem *m, gpa_t base, uint64_t len)
{
	assert(bootmem_is_free(m, base, len));
	if (!len)
		return;
	for (unsigned i = 0; i < m->count; i++)
		if (base - m->pieces[i].base < m->pieces[i].len) {
			bootmem_cut(m, i, base, len);
			return;
		}
}

bool bootmem_highest(const struct bootmem *m, uint64_t len, uint64_t align,
		     gpa_t limit, gpa_t *ret)
{
	for (unsigned i = m->count; i--;) {
		gpa_t from = m->pieces[i].base;
		gpa_t to = MIN(from + m->pieces[i].len, limit);

		if (to < from || to - from < len ||
		    align_down(to - len, align) < from)
			continue;
		*ret = align_down(to - len, align);
		return true;
	}
	return false;
}

/* The first origin in piece i, and how many there are. */
static uint64_t bootmem_piece_slots(const struct bootmem *m, unsigned i,
				    const struct bootmem_shape *s,
				    gpa_t *ret_first)
{
	gpa_t to = m->pieces[i].base + m->pieces[i].len, first, last;

	if (!add_ok(MAX(m->pieces[i].base + s->lead, s->floor), s->align - 1,
		    &first) ||
	    !sub_ok(to, s->len - s->lead, &last))
		return 0;
	first = align_down(first, s->align);
	if (first > last)
		return 0;
	*ret_first = first;
	return (last - first) / s->align + 1;
}

uint64_t bootmem_slots(const struct bootmem *m, const struct bootmem_shape *s)
{
	uint64_t n = 0;
	gpa_t first;

	for (unsigned i = 0; i < m->count; i++)
		n += bootmem_piece_slots(m, i, s, &first);
	return n;
}

gpa_t bootmem_slot(const struct bootmem *m, const struct bootmem_shape *s,
		   uint64_t n)
{
	for (unsigned i = 0; i < m->count; i++) {
		gpa_t first;
		uint64_t here = bootmem_piece_slots(m, i, s, &first);

		if (n < here)
			return first + n * s->align;
		n -= here;
	}
	assert(false); /* n is less than bootmem_slots() */
	return 0;
}
