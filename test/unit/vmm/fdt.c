/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/fdt: the tree of a board has what is on it, and dtc has nothing to say
 * against it.
 */
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/lib/test.h"
#include "vmm/tables.h"

static const uint32_t apic_ids[] = {0, 1, 4};

static const struct plat_class uart = {
	.acpi_name = "COM1",
	.fdt_compatible = "ns16550a",
};

static const struct board_desc board = {
	.machine = "microvm",
	.cpus = 3,
	.apic_ids = apic_ids,
	.lapic_base = 0xfee00000,
	.ioapic_base = 0xfec00000,
	.ioapic_gsis = 48,
	.virtio = {{0xfeb00000, 0x200, 16}, {0xfeb00200, 0x200, 17}},
	.virtio_count = 2,
	.plat = {{.class = &uart,
		  .res = {.ports = {{0x3f8, 8}}, .irq = {4, -1}}}},
	.plat_count = 1,
	.ram = {{0, 3 * GIB}, {4 * GIB, GIB}},
	.ram_count = 2,
	.cmdline = "console=ttyS0",
	.initrd = 0x8000000,
	.initrd_len = 0x1234,
};

static void *build(size_t *len)
{
	void *blob;
	struct err e;

	assert_int_equal(fdt_build(&board, &blob, len, &e), 0);
	assert_int_equal(fdt_check_full(blob, *len), 0);
	return blob;
}

static const char *string_at(const void *blob, const char *path,
			     const char *name)
{
	int node = fdt_path_offset(blob, path);

	assert_true(node >= 0);
	return fdt_getprop(blob, node, name, NULL);
}

static uint64_t u64_at(const void *blob, const char *path, const char *name,
		       int index)
{
	int node = fdt_path_offset(blob, path), len;
	const fdt64_t *p;

	assert_true(node >= 0);
	p = fdt_getprop(blob, node, name, &len);
	assert_true(p && len >= (index + 1) * 8);
	return fdt64_ld(p + index);
}

static void has_what_is_on_the_board(void **state)
{
	size_t len;
	void *blob = build(&len);

	(void)state;
	assert_string_equal(string_at(blob, "/chosen", "bootargs"),
			    "console=ttyS0");
	assert_int_equal(u64_at(blob, "/chosen", "linux,initrd-end", 0),
			 0x8001234);
	assert_int_equal(u64_at(blob, "/memory@100000000", "reg", 0), 4 * GIB);
	assert_int_equal(u64_at(blob, "/memory@100000000", "reg", 1), GIB);
	assert_int_equal(u64_at(blob, "/virtio_mmio@feb00200", "reg", 0),
			 0xfeb00200);
	/* Line 17, edge rising. */
	assert_int_equal(u64_at(blob, "/virtio_mmio@feb00200", "interrupts", 0),
			 17ULL << 32);
	assert_string_equal(string_at(blob, "/isa@i0/COM1@i3f8", "compatible"),
			    "ns16550a");
	assert_true(fdt_path_offset(blob, "/cpus/cpu@4") >= 0);
	assert_true(fdt_path_offset(blob, "/cpus/cpu@2") < 0);
	free(blob);
}

static void dtc_is_content(void **state)
{
	char path[] = "/tmp/vireo-dtb-XXXXXX", command[128];
	int fd = mkstemp(path);
	size_t len;
	void *blob = build(&len);

	(void)state;
	if (system("dtc --version >/dev/null 2>&1")) {
		unlink(path);
		free(blob);
		test_skip("dtc is not installed");
	}
	assert_int_equal(write(fd, blob, len), len);
	/* A warning is an error here. */
	(void)snprintf(command, sizeof(command),
		       "dtc -I dtb -O dts -o /dev/null %s 2>&1 | "
		       "{ ! grep . ; }",
		       path);
	assert_int_equal(system(command), 0);
	close(fd);
	unlink(path);
	free(blob);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(has_what_is_on_the_board),
	cmocka_unit_test(dtc_is_content),
};

TEST_MAIN(tests)
