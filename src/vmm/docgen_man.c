/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections of the man page, in man(7) macros.
 *
 * Threads: main.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "vmm/docgen.h"
#include "vmm/help.h"
#include "vmm/help_kinds.h"
#include "vmm/option.h"

/* Text, so that roff prints it as it is. */
static void man_text(FILE *f, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", f);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '-')
			fputs("\\-", f);
		else
			fputc(*text, f);
	}
}

/* A form such as `A[,b=C]`, which may be broken before a bracket and after a
 * bar. */
static void man_form(FILE *f, const char *form)
{
	char piece[2] = "";

	fputs("\\fI", f);
	for (; *form; form++) {
		piece[0] = *form;
		fputs(*form == '[' ? "\\:" : "", f);
		man_text(f, piece);
		fputs(*form == '|' ? "\\:" : "", f);
	}
	fputs("\\fR", f);
}

/* In bold (B), italics (I) or roman (R). */
static void man_font(FILE *f, char font, const char *text)
{
	fprintf(f, "\\f%c", font);
	man_text(f, text);
	fputs("\\fR", f);
}

static void man_option(FILE *f, const struct option *o)
{
	fputs(".TP\n\\fB\\-\\fR", f);
	man_font(f, 'B', o->name);
	if (o->alias) {
		fputs(", \\fB\\-\\fR", f);
		man_font(f, 'B', o->alias);
	}
	if (o->arg) {
		fputc(' ', f);
		man_form(f, o->arg);
	}
	fputc('\n', f);
	man_text(f, o->text);
	fputc('\n', f);
}

static void man_options(FILE *f)
{
	for (int g = 0; g < OPTION_GROUPS; g++) {
		fprintf(f, ".SS %s\n", option_group_names[g]);
		for (const struct option *o = options; o->name; o++)
			if ((int)o->group == g)
				man_option(f, o);
	}
}

static void man_prop(FILE *f, const struct help_prop *hp)
{
	char text[512];

	fputs(".TP\n", f);
	man_font(f, 'B', hp->name);
	fputc('=', f);
	man_font(f, 'I', prop_type_name(hp->p));
	fputc('\n', f);
	man_text(f, help_prop_text(hp->p, text, sizeof(text)));
	fputc('\n', f);
}

static void man_props(FILE *f, const struct help_entry *entry,
		      const struct help_kind *k)
{
	AUTO_FREE struct help_prop *list = NULL;
	size_t n;

	list = help_sort_props(entry, k, &n);
	if (!list)
		exit(1); /* a man page with holes is worse than none */
	if (!n)
		return;
	fputs(".RS\n", f);
	for (size_t i = 0; i < n; i++)
		man_prop(f, &list[i]);
	fputs(".RE\n", f);
}

static void man_entry(FILE *f, const struct help_entry *entry)
{
	fputs(".TP\n", f);
	man_font(f, 'B', entry->name);
	if (entry->alias) {
		fputs(", ", f);
		man_font(f, 'B', entry->alias);
	}
	if (entry->bus)
		fprintf(f, " (on %s)", entry->bus);
	fputc('\n', f);
	man_text(f, entry->summary ? entry->summary : entry->name);
	fputs(entry->is_default ? " (default)\n" : "\n", f);
	man_props(f, entry, NULL);
}

static void man_words(FILE *f, const struct help_kind *k)
{
	const char *word;

	fputs(".PP\n", f);
	man_text(f, k->words_heading);
	fputc('\n', f);
	for (size_t i = 0; (word = k->word_at(i)); i++) {
		man_text(f, word);
		fputc('\n', f);
	}
}

static void man_kind(FILE *f, const struct help_kind *k)
{
	const char *group = NULL;
	struct help_entry entry;

	for (size_t i = 0; k->at(i, &entry); i++) {
		if (entry.group && entry.group != group)
			fprintf(f, ".SS %s devices\n", entry.group);
		group = entry.group;
		man_entry(f, &entry);
	}
	if (k->common) {
		fputs(".TP\nAll of them\n", f);
		man_props(f, NULL, k);
	}
	if (k->word_at)
		man_words(f, k);
}

#define MAN_KIND(kind)                                                         \
	static void man_##kind(FILE *f)                                        \
	{                                                                      \
		man_kind(f, &help_##kind);                                     \
	}

MAN_KIND(machines)
MAN_KIND(cpus)
MAN_KIND(devices)
MAN_KIND(blockdevs)
MAN_KIND(netdevs)
MAN_KIND(chardevs)
MAN_KIND(objects)
MAN_KIND(log_topics)

static void man_head(FILE *f)
{
	fprintf(f,
		".\\\" Made from vireo.1.in and vireo's tables: "
		"make update-docs\n.TH VIREO 1 \"\" \"vireo %s\"\n.nh\n.ad l\n",
		PACKAGE_VERSION);
}

const struct docgen_part docgen_man_parts[] = {
	{"man-head", man_head},
	{"man-options", man_options},
	{"man-machines", man_machines},
	{"man-cpus", man_cpus},
	{"man-devices", man_devices},
	{"man-blockdevs", man_blockdevs},
	{"man-netdevs", man_netdevs},
	{"man-chardevs", man_chardevs},
	{"man-objects", man_objects},
	{"man-log-topics", man_log_topics},
	{NULL, NULL},
};
