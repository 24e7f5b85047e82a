/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ioapic: the I/O APIC in user space. Its redirection table turns lines into
 * the messages that the machine's router hands to the local APICs.
 *
 * Theory of operation. An edge-triggered pin that is not masked is routed: who
 * pulses its line through the router's descriptor does not come here at all.
 * Everything else arrives by ioapic_set(). A level-triggered pin is delivered
 * once, sets its remote IRR, and is looked at again when a processor says that
 * it has handled the vector. It stays routed while masked, since it is by its
 * routes that the host kernel knows whose end-of-interrupt to report.
 *
 * Spec: Intel 82093AA datasheet, 3; Intel I/O Controller Hub 9 datasheet, 13.5
 *       (EOI register); Intel SDM 3A, 11.11 (message format).
 * Threads: any, under d->lock. Devices call the sink under their own locks,
 *       which come first; the router comes last.
 * State: index, ID, redirection table, levels of the lines.
 */
#include "bus/plat.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "bus/irq.h"

#define IOAPIC_PINS_MAX 120U
#define IOAPIC_VERSION  0x20U /* with an EOI register */
#define IOAPIC_LEN      0x1000

enum { IOAPIC_REGSEL = 0x00, IOAPIC_WIN = 0x10, IOAPIC_EOI = 0x40 };
enum { IOAPIC_ID = 0, IOAPIC_VER = 1, IOAPIC_ARB = 2, IOAPIC_RTE = 0x10 };

#define ID_MASK MASK(27, 24)

#define RTE_VECTOR     MASK(7, 0)
#define RTE_DELIVERY   MASK(10, 8)
#define RTE_LOGICAL    BIT(11)
#define RTE_POLARITY   BIT(13) /* kept, without effect: lines are active high */
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)
#define RTE_DEST       MASK(63, 56)
#define RTE_WRITABLE                                                           \
	(RTE_VECTOR | RTE_DELIVERY | RTE_LOGICAL | RTE_POLARITY | RTE_LEVEL |  \
	 RTE_MASKED | RTE_DEST)

#define DELIVERY_EXTINT 7U

#define MSI_ADDRESS      0xfee00000U
#define MSI_DEST         MASK(19, 12)
#define MSI_DEST_LOGICAL BIT(2)
#define MSI_DATA_ASSERT  BIT(14)
#define MSI_DATA_LEVEL   BIT(15)

struct ioapic_message {
	uint64_t address;
	uint32_t data;
	bool is_valid;
};

struct ioapic {
	struct device dev;
	struct region region;
	struct irq_sink sink;
	const struct irq_sink *outer; /* the board's before this */
	struct ioapic_message routed[IOAPIC_PINS_MAX];
	uint64_t base;
	uint64_t rte[IOAPIC_PINS_MAX];
	uint32_t id;
	uint8_t regsel;
	uint8_t level[IOAPIC_PINS_MAX]; /* of each line: 0 or 1 */
	uint8_t pins;
};

/* What a pin sends. */
static struct ioapic_message ioapic_message(uint64_t rte)
{
	struct ioapic_message m = {
		.address = MSI_ADDRESS |
			   FIELD_SET(MSI_DEST, FIELD_GET(RTE_DEST, rte)) |
			   (rte & RTE_LOGICAL ? MSI_DEST_LOGICAL : 0),
		.data = (uint32_t)(rte & (RTE_VECTOR | RTE_DELIVERY)),
		/* ExtINT asks for a PIC's vector, and there is no PIC. */
		.is_valid = FIELD_GET(RTE_DELIVERY, rte) != DELIVERY_EXTINT,
	};

	if (rte & RTE_LEVEL)
		m.data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
	return m;
}

static bool ioapic_message_equal(const struct ioapic_message *a,
				 const struct ioapic_message *b)
{
	if (!a->is_valid || !b->is_valid)
		return a->is_valid == b->is_valid;
	return a->address == b->address && a->data == b->data;
}

/* Tells the router of the pin's message, if it is another now. */
static bool ioapic_route(struct ioapic *io, unsigned pin)
{
	const struct irq_router *router = io->dev.board->router;
	uint64_t rte = io->rte[pin];
	struct ioapic_message m = ioapic_message(rte);

	if (rte & RTE_MASKED && !(rte & RTE_LEVEL))
		m.is_valid = false;
	if (ioapic_message_equal(&m, &io->routed[pin]))
		return false;
	io->routed[pin] = m;
	if (m.is_valid)
		router->route(router->opaque, pin, m.address, m.data);
	else
		router->unroute(router->opaque, pin);
	return true;
}

