/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/prop: a table with every type, set from text and JSON.
 */
#include "base/prop.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/keyval.h"
#include "test/lib/test.h"

struct thing {
	bool flag;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64, size;
	int32_t i32;
	char *str, *name;
	int mode, ooa;
	struct mac mac;
	struct prop_link drive;
};

static const char *const mode_names[] = {"slow", "quick", NULL};

static const struct prop props[] = {
	PROP_BOOL(struct thing, flag, "flag", true, "a flag"),
	PROP_U8(struct thing, u8, "u8", 1, 0, 255, "a byte"),
	PROP_U16(struct thing, u16, "u16", 128, 2, 1024, "bounded"),
	PROP_U32(struct thing, u32, "u32", 3, 0, UINT32_MAX, "a word"),
	PROP_U64(struct thing, u64, "u64", 4, 0, UINT64_MAX, "a long"),
	PROP_SIZE(struct thing, size, "size", 512, 1, GIB, "bytes"),
	PROP_I32(struct thing, i32, "i32", -1, -5, 5, "signed"),
	PROP_STR(struct thing, str, "str", "abc", "text"),
	PROP_STR_REQUIRED(struct thing, name, "name", "more text"),
	PROP_ENUM(struct thing, mode, "mode", 1, mode_names, "how"),
	PROP_ENUM(struct thing, ooa, "ooa", OOA_AUTO, on_off_auto_names,
		  "whether"),
	PROP_MAC(struct thing, mac, "mac", "address"),
	PROP_BACKEND(struct thing, drive, "drive", "blockdev", "node"),
	PROP_END,
};

/* Sets from a list of `k=v` or JSON; the caller runs props_fini. */
static int apply(struct thing *t, const char *text, struct err *e)
{
	static const char *const skip[] = {"driver", NULL};
	struct json_object *conf = NULL;
	int r;

	*t = (struct thing){0};
	assert_int_equal(props_init(props, t, e), 0);
	assert_int_equal(keyval_parse(text, "driver", 0, &conf, e), 0);
	r = props_apply(props, t, conf, skip, "thing", e);
	json_object_put(conf);
	return r;
}

static void has_defaults(void **state)
{
	struct err e = {0};
	struct thing t;

	(void)state;
	assert_int_equal(apply(&t, "x,name=n", &e), 0);
	assert_true(t.flag);
	assert_int_equal(t.u8, 1);
	assert_int_equal(t.u16, 128);
	assert_int_equal(t.u32, 3);
	assert_int_equal(t.u64, 4);
	assert_int_equal(t.size, 512);
	assert_int_equal(t.i32, -1);
	assert_string_equal(t.str, "abc");
	assert_string_equal(t.name, "n");
	assert_int_equal(t.mode, 1);
	assert_int_equal(t.ooa, OOA_AUTO);
	assert_false(t.mac.is_set);
	assert_null(t.drive.id);
	props_fini(props, &t);
	assert_null(t.str);
	assert_null(t.name);
	props_fini(props, &t);
}

static void sets_from_text(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 0x12, 0xAB, 0xff};
	struct err e = {0};
	struct thing t;

	(void)state;
	assert_int_equal(apply(&t,
			       "x,flag=off,u8=0xff,u16=1024,u32=4294967295,"
			       "u64=0xffffffffffffffff,size=1.5k,i32=-5,str=,"
			       "name=n,mode=slow,ooa=on,"
			       "mac=52:54:00:12:AB:ff,drive=d0",
			       &e),
			 0);
	assert_false(t.flag);
	assert_int_equal(t.u8, 255);
	assert_int_equal(t.u16, 1024);
	assert_true(t.u32 == UINT32_MAX);
	assert_true(t.u64 == UINT64_MAX);
	assert_int_equal(t.size, 1536);
	assert_int_equal(t.i32, -5);
	assert_string_equal(t.str, "");
	assert_int_equal(t.mode, 0);
	assert_int_equal(t.ooa, OOA_ON);
	assert_true(t.mac.is_set);
	assert_memory_equal(t.mac.b, mac, 6);
	assert_string_equal(t.drive.id, "d0");
	props_fini(props, &t);
}

static void sets_from_json(void **state)
{
	struct err e = {0};
	struct thing t;

	(void)state;
	assert_int_equal(apply(&t,
			       "{\"driver\":\"x\",\"flag\":false,\"u8\":7,"
			       "\"u64\":18446744073709551615,\"i32\":-5,"
			       "\"size\":4096,\"name\":\"n\"}",
			       &e),
			 0);
	assert_false(t.flag);
	assert_int_equal(t.u8, 7);
	assert_true(t.u64 == UINT64_MAX);
	assert_int_equal(t.i32, -5);
	assert_int_equal(t.size, 4096);
	props_fini(props, &t);
}

