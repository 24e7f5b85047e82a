# SPDX-License-Identifier: Apache-2.0
#
# Filters are compiled here, at build time: the program itself carries no
# libseccomp.

seccomp_lists = %D%/main.list %D%/vcpu.list %D%/sanitizer.list
EXTRA_DIST += $(seccomp_lists)
if SANITIZED
seccomp_more = ,$(srcdir)/%D%/sanitizer.list
endif

noinst_PROGRAMS += %D%/compile
seccomp_compile_SOURCES = %D%/compile.c
seccomp_compile_LDADD = $(SECCOMP_LIBS)

nodist_libvireo_a_SOURCES += %D%/filters.c
CLEANFILES += %D%/filters.c

%D%/filters.c: $(seccomp_lists) %D%/compile$(EXEEXT)
	$(AM_V_GEN)%D%/compile$(EXEEXT) \
		main=$(srcdir)/%D%/main.list$(seccomp_more) \
		vcpu=$(srcdir)/%D%/vcpu.list$(seccomp_more) >$@.tmp \
	&& mv $@.tmp $@
