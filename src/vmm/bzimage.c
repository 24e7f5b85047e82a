/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses the setup header of a Linux/x86 kernel image.
 *
 * Spec: Linux Documentation/x86/boot.rst, "The Real-Mode Kernel Header".
 * Threads: main.
 */
#include "vmm/bzimage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/num.h"

/* Offsets in the file. */
enum {
	HDR_SETUP_SECTS = 0x1f1,
	HDR_SYSSIZE = 0x1f4, /* units of 16 bytes */
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP = 0x200, /* short jump: its target ends the header */
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_LOADFLAGS = 0x211,
	HDR_INITRD_ADDR_MAX = 0x22c,
	HDR_KERNEL_ALIGNMENT = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_XLOADFLAGS = 0x236,
	HDR_CMDLINE_SIZE = 0x238,
	HDR_PAYLOAD_OFFSET = 0x248,
	HDR_PAYLOAD_LENGTH = 0x24c,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_END_2_10 = 0x264,
};

#define HDR_BOOT_FLAG_VALUE 0xaa55U
#define HDR_MAGIC_VALUE     0x53726448U /* "HdrS" */
#define SECTOR              512U
#define INIT_SIZE_MAX       (1U << 30) /* the kernel's own window */

bool bzimage_probe(const void *head, size_t len)
{
	const uint8_t *h = head;

	return len >= HDR_END_2_10 &&
	       load_le16(h + HDR_BOOT_FLAG) == HDR_BOOT_FLAG_VALUE &&
	       load_le32(h + HDR_MAGIC) == HDR_MAGIC_VALUE;
}

/* Copies what the zero page takes over: up to the target of the jump. */
static int bzimage_header(const uint8_t *h, size_t len, struct bzimage *b,
			  struct err *e)
{
	size_t end = HDR_MAGIC + h[HDR_JUMP + 1];

	if (end < HDR_END_2_10 || end > len)
		return err_set(e, -EINVAL,
			       "the setup header ends at 0x%zx, which cannot "
			       "be",
			       end);
	b->header_len = MIN(end - BZIMAGE_HEADER_AT, sizeof(b->header));
	memcpy(b->header, h + BZIMAGE_HEADER_AT, b->header_len);
	return 0;
}

/* The parts of the file; the payload is optional. */
static int bzimage_layout(const uint8_t *h, uint64_t file_size,
			  struct bzimage *b, struct err *e)
{
	unsigned sects = h[HDR_SETUP_SECTS] ? h[HDR_SETUP_SECTS] : 4;
	uint64_t syssize = load_le32(h + HDR_SYSSIZE) * 16ULL;
	uint32_t off = load_le32(h + HDR_PAYLOAD_OFFSET);
	uint32_t len = load_le32(h + HDR_PAYLOAD_LENGTH);

	b->setup_size = (sects + 1ULL) * SECTOR;
	if (file_size <= b->setup_size)
		return err_set(e, -EINVAL,
			       "%" PRIu64 " bytes are less than its setup "
			       "code, is it truncated?",
			       file_size);
	b->kernel_size = file_size - b->setup_size;
	/* syssize counts whole paragraphs; a signature may follow. */
	if (b->kernel_size + 15 < syssize)
		return err_set(e, -EINVAL,
			       "it says that it has %" PRIu64
			       " bytes and has %" PRIu64 ": truncated",
			       syssize + b->setup_size, file_size);
	b->kernel_size =
		syssize ? MIN(b->kernel_size, syssize) : b->kernel_size;
	if (!off || !len)
		return 0;
	if (!range_ok(off, len, b->kernel_size))
		return err_set(e, -EINVAL,
			       "its payload of %u bytes at %u is not in it",
			       len, off);
	b->payload = b->setup_size + off;
	b->payload_len = len;
	return 0;
}

static int bzimage_limits(const uint8_t *h, struct bzimage *b, struct err *e)
{
	b->loadflags = h[HDR_LOADFLAGS];
	b->relocatable = h[HDR_RELOCATABLE];
	b->alignment = load_le32(h + HDR_KERNEL_ALIGNMENT);
	b->cmdline_max = load_le32(h + HDR_CMDLINE_SIZE);
	b->initrd_max = load_le32(h + HDR_INITRD_ADDR_MAX);
	b->pref_address = load_le64(h + HDR_PREF_ADDRESS);
	b->init_size = load_le32(h + HDR_INIT_SIZE);
	if (b->version >= 0x20c)
		b->xloadflags = load_le16(h + HDR_XLOADFLAGS);
	if (!(b->loadflags & LOADED_HIGH))
		return err_set(e, -EINVAL,
			       "a zImage, which loads below 1 MiB: build a "
			       "bzImage");
	if (!is_pow2(b->alignment))
		return err_set(e, -EINVAL,
			       "its alignment 0x%x is not a power of two",
			       b->alignment);
	if (!b->init_size || b->init_size > INIT_SIZE_MAX)
		return err_set(e, -EINVAL, "its init_size 0x%x is out of range",
			       b->init_size);
	if (b->pref_address < MIB || b->pref_address > UINT32_MAX)
		return err_set(e, -EINVAL,
			       "its preferred address 0x%" PRIx64
			       " is out of range",
			       b->pref_address);
	return 0;
}

int bzimage_parse(const void *head, size_t len, uint64_t file_size,
		  struct bzimage *ret, struct err *e)
{
	const uint8_t *h = head;
	struct bzimage b = {0};
	int rc;

	if (!bzimage_probe(head, len))
		return err_set(e, -EINVAL, "it has no setup header");
	b.version = load_le16(h + HDR_VERSION);
	if (b.version < 0x20a)
		return err_set(e, -EINVAL,
			       "boot protocol %u.%02u is older than 2.10 "
			       "(Linux 2.6.31)",
			       b.version >> 8, b.version & 0xff);
	rc = bzimage_header(h, len, &b, e);
	if (!rc)
		rc = bzimage_layout(h, file_size, &b, e);
	if (!rc)
		rc = bzimage_limits(h, &b, e);
	if (!rc)
		*ret = b;
	return rc;
}
