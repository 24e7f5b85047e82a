/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encodes ACPI machine language into a growing buffer.
 *
 * Spec: ACPI 6.4, 20.2 (AML grammar), 6.4 (resource data types), 19.3.4
 *       (EISA ids).
 * Threads: any; a writer belongs to one thread.
 */
#include "vmm/aml.h"

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/num.h"

enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_QWORD = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXT = 0x5b,
	AML_EXT_DEVICE = 0x82,
	AML_ROOT = 0x5c,
};

enum {
	CRS_IRQ = 0x22, /* two bytes of mask, no flags */
	CRS_IO = 0x47,
	CRS_END = 0x79,
	CRS_MEMORY32_FIXED = 0x86,
	CRS_INTERRUPT = 0x89,
	CRS_QWORD_SPACE = 0x8a,
};

void aml_fini(struct aml *a)
{
	free(a->data);
	*a = (struct aml){0};
}

bool aml_failed(const struct aml *a)
{
	return a->failed;
}

/* Opens a gap of len bytes at `at`. */
static uint8_t *aml_insert(struct aml *a, size_t at, size_t len)
{
	if (!a->failed && a->cap - a->len < len) {
		size_t cap = MAX(a->cap * 2, a->len + len + 1024);
		uint8_t *data = realloc(a->data, cap);

		a->failed = !data;
		if (data) {
			a->data = data;
			a->cap = cap;
		}
	}
	if (a->failed)
		return NULL;
	memmove(a->data + at + len, a->data + at, a->len - at);
	a->len += len;
	return a->data + at;
}

size_t aml_bytes(struct aml *a, const void *from, size_t len)
{
	size_t at = a->len;
	uint8_t *to = aml_insert(a, at, len);

	if (to && len) {
		if (from)
			memcpy(to, from, len);
		else
			memset(to, 0, len);
	}
	return at;
}

static void aml_byte(struct aml *a, uint8_t byte)
{
	(void)aml_bytes(a, &byte, 1); /* at the end; where does not matter */
}

/* One segment of four characters, filled up with underscores. */
static void aml_segment(struct aml *a, const char *name)
{
	char seg[4] = {'_', '_', '_', '_'};

	if (*name == '\\') {
		aml_byte(a, AML_ROOT);
		name++;
	}
	memcpy(seg, name, MIN(strlen(name), sizeof(seg)));
	(void)aml_bytes(a, seg, sizeof(seg)); /* as above */
}

/*
 * Puts the length of the package that began at `begin` in front of it. It
 * counts its own bytes: one for up to 63, else two to four.
 */
static void aml_package_end(struct aml *a, size_t begin)
{
	size_t body = a->len - begin, width = 1, len;
	uint8_t *p;

	while (width < 4 &&
	       body + width >= (width == 1 ? 64U : 1ULL << (8 * width - 4)))
		width++;
	len = body + width;
	p = aml_insert(a, begin, width);
	if (!p)
		return;
	if (width == 1) {
		p[0] = (uint8_t)len;
		return;
	}
	p[0] = (uint8_t)((width - 1) << 6 | (len & 15));
	for (size_t i = 1; i < width; i++)
		p[i] = (uint8_t)(len >> (8 * i - 4));
}

size_t aml_scope_begin(struct aml *a, const char *name)
{
	size_t begin;

	aml_byte(a, AML_SCOPE);
	begin = a->len;
	aml_segment(a, name);
	return begin;
}

size_t aml_device_begin(struct aml *a, const char *name)
{
	size_t begin;

	aml_byte(a, AML_EXT);
	aml_byte(a, AML_EXT_DEVICE);
	begin = a->len;
	aml_segment(a, name);
	return begin;
}

void aml_end(struct aml *a, size_t begin)
{
	if (!a->failed)
		aml_package_end(a, begin);
}

static void aml_int(struct aml *a, uint64_t value)
{
	static const struct {
		uint64_t max;
		uint8_t op;
		size_t width;
	} forms[] = {
		{UINT8_MAX, AML_BYTE, 1},
		{UINT16_MAX, AML_WORD, 2},
		{UINT32_MAX, AML_DWORD, 4},
		{UINT64_MAX, AML_QWORD, 8},
	};
	uint8_t bytes[8];
	unsigned i = 0;

	if (value < 2) {
		aml_byte(a, value ? AML_ONE : AML_ZERO);
		return;
	}
	while (value > forms[i].max)
		i++;
	store_le64(bytes, value);
	aml_byte(a, forms[i].op);
	(void)aml_bytes(a, bytes, forms[i].width); /* at the end */
}

static void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, AML_NAME);
	aml_segment(a, name);
}

