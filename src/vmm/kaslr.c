/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applies a kernel's relocation table and chooses random places.
 *
 * Theory of operation: the table is a row of 32-bit words, each the lower half
 * of the (linked) virtual address of a place, in lists that a zero precedes:
 *
 *   0, places of 64-bit addresses, 0, places of 32-bit negated addresses,
 *   0, places of 32-bit addresses
 *
 * Kernels since 6.15 have no list of negated ones. It is short where it exists,
 * so looking for the zero behind it tells which, and the table is gone through
 * once from front to back.
 *
 * Spec: Linux arch/x86/tools/relocs.c.
 * Threads: main.
 * Syscalls: main: getrandom
 */
#include "vmm/kaslr.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/num.h"

uint64_t kaslr_virtual_slots(uint64_t link_base, uint64_t len, uint64_t align)
{
	uint64_t end;

	if (!add_ok(link_base, len, &end) || end > KASLR_MAP_WINDOW)
		return 0;
	return (KASLR_MAP_WINDOW - end) / align + 1;
}

struct kaslr_table {
	const uint8_t *words;
	uint64_t count;
	/* Subtracted from a word, makes an offset in the image. */
	uint32_t bias;
	uint32_t limit; /* offsets are below it */
	uint8_t *image;
	uint64_t delta;
};

static uint32_t kaslr_word(const struct kaslr_table *t, uint64_t i)
{
	return load_le32(t->words + i * 4);
}

/* The index behind the list that starts at i. */
static uint64_t kaslr_list_end(const struct kaslr_table *t, uint64_t i)
{
	while (i < t->count && kaslr_word(t, i))
		i++;
	return i;
}

enum kaslr_kind { KASLR_ADD64, KASLR_SUB32, KASLR_ADD32 };

static inline void kaslr_fix(uint8_t *at, enum kaslr_kind kind, uint64_t delta)
{
	if (kind == KASLR_ADD64)
		store_le64(at, load_le64(at) + delta);
	else if (kind == KASLR_SUB32)
		store_le32(at, load_le32(at) - (uint32_t)delta);
	else
		store_le32(at, load_le32(at) + (uint32_t)delta);
}

/*
 * Fixes the places of the list at *i, up to its end, where *i moves. A word is
 * read once: the table may be in memory that others write.
 */
static inline int kaslr_list(const struct kaslr_table *t, uint64_t *i,
			     enum kaslr_kind kind, struct err *e)
{
	uint32_t limit = t->limit - (kind == KASLR_ADD64 ? 7 : 3);

	for (; *i < t->count; (*i)++) {
		uint32_t word = kaslr_word(t, *i);
		uint32_t off = word - t->bias;

		if (!word)
			return 0;
		if (off >= limit)
			return err_set(e, -EINVAL,
				       "its relocation table names 0x%x, which "
				       "is not in it",
				       word);
		kaslr_fix(t->image + off, kind, t->delta);
	}
	return 0;
}

/* The lists, each behind its zero. */
static int kaslr_lists(const struct kaslr_table *t, struct err *e)
{
	uint64_t i = 0;
	bool inverse;
	int rc;

	if (!t->count || kaslr_word(t, i++))
		return err_set(e, -EINVAL, "its relocation table has no start");
	rc = kaslr_list(t, &i, KASLR_ADD64, e);
	if (rc)
		return rc;
	if (i++ == t->count)
		return err_set(e, -EINVAL,
			       "its relocation table has one list only");
	inverse = kaslr_list_end(t, i) < t->count;
	rc = kaslr_list(t, &i, inverse ? KASLR_SUB32 : KASLR_ADD32, e);
	if (!rc && inverse) {
		i++;
		rc = kaslr_list(t, &i, KASLR_ADD32, e);
	}
	if (!rc && i < t->count)
		return err_set(e, -EINVAL,
			       "its relocation table has more than three "
			       "lists");
	return rc;
}

int kaslr_relocate(const struct kaslr_image *image, const void *table,
		   uint64_t len, uint64_t delta, struct err *e)
{
	struct kaslr_table t = {
		.words = table,
		.count = len / 4,
		.bias = (uint32_t)(KASLR_MAP_BASE + image->link_base),
		.limit = (uint32_t)image->len,
		.image = image->data,
		.delta = delta,
	};

	if (len % 4 || image->len < 8 ||
	    !kaslr_virtual_slots(image->link_base, image->len, 1))
		return err_set(e, -EINVAL,
			       "it cannot have a relocation table of %" PRIu64
			       " bytes",
			       len);
	return kaslr_lists(&t, e);
}

int kaslr_rng_init(struct kaslr_rng *r, uint64_t seed, struct err *e)
{
	r->state = seed;
	if (!seed && getrandom(&r->state, sizeof(r->state), 0) !=
			     (ssize_t)sizeof(r->state))
		return err_set_errno(e, -errno, "no random numbers for KASLR");
	return 0;
}

/* SplitMix64 (Steele, Lea, Flood 2014): any state will do. */
static uint64_t kaslr_rng_next(struct kaslr_rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* n is small against 2^64: the bias of the remainder does not matter. */
uint64_t kaslr_rng_below(struct kaslr_rng *r, uint64_t n)
{
	return kaslr_rng_next(r) % n;
}

/* Has the command line a word that starts with (or, exact, is) `word`? */
static bool cmdline_has(const char *cmdline, const char *word, bool exact)
{
	size_t len = strlen(word);
	const char *p = cmdline;

	while (*p) {
		size_t n;

		p += strspn(p, " \t\n");
		n = strcspn(p, " \t\n");
		if (n >= len && !memcmp(p, word, len) && (!exact || n == len))
			return true;
		p += n;
	}
	return false;
}

bool kaslr_is_refused(const char *cmdline)
{
	return cmdline_has(cmdline, "nokaslr", true);
}

bool kaslr_is_pinned(const char *cmdline)
{
	return cmdline_has(cmdline, "mem=", false) ||
	       cmdline_has(cmdline, "memmap=", false) ||
	       cmdline_has(cmdline, "hugepages=", false);
}
