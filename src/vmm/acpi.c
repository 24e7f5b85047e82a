/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the ACPI tables of a board: hardware-reduced, so there is no SCI, no
 * PM timer and no FACS; devices are found in the DSDT.
 *
 * Spec: ACPI 6.4, 5.2 (tables), 4.8.3.7 (sleep registers), 5.2.12 (MADT);
 *       Linux drivers/virtio/virtio_mmio.c (LNRO0005).
 * Threads: main.
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "vmm/aml.h"
#include "vmm/tables.h"

#define ACPI_HEADER_LEN   36U
#define ACPI_OEM_ID       "VIREO "
#define ACPI_CREATOR      "VIRE"
#define ACPI_CREATOR_REV  1U
#define ACPI_ALIGN        16U
#define ACPI_ADDRESS_MAX  UINT32_MAX /* the RSDT-era fields are 32 bits */
#define ACPI_SLEEP_TYPE_5 5U         /* what \_S5 gives the sleep register */

enum {
	HEADER_LENGTH = 4,
	HEADER_REVISION = 8,
	HEADER_CHECKSUM = 9,
	HEADER_OEM_ID = 10,
	HEADER_OEM_TABLE_ID = 16,
	HEADER_OEM_REVISION = 24,
	HEADER_CREATOR = 28,
	HEADER_CREATOR_REVISION = 32,
};

enum {
	FADT_LEN = 276, /* revision 6 */
	FADT_REVISION = 6,
	FADT_DSDT = 40,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_HYPERVISOR = 268,
};

enum {
	FADT_WBINVD = 1U << 0,
	FADT_PWR_BUTTON = 1U << 4, /* no fixed one */
	FADT_SLP_BUTTON = 1U << 5, /* ditto */
	FADT_RESET_REG_SUP = 1U << 10,
	FADT_HW_REDUCED = 1U << 20,
};

enum {
	BOOT_ARCH_LEGACY = 1U << 0,
	BOOT_ARCH_8042 = 1U << 1,
	BOOT_ARCH_NO_VGA = 1U << 2,
	BOOT_ARCH_NO_RTC = 1U << 5,
};

enum {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
};

/* A table begins with its header; its length and sum come last. */
static void acpi_begin(struct aml *t, const struct board_desc *b,
		       const char *signature, uint8_t revision)
{
	uint8_t h[ACPI_HEADER_LEN] = {0};

	memcpy(h, signature, 4);
	h[HEADER_REVISION] = revision;
	memcpy(h + HEADER_OEM_ID, ACPI_OEM_ID, 6);
	memset(h + HEADER_OEM_TABLE_ID, ' ', 8);
	for (unsigned i = 0; i < 8 && b->machine[i]; i++)
		h[HEADER_OEM_TABLE_ID + i] =
			(uint8_t)toupper((unsigned char)b->machine[i]);
	store_le32(h + HEADER_OEM_REVISION, 1);
	memcpy(h + HEADER_CREATOR, ACPI_CREATOR, 4);
	store_le32(h + HEADER_CREATOR_REVISION, ACPI_CREATOR_REV);
	(void)aml_bytes(t, h, sizeof(h)); /* at 0 */
}

static uint8_t acpi_sum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum;
}

static void acpi_finish(struct aml *t)
{
	if (aml_failed(t))
		return;
	store_le32(t->data + HEADER_LENGTH, (uint32_t)t->len);
	t->data[HEADER_CHECKSUM] = 0;
	t->data[HEADER_CHECKSUM] = (uint8_t)-acpi_sum(t->data, t->len);
}

/* Names of devices so far, so that each is one of its own. */
struct acpi_names {
	char used[BOARD_PLAT_MAX][5];
	unsigned count;
};

static bool acpi_name_is_used(const struct acpi_names *n, const char *name)
{
	for (unsigned i = 0; i < n->count; i++)
		if (!strcmp(n->used[i], name))
			return true;
	return false;
}

/* "COM1" for the first, "COM2" for the next, … */
static const char *acpi_name_new(struct acpi_names *n, const char *wanted)
{
	char *name = n->used[n->count];

	memset(name, '_', 4);
	memcpy(name, wanted, strnlen(wanted, 4)); /* the rest stays '_' */
	name[4] = 0;
	for (char last = '1'; acpi_name_is_used(n, name) && last <= '9'; last++)
		name[3] = last;
	n->count++;
	return name;
}

