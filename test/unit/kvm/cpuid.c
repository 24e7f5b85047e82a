/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm/cpu_*: -cpu is read, models are cut to a host, topology gets its leaves;
 * on made-up hosts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/cpu_request.h"
#include "test/lib/test.h"

/* A host that has every feature with a name, and AVX-512's XSAVE areas. */
static void rich_host(struct cpu_leaves *l, const char *vendor)
{
	static const struct cpu_leaf xsave[] = {
		{0xd, 0, true, {0xe7, 2696, 2696, 0}},
		{0xd, 2, true, {256, 576, 0, 0}},
		{0xd, 5, true, {64, 1088, 0, 0}},
		{0xd, 6, true, {512, 1152, 0, 0}},
		{0xd, 7, true, {1024, 1664, 0, 0}},
		{0xd, 11, true, {16, 0, 1, 0}},
	};
	struct cpu_leaf *leaf;

	l->count = 0;
	leaf = cpu_leaf_get(l, 0, 0, false);
	leaf->r[CPU_EAX] = 0xd;
	memcpy(&leaf->r[CPU_EBX], vendor, 4);
	memcpy(&leaf->r[CPU_EDX], vendor + 4, 4);
	memcpy(&leaf->r[CPU_ECX], vendor + 8, 4);
	for (unsigned i = 0; i < 32 * CPU_WORDS; i++) {
		const struct cpu_word *w = &cpu_words[i / 32];

		leaf = cpu_leaf_get(l, w->fn, w->index, w->has_index);
		if (w->names[i % 32])
			leaf->r[w->reg] |= 1U << i % 32;
	}
	for (size_t i = 0; i < sizeof(xsave) / sizeof(xsave[0]); i++)
		*cpu_leaf_get(l, 0xd, xsave[i].index, true) = xsave[i];
	cpu_leaf_find(l, 0xd, 1)->r[CPU_ECX] = 1U << 11;
	cpu_leaf_find(l, 1, 0)->r[CPU_EAX] = 0x000506e3; /* 6, 94, 3 */
	cpu_leaf_find(l, 0x80000008, 0)->r[CPU_EAX] = 0x3030;
	leaf = cpu_leaf_get(l, 0x40000000, 0, false);
	leaf->r[CPU_EAX] = 0x40000001;
	leaf->r[CPU_EBX] = 0x4b4d564b;
	leaf->r[CPU_ECX] = 0x564b4d56;
	leaf->r[CPU_EDX] = 0x4d;
	*cpu_leaf_get(l, 4, 0, true) =
		(struct cpu_leaf){4, 0, true, {0x121, 0x1c0003f, 63, 0}};
	*cpu_leaf_get(l, 4, 3, true) =
		(struct cpu_leaf){4, 3, true, {0x163, 0x3c0003f, 8191, 6}};
}

struct built {
	struct cpu_request request;
	struct cpu_leaves host;
	struct cpu_build build;
};

static struct built *build_on(const char *vendor, const char *cpu)
{
	struct built *x = calloc(1, sizeof(*x));
	struct err e = {0};

	assert_non_null(x);
	rich_host(&x->host, vendor);
	if (cpu_request_parse(&x->request, cpu, &e))
		fail_msg("%s", e.text);
	x->build.request = &x->request;
	x->build.host = &x->host;
	x->build.tsc_hz = 2500000000;
	x->build.lapic_hz = 1000000000;
	assert_int_equal(cpu_build(&x->build), 0);
	assert_int_equal(cpu_set_levels(&x->request, &x->build.leaves), 0);
	return x;
}

static void built_free(struct built *x)
{
	cpu_request_fini(&x->request);
	free(x);
}

static uint32_t reg(const struct built *x, uint32_t fn, uint32_t index,
		    enum cpu_reg r)
{
	const struct cpu_leaf *leaf =
		cpu_leaf_look(&x->build.leaves, fn, index);

	return leaf ? leaf->r[r] : 0;
}

static bool has(const struct built *x, const char *name)
{
	struct cpu_features one = {{0}};
	bool all = true;

	assert_true(cpu_feature_add(name, &one));
	for (unsigned i = 0; i < CPU_WORDS; i++) {
		const struct cpu_word *w = &cpu_words[i];
		uint32_t v = reg(x, w->fn, w->index, w->reg);

		all = all && (v & one.word[i]) == one.word[i];
	}
	return all;
}

