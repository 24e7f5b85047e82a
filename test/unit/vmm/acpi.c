/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/acpi: the tables disassemble and compile again without a warning, and
 * lie in memory as the root pointer says.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/endian.h"
#include "bus/gmem.h"
#include "test/lib/test.h"
#include "test/unit/vmm/board.h"
#include "vmm/tables.h"

#define BIOS_AREA 0xe0000ULL
#define BIOS_END  0x100000ULL

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	for (size_t i = 0; i < len; i++)
		s = (uint8_t)(s + p[i]);
	return s;
}

/* Writes a table as DIR/SIGNATURE.dat. */
static int save(void *opaque, const char *signature, const void *table,
		size_t len)
{
	AUTO_FILE FILE *f = NULL;
	char path[256];

	assert_int_equal(load_le32((const uint8_t *)table + 4), len);
	assert_int_equal(sum(table, len), 0);
	(void)snprintf(path, sizeof(path), "%s/%s.dat", (char *)opaque,
		       signature);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(table, 1, len, f), len);
	return 0;
}

static int iasl(const char *dir, const char *name)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
		       "cd '%s' && iasl -d %s.dat >%s.log 2>&1 && "
		       "iasl -we -p again %s.dsl >>%s.log 2>&1 && "
		       "! grep -iE 'warning [0-9]|error [0-9]' %s.log || "
		       "{ sed 's/^/# /' %s.log; false; }",
		       dir, name, name, name, name, name, name);
	return system(command);
}

static void remove_tree(const char *dir)
{
	char command[256];

	(void)snprintf(command, sizeof(command), "rm -r '%s'", dir);
	assert_int_equal(system(command), 0);
}

static void check_board(const struct board_desc *b)
{
	char dir[] = "/tmp/vireo-acpi-XXXXXX";
	struct err e = {0};

	assert_non_null(mkdtemp(dir));
	assert_int_equal(acpi_for_each(b, save, dir, &e), 0);
	assert_int_equal(iasl(dir, "DSDT"), 0);
	assert_int_equal(iasl(dir, "FACP"), 0);
	assert_int_equal(iasl(dir, "APIC"), 0);
	remove_tree(dir);
}

static void compiles_again(void **state)
{
	struct board_desc b;

	(void)state;
	if (system("iasl -v >/dev/null 2>&1"))
		test_skip("iasl is not installed");
	test_board_init(&b);
	check_board(&b);
	b.has_pic = true;
	b.has_i8042 = true;
	b.has_rtc = false;
	b.virtio_count = 0;
	check_board(&b);
	b.plat_count = 0;
	b.cpus = 0;
	check_board(&b);
}

struct memory {
	struct gmem gm;
	uint8_t *ram;
};

static void memory_init(struct memory *m)
{
	struct err e = {0};

	m->gm = (struct gmem){.count = 0};
	m->ram = aligned_alloc(4096, BIOS_END);
	assert_non_null(m->ram);
	memset(m->ram, 0xcc, BIOS_END);
	assert_int_equal(gmem_add(&m->gm, 0, BIOS_END, m->ram, &e), 0);
}

/* The table that entry i of the XSDT names, checked. */
static const uint8_t *xsdt_entry(const struct memory *m, const uint8_t *xsdt,
				 unsigned i, const char *signature)
{
	const uint8_t *t = m->ram + load_le64(xsdt + 36 + i * 8);

	assert_memory_equal(t, signature, 4);
	assert_int_equal(sum(t, load_le32(t + 4)), 0);
	return t;
}

