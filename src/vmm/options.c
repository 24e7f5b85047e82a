/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the option table, in the order of the help text.
 *
 * Threads: main.
 */
#include <stddef.h>
#include <string.h>

#include "base/keyval.h"
#include "vmm/help_kinds.h"
#include "vmm/option.h"
#include "vmm/option_props.h"

const char *const option_group_names[OPTION_GROUPS] = {
	[OPTION_MACHINE] = "Machine",
	[OPTION_BOOT] = "Kernel",
	[OPTION_DEVICES] = "Devices and back ends",
	[OPTION_RUN] = "Running",
	[OPTION_HELP] = "Help and logging",
};

static const char *const none_only[] = {"none", NULL};

static const char *const serial_values[] = {
	"stdio", "none",  "null", "pty",      "file:",
	"pipe:", "unix:", "tcp:", "chardev:", NULL};

#define CONFIG(member) .offset = offsetof(struct vm_config, member)

const struct option options[] = {
	{
		.name = "M",
		.alias = "machine",
		.group = OPTION_MACHINE,
		.arg = "[type=]NAME[,prop=value...]",
		.text = "The board and its properties. Later uses add to "
			"earlier ones. accel=NAME is the same as -accel NAME. "
			"-M help lists the boards, -M NAME,help the "
			"properties of one.",
		.take = option_take_machine,
		CONFIG(machine),
		.implied = "type",
		.kind = &help_machines,
	},
	{
		.name = "accel",
		.group = OPTION_MACHINE,
		.arg = "[accel=]NAME",
		.text = "What runs the guest's instructions: kvm, which is "
			"the default. Others, in a further -accel or as in -M "
			"accel=kvm:tcg, are alternatives that vireo does not "
			"have.",
		.take = option_take_accel,
		.implied = "accel",
		.props = accel_props,
		.props_size = sizeof(struct accel_option),
		.kind = &help_accels,
	},
	{
		.name = "enable-kvm",
		.group = OPTION_MACHINE,
		.text = "The same as -accel kvm.",
		.take = option_take_enable_kvm,
	},
	{
		.name = "cpu",
		.group = OPTION_MACHINE,
		.arg = "MODEL[,+FEATURE][,-FEATURE][,FEATURE=on|off]"
		       "[,prop=value]...",
		.text = "The processor that the guest sees, with features "
			"added and taken away; host by default. -cpu help "
			"lists models, properties and features.",
		.take = option_take_cpu,
		CONFIG(cpu),
		.kind = &help_cpus,
	},
	{
		.name = "smp",
		.group = OPTION_MACHINE,
		.arg = "[cpus=]N[,sockets=S][,dies=D][,cores=C][,threads=T]",
		.text = "The number of processors, 1 by default, and how they "
			"are arranged. What is left out is worked out from "
			"the rest, cores first. Processors cannot be plugged "
			"in later, so maxcpus, if given, equals cpus.",
		.take = option_take_merge,
		CONFIG(smp),
		.implied = "cpus",
		.props = smp_props,
		.props_size = sizeof(struct smp_option),
	},
	{
		.name = "m",
		.group = OPTION_MACHINE,
		.arg = "[size=]SIZE",
		.text = "The guest's memory, 128M by default. SIZE is in MiB, "
			"or has a suffix of B, K, M, G, T.",
		.take = option_take_merge,
		CONFIG(memory),
		.implied = "size",
		.props = memory_props,
		.props_size = sizeof(struct memory_option),
	},
	{
		.name = "name",
		.group = OPTION_MACHINE,
		.arg = "[guest=]NAME[,process=NAME]",
		.text = "The name of the guest, for those who look at the "
			"command line; and the name of the process, cut at "
			"15 bytes.",
		.take = option_take_merge,
		CONFIG(names),
		.implied = "guest",
		.props = name_props,
		.props_size = sizeof(struct name_option),
	},
	{
		.name = "uuid",
		.group = OPTION_MACHINE,
		.arg = "UUID",
		.text = "The system's universal unique id, which the guest "
			"finds in SMBIOS.",
		.take = option_take_string,
		CONFIG(uuid),
	},
	{
		.name = "smbios",
		.group = OPTION_MACHINE,
		.arg = "type=1[,manufacturer=TEXT][,product=TEXT]"
		       "[,version=TEXT][,serial=TEXT][,uuid=UUID][,sku=TEXT]"
		       "[,family=TEXT]",
		.text = "The system information that the guest finds in "
			"SMBIOS.",
		.take = option_take_list,
		CONFIG(smbios),
	},
	{
		.name = "kernel",
		.group = OPTION_BOOT,
		.arg = "FILE",
		.text = "The guest's kernel: a Linux bzImage (vmlinuz) or an "
			"ELF vmlinux.",
		.take = option_take_string,
		CONFIG(kernel),
		.words = OPTION_WORDS_FILE,
	},
	{
		.name = "initrd",
		.group = OPTION_BOOT,
		.arg = "FILE",
		.text = "The initial RAM disk that the kernel gets.",
		.take = option_take_string,
		CONFIG(initrd),
		.words = OPTION_WORDS_FILE,
	},
	{
		.name = "append",
		.group = OPTION_BOOT,
		.arg = "TEXT",
		.text = "The kernel's command line.",
		.take = option_take_string,
		CONFIG(append),
	},
	{
		.name = "dtb",
		.group = OPTION_BOOT,
		.arg = "FILE",
		.text = "The device tree that the kernel gets, in place of "
			"the one that vireo makes.",
		.take = option_take_string,
		CONFIG(dtb),
		.words = OPTION_WORDS_FILE,
	},
	{
		.name = "device",
		.group = OPTION_DEVICES,
		.arg = "NAME[,id=ID][,bus=BUS][,prop=value...]",
		.text = "Adds a device. -device help lists the devices, "
			"-device NAME,help the properties of one. JSON is "
			"accepted.",
		.take = option_take_list,
		CONFIG(devices),
		.implied = "driver",
		.flags = KEYVAL_BARE_BOOL,
		.kind = &help_devices,
	},
	{
		.name = "global",
		.group = OPTION_DEVICES,
		.arg = "DRIVER.PROP=VALUE",
		.text = "Another default for a property of all devices of a "
			"kind. Also driver=DRIVER,property=PROP,value=VALUE.",
		.take = option_take_global,
		CONFIG(globals),
		.props = global_props,
		.props_size = sizeof(struct global_option),
	},
	{
		.name = "blockdev",
		.group = OPTION_DEVICES,
		.arg = "[driver=]NAME,node-name=ID[,prop=value...]",
		.text = "Opens a block node, which a device names by drive=ID "
			"and another node by file=ID. JSON is accepted.",
		.take = option_take_list,
		CONFIG(blockdevs),
		.implied = "driver",
		.kind = &help_blockdevs,
	},
	{
		.name = "drive",
		.group = OPTION_DEVICES,
		.arg = "file=FILE[,if=virtio|none][,id=ID][,format=raw]"
		       "[,readonly=on|off]"
		       "[,cache=writeback|none|writethrough|directsync|unsafe]"
		       "[,aio=io_uring][,discard=unmap|ignore]"
		       "[,snapshot=on|off]"
		       "[,serial=TEXT]",
		.text = "A disk in one option: the -blockdev nodes for FILE "
			"and, with if=virtio (the default), the device. With "
			"if=none a -device names it by drive=ID. With "
			"snapshot=on writes go to a temporary file in TMPDIR "
			"or /var/tmp, and are forgotten at the end.",
		.take = option_take_list,
		CONFIG(drives),
		.flags = KEYVAL_BARE_BOOL | KEYVAL_NO_JSON,
		.props = drive_props,
		.props_size = sizeof(struct drive_option),
	},
	{
		.name = "snapshot",
		.group = OPTION_DEVICES,
		.text = "As snapshot=on with every -drive.",
		.take = option_take_flag,
		CONFIG(snapshot),
	},
	{
		.name = "netdev",
		.group = OPTION_DEVICES,
		.arg = "[type=]NAME,id=ID[,prop=value...]",
		.text = "Opens a network back end, which a device names by "
			"netdev=ID. JSON is accepted.",
		.take = option_take_list,
		CONFIG(netdevs),
		.implied = "type",
		.flags = KEYVAL_BARE_BOOL,
		.kind = &help_netdevs,
	},
	{
		.name = "chardev",
		.group = OPTION_DEVICES,
		.arg = "[backend=]NAME,id=ID[,prop=value...]",
		.text = "Opens a character back end, which a device names by "
			"chardev=ID.",
		.take = option_take_list,
		CONFIG(chardevs),
		.implied = "backend",
		.flags = KEYVAL_BARE_BOOL | KEYVAL_NO_JSON,
		.kind = &help_chardevs,
	},
	{
		.name = "object",
		.group = OPTION_DEVICES,
		.arg = "[qom-type=]NAME,id=ID[,prop=value...]",
		.text = "Makes an object that devices and the machine refer "
			"to: memory, a source of entropy. JSON is accepted.",
		.take = option_take_list,
		CONFIG(objects),
		.implied = "qom-type",
		.kind = &help_objects,
	},
	{
		.name = "serial",
		.group = OPTION_DEVICES,
		.arg = "stdio|none|null|pty|file:FILE|pipe:PATH|"
		       "unix:PATH[,server=on]|tcp:HOST:PORT|chardev:ID",
		.text = "Where the next serial port (COM1 first) leads to: "
			"the terminal, nowhere (the port is there, unless "
			"none), a new terminal, whose name is logged, a file, "
			"two FIFOs, a socket, or a -chardev. Without any "
			"-serial, the "
			"first port is on stdio, unless -nodefaults, a "
			"-chardev stdio or -device isa-serial says otherwise.",
		.take = option_take_serial,
		CONFIG(serials),
		.values = serial_values,
	},
	{
		.name = "nographic",
		.group = OPTION_DEVICES,
		.text = "No display, and the first serial port on the "
			"terminal unless -serial or -nodefaults says "
			"otherwise: as without this option.",
		.take = option_take_flag,
		CONFIG(nographic),
	},
	{
		.name = "display",
		.group = OPTION_DEVICES,
		.arg = "none",
		.text = "No display, which is all there is so far.",
		.take = option_take_value,
		.values = none_only,
	},
	{
		.name = "vga",
		.group = OPTION_DEVICES,
		.arg = "none",
		.text = "No VGA adapter, which is all there is so far.",
		.take = option_take_value,
		.values = none_only,
	},
	{
		.name = "parallel",
		.group = OPTION_DEVICES,
		.arg = "none",
		.text = "No parallel port, which is all there is so far.",
		.take = option_take_value,
		.values = none_only,
	},
	{
		.name = "monitor",
		.group = OPTION_DEVICES,
		.arg = "none",
		.text = "No monitor, which is all there is so far.",
		.take = option_take_value,
		.values = none_only,
	},
	{
		.name = "net",
		.group = OPTION_DEVICES,
		.arg = "none",
		.text = "No network device but those of -device, which is all "
			"there is so far.",
		.take = option_take_value,
		.values = none_only,
	},
	{
		.name = "nic",
		.group = OPTION_DEVICES,
		.arg = "none",
		.text = "As -net none.",
		.take = option_take_value,
		.values = none_only,
	},
	{
		.name = "nodefaults",
		.group = OPTION_DEVICES,
		.text = "Only what the command line asks for: the first "
			"serial port is not put on the terminal, which is all "
			"that is there by default.",
		.take = option_take_flag,
		CONFIG(nodefaults),
	},
	{
		.name = "no-user-config",
		.group = OPTION_RUN,
		.text = "Reads no configuration files of the user. vireo reads "
			"none in any case.",
		.take = option_take_flag,
		CONFIG(no_user_config),
	},
	{
		.name = "no-reboot",
		.group = OPTION_RUN,
		.text = "Ends the process where the guest asks for a reset: "
			"-action reboot=shutdown.",
		.take = option_take_no_reboot,
	},
	{
		.name = "no-shutdown",
		.group = OPTION_RUN,
		.text = "Pauses the guest where it powers off: -action "
			"shutdown=pause.",
		.take = option_take_no_shutdown,
	},
	{
		.name = "action",
		.group = OPTION_RUN,
		.arg = "[reboot=reset|shutdown][,shutdown=poweroff|pause]"
		       "[,panic=shutdown|pause|exit-failure|none]",
		.text = "What happens where the guest reboots, powers off or "
			"panics. The first word of each is the default.",
		.take = option_take_action,
		.props = action_props,
		.props_size = sizeof(struct vm_config),
	},
	{
		.name = "daemonize",
		.group = OPTION_RUN,
		.text = "Goes into the background once the guest is set up: "
			"the command returns then, with status 0, and errors "
			"until then are reported, with status 1. The daemon "
			"leaves session, terminal and working directory; use "
			"-D for what it logs after.",
		.take = option_take_flag,
		CONFIG(daemonize),
	},
	{
		.name = "pidfile",
		.group = OPTION_RUN,
		.arg = "FILE",
		.text = "Keeps the process id in FILE, locked: a second "
			"process with the same file is refused, one that was "
			"left over is taken. It is removed at the end.",
		.take = option_take_string,
		CONFIG(pidfile),
		.words = OPTION_WORDS_FILE,
	},
	{
		.name = "sandbox",
		.group = OPTION_RUN,
		.arg = "on|off|log",
		.text = "The sandbox around the process is on; off and log "
			"(the kernel logs what it would stop, and lets it "
			"through) are for finding faults. obsolete, "
			"elevateprivileges, spawn and resourcecontrol can be "
			"given as deny, which they always are.",
		.take = option_take_merge,
		CONFIG(sandbox),
		.implied = "enable",
		.props = sandbox_props,
		.props_size = sizeof(struct sandbox_option),
	},
	{
		.name = "d",
		.group = OPTION_HELP,
		.arg = "TOPIC[,TOPIC...]",
		.text = "Logs more; -d help lists the topics.",
		.take = option_take_log,
		.kind = &help_log_topics,
	},
	{
		.name = "D",
		.group = OPTION_HELP,
		.arg = "FILE",
		.text = "Logs to FILE, at its end, in place of standard "
			"error.",
		.take = option_take_log_file,
		.words = OPTION_WORDS_FILE,
	},
	{
		.name = "version",
		.group = OPTION_HELP,
		.text = "Prints the version.",
		.take = option_take_version,
	},
	{
		.name = "h",
		.alias = "help",
		.group = OPTION_HELP,
		.text = "Prints this list.",
		.take = option_take_help,
	},
	{.name = NULL},
};

const struct option *option_find(const char *name)
{
	for (const struct option *o = options; o->name; o++)
		if (!strcmp(o->name, name) ||
		    (o->alias && !strcmp(o->alias, name)))
			return o;
	return NULL;
}

/* Names first, aliases after them. */
static const char *option_name_at(const void *opaque, size_t i)
{
	const struct option *o;

	(void)opaque;
	for (o = options; o->name; o++)
		if (!i--)
			return o->name;
	for (o = options; o->name; o++)
		if (o->alias && !i--)
			return o->alias;
	return NULL;
}

const char *option_nearest(const char *name)
{
	return nearest_name(name, option_name_at, NULL);
}
