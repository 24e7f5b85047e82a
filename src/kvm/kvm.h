/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine as /dev/kvm gives it: memory slots, interrupt routing,
 * irqfd, ioeventfd. vCPUs are in kvm/vcpu.h.
 *
 * Spec: Linux Documentation/virt/kvm/api.rst.
 * Threads: main, except where a function says otherwise.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct kvm;

enum kvm_irqchip { KVM_IRQCHIP_SPLIT_MODE, KVM_IRQCHIP_FULL, KVM_IRQCHIP_NONE };

struct kvm_config {
	enum kvm_irqchip irqchip;
	bool pit, pic;  /* with KVM_IRQCHIP_FULL only */
	unsigned gsis;  /* lines of the (user-space) IOAPIC */
};

/*
 * Opens /dev/kvm and makes the VM. The message says what to do where the
 * device is absent, not permitted, busy or too old.
 */
int kvm_new(const struct kvm_config *c, struct kvm **ret, struct err *e);
void kvm_free(struct kvm *k);

/* Before the irqchip: adds RAM (or read-only memory) as a slot. */
int kvm_add_memory(struct kvm *k, gpa_t base, uint64_t len, void *host,
		   bool read_only, struct err *e);
int kvm_del_memory(struct kvm *k, gpa_t base, struct err *e);

/* Makes the interrupt controllers; after the memory, before the vCPUs. */
int kvm_start_irqchip(struct kvm *k, struct err *e);

/* Level of a line of an in-kernel IOAPIC or PIC. Any thread. */
void kvm_set_irq(struct kvm *k, unsigned gsi, bool level);

/* Sends a message to the LAPICs. Any thread. */
void kvm_send_msi(struct kvm *k, uint64_t address, uint32_t data);

/*
 * Routes gsi to a message (split irqchip), so that its irqfd delivers it
 * without leaving the kernel; and undoes it. Batched: kvm_commit_routes()
 * makes the changes effective. Any thread.
 */
int kvm_route_msi(struct kvm *k, unsigned gsi, uint64_t address,
		  uint32_t data);
void kvm_unroute(struct kvm *k, unsigned gsi);
int kvm_commit_routes(struct kvm *k, struct err *e);

/* The eventfd whose write injects gsi (edge); made at first use. Owned by k.
 * -1 where the host has no irqfd. */
int kvm_irqfd(struct kvm *k, unsigned gsi);

/* ioeventfd; size 0: any width and value where the host can. Any thread. */
int kvm_ioeventfd(struct kvm *k, bool add, bool is_port, uint64_t addr,
		  unsigned size, uint64_t value, int eventfd);

/* The host's limits and features that others ask about. */
unsigned kvm_max_vcpus(const struct kvm *k);
bool kvm_has_cap(const struct kvm *k, int cap); /* KVM_CAP_* number */
/* Time-stamp counter frequency that guests see, Hz; 0: unknown. */
uint64_t kvm_tsc_hz(const struct kvm *k);
