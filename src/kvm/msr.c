/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model-specific registers: those whose value here is not KVM's own at
 * power-on, and those that a guest may have changed before a reset.
 *
 * What a host refuses is logged and left alone: hosts differ, and none of these
 * is needed to go on.
 *
 * Spec: Intel SDM 4, 2.1; AMD APM 2, appendix A; Linux
 *       Documentation/virt/kvm/x86/msr.rst.
 * Threads: main, while the vCPU is still.
 * Syscalls: main: ioctl
 */
#include <assert.h>

#include "base/log.h"
#include "base/num.h"
#include "kvm/internal.h"

#define MTRR_ENABLED    BIT(11)
#define MTRR_WRITE_BACK 6ULL

#define MISC_FAST_STRINGS BIT(0)
#define MISC_NO_BTS       BIT(11)
#define MISC_NO_PEBS      BIT(12)

struct msr_row {
	uint32_t first, count, step;
	uint64_t value;
	bool at_power_on; /* KVM starts with another value */
};

#define MSR_ONE(n, v)                                                          \
	{                                                                      \
		.first = n, .count = 1, .value = v                             \
	}

/*
 * MTRRs: a kernel that is entered directly finds what firmware would have set,
 * all memory write-back. Fast strings: Linux disables `rep movs` copies where
 * the bit is clear.
 */
/* clang-format off */
static const struct msr_row msr_rows[] = {
	{0x1a0, 1, 0, MISC_FAST_STRINGS | MISC_NO_BTS | MISC_NO_PEBS, true},
	{0x2ff, 1, 0, MTRR_ENABLED | MTRR_WRITE_BACK, true},
	/* KVM's own first: each lets the host write into guest memory. */
	MSR_ONE(0x12, 0),       /* kvmclock, old number */
	MSR_ONE(0x4b564d01, 0), /* kvmclock */
	MSR_ONE(0x4b564d02, 0), /* asynchronous page faults */
	MSR_ONE(0x4b564d03, 0), /* steal time */
	MSR_ONE(0x4b564d04, 0), /* paravirtual EOI */
	MSR_ONE(0x4b564d05, 1), /* the host polls on HLT */
	MSR_ONE(0x4b564d06, 0), /* vector of asynchronous page faults */
	MSR_ONE(0x3b, 0),       /* TSC_ADJUST */
	MSR_ONE(0x48, 0),       /* SPEC_CTRL */
	MSR_ONE(0x9e, 0x30000), /* SMBASE */
	MSR_ONE(0xe1, 0),       /* UMWAIT_CONTROL */
	{0x174, 3, 1, 0, false}, /* SYSENTER_CS, _ESP, _EIP */
	MSR_ONE(0x17a, 0),       /* MCG_STATUS */
	{0x186, 8, 1, 0, false}, /* PERFEVTSEL */
	MSR_ONE(0x1d9, 0),       /* DEBUGCTL */
	{0x200, 16, 1, 0, false}, /* variable MTRRs */
	MSR_ONE(0x250, 0),        /* fixed MTRRs */
	{0x258, 2, 1, 0, false},
	{0x268, 8, 1, 0, false},
	MSR_ONE(0x277, 0x0007040600070406ULL), /* PAT */
	MSR_ONE(0x38d, 0),                     /* FIXED_CTR_CTRL */
	MSR_ONE(0x38f, 0),                     /* PERF_GLOBAL_CTRL */
	MSR_ONE(0x6e0, 0),                     /* TSC_DEADLINE */
	MSR_ONE(0xda0, 0),                     /* XSS */
	{0xc0000081, 4, 1, 0, false}, /* STAR, LSTAR, CSTAR, SFMASK */
	{0xc0000102, 2, 1, 0, false}, /* KERNEL_GS_BASE, TSC_AUX */
	{0xc0010200, 6, 2, 0, false}, /* AMD's PERF_CTL */
};
/* clang-format on */

#define MSR_BATCH_MAX 80

/* struct kvm_msrs, of a fixed size. */
struct msr_batch {
	uint32_t count, pad;
	struct kvm_msr_entry at[MSR_BATCH_MAX];
};

_Static_assert(offsetof(struct msr_batch, at) ==
		       offsetof(struct kvm_msrs, entries),
	       "as KVM_SET_MSRS takes it");

static void msr_add(struct msr_batch *b, const struct msr_row *row)
{
	for (uint32_t i = 0; i < row->count; i++) {
		assert(b->count < MSR_BATCH_MAX);
		b->at[b->count++] = (struct kvm_msr_entry){
			.index = row->first + i * row->step,
			.data = row->value,
		};
	}
}

/* KVM stops at the first that it refuses: skip that one, go on behind it. */
static int msr_write(struct vcpu *v, struct msr_batch *b)
{
	uint32_t left = b->count, done;
	int r;

	while (left) {
		r = vcpu_ioctl(v, KVM_SET_MSRS, b);
		if (r < 0)
			return r;
		done = (uint32_t)r;
		if (done >= left)
			break;
		log_on(LOG_KVM, "vCPU %u: host refuses 0x%llx for MSR 0x%x",
		       v->index, b->at[done].data, b->at[done].index);
		left -= done + 1;
		for (uint32_t i = 0; i < left; i++)
			b->at[i] = b->at[i + done + 1];
		b->count = left;
	}
	return 0;
}

/*
 * One bank of machine-check registers: none is ever reported there, and Linux
 * writes each bank of each CPU at boot, one exit a register.
 */
static void msr_set_mce(struct vcpu *v)
{
	uint64_t mcg_cap = 1;
	int r;

	if (!kvm_check_cap(v->kvm, KVM_CAP_MCE))
		return;
	r = vcpu_ioctl(v, KVM_X86_SETUP_MCE, &mcg_cap);
	if (r < 0)
		log_on(LOG_KVM, "vCPU %u: KVM_X86_SETUP_MCE error %d", v->index,
		       -r);
}

int vcpu_init_msrs(struct vcpu *v, bool used, struct err *e)
{
	struct msr_batch b = {.count = 0};
	int r;

	if (!used)
		msr_set_mce(v);
	for (size_t i = 0; i < ARRAY_SIZE(msr_rows); i++) {
		if (used || msr_rows[i].at_power_on)
			msr_add(&b, &msr_rows[i]);
	}
	r = msr_write(v, &b);
	if (r)
		err_set_errno(e, r, "cannot set the MSRs of vCPU %u", v->index);
	return r;
}
