/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of processor models. Not for other folders.
 *
 * Threads: any.
 */
#pragma once

#include "kvm/cpu_words.h"

struct cpu_def {
	const char *name, *summary;
	bool is_host;         /* features and identity are the host's */
	const char *base;     /* model that this one adds to, or NULL */
	const char *model_id; /* NULL: identity is the base's */
	unsigned family, model, stepping;
	const char *features;
};

const struct cpu_def *cpu_def_find(const char *name);

/* Identity and features of a model with its bases; f starts empty. */
void cpu_def_resolve(const struct cpu_def *d, struct cpu_def *ret,
		     struct cpu_features *f);
