/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a kernel, its initrd and command line into guest memory and says how
 * the boot CPU enters it.
 *
 * Spec: Linux Documentation/x86/boot.rst (protocol 2.15), zero-page.rst;
 *       Xen PVH start-of-day structure (hvm/start_info.h); ELF-64.
 * Threads: main, before the first vCPU runs.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "kvm/vcpu.h"

struct gmem;
struct image_cache;

enum e820_type {
	E820_RAM = 1,
	E820_RESERVED = 2,
	E820_ACPI = 3,
	E820_NVS = 4,
};

struct e820_entry {
	uint64_t base, len;
	uint32_t type;
};

#define E820_MAX 64

struct boot_config {
	const char *kernel; /* for messages */
	const char *initrd; /* for messages, or NULL */
	int kernel_fd;      /* open for reading; position not used */
	int initrd_fd;      /* -1: no initrd */
	const char *cmdline; /* never NULL */
	bool kaslr;
	bool fresh; /* guest memory is all zero; else the guest was reset */
	bool overlay; /* its pages may be replaced by private mappings */
	struct image_cache *images; /* of unpacked kernels; NULL: none */
	uint64_t seed; /* for KASLR; 0: from getrandom */
	const struct e820_entry *e820; /* sorted, does not overlap */
	unsigned e820_count;
	/* Called before Linux is loaded (any bzImage, an ELF file with its
	 * notes): may it run here? NULL: it may. */
	int (*check_linux)(struct err *e);
	gpa_t rsdp; /* ACPI root pointer, 0: none */
	const void *dtb; /* flattened device tree for the guest, or NULL */
	size_t dtb_size;
};

/*
 * Low memory that the loader and the tables share (all below 640 KiB and
 * RAM): the loader uses [BOOT_LOW_START, BOOT_LOW_END) for the zero page, GDT,
 * page tables and command line; tables go to the BIOS area from 0xe0000.
 */
#define BOOT_LOW_START 0x1000ULL
#define BOOT_LOW_END   0x90000ULL

/*
 * Loads everything; also on a guest's reset inside the jail, where no file can
 * be opened. On success *ret has the registers of the boot CPU. The
 * file is untrusted: -EINVAL (not a kernel, truncated, hostile), -ENOEXEC (a
 * kernel of another architecture), -E2BIG (does not fit the memory, command
 * line too long for this kernel), -EIO and so on from reading.
 */
int boot_load(const struct gmem *gm, const struct boot_config *c,
	      struct vcpu_boot *ret, struct err *e);

/* The initrd and kernel parsers are also entered by fuzzers: see
 * vmm/bzimage.h, vmm/elf.h, vmm/decompress.h. */
