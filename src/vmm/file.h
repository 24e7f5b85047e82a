/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files as a whole.
 *
 * Threads: main.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/types.h"

/* Reads the file (at most max bytes) into a new block that the caller frees.
 * -EFBIG where it is larger. */
int file_read(const char *path, uint64_t max, void **ret, size_t *len,
	      struct err *e);

/* Writes (creates, replaces) the file. */
int file_write(const char *path, const void *data, size_t len, struct err *e);
