/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decodes a KVM exit and hands it to the machine's callbacks.
 *
 * Theory of operation. All that an exit needs is in the mapped struct kvm_run:
 * no ioctl is made here. An access that reads is answered by the next KVM_RUN,
 * which also completes it before it looks at immediate_exit. What is not
 * listed here is not guessed at: it is reported with the guest's registers and
 * stops the machine.
 *
 * Spec: Linux Documentation/virt/kvm/api.rst, section 5.
 * Threads: the vCPU's.
 */
#include "kvm/exit.h"

#include <linux/kvm.h>
#include <stdatomic.h>
#include <string.h>

#include "base/compiler.h"

/* After Linux 6.1's headers. */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

#define EXIT_NAME(e) [e] = #e

static const char *const exit_names[] = {
	EXIT_NAME(KVM_EXIT_UNKNOWN),
	EXIT_NAME(KVM_EXIT_EXCEPTION),
	EXIT_NAME(KVM_EXIT_IO),
	EXIT_NAME(KVM_EXIT_HYPERCALL),
	EXIT_NAME(KVM_EXIT_DEBUG),
	EXIT_NAME(KVM_EXIT_HLT),
	EXIT_NAME(KVM_EXIT_MMIO),
	EXIT_NAME(KVM_EXIT_IRQ_WINDOW_OPEN),
	EXIT_NAME(KVM_EXIT_SHUTDOWN),
	EXIT_NAME(KVM_EXIT_FAIL_ENTRY),
	EXIT_NAME(KVM_EXIT_INTR),
	EXIT_NAME(KVM_EXIT_SET_TPR),
	EXIT_NAME(KVM_EXIT_TPR_ACCESS),
	EXIT_NAME(KVM_EXIT_NMI),
	EXIT_NAME(KVM_EXIT_INTERNAL_ERROR),
	EXIT_NAME(KVM_EXIT_WATCHDOG),
	EXIT_NAME(KVM_EXIT_SYSTEM_EVENT),
	EXIT_NAME(KVM_EXIT_IOAPIC_EOI),
	EXIT_NAME(KVM_EXIT_HYPERV),
	EXIT_NAME(KVM_EXIT_X86_RDMSR),
	EXIT_NAME(KVM_EXIT_X86_WRMSR),
	EXIT_NAME(KVM_EXIT_DIRTY_RING_FULL),
	EXIT_NAME(KVM_EXIT_AP_RESET_HOLD),
	EXIT_NAME(KVM_EXIT_X86_BUS_LOCK),
	EXIT_NAME(KVM_EXIT_XEN),
	EXIT_NAME(KVM_EXIT_NOTIFY),
	EXIT_NAME(KVM_EXIT_MEMORY_FAULT),
};

const char *exit_name(unsigned reason)
{
	return reason < ARRAY_SIZE(exit_names) ? exit_names[reason] : NULL;
}

static uint64_t exit_load(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size); /* x86 is little-endian at both ends */
	return v;
}

/* One access of 1, 2, 4 or 8 bytes, whose data is at p. */
static void exit_access(const struct exit_ctx *x, bool is_port, bool is_write,
			uint64_t addr, uint8_t *p, unsigned size)
{
	const struct vcpu_ops *ops = x->ops;
	uint64_t v;

	if (is_write) {
		ops->write(ops->opaque, x->index, is_port, addr, size,
			   exit_load(p, size));
		return;
	}
	v = ops->read(ops->opaque, x->index, is_port, addr, size);
	memcpy(p, &v, size);
}

/* count > 1: the REP string forms, each element to the same port. */
static void exit_pio(const struct exit_ctx *x)
{
	struct kvm_run *run = x->run;
	uint8_t *p = (uint8_t *)run + run->io.data_offset;
	bool is_write = run->io.direction == KVM_EXIT_IO_OUT;

	for (uint32_t i = 0; i < run->io.count; i++) {
		exit_access(x, true, is_write, run->io.port, p, run->io.size);
		p += run->io.size;
	}
}

/*
 * KVM cuts an access at a page border, so any length from 1 to 8 can come:
 * the odd ones go on as the powers of two that they are made of.
 */
static void exit_mmio(const struct exit_ctx *x)
{
	struct kvm_run *run = x->run;
	unsigned len = run->mmio.len, off = 0, size = 8;

	while (off < len) {
		while (size > len - off)
			size /= 2;
		exit_access(x, false, run->mmio.is_write,
			    run->mmio.phys_addr + off, run->mmio.data + off,
			    size);
		off += size;
	}
}

static enum exit_next exit_system_event(const struct exit_ctx *x,
					enum vcpu_event *ev)
{
	switch (x->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		*ev = VCPU_POWEROFF;
		return EXIT_EVENT;
	case KVM_SYSTEM_EVENT_RESET:
		*ev = VCPU_RESET;
		return EXIT_EVENT;
	case KVM_SYSTEM_EVENT_CRASH:
		*ev = VCPU_CRASH;
		return EXIT_EVENT;
	default:
		return EXIT_REPORT;
	}
}

/* The exits that are rare, or end the guest. */
static enum exit_next exit_handle_other(const struct exit_ctx *x,
					enum vcpu_event *ev)
{
	switch (x->run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		*ev = VCPU_SHUTDOWN;
		return EXIT_EVENT;
	case KVM_EXIT_SYSTEM_EVENT:
		return exit_system_event(x, ev);
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR: /* CR8 is kept by KVM; no LAPIC to tell */
		return EXIT_RESUME;
	default:
		return EXIT_REPORT;
	}
}

enum exit_next exit_handle(const struct exit_ctx *x, enum vcpu_event *ev)
{
	exit_count(x->counts->exits);
	switch (x->run->exit_reason) {
	case KVM_EXIT_IO:
		exit_count(x->counts->pio);
		exit_pio(x);
		return EXIT_RESUME;
	case KVM_EXIT_MMIO:
		exit_count(x->counts->mmio);
		exit_mmio(x);
		return EXIT_RESUME;
	case KVM_EXIT_IOAPIC_EOI:
		exit_count(x->counts->eoi);
		if (x->ops->eoi)
			x->ops->eoi(x->ops->opaque, x->run->eoi.vector);
		return EXIT_RESUME;
	case KVM_EXIT_HLT:
		exit_count(x->counts->hlt);
		return EXIT_HALT;
	default:
		exit_count(x->counts->other);
		return exit_handle_other(x, ev);
	}
}
