/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topology leaves: which thread of which core, die and socket a vCPU is.
 *
 * An APIC id is a row of bit fields, thread lowest, each as wide as its number
 * of members needs; so ids have gaps where a number is not a power of two.
 *
 * Spec: Intel SDM 2A, CPUID leaves 01H, 04H, 0BH, 1FH, and 3A, 9.9.1; AMD APM
 *       3, appendix E: 8000_0001, 8000_0008, 8000_001D, 8000_001E.
 * Threads: main.
 */
#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "base/num.h"
#include "kvm/cpuid.h"

/* Level types of leaves 0xb and 0x1f. */
enum { LEVEL_INVALID, LEVEL_THREAD, LEVEL_CORE, LEVEL_DIE = 5 };

static unsigned bits_for(unsigned n)
{
	return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

int cpu_topology_init(struct cpu_topology *t, const struct cpu_config *c,
		      struct err *e)
{
	unsigned n;

	if (!mul_ok(c->sockets, c->dies, &n) || !mul_ok(n, c->cores, &n) ||
	    !mul_ok(n, c->threads, &n) || n != c->cpus || !n)
		return err_set(e, -EINVAL,
			       "-smp: sockets (%u) * dies (%u) * cores (%u) * "
			       "threads (%u) is not cpus (%u)",
			       c->sockets, c->dies, c->cores, c->threads,
			       c->cpus);
	*t = (struct cpu_topology){
		.cpus = c->cpus,
		.sockets = c->sockets,
		.dies = c->dies,
		.cores = c->cores,
		.threads = c->threads,
		.thread_bits = bits_for(c->threads),
		.core_bits = bits_for(c->cores),
		.die_bits = bits_for(c->dies),
	};
	return 0;
}

static unsigned package_bits(const struct cpu_topology *t)
{
	return t->thread_bits + t->core_bits + t->die_bits;
}

static unsigned package_threads(const struct cpu_topology *t)
{
	return t->threads * t->cores * t->dies;
}

uint32_t cpu_topology_apic_id(const struct cpu_topology *t, unsigned index)
{
	uint32_t thread = index % t->threads;
	uint32_t core = index / t->threads % t->cores;
	uint32_t die = index / (t->threads * t->cores) % t->dies;
	uint32_t socket = index / package_threads(t);

	return ((socket << t->die_bits | die) << t->core_bits | core)
		       << t->thread_bits |
	       thread;
}

static void set_field(uint32_t *reg, uint64_t mask, uint64_t value)
{
	uint64_t max = FIELD_GET(mask, mask);

	*reg = (uint32_t)((*reg & ~mask) | FIELD_SET(mask, MIN(value, max)));
}

static int common_leaf1(const struct cpu_topology *t, struct cpu_leaves *l)
{
	struct cpu_leaf *leaf = cpu_leaf_get(l, 1, 0, false);
	unsigned n = package_threads(t);

	if (!leaf)
		return -ENOSPC;
	set_field(&leaf->r[CPU_EBX], MASK(23, 16), n);
	set_field(&leaf->r[CPU_EDX], BIT(28), n > 1); /* HTT */
	return 0;
}

/* Caches up to level 2 are a core's, the others a die's. */
static void common_cache(struct cpu_leaf *leaf, unsigned core_sharers,
			 unsigned die_sharers)
{
	uint32_t level = (uint32_t)FIELD_GET(MASK(7, 5), leaf->r[CPU_EAX]);

	set_field(&leaf->r[CPU_EAX], MASK(25, 14),
		  (level > 2 ? die_sharers : core_sharers) - 1);
}

static void common_leaf4(const struct cpu_topology *t, struct cpu_leaves *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		struct cpu_leaf *leaf = &l->at[i];

		if (leaf->fn != 4 || !FIELD_GET(MASK(4, 0), leaf->r[CPU_EAX]))
			continue;
		common_cache(leaf, 1U << t->thread_bits,
			     1U << (t->thread_bits + t->core_bits));
		set_field(&leaf->r[CPU_EAX], MASK(31, 26),
			  (1U << (t->core_bits + t->die_bits)) - 1);
	}
}

static int set_level(struct cpu_leaves *l, uint32_t fn, uint32_t index,
		     unsigned type, const unsigned shift_and_count[2])
{
	struct cpu_leaf *leaf = cpu_leaf_get(l, fn, index, true);

	if (!leaf)
		return -ENOSPC;
	memset(leaf->r, 0, sizeof(leaf->r));
	leaf->r[CPU_EAX] = shift_and_count[0];
	leaf->r[CPU_EBX] = shift_and_count[1];
	leaf->r[CPU_ECX] = type << 8 | index;
	return 0;
}

