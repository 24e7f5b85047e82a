/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills in the zero page (struct boot_params), the command line and the list
 * of setup data.
 *
 * Spec: Linux Documentation/x86/zero-page.rst, boot.rst "The Real-Mode Kernel
 *       Header"; arch/x86/include/uapi/asm/bootparam.h.
 * Threads: main.
 * Syscalls: main: getrandom
 */
#include "vmm/bootparams.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "vmm/bzimage.h"
#include "vmm/loader.h"

/* Offsets in the zero page; those from 0x1f1 on are the setup header's. */
enum {
	BP_SIZE = 4096,
	BP_ACPI_RSDP_ADDR = 0x070,
	BP_EXT_RAMDISK_IMAGE = 0x0c0, /* upper halves */
	BP_EXT_RAMDISK_SIZE = 0x0c4,
	BP_E820_ENTRIES = 0x1e8,
	BP_BOOT_FLAG = 0x1fe,
	BP_HEADER = 0x202,
	BP_VERSION = 0x206,
	BP_VID_MODE = 0x1fa,
	BP_TYPE_OF_LOADER = 0x210,
	BP_LOADFLAGS = 0x211,
	BP_CODE32_START = 0x214,
	BP_RAMDISK_IMAGE = 0x218,
	BP_RAMDISK_SIZE = 0x21c,
	BP_CMD_LINE_PTR = 0x228,
	BP_INITRD_ADDR_MAX = 0x22c,
	BP_KERNEL_ALIGNMENT = 0x230,
	BP_CMDLINE_SIZE = 0x238,
	BP_SETUP_DATA = 0x250,
	BP_E820_TABLE = 0x2d0, /* 20 bytes each */
};

#define BP_E820_SIZE      20U
#define LOADER_UNDEFINED  0xffU /* type_of_loader without an assigned number */
#define VID_MODE_NORMAL   0xffffU
#define CMDLINE_SIZE_ELF  2047U /* x86's COMMAND_LINE_SIZE, less its NUL */
#define SETUP_HEADER_SIZE 16U
#define SETUP_DTB         2U
#define SETUP_RNG_SEED    9U
#define RNG_SEED_BYTES    32U

static_assert(BP_E820_TABLE + E820_MAX * BP_E820_SIZE <= BP_SIZE, "e820 fits");

/* An ELF kernel has no header of its own: what the kernel looks at. */
static void bootparams_elf_header(uint8_t *bp)
{
	store_le16(bp + BP_BOOT_FLAG, 0xaa55);
	memcpy(bp + BP_HEADER, "HdrS", 4);
	store_le16(bp + BP_VERSION, 0x20f);
	bp[BP_LOADFLAGS] = LOADED_HIGH;
	store_le32(bp + BP_INITRD_ADDR_MAX, INT32_MAX);
	store_le32(bp + BP_KERNEL_ALIGNMENT, 2 * MIB);
	store_le32(bp + BP_CMDLINE_SIZE, CMDLINE_SIZE_ELF);
}

static void bootparams_e820(uint8_t *bp, const struct boot_config *c)
{
	for (unsigned i = 0; i < c->e820_count; i++) {
		uint8_t *entry = bp + BP_E820_TABLE + i * BP_E820_SIZE;

		store_le64(entry, c->e820[i].base);
		store_le64(entry + 8, c->e820[i].len);
		store_le32(entry + 16, c->e820[i].type);
	}
	bp[BP_E820_ENTRIES] = (uint8_t)c->e820_count;
}

static void bootparams_initrd(uint8_t *bp, const struct boot_initrd *initrd)
{
	store_le32(bp + BP_RAMDISK_IMAGE, (uint32_t)initrd->base);
	store_le32(bp + BP_RAMDISK_SIZE, (uint32_t)initrd->len);
	store_le32(bp + BP_EXT_RAMDISK_IMAGE, (uint32_t)(initrd->base >> 32));
	store_le32(bp + BP_EXT_RAMDISK_SIZE, (uint32_t)(initrd->len >> 32));
}

