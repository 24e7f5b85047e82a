/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One view of all the tables whose names a user may write: machines, CPU
 * models, devices, back ends, … Help, man page and completions are made from
 * it, so a new class shows up in all of them by being in its own table.
 *
 * Threads: main.
 */
#pragma once

#include "base/prop.h"
#include "base/types.h"

/* A name in a table. */
struct help_entry {
	const char *name, *alias; /* alias may be NULL */
	const char *summary;      /* may be NULL */
	const char *group;        /* heading in lists; NULL: none */
	const char *bus;          /* what a device plugs into; else NULL */
	const struct prop *props; /* may be NULL */
	/* Members that hold the nodes beneath a block node; may be NULL. */
	const char *const *children;
	bool is_default;
};

/* A table, as an option's first value picks from it. */
struct help_kind {
	const char *what;    /* one of them, in messages: "Device" */
	const char *heading; /* of a list of all, with a colon */
	bool has_props;      /* `NAME,help` makes sense */
	/* Properties that all of them have; may be NULL. */
	const struct prop *common;
	/* And those of a member that is an object, `nest.prop=`; or NULL. */
	const char *nest;
	const struct prop *nested;
	/* What else goes with all of them, under a heading; or NULL. */
	const char *words_heading;
	const char *(*word_at)(size_t i);
	/* The i-th, in the order of lists; false: there is none. */
	bool (*at)(size_t i, struct help_entry *ret);
};

extern const struct help_kind help_machines, help_accels, help_cpus,
	help_devices, help_objects, help_blockdevs, help_netdevs, help_chardevs,
	help_log_topics;

/* The entry of that name or alias. */
bool help_find(const struct help_kind *k, const char *name,
	       struct help_entry *ret);
