/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line asked for: every option, parsed and checked in form,
 * in the order given. Meaning (ids, buses, machine) is worked out from it by
 * the machine.
 *
 * Threads: main, read-only once parsed.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct json_object;

enum action_reboot { ACTION_REBOOT_RESET, ACTION_REBOOT_SHUTDOWN };
enum action_shutdown { ACTION_SHUTDOWN_POWEROFF, ACTION_SHUTDOWN_PAUSE };
enum action_panic {
	ACTION_PANIC_SHUTDOWN,
	ACTION_PANIC_PAUSE,
	ACTION_PANIC_EXIT_FAILURE,
	ACTION_PANIC_NONE,
};

/* Members are NULL where the option was not given. Objects and arrays are
 * json-c's, owned by the configuration; strings are owned too. */
struct vm_config {
	struct json_object *machine; /* -M, merged: "type", properties */
	struct json_object *memory;  /* "size": bytes, an integer */
	/* Integers, all there and their product checked: "cpus", "sockets",
	 * "dies", "cores", "threads", "maxcpus". */
	struct json_object *smp;
	struct json_object *sandbox; /* "enable": "on", "log" or "off" */
	struct json_object *names;   /* -name: "guest", "process" */
	/* Arrays of objects, one a use of the option; what -drive and -serial
	 * stand for is among them. config_where() names the option. */
	struct json_object *devices, *blockdevs, *chardevs, *netdevs;
	struct json_object *objects, *globals, *smbios;
	/* Array of strings, one a serial port: the id of its chardev, or
	 * "none". Has the default where there is one. */
	struct json_object *serials;
	struct json_object *drives; /* -drive as written: for the parser */
	char *cpu;                  /* "host,+x2apic,-avx512f" as written */
	char *other_accel;          /* the first that vireo does not have */
	char *kernel, *initrd, *append, *dtb, *pidfile, *uuid;
	bool has_kvm; /* among the accelerators named */
	bool daemonize, nodefaults, no_user_config, nographic, snapshot;
	int on_reboot, on_shutdown, on_panic; /* enum action_* */
};

/* What is left to do after the options are parsed. */
enum config_outcome {
	CONFIG_RUN,  /* run the machine */
	CONFIG_DONE, /* help or version was printed: exit 0 */
};

/*
 * Parses the command line into *c, which was zero before and is the caller's
 * to config_fini() also after a failure. Help texts go to stdout. An unknown
 * option, property or value is an error naming it and the nearest known name.
 * Logging options (-d, -D) take effect at once.
 */
int config_parse(struct vm_config *c, int argc, char **argv,
		 enum config_outcome *ret, struct err *e);
void config_fini(struct vm_config *c);

/* "-device virtio-blk-device,drive=d0" of an object of the arrays above, for
 * messages; "" where it did not come from an option. */
const char *config_where(struct json_object *conf);
