/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What -cpu asks for, and the leaves that come of it. Not for other folders.
 *
 * Threads: main.
 */
#pragma once

#include "kvm/cpu_models.h"

struct cpu_request {
	const struct cpu_def *def;
	struct cpu_features plus, minus;
	bool check, enforce, kvm, migratable, host_phys_bits;
	int pmu; /* enum on_off_auto */
	/* -1: the model's. */
	int32_t family, model, stepping;
	int32_t level, phys_bits;
	uint64_t xlevel;         /* 0: the model's */
	char *vendor, *model_id; /* NULL: the model's */
};

/* Parses -cpu; a zeroed request, which the caller finishes in any case. */
int cpu_request_parse(struct cpu_request *q, const char *text, struct err *e);
void cpu_request_fini(struct cpu_request *q);

#define CPU_MISSING_MAX 512

struct cpu_build {
	const struct cpu_request *request;
	const struct cpu_leaves *host; /* what KVM can give */
	uint64_t tsc_hz, lapic_hz;     /* 0: unknown */
	struct cpu_leaves leaves;      /* the result, without topology */
	char missing[CPU_MISSING_MAX]; /* names that the host cannot give */
};

/* -ENOSPC where there are too many leaves. */
int cpu_build(struct cpu_build *b);
/* Writes the highest leaf of each range: after all else. */
int cpu_set_levels(const struct cpu_request *q, struct cpu_leaves *l);
