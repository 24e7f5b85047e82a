/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of an x86 machine: lines of devices through the kernel's IOAPIC,
 * or through ours with the LAPICs in the kernel (split); and doorbells.
 *
 * Threads: init: main; the rest: any.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "bus/irq.h"

struct bus;
struct vm;

#define PC_IOAPIC_BASE 0xfec00000ULL
#define PC_LAPIC_BASE  0xfee00000ULL

enum pc_irq_mode { PC_IRQ_SPLIT, PC_IRQ_FULL };
extern const char *const pc_irq_mode_names[]; /* "split", "on" */

/* Outlives the VM's devices. */
struct pc_irq {
	struct vm *vm;
	struct irq_sink sink;     /* full */
	struct irq_router router; /* split */
};

/*
 * Plugs KVM into the board's sinks and, in split mode, makes the IOAPIC with
 * `gsis` lines on `system`. The VM's kvm is there already.
 */
int pc_irq_init(struct pc_irq *p, struct vm *vm, enum pc_irq_mode mode,
		struct bus *system, unsigned gsis, struct err *e);

/* A level-triggered vector was acknowledged at a LAPIC. */
void pc_irq_eoi(const struct vm *vm, unsigned vector);
