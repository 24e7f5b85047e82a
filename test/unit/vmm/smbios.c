/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/smbios: the structures are well-formed, found by their anchor, and
 * dmidecode reads from them what was put in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "bus/gmem.h"
#include "test/lib/test.h"
#include "vmm/tables.h"

#define RAM_BYTES (2 * MIB)

struct fixture {
	uint8_t *ram;
	struct gmem gm;
};

static const struct smbios_config config = {
	.manufacturer = "ACME",
	.product = "microvm",
	.serial = "S-1",
	.uuid = {0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc,
		 0xde, 0xf0, 0x12, 0x34, 0x56, 0x78},
	.has_uuid = true,
	.cpus = 3,
	.ram_bytes = 512 * MIB,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	f->ram = aligned_alloc(4096, RAM_BYTES);
	memset(f->ram, 0, RAM_BYTES);
	assert_int_equal(gmem_add(&f->gm, 0, RAM_BYTES, f->ram, &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->ram);
	free(f);
	return 0;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* Walks the structures as 6.1 says; the bits of the types seen. */
static uint64_t walk(const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	uint64_t seen = 0;

	while (p < end) {
		uint8_t type = p[0];

		assert_true(p[1] >= 4 && p + p[1] < end);
		p += p[1];
		while (p + 1 < end && (p[0] || p[1]))
			p++;
		p += 2;
		if (type == 127)
			break;
		seen |= 1ULL << type;
	}
	assert_ptr_equal(p, end);
	return seen;
}

static void anchor_and_structures_are_well_formed(void **state)
{
	struct fixture *f = *state;
	const uint8_t *a = f->ram + 0xf0000;
	gpa_t where = 0xe0000;
	uint64_t seen;
	struct err e;

	assert_int_equal(
		smbios_build(&f->gm, &config, &where, 0x100000, &e), 0);
	assert_memory_equal(a, "_SM3_", 5);
	assert_int_equal(sum(a, a[6]), 0);
	seen = walk(f->ram + load_le64(a + 16), load_le32(a + 12));
	assert_int_equal(seen, 1ULL << 0 | 1ULL << 1 | 1ULL << 3 | 1ULL << 4 |
				       1ULL << 16 | 1ULL << 17 | 1ULL << 19 |
				       1ULL << 32);
	assert_true(where > 0xf0000 && where <= 0x100000);
}

static void refuses_what_does_not_fit(void **state)
{
	struct fixture *f = *state;
	struct smbios_config c = config;
	gpa_t where = 0xe0000;
	char *big = malloc(8000);
	struct err e;

	memset(big, 'x', 7999);
	big[7999] = 0;
	c.product = big;
	assert_int_equal(smbios_build(&f->gm, &c, &where, 0x100000, &e),
			 -ENOSPC);
	free(big);
	where = 0xfffff;
	assert_int_equal(smbios_build(&f->gm, &config, &where, 0x100000, &e),
			 -ENOSPC);
}

/* dmidecode takes a dump: the anchor, and the table at the offset it names. */
static void write_dump(const struct fixture *f, int fd)
{
	uint8_t anchor[32] = {0};
	const uint8_t *a = f->ram + 0xf0000;
	uint64_t table = load_le64(a + 16);

	memcpy(anchor, a, 24);
	store_le64(anchor + 16, 32);
	anchor[5] = 0;
	anchor[5] = (uint8_t)-sum(anchor, 24);
	assert_int_equal(write(fd, anchor, 32), 32);
	assert_int_equal(write(fd, f->ram + table, load_le32(a + 12)),
			 load_le32(a + 12));
}

static void dmidecode_reads_it(void **state)
{
	char path[] = "/tmp/vireo-dmi-XXXXXX", command[512];
	struct fixture *f = *state;
	int fd = mkstemp(path), r;
	gpa_t where = 0xe0000;
	struct err e;

	if (system("dmidecode --version >/dev/null 2>&1")) {
		unlink(path);
		test_skip("dmidecode is not installed");
	}
	assert_int_equal(
		smbios_build(&f->gm, &config, &where, 0x100000, &e), 0);
	write_dump(f, fd);
	(void)snprintf(command, sizeof(command),
		       "dmidecode --from-dump %s >%s.txt 2>&1 && "
		       "grep -q 'Manufacturer: ACME' %s.txt && "
		       "grep -qi 'UUID: 12345678-1234-5678-9abc-def012345678' "
		       "%s.txt && grep -q 'Size: 512 MB' %s.txt && "
		       "! grep -qi 'bad\\|broken' %s.txt",
		       path, path, path, path, path, path);
	r = system(command);
	(void)snprintf(command, sizeof(command), "%s.txt", path);
	unlink(command);
	unlink(path);
	close(fd);
	assert_int_equal(r, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(anchor_and_structures_are_well_formed,
					setup, teardown),
	cmocka_unit_test_setup_teardown(refuses_what_does_not_fit, setup,
					teardown),
	cmocka_unit_test_setup_teardown(dmidecode_reads_it, setup, teardown),
};

TEST_MAIN(tests)
