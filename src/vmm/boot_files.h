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

struct vm_config;

/* Zeroed: nothing is open. */
struct boot_files {
	int kernel, initrd; /* -1: not given */
	void *dtb;          /* -dtb's contents, or NULL */
	size_t dtb_size;
	bool is_open;
};

/* Opens -kernel and -initrd and reads -dtb, where they are given. */
int boot_files_open(struct boot_files *f, const struct vm_config *c,
		    struct err *e);
void boot_files_close(struct boot_files *f);
