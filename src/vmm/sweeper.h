/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removes files when this process ends, however it ends: the pid file and the
 * UNIX sockets that it listens on.
 *
 * Threads: main.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct sweep_file;

/* Zeroed: nothing to remove. */
struct sweeper {
	struct sweep_file *files;
	size_t count;
	pid_t pid;    /* of the process that does it; 0 or less: none */
	int alive_fd; /* it waits for the end of this */
};

/*
 * Has the file, which exists, removed at the end. is_lock: only if no other
 * process holds its lock by then (F_OFD_SETLK). Before sweeper_start().
 */
int sweeper_add(struct sweeper *s, const char *path, bool is_lock,
		struct err *e);

/* Before the jail; without files, nothing happens. */
int sweeper_start(struct sweeper *s, struct err *e);

/* Removes the files. Harmless on a zeroed or half-begun sweeper, and inside
 * the jail. */
void sweeper_finish(struct sweeper *s);
