/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of a vCPU: as it enters a kernel, and as at power-on.
 *
 * KVM makes a vCPU in its power-on state. A reset writes every register again,
 * since KVM offers no call for it: the order follows what depends on what (the
 * APIC base before the APIC, CR4 and EFER before the MSRs they allow, the APIC
 * before the deadline timer among the MSRs).
 *
 * Spec: Intel SDM 3A, 9.1.1 (state after reset), 11.4.7 (local APIC); 3C,
 *       27.3.1 (what a guest state must be to be entered).
 * Threads: main, while the vCPU is still.
 * Syscalls: main: ioctl
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/num.h"
#include "kvm/internal.h"

#define RFLAGS_FIXED 0x2ULL
#define RFLAGS_IOPL3 0x3000ULL

#define CR0_RESET 0x60000010ULL /* CD, NW, ET */

#define APIC_BASE         0xfee00000ULL
#define APIC_BASE_BSP     BIT(8)
#define APIC_BASE_ENABLED BIT(11)

/* Segment types: all marked accessed, so that no entry writes the GDT. */
enum {
	SEG_DATA = 3,
	SEG_CODE = 11,
	SEG_LDT = 2,
	SEG_TSS_BUSY = 11,
};

static struct kvm_segment seg_flat(uint16_t selector, unsigned type,
				   unsigned dpl, bool is_64bit)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = (uint16_t)((selector & ~3U) | dpl),
		.type = (uint8_t)type,
		.present = 1,
		.dpl = (uint8_t)dpl,
		.db = !is_64bit,
		.s = 1,
		.l = is_64bit,
		.g = 1,
	};
}

static struct kvm_segment seg_real(uint16_t selector, uint64_t base,
				   unsigned type, bool is_system)
{
	return (struct kvm_segment){
		.base = base,
		.limit = 0xffff,
		.selector = selector,
		.type = (uint8_t)type,
		.present = 1,
		.s = !is_system,
	};
}

static void boot_sregs(const struct vcpu_boot *b, struct kvm_sregs *s)
{
	s->cs = seg_flat(b->cs, SEG_CODE, b->cpl, b->long_mode);
	s->ds = seg_flat(b->ds, SEG_DATA, b->cpl, false);
	s->es = s->fs = s->gs = s->ss = s->ds;
	s->tr = seg_real(0, 0, SEG_TSS_BUSY, true);
	s->ldt = (struct kvm_segment){.type = SEG_LDT, .unusable = 1};
	s->gdt = (struct kvm_dtable){.base = b->gdt, .limit = b->gdt_limit};
	s->idt = (struct kvm_dtable){0};
	s->cr0 = b->cr0;
	s->cr3 = b->cr3;
	s->cr4 = b->cr4;
	s->efer = b->efer;
}

static int vcpu_check_still(struct vcpu *v, struct err *e)
{
	if (vcpu_is_paused(v))
		return 0;
	return err_set(e, -EBUSY, "vCPU %u is running", v->index);
}

int vcpu_set_boot(struct vcpu *v, const struct vcpu_boot *b, struct err *e)
{
	struct kvm_regs regs = {
		.rip = b->rip,
		.rsp = b->rsp,
		.rsi = b->rsi,
		.rbx = b->rbx,
		.rflags = b->rflags | RFLAGS_FIXED |
			  (b->cpl == 3 ? RFLAGS_IOPL3 : 0),
	};
	struct kvm_sregs sregs;
	int r = vcpu_check_still(v, e);

	if (r)
		return r;
	r = vcpu_ioctl(v, KVM_GET_SREGS, &sregs);
	if (!r) {
		boot_sregs(b, &sregs);
		r = vcpu_ioctl(v, KVM_SET_SREGS, &sregs);
	}
	if (!r)
		r = vcpu_ioctl(v, KVM_SET_REGS, &regs);
	if (r)
		err_set_errno(e, r, "KVM refuses the entry state of vCPU %u",
			      v->index);
	return r;
}

static int reset_sregs(struct vcpu *v)
{
	struct kvm_sregs s = {
		.cs = seg_real(0xf000, 0xffff0000, SEG_CODE, false),
		.ds = seg_real(0, 0, SEG_DATA, false),
		.ldt = seg_real(0, 0, SEG_LDT, true),
		.tr = seg_real(0, 0, SEG_TSS_BUSY, true),
		.gdt.limit = 0xffff,
		.idt.limit = 0xffff,
		.cr0 = CR0_RESET,
		.apic_base = APIC_BASE | APIC_BASE_ENABLED |
			     (v->index ? 0 : APIC_BASE_BSP),
	};

	s.es = s.fs = s.gs = s.ss = s.ds;
	return vcpu_ioctl(v, KVM_SET_SREGS, &s);
}

static int reset_regs(struct vcpu *v)
{
	struct kvm_regs r = {
		.rip = 0xfff0,
		.rdx = 0x600, /* family 6; software reads CPUID instead */
		.rflags = RFLAGS_FIXED,
	};

	return vcpu_ioctl(v, KVM_SET_REGS, &r);
}

/* A guest that runs guests of its own leaves that mode. */
static int reset_nested(struct vcpu *v)
{
	struct kvm_nested_state s = {.size = sizeof(s)};

	if (kvm_check_cap(v->kvm, KVM_CAP_NESTED_STATE) <= 0)
		return 0;
	if (v->kvm->kind == KVM_KIND_SVM) {
		s.format = KVM_STATE_NESTED_FORMAT_SVM;
		s.flags = KVM_STATE_NESTED_GIF_SET;
	} else {
		s.format = KVM_STATE_NESTED_FORMAT_VMX;
		s.hdr.vmx.vmxon_pa = s.hdr.vmx.vmcs12_pa = ~0ULL;
	}
	return vcpu_ioctl(v, KVM_SET_NESTED_STATE, &s);
}

