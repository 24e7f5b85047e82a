/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flattened device tree of a board, for kernels that take one instead of
 * ACPI.
 *
 * Spec: Devicetree Specification 0.4; Linux bindings intel,ce4100-lapic,
 *       intel,ce4100-ioapic (interrupt cells: line, then 0 edge rising or
 *       2 level high), virtio,mmio, ns16550a.
 * Threads: main.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vmm/tables.h"

#define FDT_BYTES      (64 * KIB)
#define APIC_BYTES     0x1000
#define PHANDLE_IOAPIC 1
#define IRQ_EDGE       0U
#define UART_CLOCK_HZ  1843200U
#define ISA_IO         1U /* first address cell of an ISA port */

/*
 * The sequential writer of libfdt remembers nothing of failures: the first one
 * is kept here, and what follows does nothing.
 */
struct tree {
	void *blob;
	int failure;
};

static void keep(struct tree *t, int result)
{
	if (!t->failure && result < 0)
		t->failure = result;
}

static void begin(struct tree *t, const char *name)
{
	if (!t->failure)
		keep(t, fdt_begin_node(t->blob, name));
}

static void begin_at(struct tree *t, const char *name, uint64_t addr)
{
	char full[48];

	(void)snprintf(full, sizeof(full), "%s@%llx", name,
		       (unsigned long long)addr);
	begin(t, full);
}

static void end(struct tree *t)
{
	if (!t->failure)
		keep(t, fdt_end_node(t->blob));
}

static void put_string(struct tree *t, const char *name, const char *text)
{
	if (!t->failure)
		keep(t, fdt_property(t->blob, name, text,
				     (int)strlen(text) + 1));
}

static void put_u32(struct tree *t, const char *name, uint32_t value)
{
	if (!t->failure)
		keep(t, fdt_property_u32(t->blob, name, value));
}

static void put_u64(struct tree *t, const char *name, uint64_t value)
{
	if (!t->failure)
		keep(t, fdt_property_u64(t->blob, name, value));
}

static void put_empty(struct tree *t, const char *name)
{
	if (!t->failure)
		keep(t, fdt_property(t->blob, name, NULL, 0));
}

static void put_cells(struct tree *t, const char *name, const uint32_t *cells,
		      unsigned n)
{
	fdt32_t be[8];

	for (unsigned i = 0; i < n; i++)
		be[i] = cpu_to_fdt32(cells[i]);
	if (!t->failure)
		keep(t, fdt_property(t->blob, name, be,
				     (int)(n * sizeof(be[0]))));
}

/* Two address cells and two size cells. */
static void put_reg(struct tree *t, uint64_t base, uint64_t len)
{
	const uint32_t cells[] = {
		(uint32_t)(base >> 32),
		(uint32_t)base,
		(uint32_t)(len >> 32),
		(uint32_t)len,
	};

	put_cells(t, "reg", cells, ARRAY_SIZE(cells));
}

static void put_irq(struct tree *t, unsigned gsi)
{
	const uint32_t cells[] = {gsi, IRQ_EDGE};

	put_cells(t, "interrupts", cells, ARRAY_SIZE(cells));
}

static void put_sizes(struct tree *t, uint32_t address, uint32_t size)
{
	put_u32(t, "#address-cells", address);
	put_u32(t, "#size-cells", size);
}

static void write_chosen(struct tree *t, const struct board_desc *b)
{
	begin(t, "chosen");
	if (b->cmdline)
		put_string(t, "bootargs", b->cmdline);
	if (b->initrd_len) {
		put_u64(t, "linux,initrd-start", b->initrd);
		put_u64(t, "linux,initrd-end", b->initrd + b->initrd_len);
	}
	end(t);
}

static void write_memory(struct tree *t, const struct board_desc *b)
{
	for (unsigned i = 0; i < b->ram_count; i++) {
		begin_at(t, "memory", b->ram[i].base);
		put_string(t, "device_type", "memory");
		put_reg(t, b->ram[i].base, b->ram[i].len);
		end(t);
	}
}

