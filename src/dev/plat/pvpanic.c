/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic: a port by which the guest's kernel says that it crashed.
 *
 * Spec: QEMU docs/specs/pvpanic; Linux include/uapi/misc/pvpanic.h.
 * Threads: region handlers under d->lock.
 * State: none.
 */
#include "bus/plat.h"

#include "base/num.h"

#define PVPANIC_PANICKED     BIT(0)
#define PVPANIC_CRASH_LOADED BIT(1)
#define PVPANIC_SHUTDOWN     BIT(2)
#define PVPANIC_KNOWN                                                          \
	(PVPANIC_PANICKED | PVPANIC_CRASH_LOADED | PVPANIC_SHUTDOWN)

struct pvpanic {
	struct device dev;
	struct region region;
	uint16_t ioport;
	uint8_t events; /* offered */
};

static uint64_t pvpanic_read(struct region *r, uint64_t off, unsigned size)
{
	(void)off;
	(void)size;
	return container_of(r, struct pvpanic, region)->events;
}

static void pvpanic_write(struct region *r, uint64_t off, unsigned size,
			  uint64_t value)
{
	struct pvpanic *p = container_of(r, struct pvpanic, region);
	struct board *b = p->dev.board;

	(void)off;
	(void)size;
	if (value & ~(uint64_t)p->events)
		guest_err(&p->dev, "event 0x%x is not among those offered",
			  (unsigned)value);
	value &= p->events;
	if (value & PVPANIC_PANICKED)
		b->request(b, BOARD_PANIC, 0);
	else if (value & PVPANIC_CRASH_LOADED)
		b->request(b, BOARD_CRASHLOAD, 0);
	else if (value & PVPANIC_SHUTDOWN)
		b->request(b, BOARD_SHUTDOWN, 0);
}

static const struct region_ops pvpanic_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
};

static int pvpanic_attach(struct device *d, struct err *e)
{
	struct pvpanic *p = container_of(d, struct pvpanic, dev);

	p->region = (struct region){
		.name = "pvpanic",
		.ops = &pvpanic_ops,
		.dev = d,
		.base = p->ioport,
		.len = 1,
		.max = 1,
	};
	return space_add(d->board->ports, &p->region, e);
}

static void pvpanic_detach(struct device *d)
{
	struct pvpanic *p = container_of(d, struct pvpanic, dev);

	space_del(&p->region);
}

static void pvpanic_resources(const struct device *d, struct plat_resources *r)
{
	const struct pvpanic *p = container_of_const(d, struct pvpanic, dev);

	r->ports[0].base = p->ioport;
	r->ports[0].len = 1;
}

static const struct prop pvpanic_props[] = {
	PROP_U16(struct pvpanic, ioport, "ioport", 0x505, 0, 0xffff, "port"),
	PROP_U8(struct pvpanic, events, "events",
		PVPANIC_PANICKED | PVPANIC_CRASH_LOADED, 0, PVPANIC_KNOWN,
		"events offered: 1 panic, 2 crash kernel, 4 shutdown"),
	PROP_END,
};

static const struct state_field pvpanic_state[] = {
	STATE_DEVICE(struct pvpanic),
	STATE_HOST(struct pvpanic, region),
	STATE_HOST(struct pvpanic, ioport),
	STATE_HOST(struct pvpanic, events),
	STATE_END,
};

static const struct plat_class pvpanic_plat = {
	.acpi_hid = "QEMU0001",
	.acpi_name = "PEVT",
	.resources = pvpanic_resources,
};

VIREO_DEVICE(pvpanic,
	.name = "pvpanic",
	.summary = "report of a guest's crash",
	.category = CATEGORY_MISC,
	.bus = "ISA",
	.size = sizeof(struct pvpanic),
	.props = pvpanic_props,
	.state = pvpanic_state,
	.attach = pvpanic_attach,
	.detach = pvpanic_detach,
	.flavour = &pvpanic_plat);
