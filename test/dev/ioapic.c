/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev/plat/ioapic: what the redirection table makes of lines, edge and level,
 * and what the router hears of it.
 */
#include <stdatomic.h>
#include <string.h>

#include "bus/irq.h"
#include "test/lib/platrig.h"
#include "test/lib/test.h"

#define BASE   0xfec00000U
#define REGSEL (BASE + 0x00)
#define WIN    (BASE + 0x10)
#define EOI    (BASE + 0x40)

#define MASKED     0x10000U
#define LEVEL      0x8000U
#define REMOTE_IRR 0x4000U
#define LOGICAL    0x800U

#define PINS_MAX 120U

/* A router that remembers. */
struct recorder {
	struct irq_router router;
	struct {
		bool is_set;
		uint64_t address;
		uint32_t data;
	} routes[PINS_MAX];
	unsigned commits, changes, messages;
	uint64_t address; /* of the last message */
	uint32_t data;
};

static void recorder_route(void *opaque, unsigned gsi, uint64_t address,
			   uint32_t data)
{
	struct recorder *rec = opaque;

	assert_true(gsi < PINS_MAX);
	rec->routes[gsi].is_set = true;
	rec->routes[gsi].address = address;
	rec->routes[gsi].data = data;
	rec->changes++;
}

static void recorder_unroute(void *opaque, unsigned gsi)
{
	struct recorder *rec = opaque;

	assert_true(gsi < PINS_MAX);
	assert_true(rec->routes[gsi].is_set);
	rec->routes[gsi].is_set = false;
	rec->changes++;
}

static void recorder_commit(void *opaque)
{
	((struct recorder *)opaque)->commits++;
}

static int recorder_pulse_fd(void *opaque, unsigned gsi)
{
	(void)opaque;
	return (int)gsi + 100;
}

static void recorder_msi(void *opaque, uint64_t address, uint32_t data)
{
	struct recorder *rec = opaque;

	rec->messages++;
	rec->address = address;
	rec->data = data;
}

struct rig {
	struct platrig p;
	struct recorder rec;
};

static void rig_init(struct rig *r)
{
	platrig_init(&r->p);
	memset(&r->rec, 0, sizeof(r->rec));
	r->rec.router = (struct irq_router){
		.route = recorder_route,
		.unroute = recorder_unroute,
		.commit = recorder_commit,
		.pulse_fd = recorder_pulse_fd,
		.msi = recorder_msi,
		.opaque = &r->rec,
	};
	r->p.f.board.router = &r->rec.router;
}

static void rig_start(struct rig *r, const char *text)
{
	struct err e = {0};

	rig_init(r);
	r->p.d = platrig_device(&r->p, text, &e);
	if (!r->p.d)
		fail_msg("%s", e.text);
}

static void rig_fini(struct rig *r)
{
	platrig_fini(&r->p);
}

static void reg_write(struct rig *r, unsigned reg, uint32_t value)
{
	fakeboard_write(&r->p.f, REGSEL, 4, reg);
	fakeboard_write(&r->p.f, WIN, 4, value);
}

static uint32_t reg_read(struct rig *r, unsigned reg)
{
	fakeboard_write(&r->p.f, REGSEL, 4, reg);
	return (uint32_t)fakeboard_read(&r->p.f, WIN, 4);
}

/* High half first, as Linux writes it. */
static void rte_write(struct rig *r, unsigned pin, uint8_t dest, uint32_t low)
{
	reg_write(r, 0x11 + 2 * pin, (uint32_t)dest << 24);
	reg_write(r, 0x10 + 2 * pin, low);
}

static void set(struct rig *r, unsigned gsi, bool level)
{
	const struct irq_sink *s = r->p.f.board.irqs;

	s->ops->set(s->opaque, gsi, level);
}

static void eoi(struct rig *r, unsigned vector)
{
	const struct irq_sink *s = r->p.f.board.irqs;

	s->ops->eoi(s->opaque, vector);
}

static void registers(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	assert_int_equal(reg_read(&r, 1), 0x00170020);
	reg_write(&r, 1, 0);
	assert_int_equal(reg_read(&r, 1), 0x00170020);
	reg_write(&r, 0, 0xffffffff);
	assert_int_equal(reg_read(&r, 0), 0x0f000000);
	assert_int_equal(reg_read(&r, 2), 0x0f000000);
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(reg_read(&r, 0x10 + 2 * i), MASKED);
		assert_int_equal(reg_read(&r, 0x11 + 2 * i), 0);
	}
	/* Read-only and reserved bits stay 0. */
	reg_write(&r, 0x10, 0xffffffff);
	reg_write(&r, 0x11, 0xffffffff);
	assert_int_equal(reg_read(&r, 0x10), 0x1afff);
	assert_int_equal(reg_read(&r, 0x11), 0xff000000);
	/* Past the last pin there is nothing. */
	reg_write(&r, 0x10 + 48, 0);
	assert_int_equal(reg_read(&r, 0x10 + 48), 0);
	assert_int_equal(reg_read(&r, 0xff), 0);
	assert_int_equal(reg_read(&r, 3), 0);
	/* A byte will do for the index. */
	fakeboard_write(&r.p.f, REGSEL, 1, 1);
	assert_int_equal(fakeboard_read(&r.p.f, WIN, 4), 0x00170020);
	assert_int_equal(fakeboard_read(&r.p.f, REGSEL, 1), 1);
	assert_int_equal(fakeboard_read(&r.p.f, BASE + 0x20, 4), 0);
	rig_fini(&r);
}

