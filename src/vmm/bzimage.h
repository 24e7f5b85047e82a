/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setup header of a Linux/x86 kernel image ("bzImage"): what it says of
 * itself, checked.
 *
 * Spec: Linux Documentation/x86/boot.rst, protocols 2.10 to 2.15.
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

/* What bzimage_parse() looks at: this much of the file's start, or all. */
#define BZIMAGE_HEAD 4096U

/* The header starts here in the file and in the zero page. */
#define BZIMAGE_HEADER_AT  0x1f1U
#define BZIMAGE_HEADER_MAX 0x8fU /* what the zero page has room for */

enum bzimage_loadflags {
	LOADED_HIGH = 1,
	KASLR_FLAG = 2,
	CAN_USE_HEAP = 0x80,
};

enum bzimage_xloadflags {
	XLF_KERNEL_64 = 1,
	XLF_CAN_BE_LOADED_ABOVE_4G = 2,
};

struct bzimage {
	unsigned version;                   /* 0x20f: 2.15 */
	uint8_t header[BZIMAGE_HEADER_MAX]; /* as in the file */
	size_t header_len;
	/* Where in the file, in bytes. */
	uint64_t setup_size;  /* boot sector and setup; the kernel follows */
	uint64_t kernel_size; /* of the part that is loaded */
	uint64_t payload, payload_len; /* compressed vmlinux; 0: none */
	uint8_t loadflags;
	uint16_t xloadflags;
	bool relocatable;
	uint32_t alignment;    /* power of two, of the load address */
	uint32_t cmdline_max;  /* without the final NUL */
	uint64_t initrd_max;   /* highest address of its last byte */
	uint64_t pref_address; /* guest-physical */
	uint32_t init_size;    /* memory it needs from its load address */
};

/* Does the file begin like a bzImage? */
bool bzimage_probe(const void *head, size_t len);

/*
 * Parses head[0, len), the start of a file of file_size bytes. -EINVAL: not
 * usable, the message ends a sentence that names the file.
 */
int bzimage_parse(const void *head, size_t len, uint64_t file_size,
		  struct bzimage *ret, struct err *e);
