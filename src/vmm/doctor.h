/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `vireo doctor`: what this host offers, and what to do about what it does
 * not.
 *
 * Threads: main, alone.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"

/*
 * Examines the host and prints one line a facility: name, "ok", "limited",
 * "missing" or "unknown", and what there is or the remedy. The process's exit
 * status: 0 if an unmodified kernel can be booted here, else 1.
 */
int doctor_run(FILE *out);

/*
 * Before a Linux kernel is entered: -ENOTSUP where this host's KVM interprets
 * kernel code and lacks instructions that every Linux kernel uses. It would
 * run for minutes, print nothing, and then fail.
 */
int doctor_check_linux(struct err *e);
