/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named processor models: a set of features each, the same on every host.
 *
 * Names and sets are those of QEMU 7.2's first version of each model, less
 * what KVM does not give a guest by default (svm, monitor); the x86-64-v1 to
 * v4 levels are those of the System V ABI. A model is its base and what its
 * own list adds; a name after '-' is taken away.
 *
 * The vendor is always the host's, as under QEMU with KVM: Intel and AMD differ
 * in what instructions do in places where no feature bit says so.
 *
 * Spec: x86-64 psABI 1.0, 3.1.1 (levels).
 * Threads: any; constants.
 */
#include "kvm/cpu_models.h"

#include <string.h>

#include "base/compiler.h"

#define BASE                                                                   \
	"fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 " \
	"clflush mmx fxsr sse sse2 syscall nx lm "

#define GENERIC_NAME "vireo Virtual CPU"

static const struct cpu_def defs[] = {
	{
		.name = "host",
		.summary = "what this host's processor and KVM offer",
		.is_host = true,
	},
	{
		.name = "max",
		.summary = "all that KVM offers here: as host",
		.is_host = true,
	},
	{
		.name = "qemu64",
		.summary = "least common 64-bit processor, as QEMU's",
		.model_id = GENERIC_NAME,
		.family = 15,
		.model = 107,
		.stepping = 1,
		.features = BASE "pni cx16 lahf-lm",
	},
	{
		.name = "kvm64",
		.summary = "least common 64-bit processor, as QEMU's for KVM",
		.model_id = "Common KVM processor",
		.family = 15,
		.model = 6,
		.stepping = 1,
		.features = BASE "vme pni cx16",
	},
	{
		.name = "x86-64-v1",
		.summary = "the x86-64 baseline",
		.model_id = GENERIC_NAME,
		.family = 15,
		.model = 107,
		.stepping = 1,
		.features = BASE,
	},
	{
		.name = "x86-64-v2",
		.summary = "x86-64-v1 and SSE4.2, POPCNT, CMPXCHG16B",
		.base = "x86-64-v1",
		.features = "cx16 lahf-lm popcnt pni sse4.1 sse4.2 ssse3",
	},
	{
		.name = "x86-64-v3",
		.summary = "x86-64-v2 and AVX2, BMI, FMA, MOVBE",
		.base = "x86-64-v2",
		.features = "xsave xsaveopt avx avx2 bmi1 bmi2 f16c fma abm "
			    "movbe",
	},
	{
		.name = "x86-64-v4",
		.summary = "x86-64-v3 and AVX-512 F, BW, CD, DQ, VL",
		.base = "x86-64-v3",
		.features = "avx512f avx512bw avx512cd avx512dq avx512vl",
	},
	{
		.name = "Haswell",
		.summary = "Intel Core Processor (Haswell)",
		.model_id = "Intel Core Processor (Haswell)",
		.family = 6,
		.model = 60,
		.stepping = 4,
		.features = BASE
		"vme pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 x2apic "
		"movbe popcnt tsc-deadline aes xsave avx f16c rdrand rdtscp "
		"lahf-lm abm fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm "
		"xsaveopt arat",
	},
	{
		.name = "Haswell-noTSX",
		.summary = "Haswell without hle and rtm",
		.base = "Haswell",
		.model_id = "Intel Core Processor (Haswell, no TSX)",
		.family = 6,
		.model = 60,
		.stepping = 1,
		.features = "-hle -rtm",
	},
	{
		.name = "Skylake-Server",
		.summary = "Intel Xeon Processor (Skylake)",
		.base = "Haswell",
		.model_id = "Intel Xeon Processor (Skylake)",
		.family = 6,
		.model = 85,
		.stepping = 4,
		.features = "3dnowprefetch pdpe1gb rdseed adx smap clwb "
			    "clflushopt avx512f avx512dq avx512bw avx512cd "
			    "avx512vl pku xsavec xgetbv1",
	},
	{
		.name = "Icelake-Server",
		.summary = "Intel Xeon Processor (Icelake)",
		.base = "Skylake-Server",
		.model_id = "Intel Xeon Processor (Icelake)",
		.family = 6,
		.model = 134,
		.stepping = 0,
		.features = "avx512vbmi umip avx512vbmi2 gfni vaes "
			    "vpclmulqdq avx512vnni avx512bitalg "
			    "avx512-vpopcntdq la57 spec-ctrl ssbd wbnoinvd",
	},
	{
		.name = "EPYC",
		.summary = "AMD EPYC Processor",
		.model_id = "AMD EPYC Processor",
		.family = 23,
		.model = 1,
		.stepping = 2,
		.features = BASE
		"vme pni pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt "
		"aes xsave avx f16c rdrand mmxext fxsr-opt pdpe1gb rdtscp "
		"lahf-lm cr8legacy abm sse4a misalignsse 3dnowprefetch osvw "
		"topoext fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap "
		"clflushopt sha-ni xsaveopt xsavec xgetbv1 arat",
	},
	{
		.name = "EPYC-Rome",
		.summary = "AMD EPYC-Rome Processor",
		.base = "EPYC",
		.model_id = "AMD EPYC-Rome Processor",
		.family = 23,
		.model = 49,
		.stepping = 0,
		.features = "perfctr-core clzero xsaveerptr wbnoinvd ibpb "
			    "amd-stibp clwb rdpid umip xsaves",
	},
	{
		.name = "EPYC-Milan",
		.summary = "AMD EPYC-Milan Processor",
		.base = "EPYC-Rome",
		.model_id = "AMD EPYC-Milan Processor",
		.family = 25,
		.model = 1,
		.stepping = 1,
		.features = "pcid erms invpcid pku fsrm ibrs amd-ssbd",
	},
};

const char *const cpu_model_names[] = {
	"host",      "max",           "qemu64",         "kvm64",
	"x86-64-v1", "x86-64-v2",     "x86-64-v3",      "x86-64-v4",
	"Haswell",   "Haswell-noTSX", "Skylake-Server", "Icelake-Server",
	"EPYC",      "EPYC-Rome",     "EPYC-Milan",     NULL,
};

const struct cpu_def *cpu_def_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		if (!strcmp(defs[i].name, name))
			return &defs[i];
	}
	return NULL;
}

const char *cpu_model_summary(const char *name)
{
	const struct cpu_def *d = cpu_def_find(name);

	return d ? d->summary : "";
}

/* Adds the words of a list to f, takes those after '-' from it. */
static void def_apply(const char *list, struct cpu_features *f)
{
	char word[32];
	size_t n;

	for (; *list; list += n + strspn(list + n, " ")) {
		struct cpu_features one = {{0}};
		bool drop = *list == '-';

		n = strcspn(list, " ");
		if (n >= sizeof(word))
			continue; /* a test makes sure there is none */
		memcpy(word, list, n);
		word[n] = 0;
		(void)cpu_feature_add(word + drop, &one); /* the same test */
		for (unsigned i = 0; i < CPU_WORDS; i++)
			f->word[i] = drop ? f->word[i] & ~one.word[i]
					  : f->word[i] | one.word[i];
	}
}

void cpu_def_resolve(const struct cpu_def *d, struct cpu_def *ret,
		     struct cpu_features *f)
{
	const struct cpu_def *base = d->base ? cpu_def_find(d->base) : NULL;

	if (base)
		cpu_def_resolve(base, ret, f);
	else
		*ret = (struct cpu_def){0};
	ret->name = d->name;
	if (d->model_id) {
		ret->model_id = d->model_id;
		ret->family = d->family;
		ret->model = d->model;
		ret->stepping = d->stepping;
	}
	if (d->features)
		def_apply(d->features, f);
}
