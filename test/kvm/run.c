/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life and death of a vCPU: faults are reported, pauses and resets lose
 * nothing, whatever the guest is doing. See test/guest/fault.c and smp.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvm/internal.h"
#include "test/lib/payload.h"
#include "test/lib/test.h"

enum act {
	TRIPLE_FAULT,
	WIDE_EXCHANGE,
	RUN_DEVICE,
	HALT,
	LAST_WORDS,
	SPIN,
	SPIN_ON_PORT,
};

static struct payload *new_payload(enum act act, bool ring0,
				   enum kvm_irqchip_mode irqchip)
{
	const struct payload_config c = {
		.name = "fault",
		.arg = act,
		.ring0 = ring0,
		.irqchip = irqchip,
	};

	return payload_new(&c);
}

static void run(struct payload *p, struct payload_end *end)
{
	payload_load(p);
	payload_start(p);
	payload_wait(p, end);
}

static void triple_fault(void **state)
{
	struct payload *p =
		new_payload(TRIPLE_FAULT, false, KVM_IRQCHIP_SPLIT_MODE);
	struct payload_end end;

	(void)state;
	run(p, &end);
	assert_true(end.has_event);
	assert_int_equal(end.event, VCPU_SHUTDOWN);
	payload_free(p);
}

/* Ring 0: in ring 3 KVM would give the guest a #UD for it. */
static void emulation_failure(void **state)
{
	struct payload *p =
		new_payload(WIDE_EXCHANGE, true, KVM_IRQCHIP_SPLIT_MODE);
	struct payload_end end;

	(void)state;
	run(p, &end);
	assert_true(end.has_event);
	assert_int_equal(end.event, VCPU_FAILED);
	assert_non_null(strstr(end.report, "internal error 1"));
	assert_non_null(strstr(end.report, "bytes at rip: f0 48 0f c7"));
	assert_non_null(strstr(end.report, "64-bit"));
	assert_non_null(strstr(end.report, "cr3 0000000000001000"));
	if (kvm_host_kind(NULL) == KVM_KIND_PVM)
		assert_non_null(strstr(end.report, "unmodified kernels"));
	payload_free(p);
}

static void fetch_from_device(void **state)
{
	struct payload *p =
		new_payload(RUN_DEVICE, true, KVM_IRQCHIP_SPLIT_MODE);
	struct payload_end end;

	(void)state;
	run(p, &end);
	assert_true(end.has_event);
	assert_int_equal(end.event, VCPU_FAILED);
	assert_non_null(strstr(end.report, "rip 00000000d0000000"));
	assert_non_null(strstr(end.report, "not in memory"));
	payload_free(p);
}

/* A code segment that is 64-bit and 32-bit at once cannot be entered. */
static void invalid_state(void **state)
{
	struct payload *p;
	struct kvm_sregs s;
	struct payload_end end;

	(void)state;
	if (kvm_host_kind(NULL) == KVM_KIND_PVM)
		test_skip("this KVM has no hardware to check the state");
	p = new_payload(SPIN, false, KVM_IRQCHIP_NONE);
	payload_load(p);
	assert_int_equal(vcpu_ioctl(p->cpus[0], KVM_GET_SREGS, &s), 0);
	s.cs.db = 1;
	assert_int_equal(vcpu_ioctl(p->cpus[0], KVM_SET_SREGS, &s), 0);
	payload_start(p);
	payload_wait(p, &end);
	assert_true(end.has_event);
	assert_int_equal(end.event, VCPU_FAILED);
	assert_non_null(strstr(end.report, "refuses to enter"));
	payload_free(p);
}

static void refused_registers(void **state)
{
	struct payload *p = new_payload(SPIN, false, KVM_IRQCHIP_NONE);
	struct vcpu_boot b = {.cr0 = 0x80000000}; /* paging, no protection */
	struct err e = {0};

	(void)state;
	assert_int_equal(vcpu_set_boot(p->cpus[0], &b, &e), -EINVAL);
	assert_non_null(strstr(e.text, "entry state of vCPU 0"));
	payload_free(p);
}

/* Nothing can wake it: it must neither spin nor resist being ended. */
static void halt_without_irqchip(void **state)
{
	struct payload *p = new_payload(HALT, true, KVM_IRQCHIP_NONE);
	struct timespec before, after;
	struct vcpu_stats st;

	(void)state;
	payload_load(p);
	payload_start(p);
	do {
		usleep(1000);
		vcpu_stats(p->cpus[0], &st);
	} while (!st.hlt);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	usleep(200000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000000000L +
			    after.tv_nsec - before.tv_nsec <
		    100000000L);
	vcpu_kick(p->cpus[0]);
	vcpu_pause(p->cpus[0]);
	vcpu_wait_paused(p->cpus[0]);
	vcpu_resume(p->cpus[0]);
	usleep(20000);
	vcpu_stats(p->cpus[0], &st);
	assert_int_equal(st.hlt, 1);
	payload_free(p);
}

