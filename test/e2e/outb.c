/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outb PORT VALUE: writes a byte to a port, for guests whose kernel has no
 * /dev/port. Linked statically, for an initramfs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
	if (argc != 3 || iopl(3)) {
		fprintf(stderr, "usage: outb PORT VALUE (as root)\n");
		return 1;
	}
	outb((unsigned char)strtoul(argv[2], NULL, 0),
	     (unsigned short)strtoul(argv[1], NULL, 0));
	return 0;
}
