/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two buses without slots: a device on them brings its own addresses.
 *
 * Spec: none.
 * Threads: main.
 * State: none.
 */
#include "bus/plat.h"

const struct bus_type plat_bus_type = {.name = "System"};
const struct bus_type isa_bus_type = {.name = "ISA"};

bool plat_resources_of(const struct device *d, struct plat_resources *r)
{
	const struct plat_class *c = d->class->flavour;

	*r = (struct plat_resources){.irq = {-1, -1}};
	if (!c)
		return false;
	c->resources(d, r);
	return true;
}
