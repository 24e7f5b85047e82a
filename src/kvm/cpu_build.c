/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works out the CPUID leaves of a model on a host: which features, and what
 * goes with them.
 *
 * Theory of operation. host and max start from the leaves that KVM can give,
 * a named model from a few leaves of its own. Then, alike for all: the wanted
 * features (model, plus, minus) lose those whose base feature is missing, and
 * those that the host has not got, which are named in `missing`; what is left
 * is written into the feature words; the leaves that describe features (XSAVE
 * areas) are cut to it. Topology is not done here: see cpu_topology.c.
 *
 * Every model gets x2apic, tsc-deadline, arat and hypervisor, where KVM has
 * them, whatever its name stands for: with the first two Linux calibrates no
 * timer at boot.
 *
 * The timing leaves (15H, 16H, 4000_0010H) tell what KVM's own clocks are. A
 * Linux guest that takes kvmclock needs none of them; others do.
 *
 * Spec: Intel SDM 2A, CPUID; SDM 1, 13.2 (XSAVE leaves); AMD APM 3, appendix
 *       E; Linux Documentation/virt/kvm/x86/cpuid.rst; the hypervisor timing
 *       leaf as VMware's "Timekeeping in VMware Virtual Machines" has it.
 * Threads: main.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/num.h"
#include "base/prop.h"
#include "kvm/cpu_request.h"

#define KVM_LEAF        0x40000000U
#define KVM_LEAF_TIMING 0x40000010U

#define ADDRESS_BITS_OFF 40U /* host-phys-bits=off */

/* Bits of leaf 80000001H EDX that repeat leaf 1 EDX on AMD. */
#define AMD_REPEATED 0x0183f3ffU

static const char always_wanted[][16] = {"x2apic", "tsc-deadline", "arat",
					 "hypervisor"};

/* A feature, and those that are nothing without it. */
static const char *const dependencies[][2] = {
	{"xsave", "avx xsaveopt xsavec xgetbv1 xsaves xfd pku mpx amx-tile"},
	{"xsavec", "xsaves"},
	{"avx", "fma avx2 f16c vaes vpclmulqdq avx512f avx-vnni avx-ifma "
		"avx-vnni-int8 avx-vnni-int16 avx-ne-convert xop fma4 sha512 "
		"sm3 sm4"},
	{"avx2", "avx512f"},
	{"avx512f",
	 "avx512dq avx512ifma avx512pf avx512er avx512cd avx512bw avx512vl "
	 "avx512vbmi avx512vbmi2 avx512vnni avx512bitalg avx512-vpopcntdq "
	 "avx512-4vnniw avx512-4fmaps avx512-vp2intersect avx512-bf16 "
	 "avx512-fp16 avx10"},
	{"amx-tile", "amx-bf16 amx-int8 amx-fp16 amx-complex"},
	{"svm", "npt lbrv svm-lock nrip-save tsc-scale vmcb-clean flushbyasid "
		"decodeassists pause-filter pfthreshold avic v-vmsave-vmload "
		"vgif vnmi svme-addr-chk"},
};

/* XCR0 components, and the feature each is there for. */
static const struct {
	uint64_t mask;
	char name[12];
} components[] = {
	{BIT(2), "avx"},
	{BIT(3) | BIT(4), "mpx"},
	{BIT(9), "pku"},
	{BIT(5) | BIT(6) | BIT(7), "avx512f"},
	{BIT(17) | BIT(18), "amx-tile"},
};

static bool in_list(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += n) {
		if ((at == list || at[-1] == ' ') &&
		    (at[n] == ' ' || at[n] == 0))
			return true;
	}
	return false;
}

/* Takes out of f what hangs on a feature that it does not have. */
static void drop_dependents(struct cpu_features *f)
{
	for (size_t d = 0; d < ARRAY_SIZE(dependencies); d++) {
		if (cpu_feature_has(f, dependencies[d][0]))
			continue;
		for (unsigned i = 0; i < 32 * CPU_WORDS; i++) {
			const char *name = cpu_words[i / 32].names[i % 32];

			if (name && in_list(dependencies[d][1], name))
				f->word[i / 32] &= ~(1U << i % 32);
		}
	}
}

static void host_features(const struct cpu_leaves *host, struct cpu_features *f)
{
	for (unsigned i = 0; i < CPU_WORDS; i++) {
		const struct cpu_word *w = &cpu_words[i];
		const struct cpu_leaf *leaf =
			cpu_leaf_look(host, w->fn, w->index);

		f->word[i] = leaf ? leaf->r[w->reg] : 0;
	}
}

