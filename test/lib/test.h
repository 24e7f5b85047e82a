/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every cmocka test includes, in the order cmocka asks for; and a main
 * that prints TAP.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