static void write_cpus(struct tree *t, const struct board_desc *b)
{
	begin(t, "cpus");
	put_sizes(t, 1, 0);
	for (unsigned i = 0; i < b->cpus; i++) {
		begin_at(t, "cpu", b->apic_ids[i]);
		put_string(t, "device_type", "cpu");
		put_string(t, "compatible", "cpu-x86");
		put_u32(t, "reg", b->apic_ids[i]);
		end(t);
	}
	end(t);
}

static void write_apics(struct tree *t, const struct board_desc *b)
{
	begin_at(t, "lapic", b->lapic_base);
	put_string(t, "compatible", "intel,ce4100-lapic");
	put_reg(t, b->lapic_base, APIC_BYTES);
	end(t);
	begin_at(t, "interrupt-controller", b->ioapic_base);
	put_string(t, "compatible", "intel,ce4100-ioapic");
	put_empty(t, "interrupt-controller");
	put_u32(t, "#interrupt-cells", 2);
	put_u32(t, "#address-cells", 0);
	put_u32(t, "phandle", PHANDLE_IOAPIC);
	put_reg(t, b->ioapic_base, APIC_BYTES);
	end(t);
}

static void write_virtio(struct tree *t, const struct board_desc *b)
{
	for (unsigned i = 0; i < b->virtio_count; i++) {
		const struct board_virtio *v = &b->virtio[i];

		begin_at(t, "virtio_mmio", v->base);
		put_string(t, "compatible", "virtio,mmio");
		put_reg(t, v->base, v->len);
		put_irq(t, v->gsi);
		put_empty(t, "dma-coherent");
		end(t);
	}
}

static void write_isa_device(struct tree *t, const struct board_plat *p)
{
	const uint32_t reg[] = {ISA_IO, p->res.ports[0].base,
				p->res.ports[0].len};
	char name[32];

	(void)snprintf(name, sizeof(name), "%s@i%x",
		       p->class->acpi_name ? p->class->acpi_name : "device",
		       p->res.ports[0].base);
	begin(t, name);
	put_string(t, "compatible", p->class->fdt_compatible);
	put_cells(t, "reg", reg, ARRAY_SIZE(reg));
	if (p->res.irq[0] >= 0)
		put_irq(t, (unsigned)p->res.irq[0]);
	put_u32(t, "clock-frequency", UART_CLOCK_HZ);
	end(t);
}

/* Devices at ports: one address cell says so, the next has the port. */
static void write_isa(struct tree *t, const struct board_desc *b)
{
	const uint32_t ranges[] = {ISA_IO, 0, 0, 0, 0x10000};

	begin(t, "isa@i0");
	put_string(t, "compatible", "isa");
	put_string(t, "device_type", "isa");
	put_sizes(t, 2, 1);
	put_cells(t, "ranges", ranges, ARRAY_SIZE(ranges));
	for (unsigned i = 0; i < b->plat_count; i++)
		if (b->plat[i].class->fdt_compatible &&
		    b->plat[i].res.ports[0].len)
			write_isa_device(t, &b->plat[i]);
	end(t);
}

static void write_root(struct tree *t, const struct board_desc *b)
{
	begin(t, "");
	put_string(t, "compatible", "linux,dummy-virt");
	put_string(t, "model", b->machine);
	put_sizes(t, 2, 2);
	put_u32(t, "interrupt-parent", PHANDLE_IOAPIC);
	write_chosen(t, b);
	write_memory(t, b);
	write_cpus(t, b);
	write_apics(t, b);
	write_virtio(t, b);
	write_isa(t, b);
	end(t);
}

int fdt_build(const struct board_desc *b, void **blob, size_t *len,
	      struct err *e)
{
	AUTO_FREE void *buf = calloc(1, FDT_BYTES);
	struct tree t = {.blob = buf};

	if (!buf)
		return err_set(e, -ENOMEM, "no memory for the device tree");
	keep(&t, fdt_create(buf, FDT_BYTES));
	if (!t.failure)
		keep(&t, fdt_finish_reservemap(buf));
	write_root(&t, b);
	if (!t.failure)
		keep(&t, fdt_finish(buf));
	if (t.failure)
		return err_set(e, -EINVAL, "cannot make the device tree: %s",
			       fdt_strerror(t.failure));
	*len = fdt_totalsize(buf);
	*blob = take_ptr(buf);
	return 0;
}