/* The features of the model, before the user's wishes. */
static void model_features(const struct cpu_build *b,
			   const struct cpu_features *host, struct cpu_def *id,
			   struct cpu_features *f)
{
	cpu_def_resolve(b->request->def, id, f);
	if (b->request->def->is_host)
		*f = *host;
	for (size_t i = 0; i < ARRAY_SIZE(always_wanted); i++)
		(void)cpu_feature_add(always_wanted[i], f);
	f->word[CPU_WORD_KVM_EAX] |= host->word[CPU_WORD_KVM_EAX];
	if (b->request->migratable)
		f->word[CPU_WORD_EXT7_EDX] = 0; /* invtsc */
}

static void note_missing(struct cpu_build *b, const struct cpu_features *f)
{
	size_t len = 0;

	b->missing[0] = 0;
	for (unsigned i = 0; i < 32 * CPU_WORDS; i++) {
		const char *name = cpu_words[i / 32].names[i % 32];

		if (!(f->word[i / 32] >> i % 32 & 1) || !name)
			continue;
		if (len + strlen(name) + 3 > sizeof(b->missing))
			return; /* the rest goes unnamed */
		len += (size_t)sprintf(b->missing + len, "%s%s",
				       len ? ", " : "", name);
	}
}

/* The features that the guest gets. */
static void choose_features(struct cpu_build *b, struct cpu_def *id,
			    struct cpu_features *f)
{
	const struct cpu_request *q = b->request;
	struct cpu_features host, missing, quiet = {{0}};

	host_features(b->host, &host);
	model_features(b, &host, id, f);
	/* Named below only if the user or the model asked for them. */
	for (size_t i = 0; i < ARRAY_SIZE(always_wanted); i++)
		(void)cpu_feature_add(always_wanted[i], &quiet);
	for (unsigned i = 0; i < CPU_WORDS; i++)
		f->word[i] = (f->word[i] | q->plus.word[i]) & ~q->minus.word[i];
	drop_dependents(f);
	for (unsigned i = 0; i < CPU_WORDS; i++) {
		missing.word[i] = f->word[i] & ~host.word[i] &
				  ~(quiet.word[i] & ~q->plus.word[i]);
		f->word[i] &= host.word[i];
	}
	note_missing(b, &missing);
	drop_dependents(f);
}

static int put_leaf(struct cpu_build *b, uint32_t fn, const uint32_t r[4])
{
	struct cpu_leaf *leaf = cpu_leaf_get(&b->leaves, fn, 0, false);

	if (!leaf)
		return -ENOSPC;
	memcpy(leaf->r, r, sizeof(leaf->r));
	return 0;
}

/* Cache shapes of every named model: type and level, ways, KiB. */
static const struct {
	unsigned type, level, ways, kib;
} caches[] = {{1, 1, 8, 32}, {2, 1, 8, 32}, {3, 2, 8, 512}, {3, 3, 16, 16384}};

#define LINE_BYTES 64U

/* Deterministic cache parameters: the same form at Intel and AMD. */
static int put_caches(struct cpu_build *b, uint32_t fn)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(caches); i++) {
		struct cpu_leaf *leaf = cpu_leaf_get(&b->leaves, fn, i, true);

		if (!leaf)
			return -ENOSPC;
		leaf->r[CPU_EAX] = caches[i].type | caches[i].level << 5 |
				   1U << 8; /* self-initialising */
		leaf->r[CPU_EBX] = (LINE_BYTES - 1) | (caches[i].ways - 1)
							      << 22;
		leaf->r[CPU_ECX] =
			caches[i].kib * 1024 / LINE_BYTES / caches[i].ways - 1;
	}
	return cpu_leaf_get(&b->leaves, fn, ARRAY_SIZE(caches), true) ? 0
								      : -ENOSPC;
}

static uint32_t host_reg(const struct cpu_build *b, uint32_t fn,
			 enum cpu_reg reg)
{
	const struct cpu_leaf *leaf = cpu_leaf_look(b->host, fn, 0);

	return leaf ? leaf->r[reg] : 0;
}