static void edge(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	/* Masked: not delivered, not held. */
	set(&r, 4, true);
	rte_write(&r, 4, 3, 0x31);
	assert_int_equal(r.rec.messages, 0);
	assert_true(r.rec.routes[4].is_set);
	assert_int_equal(r.rec.routes[4].address, 0xfee03000);
	assert_int_equal(r.rec.routes[4].data, 0x31);
	assert_int_equal(r.rec.commits, 1);
	set(&r, 4, false);
	assert_int_equal(r.rec.messages, 0);
	set(&r, 4, true);
	set(&r, 4, true);
	assert_int_equal(r.rec.messages, 1);
	assert_int_equal(r.rec.address, 0xfee03000);
	assert_int_equal(r.rec.data, 0x31);
	assert_int_equal(reg_read(&r, 0x18), 0x31);
	/* Logical destination, lowest priority. */
	set(&r, 4, false);
	rte_write(&r, 4, 0xff, 0x31 | LOGICAL | 0x100);
	assert_int_equal(r.rec.routes[4].address, 0xfeeff004);
	assert_int_equal(r.rec.routes[4].data, 0x131);
	/* Masked again: the descriptor's pulses go nowhere. */
	rte_write(&r, 4, 0xff, 0x31 | MASKED);
	assert_false(r.rec.routes[4].is_set);
	set(&r, 4, true);
	assert_int_equal(r.rec.messages, 1);
	rig_fini(&r);
}

/* The router hears of changes only, and of each once. */
static void commits_sparingly(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	for (unsigned i = 0; i < 24; i++)
		rte_write(&r, i, 0, MASKED | i);
	assert_int_equal(r.rec.changes + r.rec.commits, 0);
	rte_write(&r, 7, 1, 0x40);
	rte_write(&r, 7, 1, 0x40);
	assert_int_equal(r.rec.changes, 1);
	assert_int_equal(r.rec.commits, 1);
	rte_write(&r, 7, 1, 0x41);
	assert_int_equal(r.rec.changes, 2);
	assert_int_equal(r.rec.commits, 2);
	device_reset(r.p.d);
	assert_false(r.rec.routes[7].is_set);
	assert_int_equal(r.rec.commits, 3);
	device_reset(r.p.d);
	assert_int_equal(r.rec.commits, 3);
	rig_fini(&r);
}

static void level(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	rte_write(&r, 9, 0, LEVEL | 0x51);
	assert_int_equal(r.rec.routes[9].data, 0xc051);
	set(&r, 9, true);
	assert_int_equal(r.rec.messages, 1);
	assert_int_equal(r.rec.data, 0xc051);
	assert_int_equal(reg_read(&r, 0x22) & REMOTE_IRR, REMOTE_IRR);
	/* Once at a time. */
	set(&r, 9, false);
	set(&r, 9, true);
	assert_int_equal(r.rec.messages, 1);
	/* Another vector's end is not ours. */
	eoi(&r, 0x50);
	assert_int_equal(r.rec.messages, 1);
	/* Handled, and still up: again. */
	eoi(&r, 0x51);
	assert_int_equal(r.rec.messages, 2);
	set(&r, 9, false);
	eoi(&r, 0x51);
	assert_int_equal(r.rec.messages, 2);
	assert_int_equal(reg_read(&r, 0x22) & REMOTE_IRR, 0);
	/* By the register, too. */
	set(&r, 9, true);
	assert_int_equal(r.rec.messages, 3);
	fakeboard_write(&r.p.f, EOI, 4, 0x51);
	assert_int_equal(r.rec.messages, 4);
	rig_fini(&r);
}

