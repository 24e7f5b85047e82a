/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes segments, page tables and registers for entering a kernel.
 *
 * Spec: Linux Documentation/x86/boot.rst, "32-bit Boot Protocol" and "64-bit
 *       Boot Protocol"; Xen docs/misc/pvh.pandoc; Intel SDM volume 3,
 *       3.4.5 (descriptors), 4.5 (4-level paging).
 * Threads: main.
 */
#include "vmm/entry.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "vmm/bootparams.h"

#define ENTRY_CS 0x10
#define ENTRY_DS 0x18

/* Flat segments: present, ring 0, accessed. */
#define DESC_CODE64 0x00af9b000000ffffULL
#define DESC_CODE32 0x00cf9b000000ffffULL
#define DESC_DATA   0x00cf93000000ffffULL

#define CR0_PE   0x00000001U
#define CR0_ET   0x00000010U
#define CR0_PG   0x80000000U
#define CR4_PAE  0x00000020U
#define EFER_LME 0x00000100U
#define EFER_LMA 0x00000400U
#define RFLAGS_1 0x00000002U /* always set; interrupts are off */

#define PTE_TABLE (1U | 2U) /* present, writable */
#define PTE_LARGE (PTE_TABLE | 0x80U)
#define PT_SIZE   4096U
#define PT_SLOTS  512U

static int entry_gdt(const struct gmem *gm, uint64_t code,
		     struct vcpu_boot *ret, struct err *e)
{
	uint64_t gdt[4] = {0, 0, htole64(code), htole64(DESC_DATA)};

	if (gmem_write(gm, BOOT_GDT, gdt, sizeof(gdt)))
		return err_set(e, -E2BIG, "there is no RAM below 640 KiB");
	ret->gdt = BOOT_GDT;
	ret->gdt_limit = sizeof(gdt) - 1;
	ret->cs = ENTRY_CS;
	ret->ds = ENTRY_DS;
	ret->rflags = RFLAGS_1;
	ret->rsp = BOOT_STACK_TOP;
	return 0;
}

/* The page tables being made, in low memory. */
struct tables {
	uint8_t *base;  /* host address of BOOT_TABLES, the top level */
	unsigned count; /* tables used */
};

/* The table that a slot of another refers to; made where there is none. */
static uint8_t *tables_next(struct tables *t, uint8_t *slot)
{
	uint64_t entry = load_le64(slot);
	uint8_t *next;

	if (entry)
		return t->base + (align_down(entry, PT_SIZE) - BOOT_TABLES);
	if (t->count == (BOOT_TABLES_END - BOOT_TABLES) / PT_SIZE)
		return NULL;
	next = t->base + t->count * PT_SIZE;
	memset(next, 0, PT_SIZE);
	store_le64(slot, (BOOT_TABLES + t->count++ * PT_SIZE) | PTE_TABLE);
	return next;
}

/* Maps the GiB that has gpa, in pages of 2 MiB. */
static bool tables_map_gib(struct tables *t, gpa_t gpa)
{
	uint8_t *pdpt, *pd;

	pdpt = tables_next(t, t->base + (gpa >> 39) % PT_SLOTS * 8);
	if (!pdpt)
		return false;
	pd = tables_next(t, pdpt + (gpa >> 30) % PT_SLOTS * 8);
	if (!pd)
		return false;
	for (unsigned i = 0; i < PT_SLOTS; i++)
		store_le64(pd + i * 8,
			   align_down(gpa, GIB) | i * 2 * MIB | PTE_LARGE);
	return true;
}

static int entry_paging(const struct gmem *gm, gpa_t kernel, uint64_t len,
			struct err *e)
{
	struct tables t = {.count = 1};

	t.base = gmem_ptr(gm, BOOT_TABLES, BOOT_TABLES_END - BOOT_TABLES);
	if (!t.base)
		return err_set(e, -E2BIG, "there is no RAM below 640 KiB");
	memset(t.base, 0, PT_SIZE);
	for (gpa_t at = 0; at < 4 * GIB; at += GIB)
		if (!tables_map_gib(&t, at))
			return err_set(e, -E2BIG, "too many page tables");
	for (gpa_t at = align_down(kernel, GIB); at < kernel + len; at += GIB)
		if (at >= 4 * GIB && !tables_map_gib(&t, at))
			return err_set(e, -E2BIG, "too many page tables");
	return 0;
}

int entry_64(const struct gmem *gm, gpa_t rip, gpa_t kernel, uint64_t len,
	     struct vcpu_boot *ret, struct err *e)
{
	struct vcpu_boot b = {
		.rip = rip,
		.rsi = BOOT_PARAMS,
		.cr0 = CR0_PE | CR0_ET | CR0_PG,
		.cr3 = BOOT_TABLES,
		.cr4 = CR4_PAE,
		.efer = EFER_LME | EFER_LMA,
		.long_mode = true,
	};
	int rc = entry_gdt(gm, DESC_CODE64, &b, e);

	if (!rc)
		rc = entry_paging(gm, kernel, len, e);
	if (!rc)
		*ret = b;
	return rc;
}

int entry_32(const struct gmem *gm, gpa_t rip, struct vcpu_boot *ret,
	     struct err *e)
{
	struct vcpu_boot b = {
		.rip = rip,
		.rsi = BOOT_PARAMS,
		.cr0 = CR0_PE | CR0_ET,
	};
	int rc = entry_gdt(gm, DESC_CODE32, &b, e);

	if (!rc)
		*ret = b;
	return rc;
}

int entry_pvh(const struct gmem *gm, gpa_t rip, struct vcpu_boot *ret,
	      struct err *e)
{
	int rc = entry_32(gm, rip, ret, e);

	if (rc)
		return rc;
	ret->rsi = 0;
	ret->rbx = BOOT_PVH;
	return 0;
}
