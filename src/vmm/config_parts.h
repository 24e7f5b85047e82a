/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps that turn options as written into the configuration as
 * vmm/config.h describes it; run by config_parse() in this order.
 *
 * Threads: main.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct json_object;
struct vm_config;

/* Adds value (owned from here) to *array, which is made where it is NULL. */
int config_add(struct json_object **array, struct json_object *value,
	       struct err *e);

/* What config_where() says of conf: the option (without its dash) and its
 * argument, which is cut where it is long. */
int config_set_where(struct json_object *conf, const char *option,
		     const char *arg, struct err *e);

/* Has an object of array (or NULL) the string value under key? */
bool config_has(struct json_object *array, const char *key, const char *value);

/* c->smp, if given: every member filled in, and their product checked. */
int config_finish_smp(struct vm_config *c, struct err *e);

/* c->memory, if given: "size" becomes a number of bytes. */
int config_finish_memory(struct vm_config *c, struct err *e);

/* c->drives: each becomes an entry of c->blockdevs and, with if=virtio, one
 * of c->devices. */
int config_expand_drives(struct vm_config *c, struct err *e);

/*
 * The expansion of one -drive by itself: a new -blockdev object and, with
 * if=virtio, a new -device object (else NULL). nth is for the name of a drive
 * without id. is_snapshot: as if it had snapshot=on.
 */
int drive_expand(struct json_object *drive, unsigned nth, bool is_snapshot,
		 struct json_object **blockdev, struct json_object **device,
		 struct err *e);

/* c->serials: each becomes the id of a -chardev (an entry of c->chardevs is
 * made where need be) or "none"; without any, the default is added. */
int config_expand_serials(struct vm_config *c, struct err *e);

/*
 * The expansion of one -serial by itself. *ret is a new -chardev object with
 * the id given; NULL for none, and for chardev:ID.
 */
int serial_expand(const char *arg, const char *id, struct json_object **ret,
		  struct err *e);
