/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugs KVM's interrupt injection and doorbells into the sinks of the board.
 *
 * Threads: init: main; the sinks: any.
 */
#include "vmm/pc_irq.h"

#include <stddef.h>

#include "base/log.h"
#include "vmm/vm.h"

const char *const pc_irq_mode_names[] = {"split", "on", NULL};

/* The sink of the in-kernel IOAPIC. */
static void full_set(void *opaque, unsigned gsi, bool level)
{
	kvm_set_irq(opaque, gsi, level);
}

static void kvm_msi(void *opaque, uint64_t address, uint32_t data)
{
	kvm_send_msi(opaque, address, data);
}

static int kvm_pulse_fd(void *opaque, unsigned gsi)
{
	return kvm_irqfd(opaque, gsi);
}

static const struct irq_sink_ops full_ops = {
	.set = full_set,
	.msi = kvm_msi,
	.pulse_fd = kvm_pulse_fd,
};

/* What the user-space IOAPIC makes of its lines. */
static void split_route(void *opaque, unsigned gsi, uint64_t address,
			uint32_t data)
{
	if (kvm_route_msi(opaque, gsi, address, data))
		log_warn("interrupt line %u has no route", gsi);
}

static void split_unroute(void *opaque, unsigned gsi)
{
	kvm_unroute(opaque, gsi);
}

static void split_commit(void *opaque)
{
	struct err e;

	if (kvm_commit_routes(opaque, &e))
		log_warn("%s", e.text);
}

static int doorbell_add(void *opaque, bool is_port, uint64_t addr,
			unsigned size, uint64_t value, int eventfd)
{
	return kvm_ioeventfd(opaque, true, is_port, addr, size, value,
			     eventfd);
}

static void doorbell_del(void *opaque, bool is_port, uint64_t addr,
			 unsigned size, uint64_t value, int eventfd)
{
	(void)kvm_ioeventfd(opaque, false, is_port, addr, size, value,
			    eventfd); /* gone already is as good */
}

static void plug_full(struct pc_irq *p)
{
	p->sink = (struct irq_sink){.ops = &full_ops, .opaque = p->vm->kvm};
	p->vm->board.irqs = &p->sink;
}

/* The IOAPIC puts its own sink into the board when it is attached. */
static int plug_split(struct pc_irq *p, struct bus *system, unsigned gsis,
		      struct err *e)
{
	const struct part_value pins = {.name = "pins", .number = gsis};

	p->router = (struct irq_router){
		.route = split_route,
		.unroute = split_unroute,
		.commit = split_commit,
		.pulse_fd = kvm_pulse_fd,
		.msi = kvm_msi,
		.opaque = p->vm->kvm,
	};
	p->vm->board.router = &p->router;
	return vm_add_part(p->vm, "ioapic", system, &pins, 1, e);
}

int pc_irq_init(struct pc_irq *p, struct vm *vm, enum pc_irq_mode mode,
		struct bus *system, unsigned gsis, struct err *e)
{
	p->vm = vm;
	vm->notify = (struct notify_sink){
		.add = doorbell_add,
		.del = doorbell_del,
		.opaque = vm->kvm,
	};
	vm->board.notify = &vm->notify;
	if (mode == PC_IRQ_SPLIT)
		return plug_split(p, system, gsis, e);
	plug_full(p);
	return 0;
}

void pc_irq_eoi(const struct vm *vm, unsigned vector)
{
	const struct irq_sink *s = vm->board.irqs;

	if (s && s->ops->eoi)
		s->ops->eoi(s->opaque, vector);
}
