/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/json: what is refused beyond json-c's own strictness.
 */
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "test/lib/test.h"

static int parse(const char *text, struct json_object **ret, struct err *e)
{
	return json_parse_object(text, strlen(text), ret, e);
}

static void takes_the_whole_64_bits(void **state)
{
	struct json_object *o = NULL, *v;
	struct err e = {0};

	(void)state;
	assert_int_equal(parse("{\"a\":18446744073709551615,"
			       "\"b\":-9223372036854775808}",
			       &o, &e),
			 0);
	assert_true(json_object_object_get_ex(o, "a", &v));
	assert_true(json_object_get_uint64(v) == UINT64_MAX);
	assert_true(json_object_object_get_ex(o, "b", &v));
	assert_true(json_object_get_int64(v) == INT64_MIN);
	json_object_put(o);
}

static void takes_what_only_looks_wrong(void **state)
{
	static const char *const good[] = {
		"{}",
		" { \"a\" : [ 1 , { \"a\" : null } ] } ",
		"{\"a:b\":\"c:d\",\"e\":\"\\\"f\\\":\"}",
		"{\"a\":\"\\\\u0000\"}",
		"{\"a\":\"it's\"}",
		"{\"a\":{\"a\":1},\"b\":{\"a\":1}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct json_object *o = NULL;
		struct err e = {0};

		if (parse(good[i], &o, &e))
			fail_msg("%s: %s", good[i], e.text);
		json_object_put(o);
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"", "the JSON text ends too early"},
		{"{\"a\":1", "the JSON text ends too early"},
		{"[1]", "the JSON text is not an object"},
		{"{\"a\":1}x", "JSON: unexpected character at 'x'"},
		{"{\"a\":1,}", "JSON: unexpected character at '}'"},
		{"{'a':1}", "JSON: a string in single quotes"},
		{"{\"a\":1,\"a\":2}", "JSON: the same key twice in an object"},
		{"{\"a\":[{\"b\":1,\"b\":1}]}",
		 "JSON: the same key twice in an object"},
		{"{\"a\":18446744073709551616}",
		 "JSON: a number that does not fit 64 bits"},
		{"{\"a\":-9223372036854775809}",
		 "JSON: a number that does not fit 64 bits"},
		{"{\"a\":\"x\\u0000y\"}", "JSON: a NUL (\\u0000) in a string"},
		{"{\"a\\u0000b\":1}", "JSON: a NUL (\\u0000) in a string"},
		{"{\"a\":NaN}", "JSON: NaN and Infinity are no JSON numbers"},
		{"{\"a\":-Infinity}",
		 "JSON: NaN and Infinity are no JSON numbers"},
		{"{\"a\":\"\n\"}", "JSON: a control character in a string"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json_object *o = NULL;
		struct err e = {0};

		assert_int_equal(parse(bad[i].text, &o, &e), -EINVAL);
		assert_null(o);
		assert_string_equal(e.text, bad[i].message);
	}
}

static void refuses_depth_length_and_embedded_nul(void **state)
{
	static char big[JSON_TEXT_MAX + 1];
	struct json_object *o = NULL;
	struct err e = {0};
	char deep[256] = "";

	(void)state;
	for (unsigned i = 0; i < JSON_DEPTH_MAX + 1; i++)
		strcat(deep, "{\"a\":");
	assert_int_equal(parse(deep, &o, &e), -EINVAL);
	assert_non_null(strstr(e.text, "nesting too deep"));
	memset(big, ' ', sizeof(big));
	assert_int_equal(json_parse_object(big, sizeof(big), &o, &e), -EINVAL);
	assert_int_equal(json_parse_object("{}\0{}", 5, &o, &e), -EINVAL);
	assert_null(o);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(takes_the_whole_64_bits),
	cmocka_unit_test(takes_what_only_looks_wrong),
	cmocka_unit_test(refuses),
	cmocka_unit_test(refuses_depth_length_and_embedded_nul),
};

TEST_MAIN(tests)
