/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one KVM_RUN came back with, carried out or told apart. Not for other
 * folders.
 *
 * Threads: the vCPU's.
 */
#pragma once

#include "kvm/vcpu.h"

struct kvm_run;

/* Written by one thread, read by any. */
struct exit_counts {
	_Atomic uint64_t exits, pio, mmio, eoi, hlt, intr, other;
};

struct exit_ctx {
	struct kvm_run *run;
	const struct vcpu_ops *ops;
	struct exit_counts *counts;
	unsigned index;
};

enum exit_next {
	EXIT_RESUME, /* back into the guest */
	EXIT_HALT,   /* HLT with no interrupt controller: nothing can wake it */
	EXIT_EVENT,  /* *ev stops the machine */
	EXIT_REPORT, /* the host cannot go on: VCPU_FAILED and a report */
};

/* Handles x->run->exit_reason after a KVM_RUN that returned 0. */
enum exit_next exit_handle(const struct exit_ctx *x, enum vcpu_event *ev);

/* For messages: "KVM_EXIT_SHUTDOWN"; NULL where vireo knows no such exit. */
const char *exit_name(unsigned reason);

/* One more; the thread that counts is the only one that writes. */
#define exit_count(counter)                                                    \
	atomic_store_explicit(                                                 \
		&(counter),                                                    \
		atomic_load_explicit(&(counter), memory_order_relaxed) + 1,    \
		memory_order_relaxed)