/* How many devices with this id come before the i-th. */
static unsigned acpi_uid(const struct board_desc *b, unsigned i)
{
	unsigned uid = 0;

	for (unsigned j = 0; j < i; j++) {
		const char *hid = b->plat[j].class->acpi_hid;

		uid += hid && !strcmp(hid, b->plat[i].class->acpi_hid);
	}
	return uid;
}

static void acpi_plat(struct aml *t, const struct board_desc *b, unsigned i,
		      struct acpi_names *names)
{
	const struct plat_resources *r = &b->plat[i].res;
	const struct plat_class *class = b->plat[i].class;
	struct aml_crs crs = {.len = 0};
	size_t device =
		aml_device_begin(t, acpi_name_new(names, class->acpi_name));

	aml_name_hid(t, "_HID", class->acpi_hid);
	aml_name_int(t, "_UID", acpi_uid(b, i));
	for (unsigned k = 0; k < ARRAY_SIZE(r->ports); k++)
		if (r->ports[k].len)
			aml_crs_io(&crs, r->ports[k].base,
				   (uint8_t)MIN(r->ports[k].len, 255));
	for (unsigned k = 0; k < ARRAY_SIZE(r->mem); k++)
		if (r->mem[k].len)
			aml_crs_memory(&crs, r->mem[k].base, r->mem[k].len);
	for (unsigned k = 0; k < ARRAY_SIZE(r->irq); k++) {
		if (r->irq[k] < 0)
			continue;
		if (r->irq[k] < 16)
			aml_crs_isa_irq(&crs, (unsigned)r->irq[k]);
		else
			aml_crs_irq(&crs, (unsigned)r->irq[k]);
	}
	aml_name_crs(t, &crs);
	aml_end(t, device);
}

static void acpi_virtio(struct aml *t, const struct board_virtio *v, unsigned i)
{
	struct aml_crs crs = {.len = 0};
	size_t device;
	char name[8];

	(void)snprintf(name, sizeof(name), "VR%02X", i & 0xff);
	device = aml_device_begin(t, name);
	aml_name_hid(t, "_HID", "LNRO0005");
	aml_name_int(t, "_UID", i);
	aml_name_int(t, "_CCA", 1);
	aml_crs_memory(&crs, v->base, v->len);
	aml_crs_irq(&crs, v->gsi);
	aml_name_crs(t, &crs);
	aml_end(t, device);
}

static void acpi_processor(struct aml *t, unsigned i)
{
	size_t device;
	char name[8];

	(void)snprintf(name, sizeof(name), "C%03X", i & 0xfff);
	device = aml_device_begin(t, name);
	aml_name_hid(t, "_HID", "ACPI0007");
	aml_name_int(t, "_UID", i);
	aml_end(t, device);
}

static void acpi_dsdt(struct aml *t, const struct board_desc *b)
{
	static const uint64_t s5[4] = {ACPI_SLEEP_TYPE_5, 0, 0, 0};
	struct acpi_names names = {.count = 0};
	size_t scope;

	acpi_begin(t, b, "DSDT", 2);
	scope = aml_scope_begin(t, "\\_SB");
	for (unsigned i = 0; i < b->cpus; i++)
		acpi_processor(t, i);
	for (unsigned i = 0; i < b->plat_count; i++)
		if (b->plat[i].class && b->plat[i].class->acpi_hid)
			acpi_plat(t, b, i, &names);
	for (unsigned i = 0; i < b->virtio_count; i++)
		acpi_virtio(t, &b->virtio[i], i);
	aml_end(t, scope);
	if (b->sleep_control)
		aml_name_ints(t, "_S5", s5, ARRAY_SIZE(s5));
	acpi_finish(t);
}

/* A generic address: one byte of port space. */
static void acpi_port(uint8_t *to, uint16_t port)
{
	to[0] = 1; /* system I/O */
	to[1] = 8; /* bits */
	to[3] = 1; /* byte access */
	store_le64(to + 4, port);
}

