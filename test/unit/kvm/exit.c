/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvm/exit: exits, laid out as KVM lays them out, reach the callbacks.
 */
#include "kvm/exit.h"

#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "test/lib/test.h"

#define PIO_OFFSET 3072

/* A struct kvm_run with its page of port data behind it, and a log of calls. */
_Static_assert(sizeof(struct kvm_run) <= PIO_OFFSET, "data behind it");

struct fixture {
	union {
		struct kvm_run run;
		uint8_t bytes[4096];
	};
	struct exit_counts counts;
	char log[1024];
	uint64_t next_read;
};

static void note(struct fixture *f, const char *text)
{
	strncat(f->log, text, sizeof(f->log) - strlen(f->log) - 1);
}

static uint64_t do_read(void *opaque, unsigned index, bool is_port,
			uint64_t addr, unsigned size)
{
	struct fixture *f = opaque;
	char s[64];

	snprintf(s, sizeof(s), "%u:%s r%u %lx;", index, is_port ? "pio" : "mem",
		 size, (unsigned long)addr);
	note(f, s);
	return f->next_read++;
}

static void do_write(void *opaque, unsigned index, bool is_port, uint64_t addr,
		     unsigned size, uint64_t value)
{
	char s[64];

	snprintf(s, sizeof(s), "%u:%s w%u %lx=%lx;", index,
		 is_port ? "pio" : "mem", size, (unsigned long)addr,
		 (unsigned long)value);
	note(opaque, s);
}

static void do_eoi(void *opaque, unsigned vector)
{
	char s[64];

	snprintf(s, sizeof(s), "eoi %u;", vector);
	note(opaque, s);
}

static enum exit_next handle(struct fixture *f, uint32_t reason,
			     enum vcpu_event *ev)
{
	const struct vcpu_ops ops = {
		.read = do_read, .write = do_write, .eoi = do_eoi, .opaque = f};
	const struct exit_ctx x = {&f->run, &ops, &f->counts, 3};

	f->run.exit_reason = reason;
	return exit_handle(&x, ev);
}

static void port_io(struct fixture *f, unsigned direction, unsigned size,
		    unsigned count)
{
	f->run.io.direction = (uint8_t)direction;
	f->run.io.size = (uint8_t)size;
	f->run.io.port = 0x3f8;
	f->run.io.count = count;
	f->run.io.data_offset = PIO_OFFSET;
}

static void port_write(void **state)
{
	struct fixture f = {.log = ""};
	enum vcpu_event ev;

	(void)state;
	port_io(&f, KVM_EXIT_IO_OUT, 4, 1);
	memcpy(f.bytes + PIO_OFFSET, "\x78\x56\x34\x12\xff", 5);
	assert_int_equal(handle(&f, KVM_EXIT_IO, &ev), EXIT_RESUME);
	assert_string_equal(f.log, "3:pio w4 3f8=12345678;");
	assert_int_equal(atomic_load(&f.counts.pio), 1);
	assert_int_equal(atomic_load(&f.counts.exits), 1);
}

static void port_string_write(void **state)
{
	struct fixture f = {.log = ""};
	enum vcpu_event ev;

	(void)state;
	port_io(&f, KVM_EXIT_IO_OUT, 2, 3);
	memcpy(f.bytes + PIO_OFFSET, "abcdef", 6);
	assert_int_equal(handle(&f, KVM_EXIT_IO, &ev), EXIT_RESUME);
	assert_string_equal(f.log, "3:pio w2 3f8=6261;3:pio w2 3f8=6463;"
				   "3:pio w2 3f8=6665;");
}

static void port_string_read(void **state)
{
	struct fixture f = {.next_read = 0x1122334455667788};
	const uint8_t *p = f.bytes + PIO_OFFSET;
	enum vcpu_event ev;

	(void)state;
	port_io(&f, KVM_EXIT_IO_IN, 1, 3);
	assert_int_equal(handle(&f, KVM_EXIT_IO, &ev), EXIT_RESUME);
	assert_string_equal(f.log, "3:pio r1 3f8;3:pio r1 3f8;3:pio r1 3f8;");
	assert_memory_equal(p, "\x88\x89\x8a\0", 4);
}

static void memory_write(struct fixture *f, unsigned len)
{
	enum vcpu_event ev;

	f->log[0] = 0;
	f->run.mmio.is_write = 1;
	f->run.mmio.phys_addr = 0xd0000ffd;
	f->run.mmio.len = len;
	memcpy(f->run.mmio.data, "\1\2\3\4\5\6\7\x8", 8);
	assert_int_equal(handle(f, KVM_EXIT_MMIO, &ev), EXIT_RESUME);
}

