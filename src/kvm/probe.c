/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs single kernel instructions in a tiny virtual machine.
 *
 * Theory of operation. A probe is a few instructions of 64-bit ring-0 code,
 * here in this program's read-only data, that end by writing to a port. The
 * vCPU is reset and entered anew for each. If the port is written, the
 * instruction works; a triple fault means the processor refused it; a failure
 * report, that KVM did; neither within a second of processor time, that it
 * hangs; and neither where the host gave no such second, nothing. Hosts that
 * interpret ring 0 give themselves away by their speed.
 *
 * Threads: main; results come from the vCPU's thread under the lock.
 * Syscalls: set-up: mmap, munmap, futex
 */
#include "kvm/probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"

#define PROBE_PORT    0xf4
#define PROBE_RAM     0x20000ULL
#define PROBE_CPU_NS  (1 * NS_PER_S) /* of processor: enough for any probe */
#define PROBE_TIME_NS (8 * NS_PER_S) /* of the clock */
#define PROBE_LOOK_NS (100 * NS_PER_MS)

/* Guest-physical layout; everything is mapped one to one. */
enum {
	PROBE_PML4 = 0x1000,
	PROBE_PDPT = 0x2000,
	PROBE_PD = 0x3000,
	PROBE_GDT = 0x4000,
	PROBE_IDT = 0x5000,
	PROBE_HANDLER = 0x6000,
	PROBE_CODE = 0x7000,
	PROBE_DATA = 0x8000, /* zero, for the probe's use */
	PROBE_STACK = 0xfff0,
};

#define PROBE_LOOPS 200000

#define PROBE(name, insns)                                                     \
	extern const uint8_t probe_##name[], probe_##name##_end[];             \
	__asm__(".pushsection .rodata\n"                                       \
		".globl probe_" #name ", probe_" #name "_end\n"                \
		".hidden probe_" #name ", probe_" #name "_end\n"               \
		"probe_" #name ":\n" insns "\n"                                \
		"	mov $1, %eax\n"                                              \
		"	out %eax, $0xf4\n"                                           \
		"1:	jmp 1b\n"                                                  \
		"probe_" #name "_end:\n"                                       \
		".popsection\n")

/* 0x8000 is PROBE_DATA, 0x5000 PROBE_IDT, 200000 PROBE_LOOPS. */
PROBE(nothing, "nop");
PROBE(cmpxchg16b, "	mov $0x8000, %edi\n"
		  "	xor %eax, %eax\n"
		  "	xor %edx, %edx\n"
		  "	lock cmpxchg16b (%rdi)");
PROBE(xgetbv, "	mov %cr4, %rax\n"
	      "	or $0x40000, %eax\n" /* OSXSAVE */
	      "	mov %rax, %cr4\n"
	      "	xor %ecx, %ecx\n"
	      "	xgetbv");
PROBE(xsave, "	mov %cr4, %rax\n"
	     "	or $0x40000, %eax\n"
	     "	mov %rax, %cr4\n"
	     "	mov $0x8000, %edi\n"
	     "	mov $3, %eax\n"
	     "	xor %edx, %edx\n"
	     "	xsave (%rdi)\n"
	     "	xrstor (%rdi)");
PROBE(sse, "	mov $0x8000, %edi\n"
	   "	movups (%rdi), %xmm0\n"
	   "	paddd %xmm0, %xmm0\n"
	   "	sqrtpd %xmm0, %xmm1\n"
	   "	movntdq %xmm1, (%rdi)");
PROBE(ldmxcsr, "	mov $0x8000, %edi\n"
	       "	movl $0x1f80, (%rdi)\n"
	       "	ldmxcsr (%rdi)");
PROBE(popcnt, "	popcnt %rax, %rax");
PROBE(rdtscp, "	rdtscp");
PROBE(int3, "	mov $0x8000, %edi\n"
	    "	movw $0xfff, (%rdi)\n"
	    "	movq $0x5000, 2(%rdi)\n"
	    "	lidt (%rdi)\n"
	    "	int3");
PROBE(msr, "	mov $0xc0000102, %ecx\n" /* KERNEL_GS_BASE */
	   "	rdmsr\n"
	   "	wrmsr\n"
	   "	swapgs");
PROBE(cr3, "	mov %cr3, %rax\n"
	   "	mov %rax, %cr3\n"
	   "	mov $0x8000, %edi\n"
	   "	invlpg (%rdi)");
PROBE(loop, "	mov $200000, %ecx\n"
	    "2:	dec %ecx\n"
	    "	jnz 2b");

#define PROBE_ROW(label, id)                                                   \
	{                                                                      \
		label, probe_##id, probe_##id##_end                            \
	}

