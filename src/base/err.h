/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message that goes up with a set-up error.
 *
 * A function that can fail for a reason which the user should read takes a
 * struct err * as its last argument, returns 0 or -errno, and on failure sets
 * the message once; callers add context in front of it as it goes up. Only
 * src/vmm prints it. It lives on the caller's stack, so it allocates nothing,
 * needs no release and can be used at any time.
 *
 * Threads: any; one struct err belongs to one thread at a time.
 */
#pragma once

#include "base/compiler.h"

#define ERR_TEXT_MAX 1024

struct err {
	int code;                /* -errno of the failure, 0 if none */
	char text[ERR_TEXT_MAX]; /* one sentence, no newline; cut if too long */
};

/*
 * Sets the message and returns code (a negative errno), so that a failing
 * function can `return err_set(e, -EINVAL, "…")`. A NULL e drops the text.
 */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, and appends ": " and what strerror says of code. */
int err_set_errno(struct err *e, int code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Puts the formatted text in front of the message; returns e's code. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Adds the formatted text at the end of the message; returns e's code. */
int err_append(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
