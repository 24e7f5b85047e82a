/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of the options that have a fixed set of them.
 *
 * Threads: main.
 */
#pragma once

#include "base/prop.h"

struct accel_option {
	char *accel;
};

/* 0: not given. */
struct smp_option {
	uint32_t cpus, sockets, dies, cores, threads, maxcpus;
};

/* The size is text since its unit is MiB. */
struct memory_option {
	char *size;
};

struct name_option {
	char *guest, *process;
};

struct global_option {
	char *driver, *property, *value;
};

struct sandbox_option {
	int enable, obsolete, elevateprivileges, spawn, resourcecontrol;
};

struct drive_option {
	char *file, *format, *id, *serial, *aio, *discard, *detect_zeroes;
	int iface, cache, media;
	bool readonly, read_only, snapshot;
	uint32_t index;
};

extern const struct prop accel_props[], smp_props[], memory_props[],
	name_props[], global_props[], sandbox_props[], drive_props[],
	action_props[]; /* of struct vm_config */