static void pause_in_callback(void **state)
{
	struct payload *p =
		new_payload(LAST_WORDS, false, KVM_IRQCHIP_SPLIT_MODE);
	struct payload_end end;

	(void)state;
	run(p, &end);
	assert_true(end.has_code);
	assert_int_equal(atomic_load(payload_mailbox(p, 1)), 0);
	vcpu_resume(p->cpus[0]);
	while (!atomic_load(payload_mailbox(p, 1)))
		usleep(1000);
	payload_free(p);
}

static void wait_progress(struct payload *p)
{
	uint64_t old = atomic_load(payload_mailbox(p, 1));

	for (int i = 0; i < 60000; i++) {
		if (atomic_load(payload_mailbox(p, 1)) != old)
			return;
		usleep(i < 10 ? 10 : 1000);
	}
	fail_msg("the guest does not go on");
}

static uint64_t mirror_read(void *opaque, bool is_port, uint64_t addr,
			    unsigned size)
{
	uint32_t *last = opaque;

	(void)size;
	assert_true(is_port && addr == 0x704);
	return ~*last;
}

static void mirror_write(void *opaque, bool is_port, uint64_t addr,
			 unsigned size, uint64_t value)
{
	uint32_t *last = opaque;

	(void)size;
	assert_true(is_port && addr == 0x700);
	*last = (uint32_t)value;
}

static void pause_and_resume_often(enum act act)
{
	uint32_t last = 0;
	const struct payload_config c = {
		.name = "fault",
		.arg = act,
		.read = mirror_read,
		.write = mirror_write,
		.opaque = &last,
	};
	struct payload *p = payload_new(&c);
	struct kvm_regs a, b;

	payload_load(p);
	payload_start(p);
	for (int i = 0; i < 200; i++) {
		wait_progress(p);
		vcpu_pause(p->cpus[0]);
		vcpu_wait_paused(p->cpus[0]);
		assert_false(p->end.has_code);
		vcpu_ioctl(p->cpus[0], KVM_GET_REGS, &a);
		usleep(i % 8 ? 0 : 2000);
		vcpu_ioctl(p->cpus[0], KVM_GET_REGS, &b);
		assert_memory_equal(&a, &b, sizeof(a));
		vcpu_resume(p->cpus[0]);
	}
	payload_free(p); /* while it runs */
}

static void pauses_a_busy_guest(void **state)
{
	(void)state;
	pause_and_resume_often(SPIN);
}

static void pauses_a_guest_in_exits(void **state)
{
	(void)state;
	pause_and_resume_often(SPIN_ON_PORT);
}

struct kicker {
	struct vcpu *v;
	_Atomic bool stop;
};

static void *kick_often(void *arg)
{
	struct kicker *k = arg;

	while (!k->stop) {
		vcpu_kick(k->v);
		usleep(1000); /* without it, the guest would not get far */
	}
	return NULL;
}

/* Kicks from elsewhere neither stop the guest nor lose a pause. */
static void kicks_do_not_disturb(void **state)
{
	struct payload *p = new_payload(SPIN, false, KVM_IRQCHIP_SPLIT_MODE);
	struct kicker k = {.v = p->cpus[0]};
	pthread_t thread;

	(void)state;
	payload_load(p);
	payload_start(p);
	assert_int_equal(pthread_create(&thread, NULL, kick_often, &k), 0);
	for (int i = 0; i < 50; i++) {
		wait_progress(p);
		vcpu_pause(p->cpus[0]);
		vcpu_wait_paused(p->cpus[0]);
		vcpu_resume(p->cpus[0]);
	}
	k.stop = true;
	pthread_join(thread, NULL);
	wait_progress(p);
	payload_free(p);
}

static void busy_while_running(void **state)
{
	struct payload *p = new_payload(SPIN, false, KVM_IRQCHIP_SPLIT_MODE);
	struct err e = {0};

	(void)state;
	payload_load(p);
	payload_start(p);
	assert_int_equal(vcpu_reset(p->cpus[0], &e), -EBUSY);
	assert_int_equal(vcpu_start(p->cpus[0], &e), -EBUSY);
	vcpu_stop(p->cpus[0]);
	assert_int_equal(vcpu_reset(p->cpus[0], &e), 0);
	payload_free(p);
}

/* Started and not resumed: at once it may be reset. */
static void waits_once_it_has_started(void **state)
{
	struct payload *p = new_payload(SPIN, false, KVM_IRQCHIP_NONE);
	struct err e = {0};

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(vcpu_start(p->cpus[0], &e), 0);
		if (vcpu_reset(p->cpus[0], &e))
			fail_msg("%s", e.text);
		vcpu_stop(p->cpus[0]);
	}
	payload_free(p);
}

/* Hosts differ in the accessed and busy bits of the segments' types. */
static void forget_types(struct kvm_sregs *s)
{
	s->cs.type = s->ss.type = s->ds.type = s->es.type = 0;
	s->fs.type = s->gs.type = s->tr.type = s->ldt.type = 0;
}