/* x87, SSE, AVX and later: a header with no component set resets them all. */
static int reset_fpu(struct vcpu *v)
{
	int size = MAX(kvm_check_cap(v->kvm, KVM_CAP_XSAVE2),
		       (int)sizeof(struct kvm_xsave));
	struct kvm_fpu fpu = {.fcw = 0x37f, .mxcsr = 0x1f80};
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.value = 1}};
	AUTO_FREE uint8_t *area = NULL;
	int r;

	if (!kvm_check_cap(v->kvm, KVM_CAP_XSAVE))
		return vcpu_ioctl(v, KVM_SET_FPU, &fpu);
	area = calloc(1, (size_t)size);
	if (!area)
		return -ENOMEM;
	store_le16(area, fpu.fcw);
	store_le32(area + 24, fpu.mxcsr);
	r = vcpu_ioctl(v, KVM_SET_XSAVE, area);
	if (!r && kvm_check_cap(v->kvm, KVM_CAP_XCRS))
		r = vcpu_ioctl(v, KVM_SET_XCRS, &xcrs);
	return r;
}

static int reset_debug(struct vcpu *v)
{
	struct kvm_debugregs d = {.dr6 = 0xffff0ff0, .dr7 = 0x400};

	return vcpu_ioctl(v, KVM_SET_DEBUGREGS, &d);
}

static int reset_events(struct vcpu *v)
{
	struct kvm_vcpu_events ev = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
			 KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			 KVM_VCPUEVENT_VALID_SHADOW,
	};

	return vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &ev);
}

static int reset_mp_state(struct vcpu *v)
{
	bool waits = v->index && v->kvm->config.irqchip != KVM_IRQCHIP_NONE;
	struct kvm_mp_state mp = {
		.mp_state = waits ? KVM_MP_STATE_UNINITIALIZED
				  : KVM_MP_STATE_RUNNABLE,
	};

	return vcpu_ioctl(v, KVM_SET_MP_STATE, &mp);
}

struct reset_step {
	const char *what;
	int (*run)(struct vcpu *v);
};

static const struct reset_step reset_steps[] = {
	{"nested state", reset_nested},    {"events", reset_events},
	{"system registers", reset_sregs}, {"registers", reset_regs},
	{"FPU state", reset_fpu},          {"debug registers", reset_debug},
};

int vcpu_reset(struct vcpu *v, struct err *e)
{
	int r = vcpu_check_still(v, e);

	if (r)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(reset_steps); i++) {
		r = reset_steps[i].run(v);
		if (r)
			return err_set_errno(e, r,
					     "cannot reset the %s of vCPU %u",
					     reset_steps[i].what, v->index);
	}
	if (v->kvm->config.irqchip != KVM_IRQCHIP_NONE)
		r = vcpu_init_lapic(v, true, e);
	if (!r)
		r = vcpu_init_msrs(v, true, e);
	if (r)
		return r;
	r = reset_mp_state(v);
	if (r)
		return err_set_errno(e, r, "cannot reset vCPU %u", v->index);
	vcpu_unhalt(v);
	return 0;
}

/* Local APIC registers, by offset. */
enum {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_DFR = 0xe0,
	LAPIC_SVR = 0xf0,
	LAPIC_LVT_CMCI = 0x2f0,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
};

#define LVT_MASKED BIT(16)
#define LVT_NMI    0x400U
#define LVT_EXTINT 0x700U

static void lapic_set(struct kvm_lapic_state *s, unsigned reg, uint32_t value)
{
	store_le32(s->regs + reg, value);
}

static void lapic_clear(struct kvm_lapic_state *s, uint32_t id)
{
	uint32_t version = load_le32((uint8_t *)s->regs + LAPIC_VERSION);

	*s = (struct kvm_lapic_state){0};
	lapic_set(s, LAPIC_ID, id << 24);
	lapic_set(s, LAPIC_VERSION, version);
	lapic_set(s, LAPIC_DFR, 0xffffffff);
	lapic_set(s, LAPIC_SVR, 0xff);
	if (FIELD_GET(MASK(23, 16), version) >= 6) /* it has that entry */
		lapic_set(s, LAPIC_LVT_CMCI, LVT_MASKED);
	for (unsigned r = LAPIC_LVT_TIMER; r <= LAPIC_LVT_ERROR; r += 0x10)
		lapic_set(s, r, LVT_MASKED);
}

int vcpu_init_lapic(struct vcpu *v, bool used, struct err *e)
{
	struct kvm_lapic_state s;
	int r;

	if (!used && v->index)
		return 0; /* as KVM made it */
	r = vcpu_ioctl(v, KVM_GET_LAPIC, &s);
	if (!r) {
		if (used)
			lapic_clear(&s, v->apic_id);
		if (!v->index) {
			lapic_set(&s, LAPIC_LVT_LINT0, LVT_EXTINT);
			lapic_set(&s, LAPIC_LVT_LINT1, LVT_NMI);
		}
		r = vcpu_ioctl(v, KVM_SET_LAPIC, &s);
	}
	if (r)
		err_set_errno(e, r, "cannot set the local APIC of vCPU %u",
			      v->index);
	return r;
}
