/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware tables, all derived from one description of the board: ACPI,
 * flattened device tree, SMBIOS.
 *
 * Spec: ACPI 6.4; Devicetree Specification 0.4 and the Linux bindings named in
 *       the code; SMBIOS 3.3 (DSP0134).
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "bus/plat.h"

struct gmem;

/* A virtio-mmio slot that has a device. */
struct board_virtio {
	gpa_t base;
	uint64_t len;
	unsigned gsi;
};

struct board_plat {
	const struct plat_class *class; /* names for ACPI and FDT */
	struct plat_resources res;
	const char *name; /* device class name */
};

#define BOARD_VIRTIO_MAX 64
#define BOARD_PLAT_MAX   16

struct board_desc {
	const char *machine; /* "microvm" */
	unsigned cpus;
	const uint32_t *apic_ids; /* cpus of them */
	gpa_t lapic_base, ioapic_base;
	unsigned ioapic_gsis;
	bool has_pic; /* PCAT_COMPAT and ISA overrides as on a PC */
	struct board_virtio virtio[BOARD_VIRTIO_MAX];
	unsigned virtio_count;
	struct board_plat plat[BOARD_PLAT_MAX];
	unsigned plat_count;
	/* Hardware-reduced ACPI registers (dev/plat/acpi_pm.c), port numbers */
	uint16_t sleep_control, sleep_status, reset_reg;
	uint8_t reset_value;
	bool has_i8042, has_rtc, has_vga; /* FADT boot architecture flags */
	/* RAM, for the device tree. */
	struct {
		gpa_t base;
		uint64_t len;
	} ram[4];
	unsigned ram_count;
	uint64_t tsc_hz, lapic_hz; /* 0: unknown */
	/* chosen node; NULL or 0 where absent */
	const char *cmdline;
	gpa_t initrd;
	uint64_t initrd_len;
};

/*
 * Builds the ACPI tables at the next free address from *where (advanced past
 * them, at most `end`); *rsdp has the root pointer's address.
 */
int acpi_build(const struct gmem *gm, const struct board_desc *b, gpa_t *where,
	       gpa_t end, gpa_t *rsdp, struct err *e);

/* As acpi_build without guest memory: the bytes of each table through sink,
 * for tests (iasl) and fw_cfg. */
int acpi_for_each(const struct board_desc *b,
		  int (*sink)(void *opaque, const char *signature,
			      const void *table, size_t len),
		  void *opaque, struct err *e);

/* A new blob that the caller frees. */
int fdt_build(const struct board_desc *b, void **blob, size_t *len,
	      struct err *e);

/* SMBIOS: type 0, 1, 3, 4, 16, 17, 19, 32, 127 as far as known. */
struct smbios_config {
	const char *manufacturer, *product, *version, *serial, *sku, *family;
	uint8_t uuid[16];
	bool has_uuid;
	unsigned cpus;
	uint64_t ram_bytes;
};
int smbios_build(const struct gmem *gm, const struct smbios_config *c,
		 gpa_t *where, gpa_t end, struct err *e);
