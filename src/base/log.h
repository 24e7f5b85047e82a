/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: warnings always, the rest by topic (-d), to stderr or a file (-D).
 *
 * A line is one write(2), so that lines of different threads do not mix and
 * nothing but write is needed inside the jail. Set-up errors are not logged:
 * they go up in a struct err.
 *
 * Threads: log_* any; log_open/log_enable main, before other threads start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

/* Topics of `-d`, in the order of log_topics[]. */
enum log_topic {
	LOG_GUEST_ERRORS, /* what a guest's driver does wrong */
	LOG_UNIMP,        /* what a guest asks for and vireo does not have */
	LOG_KVM,          /* exits out of the ordinary, refused MSRs */
	LOG_BOOT,         /* loaders, tables, memory layout */
	LOG_IO,           /* back-end errors and fallbacks */
	LOG_JAIL,         /* namespaces, Landlock, seccomp */
	LOG_TIME,         /* start-up time stamps */
	LOG_TOPICS,
};

struct log_topic_info {
	const char *name;    /* as in -d NAME */
	const char *summary; /* for -d help */
};

extern const struct log_topic_info log_topics[LOG_TOPICS];

/* Turns topics on: a comma list of names, or "all". -EINVAL names the word. */
int log_enable(const char *names, struct err *e);

/* Sends the log to the file at path (created, appended to). */
int log_open(const char *path, struct err *e);

bool log_wants(enum log_topic topic);

/* Always written, after "vireo: ": what the user should know. No newline. */
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Written where the topic is on. Costs one load and branch where it is off. */
#define log_on(topic, ...)                                                     \
	do {                                                                   \
		if (unlikely(log_wants(topic)))                                \
			log_line(topic, __VA_ARGS__);                          \
	} while (0)
void log_line(enum log_topic topic, const char *fmt, ...) PRINTF_LIKE(2, 3);
