/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPUID leaves of the guest's processors.
 *
 * Spec: Linux Documentation/virt/kvm/api.rst, 4.20, 4.46, and
 *       virt/kvm/x86/cpuid.rst; Intel SDM 2A, CPUID; AMD APM 3, appendix E.
 * Threads: main.
 * Syscalls: main: ioctl
 */
#include "kvm/cpuid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/num.h"
#include "kvm/internal.h"

/* KVM's LAPIC timer counts nanoseconds. */
#define LAPIC_HZ 1000000000ULL

struct cpu_model {
	struct cpu_topology topology;
	struct cpu_leaves leaves;
};

const char *const cpu_model_names[] = {"host", "max", NULL};

const char *cpu_model_summary(const char *name)
{
	(void)name;
	return "what this host's processor and KVM offer";
}

static bool leaf_is(const struct cpu_leaf *leaf, uint32_t fn, uint32_t index)
{
	return leaf->fn == fn && (!leaf->has_index || leaf->index == index);
}

struct cpu_leaf *cpu_leaf_find(struct cpu_leaves *l, uint32_t fn,
			       uint32_t index)
{
	for (unsigned i = 0; i < l->count; i++) {
		if (leaf_is(&l->at[i], fn, index))
			return &l->at[i];
	}
	return NULL;
}

struct cpu_leaf *cpu_leaf_get(struct cpu_leaves *l, uint32_t fn, uint32_t index,
			      bool has_index)
{
	struct cpu_leaf *leaf = cpu_leaf_find(l, fn, index);

	if (leaf || l->count == CPU_LEAVES_MAX)
		return leaf;
	leaf = &l->at[l->count++];
	*leaf = (struct cpu_leaf){
		.fn = fn, .index = index, .has_index = has_index};
	return leaf;
}

void cpu_leaf_drop(struct cpu_leaves *l, uint32_t fn)
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->count; i++) {
		if (l->at[i].fn != fn)
			l->at[n++] = l->at[i];
	}
	l->count = n;
}

void cpu_vendor(struct cpu_leaves *l, char vendor[CPU_VENDOR_LEN + 1])
{
	const struct cpu_leaf *zero = cpu_leaf_find(l, 0, 0);

	memset(vendor, 0, CPU_VENDOR_LEN + 1);
	if (!zero)
		return;
	memcpy(vendor, &zero->r[CPU_EBX], 4);
	memcpy(vendor + 4, &zero->r[CPU_EDX], 4);
	memcpy(vendor + 8, &zero->r[CPU_ECX], 4);
}

bool cpu_is_amd(struct cpu_leaves *l)
{
	char vendor[CPU_VENDOR_LEN + 1];

	cpu_vendor(l, vendor);
	return !strcmp(vendor, "AuthenticAMD") ||
	       !strcmp(vendor, "HygonGenuine");
}

/* As KVM takes and gives leaves, with room for all of ours. */
static struct kvm_cpuid2 *cpuid_alloc(void)
{
	struct kvm_cpuid2 *c;

	c = calloc(1, sizeof(*c) + CPU_LEAVES_MAX * sizeof(c->entries[0]));
	if (c)
		c->nent = CPU_LEAVES_MAX;
	return c;
}

static void leaves_from_kvm(struct cpu_leaves *l, const struct kvm_cpuid2 *c)
{
	for (uint32_t i = 0; i < MIN(c->nent, CPU_LEAVES_MAX); i++) {
		const struct kvm_cpuid_entry2 *en = &c->entries[i];

		l->at[i] = (struct cpu_leaf){
			.fn = en->function,
			.index = en->index,
			.has_index =
				en->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.r = {en->eax, en->ebx, en->ecx, en->edx},
		};
		l->count = i + 1;
	}
}

static int leaves_supported(struct kvm *k, struct cpu_leaves *l, struct err *e)
{
	AUTO_FREE struct kvm_cpuid2 *c = cpuid_alloc();

	if (!c)
		return err_set(e, -ENOMEM, "no memory for CPUID leaves");
	if (ioctl(k->dev_fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return err_set_errno(e, -errno,
				     "KVM does not say what CPUID it supports");
	leaves_from_kvm(l, c);
	return 0;
}

int cpu_model_new(struct kvm *k, const struct cpu_config *c,
		  struct cpu_model **ret, struct err *e)
{
	AUTO_FREE struct cpu_model *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "no memory for the CPU model");
	if (c->cpu && strcmp(c->cpu, "host") && strcmp(c->cpu, "max"))
		return err_set(e, -EINVAL, "-cpu: no model '%s'", c->cpu);
	r = cpu_topology_init(&m->topology, c, e);
	if (!r)
		r = leaves_supported(k, &m->leaves, e);
	if (r)
		return r;
	r = cpu_topology_common(&m->topology, &m->leaves);
	if (r)
		return err_set(e, r, "too many CPUID leaves");
	*ret = take_ptr(m);
	return 0;
}

void cpu_model_free(struct cpu_model *m)
{
	free(m);
}

uint32_t cpu_model_apic_id(const struct cpu_model *m, unsigned index)
{
	return cpu_topology_apic_id(&m->topology, index);
}

static void leaves_to_kvm(const struct cpu_leaves *l, struct kvm_cpuid2 *c)
{
	c->nent = l->count;
	for (unsigned i = 0; i < l->count; i++) {
		const struct cpu_leaf *leaf = &l->at[i];

		c->entries[i] = (struct kvm_cpuid_entry2){
			.function = leaf->fn,
			.index = leaf->index,
			.flags = leaf->has_index
					 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX
					 : 0,
			.eax = leaf->r[CPU_EAX],
			.ebx = leaf->r[CPU_EBX],
			.ecx = leaf->r[CPU_ECX],
			.edx = leaf->r[CPU_EDX],
		};
	}
}

int cpu_model_apply(const struct cpu_model *m, struct vcpu *v, struct err *e)
{
	AUTO_FREE struct cpu_leaves *mine = malloc(sizeof(*mine));
	AUTO_FREE struct kvm_cpuid2 *c = cpuid_alloc();
	int r;

	if (!mine || !c)
		return err_set(e, -ENOMEM, "no memory for CPUID leaves");
	*mine = m->leaves;
	cpu_topology_id(&m->topology, mine, v->apic_id);
	leaves_to_kvm(mine, c);
	r = vcpu_ioctl(v, KVM_SET_CPUID2, c);
	if (r)
		err_set_errno(e, r, "KVM refuses the CPUID leaves of vCPU %u",
			      v->index);
	return r;
}
