/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF kernel inside a bzImage: unpacked, put in place and relocated by
 * vireo, so that the guest does not run its own decompressor.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "vmm/bootmem.h"
#include "vmm/decompress.h"
#include "vmm/elf.h"

struct boot_file;
struct bzimage;
struct gmem;

struct vmlinux {
	const struct boot_file *file;
	enum codec codec;
	uint64_t stream, stream_len; /* compressed, in the file */
	uint64_t unpacked;           /* bytes that it unpacks to */
	struct elf_image elf;        /* in what it unpacks to */
	bool has_table;              /* of relocations, behind the ELF file */
};

/*
 * Looks into the payload. -ENOTSUP: the kernel is not at fault, but its own
 * code has to unpack it. -EINVAL: it is corrupt.
 */
int vmlinux_open(struct vmlinux *v, const struct boot_file *file,
		 const struct bzimage *bz, struct err *e);

/*
 * How the unpacked file lies around the kernel's origin (the address of its
 * first segment): it begins lead bytes below it, so that most of it need not
 * be moved.
 */
struct vmlinux_plan {
	struct bootmem_shape shape; /* all memory that is written */
	int64_t lead;
	bool upwards; /* segments move up from where they are unpacked */
};

/*
 * Segments move down, or, where that does not fit the memory, up. -EINVAL:
 * there is no such plan for this kernel.
 */
int vmlinux_plan(const struct vmlinux *v, uint64_t align, bool upwards,
		 struct vmlinux_plan *ret, struct err *e);

struct vmlinux_place {
	const struct gmem *gmem;
	gpa_t origin;           /* fits the plan's shape */
	bool fresh;             /* memory is zero */
	void *scratch;          /* as in struct unpack_out */
	size_t scratch_len;
};

/* A kernel that is unpacked and in its place: host addresses. */
struct vmlinux_job {
	const struct vmlinux *v;
	uint8_t *origin;
	const uint8_t *table; /* of relocations; until vmlinux_finish() */
	uint64_t table_len;   /* 0: none */
	bool fresh;
	struct unpack_out out;
};

/* Unpacks it and moves its segments to their places. */
int vmlinux_unpack(const struct vmlinux *v, const struct vmlinux_plan *plan,
		   const struct vmlinux_place *place, struct vmlinux_job *ret,
		   struct err *e);

/* Relocates it by delta, and zeroes what the file does not cover. */
int vmlinux_finish(struct vmlinux_job *j, uint64_t delta, struct err *e);
