/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPUID leaves of the guest's processors.
 *
 * Spec: Linux Documentation/virt/kvm/api.rst, 4.20, 4.46, and
 *       virt/kvm/x86/cpuid.rst; Intel SDM 2A, CPUID; AMD APM 3, appendix E.
 * Threads: main.
 * Syscalls: set-up: ioctl, arch_prctl
 */
#include "kvm/cpuid.h"

#include <errno.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/num.h"
#include "kvm/cpu_request.h"
#include "kvm/internal.h"

#define ARCH_REQ_XCOMP_GUEST_PERM 0x1025
#define XFEATURE_TILEDATA         18

/* KVM's LAPIC timer counts nanoseconds. */
#define LAPIC_HZ 1000000000ULL

struct cpu_model {
	struct cpu_topology topology;
	struct cpu_leaves leaves;
};

static bool leaf_is(const struct cpu_leaf *leaf, uint32_t fn, uint32_t index)
{
	return leaf->fn == fn && (!leaf->has_index || leaf->index == index);
}

const struct cpu_leaf *cpu_leaf_look(const struct cpu_leaves *l, uint32_t fn,
				     uint32_t index)
{
	for (unsigned i = 0; i < l->count; i++) {
		if (leaf_is(&l->at[i], fn, index))
			return &l->at[i];
	}
	return NULL;
}

struct cpu_leaf *cpu_leaf_find(struct cpu_leaves *l, uint32_t fn,
			       uint32_t index)
{
	const struct cpu_leaf *leaf = cpu_leaf_look(l, fn, index);

	return leaf ? &l->at[leaf - l->at] : NULL;
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

void cpu_vendor(const struct cpu_leaves *l, char vendor[CPU_VENDOR_LEN + 1])
{
	const struct cpu_leaf *zero = cpu_leaf_look(l, 0, 0);

	memset(vendor, 0, CPU_VENDOR_LEN + 1);
	if (!zero)
		return;
	memcpy(vendor, &zero->r[CPU_EBX], 4);
	memcpy(vendor + 4, &zero->r[CPU_EDX], 4);
	memcpy(vendor + 8, &zero->r[CPU_ECX], 4);
}

bool cpu_is_amd(const struct cpu_leaves *l)
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

static void leaf_set_bit(struct cpu_leaves *l, uint32_t fn, enum cpu_reg reg,
			 unsigned bit, bool on)
{
	struct cpu_leaf *leaf = cpu_leaf_find(l, fn, 0);

	if (!leaf)
		return;
	leaf->r[reg] &= ~(1U << bit);
	leaf->r[reg] |= (uint32_t)on << bit;
}

/* Where KVM_GET_SUPPORTED_CPUID does not say what KVM can do. */
static void leaves_correct(const struct kvm *k, struct cpu_leaves *l)
{
	bool lapic = k->config.irqchip != KVM_IRQCHIP_NONE;
	bool deadline = lapic && kvm_check_cap(k, KVM_CAP_TSC_DEADLINE_TIMER);

	if (!lapic)
		leaf_set_bit(l, 1, CPU_ECX, 21, false); /* x2apic */
	leaf_set_bit(l, 1, CPU_ECX, 24, deadline);
	leaf_set_bit(l, 1, CPU_ECX, 31, true); /* hypervisor */
	leaf_set_bit(l, 6, CPU_EAX, 2, lapic); /* arat */
	/* Copies of CR4 bits: KVM keeps them. */
	leaf_set_bit(l, 1, CPU_ECX, 27, false);
	leaf_set_bit(l, 7, CPU_ECX, 4, false);
	if (k->config.irqchip == KVM_IRQCHIP_SPLIT_MODE &&
	    kvm_check_cap(k, KVM_CAP_X2APIC_API))
		leaf_set_bit(l, 0x40000001, CPU_EAX,
			     KVM_FEATURE_MSI_EXT_DEST_ID, true);
}

/* AMX state is big: the host gives it to a process that asks. */
static void leaves_ask_amx(const struct kvm *k)
{
	uint64_t components = 0;
	struct kvm_device_attr a = {
		.attr = KVM_X86_XCOMP_GUEST_SUPP,
		.addr = (uintptr_t)&components,
	};

	if (ioctl(k->dev_fd, KVM_GET_DEVICE_ATTR, &a) == 0 &&
	    components & BIT(XFEATURE_TILEDATA) &&
	    syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM,
		    XFEATURE_TILEDATA))
		log_on(LOG_KVM, "no AMX for the guest: %s", strerror(errno));
}