static void refuses(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"x", "thing: name property not set"},
		{"x,u61=1", "Property 'thing.u61' not found "
			    "(did you mean 'u16'?)"},
		{"x,flavour=1", "Property 'thing.flavour' not found"},
		{"x,u8=", "Parameter 'u8' expects integer, not ''"},
		{"x,u8=a", "Parameter 'u8' expects integer, not 'a'"},
		{"x,u8=256", "Property 'thing.u8' doesn't take value '256' "
			     "(minimum: 0, maximum: 255)"},
		{"x,u8=-1", "Property 'thing.u8' doesn't take value '-1' "
			    "(minimum: 0, maximum: 255)"},
		{"x,u16=1", "Property 'thing.u16' doesn't take value '1' "
			    "(minimum: 2, maximum: 1024)"},
		{"x,u64=18446744073709551616",
		 "Property 'thing.u64' doesn't take value "
		 "'18446744073709551616' "
		 "(minimum: 0, maximum: 18446744073709551615)"},
		{"x,i32=6", "Property 'thing.i32' doesn't take value '6' "
			    "(minimum: -5, maximum: 5)"},
		{"x,i32=9223372036854775808",
		 "Property 'thing.i32' doesn't take value "
		 "'9223372036854775808' (minimum: -5, maximum: 5)"},
		{"x,i32=--1", "Parameter 'i32' expects integer, not '--1'"},
		{"x,size=1Q",
		 "Parameter 'size' expects a size such as 512M, not '1Q'"},
		{"x,flag=maybe",
		 "Parameter 'flag' expects 'on' or 'off', not 'maybe'"},
		{"x,mode=quik",
		 "Property 'thing.mode' doesn't take value 'quik' "
		 "(one of: slow, quick; did you mean 'quick'?)"},
		{"x,mac=52:54:00:12:34",
		 "Parameter 'mac' expects a MAC address such as "
		 "52:54:00:12:34:56, not '52:54:00:12:34'"},
		{"{\"u8\":1.5}", "Parameter 'u8' expects integer, not '1.5'"},
		{"{\"u8\":null}", "Parameter 'u8' expects integer, not 'null'"},
		{"{\"u8\":true}", "Parameter 'u8' expects integer, not 'true'"},
		{"{\"u8\":[1]}", "Parameter 'u8' expects integer, not '[ 1 ]'"},
		{"{\"str\":1}", "Parameter 'str' expects a string, not '1'"},
		{"{\"drive\":{}}",
		 "Parameter 'drive' expects a string, not '{ }'"},
		{"{\"mode\":1}", "Parameter 'mode' expects a word, not '1'"},
		{"{\"flag\":1}",
		 "Parameter 'flag' expects 'on' or 'off', not '1'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = {0};
		struct thing t;

		assert_true(apply(&t, bad[i].text, &e) < 0);
		assert_string_equal(e.text, bad[i].message);
		props_fini(props, &t);
	}
}

static void refuses_odd_mac_addresses(void **state)
{
	static const char *const bad[] = {"",
					  "5",
					  "52",
					  "52:54:00:12:34:5",
					  "52:54:00:12:34:56:",
					  "52:54:00:12:34:5g",
					  "5254:00:12:34:56:78",
					  "52:54:00:12:34:567"};
	struct err e = {0};
	struct thing t = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(props_set_text(props, &t, "mac", bad[i], &e),
				 -EINVAL);
	assert_false(t.mac.is_set);
	assert_int_equal(props_set_text(props, &t, "nosuch", "1", &e), -ENOENT);
}

static void *resolve(void *opaque, const char *kind, const char *id,
		     struct err *e)
{
	assert_string_equal(kind, "blockdev");
	if (!strcmp(id, "d0"))
		return opaque;
	(void)err_set(e, -ENOENT, "no -blockdev has this node-name");
	return NULL;
}

static void links(void **state)
{
	struct err e = {0};
	struct thing t;
	int node;

	(void)state;
	assert_int_equal(apply(&t, "x,name=n,drive=d0", &e), 0);
	assert_int_equal(props_link(props, &t, "thing", resolve, &node, &e), 0);
	assert_ptr_equal(t.drive.ptr, &node);
	props_fini(props, &t);
	assert_int_equal(apply(&t, "x,name=n,drive=d1", &e), 0);
	assert_int_equal(props_link(props, &t, "thing", resolve, &node, &e),
			 -ENOENT);
	assert_string_equal(e.text,
			    "Property 'thing.drive' can't find value 'd1': "
			    "no -blockdev has this node-name");
	props_fini(props, &t);
}

static void has_words_for_help(void **state)
{
	static const char *const words[][3] = {
		{"flag", "bool", "true"},
		{"u8", "uint8", "1"},
		{"u16", "uint16", "128"},
		{"u32", "uint32", "3"},
		{"u64", "uint64", "4"},
		{"size", "size", "512"},
		{"i32", "int32", "-1"},
		{"str", "str", "\"abc\""},
		{"name", "str", ""},
		{"mode", "str", "\"quick\""},
		{"ooa", "OnOffAuto", "\"auto\""},
		{"mac", "str", ""},
		{"drive", "str", ""},
	};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const struct prop *p = prop_find(props, words[i][0]);

		assert_non_null(p);
		assert_string_equal(prop_type_name(p), words[i][1]);
		assert_string_equal(prop_default_text(p, buf, sizeof(buf)),
				    words[i][2]);
	}
	assert_null(prop_find(props, "nosuch"));
	assert_null(prop_find(NULL, "nosuch"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(has_defaults),
	cmocka_unit_test(sets_from_text),
	cmocka_unit_test(sets_from_json),
	cmocka_unit_test(refuses),
	cmocka_unit_test(refuses_odd_mac_addresses),
	cmocka_unit_test(links),
	cmocka_unit_test(has_words_for_help),
};

TEST_MAIN(tests)
