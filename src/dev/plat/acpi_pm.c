/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi-pm: the registers by which a guest on hardware-reduced ACPI powers the
 * machine off and resets it.
 *
 * Spec: ACPI 6.4, 4.8.3.6 (reset register), 4.8.3.7 (sleep control and status
 *       registers), 7.4.2 (\_Sx).
 * Threads: region handlers under d->lock.
 * State: the sleep type last written.
 */
#include "bus/plat.h"

#include "base/num.h"

/* ACPI 6.4, table 4.24: bits of the sleep control register. */
#define SLP_TYP MASK(4, 2)
#define SLP_EN  BIT(5)

struct acpi_pm {
	struct device dev;
	struct region region;
	uint16_t iobase;
	uint8_t control; /* without SLP_EN, which reads as 0 */
};

static uint64_t acpi_pm_read(struct region *r, uint64_t off, unsigned size)
{
	const struct acpi_pm *pm = container_of(r, struct acpi_pm, region);

	(void)size;
	/* The status is 0: this machine never woke up (WAK_STS). */
	return off == ACPI_PM_SLEEP_CONTROL ? pm->control : 0;
}

static void acpi_pm_sleep(struct acpi_pm *pm, uint64_t value)
{
	uint64_t type = FIELD_GET(SLP_TYP, value);

	pm->control = (uint8_t)(value & SLP_TYP);
	if (!(value & SLP_EN))
		return;
	if (type == ACPI_PM_SLP_TYP_S5)
		pm->dev.board->request(pm->dev.board, BOARD_SHUTDOWN, 0);
	else
		guest_err(&pm->dev, "sleep type %u is in no \\_Sx (ACPI 7.4.2)",
			  (unsigned)type);
}

static void acpi_pm_write(struct region *r, uint64_t off, unsigned size,
			  uint64_t value)
{
	struct acpi_pm *pm = container_of(r, struct acpi_pm, region);

	(void)size;
	if (off == ACPI_PM_SLEEP_CONTROL)
		acpi_pm_sleep(pm, value);
	else if (off == ACPI_PM_RESET && value == ACPI_PM_RESET_VALUE)
		pm->dev.board->request(pm->dev.board, BOARD_RESET, 0);
}

static const struct region_ops acpi_pm_ops = {
	.read = acpi_pm_read,
	.write = acpi_pm_write,
};

static void acpi_pm_reset(struct device *d)
{
	container_of(d, struct acpi_pm, dev)->control = 0;
}

static int acpi_pm_attach(struct device *d, struct err *e)
{
	struct acpi_pm *pm = container_of(d, struct acpi_pm, dev);

	pm->region = (struct region){
		.name = "acpi-pm",
		.ops = &acpi_pm_ops,
		.dev = d,
		.base = pm->iobase,
		.len = ACPI_PM_LEN,
		.max = 1,
	};
	return space_add(d->board->ports, &pm->region, e);
}

static void acpi_pm_detach(struct device *d)
{
	space_del(&container_of(d, struct acpi_pm, dev)->region);
}

static void acpi_pm_resources(const struct device *d, struct plat_resources *r)
{
	r->ports[0].base = container_of_const(d, struct acpi_pm, dev)->iobase;
	r->ports[0].len = ACPI_PM_LEN;
}

static const struct prop acpi_pm_props[] = {
	PROP_U16(struct acpi_pm, iobase, "iobase", 0x600, 0, 0xfffc,
		 "first port"),
	PROP_END,
};

static const struct state_field acpi_pm_state[] = {
	STATE_DEVICE(struct acpi_pm),
	STATE_HOST(struct acpi_pm, region),
	STATE_HOST(struct acpi_pm, iobase),
	STATE_UINT(struct acpi_pm, control, 1),
	STATE_END,
};

/* No hardware id: the FADT points at it. */
static const struct plat_class acpi_pm_plat = {
	.resources = acpi_pm_resources,
};

VIREO_DEVICE(acpi_pm,
	.name = "acpi-pm",
	.summary = "power-off and reset registers of hardware-reduced ACPI",
	.category = CATEGORY_BRIDGE,
	.bus = "System",
	.no_user = true,
	.size = sizeof(struct acpi_pm),
	.props = acpi_pm_props,
	.state = acpi_pm_state,
	.attach = acpi_pm_attach,
	.detach = acpi_pm_detach,
	.reset = acpi_pm_reset,
	.flavour = &acpi_pm_plat);
