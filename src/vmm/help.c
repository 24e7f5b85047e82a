/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints help texts from the tables.
 *
 * Threads: main.
 */
#include "vmm/help.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/keyval.h"
#include "base/log.h"
#include "base/prop.h"
#include "bus/device.h"
#include "vmm/option.h"

#define HELP_WIDTH 78 /* columns */

/* Prints text in lines that start with indent spaces. */
static void print_wrapped(FILE *f, int indent, const char *text)
{
	int column = 0;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (column && column + 1 + len > HELP_WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		column += fprintf(f, "%*s%.*s", column ? 1 : indent, "", len,
				  text);
		text += len;
		text += *text == ' ';
	}
	fputc('\n', f);
}

static void print_option(FILE *f, const struct option *o)
{
	fprintf(f, "-%s", o->name);
	if (o->alias)
		fprintf(f, ", -%s", o->alias);
	fprintf(f, "%s%s\n", o->arg ? " " : "", o->arg ? o->arg : "");
	print_wrapped(f, 8, o->text);
}

void help_print_options(FILE *f)
{
	fprintf(f,
		"vireo version %s\n"
		"usage: vireo OPTIONS    run a virtual machine\n"
		"       vireo doctor     examine this host\n"
		"-OPTION and --OPTION are the same.\n",
		PACKAGE_VERSION);
	for (int g = 0; g < OPTION_GROUPS; g++) {
		fprintf(f, "\n%s:\n", option_group_names[g]);
		for (const struct option *o = options; o->name; o++)
			if ((int)o->group == g)
				print_option(f, o);
	}
}

static int by_prop_name(const void *a, const void *b)
{
	const struct prop *const *pa = a, *const *pb = b;

	return strcmp((*pa)->name, (*pb)->name);
}

/* The words of an enum, unless its type's name says them. */
static void print_words(FILE *f, const struct prop *p)
{
	if (p->type != PROP_T_ENUM || p->names == on_off_auto_names)
		return;
	fputs(": ", f);
	for (size_t i = 0; p->names[i]; i++)
		fprintf(f, "%s%s", i ? "|" : "", p->names[i]);
}

static void print_prop(FILE *f, const struct prop *p)
{
	char text[256];
	int column = fprintf(f, "  %s=<%s>", p->name, prop_type_name(p));

	fprintf(f, "%*s - %s", column < 24 ? 24 - column : 0, "", p->summary);
	print_words(f, p);
	if (*prop_default_text(p, text, sizeof(text)))
		fprintf(f, " (default: %s)", text);
	fputc('\n', f);
}

void help_print_props(FILE *f, const char *name, const struct prop *props)
{
	AUTO_FREE const struct prop **sorted = NULL;
	size_t n = 0;

	while (props && props[n].name)
		n++;
	if (!n) {
		fprintf(f, "There are no options for %s.\n", name);
		return;
	}
	fprintf(f, "%s options:\n", name);
	sorted = calloc(n, sizeof(const struct prop *));
	for (size_t i = 0; sorted && i < n; i++)
		sorted[i] = &props[i];
	if (sorted)
		qsort(sorted, n, sizeof(const struct prop *), by_prop_name);
	for (size_t i = 0; i < n; i++)
		print_prop(f, sorted ? sorted[i] : &props[i]);
}

void help_list_accels(FILE *f)
{
	fprintf(f, "Accelerators supported:\nkvm\n");
}

void help_list_log_topics(FILE *f)
{
	fprintf(f, "Log topics (separated by commas):\n");
	for (size_t i = 0; i < LOG_TOPICS; i++)
		fprintf(f, "%-15s %s\n", log_topics[i].name,
			log_topics[i].summary);
	fprintf(f, "%-15s %s\n", "all", "all of them");
}

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

/* The class after `last` by name among those of a category that users make. */
static const struct device_class *next_class(int category,
					     const struct device_class *last)
{
	const struct device_class *best = NULL;

	for (size_t i = 0; i < device_class_count; i++) {
		const struct device_class *c = device_classes[i];

		if ((int)c->category == category && !c->no_user &&
		    (!last || strcmp(c->name, last->name) > 0) &&
		    (!best || strcmp(c->name, best->name) < 0))
			best = c;
	}
	return best;
}

static void print_class(FILE *f, const struct device_class *c)
{
	fprintf(f, "name \"%s\"", c->name);
	if (c->bus)
		fprintf(f, ", bus %s", c->bus);
	if (c->alias)
		fprintf(f, ", alias \"%s\"", c->alias);
	if (c->summary)
		fprintf(f, ", desc \"%s\"", c->summary);
	fputc('\n', f);
}

void help_list_devices(FILE *f)
{
	bool is_first = true;

	for (int category = 0; category < CATEGORIES; category++) {
		const struct device_class *c = next_class(category, NULL);

		if (!c)
			continue;
		fprintf(f, "%s%s devices:\n", is_first ? "" : "\n",
			category_names[category]);
		is_first = false;
		for (; c; c = next_class(category, c))
			print_class(f, c);
	}
}

static const char *class_name_at(const void *opaque, size_t i)
{
	(void)opaque;
	return device_classes[i] ? device_classes[i]->name : NULL;
}

static int not_found(const char *what, const char *name,
		     const char *(*name_at)(const void *opaque, size_t i),
		     struct err *e)
{
	const char *near = nearest_name(name, name_at, NULL);

	(void)err_set(e, -ENOENT, "%s '%s' not found", what, name);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	return -ENOENT;
}

int help_describe_device(FILE *f, const char *name, struct err *e)
{
	for (size_t i = 0; device_classes[i]; i++) {
		const struct device_class *c = device_classes[i];

		if (strcmp(c->name, name) != 0 &&
		    (!c->alias || strcmp(c->alias, name) != 0))
			continue;
		help_print_props(f, c->name, c->props);
		return 0;
	}
	return not_found("Device", name, class_name_at, e);
}
