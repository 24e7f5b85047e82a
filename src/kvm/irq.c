/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts into the guest (lines, messages, irqfd and their routing) and
 * doorbells out of it (ioeventfd).
 *
 * Theory of operation. The kernel takes the routes of all lines in one call
 * that waits for a grace period, so changes are gathered in routes[] and
 * handed over by kvm_commit_routes(), only if something did change. A route
 * is to a message, or, where KVM has the IOAPIC and the PIC, to their pins;
 * a line whose IOAPIC entry the guest has masked or never programmed has none.
 * An irqfd stays bound to its line whatever the route; a write to one without
 * a route is lost, as an edge at a masked IOAPIC pin is (or meets a route that
 * is made at once after: KVM leaves such writes to a worker).
 *
 * Spec: Linux Documentation/virt/kvm/api.rst, 4.25, 4.52, 4.59, 4.70, 4.75;
 *       Intel SDM 3A, 11.11 (message format).
 * Threads: any.
 * Syscalls: all: ioctl, futex; set-up: eventfd2
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "kvm/internal.h"

#define IOAPIC_PINS 24U
#define PIC_LINES   16U

/* Each of the PIC's lines has a second route, to the PIC. */
#define KVM_ROUTES_MAX (KVM_GSI_MAX + PIC_LINES)

int kvm_irqs_init(struct kvm *k, struct err *e)
{
	struct kvm_irqs *q = &k->irqs;
	int limit = kvm_check_cap(k, KVM_CAP_IRQ_ROUTING);

	pthread_mutex_init(&q->lock, NULL);
	q->gsi_count = (unsigned)MIN(limit, KVM_GSI_MAX);
	q->routes = calloc(KVM_GSI_MAX, sizeof(*q->routes));
	q->fds = calloc(KVM_GSI_MAX, sizeof(*q->fds));
	q->table = calloc(1, sizeof(*q->table) +
				     KVM_ROUTES_MAX *
					     sizeof(q->table->entries[0]));
	if (!q->routes || !q->fds || !q->table)
		return err_set(e, -ENOMEM, "no memory for interrupt routes");
	if (k->config.irqchip == KVM_IRQCHIP_SPLIT_MODE &&
	    k->config.gsis > q->gsi_count)
		return err_set(e, -EINVAL,
			       "%u interrupt lines: this host's KVM has %u",
			       k->config.gsis, q->gsi_count);
	return 0;
}

void kvm_irqs_fini(struct kvm *k)
{
	struct kvm_irqs *q = &k->irqs;

	for (unsigned i = 0; q->fds && i < q->gsi_count; i++) {
		if (q->fds[i])
			close(q->fds[i] - 1);
	}
	free(q->routes);
	free(q->fds);
	free(q->table);
	pthread_mutex_destroy(&q->lock);
	*q = (struct kvm_irqs){0};
}

/*
 * An APIC id past 255 is in address bits 63:40, or (as guests write it that
 * know KVM_FEATURE_MSI_EXT_DEST_ID) in bits 11:5, which become 46:40.
 */
static uint64_t kvm_msi_address(uint64_t address)
{
	uint64_t more = FIELD_GET(MASK(11, 5), address);

	return (address & ~MASK(11, 5)) | more << 40;
}

/* Under q->lock. */
static struct kvm_irq_routing_entry *kvm_add_entry(struct kvm_irqs *q,
						   unsigned gsi, unsigned type)
{
	struct kvm_irq_routing_entry *en = &q->table->entries[q->table->nr++];

	*en = (struct kvm_irq_routing_entry){.gsi = gsi, .type = type};
	return en;
}

static void kvm_add_pin(struct kvm_irqs *q, unsigned gsi, unsigned chip,
			unsigned pin)
{
	struct kvm_irq_routing_entry *en;

	en = kvm_add_entry(q, gsi, KVM_IRQ_ROUTING_IRQCHIP);
	en->u.irqchip.irqchip = chip;
	en->u.irqchip.pin = pin;
}

/* The PC's wiring: line 0 is pin 2 of the IOAPIC, whose pin 0 is free. */
static void kvm_add_line(struct kvm_irqs *q, unsigned gsi, bool pic)
{
	if (pic && gsi < PIC_LINES)
		kvm_add_pin(q, gsi,
			    gsi < 8 ? KVM_IRQCHIP_PIC_MASTER
				    : KVM_IRQCHIP_PIC_SLAVE,
			    gsi % 8);
	if (gsi != 2)
		kvm_add_pin(q, gsi, KVM_IRQCHIP_IOAPIC, gsi ? gsi : 2);
}

static void kvm_add_msi(struct kvm_irqs *q, unsigned gsi,
			const struct kvm_route *r)
{
	struct kvm_irq_routing_entry *en;

	en = kvm_add_entry(q, gsi, KVM_IRQ_ROUTING_MSI);
	en->u.msi.address_lo = (uint32_t)r->address;
	en->u.msi.address_hi = (uint32_t)(r->address >> 32);
	en->u.msi.data = r->data;
}

