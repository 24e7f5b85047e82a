/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses x86-64 ELF kernels.
 *
 * Spec: System V ABI (gABI 4.1, x86-64 psABI); Xen public/elfnote.h.
 * Threads: main.
 */
#include "vmm/elf.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"
#include "base/num.h"

#define ELF_NOTE_PHYS32_ENTRY 18U /* XEN_ELFNOTE_PHYS32_ENTRY */

static_assert(sizeof(Elf64_Ehdr) == 64, "ELF-64 header");
static_assert(sizeof(Elf64_Phdr) == 56, "ELF-64 program header");

bool elf_probe(const void *head, size_t len)
{
	return len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

static int elf_check_header(const Elf64_Ehdr *h, struct err *e)
{
	if (h->e_ident[EI_CLASS] == ELFCLASS32)
		return err_set(e, -ENOEXEC,
			       "a 32-bit ELF file; vireo runs x86-64 kernels");
	if (h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_ident[EI_DATA] != ELFDATA2LSB)
		return err_set(e, -ENOEXEC,
			       "an ELF file of another byte order or class");
	if (h->e_machine != EM_X86_64)
		return err_set(e, -ENOEXEC,
			       "an ELF file for machine %u, not x86-64 (62)",
			       h->e_machine);
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return err_set(e, -EINVAL,
			       "an ELF file of type %u, not an executable",
			       h->e_type);
	if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum ||
	    h->e_phoff < sizeof(*h))
		return err_set(e, -EINVAL,
			       "an ELF file without usable program headers");
	return 0;
}

static int elf_add_seg(struct elf_image *elf, const Elf64_Phdr *p,
		       uint64_t file_size, struct err *e)
{
	unsigned at = elf->count;
	uint64_t end;

	if (!p->p_memsz)
		return 0;
	if (p->p_filesz > p->p_memsz || !add_ok(p->p_paddr, p->p_memsz, &end))
		return err_set(e, -EINVAL,
			       "its segment at 0x%" PRIx64 " is malformed",
			       (uint64_t)p->p_paddr);
	if (!range_ok(p->p_offset, p->p_filesz, file_size))
		return err_set(e, -EINVAL,
			       "its segment at 0x%" PRIx64
			       " is not all in the file, is it truncated?",
			       (uint64_t)p->p_paddr);
	if (at == ELF_SEGS_MAX)
		return err_set(e, -EINVAL, "it has more than %d segments",
			       ELF_SEGS_MAX);
	for (; at && elf->segs[at - 1].paddr > p->p_paddr; at--)
		elf->segs[at] = elf->segs[at - 1];
	elf->segs[at] = (struct elf_seg){.off = p->p_offset,
					 .file_len = p->p_filesz,
					 .paddr = p->p_paddr,
					 .vaddr = p->p_vaddr,
					 .mem_len = p->p_memsz};
	elf->count++;
	return 0;
}

static int elf_add(struct elf_image *elf, const Elf64_Phdr *p,
		   uint64_t file_size, struct err *e)
{
	if (p->p_type == PT_LOAD)
		return elf_add_seg(elf, p, file_size, e);
	if (p->p_type == PT_NOTE && elf->note_count < ELF_NOTES_MAX &&
	    range_ok(p->p_offset, p->p_filesz, file_size)) {
		elf->notes[elf->note_count].off = p->p_offset;
		elf->notes[elf->note_count].len = p->p_filesz;
		elf->note_count++;
	}
	return 0;
}

static int elf_check_segs(struct elf_image *elf, struct err *e)
{
	const struct elf_seg *last;

	if (!elf->count)
		return err_set(e, -EINVAL, "it has nothing to load");
	for (unsigned i = 1; i < elf->count; i++)
		if (elf->segs[i - 1].paddr + elf->segs[i - 1].mem_len >
		    elf->segs[i].paddr)
			return err_set(e, -EINVAL,
				       "its segments overlap at 0x%" PRIx64,
				       elf->segs[i].paddr);
	last = &elf->segs[elf->count - 1];
	elf->low = elf->segs[0].paddr;
	elf->high = last->paddr + last->mem_len;
	return 0;
}