/* Every register that a guest can see is as at power-on. */
static void reset_is_power_on(void **state)
{
	struct payload *p =
		new_payload(LAST_WORDS, false, KVM_IRQCHIP_SPLIT_MODE);
	struct kvm_sregs s0, s1;
	struct kvm_regs r0, r1;
	struct kvm_lapic_state l0, l1;
	struct payload_end end;
	struct err e = {0};
	struct vcpu *v = p->cpus[0];

	(void)state;
	assert_int_equal(vcpu_ioctl(v, KVM_GET_SREGS, &s0), 0);
	assert_int_equal(vcpu_ioctl(v, KVM_GET_REGS, &r0), 0);
	assert_int_equal(vcpu_ioctl(v, KVM_GET_LAPIC, &l0), 0);
	run(p, &end);
	if (vcpu_reset(v, &e))
		fail_msg("%s", e.text);
	assert_int_equal(vcpu_ioctl(v, KVM_GET_SREGS, &s1), 0);
	assert_int_equal(vcpu_ioctl(v, KVM_GET_REGS, &r1), 0);
	assert_int_equal(vcpu_ioctl(v, KVM_GET_LAPIC, &l1), 0);
	forget_types(&s0);
	forget_types(&s1);
	assert_memory_equal(&s0, &s1, sizeof(s0));
	assert_memory_equal(&r0, &r1, sizeof(r0));
	assert_memory_equal(&l0, &l1, sizeof(l0));
	atomic_store(payload_mailbox(p, 1), 0);
	run(p, &end);
	assert_true(end.has_code);
	payload_free(p);
}

/* INIT and SIPI wake the others; a reset puts them to sleep again. */
static void starts_processors_again_and_again(void **state)
{
	const struct payload_config c = {.name = "smp", .cpus = 3, .arg = 2};
	struct payload *p = payload_new(&c);
	struct err e = {0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		payload_pass(p);
		for (unsigned n = 0; n < 3; n++) {
			if (vcpu_reset(p->cpus[n], &e))
				fail_msg("%s", e.text);
		}
	}
	payload_free(p);
}

static int refuse_start(void *opaque, unsigned index, struct err *e)
{
	(void)opaque;
	return err_set(e, -EPERM, "no thread for %u", index);
}

static void thread_start_can_refuse(void **state)
{
	const struct kvm_config c = {.irqchip = KVM_IRQCHIP_NONE};
	const struct vcpu_ops ops = {.thread_start = refuse_start};
	struct kvm *k = NULL;
	struct vcpu *v = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(kvm_new(&c, &k, &e), 0);
	assert_int_equal(kvm_start_irqchip(k, &e), 0);
	assert_int_equal(vcpu_new(k, NULL, 0, &ops, &v, &e), 0);
	assert_int_equal(vcpu_start(v, &e), -EPERM);
	assert_string_equal(e.text, "vCPU 0: no thread for 0");
	vcpu_free(v);
	kvm_free(k);
}

static void refuses_bad_memory(void **state)
{
	struct payload *p = new_payload(SPIN, false, KVM_IRQCHIP_NONE);
	struct err e = {0};

	(void)state;
	assert_int_equal(
		kvm_add_memory(p->kvm, 0x1000, 0x1000, p->ram, false, &e),
		-EEXIST);
	assert_int_equal(
		kvm_add_memory(p->kvm, 0x80000000, 0x123, p->ram, false, &e),
		-EINVAL);
	assert_int_equal(
		kvm_add_memory(p->kvm, ~0xfffULL, 0x1000, p->ram, false, &e),
		-EINVAL);
	assert_int_equal(kvm_add_memory(p->kvm, KVM_HOLE_BASE, 0x1000, p->ram,
					false, &e),
			 -EEXIST);
	assert_int_equal(kvm_del_memory(p->kvm, 0x1000, &e), -ENOENT);
	assert_int_equal(
		kvm_add_memory(p->kvm, 0x80000000, 0x1000, p->ram, true, &e),
		0);
	assert_int_equal(kvm_del_memory(p->kvm, 0x80000000, &e), 0);
	payload_free(p);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(triple_fault),
	cmocka_unit_test(emulation_failure),
	cmocka_unit_test(fetch_from_device),
	cmocka_unit_test(invalid_state),
	cmocka_unit_test(refused_registers),
	cmocka_unit_test(halt_without_irqchip),
	cmocka_unit_test(pause_in_callback),
	cmocka_unit_test(pauses_a_busy_guest),
	cmocka_unit_test(pauses_a_guest_in_exits),
	cmocka_unit_test(kicks_do_not_disturb),
	cmocka_unit_test(busy_while_running),
	cmocka_unit_test(waits_once_it_has_started),
	cmocka_unit_test(reset_is_power_on),
	cmocka_unit_test(starts_processors_again_and_again),
	cmocka_unit_test(thread_start_can_refuse),
	cmocka_unit_test(refuses_bad_memory),
};

TEST_MAIN_KVM(tests)
