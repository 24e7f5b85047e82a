/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device of the host on a file, with blocks of 4096 bytes. It goes
 * when its descriptor is closed and nobody else has it.
 *
 * Threads: the test's.
 */
#pragma once

#define LOOPDEV_BLOCK 4096

struct loopdev {
	char path[32];
	int fd; /* the caller's to close */
};

/* -1 where the host has none for us. */
int loopdev_new(struct loopdev *d, const char *file);