/* The older cache leaves: ways are coded, 6 for 8 and 8 for 16. */
static int put_old_caches(struct cpu_build *b, bool is_amd)
{
	const uint32_t l1 = 32U << 24 | 8U << 16 | 1U << 8 | LINE_BYTES;
	const uint32_t l2 = 512U << 16 | 6U << 12 | 1U << 8 | LINE_BYTES;
	const uint32_t l3 =
		16384U / 512 << 18 | 8U << 12 | 1U << 8 | LINE_BYTES;
	const uint32_t r5[4] = {0, 0, l1, l1};
	const uint32_t r6[4] = {0, 0, l2, is_amd ? l3 : 0};

	if (is_amd && put_leaf(b, 0x80000005, r5))
		return -ENOSPC;
	return put_leaf(b, 0x80000006, r6);
}

/* What a named model has beside features. */
static int put_model(struct cpu_build *b, const struct cpu_features *f)
{
	const struct cpu_leaf *zero = cpu_leaf_look(b->host, 0, 0);
	const uint32_t clflush[4] = {0, LINE_BYTES / 8 << 8, 0, 0};
	const uint32_t use_leaf4[4] = {0x00feff01, 0, 0, 0};
	const uint32_t sizes[4] = {host_reg(b, 0x80000008, CPU_EAX), 0, 0, 0};
	const uint32_t svm[4] = {host_reg(b, 0x8000000a, CPU_EAX),
				 host_reg(b, 0x8000000a, CPU_EBX), 0, 0};
	bool is_amd;

	if (!zero || put_leaf(b, 0, zero->r))
		return -ENOSPC;
	b->leaves.at[0].r[CPU_EAX] = 1;
	is_amd = cpu_is_amd(&b->leaves);
	if (put_leaf(b, 1, clflush) || put_leaf(b, 0x80000008, sizes) ||
	    put_old_caches(b, is_amd))
		return -ENOSPC;
	if (cpu_feature_has(f, "svm") && put_leaf(b, 0x8000000a, svm))
		return -ENOSPC;
	if (is_amd)
		return cpu_feature_has(f, "topoext") ? put_caches(b, 0x8000001d)
						     : 0;
	return put_leaf(b, 2, use_leaf4) ? -ENOSPC : put_caches(b, 4);
}

/* The XSAVE leaves of the host, as KVM has them. */
static int copy_xsave(struct cpu_build *b)
{
	for (unsigned i = 0; i < b->host->count; i++) {
		const struct cpu_leaf *from = &b->host->at[i];
		struct cpu_leaf *to;

		if (from->fn != 0xd)
			continue;
		to = cpu_leaf_get(&b->leaves, 0xd, from->index, true);
		if (!to)
			return -ENOSPC;
		*to = *from;
	}
	return 0;
}

static int put_features(struct cpu_build *b, const struct cpu_features *f)
{
	for (unsigned i = 0; i < CPU_WORDS; i++) {
		const struct cpu_word *w = &cpu_words[i];
		struct cpu_leaf *leaf =
			cpu_leaf_find(&b->leaves, w->fn, w->index);

		if (!leaf && !f->word[i])
			continue;
		leaf = cpu_leaf_get(&b->leaves, w->fn, w->index, w->has_index);
		if (!leaf)
			return -ENOSPC;
		leaf->r[w->reg] = f->word[i];
	}
	return 0;
}

static uint64_t xsave_components(const struct cpu_features *f, uint64_t host)
{
	uint64_t mask = BIT(0) | BIT(1); /* x87, SSE */

	for (size_t i = 0; i < ARRAY_SIZE(components); i++) {
		if (cpu_feature_has(f, components[i].name))
			mask |= components[i].mask;
	}
	return host & mask;
}

/* Cuts the XSAVE leaves to the components that the features have. */
static void trim_xsave(struct cpu_build *b, const struct cpu_features *f)
{
	struct cpu_leaf *head = cpu_leaf_find(&b->leaves, 0xd, 0);
	struct cpu_leaf *one = cpu_leaf_find(&b->leaves, 0xd, 1);
	uint32_t size = 576; /* legacy area and header */
	uint64_t mask;
	unsigned n = 0;

	if (!head || !cpu_feature_has(f, "xsave")) {
		cpu_leaf_drop(&b->leaves, 0xd);
		return;
	}
	mask = xsave_components(f, (uint64_t)head->r[CPU_EDX] << 32 |
					   head->r[CPU_EAX]);
	head->r[CPU_EAX] = (uint32_t)mask;
	head->r[CPU_EDX] = (uint32_t)(mask >> 32);
	if (one && !cpu_feature_has(f, "xsaves"))
		one->r[CPU_ECX] = one->r[CPU_EDX] = 0;
	if (one)
		mask |= (uint64_t)one->r[CPU_EDX] << 32 | one->r[CPU_ECX];
	for (unsigned i = 0; i < b->leaves.count; i++) {
		struct cpu_leaf *leaf = &b->leaves.at[i];
		bool is_area = leaf->fn == 0xd && leaf->index > 1;

		if (is_area && !(leaf->index < 64 && mask >> leaf->index & 1))
			continue;
		if (is_area && !(leaf->r[CPU_ECX] & 1)) /* user state */
			size = MAX(size, leaf->r[CPU_EAX] + leaf->r[CPU_EBX]);
		b->leaves.at[n++] = *leaf;
	}
	b->leaves.count = n;
	head = cpu_leaf_find(&b->leaves, 0xd, 0);
	head->r[CPU_ECX] = size;
}

