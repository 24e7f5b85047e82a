/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of wire and guest-visible structures, with their byte order in their
 * type: reading one as a number does not compile, so no swap is forgotten.
 */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	uint16_t raw;
} le16;

static inline uint16_t le16_get(le16 v)
{
	return le16toh(v.raw);
}

static inline le16 le16_make(uint16_t v)
{
	return (le16){htole16(v)};
}

typedef struct {
	uint32_t raw;
} le32;

static inline uint32_t le32_get(le32 v)
{
	return le32toh(v.raw);
}

static inline le32 le32_make(uint32_t v)
{
	return (le32){htole32(v)};
}

typedef struct {
	uint64_t raw;
} le64;

static inline uint64_t le64_get(le64 v)
{
	return le64toh(v.raw);
}

static inline le64 le64_make(uint64_t v)
{
	return (le64){htole64(v)};
}

typedef struct {
	uint16_t raw;
} be16;

static inline uint16_t be16_get(be16 v)
{
	return be16toh(v.raw);
}

static inline be16 be16_make(uint16_t v)
{
	return (be16){htobe16(v)};
}

typedef struct {
	uint32_t raw;
} be32;

static inline uint32_t be32_get(be32 v)
{
	return be32toh(v.raw);
}

static inline be32 be32_make(uint32_t v)
{
	return (be32){htobe32(v)};
}

typedef struct {
	uint64_t raw;
} be64;

static inline uint64_t be64_get(be64 v)
{
	return be64toh(v.raw);
}

static inline be64 be64_make(uint64_t v)
{
	return (be64){htobe64(v)};
}

/* Little-endian access at any alignment. */
static inline uint16_t load_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline void store_le16(void *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint32_t load_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline void store_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint64_t load_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void store_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}