const struct kvm_probe kvm_probes[] = {
	PROBE_ROW("nop", nothing),   PROBE_ROW("cmpxchg16b", cmpxchg16b),
	PROBE_ROW("xgetbv", xgetbv), PROBE_ROW("xsave", xsave),
	PROBE_ROW("SSE", sse),       PROBE_ROW("ldmxcsr", ldmxcsr),
	PROBE_ROW("popcnt", popcnt), PROBE_ROW("rdtscp", rdtscp),
	PROBE_ROW("int3", int3),     PROBE_ROW("rdmsr", msr),
	PROBE_ROW("mov cr3", cr3),   {NULL, NULL, NULL},
};

_Static_assert(ARRAY_SIZE(kvm_probes) <= KVM_PROBES_MAX, "results[] fits");

static const struct kvm_probe probe_speed = PROBE_ROW("loop", loop);

struct prober {
	struct kvm *kvm;
	struct cpu_model *model;
	struct vcpu *vcpu;
	uint8_t *ram;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t done;
	enum kvm_probe_result result;
	bool is_done;
	char report[KVM_PROBE_TEXT]; /* the first of a vCPU that failed */
};

static void probe_finish(struct prober *p, enum kvm_probe_result result)
{
	pthread_mutex_lock(&p->lock);
	p->result = result;
	p->is_done = true;
	pthread_cond_signal(&p->done);
	pthread_mutex_unlock(&p->lock);
}

static uint64_t probe_read(void *opaque, unsigned index, bool is_port,
			   uint64_t addr, unsigned size)
{
	(void)opaque;
	(void)index;
	(void)is_port;
	(void)addr;
	(void)size;
	return ~0ULL;
}

static void probe_write(void *opaque, unsigned index, bool is_port,
			uint64_t addr, unsigned size, uint64_t value)
{
	struct prober *p = opaque;

	(void)index;
	(void)size;
	(void)value;
	vcpu_pause(p->vcpu);
	probe_finish(p, is_port && addr == PROBE_PORT ? KVM_PROBE_OK
						      : KVM_PROBE_FAULTS);
}

static void probe_event(void *opaque, unsigned index, enum vcpu_event ev,
			const char *text)
{
	struct prober *p = opaque;

	(void)index;
	if (ev == VCPU_FAILED) {
		pthread_mutex_lock(&p->lock);
		if (!*p->report)
			(void)snprintf(p->report, sizeof(p->report), "%s",
				       text); /* may be cut */
		pthread_mutex_unlock(&p->lock);
	}
	probe_finish(p,
		     ev == VCPU_SHUTDOWN ? KVM_PROBE_FAULTS : KVM_PROBE_FAILS);
}

static void probe_tables(uint8_t *ram)
{
	static const uint64_t gdt[] = {0, 0x00af9b000000ffff,
				       0x00cf93000000ffff};
	uint8_t *gate = ram + PROBE_IDT + 3 * 16; /* int3 */

	store_le64(ram + PROBE_PML4, PROBE_PDPT | 3);
	store_le64(ram + PROBE_PDPT, PROBE_PD | 3);
	store_le64(ram + PROBE_PD, 0x83); /* 2 MiB at 0 */
	memcpy(ram + PROBE_GDT, gdt, sizeof(gdt));
	store_le16(gate, PROBE_HANDLER);
	store_le16(gate + 2, 0x8);
	store_le16(gate + 4, 0x8e00);
	memcpy(ram + PROBE_HANDLER, "\x48\xcf", 2); /* iretq */
}

static int probe_enter(struct prober *p, const struct kvm_probe *probe,
		       struct err *e)
{
	const struct vcpu_boot b = {
		.rip = PROBE_CODE,
		.rsp = PROBE_STACK,
		.cr0 = 0x80010033, /* PG, WP, NE, ET, MP, PE */
		.cr3 = PROBE_PML4,
		.cr4 = 0x620,  /* PAE, OSFXSR, OSXMMEXCPT */
		.efer = 0x500, /* LME, LMA */
		.gdt = PROBE_GDT,
		.gdt_limit = 3 * 8 - 1,
		.cs = 0x8,
		.ds = 0x10,
		.long_mode = true,
	};
	int r = vcpu_reset(p->vcpu, e);

	memset(p->ram, 0, PROBE_RAM);
	probe_tables(p->ram);
	memcpy(p->ram + PROBE_CODE, probe->code,
	       (size_t)(probe->end - probe->code));
	p->is_done = false;
	return r ? r : vcpu_set_boot(p->vcpu, &b, e);
}

