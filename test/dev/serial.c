/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/serial: as Linux's 8250 driver probes, prints and listens; a slow
 * host; input that waits; breaks; loopback; places of ports.
 */
#include <errno.h>
#include <string.h>

#include "backend/chardev.h"
#include "test/lib/platrig.h"
#include "test/lib/test.h"

#define COM1 0x3f8
#define IRQ  4

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

#define DR   0x01
#define OE   0x02
#define BI   0x10
#define THRE 0x60 /* and TEMT */

/* A host that takes `room` bytes, and has `in` to say. */
struct fake_char {
	struct chardev chr;
	char out[2048];
	size_t out_len, room;
	const char *in;
	unsigned accepts;
	bool was_short, is_bound;
};

static struct fake_char *fake_of(struct chardev *c)
{
	return container_of(c, struct fake_char, chr);
}

static int fake_bind(struct chardev *c, struct loop *l, struct err *e)
{
	(void)l;
	(void)e;
	fake_of(c)->is_bound = true;
	return 0;
}

static void fake_unbind(struct chardev *c)
{
	fake_of(c)->is_bound = false;
}

static size_t fake_write(struct chardev *c, const void *buf, size_t len)
{
	struct fake_char *f = fake_of(c);
	size_t n = len < f->room ? len : f->room;

	assert_true(f->is_bound);
	assert_true(f->out_len + n < sizeof(f->out));
	memcpy(f->out + f->out_len, buf, n);
	f->out_len += n;
	f->room -= n;
	f->was_short |= n < len;
	return n;
}

static void fake_accept(struct chardev *c)
{
	fake_of(c)->accepts++;
}

static const struct char_driver fake_driver = {
	.name = "fake",
	.size = sizeof(struct fake_char),
	.bind = fake_bind,
	.unbind = fake_unbind,
	.write = fake_write,
	.accept = fake_accept,
};

struct rig {
	struct platrig p;
	struct fake_char c;
};

#define SERIAL "isa-serial,chardev=c0"

static void rig_init(struct rig *r)
{
	static char id[] = "c0";

	platrig_init(&r->p);
	memset(&r->c, 0, sizeof(r->c));
	r->c.chr.driver = &fake_driver;
	r->c.chr.id = id;
	r->c.room = SIZE_MAX;
	fakeboard_link(&r->p.f, "chardev", "c0", &r->c.chr);
}

static void rig_start(struct rig *r)
{
	struct err e = {0};

	rig_init(r);
	r->p.d = platrig_device(&r->p, SERIAL, &e);
	if (!r->p.d)
		fail_msg("%s", e.text);
}

static void rig_fini(struct rig *r)
{
	platrig_fini(&r->p);
	assert_null(r->c.chr.user);
	assert_false(r->c.is_bound);
}

static uint8_t get(struct rig *r, unsigned reg)
{
	return platrig_in(&r->p, (uint16_t)(COM1 + reg));
}

static void put(struct rig *r, unsigned reg, uint8_t value)
{
	platrig_out(&r->p, (uint16_t)(COM1 + reg), value);
}

/* The host delivers as much of its input as the port takes. */
static size_t feed(struct rig *r)
{
	struct char_user *u = r->c.chr.user;
	size_t n = u->can_receive(u), len = r->c.in ? strlen(r->c.in) : 0;

	n = n < len ? n : len;
	if (n) {
		u->receive(u, (const uint8_t *)r->c.in, n);
		r->c.in += n;
	}
	return n;
}

/* serial8250_do_startup, as far as it matters. */
static void linux_startup(struct rig *r)
{
	put(r, FCR, 0x01);
	put(r, FCR, 0x07);
	put(r, FCR, 0x00);
	(void)get(r, LSR);
	(void)get(r, DATA);
	(void)get(r, IIR);
	(void)get(r, MSR);
	put(r, LCR, 0x03);
	put(r, MCR, 0x0b);
	put(r, FCR, 0x81); /* 8 bytes */
	put(r, IER, 0x05);
}

static bool sent(struct rig *r, const char *text)
{
	return r->c.out_len == strlen(text) &&
	       !memcmp(r->c.out, text, r->c.out_len);
}

