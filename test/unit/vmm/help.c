/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/help: the formats of help output; and that all tables are fit for it.
 */
#include "vmm/help.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prop.h"
#include "test/lib/test.h"
#include "vmm/help_kinds.h"
#include "vmm/option.h"

struct widget {
	bool on, direct;
	uint32_t size;
	int mode, ooa;
	char *label;
	struct prop_link file;
};

static const char *const modes[] = {"slow", "quick", NULL};

static const struct prop widget_props[] = {
	PROP_U32(struct widget, size, "size", 4, 1, 8, "how large"),
	PROP_ENUM(struct widget, mode, "mode", 1, modes, "how it goes"),
	PROP_ENUM(struct widget, ooa, "acpi", OOA_AUTO, on_off_auto_names,
		  "tables"),
	PROP_STR(struct widget, label, "label-of-many-letters", "x", "name"),
	PROP_BACKEND(struct widget, file, "drive", "blockdev", "disk"),
	PROP_END,
};

static const struct prop common_props[] = {
	PROP_BOOL(struct widget, on, "on", true, "switched on"),
	PROP_END,
};

static const struct prop nested_props[] = {
	PROP_BOOL(struct widget, direct, "direct", false, "no detours"),
	PROP_END,
};

static bool widget_at(size_t i, struct help_entry *ret)
{
	static const char *const children[] = {"file", NULL};
	static const struct help_entry entries[] = {
		{.name = "ball",
		 .summary = "it rolls",
		 .group = "Toy",
		 .bus = "BOX",
		 .props = widget_props},
		{.name = "car",
		 .alias = "auto",
		 .summary = "it drives",
		 .group = "Toy",
		 .bus = "BOX",
		 .children = children},
		{.name = "saw", .group = "Tool", .bus = "RACK"},
	};

	if (i >= ARRAY_SIZE(entries))
		return false;
	*ret = entries[i];
	return true;
}

static const struct help_kind widgets = {
	.what = "Widget",
	.heading = "Widgets:",
	.has_props = true,
	.common = common_props,
	.nest = "cache",
	.nested = nested_props,
	.at = widget_at,
};

static bool plain_at(size_t i, struct help_entry *ret)
{
	static const struct help_entry entries[] = {
		{.name = "a", .summary = "first", .is_default = true},
		{.name = "b", .alias = "bee", .summary = "second"},
	};

	if (i >= ARRAY_SIZE(entries))
		return false;
	*ret = entries[i];
	return true;
}

static const struct help_kind plain = {
	.what = "Letter",
	.heading = "Letters:",
	.at = plain_at,
};

/* Prints into a new string. */
static char *print_kind(const struct help_kind *k)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	help_print_kind(f, k);
	fclose(f);
	return text;
}

static char *print_entry(const char *name, int expected, struct err *e)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(help_print_entry(f, &widgets, name, e), expected);
	fclose(f);
	return text;
}

static void lists(void **state)
{
	char *text = print_kind(&widgets);

	(void)state;
	assert_string_equal(text,
			    "Toy devices:\n"
			    "name \"ball\", bus BOX, desc \"it rolls\"\n"
			    "name \"car\", bus BOX, alias \"auto\", desc \"it "
			    "drives\"\n"
			    "\n"
			    "Tool devices:\n"
			    "name \"saw\", bus RACK\n");
	free(text);
	text = print_kind(&plain);
	assert_string_equal(text, "Letters:\n"
				  "  a                        first (default)\n"
				  "  b                        second\n"
				  "  bee                      (alias of b)\n");
	free(text);
}

static void describes(void **state)
{
	struct err e = {0};
	char *text = print_entry("ball", 0, &e);

	(void)state;
	assert_string_equal(
		text,
		"ball options:\n"
		"  acpi=<OnOffAuto>       - tables (default: \"auto\")\n"
		"  cache.direct=<bool>    - no detours (default: false)\n"
		"  drive=<str>            - disk\n"
		"  label-of-many-letters=<str> - name (default: \"x\")\n"
		"  mode=<str>             - how it goes: slow|quick (default: "
		"\"quick\")\n"
		"  on=<bool>              - switched on (default: true)\n"
		"  size=<uint32>          - how large (default: 4)\n");
	free(text);
	text = print_entry("auto", 0, &e);
	assert_string_equal(text,
			    "car options:\n"
			    "  cache.direct=<bool>    - no detours (default: "
			    "false)\n"
			    "  file=<str>             - node beneath: its "
			    "node-name, or its description (required)\n"
			    "  on=<bool>              - switched on (default: "
			    "true)\n");
	free(text);
	text = print_entry("bal", -ENOENT, &e);
	assert_string_equal(text, "");
	assert_string_equal(e.text,
			    "Widget 'bal' not found (did you mean 'ball'?)");
	free(text);
}

static bool is_name(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			return false;
	return *name;
}

/* Lower case at the start (but for names), one line, no full stop. */
static void check_summary(const char *where, const char *summary)
{
	size_t len = summary ? strlen(summary) : 0;

	if (!len || strchr(summary, '\n') || summary[len - 1] == '.')
		fail_msg("%s: summary '%s'", where, summary ? summary : "");
}

static void check_prop(const char *where, const struct prop *p)
{
	if (!is_name(p->name))
		fail_msg("%s: property name '%s'", where, p->name);
	check_summary(p->name, p->summary);
	if (p->type == PROP_T_ENUM)
		for (uint64_t i = 0; i <= p->def; i++)
			assert_non_null(p->names[i]);
	if (p->type == PROP_T_BACKEND)
		assert_non_null(p->kind);
}

static void check_props(const char *where, const struct prop *props)
{
	for (const struct prop *p = props; p && p->name; p++) {
		check_prop(where, p);
		if (prop_find(props, p->name) != p)
			fail_msg("%s: two properties '%s'", where, p->name);
	}
}

static void check_kind(const struct help_kind *k)
{
	struct help_entry entry, other;
	size_t i;

	for (i = 0; k->at(i, &entry); i++) {
		assert_true(is_name(entry.name));
		check_summary(entry.name, entry.summary);
		check_props(entry.name, entry.props);
		assert_true(help_find(k, entry.name, &other));
		assert_ptr_equal(other.name, entry.name);
		if (entry.alias) {
			assert_true(help_find(k, entry.alias, &other));
			assert_ptr_equal(other.name, entry.name);
		}
	}
	assert_int_not_equal(i, 0);
	check_props(k->what, k->common);
	check_props(k->what, k->nested);
}

static void all_tables_are_fit(void **state)
{
	(void)state;
	for (const struct option *o = options; o->name; o++) {
		size_t len = strlen(o->text);

		assert_true(is_name(o->name));
		assert_ptr_equal(option_find(o->name), o);
		if (o->alias)
			assert_ptr_equal(option_find(o->alias), o);
		assert_non_null(o->take);
		if (!isupper((unsigned char)*o->text) ||
		    o->text[len - 1] != '.')
			fail_msg("-%s: text '%s'", o->name, o->text);
		check_props(o->name, o->props);
		if (o->kind)
			check_kind(o->kind);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(lists),
	cmocka_unit_test(describes),
	cmocka_unit_test(all_tables_are_fit),
};

TEST_MAIN(tests)