static uint64_t probe_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* A while, or until the probe ends; under p->lock. */
static void probe_wait_a_while(struct prober *p)
{
	uint64_t end = probe_now(CLOCK_MONOTONIC) + PROBE_LOOK_NS;
	const struct timespec deadline = {
		.tv_sec = (time_t)(end / NS_PER_S),
		.tv_nsec = (long)(end % NS_PER_S),
	};

	(void)pthread_cond_timedwait(&p->done, &p->lock, &deadline);
}

static enum kvm_probe_result probe_wait(struct prober *p)
{
	uint64_t cpu = probe_now(CLOCK_PROCESS_CPUTIME_ID) + PROBE_CPU_NS;
	uint64_t end = probe_now(CLOCK_MONOTONIC) + PROBE_TIME_NS;
	enum kvm_probe_result result = KVM_PROBE_OK;

	pthread_mutex_lock(&p->lock);
	while (!p->is_done && result == KVM_PROBE_OK) {
		probe_wait_a_while(p);
		if (probe_now(CLOCK_PROCESS_CPUTIME_ID) >= cpu)
			result = KVM_PROBE_HANGS;
		else if (probe_now(CLOCK_MONOTONIC) >= end)
			result = KVM_PROBE_SLOW;
	}
	if (p->is_done)
		result = p->result;
	pthread_mutex_unlock(&p->lock);
	vcpu_pause(p->vcpu);
	vcpu_wait_paused(p->vcpu);
	return result;
}

static int probe_one(struct prober *p, const struct kvm_probe *probe,
		     enum kvm_probe_result *ret, struct err *e)
{
	int r = probe_enter(p, probe, e);

	if (r)
		return r;
	vcpu_resume(p->vcpu);
	*ret = probe_wait(p);
	return 0;
}

static int probe_all(struct prober *p, struct kvm_probe_report *ret,
		     struct err *e)
{
	enum kvm_probe_result result = KVM_PROBE_OK;
	uint64_t begin;
	int r = 0;

	for (unsigned i = 0; !r && kvm_probes[i].name; i++) {
		r = probe_one(p, &kvm_probes[i], &result, e);
		ret->results[i] = result;
		ret->failures += result != KVM_PROBE_OK;
		if (result == KVM_PROBE_HANGS || result == KVM_PROBE_SLOW)
			break;
	}
	ret->is_slow = result == KVM_PROBE_SLOW;
	if (r || ret->failures)
		return r;
	begin = probe_now(CLOCK_MONOTONIC);
	r = probe_one(p, &probe_speed, &result, e);
	if (!r && result == KVM_PROBE_OK)
		ret->instructions_per_s =
			2 * PROBE_LOOPS * NS_PER_S /
			(probe_now(CLOCK_MONOTONIC) - begin + 1);
	return r;
}

static int probe_init(struct prober *p, const struct vcpu_ops *ops,
		      struct err *e)
{
	const struct kvm_config kc = {.irqchip = KVM_IRQCHIP_NONE};
	const struct cpu_config cc = {
		.cpus = 1, .sockets = 1, .dies = 1, .cores = 1, .threads = 1};
	int r = kvm_new(&kc, &p->kvm, e);

	if (!r)
		r = kvm_add_memory(p->kvm, 0, PROBE_RAM, p->ram, false, e);
	if (!r)
		r = kvm_start_irqchip(p->kvm, e);
	if (!r)
		r = cpu_model_new(p->kvm, &cc, &p->model, e);
	if (!r)
		r = vcpu_new(p->kvm, p->model, 0, ops, &p->vcpu, e);
	if (!r)
		r = vcpu_start(p->vcpu, e);
	return r;
}

static void probe_init_sync(struct prober *p)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->done, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&p->lock, NULL);
}

static void probe_fini(struct prober *p)
{
	vcpu_free(p->vcpu);
	cpu_model_free(p->model);
	kvm_free(p->kvm);
	munmap(p->ram, PROBE_RAM);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
}

int kvm_probe_run(struct kvm_probe_report *ret, struct err *e)
{
	struct prober p = {.ram = NULL};
	const struct vcpu_ops ops = {
		.read = probe_read,
		.write = probe_write,
		.event = probe_event,
		.opaque = &p,
	};
	int r;

	*ret = (struct kvm_probe_report){.failures = 0};
	p.ram = mmap(NULL, PROBE_RAM, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p.ram == MAP_FAILED)
		return err_set_errno(e, -errno, "no memory for the test VM");
	probe_init_sync(&p);
	r = probe_init(&p, &ops, e);
	if (!r)
		r = probe_all(&p, ret, e);
	probe_fini(&p);
	memcpy(ret->report, p.report, sizeof(ret->report));
	return r;
}
