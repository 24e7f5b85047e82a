dnl SPDX-License-Identifier: Apache-2.0

dnl VIREO_TRY_FLAG(VARIABLE, FLAG): adds FLAG to VARIABLE if the compiler
dnl takes it without a warning.
AC_DEFUN([VIREO_TRY_FLAG], [
	AS_VAR_PUSHDEF([cachevar], [vireo_cv_flag_$2])
	AC_CACHE_CHECK([whether $CC takes $2], [cachevar], [
		vireo_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $2"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
			[AS_VAR_SET([cachevar], [yes])],
			[AS_VAR_SET([cachevar], [no])])
		CFLAGS=$vireo_save_CFLAGS
	])
	AS_VAR_IF([cachevar], [yes], [AS_VAR_APPEND([$1], [" $2"])])
	AS_VAR_POPDEF([cachevar])
])

AC_DEFUN([VIREO_TRY_FLAGS], [m4_foreach_w([vireo_flag], [$2],
	[VIREO_TRY_FLAG([$1], vireo_flag)])])

dnl What the builder may ask for.
AC_DEFUN([VIREO_OPTIONS], [
	AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror],
		[make compiler warnings errors])], [], [enable_werror=no])
	AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan],
		[build with the address and leak sanitizers])], [], [enable_asan=no])
	AC_ARG_ENABLE([ubsan], [AS_HELP_STRING([--enable-ubsan],
		[build with the undefined behaviour sanitizer])], [], [enable_ubsan=no])
	AC_ARG_ENABLE([tsan], [AS_HELP_STRING([--enable-tsan],
		[build with the thread sanitizer])], [], [enable_tsan=no])
	AC_ARG_ENABLE([fuzz], [AS_HELP_STRING([--enable-fuzz],
		[build the fuzzers against libFuzzer (clang)])], [], [enable_fuzz=no])
	AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage],
		[build for gcov])], [], [enable_coverage=no])
	AC_ARG_WITH([static], [AS_HELP_STRING([--with-static],
		[link vireo statically])], [], [with_static=no])
	AS_IF([test "$enable_asan$enable_tsan" = yesyes],
		[AC_MSG_ERROR([--enable-asan and --enable-tsan exclude each other])])
	AM_CONDITIONAL([FUZZ], [test "$enable_fuzz" = yes])
	AM_CONDITIONAL([SANITIZED],
		[test "$enable_asan$enable_ubsan$enable_tsan" != nonono])
	AM_CONDITIONAL([STATIC], [test "$with_static" = yes])
])

