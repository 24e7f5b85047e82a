/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out what a host's KVM can run, by running it: a few kernel
 * instructions, one at a time, in a tiny virtual machine.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct kvm;

enum kvm_probe_result {
	KVM_PROBE_OK,
	KVM_PROBE_FAULTS, /* the processor refuses it */
	KVM_PROBE_FAILS,  /* KVM gives up on it */
	KVM_PROBE_HANGS,  /* not done within its time of processor */
	KVM_PROBE_SLOW,   /* not done, but the host gave it none */
};

struct kvm_probe {
	const char *name; /* of the instruction; NULL ends kvm_probes[] */
	const uint8_t *code, *end;
};

extern const struct kvm_probe kvm_probes[];
#define KVM_PROBES_MAX 16
#define KVM_PROBE_TEXT 2048

struct kvm_probe_report {
	enum kvm_probe_result results[KVM_PROBES_MAX]; /* as kvm_probes[] */
	unsigned failures;           /* results that are not OK */
	bool is_slow;                /* nothing is known */
	uint64_t instructions_per_s; /* in ring 0; 0: not measured */
	/* Of the first that KVM gave up on: what it said, registers, bytes. */
	char report[KVM_PROBE_TEXT];
};

/*
 * Runs every probe in a VM of its own making, up to the first that does not
 * end; seconds each, where the host is busy. -errno where the VM cannot be
 * made (the message is kvm_new's or vcpu_new's).
 */
int kvm_probe_run(struct kvm_probe_report *ret, struct err *e);
