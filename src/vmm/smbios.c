/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SMBIOS tables: who made the system, its memory and processors.
 *
 * Spec: SMBIOS 3.3 (DSP0134): 5.2.2 (entry point), 6.1 (structures), 7.1, 7.2,
 *       7.4, 7.5, 7.17, 7.18, 7.20, 7.33, 7.45.
 * Threads: main.
 */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/num.h"
#include "bus/gmem.h"
#include "vmm/tables.h"

#define TABLE_BYTES 4096U
/* Firmware's area, which is searched for the anchor in steps of 16 bytes. */
#define ANCHOR_START 0xf0000ULL
#define ANCHOR_ALIGN 16
#define STRINGS_MAX  8

enum handle {
	HANDLE_BIOS = 0x000,
	HANDLE_SYSTEM = 0x100,
	HANDLE_CHASSIS = 0x300,
	HANDLE_CPU = 0x400,
	HANDLE_ARRAY = 0x1000,
	HANDLE_DIMM = 0x1100,
	HANDLE_MAPPED = 0x1300,
	HANDLE_BOOT = 0x2000,
	HANDLE_END = 0x7f00,
};

/* 64-bit entry point. */
struct smbios3_anchor {
	char anchor[5];
	uint8_t checksum, length, major, minor, docrev, revision, reserved;
	le32 max_size;
	le64 address;
} PACKED;

_Static_assert(sizeof(struct smbios3_anchor) == 24, "SMBIOS 3.3, 5.2.2");

/* The structures as they are written, one after another. */
struct writer {
	uint8_t bytes[TABLE_BYTES];
	size_t len;
	size_t start; /* of the structure under way */
	const char *strings[STRINGS_MAX];
	unsigned nstrings;
	bool is_full;
};

static void put(struct writer *w, const void *p, size_t n)
{
	if (!range_ok(w->len, n, sizeof(w->bytes))) {
		w->is_full = true;
		return;
	}
	memcpy(w->bytes + w->len, p, n);
	w->len += n;
}

static void put8(struct writer *w, unsigned v)
{
	uint8_t b = (uint8_t)v;

	put(w, &b, 1);
}

static void put16(struct writer *w, unsigned v)
{
	le16 b = le16_make((uint16_t)v);

	put(w, &b, sizeof(b));
}

static void put32(struct writer *w, uint32_t v)
{
	le32 b = le32_make(v);

	put(w, &b, sizeof(b));
}

static void put64(struct writer *w, uint64_t v)
{
	le64 b = le64_make(v);

	put(w, &b, sizeof(b));
}

/* The number of a string of this structure; 0: none. */
static void put_str(struct writer *w, const char *text)
{
	if (!text || !*text || w->nstrings == STRINGS_MAX) {
		put8(w, 0);
		return;
	}
	w->strings[w->nstrings++] = text;
	put8(w, w->nstrings);
}

static void begin(struct writer *w, unsigned type, enum handle handle)
{
	w->start = w->len;
	w->nstrings = 0;
	put8(w, type);
	put8(w, 0); /* length: at the end */
	put16(w, handle);
}

/* The formatted part is complete: its length, then the strings. */
static void end(struct writer *w)
{
	if (w->is_full)
		return;
	w->bytes[w->start + 1] = (uint8_t)(w->len - w->start);
	for (unsigned i = 0; i < w->nstrings; i++)
		put(w, w->strings[i], strlen(w->strings[i]) + 1);
	if (!w->nstrings)
		put8(w, 0);
	put8(w, 0);
}

static void write_bios(struct writer *w)
{
	begin(w, 0, HANDLE_BIOS);
	put_str(w, "vireo");
	put_str(w, PACKAGE_VERSION);
	put16(w, 0xe800); /* start segment, as there is no ROM */
	put_str(w, "01/01/2026");
	put8(w, 0);      /* ROM size: 64 KiB */
	put64(w, 8);     /* characteristics are not supported */
	put16(w, 0x1400); /* a virtual machine; UUID boot support: none */
	put8(w, 0);
	put8(w, 0);
	put16(w, 0xffff); /* embedded controller: none */
	put16(w, 0);
	end(w);
}

/* The first three fields are little-endian (7.2.1). */
static void put_uuid(struct writer *w, const uint8_t u[16])
{
	static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6,
					  8, 9, 10, 11, 12, 13, 14, 15};

	for (unsigned i = 0; i < 16; i++)
		put8(w, u[order[i]]);
}

static void write_system(struct writer *w, const struct smbios_config *c)
{
	static const uint8_t none[16];

	begin(w, 1, HANDLE_SYSTEM);
	put_str(w, c->manufacturer);
	put_str(w, c->product);
	put_str(w, c->version);
	put_str(w, c->serial);
	put_uuid(w, c->has_uuid ? c->uuid : none);
	put8(w, 6); /* wake-up: power switch */
	put_str(w, c->sku);
	put_str(w, c->family);
	end(w);
}

