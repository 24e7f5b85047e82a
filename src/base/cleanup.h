/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locals that release themselves at the end of their scope, and the two ways
 * to hand them over before.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_FD   __attribute__((cleanup(cleanup_fd)))
#define AUTO_FILE __attribute__((cleanup(cleanup_file)))

/* The value of an AUTO_FREE (AUTO_FD) local, which then owns nothing. */
#define take_ptr(p)                                                            \
	({                                                                     \
		__typeof__(p) take_ptr_ = (p);                                 \
		(p) = NULL;                                                    \
		take_ptr_;                                                     \
	})
#define take_fd(fd)                                                            \
	({                                                                     \
		int take_fd_ = (fd);                                           \
		(fd) = -1;                                                     \
		take_fd_;                                                      \
	})
