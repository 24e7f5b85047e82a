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

enum kvm_irqchip_mode {
	KVM_IRQCHIP_SPLIT_MODE,
	KVM_IRQCHIP_FULL,
	KVM_IRQCHIP_NONE,
};

struct kvm_config {
	enum kvm_irqchip_mode irqchip;
	/* With KVM_IRQCHIP_FULL only: the PIT, and lines 0 to 15 wired to the
	 * PIC too. (KVM's own irqchip always has the PIC's ports.) */
	bool pit, pic;
	unsigned gsis;      /* lines of the (user-space) IOAPIC */
	const char *device; /* NULL: /dev/kvm */
};

/*
 * Guest-physical pages that KVM takes for itself on some Intel hosts (real-mode
 * TSS and identity map): no RAM, no device and no firmware may lie there.
 */
#define KVM_HOLE_BASE 0xfeffc000ULL
#define KVM_HOLE_LEN  0x4000ULL

/*
 * Opens /dev/kvm and makes the VM. The message says what to do where the
 * device is absent, not permitted, busy or too old.
 */
int kvm_new(const struct kvm_config *c, struct kvm **ret, struct err *e);
/* Every vCPU is freed before. NULL is fine. */
void kvm_free(struct kvm *k);

/*
 * Adds RAM (or read-only memory) as a slot; base, len and host are
 * page-aligned, and host outlives the slot. At start-up before
 * kvm_start_irqchip(): each slot costs the host more after it. -EEXIST on
 * overlap, -ENOSPC when the slots are used up.
 */
int kvm_add_memory(struct kvm *k, gpa_t base, uint64_t len, void *host,
		   bool read_only, struct err *e);
/* Takes out the slot that starts at base: -ENOENT if none does. */
int kvm_del_memory(struct kvm *k, gpa_t base, struct err *e);

/* Makes the interrupt controllers; after the memory, before the vCPUs. */
int kvm_start_irqchip(struct kvm *k, struct err *e);

/* Level of a line of an in-kernel IOAPIC or PIC. Any thread. */
void kvm_set_irq(struct kvm *k, unsigned gsi, bool level);

/*
 * Sends a message to the LAPICs (PCI MSI address and data; an address of NMI
 * delivery mode sends an NMI). Any thread.
 */
void kvm_send_msi(struct kvm *k, uint64_t address, uint32_t data);

/*
 * Routes gsi to a message (split irqchip, or a gsi past the in-kernel IOAPIC's
 * 24 lines), so that its irqfd delivers it without leaving the kernel; and
 * undoes it. A gsi without a route delivers nothing. A message in level
 * trigger mode (data bit 15) for a gsi below kvm_config.gsis makes its EOI
 * reach vcpu_ops.eoi. Batched: kvm_commit_routes() makes the changes
 * effective, and costs nothing where there are none. -EINVAL: no such gsi.
 * Any thread.
 */
int kvm_route_msi(struct kvm *k, unsigned gsi, uint64_t address, uint32_t data);
void kvm_unroute(struct kvm *k, unsigned gsi);
int kvm_commit_routes(struct kvm *k, struct err *e);

/*
 * The eventfd whose write injects gsi (edge); made at first use. Owned by k.
 * -1 where the host has no irqfd. Any thread.
 */
int kvm_irqfd(struct kvm *k, unsigned gsi);

/* ioeventfd; size 0: any width and value where the host can. Any thread. */
int kvm_ioeventfd(struct kvm *k, bool add, bool is_port, uint64_t addr,
		  unsigned size, uint64_t value, int eventfd);

/* The host's limits and features that others ask about. */
unsigned kvm_max_vcpus(const struct kvm *k);
bool kvm_has_cap(const struct kvm *k, int cap); /* KVM_CAP_* number */
/* Time-stamp counter frequency that guests see, Hz; 0: unknown. */
uint64_t kvm_tsc_hz(const struct kvm *k);

/* What runs guest code on this host. */
enum kvm_kind {
	KVM_KIND_UNKNOWN, /* no /sys, or a module with a name we do not know */
	KVM_KIND_VMX,     /* Intel VT-x */
	KVM_KIND_SVM,     /* AMD-V */
	KVM_KIND_PVM,     /* page tables only: kernel code is interpreted */
};
/* Found out from /sys/module, or from another folder (tests). */
enum kvm_kind kvm_host_kind(const char *sys_module);