static uint16_t acpi_boot_arch(const struct board_desc *b)
{
	unsigned arch = 0;

	if (b->has_i8042)
		arch |= BOOT_ARCH_8042;
	if (b->has_pic)
		arch |= BOOT_ARCH_LEGACY;
	if (!b->has_vga)
		arch |= BOOT_ARCH_NO_VGA;
	if (!b->has_rtc)
		arch |= BOOT_ARCH_NO_RTC;
	return (uint16_t)arch;
}

static void acpi_fadt(struct aml *t, const struct board_desc *b, gpa_t dsdt)
{
	uint8_t f[FADT_LEN] = {0};
	uint32_t flags = FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
			 FADT_HW_REDUCED;

	if (b->reset_reg) {
		flags |= FADT_RESET_REG_SUP;
		acpi_port(f + FADT_RESET_REG, b->reset_reg);
		f[FADT_RESET_VALUE] = b->reset_value;
	}
	if (b->sleep_control) {
		acpi_port(f + FADT_SLEEP_CONTROL, b->sleep_control);
		acpi_port(f + FADT_SLEEP_STATUS, b->sleep_status);
	}
	store_le32(f + FADT_DSDT, (uint32_t)dsdt);
	store_le64(f + FADT_X_DSDT, dsdt);
	if (b->has_rtc)
		f[FADT_CENTURY] = CMOS_CENTURY;
	store_le16(f + FADT_BOOT_ARCH, acpi_boot_arch(b));
	store_le32(f + FADT_FLAGS, flags);
	f[FADT_MINOR] = 4;
	memcpy(f + FADT_HYPERVISOR, "VIREO", 5);
	acpi_begin(t, b, "FACP", FADT_REVISION);
	(void)aml_bytes(t, f + ACPI_HEADER_LEN, sizeof(f) - ACPI_HEADER_LEN);
	acpi_finish(t);
}

static void madt_processor(struct aml *t, unsigned i, uint32_t apic_id)
{
	uint8_t e[16] = {0};

	if (apic_id < 255 && i < 255) {
		e[0] = MADT_LAPIC;
		e[1] = 8;
		e[2] = (uint8_t)i;
		e[3] = (uint8_t)apic_id;
		e[4] = 1; /* enabled */
	} else {
		e[0] = MADT_X2APIC;
		e[1] = 16;
		store_le32(e + 4, apic_id);
		store_le32(e + 8, 1);
		store_le32(e + 12, i);
	}
	(void)aml_bytes(t, e, e[1]); /* at the end */
}

static void madt_ioapic(struct aml *t, gpa_t base)
{
	uint8_t e[12] = {MADT_IOAPIC, 12};

	store_le32(e + 4, (uint32_t)base);
	(void)aml_bytes(t, e, sizeof(e)); /* at the end */
}

/* The PC's timer is on pin 2, since pin 0 has the PIC. */
static void madt_timer_override(struct aml *t)
{
	uint8_t e[10] = {MADT_OVERRIDE, 10};

	store_le32(e + 4, 2);
	(void)aml_bytes(t, e, sizeof(e)); /* at the end */
}

/* All processors: LINT1, as the bus says. */
static void madt_nmi(struct aml *t)
{
	static const uint8_t e[6] = {MADT_LAPIC_NMI, 6, 0xff, 0, 0, 1};

	(void)aml_bytes(t, e, sizeof(e)); /* at the end */
}

static void acpi_madt(struct aml *t, const struct board_desc *b)
{
	uint8_t head[8] = {0};

	acpi_begin(t, b, "APIC", 5);
	store_le32(head, (uint32_t)b->lapic_base);
	store_le32(head + 4, b->has_pic);
	(void)aml_bytes(t, head, sizeof(head)); /* at the end */
	for (unsigned i = 0; i < b->cpus; i++)
		madt_processor(t, i, b->apic_ids[i]);
	if (b->ioapic_gsis)
		madt_ioapic(t, b->ioapic_base);
	if (b->has_pic)
		madt_timer_override(t);
	madt_nmi(t);
	acpi_finish(t);
}