/* Appends an entry to the list of setup data that ends at *at. */
static int setup_data_add(const struct gmem *gm, gpa_t *at, gpa_t *last,
			  uint32_t type, const void *data, uint64_t len)
{
	uint8_t header[SETUP_HEADER_SIZE] = {0}, link[8];
	int rc;

	if (!range_ok(SETUP_HEADER_SIZE, len, BOOT_LOW_END - *at))
		return -E2BIG;
	store_le32(header + 8, type);
	store_le32(header + 12, (uint32_t)len);
	store_le64(link, *at);
	rc = gmem_write(gm, *at, header, sizeof(header));
	if (!rc)
		rc = gmem_write(gm, *at + sizeof(header), data, len);
	if (!rc)
		rc = gmem_write(gm, *last, link, sizeof(link));
	*last = *at;
	*at = align_up(*at + SETUP_HEADER_SIZE + len, 16);
	return rc;
}

/*
 * The seed spares the kernel the wait for its first random numbers (Linux 6.0;
 * older ones ignore it, all erase it after use).
 */
static int bootparams_setup_data(const struct gmem *gm,
				 const struct boot_config *c, struct err *e)
{
	gpa_t at = BOOT_SETUP_DATA, last = BOOT_PARAMS + BP_SETUP_DATA;
	uint8_t seed[RNG_SEED_BYTES];
	int rc = 0;

	if (getrandom(seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
		rc = setup_data_add(gm, &at, &last, SETUP_RNG_SEED, seed,
				    sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
	if (rc)
		return err_set_errno(e, rc, "no room for the random seed");
	if (!c->dtb)
		return 0;
	rc = setup_data_add(gm, &at, &last, SETUP_DTB, c->dtb, c->dtb_size);
	if (rc)
		return err_set(e, rc,
			       "the device tree of %zu bytes does not fit in "
			       "low memory",
			       c->dtb_size);
	return 0;
}

int bootparams_write_cmdline(const struct gmem *gm, const char *cmdline,
			     const char *suffix, struct err *e)
{
	size_t len = strlen(cmdline), more = suffix ? strlen(suffix) : 0;

	if (len + more >= BOOT_CMDLINE_END - BOOT_CMDLINE)
		return err_set(e, -E2BIG,
			       "the command line of %zu bytes does not fit in "
			       "64 KiB",
			       len + more);
	if (gmem_write(gm, BOOT_CMDLINE, cmdline, len) ||
	    gmem_write(gm, BOOT_CMDLINE + len, suffix, more) ||
	    gmem_set(gm, BOOT_CMDLINE + len + more, 0, 1))
		return err_set(e, -E2BIG, "there is no RAM below 640 KiB");
	return 0;
}

static void bootparams_fill(uint8_t *bp, const struct boot_config *c,
			    const struct bootparams *p)
{
	memset(bp, 0, BP_SIZE);
	if (p->bz)
		memcpy(bp + BZIMAGE_HEADER_AT, p->bz->header,
		       p->bz->header_len);
	else
		bootparams_elf_header(bp);
	bp[BP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	bp[BP_LOADFLAGS] = LOADED_HIGH | (p->kaslr ? KASLR_FLAG : 0);
	if (p->code32)
		store_le32(bp + BP_CODE32_START, (uint32_t)p->code32);
	store_le16(bp + BP_VID_MODE, VID_MODE_NORMAL);
	store_le32(bp + BP_CMD_LINE_PTR, BOOT_CMDLINE);
	store_le64(bp + BP_SETUP_DATA, 0);
	store_le64(bp + BP_ACPI_RSDP_ADDR, c->rsdp);
	bootparams_initrd(bp, &p->initrd);
	bootparams_e820(bp, c);
}

int bootparams_write(const struct gmem *gm, const struct boot_config *c,
		     const struct bootparams *p, struct err *e)
{
	uint8_t *bp = gmem_ptr(gm, BOOT_PARAMS, BP_SIZE);
	int rc;

	if (!bp)
		return err_set(e, -E2BIG, "there is no RAM below 640 KiB");
	if (c->e820_count > E820_MAX)
		return err_set(e, -E2BIG, "the memory map has %u parts",
			       c->e820_count);
	bootparams_fill(bp, c, p);
	rc = bootparams_write_cmdline(gm, c->cmdline, p->suffix, e);
	return rc ? rc : bootparams_setup_data(gm, c, e);
}
