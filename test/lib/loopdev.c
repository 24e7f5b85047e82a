/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a free loop device.
 *
 * Threads: as the header.
 */
#include "test/lib/loopdev.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int loopdev_number(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), i;

	if (control < 0)
		return -1;
	i = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	return i;
}

/* Another process may have been faster. */
static int loopdev_take(struct loopdev *d, int file)
{
	struct loop_config c = {
		.fd = (uint32_t)file,
		.block_size = LOOPDEV_BLOCK,
		.info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
	};

	for (unsigned tries = 0; tries < 8; tries++) {
		int i = loopdev_number();

		if (i < 0)
			return -1;
		(void)snprintf(d->path, sizeof(d->path), "/dev/loop%d", i);
		d->fd = open(d->path, O_RDWR | O_CLOEXEC);
		if (d->fd < 0)
			return -1;
		if (!ioctl(d->fd, LOOP_CONFIGURE, &c))
			return 0;
		close(d->fd);
	}
	return -1;
}

int loopdev_new(struct loopdev *d, const char *file)
{
	int fd = open(file, O_RDWR | O_CLOEXEC), r;

	d->fd = -1;
	if (fd < 0)
		return -1;
	r = loopdev_take(d, fd);
	close(fd);
	return r;
}
