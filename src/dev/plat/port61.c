/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port61: the NMI status and control port of a PC, without the timer and the
 * speaker behind it. Linux reads there why an NMI came, and waits for the
 * timer's output when it calibrates its clocks.
 *
 * Spec: Intel ICH9 datasheet, 13.7.1 (NMI_SC).
 * Threads: region handlers under d->lock.
 * State: the bits that can be written, and the refresh bit.
 */
#include "bus/plat.h"

#include "base/num.h"

#define NMI_SC_PORT     0x61
#define NMI_SC_WRITABLE MASK(3, 0)
#define NMI_SC_REFRESH  BIT(4) /* toggles: "memory is being refreshed" */
/*
 * The output of counter 2, which is not there: up, as after its interval, so
 * that nobody waits for it (the top two bits, system and I/O check, are 0).
 */
#define NMI_SC_TMR2_OUT BIT(5)

struct port61 {
	struct device dev;
	struct region region;
	uint8_t control;
	uint8_t refresh;
};

static uint64_t port61_read(struct region *r, uint64_t off, unsigned size)
{
	struct port61 *p = container_of(r, struct port61, region);

	(void)off;
	(void)size;
	p->refresh ^= NMI_SC_REFRESH;
	return NMI_SC_TMR2_OUT | p->refresh | p->control;
}

static void port61_write(struct region *r, uint64_t off, unsigned size,
			 uint64_t value)
{
	(void)off;
	(void)size;
	container_of(r, struct port61, region)->control =
		(uint8_t)(value & NMI_SC_WRITABLE);
}

static const struct region_ops port61_ops = {
	.read = port61_read,
	.write = port61_write,
};

static void port61_reset(struct device *d)
{
	struct port61 *p = container_of(d, struct port61, dev);

	p->control = 0;
	p->refresh = 0;
}

static int port61_attach(struct device *d, struct err *e)
{
	struct port61 *p = container_of(d, struct port61, dev);

	p->region = (struct region){
		.name = "port61",
		.ops = &port61_ops,
		.dev = d,
		.base = NMI_SC_PORT,
		.len = 1,
		.max = 1,
	};
	return space_add(d->board->ports, &p->region, e);
}

static void port61_detach(struct device *d)
{
	space_del(&container_of(d, struct port61, dev)->region);
}

static void port61_resources(const struct device *d, struct plat_resources *r)
{
	(void)d;
	r->ports[0].base = NMI_SC_PORT;
	r->ports[0].len = 1;
}

static const struct state_field port61_state[] = {
	STATE_DEVICE(struct port61),
	STATE_HOST(struct port61, region),
	STATE_UINT(struct port61, control, 1),
	STATE_UINT(struct port61, refresh, 1),
	STATE_END,
};

static const struct plat_class port61_plat = {
	.resources = port61_resources,
};

VIREO_DEVICE(port61,
	.name = "port61",
	.summary = "NMI status and control port",
	.category = CATEGORY_BRIDGE,
	.bus = "ISA",
	.no_user = true,
	.size = sizeof(struct port61),
	.state = port61_state,
	.attach = port61_attach,
	.detach = port61_detach,
	.reset = port61_reset,
	.flavour = &port61_plat);