/* drivers/tty/serial/8250/8250_port.c of Linux 6.1, autoconfig(). */
static void linux_autoconfig(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	put(&r, IER, 0);
	assert_int_equal(get(&r, IER), 0);
	put(&r, IER, 0x0f);
	assert_int_equal(get(&r, IER), 0x0f);
	put(&r, IER, 0);
	put(&r, MCR, 0x10 | 0x0a);
	assert_int_equal(get(&r, MSR) & 0xf0, 0x90);
	put(&r, MCR, 0);
	put(&r, LCR, 0xbf);
	put(&r, FCR, 0);
	put(&r, LCR, 0);
	put(&r, FCR, 0x01);
	assert_int_equal(get(&r, IIR) >> 6, 3); /* a 16550A */
	/* No EFR: the register is IIR's. */
	put(&r, LCR, 0xbf);
	assert_int_not_equal(get(&r, FCR), 0);
	put(&r, LCR, 0);
	/* No 64-byte FIFO. */
	put(&r, FCR, 0x01);
	put(&r, LCR, 0x80);
	put(&r, FCR, 0x21);
	assert_int_equal(get(&r, IIR) >> 5, 6);
	put(&r, LCR, 0);
	put(&r, FCR, 0x01);
	/* No UART_IER_UUE. */
	put(&r, IER, 0x40);
	assert_int_equal(get(&r, IER), 0);
	rig_fini(&r);
}

/* The two tests of do_startup for parts whose THRE interrupt is broken. */
static void linux_thre_tests(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	put(&r, IER, 0x02);
	assert_int_equal(get(&r, IIR) & 0x0f, 0x02);
	put(&r, IER, 0);
	put(&r, IER, 0x02);
	assert_int_equal(get(&r, IIR) & 0x0f, 0x02);
	put(&r, IER, 0);
	put(&r, IER, 0x02);
	assert_int_equal(get(&r, LSR) & 0x40, 0x40);
	assert_int_equal(get(&r, IIR) & 0x01, 0);
	/* Read: told, until a byte is sent. */
	assert_int_equal(get(&r, IIR) & 0x0f, 0x01);
	assert_false(r.p.f.level[IRQ]);
	put(&r, DATA, 'x');
	assert_true(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, IIR) & 0x0f, 0x02);
	assert_false(r.p.f.level[IRQ]);
	rig_fini(&r);
}

static void divisor_and_scratch(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	put(&r, LCR, 0x83);
	assert_int_equal(get(&r, DATA), 12);
	assert_int_equal(get(&r, IER), 0);
	put(&r, DATA, 0x34);
	put(&r, IER, 0x12);
	assert_int_equal(get(&r, DATA), 0x34);
	assert_int_equal(get(&r, IER), 0x12);
	put(&r, LCR, 0x03);
	assert_int_equal(get(&r, LCR), 0x03);
	assert_int_equal(get(&r, IER), 0);
	put(&r, SCR, 0xa5);
	assert_int_equal(get(&r, SCR), 0xa5);
	put(&r, LSR, 0);
	put(&r, MSR, 0);
	assert_int_equal(get(&r, LSR), 0x60);
	assert_int_equal(get(&r, MSR), 0xb0);
	assert_int_equal(r.c.out_len, 0);
	rig_fini(&r);
}

static void prints(void **state)
{
	static const char text[] = "Linux version 6.1\r\n";
	struct rig r;

	(void)state;
	rig_start(&r);
	for (const char *p = text; *p; p++) {
		assert_int_equal(get(&r, LSR) & THRE, THRE);
		put(&r, DATA, (uint8_t)*p);
	}
	assert_true(sent(&r, text));
	/* Two at once are two. */
	fakeboard_out(&r.p.f, COM1, 2, 'a' | 'b' << 8);
	assert_int_equal(r.c.out_len, strlen(text) + 1);
	rig_fini(&r);
}

/* Sixteen bytes a look at the line status, into a host that stops taking. */
static void waits_for_a_slow_host(void **state)
{
	char want[1500];
	size_t len = 0;
	struct rig r;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	for (unsigned i = 0; i < 100; i++) {
		/* Takes some, stops, and goes on when told to. */
		r.c.room = i % 7 ? 64 : 3;
		while (!(get(&r, LSR) & 0x20)) {
			assert_true(r.c.was_short);
			r.c.was_short = false;
			r.c.room = 5;
			r.c.chr.user->writable(r.c.chr.user);
		}
		for (unsigned n = 0; n < 16 && len < sizeof(want); n++) {
			want[len] = (char)('a' + len % 23);
			put(&r, DATA, (uint8_t)want[len++]);
		}
	}
	r.c.room = SIZE_MAX;
	r.c.chr.user->writable(r.c.chr.user);
	assert_int_equal(r.c.out_len, len);
	assert_memory_equal(r.c.out, want, len);
	rig_fini(&r);
}

