/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console: what comes in goes back, up to a byte of 4 (end of
 * transmission).
 *
 * Spec: VIRTIO 1.2, 5.3.
 */
#include "test/guest/virtio.h"

#define RECEIVE             0
#define TRANSMIT            1
#define END_OF_TRANSMISSION 4

uint32_t guest_main(uint64_t arg)
{
	static struct virtio con;
	static uint8_t buf[300];
	uint32_t len;

	(void)arg;
	virtio_find(&con, 3);
	virtio_start(&con, 0, 2, 16);
	do {
		struct ring_buf b = {virtio_gpa(buf), sizeof(buf), true};

		virtio_send(&con, RECEIVE, &b, 1);
		len = virtio_wait(&con, RECEIVE);
		guest_check(len && len <= sizeof(buf));
		b.len = len;
		b.is_write = false;
		virtio_send(&con, TRANSMIT, &b, 1);
		virtio_wait(&con, TRANSMIT);
	} while (buf[len - 1] != END_OF_TRANSMISSION);
	machine_point("input ends", true);
	return 0;
}
