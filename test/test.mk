# SPDX-License-Identifier: Apache-2.0
#
# Each test is a program that prints TAP and exits 0, 1 or 77 (skipped): one
# line here, its source is NAME.c.

LOG_DRIVER = $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_COLOR_TESTS = auto
TEST_LIBS = $(VIREO_LIBS) $(CMOCKA_LIBS)
LDADD = $(TEST_LIBS)

dist_noinst_DATA += test/lib/test.h

if TESTS_BUILT
unit_tests = \
	test/unit/base/err \
	test/unit/base/json \
	test/unit/base/keyval \
	test/unit/base/prop \
	test/unit/bus/gmem \
	test/unit/bus/mac

device_tests =

check_PROGRAMS += $(unit_tests) $(device_tests)
TESTS += $(unit_tests) $(device_tests)
endif
