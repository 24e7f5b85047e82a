/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes, extends and cuts the message of a set-up error.
 *
 * Threads: any.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap); /* may be cut */
	va_end(ap);
	return code;
}

int err_set_errno(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap); /* may be cut */
	va_end(ap);
	return err_append(e, ": %s", strerror(-code));
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_MAX];
	va_list ap;
	size_t len;

	if (!e)
		return 0;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap); /* may be cut */
	va_end(ap);
	len = strlen(e->text);
	(void)snprintf(e->text + len, sizeof(e->text) - len, "%s", old);
	return e->code;
}

int err_append(struct err *e, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	if (!e)
		return 0;
	len = strlen(e->text);
	va_start(ap, fmt);
	(void)vsnprintf(e->text + len, sizeof(e->text) - len, fmt, ap);
	va_end(ap);
	return e->code;
}
