/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for the shell completions, as functions that bash and zsh both read.
 * An option goes by its name, not its alias, in all of them.
 *
 * Threads: main.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/prop.h"
#include "vmm/docgen.h"
#include "vmm/help.h"
#include "vmm/help_kinds.h"
#include "vmm/option.h"

static void shell_head(FILE *f)
{
	fputs("# SPDX-License-Identifier: Apache-2.0\n"
	      "# Made from a template and vireo's tables: make update-docs\n",
	      f);
}

/* Every option, in the middle of a list of words. */
static void shell_options(FILE *f)
{
	for (const struct option *o = options; o->name; o++) {
		fprintf(f, "\t-%s\n", o->name);
		if (o->alias)
			fprintf(f, "\t-%s\n", o->alias);
	}
}

/* The first sentence of a text, without its full stop, for single quotes. */
static void shell_sentence(FILE *f, const char *text)
{
	for (; *text && strncmp(text, ". ", 2) != 0; text++) {
		if (*text == '\'')
			fputs("'\\''", f);
		else if (text[1] || *text != '.')
			fputc(*text, f);
	}
}

/* `'-NAME:what it does'` lines, as zsh's _describe takes them. */
static void shell_described_options(FILE *f)
{
	for (const struct option *o = options; o->name; o++) {
		const char *const names[] = {o->name, o->alias};

		for (size_t i = 0; i < 2 && names[i]; i++) {
			fprintf(f, "\t\t'-%s:", names[i]);
			shell_sentence(f, o->text);
			fputs("'\n", f);
		}
	}
}

/* case of an option as typed: its name, and how its argument is completed. */
static void shell_kinds(FILE *f)
{
	for (const struct option *o = options; o->name; o++) {
		const char *how = "text";

		if (!o->arg)
			continue;
		if (o->words == OPTION_WORDS_FILE)
			how = "file";
		else if (o->kind || o->props || o->values)
			how = "list";
		fprintf(f, "\t%s%s%s) echo '%s %s' ;;\n", o->name,
			o->alias ? "|" : "", o->alias ? o->alias : "", o->name,
			how);
	}
}

/* case of an option: what its first value may be. */
static void shell_names(FILE *f)
{
	for (const struct option *o = options; o->name; o++) {
		struct help_entry entry;

		if (!o->kind && !o->values)
			continue;
		fprintf(f, "\t%s) echo '", o->name);
		for (size_t i = 0; o->values && o->values[i]; i++)
			fprintf(f, "%s ", o->values[i]);
		for (size_t i = 0; o->kind && o->kind->at(i, &entry); i++) {
			fprintf(f, "%s ", entry.name);
			if (entry.alias)
				fprintf(f, "%s ", entry.alias);
		}
		fputs(o->values ? "' ;;\n" : "help' ;;\n", f);
	}
}

static void shell_prop_names(FILE *f, const struct help_entry *entry,
			     const struct help_kind *k)
{
	AUTO_FREE struct help_prop *list = NULL;
	size_t n;

	list = help_sort_props(entry, k, &n);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s= ", list[i].name);
}

/* Keys that belong to the option itself, whatever the name. */
static const char *own_keys(const struct option *o)
{
	static const char *const keys[][2] = {
		{"device", "id= bus= "}, {"netdev", "id= "},
		{"chardev", "id= "},     {"object", "id= "},
		{"M", "accel= "},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(keys[i][0], o->name))
			return keys[i][1];
	return "";
}

/* case of OPTION,NAME: the properties there are, as `prop=`. */
static void shell_props(FILE *f)
{
	for (const struct option *o = options; o->name; o++) {
		struct help_entry entry = {.props = o->props};

		if (o->props) {
			fprintf(f, "\t%s,*) echo '", o->name);
			shell_prop_names(f, &entry, NULL);
			fputs("' ;;\n", f);
			continue;
		}
		if (!o->kind || !o->kind->has_props)
			continue;
		for (size_t i = 0; o->kind->at(i, &entry); i++) {
			fprintf(f, "\t%s,%s) echo '%s", o->name, entry.name,
				own_keys(o));
			shell_prop_names(f, &entry, o->kind);
			fputs("help' ;;\n", f);
		}
	}
}

static void shell_words(FILE *f, const char *option, const char *name,
			const struct help_prop *hp)
{
	const struct prop *p = hp->p;

	if (p->type != PROP_T_BOOL && p->type != PROP_T_ENUM)
		return;
	fprintf(f, "\t%s,%s,%s) echo '", option, name, hp->name);
	if (p->type == PROP_T_BOOL)
		fputs("on off ", f);
	for (size_t i = 0; p->names && p->names[i]; i++)
		fprintf(f, "%s ", p->names[i]);
	fputs("' ;;\n", f);
}

static void shell_all_words(FILE *f, const struct option *o, const char *name,
			    const struct help_entry *entry,
			    const struct help_kind *k)
{
	AUTO_FREE struct help_prop *list = NULL;
	size_t n;

	list = help_sort_props(entry, k, &n);
	for (size_t i = 0; i < n; i++)
		shell_words(f, o->name, name, &list[i]);
}

/* case of OPTION,NAME,PROP: the words that it may be. */
static void shell_values(FILE *f)
{
	for (const struct option *o = options; o->name; o++) {
		struct help_entry entry = {.props = o->props};

		shell_all_words(f, o, "*", &entry, NULL);
		if (!o->kind || !o->kind->has_props)
			continue;
		shell_all_words(f, o, "*", NULL, o->kind);
		for (size_t i = 0; o->kind->at(i, &entry); i++)
			shell_all_words(f, o, entry.name, &entry, NULL);
	}
}

const struct docgen_part docgen_shell_parts[] = {
	{"shell-head", shell_head},
	{"shell-options", shell_options},
	{"shell-described-options", shell_described_options},
	{"shell-kinds", shell_kinds},
	{"shell-names", shell_names},
	{"shell-props", shell_props},
	{"shell-values", shell_values},
	{NULL, NULL},
};