void aml_name_int(struct aml *a, const char *name, uint64_t value)
{
	aml_name(a, name);
	aml_int(a, value);
}

void aml_name_string(struct aml *a, const char *name, const char *value)
{
	aml_name(a, name);
	aml_byte(a, AML_STRING);
	(void)aml_bytes(a, value, strlen(value) + 1); /* at the end */
}

/* Three letters of five bits and four hexadecimal digits, high byte first. */
static uint32_t aml_eisa_id(const char *id)
{
	unsigned long digits = strtoul(id + 3, NULL, 16);
	uint32_t v = 0;

	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)((id[i] - '@') & 31);
	return htobe32(v << 16 | (uint32_t)(digits & 0xffff));
}

void aml_name_hid(struct aml *a, const char *name, const char *id)
{
	uint32_t eisa;

	if (strlen(id) != 7) {
		aml_name_string(a, name, id);
		return;
	}
	eisa = aml_eisa_id(id);
	aml_name(a, name);
	aml_byte(a, AML_DWORD);
	(void)aml_bytes(a, &eisa, sizeof(eisa)); /* at the end */
}

void aml_name_ints(struct aml *a, const char *name, const uint64_t *values,
		   unsigned count)
{
	size_t begin;

	aml_name(a, name);
	aml_byte(a, AML_PACKAGE);
	begin = a->len;
	aml_byte(a, (uint8_t)count);
	for (unsigned i = 0; i < count; i++)
		aml_int(a, values[i]);
	aml_end(a, begin);
}

static uint8_t *aml_crs_room(struct aml_crs *c, size_t len)
{
	uint8_t *p = c->data + c->len;

	if (sizeof(c->data) - c->len < len) {
		c->full = true;
		return NULL;
	}
	memset(p, 0, len);
	c->len += len;
	return p;
}

void aml_crs_io(struct aml_crs *c, uint16_t base, uint8_t len)
{
	uint8_t *p = aml_crs_room(c, 8);

	if (!p)
		return;
	p[0] = CRS_IO;
	p[1] = 1; /* decodes 16 bits */
	store_le16(p + 2, base);
	store_le16(p + 4, base);
	p[7] = len;
}

static void aml_crs_memory32(struct aml_crs *c, uint32_t base, uint32_t len)
{
	uint8_t *p = aml_crs_room(c, 12);

	if (!p)
		return;
	p[0] = CRS_MEMORY32_FIXED;
	store_le16(p + 1, 9); /* bytes that follow */
	p[3] = 1;             /* writable */
	store_le32(p + 4, base);
	store_le32(p + 8, len);
}

static void aml_crs_memory64(struct aml_crs *c, uint64_t base, uint64_t len)
{
	uint8_t *p = aml_crs_room(c, 46);

	if (!p)
		return;
	p[0] = CRS_QWORD_SPACE;
	store_le16(p + 1, 43);
	p[3] = 0;    /* memory */
	p[4] = 0x0d; /* consumer, minimum and maximum fixed */
	p[5] = 1;    /* writable, not cacheable */
	store_le64(p + 14, base);
	store_le64(p + 22, base + len - 1);
	store_le64(p + 38, len);
}

void aml_crs_memory(struct aml_crs *c, uint64_t base, uint64_t len)
{
	if (base <= UINT32_MAX && len <= UINT32_MAX - base)
		aml_crs_memory32(c, (uint32_t)base, (uint32_t)len);
	else
		aml_crs_memory64(c, base, len);
}

void aml_crs_irq(struct aml_crs *c, unsigned gsi)
{
	uint8_t *p = aml_crs_room(c, 9);

	if (!p)
		return;
	p[0] = CRS_INTERRUPT;
	store_le16(p + 1, 6);
	p[3] = 1 | 2; /* consumer, edge, active high, exclusive */
	p[4] = 1;     /* one interrupt */
	store_le32(p + 5, gsi);
}

void aml_crs_isa_irq(struct aml_crs *c, unsigned irq)
{
	uint8_t *p = aml_crs_room(c, 3);

	if (!p)
		return;
	p[0] = CRS_IRQ;
	store_le16(p + 1, (uint16_t)(1U << irq));
}

void aml_name_crs(struct aml *a, const struct aml_crs *c)
{
	static const uint8_t end[2] = {CRS_END, 0};
	size_t begin;

	a->failed |= c->full;
	aml_name(a, "_CRS");
	aml_byte(a, AML_BUFFER);
	begin = a->len;
	aml_int(a, c->len + sizeof(end));
	(void)aml_bytes(a, c->data, c->len); /* at the end */
	(void)aml_bytes(a, end, sizeof(end));
	aml_end(a, begin);
}
