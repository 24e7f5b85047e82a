/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a vCPU that cannot go on: what KVM said, the registers, and
 * the bytes at RIP.
 *
 * Threads: the vCPU's, outside KVM_RUN; nothing is allocated.
 * Syscalls: vcpu: ioctl
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "kvm/internal.h"

#define REPORT_BYTES 16U
#define PAGE_BYTES   4096U

/* A text that grows in place and is cut where it is full. */
struct text {
	char *at;
	size_t room;
};

static void text_add(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	(void)vsnprintf(t->at, t->room, fmt, ap); /* may be cut */
	va_end(ap);
	n = strnlen(t->at, t->room);
	t->at += n;
	t->room -= n;
}

static void text_bytes(struct text *t, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_add(t, " %02x", p[i]);
}

static const char *suberror_name(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "an instruction that it cannot emulate";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "an exit while it delivered an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "an unexpected hardware exit";
	default:
		return "an unknown error";
	}
}

/* The bytes that KVM tried to emulate, where it gives them. */
static size_t report_insn(const struct kvm_run *run, uint8_t *buf)
{
	size_t n = run->emulation_failure.insn_size;

	if (run->exit_reason != KVM_EXIT_INTERNAL_ERROR ||
	    run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags &
	      KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return 0;
	n = MIN(n, sizeof(run->emulation_failure.insn_bytes));
	memcpy(buf, run->emulation_failure.insn_bytes, n);
	return n;
}

static void report_internal(struct text *t, const struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	uint32_t n = MIN(run->internal.ndata, 16U);

	text_add(t, "KVM gave up: %s (internal error %u)",
		 suberror_name(run->internal.suberror), run->internal.suberror);
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		for (uint32_t i = 0; i < n; i++)
			text_add(t, " 0x%llx", run->internal.data[i]);
		return;
	}
	if (v->kvm->kind == KVM_KIND_PVM)
		text_add(t, "; this host's KVM cannot run unmodified kernels "
			    "(see 'vireo doctor')");
	else if (v->kvm->kind == KVM_KIND_UNKNOWN)
		text_add(t, "; see 'vireo doctor' for what this host's KVM "
			    "can run");
}

static void report_exit(struct text *t, const struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	const char *name = exit_name(run->exit_reason);

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		report_internal(t, v);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		text_add(t,
			 "the processor refuses to enter the guest: hardware "
			 "reason 0x%llx",
			 run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_UNKNOWN:
		text_add(t, "unknown hardware exit 0x%llx",
			 run->hw.hardware_exit_reason);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		text_add(t, "unknown system event %u", run->system_event.type);
		break;
	default:
		text_add(t, "unexpected exit %u (%s)", run->exit_reason,
			 name ? name : "not known to vireo");
	}
}

static void report_regs(struct text *t, const struct kvm_regs *r)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"rax", r->rax}, {"rbx", r->rbx}, {"rcx", r->rcx},
		{"rdx", r->rdx}, {"rsi", r->rsi}, {"rdi", r->rdi},
		{"rsp", r->rsp}, {"rbp", r->rbp}, {"r8 ", r->r8},
		{"r9 ", r->r9},  {"r10", r->r10}, {"r11", r->r11},
		{"r12", r->r12}, {"r13", r->r13}, {"r14", r->r14},
		{"r15", r->r15},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		text_add(t, "%s%s %016" PRIx64, i % 4 ? " " : "\n  ",
			 rows[i].name, rows[i].value);
	text_add(t, "\n  rip %016llx rflags %08llx", r->rip, r->rflags);
}

static void report_sregs(struct text *t, const struct kvm_sregs *s)
{
	text_add(t,
		 "\n  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer "
		 "%04llx",
		 s->cr0, s->cr2, s->cr3, s->cr4, s->efer);
	text_add(t,
		 "\n  cs %04x base %llx limit %x dpl %u%s  ss %04x dpl %u  "
		 "tr %04x",
		 s->cs.selector, s->cs.base, s->cs.limit, s->cs.dpl,
		 s->cs.l    ? " 64-bit"
		 : s->cs.db ? " 32-bit"
			    : " 16-bit",
		 s->ss.selector, s->ss.dpl, s->tr.selector);
	text_add(t, "\n  gdt %llx+%x idt %llx+%x", s->gdt.base, s->gdt.limit,
		 s->idt.base, s->idt.limit);
}

/* Guest memory at a linear address, page by page; the number of bytes read. */
static size_t report_fetch(struct vcpu *v, uint64_t linear, uint8_t *buf,
			   size_t len)
{
	size_t n = 0;

	while (n < len) {
		struct kvm_translation tr = {.linear_address = linear + n};
		size_t part = PAGE_BYTES - (linear + n) % PAGE_BYTES;
		size_t got;

		part = MIN(part, len - n);
		if (vcpu_ioctl(v, KVM_TRANSLATE, &tr) || !tr.valid)
			break;
		got = kvm_peek(v->kvm, tr.physical_address, buf + n, part);
		n += got;
		if (got < part)
			break;
	}
	return n;
}

static void report_code(struct text *t, struct vcpu *v,
			const struct kvm_regs *r, const struct kvm_sregs *s)
{
	uint64_t linear = s->cs.l ? r->rip : s->cs.base + r->rip;
	uint8_t code[REPORT_BYTES];
	size_t n = report_insn(v->run, code);

	if (n) {
		text_add(t, "\n  instruction:");
		text_bytes(t, code, n);
	}
	n = report_fetch(v, linear, code, sizeof(code));
	text_add(t, "\n  bytes at rip:");
	text_bytes(t, code, n);
	if (!n)
		text_add(t, " not in memory");
}

static void report_state(struct text *t, struct vcpu *v, bool has_memory)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (vcpu_ioctl(v, KVM_GET_REGS, &regs) ||
	    vcpu_ioctl(v, KVM_GET_SREGS, &sregs)) {
		text_add(t, "\n  registers cannot be read");
		return;
	}
	report_regs(t, &regs);
	report_sregs(t, &sregs);
	if (has_memory)
		report_code(t, v, &regs, &sregs);
}

void vcpu_make_report(struct vcpu *v, int error)
{
	struct text t = {v->report, sizeof(v->report)};

	text_add(&t, "vCPU %u stopped: ", v->index);
	if (error == EFAULT)
		text_add(&t, "a page of guest memory cannot be had from the "
			     "host (file too short, huge pages used up, or "
			     "hardware memory error)");
	else if (error)
		text_add(&t, "KVM_RUN failed: %s", strerror(error));
	else
		report_exit(&t, v);
	/* Where memory is broken, reading it here would be a SIGBUS. */
	report_state(&t, v, error != EFAULT);
}
