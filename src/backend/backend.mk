# SPDX-License-Identifier: Apache-2.0
libvireo_a_SOURCES += \
	%D%/block.h \
	%D%/chardev.h \
	%D%/mem.c \
	%D%/net.h \
	%D%/object.c %D%/object.h \
	%D%/rng.c
