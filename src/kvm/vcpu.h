/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread per vCPU: runs KVM_RUN, hands exits to the machine's callbacks.
 *
 * Threads: vcpu_new, vcpu_start, vcpu_stop: main. Callbacks: the vCPU's own
 *       thread. vcpu_kick: any.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct kvm;
struct vcpu;

/* Why a vCPU stopped the machine. */
enum vcpu_event {
	VCPU_SHUTDOWN,   /* triple fault */
	VCPU_RESET,      /* KVM_SYSTEM_EVENT_RESET */
	VCPU_POWEROFF,   /* KVM_SYSTEM_EVENT_SHUTDOWN */
	VCPU_CRASH,      /* KVM_SYSTEM_EVENT_CRASH */
	VCPU_FAILED,     /* internal error, failed entry, unknown exit: `text`
			    has the report (registers, bytes at RIP) */
};

struct vcpu_ops {
	/* thread_start: on the vCPU's thread before its first KVM_RUN (names
	 * itself, sets up its space_readers, installs its seccomp filter). */
	int (*thread_start)(void *opaque, unsigned index, struct err *e);
	void (*thread_end)(void *opaque, unsigned index);
	uint64_t (*read)(void *opaque, unsigned index, bool is_port,
			 uint64_t addr, unsigned size);
	void (*write)(void *opaque, unsigned index, bool is_port,
		      uint64_t addr, unsigned size, uint64_t value);
	void (*eoi)(void *opaque, unsigned vector); /* split irqchip */
	void (*event)(void *opaque, unsigned index, enum vcpu_event ev,
		      const char *text);
	void *opaque;
};

/* CPU model: "host", "max" or a name, and feature words to add or remove. */
struct cpu_config {
	const char *model;           /* NULL: "host" */
	const char *const *features; /* NULL-ended "+avx2", "-avx512f", … */
	unsigned cpus, sockets, dies, cores, threads; /* cpus = product */
	uint64_t lapic_hz, tsc_hz;   /* told to the guest, 0: unknown */
	bool hide_kvm;               /* no paravirtual leaves */
};

/*
 * Checks the model and features against the host, and works out the leaves
 * that every vCPU gets. An unknown model or feature is -EINVAL with the
 * nearest name.
 */
struct cpu_model;
int cpu_model_new(struct kvm *k, const struct cpu_config *c,
		  struct cpu_model **ret, struct err *e);
void cpu_model_free(struct cpu_model *m);

/* General registers for the boot CPU. */
struct vcpu_boot {
	uint64_t rip, rsp, rsi, rbx, rflags;
	uint64_t cr0, cr3, cr4, efer;
	gpa_t gdt;
	uint16_t gdt_limit, cs, ds;
	bool long_mode; /* cs is 64-bit code; else flat 32-bit */
	unsigned cpl;   /* 3 for the ring-3 payloads: user segments, IOPL 3 */
};

int vcpu_new(struct kvm *k, const struct cpu_model *m, unsigned index,
	     const struct vcpu_ops *ops, struct vcpu **ret, struct err *e);
void vcpu_free(struct vcpu *v); /* stops it first */

/* Sets the boot CPU's registers; before the start, or while it is stopped. */
int vcpu_set_boot(struct vcpu *v, const struct vcpu_boot *b, struct err *e);
/* Back to the state after power-on (waiting for SIPI if not the boot CPU). */
int vcpu_reset(struct vcpu *v, struct err *e);

/* Starts the thread; it waits until vcpu_resume(). */
int vcpu_start(struct vcpu *v, struct err *e);
void vcpu_resume(struct vcpu *v);
/* Asks the vCPU to leave the guest and wait; vcpu_wait_paused() waits for it.
 * Not for its own thread to wait. */
void vcpu_pause(struct vcpu *v);
void vcpu_wait_paused(struct vcpu *v);
/* Ends the thread and joins it. */
void vcpu_stop(struct vcpu *v);
void vcpu_kick(struct vcpu *v);

/* Exit counts by reason, for `query-stats` and benchmarks. */
struct vcpu_stats {
	uint64_t exits, pio, mmio, eoi, hlt, intr, other;
};
void vcpu_stats(const struct vcpu *v, struct vcpu_stats *ret);
