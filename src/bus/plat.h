/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Platform ("System") and ISA devices: fixed addresses and lines.
 *
 * A platform device claims its regions in attach with space_add() on
 * d->board->ports or ->mem and connects its lines with irq_line_init(). This
 * header adds what firmware tables need to know of it.
 *
 * Threads: as bus/device.h.
 */
#pragma once

#include "bus/device.h"

extern const struct bus_type plat_bus_type; /* "System" */
extern const struct bus_type isa_bus_type;  /* "ISA" */

/* What a platform device occupies; unused entries have length 0. */
struct plat_resources {
	struct {
		uint16_t base, len;
	} ports[4];
	struct {
		uint64_t base, len;
	} mem[2];
	int irq[2]; /* GSI; -1: none */
};

/*
 * Flavour of "System" and "ISA" classes (device_class.flavour; NULL: none of
 * these): facts that ACPI and the device tree are derived from.
 */
struct plat_class {
	const char *acpi_hid; /* "PNP0501", "QEMU0001"; NULL: not in ACPI */
	/* Four letters, e.g. "PEVT"; a digit at the end counts: the next
	 * device of the class has the next digit ("COM1", "COM2"). */
	const char *acpi_name;
	const char *fdt_compatible; /* "ns16550a"; NULL: not in the tree */
	/* The device's resources, by its properties, into an empty *r. */
	void (*resources)(const struct device *d, struct plat_resources *r);
};

/*
 * What d, on a "System" or "ISA" bus, occupies: nothing (false) where its class
 * has no flavour. Once attached.
 */
bool plat_resources_of(const struct device *d, struct plat_resources *r);

/*
 * The registers of "acpi-pm": offsets in its only port range (resources) and
 * values, for the FADT and the \_S5 package.
 *
 * Spec: ACPI 6.4, 4.8.3.7 (sleep control and status), 4.8.3.6 (reset).
 */
#define ACPI_PM_SLEEP_CONTROL 0
#define ACPI_PM_SLEEP_STATUS  1
#define ACPI_PM_RESET         2
#define ACPI_PM_LEN           4
#define ACPI_PM_SLP_TYP_S5    5
#define ACPI_PM_RESET_VALUE   1

/* The byte of "mc146818rtc" that has the century, for the FADT. */
#define CMOS_CENTURY 0x32
