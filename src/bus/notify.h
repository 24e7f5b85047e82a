/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbells that the host kernel can watch for us: a guest write to an address
 * (with a value) signals an eventfd without leaving the kernel (ioeventfd).
 * The machine plugs in KVM; without it the write arrives at the region's
 * handler, which signals the same eventfd itself.
 *
 * Threads: main or any vCPU; a sink is thread-safe.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct notify_sink {
	/*
	 * Watches writes of `value` and `size` bytes at addr (size 0: any
	 * width and value) of memory, or of ports. 0, or -errno where the host
	 * cannot: the caller then relies on the trapped write.
	 */
	int (*add)(void *opaque, bool is_port, uint64_t addr, unsigned size,
		   uint64_t value, int eventfd);
	void (*del)(void *opaque, bool is_port, uint64_t addr, unsigned size,
		    uint64_t value, int eventfd);
	void *opaque;
};
