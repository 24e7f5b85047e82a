/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread per vCPU: runs KVM_RUN, hands exits to the machine's callbacks.
 *
 * Threads: main, except: callbacks run on the vCPU's own thread; vcpu_pause,
 *       vcpu_kick and vcpu_stats are for any thread, that one included.
 */
#pragma once

#include "base/err.h"
#include "base/prop.h"
#include "base/types.h"

struct kvm;
struct vcpu;

/*
 * Why a vCPU stopped the machine. It has paused itself before the callback,
 * and stays so until vcpu_resume(). Whatever is reported before
 * vcpu_wait_paused() returns is of the guest's life before that pause.
 */
enum vcpu_event {
	VCPU_SHUTDOWN, /* triple fault */
	VCPU_RESET,    /* KVM_SYSTEM_EVENT_RESET */
	VCPU_POWEROFF, /* KVM_SYSTEM_EVENT_SHUTDOWN */
	VCPU_CRASH,    /* KVM_SYSTEM_EVENT_CRASH */
	VCPU_FAILED,   /* internal error, failed entry, unknown exit: `text`
			    has the report (registers, bytes at RIP), several
			    lines without a last newline */
};

struct vcpu_ops {
	/* thread_start: on the vCPU's thread before its first KVM_RUN (names
	 * itself, sets up its space_readers, installs its seccomp filter).
	 * Both may be NULL. */
	int (*thread_start)(void *opaque, unsigned index, struct err *e);
	void (*thread_end)(void *opaque, unsigned index);
	/* size: 1, 2, 4 or 8 (ports: at most 4); any alignment. */
	uint64_t (*read)(void *opaque, unsigned index, bool is_port,
			 uint64_t addr, unsigned size);
	void (*write)(void *opaque, unsigned index, bool is_port, uint64_t addr,
		      unsigned size, uint64_t value);
	void (*eoi)(void *opaque, unsigned vector); /* split irqchip */
	void (*event)(void *opaque, unsigned index, enum vcpu_event ev,
		      const char *text);
	void *opaque;
};

/* What the guest's processors look like. */
struct cpu_config {
	/* -cpu as written: "host,+x2apic,-avx512f,kvm=off"; NULL: "host" */
	const char *cpu;
	unsigned cpus, sockets, dies, cores, threads; /* cpus = product */
	uint64_t lapic_hz, tsc_hz; /* told to the guest, 0: KVM's own */
};

/*
 * Checks the model and features against the host, and works out the leaves
 * that every vCPU gets. After kvm_start_irqchip(). An unknown model or feature
 * is -EINVAL with the nearest name; what this host cannot do is left out with
 * a warning, or is -ENOTSUP with `enforce`.
 */
struct cpu_model;
int cpu_model_new(struct kvm *k, const struct cpu_config *c,
		  struct cpu_model **ret, struct err *e);
void cpu_model_free(struct cpu_model *m); /* NULL is fine */

/* The APIC id of a vCPU, for the tables: its place in the topology. */
uint32_t cpu_model_apic_id(const struct cpu_model *m, unsigned index);

/* The models that -cpu takes, for -cpu help; NULL-ended. */
extern const char *const cpu_model_names[];
/* One line about a model of cpu_model_names[], for -cpu help. */
const char *cpu_model_summary(const char *name);
/* The i-th feature word that -cpu takes; NULL after the last. */
const char *cpu_feature_name(size_t i);
/* The properties that -cpu takes. */
extern const struct prop cpu_props[];

/* General registers for the boot CPU. */
struct vcpu_boot {
	uint64_t rip, rsp, rsi, rbx, rflags;
	uint64_t cr0, cr3, cr4, efer;
	gpa_t gdt;
	uint16_t gdt_limit, cs, ds;
	bool long_mode; /* cs is 64-bit code; else flat 32-bit */
	unsigned cpl;   /* 3 for the ring-3 payloads: user segments, IOPL 3 */
};

/*
 * Makes a vCPU; vCPU 0 is the boot CPU. With m NULL it has no CPUID leaves and
 * its index as APIC id (bare payloads). ops and what it points to outlive it.
 */
int vcpu_new(struct kvm *k, const struct cpu_model *m, unsigned index,
	     const struct vcpu_ops *ops, struct vcpu **ret, struct err *e);
void vcpu_free(struct vcpu *v); /* stops it first; NULL is fine */

/*
 * Sets the boot CPU's registers; before the start, or while it is paused and
 * has been reset: else -EBUSY.
 */
int vcpu_set_boot(struct vcpu *v, const struct vcpu_boot *b, struct err *e);
/*
 * Back to the state after power-on (waiting for SIPI if not the boot CPU).
 * Only before the start or while it is paused: else -EBUSY. For a reset of the
 * machine: vcpu_pause() on all until all are paused, reset the devices,
 * vcpu_reset() on all, load the kernel, vcpu_set_boot(), vcpu_resume() on all.
 */
int vcpu_reset(struct vcpu *v, struct err *e);

/*
 * Starts the thread, and returns once it waits for vcpu_resume(); or with
 * thread_start()'s error, the thread then being gone.
 */
int vcpu_start(struct vcpu *v, struct err *e);
void vcpu_resume(struct vcpu *v);
/*
 * Asks the vCPU to leave the guest and wait; vcpu_wait_paused() waits for it.
 * Not for its own thread to wait. Called from one of its callbacks, the guest
 * does not execute another instruction before the pause.
 */
void vcpu_pause(struct vcpu *v);
void vcpu_wait_paused(struct vcpu *v);
/* Does it wait, for nobody to have resumed it yet? */
bool vcpu_is_paused(struct vcpu *v);
/* Ends the thread and joins it; harmless if it was not started. */
void vcpu_stop(struct vcpu *v);
/* Makes it leave the guest once. */
void vcpu_kick(struct vcpu *v);

/* Exit counts by reason, for `query-stats` and benchmarks. */
struct vcpu_stats {
	uint64_t exits, pio, mmio, eoi, hlt, intr, other;
};
void vcpu_stats(const struct vcpu *v, struct vcpu_stats *ret);