dnl Warnings, hardening and instrumentation.
AC_DEFUN([VIREO_COMPILER_FLAGS], [
	AC_CACHE_CHECK([for C11 with GNU attributes], [vireo_cv_gnu11], [
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
		#if !defined(__GNUC__) || (!defined(__clang__) && __GNUC__ < 12)
		#error gcc 12 or clang 14 is needed
		#endif
		#if defined(__clang__) && __clang_major__ < 14
		#error gcc 12 or clang 14 is needed
		#endif
		]], [])], [vireo_cv_gnu11=yes], [vireo_cv_gnu11=no])])
	AS_IF([test "$vireo_cv_gnu11" != yes],
		[AC_MSG_ERROR([gcc 12 or clang 14 is needed])])

	WARN_CFLAGS=
	VIREO_TRY_FLAGS([WARN_CFLAGS], [-Wall -Wextra -Wconversion
		-Wno-sign-conversion -Wshadow -Wvla -Walloca -Wstrict-prototypes
		-Wmissing-prototypes -Wold-style-definition -Wwrite-strings
		-Wpointer-arith -Wcast-qual -Wcast-align=strict -Wformat=2 -Wundef
		-Wimplicit-fallthrough -Wswitch-enum -Wnull-dereference
		-Wredundant-decls -Wnested-externs -Wduplicated-cond
		-Wduplicated-branches -Wlogical-op])
	AS_IF([test "$enable_asan$enable_ubsan$enable_tsan$enable_fuzz$enable_coverage" = nonononono], [
		VIREO_TRY_FLAGS([WARN_CFLAGS], [-Wstack-usage=8192])])
	AC_CACHE_CHECK([whether $CC is clang], [vireo_cv_clang], [
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
		#ifndef __clang__
		#error no
		#endif
		]], [])], [vireo_cv_clang=yes], [vireo_cv_clang=no])])
	AS_IF([test "$vireo_cv_clang" = yes], [
		VIREO_TRY_FLAGS([WARN_CFLAGS], [-Wthread-safety])])
	AS_IF([test "$enable_werror" = yes],
		[WARN_CFLAGS="$WARN_CFLAGS -Werror"])

	HARDEN_CFLAGS= HARDEN_LDFLAGS= HARDEN_CPPFLAGS=
	VIREO_TRY_FLAGS([HARDEN_CFLAGS], [-fstack-protector-strong
		-fstack-clash-protection -fcf-protection
		-ftrivial-auto-var-init=zero])
	AS_IF([test "$with_static" = yes],
		[HARDEN_CFLAGS="$HARDEN_CFLAGS -fPIE"
		 HARDEN_LDFLAGS="-static-pie"],
		[HARDEN_CFLAGS="$HARDEN_CFLAGS -fPIE" HARDEN_LDFLAGS="-pie"])
	HARDEN_LDFLAGS="$HARDEN_LDFLAGS -Wl,-z,relro,-z,now,-z,noexecstack"
	AS_IF([test "$enable_asan$enable_ubsan$enable_tsan$enable_fuzz" = nononono], [
		AS_CASE([" $CFLAGS "], [*" -O0 "*], [],
			[HARDEN_CPPFLAGS="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"])])

	SAN_CFLAGS=
	AS_IF([test "$enable_asan" = yes],
		[SAN_CFLAGS="$SAN_CFLAGS -fsanitize=address"])
	AS_IF([test "$enable_ubsan" = yes],
		[SAN_CFLAGS="$SAN_CFLAGS -fsanitize=undefined -fno-sanitize-recover=undefined"])
	AS_IF([test "$enable_tsan" = yes],
		[SAN_CFLAGS="$SAN_CFLAGS -fsanitize=thread"])
	AS_IF([test "$enable_fuzz" = yes], [
		AS_IF([test "$vireo_cv_clang" != yes],
			[AC_MSG_ERROR([--enable-fuzz needs clang: configure with CC=clang])])
		SAN_CFLAGS="$SAN_CFLAGS -fsanitize=fuzzer-no-link"
		dnl As a plain archive, so that only what has no main of its own
		dnl (a fuzzer, but no unit test) takes libFuzzer's.
		FUZZER_LIBS="`$CC -print-file-name=libclang_rt.fuzzer-x86_64.a` -lstdc++ -lm"])
	AS_IF([test "$enable_coverage" = yes],
		[SAN_CFLAGS="$SAN_CFLAGS --coverage"])
	AS_IF([test -n "$SAN_CFLAGS"],
		[SAN_CFLAGS="$SAN_CFLAGS -fno-omit-frame-pointer"])
	AC_SUBST([WARN_CFLAGS])
	AC_SUBST([HARDEN_CFLAGS])
	AC_SUBST([HARDEN_CPPFLAGS])
	AC_SUBST([HARDEN_LDFLAGS])
	AC_SUBST([SAN_CFLAGS])
	AC_SUBST([FUZZER_LIBS])
])

dnl The libraries, and what Debian 12's kernel headers must have.
AC_DEFUN([VIREO_LIBRARIES], [
	AS_IF([test "$with_static" = yes], [PKG_CONFIG="$PKG_CONFIG --static"])
	PKG_CHECK_MODULES([URING], [liburing >= 2.3])
	PKG_CHECK_MODULES([SECCOMP], [libseccomp >= 2.5.4])
	PKG_CHECK_MODULES([JSON], [json-c >= 0.16])
	PKG_CHECK_MODULES([ZLIB], [zlib])
	PKG_CHECK_MODULES([ZSTD], [libzstd])
	PKG_CHECK_MODULES([LZ4], [liblz4])
	PKG_CHECK_MODULES([LZMA], [liblzma])
	AC_CHECK_HEADER([libfdt.h], [],
		[AC_MSG_ERROR([libfdt.h is missing: apt-get install libfdt-dev])])
	vireo_save_LIBS=$LIBS
	AC_SEARCH_LIBS([fdt_create_with_flags], [fdt],
		[AS_IF([test "$ac_cv_search_fdt_create_with_flags" = "none required"],
			[FDT_LIBS=], [FDT_LIBS=$ac_cv_search_fdt_create_with_flags])],
		[AC_MSG_ERROR([libfdt is missing: apt-get install libfdt-dev])])
	LIBS=$vireo_save_LIBS
	AC_CHECK_HEADER([bzlib.h], [],
		[AC_MSG_ERROR([bzlib.h is missing: apt-get install libbz2-dev])])
	BZ2_LIBS=-lbz2
	AC_SUBST([FDT_LIBS])
	AC_SUBST([BZ2_LIBS])
	AC_CHECK_HEADERS([linux/kvm.h linux/io_uring.h linux/landlock.h], [],
		[AC_MSG_ERROR([kernel headers are missing: apt-get install linux-libc-dev])])
	PKG_CHECK_MODULES([CMOCKA], [cmocka], [have_cmocka=yes], [have_cmocka=no])
	AM_CONDITIONAL([TESTS_BUILT], [test "$have_cmocka" = yes])
	AS_IF([test "$have_cmocka" = no], [AC_MSG_WARN(
		[cmocka is missing, 'make check' has no unit tests: apt-get install libcmocka-dev])])
])
