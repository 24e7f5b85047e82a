/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the name that a mistyped word was meant to be.
 *
 * Threads: any.
 */
#include <ctype.h>
#include <string.h>

#include "base/compiler.h"
#include "base/keyval.h"

#define NEAREST_LEN_MAX 63

/* Edit distances of one prefix of a to every prefix of b. */
typedef uint8_t edit_row[NEAREST_LEN_MAX + 1];

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/*
 * Edits that make b of a: a letter inserted, left out, changed, or two
 * neighbours swapped (optimal string alignment). Case does not count.
 */
static unsigned edit_distance(const char *a, size_t alen, const char *b,
			      size_t blen)
{
	edit_row rows[3]; /* of the last three prefixes of a */

	for (size_t j = 0; j <= blen; j++)
		rows[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= alen; i++) {
		uint8_t *row = rows[i % 3];
		const uint8_t *above = rows[(i + 2) % 3];
		const uint8_t *above2 = rows[(i + 1) % 3];

		row[0] = (uint8_t)i;
		for (size_t j = 1; j <= blen; j++) {
			bool same = same_letter(a[i - 1], b[j - 1]);
			int best = above[j - 1] + !same;

			best = MIN(best, above[j] + 1);
			best = MIN(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
			    same_letter(a[i - 2], b[j - 1]))
				best = MIN(best, above2[j - 2] + 1);
			row[j] = (uint8_t)best;
		}
	}
	return rows[alen % 3][blen];
}

/* How long a common start of a and b is that ends at the end of a word. */
static size_t common_words(const char *a, const char *b)
{
	size_t end = 0;

	for (size_t i = 0; a[i] && b[i] && same_letter(a[i], b[i]); i++)
		if (a[i] == '-' || !a[i + 1])
			end = i + 1;
	return end;
}

/*
 * How far name is from word; SIZE_MAX where it was hardly meant. A name is
 * near by up to three edits, one in three letters; or, further off than any
 * of those, by starting as three quarters of the word do ("virtio-blk-pci"
 * for "virtio-blk-device").
 */
static size_t name_distance(const char *word, size_t len, const char *name)
{
	size_t name_len = strlen(name), start = common_words(word, name);
	unsigned d;

	if (name_len > NEAREST_LEN_MAX)
		return SIZE_MAX;
	d = edit_distance(word, len, name, name_len);
	if (d <= MIN(len / 3, (size_t)3))
		return d;
	if (start >= 4 && start * 4 >= len * 3)
		return NEAREST_LEN_MAX + name_len - start;
	return SIZE_MAX;
}

const char *nearest_name(const char *word,
			 const char *(*name_at)(const void *opaque, size_t i),
			 const void *opaque)
{
	size_t best = SIZE_MAX, len = strlen(word);
	const char *ret = NULL, *name;

	if (len > NEAREST_LEN_MAX)
		return NULL;
	for (size_t i = 0; (name = name_at(opaque, i)); i++) {
		size_t d = name_distance(word, len, name);

		if (d < best) {
			best = d;
			ret = name;
		}
	}
	return ret;
}
