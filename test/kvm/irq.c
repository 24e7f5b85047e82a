/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts into a guest and doorbells out of it: see test/guest/irq.c and
 * test/guest/eoi.c.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test/lib/payload.h"
#include "test/lib/test.h"

#define MSI_ADDRESS   0xfee00000ULL
#define MSI_LEVEL     0xc000U
#define DOORBELL      (PAYLOAD_MMIO + 0x50)
#define DOORBELL_ANY  (PAYLOAD_MMIO + 0x60)
#define DOORBELL_PORT 0x600

static void wait_ready(struct payload *p, uint64_t vector)
{
	for (int i = 0; i < 60000; i++) {
		if (atomic_load(payload_mailbox(p, 0)) == vector)
			return;
		usleep(1000);
	}
	fail_msg("the payload does not wait for vector 0x%lx",
		 (unsigned long)vector);
}

static void pulse(int fd)
{
	const uint64_t one = 1;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void interrupts(void **state)
{
	const struct payload_config c = {.name = "irq"};
	struct payload *p = payload_new(&c);
	struct payload_end end;
	struct err e = {0};
	int fd5 = kvm_irqfd(p->kvm, 5), fd1900 = kvm_irqfd(p->kvm, 1900);

	(void)state;
	payload_load(p);
	payload_start(p);
	wait_ready(p, 0x45);
	pulse(fd5); /* no route: lost, once KVM's worker has seen it */
	usleep(500000);
	assert_int_equal(kvm_route_msi(p->kvm, 5, MSI_ADDRESS, 0x45), 0);
	assert_int_equal(kvm_commit_routes(p->kvm, &e), 0);
	usleep(100000);
	assert_int_equal(atomic_load(payload_mailbox(p, 0)), 0x45);
	pulse(fd5);
	wait_ready(p, 0x46);
	kvm_send_msi(p->kvm, MSI_ADDRESS, 0x46);
	wait_ready(p, 0x47);
	kvm_unroute(p->kvm, 5);
	assert_int_equal(kvm_route_msi(p->kvm, 1900, MSI_ADDRESS, 0x47), 0);
	assert_int_equal(kvm_commit_routes(p->kvm, &e), 0);
	pulse(fd1900);
	payload_wait(p, &end);
	assert_true(end.has_code);
	assert_int_equal(end.code, 0);
	assert_int_equal(kvm_irqfd(p->kvm, 5), fd5);
	payload_free(p);
}

static void refuses_bad_lines(void **state)
{
	const struct payload_config c = {.name = "irq"};
	struct payload *p = payload_new(&c);

	(void)state;
	assert_int_equal(kvm_route_msi(p->kvm, 1U << 20, MSI_ADDRESS, 0x45),
			 -EINVAL);
	assert_int_equal(kvm_irqfd(p->kvm, 1U << 20), -1);
	kvm_unroute(p->kvm, 1U << 20);
	payload_free(p);
}

static void count_write(void *opaque, bool is_port, uint64_t addr,
			unsigned size, uint64_t value)
{
	unsigned *n = opaque;

	(void)is_port;
	assert_int_equal(addr, DOORBELL);
	assert_true(value == 8 || size == 2);
	++*n;
}

static uint64_t drain(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void doorbells(void **state)
{
	unsigned trapped = 0;
	const struct payload_config c = {.name = "irq",
					 .arg = 1,
					 .write = count_write,
					 .opaque = &trapped};
	struct payload *p = payload_new(&c);
	int fd = eventfd(0, EFD_NONBLOCK), any = eventfd(0, EFD_NONBLOCK);
	int port = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(kvm_ioeventfd(p->kvm, true, false, DOORBELL, 4, 7, fd),
			 0);
	assert_int_equal(
		kvm_ioeventfd(p->kvm, true, false, DOORBELL_ANY, 0, 0, any), 0);
	assert_int_equal(
		kvm_ioeventfd(p->kvm, true, true, DOORBELL_PORT, 0, 0, port),
		0);
	payload_pass(p);
	assert_int_equal(trapped, 2);
	assert_int_equal(drain(fd), 1);
	assert_int_equal(drain(any), 2);
	assert_int_equal(drain(port), 2);
	assert_int_equal(
		kvm_ioeventfd(p->kvm, false, false, DOORBELL, 4, 7, fd), 0);
	assert_int_equal(
		kvm_ioeventfd(p->kvm, false, false, DOORBELL, 4, 7, fd),
		-ENOENT);
	payload_free(p);
	close(fd);
	close(any);
	close(port);
}

static void note_eoi(void *opaque, unsigned vector)
{
	_Atomic unsigned *n = opaque;

	assert_int_equal(vector, 0x51);
	++*n;
}

/* A level-triggered line: each acknowledgement comes out. */
static void acknowledgements(void **state)
{
	_Atomic unsigned eois = 0;
	const struct payload_config c = {
		.name = "eoi", .ring0 = true, .eoi = note_eoi, .opaque = &eois};
	struct payload *p;
	struct payload_end end;
	struct err e = {0};

	(void)state;
	if (kvm_host_kind(NULL) == KVM_KIND_PVM)
		test_skip("this KVM interprets ring 0");
	p = payload_new(&c);
	assert_int_equal(
		kvm_route_msi(p->kvm, 4, MSI_ADDRESS, 0x51 | MSI_LEVEL), 0);
	assert_int_equal(kvm_commit_routes(p->kvm, &e), 0);
	payload_load(p);
	payload_start(p);
	wait_ready(p, 0x51);
	pulse(kvm_irqfd(p->kvm, 4));
	for (int i = 0; i < 60000 && eois < 1; i++)
		usleep(1000);
	pulse(kvm_irqfd(p->kvm, 4));
	payload_wait(p, &end);
	assert_true(end.has_code);
	assert_int_equal(eois, 2);
	payload_free(p);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(interrupts),
	cmocka_unit_test(refuses_bad_lines),
	cmocka_unit_test(doorbells),
	cmocka_unit_test(acknowledgements),
};

TEST_MAIN_KVM(tests)
