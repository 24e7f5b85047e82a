/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: which back end holds it, and where it lies.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct memory_backend;
struct vm;

/*
 * RAM of -m (or of `backend`, if not NULL) from address 0 to low_end, the rest
 * from high_start: into vm->gmem and KVM's slots. Before the irqchip.
 */
int memory_build(struct vm *vm, struct memory_backend *backend,
		 uint64_t low_end, uint64_t high_start, struct err *e);

/*
 * Registers RAM with the loop, where all of it is populated anyway, so that
 * I/O into it need not find and pin its pages each time. Before loop_seal().
 */
void memory_register(struct vm *vm);