static void tells_when_the_host_goes_on(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	put(&r, IER, 0x07);
	(void)get(&r, IIR);
	r.c.room = 0;
	put(&r, DATA, 'x');
	assert_int_equal(get(&r, LSR) & THRE, 0);
	assert_false(r.p.f.level[IRQ]);
	/* Enabling it again is no event while bytes wait. */
	put(&r, IER, 0x05);
	put(&r, IER, 0x07);
	assert_false(r.p.f.level[IRQ]);
	r.c.room = 10;
	r.c.chr.user->writable(r.c.chr.user);
	assert_true(sent(&r, "x"));
	assert_true(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, IIR) & 0x0f, 0x02);
	assert_int_equal(get(&r, LSR) & THRE, THRE);
	/* Without news it says nothing. */
	r.c.chr.user->writable(r.c.chr.user);
	assert_false(r.p.f.level[IRQ]);
	rig_fini(&r);
}

static void receives(void **state)
{
	struct rig r;
	char got[64];
	size_t n = 0;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	r.c.in = "uname -a; echo and something longer\n";
	assert_int_equal(feed(&r), 16);
	assert_int_equal(feed(&r), 0);
	assert_true(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, IIR), 0xc4); /* at the trigger level */
	while (get(&r, LSR) & DR) {
		got[n++] = (char)get(&r, DATA);
		/* Half empty, more is asked for. */
		if (n == 8)
			assert_int_equal(r.c.accepts, 1);
		if (n == 8 || n == 20 || n == 30)
			feed(&r);
	}
	got[n] = 0;
	assert_string_equal(got, "uname -a; echo and something longer\n");
	assert_false(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, DATA), 0);
	/* A single byte times out at once. */
	r.c.in = "y";
	feed(&r);
	assert_true(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, IIR), 0xcc);
	assert_int_equal(get(&r, DATA), 'y');
	assert_int_equal(get(&r, IIR), 0xc1);
	rig_fini(&r);
}

static void trigger_levels(void **state)
{
	static const struct {
		uint8_t fcr, level;
	} rows[] = {{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}};
	struct rig r;

	(void)state;
	rig_start(&r);
	put(&r, IER, 0x01);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		put(&r, FCR, rows[i].fcr | 0x02);
		for (unsigned n = 1; n <= 16; n++) {
			r.c.in = "x";
			assert_int_equal(feed(&r), 1);
			assert_int_equal(get(&r, IIR),
					 n < rows[i].level ? 0xcc : 0xc4);
		}
	}
	/* Without the FIFO one byte at a time. */
	put(&r, FCR, 0);
	assert_int_equal(get(&r, LSR) & DR, 0);
	r.c.in = "ab";
	assert_int_equal(feed(&r), 1);
	assert_int_equal(get(&r, IIR), 0x04);
	assert_int_equal(feed(&r), 0);
	assert_int_equal(get(&r, DATA), 'a');
	assert_int_equal(r.c.accepts, 1);
	assert_int_equal(feed(&r), 1);
	assert_int_equal(get(&r, DATA), 'b');
	rig_fini(&r);
}

/* What is piped in before the driver is up is there when it is. */
static void input_waits_for_a_listener(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	r.c.in = "early";
	assert_int_equal(feed(&r), 0);
	linux_startup(&r);
	assert_int_equal(r.c.accepts, 1);
	assert_int_equal(feed(&r), 5);
	assert_int_equal(get(&r, DATA), 'e');
	/* printk turns the interrupts off for a while. */
	put(&r, IER, 0);
	r.c.in = "x";
	assert_int_equal(feed(&r), 0);
	put(&r, IER, 0x05);
	assert_int_equal(r.c.accepts, 2);
	assert_int_equal(feed(&r), 1);
	rig_fini(&r);
}

