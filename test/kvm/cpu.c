/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU model arrives in the guest: see test/guest/cpuid.c.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "test/lib/payload.h"
#include "test/lib/test.h"

struct leaf {
	uint32_t a, b, c, d;
};

static struct leaf ask(const char *cpu, unsigned cpus, uint32_t fn,
		       uint32_t index)
{
	const struct payload_config c = {
		.name = "cpuid", .cpu = cpu, .cpus = cpus, .arg = 1};
	struct payload *p = payload_new(&c);
	uint64_t lo, hi;

	atomic_store(payload_mailbox(p, 0), fn);
	atomic_store(payload_mailbox(p, 1), index);
	payload_pass(p);
	lo = atomic_load(payload_mailbox(p, 0));
	hi = atomic_load(payload_mailbox(p, 1));
	payload_free(p);
	return (struct leaf){(uint32_t)lo, (uint32_t)(lo >> 32), (uint32_t)hi,
			     (uint32_t)(hi >> 32)};
}

/* In ring 3 of a page-table host the guest sees the host's CPUID. */
static void need_trapped_cpuid(void)
{
	if (kvm_host_kind(NULL) == KVM_KIND_PVM)
		test_skip("this KVM shows ring 3 the host's CPUID");
}

static void host_model(void **state)
{
	struct leaf one, kvm;

	(void)state;
	need_trapped_cpuid();
	one = ask("host", 1, 1, 0);
	assert_int_equal(one.c >> 31, 1);
	assert_int_equal(one.c >> 24 & 1, 1); /* TSC deadline */
	assert_int_equal(one.c >> 21 & 1, 1); /* x2APIC */
	kvm = ask("host", 1, 0x40000000, 0);
	assert_memory_equal(&kvm.b, "KVMK", 4);
	assert_true(kvm.a >= 0x40000001);
	assert_int_equal(ask("host", 1, 0x40000001, 0).a & 9, 9);
}

static void clocks_are_told(void **state)
{
	struct leaf timing;

	(void)state;
	need_trapped_cpuid();
	timing = ask("host", 1, 0x40000010, 0);
	assert_true(timing.a > 100000); /* kHz */
	assert_int_equal(timing.b, 1000000);
}

static void named_model(void **state)
{
	struct leaf one;

	(void)state;
	need_trapped_cpuid();
	one = ask("qemu64,-cx16", 1, 1, 0);
	assert_int_equal(one.a, 0x00060fb1);
	assert_int_equal(one.c >> 13 & 1, 0);
	assert_int_equal(one.c >> 26 & 1, 0);
	assert_int_equal(one.d & 1, 1);
	assert_int_equal(ask("qemu64", 1, 0x80000001, 0).d >> 29 & 1, 1);
}

static void topology(void **state)
{
	struct leaf cores;

	(void)state;
	need_trapped_cpuid();
	cores = ask("host", 3, 0xb, 1);
	assert_int_equal(cores.a, 2);
	assert_int_equal(cores.b, 3);
	assert_int_equal(cores.d, 0);
	assert_int_equal(ask("host", 3, 1, 0).b >> 16, 3);
}

static int try_model(const char *cpu, struct cpu_config *c, struct err *e)
{
	const struct kvm_config kc = {.gsis = 24};
	struct cpu_model *m = NULL;
	struct kvm *k = NULL;
	int r = kvm_new(&kc, &k, e);

	c->cpu = cpu;
	if (!r)
		r = kvm_start_irqchip(k, e);
	if (!r)
		r = cpu_model_new(k, c, &m, e);
	cpu_model_free(m);
	kvm_free(k);
	return r;
}

static void limits(void **state)
{
	struct cpu_config one = {
		.cpus = 1, .sockets = 1, .dies = 1, .cores = 1, .threads = 1};
	struct cpu_config many = {.cpus = 1U << 20,
				  .sockets = 1,
				  .dies = 1,
				  .cores = 1U << 20,
				  .threads = 1};
	struct err e = {0};

	(void)state;
	assert_int_equal(try_model("host,+ia64,enforce", &one, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "cannot give ia64"));
	assert_int_equal(try_model("host,+ia64,check=off", &one, &e), 0);
	assert_int_equal(try_model("host", &many, &e), -EINVAL);
	assert_non_null(strstr(e.text, "at most"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(host_model),  cmocka_unit_test(clocks_are_told),
	cmocka_unit_test(named_model), cmocka_unit_test(topology),
	cmocka_unit_test(limits),
};

TEST_MAIN_KVM(tests)