static void ioapic_route_all(struct ioapic *io)
{
	const struct irq_router *router = io->dev.board->router;
	bool changed = false;

	for (unsigned i = 0; i < io->pins; i++)
		changed |= ioapic_route(io, i);
	if (changed)
		router->commit(router->opaque);
}

static void ioapic_deliver(struct ioapic *io, unsigned pin)
{
	const struct irq_router *router = io->dev.board->router;
	struct ioapic_message m = ioapic_message(io->rte[pin]);

	if (io->rte[pin] & RTE_MASKED || !m.is_valid)
		return;
	if (io->rte[pin] & RTE_LEVEL)
		io->rte[pin] |= RTE_REMOTE_IRR;
	router->msi(router->opaque, m.address, m.data);
}

/* Delivers a level-triggered pin whose line is up and not yet being handled. */
static void ioapic_check_level(struct ioapic *io, unsigned pin)
{
	if (io->level[pin] && io->rte[pin] & RTE_LEVEL &&
	    !(io->rte[pin] & RTE_REMOTE_IRR))
		ioapic_deliver(io, pin);
}

static void ioapic_set(void *opaque, unsigned gsi, bool level)
{
	struct ioapic *io = opaque;
	bool was;

	if (gsi >= io->pins)
		return;
	pthread_mutex_lock(&io->dev.lock);
	was = io->level[gsi];
	io->level[gsi] = level;
	if (io->rte[gsi] & RTE_LEVEL)
		ioapic_check_level(io, gsi);
	else if (level && !was)
		/* 82093AA, 3.2.4: while masked, an edge is not held. */
		ioapic_deliver(io, gsi);
	pthread_mutex_unlock(&io->dev.lock);
}

/* Under the lock. */
static void ioapic_end(struct ioapic *io, uint64_t vector)
{
	for (unsigned i = 0; i < io->pins; i++) {
		if (!(io->rte[i] & RTE_REMOTE_IRR) ||
		    FIELD_GET(RTE_VECTOR, io->rte[i]) != vector)
			continue;
		io->rte[i] &= ~RTE_REMOTE_IRR;
		ioapic_check_level(io, i);
	}
}

static void ioapic_eoi(void *opaque, unsigned vector)
{
	struct ioapic *io = opaque;

	pthread_mutex_lock(&io->dev.lock);
	ioapic_end(io, vector);
	pthread_mutex_unlock(&io->dev.lock);
}

static void ioapic_msi(void *opaque, uint64_t address, uint32_t data)
{
	const struct ioapic *io = opaque;
	const struct irq_router *router = io->dev.board->router;

	router->msi(router->opaque, address, data);
}

static int ioapic_pulse_fd(void *opaque, unsigned gsi)
{
	const struct ioapic *io = opaque;
	const struct irq_router *router = io->dev.board->router;

	if (gsi >= io->pins || !router->pulse_fd)
		return -1;
	return router->pulse_fd(router->opaque, gsi);
}

static const struct irq_sink_ops ioapic_sink_ops = {
	.set = ioapic_set,
	.msi = ioapic_msi,
	.pulse_fd = ioapic_pulse_fd,
	.eoi = ioapic_eoi,
};

/* The pin whose entry the index register selects, or pins for none. */
static unsigned ioapic_selected(const struct ioapic *io)
{
	unsigned pin = (io->regsel - (unsigned)IOAPIC_RTE) / 2;

	return io->regsel < IOAPIC_RTE ? io->pins : MIN(pin, io->pins);
}

static uint64_t ioapic_win_read(const struct ioapic *io)
{
	unsigned pin = ioapic_selected(io);

	if (pin < io->pins)
		return io->regsel & 1 ? io->rte[pin] >> 32
				      : io->rte[pin] & UINT32_MAX;
	switch (io->regsel) {
	case IOAPIC_ID:
	case IOAPIC_ARB:
		return io->id;
	case IOAPIC_VER:
		return IOAPIC_VERSION | (io->pins - 1U) << 16;
	default:
		return 0;
	}
}

static void ioapic_rte_write(struct ioapic *io, unsigned pin, uint32_t value)
{
	const struct irq_router *router = io->dev.board->router;
	uint64_t rte = io->rte[pin];

	if (io->regsel & 1)
		rte = (rte & UINT32_MAX) | (uint64_t)value << 32;
	else
		rte = (rte & ~(uint64_t)UINT32_MAX) | value;
	rte = (rte & RTE_WRITABLE) | (io->rte[pin] & RTE_REMOTE_IRR);
	/* An edge has no remote IRR; Linux clears a stuck one this way. */
	if (!(rte & RTE_LEVEL))
		rte &= ~RTE_REMOTE_IRR;
	io->rte[pin] = rte;
	if (ioapic_route(io, pin))
		router->commit(router->opaque);
	ioapic_check_level(io, pin);
}

