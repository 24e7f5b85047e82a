/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The microvm machine: RAM, virtio-mmio slots, a serial port, and the little
 * that a distribution kernel looks for; described to the guest by
 * hardware-reduced ACPI, or by a device tree of the same board.
 *
 * Memory map: RAM to 3 GiB and from 4 GiB on; virtio-mmio slots at 0xfeb00000,
 * 512 bytes each; IOAPIC and LAPIC at their usual places. Lines 0 to 15 are
 * the ISA ones. The user-space IOAPIC has as many more as there are slots; the
 * kernel's has 24, and the slots take those that ISA leaves free.
 *
 * Threads: main; the interrupt and doorbell sinks, and eoi: any.
 */
#include <errno.h>
#include <string.h>

#include "backend/object.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "bus/plat.h"
#include "bus/virtio_mmio.h"
#include "vmm/boot_files.h"
#include "vmm/config.h"
#include "vmm/doctor.h"
#include "vmm/loader.h"
#include "vmm/machine.h"
#include "vmm/memory.h"
#include "vmm/file.h"
#include "vmm/pc_irq.h"
#include "vmm/tables.h"
#include "vmm/vm.h"

#define LOW_RAM_END 0xc0000000ULL
#define HIGH_RAM    0x100000000ULL
#define VIRTIO_BASE 0xfeb00000ULL
#define EBDA_START  0x9fc00ULL
#define BIOS_START  0xe0000ULL
#define BIOS_END    0x100000ULL

#define SLOTS      32U
#define ISA_GSIS   16U
#define SPLIT_GSIS (ISA_GSIS + SLOTS)
#define FULL_GSIS  24U
#define CPUS_MAX   255U

struct microvm {
	struct machine m;
	/* Properties. */
	int acpi, irqchip;
	bool kaslr, pit, pic, rtc, isa_serial, i8042;
	char *dumpdtb, *kernel_cache;
	struct prop_link memory;
	/* Parts. */
	struct pc_irq irq;
	struct bus system, isa;
	struct virtio_mmio *slots[SLOTS];
	unsigned nslots;
	struct board_desc desc;
	uint32_t apic_ids[CPUS_MAX];
	struct e820_entry e820[8];
	unsigned ne820;
	struct boot_files files;
};

static struct microvm *microvm_of(struct machine *m)
{
	return container_of(m, struct microvm, m);
}

static unsigned gsi_count(const struct microvm *mv)
{
	return mv->irqchip == PC_IRQ_SPLIT ? SPLIT_GSIS : FULL_GSIS;
}

static int make_vm(struct microvm *mv, struct err *e)
{
	struct vm *vm = mv->m.vm;
	struct kvm_config c = {
		.irqchip = mv->irqchip == PC_IRQ_SPLIT ? KVM_IRQCHIP_SPLIT_MODE
						       : KVM_IRQCHIP_FULL,
		.pit = mv->pit,
		.pic = mv->pic,
		.gsis = gsi_count(mv),
	};
	int r;

	if ((mv->pit || mv->pic) && mv->irqchip == PC_IRQ_SPLIT)
		return err_set(e, -EINVAL,
			       "-machine: pit=on and pic=on need "
			       "kernel-irqchip=on");
	r = kvm_new(&c, &vm->kvm, e);
	if (!r)
		r = memory_build(vm, mv->memory.ptr, LOW_RAM_END, HIGH_RAM, e);
	if (!r)
		r = kvm_start_irqchip(vm->kvm, e);
	return r;
}

static int make_buses(struct microvm *mv, struct err *e)
{
	struct board *b = &mv->m.vm->board;
	int r = bus_init(&mv->system, &plat_bus_type, "main-system-bus", NULL,
			 b, e);

	return r ? r : bus_init(&mv->isa, &isa_bus_type, "isa.0", NULL, b, e);
}

/*
 * With the kernel's 24 lines the slots take 16 to 23, then the ISA lines that
 * nothing else here uses.
 */
static int slot_gsi(const struct microvm *mv, unsigned slot)
{
	static const uint8_t full[] = {16, 17, 18, 19, 20, 21, 22, 23,
				       5,  6,  7,  9,  10, 11, 13, 14};

	if (mv->irqchip == PC_IRQ_SPLIT)
		return (int)(ISA_GSIS + slot);
	return slot < ARRAY_SIZE(full) ? full[slot] : -1;
}

static int make_slots(struct microvm *mv, struct err *e)
{
	for (unsigned i = 0; i < SLOTS && slot_gsi(mv, i) >= 0; i++) {
		int r = virtio_mmio_new(&mv->m.vm->board, i,
					VIRTIO_BASE + i * VIRTIO_MMIO_SIZE,
					(unsigned)slot_gsi(mv, i),
					&mv->slots[i], e);
		if (r)
			return r;
		mv->nslots = i + 1;
	}
	return 0;
}