bool elf_has_address(const struct elf_image *elf, uint64_t paddr)
{
	for (unsigned i = 0; i < elf->count; i++)
		if (paddr - elf->segs[i].paddr < elf->segs[i].mem_len)
			return true;
	return false;
}

/* Linux gives the entry as physical address, others may as virtual. */
static int elf_find_entry(struct elf_image *elf, uint64_t entry, struct err *e)
{
	elf->entry = entry;
	if (elf_has_address(elf, entry))
		return 0;
	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_seg *s = &elf->segs[i];

		if (entry - s->vaddr < s->mem_len) {
			elf->entry = s->paddr + (entry - s->vaddr);
			return 0;
		}
	}
	return err_set(e, -EINVAL, "its entry 0x%" PRIx64 " is in no segment",
		       entry);
}

/* Sections are not loaded, but in a kernel payload their table is the last of
 * the ELF file, and the relocation table follows. */
static uint64_t elf_file_end(const struct elf_image *elf, const Elf64_Ehdr *h,
			     uint64_t file_size)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < elf->count; i++)
		end = MAX(end, elf->segs[i].off + elf->segs[i].file_len);
	if (h->e_shentsize == sizeof(Elf64_Shdr) && h->e_shnum &&
	    range_ok(h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr), file_size))
		end = MAX(end, h->e_shoff + h->e_shnum * sizeof(Elf64_Shdr));
	return end;
}

int elf_parse(const void *head, size_t len, uint64_t file_size,
	      struct elf_image *ret, struct err *e)
{
	struct elf_image elf = {0};
	Elf64_Ehdr h;
	int rc;

	if (!elf_probe(head, len) || len < sizeof(h))
		return err_set(e, -EINVAL, "it is no complete ELF header");
	memcpy(&h, head, sizeof(h));
	rc = elf_check_header(&h, e);
	if (rc)
		return rc;
	if (!range_ok(h.e_phoff, h.e_phnum * sizeof(Elf64_Phdr), len))
		return err_set(e, -EINVAL,
			       "its program headers are not in its first %zu "
			       "bytes",
			       len);
	for (unsigned i = 0; !rc && i < h.e_phnum; i++) {
		Elf64_Phdr p;

		memcpy(&p, (const char *)head + h.e_phoff + i * sizeof(p),
		       sizeof(p));
		rc = elf_add(&elf, &p, file_size, e);
	}
	if (!rc)
		rc = elf_check_segs(&elf, e);
	if (!rc)
		rc = elf_find_entry(&elf, h.e_entry, e);
	if (rc)
		return rc;
	elf.file_end = elf_file_end(&elf, &h, file_size);
	*ret = elf;
	return 0;
}

static void elf_note(const char *owner, size_t owner_len, uint32_t type,
		     const uint8_t *desc, size_t len, struct elf_notes *n)
{
	uint64_t entry = 0;

	if (owner_len == sizeof("Linux") && !memcmp(owner, "Linux", owner_len))
		n->is_linux = true;
	if (owner_len != sizeof("Xen") || memcmp(owner, "Xen", owner_len) ||
	    type != ELF_NOTE_PHYS32_ENTRY || (len != 4 && len != 8))
		return;
	memcpy(&entry, desc, len);
	if (entry > UINT32_MAX)
		return;
	n->has_pvh = true;
	n->pvh_entry = entry;
}

void elf_notes_parse(const void *data, size_t len, struct elf_notes *n)
{
	const uint8_t *p = data;
	size_t pos = 0;

	while (len - pos >= sizeof(Elf64_Nhdr)) {
		uint64_t name_len, desc_len;
		Elf64_Nhdr h;

		memcpy(&h, p + pos, sizeof(h));
		pos += sizeof(h);
		name_len = align_up(h.n_namesz, 4);
		desc_len = align_up(h.n_descsz, 4);
		if (!range_ok(name_len, h.n_descsz, len - pos))
			return;
		elf_note((const char *)p + pos, h.n_namesz, h.n_type,
			 p + pos + name_len, h.n_descsz, n);
		pos += MIN(name_len + desc_len, len - pos);
	}
}
