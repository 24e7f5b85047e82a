/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program that finds io_uring forbidden, as with
 * kernel.io_uring_disabled=2, which hosts older than Linux 6.6 do not have.
 *
 * usage: without-uring PROGRAM [ARGUMENT]…
 */
#include <stdio.h>
#include <string.h>

#include "test/lib/no_uring.h"

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: without-uring PROGRAM [ARGUMENT]…\n");
		return 2;
	}
	if (!no_uring(SYS_io_uring_setup, EPERM))
		execvp(argv[1], argv + 1);
	fprintf(stderr, "without-uring: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