static int make_board_devices(struct microvm *mv, struct err *e)
{
	struct vm *vm = mv->m.vm;
	int r = vm_add_part(vm, "acpi-pm", &mv->system, NULL, 0, e);

	if (!r && mv->rtc)
		r = vm_add_part(vm, "mc146818rtc", &mv->isa, NULL, 0, e);
	if (!r && mv->i8042)
		r = vm_add_part(vm, "i8042", &mv->isa, NULL, 0, e);
	if (!r && mv->isa_serial)
		r = vm_add_serials(vm, &mv->isa, e);
	return r;
}

static int microvm_build(struct machine *m, struct err *e)
{
	struct microvm *mv = microvm_of(m);
	int r = boot_files_open(&mv->files, m->vm->config, mv->kernel_cache,
				e);

	if (!r)
		r = make_vm(mv, e);
	if (!r)
		r = make_buses(mv, e);
	if (!r)
		r = pc_irq_init(&mv->irq, m->vm, (enum pc_irq_mode)mv->irqchip,
				&mv->system, gsi_count(mv), e);
	if (!r)
		r = make_board_devices(mv, e);
	if (!r)
		r = make_slots(mv, e);
	return r;
}

static void describe_virtio(struct microvm *mv, struct board_desc *d)
{
	for (unsigned i = 0; i < mv->nslots; i++) {
		if (!virtio_mmio_is_used(mv->slots[i]))
			continue;
		d->virtio[d->virtio_count++] = (struct board_virtio){
			.base = virtio_mmio_base(mv->slots[i]),
			.len = VIRTIO_MMIO_SIZE,
			.gsi = virtio_mmio_gsi(mv->slots[i]),
		};
	}
}

static void describe_plat(struct vm *vm, struct board_desc *d)
{
	for (size_t i = 0; i < vm->ndevices; i++) {
		struct device *dev = vm->devices[i];
		struct board_plat *p = &d->plat[d->plat_count];

		if ((dev->bus->type != &plat_bus_type &&
		     dev->bus->type != &isa_bus_type) ||
		    d->plat_count == BOARD_PLAT_MAX ||
		    !plat_resources_of(dev, &p->res))
			continue;
		d->plat_count++;
		p->class = dev->class->flavour;
		p->name = dev->class->name;
	}
}

/* Hardware-reduced ACPI switches off and resets by the registers of acpi-pm. */
static void describe_power(struct board_desc *d)
{
	for (unsigned i = 0; i < d->plat_count; i++) {
		uint16_t base = d->plat[i].res.ports[0].base;

		if (strcmp(d->plat[i].name, "acpi-pm") != 0)
			continue;
		d->sleep_control = (uint16_t)(base + ACPI_PM_SLEEP_CONTROL);
		d->sleep_status = (uint16_t)(base + ACPI_PM_SLEEP_STATUS);
		d->reset_reg = (uint16_t)(base + ACPI_PM_RESET);
		d->reset_value = ACPI_PM_RESET_VALUE;
	}
}

static void describe_ram(struct vm *vm, struct board_desc *d)
{
	for (unsigned i = 0; i < vm->gmem.count; i++) {
		d->ram[i].base = vm->gmem.ranges[i].base;
		d->ram[i].len = vm->gmem.ranges[i].len;
	}
	d->ram_count = vm->gmem.count;
}

static void describe(struct microvm *mv)
{
	struct vm *vm = mv->m.vm;
	struct board_desc *d = &mv->desc;

	*d = (struct board_desc){
		.machine = mv->m.class->name,
		.cpus = vm->cpu_config.cpus,
		.apic_ids = mv->apic_ids,
		.lapic_base = PC_LAPIC_BASE,
		.ioapic_base = PC_IOAPIC_BASE,
		.ioapic_gsis = gsi_count(mv),
		.has_pic = mv->pic,
		.has_rtc = mv->rtc,
		.tsc_hz = kvm_tsc_hz(vm->kvm),
		.cmdline = vm->config->append,
	};
	for (unsigned i = 0; i < d->cpus; i++)
		mv->apic_ids[i] = cpu_model_apic_id(vm->cpu_model, i);
	describe_virtio(mv, d);
	describe_plat(vm, d);
	describe_power(d);
	describe_ram(vm, d);
}

static void add_e820(struct microvm *mv, uint64_t base, uint64_t end,
		     uint32_t type)
{
	if (base < end)
		mv->e820[mv->ne820++] =
			(struct e820_entry){base, end - base, type};
}

static void make_e820(struct microvm *mv)
{
	const struct gmem *gm = &mv->m.vm->gmem;
	uint64_t low_end = gm->ranges[0].len;

	mv->ne820 = 0;
	add_e820(mv, 0, EBDA_START, E820_RAM);
	add_e820(mv, EBDA_START, BIOS_END, E820_RESERVED);
	add_e820(mv, BIOS_END, low_end, E820_RAM);
	for (unsigned i = 1; i < gm->count; i++)
		add_e820(mv, gm->ranges[i].base,
			 gm->ranges[i].base + gm->ranges[i].len, E820_RAM);
}

