/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID leaves: tables of them, feature words, models and topology. Nothing
 * here but cpuid.c knows KVM, so that it is tested on given tables. Not for
 * other folders.
 *
 * Threads: main; a finished cpu_model is read-only.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "kvm/vcpu.h"

enum cpu_reg { CPU_EAX, CPU_EBX, CPU_ECX, CPU_EDX };

struct cpu_leaf {
	uint32_t fn, index;
	bool has_index; /* the leaf has sub-leaves */
	uint32_t r[4];  /* by enum cpu_reg */
};

#define CPU_LEAVES_MAX 256U

struct cpu_leaves {
	struct cpu_leaf at[CPU_LEAVES_MAX];
	unsigned count;
};

/* The leaf, or NULL. index counts only for leaves that have sub-leaves. */
struct cpu_leaf *cpu_leaf_find(struct cpu_leaves *l, uint32_t fn,
			       uint32_t index);
const struct cpu_leaf *cpu_leaf_look(const struct cpu_leaves *l, uint32_t fn,
				     uint32_t index);
/* The leaf, made (all zero) where it is missing; NULL: the table is full. */
struct cpu_leaf *cpu_leaf_get(struct cpu_leaves *l, uint32_t fn, uint32_t index,
			      bool has_index);
/* Takes out a leaf with all of its sub-leaves. */
void cpu_leaf_drop(struct cpu_leaves *l, uint32_t fn);

/* Where a vCPU is: how many there are, and how wide each field of its id. */
struct cpu_topology {
	unsigned cpus, sockets, dies, cores, threads;
	unsigned thread_bits, core_bits, die_bits;
};

/* -EINVAL where the numbers do not multiply to cpus. */
int cpu_topology_init(struct cpu_topology *t, const struct cpu_config *c,
		      struct err *e);
uint32_t cpu_topology_apic_id(const struct cpu_topology *t, unsigned index);

/* Writes what is the same for every vCPU; -ENOSPC: the table is full. */
int cpu_topology_common(const struct cpu_topology *t, struct cpu_leaves *l);
/* Writes the id of one vCPU into leaves that cpu_topology_common() made. */
void cpu_topology_id(const struct cpu_topology *t, struct cpu_leaves *l,
		     uint32_t apic_id);

/* "GenuineIntel", …: leaf 0's vendor, NUL-ended. */
#define CPU_VENDOR_LEN 12
void cpu_vendor(const struct cpu_leaves *l, char vendor[CPU_VENDOR_LEN + 1]);
bool cpu_is_amd(const struct cpu_leaves *l); /* or Hygon, which is alike */

/* Gives v the model's leaves. */
int cpu_model_apply(const struct cpu_model *m, struct vcpu *v, struct err *e);
