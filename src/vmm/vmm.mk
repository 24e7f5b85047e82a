# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/config.c %D%/config.h \
	%D%/config_board.c \
	%D%/config_parts.h \
	%D%/drive.c \
	%D%/help.c %D%/help.h \
	%D%/loader.h \
	%D%/machine.h \
	%D%/option.h \
	%D%/option_props.c %D%/option_props.h \
	%D%/option_take.c \
	%D%/options.c \
	%D%/serial.c \
	%D%/tables.h

bin_PROGRAMS += vireo
vireo_SOURCES = %D%/main.c
vireo_LDADD = $(VIREO_LIBS)