static void refuse(const char *cpu, const char *text)
{
	struct cpu_request q = {.def = NULL};
	struct err e = {0};

	assert_int_equal(cpu_request_parse(&q, cpu, &e), -EINVAL);
	cpu_request_fini(&q);
	if (!strstr(e.text, text))
		fail_msg("'%s' gives \"%s\"", cpu, e.text);
}

static void bad_arguments(void **state)
{
	(void)state;
	refuse("Haswel", "no model 'Haswel' (did you mean 'Haswell'?)");
	refuse("zzzzzzzzzz", "no model 'zzzzzzzzzz': see -cpu help");
	refuse("", "no model named");
	refuse("host,+avx512q", "no feature or property 'avx512q' (did you");
	refuse("host,enforze", "did you mean 'enforce'?");
	refuse("host,avx2=maybe", "'avx2=maybe': want on or off");
	refuse("host,colour=red", "'colour'");
	refuse("host,kvm=perhaps", "perhaps");
	refuse("host,family=300", "family");
	refuse("host,phys-bits=31", "phys-bits");
	refuse("host,vendor=Acme", "vendor 'Acme'");
	refuse("host,+", "no feature");
	refuse("host,model-id=123456789012345678901234567890123456789012345678",
	       "47");
}

static void every_model_is_known_and_built(void **state)
{
	(void)state;
	for (size_t i = 0; cpu_model_names[i]; i++) {
		const struct cpu_def *d = cpu_def_find(cpu_model_names[i]);
		struct built *x;

		assert_non_null(d);
		assert_true(strlen(cpu_model_summary(d->name)) > 0);
		for (const char *p = d->features; p && *p;
		     p += strspn(p, " -")) {
			struct cpu_features f = {{0}};
			char word[32] = "";

			assert_true(strcspn(p, " ") < sizeof(word));
			memcpy(word, p, strcspn(p, " "));
			p += strlen(word);
			if (!cpu_feature_add(word + (*word == '-'), &f))
				fail_msg("%s has '%s'", d->name, word);
		}
		x = build_on("GenuineIntel", d->name);
		assert_string_equal(x->build.missing, "");
		assert_true(has(x, "hypervisor"));
		assert_true(has(x, "tsc-deadline"));
		assert_true(has(x, "x2apic"));
		assert_true(has(x, "lm"));
		built_free(x);
	}
}

static void named_model(void **state)
{
	struct built *x = build_on("GenuineIntel", "Haswell");
	char name[49] = "";

	(void)state;
	assert_int_equal(reg(x, 1, 0, CPU_EAX), 0x000306c4);
	assert_int_equal(reg(x, 0, 0, CPU_EBX), 0x756e6547);
	assert_true(has(x, "avx2"));
	assert_false(has(x, "avx512f"));
	assert_false(has(x, "sha-ni"));
	assert_false(has(x, "svm"));
	assert_int_equal(reg(x, 0xd, 0, CPU_EAX), 7);
	assert_int_equal(reg(x, 0xd, 0, CPU_ECX), 832);
	assert_null(cpu_leaf_look(&x->build.leaves, 0xd, 5));
	assert_null(cpu_leaf_look(&x->build.leaves, 0xd, 11));
	assert_int_equal(reg(x, 0, 0, CPU_EAX), 0x16);
	assert_int_equal(reg(x, 0x80000000, 0, CPU_EAX), 0x80000008);
	assert_int_equal(reg(x, 4, 3, CPU_EAX) & 0xff, 0x63);
	for (uint32_t i = 0; i < 12; i++)
		((uint32_t *)(void *)name)[i] =
			reg(x, 0x80000002 + i / 4, 0, (enum cpu_reg)(i % 4));
	assert_string_equal(name, "Intel Core Processor (Haswell)");
	built_free(x);
}

static void amd_repeats_leaf_1(void **state)
{
	struct built *x = build_on("AuthenticAMD", "EPYC-Milan");
	uint32_t ext = reg(x, 0x80000001, 0, CPU_EDX);

	(void)state;
	assert_int_equal(reg(x, 1, 0, CPU_EAX), 0x00a00f11);
	assert_int_equal(reg(x, 0x80000001, 0, CPU_EAX), 0x00a00f11);
	assert_int_equal(ext & 0x0183f3ff, reg(x, 1, 0, CPU_EDX) & 0x0183f3ff);
	assert_int_equal(reg(x, 0x8000001d, 3, CPU_EAX) & 0xff, 0x63);
	assert_null(cpu_leaf_look(&x->build.leaves, 0x15, 0));
	built_free(x);
	x = build_on("GenuineIntel", "EPYC-Milan");
	assert_int_equal(reg(x, 0x80000001, 0, CPU_EDX) & 0x0183f3ff, 0);
	built_free(x);
}

