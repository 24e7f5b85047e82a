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
#include "base/prop.h"
#include "vmm/help_kinds.h"
#include "vmm/option.h"

#define HELP_WIDTH 78 /* columns */

/* Prints a word, in lines that start with indent spaces; the column after. */
static int print_word(FILE *f, int indent, int column, const char *word,
		      int len)
{
	if (column && column + 1 + len > HELP_WIDTH) {
		fputc('\n', f);
		column = 0;
	}
	return column +
	       fprintf(f, "%*s%.*s", column ? 1 : indent, "", len, word);
}

static void print_wrapped(FILE *f, int indent, const char *text)
{
	int column = 0;

	while (*text) {
		int len = (int)strcspn(text, " ");

		column = print_word(f, indent, column, text, len);
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
	const struct help_prop *pa = a, *pb = b;

	return strcmp(pa->name, pb->name);
}

static size_t count_props(const struct prop *props)
{
	size_t n = 0;

	while (props && props[n].name)
		n++;
	return n;
}

static void add_props(struct help_prop *list, size_t *n, const char *nest,
		      const struct prop *props)
{
	for (const struct prop *p = props; p && p->name; p++, (*n)++) {
		list[*n].p = p;
		(void)snprintf(list[*n].name, sizeof(list[*n].name), "%s%s%s",
			       nest ? nest : "", nest ? "." : "", p->name);
	}
}

static void add_children(struct help_prop *list, size_t *n,
			 const char *const *children)
{
	static const struct prop child = {
		.name = "",
		.type = PROP_T_BACKEND,
		.required = true,
		.summary = "node beneath: its node-name, or its description",
	};

	for (; children && *children; children++, (*n)++) {
		list[*n].p = &child;
		(void)snprintf(list[*n].name, sizeof(list[*n].name), "%s",
			       *children);
	}
}

static size_t count_children(const char *const *children)
{
	size_t n = 0;

	while (children && children[n])
		n++;
	return n;
}

struct help_prop *help_sort_props(const struct help_entry *entry,
				  const struct help_kind *k, size_t *n)
{
	static const struct help_entry no_entry;
	static const struct help_kind no_kind;
	struct help_prop *list;

	entry = entry ? entry : &no_entry;
	k = k ? k : &no_kind;
	list = calloc(
		count_props(entry->props) + count_children(entry->children) +
			count_props(k->common) + count_props(k->nested) + 1,
		sizeof(*list));
	*n = 0;
	if (!list)
		return NULL;
	add_props(list, n, NULL, entry->props);
	add_children(list, n, entry->children);
	add_props(list, n, NULL, k->common);
	add_props(list, n, k->nest, k->nested);
	qsort(list, *n, sizeof(*list), by_prop_name);
	return list;
}

/* Adds to the string in buf what fits. */
static void add_text(char *buf, size_t len, const char *text)
{
	size_t used = strlen(buf);

	(void)snprintf(buf + used, len - used, "%s", text);
}

const char *help_prop_text(const struct prop *p, char *buf, size_t len)
{
	char def[128];

	(void)snprintf(buf, len, "%s", p->summary);
	/* The name of its type says an OnOffAuto's words. */
	if (p->type == PROP_T_ENUM && p->names != on_off_auto_names) {
		for (size_t i = 0; p->names[i]; i++) {
			add_text(buf, len, i ? "|" : ": ");
			add_text(buf, len, p->names[i]);
		}
	}
	if (*prop_default_text(p, def, sizeof(def))) {
		add_text(buf, len, " (default: ");
		add_text(buf, len, def);
		add_text(buf, len, ")");
	}
	if (p->required)
		add_text(buf, len, " (required)");
	return buf;
}

static void print_prop(FILE *f, const struct help_prop *hp)
{
	int column = fprintf(f, "  %s=<%s>", hp->name, prop_type_name(hp->p));
	char text[512];

	fprintf(f, "%*s - %s\n", column < 24 ? 24 - column : 0, "",
		help_prop_text(hp->p, text, sizeof(text)));
}

static void print_props(FILE *f, const struct help_entry *entry,
			const struct help_kind *k)
{
	AUTO_FREE struct help_prop *list = NULL;
	size_t n;

	list = help_sort_props(entry, k, &n);
	if (!n) {
		fprintf(f, "There are no options for %s.\n", entry->name);
		return;
	}
	fprintf(f, "%s options:\n", entry->name);
	for (size_t i = 0; i < n; i++)
		print_prop(f, &list[i]);
}

void help_print_props(FILE *f, const char *name, const struct prop *props)
{
	const struct help_entry entry = {.name = name, .props = props};

	print_props(f, &entry, NULL);
}

/* As scripts know it from -device help. */
static void print_device(FILE *f, const struct help_entry *entry)
{
	fprintf(f, "name \"%s\", bus %s", entry->name, entry->bus);
	if (entry->alias)
		fprintf(f, ", alias \"%s\"", entry->alias);
	if (entry->summary)
		fprintf(f, ", desc \"%s\"", entry->summary);
	fputc('\n', f);
}

static void print_entry(FILE *f, const struct help_entry *entry)
{
	fprintf(f, "  %-24s %s%s\n", entry->name,
		entry->summary ? entry->summary : "",
		entry->is_default ? " (default)" : "");
	if (entry->alias)
		fprintf(f, "  %-24s (alias of %s)\n", entry->alias,
			entry->name);
}

static void print_words(FILE *f, const struct help_kind *k)
{
	const char *word;
	int column = 0;

	fprintf(f, "\n%s\n", k->words_heading);
	for (size_t i = 0; (word = k->word_at(i)); i++)
		column = print_word(f, 2, column, word, (int)strlen(word));
	fputc('\n', f);
}

/* What goes with every one of a kind that has no help of its own. */
static void print_common(FILE *f, const struct help_kind *k)
{
	const struct help_entry entry = {.name = k->what};

	if (k->common && !k->has_props) {
		fputc('\n', f);
		print_props(f, &entry, k);
	}
	if (k->word_at)
		print_words(f, k);
}

void help_print_kind(FILE *f, const struct help_kind *k)
{
	const char *group = NULL;
	struct help_entry entry;

	for (size_t i = 0; k->at(i, &entry); i++) {
		if (!i && !entry.group)
			fprintf(f, "%s\n", k->heading);
		if (entry.group && entry.group != group)
			fprintf(f, "%s%s devices:\n", i ? "\n" : "",
				entry.group);
		group = entry.group;
		if (entry.bus)
			print_device(f, &entry);
		else
			print_entry(f, &entry);
	}
	print_common(f, k);
}

static const char *entry_name_at(const void *kind, size_t i)
{
	const struct help_kind *k = kind;
	struct help_entry entry;

	return k->at(i, &entry) ? entry.name : NULL;
}

int help_print_entry(FILE *f, const struct help_kind *k, const char *name,
		     struct err *e)
{
	struct help_entry entry;
	const char *near;

	if (help_find(k, name, &entry)) {
		print_props(f, &entry, k);
		return 0;
	}
	near = nearest_name(name, entry_name_at, k);
	(void)err_set(e, -ENOENT, "%s '%s' not found", k->what, name);
	if (near)
		err_append(e, " (did you mean '%s'?)", near);
	return -ENOENT;
}