/* Leaf 1 EAX: family and model are split into a base and an extension. */
static uint32_t signature(const struct cpu_def *id)
{
	uint32_t base = MIN(id->family, 15U), more = id->family - base;

	return id->stepping | (id->model & 15) << 4 | base << 8 |
	       id->model >> 4 << 16 | more << 20;
}

static void decode_signature(uint32_t eax, struct cpu_def *id)
{
	uint32_t base = (uint32_t)FIELD_GET(MASK(11, 8), eax);

	id->stepping = eax & 15;
	id->family = base + (base == 15 ? eax >> 20 & 0xff : 0);
	id->model = (uint32_t)(FIELD_GET(MASK(7, 4), eax) |
			       FIELD_GET(MASK(19, 16), eax) << 4);
}

static int put_name(struct cpu_build *b, const char *name)
{
	uint32_t r[3][4] = {{0}};

	memcpy(r, name, MIN(strlen(name), sizeof(r) - 1));
	for (uint32_t i = 0; i < 3; i++) {
		if (put_leaf(b, 0x80000002 + i, r[i]))
			return -ENOSPC;
	}
	return 0;
}

static void put_vendor(struct cpu_build *b, const char *vendor)
{
	struct cpu_leaf *zero = cpu_leaf_find(&b->leaves, 0, 0);

	memcpy(&zero->r[CPU_EBX], vendor, 4);
	memcpy(&zero->r[CPU_EDX], vendor + 4, 4);
	memcpy(&zero->r[CPU_ECX], vendor + 8, 4);
}

/* Family, model, stepping, vendor and name: the user's, or the model's. */
static int put_identity(struct cpu_build *b, struct cpu_def *id)
{
	const struct cpu_request *q = b->request;
	const char *name = q->model_id ? q->model_id : id->model_id;
	struct cpu_leaf *leaf = cpu_leaf_get(&b->leaves, 1, 0, false);

	if (!leaf)
		return -ENOSPC;
	if (q->def->is_host)
		decode_signature(leaf->r[CPU_EAX], id);
	if (q->family >= 0)
		id->family = (unsigned)q->family;
	if (q->model >= 0)
		id->model = (unsigned)q->model;
	if (q->stepping >= 0)
		id->stepping = (unsigned)q->stepping;
	leaf->r[CPU_EAX] = signature(id);
	if (q->vendor)
		put_vendor(b, q->vendor);
	return name ? put_name(b, name) : 0;
}

static int put_amd(struct cpu_build *b)
{
	const struct cpu_leaf *one = cpu_leaf_find(&b->leaves, 1, 0);
	uint32_t signature_eax = one->r[CPU_EAX], edx = one->r[CPU_EDX];
	struct cpu_leaf *ext = cpu_leaf_get(&b->leaves, 0x80000001, 0, false);

	if (!ext)
		return -ENOSPC;
	ext->r[CPU_EDX] &= ~AMD_REPEATED;
	if (!cpu_is_amd(&b->leaves))
		return 0;
	ext->r[CPU_EAX] = signature_eax;
	ext->r[CPU_EDX] |= edx & AMD_REPEATED;
	return 0;
}

static int put_address_bits(struct cpu_build *b)
{
	struct cpu_leaf *leaf = cpu_leaf_get(&b->leaves, 0x80000008, 0, false);
	const struct cpu_request *q = b->request;
	uint32_t bits;

	if (!leaf)
		return -ENOSPC;
	bits = leaf->r[CPU_EAX] & 0xff;
	if (q->phys_bits >= 0)
		bits = (uint32_t)q->phys_bits;
	else if (!q->host_phys_bits)
		bits = MIN(bits, ADDRESS_BITS_OFF);
	leaf->r[CPU_EAX] = (leaf->r[CPU_EAX] & ~0xffU) | bits;
	return 0;
}

