/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Default MAC addresses: one bit of the board each.
 *
 * Threads: main.
 */
#include "bus/mac.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "bus/device.h"

#define MACS 64U /* bits of board->macs */

static const uint8_t mac_first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

/* The number of m among the defaults; MACS where it is none of them. */
static unsigned mac_index(const struct mac *m)
{
	uint8_t n = (uint8_t)(m->b[5] - mac_first[5]);

	return memcmp(m->b, mac_first, 5) || n >= MACS ? MACS : n;
}

int mac_take(struct board *b, struct mac *m, struct err *e)
{
	unsigned n;

	if (m->is_set && m->b[0] & 1)
		return err_set(e, -EINVAL,
			       "%02x:%02x:%02x:%02x:%02x:%02x is a multicast "
			       "address: clear the lowest bit of the first byte",
			       m->b[0], m->b[1], m->b[2], m->b[3], m->b[4],
			       m->b[5]);
	if (!m->is_set) {
		if (b->macs == UINT64_MAX)
			return err_set(e, -ENOSPC,
				       "all %u default MAC addresses are taken:"
				       " give one by mac=",
				       MACS);
		n = (unsigned)__builtin_ctzll(~b->macs);
		memcpy(m->b, mac_first, sizeof(m->b));
		m->b[5] = (uint8_t)(mac_first[5] + n);
		m->is_set = true;
	}
	n = mac_index(m);
	if (n < MACS)
		b->macs |= BIT(n);
	return 0;
}

void mac_release(struct board *b, const struct mac *m)
{
	unsigned n = mac_index(m);

	if (n < MACS)
		b->macs &= ~BIT(n);
}