/* -M dumpdtb=FILE: the tree is written and the process is done. */
static int dump_dtb(struct microvm *mv, struct err *e)
{
	AUTO_FREE void *blob = NULL;
	size_t len;
	int r = fdt_build(&mv->desc, &blob, &len, e);

	if (!r)
		r = file_write(mv->dumpdtb, blob, len, e);
	if (r)
		return err_prefix(e, "-machine dumpdtb: "), r;
	run_end(mv->m.vm, 0);
	return 0;
}

static int make_tables(struct microvm *mv, struct boot_config *c,
		       struct err *e)
{
	struct vm *vm = mv->m.vm;
	gpa_t where = BIOS_START;
	int r = 0;

	if (mv->acpi != OOA_OFF)
		r = acpi_build(&vm->gmem, &mv->desc, &where, BIOS_END,
			       &c->rsdp, e);
	return r ? r : vm_build_smbios(vm, &where, BIOS_END, e);
}

static int load_kernel(struct microvm *mv, struct boot_config *c,
		       struct err *e)
{
	struct vm *vm = mv->m.vm;
	AUTO_FREE void *dtb = NULL;
	int r = 0;

	if (mv->files.dtb) {
		c->dtb = mv->files.dtb;
		c->dtb_size = mv->files.dtb_size;
	} else if (mv->acpi == OOA_OFF) {
		r = fdt_build(&mv->desc, &dtb, &c->dtb_size, e);
		c->dtb = dtb;
	}
	return r ? r : boot_load(&vm->gmem, c, &vm->boot, e);
}

static int microvm_boot(struct machine *m, bool fresh, struct err *e)
{
	struct microvm *mv = microvm_of(m);
	struct vm *vm = m->vm;
	struct boot_config c = {
		.kernel = vm->config->kernel,
		.initrd = vm->config->initrd,
		.kernel_fd = mv->files.kernel,
		.initrd_fd = mv->files.initrd,
		.cmdline = vm->config->append ? vm->config->append : "",
		.kaslr = mv->kaslr,
		.check_linux = fresh ? doctor_check_linux : NULL,
		.fresh = fresh,
		.overlay = memory_is_plain(vm->ram),
		.images = &mv->files.images,
		.e820 = mv->e820,
	};
	int r;

	describe(mv);
	if (mv->dumpdtb)
		return dump_dtb(mv, e);
	if (!c.kernel)
		return err_set(e, -EINVAL,
			       "machine '%s' has no firmware: name a kernel "
			       "with -kernel",
			       m->class->name);
	make_e820(mv);
	c.e820_count = mv->ne820;
	r = make_tables(mv, &c, e);
	return r ? r : load_kernel(mv, &c, e);
}

static void microvm_fini(struct machine *m)
{
	struct microvm *mv = microvm_of(m);

	for (unsigned i = 0; i < SLOTS; i++)
		virtio_mmio_free(mv->slots[i]);
	bus_fini(&mv->isa);
	bus_fini(&mv->system);
	boot_files_close(&mv->files);
}

static void microvm_eoi(struct machine *m, unsigned vector)
{
	pc_irq_eoi(m->vm, vector);
}

static const struct prop microvm_props[] = {
	PROP_ENUM(struct microvm, acpi, "acpi", OOA_AUTO, on_off_auto_names,
		  "describe the board by ACPI tables (off: by a device tree)"),
	PROP_STR(struct microvm, dumpdtb, "dumpdtb", NULL,
		 "write the device tree of the board to this file and exit"),
	PROP_BOOL(struct microvm, i8042, "i8042", true,
		  "keyboard controller, for reset (reboot=k)"),
	PROP_BOOL(struct microvm, isa_serial, "isa-serial", true,
		  "serial ports of -serial"),
	PROP_BOOL(struct microvm, kaslr, "kaslr", true,
		  "load Linux at a random address"),
	PROP_STR(struct microvm, kernel_cache, "kernel-cache", "auto",
		 "where unpacked kernels are kept: off, auto or a directory"),
	PROP_ENUM(struct microvm, irqchip, "kernel-irqchip", PC_IRQ_SPLIT,
		  pc_irq_mode_names, "where the interrupt controllers are"),
	PROP_BACKEND(struct microvm, memory, "memory-backend", "memory",
		     "-object that holds the guest's memory"),
	PROP_BOOL(struct microvm, pic, "pic", false,
		  "i8259 interrupt controller (kernel-irqchip=on)"),
	PROP_BOOL(struct microvm, pit, "pit", false,
		  "i8254 timer (kernel-irqchip=on)"),
	PROP_BOOL(struct microvm, rtc, "rtc", false, "CMOS real-time clock"),
	PROP_END,
};

const struct machine_class machine_microvm = {
	.name = "microvm",
	.summary = "minimal machine with virtio-mmio devices",
	.is_default = true,
	.size = sizeof(struct microvm),
	.props = microvm_props,
	.max_cpus = CPUS_MAX,
	.build = microvm_build,
	.boot = microvm_boot,
	.fini = microvm_fini,
	.eoi = microvm_eoi,
};