/* Firmware and small guests poll; a console that prints does not. */
static void input_for_who_polls(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	r.c.in = "q";
	for (unsigned i = 0; i < 100; i++) {
		(void)get(&r, LSR);
		(void)get(&r, LSR);
		put(&r, DATA, '.');
	}
	assert_int_equal(feed(&r), 0);
	for (unsigned i = 0; i < 16; i++)
		(void)get(&r, LSR);
	assert_int_equal(r.c.accepts, 1);
	assert_int_equal(feed(&r), 1);
	assert_int_equal(get(&r, LSR) & DR, DR);
	assert_int_equal(get(&r, DATA), 'q');
	/* It echoes, and still listens. */
	put(&r, DATA, 'q');
	r.c.in = "r";
	assert_int_equal(feed(&r), 1);
	rig_fini(&r);
}

static void loopback(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	(void)get(&r, MSR);
	put(&r, MCR, 0x10);
	assert_int_equal(get(&r, MSR), 0x0b); /* three lines fell */
	assert_int_equal(get(&r, MSR), 0x00);
	put(&r, MCR, 0x10 | 0x04);
	assert_int_equal(get(&r, MSR), 0x40);
	put(&r, MCR, 0x10);
	assert_int_equal(get(&r, MSR), 0x04); /* the end of a ring */
	/* size_fifo(): sends more than fits. */
	for (unsigned i = 0; i < 20; i++)
		put(&r, DATA, (uint8_t)i);
	assert_int_equal(r.c.out_len, 0);
	assert_int_equal(get(&r, LSR) & (OE | DR), OE | DR);
	assert_int_equal(get(&r, LSR) & (OE | DR), DR);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(get(&r, DATA), i);
	assert_int_equal(get(&r, LSR) & DR, 0);
	/* The line outside is cut off. */
	r.c.in = "x";
	assert_int_equal(feed(&r), 0);
	put(&r, MCR, 0x0b);
	assert_int_equal(r.c.accepts, 1);
	assert_int_equal(feed(&r), 1);
	rig_fini(&r);
}

static void modem_status_interrupt(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	put(&r, IER, 0x08);
	assert_false(r.p.f.level[IRQ]);
	put(&r, MCR, 0x12);
	assert_true(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, IIR), 0x00);
	(void)get(&r, MSR);
	assert_false(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, IIR), 0x01);
	rig_fini(&r);
}

static void line_breaks(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	r.c.in = "a";
	feed(&r);
	r.c.chr.user->event(r.c.chr.user, CHAR_BREAK);
	r.c.chr.user->event(r.c.chr.user, CHAR_OPENED);
	r.c.in = "h";
	feed(&r);
	/* The error is told when its byte comes up. */
	assert_int_equal(get(&r, LSR), 0x80 | THRE | DR);
	assert_int_equal(get(&r, IIR), 0xcc);
	assert_int_equal(get(&r, DATA), 'a');
	assert_int_equal(get(&r, IIR), 0xc6);
	assert_int_equal(get(&r, LSR), 0x80 | THRE | BI | DR);
	assert_int_equal(get(&r, LSR), THRE | DR);
	assert_int_equal(get(&r, IIR), 0xcc);
	assert_int_equal(get(&r, DATA), 0);
	assert_int_equal(get(&r, DATA), 'h'); /* sysrq */
	rig_fini(&r);
}

static void clears_its_fifos(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	r.c.in = "abc";
	feed(&r);
	r.c.room = 0;
	put(&r, DATA, 'x');
	put(&r, FCR, 0x83);
	assert_int_equal(get(&r, LSR) & (DR | THRE), 0);
	put(&r, FCR, 0x85);
	assert_int_equal(get(&r, LSR) & THRE, THRE);
	r.c.room = 10;
	r.c.chr.user->writable(r.c.chr.user);
	assert_int_equal(r.c.out_len, 0);
	rig_fini(&r);
}

