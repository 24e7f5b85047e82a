/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86-64 ELF kernels: what is loaded where, the entry, and the notes.
 *
 * Spec: System V ABI (gABI 4.1, x86-64 psABI); Xen public/elfnote.h.
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

/* The ELF header and the program headers must be in this much of the file. */
#define ELF_HEAD      4096U
#define ELF_SEGS_MAX  16
#define ELF_NOTES_MAX 8

struct elf_seg {
	uint64_t off, file_len; /* in the file */
	uint64_t paddr, vaddr, mem_len;
};

struct elf_image {
	struct elf_seg segs[ELF_SEGS_MAX]; /* loaded ones, by address */
	unsigned count;                    /* at least 1 */
	/* Guest-physical: all segments are in [low, high), the entry in one. */
	uint64_t low, high, entry;
	uint64_t file_end; /* of what the headers name; data may follow it */
	struct {
		uint64_t off, len;
	} notes[ELF_NOTES_MAX];
	unsigned note_count;
};

bool elf_probe(const void *head, size_t len);

/*
 * Parses head[0, len), the start of a file of file_size bytes. -EINVAL: not
 * usable; -ENOEXEC: of another architecture. The message ends a sentence that
 * names the file.
 */
int elf_parse(const void *head, size_t len, uint64_t file_size,
	      struct elf_image *ret, struct err *e);

/* What the notes say; call for each note segment's bytes. */
struct elf_notes {
	bool is_linux;      /* has a note of the Linux kernel's own */
	bool has_pvh;       /* XEN_ELFNOTE_PHYS32_ENTRY */
	uint64_t pvh_entry; /* guest-physical, below 4 GiB */
};

void elf_notes_parse(const void *data, size_t len, struct elf_notes *n);

/* Is address in a segment's memory? */
bool elf_has_address(const struct elf_image *elf, uint64_t paddr);