/* Leaf 0xb knows threads and cores only; 0x1f dies too. */
static int common_levels(const struct cpu_topology *t, struct cpu_leaves *l)
{
	const unsigned none[2] = {0, 0};
	const unsigned thread[2] = {t->thread_bits, t->threads};
	const unsigned core[2] = {t->thread_bits + t->core_bits,
				  t->threads * t->cores};
	const unsigned package[2] = {package_bits(t), package_threads(t)};

	cpu_leaf_drop(l, 0xb);
	cpu_leaf_drop(l, 0x1f);
	if (set_level(l, 0xb, 0, LEVEL_THREAD, thread) ||
	    set_level(l, 0xb, 1, LEVEL_CORE, package) ||
	    set_level(l, 0xb, 2, LEVEL_INVALID, none))
		return -ENOSPC;
	if (t->dies == 1)
		return 0;
	if (set_level(l, 0x1f, 0, LEVEL_THREAD, thread) ||
	    set_level(l, 0x1f, 1, LEVEL_CORE, core) ||
	    set_level(l, 0x1f, 2, LEVEL_DIE, package) ||
	    set_level(l, 0x1f, 3, LEVEL_INVALID, none))
		return -ENOSPC;
	return 0;
}

static bool cpu_has_topoext(const struct cpu_leaves *l)
{
	const struct cpu_leaf *leaf = cpu_leaf_look(l, 0x80000001, 0);

	return leaf && leaf->r[CPU_ECX] & BIT(22);
}

static int common_amd(const struct cpu_topology *t, struct cpu_leaves *l)
{
	struct cpu_leaf *features = cpu_leaf_get(l, 0x80000001, 0, false);
	struct cpu_leaf *sizes = cpu_leaf_get(l, 0x80000008, 0, false);
	unsigned n = package_threads(t);
	struct cpu_leaf *ids;

	if (!features || !sizes)
		return -ENOSPC;
	set_field(&features->r[CPU_ECX], BIT(1), n > 1); /* CmpLegacy */
	set_field(&sizes->r[CPU_ECX], MASK(7, 0), n - 1);
	set_field(&sizes->r[CPU_ECX], MASK(15, 12), package_bits(t));
	cpu_leaf_drop(l, 0x80000026); /* says what 0xb does */
	cpu_leaf_drop(l, 0x8000001e);
	for (unsigned i = 0; i < l->count; i++) {
		if (l->at[i].fn == 0x8000001d)
			common_cache(&l->at[i], t->threads,
				     t->threads * t->cores);
	}
	if (!cpu_has_topoext(l))
		return 0;
	ids = cpu_leaf_get(l, 0x8000001e, 0, false);
	if (!ids)
		return -ENOSPC;
	set_field(&ids->r[CPU_EBX], MASK(15, 8), t->threads - 1);
	set_field(&ids->r[CPU_ECX], MASK(10, 8), t->dies - 1);
	return 0;
}

int cpu_topology_common(const struct cpu_topology *t, struct cpu_leaves *l)
{
	if (common_leaf1(t, l) || common_levels(t, l))
		return -ENOSPC;
	common_leaf4(t, l);
	return cpu_is_amd(l) ? common_amd(t, l) : 0;
}

static void id_amd(const struct cpu_topology *t, struct cpu_leaf *leaf,
		   uint32_t apic_id)
{
	uint32_t in_package = apic_id & ((1U << package_bits(t)) - 1);
	uint32_t node = apic_id >> (t->thread_bits + t->core_bits);

	leaf->r[CPU_EAX] = apic_id;
	set_field(&leaf->r[CPU_EBX], MASK(7, 0),
		  in_package >> t->thread_bits & 0xff);
	set_field(&leaf->r[CPU_ECX], MASK(7, 0), node & 0xff);
}

void cpu_topology_id(const struct cpu_topology *t, struct cpu_leaves *l,
		     uint32_t apic_id)
{
	for (unsigned i = 0; i < l->count; i++) {
		struct cpu_leaf *leaf = &l->at[i];

		if (leaf->fn == 1)
			set_field(&leaf->r[CPU_EBX], MASK(31, 24),
				  apic_id & 0xff);
		else if (leaf->fn == 0xb || leaf->fn == 0x1f)
			leaf->r[CPU_EDX] = apic_id;
		else if (leaf->fn == 0x8000001e && cpu_is_amd(l))
			id_amd(t, leaf, apic_id);
	}
}
