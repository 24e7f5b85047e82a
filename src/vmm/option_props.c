/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property tables of the options whose keys are always the same.
 *
 * Threads: main.
 */
#include "vmm/option_props.h"

#include "vmm/config.h"

#define SMP_MAX 4096

static const char *const sandbox_words[] = {"on", "log", "off", NULL};
static const char *const deny_only[] = {"deny", NULL};

static const char *const reboot_words[] = {
	[ACTION_REBOOT_RESET] = "reset",
	[ACTION_REBOOT_SHUTDOWN] = "shutdown",
	NULL,
};

static const char *const shutdown_words[] = {
	[ACTION_SHUTDOWN_POWEROFF] = "poweroff",
	[ACTION_SHUTDOWN_PAUSE] = "pause",
	NULL,
};

static const char *const panic_words[] = {
	[ACTION_PANIC_SHUTDOWN] = "shutdown",
	[ACTION_PANIC_PAUSE] = "pause",
	[ACTION_PANIC_EXIT_FAILURE] = "exit-failure",
	[ACTION_PANIC_NONE] = "none",
	NULL,
};

const struct prop accel_props[] = {
	PROP_STR_REQUIRED(struct accel_option, accel, "accel",
			  "name of the accelerator"),
	PROP_END,
};

const struct prop smp_props[] = {
	PROP_U32(struct smp_option, cpus, "cpus", 0, 1, SMP_MAX,
		 "processors at the start"),
	PROP_U32(struct smp_option, sockets, "sockets", 0, 1, SMP_MAX,
		 "processor packages"),
	PROP_U32(struct smp_option, dies, "dies", 0, 1, SMP_MAX,
		 "dies in a socket"),
	PROP_U32(struct smp_option, cores, "cores", 0, 1, SMP_MAX,
		 "cores on a die"),
	PROP_U32(struct smp_option, threads, "threads", 0, 1, SMP_MAX,
		 "threads of a core"),
	PROP_U32(struct smp_option, maxcpus, "maxcpus", 0, 1, SMP_MAX,
		 "processors there can be"),
	PROP_END,
};

const struct prop memory_props[] = {
	PROP_STR_REQUIRED(struct memory_option, size, "size",
			  "bytes of memory; in MiB without a suffix"),
	PROP_END,
};

const struct prop name_props[] = {
	PROP_STR(struct name_option, guest, "guest", NULL, "name of the guest"),
	PROP_STR(struct name_option, process, "process", NULL,
		 "name of the process"),
	PROP_END,
};

const struct prop global_props[] = {
	PROP_STR_REQUIRED(struct global_option, driver, "driver",
			  "name of the kind of device"),
	PROP_STR_REQUIRED(struct global_option, property, "property",
			  "name of the property"),
	PROP_STR_REQUIRED(struct global_option, value, "value",
			  "its value unless -device says otherwise"),
	PROP_END,
};

const struct prop sandbox_props[] = {
	PROP_ENUM(struct sandbox_option, enable, "enable", 0, sandbox_words,
		  "whether the process is confined"),
	PROP_ENUM(struct sandbox_option, obsolete, "obsolete", 0, deny_only,
		  "obsolete system calls"),
	PROP_ENUM(struct sandbox_option, elevateprivileges, "elevateprivileges",
		  0, deny_only, "system calls that gain privileges"),
	PROP_ENUM(struct sandbox_option, spawn, "spawn", 0, deny_only,
		  "system calls that start processes"),
	PROP_ENUM(struct sandbox_option, resourcecontrol, "resourcecontrol", 0,
		  deny_only, "system calls that set affinity and priority"),
	PROP_END,
};

const struct prop action_props[] = {
	PROP_ENUM(struct vm_config, on_reboot, "reboot", ACTION_REBOOT_RESET,
		  reboot_words, "where the guest asks for a reset"),
	PROP_ENUM(struct vm_config, on_shutdown, "shutdown",
		  ACTION_SHUTDOWN_POWEROFF, shutdown_words,
		  "where the guest powers off"),
	PROP_ENUM(struct vm_config, on_panic, "panic", ACTION_PANIC_SHUTDOWN,
		  panic_words, "where the guest panics"),
	PROP_END,
};