static void level_and_mask(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	/* A line that is up while masked is delivered when unmasked. */
	rte_write(&r, 9, 0, LEVEL | MASKED | 0x51);
	set(&r, 9, true);
	assert_int_equal(r.rec.messages, 0);
	/* The kernel must know the vector before the end of interrupt. */
	assert_true(r.rec.routes[9].is_set);
	rte_write(&r, 9, 0, LEVEL | 0x51);
	assert_int_equal(r.rec.messages, 1);
	/* Masked in the handler, ended, unmasked later. */
	rte_write(&r, 9, 0, LEVEL | MASKED | 0x51);
	assert_true(r.rec.routes[9].is_set);
	assert_int_equal(reg_read(&r, 0x22) & REMOTE_IRR, REMOTE_IRR);
	eoi(&r, 0x51);
	assert_int_equal(r.rec.messages, 1);
	rte_write(&r, 9, 0, LEVEL | 0x51);
	assert_int_equal(r.rec.messages, 2);
	/* Linux frees a stuck pin by way of edge. */
	rte_write(&r, 9, 0, MASKED | 0x51);
	assert_int_equal(reg_read(&r, 0x22) & REMOTE_IRR, 0);
	assert_false(r.rec.routes[9].is_set);
	rte_write(&r, 9, 0, LEVEL | 0x51);
	assert_int_equal(r.rec.messages, 3);
	rig_fini(&r);
}

/* Two pins may share a vector. */
static void shared_vector(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	rte_write(&r, 10, 0, LEVEL | 0x60);
	rte_write(&r, 11, 0, LEVEL | 0x60);
	set(&r, 10, true);
	set(&r, 11, true);
	assert_int_equal(r.rec.messages, 2);
	set(&r, 10, false);
	eoi(&r, 0x60);
	assert_int_equal(r.rec.messages, 3);
	assert_int_equal(reg_read(&r, 0x24) & REMOTE_IRR, 0);
	assert_int_equal(reg_read(&r, 0x26) & REMOTE_IRR, REMOTE_IRR);
	rig_fini(&r);
}

static void extint_has_no_pic(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	rte_write(&r, 0, 0, 0x700);
	set(&r, 0, true);
	assert_int_equal(r.rec.messages + r.rec.changes, 0);
	rig_fini(&r);
}

static void more_pins(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic,pins=120");
	assert_int_equal(reg_read(&r, 1), 0x00770020);
	rte_write(&r, 119, 2, 0x80);
	assert_int_equal(r.rec.routes[119].address, 0xfee02000);
	set(&r, 119, true);
	assert_int_equal(r.rec.messages, 1);
	set(&r, 120, true); /* no such line */
	assert_int_equal(
		r.p.f.board.irqs->ops->pulse_fd(r.p.f.board.irqs->opaque, 119),
		219);
	assert_int_equal(
		r.p.f.board.irqs->ops->pulse_fd(r.p.f.board.irqs->opaque, 120),
		-1);
	rig_fini(&r);
}

static void messages_pass_through(void **state)
{
	struct rig r;
	const struct irq_sink *s;

	(void)state;
	rig_start(&r, "ioapic");
	s = r.p.f.board.irqs;
	s->ops->msi(s->opaque, 0xfee01000, 0x99);
	assert_int_equal(r.rec.messages, 1);
	assert_int_equal(r.rec.data, 0x99);
	rig_fini(&r);
}

static void keeps_its_state(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r, "ioapic");
	rte_write(&r, 9, 0, LEVEL | 0x51);
	rte_write(&r, 4, 1, 0x31);
	set(&r, 9, true);
	set(&r, 4, true);
	assert_int_equal(r.rec.messages, 2);
	platrig_migrate(&r.p, "ioapic");
	assert_true(r.rec.routes[4].is_set);
	assert_int_equal(r.rec.routes[9].data, 0xc051);
	/* The devices raise their lines again: no second interrupt. */
	set(&r, 9, true);
	set(&r, 4, true);
	assert_int_equal(r.rec.messages, 2);
	eoi(&r, 0x51);
	assert_int_equal(r.rec.messages, 3);
	rig_fini(&r);
}

static void comes_and_goes(void **state)
{
	const struct irq_sink *before;
	struct err e = {0};
	struct rig r;

	(void)state;
	rig_init(&r);
	before = r.p.f.board.irqs;
	r.p.d = platrig_device(&r.p, "ioapic", &e);
	assert_non_null(r.p.d);
	rte_write(&r, 4, 1, 0x31);
	/* A second one at the same place fails, and leaves the first. */
	assert_null(platrig_device(&r.p, "ioapic", &e));
	set(&r, 4, true);
	assert_int_equal(r.rec.messages, 1);
	device_free(r.p.d);
	r.p.d = NULL;
	assert_ptr_equal(r.p.f.board.irqs, before);
	assert_false(r.rec.routes[4].is_set);
	r.p.f.board.router = NULL;
	assert_null(platrig_device(&r.p, "ioapic", &e));
	assert_non_null(strstr(e.text, "'ioapic'"));
	rig_fini(&r);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(registers),
	cmocka_unit_test(edge),
	cmocka_unit_test(commits_sparingly),
	cmocka_unit_test(level),
	cmocka_unit_test(level_and_mask),
	cmocka_unit_test(shared_vector),
	cmocka_unit_test(extint_has_no_pic),
	cmocka_unit_test(more_pins),
	cmocka_unit_test(messages_pass_through),
	cmocka_unit_test(keeps_its_state),
	cmocka_unit_test(comes_and_goes),
};

TEST_MAIN(tests)
