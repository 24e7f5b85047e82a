/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state in which the boot processor enters a kernel: segments, page
 * tables, registers.
 *
 * Spec: Linux Documentation/x86/boot.rst, "32-bit Boot Protocol" and "64-bit
 *       Boot Protocol"; Xen docs/misc/pvh.pandoc.
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "kvm/vcpu.h"

struct gmem;

/*
 * 64-bit mode with the low 4 GiB and [kernel, kernel + len) identity-mapped,
 * %rsi the zero page.
 */
int entry_64(const struct gmem *gm, gpa_t rip, gpa_t kernel, uint64_t len,
	     struct vcpu_boot *ret, struct err *e);

/* 32-bit protected mode, no paging, %esi the zero page. */
int entry_32(const struct gmem *gm, gpa_t rip, struct vcpu_boot *ret,
	     struct err *e);

/* As entry_32, with %ebx the PVH start information. */
int entry_pvh(const struct gmem *gm, gpa_t rip, struct vcpu_boot *ret,
	      struct err *e);