static void write_chassis(struct writer *w, const struct smbios_config *c)
{
	begin(w, 3, HANDLE_CHASSIS);
	put_str(w, c->manufacturer);
	put8(w, 1); /* other */
	put_str(w, c->version);
	put_str(w, c->serial);
	put8(w, 0);  /* asset tag */
	put8(w, 3);  /* boot-up state: safe */
	put8(w, 3);  /* power supply: safe */
	put8(w, 3);  /* thermal: safe */
	put8(w, 2);  /* security: unknown */
	put32(w, 0); /* OEM */
	put8(w, 0);  /* height */
	put8(w, 0);  /* power cords */
	put8(w, 0);  /* contained elements */
	put8(w, 0);
	put_str(w, c->sku);
	end(w);
}

static void write_cpu(struct writer *w, const struct smbios_config *c)
{
	unsigned n = MIN(c->cpus, 255U);

	begin(w, 4, HANDLE_CPU);
	put_str(w, "CPU 0");
	put8(w, 3);  /* central processor */
	put8(w, 2);  /* family: unknown */
	put8(w, 0);  /* manufacturer */
	put64(w, 0); /* id */
	put8(w, 0);  /* version */
	put8(w, 0);  /* voltage */
	put16(w, 0); /* external clock */
	put16(w, 0); /* maximum speed */
	put16(w, 0); /* current speed */
	put8(w, 0x41); /* populated, enabled */
	put8(w, 1);    /* upgrade: other */
	put16(w, 0xffff);
	put16(w, 0xffff);
	put16(w, 0xffff); /* caches: none told */
	put8(w, 0);
	put8(w, 0);
	put8(w, 0); /* serial, asset, part */
	put8(w, n); /* cores */
	put8(w, n); /* enabled */
	put8(w, n); /* threads */
	put16(w, 0x04); /* 64-bit */
	put16(w, 2);    /* family 2: unknown */
	put16(w, c->cpus);
	put16(w, c->cpus);
	put16(w, c->cpus);
	end(w);
}

static void write_memory(struct writer *w, const struct smbios_config *c)
{
	uint64_t mib = c->ram_bytes / MIB;

	begin(w, 16, HANDLE_ARRAY);
	put8(w, 1); /* location: other */
	put8(w, 3); /* use: system memory */
	put8(w, 6); /* error correction: multi-bit */
	put32(w, 0x80000000); /* capacity: see below */
	put16(w, 0xfffe);     /* no error information */
	put16(w, 1);          /* one device */
	put64(w, c->ram_bytes);
	end(w);

	begin(w, 17, HANDLE_DIMM);
	put16(w, HANDLE_ARRAY);
	put16(w, 0xfffe);
	put16(w, 0xffff); /* widths: unknown */
	put16(w, 0xffff);
	put16(w, mib < 0x7fff ? (unsigned)mib : 0x7fff);
	put8(w, 9); /* DIMM */
	put8(w, 0);
	put_str(w, "DIMM 0");
	put8(w, 0);
	put8(w, 7);  /* RAM */
	put16(w, 2); /* type detail: other */
	put16(w, 0); /* speed: unknown */
	put_str(w, "vireo");
	put8(w, 0);
	put8(w, 0);
	put8(w, 0);
	put8(w, 0);
	put32(w, mib < 0x7fff ? 0 : (uint32_t)mib);
	put16(w, 0);
	put16(w, 0);
	put16(w, 0);
	put16(w, 0);
	end(w);

	begin(w, 19, HANDLE_MAPPED);
	put32(w, 0xffffffff);
	put32(w, 0xffffffff);
	put16(w, HANDLE_ARRAY);
	put8(w, 1);
	put64(w, 0);
	put64(w, c->ram_bytes - 1);
	end(w);
}

static void write_end(struct writer *w)
{
	static const uint8_t status[7]; /* six reserved; 0: no error */

	begin(w, 32, HANDLE_BOOT);
	put(w, status, sizeof(status));
	end(w);
	begin(w, 127, HANDLE_END);
	end(w);
}

static uint8_t checksum(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *b++);
	return (uint8_t)-sum;
}

static struct smbios3_anchor make_anchor(const struct writer *w, gpa_t table)
{
	struct smbios3_anchor a = {
		.anchor = {'_', 'S', 'M', '3', '_'},
		.length = sizeof(a),
		.major = 3,
		.minor = 3,
		.revision = 1,
		.max_size = le32_make((uint32_t)w->len),
		.address = le64_make(table),
	};

	a.checksum = checksum(&a, sizeof(a));
	return a;
}

int smbios_build(const struct gmem *gm, const struct smbios_config *c,
		 gpa_t *where, gpa_t end_of_area, struct err *e)
{
	struct writer w = {0};
	struct smbios3_anchor a;
	gpa_t anchor = align_up(MAX(*where, ANCHOR_START), ANCHOR_ALIGN);
	gpa_t table = anchor + align_up(sizeof(a), ANCHOR_ALIGN);
	int r;

	write_bios(&w);
	write_system(&w, c);
	write_chassis(&w, c);
	write_cpu(&w, c);
	write_memory(&w, c);
	write_end(&w);
	if (w.is_full || table + w.len > end_of_area)
		return err_set(e, -ENOSPC,
			       "-smbios: the strings are too long for the "
			       "tables");
	a = make_anchor(&w, table);
	r = gmem_write(gm, anchor, &a, sizeof(a));
	if (!r)
		r = gmem_write(gm, table, w.bytes, w.len);
	if (r)
		return err_set(e, r, "too little memory for SMBIOS tables");
	*where = align_up(table + w.len, ANCHOR_ALIGN);
	return 0;
}
