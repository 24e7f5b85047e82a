/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a payload (test/guest) on the host's real KVM: a VM with a little RAM,
 * page tables that map the first 4 GiB one to one for user mode, and vCPUs that
 * start in 64-bit mode, ring 3.
 *
 * Threads: the test's; handlers run on vCPU threads.
 */
#pragma once

#include <pthread.h>

#include "kvm/kvm.h"
#include "kvm/vcpu.h"
#include "test/lib/payload_abi.h"

#define PAYLOAD_CPUS_MAX 4

struct payload_config {
	const char *name; /* of the payload: test/guest/NAME */
	enum kvm_irqchip_mode irqchip;
	unsigned cpus; /* 0: 1 */
	bool ring0;
	const char *cpu; /* as -cpu; NULL: no CPUID leaves */
	uint64_t arg;    /* for guest_main() */
	/* Accesses other than to the exit port; NULL: all-ones, ignored. */
	uint64_t (*read)(void *opaque, bool is_port, uint64_t addr,
			 unsigned size);
	void (*write)(void *opaque, bool is_port, uint64_t addr, unsigned size,
		      uint64_t value);
	void (*eoi)(void *opaque, unsigned vector);
	void *opaque;
};

/* How a run ended. */
struct payload_end {
	bool has_code; /* the payload wrote its exit code */
	uint32_t code;
	bool has_event; /* or the vCPU stopped */
	enum vcpu_event event;
	char report[2048]; /* of VCPU_FAILED */
};

struct payload {
	struct payload_config config;
	struct kvm *kvm;
	struct cpu_model *model;
	struct vcpu *cpus[PAYLOAD_CPUS_MAX];
	struct vcpu_ops ops;
	uint8_t *ram;
	uint64_t entry;
	pthread_mutex_t lock; /* guards end */
	pthread_cond_t ended;
	struct payload_end end;
};

/* Ends the test program with status 77 and the reason, where KVM is absent. */
void payload_need_kvm(void);

/* Fails the test with the message where something cannot be made. */
struct payload *payload_new(const struct payload_config *c);
void payload_free(struct payload *p);

/* Puts the payload into RAM (again) and sets vCPU 0's registers. */
void payload_load(struct payload *p);
/* Starts and resumes every vCPU that is not running. */
void payload_start(struct payload *p);
/* Waits until the run ends; fails the test after a long time. */
void payload_wait(struct payload *p, struct payload_end *ret);
/* All of the above: succeeds where the payload returns 0. */
void payload_pass(struct payload *p);

/* The path of a file of the build: "vireo", "test/guest/io". */
void build_path(const char *name, char *buf, size_t len);

/* A word of the mailbox. */
_Atomic uint64_t *payload_mailbox(struct payload *p, unsigned i);

/* As TEST_MAIN, for tests that need KVM; with a set-up of the group. */
#define TEST_MAIN_KVM_WITH(tests, set_up, tear_down)                           \
	int main(void)                                                         \
	{                                                                      \
		payload_need_kvm();                                            \
		cmocka_set_message_output(CM_OUTPUT_TAP);                      \
		return cmocka_run_group_tests_name(__FILE__, tests, set_up,    \
						   tear_down)                  \
			       ? 1                                             \
			       : 0;                                            \
	}
#define TEST_MAIN_KVM(tests) TEST_MAIN_KVM_WITH(tests, NULL, NULL)
