/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every cmocka test includes, in the order cmocka asks for; a way to skip
 * a test; and a main that prints TAP.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* Ends the test, not run: test/lib/run-tap puts the reason into its result. */
#define test_skip(...)                                                         \
	do {                                                                   \
		print_message("# skipped: " __VA_ARGS__);                      \
		print_message("\n");                                           \
		skip();                                                        \
	} while (0)

/* A crash does not take along what was printed before it. */
__attribute__((constructor)) static void test_print_lines(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* main() that runs a `static const struct CMUnitTest` array. */
#define TEST_MAIN(tests)                                                       \
	int main(void)                                                         \
	{                                                                      \
		cmocka_set_message_output(CM_OUTPUT_TAP);                      \
		return cmocka_run_group_tests_name(__FILE__, tests, NULL,      \
						   NULL)                       \
			       ? 1                                             \
			       : 0;                                            \
	}
