/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/keyval: the grammar of option arguments, scalars, nearest names.
 */
#include "base/keyval.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "test/lib/test.h"

static void parses(void **state)
{
	static const struct {
		const char *text, *implied;
		unsigned flags;
		const char *json;
	} good[] = {
		{"", NULL, 0, "{}"},
		{"a=1", NULL, 0, "{\"a\":\"1\"}"},
		{"a=1,b=2,", NULL, 0, "{\"a\":\"1\",\"b\":\"2\"}"},
		{"a=", NULL, 0, "{\"a\":\"\"}"},
		{"a=x=y", NULL, 0, "{\"a\":\"x=y\"}"},
		{"a=1,,2,b=3,,", NULL, 0, "{\"a\":\"1,2\",\"b\":\"3,\"}"},
		{"a=,,", NULL, 0, "{\"a\":\",\"}"},
		{"foo", "driver", 0, "{\"driver\":\"foo\"}"},
		{"foo,id=x", "driver", 0, "{\"driver\":\"foo\",\"id\":\"x\"}"},
		{"a,,b", "guest", 0, "{\"guest\":\"a,b\"}"},
		{",,b", "guest", 0, "{\"guest\":\",b\"}"},
		{"driver=foo", "driver", 0, "{\"driver\":\"foo\"}"},
		{"file.driver=file,file.filename=/x.y", NULL, 0,
		 "{\"file\":{\"driver\":\"file\",\"filename\":\"\\/x.y\"}}"},
		{"a.1=y,a.0=x", NULL, 0, "{\"a\":[\"x\",\"y\"]}"},
		{"a.0.b.0=x", NULL, 0, "{\"a\":[{\"b\":[\"x\"]}]}"},
		{"ro,file=x", NULL, KEYVAL_BARE_BOOL,
		 "{\"ro\":\"on\",\"file\":\"x\"}"},
		{"nowait,x", NULL, KEYVAL_BARE_BOOL,
		 "{\"wait\":\"off\",\"x\":\"on\"}"},
		{"no", NULL, KEYVAL_BARE_BOOL, "{\"no\":\"on\"}"},
		{"{\"a\":[1,true]}", "driver", 0, "{\"a\":[1,true]}"},
		{"{\"a\":1}", "id", KEYVAL_NO_JSON,
		 "{\"id\":\"{\\\"a\\\":1}\"}"},
		{"help", "driver", 0, "{\"help\":true}"},
		{"foo,?", "driver", 0, "{\"driver\":\"foo\",\"help\":true}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct json_object *o = NULL;
		struct err e = {0};

		if (keyval_parse(good[i].text, good[i].implied, good[i].flags,
				 &o, &e))
			fail_msg("%s: %s", good[i].text, e.text);
		assert_string_equal(json_object_to_json_string_ext(
					    o, JSON_C_TO_STRING_PLAIN),
				    good[i].json);
		json_object_put(o);
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *text, *implied, *message;
	} bad[] = {
		{"=1", NULL, "empty key in ''"},
		{"a=1,=2", NULL, "empty key in ''"},
		{"a..b=1", NULL, "empty key in 'a..b'"},
		{".a=1", NULL, "empty key in '.a'"},
		{"a.=1", NULL, "empty key in 'a.'"},
		{"a b=1", NULL, "'a b' is not a valid key"},
		{",a=1", NULL, "empty key before ',a=1'"},
		{",a=1", "driver", "the value of 'driver' is empty"},
		{"a=1,b", NULL, "expected '=' after 'b'"},
		{"a=1,foo", "driver", "expected '=' after 'foo'"},
		{"a=1,a=2", NULL, "'a' is given twice"},
		{"foo,driver=x", "driver", "'driver' is given twice"},
		{"a=1,a.b=2", NULL, "'a' has a value and members"},
		{"a.b=1,a=2", NULL, "'a' has a value and members"},
		{"a.0=1,a.2=2", NULL, "'a.1' is missing"},
		{"a.00=1", NULL, "'a.0' is missing"},
		{"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r=1", NULL,
		 "key 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r' has too many dots"},
		{"{\"a\"", NULL, "the JSON text ends too early"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json_object *o = NULL;
		struct err e = {0};

		assert_int_equal(
			keyval_parse(bad[i].text, bad[i].implied, 0, &o, &e),
			-EINVAL);
		assert_null(o);
		assert_string_equal(e.text, bad[i].message);
	}
}

static void refuses_what_is_too_long(void **state)
{
	static char text[70000];
	struct json_object *o = NULL;
	struct err e = {0};

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(keyval_parse(text, "x", 0, &o, &e), -EINVAL);
	text[100] = '=';
	text[200] = 0;
	assert_int_equal(keyval_parse(text, NULL, 0, &o, &e), -EINVAL);
	assert_null(o);
}

static bool wants_help(const char *text)
{
	struct json_object *o = NULL;
	struct err e = {0};
	bool r;

	assert_int_equal(keyval_parse(text, "driver", 0, &o, &e), 0);
	r = keyval_wants_help(o);
	json_object_put(o);
	return r;
}

static void sees_help(void **state)
{
	(void)state;
	assert_true(wants_help("help"));
	assert_true(wants_help("?"));
	assert_true(wants_help("foo,help"));
	assert_true(wants_help("foo,a=1,?"));
	assert_false(wants_help("foo,help=on"));
	assert_false(wants_help("helper"));
	assert_false(wants_help("driver=help"));
}

static const char *name_at(const void *names, size_t i)
{
	return ((const char *const *)names)[i];
}

static void finds_the_nearest(void **state)
{
	static const char *const names[] = {"virtio-blk-device",
					    "virtio-net-device",
					    "virtio-rng-device",
					    "kernel",
					    "initrd",
					    "append",
					    "m",
					    "smp",
					    "no-reboot",
					    NULL};
	static const char *const cases[][2] = {
		{"virtio-blk-devce", "virtio-blk-device"},
		{"virtio-blk-pci", "virtio-blk-device"},
		{"VIRTIO-NET-DEVICE", "virtio-net-device"},
		{"virtio-gpu", NULL},
		{"kernle", "kernel"},
		{"initrdd", "initrd"},
		{"apend", "append"},
		{"spm", "smp"},
		{"x", NULL},
		{"M", "m"},
		{"no-rebot", "no-reboot"},
		{"", NULL},
		{"completely-different-thing", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *got = nearest_name(cases[i][0], name_at, names);

		if (!cases[i][1])
			assert_null(got);
		else
			assert_string_equal(got, cases[i][1]);
	}
}

static void nearest_takes_any_length(void **state)
{
	char word[200], other[200];
	const char *names[] = {other, NULL};

	(void)state;
	memset(word, 'a', sizeof(word));
	memset(other, 'a', sizeof(other));
	word[199] = other[199] = 0;
	assert_null(nearest_name(word, name_at, names));
	word[63] = 0;
	assert_null(nearest_name(word, name_at, names));
	other[63] = 0;
	assert_ptr_equal(nearest_name(word, name_at, names), other);
}

static void reads_numbers(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t value;
	} cases[] = {
		{"0", 0, 0},
		{"12", 0, 12},
		{"0x1F", 0, 31},
		{"0x", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1k", -EINVAL, 0},
		{"010", -EINVAL, 0},
		{"18446744073709551615", 0, UINT64_MAX},
		{"0xffffffffffffffff", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"0x10000000000000000", -ERANGE, 0},
		{"18446744073709551616x", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t n = 77;
		int r = parse_u64(cases[i].text, &n);

		assert_int_equal(r, cases[i].result);
		assert_true(n == (r ? 77 : cases[i].value));
	}
}

static void reads_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t unit;
		int result;
		uint64_t value;
	} cases[] = {
		{"512", 1, 0, 512},
		{"512", MIB, 0, 512 * MIB},
		{"512B", MIB, 0, 512},
		{"512b", MIB, 0, 512},
		{"1k", 1, 0, KIB},
		{"2M", 1, 0, 2 * MIB},
		{"3G", 1, 0, 3 * GIB},
		{"1T", 1, 0, 1024 * GIB},
		{"1P", 1, 0, 1ULL << 50},
		{"15E", 1, 0, 15ULL << 60},
		{"16E", 1, -ERANGE, 0},
		{"1.5G", 1, 0, 3 * GIB / 2},
		{"1.5", MIB, 0, 3 * MIB / 2},
		{"0.0000000000000000000001E", 1, 0, 0},
		{"15.999999999999999999E", 1, 0, UINT64_MAX - 1},
		{"1.5", 1, -EINVAL, 0},
		{"1.5B", MIB, -EINVAL, 0},
		{"1.G", 1, -EINVAL, 0},
		{".5G", 1, -EINVAL, 0},
		{"1.2.3G", 1, -EINVAL, 0},
		{"0x10M", 1, 0, 16 * MIB},
		{"1MB", 1, -EINVAL, 0},
		{"1MiB", 1, -EINVAL, 0},
		{"1Q", 1, -EINVAL, 0},
		{"M", 1, -EINVAL, 0},
		{"-1", 1, -EINVAL, 0},
		{"99999999999999999999", 1, -ERANGE, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t n = 77;
		int r = parse_size(cases[i].text, cases[i].unit, &n);

		if (r != cases[i].result)
			fail_msg("%s: %d", cases[i].text, r);
		if (n != (r ? 77 : cases[i].value))
			fail_msg("%s: %llu", cases[i].text,
				 (unsigned long long)n);
	}
}

static void reads_booleans_and_ids(void **state)
{
	bool b = false;

	(void)state;
	assert_int_equal(parse_bool("on", &b), 0);
	assert_true(b);
	assert_int_equal(parse_bool("false", &b), 0);
	assert_false(b);
	assert_int_equal(parse_bool("ON", &b), -EINVAL);
	assert_int_equal(parse_bool("", &b), -EINVAL);
	assert_true(id_is_valid("d0"));
	assert_true(id_is_valid("a.b-c_D9"));
	assert_false(id_is_valid(""));
	assert_false(id_is_valid("0d"));
	assert_false(id_is_valid("a b"));
	assert_false(id_is_valid("#block1"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(parses),
	cmocka_unit_test(refuses),
	cmocka_unit_test(refuses_what_is_too_long),
	cmocka_unit_test(sees_help),
	cmocka_unit_test(finds_the_nearest),
	cmocka_unit_test(nearest_takes_any_length),
	cmocka_unit_test(reads_numbers),
	cmocka_unit_test(reads_sizes),
	cmocka_unit_test(reads_booleans_and_ids),
};

TEST_MAIN(tests)
