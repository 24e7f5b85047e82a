/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table: one row an option. The command line parser, `-h`, the man
 * page and the shell completions all read it.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/prop.h"
#include "base/types.h"
#include "vmm/config.h"

/* Headings of -h and of the man page, in their order. */
enum option_group {
	OPTION_MACHINE,
	OPTION_BOOT,
	OPTION_DEVICES,
	OPTION_RUN,
	OPTION_HELP,
	OPTION_GROUPS,
};

extern const char *const option_group_names[OPTION_GROUPS];

/* What a shell may offer for an argument, beyond help's names. */
enum option_words {
	OPTION_WORDS_NONE,
	OPTION_WORDS_FILE,
};

struct help_kind;
struct option;

/* One use of an option. */
struct option_use {
	const struct option *opt;
	const char *arg;     /* NULL where the option takes none */
	struct vm_config *c; /* what the use changes */
	bool is_done;        /* set: help was printed, nothing is left to do */
};

struct option {
	const char *name;  /* without '-'; NULL ends the table */
	const char *alias; /* second name, or NULL */
	enum option_group group;
	const char *arg;  /* form of the argument; NULL: takes none */
	const char *text; /* what it does: sentences, for -h and man page */
	/* Carries out one use. -EINVAL etc. without "-NAME ARG: ". */
	int (*take)(struct option_use *u, struct err *e);
	size_t offset; /* of the member of struct vm_config that it sets */
	/* Of options that take `k=v,…`: */
	const char *implied;      /* key of a first value without '=' */
	unsigned flags;           /* enum keyval_flags */
	const struct prop *props; /* every key there is, or NULL: it depends */
	size_t props_size;        /* of the object that props describes */
	const struct help_kind *kind; /* what the first value names, or NULL */
	enum option_words words;
	const char *const *values; /* words the value is or starts with */
};

extern const struct option options[];

/* The row of that name or alias, or NULL. */
const struct option *option_find(const char *name);
/* The nearest name to a word that is none, or NULL. */
const char *option_nearest(const char *name);

/* The `take` slots of the table (option_take.c). */
int option_take_flag(struct option_use *u, struct err *e);
int option_take_string(struct option_use *u, struct err *e);
int option_take_list(struct option_use *u, struct err *e);
int option_take_merge(struct option_use *u, struct err *e);
int option_take_value(struct option_use *u, struct err *e);
int option_take_machine(struct option_use *u, struct err *e);
int option_take_accel(struct option_use *u, struct err *e);
int option_take_enable_kvm(struct option_use *u, struct err *e);
int option_take_cpu(struct option_use *u, struct err *e);
int option_take_serial(struct option_use *u, struct err *e);
int option_take_global(struct option_use *u, struct err *e);
int option_take_action(struct option_use *u, struct err *e);
int option_take_no_reboot(struct option_use *u, struct err *e);
int option_take_no_shutdown(struct option_use *u, struct err *e);
int option_take_log(struct option_use *u, struct err *e);
int option_take_log_file(struct option_use *u, struct err *e);
int option_take_version(struct option_use *u, struct err *e);
int option_take_help(struct option_use *u, struct err *e);
