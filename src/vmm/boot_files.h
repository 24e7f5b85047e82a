/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a guest boots from, open for as long as it may be reset.
 *
 * Threads: main.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/types.h"
#include "vmm/image_cache.h"

struct vm_config;

/* Zeroed: nothing is open. */
struct boot_files {
	int kernel, initrd; /* -1: not given */
	void *dtb;          /* -dtb's contents, or NULL */
	size_t dtb_size;
	struct image_cache images;
	bool is_open;
};

/*
 * Opens -kernel and -initrd and reads -dtb, where they are given, and opens the
 * cache of kernels; see image_cache_open().
 */
int boot_files_open(struct boot_files *f, const struct vm_config *c,
		    const char *kernel_cache, struct err *e);
void boot_files_close(struct boot_files *f);
