# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/acpi.c \
	%D%/aml.c %D%/aml.h \
	%D%/bootmem.c %D%/bootmem.h \
	%D%/bootparams.c %D%/bootparams.h \
	%D%/bzimage.c %D%/bzimage.h \
	%D%/config.c %D%/config.h \
	%D%/config_board.c \
	%D%/config_parts.h \
	%D%/decompress.c %D%/decompress.h \
	%D%/doctor.c %D%/doctor.h \
	%D%/drive.c \
	%D%/elf.c %D%/elf.h \
	%D%/entry.c %D%/entry.h \
	%D%/filemap.c %D%/filemap.h \
	%D%/help.c %D%/help.h \
	%D%/kaslr.c %D%/kaslr.h \
	%D%/loader.c %D%/loader.h \
	%D%/lz4.c %D%/lz4.h \
	%D%/machine.h \
	%D%/option.h \
	%D%/option_props.c %D%/option_props.h \
	%D%/option_take.c \
	%D%/options.c \
	%D%/pvh.c %D%/pvh.h \
	%D%/serial.c \
	%D%/tables.h \
	%D%/vmlinux.c %D%/vmlinux.h

bin_PROGRAMS += vireo
vireo_SOURCES = %D%/main.c
vireo_LDADD = $(VIREO_LIBS)
