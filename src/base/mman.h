/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advice to madvise(2) that is newer than the oldest headers.
 */
#pragma once

#include <sys/mman.h>

/* Linux 5.14; older kernels refuse it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
