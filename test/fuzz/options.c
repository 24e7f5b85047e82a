/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the grammar of option arguments: the first byte picks flags and the
 * implied key, the rest is the argument. What parses must survive printing
 * and parsing again as JSON.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/keyval.h"
#include "test/fuzz/fuzz.h"

static const char *print(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
}

/* File names may have any bytes, JSON has UTF-8 only. */
static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if (*text & 0x80)
			return false;
	return true;
}

static void check_round_trip(struct json_object *o)
{
	AUTO_JSON struct json_object *again = NULL;
	const char *text = print(o);
	struct err e = {0};

	if (!is_ascii(text))
		return;
	if (json_parse_object(text, strlen(text), &again, &e) ||
	    strcmp(text, print(again)) != 0)
		abort();
}

static void scalars(const char *text)
{
	uint64_t n;
	bool b;

	(void)parse_u64(text, &n);
	(void)parse_size(text, 1, &n);
	(void)parse_size(text, 1ULL << 20, &n);
	(void)parse_bool(text, &b);
	(void)id_is_valid(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO_JSON struct json_object *o = NULL;
	AUTO_FREE char *text = NULL;
	struct err e = {0};

	if (!len)
		return 0;
	text = strndup((const char *)data + 1, len - 1);
	if (!text)
		return 0;
	scalars(text);
	if (!keyval_parse(text, data[0] & 4 ? "driver" : NULL, data[0] & 3, &o,
			  &e))
		check_round_trip(o);
	return 0;
}
