/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload has that runs under the whole program, from vireo's own
 * command line, in ring 3: words of the guest's command line, reports over the
 * first serial port, ACPI tables, interrupts by polling. The other side is
 * test/machine/lib.sh.
 */
#pragma once

#include <stdbool.h>

#include "test/guest/guest.h"

#define MACHINE_COM1 0x3f8
#define MACHINE_COM2 0x2f8

/* The reports: "ok - name" or "not ok - name", a line each. */
void machine_point(const char *name, bool ok);
/* Text, for whoever reads the report. */
void machine_say(const char *text);

/* Is this a word of -append? The number behind "name=" there; 0 if none. */
bool machine_has(const char *word);
uint64_t machine_number(const char *name);

/* What -initrd names; NULL if there is none. */
const uint8_t *machine_initrd(uint64_t *ret_len);

/* An ACPI table; NULL if there is none. */
const uint8_t *machine_table(const char *signature);
uint32_t machine_load32(const uint8_t *p);

/* A virtio-mmio slot that ACPI names, the n-th; false if there are fewer. */
struct machine_slot {
	uint64_t base;
	unsigned gsi;
};
bool machine_slot(unsigned n, struct machine_slot *ret);

/*
 * Has a line of the IOAPIC raise a vector here, edge-triggered; and: has it,
 * ever? Nothing takes interrupts, so that a vector is good for one use.
 */
void machine_route(unsigned gsi, unsigned vector);
bool machine_has_vector(unsigned vector);

/* Ends the run as a success. */
void machine_done(void);