static void host_is_the_host(void **state)
{
	struct built *x = build_on("GenuineIntel", NULL);

	(void)state;
	assert_int_equal(reg(x, 1, 0, CPU_EAX), 0x000506e3);
	assert_true(has(x, "avx512f"));
	assert_true(has(x, "invtsc"));
	assert_int_equal(reg(x, 0xd, 0, CPU_EAX), 0xe7);
	assert_int_equal(reg(x, 0xd, 0, CPU_ECX), 2688);
	assert_non_null(cpu_leaf_look(&x->build.leaves, 0xd, 11));
	assert_int_equal(reg(x, 0x80000008, 0, CPU_EAX), 0x3030);
	built_free(x);
}

static void features_come_and_go(void **state)
{
	struct built *x = build_on("GenuineIntel",
				   "Haswell,+sha_ni,avx512f=on,-rtm,hle=off,"
				   "migratable=on,-invtsc");

	(void)state;
	assert_true(has(x, "sha-ni"));
	assert_true(has(x, "avx512f"));
	assert_false(has(x, "rtm"));
	assert_false(has(x, "hle"));
	assert_int_equal(reg(x, 0xd, 0, CPU_EAX), 0xe7);
	built_free(x);
	x = build_on("GenuineIntel", "host,-avx512f,+avx512f,-avx512bw");
	assert_true(has(x, "avx512f"));
	assert_false(has(x, "avx512bw"));
	built_free(x);
	x = build_on("GenuineIntel", "host,migratable=on");
	assert_false(has(x, "invtsc"));
	built_free(x);
}

static void dependents_follow(void **state)
{
	struct built *x = build_on("GenuineIntel", "host,-avx");

	(void)state;
	assert_false(has(x, "avx2"));
	assert_false(has(x, "avx512vl"));
	assert_false(has(x, "vaes"));
	assert_true(has(x, "aes"));
	assert_int_equal(reg(x, 0xd, 0, CPU_EAX), 3);
	assert_int_equal(reg(x, 0xd, 0, CPU_ECX), 576);
	built_free(x);
	x = build_on("GenuineIntel", "host,-xsave");
	assert_false(has(x, "avx"));
	assert_null(cpu_leaf_look(&x->build.leaves, 0xd, 0));
	built_free(x);
}

/* What a host lacks is named, once each, and left out. */
static void missing_features(void **state)
{
	struct built *x = build_on("GenuineIntel", "Haswell,+sha-ni");

	(void)state;
	cpu_leaf_find(&x->host, 7, 0)->r[CPU_EBX] &= ~(1U << 4 | 1U << 29);
	cpu_leaf_find(&x->host, 1, 0)->r[CPU_ECX] &= ~(1U << 24);
	assert_int_equal(cpu_build(&x->build), 0);
	assert_string_equal(x->build.missing, "hle, sha-ni");
	assert_false(has(x, "hle"));
	assert_false(has(x, "tsc-deadline"));
	built_free(x);
}

static void paravirtual_leaves(void **state)
{
	struct built *x = build_on("GenuineIntel", "host,-kvm-pv-eoi");

	(void)state;
	assert_int_equal(reg(x, 0x40000000, 0, CPU_EAX), 0x40000010);
	assert_int_equal(reg(x, 0x40000000, 0, CPU_EBX), 0x4b4d564b);
	assert_int_equal(reg(x, 0x40000010, 0, CPU_EAX), 2500000);
	assert_int_equal(reg(x, 0x40000010, 0, CPU_EBX), 1000000);
	assert_true(has(x, "kvmclock"));
	assert_false(has(x, "kvm-pv-eoi"));
	assert_int_equal(reg(x, 0x15, 0, CPU_EAX), 1000000);
	assert_int_equal(reg(x, 0x15, 0, CPU_EBX), 2500000);
	built_free(x);
	x = build_on("GenuineIntel", "host,kvm=off");
	assert_null(cpu_leaf_look(&x->build.leaves, 0x40000000, 0));
	assert_null(cpu_leaf_look(&x->build.leaves, 0x40000001, 0));
	assert_null(cpu_leaf_look(&x->build.leaves, 0x40000010, 0));
	assert_true(has(x, "hypervisor"));
	built_free(x);
}

