# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/config.h \
	%D%/loader.h \
	%D%/machine.h \
	%D%/tables.h

bin_PROGRAMS += vireo
vireo_SOURCES = %D%/main.c
vireo_LDADD = $(VIREO_LIBS)
