/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the start information of the PVH protocol.
 *
 * Spec: Xen public/arch-x86/hvm/start_info.h, version 1.
 * Threads: main.
 */
#include "vmm/pvh.h"

#include <assert.h>
#include <errno.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "bus/gmem.h"
#include "vmm/bootparams.h"
#include "vmm/loader.h"

#define PVH_MAGIC 0x336ec578U

struct pvh_start_info {
	le32 magic, version, flags, nr_modules;
	le64 modlist, cmdline, rsdp, memmap;
	le32 memmap_entries, reserved;
};

struct pvh_module {
	le64 base, size, cmdline, reserved;
};

struct pvh_memmap {
	le64 base, size;
	le32 type, reserved;
};

/* The three one behind the other. */
struct pvh_page {
	struct pvh_start_info info;
	struct pvh_module module;
	struct pvh_memmap memmap[E820_MAX];
};

static_assert(sizeof(struct pvh_start_info) == 56, "hvm_start_info");
static_assert(sizeof(struct pvh_module) == 32, "hvm_modlist_entry");
static_assert(sizeof(struct pvh_memmap) == 24, "hvm_memmap_table_entry");

static le64 pvh_at(size_t off)
{
	return le64_make(BOOT_PVH + off);
}

int pvh_write(const struct gmem *gm, const struct boot_config *c,
	      const struct boot_initrd *initrd, struct err *e)
{
	struct pvh_page p = {
		.info = {.magic = le32_make(PVH_MAGIC),
			 .version = le32_make(1),
			 .cmdline = le64_make(BOOT_CMDLINE),
			 .rsdp = le64_make(c->rsdp),
			 .memmap = pvh_at(offsetof(struct pvh_page, memmap)),
			 .memmap_entries = le32_make(c->e820_count)},
	};

	if (c->e820_count > E820_MAX)
		return err_set(e, -E2BIG, "the memory map has %u parts",
			       c->e820_count);
	if (initrd->len) {
		p.info.nr_modules = le32_make(1);
		p.info.modlist = pvh_at(offsetof(struct pvh_page, module));
		p.module.base = le64_make(initrd->base);
		p.module.size = le64_make(initrd->len);
	}
	for (unsigned i = 0; i < c->e820_count; i++)
		p.memmap[i] =
			(struct pvh_memmap){.base = le64_make(c->e820[i].base),
					    .size = le64_make(c->e820[i].len),
					    .type = le32_make(c->e820[i].type)};
	if (gmem_write(gm, BOOT_PVH, &p, sizeof(p)))
		return err_set(e, -E2BIG, "there is no RAM below 640 KiB");
	return bootparams_write_cmdline(gm, c->cmdline, NULL, e);
}