static void lies_in_memory(void **state)
{
	const uint8_t *r, *xsdt, *fadt, *dsdt;
	gpa_t where = BIOS_AREA + 1, rsdp = 0;
	struct board_desc b;
	struct err e = {0};
	struct memory m;

	(void)state;
	memory_init(&m);
	test_board_init(&b);
	assert_int_equal(acpi_build(&m.gm, &b, &where, BIOS_END, &rsdp, &e), 0);
	assert_int_equal(rsdp % 16, 0);
	assert_in_range(where, rsdp + 36, BIOS_END);
	r = m.ram + rsdp;
	assert_memory_equal(r, "RSD PTR ", 8);
	assert_int_equal(sum(r, 20), 0);
	assert_int_equal(sum(r, 36), 0);
	xsdt = m.ram + load_le64(r + 24);
	assert_memory_equal(xsdt, "XSDT", 4);
	assert_int_equal(load_le32(xsdt + 4), 36 + 2 * 8);
	assert_int_equal(sum(xsdt, load_le32(xsdt + 4)), 0);
	fadt = xsdt_entry(&m, xsdt, 0, "FACP");
	xsdt_entry(&m, xsdt, 1, "APIC");
	dsdt = m.ram + load_le64(fadt + 140);
	assert_memory_equal(dsdt, "DSDT", 4);
	assert_int_equal(sum(dsdt, load_le32(dsdt + 4)), 0);
	/* Nothing in front of the area, nothing behind what was told. */
	assert_int_equal(m.ram[BIOS_AREA], 0xcc);
	assert_int_equal(m.ram[where], 0xcc);
	free(m.ram);
}

static void says_what_the_board_has(void **state)
{
	gpa_t where = BIOS_AREA, rsdp = 0;
	const uint8_t *xsdt, *fadt, *madt;
	struct board_desc b;
	struct err e = {0};
	struct memory m;

	(void)state;
	memory_init(&m);
	test_board_init(&b);
	b.has_i8042 = true;
	assert_int_equal(acpi_build(&m.gm, &b, &where, BIOS_END, &rsdp, &e), 0);
	xsdt = m.ram + load_le64(m.ram + rsdp + 24);
	fadt = xsdt_entry(&m, xsdt, 0, "FACP");
	/* Reduced hardware, reset register; 8042, no VGA, an RTC. */
	assert_int_equal(load_le32(fadt + 112) & (1U << 20 | 1U << 10),
			 1U << 20 | 1U << 10);
	assert_int_equal(load_le16(fadt + 109), 1U << 1 | 1U << 2);
	assert_int_equal(fadt[108], 0x32); /* where the century is */
	assert_int_equal(load_le64(fadt + 116 + 4), 0x602);
	assert_int_equal(fadt[128], 0x42);
	assert_int_equal(load_le64(fadt + 244 + 4), 0x600);
	assert_int_equal(load_le64(fadt + 256 + 4), 0x601);
	madt = xsdt_entry(&m, xsdt, 1, "APIC");
	assert_int_equal(load_le32(madt + 36), 0xfee00000);
	/* Two LAPICs, an x2APIC, an IOAPIC, the NMI. */
	assert_int_equal(load_le32(madt + 4), 44 + 8 + 8 + 16 + 12 + 6);
	assert_int_equal(madt[44 + 8 + 3], 1);
	assert_int_equal(madt[44 + 16], 9);
	assert_int_equal(load_le32(madt + 44 + 16 + 4), 300);
	assert_int_equal(load_le32(madt + 44 + 32 + 4), 0xfec00000);
	free(m.ram);
}

static void does_not_pass_its_end(void **state)
{
	gpa_t rsdp, where, used = BIOS_AREA;
	struct board_desc b;
	struct err e = {0};
	struct memory m;

	(void)state;
	memory_init(&m);
	test_board_init(&b);
	assert_int_equal(acpi_build(&m.gm, &b, &used, BIOS_END, &rsdp, &e), 0);
	for (gpa_t end = BIOS_AREA; end < used; end += 13) {
		memset(m.ram, 0xcc, BIOS_END);
		where = BIOS_AREA;
		assert_int_equal(acpi_build(&m.gm, &b, &where, end, &rsdp, &e),
				 -ENOSPC);
		assert_int_equal(where, BIOS_AREA);
		assert_int_equal(m.ram[end], 0xcc);
	}
	where = BIOS_END + 4096;
	assert_int_equal(
		acpi_build(&m.gm, &b, &where, BIOS_END + 65536, &rsdp, &e),
		-EFAULT);
	free(m.ram);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(compiles_again),
	cmocka_unit_test(lies_in_memory),
	cmocka_unit_test(says_what_the_board_has),
	cmocka_unit_test(does_not_pass_its_end),
};

TEST_MAIN(tests)
