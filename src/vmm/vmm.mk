# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/acpi.c \
	%D%/aml.c %D%/aml.h \
	%D%/backends.c \
	%D%/boot_files.c %D%/boot_files.h \
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
	%D%/fdt.c \
	%D%/file.c %D%/file.h \
	%D%/filemap.c %D%/filemap.h \
	%D%/help.c %D%/help.h \
	%D%/help_kinds.c %D%/help_kinds.h \
	%D%/image.c %D%/image.h \
	%D%/image_cache.c %D%/image_cache.h \
	%D%/jail.c %D%/jail.h \
	%D%/kaslr.c %D%/kaslr.h \
	%D%/loader.c %D%/loader.h \
	%D%/lz4.c %D%/lz4.h \
	%D%/machine.c %D%/machine.h \
	%D%/memory.c %D%/memory.h \
	%D%/microvm.c \
	%D%/option.h \
	%D%/option_props.c %D%/option_props.h \
	%D%/option_take.c \
	%D%/options.c \
	%D%/pc_irq.c %D%/pc_irq.h \
	%D%/process.c %D%/process.h \
	%D%/pvh.c %D%/pvh.h \
	%D%/run.c \
	%D%/seccomp_filters.h \
	%D%/serial.c \
	%D%/smbios.c \
	%D%/smbios_option.c \
	%D%/sweeper.c %D%/sweeper.h \
	%D%/tables.h \
	%D%/vm.c %D%/vm.h \
	%D%/vm_cpu.c \
	%D%/vm_device.c \
	%D%/vmlinux.c %D%/vmlinux.h

bin_PROGRAMS += vireo
vireo_SOURCES = %D%/main.c
vireo_LDADD = $(VIREO_LIBS)
