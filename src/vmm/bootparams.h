/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zero page (struct boot_params) and what it points to.
 *
 * Spec: Linux Documentation/x86/zero-page.rst, boot.rst "Details".
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct boot_config;
struct bzimage;
struct gmem;

/* Fixed places below BOOT_LOW_END. */
enum {
	BOOT_GDT = 0x1000,
	BOOT_PVH = 0x2000, /* start info, modules, memory map */
	BOOT_STACK_TOP = 0x7000,
	BOOT_PARAMS = 0x7000, /* the zero page */
	BOOT_TABLES = 0x8000, /* page tables */
	BOOT_TABLES_END = 0x14000,
	BOOT_CMDLINE = 0x20000,
	BOOT_CMDLINE_END = 0x30000,
	BOOT_SETUP_DATA = 0x30000, /* up to BOOT_LOW_END */
};

/* Where the initrd is; len 0: there is none. */
struct boot_initrd {
	gpa_t base;
	uint64_t len;
};

/* What the zero page says beside the configuration. */
struct bootparams {
	const struct bzimage *bz; /* the kernel's header; NULL: an ELF kernel */
	struct boot_initrd initrd;
	gpa_t code32;       /* where a bzImage is loaded, 0: nowhere */
	bool kaslr;         /* the kernel runs at a random place */
	const char *suffix; /* added to the command line, or NULL */
};

/*
 * Writes the zero page at BOOT_PARAMS, the command line, and the setup data
 * (random seed, device tree). -E2BIG: the device tree does not fit.
 */
int bootparams_write(const struct gmem *gm, const struct boot_config *c,
		     const struct bootparams *p, struct err *e);

/* Writes the command line at BOOT_CMDLINE. -E2BIG: too long for that place. */
int bootparams_write_cmdline(const struct gmem *gm, const char *cmdline,
			     const char *suffix, struct err *e);