/* Crystal (the LAPIC's clock, as guests of Linux take it) to TSC; MHz. */
static int put_timing(struct cpu_build *b)
{
	uint32_t tsc_khz = (uint32_t)(b->tsc_hz / 1000);
	uint32_t lapic_khz = (uint32_t)(b->lapic_hz / 1000);
	const uint32_t ratio[4] = {lapic_khz, tsc_khz, (uint32_t)b->lapic_hz,
				   0};
	const uint32_t mhz[4] = {tsc_khz / 1000, tsc_khz / 1000, 100, 0};

	if (!tsc_khz || !lapic_khz || cpu_is_amd(&b->leaves))
		return 0;
	return put_leaf(b, 0x15, ratio) || put_leaf(b, 0x16, mhz) ? -ENOSPC : 0;
}

static int put_kvm(struct cpu_build *b)
{
	const struct cpu_leaf *host = cpu_leaf_look(b->host, KVM_LEAF, 0);
	uint32_t head[4] = {KVM_LEAF + 1};
	const uint32_t timing[4] = {(uint32_t)(b->tsc_hz / 1000),
				    (uint32_t)(b->lapic_hz / 1000), 0, 0};

	if (!b->request->kvm || !host) {
		cpu_leaf_drop(&b->leaves, KVM_LEAF);
		cpu_leaf_drop(&b->leaves, KVM_LEAF + 1);
		return 0;
	}
	memcpy(head + 1, host->r + 1, sizeof(head) - sizeof(head[0]));
	if (timing[0])
		head[0] = KVM_LEAF_TIMING;
	if (put_leaf(b, KVM_LEAF, head))
		return -ENOSPC;
	return timing[0] ? put_leaf(b, KVM_LEAF_TIMING, timing) : 0;
}

static void drop_pmu(struct cpu_build *b, struct cpu_features *f)
{
	const struct cpu_request *q = b->request;
	bool on = q->pmu == OOA_AUTO ? q->def->is_host : q->pmu == OOA_ON;
	struct cpu_features amd = {{0}};

	if (on)
		return;
	cpu_leaf_drop(&b->leaves, 0xa);
	(void)cpu_feature_add("perfctr-core", &amd);
	(void)cpu_feature_add("perfctr-nb", &amd);
	(void)cpu_feature_add("pdcm", &amd);
	for (unsigned i = 0; i < CPU_WORDS; i++)
		f->word[i] &= ~amd.word[i];
	cpu_leaf_drop(&b->leaves, 0x80000022);
}

int cpu_set_levels(const struct cpu_request *q, struct cpu_leaves *l)
{
	struct cpu_leaf *ext = cpu_leaf_get(l, 0x80000000, 0, false);
	struct cpu_leaf *zero = cpu_leaf_find(l, 0, 0);

	if (!ext || !zero)
		return -ENOSPC;
	for (unsigned i = 0; i < l->count; i++) {
		uint32_t fn = l->at[i].fn;

		if (fn < KVM_LEAF)
			zero->r[CPU_EAX] = MAX(zero->r[CPU_EAX], fn);
		else if (fn >= 0x80000000)
			ext->r[CPU_EAX] = MAX(ext->r[CPU_EAX], fn);
	}
	if (q->level >= 0)
		zero->r[CPU_EAX] = (uint32_t)q->level;
	if (q->xlevel)
		ext->r[CPU_EAX] = (uint32_t)q->xlevel;
	return 0;
}

/* Leaf 7's number of sub-leaves, for a named model. */
static void count_leaf7(struct cpu_build *b)
{
	struct cpu_leaf *head = cpu_leaf_find(&b->leaves, 7, 0);

	for (uint32_t i = 1; head && i <= 2; i++) {
		if (cpu_leaf_find(&b->leaves, 7, i))
			head->r[CPU_EAX] = MAX(head->r[CPU_EAX], i);
	}
}

int cpu_build(struct cpu_build *b)
{
	struct cpu_features f = {{0}};
	struct cpu_def id;
	int r = 0;

	choose_features(b, &id, &f);
	b->leaves.count = 0;
	if (b->request->def->is_host)
		b->leaves = *b->host;
	else
		r = put_model(b, &f) ? -ENOSPC : copy_xsave(b);
	if (r)
		return r;
	drop_pmu(b, &f);
	if (put_features(b, &f) || put_identity(b, &id) || put_amd(b) ||
	    put_address_bits(b) || put_timing(b) || put_kvm(b))
		return -ENOSPC;
	trim_xsave(b, &f);
	count_leaf7(b);
	return 0;
}
