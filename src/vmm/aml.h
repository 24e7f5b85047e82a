/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes ACPI machine language: named objects, devices and their resources.
 *
 * Blocks (scopes, devices) nest: each begin has its end. Running out of memory
 * is remembered and told once, by aml_failed().
 *
 * Spec: ACPI 6.4, chapter 20 (AML), 6.4 (resource data types).
 * Threads: any; a writer belongs to one thread.
 */
#pragma once

#include "base/compiler.h"
#include "base/types.h"

struct aml {
	uint8_t *data; /* owned */
	size_t len, cap;
	bool failed;
};

void aml_fini(struct aml *a);
bool aml_failed(const struct aml *a) MUST_CHECK;

/* Appends raw bytes; from NULL: zeros. Returns where they begin. */
size_t aml_bytes(struct aml *a, const void *from, size_t len);

/* A path of at most one segment: "COM1", "\\_SB", "_S5". */
size_t aml_scope_begin(struct aml *a, const char *name);
size_t aml_device_begin(struct aml *a, const char *name);
void aml_end(struct aml *a, size_t begin);

/* Name (name, value) */
void aml_name_int(struct aml *a, const char *name, uint64_t value);
void aml_name_string(struct aml *a, const char *name, const char *value);
/* "PNP0501" as a compressed EISA id, anything longer as a string. */
void aml_name_hid(struct aml *a, const char *name, const char *id);
void aml_name_ints(struct aml *a, const char *name, const uint64_t *values,
		   unsigned count);

/* Resources of one device; full ones are told by aml_name_crs(). */
struct aml_crs {
	uint8_t data[256];
	size_t len;
	bool full;
};

void aml_crs_io(struct aml_crs *c, uint16_t base, uint8_t len);
void aml_crs_memory(struct aml_crs *c, uint64_t base, uint64_t len);
/* Edge-triggered, active high, exclusive; isa: irq is less than 16. */
void aml_crs_irq(struct aml_crs *c, unsigned gsi);
void aml_crs_isa_irq(struct aml_crs *c, unsigned irq);
/* Name (_CRS, ResourceTemplate () { … }) */
void aml_name_crs(struct aml *a, const struct aml_crs *c);