static void memory_writes_of_any_length(void **state)
{
	struct fixture f = {.log = ""};

	(void)state;
	memory_write(&f, 8);
	assert_string_equal(f.log, "3:mem w8 d0000ffd=807060504030201;");
	memory_write(&f, 3);
	assert_string_equal(f.log,
			    "3:mem w2 d0000ffd=201;3:mem w1 d0000fff=3;");
	memory_write(&f, 7);
	assert_string_equal(f.log, "3:mem w4 d0000ffd=4030201;"
				   "3:mem w2 d0001001=605;"
				   "3:mem w1 d0001003=7;");
}

static void memory_read(void **state)
{
	struct fixture f = {.next_read = 0xa1a2a3a4a5a6a7a8};
	enum vcpu_event ev;

	(void)state;
	f.run.mmio.phys_addr = 0xd0000000;
	f.run.mmio.len = 5;
	memset(f.run.mmio.data, 0xee, 8);
	assert_int_equal(handle(&f, KVM_EXIT_MMIO, &ev), EXIT_RESUME);
	assert_string_equal(f.log, "3:mem r4 d0000000;3:mem r1 d0000004;");
	assert_memory_equal(f.run.mmio.data, "\xa8\xa7\xa6\xa5\xa9\xee\xee\xee",
			    8);
}

static void end_of_interrupt(void **state)
{
	struct fixture f = {.log = ""};
	enum vcpu_event ev;

	(void)state;
	f.run.eoi.vector = 0x41;
	assert_int_equal(handle(&f, KVM_EXIT_IOAPIC_EOI, &ev), EXIT_RESUME);
	assert_string_equal(f.log, "eoi 65;");
	assert_int_equal(atomic_load(&f.counts.eoi), 1);
}

static void system_event(uint32_t type, enum exit_next next,
			 enum vcpu_event expected)
{
	struct fixture f = {.log = ""};
	enum vcpu_event ev = VCPU_FAILED;

	f.run.system_event.type = type;
	assert_int_equal(handle(&f, KVM_EXIT_SYSTEM_EVENT, &ev), next);
	assert_int_equal(ev, expected);
}

static void events(void **state)
{
	struct fixture f = {.log = ""};
	enum vcpu_event ev;

	(void)state;
	assert_int_equal(handle(&f, KVM_EXIT_SHUTDOWN, &ev), EXIT_EVENT);
	assert_int_equal(ev, VCPU_SHUTDOWN);
	system_event(KVM_SYSTEM_EVENT_SHUTDOWN, EXIT_EVENT, VCPU_POWEROFF);
	system_event(KVM_SYSTEM_EVENT_RESET, EXIT_EVENT, VCPU_RESET);
	system_event(KVM_SYSTEM_EVENT_CRASH, EXIT_EVENT, VCPU_CRASH);
	system_event(99, EXIT_REPORT, VCPU_FAILED);
	assert_int_equal(handle(&f, KVM_EXIT_HLT, &ev), EXIT_HALT);
	assert_int_equal(atomic_load(&f.counts.other), 1);
}

/* Whatever is not known stops the machine: it must not be entered again. */
static void every_other_reason_is_reported(void **state)
{
	static const uint32_t resumed[] = {
		KVM_EXIT_IO,         KVM_EXIT_MMIO, KVM_EXIT_IRQ_WINDOW_OPEN,
		KVM_EXIT_IOAPIC_EOI, KVM_EXIT_INTR, KVM_EXIT_SET_TPR};
	struct fixture f;
	enum vcpu_event ev;

	(void)state;
	for (uint32_t reason = 0; reason < 128; reason++) {
		enum exit_next want = EXIT_REPORT, got;

		for (size_t i = 0; i < 6; i++)
			want = reason == resumed[i] ? EXIT_RESUME : want;
		if (reason == KVM_EXIT_HLT)
			want = EXIT_HALT;
		if (reason == KVM_EXIT_SHUTDOWN)
			want = EXIT_EVENT;
		memset(&f, 0, sizeof(f));
		got = handle(&f, reason, &ev);
		assert_int_equal(got, want);
	}
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(exit_name(KVM_EXIT_SHUTDOWN), "KVM_EXIT_SHUTDOWN");
	assert_null(exit_name(13)); /* another architecture's */
	assert_null(exit_name(4096));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(port_write),
	cmocka_unit_test(port_string_write),
	cmocka_unit_test(port_string_read),
	cmocka_unit_test(memory_writes_of_any_length),
	cmocka_unit_test(memory_read),
	cmocka_unit_test(end_of_interrupt),
	cmocka_unit_test(events),
	cmocka_unit_test(every_other_reason_is_reported),
	cmocka_unit_test(names),
};

TEST_MAIN(tests)