static int cpu_warn(const struct cpu_build *b, struct err *e)
{
	const char *name = b->request->def->name;

	if (!b->missing[0])
		return 0;
	if (b->request->enforce)
		return err_set(e, -ENOTSUP,
			       "-cpu %s: this host cannot give %s (take them "
			       "away with '-name', or leave out enforce)",
			       name, b->missing);
	if (b->request->check)
		log_warn("-cpu %s: this host cannot give %s: left out", name,
			 b->missing);
	return 0;
}

/* The steps of cpu_model_new, on objects too big for the stack. */
static int cpu_model_init(struct cpu_model *m, struct cpu_build *b,
			  struct err *e)
{
	int r = cpu_build(b);

	if (!r) {
		m->leaves = b->leaves;
		r = cpu_topology_common(&m->topology, &m->leaves);
	}
	if (!r)
		r = cpu_set_levels(b->request, &m->leaves);
	return r ? err_set(e, r, "too many CPUID leaves") : cpu_warn(b, e);
}

static int cpu_check_ids(const struct kvm *k, const struct cpu_topology *t,
			 struct err *e)
{
	int limit = kvm_check_cap(k, KVM_CAP_MAX_VCPU_ID);
	uint32_t last = cpu_topology_apic_id(t, t->cpus - 1);

	if (t->cpus > kvm_max_vcpus(k))
		return err_set(e, -EINVAL,
			       "-smp: %u cpus: this host's KVM has at most %u",
			       t->cpus, kvm_max_vcpus(k));
	if (limit > 0 && last >= (uint32_t)limit)
		return err_set(e, -EINVAL,
			       "-smp: the last APIC id is %u: this host's KVM "
			       "has them below %d (a topology in powers of two "
			       "wastes none)",
			       last, limit);
	return 0;
}

static int cpu_model_make(struct kvm *k, const struct cpu_config *c,
			  const struct cpu_request *q, struct cpu_model *m,
			  struct err *e)
{
	AUTO_FREE struct cpu_leaves *host = calloc(1, sizeof(*host));
	AUTO_FREE struct cpu_build *b = calloc(1, sizeof(*b));
	int r;

	if (!host || !b)
		return err_set(e, -ENOMEM, "no memory for the CPU model");
	if (q->def->is_host)
		leaves_ask_amx(k);
	r = leaves_supported(k, host, e);
	if (r)
		return r;
	leaves_correct(k, host);
	b->request = q;
	b->host = host;
	b->tsc_hz = c->tsc_hz ? c->tsc_hz : kvm_tsc_hz(k);
	b->lapic_hz = c->lapic_hz ? c->lapic_hz : LAPIC_HZ;
	return cpu_model_init(m, b, e);
}

int cpu_model_new(struct kvm *k, const struct cpu_config *c,
		  struct cpu_model **ret, struct err *e)
{
	AUTO_FREE struct cpu_model *m = calloc(1, sizeof(*m));
	struct cpu_request q = {.def = NULL};
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "no memory for the CPU model");
	r = cpu_request_parse(&q, c->cpu, e);
	if (!r)
		r = cpu_topology_init(&m->topology, c, e);
	if (!r)
		r = cpu_check_ids(k, &m->topology, e);
	if (!r)
		r = cpu_model_make(k, c, &q, m, e);
	cpu_request_fini(&q);
	if (!r)
		*ret = take_ptr(m);
	return r;
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