static int kvm_push_routes(struct kvm *k)
{
	struct kvm_irqs *q = &k->irqs;
	int r;

	q->table->nr = 0;
	for (unsigned i = 0; i < q->chip_lines; i++)
		kvm_add_line(q, i, k->config.pic);
	for (unsigned i = q->chip_lines; i < q->gsi_count; i++) {
		if (q->routes[i].is_used)
			kvm_add_msi(q, i, &q->routes[i]);
	}
	r = kvm_vm_ioctl(k, KVM_SET_GSI_ROUTING, q->table);
	q->is_dirty = r < 0;
	return r;
}

int kvm_commit_routes(struct kvm *k, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&k->irqs.lock);
	if (k->irqs.is_dirty)
		r = kvm_push_routes(k);
	pthread_mutex_unlock(&k->irqs.lock);
	if (r)
		err_set_errno(e, r, "KVM refuses the interrupt routes");
	return r;
}

int kvm_irqs_add_chip(struct kvm *k, struct err *e)
{
	pthread_mutex_lock(&k->irqs.lock);
	k->irqs.chip_lines = MIN(IOAPIC_PINS, k->irqs.gsi_count);
	k->irqs.is_dirty = true;
	pthread_mutex_unlock(&k->irqs.lock);
	return kvm_commit_routes(k, e);
}

/* Under q->lock: r becomes the route of gsi. */
static void kvm_change_route(struct kvm_irqs *q, unsigned gsi,
			     const struct kvm_route *r)
{
	struct kvm_route *old = &q->routes[gsi];

	if (old->is_used == r->is_used && old->address == r->address &&
	    old->data == r->data)
		return;
	*old = *r;
	q->is_dirty = true;
}

int kvm_route_msi(struct kvm *k, unsigned gsi, uint64_t address, uint32_t data)
{
	struct kvm_route r = {kvm_msi_address(address), data, true};
	struct kvm_irqs *q = &k->irqs;

	if (gsi < q->chip_lines || gsi >= q->gsi_count)
		return -EINVAL;
	pthread_mutex_lock(&q->lock);
	kvm_change_route(q, gsi, &r);
	pthread_mutex_unlock(&q->lock);
	return 0;
}

void kvm_unroute(struct kvm *k, unsigned gsi)
{
	static const struct kvm_route none;
	struct kvm_irqs *q = &k->irqs;

	if (gsi < q->chip_lines || gsi >= q->gsi_count)
		return;
	pthread_mutex_lock(&q->lock);
	kvm_change_route(q, gsi, &none);
	pthread_mutex_unlock(&q->lock);
}

void kvm_set_irq(struct kvm *k, unsigned gsi, bool level)
{
	struct kvm_irq_level l = {.irq = gsi, .level = level};
	int r = kvm_vm_ioctl(k, KVM_IRQ_LINE, &l);

	if (r < 0)
		log_on(LOG_KVM, "line %u: KVM_IRQ_LINE error %d", gsi, -r);
}

void kvm_send_msi(struct kvm *k, uint64_t address, uint32_t data)
{
	uint64_t to = kvm_msi_address(address);
	struct kvm_msi m = {
		.address_lo = (uint32_t)to,
		.address_hi = (uint32_t)(to >> 32),
		.data = data,
	};
	int r = kvm_vm_ioctl(k, KVM_SIGNAL_MSI, &m);

	/* The guest chooses both words: a bad one is its own affair. */
	if (r < 0)
		log_on(LOG_GUEST_ERRORS,
		       "message 0x%x to 0x%llx goes nowhere (error %d)", data,
		       (unsigned long long)address, -r);
}

/* Under q->lock: a new eventfd bound to gsi, or -1. */
static int kvm_bind_irqfd(struct kvm *k, unsigned gsi)
{
	struct kvm_irqfd bind = {.gsi = gsi};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -1;
	bind.fd = (uint32_t)fd;
	r = kvm_vm_ioctl(k, KVM_IRQFD, &bind);
	if (!r)
		return fd;
	log_on(LOG_KVM, "no irqfd for line %u (error %d)", gsi, -r);
	close(fd);
	return -1;
}

int kvm_irqfd(struct kvm *k, unsigned gsi)
{
	struct kvm_irqs *q = &k->irqs;
	int fd;

	if (gsi >= q->gsi_count || k->config.irqchip == KVM_IRQCHIP_NONE)
		return -1;
	pthread_mutex_lock(&q->lock);
	fd = q->fds[gsi] ? q->fds[gsi] - 1 : kvm_bind_irqfd(k, gsi);
	q->fds[gsi] = fd + 1;
	pthread_mutex_unlock(&q->lock);
	return fd;
}

int kvm_ioeventfd(struct kvm *k, bool add, bool is_port, uint64_t addr,
		  unsigned size, uint64_t value, int eventfd)
{
	struct kvm_ioeventfd io = {
		.datamatch = size ? value : 0,
		.addr = addr,
		.len = size,
		.fd = eventfd,
		.flags = (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN) |
			 (is_port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (size ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
	};

	if (!size && !k->has_any_length)
		return -ENOTSUP;
	return kvm_vm_ioctl(k, KVM_IOEVENTFD, &io);
}
