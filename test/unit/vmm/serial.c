/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm/serial: the short forms of -serial.
 */
#include <errno.h>

#include "base/json.h"
#include "test/lib/test.h"
#include "vmm/config_parts.h"

static void expands(void **state)
{
	static const char *const cases[][2] = {
		{"none", NULL},
		{"chardev:c0", NULL},
		{"stdio", "{\"backend\":\"stdio\",\"id\":\"s\"}"},
		{"null", "{\"backend\":\"null\",\"id\":\"s\"}"},
		{"pty", "{\"backend\":\"pty\",\"id\":\"s\"}"},
		{"file:a b,c",
		 "{\"backend\":\"file\",\"path\":\"a b,c\",\"id\":\"s\"}"},
		{"pipe:/p",
		 "{\"backend\":\"pipe\",\"path\":\"/p\",\"id\":\"s\"}"},
		{"unix:/s,server,nowait",
		 "{\"backend\":\"socket\",\"path\":\"/s\","
		 "\"server\":\"on\",\"wait\":\"off\",\"id\":\"s\"}"},
		{"tcp::4444,server=on",
		 "{\"backend\":\"socket\",\"host\":\"\",\"port\":\"4444\","
		 "\"server\":\"on\",\"id\":\"s\"}"},
		{"tcp:[::1]:22",
		 "{\"backend\":\"socket\",\"host\":\"::1\",\"port\":\"22\","
		 "\"id\":\"s\"}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json_object *conf = NULL;
		struct err e = {0};

		if (serial_expand(cases[i][0], "s", &conf, &e))
			fail_msg("%s: %s", cases[i][0], e.text);
		if (cases[i][1])
			assert_string_equal(
				json_object_to_json_string_ext(
					conf,
					JSON_C_TO_STRING_PLAIN |
						JSON_C_TO_STRING_NOSLASHESCAPE),
				cases[i][1]);
		else
			assert_null(conf);
		json_object_put(conf);
	}
}

static void refuses(void **state)
{
	static const char *const cases[][2] = {
		{"stdoi", "'stdoi' is not a valid serial port target (did you "
			  "mean 'stdio'?)"},
		{"", "'' is not a valid serial port target (stdio, none, null, "
		     "pty, file:FILE, pipe:PATH, unix:PATH, tcp:HOST:PORT "
		     "or chardev:ID)"},
		{"stdio:x", "'stdio:x' is not a valid serial port target (did "
			    "you mean 'stdio'?)"},
		{"mon:stdio", "there is no monitor to share the port with: "
			      "leave out 'mon:'"},
		{"vc", "there is no graphical console: use stdio"},
		{"vc:80Cx24C", "there is no graphical console: use stdio"},
		{"pipe:", "a path is missing"},
		{"unix:server=on", "a path is missing"},
		{"file:", "a path is missing"},
		{"unix:", "a path is missing"},
		{"unix:,server", "a path is missing"},
		{"tcp:host", "expected HOST:PORT"},
		{"tcp:host:", "expected HOST:PORT"},
		{"unix:/s,=1", "empty key in ''"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json_object *conf = NULL;
		struct err e = {0};

		assert_int_equal(serial_expand(cases[i][0], "s", &conf, &e),
				 -EINVAL);
		assert_null(conf);
		assert_string_equal(e.text, cases[i][1]);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(expands),
	cmocka_unit_test(refuses),
};

TEST_MAIN(tests)