static void properties(void **state)
{
	struct built *x = build_on("GenuineIntel",
				   "host,family=25,model=33,stepping=2,"
				   "vendor=AuthenticAMD,model-id=My CPU,"
				   "level=13,xlevel=0x80000004,phys-bits=39");

	(void)state;
	assert_int_equal(reg(x, 1, 0, CPU_EAX), 0x00a20f12);
	assert_int_equal(reg(x, 0, 0, CPU_EBX), 0x68747541);
	assert_int_equal(reg(x, 0, 0, CPU_EAX), 13);
	assert_int_equal(reg(x, 0x80000000, 0, CPU_EAX), 0x80000004);
	assert_int_equal(reg(x, 0x80000002, 0, CPU_EAX), 0x4320794d);
	assert_int_equal(reg(x, 0x80000008, 0, CPU_EAX), 0x3027);
	built_free(x);
	x = build_on("GenuineIntel", "host,host-phys-bits=off");
	assert_int_equal(reg(x, 0x80000008, 0, CPU_EAX), 0x3028);
	built_free(x);
}

static void names_for_help(void **state)
{
	struct cpu_features f = {{0}};
	size_t n = 0;

	(void)state;
	while (cpu_feature_name(n)) {
		assert_true(cpu_feature_add(cpu_feature_name(n), &f));
		n++;
	}
	assert_true(n > 200);
	assert_false(cpu_feature_add("", &f));
	assert_true(cpu_feature_add("sse4_1", &f));
	assert_true(cpu_feature_add("avx512_vnni", &f));
}

/* Topology: leaves 0xb by level, and the id of the last processor. */
struct shape {
	unsigned sockets, dies, cores, threads;
	uint32_t last_id;
	uint32_t thread_shift, package_shift;
};

static void topology_of(const struct shape *s, struct cpu_topology *t,
			struct cpu_leaves *l, const char *vendor)
{
	const struct cpu_config c = {
		.sockets = s->sockets,
		.dies = s->dies,
		.cores = s->cores,
		.threads = s->threads,
		.cpus = s->sockets * s->dies * s->cores * s->threads,
	};
	struct err e = {0};

	rich_host(l, vendor);
	assert_int_equal(cpu_topology_init(t, &c, &e), 0);
	assert_int_equal(cpu_topology_common(t, l), 0);
	cpu_topology_id(t, l, cpu_topology_apic_id(t, c.cpus - 1));
}

static void topology_ids(void **state)
{
	static const struct shape shapes[] = {
		{1, 1, 1, 1, 0, 0, 0},    {1, 1, 2, 1, 1, 0, 1},
		{2, 1, 1, 1, 1, 0, 0},    {1, 1, 4, 2, 7, 1, 3},
		{2, 1, 3, 2, 13, 1, 3},   {1, 2, 2, 2, 7, 1, 3},
		{4, 1, 1, 3, 14, 2, 2},   {2, 2, 3, 1, 14, 0, 3},
		{1, 1, 64, 4, 255, 2, 8},
	};
	struct cpu_leaves *l = calloc(1, sizeof(*l));
	struct cpu_topology t;

	(void)state;
	assert_non_null(l);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *s = &shapes[i];
		unsigned package = s->dies * s->cores * s->threads;

		topology_of(s, &t, l, "GenuineIntel");
		assert_int_equal(cpu_topology_apic_id(&t, 0), 0);
		assert_int_equal(cpu_topology_apic_id(&t, t.cpus - 1),
				 s->last_id);
		assert_int_equal(cpu_leaf_find(l, 0xb, 0)->r[CPU_EAX],
				 s->thread_shift);
		assert_int_equal(cpu_leaf_find(l, 0xb, 0)->r[CPU_EBX],
				 s->threads);
		assert_int_equal(cpu_leaf_find(l, 0xb, 1)->r[CPU_EAX],
				 s->package_shift);
		assert_int_equal(cpu_leaf_find(l, 0xb, 1)->r[CPU_EBX], package);
		assert_int_equal(cpu_leaf_find(l, 0xb, 1)->r[CPU_ECX], 0x201);
		assert_int_equal(cpu_leaf_find(l, 0xb, 2)->r[CPU_EDX],
				 s->last_id);
		assert_int_equal(cpu_leaf_find(l, 1, 0)->r[CPU_EBX] >> 24,
				 s->last_id & 0xff);
		assert_int_equal(cpu_leaf_find(l, 1, 0)->r[CPU_EBX] >> 16 &
					 0xff,
				 package > 255 ? 255 : package);
		assert_int_equal(cpu_leaf_find(l, 1, 0)->r[CPU_EDX] >> 28 & 1,
				 package > 1);
		assert_int_equal(!!cpu_leaf_look(l, 0x1f, 0), s->dies > 1);
	}
	free(l);
}

