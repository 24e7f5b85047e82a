/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses of a guest arrive at the callbacks: see test/guest/io.c.
 */
#include <stdio.h>
#include <string.h>

#include "test/lib/payload.h"
#include "test/lib/test.h"

struct log {
	char text[2048];
	size_t len;
};

static uint64_t answer(void *opaque, bool is_port, uint64_t addr, unsigned size)
{
	(void)opaque;
	(void)is_port;
	(void)size;
	return 0x0807060504030201ULL * (addr & 0x1f);
}

static void note(void *opaque, bool is_port, uint64_t addr, unsigned size,
		 uint64_t value)
{
	struct log *l = opaque;

	l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len,
				   "%s%lx:%u=%lx\n", is_port ? "p" : "",
				   (unsigned long)addr, size,
				   (unsigned long)value);
	assert_true(l->len < sizeof(l->text));
}

static const char expected[] = "p5a0:1=12\n"
			       "p5a2:2=3456\n"
			       "p5a4:4=789abcde\n"
			       "p80:1=7f\n"
			       "p5a0:1=1\n"
			       "p5a0:1=2\n"
			       "p5a0:1=3\n"
			       "p5a0:1=4\n"
			       "p5a0:1=5\n"
			       "p5a0:2=1111\n"
			       "p5a0:2=2222\n"
			       "p5a0:4=3333\n"
			       "p5a0:4=44444444\n"
			       "p5a0:4=5\n"
			       "d0000000:1=12\n"
			       "d0000002:2=3456\n"
			       "d0000004:4=789abcde\n"
			       "d0000008:8=1122334455667788\n"
			       "d0000ffd:2=c3d4\n"
			       "d0000fff:1=b2\n"
			       "d0001000:1=a1\n"
			       "d0001ffb:4=5060708\n"
			       "d0001fff:1=4\n"
			       "d0002000:2=203\n"
			       "d0002002:1=1\n";

static void run_io(enum kvm_irqchip_mode irqchip)
{
	struct log l = {.len = 0};
	const struct payload_config c = {
		.name = "io",
		.irqchip = irqchip,
		.read = answer,
		.write = note,
		.opaque = &l,
	};
	struct payload *p = payload_new(&c);
	struct vcpu_stats st;

	payload_pass(p);
	assert_string_equal(l.text, expected);
	vcpu_stats(p->cpus[0], &st);
	assert_true(st.pio >= 9);
	assert_true(st.mmio >= 10);
	assert_true(st.exits >= st.pio + st.mmio);
	payload_free(p);
}

static void without_irqchip(void **state)
{
	(void)state;
	run_io(KVM_IRQCHIP_NONE);
}

static void with_split_irqchip(void **state)
{
	(void)state;
	run_io(KVM_IRQCHIP_SPLIT_MODE);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(without_irqchip),
	cmocka_unit_test(with_split_irqchip),
};

TEST_MAIN_KVM(tests)
