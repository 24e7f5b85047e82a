/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board with a bit of everything, for the tests of firmware tables.
 */
#pragma once

#include <string.h>

#include "vmm/tables.h"

#define TEST_BOARD_CPUS 3

static const uint32_t test_board_apic_ids[TEST_BOARD_CPUS] = {0, 1, 300};

static const struct plat_class test_serial_class = {
	.acpi_hid = "PNP0501",
	.acpi_name = "COM1",
	.fdt_compatible = "ns16550a",
};
static const struct plat_class test_pvpanic_class = {
	.acpi_hid = "QEMU0001",
	.acpi_name = "PEVT",
};
static const struct plat_class test_rtc_class = {
	.acpi_hid = "PNP0B00",
	.acpi_name = "RTC",
	.fdt_compatible = "motorola,mc146818",
};
static const struct plat_class test_hidden_class = {.acpi_hid = NULL};

static inline void test_board_port(struct board_desc *b,
				   const struct plat_class *class,
				   uint16_t base, uint16_t len, int irq)
{
	struct board_plat *p = &b->plat[b->plat_count++];

	p->class = class;
	p->name = "test";
	p->res.ports[0].base = base;
	p->res.ports[0].len = len;
	p->res.irq[0] = irq;
	p->res.irq[1] = -1;
}

static inline void test_board_init(struct board_desc *b)
{
	*b = (struct board_desc){
		.machine = "microvm",
		.cpus = TEST_BOARD_CPUS,
		.apic_ids = test_board_apic_ids,
		.lapic_base = 0xfee00000,
		.ioapic_base = 0xfec00000,
		.ioapic_gsis = 24,
		.sleep_control = 0x600,
		.sleep_status = 0x601,
		.reset_reg = 0x602,
		.reset_value = 0x42,
		.has_rtc = true,
		.ram_count = 2,
		.ram = {{0, 0xc0000000}, {1ULL << 32, 1ULL << 31}},
		.cmdline = "console=ttyS0 root=/dev/vda",
	};
	test_board_port(b, &test_serial_class, 0x3f8, 8, 4);
	test_board_port(b, &test_serial_class, 0x2f8, 8, 3);
	test_board_port(b, &test_pvpanic_class, 0x505, 1, -1);
	test_board_port(b, &test_rtc_class, 0x70, 2, 8);
	test_board_port(b, &test_hidden_class, 0xf4, 4, -1);
	for (unsigned i = 0; i < BOARD_VIRTIO_MAX; i++) {
		b->virtio[i].base = 0xd0000000ULL + i * 0x200;
		b->virtio[i].len = 0x200;
		b->virtio[i].gsi = 5 + i % 19;
	}
	/* One above 4 GiB. */
	b->virtio[1].base = 0x800000000ULL;
	b->virtio_count = BOARD_VIRTIO_MAX;
}