static void acpi_xsdt(struct aml *t, const struct board_desc *b,
		      const gpa_t *tables, unsigned count)
{
	acpi_begin(t, b, "XSDT", 1);
	for (unsigned i = 0; i < count; i++) {
		uint8_t address[8];

		store_le64(address, tables[i]);
		(void)aml_bytes(t, address, sizeof(address)); /* at the end */
	}
	acpi_finish(t);
}

/* Tables under way into guest memory. */
struct acpi_writer {
	const struct gmem *gm;
	gpa_t at, end;
};

static int acpi_put(struct acpi_writer *w, const void *table, size_t len,
		    gpa_t *ret_at, struct err *e)
{
	gpa_t at = align_up(w->at, ACPI_ALIGN);

	if (at > w->end || len > w->end - at || w->end > ACPI_ADDRESS_MAX)
		return err_set(e, -ENOSPC,
			       "the ACPI tables do not fit below 0x%" PRIx64,
			       w->end);
	if (gmem_write(w->gm, at, table, len))
		return err_set(e, -EFAULT,
			       "there is no RAM for ACPI tables at 0x%" PRIx64,
			       at);
	w->at = at + len;
	*ret_at = at;
	return 0;
}

/* Writes a table that is built, and frees it. */
static int acpi_put_table(struct acpi_writer *w, struct aml *t, gpa_t *ret_at,
			  struct err *e)
{
	int rc;

	if (aml_failed(t))
		rc = err_set(e, -ENOMEM, "no memory for ACPI tables");
	else
		rc = acpi_put(w, t->data, t->len, ret_at, e);
	aml_fini(t);
	return rc;
}

static int acpi_put_rsdp(struct acpi_writer *w, gpa_t xsdt, gpa_t *ret_at,
			 struct err *e)
{
	uint8_t r[36] = "RSD PTR ";

	memcpy(r + 9, ACPI_OEM_ID, 6);
	r[15] = 2; /* revision */
	store_le32(r + 20, sizeof(r));
	store_le64(r + 24, xsdt);
	r[8] = (uint8_t)-acpi_sum(r, 20);
	r[32] = (uint8_t)-acpi_sum(r, sizeof(r));
	return acpi_put(w, r, sizeof(r), ret_at, e);
}

int acpi_build(const struct gmem *gm, const struct board_desc *b, gpa_t *where,
	       gpa_t end, gpa_t *rsdp, struct err *e)
{
	struct acpi_writer w = {.gm = gm, .at = *where, .end = end};
	gpa_t dsdt, xsdt, root, tables[2];
	struct aml t = {0};
	int rc;

	acpi_dsdt(&t, b);
	rc = acpi_put_table(&w, &t, &dsdt, e);
	if (rc)
		return rc;
	acpi_fadt(&t, b, dsdt);
	rc = acpi_put_table(&w, &t, &tables[0], e);
	if (rc)
		return rc;
	acpi_madt(&t, b);
	rc = acpi_put_table(&w, &t, &tables[1], e);
	if (rc)
		return rc;
	acpi_xsdt(&t, b, tables, ARRAY_SIZE(tables));
	rc = acpi_put_table(&w, &t, &xsdt, e);
	if (!rc)
		rc = acpi_put_rsdp(&w, xsdt, &root, e);
	if (rc)
		return rc;
	*where = w.at;
	*rsdp = root;
	return 0;
}

static void acpi_fadt_alone(struct aml *t, const struct board_desc *b)
{
	acpi_fadt(t, b, 0);
}

int acpi_for_each(const struct board_desc *b,
		  int (*sink)(void *opaque, const char *signature,
			      const void *table, size_t len),
		  void *opaque, struct err *e)
{
	static const struct {
		const char *signature;
		void (*build)(struct aml *t, const struct board_desc *b);
	} tables[] = {
		{"DSDT", acpi_dsdt},
		{"FACP", acpi_fadt_alone},
		{"APIC", acpi_madt},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		struct aml t = {0};
		int rc = -ENOMEM;

		tables[i].build(&t, b);
		if (!aml_failed(&t))
			rc = sink(opaque, tables[i].signature, t.data, t.len);
		aml_fini(&t);
		if (rc)
			return err_set(e, rc, "ACPI table %s",
				       tables[i].signature);
	}
	return 0;
}