static void topology_dies(void **state)
{
	const struct shape s = {
		.sockets = 1, .dies = 2, .cores = 3, .threads = 2};
	struct cpu_leaves *l = calloc(1, sizeof(*l));
	struct cpu_topology t;

	(void)state;
	assert_non_null(l);
	topology_of(&s, &t, l, "GenuineIntel");
	assert_int_equal(cpu_leaf_find(l, 0x1f, 1)->r[CPU_EAX], 3);
	assert_int_equal(cpu_leaf_find(l, 0x1f, 1)->r[CPU_EBX], 6);
	assert_int_equal(cpu_leaf_find(l, 0x1f, 2)->r[CPU_EAX], 4);
	assert_int_equal(cpu_leaf_find(l, 0x1f, 2)->r[CPU_EBX], 12);
	assert_int_equal(cpu_leaf_find(l, 0x1f, 2)->r[CPU_ECX], 0x502);
	assert_int_equal(cpu_leaf_find(l, 0x1f, 3)->r[CPU_ECX], 3);
	/* L1 of two threads, L3 of a die: ids up to the power of two */
	assert_int_equal(cpu_leaf_find(l, 4, 0)->r[CPU_EAX] >> 14 & 0xfff, 1);
	assert_int_equal(cpu_leaf_find(l, 4, 3)->r[CPU_EAX] >> 14 & 0xfff, 7);
	assert_int_equal(cpu_leaf_find(l, 4, 3)->r[CPU_EAX] >> 26, 7);
	free(l);
}

static void topology_amd(void **state)
{
	const struct shape s = {
		.sockets = 2, .dies = 1, .cores = 4, .threads = 2};
	struct cpu_leaves *l = calloc(1, sizeof(*l));
	struct cpu_topology t;

	(void)state;
	assert_non_null(l);
	topology_of(&s, &t, l, "AuthenticAMD");
	assert_int_equal(cpu_leaf_find(l, 0x80000008, 0)->r[CPU_ECX] & 0xffff,
			 0x3007);
	assert_int_equal(cpu_leaf_find(l, 0x80000001, 0)->r[CPU_ECX] >> 1 & 1,
			 1);
	assert_int_equal(cpu_leaf_find(l, 0x8000001e, 0)->r[CPU_EAX], 15);
	assert_int_equal(cpu_leaf_find(l, 0x8000001e, 0)->r[CPU_EBX], 0x103);
	assert_int_equal(cpu_leaf_find(l, 0x8000001e, 0)->r[CPU_ECX], 1);
	free(l);
}

static void topology_must_multiply(void **state)
{
	struct cpu_config c = {
		.cpus = 4, .sockets = 1, .dies = 1, .cores = 3, .threads = 1};
	struct cpu_topology t;
	struct err e = {0};

	(void)state;
	assert_int_equal(cpu_topology_init(&t, &c, &e), -EINVAL);
	assert_non_null(strstr(e.text, "cores (3)"));
	c.cores = 1U << 31;
	c.threads = 2;
	c.cpus = 0;
	assert_int_equal(cpu_topology_init(&t, &c, &e), -EINVAL);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(bad_arguments),
	cmocka_unit_test(every_model_is_known_and_built),
	cmocka_unit_test(named_model),
	cmocka_unit_test(amd_repeats_leaf_1),
	cmocka_unit_test(host_is_the_host),
	cmocka_unit_test(features_come_and_go),
	cmocka_unit_test(dependents_follow),
	cmocka_unit_test(missing_features),
	cmocka_unit_test(paravirtual_leaves),
	cmocka_unit_test(properties),
	cmocka_unit_test(names_for_help),
	cmocka_unit_test(topology_ids),
	cmocka_unit_test(topology_dies),
	cmocka_unit_test(topology_amd),
	cmocka_unit_test(topology_must_multiply),
};

TEST_MAIN(tests)
