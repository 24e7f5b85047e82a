/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feature words of CPUID, and sets of features. Not for other folders.
 *
 * Threads: any.
 */
#pragma once

#include "kvm/cpuid.h"

enum {
	CPU_WORD_1_EDX,
	CPU_WORD_1_ECX,
	CPU_WORD_6_EAX,
	CPU_WORD_7_0_EBX,
	CPU_WORD_7_0_ECX,
	CPU_WORD_7_0_EDX,
	CPU_WORD_7_1_EAX,
	CPU_WORD_7_1_EDX,
	CPU_WORD_7_2_EDX,
	CPU_WORD_D_1_EAX,
	CPU_WORD_KVM_EAX,
	CPU_WORD_KVM_EDX,
	CPU_WORD_EXT1_EDX,
	CPU_WORD_EXT1_ECX,
	CPU_WORD_EXT7_EDX,
	CPU_WORD_EXT8_EBX,
	CPU_WORD_EXTA_EDX,
	CPU_WORD_EXT21_EAX,
	CPU_WORDS,
};

struct cpu_word {
	uint32_t fn, index;
	bool has_index;
	enum cpu_reg reg;
	const char *names[32]; /* by bit; NULL: not for users */
};

extern const struct cpu_word cpu_words[CPU_WORDS];

struct cpu_features {
	uint32_t word[CPU_WORDS];
};

/* Adds the bits that a name means; false: there is no such feature. */
bool cpu_feature_add(const char *name, struct cpu_features *f);
/* Is a bit of that name in the set? */
bool cpu_feature_has(const struct cpu_features *f, const char *name);
/* The i-th name, for nearest_name(); NULL after the last. */
const char *cpu_feature_at(const void *opaque, size_t i);
