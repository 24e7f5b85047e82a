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

#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL
