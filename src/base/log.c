/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats a log line on the stack and writes it at once.
 *
 * Threads: any.
 * Syscalls: all: write
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

const struct log_topic_info log_topics[LOG_TOPICS] = {
	[LOG_GUEST_ERRORS] = {"guest_errors", "errors of the guest's drivers"},
	[LOG_UNIMP] = {"unimp", "requests for what vireo does not have"},
	[LOG_KVM] = {"kvm", "unusual KVM exits and refused settings"},
	[LOG_BOOT] = {"boot", "loaders, firmware tables and memory layout"},
	[LOG_IO] = {"io", "back-end errors and fallbacks"},
	[LOG_JAIL] = {"jail", "the steps of the jail"},
	[LOG_TIME] = {"time", "time stamps of the start-up"},
};

/* Set before the second thread starts, read-only after. */
static struct {
	int fd;
	unsigned topics; /* bit n: topic n is on */
} log_state = {.fd = STDERR_FILENO};

bool log_wants(enum log_topic topic)
{
	return log_state.topics & (1U << topic);
}

static int log_enable_one(const char *name, size_t len, struct err *e)
{
	if (len == 3 && !memcmp(name, "all", 3)) {
		log_state.topics = ~0U;
		return 0;
	}
	for (unsigned i = 0; i < LOG_TOPICS; i++) {
		const char *known = log_topics[i].name;

		if (strlen(known) == len && !memcmp(name, known, len)) {
			log_state.topics |= 1U << i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "no log topic '%.*s': see -d help", (int)len,
		       name);
}

int log_enable(const char *names, struct err *e)
{
	while (*names) {
		size_t len = strcspn(names, ",");
		int r = log_enable_one(names, len, e);

		if (r)
			return r;
		names += len;
		names += *names == ',';
	}
	return 0;
}

int log_open(const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_set_errno(e, -errno, "cannot open log file '%s'",
				     path);
	if (log_state.fd != STDERR_FILENO)
		close(log_state.fd);
	log_state.fd = fd;
	return 0;
}

PRINTF_LIKE(2, 0)
static void log_write(const char *head, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	size_t len;

	(void)snprintf(line, sizeof(line), "vireo: %s%s", head,
		       *head ? ": " : "");
	len = strlen(line);
	(void)vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len = strnlen(line, sizeof(line) - 2);
	line[len] = '\n';
	/* A log that cannot be written must not stop the VM. */
	(void)!write(log_state.fd, line, len + 1);
	errno = saved;
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write("", fmt, ap);
	va_end(ap);
}

void log_line(enum log_topic topic, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(log_topics[topic].name, fmt, ap);
	va_end(ap);
}
