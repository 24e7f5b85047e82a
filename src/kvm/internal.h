/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of src/kvm share about a VM and its vCPUs. Not for other
 * folders.
 *
 * Lock order: slots_lock, irqs.lock and a vCPU's lock are leaves, no two of
 * them held together.
 */
#pragma once

#include <linux/kvm.h>
#include <pthread.h>

#include "base/compiler.h"
#include "base/types.h"
#include "kvm/exit.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"

#define KVM_SLOTS_MAX 64
#define KVM_GSI_MAX   2048 /* half of the kernel's KVM_MAX_IRQ_ROUTES */

struct kvm_slot {
	gpa_t base;
	uint64_t len; /* 0: the slot is free */
	uint8_t *host;
	bool read_only;
};

struct kvm_route {
	uint64_t address;
	uint32_t data;
	bool is_used;
};

/* Interrupt routing; irq.c. */
struct kvm_irqs {
	pthread_mutex_t lock;          /* guards all below */
	struct kvm_route *routes;      /* gsi_count of them */
	int *fds;                      /* eventfd + 1, by gsi; 0: none */
	struct kvm_irq_routing *table; /* as the kernel takes it */
	unsigned gsi_count;
	unsigned chip_lines; /* first gsis, which the in-kernel IOAPIC has */
	bool is_dirty;       /* routes differ from the kernel's */
};

struct kvm {
	int dev_fd, vm_fd;
	struct kvm_config config;
	enum kvm_kind kind;
	size_t run_size;     /* of the mapping of a vCPU's fd */
	bool has_any_length; /* ioeventfd of size 0 */
	pthread_mutex_t slots_lock;
	struct kvm_slot slots[KVM_SLOTS_MAX];
	struct kvm_irqs irqs;
};

/* ioctl on the VM, retried where a signal interrupts it: >= 0 or -errno. */
int kvm_vm_ioctl(const struct kvm *k, unsigned long request, const void *arg);

/* What KVM_CHECK_EXTENSION says of this VM; 0 where the host has not got it. */
int kvm_check_cap(const struct kvm *k, int cap);

int kvm_irqs_init(struct kvm *k, struct err *e);
void kvm_irqs_fini(struct kvm *k); /* a zeroed one is fine */

/* After the in-kernel irqchip is made: enters the routes of its lines. */
int kvm_irqs_add_chip(struct kvm *k, struct err *e);

/*
 * Copies len bytes of guest memory at gpa out, for reports: the number copied,
 * which ends at the first byte that no slot holds. Any thread.
 */
size_t kvm_peek(struct kvm *k, gpa_t gpa, void *buf, size_t len);

#define VCPU_REPORT_MAX 2048

struct vcpu {
	struct kvm *kvm;
	const struct cpu_model *model; /* NULL: no CPUID leaves */
	const struct vcpu_ops *ops;
	unsigned index;
	uint32_t apic_id;
	int fd;
	struct kvm_run *run;
	struct exit_counts counts;
	char report[VCPU_REPORT_MAX]; /* its thread's */
	struct err start_err;         /* its thread's until is_idle, has_ended */

	pthread_t thread;
	bool has_thread;        /* main's */
	pthread_mutex_t lock;   /* guards what follows; see vcpu.c */
	pthread_cond_t wake;    /* its thread waits: something is wanted */
	pthread_cond_t changed; /* others wait: it did something */
	bool wants_run, wants_stop;
	bool is_idle;     /* the thread waits, outside guest and callbacks */
	bool has_ended;   /* the thread has no more to do with the vCPU */
	bool is_halted;   /* HLT that nothing can end */
};

/* ioctl on the vCPU: >= 0 or -errno. */
int vcpu_ioctl(const struct vcpu *v, unsigned long request, void *arg);

/*
 * The report of a VCPU_FAILED into v->report: what failed, registers, bytes at
 * RIP. error: errno of KVM_RUN, 0 where it returned an exit.
 */
void vcpu_make_report(struct vcpu *v, int error);

/* Forgets a HLT, at a reset. */
void vcpu_unhalt(struct vcpu *v);

/*
 * Sets the MSRs whose power-on value here is not KVM's; used: those too that a
 * guest may have written. What the host refuses is logged and left alone.
 */
int vcpu_init_msrs(struct vcpu *v, bool used, struct err *e);

/* The local APIC's pins; used: all of it to its state after power-on. */
int vcpu_init_lapic(struct vcpu *v, bool used, struct err *e);
