/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of kernel images: the first start with a kernel leaves it unpacked
 * in a file, those that follow map the file.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "vmm/image.h"

struct boot_file;

/* Zeroed: there is none. */
struct image_cache {
	bool is_on;
	int dir;
	/* Files that changed in this time may change again unseen. */
	uint64_t racy_ns;
	struct image image; /* size 0: none is open */
	struct image_key key;
	/* What of guest memory maps an image now; NULL: nothing. */
	void *mapped;
	uint64_t mapped_len;
};

/*
 * Opens the cache. where: "off", "auto" (vireo in $XDG_CACHE_HOME or
 * ~/.cache; where that cannot be used there is no cache) or a directory, which
 * has to exist: -ENOENT and so on, -EPERM where others can write to it.
 */
int image_cache_open(struct image_cache *c, const char *where, struct err *e);
void image_cache_close(struct image_cache *c);

/*
 * The image of a kernel file, or NULL. It is looked for where may_open, before
 * the jail is entered; else it is the one that is open already.
 */
const struct image *image_cache_find(struct image_cache *c,
				     const struct boot_file *kernel,
				     bool may_open);

/*
 * Keeps a kernel for the next start: after image_cache_find() had none for it,
 * before the jail is entered. A failure is logged and costs nothing else.
 */
void image_cache_store(struct image_cache *c, const struct image_source *s);

/* Maps the image over guest memory, in place of an earlier one. */
int image_cache_map(struct image_cache *c, const struct image *im, void *to);