static uint64_t ioapic_read(struct region *r, uint64_t off, unsigned size)
{
	const struct ioapic *io = container_of(r, struct ioapic, region);

	(void)size;
	if (off == IOAPIC_REGSEL)
		return io->regsel;
	return off == IOAPIC_WIN ? ioapic_win_read(io) : 0;
}

static void ioapic_write(struct region *r, uint64_t off, unsigned size,
			 uint64_t value)
{
	struct ioapic *io = container_of(r, struct ioapic, region);
	unsigned pin = ioapic_selected(io);

	(void)size;
	if (off == IOAPIC_REGSEL)
		io->regsel = (uint8_t)value;
	else if (off == IOAPIC_EOI)
		ioapic_end(io, value & RTE_VECTOR);
	else if (off == IOAPIC_WIN && pin < io->pins)
		ioapic_rte_write(io, pin, (uint32_t)value);
	else if (off == IOAPIC_WIN && io->regsel == IOAPIC_ID)
		io->id = (uint32_t)(value & ID_MASK);
}

static const struct region_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

static void ioapic_reset(struct device *d)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	io->id = 0;
	io->regsel = 0;
	for (unsigned i = 0; i < IOAPIC_PINS_MAX; i++)
		io->rte[i] = RTE_MASKED;
	ioapic_route_all(io);
}

static int ioapic_attach(struct device *d, struct err *e)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);
	int rc;

	if (!d->board->router)
		return err_set(e, -ENODEV,
			       "'ioapic' needs a machine that routes its "
			       "interrupts");
	io->region = (struct region){
		.name = "ioapic",
		.ops = &ioapic_ops,
		.dev = d,
		.base = io->base,
		.len = IOAPIC_LEN,
		.min = 4,
		.max = 4,
	};
	rc = space_add(d->board->mem, &io->region, e);
	if (rc)
		return rc;
	io->sink = (struct irq_sink){&ioapic_sink_ops, io};
	io->outer = d->board->irqs;
	d->board->irqs = &io->sink;
	return 0;
}

static void ioapic_detach(struct device *d)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	space_del(&io->region);
	if (d->board->irqs != &io->sink)
		return;
	d->board->irqs = io->outer;
	for (unsigned i = 0; i < IOAPIC_PINS_MAX; i++)
		io->rte[i] = RTE_MASKED;
	ioapic_route_all(io);
}

static int ioapic_loaded(struct device *d, struct err *e)
{
	struct ioapic *io = container_of(d, struct ioapic, dev);

	for (unsigned i = 0; i < IOAPIC_PINS_MAX; i++)
		if (io->rte[i] & ~(RTE_WRITABLE | RTE_REMOTE_IRR) ||
		    io->level[i] > 1)
			return err_set(e, -EINVAL,
				       "pin %u of the ioapic has impossible "
				       "bits",
				       i);
	ioapic_route_all(io);
	return 0;
}

static void ioapic_resources(const struct device *d, struct plat_resources *r)
{
	r->mem[0].base = container_of_const(d, struct ioapic, dev)->base;
	r->mem[0].len = IOAPIC_LEN;
}

static const struct prop ioapic_props[] = {
	PROP_U64(struct ioapic, base, "base", 0xfec00000, 0, UINT64_MAX,
		 "guest-physical address"),
	PROP_U8(struct ioapic, pins, "pins", 24, 1, IOAPIC_PINS_MAX,
		"number of lines"),
	PROP_END,
};

static const struct state_field ioapic_state[] = {
	STATE_DEVICE(struct ioapic),
	STATE_HOST(struct ioapic, region),
	STATE_HOST(struct ioapic, sink),
	STATE_HOST(struct ioapic, outer),
	STATE_DERIVED(struct ioapic, routed),
	STATE_HOST(struct ioapic, base),
	STATE_UINTS(struct ioapic, rte, 1),
	STATE_UINT(struct ioapic, id, 1),
	STATE_UINT(struct ioapic, regsel, 1),
	STATE_UINTS(struct ioapic, level, 1),
	STATE_HOST(struct ioapic, pins),
	STATE_END,
};

static const struct plat_class ioapic_plat = {
	.resources = ioapic_resources,
};

VIREO_DEVICE(ioapic,
	.name = "ioapic",
	.summary = "I/O APIC in user space",
	.category = CATEGORY_BRIDGE,
	.bus = "System",
	.no_user = true,
	.size = sizeof(struct ioapic),
	.props = ioapic_props,
	.state = ioapic_state,
	.attach = ioapic_attach,
	.detach = ioapic_detach,
	.reset = ioapic_reset,
	.loaded = ioapic_loaded,
	.flavour = &ioapic_plat);
