/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the program logs, for tests to read: a file without a name, from
 * logfile_new() on to the end of the test program.
 *
 * Threads: the test's.
 */
#pragma once

#define LOGFILE_MAX 65536

/* Sends the log there, those topics (or NULL) on: a descriptor to close. */
int logfile_new(const char *topics);

/* All of it, as a string that is good until the next call. */
const char *logfile_text(int fd);

/* How many lines have that word in them. */
unsigned logfile_count(int fd, const char *word);
