/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalars with a meaning, and unit constants.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A guest-physical address, in bytes. It is turned into a host pointer by
 * gmem_span() and gmem_read()/gmem_write() only (bus/gmem.h).
 */
typedef uint64_t gpa_t;

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)
