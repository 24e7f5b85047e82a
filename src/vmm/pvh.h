/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start information of kernels that are entered by the PVH protocol.
 *
 * Spec: Xen public/arch-x86/hvm/start_info.h, version 1.
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct boot_config;
struct boot_initrd;
struct gmem;

/* Writes it at BOOT_PVH (for %ebx), and the command line. */
int pvh_write(const struct gmem *gm, const struct boot_config *c,
	      const struct boot_initrd *initrd, struct err *e);
