/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows each table of classes as help entries.
 *
 * Threads: main.
 */
#include "vmm/help_kinds.h"

#include <string.h>

#include "backend/block.h"
#include "backend/chardev.h"
#include "backend/net.h"
#include "backend/object.h"
#include "base/log.h"
#include "bus/device.h"
#include "kvm/vcpu.h"
#include "vmm/machine.h"

static bool machine_at(size_t i, struct help_entry *ret)
{
	const struct machine_class *c = machine_classes[i];

	if (!c)
		return false;
	*ret = (struct help_entry){
		.name = c->name,
		.alias = c->alias,
		.summary = c->summary,
		.props = c->props,
		.is_default = c->is_default,
	};
	return true;
}

const struct help_kind help_machines = {
	.what = "Machine type",
	.heading = "Supported machines are:",
	.has_props = true,
	.at = machine_at,
};

static bool accel_at(size_t i, struct help_entry *ret)
{
	if (i)
		return false;
	*ret = (struct help_entry){
		.name = "kvm",
		.summary = "the host's /dev/kvm",
		.is_default = true,
	};
	return true;
}

const struct help_kind help_accels = {
	.what = "Accelerator",
	.heading = "Accelerators supported:",
	.at = accel_at,
};

static bool cpu_at(size_t i, struct help_entry *ret)
{
	const char *name = cpu_model_names[i];

	if (!name)
		return false;
	*ret = (struct help_entry){
		.name = name,
		.summary = cpu_model_summary(name),
		.is_default = !strcmp(name, "host"),
	};
	return true;
}

const struct help_kind help_cpus = {
	.what = "CPU model",
	.heading = "Available CPUs:",
	.common = cpu_props,
	.words_heading = "Features (+NAME or NAME=on, -NAME or NAME=off):",
	.word_at = cpu_feature_name,
	.at = cpu_at,
};

static const char *const category_names[CATEGORIES] = {
	[CATEGORY_BRIDGE] = "Controller/Bridge/Hub",
	[CATEGORY_USB] = "USB",
	[CATEGORY_STORAGE] = "Storage",
	[CATEGORY_NETWORK] = "Network",
	[CATEGORY_INPUT] = "Input",
	[CATEGORY_DISPLAY] = "Display",
	[CATEGORY_SOUND] = "Sound",
	[CATEGORY_MISC] = "Misc",
	[CATEGORY_CPU] = "CPU",
	[CATEGORY_WATCHDOG] = "Watchdog",
	[CATEGORY_NONE] = "Uncategorized",
};

/* By category, then by name. */
static bool class_is_before(const struct device_class *a,
			    const struct device_class *b)
{
	if (a->category != b->category)
		return a->category < b->category;
	return strcmp(a->name, b->name) < 0;
}

/* The class that has n of those which users can make before it. */
static const struct device_class *device_class_nth(size_t n)
{
	for (size_t i = 0; i < device_class_count; i++) {
		size_t before = 0;

		if (device_classes[i]->no_user)
			continue;
		for (size_t j = 0; j < device_class_count; j++)
			before += !device_classes[j]->no_user &&
				  class_is_before(device_classes[j],
						  device_classes[i]);
		if (before == n)
			return device_classes[i];
	}
	return NULL;
}

static bool device_at(size_t i, struct help_entry *ret)
{
	const struct device_class *c = device_class_nth(i);

	if (!c)
		return false;
	*ret = (struct help_entry){
		.name = c->name,
		.alias = c->alias,
		.summary = c->summary,
		.group = category_names[c->category],
		.bus = c->bus,
		.props = c->props,
	};
	return true;
}

const struct help_kind help_devices = {
	.what = "Device",
	.heading = "Devices:",
	.has_props = true,
	.at = device_at,
};

/* Back ends: tables that end in NULL, of classes with the same three members
 * of different types. */
#define BACKEND_AT(function, table)                                            \
	static bool function(size_t i, struct help_entry *ret)                 \
	{                                                                      \
		if (!(table)[i])                                               \
			return false;                                          \
		*ret = (struct help_entry){                                    \
			.name = (table)[i]->name,                              \
			.summary = (table)[i]->summary,                        \
			.props = (table)[i]->props,                            \
		};                                                             \
		return true;                                                   \
	}

BACKEND_AT(object_at, object_classes)
BACKEND_AT(plain_blockdev_at, blk_drivers)
BACKEND_AT(netdev_at, net_drivers)
BACKEND_AT(chardev_at, char_drivers)

static bool blockdev_at(size_t i, struct help_entry *ret)
{
	if (!plain_blockdev_at(i, ret))
		return false;
	ret->children = blk_drivers[i]->children;
	return true;
}

const struct help_kind help_objects = {
	.what = "Object type",
	.heading = "List of user creatable objects:",
	.has_props = true,
	.at = object_at,
};

const struct help_kind help_blockdevs = {
	.what = "Block driver",
	.heading = "Available block drivers:",
	.has_props = true,
	.common = blk_common_props,
	.nest = "cache",
	.nested = blk_cache_props,
	.at = blockdev_at,
};

const struct help_kind help_netdevs = {
	.what = "Netdev type",
	.heading = "Available netdev backend types:",
	.has_props = true,
	.at = netdev_at,
};

const struct help_kind help_chardevs = {
	.what = "Chardev backend",
	.heading = "Available chardev backend types:",
	.has_props = true,
	.at = chardev_at,
};

static bool log_topic_at(size_t i, struct help_entry *ret)
{
	if (i > LOG_TOPICS)
		return false;
	*ret = i == LOG_TOPICS
		       ? (struct help_entry){.name = "all",
					     .summary = "all of them"}
		       : (struct help_entry){.name = log_topics[i].name,
					     .summary = log_topics[i].summary};
	return true;
}

const struct help_kind help_log_topics = {
	.what = "Log topic",
	.heading = "Log topics (separated by commas):",
	.at = log_topic_at,
};

bool help_find(const struct help_kind *k, const char *name,
	       struct help_entry *ret)
{
	struct help_entry entry;

	for (size_t i = 0; k->at(i, &entry); i++) {
		if (strcmp(entry.name, name) != 0 &&
		    (!entry.alias || strcmp(entry.alias, name) != 0))
			continue;
		*ret = entry;
		return true;
	}
	return false;
}
