/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes and small macros that every file may use.
 */
#pragma once

#include <stddef.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK             __attribute__((warn_unused_result))
#define NORETURN               __attribute__((noreturn))
#define MAYBE_UNUSED           __attribute__((unused))
#define FALLTHROUGH            __attribute__((fallthrough))
#define PACKED                 __attribute__((packed))
#define CACHE_ALIGNED          __attribute__((aligned(64)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Elements of a true array; a pointer does not compile. */
#define ARRAY_SIZE(a)                                                          \
	(sizeof(a) / sizeof((a)[0]) +                                          \
	 0 * sizeof(struct {                                                   \
		 _Static_assert(!__builtin_types_compatible_p(                 \
					__typeof__(a), __typeof__(&(a)[0])),   \
				"not an array");                               \
		 int unused;                                                   \
	 }))

/* The object of TYPE whose MEMBER is at PTR. */
#define container_of(ptr, type, member)                                        \
	({                                                                     \
		__typeof__(((type *)0)->member) *container_of_member_ = (ptr); \
		(type *)(void *)((char *)container_of_member_ -                \
				 offsetof(type, member));                      \
	})

/* As container_of, for an object that is read only. */
#define container_of_const(ptr, type, member)                                  \
	({                                                                     \
		const __typeof__(((type *)0)->member) *container_of_member_ =  \
			(ptr);                                                 \
		(const type *)(const void *)((const char *)                    \
						     container_of_member_ -    \
					     offsetof(type, member));          \
	})

#define MIN(a, b)                                                              \
	({                                                                     \
		__typeof__(a) min_a_ = (a);                                    \
		__typeof__(b) min_b_ = (b);                                    \
		min_a_ < min_b_ ? min_a_ : min_b_;                             \
	})
#define MAX(a, b)                                                              \
	({                                                                     \
		__typeof__(a) max_a_ = (a);                                    \
		__typeof__(b) max_b_ = (b);                                    \
		max_a_ > max_b_ ? max_a_ : max_b_;                             \
	})
