/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines: boards as lists of buses, devices and address windows. `-M NAME`
 * picks a class from machine_classes[]; its properties come from a table like
 * everything else's.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/prop.h"
#include "base/types.h"

struct machine;
struct vm;

struct machine_class {
	const char *name, *alias; /* alias may be NULL */
	const char *summary;
	bool is_default;
	size_t size; /* of its object; struct machine is first */
	const struct prop *props;
	unsigned max_cpus;
	/*
	 * build: buses and the board's own devices, before the -device ones.
	 * boot: tables and kernel, into clean or used memory; called for
	 * every start of the guest. Half-built is for fini to undo.
	 */
	int (*build)(struct machine *m, struct err *e);
	int (*boot)(struct machine *m, bool fresh, struct err *e);
	void (*fini)(struct machine *m);
	/* A level-triggered vector was acknowledged (split irqchip). On a
	 * vCPU's thread. NULL: nobody wants to know. */
	void (*eoi)(struct machine *m, unsigned vector);
};

extern const struct machine_class *const machine_classes[]; /* NULL-ended */
const struct machine_class *machine_class_find(const char *name);

struct machine {
	const struct machine_class *class;
	struct vm *vm;
};
