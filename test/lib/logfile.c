/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads back what src/base/log.c writes.
 *
 * Threads: as the header.
 */
#include "test/lib/logfile.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "test/lib/test.h"

int logfile_new(const char *topics)
{
	char path[] = "/tmp/vireo-log-XXXXXX";
	int fd = mkstemp(path);
	struct err e;

	assert_true(fd >= 0);
	assert_int_equal(log_open(path, &e), 0);
	assert_int_equal(unlink(path), 0);
	if (topics)
		assert_int_equal(log_enable(topics, &e), 0);
	return fd;
}

const char *logfile_text(int fd)
{
	static char text[LOGFILE_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	assert_in_range(n, 0, sizeof(text) - 2);
	text[n] = '\0';
	return text;
}

unsigned logfile_count(int fd, const char *word)
{
	const char *p = logfile_text(fd);
	unsigned n = 0;

	for (; (p = strstr(p, word)); n++) {
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	return n;
}