static void keeps_its_state(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	linux_startup(&r);
	r.c.in = "abcdef";
	feed(&r);
	assert_int_equal(get(&r, DATA), 'a');
	r.c.room = 0;
	put(&r, DATA, 'x');
	put(&r, SCR, 0x42);
	platrig_migrate(&r.p, SERIAL);
	assert_true(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, SCR), 0x42);
	assert_int_equal(get(&r, IER), 0x05);
	assert_int_equal(get(&r, LSR) & (DR | THRE), DR);
	r.c.room = 10;
	r.c.chr.user->writable(r.c.chr.user);
	assert_true(sent(&r, "x"));
	assert_int_equal(get(&r, DATA), 'b');
	device_reset(r.p.d);
	assert_false(r.p.f.level[IRQ]);
	assert_int_equal(get(&r, LSR), THRE);
	rig_fini(&r);
}

static void without_a_chardev(void **state)
{
	struct platrig p;

	(void)state;
	platrig_start(&p, "isa-serial");
	platrig_out(&p, COM1, 'x');
	assert_int_equal(platrig_in(&p, COM1 + LSR), THRE);
	platrig_fini(&p);
}

static void places(void **state)
{
	static const uint16_t bases[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	static const int irqs[] = {4, 3, 4, 3};
	struct device *d[6] = {0};
	struct plat_resources res;
	struct err e = {0};
	struct platrig p;

	(void)state;
	platrig_init(&p);
	/* The second place is asked for by name, the rest fills up. */
	d[1] = platrig_device(&p, "isa-serial,index=1", &e);
	d[0] = platrig_device(&p, "isa-serial", &e);
	d[2] = platrig_device(&p, "isa-serial", &e);
	d[3] = platrig_device(&p, "isa-serial", &e);
	for (unsigned i = 0; i < 4; i++) {
		assert_non_null(d[i]);
		assert_true(plat_resources_of(d[i], &res));
		assert_int_equal(res.ports[0].base, bases[i]);
		assert_int_equal(res.ports[0].len, 8);
		assert_int_equal(res.irq[0], irqs[i]);
	}
	assert_null(platrig_device(&p, "isa-serial", &e));
	assert_non_null(strstr(e.text, "iobase"));
	assert_null(platrig_device(&p, "isa-serial,index=2", &e));
	assert_null(platrig_device(&p, "isa-serial,index=4", &e));
	assert_non_null(strstr(e.text, "index 4"));
	assert_null(platrig_device(&p, "isa-serial,iobase=0x100,irq=24", &e));
	assert_non_null(strstr(e.text, "irq 24"));
	assert_null(platrig_device(&p, "isa-serial,iobase=0xfffc", &e));
	d[4] = platrig_device(&p, "isa-serial,iobase=0x100,irq=9", &e);
	assert_non_null(d[4]);
	assert_true(plat_resources_of(d[4], &res));
	assert_int_equal(res.irq[0], 9);
	for (unsigned i = 0; i < 5; i++)
		device_free(d[i]);
	/* By its ports it knows its line. */
	d[0] = platrig_device(&p, "isa-serial,iobase=0x2f8", &e);
	assert_true(plat_resources_of(d[0], &res));
	assert_int_equal(res.irq[0], 3);
	device_free(d[0]);
	platrig_fini(&p);
}

static void one_user_a_chardev(void **state)
{
	struct err e = {0};
	struct rig r;

	(void)state;
	rig_start(&r);
	assert_null(platrig_device(&r.p, SERIAL ",id=second", &e));
	assert_non_null(strstr(e.text, "'c0'"));
	/* The first is none the worse for it. */
	assert_ptr_not_equal(r.c.chr.user, NULL);
	put(&r, DATA, 'x');
	assert_true(sent(&r, "x"));
	rig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(linux_autoconfig),
	cmocka_unit_test(linux_thre_tests),
	cmocka_unit_test(divisor_and_scratch),
	cmocka_unit_test(prints),
	cmocka_unit_test(waits_for_a_slow_host),
	cmocka_unit_test(tells_when_the_host_goes_on),
	cmocka_unit_test(receives),
	cmocka_unit_test(trigger_levels),
	cmocka_unit_test(input_waits_for_a_listener),
	cmocka_unit_test(input_for_who_polls),
	cmocka_unit_test(loopback),
	cmocka_unit_test(modem_status_interrupt),
	cmocka_unit_test(line_breaks),
	cmocka_unit_test(clears_its_fifos),
	cmocka_unit_test(keeps_its_state),
	cmocka_unit_test(without_a_chardev),
	cmocka_unit_test(places),
	cmocka_unit_test(one_user_a_chardev),
};

TEST_MAIN(tests)
